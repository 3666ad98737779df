//! The strategies, one file each, and the table of them.
//!
//! A strategy sees arrays and ids. Never here: images on disk, the classifier, files, progress bars.

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
