//! Against all pairs in f64: random points, grids full of ties, duplicates, and values at the ends
//! of f32.

use proptest::prelude::*;
use rand_distr::{Distribution, StandardNormal};

use super::*;
use crate::Seed;
use crate::progress::silent;

fn points(rows: &Array2<f32>) -> Points<'_> {
    Points::new(rows.rows().into_iter().map(|row| row.to_slice().unwrap()).collect())
}

/// Squared distance in f64, in the units of the features.
fn squared(rows: &Array2<f32>, i: usize, j: usize) -> f64 {
    rows.row(i).iter().zip(rows.row(j)).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
}

/// What is compared here: points on a coarse grid, or anywhere, far from 0 or not, of any size.
fn any_points() -> impl Strategy<Value = Array2<f32>> {
    let kinds =
        (1_usize..60, 1_usize..40, 0_u64..1000, 0..4, prop::sample::select(vec![1e-30_f32, 1e-3, 1.0, 1e30]));
    kinds.prop_map(|(n, d, seed, kind, size)| {
        let mut rng = Seed::new(seed).stream("points");
        Array2::from_shape_simple_fn((n, d), || {
            let x: f32 = StandardNormal.sample(&mut rng);
            size * match kind {
                0 => x.round(),
                1 => x,
                2 => 1000.0 + x,
                _ => x.powi(9),
            }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn bounds_hold_what_lies_between_them(rows in any_points()) {
        let points = points(&rows);
        let n = points.len();
        let mut dots = Array2::zeros((0, 0));
        Points::products(points.scaled(), points.range(0..n), &mut dots);
        for i in 0..n {
            for j in 0..n {
                let exact = points.exact(i, j);
                let bounds = points.bounds(i, j, dots[[i, j]]);
                prop_assert!(f64::from(bounds.least) <= exact && exact <= f64::from(bounds.most), "{exact} {bounds:?}");
                prop_assert_eq!(exact, points.exact(j, i));
                let expected = squared(&rows, i, j);
                prop_assert!((points.length(exact) - expected.sqrt()).abs() <= 1e-12 * expected.sqrt());
            }
        }
    }

    #[test]
    fn the_nearest_are_those_of_all_pairs(rows in any_points(), k in 1_usize..25) {
        let points = points(&rows);
        let n = points.len();
        let of: Vec<usize> = (0..n).filter(|i| i % 3 != 1).collect();
        let among: Vec<usize> = (0..n).filter(|i| i % 4 != 2).collect();
        let found = points.neighbours(&of, &among, k);
        for (&i, found) in of.iter().zip(&found) {
            let mut expected: Vec<(f64, usize)> =
                among.iter().filter(|&&j| j != i).map(|&j| (points.exact(i, j), j)).collect();
            expected.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            expected.truncate(k);
            prop_assert_eq!(found, &expected);
        }
        let odd = |i: usize, j: usize| (i + j) % 2 == 1;
        let nearest = points.nearest(&of, &among, odd, "near", &mut silent()).unwrap();
        for (&i, nearest) in of.iter().zip(nearest) {
            let of = among.iter().filter(|&&j| odd(i, j)).map(|&j| points.exact(i, j));
            prop_assert_eq!(nearest, of.fold(f64::INFINITY, f64::min));
        }
    }
}

#[test]
fn more_than_a_tile_and_any_number_of_threads_give_the_same() {
    let mut rng = Seed::new(1).stream("points");
    let rows = Array2::from_shape_simple_fn((1300, 3), || StandardNormal.sample(&mut rng))
        .mapv(|x: f32| (4.0 * x).round());
    let points = points(&rows);
    let all: Vec<usize> = (0..1300).collect();
    let differ = |i: usize, j: usize| i % 5 != j % 5;
    let expected: Vec<f64> = all
        .iter()
        .map(|&i| {
            all.iter().filter(|&&j| differ(i, j)).map(|&j| points.exact(i, j)).fold(f64::INFINITY, f64::min)
        })
        .collect();
    let lists = points.neighbours(&all, &all, 20);
    for count in [1, 2, 3] {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
        let nearest =
            threads.install(|| points.nearest(&all, &all, differ, "near", &mut |_| crate::Flow::Continue));
        assert_eq!(nearest.unwrap(), expected);
        assert_eq!(threads.install(|| points.neighbours(&all, &all, 20)), lists);
    }
    let order: Vec<usize> = (0..1300).rev().collect();
    assert_eq!(points.permuted(&order).exact(0, 7), points.exact(1299, 1292));
}
