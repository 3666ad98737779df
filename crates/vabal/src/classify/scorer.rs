//! A frozen classifier: never in training mode, it turns images into signals.
//!
//! Never here: training, augmentation, labels.

use std::sync::Arc;

use ndarray::{Array2, Array3, Array4, ArrayViewMut2, s};

use super::Settings;
use crate::Id;
use crate::data::batch::{Batcher, Normalisation};
use crate::data::{ImageShape, Images};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::network::{Batch, Dropout, Network, Output, STAGES, Weights};
use crate::progress::{Event, Progress, report};
use crate::query::{Needs, Signals};
use crate::rng::Seed;

/// A trained classifier, frozen. The only type that scores.
#[derive(Debug, Clone)]
pub struct Scorer {
    pub(super) network: Network,
    pub(super) weights: Arc<Weights>,
    pub(super) settings: Settings,
    pub(super) shape: ImageShape,
    pub(super) classes: Vec<String>,
    pub(super) normalisation: Normalisation,
    pub(super) device: Device,
}

impl Scorer {
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
    /// probabilities [n, C] after the softmax, and the global average pool of each residual stage,
    /// [n, d_l] with d_l = width · [1, 2, 4, 8]; of Monte-Carlo draws [n, T, C], values are dropped
    /// before each stage, BatchNorm stays frozen, and an image's masks depend on `seed` and its id
    /// alone. A committee is none of its business. Beside these, memory does not grow with n.
    /// Reports the phase "features" by images.
    ///
    /// # Errors
    /// Images of another shape than the classifier was trained on, ids that are not of `images`, an
    /// output that is not finite, or [`crate::Error::Stopped`].
    pub fn signals(
        &self,
        images: &Images,
        ids: &[Id],
        needs: Needs,
        seed: Seed,
        progress: &mut Progress<'_>,
    ) -> Result<Signals<'static>> {
        // What a batch of 256 images of 32 × 32 takes, in pixels.
        let ImageShape { height, width, .. } = images.shape();
        let batch = (256 * 32 * 32 / (height * width).max(1)).clamp(1, 256);
        self.signals_in_batches(images, ids, (needs, seed), batch, progress)
    }

    pub(super) fn signals_in_batches(
        &self,
        images: &Images,
        ids: &[Id],
        (needs, seed): (Needs, Seed),
        batch: usize,
        progress: &mut Progress<'_>,
    ) -> Result<Signals<'static>> {
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
        let engine = self.device.engine(self.settings.kernels.vectors());
        let network = engine.freeze(&self.network, &self.weights)?;
        let batcher = Batcher::new(images, &self.normalisation);
        let rows = |wanted: bool| if wanted { ids.len() } else { 0 };
        let classes = self.classes.len();
        let with_probabilities = needs.probabilities || needs.predicted;
        let mut probabilities = Array2::zeros((rows(with_probabilities), classes));
        let mut stages: [Array2<f32>; STAGES] = std::array::from_fn(|l| {
            let wanted = needs.stages || (needs.embedding && l == STAGES - 1);
            Array2::zeros((rows(wanted), self.settings.width << l))
        });
        let passes = needs.monte_carlo.map_or(0, |monte_carlo| monte_carlo.draws);
        let mut draws = Array3::zeros((rows(passes > 0), passes, classes));
        let one_pass = with_probabilities || needs.stages || needs.embedding;
        let seeds: Vec<Seed> = (0..passes).map(|pass| seed.child("pass", pass as u64)).collect();
        let total = ids.len() * (usize::from(one_pass) + passes);
        let mut done = 0;
        for (index, chunk) in ids.chunks(batch).enumerate() {
            let first = index * batch;
            let pixels = batcher.plain(chunk);
            let ImageShape { height, width, .. } = got;
            let pass = |dropout| network.forward(&Batch { images: &pixels, height, width, dropout });
            let mut tell = || {
                done += chunk.len();
                let (phase, unit) = ("features", if passes > 0 { "pass" } else { "image" });
                report(progress, Event::Progress { phase, done, total, unit, loss: None })
            };
            if one_pass {
                let Output { logits, stages: of_batch } = pass(None)?;
                if with_probabilities {
                    keep(softmax(logits), probabilities.slice_mut(s![first..first + chunk.len(), ..]))?;
                }
                for (means, stage) in of_batch.into_iter().zip(&mut stages) {
                    if stage.nrows() > 0 {
                        keep(means, stage.slice_mut(s![first..first + chunk.len(), ..]))?;
                    }
                }
                tell()?;
            }
            let p = needs.monte_carlo.map_or(0.0, |monte_carlo| monte_carlo.dropout);
            for (index, &seed) in seeds.iter().enumerate() {
                let dropout = (p > 0.0).then_some(Dropout { p, seed, keys: chunk });
                let Output { logits, .. } = pass(dropout)?;
                keep(softmax(logits), draws.slice_mut(s![first..first + chunk.len(), index, ..]))?;
                tell()?;
            }
        }
        let mut signals = Signals::new(ids.to_vec());
        if with_probabilities {
            signals = signals.with_probabilities(probabilities)?;
        }
        if needs.stages {
            signals = signals.with_stages(stages.into())?;
        } else if needs.embedding {
            let [.., last] = stages;
            signals = signals.with_embedding(last)?;
        }
        if passes > 0 {
            signals = signals.with_monte_carlo(draws)?;
        }
        if needs.images {
            let shape = (ids.len(), got.channels, got.height, got.width);
            let pixels: Vec<u8> = ids.iter().flat_map(|&id| images.pixels(id)).copied().collect();
            let pixels = Array4::from_shape_vec(shape, pixels).expect("every image has the shape of its set");
            signals = signals.with_images(pixels)?;
        }
        Ok(signals)
    }
}

/// Logits [B, C] as probabilities.
fn softmax(mut logits: Array2<f32>) -> Array2<f32> {
    for mut row in logits.rows_mut() {
        let largest = row.fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        row.mapv_inplace(|z| (z - largest).exp());
        let sum = row.sum();
        row.mapv_inplace(|e| e / sum);
    }
    logits
}

/// Copies a batch's result to its rows.
pub(super) fn keep(from: Array2<f32>, mut to: ArrayViewMut2<'_, f32>) -> Result<()> {
    // Here, where it is still known that it is the network's doing.
    if let Some(value) = from.iter().find(|value| !value.is_finite()) {
        return Err(Error::input("the classifier's output is not finite")
            .expected("finite numbers")
            .got(value)
            .hint("its training went wrong without a sign: lower classifier.learning_rate")
            .into());
    }
    to.assign(&from);
    Ok(())
}
