//! Batch normalisation of channels-last images, with an addition and a ReLU behind it: what the forward pass and
//! its gradient do to every value.
//!
//! A plane is what one image has, [H · W, C]; every function here works on one. Channels are worked on a
//! vector at a time, down the whole plane, so that what belongs to a channel stays in registers. Never here: sums
//! over the batch.

use pulp::{Simd, WithSimd};

use super::vectors::{Vectors, read, store};

/// The mean of every channel, and the sum of the squared distances from it: `moments` [2, C].
pub(super) fn moments(vectors: Vectors, plane: &[f32], moments: &mut [f32]) {
    let (mean, squares) = moments.split_at_mut(moments.len() / 2);
    vectors.run(Blocks { channels: mean.len(), work: Moments { plane, mean, squares } });
}

/// What normalisation does to each channel, C values each: `(x − mean) · scale + shift`.
#[derive(Debug, Clone)]
pub(super) struct Affine {
    pub mean: Vec<f32>,
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
}

/// Normalises `plane` in place, or `from` into it, adds `residual`, and with `relu` cuts off what is below zero.
pub(super) fn normalise(
    vectors: Vectors,
    affine: &Affine,
    from: Option<&[f32]>,
    residual: Option<&[f32]>,
    relu: bool,
    plane: &mut [f32],
) {
    let channels = affine.mean.len();
    let n = plane.len();
    assert!(from.is_none_or(|from| from.len() == n) && residual.is_none_or(|residual| residual.len() == n));
    vectors.run(Blocks { channels, work: Normalise { affine, from, residual, relu, plane } });
}

/// Values of a plane on the way back: the gradient of the output, the output where ReLU cut it, what was
/// normalised.
#[derive(Clone, Copy)]
pub(super) struct Back<'a> {
    pub dy: &'a [f32],
    /// With ReLU: the output, 0 where nothing flows back.
    pub y: Option<&'a [f32]>,
    pub x: &'a [f32],
}

impl Back<'_> {
    fn check(&self) {
        let n = self.dy.len();
        assert!(self.x.len() == n && self.y.is_none_or(|y| y.len() == n));
    }

    /// The gradient behind the ReLU of the `live` values at `at`.
    #[inline(always)]
    fn gradient<S: Simd>(&self, simd: S, at: usize, live: usize) -> S::f32s {
        passed(simd, read(simd, self.dy, at, live), self.y, at, live)
    }
}

/// For every channel the sums of the gradient and of the gradient times the distance from the mean: `sums` [2, C].
pub(super) fn gradient_sums(vectors: Vectors, back: Back<'_>, mean: &[f32], sums: &mut [f32]) {
    back.check();
    let (plain, weighted) = sums.split_at_mut(mean.len());
    vectors.run(Blocks { channels: mean.len(), work: GradientSums { back, mean, plain, weighted } });
}

/// The gradient of an output, to be read, or to be overwritten with what of it passes the ReLU, which is the gradient of
/// a residual that was added.
pub(super) enum Gradient<'a> {
    Read(&'a [f32]),
    Passed(&'a mut [f32]),
}

/// Turns what was normalised, `x`, into its gradient: `scale · gradient + (x − mean) · slope + shift`. `y` as in
/// [`Back`].
pub(super) fn input_gradient(
    vectors: Vectors,
    dy: Gradient<'_>,
    y: Option<&[f32]>,
    affine: &Affine,
    [slope, shift]: [&[f32]; 2],
    x: &mut [f32],
) {
    let n = x.len();
    let of_output = match &dy {
        Gradient::Read(dy) => dy.len(),
        Gradient::Passed(dy) => dy.len(),
    };
    assert!(of_output == n && y.is_none_or(|y| y.len() == n));
    let channels = affine.mean.len();
    vectors.run(Blocks { channels, work: InputGradient { dy, y, affine, slope, shift, x } });
}

/// Work on the channels `first` to `first + live`, which fill a vector or, at the end, a part of one.
trait Block {
    fn block<S: Simd>(&mut self, simd: S, first: usize, live: usize);
}

/// Work on all channels, a vector at a time.
struct Blocks<W> {
    channels: usize,
    work: W,
}

impl<W: Block> WithSimd for Blocks<W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for first in (0..self.channels).step_by(S::F32_LANES) {
            self.work.block(simd, first, S::F32_LANES.min(self.channels - first));
        }
    }
}

#[inline(always)]
fn write<S: Simd>(simd: S, values: &mut [f32], at: usize, live: usize, vector: S::f32s) {
    store(simd, &[vector], &mut values[at..at + live]);
}

/// Sums down a plane, four at a time so that no addition waits for the one before.
#[inline(always)]
fn sum<S: Simd>(
    simd: S,
    n: usize,
    channels: usize,
    first: usize,
    value: impl Fn(usize) -> S::f32s,
) -> S::f32s {
    let mut sums = [simd.splat_f32s(0.0); 4];
    let mut at = first;
    for _ in 0..n / channels / 4 {
        for sum in &mut sums {
            *sum = simd.add_f32s(*sum, value(at));
            at += channels;
        }
    }
    while at < n {
        sums[0] = simd.add_f32s(sums[0], value(at));
        at += channels;
    }
    simd.add_f32s(simd.add_f32s(sums[0], sums[1]), simd.add_f32s(sums[2], sums[3]))
}

struct Moments<'a> {
    plane: &'a [f32],
    mean: &'a mut [f32],
    squares: &'a mut [f32],
}

impl Block for Moments<'_> {
    #[inline(always)]
    fn block<S: Simd>(&mut self, simd: S, first: usize, live: usize) {
        let (n, channels) = (self.plane.len(), self.mean.len());
        let total = sum(
            simd,
            n,
            channels,
            first,
            #[inline(always)]
            |at| read(simd, self.plane, at, live),
        );
        let mean = simd.mul_f32s(total, simd.splat_f32s(1.0 / (n / channels) as f32));
        let squares = sum(
            simd,
            n,
            channels,
            first,
            #[inline(always)]
            |at| {
                let distance = simd.sub_f32s(read(simd, self.plane, at, live), mean);
                simd.mul_f32s(distance, distance)
            },
        );
        write(simd, self.mean, first, live, mean);
        write(simd, self.squares, first, live, squares);
    }
}

struct Normalise<'a> {
    affine: &'a Affine,
    from: Option<&'a [f32]>,
    residual: Option<&'a [f32]>,
    relu: bool,
    plane: &'a mut [f32],
}

impl Block for Normalise<'_> {
    #[inline(always)]
    fn block<S: Simd>(&mut self, simd: S, first: usize, live: usize) {
        let Affine { mean, scale, shift } = self.affine;
        let channels = mean.len();
        let (mean, scale, shift) =
            (read(simd, mean, first, live), read(simd, scale, first, live), read(simd, shift, first, live));
        let least = simd.splat_f32s(if self.relu { 0.0 } else { f32::NEG_INFINITY });
        for at in (first..self.plane.len()).step_by(channels) {
            let x = read(simd, self.from.unwrap_or(self.plane), at, live);
            let mut y = simd.mul_add_e_f32s(simd.sub_f32s(x, mean), scale, shift);
            if let Some(residual) = self.residual {
                y = simd.add_f32s(y, read(simd, residual, at, live));
            }
            // A number that is none stays one: a diverged training must be seen.
            let y = simd.select_f32s(simd.less_than_f32s(y, least), least, y);
            write(simd, self.plane, at, live, y);
        }
    }
}

struct GradientSums<'a> {
    back: Back<'a>,
    mean: &'a [f32],
    plain: &'a mut [f32],
    weighted: &'a mut [f32],
}

impl Block for GradientSums<'_> {
    #[inline(always)]
    fn block<S: Simd>(&mut self, simd: S, first: usize, live: usize) {
        let (n, channels) = (self.back.dy.len(), self.mean.len());
        let back = self.back;
        let mean = read(simd, self.mean, first, live);
        let plain = sum(
            simd,
            n,
            channels,
            first,
            #[inline(always)]
            |at| back.gradient(simd, at, live),
        );
        let weighted = sum(
            simd,
            n,
            channels,
            first,
            #[inline(always)]
            |at| {
                simd.mul_f32s(
                    back.gradient(simd, at, live),
                    simd.sub_f32s(read(simd, back.x, at, live), mean),
                )
            },
        );
        write(simd, self.plain, first, live, plain);
        write(simd, self.weighted, first, live, weighted);
    }
}

struct InputGradient<'a> {
    dy: Gradient<'a>,
    y: Option<&'a [f32]>,
    affine: &'a Affine,
    slope: &'a [f32],
    shift: &'a [f32],
    x: &'a mut [f32],
}

impl Block for InputGradient<'_> {
    #[inline(always)]
    fn block<S: Simd>(&mut self, simd: S, first: usize, live: usize) {
        let Affine { mean, scale, .. } = self.affine;
        let channels = mean.len();
        let (mean, scale) = (read(simd, mean, first, live), read(simd, scale, first, live));
        let (slope, shift) = (read(simd, self.slope, first, live), read(simd, self.shift, first, live));
        for at in (first..self.x.len()).step_by(channels) {
            let dy = match &self.dy {
                Gradient::Read(dy) => read(simd, dy, at, live),
                Gradient::Passed(dy) => read(simd, dy, at, live),
            };
            let gradient = passed(simd, dy, self.y, at, live);
            let distance = simd.sub_f32s(read(simd, self.x, at, live), mean);
            let dx = simd.mul_add_e_f32s(gradient, scale, simd.mul_add_e_f32s(distance, slope, shift));
            write(simd, self.x, at, live, dx);
            if let Gradient::Passed(dy) = &mut self.dy {
                write(simd, dy, at, live, gradient);
            }
        }
    }
}

/// What of a gradient passes the ReLU.
#[inline(always)]
fn passed<S: Simd>(simd: S, dy: S::f32s, y: Option<&[f32]>, at: usize, live: usize) -> S::f32s {
    match y {
        Some(y) => {
            let zero = simd.splat_f32s(0.0);
            simd.select_f32s(simd.less_than_f32s(zero, read(simd, y, at, live)), dy, zero)
        }
        None => dy,
    }
}
