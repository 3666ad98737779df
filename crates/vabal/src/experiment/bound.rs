//! A choice that knows the labels: how far balanced classes alone would go, as a bound beside the
//! strategies.
//!
//! Only an experiment has hidden labels, so that this is no strategy of [`crate::STRATEGIES`].
//! Never here: how reports mark it.

use crate::Label;
use crate::data::{Items, Labelled};
use crate::error::Result;
use crate::progress::Progress;
use crate::query::{Column, Needs, Query, Selection, Strategy, available, term};

/// Class-balanced sampling by the true labels: one by one of the class that has the fewest,
/// labelled and taken together, and of that class uniformly. Equal classes in their order. The
/// score is minus the number that the class had.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClassBalanced<'a, T>(pub(super) &'a Labelled<T>);

impl<T: Items> Strategy for ClassBalanced<'_, T> {
    fn needs(&self) -> Needs {
        Needs::IDS
    }

    fn is_batch(&self) -> bool {
        true
    }

    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection> {
        let n = available(query, progress)?;
        let mut left = vec![Vec::new(); query.classes];
        for &id in query.unlabelled.ids() {
            left[self.0.label(id) as usize].push(id);
        }
        for ids in &mut left {
            // By a key of the image's own, so that its place does not depend on what else is left.
            // The last goes first.
            ids.sort_by_cached_key(|&id| std::cmp::Reverse((query.seed.key("class-balanced", id), id)));
        }
        let mut held = vec![0_usize; query.classes];
        query.labels.iter().for_each(|&label| held[label as usize] += 1);
        let (mut ids, mut classes, mut before) = (Vec::new(), Vec::new(), Vec::new());
        while ids.len() < n {
            let open = (0..left.len()).filter(|&class| !left[class].is_empty());
            let Some(class) = open.min_by_key(|&class| held[class]) else { break };
            ids.extend(left[class].pop());
            classes.push(f64::from(class as Label));
            before.push(held[class] as f64);
            held[class] += 1;
        }
        let scores = before.iter().map(|&held| -held).collect();
        let terms = vec![
            Column { name: term::CLASS, values: classes },
            Column { name: term::LABELLED, values: before },
        ];
        Ok(Selection { ids, scores, terms, ..Selection::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Id;
    use crate::data::Features;
    use crate::progress::silent;
    use crate::query::Signals;
    use crate::rng::Seed;
    use ndarray::Array2;

    /// Of three classes: 20 rows of the first, 6 of the second, 2 of the third.
    fn rows() -> Labelled<Features> {
        let labels: Vec<Label> =
            (0..28).map(|row| if row < 20 { 0 } else { 1 + u32::from(row >= 26) }).collect();
        let features = Features::new(Array2::zeros((28, 1)), None).unwrap();
        Labelled::new(features, labels, ["a", "b", "c"].map(String::from).to_vec()).unwrap()
    }

    fn ask(rows: &Labelled<Features>, n: usize, seed: u64) -> Selection {
        // Labelled: three of the first class, one of the second.
        let unlabelled = Signals::new((0..28).filter(|id| ![0, 1, 2, 20].contains(id)).collect());
        let labelled = Signals::new(vec![0, 1, 2, 20]);
        let (labels, seed) = (&[0, 0, 0, 1], Seed::new(seed));
        let query = Query { unlabelled: &unlabelled, labelled: &labelled, labels, classes: 3, n, seed };
        ClassBalanced(rows).select(&query, &mut silent()).unwrap()
    }

    #[test]
    fn the_class_with_the_fewest_labels_is_next_until_it_is_used_up() {
        let rows = rows();
        let chosen = ask(&rows, 10, 1);
        let classes: Vec<Label> = chosen.ids.iter().map(|&id| rows.label(id)).collect();
        // Counts 3, 1, 0: c to 1, then b and c in turn to 2, b to 3 with c used up; then a and b in
        // turn.
        assert_eq!(classes, [2, 1, 2, 1, 0, 1, 0, 1, 0, 1]);
        assert_eq!(chosen.scores[..6], [0.0, -1.0, -1.0, -2.0, -3.0, -3.0]);
        assert!(chosen.scores.is_sorted_by(|a, b| a >= b));
        let mut all = ask(&rows, 24, 1).ids;
        all.sort_unstable();
        assert_eq!(all, (0..28).filter(|id| ![0, 1, 2, 20].contains(id)).collect::<Vec<Id>>());
    }

    #[test]
    fn every_image_of_a_class_is_as_likely_as_another() {
        let rows = rows();
        let mut counts = [0; 28];
        for seed in 0..600 {
            // The first two are one of each rare class.
            ask(&rows, 2, seed).ids.iter().for_each(|&id| counts[id as usize] += 1);
        }
        assert_eq!((ask(&rows, 9, 5), counts[..21].iter().sum::<i32>()), (ask(&rows, 9, 5), 0));
        for id in 21..26 {
            // 120 expected, 10 standard deviation.
            assert!((counts[id] - 120).abs() < 50, "{counts:?}");
        }
        assert!((counts[26] - 300).abs() < 60 && counts[26] + counts[27] == 600, "{counts:?}");
    }
}
