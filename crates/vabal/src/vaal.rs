//! VAAL: a variational autoencoder and a discriminator play against each other over which images are labelled, and the
//! images that look the least labelled are asked (Sinha, Ebrahimi & Darrell, "Variational Adversarial Active
//! Learning", ICCV 2019).
//!
//! The one strategy that looks at images, and with networks of its own. They are the authors' (code of 2019), narrower
//! by default, on images of 32 × 32. Never here: the classifier, labels.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayView4, ArrayViewMut2, Axis};
use rand::seq::SliceRandom as _;
use rand_distr::{Distribution as _, StandardNormal};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, within};
use crate::kernels::batch_norm::{self, BatchNorm};
use crate::kernels::conv::{self, Geometry, Source};
use crate::kernels::{Cut, Workspace, normalise};
use crate::progress::{Event, Progress, report};
use crate::query::strategies::adam::Adam;
use crate::query::strategies::layers::{HiddenLayer, HiddenTape, Linear, sigmoid};
use crate::query::{Column, Needs, Query, Row, Selection, Strategy, StrategySettings, Table, term};
use crate::rng::{Rng, Seed};

/// Height and width of what the autoencoder sees.
const SIDE: usize = 32;
/// Layers of the encoder, each of which halves the image and, but for the first, doubles the channels.
const DEPTH: usize = 4;
/// Units of the discriminator's two hidden layers.
const HIDDEN: usize = 512;
/// Images scored at once.
const BLOCK: usize = 256;

/// Of [`Vaal`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Channels of the first layer of the autoencoder; 128 in the authors' code.
    pub width: usize,
    /// Latents; 32 in the authors' code.
    pub latents: usize,
    /// Turns of the two networks; in the authors' code as many as 100 passes over all images take.
    pub steps: usize,
    /// Steps of the autoencoder in a turn, each on images of its own, before the discriminator makes one; 2 in the
    /// authors' code.
    pub autoencoder_steps: usize,
    /// Labelled images a step, and as many unlabelled ones; 128 in the authors' code.
    pub batch: usize,
    /// Learning rate of both Adams.
    pub learning_rate: f64,
    /// Weight of the adversarial loss.
    pub adversary: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            width: 16,
            latents: 32,
            steps: 500,
            autoencoder_steps: 2,
            batch: 64,
            learning_rate: 5e-4,
            adversary: 1.0,
        }
    }
}

impl Settings {
    /// Checks every value's range.
    ///
    /// # Errors
    /// The first value out of range, by its key.
    pub fn check(&self) -> Result<()> {
        within("width", self.width, 1..=1024)?;
        within("latents", self.latents, 1..=4096)?;
        within("steps", self.steps, 1..=10_000_000)?;
        within("autoencoder_steps", self.autoencoder_steps, 1..=1000)?;
        within("batch", self.batch, 2..=65_536)?;
        within("learning_rate", self.learning_rate, 1e-9..=1.0)?;
        within("adversary", self.adversary, 0.0..=1e6)
    }
}

impl StrategySettings for Settings {
    fn build(self, _: Table) -> Result<Box<dyn Strategy>> {
        self.check()?;
        Ok(Box::new(Vaal(self)))
    }
}

/// Its row in [`STRATEGIES`](crate::STRATEGIES).
pub const ROW: Row = Row::new::<Settings>("vaal");

/// Asks for the images that the discriminator is surest are not labelled.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Vaal(pub Settings);

/// A convolution of 4 × 4 with stride 2, or its transpose, with BatchNorm and ReLU behind it. Maps are [B, H, W, C].
#[derive(Debug, Clone, Copy)]
struct Layer {
    /// Height, width and channels of the larger map.
    side: usize,
    shallow: usize,
    /// Channels of the smaller map, half as high and wide.
    deep: usize,
    /// Whether it is the transpose, from the smaller map to the larger.
    up: bool,
    /// Where its parameters start: the weight [deep, shallow, 4, 4], and gamma and beta of what it puts out.
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
struct Learnt {
    parameters: Vec<f32>,
    /// Every backward pass adds to it.
    gradient: Vec<f32>,
    adam: Adam,
}

impl Learnt {
    fn step(&mut self, learning_rate: f64) {
        self.adam.step(&mut self.parameters, &self.gradient, learning_rate);
        self.gradient.fill(0.0);
    }
}

/// Lays out parameters with their first values: Kaiming's normal ones for weights, 1 and 0 for BatchNorm, 0 for biases, as
/// in the authors' code. Every weight has a stream of its own name.
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

    /// `place` says where the value goes that is drawn first, second and so on. Returns where they start.
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

    /// Layers side by side of `outputs` each, from and to maps of so many pixels. Drawn input by input, of a map
    /// channel by channel.
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
struct Autoencoder {
    /// Those of the encoder, then those of the decoder.
    layers: Vec<Layer>,
    /// Running mean and variance of each layer.
    running: Vec<[Vec<f32>; 2]>,
    /// The mean of the latents and their log-variance, side by side.
    heads: Linear,
    open: Linear,
    /// For every pixel.
    paint: Linear,
    learnt: Learnt,
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
    fn new(channels: usize, settings: Settings, seed: Seed) -> Self {
        let Settings { width, latents, .. } = settings;
        let mut layout = Layout { seed: seed.child("autoencoder", 0), values: Vec::new() };
        let mut layer = |name: &str, level: usize, up: bool| {
            let shallow = if level == 0 { channels } else { width << (level - 1) };
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
    fn means(&self, images: &[f32]) -> Array2<f32> {
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

    /// Back through the same layers, from the gradient of their output to that of their input, which is empty for images.
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

    /// Paints images from the decoder's maps. Returns the mean squared error, and its gradient for the maps.
    fn paint(&mut self, maps: &[f32], images: &[f32]) -> (f64, Vec<f32>) {
        let Self { paint, workspace, learnt: Learnt { parameters, gradient, .. }, .. } = self;
        let (height, width, from, to) = (SIDE, SIDE, paint.inputs, paint.outputs);
        let batch = images.len() / (height * width * to);
        let g = Geometry { batch, height, width, from, to, size: 1, stride: 1, padding: 0 };
        let (weight, bias) = (&parameters[paint.weight..][..g.weight()], paint.bias(parameters));
        let slope = 2.0 / images.len() as f32;
        let mut painted = workspace.take(images.len());
        // Of each image the gradient of the bias and the squared errors, while every pixel becomes its gradient.
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

    /// The loss on images of one pool: the negative evidence lower bound for a pixel of variance 1, per pixel, up to a
    /// constant and the factor ½, and `adversary` times that of a discriminator that is to take them for labelled. Adds
    /// to the gradients of both. `noise` is [B, d].
    fn differentiate(
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
struct Discriminator {
    first: HiddenLayer,
    second: HiddenLayer,
    last: Linear,
    learnt: Learnt,
}

impl Discriminator {
    fn new(latents: usize, seed: Seed) -> Self {
        let mut layout = Layout { seed: seed.child("discriminator", 0), values: Vec::new() };
        let mut linear = |name, inputs, outputs| layout.linear(&[name], [inputs, outputs], [1, 1]);
        Self {
            first: HiddenLayer { linear: linear("first", latents, HIDDEN), norm: None },
            second: HiddenLayer { linear: linear("second", HIDDEN, HIDDEN), norm: None },
            last: linear("last", HIDDEN, 1),
            learnt: layout.learnt(),
        }
    }

    fn forward(&self, latents: ArrayView2<'_, f32>, tapes: &mut [HiddenTape<f32>; 2]) -> Array2<f32> {
        let (parameters, [first, second]) = (&self.learnt.parameters, tapes);
        let x = self.first.forward(parameters, latents, first);
        let x = self.second.forward(parameters, x, second);
        let mut logits = Array2::zeros((x.nrows(), 1));
        self.last.forward(parameters, x, logits.view_mut());
        logits
    }

    /// The binary cross-entropy with "labelled", or with "not labelled". Adds to the gradient, and writes that of the latents
    /// where it is wanted.
    fn differentiate(
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

/// Images brought to [n, channels, 32, 32] by the mean over the area of each pixel, mean 0 and variance 1 by channel
/// over both pools.
struct Small {
    channels: usize,
    pixels: Vec<u8>,
    /// Scale and shift of each channel.
    normal: Vec<(f32, f32)>,
}

/// What each of the 32 rows or columns takes of `size`: places and weights, which add up to 1.
fn areas(size: usize) -> Vec<Vec<(usize, f32)>> {
    let of = |n: usize| {
        let (from, to) = (n as f64 * size as f64 / SIDE as f64, (n + 1) as f64 * size as f64 / SIDE as f64);
        let places = (from as usize)..(to.ceil() as usize).min(size);
        let weight = |place: usize| to.min((place + 1) as f64) - from.max(place as f64);
        places.map(|place| (place, (weight(place) / (to - from)) as f32)).filter(|&(_, w)| w > 0.0).collect()
    };
    (0..SIDE).map(of).collect()
}

impl Small {
    fn of(images: ArrayView4<'_, u8>) -> Self {
        let (n, channels, height, width) = images.dim();
        let (rows, columns) = (areas(height), areas(width));
        let mut pixels = vec![0; n * channels * SIDE * SIDE];
        pixels.par_chunks_mut(SIDE * SIDE).enumerate().for_each(|(map, pixels)| {
            let (image, channel) = (map / channels, map % channels);
            for (at, pixel) in pixels.iter_mut().enumerate() {
                let (rows, columns) = (&rows[at / SIDE], &columns[at % SIDE]);
                let value = |&(y, a): &(usize, f32)| {
                    columns
                        .iter()
                        .map(|&(x, b)| a * b * f32::from(images[[image, channel, y, x]]))
                        .sum::<f32>()
                };
                *pixel = rows.iter().map(value).sum::<f32>().round() as u8;
            }
        });
        Self { channels, pixels, normal: Vec::new() }
    }

    fn len(&self) -> usize {
        self.pixels.len() / (self.channels * SIDE * SIDE)
    }

    /// Brings both pools to mean 0 and variance 1, counted over both, in whole numbers so that order changes nothing.
    fn normalise(pools: [&mut Self; 2]) {
        let channels = pools[0].channels;
        let mut sums = vec![[0_u64; 3]; channels];
        for pool in &pools {
            for (map, pixels) in pool.pixels.chunks(SIDE * SIDE).enumerate() {
                let [count, sum, squares] = &mut sums[map % channels];
                *count += pixels.len() as u64;
                for &pixel in pixels {
                    *sum += u64::from(pixel);
                    *squares += u64::from(pixel) * u64::from(pixel);
                }
            }
        }
        let normal = sums.iter().map(|&[count, sum, squares]| {
            let mean = sum as f64 / count as f64;
            let deviation = (squares as f64 / count as f64 - mean * mean).max(1.0).sqrt();
            ((1.0 / deviation) as f32, (-mean / deviation) as f32)
        });
        let normal: Vec<(f32, f32)> = normal.collect();
        for pool in pools {
            pool.normal.clone_from(&normal);
        }
    }

    /// Images [B, 32, 32, channels].
    fn batch(&self, rows: &[usize]) -> Vec<f32> {
        let size = self.channels * SIDE * SIDE;
        let mut values = vec![0.0; rows.len() * size];
        values.par_chunks_mut(size).zip(rows).for_each(|(values, &row)| {
            let maps = self.pixels[row * size..][..size].chunks(SIDE * SIDE).zip(&self.normal).enumerate();
            for (channel, (pixels, &(scale, shift))) in maps {
                let values = values[channel..].iter_mut().step_by(self.channels);
                values.zip(pixels).for_each(|(to, &pixel)| *to = scale * f32::from(pixel) + shift);
            }
        });
        values
    }
}

/// Rows in a new order for every pass, a batch at a time.
struct Rows {
    order: Vec<usize>,
    next: usize,
    rng: Rng,
}

impl Rows {
    fn new(order: Vec<usize>, rng: Rng) -> Self {
        Self { next: order.len(), order, rng }
    }

    /// `batch` rows, or all where there are fewer.
    fn take(&mut self, batch: usize) -> Vec<usize> {
        let batch = batch.min(self.order.len());
        if self.next + batch > self.order.len() {
            self.order.shuffle(&mut self.rng);
            self.next = 0;
        }
        self.next += batch;
        self.order[self.next - batch..self.next].to_vec()
    }
}

impl Strategy for Vaal {
    fn needs(&self) -> Needs {
        Needs::IMAGES
    }

    fn needs_of_labelled(&self) -> Needs {
        Needs::IMAGES
    }

    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection> {
        let unlabelled = query.unlabelled.images()?;
        // Of one image there is nothing to choose.
        if query.unlabelled.len() < 2 || query.n == 0 {
            return Selection::top(query, &vec![0.0; query.unlabelled.len()], Vec::new(), progress);
        }
        // BatchNorm cannot learn from one image.
        if query.labelled.len() < 2 {
            return Err(Error::input("VAAL tells labelled from unlabelled images, and too few are labelled")
                .expected("at least 2")
                .got(query.labelled.len())
                .hint("choose the first images with random, typiclust or core-set")
                .into());
        }
        let labelled = query.labelled.images()?;
        if labelled.dim().1 != unlabelled.dim().1 {
            return Err(Error::input("the images of the two pools have other colours")
                .expected(format!("{} channels, as of the unlabelled pool", unlabelled.dim().1))
                .got(labelled.dim().1)
                .into());
        }
        let (mut unlabelled, mut labelled) = (Small::of(unlabelled), Small::of(labelled));
        Small::normalise([&mut unlabelled, &mut labelled]);
        let (autoencoder, discriminator) = self.fit(query, &unlabelled, &labelled, progress)?;
        let scores = score(&autoencoder, &discriminator, &unlabelled, progress)?;
        let columns =
            vec![Column { name: term::DISCRIMINATOR, values: scores.iter().map(|s| 1.0 - s).collect() }];
        Selection::top(query, &scores, columns, progress)
    }
}

impl Vaal {
    fn fit(
        &self,
        query: &Query<'_>,
        unlabelled: &Small,
        labelled: &Small,
        progress: &mut Progress<'_>,
    ) -> Result<(Autoencoder, Discriminator)> {
        let Settings { latents, steps, autoencoder_steps, batch, learning_rate, adversary, .. } = self.0;
        let mut autoencoder = Autoencoder::new(unlabelled.channels, self.0, query.seed);
        let mut discriminator = Discriminator::new(latents, query.seed);
        let rows =
            |signals: &crate::Signals<'_>, name| Rows::new(signals.rows_by_id(), query.seed.stream(name));
        let mut from_labelled = rows(query.labelled, "vaal-labelled");
        let mut from_unlabelled = rows(query.unlabelled, "vaal-unlabelled");
        let mut stream = query.seed.stream("vaal-noise");
        for step in 1..=steps {
            let mut value = 0.0;
            let mut seen = [Vec::new(), Vec::new()];
            for _ in 0..autoencoder_steps {
                let rows = [from_labelled.take(batch), from_unlabelled.take(batch)];
                seen = [labelled.batch(&rows[0]), unlabelled.batch(&rows[1])];
                value = 0.0;
                for (images, rows) in seen.iter().zip(&rows) {
                    let noise = (0..rows.len() * latents).map(|_| StandardNormal.sample(&mut stream));
                    let noise: Vec<f32> = noise.collect();
                    // The autoencoder wants both pools to look labelled.
                    value += autoencoder.differentiate(images, &noise, &mut discriminator, adversary);
                }
                if !value.is_finite() {
                    return Err(Error::Diverged { network: "VAAL", step, learning_rate, loss: value });
                }
                autoencoder.learnt.step(learning_rate);
            }
            // Not what it would have taken to fool it, but what it learns: from the autoencoder as it now is, and in
            // evaluation mode, as when it scores.
            discriminator.learnt.gradient.fill(0.0);
            for (images, labelled) in seen.iter().zip([true, false]) {
                discriminator.differentiate(autoencoder.means(images).view(), labelled, None);
            }
            discriminator.learnt.step(learning_rate);
            let (phase, unit, loss) = ("VAAL", "step", Some(value));
            report(progress, Event::Progress { phase, done: step, total: steps, unit, loss })?;
        }
        Ok((autoencoder, discriminator))
    }
}

/// 1 − the discriminator's probability of "labelled".
fn score(
    autoencoder: &Autoencoder,
    discriminator: &Discriminator,
    images: &Small,
    progress: &mut Progress<'_>,
) -> Result<Vec<f64>> {
    let total = images.len();
    let mut scores = Vec::with_capacity(total);
    for first in (0..total).step_by(BLOCK) {
        // Blocks of one shape, the last one filled up with its last image: how a product sums goes by its shape, and equal
        // images are to tie.
        let count = BLOCK.min(total - first);
        let rows: Vec<usize> = (first..first + BLOCK).map(|row| row.min(total - 1)).collect();
        let means = autoencoder.means(&images.batch(&rows));
        let logits = discriminator.forward(means.view(), &mut Default::default());
        scores.extend(logits.iter().take(count).map(|&logit| f64::from(sigmoid(-logit))));
        let (phase, unit, done) = ("score", "image", first + count);
        report(progress, Event::Progress { phase, done, total, unit, loss: None })?;
    }
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array4, s};

    use super::*;
    use crate::Signals;
    use crate::progress::silent;

    fn quick() -> Vaal {
        Vaal(Settings {
            width: 2,
            latents: 4,
            steps: 40,
            autoencoder_steps: 2,
            batch: 16,
            learning_rate: 5e-3,
            adversary: 0.01,
        })
    }

    /// Grey images of 20 × 24: a bright half, above where `up`, else on the left, and noise.
    fn images(n: usize, up: impl Fn(usize) -> bool, name: &str) -> Array4<u8> {
        let mut rng = Seed::new(3).stream(name);
        Array4::from_shape_fn((n, 1, 20, 24), |(image, _, y, x)| {
            let bright = if up(image) { y < 10 } else { x < 12 };
            let noise: f32 = StandardNormal.sample(&mut rng);
            (if bright { 180.0 } else { 60.0 } + 10.0 * noise) as u8
        })
    }

    fn ask(u: &Signals<'_>, l: &Signals<'_>, n: usize) -> Result<Selection> {
        let labels = vec![0; l.len()];
        let query = Query { unlabelled: u, labelled: l, labels: &labels, classes: 2, n, seed: Seed::new(1) };
        query.check(&quick())?;
        quick().select(&query, &mut silent())
    }

    fn pool(first: u64, images: Array4<u8>) -> Signals<'static> {
        Signals::new((first..).take(images.dim().0).collect()).with_images(images).unwrap()
    }

    #[test]
    fn it_asks_for_what_looks_unlike_the_labelled_pool() {
        let labelled = pool(1000, images(40, |_| true, "l"));
        let unlabelled = pool(0, images(60, |image| image % 2 == 0, "u"));
        let selection = ask(&unlabelled, &labelled, 20).unwrap();
        let unlike = selection.ids.iter().filter(|&&id| id % 2 == 1).count();
        assert!(unlike >= 18, "{unlike} of 20");
        assert!(selection.scores.iter().all(|score| (0.0..=1.0).contains(score)));
    }

    #[test]
    fn order_and_threads_change_no_pick() {
        let (l, u) = (images(10, |image| image % 3 == 0, "l"), images(20, |image| image % 2 == 0, "u"));
        let (labelled, unlabelled) = (pool(1000, l.clone()), pool(0, u.clone()));
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let expected = one.install(|| ask(&unlabelled, &labelled, 8)).unwrap();
        assert_eq!(ask(&unlabelled, &labelled, 8).unwrap(), expected);
        let turned = Signals::new((0..20).rev().collect())
            .with_images(u.slice(s![..;-1, .., .., ..]).to_owned())
            .unwrap();
        let turned_l = Signals::new((1000..1010).rev().collect())
            .with_images(l.slice(s![..;-1, .., .., ..]).to_owned())
            .unwrap();
        assert_eq!(ask(&turned, &turned_l, 8).unwrap().ids, expected.ids);
    }

    #[test]
    fn an_image_of_any_size_becomes_the_mean_over_areas() {
        for size in [1, 2, 20, 28, 32, 33, 64, 100] {
            for weights in areas(size) {
                let sum: f32 = weights.iter().map(|&(_, weight)| weight).sum();
                assert!((sum - 1.0).abs() < 1e-5 && weights.iter().all(|&(place, _)| place < size));
            }
        }
        let halves =
            Array4::from_shape_fn((1, 3, 64, 64), |(_, c, y, x)| (10 * c + 4 * (y % 2) + 2 * (x % 2)) as u8);
        let small = Small::of(halves.view());
        assert!(
            small
                .pixels
                .chunks(SIDE * SIDE)
                .zip([3, 13, 23])
                .all(|(map, mean)| map.iter().all(|&p| p == mean))
        );
        let same = Array4::from_shape_fn((2, 1, 32, 32), |(n, _, y, x)| (n * 100 + y + 2 * x) as u8);
        assert_eq!(Small::of(same.view()).pixels, same.into_raw_vec_and_offset().0);
    }

    #[test]
    fn the_edges() {
        let (labelled, unlabelled) =
            (pool(1000, images(3, |_| true, "l")), pool(0, images(4, |_| true, "u")));
        assert_eq!(ask(&unlabelled, &labelled, 9).unwrap().ids.len(), 4);
        assert!(ask(&unlabelled, &labelled, 0).unwrap().ids.is_empty());
        let error = ask(&unlabelled, &Signals::default(), 2).unwrap_err().to_string();
        assert!(error.contains("at least 2") && error.contains("core-set"), "{error}");
        let red = pool(2000, Array4::zeros((3, 3, 32, 32)));
        let error = ask(&unlabelled, &red, 2).unwrap_err().to_string();
        assert!(error.contains("1 channels") && error.contains("got: 3"), "{error}");
    }

    /// Images that gradients are checked with.
    const BATCH: usize = 4;

    /// A layer by its definition, in f64: convolution or transpose, BatchNorm of the batch, ReLU.
    fn layer(l: &Layer, p: &[f64], x: &[f64]) -> Vec<f64> {
        let (side, half, width) = (l.side, l.side / 2, l.width());
        let (large, small) = (side * side * l.shallow, half * half * l.deep);
        let (input, output) = if l.up { (small, large) } else { (large, small) };
        assert_eq!(x.len(), BATCH * input);
        let mut y = vec![0.0; BATCH * output];
        for at in 0..BATCH * half * half {
            let (image, row, column) = (at / (half * half), at / half % half, at % half);
            for tap in 0..16 {
                let (i, j) = ((2 * row + tap / 4).wrapping_sub(1), (2 * column + tap % 4).wrapping_sub(1));
                if i >= side || j >= side {
                    continue;
                }
                for (deep, shallow) in (0..l.deep * l.shallow).map(|n| (n / l.shallow, n % l.shallow)) {
                    let w = p[l.start + (deep * l.shallow + shallow) * 16 + tap];
                    let of_large = ((image * side + i) * side + j) * l.shallow + shallow;
                    let of_small = at * l.deep + deep;
                    let (to, from) = if l.up { (of_large, of_small) } else { (of_small, of_large) };
                    y[to] += w * x[from];
                }
            }
        }
        let (norm, n) = (&p[l.start + 16 * l.deep * l.shallow..], (y.len() / width) as f64);
        for channel in 0..width {
            let sum =
                |of: &dyn Fn(f64) -> f64| y.iter().skip(channel).step_by(width).map(|&v| of(v)).sum::<f64>();
            let mean = sum(&|v| v) / n;
            let deviation = (sum(&|v| (v - mean).powi(2)) / n + 1e-5).sqrt();
            for v in y.iter_mut().skip(channel).step_by(width) {
                *v = (norm[channel] * (*v - mean) / deviation + norm[width + channel]).max(0.0);
            }
        }
        y
    }

    fn linear(l: &Linear, p: &[f64], x: &[f64]) -> Vec<f64> {
        let rows = x.chunks(l.inputs).flat_map(|x| (0..l.outputs).map(move |output| (x, output)));
        let product = |(x, output): (&[f64], usize)| {
            let weight = &p[l.weight + output * l.inputs..];
            p[l.bias + output] + x.iter().zip(weight).map(|(x, w)| x * w).sum::<f64>()
        };
        rows.map(product).collect()
    }

    /// Cross-entropy of the discriminator.
    fn judged(d: &Discriminator, p: &[f64], latents: &[f64], labelled: bool) -> f64 {
        let hidden = |l: &HiddenLayer, x: &[f64]| -> Vec<f64> {
            linear(&l.linear, p, x).iter().map(|v| v.max(0.0)).collect()
        };
        let logits = linear(&d.last, p, &hidden(&d.second, &hidden(&d.first, latents)));
        let sign = if labelled { -1.0 } else { 1.0 };
        crate::metrics::mean(logits.iter().map(|logit| (1.0 + (sign * logit).exp()).ln()))
    }

    /// Means and log-variances of the latents, [B, 2, d].
    fn encoded(a: &Autoencoder, p: &[f64], images: &[f64]) -> Vec<f64> {
        let code = a.layers[ENCODER].iter().fold(images.to_vec(), |x, l| layer(l, p, &x));
        linear(&a.heads, p, &code)
    }

    fn loss(a: &Autoencoder, p: &[f64], images: &[f64], noise: &[f64], judge: impl Fn(&[f64]) -> f64) -> f64 {
        let d = a.open.inputs;
        let (mut means, mut drawn, mut kl) = (Vec::new(), Vec::new(), 0.0);
        for (code, noise) in encoded(a, p, images).chunks(2 * d).zip(noise.chunks(d)) {
            for (j, noise) in noise.iter().enumerate() {
                let (mean, log_variance) = (code[j], code[d + j]);
                means.push(mean);
                drawn.push(mean + (log_variance / 2.0).exp() * noise);
                kl += mean * mean + log_variance.exp() - log_variance - 1.0;
            }
        }
        let maps = a.layers[DECODER].iter().fold(linear(&a.open, p, &drawn), |x, l| layer(l, p, &x));
        let painted = linear(&a.paint, p, &maps);
        let squares: f64 = painted.iter().zip(images).map(|(painted, image)| (painted - image).powi(2)).sum();
        (squares + kl) / images.len() as f64 + judge(&means)
    }

    fn widened(values: &[f32]) -> Vec<f64> {
        values.iter().map(|&value| f64::from(value)).collect()
    }

    fn noise(n: usize, name: &str) -> Vec<f32> {
        let mut rng = Seed::new(4).stream(name);
        (0..n).map(|_| StandardNormal.sample(&mut rng)).collect()
    }

    /// Tiny networks with parameters that are none of the round first values; images of three channels, and noise.
    fn networks() -> (Autoencoder, Discriminator, Vec<f32>, Vec<f32>) {
        let settings = Settings { width: 2, latents: 3, ..Settings::default() };
        let mut a = Autoencoder::new(3, settings, Seed::new(2));
        let mut d = Discriminator::new(3, Seed::new(2));
        for (learnt, name) in [(&mut a.learnt, "autoencoder"), (&mut d.learnt, "discriminator")] {
            let moved = noise(learnt.parameters.len(), name);
            learnt.parameters.iter_mut().zip(moved).for_each(|(value, by)| *value += 0.1 * by);
        }
        (a, d, noise(BATCH * 3 * SIDE * SIDE, "images"), noise(BATCH * 3, "noise"))
    }

    /// Compares some of each array's values; `starts` says where the arrays start.
    fn assert_gradient(learnt: &Learnt, mut starts: Vec<usize>, loss: impl Fn(&[f64]) -> f64) {
        let mut p = widened(&learnt.parameters);
        starts.push(p.len());
        starts.sort_unstable();
        for span in starts.windows(2) {
            let all = &learnt.gradient[span[0]..span[1]];
            let largest = all.iter().fold(0.0, |largest: f64, &value| largest.max(f64::from(value).abs()));
            for at in (span[0]..span[1]).step_by((all.len() / 8).max(1) | 1) {
                let before = p[at];
                let [above, below] = [1e-5, -1e-5].map(|by| {
                    p[at] = before + by;
                    loss(&p)
                });
                p[at] = before;
                let (got, expected) = (f64::from(learnt.gradient[at]), (above - below) / 2e-5);
                assert!((got - expected).abs() < 2e-5 * largest, "{at} of {span:?}: {got}, not {expected}");
            }
        }
    }

    #[test]
    fn the_autoencoders_gradient_is_that_of_finite_differences() {
        let (mut a, mut d, images, noise) = networks();
        let of_discriminator = widened(&d.learnt.parameters);
        let got = a.differentiate(&images, &noise, &mut d, 0.7);
        let (images, noise) = (widened(&images), widened(&noise));
        let judge = |means: &[f64]| 0.7 * judged(&d, &of_discriminator, means, true);
        let loss = |p: &[f64]| loss(&a, p, &images, &noise, judge);
        let expected = loss(&widened(&a.learnt.parameters));
        assert!((got - expected).abs() < 1e-5 * expected, "{got}, not {expected}");
        let of_layer = |l: &Layer| {
            [0, 16 * l.deep * l.shallow, 16 * l.deep * l.shallow + l.width()].map(|n| l.start + n)
        };
        let linears = [a.heads, a.open, a.paint].iter().flat_map(|l| [l.weight, l.bias]).collect::<Vec<_>>();
        assert_gradient(&a.learnt, a.layers.iter().flat_map(of_layer).chain(linears).collect(), loss);
    }

    #[test]
    fn the_discriminators_gradient_is_that_of_finite_differences() {
        let (_, mut d, _, latents) = networks();
        let (l, u) = latents.split_at(9);
        let got = d.differentiate(matrix(l, 3), true, None) + d.differentiate(matrix(u, 1), false, None);
        let (l, u) = (widened(l), widened(u));
        let loss = |p: &[f64]| judged(&d, p, &l, true) + judged(&d, p, &u, false);
        let expected = loss(&widened(&d.learnt.parameters));
        assert!((got - expected).abs() < 1e-5 * expected, "{got}, not {expected}");
        let linears = [d.first.linear, d.second.linear, d.last];
        assert_gradient(&d.learnt, linears.iter().flat_map(|l| [l.weight, l.bias]).collect(), loss);
    }

    #[test]
    fn evaluation_has_the_statistics_of_the_batches_it_was_trained_on() {
        let (mut a, mut d, images, noise) = networks();
        // Of always the same one.
        for _ in 0..200 {
            a.differentiate(&images, &noise, &mut d, 1.0);
        }
        let expected = encoded(&a, &widened(&a.learnt.parameters), &widened(&images));
        for (got, expected) in a.means(&images).rows().into_iter().zip(expected.chunks(6)) {
            let near = |(got, expected): (&f32, &f64)| (f64::from(*got) - expected).abs() < 1e-4;
            assert!(got.iter().zip(expected).all(near), "{got}, not {expected:?}");
        }
    }

    #[test]
    fn softplus_holds_at_any_logit() {
        assert_eq!(softplus(0.0), std::f64::consts::LN_2);
        assert_eq!((softplus(1e30), softplus(-1e30)), (1e30, 0.0));
        assert!((softplus(-40.0) / (-40.0_f64).exp() - 1.0).abs() < 1e-12);
        assert!(softplus(f64::NAN).is_nan());
    }
}
