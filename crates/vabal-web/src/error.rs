//! What a request is answered when it fails: a status, and the same four lines as everywhere as
//! JSON, or a page for a person who opened an address.
//!
//! Never here: what can go wrong inside the library ([`vabal::Error`]).

use serde_json::json;
use vabal::Error;
use vabal::error::{Cause, Complaint};

use crate::http::Response;

/// A request that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// 400, 404, …
    pub status: u16,
    /// What is said.
    pub complaint: Box<Complaint>,
}

/// What a request is answered.
pub type Answer<T = Response> = Result<T, Failure>;

impl Failure {
    /// A failure with a status and what is wrong.
    pub fn new(status: u16, complaint: Complaint) -> Self {
        Self { status, complaint: Box::new(complaint) }
    }

    /// 404: there is no such thing.
    pub fn missing(what: &str, which: impl std::fmt::Display) -> Self {
        let complaint = Error::input(format!("there is no such {what}")).got(which);
        Self::new(404, complaint.hint("load the page again; it shows what there is"))
    }

    /// 405: the address is answered, but not to this method. Which ones it takes is in `Allow`.
    pub fn not_allowed(method: &str) -> Self {
        let complaint = Error::input("method not allowed").got(method);
        Self::new(405, complaint.hint("load the page again; it may be of another version"))
    }

    /// 400: a part of the request is wrong.
    pub fn wrong(what: &str, at: &str, expected: &str, got: impl std::fmt::Display) -> Self {
        Self::new(400, Error::input(what).at(at).expected(expected).got(got))
    }

    /// As JSON.
    #[must_use]
    pub fn response(&self) -> Response {
        json_response(self.status, &json!({ "error": self.complaint }))
    }

    /// As a page without style or script, for a browser that shows it by itself; with `root`, the
    /// way to the page, it asks for the token.
    #[must_use]
    pub fn page(&self, root: Option<&String>) -> Response {
        let text = escape(&self.complaint.to_string());
        let form = root.map_or_else(String::new, |root| {
            format!(
                "<form action=\"{root}\">\n<p><label>Or paste that address here: <input name=\"token\" size=\"60\" \
                 autocomplete=\"off\" required autofocus></label> <button>Go on</button></p>\n</form>\n"
            )
        });
        let page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>vabal</title>\n<h1>vabal</h1>\n<pre>{text}</pre>\n{form}"
        );
        Response::new(self.status, "text/html; charset=utf-8", page.into_bytes())
            .with("Cache-Control", "no-store")
    }
}

/// A value as JSON that no one keeps.
#[must_use]
pub fn json_response(status: u16, value: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            Response::new(status, "application/json; charset=utf-8", bytes).with("Cache-Control", "no-store")
        }
        // Maps whose keys are no texts: none is ever sent.
        Err(_) => Response::empty(500),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let complaint = error.complaint();
        match error.cause() {
            Cause::Caller => Self::new(400, complaint),
            Cause::Stopped => Self::new(409, complaint),
            Cause::Full => Self::new(
                507,
                complaint
                    .said("the disk is full")
                    .hint("free some space; what was saved is kept, and the page sends again what was not"),
            ),
            Cause::Busy => Self::new(
                503,
                complaint.hint("another process is writing into the project; the page tries again by itself"),
            ),
            Cause::Forbidden => Self::new(
                500,
                complaint.hint("allow reading and writing there again; the page goes on by itself"),
            ),
            Cause::Missing | Cause::Other => Self::new(500, complaint),
        }
    }
}
