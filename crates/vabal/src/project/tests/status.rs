//! Where a project stands, after trainings that say what a test wants.

use super::*;
use crate::project::learn::Measured;
use crate::project::status::{self, Status};

/// A training that is done on what is labelled now; the model takes every image for what `says`
/// tells.
fn trained(project: &mut Project, agreement: f64, says: impl Fn(ImageId) -> Label) {
    let (ids, labels) = project.training_set().unwrap();
    let classes: Vec<Label> =
        labels.iter().copied().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    let round = project.begin_round("vabal", ids.len(), 1).unwrap();
    let measured = Measured {
        answers: project.last_answer().unwrap(),
        agreement: Some(agreement),
        ..Measured::default()
    };
    let serde_json::Value::Object(more) = serde_json::to_value(measured).unwrap() else { panic!() };
    let all = project.list(&ListQuery { limit: Some(1000), ..ListQuery::default() }).unwrap().images;
    let predictions = all.iter().map(|image| {
        let p = classes.iter().map(|&class| f32::from(u8::from(class == says(image.id)))).collect();
        Prediction { image: image.id, probabilities: p }
    });
    let predictions: Vec<Prediction> = predictions.collect();
    let summary = Summary { classes, more, ..Summary::default() };
    project.finish_round(round, &summary, &ids, predictions, []).unwrap();
}

/// The ids of the holdout and of the others.
fn sides(project: &Project) -> (Vec<ImageId>, Vec<ImageId>) {
    let images = by_path(project).into_values();
    let (held, others): (Vec<Image>, Vec<Image>) = images.partition(|image| image.holdout);
    (ids(&held), ids(&others))
}

fn bulk(project: &mut Project, images: &[ImageId], class: impl Fn(usize) -> Label) {
    let answer = |(n, &image): (usize, &ImageId)| Answer {
        image,
        act: Act::Label,
        class: Some(class(n)),
        seconds: None,
        suggested: None,
    };
    let rows: i64 =
        project.connection.query_row("SELECT count(*) FROM answers", [], |row| row.get(0)).unwrap();
    let given = Answers {
        person: "ann".into(),
        token: format!("bulk{rows}"),
        answers: images.iter().enumerate().map(answer).collect(),
        duplicates: false,
        source: Source::Page,
    };
    project.answer(&given).unwrap();
}

fn of(project: &Project) -> Status {
    status::of(project).unwrap()
}

#[test]
fn a_class_without_holdout_images_is_said_to_be_unknown() {
    let place = Place::new(100);
    let mut project = place.made(Settings { holdout: 0.3, ..Settings::default() });
    let (held, others) = sides(&project);
    bulk(&mut project, &others[..20], |n| n as Label % 3);
    bulk(&mut project, &held[..12], |n| n as Label % 2);
    trained(&mut project, 0.5, |image| if held[..12].contains(&image) { 0 } else { 1 });
    let status = of(&project);
    let round = &status.rounds[0];
    // Class 2 was learnt and not measured; d is neither, and may not be there.
    assert_eq!((round.classes_measured, round.classes, round.balanced_accuracy), (2, 4, None));
    assert_eq!((round.measured_accuracy, round.accuracy, round.holdout), (Some(0.5), Some(0.5), 12));
    assert!(round.balanced_low.unwrap() < 0.25 && round.balanced_high.unwrap() > 2.0 / 3.0, "{round:?}");
    assert_eq!(
        status.classes.iter().map(|class| class.recall).collect::<Vec<_>>(),
        [Some(1.0), Some(0.0), None, None]
    );
    // Labels that come later measure the same model.
    bulk(&mut project, &held[12..14], |n| 2 + n as Label);
    let after = of(&project);
    let round = &after.rounds[0];
    assert_eq!((round.classes_measured, round.balanced_accuracy, round.holdout), (4, Some(0.25), 14));
    assert!(round.balanced_high.unwrap() < 0.6, "{round:?}");
}

#[test]
fn no_advice_to_stop_while_a_class_has_too_few_holdout_images() {
    let place = Place::new(200);
    let mut project = place.made(Settings { holdout: 0.3, retrain_every: 10, ..Settings::default() });
    let (held, others) = sides(&project);
    for n in 0..4 {
        bulk(&mut project, &others[10 * n..10 * (n + 1)], |n| n as Label % 4);
        trained(&mut project, 1.0, |_| 0);
    }
    bulk(&mut project, &held[..16], |n| n as Label % 4);
    let stopping = of(&project).stopping;
    assert!(
        !stopping.reasonable
            && stopping.text.contains("fewer than 5")
            && stopping.text.contains("a (4), b (4)"),
        "{stopping:?}"
    );
    bulk(&mut project, &held[16..20], |n| n as Label % 4);
    let stopping = of(&project).stopping;
    assert!(stopping.reasonable && stopping.text.contains("finds 0 % of b (0 to 52 %)"), "{stopping:?}");
}

#[test]
fn trainings_that_share_labels_and_labels_taken_back_are_no_reason_to_stop() {
    let place = Place::new(200);
    let mut project =
        place.made(Settings { holdout: 0.3, first: 10, retrain_every: 10, ..Settings::default() });
    let (held, others) = sides(&project);
    bulk(&mut project, &held[..20], |n| n as Label % 4);
    for n in 0..2 {
        bulk(&mut project, &others[10 * n..10 * (n + 1)], |n| n as Label % 4);
        trained(&mut project, 1.0, |_| 0);
    }
    // Trained again without a new label.
    trained(&mut project, 1.0, |_| 0);
    trained(&mut project, 1.0, |_| 0);
    let status = of(&project);
    assert_eq!(status.rounds.len(), 4);
    assert!(
        !status.stopping.reasonable && status.stopping.text.contains("2 are so far"),
        "{:?}",
        status.stopping
    );
    // Many at once, trained on, and taken back.
    assert_eq!(project.labels_until_training().unwrap(), 10);
    bulk(&mut project, &others[20..80], |_| 0);
    assert_eq!(project.labels_until_training().unwrap(), 0);
    trained(&mut project, 1.0, |_| 0);
    assert!(!of(&project).rounds[4].void);
    project.undo("ann", None).unwrap();
    let status = of(&project);
    let taken: Vec<(usize, bool)> =
        status.rounds.iter().map(|round| (round.taken_back, round.void)).collect();
    assert_eq!(taken, [(0, false), (0, false), (0, false), (0, false), (60, true)]);
    assert!(!status.stopping.reasonable, "{:?}", status.stopping);
    // As if they had never been given: ten more start a training, not the ones taken back.
    assert_eq!((status.labels_until_training, project.labels_until_training().unwrap()), (10, 10));
    bulk(&mut project, &others[20..29], |n| n as Label % 4);
    assert_eq!(project.labels_until_training().unwrap(), 1);
    bulk(&mut project, &others[29..30], |_| 0);
    assert_eq!(project.labels_until_training().unwrap(), 0);
    trained(&mut project, 1.0, |_| 0);
    let status = of(&project);
    // What was taken back and labelled again counts as labelled.
    assert_eq!(status.rounds[4].taken_back, 50);
    assert!(status.stopping.text.contains("3 are so far"), "{:?}", status.stopping);
}

#[test]
fn confusions_and_the_errors_of_accepting_are_those_of_labels_that_the_model_did_not_know() {
    let place = Place::new(120);
    let mut project = place.made(Settings { holdout: 0.3, ..Settings::default() });
    let (held, others) = sides(&project);
    bulk(&mut project, &others[..10], |n| n as Label % 2);
    trained(&mut project, 0.5, |_| 0);
    // Ten of the holdout and four others, half of them of class 1; one undone, one merged.
    bulk(&mut project, &held[..10], |n| Label::from(n >= 8));
    bulk(&mut project, &others[10..14], |n| Label::from(n >= 2));
    bulk(&mut project, &others[14..15], |_| 3);
    bulk(&mut project, &others[15..16], |_| 3);
    project.undo("ann", None).unwrap();
    project.merge_class(3, 1).unwrap();
    let status = of(&project);
    let rows: Vec<_> =
        status.confusions.iter().map(|c| (c.class, c.predicted, c.labels, c.holdout)).collect();
    assert_eq!(rows, [(0, 0, 2, 8), (1, 0, 3, 2)]);
    for row in &status.confusions {
        let query =
            ListQuery { class: Some(row.class), predicted: Some(row.predicted), ..ListQuery::default() };
        assert_eq!(project.list(&query).unwrap().total, Some(row.labels), "none of the holdout is shown");
    }
    // The model is sure of all: what is open and not of the holdout.
    let open = others.len() - 15;
    for one in &status.acceptance {
        assert_eq!((one.images, one.measured, one.wrong), (open, 10, 2), "{one:?}");
        assert_eq!(one.errors, Some(open as f64 * 0.2));
        // The exact interval of 2 of 10: 2.5 to 55.6 %.
        assert!((one.errors_low.unwrap() / open as f64 - 0.0252).abs() < 1e-4);
        assert!((one.errors_high.unwrap() / open as f64 - 0.5561).abs() < 1e-4);
    }
    let query = ListQuery { state: Some(StateFilter::Open), low: Some(0.5), ..ListQuery::default() };
    assert_eq!(project.list(&query).unwrap().total, Some(open));
}

#[test]
fn the_next_questions_are_of_the_queue_as_it_stands_and_of_the_holdout() {
    let place = Place::new(200);
    let mut project = place.made(Settings {
        holdout: 0.3,
        holdout_every: 4,
        strategy: "random".into(),
        ..Settings::default()
    });
    let (held, others) = sides(&project);
    let of_next = |project: &Project| {
        of(project).classes.iter().map(|class| class.expected_next.unwrap()).collect::<Vec<f64>>()
    };
    assert!(of(&project).classes[0].expected_next.is_none());
    bulk(&mut project, &held[..20], |n| Label::from(n % 2 == 1));
    bulk(&mut project, &others[..10], |n| n as Label % 3);
    let round = project.begin_round("random", 10, 1).unwrap();
    let sure = |image: ImageId, class: usize| Prediction {
        image,
        probabilities: (0..3).map(|other| if other == class { 0.8 } else { 0.1 }).collect(),
    };
    let predictions =
        others.iter().chain(&held).enumerate().map(|(n, &image)| sure(image, if n < 60 { 2 } else { 1 }));
    let queue = others[10..].iter().map(|&image| Queued { image, score: 0.0, terms: Vec::new() });
    let summary = Summary { classes: vec![0, 1, 2], ..Summary::default() };
    project
        .finish_round(round, &summary, &[], predictions.collect::<Vec<_>>(), queue.collect::<Vec<_>>())
        .unwrap();
    // 25 are of the holdout, half a and half b; of the other 75, 50 look like c and the rest like
    // b.
    let next = of_next(&project);
    let expected = [12.5 + 7.5, 12.5 + 5.0 + 20.0, 40.0 + 2.5, 0.0];
    assert!(next.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{next:?}");
    // What was asked meanwhile is not counted on.
    bulk(&mut project, &others[10..60], |_| 0);
    let after = of_next(&project);
    assert!((after.iter().sum::<f64>() - 100.0).abs() < 1e-6 && after[2] < 10.0, "{after:?}");
    // A strategy that chooses evens out.
    project.change_settings(&serde_json::json!({ "strategy": "vabal" })).unwrap();
    let status = of(&project);
    for class in &status.classes {
        let (low, value, high) =
            (class.expected_low.unwrap(), class.expected_next.unwrap(), class.expected_high.unwrap());
        assert!(value > 8.0 && low <= value && value <= high && high <= 100.0, "{class:?}");
    }
}

#[test]
fn persons_are_counted_by_what_they_did_by_hand_with_their_agreement() {
    let place = Place::new(20);
    let mut project = place.made(Settings { answers_wanted: 2, ..plain() });
    let timed = |project: &mut Project, person: &str, image: i64, class: Label, seconds: f64| {
        let mut given = one(person, &format!("{person}{image}"), image, Act::Label, Some(class));
        given.answers[0].seconds = Some(seconds);
        project.answer(&given).unwrap();
    };
    for image in 1..=4 {
        timed(&mut project, "ann", image, Label::from(image > 2), 2.0);
        timed(&mut project, "ben", image, Label::from(image > 3), 4.0);
    }
    // Pauses do not count as time, nor answers that were taken back as answers.
    timed(&mut project, "ann", 5, 0, 4000.0);
    timed(&mut project, "ben", 6, 0, 4.0);
    project.undo("ben", None).unwrap();
    // A review is given with the others in view.
    let review = Answers { source: Source::Review, ..one("ben", "settled", 3, Act::Label, Some(1)) };
    project.answer(&review).unwrap();
    let status = of(&project);
    let persons: Vec<_> = status
        .persons
        .iter()
        .map(|p| (p.person.as_str(), p.answers, p.labels, p.reviewed, p.per_hour))
        .collect();
    assert_eq!(persons, [("ann", 5, 5, 0, Some(1800.0)), ("ben", 5, 5, 1, Some(900.0))]);
    let [agreement] = &status.agreements[..] else { panic!("{:?}", status.agreements) };
    assert_eq!(
        (agreement.a.as_str(), agreement.b.as_str(), agreement.images, agreement.same),
        ("ann", "ben", 4, 3)
    );
    assert!((agreement.kappa.unwrap() - 0.5).abs() < 1e-12);
}
