//! What a residual network is made of, as operations of the CPU with a backward pass of their own: a convolution with its batch
//! normalisation and a ReLU, and a block of two with the way round them.
//!
//! Tensors have the shape [B, C, H, W] that every other operation of burn expects, and lie in memory channels-last:
//! the next of these operations reads them as they are, any other through their strides. Never here: a
//! network, the update of running statistics.

mod layer;

use std::marker::PhantomData;

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

use super::buffers;
use super::conv::{self, Source};
use super::norm::{self, Affine, Cut};
use super::vectors::Vectors;
use layer::{Layer, OfLearnt, channels_last, dims, geometry, maps, tensor, values};

/// A convolution without a bias, and the batch normalisation behind it.
#[derive(Debug)]
pub(crate) struct ConvNorm {
    /// [to, from, k, k]
    pub weight: Tensor<4>,
    /// Gamma and beta, [to].
    pub affine: [Tensor<1>; 2],
    pub options: Options,
}

/// What the operation is told besides its tensors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Options {
    pub stride: usize,
    pub padding: usize,
    /// Added to the variance.
    pub epsilon: f64,
    pub vectors: Vectors,
}

/// The mean and the (biased) variance of what was normalised, [to].
pub(crate) type Statistics = [Tensor<1>; 2];

/// Whether tensors of this device can be worked on here.
pub(crate) fn on_cpu(device: &Device) -> bool {
    matches!(device.as_dispatch().clone().inner(), DispatchDevice::Flex(_))
}

/// `relu(batch_norm(conv(x)))` with the statistics of the batch: the output [B, to, H', W'], and these statistics.
///
/// # Panics
/// With tensors of another device than the CPU, or of shapes that do not fit.
pub(crate) fn train(x: Tensor<4>, layer: ConvNorm) -> (Tensor<4>, Statistics) {
    let (y, statistics) = <Dispatch as Train>::train_layer(x.into_dispatch(), layer.into());
    (Tensor::from_dispatch(y), of_layer(&Tensor::from_dispatch(statistics), 0))
}

/// A residual block (He et al. 2016) with the statistics of the batch: `relu(second(relu(first(x))) + shortcut(x))`, each a convolution and its
/// normalisation, or `x` itself where there is no `shortcut`. The statistics are those of `first`, `second` and `shortcut`.
///
/// Nothing is kept of what lies between the two but what came out of the first convolution, which is normalised and cut again
/// wherever it is read.
///
/// # Panics
/// As [`train`].
pub(crate) fn train_block(
    x: Tensor<4>,
    first: ConvNorm,
    second: ConvNorm,
    shortcut: Option<ConvNorm>,
) -> (Tensor<4>, Vec<Statistics>) {
    let (y, statistics) = <Dispatch as Train>::train_block(
        x.into_dispatch(),
        first.into(),
        second.into(),
        shortcut.map_or(Shortcut::Nothing, |shortcut| Shortcut::Layer(shortcut.into())),
    );
    let statistics = Tensor::from_dispatch(statistics);
    let [layers, _, _] = statistics.dims();
    (Tensor::from_dispatch(y), (0..layers).map(|layer| of_layer(&statistics, layer)).collect())
}

/// `batch_norm(conv(x)) + residual`, and with `relu` cut off below zero, with given statistics, and without a gradient.
///
/// # Panics
/// As [`train`].
pub(crate) fn infer(
    x: Tensor<4>,
    layer: ConvNorm,
    [mean, variance]: Statistics,
    residual: Option<Tensor<4>>,
    relu: bool,
) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Infer>::infer_layer(
        x.into_dispatch(),
        layer.into(),
        mean.into_dispatch(),
        variance.into_dispatch(),
        residual.map_or(Residual::Nothing, |residual| Residual::Added(residual.into_dispatch())),
        relu,
    ))
}

/// A [`ConvNorm`] with the tensors of a backend.
#[derive(ExtensionType)]
pub(crate) struct Learnt<B: Backend> {
    weight: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    options: Options,
}

impl From<ConvNorm> for Learnt<Dispatch> {
    fn from(ConvNorm { weight, affine: [gamma, beta], options }: ConvNorm) -> Self {
        let (gamma, beta) = (gamma.into_dispatch(), beta.into_dispatch());
        Self { weight: weight.into_dispatch(), gamma, beta, options }
    }
}

/// The way round a block.
#[derive(ExtensionType)]
pub(crate) enum Shortcut<B: Backend> {
    Layer(#[extension_type] Learnt<B>),
    Nothing,
}

/// What is added before the ReLU.
#[derive(ExtensionType)]
pub(crate) enum Residual<B: Backend> {
    Added(FloatTensor<B>),
    Nothing,
}

/// The statistics come out as one tensor [layers, 2, to].
#[backend_extension(Flex, Autodiff)]
pub(crate) trait Train: Backend {
    fn train_layer(
        x: FloatTensor<Self>,
        #[extension_type] layer: Learnt<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    fn train_block(
        x: FloatTensor<Self>,
        #[extension_type] first: Learnt<Self>,
        #[extension_type] second: Learnt<Self>,
        #[extension_type] shortcut: Shortcut<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

#[backend_extension(Flex)]
pub(crate) trait Infer: Backend {
    fn infer_layer(
        x: FloatTensor<Self>,
        #[extension_type] layer: Learnt<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        #[extension_type] residual: Residual<Self>,
        relu: bool,
    ) -> FloatTensor<Self>;
}

impl Infer for Flex {
    fn infer_layer(
        x: FlexTensor,
        Learnt { weight, gamma, beta, options }: Learnt<Self>,
        mean: FlexTensor,
        variance: FlexTensor,
        residual: Residual<Self>,
        relu: bool,
    ) -> FlexTensor {
        let Options { epsilon, vectors, .. } = options;
        let geometry = geometry(dims(&x), &weight, options);
        let (x, weight) = (channels_last(x), weight.to_contiguous());
        let (gamma, variance) = (values(&gamma), values(&variance));
        let scale = gamma
            .iter()
            .zip(&variance)
            .map(|(g, v)| (f64::from(*g) / (f64::from(*v) + epsilon).sqrt()) as f32);
        let affine = Affine { mean: values(&mean), scale: scale.collect(), shift: values(&beta) };
        layer::check(&geometry, [&affine.mean, &gamma, &affine.shift, &variance]);
        let residual = match residual {
            Residual::Added(residual) => Some(fitting(residual, maps(&geometry))),
            Residual::Nothing => None,
        };
        let map = geometry.map();
        let mut y = buffers::take(geometry.batch * map);
        conv::forward(
            vectors,
            &geometry,
            Source::as_is(x.storage()),
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
        tensor(y, maps(&geometry))
    }
}

impl Train for Flex {
    fn train_layer(x: FlexTensor, layer: Learnt<Self>) -> (FlexTensor, FlexTensor) {
        let (y, statistics, _) = Single::forward(x, layer);
        (y, statistics)
    }

    fn train_block(
        x: FlexTensor,
        first: Learnt<Self>,
        second: Learnt<Self>,
        shortcut: Shortcut<Self>,
    ) -> (FlexTensor, FlexTensor) {
        let shortcut = match shortcut {
            Shortcut::Layer(layer) => Some(layer),
            Shortcut::Nothing => None,
        };
        let (y, statistics, _) = Block::forward(x, first, second, shortcut);
        (y, statistics)
    }
}

impl<C: CheckpointStrategy> Train for Autodiff<Flex, C> {
    fn train_layer(x: FloatTensor<Self>, layer: Learnt<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let ((x, of_x), (layer, of_layer)) = (x.into_parts(), apart(layer));
        let (y, statistics, saved) = Single::forward(x, layer);
        let [weight, gamma, beta] = of_layer;
        let y = record::<C, _, 4>([of_x, weight, gamma, beta], saved, y);
        (y, <Self as AutodiffBackend>::from_inner(statistics))
    }

    fn train_block(
        x: FloatTensor<Self>,
        first: Learnt<Self>,
        second: Learnt<Self>,
        shortcut: Shortcut<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (x, of_x) = x.into_parts();
        let ((first, [w1, g1, b1]), (second, [w2, g2, b2])) = (apart(first), apart(second));
        let (shortcut, of_shortcut) = match shortcut {
            Shortcut::Layer(layer) => Some(apart(layer)).unzip(),
            Shortcut::Nothing => (None, None),
        };
        let (y, statistics, saved) = Block::forward(x, first, second, shortcut);
        // How many inputs there are is part of the type of a step.
        let y = match of_shortcut {
            None => record::<C, _, 7>([of_x, w1, g1, b1, w2, g2, b2], saved, y),
            Some([w3, g3, b3]) => record::<C, _, 10>([of_x, w1, g1, b1, w2, g2, b2, w3, g3, b3], saved, y),
        };
        (y, <Self as AutodiffBackend>::from_inner(statistics))
    }
}

/// What is learnt, and its places in the graph.
fn apart<C: CheckpointStrategy>(layer: Learnt<Autodiff<Flex, C>>) -> (Learnt<Flex>, [NodeGuard; 3]) {
    let Learnt { weight, gamma, beta, options } = layer;
    let ((weight, w), (gamma, g), (beta, b)) = (weight.into_parts(), gamma.into_parts(), beta.into_parts());
    (Learnt { weight, gamma, beta, options }, [w, g, b])
}

/// Enters the output into the graph, if one of the inputs is to have a gradient.
fn record<C: CheckpointStrategy, T: Saved, const N: usize>(
    inputs: [NodeGuard; N],
    saved: T,
    y: FlexTensor,
) -> FloatTensor<Autodiff<Flex>> {
    match Step(PhantomData::<T>).prepare::<C>(inputs).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(saved, y),
        OpsKind::UnTracked(prep) => prep.finish(y),
    }
}

/// What the backward pass needs of the forward pass.
trait Saved: std::fmt::Debug + Clone + Send + 'static {
    /// The gradient of the input, if it is `wanted`, and those of what each layer learns, from the gradient of the output.
    fn backward(self, dy: FlexTensor, wanted: bool) -> (Option<FlexTensor>, Vec<OfLearnt>);
}

/// The backward pass of N inputs: the images, and three for each layer.
#[derive(Debug)]
struct Step<T>(PhantomData<T>);

impl<T: Saved, const N: usize> Backward<Flex, N> for Step<T> {
    type State = T;

    fn backward(self, ops: Ops<T, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let dy = gradients.consume::<Flex>(&ops.node);
        let wanted = ops.parents.first().is_some_and(Option::is_some);
        let (dx, of_layers) = ops.state.backward(dy, wanted);
        let of_layers = of_layers.into_iter().flat_map(|of| [of.weight, of.gamma, of.beta].map(Some));
        for (input, gradient) in ops.parents.into_iter().zip(std::iter::once(dx).chain(of_layers)) {
            if let (Some(input), Some(gradient)) = (input, gradient) {
                gradients.register::<Flex>(input.id, gradient);
            }
        }
    }
}

/// One layer and a ReLU.
#[derive(Debug, Clone)]
struct Single {
    x: FlexTensor,
    layer: Layer,
}

impl Single {
    fn forward(x: FlexTensor, learnt: Learnt<Flex>) -> (FlexTensor, FlexTensor, Self) {
        let x = channels_last(x);
        let layer = Layer::forward(dims(&x), Source::as_is(x.storage()), learnt);
        let y = tensor(layer.normalised(None, true), maps(&layer.geometry));
        (y, statistics([&layer]), Self { x, layer })
    }
}

impl Saved for Single {
    fn backward(self, dy: FlexTensor, wanted: bool) -> (Option<FlexTensor>, Vec<OfLearnt>) {
        let mut dy = channels_last(dy);
        let sums = self.layer.gradient_sums(dy.storage(), Cut::Again);
        let back = self.layer.through_norm(dy.storage_mut(), false, Cut::Again, &sums);
        buffers::reclaim(dy);
        let dw = back.of_weight(Source::as_is(self.x.storage()));
        let dx = wanted.then(|| tensor(back.of_input(&mut [], |_, _, _| {}), dims(&self.x)));
        buffers::reclaim(self.x);
        (dx, vec![back.end(dw)])
    }
}

/// Two layers and the way round them.
#[derive(Debug, Clone)]
struct Block {
    x: FlexTensor,
    first: Layer,
    second: Layer,
    shortcut: Option<Layer>,
    y: FlexTensor,
}

impl Block {
    fn forward(
        x: FlexTensor,
        first: Learnt<Flex>,
        second: Learnt<Flex>,
        shortcut: Option<Learnt<Flex>>,
    ) -> (FlexTensor, FlexTensor, Self) {
        let x = channels_last(x);
        let first = Layer::forward(dims(&x), Source::as_is(x.storage()), first);
        let second = Layer::forward(maps(&first.geometry), first.activated(), second);
        let map = maps(&second.geometry);
        let shortcut = shortcut.map(|layer| Layer::forward(dims(&x), Source::as_is(x.storage()), layer));
        let y = match &shortcut {
            None => {
                assert!(dims(&x) == map, "a block without a shortcut puts out the shape of its input");
                second.normalised(Some(x.storage()), true)
            }
            Some(layer) => {
                assert!(maps(&layer.geometry) == map, "a shortcut to the shape of the output, {map:?}");
                let round = layer.normalised(None, false);
                let y = second.normalised(Some(&round), true);
                buffers::give(round);
                y
            }
        };
        let y = tensor(y, map);
        let statistics = statistics([&first, &second].into_iter().chain(&shortcut));
        (y.clone(), statistics, Self { x, first, second, shortcut, y })
    }
}

impl Saved for Block {
    fn backward(self, dy: FlexTensor, wanted: bool) -> (Option<FlexTensor>, Vec<OfLearnt>) {
        let Self { x, first, second, shortcut, y } = self;
        let mut dy = channels_last(dy);
        let cut = Cut::Output(y.storage());
        let sums = second.gradient_sums(dy.storage(), cut);
        // From here on, the gradient of the sum is that of both which were added.
        let back = second.through_norm(dy.storage_mut(), true, cut, &sums);
        buffers::reclaim(y);
        let dw = back.of_weight(first.activated());
        let mut sums = first.empty_sums();
        let mut between = back.of_input(&mut sums, |image, dy, sums| {
            first.gradient_sums_of(image, dy, Cut::Again, sums);
        });
        let of_second = back.end(dw);

        let back = first.through_norm(&mut between, false, Cut::Again, &sums);
        buffers::give(between);
        let images = Source::as_is(x.storage());
        let dw = back.of_weight(images);
        let (mut dx, of_shortcut) = match shortcut {
            None => (wanted.then_some(dy), None),
            Some(layer) => {
                let sums = layer.gradient_sums(dy.storage(), Cut::Nowhere);
                let back = layer.through_norm(dy.storage_mut(), false, Cut::Nowhere, &sums);
                buffers::reclaim(dy);
                let dw = back.of_weight(images);
                let dx = wanted.then(|| tensor(back.of_input(&mut [], |_, _, _| {}), dims(&x)));
                (dx, Some(back.end(dw)))
            }
        };
        if let Some(dx) = &mut dx {
            back.add_of_input(dx.storage_mut());
        }
        let of_first = back.end(dw);
        buffers::reclaim(x);
        (dx, [of_first, of_second].into_iter().chain(of_shortcut).collect())
    }
}

/// [layers, 2, to]
fn statistics<'a>(layers: impl IntoIterator<Item = &'a Layer>) -> FlexTensor {
    let mut all = Vec::new();
    let mut shape = [0, 2, 0];
    for layer in layers {
        all.extend([&layer.affine.mean, &layer.variance].into_iter().flatten().copied());
        shape = [shape[0] + 1, 2, layer.geometry.to];
    }
    FlexTensor::new(Bytes::from_elems(all), Layout::contiguous(Shape::from(shape)), DType::F32)
}

/// Mean and variance of one layer, from [layers, 2, to].
fn of_layer(statistics: &Tensor<3>, layer: usize) -> Statistics {
    let [_, _, to] = statistics.dims();
    [0, 1].map(|which| statistics.clone().slice([layer..layer + 1, which..which + 1]).reshape([to]))
}

/// Channels-last, of this shape.
fn fitting(residual: FlexTensor, map: [usize; 4]) -> FlexTensor {
    assert!(dims(&residual) == map, "a residual of the shape of the output, {map:?}");
    channels_last(residual)
}
