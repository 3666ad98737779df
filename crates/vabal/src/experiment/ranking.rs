//! Strategies compared over several data sets: mean ranks, the Friedman test, Nemenyi's critical
//! difference, the Wilcoxon signed-rank test, and Holm's correction (Demšar, "Statistical
//! Comparisons of Classifiers over Multiple Data Sets", JMLR 2006).
//!
//! A pair is tested by Wilcoxon and not by its mean ranks, which depend on the other strategies too
//! (Benavoli, Corani & Mangili, "Should We Really Use Post-Hoc Tests Based on Mean-Ranks?", JMLR
//! 2016).
//!
//! Never here: which figure of a run is compared; tables and drawings.

use std::f64::consts::SQRT_2;

use libm::{erfc, lgamma};

/// Strategies ranked on every data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// The mean rank of each strategy, 1 being best on every data set.
    pub mean_ranks: Vec<f64>,
    /// N, data sets.
    pub sets: usize,
    /// p of the Friedman test that all strategies are equal.
    pub friedman: f64,
    /// Nemenyi's: mean ranks that are farther apart differ at the level of 5 %.
    pub critical_difference: f64,
}

impl Ranking {
    /// Of a quality [N, k] of k strategies on N data sets, larger being better. Ties share the mean
    /// of their ranks. `None` below two data sets or two strategies, or with a value that is not
    /// finite.
    #[must_use]
    pub fn of(quality: &[Vec<f64>]) -> Option<Self> {
        let (sets, k) = (quality.len(), quality.first()?.len());
        if sets < 2 || k < 2 || quality.iter().any(|row| row.len() != k || row.iter().any(|q| !q.is_finite()))
        {
            return None;
        }
        let mut mean_ranks = vec![0.0; k];
        for row in quality {
            for (mean, rank) in mean_ranks.iter_mut().zip(ranks(row)) {
                *mean += rank / sets as f64;
            }
        }
        let (n, count) = (sets as f64, k as f64);
        let squares: f64 = mean_ranks.iter().map(|rank| rank * rank).sum();
        let statistic = 12.0 * n / (count * (count + 1.0)) * (squares - count * (count + 1.0).powi(2) / 4.0);
        let friedman = chi_square_above(statistic.max(0.0), count - 1.0);
        let critical_difference = range_quantile(0.95, k) / SQRT_2 * standard_error(k, sets);
        Some(Self { mean_ranks, sets, friedman, critical_difference })
    }

    /// The strategies in the order of their mean ranks, best first; equal ones in their order.
    #[must_use]
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.mean_ranks.len()).collect();
        order.sort_by(|&a, &b| self.mean_ranks[a].total_cmp(&self.mean_ranks[b]));
        order
    }

    /// The groups of strategies that are not told apart, each as its first and its last place in
    /// [`Ranking::order`]: at least two, and none within another.
    #[must_use]
    pub fn groups(&self) -> Vec<(usize, usize)> {
        let ranks: Vec<f64> = self.order().into_iter().map(|k| self.mean_ranks[k]).collect();
        let mut groups: Vec<(usize, usize)> = Vec::new();
        for first in 0..ranks.len() {
            let near = |&last: &usize| ranks[last] - ranks[first] <= self.critical_difference;
            let last = (first..ranks.len()).take_while(near).last().unwrap_or(first);
            if last > first && groups.last().is_none_or(|&(_, before)| last > before) {
                groups.push((first, last));
            }
        }
        groups
    }
}

/// For each strategy of a quality [N, k] the p of the Wilcoxon signed-rank test against the
/// strategy `control`, corrected by Holm for as many comparisons as there are others; 1 for
/// `control` itself.
///
/// # Panics
/// If there is no such strategy, as indexing does.
#[must_use]
pub fn against(quality: &[Vec<f64>], control: usize) -> Vec<f64> {
    let k = quality.first().map_or(0, Vec::len);
    let others: Vec<usize> = (0..k).filter(|&other| other != control).collect();
    let test =
        |&other: &usize| wilcoxon(&quality.iter().map(|row| row[other] - row[control]).collect::<Vec<f64>>());
    let p: Vec<f64> = others.iter().map(test).collect();
    let mut all = vec![1.0; k];
    for (other, p) in others.into_iter().zip(holm(&p)) {
        all[other] = p;
    }
    all
}

/// The two-sided p of the Wilcoxon signed-rank test that differences are symmetric around 0.
/// Differences of 0 are left out, and equal sizes share the mean of their ranks. Exact, also with
/// ties: of the ranks that there are, every choice of signs is as likely as another.
#[must_use]
pub fn wilcoxon(differences: &[f64]) -> f64 {
    let differences: Vec<f64> = differences.iter().copied().filter(|&d| d != 0.0).collect();
    let sizes: Vec<f64> = differences.iter().map(|d| d.abs()).collect();
    // Doubled, ranks are whole; 1 for the smallest.
    let twice: Vec<usize> =
        ranks(&sizes).into_iter().map(|rank| 2 * (sizes.len() + 1) - (2.0 * rank) as usize).collect();
    let total: usize = twice.iter().sum();
    let above: usize = twice.iter().zip(&differences).filter(|(_, d)| **d > 0.0).map(|(rank, _)| rank).sum();
    // The probability of each sum of the ranks with a sign of their own.
    let mut probability = vec![0.0; total + 1];
    probability[0] = 1.0;
    for rank in twice {
        for sum in (0..=total).rev() {
            let with = if sum >= rank { probability[sum - rank] } else { 0.0 };
            probability[sum] = (probability[sum] + with) / 2.0;
        }
    }
    let tail: f64 = probability[..=above.min(total - above)].iter().sum();
    (2.0 * tail).min(1.0)
}

/// The standard deviation of the difference of two mean ranks where all strategies are equal.
fn standard_error(k: usize, sets: usize) -> f64 {
    let k = k as f64;
    (k * (k + 1.0) / (6.0 * sets as f64)).sqrt()
}

/// The rank of each value, 1 for the largest; equal ones share the mean of their ranks.
#[must_use]
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let of = |value: &f64| {
        let above = values.iter().filter(|other| *other > value).count() as f64;
        let equal = values.iter().filter(|other| *other == value).count() as f64;
        above + (equal + 1.0) / 2.0
    };
    values.iter().map(of).collect()
}

/// p-values corrected for their number by Holm's step-down procedure, in the order given.
#[must_use]
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut corrected = vec![1.0; p.len()];
    let mut least = 0.0_f64;
    for (place, k) in order.into_iter().enumerate() {
        least = least.max(p[k] * (p.len() - place) as f64).min(1.0);
        corrected[k] = least;
    }
    corrected
}

/// The probability that χ² of `freedom` degrees is above x: the regularised upper incomplete gamma
/// function Q(freedom / 2, x / 2), by its series, or by its continued fraction where x is large.
fn chi_square_above(x: f64, freedom: f64) -> f64 {
    let (a, x) = (freedom / 2.0, x / 2.0);
    if x == 0.0 {
        return 1.0;
    }
    let front = (a * x.ln() - x - lgamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0 / a, 1.0 / a);
        for n in 1..1000 {
            term *= x / (a + f64::from(n));
            sum += term;
        }
        return 1.0 - front * sum;
    }
    let mut fraction = 0.0;
    for n in (1..1000).rev() {
        let n = f64::from(n);
        fraction = n * (n - a) / (x + 2.0 * n + 1.0 - a - fraction);
    }
    front / (x + 1.0 - a - fraction)
}

/// The quantile of the range of k independent standard normal values: the studentised range with
/// infinite degrees of freedom.
fn range_quantile(probability: f64, k: usize) -> f64 {
    let below = |z: f64| erfc(-z / SQRT_2) / 2.0;
    // P(range ≤ q) = k ∫ φ(z) (Φ(z) − Φ(z − q))^(k−1) dz, by the trapezoid rule, which is exact to
    // rounding here.
    let step = 0.02;
    let within = |q: f64| -> f64 {
        let at = |i: i32| {
            let z = f64::from(i) * step;
            (-z * z / 2.0).exp() * (below(z) - below(z - q)).powi(k as i32 - 1)
        };
        (-450..=900).map(at).sum::<f64>() * step * k as f64 / (2.0 * std::f64::consts::PI).sqrt()
    };
    let (mut low, mut high) = (0.0, 20.0);
    while high - low > 1e-10 {
        let middle = (low + high) / 2.0;
        if within(middle) < probability { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_the_range_are_those_of_published_tables() {
        // Demšar 2006, Table 5: divided by √2, at 5 %, to three decimals that are not always
        // rounded.
        let table = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164];
        for (k, expected) in (2..).zip(table) {
            assert!((range_quantile(0.95, k) / SQRT_2 - expected).abs() < 1e-3, "{k}");
        }
        // Tables of the studentised range, infinite degrees of freedom.
        assert!((range_quantile(0.95, 20) - 5.012).abs() < 1e-3);
    }

    #[test]
    fn chi_square_is_that_of_published_tables() {
        for (x, freedom, expected) in [
            (3.841, 1.0, 0.05),
            (18.307, 10.0, 0.05),
            (6.635, 1.0, 0.01),
            (9.342, 10.0, 0.5),
            (29.588, 10.0, 0.001),
        ] {
            assert!((chi_square_above(x, freedom) - expected).abs() < 1e-4, "{x}, {freedom}");
        }
    }

    #[test]
    fn ties_share_their_ranks() {
        assert_eq!(ranks(&[0.5, 0.9, 0.5, 0.1]), [2.5, 1.0, 2.5, 4.0]);
        assert_eq!(ranks(&[0.3; 3]), [2.0; 3]);
    }

    /// Demšar 2006, Table 6: four algorithms on 14 data sets, mean ranks 3.143, 2.000, 2.893 and
    /// 1.964.
    #[test]
    fn the_example_of_the_paper_has_its_numbers() {
        let auc = [
            [0.763, 0.768, 0.771, 0.798],
            [0.599, 0.591, 0.590, 0.569],
            [0.954, 0.971, 0.968, 0.967],
            [0.628, 0.661, 0.654, 0.657],
            [0.882, 0.888, 0.886, 0.898],
            [0.936, 0.931, 0.916, 0.931],
            [0.661, 0.668, 0.609, 0.685],
            [0.583, 0.583, 0.563, 0.625],
            [0.775, 0.838, 0.866, 0.875],
            [1.000, 1.000, 1.000, 1.000],
            [0.940, 0.962, 0.965, 0.962],
            [0.619, 0.666, 0.614, 0.669],
            [0.972, 0.981, 0.9751, 0.975],
            [0.957, 0.978, 0.946, 0.970],
        ];
        let quality: Vec<Vec<f64>> = auc.iter().map(|row| row.to_vec()).collect();
        let ranking = Ranking::of(&quality).unwrap();
        for (rank, expected) in ranking.mean_ranks.iter().zip([3.143, 2.000, 2.893, 1.964]) {
            assert!((rank - expected).abs() < 6e-4, "{:?}", ranking.mean_ranks);
        }
        assert!((ranking.critical_difference - 2.569 * (20.0_f64 / 84.0).sqrt()).abs() < 1e-3);
        // χ² = 9.28 with 3 degrees of freedom.
        assert!((ranking.friedman - 0.0258).abs() < 5e-4, "{}", ranking.friedman);
        assert_eq!(ranking.order(), [3, 1, 2, 0]);
        // 3.143 − 1.964 is less than 1.25: none is told apart from another.
        assert_eq!(ranking.groups(), [(0, 3)]);
        // The pair of the paper's Table 2, which it tells apart at 5 %.
        let differences: Vec<f64> = quality.iter().map(|row| row[1] - row[0]).collect();
        let p = wilcoxon(&differences);
        assert!((p - enumerated(&differences)).abs() < 1e-12 && p < 0.02, "{p}");
        let all = against(&quality, 0);
        assert!(all[0] == 1.0 && (all[1] - 3.0 * p).abs() < 1e-12, "{all:?}");
    }

    /// By every choice of signs of the ranks.
    fn enumerated(differences: &[f64]) -> f64 {
        let all: Vec<f64> = differences.iter().copied().filter(|&d| d != 0.0).collect();
        let below = |d: f64| all.iter().filter(|other| other.abs() < d.abs()).count() as f64;
        let equal = |d: f64| all.iter().filter(|other| other.abs() == d.abs()).count() as f64;
        let ranks: Vec<f64> = all.iter().map(|&d| below(d) + (equal(d) + 1.0) / 2.0).collect();
        let middle = ranks.iter().sum::<f64>() / 2.0;
        let ours: f64 = ranks.iter().zip(&all).filter(|(_, d)| **d > 0.0).map(|(rank, _)| rank).sum();
        let sum =
            |signs: u32| -> f64 { (0..all.len()).filter(|n| signs >> n & 1 == 1).map(|n| ranks[n]).sum() };
        let far = |signs: &u32| (sum(*signs) - middle).abs() >= (ours - middle).abs();
        (0..1_u32 << all.len()).filter(far).count() as f64 / f64::from(1_u32 << all.len())
    }

    #[test]
    fn wilcoxon_is_that_of_published_tables() {
        // The largest W whose p is at most 5 % in Wilcoxon's table, where W is the smaller sum of
        // ranks.
        for (n, critical) in [(6, 0), (7, 2), (8, 3), (9, 5), (10, 8), (14, 21), (20, 52), (25, 89)] {
            // Signs that give the sum W: the largest ranks first.
            let of = |w: i32| {
                let mut left = w;
                let sign = |rank: i32| {
                    if rank <= left {
                        left -= rank;
                        -1.0
                    } else {
                        1.0
                    }
                };
                let mut signs: Vec<f64> = (1..=n).rev().map(sign).collect();
                signs.iter_mut().zip((1..=n).rev()).for_each(|(d, rank)| *d *= f64::from(rank));
                assert_eq!(left, 0);
                wilcoxon(&signs)
            };
            assert!(of(critical) <= 0.05 && of(critical + 1) > 0.05, "{n}");
        }
        assert!((wilcoxon(&[1.0, 2.0, 3.0, 4.0, 5.0]) - 2.0 / 32.0).abs() < 1e-15);
    }

    #[test]
    fn wilcoxon_is_exact_with_ties_and_leaves_zeros_out() {
        for differences in [
            vec![0.5, -0.5, 1.0, 1.0, -2.0, 3.0, 3.0, 3.0, 0.0],
            vec![-1.0, -1.0, -1.0, -1.0, 2.0],
            vec![3.0, 0.0, 0.0, -1.0, 2.0, 2.0, -2.0, 7.0, 5.0, 5.0],
        ] {
            let p = wilcoxon(&differences);
            assert!((p - enumerated(&differences)).abs() < 1e-12, "{differences:?}: {p}");
            let turned: Vec<f64> = differences.iter().map(|d| -d).collect();
            assert_eq!(wilcoxon(&turned), p);
        }
        assert_eq!([wilcoxon(&[]), wilcoxon(&[0.0, 0.0]), wilcoxon(&[1.0])], [1.0; 3]);
    }

    #[test]
    fn groups_join_what_is_within_the_critical_difference_and_no_group_is_in_another() {
        let of = |mean_ranks: Vec<f64>| {
            Ranking { mean_ranks, sets: 9, friedman: 0.01, critical_difference: 1.0 }.groups()
        };
        assert_eq!(of(vec![3.0, 1.0, 1.5, 2.25, 4.5]), [(0, 1), (1, 2), (2, 3)]);
        assert_eq!(of(vec![1.0, 1.2, 1.4, 3.0, 3.5]), [(0, 2), (3, 4)]);
        assert_eq!(of(vec![1.0, 3.0]), []);
    }

    #[test]
    fn holm_multiplies_by_what_is_left_and_never_decreases() {
        let corrected = holm(&[0.04, 0.01, 0.03, 0.5]);
        for (got, expected) in corrected.iter().zip([0.09, 0.04, 0.09, 0.5]) {
            assert!((got - expected).abs() < 1e-12, "{corrected:?}");
        }
    }

    #[test]
    fn nothing_is_ranked_without_two_of_each() {
        assert!(Ranking::of(&[]).is_none());
        assert!(Ranking::of(&[vec![1.0, 2.0]]).is_none());
        assert!(Ranking::of(&[vec![1.0], vec![2.0]]).is_none());
        assert!(Ranking::of(&[vec![1.0, f64::NAN], vec![2.0, 1.0]]).is_none());
    }
}
