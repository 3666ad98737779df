//! The nearest neighbours of every point, by comparing each with each, block by block.
//!
//! Never here: what they are used for.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use crate::error::Result;
use crate::kernels::squared_distances;
use crate::progress::{Event, Progress, report};

/// Points of a task.
const ROWS: usize = 32;
/// Points that they are compared with at a time, so that a core keeps them to itself.
const COLUMNS: usize = 512;
/// Points between two looks at the progress callback.
const TOLD: usize = 2048;

/// The rows of the `k` nearest of every row of `points` [n, d] but itself, nearest first, of
/// equally near ones the first: [n, k], fewer columns where there are fewer points. The same with
/// any number of threads.
///
/// # Errors
/// [`Error::Stopped`](crate::Error::Stopped).
pub fn nearest(points: ArrayView2<'_, f32>, k: usize, progress: &mut Progress<'_>) -> Result<Array2<u32>> {
    let n = points.nrows();
    let k = k.min(n.saturating_sub(1));
    let points = points.as_standard_layout();
    let rows: Vec<&[f32]> = points.rows().into_iter().map(|row| row.to_slice().unwrap_or_default()).collect();
    let mut found = vec![0; n * k];
    if k > 0 {
        for (told, found) in found.chunks_mut(TOLD * k).enumerate() {
            tell(progress, told * TOLD, n)?;
            found.par_chunks_mut(ROWS * k).enumerate().for_each(|(task, found)| {
                let start = told * TOLD + task * ROWS;
                block(&rows, start, k, found);
            });
        }
    }
    tell(progress, n, n)?;
    Ok(Array2::from_shape_vec((n, k), found).unwrap_or_default())
}

fn tell(progress: &mut Progress<'_>, done: usize, total: usize) -> Result<()> {
    let total = total.max(1);
    report(progress, Event::Progress { phase: "neighbours", done, total, unit: "point", loss: None })
}

/// The neighbours of the rows from `start` on, `k` each.
fn block(rows: &[&[f32]], start: usize, k: usize, found: &mut [u32]) {
    let of = &rows[start..start + found.len() / k];
    let mut best: Vec<Vec<(f32, u32)>> = vec![Vec::with_capacity(k + 1); of.len()];
    let mut distances = vec![0.0; of.len() * COLUMNS];
    for (number, columns) in rows.chunks(COLUMNS).enumerate() {
        let distances = &mut distances[..of.len() * columns.len()];
        squared_distances(of, columns, distances);
        for (place, (best, distances)) in best.iter_mut().zip(distances.chunks(columns.len())).enumerate() {
            let mut worst = if best.len() < k { f32::INFINITY } else { best[k - 1].0 };
            for (column, &distance) in distances.iter().enumerate() {
                if distance >= worst && best.len() == k {
                    continue;
                }
                let other = number * COLUMNS + column;
                if other == start + place {
                    continue;
                }
                let at = best.partition_point(|&(known, _)| known <= distance);
                best.insert(at, (distance, other as u32));
                best.truncate(k);
                worst = if best.len() < k { f32::INFINITY } else { best[k - 1].0 };
            }
        }
    }
    for (found, best) in found.chunks_mut(k).zip(best) {
        found.iter_mut().zip(best).for_each(|(found, (_, other))| *found = other);
    }
}
