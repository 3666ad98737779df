//! What a holdout of some hundred labels can say, and how sure it is: intervals, the gain to expect, when to stop.
//!
//! Never here: SQL, words for the page.

use serde::Serialize;

/// 95 % of a normal distribution lie within so many deviations.
const Z: f64 = 1.96;

/// An estimate with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The share itself.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// A share of `right` among `n`, with Wilson's score interval (Wilson 1927); `None` of nothing.
#[must_use]
pub fn share(right: usize, n: usize) -> Option<Estimate> {
    if n == 0 {
        return None;
    }
    let (n, value) = (n as f64, right as f64 / n as f64);
    let middle = (value + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let reach = Z / (1.0 + Z * Z / n) * (value * (1.0 - value) / n + Z * Z / (4.0 * n * n)).sqrt();
    Some(Estimate { value, low: (middle - reach).max(0.0), high: (middle + reach).min(1.0) })
}

/// The mean of the recalls of the classes that the holdout holds, of (right, n) by class. Its interval is put together
/// from Wilson's for each recall (Zou & Donner 2008), so that a class with three images, all right, is not taken for
/// certain.
#[must_use]
pub fn balanced(classes: &[(usize, usize)]) -> Option<Estimate> {
    let recalls: Vec<Estimate> = classes.iter().filter_map(|&(right, n)| share(right, n)).collect();
    if recalls.is_empty() {
        return None;
    }
    let count = recalls.len() as f64;
    let value = recalls.iter().map(|recall| recall.value).sum::<f64>() / count;
    let reach = |side: fn(&Estimate) -> f64| {
        recalls.iter().map(|recall| side(recall).powi(2)).sum::<f64>().sqrt() / count
    };
    let (below, above) =
        (reach(|recall| recall.value - recall.low), reach(|recall| recall.high - recall.value));
    Some(Estimate { value, low: (value - below).max(0.0), high: (value + above).min(1.0) })
}

/// What `more` labels beyond the last are expected to add to an accuracy, by a straight line through the last trainings
/// over the logarithm of the number of labels: (labels, accuracy), in order. `None` of fewer than three different
/// numbers of labels. Not below 0: more labels do no harm that one would plan for; nor more than there is to gain.
#[must_use]
pub fn gain(curve: &[(usize, f64)], more: usize) -> Option<f64> {
    /// Trainings that the line is laid through.
    const LAST: usize = 5;
    let last = &curve[curve.len().saturating_sub(LAST)..];
    let mut points: Vec<(f64, f64)> =
        last.iter().filter(|(labels, _)| *labels > 0).map(|&(labels, y)| ((labels as f64).ln(), y)).collect();
    points.dedup_by(|a, b| a.0 == b.0);
    if points.len() < 3 {
        return None;
    }
    let n = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0 / n, y + p.1 / n));
    let (mut xy, mut xx) = (0.0, 0.0);
    for p in &points {
        xy += (p.0 - x) * (p.1 - y);
        xx += (p.0 - x) * (p.0 - x);
    }
    let &(labels, reached) = last.last()?;
    let labels = labels as f64;
    Some((xy / xx * ((labels + more as f64) / labels).ln()).min(1.0 - reached).max(0.0))
}

/// Cohen's κ of two lists of predictions over the same images: 1 where all agree, 0 where they agree as chance would.
/// `None` of no image.
#[must_use]
pub fn agreement(pairs: impl Iterator<Item = (u64, u64)>) -> Option<f64> {
    use std::collections::BTreeMap;
    let (mut n, mut same) = (0.0, 0.0);
    let (mut first, mut second) = (BTreeMap::<u64, f64>::new(), BTreeMap::<u64, f64>::new());
    for (a, b) in pairs {
        n += 1.0;
        same += f64::from(u8::from(a == b));
        *first.entry(a).or_default() += 1.0;
        *second.entry(b).or_default() += 1.0;
    }
    if n == 0.0 {
        return None;
    }
    let chance: f64 =
        first.iter().map(|(class, count)| count / n * second.get(class).unwrap_or(&0.0) / n).sum();
    // Both say one class of everything: they agree.
    Some(if chance >= 1.0 { 1.0 } else { (same / n - chance) / (1.0 - chance) })
}

/// Why labelling might stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Too early to tell: fewer than four trainings, or too few answers in the holdout.
    Early,
    /// More labels still help.
    GoOn,
    /// The last models predict the same (Bloodgood & Vijay-Shanker 2009): mean κ of the last three at least 0.99.
    Stable,
    /// A hundred more labels are expected to bring less than one point, and the last three trainings have not moved
    /// beyond the interval of the holdout.
    Flat,
}

/// Whether stopping is reasonable. `rounds` are, by training in order, the agreement with the one before and the
/// balanced accuracy; `gain` is what a hundred more labels are expected to add.
#[must_use]
pub fn stop(rounds: &[(Option<f64>, Option<Estimate>)], gain: Option<f64>) -> Stop {
    let [.., a, b, c] = rounds else { return Stop::Early };
    if rounds.len() < 4 {
        return Stop::Early;
    }
    if let (Some(a), Some(b), Some(c)) = (a.0, b.0, c.0)
        && (a + b + c) / 3.0 >= 0.99
    {
        return Stop::Stable;
    }
    let (Some(a), Some(b), Some(c), Some(gain)) = (a.1, b.1, c.1, gain) else { return Stop::Early };
    let still = |of: Estimate| (c.low..=c.high).contains(&of.value);
    if gain < 0.01 && still(a) && still(b) { Stop::Flat } else { Stop::GoOn }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_of_cases_from_the_literature_and_the_edges() {
        // Wilson's interval of 81 of 263 (Newcombe 1998): 0.2553 to 0.3662; of 0 of 20: 0 to 0.1611.
        let of = share(81, 263).unwrap();
        assert!((of.low - 0.2553).abs() < 1e-4 && (of.high - 0.3662).abs() < 1e-4, "{of:?}");
        let none = share(0, 20).unwrap();
        assert!(none.low == 0.0 && (none.high - 0.1611).abs() < 1e-4, "{none:?}");
        assert_eq!(share(0, 0), None);
        assert_eq!(balanced(&[(0, 0)]), None);
        // Three of three in one class does not make certain.
        let few = balanced(&[(3, 3), (50, 100), (0, 0)]).unwrap();
        assert!(few.value == 0.75 && few.low < 0.52 && few.high > 0.79, "{few:?}");
    }

    #[test]
    fn the_interval_of_balanced_accuracy_holds_the_truth_as_often_as_it_says() {
        use rand::RngExt as _;
        let mut rng = crate::Seed::new(1).stream("coverage");
        let truth = [(0.9, 80_usize), (0.6, 25), (0.7, 10)];
        let mean = truth.iter().map(|(p, _)| p).sum::<f64>() / 3.0;
        let held = (0..2000).filter(|_| {
            let seen = truth.map(|(p, n)| ((0..n).filter(|_| rng.random::<f64>() < p).count(), n));
            let of = balanced(&seen).unwrap();
            of.low <= mean && mean <= of.high
        });
        let held = held.count();
        assert!((1840..=1980).contains(&held), "{held} of 2000");
    }

    #[test]
    fn a_curve_that_rises_by_the_logarithm_is_continued() {
        let curve: Vec<(usize, f64)> =
            [100_usize, 200, 400, 800].iter().map(|&n| (n, 0.1 * (n as f64).ln())).collect();
        let expected = 0.1 * (900.0_f64 / 800.0).ln();
        assert!((gain(&curve, 100).unwrap() - expected).abs() < 1e-9);
        assert_eq!(gain(&[(100, 0.9), (200, 0.8), (300, 0.7)], 100), Some(0.0));
        let steep = gain(&[(30, 0.375), (60, 0.75), (90, 0.8)], 100).unwrap();
        assert!((steep - 0.2).abs() < 1e-9, "80 % and {steep} more");
        assert_eq!(gain(&curve[..2], 100), None);
        assert_eq!(gain(&[(100, 0.1), (100, 0.2), (100, 0.3)], 100), None);
        assert_eq!(gain(&[], 100), None);
    }

    #[test]
    fn agreement_is_cohens_kappa() {
        // 20 + 15 of 50 agree, expected by chance 0.5 (Cohen's example): κ = 0.4.
        let table = [(0, 0, 20), (0, 1, 5), (1, 0, 10), (1, 1, 15)];
        let pairs = table.iter().flat_map(|&(a, b, n)| std::iter::repeat_n((a, b), n));
        assert!((agreement(pairs).unwrap() - 0.4).abs() < 1e-12);
        assert_eq!(agreement([(3, 3), (3, 3)].into_iter()), Some(1.0));
        assert_eq!(agreement(std::iter::empty()), None);
    }

    #[test]
    fn stopping_is_reasonable_when_models_agree_or_the_curve_is_flat() {
        let at = |value| Some(Estimate { value, low: value - 0.04, high: value + 0.04 });
        let rising = [(None, at(0.5)), (Some(0.5), at(0.6)), (Some(0.6), at(0.7)), (Some(0.7), at(0.8))];
        assert_eq!(stop(&rising, Some(0.05)), Stop::GoOn);
        assert_eq!(stop(&rising[..3], Some(0.0)), Stop::Early);
        assert_eq!(stop(&[], None), Stop::Early);
        let flat = [(None, at(0.5)), (Some(0.8), at(0.80)), (Some(0.8), at(0.81)), (Some(0.8), at(0.80))];
        assert_eq!(stop(&flat, Some(0.004)), Stop::Flat);
        assert_eq!(stop(&flat, Some(0.02)), Stop::GoOn);
        let stable = [(None, None), (Some(0.99), None), (Some(0.995), None), (Some(0.992), None)];
        assert_eq!(stop(&stable, None), Stop::Stable);
    }
}
