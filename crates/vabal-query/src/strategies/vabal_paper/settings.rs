//! Every reading of the paper that is left open, as one setting each, and the three presets.
//!
//! ```
//! use vabal_query::strategies::vabal_paper::settings::{Preset, Settings};
//!
//! let settings = Settings { draws: 20, ..Settings::preset(Preset::Official) };
//! settings.check()?;
//! assert!(Settings { decay: 2.0, ..settings }.check().is_err());
//! # Ok::<(), vabal_query::Error>(())
//! ```

use serde::{Deserialize, Serialize};

use super::VabalPaper;
use crate::error::{Error, Result};
use crate::{Strategy, StrategySettings, Table};

/// What VaB-AL does where the text is silent, and where text and the authors' code differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How each stage's features enter the VAE.
    pub adapter: Adapter,
    /// The hidden layers of encoder and decoder.
    pub hidden: Hidden,
    /// How the absence of a class's latents is measured, w_n of Eq. 7 and Table 2.
    pub absence: Absence,
    /// K, latents per class.
    pub latents: usize,
    /// λ of Eq. 10, the weight of the class loss.
    pub lambda: f64,
    /// Whether the block of the predicted class is zeroed before decoding while training.
    pub mask_in_training: bool,
    /// Passes over the unlabelled pool.
    pub epochs: usize,
    /// Steps that even a small pool gets, by more passes with `decay_epoch` moved in proportion; 0
    /// is no floor.
    pub minimum_steps: usize,
    /// Images per step.
    pub batch: usize,
    /// Learning rate of Adam before `decay_epoch`.
    pub learning_rate: f64,
    /// Epoch, counted from 0, from which the learning rate is multiplied by `decay`; `epochs` or
    /// more is never.
    pub decay_epoch: usize,
    /// Factor of the learning rate at `decay_epoch`. Adam's moments are kept.
    pub decay: f64,
    /// S, draws of z for each image.
    pub draws: usize,
    /// Which classes the sum of Eq. 6 runs over.
    pub class_sum: ClassSum,
    /// How the likelihood is read off the VAE's loss.
    pub likelihood: Likelihood,
    /// Where the prior of Eq. 12 comes from.
    pub prior: Prior,
    /// Whether the difficulty of Eq. 11 takes part; without it, it is 1.
    pub difficulty: bool,
}

/// How one stage's features become 128 of the VAE's 512 inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adapter {
    /// BatchNorm, Linear, Sigmoid: the text, section 3.4.
    Sigmoid,
    /// Linear, ReLU, BatchNorm: the authors' code.
    Relu,
}

/// The hidden layers of encoder and decoder, 128 wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hidden {
    /// Linear, ReLU: the text.
    Plain,
    /// Linear, ReLU, BatchNorm: the authors' code.
    Normalised,
}

/// w_n, a sum over the latents of class n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Absence {
    /// z².
    Square,
    /// |z|.
    Abs,
    /// 1 / (1 + e^−z).
    Sigmoid,
}

/// Which classes the sum of Eq. 6 runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassSum {
    /// Only the class that the draw predicts by Eq. 7.
    Predicted,
    /// Every class.
    All,
}

/// ℓ(x, z, n), read off the loss L(x, z, n).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Likelihood {
    /// exp(−L).
    Exp,
    /// 1 / L.
    Inverse,
    /// L itself, which turns the sign round: the authors' code.
    Energy,
    /// 1.
    None,
}

/// Where π_n comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prior {
    /// The VAE's predictions on the labelled pool: the text, Eq. 12.
    Labelled,
    /// The VAE's predictions on the unlabelled pool: the authors' code.
    Unlabelled,
    /// 1 for every class.
    Off,
}

/// A named bundle of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The text to the letter.
    Paper,
    /// The authors' code.
    Official,
    /// A cross of the two: the text's adapter with the rest of the authors' code, at a tenth of its
    /// learning rate and on small pools with more steps.
    Cross,
}

/// What a table `[strategy.NAME]` calls the paper's VaB-AL.
pub const KIND: &str = "vabal-paper";

/// The settings of VaB-AL, and the preset that they were made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// The preset that the settings override.
    pub preset: Preset,
    /// Every setting.
    #[serde(flatten)]
    pub settings: Settings,
}

impl From<Preset> for Bundle {
    fn from(preset: Preset) -> Self {
        Self { preset, settings: Settings::preset(preset) }
    }
}

impl StrategySettings for Bundle {
    fn presets() -> Vec<Self> {
        [Preset::Paper, Preset::Official, Preset::Cross].map(Self::from).into()
    }

    fn build(self, _: Table) -> Result<Box<dyn Strategy>> {
        Ok(Box::new(VabalPaper::new(self.settings)?))
    }
}

impl Settings {
    /// The settings of a preset.
    #[must_use]
    pub fn preset(preset: Preset) -> Self {
        let paper = Self {
            adapter: Adapter::Sigmoid,
            hidden: Hidden::Plain,
            absence: Absence::Square,
            latents: 10,
            lambda: 0.005,
            mask_in_training: false,
            epochs: 20,
            minimum_steps: 0,
            batch: 128,
            learning_rate: 1e-4,
            decay_epoch: 20,
            decay: 1.0,
            draws: 100,
            class_sum: ClassSum::Predicted,
            likelihood: Likelihood::Exp,
            prior: Prior::Labelled,
            difficulty: true,
        };
        let official = Self {
            adapter: Adapter::Relu,
            hidden: Hidden::Normalised,
            mask_in_training: true,
            learning_rate: 1e-2,
            decay_epoch: 16,
            decay: 0.1,
            class_sum: ClassSum::All,
            likelihood: Likelihood::Energy,
            prior: Prior::Unlabelled,
            difficulty: false,
            ..paper
        };
        match preset {
            Preset::Paper => paper,
            Preset::Cross => {
                Self { adapter: Adapter::Sigmoid, learning_rate: 1e-3, minimum_steps: 1400, ..official }
            }
            Preset::Official => official,
        }
    }

    /// Checks every value's range.
    ///
    /// # Errors
    /// The first value out of range, by its key.
    pub fn check(&self) -> Result<()> {
        let within = |key: &str, value: usize, low: usize, high: usize| {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            let range = format!("{low} to {high}");
            Err(Error::from(Error::input("a setting is out of range").at(key).expected(range).got(value)))
        };
        within("latents", self.latents, 1, 1000)?;
        within("epochs", self.epochs, 1, 100_000)?;
        within("minimum_steps", self.minimum_steps, 0, 1_000_000)?;
        within("batch", self.batch, 2, 65_536)?;
        within("decay_epoch", self.decay_epoch, 0, 1_000_000)?;
        within("draws", self.draws, 1, 100_000)?;
        let real = |key: &str, value: f64, range: &str, good: bool| {
            if good && value.is_finite() {
                return Ok(());
            }
            Err(Error::from(Error::input("a setting is out of range").at(key).expected(range).got(value)))
        };
        real("lambda", self.lambda, "0 or more", self.lambda >= 0.0)?;
        real("learning_rate", self.learning_rate, "more than 0", self.learning_rate > 0.0)?;
        real("decay", self.decay, "more than 0, at most 1", self.decay > 0.0 && self.decay <= 1.0)
    }
}
