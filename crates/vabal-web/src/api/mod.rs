//! The JSON that is answered, one file for each matter. Field names are the library's.
//!
//! Never here: what the answers say (`vabal::project`).

pub mod answers;
pub mod classes;
pub mod exchange;
pub mod images;
pub mod map;
pub mod project;
pub mod questions;
pub mod review;

use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use vabal::Error;

use crate::error::{Answer, Failure, json_response};
use crate::http::{Head, Request};

/// A value as the body of an answer.
pub(crate) fn json(value: &impl Serialize) -> Answer {
    Ok(json_response(200, value))
}

/// The same of something with a round: before the first one the page counts 0, as before the first
/// training.
fn json_with_round(value: &impl Serialize) -> Answer {
    let mut value = serde_json::to_value(value)
        .map_err(|error| Failure::new(500, Error::input("the answer cannot be written").got(error)))?;
    if let Some(round @ serde_json::Value::Null) = value.get_mut("round") {
        *round = 0.into();
    }
    json(&value)
}

/// The body of a request as JSON.
fn body<T: DeserializeOwned>(request: &Request) -> Answer<T> {
    serde_json::from_slice(&request.body).map_err(|error| {
        Failure::new(
            400,
            Error::input("the body of the request is not what is taken here")
                .got(error)
                .hint("load the page again; it may be of another version"),
        )
    })
}

/// The value of `name` after `?`, where it is given.
pub(crate) fn asked<T: FromStr>(head: &Head, name: &str, expected: &str) -> Answer<Option<T>> {
    head.asked(name).map(|text| parsed(text, name, expected)).transpose()
}

/// The number that a part of the path is.
pub(crate) fn number<T: FromStr>(text: &str, what: &str) -> Answer<T> {
    text.parse().map_err(|_| Failure::missing(what, text))
}

fn parsed<T: FromStr>(text: &str, name: &str, expected: &str) -> Answer<T> {
    text.parse().map_err(|_| Failure::wrong("a part of the address cannot be read", name, expected, text))
}

/// The words of an enum that JSON writes as one word.
fn word<T: DeserializeOwned>(head: &Head, name: &str, expected: &str) -> Answer<Option<T>> {
    head.asked(name)
        .map(|text| {
            serde_json::from_value(serde_json::Value::String(text.to_owned()))
                .map_err(|_| Failure::wrong("a part of the address cannot be read", name, expected, text))
        })
        .transpose()
}

/// The person who asks or answers.
fn person(head: &Head) -> Answer<&str> {
    head.asked("person")
        .ok_or_else(|| Failure::wrong("nobody says who this is", "person", "the name of a person", "none"))
}
