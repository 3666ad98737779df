//! A table of named columns as a file, and as lines in a terminal.
//!
//! Never here: what the columns mean.

use std::borrow::Cow;
use std::path::Path;

use serde_json::{Map, Value, json};
use vabal::csv::push_line;
use vabal::query::term;
use vabal::{Error, Result, files};
use vabal_arrays::{Data, write_parquet};

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One header line, commas, `\n`.
    Csv,
    /// One JSON object a line.
    Lines,
    /// A table of whole numbers, reals and texts.
    Parquet,
}

impl Format {
    /// By the ending of a file.
    ///
    /// # Errors
    /// An unknown ending.
    pub fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        match ending.as_deref() {
            Some("csv") => Ok(Self::Csv),
            Some("jsonl" | "ndjson") => Ok(Self::Lines),
            Some("parquet") => Ok(Self::Parquet),
            _ => Err(Error::input("unknown file extension")
                .at(format!("--out {}", path.display()))
                .expected("a file ending in .csv, .jsonl, .ndjson or .parquet")
                .got(ending.map_or("no ending".into(), |ending| format!(".{ending}")))
                .hint("--out picks.csv")
                .into()),
        }
    }
}

/// Writes columns of one length to a file, in the format of its ending.
///
/// # Errors
/// An unknown ending, texts that are too long for a format, a file that cannot be
/// written.
pub fn write(path: &Path, columns: &[(&str, Data)]) -> Result<()> {
    files::write(path, &bytes(Format::of(path)?, columns)?)
}

/// The columns of picks, best first: rank from 1, id, score, and the terms behind it, those that
/// are classes as whole numbers.
pub fn picks<'a>(
    ids: Data,
    scores: Vec<f64>,
    terms: impl IntoIterator<Item = (&'a str, Vec<f64>)>,
) -> Vec<(&'a str, Data)> {
    let ranks = (1..=scores.len() as i64).collect();
    let mut columns = vec![("rank", Data::Whole(ranks)), ("id", ids), ("score", Data::Real(scores))];
    columns.extend(terms.into_iter().map(|(name, values)| {
        let whole = term::is_class(name) && values.iter().all(|value| value.fract() == 0.0);
        let data = if whole {
            Data::Whole(values.into_iter().map(|value| value as i64).collect())
        } else {
            Data::Real(values)
        };
        (name, data)
    }));
    columns
}

/// Columns of one length as the bytes of a file.
///
/// # Errors
/// Texts that are too long for a format.
pub fn bytes(format: Format, columns: &[(&str, Data)]) -> Result<Vec<u8>> {
    Ok(match format {
        Format::Csv => csv(columns).into_bytes(),
        Format::Lines => lines(columns).into_bytes(),
        Format::Parquet => write_parquet(columns)?,
    })
}

/// As CSV: commas, a header, a line feed after each line. Numbers that are none are empty.
pub fn csv(columns: &[(&str, Data)]) -> String {
    let mut text = String::new();
    push_line(&mut text, columns.iter().map(|(name, _)| name));
    for row in 0..rows(columns) {
        push_line(
            &mut text,
            columns.iter().map(|(_, data)| match data {
                Data::Whole(values) => values[row].to_string().into(),
                Data::Real(values) if values[row].is_finite() => values[row].to_string().into(),
                Data::Real(_) => Cow::Borrowed(""),
                Data::Texts(values) => (&values[row]).into(),
            }),
        );
    }
    text
}

/// As JSON lines.
fn lines(columns: &[(&str, Data)]) -> String {
    objects(columns).map(|object| format!("{}\n", Value::Object(object))).collect()
}

/// An object for each row. Numbers that are none are left out.
pub fn objects(columns: &[(&str, Data)]) -> impl Iterator<Item = Map<String, Value>> {
    (0..rows(columns)).map(move |row| {
        let mut object = Map::new();
        for (name, data) in columns {
            let value = match data {
                Data::Whole(values) => json!(values[row]),
                Data::Real(values) => json!(values[row]),
                Data::Texts(values) => json!(values[row]),
            };
            if !value.is_null() {
                object.insert((*name).to_owned(), value);
            }
        }
        object
    })
}

fn rows(columns: &[(&str, Data)]) -> usize {
    columns.first().map_or(0, |(_, data)| match data {
        Data::Whole(values) => values.len(),
        Data::Real(values) => values.len(),
        Data::Texts(values) => values.len(),
    })
}

/// Lines of cells for a terminal, the first of which are the heads: the first column to the left,
/// the others to the right, each as wide as it must be.
pub fn aligned(lines: &[Vec<String>]) -> Vec<String> {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let wide = |text: &String| text.chars().count();
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(wide).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |cells: &Vec<String>| {
        let mut text = String::new();
        for (n, (cell, &width)) in cells.iter().zip(&widths).enumerate() {
            text += &if n == 0 { format!("{cell:width$}") } else { format!("  {cell:>width$}") };
        }
        text.trim_end().to_owned()
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_every_value() {
        let texts = |texts: [&str; 2]| Data::Texts(texts.map(str::to_owned).to_vec());
        let columns = [
            ("rank", Data::Whole(vec![1, -2])),
            ("a \"b\", c", Data::Real(vec![0.5, f64::NAN])),
            ("path", texts(["é, \"1\".png", " x"])),
            ("none", texts(["", "y"])),
        ];
        assert_eq!(
            csv(&columns),
            "rank,\"a \"\"b\"\", c\",path,none\n1,0.5,\"é, \"\"1\"\".png\",\n-2,,\" x\",y\n"
        );
        assert_eq!(
            lines(&columns),
            "{\"a \\\"b\\\", c\":0.5,\"none\":\"\",\"path\":\"é, \\\"1\\\".png\",\"rank\":1}\n{\"none\":\"y\",\"path\":\" x\",\"rank\":-2}\n"
        );
        assert!(write_parquet(&columns).unwrap().starts_with(b"PAR1"));
    }

    #[test]
    fn columns_stand_below_one_another() {
        let lines =
            [["class", "labels"], ["é", "1000000"], ["longer", ""]].map(|l| l.map(String::from).to_vec());
        assert_eq!(aligned(&lines), ["class    labels", "é       1000000", "longer"]);
    }
}
