//! A labelling project without the page: labels in, training, what to ask next, labels and a model
//! out.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Place, refused, succeeded, text};

/// A PNG of 12 × 12 grey pixels: a bright square in one of three places, with noise that tells it
/// from others.
pub fn png(class: u32, n: u32) -> Vec<u8> {
    let mut rows = Vec::new();
    for y in 0..12_u32 {
        rows.push(0);
        for x in 0..12_u32 {
            let inside = y / 4 == class && (2..8).contains(&x);
            let noise = (n * 31 + (y * 12 + x) * 17 + n * x) % 97;
            rows.push((noise + if inside { 150 } else { 0 }) as u8);
        }
    }
    // Deflate without compression: one block.
    let length = rows.len() as u16;
    let mut data = vec![0x78, 0x01, 1];
    data.extend(length.to_le_bytes());
    data.extend((!length).to_le_bytes());
    data.extend(&rows);
    let (a, b) = rows.iter().fold((1_u32, 0_u32), |(a, b), &v| {
        let a = (a + u32::from(v)) % 65521;
        (a, (b + a) % 65521)
    });
    data.extend((b << 16 | a).to_be_bytes());
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let header = [&12_u32.to_be_bytes()[..], &12_u32.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    for (kind, data) in [(b"IHDR", header), (b"IDAT", data), (b"IEND", Vec::new())] {
        file.extend((data.len() as u32).to_be_bytes());
        let checked = [kind.as_slice(), &data].concat();
        let crc = checked.iter().fold(u32::MAX, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ (0xedb8_8320 * (crc & 1)))
        });
        file.extend(checked);
        file.extend((!crc).to_be_bytes());
    }
    file
}

const CLASSES: [&str; 3] = ["crazing", "patches", "scratches"];

/// Two of five images are of class 0, so that the others are rare.
fn class_of(n: u32) -> u32 {
    [0, 1, 0, 2, 0][n as usize % 5]
}

fn run(place: &Place, args: &[&str]) -> String {
    place.tidy(&succeeded(place.vabal(args).output().unwrap()))
}

/// The project `steel` of 60 tiny images, for whose network 8 × 8 pixels do: a training is a matter
/// of seconds.
fn made(place: &Place) {
    fs::create_dir_all(place.path().join("photos/deep")).unwrap();
    for n in 0..60 {
        let room = if n % 2 == 0 { "photos" } else { "photos/deep" };
        fs::write(place.path().join(room).join(format!("{n:02}.png")), png(class_of(n), n)).unwrap();
    }
    let classes = CLASSES.join(",");
    let settings = ["backbone=none", "size=8", "passes=200", "first=10", "budget=8", "strategy=margin"];
    let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let args = ["init", "steel", "--images", "photos", "--classes", &classes, "--quiet"];
    run(place, &[&args[..], &settings].concat());
}

/// Labels of the first images, as a file.
fn labels(place: &Place, name: &str, numbers: std::ops::Range<u32>) {
    let line = |n: u32| format!("{n:02}.png,{}\n", CLASSES[class_of(n) as usize]);
    fs::write(place.path().join(name), format!("file,label\n{}", numbers.map(line).collect::<String>()))
        .unwrap();
}

/// Without what differs from machine to machine.
fn steady(text: &str) -> String {
    let seconds = |line: &str| match line.rsplit_once(", ") {
        Some((start, end)) if line.starts_with("round ") && end.ends_with(" s") => format!("{start}, N s"),
        _ => line.to_owned(),
    };
    text.lines().map(seconds).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_project_is_trained_and_asked_without_the_page() {
    let place = Place::new();
    made(&place);
    let mut all = String::new();
    let mut add = |args: &[&str]| {
        let output = place.vabal(args).output().unwrap();
        let stderr = place.tidy(&text(&output.stderr));
        let stdout = place.tidy(&succeeded(output));
        all += &format!("## vabal {}\n{}\n", args.join(" "), steady(&(stdout + &stderr)));
    };
    add(&["status", "steel"]);
    // Before there are labels the choice is for coverage, and nothing is trained.
    add(&["train", "steel"]);
    add(&["query", "steel", "-n", "3"]);
    labels(&place, "labels.csv", 0..40);
    fs::write(place.path().join("photos/new.png"), b"no image").unwrap();
    add(&["import", "steel", "labels.csv", "--person", "ann"]);
    add(&["import", "steel", "labels.csv"]);
    insta::assert_snapshot!(all);

    let said = run(&place, &["train", "steel"]);
    let status: Value = serde_json::from_str(&run(&place, &["status", "steel", "--json"])).unwrap();
    let round = &status["rounds"][0];
    let (of, value) = (round["holdout"].as_u64().unwrap(), round["measured_accuracy"].as_f64().unwrap());
    assert!(of > 0 && (0.0..=1.0).contains(&value), "{round}");
    let (low, high) = (round["balanced_low"].as_f64().unwrap(), round["balanced_high"].as_f64().unwrap());
    let expected = match (round["classes_measured"].as_u64().unwrap(), round["classes"].as_u64().unwrap()) {
        (n, all) if n == all => format!("balanced accuracy {:.1} ({:.1} to", 100.0 * value, 100.0 * low),
        (n, all) => {
            format!(
                "balanced accuracy {:.1} to {:.1} % ({n} of {all} classes measured)",
                100.0 * low,
                100.0 * high
            )
        }
    };
    assert!(said.contains(&expected), "{said}");
    assert!(said.contains("8 images to be labelled next\n\nNext: vabal label steel"), "{said}");
    let table = run(&place, &["status", "steel"]);
    assert!(
        table.contains("steel: 40 of 60 images labelled\n") && table.contains("\nround  labels"),
        "{table}"
    );
    assert!(table.lines().any(|line| line.starts_with("scratches       8 ")), "{table}");

    assert_eq!(run(&place, &["query", "steel", "-n", "5", "--out", "next.csv"]), "5 images in next.csv\n");
    let next = fs::read_to_string(place.path().join("next.csv")).unwrap();
    let lines: Vec<&str> = next.lines().collect();
    assert_eq!((lines[0], lines.len()), ("rank,path,suggestion,confidence,score,reasons", 6));
    assert!(lines[1].starts_with("1,") && CLASSES.iter().any(|class| lines[1].contains(class)), "{next}");
    for name in ["next.jsonl", "next.parquet"] {
        run(&place, &["query", "steel", "--out", name, "--quiet"]);
        assert!(fs::metadata(place.path().join(name)).unwrap().len() > 100);
    }
    // What is labelled since is not asked any more.
    let asked = lines[1].split(',').nth(1).unwrap();
    fs::write(place.path().join("one.csv"), format!("path,class\n{asked},patches\n")).unwrap();
    run(&place, &["import", "steel", "one.csv", "--quiet"]);
    let output = place.vabal(&["query", "steel", "--out", "next.csv"]).output().unwrap();
    assert!(text(&output.stderr).contains("vabal train steel"));
    let again = fs::read_to_string(place.path().join("next.csv")).unwrap();
    assert!(!again.contains(asked) && again.lines().count() == 8, "{again}");
}

#[test]
fn a_model_goes_out_and_classifies_other_images() {
    let place = Place::new();
    made(&place);
    labels(&place, "labels.csv", 0..40);
    run(&place, &["import", "steel", "labels.csv", "--quiet"]);
    run(&place, &["train", "steel", "--quiet"]);
    let other = place.path().join("other/deep");
    fs::create_dir_all(&other).unwrap();
    for n in 100..106 {
        fs::write(other.join(format!("{n}.png")), png(class_of(n), n)).unwrap();
    }
    fs::write(place.path().join("other/torn.png"), &png(0, 7)[..80]).unwrap();
    fs::write(place.path().join("other/notes.txt"), "no image").unwrap();
    // A pipe once was waited for without end.
    #[cfg(unix)]
    {
        let pipe = place.path().join("other/pipe.png");
        assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
        std::os::unix::fs::symlink("nowhere", place.path().join("other/gone.png")).unwrap();
    }
    let output = place.vabal(&["predict", "steel", "other", "--out", "said.csv"]).output().unwrap();
    let stderr = text(&output.stderr);
    assert!(stderr.contains("left out torn.png: "), "{stderr}");
    assert!(!cfg!(unix) || stderr.contains("left out gone.png: it is a link to a file"), "{stderr}");
    assert!(!stderr.contains("notes.txt"), "{stderr}");
    assert!(succeeded(output).starts_with("6 images in said.csv\n  class      images\n  crazing"));
    let said = fs::read_to_string(place.path().join("said.csv")).unwrap();
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines[0].join(","), "path,class,confidence,p crazing,p patches,p scratches");
    assert_eq!(lines.len(), 7);
    for line in &lines[1..] {
        let p: Vec<f64> = line[3..].iter().map(|p| p.parse().unwrap()).collect();
        let best = CLASSES.iter().position(|class| *class == line[1]).unwrap();
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-5 && p[best].to_string() == line[2], "{line:?}");
        assert!(p.iter().all(|&other| other <= p[best]) && line[0].starts_with("deep/10"), "{line:?}");
    }

    let said = run(&place, &["export", "steel", "--format", "folders", "--out", "set", "--model"]);
    assert_eq!(said, "40 labelled images in set\n");
    let sheet = fs::read_to_string(place.path().join("set/DATASHEET.md")).unwrap();
    assert!(sheet.contains("by the strategy `margin` (round 1).") && sheet.contains("Accuracy"), "{sheet}");
    assert!(sheet.contains("The last model sees 8 × 8 pixels") && !sheet.contains("changed"), "{sheet}");
    let same = |a: &str, b: &str| {
        assert_eq!(fs::read(place.path().join(a)).unwrap(), fs::read(place.path().join(b)).unwrap())
    };
    same("set/model.safetensors", "steel/model.safetensors");
    let said = run(&place, &["export", "steel", "--format", "csv", "--out", "labels.csv", "--model"]);
    assert_eq!(said, "40 labelled images in labels.csv, labels.safetensors, labels.onnx\n");
    same("labels.onnx", "set/model.onnx");

    // Another strategy and size later on: the sheet says both, and which training was by which.
    run(&place, &["set", "steel", "strategy=entropy", "size=12"]);
    labels(&place, "labels.csv", 0..45);
    run(&place, &["import", "steel", "labels.csv", "--quiet"]);
    run(&place, &["train", "steel", "--quiet"]);
    run(&place, &["export", "steel", "--format", "folders", "--out", "set", "--quiet"]);
    let sheet = fs::read_to_string(place.path().join("set/DATASHEET.md")).unwrap();
    for said in [
        "by the strategy `margin` (round 1), `entropy` (round 2). Those",
        "`size` from `8` to `12` on 2",
        "`strategy` from `margin` to `entropy` on 2",
        "The last model sees 12 × 12 pixels",
        "Answers that were taken in from files: 45.",
    ] {
        assert!(sheet.contains(said), "{said}\n{sheet}");
    }
    run(&place, &["predict", "steel", "other", "--out", "said.csv", "--quiet"]);
    run(&place, &["export", "steel", "--format", "label-studio", "--out", "out.json"]);
    let tasks = fs::read_to_string(place.path().join("out.json")).unwrap();
    assert!(tasks.contains("entropy, round 2") && !tasks.contains("margin"), "{tasks}");
}

fn list(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn labels_go_out_in_every_format_and_come_back() {
    let place = Place::new();
    made(&place);
    labels(&place, "labels.csv", 0..10);
    run(&place, &["import", "steel", "labels.csv", "--person", "ann", "--quiet"]);
    fs::write(
        place.path().join("other.csv"),
        "path,class,person\n00.png,patches,bob\ngone.png,crazing,bob\n",
    )
    .unwrap();
    let output = place.vabal(&["import", "steel", "other.csv"]).output().unwrap();
    let stderr = text(&output.stderr);
    insta::assert_snapshot!(format!("{}## standard error\n{stderr}", succeeded(output)));
    for (format, out) in [
        ("csv", "out.csv"),
        ("jsonl", "out.jsonl"),
        ("parquet", "out.parquet"),
        ("label-studio", "out.json"),
        ("folders", "folders"),
        ("image-folder", "hub"),
        ("yolo-classify", "yolo"),
    ] {
        let said = run(&place, &["export", "steel", "--format", format, "--out", out]);
        assert_eq!(said, format!("9 labelled images in {out}\n"));
    }
    run(&place, &["export", "steel", "--format", "folders", "--out", "links", "--link", "--quiet"]);
    run(&place, &["export", "steel", "--format", "folders", "--out", "soft", "--link=soft", "--quiet"]);
    assert!(place.path().join("soft/patches/01.png").is_symlink());
    assert_eq!(
        list(&place.path().join("links")),
        [".vabal-export", "DATASHEET.md", "crazing", "labels.csv", "patches", "scratches"]
    );
    assert!(place.path().join("hub/README.md").is_file() && place.path().join("hub/train").is_dir());
    let args =
        ["export", "steel", "--format", "jsonl", "--full", "--out", "all.jsonl", "--sheet", "about.md"];
    assert_eq!(run(&place, &args), "9 labelled images in all.jsonl, about.md\n");
    assert!(fs::read_to_string(place.path().join("about.md")).unwrap().starts_with("# steel\n"));
    // Into projects of the same images: everything from the answers, the labels from each of the
    // others.
    for (project, file) in [
        ("p1", "all.jsonl"),
        ("p2", "folders"),
        ("p3", "out.json"),
        ("p4", "out.csv"),
        ("p5", "hub"),
        ("p6", "out.jsonl"),
        ("p7", "yolo"),
    ] {
        run(&place, &["init", project, "--images", "photos", "--quiet"]);
        let said: Value = serde_json::from_str(&run(&place, &["import", project, file, "--json"])).unwrap();
        let added = if ["p1", "p3"].contains(&project) { 11 } else { 9 };
        assert_eq!((said["added"].as_u64(), said["unknown"].as_u64()), (Some(added), Some(0)), "{file}");
        run(&place, &["export", project, "--format", "csv", "--out", "back.csv"]);
        let read = |name: &str| fs::read_to_string(place.path().join(name)).unwrap();
        assert_eq!(read("back.csv"), read("out.csv"), "{file}");
    }
    run(&place, &["export", "p1", "--format", "jsonl", "--full", "--out", "back.jsonl"]);
    let read = |name: &str| fs::read(place.path().join(name)).unwrap();
    assert_eq!(read("back.jsonl"), read("all.jsonl"));
}

#[test]
fn what_cannot_be_done_is_one_error_each_that_says_what_to_do() {
    let place = Place::new();
    made(&place);
    labels(&place, "labels.csv", 0..4);
    fs::write(place.path().join("wrong.csv"), "path,class\n00.png,crazing,patches\n").unwrap();
    fs::create_dir(place.path().join("empty")).unwrap();
    let mut all = String::new();
    let mut add = |args: &[&str]| {
        all += &format!("## vabal {}\n{}\n", args.join(" "), refused(&place, &mut place.vabal(args)));
    };
    add(&["train", "photos"]);
    add(&["train", "steel", "--device", "gpu"]);
    add(&["query", "steel", "-n", "10", "--out", "next.csv"]);
    add(&["status", "nowhere"]);
    add(&["predict", "steel", "photos", "--out", "said.csv"]);
    add(&["predict", "steel", "photos", "--out", "said.xlsx"]);
    add(&["import", "steel", "nowhere.csv"]);
    add(&["import", "steel", "empty", "--as", "suggestions"]);
    add(&["import", "steel", "wrong.csv"]);
    add(&["import", "steel", "empty"]);
    add(&["import", "steel", "labels.csv", "--format", "xml"]);
    add(&["import", "steel", "labels.csv", "--person", ""]);
    add(&["export", "steel", "--format", "folders", "--out", "set"]);
    run(&place, &["import", "steel", "labels.csv", "--quiet"]);
    add(&["export", "steel", "--format", "folders", "--out", "photos"]);
    add(&["export", "steel", "--format", "csv", "--out", "labels.csv", "--model"]);
    add(&["export", "steel", "--format", "csv", "--link", "--out", "x.csv"]);
    add(&["export", "steel", "--format", "folders", "--full", "--out", "x"]);
    insta::assert_snapshot!(all);
}
