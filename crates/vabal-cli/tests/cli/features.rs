//! `vabal run` on features: arrays in, results out, and what is refused before any work.

use std::fs;

use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

use crate::support::{Place, refused, succeeded};

/// Three classes of rows, two of them rare: 150 of 4 features, the last 50 to test on.
fn write(place: &Place) {
    let class = |row: usize| [0, 1, 0, 2, 0][row % 5];
    let noise = |row: usize, j: usize| ((row * 37 + j * 53 + row * j * 7) % 64) as f32 / 32.0;
    let value = |n: usize| noise(n / 4, n % 4) + if n % 4 == class(n / 4) { 2.0 } else { 0.0 };
    let features: Vec<u8> = (0..600).flat_map(|n| value(n).to_le_bytes()).collect();
    let labels: Vec<u8> = (0..150).map(|row| class(row) as u8).collect();
    let view = |dtype, shape: Vec<usize>, bytes| TensorView::new(dtype, shape, bytes).unwrap();
    let arrays = [
        ("features", view(Dtype::F32, vec![150, 4], &features)),
        ("labels", view(Dtype::U8, vec![150], &labels)),
        ("train_rows", view(Dtype::U8, vec![], &[100])),
    ];
    serialize_to_file(arrays, None, &place.path().join("rows.safetensors")).unwrap();
    let text = "seeds = [1, 2]\nstrategies = [\"random\", \"margin\"]\n[rounds]\ninitial = 12\nbudget = 8\ncount = 3\n\
                [data]\nkind = \"features\"\npath = \"rows.safetensors\"\n";
    fs::write(place.path().join("rows.toml"), text).unwrap();
}

#[test]
fn an_experiment_on_features_runs_and_is_reported_without_pictures() {
    let place = Place::new();
    write(&place);
    let run = |args: &[&str]| {
        let mut command = place.vabal(&["run", "rows.toml", "--out", "out"]);
        succeeded(command.args(args).output().unwrap())
    };
    let printed = run(&["--print-config"]);
    assert!(printed.contains("[classifier]\nkind = \"linear\"\nl2 = 1.0\n"), "{printed}");
    let out = run(&[]);
    assert!(out.lines().any(|line| line.starts_with("margin ") && line.contains(" 28 ")), "{out}");
    assert!(
        place.out().join("weights/first.1.safetensors").exists() && !place.out().join("thumbnails").exists()
    );
    succeeded(place.vabal(&["report", "out", "--out", "page.html"]).output().unwrap());
    assert!(fs::read_to_string(place.path().join("page.html")).unwrap().contains("margin"));
}

#[test]
fn what_does_not_go_with_features_is_refused_before_any_work() {
    let place = Place::new();
    write(&place);
    for (set, parts) in [
        ("classifier.kind=network", ["the classifier does not fit the data", "classifier.kind"]),
        ("strategies=[vaal]", ["a strategy that needs images", "\"vaal\""]),
        ("data.path=nowhere.npz", ["nowhere.npz", "cannot read"]),
    ] {
        let error = refused(&place, &mut place.vabal(&["run", "rows.toml", "--out", "out", "--set", set]));
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    let error = refused(&place, &mut place.run(&["--set", "classifier.kind=linear"]));
    assert!(error.contains("classifier."), "{error}");
}

#[test]
fn a_run_on_features_of_a_pretrained_network_repeats_itself_and_computes_them_once() {
    let place = Place::new();
    let text = format!(
        "seeds = [1, 2]\nstrategies = [\"random\", \"bald\", \"vabal\"]\n[rounds]\ninitial = 12\nbudget = 8\ncount = 3\n\
         [data]\nkind = \"idx\"\npath = '{}'\n[classifier]\nkind = \"frozen\"\nsize = 32\ncomponents = 20\n[strategy.bald]\ndraws = 4\n",
        place.path().display()
    );
    fs::write(place.path().join("frozen.toml"), text).unwrap();
    let run = |out: &str, sets: &[&str]| {
        let mut command = place.vabal(&["run", "frozen.toml", "--quiet", "--out", out]);
        command.args(sets.iter().flat_map(|set| ["--set", set]));
        command
    };
    let rounds = |out: &str| {
        succeeded(
            place.vabal(&["report", out, "--out", &format!("{out}.html"), "--quiet"]).output().unwrap(),
        );
        let text = fs::read_to_string(place.path().join(format!("{out}-files/curves.csv"))).unwrap();
        assert!(text.lines().count() > 9, "{text}");
        text
    };
    succeeded(run("one", &[]).output().unwrap());
    let cache = place.path().join("data/features");
    let size =
        || fs::read_dir(&cache).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>();
    let filled = size();
    // A cache that was cut short, and fewer threads: the same picks.
    let file = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    succeeded(run("two", &[]).env("RAYON_NUM_THREADS", "1").output().unwrap());
    assert_eq!((rounds("one"), filled), (rounds("two"), size()));
    let error = refused(&place, &mut run("three", &["strategies=[vaal]"]));
    assert!(error.contains("frozen features") && error.contains("classifier.kind"), "{error}");
    let error = refused(&place, &mut run("three", &["classifier.backbone=resnet"]));
    assert!(error.contains("unknown backbone"), "{error}");
    let error = refused(&place, &mut run("three", &["classifier.kind=frosen"]));
    assert!(error.contains("\"frozen\""), "{error}");
}
