//! The plain strategies: formulas worked by hand, and what every selection promises.

use std::collections::HashSet;

use ndarray::{Array2, array};
use proptest::prelude::{Strategy as _, prop, prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::STRATEGIES;
use crate::progress::{Flow, silent};

const PLAIN: [&str; 4] = ["random", "entropy", "margin", "least-confidence"];

fn pool(ids: &[Id], probabilities: Array2<f32>) -> Signals<'static> {
    Signals::new(ids.to_vec()).with_probabilities(probabilities).unwrap()
}

fn select(name: &str, unlabelled: &Signals<'_>, n: usize, seed: u64) -> Result<Selection> {
    let labelled = Signals::default();
    let query = Query { unlabelled, labelled: &labelled, labels: &[], classes: 2, n, seed: Seed::new(seed) };
    STRATEGIES.by_name(name)?.select(&query, &mut silent())
}

/// Ids that do not repeat, with probabilities of three classes in coarse steps, so that ties are
/// frequent.
fn any_pool() -> impl proptest::strategy::Strategy<Value = Vec<(Id, [u8; 3])>> {
    prop::collection::hash_map(0_u64..1000, prop::array::uniform3(0_u8..3), 0..60)
        .prop_map(|rows| rows.into_iter().collect())
}

fn signals(rows: &[(Id, [u8; 3])]) -> Signals<'static> {
    let ids: Vec<Id> = rows.iter().map(|(id, _)| *id).collect();
    let p = |(row, class): (usize, usize)| {
        let weights = rows[row].1.map(|weight| f32::from(weight) + 0.5);
        weights[class] / weights.iter().sum::<f32>()
    };
    pool(&ids, Array2::from_shape_fn((rows.len(), 3), p))
}

proptest! {
    #[test]
    fn a_selection_is_unique_unlabelled_as_long_as_can_be_best_first_and_the_same_in_any_order(
        rows in any_pool(),
        n in 0_usize..80,
        seed in 0_u64..50,
        shift in 0_usize..60,
    ) {
        let unlabelled = signals(&rows);
        let mut moved = rows.clone();
        moved.rotate_left(shift.min(rows.len()));
        moved.reverse();
        for name in PLAIN {
            let selection = select(name, &unlabelled, n, seed).unwrap();
            let ids: HashSet<Id> = selection.ids.iter().copied().collect();
            prop_assert_eq!(selection.ids.len(), n.min(rows.len()));
            prop_assert_eq!(ids.len(), selection.ids.len());
            prop_assert!(ids.iter().all(|id| unlabelled.ids().contains(id)));
            prop_assert_eq!(selection.scores.len(), selection.ids.len());
            prop_assert!(selection.terms.iter().all(|term| term.values.len() == selection.ids.len()));
            let ranked: Vec<(f64, Id)> =
                selection.scores.iter().copied().zip(selection.ids.iter().copied()).collect();
            if name != "random" {
                prop_assert!(ranked.is_sorted_by(|a, b| a.0 > b.0 || (a.0 == b.0 && a.1 < b.1)));
            }
            prop_assert_eq!(&select(name, &unlabelled, n, seed).unwrap(), &selection, "{} repeats", name);
            prop_assert_eq!(&select(name, &signals(&moved), n, seed).unwrap(), &selection, "{} in any order", name);
        }
    }

    #[test]
    fn what_is_left_out_never_scores_above_what_is_chosen(rows in any_pool(), n in 1_usize..30) {
        let unlabelled = signals(&rows);
        for name in &PLAIN[1..] {
            let all = select(name, &unlabelled, rows.len(), 1).unwrap();
            let some = select(name, &unlabelled, n, 1).unwrap();
            prop_assert_eq!(&some.ids[..], &all.ids[..n.min(rows.len())]);
        }
    }
}

#[test]
fn the_measures_of_uncertainty_agree_with_cases_worked_by_hand() {
    let ln2 = std::f64::consts::LN_2;
    // p, then entropy in nats, minus the gap between the two largest, 1 − the largest.
    let cases: [(&[f32], [f64; 3]); 5] = [
        (&[0.5, 0.5], [ln2, 0.0, 0.5]),
        (&[1.0, 0.0], [0.0, -1.0, 0.0]),
        (&[0.25, 0.75], [0.25 * 4_f64.ln() + 0.75 * (4.0 / 3.0_f64).ln(), -0.5, 0.25]),
        (&[0.5, 0.25, 0.25], [1.5 * ln2, -0.25, 0.5]),
        (&[0.25; 4], [2.0 * ln2, 0.0, 0.75]),
    ];
    for (p, expected) in cases {
        for (name, expected) in PLAIN[1..].iter().zip(expected) {
            let row = Array2::from_shape_vec((1, p.len()), p.to_vec()).unwrap();
            let score = select(name, &pool(&[1], row), 1, 1).unwrap().scores[0];
            assert!((score - expected).abs() < 1e-6, "{name} of {p:?} is {score}, not {expected}");
            assert!(score != 0.0 || score.is_sign_positive(), "{name} of {p:?} is −0");
        }
    }
}

#[test]
fn the_measures_disagree_where_they_should() {
    // Three nearly even classes; two exactly even; one low but far ahead of the rest.
    let p = array![[0.36, 0.33, 0.31, 0.0], [0.5, 0.5, 0.0, 0.0], [0.34, 0.22, 0.22, 0.22]];
    let first = |name| select(name, &pool(&[10, 11, 12], p.clone()), 1, 1).unwrap().ids[0];
    assert_eq!(PLAIN[1..].iter().map(|name| first(name)).collect::<Vec<_>>(), [12, 11, 12]);
    let chosen = select("margin", &pool(&[10, 11, 12], p.clone()), 3, 1).unwrap();
    assert_eq!(chosen.ids, [11, 10, 12]);
    assert_eq!(chosen.term("predicted"), Some(&[0.0, 0.0, 0.0][..]));
    assert_eq!(chosen.term("confidence"), Some(&[0.5, f64::from(0.36_f32), f64::from(0.34_f32)][..]));
    assert_eq!(chosen.term("prior"), None);
}

#[test]
fn equal_scores_go_by_the_lowest_id_and_minus_zero_is_zero() {
    let unlabelled = Signals::new(vec![9, 3, 7, 5]);
    let labelled = Signals::default();
    let query = |n| Query {
        unlabelled: &unlabelled,
        labelled: &labelled,
        labels: &[],
        classes: 2,
        n,
        seed: Seed::new(1),
    };
    let top = |n| Selection::top(&query(n), &[0.0, -0.0, 1.0, -0.0], Vec::new(), &mut silent()).unwrap().ids;
    assert_eq!(top(4), [7, 3, 5, 9]);
    assert_eq!(top(2), [7, 3]);
}

#[test]
fn a_score_that_is_not_finite_is_named_by_its_id() {
    let unlabelled = Signals::new(vec![4, 8]);
    let labelled = Signals::default();
    let query = Query {
        unlabelled: &unlabelled,
        labelled: &labelled,
        labels: &[],
        classes: 2,
        n: 1,
        seed: Seed::new(1),
    };
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = Selection::top(&query, &[1.0, bad], Vec::new(), &mut silent()).unwrap_err().to_string();
        assert!(error.contains("id 8") && error.contains("hint:"), "{error}");
    }
}

#[test]
fn what_is_no_distribution_is_refused_by_its_id_in_every_array_of_probabilities() {
    for bad in [
        [0.5, f32::NAN],
        [-0.1, 1.1],
        [1.01, 0.0],
        [f32::INFINITY, 0.0],
        [0.0, 0.0],
        [0.5, 0.52],
        [0.5, 0.48],
    ] {
        let p = ndarray::stack![ndarray::Axis(0), array![0.5, 0.5], array![0.508, 0.5], ndarray::arr1(&bad)];
        let draws = || p.clone().insert_axis(ndarray::Axis(1));
        let ids = || Signals::new(vec![4, 6, 8]);
        for refused in [
            ids().with_probabilities(p.clone()),
            ids().with_monte_carlo(draws()),
            ids().with_committee(ndarray::concatenate![
                ndarray::Axis(1),
                draws().slice(ndarray::s![..1, .., ..]).broadcast((3, 1, 2)).unwrap(),
                draws()
            ]),
        ] {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains("where: id 8\n") && error.contains("\n  hint: "), "{error}");
        }
    }
}

#[test]
fn nothing_asked_or_nothing_left_is_an_empty_selection() {
    let nothing = pool(&[], Array2::zeros((0, 2)));
    let something = pool(&[1, 2], array![[0.5, 0.5], [0.1, 0.9]]);
    for name in PLAIN {
        assert!(select(name, &nothing, 5, 1).unwrap().ids.is_empty());
        assert!(select(name, &something, 0, 1).unwrap().ids.is_empty());
    }
}

#[test]
fn more_than_is_left_takes_all_and_says_so() {
    let unlabelled = pool(&[1, 2], array![[0.5, 0.5], [0.1, 0.9]]);
    let labelled = Signals::default();
    for (n, said) in [(2, 0), (3, 1)] {
        for name in PLAIN {
            let mut warnings = Vec::new();
            let mut hear = |event: Event<'_>| {
                if let Event::Warning(text) = event {
                    warnings.push(text.to_string());
                }
                Flow::Continue
            };
            let query = Query {
                unlabelled: &unlabelled,
                labelled: &labelled,
                labels: &[],
                classes: 2,
                n,
                seed: Seed::new(1),
            };
            let selection = STRATEGIES.by_name(name).unwrap().select(&query, &mut hear).unwrap();
            assert_eq!((selection.ids.len(), warnings.len()), (2, said), "{name}");
            assert!(warnings.iter().all(|text| text.contains("asked for 3") && text.contains("2 are left")));
        }
    }
}

#[test]
fn random_prefers_no_image_and_no_place_in_the_order() {
    let ids: Vec<Id> = (0..20).map(|n| 100 + 7 * n).collect();
    let unlabelled = Signals::new(ids.clone());
    let (draws, n) = (4_000, 5);
    let mut chosen = vec![0_u32; 20];
    let mut first = vec![0_u32; 20];
    for seed in 0..draws {
        let selection = select("random", &unlabelled, n, seed).unwrap();
        assert!(selection.scores.iter().all(|&score| score == 0.0));
        for (place, id) in selection.ids.iter().enumerate() {
            let row = ids.iter().position(|other| other == id).unwrap();
            chosen[row] += 1;
            first[row] += u32::from(place == 0);
        }
    }
    // Chi-square with 19 degrees of freedom is above 50 once in 10,000 times; the seeds are fixed.
    let chi_square = |counts: &[u32], expected: f64| {
        counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum::<f64>()
    };
    assert!(chi_square(&chosen, draws as f64 * n as f64 / 20.0) < 50.0, "{chosen:?}");
    assert!(chi_square(&first, draws as f64 / 20.0) < 50.0, "{first:?}");
    assert_ne!(
        select("random", &unlabelled, n, 1).unwrap().ids,
        select("random", &unlabelled, n, 2).unwrap().ids
    );
}

#[test]
fn the_same_seed_in_every_round_does_not_ask_for_the_neighbours_of_the_last_picks() {
    // 100 classes of 100 images, listed class by class, and nothing that sets one image apart: ten
    // rounds of ten reach 63.6 of the classes by chance, with a standard deviation of 3.
    let any = |rows: usize, columns: usize| {
        let seed = Seed::new(1);
        Array2::from_shape_fn((rows, columns), |(i, j)| (seed.key("x", (8 * i + j) as u64) >> 40) as f32)
    };
    let features = any(10_000, 8);
    for name in ["random", "badge", "galaxy", "power-bald"] {
        let mut reached = 0;
        for seed in 0..5 {
            let mut left: Vec<Id> = (0..10_000).collect();
            let mut classes = HashSet::new();
            for _ in 0..10 {
                let rows: Vec<usize> = left.iter().map(|&id| id as usize).collect();
                let unlabelled = pool(&left, Array2::from_elem((left.len(), 2), 0.5))
                    .with_embedding(features.select(ndarray::Axis(0), &rows))
                    .and_then(|s| s.with_monte_carlo(ndarray::Array3::from_elem((left.len(), 2, 2), 0.5)))
                    .unwrap();
                let ids = select(name, &unlabelled, 10, seed).unwrap().ids;
                classes.extend(ids.iter().map(|id| id / 100));
                left.retain(|id| !ids.contains(id));
            }
            reached += classes.len();
        }
        assert!((5 * 59..=5 * 69).contains(&reached), "{name} reached {} of 100 classes", reached / 5);
    }
}

#[test]
fn every_name_is_known_and_an_unknown_one_gets_the_nearest() {
    for name in STRATEGIES.names() {
        assert!(STRATEGIES.by_name(name).is_ok(), "{name}");
    }
    let text = |name| STRATEGIES.by_name(name).err().unwrap().to_string();
    for (typed, meant) in
        [("entrpy", "entropy"), ("VaBAL", "vabal"), ("least_confidence", "least-confidence")]
    {
        assert!(text(typed).contains(&format!("did you mean \"{meant}\"?")), "{}", text(typed));
    }
    let far = text("gradient-embedding");
    assert!(
        far.contains("docs/strategies.md") && STRATEGIES.names().iter().all(|name| far.contains(name)),
        "{far}"
    );
}

#[test]
fn a_strategy_says_which_array_it_misses() {
    let ids = Signals::new(vec![1, 2]);
    for name in &PLAIN[1..] {
        let error = select(name, &ids, 1, 1).unwrap_err().to_string();
        assert!(error.contains("needs probabilities"), "{error}");
        assert_eq!(STRATEGIES.by_name(name).unwrap().needs(), Needs::PROBABILITIES);
    }
    assert_eq!(STRATEGIES.by_name("random").unwrap().needs(), Needs::IDS);
    let error = select("vabal-paper", &ids, 1, 1).unwrap_err().to_string();
    assert!(error.contains("needs "), "{error}");
    let needs = STRATEGIES.by_name("vabal-paper").unwrap().needs();
    assert_eq!(needs, Needs::STAGES.and(Needs::PREDICTED));
    assert!(Signals::new(vec![1]).stages().is_err() && Signals::new(vec![1]).predicted().is_err());
}

#[test]
fn arrays_that_do_not_fit_the_ids_are_refused_with_both_numbers() {
    let ids = || Signals::new(vec![1, 2, 3]);
    for error in [
        ids().with_probabilities(Array2::zeros((2, 4))).unwrap_err(),
        ids().with_stages(vec![Array2::zeros((3, 4)), Array2::zeros((2, 4))]).unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(text.contains("expected: 3 rows") && text.contains("got: 2 rows"), "{text}");
    }
    assert!(ids().with_stages(Vec::<Array2<f32>>::new()).is_err());
    for columns in [0, 1] {
        let error = ids().with_probabilities(Array2::zeros((3, columns))).unwrap_err().to_string();
        assert!(error.contains("at least 2 columns"), "{error}");
    }
}

#[test]
fn the_predicted_class_is_the_largest_and_the_lowest_among_equals() {
    let p = array![[0.2, 0.5, 0.3], [0.4, 0.2, 0.4], [0.1, 0.2, 0.7]];
    assert_eq!(pool(&[1, 2, 3], p).predicted().unwrap(), [1, 0, 2]);
}
