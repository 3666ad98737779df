//! How many images are in which state, and of which class.
//!
//! Never here: which image is in which state.

use rusqlite::Transaction;
use serde::Serialize;

use super::estimate::FEW;
use super::store::{Attempt, settings};
use super::words::State;
use super::{Project, Settings, classes, rounds};
use crate::Label;
use crate::error::Result;

/// A class and how many images are of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ClassCount {
    /// The class.
    pub id: Label,
    /// Images that are of it now, those of the holdout too, missing ones not.
    pub labels: usize,
}

/// Images by state. Those whose file is missing count as missing and nowhere else: the states add
/// up to `images`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// All that are there.
    pub images: usize,
    /// Of which nobody has said anything.
    pub open: usize,
    /// With a class.
    pub labelled: usize,
    /// Put off.
    pub later: usize,
    /// Of which somebody could not tell.
    pub unsure: usize,
    /// Taken out.
    pub discarded: usize,
    /// On which persons disagree.
    pub conflict: usize,
    /// Whose file is not there.
    pub missing: usize,
    /// Those above that are of the holdout.
    pub holdout: HoldoutCounts,
}

/// The holdout's part of [`Counts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct HoldoutCounts {
    /// All that are there.
    pub images: usize,
    /// With a class.
    pub labelled: usize,
}

impl Project {
    /// Images by state.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn counts(&self) -> Result<Counts> {
        self.read(|sql| Ok(counts(sql)?))
    }

    /// Labels still to be given before the next training: of images that are there and not of the
    /// holdout. 0 when it is due.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn labels_until_training(&self) -> Result<usize> {
        self.read(labels_until_training)
    }
}

/// Images by state, from the tally.
pub(super) fn counts(sql: &Transaction<'_>) -> rusqlite::Result<Counts> {
    let mut counts = Counts::default();
    let mut select = sql.prepare_cached(
        "SELECT holdout, missing, state, sum(n) FROM tally GROUP BY holdout, missing, state",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (holdout, missing, n): (bool, bool, usize) = (row.get(0)?, row.get(1)?, row.get(3)?);
        if missing {
            counts.missing += n;
            continue;
        }
        let state = row.get(2)?;
        *match state {
            State::Open => &mut counts.open,
            State::Labelled => &mut counts.labelled,
            State::Later => &mut counts.later,
            State::Unsure => &mut counts.unsure,
            State::Discarded => &mut counts.discarded,
            State::Conflict => &mut counts.conflict,
        } += n;
        counts.images += n;
        if holdout {
            counts.holdout.images += n;
            counts.holdout.labelled += if state == State::Labelled { n } else { 0 };
        }
    }
    Ok(counts)
}

/// How many images are of each class.
pub(super) fn class_counts(sql: &Transaction<'_>) -> Attempt<Vec<ClassCount>> {
    let all = classes::all(sql)?;
    Ok(all.into_iter().map(|class| ClassCount { id: class.id, labels: class.labels }).collect())
}

/// Images of the holdout that are still to be labelled: up to the target; up to twice that, as long
/// as a class that has labels has fewer than [`FEW`] of them there.
///
/// When to stop depends on the labels alone, not on what the model says, so that the images of a
/// class stay a random sample.
pub(super) fn holdout_wanted(
    sql: &Transaction<'_>,
    settings: &Settings,
    counts: &Counts,
) -> rusqlite::Result<usize> {
    let (target, labelled) = (settings.holdout_target, counts.holdout.labelled);
    if labelled < target {
        return Ok(target - labelled);
    }
    let mut fewest = sql.prepare_cached(
        "SELECT 1 FROM tally WHERE missing = 0 AND state = 'labelled' AND n > 0
         GROUP BY class HAVING sum(iif(holdout, n, 0)) < ?1",
    )?;
    Ok(if fewest.exists([FEW])? { (2 * target).saturating_sub(labelled) } else { 0 })
}

/// As [`Project::labels_until_training`].
pub(super) fn labels_until_training(sql: &Transaction<'_>) -> Attempt<usize> {
    let settings = settings(sql)?;
    let counts = counts(sql)?;
    let labels = counts.labelled - counts.holdout.labelled;
    // A training whose labels were taken back does not count.
    let mut select = sql.prepare_cached(
        "SELECT labels, coalesce(json_extract(summary, '$.answers'), 0) FROM rounds
         WHERE round > 0 AND state <> 'failed' ORDER BY round DESC",
    )?;
    let mut done = select.query([])?;
    let mut trained = None;
    while let Some(row) = done.next()? {
        let (learnt, answers): (usize, i64) = (row.get(0)?, row.get(1)?);
        if !rounds::is_void(learnt, rounds::taken_back(sql, answers, learnt / 10 + 1)?) {
            trained = Some(learnt);
            break;
        }
    }
    let wanted = trained.map_or(settings.first, |trained| trained + settings.retrain_every);
    Ok(wanted.saturating_sub(labels))
}
