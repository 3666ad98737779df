//! JSON lines: an object a line, with the keys that CSV has as columns. A file of answers begins
//! with a line that lists the classes.
//!
//! Never here: what a key means (`columns`).
//!
//! ```
//! use vabal::project::exchange::{Reading, json_lines};
//!
//! let text = r#"{"file_name": "a/1.png", "label": "scratch"}"#;
//! let labels = json_lines::read(text, &Reading::default())?;
//! assert_eq!(labels.records[0].answer.class.as_deref(), Some("scratch"));
//! # Ok::<(), vabal::Error>(())
//! ```

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::columns::{self, Cell, Columns, Known};
use super::guesses::{self, Guesses};
use super::{Class, Detail, Labels, Reading, Record, Row, time};
use crate::error::{Error, Result};

/// The version this program writes, and the newest it reads.
const FORMAT: u64 = 1;

/// The first line of a file of answers.
#[derive(Serialize, Deserialize)]
struct Header<'a> {
    /// "labels".
    vabal: Cow<'a, str>,
    format: u64,
    classes: Cow<'a, [Class]>,
}

/// Labels as JSON lines; with [`Detail::Answers`] after a line with the classes, in their order.
/// Keys without a value are left out.
#[must_use]
pub fn write(rows: &[Row], classes: &[Class], detail: Detail) -> String {
    let mut text = String::new();
    if detail == Detail::Answers {
        let header = Header { vabal: "labels".into(), format: FORMAT, classes: classes.into() };
        text.push_str(&json(&header));
        text.push('\n');
    }
    let header = columns::header(rows, detail);
    for line in columns::lines(rows, detail) {
        text.push('{');
        let mut first = true;
        for (name, cell) in header.iter().zip(line) {
            let value = match cell {
                Cell::Text(text) => text.map(|text| json(&text)),
                Cell::Whole(number) => number.map(|number| number.to_string()),
                Cell::Real(number) => number.filter(|number| number.is_finite()).map(|number| json(&number)),
                Cell::Time(ms) => ms.map(|ms| json(&time::text(ms))),
            };
            let Some(value) = value else { continue };
            text.push_str(if first { "\"" } else { ",\"" });
            text.push_str(name);
            text.push_str("\":");
            text.push_str(&value);
            first = false;
        }
        text.push_str("}\n");
    }
    text
}

/// Texts, numbers and structs of them always are JSON.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Reads labels from JSON lines, with the names of [`columns`] as keys. Lines without anything are
/// skipped, lines without a class are left out.
///
/// # Errors
/// By line: what is not a JSON object, has no key for the image, or a value that the key cannot
/// have; a header of a newer version.
pub fn read(text: &str, reading: &Reading) -> Result<Labels> {
    let question = reading.question.as_deref();
    // A line whose class stands under another name is left out, not an error.
    let key_reading = Reading { question: None, ..reading.clone() };
    let mut labels = Labels::default();
    let mut last: Option<(Vec<String>, Columns)> = None;
    for (n, content) in text.split('\n').enumerate() {
        let line = n + 1;
        if content.trim().is_empty() {
            continue;
        }
        let inside = |error: Error| error.inside(format!("line {line}"));
        let object: Map<String, Value> = serde_json::from_str(content).map_err(|error| {
            inside(
                Error::input("a line that is not a JSON object")
                    .expected("{\"path\": \"…\", \"class\": \"…\"}, on one line")
                    .got(plain(&error))
                    .hint(hint(text))
                    .into(),
            )
        })?;
        if object.contains_key("vabal") {
            labels.classes = header(object).map_err(inside)?;
            continue;
        }
        let keys: Vec<String> = object.keys().cloned().collect();
        let columns = match &last {
            Some((known, columns)) if *known == keys => columns.clone(),
            _ => Columns::find(keys.iter().map(String::as_str), question)
                .map_err(|error| inside(error.into()))?,
        };
        let names: Vec<&str> = keys.iter().map(String::as_str).collect();
        let texts: Vec<Option<Cow<'_, str>>> = object.values().map(text_of).collect();
        let guesses = reading.suggestions.then(|| {
            let number = |n: usize| texts[n].as_deref().is_some_and(|text| text.parse::<f64>().is_ok());
            Guesses::find(&names, &columns, number)
        });
        let listed = object.get("probabilities").and_then(Value::as_object);
        let says = match &guesses {
            Some(guesses) if listed.is_none() => guesses.check("key", &names),
            _ => Ok(()),
        };
        if let Err(error) = columns.check("key", &names, &key_reading).map_err(Error::from).and(says) {
            // An image without a class is no mistake.
            if columns.has(Known::Path) {
                labels.leave_out(format_args!("line {line}"), columns::NO_CLASS);
                continue;
            }
            return Err(inside(error));
        }
        let mut values: Vec<Option<Cow<'_, str>>> = object.values().map(text_of).collect();
        // Choices as some tools have them; `columns` says what they come to.
        if let Some(place) = columns.place(Known::Class)
            && let Some(choices @ (Value::Array(_) | Value::Object(_))) = object.values().nth(place)
        {
            values[place] = Some(choices.to_string().into());
        }
        let field = |place: usize| {
            let text: &str = values.get(place)?.as_deref()?;
            (!text.is_empty()).then_some(text)
        };
        let read = match (&guesses, listed) {
            (Some(guesses), None) => columns::suggestion(line, &columns, guesses, field),
            (Some(guesses), Some(listed)) => ranked(listed).and_then(|all| {
                let said = columns::suggestion(line, &columns, guesses, field)?;
                // Without a class of its own, a line is of the most probable one.
                match (said, all.first()) {
                    (Ok(record), _) => Ok(Ok(Record { probabilities: all, ..record })),
                    (Err(_), Some((class, _))) => {
                        let class = class.as_str();
                        let known = |known: Known| match known {
                            Known::Class => Some(class),
                            Known::Path | Known::File | Known::Hash => field(columns.place(known)?),
                            _ => None,
                        };
                        let record = columns::record(line, false, known)?;
                        Ok(record.map(|record| Record { probabilities: all.clone(), ..record }))
                    }
                    (Err(why), None) => Ok(Err(why)),
                }
            }),
            (None, _) => {
                labels.ordered |= columns.has(Known::Answer);
                columns::record(line, columns.has(Known::Answer), |known| field(columns.place(known)?))
            }
        };
        let remark = columns::remark(|known| field(columns.place(known)?)).filter(|_| guesses.is_none());
        let has_remark = remark.is_some();
        labels.remarks.extend(remark);
        match read.map_err(inside)? {
            Ok(record) => labels.records.push(record),
            Err(columns::NO_CLASS) if has_remark => {}
            Err(why) => labels.leave_out(format_args!("line {line}"), why),
        }
        last = Some((keys, columns));
    }
    columns::finish(labels)
}

/// Classes with their probabilities, the most probable first.
fn ranked(listed: &Map<String, Value>) -> Result<Vec<(String, f64)>> {
    let mut all = Vec::with_capacity(listed.len());
    for (class, p) in listed {
        all.push((class.clone(), guesses::probability(&p.to_string(), class)?));
    }
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(all)
}

fn header(object: Map<String, Value>) -> Result<Vec<Class>> {
    let format = object.get("format").and_then(Value::as_u64).unwrap_or(0);
    if format > FORMAT {
        return Err(Error::input("the labels were written by a newer vabal")
            .expected(format!("format {FORMAT} or older"))
            .got(format!("format {format}"))
            .hint("update vabal")
            .into());
    }
    let header: Header<'_> = serde_json::from_value(Value::Object(object)).map_err(|error| {
        Error::input("unreadable header line")
            .expected("{\"vabal\": \"labels\", \"format\": 1, \"classes\": [{\"name\": \"…\"}]}")
            .got(plain(&error))
    })?;
    Ok(header.classes.into_owned())
}

/// The value of a key as a column of text would have it; `None` of what no column can have.
fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Bool(value) => Some(value.to_string().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What is wrong with JSON, without the line, which is of the text that was looked at.
pub(super) fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

fn hint(text: &str) -> &'static str {
    match text.trim_start().starts_with('[') {
        true => "a file of one JSON list is read as label-studio",
        false => "write one object a line, without commas between the lines",
    }
}
