//! e^x in f32 as plain arithmetic, so that loops over it run with the widest vectors.

/// e^x to about 2e-7 of its size (after the Cephes library's `expf`); 0, infinity and NaN where
/// they belong.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Added and taken away again, it leaves the nearest whole number, which stands in the lowest
    // bits in between.
    const WHOLE: f32 = 12_582_912.0;
    // Beyond these the answer is infinity or 0. NaN goes through.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + WHOLE;
    let power = (shifted.to_bits() as i32).wrapping_sub(WHOLE.to_bits() as i32);
    let whole = shifted - WHOLE;
    let r = (x - whole * 0.693_359_4) + whole * 2.121_944_4e-4;
    let mut y = 1.987_569_1e-4;
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        y = y * r + c;
    }
    let y = y * r * r + r + 1.0;
    // No checks for overflow, which would keep the loop from vectors. In two factors, since 2^128
    // and 2^-150 are no numbers.
    let half = power >> 1;
    let scale = |power: i32| f32::from_bits((power.wrapping_add(127) << 23) as u32);
    y * scale(half) * scale(power.wrapping_sub(half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_that_of_f64_to_rounding_and_keeps_the_edges() {
        for i in -870_000..=887_000 {
            let x = i as f32 * 1e-4;
            let expected = f64::from(x).exp();
            let got = f64::from(exp(x));
            assert!((got - expected).abs() <= 2.5e-7 * expected, "exp({x}) is {expected}, not {got}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!((exp(f32::INFINITY), exp(1e30), exp(89.0)), (f32::INFINITY, f32::INFINITY, f32::INFINITY));
        assert_eq!((exp(f32::NEG_INFINITY), exp(-1e30), exp(-104.0)), (0.0, 0.0, 0.0));
        assert!(exp(f32::NAN).is_nan());
        let tiny = exp(-100.0);
        assert!((f64::from(tiny) - (-100.0_f64).exp()).abs() < 2e-45, "{tiny}");
    }
}
