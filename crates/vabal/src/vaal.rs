//! VAAL: a variational autoencoder and a discriminator play against each other over which images are labelled, and the
//! images that look the least labelled are asked (Sinha, Ebrahimi & Darrell, "Variational Adversarial Active
//! Learning", ICCV 2019).
//!
//! The one strategy that looks at images, and with networks of its own. They are the authors' (code of 2019), narrower
//! by default, on images of 32 × 32. Never here: the classifier, labels.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::{relu, sigmoid, softplus};
use burn::tensor::{Device as BurnDevice, Tensor, TensorData};
use ndarray::ArrayView4;
use rand::seq::SliceRandom as _;
use rand_distr::{Distribution as _, StandardNormal};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::device::Device;
use crate::error::{Error, Result, within};
use crate::parameters;
use crate::progress::{Event, Progress, report};
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

/// Images [B, channels, 32, 32] to latents [B, d] and back.
#[derive(Module, Debug)]
struct Autoencoder {
    encode: Vec<Conv2d>,
    encode_norm: Vec<BatchNorm>,
    mean: Linear,
    log_variance: Linear,
    open: Linear,
    decode: Vec<ConvTranspose2d>,
    decode_norm: Vec<BatchNorm>,
    paint: Conv2d,
}

/// Latents [B, d] to the logit of "labelled" [B, 1].
#[derive(Module, Debug)]
struct Discriminator {
    first: Linear,
    second: Linear,
    last: Linear,
}

impl Autoencoder {
    fn new(channels: usize, settings: Settings, device: &BurnDevice, seed: Seed) -> Self {
        let Settings { width, latents, .. } = settings;
        let deep = width << (DEPTH - 1);
        let conv = |from: usize, to: usize, size: usize, stride: usize, padding: usize| {
            Conv2dConfig::new([from, to], [size, size])
                .with_stride([stride, stride])
                .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
                .with_bias(size == 1)
                .with_initializer(Initializer::Zeros)
                .init(device)
        };
        let back = |from: usize, to: usize| {
            ConvTranspose2dConfig::new([from, to], [4, 4])
                .with_stride([2, 2])
                .with_padding([1, 1])
                .with_bias(false)
                .with_initializer(Initializer::Zeros)
                .init(device)
        };
        let norm = |width: usize| BatchNormConfig::new(width).init(device);
        let from = |l: usize| if l == 0 { channels } else { width << (l - 1) };
        let map = SIDE >> DEPTH;
        let module = Self {
            encode: (0..DEPTH).map(|l| conv(from(l), width << l, 4, 2, 1)).collect(),
            encode_norm: (0..DEPTH).map(|l| norm(width << l)).collect(),
            mean: linear(deep * map * map, latents, device),
            log_variance: linear(deep * map * map, latents, device),
            // The decoder starts at twice the side that the encoder ends at, and has a layer less.
            open: linear(latents, deep * 4 * map * map, device),
            decode: (1..DEPTH).rev().map(|l| back(width << l, width << (l - 1))).collect(),
            decode_norm: (1..DEPTH).rev().map(|l| norm(width << (l - 1))).collect(),
            paint: conv(width, channels, 1, 1, 0),
        };
        first_values(module, device, seed.child("autoencoder", 0))
    }

    /// Mean and log-variance of the latents.
    fn encode(&self, images: Tensor<4>) -> (Tensor<2>, Tensor<2>) {
        let mut x = images;
        for (conv, norm) in self.encode.iter().zip(&self.encode_norm) {
            x = relu(norm.forward(conv.forward(x)));
        }
        let flat: Tensor<2> = x.flatten(1, 3);
        (self.mean.forward(flat.clone()), self.log_variance.forward(flat))
    }

    fn decode(&self, latents: Tensor<2>) -> Tensor<4> {
        let opened = self.open.forward(latents);
        let [batch, values] = opened.dims();
        let side = 2 * (SIDE >> DEPTH);
        let mut x = opened.reshape([batch, values / (side * side), side, side]);
        for (conv, norm) in self.decode.iter().zip(&self.decode_norm) {
            x = relu(norm.forward(conv.forward(x)));
        }
        self.paint.forward(x)
    }

    /// The negative evidence lower bound of `images` for a pixel of variance 1, per pixel, up to a constant and the
    /// factor ½, and the mean of the latents. `noise` is [B, d].
    fn loss(&self, images: Tensor<4>, noise: Tensor<2>) -> (Tensor<1>, Tensor<2>) {
        let [_, channels, height, width] = images.dims();
        let (mean, log_variance) = self.encode(images.clone());
        let drawn = mean.clone() + log_variance.clone().mul_scalar(0.5).exp() * noise;
        let error = (self.decode(drawn) - images).powi_scalar(2).mean();
        let kl = mean.clone().powi_scalar(2) + log_variance.clone().exp() - log_variance.add_scalar(1.0);
        let kl = kl.sum_dim(1).mean().div_scalar((channels * height * width) as f32);
        (error + kl, mean)
    }
}

impl Discriminator {
    fn new(latents: usize, device: &BurnDevice, seed: Seed) -> Self {
        let module = Self {
            first: linear(latents, HIDDEN, device),
            second: linear(HIDDEN, HIDDEN, device),
            last: linear(HIDDEN, 1, device),
        };
        first_values(module, device, seed.child("discriminator", 0))
    }

    fn forward(&self, latents: Tensor<2>) -> Tensor<2> {
        let x = relu(self.first.forward(latents));
        self.last.forward(relu(self.second.forward(x)))
    }
}

/// Binary cross-entropy of logits with "labelled", or with "not labelled".
fn cross_entropy(logits: Tensor<2>, labelled: bool) -> Tensor<1> {
    softplus(if labelled { logits.neg() } else { logits }, 1.0).mean()
}

fn linear(from: usize, to: usize, device: &BurnDevice) -> Linear {
    LinearConfig::new(from, to).with_initializer(Initializer::Zeros).init(device)
}

/// Kaiming's normal values for weights, 1 and 0 for BatchNorm, 0 for biases: as in the authors' code. Every parameter
/// has a stream of its own name.
fn first_values<M: Module>(module: M, device: &BurnDevice, seed: Seed) -> M {
    let value = |name: &str, shape: &[usize]| -> Result<Vec<f32>, std::convert::Infallible> {
        let n: usize = shape.iter().product();
        let fan_in = match shape {
            // [in, out], as burn keeps a linear layer.
            [inputs, _] => *inputs,
            [_, channels, height, width] => channels * height * width,
            _ if name.ends_with("weight") || name.ends_with("running_var") => return Ok(vec![1.0; n]),
            _ => return Ok(vec![0.0; n]),
        };
        let deviation = (2.0 / fan_in as f32).sqrt();
        let mut rng = seed.stream(name);
        Ok((0..n)
            .map(|_| {
                let value: f32 = StandardNormal.sample(&mut rng);
                deviation * value
            })
            .collect())
    };
    match parameters::fill(module, device, value) {
        Ok(module) => module,
        Err(never) => match never {},
    }
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

    fn batch(&self, rows: &[usize], device: &BurnDevice) -> Tensor<4> {
        let size = self.channels * SIDE * SIDE;
        let mut values = vec![0.0; rows.len() * size];
        values.par_chunks_mut(size).zip(rows).for_each(|(values, &row)| {
            let pixels = &self.pixels[row * size..][..size];
            let maps = values.chunks_mut(SIDE * SIDE).zip(pixels.chunks(SIDE * SIDE)).zip(&self.normal);
            for ((values, pixels), &(scale, shift)) in maps {
                values.iter_mut().zip(pixels).for_each(|(to, &pixel)| *to = scale * f32::from(pixel) + shift);
            }
        });
        Tensor::from_data(TensorData::new(values, [rows.len(), self.channels, SIDE, SIDE]), device)
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
        let device = Device::Cpu.open()?.autodiff();
        let mut autoencoder = Autoencoder::new(unlabelled.channels, self.0, &device, query.seed);
        let mut discriminator = Discriminator::new(latents, &device, query.seed);
        let adam = || -> ModuleOptimizer { AdamConfig::new().with_epsilon(1e-8).init() };
        let (mut adam_autoencoder, mut adam_discriminator) = (adam(), adam());
        let rows =
            |signals: &crate::Signals<'_>, name| Rows::new(signals.rows_by_id(), query.seed.stream(name));
        let mut from_labelled = rows(query.labelled, "vaal-labelled");
        let mut from_unlabelled = rows(query.unlabelled, "vaal-unlabelled");
        let mut noise = query.seed.stream("vaal-noise");
        for step in 1..=steps {
            let mut value = 0.0;
            let mut seen = None;
            for _ in 0..autoencoder_steps {
                let l = labelled.batch(&from_labelled.take(batch), &device);
                let u = unlabelled.batch(&from_unlabelled.take(batch), &device);
                let mut drawn = |images: &Tensor<4>| {
                    let shape = [images.dims()[0], latents];
                    let values: Vec<f32> =
                        (0..shape[0] * latents).map(|_| StandardNormal.sample(&mut noise)).collect();
                    Tensor::<2>::from_data(TensorData::new(values, shape), &device)
                };
                let (loss_l, mean_l) = autoencoder.loss(l.clone(), drawn(&l));
                let (loss_u, mean_u) = autoencoder.loss(u.clone(), drawn(&u));
                // The autoencoder wants both pools to look labelled.
                let fooled = cross_entropy(discriminator.forward(mean_l), true)
                    + cross_entropy(discriminator.forward(mean_u), true);
                let loss = loss_l + loss_u + fooled.mul_scalar(adversary);
                value = f64::from(loss.clone().try_into_scalar::<f32>().map_err(Device::Cpu.failed())?);
                if !value.is_finite() {
                    return Err(Error::Diverged { network: "VAAL", step, learning_rate, loss: value });
                }
                let gradients = GradientsParams::from_grads(loss.backward(), &autoencoder);
                autoencoder = adam_autoencoder.step(learning_rate, autoencoder, gradients);
                seen = Some((l, u));
            }
            if let Some((l, u)) = seen {
                // Of the autoencoder as it now is, and in evaluation mode, as when it scores.
                let frozen = autoencoder.valid();
                let mean = |images: Tensor<4>| Tensor::from_inner(frozen.encode(images.inner()).0);
                let told = cross_entropy(discriminator.forward(mean(l)), true)
                    + cross_entropy(discriminator.forward(mean(u)), false);
                let gradients = GradientsParams::from_grads(told.backward(), &discriminator);
                discriminator = adam_discriminator.step(learning_rate, discriminator, gradients);
            }
            let (phase, unit, loss) = ("VAAL", "step", Some(value));
            report(progress, Event::Progress { phase, done: step, total: steps, unit, loss })?;
        }
        Ok((autoencoder.valid(), discriminator.valid()))
    }
}

/// 1 − the discriminator's probability of "labelled", of frozen networks.
fn score(
    autoencoder: &Autoencoder,
    discriminator: &Discriminator,
    images: &Small,
    progress: &mut Progress<'_>,
) -> Result<Vec<f64>> {
    let device = Device::Cpu.open()?;
    let total = images.len();
    let mut scores = Vec::with_capacity(total);
    for first in (0..total).step_by(BLOCK) {
        let rows: Vec<usize> = (first..(first + BLOCK).min(total)).collect();
        let (mean, _) = autoencoder.encode(images.batch(&rows, &device));
        let data =
            sigmoid(discriminator.forward(mean).neg()).try_into_data().map_err(Device::Cpu.failed())?;
        scores.extend(data.iter::<f32>().map(f64::from));
        let (phase, unit, done) = ("score", "image", first + rows.len());
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
}
