//! The training loop of the classifier, on one screen.

use super::{Scorer, Settings};
use crate::data::ImageSet;
use crate::device::Device;
use crate::error::Result;
use crate::progress::Progress;
use crate::rng::Seed;
use crate::{Id, Label};

/// Trains a classifier from scratch on `ids` of `images` with the given `labels` (row by row).
///
/// # Errors
/// A device that is not there, a loss that is not finite, or [`crate::Error::Stopped`].
#[expect(clippy::too_many_arguments, reason = "seam under construction")]
pub fn train(
    images: &ImageSet,
    ids: &[Id],
    labels: &[Label],
    settings: &Settings,
    device: Device,
    seed: Seed,
    progress: &mut Progress<'_>,
) -> Result<Scorer> {
    let _ = (images, ids, labels, settings, device, seed, progress);
    todo!()
}
