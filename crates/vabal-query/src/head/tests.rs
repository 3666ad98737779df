//! Loss, gradient and optimum against plain sums in f64 and finite differences; classes without
//! labels, weights, warm starts.

use ndarray::{Array1, Array2, concatenate, s};
use proptest::prelude::*;

use super::*;
use crate::progress::{Flow, silent};
use crate::rng::Seed;

/// Standard normal features of n rows around a centre a class, and labels of the classes below
/// `used`.
fn data(n: usize, d: usize, used: usize, seed: u64) -> (Array2<f32>, Vec<Label>) {
    let mut values = vec![0.0; (n + used) * d];
    Seed::new(seed).normals("features").fill(&mut values);
    let values = Array2::from_shape_vec((n + used, d), values).unwrap();
    let labels: Vec<Label> = (0..n).map(|row| ((row * row + row / 3) % used) as Label).collect();
    let features = Array2::from_shape_fn((n, d), |(row, column)| {
        values[[row, column]] + 0.7 * values[[n + labels[row] as usize, column]]
    });
    (features, labels)
}

fn fit(features: &Array2<f32>, labels: &[Label], classes: usize, tolerance: f64) -> LinearHead {
    let settings = Settings { tolerance, ..Settings::default() };
    LinearHead::fit(features.view(), labels, classes, &settings, None, None, &mut silent()).unwrap()
}

fn loss_of(head: &LinearHead) -> f64 {
    head.loss().unwrap()
}

fn gap_of(head: &LinearHead) -> f64 {
    head.gap().unwrap()
}

/// The objective as it is defined, and its gradient [C, d + 1], the biases last.
fn plain(
    features: &Array2<f32>,
    labels: &[Label],
    row_weights: &[f64],
    parameters: &Array2<f64>,
    l2: f64,
) -> (f64, Array2<f64>) {
    let (classes, d) = (parameters.nrows(), features.ncols());
    let weights = parameters.slice(s![.., ..d]);
    let mut loss = l2 / 2.0 * weights.iter().map(|w| w * w).sum::<f64>();
    let mut gradient = Array2::zeros((classes, d + 1));
    gradient.slice_mut(s![.., ..d]).assign(&(&weights * l2));
    for ((x, &label), &weight) in features.rows().into_iter().zip(labels).zip(row_weights) {
        let x: Array1<f64> = x.iter().map(|&x| f64::from(x)).chain([1.0]).collect();
        let logits = parameters.dot(&x);
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = logits.iter().map(|z| (z - largest).exp()).sum();
        loss += weight * (total.ln() + largest - logits[label as usize]);
        for class in 0..classes {
            let p = (logits[class] - largest).exp() / total;
            let residual = weight * (p - f64::from(u8::from(class == label as usize)));
            gradient.row_mut(class).scaled_add(residual, &x);
        }
    }
    (loss, gradient)
}

/// Of the classes below `classes`, [C, d + 1].
fn parameters(head: &LinearHead, classes: usize) -> Array2<f64> {
    let bias = head.bias.clone().insert_axis(Axis(1));
    concatenate![Axis(1), head.weights, bias].slice(s![..classes, ..]).to_owned()
}

/// The minimum by gradient descent with Nesterov's momentum, restarted where the loss rises.
fn slow(features: &Array2<f32>, labels: &[Label], classes: usize, l2: f64) -> (f64, Array2<f64>) {
    let ones = vec![1.0; labels.len()];
    let size: f64 = features.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() + labels.len() as f64;
    let rate = 1.0 / (size / 2.0 + l2);
    let mut at = Array2::zeros((classes, features.ncols() + 1));
    let (mut ahead, mut momentum, mut last) = (at.clone(), 1.0_f64, f64::INFINITY);
    for _ in 0..200_000 {
        let (loss, gradient) = plain(features, labels, &ones, &ahead, l2);
        if gradient.iter().all(|g| g.abs() < 1e-9) {
            break;
        }
        let next = &ahead - &(gradient * rate);
        let grown = if loss > last { 1.0 } else { 0.5 + (0.25 + momentum * momentum).sqrt() };
        let by = if loss > last { 0.0 } else { (momentum - 1.0) / grown };
        ahead = &next + &((&next - &at) * by);
        (at, momentum, last) = (next, grown, loss);
    }
    (plain(features, labels, &ones, &at, l2).0, at)
}

#[test]
fn loss_and_gradient_are_those_of_the_definition_and_of_finite_differences() {
    for (n, d, classes) in [(1, 2, 2), (37, 5, 3), (600, 7, 4)] {
        let (features, labels) = data(n, d, classes, 1);
        let weights: Vec<f64> = (0..n).map(|row| 0.5 + (row % 4) as f64).collect();
        let rows: Vec<Row> = (labels.iter().zip(&weights))
            .map(|(&label, &weight)| Row { label: label as usize, weight })
            .collect();
        let wide = features.mapv(f64::from);
        let at = Array2::from_shape_fn((classes, d + 1), |(i, j)| ((i * 5 + j * 3) % 7) as f64 / 3.0 - 1.0);
        let flat = |of: &Array2<f64>| -> Vec<f64> {
            of.slice(s![.., ..d]).iter().chain(of.column(d)).copied().collect()
        };
        let (loss, gradient) = plain(&features, &labels, &weights, &at, 0.3);
        let mut got = vec![0.0; classes * (d + 1)];
        let mut exact = Objective::<f64>::new(wide.view(), &rows, classes, 0.3);
        let of_exact = exact.evaluate(&flat(&at), &mut got);
        assert!((of_exact - loss).abs() < 1e-12 * loss);
        for (got, expected) in got.iter().zip(flat(&gradient)) {
            assert!((got - expected).abs() < 1e-10 * n as f64, "{got} {expected}");
        }
        for parameter in 0..got.len() {
            let mut near = |by: f64| {
                let mut moved = flat(&at);
                moved[parameter] += by;
                exact.evaluate(&moved, &mut vec![0.0; moved.len()])
            };
            let difference = (near(1e-5) - near(-1e-5)) / 2e-5;
            assert!((difference - got[parameter]).abs() < 1e-6 * n as f64);
        }
        let mut rough = vec![0.0; got.len()];
        let of_rough =
            Objective::<f32>::new(wide.view(), &rows, classes, 0.3).evaluate(&flat(&at), &mut rough);
        assert!((of_rough - loss).abs() < 1e-6 * loss);
        assert!(rough.iter().zip(&got).all(|(rough, exact)| (rough - exact).abs() < 1e-5 * n as f64));
    }
}

#[test]
fn the_curvature_is_that_of_the_mean_class() {
    let (features, labels) = data(300, 40, 3, 2);
    let rows: Vec<Row> = labels.iter().map(|&label| Row { label: label as usize, weight: 2.0 }).collect();
    let wide = features.mapv(f64::from);
    let mut objective = Objective::<f64>::new(wide.view(), &rows, 3, 0.5);
    // At 0 each probability is a third: a variance of 2 · 3 · 2/9, shared by two.
    objective.evaluate(&[0.0; 3 * 41], &mut [0.0; 3 * 41]);
    let expected = wide.t().dot(&wide) * (2.0 / 3.0) + Array2::<f64>::eye(40) * 0.5;
    for ((i, j), &value) in objective.curvature().indexed_iter().filter(|((i, j), _)| i >= j) {
        assert!((value - expected[[i, j]]).abs() < 1e-9, "{i} {j}");
    }
    assert!((objective.mean_curvature() - expected.diag().mean().unwrap()).abs() < 1e-9);
    assert!(objective.spread.iter().all(|spread| (spread - 600.0 * 2.0 / 9.0).abs() < 1e-9));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_loss_is_the_least_as_gradient_descent_finds_it(
        n in 1_usize..40, d in 1_usize..8, classes in 2_usize..5, seed in 0_u64..1000,
    ) {
        let (features, labels) = data(n.max(classes), d, classes, seed);
        prop_assume!((0..classes as Label).all(|class| labels.contains(&class)));
        let (least, expected) = slow(&features, &labels, classes, 1.0);
        let head = fit(&features, &labels, classes, 1e-10);
        let ones = vec![1.0; labels.len()];
        let (loss, gradient) = plain(&features, &labels, &ones, &parameters(&head, classes), 1.0);
        prop_assert!((loss - least).abs() < 1e-8 * least, "{loss} {least}");
        prop_assert!((loss - loss_of(&head)).abs() < 1e-9 * loss);
        prop_assert!(gradient.iter().all(|g| g.abs() < 1e-4 * least.sqrt()), "{gradient}");
        let difference = &head.weights - &expected.slice(s![.., ..d]);
        prop_assert!(difference.iter().all(|v| v.abs() < 1e-4), "{difference}");
    }

    #[test]
    fn other_names_of_the_classes_are_other_rows_of_the_same_weights(
        n in 4_usize..60, d in 1_usize..30, seed in 0_u64..1000, shift in 1_u32..4,
    ) {
        let (features, labels) = data(n, d, 3, seed);
        // Class 3 has no labels; with other names it is another one that has none.
        let renamed: Vec<Label> = labels.iter().map(|&label| (label + shift) % 4).collect();
        let (one, other) = (fit(&features, &labels, 4, 1e-9), fit(&features, &renamed, 4, 1e-9));
        let (p, q) = (one.probabilities(features.view()).unwrap(), other.probabilities(features.view()).unwrap());
        for ((row, class), &p) in p.indexed_iter() {
            let q = q[[row, (class + shift as usize) % 4]];
            prop_assert!((p - q).abs() < 1e-3, "{p} {q}");
        }
    }

    #[test]
    fn probabilities_are_finite_and_add_up_to_1_whatever_is_labelled(
        n in 1_usize..20, d in 1_usize..40, classes in 2_usize..30, used in 1_usize..30, seed in 0_u64..1000,
        scale in prop::sample::select(vec![1e-3_f32, 1.0, 1e3]),
    ) {
        let (features, labels) = data(n, d, used.min(classes), seed);
        let features = features * scale;
        let head = fit(&features, &labels, classes, 1e-6);
        prop_assert!(gap_of(&head) <= 1e-6, "{} after {}", gap_of(&head), head.iterations());
        let p = head.probabilities(features.view()).unwrap();
        for row in p.rows() {
            prop_assert!(row.iter().all(|p| (0.0..=1.0).contains(p)));
            prop_assert!((row.iter().map(|&p| f64::from(p)).sum::<f64>() - 1.0).abs() < 1e-6);
        }
        prop_assert!(head.logits(features.view()).unwrap().iter().all(|z| z.is_finite()));
    }
}

#[test]
fn weights_are_repeated_rows_and_a_weight_of_0_is_a_row_left_out() {
    let (features, labels) = data(120, 6, 3, 5);
    let weights: Vec<f64> = (0..120).map(|row| (row % 4) as f64).collect();
    let repeated: Vec<usize> = (0..120).flat_map(|row| std::iter::repeat_n(row, row % 4)).collect();
    let settings = Settings { tolerance: 1e-10, ..Settings::default() };
    let weighted =
        LinearHead::fit(features.view(), &labels, 3, &settings, Some(&weights), None, &mut silent()).unwrap();
    let rows = features.select(Axis(0), &repeated);
    let of_rows: Vec<Label> = repeated.iter().map(|&row| labels[row]).collect();
    let plain = fit(&rows, &of_rows, 3, 1e-10);
    assert!((loss_of(&weighted) - loss_of(&plain)).abs() < 1e-9 * loss_of(&plain));
    assert!((&weighted.weights - &plain.weights).iter().all(|v| v.abs() < 1e-4));

    // Bit for bit: a bootstrap head costs as much as its rows.
    let (half, some): (Vec<f64>, Vec<usize>) =
        ((0..120).map(|row| f64::from(u8::from(row % 2 == 0))).collect(), (0..120).step_by(2).collect());
    let left_out =
        LinearHead::fit(features.view(), &labels, 3, &settings, Some(&half), None, &mut silent()).unwrap();
    let of_some: Vec<Label> = some.iter().map(|&row| labels[row]).collect();
    assert_eq!(left_out, fit(&features.select(Axis(0), &some), &of_some, 3, 1e-10));
}

#[test]
fn a_warm_start_gives_the_same_loss_in_less_time() {
    // More rows than columns, fewer, and a class that had no labels before.
    for (before, n, d, used) in [(500, 600, 30, 5), (40, 50, 80, 5), (20, 60, 10, 2)] {
        let (features, mut labels) = data(n, d, 5, 7);
        labels[..before].iter_mut().for_each(|label| *label %= used);
        let settings = Settings::default();
        let warm = fit(&features.slice(s![..before, ..]).to_owned(), &labels[..before], 5, 1e-6);
        let cold = fit(&features, &labels, 5, 1e-6);
        let head = LinearHead::fit(features.view(), &labels, 5, &settings, None, Some(&warm), &mut silent())
            .unwrap();
        assert!((loss_of(&head) - loss_of(&cold)).abs() <= 1e-6 * loss_of(&cold));
        assert!(gap_of(&head) <= 1e-6);
        if used == 5 {
            assert!(head.iterations() < cold.iterations(), "{} {}", head.iterations(), cold.iterations());
        }
        let again = LinearHead::fit(features.view(), &labels, 5, &settings, None, Some(&cold), &mut silent())
            .unwrap();
        assert!(again.iterations() <= 1);
    }
}

#[test]
fn threads_change_no_bit() {
    for (n, d, classes) in [(3000, 64, 12), (150, 300, 6)] {
        let (features, labels) = data(n, d, classes, 9);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let head = fit(&features, &labels, classes, 1e-6);
                let p = head.probabilities(features.view()).unwrap();
                (head, p)
            })
        };
        assert_eq!(run(1), run(4));
    }
}

#[test]
fn a_class_without_labels_adds_next_to_nothing_and_leaves_the_others_alone() {
    let (features, labels) = data(80, 12, 3, 11);
    let (few, many) = (fit(&features, &labels, 3, 1e-6), fit(&features, &labels, 50, 1e-6));
    assert_eq!(few.weights(), many.weights().slice(s![..3, ..]));
    assert_eq!(loss_of(&few), loss_of(&many));
    let ones = vec![1.0; 80];
    let (loss, _) = plain(&features, &labels, &ones, &parameters(&many, 50), 1.0);
    assert!(loss > loss_of(&few) && loss < loss_of(&few) + 47.0 * ABSENT);
    // Far from every row that was fitted, too.
    let far = many.probabilities((features * 100.0).view()).unwrap();
    assert!(far.slice(s![.., 3..]).iter().all(|&p| p <= (ABSENT / 80.0) as f32 * 1.01));
}

#[test]
fn labels_of_one_class_alone_make_it_certain() {
    let (features, _) = data(9, 4, 2, 13);
    let head = fit(&features, &[2; 9], 4, 1e-6);
    assert!(head.weights().iter().all(|&w| w == 0.0));
    let p = head.probabilities(features.view()).unwrap();
    assert!(p.column(2).iter().all(|&p| p > 1.0 - 1e-6));
    assert!(p.iter().all(|&p| p > 0.0));
}

#[test]
fn constant_features_give_the_shares_of_the_classes() {
    let features = Array2::from_elem((10, 7), 3.5_f32);
    for n in [10, 5] {
        let labels: Vec<Label> = (0..n).map(|row| u32::from(row % 5 == 0)).collect();
        let head = fit(&features.slice(s![..n, ..]).to_owned(), &labels, 2, 1e-9);
        let p = head.probabilities(features.view()).unwrap();
        assert!(p.column(1).iter().all(|p| (p - 0.2).abs() < 1e-6), "{p}");
    }
}

#[test]
fn an_offset_of_the_features_changes_nothing() {
    let (features, labels) = data(90, 5, 3, 15);
    let (near, far) = (fit(&features, &labels, 3, 1e-8), fit(&(&features + 1000.0), &labels, 3, 1e-8));
    let far = far.probabilities((&features + 1000.0).view()).unwrap();
    let near = near.probabilities(features.view()).unwrap();
    assert!((near - far).iter().all(|d| d.abs() < 1e-3));
}

#[test]
fn features_of_any_scale_reach_the_tolerance_and_too_few_iterations_warn() {
    for (n, d) in [(400, 20), (30, 60)] {
        for scale in [1e-3_f32, 1e3, 1e12] {
            let (features, labels) = data(n, d, 4, 17);
            let features = features * scale;
            let mut warnings = 0;
            let settings = Settings::default();
            let mut count = |event: Event<'_>| {
                warnings += usize::from(matches!(event, Event::Warning(_)));
                Flow::Continue
            };
            let head =
                LinearHead::fit(features.view(), &labels, 4, &settings, None, None, &mut count).unwrap();
            assert!(loss_of(&head).is_finite());
            assert_eq!(warnings > 0, gap_of(&head) > 1e-6, "{scale}");
            assert!(scale > 1e3 || warnings == 0, "{n} rows, scale {scale}: {}", gap_of(&head));
        }
    }
    let (features, labels) = data(400, 20, 4, 17);
    let settings = Settings { iterations: 3, ..Settings::default() };
    let mut said = Vec::new();
    let mut listen = |event: Event<'_>| {
        if let Event::Warning(text) = event {
            said.push(text.to_owned());
        }
        Flow::Continue
    };
    let head = LinearHead::fit(features.view(), &labels, 4, &settings, None, None, &mut listen).unwrap();
    assert!(gap_of(&head) > 1e-6 && said.len() == 1 && said[0].contains("after 3 iterations"), "{said:?}");
}

#[test]
fn progress_goes_from_0_to_the_end_and_may_stop() {
    let (features, labels) = data(60, 5, 3, 19);
    let mut seen = Vec::new();
    let mut listen = |event: Event<'_>| {
        if let Event::Progress { done, total, .. } = event {
            seen.push((done, total));
        }
        Flow::Continue
    };
    LinearHead::fit(features.view(), &labels, 3, &Settings::default(), None, None, &mut listen).unwrap();
    assert!(seen.is_sorted() && seen.len() > 2);
    assert_eq!((seen[0], seen[seen.len() - 1]), ((0, 1000), (1000, 1000)));
    let mut stop = |_: Event<'_>| Flow::Stop;
    let stopped = LinearHead::fit(features.view(), &labels, 3, &Settings::default(), None, None, &mut stop);
    assert!(matches!(stopped, Err(Error::Stopped)));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let (mut features, labels) = data(6, 3, 2, 21);
    let good = fit(&features, &labels, 2, 1e-6);
    let told = |features: &Array2<f32>, labels: &[Label], classes, weights: Option<&[f64]>, warm| {
        let settings = Settings::default();
        let result =
            LinearHead::fit(features.view(), labels, classes, &settings, weights, warm, &mut silent());
        result.unwrap_err().to_string()
    };
    assert!(told(&features, &labels[1..], 2, None, None).contains("expected: 6\n  got: 5"));
    assert!(told(&features, &[0, 1, 0, 2, 0, 0], 2, None, None).contains("where: labels, row 3"));
    assert!(told(&features, &labels, 1, None, None).contains("two classes"));
    assert!(told(&Array2::zeros((0, 3)), &[], 2, None, None).contains("0 rows"));
    assert!(told(&features, &labels, 2, Some(&[1.0]), None).contains("weights"));
    assert!(told(&features, &labels, 2, Some(&[1.0, 1.0, -1.0, 1.0, 1.0, 1.0]), None).contains("row 2"));
    assert!(told(&features, &labels, 2, Some(&[0.0; 6]), None).contains("a finite sum above 0"));
    assert!(told(&features, &labels, 3, None, Some(&good)).contains("expected: (3, 3)\n  got: (2, 3)"));
    features[[4, 1]] = f32::NAN;
    let text = told(&features, &labels, 2, None, None);
    assert!(text.contains("where: features, row 4, column 1") && text.contains("hint: "), "{text}");
    assert!(good.probabilities(features.view()).is_err());
    assert!(good.logits(Array2::zeros((2, 4)).view()).is_err());
    assert!(good.logits(Array2::zeros((0, 3)).view()).unwrap().is_empty());
    let settings = Settings { l2: 0.0, ..Settings::default() };
    let refused = LinearHead::fit(features.view(), &labels, 2, &settings, None, None, &mut silent());
    assert!(refused.unwrap_err().to_string().contains("where: l2"));
}
