//! CSV: values with commas, semicolons or tabs between them, quoted as RFC 4180 says; the first
//! line names the columns.
//!
//! Never here: what a column means (`columns`).
//!
//! ```
//! use vabal::project::exchange::{Reading, csv};
//!
//! let labels = csv::read("path;class\na/1.png;scratch\n", &Reading::default())?;
//! assert_eq!(labels.records[0].answer.class.as_deref(), Some("scratch"));
//! # Ok::<(), vabal::Error>(())
//! ```

use std::borrow::Cow;

use super::columns::{self, Columns, Known};
use super::guesses::Guesses;
use super::{Detail, Labels, Reading, Row, shortened};
use crate::csv::push_line;
use crate::error::{Error, Result};

/// Labels as CSV: UTF-8, commas, a line feed after each line. What would not come back as it is
/// stands in quotes.
#[must_use]
pub fn write(rows: &[Row], detail: Detail) -> String {
    let mut text = String::new();
    push_line(&mut text, columns::header(rows, detail));
    for line in columns::lines(rows, detail) {
        push_line(&mut text, line.into_iter().map(|cell| cell.show().unwrap_or_default()));
    }
    text
}

/// Reads labels from CSV. The separator is the one of comma, semicolon and tab that the first line
/// has most of. Spaces around values without quotes do not count; lines without anything are
/// skipped, lines without a class are left out. Spreadsheets leave empty values out at the ends of
/// lines, or write too many of them.
///
/// # Errors
/// By line: no header, no column for the image or its class, a line with more values than the
/// header, quotes that do not close, and values that a column cannot have.
pub fn read(text: &str, reading: &Reading) -> Result<Labels> {
    let mut reader = Reader { rest: text, line: 1, separator: ',' };
    // Spreadsheets are told the separator so.
    let told = text.strip_prefix("sep=").and_then(|rest| rest.chars().next());
    match told.filter(|separator| [',', ';', '\t', '|'].contains(separator)) {
        Some(told) => {
            reader.separator = told;
            reader.record()?;
        }
        None => reader.separator = separator(text),
    }
    let Some((line, header)) = reader.next_record()? else {
        return Err(Error::input("a file without anything")
            .expected("a first line that names the columns, such as path,class")
            .into());
    };
    let names: Vec<&str> = header.iter().map(|field| &*field.text).collect();
    let question = reading.question.as_deref();
    let columns = Columns::find(names.iter().copied(), question)
        .and_then(|columns| columns.check("column", &names, reading).map(|()| columns))
        .map_err(|error| error.at(format!("line {line}")))?;
    let guesses = if reading.suggestions {
        let first = reader.clone().next_record()?.map(|(_, fields)| fields).unwrap_or_default();
        let number = |n: usize| first.get(n).is_some_and(|field| field.text.parse::<f64>().is_ok());
        let guesses = Guesses::find(&names, &columns, number);
        guesses.check("column", &names).map_err(|error| error.inside(format!("line {line}")))?;
        Some(guesses)
    } else {
        None
    };
    let mut labels = Labels { ordered: columns.has(Known::Answer), ..Labels::default() };
    while let Some((line, fields)) = reader.next_record()? {
        if fields.iter().skip(header.len()).any(|field| !field.text.is_empty()) {
            return Err(Error::input("a line with more values than the first")
                .at(format!("line {line}"))
                .expected(format!("at most {} values", header.len()))
                .got(format!("{}: {}", fields.len(), shortened(&fields[0].text)))
                .hint("put values that hold the separator into quotes")
                .into());
        }
        let field = |place: usize| {
            let text = &*fields.get(place)?.text;
            (!text.is_empty()).then_some(text)
        };
        let inside = |error: Error| error.inside(format!("line {line}"));
        let read = match &guesses {
            Some(guesses) => columns::suggestion(line, &columns, guesses, field),
            None => columns::record(line, columns.has(Known::Answer), |known| field(columns.place(known)?)),
        };
        let remark = columns::remark(|known| field(columns.place(known)?)).filter(|_| guesses.is_none());
        let has_remark = remark.is_some();
        labels.remarks.extend(remark);
        match read.map_err(inside)? {
            Ok(record) => labels.records.push(record),
            Err(columns::NO_CLASS) if has_remark => {}
            Err(why) => labels.leave_out(format_args!("line {line}"), why),
        }
    }
    columns::finish(labels)
}

/// The separator that the first line has most of; a comma if it has none.
fn separator(text: &str) -> char {
    let text = text.trim_start();
    let mut counts = [(',', 0), (';', 0), ('\t', 0)];
    let mut quoted = false;
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            '\n' | '\r' if !quoted => break,
            _ => {
                counts.iter_mut().filter(|count| count.0 == letter && !quoted).for_each(|count| count.1 += 1)
            }
        }
    }
    let most = counts.iter().map(|count| count.1).max();
    counts.iter().find(|count| Some(count.1) == most).map_or(',', |count| count.0)
}

/// A value of a line.
struct Field<'a> {
    text: Cow<'a, str>,
    quoted: bool,
}

#[derive(Clone)]
struct Reader<'a> {
    rest: &'a str,
    /// The line that `rest` begins in, counted from 1.
    line: usize,
    separator: char,
}

impl<'a> Reader<'a> {
    /// The next line that has something, and its number. A value in quotes may hold lines.
    fn next_record(&mut self) -> Result<Option<(usize, Vec<Field<'a>>)>> {
        while !self.rest.is_empty() {
            let line = self.line;
            let fields = self.record()?;
            if fields.iter().any(|field| field.quoted || !field.text.is_empty()) {
                return Ok(Some((line, fields)));
            }
        }
        Ok(None)
    }

    fn record(&mut self) -> Result<Vec<Field<'a>>> {
        let mut fields = Vec::new();
        loop {
            fields.push(self.field()?);
            let mut letters = self.rest.chars();
            match letters.next() {
                Some(letter) if letter == self.separator => self.rest = letters.as_str(),
                Some('\r') => {
                    self.line += 1;
                    let rest = letters.as_str();
                    self.rest = rest.strip_prefix('\n').unwrap_or(rest);
                    return Ok(fields);
                }
                Some('\n') => {
                    self.line += 1;
                    self.rest = letters.as_str();
                    return Ok(fields);
                }
                _ => return Ok(fields),
            }
        }
    }

    /// The value at the front, up to a separator or the end of the line.
    fn field(&mut self) -> Result<Field<'a>> {
        let separator = self.separator;
        let blank = |letter: char| letter == ' ' || (letter == '\t' && separator != '\t');
        if let Some(inside) = self.rest.trim_start_matches(blank).strip_prefix('"') {
            return self.quoted(inside, blank);
        }
        let end = self.rest.find([separator, '\n', '\r']).unwrap_or(self.rest.len());
        let (field, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(Field { text: field.trim().into(), quoted: false })
    }

    fn quoted(&mut self, mut inside: &'a str, blank: impl Fn(char) -> bool) -> Result<Field<'a>> {
        let start = self.line;
        let mut text = Cow::Borrowed("");
        loop {
            let Some((part, rest)) = inside.split_once('"') else {
                return Err(Error::input("quotes that do not close")
                    .at(format!("line {start}"))
                    .expected("a second quote before the end of the file")
                    .got(format!("\"{}", shortened(inside)))
                    .hint("a quote inside quotes is written twice")
                    .into());
            };
            self.line += lines(part);
            text = if text.is_empty() { part.into() } else { text + part };
            match rest.strip_prefix('"') {
                Some(rest) => {
                    text += "\"";
                    inside = rest;
                }
                None => {
                    let rest = rest.trim_start_matches(&blank);
                    if !(rest.is_empty() || rest.starts_with([self.separator, '\n', '\r'])) {
                        return Err(Error::input("text after closing quotes")
                            .at(format!("line {}", self.line))
                            .expected("a separator or the end of the line")
                            .got(shortened(rest.lines().next().unwrap_or_default()))
                            .hint("a quote inside quotes is written twice")
                            .into());
                    }
                    self.rest = rest;
                    return Ok(Field { text, quoted: true });
                }
            }
        }
    }
}

/// Ends of lines in a text, of whatever kind.
fn lines(text: &str) -> usize {
    let bytes = text.as_bytes();
    let ends =
        |(n, byte): (usize, &u8)| *byte == b'\n' || (*byte == b'\r' && bytes.get(n + 1) != Some(&b'\n'));
    bytes.iter().enumerate().filter(|&at| ends(at)).count()
}
