//! What files of others hold: several questions, regions, spreadsheets' short lines, two answers at
//! once.

use super::super::*;
use crate::project::ImageId;

fn task(annotations: &str) -> String {
    format!("{{\"data\": {{\"image\": \"a.png\"}}, \"annotations\": [{annotations}]}}")
}

fn studio(tasks: &[String], question: Option<&str>, image: Option<&str>) -> Result<Labels> {
    let reading = Reading {
        question: question.map(str::to_owned),
        image: image.map(str::to_owned),
        ..Reading::default()
    };
    read(format!("[{}]", tasks.join(",")).as_bytes(), Format::LabelStudio, &reading)
}

fn classes(labels: &Labels) -> Vec<&str> {
    labels.records.iter().filter_map(|record| record.answer.class.as_deref()).collect()
}

fn reasons(labels: &Labels) -> Vec<(&str, usize)> {
    labels.left_out.iter().map(|(why, count)| (why.as_str(), *count)).collect()
}

#[test]
fn of_several_questions_one_must_be_named() {
    let says = |name: &str, class: &str| {
        format!(
            "{{\"type\": \"choices\", \"from_name\": \"{name}\", \"value\": {{\"choices\": [\"{class}\"]}}}}"
        )
    };
    let both = format!("{{\"result\": [{}, {}]}}", says("class", "crack"), says("quality", "sharp"));
    let tasks = [task(&both), task(&format!("{{\"result\": [{}]}}", says("quality", "blurred")))];
    let error = studio(&tasks, None, None).unwrap_err().to_string();
    assert!(
        error.contains("class (1 answers), quality (2 answers)") && error.contains("--question class"),
        "{error}"
    );
    let labels = studio(&tasks, Some("class"), None).unwrap();
    assert_eq!((classes(&labels), reasons(&labels)), (vec!["crack"], vec![("no choice", 1)]));
    assert_eq!(classes(&studio(&tasks, Some("quality"), None).unwrap()), ["sharp", "blurred"]);
    let error = studio(&tasks, Some("clas"), None).unwrap_err().to_string();
    assert!(error.contains("no such question") && error.contains("quality (2"), "{error}");
    // The same of columns and keys.
    let reading = Reading { question: Some("Quality".into()), ..Reading::default() };
    let labels = csv::read("image,class,quality\na,crack,sharp\nb,scale,\n", &reading).unwrap();
    assert_eq!((classes(&labels), reasons(&labels)), (vec!["sharp"], vec![("no class", 1)]));
    let labels =
        json_lines::read("{\"image\":\"a\",\"label\":\"x\",\"quality\":\"sharp\"}", &reading).unwrap();
    assert_eq!(classes(&labels), ["sharp"]);
    let error = csv::read("image,class\na,b\n", &reading).unwrap_err().to_string();
    assert!(error.contains("there is no such column") && error.contains("image, class"), "{error}");
}

#[test]
fn the_choice_of_a_region_is_no_class_of_the_image() {
    let drawn = r#"{"id": "r1", "type": "rectanglelabels", "from_name": "box", "value": {"x": 1, "y": 1, "rectanglelabels": ["dent"]}}"#;
    let of_region =
        r#"{"id": "r1", "type": "choices", "from_name": "depth", "value": {"choices": ["deep"]}}"#;
    let placed = r#"{"id": "r2", "type": "choices", "from_name": "depth", "value": {"choices": ["deep"], "x": 1, "width": 5}}"#;
    let whole = r#"{"id": "w", "type": "choices", "from_name": "class", "value": {"choices": ["crack"]}}"#;
    let tasks = [
        task(&format!("{{\"result\": [{drawn}, {of_region}]}}")),
        task(&format!("{{\"result\": [{placed}, {whole}]}}")),
    ];
    let labels = studio(&tasks, None, None).unwrap();
    assert_eq!(classes(&labels), ["crack"]);
    assert_eq!(reasons(&labels), [("the choice of a region, not of the image", 2)]);
}

#[test]
fn of_several_images_of_a_task_one_must_be_named() {
    let of = |data: &str| {
        format!(
            "{{\"data\": {data}, \"annotations\": [{{\"result\": [{{\"value\": {{\"choices\": [\"c\"]}}}}]}}]}}"
        )
    };
    let tasks = [of(
        r#"{"photo": "/data/upload/1/1a2b3c4d-a.png", "annotation_mask": "/data/upload/1/1a2b3c4d-b.png"}"#,
    )];
    let error = studio(&tasks, None, None).unwrap_err().to_string();
    assert!(error.contains("annotation_mask, photo") && error.contains("--image-key"), "{error}");
    let labels = studio(&tasks, None, Some("photo")).unwrap();
    assert!(labels.records[0].path.ends_with("-a.png"));
    let error = studio(&tasks, None, Some("foto")).unwrap_err().to_string();
    assert!(error.contains("task 1") && error.contains("annotation_mask, photo"), "{error}");
    // One that is called image, and one that stands there twice, are no question.
    for data in
        [r#"{"image": "a.png", "mask": "b.png"}"#, r#"{"photo": "a.png", "thumb": "a.png", "note": "x"}"#]
    {
        assert_eq!(studio(&[of(data)], None, None).unwrap().records[0].path, "a.png", "{data}");
    }
}

#[test]
fn completions_of_old_versions_are_annotations() {
    let task = r#"{"id": 1, "data": {"image": "a.png"}, "completions": [
        {"id": 1, "created_at": 1600000000, "lead_time": 4.5, "result": [{"from_name": "class", "value": {"choices": ["crack"]}}]},
        {"id": 2, "skipped": true, "result": []}]}"#;
    let labels = studio(&[task.to_owned()], None, None).unwrap();
    let answer = &labels.records[0].answer;
    assert_eq!(
        (classes(&labels), answer.at, answer.seconds),
        (vec!["crack"], Some(1_600_000_000_000), Some(4.5))
    );
    assert_eq!(reasons(&labels), [("skipped by the annotator", 1)]);
}

#[test]
fn lists_in_a_column_are_choices_and_never_a_class() {
    let text = "image,class\na,crack\nb,\"{\"\"choices\"\":[\"\"crack\"\",\"\"scale\"\"]}\"\nc,\"[\"\"scale\"\"]\"\nd,\"['a', 'b']\"\n\
                e,\"[{\"\"x\"\":1,\"\"rectanglelabels\"\":[\"\"dent\"\"]}]\"\nf,[crack]\ng,\"[1, 2]\"\n";
    let labels = csv::read(text, &Reading::default()).unwrap();
    assert_eq!(classes(&labels), ["crack", "scale", "[crack]"]);
    let expected = [
        ("a list that is no class", 1),
        ("several choices", 2),
        ("the choice of a region, not of the image", 1),
    ];
    assert_eq!(reasons(&labels), expected);
    let lines = "{\"path\":\"a\",\"class\":[\"crack\"]}\n{\"path\":\"b\",\"class\":[\"crack\",\"scale\"]}\n{\"path\":\"c\",\"class\":{\"x\":1}}\n";
    let labels = json_lines::read(lines, &Reading::default()).unwrap();
    assert_eq!(classes(&labels), ["crack"]);
    assert_eq!(reasons(&labels), [("a list that is no class", 1), ("several choices", 1)]);
}

#[test]
fn lines_that_a_spreadsheet_left_short_or_made_long_are_read() {
    let text = "rank,path,suggestion,class\n1,a.png,,crack\n2,b.png\n3\n4,c.png,,scale,,\n";
    let error = csv::read(text, &Reading::default()).unwrap_err().to_string();
    assert!(error.contains("line 4") && error.contains("names no image"), "{error}");
    let labels = csv::read(&text.replace("3\n", ""), &Reading::default()).unwrap();
    assert_eq!((classes(&labels), reasons(&labels)), (vec!["crack", "scale"], vec![("no class", 1)]));
    assert!(csv::read("path,class\na,b,,c\n", &Reading::default()).is_err());
}

/// The answers of a file in the order in which they come to count: person and class.
fn planned(text: &str) -> (Vec<(Option<String>, String)>, Vec<String>) {
    let labels = csv::read(text, &Reading::default()).unwrap();
    let index = Index::new([(ImageId(1), "a.png", "1"), (ImageId(2), "b.png", "2")]);
    let plan = plan(&labels, &index, [], "eve");
    let answers =
        plan.answers.into_iter().map(|one| (one.answer.person, one.answer.class.unwrap_or_default()));
    (answers.collect(), plan.conflicts.iter().map(ToString::to_string).collect())
}

#[test]
fn two_classes_at_once_are_a_conflict_and_a_newer_answer_is_not() {
    let said =
        |person: &str, class: &str| ((!person.is_empty()).then(|| person.to_owned()), class.to_owned());
    let (answers, conflicts) =
        planned("path,class\na.png,crack\na.png,scale\na.png,crack\nb.png,crack\nb.png,crack\n");
    let crack = said("", "crack");
    assert_eq!(answers, [crack.clone(), said("eve (2)", "scale"), crack.clone(), crack.clone(), crack]);
    assert_eq!(conflicts, ["a.png: crack (2), scale (3)"]);
    let newer =
        "path,class,person,at\na.png,crack,ann,2024-01-01T10:00:05Z\na.png,scale,ann,2024-01-01T10:00:01Z\n";
    assert_eq!(planned(newer), (vec![said("ann", "scale"), said("ann", "crack")], vec![]));
    // Another person is another opinion; of one moment, or of none, it is not known which is newer.
    assert_eq!(planned(&newer.replace("scale,ann", "scale,bob")).1, Vec::<String>::new());
    assert_eq!(planned(&newer.replace(":05Z", ":01Z")).1, ["a.png: crack (2), scale (3)"]);
    assert_eq!(planned(&newer.replace("2024-01-01T10:00:05Z", "")).1, ["a.png: crack (2), scale (3)"]);
    // Numbers say the order.
    let numbered = "answer,path,class\n1,a.png,crack\n2,a.png,scale\n";
    assert_eq!(planned(numbered), (vec![said("", "crack"), said("", "scale")], vec![]));
}

/// Those that are no files are not waited for.
#[cfg(unix)]
#[test]
fn pipes_in_class_folders_are_passed_over_and_links_to_nothing_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for class in ["ant", "bee"] {
        std::fs::create_dir(folder.path().join(class)).unwrap();
        image::GrayImage::new(2, 2).save(folder.path().join(class).join("1.png")).unwrap();
    }
    let pipe = folder.path().join("ant/pipe.png");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::os::unix::fs::symlink("nowhere", folder.path().join("bee/gone.png")).unwrap();
    let labels =
        crate::project::exchange::folders::read(folder.path(), &mut crate::progress::silent()).unwrap();
    assert_eq!((labels.records.len(), labels.left_out.len()), (2, 1));
    assert!(labels.notes[0].starts_with("bee/gone.png"), "{:?}", labels.notes);
}
