//! A class balancer round any strategy: quotas by predicted class, so that the labelled pool grows
//! balanced.
//!
//! The wrapped strategy says which images of a class; the quotas say how many. Never here: scores.
//!
//! ```
//! use ndarray::array;
//! use vabal_query::strategies::balanced::Balanced;
//! use vabal_query::strategies::uncertainty::{Criterion, Uncertainty};
//! use vabal_query::progress::silent;
//! use vabal_query::{Query, Seed, Signals, Strategy};
//!
//! let unlabelled = Signals::new(vec![10, 11, 12])
//!     .with_probabilities(array![[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])?;
//! let labelled = Signals::new(vec![0, 1]);
//! let query = Query { unlabelled: &unlabelled, labelled: &labelled, labels: &[0, 0], classes: 2, n: 1, seed: Seed::new(1) };
//! let chosen = Balanced::of(Box::new(Uncertainty(Criterion::Entropy))).select(&query, &mut silent())?;
//! assert_eq!(chosen.ids, [12]); // class 1 has no label yet
//!
//! # Ok::<(), vabal_query::Error>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::Label;
use crate::error::{Complaint, Error, Result};
use crate::progress::Progress;
use crate::term;
use crate::{Column, Needs, Query, Selection, Strategy, StrategySettings, Table, available, class_counts};

/// What a table `[strategy.NAME]` calls a [`Balanced`].
pub(super) const KIND: &str = "balanced";

/// Of [`Balanced`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The name of the strategy that ranks the images of each class.
    pub of: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { of: "entropy".into() }
    }
}

impl StrategySettings for Settings {
    fn build(self, table: Table) -> Result<Box<dyn Strategy>> {
        let of = |error: Complaint| Error::from(error.at("of"));
        let spec = table.find(&self.of).map_err(of)?;
        if spec.kind() == KIND {
            let error = Error::input("a balancer cannot balance a balancer");
            return Err(of(error.expected("the name of another strategy").got(format!("\"{}\"", self.of))));
        }
        Ok(Box::new(Balanced::of(table.build(&spec)?)))
    }
}

/// Wraps a strategy: of each predicted class as many as bring the labelled pool nearest to balance.
pub struct Balanced {
    inner: Box<dyn Strategy>,
}

impl std::fmt::Debug for Balanced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Balanced")
    }
}

impl Balanced {
    /// How much longer than the batch a list is asked for, of a strategy that puts batches together
    /// and ranks nothing.
    const LIST: usize = 10;

    /// A balancer of any strategy.
    #[must_use]
    pub fn of(inner: Box<dyn Strategy>) -> Self {
        Self { inner }
    }
}

impl Strategy for Balanced {
    fn needs(&self) -> Needs {
        self.inner.needs().and(Needs::PREDICTED)
    }

    fn needs_of_labelled(&self) -> Needs {
        self.inner.needs_of_labelled()
    }

    fn is_batch(&self) -> bool {
        true
    }

    fn reads_rows(&self) -> bool {
        self.inner.reads_rows()
    }

    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection> {
        let n = available(query, progress)?;
        let left = query.unlabelled.len();
        let longer = if self.inner.is_batch() { left.min(Self::LIST * n) } else { left };
        let ranked = self.inner.select(&Query { n: longer, ..*query }, progress)?;
        let by_id: std::collections::HashMap<_, _> =
            query.unlabelled.ids().iter().zip(query.unlabelled.predicted()?).collect();
        let classes: Vec<Label> = ranked.ids.iter().map(|id| by_id[id]).collect();
        let available = class_counts(&classes, query.classes);

        let quota = quotas(&query.class_counts(), &available, n);
        let places = fill(quota, classes.iter().map(|&class| class as usize));
        let mut terms = ranked.terms;
        // By the classifier that the quotas go by, whatever the wrapped strategy means by it.
        terms.retain(|column| column.name != term::PREDICTED);
        let predicted = classes.iter().map(|&class| f64::from(class)).collect();
        terms.insert(0, Column { name: term::PREDICTED, values: predicted });
        for column in &mut terms {
            column.values = places.iter().map(|&place| column.values[place]).collect();
        }
        Ok(Selection {
            ids: places.iter().map(|&place| ranked.ids[place]).collect(),
            scores: places.iter().map(|&place| ranked.scores[place]).collect(),
            terms,
            ..ranked
        })
    }
}

/// The `n` rows that bring the labelled pool nearest to balance by `classes`, of each class those
/// with the largest scores: in descending order, ties by lowest id, with the matching rows of
/// `terms`.
///
/// # Errors
/// As [`Selection::top`].
pub(super) fn top(
    query: &Query<'_>,
    scores: &[f64],
    classes: &[Label],
    n: usize,
    terms: &[Column],
) -> Result<Selection> {
    let order = Selection::order(query, scores, scores.len())?;
    let available = class_counts(classes, query.classes);
    let quota = quotas(&query.class_counts(), &available, n);
    let places = fill(quota, order.iter().map(|&row| classes[row] as usize));
    let rows: Vec<usize> = places.into_iter().map(|place| order[place]).collect();
    let of_rows = rows.iter().map(|&row| scores[row]).collect();
    Ok(Selection::chosen(query.unlabelled, &rows, of_rows, terms))
}

/// The places of a ranked list that fill the quotas, in order.
pub(crate) fn fill(mut quota: Vec<usize>, classes: impl Iterator<Item = usize>) -> Vec<usize> {
    let takes = |&(_, class): &(usize, usize)| {
        let open = quota[class] > 0;
        quota[class] -= usize::from(open);
        open
    };
    classes.enumerate().filter(takes).map(|(place, _)| place).collect()
}

/// How many to take of each class: one after the other to the class that has the fewest, labelled
/// and taken together, as long as it has any `available`; the lowest class among equals.
pub(crate) fn quotas(labelled: &[usize], available: &[usize], n: usize) -> Vec<usize> {
    let mut quota = vec![0; labelled.len()];
    for _ in 0..n {
        let open = (0..quota.len()).filter(|&class| quota[class] < available[class]);
        let Some(class) = open.min_by_key(|&class| labelled[class] + quota[class]) else { break };
        quota[class] += 1;
    }
    quota
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

    use super::*;
    use crate::STRATEGIES;
    use crate::Signals;
    use crate::progress::silent;
    use crate::rng::Seed;

    proptest! {
        #[test]
        fn quotas_use_what_there_is_and_no_other_choice_is_more_even(
            classes in prop::collection::vec((0_usize..20, 0_usize..20), 2..5),
            n in 0_usize..40,
        ) {
            let (labelled, available): (Vec<usize>, Vec<usize>) = classes.into_iter().unzip();
            let quota = quotas(&labelled, &available, n);
            prop_assert_eq!(quota.iter().sum::<usize>(), n.min(available.iter().sum()));
            for a in 0..quota.len() {
                prop_assert!(quota[a] <= available[a]);
                for b in 0..quota.len() {
                    // Moving one from a to b would not bring the two nearer to each other.
                    if quota[a] > 0 && quota[b] < available[b] {
                        prop_assert!(labelled[a] + quota[a] <= labelled[b] + quota[b] + 1);
                    }
                }
            }
        }
    }

    /// 20 images that look like class 0, most doubtful first, then 3 of class 1 and 2 of class 2.
    fn unlabelled() -> Signals<'static> {
        let p = Array2::from_shape_fn((25, 3), |(row, class)| {
            let of = if row < 20 {
                0
            } else if row < 23 {
                1
            } else {
                2
            };
            let sure = 0.5 + 0.015 * row as f32;
            if class == of { sure } else { (1.0 - sure) / 2.0 }
        });
        Signals::new((100..125).collect()).with_probabilities(p).unwrap()
    }

    fn ask(of: &str, labels: &[Label], n: usize) -> Selection {
        let (unlabelled, labelled) = (unlabelled(), Signals::new((0..labels.len() as u64).collect()));
        let query =
            Query { unlabelled: &unlabelled, labelled: &labelled, labels, classes: 3, n, seed: Seed::new(1) };
        let strategy = Settings { of: of.into() }.build(STRATEGIES).unwrap();
        query.check(&*strategy).unwrap();
        strategy.select(&query, &mut silent()).unwrap()
    }

    fn classes(selection: &Selection) -> [usize; 3] {
        let mut counts = [0; 3];
        selection.term(term::PREDICTED).unwrap().iter().for_each(|&class| counts[class as usize] += 1);
        counts
    }

    #[test]
    fn the_labelled_pool_grows_balanced_as_far_as_there_is_anything_to_take() {
        for of in ["entropy", "random", "margin", "least-confidence"] {
            assert_eq!(classes(&ask(of, &[], 6)), [2, 2, 2], "{of}");
            assert_eq!(classes(&ask(of, &[0, 0, 0, 1], 5)), [1, 2, 2], "{of}");
            assert_eq!(classes(&ask(of, &[0, 0], 12)), [7, 3, 2], "{of}");
            assert_eq!(classes(&ask(of, &[2, 2, 2, 2, 2], 30)), [20, 3, 2], "{of}");
        }
    }

    #[test]
    fn within_a_class_it_is_the_strategy_that_ranks() {
        let plain = STRATEGIES.by_name("entropy").unwrap();
        let unlabelled = unlabelled();
        let labelled = Signals::default();
        let query = Query {
            unlabelled: &unlabelled,
            labelled: &labelled,
            labels: &[],
            classes: 3,
            n: 25,
            seed: Seed::new(1),
        };
        let ranked = plain.select(&query, &mut silent()).unwrap();
        let balanced = ask("entropy", &[], 9);
        for class in 0..3 {
            let of = |selection: &Selection| -> Vec<u64> {
                let predicted = selection.term(term::PREDICTED).unwrap();
                let ids = selection.ids.iter().zip(predicted);
                ids.filter(|(_, of)| **of == f64::from(class)).map(|(&id, _)| id).collect()
            };
            assert!(of(&ranked).starts_with(&of(&balanced)), "class {class}");
        }
        assert!(balanced.scores.is_sorted_by(|a, b| a >= b));
    }

    #[test]
    fn it_wraps_any_strategy_but_itself() {
        for (of, part) in [("balanced-entropy", "cannot balance"), ("entorpy", "did you mean \"entropy\"?")] {
            let error = Settings { of: of.into() }.build(STRATEGIES).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        }
        let vabal = Settings { of: "vabal-paper".into() }.build(STRATEGIES).unwrap();
        assert_eq!(vabal.needs(), Needs::STAGES.and(Needs::PREDICTED));
        assert_eq!(vabal.needs_of_labelled(), Needs::STAGES);
    }
}
