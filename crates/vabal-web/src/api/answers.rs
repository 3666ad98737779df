//! Answers and their undoing. An answer is on the disk before it is confirmed.

use serde::Deserialize;
use vabal::Error;

use super::{body, json};
use crate::app::App;
use crate::error::{Answer, Failure};
use crate::http::Request;

/// `POST /api/answers`
pub fn add(app: &App, request: &Request) -> Answer {
    let answered = app.answer(body(request)?)?;
    if answered.labels_until_training == 0 {
        app.consider_training();
    }
    json(&answered)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Undo {
    person: String,
    #[serde(default)]
    token: Option<String>,
}

/// `POST /api/undo`
pub fn undo(app: &App, request: &Request) -> Answer {
    let Undo { person, token } = body(request)?;
    match app.write(|project| project.undo(&person, token.as_deref()))? {
        Some(undone) => json(&undone),
        None => Err(Failure::new(
            404,
            Error::input("there is nothing to undo")
                .at(person)
                .hint("answers that were read from a file are not taken back so; answer the image again"),
        )),
    }
}
