//! The gradient of the weight by Winograd's way: the transforms of the forward pass read backwards,
//! and between them, at each point, the sum over all tiles of the batch.
//!
//! Never here: a direct convolution.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::super::conv::{Geometry, Source, add, strip};
use super::super::norm::AsIs;
use super::super::vectors::store;
use super::super::wide;
use super::super::workspace::Workspace;
use super::points::{OutputBack, across, down, kernel_back};
use super::{POINTS, SPAN, Tiles, apart, take_all_in, take_in};

/// Tiles that one thread takes to the points at a time, on the way to the gradient of the weight.
const PART: usize = 32;
/// Tiles whose products are summed before they join the sum of those before.
const PARTS: usize = 8 * PART;

/// Values of the gradient at the points up to which groups of images sum apart, each on one thread:
/// more would not stay in the cache beside what they are multiplied from.
const APART: usize = POINTS * 32 * 32;
/// Groups, where there are tiles enough for so many.
const GROUPS: usize = 16;

/// The gradient of the weight, as [`conv::weight_gradient`](super::super::conv::weight_gradient).
pub(in super::super) fn weight_gradient(
    workspace: &Workspace,
    g: &Geometry,
    x: Source<'_>,
    dy: &[f32],
    dw: &mut [f32],
) {
    let vectors = workspace.vectors;
    let tiles = Tiles::of(g);
    let all = g.batch * tiles.per_image();
    let part = POINTS * (apart(PART, g.from) + apart(PART, g.to));
    // [36, from, to]
    let mut du = workspace.buffer(POINTS * g.from * g.to);
    if du.len() <= APART {
        let of_group = all.div_ceil(GROUPS).next_multiple_of(PART);
        let mut sums = workspace.buffer(all.div_ceil(of_group) * du.len());
        sums.par_chunks_exact_mut(du.len()).enumerate().for_each_init(
            || workspace.buffer(part),
            |points, (group, sums)| {
                let start = group * of_group;
                let end = all.min(start + of_group);
                for first in (start..end).step_by(PART) {
                    let range = first..end.min(first + PART);
                    let n = range.len();
                    vectors.run(Points { g, tiles, x, dy, range, points });
                    for (point, du) in sums.chunks_exact_mut(g.from * g.to).enumerate() {
                        vectors.run(Outer { g, points, part, point, n, fresh: first == start, du });
                    }
                }
            },
        );
        du.par_chunks_exact_mut(g.from * g.to).enumerate().for_each(|(point, du)| {
            du.fill(0.0);
            for sums in sums.chunks_exact(POINTS * du.len()) {
                let sums = &sums[point * du.len()..][..du.len()];
                wide(|| du.iter_mut().zip(sums).for_each(|(du, sum)| *du += sum));
            }
        });
    } else {
        let mut points = workspace.buffer(all.min(PARTS).div_ceil(PART) * part);
        for first in (0..all).step_by(PARTS) {
            let n = all.min(first + PARTS) - first;
            points.par_chunks_exact_mut(part).take(n.div_ceil(PART)).enumerate().for_each(
                |(index, points)| {
                    let first = first + index * PART;
                    vectors.run(Points { g, tiles, x, dy, range: first..all.min(first + PART), points });
                },
            );
            du.par_chunks_exact_mut(g.from * g.to).enumerate().for_each(|(point, du)| {
                vectors.run(Outer { g, points: &points, part, point, n, fresh: first == 0, du });
            });
        }
    }
    let row = g.from * 9;
    dw.par_chunks_mut(ROWS * row).enumerate().for_each(|(index, dw)| {
        vectors.run(KernelBack { g, du: &du, first: index * ROWS, dw });
    });
}

/// Some tiles of the batch, taken to the points: V [36, tiles, from] and, behind it, A dy Aᵀ [36,
/// tiles, to].
struct Points<'a> {
    g: &'a Geometry,
    tiles: Tiles,
    x: Source<'a>,
    dy: &'a [f32],
    range: std::ops::Range<usize>,
    points: &'a mut [f32],
}

impl WithSimd for Points<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { g, tiles, x, dy, range, points } = self;
        let (v, m) = points.split_at_mut(POINTS * apart(PART, g.from));
        take_all_in(simd, x, tiles, range.clone(), g.from, v, apart(PART, g.from));
        for (t, tile) in range.enumerate() {
            let (index, tile) = (tile / tiles.per_image(), tile % tiles.per_image());
            let image = &dy[index * g.map()..(index + 1) * g.map()];
            take_in(simd, image, AsIs, tiles, tile, g.to, OutputBack, &mut m[t * g.to..], apart(PART, g.to));
        }
    }
}

/// Vᵀ (A dy Aᵀ) at one point, added to `du` [from, to].
struct Outer<'a> {
    g: &'a Geometry,
    /// As [`Points`], one part after the other.
    points: &'a [f32],
    part: usize,
    point: usize,
    /// Tiles in all parts.
    n: usize,
    /// Whether these are the first tiles, so that `du` holds nothing yet.
    fresh: bool,
    du: &'a mut [f32],
}

impl WithSimd for Outer<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Geometry { from, to, .. } = *self.g;
        let mut first = 0;
        while first < to {
            let wide = to - first >= 2 * S::F32_LANES;
            let mut channel = 0;
            while channel < from {
                let left = from - channel;
                channel += match (wide, S::REGISTER_COUNT >= 32) {
                    (true, true) if left >= 8 => self.block::<S, 8, 2>(simd, channel, first),
                    (true, false) if left >= 6 => self.block::<S, 6, 2>(simd, channel, first),
                    (true, _) if left >= 4 => self.block::<S, 4, 2>(simd, channel, first),
                    (true, _) => self.block::<S, 1, 2>(simd, channel, first),
                    (false, true) if left >= 16 => self.block::<S, 16, 1>(simd, channel, first),
                    (false, _) if left >= 8 => self.block::<S, 8, 1>(simd, channel, first),
                    (false, _) => self.block::<S, 1, 1>(simd, channel, first),
                };
            }
            first += if wide { 2 * S::F32_LANES } else { S::F32_LANES };
        }
    }
}

impl Outer<'_> {
    /// P source channels from `channel` on, by V vectors of destination channels from `first` on.
    #[inline(always)]
    fn block<S: Simd, const P: usize, const V: usize>(
        &mut self,
        simd: S,
        channel: usize,
        first: usize,
    ) -> usize {
        let Geometry { from, to, .. } = *self.g;
        let live = (V * S::F32_LANES).min(to - first);
        let mut sums = [[simd.splat_f32s(0.0); V]; P];
        for (index, points) in self.points.chunks_exact(self.part).take(self.n.div_ceil(PART)).enumerate() {
            let n = PART.min(self.n - index * PART);
            let (v, m) = points.split_at(POINTS * apart(PART, from));
            let v = &v[self.point * apart(PART, from) + channel..];
            let m = &m[self.point * apart(PART, to) + first..];
            strip::<S, P, V>(simd, v, from, m, to, n, live, &mut sums);
        }
        for (p, sums) in sums.iter().enumerate() {
            let at = (channel + p) * to + first;
            let du = &mut self.du[at..at + live];
            if self.fresh {
                store(simd, sums, du);
            } else {
                add(simd, sums, du);
            }
        }
        P
    }
}

/// Destination channels whose kernels one thread takes back together: no fewer than a vector has.
const ROWS: usize = 16;

/// The gradient of the kernels of some destination channels from `first` on, `dw` [·, from, 9],
/// from that at the points, `du` [36, from, to].
struct KernelBack<'a> {
    g: &'a Geometry,
    du: &'a [f32],
    first: usize,
    dw: &'a mut [f32],
}

impl WithSimd for KernelBack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { g: &Geometry { from: all, to, .. }, du, first, dw } = self;
        let rows = dw.len() / (9 * all);
        let mut turned = [0.0_f32; 9 * ROWS];
        for from in 0..all {
            for row in (0..rows).step_by(S::F32_LANES) {
                let live = S::F32_LANES.min(rows - row);
                let mut half = [[simd.splat_f32s(0.0); 3]; SPAN];
                for (j, half) in half.iter_mut().enumerate() {
                    let at = (j * all + from) * to + first + row;
                    *half = kernel_back(simd, down(simd, &du[at..], SPAN * all * to, live));
                }
                for i in 0..3 {
                    let taps = kernel_back(simd, across(simd, &half, i));
                    for (j, tap) in taps.into_iter().enumerate() {
                        let at = (i * 3 + j) * ROWS + row;
                        store(simd, &[tap], &mut turned[at..at + live]);
                    }
                }
            }
            for (row, dw) in dw.chunks_exact_mut(9 * all).enumerate() {
                for (tap, dw) in dw[9 * from..9 * from + 9].iter_mut().enumerate() {
                    *dw = turned[tap * ROWS + row];
                }
            }
        }
    }
}
