//! The loss of the VAE, Eqs. 7–10, and its gradient.
//!
//! Means, not sums: the reconstruction over batch and inputs, the KL term over batch and latents. That is
//! what makes λ = 0.005 a sensible weight. Never here: the optimiser.

use ndarray::{Array2, ArrayView1};

use super::settings::Absence;
use super::vae::{Tape, Vae};
use crate::Label;
use crate::kernels::{Real, wide};
use crate::query::layers::{resize, rows, rows_mut, sigmoid};

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

/// w_n of Eq. 7: how present the latents of each class are.
pub(super) fn presence<T: Real>(absence: Absence, z: &[T]) -> T {
    match absence {
        Absence::Square => z.iter().map(|&z| z * z).sum(),
        Absence::Abs => z.iter().map(|&z| z.abs()).sum(),
        Absence::Sigmoid => z.iter().map(|&z| sigmoid(z)).sum(),
    }
}

/// ŷ(z) = argmin_n w_n, Eq. 7: the class whose block is the most absent, the lowest on ties.
pub(super) fn predicted<T: Real>(absence: Absence, z: &[T], latents: usize) -> usize {
    let mut best = (0, T::infinity());
    for (n, block) in z.chunks_exact(latents).enumerate() {
        let w = presence(absence, block);
        if w < best.1 {
            best = (n, w);
        }
    }
    best.0
}

/// dw_n/dz_j.
fn presence_slope<T: Real>(absence: Absence, z: T) -> T {
    match absence {
        Absence::Square => z + z,
        Absence::Abs if z.is_zero() => T::zero(),
        Absence::Abs => z.signum(),
        Absence::Sigmoid => {
            let s = sigmoid(z);
            s * (T::one() - s)
        }
    }
}

/// Buffers of [`step`], kept from step to step.
#[derive(Debug, Clone, Default)]
pub(super) struct Scratch<T> {
    z: Array2<T>,
    dz: Array2<T>,
    d_class: Array2<T>,
    d_mean: Array2<T>,
    d_log_variance: Array2<T>,
    d_output: Array2<T>,
}

/// The losses of one batch, and their gradient written to `gradient`: stage features [B, d_l], predicted labels
/// [B], standard normal `noise` [B, C·K].
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
    gradient.fill(T::zero());
    vae.encode(stages, tape);

    for buffer in [&mut scratch.z, &mut scratch.dz, &mut scratch.d_class] {
        resize(buffer, batch, code);
    }
    for buffer in [&mut scratch.d_mean, &mut scratch.d_log_variance] {
        resize(buffer, batch, code);
    }
    let half = T::of(0.5);
    let mut losses = Losses::default();
    for row in 0..batch {
        let (mean, log_variance) = (tape.mean.row(row), tape.log_variance.row(row));
        for j in 0..code {
            scratch.z[[row, j]] = mean[j] + (half * log_variance[j]).exp() * noise[[row, j]];
        }
        losses.kl += kl(mean, log_variance);
        let mut z = scratch.z.row_mut(row);
        let z = z.as_slice_mut().expect("rows are contiguous");
        let mut d_class = scratch.d_class.row_mut(row);
        let d_class = d_class.as_slice_mut().expect("rows are contiguous");
        losses.class += class_loss(objective.absence, z, labels[row] as usize, architecture.latents, d_class);
        if objective.mask {
            z[architecture.block(labels[row] as usize)].fill(T::zero());
        }
    }
    losses.kl /= batch as f64;
    losses.class /= batch as f64;

    vae.decode(scratch.z.view(), tape);
    resize(&mut scratch.d_output, batch, architecture.inputs());
    let slope = T::of(2.0 / (batch * architecture.inputs()) as f64);
    let mut squares = 0.0;
    let (d, output, x) =
        (rows_mut(scratch.d_output.view_mut()), rows(tape.output.view()), rows(tape.x.view()));
    for ((d, output), x) in d.zip(output).zip(x) {
        wide(|| {
            for ((d, &output), &x) in d.iter_mut().zip(output).zip(x) {
                *d = output - x;
            }
            squares += d.iter().map(|&d| (d * d).wide()).sum::<f64>();
            d.iter_mut().for_each(|d| *d *= slope);
        });
    }
    losses.reconstruction = squares / (batch * architecture.inputs()) as f64;

    vae.decode_backward(scratch.z.view(), scratch.d_output.view(), tape, gradient, scratch.dz.view_mut());
    let (weight, share) = (T::of(objective.lambda / batch as f64), T::of(1.0 / (batch * code) as f64));
    for row in 0..batch {
        if objective.mask {
            scratch.dz.slice_mut(ndarray::s![row, architecture.block(labels[row] as usize)]).fill(T::zero());
        }
        for j in 0..code {
            let dz = scratch.dz[[row, j]] + weight * scratch.d_class[[row, j]];
            let deviation = (half * tape.log_variance[[row, j]]).exp();
            scratch.d_mean[[row, j]] = dz + share * tape.mean[[row, j]];
            scratch.d_log_variance[[row, j]] =
                half * (dz * noise[[row, j]] * deviation + share * (deviation * deviation - T::one()));
        }
    }
    vae.encode_backward(stages, scratch.d_mean.view(), scratch.d_log_variance.view(), tape, gradient);
    losses
}

/// The KL term of one image, the mean over its latents.
pub(super) fn kl<T: Real>(mean: ArrayView1<'_, T>, log_variance: ArrayView1<'_, T>) -> f64 {
    let sum: f64 = (mean.iter().zip(&log_variance))
        .map(|(&mean, &log_variance)| (T::one() + log_variance - mean * mean - log_variance.exp()).wide())
        .sum();
    -0.5 * sum / mean.len() as f64
}

/// Cross-entropy of softmax(−w) against `label` for one z, and its gradient by z in `dz`.
pub(super) fn class_loss<T: Real>(
    absence: Absence,
    z: &[T],
    label: usize,
    latents: usize,
    dz: &mut [T],
) -> f64 {
    let w: Vec<f64> = z.chunks_exact(latents).map(|block| presence(absence, block).wide()).collect();
    let least = w.iter().copied().fold(f64::INFINITY, f64::min);
    let total: f64 = w.iter().map(|w| (least - w).exp()).sum();
    for (n, (block, dz)) in z.chunks_exact(latents).zip(dz.chunks_exact_mut(latents)).enumerate() {
        let probability = (least - w[n]).exp() / total;
        let dw = T::of(f64::from(u8::from(n == label)) - probability);
        for (dz, &z) in dz.iter_mut().zip(block) {
            *dz = dw * presence_slope(absence, z);
        }
    }
    w[label] - least + total.ln()
}

#[cfg(test)]
mod tests;
