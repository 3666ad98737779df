//! Images as they are listed: filtered, sorted, page by page from where the last one ended, and one
//! image in full.
//!
//! What the model says of the holdout is never shown, listed by or sorted by: who labels it must
//! not know. Never here: who is asked what.

mod filter;

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::types::Value as Sql;
use rusqlite::{OptionalExtension as _, Transaction, params, params_from_iter};
use serde::{Deserialize, Serialize};

pub(super) use filter::{Filter, Lead};

use super::guides::Note;
use super::store::{Attempt, KIND};
use super::why::{self, Reason, ReasonKind, Stats, Terms};
use super::words::{Act, Source, State, words};
use super::{ImageId, Project, review, rounds, suggesting};
use crate::Label;
use crate::error::{Error, Result};

/// Images of a page at most.
pub(super) const MOST: usize = 1000;
/// Images that are like one, where nobody says how many.
const ALIKE: usize = 60;
/// Classes of [`Image::top`].
const TOP: usize = 3;

/// An image as the page shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Image {
    /// For life.
    pub id: ImageId,
    /// Below the folder of images, with `/`.
    pub path: String,
    /// Columns of pixels.
    pub width: u32,
    /// Rows of pixels.
    pub height: u32,
    /// sha256 of the file, in hexadecimal digits.
    pub hash: String,
    /// What is known of it.
    pub state: State,
    /// Its class, where it is labelled.
    pub class: Option<Label>,
    /// Whether it is of the holdout.
    pub holdout: bool,
    /// Whether its file is not there.
    pub missing: bool,
    /// Other images with this content that are there.
    pub duplicates: usize,
    /// The model's guess; `None` for the holdout.
    pub suggestion: Option<Suggestion>,
    /// The classes that the model takes for most probable, at most three; none for the holdout.
    pub top: Vec<Probability>,
    /// Its place in the queue, from 1.
    pub rank: Option<u64>,
    /// Why it is asked, the strongest reason first.
    pub why: Vec<Reason>,
    /// What people wrote of it, and whether it is flagged.
    #[serde(flatten)]
    pub note: Note,
}

/// A guess.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Suggestion {
    /// The class, as what it was merged into.
    pub class: Label,
    /// Its probability.
    pub confidence: f64,
}

words! {
    /// What images are listed by.
    Sort {
        /// In the order in which they were found.
        Id = "id",
        /// By path.
        Path = "path",
        /// The least sure guess first; those without one are left out.
        Confidence = "confidence",
        /// The label that the model doubts most first; only labelled ones with a prediction.
        Doubt = "doubt",
        /// Answered last first; those without an answer are left out.
        Recent = "recent",
    }
}

words! {
    /// Which images are listed.
    StateFilter {
        /// As [`State::Open`].
        Open = "open",
        /// As [`State::Labelled`].
        Labelled = "labelled",
        /// As [`State::Later`].
        Later = "later",
        /// As [`State::Unsure`].
        Unsure = "unsure",
        /// As [`State::Discarded`].
        Discarded = "discarded",
        /// As [`State::Conflict`].
        Conflict = "conflict",
        /// Those whose file is not there, which are listed nowhere else.
        Missing = "missing",
    }
}

/// Which images, in which order, from where, how many.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListQuery {
    /// In this state.
    pub state: Option<StateFilter>,
    /// Labelled as this class.
    pub class: Option<Label>,
    /// Guessed to be of this class.
    pub predicted: Option<Label>,
    /// Guessed with at least this probability.
    pub low: Option<f64>,
    /// Guessed with at most this probability.
    pub high: Option<f64>,
    /// Flagged, or not.
    pub flag: Option<bool>,
    /// Among these.
    pub among: Option<Vec<ImageId>>,
    /// With this in their path; capitals of ASCII do not matter.
    pub search: Option<String>,
    /// In this order; by id where none is given.
    pub sort: Option<Sort>,
    /// After the end of an earlier page: its [`Page::next`].
    pub after: Option<String>,
    /// How many, 1 to 1000; 100 where none is given.
    pub limit: Option<usize>,
}

/// A page of images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    /// The images.
    pub images: Vec<Image>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<String>,
    /// All images that fit; on the first page only.
    pub total: Option<usize>,
}

/// An answer as the history of an image shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Its row.
    pub answer: i64,
    /// Who.
    pub person: String,
    /// Milliseconds since 1970.
    pub at: i64,
    /// What.
    pub act: Act,
    /// The class given, before any merging.
    pub class: Option<Label>,
    /// From where.
    pub source: Source,
    /// Whether it was taken back.
    pub undone: bool,
}

/// A class and how probable it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Probability {
    /// The class.
    pub class: Label,
    /// 0 to 1.
    pub p: f64,
}

/// One image in full.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Detail {
    /// The image.
    pub image: Image,
    /// Every answer, oldest first.
    pub history: Vec<Event>,
    /// What the model says, most probable first; `None` without a prediction and for the holdout.
    pub probabilities: Option<Vec<Probability>>,
}

impl Project {
    /// A page of images.
    ///
    /// # Errors
    /// A limit out of range, a cursor that is none of this order; the store cannot be read.
    pub fn list(&self, query: &ListQuery) -> Result<Page> {
        let limit = checked_limit(query.limit)?;
        self.read(|sql| {
            let sort = query.sort.unwrap_or(Sort::Id);
            let mut filter = Filter::of(query);
            if sort != Sort::Doubt {
                filter = filter.with_shown(sql)?;
            } else {
                let (ids, next, total) = review::doubted(sql, &filter, query.after.as_deref(), limit)?;
                let ids: Vec<ImageId> = ids.into_iter().map(|(image, _)| image).collect();
                return Ok(Page { images: own_images(sql, &ids)?, next, total });
            }
            let (key, descending) = match sort {
                Sort::Id | Sort::Doubt => ("i.image", false),
                Sort::Path => ("i.path", false),
                Sort::Confidence => ("p.confidence", false),
                Sort::Recent => ("s.at", true),
            };
            let lead = match sort {
                Sort::Confidence => {
                    filter.guess();
                    Lead::Predictions
                }
                Sort::Recent => {
                    filter.answer();
                    Lead::States
                }
                Sort::Id | Sort::Path | Sort::Doubt => Lead::Images,
            };
            let tie = lead.image();
            let total = match &query.after {
                None => Some(filter.count(sql)?),
                Some(_) => None,
            };
            if let Some(after) = &query.after {
                let (value, image) = cursor(after, sort == Sort::Path)?;
                if sort == Sort::Id {
                    filter.and("i.image > ?", [image.0.into()]);
                } else if descending {
                    filter.and(&format!("({key}, {tie}) < (?, ?)"), [value, image.0.into()]);
                } else {
                    filter.and(&format!("({key}, {tie}) > (?, ?)"), [value, image.0.into()]);
                }
            }
            let way = if descending { "DESC" } else { "ASC" };
            let order = if sort == Sort::Id {
                "ORDER BY i.image".to_string()
            } else {
                format!("ORDER BY {key} {way}, {tie} {way}")
            };
            let text = format!("SELECT i.image, {key} {} {order} LIMIT {}", filter.text(lead), limit + 1);
            let mut select = sql.prepare_cached(&text)?;
            let rows = select.query_map(params_from_iter(filter.values()), |row| {
                Ok((row.get(0)?, row.get::<_, Sql>(1)?))
            })?;
            let mut rows = rows.collect::<rusqlite::Result<Vec<(ImageId, Sql)>>>()?;
            let more = rows.len() > limit;
            rows.truncate(limit);
            let next = rows.last().filter(|_| more).map(|(image, value)| put_cursor(value, *image));
            let ids: Vec<ImageId> = rows.into_iter().map(|(image, _)| image).collect();
            Ok(Page { images: images(sql, &ids)?, next, total })
        })
    }

    /// The images of `order` that fit a query, in that order, at most 60 or [`ListQuery::limit`] of
    /// them: one page, without a next one. [`learn::alike`](super::learn::alike) gives such an
    /// order.
    ///
    /// # Errors
    /// A limit out of range, a query that has an order or a page of its own; the store cannot be
    /// read.
    pub fn list_in_order(&self, query: &ListQuery, order: &[ImageId]) -> Result<Page> {
        let limit = checked_limit(query.limit.or(Some(ALIKE)))?;
        if query.sort.is_some() || query.after.is_some() {
            return Err(Error::input("images that are listed by how alike they are have no other order")
                .at(if query.sort.is_some() { "sort" } else { "after" })
                .expected("neither sort nor after")
                .hint("leave it out, or leave `like` out")
                .into());
        }
        self.read(|sql| {
            let filter = Filter::of(query).with_shown(sql)?;
            let mut select = sql.prepare_cached(&format!("SELECT i.image {}", filter.text(Lead::Images)))?;
            let rows = select.query_map(params_from_iter(filter.values()), |row| row.get(0))?;
            let fit = rows.collect::<rusqlite::Result<HashSet<ImageId>>>()?;
            let ids: Vec<ImageId> = order.iter().copied().filter(|id| fit.contains(id)).take(limit).collect();
            let images = images(sql, &ids)?;
            let total = Some(images.len());
            Ok(Page { images, next: None, total })
        })
    }

    /// Images by id, in the order given; those that there are not are left out.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn images(&self, ids: &[ImageId]) -> Result<Vec<Image>> {
        self.read(|sql| images(sql, ids))
    }

    /// One image in full; `None` where there is none of this id.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn detail(&self, id: ImageId) -> Result<Option<Detail>> {
        self.read(|sql| {
            let Some(image) = images(sql, &[id])?.pop() else { return Ok(None) };
            let mut select = sql.prepare_cached(
                "SELECT answer, person, at, act, class, source,
                     EXISTS (SELECT 1 FROM answers AS u WHERE u.undoes = a.answer)
                 FROM answers AS a WHERE image = ?1 ORDER BY answer",
            )?;
            let event = |row: &rusqlite::Row<'_>| {
                Ok(Event {
                    answer: row.get(0)?,
                    person: row.get(1)?,
                    at: row.get(2)?,
                    act: row.get(3)?,
                    class: row.get(4)?,
                    source: row.get(5)?,
                    undone: row.get(6)?,
                })
            };
            let history = select.query_map([id], event)?.collect::<rusqlite::Result<_>>()?;
            let probabilities = if image.holdout { None } else { probabilities(sql, id)? };
            Ok(Some(Detail { image, history, probabilities }))
        })
    }
}

fn probabilities(sql: &Transaction<'_>, id: ImageId) -> Attempt<Option<Vec<Probability>>> {
    let (table, classes) = suggesting::shown(sql)?;
    let found: Option<(u64, Vec<u8>)> = sql
        .prepare_cached(&format!("SELECT round, probabilities FROM {table} WHERE image = ?1"))?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((round, bytes)) = found else { return Ok(None) };
    let order = if classes.is_empty() { Order::of(sql, round)? } else { Order::followed(sql, classes)? };
    Ok(Some(order.ranked(floats(&bytes))).filter(|all| !all.is_empty()))
}

/// The classes of a round's probabilities, each as what it is now.
pub(super) struct Order {
    pub classes: Vec<Label>,
}

impl Order {
    pub fn of(sql: &Transaction<'_>, round: u64) -> Attempt<Self> {
        Self::followed(sql, rounds::summary_of(sql, round)?.classes)
    }

    /// These classes, each as what it is now.
    fn followed(sql: &Transaction<'_>, classes: Vec<Label>) -> Attempt<Self> {
        let classes = classes.into_iter().map(|class| super::classes::followed(sql, class));
        Ok(Self { classes: classes.collect::<Attempt<_>>()? })
    }

    /// Every class with its probability, those that were merged as one, the most probable first.
    pub fn ranked(&self, probabilities: impl Iterator<Item = f64>) -> Vec<Probability> {
        let mut by_class = HashMap::<Label, f64>::new();
        for (class, p) in self.classes.iter().zip(probabilities).filter(|(_, p)| !p.is_nan()) {
            *by_class.entry(*class).or_default() += p;
        }
        let mut all: Vec<Probability> =
            by_class.into_iter().map(|(class, p)| Probability { class, p }).collect();
        all.sort_by(|a, b| b.p.total_cmp(&a.p).then(a.class.cmp(&b.class)));
        all
    }

    /// Every class with its probability, among these.
    pub fn all(&self, bytes: &[u8]) -> impl Iterator<Item = (Label, f64)> {
        self.classes.iter().copied().zip(floats(bytes))
    }

    /// What these probabilities say of a class.
    pub fn probability(&self, bytes: &[u8], class: Label) -> f64 {
        self.all(bytes).filter(|(other, _)| *other == class).map(|(_, p)| p).sum()
    }
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f64> {
    bytes.chunks_exact(4).map(|four| f64::from(f32::from_le_bytes([four[0], four[1], four[2], four[3]])))
}

/// The limit, where it is one.
pub(super) fn checked_limit(limit: Option<usize>) -> Result<usize> {
    let limit = limit.unwrap_or(100);
    crate::error::within("limit", limit, 1..=MOST)?;
    Ok(limit)
}

pub(super) fn put_cursor(value: &Sql, image: ImageId) -> String {
    match value {
        Sql::Text(text) => format!("{image}:{text}"),
        Sql::Real(real) => format!("{image}:{real:?}"),
        Sql::Integer(integer) => format!("{image}:{integer}"),
        Sql::Null | Sql::Blob(_) => format!("{image}:"),
    }
}

pub(super) fn cursor(text: &str, is_text: bool) -> Result<(Sql, ImageId)> {
    let parts = text.split_once(':').and_then(|(image, value)| {
        let value = match value.parse::<i64>() {
            _ if is_text => value.to_string().into(),
            Ok(integer) => integer.into(),
            Err(_) => value.parse::<f64>().ok()?.into(),
        };
        Some((value, image.parse().ok()?))
    });
    parts.ok_or_else(|| {
        Error::input("invalid cursor")
            .at("after")
            .expected("`next` of an earlier page, unchanged")
            .got(format!("{text:?}"))
            .into()
    })
}

/// Images as they are shown, in the order given; those that there are not are left out.
pub(super) fn images(sql: &Transaction<'_>, ids: &[ImageId]) -> Attempt<Vec<Image>> {
    images_by(sql, ids, suggesting::shown(sql)?)
}

/// The same with what the project's own model says, whatever is suggested.
pub(super) fn own_images(sql: &Transaction<'_>, ids: &[ImageId]) -> Attempt<Vec<Image>> {
    images_by(sql, ids, ("predictions", Vec::new()))
}

fn images_by(
    sql: &Transaction<'_>,
    ids: &[ImageId],
    (said, imported): (&str, Vec<Label>),
) -> Attempt<Vec<Image>> {
    let mut select = sql.prepare_cached(&format!(
        "SELECT i.path, i.width, i.height, i.hash, coalesce(s.state, 'open'), s.class, i.holdout, i.missing,
             coalesce(c.merged_into, c.class), p.confidence, q.rank, q.terms, coalesce(n.note, ''), coalesce(n.flag, 0),
             p.round, p.probabilities
         FROM images AS i LEFT JOIN states AS s USING (image) LEFT JOIN {said} AS p USING (image)
             LEFT JOIN classes AS c ON c.class = p.class LEFT JOIN queue AS q USING (image)
             LEFT JOIN notes AS n USING (image)
         WHERE i.image = ?1",
    ))?;
    let mut same = sql.prepare_cached("SELECT count(*) FROM images WHERE hash = ?1 AND missing = 0")?;
    let mut stats: Option<Stats> = None;
    let mut orders = HashMap::<u64, Order>::new();
    let mut counted = HashMap::<Vec<u8>, usize>::new();
    let mut found = Vec::with_capacity(ids.len());
    for &image in ids {
        let mut rows = select.query(params![image])?;
        let Some(row) = rows.next()? else { continue };
        let hash: Vec<u8> = row.get(3)?;
        let (holdout, missing): (bool, bool) = (row.get(6)?, row.get(7)?);
        let all = match counted.get(&hash) {
            Some(&all) => all,
            None => same.query_row([&hash], |row| row.get(0))?,
        };
        let (guess, confidence): (Option<Label>, Option<f64>) = (row.get(8)?, row.get(9)?);
        let suggestion = guess
            .zip(confidence)
            .filter(|_| !holdout)
            .map(|(class, confidence)| Suggestion { class, confidence });
        let mut top = match (row.get(14)?, row.get::<_, Option<Vec<u8>>>(15)?) {
            (Some(round), Some(bytes)) if !holdout => {
                if let std::collections::hash_map::Entry::Vacant(place) = orders.entry(round) {
                    place.insert(match imported.is_empty() {
                        true => Order::of(sql, round)?,
                        false => Order::followed(sql, imported.clone())?,
                    });
                }
                orders.get(&round).map(|order| order.ranked(floats(&bytes))).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        top.truncate(TOP);
        let terms: Option<String> = row.get(11)?;
        let why = match terms {
            _ if holdout => vec![Reason::plain(ReasonKind::Holdout)],
            None => Vec::new(),
            Some(text) => {
                let path = sql.path().unwrap_or(super::FILE);
                let values: BTreeMap<String, f64> = KIND.parsed(&text, std::path::Path::new(path))?;
                if stats.is_none() {
                    stats = Some(rounds::stats(sql)?);
                }
                // What another model says is no term of this choice.
                let own = if said == "predictions" { &top[..] } else { &[] };
                why::reasons(
                    &Terms { values: &values, top: own },
                    stats.as_ref().unwrap_or(&Stats::default()),
                )
            }
        };
        found.push(Image {
            id: image,
            path: row.get(0)?,
            width: row.get(1)?,
            height: row.get(2)?,
            hash: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            state: row.get(4)?,
            class: row.get(5)?,
            holdout,
            missing,
            duplicates: all.saturating_sub(usize::from(!missing)),
            suggestion,
            top,
            rank: row.get(10)?,
            why,
            note: Note { note: row.get(12)?, flag: row.get(13)? },
        });
        counted.insert(hash, all);
    }
    Ok(found)
}
