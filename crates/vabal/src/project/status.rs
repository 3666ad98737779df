//! Where a project stands: labels by class, how good the model is and how sure that is, what more labels may bring, and
//! whether it is time to stop. In numbers, and in a plain sentence where a number alone says too little.
//!
//! Never here: the page, training.

use serde::Serialize;

use super::estimate::{self, Estimate, Stop};
use super::learn::{self, Measured};
use super::{Counts, Project, Round, RoundState};
use crate::Label;
use crate::error::Result;

/// Labels that a forecast looks ahead.
const AHEAD: usize = 100;

/// A class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassStatus {
    /// The class.
    pub id: Label,
    /// Its name.
    pub name: String,
    /// Images that are of it, those of the holdout too.
    pub labels: usize,
    /// Labels in the last training.
    pub train: usize,
    /// Labels in the holdout when the last model was measured.
    pub holdout: usize,
    /// VaB-AL's d_n: the share of right answers where the VAE says this class; small is hard.
    pub difficulty: Option<f64>,
    /// VaB-AL's π_n: the share of images that the model takes for it; small is rare.
    pub prior: Option<f64>,
    /// Share of its images in the holdout that the model gets right.
    pub recall: Option<f64>,
    /// The lower end of its 95 % interval.
    pub recall_low: Option<f64>,
    /// The upper end.
    pub recall_high: Option<f64>,
    /// Images of it that the next 100 labels are expected to hold.
    pub expected_next: Option<f64>,
}

/// A training.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RoundStatus {
    /// From 1.
    pub round: u64,
    /// The strategy that chose after it.
    pub strategy: String,
    /// Labels it was trained on.
    pub labels: usize,
    /// Milliseconds since 1970.
    pub finished: Option<i64>,
    /// How long it took.
    pub seconds: f64,
    /// Share of the holdout that it gets right.
    pub accuracy: Option<f64>,
    /// The lower end of its 95 % interval.
    pub accuracy_low: Option<f64>,
    /// The upper end.
    pub accuracy_high: Option<f64>,
    /// Mean over classes of the share that it gets right.
    pub balanced_accuracy: Option<f64>,
    /// The lower end of its 95 % interval.
    pub balanced_low: Option<f64>,
    /// The upper end.
    pub balanced_high: Option<f64>,
    /// Labels in the holdout at that time.
    pub holdout: usize,
    /// Height and width of what the network saw, in pixels; 0 where it was not noted.
    pub size: usize,
    /// Images that the training was set to look at; 0 where it was not noted.
    pub passes: usize,
    /// The backbone whose features it was trained on; none where the network was trained from scratch.
    pub backbone: Option<String>,
    /// Cohen's κ with the predictions of the training before.
    pub agreement: Option<f64>,
    /// What the person should know of it, a sentence each.
    pub warnings: Vec<String>,
}

/// Images of a class that are expected.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Expected {
    /// The class.
    pub id: Label,
    /// How many.
    pub expected: f64,
}

/// What the next labels may bring.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// How many labels it is about.
    pub n: usize,
    /// Images of each class among them, by the model's probabilities.
    pub per_class: Vec<Expected>,
    /// Points of balanced accuracy, from 0 to 100, by the trend of the last trainings.
    pub gain: Option<f64>,
    /// The same in plain words.
    pub text: String,
}

/// Whether it is time to stop.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stopping {
    /// Whether stopping is reasonable.
    pub reasonable: bool,
    /// Why, in plain words.
    pub text: String,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// Images by state.
    pub counts: Counts,
    /// Classes, by place.
    pub classes: Vec<ClassStatus>,
    /// Labels of the largest class over those of the smallest that has any.
    pub imbalance: Option<f64>,
    /// Trainings that are done, in order.
    pub rounds: Vec<RoundStatus>,
    /// What the next labels may bring.
    pub next: Forecast,
    /// Whether it is time to stop.
    pub stopping: Stopping,
    /// Why no training can start, in plain words.
    pub needs: Option<String>,
    /// Labels still to be given before the next training.
    pub labels_until_training: usize,
}

/// Where `project` stands.
///
/// # Errors
/// The store cannot be read, or is damaged.
pub fn of(project: &Project) -> Result<Status> {
    let counts = project.counts()?;
    let done = |round: &Round| round.round > 0 && round.state == RoundState::Done;
    let rounds: Vec<(Round, Measured)> =
        project.rounds()?.into_iter().filter(done).map(with_measured).collect();
    let last = rounds.last();
    let classes: Vec<ClassStatus> =
        project.classes()?.into_iter().map(|class| of_class(class, last)).collect();
    let labelled = || classes.iter().map(|class| class.labels).filter(|&labels| labels > 0);
    let imbalance = match (labelled().max(), labelled().min()) {
        (Some(most), Some(fewest)) if labelled().count() > 1 => Some(most as f64 / fewest as f64),
        _ => None,
    };
    let curve: Vec<(usize, f64)> = rounds
        .iter()
        .filter_map(|(round, measured)| Some((round.labels, balanced(measured)?.value)))
        .collect();
    let gain = estimate::gain(&curve, AHEAD);
    let history: Vec<_> =
        rounds.iter().map(|(_, measured)| (measured.agreement, balanced(measured))).collect();
    Ok(Status {
        next: forecast(&classes, last, gain, counts.open),
        stopping: stopping(estimate::stop(&history, gain), &history, counts.open),
        rounds: rounds.iter().map(|(round, measured)| of_round(round, measured)).collect(),
        needs: learn::obstacle(project)?,
        labels_until_training: project.labels_until_training()?,
        counts,
        classes,
        imbalance,
    })
}

fn with_measured(round: Round) -> (Round, Measured) {
    let measured = round.summary.as_ref().map(Measured::of).unwrap_or_default();
    (round, measured)
}

fn balanced(measured: &Measured) -> Option<Estimate> {
    let classes: Vec<_> = measured.holdout.iter().map(|&(_, right, n)| (right, n)).collect();
    estimate::balanced(&classes)
}

fn of_class(class: super::Class, last: Option<&(Round, Measured)>) -> ClassStatus {
    let place =
        last.and_then(|(round, _)| round.summary.as_ref()?.classes.iter().position(|&id| id == class.id));
    let measured = last.map(|(_, measured)| measured);
    let held = measured.and_then(|m| m.holdout.iter().find(|(id, ..)| *id == class.id));
    let recall = held.and_then(|&(_, right, n)| estimate::share(right, n));
    let summary = last.and_then(|(round, _)| round.summary.as_ref());
    let nth = |values: &[f64]| place.and_then(|place| values.get(place).copied());
    ClassStatus {
        train: place.and_then(|place| measured?.train.get(place).copied()).unwrap_or(0),
        holdout: held.map_or(0, |&(_, _, n)| n),
        difficulty: summary.and_then(|summary| nth(&summary.difficulty)),
        prior: summary.and_then(|summary| nth(&summary.prior)),
        recall: recall.map(|recall| recall.value),
        recall_low: recall.map(|recall| recall.low),
        recall_high: recall.map(|recall| recall.high),
        expected_next: measured.and_then(|measured| nth(&measured.queue)).map(|share| AHEAD as f64 * share),
        id: class.id,
        name: class.name,
        labels: class.labels,
    }
}

fn of_round(round: &Round, measured: &Measured) -> RoundStatus {
    let (right, n) = measured.holdout.iter().fold((0, 0), |sum, &(_, right, n)| (sum.0 + right, sum.1 + n));
    let (accuracy, balanced) = (estimate::share(right, n), balanced(measured));
    RoundStatus {
        round: round.round,
        strategy: round.strategy.clone(),
        labels: round.labels,
        finished: round.finished,
        seconds: measured.seconds,
        accuracy: accuracy.map(|a| a.value),
        accuracy_low: accuracy.map(|a| a.low),
        accuracy_high: accuracy.map(|a| a.high),
        balanced_accuracy: balanced.map(|b| b.value),
        balanced_low: balanced.map(|b| b.low),
        balanced_high: balanced.map(|b| b.high),
        holdout: n,
        size: measured.size,
        passes: measured.passes,
        backbone: measured.backbone.clone(),
        agreement: measured.agreement,
        warnings: measured.warnings.clone(),
    }
}

fn forecast(
    classes: &[ClassStatus],
    last: Option<&(Round, Measured)>,
    gain: Option<f64>,
    open: usize,
) -> Forecast {
    let n = AHEAD.min(open);
    let per_class: Vec<Expected> = classes
        .iter()
        .filter_map(|class| {
            let expected = class.expected_next? * n as f64 / AHEAD as f64;
            Some(Expected { id: class.id, expected })
        })
        .collect();
    let of = match gain {
        None if last.is_none() => "After the first training this says what more labels are expected to bring.".into(),
        None => "After three trainings with labels in the holdout this says what more labels are expected to bring.".into(),
        Some(gain) if gain < 0.005 => format!("By the trend of the last trainings, {n} more labels bring next to nothing."),
        Some(gain) => format!(
            "By the trend of the last trainings, {n} more labels bring about {:.0} points of balanced accuracy.",
            (100.0 * gain).max(1.0)
        ),
    };
    // The classes that the queue is expected to hold most of, beyond their share of the pool, are what it is after.
    let mut sought: Vec<(&str, f64, f64)> = Vec::new();
    if let Some((round, measured)) = last
        && let Some(summary) = &round.summary
    {
        for (place, id) in summary.classes.iter().enumerate() {
            if let (Some(&pool), Some(&queue)) = (measured.pool.get(place), measured.queue.get(place))
                && let Some(class) = classes.iter().find(|class| class.id == *id)
                && queue > 1.2 * pool
            {
                sought.push((&class.name, pool, queue));
            }
        }
    }
    sought.sort_by(|a, b| (b.2 / b.1.max(1e-9)).total_cmp(&(a.2 / a.1.max(1e-9))));
    let more: Vec<String> = sought
        .iter()
        .take(3)
        .map(|(name, pool, queue)| {
            format!("{name} ({:.0} % instead of {:.0} %)", 100.0 * queue, 100.0 * pool)
        })
        .collect();
    let text = match more.is_empty() {
        true => of,
        false => format!("{of} The next questions hold more than their share of {}.", more.join(", ")),
    };
    Forecast { n, per_class, gain: gain.map(|gain| 100.0 * gain), text }
}

fn stopping(stop: Stop, history: &[(Option<f64>, Option<Estimate>)], open: usize) -> Stopping {
    if open == 0 && !history.is_empty() {
        return Stopping { reasonable: true, text: "Every image is answered.".into() };
    }
    let (reasonable, text) = match stop {
        Stop::Early => {
            let text = if history.len() < 4 {
                format!("Too early to say: it takes four trainings, and {} are done.", history.len())
            } else {
                "Cannot be said: too few images of the holdout are labelled.".into()
            };
            (false, text)
        }
        Stop::GoOn => (false, "More labels still help.".into()),
        Stop::Stable => (true, "The last three models predict the same of nearly every image.".into()),
        Stop::Flat => (
            true,
            "The last three trainings are the same within what the holdout can tell, and 100 more labels are expected to bring \
             less than a point."
                .into(),
        ),
    };
    Stopping { reasonable, text }
}
