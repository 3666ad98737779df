//! Labels in and out as files.

use vabal::Error;
use vabal::progress::silent;
use vabal::project::exchange::label_studio::{LOCAL_FILES, Writing};
use vabal::project::exchange::{self, Detail, Format, Reading, csv, json_lines, label_studio};

use super::{json, person};
use crate::app::App;
use crate::error::{Answer, Failure};
use crate::http::{Head, Request, Response};

/// `POST /api/import?format=csv|jsonl|label-studio&person=P`, the body is the file. `question` and
/// `image` name the part of it that is meant, as [`exchange::Reading`] says; with `by_name=true`
/// names of files are enough. `as=suggestions&name=FILE` takes what it says for suggestions of
/// another model.
pub fn import(app: &App, request: &Request) -> Answer {
    let (format, person) = (format(&request.head)?, person(&request.head)?);
    let asked = |key: &str| request.head.asked(key).map(str::to_owned);
    let suggestions = match request.head.asked("as") {
        None | Some("labels") => false,
        Some("suggestions") => true,
        Some(other) => {
            let what = "a part of the address cannot be read";
            return Err(Failure::wrong(what, "as", "labels or suggestions", other));
        }
    };
    let reading = Reading { question: asked("question"), image: asked("image"), suggestions };
    let by_name = request.head.asked("by_name") == Some("true");
    let labels = exchange::read(&request.body, format, &reading)?;
    if suggestions {
        let name = request.head.asked("name").filter(|name| !name.is_empty()).unwrap_or("a file");
        return json(&app.write(|project| project.suggest(&labels, name, by_name, &mut silent()))?);
    }
    let taken = app.write(|project| project.take_in_by(&labels, person, by_name, &mut silent()))?;
    app.consider_training();
    json(&taken)
}

/// `GET /api/export?format=csv|jsonl|label-studio&detail=labels|answers`, as a download
pub fn export(app: &App, Request { head, .. }: &Request) -> Answer {
    let format = format(head)?;
    let detail = match head.asked("detail") {
        None | Some("labels") => Detail::Labels,
        Some("answers") => Detail::Answers,
        Some(other) => {
            return Err(Failure::wrong(
                "a part of the address cannot be read",
                "detail",
                "labels or answers",
                other,
            ));
        }
    };
    let (rows, classes, settings) =
        app.read(|project| Ok((project.rows()?, project.listed_classes()?, project.settings()?)))?;
    let (text, kind, ending) = match format {
        Format::Csv => (csv::write(&rows, detail), "text/csv; charset=utf-8", "csv"),
        Format::JsonLines => (json_lines::write(&rows, &classes, detail), "application/x-ndjson", "jsonl"),
        Format::LabelStudio => {
            let writing = Writing { prefix: LOCAL_FILES, model: &settings.strategy };
            (label_studio::write(&rows, &writing), "application/json; charset=utf-8", "json")
        }
    };
    let what = if detail == Detail::Answers { "answers" } else { "labels" };
    let name: String =
        settings.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    Ok(Response::new(200, kind, text.into_bytes())
        .with("Cache-Control", "no-store")
        .with("Content-Disposition", format!("attachment; filename=\"{name}-{what}.{ending}\"")))
}

fn format(head: &Head) -> Answer<Format> {
    match head.asked("format") {
        Some(word) => Ok(Format::of(word)?),
        None => Err(Failure::new(
            400,
            Error::input("missing parameter `format`")
                .at("format")
                .expected(Format::NAMES.join(", "))
                .got("none"),
        )),
    }
}
