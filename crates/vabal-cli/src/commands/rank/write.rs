//! The picks as a file: rank, id, score, and the terms behind it.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};
use vabal::{Error, Id, Result, Selection};

use super::Rank;
use super::ids::Ids;
use crate::arrays::parquet::{self, Data};

/// How picks are written.
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
    /// An ending that is none of them.
    pub fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        match ending.as_deref() {
            Some("csv") => Ok(Self::Csv),
            Some("jsonl" | "ndjson") => Ok(Self::Lines),
            Some("parquet") => Ok(Self::Parquet),
            _ => Err(Error::input("a file of an unknown ending")
                .at(format!("--out {}", path.display()))
                .expected("a file ending in .csv, .jsonl, .ndjson or .parquet")
                .got(ending.map_or("no ending".into(), |ending| format!(".{ending}")))
                .hint("--out picks.csv")
                .into()),
        }
    }
}

/// Checks before any work that a file can be written, and that it is none of those that are read.
///
/// # Errors
/// A folder in its place, a folder that cannot be written to, an input.
pub fn check_place(path: &Path, args: &Rank) -> Result<()> {
    if path.is_dir() {
        return Err(Error::io("write", path)(std::io::ErrorKind::IsADirectory.into()));
    }
    let inputs = args.unlabelled.iter().chain(&args.labelled).map(|source| super::pool::path_of(source));
    let same = |input: &Path| matches!((input.canonicalize(), path.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if let Some(input) = inputs.chain(args.model.as_deref()).find(|input| same(input)) {
        return Err(Error::input("a file would be written over one that is read")
            .at(path.display())
            .expected("another file")
            .got(input.display())
            .hint("choose another --out or --model-out")
            .into());
    }
    // Of files that may not be there yet: the folder, and the name.
    let whole = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        (
            folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf()),
            path.file_name().map(ToOwned::to_owned),
        )
    };
    if args.out.as_deref().zip(args.model_out.as_deref()).is_some_and(|(a, b)| whole(a) == whole(b)) {
        return Err(Error::input("--out and --model-out are the same file")
            .at(path.display())
            .expected("two files")
            .got("one")
            .hint("choose another --model-out")
            .into());
    }
    // The nearest folder that is there: those below it are made when the file is written.
    let folders = path.ancestors().skip(1).map(|f| if f.as_os_str().is_empty() { Path::new(".") } else { f });
    let folder = folders.into_iter().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    tempfile::tempfile_in(folder).map(drop).map_err(Error::io("write", path))
}

/// Whether a term is the number of a class.
fn is_class(term: &str) -> bool {
    term.ends_with("predicted")
}

/// What was chosen.
#[derive(Debug)]
pub struct Picks<'a> {
    pub ids: &'a Ids,
    pub selection: &'a Selection,
}

impl Picks<'_> {
    /// All of them.
    ///
    /// # Errors
    /// Texts that are too long for a format.
    pub fn bytes(&self, format: Format) -> Result<Vec<u8>> {
        Ok(match format {
            Format::Parquet => self.table()?,
            Format::Csv => self.csv().into_bytes(),
            Format::Lines => {
                self.objects().map(|object| format!("{}\n", Value::Object(object))).collect::<String>().into()
            }
        })
    }

    /// As Parquet.
    fn table(&self) -> Result<Vec<u8>> {
        let Selection { ids, scores, terms, .. } = self.selection;
        let texts: Option<Vec<String>> = ids.iter().map(|&id| self.ids.text(id).map(str::to_owned)).collect();
        let names = match texts {
            Some(texts) if !ids.is_empty() => Data::Texts(texts),
            _ => Data::Whole(ids.iter().map(|&id| id.cast_signed()).collect()),
        };
        let ranks = (1..=ids.len() as i64).collect();
        let mut columns =
            vec![("rank", Data::Whole(ranks)), ("id", names), ("score", Data::Real(scores.clone()))];
        columns.extend(terms.iter().map(|term| {
            let whole = is_class(term.name) && term.values.iter().all(|value| value.fract() == 0.0);
            let values = &term.values;
            let whole = whole.then(|| Data::Whole(values.iter().map(|&value| value as i64).collect()));
            (term.name, whole.unwrap_or_else(|| Data::Real(values.clone())))
        }));
        parquet::write(&columns).map_err(|error| {
            Error::input("ids that are too long for Parquet").got(error).hint("--out picks.csv").into()
        })
    }

    /// As CSV.
    pub fn csv(&self) -> String {
        let Selection { ids, scores, terms, .. } = self.selection;
        let mut csv = String::from("rank,id,score");
        for term in terms {
            csv += ",";
            csv += term.name;
        }
        csv.push('\n');
        for (row, (&id, score)) in ids.iter().zip(scores).enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(csv, "{},{},{score}", row + 1, self.name(id));
            for value in terms.iter().map(|term| term.values[row]) {
                let _ = if value.is_finite() { write!(csv, ",{value}") } else { write!(csv, ",") };
            }
            csv.push('\n');
        }
        csv
    }

    /// An object for each.
    pub fn objects(&self) -> impl Iterator<Item = Map<String, Value>> {
        let Selection { ids, scores, terms, .. } = self.selection;
        ids.iter().zip(scores).enumerate().map(move |(row, (&id, score))| {
            let mut object = Map::new();
            object.insert("rank".into(), json!(row + 1));
            object.insert("id".into(), self.ids.text(id).map_or(json!(id), |text| json!(text)));
            object.insert("score".into(), json!(score));
            for term in terms {
                let value = term.values[row];
                // Classes are whole numbers, and read better as such.
                let whole = is_class(term.name) && value.fract() == 0.0;
                object.insert(term.name.into(), if whole { json!(value as i64) } else { json!(value) });
            }
            object
        })
    }

    /// An id as a field of CSV.
    fn name(&self, id: Id) -> String {
        match self.ids.text(id) {
            None => id.to_string(),
            Some(text) if text.contains([',', '"', '\n', '\r']) => {
                format!("\"{}\"", text.replace('"', "\"\""))
            }
            Some(text) => text.to_owned(),
        }
    }
}
