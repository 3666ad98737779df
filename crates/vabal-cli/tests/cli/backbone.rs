//! `vabal embed`, `vabal backbone`, and a project with a pretrained network.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use crate::support::{Place, refused, succeeded, text};

/// Stripes that lie or stand, as PNG.
fn write_stripes(place: &Place, folder: &str, n: u32) {
    fs::create_dir_all(place.path().join(folder)).unwrap();
    for k in 0..n {
        let picture = image::GrayImage::from_fn(24, 24, |x, y| {
            let at = if k % 3 == 0 { x } else { y };
            image::Luma([if (at + k) % 6 < 3 { 200 } else { 30 + (k % 50) as u8 }])
        });
        picture.save(place.path().join(folder).join(format!("{k:03}.png"))).unwrap();
    }
}

#[test]
fn features_of_a_folder_are_a_file_that_rank_takes() {
    let place = Place::new();
    write_stripes(&place, "photos", 12);
    fs::write(place.path().join("photos/torn.jpg"), "no picture").unwrap();
    let embed = |out: &str| place.vabal(&["embed", "photos", "--size", "32", "--out", out]).output().unwrap();
    let first = embed("pool.npz");
    assert!(text(&first.stderr).contains("left out torn.jpg"), "{}", text(&first.stderr));
    assert_eq!(
        succeeded(first),
        "12 images × 1280 features in pool.npz\n  efficientnet-lite0 at 32 × 32 pixels\n"
    );
    let second = succeeded(embed("pool.parquet"));
    assert!(second.contains("  12 of them computed before\n") && second.contains("vabal fetch"), "{second}");
    let rank = |pool: &str| {
        let args = ["rank", "--unlabelled", pool, "--strategy", "typiclust", "-n", "3"];
        succeeded(place.vabal(&args).output().unwrap())
    };
    let picks = rank("pool.npz");
    assert_eq!(picks, rank("pool.parquet"));
    assert_eq!(picks.lines().filter(|line| line.contains(".png")).count(), 3, "{picks}");
}

#[test]
fn what_is_read_of_a_backbone_is_shown() {
    let place = Place::new();
    insta::assert_snapshot!(succeeded(place.vabal(&["backbone", "show", "--size", "64"]).output().unwrap()));
}

#[test]
fn backbones_that_cannot_be_used_are_one_error_each() {
    let place = Place::new();
    write_stripes(&place, "photos", 3);
    fs::write(place.path().join("text.onnx"), "no network").unwrap();
    let mut all = String::new();
    for args in [
        &["backbone", "show", "text.onnx"][..],
        &["backbone", "show", "nowhere.onnx"],
        &["embed", "photos", "--out", "a.npz", "--backbone", "resnet"],
        &["embed", "photos", "--out", "a.npz", "--backbone", "resnet50"],
        &["embed", "photos", "--out", "a.csv"],
        &["embed", "photos", "--out", "a.npz", "--size", "4"],
        &["embed", "photos", "--out", "a.npz", "--output", "featurs"],
        &["embed", "nowhere", "--out", "a.npz"],
    ] {
        all += &format!("$ vabal {}\n{}\n", args.join(" "), refused(&place, &mut place.vabal(args)));
    }
    insta::assert_snapshot!(all);
    assert!(!place.path().join("a.npz").exists());
}

#[test]
fn features_that_were_computed_before_a_kill_are_not_computed_again() {
    let place = Place::new();
    write_stripes(&place, "photos", 200);
    let args = ["embed", "photos", "--size", "96", "--out", "a.npz"];
    let mut child = place.vabal(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let cache = place.path().join("data/features");
    let is_filled = || {
        let files = fs::read_dir(&cache).into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).any(|data| data.len() > 1 << 14)
    };
    while !is_filled() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let _ = child.kill();
    assert!(!child.wait().unwrap().success(), "it was through before it was killed");
    let said = succeeded(place.vabal(&args).output().unwrap());
    assert!(said.contains(" of them computed before"), "{said}");
    let whole = fs::read(place.path().join("a.npz")).unwrap();
    fs::remove_dir_all(&cache).unwrap();
    succeeded(place.vabal(&args).output().unwrap());
    assert!(fs::read(place.path().join("a.npz")).unwrap() == whole);
}

#[test]
fn a_project_learns_from_features_of_the_network_inside_the_program() {
    let place = Place::new();
    write_stripes(&place, "photos", 60);
    let run = |args: &[&str]| succeeded(place.vabal(args).output().unwrap());
    run(&["init", "lines", "--images", "photos", "--classes", "lie,stand", "--set", "size=32", "--quiet"]);
    let said = run(&["train", "lines"]);
    assert!(said.starts_with("not trained: ") && said.contains("images to be labelled next"), "{said}");
    let line = |k: u32| format!("{k:03}.png,{}\n", if k.is_multiple_of(3) { "stand" } else { "lie" });
    let labels: String = (0..24).map(line).collect();
    fs::write(place.path().join("labels.csv"), format!("file,label\n{labels}")).unwrap();
    run(&["import", "lines", "labels.csv", "--quiet"]);
    let said = run(&["train", "lines"]);
    assert!(said.starts_with("round 1: trained on "), "{said}");
    run(&["predict", "lines", "photos", "--out", "said.csv", "--quiet"]);
    let said = fs::read_to_string(place.path().join("said.csv")).unwrap();
    let right = |line: &&str| {
        let (name, rest) = line.split_once(".png,").unwrap();
        rest.starts_with(if name.parse::<u32>().unwrap().is_multiple_of(3) { "stand," } else { "lie," })
    };
    assert!(said.lines().skip(1).filter(right).count() >= 54, "{said}");
    let said = run(&["export", "lines", "--format", "csv", "--out", "out.csv", "--model"]);
    assert_eq!(said, "24 labelled images in out.csv, out.safetensors, out.onnx, out.head.onnx\n");
    // What was exported is a network that the program itself reads.
    let show = run(&["backbone", "show", "out.onnx"]);
    assert!(show.contains("cut off        the last Gemm") && show.contains("features       1280"), "{show}");
}
