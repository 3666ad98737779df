//! Convolution, batch normalisation, an addition and a ReLU as one operation of the CPU, with a backward pass of
//! its own: what a residual network is made of.
//!
//! Tensors have the shape [B, C, H, W] that every other operation of burn expects, and lie in memory channels-last:
//! the next of these operations reads them as they are, any other through their strides. Never here: a
//! network, the update of running statistics.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, Dispatch, DispatchDevice, ExtensionType, Flex, backend_extension,
};
use burn::tensor::{Bytes, DType, Device, Shape, Tensor};
use rayon::prelude::*;

use super::buffers;
use super::conv::{self, Geometry};
use super::norm::{self, Affine, Back, Gradient};
use super::vectors::Vectors;

/// What the operation is told besides its tensors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Options {
    pub stride: usize,
    pub padding: usize,
    /// Added to the variance.
    pub epsilon: f64,
    pub relu: bool,
    pub vectors: Vectors,
}

/// Whether tensors of this device can be worked on here.
pub(crate) fn on_cpu(device: &Device) -> bool {
    matches!(device.as_dispatch().clone().inner(), DispatchDevice::Flex(_))
}

/// `batch_norm(conv(x, weight)) + residual`, and a ReLU where the options say so, with the statistics of the batch: the output [B, to, H', W'], and the
/// mean and the (biased) variance [to] of what was normalised.
///
/// # Panics
/// With tensors of another device than the CPU, or of shapes that do not fit.
pub(crate) fn train(
    x: Tensor<4>,
    weight: Tensor<4>,
    affine: [Tensor<1>; 2],
    residual: Option<Tensor<4>>,
    options: Options,
) -> (Tensor<4>, [Tensor<1>; 2]) {
    let (y, mean, variance) = <Dispatch as ConvNormTrain>::conv_norm_train(
        x.into_dispatch(),
        learnt(weight, affine),
        residual.map_or(Residual::None, |residual| Residual::Added(residual.into_dispatch())),
        options,
    );
    (Tensor::from_dispatch(y), [Tensor::from_dispatch(mean), Tensor::from_dispatch(variance)])
}

/// The same with given statistics, and without a gradient.
///
/// # Panics
/// As [`train`].
pub(crate) fn infer(
    x: Tensor<4>,
    weight: Tensor<4>,
    affine: [Tensor<1>; 2],
    [mean, variance]: [Tensor<1>; 2],
    residual: Option<Tensor<4>>,
    options: Options,
) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as ConvNormInfer>::conv_norm_infer(
        x.into_dispatch(),
        learnt(weight, affine),
        mean.into_dispatch(),
        variance.into_dispatch(),
        residual.map_or(Residual::None, |residual| Residual::Added(residual.into_dispatch())),
        options,
    ))
}

/// What is learnt: [to, from, k, k], [to], [to].
#[derive(ExtensionType)]
pub(crate) struct Learnt<B: Backend> {
    weight: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
}

/// The same of tensors of any device.
fn learnt(weight: Tensor<4>, [gamma, beta]: [Tensor<1>; 2]) -> Learnt<Dispatch> {
    Learnt { weight: weight.into_dispatch(), gamma: gamma.into_dispatch(), beta: beta.into_dispatch() }
}

/// What is added before the ReLU.
#[derive(ExtensionType)]
pub(crate) enum Residual<B: Backend> {
    Added(FloatTensor<B>),
    None,
}

impl<B: Backend> Residual<B> {
    fn added(self) -> Option<FloatTensor<B>> {
        match self {
            Residual::Added(tensor) => Some(tensor),
            Residual::None => None,
        }
    }
}

#[backend_extension(Flex, Autodiff)]
pub(crate) trait ConvNormTrain: Backend {
    fn conv_norm_train(
        x: FloatTensor<Self>,
        #[extension_type] learnt: Learnt<Self>,
        #[extension_type] residual: Residual<Self>,
        options: Options,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

#[backend_extension(Flex)]
pub(crate) trait ConvNormInfer: Backend {
    fn conv_norm_infer(
        x: FloatTensor<Self>,
        #[extension_type] learnt: Learnt<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        #[extension_type] residual: Residual<Self>,
        options: Options,
    ) -> FloatTensor<Self>;
}

impl ConvNormInfer for Flex {
    fn conv_norm_infer(
        x: FlexTensor,
        Learnt { weight, gamma, beta }: Learnt<Self>,
        mean: FlexTensor,
        variance: FlexTensor,
        residual: Residual<Self>,
        options: Options,
    ) -> FlexTensor {
        let Options { epsilon, relu, vectors, .. } = options;
        let geometry = geometry(&x, &weight, options);
        let (x, weight) = (channels_last(x), weight.to_contiguous());
        let (gamma, variance) = (values(&gamma), values(&variance));
        let scale = gamma
            .iter()
            .zip(&variance)
            .map(|(g, v)| (f64::from(*g) / (f64::from(*v) + epsilon).sqrt()) as f32);
        let affine = Affine { mean: values(&mean), scale: scale.collect(), shift: values(&beta) };
        let residual = residual.added();
        check(&geometry, &[&affine.mean, &gamma, &affine.shift, &variance], residual.as_ref());
        let residual = residual.map(channels_last);
        let map = geometry.map();
        let mut y = buffers::take(geometry.batch * map);
        conv::forward(
            vectors,
            &geometry,
            x.storage(),
            weight.storage(),
            &mut y,
            &mut [],
            |image, plane, _| {
                let residual = residual.as_ref().map(|all| &all.storage()[image * map..(image + 1) * map]);
                norm::normalise(vectors, &affine, None, residual, relu, plane);
            },
        );
        buffers::reclaim(x);
        residual.into_iter().for_each(buffers::reclaim);
        maps(y, &geometry)
    }
}

impl ConvNormTrain for Flex {
    fn conv_norm_train(
        x: FlexTensor,
        learnt: Learnt<Self>,
        residual: Residual<Self>,
        options: Options,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let (y, [mean, variance], _) = forward(x, learnt, residual.added(), options);
        (y, mean, variance)
    }
}

type AutodiffTensor<B> = FloatTensor<Autodiff<B>>;

impl<C: CheckpointStrategy> ConvNormTrain for Autodiff<Flex, C> {
    fn conv_norm_train(
        x: FloatTensor<Self>,
        Learnt { weight, gamma, beta }: Learnt<Self>,
        residual: Residual<Self>,
        options: Options,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let input = x.clone();
        let ((x, of_x), (weight, of_weight)) = (x.into_parts(), weight.into_parts());
        let ((gamma, of_gamma), (beta, of_beta)) = (gamma.into_parts(), beta.into_parts());
        let (residual, of_residual) = residual.added().map(AutodiffTensor::into_parts).unzip();
        let (y, statistics, saved) = forward(x, Learnt { weight, gamma, beta }, residual, options);
        let saved = Recorded { saved, input };
        // How many inputs there are is part of the type of a step.
        let y = match of_residual {
            None => record::<C, 4>([of_x, of_weight, of_gamma, of_beta], saved, y),
            Some(of_residual) => record::<C, 5>([of_x, of_weight, of_gamma, of_beta, of_residual], saved, y),
        };
        let [mean, variance] = statistics.map(<Self as AutodiffBackend>::from_inner);
        (y, mean, variance)
    }
}

/// Enters the output into the graph, if one of the inputs is to have a gradient.
fn record<C: CheckpointStrategy, const N: usize>(
    inputs: [NodeGuard; N],
    saved: Recorded,
    y: FlexTensor,
) -> AutodiffTensor<Flex> {
    match Step.prepare::<C>(inputs).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(saved, y),
        OpsKind::UnTracked(prep) => prep.finish(y),
    }
}

/// The backward pass, of 4 inputs or, with a residual, of 5.
#[derive(Debug)]
struct Step;

impl<const N: usize> Backward<Flex, N> for Step {
    type State = Recorded;

    fn backward(self, ops: Ops<Recorded, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let dy = gradients.consume::<Flex>(&ops.node);
        let wanted = |input: usize| ops.parents.get(input).is_some_and(Option::is_some);
        let Recorded { saved, input } = ops.state;
        // What the input's other readers found out about it. burn would add it in a pass of its own, on one thread.
        let before = wanted(0).then(|| gradients.remove::<Flex>(&input)).flatten();
        drop(input);
        let of_inputs = saved.backward(dy, wanted(0).then_some(before), wanted(4));
        for (input, gradient) in ops.parents.into_iter().zip(of_inputs) {
            if let (Some(input), Some(gradient)) = (input, gradient) {
                gradients.register::<Flex>(input.id, gradient);
            }
        }
    }
}

/// What is kept in the graph.
#[derive(Debug, Clone)]
struct Recorded {
    saved: Saved,
    /// The input, to ask for its gradient by.
    input: AutodiffTensor<Flex>,
}

/// What the backward pass needs of the forward pass.
#[derive(Debug, Clone)]
struct Saved {
    geometry: Geometry,
    options: Options,
    x: FlexTensor,
    weight: FlexTensor,
    /// What the convolution put out, channels-last.
    convolved: Arc<Vec<f32>>,
    /// The output, where ReLU decided what flows back.
    y: Option<FlexTensor>,
    affine: Arc<Affine>,
    /// 1 / √(variance + ε), per channel.
    inverse: Arc<Vec<f32>>,
}

fn forward(
    x: FlexTensor,
    Learnt { weight, gamma, beta }: Learnt<Flex>,
    residual: Option<FlexTensor>,
    options: Options,
) -> (FlexTensor, [FlexTensor; 2], Saved) {
    let Options { epsilon, relu, vectors, .. } = options;
    let geometry = geometry(&x, &weight, options);
    let (x, weight) = (channels_last(x), weight.to_contiguous());
    let (map, to) = (geometry.map(), geometry.to);
    let mut convolved = buffers::take(geometry.batch * map);
    let mut moments = vec![0.0; geometry.batch * 2 * to];
    conv::forward(
        vectors,
        &geometry,
        x.storage(),
        weight.storage(),
        &mut convolved,
        &mut moments,
        |_, plane, moments| norm::moments(vectors, plane, moments),
    );
    let (mean, variance) = over_batch(&moments, to, map / to);
    let inverse: Vec<f32> = variance.iter().map(|v| (1.0 / (v + epsilon).sqrt()) as f32).collect();
    let mean: Vec<f32> = mean.iter().map(|&m| m as f32).collect();
    let variance: Vec<f32> = variance.iter().map(|&v| v as f32).collect();
    let gamma = values(&gamma);
    let scale = gamma.iter().zip(&inverse).map(|(gamma, inverse)| gamma * inverse).collect();
    let affine = Affine { mean: mean.clone(), scale, shift: values(&beta) };

    check(&geometry, &[&gamma, &affine.shift], residual.as_ref());
    let residual = residual.map(channels_last);
    let mut y = buffers::take(geometry.batch * map);
    y.par_chunks_exact_mut(map).zip(convolved.par_chunks_exact(map)).enumerate().for_each(
        |(image, (y, from))| {
            let residual = residual.as_ref().map(|all| &all.storage()[image * map..(image + 1) * map]);
            norm::normalise(vectors, &affine, Some(from), residual, relu, y);
        },
    );
    let y = maps(y, &geometry);
    let saved = Saved {
        geometry,
        options,
        x,
        weight,
        convolved: Arc::new(convolved),
        y: relu.then(|| y.clone()),
        affine: Arc::new(affine),
        inverse: Arc::new(inverse),
    };
    (y, [vector(mean), vector(variance)], saved)
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

impl Saved {
    /// The gradients of x, weight, gamma, beta and the residual, from that of the output. That of x, if it is
    /// wanted, with what is there of it already.
    fn backward(
        self,
        dy: FlexTensor,
        of_x: Option<Option<FlexTensor>>,
        of_residual: bool,
    ) -> [Option<FlexTensor>; 5] {
        let Self { geometry, options: Options { vectors, .. }, affine, inverse, .. } = self;
        let (map, to) = (geometry.map(), geometry.to);
        let mut dy = channels_last(dy);
        let convolved = Arc::unwrap_or_clone(self.convolved);
        let y = self.y.as_ref().map(FlexTensor::storage::<f32>);
        let back = |image: usize| {
            let part = image * map..(image + 1) * map;
            let dy = &dy.storage()[part.clone()];
            Back { dy, y: y.map(|y| &y[part.clone()]), x: &convolved[part] }
        };
        let mut sums = vec![0.0; geometry.batch * 2 * to];
        sums.par_chunks_exact_mut(2 * to).enumerate().for_each(|(image, sums)| {
            norm::gradient_sums(vectors, back(image), &affine.mean, sums);
        });
        let mut total = vec![0.0_f64; 2 * to];
        for sums in sums.chunks_exact(2 * to) {
            for (total, &sum) in total.iter_mut().zip(sums) {
                *total += f64::from(sum);
            }
        }
        let (plain, weighted) = total.split_at(to);
        let dgamma: Vec<f32> =
            weighted.iter().zip(&*inverse).map(|(w, &i)| (w * f64::from(i)) as f32).collect();
        let dbeta = plain.iter().map(|&sum| sum as f32).collect();
        // The batch's own mean and variance depend on every value: what that takes off again.
        let count = (geometry.batch * map / to) as f64;
        let shift: Vec<f32> =
            plain.iter().zip(&affine.scale).map(|(sum, &a)| (-f64::from(a) * sum / count) as f32).collect();
        let slope: Vec<f32> = dgamma
            .iter()
            .zip(&affine.scale)
            .zip(&*inverse)
            .map(|((&dgamma, &a), &i)| (-f64::from(a) * f64::from(i) * f64::from(dgamma) / count) as f32)
            .collect();
        // In the place of what was normalised; and the gradient of the residual in that of the output's.
        let mut dc = convolved;
        let gradients: Vec<Gradient<'_>> = match of_residual {
            true => dy.storage_mut().chunks_exact_mut(map).map(Gradient::Passed).collect(),
            false => dy.storage().chunks_exact(map).map(Gradient::Read).collect(),
        };
        dc.par_chunks_exact_mut(map).zip(gradients).enumerate().for_each(|(image, (dc, dy))| {
            let y = y.map(|y| &y[image * map..(image + 1) * map]);
            norm::input_gradient(vectors, dy, y, &affine, [&slope, &shift], dc);
        });

        let mut dw = vec![0.0; geometry.weight()];
        conv::weight_gradient(vectors, &geometry, self.x.storage(), &dc, &mut dw);
        let dx = of_x.map(|before| {
            let mut dx = buffers::take(geometry.batch * geometry.image());
            let before = before.map(channels_last);
            let plus = before.as_ref().map(FlexTensor::storage);
            conv::input_gradient(vectors, &geometry, &dc, self.weight.storage(), plus, &mut dx);
            before.into_iter().for_each(buffers::reclaim);
            let Geometry { batch, height, width, from, .. } = geometry;
            tensor(dx, [batch, from, height, width])
        });
        buffers::give(dc);
        self.y.into_iter().for_each(buffers::reclaim);
        buffers::reclaim(self.x);
        let dresidual = match of_residual {
            true => Some(dy),
            false => {
                buffers::reclaim(dy);
                None
            }
        };
        let shape = self.weight.layout().shape().clone();
        let dw = FlexTensor::new(Bytes::from_elems(dw), Layout::contiguous(shape), DType::F32);
        [dx, Some(dw), Some(vector(dgamma)), Some(vector(dbeta)), dresidual]
    }
}

/// Asserts that what belongs to the output has its shape.
fn check(geometry: &Geometry, of_channels: &[&[f32]], residual: Option<&FlexTensor>) {
    let (height, width) = geometry.out();
    let map = [geometry.batch, geometry.to, height, width];
    assert!(of_channels.iter().all(|values| values.len() == geometry.to), "one value per output channel");
    assert!(
        residual.is_none_or(|residual| dims(residual) == map),
        "a residual of the shape of the output, {map:?}"
    );
}

fn geometry(x: &FlexTensor, weight: &FlexTensor, options: Options) -> Geometry {
    let [batch, from, height, width] = dims(x);
    let [to, weight_from, size, columns] = dims(weight);
    assert!(
        from == weight_from && size == columns,
        "a weight of {:?} for images of {:?}",
        dims(weight),
        dims(x)
    );
    let Options { stride, padding, .. } = options;
    Geometry { batch, height, width, from, to, size, stride, padding }
}

fn dims(tensor: &FlexTensor) -> [usize; 4] {
    let shape = tensor.layout().shape();
    std::array::from_fn(|axis| shape[axis])
}

/// A tensor [B, C, H, W] of values that lie as [B, H, W, C].
fn tensor(values: Vec<f32>, shape: [usize; 4]) -> FlexTensor {
    let layout = Layout::new(Shape::from(shape), strides(shape).to_vec(), 0);
    FlexTensor::new(Bytes::from_elems(values), layout, DType::F32)
}

/// The output of a convolution as a tensor.
fn maps(values: Vec<f32>, geometry: &Geometry) -> FlexTensor {
    let (height, width) = geometry.out();
    tensor(values, [geometry.batch, geometry.to, height, width])
}

fn vector(values: Vec<f32>) -> FlexTensor {
    let layout = Layout::contiguous(Shape::from([values.len()]));
    FlexTensor::new(Bytes::from_elems(values), layout, DType::F32)
}

fn values(tensor: &FlexTensor) -> Vec<f32> {
    tensor.to_contiguous().storage().to_vec()
}

/// The strides of [B, C, H, W] when it lies channels-last.
fn strides([_, channels, height, width]: [usize; 4]) -> [isize; 4] {
    [height * width * channels, 1, width * channels, channels].map(|stride| stride as isize)
}

/// The same tensor, channels-last and nothing but it in memory. Copies what lies otherwise.
fn channels_last(t: FlexTensor) -> FlexTensor {
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
