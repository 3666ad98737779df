//! SIMILAR: the images that are most like the labelled images of rare classes, each of those having
//! its own to be like (Kothawade et al. 2021, "SIMILAR: Submodular Information Measures Based
//! Active Learning In Realistic Scenarios": the rare-class search by FLQMI, the facility-location
//! variant of submodular mutual information).
//!
//! Never here: the classifier's predictions.
//!
//! ```
//! use ndarray::array;
//! use vabal_query::strategies::similar::{Settings, Similar};
//! use vabal_query::progress::silent;
//! use vabal_query::{Query, Seed, Signals, Strategy};
//!
//! let unlabelled = Signals::new(vec![10, 11, 12, 13])
//!     .with_embedding(array![[0.0, 0.0], [0.1, 0.0], [5.0, 5.0], [9.0, 0.0]])?;
//! let labelled = Signals::new(vec![0, 1, 2]).with_embedding(array![[9.0, 0.0], [9.0, 0.1], [5.0, 5.1]])?;
//! let query = Query { unlabelled: &unlabelled, labelled: &labelled, labels: &[0, 0, 1], classes: 2, n: 1, seed: Seed::new(1) };
//! let chosen = Similar(Settings::default()).select(&query, &mut silent())?;
//! assert_eq!(chosen.ids, [12]); // the most like the label of the rare class 1
//! # Ok::<(), vabal_query::Error>(())
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::neighbours::{Place, both, by_rows};
use crate::error::{Result, within};
use crate::kernels::{Threads, matmul, wide};
use crate::progress::{Event, Progress, between_reports, report};
use crate::term;
use crate::{Column, Id, Needs, Query, Selection, Strategy, StrategySettings, Table, available};

/// Of [`Similar`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A class is rare where it has fewer labels than this many times the mean over the classes.
    pub rare: f64,
    /// η: how much being like any of the rare images counts beside being the one most like some of
    /// them.
    pub eta: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { rare: 1.0, eta: 1.0 }
    }
}

impl Settings {
    /// Checks every value's range.
    ///
    /// # Errors
    /// The first value out of range, by its key.
    pub fn check(&self) -> Result<()> {
        within("rare", self.rare, 0.0..=1e6)?;
        within("eta", self.eta, 0.0..=1e6)
    }
}

impl StrategySettings for Settings {
    fn build(self, _: Table) -> Result<Box<dyn Strategy>> {
        self.check()?;
        Ok(Box::new(Similar(self)))
    }
}

/// Asks for images like the labelled ones of rare classes; where there are none, for images that
/// represent the pool.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Similar(pub Settings);

/// Images that the others represent where no class is rare: all, or as many drawn.
const REPRESENTED: usize = 1 << 13;

impl Strategy for Similar {
    fn needs(&self) -> Needs {
        Needs::EMBEDDING
    }

    fn needs_of_labelled(&self) -> Needs {
        Needs::EMBEDDING
    }

    fn is_batch(&self) -> bool {
        true
    }

    fn reads_rows(&self) -> bool {
        true
    }

    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection> {
        let n = available(query, progress)?;
        if n == 0 {
            return Ok(Selection::default());
        }
        let images = both(query, progress)?;
        let rare = self.rare(query);
        let of = |keep: &dyn Fn(Place) -> bool| -> Vec<usize> {
            (0..images.len()).filter(|&i| keep(images[i].1)).collect()
        };
        let candidates = of(&|place| matches!(place, Place::Unlabelled(_)));
        let queries = of(&|place| matches!(place, Place::Labelled(label) if rare[label as usize]));
        let directions = |of: &[usize]| directions(of.iter().map(|&i| images[i].2));
        let rows = directions(&candidates);

        let mut terms = Vec::new();
        let picks = if queries.is_empty() {
            let mut seen = candidates.clone();
            if seen.len() > REPRESENTED {
                let ids: Vec<Id> = candidates.iter().map(|&i| images[i].0).collect();
                let drawn = query.seed.order("represented", &ids).into_iter().take(REPRESENTED);
                seen = drawn.map(|i| candidates[i]).collect();
                seen.sort_unstable();
            }
            let mut cover = Cover::new(directions(&seen), rows.nrows());
            cover.represent(directions(&of(&|place| matches!(place, Place::Labelled(_)))), progress)?;
            cover.greedy(&rows, n, progress)?
        } else {
            let mut cover = Cover::new(directions(&queries), rows.nrows());
            let nearest = cover.nearest(&rows, progress)?;
            cover.bonus = nearest.iter().map(|&(similarity, _)| self.0.eta * f64::from(similarity)).collect();
            let picks = cover.greedy(&rows, n, progress)?;
            let label = |query: usize| match images[queries[query]].1 {
                Place::Labelled(label) => f64::from(label),
                Place::Unlabelled(_) => 0.0,
            };
            let column = |name, value: &dyn Fn(usize) -> f64| Column {
                name,
                values: picks.iter().map(|pick| value(pick.candidate)).collect(),
            };
            terms.push(column(term::SIMILARITY, &|i| f64::from(nearest[i].0)));
            terms.push(column(term::CLASS, &|i| label(nearest[i].1)));
            picks
        };
        let represented = picks.iter().map(|pick| pick.represented as f64).collect();
        terms.push(Column { name: term::REPRESENTED, values: represented });
        Ok(Selection {
            ids: picks.iter().map(|pick| images[candidates[pick.candidate]].0).collect(),
            scores: picks.iter().map(|pick| pick.gain).collect(),
            terms,
            ..Selection::default()
        })
    }
}

impl Similar {
    /// Which classes are rare.
    fn rare(&self, query: &Query<'_>) -> Vec<bool> {
        let counts = query.class_counts();
        let limit = self.0.rare * query.labels.len() as f64 / query.classes as f64;
        counts.iter().map(|&count| (count as f64) < limit).collect()
    }
}

/// Rows of length 1, or 0 for a row of zeros, [n, d].
fn directions<'a>(rows: impl ExactSizeIterator<Item = &'a [f32]>) -> Array2<f32> {
    let given: Vec<&[f32]> = rows.collect();
    let width = given.first().map_or(0, |row| row.len());
    by_rows((given.len(), width), |i, to| {
        let length = given[i].iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
        if length > 0.0 {
            to.iter_mut().zip(given[i]).for_each(|(to, &x)| *to = (f64::from(x) / length) as f32);
        }
    })
}

/// An image of the batch.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pick {
    candidate: usize,
    /// What it adds to the sum.
    gain: f64,
    /// Targets that nothing chosen before was as similar to.
    represented: usize,
}

/// The greedy maximum of Σ_t max_{a ∈ A} s(t, a) + Σ_{a ∈ A} bonus(a) over sets A of candidates, s
/// being (1 + cosine) / 2.
///
/// Similarities are computed anew whenever they are looked at, in tiles of one shape, so that equal
/// rows have equal similarities to the last bit: memory grows with candidates and targets, not with
/// their product.
struct Cover {
    /// How many targets there are.
    count: usize,
    /// Directions of the targets, in blocks of one shape [block, d], padded with zeros.
    targets: Vec<Array2<f32>>,
    /// The cosine of each target with the nearest of what is there, −1 where nothing is; padded
    /// with 2 so that padding adds nothing.
    best: Vec<Vec<f32>>,
    /// What each candidate adds on its own.
    bonus: Vec<f64>,
}

impl Cover {
    /// Rows of a tile.
    const ROWS: usize = 128;
    /// Columns of a tile, where there are so many targets.
    const COLUMNS: usize = 512;

    fn new(targets: Array2<f32>, candidates: usize) -> Self {
        let (count, width) = targets.dim();
        let side = count.next_multiple_of(16).clamp(16, Self::COLUMNS);
        let blocks = (0..count).step_by(side).map(|first| {
            let rows = side.min(count - first);
            let mut block = Array2::zeros((side, width));
            block.slice_mut(s![..rows, ..]).assign(&targets.slice(s![first..first + rows, ..]));
            let mut best = vec![-1.0; side];
            best[rows..].fill(2.0);
            (block, best)
        });
        let (targets, best) = blocks.unzip();
        Self { count, targets, best, bonus: vec![0.0; candidates] }
    }

    /// `see(block, cosines)` for every block of targets, cosines being those of some rows with the
    /// block, on all cores.
    fn blocks<T: Send>(
        &self,
        rows: &Array2<f32>,
        of: &[usize],
        see: impl Fn(usize, ArrayView2<'_, f32>) -> T + Sync,
    ) -> Vec<T> {
        let mut tile = Array2::zeros((Self::ROWS, rows.ncols()));
        tile.rows_mut().into_iter().zip(of).for_each(|(mut to, &row)| to.assign(&rows.row(row)));
        let cosines = |dots: &mut Array2<f32>, (block, targets): (usize, &Array2<f32>)| {
            if dots.is_empty() {
                *dots = Array2::zeros((Self::ROWS, targets.nrows()));
            }
            matmul(tile.view(), targets.t(), 0.0, dots.view_mut(), Threads::One);
            see(block, dots.slice(s![..of.len(), ..]))
        };
        self.targets.par_iter().enumerate().map_init(|| Array2::zeros((0, 0)), cosines).collect()
    }

    /// What each of at most [`Cover::ROWS`] rows adds to the sum.
    fn gains(&self, rows: &Array2<f32>, of: &[usize]) -> Vec<f64> {
        let blocks = self.blocks(rows, of, |block, cosines| -> Vec<f64> {
            let best = &self.best[block];
            cosines.rows().into_iter().map(|row| gain(row.to_slice().unwrap_or_default(), best)).collect()
        });
        let mut gains = vec![0.0; of.len()];
        for block in blocks {
            gains.iter_mut().zip(block).for_each(|(gain, more)| *gain += more);
        }
        gains.iter().zip(of).map(|(gain, &row)| gain / 2.0 + self.bonus[row]).collect()
    }

    /// Takes note of one row, and says of how many targets it is now the most similar.
    fn take(&mut self, rows: &Array2<f32>, row: usize) -> usize {
        // By the same product as the gains, so that what equals the row adds exactly nothing from
        // now on.
        let blocks = self.blocks(rows, &[row], |_, cosines| cosines.row(0).to_vec());
        let mut represented = 0;
        for (best, cosines) in self.best.iter_mut().zip(blocks) {
            let nearer = best.iter_mut().zip(cosines).filter(|(best, cosine)| *cosine > **best);
            represented += nearer.map(|(best, cosine)| *best = cosine).count();
        }
        represented
    }

    /// Takes note of what is labelled.
    fn represent(&mut self, rows: Array2<f32>, progress: &mut Progress<'_>) -> Result<()> {
        let all: Vec<usize> = (0..rows.nrows()).collect();
        for of in all.chunks(Self::ROWS) {
            let most = self.blocks(&rows, of, |_, cosines| -> Vec<f32> {
                cosines
                    .columns()
                    .into_iter()
                    .map(|column| column.fold(-1.0, |most: f32, &c| most.max(c)))
                    .collect()
            });
            for (best, most) in self.best.iter_mut().zip(most) {
                best.iter_mut().zip(most).for_each(|(best, most)| *best = best.max(most));
            }
            let done = of.last().map_or(0, |last| last + 1);
            report(
                progress,
                Event::Progress { phase: "labelled", done, total: all.len(), unit: "image", loss: None },
            )?;
        }
        Ok(())
    }

    /// The most similar target of each row: how similar, and which, the first among equals.
    fn nearest(&self, rows: &Array2<f32>, progress: &mut Progress<'_>) -> Result<Vec<(f32, usize)>> {
        let side = self.best.first().map_or(0, Vec::len);
        self.each(rows, "similar", progress, |of| {
            let blocks = self.blocks(rows, of, |block, cosines| -> Vec<(f32, usize)> {
                let left = (self.count - block * side).min(side);
                let nearest = |row: ndarray::ArrayView1<'_, f32>| {
                    let mut nearest = (f32::NEG_INFINITY, 0);
                    for (target, &cosine) in row.iter().take(left).enumerate() {
                        if cosine > nearest.0 {
                            nearest = (cosine, block * side + target);
                        }
                    }
                    nearest
                };
                cosines.rows().into_iter().map(nearest).collect()
            });
            let mut nearest = vec![(f32::NEG_INFINITY, 0); of.len()];
            for block in blocks {
                for (nearest, other) in nearest.iter_mut().zip(block) {
                    if other.0 > nearest.0 {
                        *nearest = other;
                    }
                }
            }
            nearest.iter_mut().for_each(|(cosine, _)| *cosine = (0.5 + 0.5 * *cosine).clamp(0.0, 1.0));
            nearest
        })
    }

    /// Tiles of rows that are compared with all targets between two reports.
    fn tiles(&self) -> usize {
        let width = self.targets.first().map_or(0, Array2::len);
        between_reports(Self::ROWS * width * self.targets.len(), rayon::current_num_threads(), 64)
    }

    /// `of` for all rows, a tile at a time, on all cores.
    fn each<T: Send>(
        &self,
        rows: &Array2<f32>,
        phase: &'static str,
        progress: &mut Progress<'_>,
        of: impl Fn(&[usize]) -> Vec<T> + Sync,
    ) -> Result<Vec<T>> {
        let all: Vec<usize> = (0..rows.nrows()).collect();
        let mut answers = Vec::with_capacity(all.len());
        for some in all.chunks(self.tiles() * Self::ROWS) {
            answers.extend(some.par_chunks(Self::ROWS).flat_map_iter(&of).collect::<Vec<T>>());
            let (done, total) = (answers.len(), all.len());
            report(progress, Event::Progress { phase, done, total, unit: "image", loss: None })?;
        }
        Ok(answers)
    }

    /// Takes `n` rows, each time the one that adds most, of equals the first. What a row adds only
    /// shrinks, so that an old gain is a bound (Minoux 1978).
    fn greedy(mut self, rows: &Array2<f32>, n: usize, progress: &mut Progress<'_>) -> Result<Vec<Pick>> {
        // Of numbers that are not negative the bits are in the order of the numbers.
        let bits = |gain: f64| gain.to_bits();
        let first = self.each(rows, "gain", progress, |of| self.gains(rows, of))?;
        let mut bounds: BinaryHeap<(u64, Reverse<usize>)> =
            first.iter().enumerate().map(|(row, &gain)| (bits(gain), Reverse(row))).collect();
        // How many were taken when the bound of each row was true.
        let mut at = vec![0; rows.nrows()];
        let mut tiles = 1;
        let mut picks: Vec<Pick> = Vec::with_capacity(n);
        while picks.len() < n
            && let Some((bound, Reverse(row))) = bounds.pop()
        {
            if at[row] == picks.len() {
                let represented = self.take(rows, row);
                picks.push(Pick { candidate: row, gain: f64::from_bits(bound), represented });
                tiles = 1;
                let done = picks.len();
                report(
                    progress,
                    Event::Progress { phase: "choose", done, total: n, unit: "image", loss: None },
                )?;
                continue;
            }
            // More and more at once, until the largest gain is one that is up to date.
            let mut some = vec![row];
            while some.len() < tiles * Self::ROWS
                && let Some((_, Reverse(row))) =
                    bounds.peek_mut().filter(|top| at[top.1.0] < picks.len()).map(PeekMut::pop)
            {
                some.push(row);
            }
            tiles = (2 * tiles).min(self.tiles());
            let gains: Vec<f64> =
                some.par_chunks(Self::ROWS).flat_map_iter(|some| self.gains(rows, some)).collect();
            for (row, gain) in some.into_iter().zip(gains) {
                at[row] = picks.len();
                bounds.push((bits(gain), Reverse(row)));
            }
            let done = picks.len();
            report(progress, Event::Progress { phase: "choose", done, total: n, unit: "image", loss: None })?;
        }
        Ok(picks)
    }
}

/// Σ max(0, cosine − best), in an order of its own.
fn gain(cosines: &[f32], best: &[f32]) -> f64 {
    const LANES: usize = 16;
    wide(
        #[inline(always)]
        || {
            let mut lanes = [0.0_f64; LANES];
            for (cosines, best) in cosines.chunks(LANES).zip(best.chunks(LANES)) {
                for ((lane, &cosine), &best) in lanes.iter_mut().zip(cosines).zip(best) {
                    *lane += f64::from((cosine - best).max(0.0));
                }
            }
            lanes.iter().sum()
        },
    )
}

#[cfg(test)]
mod tests;
