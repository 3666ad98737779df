//! Convolutions of channels-last images: the forward pass, the gradient of the input, the gradient
//! of the weight. Direct: no patches are unrolled. A register tile of a few output pixels by one or
//! two vectors of output channels runs over the taps of the kernel and the input channels.
//!
//! Images are [B, H, W, C], weights [to, from, k, k] as PyTorch has them. An image is computed by
//! one thread and the terms of an element are added in one order, so that neither threads nor the
//! processor's vectors change a bit, as long as it has fused multiply-add. Never here:
//! normalisation, tensors of a framework.

mod weight;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::norm::{self, Affine};
use super::vectors::{Vectors, load, read, store};
use super::winograd;
use super::workspace::Workspace;
pub(crate) use weight::weight_gradient;

/// The shape of a convolution. Square kernel, the same padding of zeros on every side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub batch: usize,
    /// Rows and columns of an input image.
    pub height: usize,
    pub width: usize,
    /// Input channels.
    pub from: usize,
    /// Output channels.
    pub to: usize,
    /// Rows, and columns, of the kernel.
    pub size: usize,
    pub stride: usize,
    pub padding: usize,
}

impl Geometry {
    /// Rows and columns of an output image.
    pub fn out(&self) -> (usize, usize) {
        let along =
            |n: usize| (n + 2 * self.padding).checked_sub(self.size).map_or(0, |room| room / self.stride + 1);
        (along(self.height), along(self.width))
    }

    /// Values of one input image.
    pub fn image(&self) -> usize {
        self.height * self.width * self.from
    }

    /// Values of one output image.
    pub fn map(&self) -> usize {
        let (height, width) = self.out();
        height * width * self.to
    }

    /// Values of the weight.
    pub fn weight(&self) -> usize {
        self.to * self.from * self.size * self.size
    }
}

/// What is convolved: values as they are, or such as are normalised and cut by a ReLU while they
/// are read, so that what comes out of that need not be kept.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub values: &'a [f32],
    pub activated: Option<&'a Affine>,
}

impl<'a> Source<'a> {
    pub fn as_is(values: &'a [f32]) -> Self {
        Self { values, activated: None }
    }
}

/// Convolves `x` [B, H, W, from] with `weight` [to, from, k, k] into `out` [B, H', W', to].
/// `finish` is given each image of `out` while it is still in the cache, its index, and its share
/// of `notes` [B, ·].
pub(crate) fn forward(
    workspace: &Workspace,
    geometry: &Geometry,
    x: Source<'_>,
    weight: &[f32],
    out: &mut [f32],
    notes: &mut [f32],
    finish: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
) {
    let g = geometry;
    let lengths = (x.values.len(), weight.len(), out.len());
    assert_eq!(lengths, (g.batch * g.image(), g.weight(), g.batch * g.map()));
    if winograd::suits(g) {
        return winograd::forward(workspace, g, x, weight, out, notes, finish);
    }
    let k = g.size * g.size;
    let weight = |to: usize, from: usize, tap: usize| weight[(to * g.from + from) * k + tap];
    Plan::forward(g).run(workspace.vectors, x, weight, out, false, notes, finish);
}

/// The gradient of the input, `dx` [B, H, W, from], from that of the output, `dy` [B, H', W', to];
/// with `add`, added to what is there. `notes` and `finish` as for [`forward`].
#[expect(clippy::too_many_arguments, reason = "arrays in, arrays out: a struct would only name them again")]
pub(crate) fn input_gradient(
    workspace: &Workspace,
    geometry: &Geometry,
    dy: &[f32],
    weight: &[f32],
    dx: &mut [f32],
    add: bool,
    notes: &mut [f32],
    finish: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
) {
    let g = geometry;
    assert_eq!((dx.len(), weight.len(), dy.len()), (g.batch * g.image(), g.weight(), g.batch * g.map()));
    if winograd::suits(g) {
        return winograd::input_gradient(workspace, g, dy, weight, dx, add, notes, finish);
    }
    let k = g.size * g.size;
    let weight = |from: usize, to: usize, tap: usize| weight[(to * g.from + from) * k + tap];
    Plan::input_gradient(g).run(workspace.vectors, Source::as_is(dy), weight, dx, add, notes, finish);
}

/// A convolution as gathering: what every pixel of the destination adds up from the source, which
/// is copied image by image into a frame of zeros so that no tap falls outside.
struct Plan {
    /// Source: rows, columns, channels.
    source: [usize; 3],
    /// Destination: rows, columns, channels.
    destination: [usize; 3],
    /// Zeros before the first row and column, and after the last.
    before: usize,
    after: usize,
    phases: Vec<Phase>,
}

/// Pixels of the destination that read the source through the same taps.
struct Phase {
    /// Which taps of the kernel, and where in the frame each reads, from the pixel's own place.
    taps: Vec<(usize, isize)>,
    /// Where each pixel is in the frame, and where in the destination, in values.
    pixels: Vec<(usize, usize)>,
}

impl Plan {
    fn forward(g: &Geometry) -> Self {
        let (height, width) = g.out();
        // What the last tap of the last pixel reads beyond the image.
        let beyond = |out: usize, image: usize| {
            ((out.max(1) - 1) * g.stride + g.size).saturating_sub(g.padding + image)
        };
        let mut plan = Self {
            source: [g.height, g.width, g.from],
            destination: [height, width, g.to],
            before: g.padding,
            after: beyond(height, g.height).max(beyond(width, g.width)),
            phases: Vec::new(),
        };
        let taps = (0..g.size * g.size)
            .map(|tap| (tap, plan.frame_at((tap / g.size) as isize, (tap % g.size) as isize)));
        let taps = taps.collect();
        let pixels = (0..height * width).map(|pixel| {
            let (row, column) = (pixel / width * g.stride, pixel % width * g.stride);
            (plan.frame_at(row as isize, column as isize) as usize, pixel * g.to)
        });
        let pixels = pixels.collect();
        plan.phases.push(Phase { taps, pixels });
        plan
    }

    /// Row y of the input was read by output row o through tap k where y + padding = o · stride +
    /// k: for each remainder of y by the stride, through some of the taps only.
    fn input_gradient(g: &Geometry) -> Self {
        let (height, width) = g.out();
        let (stride, padding, size) = (g.stride as isize, g.padding as isize, g.size as isize);
        let last = |out: usize, image: usize| {
            ((image.max(1) as isize - 1 + padding).div_euclid(stride) - (out as isize - 1)).max(0) as usize
        };
        let mut plan = Self {
            source: [height, width, g.to],
            destination: [g.height, g.width, g.from],
            before: -(padding - (size - 1)).div_euclid(stride).min(0) as usize,
            after: last(height, g.height).max(last(width, g.width)),
            phases: Vec::new(),
        };
        // (tap, output row relative to y / stride), for the rows y of this remainder.
        let reads = |remainder: usize| -> Vec<(usize, isize)> {
            let start = remainder as isize + padding;
            let exact = |tap: &usize| (start - *tap as isize).rem_euclid(stride) == 0;
            (0..g.size).filter(exact).map(|tap| (tap, (start - tap as isize).div_euclid(stride))).collect()
        };
        for phase in 0..g.stride * g.stride {
            let (down, right) = (phase / g.stride, phase % g.stride);
            let mut taps = Vec::new();
            for (row, from_row) in reads(down) {
                for (column, from_column) in reads(right) {
                    taps.push((row * g.size + column, plan.frame_at(from_row, from_column)));
                }
            }
            let mut pixels = Vec::new();
            for row in (down..g.height).step_by(g.stride) {
                for column in (right..g.width).step_by(g.stride) {
                    let (i, j) = (row / g.stride + plan.before, column / g.stride + plan.before);
                    pixels.push((
                        plan.frame_at(i as isize, j as isize) as usize,
                        (row * g.width + column) * g.from,
                    ));
                }
            }
            plan.phases.push(Phase { taps, pixels });
        }
        plan
    }

    /// Columns of the frame.
    fn columns(&self) -> usize {
        self.before + self.source[1] + self.after
    }

    /// Where row and column are in the frame.
    fn frame_at(&self, row: isize, column: isize) -> isize {
        (row * self.columns() as isize + column) * self.source[2] as isize
    }

    /// Values of the frame.
    fn frame(&self) -> usize {
        (self.before + self.source[0] + self.after) * self.columns() * self.source[2]
    }

    fn fill(&self, vectors: Vectors, image: Source<'_>, frame: &mut [f32]) {
        let [rows, columns, channels] = self.source;
        let row = columns * channels;
        for i in 0..rows {
            let at = self.frame_at((i + self.before) as isize, self.before as isize) as usize;
            let (to, from) = (&mut frame[at..at + row], &image.values[i * row..(i + 1) * row]);
            match image.activated {
                None => to.copy_from_slice(from),
                Some(affine) => norm::normalise(vectors, affine, Some(from), None, true, to),
            }
        }
    }

    /// `weight` is asked by destination channel, source channel, tap.
    #[expect(
        clippy::too_many_arguments,
        reason = "arrays in, arrays out: a struct would only name them again"
    )]
    fn run(
        &self,
        vectors: Vectors,
        source: Source<'_>,
        weight: impl Fn(usize, usize, usize) -> f32 + Sync,
        destination: &mut [f32],
        add: bool,
        notes: &mut [f32],
        finish: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
    ) {
        if destination.is_empty() {
            return;
        }
        let together = vectors.block(self.destination[2]);
        let packed = self.pack(weight, together);
        let image: usize = self.source.iter().product();
        let map: usize = self.destination.iter().product();
        let images = destination.len() / map;
        let per_image = notes.len() / images;
        let notes: Vec<&mut [f32]> = match per_image {
            0 => (0..images).map(|_| Default::default()).collect(),
            _ => notes.chunks_exact_mut(per_image).collect(),
        };
        destination.par_chunks_exact_mut(map).zip(notes).enumerate().for_each_init(
            || vec![0.0; self.frame()],
            |frame, (index, (destination, notes))| {
                let values = &source.values[index * image..(index + 1) * image];
                self.fill(vectors, Source { values, ..source }, frame);
                vectors.run(Image { plan: self, frame, packed: &packed, together, destination, add });
                finish(index, destination, notes);
            },
        );
    }

    /// The weights in the order in which they are read: block of destination channels, phase, tap,
    /// source channel, destination channel.
    fn pack(&self, weight: impl Fn(usize, usize, usize) -> f32 + Sync, together: usize) -> Vec<f32> {
        let (from, to) = (self.source[2], self.destination[2]);
        let taps: Vec<usize> =
            self.phases.iter().flat_map(|phase| phase.taps.iter().map(|tap| tap.0)).collect();
        let block = taps.len() * from * together;
        let mut packed = vec![0.0; to.div_ceil(together) * block];
        if block > 0 {
            packed.par_chunks_exact_mut(block).enumerate().for_each(|(index, block)| {
                let channels = index * together..to.min((index + 1) * together);
                for (&tap, block) in taps.iter().zip(block.chunks_exact_mut(from * together)) {
                    for (source, block) in block.chunks_exact_mut(together).enumerate() {
                        for (value, channel) in block.iter_mut().zip(channels.clone()) {
                            *value = weight(channel, source, tap);
                        }
                    }
                }
            });
        }
        packed
    }
}

/// One image of a plan.
struct Image<'a> {
    plan: &'a Plan,
    frame: &'a [f32],
    packed: &'a [f32],
    /// Destination channels that are computed together.
    together: usize,
    destination: &'a mut [f32],
    /// Whether the sums are added to what is there.
    add: bool,
}

impl WithSimd for Image<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As many accumulators as the registers hold beside the vectors of the weight.
        match (S::REGISTER_COUNT >= 32, self.together / S::F32_LANES) {
            (_, 1) => self.tiles::<S, 8, 1>(simd),
            (true, _) => self.tiles::<S, 8, 2>(simd),
            (false, _) => self.tiles::<S, 6, 2>(simd),
        }
    }
}

impl Image<'_> {
    #[inline(always)]
    fn tiles<S: Simd, const P: usize, const V: usize>(self, simd: S) {
        let Self { plan, frame, packed, together, destination, add: onto } = self;
        assert!(together == V * S::F32_LANES && frame.len() == plan.frame());
        let (from, to) = (plan.source[2], plan.destination[2]);
        let mut packed = packed;
        for first in (0..to).step_by(together) {
            let live = together.min(to - first);
            for phase in &plan.phases {
                let (weights, rest) = packed.split_at(phase.taps.len() * from * together);
                packed = rest;
                for pixels in phase.pixels.chunks(P) {
                    // A last tile that is not full computes its last pixel more than once.
                    let mut starts = [std::ptr::null(); P];
                    for (p, start) in starts.iter_mut().enumerate() {
                        let (at, _) = pixels[p.min(pixels.len() - 1)];
                        assert!(at <= frame.len());
                        // From the frame's own start: a tap may read before the pixel's place.
                        *start = frame.as_ptr().wrapping_add(at);
                    }
                    #[expect(
                        unsafe_code,
                        reason = "a tile reads by pointer, so that nothing is checked inside its loop"
                    )]
                    // SAFETY: the frame was laid out by the plan so that every tap of every pixel,
                    // with all channels of the source, lies inside it; the weights are one for each
                    // tap, source channel and destination channel of the block.
                    let sums = unsafe { tile::<S, P, V>(simd, starts, &phase.taps, from, weights.as_ptr()) };
                    for (&(_, at), sums) in pixels.iter().zip(&sums) {
                        let to = &mut destination[at + first..at + first + live];
                        if onto {
                            add(simd, sums, to);
                        } else {
                            store(simd, sums, to);
                        }
                    }
                }
            }
        }
    }
}

/// The sums of P pixels in V vectors of channels, over all taps and source channels.
///
/// # Safety
/// For each pixel and tap, `from` values are readable at its start plus the tap's offset; taps ×
/// from × V vectors are readable at `weights`.
#[inline(always)]
#[expect(unsafe_code, reason = "reads by pointer")]
pub(super) unsafe fn tile<S: Simd, const P: usize, const V: usize>(
    simd: S,
    starts: [*const f32; P],
    taps: &[(usize, isize)],
    from: usize,
    mut weights: *const f32,
) -> [[S::f32s; V]; P] {
    let mut sums = [[simd.splat_f32s(0.0); V]; P];
    for &(_, offset) in taps {
        let mut reads = starts;
        for read in &mut reads {
            *read = read.wrapping_offset(offset);
        }
        for channel in 0..from {
            let mut columns = [simd.splat_f32s(0.0); V];
            for (v, column) in columns.iter_mut().enumerate() {
                *column = unsafe { load(simd, weights.add(v * S::F32_LANES)) };
            }
            for (sums, read) in sums.iter_mut().zip(reads) {
                let value = simd.splat_f32s(unsafe { *read.add(channel) });
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum = simd.mul_add_e_f32s(value, column, *sum);
                }
            }
            weights = unsafe { weights.add(V * S::F32_LANES) };
        }
    }
    sums
}

/// Adds the products of `n` pixels of a row: P channels of the input by V vectors of the output's
/// gradient, of which `live` values are there. The steps are from pixel to pixel.
#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "the inside of a loop, where a struct would only name them again"
)]
pub(super) fn strip<S: Simd, const P: usize, const V: usize>(
    simd: S,
    x: &[f32],
    x_step: usize,
    dy: &[f32],
    dy_step: usize,
    n: usize,
    live: usize,
    sums: &mut [[S::f32s; V]; P],
) {
    assert!(n > 0 && x.len() >= (n - 1) * x_step + P && dy.len() >= (n - 1) * dy_step + live);
    let whole = live == V * S::F32_LANES;
    let (mut x, mut dy) = (x.as_ptr(), dy.as_ptr());
    let mut local = *sums;
    for _ in 0..n {
        #[expect(
            unsafe_code,
            reason = "a row is read by pointer, so that nothing is checked inside its loop"
        )]
        // SAFETY: as asserted, P values are readable at x and `live` at dy in each of n steps.
        // Where `live` is not V vectors, there is one, and it is read by parts.
        unsafe {
            let mut columns = [simd.splat_f32s(0.0); V];
            if whole {
                for (v, column) in columns.iter_mut().enumerate() {
                    *column = load(simd, dy.add(v * S::F32_LANES));
                }
            } else {
                columns[0] = simd.partial_load_f32s(std::slice::from_raw_parts(dy, live));
            }
            for (p, sums) in local.iter_mut().enumerate() {
                let value = simd.splat_f32s(*x.add(p));
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum = simd.mul_add_e_f32s(value, column, *sum);
                }
            }
        }
        x = x.wrapping_add(x_step);
        dy = dy.wrapping_add(dy_step);
    }
    *sums = local;
}

/// Adds vectors to as many values.
#[inline(always)]
pub(super) fn add<S: Simd>(simd: S, sums: &[S::f32s], out: &mut [f32]) {
    for (sum, out) in sums.iter().zip(out.chunks_mut(S::F32_LANES)) {
        let before = read(simd, out, 0, out.len());
        store(simd, &[simd.add_f32s(before, *sum)], out);
    }
}
