//! The strategies as a table, a row each: name, kind, default settings, builder.
//!
//! A new strategy is one file and one row here; a crate that has strategies of its own adds its
//! rows with [`Table::with`]. Never here: how a strategy chooses.
//!
//! ```
//! use vabal_query::STRATEGIES;
//!
//! assert_eq!(STRATEGIES.names()[0], "random");
//! let strategy = STRATEGIES.by_name("entropy")?;
//! assert!(strategy.needs().probabilities);
//! # Ok::<(), vabal_query::Error>(())
//! ```

use serde_json::Value;

use super::settings::{PRESET, Spec, StrategySettings, Values, refused, values};
use super::uncertainty::{Criterion, Uncertainty};
use super::vabal_paper::{self, Bundle, Preset};
use super::{
    badge, balanced, bald, committee, core_set, galaxy, learning_loss, probcover, random, similar, typiclust,
    vabal,
};
use crate::Strategy;
use crate::error::{Complaint, Error, Result, unknown};

/// Where the hint of an unknown name points.
const PAGE: &str = "see docs/strategies.md";

/// A strategy under a name, or a preset of one.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// What users call it.
    pub name: &'static str,
    /// What `kind` of a table `[strategy.NAME]` says. Presets of a strategy share one; the first
    /// row has its defaults.
    pub kind: &'static str,
    body: Body,
}

#[derive(Debug, Clone, Copy)]
enum Body {
    /// Without settings.
    Plain(fn() -> Box<dyn Strategy>),
    WithSettings {
        defaults: fn() -> Values,
        presets: fn() -> Vec<Values>,
        read: fn(&Values) -> Result<(), serde_json::Error>,
        build: fn(&Spec, Table) -> Result<Box<dyn Strategy>>,
    },
}

impl Row {
    /// A strategy without settings.
    #[must_use]
    pub const fn plain(name: &'static str, build: fn() -> Box<dyn Strategy>) -> Self {
        Self { name, kind: name, body: Body::Plain(build) }
    }

    /// A strategy with settings of type `S`.
    #[must_use]
    pub const fn new<S: StrategySettings + Default>(name: &'static str) -> Self {
        Self::preset::<S>(name, name, || values(&S::default()))
    }

    /// A preset of the strategy `kind`: the same settings with other defaults, which [`values`]
    /// makes.
    #[must_use]
    pub const fn preset<S: StrategySettings>(
        name: &'static str,
        kind: &'static str,
        defaults: fn() -> Values,
    ) -> Self {
        let body = Body::WithSettings {
            defaults,
            presets: || S::presets().iter().map(values).collect(),
            read: |values| serde_json::from_value::<S>(Value::Object(values.clone())).map(drop),
            build: |spec, table| spec.settings::<S>()?.build(table),
        };
        Self { name, kind, body }
    }

    fn spec(&self) -> Spec {
        let values = match self.body {
            Body::Plain(_) => Values::new(),
            Body::WithSettings { defaults, .. } => defaults(),
        };
        Spec { kind: self.kind.to_owned(), values }
    }
}

/// The strategies that can be chosen by name.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    rows: &'static [Row],
    more: &'static [Row],
}

fn ensemble(measure: committee::Disagreement) -> Values {
    values(&committee::Settings { measure, ..Default::default() })
}

fn bundle(preset: Preset) -> Values {
    values(&Bundle::from(preset))
}

/// The strategies of this crate, in the order they are offered.
pub const STRATEGIES: Table = Table {
    rows: &[
        Row::plain("random", || Box::new(random::Random)),
        Row::plain("entropy", || Box::new(Uncertainty(Criterion::Entropy))),
        Row::plain("margin", || Box::new(Uncertainty(Criterion::Margin))),
        Row::plain("least-confidence", || Box::new(Uncertainty(Criterion::LeastConfidence))),
        Row::new::<bald::Settings>("bald"),
        Row::new::<bald::PowerSettings>("power-bald"),
        Row::new::<bald::BatchSettings>("batch-bald"),
        Row::plain("core-set", || Box::new(core_set::CoreSet)),
        Row::plain("badge", || Box::new(badge::Badge)),
        Row::new::<typiclust::Settings>("typiclust"),
        Row::new::<probcover::Settings>("probcover"),
        Row::plain("galaxy", || Box::new(galaxy::Galaxy)),
        Row::new::<similar::Settings>("similar"),
        Row::new::<learning_loss::Settings>("learning-loss"),
        Row::preset::<committee::Settings>("ensemble-variation-ratio", "ensemble", || {
            ensemble(committee::Disagreement::VariationRatio)
        }),
        Row::preset::<committee::Settings>("ensemble-vote-entropy", "ensemble", || {
            ensemble(committee::Disagreement::VoteEntropy)
        }),
        Row::preset::<committee::Settings>("ensemble-mutual-information", "ensemble", || {
            ensemble(committee::Disagreement::MutualInformation)
        }),
        Row::preset::<balanced::Settings>("balanced-entropy", balanced::KIND, || {
            values(&balanced::Settings::default())
        }),
        Row::new::<vabal::Settings>("vabal"),
        Row::preset::<Bundle>("vabal-paper", vabal_paper::KIND, || bundle(Preset::Paper)),
        Row::preset::<Bundle>("vabal-official", vabal_paper::KIND, || bundle(Preset::Official)),
    ],
    more: &[],
};

impl Table {
    /// The same with the strategies of another crate.
    #[must_use]
    pub const fn with(self, more: &'static [Row]) -> Self {
        Self { more, ..self }
    }

    fn rows(self) -> impl Iterator<Item = &'static Row> {
        self.rows.iter().chain(self.more)
    }

    /// The names, in the order they are offered.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        self.rows().map(|row| row.name).collect()
    }

    /// The kinds of strategy, as `kind` of a table `[strategy.NAME]` names them.
    #[must_use]
    pub fn kinds(self) -> Vec<&'static str> {
        let mut kinds: Vec<&str> = self.rows().map(|row| row.kind).collect();
        kinds.dedup();
        kinds
    }

    /// The strategy called `name`, with its default settings.
    #[must_use]
    pub fn named(self, name: &str) -> Option<Spec> {
        self.rows().find(|row| row.name == name).map(Row::spec)
    }

    /// The strategy called `name`, with its default settings.
    ///
    /// # Errors
    /// An unknown name, with the nearest known one as the hint.
    pub fn find(self, name: &str) -> Result<Spec, Complaint> {
        self.named(name).ok_or_else(|| unknown("strategy", name, &self.names(), PAGE))
    }

    /// The strategy of a kind, with its default settings.
    ///
    /// # Errors
    /// An unknown kind, with the nearest known one as the hint.
    pub fn of_kind(self, kind: &str) -> Result<Spec, Complaint> {
        self.row_of(kind).map(Row::spec)
    }

    /// `spec` with the settings of another preset of its kind; without presets, it stays as it is.
    ///
    /// # Errors
    /// A preset that its kind does not have.
    pub fn preset(self, spec: Spec, preset: &Value) -> Result<Spec, Complaint> {
        if !spec.values.contains_key(PRESET) {
            return Ok(spec);
        }
        let Body::WithSettings { presets, .. } = self.row_of(&spec.kind)?.body else { return Ok(spec) };
        let presets = presets();
        if let Some(values) = presets.iter().find(|values| values[PRESET] == *preset) {
            return Ok(Spec { values: values.clone(), ..spec });
        }
        let known: Vec<&str> = presets.iter().filter_map(|values| values[PRESET].as_str()).collect();
        Err(refused(preset, &known.join(", ")))
    }

    /// The strategy itself, every value checked.
    ///
    /// # Errors
    /// An unknown kind, the first value out of range, by its key.
    pub fn build(self, spec: &Spec) -> Result<Box<dyn Strategy>> {
        match self.row_of(&spec.kind).map_err(Error::from)?.body {
            Body::Plain(build) => Ok(build()),
            Body::WithSettings { build, .. } => build(spec, self),
        }
    }

    /// The strategy called `name`, with its default settings, built.
    ///
    /// # Errors
    /// As [`Table::find`].
    pub fn by_name(self, name: &str) -> Result<Box<dyn Strategy>> {
        self.build(&self.find(name)?)
    }

    fn row_of(self, kind: &str) -> Result<&'static Row, Complaint> {
        let row = self.rows().find(|row| row.kind == kind);
        row.ok_or_else(|| unknown("kind of strategy", kind, &self.kinds(), PAGE))
    }

    pub(super) fn read(self, kind: &str, values: &Values) -> Result<(), serde_json::Error> {
        match self.row_of(kind).map(|row| row.body) {
            Ok(Body::WithSettings { read, .. }) => read(values),
            _ => Ok(()),
        }
    }
}
