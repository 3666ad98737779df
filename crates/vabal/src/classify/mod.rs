//! The classifier: a residual network for small images, its training loop, and the frozen
//! [`Scorer`] that turns images into [`Signals`](crate::Signals).
//!
//! Never here: which images to label. burn's types stay inside this room.

pub mod scorer;
pub mod settings;
pub mod train;

pub use scorer::Scorer;
pub use settings::Settings;
pub use train::train;
