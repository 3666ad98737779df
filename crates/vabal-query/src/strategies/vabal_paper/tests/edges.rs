//! Pools without rows, without labels, of equal rows; what is wrong, read back, stopped.

use super::*;

#[test]
fn the_edges_of_the_pool_are_answered() {
    let (unlabelled, _) = planted(&[3, 2], 0);
    let (empty, none) = planted(&[0, 0], 100);
    let strategy = VabalPaper::new(quick()).unwrap();
    let mut said = Vec::new();
    let selection = strategy
        .select(&query(&unlabelled, &empty, &none, 2, 50), &mut |event: Event<'_>| {
            if let Event::Warning(text) = event {
                said.push(text.to_string());
            }
            Flow::Continue
        })
        .unwrap();
    let mut ids = selection.ids.clone();
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2, 3, 4], "more asked than left: all of them, once");
    assert!(said.iter().any(|text| text.contains("asked for 50 images but 5 are left")), "{said:?}");

    let (one, _) = planted(&[1, 0], 7);
    let selection =
        strategy.select(&query(&one, &unlabelled, &[0, 0, 0, 1, 1], 2, 1), &mut silent()).unwrap();
    assert_eq!(selection.ids, [7]);
    let selection =
        strategy.select(&query(&empty, &unlabelled, &[0, 0, 0, 1, 1], 2, 1), &mut silent()).unwrap();
    assert!(selection.ids.is_empty());
}

#[test]
fn duplicate_images_get_equal_terms_and_the_lowest_id_wins() {
    let (unlabelled, _) = planted(&[30, 30], 0);
    let stages = unlabelled.stages().unwrap();
    let probabilities = unlabelled.probabilities().unwrap();
    let twice = |array: &ArrayView2<'_, f32>| ndarray::concatenate(Axis(0), &[*array, *array]).unwrap();
    let doubled = Signals::new((0..120).rev().collect())
        .with_probabilities(twice(&probabilities))
        .and_then(|s| s.with_stages(stages.iter().map(twice).collect()))
        .unwrap();
    // Without a likelihood and with every class summed, all scores are the same number.
    let settings = Settings { likelihood: Likelihood::None, class_sum: ClassSum::All, ..quick() };
    let (labelled, labels) = planted(&[4, 4], 1000);
    let selection = VabalPaper::new(settings)
        .unwrap()
        .select(&query(&doubled, &labelled, &labels, 2, 10), &mut silent())
        .unwrap();
    assert_eq!(selection.ids, (0..10).collect::<Vec<Id>>());
}

#[test]
fn the_same_seed_gives_the_same_picks_bit_for_bit_with_any_threads_and_any_order_of_the_pool() {
    let (unlabelled, _) = planted(&[70, 40, 30], 0);
    let (labelled, labels) = planted(&[10, 10, 5], 1000);
    let select = |unlabelled: &Signals<'_>, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let query = query(unlabelled, &labelled, &labels, 3, 50);
        pool.install(|| VabalPaper::new(quick()).unwrap().select(&query, &mut silent()).unwrap())
    };
    let first = select(&unlabelled, 1);
    for threads in [1, 2, 3] {
        assert_eq!(first, select(&unlabelled, threads), "{threads} threads");
    }
    let order: Vec<usize> = (0..unlabelled.len()).map(|i| (i * 37) % unlabelled.len()).collect();
    let listed_otherwise = Signals::new(order.iter().map(|&row| unlabelled.ids()[row]).collect())
        .with_probabilities(unlabelled.probabilities().unwrap().select(Axis(0), &order))
        .and_then(|s| {
            s.with_stages(
                unlabelled.stages().unwrap().iter().map(|stage| stage.select(Axis(0), &order)).collect(),
            )
        })
        .unwrap();
    assert_eq!(first.ids, select(&listed_otherwise, 2).ids);
}

/// `pool` with the features of row 3 times `scale`.
fn with_a_far_row(pool: &Signals<'_>, scale: f32) -> Signals<'static> {
    let stages = pool.stages().unwrap().into_iter().map(|stage| {
        let mut stage = stage.to_owned();
        stage.row_mut(3).mapv_inplace(|v| v * scale);
        stage
    });
    Signals::new(pool.ids().to_vec())
        .with_probabilities(pool.probabilities().unwrap().to_owned())
        .and_then(|signals| signals.with_stages(stages.collect()))
        .unwrap()
}

/// Factors up to where f32 ends.
const FAR: [f32; 5] = [1e3, 1e6, 1e12, 1e20, 1e36];

#[test]
fn an_image_far_from_all_that_the_vae_was_fitted_to_is_the_least_likely_and_fails_nothing() {
    let (near, _) = planted(&[30, 20], 0);
    let (labelled, labels) = planted(&[5, 5], 100);
    let far = FAR.map(|scale| with_a_far_row(&near, scale));
    for preset in [Preset::Paper, Preset::Official, Preset::Cross] {
        for likelihood in [Likelihood::Exp, Likelihood::Inverse, Likelihood::Energy] {
            for class_sum in [ClassSum::Predicted, ClassSum::All] {
                let settings =
                    Settings { epochs: 3, minimum_steps: 0, batch: 16, draws: 7, ..Settings::preset(preset) };
                let settings = Settings { likelihood, class_sum, ..settings };
                let model = Model::fit(&settings, &near, 2, Seed::new(1), &mut silent()).unwrap();
                for far in &far {
                    let case = format!("{preset:?} {likelihood:?} {class_sum:?}");
                    let query = query(far, &labelled, &labels, 2, 50);
                    let selection =
                        model.select(&query, &mut silent()).unwrap_or_else(|e| panic!("{case}: {e}"));
                    assert!(
                        selection.terms.iter().all(|column| column.values.iter().all(|v| v.is_finite())),
                        "{case}"
                    );
                    let mut logs = model
                        .log_likelihoods(
                            &model.decoder(query.seed),
                            far,
                            |_, row| row.to_owned(),
                            &mut silent(),
                        )
                        .unwrap();
                    let of_far = logs.swap_remove(3);
                    assert!(of_far.iter().all(|log| log.is_finite()), "{case}: {of_far}");
                    // A sigmoid between features and VAE holds every image near.
                    if settings.adapter == Adapter::Relu {
                        let expected = if likelihood == Likelihood::Energy { 49 } else { 0 };
                        assert_eq!(selection.ids.iter().position(|&id| id == 3), Some(expected), "{case}");
                        assert!(logs.iter().flatten().all(|&log| log > of_far[0]), "{case}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_vae_is_fitted_to_a_pool_with_a_huge_row_or_says_which_row_it_is() {
    let (labelled, labels) = planted(&[5, 5], 100);
    let (near, _) = planted(&[30, 20], 0);
    let mut refused = 0;
    for scale in FAR {
        let far = with_a_far_row(&near, scale);
        for preset in [Preset::Paper, Preset::Official, Preset::Cross] {
            let settings =
                Settings { epochs: 3, minimum_steps: 0, batch: 16, draws: 7, ..Settings::preset(preset) };
            let query = query(&far, &labelled, &labels, 2, 50);
            match VabalPaper::new(settings).unwrap().select(&query, &mut silent()) {
                Ok(selection) => {
                    assert!(scale < 1e19, "{preset:?} {scale}");
                    let values = || selection.terms.iter().flat_map(|column| &column.values);
                    assert!(
                        values().chain(&selection.scores).all(|value| value.is_finite()),
                        "{preset:?} {scale}"
                    );
                }
                Err(error) => {
                    let text = error.to_string();
                    let expected = ["features are too large for the VAE", "the loss of the VAE became"];
                    assert!(expected.iter().any(|part| text.contains(part)), "{preset:?} {scale}: {text}");
                    refused += usize::from(text.contains("where: id 3"));
                }
            }
        }
    }
    assert!(refused >= 3, "{refused}");
}

#[test]
fn constant_features_are_said_to_be() {
    let select = |n: usize| {
        let unlabelled = Signals::new((0..n as Id).collect())
            .with_probabilities(Array2::from_elem((n, 2), 0.5))
            .and_then(|s| s.with_embedding(Array2::from_elem((n, 4), 1.0)))
            .unwrap();
        let labelled = Signals::default();
        VabalPaper::new(quick()).unwrap().select(&query(&unlabelled, &labelled, &[], 2, 2), &mut silent())
    };
    let error = select(20).unwrap_err().to_string();
    assert!(error.contains("the features are constant") && error.contains("got: 20 equal rows"), "{error}");
    assert_eq!(select(1).unwrap().ids, [0]);
}

#[test]
fn scores_belong_to_images_bit_for_bit_whatever_row_they_stand_in() {
    // One more than a chunk, and more columns than one sum of a product has.
    let (n, width) = (33, 768);
    let x = normal(n, width, "x").mapv(|x| x as f32);
    let p = Array2::from_shape_fn((n, 2), |(row, n)| if n == row % 2 { 0.75 } else { 0.25 });
    let of = |order: &[usize]| {
        Signals::new(order.iter().map(|&row| row as Id).collect())
            .with_probabilities(p.select(Axis(0), order))
            .and_then(|s| s.with_embedding(x.select(Axis(0), order)))
            .unwrap()
    };
    let select = |order: Vec<usize>| {
        let (unlabelled, labelled) = (of(&order), Signals::default());
        let chosen = VabalPaper::new(quick()).unwrap();
        let chosen = chosen.select(&query(&unlabelled, &labelled, &[], 2, n), &mut silent()).unwrap();
        (chosen.ids, chosen.scores, chosen.terms)
    };
    let first = select((0..n).collect());
    for turn in [1, 8, 32] {
        let mut order: Vec<usize> = (0..n).collect();
        order.rotate_left(turn);
        assert_eq!(first, select(order), "turned by {turn}");
    }
}

#[test]
fn a_model_read_back_chooses_the_same() {
    let (unlabelled, _) = planted(&[30, 20], 0);
    let (labelled, labels) = planted(&[5, 5], 100);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vae.safetensors");
    for preset in [Preset::Cross, Preset::Paper, Preset::Official] {
        let settings = Settings { epochs: 2, minimum_steps: 0, draws: 5, ..Settings::preset(preset) };
        let model = Model::fit(&settings, &unlabelled, 2, Seed::new(1), &mut silent()).unwrap();
        model.save(&path).unwrap();
        let again = Model::load(&path).unwrap();
        assert_eq!(again, model);
        let bytes = model.to_bytes().unwrap();
        assert_eq!(bytes, std::fs::read(&path).unwrap());
        assert_eq!(Model::from_bytes(&bytes).unwrap(), model);
        assert_eq!((model.settings(), model.classes()), (&settings, 2));
        let query = query(&unlabelled, &labelled, &labels, 2, 9);
        assert_eq!(
            again.select(&query, &mut silent()).unwrap(),
            model.select(&query, &mut silent()).unwrap()
        );
    }
    let whole = std::fs::read(&path).unwrap();
    for length in [0, 7, 8, 100, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let message = Model::load(&path).unwrap_err().to_string();
        assert!(message.contains("invalid VAE file") && message.contains("hint:"), "{length}: {message}");
    }
}

#[test]
fn before_the_first_label_the_labelled_pool_needs_no_arrays() {
    let (unlabelled, _) = planted(&[20, 10], 0);
    let selection = VabalPaper::new(quick())
        .unwrap()
        .select(&query(&unlabelled, &Signals::default(), &[], 2, 4), &mut silent())
        .unwrap();
    assert_eq!(selection.ids.len(), 4);
    let health = selection.health.unwrap();
    assert_eq!(health.agreement_labelled, 0.0);
    assert!(health.difficulty.iter().all(|&d| d == health.difficulty[0]));
}

#[test]
fn a_model_scores_the_classes_and_widths_that_it_was_fitted_to_and_no_other() {
    let (unlabelled, _) = planted(&[20, 10], 0);
    let empty = Signals::default();
    let model = Model::fit(&quick(), &unlabelled, 2, Seed::new(1), &mut silent()).unwrap();
    assert_eq!(model.classes(), 2);
    let text = model.select(&query(&unlabelled, &empty, &[], 3, 4), &mut silent()).unwrap_err().to_string();
    assert!(text.contains("another number of classes") && text.contains("got: 3"), "{text}");
    let narrow = Signals::new(vec![1, 2])
        .with_predicted(vec![0, 1])
        .and_then(|signals| signals.with_embedding(Array2::zeros((2, 3))))
        .unwrap();
    let text = model.select(&query(&narrow, &empty, &[], 2, 1), &mut silent()).unwrap_err().to_string();
    assert!(text.contains("other widths") && text.contains("got: [3]"), "{text}");
}

#[test]
fn bad_input_is_named() {
    let (unlabelled, _) = planted(&[10, 10], 0);
    let (labelled, labels) = planted(&[2, 2], 100);
    let message = |query: &Query<'_>, settings: Settings| {
        VabalPaper::new(settings)
            .and_then(|vabal| vabal.select(query, &mut silent()))
            .unwrap_err()
            .to_string()
    };
    let mut stages: Vec<_> = unlabelled.stages().unwrap().iter().map(|stage| stage.to_owned()).collect();
    stages[1][[4, 2]] = f32::NAN;
    let broken = Signals::new(unlabelled.ids().to_vec())
        .with_probabilities(unlabelled.probabilities().unwrap().to_owned())
        .and_then(|s| s.with_stages(stages))
        .unwrap();
    let text = message(&query(&broken, &labelled, &labels, 2, 3), quick());
    assert!(text.contains("id 4, stage 2") && text.contains("NaN"), "{text}");

    let text = message(&query(&unlabelled, &labelled, &[0, 1, 2, 0], 2, 3), quick());
    assert!(text.contains("id 102") && text.contains("0 to 1"), "{text}");

    let text = message(&query(&Signals::new(vec![1, 2]), &labelled, &labels, 2, 1), quick());
    assert!(text.contains("needs"), "{text}");

    let text =
        message(&query(&unlabelled, &labelled, &labels, 2, 3), Settings { learning_rate: 1e30, ..quick() });
    assert!(text.contains("the loss of the VAE became") && text.contains("learning rate 1000"), "{text}");

    let text = message(&query(&unlabelled, &labelled, &labels, 2, 3), Settings { draws: 0, ..quick() });
    assert!(text.contains("where: draws") && text.contains("1 to 100000"), "{text}");
    let huge = Settings { epochs: usize::MAX, ..quick() };
    let text = message(&query(&unlabelled, &labelled, &labels, 2, 3), huge);
    assert!(text.contains("where: epochs") && text.contains("1 to 100000"), "{text}");
}

#[test]
fn stopping_stops_in_every_phase() {
    let (unlabelled, _) = planted(&[40, 40], 0);
    let (labelled, labels) = planted(&[5, 5], 100);
    for stop_in in ["vae", "difficulty", "score"] {
        let mut seen = Vec::new();
        let result = VabalPaper::new(quick()).unwrap().select(
            &query(&unlabelled, &labelled, &labels, 2, 3),
            &mut |event: Event<'_>| match event {
                Event::Progress { phase, .. } => {
                    seen.push(phase.to_string());
                    if phase == stop_in { Flow::Stop } else { Flow::Continue }
                }
                _ => Flow::Continue,
            },
        );
        assert!(matches!(result, Err(Error::Stopped)), "{stop_in}");
        assert_eq!(seen.last().map(String::as_str), Some(stop_in));
    }
}

#[test]
fn the_draws_have_the_mean_and_deviation_of_the_encoder() {
    let (unlabelled, _) = planted(&[10, 10], 0);
    let settings = Settings { draws: 4000, ..quick() };
    let model = Model::fit(&settings, &unlabelled, 2, Seed::new(1), &mut silent()).unwrap();
    let frozen = Frozen::new(&model.fitted.vae, &settings, Seed::new(2));
    let encoded = frozen.encode(&unlabelled.stage_rows().unwrap(), 0..20);
    let mut z = Array2::zeros((settings.draws, frozen.architecture.code()));
    frozen.draw(&encoded, 3, 3, &mut z);
    for j in 0..frozen.architecture.code() {
        let (mean, deviation) = (z.column(j).mean().unwrap(), z.column(j).std(0.0));
        let sigma = encoded.deviation[[3, j]];
        assert!((mean - encoded.mean[[3, j]]).abs() < 5.0 * sigma / 4000_f32.sqrt());
        assert!((deviation / sigma - 1.0).abs() < 0.06);
    }
}

#[test]
fn a_small_pool_gets_the_minimum_of_steps() {
    let (unlabelled, _) = planted(&[30, 20], 0);
    let (labelled, labels) = planted(&[5, 5], 100);
    let mut steps = 0;
    let settings = Settings { epochs: 2, minimum_steps: 30, ..quick() };
    let mut count = |event: Event<'_>| {
        if let Event::Progress { phase: "vae", done, total, .. } = event {
            steps += 1;
            assert_eq!((done, total), (steps, 32), "eight epochs of four batches are the first to reach 30");
        }
        Flow::Continue
    };
    VabalPaper::new(settings)
        .unwrap()
        .select(&query(&unlabelled, &labelled, &labels, 2, 3), &mut count)
        .unwrap();
    assert_eq!(steps, 32);
}

#[test]
fn presets_are_what_their_documents_say() {
    let paper = Settings::preset(Preset::Paper);
    assert_eq!((paper.lambda, paper.latents, paper.draws, paper.epochs), (0.005, 10, 100, 20));
    assert_eq!(
        (paper.class_sum, paper.likelihood, paper.prior),
        (ClassSum::Predicted, Likelihood::Exp, Prior::Labelled)
    );
    assert!((paper.learning_rate - 1e-4).abs() < 1e-12 && paper.difficulty && !paper.mask_in_training);
    let official = Settings::preset(Preset::Official);
    assert_eq!((official.class_sum, official.likelihood), (ClassSum::All, Likelihood::Energy));
    assert!(!official.difficulty && official.mask_in_training && official.adapter == Adapter::Relu);
    for preset in [Preset::Cross, Preset::Paper, Preset::Official] {
        Settings::preset(preset).check().unwrap();
    }
}
