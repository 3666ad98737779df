//! BADGE beside gradients that are written out.

use std::collections::HashSet;

use ndarray::Array2;
use rand_distr::{Distribution, StandardNormal};

use super::*;
use crate::progress::{Flow, silent};
use crate::term;
use crate::{Error, Id, Seed};
use crate::{STRATEGIES, Signals};

fn signals(ids: Vec<Id>, p: &[Vec<f32>], x: &[Vec<f32>]) -> Signals<'static> {
    let array = |rows: &[Vec<f32>]| {
        Array2::from_shape_vec((rows.len(), rows.first().map_or(2, Vec::len)), rows.concat()).unwrap()
    };
    Signals::new(ids).with_probabilities(array(p)).unwrap().with_embedding(array(x)).unwrap()
}

fn select(pool: &Signals<'_>, n: usize, seed: u64) -> Result<Selection> {
    let labelled = Signals::default();
    let classes = pool.classes().unwrap_or(2);
    let query =
        Query { unlabelled: pool, labelled: &labelled, labels: &[], classes, n, seed: Seed::new(seed) };
    query.check(&Badge)?;
    Badge.select(&query, &mut silent())
}

/// Normal features; probabilities of which some are all but certain.
fn arrays(rows: usize, classes: usize, width: usize, seed: u64) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
    let mut rng = Seed::new(seed).stream("arrays");
    let mut normal =
        |columns: usize| -> Vec<f32> { (0..columns).map(|_| StandardNormal.sample(&mut rng)).collect() };
    let softmax = |(row, logits): (usize, Vec<f32>)| -> Vec<f32> {
        let sharp = [1.0, 3.0, 8.0][row % 3];
        let powers: Vec<f32> = logits.iter().map(|logit| (sharp * logit).exp()).collect();
        powers.iter().map(|power| power / powers.iter().sum::<f32>()).collect()
    };
    let p = (0..rows).map(|row| softmax((row, normal(classes)))).collect();
    (p, (0..rows).map(|_| normal(width)).collect())
}

/// (p − onehot(ŷ)) ⊗ x, written out.
fn gradient(p: &[f32], x: &[f32]) -> Vec<f64> {
    let predicted = argmax(p.iter().copied()) as usize;
    let a = p.iter().enumerate().map(|(class, &p)| f64::from(p) - f64::from(u8::from(class == predicted)));
    a.flat_map(|a| x.iter().map(move |&x| a * f64::from(x))).collect()
}

fn squared(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

#[test]
fn the_gradient_is_of_the_predicted_label_and_the_largest_is_first() {
    // −p in place of p − onehot(ŷ) would have the certain one first.
    let pool = signals(vec![3, 8], &[vec![0.9, 0.1], vec![0.5, 0.5]], &[vec![1.0, 2.0], vec![1.0, 2.0]]);
    let selection = select(&pool, 2, 1).unwrap();
    assert_eq!((&selection.ids[..], &selection.scores[..]), (&[8, 3][..], &[0.0, -1.0][..]));
    let near = |name, expected: [f64; 2]| {
        let got = selection.term(name).unwrap();
        assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{name}: {got:?}");
    };
    near("gradient", [2.5_f64.sqrt(), 0.1_f64.sqrt()]);
    // a is [−½, ½] and [−0.1, 0.1].
    near("distance", [2.5_f64.sqrt(), (2.0 * 0.4 * 0.4 * 5.0_f64).sqrt()]);
    near("predicted", [0.0, 0.0]);
    near("confidence", [0.5, f64::from(0.9_f32)]);
}

#[test]
fn every_pick_is_as_far_from_those_before_as_gradients_written_out_say() {
    for (rows, classes, width, n) in [(1500, 5, 20, 150), (300, 1000, 8, 20), (90, 3, 4, 90)] {
        let (p, x) = arrays(rows, classes, width, 1);
        let g: Vec<Vec<f64>> = p.iter().zip(&x).map(|(p, x)| gradient(p, x)).collect();
        let selection = select(&signals((0..rows as Id).collect(), &p, &x), n, 2).unwrap();
        assert_eq!(selection.ids.iter().collect::<HashSet<_>>().len(), n);
        let zero = vec![0.0; classes * width];
        let (distances, sizes) =
            (selection.term(term::DISTANCE).unwrap(), selection.term(term::GRADIENT).unwrap());
        let largest = g.iter().map(|g| squared(g, &zero)).fold(0.0, f64::max);
        for (place, &id) in selection.ids.iter().enumerate() {
            let own = &g[id as usize];
            let nearest = selection.ids[..place].iter().map(|&other| squared(own, &g[other as usize]));
            let nearest = if place == 0 { largest } else { nearest.fold(f64::INFINITY, f64::min) };
            assert!((distances[place].powi(2) - nearest).abs() < 1e-5 * largest, "{place}: {nearest}");
            assert!((sizes[place].powi(2) - squared(own, &zero)).abs() < 1e-5 * largest);
        }
    }
}

#[test]
fn the_draws_go_with_the_squared_distance_at_every_place_of_the_batch() {
    let (rows, n, draws) = (12, 6, 30_000_u64);
    let (p, x) = arrays(rows, 3, 2, 5);
    let g: Vec<Vec<f64>> = p.iter().zip(&x).map(|(p, x)| gradient(p, x)).collect();
    let pool = signals((0..rows as Id).collect(), &p, &x);
    // What each pick's chance was, added up, against how often it was picked: a martingale, whose
    // variance is known.
    let mut excess = vec![vec![0.0; rows]; n];
    let mut variance = vec![vec![0.0; rows]; n];
    for seed in 0..draws {
        let ids = select(&pool, n, seed).unwrap().ids;
        for place in 1..n {
            let of = |g_of: &Vec<f64>| {
                ids[..place].iter().map(|&id| squared(g_of, &g[id as usize])).fold(f64::INFINITY, f64::min)
            };
            let nearest: Vec<f64> = g.iter().map(of).collect();
            let total: f64 = nearest.iter().sum();
            for (row, nearest) in nearest.iter().enumerate() {
                let chance = nearest / total;
                excess[place][row] += f64::from(u8::from(ids[place] == row as Id)) - chance;
                variance[place][row] += chance * (1.0 - chance);
            }
        }
    }
    for place in 1..n {
        for row in 0..rows {
            // Five standard deviations, of 60 numbers: once in 30,000 tries; the seeds are fixed.
            let deviations = excess[place][row] / variance[place][row].sqrt().max(1e-9);
            assert!(deviations.abs() < 5.0, "place {place}, row {row}: {deviations}");
        }
    }
}

#[test]
fn what_equals_a_pick_is_not_drawn_while_others_are_left_and_then_follows_by_size() {
    // Four different gradients, ten times each; of the two smallest one is 0.
    let p = [vec![0.6, 0.4], vec![0.5, 0.5], vec![0.9, 0.1], vec![1.0, 0.0]];
    let x = [vec![1.0, 3.0], vec![0.3, -2.0], vec![0.1, 0.2], vec![5.0, 5.0]];
    let repeat = |rows: &[Vec<f32>]| -> Vec<Vec<f32>> { (0..40).map(|row| rows[row % 4].clone()).collect() };
    let pool = signals((0..40).collect(), &repeat(&p), &repeat(&x));
    let size = |kind: usize| squared(&gradient(&p[kind], &x[kind]), &[0.0; 4]);
    for seed in 0..50 {
        let selection = select(&pool, 40, seed).unwrap();
        let kinds: Vec<usize> = selection.ids.iter().map(|&id| id as usize % 4).collect();
        assert_eq!(kinds[..4].iter().collect::<HashSet<_>>().len(), 4, "{kinds:?}");
        assert!(kinds[4..].is_sorted_by(|&a, &b| size(a) >= size(b)));
        assert_eq!(selection.ids.iter().collect::<HashSet<_>>().len(), 40);
        assert!(selection.term(term::DISTANCE).unwrap()[4..].iter().all(|&distance| distance == 0.0));
    }
}

#[test]
fn certain_predictions_alone_are_taken_by_their_ids() {
    let pool = signals(vec![5, 3, 9, 1], &vec![vec![0.0, 1.0]; 4], &vec![vec![1.0, 2.0]; 4]);
    let selection = select(&pool, 3, 1).unwrap();
    assert_eq!(selection.ids, [1, 3, 5]);
    assert_eq!(selection.term(term::GRADIENT), Some(&[0.0; 3][..]));
}

#[test]
fn neither_the_order_of_the_pool_nor_threads_nor_the_scale_of_the_features_change_the_batch() {
    let (p, x) = arrays(2000, 5, 20, 3);
    let ids: Vec<Id> = (0..2000).map(|row| row * 7 % 2003).collect();
    let expected = select(&signals(ids.clone(), &p, &x), 100, 4).unwrap();
    let reversed = |rows: &[Vec<f32>]| -> Vec<Vec<f32>> { rows.iter().rev().cloned().collect() };
    let backwards = signals(ids.iter().rev().copied().collect(), &reversed(&p), &reversed(&x));
    assert_eq!(select(&backwards, 100, 4).unwrap(), expected);
    for count in 1..=4 {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
        assert_eq!(threads.install(|| select(&backwards, 100, 4).unwrap()), expected);
    }
    assert_ne!(select(&backwards, 100, 5).unwrap().ids, expected.ids);
    for power in [-90, 90] {
        let scaled: Vec<Vec<f32>> =
            x.iter().map(|row| row.iter().map(|value| value * 2_f32.powi(power)).collect()).collect();
        let selection = select(&signals(ids.clone(), &p, &scaled), 100, 4).unwrap();
        assert_eq!(selection.ids, expected.ids, "{power}");
        let sizes =
            selection.term(term::GRADIENT).unwrap().iter().zip(expected.term(term::GRADIENT).unwrap());
        assert!(sizes.into_iter().all(|(a, b)| (a / 2_f64.powi(power) - b).abs() < 1e-5 * b));
    }
}

#[test]
fn nothing_asked_nothing_left_and_more_than_is_left() {
    let pool = signals(vec![4, 2], &[vec![0.5, 0.5], vec![0.2, 0.8]], &[vec![1.0, 0.0], vec![0.0, 1.0]]);
    assert!(select(&pool, 0, 1).unwrap().ids.is_empty());
    assert_eq!(select(&pool, 9, 1).unwrap().ids.len(), 2);
    assert!(select(&signals(vec![], &[], &[]), 3, 1).unwrap().ids.is_empty());
    let one = signals(vec![4], &[vec![0.5, 0.5]], &[vec![1.0, 0.0]]);
    assert_eq!(select(&one, 1, 1).unwrap().ids, [4]);
}

#[test]
fn values_that_are_wrong_are_named_by_their_id_and_missing_arrays_by_their_name() {
    for bad in [f32::NAN, f32::INFINITY] {
        let pool = signals(vec![4, 8], &[vec![0.5, 0.5], vec![0.5, 0.5]], &[vec![1.0, 1.0], vec![0.0, bad]]);
        let error = select(&pool, 1, 1).unwrap_err().to_string();
        assert!(error.contains("id 8"), "{error}");
    }
    let error = select(&Signals::new(vec![1]), 1, 1).unwrap_err().to_string();
    assert!(error.contains("needs probabilities"), "{error}");
    assert_eq!(STRATEGIES.by_name("badge").unwrap().needs(), Needs::PROBABILITIES.and(Needs::EMBEDDING));
    assert!(STRATEGIES.by_name("badge").unwrap().is_batch());
}

#[test]
fn it_can_be_stopped() {
    let (p, x) = arrays(100, 3, 4, 1);
    let pool = signals((0..100).collect(), &p, &x);
    let labelled = Signals::default();
    let query =
        Query { unlabelled: &pool, labelled: &labelled, labels: &[], classes: 3, n: 9, seed: Seed::new(1) };
    let mut heard = 0;
    let mut stop = |_: Event<'_>| {
        heard += 1;
        if heard == 3 { Flow::Stop } else { Flow::Continue }
    };
    assert!(matches!(Badge.select(&query, &mut stop), Err(Error::Stopped)));
}
