//! What every strategy that puts a batch together promises, whatever it is given: typiclust, probcover, galaxy, similar.

use std::collections::HashSet;

use ndarray::Array2;
use proptest::prelude::{Strategy as _, prop, prop_assert_eq, proptest};

use super::*;
use crate::progress::{Flow, silent};

const NAMES: [&str; 4] = ["typiclust", "probcover", "galaxy", "similar"];

/// Images in any order: id, features on a coarse grid, so that duplicates and ties are frequent, and a label for some.
type Rows = Vec<(Id, [u8; 3], Option<Label>)>;

fn any_rows(classes: Label) -> impl proptest::strategy::Strategy<Value = Rows> {
    let row = (prop::array::uniform3(0_u8..4), prop::option::weighted(0.3, 0..classes));
    prop::collection::hash_map(0_u64..1000, row, 0..70)
        .prop_map(|rows| rows.into_iter().map(|(id, (x, label))| (id, x, label)).collect())
}

/// Both pools with everything that any of the strategies needs, and the labels.
fn pools(rows: &Rows, classes: usize, size: f32) -> (Signals<'static>, Signals<'static>, Vec<Label>) {
    let of = |is_labelled: bool| {
        let rows: Vec<_> = rows.iter().filter(|(.., label)| label.is_some() == is_labelled).collect();
        let features = Array2::from_shape_fn((rows.len(), 3), |(i, j)| size * f32::from(rows[i].1[j]));
        let p = Array2::from_shape_fn((rows.len(), classes), |(i, class)| {
            let weight = |class: usize| 1.0 + f32::from(rows[i].1[class % 3]) * (class % 2) as f32;
            weight(class) / (0..classes).map(weight).sum::<f32>()
        });
        let signals = Signals::new(rows.iter().map(|(id, ..)| *id).collect());
        let labels: Vec<Label> = rows.iter().filter_map(|(.., label)| *label).collect();
        (signals.with_probabilities(p).and_then(|s| s.with_embedding(features)).unwrap(), labels)
    };
    let ((unlabelled, _), (labelled, labels)) = (of(false), of(true));
    (unlabelled, labelled, labels)
}

fn select(name: &str, rows: &Rows, classes: usize, n: usize, size: f32) -> Result<Selection> {
    let (unlabelled, labelled, labels) = pools(rows, classes, size);
    let seed = Seed::new(4);
    let query = Query { unlabelled: &unlabelled, labelled: &labelled, labels: &labels, classes, n, seed };
    let strategy = by_name(name)?;
    query.check(strategy.as_ref())?;
    strategy.select(&query, &mut silent())
}

fn check(selection: &Selection, rows: &Rows, n: usize) {
    let open: HashSet<Id> = rows.iter().filter(|(.., label)| label.is_none()).map(|(id, ..)| *id).collect();
    let ids: HashSet<Id> = selection.ids.iter().copied().collect();
    assert_eq!(selection.ids.len(), n.min(open.len()));
    assert_eq!(ids.len(), selection.ids.len(), "none twice");
    assert!(ids.is_subset(&open));
    assert_eq!(selection.scores.len(), selection.ids.len());
    assert!(selection.scores.iter().all(|score| score.is_finite()));
    assert!(selection.scores.is_sorted_by(|a, b| a >= b), "{:?}", selection.scores);
    for term in &selection.terms {
        assert_eq!(term.values.len(), selection.ids.len());
        assert!(term.values.iter().all(|value| value.is_finite()), "{term:?}");
    }
}

proptest! {
    #[test]
    fn a_batch_is_unique_unlabelled_as_long_as_can_be_best_first_and_the_same_in_any_order(
        rows in any_rows(4),
        n in 0_usize..80,
        shift in 0_usize..70,
    ) {
        let mut moved = rows.clone();
        moved.rotate_left(shift.min(rows.len()));
        moved.reverse();
        for name in NAMES {
            let selection = select(name, &rows, 4, n, 1.0).unwrap();
            check(&selection, &rows, n);
            prop_assert_eq!(&select(name, &moved, 4, n, 1.0).unwrap(), &selection, "{} in any order", name);
            let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            let alone = one.install(|| select(name, &rows, 4, n, 1.0).unwrap());
            prop_assert_eq!(&alone, &selection, "{} on one thread", name);
        }
    }
}

#[test]
fn the_edges_are_answered() {
    let row = |id: Id, x: u8, label| (id, [x, x / 2, 3], label);
    let alike: Rows = (0..40).map(|id| row(id, 2, (id % 10 == 0).then_some(1))).collect();
    let labelled_alone: Rows = vec![row(1, 1, Some(0)), row(2, 3, Some(1))];
    let one: Rows = vec![row(1, 1, Some(0)), row(2, 3, Some(1)), row(3, 2, None)];
    let first_round: Rows = (0..40).map(|id| row(id, (id % 7) as u8, None)).collect();
    let one_class: Rows = (0..40).map(|id| row(id, (id % 7) as u8, (id < 9).then_some(1))).collect();
    for rows in [&Vec::new(), &alike, &labelled_alone, &one, &first_round, &one_class] {
        for classes in [2, 1000] {
            for n in [0, 1, 7, 1000] {
                for size in [1.0, 1e-38, 1e37] {
                    for name in NAMES {
                        check(&select(name, rows, classes, n, size).unwrap(), rows, n);
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_missing_or_wrong_is_said_and_work_stops_when_asked_to() {
    let (good, _, _) = pools(&(0..30).map(|id| (id, [(id % 5) as u8, 1, 2], None)).collect(), 3, 1.0);
    let ids = Signals::new((0..30).collect());
    let labelled = Signals::default();
    let nan = Signals::new(vec![4, 8])
        .with_embedding(ndarray::array![[1.0, 2.0], [f32::NAN, 0.0]])
        .and_then(|s| s.with_probabilities(ndarray::array![[0.5, 0.5], [f32::NAN, 0.5]]))
        .unwrap();
    for name in NAMES {
        let strategy = by_name(name).unwrap();
        let query = |unlabelled| Query {
            unlabelled,
            labelled: &labelled,
            labels: &[],
            classes: 3,
            n: 5,
            seed: Seed::new(1),
        };
        let error = strategy.select(&query(&ids), &mut silent()).unwrap_err().to_string();
        assert!(error.contains("this strategy needs"), "{error}");
        let error = strategy.select(&query(&nan), &mut silent()).unwrap_err().to_string();
        assert!(error.contains("id 8"), "{error}");
        let mut stop = |event: Event<'_>| match event {
            Event::Progress { done, total, .. } => {
                assert!(done <= total && total > 0);
                Flow::Stop
            }
            _ => Flow::Continue,
        };
        assert!(matches!(strategy.select(&query(&good), &mut stop), Err(Error::Stopped)), "{name}");
        assert!(strategy.is_batch());
    }
}
