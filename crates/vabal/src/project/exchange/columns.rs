//! The columns of a file of labels, whatever it is written in: their names, what they mean, what a
//! line of them says.
//!
//! Never here: how values are quoted or separated.
//!
//! ```
//! use vabal::project::exchange::{Detail, columns};
//!
//! assert_eq!(columns::header(&[], Detail::Labels), ["path", "class", "split", "hash"]);
//! ```

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::guesses::Guesses;
use super::{
    Act, Answer, Detail, Labels, MOST_CLASSES, MOST_TEXT, Note, Reading, Record, Remark, Row, Source, State,
    shortened, time,
};
use crate::error::{Complaint, Error, Result};

/// A column that is known, in the order of [`NAMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Answer,
    Path,
    File,
    Hash,
    Split,
    Act,
    Class,
    Person,
    At,
    Seconds,
    Suggested,
    Source,
    Undoes,
    Token,
    Note,
    Flag,
}

/// What a column may be called, in small letters with `_`: ours first, then what others call it.
const NAMES: [(Known, &[&str]); 16] = [
    (Known::Answer, &["answer"]),
    (Known::Path, &["path", "file_path", "filepath", "image_path"]),
    (Known::File, &["file", "file_name", "filename", "image", "image_name", "image_file", "img"]),
    (Known::Hash, &["hash", "sha256"]),
    (Known::Split, &["split"]),
    (Known::Act, &["act"]),
    (Known::Class, &["class", "label", "category", "class_name", "label_name", "category_name", "choice"]),
    (Known::Person, &["person", "annotator"]),
    (Known::At, &["at", "updated_at", "created_at"]),
    (Known::Seconds, &["seconds", "lead_time"]),
    (Known::Suggested, &["suggested"]),
    (Known::Source, &["source"]),
    (Known::Undoes, &["undoes"]),
    (Known::Token, &["token"]),
    // Long names, which a column of other files that means something else does not have.
    (Known::Note, &["image_note"]),
    (Known::Flag, &["image_flag"]),
];

/// Which of the columns of a file are known ones.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Columns([Option<usize>; NAMES.len()]);

impl Columns {
    /// Finds the known columns by name; the class in the column `question`, where it is given.
    /// Capitals, spaces around, and spaces or hyphens for `_` do not matter.
    ///
    /// # Errors
    /// A name that stands there twice.
    pub fn find<'a>(
        names: impl IntoIterator<Item = &'a str>,
        question: Option<&str>,
    ) -> Result<Self, Complaint> {
        let plain = |name: &str| name.trim().to_lowercase().replace([' ', '-'], "_");
        let names: Vec<String> = names.into_iter().map(plain).collect();
        let mut found = Self([None; NAMES.len()]);
        for (known, words) in NAMES {
            for word in words {
                let mut places = names.iter().enumerate().filter(|(_, name)| name == word);
                let Some((place, _)) = places.next() else { continue };
                if places.next().is_some() {
                    return Err(Error::input("two columns with the same name")
                        .got(format!("\"{word}\" twice"))
                        .hint("take one of them away"));
                }
                found.0[known as usize] = Some(place);
                break;
            }
        }
        if let Some(question) = question.map(plain) {
            found.0[Known::Class as usize] = names.iter().position(|name| *name == question);
        }
        if !found.has(Known::Path) {
            found.0.swap(Known::Path as usize, Known::File as usize);
        }
        Ok(found)
    }

    /// Makes sure that there are columns for the image and for what is said of it. `what` is what
    /// the file calls a column, `names` those it has.
    ///
    /// # Errors
    /// The one that is missing.
    pub fn check(&self, what: &str, names: &[&str], reading: &Reading) -> Result<(), Complaint> {
        let Reading { question, suggestions, .. } = reading;
        let (question, suggestions) = (question.as_deref(), *suggestions);
        let missing = |of: &str, known: &[Known]| {
            let words: Vec<&str> = known.iter().flat_map(|&known| NAMES[known as usize].1).copied().collect();
            Error::input(format!("no {what} says {of}"))
                .expected(format!("one of {}", words.join(", ")))
                .got(shortened(&names.join(", ")))
                .hint(format!("give the {what} one of these names"))
        };
        if !self.has(Known::Path) {
            return Err(missing("which image it is", &[Known::Path, Known::File]));
        }
        match (self.has(Known::Class), question) {
            _ if suggestions => Ok(()),
            (true, _) => Ok(()),
            (false, None) if self.has(Known::Act) || self.has(Known::Note) || self.has(Known::Flag) => Ok(()),
            (false, None) => {
                let missing = missing("the class of an image", &[Known::Class]);
                Err(missing.hint(format!("give the {what} one of these names, or name it with --question")))
            }
            (false, Some(question)) => Err(Error::input(format!("there is no such {what}"))
                .expected(format!("one of {}", shortened(&names.join(", "))))
                .got(shortened(question))
                .hint(format!("--question names the {what} that has the class"))),
        }
    }

    pub fn has(&self, known: Known) -> bool {
        self.0[known as usize].is_some()
    }

    /// Whether a column of the file is one of the known ones.
    pub fn knows(&self, place: usize) -> bool {
        self.0.contains(&Some(place))
    }

    /// The place of a column among those of the file.
    pub fn place(&self, known: Known) -> Option<usize> {
        self.0[known as usize]
    }
}

/// Why a line is left out.
pub(super) const NO_CLASS: &str = "no class";
const UNREADABLE: &str = "a list that is no class";
pub(super) const SEVERAL: &str = "several choices";
pub(super) const REGIONS: &str = "the choice of a region, not of the image";

/// The class in a value: Label Studio writes choices into its CSV as JSON where there are several,
/// other tools always. The error is why there is none.
fn class_of(text: &str) -> Result<Cow<'_, str>, &'static str> {
    if !text.starts_with(['[', '{']) {
        return Ok(text.into());
    }
    // Python's way of a list of texts.
    let value = serde_json::from_str(text).or_else(|_| serde_json::from_str(&text.replace('\'', "\"")));
    let list = match value {
        Ok(Value::Array(list)) => list,
        Ok(Value::Object(mut object)) => match object.remove("choices") {
            Some(Value::Array(list)) => list,
            _ => return Err(UNREADABLE),
        },
        _ => return Ok(text.into()),
    };
    match &list[..] {
        [] => Err(NO_CLASS),
        [Value::String(class)] if class.is_empty() => Err(NO_CLASS),
        [Value::String(class)] => Ok(class.clone().into()),
        list if list.iter().all(Value::is_string) => Err(SEVERAL),
        list if list.iter().all(Value::is_object) => Err(REGIONS),
        _ => Err(UNREADABLE),
    }
}

/// What a line says; the inner error is why it says no label. `value` gives the value of a column,
/// `None` where it is empty.
///
/// # Errors
/// Values that a column cannot have.
pub(super) fn record<'a>(
    line: usize,
    numbered: bool,
    value: impl Fn(Known) -> Option<&'a str>,
) -> Result<Result<Record, &'static str>> {
    let name = |known: Known| NAMES[known as usize].1[0];
    for (known, _) in NAMES {
        if value(known).is_some_and(|text| text.len() > MOST_TEXT) {
            return Err(Error::input("a text that is too long")
                .expected(format!("at most {MOST_TEXT} bytes"))
                .got(format!("a {} of {} bytes", name(known), value(known).map_or(0, str::len)))
                .hint("is a quote missing further up?")
                .into());
        }
    }
    let text = |known: Known| value(known).map(str::to_owned);
    let whole = |known: Known| -> Result<Option<i64>> {
        let Some(text) = value(known) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (0..=i64::MAX).contains(number));
        let expected = "the number of an answer, 0 or more";
        number.ok_or_else(|| wrong(name(known), text, expected)).map(Some)
    };
    let Some(path) = text(Known::Path) else {
        return Err(Error::input("a line that names no image")
            .expected("the path of an image")
            .got("nothing")
            .into());
    };
    // What this program numbers it has written as it is.
    let class = match value(Known::Class).map(|text| if numbered { Ok(text.into()) } else { class_of(text) })
    {
        Some(Err(why)) => return Ok(Err(why)),
        class => class.and_then(Result::ok).map(Cow::into_owned),
    };
    let act = match value(Known::Act) {
        Some(word) => Act::of(word)?,
        None if class.is_some() => Act::Label,
        None => return Ok(Err(NO_CLASS)),
    };
    if act == Act::Label && class.is_none() {
        return Err(Error::input("a label without a class").expected("the name of a class").into());
    }
    let undoes = whole(Known::Undoes)?;
    if act == Act::Undo && undoes.is_none() {
        return Err(Error::input("an undo without the answer it is of")
            .expected("the number of an answer in the column undoes")
            .into());
    }
    let answer = match whole(Known::Answer)? {
        Some(answer) => answer,
        None if numbered => {
            return Err(wrong("answer", "", "a number in every line, or the column left out"));
        }
        None => line as i64,
    };
    let at = value(Known::At)
        .map(|text| {
            let expected = "a time such as 2026-01-31T12:00:00Z, or milliseconds since 1970";
            time::parse(text).ok_or_else(|| wrong("at", text, expected))
        })
        .transpose()?;
    let seconds = value(Known::Seconds)
        .map(|text| {
            let seconds = text.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0);
            seconds.ok_or_else(|| wrong("seconds", text, "seconds, 0 or more"))
        })
        .transpose()?;
    let hash = value(Known::Hash).map(str::to_ascii_lowercase);
    Ok(Ok(Record {
        line,
        path,
        file: text(Known::File),
        // Sums of another kind say nothing here.
        hash: hash.filter(|hash| is_hash(hash)),
        holdout: value(Known::Split).map(|split| matches!(split, "holdout" | "test")),
        answer: Answer {
            answer,
            person: text(Known::Person),
            at,
            act,
            class: class.filter(|_| act == Act::Label),
            undoes: undoes.filter(|_| act == Act::Undo),
            seconds,
            suggested: text(Known::Suggested),
            source: value(Known::Source).map_or(Ok(Source::Import), Source::of)?,
            token: text(Known::Token),
        },
        probabilities: Vec::new(),
    }))
}

/// What a line says of the image beside an answer; `None` where it says nothing. `value` is as of
/// [`record`].
pub(super) fn remark<'a>(value: impl Fn(Known) -> Option<&'a str>) -> Option<Remark> {
    let note = value(Known::Note).unwrap_or_default().to_owned();
    let flag =
        value(Known::Flag).is_some_and(|text| matches!(text.to_lowercase().as_str(), "true" | "1" | "yes"));
    if note.is_empty() && !flag {
        return None;
    }
    let hash = value(Known::Hash).map(str::to_ascii_lowercase).filter(|hash| is_hash(hash));
    Some(Remark { path: value(Known::Path)?.to_owned(), hash, note: Note { note, flag } })
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What a line of suggestions says; the inner error is why it says none. `value` gives the value of
/// a column by its place.
///
/// # Errors
/// Values that a column cannot have.
pub(super) fn suggestion<'a>(
    line: usize,
    columns: &Columns,
    guesses: &Guesses,
    value: impl Fn(usize) -> Option<&'a str>,
) -> Result<Result<Record, &'static str>> {
    let (class, probabilities) = guesses.of(&value)?;
    // Which image it is, and nothing of who said what of it.
    let known = |known: Known| match known {
        Known::Class => class.as_deref(),
        Known::Path | Known::File | Known::Hash | Known::Split => value(columns.place(known)?),
        _ => None,
    };
    Ok(record(line, false, known)?.map(|record| Record { probabilities, ..record }))
}

fn wrong(column: &str, text: &str, expected: &str) -> Error {
    Error::input(format!("a value of the column {column} that cannot be read"))
        .expected(expected)
        .got(format!("\"{}\"", shortened(text)))
        .into()
}

/// Puts the answers into the order in which they were given and checks that they fit together.
///
/// # Errors
/// A number that two answers have; an undo of an answer that is not there, is an undo, or was taken
/// back before; more classes than a project has.
pub(super) fn finish(mut labels: Labels) -> Result<Labels> {
    let records = &mut labels.records;
    records.sort_by_key(|record| record.answer.answer);
    if let Some(pair) = records.windows(2).find(|pair| pair[0].answer.answer == pair[1].answer.answer) {
        return Err(Error::input("two answers with the same number")
            .at(format!("line {}", pair[1].line))
            .expected("a number of its own for every answer")
            .got(format!("{}, as in line {}", pair[1].answer.answer, pair[0].line))
            .into());
    }
    labels.ordered |= records.iter().any(|record| record.answer.undoes.is_some());
    let mut live: HashSet<i64> = HashSet::new();
    for record in records.iter() {
        match record.answer.undoes {
            None => _ = live.insert(record.answer.answer),
            Some(undone) if live.remove(&undone) => {}
            Some(undone) => {
                return Err(Error::input("an undo of an answer that cannot be undone")
                    .at(format!("line {}", record.line))
                    .expected("the number of an earlier answer of the file that was not undone before")
                    .got(undone)
                    .hint("leave no lines of an answer out, or the undo too")
                    .into());
            }
        }
    }
    let mut classes: HashSet<&str> = labels.classes.iter().map(|class| class.name.as_str()).collect();
    let mut named =
        labels.records.iter().filter_map(|record| Some((record.line, record.answer.class.as_deref()?)));
    if let Some((line, class)) =
        named.find(|(_, class)| classes.insert(class) && classes.len() > MOST_CLASSES)
    {
        return Err(Error::input("more classes than a project can have")
            .at(format!("line {line}"))
            .expected(format!("at most {MOST_CLASSES}"))
            .got(format!("another one, \"{}\"", shortened(class)))
            .hint("is the column of classes a column of something else?")
            .into());
    }
    Ok(labels)
}

/// A value of a line that is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'a> {
    Text(Option<Cow<'a, str>>),
    Whole(Option<i64>),
    Real(Option<f64>),
    /// Milliseconds since 1970.
    Time(Option<i64>),
}

impl<'a> Cell<'a> {
    fn some(text: &'a str) -> Self {
        Self::Text(Some(text.into()))
    }

    fn text(text: Option<&'a str>) -> Self {
        Self::Text(text.map(Cow::from))
    }

    /// As files of text have it; `None` where there is nothing.
    pub fn show(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => text,
            Self::Whole(number) => number.map(|number| number.to_string().into()),
            Self::Real(number) => number.map(|number| number.to_string().into()),
            Self::Time(ms) => ms.map(|ms| time::text(ms).into()),
        }
    }
}

/// The names of the columns that are written: those of notes and flags only where there are some.
#[must_use]
pub fn header(rows: &[Row], detail: Detail) -> Vec<&'static str> {
    let own: &[&str] = match detail {
        Detail::Labels => &["path", "class", "split", "hash"],
        Detail::Answers => &[
            "answer",
            "path",
            "hash",
            "split",
            "act",
            "class",
            "person",
            "at",
            "seconds",
            "suggested",
            "source",
            "undoes",
            "token",
        ],
    };
    let remarks: &[&str] = if has_remarks(rows, detail) { &["image_note", "image_flag"] } else { &[] };
    [own, remarks].concat()
}

fn has_remark(row: &Row) -> bool {
    row.note != Note::default()
}

fn has_remarks(rows: &[Row], detail: Detail) -> bool {
    match detail {
        Detail::Labels => labelled(rows).into_iter().any(|(row, _)| has_remark(row)),
        Detail::Answers => rows.iter().any(has_remark),
    }
}

fn remark_cells(row: &Row) -> [Cell<'_>; 2] {
    let note = Some(row.note.note.as_str()).filter(|note| !note.is_empty());
    [Cell::text(note), Cell::text(row.note.flag.then_some("true"))]
}

/// The images that have a class, and that, by path.
pub(super) fn labelled<'a>(rows: &'a [Row]) -> Vec<(&'a Row, &'a str)> {
    let class = |row: &'a Row| Some((row, row.class.as_deref()?)).filter(|_| row.state == State::Labelled);
    let mut labelled: Vec<_> = rows.iter().filter_map(class).collect();
    labelled.sort_by(|a, b| a.0.path.cmp(&b.0.path));
    labelled
}

pub(super) fn split(row: &Row) -> &'static str {
    if row.holdout { "holdout" } else { "train" }
}

/// The lines that are written, a cell for each name of [`header()`]: labels by path, answers by
/// number.
pub(super) fn lines(rows: &[Row], detail: Detail) -> Vec<Vec<Cell<'_>>> {
    let remarks = has_remarks(rows, detail);
    match detail {
        Detail::Labels => labelled(rows)
            .into_iter()
            .map(|(row, class)| {
                let mut cells = [row.path.as_str(), class, split(row), &row.hash].map(Cell::some).to_vec();
                if remarks {
                    cells.extend(remark_cells(row));
                }
                cells
            })
            .collect(),
        Detail::Answers => {
            let mut answers: Vec<(&Row, &Answer)> =
                rows.iter().flat_map(|row| row.history.iter().map(move |answer| (row, answer))).collect();
            answers.sort_by_key(|(_, answer)| answer.answer);
            let mut lines: Vec<Vec<Cell<'_>>> =
                answers.into_iter().map(|(row, answer)| cells(row, answer)).collect();
            if remarks {
                let none = [const { Cell::Text(None) }; 2];
                lines.iter_mut().for_each(|line| line.extend(none.clone()));
                // Lines of their own, after all answers: they belong to an image, not to one of
                // them.
                let mut noted: Vec<&Row> = rows.iter().filter(|row| has_remark(row)).collect();
                noted.sort_by_key(|row| &row.path);
                lines.extend(noted.into_iter().map(|row| {
                    let mut line = vec![Cell::Text(None); header(&[], detail).len()];
                    line[0] = Cell::Whole(None);
                    [line[1], line[2], line[3]] =
                        [row.path.as_str(), row.hash.as_str(), split(row)].map(Cell::some);
                    line.extend(remark_cells(row));
                    line
                }));
            }
            lines
        }
    }
}

fn cells<'a>(row: &'a Row, answer: &'a Answer) -> Vec<Cell<'a>> {
    vec![
        Cell::Whole(Some(answer.answer)),
        Cell::some(&row.path),
        Cell::some(&row.hash),
        Cell::some(split(row)),
        Cell::some(answer.act.word()),
        Cell::text(answer.class.as_deref()),
        Cell::text(answer.person.as_deref()),
        Cell::Time(answer.at),
        Cell::Real(answer.seconds),
        Cell::text(answer.suggested.as_deref()),
        Cell::some(answer.source.word()),
        Cell::Whole(answer.undoes),
        Cell::text(answer.token.as_deref()),
    ]
}

/// The values of a column of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// Whole numbers; −1 where there is none. Times are milliseconds since 1970.
    Whole(Vec<i64>),
    /// Numbers; NaN where there is none.
    Real(Vec<f64>),
    /// Texts; empty where there is none.
    Text(Vec<String>),
}

/// What [`csv::write()`](super::csv::write) writes, by columns of equal length, for formats that
/// keep them so.
#[must_use]
pub fn table(rows: &[Row], detail: Detail) -> Vec<(&'static str, Column)> {
    let empty = |name: &&'static str| {
        let column = match *name {
            "answer" | "undoes" | "at" => Column::Whole(Vec::new()),
            "seconds" => Column::Real(Vec::new()),
            _ => Column::Text(Vec::new()),
        };
        (*name, column)
    };
    let mut table: Vec<(&str, Column)> = header(rows, detail).iter().map(empty).collect();
    for line in lines(rows, detail) {
        for ((_, column), cell) in table.iter_mut().zip(line) {
            match (column, cell) {
                (Column::Whole(values), Cell::Whole(value) | Cell::Time(value)) => {
                    values.push(value.unwrap_or(-1))
                }
                (Column::Real(values), Cell::Real(value)) => values.push(value.unwrap_or(f64::NAN)),
                // Of a line that is no answer.
                (Column::Whole(values), Cell::Text(None)) => values.push(-1),
                (Column::Real(values), Cell::Text(None)) => values.push(f64::NAN),
                (Column::Text(values), cell) => values.push(cell.show().unwrap_or_default().into_owned()),
                // The names above and the cells are written side by side; a test reads every
                // column.
                _ => {}
            }
        }
    }
    table
}

/// Counts, largest first, then by name.
pub(super) fn ranked(counts: HashMap<&str, usize>) -> Vec<(&str, usize)> {
    let mut ranked: Vec<_> = counts.into_iter().collect();
    ranked.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    ranked
}
