//! Learning loss: a small network learns from the labelled pool to tell how large the classifier's
//! loss on an image is, and the unlabelled images with the largest predicted loss are asked (Yoo &
//! Kweon, "Learning Loss for Active Learning", CVPR 2019).
//!
//! The network sees the features of the frozen classifier's stages. There it is trained beside the
//! classifier, whose own training it changes; here it is trained after it, so that every strategy
//! is measured with the same classifier. Never here: images, the classifier.
//!
//! ```
//! use vabal_query::STRATEGIES;
//!
//! let strategy = STRATEGIES.by_name("learning-loss")?;
//! assert!(strategy.needs().stages && strategy.needs_of_labelled().probabilities);
//! # Ok::<(), vabal_query::Error>(())
//! ```

use ndarray::{Array2, ArrayView2};
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};

use super::adam::Adam;
use super::layers::{Builder, HiddenLayer, HiddenTape, Linear, resize};
use crate::arrays::ArrayRows;
use crate::error::{Error, Result, within};
use crate::kernels::Real;
use crate::progress::{Event, Progress, report};
use crate::rng::Seed;
use crate::term;
use crate::{Column, Needs, Query, Selection, Strategy, StrategySettings, Table};

/// Rows scored at once.
const BLOCK: usize = 1024;

/// Of [`LearningLoss`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Units that each stage's features become.
    pub width: usize,
    /// Steps of Adam.
    pub steps: usize,
    /// Images a step, compared in pairs.
    pub batch: usize,
    /// Learning rate of Adam.
    pub learning_rate: f64,
    /// ξ: by how much the predicted losses of a pair are to differ.
    pub margin: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { width: 128, steps: 1000, batch: 128, learning_rate: 1e-3, margin: 1.0 }
    }
}

impl Settings {
    /// Checks every value's range.
    ///
    /// # Errors
    /// The first value out of range, by its key.
    pub fn check(&self) -> Result<()> {
        within("width", self.width, 1..=4096)?;
        within("steps", self.steps, 1..=1_000_000)?;
        within("batch", self.batch, 2..=65_536)?;
        within("learning_rate", self.learning_rate, 1e-9..=10.0)?;
        within("margin", self.margin, 1e-6..=1e6)
    }
}

impl StrategySettings for Settings {
    fn build(self, _: Table) -> Result<Box<dyn Strategy>> {
        self.check()?;
        Ok(Box::new(LearningLoss(self)))
    }
}

/// Asks for the images with the largest predicted loss.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LearningLoss(pub Settings);

/// Each stage's features through Linear and ReLU, side by side through one Linear to one number.
struct Module<T> {
    stages: Vec<HiddenLayer>,
    output: Linear,
    parameters: Vec<T>,
}

/// What the backward pass needs of the forward pass.
struct Tape<T> {
    stages: Vec<HiddenTape<T>>,
    /// [B, L·width]
    joined: Array2<T>,
    d_joined: Array2<T>,
    /// ŝ [B, 1]
    output: Array2<T>,
}

impl<T: Real> Module<T> {
    fn new(widths: &[usize], width: usize, seed: Seed) -> Self {
        let mut b = Builder::new(seed.stream("loss-weights"));
        let stages: Vec<HiddenLayer> = (widths.iter().enumerate())
            .map(|(l, &inputs)| b.hidden(&format!("stage.{l}"), (inputs, width), false))
            .collect();
        let output = b.linear("output", width * widths.len(), 1);
        Self { stages, output, parameters: b.parameters }
    }

    fn tape(&self) -> Tape<T> {
        let empty = || Array2::default((0, 0));
        let stages = vec![HiddenTape::default(); self.stages.len()];
        Tape { stages, joined: empty(), d_joined: empty(), output: empty() }
    }

    /// Features [B, d_l] to predicted losses [B, 1], on the tape.
    fn forward(&self, features: &[Array2<T>], tape: &mut Tape<T>) {
        let rows = features[0].nrows();
        resize(&mut tape.joined, rows, self.output.inputs);
        resize(&mut tape.output, rows, 1);
        let parts = tape.joined.axis_chunks_iter_mut(ndarray::Axis(1), self.stages[0].linear.outputs);
        for (((layer, x), tape), mut part) in
            self.stages.iter().zip(features).zip(&mut tape.stages).zip(parts)
        {
            part.assign(&layer.forward(&self.parameters, x.view(), tape));
        }
        self.output.forward(&self.parameters, tape.joined.view(), tape.output.view_mut());
    }

    /// Adds to `gradient`, from the gradient of the predicted losses [B, 1].
    fn backward(
        &self,
        features: &[Array2<T>],
        dy: ArrayView2<'_, T>,
        tape: &mut Tape<T>,
        gradient: &mut [T],
    ) {
        resize(&mut tape.d_joined, dy.nrows(), self.output.inputs);
        let d_joined = Some(tape.d_joined.view_mut());
        self.output.backward(&self.parameters, tape.joined.view(), dy, gradient, d_joined);
        let parts = tape.d_joined.axis_chunks_iter(ndarray::Axis(1), self.stages[0].linear.outputs);
        for (((layer, x), tape), part) in self.stages.iter().zip(features).zip(&mut tape.stages).zip(parts) {
            layer.backward(&self.parameters, x.view(), part, tape, gradient, None);
        }
    }
}

/// The ranking loss of section 3.3: the mean over pairs (i, i + B/2) of max(0, ξ − sign(l_i − l_j)
/// · (ŝ_i − ŝ_j)), and its gradient [B, 1]. A pair of equal losses says nothing.
fn ranking<T: Real>(predicted: ArrayView2<'_, T>, losses: &[f64], margin: f64, d: &mut Array2<T>) -> f64 {
    let half = losses.len() / 2;
    resize(d, losses.len(), 1);
    d.fill(T::zero());
    let mut sum = 0.0;
    for (i, j) in (0..half).map(|i| (i, i + half)) {
        let sign = match losses[i].partial_cmp(&losses[j]) {
            Some(std::cmp::Ordering::Greater) => 1.0,
            Some(std::cmp::Ordering::Less) => -1.0,
            _ => continue,
        };
        let short = margin - sign * (predicted[[i, 0]].wide() - predicted[[j, 0]].wide());
        if short > 0.0 {
            sum += short;
            d[[i, 0]] = T::of(-sign / half as f64);
            d[[j, 0]] = T::of(sign / half as f64);
        }
    }
    sum / half as f64
}

/// Mean and deviation of every column over the labelled pool, for features of any scale.
struct Scale(Vec<(Vec<f32>, Vec<f32>)>);

impl Scale {
    /// Summed in the order of `rows`, all of them.
    fn of(stages: &[ArrayRows<'_, f32>], rows: &[usize]) -> Self {
        let n = rows.len() as f64;
        let of = |stage: &ArrayRows<'_, f32>| {
            let columns = (0..stage.columns()).map(|column| {
                let value = |row: &usize| f64::from(stage.row(*row)[column]);
                let mean = rows.iter().map(value).sum::<f64>() / n;
                let variance = rows.iter().map(|row| (value(row) - mean).powi(2)).sum::<f64>() / n;
                (mean as f32, if variance > 0.0 { variance.sqrt() as f32 } else { 1.0 })
            });
            columns.unzip()
        };
        Self(stages.iter().map(of).collect())
    }

    /// The given rows of every stage, scaled, into `to`.
    fn gather(&self, stages: &[ArrayRows<'_, f32>], rows: &[usize], to: &mut [Array2<f32>]) {
        for ((stage, (mean, deviation)), to) in stages.iter().zip(&self.0).zip(to) {
            resize(to, rows.len(), stage.columns());
            for (mut to, &row) in to.rows_mut().into_iter().zip(rows) {
                let columns = to.iter_mut().zip(stage.row(row)).zip(mean).zip(deviation);
                columns.for_each(|(((to, &value), &mean), &deviation)| *to = (value - mean) / deviation);
            }
        }
    }
}

/// The classifier's cross-entropy on every labelled image.
fn losses(query: &Query<'_>) -> Result<Vec<f64>> {
    let p = query.labelled.probability_rows()?;
    let of = |(row, &label): (usize, &u32)| -f64::from(p.row(row)[label as usize]).max(1e-12).ln();
    Ok(query.labels.iter().enumerate().map(of).collect())
}

impl Strategy for LearningLoss {
    fn needs(&self) -> Needs {
        Needs::STAGES
    }

    fn needs_of_labelled(&self) -> Needs {
        Needs::STAGES.and(Needs::PROBABILITIES)
    }

    fn reads_rows(&self) -> bool {
        true
    }

    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection> {
        if query.labelled.len() < 2 {
            return Err(Error::input("learning loss learns from labelled images, and there are too few")
                .expected("at least 2")
                .got(query.labelled.len())
                .hint("choose the first images with random, typiclust or core-set")
                .into());
        }
        let unlabelled = query.unlabelled.checked_stage_rows()?;
        let labelled = query.labelled.checked_stage_rows()?;
        let scale = Scale::of(&labelled, &query.labelled.rows_by_id());
        let module = self.fit(query, &labelled, &scale, progress)?;
        let scores = module.score(&unlabelled, &scale, progress)?;
        let columns = vec![Column { name: term::LOSS, values: scores.clone() }];
        Selection::top(query, &scores, columns, progress)
    }
}

impl LearningLoss {
    fn fit(
        &self,
        query: &Query<'_>,
        labelled: &[ArrayRows<'_, f32>],
        scale: &Scale,
        progress: &mut Progress<'_>,
    ) -> Result<Module<f32>> {
        let Settings { width, steps, batch, learning_rate, margin } = self.0;
        let losses = losses(query)?;
        let widths: Vec<usize> = labelled.iter().map(|stage| stage.columns()).collect();
        let mut module = Module::<f32>::new(&widths, width, query.seed);
        let (mut tape, mut adam) = (module.tape(), Adam::new(module.parameters.len()));
        let mut gradient = vec![0.0; module.parameters.len()];
        let (mut features, mut d) = (vec![Array2::default((0, 0)); widths.len()], Array2::default((0, 0)));
        let mut order = query.labelled.rows_by_id();
        let mut shuffle = query.seed.stream("loss-order");
        let batch = batch.min(order.len()) / 2 * 2;
        let mut next = order.len();
        for step in 1..=steps {
            if next + batch > order.len() {
                order.shuffle(&mut shuffle);
                next = 0;
            }
            let rows = &order[next..next + batch];
            next += batch;
            scale.gather(labelled, rows, &mut features);
            module.forward(&features, &mut tape);
            let of_batch: Vec<f64> = rows.iter().map(|&row| losses[row]).collect();
            let loss = ranking(tape.output.view(), &of_batch, margin, &mut d);
            if !loss.is_finite() {
                return Err(Error::Diverged { network: "loss predictor", step, learning_rate, loss });
            }
            gradient.fill(0.0);
            module.backward(&features, d.view(), &mut tape, &mut gradient);
            adam.step(&mut module.parameters, &gradient, learning_rate);
            let (phase, unit, loss) = ("loss predictor", "step", Some(loss));
            report(progress, Event::Progress { phase, done: step, total: steps, unit, loss })?;
        }
        Ok(module)
    }
}

impl Module<f32> {
    fn score(
        &self,
        stages: &[ArrayRows<'_, f32>],
        scale: &Scale,
        progress: &mut Progress<'_>,
    ) -> Result<Vec<f64>> {
        let (mut tape, mut features) = (self.tape(), vec![Array2::default((0, 0)); stages.len()]);
        let total = stages[0].len();
        let mut scores = Vec::with_capacity(total);
        for first in (0..total).step_by(BLOCK) {
            // Blocks of one shape, the last one filled up with its last row: how a product sums
            // goes by its shape, and equal rows are to tie.
            let count = BLOCK.min(total - first);
            let rows: Vec<usize> = (first..first + BLOCK).map(|row| row.min(total - 1)).collect();
            scale.gather(stages, &rows, &mut features);
            self.forward(&features, &mut tape);
            scores.extend(tape.output.iter().take(count).map(|&value| f64::from(value)));
            let (phase, unit, done) = ("score", "image", first + count);
            report(progress, Event::Progress { phase, done, total, unit, loss: None })?;
        }
        Ok(scores)
    }
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution as _, StandardNormal};

    use super::*;
    use crate::Id;
    use crate::Signals;
    use crate::progress::silent;

    fn normal<T: Real>(rows: usize, columns: usize, name: &str) -> Array2<T> {
        let mut rng = Seed::new(4).stream(name);
        Array2::from_shape_simple_fn((rows, columns), || {
            let value: f64 = StandardNormal.sample(&mut rng);
            T::of(value)
        })
    }

    #[test]
    fn the_ranking_loss_is_worked_by_hand() {
        let predicted = ndarray::array![[1.0], [0.0], [3.0], [0.5], [0.0], [3.0]];
        // Pairs (0, 3): right way round by 0.5; (1, 4): equal losses; (2, 5): wrong by 0.
        let mut d = Array2::default((0, 0));
        let loss = ranking(predicted.view(), &[2.0, 1.0, 4.0, 1.0, 1.0, 5.0], 1.0, &mut d);
        assert!((loss - (0.5 + 1.0) / 3.0).abs() < 1e-12);
        let third = 1.0 / 3.0;
        assert_eq!(d.into_raw_vec_and_offset().0, [-third, 0.0, third, third, 0.0, -third]);
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let features = [normal::<f64>(8, 3, "a"), normal(8, 5, "b")];
        let losses: Vec<f64> = normal::<f64>(8, 1, "losses").into_raw_vec_and_offset().0;
        let mut module = Module::<f64>::new(&[3, 5], 4, Seed::new(2));
        let mut tape = module.tape();
        let mut d = Array2::default((0, 0));
        let mut loss = |module: &Module<f64>, tape: &mut Tape<f64>| {
            module.forward(&features, tape);
            let loss = ranking(tape.output.view(), &losses, 1.0, &mut d);
            (loss, d.clone())
        };
        let (_, dy) = loss(&module, &mut tape);
        let mut gradient = vec![0.0; module.parameters.len()];
        module.backward(&features, dy.view(), &mut tape, &mut gradient);
        for (at, &expected) in gradient.iter().enumerate() {
            let mut moved = |by: f64| {
                module.parameters[at] += by;
                let value = loss(&module, &mut tape).0;
                module.parameters[at] -= by;
                value
            };
            let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((difference - expected).abs() < 1e-6, "{at}: {difference} {expected}");
        }
    }

    /// Two stages; the classifier's chance of the truth falls with the first column of the second.
    fn pool(n: usize, first: Id, name: &str) -> (Signals<'static>, Vec<u32>) {
        let (shallow, deep) = (normal::<f32>(n, 4, name), normal::<f32>(n, 6, &format!("{name} deep")));
        let labels: Vec<u32> = (0..n as u32).map(|row| row % 2).collect();
        let p = Array2::from_shape_fn((n, 2), |(row, class)| {
            let right = 1.0 / (1.0 + deep[[row, 0]].exp());
            if class == labels[row] as usize { right } else { 1.0 - right }
        });
        let signals = Signals::new((first..).take(n).collect());
        (signals.with_probabilities(p).and_then(|s| s.with_stages(vec![shallow, deep])).unwrap(), labels)
    }

    fn ask(u: &Signals<'_>, l: &Signals<'_>, labels: &[u32], n: usize) -> Result<Selection> {
        let strategy = LearningLoss(Settings { steps: 300, width: 16, ..Settings::default() });
        let query = Query { unlabelled: u, labelled: l, labels, classes: 2, n, seed: Seed::new(1) };
        query.check(&strategy)?;
        strategy.select(&query, &mut silent())
    }

    #[test]
    fn it_learns_where_the_classifier_goes_wrong() {
        let ((unlabelled, _), (labelled, labels)) = (pool(400, 0, "u"), pool(200, 1000, "l"));
        let selection = ask(&unlabelled, &labelled, &labels, 40).unwrap();
        let deep = unlabelled.embedding().unwrap();
        let hard = selection.ids.iter().filter(|&&id| deep[[id as usize, 0]] > 0.8).count();
        // A fifth of all images are that hard; of the chosen ones nearly all should be.
        assert!(hard >= 34, "{hard} of 40");
    }

    #[test]
    fn order_threads_and_scale_change_no_pick() {
        let ((unlabelled, _), (labelled, labels)) = (pool(60, 0, "u"), pool(40, 1000, "l"));
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let expected = one.install(|| ask(&unlabelled, &labelled, &labels, 10)).unwrap();
        assert_eq!(ask(&unlabelled, &labelled, &labels, 10).unwrap(), expected);
        let order: Vec<usize> = (0..40).rev().collect();
        let turned = |array: ArrayView2<'_, f32>| array.select(ndarray::Axis(0), &order);
        let stages = labelled.stages().unwrap().into_iter().map(turned).collect();
        let other = Signals::new(order.iter().map(|&row| labelled.ids()[row]).collect())
            .with_probabilities(turned(labelled.probabilities().unwrap()))
            .and_then(|s| s.with_stages::<Array2<f32>>(stages))
            .unwrap();
        let turned: Vec<u32> = order.iter().map(|&row| labels[row]).collect();
        assert_eq!(ask(&unlabelled, &other, &turned, 10).unwrap().ids, expected.ids);
    }

    #[test]
    fn the_edges() {
        let ((unlabelled, _), (labelled, labels)) = (pool(5, 0, "u"), pool(3, 1000, "l"));
        assert_eq!(ask(&unlabelled, &labelled, &labels, 9).unwrap().ids.len(), 5);
        let error = ask(&unlabelled, &Signals::default(), &[], 2).unwrap_err().to_string();
        assert!(error.contains("at least 2") && error.contains("core-set"), "{error}");
        let (empty, _) = pool(0, 0, "none");
        assert!(ask(&empty, &labelled, &labels, 2).unwrap().ids.is_empty());
    }

    #[test]
    fn equal_rows_tie_wherever_they_stand() {
        let (widths, rows) = ([7, 12], BLOCK + 3);
        let module = Module::<f32>::new(&widths, 9, Seed::new(2));
        let stages = widths.map(|width| Array2::from_shape_fn((rows, width), |(_, j)| (j as f32).sin()));
        let scale = Scale(widths.map(|width| (vec![0.0; width], vec![1.0; width])).to_vec());
        for rows in [1, 5, BLOCK, rows] {
            let stages: Vec<ArrayRows<'_, f32>> =
                stages.iter().map(|stage| stage.slice(ndarray::s![..rows, ..]).into()).collect();
            let scores = module.score(&stages, &scale, &mut crate::progress::silent()).unwrap();
            assert_eq!(scores, vec![scores[0]; rows]);
        }
    }
}
