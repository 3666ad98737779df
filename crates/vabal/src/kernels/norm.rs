//! Batch normalisation of channels-last images, with an addition and a ReLU behind it: what the
//! forward pass and its gradient do to every value.
//!
//! A plane is what one image has, [H · W, C]; every function here works on one. Channels are worked
//! on a vector at a time, down the whole plane, so that what belongs to a channel stays in
//! registers. Never here: sums over the batch.

use pulp::{Simd, WithSimd};

use super::vectors::{Vectors, read, store};

/// The mean of every channel, and the sum of the squared distances from it: `moments` [2, C].
pub(super) fn moments(vectors: Vectors, plane: &[f32], moments: &mut [f32]) {
    let (mean, squares) = moments.split_at_mut(moments.len() / 2);
    vectors.run(Blocks { channels: mean.len(), work: Moments { plane, mean, squares } });
}

/// What normalisation does to each channel, C values each: `(x − mean) · scale + shift`.
#[derive(Debug, Clone)]
pub(crate) struct Affine {
    pub mean: Vec<f32>,
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
}

/// What becomes of a value as it is read. A trait and not a closure, which would not be compiled
/// for the vectors of its caller.
pub(super) trait Reading: Copy {
    /// What belongs to a vector of channels.
    type Channels<S: Simd>: Copy;

    fn channels<S: Simd>(self, simd: S, first: usize, live: usize) -> Self::Channels<S>;

    fn value<S: Simd>(simd: S, channels: Self::Channels<S>, value: S::f32s) -> S::f32s;
}

#[derive(Clone, Copy)]
pub(super) struct AsIs;

impl Reading for AsIs {
    type Channels<S: Simd> = ();

    #[inline(always)]
    fn channels<S: Simd>(self, _: S, _: usize, _: usize) {}

    #[inline(always)]
    fn value<S: Simd>(_: S, (): (), value: S::f32s) -> S::f32s {
        value
    }
}

/// Normalised, and cut off below zero.
#[derive(Clone, Copy)]
pub(super) struct Activated<'a>(pub &'a Affine);

impl Reading for Activated<'_> {
    type Channels<S: Simd> = [S::f32s; 3];

    #[inline(always)]
    fn channels<S: Simd>(self, simd: S, first: usize, live: usize) -> [S::f32s; 3] {
        let Affine { mean, scale, shift } = self.0;
        [read(simd, mean, first, live), read(simd, scale, first, live), read(simd, shift, first, live)]
    }

    #[inline(always)]
    fn value<S: Simd>(simd: S, [mean, scale, shift]: [S::f32s; 3], value: S::f32s) -> S::f32s {
        let y = simd.mul_add_e_f32s(simd.sub_f32s(value, mean), scale, shift);
        cut(simd, y, simd.splat_f32s(0.0))
    }
}

/// What is below `least` becomes it. A number that is none stays one: a diverged training must be
/// seen.
#[inline(always)]
fn cut<S: Simd>(simd: S, y: S::f32s, least: S::f32s) -> S::f32s {
    simd.select_f32s(simd.less_than_f32s(y, least), least, y)
}

/// Normalises `plane` in place, or `from` into it, adds `residual`, and with `relu` cuts off what
/// is below zero.
pub(crate) fn normalise(
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

/// Where a ReLU behind the normalisation let nothing through, and so lets nothing flow back.
#[derive(Clone, Copy)]
pub(crate) enum Cut<'a> {
    /// There was none.
    Nowhere,
    /// Where this output, of which the plane is a part, is 0.
    Output(&'a [f32]),
    /// Where what was normalised comes out as 0 once more.
    Again,
}

impl<'a> Cut<'a> {
    /// The same for a part of the output.
    pub fn part(self, part: std::ops::Range<usize>) -> Self {
        match self {
            Self::Output(y) => Self::Output(&y[part]),
            other => other,
        }
    }

    fn fits(&self, n: usize) -> bool {
        !matches!(self, Self::Output(y) if y.len() != n)
    }
}

/// For every channel the sums of the gradient `dy` behind the ReLU, and of it times the distance of
/// what was normalised, `x`, from the mean: `sums` [2, C].
pub(super) fn gradient_sums(
    vectors: Vectors,
    dy: &[f32],
    x: &[f32],
    cut: Cut<'_>,
    affine: &Affine,
    sums: &mut [f32],
) {
    assert!(x.len() == dy.len() && cut.fits(dy.len()));
    let channels = affine.mean.len();
    let (plain, weighted) = sums.split_at_mut(channels);
    vectors.run(Blocks { channels, work: GradientSums { dy, x, cut, affine, plain, weighted } });
}

/// The gradient of an output, to be read, or to be overwritten with what of it passes the ReLU,
/// which is the gradient of a residual that was added.
pub(super) enum Gradient<'a> {
    Read(&'a [f32]),
    Passed(&'a mut [f32]),
}

/// Turns what was normalised, `x`, into its gradient: `scale · gradient + (x − mean) · slope +
/// shift`.
pub(super) fn input_gradient(
    vectors: Vectors,
    dy: Gradient<'_>,
    cut: Cut<'_>,
    affine: &Affine,
    [slope, shift]: [&[f32]; 2],
    x: &mut [f32],
) {
    let n = x.len();
    let of_output = match &dy {
        Gradient::Read(dy) => dy.len(),
        Gradient::Passed(dy) => dy.len(),
    };
    assert!(of_output == n && cut.fits(n));
    let channels = affine.mean.len();
    vectors.run(Blocks { channels, work: InputGradient { dy, cut, affine, slope, shift, x } });
}

/// Work on the channels `first` to `first + live`, which fill a vector or, at the end, a part of
/// one.
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

/// Sums down a plane, N at once, and each in four parts so that no addition waits for the one
/// before.
#[inline(always)]
fn sums<S: Simd, const N: usize>(
    simd: S,
    n: usize,
    channels: usize,
    first: usize,
    values: impl Fn(usize) -> [S::f32s; N],
) -> [S::f32s; N] {
    let mut parts = [[simd.splat_f32s(0.0); 4]; N];
    let mut at = first;
    for _ in 0..n / channels / 4 {
        for part in 0..4 {
            for (sum, value) in parts.iter_mut().zip(values(at)) {
                sum[part] = simd.add_f32s(sum[part], value);
            }
            at += channels;
        }
    }
    while at < n {
        for (sum, value) in parts.iter_mut().zip(values(at)) {
            sum[0] = simd.add_f32s(sum[0], value);
        }
        at += channels;
    }
    let mut sums = [simd.splat_f32s(0.0); N];
    for (sum, [a, b, c, d]) in sums.iter_mut().zip(parts) {
        *sum = simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d));
    }
    sums
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
        let [total] = sums(
            simd,
            n,
            channels,
            first,
            #[inline(always)]
            |at| [read(simd, self.plane, at, live)],
        );
        let mean = simd.mul_f32s(total, simd.splat_f32s(1.0 / (n / channels) as f32));
        let [squares] = sums(
            simd,
            n,
            channels,
            first,
            #[inline(always)]
            |at| {
                let distance = simd.sub_f32s(read(simd, self.plane, at, live), mean);
                [simd.mul_f32s(distance, distance)]
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
            write(simd, self.plane, at, live, cut(simd, y, least));
        }
    }
}

struct GradientSums<'a> {
    dy: &'a [f32],
    x: &'a [f32],
    cut: Cut<'a>,
    affine: &'a Affine,
    plain: &'a mut [f32],
    weighted: &'a mut [f32],
}

impl Block for GradientSums<'_> {
    #[inline(always)]
    fn block<S: Simd>(&mut self, simd: S, first: usize, live: usize) {
        let Self { dy, x, cut, affine, .. } = *self;
        let channels = Activated(affine).channels(simd, first, live);
        let [plain, weighted] = sums(
            simd,
            dy.len(),
            affine.mean.len(),
            first,
            #[inline(always)]
            |at| {
                let x = read(simd, x, at, live);
                let gradient = passed(simd, read(simd, dy, at, live), x, cut, channels, at, live);
                [gradient, simd.mul_f32s(gradient, simd.sub_f32s(x, channels[0]))]
            },
        );
        write(simd, self.plain, first, live, plain);
        write(simd, self.weighted, first, live, weighted);
    }
}

struct InputGradient<'a> {
    dy: Gradient<'a>,
    cut: Cut<'a>,
    affine: &'a Affine,
    slope: &'a [f32],
    shift: &'a [f32],
    x: &'a mut [f32],
}

impl Block for InputGradient<'_> {
    #[inline(always)]
    fn block<S: Simd>(&mut self, simd: S, first: usize, live: usize) {
        let channels = Activated(self.affine).channels(simd, first, live);
        let [mean, scale, _] = channels;
        let (slope, shift) = (read(simd, self.slope, first, live), read(simd, self.shift, first, live));
        for at in (first..self.x.len()).step_by(self.affine.mean.len()) {
            let dy = match &self.dy {
                Gradient::Read(dy) => read(simd, dy, at, live),
                Gradient::Passed(dy) => read(simd, dy, at, live),
            };
            let x = read(simd, self.x, at, live);
            let gradient = passed(simd, dy, x, self.cut, channels, at, live);
            let distance = simd.sub_f32s(x, mean);
            let dx = simd.mul_add_e_f32s(gradient, scale, simd.mul_add_e_f32s(distance, slope, shift));
            write(simd, self.x, at, live, dx);
            if let Gradient::Passed(dy) = &mut self.dy {
                write(simd, dy, at, live, gradient);
            }
        }
    }
}

/// What of a gradient passes the ReLU behind the normalisation of `x`.
#[inline(always)]
fn passed<S: Simd>(
    simd: S,
    dy: S::f32s,
    x: S::f32s,
    cut: Cut<'_>,
    channels: [S::f32s; 3],
    at: usize,
    live: usize,
) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    let y = match cut {
        Cut::Nowhere => return dy,
        Cut::Output(y) => read(simd, y, at, live),
        Cut::Again => Activated::value(simd, channels, x),
    };
    simd.select_f32s(simd.less_than_f32s(zero, y), dy, zero)
}
