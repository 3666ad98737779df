//! What `vabal import` says of files that fit a project badly: no label goes to another image silently.

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
    let mut all = String::new();
    let mut add = |file: &str, content: &str, options: &[&str]| {
        fs::write(place.path().join(file), content).unwrap();
        let _ = fs::remove_dir_all(place.path().join("p"));
        let init = ["init", "p", "--images", "base", "--classes", "crack,scale", "--quiet"];
        succeeded(place.vabal(&init).output().unwrap());
        let args = [&["import", "p", file, "--person", "eve"], options].concat();
        let output = place.vabal(&args).output().unwrap();
        all += &format!("## {file} {}\n", options.join(" "));
        if !output.status.success() {
            all += &format!("{}\n", refused(&place, &mut place.vabal(&args)));
            return;
        }
        all += &format!("{}{}", text(&output.stdout), text(&output.stderr));
        let export = ["export", "p", "--format", "csv", "--out", "out.csv", "--quiet"];
        succeeded(place.vabal(&export).output().unwrap());
        let labels = fs::read_to_string(place.path().join("out.csv")).unwrap();
        for line in labels.lines().skip(1) {
            all += &format!("-> {}\n", line.split(',').take(2).collect::<Vec<_>>().join(" "));
        }
        all += "\n";
    };
    let same = "path,label\ntrain/3.png,crack\nval/3.png,scale\n";
    add("samename.csv", same, &[]);
    add("samename.csv", &same.replace("val/3.png,scale\n", ""), &["--by-name"]);
    add("conflict.csv", "path,label\nplain.png,crack\nplain.png,scale\nplain.png,crack\n", &[]);
    let urls = "path,label\nfile:///home/a/base/with%20space.png,crack\nfile://localhost/home/a/base/caf%C3%A9.png,scale\n\
                cafe\u{301}.png,scale\nup,crack\nUP.png,crack\n1,scale\n";
    add("spelling.csv", urls, &[]);
    add("nothing.csv", "path,label\nplain.png,nan\na/1.png,\nb/1.png,\"[\"\"a\"\",\"\"b\"\"]\"\n", &[]);
    add("invisible.csv", "path,label\nplain.png,crack\u{200b}\n", &[]);
    let windows = [
        ("/data/local-files/?d=base%5Ca%5C1.png", &[("class", "crack")][..]),
        ("/data/local-files/?d=base\\b\\1.png", &[("class", "scale")]),
        ("/data/local-files/?d=other%5C3.png", &[("class", "scale")]),
    ];
    add("windows.json", &studio(&windows), &[]);
    let two = studio(&[("/data/upload/1/1a2b3c4d-plain.png", &[("class", "crack"), ("quality", "sharp")])]);
    add("two.json", &two, &[]);
    add("two.json", &two, &["--question", "class"]);
    insta::assert_snapshot!(all);
}
