//! A frozen classifier: never in training mode, it turns images into signals.

use std::path::Path;

use crate::Id;
use crate::data::ImageSet;
use crate::device::Device;
use crate::error::Result;
use crate::progress::Progress;
use crate::query::{Needs, Signals};

/// A trained classifier, frozen. The only type that scores.
#[derive(Debug)]
pub struct Scorer {}

impl Scorer {
    /// Computes exactly what `needs` names for `ids`, in evaluation mode and without augmentation.
    ///
    /// # Errors
    /// Images of another shape than the classifier was trained on, or [`crate::Error::Stopped`].
    pub fn signals(
        &self,
        images: &ImageSet,
        ids: &[Id],
        needs: Needs,
        progress: &mut Progress<'_>,
    ) -> Result<Signals> {
        let _ = (images, ids, needs, progress);
        todo!()
    }

    /// Writes weights, configuration, class names and normalisation as safetensors, in PyTorch's layout.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let _ = path;
        todo!()
    }

    /// Reads what [`Scorer::save`] wrote.
    ///
    /// # Errors
    /// A file that is missing, torn, or of another network.
    pub fn load(path: &Path, device: Device) -> Result<Self> {
        let _ = (path, device);
        todo!()
    }
}
