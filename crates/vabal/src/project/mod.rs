//! A person's labelling project: a folder of images, who said what of them, and what to ask next,
//! in one SQLite file.
//!
//! Answers are rows that are never changed; everything else follows from them. A [`Project`] is one
//! connection: whoever works beside it, such as training, opens another of the same folder, in this
//! process or the next. Everything that is written is one transaction, on the disk before the call
//! returns. Never here: HTTP, printing, networks.
//!
//! ```
//! use vabal::progress::silent;
//! use vabal::project::{Act, Answer, Answers, Project, Settings, Source, status};
//!
//! let place = tempfile::tempdir()?;
//! let images = place.path().join("images");
//! std::fs::create_dir(&images)?;
//! for grey in [40, 200] {
//!     let picture = image::GrayImage::from_pixel(8, 8, image::Luma([grey]));
//!     picture.save(images.join(format!("{grey}.png")))?;
//! }
//! let classes = ["dark".to_owned(), "light".to_owned()];
//! let mut project = Project::create(&place.path().join("grey"), &images, &classes, Settings::default())?;
//! project.import(&mut silent())?;
//!
//! // A custom oracle: what the page does, without a page.
//! while let Some(question) = project.next("oracle", 1, &[])?.questions.first() {
//!     let class = u32::from(question.path.starts_with("200"));
//!     let answer = Answer {
//!         image: question.id,
//!         act: Act::Label,
//!         class: Some(class),
//!         seconds: None,
//!         suggested: None,
//!     };
//!     project.answer(&Answers {
//!         person: "oracle".into(),
//!         token: question.path.clone(),
//!         answers: vec![answer],
//!         duplicates: false,
//!         source: Source::Page,
//!     })?;
//! }
//! assert_eq!(status::of(&project)?.counts.labelled, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answers;
mod asking;
mod classes;
mod colours;
mod confusion;
mod counts;
pub mod exchange;
mod export;
mod guides;
mod image_id;
mod images;
pub mod learn;
mod listing;
pub mod map;
mod merging;
mod names;
mod near;
mod outlook;
mod persons;
mod pictures;
mod predict;
mod review;
mod rounds;
mod settings;
pub mod status;
mod store;
pub mod suggesting;
mod transfer;
pub mod why;
mod words;

use std::path::PathBuf;

pub use crate::data::walk::Bad;
pub use answers::{Answer, Answered, AnsweredImage, Answers, Appended, Undone};
pub use asking::{Asked, LEASE_SECONDS, Next};
pub use classes::{Class, ClassChange, MOST_CLASSES, NewClass};
pub use confusion::{Acceptance, Confusion};
pub use counts::{ClassCount, Counts, HoldoutCounts};
pub use export::{Exported, Shape};
pub use guides::{Example, Guide, Note};
pub use image_id::ImageId;
pub use images::Imported;
pub use listing::{Detail, Event, Image, ListQuery, Page, Probability, Sort, StateFilter, Suggestion};
pub use merging::Merged;
pub use persons::{Agreement, PersonStatus};
pub use pictures::{Content, Picture};
pub use predict::{Predicted, Predictions};
pub use review::{Group, GroupPage, ReviewKind, ReviewPage, Reviewed, Said};
pub use rounds::{Candidate, Prediction, Queued, Round, RoundState, Summary};
pub use settings::{Change, Settings};
pub use store::{FILE, Overview, VERSION};
pub use suggesting::Suggestions;
pub use transfer::Taken;
pub use vabal_query::estimate;
pub use why::{Reason, ReasonKind};
pub use words::{Act, Source, State};

/// A project that is open: one connection to its store.
#[derive(Debug)]
pub struct Project {
    connection: rusqlite::Connection,
    folder: PathBuf,
    file: PathBuf,
}

#[cfg(test)]
mod tests;
