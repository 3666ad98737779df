//! The settings of the classifier and its training, as they stand in a configuration file.

use serde::{Deserialize, Serialize};

pub use crate::device::Kernels;
use crate::error::{Error, Result};
use crate::network::Network;

/// Network and recipe. [`Settings::paper`] is the recipe of the paper (section 4.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// 18 or 34 layers.
    pub depth: usize,
    /// Channels of the first stage; the four stages have 1, 2, 4 and 8 times as many. 64 in the
    /// paper.
    pub width: usize,
    /// Probability of dropping a value before each residual stage; 0 is none.
    pub dropout: f64,
    /// Passes over the labelled pool.
    pub epochs: usize,
    /// Steps that even a small pool gets, by more passes with the milestones moved in proportion; 0
    /// is no floor.
    pub minimum_steps: usize,
    /// Images per step.
    pub batch: usize,
    /// Learning rate of SGD before the first milestone.
    pub learning_rate: f64,
    /// Momentum of SGD.
    pub momentum: f64,
    /// L2 penalty on every weight, those of BatchNorm and the biases too, as PyTorch does by
    /// default.
    pub weight_decay: f64,
    /// Epochs, counted from 0, from which the learning rate is multiplied by `gamma` once more.
    pub milestones: Vec<usize>,
    /// Factor of the learning rate at each milestone.
    pub gamma: f64,
    /// Random crop after padding by this many pixels of the mean colour on every side; 0 is no
    /// crop.
    pub crop_padding: usize,
    /// Random horizontal flip.
    pub flip: bool,
    /// What convolutions and BatchNorm are computed with on a CPU.
    pub kernels: Kernels,
}

/// More passes than anyone has time for; a longer number is a slip.
const MOST_EPOCHS: usize = 100_000;

impl Settings {
    /// ResNet-18 for 200 epochs, as in the paper, section 4.2.
    #[must_use]
    pub fn paper() -> Self {
        Self {
            depth: 18,
            width: 64,
            dropout: 0.0,
            epochs: 200,
            minimum_steps: 0,
            batch: 128,
            learning_rate: 0.1,
            momentum: 0.9,
            weight_decay: 5e-4,
            milestones: vec![160],
            gamma: 0.1,
            crop_padding: 4,
            flip: true,
            kernels: Kernels::Auto,
        }
    }

    /// A narrow network and a short training, for a CPU: few passes in small steps, but never so
    /// few that a small pool leaves the network untrained.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            width: 16,
            epochs: 20,
            minimum_steps: 1000,
            batch: 16,
            learning_rate: 0.005,
            milestones: vec![14, 18],
            crop_padding: 2,
            ..Self::paper()
        }
    }

    /// The network for images of `channels`.
    pub(crate) fn network(&self, channels: usize, classes: usize) -> Network {
        Network::resnet(self.depth, self.width, channels, classes)
    }

    /// Passes over a pool of `steps` batches.
    #[must_use]
    pub fn epochs_for(&self, steps: usize) -> usize {
        self.epochs.max(self.minimum_steps.div_ceil(steps.max(1)))
    }

    /// The learning rate of an epoch, counted from 0, of a training of `epochs`.
    #[must_use]
    pub fn learning_rate_at(&self, epoch: usize, epochs: usize) -> f64 {
        let passed =
            self.milestones.iter().filter(|&&milestone| milestone * epochs <= epoch * self.epochs).count();
        self.learning_rate * self.gamma.powi(passed as i32)
    }

    /// Checks every value's range.
    ///
    /// # Errors
    /// The first value out of range, by its key.
    pub fn check(&self) -> Result<()> {
        let bad = |key: &str, expected: &str, got: &dyn std::fmt::Display| -> Result<()> {
            Err(Error::input("a setting is out of range").at(key).expected(expected).got(got).into())
        };
        let within = |key: &str, value: usize, low: usize, high: usize| match (low..=high).contains(&value) {
            true => Ok(()),
            false => bad(key, &format!("{low} to {high}"), &value),
        };
        let real = |key: &str, value: f64, expected: &str, good: bool| match good && value.is_finite() {
            true => Ok(()),
            false => bad(key, expected, &value),
        };
        if ![18, 34].contains(&self.depth) {
            return bad("depth", "18 or 34", &self.depth);
        }
        within("width", self.width, 1, 1024)?;
        within("epochs", self.epochs, 1, MOST_EPOCHS)?;
        within("minimum_steps", self.minimum_steps, 0, 1_000_000_000)?;
        within("batch", self.batch, 2, 65_536)?;
        within("crop_padding", self.crop_padding, 0, 1024)?;
        if let Some(late) = self.milestones.iter().find(|&&milestone| milestone > MOST_EPOCHS) {
            return bad("milestones", &format!("epochs from 0 to {MOST_EPOCHS}"), late);
        }
        let unit = |value: f64| (0.0..1.0).contains(&value);
        real("dropout", self.dropout, "0 or more, less than 1", unit(self.dropout))?;
        real("learning_rate", self.learning_rate, "more than 0", self.learning_rate > 0.0)?;
        real("momentum", self.momentum, "0 or more, less than 1", unit(self.momentum))?;
        real("weight_decay", self.weight_decay, "0 or more", self.weight_decay >= 0.0)?;
        real("gamma", self.gamma, "more than 0, at most 1", self.gamma > 0.0 && self.gamma <= 1.0)
    }
}
