//! Arrays of one origin under their names: whether they agree, what is missing, what rows are
//! called.

use std::collections::BTreeMap;
use std::fmt;

use super::array::Column;
use super::{Array, Classes, Kind, Name, Names, Needs};
use crate::error::{Complaint, Error, Result};
use crate::progress::Progress;
use crate::{Id, Label};

/// Arrays of one origin: row i of every array belongs to the same image. Arrays of names that are
/// none are left alone.
pub struct Group {
    place: Option<String>,
    arrays: Vec<Array>,
}

impl Group {
    /// These arrays.
    #[must_use]
    pub fn new(arrays: Vec<Array>) -> Self {
        Self { place: None, arrays }
    }

    /// The same with a place for messages about what is missing: the files, say.
    #[must_use]
    pub fn at(self, place: impl fmt::Display) -> Self {
        Self { place: Some(place.to_string()), ..self }
    }
}

/// A group that was looked at.
pub(super) struct Arrays {
    place: Option<String>,
    /// What was given, by any name, for messages.
    given: Vec<String>,
    pub arrays: BTreeMap<Name, Array>,
    pub rows: usize,
    /// The number of the first row.
    pub first: usize,
    /// What the rows are called, and the ids that says within the group.
    pub names: Option<(Names, Vec<Id>)>,
    pub predicted: Option<Vec<Option<Label>>>,
}

impl Arrays {
    pub fn new(group: Group, classes: &Classes, progress: &mut Progress<'_>) -> Result<Self> {
        let given = group.arrays.iter().map(|array| array.name.clone()).collect();
        let mut arrays: BTreeMap<Name, Array> = BTreeMap::new();
        let mut first: Option<(String, usize)> = None;
        let behind = group.arrays.first().map_or(0, |array| array.first);
        for array in group.arrays {
            let Some(name) = Name::of(&array.name) else { continue };
            if let Some(Array { place, .. }) = arrays.get(&name) {
                return Err(Error::input("duplicate array")
                    .at(&array.place)
                    .expected("each array once")
                    .got(format!("{name} also in {place}"))
                    .hint("leave one of them out; files are read as the parts of one pool where all have the same arrays")
                    .into());
            }
            let rows = match array.shape[..] {
                // Arrays that hold nothing may claim any number of rows, and any length of a row.
                [rows, ref row @ ..] if width(row).is_some_and(|width| rows == 0 || width > 0) => rows,
                _ => return Err(array.of_another_shape(name.shape())),
            };
            let (other, expected) = first.get_or_insert_with(|| (array.place.clone(), rows));
            if *expected != rows {
                return Err(Error::input("the arrays disagree on the number of rows")
                    .at(&array.place)
                    .expected(format!("{expected} rows, as {other} has"))
                    .got(format!("{rows} rows"))
                    .hint("row i of every array must belong to the same image, labelled or not")
                    .into());
            }
            arrays.insert(name, array);
        }
        let rows = first.map_or(0, |(_, rows)| rows);
        let names = arrays.get(&Name::Ids).map(|array| names(array, progress)).transpose()?;
        let predicted = arrays.get(&Name::Predicted).map(|array| classes.labels(array, progress));
        let predicted = predicted.transpose()?;
        Ok(Self { place: group.place, given, rows, first: behind, names, predicted, arrays })
    }

    /// The labels, as far as they are given.
    pub fn labels(
        &self,
        classes: &Classes,
        progress: &mut Progress<'_>,
    ) -> Result<Option<Vec<Option<Label>>>> {
        self.arrays.get(&Name::Labels).map(|array| classes.labels(array, progress)).transpose()
    }

    /// The features that a strategy looks at: all stages, or the last; one array may be either.
    pub fn stages(&self, needs: Needs) -> Vec<&Array> {
        let features = self.arrays.get(&Name::Features);
        let stages: Vec<&Array> =
            self.arrays.range(Name::Stage(0)..=Name::Stage(u32::MAX)).map(|(_, array)| array).collect();
        match (needs.stages, needs.embedding, features) {
            (true, _, Some(features)) if stages.is_empty() => vec![features],
            (true, ..) => stages,
            (false, true, Some(features)) => vec![features],
            (false, true, None) => stages.last().copied().into_iter().collect(),
            (false, false, _) => Vec::new(),
        }
    }

    /// What is needed and not there.
    pub fn missing(&self, needs: Needs) -> Vec<&'static str> {
        let lacks = |name: Name| !self.arrays.contains_key(&name);
        let predicted = (needs.predicted || needs.prediction) && !needs.probabilities;
        let asked = [
            (
                (needs.stages || needs.embedding) && self.stages(needs).is_empty(),
                "features [n, d], or those of each stage",
            ),
            (needs.probabilities && lacks(Name::Probabilities), "probs [n, C]"),
            (
                predicted && lacks(Name::Probabilities) && lacks(Name::Predicted),
                "probs [n, C] or predicted [n]",
            ),
            (needs.monte_carlo.is_some() && lacks(Name::MonteCarlo), "mc_probs [n, T, C]"),
            (needs.committee > 0 && lacks(Name::Committee), "committee_probs [n, M, C]"),
            (needs.images && lacks(Name::Images), "images [n, channels, height, width]"),
        ];
        let mut missing: Vec<&str> =
            asked.into_iter().filter(|(asked, _)| *asked).map(|(_, what)| what).collect();
        if missing.is_empty() && self.arrays.is_empty() {
            missing.push("ids [n], or any other array");
        }
        missing
    }

    /// The complaint that `what` is not there.
    pub fn lacks(&self, what: &[&str], why: &str) -> Complaint {
        let said = if what.len() == 1 { "an array is missing" } else { "arrays are missing" };
        let got = if self.given.is_empty() { "no array".into() } else { self.given.join(", ") };
        let complaint = Error::input(said).expected(format!("{}{why}", what.join("; "))).got(got);
        let complaint = complaint
            .hint(format!("arrays are called {}; or choose a strategy that does without", Name::ALL));
        match &self.place {
            Some(place) => complaint.at(place),
            None => complaint,
        }
    }

    /// Row and id, as a person finds them.
    pub fn row(&self, row: usize) -> String {
        match self.names.as_ref().map(|(names, _)| names.name(row)) {
            Some(name) if name != (self.first + row).to_string() => {
                format!("row {}, id {name}", self.first + row)
            }
            _ => format!("row {}", self.first + row),
        }
    }

    /// C of each array of probabilities that has one, and where it stands.
    pub fn columns(&self) -> impl Iterator<Item = (&str, usize)> {
        let arrays = [Name::Probabilities, Name::MonteCarlo, Name::Committee].into_iter();
        let arrays =
            arrays.filter_map(|name| self.arrays.get(&name).filter(|array| name.takes(&array.shape)));
        arrays.filter_map(|array| Some((array.place.as_str(), *array.shape.last()?)))
    }

    /// The first of `labels`, which array `name` holds, that is not below C.
    pub fn below(&self, classes: usize, name: Name, labels: Option<&Vec<Option<Label>>>) -> Result<()> {
        let high = |label: &Option<Label>| label.is_some_and(|label| label as usize >= classes);
        let found = labels.and_then(|labels| Some((labels.iter().position(high)?, labels)));
        let (Some((row, labels)), Some(array)) = (found, self.arrays.get(&name)) else { return Ok(()) };
        Err(Error::input("a class is out of range")
            .at(format!("{}, {}", array.place, self.row(row)))
            .expected(format!("0 to {}, for {classes} classes", classes.saturating_sub(1)))
            .got(labels[row].unwrap_or_default())
            .hint("count the classes from 0; C is as told, or else the columns of the probabilities")
            .into())
    }
}

/// The values of a row.
fn width(row: &[usize]) -> Option<usize> {
    row.iter().try_fold(1, |count: usize, &length| count.checked_mul(length))
}

fn names(array: &Array, progress: &mut Progress<'_>) -> Result<(Names, Vec<Id>)> {
    let none = |row: usize| -> Error {
        Error::input("an id is missing")
            .at(format!("{}, row {}", array.place, array.first + row))
            .expected("whole numbers or texts")
            .got("none")
            .hint("leave the array out, and rows are called by their numbers")
            .into()
    };
    let names = match array.column(Kind::Ids, progress)? {
        Column::Texts(texts) => {
            let given = texts.iter().enumerate().map(|(row, text)| text.clone().ok_or_else(|| none(row)));
            Names::Texts(given.collect::<Result<_>>()?)
        }
        Column::Whole(whole) => {
            let given = whole.iter().enumerate().map(|(row, number)| number.ok_or_else(|| none(row)));
            Names::Numbers(given.collect::<Result<_>>()?)
        }
    };
    match names.ids() {
        Ok(ids) => Ok((names, ids)),
        Err((first, second)) => Err(Error::input("duplicate id")
            .at(format!("{}, rows {} and {}", array.place, array.first + first, array.first + second))
            .expected("ids that do not repeat")
            .got(names.name(first))
            .hint("leave out rows that are there twice, or the ids")
            .into()),
    }
}
