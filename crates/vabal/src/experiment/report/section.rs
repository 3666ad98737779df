//! One experiment as the report sees it: its strategies with their styles, the runs that numbers
//! are taken from, and what must be said beside them.

use std::collections::BTreeMap;

use super::chart::Entry;
use super::svg::Style;
use super::text::{enumerate, plural};
use crate::Id;
use crate::config::is_bound;
use crate::experiment::record::{Phase, RoundRecord, RunRecord, Summary};
use crate::experiment::summary::{Measure, Spread, strategies};
use crate::experiment::thumbnail::Thumbnail;

/// The strategy that all others are compared with.
pub const BASELINE: &str = "random";

/// What was run, and what came of it: the report's whole input.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// What was run, on what.
    pub summary: Summary,
    /// One record for each strategy and seed, in the order in which they shall be shown.
    pub runs: Vec<RunRecord>,
    /// Pictures of images that were asked first, as many as there are.
    pub thumbnails: BTreeMap<Id, Thumbnail>,
}

/// An experiment prepared for showing.
#[derive(Debug)]
pub struct Section<'a> {
    /// What was run.
    pub experiment: &'a Experiment,
    /// Every strategy that finished a round, with its style.
    pub strategies: Vec<Entry>,
    /// The runs that tables compare: all of the same length.
    pub judged: Vec<RunRecord>,
    /// Rounds of the longest run.
    pub rounds: usize,
    /// The largest number of seeds of a strategy.
    pub seeds: usize,
    /// Sentences that must stand beside the numbers.
    pub notes: Vec<String>,
}

/// Whether a run reached its last round, in which nothing is asked: the last of `planned`, or one
/// that leaves nothing to ask. A round that was cut short before it asked has no picks either.
fn finished(run: &RunRecord, planned: usize) -> bool {
    let last = |round: &RoundRecord| round.unlabelled == 0 || round.round >= planned;
    run.rounds.last().is_some_and(|round| round.picks.is_empty() && last(round))
}

/// The rounds of every run: as configured, or where that cannot be read, the most that a run has.
fn planned(experiment: &Experiment) -> usize {
    // Joined experiments have the same rounds; the configuration of the first stands before this
    // line.
    let config = experiment.summary.config.split("\n# Joined with").next().unwrap_or_default();
    let count = config
        .parse::<toml::Table>()
        .ok()
        .and_then(|table| usize::try_from(table.get("rounds")?.get("count")?.as_integer()?).ok());
    count.unwrap_or_else(|| experiment.runs.iter().map(|run| run.rounds.len()).max().unwrap_or(0))
}

impl<'a> Section<'a> {
    /// Prepares an experiment.
    #[must_use]
    pub fn new(experiment: &'a Experiment) -> Self {
        let runs = &experiment.runs;
        let mut next = 0;
        let styled: Vec<Entry> = strategies(runs)
            .into_iter()
            .map(|name| {
                if name != BASELINE {
                    next += 1;
                }
                (name.to_owned(), Style::nth(if name == BASELINE { 0 } else { next }))
            })
            .collect();
        let begun = |name: &str| runs.iter().any(|run| run.strategy == name && !run.rounds.is_empty());
        let strategies: Vec<Entry> = styled.into_iter().filter(|(name, _)| begun(name)).collect();
        let rounds = runs.iter().map(|run| run.rounds.len()).max().unwrap_or(0);
        let seeds = strategies
            .iter()
            .map(|(name, _)| {
                runs.iter().filter(|run| run.strategy == *name && !run.rounds.is_empty()).count()
            })
            .max()
            .unwrap_or(0);
        let mut section =
            Self { experiment, strategies, judged: Vec::new(), rounds, seeds, notes: Vec::new() };
        section.judge();
        section
    }

    fn judge(&mut self) {
        let runs = &self.experiment.runs;
        let planned = planned(self.experiment);
        let unfinished: Vec<String> = runs
            .iter()
            .filter(|run| !finished(run, planned))
            .map(|run| {
                let rounds = match run.rounds.len() {
                    0 => "no round".to_owned(),
                    n => plural(n, "round"),
                };
                format!("{} with seed {} ({rounds})", run.strategy, run.seed)
            })
            .collect();
        self.judged = runs.iter().filter(|run| finished(run, planned)).cloned().collect();
        if !unfinished.is_empty() {
            self.notes.push(format!("Unfinished: {}.", enumerate(&unfinished)));
            if self.judged.is_empty() {
                let common = runs.iter().map(|run| run.rounds.len()).filter(|&n| n > 0).min().unwrap_or(0);
                self.judged = runs.iter().filter(|run| !run.rounds.is_empty()).cloned().collect();
                for run in &mut self.judged {
                    run.rounds.truncate(common);
                }
                self.notes.push(format!(
                    "No run is finished: the tables compare the first {}, which every run that began has \
                     reached; “final” is the last of these.",
                    plural(common, "round")
                ));
            } else {
                self.notes.push(
                    "The tables are taken from finished runs alone; the figures show every round there is, \
                     so that later rounds may be means over fewer seeds."
                        .into(),
                );
            }
        }
        if let Some((name, _)) = self.strategies.iter().find(|(name, _)| is_bound(name)) {
            self.notes.push(format!(
                "{name} is a bound and no strategy: it knows the labels, and asks for as many of each class as it can. It \
                 is not compared: no best is marked, and no rank given, for it."
            ));
        }
        if self.balanced_test() {
            self.notes.push(
                "The test set holds equally many images of each class, so that accuracy and balanced accuracy are the \
                 same number."
                    .into(),
            );
        }
        if self.seeds == 1 {
            self.notes.push(
                "One seed: there is no spread, so no band and no ± can be given, and differences may be chance."
                    .into(),
            );
        }
    }

    /// Whether the test set holds as many images of each class it holds any of: then accuracy and
    /// balanced accuracy are the same number.
    #[must_use]
    pub fn balanced_test(&self) -> bool {
        let mut held = self.experiment.summary.test_counts.iter().filter(|&&n| n > 0);
        let first = held.next();
        first.is_some() && held.all(|n| Some(n) == first)
    }

    /// The measures by which strategies are compared in words: no number twice.
    #[must_use]
    pub fn measures(&self) -> &'static [Measure] {
        const BOTH: [Measure; 2] = [Measure::Accuracy, Measure::BalancedAccuracy];
        if self.balanced_test() { &BOTH[..1] } else { &BOTH }
    }

    /// The strategies that take part in comparisons: all but a bound.
    pub fn compared(&self) -> impl Iterator<Item = &str> {
        self.strategies.iter().map(|(name, _)| name.as_str()).filter(|name| !is_bound(name))
    }

    /// What a strategy is called in tables: a bound says what it is.
    #[must_use]
    pub fn called(name: &str) -> String {
        if is_bound(name) { format!("{name} (knows the labels)") } else { name.to_owned() }
    }

    /// The strategies with a judged run.
    #[must_use]
    pub fn judged_strategies(&self) -> Vec<Entry> {
        let judged = |name: &str| self.judged.iter().any(|run| run.strategy == name);
        self.strategies.iter().filter(|(name, _)| judged(name)).cloned().collect()
    }

    /// The name of a class.
    #[must_use]
    pub fn class(&self, label: usize) -> String {
        self.experiment.summary.classes.get(label).cloned().unwrap_or_else(|| format!("class {label}"))
    }

    /// Whether a class is rare.
    #[must_use]
    pub fn rare(&self, label: usize) -> bool {
        self.experiment.summary.rare.iter().any(|&rare| rare as usize == label)
    }

    /// The runs of a strategy, seeds ascending.
    pub fn runs(&self, strategy: &str) -> Vec<&RunRecord> {
        let mut runs: Vec<_> = self.experiment.runs.iter().filter(|run| run.strategy == strategy).collect();
        runs.sort_by_key(|run| run.seed);
        runs
    }

    /// Mean and spread over seeds of a value of each round of a strategy: (mean labelled, spread),
    /// where any seed has it.
    pub fn by_round(
        &self,
        strategy: &str,
        value: impl Fn(&RoundRecord) -> Option<f64>,
    ) -> Vec<(usize, f64, Spread)> {
        let runs = self.runs(strategy);
        let round = |n: usize| {
            let rounds: Vec<&RoundRecord> = runs.iter().filter_map(|run| run.rounds.get(n)).collect();
            let (labelled, values): (Vec<f64>, Vec<f64>) =
                rounds.iter().filter_map(|round| Some((round.labelled() as f64, value(round)?))).unzip();
            Some((rounds.first()?.round, Spread::of(&labelled)?.mean, Spread::of(&values)?))
        };
        (0..self.rounds).filter_map(round).collect()
    }

    /// Mean and spread over the judged runs of a value of the last round.
    pub fn last_round(&self, strategy: &str, value: impl Fn(&RoundRecord) -> Option<f64>) -> Option<Spread> {
        let runs = self.judged.iter().filter(|run| run.strategy == strategy);
        Spread::of(&runs.filter_map(|run| run.rounds.last().and_then(&value)).collect::<Vec<f64>>())
    }

    /// Mean and spread over the judged runs of a measure of round `n`, counted from 0, and the
    /// labels it had.
    #[must_use]
    pub fn judged_round(&self, strategy: &str, n: usize, measure: Measure) -> Option<(usize, Spread)> {
        let runs = self.judged.iter().filter(|run| run.strategy == strategy);
        let rounds: Vec<&RoundRecord> = runs.filter_map(|run| run.rounds.get(n)).collect();
        let values: Vec<f64> = rounds.iter().map(|round| measure.of(&round.metrics)).collect();
        Some((rounds.first()?.labelled(), Spread::of(&values)?))
    }

    /// The names of all phases, in the order in which they first appear.
    #[must_use]
    pub fn phases(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for phase in self.all_phases() {
            if !names.contains(&phase.name) {
                names.push(phase.name.clone());
            }
        }
        names
    }

    fn all_phases(&self) -> impl Iterator<Item = &Phase> {
        self.experiment.runs.iter().flat_map(|run| &run.rounds).flat_map(|round| &round.phases)
    }

    /// Whether any VAE reported on itself.
    #[must_use]
    pub fn has_vae(&self) -> bool {
        self.experiment.runs.iter().flat_map(|run| &run.rounds).any(|round| round.vae.is_some())
    }

    /// The warnings of all VAEs, each with where it arose.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut out = Vec::new();
        for run in &self.experiment.runs {
            for round in &run.rounds {
                if let Some(warning) = round.vae.as_ref().and_then(|vae| vae.warning.as_ref()) {
                    out.push(format!(
                        "{}, seed {}, round {}: {warning}",
                        run.strategy, run.seed, round.round
                    ));
                }
            }
        }
        out
    }
}
