//! Sums, means and the largest of many probabilities at the speed of memory.
//!
//! Never here: what they are put together to.

use super::wide;

/// Partial sums kept apart, so that the processor may add many at once in one fixed order.
const LANES: usize = 32;

/// Values whose terms are summed in f32 before the sum goes on in f64.
const BLOCK: usize = 32 * LANES;

/// Natural logarithm of a positive normal number, to about 1e-7 of its size or, near 1, of 1 (after
/// the Cephes library's `logf`); something finite for 0.
#[inline(always)]
fn ln(x: f32) -> f32 {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    let bits = x.to_bits();
    let shifted = bits.wrapping_sub(SQRT_HALF) as i32;
    let exponent = (shifted >> 23) as f32;
    // In [√½, √2), less 1.
    let m = f32::from_bits(bits.wrapping_sub((shifted & 0xff80_0000_u32 as i32) as u32)) - 1.0;
    let mut y = 7.037_683_6e-2;
    for c in [
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        y = y * m + c;
    }
    let z = m * m;
    let y = y * m * z - 2.121_944_4e-4 * exponent - 0.5 * z;
    m + y + 0.693_359_4 * exponent
}

/// −x ln x, and 0 for 0.
#[inline(always)]
fn term(x: f32) -> f32 {
    let y = -x * ln(x);
    if x > 0.0 { y } else { 0.0 }
}

/// Σ −p ln p over `values`, in nats, with an error of about 1e-6 of the sum. The same bits on every
/// processor.
pub fn entropy_sum(values: &[f32]) -> f64 {
    wide(
        #[inline(always)]
        || entropy_of(values),
    )
}

/// The same where loops are compiled for wide vectors already.
#[inline(always)]
pub fn entropy_of(values: &[f32]) -> f64 {
    let mut sum = 0.0;
    for block in values.chunks(BLOCK) {
        let mut lanes = [0.0_f32; LANES];
        let whole = block.chunks_exact(LANES);
        let rest = whole.remainder();
        for chunk in whole {
            for (lane, &x) in lanes.iter_mut().zip(chunk) {
                *lane += term(x);
            }
        }
        for (lane, &x) in lanes.iter_mut().zip(rest) {
            *lane += term(x);
        }
        sum += lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>();
    }
    sum
}

/// The largest value, the place of the first that is as large, and the largest of all but that one.
#[inline(always)]
pub fn two_largest(values: &[f32]) -> (f32, usize, f32) {
    const NONE: f32 = f32::NEG_INFINITY;
    const WIDTH: usize = 16;
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let smaller = |a: f32, b: f32| if a > b { b } else { a };
    if values.len() <= WIDTH {
        // Of few values, one by one: to join lanes takes longer.
        let (mut largest, mut place, mut next) = (NONE, 0, NONE);
        for (n, &x) in values.iter().enumerate() {
            next = larger(next, smaller(largest, x));
            place = if x > largest { n } else { place };
            largest = larger(largest, x);
        }
        return (largest, place, next);
    }
    let (mut first, mut second) = ([NONE; WIDTH], [NONE; WIDTH]);
    for chunk in values.chunks(WIDTH) {
        for ((first, second), &x) in first.iter_mut().zip(&mut second).zip(chunk) {
            *second = larger(*second, smaller(*first, x));
            *first = larger(*first, x);
        }
    }
    let (mut largest, mut next) = (NONE, NONE);
    for &x in first.iter().chain(&second) {
        next = larger(next, smaller(largest, x));
        largest = larger(largest, x);
    }
    let chunk = values.chunks(WIDTH).position(|chunk| chunk.iter().fold(false, |is, &x| is | (x == largest)));
    let from = chunk.unwrap_or(0) * WIDTH;
    let place = values[from..].iter().position(|&x| x == largest).map_or(0, |place| from + place);
    (largest, place, next)
}

/// The mean over the rows of `draws`, row-major with `mean.len()` columns.
pub fn mean_of_rows(draws: &[f32], mean: &mut [f32]) {
    let classes = mean.len();
    wide(
        #[inline(always)]
        || {
            mean.fill(0.0);
            for draw in draws.chunks_exact(classes) {
                for (mean, &p) in mean.iter_mut().zip(draw) {
                    *mean += p;
                }
            }
            let share = classes as f32 / draws.len() as f32;
            mean.iter_mut().for_each(|mean| *mean *= share);
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reference(values: &[f32]) -> f64 {
        values.iter().map(|&p| f64::from(p)).filter(|&p| p > 0.0).map(|p| -p * p.ln()).sum()
    }

    proptest! {
        #[test]
        fn equals_the_sum_in_f64(values in prop::collection::vec(0.0_f32..=1.0, 0..3000), power in 0_i32..8) {
            let values: Vec<f32> = values.into_iter().map(|p| p.powi(1 << power)).collect();
            let (got, expected) = (entropy_sum(&values), reference(&values));
            prop_assert!((got - expected).abs() <= 2e-6 * expected + 1e-7, "{got} {expected}");
        }
    }

    proptest! {
        #[test]
        fn the_two_largest_are_those_of_a_sorted_copy(values in prop::collection::vec(0_u8..20, 1..70)) {
            let values: Vec<f32> = values.into_iter().map(f32::from).collect();
            let mut sorted = values.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            let (largest, place, next) = two_largest(&values);
            prop_assert_eq!(largest, sorted[0]);
            prop_assert_eq!(Some(place), values.iter().position(|&x| x == sorted[0]));
            prop_assert_eq!(next, sorted.get(1).copied().unwrap_or(f32::NEG_INFINITY));
        }
    }

    #[test]
    fn certainty_and_impossibility_are_exactly_nothing() {
        assert_eq!(entropy_sum(&[0.0, 1.0, 0.0, 1.0]), 0.0);
        assert!(entropy_sum(&[f32::MIN_POSITIVE, 1e-40]) < 1e-30);
    }

    #[test]
    fn the_logarithm_is_right_over_all_magnitudes() {
        let mut x = f32::MIN_POSITIVE;
        while x < 4.0 {
            let (got, expected) = (f64::from(ln(x)), f64::from(x).ln());
            assert!((got - expected).abs() < 2e-7 * expected.abs().max(0.5), "{x}: {got} {expected}");
            x *= 1.001;
        }
    }
}
