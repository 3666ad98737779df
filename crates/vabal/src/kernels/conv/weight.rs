//! The gradient of the weight, directly: strips of output pixels by a block of input and output
//! channels, tap by tap.
//!
//! Never here: Winograd's way.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::super::norm;
use super::super::winograd;
use super::super::workspace::Workspace;
use super::{Geometry, Source, add, strip};

/// Values of the weight's gradient that groups of images may sum apart, in all.
const APART: usize = 1 << 20;

/// Values of an image, before and after, that stay near enough to be read once for each block of
/// channels.
const NEAR: usize = 1 << 15;

/// Output pixels whose products are added up before they join the sum of those before: an image's,
/// or those of as many images as it takes.
const PIXELS: usize = 256;

/// The gradient of the weight, [to, from, k, k], from `x` [B, H, W, from] and the gradient of the
/// output, `dy` [B, H', W', to]. How the sum over the batch is split depends on the geometry alone.
pub(crate) fn weight_gradient(
    workspace: &Workspace,
    geometry: &Geometry,
    x: Source<'_>,
    dy: &[f32],
    dw: &mut [f32],
) {
    let g = geometry;
    assert_eq!((x.values.len(), dw.len(), dy.len()), (g.batch * g.image(), g.weight(), g.batch * g.map()));
    if g.batch * g.map() > 0 && winograd::suits(g) {
        return winograd::weight_gradient(workspace, g, x, dy, dw);
    }
    let vectors = workspace.vectors;
    dw.fill(0.0);
    if g.batch * g.map() == 0 || g.weight() == 0 {
        return;
    }
    let activated = x.activated.map(|affine| {
        let mut all = workspace.buffer(x.values.len());
        let image = g.image();
        all.par_chunks_exact_mut(image).zip(x.values.par_chunks_exact(image)).for_each(|(to, from)| {
            norm::normalise(vectors, affine, Some(from), None, true, to);
        });
        all
    });
    let x = activated.as_deref().unwrap_or(x.values);
    // Each part is a group of images by a block of input channels. Large images are read once, by
    // one thread.
    let block = 8;
    let apart = (APART / g.weight()).clamp(1, g.batch.min(16));
    let (groups, channels) = match g.image() + g.map() >= NEAR && apart >= 8 {
        true => (apart, g.from),
        false => (16_usize.div_ceil(g.from.div_ceil(block)).clamp(1, apart), block),
    };
    let per_group = g.batch.div_ceil(groups);
    let groups = g.batch.div_ceil(per_group);
    let parts = g.from.div_ceil(channels);
    let taps = g.size * g.size;
    let part = channels * taps * g.to;
    let at_once = (PIXELS * g.to / g.map()).max(1);
    // [group, part, channel of the part, tap, to]
    let mut sums = vec![0.0_f32; groups * parts * part];
    sums.par_chunks_exact_mut(part).enumerate().for_each(|(index, sums)| {
        let (group, part) = (index / parts, index % parts);
        let channels = part * channels..g.from.min((part + 1) * channels);
        let last = g.batch.min((group + 1) * per_group);
        for first in (group * per_group..last).step_by(at_once) {
            let images = first..last.min(first + at_once);
            vectors.run(Weight { g, x, dy, images, channels: channels.clone(), sums });
        }
    });
    // Sixteen output channels at a time: as many rows of the gradient are written side by side.
    let all = g.from * taps;
    dw.par_chunks_mut(16 * all).enumerate().for_each(|(index, dw)| {
        for sums in sums.chunks_exact(parts * part) {
            gather(dw, index * 16, sums, g.to, all);
        }
    });
}

/// Adds a group's sums [from · tap, to] to rows of the gradient, [to, from · tap], from row `first`
/// on.
fn gather(dw: &mut [f32], first: usize, sums: &[f32], to: usize, all: usize) {
    let rows = dw.len() / all;
    for (column, sums) in sums.chunks_exact(to).take(all).enumerate() {
        for (row, sum) in sums[first..first + rows].iter().enumerate() {
            dw[row * all + column] += sum;
        }
    }
}

/// The share of some images in the weight's gradient, for some of the input channels: sums
/// [channel, tap, to].
struct Weight<'a> {
    g: &'a Geometry,
    x: &'a [f32],
    dy: &'a [f32],
    images: std::ops::Range<usize>,
    channels: std::ops::Range<usize>,
    sums: &'a mut [f32],
}

impl WithSimd for Weight<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut channel = self.channels.start;
        while channel < self.channels.end {
            let left = self.channels.end - channel;
            // With 16 registers a block of 8 by 2 vectors does not fit.
            channel += match left {
                8.. if S::REGISTER_COUNT >= 32 => self.rows::<S, 8>(simd, channel),
                6.. if S::REGISTER_COUNT < 32 => self.rows::<S, 6>(simd, channel),
                4.. => self.rows::<S, 4>(simd, channel),
                3 => self.rows::<S, 3>(simd, channel),
                2 => self.rows::<S, 2>(simd, channel),
                _ => self.rows::<S, 1>(simd, channel),
            };
        }
    }
}

impl Weight<'_> {
    /// P source channels from `channel` on, by all destination channels.
    #[inline(always)]
    fn rows<S: Simd, const P: usize>(&mut self, simd: S, channel: usize) -> usize {
        let to = self.g.to;
        let mut first = 0;
        while first < to {
            first += match (to - first) / S::F32_LANES {
                0 | 1 => self.taps::<S, P, 1>(simd, channel, first),
                _ => self.taps::<S, P, 2>(simd, channel, first),
            };
        }
        P
    }

    #[inline(always)]
    fn taps<S: Simd, const P: usize, const V: usize>(
        &mut self,
        simd: S,
        channel: usize,
        first: usize,
    ) -> usize {
        let g = self.g;
        let (height, width) = g.out();
        let live = (V * S::F32_LANES).min(g.to - first);
        // The outputs whose tap is inside the image.
        let inside = |tap: usize, n: usize, out: usize| {
            let low = g.padding.saturating_sub(tap).div_ceil(g.stride);
            let high = (n + g.padding).checked_sub(tap + 1).map_or(0, |room| (room / g.stride + 1).min(out));
            low..high.max(low)
        };
        for tap in 0..g.size * g.size {
            let (down, right) = (tap / g.size, tap % g.size);
            let (rows, columns) = (inside(down, g.height, height), inside(right, g.width, width));
            let mut sums = [[simd.splat_f32s(0.0); V]; P];
            for image in self.images.clone() {
                for row in rows.clone() {
                    if columns.is_empty() {
                        continue;
                    }
                    let (y, x) =
                        (row * g.stride + down - g.padding, columns.start * g.stride + right - g.padding);
                    let x = &self.x[((image * g.height + y) * g.width + x) * g.from + channel..];
                    let dy = &self.dy[((image * height + row) * width + columns.start) * g.to + first..];
                    strip::<S, P, V>(simd, x, g.stride * g.from, dy, g.to, columns.len(), live, &mut sums);
                }
            }
            for (p, sums) in sums.iter().enumerate() {
                let at = ((channel - self.channels.start + p) * g.size * g.size + tap) * g.to + first;
                add(simd, sums, &mut self.sums[at..at + live]);
            }
        }
        live
    }
}
