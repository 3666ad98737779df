//! The one room with `unsafe`: arithmetic below the level of arrays. Each `unsafe` states its
//! reason.
//!
//! Never here: anything that knows what the numbers mean.

pub(crate) mod batch_norm;
pub(crate) mod conv;
pub mod measure;
mod norm;
#[cfg(test)]
mod tests;
use vabal_query::kernels as vectors;
mod winograd;
mod workspace;

pub(crate) use norm::{Cut, normalise};
pub(crate) use vabal_query::kernels::{Threads, Vectors, matmul, wide};
pub(crate) use workspace::Workspace;
