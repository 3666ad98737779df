//! The layers of the small networks of strategies, forward and backward, over one flat vector of
//! parameters.
//!
//! A layer is only offsets: it owns no number, so that the optimiser, the weight file and the
//! gradient check see plain slices. Arrays are [batch, width], row-major. Never here: losses,
//! classes, draws.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rand::Rng as _;

use crate::kernels::{Real, Threads, matmul, wide};
use crate::rng::Rng;

/// What every BatchNorm adds to the variance.
pub(super) const EPSILON: f64 = 1e-5;
/// How far one batch moves the running statistics.
const MOMENTUM: f64 = 0.1;

/// One named array among the parameters or the running statistics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub name: String,
    pub shape: Vec<usize>,
    pub range: Range<usize>,
    /// In the running statistics, not the parameters.
    pub running: bool,
}

/// Lays the layers out one behind the other, and draws their first values as PyTorch does.
pub(super) struct Builder<T> {
    pub parameters: Vec<T>,
    pub running: Vec<T>,
    pub named: Vec<Named>,
    rng: Rng,
}

impl<T: Real> Builder<T> {
    pub fn new(rng: Rng) -> Self {
        Self { parameters: Vec::new(), running: Vec::new(), named: Vec::new(), rng }
    }

    fn add(
        &mut self,
        name: String,
        shape: Vec<usize>,
        running: bool,
        mut value: impl FnMut(&mut Rng) -> f64,
    ) -> usize {
        let into = if running { &mut self.running } else { &mut self.parameters };
        let start = into.len();
        let length: usize = shape.iter().product();
        into.extend((0..length).map(|_| T::of(value(&mut self.rng))));
        self.named.push(Named { name, shape, range: start..start + length, running });
        start
    }

    /// Weights and biases uniform in ±1/√inputs, PyTorch's default for a linear layer.
    pub fn linear(&mut self, name: &str, inputs: usize, outputs: usize) -> Linear {
        let bound = 1.0 / (inputs as f64).sqrt();
        // 24 bits, so that the same seed gives the same value in f32 and f64.
        let uniform = |rng: &mut Rng| (f64::from(rng.next_u32() >> 8) / f64::from(1 << 23) - 1.0) * bound;
        let weight = self.add(format!("{name}.weight"), vec![outputs, inputs], false, uniform);
        let bias = self.add(format!("{name}.bias"), vec![outputs], false, uniform);
        Linear { weight, bias, inputs, outputs }
    }

    pub fn norm(&mut self, name: &str, width: usize) -> Norm {
        let weight = self.add(format!("{name}.weight"), vec![width], false, |_| 1.0);
        let bias = self.add(format!("{name}.bias"), vec![width], false, |_| 0.0);
        let mean = self.add(format!("{name}.running_mean"), vec![width], true, |_| 0.0);
        let variance = self.add(format!("{name}.running_var"), vec![width], true, |_| 1.0);
        Norm { weight, bias, mean, variance, width }
    }

    pub fn hidden(&mut self, name: &str, (inputs, outputs): (usize, usize), normalised: bool) -> HiddenLayer {
        let linear = self.linear(&format!("{name}.linear"), inputs, outputs);
        HiddenLayer { linear, norm: normalised.then(|| self.norm(&format!("{name}.norm"), outputs)) }
    }
}

/// y = x·Wᵀ + b, with W [outputs, inputs] as in PyTorch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linear {
    pub weight: usize,
    pub bias: usize,
    pub inputs: usize,
    pub outputs: usize,
}

impl Linear {
    pub fn weight<'a, T: Real>(&self, parameters: &'a [T]) -> ArrayView2<'a, T> {
        let slice = &parameters[self.weight..][..self.outputs * self.inputs];
        ArrayView2::from_shape((self.outputs, self.inputs), slice).expect("the slice has just this length")
    }

    pub fn bias<'a, T: Real>(&self, parameters: &'a [T]) -> &'a [T] {
        &parameters[self.bias..][..self.outputs]
    }

    /// The layer in a slice of the parameters that starts at `start`.
    pub fn within(self, start: usize) -> Self {
        Self { weight: self.weight - start, bias: self.bias - start, ..self }
    }

    pub fn forward<T: Real>(&self, parameters: &[T], x: ArrayView2<'_, T>, mut y: ArrayViewMut2<'_, T>) {
        for row in rows_mut(y.view_mut()) {
            row.copy_from_slice(self.bias(parameters));
        }
        matmul(x, self.weight(parameters).reversed_axes(), T::one(), y, Threads::All);
    }

    /// Adds to `gradient`; writes the gradient of x into `dx` where it is wanted.
    pub fn backward<T: Real>(
        &self,
        parameters: &[T],
        x: ArrayView2<'_, T>,
        dy: ArrayView2<'_, T>,
        gradient: &mut [T],
        dx: Option<ArrayViewMut2<'_, T>>,
    ) {
        let weight = &mut gradient[self.weight..][..self.outputs * self.inputs];
        let dw = ArrayViewMut2::from_shape((self.outputs, self.inputs), weight)
            .expect("the slice has just this length");
        match dx {
            // Two products of the same size, and of the same operand.
            Some(dx) => drop(rayon::join(
                || matmul(dy.reversed_axes(), x, T::one(), dw, Threads::One),
                || matmul(dy, self.weight(parameters), T::zero(), dx, Threads::One),
            )),
            None => matmul(dy.reversed_axes(), x, T::one(), dw, Threads::All),
        }
        wide(
            #[inline(always)]
            || add_rows(dy, &mut gradient[self.bias..][..self.outputs]),
        );
    }
}

/// BatchNorm over the batch: y = γ·(x − mean)/√(variance + ε) + β.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Norm {
    pub weight: usize,
    pub bias: usize,
    /// Offsets into the running statistics, not the parameters.
    pub mean: usize,
    pub variance: usize,
    pub width: usize,
}

/// What the backward pass of a [`Norm`] needs of its forward pass.
#[derive(Debug, Clone, Default)]
pub struct NormTape<T> {
    normalised: Array2<T>,
    inverse_deviation: Vec<T>,
    mean: Vec<T>,
    variance: Vec<T>,
}

impl Norm {
    /// The layer in a slice of the parameters that starts at `start`.
    pub fn within(self, start: usize) -> Self {
        Self { weight: self.weight - start, bias: self.bias - start, ..self }
    }

    /// Training mode: normalises by the batch itself.
    pub fn forward<T: Real>(
        &self,
        parameters: &[T],
        x: ArrayView2<'_, T>,
        mut y: ArrayViewMut2<'_, T>,
        tape: &mut NormTape<T>,
    ) {
        let batch = T::of(x.nrows() as f64);
        resize(&mut tape.normalised, x.nrows(), self.width);
        for statistic in [&mut tape.mean, &mut tape.variance, &mut tape.inverse_deviation] {
            statistic.clear();
            statistic.resize(self.width, T::zero());
        }
        let (weight, bias) =
            (&parameters[self.weight..][..self.width], &parameters[self.bias..][..self.width]);
        let NormTape { normalised, inverse_deviation, mean, variance } = tape;
        wide(
            #[inline(always)]
            || {
                add_rows(x, mean);
                mean.iter_mut().for_each(|sum| *sum /= batch);
                for (x, centred) in rows(x).zip(rows_mut(normalised.view_mut())) {
                    for (((&x, centred), &mean), square) in
                        x.iter().zip(centred).zip(&*mean).zip(&mut *variance)
                    {
                        *centred = x - mean;
                        *square += *centred * *centred;
                    }
                }
                for (variance, inverse) in variance.iter_mut().zip(&mut *inverse_deviation) {
                    *variance /= batch;
                    *inverse = T::one() / (*variance + T::of(EPSILON)).sqrt();
                }
                for (normalised, y) in rows_mut(normalised.view_mut()).zip(rows_mut(y.view_mut())) {
                    let columns = normalised.iter_mut().zip(y).zip(&*inverse_deviation).zip(weight).zip(bias);
                    for ((((normalised, y), &inverse), &weight), &bias) in columns {
                        *normalised *= inverse;
                        *y = *normalised * weight + bias;
                    }
                }
            },
        );
    }

    /// Adds to `gradient`, and turns the gradient of y into that of x in place.
    pub fn backward<T: Real>(
        &self,
        parameters: &[T],
        tape: &NormTape<T>,
        gradient: &mut [T],
        mut dy: ArrayViewMut2<'_, T>,
    ) {
        let (mut sum, mut sum_normalised) = (vec![T::zero(); self.width], vec![T::zero(); self.width]);
        let batch = T::of(dy.nrows() as f64);
        let weight = &parameters[self.weight..][..self.width];
        let scale: Vec<T> =
            weight.iter().zip(&tape.inverse_deviation).map(|(&w, &inverse)| w * inverse).collect();
        wide(
            #[inline(always)]
            || {
                for (dy, normalised) in rows(dy.view()).zip(rows(tape.normalised.view())) {
                    let columns = dy.iter().zip(normalised).zip(&mut sum).zip(&mut sum_normalised);
                    for (((&dy, &normalised), sum), sum_normalised) in columns {
                        *sum += dy;
                        *sum_normalised += dy * normalised;
                    }
                }
                for column in 0..self.width {
                    gradient[self.bias + column] += sum[column];
                    gradient[self.weight + column] += sum_normalised[column];
                }
                sum.iter_mut().chain(&mut sum_normalised).for_each(|sum| *sum /= batch);
                for (dy, normalised) in rows_mut(dy.view_mut()).zip(rows(tape.normalised.view())) {
                    let columns = dy.iter_mut().zip(normalised).zip(&scale).zip(&sum).zip(&sum_normalised);
                    for ((((dy, &normalised), &scale), &mean), &mean_normalised) in columns {
                        *dy = scale * (*dy - mean - normalised * mean_normalised);
                    }
                }
            },
        );
    }

    /// Moves the running statistics towards those of the batch, with PyTorch's momentum and its
    /// unbiased variance.
    pub fn update<T: Real>(&self, tape: &NormTape<T>, running: &mut [T]) {
        let batch = tape.normalised.nrows() as f64;
        let unbiased = T::of(if batch > 1.0 { batch / (batch - 1.0) } else { 1.0 });
        let momentum = T::of(MOMENTUM);
        for column in 0..self.width {
            let mean = &mut running[self.mean + column];
            *mean += momentum * (tape.mean[column] - *mean);
            let variance = &mut running[self.variance + column];
            *variance += momentum * (tape.variance[column] * unbiased - *variance);
        }
    }

    /// Evaluation mode as one multiplication and one addition per column: (scale, shift).
    pub fn folded(&self, parameters: &[f32], running: &[f32]) -> (Vec<f32>, Vec<f32>) {
        (0..self.width)
            .map(|column| {
                let deviation = (f64::from(running[self.variance + column]) + EPSILON).sqrt();
                let scale = f64::from(parameters[self.weight + column]) / deviation;
                let shift = f64::from(parameters[self.bias + column])
                    - f64::from(running[self.mean + column]) * scale;
                (scale as f32, shift as f32)
            })
            .unzip()
    }
}

/// Linear, ReLU and, where there is one, BatchNorm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HiddenLayer {
    pub linear: Linear,
    pub norm: Option<Norm>,
}

/// What the backward pass of a [`HiddenLayer`] needs of its forward pass.
#[derive(Debug, Clone, Default)]
pub struct HiddenTape<T> {
    /// After the ReLU, before the norm. The output where there is no norm.
    activation: Array2<T>,
    output: Array2<T>,
    norm: NormTape<T>,
    /// The gradient of the activation.
    scratch: Array2<T>,
}

impl<T: Real> HiddenTape<T> {
    pub fn norm(&self) -> &NormTape<T> {
        &self.norm
    }
}

impl HiddenLayer {
    /// The layer in a slice of the parameters that starts at `start`.
    pub fn within(self, start: usize) -> Self {
        Self { linear: self.linear.within(start), norm: self.norm.map(|norm| norm.within(start)) }
    }

    pub fn forward<'a, T: Real>(
        &self,
        parameters: &[T],
        x: ArrayView2<'_, T>,
        tape: &'a mut HiddenTape<T>,
    ) -> ArrayView2<'a, T> {
        resize(&mut tape.activation, x.nrows(), self.linear.outputs);
        self.linear.forward(parameters, x, tape.activation.view_mut());
        wide(
            #[inline(always)]
            || {
                for row in rows_mut(tape.activation.view_mut()) {
                    row.iter_mut().for_each(|v| *v = if *v > T::zero() { *v } else { T::zero() });
                }
            },
        );
        self.normalise(parameters, tape)
    }

    fn normalise<'a, T: Real>(&self, parameters: &[T], tape: &'a mut HiddenTape<T>) -> ArrayView2<'a, T> {
        let Some(norm) = self.norm else { return tape.activation.view() };
        resize(&mut tape.output, tape.activation.nrows(), norm.width);
        norm.forward(parameters, tape.activation.view(), tape.output.view_mut(), &mut tape.norm);
        tape.output.view()
    }

    pub fn output<'a, T: Real>(&self, tape: &'a HiddenTape<T>) -> ArrayView2<'a, T> {
        if self.norm.is_some() { tape.output.view() } else { tape.activation.view() }
    }

    /// Adds to `gradient`; writes the gradient of x into `dx` where it is wanted.
    pub fn backward<T: Real>(
        &self,
        parameters: &[T],
        x: ArrayView2<'_, T>,
        dy: ArrayView2<'_, T>,
        tape: &mut HiddenTape<T>,
        gradient: &mut [T],
        dx: Option<ArrayViewMut2<'_, T>>,
    ) {
        resize(&mut tape.scratch, x.nrows(), self.linear.outputs);
        tape.scratch.assign(&dy);
        if let Some(norm) = self.norm {
            norm.backward(parameters, &tape.norm, gradient, tape.scratch.view_mut());
        }
        wide(
            #[inline(always)]
            || {
                for (dy, activation) in rows_mut(tape.scratch.view_mut()).zip(rows(tape.activation.view())) {
                    for (dy, &activation) in dy.iter_mut().zip(activation) {
                        *dy = if activation > T::zero() { *dy } else { T::zero() };
                    }
                }
            },
        );
        self.linear.backward(parameters, x, tape.scratch.view(), gradient, dx);
    }
}

/// 1 / (1 + e^−v).
#[inline(always)]
pub fn sigmoid<T: Real>(v: T) -> T {
    T::one() / (T::one() + (-v).exponential())
}

/// Adds every row of `x` to `sum`.
#[inline(always)]
fn add_rows<T: Real>(x: ArrayView2<'_, T>, sum: &mut [T]) {
    for row in rows(x) {
        for (sum, &value) in sum.iter_mut().zip(row) {
            *sum += value;
        }
    }
}

/// The rows of `x` as slices, which loops run over faster than over views.
#[inline(always)]
pub(super) fn rows<T>(x: ArrayView2<'_, T>) -> impl Iterator<Item = &[T]> {
    let rows = x.nrows();
    (0..rows).map(move |row| x.index_axis_move(Axis(0), row).to_slice().expect("columns are contiguous"))
}

/// The rows of `x` as mutable slices.
#[inline(always)]
pub(super) fn rows_mut<T>(x: ArrayViewMut2<'_, T>) -> impl Iterator<Item = &mut [T]> {
    x.into_outer_iter_mut().map(|row| row.into_slice().expect("columns are contiguous"))
}

/// Makes `array` [rows, columns]; the values are whatever was there. Keeps the allocation where it
/// can.
pub(super) fn resize<T: Real>(array: &mut Array2<T>, rows: usize, columns: usize) {
    if array.dim() != (rows, columns) {
        let mut data = std::mem::take(array).into_raw_vec_and_offset().0;
        data.resize(rows * columns, T::zero());
        *array = Array2::from_shape_vec((rows, columns), data).expect("resized to just this length");
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn running_statistics_move_as_those_of_pytorchs_batch_norm() {
        let norm = Norm { weight: 0, bias: 2, mean: 0, variance: 2, width: 2 };
        let (x, mut y) = (array![[1.0_f64, 2.0], [3.0, 6.0], [5.0, 1.0]], Array2::zeros((3, 2)));
        let mut tape = NormTape::default();
        norm.forward(&[1.0, 1.0, 0.0, 0.0], x.view(), y.view_mut(), &mut tape);
        let mut running = [0.0, 0.0, 1.0, 1.0];
        norm.update(&tape, &mut running);
        // torch.nn.BatchNorm1d(2) after one batch in training: a tenth of the way, to the unbiased
        // variance.
        for (got, expected) in running.iter().zip([0.3, 0.3, 1.3, 1.6]) {
            assert!((got - expected).abs() < 1e-12, "{running:?}");
        }
        let expected = -2.0 / (8.0_f64 / 3.0 + 1e-5).sqrt();
        assert!(
            (y[[0, 0]] - expected).abs() < 1e-12,
            "the batch itself is normalised by its biased variance"
        );
    }
}
