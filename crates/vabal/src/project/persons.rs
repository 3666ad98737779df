//! Who has answered how much, how fast, and how far two persons say the same of the same images.
//!
//! Never here: who is right.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Project, estimate};
use crate::Label;
use crate::error::Result;

/// Seconds from which on an answer is a pause.
const PAUSE: f64 = 300.0;

/// What one person has answered, by hand: what was taken back, read from a file or copied to an
/// image with the same content does not count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PersonStatus {
    /// Who.
    pub person: String,
    /// Answers of any kind.
    pub answers: usize,
    /// Those that are labels.
    pub labels: usize,
    /// Those given in Review.
    pub reviewed: usize,
    /// Answers an hour, pauses of more than five minutes left out; `None` where the time of none is
    /// known.
    pub per_hour: Option<f64>,
}

/// How far two persons say the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreement {
    /// One.
    pub a: String,
    /// The other.
    pub b: String,
    /// Images that both gave a label, before any review.
    pub images: usize,
    /// Those to which they gave the same.
    pub same: usize,
    /// Cohen's κ: 1 where all are the same, 0 where as many are as chance would have it.
    pub kappa: Option<f64>,
}

impl Project {
    /// Everybody who has answered, the most answers first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn persons(&self) -> Result<Vec<PersonStatus>> {
        self.read(|sql| {
            let mut select = sql.prepare_cached(
                "SELECT person, count(*), sum(act = 'label'), sum(source = 'review'),
                     3600.0 * count(seconds) FILTER (WHERE seconds <= ?1) / nullif(sum(seconds) FILTER (WHERE seconds <= ?1), 0)
                 FROM live WHERE source IN ('page', 'review') GROUP BY person ORDER BY count(*) DESC, person",
            )?;
            let rows = select.query_map([PAUSE], |row| {
                Ok(PersonStatus {
                    person: row.get(0)?,
                    answers: row.get(1)?,
                    labels: row.get(2)?,
                    reviewed: row.get(3)?,
                    per_hour: row.get(4)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Each two persons who gave labels to the same images, in the order of their names. The last
    /// label of each counts, but for those of a review, which is given with the others in view.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn agreements(&self) -> Result<Vec<Agreement>> {
        let labels = self.read(|sql| {
            let several = "SELECT 1 FROM answers WHERE person > (SELECT min(person) FROM answers) LIMIT 1";
            if !sql.prepare_cached(several)?.exists([])? {
                return Ok(Vec::new());
            }
            // Of rows with one max(), SQLite takes the other columns from the row that has it.
            let mut select = sql.prepare_cached(
                "SELECT a.image, a.person, coalesce(c.merged_into, c.class), max(a.answer)
                 FROM live AS a CROSS JOIN classes AS c ON c.class = a.class
                 WHERE a.act = 'label' AND a.source IN ('page', 'import') GROUP BY a.image, a.person ORDER BY a.image, a.person",
            )?;
            let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            Ok(rows.collect::<rusqlite::Result<Vec<(i64, String, Label)>>>()?)
        })?;
        let mut pairs = BTreeMap::<(&str, &str), Vec<(u64, u64)>>::new();
        for of_image in labels.chunk_by(|one, other| one.0 == other.0) {
            for (n, (_, a, first)) in of_image.iter().enumerate() {
                for (_, b, second) in &of_image[n + 1..] {
                    pairs.entry((a, b)).or_default().push((u64::from(*first), u64::from(*second)));
                }
            }
        }
        let of = |((a, b), both): ((&str, &str), Vec<(u64, u64)>)| Agreement {
            a: a.to_owned(),
            b: b.to_owned(),
            images: both.len(),
            same: both.iter().filter(|(a, b)| a == b).count(),
            kappa: estimate::agreement(both.into_iter()),
        };
        Ok(pairs.into_iter().map(of).collect())
    }
}
