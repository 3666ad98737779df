//! The training of the classifier: one loop, on one screen.
//!
//! Never here: scoring, files, which images are labelled.

use std::convert::Infallible;

use rand::RngExt as _;
use rand::seq::SliceRandom as _;

use super::{Scorer, Settings};
use crate::data::batch::{Augmentation, Batcher, Normalisation, ranges};
use crate::data::{ImageShape, Images};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::network::{Array, Batch, Dropout, Network, Sgd, Weights};
use crate::progress::{Event, Progress, report};
use crate::rng::Seed;
use crate::{Id, Label};

/// A training from scratch: everything but the labels. Same seed, same images, same labels on the
/// CPU: the same weights, bit for bit, whatever the order of the labels and the number of threads.
#[derive(Debug, Clone, Copy)]
pub struct Training<'a> {
    /// Where the labelled images are.
    pub images: &'a Images,
    /// The names of the classes; labels count them.
    pub classes: &'a [String],
    /// Network and recipe.
    pub settings: &'a Settings,
    /// Where to train; the [`Scorer`] stays there.
    pub device: Device,
    /// Where the first weights, the order, the augmentation and the dropout come from.
    pub seed: Seed,
}

impl Training<'_> {
    /// Trains on the images `ids` with their `labels`, row by row. A class may be missing.
    ///
    /// # Errors
    /// Settings out of range, no label, labels that do not fit, a device that fails, a loss that is
    /// not finite, or [`Error::Stopped`].
    pub fn fit(&self, ids: &[Id], labels: &[Label], progress: &mut Progress<'_>) -> Result<Scorer> {
        let Self { images, settings, seed, .. } = *self;
        settings.check()?;
        let pool = self.check(ids, labels)?;
        let engine = self.device.engine(settings.kernels.vectors());
        let normalisation = Normalisation::of(images, ids);
        let batcher = Batcher::new(images, &normalisation);
        let augmentation = Augmentation { padding: settings.crop_padding, flip: settings.flip };
        let (network, weights) = self.first();
        let sgd = Sgd { momentum: settings.momentum, weight_decay: settings.weight_decay };
        let mut trainer = engine.train(&network, weights, sgd)?;

        let batches = ranges(pool.len(), settings.batch);
        let epochs = settings.epochs_for(batches.len());
        let (mut step, total) = (0, epochs * batches.len());
        for epoch in 0..epochs {
            let learning_rate = settings.learning_rate_at(epoch, epochs);
            let seed = seed.child("epoch", epoch as u64);
            let augment = seed.stream("augment");
            let mut pool = pool.clone();
            pool.shuffle(&mut seed.stream("order"));
            for rows in &batches {
                step += 1;
                let (ids, labels): (Vec<Id>, Vec<Label>) = pool[rows.clone()].iter().copied().unzip();
                let ImageShape { height, width, .. } = images.shape();
                // By place in the batch, not by id: an image may have other masks in every epoch.
                let keys: Vec<u64> = (0..ids.len() as u64).collect();
                let (p, seed) = (settings.dropout, seed.child("step", step as u64));
                let dropout = (p > 0.0).then_some(Dropout { p, seed, keys: &keys });
                let pixels = batcher.augmented(&ids, augmentation, &augment, rows.start);
                let batch = Batch { images: &pixels, height, width, dropout };
                let loss = trainer.step(&batch, &labels, learning_rate)?;
                if let Some(loss) = loss.filter(|loss| !loss.is_finite()) {
                    return Err(Error::Diverged { network: "classifier", step, learning_rate, loss });
                }
                let (phase, unit) = ("train", "step");
                report(progress, Event::Progress { phase, done: step, total, unit, loss })?;
            }
        }
        let weights = trainer.weights()?;
        if !weights.iter().flatten().all(|value| value.is_finite()) {
            let learning_rate = settings.learning_rate_at(epochs - 1, epochs);
            return Err(Error::Diverged { network: "classifier", step, learning_rate, loss: f64::NAN });
        }
        Ok(self.freeze(network, weights, normalisation))
    }

    /// The network as it is before its first step, with the normalisation of the images `ids`: its
    /// features tell images apart by texture and brightness where nothing is labelled yet.
    ///
    /// # Errors
    /// Settings out of range, ids that are not there.
    pub fn untrained(&self, ids: &[Id]) -> Result<Scorer> {
        self.settings.check()?;
        self.images.check_ids(ids)?;
        let (network, weights) = self.first();
        Ok(self.freeze(network, weights, Normalisation::of(self.images, ids)))
    }

    fn freeze(&self, network: Network, weights: Weights, normalisation: Normalisation) -> Scorer {
        let Self { images, classes, settings, device, .. } = *self;
        Scorer {
            network,
            weights: weights.into(),
            settings: settings.clone(),
            shape: images.shape(),
            classes: classes.to_vec(),
            normalisation,
            device,
        }
    }

    /// PyTorch's first weights: convolutions and the last layer uniform within ±1/√fan-in
    /// (`kaiming_uniform_` with a = √5), BatchNorm 1 and 0. Every array has a stream of its own
    /// name.
    fn first(&self) -> (Network, Weights) {
        let Self { images, classes, settings, seed, .. } = *self;
        let network = settings.network(images.shape().channels, classes.len());
        let fan_in_of_last = 8 * settings.width;
        let values = |Array { name, shape }: &Array| -> Result<Vec<f32>, Infallible> {
            let n = shape.iter().product();
            let fan_in = match &**shape {
                [_, rest @ ..] if !rest.is_empty() => rest.iter().product(),
                _ if name == "fc.bias" => fan_in_of_last,
                _ if name.ends_with("weight") || name.ends_with("running_var") => return Ok(vec![1.0; n]),
                _ => return Ok(vec![0.0; n]),
            };
            let bound = 1.0 / (fan_in as f32).sqrt();
            let mut rng = seed.child("weights", 0).stream(name);
            Ok((0..n).map(|_| bound * (2.0 * rng.random::<f32>() - 1.0)).collect())
        };
        let Ok(weights) = network.weights(values);
        (network, weights)
    }

    /// The labelled pool by id, so that the order in which it is listed changes nothing.
    fn check(&self, ids: &[Id], labels: &[Label]) -> Result<Vec<(Id, Label)>> {
        let classes = self.classes.len();
        if ids.len() != labels.len() {
            return Err(Error::input("ids and labels disagree")
                .expected(format!("{} labels, one per id", ids.len()))
                .got(format!("{} labels", labels.len()))
                .into());
        }
        if ids.is_empty() {
            return Err(Error::input("there is no labelled image to train on")
                .expected("at least one")
                .hint("label some images first, or start from a random pool")
                .into());
        }
        self.images.check_ids(ids)?;
        if let Some(row) = labels.iter().position(|&label| label as usize >= classes) {
            return Err(Error::input("label out of range")
                .at(format!("id {}", ids[row]))
                .expected(format!("0 to {}", classes - 1))
                .got(labels[row])
                .into());
        }
        let mut pool: Vec<_> = ids.iter().copied().zip(labels.iter().copied()).collect();
        pool.sort_unstable();
        Ok(pool)
    }
}
