//! Where a project stands, after trainings that say what a test wants.

use super::*;
use crate::project::learn::Measured;
use crate::project::status::{self, Status};

/// A training that is done on what is labelled now; the model takes every image for what `says` tells.
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
