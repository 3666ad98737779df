//! The fitted VAE at work: one encode per image, S draws of z from it, the VAE's own predictions,
//! and the two class terms that come of them (Eqs. 11 and 12).
//!
//! In evaluation mode every BatchNorm folds into the Linear beside it, in f64. Never here: the
//! score.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};
use rayon::prelude::*;

use super::loss::{deviations, draw, kl, predicted};
use super::settings::{Absence, Settings};
use super::vae::{AdapterLayer, Architecture, HIDDEN, Vae};
use crate::Signals;
use crate::arrays::ArrayRows;
use crate::error::Result;
use crate::kernels::{Threads, matmul, wide};
use crate::progress::{Event, Progress, report};
use crate::rng::Seed;
use crate::strategies::layers::{HiddenLayer, Linear, rows, rows_mut, sigmoid};
use crate::{Id, Label};

/// Images that one thread encodes at a time.
const CHUNK: usize = 32;

/// y = x·W + b with everything folded in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dense {
    /// [inputs, outputs]: the layout that a product reads without rearranging it first.
    pub weight: Array2<f32>,
    pub bias: Vec<f32>,
}

impl Dense {
    /// Folds the affine map (scale, shift) of the layer before, if any, into this one.
    fn folding(linear: Linear, parameters: &[f32], before: Option<&(Vec<f32>, Vec<f32>)>) -> Self {
        let mut weight = linear.weight(parameters).to_owned();
        let mut bias = linear.bias(parameters).to_vec();
        if let Some((scale, shift)) = before {
            for (mut row, bias) in weight.rows_mut().into_iter().zip(&mut bias) {
                let moved: f64 = row.iter().zip(shift).map(|(&w, &s)| f64::from(w) * f64::from(s)).sum();
                *bias = (f64::from(*bias) + moved) as f32;
                row.iter_mut().zip(scale).for_each(|(w, &s)| *w *= s);
            }
        }
        Self { weight: weight.t().as_standard_layout().into_owned(), bias }
    }

    /// x·W into `y`, without the bias.
    pub fn product(&self, x: ArrayView2<'_, f32>, y: ArrayViewMut2<'_, f32>) {
        matmul(x, self.weight.view(), 0.0, y, Threads::One);
    }

    fn apply(&self, x: ArrayView2<'_, f32>, activation: impl Fn(f32) -> f32) -> Array2<f32> {
        let mut y = Array2::zeros((x.nrows(), self.bias.len()));
        self.product(x, y.view_mut());
        add_bias(&mut y, &self.bias, activation);
        y
    }
}

/// y = activation(y + bias), row by row.
pub(super) fn add_bias(y: &mut Array2<f32>, bias: &[f32], activation: impl Fn(f32) -> f32) {
    let y = y.as_slice_mut().expect("row-major");
    wide(
        #[inline(always)]
        || {
            for row in y.chunks_exact_mut(bias.len()) {
                for (y, &bias) in row.iter_mut().zip(bias) {
                    *y = activation(*y + bias);
                }
            }
        },
    );
}

/// The VAE, frozen and folded, ready to encode and to draw.
#[derive(Debug, Clone)]
pub(super) struct Frozen {
    pub architecture: Architecture,
    adapters: Vec<FrozenAdapter>,
    encoder: Vec<Dense>,
    mean: Dense,
    log_variance: Dense,
    /// The decoder's hidden layers.
    pub decoder: Vec<Dense>,
    /// The decoder's last layer, to x̂.
    pub output: Dense,
    absence: Absence,
    draws: usize,
    seed: Seed,
}

#[derive(Debug, Clone)]
enum FrozenAdapter {
    Sigmoid(Dense),
    /// Linear and ReLU, then scale and shift.
    Relu(Dense, Vec<f32>, Vec<f32>),
}

/// A chunk of images, encoded.
pub(super) struct Encoded {
    /// x [n, D]
    pub x: Array2<f32>,
    /// μ [n, C·K]
    pub mean: Array2<f32>,
    /// σ [n, C·K]
    pub deviation: Array2<f32>,
    /// The KL term of each image, a mean over its latents.
    pub kl: Vec<f64>,
}

impl Frozen {
    /// Freezes `vae`. The draws of an image depend on `seed` and its id alone.
    pub fn new(vae: &Vae<f32>, settings: &Settings, seed: Seed) -> Self {
        let (p, running) = (&vae.parameters[..], &vae.running[..]);
        let stack = |layers: &[HiddenLayer]| {
            let mut before = None;
            let dense: Vec<Dense> = layers
                .iter()
                .map(|layer| {
                    let dense = Dense::folding(layer.linear, p, before.as_ref());
                    before = layer.norm.map(|norm| norm.folded(p, running));
                    dense
                })
                .collect();
            (dense, before)
        };
        let adapters = (vae.adapters.iter())
            .map(|layer| match layer {
                AdapterLayer::Sigmoid { norm, linear } => {
                    FrozenAdapter::Sigmoid(Dense::folding(*linear, p, Some(&norm.folded(p, running))))
                }
                AdapterLayer::Relu(HiddenLayer { linear, norm }) => {
                    let dense = Dense::folding(*linear, p, None);
                    let width = dense.bias.len();
                    let (scale, shift) = norm
                        .map_or_else(|| (vec![1.0; width], vec![0.0; width]), |norm| norm.folded(p, running));
                    FrozenAdapter::Relu(dense, scale, shift)
                }
            })
            .collect();
        let (encoder, before_heads) = stack(&vae.encoder);
        let (decoder, before_output) = stack(&vae.decoder);
        Self {
            architecture: vae.architecture.clone(),
            adapters,
            encoder,
            mean: Dense::folding(vae.mean, p, before_heads.as_ref()),
            log_variance: Dense::folding(vae.log_variance, p, before_heads.as_ref()),
            decoder,
            output: Dense::folding(vae.output, p, before_output.as_ref()),
            absence: settings.absence,
            draws: settings.draws,
            seed,
        }
    }

    /// S.
    pub fn draws(&self) -> usize {
        self.draws
    }

    /// Encodes the images in `range` of `stages`, each [n, d_l].
    pub fn encode(&self, stages: &[ArrayRows<'_, f32>], range: std::ops::Range<usize>) -> Encoded {
        let mut x = Array2::zeros((range.len(), self.architecture.inputs()));
        for (l, (adapter, stage)) in self.adapters.iter().zip(stages).enumerate() {
            let features = stage.gather(range.clone());
            let part = match adapter {
                FrozenAdapter::Sigmoid(dense) => dense.apply(features.view(), sigmoid),
                FrozenAdapter::Relu(dense, scale, shift) => {
                    let mut part = dense.apply(features.view(), |v| v.max(0.0));
                    for mut row in part.rows_mut() {
                        for ((v, &scale), &shift) in row.iter_mut().zip(scale).zip(shift) {
                            *v = *v * scale + shift;
                        }
                    }
                    part
                }
            };
            x.slice_mut(s![.., l * HIDDEN..(l + 1) * HIDDEN]).assign(&part);
        }
        let mut hidden = self.encoder[0].apply(x.view(), |v| v.max(0.0));
        for layer in &self.encoder[1..] {
            hidden = layer.apply(hidden.view(), |v| v.max(0.0));
        }
        let mean = self.mean.apply(hidden.view(), |v| v);
        let log_variance = self.log_variance.apply(hidden.view(), |v| v);
        let mut deviation = Array2::zeros(mean.dim());
        let kl = (rows(mean.view()).zip(rows(log_variance.view())).zip(rows_mut(deviation.view_mut())))
            .map(|((mean, log_variance), deviation)| {
                deviations(log_variance, deviation);
                kl(mean, log_variance, deviation)
            })
            .collect();
        Encoded { x, mean, deviation, kl }
    }

    /// Writes the S draws of image `row` of `encoded` into `z` [S, C·K].
    pub fn draw(&self, encoded: &Encoded, row: usize, id: Id, z: &mut Array2<f32>) {
        let mut normals = self.seed.child("vae-draws", id).normals("z");
        let (mean, deviation) = (encoded.mean.row(row), encoded.deviation.row(row));
        let (mean, deviation) =
            (mean.as_slice().expect("row-major"), deviation.as_slice().expect("row-major"));
        for z in rows_mut(z.view_mut()) {
            normals.fill(z);
            draw(mean, deviation, z);
        }
    }

    /// ŷ of every draw, Eq. 7.
    pub fn predictions(&self, z: &Array2<f32>) -> impl Iterator<Item = usize> {
        let (absence, latents) = (self.absence, self.architecture.latents);
        z.as_slice().expect("row-major").chunks_exact(z.ncols()).map(move |z| predicted(absence, z, latents))
    }

    /// Calls `each` on every image with its encoding, its row in it and its draws [S, C·K], on all
    /// cores, and returns the answers row by row. The answer of an image does not depend on the
    /// number of threads.
    pub fn for_each_image<R: Send, W>(
        &self,
        signals: &Signals<'_>,
        phase: &'static str,
        progress: &mut Progress<'_>,
        workspace: impl Fn() -> W + Sync,
        each: impl Fn(&mut W, usize, &Encoded, usize, &mut Array2<f32>) -> R + Sync,
    ) -> Result<Vec<R>> {
        // A labelled pool with nothing in it has no features either.
        if signals.is_empty() {
            return Ok(Vec::new());
        }
        let (stages, ids) = (signals.checked_stage_rows()?, signals.ids());
        let mut answers = Vec::with_capacity(ids.len());
        // A block of chunks at a time, so that progress is told and stopping is possible in
        // between.
        let block = CHUNK * 4 * rayon::current_num_threads();
        for start in (0..ids.len()).step_by(block) {
            let end = (start + block).min(ids.len());
            let chunks: Vec<usize> = (start..end).step_by(CHUNK).collect();
            let parts: Vec<Vec<R>> = chunks
                .into_par_iter()
                .map(|first| {
                    let rows = first..(first + CHUNK).min(end);
                    let encoded = self.encode(&stages, rows.clone());
                    let mut z = Array2::zeros((self.draws, self.architecture.code()));
                    let mut work = workspace();
                    rows.map(|row| {
                        self.draw(&encoded, row - first, ids[row], &mut z);
                        each(&mut work, row, &encoded, row - first, &mut z)
                    })
                    .collect()
                })
                .collect();
            answers.extend(parts.into_iter().flatten());
            report(
                progress,
                Event::Progress { phase, done: end, total: ids.len(), unit: "image", loss: None },
            )?;
        }
        Ok(answers)
    }

    /// How often each class is predicted over the draws of every image.
    pub fn votes(
        &self,
        signals: &Signals<'_>,
        phase: &'static str,
        progress: &mut Progress<'_>,
    ) -> Result<Vec<Votes>> {
        let counts = || vec![0; self.architecture.classes];
        self.for_each_image(signals, phase, progress, counts, |counts, _, _, _, z| {
            Votes::count(self.predictions(z), counts)
        })
    }
}

/// How many draws of one image are predicted as which class: the classes that have any, ascending,
/// each with its draws.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Votes(pub Box<[(u32, u32)]>);

impl Votes {
    /// Counts; `counts` [C] is scratch, all 0 before and after.
    pub fn count(predicted: impl Iterator<Item = usize>, counts: &mut [u32]) -> Self {
        predicted.for_each(|n| counts[n] += 1);
        let some = (0_u32..).zip(&*counts).filter(|&(_, &votes)| votes > 0).map(|(n, &votes)| (n, votes));
        let votes = some.collect();
        counts.fill(0);
        Self(votes)
    }

    /// The draws predicted as class `n`.
    pub fn of(&self, n: Label) -> u32 {
        self.0.iter().find(|&&(class, _)| class == n).map_or(0, |&(_, votes)| votes)
    }

    /// The class of most draws, the lowest on ties.
    pub fn most(&self) -> usize {
        self.0.iter().rev().max_by_key(|&&(_, votes)| votes).map_or(0, |&(class, _)| class as usize)
    }
}

/// The two terms that belong to classes, not to images.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ClassTerms {
    /// d_n, p(y = n | ŷ = n) of Eq. 11: how often the VAE is right when it says n. Small is hard.
    pub difficulty: Vec<f64>,
    /// π_n, p(ŷ = n) of Eq. 12.
    pub prior: Vec<f64>,
}

/// Eqs. 11 and 12 from the votes on the labelled pool and its true labels.
///
/// Both are smoothed by one imaginary image that is predicted as every class with 1/C and right
/// with chance 1/C. A class that is never predicted then has the smallest prior of all and the
/// difficulty of a guess, so that what looks like it is asked first; without any label all classes
/// are equal.
pub(super) fn class_terms(votes: &[Votes], labels: &[Label], classes: usize, draws: usize) -> ClassTerms {
    let mut right = vec![0_u64; classes];
    for (votes, &label) in votes.iter().zip(labels) {
        right[label as usize] += u64::from(votes.of(label));
    }
    let (share, prior) = (1.0 / classes as f64, prior(votes.iter(), classes, draws));
    let said = votes_by_class(votes.iter(), classes);
    // In units of images, not draws.
    let images = |votes: u64| votes as f64 / draws as f64;
    let difficulty = right
        .iter()
        .zip(&said)
        .map(|(&right, &said)| (images(right) + share * share) / (images(said) + share));
    ClassTerms { difficulty: difficulty.collect(), prior }
}

/// Eq. 12 from the votes on any pool, smoothed as [`class_terms`] says.
pub(super) fn prior<'a>(
    votes: impl ExactSizeIterator<Item = &'a Votes>,
    classes: usize,
    draws: usize,
) -> Vec<f64> {
    let (share, images) = (1.0 / classes as f64, votes.len() as f64);
    votes_by_class(votes, classes)
        .iter()
        .map(|&said| (said as f64 / draws as f64 + share) / (images + 1.0))
        .collect()
}

/// The draws of all images that are predicted as each class.
pub(super) fn votes_by_class<'a>(votes: impl Iterator<Item = &'a Votes>, classes: usize) -> Vec<u64> {
    let mut said = vec![0; classes];
    for &(class, votes) in votes.flat_map(|votes| &votes.0) {
        said[class as usize] += u64::from(votes);
    }
    said
}
