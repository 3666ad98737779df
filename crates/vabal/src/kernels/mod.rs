//! The one room with `unsafe`: arithmetic below the level of arrays. Each `unsafe` states its reason.
//!
//! Never here: anything that knows what the numbers mean.

mod buffers;
mod conv;
pub(crate) mod conv_norm;
pub mod measure;
mod norm;
#[cfg(test)]
mod tests;
use vabal_query::kernels as vectors;
mod winograd;

pub(crate) use buffers::Kept;
pub(crate) use vabal_query::kernels::{Vectors, wide};
