//! What a selection means class by class, beside the pool it was taken from: whether rare classes are asked for.
//!
//! Never here: choosing, printing.
//!
//! ```
//! use ndarray::array;
//! use vabal_query::progress::silent;
//! use vabal_query::{Query, STRATEGIES, Seed, Signals, summary};
//!
//! let unlabelled = Signals::new(vec![10, 11, 12])
//!     .with_probabilities(array![[0.75, 0.25], [0.5, 0.5], [0.0, 1.0]])?;
//! let query = Query { unlabelled: &unlabelled, labelled: &Signals::default(), labels: &[], classes: 2, n: 1, seed: Seed::new(1) };
//! let chosen = STRATEGIES.by_name("margin")?.select(&query, &mut silent())?;
//! let classes = summary::classes(&query, &chosen)?;
//! assert_eq!(classes[0].picks, Some(0.5)); // one pick, as likely of either class
//! # Ok::<(), vabal_query::Error>(())
//! ```

use std::collections::HashMap;

use rayon::prelude::*;

use crate::Label;
use crate::arrays::ArrayRows;
use crate::error::Result;
use crate::{Query, Selection};

/// Rows that one thread adds up, so that the sums are the same with any number of threads.
const BLOCK: usize = 1 << 14;

/// One class.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Class {
    /// Rows of the labelled pool with this label.
    pub labelled: usize,
    /// Expected share of the unlabelled pool, from 0 to 1; `None` where nothing tells.
    pub pool: Option<f64>,
    /// Expected share of the picks; `None` where nothing tells, or nothing was picked.
    pub picks: Option<f64>,
    /// d_n, of a strategy that measures it ([`Health::difficulty`](crate::Health)).
    pub difficulty: Option<f64>,
    /// π_n, likewise.
    pub prior: Option<f64>,
}

/// The classes 0 to C − 1. A share is the mean of the probabilities where there are some, else of the predicted
/// labels, counted; labels that are not below C count for no class.
///
/// # Errors
/// A probability out of range, by its id.
pub fn classes(query: &Query<'_>, selection: &Selection) -> Result<Vec<Class>> {
    let pool = query.unlabelled;
    let chosen = || -> Vec<usize> {
        let rows: HashMap<_, _> = pool.ids().iter().enumerate().map(|(row, id)| (id, row)).collect();
        selection.ids.iter().filter_map(|id| rows.get(id).copied()).collect()
    };
    let (of_pool, of_picks) = if let Ok(p) = pool.probability_rows() {
        (mean_of_all(p), mean_of(p, &chosen()))
    } else if let Ok(predicted) = pool.predicted() {
        let picked = chosen().into_iter().map(|row| predicted[row]).collect::<Vec<_>>();
        (shares(&predicted, query.classes), shares(&picked, query.classes))
    } else {
        (Vec::new(), Vec::new())
    };
    let mut classes = vec![Class::default(); query.classes];
    for &label in query.labels {
        if let Some(class) = classes.get_mut(label as usize) {
            class.labelled += 1;
        }
    }
    let health = selection.health.as_ref();
    for (n, class) in classes.iter_mut().enumerate() {
        class.pool = of_pool.get(n).copied();
        class.picks = of_picks.get(n).copied();
        class.difficulty = health.and_then(|health| health.difficulty.get(n).copied());
        class.prior = health.and_then(|health| health.prior.get(n).copied());
    }
    Ok(classes)
}

/// The mean of all rows; nothing of no row.
fn mean_of_all(p: ArrayRows<'_, f32>) -> Vec<f64> {
    let sums: Vec<Vec<f64>> = (0..p.len().div_ceil(BLOCK))
        .into_par_iter()
        .map(|block| {
            let mut sum = vec![0.0; p.columns()];
            for row in block * BLOCK..((block + 1) * BLOCK).min(p.len()) {
                sum.iter_mut().zip(p.row(row)).for_each(|(sum, &value)| *sum += f64::from(value));
            }
            sum
        })
        .collect();
    over(p.len(), p.columns(), sums.into_iter())
}

fn mean_of(p: ArrayRows<'_, f32>, rows: &[usize]) -> Vec<f64> {
    let values = rows.iter().map(|&row| p.row(row).iter().map(|&value| f64::from(value)).collect());
    over(rows.len(), p.columns(), values)
}

fn over(count: usize, classes: usize, parts: impl Iterator<Item = Vec<f64>>) -> Vec<f64> {
    if count == 0 {
        return Vec::new();
    }
    let mut mean = vec![0.0; classes];
    for part in parts {
        mean.iter_mut().zip(part).for_each(|(mean, value)| *mean += value / count as f64);
    }
    mean
}

fn shares(labels: &[Label], classes: usize) -> Vec<f64> {
    if labels.is_empty() {
        return Vec::new();
    }
    let mut counts = vec![0_usize; classes];
    for &label in labels {
        if let Some(count) = counts.get_mut(label as usize) {
            *count += 1;
        }
    }
    counts.into_iter().map(|count| count as f64 / labels.len() as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;
    use crate::{Id, Signals};
    use ndarray::{Array2, array};

    fn of(pool: &Signals<'_>, labels: &[Label], ids: &[Id], classes: usize) -> Vec<Class> {
        let labelled = Signals::new((1000..).take(labels.len()).collect());
        let query =
            Query { unlabelled: pool, labelled: &labelled, labels, classes, n: 1, seed: Seed::new(1) };
        let selection = Selection { ids: ids.into(), scores: vec![0.0; ids.len()], ..Selection::default() };
        super::classes(&query, &selection).unwrap()
    }

    #[test]
    fn shares_are_means_of_probabilities_over_the_pool_and_over_the_picks() {
        let p = array![[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]];
        let pool = Signals::new(vec![7, 3, 5]).with_probabilities(p).unwrap();
        let classes = of(&pool, &[0, 0, 2], &[3, 7], 3);
        let column =
            |get: fn(&Class) -> Option<f64>| classes.iter().map(|c| get(c).unwrap()).collect::<Vec<_>>();
        assert_eq!(column(|c| c.pool), [0.5, 1.25 / 3.0, 0.25 / 3.0]);
        assert_eq!(column(|c| c.picks), [0.25, 0.625, 0.125]);
        assert_eq!(classes.iter().map(|class| class.labelled).collect::<Vec<_>>(), [2, 0, 1]);
    }

    #[test]
    fn without_probabilities_predicted_labels_are_counted_and_without_both_nothing_is_said() {
        let pool = Signals::new(vec![0, 1, 2, 3]).with_predicted(vec![1, 1, 0, 9]).unwrap();
        let classes = of(&pool, &[], &[2, 1], 3);
        assert_eq!(classes[1], Class { pool: Some(0.5), picks: Some(0.5), ..Class::default() });
        assert_eq!(classes[2], Class { pool: Some(0.0), picks: Some(0.0), ..Class::default() });
        let classes = of(&Signals::new(vec![4, 5]), &[1], &[4], 2);
        assert_eq!(classes[1], Class { labelled: 1, ..Class::default() });
        assert_eq!(of(&pool, &[], &[], 2)[0].picks, None);
    }

    #[test]
    fn the_sum_does_not_depend_on_the_number_of_threads() {
        let n = 3 * BLOCK + 5;
        let p = Array2::from_shape_fn((n, 2), |(i, c)| ((i * 31 + c * 7) % 97) as f32 / 97.0);
        let mean = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| mean_of_all(p.view().into()))
        };
        assert_eq!(mean(1), mean(4));
        let plain = p.column(0).iter().map(|&value| f64::from(value)).sum::<f64>() / n as f64;
        assert!((mean(2)[0] - plain).abs() < 1e-12);
    }
}
