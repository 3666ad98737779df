//! Strategies × seeds × rounds: the grid, its store, resuming, and the report.
//!
//! Never here: how a strategy chooses, how a classifier trains.
//!
//! ```no_run
//! use std::path::Path;
//! use vabal::Device;
//! use vabal::config::Config;
//! use vabal::{experiment, backbone};
//! use vabal::progress::Flow;
//!
//! let config = Config::read(Path::new("experiments/cifar10-plus-1.toml"), &[])?;
//! let (out, data) = (Path::new("runs/cifar10"), Path::new("data"));
//! let outcome = experiment::run(&config, out, Device::Cpu, data, &backbone::open, &mut |_| Flow::Continue)?;
//! println!("{} runs", outcome.runs.len());
//! # Ok::<(), vabal::Error>(())
//! ```

mod asked;
mod begin;
mod bound;
mod frozen;
mod grid;
mod measure;
mod observe;
pub(crate) mod ranking;
pub mod record;
pub mod report;
mod run;
pub(crate) mod store;
pub mod summary;
pub(crate) mod thumbnail;

use std::path::Path;

pub use observe::{Event, Observer};
pub use run::{Outcome, run, run_with};

use crate::error::Result;
use record::{RunRecord, Summary};
use store::Store;

/// Reads what a run folder holds, finished or not: the experiment, and every run as far as it has
/// come.
///
/// # Errors
/// A folder that holds no run, or none that has begun; a store that is damaged or of a newer
/// version.
pub fn read(folder: &Path) -> Result<(Summary, Vec<RunRecord>)> {
    let store = Store::open_for_reading(folder)?;
    let summary = store.summary()?.ok_or_else(|| store::not_begun(folder))?;
    let runs = store.records(&summary)?;
    Ok((summary, runs))
}

#[cfg(test)]
mod tests;
