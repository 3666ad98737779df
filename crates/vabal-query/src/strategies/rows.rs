//! The embedding of a pool row by row, checked and within the range where squares are safe in f32.
//!
//! Never here: what is done with the rows.

use rayon::prelude::*;

use crate::Signals;
use crate::arrays::ArrayRows;
use crate::error::Result;
use crate::kernels::magnitude;

/// Magnitudes of the largest feature between which neither the squares of the features nor those of their differences
/// leave f32's range: as they are, nothing is copied.
const SAFE: std::ops::RangeInclusive<f32> = 9.5e-7..=1.1e12;

/// The rows of an embedding [n, d].
#[derive(Debug, Clone)]
pub(super) enum Rows<'a> {
    /// Where they lie.
    Given(ArrayRows<'a, f32>),
    /// One after another, of a width.
    Scaled(Vec<f32>, usize),
}

impl<'a> Rows<'a> {
    /// The rows of the pools that are not empty (of the others, none), and what both were multiplied by: 1, or, where
    /// their squares would leave f32's range, the power of two that brings the largest feature near 1.
    ///
    /// # Errors
    /// A pool that is not empty without an embedding, or with a value that is not finite, by the id of its row.
    pub fn of<const N: usize>(pools: [&'a Signals<'_>; N]) -> Result<([Self; N], f64)> {
        let mut all: [Self; N] = std::array::from_fn(|_| Self::Scaled(Vec::new(), 1));
        let mut most: f32 = 0.0;
        for (rows, pool) in all.iter_mut().zip(pools) {
            if pool.is_empty() {
                continue;
            }
            let given = pool.embedding_rows()?;
            *rows = Self::over(given);
            let largest = given.par_iter(64).map(magnitude).reduce(|| 0.0, larger);
            if !largest.is_finite() {
                pool.checked_embedding_rows()?;
            }
            most = larger(most, largest);
        }
        if most == 0.0 || SAFE.contains(&most) {
            return Ok((all, 1.0));
        }
        let scale = (-f64::from(most).log2().round()).exp2();
        Ok((all.map(|rows| rows.times(scale)), scale))
    }

    /// The rows of a pool multiplied by a `scale` that [`Rows::of`] found for others.
    ///
    /// # Errors
    /// As [`Rows::of`].
    pub fn scaled(pool: &'a Signals<'_>, scale: f64) -> Result<Self> {
        let rows = Self::over(pool.checked_embedding_rows()?);
        Ok(if scale == 1.0 { rows } else { rows.times(scale) })
    }

    /// The rows of an array that needs no check.
    pub fn over(rows: ArrayRows<'a, f32>) -> Self {
        Self::Given(rows)
    }

    fn times(self, scale: f64) -> Self {
        let width = self.width();
        let mut values = vec![0.0; self.len() * width];
        values.par_chunks_mut(width).enumerate().for_each(|(row, to)| {
            to.iter_mut().zip(self.row(row)).for_each(|(to, &value)| *to = (f64::from(value) * scale) as f32);
        });
        Self::Scaled(values, width)
    }

    /// d.
    pub fn width(&self) -> usize {
        match self {
            Self::Given(rows) => rows.columns(),
            Self::Scaled(_, width) => *width,
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Given(rows) => rows.len(),
            Self::Scaled(values, width) => values.len() / width,
        }
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[f32] {
        match self {
            Self::Given(rows) => rows.row(row),
            Self::Scaled(values, width) => &values[row * width..][..*width],
        }
    }

    /// All rows, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        (0..self.len()).map(|row| self.row(row))
    }
}

/// The larger; NaN is larger than anything.
fn larger(a: f32, b: f32) -> f32 {
    if a >= b || a.is_nan() { a } else { b }
}
