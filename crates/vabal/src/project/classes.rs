//! Classes: added, renamed, moved, merged, given a key and a colour at any time. Their ids are for
//! life.
//!
//! Never here: merging and deleting them (`merging`).

use rusqlite::{OptionalExtension as _, Transaction, params};
use serde::{Deserialize, Deserializer, Serialize};

use super::Project;
use super::colours;
use super::names::{composed, invisible};
use super::store::{Attempt, Fault};
use crate::Label;
use crate::error::{Complaint, Error, Result};

/// Classes that a project can have at once.
pub const MOST_CLASSES: usize = 1000;

/// Keys that the page uses otherwise: discard, unsure, grid, hide, reset.
const TAKEN: [&str; 5] = ["KeyD", "KeyU", "KeyG", "KeyH", "KeyR"];

/// A class as it is listed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Class {
    /// For life.
    pub id: Label,
    /// Unlike any other class's.
    pub name: String,
    /// `KeyboardEvent.code` of its key: "Digit1", "KeyQ".
    pub key: Option<String>,
    /// "#rrggbb"
    pub colour: String,
    /// Its place in the list, from 0.
    pub place: usize,
    /// Images that are of it now, those of the holdout too, missing ones not.
    pub labels: usize,
}

/// A class to be added. What is not given is chosen.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewClass {
    /// Unlike any other class's.
    pub name: String,
    /// `KeyboardEvent.code`; the first that is free where none is given.
    #[serde(default)]
    pub key: Option<String>,
    /// "#rrggbb"; the next of a list where none is given.
    #[serde(default)]
    pub colour: Option<String>,
}

/// What is to be changed of a class; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassChange {
    /// A new name.
    #[serde(default)]
    pub name: Option<String>,
    /// A new key, or `Some(None)` (in JSON null) for none.
    #[serde(default, deserialize_with = "even_null")]
    pub key: Option<Option<String>>,
    /// "#rrggbb"
    #[serde(default)]
    pub colour: Option<String>,
    /// Its new place, from 0; past the end is the end.
    #[serde(default)]
    pub place: Option<usize>,
}

fn even_null<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(value).map(Some)
}

impl Project {
    /// The classes that are not merged into others, by place.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn classes(&self) -> Result<Vec<Class>> {
        self.read(all)
    }

    /// Adds a class, last in place.
    ///
    /// # Errors
    /// A name that is empty or there already, a key that is taken or none, a colour that is none,
    /// more than [`MOST_CLASSES`]; the store cannot be written.
    pub fn add_class(&mut self, class: &NewClass) -> Result<Class> {
        self.write(|sql| {
            let id = add(sql, class)?;
            one(sql, id)
        })
    }

    /// Changes a class; `None` where there is no such class, or it is merged.
    ///
    /// # Errors
    /// As [`Project::add_class`].
    pub fn change_class(&mut self, id: Label, change: &ClassChange) -> Result<Option<Class>> {
        self.write(|sql| {
            if !exists(sql, id)? {
                return Ok(None);
            }
            if let Some(name) = &change.name {
                let name = checked_name(sql, name, Some(id))?;
                sql.execute("UPDATE classes SET name = ?2 WHERE class = ?1", params![id, name])?;
            }
            if let Some(key) = &change.key {
                if let Some(key) = key {
                    check_key(sql, key, Some(id))?;
                }
                sql.execute("UPDATE classes SET key = ?2 WHERE class = ?1", params![id, key])?;
            }
            if let Some(colour) = &change.colour {
                let colour = checked_colour(colour)?;
                sql.execute("UPDATE classes SET colour = ?2 WHERE class = ?1", params![id, colour])?;
            }
            if let Some(place) = change.place {
                let mut order: Vec<Label> = ids(sql)?.into_iter().filter(|&other| other != id).collect();
                order.insert(place.min(order.len()), id);
                put_order(sql, &order)?;
            }
            Ok(Some(one(sql, id)?))
        })
    }
}

/// Every class of the list, with its labels.
pub(super) fn all(sql: &Transaction<'_>) -> Attempt<Vec<Class>> {
    let mut select = sql.prepare_cached(
        "SELECT c.class, name, key, colour, place, coalesce(n, 0) FROM classes AS c
         LEFT JOIN (SELECT class, sum(n) AS n FROM tally WHERE state = 'labelled' AND missing = 0 GROUP BY class) AS t
             ON t.class = c.class
         WHERE merged_into IS NULL ORDER BY place, c.class",
    )?;
    let class = |row: &rusqlite::Row<'_>| {
        Ok(Class {
            id: row.get(0)?,
            name: row.get(1)?,
            key: row.get(2)?,
            colour: row.get(3)?,
            place: row.get(4)?,
            labels: row.get(5)?,
        })
    };
    Ok(select.query_map([], class)?.collect::<rusqlite::Result<_>>()?)
}

fn one(sql: &Transaction<'_>, id: Label) -> Attempt<Class> {
    all(sql)?.into_iter().find(|class| class.id == id).ok_or_else(|| Fault::from(unknown_class(id)))
}

pub(super) fn ids(sql: &Transaction<'_>) -> rusqlite::Result<Vec<Label>> {
    sql.prepare_cached("SELECT class FROM classes WHERE merged_into IS NULL ORDER BY place, class")?
        .query_map([], |row| row.get(0))?
        .collect()
}

pub(super) fn exists(sql: &Transaction<'_>, id: Label) -> rusqlite::Result<bool> {
    sql.prepare_cached("SELECT 1 FROM classes WHERE class = ?1 AND merged_into IS NULL")?.exists([id])
}

pub(super) fn put_order(sql: &Transaction<'_>, order: &[Label]) -> rusqlite::Result<()> {
    let mut update = sql.prepare_cached("UPDATE classes SET place = ?2 WHERE class = ?1")?;
    order.iter().enumerate().try_for_each(|(place, id)| update.execute(params![id, place]).map(|_| ()))
}

/// A complaint about an id that is no class's.
pub(super) fn unknown_class(id: Label) -> Complaint {
    Error::input("there is no such class").at("class").got(id).hint("look at the list of classes again")
}

/// What a class is now: itself, or what it was merged into.
pub(super) fn followed(sql: &Transaction<'_>, id: Label) -> Attempt<Label> {
    let now = sql
        .prepare_cached("SELECT coalesce(merged_into, class) FROM classes WHERE class = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    now.ok_or_else(|| unknown_class(id).into())
}

/// Adds a class; its id.
pub(super) fn add(sql: &Transaction<'_>, class: &NewClass) -> Attempt<Label> {
    let name = checked_name(sql, &class.name, None)?;
    let (used, next): (usize, Label) = sql.query_row(
        "SELECT count(*) FILTER (WHERE merged_into IS NULL), coalesce(max(class) + 1, 0) FROM classes",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if used >= MOST_CLASSES {
        return Err(Error::input("too many classes")
            .expected(format!("at most {MOST_CLASSES}"))
            .got(used + 1)
            .hint("merge some first")
            .into());
    }
    let key = match &class.key {
        Some(key) => {
            check_key(sql, key, None)?;
            Some(key.clone())
        }
        None => free_key(sql)?,
    };
    let colour = match &class.colour {
        Some(colour) => checked_colour(colour)?,
        None => {
            let mut select = sql.prepare_cached("SELECT colour FROM classes WHERE merged_into IS NULL")?;
            let used = select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
            colours::unlike(&used)
        }
    };
    sql.execute(
        "INSERT INTO classes VALUES (?1, ?2, ?3, ?4, ?5, NULL)",
        params![next, name, key, colour, used],
    )?;
    Ok(next)
}

/// 1 to 9, 0, then letters that the page does not use.
pub(super) fn free_key(sql: &Transaction<'_>) -> rusqlite::Result<Option<String>> {
    let used = sql
        .prepare_cached("SELECT key FROM classes WHERE key IS NOT NULL")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<std::collections::HashSet<String>>>()?;
    let digits = (1..=9).chain([0]).map(|n| format!("Digit{n}"));
    let letters = "QWERTYIOPASFJKLZXCVBNM".chars().map(|letter| format!("Key{letter}"));
    Ok(digits.chain(letters).find(|key| !TAKEN.contains(&key.as_str()) && !used.contains(key)))
}

fn check_key(sql: &Transaction<'_>, key: &str, of: Option<Label>) -> Attempt<()> {
    let one = |rest: &str, fits: fn(&u8) -> bool| matches!(rest.as_bytes(), [c] if fits(c));
    let known = key.strip_prefix("Key").is_some_and(|rest| one(rest, u8::is_ascii_uppercase))
        || ["Digit", "Numpad"]
            .iter()
            .any(|kind| key.strip_prefix(kind).is_some_and(|rest| one(rest, u8::is_ascii_digit)));
    if !known || TAKEN.contains(&key) {
        return Err(Error::input("this key cannot be used for a class")
            .at("key")
            .expected("a digit or a letter but D, U, G, H and R, as \"Digit1\" or \"KeyQ\"")
            .got(format!("\"{key}\""))
            .into());
    }
    let other: Option<String> = sql
        .prepare_cached("SELECT name FROM classes WHERE key = ?1 AND class IS NOT ?2")?
        .query_row(params![key, of], |row| row.get(0))
        .optional()?;
    match other {
        None => Ok(()),
        Some(name) => Err(Error::input("another class has this key")
            .at("key")
            .got(format!("{key}, of \"{name}\""))
            .hint("give that one another key first")
            .into()),
    }
}

pub(super) fn checked_name(sql: &Transaction<'_>, name: &str, of: Option<Label>) -> Attempt<String> {
    let name = composed(name.trim());
    if let Some((letter, called)) = invisible(&name) {
        return Err(Error::input("the name of a class has an invisible character")
            .at("name")
            .expected("characters that can be seen, and plain spaces")
            .got(format!("{name:?}, with {called} (U+{:04X})", u32::from(letter)))
            .hint("type the name again: two classes would look the same")
            .into());
    }
    if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
        return Err(Error::input("invalid class name")
            .at("name")
            .expected("1 to 200 characters, on one line")
            .got(format!("{name:?}"))
            .into());
    }
    let same = "SELECT 1 FROM classes WHERE name = ?1 AND merged_into IS NULL AND class IS NOT ?2";
    if sql.prepare_cached(same)?.exists(params![&name, of])? {
        return Err(Error::input("there is a class of this name already")
            .at("name")
            .got(format!("\"{name}\""))
            .hint("choose another name, or merge the two classes")
            .into());
    }
    Ok(name.into_owned())
}

fn checked_colour(colour: &str) -> Attempt<String> {
    let digits = colour.strip_prefix('#').filter(|rest| rest.len() == 6);
    if digits.is_none_or(|digits| !digits.bytes().all(|c| c.is_ascii_hexdigit())) {
        return Err(Error::input("invalid colour")
            .at("colour")
            .expected("\"#rrggbb\"")
            .got(format!("\"{colour}\""))
            .into());
    }
    Ok(colour.to_lowercase())
}
