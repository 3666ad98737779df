//! What is written reads back as it was.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::*;
use super::{labelled, sum};
use crate::project::ImageId;

/// Texts that files trip over.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ ,;\"\n\r\t'=é日\u{a0}\u{feff}a-c|/]{1,8}", ".{1,10}", "[a-z]{1,5}"]
}

/// A project: images, and answers of people in any order, undo included.
fn project() -> impl Strategy<Value = Vec<Row>> {
    let answer = (0_usize..6, 0_usize..3, 0_usize..6, text(), any::<i64>(), 0.0..1e9, 0_usize..64);
    let notes = prop::collection::vec(text(), 6);
    (prop::collection::vec(text(), 1..6), prop::collection::vec(answer, 0..12), notes).prop_map(
        |(paths, answers, notes)| {
            let mut rows: Vec<Row> = Vec::new();
            for (n, path) in paths.into_iter().enumerate() {
                let again = rows.iter().any(|row| row.path == path);
                rows.push(Row {
                    path: if again { format!("{path}{n}") } else { path },
                    // Two images of each content.
                    hash: sum(&[n as u8 / 2]),
                    state: State::Open,
                    class: None,
                    holdout: n % 3 == 0,
                    suggestion: None,
                    note: Note {
                        note: if n % 2 == 0 { notes[n].clone() } else { String::new() },
                        flag: n == 2,
                    },
                    history: Vec::new(),
                });
            }
            let mut live: Vec<Vec<i64>> = vec![Vec::new(); 3];
            let mut number = 0;
            for (image, person, act, class, at, seconds, flags) in answers {
                number += 1 + flags as i64 % 3;
                let image = image % rows.len();
                let mut act = [Act::Label, Act::Label, Act::Later, Act::Discard, Act::Unsure, Act::Undo][act];
                let mut undoes = None;
                if act == Act::Undo {
                    undoes = live[person].pop();
                    act = if undoes.is_some() { Act::Undo } else { Act::Later };
                }
                if act != Act::Undo {
                    live[person].push(number);
                }
                let has = |bit: usize| flags & bit != 0;
                let class = (act == Act::Label).then_some(class);
                rows[image].history.push(Answer {
                    answer: number,
                    person: Some(format!("person {person}")),
                    at: Some(at),
                    act,
                    class: class.clone(),
                    undoes,
                    seconds: has(1).then_some(seconds),
                    suggested: class.filter(|_| has(2)),
                    source: if has(4) { Source::Page } else { Source::Review },
                    token: has(8).then(|| format!("gesture, \"{number}\"/1")),
                });
            }
            rows
        },
    )
}

/// The histories that come out of a file, for the images of a project.
fn histories(rows: &[Row], labels: &Labels) -> Vec<Vec<Answer>> {
    let images =
        rows.iter().enumerate().map(|(id, row)| (ImageId(id as i64), row.path.as_str(), row.hash.as_str()));
    let found = plan(labels, &Index::new(images), [], "eve");
    assert_eq!((found.unknown, found.conflicts), (vec![], vec![]));
    let mut histories: BTreeMap<ImageId, Vec<Answer>> = BTreeMap::new();
    for one in found.answers {
        histories.entry(one.image).or_default().push(one.answer);
    }
    (0..rows.len() as i64).map(|id| histories.remove(&ImageId(id)).unwrap_or_default()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn every_answer_comes_back_to_the_byte(rows in project(), marked: bool) {
        let expected: Vec<Vec<Answer>> = rows.iter().map(|row| row.history.clone()).collect();
        let classes = [Class {
            key: Some("Digit1".into()),
            description: "Dark\nlines, \"short\"".into(),
            examples: vec!["a/1.png".into()],
            ..super::class(" a,\"b\n")
        }, super::class("é")];
        for format in [Format::Csv, Format::JsonLines] {
            let text = match format {
                Format::Csv => csv::write(&rows, Detail::Answers),
                _ => json_lines::write(&rows, &classes, Detail::Answers),
            };
            let bytes = if marked { format!("\u{feff}{text}") } else { text.clone() };
            let labels = read(bytes.as_bytes(), format, &Reading::default()).unwrap();
            prop_assert_eq!(&histories(&rows, &labels), &expected, "{}", text);
            prop_assert_eq!(labels.left_out.len(), 0);
            let said: Vec<(&str, &Note)> =
                labels.remarks.iter().map(|remark| (remark.path.as_str(), &remark.note)).collect();
            let noted = rows.iter().filter(|row| row.note != Note::default());
            let mut noted: Vec<(&str, &Note)> = noted.map(|row| (row.path.as_str(), &row.note)).collect();
            noted.sort_by_key(|(path, _)| *path);
            prop_assert_eq!(said, noted);
            if format == Format::JsonLines {
                prop_assert_eq!(&labels.classes[..], &classes[..]);
            }
            for record in &labels.records {
                let row = rows.iter().find(|row| row.path == record.path).unwrap();
                prop_assert_eq!(record.hash.as_ref(), Some(&row.hash));
                prop_assert_eq!(record.holdout, Some(row.holdout));
            }
        }
    }

    #[test]
    fn a_line_for_each_label_comes_back_too(names in prop::collection::vec((text(), text()), 0..8)) {
        let mut rows: Vec<Row> = Vec::new();
        for (path, class) in names {
            rows.retain(|row| row.path != path);
            rows.push(super::labelled(&path, &class, rows.len() as i64));
        }
        let of = |labels: Labels| -> BTreeMap<String, Option<String>> {
            labels.records.into_iter().map(|record| (record.path, record.answer.class)).collect()
        };
        let expected: BTreeMap<String, Option<String>> =
            rows.iter().map(|row| (row.path.clone(), row.class.clone())).collect();
        let text = csv::write(&rows, Detail::Labels);
        prop_assert_eq!(&of(read(text.as_bytes(), Format::Csv, &Reading::default()).unwrap()), &expected);
        // As spreadsheets write it.
        let other = text.replace('\n', "\r\n");
        if !rows.iter().any(|row| (row.path.clone() + row.class.as_deref().unwrap()).contains('\n')) {
            prop_assert_eq!(&of(read(other.as_bytes(), Format::Csv, &Reading::default()).unwrap()), &expected);
        }
        let text = json_lines::write(&rows, &[], Detail::Labels);
        prop_assert_eq!(&of(read(text.as_bytes(), Format::JsonLines, &Reading::default()).unwrap()), &expected);
        let writing = label_studio::Writing { prefix: label_studio::LOCAL_FILES, model: "vabal" };
        let labels = read(label_studio::write(&rows, &writing).as_bytes(), Format::LabelStudio, &Reading::default()).unwrap();
        for record in &labels.records {
            let row = rows.iter().find(|row| row.path == record.path).unwrap();
            let [said] = &row.history[..] else { panic!() };
            let read = &record.answer;
            prop_assert_eq!((&read.person, read.at, read.seconds), (&said.person, said.at, said.seconds));
            // The address alone leads there too.
            let record = Record { path: record.file.clone().unwrap(), hash: None, ..record.clone() };
            let index = Index::new([(ImageId(7), row.path.as_str(), row.hash.as_str())]);
            if !row.path.contains('\\') && !row.path.starts_with(['/', '.']) {
                prop_assert_eq!(index.find(&record), Found::Image(ImageId(7)), "{:?}", record);
            }
        }
        prop_assert_eq!(of(labels), expected);
    }

    #[test]
    fn the_order_of_the_rows_changes_no_byte(rows in project()) {
        let mut other = rows.clone();
        other.reverse();
        let sheet = Sheet { classes: vec!["a".into()], ..Sheet::default() };
        let writing = label_studio::Writing { prefix: "", model: "" };
        for detail in [Detail::Labels, Detail::Answers] {
            prop_assert_eq!(csv::write(&rows, detail), csv::write(&other, detail));
            prop_assert_eq!(json_lines::write(&rows, &[], detail), json_lines::write(&other, &[], detail));
            // NaN is where nothing is.
            prop_assert_eq!(
                format!("{:?}", columns::table(&rows, detail)),
                format!("{:?}", columns::table(&other, detail))
            );
        }
        prop_assert_eq!(label_studio::write(&rows, &writing), label_studio::write(&other, &writing));
        prop_assert_eq!(sheet.write(&rows), sheet.write(&other));
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in ".{0,100}") {
        for format in [Format::Csv, Format::JsonLines, Format::LabelStudio] {
            let _ = (read(&bytes, format, &Reading::default()), read(text.as_bytes(), format, &Reading::default()));
        }
    }

    #[test]
    fn nothing_near_a_file_makes_a_reader_panic(
        csv in "(sep=.\n)?(path|file|\"image\"|answer|undoes|act|at|class)([,;\t](class|label|undoes|answer|\"act\"|x)){1,3}\n([a-c0-9\"',;\t\r\n .é]{0,12}[\n\r]){0,8}",
        json in prop::collection::vec(
            "\\{(\"(path|image|class|answer|undoes|act|vabal|format|at|classes)\":(\"[a-z0-9]{0,4}\"|-?[0-9]{1,20}|1e99|null|\\[\\]|\\{\\}|true)){0,1}(,\"(path|class|answer|act|undoes)\":(\"(undo|label|x)\"|[0-9])){0,4}\\}",
            0..6,
        ),
        studio in "\\[(\\{\"(data|annotations)\":(\\{\"(image|path|x)\":(\"[a-z./%?=0-9-]{0,12}\"|1)\\}|\\[\\]|1),\"annotations\":(\\[\\]|\\[\\{\"result\":(\\[\\{\"value\":\\{\"choices\":(\\[\"a\"\\]|1)\\}\\}\\]|3)\\}\\]|null)\\}){0,1}\\]",
    ) {
        let _ = read(csv.as_bytes(), Format::Csv, &Reading::default());
        let _ = read(json.join("\n").as_bytes(), Format::JsonLines, &Reading::default());
        if let Ok(labels) = read(studio.as_bytes(), Format::LabelStudio, &Reading::default()) {
            let index = Index::new([(ImageId(1), "a/b.png", "x"), (ImageId(2), "b.png", "y")]);
            let _ = plan(&labels, &index, [], "eve");
        }
    }
}

#[test]
fn what_others_save_is_read() {
    let expected = [("a b/1.png", "Rolled-in scale"), ("2.png", "a;b,\"c\"\nd")];
    let same = |bytes: &[u8]| {
        let labels = read(bytes, Format::Csv, &Reading::default()).unwrap();
        let read: Vec<_> = labels
            .records
            .iter()
            .map(|record| (&*record.path, record.answer.class.as_deref().unwrap()))
            .collect();
        assert_eq!(read, expected, "{}", String::from_utf8_lossy(bytes));
    };
    same(b"path,class\na b/1.png,Rolled-in scale\n2.png,\"a;b,\"\"c\"\"\nd\"");
    same(b"\xef\xbb\xbfFile Name;Label\r\na b/1.png;Rolled-in scale\r\n\r\n2.png;\"a;b,\"\"c\"\"\nd\"\r\n;\r\n");
    same(b"\n  Image\tn\tCategory\n a b/1.png \t1\tRolled-in scale\n2.png\t\t \"a;b,\"\"c\"\"\nd\" \n");
    same(b"sep=|\nid|filename|class\n7|a b/1.png|Rolled-in scale\n8|2.png|\"a;b,\"\"c\"\"\nd\"\n");
    let wide: Vec<u8> = "path\tclass\na b/1.png\tRolled-in scale\n2.png\t\"a;b,\"\"c\"\"\nd\"\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    same(&[&[0xff, 0xfe], &wide[..]].concat());
    // Old line ends, and what Label Studio exports as CSV.
    same(b"annotation_id,annotator,choice,image,lead_time,updated_at\r1,3,Rolled-in scale,a b/1.png,2.5,2021-03-09T22:16:08.728353Z\r2,3,\"a;b,\"\"c\"\"\nd\",2.png,,\r");

    let lines = "{\"image\": \"a.png\", \"label\": \"x\", \"box\": [1, 2], \"n\": {}}\r\n\n{\"label\": 3, \"image\": \"b.png\"}\n{\"image\": \"c.png\"}\n{\"image\": \"d.png\", \"label\": null}\n";
    let labels = read(lines.as_bytes(), Format::JsonLines, &Reading::default()).unwrap();
    let read: Vec<_> = labels
        .records
        .iter()
        .map(|record| (record.line, &*record.path, record.answer.class.as_deref().unwrap()))
        .collect();
    assert_eq!(read, [(1, "a.png", "x"), (3, "b.png", "3")]);
    assert_eq!(labels.notes, ["line 4: no class", "line 5: no class"]);
}

/// Label Studio 1.23 keeps of an annotation what it knows, and takes whoever imports it for the one
/// who completed it.
#[test]
fn who_said_what_outlives_the_way_through_label_studio() {
    let mut row = labelled("a.png", "crack", 1);
    let other = Answer { person: Some("ben".into()), class: Some("scale".into()), ..row.history[0].clone() };
    row.history[0].person = Some("ada".into());
    row.history.push(Answer { answer: 2, ..other });
    (row.state, row.class) = (State::Conflict, None);
    let writing = label_studio::Writing { prefix: label_studio::LOCAL_FILES, model: "vabal" };
    let mut tasks: serde_json::Value = serde_json::from_str(&label_studio::write(&[row], &writing)).unwrap();
    for annotation in tasks[0]["annotations"].as_array_mut().unwrap() {
        annotation.as_object_mut().unwrap().retain(|key, _| key == "result" || key == "was_cancelled");
        annotation["completed_by"] = 1.into();
    }
    let labels = read(tasks.to_string().as_bytes(), Format::LabelStudio, &Reading::default()).unwrap();
    let said: Vec<_> = labels
        .records
        .iter()
        .map(|record| (record.answer.person.as_deref(), record.answer.class.as_deref()))
        .collect();
    assert_eq!(said, [(Some("ada"), Some("crack")), (Some("ben"), Some("scale"))]);
}

#[test]
fn an_export_of_label_studio_is_read() {
    let export = r#"[
      {"id": 1, "data": {"image": "/data/upload/1/8f3a2b1c-crack_1.png"}, "file_upload": "8f3a2b1c-crack_1.png",
       "predictions": [{"result": [{"value": {"choices": ["wrong"]}}]}], "drafts": [],
       "annotations": [
         {"id": 7, "completed_by": {"id": 3, "email": "ada@example.org"}, "was_cancelled": false, "lead_time": 9.5,
          "created_at": "2021-03-09T22:16:08.728353Z", "updated_at": "2021-03-09T22:17:08.000000Z",
          "result": [{"type": "choices", "from_name": "c", "to_name": "i", "value": {"choices": ["crack"]}}]},
         {"id": 8, "completed_by": 4, "result": [{"value": {"rectanglelabels": ["x"]}}, {"value": {"choices": ["scale"]}}]},
         {"id": 9, "completed_by": 4, "was_cancelled": true, "result": [{"value": {"choices": ["scale"]}}]}]},
      {"id": 2, "data": {"url": "/data/local-files/?d=steel%2Ftrain/a%20b.png&x=1"},
       "annotations": [{"result": []}, {"result": [{"value": {"choices": ["a", "b"]}}]}, {"result": [{"value": {"choices": ["crack"]}}]}]},
      {"id": 3, "data": {"text": "see", "photo": "https://example.org/x/%C3%A9.jpg?size=2"},
       "annotations": [{"result": [{"value": {"choices": ["crack"]}}]}]}
    ]"#;
    let labels = read(export.as_bytes(), Format::LabelStudio, &Reading::default()).unwrap();
    let said: Vec<_> = labels
        .records
        .iter()
        .map(|record| (record.line, record.answer.class.as_deref().unwrap(), record.answer.person.as_deref()))
        .collect();
    assert_eq!(
        said,
        [
            (1, "crack", Some("ada@example.org")),
            (1, "scale", Some("annotator 4")),
            (2, "crack", None),
            (3, "crack", None)
        ]
    );
    let first = &labels.records[0].answer;
    assert_eq!((first.at, first.seconds, first.source), (Some(1_615_328_228_000), Some(9.5), Source::Import));
    assert_eq!(
        labels.notes,
        ["task 1: skipped by the annotator", "task 2: no choice", "task 2: several choices"]
    );
    let images = [
        (ImageId(10), "crack 1.png", "h1"),
        (ImageId(20), "train/a b.png", "h2"),
        (ImageId(30), "deep/x/é.jpg", "h3"),
        (ImageId(40), "a b.png", "h4"),
    ];
    let found = plan(&labels, &Index::new(images), ["crack"], "eve");
    assert_eq!(found.answers.iter().map(|one| one.image).collect::<Vec<_>>(), [10, 20, 30, 10].map(ImageId));
    assert_eq!(found.new_classes, [super::class("scale")]);
}
