//! Training in the background, with something in the place of a network.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use serde_json::{Value, json};
use vabal::{Error, Event};

use crate::client::Client;
use crate::support::{Place, idle};

fn label(client: &mut Client, images: std::ops::Range<u64>) -> Value {
    let answers: Vec<Value> =
        images.clone().map(|image| json!({ "image": image, "act": "label", "class": image % 2 })).collect();
    let body = json!({ "person": "ann", "token": format!("{images:?}"), "answers": answers });
    client.post("/api/answers", &body).fine()
}

fn wait(client: &mut Client, state: &str) -> Value {
    loop {
        let training = client.get("/api/pulse?since=0").fine()["training"].clone();
        if training["state"] == state {
            return training;
        }
        assert_ne!(training["state"], "failed", "{training}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn it_begins_by_itself_when_enough_is_labelled_and_the_page_goes_on_meanwhile() {
    let place = Place::new(40, &json!({ "first": 10, "retrain_every": 5, "holdout": 0.0 }));
    let (rounds, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(2)));
    let mut work = idle();
    let (counted, waited) = (Arc::clone(&rounds), Arc::clone(&gate));
    work.learn = Arc::new(move |project, progress| {
        counted.fetch_add(1, Ordering::SeqCst);
        let labels = project.training_set()?.0.len();
        let round = project.begin_round("vabal", labels, 1)?;
        let event = Event::Progress { phase: "train", done: 1, total: 2, unit: "step", loss: None };
        vabal::progress::report(progress, event)?;
        waited.wait();
        let summary = vabal::project::Summary { classes: vec![0, 1], ..Default::default() };
        project.finish_round(round, &summary, &[], [], [])
    });
    let server = place.serve_with(work);
    let mut client = server.client();
    let error = client.post("/api/train", &json!({})).error(409);
    assert!(error["expected"].as_str().unwrap().contains("2 classes with 2 labels each"), "{error}");
    assert!(client.get("/api/pulse").fine()["training"]["needs"].is_string());
    label(&mut client, 1..10);
    assert!(wait(&mut client, "idle")["needs"].is_null());
    assert_eq!(label(&mut client, 10..11)["labels_until_training"], 0);
    let mut training = wait(&mut client, "running");
    // From then on it is known what it is trained on.
    while training["phase"] != "train" {
        training = wait(&mut client, "running");
    }
    assert!(training["total"] == 2 && training["error"].is_null());
    client.post("/api/train", &json!({})).error(409);
    label(&mut client, 11..16);
    assert_eq!(rounds.load(Ordering::SeqCst), 1);
    gate.wait();
    // Five more labels than it was trained on are there already: the second begins without a
    // further answer.
    while rounds.load(Ordering::SeqCst) < 2 {
        std::thread::sleep(Duration::from_millis(2));
    }
    gate.wait();
    wait(&mut client, "idle");
    assert_eq!(client.get("/api/pulse").fine()["round"], 2);
}

#[test]
fn a_failure_is_said_and_is_not_tried_again_at_every_answer() {
    let place = Place::new(40, &json!({ "first": 12, "retrain_every": 10, "holdout": 0.0 }));
    let tries = Arc::new(AtomicUsize::new(0));
    let mut work = idle();
    let counted = Arc::clone(&tries);
    work.learn = Arc::new(move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        Err(Error::input("the network did not learn").hint("label more").into())
    });
    let server = place.serve_with(work);
    let mut client = server.client();
    label(&mut client, 1..13);
    assert!(wait(&mut client, "failed")["error"].as_str().unwrap().contains("did not learn"));
    for image in 13..18 {
        label(&mut client, image..image + 1);
    }
    assert_eq!(tries.load(Ordering::SeqCst), 1);
    client.post("/api/train", &json!({})).fine();
    while tries.load(Ordering::SeqCst) < 2 {
        std::thread::sleep(Duration::from_millis(2));
    }
    wait(&mut client, "failed");
    assert_eq!(tries.load(Ordering::SeqCst), 2);
}

#[test]
fn it_is_stopped_by_the_page_and_by_the_end_of_the_server() {
    let place = Place::new(20, &json!({ "first": 12, "holdout": 0.0 }));
    let mut work = idle();
    work.learn = Arc::new(|_, progress| {
        loop {
            vabal::progress::report(progress, Event::Note("on and on"))?;
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let mut server = place.serve_with(work);
    let mut client = server.client();
    label(&mut client, 1..13);
    wait(&mut client, "running");
    client.post("/api/train/stop", &json!({})).fine();
    wait(&mut client, "idle");
    client.post("/api/train", &json!({})).fine();
    wait(&mut client, "running");
    server.end();
}

#[test]
fn a_panic_anywhere_is_an_answer() {
    let place = Place::new(4, &json!({}));
    let mut work = idle();
    work.status = Arc::new(|_| panic!("on purpose"));
    let server = place.serve_with(work);
    let mut client = server.client();
    for _ in 0..3 {
        let error = client.get("/api/status").error(500);
        assert!(!error.to_string().contains("on purpose"));
    }
    client.get("/api/project").fine();
}
