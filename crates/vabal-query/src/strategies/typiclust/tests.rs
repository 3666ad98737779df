//! Against the algorithm written out in f64, and what it is for: the first round.

use ndarray::Array2;
use proptest::prelude::{ProptestConfig, prop, prop_assert, prop_assert_eq, proptest};
use rand_distr::{Distribution, StandardNormal};

use super::*;
use crate::progress::silent;
use crate::term;
use crate::{Id, Label, Seed, Signals};

fn select(settings: Settings, features: &Array2<f32>, labelled: usize, n: usize) -> Selection {
    told(settings, features, labelled, n, &mut silent()).unwrap()
}

fn told(
    settings: Settings,
    features: &Array2<f32>,
    labelled: usize,
    n: usize,
    progress: &mut Progress<'_>,
) -> Result<Selection> {
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
        classes: 2,
        n,
        seed: Seed::new(2),
    };
    TypiClust(settings).select(&query, progress)
}

/// The authors' loop, with plain distances and clusters that run out: ids and typicalities.
fn written_out(settings: Settings, features: &Array2<f32>, labelled: usize, n: usize) -> Vec<(Id, f64)> {
    let points = Points::new(features.rows().into_iter().map(|row| row.to_slice().unwrap()).collect());
    let k = (labelled + n).min(settings.max_clusters);
    let clusters = k_means(&points, k, &mut Seed::new(2).stream("k-means"), &mut silent()).unwrap();
    let mut order: Vec<usize> = (0..clusters.members.len()).collect();
    let size = |c: usize| clusters.members[c].len();
    let known = |c: usize| clusters.members[c].iter().filter(|&&i| i < labelled).count();
    order.sort_by(|&a, &b| {
        let key = |c: usize| (known(c), -(size(c) as i64), clusters.members[c][0]);
        key(a).cmp(&key(b))
    });
    let mut open: Vec<bool> = (0..features.nrows()).map(|i| i >= labelled).collect();
    let mut picks = Vec::new();
    for is_small in [false, true] {
        let order: Vec<usize> =
            order.iter().copied().filter(|&c| (size(c) < settings.min_cluster) == is_small).collect();
        let left = |open: &[bool], c: usize| -> Vec<usize> {
            clusters.members[c].iter().copied().filter(|&i| open[i]).collect()
        };
        while order.iter().any(|&c| !left(&open, c).is_empty()) {
            for &c in &order {
                let left = left(&open, c);
                if left.is_empty() || picks.len() == n {
                    continue;
                }
                let k = settings.neighbours.min(left.len() / 2).max(1);
                let mean = |&i: &usize| {
                    let distance = |&j: &usize| -> f64 {
                        let pairs = features.row(i).into_iter().zip(features.row(j));
                        pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>().sqrt()
                    };
                    let mut others: Vec<f64> = left.iter().filter(|&&j| j != i).map(distance).collect();
                    others.sort_by(f64::total_cmp);
                    others.truncate(k);
                    if others.is_empty() {
                        f64::INFINITY
                    } else {
                        others.iter().sum::<f64>() / others.len() as f64
                    }
                };
                let means: Vec<f64> = left.iter().map(mean).collect();
                let least = means.iter().copied().fold(f64::INFINITY, f64::min);
                let best = means.iter().position(|&mean| mean <= least + 1e-12 * least).unwrap();
                open[left[best]] = false;
                let typicality = if least.is_finite() { 1.0 / (least + 1e-5) } else { 0.0 };
                picks.push((left[best] as Id, typicality));
            }
            if picks.len() == n {
                break;
            }
        }
    }
    picks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn batches_are_those_of_the_algorithm_written_out(
        seed in 0_u64..1000,
        rows in 2_usize..150,
        labelled in 0_usize..20,
        n in 1_usize..160,
        max_clusters in 1_usize..30,
        neighbours in 1_usize..25,
        grid in prop::bool::ANY,
    ) {
        let mut rng = Seed::new(seed).stream("features");
        let mut features: Array2<f32> =
            Array2::from_shape_simple_fn((rows, 4), || StandardNormal.sample(&mut rng));
        if grid {
            features.mapv_inplace(f32::round);
        }
        let labelled = labelled.min(rows - 1);
        let settings = Settings { max_clusters, neighbours, min_cluster: 5 };
        let n = n.min(rows - labelled);
        let selection = select(settings, &features, labelled, n);
        let expected = written_out(settings, &features, labelled, n);
        let typicality = selection.term(term::TYPICALITY).unwrap();
        for (place, &(id, typical)) in expected.iter().enumerate() {
            prop_assert_eq!(selection.ids[place], id, "place {}", place);
            prop_assert!((typicality[place] - typical).abs() <= 1e-9 * typical);
            prop_assert_eq!(selection.scores[place], -(place as f64));
        }
        prop_assert_eq!(selection.ids.len(), expected.len());
    }
}

/// Clusters of the given sizes, one after the other, far apart.
fn planted(sizes: &[usize]) -> Array2<f32> {
    let mut rng = Seed::new(9).stream("noise");
    let of: Vec<usize> =
        sizes.iter().enumerate().flat_map(|(c, &size)| std::iter::repeat_n(c, size)).collect();
    Array2::from_shape_fn((of.len(), 8), |(i, j)| {
        let noise: f32 = StandardNormal.sample(&mut rng);
        noise + if j == of[i] % 8 { 100.0 * (1 + of[i] / 8) as f32 } else { 0.0 }
    })
}

#[test]
fn the_first_round_asks_for_one_of_each_cluster_the_largest_first() {
    let features = planted(&[40, 90, 20, 60]);
    let cluster = |id: Id| [40, 130, 150, 210].iter().position(|&end| (id as usize) < end).unwrap();
    let chosen = select(Settings::default(), &features, 0, 4);
    assert_eq!(chosen.ids.iter().map(|&id| cluster(id)).collect::<Vec<_>>(), [1, 3, 0, 2]);
    assert_eq!(chosen.term(term::CLUSTER_SIZE).unwrap(), [90.0, 60.0, 40.0, 20.0]);
    assert_eq!(chosen.term(term::CLUSTER_LABELLED).unwrap(), [0.0; 4]);
}

#[test]
fn clusters_with_labels_and_small_ones_come_last() {
    // Clusters 0 (the first 6 rows labelled, so that it has labels), 1, 2 and a small one of 4.
    let features = planted(&[60, 30, 20, 4]);
    let cluster = |id: Id| [60, 90, 110, 114].iter().position(|&end| (id as usize) < end).unwrap();
    let settings = Settings { max_clusters: 4, ..Settings::default() };
    let chosen = select(settings, &features, 6, 5);
    assert_eq!(chosen.ids.iter().map(|&id| cluster(id)).collect::<Vec<_>>(), [1, 2, 0, 1, 2]);
    assert_eq!(chosen.term(term::CLUSTER_LABELLED).unwrap(), [0.0, 0.0, 6.0, 0.0, 0.0]);
    let all = select(settings, &features, 6, 1000);
    assert_eq!(all.ids.len(), 108);
    assert!(
        all.ids[104..].iter().all(|&id| cluster(id) == 3),
        "the small cluster only when all else is taken"
    );
}

#[test]
fn settings_out_of_range_are_named() {
    let settings = Settings::default();
    for (key, bad) in [
        ("max_clusters", Settings { max_clusters: 0, ..settings }),
        ("neighbours", Settings { neighbours: 0, ..settings }),
        ("min_cluster", Settings { min_cluster: 0, ..settings }),
    ] {
        assert!(bad.check().unwrap_err().to_string().contains(key));
    }
}

#[test]
fn stopping_is_heard_within_a_cluster_of_any_size() {
    let mut rng = Seed::new(3).stream("points");
    let features = Array2::from_shape_simple_fn((AT_ONCE + 500, 2), || StandardNormal.sample(&mut rng));
    let settings = Settings { max_clusters: 1, ..Settings::default() };
    let mut heard = Vec::new();
    let stopped = told(settings, &features, 0, 2, &mut |event: Event<'_>| match event {
        Event::Progress { phase: "neighbours", done, total, .. } => {
            heard.push((done, total));
            crate::Flow::Stop
        }
        _ => crate::Flow::Continue,
    });
    assert!(matches!(stopped, Err(crate::Error::Stopped)));
    assert_eq!(heard, [(AT_ONCE, AT_ONCE + 500)]);
}
