//! The map of a project: when it is there, what it was computed from, what colours it.

use std::fs;

use super::rounds::{predicted, summary};
use super::{Place, Settings, label, plain, quick};
use crate::device::Device;
use crate::error::Error;
use crate::progress::{Event, Flow, silent};
use crate::project::learn::{self, Context};
use crate::project::map::{self, Stand};
use crate::project::{ImageId, Project};

fn context() -> Context {
    Context::plain(Device::Cpu)
}

/// A project on the features of the network inside the program.
fn seen(place: &Place) -> Project {
    place.made(Settings { backbone: "auto".into(), size: 64, ..plain() })
}

fn find(project: &Project) -> Stand {
    map::find(project, &context()).unwrap()
}

fn ready(project: &Project) -> map::Map {
    match find(project) {
        Stand::Ready(map) => map,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_map_is_kept_and_one_of_other_images_or_a_torn_one_is_made_again() {
    let place = Place::new(12);
    let mut project = seen(&place);
    assert_eq!(find(&project), Stand::Wanted);
    map::make(&project, &context(), &mut silent()).unwrap();
    let first = ready(&project);
    assert_eq!(first.len(), 12);
    let file = project.folder().join(map::FILE);
    let bytes = fs::read(&file).unwrap();

    fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(find(&project), Stand::Wanted);
    assert_eq!(project.kept_map(&first.tag()), None);
    map::make(&project, &context(), &mut silent()).unwrap();
    assert_eq!(fs::read(&file).unwrap(), bytes, "the same bits again");

    place.draw("new.png", 77);
    project.import(&mut silent()).unwrap();
    assert_eq!(find(&project), Stand::Wanted, "there are other images");
    fs::remove_file(place.images().join("new.png")).unwrap();
    project.import(&mut silent()).unwrap();
    assert_eq!(ready(&project), first);
    project.change_settings(&serde_json::json!({ "size": 96 })).unwrap();
    assert_eq!(find(&project), Stand::Wanted, "the network sees something else");
}

#[test]
fn a_map_that_is_stopped_leaves_the_old_one() {
    let place = Place::new(9);
    let project = seen(&place);
    map::make(&project, &context(), &mut silent()).unwrap();
    let before = ready(&project);
    let mut stop = |event: Event<'_>| match event {
        Event::Progress { phase: "layout", .. } => Flow::Stop,
        _ => Flow::Continue,
    };
    assert!(matches!(map::make(&project, &context(), &mut stop), Err(Error::Stopped)));
    assert_eq!(ready(&project), before);
}

#[test]
fn without_features_it_says_why_there_is_none() {
    let place = Place::new(4);
    let project = place.made(Settings { backbone: learn::NONE.into(), ..plain() });
    let Stand::Impossible(why) = find(&project) else { panic!("a map of nothing") };
    assert!(why.contains("trained from scratch") && why.contains("backbone=auto"), "{why}");
    let error = map::make(&project, &context(), &mut silent()).unwrap_err().to_string();
    assert!(error.contains("nothing to make a map of"), "{error}");
}

#[test]
fn colours_say_labels_guesses_and_doubt_and_of_the_holdout_labels_alone() {
    let place = Place::new(6);
    let mut project = seen(&place);
    quick(&project);
    map::make(&project, &context(), &mut silent()).unwrap();
    let map = ready(&project);
    project.connection.execute("UPDATE images SET holdout = 1 WHERE image IN (2, 5)", []).unwrap();
    // Of the classes 0, 1 and 3.
    let round = project.begin_round("entropy", 4, 1).unwrap();
    let says = [0.25, 0.5, 0.25];
    let all = [1, 2, 3, 5].map(|image| predicted(ImageId(image), says));
    project.finish_round(round, &summary(), &[], all, []).unwrap();
    label(&mut project, "ann", 3, 3);
    label(&mut project, "ann", 5, 0);

    let bytes = project.colours(&map).unwrap();
    let (head, rest) = bytes.split_at(12);
    assert_eq!(head, [2, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0]);
    let short = |at: usize| u16::from_le_bytes([rest[2 * at], rest[2 * at + 1]]);
    let none = u16::MAX;
    assert_eq!([0, 1, 2, 3, 4, 5].map(short), [none, none, 3, none, 0, none], "labels");
    assert_eq!([6, 7, 8, 9, 10, 11].map(short), [1, none, 1, none, none, none], "guesses");
    assert_eq!(rest[24..30], [0, 128, 1, 0, 129, 0], "states");
    assert_eq!(rest[30..36], [127, 255, 191, 255, 255, 255], "doubt");

    let changes = project.answered_since(1).unwrap();
    let images = changes.images.unwrap();
    assert_eq!((changes.answer, images.len()), (2, 1));
    assert_eq!((images[0].id, images[0].class, images[0].doubt), (ImageId(5), Some(0), None));
    let all = project.answered_since(0).unwrap().images.unwrap();
    assert_eq!(all.iter().map(|image| image.doubt).collect::<Vec<_>>(), [Some(0.75), None]);
}
