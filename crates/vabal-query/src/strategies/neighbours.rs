//! Points of an embedding by squared Euclidean distance: products of tiles in f32 tell which pairs
//! matter, and those are measured in f64 from the features as given. What comes out is what
//! comparing all pairs in f64 gives, ties and duplicates included, with no array of n × n.
//!
//! Never here: what a distance means to a strategy.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::rows::compare_sizes;
use crate::Query;
use crate::error::Result;
use crate::kernels::{Threads, magnitude, matmul, wide};
use crate::progress::{Event, Progress, between_reports, report};
use crate::{Id, Label};

/// Side of a square tile of products: 1 MiB, which a core keeps to itself.
pub(super) const TILE: usize = 512;

/// Where an image of [`both`] comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Its row in the unlabelled pool.
    Unlabelled(usize),
    /// Its label.
    Labelled(Label),
}

/// The embedding of both pools in ascending order of ids, whatever the order in which they are
/// listed: id, where it comes from, features [d].
///
/// # Errors
/// An embedding that is missing, not finite, or far too large in one row; [`Error::Stopped`].
///
/// [`Error::Stopped`]: crate::Error::Stopped
pub(super) fn both<'a>(
    query: &'a Query<'_>,
    progress: &mut Progress<'_>,
) -> Result<Vec<(Id, Place, &'a [f32])>> {
    let mut images = Vec::with_capacity(query.unlabelled.len() + query.labelled.len());
    for (pool, is_labelled) in [(query.unlabelled, false), (query.labelled, true)] {
        if pool.is_empty() {
            continue;
        }
        for (row, features) in pool.checked_embedding_rows()?.iter().enumerate() {
            let place = if is_labelled { Place::Labelled(query.labels[row]) } else { Place::Unlabelled(row) };
            images.push((pool.ids()[row], place, features));
        }
    }
    let sizes = images.par_iter().map(|&(.., features)| magnitude(features)).collect();
    compare_sizes(&[query.unlabelled, query.labelled], sizes, progress)?;
    images.par_sort_unstable_by_key(|&(id, ..)| id);
    Ok(images)
}

/// An array [rows, columns], each row written by `write(row, values)`, on all cores.
pub(super) fn by_rows(shape: (usize, usize), write: impl Fn(usize, &mut [f32]) + Sync) -> Array2<f32> {
    let mut rows = Array2::zeros(shape);
    if let Some(values) = rows.as_slice_mut() {
        values.par_chunks_mut(shape.1.max(1)).enumerate().for_each(|(row, to)| write(row, to));
    }
    rows
}

/// Points [n, d], ready to be compared.
#[derive(Debug, Clone)]
pub(super) struct Points<'a> {
    /// As given, [d] each.
    given: Vec<&'a [f32]>,
    /// Less their mean, in units of [`Points::unit`], so that nothing overflows: [n, d], each from
    /// −1 to 1.
    scaled: Array2<f32>,
    /// Squared length of each row of `scaled`.
    norms: Vec<f32>,
    /// A power of two.
    unit: f64,
    /// How far a squared distance of f32 products may be off, as a share of the two squared
    /// lengths.
    share: f32,
}

/// What a squared distance must lie between.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bounds {
    pub least: f32,
    pub most: f32,
}

impl<'a> Points<'a> {
    /// Rows that are summed as one, so that a sum has one order.
    const BLOCK: usize = 1024;

    /// Points of one width d, every value finite.
    pub fn new(given: Vec<&'a [f32]>) -> Self {
        let width = given.first().map_or(0, |row| row.len());
        let add = |mut sum: Vec<f64>, row: &[f64]| {
            sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            sum
        };
        let sums: Vec<Vec<f64>> = given
            .par_chunks(Self::BLOCK)
            .map(|rows| {
                let mut sum = vec![0.0; width];
                for row in rows {
                    sum.iter_mut().zip(*row).for_each(|(sum, &value)| *sum += f64::from(value));
                }
                sum
            })
            .collect();
        let mut mean = sums.iter().fold(vec![0.0; width], |sum, row| add(sum, row));
        mean.iter_mut().for_each(|mean| *mean /= given.len() as f64);
        let far = |row: &&[f32]| {
            row.iter().zip(&mean).fold(0.0, |far: f64, (&x, mean)| far.max((f64::from(x) - mean).abs()))
        };
        let far = given.par_iter().map(far).reduce(|| 0.0, f64::max);
        let unit = if far > 0.0 { far.log2().ceil().exp2() } else { 1.0 };
        let scaled = by_rows((given.len(), width), |i, to| {
            for ((to, &x), mean) in to.iter_mut().zip(given[i]).zip(&mean) {
                *to = ((f64::from(x) - mean) / unit) as f32;
            }
        });
        let norm = |i| scaled.row(i).iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() as f32;
        let norms = (0..given.len()).into_par_iter().map(norm).collect();
        // A sum of d products is off by no more than d roundings of the product of the lengths
        // (Higham 2002, section 3.1), and that is at most half the sum of their squares; then what
        // rounding the scaled values, the squared lengths and the last sums adds.
        let share = (width + 32) as f32 * f32::EPSILON * 0.5;
        Self { given, scaled, norms, unit, share }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.given.len()
    }

    /// The scaled points [n, d].
    pub fn scaled(&self) -> ArrayView2<'_, f32> {
        self.scaled.view()
    }

    /// The same points in another order.
    pub fn permuted(&self, order: &[usize]) -> Self {
        Self {
            given: order.iter().map(|&i| self.given[i]).collect(),
            scaled: self.gather(order),
            norms: order.iter().map(|&i| self.norms[i]).collect(),
            ..*self
        }
    }

    /// Some of the scaled points, side by side, [of, d].
    pub fn gather(&self, of: &[usize]) -> Array2<f32> {
        by_rows((of.len(), self.scaled.ncols()), |row, to| {
            to.iter_mut().zip(self.scaled.row(of[row])).for_each(|(to, &x)| *to = x);
        })
    }

    /// A length in the units of the features.
    pub fn length(&self, squared: f64) -> f64 {
        squared.sqrt() * self.unit
    }

    /// The square of a length, in the units that squared distances are in here.
    pub fn square(&self, length: f64) -> f64 {
        (length / self.unit).powi(2)
    }

    /// The squared distance of two points, in f64 from the features as given; 0 for equal features,
    /// the same both ways.
    pub fn exact(&self, i: usize, j: usize) -> f64 {
        const LANES: usize = 16;
        let (a, b) = (self.given[i], self.given[j]);
        let sum: f64 = wide(
            #[inline(always)]
            || {
                let mut lanes = [0.0_f64; LANES];
                let (whole_a, whole_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
                let rest = whole_a.remainder().iter().zip(whole_b.remainder());
                for (a, b) in whole_a.zip(whole_b) {
                    for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
                        let d = f64::from(a) - f64::from(b);
                        *lane += d * d;
                    }
                }
                for (lane, (&a, &b)) in lanes.iter_mut().zip(rest) {
                    let d = f64::from(a) - f64::from(b);
                    *lane += d * d;
                }
                lanes.iter().sum()
            },
        );
        sum / self.unit / self.unit
    }

    /// Some of the scaled points, [rows, d].
    pub fn range(&self, rows: Range<usize>) -> ArrayView2<'_, f32> {
        self.scaled.slice(s![rows, ..])
    }

    /// The products of some rows with others, in `dots` [rows, columns].
    pub fn products(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>, dots: &mut Array2<f32>) {
        if dots.dim() != (a.nrows(), b.nrows()) {
            *dots = Array2::zeros((a.nrows(), b.nrows()));
        }
        matmul(a, b.t(), 0.0, dots.view_mut(), Threads::One);
    }

    /// What the squared distance of two points must lie between, given their product.
    #[inline(always)]
    pub fn bounds(&self, i: usize, j: usize, dot: f32) -> Bounds {
        /// What products that are too small for f32 may come to.
        const TINY: f32 = 1e-30;
        let norms = self.norms[i] + self.norms[j];
        let off = self.share * norms + TINY;
        let squared = norms - 2.0 * dot;
        Bounds { least: squared - off, most: squared + off }
    }

    /// The squared distance of each of `of` to the nearest of `among`, of those that `allowed(of,
    /// among)` lets count; infinite where there is none.
    ///
    /// # Errors
    /// [`crate::Error::Stopped`].
    pub fn nearest(
        &self,
        of: &[usize],
        among: &[usize],
        allowed: impl Fn(usize, usize) -> bool + Sync,
        phase: &'static str,
        progress: &mut Progress<'_>,
    ) -> Result<Vec<f64>> {
        let mut nearest = Vec::with_capacity(of.len());
        // Enough rows to spare most of the copying of columns, unless they are very wide.
        let width = self.scaled.ncols();
        let tall = if width > 1024 { TILE } else { 4 * TILE } * rayon::current_num_threads();
        let tiles = between_reports(tall * TILE * width, 1, 8);
        for block in of.chunks(tall) {
            let mut best = vec![f64::INFINITY; block.len()];
            let rows: Vec<Array2<f32>> = block.chunks(TILE).map(|of| self.gather(of)).collect();
            for among in among.chunks(tiles * TILE) {
                let columns = self.gather(among);
                best.par_chunks_mut(TILE).zip(block.par_chunks(TILE)).zip(&rows).for_each(
                    |((best, of), rows)| {
                        let mut dots = Array2::zeros((of.len(), TILE));
                        for (among, columns) in
                            among.chunks(TILE).zip(columns.axis_chunks_iter(Axis(0), TILE))
                        {
                            if dots.ncols() != among.len() {
                                dots = Array2::zeros((of.len(), among.len()));
                            }
                            matmul(rows.view(), columns.t(), 0.0, dots.view_mut(), Threads::One);
                            for ((best, &i), dots) in best.iter_mut().zip(of).zip(dots.rows()) {
                                for (&j, &dot) in among.iter().zip(dots) {
                                    if f64::from(self.bounds(i, j, dot).least) < *best && allowed(i, j) {
                                        *best = best.min(self.exact(i, j));
                                    }
                                }
                            }
                        }
                    },
                );
                let (done, total) = (nearest.len(), of.len());
                report(progress, Event::Progress { phase, done, total, unit: "image", loss: None })?;
            }
            nearest.extend(best);
            let (done, total) = (nearest.len(), of.len());
            report(progress, Event::Progress { phase, done, total, unit: "image", loss: None })?;
        }
        Ok(nearest)
    }

    /// The `k` nearest of `among` to each of `of`, itself left out: squared distances and points,
    /// nearest first, of equals the first in the order of points; fewer where there are not so
    /// many. Uses all cores.
    pub fn neighbours(&self, of: &[usize], among: &[usize], k: usize) -> Vec<Vec<(f64, usize)>> {
        if of.is_empty() || among.is_empty() || k == 0 {
            return vec![Vec::new(); of.len()];
        }
        let columns = self.gather(among);
        // Some MiB of products at a time on each core.
        let tile = ((1 << 20) / among.len()).clamp(1, TILE);
        let find = |of: &[usize]| -> Vec<Vec<(f64, usize)>> {
            let rows = self.gather(of);
            let mut dots = Array2::zeros((of.len(), among.len()));
            matmul(rows.view(), columns.t(), 0.0, dots.view_mut(), Threads::One);
            let mut most = Vec::with_capacity(among.len());
            let lists = of.iter().zip(dots.rows()).map(|(&i, dots)| {
                let others = || among.iter().zip(dots).filter(|&(&j, _)| j != i);
                most.clear();
                most.extend(others().map(|(&j, &dot)| self.bounds(i, j, dot).most));
                // No more than k points can be nearer than this, so that what must be farther needs
                // no second look.
                let limit = if k < most.len() {
                    *most.select_nth_unstable_by(k - 1, f32::total_cmp).1
                } else {
                    f32::INFINITY
                };
                let near = others().filter(|&(&j, &dot)| self.bounds(i, j, dot).least <= limit);
                let mut near: Vec<(f64, usize)> = near.map(|(&j, _)| (self.exact(i, j), j)).collect();
                near.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                near.truncate(k);
                near
            });
            lists.collect()
        };
        of.par_chunks(tile).flat_map_iter(find).collect()
    }
}

#[cfg(test)]
mod tests;
