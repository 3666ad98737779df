//! Core-set selection by k-center greedy (Sener & Savarese 2018, "Active Learning for Convolutional
//! Neural Networks: A Core-Set Approach", algorithm 1): always the image that is farthest from all
//! that are labelled or chosen.
//!
//! The picks are those of the plain algorithm in f64, without most of its distances. What an image
//! is away from its nearest centre only shrinks, so that an old distance is a bound (Minoux 1978):
//! only images whose bound is above the largest distance known are brought up to date, and only
//! until it no longer is.
//!
//! Never here: classes, what the classifier says.
//!
//! ```
//! use ndarray::array;
//! use vabal_query::strategies::core_set::CoreSet;
//! use vabal_query::progress::silent;
//! use vabal_query::{Query, Seed, Signals, Strategy};
//!
//! let unlabelled = Signals::new(vec![10, 11, 12, 13])
//!     .with_embedding(array![[0.0, 0.0], [0.1, 0.0], [5.0, 5.0], [9.0, 0.0]])?;
//! let labelled = Signals::new(vec![0]).with_embedding(array![[0.0, 0.0]])?;
//! let query = Query { unlabelled: &unlabelled, labelled: &labelled, labels: &[0], classes: 2, n: 1, seed: Seed::new(1) };
//! let chosen = CoreSet.select(&query, &mut silent())?;
//! assert_eq!(chosen.ids, [13]); // the farthest from what is labelled
//! # Ok::<(), vabal_query::Error>(())
//! ```

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering as Memory};

use rayon::prelude::*;

use super::rows::Rows;
use crate::Id;
use crate::error::Result;
use crate::kernels::{distance_error, exact_squared_distance, squared_distances};
use crate::progress::{Event, Progress, report};
use crate::query::InParts;
use crate::term;
use crate::{Column, Needs, Query, Selection, Strategy, available};

/// Asks for the images that lie farthest, by Euclidean distance in the embedding, from every image
/// that is labelled or chosen before them. Without a labelled pool the first is the one of the
/// lowest id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CoreSet;

/// Values of a block of rows, which stay in the cache while centres pass by.
const BLOCK: usize = 1 << 16;

/// Centres that pass a block at a time, after which it is looked which images need no more.
const CENTRES: usize = 8;

/// Images brought up to date one by one, largest bound first, before all that may be farther are
/// swept in parallel.
const PROBES: usize = 8;

/// Differences squared and summed, from which a sweep is worth other cores, and after which it
/// reports.
const WORTH_SHARING: usize = 1 << 20;
const WORTH_TELLING: usize = 1 << 32;

impl Strategy for CoreSet {
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

    fn in_parts(&self) -> Option<InParts> {
        Some(InParts::Centres)
    }

    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection> {
        let n = available(query, progress)?;
        let ids = query.unlabelled.ids();
        let ([rows, labelled], scale) = Rows::of([query.unlabelled, query.labelled], progress)?;
        let mut cover = Cover::new(&rows, ids, labelled.iter().collect());
        let (mut chosen, mut distances): (Vec<usize>, Vec<f64>) = (Vec::new(), Vec::new());
        let lowest = (0..ids.len()).min_by_key(|&row| ids[row]);
        if let Some(first) = lowest.filter(|_| n > 0 && labelled.len() == 0) {
            cover.choose(first);
            // There is nothing yet to be away from: what is farthest from it stands in.
            distances.push(cover.farthest(progress)?.map_or(0.0, |(_, squared)| squared.sqrt() / scale));
            chosen.push(first);
        }
        while chosen.len() < n {
            let Some((row, squared)) = cover.farthest(progress)? else {
                // All that are left equal a centre.
                let mut left = cover.left();
                left.sort_unstable_by_key(|&row| ids[row]);
                chosen.extend(left.into_iter().take(n - chosen.len()));
                distances.resize(n, 0.0);
                break;
            };
            cover.choose(row);
            chosen.push(row);
            // By rounding alone could one be above the last.
            let distance = squared.sqrt() / scale;
            distances.push(distances.last().map_or(distance, |&last: &f64| distance.min(last)));
            let (done, unit) = (chosen.len(), "image");
            report(progress, Event::Progress { phase: "choose", done, total: n, unit, loss: None })?;
        }
        let mut selection = Selection::chosen(query.unlabelled, &chosen, distances.clone(), &[]);
        selection.terms.push(Column { name: term::DISTANCE, values: distances });
        Ok(selection)
    }
}

/// What is known of an image's distance from its nearest centre.
#[derive(Debug, Clone, Copy)]
struct Point {
    /// To the nearest of the first `seen` centres, squared: no less than to the nearest of all. −1
    /// once it is a centre.
    bound: f32,
    /// How many of the centres it has been compared with.
    seen: u32,
    /// Which of them is the nearest.
    nearest: u32,
}

/// The largest distance known, less what rounding may have added: whoever's bound is below it
/// cannot be the farthest.
struct Floor {
    bits: AtomicU32,
    share: f32,
}

impl Floor {
    fn get(&self) -> f32 {
        f32::from_bits(self.bits.load(Memory::Relaxed))
    }

    /// Hears of the distance of an image that is up to date.
    fn raise(&self, squared: f32) {
        // Not negative, so that their bits are in order as the numbers are.
        self.bits.fetch_max((squared * self.share).to_bits(), Memory::Relaxed);
    }
}

/// Candidates and centres.
struct Cover<'a> {
    rows: &'a Rows<'a>,
    ids: &'a [Id],
    /// The rows of the labelled images, then of those chosen.
    centres: Vec<&'a [f32]>,
    points: Vec<Point>,
    /// Points in a block.
    block: usize,
    /// The largest bound of each block.
    largest: Vec<f32>,
    /// What rounding can change of a squared distance, at most, relative to it.
    error: f32,
    /// Squared distances in f64, and how many centres they are of: of images that f32 cannot tell
    /// apart.
    exact: HashMap<usize, (f64, usize)>,
}

impl<'a> Cover<'a> {
    fn new(rows: &'a Rows<'a>, ids: &'a [Id], centres: Vec<&'a [f32]>) -> Self {
        let block = (BLOCK / rows.width()).clamp(16, 256);
        Self {
            rows,
            ids,
            centres,
            points: vec![Point { bound: f32::INFINITY, seen: 0, nearest: 0 }; rows.len()],
            block,
            largest: vec![f32::INFINITY; rows.len().div_ceil(block)],
            error: distance_error(rows.width()),
            exact: HashMap::new(),
        }
    }

    fn choose(&mut self, row: usize) {
        self.centres.push(self.rows.row(row));
        self.points[row].bound = -1.0;
        self.exact.remove(&row);
        self.look_again(row / self.block);
    }

    fn look_again(&mut self, block: usize) {
        let from = block * self.block;
        let to = (from + self.block).min(self.points.len());
        self.largest[block] = largest_bound(&self.points[from..to]);
    }

    /// The rows that are no centres.
    fn left(&self) -> Vec<usize> {
        (0..self.points.len()).filter(|&row| self.points[row].bound >= 0.0).collect()
    }

    /// The row farthest from its nearest centre and the square of that distance, the lowest id
    /// among equals; none where all that are left are 0 away. There is a centre.
    fn farthest(&mut self, progress: &mut Progress<'_>) -> Result<Option<(usize, f64)>> {
        let floor = Floor { bits: AtomicU32::new(0), share: 1.0 - 4.0 * self.error };
        let mut found = false;
        for _ in 0..PROBES {
            let Some(block) = place_of_largest(&self.largest).filter(|&block| self.largest[block] > 0.0)
            else {
                return Ok(None);
            };
            let row = block * self.block;
            let points = &self.points[row..(row + self.block).min(self.points.len())];
            let row = row + points.iter().position(|point| point.bound == self.largest[block]).unwrap_or(0);
            found = self.points[row].seen as usize == self.centres.len();
            if found {
                floor.raise(self.points[row].bound);
                break;
            }
            self.bring_up_to_date(row);
            floor.raise(self.points[row].bound.max(0.0));
            self.look_again(block);
        }
        if !found {
            self.sweep(&floor, progress)?;
        }
        Ok(if floor.get() > 0.0 { self.best_of(floor.get()) } else { None })
    }

    fn bring_up_to_date(&mut self, row: usize) {
        let (point, row) = (&mut self.points[row], self.rows.row(row));
        let mut squared = [0.0; 64];
        for centres in self.centres[point.seen as usize..].chunks(squared.len()) {
            squared_distances(&[row], centres, &mut squared[..centres.len()]);
            point.hear(&squared[..centres.len()]);
        }
    }

    /// Brings up to date, on all cores, every point that may be the farthest, until it is or may no
    /// longer.
    fn sweep(&mut self, floor: &Floor, progress: &mut Progress<'_>) -> Result<()> {
        let (all, low) = (self.centres.len(), floor.get());
        let mut work = 0;
        let mut blocks = Vec::new();
        for (index, (points, largest)) in
            self.points.chunks_mut(self.block).zip(&mut self.largest).enumerate()
        {
            if *largest >= low && *largest > 0.0 {
                let unseen =
                    points.iter().filter(|point| point.may_be_above(low)).map(|p| all - p.seen as usize);
                work += unseen.sum::<usize>() * self.rows.width();
                blocks.push((index * self.block, points, largest));
            }
        }
        let (rows, centres) = (self.rows, &self.centres[..]);
        let update = |room: &mut Room<'a>, (first, points, largest): &mut (usize, &mut [Point], &mut f32)| {
            update(rows, centres, *first, points, floor, room);
            **largest = largest_bound(points);
        };
        if work < WORTH_SHARING {
            let mut room = Room::default();
            blocks.iter_mut().for_each(|block| update(&mut room, block));
            return Ok(());
        }
        let parts = work.div_ceil(WORTH_TELLING);
        let total = blocks.len();
        let mut done = 0;
        for part in blocks.chunks_mut(total.div_ceil(parts)) {
            part.par_iter_mut().for_each_init(Room::default, update);
            done += part.len();
            if parts > 1 {
                let unit = "block";
                report(progress, Event::Progress { phase: "compare", done, total, unit, loss: None })?;
            }
        }
        Ok(())
    }

    /// The best by f64 of those that f32 cannot tell apart: whose bound is `floor` or more.
    fn best_of(&mut self, floor: f32) -> Option<(usize, f64)> {
        let mut finalists = Vec::new();
        for block in 0..self.largest.len() {
            if self.largest[block] < floor {
                continue;
            }
            let from = block * self.block;
            for row in from..(from + self.block).min(self.points.len()) {
                if self.points[row].bound >= floor {
                    self.bring_up_to_date(row);
                    if self.points[row].bound >= floor {
                        finalists.push(row);
                    }
                }
            }
            self.look_again(block);
        }
        if let [row] = finalists[..] {
            let nearest = self.centres[self.points[row].nearest as usize];
            return Some((row, exact_squared_distance(self.rows.row(row), nearest)));
        }
        let of = |&row: &usize| (row, self.exactly(row));
        let exact: Vec<_> = match finalists.len() {
            0..64 => finalists.iter().map(of).collect(),
            _ => finalists.par_iter().map(of).collect(),
        };
        self.exact.extend(exact.iter().map(|&(row, squared)| (row, (squared, self.centres.len()))));
        let better = |a: &(usize, f64), b: &(usize, f64)| {
            a.1.partial_cmp(&b.1).unwrap_or(Ordering::Equal).then_with(|| self.ids[b.0].cmp(&self.ids[a.0]))
        };
        exact.into_iter().max_by(better)
    }

    /// The squared distance of a point that is up to date from its nearest centre, in f64.
    fn exactly(&self, row: usize) -> f64 {
        let (mut least, seen) = self.exact.get(&row).copied().unwrap_or((f64::INFINITY, 0));
        let row_of = self.rows.row(row);
        let near = self.points[row].bound * (1.0 + 4.0 * self.error);
        let mut squared = [0.0; 64];
        for centres in self.centres[seen..].chunks(squared.len()) {
            squared_distances(&[row_of], centres, &mut squared[..centres.len()]);
            for (centre, _) in centres.iter().zip(&squared).filter(|&(_, &squared)| squared <= near) {
                least = least.min(exact_squared_distance(row_of, centre));
            }
        }
        least
    }
}

impl Point {
    /// Of the squared distances from the next centres.
    #[inline(always)]
    fn hear(&mut self, squared: &[f32]) {
        for &squared in squared {
            if squared < self.bound {
                (self.bound, self.nearest) = (squared, self.seen);
            }
            self.seen += 1;
        }
    }

    fn may_be_above(&self, floor: f32) -> bool {
        self.bound >= floor && self.bound > 0.0
    }
}

/// Room for what is computed of a block.
#[derive(Default)]
struct Room<'a> {
    open: Vec<usize>,
    group: Vec<usize>,
    rows: Vec<&'a [f32]>,
    squared: Vec<f32>,
}

/// Brings the points of one block, of which the first is row `first`, up to date as far as any may
/// be the farthest.
fn update<'a>(
    all: &'a Rows<'a>,
    centres: &[&[f32]],
    first: usize,
    points: &mut [Point],
    floor: &Floor,
    Room { open, group, rows, squared }: &mut Room<'a>,
) {
    let is_open = |point: &Point| point.may_be_above(floor.get()) && (point.seen as usize) < centres.len();
    open.clear();
    open.extend((0..points.len()).filter(|&at| is_open(&points[at])));
    while let Some(from) = open.iter().map(|&at| points[at].seen as usize).min() {
        // Those that lag behind catch up, and then go on together.
        let to = ((from / CENTRES + 1) * CENTRES).min(centres.len());
        group.clear();
        group.extend(open.iter().copied().filter(|&at| points[at].seen as usize == from));
        rows.clear();
        rows.extend(group.iter().map(|&at| all.row(first + at)));
        squared.resize(group.len() * (to - from), 0.0);
        squared_distances(rows, &centres[from..to], squared);
        for (&at, squared) in group.iter().zip(squared.chunks_exact(to - from)) {
            points[at].hear(squared);
            if to == centres.len() {
                floor.raise(points[at].bound);
            }
        }
        open.retain(|&at| is_open(&points[at]));
    }
}

fn largest_bound(points: &[Point]) -> f32 {
    points.iter().fold(-1.0, |most, point| if point.bound > most { point.bound } else { most })
}

/// Where the first of the largest values is.
fn place_of_largest(values: &[f32]) -> Option<usize> {
    // By lanes, each in its own order, so that the processor compares many at once.
    let mut lanes = [f32::NEG_INFINITY; 16];
    for chunk in values.chunks(lanes.len()) {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > *lane { value } else { *lane };
        }
    }
    let most = lanes.into_iter().fold(f32::NEG_INFINITY, f32::max);
    values.iter().position(|&value| value == most)
}

#[cfg(test)]
mod tests;
