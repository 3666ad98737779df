//! The strength of the penalty and the temperature, chosen by cross-validation on the labels:
//! [`LinearHead::fit_validated`].
//!
//! Strengths are a grid of l2 = λ·s, where s is the mean squared length of the labelled rows less
//! their mean, so that the scale of the features changes nothing. Up to five folds, stratified,
//! give each λ its out-of-fold logits; on these the best temperature (Guo et al. 2017) is found. Of
//! all λ that one is taken whose calibrated log loss is the least, summed over the rows, with a
//! log-normal prior of λ about 0.03, and a gamma prior of 1 / temperature. The search goes from
//! there in steps of √10, up or down, while that falls.
//!
//! With few labels a class the folds are too small to choose by, so λ is that of the prior. The
//! temperature is part of the choice, because the plain log loss prefers a λ that is too small.
//! Rare classes are for [`LinearHead::balanced`], not for a class-balanced loss. The trials that
//! led here are not in the repository: repeat them before changing a constant.
//!
//! Never here: the fit for a given strength.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::{LinearHead, Problem, Settings, check, expect};
use crate::arrays::argmax;
use crate::error::Result;
use crate::progress::{Event, Flow, Progress, report, silent};
use crate::{Id, Label, Seed, class_counts};

/// Folds, at most.
const FOLDS: usize = 5;

/// λ without a choice, and where the prior of the choice has its middle.
const MIDDLE: f64 = 0.03;

/// Steps of the grid from the middle, up and down, at most.
const STEPS: i32 = 5;

/// Standard deviation of ln λ.
const SPREAD: f64 = 1.0;

/// 1 / temperature without a choice.
const SHARPNESS: f64 = 1.0 / 0.7;

/// 1 / temperature has a gamma prior about [`SHARPNESS`]·(λ / [`MIDDLE`]) to this power: the
/// stronger the penalty, the smaller the logits.
const POWER: f64 = 0.3;

/// And about this standard deviation, relative to that.
const SPREAD_OF_TEMPERATURE: f64 = 0.2;

/// Labels of each class with more than one, on average, from which there is a choice.
const ENOUGH: usize = 3;

/// Of fits that are only compared: nothing depends on the last digits.
const ROUGH: f64 = 1e-4;

/// A classifier whose strength was chosen on the labels, and what they say of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Validated {
    /// Fitted to all rows, its probabilities calibrated.
    pub head: LinearHead,
    /// The penalty it was fitted with, as [`Settings::l2`].
    pub l2: f64,
    /// What the logits were divided by; above 1 where they were too sure.
    pub temperature: f64,
    /// Mean cross-entropy of the rows that were held out once, in nats, calibrated; `None` where no
    /// class has two labels. A class with one label is in no fold.
    pub loss: Option<f64>,
    /// Share of these rows whose class was right.
    pub accuracy: Option<f64>,
    /// These rows by id, each with the C probabilities, calibrated, that a head gives it which was
    /// fitted without it.
    pub held_out: Vec<(Id, Vec<f32>)>,
}

/// A fold: rows to fit to, with the others and their labels to look at.
struct Fold {
    problem: Problem,
    held: Array2<f32>,
    labels: Vec<Label>,
}

/// A strength that was tried.
struct Candidate {
    lambda: f64,
    /// Of each fold.
    heads: Vec<LinearHead>,
    calibration: Calibration,
    /// What is to be small: Σ cross-entropy − ln (prior).
    cost: f64,
}

/// Held-out logits with the temperature that suits them.
struct Calibration {
    temperature: f64,
    /// Σ cross-entropy − ln (prior of the temperature).
    cost: f64,
    loss: f64,
    accuracy: f64,
}

impl LinearHead {
    /// Fits a classifier as [`LinearHead::fit`] does, to features [n, d] and their n labels, with a
    /// strength and a temperature chosen by cross-validation.
    ///
    /// `ids` and `seed` say which rows are held out together: the order of the rows changes no bit,
    /// nor does the number of threads. The strength is one that is sound for any features, and the
    /// temperature 0.7, where the classes with more than one label have fewer than three on
    /// average, or are fewer than two. Strengths are reported as the phase "head".
    /// [`LinearHead::loss`] and [`LinearHead::gap`] belong to the logits before calibration, and
    /// are `None` here.
    ///
    /// # Errors
    /// As of [`LinearHead::fit`]; another number of ids than of rows.
    pub fn fit_validated(
        features: ArrayView2<'_, f32>,
        ids: &[Id],
        labels: &[Label],
        classes: usize,
        seed: Seed,
        progress: &mut Progress<'_>,
    ) -> Result<Validated> {
        check(features, labels, classes, None)?;
        expect(ids.len() == labels.len(), "another number of ids than of rows", "ids", labels.len(), || {
            ids.len()
        })?;
        let (mut done, total) = (0, 2 + STEPS as usize);
        let mut tell = |event: Event<'_>, steps: usize| {
            done = total.min(done + steps);
            match event {
                Event::Progress { loss, .. } => {
                    report(progress, Event::Progress { phase: "head", done, total, unit: "strength", loss })
                }
                other => report(progress, other),
            }
        };
        let tried = |loss| Event::Progress { phase: "head", done: 0, total, unit: "strength", loss };
        tell(tried(None), 0)?;

        let order = seed.order("validation", ids);
        let labels: Vec<Label> = order.iter().map(|&row| labels[row]).collect();
        let (features, factor, size) = scaled(&features.select(Axis(0), &order));
        let problem = |rows: &[usize]| {
            let labels: Vec<Label> = rows.iter().map(|&row| labels[row]).collect();
            let features = features.select(Axis(0), rows);
            let largest = features.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            Problem::new(features.view(), &labels, classes, None, largest)
        };
        let (parts, choice) = deal(&labels, classes);
        let fold = |held: &Vec<usize>| Fold {
            problem: problem(
                &(0..labels.len()).filter(|row| held.binary_search(row).is_err()).collect::<Vec<_>>(),
            ),
            held: features.select(Axis(0), held),
            labels: held.iter().map(|&row| labels[row]).collect(),
        };
        let folds: Vec<Fold> = parts.par_iter().map(fold).collect();
        let mut chosen = None;
        if !folds.is_empty() {
            let mut best = Candidate::of(&folds, 0, size, choice, None)?;
            tell(tried(Some(best.calibration.loss)), 1)?;
            for direction in [1, -1] {
                for step in 1..=STEPS {
                    if !choice || best.lambda > MIDDLE && direction < 0 {
                        break;
                    }
                    let next = Candidate::of(&folds, direction * step, size, choice, Some(&best.heads))?;
                    let stop = next.cost >= best.cost;
                    tell(tried(Some(next.calibration.loss)), usize::from(!stop))?;
                    if stop {
                        break;
                    }
                    best = next;
                }
            }
            chosen = Some(best);
        }
        let temperature = chosen.as_ref().map_or(1.0 / SHARPNESS, |chosen| chosen.calibration.temperature);
        let mut held_out = Vec::new();
        for ((rows, fold), head) in
            parts.iter().zip(&folds).zip(chosen.iter().flat_map(|chosen| &chosen.heads))
        {
            let p = head.clone().with_temperature(temperature)?.probabilities(fold.held.view())?;
            held_out.extend(rows.iter().zip(p.rows()).map(|(&row, p)| (ids[order[row]], p.to_vec())));
        }
        held_out.sort_unstable_by_key(|(id, _)| *id);
        drop(folds);

        let l2 = size * chosen.as_ref().map_or(MIDDLE, |chosen| chosen.lambda);
        let warm = chosen.as_ref().and_then(|chosen| chosen.heads.first());
        let settings = Settings { l2, ..Settings::default() };
        let all = problem(&(0..labels.len()).collect::<Vec<_>>());
        let mut head = all.fit(&settings, warm, &mut |event| match tell(event, 0) {
            Ok(()) => Flow::Continue,
            Err(_) => Flow::Stop,
        })?;
        head.weights *= factor;
        let head = head.with_temperature(temperature)?;
        tell(tried(chosen.as_ref().map(|chosen| chosen.calibration.loss)), total)?;
        Ok(Validated {
            head,
            l2: l2 / (factor * factor),
            temperature,
            loss: chosen.as_ref().map(|chosen| chosen.calibration.loss),
            accuracy: chosen.as_ref().map(|chosen| chosen.calibration.accuracy),
            held_out,
        })
    }
}

/// Features times a power of two, which rounds nothing; that power; and the mean squared length of
/// the rows less their mean then, 1 to 4, or 1 where they are all the same.
fn scaled(features: &Array2<f32>) -> (Array2<f32>, f64, f64) {
    let first = features.row(0).mapv(f64::from);
    let mut rows = features.mapv(f64::from);
    rows -= &first;
    let mean = rows.sum_axis(Axis(0)) / rows.nrows() as f64;
    rows -= &mean;
    let size = rows.iter().map(|x| x * x).sum::<f64>() / rows.nrows() as f64;
    if size == 0.0 {
        return (features.clone(), 1.0, 1.0);
    }
    let factor = (-(0.5 * size.log2()).floor()).exp2();
    (features.mapv(|x| (f64::from(x) * factor) as f32), factor, size * factor * factor)
}

/// The rows of each fold, in ascending order, and whether they are enough for a choice. The rows of
/// a class go to one fold after the other, and so do the classes; a class of one row is in none.
fn deal(labels: &[Label], classes: usize) -> (Vec<Vec<usize>>, bool) {
    let counts = class_counts(labels, classes);
    let mut rows: Vec<usize> = (0..labels.len()).filter(|&row| counts[labels[row] as usize] > 1).collect();
    let of = counts.iter().filter(|&&count| count > 1).count();
    rows.sort_by_key(|&row| labels[row]);
    let mut folds = vec![Vec::new(); FOLDS.min(rows.len())];
    rows.iter().enumerate().for_each(|(at, &row)| folds[at % FOLDS].push(row));
    folds.iter_mut().for_each(|fold| fold.sort_unstable());
    (folds, of > 1 && rows.len() >= ENOUGH * of)
}

impl Candidate {
    /// At some steps from the middle of the grid; `choice` says whether a temperature is chosen.
    fn of(folds: &[Fold], steps: i32, size: f64, choice: bool, warm: Option<&[LinearHead]>) -> Result<Self> {
        let far = 0.5 * f64::from(steps) * std::f64::consts::LN_10;
        let lambda = MIDDLE * far.exp();
        let settings = Settings { l2: lambda * size, tolerance: ROUGH, ..Settings::default() };
        let fit = |at: usize| {
            let fold: &Fold = &folds[at];
            let head = fold.problem.fit(&settings, warm.map(|warm| &warm[at]), &mut silent())?;
            let logits = head.logits(fold.held.view())?;
            Ok((head, (logits, fold.labels.as_slice())))
        };
        let fitted = (0..folds.len()).into_par_iter().map(fit).collect::<Result<Vec<_>>>()?;
        let (heads, held): (Vec<_>, Vec<_>) = fitted.into_iter().unzip();
        let calibration = Calibration::of(&held, SHARPNESS * (POWER * far).exp(), choice);
        let cost = calibration.cost + 0.5 * (far / SPREAD).powi(2);
        Ok(Self { lambda, heads, calibration, cost })
    }
}

impl Calibration {
    /// Of logits [n, C] and labels of each fold, with what 1 / temperature is `about` before they
    /// are seen; without a `choice` it is that.
    fn of(held: &[(Array2<f32>, &[Label])], about: f64, choice: bool) -> Self {
        let precision = SPREAD_OF_TEMPERATURE.powi(-2);
        let mut at = about;
        if choice {
            // Newton's method within bounds: the cost is convex.
            let (mut low, mut high) = (0.0, f64::INFINITY);
            for _ in 0..100 {
                let [_, slope, curvature, _] = sums(held, at);
                let gradient = slope + precision * (1.0 / about - 1.0 / at);
                *(if gradient > 0.0 { &mut high } else { &mut low }) = at;
                let mut next = at - gradient / (curvature + precision / (at * at));
                if !(next > low && next < high) {
                    next = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * at };
                }
                let near = (next - at).abs() < 1e-7 * at;
                at = next;
                if near {
                    break;
                }
            }
        }
        let [loss, _, _, right] = sums(held, at);
        let n: usize = held.iter().map(|(_, labels)| labels.len()).sum();
        let ratio = at / about;
        let cost = loss + precision * (ratio - 1.0 - ratio.ln());
        Self { temperature: 1.0 / at, cost, loss: loss / n as f64, accuracy: right / n as f64 }
    }
}

/// Cross-entropy of the softmax of `sharpness` times logits, its first and second derivative by
/// `sharpness`, and the rows whose class is right, summed over all folds.
fn sums(held: &[(Array2<f32>, &[Label])], sharpness: f64) -> [f64; 4] {
    let of = |(logits, labels): &(Array2<f32>, &[Label])| {
        let mut sums = [0.0; 4];
        for (row, &label) in logits.rows().into_iter().zip(*labels) {
            let class = argmax(row.iter().copied()) as usize;
            let above = |logit: f32| f64::from(logit) - f64::from(row[class]);
            let [mut total, mut first, mut second] = [0.0; 3];
            for z in row.iter().map(|&logit| above(logit)) {
                let p = (sharpness * z).exp();
                total += p;
                first += p * z;
                second += p * z * z;
            }
            let (mean, truth) = (first / total, above(row[label as usize]));
            sums[0] += total.ln() - sharpness * truth;
            sums[1] += mean - truth;
            sums[2] += second / total - mean * mean;
            sums[3] += f64::from(u8::from(class == label as usize));
        }
        sums
    };
    let parts: Vec<[f64; 4]> = held.par_iter().map(of).collect();
    parts.into_iter().fold([0.0; 4], |sums, part| std::array::from_fn(|i| sums[i] + part[i]))
}

#[cfg(test)]
mod tests {
    use ndarray::s;
    use proptest::prelude::*;

    use super::*;
    use crate::error::Error;

    /// Standard normal features of n rows around a centre a class, `apart` from the others.
    fn data(n: usize, d: usize, classes: usize, apart: f32, seed: u64) -> (Array2<f32>, Vec<Label>) {
        let mut values = vec![0.0; (n + classes) * d];
        Seed::new(seed).normals("features").fill(&mut values);
        let values = Array2::from_shape_vec((n + classes, d), values).unwrap();
        let labels: Vec<Label> = (0..n).map(|row| ((row * row + row / 3) % classes) as Label).collect();
        let features = Array2::from_shape_fn((n, d), |(row, column)| {
            values[[row, column]] + apart * values[[n + labels[row] as usize, column]]
        });
        (features, labels)
    }

    fn ids(n: usize) -> Vec<Id> {
        (0..n as Id).map(|id| id * 3 + 1).collect()
    }

    fn fit(features: &Array2<f32>, labels: &[Label], classes: usize) -> Validated {
        let ids = ids(labels.len());
        LinearHead::fit_validated(features.view(), &ids, labels, classes, Seed::new(1), &mut silent())
            .unwrap()
    }

    fn log_loss(head: &LinearHead, features: ArrayView2<'_, f32>, labels: &[Label]) -> f64 {
        let p = head.probabilities(features).unwrap();
        labels.iter().enumerate().map(|(row, &label)| -f64::from(p[[row, label as usize]]).ln()).sum::<f64>()
            / labels.len() as f64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn folds_hold_each_row_once_and_leave_a_label_of_each_class(
            labels in prop::collection::vec(0_u32..7, 1..80),
        ) {
            let (folds, choice) = deal(&labels, 7);
            let count = |class: u32, rows: &[usize]| rows.iter().filter(|&&row| labels[row] == class).count();
            let all: Vec<usize> = (0..labels.len()).collect();
            let mut held: Vec<usize> = folds.concat();
            held.sort_unstable();
            let more: Vec<usize> = all.iter().copied().filter(|&row| count(labels[row], &all) > 1).collect();
            prop_assert_eq!(&held, &more);
            for class in 0..7 {
                let parts: Vec<usize> = folds.iter().map(|fold| count(class, fold)).collect();
                if let (Some(least), Some(most)) = (parts.iter().min(), parts.iter().max()) {
                    prop_assert!(most - least <= 1);
                    prop_assert!(*most < count(class, &all).max(1));
                }
            }
            let sizes: Vec<usize> = folds.iter().map(Vec::len).collect();
            prop_assert!(sizes.iter().max().unwrap_or(&0) - sizes.iter().min().unwrap_or(&0) <= 1);
            let of = (0..7).filter(|&class| count(class, &all) > 1).count();
            prop_assert_eq!(choice, of > 1 && more.len() >= 3 * of);
        }

        #[test]
        fn the_temperature_is_the_best_of_a_grid(
            rows in 1_usize..60, classes in 2_usize..6, scale in 0.1_f32..20.0, seed in 0_u64..1000, about in 0.3_f64..3.0,
        ) {
            let (logits, labels) = data(rows, classes, classes, 0.5, seed);
            let held = [(logits * scale, labels.as_slice())];
            let got = Calibration::of(&held, about, true);
            // By the definition.
            let cost = |at: f64| {
                let loss: f64 = held[0].0.rows().into_iter().zip(&labels).map(|(row, &label)| {
                    let z = row.mapv(|z| f64::from(z) * at);
                    let most = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    z.iter().map(|z| (z - most).exp()).sum::<f64>().ln() + most - z[label as usize]
                }).sum();
                loss + 25.0 * (at / about - 1.0 - (at / about).ln())
            };
            let best = (-300..=300).map(|step| cost((f64::from(step) * 0.02).exp())).fold(f64::INFINITY, f64::min);
            prop_assert!((cost(1.0 / got.temperature) - got.cost).abs() < 1e-9 * (1.0 + got.cost));
            prop_assert!(got.cost <= best + 1e-9 * (1.0 + best), "{} {best}", got.cost);
        }

        #[test]
        fn any_labels_give_probabilities_that_add_up_to_1(
            n in 1_usize..40, d in 1_usize..60, classes in 2_usize..40, used in 1_usize..20, seed in 0_u64..1000,
            scale in prop::sample::select(vec![1e-30_f32, 1.0, 1e30]),
        ) {
            let (features, labels) = data(n, d, used.min(classes), 1.0, seed);
            let features = features * scale;
            let found = fit(&features, &labels, classes);
            prop_assert!(found.l2 > 0.0 && found.temperature > 0.0);
            prop_assert_eq!(found.loss.is_some(), found.accuracy.is_some());
            // Once each row of a class that has others.
            let more: Vec<Id> = ids(n)
                .into_iter()
                .zip(&labels)
                .filter(|(_, label)| labels.iter().filter(|other| other == label).count() > 1)
                .map(|(id, _)| id)
                .collect();
            prop_assert_eq!(found.held_out.iter().map(|(id, _)| *id).collect::<Vec<_>>(), more);
            prop_assert!(found.held_out.iter().all(|(_, p)| (p.iter().sum::<f32>() - 1.0).abs() < 1e-4));
            for row in found.head.probabilities(features.view()).unwrap().rows() {
                prop_assert!((row.iter().map(|&p| f64::from(p)).sum::<f64>() - 1.0).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn the_strength_fits_the_features_and_the_probabilities_are_calibrated() {
        // The more noise beside what tells classes apart, the stronger.
        let mut strengths = Vec::new();
        for apart in [1.0, 0.15] {
            let (features, labels) = data(1600, 60, 4, apart, 3);
            let (some, rest) = features.view().split_at(Axis(0), 200);
            let found = fit(&some.to_owned(), &labels[..200], 4);
            let loss = log_loss(&found.head, rest, &labels[200..]);
            // No strength whose temperature were known would be much better.
            let mut least = f64::INFINITY;
            for step in -8..=8 {
                let l2 = 200.0 * 10_f64.powf(0.5 * f64::from(step));
                let settings = Settings { l2, ..Settings::default() };
                let head =
                    LinearHead::fit(some, &labels[..200], 4, &settings, None, None, &mut silent()).unwrap();
                for temperature in (-10..=10).map(|step| (0.2 * f64::from(step)).exp()) {
                    let head = head.clone().with_temperature(temperature).unwrap();
                    least = least.min(log_loss(&head, rest, &labels[200..]));
                }
            }
            assert!(loss < least + 0.05, "{loss} {least}");
            assert!((found.loss.unwrap() - loss).abs() < 0.2, "{:?} {loss}", found.loss);
            let of_folds: f64 = found
                .held_out
                .iter()
                .map(|(id, p)| -f64::from(p[labels[(*id as usize - 1) / 3] as usize]).ln())
                .sum();
            assert!(
                (of_folds / found.held_out.len() as f64 - found.loss.unwrap()).abs() < 1e-3,
                "{of_folds}"
            );
            strengths.push(found.l2);
        }
        assert!(strengths[1] > strengths[0], "{strengths:?}");
    }

    #[test]
    fn few_labels_have_the_strength_and_temperature_of_the_middle() {
        for (n, classes, held) in [(1, 2, false), (4, 4, false), (8, 4, true), (11, 4, true)] {
            let (features, _) = data(n, 30, classes, 1.0, 5);
            let labels: Vec<Label> = (0..n as Label).map(|row| row % classes as Label).collect();
            let found = fit(&features, &labels, classes);
            assert_eq!((found.temperature as f32, found.loss.is_some()), (0.7, held), "{n}");
            let wide = features.mapv(f64::from);
            let size = (&wide - &wide.mean_axis(Axis(0)).unwrap()).mapv(|x| x * x).sum() / n as f64;
            let expected = 0.03 * if n == 1 { 1.0 } else { size };
            assert!((found.l2 - expected).abs() < 1e-6 * expected, "{} {expected}", found.l2);
        }
    }

    #[test]
    fn one_class_is_certain() {
        let (features, _) = data(12, 6, 2, 1.0, 7);
        let p = fit(&features, &[2; 12], 4).head.probabilities(features.view()).unwrap();
        assert!(p.column(2).iter().all(|&p| p > 1.0 - 1e-6));
    }

    #[test]
    fn the_order_of_the_rows_the_threads_and_a_power_of_two_change_no_bit() {
        for (n, d) in [(150, 20), (60, 130)] {
            let (features, labels) = data(n, d, 3, 0.7, 9);
            let turn: Vec<usize> = (0..n).rev().collect();
            let run = |threads, rows: &[usize], by: f32| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let features = features.select(Axis(0), rows) * by;
                let ids: Vec<Id> = rows.iter().map(|&row| ids(n)[row]).collect();
                let labels: Vec<Label> = rows.iter().map(|&row| labels[row]).collect();
                let seed = Seed::new(2);
                pool.install(|| {
                    LinearHead::fit_validated(features.view(), &ids, &labels, 3, seed, &mut silent()).unwrap()
                })
            };
            let plain: Vec<usize> = (0..n).collect();
            let found = run(1, &plain, 1.0);
            assert_eq!(found, run(3, &turn, 1.0));
            let larger = run(2, &plain, 1024.0);
            assert_eq!(larger.l2, found.l2 * 1024.0 * 1024.0);
            assert_eq!((larger.temperature, larger.loss), (found.temperature, found.loss));
            assert_eq!(&larger.head.weights * 1024.0, found.head.weights);
            let other = run(2, &plain, 3.0);
            let p = found.head.probabilities(features.view()).unwrap();
            let q = other.head.probabilities((&features * 3.0).view()).unwrap();
            assert!((p - q).iter().all(|e| e.abs() < 1e-3));
        }
    }

    #[test]
    fn a_temperature_divides_logits_and_leaves_absent_classes_alone() {
        let (features, labels) = data(40, 5, 3, 1.0, 11);
        let settings = Settings::default();
        let head =
            LinearHead::fit(features.view(), &labels, 5, &settings, None, None, &mut silent()).unwrap();
        let warm = head.clone().with_temperature(4.0).unwrap();
        let (cold, warm) = (head.logits(features.view()).unwrap(), warm.logits(features.view()).unwrap());
        let (some, all) = (s![.., ..3], s![.., 3..]);
        assert!((&cold.slice(some) / 4.0 - warm.slice(some)).iter().all(|e| e.abs() < 1e-6));
        assert_eq!(cold.slice(all), warm.slice(all));
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(head.clone().with_temperature(wrong).is_err());
        }
    }

    #[test]
    fn balanced_divides_probabilities_by_the_shares_of_the_classes() {
        let (features, labels) = data(60, 5, 3, 1.0, 13);
        let settings = Settings::default();
        let head =
            LinearHead::fit(features.view(), &labels, 3, &settings, None, None, &mut silent()).unwrap();
        let counts = [40, 9, 0];
        let p = head.probabilities(features.view()).unwrap();
        let q = head.balanced(&counts).unwrap().probabilities(features.view()).unwrap();
        for (p, q) in p.rows().into_iter().zip(q.rows()) {
            let by: Vec<f32> = p.iter().zip(counts).map(|(p, count)| p / (count as f32 + 1.0)).collect();
            let total: f32 = by.iter().sum();
            assert!(q.iter().zip(&by).all(|(q, by)| (q - by / total).abs() < 1e-5));
        }
        let wrong = head.balanced(&[1, 2]).unwrap_err().to_string();
        assert!(wrong.contains("where: counts\n  expected: 3\n  got: 2"), "{wrong}");
    }

    #[test]
    fn progress_goes_from_0_to_the_end_and_may_stop_anywhere() {
        let (features, labels) = data(90, 8, 3, 0.5, 15);
        let run = |progress: &mut Progress<'_>| {
            LinearHead::fit_validated(features.view(), &ids(90), &labels, 3, Seed::new(1), progress)
        };
        let mut seen = Vec::new();
        run(&mut |event: Event<'_>| {
            if let Event::Progress { done, total, .. } = event {
                seen.push((done, total));
            }
            Flow::Continue
        })
        .unwrap();
        let total = seen[0].1;
        assert!(seen.is_sorted() && (seen[0].0, seen[seen.len() - 1]) == (0, (total, total)), "{seen:?}");
        for at in 0..seen.len() {
            let mut left = at;
            let stopped = run(&mut |_| {
                left = left.wrapping_sub(1);
                if left == usize::MAX { Flow::Stop } else { Flow::Continue }
            });
            assert!(matches!(stopped, Err(Error::Stopped)), "{at}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let (features, labels) = data(6, 3, 2, 1.0, 17);
        let told = |ids: &[Id], labels: &[Label]| {
            let fitted =
                LinearHead::fit_validated(features.view(), ids, labels, 2, Seed::new(1), &mut silent());
            fitted.unwrap_err().to_string()
        };
        assert!(told(&ids(5), &labels).contains("where: ids\n  expected: 6\n  got: 5"));
        assert!(told(&ids(6), &[0, 1, 0, 2, 0, 0]).contains("where: labels, row 3"));
    }
}
