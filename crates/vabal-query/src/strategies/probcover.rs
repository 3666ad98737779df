//! ProbCover: the images whose balls of one radius in the embedding cover the most of what no ball
//! covers yet (Yehuda, Dekel, Hacohen & Weinshall 2022, "Active Learning Through a Covering Lens",
//! Algorithm 1).
//!
//! Never here: the classifier's predictions; a label but by which images have one.
//!
//! ```
//! use ndarray::array;
//! use vabal_query::strategies::probcover::{ProbCover, Settings};
//! use vabal_query::progress::silent;
//! use vabal_query::{Query, Seed, Signals, Strategy};
//!
//! let unlabelled = Signals::new(vec![10, 11, 12, 13])
//!     .with_embedding(array![[0.0, 0.0], [0.1, 0.0], [5.0, 5.0], [9.0, 0.0]])?;
//! let labelled = Signals::default();
//! let query = Query { unlabelled: &unlabelled, labelled: &labelled, labels: &[], classes: 2, n: 2, seed: Seed::new(1) };
//! let chosen = ProbCover(Settings::default()).select(&query, &mut silent())?;
//! assert_eq!(chosen.ids.len(), 2);
//! # Ok::<(), vabal_query::Error>(())
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use ndarray::Array2;
use rand::seq::index;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::k_means::k_means;
use super::neighbours::{Place, Points, TILE, both};
use crate::error::{Result, within};
use crate::progress::{Event, Progress, between_reports, report};
use crate::rng::Seed;
use crate::term;
use crate::{Column, Needs, Query, Selection, Strategy, StrategySettings, Table, available};

/// Neighbours that are kept as lists, in all, 4 bytes each: 512 MiB, with what growing lists leave
/// over 1 GiB at most. Where the balls hold more, they are counted anew each time.
const LISTED: usize = 1 << 27;

/// Images that the radius is found by: all, or as many drawn.
const MEASURED: usize = 10_000;

/// Of [`ProbCover`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// δ, the radius of a ball in the units of the embedding; 0 finds it by `purity`.
    pub radius: f64,
    /// The share of balls that have to be pure: to hold images of one pseudo-label alone.
    pub purity: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { radius: 0.0, purity: 0.95 }
    }
}

impl Settings {
    /// Checks every value's range.
    ///
    /// # Errors
    /// The first value out of range, by its key.
    pub fn check(&self) -> Result<()> {
        within("radius", self.radius, 0.0..=1e30)?;
        within("purity", self.purity, 0.01..=1.0)
    }
}

impl StrategySettings for Settings {
    fn build(self, _: Table) -> Result<Box<dyn Strategy>> {
        self.check()?;
        Ok(Box::new(ProbCover(self)))
    }
}

/// Asks for the images whose balls cover most of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ProbCover(pub Settings);

impl Strategy for ProbCover {
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
        let points = Points::new(images.iter().map(|&(.., features)| features).collect());
        let squared = if self.0.radius > 0.0 {
            points.square(self.0.radius)
        } else {
            pure_radius(&points, query.classes, self.0.purity, query.seed, progress)?
        };
        let is_open = |point: &usize| matches!(images[*point].1, Place::Unlabelled(_));
        let (open, labelled): (Vec<usize>, Vec<usize>) = (0..points.len()).partition(is_open);
        let picks = cover(&points, open, labelled, squared, n, LISTED, progress)?;
        let most = query.unlabelled.len() as f64 + 1.0;
        let mut scores = Vec::with_capacity(n);
        for pick in &picks {
            scores.push(f64::from(pick.covered) / most - f64::from(pick.shrunk));
        }
        let column =
            |name, value: &dyn Fn(&Pick) -> f64| Column { name, values: picks.iter().map(value).collect() };
        // Balls may be without bounds where all images are alike.
        let radius = |pick: &Pick| points.length(pick.squared).min(f64::MAX);
        Ok(Selection {
            ids: picks.iter().map(|pick| images[pick.point].0).collect(),
            scores,
            terms: vec![
                column(term::COVERED, &|pick| f64::from(pick.covered)),
                column(term::RADIUS, &radius),
            ],
            ..Selection::default()
        })
    }
}

/// The square of the largest δ of which a share of `purity` of the balls holds one pseudo-label
/// alone, k-means clusters as many as classes being the pseudo-labels (section 3.3 of the paper, α
/// there).
///
/// A ball {y: |x − y| < δ} is pure just as long as δ is no more than the distance from x to the
/// nearest image of another pseudo-label, so that δ is a quantile of these distances, and no radii
/// have to be tried. Infinite where there is one pseudo-label alone.
fn pure_radius(
    points: &Points<'_>,
    classes: usize,
    purity: f64,
    seed: Seed,
    progress: &mut Progress<'_>,
) -> Result<f64> {
    let clusters = k_means(points, classes, &mut seed.stream("k-means"), progress)?;
    let all: Vec<usize> = (0..points.len()).collect();
    let mut measured = if all.len() > MEASURED {
        index::sample(&mut seed.stream("radius"), all.len(), MEASURED).into_vec()
    } else {
        all.clone()
    };
    measured.sort_unstable();
    let differ = |i: usize, j: usize| clusters.of[i] != clusters.of[j];
    let mut nearest = points.nearest(&measured, &all, differ, "radius", progress)?;
    nearest.sort_unstable_by(f64::total_cmp);
    // As many may be impure as leave the share that is asked for; what a product of decimals is
    // short of is forgiven.
    let impure =
        nearest.len() - ((purity * nearest.len() as f64 - 1e-9).ceil() as usize).clamp(1, nearest.len());
    Ok(nearest[impure])
}

/// An image of the batch.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pick {
    point: usize,
    /// Images that its ball covers and no ball did before, of those that are unlabelled.
    covered: u32,
    /// The radius of its ball, squared.
    squared: f64,
    /// How often the balls had covered everything, and were made smaller, before.
    shrunk: u32,
}

/// The greedy cover: `n` of `open`, which are in ascending order, given that `labelled` are there.
/// Where nothing is left to be covered the radius is halved, or more where that uncovers nothing;
/// at last come the images that are equal to chosen ones, in their order.
fn cover(
    points: &Points<'_>,
    mut open: Vec<usize>,
    labelled: Vec<usize>,
    mut squared: f64,
    n: usize,
    listed: usize,
    progress: &mut Progress<'_>,
) -> Result<Vec<Pick>> {
    let mut picks: Vec<Pick> = Vec::with_capacity(n);
    // The squared distance of each of `open` to what is labelled or chosen.
    let mut nearest = vec![f64::INFINITY; open.len()];
    let mut newly = labelled;
    let mut shrunk = 0;
    // A ball holds its own centre, however small it is.
    squared = squared.max(f64::MIN_POSITIVE);
    loop {
        let found = points.nearest(&open, &newly, |_, _| true, "covered", progress)?;
        nearest.iter_mut().zip(found).for_each(|(nearest, found)| *nearest = nearest.min(found));
        let farthest = nearest.iter().copied().fold(0.0, f64::max);
        if farthest == 0.0 {
            let rest = open.iter().take(n - picks.len());
            picks.extend(rest.map(|&point| Pick { point, covered: 0, squared, shrunk }));
            return Ok(picks);
        }
        if farthest < squared {
            squared = (squared / 4.0).min(farthest);
            shrunk += 1;
        }
        let (targets, others): (Vec<usize>, Vec<usize>) =
            (0..open.len()).partition(|&place| nearest[place] >= squared);
        let order: Vec<usize> = targets.iter().chain(&others).map(|&place| open[place]).collect();
        let found = Balls::new(points, order, targets.len(), squared, listed, progress)?.greedy(
            n,
            |covered, point| Pick { point, covered, squared, shrunk },
            &mut picks,
            progress,
        )?;
        newly = found;
        if picks.len() >= n {
            return Ok(picks);
        }
        let kept: Vec<bool> = {
            let mut chosen = newly.clone();
            chosen.sort_unstable();
            open.iter().map(|point| chosen.binary_search(point).is_err()).collect()
        };
        let mut keep = kept.iter();
        open.retain(|_| keep.next().copied().unwrap_or(true));
        let mut keep = kept.iter();
        nearest.retain(|_| keep.next().copied().unwrap_or(true));
    }
}

/// Balls of one radius round points, and what they hold of the targets, which are the first of the
/// points.
struct Balls<'a> {
    /// In their own order.
    points: Points<'a>,
    /// Where each is in the order of ids.
    rank: Vec<usize>,
    squared: f64,
    /// Which targets are not covered yet.
    open: Vec<bool>,
    /// How many targets each ball holds.
    degrees: Vec<u32>,
    /// Which ones, where they are few enough.
    lists: Option<Vec<Vec<u32>>>,
}

/// What one tile of pairs holds.
struct Tile {
    rows: Vec<u32>,
    columns: Vec<u32>,
    /// Row and column within the tile, empty where lists are not kept.
    pairs: Vec<(u16, u16)>,
}

impl<'a> Balls<'a> {
    /// Balls that are counted at once where there are no lists: a number of its own, so that
    /// threads change nothing.
    const AT_ONCE: usize = 32;

    /// Tiles that are looked at together, at most: no more than 64 MiB of pairs, however many
    /// points there are.
    const TILES: usize = 64;

    /// Counts what the balls hold, of the first `targets` of `order`, keeping lists while they have
    /// no more than `listed` entries. Every pair is looked at once.
    fn new(
        points: &Points<'a>,
        order: Vec<usize>,
        targets: usize,
        squared: f64,
        listed: usize,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let points = points.permuted(&order);
        let n = points.len();
        let mut balls = Self {
            points,
            rank: order,
            squared,
            open: vec![true; targets],
            degrees: vec![0; n],
            lists: Some(vec![Vec::new(); n]),
        };
        let mut total = 0;
        let each = TILE * TILE * balls.points.scaled().ncols();
        let tiles = between_reports(each, rayon::current_num_threads(), Self::TILES);
        for first in (0..targets).step_by(TILE) {
            let others: Vec<usize> = (first..n).step_by(TILE).collect();
            for others in others.chunks(tiles) {
                let keep = balls.lists.is_some();
                let tiles: Vec<Tile> = others
                    .par_iter()
                    .map_init(|| Array2::zeros((0, 0)), |dots, &other| balls.tile(first, other, keep, dots))
                    .collect();
                for (&other, tile) in others.iter().zip(tiles) {
                    let add = |degrees: &mut [u32], counts: &[u32]| {
                        degrees.iter_mut().zip(counts).for_each(|(degree, count)| *degree += count);
                    };
                    add(&mut balls.degrees[first..], &tile.rows);
                    add(&mut balls.degrees[other..], &tile.columns);
                    total +=
                        tile.rows.iter().chain(&tile.columns).map(|&count| count as usize).sum::<usize>();
                    if total > listed {
                        balls.lists = None;
                    }
                    let Some(lists) = &mut balls.lists else { continue };
                    for (i, j) in tile.pairs {
                        let (i, j) = (first + usize::from(i), other + usize::from(j));
                        if j < targets {
                            lists[i].push(j as u32);
                        }
                        if i != j {
                            lists[j].push(i as u32);
                        }
                    }
                }
                let through = others.last().is_some_and(|&other| other + TILE >= n);
                let done = if through { (first + TILE).min(targets) } else { first };
                report(
                    progress,
                    Event::Progress { phase: "balls", done, total: targets, unit: "image", loss: None },
                )?;
            }
        }
        Ok(balls)
    }

    fn targets(&self) -> usize {
        self.open.len()
    }

    /// The pairs of a target in the rows from `first` and any point at or after it in the columns
    /// from `other`.
    fn tile(&self, first: usize, other: usize, keep: bool, dots: &mut Array2<f32>) -> Tile {
        let end = |start: usize, end: usize| (start + TILE).min(end);
        let (rows, columns) = (first..end(first, self.targets()), other..end(other, self.points.len()));
        Points::products(self.points.range(rows.clone()), self.points.range(columns.clone()), dots);
        let mut tile = Tile { rows: vec![0; rows.len()], columns: vec![0; columns.len()], pairs: Vec::new() };
        for (i, dots) in rows.zip(dots.rows()) {
            for (j, &dot) in columns.clone().zip(dots) {
                if j < i || !self.holds(i, j, dot) {
                    continue;
                }
                tile.rows[i - first] += u32::from(j < self.targets());
                tile.columns[j - other] += u32::from(i != j);
                if keep {
                    tile.pairs.push(((i - first) as u16, (j - other) as u16));
                }
            }
        }
        tile
    }

    /// Whether j lies in the ball round i.
    #[inline(always)]
    fn holds(&self, i: usize, j: usize, dot: f32) -> bool {
        let bounds = self.points.bounds(i, j, dot);
        if f64::from(bounds.least) >= self.squared {
            return false;
        }
        f64::from(bounds.most) < self.squared || self.points.exact(i, j) < self.squared
    }

    /// The targets that are open in the balls round some points.
    fn held(&self, of: &[usize]) -> Vec<Vec<u32>> {
        let is_open = |&target: &u32| self.open[target as usize];
        if let Some(lists) = &self.lists {
            return of.iter().map(|&i| lists[i].iter().copied().filter(is_open).collect()).collect();
        }
        let rows = self.points.gather(of);
        let blocks: Vec<usize> = (0..self.targets()).step_by(TILE).collect();
        let of_block = |dots: &mut Array2<f32>, &first: &usize| -> Vec<Vec<u32>> {
            let columns = first..(first + TILE).min(self.targets());
            Points::products(rows.view(), self.points.range(columns.clone()), dots);
            let held = |(&i, dots): (&usize, ndarray::ArrayView1<'_, f32>)| {
                let near =
                    columns.clone().zip(dots).filter(|&(j, &dot)| self.open[j] && self.holds(i, j, dot));
                near.map(|(j, _)| j as u32).collect()
            };
            of.iter().zip(dots.rows()).map(held).collect()
        };
        let found: Vec<Vec<Vec<u32>>> =
            blocks.par_iter().map_init(|| Array2::zeros((0, 0)), of_block).collect();
        let mut held = vec![Vec::new(); of.len()];
        for block in found {
            held.iter_mut().zip(block).for_each(|(held, block)| held.extend(block));
        }
        held
    }

    /// Takes points until `picks` has `n` or nothing is left to be covered: each time the one whose
    /// ball covers the most, of equals the lowest id. What a ball covers only shrinks, so that an
    /// old count is a bound (Minoux 1978). Returns the points taken.
    fn greedy(
        mut self,
        n: usize,
        pick: impl Fn(u32, usize) -> Pick,
        picks: &mut Vec<Pick>,
        progress: &mut Progress<'_>,
    ) -> Result<Vec<usize>> {
        let mut bounds: BinaryHeap<(u32, Reverse<usize>, usize)> =
            (0..self.rank.len()).map(|i| (self.degrees[i], Reverse(self.rank[i]), i)).collect();
        let at_once = if self.lists.is_some() { 1 } else { Self::AT_ONCE };
        let mut left = self.targets();
        let (mut taken, mut tried) = (Vec::new(), 0_usize);
        while left > 0 && picks.len() < n {
            let mut some = Vec::with_capacity(at_once);
            while some.len() < at_once
                && let Some((.., i)) = bounds.pop()
            {
                some.push(i);
            }
            let mut held: Vec<(u32, Reverse<usize>, usize, Vec<u32>)> = self
                .held(&some)
                .into_iter()
                .zip(some)
                .map(|(held, i)| (held.len() as u32, Reverse(self.rank[i]), i, held))
                .collect();
            held.sort_unstable();
            let best = held.pop();
            bounds.extend(held.into_iter().map(|(count, rank, i, _)| (count, rank, i)));
            let Some((count, rank, i, targets)) = best else { break };
            if bounds.peek().is_some_and(|&(bound, other, _)| (bound, other) > (count, rank)) {
                bounds.push((count, rank, i));
                tried += 1;
                // Each time where the balls are counted anew; where they are listed, it is quick.
                if at_once > 1 || tried % 1024 == 0 {
                    let done = picks.len();
                    report(
                        progress,
                        Event::Progress { phase: "choose", done, total: n, unit: "image", loss: None },
                    )?;
                }
                continue;
            }
            targets.iter().for_each(|&target| self.open[target as usize] = false);
            left -= targets.len();
            picks.push(pick(count, self.rank[i]));
            taken.push(self.rank[i]);
            let done = picks.len();
            report(progress, Event::Progress { phase: "choose", done, total: n, unit: "image", loss: None })?;
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests;
