//! What needs a PyTorch. `scripts/torch.sh` runs it, after `reference.py`.

#![expect(clippy::unwrap_used, reason = "the lint spares tests, but not the functions they share")]

use std::path::PathBuf;

use vabal_torch::{Device, Format, Moments, Sgd, Tensor, Torch, find};

// Those of `reference.py`.
const WIDTH: usize = 16;
const BATCH: usize = 16;
const SIZE: usize = 16;
const CLASSES: usize = 5;
const STEPS: usize = 8;

const EPSILON: f64 = 1e-5;

fn open() -> Torch {
    let variable = std::env::var_os("VABAL_LIBTORCH").expect("scripts/torch.sh says where PyTorch is");
    Torch::open(&find(Some(variable)).unwrap(), Device::Cpu).unwrap()
}

fn reference(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("VABAL_REFERENCE").expect("scripts/torch.sh says where the reference is");
    std::fs::read(PathBuf::from(folder).join(name)).unwrap()
}

fn floats(name: &str) -> Vec<f32> {
    reference(name).as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// A convolution, its BatchNorm, and the places of the learnt arrays among the parameters.
struct Layer {
    conv: usize,
    stride: usize,
    padding: usize,
    running: [Tensor; 2],
}

/// What a layer's gradient is computed from.
struct Trace<'a> {
    layer: &'a Layer,
    x: Tensor,
    y: Tensor,
    moments: Moments,
}

struct Net {
    parameters: Vec<Tensor>,
    layers: Vec<Layer>,
}

impl Net {
    /// Reads arrays in the order of PyTorch's `state_dict`.
    fn read(torch: Torch, mut values: &[f32]) -> Self {
        let mut take = |shape: &[usize]| {
            let (these, rest) = values.split_at(shape.iter().product());
            values = rest;
            torch.tensor(these, shape, Format::ChannelsLast).unwrap()
        };
        let (mut parameters, mut layers) = (Vec::new(), Vec::new());
        let (narrow, wide) = (WIDTH, 2 * WIDTH);
        for (from, to, size, stride) in [
            (3, narrow, 3, 1),
            (narrow, narrow, 3, 1),
            (narrow, narrow, 3, 1),
            (narrow, wide, 3, 2),
            (wide, wide, 3, 1),
            (narrow, wide, 1, 2),
        ] {
            let conv = parameters.len();
            parameters.extend([take(&[to, from, size, size]), take(&[to]), take(&[to])]);
            layers.push(Layer { conv, stride, padding: size / 2, running: [take(&[to]), take(&[to])] });
        }
        parameters.extend([take(&[CLASSES, wide]), take(&[CLASSES])]);
        assert!(values.is_empty());
        Self { parameters, layers }
    }

    fn values(&self) -> Vec<f32> {
        let learnt = self
            .layers
            .iter()
            .flat_map(|layer| self.parameters[layer.conv..layer.conv + 3].iter().chain(&layer.running));
        learnt
            .chain(self.parameters.last_chunk::<2>().unwrap())
            .flat_map(|a| a.to_vec::<f32>().unwrap())
            .collect()
    }

    fn forward<'a>(&self, layer: &'a Layer, x: Tensor) -> (Tensor, Trace<'a>) {
        let [weight, gamma, beta] = [0, 1, 2].map(|i| &self.parameters[layer.conv + i]);
        let y = x.convolution(weight, None, layer.stride, layer.padding).unwrap();
        let [mean, variance] = &layer.running;
        let (out, moments) = y.batch_norm([gamma, beta], [mean, variance], 0.1, EPSILON).unwrap();
        (out, Trace { layer, x, y, moments })
    }

    /// The gradient of the layer's input; those of its parameters go to their places.
    fn backward(
        &self,
        gradients: &mut [Option<Tensor>],
        trace: &Trace<'_>,
        gradient: &Tensor,
    ) -> Option<Tensor> {
        let Trace { layer: Layer { conv, stride, padding, running: [mean, variance] }, x, y, moments } =
            trace;
        let [weight, gamma] = [0, 1].map(|i| &self.parameters[conv + i]);
        let [dy, dgamma, dbeta] =
            gradient.batch_norm_backward(y, gamma, [mean, variance], moments, EPSILON).unwrap();
        let (dx, dweight) = dy.convolution_backward(x, weight, *stride, *padding, *conv > 0).unwrap();
        let these = [dweight.laid_out_as(weight).unwrap(), dgamma, dbeta].map(Some);
        gradients[*conv..conv + 3].iter_mut().zip(these).for_each(|(place, gradient)| *place = gradient);
        dx
    }

    /// The loss, and the gradients of all parameters.
    fn step(&self, x: Tensor, labels: &Tensor) -> (Tensor, Vec<Tensor>) {
        let again = |x: &Tensor| x.view(&x.shape()).unwrap();
        let (x, stem) = self.forward(&self.layers[0], x);
        let mut x = x.relu_().unwrap();
        let mut blocks = Vec::new();
        for layers in [&self.layers[1..3], &self.layers[3..6]] {
            let (y, first) = self.forward(&layers[0], again(&x));
            let (y, second) = self.forward(&layers[1], y.relu_().unwrap());
            let way_round = layers.get(2).map(|layer| self.forward(layer, again(&x)));
            let sum = y.add(way_round.as_ref().map_or(&x, |(way_round, _)| way_round), 1.0).unwrap();
            let out = sum.relu_().unwrap();
            blocks.push((first, second, way_round.map(|(_, trace)| trace), again(&out)));
            x = out;
        }
        let maps = x.shape();
        let pooled = x.mean_of_maps().unwrap();
        let [weight, bias] = self.parameters.last_chunk().unwrap();
        let [loss, dlogits] = pooled.linear(weight, bias).unwrap().cross_entropy(labels).unwrap();

        let mut gradients: Vec<_> = self.parameters.iter().map(|_| None).collect();
        let [dpooled, dweight, dbias] = dlogits.linear_backward(&pooled, weight).unwrap();
        *gradients.last_chunk_mut().unwrap() = [Some(dweight), Some(dbias)];
        let torch = dpooled.torch();
        let share = torch.scalar(1.0 / (maps[2] * maps[3]) as f32).unwrap();
        let mut dx = dpooled.mul(&share).unwrap().view(&[maps[0], maps[1], 1, 1]).unwrap();
        for (first, second, way_round, out) in blocks.iter().rev() {
            let dsum = dx.relu_backward(out).unwrap();
            let dy = self.backward(&mut gradients, second, &dsum).unwrap();
            let dy = dy.relu_backward(&second.x).unwrap();
            let through = self.backward(&mut gradients, first, &dy).unwrap();
            let round = way_round.as_ref().and_then(|trace| self.backward(&mut gradients, trace, &dsum));
            dx = through.add(round.as_ref().unwrap_or(&dsum), 1.0).unwrap();
        }
        let dx = dx.relu_backward(&blocks[0].0.x).unwrap();
        self.backward(&mut gradients, &stem, &dx);
        (loss, gradients.into_iter().map(Option::unwrap).collect())
    }
}

#[test]
fn a_training_by_explicit_calls_is_that_of_pytorch() {
    let torch = open();
    let net = Net::read(torch, &floats("before"));
    let velocities: Vec<_> = net
        .parameters
        .iter()
        .map(|parameter| torch.zeros(&parameter.shape(), Format::ChannelsLast).unwrap())
        .collect();
    let labels: Vec<i64> =
        reference("labels").as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect();
    let sgd = Sgd { learning_rate: 0.1, momentum: 0.9, weight_decay: 5e-4 };
    let mut losses = Vec::new();
    for (images, labels) in floats("images").chunks(BATCH * 3 * SIZE * SIZE).zip(labels.chunks(BATCH)) {
        let images = torch.tensor(images, &[BATCH, 3, SIZE, SIZE], Format::ChannelsLast).unwrap();
        let labels = torch.tensor(labels, &[BATCH], Format::Contiguous).unwrap();
        let (loss, gradients) = net.step(images, &labels);
        torch.sgd_(&net.parameters, &gradients, &velocities, sgd).unwrap();
        losses.extend(loss.to_vec::<f32>().unwrap());
    }
    assert_eq!(losses.len(), STEPS);
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&losses), bits(&floats("losses")));
    assert!(bits(&net.values()) == bits(&floats("after")), "the parameters after {STEPS} steps differ");
}

/// oneDNN writes past its buffer here, which `convolution_backward` goes round.
#[test]
fn gradients_of_a_strided_convolution_of_single_pixels_are_right() {
    let torch = open();
    let (batch, size, to) = (16, 8, 6);
    for channels in [1, 3, 7, 8, 15, 16, 24] {
        let of =
            |n: usize, modulus: usize| (0..n).map(|i| (i * i % modulus) as f32 - 3.0).collect::<Vec<_>>();
        let (x, dy) = (of(batch * channels * size * size, 11), of(batch * to * size * size / 4, 7));
        let weight = of(to * channels, 5);
        let tensor =
            |values: &[f32], shape: &[usize]| torch.tensor(values, shape, Format::ChannelsLast).unwrap();
        let mut dx = vec![0.0; x.len()];
        let mut dweight = vec![0.0; weight.len()];
        for (i, dy) in dy.iter().enumerate() {
            let (column, row) = (i % (size / 2), i / (size / 2) % (size / 2));
            let (out, image) = (i / (size * size / 4) % to, i / (size * size / 4) / to);
            for channel in 0..channels {
                let at = ((image * channels + channel) * size + 2 * row) * size + 2 * column;
                dx[at] += dy * weight[out * channels + channel];
                dweight[out * channels + channel] += dy * x[at];
            }
        }
        let x = tensor(&x, &[batch, channels, size, size]);
        let weight = tensor(&weight, &[to, channels, 1, 1]);
        let dy = tensor(&dy, &[batch, to, size / 2, size / 2]);
        for wanted in [true, false] {
            let (got_dx, got_dweight) = dy.convolution_backward(&x, &weight, 2, 0, wanted).unwrap();
            // Whole numbers, so that no order of sums rounds.
            assert_eq!(got_dweight.to_vec::<f32>().unwrap(), dweight, "{channels} channels");
            assert_eq!(got_dx.is_some(), wanted);
            assert!(got_dx.is_none_or(|got| got.to_vec::<f32>().unwrap() == dx), "{channels} channels");
        }
    }
}

#[test]
fn values_come_back_as_they_went_in_whatever_the_format() {
    let torch = open();
    let values: Vec<f32> = (0..24_u8).map(f32::from).collect();
    for format in [Format::Contiguous, Format::ChannelsLast] {
        let tensor = torch.tensor(&values, &[2, 3, 2, 2], format).unwrap();
        assert_eq!((tensor.shape(), tensor.to_vec::<f32>().unwrap()), (vec![2, 3, 2, 2], values.clone()));
    }
    // [B, H, W, C] as it lies in memory: the first channel of the first image is every third value.
    let maps = torch.reordered(&values, &[2, 3, 2, 2], Format::ChannelsLast, Format::Contiguous).unwrap();
    assert_eq!(maps.to_vec::<f32>().unwrap()[..5], [0.0, 3.0, 6.0, 9.0, 1.0]);
    let labels = [3_i64, -1, i64::MAX];
    assert_eq!(torch.tensor(&labels, &[3], Format::Contiguous).unwrap().to_vec::<i64>().unwrap(), labels);
    assert!(torch.tensor(&labels, &[2], Format::Contiguous).is_err());
}

#[test]
fn what_pytorch_refuses_is_an_error_with_a_hint() {
    let torch = open();
    let of = |shape: &[usize]| torch.zeros(shape, Format::Contiguous).unwrap();
    let labels = torch.tensor(&[0_i64, 7], &[2], Format::Contiguous).unwrap();
    let [parameter, other] = [[of(&[3])], [of(&[4])]];
    let sgd = Sgd { learning_rate: 0.1, momentum: 0.9, weight_decay: 0.0 };
    for error in [
        of(&[2, 3]).linear(&of(&[4, 2]), &of(&[4])).unwrap_err(),
        of(&[1, 2, 4, 4]).convolution(&of(&[1, 3, 3, 3]), None, 1, 1).unwrap_err(),
        of(&[2, 3]).cross_entropy(&labels).unwrap_err(),
        of(&[3]).add(&of(&[2]), 1.0).unwrap_err(),
        // 64 TiB.
        torch.zeros(&[1 << 44], Format::Contiguous).unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(text.contains("hint: use a smaller batch"), "{text}");
    }
    assert!(torch.sgd_(&parameter, &other, &parameter, sgd).is_err());
    // And the library goes on.
    assert_eq!(of(&[2]).to_vec::<f32>().unwrap(), [0.0, 0.0]);
}
