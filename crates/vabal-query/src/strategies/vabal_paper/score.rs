//! The score, Eq. 6, streamed over the unlabelled pool.
//!
//! The same answer for less than the formula spells out: one encode per image for all S draws; the
//! decoder's first layer is linear in z, so that zeroing a class's block is a subtraction; and the
//! squared error needs no reconstruction, since ‖W h + b − x‖² = ‖R h + Qᵀ(b − x)‖² + ‖(I − QQᵀ)(b
//! − x)‖² with W = QR, where R is [H, H] and the rest is once per image. No sum over draws is
//! stored. Never here: fitting.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut1, s};

use super::posterior::{ClassTerms, Encoded, Frozen, Votes, add_bias};
use super::settings::{ClassSum, Likelihood};
use super::vae::HIDDEN;
use crate::Signals;
use crate::error::Result;
use crate::kernels::{Threads, matmul, wide};
use crate::progress::Progress;

/// Rows that go through the decoder together: as many as stay in the second-level cache.
const TILE: usize = 256;

/// `error`, or the largest f32 where it is beyond f32. An image far from all that the VAE was fitted
/// to can have a σ of e⁴⁰ and more; it is the least likely of all, which is no reason to score no
/// image.
fn finite(error: f64) -> f64 {
    // Of a NaN and a number, `min` is the number.
    error.min(f64::from(f32::MAX))
}

/// The score of one image and what it is made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scored {
    /// Eq. 6; larger = ask first.
    pub score: f64,
    /// ℓ as the score takes it, the mean over draws; with class sum `all` also over classes, each
    /// with its weight d_n·π_n. `None` where the likelihood is switched off.
    pub likelihood: Option<f64>,
}

/// What the score of one image needs of it, whatever the class terms turn out to be: so that the
/// draws are made and decoded once, although Eq. 12 wants to see them all first.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Drawn {
    pub votes: Votes,
    /// Σ over draws of ℓ(x, z, n): of every class n with class sum `all`; of each class in `votes`,
    /// over the draws that it is predicted for, with `predicted`; empty where the likelihood is 1.
    likelihoods: Box<[f64]>,
}

/// Draws and decodes every image of `unlabelled`, row by row.
pub(super) fn drawn(
    decoder: &Decoder,
    (class_sum, likelihood): (ClassSum, Likelihood),
    unlabelled: &Signals<'_>,
    progress: &mut Progress<'_>,
) -> Result<Vec<Drawn>> {
    let frozen = &decoder.frozen;
    let classes = frozen.architecture.classes;
    let each = |work: &mut Workspace, _row, encoded: &Encoded, row: usize, z: &mut Array2<f32>| {
        work.predicted.clear();
        work.predicted.extend(frozen.predictions(z));
        let votes = Votes::count(work.predicted.iter().copied(), &mut work.counts);
        if likelihood == Likelihood::None {
            return Drawn { votes, likelihoods: Box::default() };
        }
        let target = decoder.target(encoded, row);
        let of = |error: f32| {
            let loss = finite(error.into()) / target.inputs + target.offset;
            match likelihood {
                Likelihood::Exp => (-loss).exp(),
                Likelihood::Inverse => 1.0 / loss,
                Likelihood::Energy => loss,
                Likelihood::None => 1.0,
            }
        };
        let mut sums = vec![0.0; classes];
        let likelihoods = match class_sum {
            ClassSum::All => {
                decoder.every_class(z, &target, work, |n, error| sums[n] += of(error));
                sums.into()
            }
            ClassSum::Predicted => {
                decoder.predicted_class(z, &target, work, |n, error| sums[n] += of(error));
                votes.0.iter().map(|&(n, _)| sums[n as usize]).collect()
            }
        };
        Drawn { votes, likelihoods }
    };
    frozen.for_each_image(unlabelled, "score", progress, || Workspace::new(frozen.draws(), classes), each)
}

/// Calls `each` on every row of `unlabelled` with ln p(x | n) of all classes n, but for what is the
/// same for all: the mean over draws of exp(−‖x̂ − x‖² / 2σ²), with the block of class n zeroed
/// before decoding and σ² = `variance`.
pub(super) fn log_likelihoods<R: Send>(
    decoder: &Decoder,
    variance: f64,
    unlabelled: &Signals<'_>,
    each: impl Fn(usize, ArrayViewMut1<'_, f64>) -> R + Sync,
    progress: &mut Progress<'_>,
) -> Result<Vec<R>> {
    let frozen = &decoder.frozen;
    let (classes, draws) = (frozen.architecture.classes, frozen.draws());
    let halved = -0.5 / variance.max(f64::from(f32::MIN_POSITIVE));
    let of = |work: &mut Workspace, row, encoded: &Encoded, at: usize, z: &mut Array2<f32>| {
        let target = decoder.target(encoded, at);
        let mut logs = Array2::zeros((classes, draws));
        let mut draw = vec![0; classes];
        decoder.every_class(z, &target, work, |n, error| {
            logs[[n, draw[n]]] = halved * finite(error.into());
            draw[n] += 1;
        });
        let mut of_classes: Array1<f64> = logs.rows().into_iter().map(log_mean_exp).collect();
        each(row, of_classes.view_mut())
    };
    frozen.for_each_image(unlabelled, "posterior", progress, || Workspace::new(draws, classes), of)
}

/// ln of the mean of exp.
fn log_mean_exp(values: ArrayView1<'_, f64>) -> f64 {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most + (values.iter().map(|value| (value - most).exp()).sum::<f64>() / values.len() as f64).ln()
}

/// Eq. 6.
pub(super) fn score(drawn: &[Drawn], terms: &ClassTerms, class_sum: ClassSum, draws: usize) -> Vec<Scored> {
    let weight: Vec<f64> = terms.difficulty.iter().zip(&terms.prior).map(|(d, p)| d * p).collect();
    let (per_draw, total) = (1.0 / draws as f64, weight.iter().sum::<f64>());
    let weighted = |sums: &[f64]| weight.iter().zip(sums).map(|(weight, sum)| weight * sum).sum::<f64>();
    let each = |Drawn { votes, likelihoods }: &Drawn| {
        let said = votes.0.iter().map(|&(n, votes)| (weight[n as usize], f64::from(votes)));
        let (sum, likelihood) = match (class_sum, likelihoods.is_empty()) {
            (ClassSum::All, true) => (total * draws as f64, None),
            (ClassSum::All, false) => {
                let sum = weighted(likelihoods);
                (sum, Some(sum / total))
            }
            (ClassSum::Predicted, true) => (said.map(|(weight, votes)| weight * votes).sum(), None),
            (ClassSum::Predicted, false) => {
                let sum = said.zip(likelihoods).map(|((weight, _), likelihood)| weight * likelihood).sum();
                (sum, Some(likelihoods.iter().sum::<f64>()))
            }
        };
        Scored { score: -sum * per_draw, likelihood: likelihood.map(|likelihood| likelihood * per_draw) }
    };
    drawn.iter().map(each).collect()
}

/// The decoder, arranged for errors rather than reconstructions.
pub(in crate::strategies) struct Decoder {
    pub(super) frozen: Arc<Frozen>,
    /// −W₁ of the block of each class, [K, H] each.
    minus_first: Vec<Array2<f32>>,
    /// Rᵀ [H, H], lower triangular.
    r: Array2<f32>,
    /// Q [D, H]
    q: Array2<f32>,
}

/// What of an image the decoder's errors need.
pub(super) struct Target {
    /// Qᵀ(b − x) [H]
    v: Vec<f32>,
    /// D.
    inputs: f64,
    /// ‖(I − QQᵀ)(b − x)‖² / D, plus the KL term.
    offset: f64,
}

/// Buffers of one thread.
pub(super) struct Workspace {
    predicted: Vec<usize>,
    /// Votes of the classes while they are counted.
    counts: Vec<u32>,
    base: Array2<f32>,
    a: Array2<f32>,
    b: Array2<f32>,
}

impl Workspace {
    pub fn new(draws: usize, classes: usize) -> Self {
        let rows = (TILE / draws).max(1) * draws;
        let buffer = |rows| Array2::zeros((rows, HIDDEN));
        Self {
            predicted: Vec::new(),
            counts: vec![0; classes],
            base: buffer(draws),
            a: buffer(rows),
            b: buffer(rows),
        }
    }
}

impl Decoder {
    pub(super) fn new(frozen: Arc<Frozen>) -> Self {
        let architecture = &frozen.architecture;
        let first = &frozen.decoder[0].weight;
        let minus_first = (0..architecture.classes)
            .map(|n| first.slice(s![architecture.block(n), ..]).mapv(|w| -w))
            .collect();
        let (q, r) = orthogonalise(&frozen.output.weight);
        Self { frozen, minus_first, r, q }
    }

    pub(super) fn target(&self, encoded: &Encoded, row: usize) -> Target {
        let x = encoded.x.slice(s![row..=row, ..]);
        let rest = &ndarray::ArrayView1::from(&self.frozen.output.bias) - &x;
        let mut v = Array2::zeros((1, HIDDEN));
        matmul(rest.view(), self.q.view(), 0.0, v.view_mut(), Threads::One);
        let square = |values: &Array2<f32>| values.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>();
        let inputs = rest.len() as f64;
        Target {
            offset: (square(&rest) - square(&v)).max(0.0) / inputs + finite(encoded.kl[row]),
            v: v.into_raw_vec_and_offset().0,
            inputs,
        }
    }

    /// The squared error of every draw with the block of every class zeroed: `each(n, error)`, less
    /// the part that [`Target::offset`] holds.
    pub(super) fn every_class(
        &self,
        z: &Array2<f32>,
        target: &Target,
        work: &mut Workspace,
        mut each: impl FnMut(usize, f32),
    ) {
        let (draws, classes) = (z.nrows(), self.minus_first.len());
        self.first(z, work);
        let group = (TILE / draws).max(1);
        for start in (0..classes).step_by(group) {
            let members = start..(start + group).min(classes);
            let rows = members.len() * draws;
            for (i, n) in members.clone().enumerate() {
                let mut tile = work.a.slice_mut(s![i * draws..(i + 1) * draws, ..]);
                tile.assign(&work.base);
                let block = z.slice(s![.., self.frozen.architecture.block(n)]);
                matmul(block, self.minus_first[n].view(), 1.0, tile, Threads::One);
            }
            self.errors(target, work, rows, |row, error| each(start + row / draws, error));
        }
    }

    /// The squared error of every draw with the block of its own ŷ zeroed: `each(ŷ, error)`. Zeroes
    /// `z`.
    pub(super) fn predicted_class(
        &self,
        z: &mut Array2<f32>,
        target: &Target,
        work: &mut Workspace,
        mut each: impl FnMut(usize, f32),
    ) {
        for (mut draw, &n) in z.rows_mut().into_iter().zip(&work.predicted) {
            draw.slice_mut(s![self.frozen.architecture.block(n)]).fill(0.0);
        }
        self.first(z, work);
        work.a.slice_mut(s![..z.nrows(), ..]).assign(&work.base);
        let predicted = std::mem::take(&mut work.predicted);
        self.errors(target, work, z.nrows(), |row, error| each(predicted[row], error));
        work.predicted = predicted;
    }

    /// `work.base` = W₁ z, without the bias.
    fn first(&self, z: &Array2<f32>, work: &mut Workspace) {
        self.frozen.decoder[0].product(z.view(), work.base.view_mut());
    }

    /// From the first `rows` of `work.a`, before bias and activation, through the other layers to
    /// the errors.
    fn errors(&self, target: &Target, work: &mut Workspace, rows: usize, mut each: impl FnMut(usize, f32)) {
        let relu = |v: f32| v.max(0.0);
        add_bias(&mut work.a, &self.frozen.decoder[0].bias, relu);
        for layer in &self.frozen.decoder[1..] {
            layer.product(work.a.slice(s![..rows, ..]), work.b.slice_mut(s![..rows, ..]));
            add_bias(&mut work.b, &layer.bias, relu);
            std::mem::swap(&mut work.a, &mut work.b);
        }
        // R is upper triangular: the later half of R·h needs only the later half of h.
        const HALF: usize = HIDDEN / 2;
        let h = work.a.slice(s![..rows, ..]);
        let (early, late) = (self.r.slice(s![.., ..HALF]), self.r.slice(s![HALF.., HALF..]));
        matmul(h, early, 0.0, work.b.slice_mut(s![..rows, ..HALF]), Threads::One);
        matmul(h.slice(s![.., HALF..]), late, 0.0, work.b.slice_mut(s![..rows, HALF..]), Threads::One);
        let flat = work.b.as_slice().expect("row-major");
        wide(
            #[inline(always)]
            || {
                for (row, y) in flat.chunks_exact(HIDDEN).take(rows).enumerate() {
                    each(row, squared_distance(y, &target.v));
                }
            },
        );
    }
}

/// Σ (y + v)², in sixteen lanes that the compiler keeps in vector registers.
#[inline(always)]
fn squared_distance(y: &[f32], v: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0_f32; LANES];
    for (y, v) in y.chunks_exact(LANES).zip(v.chunks_exact(LANES)) {
        for lane in 0..LANES {
            let d = y[lane] + v[lane];
            sums[lane] += d * d;
        }
    }
    sums.iter().sum()
}

/// Wᵀ [H, D] as (Q [D, H], Rᵀ [H, H]) with W = Q·R, in f64 by Gram–Schmidt, run twice over each
/// column so that Q is orthogonal to rounding. A column that depends on those before it gets a zero
/// in Q and in R's diagonal.
fn orthogonalise(weight: &Array2<f32>) -> (Array2<f32>, Array2<f32>) {
    let columns = weight.nrows();
    let mut q: Vec<Vec<f64>> = Vec::with_capacity(columns);
    let mut r = Array2::<f64>::zeros((columns, columns));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for j in 0..columns {
        let mut column: Vec<f64> = weight.row(j).iter().map(|&w| f64::from(w)).collect();
        let before = dot(&column, &column).sqrt();
        for _ in 0..2 {
            for (i, q) in q.iter().enumerate() {
                let along = dot(q, &column);
                r[[i, j]] += along;
                column.iter_mut().zip(q).for_each(|(c, q)| *c -= along * q);
            }
        }
        let length = dot(&column, &column).sqrt();
        if length > 1e-10 * before {
            r[[j, j]] = length;
            column.iter_mut().for_each(|c| *c /= length);
        } else {
            column.fill(0.0);
        }
        q.push(column);
    }
    let q = Array2::from_shape_fn((weight.ncols(), columns), |(d, i)| q[i][d] as f32);
    (q, Array2::from_shape_fn((columns, columns), |(i, j)| r[[j, i]] as f32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orthogonalise_gives_back_the_matrix_even_when_columns_depend_on_each_other() {
        let mut weight = Array2::from_shape_fn((12, 40), |(i, j)| ((i * 7 + j * 13) % 17) as f32 / 5.0 - 1.3);
        let copy = weight.row(2).mapv(|w| 2.0 * w);
        weight.row_mut(5).assign(&copy);
        weight.row_mut(7).fill(0.0);
        let (q, r) = orthogonalise(&weight);
        let difference = r.dot(&q.t()) - &weight;
        assert!(difference.iter().all(|d| d.abs() < 1e-5));
        for (i, j) in (0..12).flat_map(|i| (0..12).map(move |j| (i, j))) {
            let dot = q.column(i).dot(&q.column(j));
            let unit = if i == j && ![5, 7].contains(&i) { 1.0 } else { 0.0 };
            assert!((dot - unit).abs() < 1e-5, "q{i}·q{j} = {dot}");
            assert!(j <= i || r[[i, j]] == 0.0);
        }
    }

    #[test]
    fn log_mean_exp_is_that_and_holds_where_exp_would_not() {
        let of = |values: &[f64]| log_mean_exp(ArrayView1::from(values));
        assert!((of(&[1.0_f64.ln(), 3.0_f64.ln()]) - 2.0_f64.ln()).abs() < 1e-12);
        assert!((of(&[-2000.0, -2000.0]) + 2000.0).abs() < 1e-12);
        assert!((of(&[-3000.0, -1000.0]) - (-1000.0 - 2.0_f64.ln())).abs() < 1e-12);
    }

    #[test]
    fn squared_distance_is_the_plain_sum() {
        let y: Vec<f32> = (0..HIDDEN).map(|i| (i as f32 * 0.37).sin()).collect();
        let v: Vec<f32> = (0..HIDDEN).map(|i| (i as f32 * 0.11).cos()).collect();
        let plain: f32 = y.iter().zip(&v).map(|(y, v)| (y + v).powi(2)).sum();
        assert!((squared_distance(&y, &v) - plain).abs() < 1e-4);
    }
}
