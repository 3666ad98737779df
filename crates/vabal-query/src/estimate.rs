//! What a holdout of some hundred labels can say, and how sure it is: intervals, the gain to expect, when to stop.
//!
//! Never here: SQL, words for the page.
//!
//! ```
//! use vabal_query::estimate::{Held, balanced};
//!
//! let held = |right, n| Held { right, n, trained: true };
//! let of = balanced(&[held(9, 10), held(40, 50), held(0, 0)]).unwrap();
//! // The third class may be anything: two of three are measured, and there is no value for all.
//! assert_eq!((of.measured, of.classes, of.value()), (2, 3, None));
//! assert!(of.low < 1.4 / 3.0 && of.high > 2.6 / 3.0);
//! ```

use serde::Serialize;

/// Images of a class in the holdout, from which its recall says something: with five of five right it may still be 48 %.
pub const FEW: usize = 5;
/// What an interval leaves out on each side.
const TAIL: f64 = 0.025;

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

/// A share of `right` among `n`, with the exact interval (Clopper & Pearson 1934), which holds the truth at least as often
/// as it says; `None` of nothing.
#[must_use]
pub fn share(right: usize, n: usize) -> Option<Estimate> {
    let right = right.min(n);
    let value = right as f64 / n as f64;
    (n > 0).then(|| Estimate { value, low: least(right, n), high: 1.0 - least(n - right, n) })
}

/// The share at which `right` or more of `n` come with a probability of [`TAIL`], by bisection; 0 of none.
fn least(right: usize, n: usize) -> f64 {
    if right == 0 {
        return 0.0;
    }
    let (r, n) = (right as f64, n as f64);
    let ways = libm::lgamma(n + 1.0) - libm::lgamma(r + 1.0) - libm::lgamma(n - r + 1.0);
    // P(X ≥ r), where r is above the mean: each term is smaller than the one before.
    let tail = |p: f64| {
        let odds = p / (1.0 - p);
        let (mut term, mut sum, mut k) = ((ways + r * p.ln() + (n - r) * (-p).ln_1p()).exp(), 0.0, r);
        while k <= n && term > 1e-17 * sum {
            sum += term;
            term *= (n - k) / (k + 1.0) * odds;
            k += 1.0;
        }
        sum
    };
    let (mut low, mut high) = (0.0, r / n);
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        *(if tail(middle) < TAIL { &mut low } else { &mut high }) = middle;
    }
    0.5 * (low + high)
}

/// What the holdout says of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Images that the model gets right.
    pub right: usize,
    /// Images of it.
    pub n: usize,
    /// Whether the model has learnt it. If not, it gets none right, for certain.
    pub trained: bool,
}

/// A balanced accuracy: the mean of the recalls of all classes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Balanced {
    /// The mean over the classes that are measured.
    pub of_measured: f64,
    /// The lower end of the 95 % interval, over all classes.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// Classes with an image in the holdout.
    pub measured: usize,
    /// All classes.
    pub classes: usize,
}

impl Balanced {
    /// The balanced accuracy itself; `None` where a class is not measured.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        (self.measured == self.classes).then_some(self.of_measured)
    }
}

/// The mean of the recalls of all classes; `None` where none is measured.
///
/// Of the classes measured, the interval is put together from the exact one of each (MOVER: Zou & Donner 2008). A class
/// without an image in the holdout may be anything from 0 to 1, and both ends count it so. If the model has not learnt it
/// either, it is 0, or there is no such class: the upper end leaves it out.
#[must_use]
pub fn balanced(classes: &[Held]) -> Option<Balanced> {
    let (mut sum, mut below, mut above) = (0.0, 0.0, 0.0);
    let (mut measured, mut open, mut unseen) = (0, 0, 0);
    for class in classes {
        match share(class.right, class.n) {
            Some(recall) => {
                measured += 1;
                sum += recall.value;
                if class.trained {
                    below += (recall.value - recall.low).powi(2);
                    above += (recall.high - recall.value).powi(2);
                }
            }
            None if class.trained => open += 1,
            None => unseen += 1,
        }
    }
    let all = classes.len();
    (measured > 0).then(|| Balanced {
        of_measured: sum / measured as f64,
        low: (sum - below.sqrt()) / all as f64,
        high: (sum + above.sqrt() + open as f64) / (all - unseen) as f64,
        measured,
        classes: all,
    })
}

/// Trainings that the line of [`gain`] is laid through.
const LAST: usize = 5;

/// The last steps as (labels, mean recall), over the classes that are measured in all of them; empty without such classes.
#[must_use]
pub fn curve(steps: &[(usize, &[Held])]) -> Vec<(usize, f64)> {
    let last = &steps[steps.len().saturating_sub(LAST)..];
    let classes = last.iter().map(|(_, held)| held.len()).min().unwrap_or(0);
    let common: Vec<usize> =
        (0..classes).filter(|&class| last.iter().all(|(_, held)| held[class].n > 0)).collect();
    let mean = |held: &[Held]| {
        common.iter().map(|&class| held[class].right as f64 / held[class].n as f64).sum::<f64>()
            / common.len() as f64
    };
    if common.is_empty() {
        Vec::new()
    } else {
        last.iter().map(|&(labels, held)| (labels, mean(held))).collect()
    }
}

/// What `more` labels beyond the last are expected to add to an accuracy, by a straight line through the last trainings
/// over the logarithm of the number of labels: (labels, accuracy), in order. `None` of fewer than three different
/// numbers of labels. Not below 0: more labels do no harm that one would plan for; nor more than there is to gain.
#[must_use]
pub fn gain(curve: &[(usize, f64)], more: usize) -> Option<f64> {
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

/// A step on the way: the trainings on nearly the same labels as one.
#[derive(Debug, Clone, PartialEq)]
pub struct Step<T> {
    /// Labels it was trained on.
    pub labels: usize,
    /// Cohen's κ with the step before; `None` where they cannot be compared.
    pub agreement: Option<f64>,
    /// The newest training of the step.
    pub last: T,
}

/// The trainings, in order, as steps: (labels, agreement with the one before, the training), or `None` of one whose labels were
/// taken back. A model that learnt fewer than ten labels more than another is no news: it takes the place of that one.
#[must_use]
pub fn steps<T>(trainings: impl IntoIterator<Item = Option<(usize, Option<f64>, T)>>) -> Vec<Step<T>> {
    /// Labels more that make a step.
    const MORE: usize = 10;
    let (mut steps, mut follows) = (Vec::<Step<T>>::new(), true);
    for training in trainings {
        let Some((labels, agreement, last)) = training else {
            follows = false;
            continue;
        };
        while steps.last().is_some_and(|step| step.labels > labels) {
            steps.pop();
            follows = false;
        }
        let agreement = agreement.filter(|_| follows);
        follows = true;
        match steps.last_mut() {
            Some(step) if labels < step.labels + MORE => {
                // Small changes add up.
                step.agreement = step.agreement.zip(agreement).map(|(a, b)| a * b);
                step.last = last;
            }
            _ => steps.push(Step { labels, agreement, last }),
        }
    }
    steps
}

/// Why labelling might stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Too early to tell: fewer than four steps.
    Early,
    /// A class has fewer than [`FEW`] images in the holdout.
    Unmeasured,
    /// More labels still help.
    GoOn,
    /// The last models predict the same (Bloodgood & Vijay-Shanker 2009): mean κ of the last three at least 0.99.
    Stable,
    /// A hundred more labels are expected to bring less than one point, and the last three steps have not moved
    /// beyond the interval of the holdout.
    Flat,
}

/// Whether stopping is reasonable, by step in order with its balanced accuracy; `classes` is what the holdout says of each, and
/// `gain` what a hundred more labels are expected to add.
#[must_use]
pub fn stop(steps: &[Step<Option<Balanced>>], classes: &[Held], gain: Option<f64>) -> Stop {
    let [_, .., a, b, c] = steps else { return Stop::Early };
    if classes.iter().any(|class| class.n < FEW) {
        return Stop::Unmeasured;
    }
    if let (Some(a), Some(b), Some(c)) = (a.agreement, b.agreement, c.agreement)
        && (a + b + c) / 3.0 >= 0.99
    {
        return Stop::Stable;
    }
    let (Some(last), Some(gain)) = (c.last, gain) else { return Stop::GoOn };
    let still = |of: Option<Balanced>| {
        of.and_then(|of| of.value()).is_some_and(|value| (last.low..=last.high).contains(&value))
    };
    if gain < 0.01 && still(a.last) && still(b.last) { Stop::Flat } else { Stop::GoOn }
}

/// What trainings say of more labels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlook {
    /// How many [`steps`] they are.
    pub steps: usize,
    /// What so many more labels are expected to add to the balanced accuracy.
    pub gain: Option<f64>,
    /// Whether stopping is reasonable.
    pub stop: Stop,
}

/// What trainings, as [`steps`] takes them, each with what the holdout says of each class, say of `more` labels.
#[must_use]
pub fn outlook<'a>(
    trainings: impl IntoIterator<Item = Option<(usize, Option<f64>, &'a [Held])>>,
    more: usize,
) -> Outlook {
    let steps = steps(trainings);
    let curve = curve(&steps.iter().map(|step| (step.labels, step.last)).collect::<Vec<_>>());
    let (gain, held) = (gain(&curve, more), steps.last().map_or(&[][..], |step| step.last));
    let of = |step: &Step<&[Held]>| Step {
        labels: step.labels,
        agreement: step.agreement,
        last: balanced(step.last),
    };
    let history: Vec<_> = steps.iter().map(of).collect();
    Outlook { steps: history.len(), gain, stop: stop(&history, held, gain) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn intervals_of_cases_from_the_literature_and_the_edges() {
        // The exact intervals of Newcombe (1998), table I.
        for (right, n, low, high) in [
            (81, 263, 0.2527, 0.3676),
            (15, 148, 0.0579, 0.1617),
            (0, 20, 0.0, 0.1684),
            (1, 29, 0.0009, 0.1776),
        ] {
            let of = share(right, n).unwrap();
            assert!((of.low - low).abs() < 6e-5 && (of.high - high).abs() < 6e-5, "{of:?}");
            let other = share(n - right, n).unwrap();
            assert!((of.low + other.high - 1.0).abs() < 1e-12 && (of.high + other.low - 1.0).abs() < 1e-12);
        }
        let many = share(500_000, 1_000_000).unwrap();
        assert!((many.high - many.low - 2.0 * 1.96 * 0.0005).abs() < 1e-5, "{many:?}");
        assert_eq!(share(0, 0), None);
        let one = share(1, 1).unwrap();
        assert!((one.low - 0.025).abs() < 1e-12 && one.high == 1.0, "{one:?}");
    }

    fn held(right: usize, n: usize) -> Held {
        Held { right, n, trained: true }
    }

    #[test]
    fn a_class_that_is_not_measured_may_be_anything() {
        assert_eq!(balanced(&[held(0, 0)]), None);
        assert_eq!(balanced(&[]), None);
        let known = balanced(&[held(3, 3), held(50, 100)]).unwrap();
        assert!(known.value() == Some(0.75) && known.low < 0.45 && known.high > 0.79, "{known:?}");
        let open = balanced(&[held(3, 3), held(50, 100), held(0, 0)]).unwrap();
        assert_eq!((open.of_measured, open.value(), open.measured, open.classes), (0.75, None, 2, 3));
        assert!((open.low - known.low * 2.0 / 3.0).abs() < 1e-12, "{open:?}");
        assert!((open.high - (known.high * 2.0 + 1.0) / 3.0).abs() < 1e-12, "{open:?}");
        // What the model has not learnt it does not find.
        let unlearnt = |n| Held { right: 0, n, trained: false };
        let absent = balanced(&[held(3, 3), held(50, 100), unlearnt(0)]).unwrap();
        assert!(absent.low == open.low && (absent.high - known.high).abs() < 1e-12, "{absent:?}");
        let seen = balanced(&[held(3, 3), held(50, 100), unlearnt(2)]).unwrap();
        assert_eq!((seen.value(), seen.measured), (Some(0.5), 3));
        assert!(seen.low == open.low && (seen.high - known.high * 2.0 / 3.0).abs() < 1e-12, "{seen:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        /// Over 400 holdouts, so that an interval that held 93 % fails once in a hundred thousand times.
        #[test]
        fn intervals_hold_the_truth_as_often_as_they_say(
            classes in prop::collection::vec((0.4_f64..1.0, prop::sample::select(vec![0, 1, 3, 8, 30, 90])), 2..9),
            seed in 0_u64..1000,
        ) {
            use rand::RngExt as _;
            prop_assume!(classes.iter().any(|class| class.1 > 0));
            let mut rng = crate::Seed::new(seed).stream("coverage");
            // Classes that are not measured are as bad as they can be, or as good.
            for unmeasured in [0.0, 1.0] {
                let truth = classes.iter().map(|&(p, n)| if n > 0 { p } else { unmeasured }).sum::<f64>() / classes.len() as f64;
                let missed = (0..400).filter(|_| {
                    let seen: Vec<Held> =
                        classes.iter().map(|&(p, n)| held((0..n).filter(|_| rng.random::<f64>() < p).count(), n)).collect();
                    let of = balanced(&seen).unwrap();
                    of.low > truth + 1e-12 || of.high < truth - 1e-12
                });
                prop_assert!(missed.count() <= 48);
            }
        }
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

    fn step(labels: usize, agreement: Option<f64>, recall: f64) -> Step<Option<Balanced>> {
        let right = (100.0 * recall).round() as usize;
        Step { labels, agreement, last: balanced(&[held(right, 100), held(right, 100)]) }
    }

    #[test]
    fn stopping_is_reasonable_when_models_agree_or_the_curve_is_flat() {
        let known = [held(90, 100), held(5, 5)];
        let of = |values: [(Option<f64>, f64); 4]| {
            let numbered = (1..).zip(values);
            numbered.map(|(n, (kappa, value))| step(10 * n, kappa, value)).collect::<Vec<_>>()
        };
        let rising = of([(None, 0.5), (Some(0.5), 0.6), (Some(0.6), 0.7), (Some(0.7), 0.8)]);
        assert_eq!(stop(&rising, &known, Some(0.05)), Stop::GoOn);
        assert_eq!(stop(&rising[..3], &known, Some(0.0)), Stop::Early);
        assert_eq!(stop(&[], &[], None), Stop::Early);
        let flat = of([(None, 0.5), (Some(0.8), 0.80), (Some(0.8), 0.81), (Some(0.8), 0.80)]);
        assert_eq!(stop(&flat, &known, Some(0.004)), Stop::Flat);
        assert_eq!(stop(&flat, &known, Some(0.02)), Stop::GoOn);
        assert_eq!(stop(&flat, &known, None), Stop::GoOn);
        let stable = of([(None, 0.5), (Some(0.99), 0.5), (Some(0.995), 0.5), (Some(0.992), 0.5)]);
        assert_eq!(stop(&stable, &known, None), Stop::Stable);
        // Not while a class has too few.
        for few in [held(4, 4), held(0, 0)] {
            assert_eq!(stop(&stable, &[known[0], few], None), Stop::Unmeasured);
        }
    }

    #[test]
    fn trainings_that_share_their_labels_are_one_step() {
        let of = |trainings: &[Option<(usize, f64)>]| {
            let numbered = trainings.iter().enumerate();
            let all = numbered
                .map(|(n, training)| training.map(|(labels, kappa)| (labels, (n > 0).then_some(kappa), n)));
            steps(all).into_iter().map(|step| (step.labels, step.agreement, step.last)).collect::<Vec<_>>()
        };
        let plain = of(&[Some((30, 0.0)), Some((40, 0.9)), Some((50, 0.95))]);
        assert_eq!(plain, [(30, None, 0), (40, Some(0.9), 1), (50, Some(0.95), 2)]);
        // Trained again without new labels, or with a few: what they changed adds up.
        let again =
            of(&[Some((30, 0.0)), Some((40, 0.9)), Some((40, 1.0)), Some((45, 0.5)), Some((50, 0.95))]);
        assert_eq!(again, [(30, None, 0), (40, Some(0.45), 3), (50, Some(0.95), 4)]);
        // A training whose labels were taken back is skipped, and the next one is not compared with it.
        let back = of(&[Some((30, 0.0)), Some((40, 0.9)), None, Some((50, 0.99))]);
        assert_eq!(back, [(30, None, 0), (40, Some(0.9), 1), (50, None, 3)]);
        // Nor with one that knew more.
        let fewer = of(&[Some((30, 0.0)), Some((90, 0.9)), Some((60, 0.9)), Some((70, 0.8))]);
        assert_eq!(fewer, [(30, None, 0), (60, None, 2), (70, Some(0.8), 3)]);
    }

    #[test]
    fn the_trend_is_over_the_classes_that_are_always_measured() {
        let first = [held(1, 2), held(0, 0), held(9, 10)];
        let second = [held(2, 2), held(0, 4), held(9, 10)];
        assert_eq!(curve(&[(10, &first), (20, &second)]), [(10, 0.7), (20, 0.95)]);
        assert_eq!(curve(&[(10, &first[1..2]), (20, &second[1..2])]), []);
        assert_eq!(curve(&[]), []);
    }
}
