//! Classes: added, changed, merged and taken apart again, deleted, described.

use serde::Deserialize;
use serde_json::json;
use vabal::Label;
use vabal::project::{ClassChange, ImageId, NewClass, Project};

use super::{body, json, number};
use crate::app::App;
use crate::error::{Answer, Failure};
use crate::http::Request;

/// `POST /api/classes`
pub fn add(app: &App, request: &Request) -> Answer {
    let class: NewClass = body(request)?;
    json(&app.write(|project| project.add_class(&class))?)
}

/// `PATCH /api/classes/ID`
pub fn change(app: &App, request: &Request) -> Answer {
    let id = &request.id;
    let class: Label = number(id, "class")?;
    let change: ClassChange = body(request)?;
    let changed = app.write(|project| project.change_class(class, &change))?;
    json(&changed.ok_or_else(|| Failure::missing("class", id))?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Merge {
    into: Label,
}

/// `POST /api/classes/ID/merge`
pub fn merge(app: &App, request: &Request) -> Answer {
    let id = &request.id;
    let class: Label = number(id, "class")?;
    let Merge { into } = body(request)?;
    let left = app.write(|project| project.merge_class(class, into))?;
    json(&json!({ "classes": left.ok_or_else(|| Failure::missing("class", id))? }))
}

/// `POST /api/classes/ID/split`: takes a merge back
pub fn split(app: &App, request: &Request) -> Answer {
    let id = &request.id;
    let class: Label = number(id, "class")?;
    let left = app.write(|project| project.split_class(class))?;
    json(&json!({ "classes": left.ok_or_else(|| Failure::missing("merged class", id))? }))
}

/// `DELETE /api/classes/ID`
pub fn delete(app: &App, request: &Request) -> Answer {
    let id = &request.id;
    let class: Label = number(id, "class")?;
    let left = app.write(|project| project.delete_class(class))?;
    json(&json!({ "classes": left.ok_or_else(|| Failure::missing("class", id))? }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    description: String,
}

/// `PUT /api/classes/ID/guide`: says how a class is told from others
pub fn describe(app: &App, request: &Request) -> Answer {
    let class: Label = number(&request.id, "class")?;
    let Described { description } = body(request)?;
    let done = app.write(|project| project.describe_class(class, &description))?;
    guides(app, request, done)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pinned {
    image: ImageId,
    pinned: bool,
}

/// `POST /api/classes/ID/examples`: pins an image as an example of a class, or takes it off
pub fn pin(app: &App, request: &Request) -> Answer {
    let class: Label = number(&request.id, "class")?;
    let Pinned { image, pinned } = body(request)?;
    let done = app.write(|project| project.pin_example(class, image, pinned))?;
    guides(app, request, done)
}

fn guides(app: &App, request: &Request, done: bool) -> Answer {
    if !done {
        return Err(Failure::missing("class", &request.id));
    }
    json(&json!({ "guides": app.read(Project::guides)? }))
}
