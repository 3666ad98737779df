//! What deserves a second look: labels that the model doubts, images on which persons disagree,
//! images that are the same or nearly.
//!
//! Never here: settling it; that is an answer with source
//! [`Source::Review`](super::Source::Review).

use rusqlite::types::Value as Sql;
use rusqlite::{Transaction, params, params_from_iter};
use serde::{Deserialize, Serialize};

use super::listing::{self, Filter, Image, Lead, ListQuery, Order, StateFilter};
use super::store::Attempt;
use super::words::{Act, words};
use super::{ImageId, Project, near};
use crate::Label;
use crate::error::{Error, Result};

words! {
    /// What is reviewed.
    ReviewKind {
        /// Labels that the model doubts, the most doubted first.
        Doubt = "doubt",
        /// Images on which persons disagree.
        Conflict = "conflict",
    }
}

/// What a person says of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Who.
    pub person: String,
    /// Their latest act that counts.
    pub act: Act,
    /// The class of a label, as what it is now.
    pub class: Option<Label>,
}

/// An image to be reviewed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reviewed {
    /// The image.
    #[serde(flatten)]
    pub image: Image,
    /// 1 − the probability of its label, by the last prediction made without it; `None` of a
    /// conflict.
    pub doubt: Option<f64>,
    /// What everybody says of it.
    pub answers: Vec<Said>,
}

/// A page of images to be reviewed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReviewPage {
    /// The images.
    pub images: Vec<Reviewed>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<String>,
    /// All of this kind; on the first page only.
    pub total: Option<usize>,
}

/// Images that are the same, or nearly.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// At least two, by id; the first 100 of more.
    pub images: Vec<Image>,
    /// How many there are.
    pub count: usize,
}

/// A page of groups.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupPage {
    /// The groups.
    pub groups: Vec<Group>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<String>,
}

/// Images of a group that are listed.
const MOST_OF_GROUP: usize = 100;

impl Project {
    /// A page of what deserves a second look. Labels of the holdout are never doubted: who changed
    /// only those that the model does not like would measure it too well.
    ///
    /// # Errors
    /// A limit out of range, a cursor that is none of this list; the store cannot be read.
    pub fn review(&self, kind: ReviewKind, after: Option<&str>, limit: Option<usize>) -> Result<ReviewPage> {
        let limit = listing::checked_limit(limit)?;
        if kind == ReviewKind::Conflict {
            let query = ListQuery {
                state: Some(StateFilter::Conflict),
                after: after.map(str::to_string),
                limit: Some(limit),
                ..ListQuery::default()
            };
            let page = self.list(&query)?;
            return self.read(|sql| {
                let with = |image| Ok(Reviewed { answers: answers_of(sql, &image)?, image, doubt: None });
                let images = page.images.into_iter().map(with).collect::<Attempt<_>>()?;
                Ok(ReviewPage { images, next: page.next, total: page.total })
            });
        }
        self.read(|sql| {
            let (rows, next, total) = doubted(sql, &Filter::of(&ListQuery::default()), after, limit)?;
            let ids: Vec<ImageId> = rows.iter().map(|&(image, _)| image).collect();
            let images = listing::own_images(sql, &ids)?;
            let with = |(image, (_, doubt)): (Image, &(ImageId, f64))| {
                Ok(Reviewed { answers: answers_of(sql, &image)?, image, doubt: Some(*doubt) })
            };
            let images = images.into_iter().zip(&rows).map(with).collect::<Attempt<_>>()?;
            Ok(ReviewPage { images, next, total })
        })
    }

    /// A page of groups of images with the same content, or (`near`) of such that look alike: those
    /// within 4 of 64 bits of the first of the group, where they are not all of one content.
    ///
    /// # Errors
    /// A limit out of range, a cursor that is none of this list; the store cannot be read.
    pub fn duplicates(&self, near: bool, after: Option<&str>, limit: Option<usize>) -> Result<GroupPage> {
        let limit = listing::checked_limit(limit)?;
        // A group is known by its first image.
        let after = match after {
            None => ImageId(0),
            Some(text) => text
                .parse()
                .map_err(|_| Error::input("invalid cursor").at("after").got(format!("{text:?}")))?,
        };
        let mut groups = if near {
            let mut groups = near::groups(&self.looks()?);
            groups.retain(|group| group[0] > after);
            groups.truncate(limit + 1);
            groups
        } else {
            self.same(after, limit + 1)?
        };
        let next = (groups.len() > limit).then(|| groups[limit - 1][0].to_string());
        groups.truncate(limit);
        self.read(|sql| {
            let group = |ids: &Vec<ImageId>| {
                let shown = &ids[..ids.len().min(MOST_OF_GROUP)];
                Ok(Group { images: listing::images(sql, shown)?, count: ids.len() })
            };
            Ok(GroupPage { groups: groups.iter().map(group).collect::<Attempt<_>>()?, next })
        })
    }

    /// What every image that is there looks like, by id, and which content it has.
    fn looks(&self) -> Result<Vec<near::Look>> {
        self.read(|sql| {
            let mut select =
                sql.prepare_cached("SELECT image, look, hash FROM images WHERE missing = 0 ORDER BY image")?;
            let mut contents = std::collections::HashMap::<[u8; 32], u32>::new();
            let mut rows = select.query([])?;
            let mut looks = Vec::new();
            while let Some(row) = rows.next()? {
                let next = contents.len() as u32;
                let content = *contents.entry(row.get(2)?).or_insert(next);
                looks.push(near::Look {
                    image: row.get(0)?,
                    bits: row.get::<_, i64>(1)?.cast_unsigned(),
                    content,
                });
            }
            Ok(looks)
        })
    }

    /// The first `n` groups of the same content whose first image comes after this one.
    fn same(&self, after: ImageId, n: usize) -> Result<Vec<Vec<ImageId>>> {
        self.read(|sql| {
            let mut select = sql.prepare_cached(
                "SELECT first, hash FROM (SELECT min(image) AS first, hash FROM images WHERE missing = 0
                     GROUP BY hash HAVING count(*) > 1)
                 WHERE first > ?1 ORDER BY first LIMIT ?2",
            )?;
            let heads = select
                .query_map(params![after, n as i64], |row| row.get(1))?
                .collect::<rusqlite::Result<Vec<Vec<u8>>>>()?;
            let mut of = sql
                .prepare_cached("SELECT image FROM images WHERE hash = ?1 AND missing = 0 ORDER BY image")?;
            let groups = heads.iter().map(|hash| of.query_map([hash], |row| row.get(0))?.collect());
            Ok(groups.collect::<rusqlite::Result<_>>()?)
        })
    }
}

fn answers_of(sql: &Transaction<'_>, image: &Image) -> Attempt<Vec<Said>> {
    let mut select =
        sql.prepare_cached("SELECT person, act, class FROM standing WHERE image = ?1 ORDER BY answer")?;
    let row =
        |row: &rusqlite::Row<'_>| Ok(Said { person: row.get(0)?, act: row.get(1)?, class: row.get(2)? });
    Ok(select.query_map([image.id], row)?.collect::<rusqlite::Result<_>>()?)
}

type Doubted = (Vec<(ImageId, f64)>, Option<String>, Option<usize>);

/// Labelled images that pass the filter, have a prediction and were not reviewed, with the doubt of
/// each, most doubted first; where the next page begins, and on the first one how many there are.
pub(super) fn doubted(
    sql: &Transaction<'_>,
    filter: &Filter,
    after: Option<&str>,
    limit: usize,
) -> Attempt<Doubted> {
    let text = format!(
        "SELECT i.image, s.class, p.round, p.probabilities {} AND s.state = 'labelled' AND i.holdout = 0
         AND p.image IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM live AS r WHERE r.image = i.image AND r.source = 'review')",
        filter.text(Lead::States)
    );
    let mut select = sql.prepare_cached(&text)?;
    let mut rows = select.query(params_from_iter(filter.values()))?;
    let mut orders = std::collections::HashMap::new();
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let (image, class, round): (ImageId, Label, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let order = match orders.entry(round) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => entry.insert(Order::of(sql, round)?),
        };
        let bytes = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
        all.push((image, (1.0 - order.probability(bytes, class)).clamp(0.0, 1.0)));
    }
    let total = after.is_none().then_some(all.len());
    let first = |a: &(ImageId, f64), b: &(ImageId, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if let Some(after) = after {
        let (value, image) = listing::cursor(after, false)?;
        let doubt = match value {
            Sql::Real(real) => real,
            Sql::Integer(integer) => integer as f64,
            Sql::Null | Sql::Text(_) | Sql::Blob(_) => 0.0,
        };
        all.retain(|row| first(row, &(image, doubt)).is_gt());
    }
    if all.len() > limit + 1 {
        all.select_nth_unstable_by(limit, first);
        all.truncate(limit + 1);
    }
    all.sort_unstable_by(first);
    let more = all.len() > limit;
    all.truncate(limit);
    let next = all.last().filter(|_| more).map(|&(image, doubt)| listing::put_cursor(&doubt.into(), image));
    Ok((all, next, total))
}
