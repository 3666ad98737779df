//! What rows are called: numbers or texts of the caller's own, and the ids that strategies know
//! them by.
//!
//! Strategies break ties and draw by id, so ids follow what a row is called and never where it
//! stands: the picks are the same in whatever order a pool is listed.

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::Id;

/// What rows are called.
#[derive(Debug, Clone, PartialEq)]
pub enum Names {
    /// Whole numbers.
    Numbers(Vec<i64>),
    /// Texts, such as file names.
    Texts(Vec<String>),
}

impl Names {
    /// What a row is called.
    pub(super) fn name(&self, row: usize) -> String {
        match self {
            Self::Numbers(numbers) => numbers[row].to_string(),
            Self::Texts(texts) => texts[row].clone(),
        }
    }

    /// Those of some rows, in the order of `rows`.
    pub(super) fn rows(&self, rows: &[usize]) -> Self {
        match self {
            Self::Numbers(numbers) => Self::Numbers(rows.iter().map(|&row| numbers[row]).collect()),
            Self::Texts(texts) => Self::Texts(rows.iter().map(|&row| texts[row].clone()).collect()),
        }
    }

    /// These, then others, where they are of one kind.
    pub(super) fn and(&self, others: &Self) -> Option<Self> {
        match (self, others) {
            (Self::Numbers(a), Self::Numbers(b)) => Some(Self::Numbers([&a[..], b].concat())),
            (Self::Texts(a), Self::Texts(b)) => Some(Self::Texts([&a[..], b].concat())),
            _ => None,
        }
    }

    /// An id for each row: the number itself, or its place in ascending order where one is below 0;
    /// of texts [`text_id`].
    ///
    /// # Errors
    /// The rows of the first name that is there again, and of its second place.
    pub(super) fn ids(&self) -> Result<Vec<Id>, (usize, usize)> {
        match self {
            Self::Texts(texts) => hashed(texts),
            Self::Numbers(numbers) => {
                // Those of most pools: nothing to sort.
                if numbers.is_sorted_by(|a, b| a < b)
                    && numbers.first().is_none_or(|&first| first >= 0)
                    && let Some(ids) = numbers.iter().map(|&number| Id::try_from(number).ok()).collect()
                {
                    return Ok(ids);
                }
                let ranks = ranked(numbers)?;
                let ids: Option<Vec<Id>> = numbers.iter().map(|&number| Id::try_from(number).ok()).collect();
                Ok(ids.unwrap_or(ranks))
            }
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Numbers(_) => "numbers",
            Self::Texts(_) => "texts",
        }
    }
}

/// The id of a text: 63 bits of its SHA-256, the same in whatever pool it is. That two of 10⁹ texts
/// have the same has a chance of 5 %.
#[must_use]
pub fn text_id(text: &str) -> Id {
    let hash = Sha256::digest(text);
    Id::from_le_bytes(std::array::from_fn(|i| hash[i])) >> 1
}

/// [`text_id`] of each text; of those that have the same, the later ones in alphabetical order have
/// the next ids that are free.
fn hashed(texts: &[String]) -> Result<Vec<Id>, (usize, usize)> {
    let mut ids: Vec<Id> = texts.par_iter().map(|text| text_id(text)).collect();
    let mut rows: Vec<usize> = (0..texts.len()).collect();
    rows.par_sort_unstable_by(|&a, &b| (ids[a], &texts[a], a).cmp(&(ids[b], &texts[b], b)));
    let same = rows.windows(2).filter(|pair| texts[pair[0]] == texts[pair[1]]);
    if let Some(twice) = same.map(|pair| (pair[0], pair[1])).min() {
        return Err(twice);
    }
    for pair in rows.windows(2) {
        ids[pair[1]] = ids[pair[1]].max(ids[pair[0]] + 1);
    }
    Ok(ids)
}

/// The place of each value in ascending order.
fn ranked<T: Ord>(values: &[T]) -> Result<Vec<Id>, (usize, usize)> {
    let mut rows: Vec<usize> = (0..values.len()).collect();
    rows.sort_by(|&a, &b| values[a].cmp(&values[b]));
    let same = rows.windows(2).filter(|pair| values[pair[0]] == values[pair[1]]);
    if let Some(twice) = same.map(|pair| (pair[0], pair[1])).min() {
        return Err(twice);
    }
    let mut ids = vec![0; values.len()];
    rows.into_iter().zip(0..).for_each(|(row, rank)| ids[row] = rank);
    Ok(ids)
}
