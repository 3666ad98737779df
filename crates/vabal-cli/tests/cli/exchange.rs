//! What `vabal import` says of files that fit a project badly: no label goes to another image
//! silently.

use std::fs;

use crate::project::png;
use crate::support::{Place, refused, succeeded, text};

const NAMES: [&str; 7] =
    ["plain.png", "UP.PNG", "café.png", "a/1.png", "b/1.png", "b/3.png", "with space.png"];

/// Tasks of Label Studio: the image, and choices by question.
fn studio(tasks: &[(&str, &[(&str, &str)])]) -> String {
    let task = |(image, says): &(&str, &[(&str, &str)])| {
        let result: Vec<_> = says
            .iter()
            .map(|(name, class)| {
                serde_json::json!({"type": "choices", "from_name": name, "value": {"choices": [class]}})
            })
            .collect();
        serde_json::json!({"data": {"image": image}, "annotations": [{"completed_by": 1, "result": result}]})
    };
    serde_json::Value::Array(tasks.iter().map(task).collect()).to_string()
}

#[test]
fn labels_never_go_to_another_image_silently() {
    let place = Place::new();
    for (n, name) in NAMES.iter().enumerate() {
        let path = place.path().join("base").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, png(n as u32 % 3, n as u32)).unwrap();
    }
    // What is said of a file, and what the project holds then: a line for each labelled image.
    let add = |file: &str, content: &str, options: &[&str]| -> (String, String) {
        fs::write(place.path().join(file), content).unwrap();
        let _ = fs::remove_dir_all(place.path().join("p"));
        let init = ["init", "p", "--images", "base", "--classes", "crack,scale", "--quiet"];
        succeeded(place.vabal(&init).output().unwrap());
        let args = [&["import", "p", file, "--person", "eve"], options].concat();
        let output = place.vabal(&args).output().unwrap();
        if !output.status.success() {
            return (refused(&place, &mut place.vabal(&args)), String::new());
        }
        let said = text(&output.stdout) + &text(&output.stderr);
        let export = ["export", "p", "--format", "csv", "--out", "out.csv", "--quiet"];
        succeeded(place.vabal(&export).output().unwrap());
        let labels = fs::read_to_string(place.path().join("out.csv")).unwrap();
        let lines = labels.lines().skip(1);
        (
            said,
            lines
                .map(|line| line.split(',').take(2).collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>()
                .join("; "),
        )
    };
    let tells = |(said, labels): (String, String), words: &[&str], expected: &str| {
        for word in words {
            assert!(said.contains(word), "{word}\n{said}");
        }
        assert_eq!(labels, expected, "{said}");
    };
    let same = "path,label\ntrain/3.png,crack\nval/3.png,scale\n";
    let words = [
        "2 images of the file cannot be found",
        "train/3.png: only its name is that of b/3.png",
        "--by-name",
    ];
    tells(add("samename.csv", same, &[]), &words, "");
    let one = "path,label\ntrain/3.png,crack\n";
    tells(add("samename.csv", one, &["--by-name"]), &["1 answer added"], "b/3.png crack");
    let twice = "path,label\nplain.png,crack\nplain.png,scale\nplain.png,crack\n";
    let words =
        ["two classes for 1 image", "plain.png: crack (2), scale (3)", "1 image with two different answers"];
    tells(add("conflict.csv", twice, &[]), &words, "");
    let spelling = "path,label\nfile:///home/a/base/with%20space.png,crack\ncafe\u{301}.png,scale\nplain,crack\nUP.png,crack\n1,scale\n";
    let expected = "UP.PNG crack; café.png scale".to_owned() + "; plain.png crack; with space.png crack";
    let (said, labels) = add("spelling.csv", spelling, &[]);
    assert!(said.contains("1: may be any of 2 images"), "{said}");
    let (mut got, mut wanted): (Vec<&str>, Vec<&str>) =
        (labels.split("; ").collect(), expected.split("; ").collect());
    got.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(got, wanted);
    let nothing = "path,label\nplain.png,nan\na/1.png,\nb/1.png,\"[\"\"a\"\",\"\"b\"\"]\"\n";
    let words = ["\"nan\" is a class now", "give no label: 2", "1: several choices", "1: no class"];
    tells(add("nothing.csv", nothing, &[]), &words, "plain.png nan");
    let words = ["ZERO WIDTH SPACE (U+200B)"];
    tells(add("invisible.csv", "path,label\nplain.png,crack\u{200b}\n", &[]), &words, "");
    let windows = [
        ("/data/local-files/?d=base%5Ca%5C1.png", &[("class", "crack")][..]),
        ("/data/local-files/?d=base\\b\\1.png", &[("class", "scale")]),
        ("/data/local-files/?d=other%5C3.png", &[("class", "scale")]),
    ];
    let words = ["other%5C3.png: only its name is that of b/3.png"];
    tells(add("windows.json", &studio(&windows), &[]), &words, "a/1.png crack; b/1.png scale");
    let two = studio(&[("/data/upload/1/1a2b3c4d-plain.png", &[("class", "crack"), ("quality", "sharp")])]);
    tells(add("two.json", &two, &[]), &["several questions", "--question class"], "");
    tells(add("two.json", &two, &["--question", "class"]), &["1 answer added"], "plain.png crack");
}
