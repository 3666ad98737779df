//! Who is let in, and what becomes of requests that mean harm.

use serde_json::json;

use crate::support::{Place, TOKEN};

#[test]
fn nothing_is_answered_without_the_token() {
    let place = Place::new(2, &json!({}));
    let server = place.serve();
    let mut client = server.client();
    let all = [
        ("GET", "/"),
        ("GET", "/assets/page.css"),
        ("GET", "/image/1"),
        ("GET", "/thumb/1"),
        ("GET", "/api/project"),
        ("GET", "/api/export?format=csv"),
        ("POST", "/api/answers"),
        ("PUT", "/api/settings"),
        ("GET", "/nowhere"),
    ];
    for (method, target) in all {
        for headers in
            [&[][..], &[("Authorization", "Bearer 0123456789abcdee")], &[("Cookie", "vabal-token=")]]
        {
            let reply = client.ask(method, target, headers, b"");
            let error = reply.error(401);
            assert!(!error.to_string().contains(TOKEN));
        }
    }
    // Whoever opens an address by hand reads what to do.
    let page = client.ask("GET", "/", &[("Accept", "text/html,*/*")], b"");
    assert_eq!((page.status, page.header("content-type")), (401, Some("text/html; charset=utf-8")));
    assert!(String::from_utf8(page.body).unwrap().contains("vabal label"));
}

#[test]
fn the_address_with_the_token_leaves_a_cookie_and_leads_to_the_page() {
    let place = Place::new(2, &json!({}));
    let server = place.serve();
    let mut client = server.client();
    let reply = client.ask("GET", &format!("/?token={TOKEN}"), &[], b"");
    assert_eq!((reply.status, reply.header("location")), (303, Some("./")));
    let cookie = reply.header("set-cookie").unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let cookie = cookie.split(';').next().unwrap();
    let page = client.ask("GET", "/", &[("Cookie", cookie)], b"");
    assert_eq!(page.status, 200);
    assert!(client.ask("GET", "/api/project", &[("Cookie", cookie)], b"").fine()["name"].is_string());
    // From a link on another site the browser would not send the cookie along at once.
    let from_elsewhere = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")];
    let reply = client.ask("GET", &format!("/?token={TOKEN}"), &from_elsewhere, b"");
    assert_eq!((reply.status, reply.header("refresh")), (200, Some("0; url=./")));
    assert!(reply.header("set-cookie").is_some());
}

#[test]
fn below_a_path_the_page_is_found_whether_a_proxy_passes_the_path_on_or_not() {
    let place = Place::new(2, &json!({}));
    let server = place.serve_as(|options| options.base_path = "/labels/steel".into());
    let mut client = server.client();
    for path in ["", "/labels/steel"] {
        let reply = client.ask("GET", &format!("{path}/?token={TOKEN}"), &[], b"");
        assert_eq!((reply.status, reply.header("location")), (303, Some("./")));
        assert_eq!(client.get(&format!("{path}/")).status, 200);
        assert_eq!(client.get(&format!("{path}/assets/page.css")).status, 200);
        assert_eq!(client.get(&format!("{path}/image/1")).status, 200);
        client.get(&format!("{path}/api/project")).fine();
        client.send("PUT", &format!("{path}/api/settings"), &json!({})).fine();
    }
    for target in [format!("/labels/steel?token={TOKEN}"), "/labels/steel".into()] {
        let reply = client.get(&target);
        assert!(matches!(reply.status, 303 | 308), "{}", reply.status);
        assert_eq!(reply.header("location"), Some("steel/"));
    }
    client.get("/labels/steels/api/project").error(404);
    client.get("/labels/steel/../../etc/passwd").error(404);
    // The path lets nobody in.
    client.ask("GET", "/labels/steel/api/project", &[], b"").error(401);
}

#[test]
fn every_address_that_is_printed_for_others_is_answered() {
    let place = Place::new(2, &json!({}));
    let server = place.serve_as(|options| {
        options.host = "0.0.0.0".into();
        options.allowed = vec!["Lab.example".into()];
        options.base_path = "/steel".into();
    });
    assert!(server.others.iter().any(|one| one == &format!("https://lab.example/steel/?token={TOKEN}")));
    let mut client = server.client();
    for address in &server.others {
        let (host, target) = address.split_once("://").unwrap().1.split_once('/').unwrap();
        let reply = client.ask("GET", &format!("/{target}"), &[("Host", host)], b"");
        assert_eq!(reply.status, 303, "{address}");
    }
    let name = [("Host", "other.example")];
    client.ask("GET", &format!("/?token={TOKEN}"), &name, b"").error(403);
    // On this machine alone nothing is printed for others.
    assert!(place.serve().others.is_empty());
}

#[test]
fn who_comes_with_an_old_token_can_paste_the_address() {
    let place = Place::new(2, &json!({}));
    let server = place.serve();
    let mut client = server.client();
    let page = client.ask("GET", "/", &[("Accept", "text/html")], b"");
    let policy = page.header("content-security-policy").unwrap().to_owned();
    assert!(policy.contains("form-action 'self'") && !policy.contains("unsafe"), "{policy}");
    let text = String::from_utf8(page.body).unwrap();
    assert!(text.contains("<form action=\"./\">") && text.contains("name=\"token\""), "{text}");
    // What that form sends when the whole address is pasted.
    let pasted = format!("/?token=http%3A%2F%2Flocalhost%2F%3Ftoken%3D{TOKEN}");
    assert_eq!(client.ask("GET", &pasted, &[("Sec-Fetch-Site", "same-origin")], b"").status, 303);
    // Elsewhere there is none.
    let page = client.ask("GET", "/image/1", &[("Accept", "text/html")], b"");
    assert!(!String::from_utf8(page.body).unwrap().contains("<form"));
}

#[test]
fn other_names_and_other_pages_are_refused() {
    let place = Place::new(2, &json!({}));
    let server = place.serve();
    let mut client = server.client();
    let token = format!("Bearer {TOKEN}");
    let auth = ("Authorization", token.as_str());
    let json = ("Content-Type", "application/json");
    let rebound = format!("evil.example:{}", client.address.split(':').next_back().unwrap());
    client.ask("GET", "/api/project", &[auth, ("Host", &rebound)], b"").error(403);
    // A tunnel or a container has a port of its own.
    client.ask("GET", "/api/project", &[auth, ("Host", "localhost:9000")], b"").fine();
    client.ask("POST", "/api/train", &[auth, json, ("Origin", "http://evil.example")], b"{}").error(403);
    client.ask("POST", "/api/train", &[auth, json, ("Origin", "null")], b"{}").error(403);
    client.ask("GET", "/image/1", &[auth, ("Sec-Fetch-Site", "cross-site")], b"").error(403);
    client.ask("POST", "/api/train", &[auth, ("Content-Type", "text/plain")], b"{}").error(415);
    client.ask("POST", "/api/train", &[auth], b"").error(415);
    let own = format!("http://{}", client.address);
    client.ask("PUT", "/api/settings", &[auth, json, ("Origin", &own)], b"{}").fine();
}

#[test]
fn every_answer_binds_the_browser() {
    let place = Place::new(2, &json!({}));
    let server = place.serve();
    let mut client = server.client();
    let replies = [
        client.get("/"),
        client.get("/api/project"),
        client.get("/image/1"),
        client.get("/thumb/1"),
        client.get("/nowhere"),
        client.ask("GET", "/", &[], b""),
        client.ask("GET", &format!("/?token={TOKEN}"), &[], b""),
        client.raw(b"GET http://elsewhere/ HTTP/1.1\r\n\r\n").unwrap(),
    ];
    for reply in replies {
        let policy = reply.header("content-security-policy").unwrap();
        for part in
            ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'none'"]
        {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
    }
    assert_eq!(client_cache(&mut server.client(), "/api/project"), "no-store");
}

fn client_cache(client: &mut crate::client::Client, target: &str) -> String {
    client.get(target).header("cache-control").unwrap().to_owned()
}

#[test]
fn no_path_leads_out() {
    let place = Place::new(2, &json!({}));
    std::fs::write(place.folder.path().join("secret.bmp"), crate::support::bmp(77)).unwrap();
    let server = place.serve();
    let mut client = server.client();
    for target in [
        "/assets/../Cargo.toml",
        "/assets/..%2fCargo.toml",
        "/assets/%2e%2e/Cargo.toml",
        "/image/..%2f..%2fsecret.bmp",
        "/image/../secret.bmp",
        "/thumb/..",
        "/image/-1",
        "/image/0",
        "/image/99999999999999999999999",
        "/image/1%00",
        "/thumb/1/../../secret.bmp",
        "//etc/passwd",
    ] {
        client.get(target).error(404);
    }
}

#[cfg(unix)]
#[test]
fn an_image_that_became_a_link_to_elsewhere_is_not_shown() {
    let place = Place::new(2, &json!({}));
    let secret = place.folder.path().join("secret.bmp");
    std::fs::write(&secret, crate::support::bmp(77)).unwrap();
    let server = place.serve();
    let mut client = server.client();
    let id = client.get("/api/images?limit=1").fine()["images"][0]["id"].clone();
    let path = client.get("/api/images?limit=1").fine()["images"][0]["path"].as_str().unwrap().to_owned();
    let path = place.images().join(path);
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&secret, &path).unwrap();
    for room in ["image", "thumb"] {
        let reply = client.get(&format!("/{room}/{id}"));
        assert!(matches!(reply.status, 403 | 404 | 410), "{}", reply.status);
        reply.error(reply.status);
    }
}

#[test]
fn what_is_too_large_or_no_request_is_refused_and_the_server_goes_on() {
    let place = Place::new(2, &json!({}));
    let server = place.serve();
    let host = format!("Host: {}\r\nAuthorization: Bearer {TOKEN}\r\n", server.address);
    let json = "Content-Type: application/json\r\n";
    let head = |rest: &str| format!("POST /api/answers HTTP/1.1\r\n{host}{rest}\r\n").into_bytes();
    let large = format!("Cookie: {}\r\n", "a".repeat(40_000));
    let cases = [
        (413, head(&format!("{json}Content-Length: 2000000\r\n"))),
        (413, head(&format!("{json}Content-Length: 9999999999999999999\r\nExpect: 100-continue\r\n"))),
        (411, head(&format!("{json}Transfer-Encoding: chunked\r\n"))),
        (400, b"GET http://elsewhere/ HTTP/1.1\r\n\r\n".to_vec()),
        (400, b"OPTIONS * HTTP/1.1\r\n\r\n".to_vec()),
        (400, b"CONNECT elsewhere:80 HTTP/1.1\r\n\r\n".to_vec()),
        (400, b"GET /%ff HTTP/1.1\r\n\r\n".to_vec()),
        (431, format!("GET / HTTP/1.1\r\n{large}\r\n").into_bytes()),
    ];
    for (status, bytes) in cases {
        let mut client = server.client();
        client.raw(&bytes).unwrap().error(status);
        // The connection ends; nothing after it is taken for a request.
        assert!(client.reply(false).is_none());
    }
    // What cannot be read as HTTP is answered by a status alone.
    let unreadable = [
        (400, head(&format!("{json}Content-Length: -1\r\n"))),
        (400, head(&format!("{json}Content-Length: 99999999999999999999999999\r\n"))),
        (400, head(&format!("{json}Content-Length: 2\r\nContent-Length: 3\r\n"))),
        (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec()),
        (431, [b"GET / HTTP/1.1\r\nA: ".as_slice(), &vec![b'a'; 80_000]].concat()),
        (431, format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(200)).into_bytes()),
    ];
    for (status, bytes) in unreadable {
        let mut client = server.client();
        let reply = client.raw(&bytes).unwrap();
        assert!(reply.status == status && reply.body.is_empty(), "{reply:?}");
        assert!(client.reply(false).is_none());
    }
    // A real body that is too large: the sender reads the refusal and not a broken connection.
    let mut client = server.client();
    let body = json!({ "person": "x".repeat(2_000_000) });
    client.post("/api/answers", &body).error(413);
    // A body that is too large for answers may be an import.
    let token = format!("Bearer {TOKEN}");
    let csv = format!("path,class\n{}", "nowhere.bmp,patches\n".repeat(100_000));
    let headers = [("Authorization", token.as_str()), ("Content-Type", "text/csv")];
    let reply = server.client().ask("POST", "/api/import?format=csv&person=ann", &headers, csv.as_bytes());
    assert_eq!(reply.fine()["unknown"], 1);
    server.client().get("/api/project").fine();
}

#[test]
fn requests_that_come_together_or_in_pieces_are_answered_in_order() {
    let place = Place::new(2, &json!({}));
    let server = place.serve();
    let ask = |target: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n", server.address)
    };
    let mut client = server.client();
    let first = client.raw(format!("{}{}", ask("/api/project"), ask("/nowhere")).as_bytes()).unwrap();
    assert!(first.fine()["counts"].is_object());
    client.reply(false).unwrap().error(404);
    // Nobody waits for the rest of a request whose sender has left.
    let mut client = server.client();
    let request = ask("/api/project");
    let (a, b) = request.split_at(20);
    client.send_only(a.as_bytes());
    client.send_only(b.as_bytes());
    client.reply(false).unwrap().fine();
    client.send_only(a.as_bytes());
    client.finish();
    assert!(client.reply(false).is_none());
    // HEAD has the headers and no body.
    let mut client = server.client();
    let reply = client.raw(ask("/api/project").replacen("GET", "HEAD", 1).as_bytes()).unwrap();
    assert!(reply.status == 200 && reply.body.is_empty());
    client.get("/api/project").fine();
}

#[test]
fn a_method_that_an_address_does_not_take_is_said_with_those_that_it_does() {
    let place = Place::new(2, &json!({}));
    let server = place.serve();
    let mut client = server.client();
    for (method, target, allow) in [
        ("GET", "/api/answers", "POST"),
        ("PUT", "/api/classes/1", "PATCH,DELETE"),
        ("POST", "/api/images/1", "GET,HEAD"),
        ("PUT", "/", "GET,HEAD"),
    ] {
        let reply =
            if method == "GET" { client.get(target) } else { client.send(method, target, &json!({})) };
        reply.error(405);
        assert_eq!(reply.header("allow"), Some(allow), "{method} {target}");
        // Nobody else learns which there are.
        let reply = client.ask(method, target, &[], b"");
        reply.error(401);
        assert_eq!(reply.header("allow"), None);
    }
    client.send("POST", "/nowhere", &json!({})).error(404);
}

#[test]
fn every_answer_says_when_it_was_made_and_the_last_that_it_is() {
    let place = Place::new(2, &json!({}));
    let server = place.serve();
    let mut client = server.client();
    for reply in [client.get("/api/project"), client.get("/nowhere"), client.ask("GET", "/", &[], b"")] {
        assert!(reply.header("date").is_some_and(|date| date.ends_with(" GMT")), "{reply:?}");
        assert_eq!(reply.header("connection"), None);
    }
    let old = format!("GET /api/project HTTP/1.0\r\nHost: {}\r\n\r\n", server.address);
    assert_eq!(client.raw(old.as_bytes()).unwrap().status, 401);
    assert!(client.reply(false).is_none());
    let reply = server.client().raw(b"GET * HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!((reply.status, reply.header("connection")), (400, Some("close")));
}
