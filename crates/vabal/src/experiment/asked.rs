//! What the round's classifier makes of what a strategy asks for: whether it asks where the
//! classifier errs.
//!
//! Never here: the strategy, the store.

use crate::query::Strategy;
use crate::query::{Needs, Selection};

/// How many to ask a strategy for, so that its picks are those of `budget` and as much of the pool
/// is ranked as can be: all `left` images, unless it puts batches together, or looks at nothing, so
/// that its scores say nothing.
pub(super) fn longest(strategy: &dyn Strategy, budget: usize, left: usize) -> usize {
    let ranks = !strategy.is_batch() && strategy.needs() != Needs::IDS;
    if ranks { budget.max(left) } else { budget }
}

/// The first `n` of a selection.
pub(super) fn cut(selection: &mut Selection, n: usize) {
    selection.ids.truncate(n);
    selection.scores.truncate(n);
    selection.terms.iter_mut().for_each(|term| term.values.truncate(n));
}

/// The area under the ROC curve of scores, in descending order, as a detector of errors: the
/// probability that an error has a larger score than a right prediction, equal scores counting
/// half. `None` unless there are both.
pub(super) fn error_auc(scores: &[f64], errors: &[bool]) -> Option<f64> {
    let wrong = errors.iter().filter(|&&error| error).count();
    let right = errors.len() - wrong;
    if wrong == 0 || right == 0 {
        return None;
    }
    let (mut above, mut won, mut from) = (0, 0.0, 0);
    for equal in scores.chunk_by(|a, b| a == b) {
        let to = from + equal.len();
        let tied = errors[from..to].iter().filter(|&&error| error).count();
        // Each right one of these is below the errors before, and level with those beside it.
        won += (equal.len() - tied) as f64 * (above as f64 + tied as f64 / 2.0);
        above += tied;
        from = to;
    }
    Some(won / (wrong as f64 * right as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_is_the_share_of_pairs_in_order_with_ties_half() {
        let scores = [0.9, 0.7, 0.7, 0.7, 0.4, 0.1];
        let errors = [true, true, false, false, true, false];
        let mut pairs = Vec::new();
        for (n, _) in errors.iter().enumerate().filter(|(_, error)| **error) {
            for (m, _) in errors.iter().enumerate().filter(|(_, error)| !**error) {
                pairs.push(if scores[n] > scores[m] {
                    1.0
                } else if scores[n] == scores[m] {
                    0.5
                } else {
                    0.0
                });
            }
        }
        let expected = pairs.iter().sum::<f64>() / pairs.len() as f64;
        assert!((error_auc(&scores, &errors).unwrap() - expected).abs() < 1e-15);
        assert_eq!(error_auc(&[0.0; 4], &[true, false, false, true]), Some(0.5));
        assert_eq!(error_auc(&[2.0, 1.0], &[true, false]), Some(1.0));
        assert_eq!([error_auc(&[2.0, 1.0], &[true, true]), error_auc(&[], &[])], [None; 2]);
    }
}
