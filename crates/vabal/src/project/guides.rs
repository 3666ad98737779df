//! What people tell each other beside their answers: of a class a description and pinned examples,
//! of an image a note and a flag. None of it counts as an answer.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # std::fs::create_dir(folder.path().join("images"))?;
//! use vabal::project::{Project, Settings};
//! let (images, classes) = (folder.path().join("images"), ["crack".to_owned()]);
//! let mut project = Project::create(&folder.path().join("steel"), &images, &classes, Settings::default())?;
//! project.describe_class(0, "A dark line that does not follow the grain.")?;
//! assert_eq!(project.guides()?[0].description, "A dark line that does not follow the grain.");
//! # Ok(())
//! # }
//! ```

use rusqlite::{OptionalExtension as _, Transaction, params};
use serde::Serialize;

use super::answers::check_person;
use super::classes::exists;
use super::store::{Attempt, now};
use super::{ImageId, Project};
use crate::Label;
use crate::error::{Error, Result};

/// Characters of a description or a note.
const LONGEST: usize = 2000;
/// Examples of a class.
const MOST: usize = 12;

/// How a class is told from others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Guide {
    /// The class.
    pub class: Label,
    /// What is said of it; may be empty.
    pub description: String,
    /// Images that show it, those pinned first before the others.
    pub examples: Vec<Example>,
}

/// An image that shows what a class is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Example {
    /// The image.
    pub id: ImageId,
    /// Below the folder of images, with `/`.
    pub path: String,
    /// sha256 of the file, in hexadecimal digits.
    pub hash: String,
}

/// What was written of an image last.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Note {
    /// What is said of it; may be empty.
    pub note: String,
    /// Whether it is flagged, to be looked at again.
    pub flag: bool,
}

impl Project {
    /// The classes of the list that have a description or an example, by place.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn guides(&self) -> Result<Vec<Guide>> {
        self.read(guides)
    }

    /// Says how a class is told from others, or nothing. False where there is no such class.
    ///
    /// # Errors
    /// More than 2000 characters, or characters that cannot be shown; the store cannot be written.
    pub fn describe_class(&mut self, class: Label, description: &str) -> Result<bool> {
        let description = checked(description, "description")?;
        self.write(|sql| {
            if !exists(sql, class)? {
                return Ok(false);
            }
            let put = "INSERT OR REPLACE INTO guides VALUES (?1, ?2)";
            sql.execute(put, params![class, description])?;
            Ok(true)
        })
    }

    /// Pins an image as an example of a class, or takes it off. False where there is no such class.
    ///
    /// # Errors
    /// An image that there is not, more than 12 of a class; the store cannot be written.
    pub fn pin_example(&mut self, class: Label, image: ImageId, pinned: bool) -> Result<bool> {
        self.write(|sql| {
            if !exists(sql, class)? {
                return Ok(false);
            }
            sql.execute("DELETE FROM examples WHERE class = ?1 AND image = ?2", params![class, image])?;
            if pinned {
                known(sql, image)?;
                let count = "SELECT count(*) FROM examples WHERE class = ?1";
                let there: usize = sql.query_row(count, [class], |row| row.get(0))?;
                if there >= MOST {
                    return Err(Error::input("this class has enough examples")
                        .at(format!("class {class}"))
                        .expected(format!("at most {MOST}"))
                        .got(there + 1)
                        .hint("take one off first")
                        .into());
                }
                // Two of one millisecond keep their order.
                let put = "INSERT INTO examples VALUES (?1, ?2, \
                           MAX(?3, (SELECT COALESCE(MAX(at), 0) + 1 FROM examples WHERE class = ?1)))";
                sql.execute(put, params![class, image, now()])?;
            }
            Ok(true)
        })
    }

    /// Writes a note of an image, flags it, or takes the flag off; what is `None` stays. Gives back
    /// what it has now.
    ///
    /// # Errors
    /// An image that there is not, an invalid name of a person, a note that is too long or cannot
    /// be shown; the store cannot be written.
    pub fn note_image(
        &mut self,
        image: ImageId,
        person: &str,
        note: Option<&str>,
        flag: Option<bool>,
    ) -> Result<Note> {
        check_person(person)?;
        let note = note.map(|note| checked(note, "note")).transpose()?;
        self.write(|sql| {
            known(sql, image)?;
            let old: Option<Note> = sql
                .query_row("SELECT note, flag FROM notes WHERE image = ?1", [image], |row| {
                    Ok(Note { note: row.get(0)?, flag: row.get(1)? })
                })
                .optional()?;
            let old = old.unwrap_or_default();
            let new = Note { note: note.unwrap_or(old.note), flag: flag.unwrap_or(old.flag) };
            let put = "INSERT OR REPLACE INTO notes VALUES (?1, ?2, ?3, ?4, ?5)";
            sql.execute(put, params![image, person, now(), new.note, new.flag])?;
            Ok(new)
        })
    }
}

/// The guides of the classes of the list.
pub(super) fn guides(sql: &Transaction<'_>) -> Attempt<Vec<Guide>> {
    let mut select = sql.prepare_cached(
        "SELECT c.class, coalesce(g.description, '') FROM classes AS c LEFT JOIN guides AS g USING (class)
         WHERE merged_into IS NULL
             AND (g.description <> '' OR EXISTS (SELECT 1 FROM examples AS e WHERE e.class = c.class))
         ORDER BY place, c.class",
    )?;
    let mut examples = sql.prepare_cached(
        "SELECT image, path, lower(hex(hash)) FROM examples JOIN images USING (image)
         WHERE class = ?1 AND missing = 0 ORDER BY at, image",
    )?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.map(|row| {
        let (class, description): (Label, String) = row?;
        let example =
            |row: &rusqlite::Row<'_>| Ok(Example { id: row.get(0)?, path: row.get(1)?, hash: row.get(2)? });
        let examples = examples.query_map([class], example)?.collect::<rusqlite::Result<_>>()?;
        Ok(Guide { class, description, examples })
    })
    .collect()
}

/// Adds the note and the flag of a file to an image: the note if the image has none, the flag if it
/// is not set. Whether anything is new; the inner error is why the note cannot be
/// taken.
pub(super) fn add_note(
    sql: &Transaction<'_>,
    image: ImageId,
    person: &str,
    note: &Note,
) -> Attempt<std::result::Result<bool, &'static str>> {
    let Ok(text) = checked(&note.note, "note") else {
        return Ok(Err("a note that is too long, or has characters that cannot be shown"));
    };
    let put = "INSERT INTO notes VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET
            person = excluded.person, at = excluded.at,
            note = iif(note = '', excluded.note, note), flag = max(flag, excluded.flag)
         WHERE note = '' AND excluded.note <> '' OR flag < excluded.flag";
    Ok(Ok(sql.prepare_cached(put)?.execute(params![image, person, now(), text, note.flag])? > 0))
}

/// Gives a class the description and the examples that a file has, as far as it has none and there
/// is room. How many are new.
pub(super) fn add_guide(
    sql: &Transaction<'_>,
    class: Label,
    description: &str,
    examples: impl Iterator<Item = ImageId>,
) -> Attempt<usize> {
    let mut added = 0;
    if let Ok(text) = checked(description, "description")
        && !text.is_empty()
    {
        let put = "INSERT INTO guides VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET description = excluded.description WHERE description = ''";
        added += sql.execute(put, params![class, text])?;
    }
    for image in examples {
        let put = "INSERT INTO examples SELECT ?1, ?2, max(?3, (SELECT coalesce(max(at), 0) + 1 FROM examples WHERE class = ?1))
             WHERE (SELECT count(*) FROM examples WHERE class = ?1) < ?4
             ON CONFLICT DO NOTHING";
        added += sql.prepare_cached(put)?.execute(params![class, image, now(), MOST])?;
    }
    Ok(added)
}

fn known(sql: &Transaction<'_>, image: ImageId) -> Attempt<()> {
    if sql.prepare_cached("SELECT 1 FROM images WHERE image = ?1")?.exists([image])? {
        return Ok(());
    }
    Err(Error::input("there is no such image").at("image").got(image).hint("load the page again").into())
}

fn checked(text: &str, at: &str) -> Result<String> {
    let text = text.trim();
    if text.chars().count() > LONGEST || text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(Error::input("this text is too long, or has characters that cannot be shown")
            .at(at)
            .expected(format!("at most {LONGEST} characters, on one or more lines"))
            .got(format!("{} characters", text.chars().count()))
            .hint("shorten it")
            .into());
    }
    Ok(text.to_owned())
}
