//! Two dimensions from features, for a map on which neighbours stay neighbours: t-SNE (van der
//! Maaten and Hinton 2008).
//!
//! [`layout`] takes principal components, finds the nearest neighbours of every point by comparing
//! each with each, gives all edges of that graph one weight (Böhm, Berens and Kobak 2022), begins
//! with the first two components (Kobak and Berens 2019), and computes the repulsion by a tree
//! (Barnes and Hut 1986, van der Maaten 2014). Decision 0026 says why, and why no library.
//!
//! ```
//! use ndarray::Array2;
//! use vabal_query::layout::layout;
//! use vabal_query::progress::silent;
//! use vabal_query::rng::Seed;
//!
//! let features = Array2::from_shape_fn((40, 3), |(row, column)| ((row % 2) * 9 + (row * column) % 5) as f32);
//! let ids: Vec<u64> = (0..40).collect();
//! let map = layout(features.view(), &ids, Seed::new(1), &mut silent())?;
//! assert_eq!(map.dim(), (40, 2));
//! # Ok::<(), vabal_query::Error>(())
//! ```
//!
//! Never here: what the points are, how they are shown.

mod near;
#[cfg(test)]
mod tests;
mod tree;

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use crate::error::Result;
use crate::pca::Pca;
use crate::progress::{Event, Progress, report};
use crate::{Id, Seed};

pub use near::nearest;
use tree::Tree;

/// Principal components that neighbours are found in.
const COMPONENTS: usize = 50;
/// Neighbours that attract a point.
const NEIGHBOURS: usize = 15;
/// Steps in which the attraction is [`EXAGGERATION`] times as strong, so that groups find each
/// other.
const EARLY: usize = 250;
/// All steps.
const STEPS: usize = 750;
const EXAGGERATION: f32 = 12.0;
/// How far a point moves in a step, at most.
const LONGEST: f32 = 5.0;
/// Standard deviation of the first positions.
const SPREAD: f32 = 1e-4;
/// Points of a task.
const CHUNK: usize = 256;

type Point = [f32; 2];

/// Positions [n, 2] of features [n, d] on a map whose middle is 0. The same bits with any number of
/// threads. Reports the phases "pca", "neighbours" and "layout".
///
/// It takes a time that grows as n² for the neighbours: seconds for 100,000 points, and as n·log n
/// for the rest.
///
/// # Errors
/// Another number of ids than of rows, no row or column, features that are not finite;
/// [`Error::Stopped`](crate::Error::Stopped).
pub fn layout(
    features: ArrayView2<'_, f32>,
    ids: &[Id],
    seed: Seed,
    progress: &mut Progress<'_>,
) -> Result<Array2<f32>> {
    let components = COMPONENTS.min(features.ncols());
    let points = Pca::fit(features, ids, components, seed, progress)?.transform(features)?;
    let near = nearest(points.view(), NEIGHBOURS, progress)?;
    let graph = Graph::of(&near);
    let mut positions = first(points.view(), seed);
    let mut moves: Vec<Move> = vec![Move { speed: [0.0; 2], gain: [1.0; 2] }; positions.len()];
    for done in 0..STEPS {
        let event = Event::Progress { phase: "layout", done, total: STEPS, unit: "step", loss: None };
        report(progress, event)?;
        step(&graph, &mut positions, &mut moves, done < EARLY);
    }
    report(
        progress,
        Event::Progress { phase: "layout", done: STEPS, total: STEPS, unit: "step", loss: None },
    )?;
    let n = positions.len().max(1) as f64;
    let middle = [0, 1].map(|axis| positions.iter().map(|at| f64::from(at[axis])).sum::<f64>() / n);
    Ok(Array2::from_shape_fn((positions.len(), 2), |(row, axis)| {
        (f64::from(positions[row][axis]) - middle[axis]) as f32
    }))
}

/// The first two components, small, and a little chance that keeps equal points apart.
fn first(points: ArrayView2<'_, f32>, seed: Seed) -> Vec<Point> {
    let n = points.nrows();
    let mut draws = vec![0.0; 2 * n];
    seed.normals("layout").fill(&mut draws);
    // Their mean is 0.
    let variance = points.column(0).iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n.max(1) as f64;
    let scale = if variance > 0.0 { f64::from(SPREAD) / variance.sqrt() } else { 0.0 };
    let at = |row: usize, axis: usize| {
        let component = if axis < points.ncols() { f64::from(points[[row, axis]]) } else { 0.0 };
        (component * scale) as f32 + 0.01 * SPREAD * draws[2 * row + axis]
    };
    (0..n).map(|row| [at(row, 0), at(row, 1)]).collect()
}

/// Who attracts whom, both ways: p of t-SNE, row by row. It adds up to 1.
struct Graph {
    /// Where the edges of each point begin; one more, where the last end.
    starts: Vec<u32>,
    edges: Vec<(u32, f32)>,
}

impl Graph {
    /// Of the neighbours of each point.
    fn of(near: &Array2<u32>) -> Self {
        let (n, k) = near.dim();
        let mut back: Vec<Vec<u32>> = vec![Vec::new(); n];
        for (from, row) in near.rows().into_iter().enumerate() {
            row.iter().for_each(|&to| back[to as usize].push(from as u32));
        }
        let weight = 1.0 / (2.0 * n.max(1) as f32 * k.max(1) as f32);
        let mut graph = Self { starts: vec![0], edges: Vec::with_capacity(2 * n * k) };
        for (row, back) in near.rows().into_iter().zip(&mut back) {
            back.extend(row);
            back.sort_unstable();
            let same = back.chunk_by(|a, b| a == b);
            graph.edges.extend(same.map(|same| (same[0], weight * same.len() as f32)));
            graph.starts.push(graph.edges.len() as u32);
        }
        graph
    }

    fn of_point(&self, point: usize) -> &[(u32, f32)] {
        &self.edges[self.starts[point] as usize..self.starts[point + 1] as usize]
    }
}

/// How a point moves.
#[derive(Debug, Clone, Copy)]
struct Move {
    speed: Point,
    /// Grows while the direction stays (Jacobs 1988).
    gain: Point,
}

/// One step down the gradient, of all points at once: none sees where another has got to meanwhile.
fn step(graph: &Graph, positions: &mut Vec<Point>, moves: &mut [Move], early: bool) {
    let (momentum, exaggeration) = if early { (0.5, EXAGGERATION) } else { (0.8, 1.0) };
    let rate = (positions.len() as f32 / EXAGGERATION).max(200.0);
    let tree = Tree::of(positions);
    let (repulsion, all) = tree.repulsion();
    let before = &*positions;
    let mut after = before.clone();
    let chunks = after.par_chunks_mut(CHUNK).zip(moves.par_chunks_mut(CHUNK)).enumerate();
    chunks.for_each(|(chunk, (after, moves))| {
        for (place, (at, moving)) in after.iter_mut().zip(moves).enumerate() {
            let point = chunk * CHUNK + place;
            let mut gradient = [0.0; 2];
            for &(other, weight) in graph.of_point(point) {
                let [x, y] = before[other as usize];
                let (dx, dy) = (at[0] - x, at[1] - y);
                let pull = exaggeration * weight / (1.0 + dx * dx + dy * dy);
                gradient[0] += pull * dx;
                gradient[1] += pull * dy;
            }
            for axis in 0..2 {
                let slope = gradient[axis] - repulsion[point][axis] / all;
                let (speed, gain) = (&mut moving.speed[axis], &mut moving.gain[axis]);
                *gain = if slope * *speed < 0.0 { *gain + 0.2 } else { *gain * 0.8 }.max(0.01);
                *speed = momentum * *speed - rate * *gain * slope;
            }
            let length = moving.speed[0].hypot(moving.speed[1]);
            if length > LONGEST {
                moving.speed = moving.speed.map(|speed| speed * LONGEST / length);
            }
            *at = [at[0] + moving.speed[0], at[1] + moving.speed[1]];
        }
    });
    *positions = after;
}

/// The share of the `k` nearest in `features` that are among the `among` nearest on a map, over
/// some of the points: 1 where no neighbour was lost.
///
/// # Errors
/// [`Error::Stopped`](crate::Error::Stopped).
pub fn preserved(
    features: ArrayView2<'_, f32>,
    map: ArrayView2<'_, f32>,
    (k, among): (usize, usize),
    progress: &mut Progress<'_>,
) -> Result<f64> {
    let (near, shown) = (nearest(features, k, progress)?, nearest(map, among, progress)?);
    let kept = |(near, shown): (ndarray::ArrayView1<'_, u32>, ndarray::ArrayView1<'_, u32>)| {
        near.iter().filter(|one| shown.iter().any(|other| other == *one)).count()
    };
    let kept: usize = near.rows().into_iter().zip(shown.rows()).map(kept).sum();
    Ok(kept as f64 / near.len().max(1) as f64)
}
