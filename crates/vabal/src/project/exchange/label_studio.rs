//! The JSON that Label Studio exports and imports: a list of tasks with annotations of one choice
//! for each image.
//!
//! Never here: other kinds of annotation, the server.
//!
//! ```
//! use vabal::project::exchange::{Class, label_studio};
//!
//! let class = Class { name: "scratch".into(), ..Class::default() };
//! assert!(label_studio::interface(&[class]).contains(r#"<Choice value="scratch""#));
//! ```

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde_json::{Value, json};

use super::columns::{self, split};
use super::json_lines::{json, plain};
use super::{
    Act, Answer, Class, Labels, MOST_TEXT, Note, Reading, Record, Remark, Row, Source, State, shortened, time,
};
use crate::data::walk::claims;
use crate::error::{Complaint, Error, Result};

/// How Label Studio is to find what is exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writing<'a> {
    /// What stands before the path of an image, which is percent-encoded: [`LOCAL_FILES`] and the
    /// folder below Label Studio's document root, or the address of a web server.
    pub prefix: &'a str,
    /// The name that suggestions go by.
    pub model: &'a str,
}

/// How Label Studio calls files of its own machine.
pub const LOCAL_FILES: &str = "/data/local-files/?d=";

/// Every image as a task, by path, with what people say of it now: an annotation each, also where
/// they disagree; a cancelled one where an image was discarded. Suggestions are predictions. Label
/// Studio knows no person by a name: who it was stands in each annotation, where it leaves it and
/// this program reads it.
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
        // What else stands in an annotation is lost on the way through Label Studio, where all are
        // of who imported them: two who disagree would be one who thought twice.
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
    if row.note != Note::default() {
        task["meta"] = json!({"note": row.note.note, "flag": row.note.flag});
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

/// The latest answer of each person that was not taken back and says a class or discards. A review
/// settles: what was said before it does not count.
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

/// The labelling interface that what [`write()`] writes is of, for the settings of a project of
/// Label Studio.
#[must_use]
pub fn interface(classes: &[Class]) -> String {
    let escape = |text: &str| {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        text.replace('\n', "&#10;").replace('\r', "&#13;").replace('\t', "&#9;")
    };
    let choice = |class: &Class| {
        let colour =
            class.colour.as_deref().map_or(String::new(), |c| format!(" background=\"{}\"", escape(c)));
        let hint = Some(&class.description).filter(|text| !text.is_empty());
        let hint = hint.map_or(String::new(), |text| format!(" hint=\"{}\"", escape(text)));
        format!("    <Choice value=\"{}\"{colour}{hint}/>\n", escape(&class.name))
    };
    let choices: String = classes.iter().map(choice).collect();
    format!(
        "<View>\n  <Image name=\"image\" value=\"$image\"/>\n  <Choices name=\"class\" toName=\"image\" \
         choice=\"single\">\n{choices}  </Choices>\n</View>\n"
    )
}

/// Reads an export of Label Studio: every annotation of every task in order, as answers of whoever
/// completed it; also of versions before 1.0, which called them completions. Cancelled annotations,
/// those without or with several choices, and choices of regions are left out; drafts are not
/// looked at, and predictions only where suggestions are read, instead of annotations.
///
/// # Errors
/// What is not JSON or not a list of tasks, a task without an image, by its place in the list,
/// counted from 1; several questions, or several images in a task, of which `reading` names none.
pub fn read(text: &str, reading: &Reading) -> Result<Labels> {
    let tasks = tasks(text)?;
    let question = question(&tasks, reading)?;
    let mut labels = Labels::default();
    for (n, task) in tasks.iter().enumerate() {
        let line = n + 1;
        let at = || format!("task {line}");
        let address = image(task, reading).map_err(|error| error.at(at()))?;
        if address.path.len() > MOST_TEXT {
            let error = Error::input("an address that is too long").at(at());
            return Err(error.expected(format!("at most {MOST_TEXT} bytes")).got(address.path.len()).into());
        }
        let data = |key: &str| task["data"][key].as_str();
        let hash =
            data("hash").filter(|hash| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()));
        let note = Note {
            note: task["meta"]["note"].as_str().unwrap_or_default().to_owned(),
            flag: task["meta"]["flag"].as_bool().unwrap_or_default(),
        };
        if note != Note::default() && !reading.suggestions {
            let (path, hash) = (address.path.to_owned(), hash.map(str::to_ascii_lowercase));
            labels.remarks.push(Remark { path, hash, note });
        }
        for annotation in said_of(task, reading) {
            let (class, regions) = choice(annotation, question.as_deref());
            for _ in 0..regions {
                labels.leave_out(at(), columns::REGIONS);
            }
            let class = match class {
                Ok(class) => class,
                Err(why) => {
                    if regions == 0 {
                        labels.leave_out(at(), why);
                    }
                    continue;
                }
            };
            // Before 1.0 a number of seconds.
            let when = |key: &str| match &annotation[key] {
                Value::String(text) => time::parse(text),
                Value::Number(seconds) => seconds.as_f64().map(|seconds| (seconds * 1000.0) as i64),
                _ => None,
            };
            let score = annotation["score"].as_f64().filter(|score| (0.0..=1.0).contains(score));
            let score = score.filter(|_| reading.suggestions);
            let seconds = annotation["lead_time"].as_f64().filter(|seconds| *seconds >= 0.0);
            labels.records.push(Record {
                line,
                path: address.path.to_owned(),
                file: address.file.map(str::to_owned),
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
                probabilities: score.map(|score| (class.to_owned(), score)).into_iter().collect(),
            });
        }
    }
    columns::finish(labels)
}

/// The tasks of a file.
fn tasks(text: &str) -> Result<Vec<Value>> {
    let foreign = |got: String| {
        Error::input("not an export of Label Studio")
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
    let empty =
        |task: &Value| ["data", "annotations", "completions"].iter().all(|key| task.get(key).is_none());
    if let Some(n) = tasks.iter().position(empty) {
        let hint = "export as \"JSON\": \"JSON-MIN\" leaves out who said what; its \"CSV\" is read too";
        return Err(foreign("an entry without \"data\" and \"annotations\"".into())
            .at(format!("task {}", n + 1))
            .hint(hint)
            .into());
    }
    Ok(tasks)
}

/// What people said of a task, or models where suggestions are read.
fn said_of<'a>(task: &'a Value, reading: &Reading) -> Vec<&'a Value> {
    match reading.suggestions {
        true => task["predictions"].as_array().into_iter().flatten().collect(),
        false => annotations(task).collect(),
    }
}

/// What people said of a task.
fn annotations(task: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["annotations", "completions"].into_iter().filter_map(|key| task[key].as_array());
    lists.flatten()
}

/// The question whose choices are the classes: the one that there is, or that is named. None where
/// results do not name theirs.
fn question(tasks: &[Value], reading: &Reading) -> Result<Option<String>> {
    let mut asked: BTreeMap<&str, usize> = BTreeMap::new();
    let results = tasks.iter().flat_map(|task| said_of(task, reading)).flat_map(|annotation| {
        choices_of(annotation)
            .filter(|(_, is_region)| !is_region)
            .filter_map(|(result, _)| result["from_name"].as_str())
    });
    for name in results {
        *asked.entry(name).or_default() += 1;
    }
    let all = || {
        let all: Vec<String> =
            asked.iter().map(|(name, count)| format!("{} ({count} answers)", shortened(name))).collect();
        all.join(", ")
    };
    match &reading.question {
        Some(name) if asked.contains_key(name.as_str()) => Ok(Some(name.clone())),
        Some(name) => Err(Error::input("there is no such question in this file")
            .expected(if asked.is_empty() {
                "a file whose answers name their question".into()
            } else {
                all()
            })
            .got(shortened(name))
            .hint("--question takes the name of a Choices tag")
            .into()),
        None if asked.len() > 1 => Err(Error::input("several questions in one file")
            .expected("the one whose choices are the classes")
            .got(all())
            .hint(format!("name it, such as --question {}", asked.keys().next().unwrap_or(&"class")))
            .into()),
        None => Ok(asked.keys().next().map(|name| (*name).to_owned())),
    }
}

/// The results of an annotation that are choices, and whether each is of a region.
fn choices_of(annotation: &Value) -> impl Iterator<Item = (&Value, bool)> {
    let results = annotation["result"].as_array().map_or(&[][..], Vec::as_slice);
    let chosen = |result: &Value| result["value"]["choices"].is_array();
    let places = ["x", "y", "width", "height", "points", "rle", "vertices", "start", "end", "sequence"];
    let is_region = move |result: &Value| {
        let placed = places.iter().any(|key| result["value"].get(key).is_some());
        // A choice goes by the id of the region that it is of.
        let drawn = |other: &Value| !chosen(other) && !other["id"].is_null() && other["id"] == result["id"];
        placed || !result["parentID"].is_null() || results.iter().any(drawn)
    };
    results.iter().filter(move |result| chosen(result)).map(move |result| (result, is_region(result)))
}

/// Where the image of a task is.
struct Address<'a> {
    path: &'a str,
    /// Where Label Studio has it, if that is something else.
    file: Option<&'a str>,
}

/// The image of a task: the path that this program wrote, or what stands under the key that is
/// named or `image`, or the one value that looks like an image's address.
fn image<'a>(task: &'a Value, reading: &Reading) -> Result<Address<'a>, Complaint> {
    let missing = |key: &str| {
        Error::input("a task without an image").expected(format!("\"data\": {{\"{key}\": \"…\"}}"))
    };
    let Some(data) = task["data"].as_object() else { return Err(missing("image")) };
    let text = |key: &str| data.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(key) = &reading.image {
        let path = text(key).ok_or_else(|| {
            let keys: Vec<&str> = data.keys().map(String::as_str).collect();
            missing(&shortened(key))
                .got(shortened(&keys.join(", ")))
                .hint("--image-key names the key of the image")
        })?;
        return Ok(Address { path, file: None });
    }
    let known = ["image", "img", "image_url", "url", "file"].into_iter().find_map(text);
    let seems = |(_, text): &(&String, &str)| {
        let name = text.split(['?', '#']).next().unwrap_or_default();
        text.starts_with("/data/") || claims(Path::new(&name.replace('\\', "/")))
    };
    let address = match known {
        Some(known) => Some(known),
        None => {
            let texts = data.iter().filter_map(|(key, value)| Some((key, value.as_str()?)));
            let mut seem: Vec<(&String, &str)> = texts.filter(seems).collect();
            seem.dedup_by_key(|(_, text)| *text);
            if text("path").is_none() && seem.len() > 1 {
                let keys: Vec<&str> = seem.iter().map(|(key, _)| key.as_str()).collect();
                return Err(Error::input("a task with several images")
                    .expected("one that the labels are of")
                    .got(shortened(&keys.join(", ")))
                    .hint(format!("name its key, such as --image-key {}", shortened(keys[0]))));
            }
            seem.first().map(|(_, text)| *text)
        }
    };
    match (text("path"), address) {
        (Some(path), file) => Ok(Address { path, file }),
        (None, Some(path)) => Ok(Address { path, file: None }),
        (None, None) => Err(missing("image")),
    }
}

/// The one class that an annotation says of its image, and how many choices it has of regions.
fn choice<'a>(annotation: &'a Value, question: Option<&str>) -> (Result<&'a str, &'static str>, usize) {
    let is_true = |key: &str| annotation[key].as_bool() == Some(true);
    if is_true("was_cancelled") || is_true("skipped") {
        return (Err("skipped by the annotator"), 0);
    }
    let regions = choices_of(annotation).filter(|(_, is_region)| *is_region).count();
    let asked = |result: &Value| match (result["from_name"].as_str(), question) {
        (Some(name), Some(question)) => name == question,
        _ => true,
    };
    let mut choices = choices_of(annotation)
        .filter(|(result, is_region)| !is_region && asked(result))
        .filter_map(|(result, _)| result["value"]["choices"].as_array())
        .flatten()
        .filter_map(Value::as_str)
        .filter(|class| !class.is_empty());
    let class = match (choices.next(), choices.next()) {
        (None, _) => Err("no choice"),
        (Some(class), _) if class.len() > MOST_TEXT => Err("a choice that is too long"),
        (Some(class), None) => Ok(class),
        (Some(_), Some(_)) => Err(columns::SEVERAL),
    };
    (class, regions)
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

/// A path as part of an address: what is not a letter, a digit or one of `-._~/` of ASCII is
/// percent-encoded.
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
