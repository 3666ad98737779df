//! The configuration of an experiment: every key, the presets, and the checks that come before any
//! work.
//!
//! A configuration is data. [`Config::read`] lays a preset, a file and `--set` over one another,
//! refuses what it does not know, and gives back a [`Config`] in which every key has a value;
//! written as TOML and read again it is the same. Never here: the environment, defaults that depend
//! on the machine.
//!
//! ```
//! use vabal::config::Config;
//!
//! let text = "preset = \"quick\"\nstrategies = [\"random\", \"vabal\"]\n[rounds]\nbudget = 250\n";
//! let config = Config::parse(text, "mine.toml", "mine", &["rounds.count=3".into()])?;
//! assert_eq!((config.rounds.budget, config.rounds.count), (250, 3));
//!
//! let error = Config::parse("[rounds]\nbugdet = 250\n", "mine.toml", "mine", &[]).unwrap_err();
//! assert!(error.to_string().contains("budget")); // the nearest key that is known
//! # Ok::<(), vabal::Error>(())
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod resolve;

use crate::STRATEGIES;
use crate::backbone;
use crate::classify;
use crate::data::source::{Kind, Source};
use crate::error::{Error, Result, unknown, within};
use crate::query::{Spec, Strategy, head};
pub use resolve::strategy;

/// The name of the bound among the strategies of a configuration: class-balanced sampling by labels
/// that only an experiment knows.
pub const CLASS_BALANCED: &str = "class-balanced";

/// Whether the strategy called `name` is a bound: it knows the labels that it asks for, and takes
/// no part in a comparison.
///
/// ```
/// assert!(vabal::config::is_bound("class-balanced"));
/// assert!(!vabal::config::is_bound("balanced-entropy"));
/// ```
#[must_use]
pub fn is_bound(name: &str) -> bool {
    name == CLASS_BALANCED
}

/// A resolved configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A short name: the folder below `runs`, the title of the report.
    pub name: String,
    /// The values that everything else in the file overrides.
    pub preset: Preset,
    /// One run of every strategy for each.
    pub seeds: Vec<u64>,
    /// The strategies to compare: names of [`STRATEGIES`] or of a table `[strategy.NAME]`, and the
    /// bound `class-balanced`.
    pub strategies: Vec<String>,
    /// How many labels, and how often.
    pub rounds: Rounds,
    /// The images, or the features.
    pub data: Source,
    /// The classifier and its training, the same for every strategy.
    pub classifier: Classifier,
    /// The settings of the strategies that have any, by name.
    pub strategy: BTreeMap<String, Spec>,
}

/// What is trained in every round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Classifier {
    /// A residual network on images.
    Network(classify::Settings),
    /// Multinomial logistic regression on features.
    Linear(head::Settings),
    /// The same on features of a pretrained network, of images.
    Frozen(Frozen),
}

/// A linear classifier on features of a pretrained network, its strength chosen by
/// cross-validation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frozen {
    /// `auto`, a name, or an ONNX file.
    pub backbone: String,
    /// Height and width of its input, in pixels; 0 for what suits it.
    pub size: usize,
    /// Principal components that classifier and strategies work on; 0 for the features as they are.
    pub components: usize,
    /// Whether the classifier is to take all classes for equally frequent: logit adjustment (Menon
    /// et al. 2021).
    pub balanced: bool,
}

impl Default for Frozen {
    fn default() -> Self {
        Self { backbone: backbone::AUTO.into(), size: 0, components: 128, balanced: false }
    }
}

impl Frozen {
    fn check(&self) -> Result<()> {
        if self.backbone.is_empty() {
            return Err(out_of_range("backbone", "auto, a name, or an ONNX file", "\"\""));
        }
        if self.size > 0 {
            within("size", self.size, 8..=2048)?;
        }
        within("components", self.components, 0..=65_536)
    }
}

impl Classifier {
    /// The name of its kind in a configuration file.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Network(_) => "network",
            Self::Linear(_) => "linear",
            Self::Frozen(_) => "frozen",
        }
    }

    fn check(&self) -> Result<()> {
        match self {
            Self::Network(settings) => settings.check(),
            Self::Linear(settings) => settings.check(),
            Self::Frozen(settings) => settings.check(),
        }
    }

    /// The settings of the network.
    ///
    /// # Errors
    /// Another kind.
    pub fn network(&self) -> Result<&classify::Settings> {
        match self {
            Self::Network(settings) => Ok(settings),
            Self::Linear(_) => Err(misfit("linear", "network\" or \"frozen", "images", "features")),
            Self::Frozen(_) => Err(misfit("frozen", "network", "images", "features of images")),
        }
    }

    /// The settings of the linear classifier.
    ///
    /// # Errors
    /// Another kind.
    pub fn linear(&self) -> Result<&head::Settings> {
        match self {
            Self::Linear(settings) => Ok(settings),
            Self::Network(_) | Self::Frozen(_) => Err(misfit(self.kind(), "linear", "features", "images")),
        }
    }

    /// What training on so many labelled costs, in passes over one: a backward pass costs about two
    /// forward ones. Of the linear classifier a guess, for what is left of an experiment.
    pub(crate) fn passes(&self, labelled: usize) -> f64 {
        match self {
            Self::Network(settings) => {
                3.0 * settings.epochs_for(labelled.div_ceil(settings.batch)) as f64 * labelled as f64
            }
            Self::Linear(_) | Self::Frozen(_) => 100.0 * labelled as f64,
        }
    }
}

fn misfit(kind: &str, fitting: &str, data: &str, other: &str) -> Error {
    Error::input("the classifier does not fit the data")
        .at("classifier.kind")
        .expected(format!("\"{fitting}\": the data are {data}"))
        .got(format!("\"{kind}\", which learns from {other}"))
        .hint(format!("leave classifier.kind out, or give {other} as data"))
        .into()
}

/// How many labels are asked for, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rounds {
    /// Images labelled at random before the first round.
    pub initial: usize,
    /// Images asked for at the end of each round but the last.
    pub budget: usize,
    /// Rounds: classifiers trained, points of a learning curve.
    pub count: usize,
}

/// A named bundle of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The numbers of the paper, section 4.2: days on a CPU, hours on a GPU.
    Paper,
    /// A narrow network and a short training, for a CPU; labels and rounds as in the paper.
    Quick,
}

/// For an error that has no better one.
const HINT: &str =
    "docs/formats.md lists every setting; `vabal demo --print-config` shows a whole configuration";

impl Config {
    /// The values of a preset, before a file: for images.
    #[must_use]
    pub fn preset(preset: Preset) -> Self {
        let network = match preset {
            Preset::Paper => classify::Settings::paper(),
            Preset::Quick => classify::Settings::quick(),
        };
        Self {
            name: "experiment".into(),
            preset,
            seeds: vec![1, 2, 3],
            strategies: ["random", "entropy", "vabal"].map(String::from).into(),
            rounds: Rounds { initial: 500, budget: 500, count: 6 },
            data: Source::default(),
            classifier: Classifier::Network(network),
            strategy: BTreeMap::new(),
        }
    }

    /// The configuration as TOML, every key with its value.
    ///
    /// # Errors
    /// A value that TOML cannot hold: none that [`Config::check`] lets through.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self)
            .map_err(|error| Error::input("the configuration cannot be written as TOML").got(error).into())
    }

    /// Checks everything that can be checked without the data.
    ///
    /// # Errors
    /// The first value out of range, by its key.
    pub fn check(&self) -> Result<()> {
        self.check_values().map_err(|error| error.or_hint(HINT))
    }

    fn check_values(&self) -> Result<()> {
        check_name("name", &self.name)?;
        check_list("seeds", &self.seeds)?;
        check_list("strategies", &self.strategies)?;
        for &seed in &self.seeds {
            if i64::try_from(seed).is_err() {
                return Err(out_of_range("seeds", "whole numbers from 0 to 2^63 − 1", seed));
            }
        }
        let least = [
            ("rounds.initial", self.rounds.initial, 2),
            ("rounds.budget", self.rounds.budget, 1),
            ("rounds.count", self.rounds.count, 1),
        ];
        for (key, value, least) in least {
            if value < least {
                return Err(out_of_range(key, format!("at least {least}"), value));
            }
        }
        self.data.check()?;
        self.classifier.check().map_err(|error| error.below("classifier"))?;
        for (name, spec) in &self.strategy {
            let key = format!("strategy.{name}");
            check_name(&key, name)?;
            check_table(name, Some(spec.kind()))?;
            STRATEGIES.build(spec).map_err(|error| error.below(&key))?;
        }
        let features = self.data.kind == Kind::Features;
        match &self.classifier {
            _ if features => {
                self.classifier.linear()?;
            }
            Classifier::Frozen(_) => {}
            Classifier::Network(_) | Classifier::Linear(_) => {
                self.classifier.network()?;
            }
        }
        let frozen = matches!(self.classifier, Classifier::Frozen(_));
        for name in self.strategies.iter().filter(|name| !is_bound(name)) {
            let strategy = self.strategy(name)?;
            let needs = strategy.needs().and(strategy.needs_of_labelled());
            if (features || frozen) && needs.images {
                let (why, instead) = match features {
                    true => ("the data are features", "give images as data"),
                    false => ("the classifier is on frozen features", "set classifier.kind to \"network\""),
                };
                return Err(Error::input("a strategy that needs images")
                    .at("strategies")
                    .expected(format!("strategies that look at features and probabilities, as {why}"))
                    .got(format!("\"{name}\""))
                    .hint(format!("leave {name} out, or {instead}"))
                    .into());
            }
        }
        Ok(())
    }

    /// The runs: every strategy for every seed, seed by seed.
    pub fn runs(&self) -> impl Iterator<Item = (String, u64)> {
        let of = |&seed: &u64| self.strategies.iter().map(move |strategy| (strategy.clone(), seed));
        self.seeds.iter().flat_map(of)
    }

    /// The strategy called `name` in this configuration.
    ///
    /// # Errors
    /// An unknown name, with the nearest known one as the hint.
    pub fn strategy(&self, name: &str) -> Result<Box<dyn Strategy>> {
        if let Some(spec) = self.strategy.get(name).cloned().or_else(|| STRATEGIES.named(name)) {
            return STRATEGIES.build(&spec);
        }
        let mut known = STRATEGIES.names();
        known.push(CLASS_BALANCED);
        let mine = self.strategy.keys().map(String::as_str).filter(|name| STRATEGIES.named(name).is_none());
        known.extend(mine);
        let otherwise = format!("define it as a table [strategy.{name}], or see docs/strategies.md");
        Err(unknown("strategy", name, &known, otherwise).at("strategies").into())
    }
}

fn out_of_range(key: &str, expected: impl std::fmt::Display, got: impl std::fmt::Display) -> Error {
    Error::input("a setting is out of range").at(key).expected(expected).got(got).into()
}

fn in_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

/// Names become names of files and folders.
fn check_name(key: &str, name: &str) -> Result<()> {
    if name.is_empty() || !name.chars().all(in_a_name) {
        let expected = "letters, digits, - and _, at least one: names become names of files";
        return Err(out_of_range(key, expected, format!("\"{name}\"")));
    }
    Ok(())
}

/// A table takes the place of the strategy of its name, so that one called "random" would not be
/// random: one for a built-in may set what that has to set, and nothing else.
fn check_table(name: &str, kind: Option<&str>) -> Result<()> {
    if is_bound(name) {
        return Err(Error::input("the bound cannot be redefined")
            .at(format!("strategy.{name}"))
            .expected("a name that is not taken")
            .got(format!("[strategy.{name}]; {name} has no settings"))
            .hint("give the table a name of its own, and write that name into strategies")
            .into());
    }
    let Some(built_in) = STRATEGIES.named(name) else { return Ok(()) };
    if built_in.has_settings() && kind.is_none_or(|kind| kind == built_in.kind()) {
        return Ok(());
    }
    let got = match kind {
        Some(kind) if built_in.has_settings() => format!("kind = \"{kind}\""),
        _ => format!("[strategy.{name}]; {name} has no settings"),
    };
    Err(Error::input("a built-in strategy cannot be defined anew")
        .at(format!("strategy.{name}"))
        .expected(if built_in.has_settings() {
            format!("kind = \"{}\"", built_in.kind())
        } else {
            let with = |name: &&str| STRATEGIES.named(name).is_some_and(|spec| spec.has_settings());
            let with: Vec<&str> = STRATEGIES.names().into_iter().filter(with).collect();
            format!("a name that is not taken, or that of a strategy with settings: {}", with.join(", "))
        })
        .got(got)
        .hint("give the table a name of its own, and write that name into strategies")
        .into())
}

fn check_list<T: PartialEq + std::fmt::Debug>(key: &str, list: &[T]) -> Result<()> {
    if list.is_empty() {
        return Err(out_of_range(key, "at least one", "[]"));
    }
    match list.iter().enumerate().find(|(n, item)| list[..*n].contains(item)) {
        Some((_, twice)) => Err(out_of_range(key, "each only once", format!("{twice:?} twice"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
