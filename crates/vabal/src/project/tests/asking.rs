//! Who is asked what.

use std::collections::BTreeSet;

use super::*;

fn asked(project: &mut Project, person: &str, n: usize, have: &[ImageId]) -> Vec<ImageId> {
    ids(&project.next(person, n, have).unwrap().questions)
}

/// A queue of these images, in this order.
fn queue(project: &mut Project, images: &[ImageId]) {
    let round = project.begin_round("vabal", 0, 1).unwrap();
    let queue = images.iter().map(|&image| Queued { image, score: -(image.0 as f64), terms: vec![] });
    project.finish_round(round, &Summary::default(), &[], [], queue).unwrap();
}

#[test]
fn two_persons_never_hold_the_same_image_and_what_is_held_is_kept() {
    let place = Place::new(20);
    let mut project = place.made(plain());
    let ann = asked(&mut project, "ann", 6, &[]);
    let bob = asked(&mut project, "bob", 6, &[]);
    assert_eq!(ann.iter().chain(&bob).collect::<BTreeSet<_>>().len(), 12);
    // A page that was loaded again gets back what it had; one that still has it gets more.
    assert_eq!(asked(&mut project, "ann", 6, &[]), ann);
    let more = asked(&mut project, "ann", 3, &ann);
    assert_eq!(ann.iter().chain(&bob).chain(&more).collect::<BTreeSet<_>>().len(), 15);
    // When it runs out, others get it, but not while the page asks.
    project.connection.execute("UPDATE leases SET until = 1 WHERE person = 'bob'", []).unwrap();
    let rest = asked(&mut project, "cy", 20, &[]);
    assert_eq!(rest.len(), 20 - 9);
    assert!(bob.iter().all(|id| rest.contains(id)));
    assert_eq!(asked(&mut project, "bob", 20, &bob), Vec::<ImageId>::new());
    let mut fresh = place.open();
    assert_eq!(asked(&mut fresh, "dora", 20, &[]), Vec::<ImageId>::new());
    label(&mut project, "ann", ann[0], 1);
    assert_eq!(asked(&mut project, "ann", 20, &[]).len(), 8);
}

#[test]
fn a_page_that_slept_keeps_what_nobody_took() {
    let place = Place::new(4);
    let mut project = place.made(plain());
    let ann = asked(&mut project, "ann", 3, &[]);
    project.connection.execute("UPDATE leases SET until = 1", []).unwrap();
    let new = asked(&mut project, "ann", 1, &ann);
    assert_eq!(new.len(), 1);
    assert!(!ann.contains(&new[0]));
    assert_eq!(asked(&mut project, "bob", 4, &[]), Vec::<ImageId>::new());
}

#[test]
fn the_queue_comes_by_rank_then_a_random_order_then_what_was_put_off() {
    let place = Place::new(12);
    let mut project = place.made(plain());
    queue(&mut project, &[7, 3, 9].map(ImageId));
    let next = project.next("ann", 12, &[]).unwrap();
    assert_eq!((next.left, next.round), (3, Some(0)));
    let order = ids(&next.questions);
    assert_eq!(order[..3], [7, 3, 9]);
    assert_eq!(next.questions[0].rank, Some(1));
    assert_eq!(next.questions[5].why[0].kind, ReasonKind::Random);
    assert!(!order[3..].is_sorted(), "the order of the files is no random order");
    // Every person, every time, in the same order.
    project.connection.execute("DELETE FROM leases", []).unwrap();
    assert_eq!(asked(&mut project, "bob", 12, &[]), order);
    project.connection.execute("DELETE FROM leases", []).unwrap();
    project.answer(&one("ann", "x", 3, Act::Later, None)).unwrap();
    project.answer(&one("ann", "y", 7, Act::Later, None)).unwrap();
    project.answer(&one("ann", "z", 9, Act::Unsure, None)).unwrap();
    let left = asked(&mut project, "ann", 12, &[]);
    assert_eq!(left[..9], order[3..]);
    assert_eq!(left[9..], [3, 7]);
    for (n, id) in left[..9].iter().enumerate() {
        label(&mut project, "ann", *id, n as Label % 4);
    }
    assert_eq!(asked(&mut project, "ann", 12, &[]), [3, 7]);
    label(&mut project, "ann", 3, 0);
    assert_eq!(asked(&mut project, "ann", 12, &[]), [7]);
}

#[test]
fn one_question_in_five_is_of_the_holdout_until_there_are_enough() {
    let place = Place::new(120);
    let mut project = place.made(Settings { holdout: 0.4, holdout_target: 6, ..Settings::default() });
    let mut sides = Vec::new();
    while sides.len() < 40 {
        for image in project.next("ann", 3, &[]).unwrap().questions {
            assert!(image.suggestion.is_none());
            assert_eq!(image.holdout, image.why[0].kind == ReasonKind::Holdout);
            sides.push(image.holdout);
            label(&mut project, "ann", image.id, 0);
        }
    }
    let places: Vec<usize> = (0..sides.len()).filter(|&n| sides[n]).collect();
    assert_eq!(places, [4, 9, 14, 19, 24, 29]);
    let (train, _) = project.training_set().unwrap();
    let (held, _) = project.holdout_set().unwrap();
    assert_eq!(held.len(), 6);
    assert!(train.iter().all(|id| !held.contains(id)));
    assert!(project.images(&train).unwrap().iter().all(|image| !image.holdout));
    // When the others are used up, no more of the holdout than wanted.
    loop {
        let questions = project.next("ann", 50, &[]).unwrap().questions;
        if questions.is_empty() {
            break;
        }
        for image in questions {
            label(&mut project, "ann", image.id, 0);
        }
    }
    let counts = project.counts().unwrap();
    assert_eq!((counts.holdout.labelled, counts.open), (6, counts.holdout.images - 6));
}

#[test]
fn the_holdout_goes_on_while_a_class_has_too_few_there() {
    let place = Place::new(200);
    let mut project = place.made(Settings { holdout: 0.5, holdout_target: 10, ..Settings::default() });
    let mut asked = 0;
    // One image in twelve is of class 1.
    for _ in 0..110 {
        let image = project.next("ann", 1, &[]).unwrap().questions.remove(0);
        asked += usize::from(image.holdout);
        label(&mut project, "ann", image.id, Label::from(image.id.0 % 12 == 0));
    }
    assert_eq!(asked, 20, "twice as many as else, and no more");
    let held = project.holdout_set().unwrap().1;
    assert!(held.iter().filter(|&&class| class == 1).count() < 5);
}

#[test]
fn the_holdout_does_not_depend_on_names_and_is_drawn_anew_by_another_seed() {
    let place = Place::new(60);
    let side = |place: &Place, seed| {
        let _ = fs::remove_dir_all(place.project());
        let project = place.made(Settings { holdout: 0.5, seed, ..Settings::default() });
        by_path(&project).into_values().filter(|i| i.holdout).map(|i| i.hash).collect::<BTreeSet<_>>()
    };
    let first = side(&place, 1);
    for k in 0..60 {
        let name = |n: u8| place.images().join(format!("{n:03}.png"));
        fs::rename(name(k), place.images().join(format!("renamed {}.png", 60 - k))).unwrap();
    }
    assert_eq!(side(&place, 1), first);
    assert_ne!(side(&place, 2), first);
    assert!((15..45).contains(&first.len()), "{}", first.len());
}

#[test]
fn duplicates_of_what_is_labelled_or_asked_are_not_asked() {
    let place = Place::new(0);
    for (name, k) in [("a", 0), ("b", 0), ("c", 1), ("d", 2), ("e", 2)] {
        place.draw(&format!("{name}.png"), k);
    }
    let mut project = place.made(plain());
    queue(&mut project, &[1, 2, 3, 4, 5].map(ImageId));
    assert_eq!(asked(&mut project, "ann", 2, &[]), [1, 3]);
    assert_eq!(asked(&mut project, "bob", 5, &[]), [4]);
    label(&mut project, "bob", 4, 0);
    assert_eq!(asked(&mut project, "bob", 5, &[]), Vec::<ImageId>::new());
    assert!(project.candidates().unwrap().iter().all(|candidate| candidate.image < ImageId(4)));
    // Taken back, its duplicate is open again; but it is bob's to answer.
    let undone = project.undo("bob", None).unwrap().unwrap();
    assert_eq!(ids(&undone.images), [4]);
    assert_eq!(asked(&mut project, "cy", 5, &[]), Vec::<ImageId>::new());
    assert_eq!(asked(&mut project, "bob", 5, &[]), [4]);
    project.answer(&one("bob", "l", 4, Act::Unsure, None)).unwrap();
    assert_eq!(asked(&mut project, "bob", 5, &[]), [5]);
    check_kept(&project);
}

#[test]
fn as_many_persons_are_asked_as_are_wanted_and_nobody_twice() {
    let place = Place::new(6);
    let mut project = place.made(Settings { answers_wanted: 2, ..plain() });
    queue(&mut project, &[1, 2].map(ImageId));
    assert_eq!(asked(&mut project, "ann", 2, &[]), [1, 2]);
    label(&mut project, "ann", 1, 0);
    label(&mut project, "ann", 2, 0);
    assert_eq!(asked(&mut project, "bob", 2, &[]), [1, 2]);
    label(&mut project, "bob", 1, 0);
    label(&mut project, "bob", 2, 1);
    let rest = asked(&mut project, "cy", 6, &[]);
    assert_eq!(rest.len(), 4);
    assert!(rest.iter().all(|id| *id > ImageId(2)));
    assert_eq!(asked(&mut project, "ann", 6, &[]), Vec::<ImageId>::new());
    for id in rest {
        label(&mut project, "cy", id, 2);
    }
    let second = asked(&mut project, "ann", 6, &[]);
    assert_eq!(second.len(), 4);
    assert_eq!(asked(&mut project, "cy", 6, &[]), Vec::<ImageId>::new());
}

#[test]
fn persons_at_once_answer_every_image_once() {
    let place = Place::new(200);
    drop(place.made(Settings::default()));
    std::thread::scope(|scope| {
        for person in 0..6 {
            let place = &place;
            scope.spawn(move || {
                let mut project = place.open();
                let name = format!("person {person}");
                for turn in 0.. {
                    let questions = asked(&mut project, &name, 5, &[]);
                    if questions.is_empty() {
                        break;
                    }
                    for id in questions {
                        let class = Some(id.0 as Label % 4);
                        let given = one(&name, &format!("{person} {turn} {id}"), id, Act::Label, class);
                        project.answer(&given).unwrap();
                    }
                }
            });
        }
    });
    let project = place.open();
    check_kept(&project);
    let counts = project.counts().unwrap();
    assert_eq!((counts.labelled, counts.open), (200, 0));
    let answers: usize =
        project.connection.query_row("SELECT count(*) FROM answers", [], |r| r.get(0)).unwrap();
    assert_eq!(answers, 200);
}

#[test]
fn what_cannot_be_an_answer_is_refused_whole() {
    let place = Place::new(3);
    let mut project = place.made(plain());
    let good = one("ann", "t", 1, Act::Label, Some(0));
    let mut wrong = vec![
        Answers { person: " ".into(), ..good.clone() },
        Answers { token: "a/b".into(), ..good.clone() },
        Answers { token: String::new(), ..good.clone() },
        Answers { answers: vec![], ..good.clone() },
        Answers { source: Source::Import, ..good.clone() },
        one("ann", "t", 1, Act::Label, None),
        one("ann", "t", 1, Act::Later, Some(0)),
        one("ann", "t", 1, Act::Undo, None),
        one("ann", "t", 1, Act::Label, Some(99)),
        one("ann", "t", 4, Act::Label, Some(0)),
        one("ann", "t", i64::MAX, Act::Label, Some(0)),
    ];
    for seconds in [-1.0, f64::NAN, f64::INFINITY] {
        let mut answers = good.clone();
        answers.answers[0].seconds = Some(seconds);
        wrong.push(answers);
    }
    let mut mixed = good.clone();
    mixed.answers.push(Answer { image: ImageId(99), ..good.answers[0] });
    wrong.push(mixed);
    for given in wrong {
        assert!(project.answer(&given).is_err(), "{given:?}");
    }
    assert_eq!(project.counts().unwrap().open, 3);
    project.answer(&good).unwrap();
    assert!(project.answer(&Answers { person: "bob".into(), ..good.clone() }).is_err());
    assert!(project.undo("ann", Some("t")).is_err());
    assert!(project.undo("bob", None).unwrap().is_none());
    assert!(project.next("", 1, &[]).is_err() && project.next("ann", 5000, &[]).is_err());
    let text = r#"{"person":"a","token":"b","answers":[{"image":1,"act":"label","class":0,"colour":1}]}"#;
    assert!(serde_json::from_str::<Answers>(text).is_err());
}

#[test]
fn labels_until_the_next_training_count_what_can_be_trained_on() {
    let place = Place::new(40);
    let settings = Settings { first: 5, retrain_every: 3, holdout: 0.3, ..Settings::default() };
    let mut project = place.made(settings);
    assert_eq!(project.labels_until_training().unwrap(), 5);
    let (held, open): (Vec<Image>, Vec<Image>) =
        by_path(&project).into_values().partition(|image| image.holdout);
    label(&mut project, "ann", held[0].id, 0);
    assert_eq!(project.labels_until_training().unwrap(), 5);
    for image in &open[..6] {
        label(&mut project, "ann", image.id, 0);
    }
    assert_eq!(project.labels_until_training().unwrap(), 0);
    let round = project.begin_round("vabal", 6, 1).unwrap();
    assert_eq!((round, project.labels_until_training().unwrap()), (1, 3));
    assert_eq!(label(&mut project, "ann", open[6].id, 0).labels_until_training, 2);
    project.fail_round(round, "broken").unwrap();
    assert_eq!(project.labels_until_training().unwrap(), 0);
}
