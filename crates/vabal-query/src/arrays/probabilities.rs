//! What class probabilities may be, in one place, for arrays by their names and for those of
//! [`Signals`](super::Signals).
//!
//! Never here: where a row stands, what is done with it.

use std::ops::Range;

use rayon::prelude::*;

use super::ArrayRows;
use crate::error::{Complaint, Error};
use crate::kernels::wide;

/// How far the probabilities of a row may be from 1 in sum. The softmax of any number of classes in
/// f32 and that of 1,000 in f16 or bf16 are nearer than 0.004; what is no distribution is hardly
/// ever so near in every row.
const TOLERANCE: f32 = 0.01;

/// What may stand for a probability, give or take what rounding adds; NaN may not.
const PROBABILITIES: std::ops::RangeInclusive<f32> = 0.0..=1.0001;

/// The first row of which a line is not a distribution, and what is wrong with that.
pub(super) fn wrong(rows: ArrayRows<'_, f32>) -> Option<(usize, Complaint)> {
    let bad = |row: &'_ [f32]| -> Option<Range<usize>> {
        let mut lines = row.chunks(rows.columns());
        let line = wide(|| lines.position(|line| !is_distribution(line)))?;
        Some(line * rows.columns()..(line + 1) * rows.columns())
    };
    let least = (1 << 12) / rows.lines().max(1);
    let (at, row) = rows.par_iter(least).enumerate().find_first(|(_, row)| bad(row).is_some())?;
    Some((at, complaint(&row[bad(row)?], rows)))
}

#[inline(always)]
fn is_distribution(row: &[f32]) -> bool {
    const LANES: usize = 16;
    let good = |p: f32| (p >= *PROBABILITIES.start()) & (p <= *PROBABILITIES.end());
    let (whole, rest) = row.as_chunks::<LANES>();
    let (mut all, mut sums) = (true, [0.0; LANES]);
    for chunk in whole {
        for (sum, &p) in sums.iter_mut().zip(chunk) {
            *sum += p;
            all &= good(p);
        }
    }
    for (sum, &p) in sums.iter_mut().zip(rest) {
        *sum += p;
        all &= good(p);
    }
    // The other lanes of a short row are 0.
    let sum: f32 = sums[..row.len().min(LANES)].iter().sum();
    all & ((sum - 1.0).abs() <= TOLERANCE)
}

/// What is wrong with a row, and what the array that it is of looks like.
fn complaint(row: &[f32], all: ArrayRows<'_, f32>) -> Complaint {
    let outside = |p: &&f32| !PROBABILITIES.contains(*p);
    let sum: f64 = row.iter().map(|&p| f64::from(p)).sum();
    let near = |sum: f64, expected: f64| (sum / expected - 1.0).abs() <= f64::from(TOLERANCE);
    let said = match row.iter().find(outside) {
        Some(p) => Error::input("a probability is out of range").expected("numbers from 0 to 1").got(p),
        None => Error::input("the probabilities of a row do not sum to 1")
            .expected(format!("a sum of 1, within {TOLERANCE}"))
            .got((sum * 1e6).round() / 1e6),
    };
    said.hint(if row.iter().any(|p| !p.is_finite()) {
        "look for an overflow or a division by zero in the network that made them"
    } else if row.iter().all(|&p| p <= 0.0) && near(row.iter().map(|&p| f64::from(p).exp()).sum(), 1.0) {
        "they look like logarithms of probabilities: give exp(probs)"
    } else if near(sum, 100.0) && row.iter().all(|&p| p >= 0.0) {
        "they look like percentages: give probs / 100"
    } else if all.par_iter(1024).any(|row| row.iter().any(|p| outside(&p))) {
        "they look like logits: give probabilities, softmax(logits), not logits"
    } else if row.iter().all(|&p| p == 0.0) {
        "a row of zeros is no prediction: give the classifier's for it, or leave the row out"
    } else {
        "they look like sigmoids, a yes or no for each class: only if each image is of exactly one class, divide each row by \
         its sum; images of several classes at once are not ranked"
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::ArrayView2;
    use proptest::prelude::*;

    /// As [`super::wrong`], of rows of `classes` values.
    fn wrong(values: &[f32], classes: usize) -> Option<(usize, Complaint)> {
        super::wrong(ArrayView2::from_shape((values.len() / classes, classes), values).unwrap().into())
    }

    fn softmax(logits: &[f32]) -> Vec<f32> {
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f32> = logits.iter().map(|z| (z - most).exp()).collect();
        let sum: f32 = powers.iter().sum();
        powers.iter().map(|p| p / sum).collect()
    }

    /// The nearest number with so many bits behind the first, of which those below 2^least have
    /// fewer.
    fn rounded(p: f32, bits: i32, least: i32) -> f32 {
        let step = (p.log2().floor().max(least as f32) - bits as f32).exp2();
        (p / step).round() * step
    }

    proptest! {
        #[test]
        fn the_softmax_of_up_to_1000_classes_passes_in_16_and_in_32_bits(
            logits in prop::collection::vec(-1.0_f32..1.0, 2..1000), scale in prop::sample::select(vec![0.0_f32, 1.0, 9.0, 300.0]),
        ) {
            let p = softmax(&logits.iter().map(|z| z * scale).collect::<Vec<_>>());
            let half: Vec<f32> = p.iter().map(|&p| rounded(p, 10, -14)).collect();
            let brain: Vec<f32> = p.iter().map(|&p| rounded(p, 7, -126)).collect();
            for p in [p, half, brain] {
                prop_assert!(wrong(&p, p.len()).is_none(), "{}", p.iter().sum::<f32>());
            }
        }

        #[test]
        fn the_first_row_that_is_none_is_found_whatever_its_place(
            classes in 2_usize..40, rows in 1_usize..50, at in 0_usize..50, column in 0_usize..40,
            bad in prop::sample::select(vec![f32::NAN, -0.1, 2.0, f32::INFINITY, 0.0]),
        ) {
            let mut values = vec![1.0 / classes as f32; classes * rows];
            let at = at % rows;
            values[at * classes + column % classes] = bad;
            prop_assert_eq!(wrong(&values, classes).map(|(at, _)| at), Some(at));
        }
    }

    #[test]
    fn what_an_array_looks_like_is_hinted() {
        let hint = |values: &[f32], classes: usize| wrong(values, classes).unwrap().1.to_string();
        let cases: [(&[f32], &str); 8] = [
            (
                &[0.2, 0.9, 0.8, -3.0, 1.0, 2.0],
                "got: 1.9\n  hint: they look like logits: give probabilities, softmax(",
            ),
            (&[-1.0, 0.5, 2.0], "got: -1\n  hint: they look like logits"),
            (&[0.9, 0.9, 0.3], "a sum of 1, within 0.01\n  got: 2.1\n  hint: they look like sigmoids"),
            (&[0.0, 0.0, 0.0, 0.9, 0.9, 0.3], "got: 0\n  hint: a row of zeros is no prediction"),
            (&[0.1_f32.ln(), 0.2_f32.ln(), 0.7_f32.ln()], "give exp(probs)"),
            (&[10.0, 20.0, 70.0], "got: 10\n  hint: they look like percentages"),
            (&[0.5, f32::NAN, 0.5], "got: NaN\n  hint: look for an overflow"),
            (&[f32::INFINITY, 0.0, 0.0], "got: inf\n  hint: look for an overflow"),
        ];
        for (values, expected) in cases {
            let text = hint(values, 3);
            assert!(text.contains(expected), "{text}");
        }
    }
}
