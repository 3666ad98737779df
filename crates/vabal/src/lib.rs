//! vabal chooses which images to label next when classes are imbalanced and labels are few.
//!
//! Rooms, and the one direction between them: [`data`] → [`classify`] → [`query`] → [`active`] →
//! [`experiment`] and [`project`]. Nothing here prints, reads the environment, or keeps global state.

pub mod active;
pub mod classify;
pub mod config;
pub mod data;
pub mod device;
pub mod error;
pub mod experiment;
pub mod files;
mod kernels;
#[doc(hidden)]
pub use kernels::measure;
pub mod metrics;
mod parameters;
pub mod progress;
pub mod project;
pub mod query;
pub mod rng;
mod sqlite;

pub use classify::Scorer;
pub use data::{DataSet, ImageSet};
pub use device::Device;
pub use error::{Error, Result};
pub use progress::{Event, Flow, Progress};
pub use query::{Query, Selection, Signals, Strategy};
pub use rng::Seed;

/// The name of an image for life. In a [`DataSet`] it is the row of its [`ImageSet`]; a caller with
/// features of their own may use any numbers that do not repeat.
pub type Id = u64;

/// A class, counted from 0.
pub type Label = u32;
