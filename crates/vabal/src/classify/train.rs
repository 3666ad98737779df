//! The training of the classifier: one loop, on one screen.
//!
//! Never here: scoring, files, which images are labelled.

use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device as BurnDevice, Int, Tensor, TensorData};
use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use rayon::prelude::*;

use super::resnet::ResNet;
use super::{Scorer, Settings};
use crate::data::ImageSet;
use crate::data::batch::{Augmentation, Batcher, Normalisation, ranges};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::Kept;
use crate::progress::{Event, Progress, report};
use crate::rng::Seed;
use crate::{Id, Label};

/// A training from scratch: everything but the labels. Same seed, same images, same labels on the CPU:
/// the same weights, bit for bit, whatever the order of the labels and the number of threads.
#[derive(Debug, Clone, Copy)]
pub struct Training<'a> {
    /// Where the labelled images are.
    pub images: &'a ImageSet,
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
    /// Settings out of range, no label, labels that do not fit, a device that is not there, a loss that is
    /// not finite, or [`Error::Stopped`].
    pub fn fit(&self, ids: &[Id], labels: &[Label], progress: &mut Progress<'_>) -> Result<Scorer> {
        let Self { images, settings, seed, .. } = *self;
        settings.check()?;
        let pool = self.check(ids, labels)?;
        let _kept = Kept::new();
        let device = self.device.open()?.autodiff();
        let normalisation = Normalisation::of(images, ids);
        let batcher = Batcher::new(images, &normalisation);
        let augmentation = Augmentation { padding: settings.crop_padding, flip: settings.flip };
        let mut network = first_weights(images, settings, &device, seed);
        let mut optimiser = sgd(settings);
        let cross_entropy = CrossEntropyLossConfig::new().init(&device);

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
                let (ids, labels): (Vec<Id>, Vec<i64>) = pool[rows.clone()].iter().copied().unzip();
                let shape = images.shape();
                let x = batcher.augmented(&ids, augmentation, &augment, rows.start);
                let shape = [ids.len(), shape.channels, shape.height, shape.width];
                let x = Tensor::<4>::from_data(TensorData::new(x, shape), &device);
                let y = Tensor::<1, Int>::from_data(labels.as_slice(), &device);

                let seed = seed.child("step", step as u64);
                // By place in the batch, not by id: an image may have other masks in every epoch.
                let places: Vec<u64> = (0..ids.len() as u64).collect();
                // Only the logits: what holds the maps of the stages on would keep their memory from the backward pass.
                let before_stage = |stage, x| drop_out(x, settings.dropout, stage, seed, &places);
                let logits = network.forward(x, before_stage).logits;
                let loss = cross_entropy.forward(logits, y);
                let value = f64::from(loss.clone().try_into_scalar::<f32>().map_err(self.device.failed())?);
                let diverged = |loss| Error::Diverged { network: "classifier", step, learning_rate, loss };
                if !value.is_finite() {
                    return Err(diverged(value));
                }
                let gradients = GradientsParams::from_grads(loss.backward(), &network);
                network = optimiser.step(learning_rate, network, gradients);
                if step == total && !network.is_finite() {
                    return Err(diverged(f64::NAN));
                }
                let (phase, unit, loss) = ("train", "step", Some(value));
                report(progress, Event::Progress { phase, done: step, total, unit, loss })?;
            }
        }
        Ok(Scorer::freeze(&network, images, settings.clone(), normalisation, self.device))
    }

    /// The network as it is before its first step, with the normalisation of the images `ids`: its features tell images
    /// apart by texture and brightness where nothing is labelled yet.
    ///
    /// # Errors
    /// Settings out of range, ids that are not there, a device that is not there.
    pub fn untrained(&self, ids: &[Id]) -> Result<Scorer> {
        let Self { images, settings, seed, device } = *self;
        settings.check()?;
        images.check_ids(ids)?;
        let network = first_weights(images, settings, &device.open()?.autodiff(), seed);
        Ok(Scorer::freeze(&network, images, settings.clone(), Normalisation::of(images, ids), device))
    }

    /// The labelled pool by id, so that the order in which it is listed changes nothing.
    fn check(&self, ids: &[Id], labels: &[Label]) -> Result<Vec<(Id, i64)>> {
        let classes = self.images.classes().len();
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
        let mut pool: Vec<_> =
            ids.iter().copied().zip(labels.iter().map(|&label| i64::from(label))).collect();
        pool.sort_unstable();
        Ok(pool)
    }
}

/// SGD as PyTorch's `torch.optim.SGD`: the penalty joins the gradient, the gradient the momentum.
fn sgd(settings: &Settings) -> ModuleOptimizer {
    SgdConfig::new()
        .with_momentum(Some(MomentumConfig::new().with_momentum(settings.momentum).with_dampening(0.0)))
        .with_weight_decay(Some(WeightDecayConfig::new(settings.weight_decay as f32)))
        .init()
}

/// PyTorch's first weights: convolutions and the last layer uniform within ±1/√fan-in
/// (`kaiming_uniform_` with a = √5), BatchNorm 1 and 0. Every tensor has a stream of its own name.
fn first_weights(images: &ImageSet, settings: &Settings, device: &BurnDevice, seed: Seed) -> ResNet {
    let (channels, classes) = (images.shape().channels, images.classes().len());
    let fan_in_of_last = 8 * settings.width;
    let weight = |name: &str, shape: &[usize]| -> Result<Vec<f32>, std::convert::Infallible> {
        let n = shape.iter().product();
        let fan_in = match shape {
            [_, rest @ ..] if !rest.is_empty() => rest.iter().product(),
            _ if name == "fc.bias" => fan_in_of_last,
            _ if name.ends_with("weight") || name.ends_with("running_var") => return Ok(vec![1.0; n]),
            _ => return Ok(vec![0.0; n]),
        };
        let bound = 1.0 / (fan_in as f32).sqrt();
        let mut rng = seed.child("weights", 0).stream(name);
        Ok((0..n).map(|_| bound * (2.0 * rng.random::<f32>() - 1.0)).collect())
    };
    match ResNet::build(settings, channels, classes, device, weight) {
        Ok(network) => network,
        Err(never) => match never {},
    }
}

/// Zeroes each value with probability `p` and scales the others by 1 / (1 − p). Each image of the batch draws from the
/// place of its key in the stream.
pub(super) fn drop_out(x: Tensor<4>, p: f64, stage: usize, seed: Seed, keys: &[u64]) -> Tensor<4> {
    if p == 0.0 {
        return x;
    }
    let shape = x.dims();
    let kept = (1.0 / (1.0 - p)) as f32;
    let stream = seed.child("stage", stage as u64).stream("dropout");
    let mut mask = vec![0.0; shape.iter().product()];
    mask.par_chunks_mut(shape[1] * shape[2] * shape[3]).zip(keys).for_each(|(mask, &key)| {
        let mut rng = stream.clone();
        rng.set_stream(key);
        for value in mask {
            if rng.random::<f32>() >= p as f32 {
                *value = kept;
            }
        }
    });
    let device = x.device();
    x * Tensor::from_data(TensorData::new(mask, shape), &device)
}

#[cfg(test)]
mod tests {
    use burn::module::{Module, Param};

    use super::*;

    #[derive(Module, Debug)]
    struct One {
        weight: Param<Tensor<1>>,
    }

    #[test]
    fn a_step_of_sgd_is_pytorchs() {
        let settings = Settings { learning_rate: 0.1, momentum: 0.9, weight_decay: 0.5, ..Settings::paper() };
        let device = Device::Cpu.open().unwrap().autodiff();
        let mut module = One { weight: Param::from_tensor(Tensor::from_floats([2.0], &device)) };
        let mut optimiser = sgd(&settings);
        // torch.optim.SGD([2.], lr=0.1, momentum=0.9, weight_decay=0.5), three steps on the loss 3·w.
        for expected in [1.6, 0.86, -0.149] {
            let loss = module.weight.val().mul_scalar(3.0).sum();
            let gradients = GradientsParams::from_grads(loss.backward(), &module);
            module = optimiser.step(0.1, module, gradients);
            let got: f32 = module.weight.val().into_scalar();
            assert!((got - expected).abs() < 1e-6, "{got} is not {expected}");
        }
    }
}
