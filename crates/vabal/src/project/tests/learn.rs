//! Rounds, from a folder without labels to suggestions, on pictures that a small network tells
//! apart.

use std::fs;

use super::*;
use crate::device::Device;
use crate::error::Error;
use crate::progress::{Event, Flow};
use crate::project::learn::{self, Context, MODEL};
use crate::project::status;

/// Stripes that lie, stand or lean, with noise: class by the number, 0 in half of them.
fn stripes(k: u32) -> (u32, image::GrayImage) {
    let class = [0, 0, 1, 2][(k % 4) as usize];
    let mut state = u64::from(k) + 1;
    let picture = image::GrayImage::from_fn(16, 16, |x, y| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let noise = (state >> 58) as u32;
        let place = [y, x, x + y][class as usize];
        image::Luma([(if (place + k / 4) % 4 < 2 { 180 } else { 40 } + noise) as u8])
    });
    (class, picture)
}

fn striped(n: u32, settings: Settings) -> (Place, Project) {
    let place = Place::new(0);
    for k in 0..n {
        stripes(k).1.save(place.images().join(format!("{k:03}.png"))).unwrap();
    }
    let project = place.made(settings);
    (place, project)
}

fn small() -> Settings {
    Settings {
        strategy: "entropy".into(),
        size: 16,
        passes: 600,
        first: 12,
        budget: 10,
        backbone: learn::NONE.into(),
        ..Settings::default()
    }
}

fn truth(path: &str) -> Label {
    stripes(path.trim_end_matches(".png").parse().unwrap()).0
}

fn answer(project: &mut Project, n: usize) {
    for _ in 0..n {
        let next = project.next("me", 1, &[]).unwrap();
        let question = &next.questions[0];
        let class = truth(&question.path);
        label(project, "me", question.id, class);
    }
}

fn cpu() -> Context {
    Context::plain(Device::Cpu)
}

fn train(project: &mut Project) -> u64 {
    learn::round(project, &cpu(), &mut silent()).unwrap()
}

fn queue(project: &Project) -> Vec<(ImageId, i64)> {
    let mut select = project.connection.prepare("SELECT image, rank FROM queue ORDER BY rank").unwrap();
    select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

#[test]
fn from_no_label_to_suggestions_that_are_right() {
    let (_place, mut project) = striped(120, small());
    assert!(learn::obstacle(&project).unwrap().unwrap().contains("no class has"));
    assert_eq!(train(&mut project), 0);
    assert!((20..30).contains(&queue(&project).len()), "a quarter of what is open");
    assert!(project.predicted().unwrap().is_empty());
    assert!(!project.folder().join(MODEL).exists());

    answer(&mut project, 40);
    assert_eq!(train(&mut project), 1);
    let (trained, _) = project.training_set().unwrap();
    let (holdout, _) = project.holdout_set().unwrap();
    assert!(!holdout.is_empty() && holdout.iter().all(|id| !trained.contains(id)));
    let predicted = project.predicted().unwrap();
    let known: Vec<_> = project.paths().unwrap();
    let path = |id: ImageId| {
        let (_, path) = known.iter().find(|(one, _)| *one == id).unwrap();
        path.file_name().unwrap().to_string_lossy().into_owned()
    };
    // All but what it was trained on, the holdout too.
    assert_eq!(predicted.len(), 120 - trained.len());
    assert!(predicted.iter().all(|(id, _)| !trained.contains(id)));
    let right = predicted.iter().filter(|(id, class)| truth(&path(*id)) == *class).count();
    assert!(right * 10 >= predicted.len() * 9, "{right} of {}", predicted.len());
    let asked = queue(&project);
    assert_eq!(asked.len(), 10);
    assert!(asked.iter().all(|(id, _)| !trained.contains(id) && !holdout.contains(id)));

    let status = status::of(&project).unwrap();
    let round = &status.rounds[0];
    assert_eq!((round.labels, round.holdout), (trained.len(), holdout.len()));
    assert!(round.balanced_low <= round.measured_accuracy && round.measured_accuracy <= round.balanced_high);
    // Nothing is of class d: whether there is any, nobody knows.
    assert_eq!((round.balanced_accuracy, round.classes_measured, round.classes), (None, 3, 4));
    assert_eq!(status.classes.iter().map(|class| class.labels).sum::<usize>(), 40);
    assert!(status.imbalance.unwrap() >= 1.0 && !status.stopping.reasonable && status.needs.is_none());
    let expected: f64 = status.next.per_class.iter().map(|class| class.expected).sum();
    assert!((expected - status.next.n as f64).abs() < 1e-3, "{expected}");

    // A class that came late is learnt next time, and predictions of what is labelled stay as they
    // were.
    let before = project.predicted().unwrap();
    answer(&mut project, 10);
    assert_eq!(train(&mut project), 2);
    let trained = project.training_set().unwrap().0;
    let after = project.predicted().unwrap();
    let of = |all: &[(ImageId, Label)], id| all.iter().find(|(one, _)| *one == id).map(|(_, class)| *class);
    assert!(trained.iter().filter(|id| of(&before, **id).is_some()).count() >= 8);
    assert!(trained.iter().all(|&id| of(&before, id).is_none() || of(&before, id) == of(&after, id)));
    assert!(status::of(&project).unwrap().rounds[1].agreement.is_some());
}

#[test]
fn the_same_answers_give_the_same_questions() {
    let asked = || {
        let (_place, mut project) = striped(60, Settings { strategy: "vabal".into(), ..small() });
        train(&mut project);
        answer(&mut project, 20);
        train(&mut project);
        (queue(&project), project.predicted().unwrap())
    };
    assert_eq!(asked(), asked());
}

#[test]
fn what_breaks_off_leaves_everything_as_it_was() {
    let (place, mut project) = striped(60, small());
    train(&mut project);
    answer(&mut project, 20);
    train(&mut project);
    let before =
        (queue(&project), project.predicted().unwrap(), fs::read(project.folder().join(MODEL)).unwrap());
    answer(&mut project, 5);
    let mut stop = |event: Event<'_>| match event {
        Event::Progress { phase: "train", done: 3, .. } => Flow::Stop,
        _ => Flow::Continue,
    };
    let error = learn::round(&mut project, &cpu(), &mut stop).unwrap_err();
    assert!(matches!(error, Error::Stopped), "{error}");
    let after =
        (queue(&project), project.predicted().unwrap(), fs::read(project.folder().join(MODEL)).unwrap());
    let open: Vec<_> = after.0.iter().map(|(id, _)| *id).collect();
    assert!(before.0.iter().all(|(id, _)| open.contains(id)) && before.1 == after.1 && before.2 == after.2);
    let rounds = project.rounds().unwrap();
    assert_eq!(rounds.last().unwrap().state, RoundState::Failed);

    // A model that cannot be written, after all the work.
    let model = project.folder().join(MODEL);
    fs::remove_file(&model).unwrap();
    fs::create_dir(&model).unwrap();
    assert!(learn::round(&mut project, &cpu(), &mut silent()).is_err());
    assert_eq!(project.rounds().unwrap().last().unwrap().state, RoundState::Failed);
    assert_eq!((queue(&project), project.predicted().unwrap()), (after.0, after.1));
    fs::remove_dir(&model).unwrap();

    let lock = project.lock_training().unwrap().unwrap();
    let mut other = place.open();
    let error = learn::round(&mut other, &cpu(), &mut silent()).unwrap_err().to_string();
    assert!(error.contains("under way") && error.contains("hint:"), "{error}");
    drop(lock);

    // An image that was deleted since, and one that is broken now.
    let known = project.paths().unwrap();
    fs::remove_file(&known[0].1).unwrap();
    fs::write(&known[1].1, b"no image").unwrap();
    let mut warned = Vec::new();
    let mut hear = |event: Event<'_>| {
        if let Event::Warning(text) = event {
            warned.push(text.to_owned());
        }
        Flow::Continue
    };
    learn::round(&mut project, &cpu(), &mut hear).unwrap();
    assert!(warned.iter().any(|text| text.contains("001.png")), "{warned:?}");
    let round = status::of(&project).unwrap().rounds.pop().unwrap();
    assert!(round.warnings.iter().any(|text| text.contains("001.png")));
}

#[test]
fn obstacles_are_said_in_plain_words() {
    let (_place, mut project) = striped(40, Settings { holdout: 0.0, ..small() });
    let all: Vec<_> = by_path(&project).into_values().map(|image| image.id).collect();
    assert!(learn::obstacle(&project).unwrap().unwrap().contains("no class has"));
    label(&mut project, "me", all[0], 0);
    label(&mut project, "me", all[1], 1);
    label(&mut project, "me", all[2], 1);
    assert!(learn::obstacle(&project).unwrap().unwrap().contains("one class has"));
    label(&mut project, "me", all[3], 0);
    assert_eq!(learn::obstacle(&project).unwrap(), None);
}

#[test]
fn a_model_predicts_other_folders_and_says_what_it_cannot_read() {
    let (_place, mut project) = striped(60, small());
    let elsewhere = tempfile::tempdir().unwrap();
    let error =
        learn::predict(&project, elsewhere.path(), &[], &cpu(), &mut silent()).unwrap_err().to_string();
    assert!(error.contains("no model yet") && error.contains("vabal train"), "{error}");
    train(&mut project);
    answer(&mut project, 40);
    train(&mut project);
    let paths: Vec<_> = (200..208).map(|k| elsewhere.path().join(format!("{k}.png"))).collect();
    for (k, path) in (200..).zip(&paths[..7]) {
        stripes(k).1.save(path).unwrap();
    }
    fs::write(&paths[7], b"no image").unwrap();
    let (classes, answers) =
        learn::predict(&project, elsewhere.path(), &paths, &cpu(), &mut silent()).unwrap();
    assert_eq!(classes, ["a", "b", "c"]);
    assert!(answers[7].is_none());
    let right = (200..).zip(&answers[..7]).filter(|(k, p)| {
        let p = p.as_ref().unwrap();
        assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        crate::query::arrays::argmax(p.iter().copied()) == stripes(*k).0
    });
    assert!(right.count() >= 6);
}

/// With the network inside the program, at a size that is quick.
fn pretrained() -> Settings {
    Settings { backbone: "auto".into(), size: 64, ..small() }
}

#[test]
fn features_of_a_pretrained_network_give_questions_suggestions_and_files() {
    let (place, mut project) = striped(120, pretrained());
    let context = cpu();
    let train = |project: &mut Project| learn::round(project, &context, &mut silent()).unwrap();
    assert_eq!(train(&mut project), 0);
    assert!((20..30).contains(&queue(&project).len()), "a quarter of what is open");
    learn::prepare(&project, &context, &mut silent()).unwrap();
    answer(&mut project, 30);
    assert_eq!(train(&mut project), 1);
    let (trained, _) = project.training_set().unwrap();
    // What it was trained on too, by cross-validation.
    let mut predicted = project.predicted().unwrap();
    assert_eq!(predicted.len(), 120);
    predicted.retain(|(id, _)| !trained.contains(id));
    let paths = project.paths().unwrap();
    let name = |id: ImageId| {
        let (_, path) = paths.iter().find(|(one, _)| *one == id).unwrap();
        path.file_name().unwrap().to_string_lossy().into_owned()
    };
    let right = predicted.iter().filter(|(id, class)| truth(&name(*id)) == *class).count();
    assert!(right * 10 >= predicted.len() * 8, "{right} of {}", predicted.len());
    assert_eq!(queue(&project).len(), 10);
    let status = status::of(&project).unwrap();
    assert_eq!((status.rounds[0].size, status.rounds[0].passes), (64, 0));
    assert_eq!(status.rounds[0].backbone.as_deref(), Some("efficientnet-lite0"));

    // The same images read from a folder get the same classes.
    let all = project.predict_folder(&place.images(), &cpu(), &mut silent()).unwrap();
    let known: std::collections::HashMap<String, Label> =
        predicted.iter().map(|&(id, class)| (name(id), class)).collect();
    let classes = project.classes().unwrap();
    let named = |class: Label| &classes.iter().find(|one| one.id == class).unwrap().name;
    for image in &all.images {
        let said = &all.classes[image.best().0];
        assert!(known.get(&image.path).is_none_or(|&class| named(class) == said), "{}", image.path);
    }

    // By features, an image is most like those of its own class, and comes first itself.
    let like = ImageId(7);
    let order = learn::alike(&project, like, &context).unwrap();
    assert_eq!((order.len(), order[0]), (120, like));
    let own = order[1..11].iter().filter(|&&id| truth(&name(id)) == truth(&name(like))).count();
    assert!(own >= 8, "{own}");
    let query = ListQuery { class: Some(truth(&name(like))), ..ListQuery::default() };
    let listed = project.list_in_order(&query, &order).unwrap();
    assert!(!listed.images.is_empty() && listed.images.iter().all(|image| image.class == query.class));
    let ids: Vec<ImageId> = listed.images.iter().map(|image| image.id).collect();
    assert!(ids.is_sorted_by_key(|id| order.iter().position(|other| other == id)), "{ids:?}");
    let refused = learn::alike(&project, ImageId(999), &context).unwrap_err().to_string();
    assert!(refused.contains("no such image"), "{refused}");
    // Reasons come with the queue: no text is that of all.
    let asked = project.queue(10).unwrap();
    assert!(asked.iter().all(|asked| !asked.image.why.is_empty() && !asked.image.top.is_empty()));

    let out = place.project().join("labels.csv");
    let shape = crate::project::Shape::File(
        crate::project::exchange::Format::Csv,
        crate::project::exchange::Detail::Labels,
    );
    let written = project.export(shape, Some(&context), &out, &mut silent()).unwrap();
    let names = ["labels.csv", "labels.safetensors", "labels.onnx", "labels.head.onnx"];
    assert_eq!(written.files, names.map(|name| place.project().join(name)));

    // A model is of one backbone, used in one way.
    project.change_settings(&serde_json::json!({ "backbone": "none" })).unwrap();
    let refused = learn::alike(&project, like, &context).unwrap_err().to_string();
    assert!(refused.contains("no features") && refused.contains("hint:"), "{refused}");
    assert_eq!(project.predict_folder(&place.images(), &cpu(), &mut silent()).unwrap(), all);
    project.change_settings(&serde_json::json!({ "backbone": "no-such-one" })).unwrap();
    let error = project.predict_folder(&place.images(), &cpu(), &mut silent()).unwrap_err().to_string();
    assert!(error.contains("unknown backbone") && error.contains("hint:"), "{error}");
}

#[test]
fn features_are_computed_once_and_what_is_remembered_changes_no_pick() {
    let (place, mut project) = striped(60, Settings { strategy: "vabal".into(), ..pretrained() });
    let rounds = |project: &mut Project, fresh: bool| {
        let context = cpu();
        let mut computed = 0;
        let mut hear = |event: Event<'_>| {
            if let Event::Progress { phase: "embed", done, total, .. } = event {
                computed += usize::from(done < total);
            }
            Flow::Continue
        };
        for n in [0, 12, 8] {
            answer(project, n);
            let new = cpu();
            learn::round(project, if fresh { &new } else { &context }, &mut hear).unwrap();
        }
        (queue(project), project.predicted().unwrap(), computed > 0)
    };
    let (picks, predictions, computed) = rounds(&mut project, false);
    assert!(computed);
    let (_other, mut again) = striped(60, Settings { strategy: "vabal".into(), ..pretrained() });
    assert_eq!(rounds(&mut again, true), (picks, predictions, true));
    // A new image is seen, and only it is computed.
    stripes(200).1.save(place.images().join("200.png")).unwrap();
    project.import(&mut silent()).unwrap();
    let mut left = Vec::new();
    let mut hear = |event: Event<'_>| {
        if let Event::Progress { phase: "embed", done, total, .. } = event {
            left.push(total - done);
        }
        Flow::Continue
    };
    learn::round(&mut project, &cpu(), &mut hear).unwrap();
    assert_eq!(left, [1, 0]);
}
