//! Against the greedy maximum written out in f64, and what it is for: finding more of a rare class.

use proptest::prelude::{ProptestConfig, prop, prop_assert, proptest};
use rand_distr::{Distribution, StandardNormal};

use super::*;
use crate::Label;
use crate::progress::silent;
use crate::term;
use crate::{Id, Seed, Signals};

/// The first rows are labelled. Ids are rows.
fn select(
    settings: Settings,
    features: &Array2<f32>,
    labels: &[Label],
    classes: usize,
    n: usize,
) -> Selection {
    let signals = |rows: std::ops::Range<usize>| {
        let ids = rows.clone().map(|row| row as Id).collect();
        Signals::new(ids).with_embedding(features.slice(s![rows, ..]).to_owned()).unwrap()
    };
    let (unlabelled, labelled) = (signals(labels.len()..features.nrows()), signals(0..labels.len()));
    let query =
        Query { unlabelled: &unlabelled, labelled: &labelled, labels, classes, n, seed: Seed::new(2) };
    Similar(settings).select(&query, &mut silent()).unwrap()
}

fn similarity(features: &Array2<f32>, i: usize, j: usize) -> f64 {
    let dot = |i: usize, j: usize| -> f64 {
        features.row(i).iter().zip(features.row(j)).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let lengths = (dot(i, i) * dot(j, j)).sqrt();
    0.5 + 0.5 * if lengths > 0.0 { dot(i, j) / lengths } else { 0.0 }
}

/// The set function of the paper, evaluated from nothing for every candidate of every step: rows
/// and gains.
fn written_out(
    features: &Array2<f32>,
    labels: &[Label],
    rare: &[Label],
    eta: f64,
    n: usize,
) -> Vec<(usize, f64)> {
    let queries: Vec<usize> = (0..labels.len()).filter(|&i| rare.contains(&labels[i])).collect();
    let candidates = labels.len()..features.nrows();
    let value = |set: &[usize]| -> f64 {
        let most =
            |i: usize, of: &[usize]| of.iter().map(|&j| similarity(features, i, j)).fold(0.0, f64::max);
        if queries.is_empty() {
            let with: Vec<usize> = (0..labels.len()).chain(set.iter().copied()).collect();
            return candidates.clone().map(|i| most(i, &with)).sum();
        }
        let represented: f64 = queries.iter().map(|&i| most(i, set)).sum();
        represented + eta * set.iter().map(|&i| most(i, &queries)).sum::<f64>()
    };
    let (mut set, mut picks) = (Vec::new(), Vec::new());
    while picks.len() < n {
        let before = value(&set);
        let mut best: Option<(usize, f64)> = None;
        let open: Vec<usize> = candidates.clone().filter(|i| !set.contains(i)).collect();
        for candidate in open {
            set.push(candidate);
            let gain = value(&set) - before;
            set.pop();
            // Equal but for rounding is equal.
            if best.is_none_or(|(_, most)| gain > most + 1e-7) {
                best = Some((candidate, gain));
            }
        }
        let (candidate, gain) = best.unwrap();
        set.push(candidate);
        picks.push((candidate, gain));
    }
    picks
}

fn normal(rows: usize, columns: usize, seed: u64) -> Array2<f32> {
    let mut rng = Seed::new(seed).stream("features");
    Array2::from_shape_simple_fn((rows, columns), || StandardNormal.sample(&mut rng))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn batches_are_those_of_the_greedy_maximum_written_out(
        seed in 0_u64..1000,
        rows in 1_usize..40,
        labels in prop::collection::vec(0_u32..4, 0..20),
        n in 1_usize..15,
        eta in prop::sample::select(vec![0.0, 0.3, 1.0]),
    ) {
        let features = normal(labels.len() + rows, 5, seed);
        let count = |class: Label| labels.iter().filter(|&&label| label == class).count();
        let rare: Vec<Label> = (0..4).filter(|&class| 4 * count(class) < labels.len()).collect();
        let n = n.min(rows);
        let expected = written_out(&features, &labels, &rare, eta, n);
        let selection = select(Settings { eta, rare: 1.0 }, &features, &labels, 4, n);
        for (place, &(row, gain)) in expected.iter().enumerate() {
            prop_assert!((selection.scores[place] - gain).abs() < 1e-5, "{} {gain}", selection.scores[place]);
            // Where several add the same but for rounding any of them will do, and the rest may
            // differ.
            if selection.ids[place] != row as Id {
                break;
            }
        }
    }
}

#[test]
fn equal_images_go_by_the_lowest_id_and_none_is_asked_twice() {
    // Each image three times over.
    let once = normal(30, 40, 5);
    let features = Array2::from_shape_fn((90, 40), |(i, j)| once[[i % 30, j]]);
    let labels: Vec<Label> = vec![0, 0, 0, 0, 0, 1, 2];
    for labels in [&labels[..], &labels[..0]] {
        let chosen = select(Settings::default(), &features, labels, 3, 90 - labels.len());
        for (place, &id) in chosen.ids.iter().enumerate() {
            let before = (labels.len() as Id..id).filter(|&other| other % 30 == id % 30);
            assert!(before.into_iter().all(|other| chosen.ids[..place].contains(&other)), "{id}");
        }
    }
}

#[test]
fn a_duplicate_of_what_is_chosen_adds_exactly_nothing() {
    for width in [3, 40, 129] {
        let once = normal(30, width, 5);
        let features = Array2::from_shape_fn((60, width), |(i, j)| once[[i % 30, j]]);
        let chosen = select(Settings::default(), &features, &[], 3, 60);
        assert!(chosen.scores[29] > 0.0, "{:?}", chosen.scores);
        assert_eq!(chosen.scores[30..], [0.0; 30], "width {width}");
        // Then all add the same, and come by their ids.
        assert!(chosen.ids[30..].is_sorted(), "{:?}", &chosen.ids[30..]);
    }
}

/// Class 0 with 400 images, 1 with 200 and 2 with 15, each round a direction of its own, in any
/// order.
fn planted() -> (Array2<f32>, Vec<Label>) {
    let noise = normal(615, 16, 8);
    let class = |i: usize| if i % 41 == 3 { 2 } else { Label::from(i % 3 == 1) };
    let of: Vec<Label> = (0..615).map(class).collect();
    (
        Array2::from_shape_fn((615, 16), |(i, j)| {
            noise[[i, j]] + if j == of[i] as usize { 6.0 } else { 0.0 }
        }),
        of,
    )
}

#[test]
fn images_of_the_rare_class_are_found() {
    let (features, of) = planted();
    let labels = &of[..60];
    let rare = labels.iter().filter(|&&label| label == 2).count();
    assert_eq!(rare, 2);
    let chosen = select(Settings { rare: 0.5, ..Settings::default() }, &features, labels, 3, 13);
    let found = chosen.ids.iter().filter(|&&id| of[id as usize] == 2).count();
    assert!(found >= 11, "{found} of 13");
    assert!(chosen.term(term::CLASS).unwrap().iter().all(|&class| class == 2.0));
    assert!(chosen.term(term::SIMILARITY).unwrap().iter().all(|&s| s > 0.6 && s <= 1.0));
    assert_eq!(chosen.term(term::REPRESENTED).unwrap()[..1], [2.0]);
}

#[test]
fn with_no_rare_class_the_batch_represents_the_pool() {
    let (features, of) = planted();
    let chosen = select(Settings::default(), &features, &[], 3, 3);
    let classes: Vec<Label> = chosen.ids.iter().map(|&id| of[id as usize]).collect();
    assert_eq!(classes[..2], [0, 1]);
    assert_eq!(chosen.term(term::REPRESENTED).unwrap()[0], 615.0);
    assert_eq!(chosen.term(term::CLASS), None);
    // Classes 0 and 1 labelled once each, 2 not at all: the mean is 2/3, and there is nothing to be
    // like.
    let first = |class| of.iter().position(|&other| other == class).unwrap();
    let rows = [first(0), first(1)].into_iter().chain((0..615).filter(|&i| i != first(0) && i != first(1)));
    let order: Vec<usize> = rows.collect();
    let chosen = select(Settings::default(), &features.select(ndarray::Axis(0), &order), &[0, 1], 3, 30);
    assert!(chosen.ids.iter().any(|&id| of[order[id as usize]] == 2));
}

#[test]
fn more_targets_than_a_tile_and_any_number_of_threads_give_the_same() {
    let features = normal(1800, 6, 1);
    let labels: Vec<Label> = (0..700).map(|i| if i < 600 { 0 } else { 1 }).collect();
    for labels in [&labels[..], &labels[..0]] {
        let expected = select(Settings { rare: 2.0, ..Settings::default() }, &features, labels, 2, 20);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let again = pool
                .install(|| select(Settings { rare: 2.0, ..Settings::default() }, &features, labels, 2, 20));
            assert_eq!(again, expected);
        }
        let gains = |rows: &[Id]| -> f64 {
            let targets: Vec<usize> =
                if labels.is_empty() { (0..1800).collect() } else { (0..700).collect() };
            let most =
                |t: usize| rows.iter().map(|&i| similarity(&features, t, i as usize)).fold(0.0, f64::max);
            targets.into_iter().map(most).sum()
        };
        let bonus: f64 = expected.term(term::SIMILARITY).map_or(0.0, |s| s.iter().sum());
        let sum: f64 = expected.scores.iter().sum();
        assert!((gains(&expected.ids) + bonus - sum).abs() < 1e-3 * sum);
    }
}

#[test]
fn settings_out_of_range_are_named() {
    for (key, bad) in [
        ("rare", Settings { rare: -1.0, ..Settings::default() }),
        ("eta", Settings { eta: f64::NAN, ..Settings::default() }),
    ] {
        assert!(bad.check().unwrap_err().to_string().contains(key));
    }
}
