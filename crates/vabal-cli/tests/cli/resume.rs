//! Runs that are killed, stopped, or out of space, and go on as if they had not been.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use vabal::experiment::record::RunRecord;

use crate::support::{Place, refused, succeeded, text};

/// What must be the same bit for bit: everything but the time.
fn results(folder: &Path) -> Vec<RunRecord> {
    let (_, mut runs) = vabal::experiment::read(folder).unwrap();
    for round in runs.iter_mut().flat_map(|run| &mut run.rounds) {
        round.phases.clear();
    }
    runs
}

/// Starts a run and ends it with `end` when it has printed `lines` lines of JSON. False where it
/// was faster.
fn cut_short(place: &Place, args: &[&str], lines: usize, end: impl FnOnce(u32)) -> Option<i32> {
    let mut child = place
        .run(&[&["--json"], args].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    for _ in 0..lines {
        line.clear();
        reader.read_line(&mut line).unwrap();
    }
    end(child.id());
    // Read on, so that the child never waits for a full pipe.
    std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
    child.wait().unwrap().code()
}

fn signal(name: &'static str) -> impl FnOnce(u32) {
    move |pid| assert!(Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap().success())
}

#[test]
fn the_same_seed_gives_the_same_picks_in_another_process_and_another_seed_does_not() {
    let (one, two) = (Place::new(), Place::new());
    succeeded(one.run(&[]).output().unwrap());
    succeeded(two.run(&[]).env("RAYON_NUM_THREADS", "1").output().unwrap());
    let (one, two) = (results(&one.out()), results(&two.out()));
    assert_eq!(one, two);
    assert_ne!(one[0].rounds[0].picks, one[3].rounds[0].picks);
}

#[test]
#[cfg(unix)]
fn killed_at_any_moment_a_run_ends_with_the_same_picks_and_metrics() {
    let whole = Place::new();
    let lines = succeeded(whole.run(&["--json"]).output().unwrap()).lines().count();
    let expected = results(&whole.out());
    let mut cut = 0;
    for part in 0..6 {
        let place = Place::new();
        let code = cut_short(&place, &[], 1 + part * lines / 6, signal("KILL"));
        cut += usize::from(code.is_none());
        succeeded(place.run(&[]).output().unwrap());
        assert_eq!(results(&place.out()), expected, "killed after {part} sixths");
    }
    assert!(cut >= 4, "only {cut} runs were killed in time");
}

#[test]
#[cfg(unix)]
fn posterior_draws_and_a_committee_are_the_same_after_a_kill() {
    let args = ["--set", "strategies=[bald,ensemble-vote-entropy]", "--set", "seeds=[1]"];
    let whole = Place::new();
    let lines = succeeded(whole.run(&[&["--json"], &args[..]].concat()).output().unwrap()).lines().count();
    let expected = results(&whole.out());
    assert_eq!(expected.len(), 2);
    let mut cut = 0;
    for part in 1..5 {
        let place = Place::new();
        let code = cut_short(&place, &args, part * lines / 5, signal("KILL"));
        cut += usize::from(code.is_none());
        succeeded(place.run(&args).output().unwrap());
        assert_eq!(results(&place.out()), expected, "killed after {part} fifths");
    }
    assert!(cut >= 3, "only {cut} runs were killed in time");
}

#[test]
#[cfg(unix)]
fn killed_again_and_again_it_still_gets_there() {
    let whole = Place::new();
    succeeded(whole.run(&[]).output().unwrap());
    let place = Place::new();
    for _ in 0..4 {
        cut_short(&place, &[], 30, signal("KILL"));
    }
    succeeded(place.run(&[]).output().unwrap());
    assert_eq!(results(&place.out()), results(&whole.out()));
}

#[test]
#[cfg(unix)]
fn ctrl_c_exits_130_says_that_the_work_is_kept_and_the_same_command_goes_on() {
    let whole = Place::new();
    succeeded(whole.run(&[]).output().unwrap());
    let place = Place::new();
    let mut child = place.run(&["--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    while !line.contains("\"round\"") {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "no round was finished");
    }
    signal("INT")(child.id());
    std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("the same command goes on"), "{stderr}");
    succeeded(place.run(&[]).output().unwrap());
    assert_eq!(results(&place.out()), results(&whole.out()));
}

#[test]
#[cfg(unix)]
fn a_full_disk_is_an_error_that_loses_nothing() {
    let whole = Place::new();
    succeeded(whole.run(&[]).output().unwrap());
    let place = Place::new();
    // Blocks of 512 bytes: each limit is met by another write. Ignoring XFSZ makes writes fail
    // instead of killing, as they do on a full disk.
    let limited = |blocks: u32| {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let run = place.run(&[]);
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).arg(run.get_program()).args(run.get_args());
        shell.current_dir(place.path()).env("VABAL_DATA", place.path().join("data"));
        shell
    };
    for blocks in [1, 40, 100, 200] {
        let stderr = refused(&place, &mut limited(blocks));
        assert!(stderr.contains("hint:"), "{stderr}");
    }
    succeeded(place.run(&[]).output().unwrap());
    assert_eq!(results(&place.out()), results(&whole.out()));
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_left_alone() {
    let place = Place::new();
    succeeded(place.run(&["--set", "strategies=[random]"]).output().unwrap());
    let store = place.out().join("store.sqlite");
    let mut bytes = fs::read(&store).unwrap();
    // `user_version` is the big-endian number at byte 60 of an SQLite file.
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    fs::write(&store, &bytes).unwrap();
    insta::assert_snapshot!(refused(&place, &mut place.run(&["--set", "strategies=[random]"])));
    assert_eq!(fs::read(&store).unwrap(), bytes);
}

#[test]
#[cfg(unix)]
fn two_processes_never_share_a_folder() {
    let place = Place::new();
    let mut first = place
        .run(&["--json", "--set", "classifier.epochs=2000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(first.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let error = refused(&place, &mut place.run(&["--set", "classifier.epochs=2000"]));
    first.kill().unwrap();
    first.wait().unwrap();
    insta::assert_snapshot!(error);
}
