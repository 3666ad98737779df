//! Batch normalisation (Ioffe & Szegedy 2015) over [B, H, W, C]: forward, and backward step by
//! step, so that whoever joins layers says what is kept between two of them.
//!
//! Never here: convolutions, a graph of gradients.

use rayon::prelude::*;

use super::conv::Source;
use super::norm::{self, Affine, Cut, Gradient};
use super::workspace::Workspace;

/// Added to every variance.
pub(crate) const EPSILON: f64 = 1e-5;
/// How far one batch moves the running statistics.
pub(crate) const MOMENTUM: f32 = 0.1;

/// What is normalised by the statistics of its own batch, and what normalisation does to it.
#[derive(Debug)]
pub(crate) struct BatchNorm {
    /// [B, H, W, C]
    values: Vec<f32>,
    images: usize,
    affine: Affine,
    /// 1 / √(variance + ε), [C]
    inverse: Vec<f32>,
    /// The (biased) variance of what was normalised, [C].
    variance: Vec<f32>,
}

/// What normalisation by given statistics does, as a network in evaluation mode has it.
pub(crate) fn frozen(gamma: &[f32], beta: &[f32], mean: &[f32], variance: &[f32]) -> Affine {
    let scale = gamma.iter().zip(variance);
    let scale = scale.map(|(g, v)| (f64::from(*g) / (f64::from(*v) + EPSILON).sqrt()) as f32);
    Affine { mean: mean.to_vec(), scale: scale.collect(), shift: beta.to_vec() }
}

/// The statistics of one image's plane [H · W, C], as [`BatchNorm::new`] wants them of each: mean
/// and sum of squared distances, [2, C].
pub(crate) fn moments(workspace: &Workspace, plane: &[f32], moments: &mut [f32]) {
    norm::moments(workspace.vectors, plane, moments);
}

impl BatchNorm {
    /// Normalises `values` [B, H, W, C] of which [`moments`] [B, 2, C] are known; `gamma` and
    /// `beta` are [C].
    pub fn new(values: Vec<f32>, moments: &[f32], gamma: &[f32], beta: &[f32]) -> Self {
        let channels = gamma.len();
        assert!(beta.len() == channels, "one value per channel");
        let images = moments.len() / (2 * channels);
        let (mean, variance) = over_batch(moments, channels, values.len() / images / channels);
        let inverse: Vec<f32> = variance.iter().map(|v| (1.0 / (v + EPSILON).sqrt()) as f32).collect();
        let affine = Affine {
            mean: mean.iter().map(|&m| m as f32).collect(),
            scale: gamma.iter().zip(&inverse).map(|(gamma, inverse)| gamma * inverse).collect(),
            shift: beta.to_vec(),
        };
        let variance = variance.iter().map(|&v| v as f32).collect();
        Self { values, images, affine, inverse, variance }
    }

    /// Values of one image.
    fn plane(&self) -> usize {
        self.values.len() / self.images
    }

    /// The output, normalised and cut by a ReLU wherever it is read.
    pub fn activated(&self) -> Source<'_> {
        Source { values: &self.values, activated: Some(&self.affine) }
    }

    /// The output: normalised, `residual` added, and with `relu` cut off below zero.
    pub fn output(&self, workspace: &Workspace, residual: Option<&[f32]>, relu: bool) -> Vec<f32> {
        let plane = self.plane();
        let mut y = workspace.take(self.values.len());
        y.par_chunks_exact_mut(plane).zip(self.values.par_chunks_exact(plane)).enumerate().for_each(
            |(image, (y, from))| {
                let residual = residual.map(|all| &all[image * plane..(image + 1) * plane]);
                norm::normalise(workspace.vectors, &self.affine, Some(from), residual, relu, y);
            },
        );
        y
    }

    /// Moves running statistics, [C] each, towards those of the batch.
    pub fn track(&self, mean: &mut [f32], variance: &mut [f32]) {
        for (running, of_batch) in [(mean, &self.affine.mean), (variance, &self.variance)] {
            for (running, &of_batch) in running.iter_mut().zip(of_batch) {
                *running = *running * (1.0 - MOMENTUM) + of_batch * MOMENTUM;
            }
        }
    }

    /// Room for the [`Self::gradient_sums`].
    pub fn empty_sums(&self) -> Vec<f32> {
        vec![0.0; self.images * 2 * self.inverse.len()]
    }

    /// What [`norm::gradient_sums`] says of every image, [B, 2, C].
    pub fn gradient_sums(&self, workspace: &Workspace, dy: &[f32], cut: Cut<'_>) -> Vec<f32> {
        let mut sums = self.empty_sums();
        let (plane, of_image) = (self.plane(), 2 * self.inverse.len());
        sums.par_chunks_exact_mut(of_image).zip(dy.par_chunks_exact(plane)).enumerate().for_each(
            |(image, (sums, dy))| {
                let cut = cut.part(image * plane..(image + 1) * plane);
                self.gradient_sums_of(workspace, image, dy, cut, sums);
            },
        );
        sums
    }

    /// The same of one image, with that image's part of everything.
    pub fn gradient_sums_of(
        &self,
        workspace: &Workspace,
        image: usize,
        dy: &[f32],
        cut: Cut<'_>,
        sums: &mut [f32],
    ) {
        let x = &self.values[image * dy.len()..(image + 1) * dy.len()];
        norm::gradient_sums(workspace.vectors, dy, x, cut, &self.affine, sums);
    }

    /// Back through the normalisation, from the gradient `dy` of the output, which becomes that of
    /// what was added to it where `passed` says so. Returns the gradient of what was normalised, in
    /// its place, and writes those of gamma and beta.
    pub fn backward(
        mut self,
        workspace: &Workspace,
        dy: &mut [f32],
        passed: bool,
        cut: Cut<'_>,
        sums: &[f32],
        [dgamma, dbeta]: [&mut [f32]; 2],
    ) -> Vec<f32> {
        let (plane, channels) = (self.plane(), self.inverse.len());
        let mut total = vec![0.0_f64; 2 * channels];
        for sums in sums.chunks_exact(2 * channels) {
            for (total, &sum) in total.iter_mut().zip(sums) {
                *total += f64::from(sum);
            }
        }
        // The batch's own mean and variance depend on every value: what that takes off again.
        let count = (self.values.len() / channels) as f64;
        let (mut slope, mut shift) = (vec![0.0; channels], vec![0.0; channels]);
        for channel in 0..channels {
            let (plain, weighted) = (total[channel], total[channels + channel]);
            let [scale, inverse] = [&self.affine.scale, &self.inverse].map(|of| f64::from(of[channel]));
            dgamma[channel] = (weighted * inverse) as f32;
            dbeta[channel] = plain as f32;
            slope[channel] = (-scale * inverse * f64::from(dgamma[channel]) / count) as f32;
            shift[channel] = (-scale * plain / count) as f32;
        }
        let gradients: Vec<Gradient<'_>> = match passed {
            true => dy.chunks_exact_mut(plane).map(Gradient::Passed).collect(),
            false => dy.chunks_exact(plane).map(Gradient::Read).collect(),
        };
        self.values.par_chunks_exact_mut(plane).zip(gradients).enumerate().for_each(|(image, (x, dy))| {
            let cut = cut.part(image * plane..(image + 1) * plane);
            norm::input_gradient(workspace.vectors, dy, cut, &self.affine, [&slope, &shift], x);
        });
        self.values
    }
}

/// Mean and variance of each channel over the batch, from the images' means and sums of squared
/// distances: [B, 2, C] to twice [C].
fn over_batch(moments: &[f32], channels: usize, pixels: usize) -> (Vec<f64>, Vec<f64>) {
    let images = moments.len() / (2 * channels);
    let mut mean = vec![0.0; channels];
    let mut variance = vec![0.0; channels];
    for image in moments.chunks_exact(2 * channels) {
        for (mean, &of_image) in mean.iter_mut().zip(image) {
            *mean += f64::from(of_image) / images as f64;
        }
    }
    for image in moments.chunks_exact(2 * channels) {
        let (means, squares) = image.split_at(channels);
        for (channel, variance) in variance.iter_mut().enumerate() {
            let distance = f64::from(means[channel]) - mean[channel];
            *variance += (f64::from(squares[channel]) / pixels as f64 + distance * distance) / images as f64;
        }
    }
    (mean, variance)
}
