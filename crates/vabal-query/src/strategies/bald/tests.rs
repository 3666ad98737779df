//! BALD and its batches, and the committees, against the formulas written out in f64.

use ndarray::{Array3, ArrayView2, Axis, array, s};
use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
use rand::RngExt as _;

use super::*;
use crate::Signals;
use crate::rng::Seed;
use crate::strategies::committee::{self, Committee};
use crate::term;
use crate::{Id, progress::silent};
use crate::{Query, Strategy};

/// Draws that are sure of themselves to a degree of their own, so that gains differ.
fn any_draws(n: usize, draws: usize, classes: usize, seed: u64) -> Array3<f32> {
    let mut rng = Seed::new(seed).stream("draws");
    let mut p = Array3::from_shape_simple_fn((n, draws, classes), || rng.random::<f32>().powi(4) + 1e-3);
    for mut row in p.lanes_mut(Axis(2)) {
        let sum = row.sum();
        row.mapv_inplace(|value| value / sum);
    }
    p
}

fn pool(ids: Vec<Id>, draws: Array3<f32>) -> Signals<'static> {
    Signals::new(ids).with_monte_carlo(draws.clone()).and_then(|s| s.with_committee(draws)).unwrap()
}

fn ask(strategy: &dyn Strategy, unlabelled: &Signals<'_>, n: usize, seed: u64) -> Result<Selection> {
    let labelled = Signals::default();
    let query = Query { unlabelled, labelled: &labelled, labels: &[], classes: 3, n, seed: Seed::new(seed) };
    strategy.select(&query, &mut silent())
}

fn entropy(p: impl IntoIterator<Item = f64>) -> f64 {
    p.into_iter().filter(|&p| p > 0.0).map(|p| -p * p.ln()).sum()
}

fn mean(draws: ArrayView2<'_, f32>) -> Vec<f64> {
    draws.mapv(f64::from).mean_axis(Axis(0)).unwrap().to_vec()
}

fn aleatoric(draws: ArrayView2<'_, f32>) -> f64 {
    let each = draws.rows().into_iter().map(|p| entropy(p.iter().map(|&p| f64::from(p))));
    each.sum::<f64>() / draws.nrows() as f64
}

/// H(E p) − E H(p)
fn information(draws: ArrayView2<'_, f32>) -> f64 {
    entropy(mean(draws)) - aleatoric(draws)
}

/// H of the labels of `batch` together less the mean over draws of theirs: the joint written out
/// over all C^b of them.
fn joint_information(p: &Array3<f32>, batch: &[usize]) -> f64 {
    let (_, draws, classes) = p.dim();
    let mut all = vec![vec![1.0; draws]];
    for &row in batch {
        all = (all.iter())
            .flat_map(|of| {
                (0..classes).map(move |c| (0..draws).map(|t| of[t] * f64::from(p[[row, t, c]])).collect())
            })
            .collect();
    }
    let joint = entropy(all.iter().map(|of: &Vec<f64>| of.iter().sum::<f64>() / draws as f64));
    joint - batch.iter().map(|&row| aleatoric(p.index_axis(Axis(0), row))).sum::<f64>()
}

#[test]
fn bald_is_the_mutual_information_of_label_and_parameters() {
    for (draws, classes) in [(1, 2), (2, 3), (7, 10), (100, 3), (3, 1000)] {
        let p = any_draws(20, draws, classes, 1);
        let selection = ask(&Bald::default(), &pool((0..20).collect(), p.clone()), 20, 1).unwrap();
        for ((&id, &score), row) in selection.ids.iter().zip(&selection.scores).zip(0..) {
            let of = p.index_axis(Axis(0), id as usize);
            assert!((score - information(of)).abs() < 1e-5, "{draws} {classes}: {score} {}", information(of));
            assert!((selection.term(term::ALEATORIC).unwrap()[row] - aleatoric(of)).abs() < 1e-5);
        }
    }
}

#[test]
fn bald_wants_disagreement_and_not_doubt() {
    // Sure and contradicting each other; in doubt and of one mind; sure and of one mind.
    let p = array![[[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5], [0.5, 0.5]], [[1.0, 0.0], [1.0, 0.0]]];
    let selection = ask(&Bald::default(), &pool(vec![5, 6, 7], p), 3, 1).unwrap();
    assert_eq!(selection.ids, [5, 6, 7]);
    assert!((selection.scores[0] - std::f64::consts::LN_2).abs() < 1e-6);
    assert_eq!(&selection.scores[1..], [0.0, 0.0]);
}

#[test]
fn power_bald_draws_by_the_power_of_the_score() {
    let p = any_draws(5, 4, 3, 3);
    let weights: Vec<f64> = p.outer_iter().map(|of| information(of).powf(0.5)).collect();
    let unlabelled = pool((0..5).collect(), p);
    let strategy = PowerBald(PowerSettings { beta: 0.5, ..PowerSettings::default() });
    let mut first = [0.0; 5];
    const ASKED: u64 = 4000;
    for seed in 0..ASKED {
        let selection = ask(&strategy, &unlabelled, 2, seed).unwrap();
        assert!(selection.scores.is_sorted_by(|a, b| a >= b) && selection.ids[0] != selection.ids[1]);
        first[selection.ids[0] as usize] += 1.0 / ASKED as f64;
    }
    for (share, weight) in first.iter().zip(&weights) {
        let expected = weight / weights.iter().sum::<f64>();
        assert!((share - expected).abs() < 0.03, "{first:?} {weights:?}");
    }
}

proptest! {
    #[test]
    fn batch_bald_takes_what_says_the_most_together(seed in 0_u64..40, n in 4_usize..9) {
        let p = any_draws(n, 6, 3, seed);
        let strategy = BatchBald(BatchSettings { samples: 100_000, ..BatchSettings::default() });
        let selection = ask(&strategy, &pool((0..n as Id).collect(), p.clone()), 4, 1).unwrap();
        let mut batch: Vec<usize> = Vec::new();
        for (&id, &gain) in selection.ids.iter().zip(&selection.scores) {
            let before = joint_information(&p, &batch);
            let with = |row: usize| joint_information(&p, &[&batch[..], &[row]].concat()) - before;
            let best = (0..n).filter(|row| !batch.contains(row)).map(with).fold(f64::MIN, f64::max);
            prop_assert!((with(id as usize) - best).abs() < 1e-5, "{} is not the best {best}", with(id as usize));
            prop_assert!((gain - best).abs() < 1e-5, "{gain} {best}");
            batch.push(id as usize);
        }
    }

    #[test]
    fn order_and_threads_change_no_batch(seed in 0_u64..5) {
        let p = any_draws(30, 8, 3, seed);
        let up = pool((0..30).collect(), p.clone());
        let down = pool((0..30).rev().collect(), p.slice(s![..;-1, .., ..]).to_owned());
        let members = |measure| Committee(committee::Settings { measure, members: 8 });
        let strategies: [Box<dyn Strategy>; 6] = [
            Box::new(Bald::default()),
            Box::new(PowerBald::default()),
            Box::new(BatchBald(BatchSettings { samples: 50, ..BatchSettings::default() })),
            Box::new(members(committee::Disagreement::VariationRatio)),
            Box::new(members(committee::Disagreement::VoteEntropy)),
            Box::new(members(committee::Disagreement::MutualInformation)),
        ];
        for strategy in &strategies {
            let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            let expected = one.install(|| ask(&**strategy, &up, 12, 3)).unwrap();
            let ids: std::collections::HashSet<Id> = expected.ids.iter().copied().collect();
            prop_assert_eq!(ids.len(), 12);
            prop_assert!(expected.scores.is_sorted_by(|a, b| a >= b), "{:?}", expected.scores);
            prop_assert_eq!(&expected, &ask(&**strategy, &up, 12, 3).unwrap());
            prop_assert_eq!(&expected, &ask(&**strategy, &down, 12, 3).unwrap());
        }
    }
}

#[test]
fn drawn_configurations_come_near_the_joint_written_out() {
    let p = any_draws(6, 10, 3, 5);
    let batch = [0, 1, 2, 3];
    let draws: Vec<ArrayView2<'_, f32>> = batch.iter().map(|&row| p.index_axis(Axis(0), row)).collect();
    let joint = Joint::drawn(&draws, 20_000, &mut Seed::new(1).stream("configurations"));
    for row in [4, 5] {
        let of = p.index_axis(Axis(0), row);
        let got = joint.entropy_with(of, true, &mut Array2::zeros((0, 0))) - aleatoric(of);
        let expected = joint_information(&p, &[0, 1, 2, 3, row]) - joint_information(&p, &batch);
        assert!((got - expected).abs() < 0.01, "{got} {expected}");
    }
}

#[test]
fn batch_bald_does_not_ask_the_same_twice_over() {
    // Two pairs of duplicates: BALD takes both of a pair, the batch one of each.
    let sure = any_draws(1, 6, 3, 7).index_axis(Axis(0), 0).to_owned();
    let other = any_draws(1, 6, 3, 8).index_axis(Axis(0), 0).to_owned();
    let p = ndarray::stack(Axis(0), &[sure.view(), sure.view(), other.view(), other.view()]).unwrap();
    let batch = ask(&BatchBald::default(), &pool(vec![1, 2, 3, 4], p), 2, 1).unwrap();
    assert!(batch.ids == [1, 3] || batch.ids == [3, 1], "{:?}", batch.ids);
}

#[test]
fn votes_are_counted_by_hand() {
    let (a, b, c) = ([0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]);
    let members = [[a, a, a, a], [a, a, a, b], [a, a, b, b], [a, a, b, c]];
    let p = Array3::from_shape_fn((4, 4, 3), |(row, member, class)| members[row][member][class] as f32);
    let ln = |p: f64| -p * p.ln();
    let cases = [
        (committee::Disagreement::VariationRatio, [0.0, 0.25, 0.5, 0.5]),
        (
            committee::Disagreement::VoteEntropy,
            [0.0, ln(0.25) + ln(0.75), 2.0 * ln(0.5), ln(0.5) + 2.0 * ln(0.25)],
        ),
    ];
    for (measure, expected) in cases {
        let strategy = Committee(committee::Settings { measure, members: 4 });
        let selection = ask(&strategy, &pool(vec![0, 1, 2, 3], p.clone()), 4, 1).unwrap();
        for (&id, &score) in selection.ids.iter().zip(&selection.scores) {
            assert!((score - expected[id as usize]).abs() < 1e-9, "{measure:?} {id}: {score}");
        }
        assert_eq!(selection.ids.last(), Some(&0));
    }
    let by_votes = ask(&Committee::default(), &pool(vec![0, 1, 2, 3], p), 4, 1).unwrap();
    // 2 and 3 have equal votes; over 3 the members disagree more.
    assert_eq!(by_votes.ids, [3, 2, 1, 0]);
}

#[test]
fn draws_that_are_missing_are_named() {
    let nothing = Signals::new(vec![1]);
    assert!(ask(&Bald::default(), &nothing, 1, 1).unwrap_err().to_string().contains("needs Monte-Carlo"));
    assert!(ask(&Committee::default(), &nothing, 1, 1).unwrap_err().to_string().contains("needs committee"));
}

#[test]
fn the_edges_of_a_batch() {
    let empty = pool(Vec::new(), Array3::zeros((0, 4, 3)));
    let one = pool(vec![3], any_draws(1, 4, 3, 1));
    let zeros = pool((0..5).collect(), Array3::from_elem((5, 4, 3), 1.0 / 3.0));
    for strategy in [&Bald::default() as &dyn Strategy, &PowerBald::default(), &BatchBald::default()] {
        assert!(ask(strategy, &empty, 3, 1).unwrap().ids.is_empty());
        assert!(ask(strategy, &one, 0, 1).unwrap().ids.is_empty());
        assert_eq!(ask(strategy, &one, 3, 1).unwrap().ids, [3]);
        assert_eq!(ask(strategy, &zeros, 5, 1).unwrap().ids.len(), 5);
    }
    assert_eq!(ask(&BatchBald::default(), &zeros, 5, 1).unwrap().ids, [0, 1, 2, 3, 4]);
}
