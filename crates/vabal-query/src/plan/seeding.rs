//! BADGE for a pool in parts, by k-means‖ (Bahmani et al. 2012, "Scalable K-Means++", algorithm 2):
//! in each of four passes over all rows some n candidates are drawn at once, with a chance that
//! goes with D², the squared distance from the nearest gradient drawn before; a fifth pass counts
//! the rows that each candidate is nearest to; and the seeding of BADGE chooses among them, by D²
//! times these counts.
//!
//! Expected cost within O(log n) of the best for k-means, as for the seeding of k-means++ itself
//! (theorem 1 there, with passes as many as the logarithm of the first cost; four do as well in
//! practice). To choose n / m in each of m parts instead would miss rare classes.
//!
//! The first pass measures from no gradient at all, as BADGE does, and the row with the largest
//! gradient is always a candidate. Draws go by a key of seed, pass and id, and the sum of D² is
//! exact: how the pool is split changes nothing.
//!
//! ```
//! use ndarray::array;
//! use vabal_query::plan::{Name, Seeding};
//! use vabal_query::progress::silent;
//! use vabal_query::{Seed, Signals};
//!
//! let mut seeding = Seeding::new(2, 2, Seed::new(1));
//! while !seeding.is_done() {
//!     // On any number of machines, a part of the pool each.
//!     let mut pass = seeding.pass();
//!     for (ids, p, x) in [
//!         (vec![1, 2], array![[0.9, 0.1], [0.6, 0.4]], array![[1.0], [2.0]]),
//!         (vec![3], array![[0.5, 0.5]], array![[-4.0]]),
//!     ] {
//!         let rows = Signals::new(ids.clone()).with_probabilities(p)?.with_embedding(x)?;
//!         pass.see(&seeding, &rows, |row| Name::Number(ids[row]))?;
//!     }
//!     seeding = seeding.next(pass)?;
//! }
//! let (picks, terms) = seeding.select(2, &mut silent())?;
//! assert_eq!(picks[0].name, Name::Number(3)); // the largest gradient
//! assert_eq!(terms[0], "predicted");
//! # Ok::<(), vabal_query::Error>(())
//! ```
//!
//! Never here: how parts are read.

mod bytes;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use ndarray::Array2;
use rayon::prelude::*;

use super::sum::Sum;
use super::top::{Candidate, Name, Top};
use crate::arrays::ArrayRows;
use crate::error::{Error, Result};
use crate::kernels::{dot_products, magnitude};
use crate::progress::Progress;
use crate::query::Scored;
use crate::rng::Seed;
use crate::strategies::badge::{Badge, Gradient};
use crate::{Column, Query, Signals, term};

/// Passes over all rows.
pub const PASSES: usize = 5;
/// Rows, and candidates, that are compared at once.
const BLOCK: usize = 128;
const CENTRES: usize = 8;
/// Magnitudes of the largest feature whose squares are within the range of f32.
const SAFE: std::ops::RangeInclusive<f32> = 9.5e-7..=1.1e12;

/// What is known before a pass: the candidates so far.
#[derive(Debug, Clone)]
pub struct Seeding {
    n: usize,
    classes: usize,
    seed: Seed,
    /// Passes that are done.
    done: usize,
    drawn: Vec<Drawn>,
    /// Rows that each of the candidates is nearest to, once that is counted.
    near: Vec<u64>,
    /// The rows with the largest gradients, for where too few differ.
    largest: Top,
    /// Rows that the first pass saw.
    rows: Option<u64>,
}

/// A row that was drawn.
#[derive(Debug, Clone, PartialEq)]
struct Drawn {
    name: Name,
    p: Vec<f32>,
    x: Vec<f32>,
    /// D² by its draw from 0 to 1: the larger, the earlier.
    ratio: f64,
}

impl Drawn {
    fn order(&self, other: &Self) -> Ordering {
        other.ratio.total_cmp(&self.ratio).then_with(|| self.name.cmp(&other.name))
    }
}

/// What a pass over some rows found. Those of all parts are merged.
#[derive(Debug, Clone)]
pub struct Pass {
    number: usize,
    /// Rows that are drawn in it on average.
    expected: usize,
    /// D² of all rows, summed.
    sum: Sum,
    drawn: Vec<Drawn>,
    /// The ratio below which nothing is drawn any more.
    least: Option<f64>,
    /// The row with the largest gradient, in the first pass; its ratio is ‖g‖².
    first: Option<Drawn>,
    near: Vec<u64>,
    largest: Top,
    /// The largest magnitude of a feature.
    magnitude: f32,
    rows: u64,
    /// Of a row of features; 0 until one is seen.
    width: usize,
}

impl Seeding {
    /// Before the first pass: for at most `n` picks of a pool of so many classes.
    #[must_use]
    pub fn new(n: usize, classes: usize, seed: Seed) -> Self {
        let (drawn, near) = (Vec::new(), Vec::new());
        Self { n, classes, seed, done: 0, drawn, near, largest: Top::new(n, 1), rows: None }
    }

    /// Whether all passes are done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done == PASSES
    }

    /// Passes that are done.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done
    }

    /// Candidates so far.
    #[must_use]
    pub fn candidates(&self) -> usize {
        self.drawn.len()
    }

    /// The next pass, of no rows yet.
    #[must_use]
    pub fn pass(&self) -> Pass {
        let counts = if self.done + 1 == PASSES { self.drawn.len() } else { 0 };
        Pass {
            number: self.done,
            expected: expected(self.n),
            sum: Sum::default(),
            drawn: Vec::new(),
            least: None,
            first: None,
            near: vec![0; counts],
            largest: Top::new(self.n, 1),
            magnitude: 0.0,
            rows: 0,
            width: self.drawn.first().map_or(0, |drawn| drawn.x.len()),
        }
    }

    /// What is known after a pass over all rows.
    ///
    /// # Errors
    /// Another pass than the next one; features whose squares leave the range of f32.
    pub fn next(mut self, mut pass: Pass) -> Result<Self> {
        if pass.number != self.done || self.is_done() {
            return Err(Error::input("a pass in another order")
                .expected(format!("pass {} of {PASSES}", self.done + 1))
                .got(format!("pass {}", pass.number + 1))
                .into());
        }
        if let Some(rows) = self.rows.filter(|&rows| rows != pass.rows) {
            return Err(Error::input("a pass saw another number of rows")
                .at(format!("pass {} of {PASSES}", self.done + 1))
                .expected(format!("{rows}, as the first pass"))
                .got(pass.rows)
                .hint("the pool has to be the same in all passes: store it first where it is drawn or grows")
                .into());
        }
        self.rows = Some(pass.rows);
        if pass.magnitude > 0.0 && pass.magnitude < *SAFE.start() {
            return Err(out_of_range(pass.magnitude));
        }
        self.done += 1;
        if self.is_done() {
            self.near = pass.near;
            return Ok(self);
        }
        let least = pass.least_drawn();
        let (mut drawn, most) = (std::mem::take(&mut pass.drawn), pass.most());
        drawn.sort_unstable_by(Drawn::order);
        drawn.truncate(most);
        drawn.retain(|drawn| drawn.ratio > least);
        if self.done == 1 {
            self.largest = pass.largest;
            drawn.extend(pass.first.filter(|first| drawn.iter().all(|drawn| drawn.name != first.name)));
        }
        self.drawn.extend(drawn);
        Ok(self)
    }

    /// The picks after the last pass, at most `n`, first drawn first, and the names of their terms:
    /// as [`Badge`] gives them.
    ///
    /// # Errors
    /// A pass that is missing; more picks than it is for; a name that two candidates have;
    /// [`Error::Stopped`].
    pub fn select(
        self,
        n: usize,
        progress: &mut Progress<'_>,
    ) -> Result<(Vec<Candidate>, Vec<&'static str>)> {
        if !self.is_done() || n > self.n {
            return Err(Error::input("the candidates are not complete")
                .expected(format!("{PASSES} passes, at most {} picks", self.n))
                .got(format!("{} passes, {n} picks", self.done))
                .into());
        }
        let mut names = HashSet::new();
        if let Some(drawn) = self.drawn.iter().find(|drawn| !names.insert(&drawn.name)) {
            return Err(Error::input("duplicate id")
                .at(format!("id {}", drawn.name))
                .expected("ids that do not repeat, in all parts together")
                .into());
        }
        let terms = vec![term::PREDICTED, term::CONFIDENCE, term::GRADIENT, term::DISTANCE];
        let mut picks = Vec::new();
        if !self.drawn.is_empty() {
            let array = |width: usize, of: fn(&Drawn) -> &[f32]| {
                let values = self.drawn.iter().flat_map(|drawn| of(drawn).iter().copied()).collect();
                Array2::from_shape_vec((self.drawn.len(), width), values).expect("rows of one width")
            };
            let width = self.drawn[0].x.len();
            let rows = Signals::new((0..self.drawn.len() as u64).map(|row| self.id(row as usize)).collect())
                .with_probabilities(array(self.classes, |drawn| &drawn.p))?
                .with_embedding(array(width, |drawn| &drawn.x))?;
            let weights: Vec<f64> = self.near.iter().map(|&rows| rows as f64).collect();
            let places: HashMap<u64, usize> =
                rows.ids().iter().enumerate().map(|(place, &id)| (id, place)).collect();
            let query = Query {
                unlabelled: &rows,
                labelled: &Signals::default(),
                labels: &[],
                classes: self.classes,
                n: n.min(self.drawn.len()),
                seed: self.seed,
            };
            let selection = Badge.select_weighted(&query, Some(&weights), progress)?;
            for (row, id) in selection.ids.iter().enumerate() {
                picks.push(Candidate {
                    name: self.drawn[places[id]].name.clone(),
                    score: selection.scores[row],
                    key: 0,
                    class: 0,
                    terms: selection.terms.iter().map(|term| term.values[row]).collect(),
                });
            }
        }
        // Where fewer gradients differ than are to be picked: those left, by their size.
        let taken: HashSet<Name> = picks.iter().map(|pick: &Candidate| pick.name.clone()).collect();
        let mut largest = self.largest;
        largest.settle();
        let left = largest.candidates().filter(|candidate| !taken.contains(&candidate.name));
        for candidate in left.take(n - picks.len()).cloned().collect::<Vec<_>>() {
            let terms = [&candidate.terms[..], &[candidate.score.sqrt(), 0.0]].concat();
            picks.push(Candidate { score: 0.0 - picks.len() as f64, terms, ..candidate });
        }
        Ok((picks, terms))
    }

    /// What draws of a candidate go by.
    fn id(&self, row: usize) -> u64 {
        self.drawn[row].name.id()
    }
}

impl Pass {
    /// Looks at rows of a part: their probabilities and features. `name` says what a row is called.
    ///
    /// # Errors
    /// Arrays that are missing, or of another width; features that are not finite, by the id of
    /// their row.
    pub fn see(&mut self, seeding: &Seeding, rows: &Signals<'_>, name: impl Fn(usize) -> Name) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let (p, x) = (rows.probability_rows()?, rows.checked_embedding_rows()?);
        for (what, got, expected) in [
            ("probabilities of another number of classes", p.columns(), seeding.classes),
            ("unexpected width of features", x.columns(), self.width.max(1)),
        ] {
            if got != expected && (self.width > 0 || what.starts_with("prob")) {
                return Err(Error::input(what).expected(expected).got(got).into());
            }
        }
        self.width = x.columns();
        let largest = x.par_iter(64).map(magnitude).reduce(|| 0.0, f32::max);
        if largest > *SAFE.end() {
            return Err(out_of_range(largest));
        }
        self.magnitude = self.magnitude.max(largest);
        self.rows += rows.len() as u64;
        let drawn: Vec<(&Drawn, Gradient)> =
            seeding.drawn.iter().map(|drawn| (drawn, Gradient::of(&drawn.p, &drawn.x))).collect();
        let of = |block: usize| {
            let rows = block * BLOCK..((block + 1) * BLOCK).min(p.len());
            compare(&drawn, &p, &x, rows)
        };
        let near: Vec<Near> = (0..p.len().div_ceil(BLOCK)).into_par_iter().flat_map_iter(of).collect();
        if seeding.done + 1 == PASSES {
            for near in &near {
                if let Some(count) = self.near.get_mut(near.place) {
                    *count += 1;
                }
            }
            return Ok(());
        }
        if seeding.done == 0 {
            let values = |value: &dyn Fn(usize, &Near) -> f64| {
                near.iter().enumerate().map(|(row, near)| value(row, near)).collect()
            };
            let terms = vec![
                Column { name: term::PREDICTED, values: values(&|_, near| f64::from(near.predicted)) },
                Column {
                    name: term::CONFIDENCE,
                    values: values(&|row, near| f64::from(p.row(row)[near.predicted as usize])),
                },
            ];
            let scores = values(&|_, near| near.squared);
            self.largest.push(&Scored { scores, terms, ..Scored::default() }, &name)?;
        }
        let draws = seeding.seed.child("badge-pass", seeding.done as u64);
        for (row, (near, &id)) in near.iter().zip(rows.ids()).enumerate() {
            self.sum.add(near.squared);
            let key = draws.key("draw", id);
            // From 0, without, to 1.
            let draw = (key as f64 + 1.0) / 2.0_f64.powi(64);
            let ratio = near.squared / draw;
            if near.squared > 0.0 && self.least.is_none_or(|least| ratio >= least) {
                let (p, x) = (p.row(row).to_vec(), x.row(row).to_vec());
                self.drawn.push(Drawn { name: name(row), p, x, ratio });
                if self.drawn.len() >= 2 * self.most() {
                    self.shrink();
                }
            }
        }
        if seeding.done == 0 {
            let larger = |a: usize, b: usize| {
                near[a].squared.total_cmp(&near[b].squared).then_with(|| name(b).cmp(&name(a)))
            };
            let best = (0..near.len()).max_by(|&a, &b| larger(a, b)).unwrap_or(0);
            let (p, x) = (p.row(best).to_vec(), x.row(best).to_vec());
            self.keep_first(Some(Drawn { name: name(best), p, x, ratio: near[best].squared }));
        }
        Ok(())
    }

    fn keep_first(&mut self, other: Option<Drawn>) {
        self.first = match (self.first.take(), other) {
            (Some(first), Some(other)) => Some(if other.order(&first).is_lt() { other } else { first }),
            (first, other) => first.or(other),
        };
    }

    /// Adds what another one found, of other rows.
    ///
    /// # Errors
    /// Another pass, or features of another width.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        if (self.number, self.near.len(), self.expected) != (other.number, other.near.len(), other.expected)
            || (self.width != other.width && self.width > 0 && other.width > 0)
        {
            return Err(Error::input("passes that do not fit together")
                .expected(format!("pass {}, features of {} columns", self.number + 1, self.width))
                .got(format!("pass {}, features of {} columns", other.number + 1, other.width))
                .into());
        }
        self.sum.merge(&other.sum);
        self.near.iter_mut().zip(&other.near).for_each(|(near, more)| *near += more);
        self.largest.merge(other.largest)?;
        self.keep_first(other.first);
        self.magnitude = self.magnitude.max(other.magnitude);
        self.rows += other.rows;
        self.width = self.width.max(other.width);
        self.drawn.extend(other.drawn);
        if self.drawn.len() >= 2 * self.most() {
            self.shrink();
        }
        Ok(())
    }

    /// As many as can be drawn, but for a chance below any that matters.
    fn most(&self) -> usize {
        2 * self.expected + 64
    }

    /// What D² over the draw of a row has to be above for it to be drawn: with the chance
    /// `expected` · D² / Σ D². Of some of the rows, at most that of all.
    fn least_drawn(&self) -> f64 {
        self.sum.value() / self.expected as f64
    }

    /// Rows that were seen.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Cuts to the candidates that may still be drawn, best first.
    fn shrink(&mut self) {
        self.drawn.sort_unstable_by(Drawn::order);
        if self.drawn.len() >= self.most() {
            self.drawn.truncate(self.most());
            self.least = self.drawn.last().map(|drawn| drawn.ratio);
        }
    }
}

/// How many are drawn in a pass on average: n, or so many that four passes hardly draw fewer than n.
fn expected(n: usize) -> usize {
    n.max(16)
}

/// The candidate nearest to a row.
struct Near {
    /// Its place among the candidates; 0 in the first pass, which has no candidates.
    place: usize,
    /// D²; ‖g‖² in the first pass.
    squared: f64,
    /// ŷ of the row.
    predicted: u32,
}

/// The candidates nearest to a block of rows, the first among equals.
fn compare(
    drawn: &[(&Drawn, Gradient)],
    p: &ArrayRows<'_, f32>,
    x: &ArrayRows<'_, f32>,
    rows: std::ops::Range<usize>,
) -> Vec<Near> {
    let gradients: Vec<Gradient> = rows.clone().map(|row| Gradient::of(p.row(row), x.row(row))).collect();
    let of_a: Vec<&[f32]> = gradients.iter().map(|gradient| &gradient.a[..]).collect();
    let of_x: Vec<&[f32]> = rows.map(|row| x.row(row)).collect();
    let mut near: Vec<Near> = (gradients.iter())
        .map(|g| Near {
            place: 0,
            squared: if drawn.is_empty() { g.size } else { f64::INFINITY },
            predicted: g.predicted,
        })
        .collect();
    let (mut a, mut b) = (vec![0.0; of_a.len() * CENTRES], vec![0.0; of_a.len() * CENTRES]);
    for (number, centres) in drawn.chunks(CENTRES).enumerate() {
        let centres_a: Vec<&[f32]> = centres.iter().map(|(_, gradient)| &gradient.a[..]).collect();
        let centres_x: Vec<&[f32]> = centres.iter().map(|(drawn, _)| &drawn.x[..]).collect();
        let products = of_a.len() * centres.len();
        dot_products(&of_a, &centres_a, &mut a[..products]);
        dot_products(&of_x, &centres_x, &mut b[..products]);
        let products = a[..products].chunks_exact(centres.len()).zip(b.chunks_exact(centres.len()));
        for ((near, gradient), (a, b)) in near.iter_mut().zip(&gradients).zip(products) {
            for (at, ((a, b), (_, centre))) in a.iter().zip(b).zip(centres).enumerate() {
                let both = f64::from(*a) * f64::from(*b);
                let squared = (gradient.size + centre.size - 2.0 * both).max(0.0);
                if squared < near.squared {
                    (near.squared, near.place) = (squared, number * CENTRES + at);
                }
            }
        }
    }
    near
}

fn out_of_range(magnitude: f32) -> Error {
    Error::input("the squares of the features leave the range of 32 bits")
        .expected(format!("a largest feature from {:e} to {:e}", SAFE.start(), SAFE.end()))
        .got(format!("{magnitude:e}"))
        .hint("multiply all features by one number, such as one over the largest")
        .into()
}
