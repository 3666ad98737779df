//! A process that is killed while somebody answers.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::*;

const FOLDER: &str = "VABAL_TEST_PROJECT";

/// Not a test by itself: what is killed below. Says each answer only when it was taken.
#[test]
#[ignore = "the process that another test kills"]
fn answers_until_it_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let mut project = Project::open(Path::new(&folder)).unwrap();
    let start: i64 =
        project.connection.query_row("SELECT count(*) FROM answers", [], |row| row.get(0)).unwrap();
    for n in start.. {
        let image = n % 40 + 1;
        let token = format!("token {n}");
        if n % 5 == 4 {
            project.undo("ann", Some(&token)).unwrap();
        } else {
            project.answer(&one("ann", &token, image, Act::Label, Some(n as Label % 4))).unwrap();
        }
        project.next("ann", 3, &[]).unwrap();
        println!("taken {token}");
    }
}

#[test]
fn killed_at_any_moment_every_answer_that_was_taken_is_there() {
    let place = Place::new(40);
    drop(place.made(plain()));
    let mut taken = BTreeSet::new();
    for round in 1..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "project::tests::crash::answers_until_it_is_killed",
                "--ignored",
                "--nocapture",
            ])
            .env(FOLDER, place.project())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        while seen < 7 * round {
            let line = lines.next().unwrap().unwrap();
            if let Some((_, token)) = line.split_once("taken ") {
                taken.insert(token.to_string());
                seen += 1;
            }
        }
        child.kill().unwrap();
        // What it said before it died counts too.
        for line in lines.map_while(Result::ok) {
            // The last line may be cut off, but no further than its end.
            if let Some((_, token)) = line.split_once("taken ") {
                taken.insert(token.to_string());
            }
        }
        child.wait().unwrap();
        let project = place.open();
        check_kept(&project);
        let whole: String =
            project.connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(whole, "ok");
        for token in &taken {
            let there =
                project.connection.prepare("SELECT 1 FROM answers WHERE token LIKE ?1 || '/%'").unwrap();
            let mut there = there;
            assert!(there.exists([token]).unwrap(), "{token} was taken and is lost");
        }
    }
    assert!(taken.len() >= 100);
}
