//! The embedding of a pool row by row, checked and within the range where squares are safe in f32.
//!
//! Never here: what is done with the rows.

use rayon::prelude::*;

use crate::Signals;
use crate::arrays::ArrayRows;
use crate::error::{Error, Result};
use crate::kernels::magnitude;
use crate::progress::{Event, Progress, report};

/// Magnitudes of the largest feature between which neither the squares of the features nor those of
/// their differences leave f32's range: as they are, nothing is copied.
const SAFE: std::ops::RangeInclusive<f32> = 9.5e-7..=1.1e12;

/// How many times as large as the median row's features those of one row may be. The squares of the
/// others, beside it, are still normal numbers of f32.
const COMPARABLE: f64 = 1e12;

/// The rows of an embedding [n, d].
#[derive(Debug, Clone)]
pub(super) enum Rows<'a> {
    /// Where they lie.
    Given(ArrayRows<'a, f32>),
    /// One after another, of a width.
    Scaled(Vec<f32>, usize),
}

impl<'a> Rows<'a> {
    /// The rows of the pools that are not empty (of the others, none), and what both were
    /// multiplied by: 1, or, where their squares would leave f32's range, the power of two that
    /// brings the largest feature near 1. Warns of a row that outweighs all others.
    ///
    /// # Errors
    /// A pool that is not empty without an embedding, or with a value that is not finite or so large
    /// that the other rows could not be told apart, by the id of its row; [`Error::Stopped`].
    pub fn of<const N: usize>(
        pools: [&'a Signals<'_>; N],
        progress: &mut Progress<'_>,
    ) -> Result<([Self; N], f64)> {
        let mut all: [Self; N] = std::array::from_fn(|_| Self::Scaled(Vec::new(), 1));
        let mut sizes: Vec<f32> = Vec::new();
        for (rows, pool) in all.iter_mut().zip(pools) {
            if pool.is_empty() {
                continue;
            }
            let given = pool.embedding_rows()?;
            *rows = Self::over(given);
            sizes.par_extend(given.par_iter(64).map(magnitude));
            if sizes.iter().any(|size| !size.is_finite()) {
                pool.checked_embedding_rows()?;
            }
        }
        let most = sizes.iter().copied().fold(0.0, f32::max);
        compare_sizes(&pools, sizes, progress)?;
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

/// Warns of a row of `pools` whose features outweigh those of all others: in a covariance, and in
/// distances, little is left of the others. `sizes` are the largest magnitudes of the rows, one pool
/// after another.
///
/// # Errors
/// A row beside which the others could not be told apart, [`Error::Stopped`].
pub(super) fn compare_sizes(
    pools: &[&Signals<'_>],
    mut sizes: Vec<f32>,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let Some(row) = (0..sizes.len()).max_by(|&a, &b| sizes[a].total_cmp(&sizes[b])) else { return Ok(()) };
    let (n, largest) = (sizes.len(), f64::from(sizes[row]));
    let median = f64::from(*sizes.select_nth_unstable_by(n / 2, f32::total_cmp).1);
    let times = largest / median;
    if median == 0.0 || times < (n as f64).sqrt().max(100.0) {
        return Ok(());
    }
    let id = pools.iter().flat_map(|pool| pool.ids()).nth(row).expect("a size for each row");
    if times <= COMPARABLE {
        let text = format!(
            "the features of id {id} are {times:.0} times as large as those of the median row, and outweigh those of \
             all other rows together; leave this row out if it is not as it should be"
        );
        return report(progress, Event::Warning(&text));
    }
    Err(Error::input("one row has features beside which the others are nothing")
        .at(format!("id {id}"))
        .expected(format!("at most {COMPARABLE:e} times the median row's, which are up to {median:e}"))
        .got(format!("{largest:e}"))
        .hint("leave this row out, or look at the network that made its features")
        .into())
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::STRATEGIES;
    use crate::progress::Flow;
    use crate::rng::Seed;
    use crate::{Id, Query};

    /// What `strategy` asks of 400 rows of features of about 1, those of row 7 times `scale`, and its
    /// warnings.
    fn asked(strategy: &str, scale: f32) -> (Result<Vec<Id>>, Vec<String>) {
        let mut normals = Seed::new(3).normals("features");
        let mut features = Array2::zeros((400, 8));
        normals.fill(features.as_slice_mut().expect("row-major"));
        features.row_mut(7).mapv_inplace(|x| x * scale);
        let probabilities =
            Array2::from_shape_fn((400, 2), |(row, n)| if row % 2 == n { 0.75 } else { 0.25 });
        let pool = Signals::new((0..400).collect())
            .with_probabilities(probabilities)
            .and_then(|pool| pool.with_embedding(features))
            .unwrap();
        let labelled = Signals::default();
        let query = Query {
            unlabelled: &pool,
            labelled: &labelled,
            labels: &[],
            classes: 2,
            n: 9,
            seed: Seed::new(1),
        };
        let mut warnings = Vec::new();
        let strategy = STRATEGIES.by_name(strategy).unwrap();
        let selection = strategy.select(&query, &mut |event: Event<'_>| {
            if let Event::Warning(text) = event {
                warnings.push(text.to_string());
            }
            Flow::Continue
        });
        (selection.map(|selection| selection.ids), warnings)
    }

    #[test]
    fn a_row_that_outweighs_all_others_is_told_and_one_beside_which_they_vanish_is_refused() {
        for strategy in ["core-set", "badge", "vabal", "typiclust", "probcover", "similar"] {
            for scale in [1.0, 20.0] {
                let (ids, warnings) = asked(strategy, scale);
                assert_eq!((ids.unwrap().len(), warnings.len()), (9, 0), "{strategy} {scale}: {warnings:?}");
            }
            for scale in [1e4, 1e8] {
                let (ids, warnings) = asked(strategy, scale);
                assert_eq!(ids.unwrap().len(), 9, "{strategy} {scale}");
                assert!(warnings.len() == 1 && warnings[0].contains("id 7 are"), "{strategy}: {warnings:?}");
            }
            for scale in [1e15, 1e30] {
                let error = asked(strategy, scale).0.unwrap_err();
                let text = error.to_string();
                assert!(
                    text.contains("where: id 7") && text.contains("hint: "),
                    "{strategy} {scale}: {text}"
                );
                assert_eq!(error.exit_code(), 2);
            }
        }
    }
}
