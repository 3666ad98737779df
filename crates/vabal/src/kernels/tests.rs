//! The kernels against the plain loops in f64, and against burn's own operations, forward and backward.

use burn::backend::flex::FlexTensor;
use burn::tensor::module::{batch_norm_train, conv2d};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData, activation};
use proptest::prelude::{Just, Strategy, prop_oneof, proptest};
use rand::RngExt as _;

use super::buffers;
use super::conv::{self, Geometry, Source};
use super::conv_norm::{self, ConvNorm, Options};
use super::norm::{self, Affine};
use super::vectors::Vectors;
use super::winograd;
use crate::rng::Seed;

const VECTORS: [Vectors; 2] = [Vectors::Widest, Vectors::Plain];

/// Uniform in ±1, another list for every name.
fn noise(n: usize, name: &str) -> Vec<f32> {
    let mut rng = Seed::new(n as u64).stream(name);
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Output, gradient of the input, gradient of the weight, by the definition, in f64.
fn plain(g: &Geometry, x: &[f32], weight: &[f32], dy: &[f32]) -> [Vec<f64>; 3] {
    let (height, width) = g.out();
    let mut y = vec![0.0; g.batch * g.map()];
    let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; weight.len()]);
    for (at, y) in y.iter_mut().enumerate() {
        let (to, column, row) = (at % g.to, at / g.to % width, at / g.to / width % height);
        let image = at / g.map();
        for tap in 0..g.size * g.size {
            let i = (row * g.stride + tap / g.size).wrapping_sub(g.padding);
            let j = (column * g.stride + tap % g.size).wrapping_sub(g.padding);
            if i >= g.height || j >= g.width {
                continue;
            }
            for from in 0..g.from {
                let x_at = ((image * g.height + i) * g.width + j) * g.from + from;
                let w_at = (to * g.from + from) * g.size * g.size + tap;
                let (x, w, dy) = (f64::from(x[x_at]), f64::from(weight[w_at]), f64::from(dy[at]));
                *y += x * w;
                dx[x_at] += dy * w;
                dw[w_at] += dy * x;
            }
        }
    }
    [y, dx, dw]
}

/// How far a sum may be off, in units of the rounding of 1 per term: its terms are up to 1 and of both signs, so that
/// it stays small and the roundings, too, are of both signs. Seen: 0.5.
const BOUND: f64 = 2.0;

/// The same for Winograd's way, which adds and takes away again what is some ten times as large. Seen: 5.6.
const WINOGRAD: f64 = 12.0;

/// The largest distance, in that unit.
fn distance(got: &[f32], expected: &[f64], terms: usize) -> f64 {
    assert_eq!(got.len(), expected.len());
    let unit = f64::from(f32::EPSILON) * (terms.max(1) as f64);
    got.iter()
        .zip(expected)
        .map(|(&got, expected)| (f64::from(got) - expected).abs() / unit)
        .fold(0.0, f64::max)
}

fn check(g: &Geometry) {
    let (x, weight) = (noise(g.batch * g.image(), "x"), noise(g.weight(), "weight"));
    let dy = noise(g.batch * g.map(), "dy");
    let [y, dx, dw] = plain(g, &x, &weight, &dy);
    let taps = g.size * g.size;
    let bound = if winograd::suits(g) { WINOGRAD } else { BOUND };
    for vectors in VECTORS {
        let mut got = vec![f32::NAN; y.len()];
        conv::forward(vectors, g, Source::as_is(&x), &weight, &mut got, &mut [], |_, _, _| {});
        assert!(distance(&got, &y, taps * g.from) <= bound, "{vectors:?}, forward, {g:?}");
        let mut got = vec![f32::NAN; dx.len()];
        conv::input_gradient(vectors, g, &dy, &weight, &mut got, false, &mut [], |_, _, _| {});
        assert!(distance(&got, &dx, taps * g.to) <= bound, "{vectors:?}, gradient of the input, {g:?}");
        let mut got = vec![f32::NAN; dw.len()];
        conv::weight_gradient(vectors, g, Source::as_is(&x), &dy, &mut got);
        let terms = g.batch * g.map() / g.to.max(1);
        assert!(distance(&got, &dw, terms) <= bound, "{vectors:?}, gradient of the weight, {g:?}");
    }
}

fn geometries() -> impl Strategy<Value = Geometry> {
    let kernel =
        prop_oneof![Just((3, 1)), Just((1, 0)), Just((3, 0)), Just((5, 2)), Just((2, 1)), Just((1, 1))];
    // Mostly odd small numbers, now and then one beyond any vector.
    let channels = prop_oneof![4 => 1..20_usize, 1 => 30..70_usize];
    let side = prop_oneof![6 => 1..13_usize, 1 => 60..66_usize];
    (1..4_usize, side.clone(), prop_oneof![1..8_usize, side], channels.clone(), channels, kernel, 1..4_usize)
        .prop_map(|(batch, height, width, from, to, (size, padding), stride)| {
            let width = if height > 20 { width.min(9) } else { width };
            Geometry { batch, height, width, from, to, size, stride, padding }
        })
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 96, failure_persistence: None, ..Default::default() })]

    #[test]
    fn convolutions_are_the_plain_loops_for_any_shape(g in geometries()) {
        // A kernel larger than the padded image has no output.
        if g.size <= g.height + 2 * g.padding && g.size <= g.width + 2 * g.padding {
            check(&g);
        }
    }
}

#[test]
fn the_shapes_of_a_residual_network_are_the_plain_loops() {
    let g = |batch, side, from, to, size, stride| {
        check(&Geometry { batch, height: side, width: side, from, to, size, stride, padding: size / 2 });
    };
    // Enough images and channels for every way in which the gradient of the weight is split.
    for (batch, side, from, to, size, stride) in [
        (17, 16, 3, 16, 3, 1),
        (9, 32, 16, 16, 3, 1),
        (2, 8, 16, 32, 3, 2),
        (2, 9, 16, 32, 1, 2),
        (3, 4, 128, 128, 3, 1),
        (21, 2, 24, 40, 3, 1),
        (1, 1, 64, 65, 3, 2),
    ] {
        g(batch, side, from, to, size, stride);
    }
}

#[test]
fn threads_change_no_bit_of_a_convolution() {
    // By the direct way, and by Winograd's.
    for (batch, height, width, stride) in [(13, 9, 7, 2), (13, 9, 7, 1), (37, 12, 12, 1)] {
        let g = Geometry { batch, height, width, from: 24, to: 40, size: 3, stride, padding: 1 };
        let (x, weight) = (noise(g.batch * g.image(), "x"), noise(g.weight(), "weight"));
        let dy = noise(g.batch * g.map(), "dy");
        let all = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut out = [vec![0.0; g.batch * g.map()], vec![0.0; x.len()], vec![0.0; weight.len()]];
                let [y, dx, dw] = &mut out;
                let x = Source::as_is(&x);
                conv::forward(Vectors::Widest, &g, x, &weight, y, &mut [], |_, _, _| {});
                conv::input_gradient(Vectors::Widest, &g, &dy, &weight, dx, false, &mut [], |_, _, _| {});
                conv::weight_gradient(Vectors::Widest, &g, x, &dy, dw);
                out
            })
        };
        let one = all(1);
        for threads in [2, 3, 5] {
            assert_eq!(one, all(threads), "{threads} threads, {g:?}");
        }
    }
}

#[test]
fn a_gradient_of_the_input_is_added_to_what_is_there_once() {
    for stride in [1, 2] {
        let g = Geometry { batch: 5, height: 9, width: 8, from: 16, to: 24, size: 3, stride, padding: 1 };
        let (weight, dy) = (noise(g.weight(), "weight"), noise(g.batch * g.map(), "dy"));
        let there = noise(g.batch * g.image(), "there");
        for vectors in VECTORS {
            let (mut alone, mut together) = (vec![f32::NAN; there.len()], there.clone());
            conv::input_gradient(vectors, &g, &dy, &weight, &mut alone, false, &mut [], |_, _, _| {});
            conv::input_gradient(vectors, &g, &dy, &weight, &mut together, true, &mut [], |_, _, _| {});
            let expected: Vec<f32> = alone.iter().zip(&there).map(|(a, b)| a + b).collect();
            assert_eq!(together, expected, "{vectors:?}");
        }
    }
}

/// By the direct way, and by Winograd's: with an image border inside a tile, and without.
#[test]
fn what_is_activated_as_it_is_read_is_convolved_as_if_it_had_been_before() {
    for (height, width, from, stride) in [(9, 8, 16, 1), (16, 16, 24, 1), (9, 8, 16, 2), (2, 2, 5, 1)] {
        let g = Geometry { batch: 5, height, width, from, to: 24, size: 3, stride, padding: 1 };
        let (x, weight) = (noise(g.batch * g.image(), "x"), noise(g.weight(), "weight"));
        let dy = noise(g.batch * g.map(), "dy");
        let [mean, scale, shift] = ["mean", "scale", "shift"].map(|name| noise(from, name));
        let affine = Affine { mean, scale, shift };
        for vectors in VECTORS {
            let mut before = x.clone();
            before.chunks_exact_mut(g.image()).for_each(|image| {
                norm::normalise(vectors, &affine, None, None, true, image);
            });
            assert!(before.contains(&0.0) && before.iter().any(|&value| value > 0.0));
            let sources = [Source::as_is(&before), Source { values: &x, activated: Some(&affine) }];
            let [expected, got] = sources.map(|x| {
                let (mut y, mut dw) = (vec![f32::NAN; g.batch * g.map()], vec![f32::NAN; g.weight()]);
                conv::forward(vectors, &g, x, &weight, &mut y, &mut [], |_, _, _| {});
                conv::weight_gradient(vectors, &g, x, &dy, &mut dw);
                [y, dw]
            });
            assert_eq!(got, expected, "{vectors:?}, {g:?}");
        }
    }
}

#[test]
fn an_array_comes_back_once_it_was_taken_and_nobody_else_holds_it() {
    let _kept = buffers::Kept::new();
    // A length that no other test has.
    let n = 98_765;
    let mut array = buffers::take(n);
    array.fill(7.0);
    let tensor = FlexTensor::from_data(TensorData::new(array, [n]));
    let held = tensor.clone();
    buffers::reclaim(tensor);
    assert_eq!(buffers::take(n)[0], 0.0, "somebody reads it still");
    buffers::reclaim(held);
    assert_eq!(buffers::take(n)[0], 7.0);
}

#[test]
fn arrays_that_others_made_do_not_pile_up() {
    let _kept = buffers::Kept::new();
    let n = 98_767;
    buffers::give(vec![1.0; n]);
    assert_eq!(buffers::take(n)[0], 0.0, "nobody had asked for one");
    for _ in 0..5 {
        buffers::give(vec![1.0; n]);
    }
    let kept = (0..5).filter(|_| buffers::take(n)[0] == 1.0).count();
    assert_eq!(kept, 1);
}

/// What is learnt in a layer, with gradients.
fn learnt(name: &str, [from, to, size]: [usize; 3], device: &Device) -> [Tensor<1>; 3] {
    [to * from * size * size, to, to].map({
        let mut parts = ["weight", "gamma", "beta"].into_iter();
        move |n| {
            let part = parts.next().expect("three");
            Tensor::<1>::from_floats(noise(n, &format!("{name} {part}")).as_slice(), device).require_grad()
        }
    })
}

/// A layer as the kernels take it.
fn layer(learnt: &[Tensor<1>; 3], [from, to, size]: [usize; 3], options: Options) -> ConvNorm {
    let [weight, gamma, beta] = learnt.clone();
    ConvNorm { weight: weight.reshape([to, from, size, size]), affine: [gamma, beta], options }
}

/// A layer by burn's operations alone, before the ReLU.
fn reference(x: Tensor<4>, layer: ConvNorm) -> (Tensor<4>, [Tensor<1>; 2]) {
    let ConvNorm { weight, affine: [gamma, beta], options } = layer;
    let (stride, padding) = ([options.stride; 2], [options.padding; 2]);
    let y = conv2d(x, weight, None, ConvOptions::new(stride, padding, [1, 1], 1));
    let normalised = batch_norm_train(y, gamma, beta, options.epsilon);
    (normalised.output, [normalised.mean, normalised.variance])
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

/// Asserts that lists are the same but for rounding.
fn assert_near(got: &[Vec<f32>], expected: &[Vec<f32>], what: &str) {
    assert_eq!(got.len(), expected.len());
    for (list, (got, expected)) in got.iter().zip(expected).enumerate() {
        let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        assert_eq!(got.len(), expected.len(), "list {list} of {what}");
        for (got, expected) in got.iter().zip(expected) {
            let off = (got - expected).abs() / largest.max(1.0);
            assert!(off < 2e-5, "list {list} of {what}: {got} is not {expected}");
        }
    }
}

#[test]
fn a_layer_and_its_gradients_are_those_of_burns_operations() {
    let device = Device::flex().autodiff();
    // (batch, height, width, from, to, size, stride, padding)
    for shape in [
        (4, 6, 5, 3, 16, 3, 1, 1),
        (5, 7, 7, 8, 19, 3, 2, 1),
        (3, 4, 4, 33, 8, 1, 2, 0),
        (2, 1, 1, 4, 4, 3, 1, 1),
    ] {
        for vectors in VECTORS {
            let (batch, height, width, from, to, size, stride, padding) = shape;
            let g = Geometry { batch, height, width, from, to, size, stride, padding };
            let (out_height, out_width) = g.out();
            let map = [batch, to, out_height, out_width];
            let options = Options { stride, padding, epsilon: 1e-5, vectors };
            let run = |ours: bool| {
                let x = noise(batch * g.image(), "x");
                let x = Tensor::<4>::from_data(TensorData::new(x, [batch, from, height, width]), &device)
                    .require_grad();
                let all = learnt("layer", [from, to, size], &device);
                let of_layer = layer(&all, [from, to, size], options);
                let (y, [mean, variance]) = if ours {
                    conv_norm::train(x.clone(), of_layer)
                } else {
                    let (y, statistics) = reference(x.clone(), of_layer);
                    (activation::relu(y), statistics)
                };
                let dy = Tensor::<4>::from_data(TensorData::new(noise(batch * g.map(), "dy"), map), &device);
                let gradients = (y.clone() * dy).sum().backward();
                let mut lists = vec![values(y), values(mean), values(variance)];
                lists.push(values(x.grad(&gradients).unwrap()));
                lists.extend(all.map(|learnt| values(learnt.grad(&gradients).unwrap())));
                lists
            };
            assert_near(&run(true), &run(false), &format!("{shape:?}, {vectors:?}"));
        }
    }
}

#[test]
fn a_block_and_its_gradients_are_those_of_burns_operations() {
    let device = Device::flex().autodiff();
    // (batch, height, width, from, to, stride); Winograd's shapes and others, with a shortcut where the shape changes.
    for shape in [
        (3, 9, 8, 16, 16, 1),
        (2, 8, 8, 24, 24, 1),
        (4, 7, 6, 8, 19, 2),
        (2, 3, 3, 5, 5, 1),
        (3, 4, 4, 6, 6, 2),
    ] {
        for vectors in VECTORS {
            let (batch, height, width, from, to, stride): (usize, usize, usize, usize, usize, usize) = shape;
            let with_shortcut = from != to || stride != 1;
            let options = |stride, padding| Options { stride, padding, epsilon: 1e-5, vectors };
            let n = batch * height.div_ceil(stride) * width.div_ceil(stride) * to;
            let map = [batch, to, height.div_ceil(stride), width.div_ceil(stride)];
            let run = |ours: bool| {
                let x = noise(batch * height * width * from, "x");
                let x = Tensor::<4>::from_data(TensorData::new(x, [batch, from, height, width]), &device)
                    .require_grad();
                let sizes = [[from, to, 3], [to, to, 3], [from, to, 1]];
                let [a, b, c] = [0, 1, 2].map(|i| learnt(&format!("layer {i}"), sizes[i], &device));
                let first = layer(&a, sizes[0], options(stride, 1));
                let second = layer(&b, sizes[1], options(1, 1));
                let shortcut = with_shortcut.then(|| layer(&c, sizes[2], options(stride, 0)));
                let (y, statistics) = if ours {
                    conv_norm::train_block(x.clone(), first, second, shortcut)
                } else {
                    let (y, of_first) = reference(x.clone(), first);
                    let (y, of_second) = reference(activation::relu(y), second);
                    let mut all = vec![of_first, of_second];
                    let round = match shortcut {
                        None => x.clone(),
                        Some(shortcut) => {
                            let (round, of_shortcut) = reference(x.clone(), shortcut);
                            all.push(of_shortcut);
                            round
                        }
                    };
                    (activation::relu(y + round), all)
                };
                let dy = Tensor::<4>::from_data(TensorData::new(noise(n, "dy"), map), &device);
                let gradients = (y.clone() * dy).sum().backward();
                let mut lists = vec![values(y), values(x.grad(&gradients).unwrap())];
                lists.extend(statistics.into_iter().flatten().map(values));
                let all = [a, b].into_iter().chain(with_shortcut.then_some(c)).flatten();
                lists.extend(all.map(|learnt| values(learnt.grad(&gradients).unwrap())));
                lists
            };
            assert_near(&run(true), &run(false), &format!("{shape:?}, {vectors:?}"));
        }
    }
}

#[test]
fn a_block_finds_no_gradient_of_an_input_that_wants_none() {
    let device = Device::flex().autodiff();
    let options = Options { stride: 1, padding: 1, epsilon: 1e-5, vectors: Vectors::Widest };
    let x = Tensor::<4>::from_data(TensorData::new(noise(2 * 8 * 36, "x"), [2, 8, 6, 6]), &device);
    let [a, b] = ["first", "second"].map(|name| learnt(name, [8, 8, 3], &device));
    let of = |all| layer(all, [8, 8, 3], options);
    let (y, _) = conv_norm::train_block(x.clone(), of(&a), of(&b), None);
    let gradients = y.sum().backward();
    assert!(x.grad(&gradients).is_none());
    assert!(a.iter().chain(&b).all(|learnt| learnt.grad(&gradients).is_some()));
}

#[test]
fn a_frozen_layer_normalises_by_the_statistics_it_is_given() {
    let device = Device::flex();
    let of =
        |n, name, shape: [usize; 4]| Tensor::<4>::from_data(TensorData::new(noise(n, name), shape), &device);
    let (x, weight) = (of(2 * 5 * 36, "x", [2, 5, 6, 6]), of(18 * 5 * 9, "weight", [18, 5, 3, 3]));
    let residual = of(2 * 18 * 9, "residual", [2, 18, 3, 3]);
    let vector = |name, shift: f32| {
        let values: Vec<f32> = noise(18, name).iter().map(|value| value + shift).collect();
        Tensor::<1>::from_floats(values.as_slice(), &device)
    };
    let (gamma, beta, mean, variance) =
        (vector("g", 0.0), vector("b", 0.0), vector("m", 0.0), vector("v", 1.5));
    let column = |of: &Tensor<1>| of.clone().reshape([1, 18, 1, 1]);
    let convolved = conv2d(x.clone(), weight.clone(), None, ConvOptions::new([2, 2], [1, 1], [1, 1], 1));
    let scale = column(&gamma) / (column(&variance) + 1e-5).sqrt();
    let expected = (convolved - column(&mean)) * scale + column(&beta) + residual.clone();
    let expected = values(activation::relu(expected));
    for vectors in VECTORS {
        let options = Options { stride: 2, padding: 1, epsilon: 1e-5, vectors };
        let layer = ConvNorm { weight: weight.clone(), affine: [gamma.clone(), beta.clone()], options };
        let statistics = [mean.clone(), variance.clone()];
        let got = conv_norm::infer(x.clone(), layer, statistics, Some(residual.clone()), true);
        for (got, expected) in values(got).iter().zip(&expected) {
            assert!((got - expected).abs() < 2e-5, "{got} is not {expected}");
        }
    }
}

#[test]
fn the_gradient_of_a_layer_is_its_finite_difference() {
    let device = Device::flex().autodiff();
    let x = noise(3 * 4 * 25, "x");
    let weight = Tensor::<4>::from_data(TensorData::new(noise(6 * 4 * 9, "weight"), [6, 4, 3, 3]), &device);
    let affine =
        || [Tensor::<1>::from_floats([0.9; 6], &device), Tensor::<1>::from_floats([9.0; 6], &device)];
    let dy = Tensor::<4>::from_data(TensorData::new(noise(3 * 6 * 25, "dy"), [3, 6, 5, 5]), &device);
    // Moved so far up that the ReLU, whose kink a difference would step over, cuts nothing off.
    let options = Options { stride: 1, padding: 1, epsilon: 1e-5, vectors: Vectors::Widest };
    let loss = |x: Vec<f32>| {
        let x = Tensor::<4>::from_data(TensorData::new(x, [3, 4, 5, 5]), &device).require_grad();
        let layer = ConvNorm { weight: weight.clone(), affine: affine(), options };
        let (y, _) = conv_norm::train(x.clone(), layer);
        (x, (y * dy.clone()).sum())
    };
    let (at, total) = loss(x.clone());
    let gradient = values(at.grad(&total.backward()).unwrap());
    let step = 1e-2;
    for i in (0..x.len()).step_by(7) {
        let moved = |by: f32| {
            let mut x = x.clone();
            x[i] += by;
            f64::from(loss(x).1.into_scalar::<f32>())
        };
        let difference = (moved(step) - moved(-step)) / f64::from(2.0 * step);
        assert!(
            (difference - f64::from(gradient[i])).abs() < 2e-2,
            "{i}: {difference} is not {}",
            gradient[i]
        );
    }
}

#[test]
fn a_number_that_is_none_goes_through_a_layer_unhidden() {
    let device = Device::flex();
    let x = Tensor::<4>::full([1, 2, 3, 3], f32::NAN, &device);
    let weight = Tensor::<4>::ones([4, 2, 3, 3], &device);
    let (one, zero) = (Tensor::<1>::ones([4], &device), Tensor::<1>::zeros([4], &device));
    let options = Options { stride: 1, padding: 1, epsilon: 1e-5, vectors: Vectors::Widest };
    let layer = ConvNorm { weight, affine: [one.clone(), zero.clone()], options };
    let y = conv_norm::infer(x, layer, [zero, one], None, true);
    assert!(values(y).iter().all(|value| value.is_nan()));
}
