//! The classifier: a residual network for small images, its training loop, and the frozen
//! [`Scorer`] that turns images into [`Signals`](crate::Signals).
//!
//! Never here: which images to label, how a network is computed.

mod onnx;
pub mod scorer;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod train;
mod weights;

pub use scorer::Scorer;
pub use settings::Settings;
pub use train::Training;
