//! The scores of all rows as a file, in the order of the pool, whatever order they come in.
//!
//! Never here: scoring.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, json};
use vabal::csv::push_line;
use vabal::query::plan::{Name, Scored};
use vabal::query::term;
use vabal::{Error, Result};

use crate::table::Format;

/// A file that lines of slices are written to.
pub struct All<W> {
    format: Format,
    lines: Mutex<Lines<W>>,
}

struct Lines<W> {
    out: W,
    /// The slice whose lines come next.
    next: usize,
    /// Those behind it that are there already.
    waiting: BTreeMap<usize, Vec<u8>>,
    header: bool,
}

impl<W: Write> All<W> {
    /// CSV or JSON lines, by the ending of `path`.
    ///
    /// # Errors
    /// Another ending.
    pub fn new(path: &Path, out: W) -> Result<Self> {
        let format = format(path)?;
        let lines = Lines { out, next: 0, waiting: BTreeMap::new(), header: format == Format::Csv };
        Ok(Self { format, lines: Mutex::new(lines) })
    }

    /// Writes the rows of a slice once those of all before it are written; each slice once.
    ///
    /// # Errors
    /// A file that takes no more.
    pub fn put(&self, slice: usize, names: &[Name], scored: &Scored) -> io::Result<()> {
        let lines = self.lines_of(names, scored);
        let mut all = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let all = &mut *all;
        if all.header && !names.is_empty() {
            let mut header = String::new();
            push_line(
                &mut header,
                ["id", "score"].into_iter().chain(scored.terms.iter().map(|term| term.name)),
            );
            all.out.write_all(header.as_bytes())?;
            all.header = false;
        }
        all.waiting.insert(slice, lines.into_bytes());
        while let Some(lines) = all.waiting.remove(&all.next) {
            all.out.write_all(&lines)?;
            all.next += 1;
        }
        Ok(())
    }

    /// Writes what the system has not yet.
    ///
    /// # Errors
    /// A file that takes no more.
    pub fn finish(self) -> io::Result<()> {
        self.lines.into_inner().unwrap_or_else(PoisonError::into_inner).out.flush()
    }

    fn lines_of(&self, names: &[Name], scored: &Scored) -> String {
        let mut text = String::new();
        let whole: Vec<bool> = scored.terms.iter().map(|term| term::is_class(term.name)).collect();
        for (row, (name, score)) in names.iter().zip(&scored.scores).enumerate() {
            let values =
                || scored.terms.iter().zip(&whole).map(|(term, &whole)| (term, term.values[row], whole));
            if self.format == Format::Csv {
                // Classes are whole numbers, which are printed without a point.
                let fields = values().map(|(_, value, _)| value.to_string());
                push_line(&mut text, [name.to_string(), score.to_string()].into_iter().chain(fields));
            } else {
                let mut line = Map::new();
                let id = match name {
                    Name::Number(number) => json!(number),
                    Name::Text(_, text) => json!(text),
                };
                line.insert("id".into(), id);
                line.insert("score".into(), json!(score));
                for (term, value, whole) in values() {
                    let value = if whole { json!(value as i64) } else { json!(value) };
                    line.insert(term.name.into(), value);
                }
                text += &serde_json::Value::Object(line).to_string();
                text.push('\n');
            }
        }
        text
    }
}

/// The format of a file for the scores of all rows.
///
/// # Errors
/// Neither CSV nor JSON lines.
pub fn format(path: &Path) -> Result<Format> {
    match Format::of(path) {
        Ok(format @ (Format::Csv | Format::Lines)) => Ok(format),
        _ => Err(Error::input("unknown file extension")
            .at(format!("--out {}", path.display()))
            .expected("with --all, a file ending in .csv, .jsonl or .ndjson")
            .hint("--out scores.csv")
            .into()),
    }
}
