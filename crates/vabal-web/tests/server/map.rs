//! The map as the page gets it, and images that are chosen on it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use vabal::Event;
use vabal::project::ImageId;
use vabal::project::map::{Map, Stand};
use vabal_web::Work;

use crate::support::{Place, idle};

#[test]
fn a_map_is_made_on_request_and_its_failure_is_told() {
    let place = Place::new(3, &json!({}));
    let work = Work {
        make_map: Arc::new(|_, _| Err(vabal::Error::input("no room for a map").hint("make some").into())),
        ..idle()
    };
    let server = place.serve_with(work);
    let mut client = server.client();
    assert_eq!(client.get("/api/map").fine()["state"], "wanted");
    assert_eq!(client.post("/api/map", &json!({})).fine()["started"], true);
    let mut shown = client.get("/api/map").fine();
    while shown["state"] == "running" {
        std::thread::sleep(Duration::from_millis(5));
        shown = client.get("/api/map").fine();
    }
    assert_eq!(shown["state"], "failed");
    assert!(shown["work"]["error"].as_str().unwrap().contains("no room"), "{shown}");
    client.get("/api/map/points?map=0123").error(404);
    client.get("/api/map/colours").error(404);
}

#[test]
fn why_there_can_be_none_is_told() {
    let place = Place::new(3, &json!({}));
    let work = Work { map: Arc::new(|_| Ok(Stand::Impossible("nothing to see".into()))), ..idle() };
    let server = place.serve_with(work);
    let mut client = server.client();
    let shown = client.get("/api/map").fine();
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("impossible"), &json!("nothing to see")));
    assert_eq!(client.post("/api/map", &json!({})).fine()["started"], false);
}

#[test]
fn points_have_a_tag_and_are_not_sent_twice() {
    let place = Place::new(3, &json!({ "holdout": 0.0 }));
    let folder = place.project();
    let places = [(1, [0, 0]), (2, [65535, 7]), (3, [9, 9])];
    let map = Map::of_places([5; 32], places.map(|(image, at)| (ImageId(image), at)));
    map.keep(&folder).unwrap();
    let same = map.clone();
    let work = Work { map: Arc::new(move |_| Ok(Stand::Ready(same.clone()))), ..idle() };
    let server = place.serve_with(work);
    let mut client = server.client();
    let shown = client.get("/api/map").fine();
    assert_eq!((&shown["state"], &shown["images"]), (&json!("ready"), &json!(3)));
    let tag = shown["map"].as_str().unwrap().to_owned();
    let points = client.get(&format!("/api/map/points?map={tag}"));
    assert_eq!(points.status, 200);
    assert_eq!(points.header("etag"), Some(&*format!("\"{tag}\"")));
    assert_eq!(points.body, map.bytes());
    let (bearer, known) = (format!("Bearer {}", client.token), format!("\"{tag}\""));
    let headers = [("Authorization", &*bearer), ("If-None-Match", &*known)];
    let again = client.ask("GET", &format!("/api/map/points?map={tag}"), &headers, b"");
    assert_eq!((again.status, again.body.len()), (304, 0));
    let colours = client.get(&format!("/api/map/colours?map={tag}"));
    assert_eq!((colours.status, colours.body.len()), (200, 12 + 6 * 3));
    let changes = client.get("/api/map/changes?since=0").fine();
    assert_eq!(changes, json!({ "answer": 0, "images": [] }));
}

#[test]
fn images_that_were_chosen_are_listed_with_any_filter() {
    let place = Place::new(8, &json!({ "holdout": 0.0 }));
    let server = place.serve();
    let mut client = server.client();
    let chosen = client.post("/api/selections", &json!({ "images": [7, 2, 5, 2, 999] })).fine();
    assert_eq!(chosen["images"], 4);
    let name = chosen["selection"].as_str().unwrap().to_owned();
    let list = |client: &mut crate::client::Client, more: &str| -> Vec<u64> {
        let page = client.get(&format!("/api/images?among={name}{more}")).fine();
        page["images"].as_array().unwrap().iter().map(|image| image["id"].as_u64().unwrap()).collect()
    };
    assert_eq!(list(&mut client, ""), [2, 5, 7]);
    assert_eq!(client.get(&format!("/api/images?among={name}&limit=1")).fine()["total"], 3);
    let answer = json!({ "image": 5, "act": "label", "class": 1 });
    client.post("/api/answers", &json!({ "person": "ann", "token": "t", "answers": [answer] })).fine();
    assert_eq!(list(&mut client, "&state=open"), [2, 7]);
    assert_eq!(list(&mut client, "&state=labelled"), [5]);
    client.get("/api/images?among=nosuch").error(410);
    // A hundred thousand at once.
    let many: Vec<u64> = (1..=100_000).collect();
    assert_eq!(client.post("/api/selections", &json!({ "images": many })).fine()["images"], 100_000);
    client.post("/api/selections", &json!({ "images": ["x"] })).error(400);
}

#[test]
fn a_map_that_is_being_made_shows_how_far_it_is_and_ends_with_the_server() {
    let place = Place::new(3, &json!({}));
    let make: Arc<vabal_web::Learn> = Arc::new(|_, progress| {
        loop {
            let event = Event::Progress { phase: "layout", done: 2, total: 9, unit: "step", loss: None };
            vabal::progress::report(progress, event)?;
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let mut server = place.serve_with(Work { make_map: make, ..idle() });
    let mut client = server.client();
    client.post("/api/map", &json!({})).fine();
    let mut shown = client.get("/api/map").fine();
    while shown["work"]["phase"] != "layout" {
        std::thread::sleep(Duration::from_millis(1));
        shown = client.get("/api/map").fine();
    }
    assert_eq!((&shown["state"], &shown["work"]["done"]), (&json!("running"), &json!(2)));
    // One at a time.
    assert_eq!(client.post("/api/map", &json!({})).fine()["started"], false);
    server.end();
}
