//! Strategies × seeds × rounds: the grid, its store, resuming, and the report.
//!
//! Never here: how a strategy chooses, how a classifier trains.

pub mod record;
pub mod summary;
