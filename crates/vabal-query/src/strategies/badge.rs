//! BADGE (Ash et al. 2020, "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower
//! Bounds"): a batch whose gradients are both large and unlike each other, drawn by the seeding of
//! k-means++.
//!
//! The gradient of the last layer, if the predicted class ŷ were the label, is g = (p − onehot(ŷ))
//! ⊗ x, with x the embedding. It is C·d numbers and never made: with a = p − onehot(ŷ),
//!
//! ‖g − g'‖² = ‖a‖²‖x‖² + ‖a'‖²‖x'‖² − 2 (a·a')(x·x').
//!
//! Drawn with a chance that goes with D², the squared distance from the nearest gradient chosen.
//! What is known of D² are bounds, since it only shrinks. A candidate is drawn by its bound,
//! brought up to date, and taken with the chance D² / bound: so it is drawn by D², though most of
//! the pool was not looked at again.
//!
//! Never here: how a classifier is trained.
//!
//! ```
//! use ndarray::array;
//! use vabal_query::strategies::badge::Badge;
//! use vabal_query::progress::silent;
//! use vabal_query::{Query, Seed, Signals, Strategy};
//!
//! let unlabelled = Signals::new(vec![10, 11, 12, 13])
//!     .with_probabilities(array![[0.9, 0.1], [0.5, 0.5], [0.2, 0.8], [0.4, 0.6]])?
//!     .with_embedding(array![[0.0, 0.0], [0.1, 0.0], [5.0, 5.0], [9.0, 0.0]])?;
//! let labelled = Signals::default();
//! let query = Query { unlabelled: &unlabelled, labelled: &labelled, labels: &[], classes: 2, n: 2, seed: Seed::new(1) };
//! let chosen = Badge.select(&query, &mut silent())?;
//! assert_eq!(chosen.ids.len(), 2);
//! assert_eq!(chosen.terms[0].name, "predicted"); // each pick with the terms behind it
//! # Ok::<(), vabal_query::Error>(())
//! ```

use rand::RngExt as _;
use rayon::prelude::*;

use super::rows::Rows;
use crate::arrays::argmax;
use crate::error::Result;
use crate::kernels::dot_products;
use crate::progress::{Event, Progress, between_reports, report};
use crate::query::InParts;
use crate::rng::Rng;
use crate::term;
use crate::{Column, Id, Needs, Query, Selection, Strategy, available};

/// Draws a batch by the seeding of k-means++ in the space of gradients.
///
/// The first is the image of the largest gradient, the lowest id among equals, as in the authors'
/// code. Where every gradient left equals one that is chosen, those left follow by the size of
/// their gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Badge;

/// Candidates whose bounds have one sum, and that are brought up to date together.
const BLOCK: usize = 128;

/// Gradients chosen that pass a block at a time.
const CENTRES: usize = 8;

/// The most candidates that are drawn at once.
const DRAWS: usize = 512;

/// The most blocks brought up to date between two reports.
const TELLING: usize = 512;

/// Products of two candidates from which other cores are worth asking.
const WORTH_SHARING: usize = 1 << 18;

impl Strategy for Badge {
    fn needs(&self) -> Needs {
        Needs::PROBABILITIES.and(Needs::EMBEDDING)
    }

    fn is_batch(&self) -> bool {
        true
    }

    fn reads_rows(&self) -> bool {
        true
    }

    fn in_parts(&self) -> Option<InParts> {
        Some(InParts::Seeding)
    }

    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection> {
        self.select_weighted(query, None, progress)
    }
}

impl Badge {
    /// Chooses among candidates each of which stands for so many rows, 1 where nothing is said: is
    /// drawn with a chance that goes with its weight times D².
    ///
    /// # Errors
    /// As [`Strategy::select`].
    pub(crate) fn select_weighted(
        &self,
        query: &Query<'_>,
        weights: Option<&[f64]>,
        progress: &mut Progress<'_>,
    ) -> Result<Selection> {
        let n = available(query, progress)?;
        if n == 0 {
            return Ok(Selection::default());
        }
        let p = Rows::over(query.unlabelled.probability_rows()?);
        let ([x], scale) = Rows::of([query.unlabelled], progress)?;
        // In a random order that goes by the ids: an interval of it that is drawn from again has
        // nothing to do with what is next to what in the list.
        let order = query.seed.order("badge", query.unlabelled.ids());
        let mut seeding = Seeding::new(&p, &x, order, query.unlabelled.ids(), weights);
        let mut rng = query.seed.stream("badge");
        let mut distances = Vec::with_capacity(n);
        // From no gradient at all.
        let mut next = seeding.by_size().first().map(|&place| (place, seeding.size[place]));
        while let Some((place, squared)) = next {
            seeding.choose(place);
            distances.push(squared.sqrt() / scale);
            let (done, unit) = (seeding.chosen.len(), "image");
            report(progress, Event::Progress { phase: "choose", done, total: n, unit, loss: None })?;
            next = if done < n { seeding.draw(&mut rng, progress)? } else { None };
        }
        let missing = n - seeding.chosen.len();
        let left = seeding.by_size();
        seeding.chosen.extend(&left[..missing]);
        distances.resize(n, 0.0);
        let of_chosen =
            |value: &dyn Fn(usize) -> f64| seeding.chosen.iter().map(|&place| value(place)).collect();
        let rows: Vec<usize> = seeding.chosen.iter().map(|&place| seeding.order[place]).collect();
        let p_of = |place: usize| p.row(seeding.order[place]);
        let terms = vec![
            Column { name: term::PREDICTED, values: of_chosen(&|place| f64::from(seeding.predicted[place])) },
            Column {
                name: term::CONFIDENCE,
                values: of_chosen(&|place| f64::from(p_of(place)[seeding.predicted[place] as usize])),
            },
            Column { name: term::GRADIENT, values: of_chosen(&|place| seeding.size[place].sqrt() / scale) },
            Column { name: term::DISTANCE, values: distances },
        ];
        // D² may grow from one to the next: the order is what was drawn.
        let scores = (0..n).map(|place| 0.0 - place as f64).collect();
        Ok(Selection { terms, ..Selection::chosen(query.unlabelled, &rows, scores, &[]) })
    }
}

/// The candidates, by their place in an order of their own, and the gradients chosen.
struct Seeding<'a> {
    /// Class probabilities.
    p: &'a Rows<'a>,
    /// The embedding.
    x: &'a Rows<'a>,
    /// The row of each place.
    order: Vec<usize>,
    /// The id of each row.
    ids: &'a [Id],
    /// ŷ
    predicted: Vec<u32>,
    /// ‖g‖²
    size: Vec<f64>,
    /// D² as far as it is known: that of the first `seen` gradients chosen; 0 once it is chosen.
    bound: Vec<f64>,
    seen: Vec<u32>,
    /// How many rows each place stands for.
    weight: Vec<f64>,
    /// The bounds of each block times their weights, added up.
    sums: Vec<f64>,
    /// The places chosen, and a = p − onehot(ŷ) of each.
    chosen: Vec<usize>,
    a: Vec<Vec<f32>>,
    /// Distances that are in the bounds, of all candidates together.
    seen_in_all: usize,
    /// Distances computed since all bounds were exact.
    spent: usize,
}

impl<'a> Seeding<'a> {
    fn new(
        p: &'a Rows<'a>,
        x: &'a Rows<'a>,
        order: Vec<usize>,
        ids: &'a [Id],
        weights: Option<&[f64]>,
    ) -> Self {
        let of = |a: &mut Vec<f32>, &row: &usize| {
            a.resize(p.width(), 0.0);
            let predicted = argmax(p.row(row).iter().copied());
            factor(p.row(row), predicted, a);
            (predicted, product(a, a) * product(x.row(row), x.row(row)))
        };
        let (predicted, size): (Vec<u32>, Vec<f64>) =
            order.par_iter().with_min_len(256).map_init(Vec::new, of).unzip();
        let n = order.len();
        let weight = weights.map_or(vec![1.0; n], |of| order.iter().map(|&row| of[row]).collect());
        Self {
            weight,
            p,
            x,
            order,
            ids,
            predicted,
            size,
            bound: vec![f64::INFINITY; n],
            seen: vec![0; n],
            sums: vec![f64::INFINITY; n.div_ceil(BLOCK)],
            chosen: Vec::new(),
            a: Vec::new(),
            seen_in_all: 0,
            spent: 0,
        }
    }

    /// The places that are not chosen, the largest gradient first, in order of ids among equals.
    fn by_size(&self) -> Vec<usize> {
        let mut is_left = vec![true; self.order.len()];
        self.chosen.iter().for_each(|&place| is_left[place] = false);
        let mut left: Vec<usize> = (0..self.order.len()).filter(|&place| is_left[place]).collect();
        let id = |place: usize| self.ids[self.order[place]];
        left.par_sort_unstable_by(|&a, &b| self.size[b].total_cmp(&self.size[a]).then(id(a).cmp(&id(b))));
        left
    }

    fn choose(&mut self, place: usize) {
        let mut a = vec![0.0; self.p.width()];
        factor(self.p.row(self.order[place]), self.predicted[place], &mut a);
        self.a.push(a);
        self.chosen.push(place);
        self.bound[place] = 0.0;
        self.add_up(place / BLOCK);
    }

    fn add_up(&mut self, block: usize) {
        let from = block * BLOCK;
        let places = from..(from + BLOCK).min(self.bound.len());
        self.sums[block] = weighted(&self.bound[places.clone()], &self.weight[places]);
    }

    /// A place drawn with a chance that goes with its D², and that; none where every D² is 0.
    /// Something is chosen.
    fn draw(&mut self, rng: &mut Rng, progress: &mut Progress<'_>) -> Result<Option<(usize, f64)>> {
        let (n, all) = (self.order.len(), self.chosen.len());
        if all == 1 {
            self.bring_all_up_to_date(progress)?;
        }
        let mut draws = 1;
        loop {
            let mut total = 0.0;
            let up_to: Vec<f64> = self
                .sums
                .iter()
                .map(|sum| {
                    total += sum;
                    total
                })
                .collect();
            if total <= 0.0 {
                return Ok(None);
            }
            // All by the bounds as they are now, so that none depends on another.
            let drawn: Vec<(usize, f64)> = (0..draws)
                .map(|_| (self.place_at(&up_to, rng.random::<f64>() * total), rng.random()))
                .collect();
            let squared = self.up_to_date(&drawn);
            // A chance below 1, so that one that is up to date is always taken, and one at 0 never.
            let taken = (0..draws).find(|&at| drawn[at].1 * self.bound[drawn[at].0] < squared[at]);
            for (&(place, _), &squared) in drawn.iter().zip(&squared) {
                self.spent += all - self.seen[place] as usize;
                self.seen_in_all += all - self.seen[place] as usize;
                (self.bound[place], self.seen[place]) = (squared, all as u32);
            }
            drawn.iter().for_each(|&(place, _)| self.add_up(place / BLOCK));
            if let Some(at) = taken {
                return Ok(Some((drawn[at].0, squared[at])));
            }
            draws = (2 * draws).min(DRAWS);
            // Drawing in vain has cost as much as it would to make every bound exact, of which that
            // is a part.
            if 4 * self.spent >= all * n - self.seen_in_all + n {
                self.bring_all_up_to_date(progress)?;
            }
        }
    }

    /// The place where the bounds, added up in order, reach `part`; `up_to` are the sums up to the
    /// end of each block.
    fn place_at(&self, up_to: &[f64], part: f64) -> usize {
        let block = up_to.partition_point(|&up_to| up_to <= part).min(up_to.len() - 1);
        // By rounding the part may lie at the very end: then the last block with anything in it.
        let block = (0..=block).rev().find(|&block| self.sums[block] > 0.0).unwrap_or(block);
        let mut left = part - if block == 0 { 0.0 } else { up_to[block - 1] };
        let from = block * BLOCK;
        let mut last = from;
        for place in from..(from + BLOCK).min(self.bound.len()) {
            if self.bound[place] > 0.0 {
                last = place;
                left -= self.bound[place] * self.weight[place];
                if left < 0.0 {
                    break;
                }
            }
        }
        last
    }

    /// D² of the places drawn.
    fn up_to_date(&self, drawn: &[(usize, f64)]) -> Vec<f64> {
        let of = |work: &mut Work, &(place, _): &(usize, f64)| {
            let mut bound = [self.bound[place]];
            self.compare(place, &mut bound, &mut [self.seen[place]], work);
            bound[0]
        };
        let unseen: usize =
            drawn.iter().map(|&(place, _)| self.chosen.len() - self.seen[place] as usize).sum();
        if unseen * (self.x.width() + self.p.width()) < WORTH_SHARING {
            let mut work = Work::default();
            return drawn.iter().map(|drawn| of(&mut work, drawn)).collect();
        }
        drawn.par_iter().map_init(Work::default, of).collect()
    }

    /// Makes every bound exact.
    fn bring_all_up_to_date(&mut self, progress: &mut Progress<'_>) -> Result<()> {
        let (mut bounds, mut seen) = (std::mem::take(&mut self.bound), std::mem::take(&mut self.seen));
        let total = self.order.len();
        let each = self.chosen.len() * (self.x.width() + self.p.width()) * BLOCK;
        let (mut done, part) = (0, BLOCK * between_reports(each, rayon::current_num_threads(), TELLING));
        for (bounds, seen) in bounds.chunks_mut(part).zip(seen.chunks_mut(part)) {
            let blocks = bounds.par_chunks_mut(BLOCK).zip(seen.par_chunks_mut(BLOCK)).enumerate();
            blocks.for_each_init(Work::default, |work, (block, (bounds, seen))| {
                self.compare(done + block * BLOCK, bounds, seen, work);
            });
            done += bounds.len();
            if total > part {
                let unit = "image";
                report(progress, Event::Progress { phase: "compare", done, total, unit, loss: None })?;
            }
        }
        let blocks = bounds.chunks(BLOCK).zip(self.weight.chunks(BLOCK));
        self.sums = blocks.map(|(bounds, weights)| weighted(bounds, weights)).collect();
        (self.bound, self.seen) = (bounds, seen);
        self.seen_in_all = self.chosen.len() * total;
        self.spent = 0;
        Ok(())
    }

    /// Makes the bounds of a run of places exact, of which `first` is the first.
    fn compare(&self, first: usize, bounds: &mut [f64], seen: &mut [u32], work: &mut Work) {
        let (all, classes) = (self.chosen.len(), self.p.width());
        let mut open: Vec<usize> = (0..bounds.len()).filter(|&at| bounds[at] > 0.0).collect();
        work.a.resize(classes * bounds.len(), 0.0);
        for &at in &open {
            let place = first + at;
            let a = &mut work.a[at * classes..][..classes];
            factor(self.p.row(self.order[place]), self.predicted[place], a);
        }
        open.retain(|&at| (seen[at] as usize) < all);
        while let Some(from) = open.iter().map(|&at| seen[at] as usize).min() {
            // Those that lag behind catch up, and then go on together.
            let to = ((from / CENTRES + 1) * CENTRES).min(all);
            let group: Vec<usize> = open.iter().copied().filter(|&at| seen[at] as usize == from).collect();
            let a: Vec<&[f32]> = group.iter().map(|&at| &work.a[at * classes..][..classes]).collect();
            let x: Vec<&[f32]> = group.iter().map(|&at| self.x.row(self.order[first + at])).collect();
            let a_chosen: Vec<&[f32]> = self.a[from..to].iter().map(Vec::as_slice).collect();
            let row_of = |&place: &usize| self.x.row(self.order[place]);
            let x_chosen: Vec<&[f32]> = self.chosen[from..to].iter().map(row_of).collect();
            work.of_a.resize(group.len() * (to - from), 0.0);
            work.of_x.resize(group.len() * (to - from), 0.0);
            dot_products(&a, &a_chosen, &mut work.of_a);
            dot_products(&x, &x_chosen, &mut work.of_x);
            let products = work.of_a.chunks_exact(to - from).zip(work.of_x.chunks_exact(to - from));
            for (&at, (of_a, of_x)) in group.iter().zip(products) {
                for ((of_a, of_x), &chosen) in of_a.iter().zip(of_x).zip(&self.chosen[from..to]) {
                    let both = f64::from(*of_a) * f64::from(*of_x);
                    // Of equal gradients exactly 0: a product of rows gives the same bits wherever
                    // it is taken.
                    let squared = self.size[first + at] + self.size[chosen] - 2.0 * both;
                    bounds[at] = bounds[at].min(squared.max(0.0));
                }
                seen[at] = to as u32;
            }
            open.retain(|&at| (seen[at] as usize) < all && bounds[at] > 0.0);
        }
        // What is 0 stays so.
        seen.fill(all as u32);
    }
}

/// Room for what is computed of a block.
#[derive(Default)]
struct Work {
    a: Vec<f32>,
    of_a: Vec<f32>,
    of_x: Vec<f32>,
}

fn weighted(bounds: &[f64], weights: &[f64]) -> f64 {
    bounds.iter().zip(weights).map(|(bound, weight)| bound * weight).sum()
}

/// The gradient of a row, and what the classifier says of it.
pub(crate) struct Gradient {
    /// ŷ
    pub predicted: u32,
    /// a = p − onehot(ŷ), [C]
    pub a: Vec<f32>,
    /// ‖g‖²
    pub size: f64,
}

impl Gradient {
    /// Of a row with probabilities `p` and embedding `x`.
    pub fn of(p: &[f32], x: &[f32]) -> Self {
        let (predicted, mut a) = (argmax(p.iter().copied()), vec![0.0; p.len()]);
        factor(p, predicted, &mut a);
        let size = product(&a, &a) * product(x, x);
        Self { predicted, a, size }
    }
}

/// a = p − onehot(ŷ)
fn factor(p: &[f32], predicted: u32, a: &mut [f32]) {
    a.copy_from_slice(p);
    a[predicted as usize] -= 1.0;
}

fn product(x: &[f32], y: &[f32]) -> f64 {
    let mut sum = [0.0];
    dot_products(&[x], &[y], &mut sum);
    f64::from(sum[0])
}

#[cfg(test)]
mod tests;
