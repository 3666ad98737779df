//! What `bench/layers.py` times: the passes of one convolution, and what the processor could do at
//! most.
//!
//! Hidden from the documentation, and no part of the library's promises. Never here: what a program
//! would call.

use std::hint::black_box;
use std::time::Instant;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::conv::{self, Geometry, Source};
use super::vectors::Vectors;
use super::workspace::Workspace;

/// A convolution of `batch` images of `side` × `side` pixels, padded by half its size.
#[derive(Debug, Clone, Copy)]
pub struct Layer {
    /// Images.
    pub batch: usize,
    /// Rows, and columns, of an input image.
    pub side: usize,
    /// Input channels.
    pub from: usize,
    /// Output channels.
    pub to: usize,
    /// Rows, and columns, of the kernel.
    pub size: usize,
    /// Pixels from one output to the next.
    pub stride: usize,
}

impl Layer {
    fn geometry(&self) -> Geometry {
        let Self { batch, side, from, to, size, stride } = *self;
        Geometry { batch, height: side, width: side, from, to, size, stride, padding: size / 2 }
    }

    /// Operations of one pass as the definition counts them, two for a multiplication and its
    /// addition.
    pub fn operations(&self) -> f64 {
        let g = self.geometry();
        2.0 * (g.batch * g.map() * g.from * g.size * g.size) as f64
    }

    /// Seconds of the forward pass, the gradient of the input and that of the weight, the median of
    /// `repeats` each.
    pub fn seconds(&self, repeats: usize) -> [f64; 3] {
        let g = self.geometry();
        let some = |n: usize| (0..n).map(|i| (i % 97) as f32 / 97.0 - 0.5).collect::<Vec<f32>>();
        let (mut x, mut weight, mut y) =
            (some(g.batch * g.image()), some(g.weight()), some(g.batch * g.map()));
        let workspace = &Workspace::default();
        [
            median(repeats, || {
                conv::forward(workspace, &g, Source::as_is(&x), &weight, &mut y, &mut [], |_, _, _| {})
            }),
            median(repeats, || {
                conv::input_gradient(workspace, &g, &y, &weight, &mut x, false, &mut [], |_, _, _| {})
            }),
            median(repeats, || conv::weight_gradient(workspace, &g, Source::as_is(&x), &y, &mut weight)),
        ]
    }
}

fn median(repeats: usize, mut work: impl FnMut()) -> f64 {
    work();
    let mut seconds: Vec<f64> = (0..repeats.max(1))
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_unstable_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Operations a second of all threads, when nothing is read or written: sums in registers.
pub fn peak() -> f64 {
    const TURNS: usize = 1 << 22;
    let threads = rayon::current_num_threads();
    let seconds = median(5, || {
        (0..threads).into_par_iter().for_each(|_| {
            black_box(Vectors::Widest.run(Sums { turns: TURNS }));
        });
    });
    (2 * SUMS * TURNS * threads * Vectors::Widest.lanes()) as f64 / seconds
}

/// Enough for every processor to begin one each time it can.
const SUMS: usize = 12;

struct Sums {
    turns: usize,
}

impl WithSimd for Sums {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let (by, plus) = (simd.splat_f32s(black_box(0.999)), simd.splat_f32s(black_box(0.001)));
        let mut sums = [simd.splat_f32s(black_box(1.0)); SUMS];
        for _ in 0..self.turns {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(*sum, by, plus);
            }
        }
        sums.iter().map(|sum| simd.reduce_sum_f32s(*sum)).sum()
    }
}
