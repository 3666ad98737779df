//! The method against itself written out: Eqs. 6, 7, 11 and 12 by brute force in f64, planted
//! clusters, and what happens at the edges.

mod edges;

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand_distr::{Distribution, StandardNormal};

use super::posterior::{Frozen, Votes, class_terms};
use super::vae::{AdapterLayer, Vae};
use super::*;
use crate::progress::{Flow, silent};
use crate::term;
use crate::{Id, Label};

pub(super) fn normal(rows: usize, columns: usize, name: &str) -> Array2<f64> {
    let mut rng = Seed::new(5).stream(name);
    Array2::from_shape_simple_fn((rows, columns), || StandardNormal.sample(&mut rng))
}

/// Features of two stages around one centre per class, with one-hot-like probabilities of the true
/// class.
fn planted(counts: &[usize], first_id: Id) -> (Signals<'static>, Vec<Label>) {
    let classes = counts.len();
    let labels: Vec<Label> =
        counts.iter().enumerate().flat_map(|(n, &count)| std::iter::repeat_n(n as Label, count)).collect();
    let stage = |width: usize, name: &str| {
        let centres = normal(classes, width, name);
        let noise = normal(labels.len(), width, &format!("{name} noise {first_id}"));
        Array2::from_shape_fn((labels.len(), width), |(i, j)| {
            (3.0 * centres[[labels[i] as usize, j]] + 0.5 * noise[[i, j]]) as f32
        })
    };
    let probabilities = Array2::from_shape_fn((labels.len(), classes), |(i, n)| {
        if n == labels[i] as usize { 0.9 } else { 0.1 / (classes - 1) as f32 }
    });
    let signals = Signals::new((first_id..).take(labels.len()).collect())
        .with_probabilities(probabilities)
        .and_then(|s| s.with_stages(vec![stage(6, "a"), stage(9, "b")]))
        .unwrap();
    (signals, labels)
}

fn query<'a>(
    u: &'a Signals<'a>,
    l: &'a Signals<'a>,
    labels: &'a [Label],
    classes: usize,
    n: usize,
) -> Query<'a> {
    Query { unlabelled: u, labelled: l, labels, classes, n, seed: Seed::new(11) }
}

/// The text's reading of the score, fitted for long enough that the VAE learns a small pool.
fn learnt() -> Settings {
    let text = Settings::preset(Preset::Paper);
    Settings {
        epochs: 60,
        batch: 16,
        learning_rate: 2e-3,
        mask_in_training: true,
        lambda: 1.0,
        draws: 20,
        ..text
    }
}

fn quick() -> Settings {
    Settings { epochs: 3, minimum_steps: 0, batch: 16, draws: 7, ..Settings::preset(Preset::Cross) }
}

/// The VAE in evaluation mode, layer by layer, in f64, nothing folded.
struct Reference<'a>(&'a Vae<f32>);

impl Reference<'_> {
    fn linear(&self, layer: crate::strategies::layers::Linear, x: &Array1<f64>) -> Array1<f64> {
        let weight = layer.weight(&self.0.parameters).mapv(f64::from);
        let bias = Array1::from_iter(layer.bias(&self.0.parameters).iter().map(|&b| f64::from(b)));
        weight.dot(x) + bias
    }

    fn norm(&self, layer: crate::strategies::layers::Norm, x: &Array1<f64>) -> Array1<f64> {
        let (p, running) = (&self.0.parameters, &self.0.running);
        Array1::from_shape_fn(layer.width, |j| {
            let (mean, variance) =
                (f64::from(running[layer.mean + j]), f64::from(running[layer.variance + j]));
            let normalised = (x[j] - mean) / (variance + 1e-5).sqrt();
            normalised * f64::from(p[layer.weight + j]) + f64::from(p[layer.bias + j])
        })
    }

    fn hidden(&self, layer: &crate::strategies::layers::HiddenLayer, x: &Array1<f64>) -> Array1<f64> {
        let y = self.linear(layer.linear, x).mapv(|v| v.max(0.0));
        layer.norm.map_or(y.clone(), |norm| self.norm(norm, &y))
    }

    /// x, μ, log σ² of one image.
    fn encode(&self, stages: &[ArrayView2<'_, f32>], row: usize) -> (Array1<f64>, Array1<f64>, Array1<f64>) {
        let mut x = Vec::new();
        for (layer, stage) in self.0.adapters.iter().zip(stages) {
            let features = stage.row(row).mapv(f64::from);
            x.extend(match layer {
                AdapterLayer::Sigmoid { norm, linear } => {
                    self.linear(*linear, &self.norm(*norm, &features)).mapv(|v| 1.0 / (1.0 + (-v).exp()))
                }
                AdapterLayer::Relu(hidden) => self.hidden(hidden, &features),
            });
        }
        let x = Array1::from(x);
        let h = self.0.encoder.iter().fold(x.clone(), |h, layer| self.hidden(layer, &h));
        let (mean, log_variance) = (self.linear(self.0.mean, &h), self.linear(self.0.log_variance, &h));
        (x, mean, log_variance)
    }

    fn decode(&self, z: &Array1<f64>) -> Array1<f64> {
        let h = self.0.decoder.iter().fold(z.clone(), |h, layer| self.hidden(layer, &h));
        self.linear(self.0.output, &h)
    }
}

pub(super) fn reference_w(absence: Absence, z: &Array1<f64>, latents: usize) -> Vec<f64> {
    let measure = |z: f64| match absence {
        Absence::Square => z * z,
        Absence::Abs => z.abs(),
        Absence::Sigmoid => 1.0 / (1.0 + (-z).exp()),
    };
    z.to_vec().chunks(latents).map(|block| block.iter().map(|&z| measure(z)).sum()).collect()
}

/// Eqs. 6, 7, 11 and 12 as they are written, with no saving: S encodes' worth of draws, C decodes
/// each.
fn brute_force(model: &Model, query: &Query<'_>) -> Vec<f64> {
    let (settings, vae) = (&model.settings, &model.fitted.vae);
    let (classes, latents, draws) = (query.classes, settings.latents, settings.draws);
    let reference = Reference(vae);
    let draw_all = |signals: &Signals<'_>, row: usize| {
        let (x, mean, log_variance) = reference.encode(&signals.stages().unwrap(), row);
        let mut rng = query.seed.child("vae-draws", signals.ids()[row]).stream("z");
        let z: Vec<Array1<f64>> = (0..draws)
            .map(|_| {
                Array1::from_shape_fn(mean.len(), |j| {
                    let noise: f32 = StandardNormal.sample(&mut rng);
                    mean[j] + (0.5 * log_variance[j]).exp() * f64::from(noise)
                })
            })
            .collect();
        let kl = -0.5 * (1.0 + &log_variance - &mean * &mean - log_variance.mapv(f64::exp)).mean().unwrap();
        (x, z, kl)
    };
    let says = |z: &Array1<f64>| {
        let w = reference_w(settings.absence, z, latents);
        (0..classes).min_by(|&a, &b| w[a].total_cmp(&w[b])).unwrap()
    };
    let share = 1.0 / classes as f64;
    let count = |signals: &Signals<'_>, labels: &[Label]| {
        let (mut said, mut right) = (vec![0.0; classes], vec![0.0; classes]);
        for row in 0..signals.len() {
            for z in draw_all(signals, row).1 {
                let n = says(&z);
                said[n] += 1.0 / draws as f64;
                right[n] += if labels.get(row) == Some(&(n as Label)) { 1.0 / draws as f64 } else { 0.0 };
            }
        }
        let difficulty: Vec<f64> =
            (0..classes).map(|n| (right[n] + share * share) / (said[n] + share)).collect();
        let prior: Vec<f64> = said.iter().map(|said| (said + share) / (signals.len() as f64 + 1.0)).collect();
        (difficulty, prior)
    };
    let (difficulty, labelled_prior) = count(query.labelled, query.labels);
    let difficulty = if settings.difficulty { difficulty } else { vec![1.0; classes] };
    let prior = match settings.prior {
        Prior::Labelled => labelled_prior,
        Prior::Unlabelled => count(query.unlabelled, &[]).1,
        Prior::Off => vec![1.0; classes],
    };
    (0..query.unlabelled.len())
        .map(|row| {
            let (x, z, kl) = draw_all(query.unlabelled, row);
            let mut sum = 0.0;
            for z in &z {
                for n in 0..classes {
                    if settings.class_sum == ClassSum::Predicted && n != says(z) {
                        continue;
                    }
                    let mut masked = z.clone();
                    masked.slice_mut(ndarray::s![n * latents..(n + 1) * latents]).fill(0.0);
                    let loss = (reference.decode(&masked) - &x).mapv(|d| d * d).mean().unwrap() + kl;
                    let likelihood = match settings.likelihood {
                        Likelihood::Exp => (-loss).exp(),
                        Likelihood::Inverse => 1.0 / loss,
                        Likelihood::Energy => loss,
                        Likelihood::None => 1.0,
                    };
                    sum += difficulty[n] * likelihood * prior[n];
                }
            }
            -sum / draws as f64
        })
        .collect()
}

#[test]
fn scores_are_equations_6_to_12_written_out_for_every_switch() {
    let (unlabelled, _) = planted(&[9, 7, 5], 0);
    let (labelled, labels) = planted(&[5, 3, 2], 100);
    let networks = [
        (Adapter::Sigmoid, Hidden::Plain, Absence::Square),
        (Adapter::Relu, Hidden::Normalised, Absence::Abs),
        (Adapter::Sigmoid, Hidden::Normalised, Absence::Sigmoid),
    ];
    for (adapter, hidden, absence) in networks {
        let settings =
            Settings { adapter, hidden, absence, latents: 2, epochs: 2, batch: 8, draws: 5, ..quick() };
        let query = query(&unlabelled, &labelled, &labels, 3, 21);
        let fitted = Model::fit(&settings, &unlabelled, 3, query.seed, &mut silent()).unwrap();
        for class_sum in [ClassSum::Predicted, ClassSum::All] {
            for likelihood in [Likelihood::Exp, Likelihood::Inverse, Likelihood::Energy, Likelihood::None] {
                for prior in [Prior::Labelled, Prior::Unlabelled, Prior::Off] {
                    for difficulty in [false, true] {
                        let settings =
                            Settings { class_sum, likelihood, prior, difficulty, ..settings.clone() };
                        let model = Model { settings: settings.clone(), ..fitted.clone() };
                        let expected = brute_force(&model, &query);
                        let selection = model.select(&query, &mut silent()).unwrap();
                        assert_eq!(selection.ids.len(), 21);
                        for (&id, &score) in selection.ids.iter().zip(&selection.scores) {
                            let row = unlabelled.ids().iter().position(|&other| other == id).unwrap();
                            assert!(
                                (score - expected[row]).abs() < 1e-5 * (1.0 + expected[row].abs()),
                                "{settings:?}, id {id}: {score} is not {}",
                                expected[row]
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn the_terms_of_a_score_are_those_that_take_part_and_give_it_back() {
    let (unlabelled, _) = planted(&[9, 7, 5], 0);
    let (labelled, labels) = planted(&[5, 3, 2], 100);
    let query = query(&unlabelled, &labelled, &labels, 3, 21);
    // With one draw the score is the product of its terms, not a mean of products.
    let settings =
        Settings { latents: 2, epochs: 2, batch: 8, draws: 1, class_sum: ClassSum::Predicted, ..quick() };
    let fitted = Model::fit(&settings, &unlabelled, 3, query.seed, &mut silent()).unwrap();
    for likelihood in [Likelihood::Exp, Likelihood::Inverse, Likelihood::Energy, Likelihood::None] {
        for prior in [Prior::Labelled, Prior::Unlabelled, Prior::Off] {
            for difficulty in [false, true] {
                let settings = Settings { likelihood, prior, difficulty, ..settings.clone() };
                let selection = Model { settings, ..fitted.clone() }.select(&query, &mut silent()).unwrap();
                assert_eq!(selection.term(term::DIFFICULTY).is_some(), difficulty);
                assert_eq!(selection.term(term::PRIOR).is_some(), prior != Prior::Off);
                assert_eq!(selection.term(term::ENERGY).is_some(), likelihood == Likelihood::Energy);
                let classes = unlabelled.predicted().unwrap();
                for row in 0..21 {
                    let at = unlabelled.ids().iter().position(|id| *id == selection.ids[row]).unwrap();
                    assert_eq!(selection.term(term::PREDICTED).unwrap()[row], f64::from(classes[at]));
                    let factors = ["difficulty", "prior", "likelihood", "energy"];
                    let product: f64 =
                        factors.iter().filter_map(|name| Some(selection.term(name)?[row])).product();
                    assert!((product + selection.scores[row]).abs() < 1e-12);
                }
            }
        }
    }
    let settings =
        Settings { class_sum: ClassSum::All, prior: Prior::Unlabelled, difficulty: false, ..settings };
    let selection = Model { settings, ..fitted }.select(&query, &mut silent()).unwrap();
    assert!(selection.term(term::PRIOR).is_none(), "a sum over all classes is not of one class's prior");
    let health = selection.health.unwrap();
    let weight: f64 = health.prior.iter().sum();
    for (likelihood, score) in selection.terms[2].values.iter().zip(&selection.scores) {
        assert!((likelihood * weight + score).abs() < 1e-12);
    }
}

#[test]
fn three_planted_clusters_are_separated_and_the_rare_one_is_asked_first() {
    let (unlabelled, _) = planted(&[300, 60, 60], 0);
    let (labelled, labels) = planted(&[40, 8, 2], 1000);
    let query = query(&unlabelled, &labelled, &labels, 3, 40);
    let selection = VabalPaper::new(learnt()).unwrap().select(&query, &mut silent()).unwrap();
    let health = selection.health.unwrap();
    assert_eq!(health.warning, None);
    assert!(health.agreement_unlabelled > 0.9, "{health:?}");
    assert!(health.agreement_labelled > 0.9, "{health:?}");
    assert!(health.prior[0] > health.prior[1] && health.prior[1] > health.prior[2], "{health:?}");
    let dominant = selection.ids.iter().filter(|&&id| id < 300).count();
    assert!(dominant < 4, "{dominant} of 40 picks are of the dominant class, which fills 71 % of the pool");
}

#[test]
fn a_vae_that_has_not_learnt_says_so() {
    let (unlabelled, _) = planted(&[100, 100, 100], 0);
    let (labelled, labels) = planted(&[5, 5, 5], 1000);
    let settings = Settings { epochs: 1, learning_rate: 1e-9, ..quick() };
    let mut warnings = Vec::new();
    let selection = VabalPaper::new(settings)
        .unwrap()
        .select(&query(&unlabelled, &labelled, &labels, 3, 5), &mut |event: Event<'_>| {
            if let Event::Warning(text) = event {
                warnings.push(text.to_string());
            }
            Flow::Continue
        })
        .unwrap();
    assert_eq!(selection.health.unwrap().warning.as_ref(), warnings.first());
    assert!(warnings[0].contains("has not learnt"), "{warnings:?}");
}

#[test]
fn class_terms_are_counts_smoothed_by_one_imaginary_image() {
    // Three images, four draws each; class 2 is never predicted.
    let votes = [[0, 0, 0, 0], [1, 0, 1, 1], [1, 1, 1, 1]];
    let votes = votes.map(|predicted| Votes::count(predicted.into_iter(), &mut [0; 3]));
    assert_eq!(votes[1].0[..], [(0, 1), (1, 3)]);
    let terms = class_terms(&votes, &[0, 0, 2], 3, 4);
    let third = 1.0 / 3.0;
    assert!((terms.difficulty[0] - (1.25 + third * third) / (1.25 + third)).abs() < 1e-12);
    assert!((terms.difficulty[1] - (third * third) / (1.75 + third)).abs() < 1e-12);
    assert!((terms.difficulty[2] - third).abs() < 1e-12, "never predicted: as hard as a guess");
    assert!((terms.prior[2] - third / 4.0).abs() < 1e-12, "never predicted: the smallest prior, not zero");
    assert!((terms.prior.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    let cold = class_terms(&[], &[], 3, 4);
    assert_eq!(cold.prior, [third; 3], "no labels: all classes are equal");
}

#[test]
fn a_class_missing_from_the_labelled_pool_is_asked_first() {
    let (unlabelled, _) = planted(&[100, 100, 20], 0);
    let (labelled, labels) = planted(&[20, 20, 0], 1000);
    let selection = VabalPaper::new(learnt())
        .unwrap()
        .select(&query(&unlabelled, &labelled, &labels, 3, 15), &mut silent())
        .unwrap();
    let missing = selection.ids.iter().filter(|&&id| id >= 200).count();
    assert!(missing >= 13, "{missing} of 15 picks are of the class without a label");
}

#[test]
fn two_classes_and_a_thousand_both_work_with_finite_scores() {
    for classes in [2, 1000] {
        let counts: Vec<usize> =
            (0..classes).map(|n| if n < 2 { 9 } else { usize::from(n % 50 == 0) }).collect();
        let (unlabelled, _) = planted(&counts, 0);
        let (labelled, labels) =
            planted(&counts[..2].iter().map(|_| 2).chain(vec![0; classes - 2]).collect::<Vec<_>>(), 5000);
        for class_sum in [ClassSum::All, ClassSum::Predicted] {
            let settings = Settings { epochs: 1, draws: 2, class_sum, ..quick() };
            let query = query(&unlabelled, &labelled, &labels, classes, 5);
            let selection = VabalPaper::new(settings).unwrap().select(&query, &mut silent()).unwrap();
            assert_eq!(selection.ids.len(), 5);
            assert!(selection.scores.iter().all(|score| score.is_finite()));
        }
    }
}
