//! GALAXY: for every class the images in one line, by how far the classifier is from saying it, bisected between labels of
//! the class and labels of others (Zhang, Katz-Samuels & Nowak 2022, "GALAXY: Graph-based Active Learning at the Extreme",
//! Algorithm 2). For extreme imbalance: each class gets its turn, and what lies round its threshold is balanced.
//!
//! Never here: features.
//!
//! ```
//! use ndarray::array;
//! use vabal_query::strategies::galaxy::Galaxy;
//! use vabal_query::progress::silent;
//! use vabal_query::{Query, Seed, Signals, Strategy};
//!
//! let unlabelled = Signals::new(vec![10, 11, 12])
//!     .with_probabilities(array![[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])?;
//! let labelled = Signals::new(vec![0, 1]).with_probabilities(array![[1.0, 0.0], [0.0, 1.0]])?;
//! let query = Query { unlabelled: &unlabelled, labelled: &labelled, labels: &[0, 1], classes: 2, n: 1, seed: Seed::new(1) };
//! let chosen = Galaxy.select(&query, &mut silent())?;
//! assert_eq!(chosen.ids, [11]); // at the border between the labels of both classes
//! # Ok::<(), vabal_query::Error>(())
//! ```

use std::cmp::Ordering;

use rayon::prelude::*;

use crate::arrays::argmax;
use crate::error::Result;
use crate::progress::{Event, Progress, between_reports, report};
use crate::term;
use crate::{Column, Needs, Query, Selection, Strategy, available};
use crate::{Id, Label};

/// Asks for images between labels of a class and labels of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Galaxy;

impl Strategy for Galaxy {
    fn needs(&self) -> Needs {
        Needs::PROBABILITIES
    }

    fn needs_of_labelled(&self) -> Needs {
        Needs::PROBABILITIES
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
        let images = images(query)?;
        let mut lines = lines(&images, query, n, progress)?;
        let ids: Vec<Id> = images.iter().map(|image| image.id).collect();
        let at_random = query.seed.order("galaxy", &ids);
        let mut at_random = at_random.into_iter().filter(|&image| images[image].label.is_none());

        let mut chosen = vec![false; images.len()];
        let mut picks: Vec<Pick> = Vec::with_capacity(n);
        while picks.len() < n {
            let turn = picks.len() % lines.len().max(1);
            let found = lines.get_mut(turn).and_then(|line| {
                line.mark(&images, &picks);
                line.bisect(&images)
            });
            let pick = match found {
                Some(pick) => pick,
                None => {
                    let Some(image) = at_random.find(|&image| !chosen[image]) else { break };
                    let class = lines.get(turn).map_or(images[image].predicted, |line| line.class);
                    Pick { image, class, path: 0 }
                }
            };
            chosen[pick.image] = true;
            picks.push(pick);
            let done = picks.len();
            report(progress, Event::Progress { phase: "choose", done, total: n, unit: "image", loss: None })?;
        }
        let column =
            |name, value: &dyn Fn(&Pick) -> f64| Column { name, values: picks.iter().map(value).collect() };
        Ok(Selection {
            ids: picks.iter().map(|pick| images[pick.image].id).collect(),
            scores: (0..picks.len()).map(|place| 0.0 - place as f64).collect(),
            terms: vec![
                column(term::PREDICTED, &|pick| f64::from(images[pick.image].predicted)),
                column(term::CONFIDENCE, &|pick| f64::from(images[pick.image].largest)),
                column(term::CLASS, &|pick| f64::from(pick.class)),
                column(term::PATH, &|pick| pick.path as f64),
            ],
            ..Selection::default()
        })
    }
}

/// An image of either pool.
#[derive(Debug, Clone, Copy)]
struct Image<'a> {
    id: Id,
    p: &'a [f32],
    largest: f32,
    predicted: Label,
    /// Where it is labelled.
    label: Option<Label>,
}

/// Both pools, in ascending order of ids.
fn images<'a>(query: &'a Query<'_>) -> Result<Vec<Image<'a>>> {
    let mut images = Vec::with_capacity(query.unlabelled.len() + query.labelled.len());
    for (pool, is_labelled) in [(query.unlabelled, false), (query.labelled, true)] {
        if pool.is_empty() {
            continue;
        }
        let p = pool.probability_rows()?;
        for (row, &id) in pool.ids().iter().enumerate() {
            let p = p.row(row);
            let predicted = argmax(p.iter().copied());
            let label = is_labelled.then(|| query.labels[row]);
            images.push(Image { id, p, largest: p[predicted as usize], predicted, label });
        }
    }
    images.par_sort_unstable_by_key(|image| image.id);
    Ok(images)
}

/// An image of the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pick {
    image: usize,
    /// Whose turn it was.
    class: Label,
    /// Edges of the path that it lies in the middle of; 0 where there was none and it was drawn.
    path: usize,
}

/// The lines that get a turn in a batch of `n`: those of the classes with the fewest labels first, the lowest class among
/// equals. None where nothing is labelled.
fn lines(
    images: &[Image<'_>],
    query: &Query<'_>,
    n: usize,
    progress: &mut Progress<'_>,
) -> Result<Vec<Line>> {
    if query.labels.is_empty() {
        return Ok(Vec::new());
    }
    let counts = query.class_counts();
    let mut classes: Vec<usize> = (0..query.classes).collect();
    classes.sort_by_key(|&class| counts[class]);
    classes.truncate(n);
    let mut lines = Vec::with_capacity(classes.len());
    // Sorting takes some 256 multiplications an image.
    let (threads, each) = (rayon::current_num_threads(), 256 * images.len());
    for some in classes.chunks(between_reports(each, threads, 4 * threads)) {
        lines.par_extend(some.par_iter().map(|&class| Line::new(images, class as Label)));
        let (done, total) = (lines.len(), classes.len());
        report(progress, Event::Progress { phase: "order", done, total, unit: "class", loss: None })?;
    }
    Ok(lines)
}

/// The linear graph of one class: every image is joined to those up to `order` places from it, unless both are labelled
/// and only one of them as of the class.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    class: Label,
    /// Images, from the least to the most like the class.
    images: Vec<u32>,
    /// The labelled and the chosen: place in the line, and whether it is of the class; ascending.
    marks: Vec<(usize, bool)>,
    /// Images of the batch that are among the marks.
    seen: usize,
    order: usize,
}

impl Line {
    fn new(images: &[Image<'_>], class: Label) -> Self {
        let mut keys: Vec<(f32, f32, u32)> =
            images.iter().enumerate().map(|(i, image)| Self::key(image, i, class)).collect();
        keys.par_sort_unstable_by(Self::compare);
        let line: Vec<u32> = keys.into_iter().map(|(.., i)| i).collect();
        let mark = |(place, &i): (usize, &u32)| images[i as usize].label.map(|label| (place, label == class));
        let marks = line.iter().enumerate().filter_map(mark).collect();
        Self { class, images: line, marks, seen: 0, order: 1 }
    }

    /// p_k less the largest, then the largest, so that those that are predicted to be of the class go by confidence.
    fn key(image: &Image<'_>, i: usize, class: Label) -> (f32, f32, u32) {
        (image.p[class as usize] - image.largest, image.largest, i as u32)
    }

    fn compare(a: &(f32, f32, u32), b: &(f32, f32, u32)) -> Ordering {
        a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2))
    }

    /// Marks what was chosen since the last turn by what the classifier predicts for it.
    fn mark(&mut self, images: &[Image<'_>], picks: &[Pick]) {
        for pick in &picks[self.seen..] {
            let image = &images[pick.image];
            let key = Self::key(image, pick.image, self.class);
            let place = self.images.binary_search_by(|&other| {
                let other = other as usize;
                Self::compare(&Self::key(&images[other], other, self.class), &key)
            });
            self.marks.push((place.unwrap_or_else(|place| place), image.predicted == self.class));
        }
        self.seen = picks.len();
        // Two sorted runs: one pass.
        self.marks.sort();
    }

    /// The middle of the shortest path between a mark of the class and one of another, at the smallest order at which
    /// there is one; of two middles the one nearer to the class. `None` where all marks are alike or nothing is left.
    fn bisect(&mut self, images: &[Image<'_>]) -> Option<Pick> {
        let id = |place: usize| images[self.images[place] as usize].id;
        let sides = self.sides();
        // Of paths of two edges the one whose ends are nearest: (the farther end, the end of the class), by id at last.
        let mut near: Option<((usize, usize, Id), usize)> = None;
        // The fewest images between neighbouring marks that differ: how many, then the place of either end.
        let mut gap: Option<((usize, Id), [usize; 2])> = None;
        for (run, left) in (0..=self.marks.len()).map(|run| (run, run.checked_sub(1))) {
            let before = left.map(|left| self.marks[left]);
            let after = self.marks.get(run).copied();
            let first = before.map_or(0, |(place, _)| place + 1);
            let end = after.map_or(self.images.len(), |(place, _)| place);
            if first >= end {
                continue;
            }
            let mut places = vec![first, end - 1];
            if let (Some((a, is_a)), Some((b, is_b))) = (before, after)
                && is_a != is_b
            {
                places.extend([a.midpoint(b), (a + b).div_ceil(2)]);
                let [of_class, other] = if is_a { [a, b] } else { [b, a] };
                let key = (end - first, id(middle(of_class, other, self.order).0));
                if gap.is_none_or(|(best, _)| key < best) {
                    gap = Some((key, [of_class, other]));
                }
            }
            for place in places {
                let Some([of_class, other]) = sides[run].distances(place) else { continue };
                let key = (of_class.max(other), of_class, id(place));
                if near.is_none_or(|(best, _)| key < best) {
                    near = Some((key, place));
                }
            }
        }
        let (place, path) = match (near, gap) {
            (Some(((far, ..), place)), _) if far <= self.order => (place, 2),
            (_, Some((_, [of_class, other]))) => middle(of_class, other, self.order),
            (Some(((far, ..), place)), None) => {
                self.order = far;
                (place, 2)
            }
            (None, None) => return None,
        };
        Some(Pick { image: self.images[place] as usize, class: self.class, path })
    }

    /// The nearest marks of either kind on both sides of each run of images between marks.
    fn sides(&self) -> Vec<Sides> {
        let mut sides = vec![Sides::default(); self.marks.len() + 1];
        let mut last = [None; 2];
        for (run, &(place, is_of_class)) in self.marks.iter().enumerate() {
            last[usize::from(!is_of_class)] = Some(place);
            sides[run + 1].left = last;
        }
        let mut last = [None; 2];
        for (run, &(place, is_of_class)) in self.marks.iter().enumerate().rev() {
            last[usize::from(!is_of_class)] = Some(place);
            sides[run].right = last;
        }
        sides
    }
}

/// The nearest marks on either side: of the class, and of others.
#[derive(Debug, Clone, Copy, Default)]
struct Sides {
    left: [Option<usize>; 2],
    right: [Option<usize>; 2],
}

impl Sides {
    /// How many places it is from `place` to a mark of the class, and to one of another.
    fn distances(&self, place: usize) -> Option<[usize; 2]> {
        let to = |kind: usize| {
            let left = self.left[kind].map(|left| place - left);
            let right = self.right[kind].map(|right| right - place);
            left.into_iter().chain(right).min()
        };
        Some([to(0)?, to(1)?])
    }
}

/// The middle of the path between two places in steps of up to `order`, and how many steps it has.
fn middle(of_class: usize, other: usize, order: usize) -> (usize, usize) {
    let steps = of_class.abs_diff(other).div_ceil(order);
    let away = order * (steps / 2);
    (if other > of_class { of_class + away } else { of_class - away }, steps)
}

#[cfg(test)]
mod tests;
