//! k-means: Lloyd's algorithm (1982) from centres drawn by k-means++ (Arthur & Vassilvitskii 2007).
//!
//! Never here: what the clusters are for.

use ndarray::{Array2, ArrayView1, ArrayView2, s};
use rand::RngExt as _;
use rand::seq::index;
use rayon::prelude::*;

use super::neighbours::{Points, by_rows};
use crate::error::Result;
use crate::kernels::{Threads, matmul, wide};
use crate::progress::{Event, Progress, between_reports, report};
use crate::rng::Rng;

/// Passes after which the clusters are as good as they get.
const PASSES: usize = 30;

/// Distances that the first centres may cost: beyond, they are drawn from a sample of the points.
const DRAWING: usize = 1 << 23;

/// Rows that are looked at together.
const BLOCK: usize = 256;

/// The cluster of each point: at most `k`, none of them empty, and no more than there are different points.
///
/// # Errors
/// [`crate::Error::Stopped`].
pub(super) fn k_means(
    points: &Points<'_>,
    k: usize,
    rng: &mut Rng,
    progress: &mut Progress<'_>,
) -> Result<Clusters> {
    if points.len() == 0 || k == 0 {
        return Ok(Clusters::default());
    }
    let centres = first_centres(points.scaled(), k.min(points.len()), rng, progress)?;
    let (of, _) = lloyd(points.scaled(), centres, progress)?;
    Ok(Clusters::new(of))
}

/// A partition of points.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Clusters {
    /// The cluster of each point.
    pub of: Vec<usize>,
    /// The points of each cluster, ascending; none is empty.
    pub members: Vec<Vec<usize>>,
}

impl Clusters {
    /// Clusters in the order of their first points, so that the numbers that they had mean nothing.
    fn new(mut of: Vec<usize>) -> Self {
        let mut members: Vec<Vec<usize>> = Vec::new();
        let mut number = vec![None; of.iter().max().map_or(0, |max| max + 1)];
        for (point, cluster) in of.iter_mut().enumerate() {
            *cluster = *number[*cluster].get_or_insert_with(|| {
                members.push(Vec::new());
                members.len() - 1
            });
            members[*cluster].push(point);
        }
        Self { of, members }
    }
}

/// k-means++: each next centre is a point drawn with a chance that goes with its squared distance to the centres so
/// far; fewer than `k` where no different points are left.
fn first_centres(
    points: ArrayView2<'_, f32>,
    k: usize,
    rng: &mut Rng,
    progress: &mut Progress<'_>,
) -> Result<Array2<f32>> {
    let sample = (DRAWING / k).max(10 * k).min(points.nrows());
    let mut rows = if sample < points.nrows() {
        index::sample(rng, points.nrows(), sample).into_vec()
    } else {
        (0..points.nrows()).collect()
    };
    rows.sort_unstable();
    let mut centres = Vec::with_capacity(k * points.ncols());
    let mut squared = vec![f32::INFINITY; rows.len()];
    let mut next = rng.random_range(0..rows.len());
    for count in 1..=k {
        let centre = points.row(rows[next]);
        centres.extend(centre);
        report(
            progress,
            Event::Progress { phase: "centres", done: count, total: k, unit: "centre", loss: None },
        )?;
        if count == k {
            break;
        }
        squared.par_chunks_mut(BLOCK).zip(rows.par_chunks(BLOCK)).for_each(|(squared, rows)| {
            wide(
                #[inline(always)]
                || {
                    for (squared, &row) in squared.iter_mut().zip(rows) {
                        *squared = squared.min(distance(points.row(row), centre));
                    }
                },
            );
        });
        let total: f64 = squared.iter().map(|&d| f64::from(d)).sum();
        let mut left = rng.random::<f64>() * total;
        let drawn = squared.iter().position(|&d| {
            left -= f64::from(d);
            left < 0.0
        });
        // By rounding nothing may be left over: then the last that has any chance.
        match drawn.or_else(|| squared.iter().rposition(|&d| d > 0.0)) {
            Some(drawn) => next = drawn,
            None => break,
        }
    }
    let count = centres.len() / points.ncols();
    Ok(Array2::from_shape_vec((count, points.ncols()), centres).unwrap_or_default())
}

/// Squared distance; exactly 0 for equal rows.
#[inline(always)]
fn distance(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> f32 {
    const LANES: usize = 32;
    let (Some(a), Some(b)) = (a.to_slice(), b.to_slice()) else { return 0.0 };
    let mut lanes = [0.0_f32; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += (a - b) * (a - b);
        }
    }
    lanes.iter().sum()
}

/// Moves every point to its nearest centre, the first among equals, and every centre to the mean of its points, until
/// no more than one in a thousand moves. A centre without points stays where it is.
fn lloyd(
    points: ArrayView2<'_, f32>,
    mut centres: Array2<f32>,
    progress: &mut Progress<'_>,
) -> Result<(Vec<usize>, Array2<f32>)> {
    let mut of = vec![usize::MAX; points.nrows()];
    let event = |done| Event::Progress { phase: "cluster", done, total: PASSES, unit: "pass", loss: None };
    for pass in 1..=PASSES {
        let mut moved = 0;
        let each = BLOCK * centres.len();
        let part = BLOCK * between_reports(each, rayon::current_num_threads(), points.nrows());
        for (at, of) in of.chunks_mut(part).enumerate() {
            if at > 0 {
                report(progress, event(pass - 1))?;
            }
            let rows = at * part..at * part + of.len();
            moved += assign(points.slice(s![rows, ..]), centres.view(), of);
        }
        if moved <= points.nrows() / 1000 || pass == PASSES {
            break;
        }
        move_centres(points, &of, &mut centres);
        report(progress, event(pass))?;
    }
    report(progress, event(PASSES))?;
    Ok((of, centres))
}

/// Writes the nearest centre of each point and says how many it was another one of.
fn assign(points: ArrayView2<'_, f32>, centres: ArrayView2<'_, f32>, of: &mut [usize]) -> usize {
    let half: Vec<f32> = centres.rows().into_iter().map(|row| row.dot(&row) / 2.0).collect();
    let moved = of.par_chunks_mut(BLOCK).enumerate().map_init(
        || Array2::zeros((0, 0)),
        |dots, (block, of)| {
            let points = points.slice(s![block * BLOCK..block * BLOCK + of.len(), ..]);
            if dots.nrows() != points.nrows() {
                *dots = Array2::zeros((points.nrows(), centres.nrows()));
            }
            matmul(points, centres.t(), 0.0, dots.view_mut(), Threads::One);
            let mut moved = 0;
            for (dots, of) in dots.rows().into_iter().zip(of) {
                let mut best = (0, f32::NEG_INFINITY);
                for (cluster, (&dot, &half)) in dots.iter().zip(&half).enumerate() {
                    if dot - half > best.1 {
                        best = (cluster, dot - half);
                    }
                }
                moved += usize::from(*of != best.0);
                *of = best.0;
            }
            moved
        },
    );
    moved.sum()
}

fn move_centres(points: ArrayView2<'_, f32>, of: &[usize], centres: &mut Array2<f32>) {
    let mut members = vec![Vec::new(); centres.nrows()];
    of.iter().enumerate().for_each(|(point, &cluster)| members[cluster].push(point));
    let before = std::mem::take(centres);
    *centres = by_rows(before.dim(), |cluster, to| {
        let members = &members[cluster];
        if members.is_empty() {
            to.iter_mut().zip(before.row(cluster)).for_each(|(to, &value)| *to = value);
            return;
        }
        let mut sum = vec![0.0_f64; to.len()];
        for &member in members {
            sum.iter_mut().zip(points.row(member)).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        to.iter_mut().zip(&sum).for_each(|(to, sum)| *to = (sum / members.len() as f64) as f32);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::progress::silent;
    use ndarray::Axis;
    use rand_distr::{Distribution, StandardNormal};

    fn normal(rows: usize, columns: usize, name: &str) -> Array2<f32> {
        let mut rng = Seed::new(3).stream(name);
        Array2::from_shape_simple_fn((rows, columns), || StandardNormal.sample(&mut rng))
    }

    fn clusters(rows: &Array2<f32>, k: usize, seed: u64) -> Clusters {
        let points = Points::new(rows.rows().into_iter().map(|row| row.to_slice().unwrap()).collect());
        k_means(&points, k, &mut Seed::new(seed).stream("k-means"), &mut silent()).unwrap()
    }

    #[test]
    fn lloyd_is_the_plain_algorithm_in_f64_from_the_same_centres() {
        let (points, first) = (normal(700, 9, "points"), normal(13, 9, "centres"));
        let mut centres = first.mapv(f64::from);
        let mut expected = vec![0; 700];
        for _ in 0..PASSES {
            let before = expected.clone();
            for (row, of) in points.rows().into_iter().zip(&mut expected) {
                let squared = |centre: ArrayView1<'_, f64>| -> f64 {
                    centre.iter().zip(row).map(|(c, &x)| (c - f64::from(x)).powi(2)).sum()
                };
                let distances: Vec<f64> = centres.rows().into_iter().map(squared).collect();
                *of = (0..13).min_by(|&a, &b| distances[a].total_cmp(&distances[b])).unwrap();
            }
            if before == expected {
                break;
            }
            for (cluster, mut centre) in centres.rows_mut().into_iter().enumerate() {
                let members: Vec<usize> = (0..700).filter(|&i| expected[i] == cluster).collect();
                if !members.is_empty() {
                    let rows = points.select(Axis(0), &members).mapv(f64::from);
                    centre.assign(&rows.mean_axis(Axis(0)).unwrap());
                }
            }
        }
        let (of, found) = lloyd(points.view(), first, &mut silent()).unwrap();
        assert_eq!(of, expected);
        assert!((&found.mapv(f64::from) - &centres).iter().all(|d| d.abs() < 1e-5));
    }

    #[test]
    fn planted_clusters_are_found_and_numbered_by_their_first_points() {
        let mut rows = normal(300, 5, "noise") * 0.05;
        for (i, mut row) in rows.rows_mut().into_iter().enumerate() {
            row[0] += [0.0, 50.0, 90.0][(i / 7) % 3];
        }
        for seed in 0..20 {
            let found = clusters(&rows, 3, seed);
            assert!((0..300).all(|i| found.of[i] == (i / 7) % 3));
            assert_eq!(found.members.iter().map(Vec::len).sum::<usize>(), 300);
        }
    }

    #[test]
    fn there_are_no_more_clusters_than_different_points_and_none_is_empty() {
        let rows = Array2::from_shape_fn((50, 4), |(i, _)| (i % 3) as f32);
        let found = clusters(&rows, 10, 1);
        assert_eq!(found.members.len(), 3);
        assert!((0..50).all(|i| found.of[i] == i % 3));
        assert_eq!(clusters(&rows, 0, 1), Clusters::default());
        assert_eq!(clusters(&Array2::zeros((5, 2)), 3, 1).members, [vec![0, 1, 2, 3, 4]]);
        let many = clusters(&normal(40, 3, "points"), 40, 1);
        assert!(many.members.len() > 30 && many.members.iter().all(|members| !members.is_empty()));
    }

    #[test]
    fn first_centres_are_drawn_by_squared_distance() {
        // From the point at 0, those at 1 and 3 are drawn 1 to 9.
        let points = ndarray::array![[0.0_f32], [1.0], [3.0]];
        let (mut near, mut far) = (0, 0);
        for seed in 0..20_000 {
            let centres =
                first_centres(points.view(), 2, &mut Seed::new(seed).stream("k-means"), &mut silent())
                    .unwrap();
            assert_ne!(centres[[0, 0]], centres[[1, 0]]);
            if centres[[0, 0]] == 0.0 {
                *(if centres[[1, 0]] == 1.0 { &mut near } else { &mut far }) += 1;
            }
        }
        // Of some 6,700 draws; the seeds are fixed.
        let share = f64::from(near) / f64::from(near + far);
        assert!((share - 0.1).abs() < 0.015, "{near} {far}");
    }

    #[test]
    fn threads_change_nothing() {
        let rows = normal(3000, 20, "points");
        let expected = clusters(&rows, 30, 1);
        for count in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
            assert_eq!(pool.install(|| clusters(&rows, 30, 1)), expected);
        }
    }

    #[test]
    fn drawing_the_first_centres_can_be_stopped() {
        let rows = normal(300, 4, "points");
        let points = Points::new(rows.rows().into_iter().map(|row| row.to_slice().unwrap()).collect());
        let mut told = 0;
        let stopped = k_means(&points, 100, &mut Seed::new(1).stream("k-means"), &mut |_: Event<'_>| {
            told += 1;
            if told < 7 { crate::progress::Flow::Continue } else { crate::progress::Flow::Stop }
        });
        assert!(matches!(stopped, Err(crate::Error::Stopped)) && told == 7);
    }
}
