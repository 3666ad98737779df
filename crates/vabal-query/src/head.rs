//! The linear classifier on frozen features: multinomial logistic regression with an L2 penalty,
//! the objective of scikit-learn's `LogisticRegression(C=1 / l2)`.
//!
//! Over rows x_i with labels y_i and weights w_i, [`LinearHead::fit`] looks for the W and b of the
//! least
//!
//! > Σ_i w_i · −ln p(y_i | x_i) + l2/2 · Σ W², where p(c | x) is the softmax of W·x + b.
//!
//! The bias is not penalised. A class without labels has no least loss: the lower its bias, the
//! better. It gets weights of 0 and a bias with which it adds less than a millionth to the loss,
//! and the other classes are as if it were not there. W and b are those of which the sum over the
//! classes with labels is 0, which changes no probability.
//!
//! ```
//! use ndarray::array;
//! use vabal_query::head::{LinearHead, Settings};
//! use vabal_query::progress::silent;
//!
//! let features = array![[0.0, 1.0], [0.2, 0.9], [1.0, 0.1]];
//! let head = LinearHead::fit(features.view(), &[0, 0, 2], 3, &Settings::default(), None, None, &mut silent())?;
//! let p = head.probabilities(array![[0.9, 0.0]].view())?;
//! assert!(p[[0, 2]] > p[[0, 0]] && p[[0, 1]] < 1e-6);
//! # Ok::<(), vabal_query::Error>(())
//! ```
//!
//! [`LinearHead::fit_validated`] chooses l2, and a temperature with which the probabilities are
//! calibrated:
//!
//! ```
//! use ndarray::array;
//! use vabal_query::head::LinearHead;
//! use vabal_query::{Seed, progress::silent};
//!
//! let features = array![[0.0, 1.0], [0.2, 0.9], [0.1, 0.7], [1.0, 0.1], [0.8, 0.2], [0.9, 0.3]];
//! let (ids, labels) = ([3, 5, 6, 7, 8, 12], [0, 0, 0, 1, 1, 1]);
//! let found = LinearHead::fit_validated(features.view(), &ids, &labels, 2, Seed::new(1), &mut silent())?;
//! assert_eq!(found.accuracy, Some(1.0));
//! assert!(found.head.probabilities(array![[0.9, 0.1]].view())?[[0, 1]] > 0.5);
//! # Ok::<(), vabal_query::Error>(())
//! ```
//!
//! Never here: how features are made, which images are asked for.

mod minimise;
mod objective;
#[cfg(test)]
mod tests;
mod validated;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Label;
use crate::error::{Error, Result, within};
use crate::kernels::{Factor, Threads, magnitude, matmul};
use crate::progress::{Event, Progress, report};

use minimise::Search;
pub(crate) use objective::dot;
use objective::{Objective, Row, exponentials};
pub use validated::Validated;

/// Of [`LinearHead::fit`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The penalty: half of this times the sum of the squared weights, beside the sum of the rows'
    /// cross-entropies. scikit-learn's 1 / C.
    pub l2: f64,
    /// How far the loss may be from the least one, relative to itself.
    pub tolerance: f64,
    /// Iterations, at most. A fit that needs more ends with a warning.
    pub iterations: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { l2: 1.0, tolerance: 1e-6, iterations: 1000 }
    }
}

impl Settings {
    /// Checks every value's range.
    ///
    /// # Errors
    /// The first value out of range, by its key.
    pub fn check(&self) -> Result<()> {
        within("l2", self.l2, 1e-9..=1e9)?;
        within("tolerance", self.tolerance, 1e-12..=0.1)?;
        within("iterations", self.iterations, 1..=1_000_000)
    }
}

/// How many of the labelled rows a class without labels expects to have, at most.
const ABSENT: f64 = 1e-6;

/// Features up to this size are worked on in f32 first: their squares have room there.
const LARGEST: f32 = 1e9;

/// Rows whose logits one task computes.
const ROWS: usize = 256;

/// A fitted linear classifier.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearHead {
    weights: Array2<f64>,
    bias: Array1<f64>,
    /// Whether a class had labels.
    labelled: Vec<bool>,
    found: Option<Found>,
}

/// Where a search ended.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Found {
    loss: f64,
    gap: f64,
    iterations: usize,
}

impl LinearHead {
    /// Fits a classifier of `classes` classes to features [n, d] and their n labels.
    ///
    /// `weights` has how often each row counts, 1 where it is not given; a row of weight 0 takes no
    /// part. `warm` is where the search starts, best the head of the round before: it saves time,
    /// and changes the result within the tolerance. The same bits with any number of threads.
    /// Iterations are reported as the phase "head"; a fit whose loss may be farther from the least
    /// one than the tolerance ends with a warning, and [`LinearHead::gap`] has how far.
    ///
    /// # Errors
    /// Lengths and shapes that do not fit each other, no rows, features that are not finite, labels
    /// out of range, weights that are negative, not finite or all 0, settings out of range;
    /// [`Error::Stopped`].
    pub fn fit(
        features: ArrayView2<'_, f32>,
        labels: &[Label],
        classes: usize,
        settings: &Settings,
        weights: Option<&[f64]>,
        warm: Option<&Self>,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        settings.check()?;
        let largest = check(features, labels, classes, weights)?;
        if let Some(warm) = warm {
            let same = warm.weights.dim() == (classes, features.ncols());
            let got = || format!("{:?}", warm.weights.dim());
            expect(
                same,
                "the head to start from has another shape",
                "warm",
                shape(classes, features.ncols()),
                got,
            )?;
        }
        Problem::new(features, labels, classes, weights, largest).fit(settings, warm, progress)
    }

    /// A head of weights W [C, d] and biases b \[C\] that were kept.
    ///
    /// # Errors
    /// Another number of biases than of rows, fewer than two classes, no column, values that are
    /// not finite.
    pub fn of(weights: Array2<f64>, bias: Array1<f64>) -> Result<Self> {
        let (classes, width) = weights.dim();
        let finite = weights.iter().chain(&bias).all(|value| value.is_finite());
        if bias.len() != classes || classes < 2 || width == 0 || !finite {
            return Err(Error::input("weights and biases do not fit together")
                .at("weights and bias")
                .expected("finite numbers, [C, d] and [C], C of 2 or more, d of 1 or more")
                .got(format!("{}, and {} biases", shape(classes, width), bias.len()))
                .hint("give both as a head had them")
                .into());
        }
        Ok(Self { weights, bias, labelled: vec![true; classes], found: None })
    }

    /// Weights and biases of the `present` classes for features less their `mean`. A class that had
    /// no labels starts as the others of its prior do.
    fn start(
        &self,
        present: &[usize],
        prior: &Array1<f64>,
        mean: &Array1<f64>,
    ) -> (Array2<f64>, Array1<f64>) {
        let mut weights = self.weights.select(Axis(0), present);
        let mut bias = self.bias.select(Axis(0), present) + weights.dot(mean);
        let known: Vec<usize> = (0..present.len()).filter(|&at| self.labelled[present[at]]).collect();
        let above = known.iter().map(|&at| bias[at] - prior[at]).sum::<f64>() / known.len().max(1) as f64;
        for (at, _) in present.iter().enumerate().filter(|(_, class)| !self.labelled[**class]) {
            bias[at] = prior[at] + above;
        }
        weights -= &mean_of_rows(&weights);
        (weights, bias)
    }

    /// W·x + b for features [n, d], [n, C].
    ///
    /// # Errors
    /// Another number of columns than it was fitted to; features that are not finite.
    pub fn logits(&self, features: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        self.compute(features, |_, _| ())
    }

    /// p(c | x) for features [n, d], [n, C]; each row adds up to 1.
    ///
    /// # Errors
    /// As of [`LinearHead::logits`].
    pub fn probabilities(&self, features: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        self.compute(features, |scores, rows| {
            let (mut largest, mut total) = (vec![0.0; rows], vec![0.0; rows]);
            exponentials(scores, &mut largest, &mut total);
            for scores in scores.chunks_exact_mut(rows) {
                scores.iter_mut().zip(&total).for_each(|(score, total)| *score /= total);
            }
        })
    }

    /// Logits in f64, [C, rows] for some rows at a time, changed by `then`, as an array [n, C].
    fn compute(
        &self,
        features: ArrayView2<'_, f32>,
        then: impl Fn(&mut [f64], usize) + Sync,
    ) -> Result<Array2<f32>> {
        let (classes, width) = self.weights.dim();
        let right = features.ncols() == width;
        expect(right, "unexpected width of features", "features", format!("{width} columns"), || {
            features.ncols()
        })?;
        finite(features)?;
        let mut out = Array2::zeros((features.nrows(), classes));
        let chunks = out.axis_chunks_iter_mut(Axis(0), ROWS).zip(features.axis_chunks_iter(Axis(0), ROWS));
        chunks.collect::<Vec<_>>().into_par_iter().for_each(|(mut out, features)| {
            let features = features.mapv(f64::from);
            let mut scores = Array2::zeros((classes, features.nrows()));
            scores.rows_mut().into_iter().zip(&self.bias).for_each(|(mut row, &bias)| row.fill(bias));
            matmul(self.weights.view(), features.t(), 1.0, scores.view_mut(), Threads::One);
            then(scores.as_slice_mut().expect("row-major"), features.nrows());
            out.zip_mut_with(&scores.t(), |out, &score| *out = score as f32);
        });
        Ok(out)
    }

    /// The head whose logits are those of this one, divided by `temperature` (Guo et al. 2017):
    /// above 1 it is less sure. A class that had no labels is as unlikely as before.
    ///
    /// # Errors
    /// A temperature that is not above 0 and finite.
    pub fn with_temperature(mut self, temperature: f64) -> Result<Self> {
        if !(temperature > 0.0 && temperature.is_finite()) {
            let hint = "1 changes nothing";
            let wrong = Error::input("a temperature is out of range").at("temperature");
            return Err(wrong.expected("above 0, and finite").got(temperature).hint(hint).into());
        }
        self.weights /= temperature;
        for (bias, _) in self.bias.iter_mut().zip(&self.labelled).filter(|(_, labelled)| **labelled) {
            *bias /= temperature;
        }
        self.found = None;
        Ok(self)
    }

    /// The head for images of which every class has as many as any other, where `counts` has the
    /// labels of each class: its logits less the logarithms of the classes' shares, with one
    /// imaginary label a class. As the bias is not penalised, this is what a fit with the loss of
    /// logit adjustment (Menon et al. 2021) gives. Its balanced accuracy is higher, and its
    /// accuracy lower, where some classes are rare.
    ///
    /// # Errors
    /// Another number of counts than of classes.
    pub fn balanced(&self, counts: &[usize]) -> Result<Self> {
        let classes = self.bias.len();
        expect(
            counts.len() == classes,
            "another number of counts than of classes",
            "counts",
            classes,
            || counts.len(),
        )?;
        let all = counts.iter().map(|&count| count as f64 + 1.0).sum::<f64>();
        let shares = counts.iter().map(|&count| ((count as f64 + 1.0) / all).ln());
        let mut head = Self { found: None, ..self.clone() };
        head.bias.iter_mut().zip(shares).for_each(|(bias, share)| *bias -= share);
        Ok(head)
    }

    /// The head on x whose logits are those of this one on components·(x − mean).
    pub(crate) fn on(&self, components: ArrayView2<'_, f64>, mean: ArrayView1<'_, f64>) -> Self {
        let weights = product(self.weights.view(), components);
        let bias = &self.bias - &weights.dot(&mean);
        Self { weights, bias, labelled: self.labelled.clone(), found: None }
    }

    /// W, [C, d].
    #[must_use]
    pub fn weights(&self) -> ArrayView2<'_, f64> {
        self.weights.view()
    }

    /// b, \[C\].
    #[must_use]
    pub fn bias(&self) -> ArrayView1<'_, f64> {
        self.bias.view()
    }

    /// The objective's value where the search ended, over the classes with labels; of a head that
    /// was fitted here.
    #[must_use]
    pub fn loss(&self) -> Option<f64> {
        self.found.map(|found| found.loss)
    }

    /// How far the loss is from the least one, at most, relative to itself: ‖g‖² / 2·l2 of the
    /// gradient by the weights, and g² / 2h of that by each bias, h being the second derivative
    /// there. Of a head that was fitted here.
    #[must_use]
    pub fn gap(&self) -> Option<f64> {
        self.found.map(|found| found.gap)
    }

    /// Iterations that the fit took; 0 of a head that was kept.
    #[must_use]
    pub fn iterations(&self) -> usize {
        self.found.map_or(0, |found| found.iterations)
    }
}

/// A fit but for its strength: the labelled rows less their mean.
struct Problem {
    classes: usize,
    /// Weight of the rows of each class, and of all.
    counts: Vec<f64>,
    total: f64,
    /// The classes with labels.
    present: Vec<usize>,
    rows: Vec<Row>,
    mean: Array1<f64>,
    centred: Array2<f64>,
    /// With fewer rows than columns, the weights are sums of rows: as many coordinates do.
    basis: Option<Factor>,
    /// Whether f32 has room for the squares.
    small: bool,
}

impl Problem {
    /// Of what [`check`] found right; `largest` is what it returned.
    fn new(
        features: ArrayView2<'_, f32>,
        labels: &[Label],
        classes: usize,
        weights: Option<&[f64]>,
        largest: f32,
    ) -> Self {
        let weight = |row: usize| weights.map_or(1.0, |weights| weights[row]);
        let chosen: Vec<usize> = (0..labels.len()).filter(|&row| weight(row) > 0.0).collect();
        let mut counts = vec![0.0; classes];
        chosen.iter().for_each(|&row| counts[labels[row] as usize] += weight(row));
        let total: f64 = counts.iter().sum();
        let present: Vec<usize> = (0..classes).filter(|&class| counts[class] > 0.0).collect();
        // The place of each class among them.
        let mut place = vec![0; classes];
        present.iter().enumerate().for_each(|(at, &class)| place[class] = at);
        let rows: Vec<Row> = (chosen.iter())
            .map(|&row| Row { label: place[labels[row] as usize], weight: weight(row) })
            .collect();
        let (mean, centred) = centre(features, &chosen, &rows, total);
        let basis = (chosen.len() < mean.len()).then(|| basis(&centred)).flatten();
        Self { classes, counts, total, present, rows, mean, centred, basis, small: largest < LARGEST }
    }

    fn fit(
        &self,
        settings: &Settings,
        warm: Option<&LinearHead>,
        progress: &mut Progress<'_>,
    ) -> Result<LinearHead> {
        let Self { classes, counts, total, present, rows, mean, centred, basis, small } = self;
        let prior: Array1<f64> = present.iter().map(|&class| (counts[class] / total).ln()).collect();
        let (start, bias) = match warm {
            Some(warm) => warm.start(present, &prior, mean),
            None => (Array2::zeros((present.len(), mean.len())), prior),
        };
        let (features, start) = match basis {
            Some(basis) => {
                (basis.lower.view(), product(product(start.view(), centred.t()).view(), basis.inverse.t()))
            }
            None => (centred.view(), start),
        };
        let mut search = Search::new(start.iter().chain(&bias).copied().collect());
        if *small {
            let mut objective = Objective::<f32>::new(features, rows, present.len(), settings.l2);
            search.run(&mut objective, settings, progress)?;
        }
        // Where f32 was enough, one evaluation says so.
        let mut objective = Objective::<f64>::new(features, rows, present.len(), settings.l2);
        search.run(&mut objective, settings, progress)?;
        let (done, loss) = (settings.iterations, Some(search.loss));
        report(progress, Event::Progress { phase: "head", done, total: done, unit: "iteration", loss })?;
        if search.gap > settings.tolerance {
            report(
                progress,
                Event::Warning(&format!(
                    "the linear classifier stopped after {} iterations with a loss that may be {:.1e} of itself above the least \
                 one, not {:.1e}: scale the features, or set a larger l2",
                    search.iterations, search.gap, settings.tolerance
                )),
            )?;
        }

        let (found, bias) = search.parameters.split_at(present.len() * features.ncols());
        let found = ArrayView2::from_shape((present.len(), features.ncols()), found).expect("of this length");
        let mut found = match basis {
            Some(basis) => product(product(found, basis.inverse.view()).view(), centred.view()),
            None => found.to_owned(),
        };
        // Rows that are the same in all classes change nothing, but what the absent classes are
        // compared with.
        found -= &mean_of_rows(&found);
        let mut bias = Array1::from_iter(bias.iter().copied()) - found.dot(mean);
        bias -= bias.sum() / bias.len() as f64;
        let mut head = LinearHead {
            weights: Array2::zeros((*classes, mean.len())),
            // The logits of a row add up to 0, so that the sum of their powers is C at least.
            bias: Array1::from_elem(*classes, (ABSENT * present.len() as f64 / total).ln()),
            labelled: counts.iter().map(|&count| count > 0.0).collect(),
            found: Some(Found { loss: search.loss, gap: search.gap, iterations: search.iterations }),
        };
        for (at, &class) in present.iter().enumerate() {
            head.weights.row_mut(class).assign(&found.row(at));
            head.bias[class] = bias[at];
        }
        Ok(head)
    }
}

/// The weighted mean of the chosen rows, and these less it: about it, biases have little to do with
/// weights.
fn centre(
    features: ArrayView2<'_, f32>,
    chosen: &[usize],
    rows: &[Row],
    total: f64,
) -> (Array1<f64>, Array2<f64>) {
    let mut mean = Array1::zeros(features.ncols());
    for (&row, of) in chosen.iter().zip(rows) {
        mean.zip_mut_with(&features.row(row), |mean, &x| *mean += of.weight * f64::from(x));
    }
    mean /= total;
    let mut centred = features.select(Axis(0), chosen).mapv(f64::from);
    centred -= &mean;
    (mean, centred)
}

fn mean_of_rows(weights: &Array2<f64>) -> Array1<f64> {
    weights.sum_axis(Axis(0)) / weights.nrows() as f64
}

/// L with X·Xᵀ = L·Lᵀ, and its inverse: the rows of X in coordinates of the space they span are
/// those of L, and weights θ there are θ·L⁻¹·X. `None` where they cannot be told from rounding.
fn basis(centred: &Array2<f64>) -> Option<Factor> {
    let mut products = product(centred.view(), centred.t());
    // The rows add up to 0, and some may be equal: so little more makes no difference.
    let least = 1e-13 * products.diag().sum() + f64::MIN_POSITIVE;
    products.diag_mut().iter_mut().for_each(|v| *v += least);
    Factor::of(products)
}

pub(crate) fn product(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut c = Array2::zeros((a.nrows(), b.ncols()));
    matmul(a, b, 0.0, c.view_mut(), Threads::All);
    c
}

fn shape(rows: usize, columns: usize) -> String {
    format!("({rows}, {columns})")
}

pub(crate) fn expect<T: std::fmt::Display>(
    right: bool,
    what: &str,
    at: &str,
    expected: impl std::fmt::Display,
    got: impl FnOnce() -> T,
) -> Result<()> {
    if right {
        return Ok(());
    }
    let hint = "give the arrays of the same images and the same network";
    Err(Error::input(what).at(at).expected(expected).got(got()).hint(hint).into())
}

/// Checks what a head is fitted to; the largest size of a feature.
fn check(
    features: ArrayView2<'_, f32>,
    labels: &[Label],
    classes: usize,
    weights: Option<&[f64]>,
) -> Result<f32> {
    let (n, width) = features.dim();
    if n == 0 || width == 0 || classes < 2 {
        return Err(Error::input("nothing to fit a classifier to")
            .at("features and classes")
            .expected("at least a row, a column and two classes")
            .got(format!("{n} rows, {width} columns, {classes} classes"))
            .hint("label an image first; count every class that an image may be of")
            .into());
    }
    expect(labels.len() == n, "another number of labels than of rows", "labels", n, || labels.len())?;
    if let Some(row) = labels.iter().position(|&label| label as usize >= classes) {
        return Err(Error::input("a label is out of range")
            .at(format!("labels, row {row}"))
            .expected(format!("0 to {}", classes - 1))
            .got(labels[row])
            .hint("count the classes from 0, and all of them")
            .into());
    }
    if let Some(weights) = weights {
        expect(weights.len() == n, "another number of weights than of rows", "weights", n, || weights.len())?;
        let complain = |what: &str, at: String, expected: &str, got: f64| -> Result<f32> {
            let hint = "give how often each row counts";
            Err(Error::input(what).at(at).expected(expected).got(got).hint(hint).into())
        };
        if let Some(row) = weights.iter().position(|&weight| !(weight >= 0.0 && weight.is_finite())) {
            let at = format!("weights, row {row}");
            return complain("a weight is out of range", at, "0 or more, and finite", weights[row]);
        }
        let sum = weights.iter().sum::<f64>();
        if !(sum > 0.0 && sum.is_finite()) {
            return complain("no weights to fit with", "weights".into(), "a finite sum above 0", sum);
        }
    }
    finite(features)
}

/// The largest size of a feature, of finite ones.
pub(crate) fn finite(features: ArrayView2<'_, f32>) -> Result<f32> {
    let mut largest = 0.0_f32;
    for (number, row) in features.rows().into_iter().enumerate() {
        let most = match row.to_slice() {
            Some(row) => magnitude(row),
            None => magnitude(&row.to_vec()),
        };
        if !most.is_finite() {
            let column = row.iter().position(|value| !value.is_finite()).unwrap_or(0);
            return Err(Error::input("a feature is not finite")
                .at(format!("features, row {number}, column {column}"))
                .expected("finite numbers")
                .got(row[column])
                .hint("look for a division by zero, or an overflow, where the features are made")
                .into());
        }
        largest = largest.max(most);
    }
    Ok(largest)
}
