//! Bayesian active learning by disagreement: the images over which the draws of a posterior disagree though each
//! is sure of itself. BALD (Houlsby et al. 2011; with Monte-Carlo dropout, Gal et al. 2017), power-BALD (Kirsch et
//! al. 2023, "Stochastic Batch Acquisition") and BatchBALD (Kirsch et al. 2019).
//!
//! Never here: where the draws come from.
//!
//! ```
//! use ndarray::array;
//! use vabal_query::strategies::bald::{Bald, Settings};
//! use vabal_query::progress::silent;
//! use vabal_query::{Query, Seed, Signals, Strategy};
//!
//! let unlabelled = Signals::new(vec![10, 11])
//!     .with_monte_carlo(array![[[0.9, 0.1], [0.1, 0.9]], [[0.5, 0.5], [0.5, 0.5]]])?;
//! let labelled = Signals::default();
//! let query = Query { unlabelled: &unlabelled, labelled: &labelled, labels: &[], classes: 2, n: 1, seed: Seed::new(1) };
//! let chosen = Bald(Settings::default()).select(&query, &mut silent())?;
//! assert_eq!(chosen.ids, [10]); // its two draws disagree; those of 11 are both unsure
//! # Ok::<(), vabal_query::Error>(())
//! ```

use ndarray::{Array2, ArrayView2, Axis};
use rand::RngExt as _;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::arrays::{ArrayRows, argmax};
use crate::error::{Result, within};
use crate::kernels::{Threads, entropy_sum, matmul, mean_of_rows};
use crate::progress::{Event, Progress, between_reports, report};
use crate::query::{ByRow, Fitted, RowScore, Scored};
use crate::rng::{Rng, Seed};
use crate::term;
use crate::{
    Column, Id, MonteCarlo, Needs, Query, Selection, Signals, Strategy, StrategySettings, Table, available,
};

/// Images looked at between two reports of progress.
const BLOCK: usize = 4096;

/// Of [`Bald`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// T, passes under dropout for each image.
    pub draws: usize,
    /// Probability of dropping a value before each residual stage.
    pub dropout: f64,
}

/// Of [`PowerBald`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerSettings {
    /// T, passes under dropout for each image.
    pub draws: usize,
    /// Probability of dropping a value before each residual stage.
    pub dropout: f64,
    /// β: the larger, the nearer to taking the largest; near 0 it is random.
    pub beta: f64,
}

/// Of [`BatchBald`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchSettings {
    /// T, passes under dropout for each image.
    pub draws: usize,
    /// Probability of dropping a value before each residual stage.
    pub dropout: f64,
    /// Configurations of labels of the batch that the joint entropy is taken over: all of them while there are no more
    /// than these, then so many drawn.
    pub samples: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { draws: 100, dropout: 0.25 }
    }
}

impl Default for PowerSettings {
    fn default() -> Self {
        Self { draws: 100, dropout: 0.25, beta: 1.0 }
    }
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self { draws: 100, dropout: 0.25, samples: 1000 }
    }
}

impl Settings {
    /// Checks every value's range.
    ///
    /// # Errors
    /// The first value out of range, by its key.
    pub fn check(&self) -> Result<()> {
        within("draws", self.draws, 2..=10_000)?;
        within("dropout", self.dropout, 0.01..=0.99)
    }

    fn needs(&self) -> Needs {
        Needs { monte_carlo: Some(MonteCarlo { draws: self.draws, dropout: self.dropout }), ..Needs::IDS }
    }
}

impl StrategySettings for Settings {
    fn build(self, _: Table) -> Result<Box<dyn Strategy>> {
        self.check()?;
        Ok(Box::new(Bald(self)))
    }
}

impl PowerSettings {
    /// Checks every value's range.
    ///
    /// # Errors
    /// The first value out of range, by its key.
    pub fn check(&self) -> Result<()> {
        self.draws().check()?;
        within("beta", self.beta, 1e-6..=1e6)
    }

    fn draws(&self) -> Settings {
        Settings { draws: self.draws, dropout: self.dropout }
    }
}

impl StrategySettings for PowerSettings {
    fn build(self, _: Table) -> Result<Box<dyn Strategy>> {
        self.check()?;
        Ok(Box::new(PowerBald(self)))
    }
}

impl BatchSettings {
    /// Checks every value's range.
    ///
    /// # Errors
    /// The first value out of range, by its key.
    pub fn check(&self) -> Result<()> {
        self.draws().check()?;
        within("samples", self.samples, 10..=1_000_000)
    }

    fn draws(&self) -> Settings {
        Settings { draws: self.draws, dropout: self.dropout }
    }
}

impl StrategySettings for BatchSettings {
    fn build(self, _: Table) -> Result<Box<dyn Strategy>> {
        self.check()?;
        Ok(Box::new(BatchBald(self)))
    }
}

/// Asks for the images with the largest mutual information between label and parameters,
/// H(E p) − E H(p) over the draws, in nats.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bald(pub Settings);

/// Draws images without replacement with a chance that goes with the power β of their BALD score.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PowerBald(pub PowerSettings);

/// Asks for the batch whose labels together say the most of the parameters, put together greedily.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BatchBald(pub BatchSettings);

/// What the draws say of one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Disagreement {
    /// H(E p) − E H(p), 0 or more.
    pub information: f64,
    /// E H(p)
    pub aleatoric: f64,
    /// arg-max of E p
    pub predicted: u32,
}

/// The disagreement of draws, each row [T, C], in one pass over them on all cores.
///
/// # Errors
/// [`crate::Error::Stopped`].
pub(super) fn disagreement(
    draws: ArrayRows<'_, f32>,
    phase: &'static str,
    progress: &mut Progress<'_>,
) -> Result<Vec<Disagreement>> {
    let (n, count, classes) = (draws.len(), draws.lines(), draws.columns());
    let mut answers = Vec::with_capacity(n);
    // A logarithm takes some 64 multiplications.
    let block = between_reports(64 * count * classes, 256, BLOCK);
    for first in (0..n).step_by(block) {
        let done = (first + block).min(n);
        let of = |mean: &mut Vec<f32>, row: usize| {
            let values = draws.row(row);
            mean_of_rows(values, mean);
            let aleatoric = entropy_sum(values) / count as f64;
            let information = (entropy_sum(mean) - aleatoric).max(0.0);
            Disagreement { information, aleatoric, predicted: argmax(mean.iter().copied()) }
        };
        let room = || vec![0.0; classes];
        answers.par_extend((first..done).into_par_iter().with_min_len(64).map_init(room, of));
        report(progress, Event::Progress { phase, done, total: n, unit: "image", loss: None })?;
    }
    Ok(answers)
}

/// The columns that say why.
pub(super) fn columns(of: &[Disagreement]) -> Vec<Column> {
    let column =
        |name, value: fn(&Disagreement) -> f64| Column { name, values: of.iter().map(value).collect() };
    vec![
        column(term::PREDICTED, |d| f64::from(d.predicted)),
        column(term::INFORMATION, |d| d.information),
        column(term::ALEATORIC, |d| d.aleatoric),
    ]
}

impl Strategy for Bald {
    fn needs(&self) -> Needs {
        self.0.needs()
    }

    fn by_row(&self) -> Option<&dyn ByRow> {
        Some(self)
    }

    fn reads_rows(&self) -> bool {
        true
    }

    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection> {
        let Scored { scores, terms, .. } = self.score(query.unlabelled, progress)?;
        Selection::top(query, &scores, terms, progress)
    }
}

impl ByRow for Bald {
    fn scorer(&self, _: &Fitted) -> Result<Box<dyn RowScore>> {
        Ok(Box::new(*self))
    }
}

impl RowScore for Bald {
    fn score(&self, rows: &Signals<'_>, progress: &mut Progress<'_>) -> Result<Scored> {
        let of = disagreement(rows.monte_carlo_rows()?, "score", progress)?;
        let scores = of.iter().map(|d| d.information).collect();
        Ok(Scored { scores, terms: columns(&of), ..Scored::default() })
    }
}

impl Strategy for PowerBald {
    fn needs(&self) -> Needs {
        self.0.draws().needs()
    }

    fn by_row(&self) -> Option<&dyn ByRow> {
        Some(self)
    }

    fn reads_rows(&self) -> bool {
        true
    }

    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection> {
        let drawn = Drawn { beta: self.0.beta, seed: query.seed };
        let Scored { scores, terms, .. } = drawn.score(query.unlabelled, progress)?;
        Selection::top(query, &scores, terms, progress)
    }
}

impl ByRow for PowerBald {
    fn scorer(&self, fitted: &Fitted) -> Result<Box<dyn RowScore>> {
        Ok(Box::new(Drawn { beta: self.0.beta, seed: fitted.seed }))
    }
}

/// The score of [`PowerBald`]: the largest of log(score^β) plus Gumbel noise, one by one, is drawing without replacement
/// (Gumbel top-k). Noise by a key of the id, so that neither the order nor the rest of the pool changes it.
struct Drawn {
    beta: f64,
    seed: Seed,
}

impl RowScore for Drawn {
    fn score(&self, rows: &Signals<'_>, progress: &mut Progress<'_>) -> Result<Scored> {
        let of = disagreement(rows.monte_carlo_rows()?, "score", progress)?;
        let score = |(of, &id): (&Disagreement, &Id)| {
            let gumbel = -(-uniform(self.seed.key("gumbel", id)).ln()).ln();
            of.information.max(1e-12).ln() + gumbel / self.beta
        };
        let scores = of.iter().zip(rows.ids()).map(score).collect();
        Ok(Scored { scores, terms: columns(&of), ..Scored::default() })
    }
}

/// A key as a number in (0, 1).
fn uniform(key: u64) -> f64 {
    ((key >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

/// The batch so far, as far as the joint entropy with one more image goes by it.
struct Joint {
    /// p(configuration | draw) [M, T]; where configurations are drawn, up to a factor for each.
    configurations: Array2<f32>,
    /// What each configuration's probabilities are divided by, [M]: 1 where all are counted, the mean over the draws
    /// where they are drawn, as that is the chance they were drawn with.
    chance: Vec<f32>,
}

impl Joint {
    /// Of no image: one configuration.
    fn new(draws: usize) -> Self {
        Self { configurations: Array2::ones((1, draws)), chance: vec![1.0] }
    }

    /// All configurations of `batch`, whose draws are [T, C] each.
    fn counted(&self, p: ArrayView2<'_, f32>) -> Self {
        let (draws, classes) = p.dim();
        let before = self.configurations.nrows();
        let mut configurations = Array2::zeros((before * classes, draws));
        for (m, mut row) in configurations.rows_mut().into_iter().enumerate() {
            let (of, class) = (self.configurations.row(m / classes), m % classes);
            for ((to, &of), &p) in row.iter_mut().zip(of).zip(p.column(class)) {
                *to = of * p;
            }
        }
        Self { chance: vec![1.0; before * classes], configurations }
    }

    /// `samples` configurations of `batch`: of a draw in turn, the labels that it gives.
    fn drawn(batch: &[ArrayView2<'_, f32>], samples: usize, rng: &mut Rng) -> Self {
        let draws = batch.first().map_or(1, |p| p.nrows());
        let none = Self { configurations: Array2::ones((samples, draws)), chance: vec![1.0; samples] };
        batch.iter().fold(none, |joint, &p| joint.and_drawn(p, rng))
    }

    /// The same configurations with one more image: given the draw that a configuration is of, labels are independent,
    /// so that those drawn before stay as they are.
    fn and_drawn(mut self, p: ArrayView2<'_, f32>, rng: &mut Rng) -> Self {
        let draws = p.nrows();
        for (m, mut row) in self.configurations.rows_mut().into_iter().enumerate() {
            let of = p.row(m % draws);
            let mut left = rng.random::<f32>() * of.sum();
            let class = of.iter().position(|&p| {
                left -= p;
                left < 0.0
            });
            // By rounding nothing may be left over: then the last class that has any chance.
            let class = class.unwrap_or_else(|| of.iter().rposition(|&p| p > 0.0).unwrap_or(0));
            row.iter_mut().zip(p.column(class)).for_each(|(to, &p)| *to *= p);
            // Products of hundreds of probabilities leave f32; only their ratios within a row matter.
            let largest = row.iter().copied().fold(0.0, f32::max);
            if largest > 0.0 {
                row.mapv_inplace(|value| value / largest);
            }
        }
        self.chance = self.configurations.rows().into_iter().map(|row| row.mean().unwrap_or(1.0)).collect();
        self
    }

    /// What the entropy grows to with an image whose draws are `p` [T, C]: where configurations are counted the joint
    /// entropy itself; where they are drawn, the mean entropy of the image's label given the configuration.
    fn entropy_with(&self, p: ArrayView2<'_, f32>, drawn: bool, work: &mut Array2<f32>) -> f64 {
        let (samples, draws) = self.configurations.dim();
        if work.dim() != (samples, p.ncols()) {
            *work = Array2::zeros((samples, p.ncols()));
        }
        matmul(self.configurations.view(), p, 0.0, work.view_mut(), Threads::One);
        let share = 1.0 / draws as f32;
        for (mut row, &chance) in work.rows_mut().into_iter().zip(&self.chance) {
            let share = if chance > 0.0 { share / chance } else { 0.0 };
            row.mapv_inplace(|value| value * share);
        }
        let entropy = entropy_sum(work.as_slice().unwrap_or_default());
        if drawn { entropy / samples as f64 } else { entropy }
    }
}

impl Strategy for BatchBald {
    fn needs(&self) -> Needs {
        self.0.draws().needs()
    }

    fn is_batch(&self) -> bool {
        true
    }

    fn reads_rows(&self) -> bool {
        true
    }

    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection> {
        let n = available(query, progress)?;
        let draws = query.unlabelled.monte_carlo_rows()?;
        let of = disagreement(draws, "score", progress)?;
        let mut rng = query.seed.stream("configurations");
        // Lazily (Minoux 1978): what an image adds only shrinks as the batch grows, so that an old gain is a bound.
        let mut open: Vec<(f64, usize)> =
            query.unlabelled.rows_by_id().into_iter().map(|row| (of[row].information, row)).collect();
        let (mut chosen, mut gains): (Vec<usize>, Vec<f64>) = (Vec::new(), Vec::new());
        let mut batch: Vec<ArrayView2<'_, f32>> = Vec::new();
        let mut joint = Joint::new(draws.lines());
        let mut drawn = false;
        while chosen.len() < n {
            let before = if drawn || chosen.is_empty() {
                0.0
            } else {
                entropy_sum(
                    joint
                        .configurations
                        .mean_axis(Axis(1))
                        .unwrap_or_default()
                        .as_slice()
                        .unwrap_or_default(),
                )
            };
            let gain = |work: &mut Array2<f32>, row: usize| {
                let p = draws.matrix(row);
                (joint.entropy_with(p, drawn, work) - before - of[row].aleatoric).max(0.0)
            };
            let (done, unit) = (chosen.len(), "image");
            let mut told =
                || report(progress, Event::Progress { phase: "choose", done, total: n, unit, loss: None });
            let next = if chosen.is_empty() { best(&open) } else { lazily(&mut open, gain, &mut told)? };
            let (value, row) = open.remove(next);
            chosen.push(row);
            // A gain of drawn configurations may come out above the last by their noise; the order is what counts.
            gains.push(gains.last().map_or(value, |&last: &f64| value.min(last)));
            let p = draws.matrix(row);
            batch.push(p);
            joint = if drawn {
                joint.and_drawn(p, &mut rng)
            } else if joint.chance.len() * p.ncols() > self.0.samples {
                drawn = true;
                Joint::drawn(&batch, self.0.samples, &mut rng)
            } else {
                joint.counted(p)
            };
            let done = chosen.len();
            report(progress, Event::Progress { phase: "choose", done, total: n, unit, loss: None })?;
        }
        Ok(Selection::chosen(query.unlabelled, &chosen, gains, &columns(&of)))
    }
}

/// Where the largest value is, the first among equals.
fn best(open: &[(f64, usize)]) -> usize {
    (0..open.len()).rev().max_by(|&a, &b| open[a].0.total_cmp(&open[b].0)).unwrap_or(0)
}

/// Where the largest gain is, having brought up to date no more of the bounds than it takes. `open` stays in order of
/// ids, so that the first among equals is the lowest. Calls `told` again and again meanwhile, which may stop it.
fn lazily(
    open: &mut [(f64, usize)],
    gain: impl Fn(&mut Array2<f32>, usize) -> f64 + Sync,
    told: &mut dyn FnMut() -> Result<()>,
) -> Result<usize> {
    /// Bounds brought up to date at once: a number of its own, so that threads change nothing.
    const AT_ONCE: usize = 32;
    let mut order: Vec<usize> = (0..open.len()).collect();
    order.sort_by(|&a, &b| open[b].0.total_cmp(&open[a].0).then(a.cmp(&b)));
    let mut winner: Option<usize> = None;
    for places in order.chunks(AT_ONCE) {
        if winner.is_some_and(|winner| open[places[0]].0 < open[winner].0) {
            break;
        }
        told()?;
        let work = || Array2::zeros((0, 0));
        let gains: Vec<f64> =
            places.par_iter().map_init(work, |work, &place| gain(work, open[place].1)).collect();
        for (&place, gain) in places.iter().zip(gains) {
            open[place].0 = gain;
            let better = |winner: usize| gain > open[winner].0 || (gain == open[winner].0 && place < winner);
            if winner.is_none_or(better) {
                winner = Some(place);
            }
        }
    }
    Ok(winner.unwrap_or(0))
}

#[cfg(test)]
mod tests;
