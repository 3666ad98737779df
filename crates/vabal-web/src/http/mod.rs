//! HTTP/1.1 by hyper, with limits of our own: who may hold a connection for how long, what is
//! refused before its body is read, how the server ends. It leaves out, and refuses by name, bodies
//! of unknown length (411).
//!
//! Never here: who may ask what (`auth`), what is answered (`app`, `api`).

mod room;
mod server;
mod socket;

use std::borrow::Cow;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::IntoResponse;
use percent_encoding::percent_decode;

pub use server::{run, runtime};

/// What stands before the body of a request.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// `GET`, `POST`, …, as sent.
    pub method: String,
    /// The parts of the path between its `/`, decoded, empty ones left out.
    pub path: Vec<String>,
    /// The pairs after `?`, decoded.
    pub query: Vec<(String, String)>,
    /// Names in small letters, and values.
    pub headers: Vec<(String, String)>,
    /// From the address that was asked for to the root of the page: a proxy may show it below a
    /// path, so that links are relative.
    pub root: String,
}

impl Head {
    /// The head of a request for `target`, a path with or without a query; `None` where it is no
    /// such thing.
    #[must_use]
    pub fn new(method: &str, target: &str, headers: Vec<(String, String)>) -> Option<Self> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if !path.starts_with('/') {
            return None;
        }
        let decoded = |text: &str| percent_decode(text.as_bytes()).decode_utf8().ok().map(Cow::into_owned);
        let path = path.split('/').filter(|part| !part.is_empty()).map(decoded).collect::<Option<_>>()?;
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            // What a form sends for a space.
            Some((decoded(&key.replace('+', " "))?, decoded(&value.replace('+', " "))?))
        };
        let query = query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect::<Option<_>>()?;
        Some(Self { method: method.to_owned(), path, query, headers, root: "./".into() })
    }

    /// The same of a target that may lie below `base`, `/` and a path; a proxy may have taken that
    /// away already. Also the target below it.
    #[must_use]
    pub fn below<'a>(
        base: &str,
        method: &str,
        target: &'a str,
        headers: Vec<(String, String)>,
    ) -> Option<(Self, Cow<'a, str>)> {
        let rest = target.strip_prefix(base).filter(|_| !base.is_empty());
        Some(match rest {
            Some(rest) if rest.starts_with('/') => (Self::new(method, rest, headers)?, Cow::Borrowed(rest)),
            Some(rest) if rest.is_empty() || rest.starts_with('?') => {
                let rest = format!("/{rest}");
                let mut head = Self::new(method, &rest, headers)?;
                head.root = format!("{}/", base.rsplit('/').next().unwrap_or_default());
                (head, Cow::Owned(rest))
            }
            _ => (Self::new(method, target, headers)?, Cow::Borrowed(target)),
        })
    }

    /// The value of a header that is sent once; the first where it is sent more often.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a header.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of `name` after `?`; the last where it is given more often, `None` where it is
    /// empty.
    #[must_use]
    pub fn asked(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// A request that was let in, with its body.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// What stands before the body.
    pub head: Head,
    /// The part of the path that names one of many, decoded; empty where the route has none.
    pub id: String,
    /// The body, within its limit.
    pub body: Bytes,
}

/// What is sent back.
#[derive(Debug)]
pub struct Response {
    /// 200, 404, …
    pub status: u16,
    /// Names and values; neither holds a line break.
    pub headers: Vec<(&'static str, String)>,
    /// What follows.
    pub body: Bytes,
}

impl Response {
    /// An answer from memory.
    #[must_use]
    pub fn new(status: u16, kind: &str, body: impl Into<Bytes>) -> Self {
        Self { status, headers: vec![("Content-Type", kind.to_owned())], body: body.into() }
    }

    /// An answer without a body.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// The same with one more header. Characters that would end the header's line are left out.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let mut value: String = value.into();
        value.retain(|c| c == ' ' || c.is_ascii_graphic());
        self.headers.push((name, value));
        self
    }

    /// The value of a header.
    #[cfg(test)]
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl IntoResponse for Response {
    fn into_response(self) -> axum::response::Response {
        let mut response = axum::response::Response::new(Body::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = self.headers.into_iter();
        // `with` leaves nothing in a value that cannot be sent.
        response.headers_mut().extend(headers.filter_map(|(name, value)| {
            Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
        }));
        response
    }
}

/// Who lets in and refuses. Neither may block: every connection waits meanwhile.
pub trait Service: Send + Sync {
    /// Looks at a request before its body is read: the largest body that is taken, in bytes, or the
    /// refusal.
    ///
    /// # Errors
    /// The refusal.
    fn admit(&self, head: &Head) -> Result<usize, Box<Response>>;

    /// The path below which a proxy shows the page; empty for none.
    fn base_path(&self) -> &str;

    /// The answer to a request that cannot be read.
    fn refuse(&self, status: u16, what: &str, hint: &str) -> Response;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_taken_apart_before_it_is_decoded() {
        let head = Head::new("GET", "/thumb//a%2Fb/..?x=1%262&y=a+b&x=3&z=&w", Vec::new()).unwrap();
        assert_eq!(head.path, ["thumb", "a/b", ".."]);
        assert_eq!(head.asked("x"), Some("3"));
        assert_eq!(head.asked("y"), Some("a b"));
        assert_eq!((head.asked("z"), head.asked("w"), head.asked("v")), (None, None, None));
        for target in ["", "x", "*", "http://elsewhere/", "/%ff", "/?a=%c0%80"] {
            assert!(Head::new("GET", target, Vec::new()).is_none(), "{target}");
        }
    }

    #[test]
    fn a_path_that_a_proxy_passes_on_is_taken_away_and_one_without_it_is_taken_as_it_is() {
        let below = |target| {
            Head::below("/a/x", "GET", target, Vec::new())
                .map(|(head, target)| (head.path.join("/"), head.root, target.into_owned()))
        };
        let is = |path: &str, root: &str, target: &str| Some((path.into(), root.into(), target.into()));
        assert_eq!(below("/a/x/api/project?n=1"), is("api/project", "./", "/api/project?n=1"));
        assert_eq!(below("/a/x/"), is("", "./", "/"));
        assert_eq!(below("/a/x?token=t"), is("", "x/", "/?token=t"));
        assert_eq!(below("/a/x"), is("", "x/", "/"));
        assert_eq!(below("/a/xy"), is("a/xy", "./", "/a/xy"));
        assert_eq!(below("/api/project"), is("api/project", "./", "/api/project"));
        assert_eq!(below("/a/x/%ff"), None);
    }

    #[test]
    fn a_header_cannot_be_made_to_end_its_line() {
        let response = Response::empty(200).with("X-A", "a\r\nSet-Cookie: b\u{0}é");
        assert_eq!(response.header("x-a"), Some("aSet-Cookie: b"));
    }
}
