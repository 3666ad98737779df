//! What a map must keep, and what must not change it.

use ndarray::Array2;
use proptest::prelude::*;

use super::*;
use crate::Error;
use crate::kernels::exact_squared_distance;
use crate::progress::{Flow, silent};

/// Points of `groups` clouds in ten dimensions, in turn.
fn clouds(n: usize, groups: usize) -> Array2<f32> {
    let mut draws = vec![0.0; (n + groups) * 10];
    Seed::new(5).normals("clouds").fill(&mut draws);
    let at = |row: usize, column: usize| draws[row * 10 + column];
    Array2::from_shape_fn((n, 10), |(row, column)| at(row, column) + 8.0 * at(n + row % groups, column))
}

fn map(features: &Array2<f32>, threads: usize) -> Array2<f32> {
    let ids: Vec<Id> = (0..features.nrows() as Id).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| layout(features.view(), &ids, Seed::new(1), &mut silent()).unwrap())
}

#[test]
fn neighbours_stay_neighbours_more_than_with_two_components() {
    let features = clouds(600, 6);
    let ids: Vec<Id> = (0..600).collect();
    let plain = Pca::fit(features.view(), &ids, 2, Seed::new(1), &mut silent()).unwrap();
    let plain = plain.transform(features.view()).unwrap();
    let kept = |map: ArrayView2<'_, f32>| preserved(features.view(), map, (10, 10), &mut silent()).unwrap();
    let (found, plain) = (kept(map(&features, 2).view()), kept(plain.view()));
    assert!(found > 0.25 && found > 2.0 * plain, "{found} with a map, {plain} with two components");
    // The nearest on the map are of the same cloud.
    let shown = nearest(map(&features, 2).view(), 5, &mut silent()).unwrap();
    assert!(shown.indexed_iter().all(|((row, _), &other)| row % 6 == other as usize % 6));
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let features = clouds(1500, 4);
    let one = map(&features, 1);
    assert_eq!(one, map(&features, 3));
    assert!(one.iter().all(|v| v.is_finite()));
    assert!(one.mean_axis(ndarray::Axis(0)).unwrap().iter().all(|v| v.abs() < 1e-3));
}

#[test]
fn few_points_and_equal_ones_have_places() {
    for n in [1, 2, 3, 17] {
        let map = map(&clouds(n, 1), 1);
        assert!(map.dim() == (n, 2) && map.iter().all(|v| v.is_finite()), "{n}: {map}");
    }
    let map = map(&Array2::from_elem((900, 4), 2.5), 2);
    assert!(map.iter().all(|v| v.is_finite()));
    let none = layout(Array2::zeros((0, 4)).view(), &[], Seed::new(1), &mut silent());
    assert!(none.unwrap_err().to_string().contains("0 rows"));
}

#[test]
fn it_tells_how_far_it_is_and_stops() {
    let features = clouds(100, 2);
    let ids: Vec<Id> = (0..100).collect();
    for at in ["pca", "neighbours", "layout"] {
        let mut stop = |event: Event<'_>| match event {
            Event::Progress { phase, .. } if phase == at => Flow::Stop,
            _ => Flow::Continue,
        };
        assert!(
            matches!(layout(features.view(), &ids, Seed::new(1), &mut stop), Err(Error::Stopped)),
            "{at}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_nearest_are_those_that_comparing_each_with_each_finds(
        n in 0..90_usize, k in 1..20_usize, values in prop::collection::vec(-4..4_i8, 270)
    ) {
        // Small whole numbers: many are equally near, and no distance is rounded.
        let points = Array2::from_shape_fn((n, 3), |(row, column)| f32::from(values[row * 3 + column]));
        let found = nearest(points.view(), k, &mut silent()).unwrap();
        prop_assert_eq!(found.ncols(), k.min(n.saturating_sub(1)));
        for (row, found) in found.rows().into_iter().enumerate() {
            let distance = |other: &u32| {
                let (a, b) = (points.row(row).to_vec(), points.row(*other as usize).to_vec());
                exact_squared_distance(&a, &b)
            };
            let mut others: Vec<u32> = (0..n as u32).filter(|&other| other as usize != row).collect();
            others.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
            others.truncate(k);
            prop_assert_eq!(found.to_vec(), others);
        }
    }
}
