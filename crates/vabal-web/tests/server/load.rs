//! Ten persons at once, as fast as it goes.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use serde_json::json;

use crate::support::Place;

#[test]
fn ten_clients_label_ten_thousand_images_and_none_is_lost_or_given_twice() {
    let place = Place::new(10_000, &json!({ "holdout_target": 1_000_000, "first": 100_000 }));
    let server = place.serve();
    let begun = Instant::now();
    let work = |person: usize| {
        let mut client = server.client();
        let (mut answers, mut slowest) = (HashMap::new(), 0.0_f64);
        loop {
            let reply = client.get(&format!("/api/next?person=p{person}&n=20")).fine();
            let questions = reply["questions"].as_array().unwrap();
            if questions.is_empty() {
                return (answers, slowest);
            }
            for image in questions {
                let id = image["id"].as_u64().unwrap();
                let class = id % 3;
                assert!(answers.insert(id, class).is_none(), "{id} was asked twice");
                let body = json!({ "person": format!("p{person}"), "token": format!("{person}-{id}"),
                    "answers": [{ "image": id, "act": "label", "class": class }] });
                let begun = Instant::now();
                let reply = client.post("/api/answers", &body).fine();
                slowest = slowest.max(begun.elapsed().as_secs_f64());
                assert_eq!(reply["images"][0]["state"], "labelled");
            }
        }
    };
    let done: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..10).map(|person| scope.spawn(move || work(person))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let seconds = begun.elapsed().as_secs_f64();
    let slowest = done.iter().map(|(_, slowest)| *slowest).fold(0.0, f64::max);
    println!("10,000 answers of ten persons in {seconds:.1} s, the slowest {:.0} ms", 1000.0 * slowest);
    let all: HashSet<u64> = done.iter().flat_map(|(answers, _)| answers.keys().copied()).collect();
    assert_eq!(done.iter().map(|(answers, _)| answers.len()).sum::<usize>(), all.len(), "given twice");
    assert_eq!(all.len(), 10_000);
    drop(server);
    let project = place.open();
    assert_eq!(project.counts().unwrap().labelled, 10_000);
    for (answers, _) in &done {
        for (&id, &class) in answers.iter().step_by(50) {
            let detail = project.detail(id).unwrap().unwrap();
            assert_eq!(detail.history.len(), 1);
            assert_eq!(detail.image.class, Some(class as u32));
        }
    }
}

#[test]
#[ignore = "minutes: figures for the record, at 100,000 images"]
fn how_long_a_key_press_takes_at_a_hundred_thousand_images() {
    let begun = Instant::now();
    let place = Place::new(100_000, &json!({ "first": 1_000_000 }));
    println!("100,000 images made and imported in {:.1} s", begun.elapsed().as_secs_f64());
    let server = place.serve();
    let mut client = server.client();
    let mut figures: Vec<(&str, Vec<f64>)> = Vec::new();
    let mut time = |what: &'static str, work: &mut dyn FnMut()| {
        let begun = Instant::now();
        work();
        let ms = 1000.0 * begun.elapsed().as_secs_f64();
        match figures.iter_mut().find(|(known, _)| *known == what) {
            Some((_, all)) => all.push(ms),
            None => figures.push((what, vec![ms])),
        }
    };
    let mut held: Vec<u64> = Vec::new();
    for n in 0..500 {
        if held.len() < 6 {
            let have = held.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
            let target = format!("/api/next?person=ann&n=12&have={have}");
            time("next", &mut || {
                let reply = client.get(&target).fine();
                held.extend(reply["questions"].as_array().unwrap().iter().map(|q| q["id"].as_u64().unwrap()));
            });
        }
        let image = held.remove(0);
        let body = json!({ "person": "ann", "token": format!("t{n}"),
            "answers": [{ "image": image, "act": "label", "class": n % 3 }] });
        time("answer", &mut || drop(client.post("/api/answers", &body).fine()));
        let address = format!("/image/{}", held[0]);
        time("image", &mut || assert_eq!(client.get(&address).status, 200));
        if n % 10 == 0 {
            time("thumb, made", &mut || assert_eq!(client.get(&format!("/thumb/{image}")).status, 200));
            time("thumb, kept", &mut || assert_eq!(client.get(&format!("/thumb/{image}")).status, 200));
            time("pulse", &mut || drop(client.get("/api/pulse?since=0").fine()));
            time("project", &mut || drop(client.get("/api/project").fine()));
            time("list, first page", &mut || drop(client.get("/api/images?limit=100").fine()));
            time("list, search", &mut || drop(client.get("/api/images?search=9999").fine()));
            time("undo", &mut || drop(client.post("/api/undo", &json!({ "person": "ann" })).fine()));
        }
    }
    for (what, mut all) in figures {
        all.sort_by(f64::total_cmp);
        let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize];
        println!("{what}: median {:.1} ms, 95 % {:.1} ms, slowest {:.1} ms", at(0.5), at(0.95), at(1.0));
    }
}
