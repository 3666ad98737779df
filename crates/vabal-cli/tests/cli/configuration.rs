//! Configurations, folders and devices that are refused, and what is printed before anything runs.

use std::fs;

use crate::support::{Place, refused, succeeded, text};

#[test]
fn every_refusal_is_one_error_that_says_what_where_expected_got() {
    let place = Place::new();
    let mut all = String::new();
    let mut add = |name: &str, args: &[&str]| {
        all += &format!("## {name}\n{}\n", refused(&place, &mut place.vabal(args)));
    };
    fs::write(place.path().join("unknown-key.toml"), "[classifier]\nepoch = 3\n").unwrap();
    fs::write(place.path().join("wrong-type.toml"), "seeds = 1\n").unwrap();
    fs::write(place.path().join("out-of-range.toml"), "[rounds]\nbudget = 0\n").unwrap();
    fs::write(place.path().join("no-toml.toml"), "name = \"a\"\nseeds [1]\n").unwrap();
    fs::write(place.path().join("no-text.toml"), b"name = \"\xff\"\n").unwrap();
    fs::write(place.path().join("file"), "").unwrap();
    add("a missing configuration", &["run", "missing.toml"]);
    add("a configuration that is not UTF-8", &["run", "no-text.toml"]);
    add("no TOML", &["run", "no-toml.toml"]);
    add("an unknown key", &["run", "unknown-key.toml"]);
    add("a wrong type", &["run", "wrong-type.toml"]);
    add("out of range", &["run", "out-of-range.toml"]);
    add("an unknown key in --set", &["run", "tiny.toml", "--set", "rounds.budgets=1"]);
    add("a wrong type in --set", &["run", "tiny.toml", "--set", "classifier.width=wide"]);
    add("out of range in --set", &["run", "tiny.toml", "--set", "classifier.dropout=1.5"]);
    add("an unknown strategy", &["run", "tiny.toml", "--set", "strategies=[entrpy]"]);
    add("a table for a built-in strategy", &["run", "tiny.toml", "--set", "strategy.random.kind=vabal"]);
    add("a wrong value", &["run", "tiny.toml", "--set", "classifier.epochs=-1"]);
    add("--set without a value", &["run", "tiny.toml", "--set", "rounds.budget"]);
    add("an unknown device", &["run", "tiny.toml", "--device", "gpu"]);
    add("a folder that is a file", &["run", "tiny.toml", "--out", "file"]);
    add("a folder below a file", &["run", "tiny.toml", "--out", "file/out"]);
    add("missing data", &["run", "tiny.toml", "--out", "o1", "--set", "data.path=nowhere"]);
    add(
        "a pool smaller than the first budget",
        &["run", "tiny.toml", "--out", "o2", "--set", "rounds.initial=91"],
    );
    insta::assert_snapshot!(all);
}

#[test]
fn a_device_that_is_not_there_is_an_error_before_any_work() {
    let place = Place::new();
    // A folder without PyTorch, whatever this machine has.
    for device in ["cuda", "cuda:1", "torch-cpu"] {
        let mut command = place.run(&["--device", device]);
        let error = refused(&place, command.env("VABAL_LIBTORCH", place.out()));
        assert!(error.starts_with("error: PyTorch is not found\n"), "{error}");
    }
    assert!(!place.out().exists());
}

#[test]
#[cfg(target_os = "linux")]
fn an_output_folder_that_cannot_be_written_is_an_error_before_any_work() {
    let place = Place::new();
    // Not even root makes a folder there.
    let error = refused(&place, &mut place.vabal(&["run", "tiny.toml", "--out", "/proc/vabal"]));
    assert!(error.starts_with("error: cannot create /proc/vabal\n  got: "), "{error}");
    let mut report = place.vabal(&["report", "out", "--out", "/proc/vabal/page.html"]);
    succeeded(place.run(&["--quiet", "--set", "strategies=[random]"]).output().unwrap());
    let error = refused(&place, &mut report);
    assert!(error.starts_with("error: cannot create /proc/vabal"), "{error}");
}

#[test]
fn a_training_that_diverges_names_step_and_rate_and_its_hint_leads_on() {
    let place = Place::new();
    let args = ["--set", "strategies=[random]", "--set", "classifier.learning_rate=1e30"];
    let error = refused(&place, &mut place.run(&args));
    let (first, rest) = error.split_once('\n').unwrap();
    assert!(
        ["NaN", "inf"].iter().any(
            |loss| first == format!("error: training diverged: the loss of the classifier became {loss}")
        ),
        "{error}"
    );
    assert!(rest.contains("where: step ") && rest.contains("learning rate 1000000000000"), "{error}");
    assert!(rest.contains("hint: lower the learning rate") && rest.contains("another --out"), "{error}");
    // As the hint says: with another rate the folder is refused, another folder is not.
    let lower = ["--set", "strategies=[random]", "--set", "classifier.learning_rate=0.01"];
    let error = refused(&place, &mut place.run(&lower));
    assert!(error.contains("classifier.learning_rate") && error.contains("--out"), "{error}");
    let mut other = place.vabal(&["run", "tiny.toml", "--out", "other", "--quiet"]);
    succeeded(other.args(lower).output().unwrap());
}

#[test]
fn a_folder_of_another_configuration_is_named_by_the_first_key_that_differs() {
    let place = Place::new();
    succeeded(place.run(&["--set", "strategies=[random]"]).output().unwrap());
    let error =
        refused(&place, &mut place.run(&["--set", "strategies=[random]", "--set", "rounds.budget=9"]));
    insta::assert_snapshot!(error);
}

#[test]
fn the_printed_configuration_gives_itself_when_read_again() {
    let place = Place::new();
    let print = |file: &str| succeeded(place.vabal(&["run", file, "--print-config"]).output().unwrap());
    let first = print("tiny.toml");
    fs::write(place.path().join("again.toml"), &first).unwrap();
    assert_eq!(print("again.toml"), first);
    assert!(first.contains("[strategy.vabal]") && !place.out().exists());
    assert!(!place.path().join("runs").exists());
}

#[test]
fn plain_output_holds_counts_rounds_and_results_and_no_control_codes() {
    let place = Place::new();
    let output = place.run(&[]).output().unwrap();
    let stderr = text(&output.stderr);
    let stdout = succeeded(output);
    assert!(!stdout.contains('\u{1b}') && !stderr.contains('\u{1b}'), "{stdout}{stderr}");
    let counts: Vec<&str> = stdout.lines().filter(|line| line.ends_with("rare")).collect();
    assert_eq!(counts.len(), 2, "{stdout}");
    let rows = stdout.lines().filter(|line| line.starts_with("entropy ") && line.contains(" 28 ")).count();
    assert_eq!(rows, 2, "{stdout}");
    assert!(stdout.contains("final against random"), "{stdout}");
    assert!(stdout.contains("vabal report out"), "{stdout}");
}

#[test]
fn quiet_prints_nothing() {
    let place = Place::new();
    let output = place.run(&["--quiet", "--set", "strategies=[random]"]).output().unwrap();
    assert_eq!((text(&output.stdout), text(&output.stderr)), (String::new(), String::new()));
}

#[test]
fn json_is_one_object_a_line_from_begun_to_finished() {
    let place = Place::new();
    let stdout = succeeded(place.run(&["--json"]).output().unwrap());
    let events: Vec<serde_json::Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!((count("begun"), count("round"), count("finished")), (1, 18, 1));
    assert!(count("progress") >= 18 && count("result") == 36);
    let round = events.iter().find(|event| event["event"] == "round").unwrap();
    assert_eq!((round["labels"].as_u64(), round["round"].as_u64()), (Some(12), Some(1)));
    assert!(round["accuracy"].is_f64() && round["recall"].is_array());
    assert_eq!(events.last().unwrap()["event"], "finished");
}

#[test]
fn a_finished_run_says_so_and_shows_its_results_again() {
    let place = Place::new();
    let first = succeeded(place.run(&[]).output().unwrap());
    let again = succeeded(place.run(&[]).output().unwrap());
    assert!(again.contains("complete already"), "{again}");
    let table = |text: &str| text[text.find("\naccuracy in %").unwrap()..].to_string();
    assert_eq!(table(&again), table(&first));
}

#[test]
fn every_experiment_of_the_repository_resolves() {
    let place = Place::new();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let path = path.to_str().unwrap();
            let print =
                |file: &str| succeeded(place.vabal(&["run", file, "--print-config"]).output().unwrap());
            let printed = print(path);
            // Random choice alone has no settings.
            let settings = printed.contains("[strategy.") || printed.contains(r#"strategies = ["random"]"#);
            assert!(settings && printed.contains("[classifier]"), "{path}");
            let again = place.path().join("again.toml");
            fs::write(&again, &printed).unwrap();
            assert_eq!(print(again.to_str().unwrap()), printed, "{path}");
            count += 1;
        }
    }
    assert!(count >= 10, "{count}");
}
