//! Components against Jacobi's method on the covariance matrix in f64, and what must change
//! nothing.

use proptest::prelude::*;

use super::*;
use crate::progress::{Flow, silent};

/// Features [n, d] whose column j has the standard deviation `spread`(j) before it is mixed with
/// the others, and an offset.
fn data(n: usize, d: usize, seed: u64, spread: impl Fn(usize) -> f64) -> Array2<f32> {
    let mut draws = vec![0.0; (n + d) * d];
    Seed::new(seed).normals("features").fill(&mut draws);
    let draws = Array2::from_shape_vec((n + d, d), draws).unwrap().mapv(f64::from);
    let mut mix = draws.slice(s![n.., ..]).to_owned();
    orthonormalise(&mut mix);
    let scaled = Array2::from_shape_fn((n, d), |(row, column)| draws[[row, column]] * spread(column));
    (scaled.dot(&mix) + 3.0).mapv(|v| v as f32)
}

fn ids(n: usize) -> Vec<Id> {
    (0..n as Id).map(|id| id * 7 + 1).collect()
}

fn fit(features: &Array2<f32>, components: usize) -> Pca {
    Pca::fit(features.view(), &ids(features.nrows()), components, Seed::new(3), &mut silent()).unwrap()
}

/// Eigenvalues in descending order and eigenvectors as rows of the covariance, by the classical
/// two-sided method of Jacobi.
fn plain(features: &Array2<f32>) -> (Vec<f64>, Array2<f64>) {
    let wide = features.mapv(f64::from);
    let centred = &wide - &wide.mean_axis(Axis(0)).unwrap();
    let mut a = centred.t().dot(&centred) / (wide.nrows() - 1).max(1) as f64;
    let d = a.nrows();
    let mut v = Array2::<f64>::eye(d);
    for _ in 0..100 {
        for (p, q) in (0..d).flat_map(|q| (0..q).map(move |p| (p, q))) {
            if a[[p, q]].abs() <= 1e-18 * a.diag().sum() {
                continue;
            }
            let angle = 0.5 * (2.0 * a[[p, q]]).atan2(a[[q, q]] - a[[p, p]]);
            let (sine, cosine) = angle.sin_cos();
            for k in 0..d {
                let (x, y) = (a[[k, p]], a[[k, q]]);
                (a[[k, p]], a[[k, q]]) = (cosine * x - sine * y, sine * x + cosine * y);
            }
            for k in 0..d {
                let (x, y) = (a[[p, k]], a[[q, k]]);
                (a[[p, k]], a[[q, k]]) = (cosine * x - sine * y, sine * x + cosine * y);
                let (x, y) = (v[[p, k]], v[[q, k]]);
                (v[[p, k]], v[[q, k]]) = (cosine * x - sine * y, sine * x + cosine * y);
            }
        }
    }
    let mut order: Vec<usize> = (0..d).collect();
    order.sort_by(|&i, &j| a[[j, j]].total_cmp(&a[[i, i]]));
    (order.iter().map(|&i| a[[i, i]]).collect(), v.select(Axis(0), &order))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn variances_and_components_are_those_of_all_eigenvectors_of_the_covariance(
        n in 2_usize..120, d in 1_usize..90, components in 1_usize..12, seed in 0_u64..1000,
        decay in prop::sample::select(vec![1.0_f64, 0.97, 0.8, 0.5]),
    ) {
        let features = data(n, d, seed, |column| decay.powi(column as i32));
        let (values, vectors) = plain(&features);
        let pca = fit(&features, components);
        let total: f64 = values.iter().sum();
        prop_assert!((pca.total() - total).abs() < 1e-9 * total);
        let k = pca.variances().len();
        prop_assert!(k <= components.min(d).min(n - 1).max(1));
        for (at, &variance) in pca.variances().iter().enumerate() {
            prop_assert!((variance - values[at]).abs() < 1e-9 * values[0], "{at}: {variance} {}", values[at]);
        }
        // What was left out is rounding.
        prop_assert!(k == components || values.get(k).is_none_or(|&value| value < 1e-10 * values[0]));
        let square = pca.components().dot(&pca.components().t());
        prop_assert!((square - Array2::<f64>::eye(k)).iter().all(|e| e.abs() < 1e-8));
        for (at, component) in pca.components().rows().into_iter().enumerate() {
            let apart = |other: usize| values.get(other).is_none_or(|&v| (v - values[at]).abs() > 1e-3 * values[0]);
            if apart(at + 1) && (at == 0 || apart(at - 1)) {
                prop_assert!((component.dot(&vectors.row(at)).abs() - 1.0).abs() < 1e-6, "{at}");
            }
            let most = component.iter().fold(0.0_f64, |most, &v| if v.abs() > most.abs() { v } else { most });
            prop_assert!(most > 0.0);
        }
    }
}

#[test]
fn the_subspace_iteration_finds_what_jacobis_method_does() {
    // Wide enough that a block of directions is less than half of the columns; more rows than
    // columns, and fewer.
    for (n, d, k, decay) in
        [(400, 150, 10, 0.9), (400, 150, 10, 1.0), (130, 400, 6, 0.97), (300, 120, 3, 0.3)]
    {
        let features = data(n, d, 5, |column| f64::powi(decay, column as i32));
        let pca = fit(&features, k);
        let (values, _) = plain(&features.select(Axis(0), &(0..n).collect::<Vec<_>>()));
        assert_eq!(pca.variances().len(), k);
        for (at, &variance) in pca.variances().iter().enumerate() {
            assert!(
                (variance - values[at]).abs() < 1e-6 * values[0],
                "{decay}, {at}: {variance} {}",
                values[at]
            );
        }
        let square = pca.components().dot(&pca.components().t());
        assert!((square - Array2::<f64>::eye(k)).iter().all(|e| e.abs() < 1e-8));
        // The variance along a component is what it says.
        let along = pca.transform(features.view()).unwrap().mapv(f64::from).var_axis(Axis(0), 1.0);
        for (along, &variance) in along.iter().zip(pca.variances()) {
            assert!((along - variance).abs() < 1e-5 * values[0]);
        }
    }
}

#[test]
fn fewer_directions_than_asked_for_are_all_there_are() {
    // Rank 3 in 60 columns, and in 200, where a block is smaller than the matrix.
    for (n, d) in [(50, 60), (90, 60), (300, 200), (150, 200)] {
        // Whole numbers, so that nothing is rounded.
        let whole = |n: usize, d: usize, seed| data(n, d, seed, |_| 3.0).mapv(f32::round);
        let features = whole(n, 3, 7).dot(&whole(3, d, 8));
        let pca = fit(&features, 20);
        assert_eq!(pca.components().dim(), (3, d));
        assert!((pca.explained() - 1.0).abs() < 1e-12);
        let rebuilt =
            pca.transform(features.view()).unwrap().mapv(f64::from).dot(&pca.components()) + pca.mean();
        let size = features.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
        assert!((rebuilt - features.mapv(f64::from)).iter().all(|e| e.abs() < 1e-5 * f64::from(size)));
    }
}

#[test]
fn features_that_do_not_vary_have_one_component_and_it_is_0() {
    for n in [1, 9] {
        let features = Array2::from_elem((n, 5), 0.1_f32);
        let pca = fit(&features, 3);
        assert_eq!((pca.variances().to_vec(), pca.explained()), (vec![0.0], 1.0));
        assert!(pca.transform(features.view()).unwrap().iter().all(|v| v.abs() < 1e-7));
    }
    // A constant column has no part in any component.
    let mut features = data(40, 6, 9, |_| 1.0);
    features.column_mut(2).fill(0.1);
    assert!(fit(&features, 6).components().column(2).iter().all(|&v| v == 0.0));
}

#[test]
fn the_order_of_the_rows_and_the_threads_change_no_bit() {
    let features = data(11_000, 70, 11, |column| 1.0 / (1.0 + column as f64));
    let ids = ids(11_000);
    let reversed: Vec<usize> = (0..11_000).rev().collect();
    let turned = features.select(Axis(0), &reversed);
    let turned_ids: Vec<Id> = reversed.iter().map(|&row| ids[row]).collect();
    let run = |threads, features: &Array2<f32>, ids: &[Id]| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| Pca::fit(features.view(), ids, 8, Seed::new(1), &mut silent()).unwrap())
    };
    let pca = run(1, &features, &ids);
    assert_eq!(pca, run(3, &turned, &turned_ids));
    // No more rows than these enter.
    let chosen = &Seed::new(1).order("pca", &ids)[..ROWS];
    let some: Vec<Id> = chosen.iter().map(|&row| ids[row]).collect();
    assert_eq!(pca, run(2, &features.select(Axis(0), chosen), &some));
    let all = pca.transform(features.view()).unwrap();
    for rows in [s![3..4, ..], s![200..530, ..]] {
        assert_eq!(pca.transform(features.slice(rows)).unwrap(), all.slice(rows));
    }
}

#[test]
fn a_head_on_components_is_one_on_the_features() {
    let features = data(60, 20, 13, |column| 1.0 / (1.0 + column as f64));
    let pca = fit(&features, 5);
    let weights = Array2::from_shape_fn((3, 5), |(i, j)| ((i * 5 + j * 3) % 7) as f64 - 3.0);
    let head = LinearHead::of(weights, Array1::from_vec(vec![1.0, -2.0, 0.5])).unwrap();
    let raw = pca.head(&head).unwrap().logits(features.view()).unwrap();
    let small = head.logits(pca.transform(features.view()).unwrap().view()).unwrap();
    assert!((raw - small).iter().all(|e| e.abs() < 1e-5));
    let other = LinearHead::of(Array2::zeros((3, 6)), Array1::zeros(3)).unwrap();
    assert!(pca.head(&other).unwrap_err().to_string().contains("expected: 5 columns\n  got: 6"));
}

#[test]
fn what_was_kept_is_the_same_and_what_is_wrong_is_said() {
    let features = data(30, 8, 15, |_| 1.0);
    let pca = fit(&features, 3);
    let parts = || (pca.mean().to_owned(), pca.components().to_owned(), pca.variances().to_owned());
    let (mean, components, variances) = parts();
    assert_eq!(Pca::of(mean, components, variances, pca.total()).unwrap(), pca);
    let (mean, components, variances) = parts();
    assert!(Pca::of(mean, components.slice_move(s![..2, ..]), variances, 1.0).is_err());
    let (mean, components, variances) = parts();
    assert!(Pca::of(mean, components, -variances, 1.0).is_err());
    let told = |features: &Array2<f32>, ids: &[Id], components| {
        let fitted = Pca::fit(features.view(), ids, components, Seed::new(1), &mut silent());
        fitted.unwrap_err().to_string()
    };
    assert!(told(&features, &ids(30), 0).contains("0 components"));
    assert!(told(&features, &ids(29), 3).contains("expected: 30\n  got: 29"));
    let mut broken = features.clone();
    broken[[4, 1]] = f32::NAN;
    assert!(told(&broken, &ids(30), 3).contains("where: features, row 4, column 1"));
    assert!(pca.transform(broken.view()).is_err() && pca.transform(Array2::zeros((1, 7)).view()).is_err());
}

#[test]
fn progress_goes_from_0_to_the_end_and_may_stop() {
    let features = data(400, 200, 17, |column| 1.0 / (1.0 + column as f64));
    let mut seen = Vec::new();
    let mut listen = |event: Event<'_>| {
        if let Event::Progress { done, total, .. } = event {
            seen.push((done, total));
        }
        Flow::Continue
    };
    Pca::fit(features.view(), &ids(400), 4, Seed::new(1), &mut listen).unwrap();
    assert!(seen.is_sorted() && (seen[0], seen[seen.len() - 1]) == ((0, STEPS), (STEPS, STEPS)));
    let mut left = 3;
    let mut stop = |_: Event<'_>| {
        left -= 1;
        if left == 0 { Flow::Stop } else { Flow::Continue }
    };
    let stopped = Pca::fit(features.view(), &ids(400), 4, Seed::new(1), &mut stop);
    assert!(matches!(stopped, Err(Error::Stopped)));
}
