//! Scores against the formulas by plain sums and elimination in f64, quotas against the ranking, and pools at the edges.

use std::collections::HashMap;

use ndarray::{Array1, Array2, Axis};
use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};
use rand::RngExt as _;

use super::gaussian::Statistics;
use super::*;
use crate::progress::silent;
use crate::rng::Seed;
use crate::strategies::rows::Rows;
use crate::{Id, Signals};

/// A pool with made features: class c lies about its own corner, some rows far out.
struct Made {
    features: Array2<f32>,
    p: Array2<f32>,
    labelled: Array2<f32>,
    labels: Vec<Label>,
    classes: usize,
}

fn made(seed: u64, n: usize, m: usize, d: usize, classes: usize) -> Made {
    let mut rng = Seed::new(seed).stream("test");
    let mut features = |rows: usize| {
        let of: Vec<usize> = (0..rows).map(|_| rng.random_range(0..classes)).collect();
        let noise = Array2::from_shape_fn((rows, d), |(i, j)| {
            rng.random_range(-1.0..1.0) + if of[i] % d == j { 1.5 } else { 0.0 }
        });
        (noise, of)
    };
    let (features, of) = features(n + m);
    let mut p = Array2::from_shape_fn((n, classes), |(i, c)| {
        f32::from(of[i] == c) * 0.5 + rng.random_range(0.01..1.0)
    });
    for mut row in p.rows_mut() {
        row /= row.sum();
    }
    let (features, labelled) = features.view().split_at(Axis(0), n);
    let labels = of[n..].iter().map(|&c| c as Label).collect();
    Made { features: features.to_owned(), p, labelled: labelled.to_owned(), labels, classes }
}

impl Made {
    fn ask(&self, settings: Settings, n: usize, order: &[usize]) -> Selection {
        let rows = self.features.select(Axis(0), order);
        let unlabelled = Signals::new(order.iter().map(|&row| row as Id).collect())
            .with_probabilities(self.p.select(Axis(0), order))
            .unwrap()
            .with_embedding(rows)
            .unwrap();
        self.ask_of(&unlabelled, settings, n)
    }

    fn ask_of(&self, unlabelled: &Signals<'_>, settings: Settings, n: usize) -> Selection {
        let first = 1 << 40;
        let labelled = Signals::new((first..first + self.labels.len() as Id).collect())
            .with_embedding(self.labelled.clone())
            .unwrap();
        let query = Query {
            unlabelled,
            labelled: &labelled,
            labels: &self.labels,
            classes: self.classes,
            n,
            seed: Seed::new(1),
        };
        let strategy = Vabal(settings);
        query.check(&strategy).unwrap();
        strategy.select(&query, &mut silent()).unwrap()
    }

    fn rows(&self) -> Vec<usize> {
        (0..self.features.nrows()).collect()
    }

    /// Score and class by g of every row, as the formulas are written: sums over rows, Gauss's elimination.
    fn by_the_book(&self, tau: f64, ridge: f64) -> Vec<(f64, usize)> {
        let (n, classes, d) = (self.p.nrows(), self.classes, self.features.ncols());
        let mut count = vec![1.0; classes];
        self.labels.iter().for_each(|&label| count[label as usize] += 1.0);
        let total: f64 = count.iter().sum();
        let corrected: Vec<Vec<f64>> = (self.p.rows().into_iter())
            .map(|p| {
                let p: Vec<f64> =
                    p.iter().zip(&count).map(|(&p, n)| f64::from(p) / (n / total).powf(tau)).collect();
                p.iter().map(|v| v / p.iter().sum::<f64>()).collect()
            })
            .collect();
        let largest = |p: &[f64]| (0..p.len()).fold(0, |best, c| if p[c] > p[best] { c } else { best });
        let predicted: Vec<usize> = corrected.iter().map(|p| largest(p)).collect();
        let x: Vec<Array1<f64>> = self
            .features
            .rows()
            .into_iter()
            .chain(self.labelled.rows())
            .map(|row| row.mapv(f64::from))
            .collect();
        let class: Vec<usize> =
            predicted.iter().copied().chain(self.labels.iter().map(|&label| label as usize)).collect();
        let middle = x[..n].iter().fold(Array1::zeros(d), |sum, x| sum + x) / n as f64;
        let means: Vec<Array1<f64>> = (0..classes)
            .map(|c| {
                let own: Vec<_> = (0..x.len()).filter(|&i| class[i] == c).collect();
                (own.iter().fold(middle.clone(), |sum, &i| sum + &x[i])) / (own.len() + 1) as f64
            })
            .collect();
        // Σ n_c of the reference: the second moment less that of the means.
        let mut s = Array2::<f64>::zeros((d, d));
        for (x, &c) in x.iter().zip(&class) {
            let (x, m) = (x - &middle, &means[c] - &middle);
            for i in 0..d {
                for j in 0..d {
                    s[[i, j]] += (x[i] * x[j] - m[i] * m[j]) / self.total();
                }
            }
        }
        let trace: f64 = s.diag().sum();
        s.diag_mut().iter_mut().for_each(|v| *v += trace / d as f64 * ridge);
        let distance = |x: &Array1<f64>, c: usize| {
            let difference = x - &means[c];
            difference.dot(&solve(s.clone(), difference.clone()))
        };
        (0..n)
            .map(|i| {
                let logits: Vec<f64> = (0..classes).map(|c| -0.5 * distance(&x[i], c)).collect();
                let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = logits.iter().map(|z| (z - most).exp()).sum();
                let g: Vec<f64> = logits.iter().map(|z| (z - most).exp() / sum).collect();
                (1.0 - corrected[i][predicted[i]] * g[predicted[i]], largest(&g))
            })
            .collect()
    }

    fn total(&self) -> f64 {
        (self.features.nrows() + self.labels.len()) as f64
    }
}

fn solve(mut a: Array2<f64>, mut b: Array1<f64>) -> Array1<f64> {
    let d = b.len();
    for k in 0..d {
        let pivot = (k..d).max_by(|&i, &j| a[[i, k]].abs().total_cmp(&a[[j, k]].abs())).unwrap();
        for j in 0..d {
            a.swap([k, j], [pivot, j]);
        }
        b.swap(k, pivot);
        for i in k + 1..d {
            let factor = a[[i, k]] / a[[k, k]];
            for j in k..d {
                a[[i, j]] -= factor * a[[k, j]];
            }
            b[i] -= factor * b[k];
        }
    }
    for k in (0..d).rev() {
        let sum: f64 = (k + 1..d).map(|j| a[[k, j]] * b[j]).sum();
        b[k] = (b[k] - sum) / a[[k, k]];
    }
    b
}

#[test]
fn scores_and_classes_are_those_of_the_formulas() {
    for (seed, d, classes) in [(1, 3, 2), (2, 5, 4), (3, 70, 3), (4, 130, 12)] {
        let made = made(seed, 300, 40, d, classes);
        let settings = Settings { quotas: false, ..Settings::default() };
        let all = made.ask(settings, 300, &made.rows());
        let expected = made.by_the_book(settings.prior_correction, settings.ridge);
        assert!(all.scores.is_sorted_by(|a, b| a >= b));
        for ((&id, &score), &class) in all.ids.iter().zip(&all.scores).zip(all.term(term::CLASS).unwrap()) {
            let (right, of) = expected[id as usize];
            assert!((score - right).abs() < 2e-5, "id {id}, d {d}: {score}, not {right}");
            assert_eq!(class, of as f64, "id {id}, d {d}");
        }
        let parts = all.term(term::CORRECTED).unwrap().iter().zip(all.term(term::SUPPORT).unwrap());
        assert!(all.scores.iter().zip(parts).all(|(score, (p, g))| (score - (1.0 - p * g)).abs() < 1e-12));
    }
}

#[test]
fn each_class_gets_what_it_lacks_and_gives_its_largest_scores() {
    let made = made(5, 400, 30, 6, 4);
    let ranked = made.ask(Settings { quotas: false, ..Settings::default() }, 400, &made.rows());
    let picked = made.ask(Settings::default(), 40, &made.rows());
    let class_of: HashMap<Id, f64> =
        ranked.ids.iter().copied().zip(ranked.term(term::CLASS).unwrap().iter().copied()).collect();
    let mut labelled = [0_usize; 4];
    made.labels.iter().for_each(|&label| labelled[label as usize] += 1);
    let before = labelled;
    for (class, labelled) in labelled.iter_mut().enumerate() {
        let of = |selection: &Selection| -> Vec<Id> {
            selection.ids.iter().copied().filter(|id| class_of[id] == f64::from(class as u8)).collect()
        };
        let mine = of(&picked);
        assert_eq!(mine, of(&ranked)[..mine.len()], "class {class}");
        let counts = picked.term(term::LABELLED).unwrap();
        for (id, &count) in picked.ids.iter().zip(counts) {
            assert_eq!(count, before[class_of[id] as usize] as f64);
        }
        *labelled += mine.len();
    }
    assert!(labelled.iter().max().unwrap() - labelled.iter().min().unwrap() <= 1, "{labelled:?}");
}

/// Sums over rows, written out about their own mean.
fn plain(rows: &Array2<f32>, labels: &[Label], classes: usize) -> (Vec<f64>, Array2<f64>, Array2<f64>) {
    let x = rows.mapv(f64::from);
    let mean = x.mean_axis(Axis(0)).unwrap();
    let x = x - &mean;
    let mut sums = Array2::zeros((classes, rows.ncols()));
    for (x, &label) in x.rows().into_iter().zip(labels) {
        let mut sum = sums.row_mut(label as usize);
        sum += &x;
    }
    (mean.to_vec(), sums, x.t().dot(&x))
}

#[test]
fn statistics_of_parts_merge_to_those_of_the_whole_in_any_order() {
    // Sorted by a column, so that the parts lie apart.
    let mut made = made(6, 5000, 10, 12, 4);
    made.features.column_mut(0).iter_mut().enumerate().for_each(|(row, x)| *x += row as f32 * 0.01);
    let labels: Vec<Label> = (0..5000).map(|row| row as Label * 7 % 4).collect();
    let rows = Rows::over(made.features.view().into());
    let of = |range: std::ops::Range<usize>| {
        Statistics::of(&rows, &range.collect::<Vec<_>>(), &labels, 4, &mut silent()).unwrap()
    };
    let (mean, sums, moments) = plain(&made.features, &labels, 4);
    let near = |all: Statistics| {
        let all = all.about(&mean);
        assert_eq!(all.counts.sum(), 5000.0);
        let scale = moments[[0, 0]];
        assert!((&all.sums - &sums).iter().all(|d| d.abs() < 1e-6 * scale));
        for (i, j) in (0..12).flat_map(|i| (0..=i).map(move |j| (i, j))) {
            assert!((all.moments[[i, j]] - moments[[i, j]]).abs() < 1e-5 * scale, "{i} {j}");
        }
    };
    near(of(0..5000));
    near(of(0..1500).merge(of(1500..1501)).merge(of(1501..5000)));
    near(of(1501..5000).merge(of(0..1500).merge(of(1500..1501))));
    assert!(of(0..5000).mean().iter().zip(&mean).all(|(a, b)| (a - b).abs() < 1e-6));
}

#[test]
fn the_vae_tells_classes_apart_that_lie_apart() {
    let mut made = made(11, 600, 30, 6, 3);
    // Predicted by the corner that the features are nearest to.
    for (mut p, x) in made.p.rows_mut().into_iter().zip(made.features.rows()) {
        let nearest = (0..3).fold(0, |best, class| if x[class] > x[best] { class } else { best });
        p.fill(0.02);
        p[nearest] = 0.96;
    }
    let settings = Settings { model: Model::Vae, quotas: false, ..Settings::default() };
    let all = made.ask(settings, 600, &made.rows());
    assert!(all.scores.iter().all(|score| (0.0..=1.0).contains(score)));
    let pairs = all.term(term::PREDICTED).unwrap().iter().zip(all.term(term::CLASS).unwrap());
    let same = pairs.filter(|(a, b)| a == b).count();
    assert!(same > 480, "the VAE says the predicted class of {same} of 600");
    assert!(all.term(term::SUPPORT).unwrap().iter().sum::<f64>() > 450.0);
}

#[test]
fn a_cold_start_is_offered_while_nothing_is_known() {
    let (name, strategy) = Vabal::default().cold_start().unwrap();
    assert_eq!((name, strategy.needs()), ("typiclust", Needs::EMBEDDING));
}

proptest! {
    #[test]
    fn the_order_of_the_pool_changes_no_bit(seed in 0_u64..1000, n in 2_usize..600, keep in prop::sample::select(vec![1, 2, 70])) {
        let made = made(seed, n, 20, keep, 3);
        let mut order = made.rows();
        order.rotate_left(n / 3);
        order.swap(0, n - 1);
        let (one, other) = (made.ask(Settings::default(), n / 2, &made.rows()), made.ask(Settings::default(), n / 2, &order));
        prop_assert_eq!(one, other);
    }

    #[test]
    fn every_pool_gets_as_many_finite_scores_as_asked(
        (seed, n, m) in (0_u64..1000, 1_usize..80, 0_usize..5),
        d in prop::sample::select(vec![2, 17, 200]),
        classes in prop::sample::select(vec![2, 9, 1000]),
        scale in prop::sample::select(vec![0.0, 1e-20, 1.0, 1e20]),
    ) {
        let mut made = made(seed, n, m, d, classes);
        made.features *= scale;
        made.labelled *= scale;
        for quotas in [true, false] {
            let picked = made.ask(Settings { quotas, ..Settings::default() }, n, &made.rows());
            prop_assert_eq!(picked.ids.len(), n);
            prop_assert!(picked.scores.iter().all(|s| (0.0..=1.0).contains(s)));
            prop_assert!(picked.scores.is_sorted_by(|a, b| a >= b));
        }
    }
}

#[test]
fn threads_change_no_bit() {
    let made = made(9, 3000, 50, 140, 5);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| made.ask(Settings::default(), 100, &made.rows()))
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn predicted_labels_alone_are_taken_for_certain() {
    let made = made(7, 100, 10, 4, 3);
    let predicted: Vec<Label> = (0..100).map(|row| row % 3).collect();
    let unlabelled = Signals::new((0..100).collect())
        .with_predicted(predicted.clone())
        .unwrap()
        .with_embedding(made.features.clone())
        .unwrap();
    let picked = made.ask_of(&unlabelled, Settings::default(), 10);
    for ((&id, score), support) in
        picked.ids.iter().zip(&picked.scores).zip(picked.term(term::SUPPORT).unwrap())
    {
        assert_eq!(*score, 1.0 - support);
        let place = picked.ids.iter().position(|&other| other == id).unwrap();
        assert_eq!(picked.term(term::PREDICTED).unwrap()[place], f64::from(predicted[id as usize]));
    }
}

#[test]
fn where_all_candidates_are_predicted_one_class_the_others_are_asked_for_first() {
    let mut made = made(8, 60, 12, 4, 3);
    made.p.fill(0.1);
    made.p.column_mut(1).fill(0.8);
    let picked = made.ask(Settings::default(), 60, &made.rows());
    assert_eq!(picked.ids.len(), 60);
    assert!(picked.term(term::PREDICTED).unwrap().iter().all(|&class| class == 1.0));
}

#[test]
fn settings_out_of_range_are_named_by_their_key() {
    for (settings, key) in [
        (Settings { prior_correction: 1.5, ..Settings::default() }, "prior_correction"),
        (Settings { ridge: 0.0, ..Settings::default() }, "ridge"),
        (Settings { ridge: f64::NAN, ..Settings::default() }, "ridge"),
    ] {
        assert!(settings.check().unwrap_err().to_string().contains(key));
    }
}
