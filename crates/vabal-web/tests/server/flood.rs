//! A server that is flooded goes on to answer whoever has the token.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::files::image;
use crate::support::{Place, Running, TOKEN, idle};

/// What a person's browser does, each request over a connection of its own and then all over one.
fn use_the_page(server: &Running, round: u64) {
    assert_eq!(server.client().ask("GET", &format!("/?token={TOKEN}"), &[], b"").status, 303);
    assert_eq!(server.client().get("/").status, 200);
    let mut kept = server.client();
    for asset in ["main.js", "page.css", "Inter-Regular.ttf"] {
        assert_eq!(server.client().get(&format!("/assets/{asset}")).status, 200);
        assert_eq!(kept.get(&format!("/assets/{asset}")).status, 200);
    }
    assert!(!kept.get("/image/1").body.is_empty());
    let questions = kept.get("/api/next?person=ann&n=1").fine();
    let answer = json!({ "image": questions["questions"][0]["id"], "act": "label", "class": 0 });
    let body = json!({ "person": "ann", "token": format!("t{round}"), "answers": [answer] });
    assert_eq!(server.client().post("/api/answers", &body).fine()["counts"]["labelled"], round + 1);
    kept.get("/api/pulse").fine();
}

#[test]
fn idle_sockets_and_heads_that_never_end_do_not_keep_the_page_from_anyone() {
    let place = Place::new(20, &json!({ "holdout": 0.0 }));
    let mut server = place.serve();
    // It was open before, and stays.
    let mut before = server.client();
    before.get("/api/project").fine();
    let connect = || TcpStream::connect(&server.address).unwrap();
    let sockets: Vec<TcpStream> = (0..600).map(|_| connect()).collect();
    let (stop, trickled) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        // Heads that come byte by byte; where the server ends one, another begins.
        scope.spawn(|| {
            let mut slow: Vec<TcpStream> = (0..100).map(|_| connect()).collect();
            while !stop.load(Ordering::SeqCst) {
                for stream in &mut slow {
                    if stream.write_all(b"G").is_err() {
                        *stream = connect();
                    }
                }
                trickled.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        });
        // Refused again and again, without reading why.
        scope.spawn(|| {
            let mut deaf: Vec<TcpStream> = (0..20).map(|_| connect()).collect();
            while !stop.load(Ordering::SeqCst) {
                for stream in &mut deaf {
                    let request = b"GET /api/project HTTP/1.1\r\n\r\n".repeat(50);
                    stream.set_nonblocking(true).unwrap();
                    match stream.write(&request) {
                        Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => *stream = connect(),
                        _ => {}
                    }
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        });
        while trickled.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        let used = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (0..20).for_each(|round| use_the_page(&server, round));
            before.get("/api/project").fine();
        }));
        stop.store(true, Ordering::SeqCst);
        used.unwrap();
    });
    // Most of the 600 had to go long before their time was over: they found no room, and were told
    // so.
    let ended = sockets.iter().filter(|socket| has_ended(socket)).count();
    assert!(ended >= 600 - 128, "{ended}");
    // None of them holds up the end.
    server.end();
    assert_eq!(place.open().counts().unwrap().labelled, 20);
}

fn has_ended(mut socket: &TcpStream) -> bool {
    socket.set_nonblocking(true).unwrap();
    match socket.read(&mut [0]) {
        Ok(n) => n == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

#[test]
fn readers_that_take_nothing_do_not_fill_the_memory_nor_keep_others_waiting() {
    let place = Place::new(1, &json!({}));
    fs::write(place.images().join("large.bmp"), image(3300, 3300)).unwrap();
    place.open().import(&mut vabal::progress::silent()).unwrap();
    let server = place.serve();
    let whole = server.client().get("/image/2").body.len();
    assert!(whole > 30 << 20);
    let request =
        format!("GET /image/2 HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n", server.address);
    let mut readers: Vec<TcpStream> = (0..12)
        .map(|_| {
            let mut stream = TcpStream::connect(&server.address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            // Its answer has begun.
            stream.read_exact(&mut [0; 64]).unwrap();
            stream
        })
        .collect();
    assert_eq!(server.client().get("/image/2").body.len(), whole);
    server.client().get("/api/pulse").fine();
    // Eight such answers are 256 MiB: those that came first had to go, and the last go on when they
    // read at last.
    let mut rest = |reader: usize| {
        let _ = readers[reader].shutdown(Shutdown::Write);
        let mut bytes = Vec::new();
        let _ = readers[reader].read_to_end(&mut bytes);
        bytes.len()
    };
    assert!(rest(11) >= whole - 64 && rest(10) >= whole - 64);
    assert!(rest(0) < whole - 64 && rest(1) < whole - 64);
}

#[test]
fn a_request_under_way_is_answered_when_the_server_ends() {
    let place = Place::new(2, &json!({}));
    let mut work = idle();
    let (entered, has_entered) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    work.status = Arc::new(move |_| {
        entered.send(()).unwrap();
        gone.lock().unwrap().recv().unwrap();
        Ok(json!({ "finished": true }))
    });
    let mut server = place.serve_with(work);
    let (mut client, mut other, mut half) = (server.client(), server.client(), server.client());
    other.get("/api/project").fine();
    half.send_only(b"GET / HTTP/1.1\r\nHo");
    std::thread::scope(|scope| {
        let answer = scope.spawn(move || client.get("/api/status").fine());
        has_entered.recv().unwrap();
        let end = scope.spawn(|| server.end());
        // Both of these have nothing to be finished, and see the end while the answer is still
        // being made.
        assert!(other.reply(false).is_none() && half.reply(false).is_none());
        go.send(()).unwrap();
        assert_eq!(answer.join().unwrap()["finished"], true);
        end.join().unwrap();
    });
}
