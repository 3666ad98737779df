//! Fitting the VAE to the unlabelled pool: Adam over epochs of shuffled batches, on one screen.
//!
//! The labelled pool never enters: the classifier may have overfitted to it (section 3.3).

use std::ops::Range;

use ndarray::Array2;
use rand::seq::SliceRandom;

use super::loss::{Losses, Objective, Scratch, step};
use super::settings::Settings;
use super::vae::{Architecture, Vae};
use crate::arrays::ArrayRows;
use crate::error::{Error, Result};
use crate::kernels::magnitude;
use crate::progress::{Event, Progress, report};
use crate::rng::Seed;
use crate::strategies::adam::Adam;
use crate::strategies::layers::resize;
use crate::{Id, Label, Signals};

/// A fitted VAE, and how its last epoch went.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fitted {
    pub vae: Vae<f32>,
    /// Means over the last epoch.
    pub losses: Losses,
    /// Variance of x over the last epoch, the mean over its columns: the reconstruction error of a
    /// decoder that always answers with the mean.
    pub target_variance: f64,
}

/// Fits a new VAE to the stage features of `unlabelled` and the classifier's predictions on it.
///
/// # Errors
/// Missing arrays, features that are not finite, [`Error::Diverged`], [`Error::Stopped`].
pub(super) fn fit(
    settings: &Settings,
    unlabelled: &Signals<'_>,
    classes: usize,
    seed: Seed,
    progress: &mut Progress<'_>,
) -> Result<Fitted> {
    let stages = unlabelled.checked_stage_rows()?;
    let labels = unlabelled.predicted()?;
    let architecture =
        Architecture::new(settings, stages.iter().map(|stage| stage.columns()).collect(), classes);
    let mut vae = Vae::<f32>::new(architecture, seed);
    let objective =
        Objective { lambda: settings.lambda, absence: settings.absence, mask: settings.mask_in_training };
    let mut adam = Adam::new(vae.parameters.len());
    let (mut tape, mut scratch) = (vae.tape(), Scratch::default());
    let code = vae.architecture.code();
    let mut gradient = vec![0.0; vae.parameters.len()];
    // That of this step, and that of the next, which is made meanwhile.
    let mut batch = Batch {
        stages: vec![Array2::default((0, 0)); stages.len()],
        labels: Vec::new(),
        noise: Array2::default((0, 0)),
    };
    let mut next = batch.clone();

    // By id, so that the order in which the pool is listed changes nothing.
    let mut order: Vec<usize> = (0..unlabelled.len()).collect();
    order.sort_unstable_by_key(|&row| unlabelled.ids()[row]);
    let per_epoch = batches(order.len(), settings.batch).count();
    let epochs = settings.epochs.max(settings.minimum_steps.div_ceil(per_epoch));
    let total = epochs * per_epoch;
    let mut steps = 0;
    let mut summary = EpochSummary::new(vae.architecture.inputs());
    for epoch in 0..epochs {
        let seed = seed.child("vae-epoch", epoch as u64);
        let mut normals = seed.normals("noise");
        order.shuffle(&mut seed.stream("shuffle"));
        // In proportion, where the minimum of steps makes more epochs of them.
        let decayed = settings.decay_epoch * epochs <= epoch * settings.epochs;
        let decayed = if decayed { settings.decay } else { 1.0 };
        let learning_rate = settings.learning_rate * decayed;
        summary.reset();
        let mut make = |next: &mut Batch, rows: &[usize]| {
            for (batch, stage) in next.stages.iter_mut().zip(&stages) {
                resize(batch, rows.len(), stage.columns());
                for (to, &row) in batch.rows_mut().into_iter().zip(rows) {
                    to.into_slice().expect("row-major").copy_from_slice(stage.row(row));
                }
            }
            next.labels.clear();
            next.labels.extend(rows.iter().map(|&row| labels[row]));
            resize(&mut next.noise, rows.len(), code);
            normals.fill(next.noise.as_slice_mut().expect("row-major"));
        };
        let mut batches = batches(order.len(), settings.batch).map(|rows| &order[rows]);
        let mut coming = batches.next();
        coming.into_iter().for_each(|rows| make(&mut next, rows));
        while coming.is_some() {
            std::mem::swap(&mut batch, &mut next);
            coming = batches.next();
            let input = (&batch.stages[..], &batch.labels[..], &batch.noise);
            let (losses, ()) = rayon::join(
                || step(&vae, objective, input, &mut tape, &mut scratch, &mut gradient),
                || coming.into_iter().for_each(|rows| make(&mut next, rows)),
            );
            steps += 1;
            let loss = losses.total(settings.lambda);
            if !loss.is_finite() {
                return Err(Error::Diverged { network: "VAE", step: steps, learning_rate, loss });
            }
            adam.step(&mut vae.parameters, &gradient, learning_rate);
            vae.update_running(&tape);
            if epoch + 1 == epochs {
                summary.add(losses, &tape.x);
            }
            report(
                progress,
                Event::Progress { phase: "vae", done: steps, total, unit: "step", loss: Some(loss) },
            )?;
        }
    }
    // A batch with a feature beyond some 1e18 has a variance beyond f32. Its own losses are finite,
    // as all its images become the same.
    if vae.running.iter().chain(&vae.parameters).any(|value| !value.is_finite()) {
        return Err(too_large(&stages, unlabelled.ids()));
    }
    Ok(Fitted { losses: summary.losses(), target_variance: summary.variance(), vae })
}

/// The error of features whose squares are beyond f32, by the largest of them.
fn too_large(stages: &[ArrayRows<'_, f32>], ids: &[Id]) -> Error {
    let sizes = stages.iter().enumerate().flat_map(|(l, stage)| {
        stage.iter().enumerate().map(move |(row, features)| (magnitude(features), l, row))
    });
    let most = sizes.max_by(|(a, ..), (b, ..)| a.total_cmp(b));
    let (size, stage, row) = most.expect("a pool that a VAE was fitted to is not empty");
    Error::input("features are too large for the VAE")
        .at(format!("id {}, stage {}", ids[row], stage + 1))
        .expected("features whose squares are numbers of f32")
        .got(format!("{size:e}"))
        .hint("leave this row out, or divide all features by a number")
        .into()
}

/// What one step sees.
#[derive(Clone)]
struct Batch {
    /// [B, d_l] each.
    stages: Vec<Array2<f32>>,
    labels: Vec<Label>,
    /// Standard normal, [B, C·K].
    noise: Array2<f32>,
}

/// The batches of one epoch, as ranges of the shuffled order. A last batch of one joins the one
/// before, since BatchNorm cannot learn from a single image.
fn batches(n: usize, batch: usize) -> impl Iterator<Item = Range<usize>> {
    let count = if n > batch && n % batch == 1 { n / batch } else { n.div_ceil(batch) };
    (0..count).map(move |i| i * batch..if i + 1 == count { n } else { (i + 1) * batch })
}

/// Means over one epoch, in f64.
struct EpochSummary {
    images: f64,
    losses: Losses,
    sum: Vec<f64>,
    squares: Vec<f64>,
}

impl EpochSummary {
    fn new(inputs: usize) -> Self {
        Self { images: 0.0, losses: Losses::default(), sum: vec![0.0; inputs], squares: vec![0.0; inputs] }
    }

    fn reset(&mut self) {
        *self = Self::new(self.sum.len());
    }

    fn add(&mut self, losses: Losses, x: &Array2<f32>) {
        let images = x.nrows() as f64;
        self.images += images;
        self.losses.reconstruction += losses.reconstruction * images;
        self.losses.kl += losses.kl * images;
        self.losses.class += losses.class * images;
        for row in x.rows() {
            for ((sum, squares), &x) in self.sum.iter_mut().zip(&mut self.squares).zip(row) {
                *sum += f64::from(x);
                *squares += f64::from(x) * f64::from(x);
            }
        }
    }

    fn losses(&self) -> Losses {
        Losses {
            reconstruction: self.losses.reconstruction / self.images,
            kl: self.losses.kl / self.images,
            class: self.losses.class / self.images,
        }
    }

    fn variance(&self) -> f64 {
        let columns = self.sum.iter().zip(&self.squares);
        let variances = columns.map(|(sum, squares)| squares / self.images - (sum / self.images).powi(2));
        crate::metrics::mean(variances)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_cover_every_image_once_and_never_hold_one_alone() {
        for n in 1..200 {
            for batch in 2..40 {
                let all: Vec<_> = batches(n, batch).collect();
                let covered: Vec<usize> = all.iter().cloned().flatten().collect();
                assert_eq!(covered, (0..n).collect::<Vec<_>>());
                assert!(
                    all.iter().all(|b| b.len() > 1 || n == 1),
                    "{n} images in batches of {batch}: {all:?}"
                );
            }
        }
    }
}
