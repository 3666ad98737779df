//! Images and their thumbnails, as a browser shows them.
//!
//! Never here: where files are and how they are decoded (`vabal::project`).

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::available_parallelism;

use vabal::Error;
use vabal::error::Cause;
use vabal::project::{ImageId, Picture};

use crate::api;
use crate::app::App;
use crate::error::{Answer, Failure};
use crate::http::{Head, Request, Response};

/// Lets as many images be decoded at once as there are cores, and each content by one only: a large
/// image needs hundreds of megabytes while it is decoded, and the second who wants a thumbnail
/// finds it made.
#[derive(Debug)]
pub struct Decoders {
    busy: Mutex<HashSet<String>>,
    freed: Condvar,
    most: usize,
}

impl Default for Decoders {
    fn default() -> Self {
        let most = available_parallelism().map_or(2, usize::from);
        Self { busy: Mutex::default(), freed: Condvar::new(), most }
    }
}

struct Turn<'a>(&'a Decoders, String);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
        self.0.freed.notify_all();
    }
}

impl Decoders {
    /// Waits for the turn of the image with this content.
    fn turn(&self, hash: &str) -> Turn<'_> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        while busy.len() >= self.most || busy.contains(hash) {
            busy = self.freed.wait(busy).unwrap_or_else(PoisonError::into_inner);
        }
        busy.insert(hash.to_owned());
        drop(busy);
        Turn(self, hash.to_owned())
    }
}

/// `GET /image/ID`: the file where browsers show such, else as PNG.
pub fn original(app: &App, Request { id, head, .. }: &Request) -> Answer {
    let (picture, hash) = find(app, id)?;
    if let Some(response) = cached_response(head, &hash, false) {
        // The file may have gone meanwhile.
        return picture.locate().map(|_| response).map_err(gone);
    }
    let _turn = app.decoders.turn(&hash);
    let content = picture.for_browser().map_err(gone)?;
    Ok(tagged(Response::new(200, content.content_type, content.bytes), &hash, false))
}

/// `GET /thumb/ID?size=256&hash=…`: JPEG. With the beginning of the content's hash in the address
/// it is the same for ever.
pub fn thumb(app: &App, Request { id, head, .. }: &Request) -> Answer {
    let size: u32 = api::asked(head, "size", "a number of pixels")?.unwrap_or(256);
    let (picture, hash) = find(app, id)?;
    let for_ever = head.asked("hash").is_some_and(|given| given.len() >= 8 && hash.starts_with(given));
    if let Some(response) = cached_response(head, &hash, for_ever) {
        return Ok(response);
    }
    let _turn = app.decoders.turn(&hash);
    let bytes = picture.thumbnail(size).map_err(gone)?;
    Ok(tagged(Response::new(200, "image/jpeg", bytes), &hash, for_ever))
}

fn find(app: &App, id: &str) -> Answer<(Picture, String)> {
    let image: ImageId = api::number(id, "image")?;
    let found = app.read(|project| Ok((project.picture(image)?, project.images(&[image])?.pop())))?;
    match found {
        (Some(picture), Some(image)) => Ok((picture, image.hash)),
        _ => Err(Failure::missing("image", id)),
    }
}

/// The answer to a browser that has it already.
fn cached_response(head: &Head, hash: &str, for_ever: bool) -> Option<Response> {
    let tag = format!("\"{hash}\"");
    let has = head.header("if-none-match")?.split(',').any(|known| known.trim() == tag);
    has.then(|| tagged(Response::empty(304), hash, for_ever))
}

fn tagged(response: Response, hash: &str, for_ever: bool) -> Response {
    let keep = if for_ever { "private, max-age=31536000, immutable" } else { "private, no-cache" };
    response.with("ETag", format!("\"{hash}\"")).with("Cache-Control", keep)
}

/// 410: it was there, and is no more, or is something else.
fn gone(error: Error) -> Failure {
    match error.cause() {
        Cause::Missing => Failure::new(
            410,
            error
                .complaint()
                .hint("put the file back, or go on: the page asks another; `vabal scan` notes it as missing"),
        ),
        Cause::Caller => Failure::new(410, error.complaint()),
        _ => error.into(),
    }
}
