//! What the model takes images for whose class is known, and what accepting its suggestions would
//! cost.
//!
//! Of the holdout it is the newest model; of the other labels the last one that had not learnt
//! them, or a part of the newest that was fitted without them (cross-validation). Never here:
//! intervals, words for the page.

use rusqlite::{Transaction, params};
use serde::Serialize;

use super::store::Attempt;
use super::{Project, estimate};
use crate::Label;
use crate::error::Result;

/// Images of one class that are taken for one class. Pairs without any are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Confusion {
    /// What they are.
    pub class: Label,
    /// What they are taken for.
    pub predicted: Label,
    /// How many there are outside the holdout.
    pub labels: usize,
    /// How many in the holdout.
    pub holdout: usize,
}

/// What accepting all suggestions would do that are at least so sure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Acceptance {
    /// The probability from which on.
    pub above: f64,
    /// Open images that have such a suggestion.
    pub images: usize,
    /// Labelled images of the holdout of which the model is as sure.
    pub measured: usize,
    /// How many of these it gets wrong.
    pub wrong: usize,
    /// Errors to expect among `images`; `None` where nothing is measured.
    pub errors: Option<f64>,
    /// The lower end of the 95 % interval.
    pub errors_low: Option<f64>,
    /// The upper end.
    pub errors_high: Option<f64>,
}

/// Probabilities from which suggestions may be accepted.
const ABOVE: [f64; 11] = [0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995];

impl Project {
    /// The confusions of `round` on the holdout, and of the other labels, by class and prediction.
    pub(super) fn confusions(&self, round: u64) -> Result<Vec<Confusion>> {
        self.read(|sql| all(sql, round))
    }

    /// What accepting suggestions would do, by how sure they are at least. The errors are those of
    /// `round` on the holdout.
    pub(super) fn acceptance(&self, round: u64) -> Result<Vec<Acceptance>> {
        self.read(|sql| {
            let mut open = sql.prepare_cached(
                "SELECT count(*) FROM predictions AS p CROSS JOIN images AS i USING (image)
                 LEFT JOIN states AS s USING (image)
                 WHERE p.confidence >= ?1 AND p.confidence < ?2 AND i.missing = 0 AND i.holdout = 0 AND s.image IS NULL",
            )?;
            let mut held = sql.prepare_cached(
                "SELECT p.confidence, s.class <> coalesce(c.merged_into, c.class)
                 FROM states AS s CROSS JOIN images AS i USING (image) CROSS JOIN predictions AS p USING (image)
                 CROSS JOIN classes AS c ON c.class = p.class
                 WHERE s.state = 'labelled' AND i.missing = 0 AND i.holdout = 1 AND p.round = ?1",
            )?;
            let held = held.query_map([round], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let held: Vec<(f64, bool)> = held.collect::<rusqlite::Result<_>>()?;
            let (mut images, mut below, mut found) = (0, f64::INFINITY, Vec::new());
            for above in ABOVE.into_iter().rev() {
                images += open.query_row(params![above, below], |row| row.get::<_, usize>(0))?;
                below = above;
                let sure = || held.iter().filter(|(confidence, _)| *confidence >= above);
                let (measured, wrong) = (sure().count(), sure().filter(|(_, wrong)| *wrong).count());
                let errors = estimate::share(wrong, measured);
                let of = |get: fn(&estimate::Estimate) -> f64| errors.as_ref().map(|e| images as f64 * get(e));
                found.push(Acceptance {
                    above,
                    images,
                    measured,
                    wrong,
                    errors: of(|e| e.value),
                    errors_low: of(|e| e.low),
                    errors_high: of(|e| e.high),
                });
            }
            found.reverse();
            Ok(found)
        })
    }
}

/// As [`Project::confusions`].
pub(super) fn all(sql: &Transaction<'_>, round: u64) -> Attempt<Vec<Confusion>> {
    let mut select = sql.prepare_cached(
        "SELECT s.class, coalesce(c.merged_into, c.class) AS said, sum(i.holdout = 0), sum(i.holdout = 1)
         FROM states AS s CROSS JOIN images AS i USING (image) CROSS JOIN predictions AS p USING (image)
         CROSS JOIN classes AS c ON c.class = p.class
         WHERE s.state = 'labelled' AND i.missing = 0 AND (i.holdout = 0 OR p.round = ?1)
         GROUP BY s.class, said ORDER BY s.class, said",
    )?;
    let rows = select.query_map([round], |row| {
        Ok(Confusion {
            class: row.get(0)?,
            predicted: row.get(1)?,
            labels: row.get(2)?,
            holdout: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
