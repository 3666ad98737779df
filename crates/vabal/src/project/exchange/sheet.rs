//! The data sheet: what a set of labels is, how it came about and what it is not, on one page of
//! Markdown. After Gebru et al. 2021, "Datasheets for Datasets".
//!
//! Never here: the time, or anything else that is not given.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use serde_json::Value;

use super::columns::ranked;
use super::{Row, Source, State, time};
use crate::project::Change;

/// What the rows do not say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sheet {
    /// The name of the project.
    pub name: String,
    /// The folder that the images come from.
    pub folder: String,
    /// The names of the classes, in their order.
    pub classes: Vec<String>,
    /// How classes are told from others: name and description, in the order of the classes.
    pub descriptions: Vec<(String, String)>,
    /// Trainings, in order: number, and the strategy that chose after it, by name.
    pub rounds: Vec<(u64, String)>,
    /// What the last model was trained with: side of the images in pixels, images that the training
    /// looked at.
    pub model: Option<(usize, usize)>,
    /// The backbone it was trained on the features of; none where the network was trained from
    /// scratch.
    pub backbone: Option<String>,
    /// Settings that were changed after the project was made, in order.
    pub changes: Vec<Change>,
    /// Images that are no longer there.
    pub missing: usize,
    /// Accuracy of the last model on the holdout.
    pub accuracy: Option<Quality>,
    /// Its mean recall over the classes of the holdout.
    pub balanced_accuracy: Option<Quality>,
}

/// A measured share and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// 0 to 1.
    pub value: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Images it was measured on.
    pub images: usize,
}

impl Sheet {
    /// The sheet of these images, as Markdown. The same rows give the same bytes.
    #[must_use]
    pub fn write(&self, rows: &[Row]) -> String {
        let count = |state: State| rows.iter().filter(|row| row.state == state).count();
        let mut labels: HashMap<&str, [usize; 2]> = HashMap::new();
        for row in rows.iter().filter(|row| row.state == State::Labelled) {
            if let Some(class) = row.class.as_deref() {
                labels.entry(class).or_default()[usize::from(row.holdout)] += 1;
            }
        }
        let labelled = count(State::Labelled);
        let mut text = format!(
            "# {}\n\n{} of {} images are labelled, in {} classes. Written by vabal {}.\n",
            plain(&self.name),
            labelled,
            rows.len(),
            self.classes.len(),
            env!("CARGO_PKG_VERSION")
        );

        self.composition(&mut text, rows, &labels);
        self.collection(&mut text, rows);
        text.push_str("\n## Quality\n\n");
        for (name, quality) in [("Accuracy", self.accuracy), ("Balanced accuracy", self.balanced_accuracy)] {
            let said = match quality {
                Some(Quality { value, low, high, images }) => {
                    let [value, low, high] = [value, low, high].map(percent);
                    format!(
                        " of the last model on the holdout: {value} (95 % interval {low} to {high}, {images} images)."
                    )
                }
                None => " on the holdout: not measured.".to_owned(),
            };
            point(&mut text, format_args!("{name}{said}"));
        }
        if let Some((size, passes)) = self.model {
            let said = match &self.backbone {
                None => format!("sees {size} × {size} pixels; its training was set to {passes} passes"),
                Some(name) => {
                    format!("is a linear classifier on features of {name}, which sees {size} × {size} pixels")
                }
            };
            point(&mut text, format_args!("The last model {said}."));
        }
        text
    }

    fn composition(&self, text: &mut String, rows: &[Row], labels: &HashMap<&str, [usize; 2]>) {
        text.push_str(
            "\n## Composition\n\n| class | images | share | for training | holdout |\n|---|---|---|---|---|\n",
        );
        let labelled: usize = labels.values().flatten().sum();
        let mut counts = Vec::new();
        for class in &self.classes {
            let [train, holdout] = labels.get(class.as_str()).copied().unwrap_or_default();
            let all = train + holdout;
            counts.push(all);
            let (name, share) = (plain(class), percent(all as f64 / labelled.max(1) as f64));
            line(text, format_args!("| {name} | {all} | {share} | {train} | {holdout} |"));
        }
        text.push('\n');
        let some: Vec<usize> = counts.iter().copied().filter(|&count| count > 0).collect();
        if let (Some(&most), Some(&least)) = (some.iter().max(), some.iter().min()) {
            let ratio = most as f64 / least as f64;
            point(
                text,
                format_args!("Imbalance: {ratio:.1}, the largest class to the smallest that has an image."),
            );
        }
        for (class, description) in &self.descriptions {
            point(text, format_args!("{}: {}", plain(class), plain(description)));
        }
        if some.len() < counts.len() {
            point(text, format_args!("Classes without an image: {}.", counts.len() - some.len()));
        }
        let holdout = rows.iter().filter(|row| row.holdout).count();
        let of_them: usize = labels.values().map(|both| both[1]).sum();
        point(
            text,
            format_args!(
                "Holdout, drawn at random by content and never trained on: {holdout} images, {of_them} labelled."
            ),
        );
        let distinct: HashSet<&str> = rows.iter().map(|row| row.hash.as_str()).collect();
        point(
            text,
            format_args!("Images that repeat the content of another: {}.", rows.len() - distinct.len()),
        );
        for (state, name) in [
            (State::Open, "not asked yet"),
            (State::Later, "put off"),
            (State::Unsure, "nobody could tell"),
            (State::Discarded, "discarded"),
            (State::Conflict, "in conflict, people disagree"),
        ] {
            let count = rows.iter().filter(|row| row.state == state).count();
            point(text, format_args!("Without a label, {name}: {count}."));
        }
        point(text, format_args!("No longer in the folder: {}.", self.missing));
    }

    fn collection(&self, text: &mut String, rows: &[Row]) {
        text.push_str("\n## Collection\n\n");
        point(
            text,
            format_args!(
                "Images: the folder `{}`. Who took them, of what, and under which licence: to be added by hand.",
                code(&self.folder)
            ),
        );
        let answers = || rows.iter().flat_map(|row| &row.history);
        let (count, times) = (answers().count(), || answers().filter_map(|answer| answer.at));
        match (times().min(), times().max()) {
            (Some(first), Some(last)) => {
                let (first, last) = (time::day(first), time::day(last));
                point(text, format_args!("Labelled from {first} to {last} (UTC), {count} answers."));
            }
            _ => point(text, format_args!("Labelled: {count} answers.")),
        }
        let mut people: HashMap<&str, usize> = HashMap::new();
        for answer in answers() {
            *people.entry(answer.person.as_deref().unwrap_or("unknown")).or_default() += 1;
        }
        let people: Vec<String> =
            ranked(people).into_iter().map(|(name, count)| format!("{} ({count})", plain(name))).collect();
        if !people.is_empty() {
            point(text, format_args!("People, with their answers: {}.", people.join(", ")));
        }
        let taken_in = answers().filter(|answer| answer.source == Source::Import).count();
        if taken_in > 0 {
            point(text, format_args!("Answers that were taken in from files: {taken_in}."));
        }
        let chosen = match self.rounds.is_empty() {
            true => "by no model yet.".to_owned(),
            false => format!("by the strategy {}.", self.strategies()),
        };
        let sample = match self.rounds.iter().all(|(_, strategy)| strategy == "random") {
            true => "The holdout was drawn at random.",
            false => {
                "Those for training are no random sample: rare and hard classes are there more often than in the folder. The \
                 holdout is one."
            }
        };
        point(text, format_args!("Which images were asked: {chosen} {sample}"));
        let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let changes: Vec<String> = self
            .changes
            .iter()
            .filter(|change| change.key != "name")
            .map(|Change { at, key, from, to }| {
                let (key, from, to) = (code(key), code(&shown(from)), code(&shown(to)));
                format!("`{key}` from `{from}` to `{to}` on {}", time::day(*at))
            })
            .collect();
        if !changes.is_empty() {
            point(text, format_args!("Settings that were changed meanwhile: {}.", changes.join(", ")));
        }
    }

    /// `vabal` (rounds 1 to 3), `margin` (round 4).
    fn strategies(&self) -> String {
        let runs = self.rounds.chunk_by(|a, b| a.1 == b.1).filter_map(|run| {
            let ((first, strategy), (last, _)) = (run.first()?, run.last()?);
            let rounds = match first == last {
                true => format!("round {first}"),
                false => format!("rounds {first} to {last}"),
            };
            Some(format!("`{}` ({rounds})", code(strategy)))
        });
        runs.collect::<Vec<_>>().join(", ")
    }
}

/// A text between backticks.
fn code(text: &str) -> String {
    text.replace('`', "'")
}

fn point(text: &mut String, said: std::fmt::Arguments<'_>) {
    line(text, format_args!("- {said}"));
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a text does not fail.
    let _ = writeln!(text, "{line}");
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A name that cannot be taken for Markdown, on one line.
fn plain(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            '|' | '*' | '_' | '`' | '[' | ']' | '<' | '>' | '#' | '\\' | '&' => plain.extend(['\\', letter]),
            letter if letter.is_control() => plain.push(' '),
            letter => plain.push(letter),
        }
    }
    plain
}
