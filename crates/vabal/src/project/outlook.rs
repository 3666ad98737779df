//! What the next questions will be of, class by class.
//!
//! They are of the holdout as often as it is asked, and then as its labels so far; and else of the
//! queue, in its order, with the model's probabilities. But a new training chooses anew, before so
//! many are asked, and a strategy that evens the classes out asks next for what it asked too little
//! of now: so half of these are counted as evenly spread, and there is a range. What was measured:
//! decision 0024. Never here: choosing.

use rusqlite::{OptionalExtension as _, params};

use super::estimate::Estimate;
use super::learn::Measured;
use super::listing::Order;
use super::store::settings;
use super::{Class, Project, Summary, counts};
use crate::error::Result;

/// Imaginary labels of the holdout, spread as the model thinks that the pool is.
const PRIOR: f64 = 10.0;
/// The share of questions from the queue that is counted as evenly spread, where a strategy
/// chooses.
const EVEN: f64 = 0.5;
/// How much wider the range is than chance alone would have it, as a variance.
const SPREAD: f64 = 2.0;

impl Project {
    /// Images of each of `classes` among the next `n` questions, with a range that holds what comes
    /// in 19 cases of 20, by `held`, the labels of each class in the holdout. `None` where there is
    /// nothing to tell by.
    pub(super) fn outlook(
        &self,
        n: usize,
        classes: &[Class],
        held: &[usize],
        (summary, measured): (&Summary, &Measured),
    ) -> Result<Option<Vec<Estimate>>> {
        let place = |class| classes.iter().position(|one| one.id == class);
        self.read(|sql| {
            let settings = settings(sql)?;
            let asked: Option<String> = sql
                .prepare_cached("SELECT value FROM project WHERE key = 'questions'")?
                .query_row([], |row| row.get(0))
                .optional()?;
            let asked = asked.and_then(|text| text.parse().ok()).unwrap_or(0_usize);
            let every = settings.holdout_every;
            let due = (asked..asked + n).filter(|n| n % every == every - 1).count();
            let due = due.min(counts::holdout_wanted(sql, &settings, &counts::counts(sql)?)?);
            let mut select = sql.prepare_cached(
                "SELECT p.round, p.probabilities
                 FROM queue AS q CROSS JOIN images AS i USING (image) CROSS JOIN predictions AS p USING (image)
                 WHERE i.ask = 1 AND i.missing = 0 AND i.holdout = 0 ORDER BY q.rank LIMIT ?1",
            )?;
            let mut rows = select.query(params![n - due])?;
            let (mut queue, mut order) = (vec![0.0; classes.len()], None);
            while let Some(row) = rows.next()? {
                let round: u64 = row.get(0)?;
                if order.as_ref().is_none_or(|(known, _)| *known != round) {
                    order = Some((round, Order::of(sql, round)?));
                }
                let bytes = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
                for (class, p) in order.iter().flat_map(|(_, order)| order.all(bytes)) {
                    if let Some(place) = place(class) {
                        queue[place] += p;
                    }
                }
            }
            let mut pool = vec![0.0; classes.len()];
            for (&class, share) in summary.classes.iter().zip(&measured.pool) {
                if let Some(place) = place(super::classes::followed(sql, class)?) {
                    pool[place] += share;
                }
            }
            let total: f64 = queue.iter().sum();
            let queue = if total > 0.0 { queue.iter().map(|p| p / total).collect() } else { pool.clone() };
            if classes.is_empty() || queue.iter().sum::<f64>() <= 0.0 {
                return Ok(None);
            }
            let even = if settings.strategy == "random" { 0.0 } else { EVEN };
            let labels = held.iter().sum::<usize>() as f64 + PRIOR * pool.iter().sum::<f64>();
            let of = |place: usize| {
                let asked = (1.0 - even) * queue[place] + even / classes.len() as f64;
                let known = held[place] as f64 + PRIOR * pool[place];
                let drawn = if labels > 0.0 { known / labels } else { asked };
                let value = (n - due) as f64 * asked + due as f64 * drawn;
                let reach = 1.96 * (SPREAD * value * (1.0 - value / n as f64).max(0.0)).sqrt();
                let (low, high) = ((value - reach).max(0.0).floor(), (value + reach).min(n as f64).ceil());
                Estimate { value, low, high }
            };
            Ok(Some((0..classes.len()).map(of).collect()))
        })
    }
}
