//! Ten persons at once, as fast as it goes.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use serde_json::json;
use vabal::project::ImageId;

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
                let id = image["id"].as_i64().unwrap();
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
    let all: HashSet<i64> = done.iter().flat_map(|(answers, _)| answers.keys().copied()).collect();
    assert_eq!(done.iter().map(|(answers, _)| answers.len()).sum::<usize>(), all.len(), "given twice");
    assert_eq!(all.len(), 10_000);
    drop(server);
    let project = place.open();
    assert_eq!(project.counts().unwrap().labelled, 10_000);
    for (answers, _) in &done {
        for (&id, &class) in answers.iter().step_by(50) {
            let detail = project.detail(ImageId(id)).unwrap().unwrap();
            assert_eq!(detail.history.len(), 1);
            assert_eq!(detail.image.class, Some(class as u32));
        }
    }
}
