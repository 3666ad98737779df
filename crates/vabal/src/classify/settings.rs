//! The settings of the classifier and its training, as they stand in a configuration file.

use serde::{Deserialize, Serialize};

/// Network and recipe. [`Settings::paper`] is the recipe of the paper (section 4.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// 18 or 34 layers.
    pub depth: usize,
    /// Channels of the first stage; the four stages have 1, 2, 4 and 8 times as many. 64 in the paper.
    pub width: usize,
    /// Probability of dropping a value before each residual stage; 0 is none.
    pub dropout: f64,
    /// Passes over the labelled pool.
    pub epochs: usize,
    /// Images per step.
    pub batch: usize,
    /// Learning rate of SGD before the first milestone.
    pub learning_rate: f64,
    /// Momentum of SGD.
    pub momentum: f64,
    /// L2 penalty on every weight.
    pub weight_decay: f64,
    /// Epochs, counted from 0, from which the learning rate is multiplied by `gamma` once more.
    pub milestones: Vec<usize>,
    /// Factor of the learning rate at each milestone.
    pub gamma: f64,
    /// Random crop after padding by this many zero pixels on every side; 0 is no crop.
    pub crop_padding: usize,
    /// Random horizontal flip.
    pub flip: bool,
    /// Arithmetic of the forward and backward pass on CUDA: "f32" or "mixed". The CPU always uses f32.
    pub precision: Precision,
}

/// Arithmetic of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32-bit floats throughout.
    F32,
    /// bf16 convolutions with f32 weights, on devices that have them.
    Mixed,
}

impl Settings {
    /// ResNet-18 for 200 epochs, as in the paper, section 4.2.
    #[must_use]
    pub fn paper() -> Self {
        Self {
            depth: 18,
            width: 64,
            dropout: 0.0,
            epochs: 200,
            batch: 128,
            learning_rate: 0.1,
            momentum: 0.9,
            weight_decay: 5e-4,
            milestones: vec![160],
            gamma: 0.1,
            crop_padding: 4,
            flip: true,
            precision: Precision::F32,
        }
    }

    /// A narrow network and a short training, for a CPU.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            width: 16,
            epochs: 20,
            batch: 32,
            learning_rate: 0.05,
            milestones: vec![12, 17],
            ..Self::paper()
        }
    }
}
