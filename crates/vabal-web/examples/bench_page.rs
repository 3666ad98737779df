//! How long the page's server takes for what a key press asks of it, with many images in the
//! project: `cargo build --release --workspace --examples && target/release/examples/bench_page
//! 100000`. One person, over a real connection, every answer on the disk before it is confirmed.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program that measures")]

#[expect(dead_code, reason = "the tests of the server ask for more")]
#[path = "../tests/server/client.rs"]
mod client;
#[expect(dead_code, reason = "the tests of the server ask for more")]
#[path = "../tests/server/support.rs"]
mod support;

use std::time::Instant;

use serde_json::json;

use crate::support::Place;

fn main() {
    let images: u32 = std::env::args().nth(1).map_or(100_000, |count| count.parse().unwrap());
    let begun = Instant::now();
    let place = Place::new(images, &json!({ "first": 100_000 }));
    println!("{images} images made and imported in {:.1} s", begun.elapsed().as_secs_f64());
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
