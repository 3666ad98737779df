//! A labelling project, from its making to the page: whole commands.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use serde_json::{Value, json};
use vabal::project::{ImageId, Project};

use crate::support::{Place, refused, succeeded, text};

/// A colour BMP of 4 × 4 pixels that has the bytes of `n` in it.
fn bmp(n: u32) -> Vec<u8> {
    let mut bytes = b"BM".to_vec();
    for word in [102, 0, 54, 40, 4, 4, 1 | 24 << 16, 0, 48, 2835, 2835, 0, 0_u32] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(n.to_le_bytes().iter().copied().cycle().take(48));
    bytes
}

fn images(place: &Place, n: u32) {
    fs::create_dir_all(place.path().join("photos/deep")).unwrap();
    for image in 0..n {
        let room = if image % 2 == 0 { "photos" } else { "photos/deep" };
        fs::write(place.path().join(room).join(format!("{image:04}.bmp")), bmp(image)).unwrap();
    }
}

fn made(place: &Place, n: u32) {
    images(place, n);
    let args = ["init", "steel", "--images", "photos", "--classes", "crazing,patches", "--quiet"];
    succeeded(place.vabal(&args).output().unwrap());
}

#[test]
fn init_says_what_it_found_and_what_comes_next() {
    let place = Place::new();
    images(&place, 12);
    fs::write(place.path().join("photos/copy.bmp"), bmp(3)).unwrap();
    fs::write(place.path().join("photos/torn.bmp"), &bmp(3)[..60]).unwrap();
    fs::write(place.path().join("photos/notes.txt"), "no image").unwrap();
    let args = ["init", "steel", "--images", "photos", "--classes", "crazing,patches,scratches"];
    let output = place.vabal(&args).output().unwrap();
    let stderr = place.tidy(&text(&output.stderr));
    let stdout = place.tidy(&succeeded(output));
    insta::assert_snapshot!(format!("{stdout}\n## standard error\n{stderr}"));
}

#[test]
fn scanning_again_takes_in_what_is_new_and_finds_what_was_moved() {
    let place = Place::new();
    made(&place, 6);
    fs::rename(place.path().join("photos/0000.bmp"), place.path().join("photos/deep/first.bmp")).unwrap();
    fs::remove_file(place.path().join("photos/0002.bmp")).unwrap();
    fs::write(place.path().join("photos/new.bmp"), bmp(100)).unwrap();
    let all = succeeded(place.vabal(&["scan", "steel"]).output().unwrap());
    insta::assert_snapshot!(place.tidy(&all));
    fs::rename(place.path().join("photos"), place.path().join("elsewhere")).unwrap();
    succeeded(place.vabal(&["scan", "steel", "--images", "elsewhere", "--quiet"]).output().unwrap());
    assert_eq!(Project::open(&place.path().join("steel")).unwrap().counts().unwrap().images, 6);
}

#[test]
fn settings_are_shown_and_changed() {
    let place = Place::new();
    made(&place, 6);
    let mut all = String::new();
    let mut add = |args: &[&str]| {
        let output = place.vabal(args).output().unwrap();
        let stderr = place.tidy(&text(&output.stderr));
        all += &format!("## vabal {}\n{}{stderr}\n", args.join(" "), place.tidy(&text(&output.stdout)));
    };
    add(&["set", "steel"]);
    add(&["set", "steel", "strategy=margin", "size=32"]);
    add(&["set", "steel", "strategy=margin"]);
    add(&["set", "steel", "name=7", "hide_suggestions=true"]);
    add(&["set", "steel", "retrain_every=10", "--quiet"]);
    add(&["set", "steel", "--json"]);
    // Refused as a whole.
    add(&["set", "steel", "budget=7", "sise=32"]);
    add(&["set", "steel", "strategy"]);
    add(&["set", "steel", "size=four"]);
    add(&["set", "steel", "colour=green"]);
    add(&["set", "steel", "holdout=0.5"]);
    add(&["set", "steel", "images=elsewhere"]);
    add(&["set", "nowhere"]);
    insta::assert_snapshot!(all);
    let project = Project::open(&place.path().join("steel")).unwrap();
    assert_eq!((project.settings().unwrap().size, project.settings().unwrap().budget), (32, 100));
    // Every setting is shown, and none that there is not.
    let shown = succeeded(place.vabal(&["set", "steel"]).output().unwrap());
    let settings: Value = serde_json::to_value(project.settings().unwrap()).unwrap();
    let mut shown: Vec<&str> = shown.lines().filter_map(|line| line.split(' ').next()).collect();
    shown.sort_unstable();
    assert_eq!(shown, settings.as_object().unwrap().keys().collect::<Vec<_>>());
}

#[test]
fn projects_that_cannot_be_made_or_opened_are_one_error_each() {
    let place = Place::new();
    made(&place, 4);
    fs::create_dir(place.path().join("empty")).unwrap();
    let mut all = String::new();
    let mut add = |args: &[&str]| {
        all += &format!("## {}\n{}\n", args.join(" "), refused(&place, &mut place.vabal(args)));
    };
    add(&["init", "steel", "--images", "photos"]);
    add(&["init", "other", "--images", "nowhere"]);
    add(&["init", "none", "--images", "empty", "--quiet"]);
    add(&["init", "x", "--images", "photos", "--set", "retrain_evry=20"]);
    add(&["init", "x", "--images", "photos", "--set", "holdout"]);
    add(&["init", "x", "--images", "photos", "--set", "holdout=2"]);
    add(&["init", "x", "--images", "photos", "--classes", "a,b,a"]);
    add(&["scan", "nowhere"]);
    add(&["label", "photos"]);
    add(&["label", "steel", "--device", "gpu"]);
    insta::assert_snapshot!(all);
    assert!(!place.path().join("other").join("project.sqlite").exists());
}

/// `vabal label` on its way, and where its page is.
struct Running {
    child: Child,
    address: String,
    token: String,
    rest: mpsc::Receiver<String>,
}

impl Running {
    fn new(place: &Place) -> Self {
        Self::of(place.vabal(&["label", "steel", "--no-open", "--port", "0", "--person", "ann"]))
    }

    fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "it ended without an address");
            if let Some(address) = line.trim().strip_prefix("http://") {
                break address.to_owned();
            }
        };
        let (address, token) = address.split_once("/?token=").unwrap();
        let (address, token) = (format!("http://{address}"), token.to_owned());
        let (sender, rest) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = lines.read_to_string(&mut text);
            let _ = sender.send(text);
        });
        Self { child, address, token, rest }
    }

    fn get(&self, target: &str) -> Option<Value> {
        let request = ureq::get(format!("{}{target}", self.address));
        let mut response = request.header("Authorization", format!("Bearer {}", self.token)).call().ok()?;
        serde_json::from_str(&response.body_mut().read_to_string().ok()?).ok()
    }

    fn answer(&self, agent: &ureq::Agent, image: u64, class: u64) -> Option<Value> {
        let body = json!({ "person": "ann", "token": format!("t{image}"),
            "answers": [{ "image": image, "act": "label", "class": class }] });
        let request = agent.post(format!("{}/api/answers", self.address));
        let request = request.header("Authorization", format!("Bearer {}", self.token));
        let mut response = request.content_type("application/json").send(body.to_string()).ok()?;
        serde_json::from_str(&response.body_mut().read_to_string().ok()?).ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_answer_that_was_confirmed_is_there_after_a_kill() {
    let place = Place::new();
    made(&place, 400);
    let mut confirmed = HashMap::new();
    for kill in 1..=3 {
        let mut running = Running::new(&place);
        let agent = ureq::Agent::new_with_defaults();
        let first = confirmed.len() as u64 + 1;
        // The kill comes from another thread, at whatever moment that is.
        let pid = running.child.id();
        let (sender, receiver) = mpsc::channel::<()>();
        let killer = std::thread::spawn(move || {
            for _ in 0..40 * kill {
                if receiver.recv().is_err() {
                    break;
                }
            }
            let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
            assert!(killed.is_ok_and(|status| status.success()));
        });
        for image in first..=400 {
            let Some(_) = running.answer(&agent, image, image % 2) else { break };
            confirmed.insert(image, image % 2);
            let _ = sender.send(());
        }
        drop(sender);
        killer.join().unwrap();
        running.child.wait().unwrap();
        assert!(confirmed.len() >= 40);
        let project = Project::open(&place.path().join("steel")).unwrap();
        for (&image, &class) in &confirmed {
            let detail = project.detail(ImageId(image as i64)).unwrap().unwrap();
            assert_eq!(detail.image.class, Some(class as u32), "{image}");
        }
        let labelled = project.counts().unwrap().labelled;
        // One may be on the disk whose confirmation did not arrive.
        assert!((confirmed.len()..=confirmed.len() + kill).contains(&labelled), "{labelled}");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_the_page_in_good_order_and_says_what_is_kept() {
    let place = Place::new();
    made(&place, 8);
    let mut running = Running::new(&place);
    let project = running.get("/api/project").unwrap();
    assert_eq!((&project["counts"]["images"], &project["person"]), (&json!(8), &json!("ann")));
    running.answer(&ureq::Agent::new_with_defaults(), 1, 0).unwrap();
    assert!(ureq::get(format!("{}/api/project", running.address)).call().is_err());
    Command::new("kill").args(["-2", &running.child.id().to_string()]).status().unwrap();
    assert_eq!(running.child.wait().unwrap().code(), Some(0));
    let rest = running.rest.recv().unwrap();
    assert!(rest.contains("ended; 1 of 8 images labelled, all kept in steel"), "{rest}");
    assert!(rest.contains("Next: vabal label steel"), "{rest}");
    assert!(leftovers(place.path()).is_empty(), "{:?}", leftovers(place.path()));
}

/// Files that the page's opening leaves behind.
fn leftovers(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder.join("steel")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("open")).collect()
}

#[test]
fn a_port_that_is_taken_is_an_error_when_named_and_passed_over_when_not() {
    let place = Place::new();
    made(&place, 4);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let error = refused(&place, &mut place.vabal(&["label", "steel", "--no-open", "--port", &port]));
    assert!(error.contains("--port"), "{error}");
    let one = Running::of(place.vabal(&["label", "steel", "--no-open"]));
    let two = Running::of(place.vabal(&["label", "steel", "--no-open"]));
    assert_ne!(one.address, two.address);
    // The token stays with the project, so that a page which is open goes on after a restart.
    assert_eq!(one.token, two.token);
    assert!(one.get("/api/project").is_some() && two.get("/api/project").is_some());
}
