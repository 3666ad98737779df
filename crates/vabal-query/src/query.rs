//! The question and its answer: [`Query`], the [`Strategy`] that is asked, the [`Selection`] it
//! gives.
//!
//! Never here: a strategy.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::arrays::{Needs, Signals};
use crate::error::{Error, Result};
use crate::progress::{Event, Progress, report};
use crate::rng::Seed;
use crate::{Id, Label};

/// More classes are a slip, and memory goes with them.
pub(crate) const MOST_CLASSES: usize = 1 << 20;

/// Rows of the sample that a [plan](crate::plan) is made of, where nothing else is asked for.
pub const SAMPLE: usize = 200_000;

/// What a strategy is asked: choose `n` of `unlabelled`.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The candidates, with at least what [`Strategy::needs`] names.
    pub unlabelled: &'a Signals<'a>,
    /// The labelled pool, with at least what [`Strategy::needs_of_labelled`] names. May be empty.
    pub labelled: &'a Signals<'a>,
    /// The labels of `labelled`, row by row, each below `classes`.
    pub labels: &'a [Label],
    /// Number of classes C, at least 2. A class may be missing from `labels`.
    pub classes: usize,
    /// How many to choose.
    pub n: usize,
    /// Where every random draw of the strategy comes from.
    pub seed: Seed,
}

/// Labels of each of `classes` classes, \[C\]; every label is below C.
#[must_use]
pub fn class_counts(labels: &[Label], classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    labels.iter().for_each(|&label| counts[label as usize] += 1);
    counts
}

impl Query<'_> {
    /// Labels of each class, \[C\].
    #[must_use]
    pub fn class_counts(&self) -> Vec<usize> {
        class_counts(self.labels, self.classes)
    }

    /// Checks what every strategy relies on: ids that do not repeat, within a pool and between
    /// them; a label for each labelled id, below C; at least two classes; arrays that say the same
    /// C, and features of one width. Values are checked where they are read.
    ///
    /// To be called by whoever builds a query from arrays that are not its own.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, strategy: &dyn Strategy) -> Result<()> {
        let Self { unlabelled, labelled, labels, classes, .. } = *self;
        if labels.len() != labelled.len() {
            return Err(Error::input("labels and labelled ids disagree")
                .expected(format!("{} labels, one per labelled id", labelled.len()))
                .got(format!("{} labels", labels.len()))
                .into());
        }
        if classes > MOST_CLASSES {
            return Err(Error::input("more classes than any data have")
                .expected(format!("at most {MOST_CLASSES}"))
                .got(classes)
                .hint("look for an invalid label, such as −1 read as an unsigned number")
                .into());
        }
        if classes < 2 {
            return Err(Error::input("fewer than two classes").expected("2 or more").got(classes).into());
        }
        if let Some(row) = labels.iter().position(|&label| label as usize >= classes) {
            return Err(Error::input("a label is out of range")
                .at(format!("id {}", labelled.ids()[row]))
                .expected(format!("0 to {}", classes - 1))
                .got(labels[row])
                .into());
        }
        let mut ids = [unlabelled.ids(), labelled.ids()].concat();
        ids.par_sort_unstable();
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::input("duplicate id")
                .at(format!("id {}", pair[0]))
                .expected("ids that do not repeat, neither within a pool nor between the two")
                .into());
        }
        for (signals, needs) in [(unlabelled, strategy.needs()), (labelled, strategy.needs_of_labelled())] {
            if signals.is_empty() || needs == Needs::IDS {
                continue;
            }
            if let Some(got) = signals.all_classes().find(|&got| got != classes) {
                return Err(Error::input("the probabilities have another number of classes")
                    .expected(classes)
                    .got(got)
                    .into());
            }
            if needs.predicted || needs.prediction {
                let predicted = signals.predicted()?;
                if let Some(row) = predicted.iter().position(|&label| label as usize >= classes) {
                    return Err(Error::input("a predicted label is out of range")
                        .at(format!("id {}", signals.ids()[row]))
                        .expected(format!("0 to {}", classes - 1))
                        .got(predicted[row])
                        .into());
                }
            }
        }
        if labelled.is_empty() || strategy.needs_of_labelled() == Needs::IDS {
            return Ok(());
        }
        match (unlabelled.widths(), labelled.widths()) {
            (Some(expected), Some(got)) if got != expected && !unlabelled.is_empty() => {
                Err(Error::input("the features of the two pools have other widths")
                    .expected(format!("{expected:?}, as of the unlabelled pool"))
                    .got(format!("{got:?}"))
                    .into())
            }
            _ => Ok(()),
        }
    }
}

/// A way to choose. Larger score = ask first; equal scores: lowest id first.
pub trait Strategy: Send + Sync {
    /// The arrays of the unlabelled pool that [`Strategy::select`] reads. The loop computes exactly
    /// these.
    fn needs(&self) -> Needs;

    /// The arrays of the labelled pool that it reads, where that is not empty.
    fn needs_of_labelled(&self) -> Needs {
        Needs::IDS
    }

    /// Whether an image's rank depends on what else is in the batch, so that a longer batch is no
    /// ranking of the pool.
    fn is_batch(&self) -> bool {
        false
    }

    /// Whether it reads the candidates row by row, wherever they lie, so that candidates which are
    /// scattered over larger arrays need not be brought together first. Where it is not so, or in
    /// doubt, they are.
    fn reads_rows(&self) -> bool {
        false
    }

    /// The strategy, with its name, that is to choose in its place while nothing is labelled and
    /// nothing predicted.
    fn cold_start(&self) -> Option<(&'static str, Box<dyn Strategy>)> {
        None
    }

    /// The same as a score of each row alone, where it is one: what [`plan`](crate::plan) takes.
    fn by_row(&self) -> Option<&dyn ByRow> {
        None
    }

    /// How it chooses, approximately, from a pool that is not held as a whole, although it compares
    /// rows with each other.
    fn in_parts(&self) -> Option<InParts> {
        None
    }

    /// Chooses `query.n` ids, or all of them where fewer are left.
    ///
    /// # Errors
    /// An array that is missing or has the wrong shape, a non-finite score, or [`Error::Stopped`].
    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection>;
}

/// How a strategy that compares rows with each other chooses from a pool in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InParts {
    /// In several passes over all rows: [`plan::Seeding`](crate::plan::Seeding).
    Seeding,
    /// In two rounds: in each of several parts, cut by a hash of the id, and then among what was
    /// chosen there: [`plan::Centres`](crate::plan::Centres).
    Centres,
}

/// A strategy that scores each row alone, once something is fitted to a sample of the pool: a pool
/// of any size can be scored in parts, in any order.
pub trait ByRow {
    /// Whether each class has a quota, so that the best are to be kept class by class.
    fn quotas(&self) -> bool {
        false
    }

    /// Whether [`ByRow::fit`] looks at the sample or at what is labelled: where it does not, none is
    /// needed.
    fn fits(&self) -> bool {
        false
    }

    /// Fits what scoring needs to a query whose candidates are a sample of the pool's `rows`, or
    /// all of them: arrays by name. Nothing, if not said otherwise.
    ///
    /// # Errors
    /// As [`Strategy::select`].
    fn fit(&self, _sample: &Query<'_>, _rows: usize, _progress: &mut Progress<'_>) -> Result<Arrays> {
        Ok(Arrays::new())
    }

    /// The score, with what [`ByRow::fit`] gave.
    ///
    /// # Errors
    /// Arrays that are missing, or of another shape.
    fn scorer(&self, fitted: &Fitted) -> Result<Box<dyn RowScore>>;
}

/// Arrays by name.
pub type Arrays = BTreeMap<String, Array2<f64>>;

/// What a score by row goes by beside the row.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Where keys of ids come from.
    pub seed: Seed,
    /// Labels of each class, \[C\].
    pub labelled: Vec<usize>,
    /// What was fitted.
    pub arrays: Arrays,
}

/// A score of single rows. The score of a row is the same bits whatever rows are beside it.
pub trait RowScore: Send + Sync {
    /// Scores rows.
    ///
    /// # Errors
    /// An array that is missing or has the wrong shape; [`Error::Stopped`].
    fn score(&self, rows: &Signals<'_>, progress: &mut Progress<'_>) -> Result<Scored>;
}

/// The scores of some rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scored {
    /// Larger = ask first.
    pub scores: Vec<f64>,
    /// What equal scores go by before the id, smaller first; empty where they go by the id alone.
    pub keys: Vec<u64>,
    /// The class whose quota a row counts for; empty without quotas.
    pub classes: Vec<Label>,
    /// What the scores are made of.
    pub terms: Vec<Column>,
}

/// The ids to ask, in order, and why.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Selection {
    /// The chosen ids: unique, from the unlabelled pool, best first.
    pub ids: Vec<Id>,
    /// The score of each id, finite, in descending order. Random gives 0 to all.
    pub scores: Vec<f64>,
    /// What the scores are made of, as columns beside `ids`.
    pub terms: Vec<Column>,
    /// What a VAE-based strategy says of its own state.
    pub health: Option<Health>,
    /// The model that the strategy fitted in order to choose, where it fits one: the bytes of a
    /// safetensors file.
    pub model: Option<Vec<u8>>,
}

/// The state of VaB-AL's VAE after fitting: whether its terms can be trusted, and what they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Mean squared error of the reconstruction on P_U in the last epoch, per input.
    pub reconstruction: f64,
    /// KL term on P_U in the last epoch, per latent.
    pub kl: f64,
    /// Class loss (Eq. 8) on P_U in the last epoch, in nats; ln C is no better than guessing.
    pub class_loss: f64,
    /// Share of draws on P_U whose ŷ (Eq. 7) is the classifier's prediction.
    pub agreement_unlabelled: f64,
    /// Share of draws on P_L whose ŷ is the true label.
    pub agreement_labelled: f64,
    /// Why the VAE must not be trusted, or `None` when it has learnt.
    pub warning: Option<String>,
    /// d_n of Eq. 11, smoothed, by class: the share of right answers where the VAE says n; small is
    /// hard. Reported even where the score leaves it out.
    pub difficulty: Vec<f64>,
    /// π_n of Eq. 12, smoothed, by class, from the pool that the settings name; from P_L where it
    /// is off.
    pub prior: Vec<f64>,
}

/// One named term, a value per chosen id.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name, one of [`term`](crate::term)'s or of the strategy's own.
    pub name: &'static str,
    /// One value per id of the selection.
    pub values: Vec<f64>,
}

impl Selection {
    /// Takes the `query.n` largest scores, ties by lowest id, and the matching rows of `terms`
    /// (columns over the whole unlabelled pool).
    ///
    /// # Errors
    /// A score that is not finite, named by its id.
    pub fn top(
        query: &Query<'_>,
        scores: &[f64],
        terms: Vec<Column>,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let n = available(query, progress)?;
        let order = Self::order(query, scores, n)?;
        let of_order = order.iter().map(|&row| scores[row]).collect();
        Ok(Self::chosen(query.unlabelled, &order, of_order, &terms))
    }

    /// The rows of the `n` largest scores, largest first, ties by lowest id.
    ///
    /// # Errors
    /// A score that is not finite, named by its id.
    pub(crate) fn order(query: &Query<'_>, scores: &[f64], n: usize) -> Result<Vec<usize>> {
        let ids = query.unlabelled.ids();
        debug_assert_eq!(ids.len(), scores.len(), "one score per candidate");
        if let Some(row) = scores.iter().position(|score| !score.is_finite()) {
            return Err(Error::input("a score is not finite")
                .at(format!("id {}", ids[row]))
                .expected("a finite number")
                .got(scores[row])
                .hint("look at the features of this row beside the others: very large, or hardly different from row to row?")
                .into());
        }
        let mut order: Vec<usize> = (0..ids.len()).collect();
        // Not by total_cmp, for which 0 is more than −0: equal scores are equal.
        let by_score = |a: usize, b: usize| scores[b].partial_cmp(&scores[a]).unwrap_or(Ordering::Equal);
        let best_first = |&a: &usize, &b: &usize| by_score(a, b).then_with(|| ids[a].cmp(&ids[b]));
        if n < order.len() {
            order.select_nth_unstable_by(n, best_first);
            order.truncate(n);
        }
        order.sort_unstable_by(best_first);
        Ok(order)
    }

    /// The given rows of `signals` in the given order, with their scores and the matching rows of
    /// `terms` (columns over the whole pool): for strategies that put a batch together one by one.
    pub(crate) fn chosen(signals: &Signals<'_>, rows: &[usize], scores: Vec<f64>, terms: &[Column]) -> Self {
        let of = |column: &Column| Column {
            name: column.name,
            values: rows.iter().map(|&row| column.values[row]).collect(),
        };
        Self {
            ids: rows.iter().map(|&row| signals.ids()[row]).collect(),
            scores,
            terms: terms.iter().map(of).collect(),
            ..Self::default()
        }
    }

    /// The column called `name`, where the strategy has one.
    #[must_use]
    pub fn term(&self, name: &str) -> Option<&[f64]> {
        self.terms.iter().find(|column| column.name == name).map(|column| column.values.as_slice())
    }
}

/// How many can be chosen: `query.n`, or what is left, with a warning.
///
/// # Errors
/// [`Error::Stopped`].
pub fn available(query: &Query<'_>, progress: &mut Progress<'_>) -> Result<usize> {
    let left = query.unlabelled.len();
    if query.n > left {
        let text = format!("asked for {} images but {left} are left unlabelled; taking all of them", query.n);
        report(progress, Event::Warning(&text))?;
    }
    Ok(query.n.min(left))
}

#[cfg(test)]
mod tests;
