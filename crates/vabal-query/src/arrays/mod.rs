//! A pool as arrays: what a strategy may look at, [`Signals`]; and [`Pool`], which makes it of arrays by their names, as a
//! front end has them.
//!
//! ```
//! use vabal_query::arrays::{Array, Classes, Group, Pool};
//! use vabal_query::{Seed, STRATEGIES, progress::silent};
//!
//! // Four images, of which the first is labelled.
//! let probs = vec![0.9_f32, 0.1, 0.5, 0.5, 0.2, 0.8, 0.6, 0.4];
//! let arrays = vec![
//!     Array::new("probs", [4, 2], probs),
//!     Array::new("labels", [4], vec![0_i64, -1, -1, -1]),
//!     Array::new("ids", [4], ["a.png", "b.png", "c.png", "d.png"].map(String::from).to_vec()),
//! ];
//! let pool = Pool::new(Group::new(arrays), None, &Classes::Guess, &mut silent())?;
//! assert_eq!((pool.labels(), pool.classes(), pool.candidates()), (&[0][..], 2, 3));
//!
//! let strategy = STRATEGIES.by_name("margin")?;
//! let (needs, of_labelled) = (strategy.needs(), strategy.needs_of_labelled());
//! pool.require("margin", needs, of_labelled)?;
//! let signals = pool.signals(needs, of_labelled, &mut silent())?;
//! let query = pool.query(&signals, 2, Seed::new(1));
//! query.check(&*strategy)?;
//! let selection = strategy.select(&query, &mut silent())?;
//! assert_eq!(pool.rows(&selection.ids), [1, 3]);
//! # Ok::<(), vabal_query::Error>(())
//! ```
//!
//! Never here: files, strategies.

mod array;
mod classes;
mod dense;
mod group;
mod ids;
mod pool;
mod probabilities;
mod rows;
mod signals;

pub use array::{Array, Kind, Name, Source, Store, Values};
pub use classes::Classes;
pub(crate) use dense::ArrayRows;
pub use dense::Dense;
pub use group::Group;
pub use ids::{Names, text_id};
pub use pool::Pool;
pub use signals::{MonteCarlo, Needs, Signals, argmax};
