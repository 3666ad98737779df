//! What an experiment comes to: one number per run, mean and spread over seeds, and the paired
//! comparison with a baseline. Pure functions of the records; the terminal's table, the report and
//! the Markdown tables all take their numbers from here.
//!
//! Never here: files, formatting, colours.
//!
//! ```
//! use vabal::experiment::summary::{Spread, paired};
//!
//! let (vabal, random) = ([(1, 0.71), (2, 0.73), (3, 0.72)], [(1, 0.70), (2, 0.71), (3, 0.69)]);
//! let difference = paired(&vabal, &random).expect("three seeds in both");
//! assert!((difference.spread.mean - 0.02).abs() < 1e-9);
//! // Three seeds, all of them better, do not settle it: the interval holds 0.
//! assert!(difference.interval.is_some_and(|(low, high)| low < 0.0 && high < 0.05));
//! assert_eq!(Spread::of(&[0.70, 0.71, 0.69]).map(|spread| (100.0 * spread.mean).round()), Some(70.0));
//! ```

use serde::{Deserialize, Serialize};

use super::record::{RoundRecord, RunRecord};
use crate::Label;
use crate::config::is_bound;
use crate::metrics::{Metrics, mean};

/// A quality of one round that is followed over rounds. A fraction from 0 to 1; larger is better,
/// unless [`Measure::lower_is_better`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// [`Metrics::accuracy`].
    Accuracy,
    /// [`Metrics::balanced_accuracy`].
    BalancedAccuracy,
    /// [`Metrics::macro_f1`].
    MacroF1,
    /// [`Metrics::calibration_error`].
    CalibrationError,
}

impl Measure {
    /// Every measure, the paper's own first.
    pub const ALL: [Self; 4] =
        [Self::Accuracy, Self::BalancedAccuracy, Self::MacroF1, Self::CalibrationError];

    /// Its name in sentences and column heads.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::BalancedAccuracy => "balanced accuracy",
            Self::MacroF1 => "macro-F1",
            Self::CalibrationError => "calibration error",
        }
    }

    /// Its value in one round.
    #[must_use]
    pub const fn of(self, metrics: &Metrics) -> f64 {
        match self {
            Self::Accuracy => metrics.accuracy,
            Self::BalancedAccuracy => metrics.balanced_accuracy,
            Self::MacroF1 => metrics.macro_f1,
            Self::CalibrationError => metrics.calibration_error,
        }
    }

    /// Whether a lower value is the better one.
    #[must_use]
    pub const fn lower_is_better(self) -> bool {
        matches!(self, Self::CalibrationError)
    }
}

/// The one number that a learning curve is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Figure {
    /// Mean over rounds: "average" in the paper's tables.
    Average,
    /// Area under the curve over the number of labels, by the trapezoid rule, divided by the range
    /// of labels, so that it is again a fraction.
    Area,
    /// The last round: "final" in the paper's tables.
    Final,
}

impl Figure {
    /// Every figure, in the order of the tables.
    pub const ALL: [Self; 3] = [Self::Average, Self::Area, Self::Final];

    /// Its name in column heads.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Average => "average",
            Self::Area => "area",
            Self::Final => "final",
        }
    }

    /// Its value for a curve of (number of labels, quality), labels ascending; `None` of no point.
    #[must_use]
    pub fn of(self, curve: &[(usize, f64)]) -> Option<f64> {
        let (first, last) = (curve.first()?, curve.last()?);
        Some(match self {
            Self::Average => mean(curve.iter().map(|&(_, value)| value)),
            Self::Final => last.1,
            // A single point has no width: its area is its height.
            Self::Area if last.0 == first.0 => last.1,
            Self::Area => {
                let trapezoid =
                    |pair: &[(usize, f64)]| (pair[1].0 - pair[0].0) as f64 * (pair[0].1 + pair[1].1) / 2.0;
                curve.windows(2).map(trapezoid).sum::<f64>() / (last.0 - first.0) as f64
            }
        })
    }
}

/// The learning curve of a run: (number of labels, quality), round by round.
#[must_use]
pub fn curve(run: &RunRecord, measure: Measure) -> Vec<(usize, f64)> {
    run.rounds.iter().map(|round| (round.labelled(), measure.of(&round.metrics))).collect()
}

/// Share of the labelled images that belong to a rare class; 0 of an empty pool.
#[must_use]
pub fn rare_share(round: &RoundRecord, rare: &[Label]) -> f64 {
    let held: usize = rare.iter().filter_map(|&class| round.class_counts.get(class as usize)).sum();
    held as f64 / round.labelled().max(1) as f64
}

/// Mean and sample standard deviation over seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Number of values.
    pub count: usize,
    /// Their arithmetic mean.
    pub mean: f64,
    /// Their standard deviation with n − 1; `None` of a single value.
    pub sd: Option<f64>,
}

impl Spread {
    /// Of these values; `None` of no value.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let count = values.len();
        let mean = mean(values.iter().copied());
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self { count, mean, sd: (count > 1).then(|| (squares / (count - 1) as f64).sqrt()) })
    }
}

/// The strategies of an experiment, in the order in which they first appear.
#[must_use]
pub fn strategies(runs: &[RunRecord]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for run in runs {
        if !names.contains(&run.strategy.as_str()) {
            names.push(&run.strategy);
        }
    }
    names
}

/// One figure of every run of `strategy` that has a round: (seed, value), seeds ascending.
#[must_use]
pub fn by_seed(runs: &[RunRecord], strategy: &str, measure: Measure, figure: Figure) -> Vec<(u64, f64)> {
    let mut values: Vec<(u64, f64)> = runs
        .iter()
        .filter(|run| run.strategy == strategy)
        .filter_map(|run| Some((run.seed, figure.of(&curve(run, measure))?)))
        .collect();
    values.sort_unstable_by_key(|&(seed, _)| seed);
    values
}

/// One figure of a strategy over its seeds; `None` where it has no finished round.
#[must_use]
pub fn spread(runs: &[RunRecord], strategy: &str, measure: Measure, figure: Figure) -> Option<Spread> {
    let values: Vec<f64> =
        by_seed(runs, strategy, measure, figure).into_iter().map(|(_, value)| value).collect();
    Spread::of(&values)
}

/// A strategy against a baseline, seed by seed: both had the same first pool and the same initial
/// weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// (seed, strategy − baseline) for every seed that both have, seeds ascending.
    pub differences: Vec<(u64, f64)>,
    /// Mean and standard deviation of the differences.
    pub spread: Spread,
    /// Seeds where the strategy was strictly better.
    pub won: usize,
    /// 95 % confidence interval of the mean difference by the paired t-test; `None` below three
    /// seeds.
    pub interval: Option<(f64, f64)>,
}

/// Compares two lists of (seed, value) on the seeds they share; `None` where they share none.
#[must_use]
pub fn paired(strategy: &[(u64, f64)], baseline: &[(u64, f64)]) -> Option<Paired> {
    let mut differences: Vec<(u64, f64)> = strategy
        .iter()
        .filter_map(|&(seed, value)| {
            let (_, base) = baseline.iter().find(|(other, _)| *other == seed)?;
            Some((seed, value - base))
        })
        .collect();
    differences.sort_unstable_by_key(|&(seed, _)| seed);
    let values: Vec<f64> = differences.iter().map(|&(_, difference)| difference).collect();
    let spread = Spread::of(&values)?;
    let interval = spread.sd.filter(|_| spread.count >= 3).map(|sd| {
        let half = student_t_975(spread.count - 1) * sd / (spread.count as f64).sqrt();
        (spread.mean - half, spread.mean + half)
    });
    Some(Paired { won: values.iter().filter(|&&value| value > 0.0).count(), differences, spread, interval })
}

/// [`paired`] for one figure of two strategies; `None` where they share no seed or the baseline is
/// absent.
#[must_use]
pub fn against(
    runs: &[RunRecord],
    strategy: &str,
    baseline: &str,
    measure: Measure,
    figure: Figure,
) -> Option<Paired> {
    let mut pair =
        paired(&by_seed(runs, strategy, measure, figure), &by_seed(runs, baseline, measure, figure))?;
    if measure.lower_is_better() {
        pair.won = pair.differences.iter().filter(|&&(_, difference)| difference < 0.0).count();
    }
    Some(pair)
}

/// How far a strategy goes from the baseline to the bound, as a fraction: the sum of its
/// differences from the baseline divided by that of the bound's, of pairs as [`beside_bound`] gives
/// them. A quotient of sums, because that of a single pair means nothing where the bound is hardly
/// better than the baseline; `None` where it is not better on the whole.
#[must_use]
pub fn way(pairs: &[(f64, f64)]) -> Option<f64> {
    let (ours, bounds) = pairs.iter().fold((0.0, 0.0), |(a, b), pair| (a + pair.0, b + pair.1));
    (bounds > 0.0).then(|| ours / bounds)
}

/// The mean differences from the baseline of (a strategy, the bound) over the seeds that all three
/// have, the sign turned where less is better; `None` where there is no such seed, and of the two
/// themselves.
#[must_use]
pub fn beside_bound(
    runs: &[RunRecord],
    strategy: &str,
    baseline: &str,
    measure: Measure,
    figure: Figure,
) -> Option<(f64, f64)> {
    let bound = strategies(runs).into_iter().find(|name| is_bound(name))?;
    if strategy == bound || strategy == baseline {
        return None;
    }
    let differences = |of: &str| against(runs, of, baseline, measure, figure).map(|pair| pair.differences);
    let (ours, bounds) = (differences(strategy)?, differences(bound)?);
    let find = |seed: u64| bounds.iter().find(|(other, _)| *other == seed).map(|&(_, bound)| bound);
    let pairs: Vec<(f64, f64)> =
        ours.into_iter().filter_map(|(seed, ours)| Some((ours, find(seed)?))).collect();
    let sign = if measure.lower_is_better() { -1.0 } else { 1.0 };
    let mean = |of: fn(&(f64, f64)) -> f64| sign * mean(pairs.iter().map(of));
    (!pairs.is_empty()).then(|| (mean(|pair| pair.0), mean(|pair| pair.1)))
}

/// The 97.5 % quantile of Student's t: a table up to 10 degrees of freedom, beyond it the
/// Cornish-Fisher expansion (Abramowitz and Stegun 26.7.5), good to four decimals there.
fn student_t_975(freedom: usize) -> f64 {
    const TABLE: [f64; 10] =
        [12.706_20, 4.302_65, 3.182_45, 2.776_45, 2.570_58, 2.446_91, 2.364_62, 2.306_00, 2.262_16, 2.228_14];
    if let Some(&value) = TABLE.get(freedom.saturating_sub(1)) {
        return value;
    }
    let (z, v) = (1.959_963_985_f64, freedom as f64);
    z + (z.powi(3) + z) / (4.0 * v)
        + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * v * v)
        + (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / (384.0 * v.powi(3))
        + (79.0 * z.powi(9) + 776.0 * z.powi(7) + 1482.0 * z.powi(5) - 1920.0 * z.powi(3) - 945.0 * z)
            / (92_160.0 * v.powi(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(strategy: &str, seed: u64, accuracies: &[f64]) -> RunRecord {
        let round = |(index, &accuracy): (usize, &f64)| RoundRecord {
            round: index + 1,
            class_counts: vec![8 * (index + 1), 2 * (index + 1)],
            unlabelled: 100,
            metrics: Metrics {
                accuracy,
                balanced_accuracy: accuracy / 2.0,
                macro_f1: accuracy / 4.0,
                recall: vec![Some(1.0), None],
                calibration_error: 0.0,
            },
            picks: Vec::new(),
            asked: None,
            vae: None,
            phases: Vec::new(),
        };
        RunRecord {
            strategy: strategy.into(),
            seed,
            rounds: accuracies.iter().enumerate().map(round).collect(),
        }
    }

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} is not {b}");
    }

    #[test]
    fn average_area_and_final_of_a_curve_worked_by_hand() {
        // Unequal steps: the area weighs the long one more.
        let curve = [(100, 0.2), (200, 0.4), (500, 0.6)];
        near(Figure::Average.of(&curve).unwrap(), 0.4);
        near(Figure::Area.of(&curve).unwrap(), (100.0 * 0.3 + 300.0 * 0.5) / 400.0);
        near(Figure::Final.of(&curve).unwrap(), 0.6);
    }

    #[test]
    fn a_single_round_is_its_own_average_area_and_final_and_no_round_is_none() {
        for figure in Figure::ALL {
            near(figure.of(&[(10, 0.7)]).unwrap(), 0.7);
            assert_eq!(figure.of(&[]), None);
        }
    }

    #[test]
    fn the_standard_deviation_divides_by_n_minus_one() {
        let spread = Spread::of(&[1.0, 2.0, 4.0]).unwrap();
        near(spread.mean, 7.0 / 3.0);
        near(spread.sd.unwrap(), (7.0_f64 / 3.0).sqrt());
        assert_eq!(Spread::of(&[5.0]).unwrap().sd, None);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn pairs_are_made_by_seed_and_not_by_order() {
        let ours = [(3, 0.9), (1, 0.5), (2, 0.7), (9, 0.0)];
        let base = [(1, 0.4), (2, 0.8), (3, 0.6)];
        let paired = paired(&ours, &base).unwrap();
        let seeds: Vec<u64> = paired.differences.iter().map(|&(seed, _)| seed).collect();
        assert_eq!(seeds, [1, 2, 3]);
        near(paired.spread.mean, (0.1 - 0.1 + 0.3) / 3.0);
        assert_eq!(paired.won, 2);
        // By hand: mean 0.1, sd 0.2, t(2) = 4.30265, half width 4.30265 · 0.2 / √3.
        let (low, high) = paired.interval.unwrap();
        near(high - low, 2.0 * 4.302_65 * 0.2 / 3.0_f64.sqrt());
    }

    #[test]
    fn fewer_than_three_seeds_give_no_interval_and_none_in_common_no_pair() {
        assert_eq!(paired(&[(1, 0.5), (2, 0.6)], &[(1, 0.1), (2, 0.1)]).unwrap().interval, None);
        assert_eq!(paired(&[(1, 0.5)], &[(2, 0.5)]), None);
    }

    #[test]
    fn a_tie_is_not_won() {
        assert_eq!(paired(&[(1, 0.5)], &[(1, 0.5)]).unwrap().won, 0);
    }

    #[test]
    fn student_quantiles_agree_with_published_tables() {
        for (freedom, value) in [(2, 4.3027), (10, 2.2281), (11, 2.2010), (20, 2.0860), (60, 2.0003)] {
            assert!((student_t_975(freedom) - value).abs() < 1e-4, "{freedom}");
        }
    }

    #[test]
    fn figures_of_runs_follow_strategy_and_measure() {
        let runs =
            [run("random", 2, &[0.2, 0.4]), run("vabal", 2, &[0.2, 0.8]), run("random", 1, &[0.4, 0.4])];
        assert_eq!(strategies(&runs), ["random", "vabal"]);
        let random = spread(&runs, "random", Measure::BalancedAccuracy, Figure::Final).unwrap();
        assert_eq!((random.count, random.mean), (2, 0.2));
        assert_eq!(by_seed(&runs, "random", Measure::Accuracy, Figure::Average)[0], (1, 0.4));
        let pair = against(&runs, "vabal", "random", Measure::Accuracy, Figure::Final).unwrap();
        assert_eq!(pair.differences.len(), 1);
        near(pair.spread.mean, 0.4);
        assert_eq!(against(&runs, "vabal", "entropy", Measure::Accuracy, Figure::Final), None);
    }

    #[test]
    fn the_way_to_the_bound_is_a_quotient_of_sums_over_common_seeds() {
        let runs = [
            run("random", 1, &[0.2]),
            run("random", 2, &[0.4]),
            run("class-balanced", 1, &[0.8]),
            run("class-balanced", 2, &[0.6]),
            run("margin", 1, &[0.5]),
            run("margin", 2, &[0.7]),
            run("margin", 3, &[0.9]),
            run("entropy", 3, &[0.9]),
        ];
        let way_of = |runs: &[RunRecord], name: &str, measure| {
            beside_bound(runs, name, "random", measure, Figure::Final).and_then(|pair| way(&[pair]))
        };
        let of = |name: &str| way_of(&runs, name, Measure::Accuracy);
        // (0.3 + 0.3) / (0.6 + 0.2)
        near(of("margin").unwrap(), 0.75);
        assert_eq!([of("entropy"), of("random"), of("class-balanced")], [None; 3]);
        assert_eq!(way(&[(0.1, 0.0)]), None);
        assert_eq!(way_of(&runs[..2], "random", Measure::Accuracy), None);
        // Of the calibration error less is better.
        let mut runs = runs;
        for (run, error) in runs.iter_mut().zip([0.4, 0.4, 0.2, 0.2, 0.3, 0.3]) {
            run.rounds[0].metrics.calibration_error = error;
        }
        near(way_of(&runs, "margin", Measure::CalibrationError).unwrap(), 0.5);
    }

    #[test]
    fn a_lower_calibration_error_wins() {
        let mut runs = [run("random", 1, &[0.5]), run("vabal", 1, &[0.5])];
        runs[0].rounds[0].metrics.calibration_error = 0.3;
        runs[1].rounds[0].metrics.calibration_error = 0.1;
        let won = |a, b| against(&runs, a, b, Measure::CalibrationError, Figure::Final).unwrap().won;
        assert_eq!((won("vabal", "random"), won("random", "vabal")), (1, 0));
    }

    #[test]
    fn the_share_of_rare_classes_is_of_the_labelled_pool() {
        let run = run("random", 1, &[0.5]);
        near(rare_share(&run.rounds[0], &[1]), 0.2);
        near(rare_share(&run.rounds[0], &[]), 0.0);
    }
}
