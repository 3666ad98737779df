//! The networks of VAAL, forward and backward written out: the autoencoder with its loss, and the
//! discriminator.
//!
//! Never here: which images are in a batch, the order of steps.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rand_distr::{Distribution as _, StandardNormal};

use super::{SIDE, Settings};
use crate::kernels::batch_norm::{self, BatchNorm};
use crate::kernels::conv::{self, Geometry, Source};
use crate::kernels::{Cut, Workspace, normalise};
use crate::query::strategies::adam::Adam;
use crate::query::strategies::layers::{HiddenLayer, HiddenTape, Linear, sigmoid};
use crate::rng::Seed;

#[cfg(test)]
mod tests;

/// Layers of the encoder, each of which halves the image and, but for the first, doubles the
/// channels.
const DEPTH: usize = 4;
/// Units of the discriminator's two hidden layers.
const HIDDEN: usize = 512;

/// A convolution of 4 × 4 with stride 2, or its transpose, with BatchNorm and ReLU behind it. Maps
/// are [B, H, W, C].
#[derive(Debug, Clone, Copy)]
struct Layer {
    /// Height, width and channels of the larger map.
    side: usize,
    shallow: usize,
    /// Channels of the smaller map, half as high and wide.
    deep: usize,
    /// Whether it is the transpose, from the smaller map to the larger.
    up: bool,
    /// Where its parameters start: the weight [deep, shallow, 4, 4], and gamma and beta of what it
    /// puts out.
    start: usize,
}

impl Layer {
    /// Of the convolution from the larger map to the smaller, where `x` comes in.
    fn geometry(&self, x: &[f32]) -> Geometry {
        let Self { side, shallow, deep, up, .. } = *self;
        let batch = x.len() / if up { side * side / 4 * deep } else { side * side * shallow };
        Geometry { batch, height: side, width: side, from: shallow, to: deep, size: 4, stride: 2, padding: 1 }
    }

    /// Channels that it puts out.
    fn width(&self) -> usize {
        if self.up { self.shallow } else { self.deep }
    }

    /// Its weight, gamma and beta.
    fn of<'a>(&self, parameters: &'a [f32]) -> [&'a [f32]; 3] {
        let (weight, norm) = parameters[self.start..].split_at(self.geometry(&[]).weight());
        let (gamma, beta) = norm[..2 * self.width()].split_at(self.width());
        [weight, gamma, beta]
    }

    /// The convolution alone. `notes` and `finish` as for [`conv::forward`].
    fn convolve(
        &self,
        workspace: &Workspace,
        weight: &[f32],
        x: &[f32],
        notes: &mut [f32],
        finish: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
    ) -> Vec<f32> {
        let g = self.geometry(x);
        let mut y = workspace.take(g.batch * if self.up { g.image() } else { g.map() });
        match self.up {
            true => conv::input_gradient(workspace, &g, x, weight, &mut y, false, notes, finish),
            false => conv::forward(workspace, &g, Source::as_is(x), weight, &mut y, notes, finish),
        }
        y
    }
}

/// The parameters of a network, one behind the other, and what they learn by.
pub(super) struct Learnt {
    parameters: Vec<f32>,
    /// Every backward pass adds to it.
    pub gradient: Vec<f32>,
    adam: Adam,
}

impl Learnt {
    pub fn step(&mut self, learning_rate: f64) {
        self.adam.step(&mut self.parameters, &self.gradient, learning_rate);
        self.gradient.fill(0.0);
    }
}

/// Lays out parameters with their first values: Kaiming's normal ones for weights, 1 and 0 for
/// BatchNorm, 0 for biases, as in the authors' code. Every weight has a stream of its own name.
struct Layout {
    seed: Seed,
    values: Vec<f32>,
}

impl Layout {
    /// The same value `n` times. Returns where they start.
    fn constant(&mut self, value: f32, n: usize) -> usize {
        let start = self.values.len();
        self.values.resize(start + n, value);
        start
    }

    /// `place` says where the value goes that is drawn first, second and so on. Returns where they
    /// start.
    fn weight(&mut self, name: &str, fan_in: usize, n: usize, place: impl Fn(usize) -> usize) -> usize {
        let start = self.constant(0.0, n);
        let deviation = (2.0 / fan_in as f32).sqrt();
        let mut rng = self.seed.stream(&format!("{name}.weight"));
        for drawn in 0..n {
            let value: f32 = StandardNormal.sample(&mut rng);
            self.values[start + place(drawn)] = deviation * value;
        }
        start
    }

    /// Layers side by side of `outputs` each, from and to maps of so many pixels. Drawn input by
    /// input, of a map channel by channel.
    fn linear(&mut self, names: &[&str], [inputs, outputs]: [usize; 2], pixels: [usize; 2]) -> Linear {
        let channels_last = |at: usize, n: usize, pixels: usize| at % pixels * (n / pixels) + at / pixels;
        let weight = self.values.len();
        for name in names {
            self.weight(name, inputs, inputs * outputs, |drawn| {
                let (input, output) = (drawn / outputs, drawn % outputs);
                channels_last(output, outputs, pixels[1]) * inputs + channels_last(input, inputs, pixels[0])
            });
        }
        let outputs = names.len() * outputs;
        Linear { weight, bias: self.constant(0.0, outputs), inputs, outputs }
    }

    fn learnt(self) -> Learnt {
        let n = self.values.len();
        Learnt { parameters: self.values, gradient: vec![0.0; n], adam: Adam::new(n) }
    }
}

/// Images [B, 32, 32, channels] to latents [B, d] and back.
pub(super) struct Autoencoder {
    /// Those of the encoder, then those of the decoder.
    layers: Vec<Layer>,
    /// Running mean and variance of each layer.
    running: Vec<[Vec<f32>; 2]>,
    /// The mean of the latents and their log-variance, side by side.
    heads: Linear,
    open: Linear,
    /// For every pixel.
    paint: Linear,
    pub learnt: Learnt,
    workspace: Workspace,
}

const ENCODER: Range<usize> = 0..DEPTH;
/// It starts at twice the side that the encoder ends at, and has a layer less.
const DECODER: Range<usize> = DEPTH..2 * DEPTH - 1;

/// Of each layer in training mode what it normalised, and its output.
type Tape = Vec<(BatchNorm, Vec<f32>)>;

/// What came out of the last layer, or what came in where there is none.
fn output<'a>(tape: &'a Tape, input: &'a [f32]) -> &'a [f32] {
    tape.last().map_or(input, |(_, y)| y)
}

fn matrix(values: &[f32], rows: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows, values.len() / rows), values).expect("rows of one length")
}

fn matrix_mut(values: &mut [f32], rows: usize) -> ArrayViewMut2<'_, f32> {
    ArrayViewMut2::from_shape((rows, values.len() / rows), values).expect("rows of one length")
}

fn add(to: &mut [f32], values: &[f32]) {
    to.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

impl Autoencoder {
    pub fn new(channels: usize, settings: Settings, seed: Seed) -> Self {
        let Settings { width, latents, .. } = settings;
        let mut layout = Layout { seed: seed.child("autoencoder", 0), values: Vec::new() };
        let mut layer = |name: &str, level: usize, up: bool| {
            let shallow = if level == 0 { channels } else { width << (level - 1) };
            // Having a layer less, the decoder makes maps of the encoder's depth twice as high and
            // wide.
            let side = SIDE >> if up { level - 1 } else { level };
            let mut layer = Layer { side, shallow, deep: width << level, up, start: 0 };
            let n = layer.geometry(&[]).weight();
            layer.start = layout.weight(name, n / layer.deep, n, |drawn| drawn);
            layout.constant(1.0, layer.width());
            layout.constant(0.0, layer.width());
            layer
        };
        let mut layers: Vec<Layer> = (0..DEPTH).map(|l| layer(&format!("encode.{l}"), l, false)).collect();
        layers.extend((1..DEPTH).map(|l| layer(&format!("decode.{}", l - 1), DEPTH - l, true)));
        let pixels = (SIDE >> DEPTH) * (SIDE >> DEPTH);
        let deep = width << (DEPTH - 1);
        Self {
            running: layers.iter().map(|l| [vec![0.0; l.width()], vec![1.0; l.width()]]).collect(),
            layers,
            heads: layout.linear(&["mean", "log_variance"], [deep * pixels, latents], [pixels, 1]),
            open: layout.linear(&["open"], [latents, deep * 4 * pixels], [1, 4 * pixels]),
            paint: Linear {
                weight: layout.weight("paint", width, channels * width, |drawn| drawn),
                bias: layout.constant(0.0, channels),
                inputs: width,
                outputs: channels,
            },
            learnt: layout.learnt(),
            workspace: Workspace::default(),
        }
    }

    /// The mean of the latents, [B, d], in evaluation mode.
    pub fn means(&self, images: &[f32]) -> Array2<f32> {
        let Self { workspace, learnt: Learnt { parameters, .. }, .. } = self;
        let batch = self.layers[0].geometry(images).batch;
        let mut x = Vec::new();
        for (layer, [mean, variance]) in self.layers[ENCODER].iter().zip(&self.running) {
            let [weight, gamma, beta] = layer.of(parameters);
            let affine = batch_norm::frozen(gamma, beta, mean, variance);
            let from = if x.is_empty() { images } else { &x };
            let y = layer.convolve(workspace, weight, from, &mut [], |_, map, _| {
                normalise(workspace.vectors, &affine, None, None, true, map);
            });
            workspace.give(std::mem::replace(&mut x, y));
        }
        let head = Linear { outputs: self.open.inputs, ..self.heads };
        let mut means = Array2::zeros((batch, head.outputs));
        head.forward(parameters, matrix(&x, batch), means.view_mut());
        workspace.give(x);
        means
    }

    /// Through some of the layers, in training mode.
    fn forward(&mut self, layers: Range<usize>, input: &[f32]) -> Tape {
        let Self { workspace, learnt: Learnt { parameters, .. }, .. } = self;
        let mut tape = Tape::new();
        for (layer, [mean, variance]) in self.layers[layers.clone()].iter().zip(&mut self.running[layers]) {
            let [weight, gamma, beta] = layer.of(parameters);
            let x = output(&tape, input);
            let mut moments = vec![0.0; layer.geometry(x).batch * 2 * layer.width()];
            let convolved = layer.convolve(workspace, weight, x, &mut moments, |_, map, moments| {
                batch_norm::moments(workspace, map, moments);
            });
            let norm = BatchNorm::new(convolved, &moments, gamma, beta);
            norm.track(mean, variance);
            let y = norm.output(workspace, None, true);
            tape.push((norm, y));
        }
        tape
    }

    /// Back through the same layers, from the gradient of their output to that of their input,
    /// which is empty for images.
    fn backward(
        &mut self,
        layers: Range<usize>,
        input: &[f32],
        mut tape: Tape,
        mut dy: Vec<f32>,
    ) -> Vec<f32> {
        let Self { workspace, learnt: Learnt { parameters, gradient, .. }, .. } = self;
        for index in layers.rev() {
            let Some((norm, y)) = tape.pop() else { break };
            let (layer, x, cut) = (self.layers[index], output(&tape, input), Cut::Output(&y));
            let g = layer.geometry(x);
            let mut learnt = workspace.take(g.weight() + 2 * layer.width());
            let (dweight, dnorm) = learnt.split_at_mut(g.weight());
            let sums = norm.gradient_sums(workspace, &dy, cut);
            let dnorm = dnorm.split_at_mut(layer.width()).into();
            let dconvolved = norm.backward(workspace, &mut dy, false, cut, &sums, dnorm);
            let (large, small) = if layer.up { (&*dconvolved, x) } else { (x, &*dconvolved) };
            conv::weight_gradient(workspace, &g, Source::as_is(large), small, dweight);
            add(&mut gradient[layer.start..], &learnt);
            let dx = match index {
                0 => Vec::new(),
                _ => {
                    let ([weight, ..], back) = (layer.of(parameters), Layer { up: !layer.up, ..layer });
                    back.convolve(workspace, weight, &dconvolved, &mut [], |_, _, _| {})
                }
            };
            for array in [learnt, y, dconvolved, std::mem::replace(&mut dy, dx)] {
                workspace.give(array);
            }
        }
        dy
    }

    /// Paints images from the decoder's maps. Returns the mean squared error, and its gradient for
    /// the maps.
    fn paint(&mut self, maps: &[f32], images: &[f32]) -> (f64, Vec<f32>) {
        let Self { paint, workspace, learnt: Learnt { parameters, gradient, .. }, .. } = self;
        let (height, width, from, to) = (SIDE, SIDE, paint.inputs, paint.outputs);
        let batch = images.len() / (height * width * to);
        let g = Geometry { batch, height, width, from, to, size: 1, stride: 1, padding: 0 };
        let (weight, bias) = (&parameters[paint.weight..][..g.weight()], paint.bias(parameters));
        let slope = 2.0 / images.len() as f32;
        let mut painted = workspace.take(images.len());
        // Of each image the gradient of the bias and the squared errors, while every pixel becomes
        // its gradient.
        let mut sums = vec![0.0; batch * (to + 1)];
        let maps = Source::as_is(maps);
        conv::forward(workspace, &g, maps, weight, &mut painted, &mut sums, |image, painted, sums| {
            let pixels = images[image * g.map()..].chunks_exact(to);
            for (painted, pixel) in painted.chunks_exact_mut(to).zip(pixels) {
                for channel in 0..to {
                    let error = painted[channel] + bias[channel] - pixel[channel];
                    painted[channel] = slope * error;
                    sums[channel] += painted[channel];
                    sums[to] += error * error;
                }
            }
        });
        let mut dweight = vec![0.0; g.weight()];
        conv::weight_gradient(workspace, &g, maps, &painted, &mut dweight);
        add(&mut gradient[paint.weight..], &dweight);
        sums.chunks_exact(to + 1).for_each(|sums| add(&mut gradient[paint.bias..], &sums[..to]));
        let mut dmaps = workspace.take(maps.values.len());
        conv::input_gradient(workspace, &g, &painted, weight, &mut dmaps, false, &mut [], |_, _, _| {});
        workspace.give(painted);
        let squares: f64 = sums.iter().skip(to).step_by(to + 1).map(|&sum| f64::from(sum)).sum();
        (squares / images.len() as f64, dmaps)
    }

    /// The loss on images of one pool: the negative evidence lower bound for a pixel of variance 1,
    /// per pixel, up to a constant and the factor ½, and `adversary` times that of a discriminator
    /// that is to take them for labelled. Adds to the gradients of both. `noise` is [B, d].
    pub fn differentiate(
        &mut self,
        images: &[f32],
        noise: &[f32],
        discriminator: &mut Discriminator,
        adversary: f64,
    ) -> f64 {
        let Self { heads, open, .. } = *self;
        let (latents, batch) = (open.inputs, noise.len() / open.inputs);
        let encoded = self.forward(ENCODER, images);
        let code = matrix(output(&encoded, images), batch);
        let mut both = Array2::zeros((batch, heads.outputs));
        heads.forward(&self.learnt.parameters, code, both.view_mut());
        let (mean, log_variance) = both.view().split_at(Axis(1), latents);
        let (noise, deviation) = (matrix(noise, batch), log_variance.mapv(|v| (0.5 * v).exp()));
        let drawn = &deviation * &noise + mean;
        let mut opened = self.workspace.take(batch * open.outputs);
        open.forward(&self.learnt.parameters, drawn.view(), matrix_mut(&mut opened, batch));
        let decoded = self.forward(DECODER, &opened);
        let (error, dmaps) = self.paint(output(&decoded, &opened), images);
        let variance = &deviation * &deviation;
        let kl = (&variance + &mean * &mean - log_variance).mapv(|v| f64::from(v) - 1.0).sum();

        let mut dboth = Array2::zeros(both.dim());
        let (mut dmean, mut dlog_variance) = dboth.view_mut().split_at(Axis(1), latents);
        let fooled = discriminator.differentiate(mean, true, Some(dmean.view_mut()));
        let dopened = self.backward(DECODER, &opened, decoded, dmaps);
        let Self { workspace, learnt: Learnt { parameters, gradient, .. }, .. } = &mut *self;
        let (dy, mut ddrawn) = (matrix(&dopened, batch), Array2::zeros((batch, latents)));
        open.backward(parameters, drawn.view(), dy, gradient, Some(ddrawn.view_mut()));
        let share = 1.0 / images.len() as f32;
        dmean *= adversary as f32;
        dmean += &(&ddrawn + &mean * (2.0 * share));
        dlog_variance.assign(&(ddrawn * noise * deviation * 0.5 + (variance - 1.0) * share));
        let mut dcode = workspace.take(code.len());
        heads.backward(parameters, code, dboth.view(), gradient, Some(matrix_mut(&mut dcode, batch)));
        workspace.give(opened);
        workspace.give(dopened);
        self.backward(ENCODER, images, encoded, dcode);
        error + kl / images.len() as f64 + adversary * fooled
    }
}

/// Latents [B, d] to the logit of "labelled" [B, 1].
pub(super) struct Discriminator {
    first: HiddenLayer,
    second: HiddenLayer,
    last: Linear,
    pub learnt: Learnt,
}

impl Discriminator {
    pub fn new(latents: usize, seed: Seed) -> Self {
        let mut layout = Layout { seed: seed.child("discriminator", 0), values: Vec::new() };
        let mut linear = |name, inputs, outputs| layout.linear(&[name], [inputs, outputs], [1, 1]);
        Self {
            first: HiddenLayer { linear: linear("first", latents, HIDDEN), norm: None },
            second: HiddenLayer { linear: linear("second", HIDDEN, HIDDEN), norm: None },
            last: linear("last", HIDDEN, 1),
            learnt: layout.learnt(),
        }
    }

    pub fn forward(&self, latents: ArrayView2<'_, f32>, tapes: &mut [HiddenTape<f32>; 2]) -> Array2<f32> {
        let (parameters, [first, second]) = (&self.learnt.parameters, tapes);
        let x = self.first.forward(parameters, latents, first);
        let x = self.second.forward(parameters, x, second);
        let mut logits = Array2::zeros((x.nrows(), 1));
        self.last.forward(parameters, x, logits.view_mut());
        logits
    }

    /// The binary cross-entropy with "labelled", or with "not labelled". Adds to the gradient, and
    /// writes that of the latents where it is wanted.
    pub fn differentiate(
        &mut self,
        latents: ArrayView2<'_, f32>,
        labelled: bool,
        dlatents: Option<ArrayViewMut2<'_, f32>>,
    ) -> f64 {
        let mut tapes = Default::default();
        let mut dlogits = self.forward(latents, &mut tapes);
        let (n, sign) = (dlogits.len() as f32, if labelled { -1.0 } else { 1.0 });
        let loss: f64 = dlogits.iter().map(|&logit| softplus(f64::from(sign * logit))).sum();
        dlogits.mapv_inplace(|logit| sign * sigmoid(sign * logit) / n);
        let Self { first, second, last, learnt: Learnt { parameters, gradient, .. } } = self;
        let [of_first, of_second] = &mut tapes;
        let mut dx = [(); 2].map(|()| Array2::zeros((dlogits.nrows(), HIDDEN)));
        let [dfirst, dsecond] = &mut dx;
        last.backward(
            parameters,
            second.output(of_second),
            dlogits.view(),
            gradient,
            Some(dsecond.view_mut()),
        );
        let x = first.output(of_first);
        second.backward(parameters, x, dsecond.view(), of_second, gradient, Some(dfirst.view_mut()));
        first.backward(parameters, latents, dfirst.view(), of_first, gradient, dlatents);
        loss / f64::from(n)
    }
}

/// ln(1 + e^v), for any v.
fn softplus(v: f64) -> f64 {
    v.max(0.0) + (-v.abs()).exp().ln_1p()
}
