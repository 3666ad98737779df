//! The rows of a pool that are unlabelled, or labelled.

use std::sync::Arc;

use ndarray::Dimension;

use super::{Dense, Store};
use crate::error::Result;
use crate::progress::Progress;

/// Rows in ascending order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rows {
    /// So many from the first on: read where they lie.
    Block(usize, usize),
    /// Any: gathered, or read where they lie.
    List(Arc<[usize]>),
}

impl Rows {
    /// Of ascending numbers.
    pub fn new(rows: Vec<usize>) -> Self {
        match (rows.first(), rows.last()) {
            (Some(&first), Some(&last)) if last - first < rows.len() => Self::Block(first, rows.len()),
            (None, _) => Self::Block(0, 0),
            _ => Self::List(rows.into()),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Block(_, count) => *count,
            Self::List(rows) => rows.len(),
        }
    }

    /// The number of the row that is the `n`th of these.
    pub fn get(&self, n: usize) -> usize {
        match self {
            Self::Block(first, _) => first + n,
            Self::List(rows) => rows[n],
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = usize> {
        (0..self.len()).map(|n| self.get(n))
    }

    /// These rows of `values`, as an array of `shape`: gathered where they do not follow one another, unless they may be
    /// `scattered`.
    pub fn of<T: Copy + Default + Send + Sync + 'static, D: Dimension>(
        &self,
        values: Arc<dyn Store<T>>,
        shape: D,
        scattered: bool,
        progress: &mut Progress<'_>,
    ) -> Result<Dense<'static, T, D>> {
        let width = shape.slice()[1..].iter().product();
        Ok(match self {
            Self::Block(first, _) => Dense::shared(values, first * width, shape),
            Self::List(rows) if scattered => Dense::picked(values, rows.clone(), shape),
            Self::List(rows) => Dense::shared(values.rows(rows, width, progress)?, 0, shape),
        })
    }
}
