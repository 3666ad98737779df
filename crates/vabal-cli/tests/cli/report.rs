//! `vabal report`: of a finished run, of two data sets, of folders that hold no run.

use std::fs;
use std::path::Path;

use crate::support::{Place, refused, succeeded, text};

/// Every file below a folder, by its path there.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

/// The addresses that a page loads something from or leads to, its own parts and embedded data left
/// out.
fn addresses(page: &str) -> Vec<&str> {
    ["href=\"", "src=\"", "url(", "@import"]
        .iter()
        .flat_map(|mark| page.split(mark).skip(1))
        .map(|rest| rest.split(['"', ')', ';']).next().unwrap())
        .filter(|address| !address.starts_with('#') && !address.starts_with("data:"))
        .collect()
}

#[test]
fn a_finished_run_becomes_a_page_that_needs_nothing_and_tables_and_figures_beside_it() {
    let place = Place::new();
    succeeded(place.run(&["--quiet"]).output().unwrap());
    let said = succeeded(place.vabal(&["report", "out", "--out", "pages/tiny.html"]).output().unwrap());
    let page = fs::read_to_string(place.path().join("pages/tiny.html")).unwrap();
    for part in ["entropy", "vabal", "random", "Learning curves"] {
        assert!(page.contains(part), "{part} is not on the page");
    }
    assert_eq!(addresses(&page), Vec::<&str>::new());
    assert!(!page.contains("<script"));
    // Of what was asked first, pictures of the data, which the page holds itself.
    assert!(page.matches("data:image/png;base64,").count() >= 8);

    let folder = place.path().join("pages/tiny-files");
    let files = files(&folder);
    for name in ["results.csv", "rounds.csv", "picks.csv", "results.md", "accuracy.svg", "accuracy.png"] {
        assert!(files.iter().any(|file| file == name), "{name} is not in {files:?}");
    }
    assert!(files.iter().all(|file| !file.contains("part")), "{files:?}");
    assert!(said.contains("pages/tiny.html") && said.contains(&format!("{} tables", files.len())), "{said}");
    let rounds = fs::read_to_string(folder.join("rounds.csv")).unwrap();
    assert_eq!(rounds.lines().count(), 1 + 18, "3 strategies, 2 seeds, 3 rounds");
    let picks = fs::read_to_string(folder.join("picks.csv")).unwrap();
    assert_eq!(picks.lines().count(), 1 + 6 * 2 * 8, "6 runs ask 8 images twice");
}

#[test]
fn a_quiet_report_prints_nothing() {
    let place = Place::new();
    succeeded(place.run(&["--quiet", "--set", "strategies=[random]"]).output().unwrap());
    let output = place.vabal(&["report", "out", "--quiet"]).output().unwrap();
    assert_eq!((text(&output.stdout), text(&output.stderr)), (String::new(), String::new()));
    assert!(place.path().join("report.html").exists());
}

#[test]
fn the_same_run_gives_the_same_report_byte_for_byte() {
    let place = Place::new();
    succeeded(place.run(&["--quiet", "--set", "strategies=[random,entropy]"]).output().unwrap());
    for name in ["a", "b"] {
        let page = format!("{name}/page.html");
        succeeded(place.vabal(&["report", "out", "--out", &page]).output().unwrap());
    }
    let (a, b) = (place.path().join("a"), place.path().join("b"));
    assert_eq!(files(&a), files(&b));
    for file in files(&a) {
        assert!(fs::read(a.join(&file)).unwrap() == fs::read(b.join(&file)).unwrap(), "{file} differs");
    }
}

#[test]
fn two_data_sets_stand_side_by_side_and_seeds_of_one_are_joined() {
    let place = Place::new();
    let run = |out: &str, sets: &[&str]| {
        let mut args =
            vec!["run", "tiny.toml", "--quiet", "--out", out, "--set", "strategies=[random,entropy]"];
        args.extend(sets.iter().flat_map(|set| ["--set", set]));
        succeeded(place.vabal(&args).output().unwrap());
    };
    run("one", &["seeds=[1]"]);
    run("two", &["seeds=[2]"]);
    run(
        "rare",
        &["seeds=[1]", "data.imbalance.kind=rare", "data.imbalance.classes=[2]", "data.imbalance.keep=0.5"],
    );
    succeeded(place.vabal(&["report", "one", "two", "rare", "--out", "all.html"]).output().unwrap());
    let files = files(&place.path().join("all-files"));
    let folders: std::collections::BTreeSet<&str> =
        files.iter().filter_map(|file| Some(file.split_once('/')?.0)).collect();
    assert_eq!(folders.into_iter().collect::<Vec<_>>(), ["1-tiny", "2-tiny"]);
    let results = fs::read_to_string(place.path().join("all-files/results.csv")).unwrap();
    // A line ends … measure, figure, seeds, mean, …; the data set's name may hold commas.
    let line = |rare: bool| {
        results.lines().find(|line| line.contains("rare 2") == rare && line.contains(",random,")).unwrap()
    };
    let seeds = |line: &str| line.split(",average,").nth(1).unwrap().split(',').next().unwrap().to_owned();
    assert_eq!((seeds(line(false)), seeds(line(true))), ("2".into(), "1".into()));

    let twice = refused(&place, &mut place.vabal(&["report", "one", "one", "--out", "twice.html"]));
    assert!(twice.contains("duplicate run") && twice.contains("hint:"), "{twice}");
    assert!(!place.path().join("twice.html").exists());
}

#[test]
fn a_run_that_was_cut_short_is_reported_as_far_as_it_came() {
    let place = Place::new();
    // The first strategy needs no VAE; the second has one that cannot be trained.
    let lines =
        "strategies = [\"random\", \"wild\"]\n[strategy.wild]\nkind = \"vabal-paper\"\nlearning_rate = 1e300";
    place.configure(lines);
    refused(&place, &mut place.run(&["--quiet"]));
    succeeded(place.vabal(&["report", "out"]).output().unwrap());
    let page = fs::read_to_string(place.path().join("report.html")).unwrap();
    assert!(page.contains("Unfinished: "), "the page does not say so");
    assert!(place.path().join("report-files").is_dir());
}

#[test]
fn a_report_of_nothing_is_refused_and_writes_nothing() {
    let place = Place::new();
    fs::create_dir(place.path().join("empty")).unwrap();
    fs::write(place.path().join("file"), "").unwrap();
    fs::create_dir(place.path().join("foreign")).unwrap();
    fs::write(place.path().join("foreign/store.sqlite"), "no store at all, only text. ".repeat(50)).unwrap();
    for (folder, got) in [
        ("missing", "no such folder"),
        ("empty", "a folder without it"),
        ("file", "a file"),
        ("foreign", "no store of vabal"),
    ] {
        let error = refused(&place, &mut place.vabal(&["report", folder]));
        assert!(error.contains(folder) && error.contains(got) && error.contains("hint:"), "{error}");
    }
    assert!(!place.path().join("report.html").exists());
    let usage = place.vabal(&["report"]).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
    assert!(text(&usage.stderr).contains("<DIR>"));
}

#[test]
fn a_page_that_cannot_be_written_is_one_error() {
    let place = Place::new();
    succeeded(place.run(&["--quiet", "--set", "strategies=[random]"]).output().unwrap());
    fs::write(place.path().join("file"), "").unwrap();
    refused(&place, &mut place.vabal(&["report", "out", "--out", "file/page.html"]));
    assert_eq!(fs::read(place.path().join("file")).unwrap(), b"");

    let before = files(place.path());
    for (folder, file) in [(".", "report.html"), ("..", "../report.html"), ("out", "out/report.html")] {
        let error = refused(&place, &mut place.vabal(&["report", "out", "--out", folder]));
        assert!(error.contains("got: a folder") && error.contains(file), "{error}");
    }
    let error = refused(&place, &mut place.vabal(&["report", "out", "--files", "tiny.toml"]));
    assert!(error.contains("where: tiny.toml") && error.contains("--files"), "{error}");
    assert_eq!(files(place.path()), before);
}

#[test]
#[cfg(unix)]
fn a_full_disk_leaves_the_report_that_was_there_and_nothing_beside_it() {
    let place = Place::new();
    succeeded(place.run(&["--quiet", "--set", "strategies=[random]"]).output().unwrap());
    succeeded(place.vabal(&["report", "out"]).output().unwrap());
    let content = || -> Vec<(String, Vec<u8>)> {
        let all = files(place.path()).into_iter();
        all.map(|name| (name.clone(), fs::read(place.path().join(name)).unwrap())).collect()
    };
    let before = content();
    succeeded(place.vabal(&["run", "tiny.toml", "--out", "more", "--quiet"]).output().unwrap());
    // Blocks of 512 bytes: the tables fit, then the largest figures do not, then the page alone
    // does not.
    let page = fs::metadata(place.path().join("report.html")).unwrap().len() / 512;
    for blocks in [8, 60, page - 1] {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" report more");
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_vabal")]).current_dir(place.path());
        refused(&place, &mut shell);
        let now: Vec<_> = content().into_iter().filter(|(name, _)| !name.starts_with("more/")).collect();
        assert!(now == before, "{blocks} blocks");
    }
    succeeded(place.vabal(&["report", "more"]).output().unwrap());
    assert!(content() != before);
}
