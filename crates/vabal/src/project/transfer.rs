//! Labels between a project and files: every image with its answers out, answers in.
//!
//! Never here: what a file looks like, which image it means (`exchange`).

use std::collections::{BTreeSet, HashMap};

use rusqlite::{OptionalExtension as _, Row as SqlRow, Transaction, params};
use serde::Serialize;

use super::classes::{self, NewClass};
use super::exchange::{self, Act, Index, Labels, Row, Source, State, Suggestion, matching};
use super::store::Attempt;
use super::{Project, answers};
use crate::error::Result;
use crate::{Id, Label};

/// Images that are named of those that a file has and the project has not.
const FIRST: usize = 20;

/// What became of a file of labels.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Taken {
    /// Answers that are new.
    pub added: usize,
    /// Answers that were there already, or say what holds already.
    pub same: usize,
    /// Images that the file names and the project does not have, or has several of.
    pub unknown: usize,
    /// The first of them, as the file calls them.
    pub unknown_paths: Vec<String>,
    /// Classes that were added.
    pub new_classes: Vec<String>,
    /// Entries of the file that hold no label that could be read.
    pub left_out: usize,
    /// Why, for the first of them.
    pub notes: Vec<String>,
}

impl Project {
    /// Every image with all of its answers, as files have them, by id. Merged classes go by what they are now.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn rows(&self) -> Result<Vec<Row>> {
        self.read(|sql| {
            let names = Names::of(sql)?;
            let mut places = HashMap::new();
            let mut rows = Vec::new();
            let mut select = sql.prepare_cached(
                "SELECT i.image, path, lower(hex(hash)), coalesce(state, 'open'), s.class, holdout, p.class, confidence
                 FROM images AS i LEFT JOIN states AS s USING (image) LEFT JOIN predictions AS p USING (image)
                 ORDER BY i.image",
            )?;
            let mut found = select.query([])?;
            while let Some(row) = found.next()? {
                places.insert(row.get::<_, Id>(0)?, rows.len());
                let guess: Option<Label> = row.get(6)?;
                let guess = guess.map(|class| names.name(class)).transpose()?;
                let confidence: Option<f64> = row.get(7)?;
                rows.push(Row {
                    path: row.get(1)?,
                    hash: row.get(2)?,
                    state: State::of(row.get_ref(3)?.as_str().unwrap_or_default())?,
                    class: row.get::<_, Option<Label>>(4)?.map(|class| names.name(class)).transpose()?,
                    holdout: row.get(5)?,
                    suggestion: guess
                        .zip(confidence)
                        .map(|(class, confidence)| Suggestion { class, confidence }),
                    history: Vec::new(),
                });
            }
            let mut select = sql.prepare_cached(
                "SELECT image, answer, person, at, act, class, undoes, seconds, suggested, source, token
                 FROM answers ORDER BY answer",
            )?;
            let mut found = select.query([])?;
            while let Some(row) = found.next()? {
                if let Some(&place) = places.get(&row.get::<_, Id>(0)?) {
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
        let all = self.classes()?.into_iter();
        Ok(all
            .map(|class| exchange::Class { name: class.name, key: class.key, colour: Some(class.colour) })
            .collect())
    }

    /// Takes in what a file of labels says: all of it or nothing. Answers that are there already, by their token, or by
    /// image, person, time and what was said, are not added again; a label without a time is not added where it holds
    /// already. Who said it is `person`, where the file does not say. Classes that are not there are added.
    ///
    /// # Errors
    /// More classes than a project can have, names that are none; the store cannot be written.
    pub fn take_in(&mut self, labels: &Labels, person: &str) -> Result<Taken> {
        answers::check_person(person)?;
        self.write(|sql| {
            let images = {
                let mut select = sql.prepare("SELECT image, path, lower(hex(hash)) FROM images")?;
                let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
                rows.collect::<rusqlite::Result<Vec<(Id, String, String)>>>()?
            };
            let mut names = Names::of(sql)?;
            let plan = {
                let index =
                    Index::new(images.iter().map(|(id, path, hash)| (*id, path.as_str(), hash.as_str())));
                let known: Vec<&str> = names.by_name.keys().map(String::as_str).collect();
                matching::plan(labels, &index, known)
            };
            let mut taken = Taken {
                unknown: plan.unknown.len(),
                unknown_paths: plan.unknown.into_iter().take(FIRST).collect(),
                left_out: labels.left_out,
                notes: labels.notes.clone(),
                ..Taken::default()
            };
            for class in plan.new_classes {
                let id = add_class(sql, &class)?;
                names.by_name.insert(class.name.clone(), id);
                taken.new_classes.push(class.name);
            }
            let mut into = Into { names: &names, person, numbers: HashMap::new(), touched: BTreeSet::new() };
            for (image, answer) in &plan.answers {
                if into.take(sql, *image, answer)? { taken.added += 1 } else { taken.same += 1 }
            }
            into.touched.iter().try_for_each(|&image| answers::refresh(sql, image.cast_signed()))?;
            Ok(taken)
        })
    }
}

/// Classes by id and by name.
struct Names {
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
        // A class that is there goes before one of its name that was merged: it comes last.
        let by_name = rows.iter().map(|(id, name, into)| (name.clone(), into.unwrap_or(*id))).collect();
        let by_id = rows.iter().filter_map(|(id, _, into)| Some((*id, name(into.unwrap_or(*id))?))).collect();
        Ok(Self { by_id, by_name })
    }

    fn name(&self, id: Label) -> Result<String> {
        self.by_id.get(&id).cloned().ok_or_else(|| classes::unknown_class(id).into())
    }
}

fn answer(row: &SqlRow<'_>, names: &Names) -> Attempt<exchange::Answer> {
    let name = |class: Option<Label>| class.map(|class| names.name(class)).transpose();
    Ok(exchange::Answer {
        answer: row.get(1)?,
        person: row.get(2)?,
        at: row.get(3)?,
        act: Act::of(row.get_ref(4)?.as_str().unwrap_or_default())?,
        class: name(row.get(5)?)?,
        undoes: row.get(6)?,
        seconds: row.get(7)?,
        suggested: name(row.get(8)?)?,
        source: Source::of(row.get_ref(9)?.as_str().unwrap_or_default())?,
        token: row.get(10)?,
    })
}

/// Adds a class with its key and colour, or without the key where that is taken or none.
fn add_class(sql: &Transaction<'_>, class: &exchange::Class) -> Attempt<Label> {
    let exchange::Class { name, key, colour } = class.clone();
    let whole = NewClass { name: name.clone(), key, colour };
    classes::add(sql, &whole).or_else(|_| classes::add(sql, &NewClass { name, ..NewClass::default() }))
}

/// Answers on their way in.
struct Into<'a> {
    names: &'a Names,
    person: &'a str,
    /// From numbers of the file to rows.
    numbers: HashMap<i64, i64>,
    touched: BTreeSet<Id>,
}

impl Into<'_> {
    /// Takes one in; false where it is there already, or undoes what is not there.
    fn take(&mut self, sql: &Transaction<'_>, image: Id, answer: &exchange::Answer) -> Attempt<bool> {
        let person = answer.person.as_deref().unwrap_or(self.person);
        answers::check_person(person)?;
        let id = |name: &Option<String>| name.as_ref().and_then(|name| self.names.by_name.get(name)).copied();
        let (class, suggested) = (id(&answer.class), id(&answer.suggested));
        let act = answer.act.name();
        let undoes = match answer.undoes {
            None => None,
            Some(number) => match self.numbers.get(&number) {
                Some(&row) => Some(row),
                None => return Ok(false),
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
                    "SELECT answer FROM answers
                     WHERE image = ?1 AND person = ?2 AND at = ?3 AND act = ?4 AND class IS ?5",
                )?
                .query_row(params![image, person, at, act, class], |row| row.get(0))
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
                    answer.source.name(),
                    token
                ],
                |row| row.get(0),
            )?;
        self.numbers.insert(answer.answer, row);
        self.touched.insert(image);
        if answer.at.is_none() {
            // The next line may say the same.
            answers::refresh(sql, image.cast_signed())?;
        }
        Ok(true)
    }

    fn known(&mut self, answer: &exchange::Answer, row: i64) -> bool {
        self.numbers.insert(answer.answer, row);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::exchange::{Detail, Format, csv, json_lines, read};
    use super::super::tests::{Place, check_kept, plain};
    use super::super::{Answer, Answers, Source as From};
    use super::*;

    fn say(
        project: &mut Project,
        person: &str,
        token: &str,
        act: super::super::Act,
        class: Option<Label>,
        images: &[Id],
    ) {
        let answers = images
            .iter()
            .map(|&image| Answer { image, act, class, seconds: Some(1.25), suggested: None })
            .collect();
        let given = Answers {
            person: person.into(),
            token: token.into(),
            answers,
            duplicates: false,
            source: From::Page,
        };
        project.answer(&given).unwrap();
    }

    fn busy(place: &Place) -> Project {
        use super::super::Act::{Discard, Label as Say, Later, Unsure};
        let mut project = place.made(plain());
        say(&mut project, "ann", "1", Say, Some(0), &[1, 2, 3]);
        say(&mut project, "bob", "2", Say, Some(1), &[3, 4]);
        say(&mut project, "ann", "3", Later, None, &[5]);
        say(&mut project, "ann", "4", Discard, None, &[6]);
        project.undo("ann", Some("5")).unwrap();
        say(&mut project, "bob", "6", Unsure, None, &[7]);
        say(&mut project, "ann", "7", Say, Some(2), &[8]);
        project.merge_class(2, 1).unwrap();
        project
    }

    #[test]
    fn a_project_written_and_read_is_the_same_project_and_reading_it_again_adds_nothing() {
        let (one, two) = (Place::new(9), Place::new(9));
        let from = busy(&one);
        let rows = from.rows().unwrap();
        for (format, text) in [
            (Format::Csv, csv::write(&rows, Detail::Answers)),
            (Format::JsonLines, json_lines::write(&rows, &from.listed_classes().unwrap(), Detail::Answers)),
        ] {
            let mut into = two.made(plain());
            let labels = read(text.as_bytes(), format).unwrap();
            let taken = into.take_in(&labels, "eve").unwrap();
            assert_eq!((taken.same, taken.unknown, taken.added), (0, 0, 10));
            assert_eq!(into.counts().unwrap().labelled, from.counts().unwrap().labelled);
            assert_eq!(into.rows().unwrap(), from.rows().unwrap());
            check_kept(&into);
            let again = into.take_in(&labels, "eve").unwrap();
            assert_eq!((again.added, again.same), (0, 10));
            drop(into);
            std::fs::remove_dir_all(two.project()).unwrap();
        }
    }

    #[test]
    fn plain_labels_are_added_once_and_what_is_not_there_is_listed() {
        let place = Place::new(4);
        let mut project = place.made(plain());
        let rows = project.rows().unwrap();
        let text = format!(
            "path,class\n{},a\n{},new\nnowhere.png,a\n{},a\n",
            rows[0].path, rows[1].path, rows[0].path
        );
        let labels = read(text.as_bytes(), Format::Csv).unwrap();
        let taken = project.take_in(&labels, "eve").unwrap();
        assert_eq!((taken.added, taken.same, taken.unknown), (2, 1, 1));
        assert_eq!(
            (taken.unknown_paths, taken.new_classes),
            (vec!["nowhere.png".to_owned()], vec!["new".to_owned()])
        );
        let taken = project.take_in(&labels, "eve").unwrap();
        assert_eq!((taken.added, taken.same), (0, 3));
        let detail = project.detail(1).unwrap().unwrap();
        assert_eq!((detail.history.len(), detail.history[0].person.as_str()), (1, "eve"));
    }
}
