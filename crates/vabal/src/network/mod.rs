//! The network of the classifier, as data, and what an engine does with it: train and score.
//!
//! A residual network for small images (He et al. 2016, "Deep Residual Learning", ResNet-18 and -34
//! with a 3×3 first convolution and no max-pool), named and laid out as torchvision's. Every engine
//! reads the same description: that of [`cpu`] computes with the kernels of this library, that of
//! [`torch`] with the PyTorch of the user. Never here: settings, files, images, randomness but that
//! of dropout.

pub(crate) mod cpu;
#[cfg(test)]
mod definition;
#[cfg(test)]
mod tests;
pub(crate) mod torch;

use ndarray::Array2;
use rand::RngExt as _;
use rayon::prelude::*;

use crate::Label;
use crate::error::Result;
use crate::rng::Seed;

/// Stages of blocks, each but the first half as high and wide and with twice the channels.
pub(crate) const STAGES: usize = 4;

/// The values of every array of a network, in the order of [`Network::arrays`].
pub(crate) type Weights = Vec<Vec<f32>>;

/// A residual network: what is computed in what order, and where each layer's arrays are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Network {
    /// Every parameter and running statistic.
    pub arrays: Vec<Array>,
    /// The first convolution.
    pub stem: Layer,
    pub stages: [Vec<Block>; STAGES],
    /// The index of the last layer's weight [classes, 8 · width]; its bias [classes] is behind it.
    pub head: usize,
}

/// An array as PyTorch names and shapes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Array {
    pub name: String,
    pub shape: Vec<usize>,
}

/// A convolution without a bias, padded so that an image keeps its size but for the stride, and the
/// BatchNorm behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layer {
    pub from: usize,
    pub to: usize,
    /// Rows, and columns, of the kernel.
    pub size: usize,
    pub stride: usize,
    /// The index of the weight [to, from, size, size]. Gamma, beta, running mean and running
    /// variance, [to] each, follow.
    pub weight: usize,
}

impl Layer {
    /// Zeros on every side.
    pub fn padding(&self) -> usize {
        self.size / 2
    }
}

/// Two layers and the way round them: `relu(second(relu(first(x))) + shortcut(x))`, or `+ x` where
/// there is no shortcut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    pub first: Layer,
    pub second: Layer,
    pub shortcut: Option<Layer>,
}

impl Network {
    /// A ResNet of 18 or 34 layers, for images of `channels`.
    pub fn resnet(depth: usize, width: usize, channels: usize, classes: usize) -> Self {
        let mut arrays = Vec::new();
        let stem = layer(&mut arrays, ["conv1", "bn1"], [channels, width, 3, 1]);
        let blocks: [usize; STAGES] = if depth == 34 { [3, 4, 6, 3] } else { [2, 2, 2, 2] };
        let mut from = width;
        let stages = std::array::from_fn(|stage| {
            let to = width << stage;
            let block = |block: usize| {
                let names = |conv: &str, norm: &str| {
                    [conv, norm].map(|part| format!("layer{}.{block}.{part}", stage + 1))
                };
                let mut add = |conv, norm, shape| {
                    let [conv, norm] = names(conv, norm);
                    layer(&mut arrays, [&conv, &norm], shape)
                };
                let stride = if from == to { 1 } else { 2 };
                let first = add("conv1", "bn1", [from, to, 3, stride]);
                let second = add("conv2", "bn2", [to, to, 3, 1]);
                let shortcut =
                    (from != to).then(|| add("downsample.0", "downsample.1", [from, to, 1, stride]));
                from = to;
                Block { first, second, shortcut }
            };
            (0..blocks[stage]).map(block).collect()
        });
        let head = arrays.len();
        arrays.push(Array { name: "fc.weight".into(), shape: vec![classes, from] });
        arrays.push(Array { name: "fc.bias".into(), shape: vec![classes] });
        Self { arrays, stem, stages, head }
    }

    /// The values that `of` gives each array.
    ///
    /// # Errors
    /// What `of` says.
    pub fn weights<E>(&self, of: impl FnMut(&Array) -> Result<Vec<f32>, E>) -> Result<Weights, E> {
        self.arrays.iter().map(of).collect()
    }

    /// Channels of an image.
    pub fn channels(&self) -> usize {
        self.stem.from
    }
}

/// A layer with its arrays added to those there are; `[from, to, size, stride]`.
fn layer(arrays: &mut Vec<Array>, [conv, norm]: [&str; 2], [from, to, size, stride]: [usize; 4]) -> Layer {
    let weight = arrays.len();
    arrays.push(Array { name: format!("{conv}.weight"), shape: vec![to, from, size, size] });
    for part in ["weight", "bias", "running_mean", "running_var"] {
        arrays.push(Array { name: format!("{norm}.{part}"), shape: vec![to] });
    }
    Layer { from, to, size, stride, weight }
}

/// What computes networks: a device with its operations.
pub(crate) trait Engine: std::fmt::Debug {
    /// A training of `network` that starts from `weights`.
    ///
    /// # Errors
    /// A device that fails.
    fn train(&self, network: &Network, weights: Weights, sgd: Sgd) -> Result<Box<dyn Trainer>>;

    /// `network` in evaluation mode: BatchNorm has its running statistics.
    ///
    /// # Errors
    /// A device that fails.
    fn freeze<'a>(&self, network: &'a Network, weights: &'a Weights) -> Result<Box<dyn Frozen + 'a>>;
}

/// A network in training.
pub(crate) trait Trainer {
    /// One step on the mean cross-entropy of a batch and its labels, which are below the number of
    /// classes. Returns the loss before the step, or nothing where the device would have to be
    /// waited for.
    ///
    /// # Errors
    /// A device that fails.
    fn step(&mut self, batch: &Batch<'_>, labels: &[Label], learning_rate: f64) -> Result<Option<f64>>;

    /// The values as they are now.
    ///
    /// # Errors
    /// A device that fails.
    fn weights(&self) -> Result<Weights>;
}

/// A network in evaluation mode.
pub(crate) trait Frozen {
    /// # Errors
    /// A device that fails.
    fn forward(&self, batch: &Batch<'_>) -> Result<Output>;
}

/// What one pass gives.
pub(crate) struct Output {
    /// [B, C]
    pub logits: Array2<f32>,
    /// The mean over each map that a stage puts out, [B, width_l].
    pub stages: [Array2<f32>; STAGES],
}

/// Images as a network takes them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch<'a> {
    /// [B, channels, height, width]
    pub images: &'a [f32],
    pub height: usize,
    pub width: usize,
    pub dropout: Option<Dropout<'a>>,
}

/// Values dropped before each stage: zeroed with probability `p`, the others scaled by 1 / (1 − p).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dropout<'a> {
    pub p: f64,
    pub seed: Seed,
    /// The place of each image of the batch in the stream.
    pub keys: &'a [u64],
}

impl Dropout<'_> {
    /// What the maps before a stage are multiplied with, [B, H, W, C], where an image has `n`
    /// values.
    pub fn mask(&self, stage: usize, n: usize) -> Vec<f32> {
        let kept = (1.0 / (1.0 - self.p)) as f32;
        let stream = self.seed.child("stage", stage as u64).stream("dropout");
        let mut mask = vec![0.0; self.keys.len() * n];
        mask.par_chunks_mut(n.max(1)).zip(self.keys).for_each(|(mask, &key)| {
            let mut rng = stream.clone();
            rng.set_stream(key);
            for value in mask {
                if rng.random::<f32>() >= self.p as f32 {
                    *value = kept;
                }
            }
        });
        mask
    }
}

/// Stochastic gradient descent as PyTorch's `torch.optim.SGD`: the penalty joins the gradient, the
/// gradient the velocity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sgd {
    pub momentum: f64,
    pub weight_decay: f64,
}
