//! A sample of a pool in parts: the rows whose ids have the smallest keys, whatever part they are
//! in; and rows of several parts as one pool.
//!
//! Never here: how parts are read.

use std::collections::{BTreeMap, BinaryHeap};

use ndarray::Array2;

use crate::error::{Error, Result};
use crate::rng::Seed;
use crate::{Id, Label, Signals};

/// Which rows are the sample.
#[derive(Debug, Clone)]
pub struct Sample {
    size: usize,
    seed: Seed,
    /// Key, id, part, row: the largest key on top.
    rows: BinaryHeap<(u64, Id, usize, usize)>,
}

impl Sample {
    /// For the `size` rows with the smallest keys.
    #[must_use]
    pub fn new(size: usize, seed: Seed) -> Self {
        Self { size, seed, rows: BinaryHeap::new() }
    }

    /// What a row goes by, smallest first; equal ones by the id.
    #[must_use]
    pub fn key(seed: Seed, id: Id) -> u64 {
        seed.key("sample", id)
    }

    /// Offers the rows of a part.
    pub fn offer(&mut self, part: usize, ids: &[Id]) {
        for (row, &id) in ids.iter().enumerate() {
            let key = Self::key(self.seed, id);
            if self.rows.len() < self.size {
                self.rows.push((key, id, part, row));
            } else if let Some(mut largest) = self.rows.peek_mut()
                && (key, id) < (largest.0, largest.1)
            {
                *largest = (key, id, part, row);
            }
        }
    }

    /// Adds what another one has, of other parts.
    pub fn merge(&mut self, other: Self) {
        self.rows.extend(other.rows);
        while self.rows.len() > self.size {
            self.rows.pop();
        }
    }

    /// The rows that are in the sample, by part, ascending.
    #[must_use]
    pub fn rows(self) -> BTreeMap<usize, Vec<usize>> {
        let mut parts = BTreeMap::<usize, Vec<usize>>::new();
        for (_, _, part, row) in self.rows {
            parts.entry(part).or_default().push(row);
        }
        parts.values_mut().for_each(|rows| rows.sort_unstable());
        parts
    }
}

/// Rows of several parts, one after another.
#[derive(Debug, Clone, Default)]
pub struct Collected {
    /// Rows that room is made for.
    expected: usize,
    ids: Vec<Id>,
    /// Width and values, of each stage.
    stages: Vec<(usize, Vec<f32>)>,
    probabilities: Option<(usize, Vec<f32>)>,
    predicted: Option<Vec<Label>>,
}

impl Collected {
    /// With room for so many rows.
    #[must_use]
    pub fn with_capacity(rows: usize) -> Self {
        Self { expected: rows, ids: Vec::with_capacity(rows), ..Self::default() }
    }

    /// Adds rows of a part: features, probabilities and predicted classes, as far as they are
    /// there.
    ///
    /// # Errors
    /// A part with other arrays than those before, or of other widths.
    pub fn add(&mut self, part: &Signals<'_>, rows: &[usize]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let stages = part.stages().unwrap_or_default();
        let p = part.probabilities().ok();
        let predicted = if p.is_some() { None } else { part.predicted().ok() };
        if self.ids.is_empty() {
            let room = |width: usize| (width, Vec::with_capacity(self.expected * width));
            self.stages = stages.iter().map(|stage| room(stage.ncols())).collect();
            self.probabilities = p.map(|p| room(p.ncols()));
            self.predicted = predicted.as_ref().map(|_| Vec::new());
        }
        let widths: Vec<usize> = stages.iter().map(|stage| stage.ncols()).collect();
        let of = (&self.stages.iter().map(|(width, _)| *width).collect::<Vec<_>>(), &self.probabilities);
        let same = *of.0 == widths
            && of.1.as_ref().map(|(classes, _)| *classes) == p.map(|p| p.ncols())
            && self.predicted.is_some() == predicted.is_some();
        if !same {
            return Err(Error::input("a part has other arrays than those before")
                .expected(format!("features of widths {:?}", of.0))
                .got(format!("features of widths {widths:?}"))
                .hint("all parts have the same arrays, of the same widths")
                .into());
        }
        self.ids.extend(rows.iter().map(|&row| part.ids()[row]));
        for ((_, values), stage) in self.stages.iter_mut().zip(&stages) {
            rows.iter().for_each(|&row| values.extend(stage.row(row)));
        }
        if let Some(((_, values), p)) = self.probabilities.as_mut().zip(p) {
            rows.iter().for_each(|&row| values.extend(p.row(row)));
        }
        if let Some((all, predicted)) = self.predicted.as_mut().zip(predicted) {
            all.extend(rows.iter().map(|&row| predicted[row]));
        }
        Ok(())
    }

    /// All of them.
    ///
    /// # Errors
    /// As [`Signals::with_probabilities`].
    pub fn signals(self) -> Result<Signals<'static>> {
        let n = self.ids.len();
        let array = |(width, values): (usize, Vec<f32>)| {
            Array2::from_shape_vec((n, width), values).map_err(|error| Error::from(Error::input(error)))
        };
        let mut signals = Signals::new(self.ids);
        if !self.stages.is_empty() {
            let stages = self.stages.into_iter().map(array).collect::<Result<Vec<_>>>()?;
            signals = signals.with_stages(stages)?;
        }
        if let Some(p) = self.probabilities {
            signals = signals.with_probabilities(array(p)?)?;
        }
        if let Some(predicted) = self.predicted {
            signals = signals.with_predicted(predicted)?;
        }
        Ok(signals)
    }
}
