//! A project written to files and read again is the same project; a file read twice is read once.

use super::super::exchange::{Detail, Format, Reading, csv, json_lines, read};
use super::super::tests::{Place, check_kept, plain};
use super::super::{Act, Answer, Answers, Appended, ClassChange, Settings, Source, State};
use super::*;
use crate::progress::silent;

fn say(
    project: &mut Project,
    person: &str,
    token: &str,
    (act, class): (Act, Option<Label>),
    images: &[ImageId],
) {
    from(project, person, token, (act, class), images, Source::Page);
}

fn from(
    project: &mut Project,
    person: &str,
    token: &str,
    (act, class): (Act, Option<Label>),
    images: &[ImageId],
    source: Source,
) {
    let answers = images
        .iter()
        .map(|&image| Answer { image, act, class, seconds: Some(1.25), suggested: Some(1) })
        .collect();
    let (person, token) = (person.into(), token.into());
    let duplicates = source == Source::Page;
    project.answer(&Answers { person, token, answers, duplicates, source }).unwrap();
}

/// Every kind of answer, of several persons, of classes that were renamed and merged meanwhile.
fn busy(place: &Place, settings: Settings) -> Project {
    use Act::{Discard, Label as Says, Later, Unsure};
    place.draw("copy of 3.png", 3);
    let mut project = place.made(settings);
    say(&mut project, "ann", "1", (Says, Some(0)), &[1, 2, 3].map(ImageId));
    say(&mut project, "bob", "2", (Says, Some(1)), &[3, 4].map(ImageId));
    say(&mut project, "ann", "3", (Later, None), &[ImageId(5)]);
    say(&mut project, "ann", "4", (Discard, None), &[ImageId(6)]);
    project.undo("ann", Some("5")).unwrap();
    // The same again, maybe within the millisecond.
    say(&mut project, "ann", "6", (Discard, None), &[ImageId(6)]);
    project.undo("ann", None).unwrap();
    say(&mut project, "bob \"b\", jr", "7", (Unsure, None), &[ImageId(7)]);
    say(&mut project, "ann", "8", (Says, Some(2)), &[8, 9].map(ImageId));
    // Both settled and unsettled conflicts; a class that is merged, one that is renamed.
    say(&mut project, "cem", "9", (Says, Some(3)), &[2, 8].map(ImageId));
    from(&mut project, "ann", "10", (Says, Some(3)), &[ImageId(2)], Source::Review);
    let appended = |image, at, class| Appended {
        image,
        person: "dee".into(),
        at: Some(at),
        act: Says,
        class: Some(class),
        seconds: None,
        suggested: None,
    };
    project
        .append(&[appended(ImageId(1), 5, 0), appended(ImageId(1), 5, 0), appended(ImageId(7), 6, 2)])
        .unwrap();
    project.merge_class(2, 1).unwrap();
    let name = ClassChange { name: Some("é, \"new\"".into()), place: Some(0), ..ClassChange::default() };
    project.change_class(3, &name).unwrap();
    project
}

fn whole(project: &Project) -> String {
    json_lines::write(&project.rows().unwrap(), &project.listed_classes().unwrap(), Detail::Answers)
}

#[test]
fn a_project_written_and_read_is_the_same_project_to_the_byte() {
    // With a holdout too: which images are of it follows from their content and the seed.
    for settings in [plain(), Settings { holdout: 0.5, ..Settings::default() }] {
        let one = Place::new(9);
        let from = busy(&one, settings.clone());
        check_kept(&from);
        let (rows, first) = (from.rows().unwrap(), whole(&from));
        assert!(!first.contains("\"c\"") && first.contains("undoes") && first.contains("review"), "{first}");
        for (format, text) in
            [(Format::JsonLines, first.clone()), (Format::Csv, csv::write(&rows, Detail::Answers))]
        {
            let folder = tempfile::tempdir().unwrap();
            let mut into =
                Project::create(&folder.path().join("p"), &one.images(), &[], settings.clone()).unwrap();
            into.import(&mut silent()).unwrap();
            let labels = read(text.as_bytes(), format, &Reading::default()).unwrap();
            let taken = into.take_in(&labels, "eve", &mut silent()).unwrap();
            assert_eq!((taken.same, taken.unknown, taken.added), (0, 0, labels.records.len()));
            assert_eq!(into.rows().unwrap(), rows);
            check_kept(&into);
            // A file of CSV has no list of classes: theirs is the order in which they come.
            let list = if format == Format::Csv { from.listed_classes() } else { into.listed_classes() };
            let again = json_lines::write(&into.rows().unwrap(), &list.unwrap(), Detail::Answers);
            assert_eq!(again, first);
            let taken = into.take_in(&labels, "eve", &mut silent()).unwrap();
            assert_eq!((taken.added, taken.same), (0, labels.records.len()));
            assert_eq!(into.rows().unwrap(), rows);
            // What was undone can be done and undone anew, as where it comes from.
            let undone = into.undo("cem", None).unwrap().unwrap();
            assert_eq!(undone.images.len(), 2);
        }
    }
}

#[test]
fn what_a_project_wrote_adds_nothing_to_it_whatever_became_of_its_classes() {
    let place = Place::new(9);
    let mut project = busy(&place, plain());
    let text = whole(&project);
    project.merge_class(1, 0).unwrap();
    for detail in [Detail::Answers, Detail::Labels] {
        for (format, text) in
            [(Format::JsonLines, text.clone()), (Format::Csv, csv::write(&project.rows().unwrap(), detail))]
        {
            let before = whole(&project);
            let taken = project
                .take_in(&read(text.as_bytes(), format, &Reading::default()).unwrap(), "eve", &mut silent())
                .unwrap();
            assert_eq!((taken.added, taken.unknown, taken.new_classes.len()), (0, 0, 0));
            assert_eq!(whole(&project), before);
        }
    }
}

#[test]
fn plain_labels_are_added_once_and_what_is_not_there_is_listed() {
    let place = Place::new(4);
    let mut project = place.made(plain());
    let rows = project.rows().unwrap();
    let text = format!(
        "path,class\n{},a\n{},new\nnowhere.png,a\n{},a\n{},\" b \"\n",
        rows[0].path, rows[1].path, rows[0].path, rows[2].path
    );
    let labels = read(text.as_bytes(), Format::Csv, &Reading::default()).unwrap();
    let taken = project.take_in(&labels, "eve", &mut silent()).unwrap();
    assert_eq!((taken.added, taken.same, taken.unknown), (3, 1, 1));
    assert_eq!(
        (taken.unknown_paths, taken.new_classes),
        (vec!["nowhere.png".to_owned()], vec!["new".to_owned()])
    );
    let taken = project.take_in(&labels, "eve", &mut silent()).unwrap();
    assert_eq!((taken.added, taken.same), (0, 4));
    let detail = project.detail(ImageId(1)).unwrap().unwrap();
    assert_eq!((detail.history.len(), detail.history[0].person.as_str()), (1, "eve"));
}

#[test]
fn what_is_stopped_or_refused_leaves_nothing() {
    let place = Place::new(4);
    let mut project = place.made(plain());
    let rows = project.rows().unwrap();
    let text =
        format!("path,class,person\n{},new,ann\n{},newer,{}\n", rows[0].path, rows[1].path, "x".repeat(200));
    let labels = read(text.as_bytes(), Format::Csv, &Reading::default()).unwrap();
    assert!(project.take_in(&labels, "eve", &mut silent()).is_err());
    let labels =
        read(text.replace(&"x".repeat(200), "bob").as_bytes(), Format::Csv, &Reading::default()).unwrap();
    let stopped = project.take_in(&labels, "eve", &mut |_| crate::Flow::Stop);
    assert!(matches!(stopped, Err(crate::Error::Stopped)));
    assert_eq!((project.rows().unwrap(), project.classes().unwrap().len()), (rows, 4));
    check_kept(&project);
}

#[test]
fn notes_flags_descriptions_and_examples_go_along_and_change_nothing_that_is_there() {
    let place = Place::new(4);
    let mut project = place.made(plain());
    say(&mut project, "ann", "1", (Act::Label, Some(0)), &[ImageId(1)]);
    project.note_image(ImageId(1), "ann", Some("two\nlines, one \"quote\""), None).unwrap();
    project.note_image(ImageId(3), "ann", None, Some(true)).unwrap();
    project.describe_class(1, "dark").unwrap();
    project.pin_example(1, ImageId(2), true).unwrap();
    let rows = project.rows().unwrap();
    let files = [
        (Format::Csv, project.text(&rows, Format::Csv, Detail::Answers).unwrap()),
        (Format::Csv, project.text(&rows, Format::Csv, Detail::Labels).unwrap()),
        (Format::LabelStudio, project.text(&rows, Format::LabelStudio, Detail::Labels).unwrap()),
        (Format::JsonLines, project.text(&rows, Format::JsonLines, Detail::Answers).unwrap()),
    ];
    let other = Place::new(4);
    for (n, (format, text)) in files.iter().enumerate() {
        let mut into = other_project(&other, n);
        let labels = read(text.as_bytes(), *format, &Reading::default()).unwrap();
        let taken = into.take_in(&labels, "bob", &mut silent()).unwrap();
        // The file of labels has the labelled images alone.
        let has_all = n != 1;
        assert_eq!((taken.added, taken.remarks), (1, if has_all { 2 } else { 1 }), "{text}");
        assert!(taken.left_out.is_empty(), "{taken:?}");
        let notes: Vec<Note> = into.rows().unwrap().into_iter().map(|row| row.note).collect();
        assert_eq!(notes[0], rows[0].note);
        assert_eq!(notes[2].flag, has_all);
        let guides = into.guides().unwrap();
        if *format == Format::JsonLines {
            assert_eq!((taken.guides, guides[0].description.as_str()), (2, "dark"));
            assert_eq!(guides[0].examples[0].path, "001.png");
        } else {
            assert_eq!((taken.guides, guides.len()), (0, 0));
        }
        let again = into.take_in(&labels, "bob", &mut silent()).unwrap();
        assert_eq!((again.added, again.remarks, again.guides), (0, 0, 0), "{text}");
        into.note_image(ImageId(1), "eve", Some("another"), None).unwrap();
        assert_eq!(into.take_in(&labels, "bob", &mut silent()).unwrap().remarks, 0);
        assert_eq!(into.rows().unwrap()[0].note.note, "another");
    }
}

/// A project of its own of the same images.
fn other_project(place: &Place, n: usize) -> Project {
    let classes = ["a", "b", "c", "d"].map(str::to_string);
    let folder = place.project().with_file_name(format!("project {n}"));
    let mut project = Project::create(&folder, &place.images(), &classes, plain()).unwrap();
    project.import(&mut silent()).unwrap();
    project
}

fn taken(project: &mut Project, text: &str) -> Taken {
    let labels = read(text.as_bytes(), Format::Csv, &Reading::default()).unwrap();
    project.take_in(&labels, "eve", &mut silent()).unwrap()
}

fn state(project: &Project, image: i64) -> (State, Option<Label>) {
    let image = project.detail(ImageId(image)).unwrap().unwrap().image;
    (image.state, image.class)
}

#[test]
fn what_a_file_says_twice_is_a_conflict_that_a_review_settles_for_good() {
    let place = Place::new(3);
    let mut project = place.made(plain());
    let text = "path,class\n000.png,a\n000.png,b\n000.png,a\n001.png,c\n";
    let first = taken(&mut project, text);
    assert_eq!((first.added, first.same, first.conflicts), (3, 1, 1));
    assert_eq!(first.conflict_paths, ["000.png: a (2), b (3)"]);
    assert_eq!((state(&project, 1).0, project.counts().unwrap().conflict), (State::Conflict, 1));
    let again = taken(&mut project, text);
    assert_eq!((again.added, again.same), (0, 4));
    from(&mut project, "ann", "r", (Act::Label, Some(1)), &[ImageId(1)], Source::Review);
    assert_eq!((taken(&mut project, text).added, state(&project, 1)), (0, (State::Labelled, Some(1))));
}

#[test]
fn one_image_in_two_class_folders_is_a_conflict() {
    let place = Place::new(3);
    let mut project = place.made(plain());
    let sorted = tempfile::tempdir().unwrap();
    for class in ["a", "b"] {
        std::fs::create_dir(sorted.path().join(class)).unwrap();
        std::fs::copy(place.images().join("001.png"), sorted.path().join(class).join("001.png")).unwrap();
    }
    let labels = exchange::folders::read(sorted.path(), &mut silent()).unwrap();
    let taken = project.take_in(&labels, "eve", &mut silent()).unwrap();
    assert_eq!((taken.conflicts, state(&project, 2).0), (1, State::Conflict));
}

#[test]
fn of_one_person_the_newer_answer_counts_whenever_it_comes_in() {
    let place = Place::new(3);
    let mut project = place.made(plain());
    say(&mut project, "ann", "1", (Act::Label, Some(0)), &[ImageId(1)]);
    let line = |image: i64, class: &str, person: &str, at: &str| {
        format!("path,class,person,at\n{:03}.png,{class},{person},{at}\n", image - 1)
    };
    let old = line(1, "b", "ann", "2001-01-01");
    let older = taken(&mut project, &old);
    assert_eq!((older.added, older.older, state(&project, 1)), (0, 1, (State::Labelled, Some(0))));
    // Of another it is an opinion, until a review came after it.
    assert_eq!(
        (taken(&mut project, &line(1, "b", "bob", "2001-01-01")).added, state(&project, 1).0),
        (1, State::Conflict)
    );
    from(&mut project, "ann", "r", (Act::Label, Some(0)), &[ImageId(1)], Source::Review);
    assert_eq!(taken(&mut project, &line(1, "c", "dee", "2001-01-01")).older, 1);
    assert_eq!(state(&project, 1), (State::Labelled, Some(0)));
    // What is newer counts.
    assert_eq!(taken(&mut project, &line(1, "b", "ann", "2200-01-01")).added, 1);
    assert_eq!(state(&project, 1), (State::Labelled, Some(1)));
}

#[test]
fn classes_are_compared_as_they_look() {
    let place = Place::new(4);
    let mut project = place.made(plain());
    let text = "path,class\n000.png,caf\u{e9}\n001.png,cafe\u{301}\n002.png,NaN\n";
    let first = taken(&mut project, text);
    assert_eq!(
        (first.new_classes, first.suspicious),
        (vec!["café".into(), "NaN".into()], vec!["NaN".to_owned()])
    );
    assert_eq!(state(&project, 1), state(&project, 2));
    assert_eq!(taken(&mut project, text).same, 3);
    for name in ["crack\u{200b}", "crack\u{a0}deep"] {
        let labels =
            read(format!("path,class\n003.png,{name}\n").as_bytes(), Format::Csv, &Reading::default())
                .unwrap();
        let error = project.take_in(&labels, "eve", &mut silent()).unwrap_err().to_string();
        assert!(error.contains("SPACE (U+") && error.contains("hint: "), "{error}");
    }
    assert_eq!(state(&project, 4).0, State::Open);
}

#[test]
fn a_name_in_another_folder_is_used_only_when_asked_for() {
    let place = Place::new(3);
    place.draw("b/3.png", 9);
    let mut project = place.made(plain());
    let text = "path,class\ntrain/3.png,a\nimages/b/3.png,a\n/home/images/001.png,b\n";
    let found = taken(&mut project, text);
    assert_eq!((found.added, found.unknown, found.by_name), (2, 1, 1));
    assert_eq!(found.unknown_paths, ["train/3.png: only its name is that of b/3.png"]);
    let labels = read(text.as_bytes(), Format::Csv, &Reading::default()).unwrap();
    assert_eq!(project.take_in_by(&labels, "eve", true, &mut silent()).unwrap().unknown, 0);
}
