//! Residual networks for small images (He et al. 2016, "Deep Residual Learning", ResNet-18 and -34 with a
//! 3×3 first convolution and no max-pool), named and laid out as torchvision's.
//!
//! Never here: training, files, randomness: the caller says what every weight is.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::module::linear;
use burn::tensor::{Device, Tensor};

use super::Settings;
use super::settings::Kernels;
use crate::kernels::Vectors;
use crate::kernels::conv_norm::{self, ConvNorm, Statistics};
use crate::parameters;

/// The network. With the tensors of an autodiff device BatchNorm trains, with others it is frozen.
#[derive(Module, Debug)]
pub(super) struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm,
    layer1: Vec<Block>,
    layer2: Vec<Block>,
    layer3: Vec<Block>,
    layer4: Vec<Block>,
    fc: Linear,
    #[module(skip)]
    kernels: Kernels,
}

/// Two 3×3 convolutions and the way round them.
#[derive(Module, Debug)]
struct Block {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    downsample: Option<(Conv2d, BatchNorm)>,
}

/// A fully connected layer with its weight [out, in], as PyTorch keeps it.
#[derive(Module, Debug)]
struct Linear {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

/// What one pass gives.
pub(super) struct Output {
    /// [B, C]
    pub logits: Tensor<2>,
    /// What each of the four stages puts out, [B, width_l, H_l, W_l].
    pub stages: [Tensor<4>; 4],
}

/// Blocks of each stage.
pub(super) fn blocks(depth: usize) -> [usize; 4] {
    if depth == 34 { [3, 4, 6, 3] } else { [2, 2, 2, 2] }
}

/// The mean over each map, [B, C, H, W] to [B, C].
pub(super) fn global_average_pool(maps: Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, width] = maps.dims();
    // Channels last, as they lie in memory: no other order can be reshaped without a copy.
    let pixels = maps.permute([0, 2, 3, 1]).reshape([batch, height * width, channels]);
    pixels.mean_dim(1).reshape([batch, channels])
}

impl ResNet {
    /// A network for `channels` input channels and `classes` classes, its weights as `weight` gives them.
    ///
    /// `weight` is asked for every parameter and running statistic by its PyTorch name and shape, in the
    /// order of the network, and answers the values or breaks off.
    pub fn build<E>(
        settings: &Settings,
        channels: usize,
        classes: usize,
        device: &Device,
        weight: impl FnMut(&str, &[usize]) -> Result<Vec<f32>, E>,
    ) -> Result<Self, E> {
        let blocks = blocks(settings.depth);
        let width = settings.width;
        let stage = |l: usize| -> Vec<Block> {
            let to = width << l;
            let block = |b: usize| match (l, b) {
                (0, _) => Block::empty(to, to, 1, device),
                (_, 0) => Block::empty(to / 2, to, 2, device),
                _ => Block::empty(to, to, 1, device),
            };
            (0..blocks[l]).map(block).collect()
        };
        let empty = Self {
            conv1: conv(channels, width, 3, 1, device),
            bn1: BatchNormConfig::new(width).init(device),
            layer1: stage(0),
            layer2: stage(1),
            layer3: stage(2),
            layer4: stage(3),
            fc: Linear {
                weight: Initializer::Zeros.init([classes, 8 * width], device),
                bias: Initializer::Zeros.init([classes], device),
            },
            kernels: settings.kernels,
        };
        parameters::fill(empty, device, weight)
    }

    /// Images [B, channels, H, W] to logits and stage outputs. `before_stage` may change what enters each
    /// stage, counted from 0: dropout.
    pub fn forward(
        &self,
        images: Tensor<4>,
        mut before_stage: impl FnMut(usize, Tensor<4>) -> Tensor<4>,
    ) -> Output {
        let mut x = self.stem(images);
        let layers = [&self.layer1, &self.layer2, &self.layer3, &self.layer4];
        let mut index = 0;
        let stages = layers.map(|layer| {
            x = before_stage(index, x.clone());
            index += 1;
            for block in layer {
                x = block.forward(self.kernels, x.clone());
            }
            x.clone()
        });
        let logits = self.fc.forward(global_average_pool(x));
        Output { logits, stages }
    }

    /// What comes before the stages.
    fn stem(&self, images: Tensor<4>) -> Tensor<4> {
        let Self { conv1, bn1, kernels, .. } = self;
        if let Way::Trained(vectors) = Way::of(*kernels, bn1, &images.device()) {
            let (y, statistics) = conv_norm::train(images, conv_norm_of(conv1, bn1, vectors));
            track(bn1, statistics);
            return y;
        }
        layer(*kernels, conv1, bn1, images, None, true)
    }

    /// Every parameter and running statistic in the order of the network: PyTorch name, shape, values.
    pub fn weights(&self) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        parameters::values(self)
    }

    /// What every BatchNorm adds to a variance.
    pub fn epsilon(&self) -> f64 {
        self.bn1.epsilon
    }

    /// Whether every parameter and running statistic is finite.
    pub fn is_finite(&self) -> bool {
        self.weights().iter().all(|(_, _, values)| values.iter().all(|value| value.is_finite()))
    }
}

impl Block {
    fn empty(from: usize, to: usize, stride: usize, device: &Device) -> Self {
        let norm = || BatchNormConfig::new(to).init(device);
        Self {
            conv1: conv(from, to, 3, stride, device),
            bn1: norm(),
            conv2: conv(to, to, 3, 1, device),
            bn2: norm(),
            downsample: (from != to).then(|| (conv(from, to, 1, stride, device), norm())),
        }
    }

    fn forward(&self, kernels: Kernels, x: Tensor<4>) -> Tensor<4> {
        if let Way::Trained(vectors) = Way::of(kernels, &self.bn1, &x.device()) {
            let of = |(conv, norm)| conv_norm_of(conv, norm, vectors);
            let shortcut = self.downsample.as_ref().map(|(conv, norm)| of((conv, norm)));
            let (first, second) = (of((&self.conv1, &self.bn1)), of((&self.conv2, &self.bn2)));
            let (y, statistics) = conv_norm::train_block(x, first, second, shortcut);
            let norms =
                [&self.bn1, &self.bn2].into_iter().chain(self.downsample.as_ref().map(|(_, norm)| norm));
            norms.zip(statistics).for_each(|(norm, of_batch)| track(norm, of_batch));
            return y;
        }
        let y = layer(kernels, &self.conv1, &self.bn1, x.clone(), None, true);
        let x = match &self.downsample {
            Some((conv, norm)) => layer(kernels, conv, norm, x, None, false),
            None => x,
        };
        layer(kernels, &self.conv2, &self.bn2, y, Some(x), true)
    }
}

/// How a layer is computed.
enum Way {
    /// By the kernels of this library, with the batch's own statistics and a gradient.
    Trained(Vectors),
    /// By the kernels of this library, with given statistics.
    Frozen(Vectors),
    /// By burn's operations, which are the definition.
    Burn,
}

impl Way {
    /// The kernels of this library where they are wanted and the tensors are on the CPU.
    fn of(kernels: Kernels, norm: &BatchNorm, device: &Device) -> Self {
        let vectors = match kernels {
            Kernels::Auto if conv_norm::on_cpu(device) => Vectors::Widest,
            Kernels::Plain if conv_norm::on_cpu(device) => Vectors::Plain,
            _ => return Self::Burn,
        };
        match device.is_autodiff() {
            false => Self::Frozen(vectors),
            true if norm.training.is_enabled() => Self::Trained(vectors),
            // A layer that is frozen while others train has no operation of ours.
            true => Self::Burn,
        }
    }
}

/// A convolution and its BatchNorm, plus `residual`, and a ReLU if there is one.
fn layer(
    kernels: Kernels,
    conv: &Conv2d,
    norm: &BatchNorm,
    x: Tensor<4>,
    residual: Option<Tensor<4>>,
    with_relu: bool,
) -> Tensor<4> {
    if let Way::Frozen(vectors) = Way::of(kernels, norm, &x.device()) {
        let statistics = [norm.running_mean.value(), norm.running_var.value()];
        return conv_norm::infer(x, conv_norm_of(conv, norm, vectors), statistics, residual, with_relu);
    }
    let y = norm.forward(conv.forward(x));
    let y = match residual {
        Some(residual) => y + residual,
        None => y,
    };
    if with_relu { relu(y) } else { y }
}

/// A convolution and its BatchNorm as the kernels take them.
fn conv_norm_of(conv: &Conv2d, norm: &BatchNorm, vectors: Vectors) -> ConvNorm {
    ConvNorm {
        weight: conv.weight.val(),
        affine: [norm.gamma.val(), norm.beta.val()],
        options: conv_norm::Options {
            stride: conv.stride[0],
            padding: padding(conv.kernel_size[0]),
            epsilon: norm.epsilon,
            vectors,
        },
    }
}

/// Moves the running statistics towards those of the batch.
fn track(norm: &BatchNorm, of_batch: Statistics) {
    for (running, of_batch) in [&norm.running_mean, &norm.running_var].into_iter().zip(of_batch) {
        let before = running.value_sync().mul_scalar(1.0 - norm.momentum);
        running.update((before + of_batch.detach().mul_scalar(norm.momentum)).detach());
    }
}

impl Linear {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        linear(x, self.weight.val().transpose(), Some(self.bias.val()))
    }
}

/// Zeros on every side, so that an image keeps its size but for the stride.
pub(super) fn padding(size: usize) -> usize {
    size / 2
}

fn conv(from: usize, to: usize, size: usize, stride: usize, device: &Device) -> Conv2d {
    let p = padding(size);
    Conv2dConfig::new([from, to], [size, size])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(p, p, p, p))
        .with_bias(false)
        .with_initializer(Initializer::Zeros)
        .init(device)
}
