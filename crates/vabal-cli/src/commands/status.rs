//! `vabal status`: where a project stands, as the page shows it.
//!
//! Never here: the numbers; they are those of [`vabal::project::status`].

use std::path::{Path, PathBuf};

use vabal::Result;
use vabal::project::status::{self, RoundStatus, Status};
use vabal::project::{Counts, Project};

use crate::output::{say, several};
use crate::table::aligned;

/// Show where a project stands: labels, accuracy, what more labels may bring
///
/// For each class its labels, how many of its images the last model gets right, and how hard and
/// how rare it is; for each training its accuracy on the images set aside, with 95 % intervals.
/// Then what the next 100 labels are expected to bring, and whether stopping is reasonable.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  vabal status steel\n  vabal status steel --json | jq .rounds[-1].balanced_accuracy"
)]
pub struct Show {
    /// Folder of the project
    #[arg(value_name = "PROJECT")]
    pub project: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Prints it.
///
/// # Errors
/// What the library says: no project, a store that cannot be read.
pub fn run(args: &Show) -> Result<()> {
    let project = Project::open(&args.project)?;
    let status = status::of(&project)?;
    if args.json {
        say(serde_json::to_string(&status).unwrap_or_default());
        return Ok(());
    }
    let name = project.settings()?.name;
    let Counts { images, labelled, .. } = status.counts;
    say(format_args!("{name}: {labelled} of {images} images labelled"));
    say(format_args!("  {}", counted(&status.counts)));
    if let Some(other) = status.suggestions.as_ref().filter(|other| other.shown) {
        let images = several(other.images, "image");
        say(format_args!(
            "  suggestions are those of {}, of {images}, until the next training",
            other.source
        ));
    }
    if !status.classes.is_empty() {
        say(format_args!("\n{}", aligned(&classes(&status)).join("\n")));
    }
    if let Some(imbalance) = status.imbalance {
        say(format_args!("imbalance {imbalance:.1}: the largest class to the smallest that has a label"));
    }
    if !status.rounds.is_empty() {
        say(format_args!("\n{}", aligned(&rounds(&status)).join("\n")));
    }
    say("");
    if let Some(needs) = &status.needs {
        say(format_args!("Not trained now: {needs}."));
    } else if status.labels_until_training > 0 {
        say(format_args!(
            "{} until the next training. Images set aside to measure do not count.",
            several(status.labels_until_training, "more label")
        ));
    }
    say(&status.next.text);
    say(&status.stopping.text);
    say(format_args!("\nNext: {}", next(&status, &args.project)));
    Ok(())
}

/// The command that leads on from here.
pub fn next(status: &Status, project: &Path) -> String {
    let project = project.display();
    match status {
        Status { needs: None, labels_until_training: 0, counts, .. } if counts.open > 0 => {
            format!("vabal train {project}")
        }
        Status { stopping, .. } if stopping.reasonable => {
            format!("vabal export {project} --format folders --out data-set --model")
        }
        _ => format!("vabal label {project}"),
    }
}

/// What is known of the images, in words.
fn counted(counts: &Counts) -> String {
    let parts = [
        (counts.open, "open"),
        (counts.later, "put off"),
        (counts.unsure, "unsure"),
        (counts.discarded, "discarded"),
        (counts.conflict, "in conflict"),
        (counts.missing, "missing"),
    ];
    let parts = parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
    let holdout = counts.holdout;
    let aside = format!("{} set aside to measure, {} of them labelled", holdout.images, holdout.labelled);
    parts.chain([aside]).collect::<Vec<_>>().join(" · ")
}

const NONE: &str = "–";

/// A share with its interval, in percent.
pub fn interval(value: Option<f64>, low: Option<f64>, high: Option<f64>) -> String {
    match (value, low, high) {
        (Some(value), Some(low), Some(high)) => {
            format!("{:.1} ({:.1} to {:.1})", 100.0 * value, 100.0 * low, 100.0 * high)
        }
        (Some(value), ..) => format!("{:.1}", 100.0 * value),
        _ => NONE.into(),
    }
}

fn classes(status: &Status) -> Vec<Vec<String>> {
    let head = ["class", "labels", "recall in %", "of", "difficulty", "prior", "of the next 100"];
    let number =
        |value: Option<f64>, places: usize| value.map_or(NONE.into(), |value| format!("{value:.places$}"));
    let mut lines = vec![head.map(String::from).to_vec()];
    lines.extend(status.classes.iter().map(|class| {
        vec![
            class.name.clone(),
            class.labels.to_string(),
            interval(class.recall, class.recall_low, class.recall_high),
            class.holdout.to_string(),
            number(class.difficulty, 2),
            number(class.prior, 2),
            match (class.expected_next, class.expected_low, class.expected_high) {
                (Some(value), Some(low), Some(high)) => format!("{value:.0} ({low} to {high})"),
                _ => NONE.into(),
            },
        ]
    }));
    lines
}

/// The balanced accuracy of a training in percent; where a class is not measured, its interval
/// alone.
pub fn balanced(round: &RoundStatus) -> String {
    match (round.balanced_accuracy, round.balanced_low, round.balanced_high) {
        (None, Some(low), Some(high)) => format!("{:.1} to {:.1}", 100.0 * low, 100.0 * high),
        (value, low, high) => interval(value, low, high),
    }
}

fn rounds(status: &Status) -> Vec<Vec<String>> {
    let head = [
        "round",
        "labels",
        "balanced accuracy in %",
        "classes measured",
        "accuracy in %",
        "of",
        "agreement",
        "strategy",
    ];
    let mut lines = vec![head.map(String::from).to_vec()];
    lines.extend(status.rounds.iter().map(|round| {
        vec![
            round.round.to_string(),
            match round.taken_back {
                0 => round.labels.to_string(),
                n => format!("{} ({n} taken back)", round.labels),
            },
            balanced(round),
            format!("{} of {}", round.classes_measured, round.classes),
            interval(round.accuracy, round.accuracy_low, round.accuracy_high),
            round.holdout.to_string(),
            round.agreement.map_or(NONE.into(), |agreement| format!("{agreement:.2}")),
            round.strategy.clone(),
        ]
    }));
    lines
}
