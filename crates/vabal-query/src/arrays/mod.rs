//! A pool as arrays: what a strategy may look at.
//!
//! Never here: files, strategies.

mod signals;

pub(crate) use signals::PROBABILITIES;
pub use signals::{Dense, MonteCarlo, Needs, Signals, argmax};
