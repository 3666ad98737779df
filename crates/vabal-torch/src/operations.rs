//! What networks are made of: operations of ATen, put together where one is not enough.
//!
//! Every function fails where shapes do not fit or the device fails. Never here: how an operation
//! is called.

use vabal_query::error::{Error, Result};

use crate::sys::{Float32, Nothing};
use crate::{Device, Format, Tensor, Torch};

/// What BatchNorm knows of a batch, for its gradient.
#[derive(Debug)]
pub struct Moments {
    mean: Tensor,
    deviation: Tensor,
    reserve: Tensor,
}

/// Stochastic gradient descent as PyTorch's `torch.optim.SGD`: the penalty joins the gradient, the
/// gradient the velocity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// How far a step goes.
    pub learning_rate: f64,
    /// What remains of the velocity at each step.
    pub momentum: f64,
    /// L2 penalty on every parameter.
    pub weight_decay: f64,
}

/// A CPU's widest vector holds as many values.
const VECTOR: usize = 16;

/// Of a loss: the mean over the batch.
const MEAN: i64 = 1;
/// Of a loss: the label that does not count, which no label of ours is.
const IGNORED: i64 = -100;

impl Tensor {
    /// Convolves maps [B, C, H, W] with `weight` [O, C, h, w].
    ///
    /// # Errors
    /// Shapes that do not fit, or a device that fails.
    pub fn convolution(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        stride: usize,
        padding: usize,
    ) -> Result<Tensor> {
        let [stride, padding] = [stride, padding].map(|n| [n as i64; 2]);
        only(self.torch().convolution(self, weight, bias, stride, padding, [1; 2], false, [0; 2], 1))
    }

    /// The gradients of a convolution's input, if it is wanted, and weight, from that of its
    /// output.
    ///
    /// # Errors
    /// Shapes that do not fit, or a device that fails.
    pub fn convolution_backward(
        &self,
        input: &Tensor,
        weight: &Tensor,
        stride: usize,
        padding: usize,
        wanted: bool,
    ) -> Result<(Option<Tensor>, Tensor)> {
        // On a CPU, oneDNN's weight gradient of a strided 1 × 1 convolution writes past its buffer
        // where maps lie channels-last and have fewer channels than a vector:
        // https://github.com/uxlfoundation/oneDNN/issues/6035. Contiguous maps and weights get
        // another kernel.
        let narrow = matches!(weight.shape()[..], [_, channels, 1, 1] if channels < VECTOR);
        if narrow && stride > 1 && self.torch().device() == Device::Cpu {
            let [x, weight] = [input.contiguous()?, weight.contiguous()?];
            let (dx, dweight) = self.convolution_gradients(&x, &weight, stride, padding, wanted)?;
            return Ok((dx.map(|dx| dx.laid_out_as(input)).transpose()?, dweight));
        }
        self.convolution_gradients(input, weight, stride, padding, wanted)
    }

    fn convolution_gradients(
        &self,
        input: &Tensor,
        weight: &Tensor,
        stride: usize,
        padding: usize,
        wanted: bool,
    ) -> Result<(Option<Tensor>, Tensor)> {
        let [stride, padding] = [stride, padding].map(|n| [n as i64; 2]);
        let mask = [wanted, true, false];
        let [input, weight, _] = self.torch().convolution_backward(
            self, input, weight, Nothing, stride, padding, [1; 2], false, [0; 2], 1, mask,
        )?;
        Ok((wanted.then_some(input), weight))
    }

    /// A contiguous copy.
    fn contiguous(&self) -> Result<Tensor> {
        let copy = self.torch().zeros(&self.shape(), Format::Contiguous)?;
        copy.copy_(self)?;
        Ok(copy)
    }

    /// Normalises maps [B, C, H, W] by the mean and the variance of the batch, then scales and
    /// shifts them. The running mean moves towards that of the batch by `momentum`, the running
    /// variance towards the unbiased one, as in PyTorch.
    ///
    /// # Errors
    /// Shapes that do not fit, or a device that fails.
    pub fn batch_norm(
        &self,
        [weight, bias]: [&Tensor; 2],
        [mean, variance]: [&Tensor; 2],
        momentum: f64,
        epsilon: f64,
    ) -> Result<(Tensor, Moments)> {
        let (weight, bias) = (Some(weight), Some(bias));
        let [y, batch_mean, deviation, reserve] =
            self.torch().batch_norm_with_update(self, weight, bias, mean, variance, momentum, epsilon)?;
        Ok((y, Moments { mean: batch_mean, deviation, reserve }))
    }

    /// The gradients of BatchNorm's input, weight and bias, from that of its output.
    ///
    /// # Errors
    /// Shapes that do not fit, or a device that fails.
    pub fn batch_norm_backward(
        &self,
        input: &Tensor,
        weight: &Tensor,
        [mean, variance]: [&Tensor; 2],
        moments: &Moments,
        epsilon: f64,
    ) -> Result<[Tensor; 3]> {
        let Moments { mean: batch_mean, deviation, reserve } = moments;
        let (running, of_batch) = ([Some(mean), Some(variance)], [Some(batch_mean), Some(deviation)]);
        let ([mean, variance], [batch_mean, deviation]) = (running, of_batch);
        self.torch().batch_norm_backward(
            self, input, weight, mean, variance, batch_mean, deviation, true, epsilon, [true; 3], reserve,
        )
    }

    /// Cuts these values off below zero, in place.
    ///
    /// # Errors
    /// A device that fails.
    pub fn relu_(self) -> Result<Tensor> {
        only(self.torch().relu_(&self))
    }

    /// The gradient of a ReLU's input from that of its output, `self`, and the output.
    ///
    /// # Errors
    /// Shapes that do not fit, or a device that fails.
    pub fn relu_backward(&self, output: &Tensor) -> Result<Tensor> {
        // The sign of what is not negative is its gradient. `threshold_backward` takes a Scalar,
        // which the dispatcher does not.
        let passes = only(self.torch().sign(output))?;
        passes.mul_(self)?;
        Ok(passes)
    }

    /// The product, value by value; a dimension of length 1 is repeated.
    ///
    /// # Errors
    /// Shapes that do not fit, or a device that fails.
    pub fn mul(&self, other: &Tensor) -> Result<Tensor> {
        only(self.torch().mul(self, other))
    }

    /// The product, in place.
    ///
    /// # Errors
    /// Shapes that do not fit, or a device that fails.
    pub fn mul_(&self, other: &Tensor) -> Result<()> {
        only(self.torch().mul_(self, other)).map(drop)
    }

    /// The mean over each map, [B, C, H, W] to [B, C].
    ///
    /// # Errors
    /// Another number of dimensions, or a device that fails.
    pub fn mean_of_maps(&self) -> Result<Tensor> {
        only(self.torch().mean(self, Some([2, 3]), false, Nothing))
    }

    /// The sum over the first dimension.
    ///
    /// # Errors
    /// A scalar, or a device that fails.
    pub fn sum_of_rows(&self) -> Result<Tensor> {
        only(self.torch().sum(self, Some([0]), false, Nothing))
    }

    /// The same values in another shape.
    ///
    /// # Errors
    /// Another number of values, values that would have to be moved, or a device that fails.
    pub fn view(&self, shape: &[usize]) -> Result<Tensor> {
        only(self.torch().view(self, shape))
    }

    /// A fully connected layer: [B, d] with `weight` [C, d] and `bias` of C values to [B, C].
    ///
    /// # Errors
    /// Shapes that do not fit, or a device that fails.
    pub fn linear(&self, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        only(self.torch().linear(self, weight, Some(bias)))
    }

    /// The gradients of such a layer's input, weight and bias, from that of its output.
    ///
    /// # Errors
    /// Shapes that do not fit, or a device that fails.
    pub fn linear_backward(&self, input: &Tensor, weight: &Tensor) -> Result<[Tensor; 3]> {
        let torch = self.torch();
        let transposed = only(torch.t(self))?;
        Ok([only(torch.mm(self, weight))?, only(torch.mm(&transposed, input))?, self.sum_of_rows()?])
    }

    /// The mean cross-entropy of logits [B, C] with B `labels`, a scalar, and its gradient [B, C].
    ///
    /// # Errors
    /// Shapes that do not fit, a label that is no class, or a device that fails.
    pub fn cross_entropy(&self, labels: &Tensor) -> Result<[Tensor; 2]> {
        let torch = self.torch();
        let likely = only(torch.log_softmax(self, 1, false))?;
        let [loss, count] = torch.nll_loss(&likely, labels, Nothing, MEAN, IGNORED)?;
        let one = only(torch.ones_like(&loss, Nothing, Nothing, Nothing, Nothing, Nothing))?;
        let gradient = torch.nll_loss_backward(&one, &likely, labels, Nothing, MEAN, IGNORED, &count);
        Ok([loss, only(torch.log_softmax_backward(&only(gradient)?, &likely, 1, Float32))?])
    }
}

impl Torch {
    /// One step of gradient descent for all parameters at once. The velocities begin as zeros.
    ///
    /// # Errors
    /// Lists of other lengths or shapes, or a device that fails.
    pub fn sgd_(
        &self,
        parameters: &[Tensor],
        gradients: &[Tensor],
        velocities: &[Tensor],
        sgd: Sgd,
    ) -> Result<()> {
        let shapes = |tensors: &[Tensor]| tensors.iter().map(Tensor::shape).collect::<Vec<_>>();
        let expected = shapes(parameters);
        if [gradients, velocities].into_iter().any(|tensors| shapes(tensors) != expected) {
            return Err(Error::input("parameters, gradients and velocities have different shapes").into());
        }
        let Sgd { learning_rate, momentum, weight_decay } = sgd;
        let [] = self.fused_sgd_(
            parameters,
            gradients,
            velocities,
            weight_decay,
            momentum,
            learning_rate,
            0.0,
            false,
            false,
            false,
            Nothing,
            Nothing,
        )?;
        Ok(())
    }

    /// Checks the operations that PyTorch does not promise to keep, on numbers known beforehand.
    pub(crate) fn check(&self) -> Result<()> {
        let (momentum, epsilon) = (0.1, 0.75);
        // Two channels of two images: means 1.5 and 3.5, variances 0.25, so that with epsilon the
        // deviation is 1.
        let of = |values: &[f32]| self.tensor(values, &[values.len()], Format::Contiguous);
        let maps = |values: &[f32]| self.tensor(values, &[2, 2, 1, 1], Format::ChannelsLast);
        let (x, gradient) = (maps(&[1.0, 3.0, 2.0, 4.0])?, maps(&[1.0, 0.0, 0.0, 2.0])?);
        let (weight, bias) = (of(&[2.0, 1.0])?, of(&[0.0, 1.0])?);
        let (mean, variance) = (of(&[0.0, 0.0])?, of(&[1.0, 1.0])?);
        let (y, moments) = x.batch_norm([&weight, &bias], [&mean, &variance], momentum, epsilon)?;
        let [dx, dw, db] =
            gradient.batch_norm_backward(&x, &weight, [&mean, &variance], &moments, epsilon)?;
        let step = Sgd { learning_rate: 0.5, momentum: 0.5, weight_decay: 1.0 };
        let (parameters, velocities) = ([of(&[1.0, 2.0])?], [of(&[2.0, 0.0])?]);
        self.sgd_(&parameters, &[of(&[1.0, 0.0])?], &velocities, step)?;
        let known: [(&str, &Tensor, &[f32]); 8] = [
            ("_batch_norm_with_update", &y, &[-1.0, 0.5, 1.0, 1.5]),
            ("_batch_norm_with_update (mean)", &mean, &[0.15, 0.35]),
            ("_batch_norm_with_update (variance)", &variance, &[0.95, 0.95]),
            ("batch_norm_backward (input)", &dx, &[0.75, -0.75, -0.75, 0.75]),
            ("batch_norm_backward (weight)", &dw, &[-0.5, 1.0]),
            ("batch_norm_backward (bias)", &db, &[1.0, 2.0]),
            ("_fused_sgd_", &parameters[0], &[-0.5, 1.0]),
            ("_fused_sgd_ (velocity)", &velocities[0], &[3.0, 2.0]),
        ];
        for (operation, tensor, expected) in known {
            let got = tensor.to_vec::<f32>()?;
            let same = |(got, expected): (&f32, &f32)| (got - expected).abs() <= 1e-5;
            if got.len() != expected.len() || !got.iter().zip(expected).all(same) {
                return Err(Error::input(format!(
                    "PyTorch {} computes something else than vabal needs",
                    self.version()
                ))
                .at(format!("aten::{operation}"))
                .expected(format!("{expected:?}"))
                .got(format!("{got:?}"))
                .hint("take another version of PyTorch, and tell vabal's authors of this one")
                .into());
            }
        }
        Ok(())
    }
}

fn only(result: Result<[Tensor; 1]>) -> Result<Tensor> {
    result.map(|[tensor]| tensor)
}
