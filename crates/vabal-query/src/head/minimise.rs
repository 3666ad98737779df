//! The minimum of the objective: L-BFGS (Nocedal 1980), preconditioned by the inverse of the second
//! derivatives averaged over the classes. That is built where it costs less than some steps, and
//! again after twice as many as before. With few parameters the inverse of all second derivatives
//! takes its place as soon as steps have cost as much, again and again: Newton's method, where that
//! is cheap, for features on whose scale classes lie apart.
//!
//! Never here: features as given, classes without labels.

use std::collections::VecDeque;

use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use super::Settings;
use super::objective::{LEAST_SPREAD, Objective, Power, add, dot};
use crate::error::Result;
use crate::kernels::Factor;
use crate::kernels::{Threads, matmul};
use crate::progress::{Event, Progress, report};

/// Steps that L-BFGS remembers.
const MEMORY: usize = 10;

/// Evaluations that a search takes at least, nearly always: what the first guess may cost.
const PASSES: f64 = 32.0;

/// Where the search is.
pub struct Search {
    pub parameters: Vec<f64>,
    pub loss: f64,
    /// How far the loss is from the least one, at most, relative to itself.
    pub gap: f64,
    pub iterations: usize,
    steps: VecDeque<Step>,
    guess: Guess,
}

/// A step s, the change y of the gradient over it, and 1 / s·y.
struct Step {
    s: Vec<f64>,
    y: Vec<f64>,
    inverse: f64,
}

/// A guess of the inverse of the second derivatives by the weights of one class, or by all
/// parameters.
enum Guess {
    None,
    Scalar(f64),
    Matrix(Array2<f64>),
    All(Array2<f64>),
}

/// The inverse of a matrix of which the lower triangle is read.
fn inverse(matrix: Array2<f64>) -> Option<Array2<f64>> {
    let Factor { inverse, .. } = Factor::of(matrix)?;
    let mut matrix = Array2::zeros(inverse.dim());
    matmul(inverse.t(), inverse.view(), 0.0, matrix.view_mut(), Threads::All);
    Some(matrix)
}

impl Guess {
    /// H₀·v for a vector in the form of the parameters, into `out`.
    fn apply(&self, v: &[f64], out: &mut [f64], (classes, width): (usize, usize), spread: &[f64]) {
        if let Self::All(matrix) = self {
            for (out, row) in out.iter_mut().zip(matrix.rows()) {
                *out = dot(row.to_slice().expect("row-major"), v);
            }
            return;
        }
        let (v, biases) = v.split_at(classes * width);
        let (out, out_biases) = out.split_at_mut(classes * width);
        match self {
            Self::None | Self::All(_) => out.copy_from_slice(v),
            Self::Scalar(scalar) => out.iter_mut().zip(v).for_each(|(out, &v)| *out = scalar * v),
            Self::Matrix(matrix) => {
                let v = ArrayView2::from_shape((classes, width), v).expect("of this length");
                let out = ArrayViewMut2::from_shape((classes, width), out).expect("of this length");
                matmul(v, matrix.view(), 0.0, out, Threads::All);
            }
        }
        for ((out, &v), &spread) in out_biases.iter_mut().zip(biases).zip(spread) {
            *out = v / spread.max(LEAST_SPREAD);
        }
    }
}

impl Search {
    pub fn new(parameters: Vec<f64>) -> Self {
        Self {
            parameters,
            loss: 0.0,
            gap: f64::INFINITY,
            iterations: 0,
            steps: VecDeque::new(),
            guess: Guess::None,
        }
    }

    /// Goes down until the gradient proves that the loss is near enough to the least one, or
    /// rounding hides which way is down, or `settings.iterations` are done.
    pub fn run<T: Power>(
        &mut self,
        objective: &mut Objective<T>,
        settings: &Settings,
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        // What rounding may change of the loss, relative to it.
        let rounding = 16.0 * T::epsilon().wide();
        let size = self.parameters.len();
        let mut gradient = vec![0.0; size];
        self.loss = objective.evaluate(&self.parameters, &mut gradient);
        if matches!(self.guess, Guess::None) {
            self.guess = Guess::Scalar(1.0 / objective.mean_curvature());
        }
        let (mut direction, mut scratch) = (vec![0.0; size], vec![0.0; size]);
        let (mut next, mut next_gradient) = (vec![0.0; size], vec![0.0; size]);
        let (pass, build) = objective.cost();
        let (mut spent, mut worth) = (PASSES * pass, build);
        let (all, mut since) = (objective.cost_of_all(), PASSES * pass);
        // The loss when it last had fallen by more than rounding changes, and the steps since: slow
        // steps add up.
        let (mut mark, mut idle) = (f64::INFINITY, 0);
        loop {
            self.gap = bound(objective, &gradient) / self.loss.max(f64::MIN_POSITIVE);
            let (done, total) = (self.iterations, settings.iterations);
            if self.gap <= settings.tolerance || done >= total {
                return Ok(());
            }
            (mark, idle) =
                if self.loss < mark * (1.0 - rounding) { (self.loss, 0) } else { (mark, idle + 1) };
            if idle > MEMORY {
                return Ok(());
            }
            let loss = Some(self.loss);
            report(progress, Event::Progress { phase: "head", done, total, unit: "iteration", loss })?;
            if since >= all {
                if let Some(matrix) = inverse(objective.second_derivatives()) {
                    self.guess = Guess::All(matrix);
                    // They are of other places.
                    self.steps.clear();
                }
                since = 0.0;
            } else if spent >= worth && !matches!(self.guess, Guess::All(_)) {
                if let Some(matrix) = inverse(objective.curvature()) {
                    self.guess = Guess::Matrix(matrix);
                }
                worth *= 2.0;
                spent = 0.0;
            }
            self.direct(&gradient, objective.dim(), &objective.spread, &mut direction, &mut scratch);
            let slope = -dot(&direction, &gradient);
            let mut length = 1.0;
            let found = loop {
                next.copy_from_slice(&self.parameters);
                add(-length, &direction, &mut next);
                let loss = objective.evaluate(&next, &mut next_gradient);
                spent += pass;
                since += pass;
                if loss <= self.loss + 1e-4 * length * slope + rounding * self.loss {
                    break Some(loss);
                }
                if length < 1e-6 {
                    break None;
                }
                // The least point of the parabola through both values and the slope.
                let least = -slope * length * length / (2.0 * (loss - self.loss - slope * length));
                length =
                    if least.is_finite() { least.clamp(0.1 * length, 0.5 * length) } else { 0.1 * length };
            };
            self.iterations += 1;
            let Some(loss) = found else {
                if self.steps.is_empty() {
                    return Ok(());
                }
                // What was learnt of the second derivatives may mislead.
                self.steps.clear();
                continue;
            };
            let oldest = if self.steps.len() == MEMORY { self.steps.pop_front() } else { None };
            let mut step =
                oldest.unwrap_or_else(|| Step { s: vec![0.0; size], y: vec![0.0; size], inverse: 0.0 });
            step.s.iter_mut().zip(&next).zip(&self.parameters).for_each(|((s, &to), &from)| *s = to - from);
            step.y.iter_mut().zip(&next_gradient).zip(&gradient).for_each(|((y, &to), &from)| *y = to - from);
            let along = dot(&step.s, &step.y);
            if along > 0.0 {
                step.inverse = 1.0 / along;
                self.steps.push_back(step);
            }
            std::mem::swap(&mut self.parameters, &mut next);
            std::mem::swap(&mut gradient, &mut next_gradient);
            self.loss = loss;
        }
    }

    /// H·g of L-BFGS into `direction`, by the two loops of Nocedal & Wright, algorithm 7.4.
    fn direct(
        &self,
        gradient: &[f64],
        dim: (usize, usize),
        spread: &[f64],
        direction: &mut [f64],
        scratch: &mut [f64],
    ) {
        let mut scale = 1.0;
        if let Some(step) = self.steps.back() {
            self.guess.apply(&step.y, direction, dim, spread);
            scale = 1.0 / (step.inverse * dot(&step.y, direction));
        }
        scratch.copy_from_slice(gradient);
        let mut shares = [0.0; MEMORY];
        for (step, share) in self.steps.iter().zip(&mut shares).rev() {
            *share = step.inverse * dot(&step.s, scratch);
            add(-*share, &step.y, scratch);
        }
        self.guess.apply(scratch, direction, dim, spread);
        direction.iter_mut().for_each(|v| *v *= scale);
        for (step, share) in self.steps.iter().zip(&shares) {
            let by = share - step.inverse * dot(&step.y, direction);
            add(by, &step.s, direction);
        }
    }
}

/// What the loss can still lose: ‖g‖² / 2·l2 by the weights, whose second derivatives are l2 at
/// least, and g² / 2h by the biases, with h as it is here.
fn bound<T: Power>(objective: &Objective<T>, gradient: &[f64]) -> f64 {
    let (classes, width) = objective.dim();
    let (by_weight, by_bias) = gradient.split_at(classes * width);
    let biases = by_bias.iter().zip(&objective.spread).map(|(g, spread)| g * g / spread.max(LEAST_SPREAD));
    0.5 * (dot(by_weight, by_weight) / objective.l2() + biases.sum::<f64>())
}
