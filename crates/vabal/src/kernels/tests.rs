//! The kernels against the plain loops in f64, forward and backward.

use proptest::prelude::{Just, Strategy, prop_oneof, proptest};
use rand::RngExt as _;

use super::conv::{self, Geometry, Source};
use super::norm::{self, Affine};
use super::vectors::Vectors;
use super::winograd;
use super::workspace::Workspace;
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

/// How far a sum may be off, in units of the rounding of 1 per term: its terms are up to 1 and of
/// both signs, so that it stays small and the roundings, too, are of both signs. Seen: 0.5.
const BOUND: f64 = 2.0;

/// The same for Winograd's way, which adds and takes away again what is some ten times as large.
/// Seen: 5.6.
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
        conv::forward(
            &Workspace::new(vectors),
            g,
            Source::as_is(&x),
            &weight,
            &mut got,
            &mut [],
            |_, _, _| {},
        );
        assert!(distance(&got, &y, taps * g.from) <= bound, "{vectors:?}, forward, {g:?}");
        let mut got = vec![f32::NAN; dx.len()];
        conv::input_gradient(
            &Workspace::new(vectors),
            g,
            &dy,
            &weight,
            &mut got,
            false,
            &mut [],
            |_, _, _| {},
        );
        assert!(distance(&got, &dx, taps * g.to) <= bound, "{vectors:?}, gradient of the input, {g:?}");
        let mut got = vec![f32::NAN; dw.len()];
        conv::weight_gradient(&Workspace::new(vectors), g, Source::as_is(&x), &dy, &mut got);
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
                let (x, workspace) = (Source::as_is(&x), &Workspace::default());
                conv::forward(workspace, &g, x, &weight, y, &mut [], |_, _, _| {});
                conv::input_gradient(workspace, &g, &dy, &weight, dx, false, &mut [], |_, _, _| {});
                conv::weight_gradient(workspace, &g, x, &dy, dw);
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
            let workspace = Workspace::new(vectors);
            let (mut alone, mut together) = (vec![f32::NAN; there.len()], there.clone());
            conv::input_gradient(&workspace, &g, &dy, &weight, &mut alone, false, &mut [], |_, _, _| {});
            conv::input_gradient(&workspace, &g, &dy, &weight, &mut together, true, &mut [], |_, _, _| {});
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
            let workspace = Workspace::new(vectors);
            let mut before = x.clone();
            before.chunks_exact_mut(g.image()).for_each(|image| {
                norm::normalise(vectors, &affine, None, None, true, image);
            });
            assert!(before.contains(&0.0) && before.iter().any(|&value| value > 0.0));
            let sources = [Source::as_is(&before), Source { values: &x, activated: Some(&affine) }];
            let [expected, got] = sources.map(|x| {
                let (mut y, mut dw) = (vec![f32::NAN; g.batch * g.map()], vec![f32::NAN; g.weight()]);
                conv::forward(&workspace, &g, x, &weight, &mut y, &mut [], |_, _, _| {});
                conv::weight_gradient(&workspace, &g, x, &dy, &mut dw);
                [y, dw]
            });
            assert_eq!(got, expected, "{vectors:?}, {g:?}");
        }
    }
}

#[test]
fn a_number_that_is_none_goes_through_a_layer_unhidden() {
    let g = Geometry { batch: 1, height: 3, width: 3, from: 2, to: 4, size: 3, stride: 1, padding: 1 };
    let affine = Affine { mean: vec![0.0; 4], scale: vec![1.0; 4], shift: vec![0.0; 4] };
    for vectors in VECTORS {
        let mut y = vec![0.0; g.map()];
        let (x, weight, workspace) = ([f32::NAN; 18], vec![1.0; g.weight()], Workspace::new(vectors));
        conv::forward(&workspace, &g, Source::as_is(&x), &weight, &mut y, &mut [], |_, plane, _| {
            norm::normalise(vectors, &affine, None, None, true, plane);
        });
        assert!(y.iter().all(|value| value.is_nan()));
    }
}
