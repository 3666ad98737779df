//! Labels between a project and files: every image with its answers out, answers in.
//!
//! Never here: what a file looks like, which image it means (`exchange`).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rusqlite::{OptionalExtension as _, Row as SqlRow, Transaction, params};
use serde::Serialize;

use super::classes::{self, NewClass};
use super::exchange::plan::{Plan, Planned, Unknown, Why};
use super::exchange::{self, Index, Labels, Row, Suggestion};
use super::names::{composed, says_nothing};
use super::store::Attempt;
use super::{ImageId, Note, Project, answers, guides};
use crate::Label;
use crate::error::Result;
use crate::progress::{Event, Progress, report};

/// Images that are named of those that a file has and the project has not.
const FIRST: usize = 20;
/// Answers between two looks at the progress callback.
const BLOCK: usize = 1000;

/// What became of a file of labels.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Taken {
    /// Answers that are new.
    pub added: usize,
    /// Answers that were there already, or say what holds already.
    pub same: usize,
    /// Answers that are older than what the same person has said since, or than a review: they are
    /// left out.
    pub older: usize,
    /// Images that the file names and the project does not have, or has several of.
    pub unknown: usize,
    /// The first of them, as the file calls them, and what there is instead.
    pub unknown_paths: Vec<String>,
    /// How many of them are not used because only a name fits.
    pub by_name: usize,
    /// Images of which the file says two things at once: conflicts, to be settled in a review.
    pub conflicts: usize,
    /// The first of them: path, classes and the lines that say so.
    pub conflict_paths: Vec<String>,
    /// Images that got a note or a flag.
    pub remarks: usize,
    /// Descriptions and examples that classes got.
    pub guides: usize,
    /// Classes that were added.
    pub new_classes: Vec<String>,
    /// Those of them that programs write for nothing, such as "nan".
    pub suspicious: Vec<String>,
    /// Entries of the file that hold no label that could be read, by reason.
    pub left_out: BTreeMap<String, usize>,
    /// Where, for the first of them.
    pub notes: Vec<String>,
}

impl Project {
    /// Every image with all of its answers, as files have them, by id. Merged classes go by what
    /// they are now. What the model says of the holdout is left out.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn rows(&self) -> Result<Vec<Row>> {
        self.read(|sql| {
            let names = Names::of(sql)?;
            let mut places = HashMap::new();
            let mut rows = Vec::new();
            let mut select = sql.prepare_cached(
                "SELECT i.image, path, lower(hex(hash)), coalesce(state, 'open'), s.class, holdout, p.class, confidence,
                     coalesce(note, ''), coalesce(flag, 0)
                 FROM images AS i LEFT JOIN states AS s USING (image) LEFT JOIN predictions AS p USING (image)
                     LEFT JOIN notes USING (image)
                 ORDER BY i.image",
            )?;
            let mut found = select.query([])?;
            while let Some(row) = found.next()? {
                places.insert(row.get::<_, ImageId>(0)?, rows.len());
                let guess: Option<Label> = row.get(6)?;
                let guess = guess.map(|class| names.name(class)).transpose()?;
                let confidence: Option<f64> = row.get(7)?;
                let holdout = row.get(5)?;
                rows.push(Row {
                    path: row.get(1)?,
                    hash: row.get(2)?,
                    state: row.get(3)?,
                    class: row.get::<_, Option<Label>>(4)?.map(|class| names.name(class)).transpose()?,
                    holdout,
                    suggestion: guess
                        .zip(confidence)
                        .filter(|_| !holdout)
                        .map(|(class, confidence)| Suggestion { class, confidence }),
                    note: Note { note: row.get(8)?, flag: row.get(9)? },
                    history: Vec::new(),
                });
            }
            let mut select = sql.prepare_cached(
                "SELECT image, answer, person, at, act, class, undoes, seconds, suggested, source, token
                 FROM answers ORDER BY answer",
            )?;
            let mut found = select.query([])?;
            while let Some(row) = found.next()? {
                if let Some(&place) = places.get(&row.get::<_, ImageId>(0)?) {
                    rows[place].history.push(answer(row, &names)?);
                }
            }
            Ok(rows)
        })
    }

    /// The classes in their order, as files have them.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn listed_classes(&self) -> Result<Vec<exchange::Class>> {
        let guides = self.guides()?;
        let listed = |class: super::Class| {
            let guide = guides.iter().find(|guide| guide.class == class.id);
            let examples = guide.map_or(&[][..], |guide| &guide.examples);
            exchange::Class {
                name: class.name,
                key: class.key,
                colour: Some(class.colour),
                description: guide.map_or_else(String::new, |guide| guide.description.clone()),
                examples: examples.iter().map(|example| example.path.clone()).collect(),
            }
        };
        Ok(self.classes()?.into_iter().map(listed).collect())
    }

    /// Takes in what a file of labels says: all of it or nothing. Answers that are there already,
    /// by their token, or by image, person, time and what was said, are not added again; a label
    /// without a time is not added where it holds already. Who said it is `person`, where the file
    /// does not say. Classes that are not there are added, with the keys and colours that the file
    /// gives them. Reports the phase "take in" by answers.
    ///
    /// # Errors
    /// More classes than a project can have, names that are none; the store cannot be written;
    /// [`Error::Stopped`].
    ///
    /// [`Error::Stopped`]: crate::Error::Stopped
    pub fn take_in(&mut self, labels: &Labels, person: &str, progress: &mut Progress<'_>) -> Result<Taken> {
        self.take_in_by(labels, person, false, progress)
    }

    /// [`Project::take_in`]; with `by_name`, the name of a file is enough where one image alone has
    /// it, also in other folders.
    ///
    /// # Errors
    /// As [`Project::take_in`].
    pub fn take_in_by(
        &mut self,
        labels: &Labels,
        person: &str,
        by_name: bool,
        progress: &mut Progress<'_>,
    ) -> Result<Taken> {
        answers::check_person(person)?;
        let folder = self.folder_name()?;
        self.write(|sql| {
            let (plan, mut taken, names) = planned(sql, labels, person, &folder, by_name)?;
            let answers = &plan.answers;
            for (image, note) in &plan.remarks {
                match guides::add_note(sql, *image, person, note)? {
                    Ok(added) => taken.remarks += usize::from(added),
                    Err(why) => _ = taken.left_out.entry(why.into()).and_modify(|n| *n += 1).or_insert(1),
                }
            }
            for class in &labels.classes {
                if let Some(id) = names.id(&class.name) {
                    let shown =
                        plan.examples.iter().filter(|(name, _)| *name == class.name).map(|(_, id)| *id);
                    taken.guides += guides::add_guide(sql, id, &class.description, shown)?;
                }
            }
            let mut into = Into {
                names: &names,
                person,
                numbers: HashMap::new(),
                met: HashSet::new(),
                touched: BTreeSet::new(),
            };
            let total = answers.len();
            for (n, block) in answers.chunks(BLOCK).enumerate() {
                for planned in block {
                    *match into.take(sql, planned)? {
                        Became::Added => &mut taken.added,
                        Became::Same => &mut taken.same,
                        Became::Older => &mut taken.older,
                    } += 1;
                }
                let done = n * BLOCK + block.len();
                report(
                    progress,
                    Event::Progress { phase: "take in", done, total, unit: "answer", loss: None },
                )?;
            }
            into.touched.iter().try_for_each(|&image| answers::refresh(sql, image))?;
            Ok(taken)
        })
    }
}

impl Project {
    /// The name of the folder of images.
    pub(super) fn folder_name(&self) -> Result<String> {
        let folder = self.images_folder()?;
        let folder = folder.canonicalize().unwrap_or(folder);
        let name = folder.file_name().map(|name| composed(&name.to_string_lossy()).into_owned());
        Ok(name.unwrap_or_default())
    }
}

/// What a file comes to: its answers with their images, what cannot be used, and the classes, with
/// those that are new.
pub(super) fn planned(
    sql: &Transaction<'_>,
    labels: &Labels,
    person: &str,
    folder: &str,
    by_name: bool,
) -> Attempt<(Plan, Taken, Names)> {
    let images = {
        let mut select = sql.prepare("SELECT image, path, lower(hex(hash)) FROM images")?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect::<rusqlite::Result<Vec<(ImageId, String, String)>>>()?
    };
    let mut names = Names::of(sql)?;
    let mut plan = {
        let index = Index::new(images.iter().map(|(id, path, hash)| (*id, path.as_str(), hash.as_str())));
        let known: Vec<&str> = names.by_name.keys().map(String::as_str).collect();
        exchange::plan(labels, &index.inside(folder).by_name(by_name), known, person)
    };
    let only_name = |unknown: &&Unknown| matches!(unknown.why, Why::OnlyTheName(_) | Why::SameAs(..));
    let mut taken = Taken {
        unknown: plan.unknown.len(),
        by_name: plan.unknown.iter().filter(only_name).count(),
        unknown_paths: plan.unknown.iter().take(FIRST).map(ToString::to_string).collect(),
        conflicts: plan.conflicts.len(),
        conflict_paths: plan.conflicts.iter().take(FIRST).map(ToString::to_string).collect(),
        left_out: labels.left_out.clone(),
        notes: labels.notes.clone(),
        ..Taken::default()
    };
    for class in std::mem::take(&mut plan.new_classes) {
        if names.id(&class.name).is_none() {
            let name = key(&class.name).into_owned();
            let id = add_class(sql, &class)?;
            if says_nothing(&name) {
                taken.suspicious.push(name.clone());
            }
            taken.new_classes.push(name.clone());
            names.by_name.insert(name, id);
        }
    }
    Ok((plan, taken, names))
}

/// Classes by id and by name.
pub(super) struct Names {
    by_id: HashMap<Label, String>,
    by_name: HashMap<String, Label>,
}

impl Names {
    fn of(sql: &Transaction<'_>) -> Attempt<Self> {
        let mut select =
            sql.prepare("SELECT class, name, merged_into FROM classes ORDER BY merged_into IS NULL, class")?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let rows = rows.collect::<rusqlite::Result<Vec<(Label, String, Option<Label>)>>>()?;
        let name = |id: Label| rows.iter().find(|row| row.0 == id).map(|row| row.1.clone());
        // A class that is there goes before one of its name that was merged: it comes last. One
        // that was deleted has none.
        let there = rows.iter().filter(|(id, _, into)| *into != Some(*id));
        let by_name = there.map(|(id, name, into)| (key(name).into_owned(), into.unwrap_or(*id))).collect();
        let by_id = rows.iter().filter_map(|(id, _, into)| Some((*id, name(into.unwrap_or(*id))?))).collect();
        Ok(Self { by_id, by_name })
    }

    pub(super) fn id(&self, name: &str) -> Option<Label> {
        self.by_name.get(&*key(name)).copied()
    }

    fn name(&self, id: Label) -> Result<String> {
        self.by_id.get(&id).cloned().ok_or_else(|| classes::unknown_class(id).into())
    }
}

/// A name as the store has it: without spaces around, in one spelling.
fn key(name: &str) -> Cow<'_, str> {
    composed(name.trim())
}

fn answer(row: &SqlRow<'_>, names: &Names) -> Attempt<exchange::Answer> {
    let name = |class: Option<Label>| class.map(|class| names.name(class)).transpose();
    Ok(exchange::Answer {
        answer: row.get(1)?,
        person: row.get(2)?,
        at: row.get(3)?,
        act: row.get(4)?,
        class: name(row.get(5)?)?,
        undoes: row.get(6)?,
        seconds: row.get(7)?,
        suggested: name(row.get(8)?)?,
        source: row.get(9)?,
        token: row.get(10)?,
    })
}

/// Adds a class with its key and colour, or without the key where that is taken or none.
fn add_class(sql: &Transaction<'_>, class: &exchange::Class) -> Attempt<Label> {
    let exchange::Class { name, key, colour, .. } = class.clone();
    let whole = NewClass { name: name.clone(), key, colour };
    classes::add(sql, &whole).or_else(|_| classes::add(sql, &NewClass { name, ..NewClass::default() }))
}

/// Answers on their way in.
struct Into<'a> {
    names: &'a Names,
    person: &'a str,
    /// From numbers of the file to rows.
    numbers: HashMap<i64, i64>,
    /// Rows that an answer of the file is already: another that says the same is another.
    met: HashSet<i64>,
    touched: BTreeSet<ImageId>,
}

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Became {
    Added,
    /// It is there already, or undoes what is not there.
    Same,
    /// There is a newer one.
    Older,
}

impl Into<'_> {
    fn take(&mut self, sql: &Transaction<'_>, planned: &Planned) -> Attempt<Became> {
        let Planned { image, answer, contested, .. } = planned;
        let person = answer.person.as_deref().unwrap_or(self.person);
        answers::check_person(person)?;
        let id = |name: &Option<String>| name.as_ref().and_then(|name| self.names.id(name));
        let (class, suggested) = (id(&answer.class), id(&answer.suggested));
        let act = answer.act;
        let undoes = match answer.undoes {
            None => None,
            Some(number) => match self.numbers.get(&number) {
                Some(&row) => Some(row),
                None => return Ok(Became::Same),
            },
        };
        let mut token = answer.token.as_deref();
        if let Some(text) = token {
            let same = "SELECT answer, image = ?2 AND person = ?3 AND act = ?4 FROM answers WHERE token = ?1";
            let found: Option<(i64, bool)> = sql
                .prepare_cached(same)?
                .query_row(params![text, image, person, act], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            match found {
                Some((row, true)) => return Ok(self.known(answer, row)),
                // Somebody else's by chance.
                Some((_, false)) => token = None,
                None => {}
            }
        }
        let same = match (undoes, answer.at) {
            (Some(undone), _) => sql
                .prepare_cached("SELECT answer FROM answers WHERE undoes = ?1")?
                .query_row([undone], |row| row.get(0))
                .optional()?,
            (None, Some(at)) => sql
                .prepare_cached(
                    "SELECT answer FROM answers LEFT JOIN classes USING (class)
                     WHERE image = ?1 AND person = ?2 AND at = ?3 AND act = ?4 AND coalesce(merged_into, class) IS ?5
                         AND (?6 IS NULL OR token IS NULL) ORDER BY answer",
                )?
                .query_map(params![image, person, at, act, class, answer.token], |row| row.get(0))?
                .find(|row| row.as_ref().map_or(true, |row| !self.met.contains(row)))
                .transpose()?,
            // What a file contradicts holds nowhere: it is there if it was said once.
            (None, None) if *contested => sql
                .prepare_cached(
                    "SELECT answer FROM answers LEFT JOIN classes USING (class)
                     WHERE image = ?1 AND person = ?2 AND act = ?3 AND coalesce(merged_into, class) IS ?4",
                )?
                .query_row(params![image, person, act, class], |row| row.get(0))
                .optional()?,
            (None, None) => sql
                .prepare_cached(
                    "SELECT 0 FROM states WHERE image = ?1 AND class IS ?2 AND state = CASE ?3
                     WHEN 'label' THEN 'labelled' WHEN 'discard' THEN 'discarded' ELSE ?3 END",
                )?
                .query_row(params![image, class, act], |row| row.get(0))
                .optional()?,
        };
        if let Some(row) = same {
            return Ok(self.known(answer, row));
        }
        if let (None, Some(at)) = (undoes, answer.at)
            && self.has_newer(sql, *image, person, at)?
        {
            return Ok(Became::Older);
        }
        let row = sql
            .prepare_cached(
                "INSERT INTO answers (image, person, at, act, class, undoes, seconds, suggested, source, token)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) RETURNING answer",
            )?
            .query_row(
                params![
                    image,
                    person,
                    answer.at.unwrap_or_else(super::store::now),
                    act,
                    class,
                    undoes,
                    answer.seconds,
                    suggested,
                    answer.source,
                    token
                ],
                |row| row.get(0),
            )?;
        self.known(answer, row);
        self.touched.insert(*image);
        if answer.at.is_none() {
            // The next line may say the same.
            answers::refresh(sql, *image)?;
        }
        Ok(Became::Added)
    }

    /// Whether there is an answer of this person that counts, or a review, which is newer than `at`
    /// and not of the file.
    fn has_newer(
        &self,
        sql: &Transaction<'_>,
        image: ImageId,
        person: &str,
        at: i64,
    ) -> rusqlite::Result<bool> {
        let mut newer = sql.prepare_cached(
            "SELECT answer FROM live WHERE image = ?1 AND at > ?3 AND (person = ?2 OR source = 'review')",
        )?;
        let mut rows = newer.query(params![image, person, at])?;
        while let Some(row) = rows.next()? {
            if !self.met.contains(&row.get(0)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn known(&mut self, answer: &exchange::Answer, row: i64) -> Became {
        self.numbers.insert(answer.answer, row);
        self.met.insert(row);
        Became::Same
    }
}

#[cfg(test)]
mod tests;
