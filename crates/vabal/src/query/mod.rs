//! What to ask next: the [`Strategy`] trait, the [`Signals`] it may look at, the [`Selection`] it
//! returns. A new strategy is one file here, one line in [`by_name`], one line in
//! `docs/strategies.md` and one row in the checks.
//!
//! Never here: images on disk, networks, files, progress bars. A strategy sees arrays and ids alone.

pub mod random;
pub mod signals;
pub mod uncertainty;
pub mod vabal;

use std::cmp::Ordering;

pub use signals::{Needs, Signals};

use crate::error::{Error, Result, nearest};
use crate::progress::{Event, Progress, report};
use crate::rng::Seed;
use crate::{Id, Label};

/// What a strategy is asked: choose `n` of `unlabelled`.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The candidates, with at least what [`Strategy::needs`] names.
    pub unlabelled: &'a Signals,
    /// The labelled pool, with the same arrays.
    pub labelled: &'a Signals,
    /// The labels of `labelled`, row by row, each below `classes`.
    pub labels: &'a [Label],
    /// Number of classes C, at least 2. A class may be missing from `labels`.
    pub classes: usize,
    /// How many to choose.
    pub n: usize,
    /// Where every random draw of the strategy comes from.
    pub seed: Seed,
}

/// A way to choose. Larger score = ask first; equal scores: lowest id first.
pub trait Strategy: Send + Sync {
    /// The arrays that [`Strategy::select`] reads. The loop computes exactly these.
    fn needs(&self) -> Needs;

    /// Chooses `query.n` ids, or all of them where fewer are left.
    ///
    /// # Errors
    /// An array that is missing or has the wrong shape, a non-finite score, or [`Error::Stopped`].
    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection>;
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
    pub health: Option<vabal::Health>,
    /// The model that the strategy fitted in order to choose, where it fits one: the bytes of a safetensors file.
    pub model: Option<Vec<u8>>,
}

/// One named term, a value per chosen id.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The field's name for it: "predicted" (by the classifier), "difficulty", "prior", "likelihood", "confidence".
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
        let ids = query.unlabelled.ids();
        debug_assert_eq!(ids.len(), scores.len(), "one score per candidate");
        if let Some(row) = scores.iter().position(|score| !score.is_finite()) {
            return Err(Error::input("a score is not finite")
                .at(format!("id {}", ids[row]))
                .expected("a finite number")
                .got(scores[row])
                .hint("look for NaN or infinite values in the features or probabilities of this row")
                .into());
        }
        let n = available(query, progress)?;
        let mut order: Vec<usize> = (0..ids.len()).collect();
        // Not by total_cmp, for which 0 is more than −0: equal scores are equal.
        let by_score = |a: usize, b: usize| scores[b].partial_cmp(&scores[a]).unwrap_or(Ordering::Equal);
        let best_first = |&a: &usize, &b: &usize| by_score(a, b).then_with(|| ids[a].cmp(&ids[b]));
        if n < order.len() {
            order.select_nth_unstable_by(n, best_first);
            order.truncate(n);
        }
        order.sort_unstable_by(best_first);
        Ok(Self {
            ids: order.iter().map(|&row| ids[row]).collect(),
            scores: order.iter().map(|&row| scores[row]).collect(),
            terms: terms
                .into_iter()
                .map(|column| Column {
                    name: column.name,
                    values: order.iter().map(|&row| column.values[row]).collect(),
                })
                .collect(),
            ..Self::default()
        })
    }

    /// The column called `name`, where the strategy has one.
    #[must_use]
    pub fn term(&self, name: &str) -> Option<&[f64]> {
        self.terms.iter().find(|column| column.name == name).map(|column| column.values.as_slice())
    }
}

/// How many can be chosen: `query.n`, or what is left, which is then said.
pub(crate) fn available(query: &Query<'_>, progress: &mut Progress<'_>) -> Result<usize> {
    let left = query.unlabelled.len();
    if query.n > left {
        let text = format!("asked for {} images but {left} are left unlabelled; taking all of them", query.n);
        report(progress, Event::Warning(&text))?;
    }
    Ok(query.n.min(left))
}

/// The names that [`by_name`] knows, in the order they are offered.
pub const NAMES: [&str; 7] =
    ["random", "entropy", "margin", "least-confidence", "vabal", "vabal-paper", "vabal-official"];

/// The strategy called `name`, with its default settings.
///
/// # Errors
/// An unknown name, with the nearest known one as the hint.
pub fn by_name(name: &str) -> Result<Box<dyn Strategy>> {
    use uncertainty::{Measure, Uncertainty};
    use vabal::{Preset, Settings, VaBal};
    Ok(match name {
        "random" => Box::new(random::Random),
        "entropy" => Box::new(Uncertainty(Measure::Entropy)),
        "margin" => Box::new(Uncertainty(Measure::Margin)),
        "least-confidence" => Box::new(Uncertainty(Measure::LeastConfidence)),
        "vabal" => Box::new(VaBal::new(Settings::preset(Preset::Default))?),
        "vabal-paper" => Box::new(VaBal::new(Settings::preset(Preset::Paper))?),
        "vabal-official" => Box::new(VaBal::new(Settings::preset(Preset::Official))?),
        _ => {
            let complaint =
                Error::input("unknown strategy").expected(NAMES.join(", ")).got(format!("\"{name}\""));
            return Err(match nearest(name, NAMES) {
                Some(near) => complaint.hint(format!("did you mean \"{near}\"?")),
                None => complaint.hint("see docs/strategies.md"),
            }
            .into());
        }
    })
}

#[cfg(test)]
mod tests;
