//! What every strategy promises, whatever it chooses by: the faults that other tools have, each
//! tried on each.

use std::collections::HashSet;

use ndarray::{Array2, Array3, Array4, Axis};
use proptest::prelude::{ProptestConfig, Strategy as _, prop, prop_assert_eq, proptest};
use rand::RngExt as _;

use crate::error::{Error, Result};
use crate::progress::{Event, Flow, silent};
use crate::query::{Needs, Spec};
use crate::{Id, Label, Query, STRATEGIES, Seed, Selection, Signals, Strategy};

/// Every built-in strategy, with less to train than by default.
fn shelf() -> Vec<(&'static str, Box<dyn Strategy>)> {
    let quick = |name: &str| -> Spec {
        let mut spec = STRATEGIES.named(name).unwrap();
        let less: &[(&str, usize)] = match spec.kind() {
            "vabal-paper" => &[("epochs", 2), ("minimum_steps", 0), ("draws", 4), ("batch", 16)],
            "vaal" => &[("width", 1), ("steps", 3), ("batch", 8)],
            "learning-loss" => &[("width", 4), ("steps", 10)],
            _ => &[],
        };
        for &(key, value) in less {
            spec.set(STRATEGIES, key, &value.into()).unwrap();
        }
        spec
    };
    let build = |name| (name, STRATEGIES.build(&quick(name)).unwrap());
    STRATEGIES.names().into_iter().map(build).collect()
}

/// All that a strategy may ask for.
struct Arrays {
    ids: Vec<Id>,
    probabilities: Array2<f32>,
    draws: Array3<f32>,
    stages: Vec<Array2<f32>>,
    images: Array4<u8>,
}

impl Arrays {
    fn new(ids: Vec<Id>, classes: usize, name: &str) -> Self {
        let (n, mut rng) = (ids.len(), Seed::new(9).stream(name));
        let mut draws = Array3::from_shape_simple_fn((n, 4, classes), || rng.random::<f32>().powi(3) + 1e-4);
        for mut row in draws.lanes_mut(Axis(2)) {
            let sum = row.sum();
            row.mapv_inplace(|p| p / sum);
        }
        let mut stage = |width| Array2::from_shape_simple_fn((n, width), || rng.random::<f32>());
        let stages = vec![stage(3), stage(5)];
        let images = Array4::from_shape_simple_fn((n, 1, 8, 8), || rng.random::<u8>());
        Self { ids, probabilities: draws.mean_axis(Axis(1)).unwrap(), draws, stages, images }
    }

    /// The given rows, with the arrays that `needs` names and no others.
    fn signals(&self, rows: &[usize], needs: Needs) -> Signals<'static> {
        let mut signals = Signals::new(rows.iter().map(|&row| self.ids[row]).collect());
        if needs.probabilities || needs.predicted || needs.prediction {
            signals = signals.with_probabilities(self.probabilities.select(Axis(0), rows)).unwrap();
        }
        if needs.monte_carlo.is_some() {
            signals = signals.with_monte_carlo(self.draws.select(Axis(0), rows)).unwrap();
        }
        if needs.committee > 0 {
            signals = signals.with_committee(self.draws.select(Axis(0), rows)).unwrap();
        }
        if needs.stages {
            let stages = self.stages.iter().map(|stage| stage.select(Axis(0), rows)).collect();
            signals = signals.with_stages::<Array2<f32>>(stages).unwrap();
        } else if needs.embedding {
            signals = signals.with_embedding(self.stages[1].select(Axis(0), rows)).unwrap();
        }
        if needs.images {
            signals = signals.with_images(self.images.select(Axis(0), rows)).unwrap();
        }
        signals
    }

    fn all(&self, needs: Needs) -> Signals<'static> {
        self.signals(&(0..self.ids.len()).collect::<Vec<_>>(), needs)
    }
}

fn ask(
    strategy: &dyn Strategy,
    u: &Signals<'_>,
    l: &Signals<'_>,
    labels: &[Label],
    n: usize,
) -> Result<Selection> {
    let classes = u.classes().or(l.classes()).unwrap_or(3);
    let query = Query { unlabelled: u, labelled: l, labels, classes, n, seed: Seed::new(5) };
    query.check(strategy)?;
    strategy.select(&query, &mut silent())
}

/// A selection that no one has to be ashamed of.
fn check(name: &str, selection: &Selection, unlabelled: &Signals<'_>, n: usize) {
    let ids: HashSet<Id> = selection.ids.iter().copied().collect();
    assert_eq!(selection.ids.len(), n.min(unlabelled.len()), "{name}: as many as asked for or left");
    assert_eq!(ids.len(), selection.ids.len(), "{name}: none twice");
    assert!(ids.iter().all(|id| unlabelled.ids().contains(id)), "{name}: ids, not places");
    assert_eq!(selection.scores.len(), selection.ids.len(), "{name}");
    assert!(selection.scores.iter().all(|score| score.is_finite()), "{name}: {:?}", selection.scores);
    assert!(selection.scores.is_sorted_by(|a, b| a >= b), "{name}: {:?}", selection.scores);
    for term in &selection.terms {
        assert_eq!(term.values.len(), selection.ids.len(), "{name}: {}", term.name);
        assert!(term.values.iter().all(|value| value.is_finite()), "{name}: {}", term.name);
    }
}

fn ids(first: Id, step: Id, n: usize) -> Vec<Id> {
    (0..n as Id).map(|row| first + step * row).collect()
}

#[test]
fn needs_name_all_that_is_read_and_neither_order_nor_threads_change_a_pick() {
    let (u, l) = (Arrays::new(ids(1000, 7, 40), 3, "u"), Arrays::new(ids(3, 11, 12), 3, "l"));
    let labels: Vec<Label> = (0..12).map(|row| row % 3).collect();
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    for (name, strategy) in shelf() {
        let (needs, of_labelled) = (strategy.needs(), strategy.needs_of_labelled());
        let (unlabelled, labelled) = (u.all(needs), l.all(of_labelled));
        let expected = ask(&*strategy, &unlabelled, &labelled, &labels, 9).unwrap();
        check(name, &expected, &unlabelled, 9);
        assert_eq!(
            ask(&*strategy, &unlabelled, &labelled, &labels, 9).unwrap(),
            expected,
            "{name} repeats itself"
        );
        let turned: Vec<usize> = (0..40).map(|row| (row * 17 + 5) % 40).collect();
        let turned_l: Vec<usize> = (0..12).map(|row| (row * 5 + 2) % 12).collect();
        let turned_labels: Vec<Label> = turned_l.iter().map(|&row| labels[row]).collect();
        let (unlabelled, labelled) = (u.signals(&turned, needs), l.signals(&turned_l, of_labelled));
        let other = one.install(|| ask(&*strategy, &unlabelled, &labelled, &turned_labels, 9)).unwrap();
        assert_eq!(other.ids, expected.ids, "{name} in any order, on one thread");
    }
}

#[test]
fn fewer_candidates_than_asked_one_candidate_none_and_nothing_asked() {
    let l = Arrays::new(ids(0, 1, 6), 3, "l");
    let labels = [0, 1, 2, 0, 1, 2];
    for (name, strategy) in shelf() {
        for (candidates, n) in [(5, 9), (2, 2), (1, 1), (0, 4), (5, 0)] {
            let u = Arrays::new(ids(100, 3, candidates), 3, "u");
            let (unlabelled, labelled) = (u.all(strategy.needs()), l.all(strategy.needs_of_labelled()));
            let selection = ask(&*strategy, &unlabelled, &labelled, &labels, n).unwrap();
            check(name, &selection, &unlabelled, n);
        }
    }
}

#[test]
fn with_no_label_yet_it_works_or_says_what_to_do() {
    let u = Arrays::new(ids(0, 1, 30), 3, "u");
    for (name, strategy) in shelf() {
        let unlabelled = u.all(strategy.needs());
        match ask(&*strategy, &unlabelled, &Signals::default(), &[], 8) {
            Ok(selection) => check(name, &selection, &unlabelled, 8),
            Err(error) => {
                assert!(["vaal", "learning-loss"].contains(&name), "{name}: {error}");
                assert!(error.to_string().contains("hint: choose the first images with"), "{error}");
            }
        }
    }
}

#[test]
fn missing_classes_duplicate_rows_and_a_thousand_classes() {
    for (name, strategy) in shelf() {
        // Twenty images twice over, and labels of one class of three.
        let twice: Vec<usize> = (0..40).map(|row| row % 20).collect();
        let u = renamed(&Arrays::new(ids(0, 1, 20), 3, "u"), &twice);
        let l = Arrays::new(ids(0, 1, 4), 3, "l");
        let (unlabelled, labelled) = (u.all(strategy.needs()), l.all(strategy.needs_of_labelled()));
        let selection = ask(&*strategy, &unlabelled, &labelled, &[2, 2, 2, 2], 30).unwrap();
        check(name, &selection, &unlabelled, 30);

        // All rows the same.
        let same = vec![0; 40];
        let unlabelled = renamed(&u, &same).all(strategy.needs());
        match ask(&*strategy, &unlabelled, &labelled, &[0, 1, 2, 2], 10) {
            Ok(selection) => check(name, &selection, &unlabelled, 10),
            // There is nothing that a VAE could learn of them.
            Err(error) => {
                assert!(
                    name.starts_with("vabal-") && error.to_string().contains("constant"),
                    "{name}: {error}"
                )
            }
        }

        let (u, l) = (Arrays::new(ids(10, 1, 12), 1000, "u"), Arrays::new(ids(0, 1, 3), 1000, "l"));
        let (unlabelled, labelled) = (u.all(strategy.needs()), l.all(strategy.needs_of_labelled()));
        let labels = [0, 999, 17];
        let query = Query {
            unlabelled: &unlabelled,
            labelled: &labelled,
            labels: &labels,
            classes: 1000,
            n: 5,
            seed: Seed::new(2),
        };
        query.check(&*strategy).unwrap();
        check(name, &strategy.select(&query, &mut silent()).unwrap(), &unlabelled, 5);
    }
}

/// The given rows under ids of their own.
fn renamed(of: &Arrays, rows: &[usize]) -> Arrays {
    Arrays {
        ids: ids(500, 1, rows.len()),
        probabilities: of.probabilities.select(Axis(0), rows),
        draws: of.draws.select(Axis(0), rows),
        stages: of.stages.iter().map(|stage| stage.select(Axis(0), rows)).collect(),
        images: of.images.select(Axis(0), rows),
    }
}

#[test]
fn a_value_that_is_none_is_named_and_stopping_is_obeyed() {
    let l = Arrays::new(ids(500, 1, 6), 3, "l");
    let labels = [0, 1, 2, 0, 1, 2];
    for (name, strategy) in shelf() {
        let needs = strategy.needs();
        let mut u = Arrays::new(ids(100, 1, 20), 3, "u");
        let labelled = l.all(strategy.needs_of_labelled());
        let mut told = 0;
        let unlabelled = u.all(needs);
        let query = Query {
            unlabelled: &unlabelled,
            labelled: &labelled,
            labels: &labels,
            classes: 3,
            n: 5,
            seed: Seed::new(2),
        };
        let result = strategy.select(&query, &mut |_: Event<'_>| {
            told += 1;
            Flow::Stop
        });
        assert!(
            told == 0 || matches!(result, Err(Error::Stopped)),
            "{name} goes on after it was told to stop"
        );
        assert!(told <= 1, "{name} goes on after it was told to stop");

        // `Signals` refuses what are not probabilities.
        u.stages.iter_mut().for_each(|stage| stage[[13, 2]] = f32::NAN);
        let broken = u.all(needs);
        if needs.stages || needs.embedding {
            let error = ask(&*strategy, &broken, &labelled, &labels, 5).unwrap_err().to_string();
            assert!(error.contains("id 113") && error.contains("hint:"), "{name}: {error}");
        }
    }
}

#[test]
fn a_query_that_does_not_hold_together_is_refused() {
    let (u, l) = (Arrays::new(ids(0, 1, 6), 3, "u"), Arrays::new(ids(100, 1, 3), 3, "l"));
    let strategy = STRATEGIES.by_name("vabal-paper").unwrap();
    let needs = strategy.needs();
    let (unlabelled, labelled) = (u.all(needs), l.all(needs));
    let refused = |u: &Signals<'_>, l: &Signals<'_>, labels: &[Label], classes: usize, part: &str| {
        let query = Query { unlabelled: u, labelled: l, labels, classes, n: 2, seed: Seed::new(1) };
        let error = query.check(&*strategy).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(&unlabelled, &labelled, &[0, 1], 3, "3 labels");
    refused(&unlabelled, &labelled, &[0, 1, 3], 3, "id 102");
    refused(&unlabelled, &labelled, &[0, 1, 2], 1, "fewer than two classes");
    refused(&unlabelled, &labelled, &[0, 1, 2], 4, "another number of classes");
    refused(&unlabelled, &u.signals(&[3], needs), &[0], 3, "id 3");
    refused(&u.signals(&[0, 2, 2], needs), &labelled, &[0, 1, 2], 3, "id 2");
    let narrow = Signals::new(ids(100, 1, 3)).with_embedding(Array2::<f32>::zeros((3, 2))).unwrap();
    refused(&unlabelled, &narrow, &[0, 1, 2], 3, "[3, 5]");
    let foreign = Signals::new(vec![1, 2]).with_predicted(vec![0, 3]).unwrap();
    refused(&foreign, &Signals::default(), &[], 3, "id 2");
}

/// Images in any order: id, features on a coarse grid, so that duplicates and ties are frequent,
/// and a label for some.
type Rows = Vec<(Id, [u8; 3], Option<Label>)>;

fn any_rows(classes: Label) -> impl proptest::strategy::Strategy<Value = Rows> {
    let row = (prop::array::uniform3(0_u8..4), prop::option::weighted(0.3, 0..classes));
    prop::collection::hash_map(0_u64..1000, row, 0..70)
        .prop_map(|rows| rows.into_iter().map(|(id, (x, label))| (id, x, label)).collect())
}

/// The strategies that go by probabilities and the last features alone, and train nothing.
const LIGHT: [&str; 11] = [
    "entropy",
    "margin",
    "least-confidence",
    "core-set",
    "badge",
    "typiclust",
    "probcover",
    "galaxy",
    "similar",
    "balanced-entropy",
    "vabal",
];

/// Both pools with all that these need, and the labels.
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
    let strategy = STRATEGIES.by_name(name)?;
    query.check(strategy.as_ref())?;
    strategy.select(&query, &mut silent())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_batch_is_unique_unlabelled_as_long_as_can_be_best_first_and_the_same_in_any_order(
        rows in any_rows(4),
        n in 0_usize..80,
        shift in 0_usize..70,
    ) {
        let mut moved = rows.clone();
        moved.rotate_left(shift.min(rows.len()));
        moved.reverse();
        for name in LIGHT {
            let selection = select(name, &rows, 4, n, 1.0).unwrap();
            check(name, &selection, &pools(&rows, 4, 1.0).0, n);
            prop_assert_eq!(&select(name, &moved, 4, n, 1.0).unwrap(), &selection, "{} in any order", name);
            let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            let alone = one.install(|| select(name, &rows, 4, n, 1.0).unwrap());
            prop_assert_eq!(&alone, &selection, "{} on one thread", name);
        }
    }
}

#[test]
fn pools_of_every_odd_kind_and_features_of_any_size_are_answered() {
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
                    for name in LIGHT {
                        let selection = select(name, rows, classes, n, size).unwrap();
                        check(name, &selection, &pools(rows, classes, size).0, n);
                    }
                }
            }
        }
    }
}
