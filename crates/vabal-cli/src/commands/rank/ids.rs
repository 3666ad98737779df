//! What rows are called: numbers or texts of the user's own, and the ids that strategies know them by.
//!
//! Strategies break ties and draw by id, so ids follow what a row is called and never where it stands: the picks are the
//! same in whatever order a pool is listed.

use vabal::{Error, Id, Result};

use super::pool::Pool;
use crate::arrays::{Entry, Load};

/// What the rows of a pool are called.
#[derive(Debug, Clone, PartialEq)]
pub enum Names {
    Numbers(Vec<Id>),
    Texts(Vec<String>),
}

impl Names {
    /// Reads the array `ids`: whole numbers from 0 to 2^63 − 1, or texts, none of them twice.
    ///
    /// # Errors
    /// Values of another kind, out of range, or twice.
    pub fn read(entry: &Entry, load: &mut Load<'_, '_>) -> Result<Self> {
        if entry.shape.len() != 1 {
            return Err(Error::input("an array of another shape")
                .at(&entry.place)
                .expected("[n], a whole number or a text for each row")
                .got(format!("{:?}", entry.shape))
                .hint("flatten it: array.ravel()")
                .into());
        }
        let names = if entry.dtype.is_text() || !is_whole(entry) {
            Self::Texts(entry.texts(load)?)
        } else {
            let numbers: Vec<Option<i64>> =
                entry.integers("whole numbers from 0 to 2^63 − 1, or texts", load)?;
            let mut ids = Vec::with_capacity(numbers.len());
            for (row, number) in numbers.into_iter().enumerate() {
                let id = number.and_then(|number| Id::try_from(number).ok());
                ids.push(id.ok_or_else(|| {
                    Error::input("an id is out of range")
                        .at(format!("{}, row {row}", entry.place))
                        .expected("whole numbers from 0, or texts")
                        .got(number.map_or("NaN".into(), |number| number.to_string()))
                        .hint("leave the array out, and rows are called by their numbers")
                })?);
            }
            Self::Numbers(ids)
        };
        let twice = match &names {
            Self::Numbers(ids) => first_twice(ids),
            Self::Texts(texts) => first_twice(texts),
        };
        match twice {
            None => Ok(names),
            Some((first, second)) => Err(Error::input("an id is there twice")
                .at(format!("{}, rows {first} and {second}", entry.place))
                .expected("ids that do not repeat")
                .got(names.name(first))
                .hint("leave out rows that are there twice, or the array ids")
                .into()),
        }
    }

    /// What a row is called.
    pub fn name(&self, row: usize) -> String {
        match self {
            Self::Numbers(ids) => ids[row].to_string(),
            Self::Texts(texts) => texts[row].clone(),
        }
    }

    /// Those of some rows.
    pub fn rows(&self, rows: &[usize]) -> Self {
        match self {
            Self::Numbers(ids) => Self::Numbers(rows.iter().map(|&row| ids[row]).collect()),
            Self::Texts(texts) => Self::Texts(rows.iter().map(|&row| texts[row].clone()).collect()),
        }
    }
}

fn is_whole(entry: &Entry) -> bool {
    use crate::arrays::Dtype::{I8, I16, I32, I64, U8, U16, U32, U64};
    matches!(entry.dtype, I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64)
}

/// The rows of the first value that is there again, and of its second place.
fn first_twice<T: Ord>(values: &[T]) -> Option<(usize, usize)> {
    let rows = by_value(values);
    let pairs = rows.windows(2).filter(|pair| values[pair[0]] == values[pair[1]]);
    pairs.map(|pair| (pair[0], pair[1])).min()
}

/// The rows in ascending order of their values, then of themselves.
fn by_value<T: Ord>(values: &[T]) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..values.len()).collect();
    rows.sort_by(|&a, &b| values[a].cmp(&values[b]));
    rows
}

/// The ids of both pools, and what those of the unlabelled pool are called.
#[derive(Debug)]
pub struct Ids {
    pub unlabelled: Vec<Id>,
    pub labelled: Vec<Id>,
    /// The text of each id, where ids stand for texts.
    texts: Option<Vec<String>>,
}

impl Ids {
    /// Numbers are ids themselves; texts are numbered in alphabetical order; rows without either are called by their row
    /// numbers. Where only one of the pools has names, nothing can be in both.
    ///
    /// # Errors
    /// An id that is in both pools, numbers in one and texts in the other.
    pub fn of(unlabelled: &Pool, labelled: &Pool) -> Result<Self> {
        let both = |row: usize, other: usize, name: String| -> Error {
            Error::input("an id is in both pools")
                .at(format!("{}, row {row}; {}, row {other}", unlabelled.place, labelled.place))
                .expected("ids that are either unlabelled or labelled")
                .got(name)
                .hint("leave the labelled rows out of --unlabelled")
                .into()
        };
        let count = labelled.len() as Id;
        let behind = |first: Id| (first..first + count).collect();
        let row_numbers = || (0..unlabelled.len() as Id).collect::<Vec<Id>>();
        Ok(match (&unlabelled.names, &labelled.names) {
            (None, _) => {
                Self { unlabelled: row_numbers(), labelled: behind(unlabelled.len() as Id), texts: None }
            }
            (Some(Names::Numbers(u)), Some(Names::Numbers(l))) => {
                let rows: std::collections::HashMap<Id, usize> =
                    l.iter().enumerate().map(|(row, &id)| (id, row)).collect();
                if let Some((row, id)) = u.iter().enumerate().find(|(_, id)| rows.contains_key(id)) {
                    return Err(both(row, rows[id], id.to_string()));
                }
                Self { unlabelled: u.clone(), labelled: l.clone(), texts: None }
            }
            (Some(Names::Numbers(u)), None) => {
                let next = u.iter().max().map_or(0, |largest| largest + 1);
                Self { unlabelled: u.clone(), labelled: behind(next), texts: None }
            }
            (Some(Names::Texts(u)), None) => {
                let (ids, texts) = numbered(u);
                Self { unlabelled: ids, labelled: behind(u.len() as Id), texts: Some(texts) }
            }
            // Over both pools, so that a text has the id that it would have in one file.
            (Some(Names::Texts(u)), Some(Names::Texts(l))) => {
                let (mut ids, texts) = numbered(&[&u[..], &l[..]].concat());
                let labelled = ids.split_off(u.len());
                if let Some(pair) = texts.windows(2).find(|pair| pair[0] == pair[1]) {
                    let row = |of: &[String]| of.iter().position(|text| *text == pair[0]).unwrap_or(0);
                    return Err(both(row(u), row(l), pair[0].clone()));
                }
                Self { unlabelled: ids, labelled, texts: Some(texts) }
            }
            (Some(Names::Texts(_)), Some(Names::Numbers(_))) => {
                return Err(two_kinds(unlabelled, labelled, "texts", "numbers"));
            }
            (Some(Names::Numbers(_)), Some(Names::Texts(_))) => {
                return Err(two_kinds(unlabelled, labelled, "numbers", "texts"));
            }
        })
    }

    /// The text of an id, where ids stand for texts.
    pub fn text(&self, id: Id) -> Option<&str> {
        self.texts.as_ref().and_then(|texts| texts.get(usize::try_from(id).ok()?)).map(String::as_str)
    }
}

/// An id for each text, from 0, and the texts in the order of their ids.
fn numbered(texts: &[String]) -> (Vec<Id>, Vec<String>) {
    let rows = by_value(texts);
    let mut ids = vec![0; texts.len()];
    for (rank, &row) in rows.iter().enumerate() {
        ids[row] = rank as Id;
    }
    (ids, rows.into_iter().map(|row| texts[row].clone()).collect())
}

fn two_kinds(unlabelled: &Pool, labelled: &Pool, expected: &str, got: &str) -> Error {
    Error::input("the ids of the two pools are of two kinds")
        .at(format!("{}, ids", labelled.place))
        .expected(format!("{expected}, as in {}", unlabelled.place))
        .got(got)
        .hint("save both as numbers, or both as texts")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_id_that_repeats_is_named_by_its_first_two_rows() {
        assert_eq!(first_twice(&[3, 1, 2]), None);
        assert_eq!(first_twice(&[9, 5, 7, 5, 9, 5]), Some((0, 4)));
        assert_eq!(first_twice::<u8>(&[]), None);
    }

    #[test]
    fn texts_are_numbered_by_what_they_say_and_not_by_where_they_stand() {
        let texts = ["b", "c", "a"].map(String::from);
        assert_eq!(numbered(&texts), (vec![1, 2, 0], ["a", "b", "c"].map(String::from).to_vec()));
    }
}
