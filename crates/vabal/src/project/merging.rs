//! Classes that are no longer in the list: merged into others, taken out of that again, deleted. No
//! answer is changed by any of it. A class that was merged points to the one that it is now, never
//! further; one that was deleted points to itself.

use rusqlite::{OptionalExtension as _, Transaction, params};
use serde::{Deserialize, Serialize};

use super::classes::{self, Class, all, exists, free_key, ids, put_order};
use super::store::{Attempt, KIND};
use super::{ImageId, Project, answers};
use crate::Label;
use crate::error::{Error, Result};
use crate::sqlite::to_json;

/// A class that was merged into another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Merged {
    /// For life.
    pub id: Label,
    /// Its name when it was merged.
    pub name: String,
    /// The class that it is now.
    pub into: Label,
}

/// What a merge changed, kept so that it can be taken back.
#[derive(Debug, Serialize, Deserialize)]
struct Merge {
    class: Label,
    key: Option<String>,
    place: usize,
    /// Classes that had been merged into it before.
    brought: Vec<Label>,
}

impl Project {
    /// Merges a class into another: its images belong to that one, conflicts between the two are
    /// resolved, its key is free. Gives back the classes that are left; `None` where there is no
    /// such class.
    ///
    /// # Errors
    /// A class into itself, or into one that is not there; the store cannot be written.
    pub fn merge_class(&mut self, id: Label, into: Label) -> Result<Option<Vec<Class>>> {
        self.write(|sql| {
            if !exists(sql, id)? {
                return Ok(None);
            }
            if id == into || !exists(sql, into)? {
                return Err(Error::input("a class cannot be merged into this one")
                    .at(format!("class {id}"))
                    .expected("the id of another class of the list")
                    .got(into)
                    .into());
            }
            let (key, place) =
                sql.query_row("SELECT key, place FROM classes WHERE class = ?1", [id], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
            let brought = sql
                .prepare("SELECT class FROM classes WHERE merged_into = ?1")?
                .query_map([id], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let mut merges = merges(sql)?;
            merges.push(Merge { class: id, key, place, brought });
            put_merges(sql, &merges)?;
            let images = naming(sql, id)?;
            let merge =
                "UPDATE classes SET merged_into = ?2, key = NULL WHERE class = ?1 OR merged_into = ?1";
            sql.execute(merge, params![id, into])?;
            put_order(sql, &ids(sql)?)?;
            images.into_iter().try_for_each(|image| answers::refresh(sql, image))?;
            Ok(Some(all(sql)?))
        })
    }

    /// Takes a merge back: the class is in the list again, with its images, its key where that is
    /// free, and the classes that had been merged into it before. What was labelled as the other
    /// class stays there. Gives back the classes of the list; `None` where there is no such class
    /// that was merged.
    ///
    /// # Errors
    /// Another class has its name by now; the store cannot be written.
    pub fn split_class(&mut self, id: Label) -> Result<Option<Vec<Class>>> {
        self.write(|sql| {
            let found: Option<(String, Label)> = sql
                .query_row(
                    "SELECT name, merged_into FROM classes WHERE class = ?1 AND merged_into <> class",
                    [id],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            let Some((name, into)) = found else { return Ok(None) };
            classes::checked_name(sql, &name, Some(id))?;
            let mut merges = merges(sql)?;
            let place = merges.iter().rposition(|merge| merge.class == id);
            let merge = place.map(|place| merges.remove(place));
            put_merges(sql, &merges)?;
            let Merge { key, place, brought, .. } =
                merge.unwrap_or(Merge { class: id, key: None, place: usize::MAX, brought: Vec::new() });
            let mut order = ids(sql)?;
            order.insert(place.min(order.len()), id);
            let taken = "SELECT 1 FROM classes WHERE key = ?1";
            let key = match key {
                Some(key) if !sql.prepare(taken)?.exists([&key])? => Some(key),
                _ => free_key(sql)?,
            };
            sql.execute(
                "UPDATE classes SET merged_into = NULL, key = ?2 WHERE class = ?1",
                params![id, key],
            )?;
            for class in brought {
                let back = "UPDATE classes SET merged_into = ?2 WHERE class = ?1 AND merged_into = ?3";
                sql.execute(back, params![class, id, into])?;
            }
            put_order(sql, &order)?;
            naming(sql, id)?.into_iter().try_for_each(|image| answers::refresh(sql, image))?;
            Ok(Some(all(sql)?))
        })
    }

    /// Deletes a class that no answer names, but for answers that were undone. Gives back the
    /// classes that are left; `None` where there is no such class.
    ///
    /// # Errors
    /// Answers that name it; the store cannot be written.
    pub fn delete_class(&mut self, id: Label) -> Result<Option<Vec<Class>>> {
        self.write(|sql| {
            if !exists(sql, id)? {
                return Ok(None);
            }
            let named: usize = sql.query_row(
                "SELECT count(*) FROM live JOIN classes USING (class) WHERE class = ?1 OR merged_into = ?1",
                [id],
                |row| row.get(0),
            )?;
            if named > 0 {
                return Err(Error::input("a class that answers name cannot be deleted")
                    .at(format!("class {id}"))
                    .expected("no answer, earlier ones of the same image counted")
                    .got(named)
                    .hint("merge it into another class")
                    .into());
            }
            let delete = "UPDATE classes SET merged_into = class, key = NULL WHERE class = ?1";
            sql.execute(delete, [id])?;
            put_order(sql, &ids(sql)?)?;
            Ok(Some(all(sql)?))
        })
    }
}

/// The classes that were merged, by name.
pub(super) fn merged(sql: &Transaction<'_>) -> Attempt<Vec<Merged>> {
    let mut select = sql.prepare_cached(
        "SELECT class, name, merged_into FROM classes WHERE merged_into <> class ORDER BY name, class",
    )?;
    let merged =
        |row: &rusqlite::Row<'_>| Ok(Merged { id: row.get(0)?, name: row.get(1)?, into: row.get(2)? });
    Ok(select.query_map([], merged)?.collect::<rusqlite::Result<_>>()?)
}

/// The images that an answer says are of this class, or of one that was merged into it.
fn naming(sql: &Transaction<'_>, id: Label) -> rusqlite::Result<Vec<ImageId>> {
    sql.prepare(
        "SELECT DISTINCT image FROM answers JOIN classes USING (class) WHERE class = ?1 OR merged_into = ?1",
    )?
    .query_map([id], |row| row.get(0))?
    .collect()
}

fn merges(sql: &Transaction<'_>) -> Attempt<Vec<Merge>> {
    let text: Option<String> = sql
        .prepare_cached("SELECT value FROM project WHERE key = 'merges'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let path = sql.path().unwrap_or(super::FILE);
    Ok(text.map(|text| KIND.parsed(&text, std::path::Path::new(path))).transpose()?.unwrap_or_default())
}

fn put_merges(sql: &Transaction<'_>, merges: &[Merge]) -> Attempt<()> {
    sql.execute("INSERT OR REPLACE INTO project VALUES ('merges', ?1)", [to_json(&merges)?])?;
    Ok(())
}
