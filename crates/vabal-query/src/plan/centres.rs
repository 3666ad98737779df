//! Core-set for a pool in parts, by composable k-centres (Malkomes et al. 2015, "Fast Distributed
//! k-Center Clustering with Outliers on Massive Data", algorithm 1, without outliers): greedy
//! k-centres in each part, of as many rows as are to be picked, and then among what was chosen.
//!
//! The radius, the largest distance of a row from the nearest that is labelled or picked, is at most
//! 4 times the best that n picks can have. Proof: let r be the best. n greedy picks of a part leave
//! each of its rows within 2r of them or of what is labelled; else n + 1 rows, more than 2r from
//! each other and from what is labelled, would share n centres. n picks among those rows leave each
//! of these within 2r, for the same reason.
//!
//! A row is in the part that a hash of its id says: files and their order change nothing.
//!
//! ```
//! use vabal_query::plan::Centres;
//! use vabal_query::Seed;
//!
//! let centres = Centres::of(300_000_000, 512, Seed::new(1));
//! assert_eq!(centres.parts, 1145);
//! assert!(centres.part_of(17) < centres.parts);
//! ```
//!
//! Never here: how parts are read; the greedy choice itself (`strategies::core_set`).

use crate::Id;
use crate::rng::Seed;

/// Values of the features of a part, about: 512 MiB.
const VALUES: usize = 1 << 27;

/// How a pool is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Centres {
    /// Parts.
    pub parts: usize,
    seed: Seed,
}

impl Centres {
    /// So many `parts`, at least one.
    #[must_use]
    pub fn new(parts: usize, seed: Seed) -> Self {
        Self { parts: parts.max(1), seed }
    }

    /// As many parts as a pool of `rows` with features of `width` columns needs for each to take
    /// some 512 MiB.
    #[must_use]
    pub fn of(rows: usize, width: usize, seed: Seed) -> Self {
        Self::new(rows.saturating_mul(width).div_ceil(VALUES), seed)
    }

    /// The part that a row is in.
    #[must_use]
    pub fn part_of(&self, id: Id) -> usize {
        (self.seed.key("part", id) % self.parts as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis};
    use proptest::prelude::{prop_assert, proptest};

    use super::super::tests::uniform;
    use super::*;
    use crate::progress::silent;
    use crate::strategies::core_set::CoreSet;
    use crate::{Query, Signals, Strategy};

    /// The largest distance from the nearest centre.
    fn radius(x: &Array2<f32>, centres: &[usize]) -> f64 {
        let distance = |a: usize, b: usize| {
            x.row(a).iter().zip(x.row(b)).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
        };
        let nearest = |row| centres.iter().map(|&centre| distance(row, centre)).fold(f64::INFINITY, f64::min);
        (0..x.nrows()).map(nearest).fold(0.0, f64::max)
    }

    fn subsets(n: usize, of: usize) -> Vec<Vec<usize>> {
        if n == 0 {
            return vec![Vec::new()];
        }
        let with = |last: usize| {
            subsets(n - 1, last).into_iter().map(move |mut set| {
                set.push(last);
                set
            })
        };
        (0..of).flat_map(with).collect()
    }

    proptest! {
        #[test]
        fn the_radius_is_at_most_four_times_the_best(
            seed in 0_u64..500, rows in 4_usize..12, n in 1_usize..4, parts in 1_usize..4, labelled in 0_usize..2,
        ) {
            let x = Array2::from_shape_simple_fn((rows, 2), uniform(seed));
            let select = |of: &[usize]| {
                let signals = |rows: &[usize]| {
                    let signals = Signals::new(rows.iter().map(|&row| row as Id).collect());
                    signals.with_embedding(x.select(Axis(0), rows)).unwrap()
                };
                let closed: Vec<usize> = (0..labelled).collect();
                let (unlabelled, labelled) = (&signals(of), &signals(&closed));
                let labels = &vec![0; closed.len()][..];
                let query = Query { unlabelled, labelled, labels, classes: 2, n, seed: Seed::new(1) };
                let chosen = CoreSet.select(&query, &mut silent()).unwrap().ids;
                chosen.into_iter().map(|id| id as usize).collect::<Vec<_>>()
            };
            let cut = Centres::new(parts, Seed::new(seed));
            let first = (0..parts).flat_map(|part| {
                let rows: Vec<usize> = (labelled..rows).filter(|&row| cut.part_of(row as Id) == part).collect();
                if rows.is_empty() { Vec::new() } else { select(&rows) }
            });
            let mut chosen = select(&first.collect::<Vec<_>>());
            chosen.extend(0..labelled);
            let best = subsets(n, rows).into_iter().map(|mut set| {
                set.extend(0..labelled);
                radius(&x, &set)
            });
            let best = best.fold(f64::INFINITY, f64::min);
            prop_assert!(radius(&x, &chosen) <= 4.0 * best * (1.0 + 1e-9));
        }
    }
}
