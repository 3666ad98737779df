//! The loss of the VAE, Eqs. 7–10, and its gradient.
//!
//! Means, not sums: the reconstruction over batch and inputs, the KL term over batch and latents.
//! That is what makes λ = 0.005 a sensible weight. Never here: the optimiser.

use ndarray::Array2;
use rayon::prelude::*;

use super::settings::Absence;
use super::vae::{Tape, Vae};
use crate::Label;
use crate::kernels::{Real, wide};
use crate::strategies::layers::{resize, rows, rows_mut, sigmoid};

/// The three terms of Eq. 10 on one batch.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Losses {
    /// Mean over batch and inputs of (x̂ − x)².
    pub reconstruction: f64,
    /// −½ · mean over batch and latents of (1 + log σ² − μ² − σ²).
    pub kl: f64,
    /// Mean cross-entropy of softmax(−w) against the predicted label, Eq. 8.
    pub class: f64,
}

impl Losses {
    /// L = L_VAE + λ·L_Class, Eq. 10.
    pub fn total(&self, lambda: f64) -> f64 {
        self.reconstruction + self.kl + lambda * self.class
    }
}

/// What Eq. 10 leaves to the settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Objective {
    pub lambda: f64,
    pub absence: Absence,
    /// Zero the block of the predicted class before decoding.
    pub mask: bool,
}

/// Calls `each(n, w_n)` on every class: w_n of Eq. 7, how present its latents are.
#[inline(always)]
fn presences<T: Real>(absence: Absence, z: &[T], latents: usize, each: impl FnMut(usize, T)) {
    match absence {
        Absence::Square => sums(z, latents, |z| z * z, each),
        Absence::Abs => sums(z, latents, T::abs, each),
        Absence::Sigmoid => sums(z, latents, sigmoid, each),
    }
}

/// Calls `each(n, Σ measure(z))` on every block of `latents`, four of them summed side by side.
#[inline(always)]
fn sums<T: Real>(z: &[T], latents: usize, measure: impl Fn(T) -> T, mut each: impl FnMut(usize, T)) {
    const BLOCKS: usize = 4;
    let groups = z.chunks_exact(BLOCKS * latents);
    let rest = groups.remainder();
    let first_of_rest = (z.len() - rest.len()) / latents;
    for (group, blocks) in groups.enumerate() {
        let mut sums = [T::zero(); BLOCKS];
        for j in 0..latents {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum += measure(blocks[i * latents + j]);
            }
        }
        for (i, sum) in sums.into_iter().enumerate() {
            each(BLOCKS * group + i, sum);
        }
    }
    for (i, block) in rest.chunks_exact(latents).enumerate() {
        each(first_of_rest + i, block.iter().fold(T::zero(), |sum, &z| sum + measure(z)));
    }
}

/// ŷ(z) = argmin_n w_n, Eq. 7: the class whose block is the most absent, the lowest on ties.
pub(super) fn predicted<T: Real>(absence: Absence, z: &[T], latents: usize) -> usize {
    let mut best = (0, T::infinity());
    wide(
        #[inline(always)]
        || {
            presences(absence, z, latents, |n, w| {
                if w < best.1 {
                    best = (n, w);
                }
            });
        },
    );
    best.0
}

/// dz_j = dw_n · dw_n/dz_j.
#[inline(always)]
fn slopes<T: Real>(absence: Absence, z: &[T], latents: usize, dw: &[T], dz: &mut [T]) {
    match absence {
        Absence::Square => scaled(z, latents, dw, dz, |z| z + z),
        Absence::Abs => scaled(z, latents, dw, dz, |z| if z.is_zero() { z } else { z.signum() }),
        Absence::Sigmoid => scaled(z, latents, dw, dz, |z| {
            let s = sigmoid(z);
            s * (T::one() - s)
        }),
    }
}

#[inline(always)]
fn scaled<T: Real>(z: &[T], latents: usize, dw: &[T], dz: &mut [T], slope: impl Fn(T) -> T) {
    for (dz, &z) in dz.iter_mut().zip(z) {
        *dz = slope(z);
    }
    for (dz, &dw) in dz.chunks_exact_mut(latents).zip(dw) {
        dz.iter_mut().for_each(|dz| *dz *= dw);
    }
}

/// Latents that are worth a task of their own, some 20 µs of a step.
const TASK: usize = 1 << 14;

/// Buffers of [`step`], kept from step to step.
#[derive(Debug, Clone, Default)]
pub(super) struct Scratch<T> {
    z: Array2<T>,
    /// σ.
    deviation: Array2<T>,
    /// The KL term and the class loss of each image.
    terms: Vec<(f64, f64)>,
    dz: Array2<T>,
    d_class: Array2<T>,
    d_mean: Array2<T>,
    d_log_variance: Array2<T>,
    d_output: Array2<T>,
}

/// The losses of one batch, and their gradient written to `gradient`: stage features [B, d_l],
/// predicted labels [B], standard normal `noise` [B, C·K].
pub(super) fn step<T: Real>(
    vae: &Vae<T>,
    objective: Objective,
    (stages, labels, noise): (&[Array2<T>], &[Label], &Array2<T>),
    tape: &mut Tape<T>,
    scratch: &mut Scratch<T>,
    gradient: &mut [T],
) -> Losses {
    let architecture = &vae.architecture;
    let (batch, code) = (labels.len(), architecture.code());
    gradient.par_chunks_mut(1 << 16).for_each(|part| part.fill(T::zero()));
    vae.encode(stages, tape);

    let Scratch { z, deviation, terms, dz, d_class, d_mean, d_log_variance, d_output } = scratch;
    for buffer in [&mut *z, deviation, dz, d_class, d_mean, d_log_variance] {
        resize(buffer, batch, code);
    }
    terms.resize(batch, (0.0, 0.0));
    // Image by image, so that the sums are the same however the images are shared out.
    let images = (TASK / code).max(1);
    (chunks_mut(z, images).zip(chunks_mut(deviation, images)))
        .zip(chunks_mut(d_class, images).zip(terms.par_chunks_mut(images)))
        .zip(chunks(&tape.mean, images).zip(chunks(&tape.log_variance, images)))
        .zip(chunks(noise, images).zip(labels.par_chunks(images)))
        .for_each(|((((z, deviation), (d_class, terms)), (mean, log_variance)), (noise, labels))| {
            for (i, (term, &label)) in terms.iter_mut().zip(labels).enumerate() {
                let of = i * code..(i + 1) * code;
                let (z, deviation) = (&mut z[of.clone()], &mut deviation[of.clone()]);
                let (mean, log_variance) = (&mean[of.clone()], &log_variance[of.clone()]);
                deviations(log_variance, deviation);
                z.copy_from_slice(&noise[of.clone()]);
                draw(mean, deviation, z);
                term.0 = kl(mean, log_variance, deviation);
                term.1 =
                    class_loss(objective.absence, z, label as usize, architecture.latents, &mut d_class[of]);
                if objective.mask {
                    z[architecture.block(label as usize)].fill(T::zero());
                }
            }
        });
    let mut losses = Losses::default();
    for (kl, class) in &*terms {
        losses.kl += kl;
        losses.class += class;
    }
    losses.kl /= batch as f64;
    losses.class /= batch as f64;

    vae.decode(z.view(), tape);
    resize(d_output, batch, architecture.inputs());
    let slope = T::of(2.0 / (batch * architecture.inputs()) as f64);
    let mut squares = 0.0;
    let (d, output, x) = (rows_mut(d_output.view_mut()), rows(tape.output.view()), rows(tape.x.view()));
    for ((d, output), x) in d.zip(output).zip(x) {
        wide(
            #[inline(always)]
            || {
                for ((d, &output), &x) in d.iter_mut().zip(output).zip(x) {
                    *d = output - x;
                }
                squares += d.iter().map(|&d| (d * d).wide()).sum::<f64>();
                d.iter_mut().for_each(|d| *d *= slope);
            },
        );
    }
    losses.reconstruction = squares / (batch * architecture.inputs()) as f64;

    vae.decode_backward(z.view(), d_output.view(), tape, gradient, dz.view_mut());
    let (weight, share) = (T::of(objective.lambda / batch as f64), T::of(1.0 / (batch * code) as f64));
    let half = T::of(0.5);
    (chunks_mut(d_mean, images).zip(chunks_mut(d_log_variance, images)))
        .zip(chunks_mut(dz, images).zip(chunks(d_class, images)))
        .zip(chunks(&tape.mean, images).zip(chunks(deviation, images)))
        .zip(chunks(noise, images).zip(labels.par_chunks(images)))
        .for_each(|((((d_mean, d_log_variance), (dz, d_class)), (mean, deviation)), (noise, labels))| {
            if objective.mask {
                for (dz, &label) in dz.chunks_exact_mut(code).zip(labels) {
                    dz[architecture.block(label as usize)].fill(T::zero());
                }
            }
            wide(
                #[inline(always)]
                || {
                    let gradients = d_mean.iter_mut().zip(d_log_variance).zip(dz.iter().zip(d_class));
                    for (((d_mean, d_log_variance), (&dz, &d_class)), ((&mean, &deviation), &noise)) in
                        gradients.zip(mean.iter().zip(deviation).zip(noise))
                    {
                        let dz = dz + weight * d_class;
                        *d_mean = dz + share * mean;
                        *d_log_variance =
                            half * (dz * noise * deviation + share * (deviation * deviation - T::one()));
                    }
                },
            );
        });
    vae.encode_backward(stages, d_mean.view(), d_log_variance.view(), tape, gradient);
    losses
}

/// Some rows of `array` at a time, one slice each.
fn chunks<T: Real>(array: &Array2<T>, rows: usize) -> rayon::slice::Chunks<'_, T> {
    array.as_slice().expect("row-major").par_chunks(rows * array.ncols())
}

fn chunks_mut<T: Real>(array: &mut Array2<T>, rows: usize) -> rayon::slice::ChunksMut<'_, T> {
    let width = array.ncols();
    array.as_slice_mut().expect("row-major").par_chunks_mut(rows * width)
}

/// σ from log σ².
pub(super) fn deviations<T: Real>(log_variance: &[T], deviation: &mut [T]) {
    let half = T::of(0.5);
    wide(
        #[inline(always)]
        || {
            for (deviation, &log_variance) in deviation.iter_mut().zip(log_variance) {
                *deviation = (half * log_variance).exponential();
            }
        },
    );
}

/// Turns standard normal noise into z = μ + σ·noise.
pub(super) fn draw<T: Real>(mean: &[T], deviation: &[T], z: &mut [T]) {
    wide(
        #[inline(always)]
        || {
            for ((z, &mean), &deviation) in z.iter_mut().zip(mean).zip(deviation) {
                *z = mean + deviation * *z;
            }
        },
    );
}

/// The KL term of one image, the mean over its latents.
pub(super) fn kl<T: Real>(mean: &[T], log_variance: &[T], deviation: &[T]) -> f64 {
    const LANES: usize = 16;
    let mut sums = [0.0; LANES];
    let term = |(mean, (log_variance, deviation)): (&T, (&T, &T))| {
        (T::one() + *log_variance - *mean * *mean - *deviation * *deviation).wide()
    };
    wide(
        #[inline(always)]
        || {
            let rows = mean.chunks(LANES).zip(log_variance.chunks(LANES).zip(deviation.chunks(LANES)));
            for (mean, (log_variance, deviation)) in rows {
                for (sum, values) in sums.iter_mut().zip(mean.iter().zip(log_variance.iter().zip(deviation)))
                {
                    *sum += term(values);
                }
            }
        },
    );
    -0.5 * sums.iter().sum::<f64>() / mean.len() as f64
}

/// Cross-entropy of softmax(−w) against `label` for one z, and its gradient by z in `dz`.
pub(super) fn class_loss<T: Real>(
    absence: Absence,
    z: &[T],
    label: usize,
    latents: usize,
    dz: &mut [T],
) -> f64 {
    let mut w = vec![0.0; z.len() / latents];
    wide(
        #[inline(always)]
        || presences(absence, z, latents, |n, presence| w[n] = presence.wide()),
    );
    let least = w.iter().copied().fold(f64::INFINITY, f64::min);
    let of_label = w[label] - least;
    w.iter_mut().for_each(|w| *w = (least - *w).exp());
    let total: f64 = w.iter().sum();
    let dw = w.iter().enumerate().map(|(n, w)| T::of(f64::from(u8::from(n == label)) - w / total));
    let dw: Vec<T> = dw.collect();
    wide(
        #[inline(always)]
        || slopes(absence, z, latents, &dw, dz),
    );
    of_label + total.ln()
}

#[cfg(test)]
mod tests;
