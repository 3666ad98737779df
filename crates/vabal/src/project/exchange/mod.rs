//! Labels in and out, in the formats that people have: CSV, JSON lines, Label Studio, class
//! folders, Hugging Face's image folders, a table for Parquet, and a data sheet. Pure functions on
//! plain rows; `docs/formats.md` has the columns.
//!
//! Never here: the store, HTTP, what a label is good for. What a file names and What a file names and the project does
//! not have is listed, and no error.
//!
//! ```
//! use vabal::project::exchange::{Format, Reading, read};
//!
//! let sheet = b"file,class\na/1.png,scratch\na/2.png,spots\n";
//! let labels = read(sheet, Format::Csv, &Reading::default())?;
//! assert_eq!(labels.records[1].path, "a/2.png");
//! assert_eq!(labels.records[1].answer.class.as_deref(), Some("spots"));
//! // `Project::take_in` finds the images that these paths mean.
//! # Ok::<(), vabal::Error>(())
//! ```

pub mod columns;
pub mod csv;
pub mod folders;
mod guesses;
pub mod json_lines;
pub mod label_studio;
pub(super) mod layout;
pub(super) mod matching;
mod names;
pub(super) mod plan;
pub(super) mod sheet;
#[cfg(test)]
mod tests;
mod time;
mod tree;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use columns::Column;
pub use layout::{Layout, Means, Written};
pub use matching::{Found, Index};
pub use plan::{Conflict, Plan, plan};
pub use sheet::{Quality, Sheet};

use super::words::words;
pub use super::{Act, Note, Source, State};
use crate::error::{Complaint, Error, Result};

/// Larger files are refused: they are read as a whole.
const MOST_BYTES: u64 = 1 << 30;
/// Longer paths, names and tokens are refused, in bytes.
const MOST_TEXT: usize = 1 << 15;
/// More classes than a project has: a column of something else was taken for them.
const MOST_CLASSES: usize = 1000;

/// What the words of files mean: `NAMES` and `of` for an enum that has `word`.
macro_rules! readable {
    ($what:literal, $type:ident: $($variant:ident),+) => {
        impl $type {
            /// Every word, in the order of the variants.
            pub const NAMES: &[&str] = &[$(Self::$variant.word()),+];

            /// What a word of a file means.
            ///
            /// # Errors
            /// A word that is none of them.
            pub fn of(word: &str) -> Result<Self> {
                let all = [$(Self::$variant),+];
                all.into_iter().find(|one| one.word() == word).ok_or_else(|| {
                    let hint = "docs/formats.md says what each means";
                    crate::error::unknown($what, &shortened(word), Self::NAMES, hint).into()
                })
            }
        }
    };
}

readable!("act", Act: Label, Later, Discard, Unsure, Undo);
readable!("source", Source: Page, Import, Duplicate, Review);
readable!("state", State: Open, Labelled, Later, Unsure, Discarded, Conflict);
readable!("format", Format: Csv, JsonLines, LabelStudio);

/// An image of a project and everything that was answered for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its path below the image folder, with `/`.
    pub path: String,
    /// SHA-256 of its content, 64 hexadecimal digits.
    pub hash: String,
    /// What the answers come to.
    pub state: State,
    /// Its class, if it is [`State::Labelled`]. A class that was merged into another has that one's
    /// name.
    pub class: Option<String>,
    /// Whether it is for measuring only.
    pub holdout: bool,
    /// What the model thinks.
    pub suggestion: Option<Suggestion>,
    /// What people wrote of it, and whether it is flagged.
    pub note: Note,
    /// Every answer, also those taken back, in the order in which they were given.
    pub history: Vec<Answer>,
}

/// What a model thinks of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// The name of the class.
    pub class: String,
    /// Its probability, 0 to 1.
    pub confidence: f64,
}

/// One act of a person on an image. Appended, never changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its number: later answers of a project have larger ones. Files of others have none: their
    /// lines are counted.
    pub answer: i64,
    /// Who; `None` where a file does not say.
    pub person: Option<String>,
    /// When, in milliseconds since 1970 (UTC); `None` where a file does not say.
    pub at: Option<i64>,
    /// What.
    pub act: Act,
    /// The class of a [`Act::Label`].
    pub class: Option<String>,
    /// The number of the answer that an [`Act::Undo`] takes back.
    pub undoes: Option<i64>,
    /// How long the person looked, in seconds.
    pub seconds: Option<f64>,
    /// The class that was suggested then.
    pub suggested: Option<String>,
    /// Where it came from.
    pub source: Source,
    /// What makes sending it twice harmless, and binds the answers of one gesture.
    pub token: Option<String>,
}

/// A class of a project.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// The key that chooses it, as `KeyboardEvent.code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `#rrggbb`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colour: Option<String>,
    /// How it is told from others; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Images that show it, by their paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
}

/// How much of a project a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// A line for each labelled image: what others read.
    Labels,
    /// A line for each answer, in the order in which they were given: what makes the same project
    /// again.
    Answers,
}

words! {
    /// A file of labels.
    Format {
        /// Values with commas, semicolons or tabs between them.
        Csv = "csv",
        /// A JSON object a line.
        JsonLines = "jsonl",
        /// The JSON that Label Studio exports.
        LabelStudio = "label-studio",
    }
}

impl Format {
    /// The format of a file by its ending.
    ///
    /// # Errors
    /// An ending that is not known.
    pub fn of_path(path: &Path) -> Result<Self> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        match ending.as_deref() {
            Some("csv" | "tsv" | "txt") => Ok(Self::Csv),
            Some("jsonl" | "ndjson") => Ok(Self::JsonLines),
            Some("json") => Ok(Self::LabelStudio),
            _ => Err(Error::input("unknown file extension")
                .at(path.display())
                .expected(".csv, .tsv, .jsonl, .ndjson, .json (Label Studio), or a folder of class folders")
                .got(ending.map_or("no ending".into(), |ending| format!(".{ending}")))
                .hint("name the format, or give the file the ending of what it is")
                .into()),
        }
    }
}

/// One answer that a file holds for an image that it names.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Where it stands, counted from 1: a line of a file, a task of Label Studio, a file of a
    /// folder.
    pub line: usize,
    /// The image as the file calls it: a path, a name or an address.
    pub path: String,
    /// Where the file itself has the image, if it also says which path that was in the project.
    pub file: Option<String>,
    /// SHA-256 of its content, 64 lower-case hexadecimal digits.
    pub hash: Option<String>,
    /// Whether it was for measuring only, where the file says.
    pub holdout: Option<bool>,
    /// What was answered.
    pub answer: Answer,
    /// Of a suggestion, the classes and their probabilities, as far as the file says them.
    pub probabilities: Vec<(String, f64)>,
}

/// What a file says of an image beside its answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Remark {
    /// The image as the file calls it.
    pub path: String,
    /// SHA-256 of its content, as of a [`Record`].
    pub hash: Option<String>,
    /// The note and the flag.
    pub note: Note,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Labels {
    /// Every answer, in the order in which they were given.
    pub records: Vec<Record>,
    /// Notes and flags of images.
    pub remarks: Vec<Remark>,
    /// The classes, in their order, where the file lists them.
    pub classes: Vec<Class>,
    /// Whether the file numbers its answers: their times are not looked at for their order.
    pub ordered: bool,
    /// What was left out and why, in the words of a person: the first [`Labels::FIRST`] of them.
    pub notes: Vec<String>,
    /// How many entries were left out, by reason.
    pub left_out: BTreeMap<String, usize>,
}

/// Which part of a file is meant, where it holds several.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// The column, key or question of Label Studio that has the class.
    pub question: Option<String>,
    /// The key of a task of Label Studio that has the image.
    pub image: Option<String>,
    /// Whether what a file says are not labels but suggestions, of another model: a class or a
    /// probability for each.
    pub suggestions: bool,
}

impl Labels {
    /// Notes that are kept.
    pub const FIRST: usize = 20;

    /// Counts an entry that holds no label.
    pub(crate) fn leave_out(&mut self, place: impl Display, why: &str) {
        match self.left_out.get_mut(why) {
            Some(count) => *count += 1,
            None => _ = self.left_out.insert(why.to_owned(), 1),
        }
        if self.notes.len() < Self::FIRST {
            self.notes.push(format!("{place}: {why}"));
        }
    }
}

/// Reads labels from the bytes of a file.
///
/// # Errors
/// Text that is not UTF-8 (or UTF-16 with a mark), a file that is not of the format, or that
/// contradicts itself: with the line, counted from 1; a file that holds several questions of which
/// `reading` names none. See each format.
pub fn read(bytes: &[u8], format: Format, reading: &Reading) -> Result<Labels> {
    if bytes.len() as u64 > MOST_BYTES {
        return Err(too_large(bytes.len() as u64).into());
    }
    let text = decode(bytes)?;
    match format {
        Format::Csv => csv::read(&text, reading),
        Format::JsonLines => json_lines::read(&text, reading),
        Format::LabelStudio => label_studio::read(&text, reading),
    }
}

/// [`read()`] from a file; without a format, by its ending. Places of errors begin with the file.
///
/// # Errors
/// As [`read()`]; a file that cannot be read, or of more than 1 GiB.
pub fn read_file(path: &Path, format: Option<Format>, reading: &Reading) -> Result<Labels> {
    let format = format.map_or_else(|| Format::of_path(path), Ok)?;
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Error::io("read", path))?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    read(&bytes, format, reading).map_err(|error| error.inside(path.display()))
}

/// The text of a file, without its byte order mark.
fn decode(bytes: &[u8]) -> Result<Cow<'_, str>> {
    let wide = |bytes: &[u8], of: fn([u8; 2]) -> u16| -> Option<String> {
        let (pairs, []) = bytes.as_chunks::<2>() else { return None };
        char::decode_utf16(pairs.iter().map(|&pair| of(pair))).collect::<Result<_, _>>().ok()
    };
    // What spreadsheets save as "Unicode text".
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes).map(Cow::Owned),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes).map(Cow::Owned),
        [0xef, 0xbb, 0xbf, rest @ ..] => std::str::from_utf8(rest).ok().map(Cow::Borrowed),
        _ => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
    };
    text.ok_or_else(|| {
        let good = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
        let line = 1 + bytes[..good].iter().filter(|&&byte| byte == b'\n').count();
        Error::input("text that is not UTF-8")
            .at(format!("line {line}"))
            .expected("a text file in UTF-8")
            .got("bytes that are no characters of it")
            .hint("save the file again as \"CSV UTF-8\", or in UTF-8")
            .into()
    })
}

fn too_large(bytes: u64) -> Complaint {
    Error::input("a file that is too large for labels")
        .expected(format!("at most {MOST_BYTES} bytes"))
        .got(format!("{bytes} bytes or more"))
        .hint("split the file, or leave columns out that are no labels")
}

/// A text of a file in an error: on one line, and not all of it where it is long.
fn shortened(text: &str) -> Cow<'_, str> {
    let end = text.char_indices().nth(60).map(|(end, _)| end);
    let start = &text[..end.unwrap_or(text.len())];
    match end.is_some() || start.contains(char::is_control) {
        true => {
            format!("{}{}", start.replace(char::is_control, " "), if end.is_some() { "…" } else { "" }).into()
        }
        false => start.into(),
    }
}
