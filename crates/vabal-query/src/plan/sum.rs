//! An exact sum: the same bits in any order, and however its numbers were split.
//!
//! Never here: numbers below 0.

use std::collections::BTreeMap;

/// A sum of finite numbers of 0 or more: mantissas as whole numbers, by exponent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sum {
    by_exponent: BTreeMap<u16, u128>,
}

/// Bits of a mantissa behind the point.
const MANTISSA: u32 = 52;

impl Sum {
    /// One of so many halves of mantissas, as [`Sum::halves`] gave them.
    pub fn of(halves: impl IntoIterator<Item = (u16, u64, u64)>) -> Self {
        let whole = |(exponent, high, low)| (exponent, u128::from(high) << 64 | u128::from(low));
        Self { by_exponent: halves.into_iter().map(whole).collect() }
    }

    /// Exponents with the upper and lower halves of their sums.
    pub fn halves(&self) -> Vec<(u16, u64, u64)> {
        self.by_exponent.iter().map(|(&exponent, &sum)| (exponent, (sum >> 64) as u64, sum as u64)).collect()
    }

    pub fn add(&mut self, value: f64) {
        let bits = value.to_bits();
        let (exponent, mantissa) = ((bits >> MANTISSA) as u16, bits & ((1 << MANTISSA) - 1));
        let mantissa = if exponent == 0 { mantissa } else { mantissa | 1 << MANTISSA };
        if mantissa > 0 {
            *self.by_exponent.entry(exponent).or_default() += u128::from(mantissa);
        }
    }

    pub fn merge(&mut self, other: &Self) {
        for (&exponent, sum) in &other.by_exponent {
            *self.by_exponent.entry(exponent).or_default() += sum;
        }
    }

    /// The sum in f64.
    pub fn value(&self) -> f64 {
        let of = |(&exponent, &sum): (&u16, &u128)| {
            let power = i32::from(exponent.max(1)) - 1023 - MANTISSA as i32;
            // In two steps: the power alone may be below the smallest number.
            sum as f64 * 2.0_f64.powi(power / 2) * 2.0_f64.powi(power - power / 2)
        };
        self.by_exponent.iter().map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #[test]
        fn a_sum_is_the_same_bits_in_any_order_and_right(
            values in prop::collection::vec((0.0_f64..1.0, -300_i32..300), 0..60), turn in 0_usize..60,
        ) {
            let values: Vec<f64> = values.into_iter().map(|(value, power)| value * 2.0_f64.powi(power)).collect();
            let sum = |values: &[f64]| {
                let mut sum = Sum::default();
                values.iter().for_each(|&value| sum.add(value));
                sum
            };
            let (mut turned, at) = (values.clone(), turn.min(values.len()));
            turned.rotate_left(at);
            let (mut parts, whole) = (sum(&turned[..at]), sum(&values));
            parts.merge(&sum(&turned[at..]));
            prop_assert_eq!(parts.value().to_bits(), whole.value().to_bits());
            prop_assert_eq!(&Sum::of(parts.halves()), &whole);
            let plain: f64 = values.iter().sum();
            prop_assert!((whole.value() - plain).abs() <= 1e-12 * plain);
        }
    }

    #[test]
    fn numbers_below_the_normal_ones_count_too() {
        let mut sum = Sum::default();
        [f64::MIN_POSITIVE / 4.0, 0.0, f64::MIN_POSITIVE].into_iter().for_each(|value| sum.add(value));
        assert_eq!(sum.value(), f64::MIN_POSITIVE * 1.25);
    }
}
