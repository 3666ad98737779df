//! The acts of the page: questions, answers, undo, classes, lists.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::client::Client;
use crate::support::{Place, bmp};

fn next(client: &mut Client, person: &str, n: usize) -> Vec<u64> {
    let reply = client.get(&format!("/api/next?person={person}&n={n}")).fine();
    reply["questions"].as_array().unwrap().iter().map(|image| image["id"].as_u64().unwrap()).collect()
}

fn label(client: &mut Client, person: &str, token: &str, image: u64, class: u64) -> Value {
    let answer = json!({ "image": image, "act": "label", "class": class, "seconds": 1.5 });
    client.post("/api/answers", &json!({ "person": person, "token": token, "answers": [answer] })).fine()
}

#[test]
fn a_project_is_shown_with_its_classes_settings_and_counts() {
    let place = Place::new(5, &json!({ "name": "steel" }));
    let server = place.serve();
    let project = server.client().get("/api/project").fine();
    assert_eq!(project["name"], "steel");
    assert_eq!(project["counts"]["images"], 5);
    assert_eq!(project["counts"]["open"], 5);
    assert_eq!(project["classes"][0]["name"], "crazing");
    assert_eq!(project["classes"][0]["key"], "Digit1");
    assert_eq!(project["settings"]["strategy"], "vabal");
    for key in ["images", "round", "people"] {
        assert!(project.as_object().unwrap().contains_key(key), "{key}");
    }
}

#[test]
fn a_label_is_counted_kept_over_a_restart_and_taken_back_after_it() {
    let place = Place::new(8, &json!({ "holdout": 0.0 }));
    let mut server = place.serve();
    let mut client = server.client();
    let asked = next(&mut client, "ann", 3);
    assert_eq!(asked.len(), 3);
    let reply = label(&mut client, "ann", "t1", asked[0], 1);
    assert_eq!(reply["images"], json!([{ "id": asked[0], "state": "labelled", "class": 1 }]));
    assert_eq!(reply["counts"]["labelled"], 1);
    assert_eq!(reply["labels_until_training"], 9);
    assert_eq!(reply["classes"][1], json!({ "id": 1, "labels": 1 }));
    server.end();

    let server = place.serve();
    let mut client = server.client();
    let detail = client.get(&format!("/api/images/{}", asked[0])).fine();
    assert_eq!(detail["image"]["class"], 1);
    assert_eq!(detail["history"][0]["person"], "ann");
    let undone = client.post("/api/undo", &json!({ "person": "ann" })).fine();
    assert_eq!((&undone["act"], &undone["images"][0]["id"]), (&json!("label"), &json!(asked[0])));
    assert_eq!(undone["images"][0]["state"], "open");
    assert_eq!(undone["counts"]["labelled"], 0);
    client.post("/api/undo", &json!({ "person": "ann" })).error(404);
    // Its own again, at once.
    assert_eq!(next(&mut client, "ann", 3).iter().collect::<HashSet<_>>(), asked.iter().collect());
}

#[test]
fn what_is_sent_again_is_answered_again_and_counts_once() {
    let place = Place::new(4, &json!({}));
    let server = place.serve();
    let mut client = server.client();
    let image = next(&mut client, "ann", 1)[0];
    let first = label(&mut client, "ann", "once", image, 2);
    assert_eq!(label(&mut server.client(), "ann", "once", image, 2), first);
    let detail = client.get(&format!("/api/images/{image}")).fine();
    assert_eq!(detail["history"].as_array().unwrap().len(), 1);
    let undo = json!({ "person": "ann", "token": "back" });
    let first = client.post("/api/undo", &undo).fine();
    assert_eq!(client.post("/api/undo", &undo).fine(), first);
}

#[test]
fn two_persons_get_different_images_and_their_disagreement_is_kept() {
    let place = Place::new(30, &json!({}));
    let server = place.serve();
    let (mut ann, mut bob) = (server.client(), server.client());
    let (a, b) = (next(&mut ann, "ann", 12), next(&mut bob, "bob", 12));
    assert!(a.len() == 12 && b.len() == 12 && a.iter().all(|image| !b.contains(image)));
    label(&mut ann, "ann", "a", a[0], 0);
    let reply = label(&mut bob, "bob", "b", a[0], 1);
    assert_eq!(reply["images"][0]["state"], "conflict");
    let review = ann.get("/api/review?kind=conflict").fine();
    assert_eq!((review["total"].as_u64(), &review["images"][0]["id"]), (Some(1), &json!(a[0])));
    assert_eq!(review["images"][0]["answers"].as_array().unwrap().len(), 2);
    let settle = json!({ "person": "ann", "token": "r", "source": "review",
        "answers": [{ "image": a[0], "act": "label", "class": 1 }] });
    assert_eq!(ann.post("/api/answers", &settle).fine()["images"][0]["class"], 1);
}

#[test]
fn a_gesture_over_many_images_is_taken_back_as_one() {
    let place = Place::new(9, &json!({}));
    let server = place.serve();
    let mut client = server.client();
    let answers: Vec<Value> =
        (1..=9).map(|image| json!({ "image": image, "act": "label", "class": 0 })).collect();
    let body = json!({ "person": "ann", "token": "grid", "answers": answers });
    assert_eq!(client.post("/api/answers", &body).fine()["counts"]["labelled"], 9);
    let undone = client.post("/api/undo", &json!({ "person": "ann" })).fine();
    assert_eq!((undone["images"].as_array().unwrap().len(), &undone["counts"]["open"]), (9, &json!(9)));
}

#[test]
fn classes_are_added_changed_and_merged() {
    let place = Place::new(4, &json!({}));
    let server = place.serve();
    let mut client = server.client();
    let class = client.post("/api/classes", &json!({ "name": "inclusion", "key": "KeyQ" })).fine();
    assert_eq!((&class["id"], &class["key"]), (&json!(3), &json!("KeyQ")));
    client.post("/api/classes", &json!({ "name": "inclusion" })).error_without_hint(400);
    let changed = client.send("PATCH", "/api/classes/3", &json!({ "name": "dust", "place": 0 })).fine();
    assert_eq!((&changed["name"], &changed["place"]), (&json!("dust"), &json!(0)));
    client.send("PATCH", "/api/classes/77", &json!({ "name": "x" })).error(404);
    client.send("PATCH", "/api/classes/3", &json!({ "nom": "x" })).error(400);
    label(&mut client, "ann", "a", 1, 3);
    let left = client.post("/api/classes/3/merge", &json!({ "into": 1 })).fine();
    assert_eq!(left["classes"].as_array().unwrap().len(), 3);
    assert_eq!(client.get("/api/images/1").fine()["image"]["class"], 1);
}

#[test]
fn settings_are_changed_one_by_one_and_wrong_ones_are_named() {
    let place = Place::new(4, &json!({}));
    let server = place.serve();
    let mut client = server.client();
    let settings = client.send("PUT", "/api/settings", &json!({ "retrain_every": 20 })).fine();
    assert_eq!((&settings["retrain_every"], &settings["first"]), (&json!(20), &json!(10)));
    let error = client.send("PUT", "/api/settings", &json!({ "retrain_evry": 20 })).error(400);
    assert!(error["hint"].as_str().unwrap().contains("retrain_every"), "{error}");
}

#[test]
fn images_are_listed_by_pages_filtered_and_found() {
    let place = Place::new(25, &json!({}));
    let server = place.serve();
    let mut client = server.client();
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/api/images?limit=10&sort=path&after={after}")).fine();
        seen.extend(page["images"].as_array().unwrap().iter().map(|image| image["path"].to_string()));
        match page["next"].as_str() {
            Some(next) => after = next.replace('%', "%25").replace('+', "%2B").replace('&', "%26"),
            None => break,
        }
    }
    assert!(seen.len() == 25 && seen.is_sorted(), "{seen:?}");
    assert_eq!(client.get("/api/images?search=00007").fine()["total"], 1);
    label(&mut client, "ann", "a", 3, 2);
    let found = client.get("/api/images?state=labelled&class=2").fine();
    assert_eq!((found["total"].as_u64(), &found["images"][0]["id"]), (Some(1), &json!(3)));
    for wrong in ["state=open%27", "class=x", "limit=0", "limit=-1", "sort=colour", "low=x", "after=x"] {
        client.get(&format!("/api/images?{wrong}")).error_without_hint(400);
    }
    client.get("/api/images/999").error(404);
    client.get("/api/next").error_without_hint(400);
    client.get("/api/next?person=ann&have=1,x").error_without_hint(400);
}

#[test]
fn images_with_the_same_content_are_labelled_together_on_request() {
    let place = Place::new(3, &json!({}));
    std::fs::write(place.images().join("copy.bmp"), bmp(1)).unwrap();
    place.open().import(&mut vabal::progress::silent()).unwrap();
    let server = place.serve();
    let mut client = server.client();
    let groups = client.get("/api/duplicates?near=0").fine();
    assert_eq!(groups["groups"].as_array().unwrap().len(), 1);
    let id = groups["groups"][0]["images"][0]["id"].as_u64().unwrap();
    let body = json!({ "person": "ann", "token": "d", "duplicates": true,
        "answers": [{ "image": id, "act": "label", "class": 0 }] });
    assert_eq!(client.post("/api/answers", &body).fine()["images"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_wrong_with_an_answer_is_said_and_nothing_is_kept_of_it() {
    let place = Place::new(3, &json!({}));
    let server = place.serve();
    let mut client = server.client();
    let good = json!({ "image": 1, "act": "label", "class": 0 });
    for (answer, token) in [
        (json!({ "image": 99, "act": "label", "class": 0 }), "a"),
        (json!({ "image": 1, "act": "label", "class": 99 }), "a"),
        (json!({ "image": 1, "act": "label" }), "a"),
        (json!({ "image": 1, "act": "guess", "class": 0 }), "a"),
        (json!({ "image": 1, "act": "later", "class": 0 }), "a"),
        (json!({ "image": -1, "act": "later" }), "a"),
        (json!({ "image": 1, "act": "label", "class": 0, "seconds": -1 }), "a"),
        (good.clone(), ""),
    ] {
        let body = json!({ "person": "ann", "token": token, "answers": [good.clone(), answer] });
        client.post("/api/answers", &body).error_without_hint(400);
    }
    for body in ["", "{", "[]", "{\"person\":\"ann\"}", "\u{fffd}"] {
        let token = format!("Bearer {}", client.token);
        let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
        client.ask("POST", "/api/answers", &headers, body.as_bytes()).error(400);
    }
    assert_eq!(client.get("/api/project").fine()["counts"]["labelled"], 0);
}

#[test]
fn labels_go_out_as_a_file_and_come_back_into_another_project() {
    let (one, two) = (Place::new(6, &json!({ "name": "Stahl é" })), Place::new(6, &json!({})));
    let (from, into) = (one.serve(), two.serve());
    let (mut from, mut into) = (from.client(), into.client());
    label(&mut from, "ann", "a", 1, 0);
    label(&mut from, "bob", "b", 2, 2);
    from.post("/api/undo", &json!({ "person": "bob" })).fine();
    label(&mut from, "bob", "c", 3, 1);
    for (format, kind) in [("csv", "text/csv"), ("jsonl", "application/x-ndjson")] {
        let file = from.get(&format!("/api/export?format={format}&detail=answers"));
        assert_eq!(file.status, 200);
        let name = file.header("content-disposition").unwrap();
        assert!(name.contains(&format!("filename=\"Stahl---answers.{format}\"")), "{name}");
        let token = format!("Bearer {}", into.token);
        let headers = [("Authorization", token.as_str()), ("Content-Type", kind)];
        let target = format!("/api/import?format={format}&person=eve");
        let taken = into.ask("POST", &target, &headers, &file.body).fine();
        // The second file says the same as the first.
        let added = if format == "csv" { 4 } else { 0 };
        assert_eq!((taken["added"].as_u64(), taken["unknown"].as_u64()), (Some(added), Some(0)), "{taken}");
    }
    for id in 1..=3 {
        let of = |client: &mut Client| client.get(&format!("/api/images/{id}")).fine();
        let (here, there) = (of(&mut from), of(&mut into));
        assert_eq!(
            (&here["history"], &here["image"]["class"]),
            (&there["history"], &there["image"]["class"])
        );
    }
    let labels = from.get("/api/export?format=csv").body;
    assert_eq!(String::from_utf8(labels).unwrap().lines().count(), 3);
    assert!(from.get("/api/export?format=label-studio").json().is_array());
    from.get("/api/export?format=xml").error(400);
    from.get("/api/export").error_without_hint(400);
    let token = format!("Bearer {}", into.token);
    let headers = [("Authorization", token.as_str()), ("Content-Type", "text/csv")];
    into.ask("POST", "/api/import?format=csv&person=eve", &headers, b"a,b\n1,2\n").error(400);
}

#[test]
fn images_like_one_are_listed_by_how_alike_they_are_filtered_and_in_no_other_order() {
    let place = Place::new(9, &json!({ "holdout": 0.0 }));
    let server = place.serve();
    let mut client = server.client();
    let listed = |client: &mut Client, query: &str| -> Vec<u64> {
        let reply = client.get(&format!("/api/images?{query}")).fine();
        assert_eq!(reply["next"], Value::Null);
        let images = reply["images"].as_array().unwrap();
        assert_eq!(reply["total"], images.len());
        images.iter().map(|image| image["id"].as_u64().unwrap()).collect()
    };
    assert_eq!(listed(&mut client, "like=4"), [4, 9, 8, 7, 6, 5, 3, 2, 1]);
    assert_eq!(listed(&mut client, "like=4&limit=2"), [4, 9]);
    label(&mut client, "ann", "a", 9, 0);
    label(&mut client, "ann", "b", 2, 0);
    assert_eq!(listed(&mut client, "like=4&state=labelled"), [9, 2]);
    for wrong in ["like=4&sort=path", "like=4&after=3:3", "like=77", "like=x"] {
        client.get(&format!("/api/images?{wrong}")).error_without_hint(400);
    }
}

#[test]
fn suggestions_of_another_model_come_from_a_file_and_are_no_labels() {
    let place = Place::new(4, &json!({ "holdout": 0.0 }));
    let server = place.serve();
    let mut client = server.client();
    let images = client.get("/api/images").fine()["images"].clone();
    let path = images[2]["path"].as_str().unwrap();
    let file = format!("path,class,confidence\n{path},crazing,0.75\nnowhere.png,crazing,1\n");
    let address = "/api/import?format=csv&person=ann&as=suggestions&name=model.csv";
    let send = |client: &mut Client, address: &str| {
        let token = format!("Bearer {}", client.token);
        let headers = [("Authorization", token.as_str()), ("Content-Type", "text/csv")];
        client.ask("POST", address, &headers, file.as_bytes())
    };
    let taken = send(&mut client, address).fine();
    assert_eq!((&taken["added"], &taken["unknown"]), (&json!(1), &json!(1)));
    let image = client.get("/api/images/3").fine()["image"].clone();
    assert_eq!((&image["suggestion"]["class"], &image["state"]), (&json!(0), &json!("open")));
    assert_eq!(image["top"], json!([{ "class": 0, "p": 0.75 }]));
    let about = client.get("/api/project").fine()["suggestions"].clone();
    assert_eq!(
        (&about["source"], &about["images"], &about["shown"]),
        (&json!("model.csv"), &json!(1), &json!(true))
    );
    assert_eq!(client.get("/api/project").fine()["counts"]["labelled"], 0);
    let wrong = "/api/import?format=csv&person=ann&as=guesses";
    send(&mut client, wrong).error_without_hint(400);
}
