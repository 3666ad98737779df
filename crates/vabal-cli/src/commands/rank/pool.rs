//! A pool from the arrays of a user's files: which array means what, which are missing, whether they agree.
//!
//! Never here: how a file holds an array, what a strategy does with it.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use ndarray::{ArrayView, ArrayView2, Dimension, Ix2, Ix3, Ix4};
use rayon::prelude::*;
use vabal::query::Needs;
use vabal::{Error, Id, Label, Result, Signals};

use super::ids::Names;
use crate::arrays::{self, Entry, Load, Values};

/// The names that arrays may have, for messages.
const NAMES: &str =
    "features, stage1, stage2, …, probs, predicted, mc_probs, committee_probs, labels, ids, images";

/// What is read beside what the strategy needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    /// Labels, a whole number for each row.
    Needed,
    /// Labels where there are some, −1 or NaN for none.
    Some,
    /// No labels.
    None,
}

/// The rows of one or several files.
#[derive(Debug, Default)]
pub struct Pool {
    /// The files, for errors.
    pub place: String,
    rows: usize,
    /// Where a row was in its file, if that is not where it is now.
    origin: Option<Vec<usize>>,
    /// What the rows are called, if they are.
    pub names: Option<Names>,
    stages: Vec<Floats>,
    probabilities: Option<Floats>,
    monte_carlo: Option<Floats>,
    committee: Option<Floats>,
    predicted: Option<Vec<Label>>,
    images: Option<(Values<u8>, [usize; 4])>,
    /// A label for each row, as far as it has one.
    pub labels: Option<Vec<Option<Label>>>,
}

/// An array of numbers with what it is called in errors.
#[derive(Debug)]
struct Floats {
    place: String,
    shape: Vec<usize>,
    values: Values<f32>,
}

impl Floats {
    fn view<D: Dimension>(&self) -> Result<ArrayView<'_, f32, D>> {
        let view = ArrayView::from_shape(self.shape.clone(), &self.values[..]).ok();
        let view = view.and_then(|view| view.into_dimensionality().ok());
        view.ok_or_else(|| Error::input("an array of another shape than it has").at(&self.place).into())
    }

    fn width(&self) -> usize {
        self.shape[1..].iter().product()
    }

    fn rows(&self, rows: &[usize], load: &mut Load<'_, '_>) -> Result<Self> {
        let mut shape = self.shape.clone();
        shape[0] = rows.len();
        Ok(Self { place: self.place.clone(), values: self.values.rows(self.width(), rows, load)?, shape })
    }
}

/// What an array may be called; another spelling becomes the one that is written here.
fn known(name: &str) -> Option<&str> {
    match name {
        "id" => Some("ids"),
        "label" => Some("labels"),
        "features" | "probs" | "predicted" | "mc_probs" | "committee_probs" | "labels" | "ids" | "images" => {
            Some(name)
        }
        _ => stage(name).map(|_| name),
    }
}

/// The number of `stage3`.
fn stage(name: &str) -> Option<u32> {
    name.strip_prefix("stage").filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

/// Opens what `--unlabelled` or `--labelled` names: files, or `NAME=FILE` for the one array of a file.
/// The name and the path of `features=FILE`; a name that is none is a part of the path.
fn named(source: &OsStr) -> Option<(&str, &Path)> {
    let (name, path) = source.to_str()?.split_once('=')?;
    Some((known(name)?, Path::new(path)))
}

/// The file that a source is read from.
pub fn path_of(source: &OsStr) -> &Path {
    named(source).map_or_else(|| Path::new(source), |(_, path)| path)
}

fn entries(sources: &[OsString]) -> Result<(Vec<Entry>, String)> {
    let mut all: Vec<Entry> = Vec::new();
    let mut places = Vec::new();
    for source in sources {
        let (named, path) = (named(source), path_of(source).to_path_buf());
        let mut found = arrays::open(&path)?;
        places.push(path.display().to_string());
        if let Some((name, _)) = named {
            found = one(found, name, &path)?;
        } else if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy")) {
            for entry in &mut found {
                // An array alone that is called anything is what most would give: features.
                if known(&entry.name).is_none() && entry.shape.len() == 2 && entry.dtype.is_float() {
                    entry.name = "features".into();
                }
            }
        }
        for mut entry in found {
            if let Some(name) = known(&entry.name) {
                entry.name = name.to_owned();
            }
            if let Some(other) =
                all.iter().find(|other| other.name == entry.name && known(&entry.name).is_some())
            {
                return Err(Error::input("an array is there twice")
                    .at(&entry.place)
                    .expected("each array once")
                    .got(format!("{} also in {}", entry.name, other.place))
                    .hint("say which array a file is: probs=FILE")
                    .into());
            }
            all.push(entry);
        }
    }
    Ok((all, places.join(", ")))
}

/// The array of a file that `name=` stands before.
fn one(mut found: Vec<Entry>, name: &str, path: &std::path::Path) -> Result<Vec<Entry>> {
    if found.len() > 1 {
        found.retain(|entry| known(&entry.name) == Some(name));
    }
    if let [entry] = &mut found[..] {
        entry.name = name.to_owned();
        return Ok(found);
    }
    Err(Error::input("it is not clear which array is meant")
        .at(path.display())
        .expected(format!("a file with one array, or with one called {name}"))
        .got("several")
        .hint("give the file without a name before it")
        .into())
}

impl Pool {
    /// Reads from the files in `sources` what `needs` names, labels as `labels` says, ids, and probabilities or
    /// predictions where there are some, which tell what a selection means.
    ///
    /// # Errors
    /// A file that cannot be read, an array that is missing, of a type or shape that is none, arrays that disagree on
    /// the number of rows, ids that repeat.
    pub fn read(
        sources: &[OsString],
        needs: Needs,
        labels: Labels,
        strategy: &str,
        load: &mut Load<'_, '_>,
    ) -> Result<Self> {
        let (all, place) = entries(sources)?;
        let find = |name: &str| all.iter().find(|entry| entry.name == name);
        let (stages, missing) = missing(&all, needs, labels);
        if !missing.is_empty() {
            let got: Vec<&str> = all.iter().map(|entry| entry.name.as_str()).collect();
            return Err(Error::input(if missing.len() == 1 {
                "an array is missing"
            } else {
                "arrays are missing"
            })
            .at(place)
            .expected(format!("{}, for the strategy {strategy}", missing.join("; ")))
            .got(if got.is_empty() { "no array".into() } else { got.join(", ") })
            .hint(format!("call the arrays {NAMES}; or choose a strategy that does without"))
            .into());
        }
        let mut pool = Self { place, ..Self::default() };
        pool.rows = rows_of(&all)?;
        for entry in stages {
            pool.stages.push(floats(entry, "[n, d], a row of numbers for each row", 2, load)?);
        }
        let rest = [
            (&mut pool.probabilities, "probs", "[n, C]", 2, true),
            (&mut pool.monte_carlo, "mc_probs", "[n, T, C]", 3, needs.monte_carlo.is_some()),
            (&mut pool.committee, "committee_probs", "[n, M, C]", 3, needs.committee > 0),
        ];
        for (slot, name, shape, dimensions, wanted) in rest {
            if let Some(entry) = find(name).filter(|_| wanted) {
                if entry.shape.len() == dimensions && entry.shape[dimensions - 1] < 2 {
                    return Err(wrong_shape(entry, &format!("{shape}, C of 2 or more")));
                }
                *slot = Some(floats(entry, shape, dimensions, load)?);
            }
        }
        if let Some(entry) = find("predicted") {
            let predicted = column(entry, load)?;
            pool.predicted = Some(none_missing(entry, predicted)?);
        }
        if let Some(entry) = find("images").filter(|_| needs.images) {
            pool.images = Some(images(entry, load)?);
        }
        if let Some(entry) = find("labels").filter(|_| labels != Labels::None) {
            pool.labels = Some(given_labels(entry, labels, load)?);
        }
        if let Some(entry) = find("ids") {
            pool.names = Some(Names::read(entry, load)?);
        }
        // Those of labelled rows say how many classes there are, and beyond that only some strategies read them.
        let read = labels != Labels::Needed || needs.probabilities || needs.predicted;
        pool.check_values(read)?;
        Ok(pool)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Number of classes C, where an array says it.
    pub fn classes(&self) -> Option<usize> {
        let arrays = [&self.probabilities, &self.monte_carlo, &self.committee];
        arrays.into_iter().flatten().find_map(|array| array.shape.last().copied())
    }

    /// The largest label that is predicted.
    pub fn largest_predicted(&self) -> Option<Label> {
        self.predicted.iter().flatten().copied().max()
    }

    /// Checks that the probabilities have C columns, and that labels and predictions are below C.
    ///
    /// # Errors
    /// An array that has not; the first label that is not, by its row and id.
    pub fn check_classes(&self, classes: usize) -> Result<()> {
        for array in [&self.probabilities, &self.monte_carlo, &self.committee].into_iter().flatten() {
            let got = array.shape.last().copied().unwrap_or(0);
            if got != classes {
                return Err(Error::input("probabilities of another number of classes")
                    .at(&array.place)
                    .expected(classes)
                    .got(got)
                    .hint("both pools have the same classes, and as many as --classes or the --model says")
                    .into());
            }
        }
        let high = |label: Label| label as usize >= classes;
        let given =
            self.labels.as_ref().and_then(|labels| labels.iter().position(|label| label.is_some_and(high)));
        let predicted =
            self.predicted.as_ref().and_then(|labels| labels.iter().position(|&label| high(label)));
        let of = |row: usize, label: Option<Label>| label.map(|label| (row, label));
        let wrong = match (given, predicted) {
            (Some(row), _) => {
                ("label", "labels", of(row, self.labels.as_ref().and_then(|labels| labels[row])))
            }
            (_, Some(row)) => {
                ("predicted label", "predicted", of(row, self.predicted.as_ref().map(|p| p[row])))
            }
            _ => return Ok(()),
        };
        let (what, name, Some((row, label))) = wrong else { return Ok(()) };
        Err(Error::input(format!("a {what} is out of range"))
            .at(format!("{}, {name}, {}", self.place, self.row(row)))
            .expected(format!("0 to {}, for {classes} classes", classes.saturating_sub(1)))
            .got(label)
            .hint("count the classes from 0; C is --classes, or else the columns of the probabilities")
            .into())
    }

    /// Those without a label, and those with one.
    ///
    /// # Errors
    /// No row without a label; no room for a temporary file.
    pub fn split(mut self, load: &mut Load<'_, '_>) -> Result<(Self, Self)> {
        let Some(labels) = self.labels.take() else {
            return Ok((self, Self::default()));
        };
        let (mut without, mut with) = (Vec::new(), Vec::new());
        labels.iter().enumerate().for_each(|(row, label)| match label {
            None => without.push(row),
            Some(_) => with.push(row),
        });
        if without.is_empty() {
            return Err(Error::input("no row is without a label")
                .at(format!("{}, labels", self.place))
                .expected("−1 (or NaN) in labels for the rows to choose from")
                .got(format!("{} labels", labels.len()))
                .hint("leave the labels out, or give the labelled rows as --labelled")
                .into());
        }
        let mut labelled = self.rows(&with, load)?;
        labelled.labels = Some(with.iter().map(|&row| labels[row]).collect());
        Ok((self.rows(&without, load)?, labelled))
    }

    fn rows(&self, rows: &[usize], load: &mut Load<'_, '_>) -> Result<Self> {
        let mut some =
            |array: &Option<Floats>| array.as_ref().map(|array| array.rows(rows, load)).transpose();
        let (probabilities, monte_carlo) = (some(&self.probabilities)?, some(&self.monte_carlo)?);
        let committee = some(&self.committee)?;
        let stages = self.stages.iter().map(|stage| stage.rows(rows, load)).collect::<Result<_>>()?;
        let images = match &self.images {
            Some((values, [_, a, b, c])) => {
                Some((values.rows(a * b * c, rows, load)?, [rows.len(), *a, *b, *c]))
            }
            None => None,
        };
        let numbers = || Names::Numbers(rows.iter().map(|&row| row as Id).collect());
        Ok(Self {
            place: self.place.clone(),
            rows: rows.len(),
            names: Some(self.names.as_ref().map_or_else(numbers, |names| names.rows(rows))),
            origin: Some(rows.to_vec()),
            stages,
            probabilities,
            monte_carlo,
            committee,
            predicted: self.predicted.as_ref().map(|p| rows.iter().map(|&row| p[row]).collect()),
            images,
            labels: None,
        })
    }

    /// The arrays as a strategy sees them, borrowed.
    ///
    /// # Errors
    /// Fewer than two classes, arrays without columns.
    pub fn signals(&self, ids: Vec<Id>) -> Result<Signals<'_>> {
        let at = |place: &str| {
            let place = place.to_owned();
            move |error: Error| match error {
                Error::Input(complaint) => Error::Input(Box::new(complaint.at(place))),
                other => other,
            }
        };
        let mut signals = Signals::new(ids);
        if let Some(first) = self.stages.first() {
            let stages =
                self.stages.iter().map(Floats::view::<Ix2>).collect::<Result<Vec<ArrayView2<'_, f32>>>>()?;
            signals = signals.with_stages(stages).map_err(at(&first.place))?;
        }
        if let Some(array) = &self.probabilities {
            signals = signals.with_probabilities(array.view::<Ix2>()?).map_err(at(&array.place))?;
        }
        if let Some(predicted) = &self.predicted {
            signals = signals.with_predicted(predicted.clone())?;
        }
        if let Some(array) = &self.monte_carlo {
            signals = signals.with_monte_carlo(array.view::<Ix3>()?).map_err(at(&array.place))?;
        }
        if let Some(array) = &self.committee {
            signals = signals.with_committee(array.view::<Ix3>()?).map_err(at(&array.place))?;
        }
        if let Some((values, shape)) = &self.images {
            let view: Option<ArrayView<'_, u8, Ix4>> = ArrayView::from_shape(*shape, &values[..]).ok();
            let view =
                view.ok_or_else(|| Error::input("images of another shape than they have").at(&self.place))?;
            // Others count their colours last.
            let view = if [1, 3].contains(&shape[1]) { view } else { view.permuted_axes([0, 3, 1, 2]) };
            signals = signals.with_images(view).map_err(at(&format!("{}, images", self.place)))?;
        }
        Ok(signals)
    }

    /// Row and id, as a person finds them.
    pub fn row(&self, row: usize) -> String {
        let of_file = self.origin.as_ref().map_or(row, |origin| origin[row]);
        match self.names.as_ref().map(|names| names.name(row)) {
            Some(name) if name != of_file.to_string() => format!("row {of_file}, id {name}"),
            _ => format!("row {of_file}"),
        }
    }

    /// Looks at every value, so that a wrong one is named by array, row and id.
    fn check_values(&self, probabilities: bool) -> Result<()> {
        let finite = |value: &f32| value.is_finite();
        for stage in &self.stages {
            self.check(stage, finite, |got| {
                Error::input("a feature is not finite")
                    .expected("finite numbers")
                    .got(got)
                    .hint("look for divisions by zero or an overflow in the network that made the features")
            })?;
        }
        let probability = |value: &f32| (0.0..=1.0001).contains(value);
        let read = self.probabilities.as_ref().filter(|_| probabilities);
        for array in read.into_iter().chain(&self.monte_carlo).chain(&self.committee) {
            self.check(array, probability, |got| {
                Error::input("a probability is out of range")
                    .expected("numbers from 0 to 1")
                    .got(got)
                    .hint("give probabilities (after the softmax), not logits")
            })?;
        }
        Ok(())
    }

    fn check(
        &self,
        array: &Floats,
        good: impl Fn(&f32) -> bool + Sync,
        complaint: impl Fn(f32) -> vabal::error::Complaint,
    ) -> Result<()> {
        let width = array.width().max(1);
        let bad =
            array.values.par_chunks(width).with_min_len(1024).position_first(|row| !row.iter().all(&good));
        let Some(row) = bad else { return Ok(()) };
        let value =
            array.values[row * width..].iter().copied().find(|value| !good(value)).unwrap_or(f32::NAN);
        Err(complaint(value).at(format!("{}, {}", array.place, self.row(row))).into())
    }
}

/// The arrays that are the stages, and what is missing.
fn missing(all: &[Entry], needs: Needs, labels: Labels) -> (Vec<&Entry>, Vec<&'static str>) {
    let find = |name: &str| all.iter().find(|entry| entry.name == name);
    let mut numbered: Vec<(u32, &Entry)> =
        all.iter().filter_map(|entry| Some((stage(&entry.name)?, entry))).collect();
    numbered.sort_by_key(|(number, _)| *number);
    let numbered: Vec<&Entry> = numbered.into_iter().map(|(_, entry)| entry).collect();
    let stages = if needs.stages {
        if numbered.is_empty() { find("features").into_iter().collect() } else { numbered }
    } else if needs.embedding {
        find("features").or(numbered.last().copied()).into_iter().collect()
    } else {
        Vec::new()
    };
    let asked = [
        (needs.stages && stages.is_empty(), "stage1, stage2, …, or features"),
        (needs.embedding && stages.is_empty() && !needs.stages, "features"),
        (needs.probabilities && find("probs").is_none(), "probs"),
        (
            needs.predicted && !needs.probabilities && find("probs").or(find("predicted")).is_none(),
            "probs or predicted",
        ),
        (needs.monte_carlo.is_some() && find("mc_probs").is_none(), "mc_probs"),
        (needs.committee > 0 && find("committee_probs").is_none(), "committee_probs"),
        (needs.images && find("images").is_none(), "images"),
        (labels == Labels::Needed && find("labels").is_none(), "labels"),
        (!all.iter().any(|entry| known(&entry.name).is_some()), "ids, or any other array"),
    ];
    let mut missing: Vec<&str> =
        asked.into_iter().filter(|(asked, _)| *asked).map(|(_, name)| name).collect();
    if missing.len() > 1 {
        missing.retain(|name| *name != "ids, or any other array");
    }
    (stages, missing)
}

/// The number of rows that all arrays agree on.
fn rows_of(all: &[Entry]) -> Result<usize> {
    let mut first: Option<(&Entry, usize)> = None;
    for entry in all.iter().filter(|entry| known(&entry.name).is_some()) {
        let Some((&rows, of_a_row)) = entry.shape.split_first() else {
            return Err(wrong_shape(entry, "[n, …], an entry for each row"));
        };
        // Arrays that hold nothing may claim any number of rows.
        if rows > 0 && of_a_row.contains(&0) {
            return Err(wrong_shape(entry, "[n, …], something for each row"));
        }
        match first {
            None => first = Some((entry, rows)),
            Some((other, expected)) if expected != rows => {
                return Err(Error::input("the arrays disagree on the number of rows")
                    .at(&entry.place)
                    .expected(format!("{expected} rows, as {} has", other.name))
                    .got(format!("{rows} rows"))
                    .hint("row i of every array must belong to the same image")
                    .into());
            }
            Some(_) => {}
        }
    }
    Ok(first.map_or(0, |(_, rows)| rows))
}

fn wrong_shape(entry: &Entry, expected: &str) -> Error {
    let hint = match (entry.shape.as_slice(), expected.starts_with("[n]")) {
        ([_, 1], true) => "flatten it: array.ravel()",
        ([_, _, _, _], _) => "average over height and width: array.mean((2, 3))",
        ([_] | [_, 1] | [_, _, 1], _) => "for two classes give both: numpy.stack([1 - p, p], -1)",
        _ => "reshape the array",
    };
    Error::input("an array of another shape")
        .at(&entry.place)
        .expected(expected)
        .got(format!("{:?}", entry.shape))
        .hint(hint)
        .into()
}

fn floats(entry: &Entry, expected: &str, dimensions: usize, load: &mut Load<'_, '_>) -> Result<Floats> {
    if entry.shape.len() != dimensions || entry.shape[1..].contains(&0) {
        return Err(wrong_shape(entry, expected));
    }
    Ok(Floats { place: entry.place.clone(), shape: entry.shape.clone(), values: entry.floats(load)? })
}

fn column(entry: &Entry, load: &mut Load<'_, '_>) -> Result<Vec<Option<Label>>> {
    if entry.shape.len() != 1 {
        return Err(wrong_shape(entry, "[n], a whole number for each row"));
    }
    entry.integers("whole numbers from 0", load)
}

fn none_missing(entry: &Entry, column: Vec<Option<Label>>) -> Result<Vec<Label>> {
    column
        .into_iter()
        .enumerate()
        .map(|(row, label)| {
            label.ok_or_else(|| {
                Error::input("a label is missing")
                    .at(format!("{}, row {row}", entry.place))
                    .expected("a whole number from 0 for each row")
                    .got("none")
                    .hint("rows without a label belong into --unlabelled")
                    .into()
            })
        })
        .collect()
}

/// Labels, with none for −1 and NaN.
fn given_labels(entry: &Entry, labels: Labels, load: &mut Load<'_, '_>) -> Result<Vec<Option<Label>>> {
    if entry.shape.len() != 1 {
        return Err(wrong_shape(entry, "[n], a whole number for each row"));
    }
    let expected = "whole numbers from 0, or −1 for no label";
    let signed: Vec<Option<i64>> = entry.integers(expected, load)?;
    let mut given = Vec::with_capacity(signed.len());
    for (row, label) in signed.into_iter().enumerate() {
        given.push(match label {
            None | Some(-1) => None,
            Some(label) => Some(Label::try_from(label).map_err(|_| {
                Error::input("a label is out of range")
                    .at(format!("{}, row {row}", entry.place))
                    .expected(expected)
                    .got(label)
                    .hint("count the classes from 0")
            })?),
        });
    }
    if labels == Labels::Needed {
        none_missing(entry, given.clone())?;
    }
    Ok(given)
}

fn images(entry: &Entry, load: &mut Load<'_, '_>) -> Result<(Values<u8>, [usize; 4])> {
    match entry.shape[..] {
        [n, a, b, c] if [1, 3].contains(&a) || [1, 3].contains(&c) => Ok((entry.bytes(load)?, [n, a, b, c])),
        _ => Err(wrong_shape(
            entry,
            "[n, channels, height, width] or [n, height, width, channels], 1 or 3 channels",
        )),
    }
}
