//! Rows of features of a model of the user's own: arrays in one file, or in the files of a folder.
//!
//! Names are those of `vabal rank`: `features`, `labels`, `ids`. The test set is what follows the
//! first `train_rows` rows, or `test_features` with `test_labels`, or it is held out. Never here:
//! how a file holds an array, what a classifier makes of features.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView1, Axis, concatenate};
use sha2::{Digest as _, Sha256};
use vabal_arrays::{ENDINGS, Entry, Load};

use super::{DataSet, ImageShape, Items, Labelled};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::{Id, Label};

/// A larger label is a slip.
const MOST_CLASSES: usize = 65_536;

/// A row of features for each item. The [`Id`] of an item is its row.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// [n, d]
    rows: Array2<f32>,
    names: Names,
}

/// What rows are called.
#[derive(Debug, Clone, PartialEq)]
enum Names {
    /// By their numbers, of what is named.
    Rows(String),
    /// By texts such as file names.
    Texts(Vec<String>),
}

impl Features {
    /// The rows [n, d], and what each is called, where they have names.
    ///
    /// # Errors
    /// No columns, a feature that is not finite, another number of names than of rows.
    pub fn new(rows: Array2<f32>, names: Option<Vec<String>>) -> Result<Self> {
        Self::at(rows, names, "features")
    }

    /// The same, with the place of the array for errors.
    fn at(rows: Array2<f32>, names: Option<Vec<String>>, place: &str) -> Result<Self> {
        if rows.ncols() == 0 {
            return Err(wrong(
                "features without columns",
                place,
                "[n, d], d of 1 or more",
                "d of 0",
                "save them again",
            ));
        }
        if let Some(((row, column), value)) = rows.indexed_iter().find(|(_, value)| !value.is_finite()) {
            return Err(wrong(
                "a feature is not finite",
                format!("{place}, row {row}, column {column}"),
                "finite numbers",
                value,
                "look for a division by zero, or an overflow, where the features are made",
            ));
        }
        if let Some(names) = names.as_ref().filter(|names| names.len() != rows.nrows()) {
            return Err(other_length("ids", place, rows.nrows(), names.len()));
        }
        Ok(Self { rows, names: names.map_or_else(|| Names::Rows(place.into()), Names::Texts) })
    }

    /// How many features a row has.
    #[must_use]
    pub fn width(&self) -> usize {
        self.rows.ncols()
    }

    /// The features of an item.
    ///
    /// # Panics
    /// If `id` is not of this set, as indexing does.
    #[must_use]
    pub fn row(&self, id: Id) -> ArrayView1<'_, f32> {
        self.rows.row(id as usize)
    }

    /// The features of items, a row each.
    ///
    /// # Errors
    /// The first id that is not of this set.
    pub fn rows(&self, ids: &[Id]) -> Result<Array2<f32>> {
        if let Some(id) = ids.iter().find(|&&id| id >= self.rows.nrows() as Id) {
            let expected = format!("ids below {}, the number of rows", self.rows.nrows());
            return Err(wrong(
                "there is no such row",
                format!("id {id}"),
                expected,
                id,
                "use the ids of the same data",
            ));
        }
        let rows: Vec<usize> = ids.iter().map(|&id| id as usize).collect();
        Ok(self.rows.select(Axis(0), &rows))
    }
}

impl Items for Features {
    const ONE: &'static str = "row";
    const SEVERAL: &'static str = "rows";

    fn count(&self) -> usize {
        self.rows.nrows()
    }

    fn source(&self, id: Id) -> String {
        match &self.names {
            Names::Rows(place) => format!("{place}, row {id}"),
            Names::Texts(names) => names[id as usize].clone(),
        }
    }

    fn path(&self, id: Id) -> Option<&str> {
        match &self.names {
            Names::Rows(_) => None,
            Names::Texts(names) => Some(&names[id as usize]),
        }
    }

    fn picture(&self, _: Id) -> Option<(ImageShape, &[u8])> {
        None
    }

    fn digest(&self, id: Id, hash: &mut Sha256) {
        for value in self.row(id) {
            hash.update(value.to_le_bytes());
        }
    }
}

/// Reads a file of arrays, or every such file of a folder.
///
/// # Errors
/// No file of arrays, arrays that are missing, that are there twice, or of lengths that do not fit,
/// labels that are no class; [`Error::Stopped`].
pub fn read(path: &Path, progress: &mut Progress<'_>) -> Result<DataSet<Features>> {
    let arrays = Arrays::open(path)?;
    let load = &mut Load::new(progress);
    let (pool_rows, place) = arrays.features("features", load)?;
    let pool_labels = arrays.labels("labels", pool_rows.nrows(), load)?;
    let ids = arrays.names(load)?;
    let train_rows = arrays.train_rows(pool_rows.nrows(), load)?;
    let classes = arrays.classes(load)?;
    let tests = ["test_features", "test_labels"].map(|name| arrays.entries.contains_key(name));
    if let Some(ids) = ids.as_ref().filter(|ids| ids.len() != pool_rows.nrows()) {
        return Err(other_length("ids", &place, pool_rows.nrows(), ids.len()));
    }
    let (rows, labels, ids, pool) = match (tests, train_rows) {
        ([false, false], rows) => {
            let pool = rows.unwrap_or(pool_rows.nrows());
            (pool_rows, pool_labels, ids, pool)
        }
        (_, Some(_)) => {
            let got = "train_rows and test arrays";
            let expected = "train_rows, or test_features with test_labels";
            return Err(wrong("two test sets", path.display(), expected, got, "leave one of them out"));
        }
        (_, None) => {
            let (test_rows, test_place) = arrays.features("test_features", load)?;
            let test_labels = arrays.labels("test_labels", test_rows.nrows(), load)?;
            if test_rows.ncols() != pool_rows.ncols() {
                let expected = format!("{} columns, as {place} has", pool_rows.ncols());
                let hint = "make both with the same model";
                return Err(wrong("features of two widths", test_place, expected, test_rows.ncols(), hint));
            }
            let pool = pool_rows.nrows();
            let all = concatenate(Axis(0), &[pool_rows.view(), test_rows.view()]).expect("of the same width");
            let of_test = (0..test_rows.nrows()).map(|row| format!("{test_place}, row {row}"));
            let ids = ids.map(|ids| ids.into_iter().chain(of_test).collect());
            (all, [pool_labels, test_labels].concat(), ids, pool)
        }
    };
    let classes = named(classes, &labels, &place)?;
    let all = rows.nrows() as Id;
    let items = Labelled::new(Features::at(rows, ids, &place)?, labels, classes)?;
    let name = path
        .file_stem()
        .map_or_else(|| path.display().to_string(), |stem| stem.to_string_lossy().into_owned());
    Ok(DataSet { name, items, pool: (0..pool as Id).collect(), test: (pool as Id..all).collect() })
}

/// The names of the classes: those given, else their numbers.
fn named(classes: Option<Vec<String>>, labels: &[Label], place: &str) -> Result<Vec<String>> {
    if let Some(classes) = classes {
        return Ok(classes);
    }
    let count = labels.iter().max().map_or(0, |&label| label as usize + 1);
    if !(2..=MOST_CLASSES).contains(&count) {
        return Err(wrong(
            "labels of too few or too many classes",
            place,
            format!("2 to {MOST_CLASSES} classes, numbered from 0 without a gap"),
            format!("{count}, one more than the largest label"),
            "number the classes from 0",
        ));
    }
    Ok((0..count).map(|class| class.to_string()).collect())
}

/// The arrays of the files, by name.
struct Arrays {
    place: String,
    entries: BTreeMap<String, Entry>,
}

impl Arrays {
    fn open(path: &Path) -> Result<Self> {
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        for file in files(path)? {
            for mut entry in vabal_arrays::open(&file)? {
                entry.name = match entry.name.as_str() {
                    "label" => "labels".into(),
                    "id" => "ids".into(),
                    name => name.into(),
                };
                if let Some(twice) = entries.get(&entry.name) {
                    let expected = format!("one array called {}", entry.name);
                    let hint = "give the path of one file, or take the other one out of the folder";
                    return Err(wrong("duplicate array", &entry.place, expected, &twice.place, hint));
                }
                entries.insert(entry.name.clone(), entry);
            }
        }
        Ok(Self { place: path.display().to_string(), entries })
    }

    fn missing(&self, name: &str, shape: &str) -> Error {
        let names: Vec<&str> = self.entries.keys().map(String::as_str).take(20).collect();
        let got = if names.is_empty() { "no arrays".into() } else { names.join(", ") };
        let hint = "docs/formats.md says what experiments on features read";
        wrong("an array is missing", &self.place, format!("{name} {shape}"), got, hint)
    }

    /// [n, d] as f32, and where they are.
    fn features(&self, name: &str, load: &mut Load<'_, '_>) -> Result<(Array2<f32>, String)> {
        let entry = self.entries.get(name).cloned().ok_or_else(|| self.missing(name, "[n, d], floats"))?;
        let &[n, d] = &entry.shape[..] else { return Err(shape(&entry, "[n, d], a row of numbers each")) };
        let values = entry.floats(load)?.to_vec();
        let rows = Array2::from_shape_vec((n, d), values)
            .map_err(|_| shape(&entry, "as many values as its shape says"))?;
        Ok((rows, entry.place))
    }

    /// [n], from 0.
    fn labels(&self, name: &str, rows: usize, load: &mut Load<'_, '_>) -> Result<Vec<Label>> {
        let entry =
            self.entries.get(name).cloned().ok_or_else(|| self.missing(name, "[n], whole numbers from 0"))?;
        if entry.shape.len() != 1 {
            return Err(shape(&entry, "[n], a class each"));
        }
        if entry.shape[0] != rows {
            return Err(other_length(name, &entry.place, rows, entry.shape[0]));
        }
        let labels: Vec<Option<Label>> =
            entry.integers("whole numbers from 0: experiments know every label", load)?;
        labels
            .iter()
            .enumerate()
            .map(|(row, label)| {
                label.ok_or_else(|| {
                    let hint = "leave rows without a label out; experiments know every label";
                    wrong(
                        "a row without a label",
                        format!("{}, row {row}", entry.place),
                        "a class, from 0",
                        "NaN",
                        hint,
                    )
                })
            })
            .collect()
    }

    /// Texts, or numbers as texts.
    fn names(&self, load: &mut Load<'_, '_>) -> Result<Option<Vec<String>>> {
        let Some(entry) = self.entries.get("ids") else { return Ok(None) };
        if entry.shape.len() != 1 {
            return Err(shape(entry, "[n], a whole number or a text each"));
        }
        if !entry.dtype.is_whole() {
            return entry.texts(load).map(Some);
        }
        let ids: Vec<Option<i64>> = entry.integers("whole numbers of 63 bits, or texts", load)?;
        Ok(Some(ids.into_iter().map(|id| id.unwrap_or_default().to_string()).collect()))
    }

    fn classes(&self, load: &mut Load<'_, '_>) -> Result<Option<Vec<String>>> {
        let Some(entry) = self.entries.get("classes") else { return Ok(None) };
        if entry.shape.len() != 1 || !entry.dtype.is_text() {
            return Err(shape(entry, "[C], a text each"));
        }
        entry.texts(load).map(Some)
    }

    /// How many of the first rows are the pool.
    fn train_rows(&self, rows: usize, load: &mut Load<'_, '_>) -> Result<Option<usize>> {
        let Some(entry) = self.entries.get("train_rows") else { return Ok(None) };
        if entry.count() != 1 {
            return Err(shape(entry, "one whole number"));
        }
        let expected = format!("1 to {}, one less than the rows", rows.saturating_sub(1));
        let value: Option<usize> = entry.integers(&expected, load)?.into_iter().next().flatten();
        match value {
            Some(value) if (1..rows).contains(&value) => Ok(Some(value)),
            value => {
                let got = value.map_or_else(|| "NaN".into(), |value| value.to_string());
                let hint = "the rows after it are the test set; without train_rows one is held out";
                Err(wrong("a test set without rows, or a pool", &entry.place, expected, got, hint))
            }
        }
    }
}

/// The files of arrays at a path, by name.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.into()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(Error::io("read", path))? {
        let file = entry.map_err(Error::io("read", path))?.path();
        let ending = file.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        if matches!(ending.as_deref(), Some("npy" | "npz" | "parquet" | "safetensors")) {
            files.push(file);
        }
    }
    if files.is_empty() {
        let hint = "save the arrays with numpy.savez, or see docs/formats.md";
        let expected = format!("files ending in {ENDINGS}");
        return Err(wrong("a folder without arrays", path.display(), expected, "none", hint));
    }
    files.sort_unstable();
    Ok(files)
}

fn shape(entry: &Entry, expected: &str) -> Error {
    let got = format!("{:?} of {}", entry.shape, entry.dtype);
    wrong("unexpected array shape or type", &entry.place, expected, got, "save the array again")
}

fn other_length(name: &str, place: &str, rows: usize, got: usize) -> Error {
    let what = format!("another number of {name} than of rows");
    wrong(&what, place, format!("{rows}, one for each row of features"), got, "save both from the same items")
}

fn wrong(
    what: &str,
    at: impl std::fmt::Display,
    expected: impl std::fmt::Display,
    got: impl std::fmt::Display,
    hint: &str,
) -> Error {
    Error::input(what).at(at).expected(expected).got(got).hint(hint).into()
}

#[cfg(test)]
mod tests;
