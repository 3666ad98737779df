//! Where a project stands: labels by class, how good the model is and how sure that is, what more
//! labels may bring, and whether it is time to stop. In numbers, and in a plain sentence where a
//! number alone says too little.
//!
//! Never here: the page, training.
//!
//! ```no_run
//! use std::path::Path;
//! use vabal::project::{Project, status};
//!
//! let status = status::of(&Project::open(Path::new("steel"))?)?;
//! for class in &status.classes {
//!     println!("{}: {} labels", class.name, class.labels);
//! }
//! # Ok::<(), vabal::Error>(())
//! ```

use serde::Serialize;

use super::estimate::{self, Estimate, FEW, Held, Outlook, Stop};
use super::learn::{self, Measured};
use super::rounds::is_void;
use super::{
    Acceptance, Agreement, Class, Confusion, Counts, PersonStatus, Project, Round, RoundState, Suggestions,
};
use crate::Label;
use crate::error::Result;

/// Labels, or questions, that a forecast looks ahead.
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
    /// Labels in the holdout that measure the last model. Fewer than [`FEW`] say too little for
    /// advice.
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
    /// Images of it that are expected among the next 100 questions.
    pub expected_next: Option<f64>,
    /// The lower end of the range that holds what comes in 19 cases of 20.
    pub expected_low: Option<f64>,
    /// The upper end.
    pub expected_high: Option<f64>,
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
    /// Mean over classes of the share that it gets right; `None` where a class has no image in the
    /// holdout.
    pub balanced_accuracy: Option<f64>,
    /// The lower end of its 95 % interval, which counts what classes that are not measured may be.
    pub balanced_low: Option<f64>,
    /// The upper end.
    pub balanced_high: Option<f64>,
    /// The mean over the classes that are measured: those with an image in the holdout.
    pub measured_accuracy: Option<f64>,
    /// How many these are.
    pub classes_measured: usize,
    /// Of how many.
    pub classes: usize,
    /// Labels in the holdout that measure it: those of its time, of the last training those of now.
    pub holdout: usize,
    /// Labels that it was trained on and that were taken back since.
    pub taken_back: usize,
    /// Whether these are so many that it is left out of trends and advice.
    pub void: bool,
    /// Height and width of what the network saw, in pixels; 0 where it was not noted.
    pub size: usize,
    /// Images that the training was set to look at; 0 where it was not noted.
    pub passes: usize,
    /// The backbone whose features it was trained on; none where the network was trained from
    /// scratch.
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
    /// Images of each class among them.
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
    /// What the last model takes images for whose class is known.
    pub confusions: Vec<Confusion>,
    /// What accepting its suggestions would do, by how sure they are at least.
    pub acceptance: Vec<Acceptance>,
    /// Who has answered how much.
    pub persons: Vec<PersonStatus>,
    /// How far two persons say the same.
    pub agreements: Vec<Agreement>,
    /// What the next labels may bring.
    pub next: Forecast,
    /// Whether it is time to stop.
    pub stopping: Stopping,
    /// Why no training can start, in plain words.
    pub needs: Option<String>,
    /// Labels still to be given before the next training.
    pub labels_until_training: usize,
    /// Suggestions of another model, where some were taken in.
    pub suggestions: Option<Suggestions>,
}

/// Where `project` stands.
///
/// # Errors
/// The store cannot be read, or is damaged.
pub fn of(project: &Project) -> Result<Status> {
    let counts = project.counts()?;
    let listed = project.classes()?;
    let done = |round: &Round| round.round > 0 && round.state == RoundState::Done;
    let mut rounds: Vec<Training> = project.rounds()?.into_iter().filter(done).map(Training::of).collect();
    let begun: Vec<i64> = rounds.iter().map(|training| training.measured.answers).collect();
    for (training, taken_back) in rounds.iter_mut().zip(project.taken_back(&begun)?) {
        training.taken_back = taken_back;
    }
    let (mut confusions, mut acceptance) = (Vec::new(), Vec::new());
    if let Some(last) = rounds.last_mut() {
        confusions = project.confusions(last.round.round)?;
        // What was measured are the suggestions of the model, not those of another.
        if !project.suggestions()?.is_some_and(|other| other.shown) {
            acceptance = project.acceptance(last.round.round)?;
        }
        // Labels that the holdout has got since count too.
        last.measured.holdout = of_holdout(&confusions);
    }
    for training in &mut rounds {
        training.held = held(training, &listed);
    }
    let last = rounds.last();
    let held = last.map(|last| last.held.clone()).unwrap_or_default();
    let n = AHEAD.min(counts.open);
    let outlook = match last.and_then(|last| Some((last.round.summary.as_ref()?, &last.measured))) {
        Some(last) if n > 0 => {
            project.outlook(n, &listed, &held.iter().map(|held| held.n).collect::<Vec<_>>(), last)?
        }
        _ => None,
    };
    let next = |place: usize| outlook.as_ref().map(|outlook| &outlook[place]);
    let all = listed.into_iter().enumerate();
    let classes: Vec<ClassStatus> =
        all.map(|(place, class)| of_class(class, held.get(place), next(place), last)).collect();
    let labelled = || classes.iter().map(|class| class.labels).filter(|&labels| labels > 0);
    let imbalance = match (labelled().max(), labelled().min()) {
        (Some(most), Some(fewest)) if labelled().count() > 1 => Some(most as f64 / fewest as f64),
        _ => None,
    };
    let valid = |of| Training::valid(of).map(|(labels, kappa)| (labels, kappa, &*of.held));
    let Outlook { steps, gain, stop } = estimate::outlook(rounds.iter().map(valid), AHEAD);
    let stop = if last.is_some_and(Training::is_void) { Stop::Early } else { stop };
    Ok(Status {
        next: forecast(&classes, last, gain, counts.open),
        stopping: stopping(stop, steps, &classes, &counts),
        rounds: rounds.iter().map(of_round).collect(),
        confusions,
        acceptance,
        persons: project.persons()?,
        agreements: project.agreements()?,
        needs: learn::obstacle(project)?,
        labels_until_training: project.labels_until_training()?,
        suggestions: project.suggestions()?,
        counts,
        classes,
        imbalance,
    })
}

/// A training that is done, with what it measured.
struct Training {
    round: Round,
    measured: Measured,
    /// What the holdout says of each class of the list, by place.
    held: Vec<Held>,
    taken_back: usize,
}

impl Training {
    fn of(round: Round) -> Self {
        let measured = round.summary.as_ref().map(Measured::of).unwrap_or_default();
        Self { round, measured, held: Vec::new(), taken_back: 0 }
    }

    /// Whether its labels were taken back.
    const fn is_void(&self) -> bool {
        is_void(self.round.labels, self.taken_back)
    }

    /// Its labels and its agreement with the one before, where they still stand.
    fn valid(&self) -> Option<(usize, Option<f64>)> {
        (!self.is_void()).then_some((self.round.labels, self.measured.agreement))
    }
}

/// Class, right answers and images of each class.
fn of_holdout(confusions: &[Confusion]) -> Vec<(Label, usize, usize)> {
    let of_class = |rows: &[Confusion]| {
        let right = rows.iter().filter(|row| row.class == row.predicted).map(|row| row.holdout).sum();
        (rows[0].class, right, rows.iter().map(|row| row.holdout).sum())
    };
    confusions.chunk_by(|a, b| a.class == b.class).map(of_class).collect()
}

fn held(training: &Training, listed: &[Class]) -> Vec<Held> {
    let trained = training.round.summary.as_ref().map(|summary| &*summary.classes).unwrap_or_default();
    let of = |class: &Class| {
        let (right, n) = training
            .measured
            .holdout
            .iter()
            .find(|(id, ..)| *id == class.id)
            .map_or((0, 0), |&(_, right, n)| (right, n));
        // One that another was merged into may have been learnt as that.
        Held { right, n, trained: right > 0 || trained.contains(&class.id) }
    };
    listed.iter().map(of).collect()
}

fn of_class(
    class: Class,
    held: Option<&Held>,
    next: Option<&Estimate>,
    last: Option<&Training>,
) -> ClassStatus {
    let summary = last.and_then(|last| last.round.summary.as_ref());
    let place = summary.and_then(|summary| summary.classes.iter().position(|&id| id == class.id));
    let measured = last.map(|last| &last.measured);
    let recall = held.and_then(|held| estimate::share(held.right, held.n));
    let nth = |values: &[f64]| place.and_then(|place| values.get(place).copied());
    ClassStatus {
        train: place.and_then(|place| measured?.train.get(place).copied()).unwrap_or(0),
        holdout: held.map_or(0, |held| held.n),
        difficulty: summary.and_then(|summary| nth(&summary.difficulty)),
        prior: summary.and_then(|summary| nth(&summary.prior)),
        recall: recall.map(|recall| recall.value),
        recall_low: recall.map(|recall| recall.low),
        recall_high: recall.map(|recall| recall.high),
        expected_next: next.map(|next| next.value),
        expected_low: next.map(|next| next.low),
        expected_high: next.map(|next| next.high),
        id: class.id,
        name: class.name,
        labels: class.labels,
    }
}

fn of_round(training: &Training) -> RoundStatus {
    let Training { round, measured, held, .. } = training;
    let (right, n) = held.iter().fold((0, 0), |sum, held| (sum.0 + held.right, sum.1 + held.n));
    let (accuracy, balanced) = (estimate::share(right, n), estimate::balanced(held));
    RoundStatus {
        round: round.round,
        strategy: round.strategy.clone(),
        labels: round.labels,
        finished: round.finished,
        seconds: measured.seconds,
        accuracy: accuracy.map(|a| a.value),
        accuracy_low: accuracy.map(|a| a.low),
        accuracy_high: accuracy.map(|a| a.high),
        balanced_accuracy: balanced.and_then(|b| b.value()),
        balanced_low: balanced.map(|b| b.low),
        balanced_high: balanced.map(|b| b.high),
        measured_accuracy: balanced.map(|b| b.of_measured),
        classes_measured: balanced.map_or(0, |b| b.measured),
        classes: held.len(),
        holdout: n,
        taken_back: training.taken_back,
        void: training.is_void(),
        size: measured.size,
        passes: measured.passes,
        backbone: measured.backbone.clone(),
        agreement: measured.agreement,
        warnings: measured.warnings.clone(),
    }
}

fn forecast(classes: &[ClassStatus], last: Option<&Training>, gain: Option<f64>, open: usize) -> Forecast {
    let n = AHEAD.min(open);
    let per_class: Vec<Expected> = classes
        .iter()
        .filter_map(|class| Some(Expected { id: class.id, expected: class.expected_next? }))
        .collect();
    let of = match gain {
        None if last.is_none() => "After the first training this says what more labels are expected to bring.".into(),
        None => "After three trainings, each with ten labels more and with labels in the holdout, this says what more labels are \
                 expected to bring."
            .into(),
        Some(gain) if gain < 0.005 => format!("By the trend of the last trainings, {n} more labels bring next to nothing."),
        Some(gain) => format!(
            "By the trend of the last trainings, {n} more labels bring about {:.0} points of balanced accuracy{}.",
            (100.0 * gain).max(1.0),
            if classes.iter().any(|class| class.holdout == 0) { " over the classes measured" } else { "" }
        ),
    };
    // The classes that the queue is expected to hold most of, beyond their share of the pool, are
    // what it is after.
    let mut sought: Vec<(&str, f64, f64)> = Vec::new();
    if let Some(Training { round, measured, .. }) = last
        && let Some(summary) = &round.summary
    {
        for (id, &pool) in summary.classes.iter().zip(&measured.pool) {
            if let Some(class) = classes.iter().find(|class| class.id == *id)
                && let Some(expected) = class.expected_next
                && expected > 1.2 * pool * n as f64
            {
                sought.push((&class.name, pool, expected / n as f64));
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

fn stopping(stop: Stop, steps: usize, classes: &[ClassStatus], counts: &Counts) -> Stopping {
    if counts.open == 0 && steps > 0 {
        return Stopping { reasonable: true, text: "Every image is answered.".into() };
    }
    let reason = match stop {
        Stop::Early => {
            let text = format!(
                "Too early to say: it takes four trainings, each on ten labels more than the one before, and {steps} {} so far.",
                if steps == 1 { "is" } else { "are" }
            );
            return Stopping { reasonable: false, text };
        }
        Stop::Unmeasured => {
            let few: Vec<String> = classes
                .iter()
                .filter(|class| class.holdout < FEW)
                .map(|class| format!("{} ({})", class.name, class.holdout))
                .collect();
            let text = format!(
                "Cannot be said: these classes have fewer than {FEW} labels in the holdout: {}.",
                few.join(", ")
            );
            return Stopping { reasonable: false, text };
        }
        Stop::GoOn => return Stopping { reasonable: false, text: "More labels still help.".into() },
        Stop::Stable => "The last three models predict the same of nearly every image.",
        Stop::Flat => {
            "The last three trainings are the same within what the holdout can tell, and 100 more labels are expected to bring \
             less than a point."
        }
    };
    // What stopping means for the class that is worst off.
    let worst = classes
        .iter()
        .filter_map(|class| Some((class.recall?, class.recall_low?, class.recall_high?, &class.name)));
    let text = match worst.min_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((recall, low, high, name)) => format!(
            "{reason} The model still finds {:.0} % of {name} ({:.0} to {:.0} %), of the other classes as many or more.",
            100.0 * recall,
            100.0 * low,
            100.0 * high
        ),
        None => reason.into(),
    };
    Stopping { reasonable: true, text }
}
