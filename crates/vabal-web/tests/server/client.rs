//! A browser's side of HTTP, as small as it can be: one connection that is kept, JSON out and in.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// One connection, with what a page on it would send.
pub struct Client {
    stream: TcpStream,
    pub address: String,
    pub token: String,
    buffer: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {} {}", self.status, String::from_utf8_lossy(&self.body)))
    }

    /// The value of an answer that must be fine.
    #[track_caller]
    pub fn fine(&self) -> Value {
        assert!(self.status < 300, "{} {}", self.status, String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// The error of an answer that must be one with this status: it says what.
    #[track_caller]
    pub fn error_without_hint(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        let error = self.json()["error"].clone();
        assert!(error["what"].as_str().is_some_and(|what| !what.is_empty()), "{error}");
        error
    }

    /// The same, and it says what to do.
    #[track_caller]
    pub fn error(&self, status: u16) -> Value {
        let error = self.error_without_hint(status);
        assert!(error["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{error}");
        error
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl Client {
    /// Connects to `address`, host and port.
    pub fn new(address: &str, token: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        // An answer that does not come fails a test; it does not hang it.
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        Self { stream, address: address.into(), token: token.into(), buffer: Vec::new() }
    }

    /// Sends bytes as they are and reads one answer; `None` where the connection ended without one.
    pub fn raw(&mut self, bytes: &[u8]) -> Option<Reply> {
        self.stream.write_all(bytes).unwrap();
        self.reply(bytes.starts_with(b"HEAD"))
    }

    /// Sends bytes and reads nothing.
    pub fn send_only(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Says that nothing more is sent.
    pub fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    pub fn reply(&mut self, bare: bool) -> Option<Reply> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|part| part == b"\r\n\r\n") {
                break end + 4;
            }
            if !self.more() {
                return None;
            }
        };
        let head = String::from_utf8(self.buffer.drain(..end).collect()).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = if bare { 0 } else { length.map_or(0, |(_, value)| value.parse().unwrap()) };
        while self.buffer.len() < length {
            assert!(self.more(), "the body broke off");
        }
        let body = self.buffer.drain(..length).collect();
        Some(Reply { status, headers, body })
    }

    fn more(&mut self) -> bool {
        let mut bytes = [0; 64 << 10];
        let n = self.stream.read(&mut bytes).unwrap_or(0);
        self.buffer.extend_from_slice(&bytes[..n]);
        n > 0
    }

    /// A request with these headers besides Host and Content-Length, and no others.
    pub fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head += &format!("Host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() || !matches!(method, "GET" | "HEAD") {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        let bytes = [head.as_bytes(), b"\r\n", body].concat();
        self.raw(&bytes).unwrap_or_else(|| panic!("no answer to {method} {target}"))
    }

    pub fn get(&mut self, target: &str) -> Reply {
        let token = format!("Bearer {}", self.token);
        self.ask("GET", target, &[("Authorization", &token)], b"")
    }

    pub fn send(&mut self, method: &str, target: &str, body: &Value) -> Reply {
        let token = format!("Bearer {}", self.token);
        let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
        self.ask(method, target, &headers, body.to_string().as_bytes())
    }

    pub fn post(&mut self, target: &str, body: &Value) -> Reply {
        self.send("POST", target, body)
    }
}
