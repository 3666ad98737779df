//! What is worth another look: labels that the model doubts, conflicts, images that are alike.

use vabal::project::ReviewKind;

use super::{asked, json, word};
use crate::app::App;
use crate::error::{Answer, Failure};
use crate::http::Request;

/// `GET /api/review?kind=doubt|conflict&after=&limit=`
pub fn list(app: &App, Request { head, .. }: &Request) -> Answer {
    let kind: ReviewKind = word(head, "kind", "doubt or conflict")?.unwrap_or(ReviewKind::Doubt);
    let limit = asked(head, "limit", "1 to 1000")?;
    json(&app.read(|project| project.review(kind, head.asked("after"), limit))?)
}

/// `GET /api/duplicates?near=0|1&after=&limit=`
pub fn duplicates(app: &App, Request { head, .. }: &Request) -> Answer {
    let near = match head.asked("near") {
        None | Some("0" | "false") => false,
        Some("1" | "true") => true,
        Some(other) => {
            return Err(Failure::wrong("a part of the address cannot be read", "near", "0 or 1", other));
        }
    };
    let limit = asked(head, "limit", "1 to 1000")?;
    json(&app.read(|project| project.duplicates(near, head.asked("after"), limit))?)
}
