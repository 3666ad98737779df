//! Classes: added, changed, merged and taken apart again, deleted.

use serde::Deserialize;
use serde_json::json;
use vabal::Label;
use vabal::project::{ClassChange, NewClass};

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
