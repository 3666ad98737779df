//! Axes with round numbers: which values get a tick, and where a value stands.

use super::text::count;

/// A range of values and its ticks.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// The least value.
    pub low: f64,
    /// The greatest value, above `low`.
    pub high: f64,
    /// The values with a tick, ascending.
    pub ticks: Vec<f64>,
    logarithmic: bool,
}

impl Axis {
    /// A linear axis from a tick at or below `low` to a tick at or above `high`, with at most
    /// `most` steps of 1, 2, 2.5 or 5 times a power of ten.
    #[must_use]
    pub fn linear(low: f64, high: f64, most: usize) -> Self {
        let (low, high) = apart(low, high);
        let step = step(high - low, most);
        let first = (low / step + 1e-9).floor() as i64;
        let last = (high / step - 1e-9).ceil() as i64;
        let ticks: Vec<f64> = (first..=last).map(|n| n as f64 * step).collect();
        Self { low: first as f64 * step, high: last as f64 * step, ticks, logarithmic: false }
    }

    /// A linear axis over exactly this range, with ticks at round numbers inside it.
    #[must_use]
    pub fn tight(low: f64, high: f64, most: usize) -> Self {
        let (low, high) = apart(low, high);
        let step = step(high - low, most);
        let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
        Self { low, high, ticks: (first..=last).map(|n| n as f64 * step).collect(), logarithmic: false }
    }

    /// A linear axis over exactly this range, with these ticks.
    #[must_use]
    pub fn with_ticks(low: f64, high: f64, ticks: Vec<f64>) -> Self {
        let (low, high) = apart(low, high);
        Self { low, high, ticks, logarithmic: false }
    }

    /// A logarithmic axis around values that are all above 0, with ticks at 1, 2 and 5 times the
    /// powers of ten, or at the powers alone where these are many.
    #[must_use]
    pub fn logarithmic(low: f64, high: f64) -> Self {
        let decades = (low.log10().floor() as i32)..=(high.log10().ceil() as i32);
        let factors: &[f64] = if (high / low).log10() > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let all: Vec<f64> =
            decades.flat_map(|power| factors.iter().map(move |f| f * 10f64.powi(power))).collect();
        let below = all.iter().copied().filter(|&v| v <= low * 1.0001).fold(f64::NAN, f64::max);
        let above = all.iter().copied().filter(|&v| v >= high * 0.9999).fold(f64::NAN, f64::min);
        let (low, high) = (below.min(low), above.max(high * 1.01));
        let ticks = all.into_iter().filter(|v| (low * 0.999..=high * 1.001).contains(v)).collect();
        Self { low, high, ticks, logarithmic: true }
    }

    /// Whether equal factors, and not equal differences, take equal room.
    #[must_use]
    pub fn is_logarithmic(&self) -> bool {
        self.logarithmic
    }

    /// Where a value stands between `from` (the least) and `to` (the greatest).
    #[must_use]
    pub fn place(&self, value: f64, from: f64, to: f64) -> f64 {
        let share = if self.logarithmic {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        from + share * (to - from)
    }

    /// The text of a tick: as many decimals as the step between ticks needs.
    #[must_use]
    pub fn label(&self, tick: f64) -> String {
        let decimals = (0..6).find(|&places| {
            let scale = 10f64.powi(places);
            self.ticks.iter().all(|tick| ((tick * scale).round() - tick * scale).abs() < 1e-6 * scale)
        });
        let text = match decimals {
            Some(0) if tick >= 1000.0 => count(tick as usize),
            Some(places) => format!("{tick:.0$}", places as usize),
            None => format!("{tick:.1e}"),
        };
        if text == "-0" { "0".into() } else { text.replace('-', "−") }
    }
}

/// Two values that a scale can lie between, also where there is only one.
fn apart(low: f64, high: f64) -> (f64, f64) {
    if high > low { (low, high) } else { (low - 0.5, low + 0.5) }
}

fn step(range: f64, most: usize) -> f64 {
    let rough = range / most.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0].into_iter().find(|factor| factor * power >= rough * 0.999_999);
    factor.unwrap_or(10.0) * power
}

/// Moves positions apart until neighbours are `gap` from each other, within `low..=high` as far as
/// they fit, keeping their order. Returns them in the order given.
#[must_use]
pub fn keep_apart(positions: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..positions.len()).collect();
    order.sort_by(|&a, &b| positions[a].total_cmp(&positions[b]).then(a.cmp(&b)));
    let mut moved: Vec<f64> = order.iter().map(|&n| positions[n]).collect();
    // Neighbours that touch become one block around the mean of what they wanted, until none touch.
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for &wanted in &moved {
        let mut block = (wanted, 1_usize);
        while let Some(&(centre, size)) = blocks.last() {
            let reach = gap * (size + block.1) as f64 / 2.0;
            if block.0 - centre >= reach {
                break;
            }
            let total = size + block.1;
            block = ((centre * size as f64 + block.0 * block.1 as f64) / total as f64, total);
            blocks.pop();
        }
        blocks.push(block);
    }
    let mut n = 0;
    for (centre, size) in blocks {
        let half = gap * (size - 1) as f64 / 2.0;
        let start = (centre - half).min(high - 2.0 * half).max(low);
        for k in 0..size {
            moved[n] = start + gap * k as f64;
            n += 1;
        }
    }
    for n in 1..moved.len() {
        moved[n] = moved[n].max(moved[n - 1] + gap);
    }
    let beyond = moved.last().map_or(0.0, |last| (last - high).max(0.0));
    for n in (0..moved.len()).rev() {
        let ceiling = if n + 1 < moved.len() { moved[n + 1] - gap } else { moved[n] - beyond };
        moved[n] = moved[n].min(ceiling);
    }
    let mut out = vec![0.0; positions.len()];
    for (place, n) in order.into_iter().enumerate() {
        out[n] = moved[place];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round_numbers() {
        let cases: [(f64, f64, usize, &[f64]); 4] = [
            (31.2, 58.7, 5, &[30.0, 40.0, 50.0, 60.0]),
            (0.0, 100.0, 5, &[0.0, 20.0, 40.0, 60.0, 80.0, 100.0]),
            (0.12, 0.19, 4, &[0.12, 0.14, 0.16, 0.18, 0.2]),
            (7.0, 7.0, 2, &[6.5, 7.0, 7.5]),
        ];
        for (low, high, most, expected) in cases {
            let axis = Axis::linear(low, high, most);
            assert_eq!(axis.ticks.len(), expected.len(), "{axis:?}");
            for (tick, expected) in axis.ticks.iter().zip(expected) {
                assert!((tick - expected).abs() < 1e-9, "{axis:?}");
            }
        }
    }

    #[test]
    fn labels_have_the_decimals_that_tell_ticks_apart() {
        let label = |axis: Axis, n: usize| axis.label(axis.ticks[n]);
        assert_eq!(label(Axis::linear(0.0, 3000.0, 3), 1), "1,000");
        assert_eq!(label(Axis::linear(0.12, 0.19, 4), 0), "0.12");
        assert_eq!(label(Axis::linear(-10.0, 10.0, 2), 0), "−10");
    }

    #[test]
    fn a_logarithmic_axis_gives_equal_factors_equal_room() {
        let axis = Axis::logarithmic(12.0, 900.0);
        assert!(axis.low <= 12.0 && axis.high >= 900.0, "{axis:?}");
        let at = |v| axis.place(v, 0.0, 1.0);
        assert!(((at(100.0) - at(20.0)) - (at(500.0) - at(100.0))).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn an_axis_holds_its_values_and_few_ticks(low in -1e4..1e4f64, range in 1e-3..1e4f64, most in 2..9usize) {
            let axis = Axis::linear(low, low + range, most);
            prop_assert!(axis.low <= low + range * 1e-6 && axis.high >= low + range * (1.0 - 1e-6));
            prop_assert!(axis.ticks.len() <= most + 3 && axis.ticks.len() >= 2);
        }

        #[test]
        fn labels_kept_apart_do_not_touch(mut ys in prop::collection::vec(0.0..100.0f64, 0..9)) {
            let moved = keep_apart(&ys, 11.0, 0.0, 100.0);
            for (n, a) in moved.iter().enumerate() {
                for b in &moved[..n] {
                    prop_assert!((a - b).abs() >= 11.0 - 1e-6, "{ys:?} {moved:?}");
                }
                prop_assert!((-1e-6..=100.0 + 1e-6).contains(a), "{ys:?} {moved:?}");
            }
            ys.sort_by(f64::total_cmp);
            let sorted = keep_apart(&ys, 11.0, 0.0, 100.0);
            prop_assert!(sorted.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
