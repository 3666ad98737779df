//! One convolution and its batch normalisation on arrays: forward, and backward step by step, so that whoever joins
//! layers says what is kept between the two.
//!
//! Never here: a graph of gradients.

use burn::backend::Flex;
use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{Bytes, DType, Shape};
use rayon::prelude::*;

use super::super::buffers;
use super::super::conv::{self, Geometry, Source};
use super::super::norm::{self, Affine, Cut, Gradient};
use super::super::vectors::Vectors;
use super::{Learnt, Options};

/// What came out of a convolution, and what its normalisation with the batch's own statistics does to it.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub geometry: Geometry,
    vectors: Vectors,
    weight: FlexTensor,
    /// [B, H', W', to]
    convolved: Vec<f32>,
    pub affine: Affine,
    /// 1 / √(variance + ε), [to]
    inverse: Vec<f32>,
    /// The (biased) variance of what was normalised, [to].
    pub variance: Vec<f32>,
}

/// The gradients of a layer's weight [to, from, k, k], gamma [to] and beta [to].
pub(super) struct OfLearnt {
    pub weight: FlexTensor,
    pub gamma: FlexTensor,
    pub beta: FlexTensor,
}

impl Layer {
    /// Convolves `x`, of the given shape [B, C, H, W], and takes the statistics.
    pub fn forward(shape: [usize; 4], x: Source<'_>, learnt: Learnt<Flex>) -> Self {
        let Learnt { weight, gamma, beta, options } = learnt;
        let Options { epsilon, vectors, .. } = options;
        let geometry = geometry(shape, &weight, options);
        let weight = weight.to_contiguous();
        let (map, to) = (geometry.map(), geometry.to);
        let mut convolved = buffers::take(geometry.batch * map);
        let mut moments = vec![0.0; geometry.batch * 2 * to];
        conv::forward(
            vectors,
            &geometry,
            x,
            weight.storage(),
            &mut convolved,
            &mut moments,
            |_, plane, moments| norm::moments(vectors, plane, moments),
        );
        let (mean, variance) = over_batch(&moments, to, map / to);
        let inverse: Vec<f32> = variance.iter().map(|v| (1.0 / (v + epsilon).sqrt()) as f32).collect();
        let gamma = values(&gamma);
        let affine = Affine {
            mean: mean.iter().map(|&m| m as f32).collect(),
            scale: gamma.iter().zip(&inverse).map(|(gamma, inverse)| gamma * inverse).collect(),
            shift: values(&beta),
        };
        check(&geometry, [&gamma, &affine.shift]);
        let variance = variance.iter().map(|&v| v as f32).collect();
        Self { geometry, vectors, weight, convolved, affine, inverse, variance }
    }

    /// The output, normalised and cut by a ReLU wherever it is read.
    pub fn activated(&self) -> Source<'_> {
        Source { values: &self.convolved, activated: Some(&self.affine) }
    }

    /// The output: normalised, `residual` added, and with `relu` cut off below zero.
    pub fn normalised(&self, residual: Option<&[f32]>, relu: bool) -> Vec<f32> {
        let map = self.geometry.map();
        let mut y = buffers::take(self.convolved.len());
        y.par_chunks_exact_mut(map).zip(self.convolved.par_chunks_exact(map)).enumerate().for_each(
            |(image, (y, from))| {
                let residual = residual.map(|all| &all[image * map..(image + 1) * map]);
                norm::normalise(self.vectors, &self.affine, Some(from), residual, relu, y);
            },
        );
        y
    }

    /// Room for the [`Self::gradient_sums`].
    pub fn empty_sums(&self) -> Vec<f32> {
        vec![0.0; self.geometry.batch * 2 * self.geometry.to]
    }

    /// What [`norm::gradient_sums`] says of every image, [B, 2, to].
    pub fn gradient_sums(&self, dy: &[f32], cut: Cut<'_>) -> Vec<f32> {
        let mut sums = self.empty_sums();
        let (map, of_image) = (self.geometry.map(), 2 * self.geometry.to);
        sums.par_chunks_exact_mut(of_image).zip(dy.par_chunks_exact(map)).enumerate().for_each(
            |(image, (sums, dy))| {
                self.gradient_sums_of(image, dy, cut.part(image * map..(image + 1) * map), sums)
            },
        );
        sums
    }

    /// The same of one image, with that image's part of everything.
    pub fn gradient_sums_of(&self, image: usize, dy: &[f32], cut: Cut<'_>, sums: &mut [f32]) {
        let x = &self.convolved[image * dy.len()..(image + 1) * dy.len()];
        norm::gradient_sums(self.vectors, dy, x, cut, &self.affine, sums);
    }

    /// Back through the normalisation, from the gradient of the output, which becomes that of what was added to it where `passed` says
    /// so, to that of the convolution's outcome, which takes the place of that outcome.
    pub fn through_norm(mut self, dy: &mut [f32], passed: bool, cut: Cut<'_>, sums: &[f32]) -> Back {
        let (map, to) = (self.geometry.map(), self.geometry.to);
        let mut total = vec![0.0_f64; 2 * to];
        for sums in sums.chunks_exact(2 * to) {
            for (total, &sum) in total.iter_mut().zip(sums) {
                *total += f64::from(sum);
            }
        }
        let (plain, weighted) = total.split_at(to);
        let dgamma: Vec<f32> =
            weighted.iter().zip(&self.inverse).map(|(w, &i)| (w * f64::from(i)) as f32).collect();
        let dbeta = plain.iter().map(|&sum| sum as f32).collect();
        // The batch's own mean and variance depend on every value: what that takes off again.
        let count = (self.geometry.batch * map / to) as f64;
        let scale = &self.affine.scale;
        let shift: Vec<f32> =
            plain.iter().zip(scale).map(|(sum, &a)| (-f64::from(a) * sum / count) as f32).collect();
        let slope: Vec<f32> = dgamma
            .iter()
            .zip(scale)
            .zip(&self.inverse)
            .map(|((&dgamma, &a), &i)| (-f64::from(a) * f64::from(i) * f64::from(dgamma) / count) as f32)
            .collect();
        let gradients: Vec<Gradient<'_>> = match passed {
            true => dy.chunks_exact_mut(map).map(Gradient::Passed).collect(),
            false => dy.chunks_exact(map).map(Gradient::Read).collect(),
        };
        self.convolved.par_chunks_exact_mut(map).zip(gradients).enumerate().for_each(|(image, (x, dy))| {
            let cut = cut.part(image * map..(image + 1) * map);
            norm::input_gradient(self.vectors, dy, cut, &self.affine, [&slope, &shift], x);
        });
        let Self { geometry, vectors, weight, convolved, .. } = self;
        Back { geometry, vectors, weight, dc: convolved, gamma: vector(dgamma), beta: vector(dbeta) }
    }
}

/// A layer on the way back, before its convolution.
pub(super) struct Back {
    geometry: Geometry,
    vectors: Vectors,
    weight: FlexTensor,
    /// The gradient of the convolution's outcome, [B, H', W', to].
    dc: Vec<f32>,
    gamma: FlexTensor,
    beta: FlexTensor,
}

impl Back {
    /// The gradient of the weight where `x` was convolved.
    pub fn of_weight(&self, x: Source<'_>) -> FlexTensor {
        let mut dw = vec![0.0; self.geometry.weight()];
        conv::weight_gradient(self.vectors, &self.geometry, x, &self.dc, &mut dw);
        let shape = self.weight.layout().shape().clone();
        FlexTensor::new(Bytes::from_elems(dw), Layout::contiguous(shape), DType::F32)
    }

    /// The gradient of the input, [B, H, W, from]. `notes` and `finish` as for [`conv::forward`].
    pub fn of_input(
        &self,
        notes: &mut [f32],
        finish: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
    ) -> Vec<f32> {
        let g = &self.geometry;
        let mut dx = buffers::take(g.batch * g.image());
        conv::input_gradient(self.vectors, g, &self.dc, self.weight.storage(), &mut dx, false, notes, finish);
        dx
    }

    /// Adds the gradient of the input to what else is known of it.
    pub fn add_of_input(&self, dx: &mut [f32]) {
        let (g, weight) = (&self.geometry, self.weight.storage());
        conv::input_gradient(self.vectors, g, &self.dc, weight, dx, true, &mut [], |_, _, _| {});
    }

    /// Ends here, with the gradient of the weight.
    pub fn end(self, weight: FlexTensor) -> OfLearnt {
        buffers::give(self.dc);
        OfLearnt { weight, gamma: self.gamma, beta: self.beta }
    }
}

/// Mean and variance of each channel over the batch, from the images' means and sums of squared distances: [B, 2, C] to twice
/// [C].
fn over_batch(moments: &[f32], channels: usize, pixels: usize) -> (Vec<f64>, Vec<f64>) {
    let images = moments.len() / (2 * channels);
    let mut mean = vec![0.0; channels];
    let mut variance = vec![0.0; channels];
    for image in moments.chunks_exact(2 * channels) {
        for (mean, &of_image) in mean.iter_mut().zip(image) {
            *mean += f64::from(of_image) / images as f64;
        }
    }
    for image in moments.chunks_exact(2 * channels) {
        let (means, squares) = image.split_at(channels);
        for (channel, variance) in variance.iter_mut().enumerate() {
            let distance = f64::from(means[channel]) - mean[channel];
            *variance += (f64::from(squares[channel]) / pixels as f64 + distance * distance) / images as f64;
        }
    }
    (mean, variance)
}

/// Asserts that there is one value per output channel.
pub(super) fn check<const N: usize>(geometry: &Geometry, of_channels: [&[f32]; N]) {
    assert!(of_channels.iter().all(|values| values.len() == geometry.to), "one value per output channel");
}

/// The convolution of `x` with `weight` as the options have it.
pub(super) fn geometry(x: [usize; 4], weight: &FlexTensor, options: Options) -> Geometry {
    let [batch, from, height, width] = x;
    let [to, weight_from, size, columns] = dims(weight);
    assert!(from == weight_from && size == columns, "a weight of {:?} for images of {x:?}", dims(weight));
    let Options { stride, padding, .. } = options;
    Geometry { batch, height, width, from, to, size, stride, padding }
}

pub(super) fn dims(tensor: &FlexTensor) -> [usize; 4] {
    let shape = tensor.layout().shape();
    std::array::from_fn(|axis| shape[axis])
}

/// A tensor [B, C, H, W] of values that lie as [B, H, W, C].
pub(super) fn tensor(values: Vec<f32>, shape: [usize; 4]) -> FlexTensor {
    let layout = Layout::new(Shape::from(shape), strides(shape).to_vec(), 0);
    FlexTensor::new(Bytes::from_elems(values), layout, DType::F32)
}

/// The shape [B, C, H, W] of what a convolution puts out.
pub(super) fn maps(geometry: &Geometry) -> [usize; 4] {
    let (height, width) = geometry.out();
    [geometry.batch, geometry.to, height, width]
}

pub(super) fn vector(values: Vec<f32>) -> FlexTensor {
    let layout = Layout::contiguous(Shape::from([values.len()]));
    FlexTensor::new(Bytes::from_elems(values), layout, DType::F32)
}

pub(super) fn values(tensor: &FlexTensor) -> Vec<f32> {
    tensor.to_contiguous().storage().to_vec()
}

/// The strides of [B, C, H, W] when it lies channels-last.
fn strides([_, channels, height, width]: [usize; 4]) -> [isize; 4] {
    [height * width * channels, 1, width * channels, channels].map(|stride| stride as isize)
}

/// The same tensor, channels-last and nothing but it in memory. Copies what lies otherwise.
pub(super) fn channels_last(t: FlexTensor) -> FlexTensor {
    let shape = dims(&t);
    let n: usize = shape.iter().product();
    let strides_fit =
        t.layout().strides().iter().zip(strides(shape)).zip(shape).all(|((&s, e), d)| d == 1 || s == e);
    if strides_fit && t.layout().start_offset() == 0 && t.bytes().len() == n * size_of::<f32>() {
        return t;
    }
    let from = t.to_contiguous();
    let from: &[f32] = from.storage();
    let [_, channels, height, width] = shape;
    let mut values = buffers::take(n);
    if n > 0 {
        let image = channels * height * width;
        values.par_chunks_exact_mut(image).zip(from.par_chunks_exact(image)).for_each(|(to, from)| {
            for (channel, plane) in from.chunks_exact(height * width).enumerate() {
                for (to, value) in to[channel..].iter_mut().step_by(channels).zip(plane) {
                    *to = *value;
                }
            }
        });
    }
    tensor(values, shape)
}
