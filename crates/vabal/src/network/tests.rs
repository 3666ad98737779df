//! The engine of the CPU against the definition in f64: what it computes, and its gradients against
//! finite differences.

use rand::RngExt as _;

use super::cpu::{Cpu, Training};
use super::definition::{Definition, loss};
use super::{Batch, Dropout, Engine, Network, Sgd, Weights};
use crate::Label;
use crate::kernels::Vectors;
use crate::rng::Seed;

const VECTORS: [Vectors; 2] = [Vectors::Widest, Vectors::Plain];
const SGD: Sgd = Sgd { momentum: 0.9, weight_decay: 0.5 };

/// Uniform in ±1, another list for every name.
pub(super) fn noise(n: usize, name: &str) -> Vec<f32> {
    let mut rng = Seed::new(n as u64).stream(name);
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Values of the size that training has, none of which is a special case.
pub(super) fn weights(network: &Network) -> Weights {
    let of = |array: &super::Array| -> Result<Vec<f32>, std::convert::Infallible> {
        let n = array.shape.iter().product();
        let fan_in: usize = array.shape[1..].iter().product();
        let spread = if array.shape.len() > 1 { (3.0 / fan_in as f32).sqrt() } else { 0.3 };
        let centre = match array.name.rsplit('.').next() {
            Some("weight" | "running_var") if array.shape.len() == 1 => 1.0,
            _ => 0.0,
        };
        Ok(noise(n, &array.name).into_iter().map(|value| centre + spread * value).collect())
    };
    let Ok(weights) = network.weights(of);
    weights
}

pub(super) fn wide(weights: &Weights) -> Vec<Vec<f64>> {
    weights.iter().map(|values| values.iter().map(|&value| f64::from(value)).collect()).collect()
}

pub(super) struct Case {
    pub depth: usize,
    pub width: usize,
    pub channels: usize,
    /// Images, height, width.
    pub shape: [usize; 3],
    pub dropout: f64,
}

/// Winograd's shapes and others, odd numbers of channels, one image, one pixel, dropout. Always
/// enough values of a channel for its variance to be told apart from the rounding.
pub(super) const CASES: [Case; 6] = [
    Case { depth: 18, width: 2, channels: 3, shape: [4, 6, 5], dropout: 0.0 },
    Case { depth: 18, width: 3, channels: 1, shape: [3, 9, 8], dropout: 0.3 },
    Case { depth: 34, width: 3, channels: 3, shape: [5, 8, 8], dropout: 0.0 },
    Case { depth: 18, width: 8, channels: 3, shape: [5, 16, 12], dropout: 0.0 },
    Case { depth: 18, width: 19, channels: 2, shape: [9, 5, 6], dropout: 0.0 },
    Case { depth: 18, width: 2, channels: 1, shape: [1, 20, 20], dropout: 0.0 },
];

/// Asserts that values are the same but for rounding, relative to the largest.
pub(super) fn assert_near(got: impl IntoIterator<Item = f32>, expected: &[f64], bound: f64, what: &str) {
    let largest = expected.iter().fold(1e-3_f64, |largest, value| largest.max(value.abs()));
    let got: Vec<f32> = got.into_iter().collect();
    assert_eq!(got.len(), expected.len(), "{what}");
    for (got, expected) in got.iter().zip(expected) {
        let off = (f64::from(*got) - expected).abs() / largest;
        assert!(off < bound, "{what}: {got} is not {expected}");
    }
}

#[test]
fn what_is_computed_is_the_definition() {
    for Case { depth, width, channels, shape: [n, height, columns], dropout } in CASES {
        let network = Network::resnet(depth, width, channels, 5);
        let weights = weights(&network);
        let images = noise(n * channels * height * columns, "images");
        let keys: Vec<u64> = (10..).take(n).collect();
        let dropout = (dropout > 0.0).then_some(Dropout { p: dropout, seed: Seed::new(1), keys: &keys });
        let batch = Batch { images: &images, height, width: columns, dropout };
        let exact = Definition { network: &network, weights: &wide(&weights), frozen: true };
        let exact = exact.forward(&images, [height, columns], dropout);
        for vectors in VECTORS {
            let output = Cpu(vectors).freeze(&network, &weights).unwrap().forward(&batch).unwrap();
            assert_near(output.logits, &exact.logits.concat(), 2e-5, "logits");
            for (stage, exact) in output.stages.into_iter().zip(&exact.stages) {
                assert_near(stage, &exact.concat(), 2e-5, "a stage");
            }
        }
    }
}

#[test]
fn gradients_are_the_finite_differences_of_the_definition() {
    for Case { depth, width, channels, shape: [n, height, columns], dropout } in CASES {
        let network = Network::resnet(depth, width, channels, 5);
        let weights = weights(&network);
        let labels: Vec<Label> = (0..n as Label).map(|image| image * 2 % 5).collect();
        let keys: Vec<u64> = (0..n as u64).collect();
        let dropout = (dropout > 0.0).then_some(Dropout { p: dropout, seed: Seed::new(1), keys: &keys });
        let exact = |images: &[f32], weights: &[Vec<f64>]| {
            let definition = Definition { network: &network, weights, frozen: false };
            definition.forward(images, [height, columns], dropout)
        };
        let mut moved = wide(&weights);
        // Images that bring no value so near to the kink of a ReLU that f32 and f64 would take
        // different sides of it.
        let images = (0..).map(|i| noise(n * channels * height * columns, &format!("images {i}")));
        let images = images.take(100).find(|images| exact(images, &moved).nearest > 1e-5).unwrap();
        let exact = |weights: &[Vec<f64>]| loss(&exact(&images, weights).logits, &labels);
        let expected = exact(&moved);
        let trained = VECTORS.map(|vectors| {
            let mut training = Training::new(network.clone(), weights.clone(), SGD, vectors);
            let batch = Batch { images: &images, height, width: columns, dropout };
            let mut gradients = wide(&weights);
            let got = training.differentiate(&batch, &labels, &mut |array, _, gradient| {
                gradients[array] = gradient.iter().map(|&value| f64::from(value)).collect();
            });
            assert!((got - expected).abs() < 1e-5 * expected.max(1.0), "{got} is not {expected}");
            gradients
        });
        // Some of every array: all would take minutes.
        for array in (0..weights.len()).filter(|&array| !network.arrays[array].name.contains("running")) {
            let largest = trained[0][array].iter().fold(1e-3_f64, |largest, value| largest.max(value.abs()));
            let mut places = [0, weights[array].len() / 2, weights[array].len() - 1].to_vec();
            places.dedup();
            for place in places {
                let value = moved[array][place];
                let mut at = |by: f64| {
                    moved[array][place] = value + by;
                    exact(&moved)
                };
                const STEP: f64 = 1e-6;
                let difference = (at(STEP) - at(-STEP)) / (2.0 * STEP);
                at(0.0);
                for gradients in &trained {
                    let got = gradients[array][place];
                    let off = (got - difference).abs() / largest;
                    let name = &network.arrays[array].name;
                    assert!(off < 5e-4, "{name}[{place}], width {width}: {got} is not {difference}");
                }
            }
        }
    }
}

#[test]
fn a_step_of_sgd_is_pytorchs() {
    let (mut weights, mut velocities) = (vec![2.0; 5], vec![0.0; 5]);
    // torch.optim.SGD([2.], lr=0.1, momentum=0.9, weight_decay=0.5), three steps on the loss 3·w.
    for expected in [1.6, 0.86, -0.149] {
        SGD.step(0.1, &mut weights, &[3.0; 5], &mut velocities);
        assert!(weights.iter().all(|got| (got - expected).abs() < 1e-6), "{weights:?} is not {expected}");
    }
}

#[test]
fn every_array_but_the_running_statistics_is_learnt_once() {
    let network = Network::resnet(34, 2, 3, 4);
    let mut training = Training::new(network.clone(), weights(&network), SGD, Vectors::Widest);
    let mut learnt = Vec::new();
    let batch = Batch { images: &noise(2 * 3 * 64, "images"), height: 8, width: 8, dropout: None };
    training.differentiate(&batch, &[0, 3], &mut |array, _, _| learnt.push(array));
    learnt.sort_unstable();
    let learns = |array: &usize| !network.arrays[*array].name.contains("running");
    assert_eq!(learnt, (0..network.arrays.len()).filter(learns).collect::<Vec<_>>());
}

#[test]
fn running_statistics_move_a_tenth_of_the_way_to_those_of_the_batch() {
    let network = Network::resnet(18, 2, 1, 2);
    let mut weights = weights(&network);
    // One output channel that is the image itself, and one that is half of it.
    weights[network.stem.weight] = [1.0, 0.5].into_iter().flat_map(centre).collect();
    let before = weights.clone();
    let images = [1.0, 2.0, 3.0, 6.0, 5.0, 1.0];
    let mut training = Training::new(network, weights, SGD, Vectors::Widest);
    training.differentiate(
        &Batch { images: &images, height: 1, width: 3, dropout: None },
        &[0, 1],
        &mut |_, _, _| (),
    );
    let (mean, variance) = (3.0, 76.0 / 6.0 - 9.0);
    for (channel, factor) in [(0, 1.0), (1, 0.5)] {
        let [got_mean, got_variance] = [3, 4].map(|array| training.weights[array][channel]);
        let expected = 0.9 * before[3][channel] + 0.1 * mean * factor;
        assert!((got_mean - expected).abs() < 1e-6, "{got_mean} is not {expected}");
        // Biased: the mean of the squared distances.
        let expected = 0.9 * before[4][channel] + 0.1 * variance * factor * factor;
        assert!((got_variance - expected).abs() < 1e-6, "{got_variance} is not {expected}");
    }
}

/// A kernel of 3 × 3 that multiplies by `value`.
fn centre(value: f32) -> [f32; 9] {
    let mut kernel = [0.0; 9];
    kernel[4] = value;
    kernel
}

#[test]
fn dropout_scales_what_it_keeps_and_goes_by_key() {
    let seed = Seed::new(1);
    let mask = |keys: &[u64]| Dropout { p: 0.25, seed, keys }.mask(2, 4000);
    let all = mask(&[3, 8]);
    assert!(all.iter().all(|&value| value == 0.0 || value == 4.0 / 3.0));
    let dropped = all.iter().filter(|&&value| value == 0.0).count();
    assert!((1850..2150).contains(&dropped), "{dropped} of 8000");
    assert_eq!(all[4000..], mask(&[8]));
    assert_ne!(all[..4000], all[4000..]);
}
