//! A frozen classifier: never in training mode, it turns images into signals.
//!
//! Never here: training, augmentation, labels.

use burn::module::Module as _;
use burn::tensor::activation::softmax;
use burn::tensor::{Tensor, TensorData};
use ndarray::{Array2, aview1, s};

use super::Settings;
use super::resnet::{Output, ResNet, global_average_pool};
use crate::Id;
use crate::data::batch::{Batcher, Normalisation};
use crate::data::{ImageSet, ImageShape};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::progress::{Event, Progress, report};
use crate::query::{Needs, Signals};

/// A trained classifier, frozen. The only type that scores.
#[derive(Debug, Clone)]
pub struct Scorer {
    pub(super) network: ResNet,
    pub(super) settings: Settings,
    pub(super) shape: ImageShape,
    pub(super) classes: Vec<String>,
    pub(super) normalisation: Normalisation,
    pub(super) device: Device,
}

impl Scorer {
    /// Freezes what was trained on `images`.
    pub(super) fn freeze(
        network: &ResNet,
        images: &ImageSet,
        settings: Settings,
        normalisation: Normalisation,
        device: Device,
    ) -> Self {
        let (shape, classes) = (images.shape(), images.classes().to_vec());
        Self { network: network.valid(), settings, shape, classes, normalisation, device }
    }

    /// The network and recipe it was trained with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The names of the classes, in the order of the probabilities.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The shape of the images it takes.
    #[must_use]
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// Computes exactly what `needs` names for `ids`, in evaluation mode and without augmentation:
    /// probabilities [n, C] after the softmax, and the global average pool of each residual stage, [n, d_l]
    /// with d_l = width · [1, 2, 4, 8]. Beside these, memory does not grow with n. Reports the phase
    /// "features" by images.
    ///
    /// # Errors
    /// Images of another shape than the classifier was trained on, ids that are not of `images`, an output that
    /// is not finite, or [`crate::Error::Stopped`].
    pub fn signals(
        &self,
        images: &ImageSet,
        ids: &[Id],
        needs: Needs,
        progress: &mut Progress<'_>,
    ) -> Result<Signals> {
        // What a batch of 256 images of 32 × 32 takes, in pixels.
        let ImageShape { height, width, .. } = images.shape();
        let batch = (256 * 32 * 32 / (height * width).max(1)).clamp(1, 256);
        self.signals_in_batches(images, ids, needs, batch, progress)
    }

    pub(super) fn signals_in_batches(
        &self,
        images: &ImageSet,
        ids: &[Id],
        needs: Needs,
        batch: usize,
        progress: &mut Progress<'_>,
    ) -> Result<Signals> {
        let (expected, got) = (self.shape, images.shape());
        if got != expected {
            let text = |shape: ImageShape| format!("{} × {} × {}", shape.channels, shape.height, shape.width);
            return Err(Error::input("the images have another shape than the classifier was trained on")
                .expected(text(expected))
                .got(text(got))
                .hint("read the images with the size and colours used for training")
                .into());
        }
        images.check_ids(ids)?;
        if needs == Needs::IDS {
            return Ok(Signals::new(ids.to_vec()));
        }
        let device = self.device.open()?;
        let batcher = Batcher::new(images, &self.normalisation);
        let rows = |wanted: bool| if wanted { ids.len() } else { 0 };
        let mut probabilities = Array2::zeros((rows(needs.probabilities), self.classes.len()));
        let mut stages: [Array2<f32>; 4] =
            std::array::from_fn(|l| Array2::zeros((rows(needs.stages), self.settings.width << l)));
        for (index, chunk) in ids.chunks(batch).enumerate() {
            let first = index * batch;
            let shape = [chunk.len(), got.channels, got.height, got.width];
            let x = Tensor::<4>::from_data(TensorData::new(batcher.plain(chunk), shape), &device);
            let Output { logits, stages: maps } = self.network.forward(x, |_, x| x);
            if needs.probabilities {
                self.read(softmax(logits, 1), &mut probabilities, first)?;
            }
            if needs.stages {
                for (maps, stage) in maps.into_iter().zip(&mut stages) {
                    self.read(global_average_pool(maps), stage, first)?;
                }
            }
            let (phase, unit, done, total) = ("features", "image", first + chunk.len(), ids.len());
            report(progress, Event::Progress { phase, done, total, unit, loss: None })?;
        }
        let mut signals = Signals::new(ids.to_vec());
        if needs.probabilities {
            signals = signals.with_probabilities(probabilities)?;
        }
        if needs.stages {
            signals = signals.with_stages(stages.into())?;
        }
        Ok(signals)
    }

    /// Copies a batch's result [b, d] to rows `first..first + b` of `to`.
    pub(super) fn read(&self, from: Tensor<2>, to: &mut Array2<f32>, first: usize) -> Result<()> {
        let data = from.try_into_data().map_err(self.device.failed())?;
        let values: Vec<f32> = data.iter().collect();
        // Here, where it is still known that it is the network's doing.
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(Error::input("the classifier's output is not finite")
                .expected("finite numbers")
                .got(value)
                .hint("its training went wrong without a sign: lower classifier.learning_rate")
                .into());
        }
        let mut rows = to.slice_mut(s![first.., ..]);
        for (mut row, values) in rows.rows_mut().into_iter().zip(values.chunks_exact(data.shape()[1])) {
            row.assign(&aview1(values));
        }
        Ok(())
    }
}
