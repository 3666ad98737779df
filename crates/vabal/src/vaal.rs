//! VAAL: a variational autoencoder and a discriminator play against each other over which images
//! are labelled, and the images that look the least labelled are asked (Sinha, Ebrahimi & Darrell,
//! "Variational Adversarial Active Learning", ICCV 2019).
//!
//! The one strategy that looks at images, and with networks of its own. They are the authors' (code
//! of 2019), narrower by default, on images of 32 × 32. Never here: the classifier, labels.

mod networks;
#[cfg(test)]
mod tests;

use ndarray::ArrayView4;
use rand::seq::SliceRandom as _;
use rand_distr::{Distribution as _, StandardNormal};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, within};
use crate::progress::{Event, Progress, report};
use crate::query::strategies::layers::sigmoid;
use crate::query::{Column, Needs, Query, Row, Selection, Strategy, StrategySettings, Table, term};
use crate::rng::Rng;
use networks::{Autoencoder, Discriminator};

/// Height and width of what the autoencoder sees.
const SIDE: usize = 32;
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
    /// Steps of the autoencoder in a turn, each on images of its own, before the discriminator
    /// makes one; 2 in the authors' code.
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

/// Images brought to [n, channels, 32, 32] by the mean over the area of each pixel, mean 0 and
/// variance 1 by channel over both pools.
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

    /// Brings both pools to mean 0 and variance 1, counted over both, in whole numbers so that
    /// order changes nothing.
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
            // Not what it would have taken to fool it, but what it learns: from the autoencoder as
            // it now is, and in evaluation mode, as when it scores.
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
        // Blocks of one shape, the last one filled up with its last image: how a product sums goes
        // by its shape, and equal images are to tie.
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
