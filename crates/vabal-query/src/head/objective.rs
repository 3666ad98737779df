//! The objective over the labelled rows: its value, its gradient, and how uncertain the rows are.
//!
//! Parameters are one slice: the weights [C, r], row-major, then the C biases. Rows are kept in
//! tiles with the rows along memory, so that a softmax runs over many rows at once. Never here: how
//! the minimum is found.

use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::kernels::{Real, Threads, matmul, wide};

/// Rows of a tile.
const ROWS: usize = 256;

/// Parts of the rows, at most: each has a gradient of its own. Fixed, so that the sums are the same
/// with any number of threads.
const PARTS: usize = 16;

/// Multiplications below which an evaluation stays on one thread: some 50 µs.
const WORTH_SHARING: f64 = 2e6;

/// Columns of the matrix of second moments that one task computes.
const PANEL: usize = 32;

/// Parameters up to which all second derivatives are looked at.
const MOST: usize = 512;

/// What is taken for the second derivative by a bias at least, so that steps are finite where every
/// row is certain.
pub const LEAST_SPREAD: f64 = 1e-9;

/// Rows together, filled up to whole vectors with rows of weight 0.
struct Tile<T> {
    /// [r, rows] and [rows, r]: a product of either with few columns is fastest where its result's
    /// columns are along memory.
    features: [Array2<T>; 2],
    labels: Vec<usize>,
    weights: Vec<T>,
    /// Logits, then residuals, [C, rows].
    scores: Array2<T>,
    /// w·Σ_c p·(1 − p) of each row.
    variance: Vec<T>,
}

/// Tiles that one task goes through.
struct Part<T> {
    tiles: Vec<Tile<T>>,
    /// [C, r].
    by_weight: Array2<T>,
    by_bias: Vec<f64>,
    spread: Vec<f64>,
    loss: f64,
}

/// Σ w·(cross-entropy) + l2/2·Σ (weights)² over rows of r features; products in T, sums over rows
/// in f64.
pub struct Objective<T> {
    parts: Vec<Part<T>>,
    weights: Array2<T>,
    l2: f64,
    /// Σ w·p·(1 − p) over the rows, by class, where the objective was computed last.
    pub spread: Vec<f64>,
}

/// A labelled row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    pub label: usize,
    pub weight: f64,
}

impl<T: Power> Objective<T> {
    /// Of features [n, r], with a class below `classes` and a weight for each row.
    pub fn new(features: ArrayView2<'_, f64>, rows: &[Row], classes: usize, l2: f64) -> Self {
        let width = features.ncols();
        let groups: Vec<_> = features.axis_chunks_iter(Axis(0), ROWS).zip(rows.chunks(ROWS)).collect();
        let parts = groups.chunks(groups.len().div_ceil(PARTS).max(1)).map(|tiles| Part {
            tiles: tiles.iter().map(|(features, rows)| Tile::new(*features, rows, classes)).collect(),
            by_weight: Array2::zeros((classes, width)),
            by_bias: vec![0.0; classes],
            spread: vec![0.0; classes],
            loss: 0.0,
        });
        Self {
            parts: parts.collect(),
            weights: Array2::zeros((classes, width)),
            l2,
            spread: vec![0.0; classes],
        }
    }

    /// Classes and features.
    pub fn dim(&self) -> (usize, usize) {
        self.weights.dim()
    }

    /// Multiplications of one evaluation, and of a guess of the inverse of the second derivatives
    /// by [`Objective::curvature`].
    pub fn cost(&self) -> (f64, f64) {
        let (classes, width) = self.dim();
        let (c, r) = (classes as f64, width as f64);
        let n: f64 = self.tiles().map(|tile| tile.weights.len() as f64).sum();
        // An e^x counts for 20.
        (2.0 * n * c * (r + 10.0), 0.5 * n * r * r + r * r * r)
    }

    pub fn l2(&self) -> f64 {
        self.l2
    }

    /// The value at `parameters`; writes its gradient.
    pub fn evaluate(&mut self, parameters: &[f64], gradient: &mut [f64]) -> f64 {
        let cut = self.weights.len();
        let (weights, biases) = parameters.split_at(cut);
        self.weights.iter_mut().zip(weights).for_each(|(to, &weight)| *to = T::of(weight));
        let rounded = self.weights.view();
        if self.cost().0 < WORTH_SHARING {
            self.parts.iter_mut().for_each(|part| part.evaluate(rounded, biases));
        } else {
            self.parts.par_iter_mut().for_each(|part| part.evaluate(rounded, biases));
        }
        let mut loss = self.l2 / 2.0 * dot(weights, weights);
        let (by_weight, by_bias) = gradient.split_at_mut(cut);
        by_weight.iter_mut().zip(weights).for_each(|(to, &weight)| *to = self.l2 * weight);
        by_bias.fill(0.0);
        self.spread.fill(0.0);
        for part in &self.parts {
            loss += part.loss;
            by_weight.iter_mut().zip(&part.by_weight).for_each(|(sum, value)| *sum += value.wide());
            by_bias.iter_mut().zip(&part.by_bias).for_each(|(sum, &value)| *sum += value);
            self.spread.iter_mut().zip(&part.spread).for_each(|(sum, &value)| *sum += value);
        }
        loss
    }

    /// l2·I + Σ_i v_i·x_i·x_iᵀ, [r, r], its lower triangle, where v_i is the mean variance of a
    /// class in row i where the objective was computed last: the second derivatives by the weights
    /// of a class, as if all classes were alike.
    pub fn curvature(&self) -> Array2<f64> {
        let (classes, width) = self.dim();
        let share = T::of(1.0 / (classes.max(2) - 1) as f64);
        let mut matrix = Array2::<T>::zeros((width, width));
        let panels: Vec<_> = matrix.axis_chunks_iter_mut(Axis(1), PANEL).collect();
        panels.into_par_iter().enumerate().for_each(|(number, mut panel)| {
            let start = number * PANEL;
            for tile in self.tiles() {
                let mut scaled = tile.features[1].slice(s![.., start..start + panel.ncols()]).to_owned();
                for (mut row, &variance) in scaled.rows_mut().into_iter().zip(&tile.variance) {
                    row.iter_mut().for_each(|x| *x *= variance * share);
                }
                let below = tile.features[0].slice(s![start.., ..]);
                matmul(below, scaled.view(), T::one(), panel.slice_mut(s![start.., ..]), Threads::One);
            }
        });
        let mut matrix = matrix.mapv(Real::wide);
        // Rounding must not make it indefinite.
        let least = self.l2 + 4.0 * T::epsilon().wide() * matrix.diag().sum();
        matrix.diag_mut().iter_mut().for_each(|v| *v += least);
        matrix
    }

    /// Multiplications of [`Objective::second_derivatives`] and its inverse; infinite where that is
    /// no small matrix.
    pub fn cost_of_all(&self) -> f64 {
        let (classes, width) = self.dim();
        let (n, all): (f64, _) =
            (self.tiles().map(|tile| tile.weights.len() as f64).sum(), classes * (width + 1));
        if all > MOST { f64::INFINITY } else { 0.5 * n * (all * all) as f64 + (all * all * all) as f64 }
    }

    /// The second derivatives by all parameters, [P, P], where the objective was computed last, and
    /// a little more on the diagonal and where all biases change alike, in which the loss does not
    /// change.
    pub fn second_derivatives(&self) -> Array2<f64> {
        let (classes, width) = self.dim();
        let all = classes * (width + 1);
        let place = |class: usize, column: usize| {
            if column < width { class * width + column } else { classes * width + class }
        };
        let mut matrix = Array2::<f64>::zeros((all, all));
        for tile in self.tiles() {
            let mut p = tile.probabilities();
            let x = |row: usize, column: usize| {
                if column < width { tile.features[1][[row, column]].wide() } else { 1.0 }
            };
            // Σ_i w·diag(p) ⊗ x·xᵀ, class by class, less Σ_i w·(p ⊗ x)·(p ⊗ x)ᵀ.
            let (rows, mut product) = (p.ncols(), Array2::<f64>::zeros((width + 1, width + 1)));
            let plain = Array2::from_shape_fn((rows, width + 1), |(row, column)| x(row, column));
            for class in 0..classes {
                let p = p.row(class);
                let scaled = Array2::from_shape_fn((rows, width + 1), |(row, column)| {
                    tile.weights[row].wide() * p[row] * x(row, column)
                });
                matmul(plain.t(), scaled.view(), 0.0, product.view_mut(), Threads::One);
                for ((a, b), &value) in product.indexed_iter() {
                    matrix[[place(class, a), place(class, b)]] += value;
                }
            }
            for (mut p, &weight) in p.columns_mut().into_iter().zip(&tile.weights) {
                p *= weight.wide().sqrt();
            }
            let mut both = Array2::zeros((rows, all));
            for class in 0..classes {
                for column in 0..=width {
                    for row in 0..rows {
                        both[[row, place(class, column)]] = p[[class, row]] * x(row, column);
                    }
                }
            }
            let negative = both.mapv(|v: f64| -v);
            matmul(negative.t(), both.view(), 1.0, matrix.view_mut(), Threads::All);
        }
        let biases = classes * width;
        let spread = self.spread.iter().sum::<f64>() / classes as f64;
        matrix.slice_mut(s![biases.., biases..]).mapv_inplace(|v| v + spread.max(LEAST_SPREAD));
        let least = 4.0 * f64::EPSILON * matrix.diag().sum();
        for (at, v) in matrix.diag_mut().iter_mut().enumerate() {
            *v += least + if at < biases { self.l2 } else { LEAST_SPREAD };
        }
        matrix
    }

    /// The mean of the diagonal of [`Objective::curvature`].
    pub fn mean_curvature(&self) -> f64 {
        let (classes, width) = self.dim();
        let mut sum = 0.0;
        for tile in self.tiles() {
            for (row, variance) in tile.features[1].rows().into_iter().zip(&tile.variance) {
                let square: T = row.iter().map(|&x| x * x).sum();
                sum += square.wide() * variance.wide();
            }
        }
        self.l2 + sum / ((classes.max(2) - 1) * width) as f64
    }

    fn tiles(&self) -> impl Iterator<Item = &Tile<T>> {
        self.parts.iter().flat_map(|part| &part.tiles)
    }
}

impl<T: Power> Part<T> {
    fn evaluate(&mut self, weights: ArrayView2<'_, T>, biases: &[f64]) {
        self.by_weight.fill(T::zero());
        self.by_bias.fill(0.0);
        self.spread.fill(0.0);
        self.loss = 0.0;
        for tile in &mut self.tiles {
            for (mut scores, &bias) in tile.scores.rows_mut().into_iter().zip(biases) {
                scores.fill(T::of(bias));
            }
            matmul(weights, tile.features[0].view(), T::one(), tile.scores.view_mut(), Threads::One);
            self.loss += tile.residuals(&mut self.by_bias, &mut self.spread);
            let residuals = tile.scores.view();
            matmul(residuals, tile.features[1].view(), T::one(), self.by_weight.view_mut(), Threads::One);
        }
    }
}

impl<T: Power> Tile<T> {
    /// p of each row that has a weight, [C, rows], where the residuals were computed last.
    fn probabilities(&self) -> Array2<f64> {
        let mut p = Array2::zeros((self.scores.nrows(), self.labels.len()));
        for (row, (mut p, &label)) in p.columns_mut().into_iter().zip(&self.labels).enumerate() {
            p.zip_mut_with(&self.scores.column(row), |p, score| *p = score.wide());
            p[label] += self.weights[row].wide();
            p.mapv_inplace(|p| p.max(0.0));
            let sum = p.sum();
            p /= sum;
        }
        p
    }

    fn new(features: ArrayView2<'_, f64>, rows: &[Row], classes: usize) -> Self {
        let count = rows.len().next_multiple_of(LANES);
        let mut across = Array2::zeros((count, features.ncols()));
        across.slice_mut(s![..rows.len(), ..]).assign(&features.mapv(T::of));
        let mut weights: Vec<T> = rows.iter().map(|row| T::of(row.weight)).collect();
        weights.resize(count, T::zero());
        Self {
            features: [across.t().as_standard_layout().into_owned(), across],
            labels: rows.iter().map(|row| row.label).collect(),
            variance: vec![T::zero(); count],
            scores: Array2::zeros((classes, count)),
            weights,
        }
    }

    /// Turns the logits in `scores` into w·(p − y), adds its sums to `by_bias` and those of w·p·(1
    /// − p) to `spread`, and returns the loss.
    fn residuals(&mut self, by_bias: &mut [f64], spread: &mut [f64]) -> f64 {
        let Self { labels, weights, scores, variance, .. } = self;
        let rows = weights.len();
        let scores = scores.as_slice_mut().expect("row-major");
        let truth: Vec<T> = labels.iter().enumerate().map(|(i, &label)| scores[label * rows + i]).collect();
        let (mut largest, mut total) = (vec![T::zero(); rows], vec![T::zero(); rows]);
        exponentials(scores, &mut largest, &mut total);
        let mut loss = 0.0;
        for (((&total, &largest), &truth), &weight) in total.iter().zip(&largest).zip(&truth).zip(&*weights) {
            loss += weight.wide() * (total.wide().ln() + (largest - truth).wide());
        }
        wide(
            #[inline(always)]
            || {
                total.iter_mut().for_each(|total| *total = T::one() / *total);
                variance.copy_from_slice(weights);
                let classes = scores.chunks_exact_mut(rows).zip(&mut *by_bias).zip(&mut *spread);
                for ((scores, by_bias), spread) in classes {
                    let (mut mass, mut rest) = ([T::zero(); LANES], [T::zero(); LANES]);
                    let (scores, _) = scores.as_chunks_mut::<LANES>();
                    let ((total, _), (weights, _)) =
                        (total.as_chunks::<LANES>(), weights.as_chunks::<LANES>());
                    let (variance, _) = variance.as_chunks_mut::<LANES>();
                    for (((scores, total), weights), variance) in
                        scores.iter_mut().zip(total).zip(weights).zip(variance)
                    {
                        for i in 0..LANES {
                            let p = scores[i] * total[i];
                            let weighted = weights[i] * p;
                            scores[i] = weighted;
                            mass[i] += weighted;
                            rest[i] += weighted * (T::one() - p);
                            variance[i] -= weighted * p;
                        }
                    }
                    *by_bias += mass.iter().map(|v| v.wide()).sum::<f64>();
                    *spread += rest.iter().map(|v| v.wide()).sum::<f64>();
                }
            },
        );
        for (i, (&label, &weight)) in labels.iter().zip(&*weights).enumerate() {
            scores[label * rows + i] -= weight;
            by_bias[label] -= weight.wide();
        }
        loss
    }
}

/// Turns logits [C, rows] into e^(logit − the largest of its row); writes the largest, and the sum
/// of the powers.
pub fn exponentials<T: Power>(scores: &mut [T], largest: &mut [T], total: &mut [T]) {
    let rows = largest.len();
    wide(
        #[inline(always)]
        || {
            largest.fill(T::neg_infinity());
            total.fill(T::zero());
            for scores in scores.chunks_exact(rows) {
                for (largest, &score) in largest.iter_mut().zip(scores) {
                    *largest = if score > *largest { score } else { *largest };
                }
            }
            for scores in scores.chunks_exact_mut(rows) {
                for ((score, &largest), total) in scores.iter_mut().zip(&*largest).zip(&mut *total) {
                    *score = (*score - largest).power();
                    *total += *score;
                }
            }
        },
    );
}

/// Floats whose powers of e loops compute with vectors.
pub trait Power: Real {
    /// e^self for self ≤ 0.
    fn power(self) -> Self;
}

impl Power for f32 {
    #[inline(always)]
    fn power(self) -> Self {
        self.exponential()
    }
}

impl Power for f64 {
    #[inline(always)]
    fn power(self) -> Self {
        exp(self)
    }
}

/// e^x for x ≤ 0 as plain arithmetic, to 1e-15 of its size; about 1e-308 where it is less.
#[inline(always)]
fn exp(x: f64) -> f64 {
    // Added and taken away again, it leaves the nearest whole number, which stands in the lowest
    // bits in between.
    const WHOLE: f64 = 6_755_399_441_055_744.0;
    let x = if x < -708.0 { -708.0 } else { x };
    let shifted = x * std::f64::consts::LOG2_E + WHOLE;
    let power = shifted.to_bits().wrapping_sub(WHOLE.to_bits());
    let whole = shifted - WHOLE;
    // ln 2 in two parts, the first of few bits.
    let r = (x - whole * 0.693_147_180_369_123_8) - whole * 1.908_214_929_270_587_7e-10;
    // Taylor's series: the next term is below 2e-16.
    let mut y = 1.0 / 479_001_600.0;
    for c in [
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        y = y * r + c;
    }
    y * f64::from_bits(power.wrapping_add(1023) << 52)
}

/// Partial sums kept apart, so that the processor may add many at once in one fixed order.
const LANES: usize = 16;

/// a · b.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    wide(
        #[inline(always)]
        || {
            let mut sums = [0.0; LANES];
            let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
            for (a, b) in a.iter().zip(b) {
                for i in 0..LANES {
                    sums[i] += a[i] * b[i];
                }
            }
            let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
            sums.iter().sum::<f64>() + rest
        },
    )
}

/// y += c·x.
pub fn add(c: f64, x: &[f64], y: &mut [f64]) {
    wide(
        #[inline(always)]
        || y.iter_mut().zip(x).for_each(|(y, &x)| *y += c * x),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_that_of_the_standard_library_to_rounding() {
        for i in 0..=7_080_000 {
            let x = f64::from(i) * -1e-4;
            let (got, expected) = (exp(x), x.exp());
            assert!((got - expected).abs() <= 1e-15 * expected, "exp({x}) is {expected:e}, not {got:e}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(-1e300) < 1e-307 && exp(f64::NEG_INFINITY) >= 0.0);
        assert!(exp(f64::NAN).is_nan());
    }
}
