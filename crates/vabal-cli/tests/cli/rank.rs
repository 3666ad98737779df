//! `vabal rank`: arrays in, picks out, and every way in which arrays can be wrong.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use safetensors::tensor::{Dtype, TensorView, serialize};

use crate::arrays::{Array, STORED, changed, f4, i8s, npz, of, rows, texts, without};
use crate::support::{Place, refused, succeeded, text};

/// A VAE of a second.
const FAST: [&str; 6] = ["--strategy", "vabal-official", "--set", "epochs=2", "--set", "draws=5"];

/// A folder with `u.npz`, 80 unlabelled rows, and `l.npz`, 30 labelled ones.
fn place() -> Place {
    let place = Place::new();
    npz(&place.path().join("u.npz"), &without(&rows(80, 0), "labels"), STORED);
    npz(&place.path().join("l.npz"), &rows(30, 80), STORED);
    place
}

/// Standard output of `vabal rank` with `args`.
fn rank(place: &Place, args: &[&str]) -> String {
    succeeded(place.vabal(&[&["rank"], args].concat()).output().unwrap())
}

fn column(csv: &str, name: &str) -> Vec<String> {
    let mut lines = csv.lines();
    let at = lines.next().unwrap().split(',').position(|field| field == name).unwrap();
    lines.map(|line| line.split(',').nth(at).unwrap().to_owned()).collect()
}

#[test]
fn picks_go_to_standard_output_and_what_they_are_to_standard_error() {
    let place = place();
    let args = ["rank", "--unlabelled", "u.npz", "--labelled", "l.npz", "-n", "6", "--strategy", "margin"];
    let output = place.vabal(&args).output().unwrap();
    let stderr = text(&output.stderr);
    let csv = succeeded(output);
    insta::assert_snapshot!(format!("{csv}\n{stderr}"));
    assert_eq!(rank(&place, &[&args[1..], &["--out", "-", "--quiet"]].concat()), csv);
    let quiet = place.vabal(&args).arg("--quiet").output().unwrap();
    assert_eq!(text(&quiet.stderr), "");
}

#[test]
fn every_format_and_type_gives_the_same_picks() {
    let place = place();
    let (u, l) = (without(&rows(80, 0), "labels"), rows(30, 80));
    let folder = |name: &str| place.path().join(name);
    let wide = |arrays: &[Array]| {
        arrays.iter().map(|a| if a.descr == "<f4" { a.as_f8() } else { a.clone() }).collect()
    };
    let wide: [Vec<Array>; 2] = [wide(&u), wide(&l)];
    let narrow = |a: &Array| if a.descr == "<f4" { a.as_f2() } else { a.clone() };
    let narrow = [&u, &l].map(|arrays| arrays.iter().map(narrow).collect::<Vec<_>>());
    for (name, arrays) in [("u", &u), ("l", &l)] {
        npz(&folder(&format!("{name}-deflated.npz")), arrays, zip::CompressionMethod::Deflated);
        for array in arrays.iter() {
            fs::write(folder(&format!("{name}-{}.npy", array.name)), array.npy()).unwrap();
        }
        let views = arrays.iter().map(|a| {
            let dtype = if a.descr == "<f4" { Dtype::F32 } else { Dtype::I64 };
            (a.name, TensorView::new(dtype, a.shape.clone(), &a.bytes).unwrap())
        });
        fs::write(folder(&format!("{name}.safetensors")), serialize(views, None).unwrap()).unwrap();
    }
    for (kind, [u, l]) in [("wide", &wide), ("narrow", &narrow)] {
        npz(&folder(&format!("u-{kind}.npz")), u, STORED);
        npz(&folder(&format!("l-{kind}.npz")), l, STORED);
    }
    let parts = |pool: &str, arrays: &[Array]| -> Vec<String> {
        arrays.iter().map(|a| format!("{}={pool}-{}.npy", a.name, a.name)).collect()
    };
    let (u_parts, l_parts) = (parts("u", &u), parts("l", &l));
    let strings = |all: &'static [&'static str]| all.iter().map(ToString::to_string).collect::<Vec<String>>();
    let ways = [
        (u_parts, l_parts),
        (strings(&["u-deflated.npz"]), strings(&["l-deflated.npz"])),
        (strings(&["u.safetensors"]), strings(&["l.safetensors"])),
        (strings(&["u-wide.npz"]), strings(&["l-wide.npz"])),
        (strings(&["u-narrow.npz"]), strings(&["l.safetensors"])),
    ];
    for strategy in ["vabal", "vabal-official", "random", "margin"] {
        let mut tail = vec!["-n", "12", "--quiet"];
        if strategy == "vabal-official" {
            tail.extend(FAST);
        } else {
            tail.extend(["--strategy", strategy]);
        }
        let first = rank(&place, &[&["--unlabelled", "u.npz", "--labelled", "l.npz"], &tail[..]].concat());
        assert_eq!(first.lines().count(), 13);
        for (u, l) in &ways {
            let mut args = vec!["--unlabelled"];
            args.extend(u.iter().map(String::as_str));
            args.push("--labelled");
            args.extend(l.iter().map(String::as_str));
            let csv = rank(&place, &[&args, &tail[..]].concat());
            if strategy == "margin" && u[0].contains("narrow") {
                // 16 bits round the probabilities.
                assert_eq!(csv.lines().count(), 13);
            } else {
                assert_eq!(csv, first, "{strategy} {u:?}");
            }
        }
    }
}

#[test]
fn a_pool_in_another_order_with_the_same_ids_gives_the_same_picks() {
    let place = place();
    let u = without(&rows(80, 0), "labels");
    let turned: Vec<Array> = u
        .iter()
        .map(|a| {
            let row = a.bytes.len() / 80;
            let bytes = a.bytes.chunks(row).rev().flatten().copied().collect();
            Array { bytes, ..a.clone() }
        })
        .collect();
    npz(&place.path().join("turned.npz"), &turned, STORED);
    let named = |arrays: &[Array]| {
        let numbers =
            of(arrays, "ids").bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()));
        changed(arrays, texts("ids", &numbers.map(|id| format!("img,{id}.png")).collect::<Vec<_>>()))
    };
    npz(&place.path().join("named.npz"), &named(&u), STORED);
    npz(&place.path().join("named-turned.npz"), &named(&turned), STORED);
    for strategy in ["random", "margin"] {
        let ids =
            |file: &str| rank(&place, &["--unlabelled", file, "-n", "9", "--strategy", strategy, "--quiet"]);
        assert_eq!(ids("u.npz"), ids("turned.npz"));
        assert_eq!(ids("named.npz"), ids("named-turned.npz"));
        assert!(ids("named.npz").contains(",\"img,10"), "texts are written out, and quoted");
        // Texts go by their hashes, where scores are equal and where something is drawn.
        let plain = ids("named.npz").replace("\"img,", "").replace(".png\"", "");
        assert_eq!(column(&plain, "score"), column(&ids("u.npz"), "score"));
        assert_ne!(plain, ids("u.npz"));
    }
}

#[test]
fn one_file_is_split_by_its_labels_and_gives_what_two_files_give() {
    let place = place();
    let all = rows(110, 0);
    // The labelled ones stand anywhere.
    let labelled = |row: usize| row % 4 == 1;
    let class: Vec<i64> =
        of(&all, "labels").bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect();
    let some = class.iter().enumerate().map(|(row, &label)| if labelled(row) { label } else { -1 });
    npz(&place.path().join("all.npz"), &changed(&all, i8s("labels", some.clone())), STORED);
    let real = some.map(|label| if label < 0 { f32::NAN } else { label as f32 });
    npz(
        &place.path().join("nan.npz"),
        &changed(&without(&all, "labels"), f4("label", &[110], real.collect::<Vec<_>>())),
        STORED,
    );
    let part = |keep: &dyn Fn(usize) -> bool| -> Vec<Array> {
        all.iter()
            .map(|a| {
                let rows: Vec<&[u8]> = a.bytes.chunks(a.bytes.len() / 110).collect();
                let rows = rows.into_iter().enumerate().filter(|(row, _)| keep(*row));
                let rows: Vec<&[u8]> = rows.map(|(_, bytes)| bytes).collect();
                let mut shape = a.shape.clone();
                shape[0] = rows.len();
                Array { shape, bytes: rows.concat(), ..a.clone() }
            })
            .collect()
    };
    npz(&place.path().join("one.npz"), &part(&|row| !labelled(row)), STORED);
    npz(&place.path().join("two.npz"), &part(&labelled), STORED);
    let tail = [&["-n", "10", "--quiet"], &FAST[..]].concat();
    let two = rank(&place, &[&["--unlabelled", "one.npz", "--labelled", "two.npz"], &tail[..]].concat());
    for file in ["all.npz", "nan.npz"] {
        assert_eq!(rank(&place, &[&["--unlabelled", file], &tail[..]].concat()), two);
    }
    // Without ids, the rows of the file.
    let unnamed =
        changed(&without(&all, "ids"), i8s("labels", (0..110).map(|row| if row < 100 { 0 } else { -1 })));
    npz(&place.path().join("unnamed.npz"), &unnamed, STORED);
    let csv = rank(&place, &["--unlabelled", "unnamed.npz", "-n", "99", "--strategy", "random", "--quiet"]);
    let mut ids: Vec<usize> = column(&csv, "id").iter().map(|id| id.parse().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (100..110).collect::<Vec<_>>());
}

#[test]
fn files_with_the_same_arrays_are_the_parts_of_one_pool() {
    let place = place();
    let whole = without(&rows(80, 0), "labels");
    let (first, second) = (without(&rows(30, 0), "labels"), without(&rows(50, 30), "labels"));
    npz(&place.path().join("a.npz"), &first, STORED);
    let table = |name: &str, ids: std::ops::Range<i64>| {
        let columns = [("id", vabal_arrays::Data::Whole(ids.collect()))];
        fs::write(place.path().join(name), vabal_arrays::write_parquet(&columns).unwrap()).unwrap();
    };
    npz(&place.path().join("b.npz"), &second, zip::CompressionMethod::Deflated);
    for strategy in [&["--strategy", "random"], &["--strategy", "vabal"], &FAST[..]] {
        let tail = [&["-n", "9", "--quiet"], strategy].concat();
        let one = rank(&place, &[&["--unlabelled", "u.npz"], &tail[..]].concat());
        assert_eq!(
            rank(&place, &[&["--unlabelled", "a.npz", "b.npz"], &tail[..]].concat()),
            one,
            "{strategy:?}"
        );
    }
    // Without ids, rows of all files counted on.
    let unnamed = |arrays: &[Array]| without(arrays, "ids");
    npz(&place.path().join("whole.npz"), &unnamed(&whole), STORED);
    npz(&place.path().join("c.npz"), &unnamed(&first), STORED);
    npz(&place.path().join("d.npz"), &unnamed(&second), STORED);
    let tail = ["-n", "9", "--strategy", "margin", "--quiet"];
    let one = rank(&place, &[&["--unlabelled", "whole.npz"], &tail[..]].concat());
    assert_eq!(rank(&place, &[&["--unlabelled", "c.npz", "d.npz"], &tail[..]].concat()), one);
    table("part-0.parquet", 0..4);
    table("part-1.parquet", 4..9);
    let csv = rank(
        &place,
        &["--unlabelled", "part-0.parquet", "part-1.parquet", "-n", "9", "--strategy", "random", "--quiet"],
    );
    let mut ids = column(&csv, "id");
    ids.sort_unstable();
    assert_eq!(ids, ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);

    let refusal = |files: &[&str]| {
        refused(&place, &mut place.vabal(&[&["rank", "--unlabelled"], files, &tail[..4]].concat()))
    };
    table("part-2.parquet", 8..12);
    let mut all = refusal(&["part-1.parquet", "part-2.parquet"]);
    all += &refusal(&["a.npz", "a.npz"]);
    all += &refusal(&["a.npz", "d.npz"]);
    npz(&place.path().join("narrow.npz"), &changed(&second, f4("stage1", &[50, 1], vec![0.0; 50])), STORED);
    all += &refusal(&["a.npz", "narrow.npz"]);
    insta::assert_snapshot!(all);
}

#[test]
fn before_the_first_label_strategies_choose_all_the_same() {
    let place = place();
    for strategy in ["random", "entropy", "vabal"] {
        let args = ["--unlabelled", "u.npz", "-n", "5", "--strategy", strategy, "--quiet"];
        assert_eq!(rank(&place, &args).lines().count(), 6, "{strategy}");
    }
    // Predictions alone, and one array of features by any name.
    let u = rows(80, 0);
    fs::write(place.path().join("embedding.npy"), of(&u, "stage2").npy()).unwrap();
    fs::write(
        place.path().join("predicted.npy"),
        Array { name: "predicted", ..of(&u, "labels").clone() }.npy(),
    )
    .unwrap();
    let args =
        [&["--unlabelled", "embedding.npy", "predicted.npy", "-n", "5", "--quiet"], &FAST[..]].concat();
    let csv = rank(&place, &args);
    assert!(csv.starts_with("rank,id,score,predicted,vae-predicted,energy\n1,"), "{csv}");
    let args = ["--unlabelled", "embedding.npy", "predicted.npy", "-n", "5", "--quiet"];
    let csv = rank(&place, &args);
    assert!(csv.starts_with("rank,id,score,predicted,corrected,class,support,labelled\n1,"), "{csv}");
    // Features alone: typical images first.
    let of = |strategy| {
        let args = ["--unlabelled", "embedding.npy", "--classes", "3", "-n", "5", "--quiet", "--strategy"];
        rank(&place, &[&args[..], &[strategy]].concat())
    };
    assert_eq!(of("vabal"), of("typiclust"));
}

#[test]
fn a_vae_that_was_kept_scores_the_same_without_fitting() {
    let place = place();
    let pools = ["--unlabelled", "u.npz", "--labelled", "l.npz", "-n", "7"];
    let first = rank(
        &place,
        &[&pools[..], &FAST, &["--quiet", "--model-out", "deep/vae.safetensors", "--out", "a.csv"]].concat(),
    );
    assert_eq!(first, "");
    let second =
        rank(&place, &[&pools[..], &FAST[..2], &["--model", "deep/vae.safetensors", "--quiet"]].concat());
    assert_eq!(fs::read_to_string(place.path().join("a.csv")).unwrap(), second);
    let json =
        rank(&place, &[&pools[..], &FAST[..2], &["--model", "deep/vae.safetensors", "--json"]].concat());
    assert!(!json.contains("\"phase\":\"vae\"") && json.contains("\"event\":\"vae\""), "{json}");
}

#[test]
fn json_lines_hold_the_same_picks_as_csv_with_classes_as_whole_numbers() {
    let place = place();
    let pools = [&["--unlabelled", "u.npz", "--labelled", "l.npz", "-n", "7"], &FAST[..]].concat();
    let csv = rank(&place, &[&pools[..], &["--quiet"]].concat());
    rank(&place, &[&pools[..], &["--quiet", "--out", "picks.jsonl"]].concat());
    let lines = fs::read_to_string(place.path().join("picks.jsonl")).unwrap();
    let objects: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for name in ["rank", "id", "score", "predicted", "vae-predicted", "energy"] {
        let of_lines: Vec<f64> = objects.iter().map(|object| object[name].as_f64().unwrap()).collect();
        let of_csv: Vec<f64> = column(&csv, name).iter().map(|field| field.parse().unwrap()).collect();
        assert_eq!(of_lines, of_csv, "{name}");
    }
    assert!(objects.iter().all(|object| object["predicted"].is_u64() && object["id"].is_u64()));

    // Parquet too, which is read again as an array of scores.
    rank(&place, &[&pools[..], &["--quiet", "--out", "picks.parquet"]].concat());
    let again =
        rank(&place, &["--unlabelled", "picks.parquet", "-n", "7", "--strategy", "random", "--quiet"]);
    let sorted = |csv: &str| {
        let mut ids = column(csv, "id");
        ids.sort_unstable();
        ids
    };
    assert_eq!(sorted(&again), sorted(&csv));

    let events = rank(&place, &[&pools[..], &["--json"]].concat());
    let events: Vec<serde_json::Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!(
        (count("pools"), count("vae"), count("class"), count("pick"), count("finished")),
        (1, 1, 3, 7, 1)
    );
    let picked: Vec<&serde_json::Value> =
        events.iter().filter(|event| event["event"] == "pick").map(|event| &event["id"]).collect();
    assert_eq!(picked, objects.iter().map(|object| &object["id"]).collect::<Vec<_>>());
    let share: f64 = events
        .iter()
        .filter(|event| event["event"] == "class")
        .map(|event| event["picks"].as_f64().unwrap())
        .sum();
    assert!((share - 1.0).abs() < 1e-6, "{share}");
}

#[test]
fn draws_of_a_posterior_and_of_a_committee_are_read() {
    let place = Place::new();
    let p = |row: usize, t: usize| 0.25 + ((row * 7 + t * 13) % 32) as f32 / 64.0;
    let draws = |name| {
        let values = (0..20).flat_map(|row| (0..4).flat_map(move |t| [p(row, t), 1.0 - p(row, t)]));
        f4(name, &[20, 4, 2], values.collect::<Vec<_>>())
    };
    npz(&place.path().join("u.npz"), &[draws("mc_probs"), draws("committee_probs")], STORED);
    for (strategy, term) in [("bald", "predicted"), ("ensemble-mutual-information", "predicted")] {
        let csv = rank(&place, &["--unlabelled", "u.npz", "-n", "3", "--strategy", strategy, "--quiet"]);
        assert_eq!(column(&csv, term).len(), 3);
    }
}

#[test]
fn more_than_there_are_is_all_of_them_with_a_warning() {
    let place = place();
    let output = place
        .vabal(&["rank", "--unlabelled", "u.npz", "-n", "99", "--strategy", "entropy"])
        .output()
        .unwrap();
    let stderr = text(&output.stderr);
    assert!(stderr.contains("warning: asked for 99 images but 80 are left"), "{stderr}");
    let mut ids = column(&succeeded(output), "id");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 80);
}

#[test]
fn arrays_that_are_wrong_are_one_error_each_that_says_what_where_expected_got() {
    let place = place();
    let (u, l) = (without(&rows(80, 0), "labels"), rows(30, 80));
    let mut all = String::new();
    let mut add = |name: &str, u: &[Array], l: &[Array], args: &[&str]| {
        npz(&place.path().join("x.npz"), u, STORED);
        npz(&place.path().join("y.npz"), l, STORED);
        let mut command = place.vabal(&["rank", "--unlabelled", "x.npz", "--labelled", "y.npz", "-n", "5"]);
        all += &format!("## {name}\n{}\n", refused(&place, command.args(args)));
    };
    let spoilt = |name: &str, row: usize, value: f32| {
        let mut array = of(&u, name).clone();
        let at = row * array.bytes.len() / 80;
        array.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        changed(&u, array)
    };
    add("features are missing", &[of(&u, "probs").clone(), f4("emb", &[80, 1], vec![0.0; 80])], &l, &[]);
    add("labels are missing", &u, &without(&l, "labels"), &[]);
    add("rows disagree", &changed(&u, f4("probs", &[79, 3], vec![0.25; 237])), &l, &[]);
    add("numbers of stages disagree", &u, &without(&l, "stage1"), &["--strategy", "vabal-paper"]);
    let names = texts("ids", &(0..80).map(|row| format!("{row}.png")).collect::<Vec<_>>());
    add("NaN", &changed(&spoilt("stage2", 7, f32::NAN), names), &without(&l, "ids"), &[]);
    add("logits", &spoilt("probs", 9, -3.5), &l, &["--strategy", "entropy"]);
    let halves = |value: f32| changed(&u, f4("probs", &[80, 3], vec![value; 240]));
    add("sigmoids", &halves(0.5), &l, &["--strategy", "random"]);
    add("a row of zeros", &halves(0.0), &l, &[]);
    let constant = f4("features", &[80, 4], vec![1.0; 320]);
    add(
        "constant features",
        &[constant, of(&u, "probs").clone()],
        &[f4("features", &[30, 4], vec![1.0; 120]), of(&l, "labels").clone()],
        &["--strategy", "vabal-paper"],
    );
    let flat = f4("features", &[80], vec![1.0; 80]);
    add("features of one dimension", &[flat, of(&u, "probs").clone()], &l, &["--strategy", "vabal"]);
    add("a label out of range", &u, &changed(&l, i8s("labels", (0..30).map(|row| row % 4))), &[]);
    add("another number of classes", &u, &l, &["--classes", "5"]);
    add("an id in both", &changed(&u, i8s("ids", (0..80).map(|row| row + 1050))), &l, &[]);
    let whole = Array { descr: "<i4", ..of(&u, "stage1").clone() };
    add("features that are whole numbers", &changed(&u, whole), &l, &["--strategy", "vabal-paper"]);
    let objects = Array { descr: "|O", ..of(&u, "ids").clone() };
    add("pickled ids", &changed(&u, objects), &l, &[]);
    add("no row", &u.iter().map(emptied).collect::<Vec<_>>(), &l, &[]);
    insta::assert_snapshot!(all);
}

fn emptied(array: &Array) -> Array {
    let mut shape = array.shape.clone();
    shape[0] = 0;
    Array { shape, bytes: Vec::new(), ..array.clone() }
}

#[test]
fn every_wrong_argument_and_file_is_one_error_that_says_what_where_expected_got() {
    let place = place();
    let mut all = String::new();
    let mut add = |name: &str, args: &[&str]| {
        let u: &[&str] = if args.contains(&"--unlabelled") { &[] } else { &["--unlabelled", "u.npz"] };
        let n: &[&str] = if args.contains(&"-n") { &[] } else { &["-n", "5"] };
        let error = refused(&place, &mut place.vabal(&[&["rank"], u, n, args].concat()));
        all += &format!("## {name}\n{error}\n");
    };
    fs::write(place.path().join("t.txt"), "1,2").unwrap();
    fs::write(place.path().join("t.npz"), &fs::read(place.path().join("u.npz")).unwrap()[..500]).unwrap();
    fs::write(place.path().join("t.npy"), &of(&rows(9, 0), "stage1").npy()[..200]).unwrap();
    fs::write(place.path().join("t.parquet"), "PAR1 and no more PAR1").unwrap();
    fs::write(place.path().join("t.safetensors"), [9, 0, 0, 0, 0, 0, 0, 0, b'{']).unwrap();
    fs::write(place.path().join("whole.npy"), of(&rows(9, 0), "labels").npy()).unwrap();
    fs::create_dir(place.path().join("folder.npz")).unwrap();
    fs::create_dir(place.path().join("folder.csv")).unwrap();
    fs::write(place.path().join("file"), "").unwrap();
    npz(&place.path().join("full.npz"), &rows(9, 0), STORED);
    add("a missing file", &["--unlabelled", "missing.npz"]);
    add("an unknown ending", &["--unlabelled", "t.txt"]);
    add("a folder", &["--unlabelled", "folder.npz"]);
    add("a torn .npz", &["--unlabelled", "t.npz"]);
    add("a torn .npy", &["--unlabelled", "features=t.npy"]);
    add("a torn .parquet", &["--unlabelled", "t.parquet"]);
    add("a torn .safetensors", &["--unlabelled", "t.safetensors"]);
    add("an array without a name", &["--unlabelled", "whole.npy", "--strategy", "margin"]);
    add("an array twice", &["--unlabelled", "u.npz", "ids=whole.npy"]);
    add("a name for many arrays", &["--unlabelled", "features=u.npz"]);
    add("no row without a label", &["--unlabelled", "full.npz"]);
    add("an unknown strategy", &["--strategy", "entrpy"]);
    add("an unknown setting", &["--strategy", "vabal-paper", "--set", "draw=5"]);
    add("a setting of a strategy without any", &["--strategy", "margin", "--set", "draws=5"]);
    add("a wrong type", &["--strategy", "vabal-paper", "--set", "draws=many"]);
    add("a setting out of range", &["--strategy", "vabal-paper", "--set", "draws=0"]);
    add("nothing asked for", &["-n", "0"]);
    add("one class", &["--classes", "1", "--strategy", "random"]);
    add("an unknown ending of --out", &["--out", "picks.txt"]);
    add("a folder in the place of --out", &["--out", "folder.csv"]);
    add("--out below a file", &["--out", "file/picks.csv"]);
    add("--out over an input", &["--strategy", "vabal-paper", "--model-out", "u.npz"]);
    add(
        "--out and --model-out in one",
        &["--strategy", "vabal-paper", "--out", "a.csv", "--model-out", "a.csv"],
    );
    add(
        "--model-out for a strategy without a VAE",
        &["--strategy", "margin", "--model-out", "vae.safetensors"],
    );
    add("--model for a strategy without a VAE", &["--strategy", "margin", "--model", "vae.safetensors"]);
    add("a missing --model", &["--strategy", "vabal-paper", "--model", "vae.safetensors"]);
    add("a --model of another kind", &["--strategy", "vabal-paper", "--model", "t.safetensors"]);
    rank(
        &place,
        &[&["--unlabelled", "u.npz", "-n", "1", "--quiet", "--model-out", "vae.safetensors"], &FAST[..]]
            .concat(),
    );
    let narrow = changed(&rows(9, 0), f4("stage1", &[9, 2], vec![0.5; 18]));
    npz(&place.path().join("narrow.npz"), &without(&narrow, "labels"), STORED);
    add(
        "a --model of another width",
        &["--unlabelled", "narrow.npz", "--strategy", "vabal-paper", "--model", "vae.safetensors"],
    );
    add(
        "a --model of other classes",
        &["--classes", "4", "--strategy", "vabal-paper", "--model", "vae.safetensors"],
    );
    insta::assert_snapshot!(all);
    assert!(!place.path().join("picks.csv").exists() && !place.path().join("picks.txt").exists());
}

#[test]
#[cfg(target_os = "linux")]
fn a_place_that_cannot_be_written_is_an_error_before_any_work() {
    let place = place();
    let error = refused(
        &place,
        &mut place.vabal(&["rank", "--unlabelled", "u.npz", "-n", "5", "--out", "/proc/a/b.csv"]),
    );
    assert!(error.starts_with("error: cannot write /proc/a/b.csv\n"), "{error}");
}

#[test]
#[cfg(unix)]
fn ctrl_c_exits_130_and_writes_nothing() {
    let place = place();
    let args = [
        "rank",
        "--unlabelled",
        "u.npz",
        "-n",
        "5",
        "--json",
        "--strategy",
        "vabal-paper",
        "--set",
        "epochs=100000",
        "--out",
        "picks.csv",
    ];
    let mut child = place.vabal(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("\"phase\":\"vae\"") {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "it ended before");
    }
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
    std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("stopped; nothing was written"), "{stderr}");
    assert!(!place.path().join("picks.csv").exists());
}
