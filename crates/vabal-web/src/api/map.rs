//! The map of the pool: whether it is there, its points, what colours them, and images that were
//! chosen on it.
//!
//! Never here: how it is computed (`vabal::project::map`), how it is drawn.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json as object;
use vabal::project::map::{Map, Stand};
use vabal::project::{ImageId, Project};

use super::{asked, body, json};
use crate::app::App;
use crate::error::{Answer, Failure};
use crate::http::{Head, Request, Response};
use crate::training::Pulse;

/// How a map stands.
#[derive(Debug, Serialize)]
struct Shown {
    /// "ready", "wanted", "impossible", "running" or "failed".
    state: &'static str,
    /// Its tag, where it is ready.
    map: Option<String>,
    /// How many images it has, likewise.
    images: usize,
    /// Why it is impossible.
    reason: Option<String>,
    /// How far it is, or why it failed.
    work: Pulse,
}

/// `GET /api/map`
pub fn show(app: &App, _: &Request) -> Answer {
    let work = app.mapping.pulse();
    let shown = |state, work| Shown { state, map: None, images: 0, reason: None, work };
    if work.state == "running" {
        return json(&shown("running", work));
    }
    json(&match app.read(|project| (app.work.map)(project))? {
        Stand::Ready(map) => Shown { map: Some(map.tag()), images: map.len(), ..shown("ready", work) },
        Stand::Impossible(why) => Shown { reason: Some(why), ..shown("impossible", work) },
        Stand::Wanted => shown(if work.state == "failed" { "failed" } else { "wanted" }, work),
    })
}

/// `POST /api/map`: begins to compute it, where it is not there
pub fn make(app: &App, _: &Request) -> Answer {
    let wanted = app.read(|project| (app.work.map)(project))? == Stand::Wanted;
    let (folder, make) = (app.folder().to_path_buf(), Arc::clone(&app.work.make_map));
    let begin =
        || app.mapping.begin(None, Arc::new(move |progress| make(&mut Project::open(&folder)?, progress)));
    json(&object!({ "started": wanted && begin()? }))
}

/// `GET /api/map/points?map=TAG`: [`Map::bytes`]
pub fn points(app: &App, Request { head, .. }: &Request) -> Answer {
    let map = kept(app, head)?;
    let tag = format!("\"{}\"", map.tag());
    if head.header("if-none-match").is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
        return Ok(tagged(Response::empty(304), tag));
    }
    Ok(tagged(Response::new(200, BYTES, map.bytes()), tag))
}

/// `GET /api/map/colours?map=TAG`: [`Project::colours`]
pub fn colours(app: &App, Request { head, .. }: &Request) -> Answer {
    let map = kept(app, head)?;
    let bytes = app.read(|project| project.colours(&map))?;
    Ok(Response::new(200, BYTES, bytes).with("Cache-Control", "no-store"))
}

/// `GET /api/map/changes?since=ANSWER`: the images that were answered since
pub fn changes(app: &App, Request { head, .. }: &Request) -> Answer {
    let since = asked(head, "since", "the number of an answer")?.unwrap_or(0);
    json(&app.read(|project| project.answered_since(since))?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chosen {
    images: Vec<ImageId>,
}

/// `POST /api/selections`: keeps images under a short name, by which `GET /api/images?among=NAME`
/// lists them
pub fn select(app: &App, request: &Request) -> Answer {
    let Chosen { mut images } = body(request)?;
    images.sort_unstable();
    images.dedup();
    let n = images.len();
    json(&object!({ "selection": app.selections.keep(images), "images": n }))
}

const BYTES: &str = "application/octet-stream";

fn kept(app: &App, head: &Head) -> Answer<Map> {
    let tag = head.asked("map").unwrap_or_default();
    app.read(|project| Ok(project.kept_map(tag)))?.ok_or_else(|| Failure::missing("map", tag))
}

fn tagged(response: Response, tag: String) -> Response {
    response.with("ETag", tag).with("Cache-Control", "private, no-cache")
}
