//! The embedding of a pool row by row, checked and within the range where squares are safe in f32.
//!
//! Never here: what is done with the rows.

use std::borrow::Cow;

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::Signals;
use crate::error::Result;
use crate::kernels::magnitude;

/// Magnitudes of the largest feature between which neither the squares of the features nor those of their differences
/// leave f32's range: as they are, nothing is copied.
const SAFE: std::ops::RangeInclusive<f32> = 9.5e-7..=1.1e12;

/// The rows of an embedding [n, d].
#[derive(Debug, Clone)]
pub(super) struct Rows<'a> {
    values: Cow<'a, [f32]>,
    width: usize,
}

impl<'a> Rows<'a> {
    /// The rows of the pools that are not empty (of the others, none), and what both were multiplied by: 1, or, where
    /// their squares would leave f32's range, the power of two that brings the largest feature near 1.
    ///
    /// # Errors
    /// A pool that is not empty without an embedding, or with a value that is not finite, by the id of its row.
    pub fn of<const N: usize>(pools: [&'a Signals<'_>; N]) -> Result<([Self; N], f64)> {
        let mut all: [Self; N] = std::array::from_fn(|_| Self { values: Cow::Borrowed(&[]), width: 1 });
        let mut most: f32 = 0.0;
        for (rows, pool) in all.iter_mut().zip(pools) {
            if pool.is_empty() {
                continue;
            }
            let embedding = pool.embedding()?;
            *rows = Self::over(embedding);
            let largest = rows.values.par_chunks(1 << 16).map(magnitude).reduce(|| 0.0, larger);
            if !largest.is_finite() {
                pool.checked_embedding()?;
            }
            most = larger(most, largest);
        }
        if most == 0.0 || SAFE.contains(&most) {
            return Ok((all, 1.0));
        }
        let scale = (-f64::from(most).log2().round()).exp2();
        for rows in &mut all {
            let scaled = rows.values.par_iter().map(|&value| (f64::from(value) * scale) as f32);
            rows.values = Cow::Owned(scaled.collect());
        }
        Ok((all, scale))
    }

    /// The rows of a pool multiplied by a `scale` that [`Rows::of`] found for others.
    ///
    /// # Errors
    /// As [`Rows::of`].
    pub fn scaled(pool: &'a Signals<'_>, scale: f64) -> Result<Self> {
        let mut rows = Self::over(pool.checked_embedding()?);
        if scale != 1.0 {
            let scaled = rows.values.par_iter().map(|&value| (f64::from(value) * scale) as f32);
            rows.values = Cow::Owned(scaled.collect());
        }
        Ok(rows)
    }

    /// The rows of an array that needs no check, [n, d].
    pub fn over(array: ArrayView2<'a, f32>) -> Self {
        let values = array.to_slice().map_or_else(|| array.iter().copied().collect(), Cow::Borrowed);
        Self { values, width: array.ncols() }
    }

    /// d.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..][..self.width]
    }

    /// All rows, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width)
    }
}

/// The larger; NaN is larger than anything.
fn larger(a: f32, b: f32) -> f32 {
    if a >= b || a.is_nan() { a } else { b }
}
