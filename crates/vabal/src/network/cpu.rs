//! The engine of the CPU: forward and backward written out, on the kernels of this library.
//!
//! Maps lie channels-last, [B, H, W, C]. Same batch, same weights: the same bits, whatever the number of threads. Never here:
//! another device, what is computed inside a layer.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, aview1};
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
    pub(super) gradients: Weights,
    velocities: Weights,
    sgd: Sgd,
    workspace: Workspace,
}

/// What the backward pass needs of the forward pass. Nothing is kept of what lies between the two layers of a block but what
/// came out of the first convolution, which is normalised and cut again wherever it is read.
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
        let zeros = || weights.iter().map(|values| vec![0.0; values.len()]).collect();
        let (gradients, velocities) = (zeros(), zeros());
        Self { network, weights, gradients, velocities, sgd, workspace: Workspace::new(vectors) }
    }

    /// The mean cross-entropy; its gradients replace those that were there.
    pub(super) fn differentiate(&mut self, batch: &Batch<'_>, labels: &[Label]) -> f64 {
        let tape = self.forward(batch);
        let (loss, dlogits) = cross_entropy(&tape.logits, labels);
        self.backward(tape, dlogits);
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
    fn backward(&mut self, tape: Tape, dlogits: Array2<f32>) {
        let Self { network, weights, gradients, workspace, .. } = self;
        let Tape { shape, images, stem, mut blocks, mut maps, pooled, .. } = tape;
        let y = maps.pop().expect("the stem puts out one");
        // The last layer, and the mean over each map.
        let (weight, _) = head(network, weights);
        let mut dpooled = Array2::zeros(pooled.dim());
        matmul(dlogits.view(), weight, 0.0, dpooled.view_mut(), Threads::All);
        let dweight = ArrayViewMut2::from_shape(weight.dim(), &mut gradients[network.head]);
        let dweight = dweight.expect("a gradient is as long as its array");
        matmul(dlogits.view().reversed_axes(), pooled.view(), 0.0, dweight, Threads::All);
        gradients[network.head + 1].copy_from_slice(&dlogits.sum_axis(Axis(0)).to_vec());
        let mut dy = workspace.take(y.len());
        let channels = pooled.ncols();
        let pixels = y.len() / pooled.len();
        let rows = dpooled.as_slice().expect("made in this layout").par_chunks_exact(channels);
        dy.par_chunks_exact_mut(pixels * channels).zip(rows).for_each(|(dy, of_mean)| {
            for dy in dy.chunks_exact_mut(channels) {
                dy.iter_mut().zip(of_mean).for_each(|(dy, of_mean)| *dy = of_mean / pixels as f32);
            }
        });

        let mut y = y;
        let mut back = Back { workspace, weights, gradients };
        for block in network.stages.iter().flatten().rev() {
            let tape = blocks.pop().expect("one of each block");
            let below = maps.pop().expect("what each block is given");
            dy = back.block(block, tape, &below, y, dy);
            y = below;
        }
        let sums = stem.gradient_sums(workspace, &dy, Cut::Again);
        let mut back = Back { workspace, weights, gradients };
        let dconvolved = back.norm(&network.stem, stem, &mut dy, false, Cut::Again, &sums);
        back.weight(&network.stem, shape, Source::as_is(&images), &dconvolved);
        [images, y, dy, dconvolved].into_iter().for_each(|array| workspace.give(array));
    }

    /// One step along the gradients that are there.
    pub(super) fn descend(&mut self, learning_rate: f64) {
        const CHUNK: usize = 1 << 14;
        let Self { network, weights, gradients, velocities, sgd, .. } = self;
        let (rate, momentum, decay) = (learning_rate as f32, sgd.momentum as f32, sgd.weight_decay as f32);
        let arrays = weights.par_iter_mut().zip(&*gradients).zip(velocities).enumerate();
        arrays.filter(|(array, _)| network.learns(*array)).for_each(
            |(_, ((weights, gradients), velocities))| {
                let chunks = weights.par_chunks_mut(CHUNK).zip(gradients.par_chunks(CHUNK));
                chunks.zip(velocities.par_chunks_mut(CHUNK)).for_each(
                    |((weights, gradients), velocities)| {
                        wide(
                            #[inline(always)]
                            || {
                                for ((w, g), v) in weights.iter_mut().zip(gradients).zip(velocities) {
                                    *v = momentum * *v + (g + decay * *w);
                                    *w -= rate * *v;
                                }
                            },
                        );
                    },
                );
            },
        );
    }
}

impl Trainer for Training {
    fn step(&mut self, batch: &Batch<'_>, labels: &[Label], learning_rate: f64) -> Result<Option<f64>> {
        let loss = self.differentiate(batch, labels);
        self.descend(learning_rate);
        Ok(Some(loss))
    }

    fn weights(&self) -> Result<Weights> {
        Ok(self.weights.clone())
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

/// The way back through the layers, which writes the gradients of what they learn.
struct Back<'a> {
    workspace: &'a Workspace,
    weights: &'a Weights,
    gradients: &'a mut Weights,
}

impl Back<'_> {
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
        let [_, dgamma, dbeta] =
            self.gradients[layer.weight..].first_chunk_mut().expect("a layer has five arrays");
        norm.backward(self.workspace, dy, passed, cut, sums, [dgamma, dbeta])
    }

    /// The gradient of the weight, where `x` was convolved.
    fn weight(&mut self, layer: &Layer, shape: Shape, x: Source<'_>, dconvolved: &[f32]) {
        let dw = &mut self.gradients[layer.weight];
        conv::weight_gradient(self.workspace, &shape.geometry(layer), x, dconvolved, dw);
    }

    /// The gradient of what was convolved, added to `dx` where `add` says so. `notes` and `finish` as for [`conv::forward`].
    #[expect(
        clippy::too_many_arguments,
        reason = "arrays in, arrays out: a struct would only name them again"
    )]
    fn input(
        &self,
        layer: &Layer,
        shape: Shape,
        dconvolved: &[f32],
        dx: &mut [f32],
        add: bool,
        notes: &mut [f32],
        finish: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
    ) {
        let weight = &self.weights[layer.weight];
        let geometry = shape.geometry(layer);
        conv::input_gradient(self.workspace, &geometry, dconvolved, weight, dx, add, notes, finish);
    }

    /// The gradient of what a block was given, `below` before dropout, from that of its output, `y`.
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
        let nothing = |_: usize, _: &mut [f32], _: &mut [f32]| {};

        let cut = Cut::Output(&y);
        let sums = second.gradient_sums(workspace, &dy, cut);
        // From here on, the gradient of the sum is that of both which were added.
        let dconvolved = self.norm(&block.second, second, &mut dy, true, cut, &sums);
        workspace.give(y);
        self.weight(&block.second, inner, first.activated(), &dconvolved);
        let mut sums = first.empty_sums();
        let mut between = workspace.take(first.activated().values.len());
        self.input(&block.second, inner, &dconvolved, &mut between, false, &mut sums, |image, dy, sums| {
            first.gradient_sums_of(workspace, image, dy, Cut::Again, sums);
        });
        workspace.give(dconvolved);

        let dconvolved = self.norm(&block.first, first, &mut between, false, Cut::Again, &sums);
        workspace.give(between);
        self.weight(&block.first, shape, x, &dconvolved);
        let mut dx = match (&block.shortcut, shortcut) {
            (Some(layer), Some(norm)) => {
                let sums = norm.gradient_sums(workspace, &dy, Cut::Nowhere);
                let dround = self.norm(layer, norm, &mut dy, false, Cut::Nowhere, &sums);
                workspace.give(dy);
                self.weight(layer, shape, x, &dround);
                let mut dx = workspace.take(x.values.len());
                self.input(layer, shape, &dround, &mut dx, false, &mut [], nothing);
                workspace.give(dround);
                dx
            }
            _ => dy,
        };
        self.input(&block.first, shape, &dconvolved, &mut dx, true, &mut [], nothing);
        workspace.give(dconvolved);
        if let Some([_, mask]) = dropped {
            multiply(&mut dx, &mask);
        }
        dx
    }
}
