//! Against the greedy cover and the rule for the radius written out over all pairs in f64.

use proptest::prelude::{ProptestConfig, prop, prop_assert, prop_assert_eq, proptest};
use rand_distr::{Distribution, StandardNormal};

use super::*;
use crate::progress::silent;
use crate::term;
use crate::{Id, Label, Signals};

fn points(rows: &Array2<f32>) -> Points<'_> {
    Points::new(rows.rows().into_iter().map(|row| row.to_slice().unwrap()).collect())
}

fn select(settings: Settings, features: &Array2<f32>, labelled: usize, n: usize) -> Selection {
    let signals = |rows: std::ops::Range<usize>| {
        let ids = rows.clone().map(|row| row as Id).collect();
        Signals::new(ids).with_embedding(features.slice(ndarray::s![rows, ..]).to_owned()).unwrap()
    };
    let (unlabelled, known) = (signals(labelled..features.nrows()), signals(0..labelled));
    let labels: Vec<Label> = vec![0; labelled];
    let query = Query {
        unlabelled: &unlabelled,
        labelled: &known,
        labels: &labels,
        classes: 3,
        n,
        seed: Seed::new(2),
    };
    ProbCover(settings).select(&query, &mut silent()).unwrap()
}

fn distance(rows: &Array2<f32>, i: usize, j: usize) -> f64 {
    let pairs = rows.row(i).into_iter().zip(rows.row(j));
    pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>().sqrt()
}

/// The cover counted anew for every pick: row, newly covered, radius.
fn written_out(rows: &Array2<f32>, labelled: usize, mut radius: f64, n: usize) -> Vec<(usize, u32, f64)> {
    let all = labelled..rows.nrows();
    let mut known: Vec<usize> = (0..labelled).collect();
    let mut picks = Vec::new();
    while picks.len() < n {
        let near = |i: usize| known.iter().map(|&j| distance(rows, i, j)).fold(f64::INFINITY, f64::min);
        let farthest = all.clone().map(near).fold(0.0, f64::max);
        if farthest == 0.0 {
            picks.extend(all.clone().filter(|i| !known.contains(i)).map(|i| (i, 0, radius)));
            picks.truncate(n);
            break;
        }
        if farthest < radius {
            radius = (radius / 2.0).min(farthest);
        }
        let open: Vec<usize> = all.clone().filter(|&i| near(i) >= radius).collect();
        let covers = |i: usize| open.iter().filter(|&&j| distance(rows, i, j) < radius).count() as u32;
        let counts: Vec<(u32, usize)> =
            all.clone().filter(|i| !known.contains(i)).map(|i| (covers(i), i)).collect();
        let most = counts.iter().map(|&(count, _)| count).max().unwrap();
        let best = counts.iter().find(|&&(count, _)| count == most).unwrap().1;
        known.push(best);
        picks.push((best, most, radius));
    }
    picks
}

fn normal(rows: usize, columns: usize, seed: u64) -> Array2<f32> {
    let mut rng = Seed::new(seed).stream("features");
    Array2::from_shape_simple_fn((rows, columns), || StandardNormal.sample(&mut rng))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn batches_are_those_of_the_greedy_cover_written_out(
        seed in 0_u64..1000,
        rows in 1_usize..70,
        labelled in 0_usize..10,
        n in 1_usize..80,
        radius in 0.2_f64..4.0,
        grid in prop::bool::ANY,
    ) {
        let mut features = normal(rows, 3, seed);
        // On a grid many distances equal the radius, which is outside.
        let radius = if grid { features.mapv_inplace(f32::round); radius.ceil() } else { radius };
        let labelled = labelled.min(rows - 1);
        let n = n.min(rows - labelled);
        let expected = written_out(&features, labelled, radius, n);
        let selection = select(Settings { radius, ..Settings::default() }, &features, labelled, n);
        let ids: Vec<Id> = expected.iter().map(|&(i, ..)| i as Id).collect();
        prop_assert_eq!(&selection.ids, &ids);
        for (place, &(_, covered, radius)) in expected.iter().enumerate() {
            prop_assert_eq!(selection.term(term::COVERED).unwrap()[place], f64::from(covered));
            prop_assert!((selection.term(term::RADIUS).unwrap()[place] - radius).abs() < 1e-9 * radius);
        }
        // Counted anew instead of listed.
        let points = points(&features);
        let cover = |listed| {
            let (open, known) = ((labelled..rows).collect(), (0..labelled).collect());
            cover(&points, open, known, points.square(radius), n, listed, &mut silent()).unwrap()
        };
        prop_assert_eq!(cover(0), cover(LISTED));
        prop_assert_eq!(cover(rows), cover(LISTED));
    }

    #[test]
    fn the_radius_is_the_largest_of_which_so_many_balls_are_pure(
        seed in 0_u64..1000,
        rows in 2_usize..80,
        purity in prop::sample::select(vec![0.05, 0.5, 0.8, 0.95, 1.0]),
    ) {
        let features = normal(rows, 3, seed).mapv(|x| if seed % 2 == 0 { x } else { x.round() });
        let points = points(&features);
        let of = k_means(&points, 3, &mut Seed::new(1).stream("k-means"), &mut silent()).unwrap().of;
        let is_pure = |radius: f64, i: usize| {
            (0..rows).all(|j| of[i] == of[j] || distance(&features, i, j) >= radius)
        };
        let share = |radius| (0..rows).filter(|&i| is_pure(radius, i)).count() as f64 / rows as f64;
        let all = (0..rows).flat_map(|i| (0..rows).map(move |j| (i, j)));
        let good = all.map(|(i, j)| distance(&features, i, j)).filter(|&radius| share(radius) >= purity);
        let expected = good.fold(0.0, f64::max);
        let found = points.length(pure_radius(&points, 3, purity, Seed::new(1), &mut silent()).unwrap());
        if of.iter().all(|&cluster| cluster == 0) {
            prop_assert_eq!(found, f64::INFINITY);
        } else {
            prop_assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
    }
}

#[test]
fn the_last_rows_are_looked_at_like_the_others() {
    // The authors' code drops the last batch that is not full: here the 179 images that lie closest
    // together.
    let rows = 2 * TILE + 179;
    let features = Array2::from_shape_fn((rows, 2), |(i, j)| {
        if i < 2 * TILE { (10 * i + j) as f32 } else { -50.0 - ((i + j) % 7) as f32 / 10.0 }
    });
    for labelled in [0, 5] {
        let selection = select(Settings { radius: 2.0, ..Settings::default() }, &features, labelled, 3);
        assert_eq!(selection.ids[0] as usize, 2 * TILE);
        assert_eq!(selection.term(term::COVERED).unwrap(), [179.0, 1.0, 1.0]);
        assert_eq!(selection.ids[1..], [labelled as Id, labelled as Id + 1]);
    }
}

#[test]
fn tiles_lists_and_threads_change_nothing() {
    let features = normal(3 * TILE - 100, 2, 3).mapv(|x| (20.0 * x).round());
    let points = points(&features);
    let (open, known): (Vec<usize>, Vec<usize>) = (0..points.len()).partition(|i| i % 7 != 3);
    let picks = |listed| {
        let squared = points.square(6.0);
        cover(&points, open.clone(), known.clone(), squared, 60, listed, &mut silent()).unwrap()
    };
    let expected = picks(LISTED);
    assert!(expected[0].covered > expected[59].covered);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| picks(0)), expected);
        assert_eq!(pool.install(|| picks(20_000)), expected);
    }
}

#[test]
fn what_is_covered_by_labels_is_out_and_the_radius_halves_when_all_is() {
    // Two heaps, at 0 and at 10; the labelled image sits in the first, which is the larger.
    let x = [0.0, 0.1, 0.2, 0.3, 0.4, 10.0, 10.1, 10.2];
    let features = Array2::from_shape_fn((8, 1), |(i, _)| x[i]);
    let selection = select(Settings { radius: 1.0, ..Settings::default() }, &features, 1, 7);
    assert_eq!(selection.ids[0], 5);
    assert_eq!(selection.term(term::COVERED).unwrap()[0], 3.0);
    assert_eq!(selection.term(term::RADIUS).unwrap()[0], 1.0);
    // Then nothing is left: 0.4 from the label is the farthest, below the half of 1.
    let radius = selection.term(term::RADIUS).unwrap();
    assert!((radius[1] - 0.4).abs() < 1e-6 && selection.scores[1] < 0.0);
    assert!(selection.scores.is_sorted_by(|a, b| a >= b));
    assert_eq!(selection.ids.len(), 7);
}

#[test]
fn progress_is_told_before_a_stripe_of_a_large_pool_is_through_and_between_picks_without_lists() {
    let large = normal((Balls::TILES + 2) * TILE, 1, 4);
    let all = points(&large);
    let order: Vec<usize> = (0..all.len()).collect();
    let mut told = Vec::new();
    let stopped = Balls::new(&all, order, all.len(), 1e-12, 0, &mut |event: Event<'_>| {
        if let Event::Progress { done, .. } = event {
            told.push(done);
        }
        if told.len() < 2 { crate::progress::Flow::Continue } else { crate::progress::Flow::Stop }
    });
    assert!(matches!(stopped, Err(crate::Error::Stopped)));
    assert_eq!(told, [0, TILE], "the first of them in the middle of the first stripe");

    let features = normal(900, 2, 3);
    let points = points(&features);
    let (mut events, open) = (0, (0..900).collect());
    let picks = cover(&points, open, Vec::new(), points.square(0.5), 20, 0, &mut |event: Event<'_>| {
        events += usize::from(matches!(event, Event::Progress { phase: "choose", .. }));
        crate::progress::Flow::Continue
    });
    assert!(events > picks.unwrap().len(), "{events}");
}

#[test]
fn settings_out_of_range_are_named() {
    for (key, bad) in [
        ("radius", Settings { radius: -1.0, ..Settings::default() }),
        ("radius", Settings { radius: f64::NAN, ..Settings::default() }),
        ("purity", Settings { purity: 0.0, ..Settings::default() }),
    ] {
        assert!(bad.check().unwrap_err().to_string().contains(key));
    }
}
