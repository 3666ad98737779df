//! The engine of the CPU: forward and backward written out, on the kernels of this library.
//!
//! Maps lie channels-last, [B, H, W, C]. Same batch, same weights: the same bits, whatever the
//! number of threads. Never here: another device, what is computed inside a layer.

use ndarray::{Array2, ArrayView2, Axis, aview1};
use rayon::prelude::*;

use super::{Batch, Block, Dropout, Engine, Frozen, Layer, Network, Output, STAGES, Sgd, Trainer, Weights};
use crate::Label;
use crate::error::Result;
use crate::kernels::batch_norm::{self, BatchNorm};
use crate::kernels::conv::{self, Geometry, Source};
use crate::kernels::{Cut, Threads, Vectors, Workspace, matmul, normalise, wide};

/// All cores of this machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu(pub Vectors);

impl Engine for Cpu {
    fn train(&self, network: &Network, weights: Weights, sgd: Sgd) -> Result<Box<dyn Trainer>> {
        Ok(Box::new(Training::new(network.clone(), weights, sgd, self.0)))
    }

    fn freeze<'a>(&self, network: &'a Network, weights: &'a Weights) -> Result<Box<dyn Frozen + 'a>> {
        Ok(Box::new(Scoring { network, weights, workspace: Workspace::new(self.0) }))
    }
}

/// Maps of some images as they lie in memory: [images, height, width, channels].
#[derive(Debug, Clone, Copy)]
struct Shape {
    images: usize,
    height: usize,
    width: usize,
}

impl Shape {
    fn of(network: &Network, batch: &Batch<'_>) -> Self {
        let Batch { height, width, .. } = *batch;
        Self { images: batch.images.len() / (network.channels() * height * width), height, width }
    }

    fn geometry(self, layer: &Layer) -> Geometry {
        let Self { images: batch, height, width } = self;
        let Layer { from, to, size, stride, .. } = *layer;
        Geometry { batch, height, width, from, to, size, stride, padding: layer.padding() }
    }

    /// The shape of what the layer puts out.
    fn behind(self, layer: &Layer) -> Self {
        let (height, width) = self.geometry(layer).out();
        Self { height, width, ..self }
    }

    fn pixels(self) -> usize {
        self.height * self.width
    }
}

/// Images [B, C, H, W] as [B, H, W, C].
fn channels_last(workspace: &Workspace, images: &[f32], channels: usize, shape: Shape) -> Vec<f32> {
    let (mut out, pixels) = (workspace.take(images.len()), shape.pixels());
    let image = channels * pixels;
    out.par_chunks_exact_mut(image).zip(images.par_chunks_exact(image)).for_each(|(out, image)| {
        for (channel, plane) in image.chunks_exact(pixels).enumerate() {
            out[channel..].iter_mut().step_by(channels).zip(plane).for_each(|(out, value)| *out = *value);
        }
    });
    out
}

/// The mean over each map, [B, H, W, C] to [B, C].
fn pool(maps: &[f32], shape: Shape) -> Array2<f32> {
    let channels = maps.len() / shape.images / shape.pixels();
    let mut means = Array2::zeros((shape.images, channels));
    let rows = means.as_slice_mut().expect("made in this layout").par_chunks_exact_mut(channels);
    rows.zip(maps.par_chunks_exact(shape.pixels() * channels)).for_each(|(means, maps)| {
        wide(
            #[inline(always)]
            || {
                for pixel in maps.chunks_exact(channels) {
                    means.iter_mut().zip(pixel).for_each(|(mean, value)| *mean += value);
                }
                means.iter_mut().for_each(|mean| *mean /= shape.pixels() as f32);
            },
        );
    });
    means
}

/// The weight and the bias of the last layer.
fn head<'a>(network: &Network, weights: &'a Weights) -> (ArrayView2<'a, f32>, &'a [f32]) {
    let shape = &network.arrays[network.head].shape;
    let weight = ArrayView2::from_shape((shape[0], shape[1]), &weights[network.head]);
    (weight.expect("as many values as the array says"), &weights[network.head + 1])
}

/// Means [B, width_4] to logits [B, C].
fn logits(network: &Network, weights: &Weights, pooled: &Array2<f32>) -> Array2<f32> {
    let (weight, bias) = head(network, weights);
    let mut logits = Array2::zeros((pooled.nrows(), bias.len()));
    logits.rows_mut().into_iter().for_each(|mut row| row.assign(&aview1(bias)));
    matmul(pooled.view(), weight.reversed_axes(), 1.0, logits.view_mut(), Threads::All);
    logits
}

/// Multiplies maps with a mask, and returns it.
fn drop_out(dropout: Dropout<'_>, stage: usize, maps: &mut [f32]) -> Vec<f32> {
    let mask = dropout.mask(stage, maps.len() / dropout.keys.len().max(1));
    multiply(maps, &mask);
    mask
}

fn multiply(maps: &mut [f32], mask: &[f32]) {
    maps.iter_mut().zip(mask).for_each(|(value, mask)| *value *= mask);
}

/// A network in evaluation mode.
struct Scoring<'a> {
    network: &'a Network,
    weights: &'a Weights,
    workspace: Workspace,
}

impl Scoring<'_> {
    /// `batch_norm(conv(x)) + residual`, and with `relu` cut off below zero.
    fn layer(
        &self,
        layer: &Layer,
        shape: Shape,
        x: &[f32],
        residual: Option<&[f32]>,
        relu: bool,
    ) -> Vec<f32> {
        let workspace = &self.workspace;
        let [weight, gamma, beta, mean, variance] = std::array::from_fn(|i| &*self.weights[layer.weight + i]);
        let affine = batch_norm::frozen(gamma, beta, mean, variance);
        let geometry = shape.geometry(layer);
        let map = geometry.map();
        let mut y = workspace.take(geometry.batch * map);
        conv::forward(workspace, &geometry, Source::as_is(x), weight, &mut y, &mut [], |image, plane, _| {
            let residual = residual.map(|all| &all[image * map..(image + 1) * map]);
            normalise(workspace.vectors, &affine, None, residual, relu, plane);
        });
        y
    }
}

impl Frozen for Scoring<'_> {
    fn forward(&self, batch: &Batch<'_>) -> Result<Output> {
        let Self { network, weights, workspace } = self;
        let mut shape = Shape::of(network, batch);
        let images = channels_last(workspace, batch.images, network.channels(), shape);
        let mut x = self.layer(&network.stem, shape, &images, None, true);
        workspace.give(images);
        let mut stages = [(); STAGES].map(|()| Array2::default((0, 0)));
        for (stage, blocks) in network.stages.iter().enumerate() {
            if let Some(dropout) = batch.dropout {
                drop_out(dropout, stage, &mut x);
            }
            for Block { first, second, shortcut } in blocks {
                let y = self.layer(first, shape, &x, None, true);
                if let Some(layer) = shortcut {
                    let round = self.layer(layer, shape, &x, None, false);
                    workspace.give(std::mem::replace(&mut x, round));
                }
                shape = shape.behind(first);
                let out = self.layer(second, shape, &y, Some(&x), true);
                workspace.give(y);
                workspace.give(std::mem::replace(&mut x, out));
            }
            stages[stage] = pool(&x, shape);
        }
        workspace.give(x);
        Ok(Output { logits: logits(network, weights, &stages[STAGES - 1]), stages })
    }
}

/// A network in training.
pub(super) struct Training {
    pub(super) network: Network,
    pub(super) weights: Weights,
    velocities: Weights,
    sgd: Sgd,
    workspace: Workspace,
}

/// What becomes of each gradient as soon as nobody reads its array any more: it is told the array's
/// index and values, and the gradient. So no more gradients are kept than one.
type Learn<'a> = dyn FnMut(usize, &mut [f32], &[f32]) + 'a;

/// What the backward pass needs of the forward pass. Nothing is kept of what lies between the two
/// layers of a block but what came out of the first convolution, which is normalised and cut again
/// wherever it is read.
struct Tape {
    shape: Shape,
    images: Vec<f32>,
    stem: BatchNorm,
    blocks: Vec<BlockTape>,
    /// What came out of the stem and of each block.
    maps: Vec<Vec<f32>>,
    pooled: Array2<f32>,
    /// [B, C]
    logits: Array2<f32>,
}

struct BlockTape {
    shape: Shape,
    /// What came in, if values were dropped of it, and the mask.
    dropped: Option<[Vec<f32>; 2]>,
    first: BatchNorm,
    second: BatchNorm,
    shortcut: Option<BatchNorm>,
}

impl Training {
    pub(super) fn new(network: Network, weights: Weights, sgd: Sgd, vectors: Vectors) -> Self {
        let velocities = weights.iter().map(|values| vec![0.0; values.len()]).collect();
        Self { network, weights, velocities, sgd, workspace: Workspace::new(vectors) }
    }

    /// The mean cross-entropy, and its gradients to `learn`.
    pub(super) fn differentiate(
        &mut self,
        batch: &Batch<'_>,
        labels: &[Label],
        learn: &mut Learn<'_>,
    ) -> f64 {
        let tape = self.forward(batch);
        let (loss, dlogits) = cross_entropy(&tape.logits, labels);
        self.backward(tape, dlogits, learn);
        loss
    }

    fn forward(&mut self, batch: &Batch<'_>) -> Tape {
        let Self { network, weights, workspace, .. } = self;
        let mut layer = |layer: &Layer, shape, x: Source<'_>| convolve(workspace, weights, layer, shape, x);
        let of_images = Shape::of(network, batch);
        let mut shape = of_images;
        let images = channels_last(workspace, batch.images, network.channels(), shape);
        let stem = layer(&network.stem, shape, Source::as_is(&images));
        let (mut maps, mut blocks) = (vec![stem.output(workspace, None, true)], Vec::new());
        for (stage, of_stage) in network.stages.iter().enumerate() {
            for (index, block) in of_stage.iter().enumerate() {
                let before = &maps[maps.len() - 1];
                let dropped = batch.dropout.filter(|_| index == 0).map(|dropout| {
                    let mut x = before.clone();
                    let mask = drop_out(dropout, stage, &mut x);
                    [x, mask]
                });
                let x = dropped.as_ref().map_or(before, |[x, _]| x);
                let inner = shape.behind(&block.first);
                let first = layer(&block.first, shape, Source::as_is(x));
                let second = layer(&block.second, inner, first.activated());
                let shortcut = block.shortcut.as_ref().map(|of| layer(of, shape, Source::as_is(x)));
                let y = match &shortcut {
                    None => second.output(workspace, Some(x), true),
                    Some(shortcut) => {
                        let round = shortcut.output(workspace, None, false);
                        let y = second.output(workspace, Some(&round), true);
                        workspace.give(round);
                        y
                    }
                };
                blocks.push(BlockTape { shape, dropped, first, second, shortcut });
                maps.push(y);
                shape = inner;
            }
        }
        let pooled = pool(&maps[maps.len() - 1], shape);
        let logits = logits(network, weights, &pooled);
        Tape { shape: of_images, images, stem, blocks, maps, pooled, logits }
    }

    /// Every gradient, from that of the logits, [B, C].
    fn backward(&mut self, tape: Tape, dlogits: Array2<f32>, learn: &mut Learn<'_>) {
        let Self { network, weights, workspace, .. } = self;
        let Tape { shape, images, stem, mut blocks, mut maps, pooled, .. } = tape;
        let mut y = maps.pop().expect("the stem puts out one");
        // The last layer, and the mean over each map.
        let (weight, _) = head(network, weights);
        let (mut dweight, mut dpooled) = (Array2::zeros(weight.dim()), Array2::zeros(pooled.dim()));
        matmul(dlogits.view(), weight, 0.0, dpooled.view_mut(), Threads::All);
        matmul(dlogits.view().reversed_axes(), pooled.view(), 0.0, dweight.view_mut(), Threads::All);
        let gradients = [dweight.into_raw_vec_and_offset().0, dlogits.sum_axis(Axis(0)).to_vec()];
        for (array, gradient) in (network.head..).zip(gradients) {
            learn(array, &mut weights[array], &gradient);
        }
        let mut dy = workspace.take(y.len());
        let (channels, pixels) = (pooled.ncols(), y.len() / pooled.len());
        let rows = dpooled.as_slice().expect("made in this layout").par_chunks_exact(channels);
        dy.par_chunks_exact_mut(pixels * channels).zip(rows).for_each(|(dy, of_mean)| {
            for dy in dy.chunks_exact_mut(channels) {
                dy.iter_mut().zip(of_mean).for_each(|(dy, of_mean)| *dy = of_mean / pixels as f32);
            }
        });

        let mut back = Back { workspace, weights, learn };
        for block in network.stages.iter().flatten().rev() {
            let tape = blocks.pop().expect("one of each block");
            let below = maps.pop().expect("what each block is given");
            dy = back.block(block, tape, &below, y, dy);
            y = below;
        }
        let sums = stem.gradient_sums(workspace, &dy, Cut::Again);
        let dconvolved = back.norm(&network.stem, stem, &mut dy, false, Cut::Again, &sums);
        let nowhere = Into::Nowhere;
        back.convolution(&network.stem, shape, Source::as_is(&images), dconvolved, nowhere, &mut [], nothing);
        [images, y, dy].into_iter().for_each(|array| workspace.give(array));
    }
}

impl Trainer for Training {
    fn step(&mut self, batch: &Batch<'_>, labels: &[Label], learning_rate: f64) -> Result<Option<f64>> {
        let sgd = self.sgd;
        let mut velocities = std::mem::take(&mut self.velocities);
        let loss = self.differentiate(batch, labels, &mut |array, weights, gradient| {
            sgd.step(learning_rate, weights, gradient, &mut velocities[array]);
        });
        self.velocities = velocities;
        Ok(Some(loss))
    }

    fn weights(&self) -> Result<Weights> {
        Ok(self.weights.clone())
    }
}

impl Sgd {
    /// One step of one array.
    pub(super) fn step(&self, rate: f64, weights: &mut [f32], gradient: &[f32], velocities: &mut [f32]) {
        const CHUNK: usize = 1 << 14;
        let (rate, momentum, decay) = (rate as f32, self.momentum as f32, self.weight_decay as f32);
        let chunks = weights.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK));
        chunks.zip(velocities.par_chunks_mut(CHUNK)).for_each(|((weights, gradient), velocities)| {
            wide(
                #[inline(always)]
                || {
                    for ((w, g), v) in weights.iter_mut().zip(gradient).zip(velocities) {
                        *v = momentum * *v + (g + decay * *w);
                        *w -= rate * *v;
                    }
                },
            );
        });
    }
}

/// Convolves and takes the statistics of the batch, which move the running ones.
fn convolve(
    workspace: &Workspace,
    weights: &mut Weights,
    layer: &Layer,
    shape: Shape,
    x: Source<'_>,
) -> BatchNorm {
    let geometry = shape.geometry(layer);
    let [weight, gamma, beta, mean, variance] =
        weights[layer.weight..].first_chunk_mut().expect("a layer has five arrays");
    let mut convolved = workspace.take(geometry.batch * geometry.map());
    let mut moments = vec![0.0; geometry.batch * 2 * layer.to];
    conv::forward(workspace, &geometry, x, weight, &mut convolved, &mut moments, |_, plane, moments| {
        batch_norm::moments(workspace, plane, moments);
    });
    let norm = BatchNorm::new(convolved, &moments, gamma, beta);
    norm.track(mean, variance);
    norm
}

/// The mean cross-entropy of logits [B, C] with labels, and its gradient.
fn cross_entropy(logits: &Array2<f32>, labels: &[Label]) -> (f64, Array2<f32>) {
    let mut gradient = logits.clone();
    let n = labels.len() as f64;
    let mut loss = 0.0;
    for (mut row, &label) in gradient.rows_mut().into_iter().zip(labels) {
        let largest = row.fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        let label = label as usize;
        let sum: f64 = row.iter().map(|&z| f64::from(z - largest).exp()).sum();
        loss += (sum.ln() - f64::from(row[label] - largest)) / n;
        row.mapv_inplace(|z| (f64::from(z - largest).exp() / sum / n) as f32);
        row[label] -= (1.0 / n) as f32;
    }
    (loss, gradient)
}

/// The way back through the layers.
struct Back<'a, 'b> {
    workspace: &'a Workspace,
    weights: &'a mut Weights,
    learn: &'a mut Learn<'b>,
}

/// Where the gradient of what was convolved goes.
enum Into<'a> {
    Nowhere,
    /// It replaces what is there.
    Empty(&'a mut [f32]),
    /// It is added to what is there.
    Sum(&'a mut [f32]),
}

/// For a convolution that nobody looks at while it is in the cache.
fn nothing(_: usize, _: &mut [f32], _: &mut [f32]) {}

impl Back<'_, '_> {
    /// As [`BatchNorm::backward`].
    fn norm(
        &mut self,
        layer: &Layer,
        norm: BatchNorm,
        dy: &mut [f32],
        passed: bool,
        cut: Cut<'_>,
        sums: &[f32],
    ) -> Vec<f32> {
        let mut gradients = [vec![0.0; layer.to], vec![0.0; layer.to]];
        let [dgamma, dbeta] = &mut gradients;
        let dconvolved = norm.backward(self.workspace, dy, passed, cut, sums, [dgamma, dbeta]);
        for (array, gradient) in (layer.weight + 1..).zip(gradients) {
            (self.learn)(array, &mut self.weights[array], &gradient);
        }
        dconvolved
    }

    /// The gradients of the weight and of what was convolved, `x`. `notes` and `finish` as for
    /// [`conv::input_gradient`].
    #[expect(
        clippy::too_many_arguments,
        reason = "arrays in, arrays out: a struct would only name them again"
    )]
    fn convolution(
        &mut self,
        layer: &Layer,
        shape: Shape,
        x: Source<'_>,
        dconvolved: Vec<f32>,
        dx: Into<'_>,
        notes: &mut [f32],
        finish: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
    ) {
        let Self { workspace, weights, learn } = self;
        let (geometry, weight) = (shape.geometry(layer), &mut weights[layer.weight]);
        let (dx, add) = match dx {
            Into::Nowhere => (None, false),
            Into::Empty(dx) => (Some(dx), false),
            Into::Sum(dx) => (Some(dx), true),
        };
        if let Some(dx) = dx {
            conv::input_gradient(workspace, &geometry, &dconvolved, weight, dx, add, notes, finish);
        }
        let mut dw = workspace.take(weight.len());
        conv::weight_gradient(workspace, &geometry, x, &dconvolved, &mut dw);
        workspace.give(dconvolved);
        learn(layer.weight, weight, &dw);
        workspace.give(dw);
    }

    /// The gradient of what a block was given, `below` before dropout, from that of its output,
    /// `y`.
    fn block(
        &mut self,
        block: &Block,
        tape: BlockTape,
        below: &[f32],
        y: Vec<f32>,
        mut dy: Vec<f32>,
    ) -> Vec<f32> {
        let workspace = self.workspace;
        let BlockTape { shape, dropped, first, second, shortcut } = tape;
        let inner = shape.behind(&block.first);
        let x = Source::as_is(dropped.as_ref().map_or(below, |[x, _]| x));

        let cut = Cut::Output(&y);
        let sums = second.gradient_sums(workspace, &dy, cut);
        // From here on, the gradient of the sum is that of both which were added.
        let dconvolved = self.norm(&block.second, second, &mut dy, true, cut, &sums);
        workspace.give(y);
        let mut sums = first.empty_sums();
        let mut between = workspace.take(first.activated().values.len());
        let into = Into::Empty(&mut between);
        self.convolution(
            &block.second,
            inner,
            first.activated(),
            dconvolved,
            into,
            &mut sums,
            |image, dy, sums| {
                first.gradient_sums_of(workspace, image, dy, Cut::Again, sums);
            },
        );

        let dconvolved = self.norm(&block.first, first, &mut between, false, Cut::Again, &sums);
        workspace.give(between);
        let mut dx = match (&block.shortcut, shortcut) {
            (Some(layer), Some(norm)) => {
                let sums = norm.gradient_sums(workspace, &dy, Cut::Nowhere);
                let dround = self.norm(layer, norm, &mut dy, false, Cut::Nowhere, &sums);
                workspace.give(dy);
                let mut dx = workspace.take(x.values.len());
                self.convolution(layer, shape, x, dround, Into::Empty(&mut dx), &mut [], nothing);
                dx
            }
            _ => dy,
        };
        self.convolution(&block.first, shape, x, dconvolved, Into::Sum(&mut dx), &mut [], nothing);
        if let Some([_, mask]) = dropped {
            multiply(&mut dx, &mask);
        }
        dx
    }
}
