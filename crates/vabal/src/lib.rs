//! vabal chooses which images to label next when classes are imbalanced and labels are few.
//!
//! Rooms, each depending on those after it: [`experiment`] and [`project`], [`active`],
//! [`classify`], [`data`]. The strategies are the crate [`query`]. Nothing here prints, reads the
//! environment, or keeps global state.
//!
//! A comparison of strategies on the embedded set, as `vabal run` and `vabal report` make it;
//! [`active`] shows the loop itself:
//!
//! ```no_run
//! use std::path::Path;
//! use vabal::{Device, Flow, backbone, config::Config, experiment, experiment::report};
//!
//! let config = Config::parse("strategies = [\"random\", \"vabal\"]", "here", "demo", &[])?;
//! let (out, data) = (Path::new("runs/demo"), Path::new("data"));
//! experiment::run(&config, out, Device::Cpu, data, &backbone::open, &mut |_| Flow::Continue)?;
//! let made = report::make(&report::read(&[out.into()])?, "demo")?;
//! report::write(&made, Path::new("demo.html"), Path::new("demo"))?;
//! # Ok::<(), vabal::Error>(())
//! ```

pub mod active;
pub mod backbone;
pub mod classify;
pub mod config;
pub mod csv;
pub mod data;
pub mod device;
pub mod experiment;
mod kernels;
mod network;
#[doc(hidden)]
pub use kernels::measure;
pub mod project;
#[cfg(test)]
mod promises;
mod sqlite;
mod vaal;

pub use classify::Scorer;
pub use data::{DataSet, Features, ImageSet, Images};
pub use device::Device;
pub use vabal_query as query;
pub use vabal_query::{
    Error, Event, Flow, Id, Label, Progress, Query, Result, Seed, Selection, Signals, Strategy, error, files,
    metrics, progress, rng,
};

/// The strategies that can be chosen by name: those of [`query`], and `vaal`, which has a network
/// of its own.
pub const STRATEGIES: query::Table = query::STRATEGIES.with(&[vaal::ROW]);
