//! Which images to label next when classes are imbalanced and labels are few: the strategies of
//! vabal on arrays alone.
//!
//! [`Signals`] holds what a model says of a pool, [`Query`] asks for the next batch, a [`Strategy`]
//! answers with a [`Selection`]; [`STRATEGIES`] has them by name. Nothing here prints, reads the
//! environment, or keeps global state.
//!
//! ```
//! use ndarray::array;
//! use vabal_query::{Query, STRATEGIES, Seed, Signals, progress::silent};
//!
//! let unlabelled = Signals::new(vec![10, 11, 12])
//!     .with_probabilities(array![[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])?;
//! let query = Query {
//!     unlabelled: &unlabelled,
//!     labelled: &Signals::default(),
//!     labels: &[],
//!     classes: 2,
//!     n: 1,
//!     seed: Seed::new(1),
//! };
//! let selection = STRATEGIES.by_name("margin")?.select(&query, &mut silent())?;
//! assert_eq!(selection.ids, [11]);
//! # Ok::<(), vabal_query::Error>(())
//! ```

pub mod arrays;
pub mod error;
pub mod estimate;
pub mod files;
pub mod head;
#[doc(hidden)]
pub mod kernels;
pub mod layout;
pub mod metrics;
pub mod pca;
pub mod plan;
pub mod progress;
mod query;
pub mod rng;
pub mod strategies;
pub mod summary;
pub mod term;

pub use arrays::{Dense, MonteCarlo, Needs, Signals};
pub use error::{Error, Result};
pub use progress::{Event, Flow, Progress};
pub use query::{Column, Health, InParts, Query, Selection, Strategy, available, class_counts};
pub use rng::Seed;
pub use strategies::settings::{Spec, StrategySettings};
pub use strategies::table::{Row, STRATEGIES, Table};

/// The name of a candidate in [`Signals`], for life: any numbers that do not repeat. In an image
/// set it is the row of the image. That row has no newtype of its own: the table of strategies has
/// a type named [`Row`] already.
pub type Id = u64;

/// A class, counted from 0.
pub type Label = u32;
