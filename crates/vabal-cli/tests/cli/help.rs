//! What `--help` says.

use crate::support::{Place, succeeded};

fn help(args: &[&str]) -> String {
    succeeded(Place::new().vabal(args).output().unwrap())
}

#[test]
fn the_program_says_what_it_does() {
    insta::assert_snapshot!(help(&["--help"]));
}

#[test]
fn run_says_what_it_does() {
    insta::assert_snapshot!(help(&["run", "--help"]));
}

#[test]
fn demo_says_what_it_does() {
    insta::assert_snapshot!(help(&["demo", "--help"]));
}

#[test]
fn fetch_says_what_it_does() {
    insta::assert_snapshot!(help(&["fetch", "--help"]));
}

#[test]
fn rank_says_what_it_does() {
    insta::assert_snapshot!(help(&["rank", "--help"]));
}

#[test]
fn init_says_what_it_does() {
    insta::assert_snapshot!(help(&["init", "--help"]));
}

#[test]
fn scan_says_what_it_does() {
    insta::assert_snapshot!(help(&["scan", "--help"]));
}

#[test]
fn set_says_what_it_does() {
    insta::assert_snapshot!(help(&["set", "--help"]));
}

#[test]
fn label_says_what_it_does() {
    insta::assert_snapshot!(help(&["label", "--help"]));
}

#[test]
fn import_says_what_it_does() {
    insta::assert_snapshot!(help(&["import", "--help"]));
}

#[test]
fn export_says_what_it_does() {
    insta::assert_snapshot!(help(&["export", "--help"]));
}

#[test]
fn report_says_what_it_does() {
    insta::assert_snapshot!(help(&["report", "--help"]));
}

#[test]
fn the_help_of_every_command_has_an_example() {
    let commands = help(&["--help"]);
    let list = commands.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let names: Vec<&str> = list
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(names.len() >= 3, "{names:?}");
    for name in names {
        let text = help(&[name, "--help"]);
        assert!(text.contains("Example") && text.contains(&format!("vabal {name}")), "{text}");
    }
}

#[test]
fn train_says_what_it_does() {
    insta::assert_snapshot!(help(&["train", "--help"]));
}

#[test]
fn query_says_what_it_does() {
    insta::assert_snapshot!(help(&["query", "--help"]));
}

#[test]
fn status_says_what_it_does() {
    insta::assert_snapshot!(help(&["status", "--help"]));
}

#[test]
fn predict_says_what_it_does() {
    insta::assert_snapshot!(help(&["predict", "--help"]));
}
