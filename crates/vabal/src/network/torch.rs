//! The engine of PyTorch: forward and backward as calls of its operations, one by one.
//!
//! Maps lie channels-last. Never here: how an operation is called, another device's arithmetic.

use std::cell::Cell;
use std::rc::Rc;

use ndarray::Array2;
use vabal_torch::{Device, Format, Guard, Moments, Tensor, Torch};

use super::{Batch, Block, Dropout, Engine, Frozen, Layer, Network, Output, STAGES, Sgd, Trainer, Weights};
use crate::Label;
use crate::error::Result;
use crate::kernels::batch_norm::{self, EPSILON, MOMENTUM};

/// A GPU is not waited for but at every so manieth step: it works on one while the CPU prepares
/// others.
const READ_EVERY: usize = 16;

/// The PyTorch of the user, on a device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pytorch(pub Torch);

impl Engine for Pytorch {
    fn train(&self, network: &Network, weights: Weights, sgd: Sgd) -> Result<Box<dyn Trainer>> {
        Ok(Box::new(Training::new(self.0, network.clone(), &weights, sgd)?))
    }

    fn freeze<'a>(&self, network: &'a Network, weights: &'a Weights) -> Result<Box<dyn Frozen + 'a>> {
        Ok(Box::new(Scoring::new(self.0, network, weights)?))
    }
}

/// The images of a batch, [B, C, H, W].
fn images(torch: Torch, network: &Network, batch: &Batch<'_>) -> Result<Tensor> {
    let Batch { images, height, width, .. } = *batch;
    let channels = network.channels();
    let count = images.len() / (channels * height * width);
    torch.tensor(images, &[count, channels, height, width], Format::ChannelsLast)
}

/// What maps before a stage are multiplied with.
fn mask(maps: &Tensor, dropout: Dropout<'_>, stage: usize) -> Result<Tensor> {
    let shape = maps.shape();
    let mask = dropout.mask(stage, shape[1..].iter().product());
    maps.torch().reordered(&mask, &shape, Format::ChannelsLast, Format::ChannelsLast)
}

/// A network in training.
pub(super) struct Training {
    torch: Torch,
    network: Network,
    sgd: Sgd,
    /// What is learnt: of each layer the weight, gamma and beta, of the last the weight and the
    /// bias.
    learnt: Vec<Tensor>,
    velocities: Vec<Tensor>,
    /// Of each layer, in the same order.
    running: Vec<Running>,
    steps: usize,
    _guard: Guard,
}

/// The running statistics of a layer.
struct Running {
    mean: Tensor,
    /// `excess` times the variance that vabal keeps: n / (n − 1), as PyTorch takes a batch's
    /// variance for a sample's.
    variance: Tensor,
    excess: Cell<f64>,
}

/// What the backward pass needs of a layer's forward pass.
struct Tape {
    x: Rc<Tensor>,
    convolved: Tensor,
    moments: Moments,
}

struct BlockTape {
    /// What values were multiplied with before the first layer, if some were dropped.
    mask: Option<Tensor>,
    first: Tape,
    second: Tape,
    shortcut: Option<Tape>,
    y: Rc<Tensor>,
}

impl Training {
    pub(super) fn new(torch: Torch, network: Network, weights: &Weights, sgd: Sgd) -> Result<Self> {
        let guard = torch.guard()?;
        let (mut learnt, mut velocities, mut running) = (Vec::new(), Vec::new(), Vec::new());
        let mut statistics = Vec::new();
        for (array, values) in network.arrays.iter().zip(weights) {
            let tensor = torch.tensor(values, &array.shape, Format::ChannelsLast)?;
            if array.name.contains("running") {
                statistics.push(tensor);
            } else {
                velocities.push(torch.zeros(&array.shape, Format::ChannelsLast)?);
                learnt.push(tensor);
            }
        }
        let mut statistics = statistics.into_iter();
        while let (Some(mean), Some(variance)) = (statistics.next(), statistics.next()) {
            running.push(Running { mean, variance, excess: Cell::new(1.0) });
        }
        Ok(Self { torch, network, sgd, learnt, velocities, running, steps: 0, _guard: guard })
    }

    /// The mean cross-entropy, and the gradients of what is learnt.
    pub(super) fn differentiate(&self, batch: &Batch<'_>, labels: &[Label]) -> Result<(Tensor, Vec<Tensor>)> {
        let Self { torch, network, learnt, .. } = self;
        let (y, stem) = self.forward(&network.stem, Rc::new(images(*torch, network, batch)?))?;
        let cut = Rc::new(y.relu_()?);
        let (mut x, mut tapes) = (Rc::clone(&cut), Vec::new());
        for (stage, blocks) in network.stages.iter().enumerate() {
            for (index, block) in blocks.iter().enumerate() {
                let dropout = batch.dropout.filter(|_| index == 0);
                let mask = dropout.map(|dropout| mask(&x, dropout, stage)).transpose()?;
                if let Some(mask) = &mask {
                    x = Rc::new(x.mul(mask)?);
                }
                let tape = self.forward_block(block, mask, x)?;
                x = Rc::clone(&tape.y);
                tapes.push(tape);
            }
        }
        let [weight, bias] = learnt.last_chunk().expect("the last layer has two arrays");
        let pooled = x.mean_of_maps()?;
        let labels: Vec<i64> = labels.iter().map(|&label| label.into()).collect();
        let labels = torch.tensor(&labels, &[labels.len()], Format::Contiguous)?;
        let [loss, dlogits] = pooled.linear(weight, bias)?.cross_entropy(&labels)?;

        let mut gradients: Vec<_> = learnt.iter().map(|_| None).collect();
        let [dpooled, dweight, dbias] = dlogits.linear_backward(&pooled, weight)?;
        *gradients.last_chunk_mut().expect("one of each array") = [Some(dweight), Some(dbias)];
        let shape = x.shape();
        drop(x);
        let share = torch.scalar(1.0 / (shape[2] * shape[3]) as f32)?;
        let mut dx = dpooled.mul(&share)?.view(&[shape[0], shape[1], 1, 1])?;
        for block in network.stages.iter().flatten().rev() {
            let tape = tapes.pop().expect("one of each block");
            dx = self.backward_block(block, tape, &dx, &mut gradients)?;
        }
        self.backward(&network.stem, stem, &dx.relu_backward(&cut)?, &mut gradients)?;
        Ok((loss, gradients.into_iter().map(|gradient| gradient.expect("all are written")).collect()))
    }

    /// The place of a layer among all.
    fn place(layer: &Layer) -> usize {
        layer.weight / 5
    }

    /// The weight, gamma and beta of a layer.
    fn learnt(&self, layer: &Layer) -> [&Tensor; 3] {
        std::array::from_fn(|part| &self.learnt[3 * Self::place(layer) + part])
    }

    fn forward(&self, layer: &Layer, x: Rc<Tensor>) -> Result<(Tensor, Tape)> {
        let [weight, gamma, beta] = self.learnt(layer);
        let convolved = x.convolution(weight, None, layer.stride, layer.padding())?;
        let Running { mean, variance, excess } = &self.running[Self::place(layer)];
        let shape = convolved.shape();
        let n = (shape[0] * shape[2] * shape[3]) as f64;
        let (y, moments) = if n > 1.0 {
            let wanted = n / (n - 1.0);
            if wanted != excess.get() {
                variance.mul_(&self.torch.scalar((wanted / excess.replace(wanted)) as f32)?)?;
            }
            convolved.batch_norm([gamma, beta], [mean, variance], MOMENTUM.into(), EPSILON)?
        } else {
            // Of one value PyTorch knows no variance; it is 0.
            let less = variance.mul(&self.torch.scalar(1.0 - MOMENTUM)?)?;
            let done = convolved.batch_norm([gamma, beta], [mean, variance], MOMENTUM.into(), EPSILON)?;
            variance.copy_(&less)?;
            done
        };
        Ok((y, Tape { x, convolved, moments }))
    }

    /// The gradient of what a layer was given, if that is not the images, from that of its output,
    /// `dy`.
    fn backward(
        &self,
        layer: &Layer,
        tape: Tape,
        dy: &Tensor,
        gradients: &mut [Option<Tensor>],
    ) -> Result<Option<Tensor>> {
        let Tape { x, convolved, moments } = tape;
        let [weight, gamma, _] = self.learnt(layer);
        let Running { mean, variance, .. } = &self.running[Self::place(layer)];
        let [dconvolved, dgamma, dbeta] =
            dy.batch_norm_backward(&convolved, gamma, [mean, variance], &moments, EPSILON)?;
        let wanted = layer.weight > 0;
        let (dx, dweight) =
            dconvolved.convolution_backward(&x, weight, layer.stride, layer.padding(), wanted)?;
        let of_layer = [dweight.laid_out_as(weight)?, dgamma, dbeta];
        let places = &mut gradients[3 * Self::place(layer)..];
        places.iter_mut().zip(of_layer).for_each(|(place, gradient)| *place = Some(gradient));
        Ok(dx)
    }

    fn forward_block(&self, block: &Block, mask: Option<Tensor>, x: Rc<Tensor>) -> Result<BlockTape> {
        let (y, first) = self.forward(&block.first, Rc::clone(&x))?;
        let (y, second) = self.forward(&block.second, Rc::new(y.relu_()?))?;
        let (sum, shortcut) = match &block.shortcut {
            Some(layer) => {
                let (round, shortcut) = self.forward(layer, x)?;
                (y.add(&round, 1.0)?, Some(shortcut))
            }
            None => (y.add(&x, 1.0)?, None),
        };
        Ok(BlockTape { mask, first, second, shortcut, y: Rc::new(sum.relu_()?) })
    }

    /// The gradient of what a block was given, before dropout, from that of its output, `dy`.
    fn backward_block(
        &self,
        block: &Block,
        tape: BlockTape,
        dy: &Tensor,
        gradients: &mut [Option<Tensor>],
    ) -> Result<Tensor> {
        let BlockTape { mask, first, second, shortcut, y } = tape;
        let mut back = |layer, tape, dy: &Tensor| {
            self.backward(layer, tape, dy, gradients).map(|dx| dx.expect("its input has a gradient"))
        };
        let dsum = dy.relu_backward(&y)?;
        let between = Rc::clone(&second.x);
        let dbetween = back(&block.second, second, &dsum)?.relu_backward(&between)?;
        let through = back(&block.first, first, &dbetween)?;
        let round = match (&block.shortcut, shortcut) {
            (Some(layer), Some(tape)) => back(layer, tape, &dsum)?,
            _ => dsum,
        };
        let dx = through.add(&round, 1.0)?;
        if let Some(mask) = mask {
            dx.mul_(&mask)?;
        }
        Ok(dx)
    }
}

impl Trainer for Training {
    fn step(&mut self, batch: &Batch<'_>, labels: &[Label], learning_rate: f64) -> Result<Option<f64>> {
        let (loss, gradients) = self.differentiate(batch, labels)?;
        let Sgd { momentum, weight_decay } = self.sgd;
        let sgd = vabal_torch::Sgd { learning_rate, momentum, weight_decay };
        self.torch.sgd_(&self.learnt, &gradients, &self.velocities, sgd)?;
        self.steps += 1;
        if self.torch.device() != Device::Cpu && self.steps % READ_EVERY != 1 {
            return Ok(None);
        }
        Ok(loss.to_vec::<f32>()?.first().map(|&loss| loss.into()))
    }

    fn weights(&self) -> Result<Weights> {
        let (mut learnt, mut weights) = (self.learnt.iter(), Weights::new());
        for Running { mean, variance, excess } in &self.running {
            for array in learnt.by_ref().take(3).chain([mean]) {
                weights.push(array.to_vec()?);
            }
            let kept = |variance: f32| (f64::from(variance) / excess.get()) as f32;
            weights.push(variance.to_vec()?.into_iter().map(kept).collect());
        }
        for array in learnt {
            weights.push(array.to_vec()?);
        }
        Ok(weights)
    }
}

/// A network in evaluation mode.
struct Scoring<'a> {
    torch: Torch,
    network: &'a Network,
    /// Of each layer the weight and the bias of one convolution that does the work of BatchNorm
    /// too.
    layers: Vec<[Tensor; 2]>,
    /// The weight and the bias of the last layer.
    head: [Tensor; 2],
    _guard: Guard,
}

impl<'a> Scoring<'a> {
    fn new(torch: Torch, network: &'a Network, weights: &Weights) -> Result<Self> {
        let guard = torch.guard()?;
        let tensor = |array: usize, values: &[f32]| {
            torch.tensor(values, &network.arrays[array].shape, Format::ChannelsLast)
        };
        let mut layers = Vec::new();
        for first in (0..network.head).step_by(5) {
            let [weight, gamma, beta, mean, variance] = std::array::from_fn(|i| &*weights[first + i]);
            let affine = batch_norm::frozen(gamma, beta, mean, variance);
            let each = weight.len() / affine.scale.len();
            let scaled = weight.chunks(each).zip(&affine.scale);
            let weight: Vec<f32> = scaled.flat_map(|(w, scale)| w.iter().map(move |w| w * scale)).collect();
            let shifted = affine.shift.iter().zip(&affine.scale).zip(&affine.mean);
            let bias: Vec<f32> = shifted.map(|((shift, scale), mean)| shift - scale * mean).collect();
            layers.push([tensor(first, &weight)?, tensor(first + 1, &bias)?]);
        }
        let head = [network.head, network.head + 1];
        let [weight, bias] = head.map(|array| tensor(array, &weights[array]));
        Ok(Self { torch, network, layers, head: [weight?, bias?], _guard: guard })
    }

    fn layer(&self, layer: &Layer, x: &Tensor) -> Result<Tensor> {
        let [weight, bias] = &self.layers[Training::place(layer)];
        x.convolution(weight, Some(bias), layer.stride, layer.padding())
    }
}

impl Frozen for Scoring<'_> {
    fn forward(&self, batch: &Batch<'_>) -> Result<Output> {
        let Self { torch, network, head: [weight, bias], .. } = self;
        let mut x = self.layer(&network.stem, &images(*torch, network, batch)?)?.relu_()?;
        let mut stages = Vec::new();
        for (stage, blocks) in network.stages.iter().enumerate() {
            if let Some(dropout) = batch.dropout {
                x.mul_(&mask(&x, dropout, stage)?)?;
            }
            for Block { first, second, shortcut } in blocks {
                let y = self.layer(second, &self.layer(first, &x)?.relu_()?)?;
                x = match shortcut {
                    Some(layer) => y.add(&self.layer(layer, &x)?, 1.0)?,
                    None => y.add(&x, 1.0)?,
                }
                .relu_()?;
            }
            stages.push(x.mean_of_maps()?);
        }
        let logits = stages[STAGES - 1].linear(weight, bias)?;
        let [logits, a, b, c, d] = [&logits, &stages[0], &stages[1], &stages[2], &stages[3]].map(rows);
        Ok(Output { logits: logits?, stages: [a?, b?, c?, d?] })
    }
}

/// A tensor of two dimensions as an array.
fn rows(tensor: &Tensor) -> Result<Array2<f32>> {
    let shape = tensor.shape();
    let rows = Array2::from_shape_vec((shape[0], shape[1]), tensor.to_vec()?);
    Ok(rows.expect("as many values as the shape says"))
}

/// Against the engine of the CPU. `scripts/torch.sh` runs them.
#[cfg(test)]
mod tests {
    use super::super::cpu::{self, Cpu};
    use super::super::definition::Definition;
    use super::super::tests::{CASES, Case, assert_near, noise, weights, wide};
    use super::*;
    use crate::kernels::Vectors;
    use crate::rng::Seed;

    const SGD: Sgd = Sgd { momentum: 0.9, weight_decay: 0.5 };

    fn open() -> Torch {
        let variable = std::env::var_os("VABAL_LIBTORCH").expect("scripts/torch.sh says where PyTorch is");
        Torch::open(variable.as_ref(), Device::Cpu).unwrap()
    }

    fn exact(values: &[f32]) -> Vec<f64> {
        values.iter().map(|&value| value.into()).collect()
    }

    #[test]
    #[ignore = "needs a PyTorch: scripts/torch.sh"]
    fn loss_gradients_and_statistics_are_those_of_the_cpu() {
        for Case { depth, width, channels, shape: [n, height, columns], dropout } in CASES {
            let network = Network::resnet(depth, width, channels, 5);
            let weights = weights(&network);
            let labels: Vec<Label> = (0..n as Label).map(|image| image * 2 % 5).collect();
            let keys: Vec<u64> = (0..n as u64).collect();
            let dropout = (dropout > 0.0).then_some(Dropout { p: dropout, seed: Seed::new(1), keys: &keys });
            // Images that bring no value so near to the kink of a ReLU that the two would take
            // different sides of it.
            let of_f64 = wide(&weights);
            let definition = Definition { network: &network, weights: &of_f64, frozen: false };
            let images = (0..).map(|i| noise(n * channels * height * columns, &format!("images {i}")));
            let smooth =
                |images: &Vec<f32>| definition.forward(images, [height, columns], dropout).nearest > 1e-5;
            let images = images.take(100).find(smooth).unwrap();
            let batch = Batch { images: &images, height, width: columns, dropout };
            let mut ours = cpu::Training::new(network.clone(), weights.clone(), SGD, Vectors::Widest);
            let theirs = Training::new(open(), network.clone(), &weights, SGD).unwrap();
            let mut expected = wide(&weights);
            let expected_loss = ours.differentiate(&batch, &labels, &mut |array, _, gradient| {
                expected[array] = exact(gradient);
            });
            let (loss, gradients) = theirs.differentiate(&batch, &labels).unwrap();
            assert_near(loss.to_vec().unwrap(), &[expected_loss], 1e-5, "the loss");
            let learnt = network.arrays.iter().zip(&expected);
            let learnt = learnt.filter(|(array, _)| !array.name.contains("running"));
            assert_eq!(learnt.clone().count(), gradients.len());
            for (gradient, (array, expected)) in gradients.iter().zip(learnt) {
                assert_near(gradient.to_vec().unwrap(), expected, 3e-4, &array.name);
            }
            for (array, (got, expected)) in
                theirs.weights().unwrap().into_iter().zip(&ours.weights).enumerate()
            {
                assert_near(got, &exact(expected), 1e-5, &network.arrays[array].name);
            }
        }
    }

    #[test]
    #[ignore = "needs a PyTorch: scripts/torch.sh"]
    fn a_training_has_the_losses_and_the_outcome_of_the_cpu() {
        // Narrow, so that there are few values: see below.
        let network = Network::resnet(18, 4, 3, 5);
        let weights = weights(&network);
        let sgd = Sgd { momentum: 0.9, weight_decay: 5e-4 };
        let [mut ours, mut theirs] = [&Cpu(Vectors::Widest) as &dyn Engine, &Pytorch(open())]
            .map(|engine| engine.train(&network, weights.clone(), sgd).unwrap());
        // A batch of another size as well, for the running variances.
        for step in 0..20 {
            let n = if step % 5 == 4 { 5 } else { 8 };
            // A value that rounding alone puts on the other side of a ReLU's kink changes gradients
            // by a jump, and the two trainings part. So these are images that bring none so near to
            // it in f64: over 20 steps, rounding was seen to move values by 3e-5.
            let of_f64 = wide(&ours.weights().unwrap());
            let definition = Definition { network: &network, weights: &of_f64, frozen: false };
            let images = (0..).map(|i| noise(n * 3 * 12 * 12, &format!("images {step} {i}")));
            let smooth = |images: &Vec<f32>| definition.forward(images, [12, 12], None).nearest > 1e-4;
            let images = images.take(1000).find(smooth).unwrap();
            let labels: Vec<Label> = (0..n as Label).map(|image| (image + step) % 5).collect();
            let batch = Batch { images: &images, height: 12, width: 12, dropout: None };
            let [ours, theirs] =
                [&mut ours, &mut theirs].map(|engine| engine.step(&batch, &labels, 0.01).unwrap().unwrap());
            assert_near([theirs as f32], &[ours], 1e-4, &format!("the loss of step {step}"));
        }
        let [ours, theirs] = [ours, theirs].map(|engine| engine.weights().unwrap());
        for (array, (got, expected)) in theirs.into_iter().zip(&ours).enumerate() {
            assert_near(got, &exact(expected), 1e-3, &network.arrays[array].name);
        }
    }

    #[test]
    #[ignore = "needs a PyTorch: scripts/torch.sh"]
    fn what_is_scored_is_what_the_cpu_scores() {
        for Case { depth, width, channels, shape: [n, height, columns], dropout } in CASES {
            let network = Network::resnet(depth, width, channels, 5);
            let weights = weights(&network);
            let images = noise(n * channels * height * columns, "images");
            let keys: Vec<u64> = (10..).take(n).collect();
            let dropout = (dropout > 0.0).then_some(Dropout { p: dropout, seed: Seed::new(1), keys: &keys });
            let batch = Batch { images: &images, height, width: columns, dropout };
            let [ours, theirs] = [&Cpu(Vectors::Widest) as &dyn Engine, &Pytorch(open())]
                .map(|engine| engine.freeze(&network, &weights).unwrap().forward(&batch).unwrap());
            let all = |output: Output| [output.logits].into_iter().chain(output.stages);
            for (got, expected) in all(theirs).zip(all(ours)) {
                assert_near(got, &exact(&expected.into_raw_vec_and_offset().0), 2e-5, "an output");
            }
        }
    }
}
