//! The classes of a pool, as the caller says them, and labels as numbers of classes.

use std::collections::HashMap;
use std::fmt;

use super::array::Column;
use super::{Array, Kind};
use crate::Label;
use crate::error::{Error, Result};
use crate::progress::Progress;

/// What the caller says of the classes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Classes {
    /// Nothing: as many as columns of probabilities, else 1 + the largest label or prediction, at
    /// least 2.
    #[default]
    Guess,
    /// How many there are.
    Count(usize),
    /// What they are called, in the order of the columns; labels may then be texts.
    Names(Vec<String>),
}

impl Classes {
    pub(super) fn count(&self) -> Result<Option<usize>> {
        let count = match self {
            Self::Guess => return Ok(None),
            Self::Count(count) => *count,
            Self::Names(names) => {
                let mut sorted: Vec<&String> = names.iter().collect();
                sorted.sort_unstable();
                if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                    return Err(Error::input("duplicate class name")
                        .at("classes")
                        .expected("names that do not repeat")
                        .got(pair[0])
                        .hint("leave one of them out")
                        .into());
                }
                names.len()
            }
        };
        if count >= 2 {
            return Ok(Some(count));
        }
        Err(Error::input("fewer than two classes")
            .at("classes")
            .expected("2 or more")
            .got(count)
            .hint("count every class that an image may be of, also those without a label yet")
            .into())
    }

    /// Labels, with none for −1.
    pub(super) fn labels(&self, array: &Array, progress: &mut Progress<'_>) -> Result<Vec<Option<Label>>> {
        let wrong = |row: usize, what: &str, expected: String, got: &dyn fmt::Display| -> Error {
            let place = format!("{}, row {}", array.place, array.first + row);
            let hint = "count the classes from 0, or say what they are called";
            Error::input(what).at(place).expected(expected).got(got).hint(hint).into()
        };
        match array.column(Kind::Labels, progress)? {
            Column::Texts(texts) => {
                let names = if let Self::Names(names) = self { names.as_slice() } else { &[] };
                let places: HashMap<&str, Label> = names.iter().map(String::as_str).zip(0..).collect();
                let place = |(row, text): (usize, &Option<String>)| match text {
                    None => Ok(None),
                    Some(text) => match places.get(text.as_str()) {
                        Some(&label) => Ok(Some(label)),
                        None => {
                            let more = if names.len() > 10 { ", …" } else { "" };
                            let mut known = names[..names.len().min(10)].join(", ") + more;
                            if names.is_empty() {
                                known = "whole numbers from 0".into();
                            }
                            Err(wrong(row, "a label is no class that is known", known, text))
                        }
                    },
                };
                texts.iter().enumerate().map(place).collect()
            }
            Column::Whole(whole) => {
                let label = |(row, label): (usize, &Option<i64>)| match label {
                    None | Some(-1) => Ok(None),
                    Some(label) => Label::try_from(*label).map(Some).map_err(|_| {
                        let expected = "whole numbers from 0, or −1 for no label".into();
                        wrong(row, "a label is out of range", expected, label)
                    }),
                };
                whole.iter().enumerate().map(label).collect()
            }
        }
    }
}
