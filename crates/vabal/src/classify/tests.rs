//! The classifier as a whole: it learns, it repeats itself bit for bit, and freezing and saving
//! change nothing.

use std::fs;

use ndarray::{Array2, Axis, array, s};

use super::scorer::keep;
use super::{Scorer, Settings, Training};
use crate::data::batch::tests::image_set;
use crate::data::{ImageSet, ImageShape};
use crate::network::Array;
use crate::progress::silent;
use crate::query::{MonteCarlo, Needs};
use crate::{Device, Error, Event, Flow, Id, Label, Seed};

pub(super) const SHAPE: ImageShape = ImageShape { channels: 3, height: 12, width: 12 };

/// 64 noisy images of two classes: the bright half is above, or below.
pub(super) fn halves() -> ImageSet {
    image_set(SHAPE, 2, 64, |image, [channel, y, x]| {
        let noise = (image * 7919 + channel * 104_729 + y * 1_299_709 + x * 15_485_863) % 97;
        let bright = (y < 6) == (image % 2 == 0);
        (noise + if bright { 120 } else { 30 }) as u8
    })
}

pub(super) fn tiny() -> Settings {
    Settings { width: 4, epochs: 5, batch: 16, learning_rate: 0.05, milestones: vec![4], ..Settings::paper() }
}

fn labelled(images: &ImageSet) -> (Vec<Id>, Vec<Label>) {
    let ids: Vec<Id> = (0..images.images().len() as Id).collect();
    let labels = ids.iter().map(|&id| images.label(id)).collect();
    (ids, labels)
}

fn training<'a>(set: &'a ImageSet, settings: &'a Settings, seed: u64) -> Training<'a> {
    let (images, classes) = (set.images(), set.classes());
    Training { images, classes, settings, device: Device::Cpu, seed: Seed::new(seed) }
}

pub(super) fn train(images: &ImageSet, settings: &Settings, seed: u64) -> Scorer {
    let (ids, labels) = labelled(images);
    training(images, settings, seed).fit(&ids, &labels, &mut silent()).unwrap()
}

pub(super) fn untrained(shape: ImageShape, classes: usize, settings: Settings) -> (ImageSet, Scorer) {
    let images =
        image_set(shape, classes, 3, |image, [c, y, x]| (image * 83 + c * 31 + y * 17 + x * 7) as u8);
    let scorer = train(&images, &Settings { epochs: 1, learning_rate: 1e-9, ..settings }, 1);
    (images, scorer)
}

const ALL: Needs = Needs::PROBABILITIES.and(Needs::STAGES);

fn arrays(scorer: &Scorer, images: &ImageSet, batch: usize) -> Vec<Array2<f32>> {
    let (ids, _) = labelled(images);
    let signals =
        scorer.signals_in_batches(images.images(), &ids, (ALL, Seed::new(1)), batch, &mut silent()).unwrap();
    let mut arrays = vec![signals.probabilities().unwrap().to_owned()];
    arrays.extend(signals.stages().unwrap().iter().map(|stage| stage.to_owned()));
    arrays
}

fn bits(scorer: &Scorer) -> Vec<u32> {
    scorer.weights.iter().flatten().copied().map(f32::to_bits).collect()
}

#[test]
fn any_image_size_gives_probabilities_and_four_stages() {
    for (channels, height, width) in [(1, 28, 28), (3, 20, 33), (1, 1, 1), (3, 2, 5)] {
        for depth in [18, 34] {
            let settings = Settings { depth, width: 2, ..tiny() };
            let (images, scorer) = untrained(ImageShape { channels, height, width }, 5, settings);
            let arrays = arrays(&scorer, &images, 256);
            let shapes: Vec<_> = arrays.iter().map(Array2::dim).collect();
            assert_eq!(shapes, [(3, 5), (3, 2), (3, 4), (3, 8), (3, 16)]);
            assert!(arrays.iter().flatten().all(|value| value.is_finite()));
            for row in arrays[0].rows() {
                assert!((row.sum() - 1.0).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn weights_have_torchvisions_names_and_shapes() {
    let (_, scorer) = untrained(SHAPE, 7, tiny());
    let arrays = &scorer.network.arrays;
    assert_eq!(arrays.len(), 102, "20 convolutions, 20 BatchNorms of 4, one linear layer of 2");
    let shape = |name: &str| arrays.iter().find(|array| array.name == name).map(|array| &*array.shape);
    assert_eq!(shape("conv1.weight"), Some([4, 3, 3, 3].as_slice()));
    assert_eq!(shape("bn1.running_var"), Some([4].as_slice()));
    assert_eq!(shape("layer2.0.conv1.weight"), Some([8, 4, 3, 3].as_slice()));
    assert_eq!(shape("layer2.0.downsample.0.weight"), Some([8, 4, 1, 1].as_slice()));
    assert_eq!(shape("layer2.0.downsample.1.bias"), Some([8].as_slice()));
    assert_eq!(shape("layer4.1.bn2.running_mean"), Some([32].as_slice()));
    assert_eq!(shape("fc.weight"), Some([7, 32].as_slice()));
    assert_eq!(shape("fc.bias"), Some([7].as_slice()));
}

#[test]
fn first_weights_are_pytorchs_distribution() {
    let (_, scorer) = untrained(SHAPE, 7, Settings { width: 16, weight_decay: 0.0, ..tiny() });
    for (Array { name, shape }, values) in scorer.network.arrays.iter().zip(&*scorer.weights) {
        let fan_in: usize = shape.iter().skip(1).product();
        match shape.len() {
            1 if name == "fc.bias" => assert!(values.iter().all(|x| x.abs() <= 1.0 / 128_f32.sqrt())),
            1 if name.contains("running") => {}
            1 => {
                let expected = if name.ends_with("weight") { 1.0 } else { 0.0 };
                assert!(values.iter().all(|x| (x - expected).abs() < 1e-6), "{name}");
            }
            _ => {
                let bound = 1.0 / (fan_in as f32).sqrt();
                let largest = values.iter().fold(0.0_f32, |a, x| a.max(x.abs()));
                assert!(largest <= bound * 1.0001 && largest > 0.97 * bound, "{name}: {largest} of {bound}");
                let mean = values.iter().sum::<f32>() / values.len() as f32;
                assert!(mean.abs() < 3.0 * bound / (3.0 * values.len() as f32).sqrt(), "{name}: mean {mean}");
            }
        }
    }
}

#[test]
fn it_learns_what_is_plain_to_see() {
    let images = halves();
    let scorer = train(&images, &tiny(), 3);
    let (ids, labels) = labelled(&images);
    let signals =
        scorer.signals(images.images(), &ids, Needs::PROBABILITIES, Seed::new(1), &mut silent()).unwrap();
    assert_eq!(signals.predicted().unwrap(), labels);
    assert!(signals.stages().is_err(), "only what was asked for is there");
}

#[test]
fn same_seed_same_weights_whatever_the_threads_and_the_order() {
    let images = halves();
    let settings = Settings { dropout: 0.2, epochs: 2, batch: 21, ..tiny() };
    let (mut ids, mut labels) = labelled(&images);
    ids.reverse();
    labels.reverse();
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let training = training(&images, &settings, 5);
            let scorer = training.fit(&ids, &labels, &mut silent()).unwrap();
            (bits(&scorer), arrays(&scorer, &images, 64))
        })
    };
    let expected = train(&images, &settings, 5);
    for threads in [1, 2, 3] {
        let (weights, signals) = on(threads);
        assert!(weights == bits(&expected), "weights differ on {threads} threads");
        assert!(signals == arrays(&expected, &images, 64), "signals differ on {threads} threads");
    }
    assert!(bits(&train(&images, &settings, 6)) != bits(&expected), "another seed, other weights");
    let without = train(&images, &Settings { dropout: 0.0, ..settings }, 5);
    assert!(bits(&without) != bits(&expected), "dropout takes part");
}

#[test]
fn scoring_changes_nothing_and_the_batch_size_next_to_nothing() {
    let images = halves();
    let scorer = train(&images, &Settings { dropout: 0.3, epochs: 2, ..tiny() }, 1);
    let before = bits(&scorer);
    let first = arrays(&scorer, &images, 64);
    assert!(first == arrays(&scorer, &images, 64), "two passes, the same signals");
    for batch in [1, 7, 63] {
        for (a, b) in first.iter().zip(arrays(&scorer, &images, batch)) {
            let largest = a.iter().zip(&b).fold(0.0_f32, |largest, (a, b)| largest.max((a - b).abs()));
            assert!(largest <= 1e-5, "batch {batch}: {largest}");
        }
    }
    assert!(before == bits(&scorer), "BatchNorm must not learn while scoring");
}

#[test]
fn a_pool_with_a_missing_class_or_of_one_image_trains() {
    let images = halves();
    let settings = Settings { epochs: 1, ..tiny() };
    let training = training(&images, &settings, 1);
    for ids in [vec![0, 2, 4], vec![0], (0..17).collect()] {
        let labels: Vec<Label> = ids.iter().map(|&id| images.label(id)).collect();
        let scorer = training.fit(&ids, &labels, &mut silent()).unwrap();
        assert!(arrays(&scorer, &images, 64).iter().flatten().all(|value| value.is_finite()));
    }
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    let images = halves();
    let settings = tiny();
    let training = training(&images, &settings, 1);
    let refused = |ids: &[Id], labels: &[Label], what: &str| {
        let text = training.fit(ids, labels, &mut silent()).unwrap_err().to_string();
        assert!(text.contains(what), "{text}");
    };
    refused(&[], &[], "no labelled image");
    refused(&[0, 1], &[0], "disagree");
    refused(&[0, 64], &[0, 1], "id 64");
    refused(&[0, 1], &[0, 2], "0 to 1");
}

#[test]
fn a_loss_that_is_not_finite_stops_with_step_and_learning_rate() {
    let images = halves();
    let settings = Settings { learning_rate: 1e30, ..tiny() };
    let (ids, labels) = labelled(&images);
    let training = training(&images, &settings, 1);
    match training.fit(&ids, &labels, &mut silent()).unwrap_err() {
        Error::Diverged { network: "classifier", step, learning_rate, loss } => {
            assert!((2..10).contains(&step) && learning_rate == 1e30 && !loss.is_finite());
        }
        other => panic!("{other}"),
    }
}

#[test]
fn progress_counts_to_the_end_and_stop_stops_at_once() {
    let images = halves();
    let settings = Settings { epochs: 2, batch: 30, ..tiny() };
    let (ids, labels) = labelled(&images);
    let training = training(&images, &settings, 1);
    let mut seen = Vec::new();
    let listen = |stop_at: usize, seen: &mut Vec<(String, usize, usize)>| {
        training.fit(&ids, &labels, &mut |event: Event<'_>| {
            let Event::Progress { phase, done, total, unit, loss } = event else { panic!("{event:?}") };
            assert!(unit == "step" && loss.is_some_and(f64::is_finite));
            seen.push((phase.to_owned(), done, total));
            if done == stop_at { Flow::Stop } else { Flow::Continue }
        })
    };
    let scorer = listen(usize::MAX, &mut seen).unwrap();
    assert_eq!(seen, (1..=6).map(|done| ("train".to_owned(), done, 6)).collect::<Vec<_>>());
    seen.clear();
    assert!(matches!(listen(2, &mut seen), Err(Error::Stopped)));
    assert_eq!(seen.len(), 2);

    let mut done = Vec::new();
    let needs = (ALL, Seed::new(1));
    let result = scorer.signals_in_batches(images.images(), &ids, needs, 30, &mut |event: Event<'_>| {
        let Event::Progress { phase: "features", done: images, total: 64, unit: "image", loss: None } = event
        else {
            panic!("{event:?}")
        };
        done.push(images);
        if images == 60 { Flow::Stop } else { Flow::Continue }
    });
    assert!(matches!(result, Err(Error::Stopped)));
    assert_eq!(done, [30, 60]);
}

#[test]
fn images_of_another_shape_are_not_scored() {
    let (_, scorer) = untrained(SHAPE, 2, tiny());
    let (other, _) = untrained(ImageShape { channels: 1, ..SHAPE }, 2, tiny());
    let text =
        scorer.signals(other.images(), &[0], ALL, Seed::new(1), &mut silent()).unwrap_err().to_string();
    assert!(text.contains("3 × 12 × 12") && text.contains("1 × 12 × 12"), "{text}");
}

#[test]
fn an_output_that_is_not_finite_is_an_error_and_no_signal() {
    for bad in [f32::NAN, f32::INFINITY] {
        let text = keep(array![[0.5, bad]], Array2::zeros((1, 2)).view_mut()).unwrap_err().to_string();
        assert!(text.contains("not finite") && text.contains("hint:"), "{text}");
    }
}

#[test]
fn a_saved_classifier_comes_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("classifier.safetensors");
    let images = halves();
    let scorer = train(&images, &Settings { epochs: 1, ..tiny() }, 1);
    scorer.save(&path).unwrap();
    let loaded = Scorer::load(&path, Device::Cpu).unwrap();
    assert!(bits(&loaded) == bits(&scorer));
    assert!(arrays(&loaded, &images, 64) == arrays(&scorer, &images, 64));
    assert_eq!(loaded.settings(), scorer.settings());
    assert_eq!(loaded.classes(), ["class 0", "class 1"]);
    assert_eq!(loaded.shape(), SHAPE);
    let bytes = fs::read(&path).unwrap();
    loaded.save(&path).unwrap();
    assert!(fs::read(&path).unwrap() == bytes, "the same classifier, the same bytes");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside the file");
}

#[test]
fn a_file_that_is_torn_foreign_or_newer_is_an_error_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("classifier.safetensors");
    let (_, scorer) = untrained(SHAPE, 2, tiny());
    scorer.save(&path).unwrap();
    let good = fs::read(&path).unwrap();
    let error = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        Scorer::load(&path, Device::Cpu).unwrap_err().to_string()
    };
    for length in [0, 4, 100, good.len() / 2, good.len() - 1] {
        let text = error(&good[..length]);
        assert!(text.contains("not a classifier") && text.contains("cut short"), "{length} bytes: {text}");
    }
    assert!(error(b"\x89PNG\r\n\x1a\n and so on").contains("not a classifier"));
    let with = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = good.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let mut bytes = good.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        error(&bytes)
    };
    assert!(with("\\\"format\\\":1", "\\\"format\\\":9").contains("newer vabal"));
    assert!(with("\"vabal\"", "\"other\"").contains("without \"vabal\""));
    assert!(with("\\\"width\\\":4", "\\\"width\\\":8").contains("F32 [8, 3, 3, 3]"));
    assert!(with("\\\"depth\\\":18", "\\\"depth\\\":34").contains("no weight \"layer1.2.conv1.weight\""));
    assert!(with("\\\"depth\\\":18", "\\\"depth\\\":19").contains("18 or 34"));
    let missing = Scorer::load(&folder.path().join("none"), Device::Cpu).unwrap_err().to_string();
    assert!(missing.contains("cannot read"), "{missing}");
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (_, scorer) = untrained(SHAPE, 2, tiny());
    let occupied = folder.path().join("occupied");
    fs::create_dir(&occupied).unwrap();
    assert!(scorer.save(&occupied).unwrap_err().to_string().contains("cannot write"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn settings_out_of_range_are_named_by_their_key() {
    let paper = Settings::paper;
    assert!(paper().check().is_ok() && Settings::quick().check().is_ok());
    let bad = [
        ("depth", Settings { depth: 50, ..paper() }),
        ("width", Settings { width: 0, ..paper() }),
        ("dropout", Settings { dropout: 1.0, ..paper() }),
        ("epochs", Settings { epochs: 0, ..paper() }),
        ("minimum_steps", Settings { minimum_steps: usize::MAX, ..paper() }),
        ("milestones", Settings { milestones: vec![1, usize::MAX], ..paper() }),
        ("batch", Settings { batch: 1, ..paper() }),
        ("learning_rate", Settings { learning_rate: f64::INFINITY, ..paper() }),
        ("momentum", Settings { momentum: f64::NAN, ..paper() }),
        ("weight_decay", Settings { weight_decay: -1.0, ..paper() }),
        ("gamma", Settings { gamma: 0.0, ..paper() }),
    ];
    for (key, settings) in bad {
        let text = settings.check().unwrap_err().to_string();
        assert!(text.contains(&format!("where: {key}\n")), "{text}");
    }
}

#[test]
fn the_learning_rate_falls_at_each_milestone() {
    let settings = Settings { learning_rate: 1.0, gamma: 0.5, milestones: vec![4, 2], ..Settings::paper() };
    let rates: Vec<f64> = (0..6).map(|epoch| settings.learning_rate_at(epoch, settings.epochs)).collect();
    assert_eq!(rates, [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]);
}

#[test]
fn a_small_pool_gets_the_minimum_of_steps_with_its_milestones_in_proportion() {
    let settings = Settings {
        epochs: 6,
        minimum_steps: 100,
        milestones: vec![2, 4],
        learning_rate: 1.0,
        gamma: 0.1,
        ..Settings::paper()
    };
    assert_eq!(settings.epochs_for(50), 6, "enough steps already");
    assert_eq!(settings.epochs_for(7), 15, "15 passes of 7 batches are the first to reach 100 steps");
    let changes: Vec<usize> = (1..15)
        .filter(|&e| settings.learning_rate_at(e, 15) != settings.learning_rate_at(e - 1, 15))
        .collect();
    assert_eq!(changes, [5, 10]);
}

#[test]
fn draws_under_dropout_go_by_seed_and_id_and_leave_the_frozen_network_alone() {
    let images = halves();
    let scorer = train(&images, &Settings { epochs: 2, ..tiny() }, 1);
    let before = bits(&scorer);
    let wish = |dropout| Needs { monte_carlo: Some(MonteCarlo { draws: 6, dropout }), ..Needs::IDS };
    let draw = |ids: &[Id], dropout: f64, batch: usize, seed: u64| {
        let needs = (wish(dropout), Seed::new(seed));
        let signals = scorer.signals_in_batches(images.images(), ids, needs, batch, &mut silent()).unwrap();
        assert!(signals.probabilities().is_err() && signals.stages().is_err(), "only what was asked for");
        signals.monte_carlo().unwrap().to_owned()
    };
    let ids: Vec<Id> = (0..20).collect();
    let draws = draw(&ids, 0.3, 64, 1);
    assert_eq!(draws.dim(), (20, 6, 2));
    assert_eq!(draws, draw(&ids, 0.3, 64, 1), "it repeats itself");
    let down: Vec<Id> = (0..20).rev().collect();
    let difference = &draws - &draw(&down, 0.3, 7, 1).slice(s![..;-1, .., ..]);
    assert!(difference.iter().all(|d| d.abs() < 1e-5), "order and batch change nothing");
    assert_ne!(draws, draw(&ids, 0.3, 64, 2));
    for draw in 1..6 {
        assert_ne!(
            draws.slice(s![.., 0, ..]),
            draws.slice(s![.., draw, ..]),
            "every pass drops other values"
        );
    }
    assert!(draws.sum_axis(Axis(2)).iter().all(|sum| (sum - 1.0).abs() < 1e-5));
    let plain = scorer.signals(images.images(), &ids, ALL, Seed::new(1), &mut silent()).unwrap();
    let little = draw(&ids, 1e-6, 64, 1);
    let difference = &little.slice(s![.., 0, ..]) - &plain.probabilities().unwrap();
    assert!(difference.iter().all(|d| d.abs() < 1e-4), "hardly any dropout is hardly a change");
    assert_eq!(bits(&scorer), before, "BatchNorm stays frozen");
}

#[test]
fn every_kind_of_signal_is_given_where_it_is_asked_for() {
    let images = halves();
    let scorer = train(&images, &Settings { epochs: 1, ..tiny() }, 1);
    let of =
        |needs| scorer.signals(images.images(), &[3, 60, 9], needs, Seed::new(1), &mut silent()).unwrap();
    let all = of(ALL);
    assert_eq!(of(Needs::PREDICTED).predicted().unwrap(), all.predicted().unwrap());
    let embedding = of(Needs::EMBEDDING);
    assert_eq!(embedding.embedding().unwrap(), all.embedding().unwrap());
    assert_eq!((embedding.stages().unwrap().len(), all.stages().unwrap().len()), (1, 4));
    assert!(embedding.probabilities().is_err());
    let pixels = of(Needs::IMAGES);
    let pixels = pixels.images().unwrap();
    assert_eq!(pixels.dim(), (3, 3, 12, 12));
    assert_eq!(
        pixels.index_axis(Axis(0), 1).iter().copied().collect::<Vec<u8>>(),
        images.images().pixels(60)
    );
}
