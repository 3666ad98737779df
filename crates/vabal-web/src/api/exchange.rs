//! Labels in and out as files.

use vabal::Error;

use crate::app::App;
use crate::error::{Answer, Failure};
use crate::http::{Head, Request};

/// `POST /api/import?format=csv|jsonl|label-studio&person=P`
pub fn import(_app: &App, _request: &Request) -> Answer {
    Err(Failure::new(500, Error::input("not there yet").hint("later")))
}

/// `GET /api/export?format=csv|jsonl|label-studio`
pub fn export(_app: &App, _head: &Head) -> Answer {
    Err(Failure::new(500, Error::input("not there yet").hint("later")))
}
