//! The file: made, opened, refused, migrated; settings and classes in it; a disk that is full.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::super::store::migrate;
use super::*;

fn assert_refused<T: std::fmt::Debug>(result: crate::Result<T>, words: &[&str]) {
    let error = result.unwrap_err().to_string();
    for word in words.iter().chain(&["hint"]) {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
}

#[test]
fn a_folder_is_no_project_before_it_was_made_and_is_made_once() {
    let place = Place::new(1);
    assert_refused(Project::open(&place.project()), &["holds no project", "no such folder"]);
    fs::create_dir(place.project()).unwrap();
    assert_refused(Project::open(&place.project()), &["holds no project", "a folder without it"]);
    // What a process leaves that is killed before it has made the tables.
    fs::write(place.project().join(FILE), b"").unwrap();
    assert_refused(Project::open(&place.project()), &["holds no project", "never finished"]);
    let none = place.images().join("none");
    assert_refused(Project::create(&place.project(), &none, &[], plain()), &["no such folder of images"]);
    let project = place.made(Settings::default());
    assert_eq!(project.settings().unwrap().name, "project");
    assert_eq!(project.settings().unwrap().images, "../images");
    assert_refused(
        Project::create(&place.project(), &place.images(), &[], plain()),
        &["a project in this folder already"],
    );
    for classes in [["a", "a"], ["a", " "]] {
        let classes = classes.map(str::to_string);
        let folder = place.images().with_file_name("twice");
        assert!(Project::create(&folder, &place.images(), &classes, plain()).is_err());
        // Nothing of it stays, so that it can be made.
        assert!(Project::open(&folder).is_err());
    }
}

#[test]
fn damaged_foreign_and_newer_files_are_refused() {
    let place = Place::new(2);
    drop(place.made(plain()));
    let file = place.project().join(FILE);
    rusqlite::Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert_refused(Project::open(&place.project()), &["newer", "version 99", "update vabal"]);
    fs::remove_file(&file).unwrap();
    rusqlite::Connection::open(&file).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    assert_refused(Project::open(&place.project()), &["no project", "`vabal init`"]);
    fs::write(&file, b"not a store, but long enough to be looked at as one: ".repeat(40)).unwrap();
    assert_refused(Project::open(&place.project()), &["cannot be used", "damaged"]);
}

#[test]
fn a_file_that_is_damaged_inside_is_an_error_and_no_panic() {
    let place = Place::new(30);
    let mut project = place.made(plain());
    for id in 1..20 {
        label(&mut project, "ann", id, 0);
    }
    project.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(project);
    let file = place.project().join(FILE);
    let mut bytes = fs::read(&file).unwrap();
    for byte in &mut bytes[4096..] {
        *byte = byte.wrapping_mul(7).wrapping_add(31);
    }
    fs::write(&file, bytes).unwrap();
    if let Ok(mut project) = Project::open(&place.project()) {
        assert!(project.answer(&one("ann", "x", 1, Act::Later, None)).is_err());
        assert!(project.next("ann", 3, &[]).is_err());
        assert!(project.overview().is_err() && project.import(&mut silent()).is_err());
    }
}

#[test]
fn an_older_file_is_brought_forward_with_a_copy_beside_it() {
    let place = Place::new(2);
    let mut project = place.made(plain());
    label(&mut project, "ann", 1, 0);
    let file = place.project().join(FILE);
    let before = "nonsense of a version before";
    let steps = [before, before, "CREATE TABLE new (a)", "INSERT INTO new VALUES (1)"];
    migrate(&mut project.connection, &file, VERSION, &steps).unwrap();
    let version = |file: &Path| {
        let connection = rusqlite::Connection::open(file).unwrap();
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        let answers: i64 =
            connection.query_row("SELECT count(*) FROM answers", [], |row| row.get(0)).unwrap();
        let tables = "SELECT count(*) FROM sqlite_master WHERE name = 'new'";
        (version, answers, connection.query_row(tables, [], |row| row.get::<_, i64>(0)).unwrap())
    };
    assert_eq!(version(&file), (VERSION + 2, 1, 1));
    let copy = place.project().join(format!("project.sqlite.v{VERSION}.bak"));
    assert_eq!(version(&copy), (VERSION, 1, 0));
    assert_refused(Project::open(&place.project()), &["newer"]);
    // The copy is a project by itself.
    drop(project);
    fs::remove_file(&file).unwrap();
    fs::copy(&copy, &file).unwrap();
    let mut project = place.open();
    assert_eq!(project.counts().unwrap().labelled, 1);
    // A step that fails changes nothing, and a copy that is there stays.
    let steps = ["", "", "CREATE TABLE new (a)", "nonsense"];
    assert!(migrate(&mut project.connection, &file, VERSION, &steps).is_err());
    assert_eq!(version(&file), (VERSION, 1, 0));
    assert!(place.project().join(format!("project.sqlite.v{VERSION}-1.bak")).is_file());
}

#[test]
fn a_project_of_the_first_version_is_opened_as_one_of_this() {
    let place = Place::new(2);
    let mut project = place.made(plain());
    label(&mut project, "ann", 1, 0);
    let later = "DROP TABLE guides; DROP TABLE examples; DROP TABLE notes; DROP TABLE suggestions;
                 PRAGMA user_version = 1";
    project.connection.execute_batch(later).unwrap();
    drop(project);
    let mut project = place.open();
    assert!(place.project().join("project.sqlite.v1.bak").is_file());
    assert_eq!((project.counts().unwrap().labelled, project.guides().unwrap().len()), (1, 0));
    project.describe_class(0, "dark").unwrap();
    assert_eq!(place.open().guides().unwrap()[0].description, "dark");
}

#[test]
fn classes_have_descriptions_and_examples_and_images_notes_and_flags() {
    let place = Place::new(15);
    let mut project = place.made(plain());
    assert!(project.describe_class(1, " dark\nlines ").unwrap());
    assert!(
        project.pin_example(3, ImageId(2), true).unwrap()
            && project.pin_example(3, ImageId(1), true).unwrap()
    );
    let guides = |project: &Project| -> Vec<(Label, String, Vec<i64>)> {
        let guides = project.overview().unwrap().guides.into_iter();
        guides
            .map(|one| (one.class, one.description, one.examples.iter().map(|e| e.id.0).collect()))
            .collect()
    };
    assert_eq!(guides(&project), [(1, "dark\nlines".into(), vec![]), (3, String::new(), vec![2, 1])]);
    project.pin_example(3, ImageId(2), false).unwrap();
    project.describe_class(1, "").unwrap();
    assert_eq!(guides(&project), [(3, String::new(), vec![1])]);
    assert_refused(project.describe_class(0, &"x".repeat(2001)), &["at most 2000", "description"]);
    assert_refused(project.describe_class(0, "a\u{7}b"), &["description"]);
    assert_refused(project.pin_example(0, ImageId(99), true), &["no such image"]);
    assert!(!project.describe_class(9, "x").unwrap() && !project.pin_example(9, ImageId(1), true).unwrap());
    let all = (1..=15).try_for_each(|image| project.pin_example(0, ImageId(image), true).map(|_| ()));
    assert_refused(all, &["at most 12"]);
    let flagged = |project: &Project, flag: bool| -> Vec<i64> {
        let query = ListQuery { flag: Some(flag), ..ListQuery::default() };
        project.list(&query).unwrap().images.iter().map(|image| image.id.0).collect()
    };
    project.note_image(ImageId(4), "ann", Some("a double exposure"), None).unwrap();
    project.note_image(ImageId(4), "ben", None, Some(true)).unwrap();
    let image = project.images(&[ImageId(4)]).unwrap().remove(0);
    assert_eq!(
        (image.note.note.as_str(), image.note.flag, image.state),
        ("a double exposure", true, State::Open)
    );
    assert_eq!((flagged(&project, true), flagged(&project, false).len()), (vec![4], 14));
    project.note_image(ImageId(4), "ann", Some(""), Some(false)).unwrap();
    assert_eq!(flagged(&project, true), [0_i64; 0]);
    assert_refused(project.note_image(ImageId(99), "ann", None, Some(true)), &["no such image"]);
    check_kept(&project);
}

#[test]
fn settings_are_changed_one_by_one_and_refused_by_name() {
    let place = Place::new(1);
    let mut project = place.made(Settings::default());
    let changed = project.change_settings(&json!({"budget": 20, "hide_suggestions": true})).unwrap();
    assert_eq!((changed.budget, changed.first, changed.hide_suggestions), (20, 10, true));
    assert_eq!(place.open().settings().unwrap(), changed);
    for (change, words) in [
        (json!({"budgets": 3}), ["unknown setting", "did you mean \"budget\"?"]),
        (json!({"budget": 0}), ["budget", "got: 0"]),
        (json!({"budget": "many"}), ["budget", "wrong type"]),
        (json!({"strategy": "vabl"}), ["vabal", "strategy"]),
        (json!({"holdout": 1.5}), ["holdout", "1.5"]),
        (json!({"seed": 9_007_199_254_740_993_u64}), ["seed", "out of range"]),
        (json!({"images": "/etc"}), ["images", "not set here"]),
        (json!({"budget": 30, "holdout": 0.5}), ["holdout", "fixed once there are images"]),
        (json!({"seed": 2}), ["seed", "fixed once there are images"]),
        (json!([1]), ["not an object", "value"]),
    ] {
        let error = project.change_settings(&change).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
    assert_eq!(project.settings().unwrap(), changed);
    // What was the same before is no change, nor is what was refused.
    project.change_settings(&json!({"budget": 20, "strategy": "margin", "seed": 1})).unwrap();
    let changes = place.open().changes().unwrap();
    let what: Vec<_> = changes.iter().map(|c| (c.key.as_str(), c.from.clone(), c.to.clone())).collect();
    let expected = [
        ("budget", json!(100), json!(20)),
        ("hide_suggestions", json!(false), json!(true)),
        ("strategy", json!("vabal"), json!("margin")),
    ];
    assert_eq!(what, expected);
    assert!(changes.windows(2).all(|two| two[0].at <= two[1].at) && changes[0].at > 1_700_000_000_000);
}

#[test]
fn before_there_are_images_everything_can_be_set() {
    let place = Place::new(0);
    let mut project = place.made(Settings::default());
    assert_eq!(project.changes().unwrap(), []);
    let set = project.change_settings(&json!({"holdout": 1e-9, "seed": 5})).unwrap();
    assert_eq!((set.holdout, set.seed, project.changes().unwrap().len()), (1e-9, 5, 2));
}

#[test]
fn classes_have_keys_colours_and_places() {
    let place = Place::new(4);
    let mut project = place.made(plain());
    let keys = |project: &Project| -> Vec<String> {
        project.classes().unwrap().into_iter().map(|class| class.key.unwrap_or_default()).collect()
    };
    assert_eq!(keys(&project), ["Digit1", "Digit2", "Digit3", "Digit4"]);
    let named = |name: &str| NewClass { name: name.into(), ..NewClass::default() };
    for n in 4..40 {
        project.add_class(&named(&format!("class {n}"))).unwrap();
    }
    let all = keys(&project);
    assert_eq!(all[9..12], ["Digit0", "KeyQ", "KeyW"]);
    assert!(["KeyD", "KeyU", "KeyG", "KeyH", "KeyR"].iter().all(|key| !all.contains(&(*key).to_string())));
    assert_eq!(all.last().unwrap(), "");
    let change = |json: serde_json::Value| serde_json::from_value::<ClassChange>(json).unwrap();
    for wrong in [
        json!({"key": "Digit2"}),
        json!({"key": "KeyD"}),
        json!({"key": "Enter"}),
        json!({"name": "b"}),
        json!({"name": "  "}),
        json!({"name": "two\nlines"}),
        json!({"colour": "red"}),
        json!({"colour": "#12345g"}),
    ] {
        assert!(project.change_class(0, &change(wrong)).is_err());
    }
    let class = project
        .change_class(0, &change(json!({"key": null, "place": 2, "colour": "#ABCDEF"})))
        .unwrap()
        .unwrap();
    assert_eq!((class.key, class.place, class.colour.as_str()), (None, 2, "#abcdef"));
    let order: Vec<Label> = project.classes().unwrap().iter().map(|class| class.id).collect();
    assert_eq!(order[..4], [1, 2, 0, 3]);
    assert!(project.change_class(99, &ClassChange::default()).unwrap().is_none());
    project.change_class(1, &change(json!({"key": "Numpad7", "name": " B "}))).unwrap();
    assert_eq!(project.classes().unwrap()[0].name, "B");
    // A merged class frees its key and its name, and its labels count for the other.
    label(&mut project, "ann", 1, 2);
    let left = project.merge_class(2, 3).unwrap().unwrap();
    assert_eq!((left.len(), left[2].id, left[2].labels), (39, 3, 1));
    let again =
        project.add_class(&NewClass { name: "c".into(), key: Some("Digit3".into()), colour: None }).unwrap();
    assert_eq!((again.id, again.labels), (40, 0));
    // A page that has not heard of it yet still labels with the old one.
    assert_eq!(label(&mut project, "ann", 2, 2).images[0].class, Some(3));
    check_kept(&project);
    let many = (41..=1001).try_for_each(|n| project.add_class(&named(&format!("class {n}"))).map(|_| ()));
    assert!(many.unwrap_err().to_string().contains("at most 1000"));
    project.next("ann", 3, &[]).unwrap();
}

#[test]
fn a_merge_can_be_taken_back_with_all_that_it_changed() {
    let place = Place::new(6);
    let mut project = place.made(plain());
    for (image, class) in [(1, 0), (2, 1), (3, 2), (4, 3)] {
        label(&mut project, "ann", image, class);
    }
    // Two who do not agree, until the classes are one.
    label(&mut project, "ben", 1, 1);
    let list = |project: &Project| -> Vec<(Label, usize, String)> {
        let all = project.classes().unwrap();
        all.into_iter().map(|class| (class.id, class.labels, class.key.unwrap_or_default())).collect()
    };
    let before = list(&project);
    project.merge_class(0, 1).unwrap();
    let between = list(&project);
    assert_eq!(between[0], (1, 2, "Digit2".into()));
    project.merge_class(1, 2).unwrap();
    assert_eq!(list(&project)[0], (2, 3, "Digit3".into()));
    let merged = project.overview().unwrap().merged;
    assert_eq!(merged.iter().map(|one| (one.id, one.into)).collect::<Vec<_>>(), [(0, 2), (1, 2)]);
    project.split_class(1).unwrap().unwrap();
    check_kept(&project);
    assert_eq!(list(&project), between);
    project.split_class(0).unwrap().unwrap();
    check_kept(&project);
    assert_eq!(list(&project), before);
    // Nothing is merged any more.
    assert!(project.split_class(0).unwrap().is_none() && project.split_class(99).unwrap().is_none());
    // Its key and its name may have gone to another meanwhile.
    project.merge_class(0, 1).unwrap();
    let other = |name: &str| NewClass { name: name.into(), key: Some("Digit1".into()), colour: None };
    let taken = project.add_class(&other("a")).unwrap();
    assert!(project.split_class(0).unwrap_err().to_string().contains("of this name"));
    let change = ClassChange { name: Some("e".into()), ..ClassChange::default() };
    project.change_class(taken.id, &change).unwrap();
    let back = project.split_class(0).unwrap().unwrap().remove(0);
    assert_eq!((back.id, back.key.as_deref()), (0, Some("Digit5")));
}

#[test]
fn a_class_that_no_answer_names_can_be_deleted_and_its_name_given_again() {
    let place = Place::new(4);
    let mut project = place.made(plain());
    label(&mut project, "ann", 1, 3);
    let error = project.delete_class(3).unwrap_err().complaint().to_string();
    assert!(error.contains("merge it"), "{error}");
    // An earlier answer comes back when the later one is undone.
    label(&mut project, "ann", 1, 0);
    assert!(project.delete_class(3).is_err());
    project.undo("ann", None).unwrap();
    project.undo("ann", None).unwrap();
    let left = project.delete_class(3).unwrap().unwrap();
    assert_eq!(left.iter().map(|class| class.id).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(project.delete_class(3).unwrap().is_none() && project.split_class(3).unwrap().is_none());
    assert_eq!(project.overview().unwrap().merged, []);
    let refused = project.answer(&one("ann", "t", 2, Act::Label, Some(3))).unwrap_err();
    assert!(refused.to_string().contains("no such class"), "{refused}");
    let again = project.add_class(&NewClass { name: "d".into(), ..NewClass::default() }).unwrap();
    assert_eq!((again.id, again.key.as_deref(), again.colour.as_str()), (4, Some("Digit4"), "#d55e00"));
    // A class that another was merged into is as full as that one is.
    label(&mut project, "ann", 2, 1);
    project.merge_class(1, 4).unwrap();
    assert!(project.delete_class(4).is_err());
    check_kept(&project);
}

#[test]
fn the_folder_of_images_is_no_place_for_the_project() {
    let place = Place::new(2);
    for project in [place.images(), place.images().join("../images/.")] {
        let error = Project::create(&project, &place.images(), &[], plain()).unwrap_err();
        assert!(error.complaint().to_string().contains("a folder of its own"), "{error}");
        assert!(!place.images().join(FILE).exists());
    }
    // Below the images it may be: it is passed over when they are looked at.
    let mut below = Project::create(&place.images().join("labels"), &place.images(), &[], plain()).unwrap();
    assert!(below.set_images(&place.images().join("labels")).is_err());
    below.import(&mut silent()).unwrap();
    assert_eq!(below.counts().unwrap().images, 2);
}

#[test]
fn a_full_disk_is_an_error_that_can_be_waited_out() {
    let place = Place::new(60);
    let mut project = place.made(plain());
    let pages: i64 = project.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let limit = |project: &Project, pages: i64| {
        project
            .connection
            .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, i64>(0))
            .unwrap();
    };
    limit(&project, pages);
    let mut given = 0;
    let error = loop {
        let token = format!("{given} {}", "x".repeat(80));
        match project.answer(&one("ann", &token, given % 60 + 1, Act::Later, None)) {
            Ok(_) => given += 1,
            Err(error) => break error,
        }
    };
    assert!(error.is_disk_full(), "{error}");
    assert!(error.complaint().to_string().contains("free some space"), "{error}");
    check_kept(&project);
    let rows = |project: &Project| -> i64 {
        project.connection.query_row("SELECT count(*) FROM answers", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(rows(&project), given);
    limit(&project, pages + 100);
    project.answer(&one("ann", "again", 1, Act::Label, Some(0))).unwrap();
    assert_eq!(rows(&place.open()), given + 1);
}

#[test]
fn a_file_that_may_not_be_written_can_be_read() {
    let place = Place::new(3);
    let mut project = place.made(plain());
    label(&mut project, "ann", 1, 0);
    drop(project);
    let set =
        |mode| fs::set_permissions(place.project().join(FILE), fs::Permissions::from_mode(mode)).unwrap();
    set(0o444);
    let mut project = Project::open(&place.project()).unwrap();
    assert_eq!(project.counts().unwrap().labelled, 1);
    // The superuser may write all the same.
    if let Err(error) = project.answer(&one("ann", "x", 2, Act::Later, None)) {
        assert!(error.complaint().to_string().contains("permissions"), "{error}");
    }
    set(0o644);
}
