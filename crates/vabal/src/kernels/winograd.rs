//! Convolutions of 3 × 3 with stride 1 and padding 1 by Winograd's minimal filtering F(4 × 4, 3 ×
//! 3): a quarter of the multiplications (Lavin & Gray, CVPR 2016, arXiv:1509.09308).
//!
//! A tile of 4 × 4 outputs needs 6 × 6 inputs. Both it and the kernel are taken to 36 points, `V =
//! Bᵀ d B` and `U = G g Gᵀ`; at each point the sum over the input channels is a matrix product over
//! all tiles, `M = V U`; the outputs are `Aᵀ M A`. The gradient of the weight is the same read
//! backwards, `Gᵀ (Vᵀ (A dy Aᵀ)) G`.
//!
//! Tiles are worked on some at a time, so that what lies between the steps stays in the cache. What
//! a tile gives does not depend on which others are beside it, nor on the thread. Never here: a
//! stride, another size of the kernel, tensors of a framework.

mod points;
mod weight;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::conv::{Geometry, Source, add, tile};
use super::norm::{Activated, AsIs, Reading};
use super::vectors::{read, store};
use super::workspace::{Buffer, Workspace};
use points::{Input, ToPoints, across, down, kernel, output};
pub(super) use weight::weight_gradient;

/// Outputs of a tile along a side.
const TILE: usize = 4;
/// Inputs of a tile along a side: two tiles share two.
const SPAN: usize = TILE + 2;
/// Points at which a tile is multiplied.
const POINTS: usize = SPAN * SPAN;

/// Whether this way saves at least half of the multiplications, and has channels enough to pay for
/// its sums.
pub(super) fn suits(g: &Geometry) -> bool {
    let (pixels, tiles) = (g.height * g.width, Tiles::of(g).per_image());
    (g.size, g.stride, g.padding) == (3, 1, 1)
        && g.from.min(g.to) >= 8
        && 2 * tiles * POINTS <= pixels * g.size * g.size
}

/// How the images are cut.
#[derive(Clone, Copy)]
struct Tiles {
    height: usize,
    width: usize,
    /// Tiles above each other, and side by side.
    rows: usize,
    columns: usize,
}

impl Tiles {
    fn of(g: &Geometry) -> Self {
        let (height, width) = (g.height, g.width);
        Self { height, width, rows: height.div_ceil(TILE), columns: width.div_ceil(TILE) }
    }

    fn per_image(&self) -> usize {
        self.rows * self.columns
    }
}

/// The forward pass, as [`super::conv::forward`].
pub(super) fn forward(
    workspace: &Workspace,
    g: &Geometry,
    x: Source<'_>,
    weight: &[f32],
    out: &mut [f32],
    notes: &mut [f32],
    finish: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
) {
    let at = |to: usize, from: usize| (to * g.from + from) * 9;
    let packed = pack(workspace, [g.from, g.to], weight, at, false);
    Product { tiles: Tiles::of(g), from: g.from, to: g.to, packed: &packed, add: false }
        .run(workspace, x, out, notes, finish);
}

/// The gradient of the input, as [`super::conv::input_gradient`]: a convolution with the kernel
/// turned by 180°.
#[expect(clippy::too_many_arguments, reason = "arrays in, arrays out: a struct would only name them again")]
pub(super) fn input_gradient(
    workspace: &Workspace,
    g: &Geometry,
    dy: &[f32],
    weight: &[f32],
    dx: &mut [f32],
    add: bool,
    notes: &mut [f32],
    finish: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
) {
    let at = |from: usize, to: usize| (to * g.from + from) * 9;
    let packed = pack(workspace, [g.to, g.from], weight, at, true);
    let product = Product { tiles: Tiles::of(g), from: g.to, to: g.from, packed: &packed, add };
    product.run(workspace, Source::as_is(dy), dx, notes, finish);
}

/// U, in the order in which it is read: block of destination channels, point, source channel,
/// destination channel. `at` says where the nine weights of a destination and a source channel are;
/// `turned` reads them backwards.
fn pack<'a>(
    workspace: &'a Workspace,
    [from, to]: [usize; 2],
    weight: &[f32],
    at: impl Fn(usize, usize) -> usize + Sync,
    turned: bool,
) -> Buffer<'a> {
    let vectors = workspace.vectors;
    let together = vectors.block(to);
    let block = POINTS * apart(from, together);
    let mut packed = workspace.buffer(to.div_ceil(together) * block);
    packed.par_chunks_exact_mut(block).enumerate().for_each(|(index, points)| {
        let first = index * together;
        // Channels beyond the last stay zero.
        let mut taps = vec![0.0; 9 * together];
        for source in 0..from {
            for channel in 0..together.min(to - first) {
                let at = at(first + channel, source);
                for (tap, &value) in weight[at..at + 9].iter().enumerate() {
                    taps[if turned { 8 - tap } else { tap } * together + channel] = value;
                }
            }
            vectors.run(Kernel { taps: &taps, source, from, points });
        }
    });
    packed
}

/// The kernels of one source channel and a block of destination channels, taken to the points.
struct Kernel<'a> {
    /// [9, together]
    taps: &'a [f32],
    source: usize,
    from: usize,
    /// [36, from, together], the points [`apart`].
    points: &'a mut [f32],
}

impl WithSimd for Kernel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let together = self.taps.len() / 9;
        for first in (0..together).step_by(S::F32_LANES) {
            let mut half = [[simd.splat_f32s(0.0); SPAN]; 3];
            for (column, half) in half.iter_mut().enumerate() {
                let tap =
                    |row: usize| read(simd, self.taps, (row * 3 + column) * together + first, S::F32_LANES);
                *half = kernel(simd, [tap(0), tap(1), tap(2)]);
            }
            for row in 0..SPAN {
                let points = kernel(simd, across(simd, &half, row));
                for (column, point) in points.into_iter().enumerate() {
                    let of_point = (row * SPAN + column) * apart(self.from, together);
                    let at = of_point + self.source * together + first;
                    store(simd, &[point], &mut self.points[at..at + S::F32_LANES]);
                }
            }
        }
    }
}

/// Values from one point of rows × channels to the next: a line more than there are, or else all 36
/// would meet in the same few places of the cache.
fn apart(rows: usize, channels: usize) -> usize {
    rows * channels + 16
}

/// A sum over the source channels at every point of every tile.
struct Product<'a> {
    tiles: Tiles,
    from: usize,
    to: usize,
    packed: &'a [f32],
    /// Whether the outputs are added to what is there.
    add: bool,
}

impl Product<'_> {
    /// Tiles that are worked on together. The more there are, the less often the weights are read;
    /// the fewer, the nearer is what lies between the steps.
    fn together(&self) -> usize {
        match size_of_val(self.packed) {
            0..0x4_0000 => 64,
            0x4_0000..0x10_0000 => 16,
            0x10_0000..0x80_0000 => 32,
            _ => 64,
        }
    }

    /// As [`super::conv::forward`].
    fn run(
        &self,
        workspace: &Workspace,
        source: Source<'_>,
        destination: &mut [f32],
        notes: &mut [f32],
        finish: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
    ) {
        if destination.is_empty() {
            return;
        }
        let pixels = self.tiles.height * self.tiles.width;
        let (image, map) = (pixels * self.from, pixels * self.to);
        let images = destination.len() / map;
        let together = self.together();
        let of_thread = images.div_ceil(rayon::current_num_threads());
        let group = together.div_ceil(self.tiles.per_image()).min(of_thread);
        let together = together.min((group * self.tiles.per_image()).next_multiple_of(8));
        let per_image = notes.len() / images;
        let notes: Vec<&mut [f32]> = match per_image {
            0 => (0..images.div_ceil(group)).map(|_| Default::default()).collect(),
            _ => notes.chunks_mut(group * per_image).collect(),
        };
        let buffers =
            || [self.from, self.to].map(|channels| workspace.buffer(POINTS * apart(together, channels)));
        let images = destination.par_chunks_mut(group * map).zip(source.values.par_chunks(group * image));
        images.zip(notes).enumerate().for_each_init(
            buffers,
            |[v, m], (index, ((destination, values), notes))| {
                let source = Source { values, ..source };
                workspace.vectors.run(Group { product: self, v, m, together, source, destination });
                for (i, destination) in destination.chunks_exact_mut(map).enumerate() {
                    finish(index * group + i, destination, &mut notes[i * per_image..(i + 1) * per_image]);
                }
            },
        );
    }
}

/// A few images.
struct Group<'a> {
    product: &'a Product<'a>,
    /// What it works in: [36, tiles, from].
    v: &'a mut [f32],
    /// [36, tiles, to]
    m: &'a mut [f32],
    /// Tiles that `v` and `m` hold.
    together: usize,
    source: Source<'a>,
    destination: &'a mut [f32],
}

impl WithSimd for Group<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { product, v, m, together, source, destination } = self;
        let Product { tiles, from, to, add, .. } = *product;
        let (per_image, image) = (tiles.per_image(), tiles.height * tiles.width * from);
        let all = source.values.len() / image * per_image;
        for first in (0..all).step_by(together) {
            let n = all.min(first + together) - first;
            let [v_apart, m_apart] = [from, to].map(|channels| apart(together, channels));
            take_all_in(simd, source, tiles, first..first + n, from, v, v_apart);
            match (S::REGISTER_COUNT >= 32, to > S::F32_LANES) {
                (true, false) => product.multiply::<S, 16, 1>(simd, n, [v, m], [v_apart, m_apart]),
                (true, true) => product.multiply::<S, 8, 2>(simd, n, [v, m], [v_apart, m_apart]),
                (false, false) => product.multiply::<S, 8, 1>(simd, n, [v, m], [v_apart, m_apart]),
                (false, true) => product.multiply::<S, 6, 2>(simd, n, [v, m], [v_apart, m_apart]),
            }
            for t in 0..n {
                let (index, tile) = ((first + t) / per_image, (first + t) % per_image);
                let map = tiles.height * tiles.width * to;
                let image = &mut destination[index * map..(index + 1) * map];
                take_out(simd, &m[t * to..], m_apart, tiles, tile, to, add, image);
            }
        }
    }
}

impl Product<'_> {
    /// M = V U at every point, for `n` tiles.
    #[inline(always)]
    fn multiply<S: Simd, const P: usize, const V: usize>(
        &self,
        simd: S,
        n: usize,
        [v, m]: [&mut [f32]; 2],
        [v_apart, m_apart]: [usize; 2],
    ) {
        let Self { from, to, packed, .. } = *self;
        let together = V * S::F32_LANES;
        let p_apart = apart(from, together);
        assert!(packed.len() == to.div_ceil(together) * POINTS * p_apart);
        for point in 0..POINTS {
            let v = &v[point * v_apart..][..n * from];
            for (block, first) in (0..to).step_by(together).enumerate() {
                let live = together.min(to - first);
                let weights = &packed[(block * POINTS + point) * p_apart..][..from * together];
                for tiles in (0..n).step_by(P) {
                    // A last group that is not full computes its last tile more than once.
                    let mut starts = [std::ptr::null(); P];
                    for (p, start) in starts.iter_mut().enumerate() {
                        *start = v[(tiles + p).min(n - 1) * from..].as_ptr();
                    }
                    #[expect(
                        unsafe_code,
                        reason = "a tile reads by pointer, so that nothing is checked inside its loop"
                    )]
                    // SAFETY: each start has `from` values behind it; the weights are one for each
                    // source channel and destination channel of the block.
                    let sums = unsafe { tile::<S, P, V>(simd, starts, &[(0, 0)], from, weights.as_ptr()) };
                    for (t, sums) in (tiles..n).zip(&sums) {
                        let at = point * m_apart + t * to + first;
                        store(simd, sums, &mut m[at..at + live]);
                    }
                }
            }
        }
    }
}

/// Inputs of the tiles `range` of some images, taken to the points: `v` [36, tiles, channels].
#[inline(always)]
fn take_all_in<S: Simd>(
    simd: S,
    source: Source<'_>,
    tiles: Tiles,
    range: std::ops::Range<usize>,
    channels: usize,
    v: &mut [f32],
    apart: usize,
) {
    let image = tiles.height * tiles.width * channels;
    for (t, tile) in range.enumerate() {
        let (index, tile) = (tile / tiles.per_image(), tile % tiles.per_image());
        let image = &source.values[index * image..(index + 1) * image];
        let v = &mut v[t * channels..];
        match source.activated {
            None => take_in(simd, image, AsIs, tiles, tile, channels, Input, v, apart),
            Some(affine) => take_in(simd, image, Activated(affine), tiles, tile, channels, Input, v, apart),
        }
    }
}

/// The N × N pixels of an image that a tile reads, zeros beyond its border, taken to the points:
/// `v` [36, ·], each `apart` from the next. `way` does it along one side.
#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "the inside of a loop, where a struct would only name them again"
)]
fn take_in<S: Simd, R: Reading, const N: usize>(
    simd: S,
    image: &[f32],
    reading: R,
    tiles: Tiles,
    tile: usize,
    channels: usize,
    way: impl ToPoints<N>,
    v: &mut [f32],
    apart: usize,
) {
    let Tiles { height, width, columns, .. } = tiles;
    let before = (N - TILE) / 2;
    let (row, column) = (tile / columns * TILE, tile % columns * TILE);
    // The pixels that are inside the image.
    let live_rows = before.saturating_sub(row)..N.min(height + before - row);
    let live_columns = before.saturating_sub(column)..N.min(width + before - column);
    let inside = live_rows.len() == N && live_columns.len() == N;
    // Where pixel (i, j) is, if it is inside.
    let at = |i: usize, j: usize| ((row + i - before) * width + column + j - before) * channels;
    let zero = simd.splat_f32s(0.0);
    for first in (0..channels).step_by(S::F32_LANES) {
        let live = S::F32_LANES.min(channels - first);
        let of_channels = reading.channels(simd, first, live);
        let half = if inside {
            let patch = &image[at(0, 0) + first..];
            let mut half = [[zero; SPAN]; N];
            for (j, half) in half.iter_mut().enumerate() {
                let mut pixels: [S::f32s; N] = down(simd, &patch[j * channels..], width * channels, live);
                for pixel in &mut pixels {
                    *pixel = R::value(simd, of_channels, *pixel);
                }
                *half = way.along(simd, pixels);
            }
            half
        } else {
            let mut half = [[zero; SPAN]; N];
            for (j, half) in half.iter_mut().enumerate() {
                let mut pixels = [zero; N];
                if live_columns.contains(&j) {
                    for (i, pixel) in pixels.iter_mut().enumerate() {
                        if live_rows.contains(&i) {
                            *pixel = R::value(simd, of_channels, read(simd, image, at(i, j) + first, live));
                        }
                    }
                }
                *half = way.along(simd, pixels);
            }
            half
        };
        for i in 0..SPAN {
            let points = way.along(simd, across(simd, &half, i));
            for (j, point) in points.into_iter().enumerate() {
                let at = (i * SPAN + j) * apart + first;
                store(simd, &[point], &mut v[at..at + live]);
            }
        }
    }
}

/// The outputs of a tile, from its points, written or, with `onto`, added.
#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "the inside of a loop, where a struct would only name them again"
)]
fn take_out<S: Simd>(
    simd: S,
    m: &[f32],
    apart: usize,
    tiles: Tiles,
    tile: usize,
    channels: usize,
    onto: bool,
    image: &mut [f32],
) {
    let (row, column) = (tile / tiles.columns * TILE, tile % tiles.columns * TILE);
    for first in (0..channels).step_by(S::F32_LANES) {
        let live = S::F32_LANES.min(channels - first);
        let mut half = [[simd.splat_f32s(0.0); TILE]; SPAN];
        for (j, half) in half.iter_mut().enumerate() {
            *half = output(simd, down(simd, &m[j * apart + first..], SPAN * apart, live));
        }
        for i in 0..TILE.min(tiles.height - row) {
            let outputs = output(simd, across(simd, &half, i));
            for (j, output) in outputs.into_iter().take(tiles.width - column).enumerate() {
                let at = ((row + i) * tiles.width + column + j) * channels + first;
                let to = &mut image[at..at + live];
                if onto {
                    add(simd, &[output], to);
                } else {
                    store(simd, &[output], to);
                }
            }
        }
    }
}
