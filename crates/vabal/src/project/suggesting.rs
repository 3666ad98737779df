//! Suggestions of another model: taken in from a file, shown until a training of the project is
//! newer.
//!
//! They are no labels: nothing is trained on them, and images of the holdout get none. Never here:
//! what a file looks like (`exchange`), what the project's own model says (`rounds`).
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # std::fs::create_dir(folder.path().join("images"))?;
//! use vabal::progress::silent;
//! use vabal::project::exchange::{Format, Reading, read};
//! use vabal::project::{Project, Settings};
//! let (images, classes) = (folder.path().join("images"), ["crack".to_owned()]);
//! let mut project = Project::create(&folder.path().join("steel"), &images, &classes, Settings::default())?;
//! let reading = Reading { suggestions: true, ..Reading::default() };
//! let file = read(b"path,class,confidence\na.png,crack,0.9\n", Format::Csv, &reading)?;
//! let taken = project.suggest(&file, "model.csv", false, &mut silent())?;
//! assert_eq!((taken.added, taken.unknown), (0, 1));
//! # Ok(())
//! # }
//! ```

use std::collections::HashMap;

use rusqlite::{OptionalExtension as _, Transaction, params};
use serde::{Deserialize, Serialize};

use super::Project;
use super::exchange::Labels;
use super::store::{Attempt, KIND, now};
use super::transfer::{Taken, planned};
use crate::Label;
use crate::error::Result;
use crate::progress::{Event, Progress, report};
use crate::sqlite::to_json;

/// Who planned suggestions are of: nobody answers.
const NOBODY: &str = "suggestions";
/// Why a suggestion is not used.
const OF_HOLDOUT: &str = "an image of the holdout, which is labelled without suggestions";
/// Suggestions between two looks at the progress callback.
const BLOCK: usize = 1000;

/// Suggestions that were taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestions {
    /// The name of the file.
    pub source: String,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// How many images have one.
    pub images: usize,
    /// Whether they are what is shown: no training of the project is newer.
    #[serde(default)]
    pub shown: bool,
    /// The classes that their probabilities are of, in order.
    #[serde(skip_serializing)]
    classes: Vec<Label>,
}

/// As they are kept.
#[derive(Serialize)]
struct Kept<'a> {
    source: &'a str,
    at: i64,
    images: usize,
    classes: &'a [Label],
}

impl Project {
    /// Takes in what another model says, from a file that was read as suggestions, in the place of
    /// what was taken in before. Images are found, classes added, and lines left out as
    /// [`Project::take_in_by`] does; of an image of which the file says two things nothing is
    /// taken.
    ///
    /// # Errors
    /// As [`Project::take_in_by`].
    pub fn suggest(
        &mut self,
        labels: &Labels,
        source: &str,
        by_name: bool,
        progress: &mut Progress<'_>,
    ) -> Result<Taken> {
        let folder = self.folder_name()?;
        self.write(|sql| {
            let (plan, mut taken, names) = planned(sql, labels, NOBODY, &folder, by_name)?;
            let answers = plan.answers;
            let known = |name: &str| names.id(name);
            let mut classes: Vec<Label> = answers
                .iter()
                .flat_map(|planned| planned.probabilities.iter().filter_map(|(class, _)| known(class)))
                .collect();
            classes.sort_unstable();
            classes.dedup();
            sql.execute("DELETE FROM suggestions", [])?;
            let mut holdout = sql.prepare_cached("SELECT holdout FROM images WHERE image = ?1")?;
            let mut put =
                sql.prepare_cached("INSERT OR REPLACE INTO suggestions VALUES (?1, 0, ?2, ?3, ?4)")?;
            let total = answers.len();
            for (n, block) in answers.chunks(BLOCK).enumerate() {
                for planned in block.iter().filter(|planned| !planned.contested) {
                    let Some(class) = planned.answer.class.as_deref().and_then(known) else { continue };
                    if holdout.query_row([planned.image], |row| row.get(0))? {
                        *taken.left_out.entry(OF_HOLDOUT.into()).or_default() += 1;
                        continue;
                    }
                    let given: HashMap<Label, f64> = planned
                        .probabilities
                        .iter()
                        .filter_map(|(name, p)| Some((known(name)?, *p)))
                        .collect();
                    // Without a probability the model has said it for certain.
                    let confidence = given.get(&class).copied().unwrap_or(1.0);
                    let p = |class: &Label| given.get(class).map_or(f32::NAN, |&p| p as f32);
                    let bytes: Vec<u8> = match given.is_empty() {
                        true => Vec::new(),
                        false => classes.iter().flat_map(|class| p(class).to_le_bytes()).collect(),
                    };
                    put.execute(params![planned.image, class, confidence, bytes])?;
                }
                let done = n * BLOCK + block.len();
                let unit = "suggestion";
                report(progress, Event::Progress { phase: "take in", done, total, unit, loss: None })?;
            }
            let images: usize = sql.query_row("SELECT count(*) FROM suggestions", [], |row| row.get(0))?;
            // After the newest training, also within its millisecond.
            let at = now().max(trained(sql)?.map_or(0, |trained| trained + 1));
            let kept = to_json(&Kept { source, at, images, classes: &classes })?;
            sql.execute("INSERT OR REPLACE INTO project VALUES ('suggestions', ?1)", [kept])?;
            taken.added = images;
            Ok(taken)
        })
    }

    /// Suggestions of another model, where some were taken in.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn suggestions(&self) -> Result<Option<Suggestions>> {
        self.read(suggestions)
    }
}

/// When the newest training was done.
fn trained(sql: &Transaction<'_>) -> rusqlite::Result<Option<i64>> {
    sql.prepare_cached("SELECT max(finished) FROM rounds WHERE state = 'done' AND labels > 0")?
        .query_row([], |row| row.get(0))
}

/// What was taken in.
pub(super) fn suggestions(sql: &Transaction<'_>) -> Attempt<Option<Suggestions>> {
    let text: Option<String> = sql
        .prepare_cached("SELECT value FROM project WHERE key = 'suggestions'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let Some(text) = text else { return Ok(None) };
    let path = sql.path().unwrap_or(super::FILE);
    let mut found: Suggestions = KIND.parsed(&text, std::path::Path::new(path))?;
    found.shown = found.images > 0 && trained(sql)?.is_none_or(|trained| trained < found.at);
    Ok(Some(found))
}

/// Where the suggestions are that are shown: the table, and the classes of its probabilities where
/// no round says them.
pub(super) fn shown(sql: &Transaction<'_>) -> Attempt<(&'static str, Vec<Label>)> {
    Ok(match suggestions(sql)?.filter(|found| found.shown) {
        Some(found) => ("suggestions", found.classes),
        None => ("predictions", Vec::new()),
    })
}
