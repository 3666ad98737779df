//! What is written, to the byte, and where.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::super::*;
use super::{class, labelled, sum};
use crate::progress::silent;
use crate::project::{Change, ImageId};
use crate::{Event, Flow};

/// A project of every state, for what is compared to the byte.
fn golden() -> Vec<Row> {
    let mut rows = vec![
        labelled("steel/crack 1.png", "crack", 3),
        labelled("a, \"b\".png", " Rolled-in\nscale", 1),
        labelled("é.png", "crack", 2),
    ];
    rows[0].holdout = true;
    rows[0].suggestion = Some(Suggestion { class: "crack".into(), confidence: 0.75 });
    rows[2].hash = rows[0].hash.clone();
    let mut undone = labelled("undone.png", "crack", 4);
    undone.history.push(Answer {
        answer: 5,
        act: Act::Undo,
        class: None,
        undoes: Some(4),
        seconds: None,
        token: Some("t/5".into()),
        ..undone.history[0].clone()
    });
    (undone.state, undone.class) = (State::Open, None);
    let mut conflict = labelled("conflict.png", "crack", 6);
    let other = Answer {
        answer: 7,
        person: Some("Bo".into()),
        class: Some("scale".into()),
        ..conflict.history[0].clone()
    };
    conflict.history.push(other);
    (conflict.state, conflict.class) = (State::Conflict, None);
    let mut discarded = labelled("blurred.png", "x", 8);
    (discarded.history[0].act, discarded.history[0].class) = (Act::Discard, None);
    (discarded.state, discarded.class) = (State::Discarded, None);
    discarded.note = Note { note: "Out of\nfocus, \"soft\"".into(), flag: true };
    rows[2].note.note = "A twin of crack 1".into();
    rows.extend([undone, conflict, discarded]);
    rows
}

#[test]
fn files_are_what_they_were() {
    let rows = golden();
    let classes = [
        Class { key: Some("Digit1".into()), colour: Some("#aa3377".into()), ..class("crack") },
        class(" Rolled-in\nscale"),
    ];
    let writing = label_studio::Writing { prefix: "/data/local-files/?d=steel/", model: "vabal, round 3" };
    let text = [
        csv::write(&rows, Detail::Labels),
        csv::write(&rows, Detail::Answers),
        json_lines::write(&rows, &classes, Detail::Labels),
        json_lines::write(&rows, &classes, Detail::Answers),
        label_studio::write(&rows, &writing),
        label_studio::interface(&classes),
        label_studio::write(&[], &writing),
    ];
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn a_sheet_says_what_the_rows_say() {
    let quality = |value: f64| Some(Quality { value, low: value - 0.05, high: value + 0.05, images: 200 });
    let sheet = Sheet {
        name: "NEU | steel".into(),
        folder: "steel/images".into(),
        classes: vec!["crack".into(), " Rolled-in\nscale".into(), "never seen".into()],
        descriptions: vec![("crack".into(), "Dark | thin.\nNever along the grain.".into())],
        rounds: [(1, "vabal"), (2, "vabal"), (4, "margin")].map(|(n, name)| (n, name.to_owned())).to_vec(),
        model: Some((64, 10_000)),
        backbone: None,
        changes: vec![
            Change {
                at: 1_760_000_000_000,
                key: "strategy".into(),
                from: "vabal".into(),
                to: "margin".into(),
            },
            Change { at: 1_760_000_000_000, key: "name".into(), from: "a".into(), to: "b".into() },
            Change { at: 1_770_000_000_000, key: "passes".into(), from: 500.into(), to: 10_000.into() },
        ],
        missing: 1,
        accuracy: quality(0.875),
        balanced_accuracy: None,
    };
    insta::assert_snapshot!(sheet.write(&golden()));
    let empty = Sheet::default().write(&[]);
    assert!(empty.contains("0 of 0 images") && !empty.contains("NaN"), "{empty}");
}

#[test]
fn a_table_has_every_column_full() {
    for detail in [Detail::Labels, Detail::Answers] {
        let table = columns::table(&golden(), detail);
        assert_eq!(
            table.iter().map(|column| column.0).collect::<Vec<_>>(),
            columns::header(&golden(), detail)
        );
        for (name, column) in &table {
            let rows = match column {
                Column::Whole(values) => values.len(),
                Column::Real(values) => values.len(),
                Column::Text(values) => values.len(),
            };
            assert_eq!(rows, if detail == Detail::Labels { 3 } else { 10 }, "{name}");
        }
    }
    let table: BTreeMap<_, _> = columns::table(&golden(), Detail::Answers).into_iter().collect();
    // Eight answers, and two images with a note.
    assert_eq!(table["answer"], Column::Whole((1..=8).chain([-1, -1]).collect()));
    assert_eq!(table["undoes"], Column::Whole(vec![-1, -1, -1, -1, 4, -1, -1, -1, -1, -1]));
    assert!(matches!(&table["seconds"], Column::Real(values) if values[4].is_nan() && values[0] == 1.5));
}

/// Bytes that begin like an image.
fn picture(content: &str) -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n", content.as_bytes()].concat()
}

/// A folder of images, and rows that are labelled with these classes.
fn project(labels: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf, Vec<Row>) {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    let mut rows = Vec::new();
    for (n, (path, class)) in labels.iter().enumerate() {
        let file = images.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, picture(path)).unwrap();
        rows.push(Row { hash: sum(&picture(path)), ..labelled(path, class, n as i64) });
    }
    (folder, images, rows)
}

fn files(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(self::files(&entry.path()).iter().map(|file| format!("{name}/{file}"))),
            false => files.push(name),
        }
    }
    files.sort();
    files
}

#[test]
fn names_stay_but_where_two_would_be_one() {
    let (folder, images, mut rows) = project(&[
        ("a/1.png", "crack"),
        ("b/1.PNG", "crack"),
        ("c/2.png", "crack"),
        ("a__x/3.png", "crack"),
        ("a/x__3.png", "crack"),
        ("a/1.bmp", "../scale"),
        ("d/1.png", "..\\scale"),
        ("e/1.png", "labels.csv"),
    ]);
    rows[1].holdout = true;
    let out = folder.path().join("out");
    let extra: [(&str, &[u8]); 1] = [("README.md", b"# Sheet\n")];
    let written =
        layout::write(&rows, &images, &out, (Layout::Classes, Means::Copy), &extra, &mut silent()).unwrap();
    assert_eq!(written, Written { images: 8, ..Written::default() });
    assert_eq!(
        files(&out),
        [
            ".vabal-export",
            "README.md",
            "_._scale-2/1.png",
            "_._scale/1.bmp",
            "crack/2.png",
            "crack/3.png",
            "crack/a__1.png",
            "crack/b__1.PNG",
            "crack/x__3.png",
            "labels.csv",
            "labels.csv-2/1.png",
        ]
    );
    assert_eq!(fs::read(out.join("crack/b__1.PNG")).unwrap(), picture("b/1.PNG"));
    assert_eq!(
        files(folder.path()).iter().filter(|file| file.starts_with('.')).count(),
        0,
        "nothing is left beside"
    );

    // And back: paths, classes and sides as they were, by the list.
    let labels = folders::read(&out, &mut silent()).unwrap();
    let back: BTreeMap<_, _> =
        labels.records.iter().map(|r| (&*r.path, (r.answer.class.as_deref(), r.holdout))).collect();
    let expected: BTreeMap<_, _> =
        rows.iter().map(|row| (&*row.path, (row.class.as_deref(), Some(row.holdout)))).collect();
    assert_eq!(back, expected);
    // Without the list the folders speak, and the content tells which image it is.
    fs::remove_file(out.join("labels.csv")).unwrap();
    let labels = folders::read(&out, &mut silent()).unwrap();
    let index =
        Index::new(rows.iter().enumerate().map(|(n, row)| (ImageId(n as i64), &*row.path, &*row.hash)));
    let planned = plan(&labels, &index, [], "eve");
    assert!(planned.unknown.is_empty());
    let mut found: Vec<i64> = planned.answers.iter().map(|one| one.image.0).collect();
    found.sort();
    assert_eq!(found, (0..8).collect::<Vec<_>>());
}

#[test]
fn yolos_layout_has_every_class_in_both_parts_and_comes_back() {
    let (folder, images, mut rows) =
        project(&[("a/1.png", "crack"), ("b/1.png", "crack"), ("c.png", "scale")]);
    rows[1].holdout = true;
    let out = folder.path().join("out");
    layout::write(&rows, &images, &out, (Layout::Yolo, Means::Copy), &[], &mut silent()).unwrap();
    for file in ["train/crack/1.png", "val/crack/1.png", "train/scale/c.png", "val/scale/.keep", "labels.csv"]
    {
        assert!(out.join(file).is_file(), "{file}");
    }
    let labels = folders::read(&out, &mut silent()).unwrap();
    let said: Vec<_> = labels.records.iter().map(|record| (&*record.path, record.holdout)).collect();
    assert_eq!(said, [("a/1.png", Some(false)), ("c.png", Some(false)), ("b/1.png", Some(true))]);
    // Nothing was added or changed: it may be replaced.
    layout::write(&rows, &images, &out, (Layout::Yolo, Means::Copy), &[], &mut silent()).unwrap();
}

#[test]
fn hugging_faces_layout_has_a_list_for_each_part() {
    let (folder, images, mut rows) = project(&[("a/1.png", "NA"), ("b/1.png", "NA"), ("c.png", "01")]);
    rows[2].holdout = true;
    let out = folder.path().join("out");
    layout::write(&rows, &images, &out, (Layout::HuggingFace, Means::Copy), &[], &mut silent()).unwrap();
    assert_eq!(
        files(&out),
        [
            ".vabal-export",
            "test/01/c.png",
            "test/metadata.jsonl",
            "train/NA/a__1.png",
            "train/NA/b__1.png",
            "train/metadata.jsonl"
        ]
    );
    let list = fs::read_to_string(out.join("train/metadata.jsonl")).unwrap();
    let line = format!(
        "{{\"file_name\":\"NA/a__1.png\",\"label\":\"NA\",\"path\":\"a/1.png\",\"hash\":\"{}\"}}\n",
        rows[0].hash
    );
    assert!(list.starts_with(&line), "{list}");
    let labels = folders::read(&out, &mut silent()).unwrap();
    let back: Vec<_> =
        labels.records.iter().map(|r| (&*r.path, r.answer.class.as_deref().unwrap())).collect();
    assert_eq!(back, [("c.png", "01"), ("a/1.png", "NA"), ("b/1.png", "NA")]);
}

#[test]
fn links_lead_to_the_images() {
    let (folder, images, rows) = project(&[("a/1.png", "x"), ("b/1.png", "x")]);
    for means in [Means::HardLink, Means::SymLink] {
        let out = folder.path().join(format!("{means:?}"));
        for _ in 0..2 {
            layout::write(&rows, &images, &out, (Layout::Classes, means), &[], &mut silent()).unwrap();
        }
        let link = out.join("x/a__1.png");
        assert_eq!(link.is_symlink(), means == Means::SymLink);
        fs::write(images.join("a/1.png"), picture("changed")).unwrap();
        assert_eq!(fs::read(&link).unwrap(), picture("changed"));
        fs::write(images.join("a/1.png"), picture("a/1.png")).unwrap();
    }
}

#[test]
fn only_an_earlier_export_is_written_over_and_only_if_nothing_would_be_lost() {
    let (folder, images, mut rows) = project(&[("1.png", "x"), ("2.png", "y")]);
    let out = folder.path().join("out");
    let write = |rows: &[Row], out: &Path| {
        layout::write(rows, &images, out, (Layout::Classes, Means::Copy), &[], &mut silent())
    };
    fs::create_dir(&out).unwrap();
    write(&rows, &out).unwrap();
    let first = fs::read(out.join(".vabal-export")).unwrap();
    write(&rows, &out).unwrap();
    assert_eq!(fs::read(out.join(".vabal-export")).unwrap(), first, "the same bytes");
    rows[1].class = Some("x".into());
    write(&rows, &out).unwrap();
    assert_eq!(files(&out), [".vabal-export", "labels.csv", "x/1.png", "x/2.png"]);

    let refused = |out: &Path, what: &str| {
        let before = files(folder.path());
        let text = write(&rows, out).unwrap_err().to_string();
        assert!(text.contains(what), "{text}");
        assert_eq!(files(folder.path()), before);
    };
    fs::write(out.join("x/mine.txt"), "mine").unwrap();
    refused(&out, "x/mine.txt, which was not written by it");
    fs::remove_file(out.join("x/mine.txt")).unwrap();
    fs::write(out.join("x/1.png"), "painted over").unwrap();
    refused(&out, "x/1.png, which has been changed");
    fs::remove_file(out.join("x/1.png")).unwrap();
    write(&rows, &out).unwrap();

    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("thesis.txt"), "").unwrap();
    refused(&other, "thesis.txt");
    refused(&other.join("thesis.txt"), "a file");
    refused(&images.join("out"), "in the image folder");
    refused(&images.join("../images/out"), "in the image folder");
    refused(&images, "in the image folder");
    fs::create_dir_all(folder.path().join("full/of/folders")).unwrap();
    refused(&folder.path().join("full"), "folders");
}

#[test]
fn what_is_gone_is_left_out_and_what_is_changed_is_said() {
    let (folder, images, rows) = project(&[("1.png", "x"), ("2.png", "y"), ("3.png", "y")]);
    fs::remove_file(images.join("1.png")).unwrap();
    fs::write(images.join("2.png"), picture("new")).unwrap();
    let out = folder.path().join("out");
    let mut warnings = Vec::new();
    let written =
        layout::write(&rows, &images, &out, (Layout::Classes, Means::Copy), &[], &mut |event: Event<'_>| {
            if let Event::Warning(text) = event {
                warnings.push(text.to_owned());
            }
            Flow::Continue
        });
    let expected = Written { images: 2, missing: vec!["1.png".into()], changed: vec!["2.png".into()] };
    assert_eq!(written.unwrap(), expected);
    assert_eq!(warnings.len(), 2);
    assert!(
        warnings[0].contains("1 image is no longer there") && warnings[0].contains("1.png"),
        "{}",
        warnings[0]
    );
    let text = fs::read_to_string(out.join("labels.csv")).unwrap();
    assert!(!text.contains("1.png") && text.contains("y/2.png"));

    let none = layout::write(
        &rows[..1],
        &images,
        &folder.path().join("none"),
        (Layout::Classes, Means::Copy),
        &[],
        &mut silent(),
    );
    assert!(none.unwrap_err().to_string().contains("1 labelled images that are no longer there"));
    let mut away = rows.clone();
    away[1].path = "../outside.png".into();
    let error = layout::write(
        &away,
        &images,
        &folder.path().join("none"),
        (Layout::Classes, Means::Copy),
        &[],
        &mut silent(),
    );
    assert!(error.unwrap_err().to_string().contains("leaves the image folder"));
    let stopped = layout::write(
        &rows,
        &images,
        &folder.path().join("none"),
        (Layout::Classes, Means::Copy),
        &[],
        &mut |event| {
            if matches!(event, Event::Progress { .. }) { Flow::Stop } else { Flow::Continue }
        },
    );
    assert!(matches!(stopped, Err(Error::Stopped)));
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 2, "nothing of what broke off is left");
}

#[test]
fn class_folders_of_others_are_read_with_and_without_parts() {
    let folder = tempfile::tempdir().unwrap();
    let put = |path: &str, bytes: &[u8]| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    put("flat/ant/deep/1.png", &picture("1"));
    put("flat/ant/Thumbs.db", b"no image");
    put("flat/ant/.hidden.png", &picture("h"));
    put("flat/ant/empty.png", b"");
    put("flat/train/2.png", &picture("2"));
    put("flat/beside.png", &picture("b"));
    put("parts/train/ant/1.png", &picture("1"));
    put("parts/val/bee/2.png", &picture("2"));
    put("parts/other/3.png", &picture("3"));
    let read = |name: &str| {
        let labels = folders::read(&folder.path().join(name), &mut silent()).unwrap();
        let records: Vec<_> = labels
            .records
            .iter()
            .map(|r| (r.path.clone(), r.answer.class.clone().unwrap(), r.hash.clone().unwrap()))
            .collect();
        (records, labels.notes)
    };
    let entry =
        |path: &str, class: &str, content: &str| (path.to_owned(), class.to_owned(), sum(&picture(content)));
    let (records, notes) = read("flat");
    assert_eq!(records, [entry("ant/deep/1.png", "ant", "1"), entry("train/2.png", "train", "2")]);
    assert_eq!(notes, ["ant/Thumbs.db: it is no image", "ant/empty.png: it is no image"]);
    let (records, _) = read("parts");
    assert_eq!(records, [entry("train/ant/1.png", "ant", "1"), entry("val/bee/2.png", "bee", "2")]);
    let error = folders::read(&folder.path().join("flat/ant/deep"), &mut silent()).unwrap_err().to_string();
    assert!(error.contains("without class folders"), "{error}");
    assert!(folders::read(&folder.path().join("none"), &mut silent()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_names_come_back_from_folders(names in prop::collection::vec(("[aA./_é]{1,5}", "([aA. :]{0,4}|\\.\\./|CON|nul)"), 1..8)) {
        let good = |path: &String| path.split('/').all(|part| !["", ".", ".."].contains(&part));
        let mut labels: Vec<(String, String)> = Vec::new();
        for (path, class) in names {
            let path = format!("{path}.png");
            // A file cannot lie in another one.
            let clash = labels.iter().any(|(other, _)| other.starts_with(&path) || path.starts_with(other.as_str()));
            if good(&path) && !clash {
                labels.push((path, if class.is_empty() { "x".into() } else { class }));
            }
        }
        prop_assume!(!labels.is_empty());
        let pairs: Vec<(&str, &str)> = labels.iter().map(|(path, class)| (&**path, &**class)).collect();
        let (folder, images, rows) = project(&pairs);
        for layout in [Layout::Classes, Layout::HuggingFace, Layout::Yolo] {
            let out = folder.path().join(format!("{layout:?}"));
            layout::write(&rows, &images, &out, (layout, Means::Copy), &[], &mut silent()).unwrap();
            let read = folders::read(&out, &mut silent()).unwrap();
            let back: BTreeMap<_, _> = read.records.iter().map(|r| (&*r.path, r.answer.class.as_deref().unwrap())).collect();
            prop_assert_eq!(back, pairs.iter().copied().collect::<BTreeMap<_, _>>());
        }
        // Nothing is anywhere else.
        let mut beside: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        beside.sort();
        prop_assert_eq!(beside, ["Classes", "HuggingFace", "Yolo", "images"]);
    }
}
