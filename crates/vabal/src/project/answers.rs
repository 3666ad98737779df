//! Answers: what persons say of images. A row each, never changed; undoing is a row too. What
//! follows from them for an image, the view `current` says, and `states` keeps.
//!
//! Never here: who is asked what.

use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::counts::{ClassCount, Counts, class_counts, counts, labels_until_training};
use super::listing::{self, Image};
use super::store::{Attempt, Fault, now};
use super::words::{Act, Source, State};
use super::{ImageId, Project, asking, classes};
use crate::Label;
use crate::error::{Error, Result};

/// Answers that one call may give.
const MOST: usize = 100_000;

/// What one person says of one image.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The image.
    pub image: ImageId,
    /// Anything but [`Act::Undo`], for which there is [`Project::undo`].
    pub act: Act,
    /// The class of a label. One that was merged counts as what it is now.
    #[serde(default)]
    pub class: Option<Label>,
    /// How long it took.
    #[serde(default)]
    pub seconds: Option<f64>,
    /// The class that was suggested, where one was shown.
    #[serde(default)]
    pub suggested: Option<Label>,
}

/// One gesture: a key press, or a selection of the grid at once. It is undone as one.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// Who says so: 1 to 100 characters.
    pub person: String,
    /// Names the gesture: 1 to 100 characters but `/`. The same again adds nothing.
    pub token: String,
    /// At least one.
    pub answers: Vec<Answer>,
    /// Whether they hold for all images with the same content.
    #[serde(default)]
    pub duplicates: bool,
    /// [`Source::Page`] or [`Source::Review`].
    #[serde(default = "page")]
    pub source: Source,
}

fn page() -> Source {
    Source::Page
}

/// An answer from elsewhere, with all that is known of it, for [`Project::append`].
#[derive(Debug, Clone, PartialEq)]
pub struct Appended {
    /// The image.
    pub image: ImageId,
    /// Who said so.
    pub person: String,
    /// When, in milliseconds since 1970; `None` is now.
    pub at: Option<i64>,
    /// Anything but [`Act::Undo`].
    pub act: Act,
    /// The class of a label.
    pub class: Option<Label>,
    /// How long it took.
    pub seconds: Option<f64>,
    /// The class that was suggested.
    pub suggested: Option<Label>,
}

/// An image after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AnsweredImage {
    /// The image.
    pub id: ImageId,
    /// What is known of it now.
    pub state: State,
    /// Its class, where it is labelled.
    pub class: Option<Label>,
}

/// What became of answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answered {
    /// The images answered, in the order of the answers, then their duplicates.
    pub images: Vec<AnsweredImage>,
    /// Every class of the list.
    pub classes: Vec<ClassCount>,
    /// Images by state.
    pub counts: Counts,
    /// Labels still to be given before the next training; 0 when it is due.
    pub labels_until_training: usize,
}

/// What was taken back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Undone {
    /// The images of the gesture, as they are again.
    pub images: Vec<Image>,
    /// What had been done with them.
    pub act: Act,
    /// Every class of the list.
    pub classes: Vec<ClassCount>,
    /// Images by state.
    pub counts: Counts,
}

impl Project {
    /// Takes the answers of one gesture: all of them or none. They are on the disk when this
    /// returns. A token that was given before adds nothing; what is given back is then as the
    /// images are now.
    ///
    /// # Errors
    /// No answer or more than 100,000, an image or class that there is not, a label without a class
    /// or another act with one, seconds that are negative, a person or token that is empty or too
    /// long, a token that another person gave; the store cannot be written.
    pub fn answer(&mut self, given: &Answers) -> Result<Answered> {
        check_given(given)?;
        self.write(|sql| give(sql, given))
    }

    /// [`Project::answer`] for gestures of several persons that came at the same time: what the
    /// disk is waited for is shared by them. One that is refused leaves no trace, and the others
    /// stand.
    ///
    /// # Errors
    /// The store cannot be written; then none of them is there.
    pub fn answer_all(&mut self, all: &[&Answers]) -> Result<Vec<Result<Answered>>> {
        if let [one] = all {
            // A refusal need not be told from a store that cannot be written.
            return Ok(vec![self.answer(one)]);
        }
        self.write(|sql| {
            let mut results = Vec::with_capacity(all.len());
            for given in all {
                if let Err(error) = check_given(given) {
                    results.push(Err(error));
                    continue;
                }
                sql.execute_batch("SAVEPOINT gesture")?;
                match give(sql, given) {
                    Ok(answered) => results.push(Ok(answered)),
                    Err(Fault::Said(error)) => {
                        sql.execute_batch("ROLLBACK TO gesture")?;
                        results.push(Err(error));
                    }
                    Err(fault) => return Err(fault),
                }
                sql.execute_batch("RELEASE gesture")?;
            }
            Ok(results)
        })
    }

    /// Takes the person's latest gesture back that was not taken back yet: all of its answers,
    /// which stay as rows. What was said before holds again, and the images are the person's to
    /// answer. Answers read from files are not taken back so. With a token, the same again takes
    /// nothing more back. `None` where there is nothing to take back.
    ///
    /// # Errors
    /// A person or token that is empty or too long, a token that was given to something else; the
    /// store cannot be written.
    pub fn undo(&mut self, person: &str, token: Option<&str>) -> Result<Option<Undone>> {
        check_person(person)?;
        token.map_or(Ok(()), check_token)?;
        self.write(|sql| {
            let told = token.map_or(Ok(None), |token| told_undo(sql, token, person))?;
            let (act, images) = match told {
                Some(told) => told,
                None => {
                    let Some((answer, act, gesture)) = latest(sql, person)? else { return Ok(None) };
                    let rows = match gesture {
                        Some(gesture) => of_gesture(sql, &gesture, person)?,
                        None => vec![answer],
                    };
                    let mut images = Vec::new();
                    let mut insert = sql.prepare_cached(
                        "INSERT INTO answers (image, person, at, act, undoes, source, token)
                         SELECT image, person, ?2, 'undo', answer, 'page', ?3 FROM answers WHERE answer = ?1
                         RETURNING image",
                    )?;
                    for (n, row) in rows.into_iter().enumerate() {
                        let token = token.map(|token| format!("{token}/{n}"));
                        images.push(insert.query_row(params![row, now(), token], |row| row.get(0))?);
                    }
                    for &image in &images {
                        refresh(sql, image)?;
                        asking::lease(sql, image, person)?;
                    }
                    (act, images)
                }
            };
            Ok(Some(Undone {
                images: listing::images(sql, &images)?,
                act,
                classes: class_counts(sql)?,
                counts: counts(sql)?,
            }))
        })
    }

    /// Adds answers from elsewhere, with source [`Source::Import`]: all of them or none.
    ///
    /// # Errors
    /// As [`Project::answer`], but for tokens.
    pub fn append(&mut self, answers: &[Appended]) -> Result<()> {
        for answer in answers {
            check_person(&answer.person)?;
        }
        self.write(|sql| {
            let at = now();
            for row in answers {
                let Appended { image, act, class, seconds, suggested, .. } = *row;
                check(sql, image, act, class, seconds, suggested)?;
                let answer = Answer { image, act, class, seconds, suggested };
                let mut insert =
                    Insert { person: &row.person, at: row.at.unwrap_or(at), token: None, next: 0 };
                insert.row(sql, &answer, Source::Import)?;
            }
            let mut images: Vec<ImageId> = answers.iter().map(|answer| answer.image).collect();
            images.sort_unstable();
            images.dedup();
            images.into_iter().try_for_each(|image| refresh(sql, image))?;
            Ok(())
        })
    }
}

/// Checks what can be checked of a gesture without the store.
fn check_given(given: &Answers) -> Result<()> {
    let Answers { person, token, answers, source, .. } = given;
    check_person(person)?;
    check_token(token)?;
    if !matches!(source, Source::Page | Source::Review) {
        return Err(Error::input("answers do not come from there")
            .at("source")
            .expected("\"page\" or \"review\"")
            .got(source.word())
            .into());
    }
    if answers.is_empty() || answers.len() > MOST {
        return Err(Error::input("no answer, or too many at once")
            .at("answers")
            .expected(format!("1 to {MOST}"))
            .got(answers.len())
            .into());
    }
    Ok(())
}

/// Adds the answers of one gesture, inside a transaction.
fn give(sql: &Transaction<'_>, given: &Answers) -> Attempt<Answered> {
    let Answers { person, token, answers, duplicates, source } = given;
    if let Some(images) = told(sql, token, person)? {
        return answered(sql, images);
    }
    let at = now();
    let mut images: Vec<ImageId> = Vec::with_capacity(answers.len());
    for answer in answers {
        check(sql, answer.image, answer.act, answer.class, answer.seconds, answer.suggested)?;
        images.push(answer.image);
    }
    let mut insert = Insert { person, at, token: Some(token), next: 0 };
    for answer in answers {
        insert.row(sql, answer, *source)?;
    }
    if *duplicates {
        let named: std::collections::HashSet<ImageId> = images.iter().copied().collect();
        for answer in answers {
            for other in siblings(sql, answer.image, person, *source)? {
                if !named.contains(&other) {
                    let source = if *source == Source::Review { *source } else { Source::Duplicate };
                    let answer = Answer { image: other, seconds: None, ..*answer };
                    insert.row(sql, &answer, source)?;
                    images.push(other);
                }
            }
        }
    }
    for &image in &images {
        refresh(sql, image)?;
        asking::release(sql, image, person)?;
    }
    answered(sql, images)
}

/// What the rows of one gesture share.
struct Insert<'a> {
    person: &'a str,
    at: i64,
    token: Option<&'a str>,
    next: usize,
}

impl Insert<'_> {
    fn row(&mut self, sql: &Transaction<'_>, answer: &Answer, source: Source) -> rusqlite::Result<()> {
        let token = self.token.map(|token| format!("{token}/{}", self.next));
        self.next += 1;
        sql.prepare_cached(
            "INSERT INTO answers (image, person, at, act, class, seconds, suggested, source, token)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            answer.image,
            self.person,
            self.at,
            answer.act,
            answer.class,
            answer.seconds,
            answer.suggested,
            source,
            token
        ])
        .map(|_| ())
    }
}

/// Checks a name that a person goes by.
///
/// # Errors
/// One that is empty, too long, or on several lines.
pub(super) fn check_person(person: &str) -> Result<()> {
    let characters = person.chars().count();
    if person.trim().is_empty() || characters > 100 || person.chars().any(char::is_control) {
        return Err(Error::input("invalid person name")
            .at("person")
            .expected("1 to 100 characters, on one line")
            .got(format!("{person:?}"))
            .hint("give another name")
            .into());
    }
    Ok(())
}

fn check_token(token: &str) -> Result<()> {
    if token.is_empty() || token.len() > 100 || token.contains('/') {
        return Err(Error::input("invalid token")
            .at("token")
            .expected("1 to 100 bytes without \"/\"")
            .got(format!("{token:?}"))
            .into());
    }
    Ok(())
}

fn check(
    sql: &Transaction<'_>,
    image: ImageId,
    act: Act,
    class: Option<Label>,
    seconds: Option<f64>,
    suggested: Option<Label>,
) -> Attempt<()> {
    if !sql.prepare_cached("SELECT 1 FROM images WHERE image = ?1")?.exists([image])? {
        return Err(Error::input("there is no such image").at("image").got(image).into());
    }
    if act == Act::Undo {
        return Err(Error::input("an answer cannot undo")
            .at("act")
            .hint("there is a request of its own for it")
            .into());
    }
    if (act == Act::Label) != class.is_some() {
        let expected =
            if act == Act::Label { "a class with a label" } else { "no class with anything but a label" };
        return Err(Error::input("act and class do not fit")
            .at(format!("image {image}"))
            .expected(expected)
            .into());
    }
    for class in [class, suggested].into_iter().flatten() {
        classes::followed(sql, class)?;
    }
    // What was suggested may be gone since; nobody can say it any more.
    let deleted = "SELECT 1 FROM classes WHERE class = ?1 AND merged_into = class";
    if let Some(class) = class
        && sql.prepare_cached(deleted)?.exists([class])?
    {
        return Err(classes::unknown_class(class).into());
    }
    if let Some(seconds) = seconds
        && !(seconds.is_finite() && seconds >= 0.0)
    {
        return Err(Error::input("invalid duration").at("seconds").expected("0 or more").got(seconds).into());
    }
    Ok(())
}

/// The images of a gesture that is there already.
fn told(sql: &Transaction<'_>, token: &str, person: &str) -> Attempt<Option<Vec<ImageId>>> {
    let rows = rows_of(sql, token)?;
    if rows.is_empty() {
        return Ok(None);
    }
    if rows.iter().any(|(_, _, who, act, _)| who != person || *act == Act::Undo) {
        return Err(taken(token).into());
    }
    Ok(Some(rows.into_iter().map(|(_, image, ..)| image).collect()))
}

/// The act and the images of an undoing that is there already.
fn told_undo(sql: &Transaction<'_>, token: &str, person: &str) -> Attempt<Option<(Act, Vec<ImageId>)>> {
    let rows = rows_of(sql, token)?;
    let Some((_, _, _, _, Some(undone))) = rows.first() else {
        return if rows.is_empty() { Ok(None) } else { Err(taken(token).into()) };
    };
    if rows.iter().any(|(_, _, who, ..)| who != person) {
        return Err(taken(token).into());
    }
    let act = sql.query_row("SELECT act FROM answers WHERE answer = ?1", [undone], |row| row.get(0))?;
    Ok(Some((act, rows.iter().map(|(_, image, ..)| *image).collect())))
}

fn taken(token: &str) -> crate::error::Complaint {
    Error::input("this token was given to something else")
        .at("token")
        .got(format!("{token:?}"))
        .hint("draw a new one for every act")
}

type Row5 = (i64, ImageId, String, Act, Option<i64>);

/// Answer, image, person, act, undone answer of each row of a gesture, in the order in which they
/// were given.
fn rows_of(sql: &Transaction<'_>, token: &str) -> rusqlite::Result<Vec<Row5>> {
    let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
    // "0" follows "/": all that begins with the token and "/".
    sql.prepare_cached(
        "SELECT answer, image, person, act, undoes FROM answers WHERE token >= ?1 || '/' AND token < ?1 || '0'
         ORDER BY answer",
    )?
    .query_map([token], row)?
    .collect()
}

/// The person's latest answer that can be taken back: its row, act and gesture.
fn latest(sql: &Transaction<'_>, person: &str) -> rusqlite::Result<Option<(i64, Act, Option<String>)>> {
    sql.prepare_cached(
        "SELECT answer, act, token FROM answers AS a
         WHERE person = ?1 AND act <> 'undo' AND source <> 'import'
             AND NOT EXISTS (SELECT 1 FROM answers AS u WHERE u.undoes = a.answer)
         ORDER BY answer DESC LIMIT 1",
    )?
    .query_row([person], |row| {
        let token: Option<String> = row.get(2)?;
        let gesture = token.and_then(|token| token.rsplit_once('/').map(|(gesture, _)| gesture.to_string()));
        Ok((row.get(0)?, row.get(1)?, gesture))
    })
    .optional()
}

/// The live answers of a gesture.
fn of_gesture(sql: &Transaction<'_>, gesture: &str, person: &str) -> rusqlite::Result<Vec<i64>> {
    sql.prepare_cached(
        "SELECT answer FROM answers AS a
         WHERE token >= ?1 || '/' AND token < ?1 || '0' AND person = ?2 AND act <> 'undo'
             AND NOT EXISTS (SELECT 1 FROM answers AS u WHERE u.undoes = a.answer)
         ORDER BY answer",
    )?
    .query_map([gesture, person], |row| row.get(0))?
    .collect()
}

/// The other images with this content, but those of which another person has said what they are:
/// these would become conflicts that nobody meant. A review settles them too.
fn siblings(
    sql: &Transaction<'_>,
    image: ImageId,
    person: &str,
    source: Source,
) -> rusqlite::Result<Vec<ImageId>> {
    sql.prepare_cached(
        "SELECT d.image FROM images AS i JOIN images AS d ON d.hash = i.hash AND d.image <> i.image
         WHERE i.image = ?1 AND d.missing = 0 AND (?3 OR NOT EXISTS (
             SELECT 1 FROM standing AS s
             WHERE s.image = d.image AND s.person <> ?2 AND s.act IN ('label', 'discard')))
         ORDER BY d.image",
    )?
    .query_map(params![image, person, source == Source::Review], |row| row.get(0))?
    .collect()
}

/// Brings what is kept of an image up to its answers: its row of `states`, and whether it and its
/// duplicates are asked.
pub(super) fn refresh(sql: &Transaction<'_>, image: ImageId) -> rusqlite::Result<()> {
    sql.prepare_cached("DELETE FROM states WHERE image = ?1")?.execute([image])?;
    sql.prepare_cached(
        "INSERT INTO states SELECT image, state, class, at, answers FROM current WHERE image = ?1",
    )?
    .execute([image])?;
    let hash: Vec<u8> = sql
        .prepare_cached("SELECT hash FROM images WHERE image = ?1")?
        .query_row([image], |row| row.get(0))?;
    refresh_ask(sql, &hash)
}

/// Brings `ask` up to date for all images of one content.
pub(super) fn refresh_ask(sql: &Transaction<'_>, hash: &[u8]) -> rusqlite::Result<()> {
    let labelled = sql
        .prepare_cached(
            "SELECT 1 FROM images JOIN states USING (image) WHERE hash = ?1 AND state = 'labelled' LIMIT 1",
        )?
        .exists([hash])?;
    sql.prepare_cached(
        "UPDATE images SET ask = NOT ask WHERE hash = ?1
         AND ask <> (NOT ?2 AND NOT EXISTS (SELECT 1 FROM states AS s WHERE s.image = images.image))",
    )?
    .execute(params![hash, labelled])
    .map(|_| ())
}

fn answered(sql: &Transaction<'_>, images: Vec<ImageId>) -> Attempt<Answered> {
    let mut select = sql.prepare_cached(
        "SELECT coalesce(state, 'open'), class FROM images LEFT JOIN states USING (image) WHERE image = ?1",
    )?;
    let mut seen = std::collections::HashSet::new();
    let images = images
        .into_iter()
        .filter(|image| seen.insert(*image))
        .map(|image| {
            select.query_row([image], |row| {
                Ok(AnsweredImage { id: image, state: row.get(0)?, class: row.get(1)? })
            })
        })
        .collect::<rusqlite::Result<_>>()?;
    Ok(Answered {
        images,
        classes: class_counts(sql)?,
        counts: counts(sql)?,
        labels_until_training: labels_until_training(sql)?,
    })
}
