//! The strategies, one file each, and the table of them.
//!
//! A strategy sees arrays and ids. Never here: images on disk, the classifier, files, progress
//! bars.
//!
//! ```
//! use vabal_query::STRATEGIES;
//!
//! let strategy = STRATEGIES.by_name("badge")?;
//! assert!(strategy.needs().embedding);
//! assert!(STRATEGIES.by_name("bagde").is_err_and(|error| error.to_string().contains("badge")));
//! # Ok::<(), vabal_query::Error>(())
//! ```

#[doc(hidden)]
pub mod adam;
pub mod badge;
pub mod balanced;
pub mod bald;
pub mod committee;
pub mod core_set;
pub mod galaxy;
mod k_means;
#[doc(hidden)]
pub mod layers;
pub mod learning_loss;
mod neighbours;
pub mod probcover;
pub mod random;
mod rows;
pub mod settings;
pub mod similar;
pub mod table;
pub mod typiclust;
pub mod uncertainty;
pub mod vabal;
pub mod vabal_paper;
