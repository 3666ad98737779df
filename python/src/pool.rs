//! A pool as Python gives it: arrays of n rows, of which some have a label.

use std::collections::HashMap;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use vabal_query::Needs;
use vabal_query::{Error, Id, Label, Result, Signals};

use crate::array::{Held, Rows};
use crate::settings::keywords;

/// Arrays of n rows each, and which of the rows are labelled. Made once, read by any number of calls.
#[pyclass(frozen, module = "vabal._vabal")]
pub struct Pool {
    ids: Vec<Id>,
    /// Whether the id of a row is its number.
    numbered: bool,
    unlabelled: Rows,
    labelled: Rows,
    /// Of the labelled rows.
    labels: Vec<Label>,
    classes: usize,
    stages: Option<Vec<Held<f32>>>,
    probs: Option<Held<f32>>,
    predicted: Option<Vec<i64>>,
    mc_probs: Option<Held<f32>>,
    committee_probs: Option<Held<f32>>,
    images: Option<Held<u8>>,
}

type Given<'a, 'py> = Option<&'a Bound<'py, PyAny>>;

#[pymethods]
impl Pool {
    /// Arrays as `vabal/_arrays.py` makes them: C-contiguous, f32, images u8, integers i64; a label below 0 is none.
    #[new]
    #[pyo3(signature = (rows, *, ids=None, labels=None, classes=None, stages=None, probs=None, predicted=None,
                        mc_probs=None, committee_probs=None, images=None))]
    #[expect(clippy::too_many_arguments, reason = "keywords of a function of Python")]
    fn new(
        py: Python<'_>,
        rows: usize,
        ids: Given<'_, '_>,
        labels: Given<'_, '_>,
        classes: Option<usize>,
        stages: Option<Vec<Bound<'_, PyAny>>>,
        probs: Given<'_, '_>,
        predicted: Given<'_, '_>,
        mc_probs: Given<'_, '_>,
        committee_probs: Given<'_, '_>,
        images: Given<'_, '_>,
    ) -> PyResult<Self> {
        let integers = |given: Given<'_, '_>| given.map(|array| integers(py, array, rows)).transpose();
        let numbered = ids.is_none();
        let ids = match integers(ids)? {
            None => (0..rows as Id).collect(),
            Some(ids) => ids.into_iter().map(Id::try_from).collect::<std::result::Result<_, _>>()?,
        };
        let all_labels = integers(labels)?;
        let predicted = integers(predicted)?;
        let has_label = |&row: &usize| all_labels.as_ref().is_some_and(|labels| labels[row] >= 0);
        let (labelled, unlabelled): (Vec<usize>, Vec<usize>) = (0..rows).partition(has_label);
        let labels = match &all_labels {
            None => Vec::new(),
            Some(all) => labelled.iter().map(|&row| label(all[row])).collect::<PyResult<_>>()?,
        };
        let matrix = |given: Given<'_, '_>| given.map(Held::<f32>::new::<2>).transpose();
        let draws = |given: Given<'_, '_>| given.map(Held::<f32>::new::<3>).transpose();
        let stages = stages.map(|stages| stages.iter().map(Held::new::<2>).collect()).transpose()?;
        let (probs, mc_probs, committee_probs) = (matrix(probs)?, draws(mc_probs)?, draws(committee_probs)?);
        let images = images.map(Held::<u8>::new::<4>).transpose()?;

        let columns = [&probs, &mc_probs, &committee_probs].into_iter().flatten();
        let columns = columns.filter_map(|array| array.shape().last().copied()).next();
        let largest = || all_labels.iter().chain(&predicted).flatten().copied().max();
        let counted = || usize::try_from(largest().unwrap_or(0)).map_or(2, |largest| 2.max(largest + 1));
        let pool = Self {
            ids,
            numbered,
            unlabelled: Rows::new(unlabelled),
            labelled: Rows::new(labelled),
            labels,
            classes: classes.or(columns).unwrap_or_else(counted),
            stages,
            probs,
            predicted,
            mc_probs,
            committee_probs,
            images,
        };
        pool.check_rows(rows)?;
        Ok(pool)
    }

    /// How many rows have no label.
    #[getter]
    fn candidates(&self) -> usize {
        self.unlabelled.len()
    }

    /// Number of classes.
    #[getter(classes)]
    fn number_of_classes(&self) -> usize {
        self.classes
    }
}

impl Pool {
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The rows of `ids`.
    pub fn rows(&self, ids: &[Id]) -> Vec<u64> {
        if self.numbered {
            return ids.to_vec();
        }
        let rows: HashMap<Id, u64> = self.ids.iter().copied().zip(0..).collect();
        ids.iter().filter_map(|id| rows.get(id).copied()).collect()
    }

    /// The unlabelled rows, with the arrays that are needed.
    pub fn unlabelled(&self, needs: Needs) -> Result<Signals<'_>> {
        self.signals(&self.unlabelled, needs)
    }

    /// The labelled rows, with the arrays that are needed.
    pub fn labelled(&self, needs: Needs) -> Result<Signals<'_>> {
        self.signals(&self.labelled, needs)
    }

    fn signals(&self, rows: &Rows, needs: Needs) -> Result<Signals<'_>> {
        let ids: Vec<Id> = rows.iter().map(|row| self.ids[row]).collect();
        let mut signals = Signals::new(ids);
        if let (true, Some(predicted)) = (needs.predicted, &self.predicted) {
            let label = |row: usize| match Label::try_from(predicted[row]) {
                Ok(label) => Ok(label),
                Err(_) => Err(Error::input("a candidate without a predicted label")
                    .at(format!("row {row}"))
                    .expected(format!("a class, 0 to {}", self.classes - 1))
                    .got(predicted[row])),
            };
            let predicted = rows.iter().map(label).collect::<std::result::Result<_, _>>()?;
            signals = signals.with_predicted(predicted)?;
        }
        if let (true, Some(probs)) = (needs.probabilities || needs.predicted, &self.probs) {
            signals = signals.with_probabilities(probs.matrix(rows))?;
        }
        if let (true, Some(stages)) = (needs.stages || needs.embedding, &self.stages) {
            let from = if needs.stages { 0 } else { stages.len().saturating_sub(1) };
            signals = signals.with_stages(stages[from..].iter().map(|stage| stage.matrix(rows)).collect())?;
        }
        if let (true, Some(draws)) = (needs.monte_carlo.is_some(), &self.mc_probs) {
            signals = signals.with_monte_carlo(draws.draws(rows))?;
        }
        if let (true, Some(members)) = (needs.committee > 0, &self.committee_probs) {
            signals = signals.with_committee(members.draws(rows))?;
        }
        if let (true, Some(images)) = (needs.images, &self.images) {
            signals = signals.with_images(images.images(rows))?;
        }
        Ok(signals)
    }

    /// That every array is there that a strategy needs.
    ///
    /// # Errors
    /// `TypeError` that names all that are not, as of any argument that is missing in Python.
    pub fn require(&self, strategy: &str, needs: Needs, needs_of_labelled: Needs) -> PyResult<()> {
        let needs = if self.labels.is_empty() { needs } else { needs.and(needs_of_labelled) };
        let missing: Vec<&str> =
            keywords(needs).into_iter().filter_map(|keyword| self.lacks(keyword)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let complaint = Error::input(format!("{strategy} needs arrays that were not given"))
            .expected(missing.join(" and "))
            .hint(
                "add them, or choose a strategy that does without: vabal.strategies() says what each needs",
            );
        Err(PyTypeError::new_err(complaint.to_string()))
    }

    fn lacks(&self, keyword: &str) -> Option<&'static str> {
        let (there, how) = match keyword {
            "features" => (self.stages.is_some(), "features= [n, d] or stages= [[n, d], …]"),
            "probs" => (self.probs.is_some(), "probs= [n, C]"),
            "predicted" => {
                (self.probs.is_some() || self.predicted.is_some(), "probs= [n, C] or predicted= [n]")
            }
            "mc_probs" => (self.mc_probs.is_some(), "mc_probs= [n, T, C]"),
            "committee_probs" => (self.committee_probs.is_some(), "committee_probs= [n, M, C]"),
            _ => (self.images.is_some(), "images= [n, channels, height, width]"),
        };
        (!there).then_some(how)
    }

    fn check_rows(&self, rows: usize) -> PyResult<()> {
        let reals = [&self.probs, &self.mc_probs, &self.committee_probs].into_iter().flatten();
        let reals = reals.chain(self.stages.iter().flatten()).map(|array| array.shape()[0]);
        match reals.chain(self.images.iter().map(|array| array.shape()[0])).find(|&got| got != rows) {
            Some(got) => {
                Err(PyValueError::new_err(format!("an array of {got} rows beside others of {rows}")))
            }
            None => Ok(()),
        }
    }
}

fn integers(py: Python<'_>, array: &Bound<'_, PyAny>, rows: usize) -> PyResult<Vec<i64>> {
    let values = pyo3::buffer::PyBuffer::<i64>::get(array)?.to_vec(py)?;
    if values.len() == rows {
        return Ok(values);
    }
    Err(PyValueError::new_err(format!("an array of {} rows beside others of {rows}", values.len())))
}

fn label(value: i64) -> PyResult<Label> {
    Label::try_from(value).map_err(|_| {
        let complaint =
            Error::input("a label is out of range").expected("a class, counted from 0").got(value);
        PyValueError::new_err(complaint.to_string())
    })
}
