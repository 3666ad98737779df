//! Every strategy by its name, with its settings as one value that a configuration can hold.
//!
//! Never here: how a strategy chooses.

use serde::{Deserialize, Serialize};

use super::uncertainty::{Measure, Uncertainty};
use super::{
    Strategy, badge, balanced, bald, committee, core_set, galaxy, learning_loss, probcover, random, similar,
    typiclust, vaal, vabal,
};
use crate::error::{Result, unknown};

/// A strategy with its settings: the table `[strategy.NAME]` of a configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Spec {
    /// [`random::Random`]
    Random,
    /// [`Uncertainty`] by entropy
    Entropy,
    /// [`Uncertainty`] by margin
    Margin,
    /// [`Uncertainty`] by least confidence
    LeastConfidence,
    /// [`bald::Bald`]
    Bald(bald::Settings),
    /// [`bald::PowerBald`]
    PowerBald(bald::PowerSettings),
    /// [`bald::BatchBald`]
    BatchBald(bald::BatchSettings),
    /// [`learning_loss::LearningLoss`]
    LearningLoss(learning_loss::Settings),
    /// [`vaal::Vaal`]
    Vaal(vaal::Settings),
    /// [`committee::Committee`]
    Ensemble(committee::Settings),
    /// [`core_set::CoreSet`]
    CoreSet,
    /// [`badge::Badge`]
    Badge,
    /// [`balanced::Balanced`]
    Balanced(balanced::Settings),
    /// [`typiclust::TypiClust`]
    Typiclust(typiclust::Settings),
    /// [`probcover::ProbCover`]
    Probcover(probcover::Settings),
    /// [`galaxy::Galaxy`]
    Galaxy,
    /// [`similar::Similar`]
    Similar(similar::Settings),
    /// [`vabal::VaBal`]
    Vabal(VabalSpec),
}

/// The settings of VaB-AL, and the bundle that they were made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VabalSpec {
    /// The bundle that the keys below override.
    pub preset: vabal::Preset,
    /// Every setting.
    #[serde(flatten)]
    pub settings: vabal::Settings,
}

impl From<vabal::Preset> for Spec {
    fn from(preset: vabal::Preset) -> Self {
        Self::Vabal(VabalSpec { preset, settings: vabal::Settings::preset(preset) })
    }
}

/// The names that [`by_name`] knows, in the order they are offered.
pub const NAMES: [&str; 22] = [
    "random",
    "entropy",
    "margin",
    "least-confidence",
    "bald",
    "power-bald",
    "batch-bald",
    "core-set",
    "badge",
    "typiclust",
    "probcover",
    "galaxy",
    "similar",
    "learning-loss",
    "vaal",
    "ensemble-variation-ratio",
    "ensemble-vote-entropy",
    "ensemble-mutual-information",
    "balanced-entropy",
    "vabal",
    "vabal-paper",
    "vabal-official",
];

/// The kinds of strategy, as `kind` of a table names them.
pub(crate) const KINDS: [&str; 18] = [
    "random",
    "entropy",
    "margin",
    "least-confidence",
    "bald",
    "power-bald",
    "batch-bald",
    "core-set",
    "badge",
    "typiclust",
    "probcover",
    "galaxy",
    "similar",
    "learning-loss",
    "vaal",
    "ensemble",
    "balanced",
    "vabal",
];

impl Spec {
    /// The built-in strategy called `name`, with its default settings.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let ensemble = |measure| Self::Ensemble(committee::Settings { measure, ..Default::default() });
        Some(match name {
            "ensemble-variation-ratio" => ensemble(committee::Measure::VariationRatio),
            "ensemble-vote-entropy" => ensemble(committee::Measure::VoteEntropy),
            "ensemble-mutual-information" => ensemble(committee::Measure::MutualInformation),
            "balanced-entropy" => Self::Balanced(balanced::Settings::default()),
            "vabal-paper" => vabal::Preset::Paper.into(),
            "vabal-official" => vabal::Preset::Official.into(),
            "ensemble" | "balanced" => return None,
            kind => return Self::of_kind(kind),
        })
    }

    /// The strategy of a kind, with its default settings.
    #[must_use]
    pub fn of_kind(kind: &str) -> Option<Self> {
        Some(match kind {
            "random" => Self::Random,
            "entropy" => Self::Entropy,
            "margin" => Self::Margin,
            "least-confidence" => Self::LeastConfidence,
            "bald" => Self::Bald(bald::Settings::default()),
            "power-bald" => Self::PowerBald(bald::PowerSettings::default()),
            "batch-bald" => Self::BatchBald(bald::BatchSettings::default()),
            "learning-loss" => Self::LearningLoss(learning_loss::Settings::default()),
            "vaal" => Self::Vaal(vaal::Settings::default()),
            "ensemble" => Self::Ensemble(committee::Settings::default()),
            "core-set" => Self::CoreSet,
            "badge" => Self::Badge,
            "balanced" => Self::Balanced(balanced::Settings::default()),
            "typiclust" => Self::Typiclust(typiclust::Settings::default()),
            "probcover" => Self::Probcover(probcover::Settings::default()),
            "galaxy" => Self::Galaxy,
            "similar" => Self::Similar(similar::Settings::default()),
            "vabal" => vabal::Preset::Default.into(),
            _ => return None,
        })
    }

    /// What `kind` of its table says.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Entropy => "entropy",
            Self::Margin => "margin",
            Self::LeastConfidence => "least-confidence",
            Self::Bald(_) => "bald",
            Self::PowerBald(_) => "power-bald",
            Self::BatchBald(_) => "batch-bald",
            Self::LearningLoss(_) => "learning-loss",
            Self::Vaal(_) => "vaal",
            Self::Ensemble(_) => "ensemble",
            Self::CoreSet => "core-set",
            Self::Badge => "badge",
            Self::Balanced(_) => "balanced",
            Self::Typiclust(_) => "typiclust",
            Self::Probcover(_) => "probcover",
            Self::Galaxy => "galaxy",
            Self::Similar(_) => "similar",
            Self::Vabal(_) => "vabal",
        }
    }

    /// Whether it has anything to set.
    #[must_use]
    pub fn has_settings(&self) -> bool {
        !matches!(
            self,
            Self::Random
                | Self::Entropy
                | Self::Margin
                | Self::LeastConfidence
                | Self::CoreSet
                | Self::Badge
                | Self::Galaxy
        )
    }

    /// Checks every value's range.
    ///
    /// # Errors
    /// The first value out of range, by its key.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Bald(settings) => settings.check(),
            Self::PowerBald(settings) => settings.check(),
            Self::BatchBald(settings) => settings.check(),
            Self::LearningLoss(settings) => settings.check(),
            Self::Vaal(settings) => settings.check(),
            Self::Ensemble(settings) => settings.check(),
            Self::Balanced(settings) => settings.check(),
            Self::Typiclust(settings) => settings.check(),
            Self::Probcover(settings) => settings.check(),
            Self::Similar(settings) => settings.check(),
            Self::Vabal(spec) => spec.settings.check(),
            Self::Random
            | Self::Entropy
            | Self::Margin
            | Self::LeastConfidence
            | Self::CoreSet
            | Self::Badge
            | Self::Galaxy => Ok(()),
        }
    }

    /// The strategy itself.
    ///
    /// # Errors
    /// As [`Spec::check`].
    pub fn build(&self) -> Result<Box<dyn Strategy>> {
        self.check()?;
        Ok(match self {
            Self::Random => Box::new(random::Random),
            Self::Entropy => Box::new(Uncertainty(Measure::Entropy)),
            Self::Margin => Box::new(Uncertainty(Measure::Margin)),
            Self::LeastConfidence => Box::new(Uncertainty(Measure::LeastConfidence)),
            Self::Bald(settings) => Box::new(bald::Bald(*settings)),
            Self::PowerBald(settings) => Box::new(bald::PowerBald(*settings)),
            Self::BatchBald(settings) => Box::new(bald::BatchBald(*settings)),
            Self::LearningLoss(settings) => Box::new(learning_loss::LearningLoss(*settings)),
            Self::Vaal(settings) => Box::new(vaal::Vaal(*settings)),
            Self::Ensemble(settings) => Box::new(committee::Committee(*settings)),
            Self::CoreSet => Box::new(core_set::CoreSet),
            Self::Badge => Box::new(badge::Badge),
            Self::Balanced(settings) => Box::new(balanced::Balanced::new(settings)?),
            Self::Typiclust(settings) => Box::new(typiclust::TypiClust(*settings)),
            Self::Probcover(settings) => Box::new(probcover::ProbCover(*settings)),
            Self::Galaxy => Box::new(galaxy::Galaxy),
            Self::Similar(settings) => Box::new(similar::Similar(*settings)),
            Self::Vabal(spec) => Box::new(vabal::VaBal::new(spec.settings.clone())?),
        })
    }
}

/// The strategy called `name`, with its default settings.
///
/// # Errors
/// An unknown name, with the nearest known one as the hint.
pub fn by_name(name: &str) -> Result<Box<dyn Strategy>> {
    match Spec::named(name) {
        Some(spec) => spec.build(),
        None => Err(unknown("strategy", name, &NAMES, "see docs/strategies.md").into()),
    }
}
