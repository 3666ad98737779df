//! Core-set picks beside the plain algorithm in f64.

use std::collections::HashSet;

use ndarray::Array2;
use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};
use rand::RngExt as _;
use rand_distr::{Distribution, StandardNormal};

use super::*;
use crate::progress::{Flow, silent};
use crate::term;
use crate::{Error, Seed};
use crate::{STRATEGIES, Signals};

fn signals(ids: Vec<Id>, rows: &[Vec<f32>]) -> Signals<'static> {
    let width = rows.first().map_or(3, Vec::len);
    let values = Array2::from_shape_vec((rows.len(), width), rows.concat()).unwrap();
    Signals::new(ids).with_embedding(values).unwrap()
}

fn select(pool: &Signals<'_>, labelled: &Signals<'_>, n: usize) -> Result<Selection> {
    let labels = vec![0; labelled.len()];
    let query = Query { unlabelled: pool, labelled, labels: &labels, classes: 2, n, seed: Seed::new(1) };
    query.check(&CoreSet)?;
    CoreSet.select(&query, &mut silent())
}

/// The plain algorithm: after each pick the distance of every candidate from it.
fn naive(ids: &[Id], pool: &[Vec<f32>], labelled: &[Vec<f32>], n: usize) -> (Vec<Id>, Vec<f64>) {
    let mut nearest: Vec<f64> = pool
        .iter()
        .map(|x| labelled.iter().map(|c| exact_squared_distance(x, c)).fold(f64::INFINITY, f64::min))
        .collect();
    let mut left: Vec<usize> = (0..pool.len()).collect();
    left.sort_by_key(|&row| ids[row]);
    let (mut picks, mut distances) = (Vec::new(), Vec::new());
    for _ in 0..n.min(pool.len()) {
        let mut at = 0;
        for other in 1..left.len() {
            if nearest[left[other]] > nearest[left[at]] {
                at = other;
            }
        }
        let row = left.remove(at);
        picks.push(ids[row]);
        distances.push(nearest[row].sqrt());
        for &other in &left {
            nearest[other] = nearest[other].min(exact_squared_distance(&pool[other], &pool[row]));
        }
    }
    if labelled.is_empty() && !distances.is_empty() {
        let most = pool.iter().map(|x| exact_squared_distance(x, &pool[row_of(ids, picks[0])]).sqrt());
        distances[0] = most.fold(0.0, f64::max);
    }
    (picks, distances)
}

fn row_of(ids: &[Id], id: Id) -> usize {
    ids.iter().position(|&other| other == id).unwrap()
}

fn normal(rows: usize, width: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut rng = Seed::new(seed).stream("rows");
    (0..rows).map(|_| (0..width).map(|_| StandardNormal.sample(&mut rng)).collect()).collect()
}

/// Tight clusters far apart.
fn clustered(rows: usize, width: usize, seed: u64) -> Vec<Vec<f32>> {
    let centres = normal(10, width, 99);
    let mut rng = Seed::new(seed).stream("clusters");
    let mut rows = normal(rows, width, seed);
    for row in &mut rows {
        let centre = &centres[rng.random_range(0..10)];
        row.iter_mut().zip(centre).for_each(|(value, centre)| *value = (0.1 * *value + centre).max(0.0));
    }
    rows
}

proptest! {
    #[test]
    fn the_picks_are_those_of_the_plain_algorithm_with_ties_and_duplicates_and_in_any_order(
        rows in prop::collection::vec((0_u64..1000, prop::array::uniform3(-2_i8..3)), 0..60),
        labelled in prop::collection::vec(prop::array::uniform3(-2_i8..3), 0..5),
        n in 0_usize..70,
        shift in 0_usize..60,
    ) {
        let unique: std::collections::BTreeMap<Id, [i8; 3]> = rows.into_iter().collect();
        let mut ids: Vec<Id> = unique.keys().copied().collect();
        let shift = shift.min(ids.len());
        ids.rotate_left(shift);
        let float = |row: &[i8; 3]| row.map(f32::from).to_vec();
        let pool: Vec<Vec<f32>> = ids.iter().map(|id| float(&unique[id])).collect();
        let labelled: Vec<Vec<f32>> = labelled.iter().map(float).collect();
        let known = signals((1000..).take(labelled.len()).collect(), &labelled);
        let selection = select(&signals(ids.clone(), &pool), &known, n).unwrap();
        let (picks, distances) = naive(&ids, &pool, &labelled, n);
        prop_assert_eq!(&selection.ids, &picks);
        prop_assert!(selection.scores.iter().zip(&distances).all(|(a, b)| (a - b).abs() < 1e-12));
        prop_assert_eq!(selection.term(term::DISTANCE), Some(&selection.scores[..]));
        prop_assert_eq!(picks.iter().collect::<HashSet<_>>().len(), picks.len());
    }
}

#[test]
fn the_picks_are_those_of_the_plain_algorithm_on_many_rows() {
    for (rows, width, labelled, n) in
        [(3000, 40, 0, 200), (3000, 40, 300, 200), (700, 600, 70, 60), (5000, 3, 9, 400)]
    {
        for make in [normal, clustered] {
            let (pool, known) = (make(rows, width, 1), make(labelled, width, 2));
            let ids: Vec<Id> = (0..rows as Id).rev().collect();
            let labelled = signals((rows as Id..).take(labelled).collect(), &known);
            let selection = select(&signals(ids.clone(), &pool), &labelled, n).unwrap();
            let (picks, distances) = naive(&ids, &pool, &known, n);
            assert_eq!(selection.ids, picks, "{rows} {width}");
            for (a, b) in selection.scores.iter().zip(&distances) {
                assert!((a - b).abs() < 1e-6 * b, "{a} {b}");
            }
            assert!(selection.scores.is_sorted_by(|a, b| a >= b));
        }
    }
}

#[test]
fn what_f32_cannot_tell_apart_is_told_apart_in_f64() {
    // From 0: 1, and the square root of 1 + 1e-10.
    let pool = [vec![1.0, 0.0, 0.0], vec![1.0, 1e-5, 0.0], vec![0.5, 0.0, 0.0]];
    let labelled = signals(vec![9], &[vec![0.0; 3]]);
    let selection = select(&signals(vec![0, 1, 2], &pool), &labelled, 1).unwrap();
    assert_eq!(selection.ids, [1]);
}

#[test]
fn without_a_labelled_pool_the_lowest_id_is_first_and_has_the_distance_of_the_second() {
    let pool = [vec![1.0, 0.0, 0.0], vec![4.0, 4.0, 0.0], vec![0.0, 0.0, 0.0]];
    let selection = select(&signals(vec![7, 5, 3], &pool), &Signals::default(), 2).unwrap();
    assert_eq!((selection.ids, selection.scores), (vec![3, 5], vec![32_f64.sqrt(); 2]));
    let alone = select(&signals(vec![7], &pool[..1]), &Signals::default(), 1).unwrap();
    assert_eq!((alone.ids, alone.scores), (vec![7], vec![0.0]));
}

#[test]
fn equal_images_are_nothing_apart_and_come_last_by_their_ids() {
    let pool = vec![vec![0.1, 0.7, 1e-3]; 500];
    let ids: Vec<Id> = (0..500).rev().collect();
    for labelled in [signals(vec![1000], &pool[..1]), Signals::default()] {
        let selection = select(&signals(ids.clone(), &pool), &labelled, 20).unwrap();
        assert_eq!(selection.ids, (0..20).collect::<Vec<Id>>());
        assert!(selection.scores.iter().all(|&score| score == 0.0));
    }
}

#[test]
fn features_whose_squares_leave_f32_give_finite_distances_and_the_same_picks() {
    let pool = normal(200, 5, 3);
    let ids: Vec<Id> = (0..200).collect();
    let expected = select(&signals(ids.clone(), &pool), &Signals::default(), 30).unwrap();
    for power in [-100, -60, 60, 120] {
        let factor = 2_f32.powi(power);
        let scaled: Vec<Vec<f32>> =
            pool.iter().map(|row| row.iter().map(|value| value * factor).collect()).collect();
        let selection = select(&signals(ids.clone(), &scaled), &Signals::default(), 30).unwrap();
        assert_eq!(selection.ids, expected.ids, "{power}");
        for (a, b) in selection.scores.iter().zip(&expected.scores) {
            assert!((a / f64::from(factor) - b).abs() < 1e-9 * b, "{power}: {a} {b}");
        }
    }
}

#[test]
fn nothing_asked_nothing_left_and_more_than_is_left() {
    let pool = signals(vec![4, 2], &[vec![1.0, 0.0, 0.0], vec![0.0, 1.0, 0.0]]);
    assert!(select(&pool, &Signals::default(), 0).unwrap().ids.is_empty());
    assert_eq!(select(&pool, &Signals::default(), 9).unwrap().ids, [2, 4]);
    assert!(select(&signals(vec![], &[]), &pool, 3).unwrap().ids.is_empty());
    assert!(select(&Signals::default(), &Signals::default(), 3).unwrap().ids.is_empty());
}

#[test]
fn a_feature_that_is_not_finite_is_named_by_its_id_in_either_pool() {
    let good = signals(vec![4], &[vec![1.0, 0.0, 0.0]]);
    for bad in [f32::NAN, f32::INFINITY] {
        let bad = signals(vec![8], &[vec![1.0, bad, 0.0]]);
        for (pool, labelled) in [(&good, &bad), (&bad, &good)] {
            let error = select(pool, labelled, 1).unwrap_err().to_string();
            assert!(error.contains("id 8") && error.contains("not finite"), "{error}");
        }
    }
    let error = select(&Signals::new(vec![1]), &Signals::default(), 1).unwrap_err().to_string();
    assert!(error.contains("needs features"), "{error}");
}

#[test]
fn threads_change_nothing_and_it_can_be_stopped() {
    let (pool, known) = (normal(3000, 40, 1), normal(300, 40, 2));
    let (pool, known) = (signals((0..3000).collect(), &pool), signals((3000..3300).collect(), &known));
    let expected = select(&pool, &known, 100).unwrap();
    for count in 1..=4 {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
        assert_eq!(threads.install(|| select(&pool, &known, 100).unwrap()), expected);
    }
    let labels = vec![0; 300];
    let query =
        Query { unlabelled: &pool, labelled: &known, labels: &labels, classes: 2, n: 9, seed: Seed::new(1) };
    let mut heard = 0;
    let mut stop = |_: Event<'_>| {
        heard += 1;
        if heard == 3 { Flow::Stop } else { Flow::Continue }
    };
    assert!(matches!(CoreSet.select(&query, &mut stop), Err(Error::Stopped)));
}

#[test]
fn it_is_known_by_name_as_a_batch_and_can_be_balanced() {
    let strategy = STRATEGIES.by_name("core-set").unwrap();
    assert!(strategy.is_batch());
    assert_eq!((strategy.needs(), strategy.needs_of_labelled()), (Needs::EMBEDDING, Needs::EMBEDDING));
    let pool =
        signals((0..50).collect(), &normal(50, 3, 1)).with_predicted((0..50).map(|row| row % 2).collect());
    let labelled = Signals::default();
    let query = Query {
        unlabelled: &pool.unwrap(),
        labelled: &labelled,
        labels: &[],
        classes: 2,
        n: 6,
        seed: Seed::new(1),
    };
    let balanced = crate::strategies::balanced::Balanced::of(strategy).select(&query, &mut silent()).unwrap();
    let predicted = balanced.term(term::PREDICTED).unwrap();
    assert_eq!(predicted.iter().sum::<f64>(), 3.0);
}
