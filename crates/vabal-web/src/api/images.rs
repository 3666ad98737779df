//! Images listed, one in full, notes of them.

use serde::Deserialize;
use vabal::Error;
use vabal::project::{ImageId, ListQuery};

use super::{asked, body, json, number, word};
use crate::app::App;
use crate::error::{Answer, Failure};
use crate::http::Request;

/// `GET /api/images?state=&class=&predicted=&low=&high=&flag=&among=&search=&sort=&after=&limit=`;
/// with `like=ID` instead of `sort` and `after` the images that look most like that one
pub fn list(app: &App, Request { head, .. }: &Request) -> Answer {
    let among = head.asked("among").map(|name| {
        let found = app.selections.find(name).ok_or_else(|| {
            let gone = Error::input(
                "this selection is no longer kept: the server was started again, or many followed",
            );
            Failure::new(410, gone.hint("choose the images on the map again"))
        });
        found.map(|images| images.to_vec())
    });
    let query = ListQuery {
        among: among.transpose()?,
        state: word(head, "state", "open, labelled, later, unsure, discarded, conflict or missing")?,
        class: asked(head, "class", "the id of a class")?,
        predicted: asked(head, "predicted", "the id of a class")?,
        low: asked(head, "low", "0 to 1")?,
        high: asked(head, "high", "0 to 1")?,
        flag: asked(head, "flag", "true or false")?,
        search: head.asked("search").map(String::from),
        sort: word(head, "sort", "id, path, confidence, doubt or recent")?,
        after: head.asked("after").map(String::from),
        limit: asked(head, "limit", "1 to 1000")?,
    };
    let Some(like) = asked(head, "like", "the id of an image")? else {
        return json(&app.read(|project| project.list(&query))?);
    };
    // The scan holds no state of the store.
    let order = app.read(|project| (app.work.alike)(project, like))?;
    json(&app.read(|project| project.list_in_order(&query, &order))?)
}

/// `GET /api/images/ID`
pub fn detail(app: &App, Request { id, .. }: &Request) -> Answer {
    let image: ImageId = number(id, "image")?;
    let detail = app.read(|project| project.detail(image))?;
    json(&detail.ok_or_else(|| Failure::missing("image", id))?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Noted {
    person: String,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    flag: Option<bool>,
}

/// `PUT /api/images/ID/note`: writes a note of an image, flags it or takes the flag off
pub fn note(app: &App, request: &Request) -> Answer {
    let image: ImageId = number(&request.id, "image")?;
    let Noted { person, note, flag } = body(request)?;
    json(&app.write(|project| project.note_image(image, &person, note.as_deref(), flag))?)
}
