//! Images and thumbnails, also those whose files are not what they were.

use std::fs;

use serde_json::json;

use crate::support::{Place, TOKEN, bmp};

#[test]
fn an_image_is_shown_as_it_is_and_small_and_kept_by_the_browser() {
    let place = Place::new(3, &json!({}));
    let server = place.serve();
    let mut client = server.client();
    let image = client.get("/api/images/1").fine()["image"].clone();
    let reply = client.get("/image/1");
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("image/bmp")));
    assert_eq!(reply.body, fs::read(place.images().join(image["path"].as_str().unwrap())).unwrap());
    let tag = reply.header("etag").unwrap().to_owned();
    let token = format!("Bearer {TOKEN}");
    let again = [("Authorization", token.as_str()), ("If-None-Match", tag.as_str())];
    let reply = client.ask("GET", "/image/1", &again, b"");
    assert!(reply.status == 304 && reply.body.is_empty());

    let hash = image["hash"].as_str().unwrap();
    let reply = client.get(&format!("/thumb/1?size=256&hash={}", &hash[..12]));
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("image/jpeg")));
    assert!(reply.header("cache-control").unwrap().contains("immutable"));
    assert!(reply.body.starts_with(&[0xff, 0xd8]));
    let reply = client.get("/thumb/1?size=256&hash=0123456789ab");
    assert!(!reply.header("cache-control").unwrap().contains("immutable"));
    client.get("/thumb/1?size=x").error_without_hint(400);
    client.get("/thumb/99").error(404);
}

#[test]
fn a_file_that_is_gone_or_changed_is_said_and_the_page_goes_on() {
    let place = Place::new(6, &json!({}));
    let server = place.serve();
    let mut client = server.client();
    let path = |id: u64, client: &mut crate::client::Client| {
        let image = client.get(&format!("/api/images/{id}")).fine()["image"].clone();
        place.images().join(image["path"].as_str().unwrap())
    };
    let (gone, script, torn) = (path(1, &mut client), path(2, &mut client), path(3, &mut client));
    fs::remove_file(gone).unwrap();
    fs::write(script, "<script>alert(1)</script>").unwrap();
    fs::write(torn, &bmp(2)[..60]).unwrap();
    for id in 1..=3 {
        for room in ["image", "thumb"] {
            let reply = client.get(&format!("/{room}/{id}"));
            assert_ne!(reply.header("content-type"), Some("text/html; charset=utf-8"));
            reply.error(410);
        }
    }
    assert_eq!(client.get("/image/4").status, 200);
    let body = json!({ "person": "ann", "token": "t",
        "answers": [{ "image": 1, "act": "label", "class": 0 }, { "image": 4, "act": "label", "class": 1 }] });
    client.post("/api/answers", &body).fine();
    // The whole folder, as a disk that was unplugged.
    fs::rename(place.images(), place.folder.path().join("away")).unwrap();
    client.get("/image/4").error(410);
    client.get("/api/project").fine();
    client.post("/api/undo", &json!({ "person": "ann" })).fine();
    fs::rename(place.folder.path().join("away"), place.images()).unwrap();
    assert_eq!(client.get("/image/4").status, 200);
}

#[test]
fn many_who_want_the_same_thumbnail_all_get_the_whole_of_it() {
    let place = Place::new(2, &json!({}));
    let large = image(400, 300);
    fs::write(place.images().join("large.bmp"), large).unwrap();
    place.open().import(&mut vabal::progress::silent()).unwrap();
    let server = place.serve();
    let bodies: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let ask = || server.client().get("/thumb/3?size=128").body;
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(bodies.iter().all(|body| *body == bodies[0] && body.ends_with(&[0xff, 0xd9])));
}

/// A BMP of this size, no two pixels beside each other alike.
pub fn image(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"BM".to_vec();
    let size = 3 * width * height;
    for word in [54 + size, 0, 54, 40, width, height, 1 | 24 << 16, 0, size, 2835, 2835, 0, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend((0..size).map(|n| (n * 31 % 251) as u8));
    bytes
}
