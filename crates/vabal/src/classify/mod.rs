//! The classifier: a residual network for small images, its training loop, and the frozen
//! [`Scorer`] that turns images into [`Signals`](crate::Signals).
//!
//! Never here: which images to label, how a network is computed.
//!
//! ```
//! use vabal::classify::{Settings, Training};
//! use vabal::progress::silent;
//! use vabal::query::Needs;
//! use vabal::{Device, Seed};
//!
//! let set = vabal::data::read_demo()?;
//! let settings = Settings { width: 4, epochs: 1, minimum_steps: 1, ..Settings::quick() };
//! let training = Training {
//!     images: set.items.items(),
//!     classes: set.items.classes(),
//!     settings: &settings,
//!     device: Device::Cpu,
//!     seed: Seed::new(1),
//! };
//! let ids = &set.pool[..32];
//! let labels: Vec<_> = ids.iter().map(|&id| set.items.label(id)).collect();
//! let scorer = training.fit(ids, &labels, &mut silent())?;
//! assert_eq!(scorer.classes().len(), 10);
//! # Ok::<(), vabal::Error>(())
//! ```

mod onnx;
pub(crate) mod scorer;
pub(crate) mod settings;
#[cfg(test)]
mod tests;
pub(crate) mod train;
mod weights;

pub use scorer::Scorer;
pub use settings::{Kernels, Settings};
pub use train::Training;
