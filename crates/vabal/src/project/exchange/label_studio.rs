//! The JSON that Label Studio exports and imports: a list of tasks with annotations of one choice for each image.
//!
//! Never here: other kinds of annotation, the server.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::columns::{self, split};
use super::json_lines::{json, plain};
use super::{Act, Answer, Class, Labels, MOST_TEXT, Record, Row, Source, State, time};
use crate::error::{Error, Result};

/// How Label Studio is to find what is exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writing<'a> {
    /// What stands before the path of an image, which is percent-encoded: [`LOCAL_FILES`] and the folder below
    /// Label Studio's document root, or the address of a web server.
    pub prefix: &'a str,
    /// The name that suggestions go by.
    pub model: &'a str,
}

/// How Label Studio calls files of its own machine.
pub const LOCAL_FILES: &str = "/data/local-files/?d=";

/// Every image as a task, by path, with what people say of it now: an annotation each, also where they disagree; a
/// cancelled one where an image was discarded. Suggestions are predictions. Label Studio knows no person by a
/// name: who it was stands in each annotation, where it leaves it and this program reads it.
#[must_use]
pub fn write(rows: &[Row], writing: &Writing<'_>) -> String {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by(|a, b| a.path.cmp(&b.path));
    let tasks: Vec<String> = rows.into_iter().map(|row| json(&task(row, writing))).collect();
    match tasks.is_empty() {
        true => "[]\n".to_owned(),
        false => format!("[\n{}\n]\n", tasks.join(",\n")),
    }
}

fn task(row: &Row, writing: &Writing<'_>) -> Value {
    let says = |class: &str, person: Option<&str>| {
        let id = &row.hash.get(..10).unwrap_or(&row.hash);
        let value = json!({"choices": [class]});
        let mut said =
            json!({"id": id, "from_name": "class", "to_name": "image", "type": "choices", "value": value});
        // What else stands in an annotation is lost on the way through Label Studio, where all are of who imported them:
        // two who disagree would be one who thought twice.
        if let Some(person) = person {
            said["meta"] = json!({"person": person});
        }
        json!([said])
    };
    let annotation = |answer: &Answer| {
        let mut annotation = json!({
            "result": answer.class.as_deref().map_or(json!([]), |class| says(class, answer.person.as_deref())),
            "was_cancelled": answer.act == Act::Discard,
            // Else Label Studio takes it for the truth that others are measured by.
            "ground_truth": false,
        });
        if let Some(seconds) = answer.seconds.filter(|seconds| seconds.is_finite()) {
            annotation["lead_time"] = seconds.into();
        }
        if let Some(at) = answer.at {
            annotation["created_at"] = time::text(at).into();
        }
        if let Some(person) = &answer.person {
            annotation["person"] = person.as_str().into();
        }
        annotation
    };
    let said = match row.state {
        State::Labelled | State::Discarded | State::Conflict => current(&row.history),
        State::Open | State::Later | State::Unsure => Vec::new(),
    };
    let mut task = json!({
        "data": {
            "image": format!("{}{}", writing.prefix, encode(&row.path)),
            "path": row.path,
            "hash": row.hash,
            "split": split(row),
        },
        "annotations": said.iter().copied().map(annotation).collect::<Vec<_>>(),
    });
    if let (State::Labelled, Some(class), []) = (row.state, &row.class, &said[..]) {
        // Of a caller that has no history.
        task["annotations"] =
            json!([{"result": says(class, None), "was_cancelled": false, "ground_truth": false}]);
    }
    if let Some(suggestion) = &row.suggestion {
        task["predictions"] = json!([{
            "model_version": writing.model,
            "score": suggestion.confidence,
            "result": says(&suggestion.class, None),
        }]);
    }
    task
}

/// The latest answer of each person that was not taken back and says a class or discards. A review settles: what
/// was said before it does not count.
fn current(history: &[Answer]) -> Vec<&Answer> {
    let undone: HashSet<i64> = history.iter().filter_map(|answer| answer.undoes).collect();
    let mut current: Vec<&Answer> = Vec::new();
    for answer in history {
        if undone.contains(&answer.answer) || answer.act == Act::Undo {
            continue;
        }
        if answer.source == Source::Review {
            current.clear();
        }
        current.retain(|other| other.person != answer.person);
        current.push(answer);
    }
    current.retain(|answer| matches!(answer.act, Act::Label | Act::Discard));
    current
}

/// The labelling interface that what [`write()`] writes is of, for the settings of a project of Label Studio.
#[must_use]
pub fn interface(classes: &[Class]) -> String {
    let escape = |text: &str| {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        text.replace('\n', "&#10;").replace('\r', "&#13;").replace('\t', "&#9;")
    };
    let choice = |class: &Class| {
        let colour =
            class.colour.as_deref().map_or(String::new(), |c| format!(" background=\"{}\"", escape(c)));
        format!("    <Choice value=\"{}\"{colour}/>\n", escape(&class.name))
    };
    let choices: String = classes.iter().map(choice).collect();
    format!(
        "<View>\n  <Image name=\"image\" value=\"$image\"/>\n  <Choices name=\"class\" toName=\"image\" \
         choice=\"single\">\n{choices}  </Choices>\n</View>\n"
    )
}

/// Reads an export of Label Studio: every annotation of every task in order, as answers of whoever completed it.
/// Cancelled annotations, and those without or with several choices, are left out; predictions and drafts are
/// not looked at.
///
/// # Errors
/// What is not JSON or not a list of tasks, a task without an image, by its place in the list, counted from 1.
pub fn read(text: &str) -> Result<Labels> {
    let foreign = |got: String| {
        Error::input("this is no export of Label Studio")
            .expected("a JSON list of tasks, as \"JSON\" exports it")
            .got(got)
    };
    let tasks: Vec<Value> = match serde_json::from_str(text) {
        Ok(Value::Array(tasks)) => tasks,
        Ok(_) => {
            return Err(foreign("JSON that is no list".into())
                .hint("an object a line is the format jsonl")
                .into());
        }
        Err(error) => {
            let error_at = format!("line {}", error.line());
            return Err(foreign(plain(&error))
                .at(error_at)
                .hint("an object a line is the format jsonl; other formats of Label Studio are not read")
                .into());
        }
    };
    let mut labels = Labels::default();
    for (n, task) in tasks.iter().enumerate() {
        let line = n + 1;
        let at = || format!("task {line}");
        if task.get("data").is_none() && task.get("annotations").is_none() {
            let hint = "export as \"JSON\": \"JSON-MIN\" leaves out who said what; its \"CSV\" is read too";
            return Err(foreign("an entry without \"data\" and \"annotations\"".into())
                .at(at())
                .hint(hint)
                .into());
        }
        let (path, file) = image(task).ok_or_else(|| {
            let expected = "\"data\": {\"image\": \"…\"}";
            Error::from(Error::input("a task without an image").at(at()).expected(expected))
        })?;
        if path.len() > MOST_TEXT {
            let error = Error::input("an address that is too long").at(at());
            return Err(error.expected(format!("at most {MOST_TEXT} bytes")).got(path.len()).into());
        }
        let data = |key: &str| task["data"][key].as_str();
        let hash =
            data("hash").filter(|hash| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()));
        let annotations = task["annotations"].as_array().map_or(&[][..], Vec::as_slice);
        for annotation in annotations {
            let class = match choice(annotation) {
                Ok(class) => class,
                Err(why) => {
                    labels.leave_out(|| format!("task {line}: {why}"));
                    continue;
                }
            };
            let when = |key: &str| annotation[key].as_str().and_then(time::parse);
            let seconds = annotation["lead_time"].as_f64().filter(|seconds| *seconds >= 0.0);
            labels.records.push(Record {
                line,
                path: path.to_owned(),
                file: file.map(str::to_owned),
                hash: hash.map(str::to_ascii_lowercase),
                holdout: data("split").map(|split| split == "holdout"),
                answer: Answer {
                    answer: labels.records.len() as i64 + 1,
                    person: person(annotation),
                    at: when("updated_at").or_else(|| when("created_at")),
                    act: Act::Label,
                    class: Some(class.to_owned()),
                    undoes: None,
                    seconds,
                    suggested: None,
                    source: Source::Import,
                    token: None,
                },
            });
        }
    }
    columns::finish(labels)
}

/// The image of a task, and where Label Studio has it if that is something else: the path that this program
/// wrote, or what stands under `image`, or the one value that looks like an image's address.
fn image(task: &Value) -> Option<(&str, Option<&str>)> {
    let data = task["data"].as_object()?;
    let text = |key: &str| data.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let known = ["image", "img", "image_url", "url", "file"].into_iter().find_map(text);
    let seems = |text: &&str| {
        let end = text
            .split(['?', '#'])
            .next()
            .unwrap_or_default()
            .rsplit('.')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        text.starts_with("/data/")
            || ["png", "jpg", "jpeg", "bmp", "webp", "tif", "tiff"].contains(&end.as_str())
    };
    let address = known.or_else(|| data.values().filter_map(Value::as_str).find(seems));
    match text("path") {
        Some(path) => Some((path, address)),
        None => address.map(|address| (address, None)),
    }
}

/// The one class that an annotation says.
fn choice(annotation: &Value) -> Result<&str, &'static str> {
    if annotation["was_cancelled"].as_bool() == Some(true) {
        return Err("skipped by the annotator");
    }
    let results = annotation["result"].as_array().map_or(&[][..], Vec::as_slice);
    let mut choices = results
        .iter()
        .filter_map(|result| result["value"]["choices"].as_array())
        .flatten()
        .filter_map(Value::as_str)
        .filter(|class| !class.is_empty());
    match (choices.next(), choices.next()) {
        (None, _) => Err("no choice"),
        (Some(class), _) if class.len() > MOST_TEXT => Err("a choice that is too long"),
        (Some(class), None) => Ok(class),
        (Some(_), Some(_)) => Err("several choices"),
    }
}

/// Who completed an annotation: the name that this program wrote, an address, or a number.
fn person(annotation: &Value) -> Option<String> {
    let by = &annotation["completed_by"];
    let text =
        |value: &Value| value.as_str().filter(|t| !t.is_empty() && t.len() <= MOST_TEXT).map(str::to_owned);
    text(&annotation["result"][0]["meta"]["person"])
        .or_else(|| text(&annotation["person"]))
        .or_else(|| text(&by["email"]))
        .or_else(|| text(by))
        .or_else(|| by.as_u64().or_else(|| by["id"].as_u64()).map(|id| format!("annotator {id}")))
}

/// A path as part of an address: what is not a letter, a digit or one of `-._~/` of ASCII is percent-encoded.
pub(in crate::project) fn encode(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
