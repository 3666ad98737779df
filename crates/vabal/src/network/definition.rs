//! The network by its definition, in f64 and plain loops, against which engines are checked.

use super::{Block, Dropout, Layer, Network, STAGES};
use crate::Label;

/// Maps [images, height, width, channels].
#[derive(Clone)]
struct Maps {
    values: Vec<f64>,
    shape: [usize; 4],
}

pub(super) struct Definition<'a> {
    pub network: &'a Network,
    pub weights: &'a [Vec<f64>],
    /// Whether BatchNorm has its running statistics, or those of the batch.
    pub frozen: bool,
}

const EPSILON: f64 = 1e-5;

/// Logits [B][C] and the mean of each stage's maps [B][width].
pub(super) struct Outcome {
    pub logits: Vec<Vec<f64>>,
    pub stages: [Vec<Vec<f64>>; STAGES],
    /// How near to zero a value came that a ReLU was given.
    pub nearest: f64,
}

impl Definition<'_> {
    fn layer(&self, layer: &Layer, x: &Maps) -> Maps {
        let [images, height, width, from] = x.shape;
        let &Layer { to, size, stride, weight, .. } = layer;
        let padding = size / 2;
        let along = |n: usize| (n + 2 * padding - size) / stride + 1;
        let (rows, columns) = (along(height), along(width));
        let kernel = &self.weights[weight];
        let mut y = Maps { values: Vec::new(), shape: [images, rows, columns, to] };
        for at in 0..images * rows * columns * to {
            let (channel, column) = (at % to, at / to % columns);
            let (row, image) = (at / to / columns % rows, at / to / columns / rows);
            let mut sum = 0.0;
            for (down, right) in (0..size * size).map(|tap| (tap / size, tap % size)) {
                let (i, j) = (row * stride + down, column * stride + right);
                let inside =
                    (padding..padding + height).contains(&i) && (padding..padding + width).contains(&j);
                for source in (0..from).filter(|_| inside) {
                    let pixel = (image * height + i - padding) * width + j - padding;
                    let tap = ((channel * from + source) * size + down) * size + right;
                    sum += x.values[pixel * from + source] * kernel[tap];
                }
            }
            y.values.push(sum);
        }
        let [gamma, beta, mean, variance] = [1, 2, 3, 4].map(|array| &self.weights[weight + array]);
        for channel in 0..to {
            let of_channel = || y.values.iter().skip(channel).step_by(to);
            let n = of_channel().count() as f64;
            let (mut mean, mut variance) = (mean[channel], variance[channel]);
            if !self.frozen {
                mean = of_channel().sum::<f64>() / n;
                variance = of_channel().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
            }
            let scale = gamma[channel] / (variance + EPSILON).sqrt();
            for value in y.values.iter_mut().skip(channel).step_by(to) {
                *value = (*value - mean) * scale + beta[channel];
            }
        }
        y
    }

    /// `images` are [B, channels, H, W].
    pub fn forward(
        &self,
        images: &[f32],
        [height, width]: [usize; 2],
        dropout: Option<Dropout<'_>>,
    ) -> Outcome {
        let channels = self.network.channels();
        let n = images.len() / (channels * height * width);
        let at = |at: usize| {
            let (channel, pixel) = (at % channels, at / channels % (height * width));
            let image = at / channels / (height * width);
            f64::from(images[(image * channels + channel) * height * width + pixel])
        };
        let x = Maps { values: (0..images.len()).map(at).collect(), shape: [n, height, width, channels] };
        let mut nearest = f64::INFINITY;
        let mut relu = |mut maps: Maps| {
            for value in &mut maps.values {
                nearest = nearest.min(value.abs());
                *value = value.max(0.0);
            }
            maps
        };
        let mut x = relu(self.layer(&self.network.stem, &x));
        let mut stage = 0;
        let stages = self.network.stages.each_ref().map(|blocks| {
            if let Some(dropout) = dropout {
                let mask = dropout.mask(stage, x.values.len() / n);
                x.values.iter_mut().zip(mask).for_each(|(value, mask)| *value *= f64::from(mask));
            }
            stage += 1;
            for Block { first, second, shortcut } in blocks {
                let mut y = self.layer(second, &relu(self.layer(first, &x)));
                let round = shortcut.as_ref().map_or_else(|| x.clone(), |layer| self.layer(layer, &x));
                y.values.iter_mut().zip(round.values).for_each(|(value, round)| *value += round);
                x = relu(y);
            }
            let [_, height, width, channels] = x.shape;
            let image = |maps: &[f64]| {
                let mean = |channel| maps.iter().skip(channel).step_by(channels).sum::<f64>();
                (0..channels).map(|channel| mean(channel) / (height * width) as f64).collect()
            };
            x.values.chunks(height * width * channels).map(image).collect::<Vec<Vec<f64>>>()
        });
        let (weight, bias) = (&self.weights[self.network.head], &self.weights[self.network.head + 1]);
        let logits = |means: &Vec<f64>| {
            let dot = |row: &[f64]| row.iter().zip(means).map(|(a, b)| a * b).sum::<f64>();
            weight.chunks(means.len()).zip(bias).map(|(row, bias)| dot(row) + bias).collect()
        };
        Outcome { logits: stages[STAGES - 1].iter().map(logits).collect(), stages, nearest }
    }
}

/// The mean cross-entropy.
pub(super) fn loss(logits: &[Vec<f64>], labels: &[Label]) -> f64 {
    let of = |(logits, &label): (&Vec<f64>, &Label)| {
        logits.iter().map(|z| z.exp()).sum::<f64>().ln() - logits[label as usize]
    };
    logits.iter().zip(labels).map(of).sum::<f64>() / labels.len() as f64
}
