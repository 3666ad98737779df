//! The report's numbers as CSV: fractions in full precision, one header line, commas, `\n`.

use super::section::{Experiment, Section};
use super::tables::best;
use crate::config::is_bound;
use crate::csv::push_line;
use crate::experiment::record::{RoundRecord, RunRecord};
use crate::experiment::summary::{Figure, Measure, against, beside_bound, rare_share, spread, way};

use super::section::BASELINE;

/// The columns of [`prefix`].
const ROUND: [&str; 5] = ["experiment", "data", "strategy", "seed", "round"];

struct Csv(String);

impl Csv {
    fn new(head: &[&str]) -> Self {
        let mut csv = Self(String::new());
        csv.row(head.iter().map(|&name| name.to_owned()));
        csv
    }

    /// With the columns of [`prefix`] before those of `head`.
    fn by_round(head: &[&str]) -> Self {
        Self::new(&[&ROUND, head].concat())
    }

    fn row(&mut self, fields: impl Iterator<Item = String>) {
        push_line(&mut self.0, fields);
    }
}

fn optional<T: ToString>(value: Option<T>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

fn rounds_of(experiment: &Experiment) -> impl Iterator<Item = (&RunRecord, &RoundRecord)> {
    experiment.runs.iter().flat_map(|run| run.rounds.iter().map(move |round| (run, round)))
}

fn prefix(experiment: &Experiment, run: &RunRecord, round: &RoundRecord) -> Vec<String> {
    vec![
        experiment.summary.name.clone(),
        experiment.summary.data.clone(),
        run.strategy.clone(),
        run.seed.to_string(),
        round.round.to_string(),
    ]
}

/// One line per run and round: quality, share of rare classes, seconds, memory, the state of the
/// VAE, what was asked.
#[must_use]
pub fn rounds(experiments: &[Experiment]) -> String {
    let mut csv = Csv::by_round(&[
        "labelled",
        "unlabelled",
        "accuracy",
        "balanced_accuracy",
        "macro_f1",
        "calibration_error",
        "rare_share",
        "seconds",
        "peak_bytes",
        "vae_reconstruction",
        "vae_kl",
        "vae_class_loss",
        "vae_agreement_unlabelled",
        "vae_agreement_labelled",
        "vae_warning",
        "picks_wrong",
        "error_auc",
    ]);
    for experiment in experiments {
        for (run, round) in rounds_of(experiment) {
            let (metrics, vae) = (&round.metrics, round.vae.as_ref());
            let mut row = prefix(experiment, run, round);
            row.extend([round.labelled(), round.unlabelled].map(|n| n.to_string()));
            row.extend(
                [metrics.accuracy, metrics.balanced_accuracy, metrics.macro_f1, metrics.calibration_error]
                    .map(|value| value.to_string()),
            );
            row.push(rare_share(round, &experiment.summary.rare).to_string());
            row.push(round.phases.iter().map(|phase| phase.seconds).sum::<f64>().to_string());
            row.push(optional(round.phases.iter().filter_map(|phase| phase.peak_bytes).max()));
            row.extend(
                [
                    vae.map(|vae| vae.reconstruction),
                    vae.map(|vae| vae.kl),
                    vae.map(|vae| vae.class_loss),
                    vae.map(|vae| vae.agreement_unlabelled),
                    vae.map(|vae| vae.agreement_labelled),
                ]
                .map(optional),
            );
            row.push(optional(vae.and_then(|vae| vae.warning.clone())));
            row.push(optional(round.asked.map(|asked| asked.wrong_share)));
            row.push(optional(round.asked.and_then(|asked| asked.error_auc)));
            csv.row(row.into_iter());
        }
    }
    csv.0
}

/// One line per run, round and class: labelled images and recall.
#[must_use]
pub fn classes(experiments: &[Experiment]) -> String {
    let mut csv = Csv::by_round(&["label", "class", "rare", "labelled", "recall"]);
    for experiment in experiments {
        let section = Section::new(experiment);
        for (run, round) in rounds_of(experiment) {
            for class in 0..experiment.summary.classes.len() {
                let mut row = prefix(experiment, run, round);
                row.extend([
                    class.to_string(),
                    section.class(class),
                    section.rare(class).to_string(),
                    optional(round.class_counts.get(class)),
                    optional(round.metrics.recall.get(class).copied().flatten()),
                ]);
                csv.row(row.into_iter());
            }
        }
    }
    csv.0
}

/// One line per run, round and phase: seconds and memory.
#[must_use]
pub fn phases(experiments: &[Experiment]) -> String {
    let mut csv = Csv::by_round(&["phase", "seconds", "peak_bytes"]);
    for experiment in experiments {
        for (run, round) in rounds_of(experiment) {
            for phase in &round.phases {
                let mut row = prefix(experiment, run, round);
                row.extend([phase.name.clone(), phase.seconds.to_string(), optional(phase.peak_bytes)]);
                csv.row(row.into_iter());
            }
        }
    }
    csv.0
}

/// One line per strategy, measure and figure: mean, standard deviation, and the difference from
/// random.
#[must_use]
pub fn results(experiments: &[Experiment]) -> String {
    let mut csv = Csv::new(&[
        "experiment",
        "data",
        "strategy",
        "measure",
        "figure",
        "seeds",
        "mean",
        "sd",
        "best",
        "minus_random_mean",
        "minus_random_sd",
        "interval_low",
        "interval_high",
        "seeds_won",
        "seeds_paired",
        "bound",
        "way_to_bound",
    ]);
    for experiment in experiments {
        let section = Section::new(experiment);
        for (name, _) in &section.strategies {
            for (measure, figure) in Measure::ALL.into_iter().flat_map(|m| Figure::ALL.map(|f| (m, f))) {
                let Some(value) = spread(&section.judged, name, measure, figure) else { continue };
                let pair = (name != BASELINE)
                    .then(|| against(&section.judged, name, BASELINE, measure, figure))
                    .flatten();
                let pair = pair.as_ref();
                let way_of = beside_bound(&section.judged, name, BASELINE, measure, figure);
                csv.row(
                    [
                        experiment.summary.name.clone(),
                        experiment.summary.data.clone(),
                        name.clone(),
                        measure.name().into(),
                        figure.name().into(),
                        value.count.to_string(),
                        value.mean.to_string(),
                        optional(value.sd),
                        (!is_bound(name) && best(&section, (measure, figure)) == Some(value.mean))
                            .to_string(),
                        optional(pair.map(|pair| pair.spread.mean)),
                        optional(pair.and_then(|pair| pair.spread.sd)),
                        optional(pair.and_then(|pair| pair.interval).map(|interval| interval.0)),
                        optional(pair.and_then(|pair| pair.interval).map(|interval| interval.1)),
                        optional(pair.map(|pair| pair.won)),
                        optional(pair.map(|pair| pair.spread.count)),
                        is_bound(name).to_string(),
                        optional(way_of.and_then(|pair| way(&[pair]))),
                    ]
                    .into_iter(),
                );
            }
        }
    }
    csv.0
}

/// One line per strategy, measure and round: mean and standard deviation over the runs that tables
/// compare.
#[must_use]
pub fn curves(experiments: &[Experiment]) -> String {
    let head = ["experiment", "data", "strategy", "measure", "round", "labelled", "seeds", "mean", "sd"];
    let mut csv = Csv::new(&head);
    for experiment in experiments {
        let section = Section::new(experiment);
        for (name, _) in &section.strategies {
            for measure in Measure::ALL {
                for n in 0..section.rounds {
                    let Some((labelled, value)) = section.judged_round(name, n, measure) else { continue };
                    csv.row(
                        [
                            experiment.summary.name.clone(),
                            experiment.summary.data.clone(),
                            name.clone(),
                            measure.name().into(),
                            (n + 1).to_string(),
                            labelled.to_string(),
                            value.count.to_string(),
                            value.mean.to_string(),
                            optional(value.sd),
                        ]
                        .into_iter(),
                    );
                }
            }
        }
    }
    csv.0
}

/// One line per strategy and class: recall in the last round of the runs that tables compare.
#[must_use]
pub fn recall(experiments: &[Experiment]) -> String {
    let head =
        ["experiment", "data", "strategy", "label", "class", "rare", "test_images", "seeds", "mean", "sd"];
    let mut csv = Csv::new(&head);
    for experiment in experiments {
        let section = Section::new(experiment);
        for (name, _) in &section.strategies {
            for class in 0..experiment.summary.classes.len() {
                let value =
                    section.last_round(name, |round| round.metrics.recall.get(class).copied().flatten());
                csv.row(
                    [
                        experiment.summary.name.clone(),
                        experiment.summary.data.clone(),
                        name.clone(),
                        class.to_string(),
                        section.class(class),
                        section.rare(class).to_string(),
                        optional(experiment.summary.test_counts.get(class)),
                        value.map_or(0, |value| value.count).to_string(),
                        optional(value.map(|value| value.mean)),
                        optional(value.and_then(|value| value.sd)),
                    ]
                    .into_iter(),
                );
            }
        }
    }
    csv.0
}

/// One line per image asked, best first, with a column for every term that any strategy has.
#[must_use]
pub fn picks(experiments: &[Experiment]) -> String {
    let mut terms: Vec<&str> = Vec::new();
    let picks = || {
        experiments.iter().flat_map(|experiment| {
            rounds_of(experiment).flat_map(move |(run, round)| {
                round.picks.iter().enumerate().map(move |(n, pick)| (experiment, run, round, n, pick))
            })
        })
    };
    for name in picks().flat_map(|(.., pick)| pick.terms.iter().map(|(name, _)| name.as_str())) {
        if !terms.contains(&name) {
            terms.push(name);
        }
    }
    let mut head = ["rank", "id", "label", "class", "score"].map(String::from).to_vec();
    head.extend(terms.iter().map(|name| format!("term_{name}")));
    let mut csv = Csv::by_round(&head.iter().map(String::as_str).collect::<Vec<_>>());
    for (experiment, run, round, n, pick) in picks() {
        let mut row = prefix(experiment, run, round);
        row.extend([
            (n + 1).to_string(),
            pick.id.to_string(),
            pick.label.to_string(),
            experiment.summary.classes.get(pick.label as usize).cloned().unwrap_or_default(),
            pick.score.to_string(),
        ]);
        row.extend(terms.iter().map(|name| {
            optional(pick.terms.iter().find(|(other, _)| other == name).map(|(_, value)| value))
        }));
        csv.row(row.into_iter());
    }
    csv.0
}
