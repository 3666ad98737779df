//! What rounds leave behind.

use super::*;

pub(super) fn summary() -> Summary {
    let mut summary = Summary { classes: vec![0, 1, 3], ..Summary::default() };
    summary.prior = vec![0.9, 0.05, 0.05];
    summary.difficulty = vec![0.9, 0.2, 0.9];
    summary.more.insert("accuracy".into(), 0.5.into());
    summary
}

pub(super) fn predicted(image: ImageId, probabilities: [f32; 3]) -> Prediction {
    Prediction { image, probabilities: probabilities.to_vec() }
}

#[test]
fn predictions_of_what_was_trained_on_stay_as_they_were() {
    let place = Place::new(6);
    let mut project = place.made(plain());
    let round = project.begin_round("vabal", 4, 1).unwrap();
    let first = (1..=6).map(|image| predicted(ImageId(image), [0.5, 0.3, 0.2]));
    project.finish_round(round, &summary(), &[], first, []).unwrap();
    label(&mut project, "ann", 1, 3);
    label(&mut project, "ann", 2, 0);
    let round = project.begin_round("vabal", 6, 1).unwrap();
    let second = (1..=6).map(|image| predicted(ImageId(image), [0.0, 0.1, 0.9]));
    project.finish_round(round, &summary(), &[1, 2].map(ImageId), second, []).unwrap();
    let guesses: Vec<Label> = project
        .images(&[1, 2, 3].map(ImageId))
        .unwrap()
        .iter()
        .map(|image| image.suggestion.unwrap().class)
        .collect();
    assert_eq!(guesses, [0, 0, 3]);
    let doubts = project.review(ReviewKind::Doubt, None, None).unwrap();
    let doubts: Vec<(i64, f64)> =
        doubts.images.iter().map(|row| (row.image.id.0, (row.doubt.unwrap() * 100.0).round())).collect();
    assert_eq!(doubts, [(1, 80.0), (2, 50.0)]);
    // Merging adds the probabilities up.
    project.merge_class(0, 3).unwrap();
    let doubts = project.review(ReviewKind::Doubt, None, None).unwrap();
    assert!(doubts.images.iter().all(|row| (row.doubt.unwrap() - 0.3).abs() < 1e-6), "{doubts:?}");
    let detail = project.detail(ImageId(1)).unwrap().unwrap();
    let all: Vec<Label> = detail.probabilities.unwrap().iter().map(|row| row.class).collect();
    assert_eq!(all, [3, 1]);
    assert_eq!(project.images(&[ImageId(2)]).unwrap()[0].suggestion.unwrap().class, 3);
    // A class that the model knows can be deleted; what it said of others stands.
    project.delete_class(1).unwrap().unwrap();
    assert_eq!(project.review(ReviewKind::Doubt, None, None).unwrap(), doubts);
    assert!(project.detail(ImageId(1)).unwrap().unwrap().probabilities.is_some());
    project.list(&ListQuery { predicted: Some(1), ..ListQuery::default() }).unwrap();
}

#[test]
fn the_queue_is_replaced_whole_with_its_reasons() {
    let place = Place::new(8);
    let mut project = place.made(plain());
    let queued = |image: ImageId, class: f64, energy: f64| Queued {
        image,
        score: 0.0,
        terms: vec![("predicted".into(), class), ("energy".into(), energy)],
    };
    let round = project.begin_round("vabal", 4, 1).unwrap();
    let queue = vec![
        queued(ImageId(5), 1.0, 0.1),
        queued(ImageId(2), 0.0, 0.5),
        queued(ImageId(7), 2.0, 0.9),
        queued(ImageId(1), 0.0, f64::NAN),
    ];
    project.finish_round(round, &summary(), &[], [], queue).unwrap();
    let listed = project.queue(3).unwrap();
    let ranked: Vec<_> = listed.iter().map(|asked| (asked.image.id.0, asked.image.rank)).collect();
    assert_eq!(ranked, [(5, Some(1)), (2, Some(2)), (7, Some(3))]);
    let next = project.next("ann", 4, &[]).unwrap();
    assert_eq!(
        (ids(&next.questions), next.left, next.round),
        ([5, 2, 7, 1].map(ImageId).to_vec(), 4, Some(1))
    );
    let why = &next.questions[0].why;
    assert!(
        why.iter().any(|reason| reason.kind == ReasonKind::RareClass && reason.text.contains("looks like b"))
    );
    assert!(why.iter().any(|reason| reason.kind == ReasonKind::HardClass));
    assert!(next.questions[2].why[0].text.contains("looks like d"));
    let round = project.begin_round("vabal", 5, 1).unwrap();
    project.finish_round(round, &summary(), &[], [], [queued(ImageId(3), 0.0, 0.4)]).unwrap();
    project.connection.execute("DELETE FROM leases", []).unwrap();
    let next = project.next("ann", 2, &[]).unwrap();
    assert_eq!((next.questions[0].id.0, next.questions[0].rank, next.left), (3, Some(1), 1));
    assert_eq!(next.questions[1].rank, None);
}

#[test]
fn a_round_that_breaks_off_leaves_queue_and_predictions() {
    let place = Place::new(4);
    let mut project = place.made(Settings { holdout: 0.5, ..Settings::default() });
    let all = by_path(&project);
    let held = all.values().find(|image| image.holdout).unwrap().id;
    let open = all.values().find(|image| !image.holdout).unwrap().id;
    let queued = |image, score| Queued { image, score, terms: vec![] };
    assert_eq!(project.begin_round("typiclust", 0, 1).unwrap(), 0);
    // What is killed is cut short, and begun again.
    assert_eq!(project.begin_round("typiclust", 0, 1).unwrap(), 0);
    project.finish_round(0, &Summary::default(), &[], [], [queued(open, 1.0)]).unwrap();
    let round = project.begin_round("vabal", 9, u64::MAX).unwrap();
    assert_eq!(round, 1);
    let wrong = [
        vec![queued(held, 1.0)],
        vec![queued(ImageId(99), 1.0)],
        vec![queued(open, f64::NAN)],
        vec![queued(open, 1.0); 2],
    ];
    for queue in wrong {
        assert!(project.finish_round(round, &summary(), &[], [], queue).is_err());
    }
    let bad = [predicted(open, [f32::NAN, 0.0, 0.0]), Prediction { image: open, probabilities: vec![1.0] }];
    for prediction in bad {
        assert!(project.finish_round(round, &summary(), &[], [prediction], []).is_err());
    }
    project.fail_round(round, "the loss became NaN").unwrap();
    assert!(project.finish_round(round, &summary(), &[], [], []).is_err());
    assert_eq!(project.next("ann", 1, &[]).unwrap().left, 1);
    let rounds = project.rounds().unwrap();
    let states: Vec<RoundState> = rounds.iter().map(|round| round.state).collect();
    assert_eq!(states, [RoundState::Done, RoundState::Failed]);
    assert_eq!(rounds[1].seed, u64::MAX);
    assert_eq!(rounds[1].summary.as_ref().unwrap().error.as_deref(), Some("the loss became NaN"));
    assert_eq!(project.begin_round("vabal", 9, 1).unwrap(), 2);
    assert_eq!(project.newest_round().unwrap().unwrap().0, 0);
}

#[test]
fn only_one_trains_at_once() {
    let place = Place::new(1);
    let project = place.made(plain());
    let lock = project.lock_training().unwrap();
    assert!(lock.is_some());
    assert!(place.open().lock_training().unwrap().is_none());
    drop(lock);
    assert!(project.lock_training().unwrap().is_some());
}

#[test]
fn candidates_are_unlabelled_and_one_of_each_content() {
    let place = Place::new(6);
    place.draw("again.png", 5);
    let mut project = place.made(plain());
    label(&mut project, "ann", 1, 0);
    project.answer(&one("ann", "a", 2, Act::Discard, None)).unwrap();
    project.answer(&one("ann", "b", 3, Act::Unsure, None)).unwrap();
    project.answer(&one("ann", "c", 4, Act::Later, None)).unwrap();
    let all = by_path(&project);
    let found = project.candidates().unwrap();
    assert_eq!(found.len(), 4);
    let state =
        |id: ImageId| found.iter().find(|candidate| candidate.image == id).map(|candidate| candidate.state);
    let id = |name: &str| all[name].id;
    assert_eq!(found.iter().filter(|candidate| candidate.state == State::Open).count(), 2);
    let twins = [state(id("005.png")), state(id("again.png"))];
    assert_eq!(twins.iter().flatten().count(), 1);
    assert!(found.iter().any(|candidate| candidate.state == State::Unsure));
    assert!(found.iter().any(|candidate| candidate.state == State::Later));
    assert_eq!(project.paths().unwrap().len(), 7);
}
