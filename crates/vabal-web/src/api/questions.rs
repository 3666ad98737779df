//! What to ask next.

use vabal::project::ImageId;

use super::{asked, json_with_round, parsed, person};
use crate::app::App;
use crate::error::Answer;
use crate::http::Request;

/// `GET /api/next?person=P&n=12&have=1,2,3`
pub fn next(app: &App, Request { head, .. }: &Request) -> Answer {
    let person = person(head)?;
    let n: usize = asked(head, "n", "a whole number")?.unwrap_or(12);
    let have: Vec<ImageId> = head
        .asked("have")
        .unwrap_or_default()
        .split(',')
        .filter(|id| !id.is_empty())
        .map(|id| parsed(id, "have", "ids of images, with commas between"))
        .collect::<Answer<_>>()?;
    json_with_round(&app.write(|project| project.next(person, n, &have))?)
}
