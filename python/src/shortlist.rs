//! The shortlist of a pool in parts: what runs on the workers of an engine.

use std::collections::{HashMap, HashSet};

use ndarray::ArrayView2;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vabal_query::arrays::Names;
use vabal_query::plan::{self, Listed, Name, UNNAMED};
use vabal_query::progress::silent;
use vabal_query::{Error, Id, Needs, Seed};

use crate::bytes;
use crate::complain::raise;
use crate::plan::{Ids, ids, name, names, ordered, ordered_key};
use crate::pool::{Pool, whole};
use crate::threads::with_workers;

/// Names that are kept beyond twice the list, so that they are looked through now and then.
const SPARE: usize = 1 << 16;

/// Values [n, d] in f32, and d.
type Rows = (Py<PyBytes>, usize);

/// Which rows are on the list.
#[pyclass(module = "vabal._vabal")]
pub struct Shortlist {
    list: plan::Shortlist,
    /// What rows are called that are or were on the list, where these are texts.
    texts: HashMap<Id, Box<str>>,
    numbers: bool,
    parts: usize,
}

impl Shortlist {
    fn of(list: plan::Shortlist) -> Self {
        Self { list, texts: HashMap::new(), numbers: false, parts: 0 }
    }

    fn needs(&self) -> Needs {
        let near = self.list.features().is_some();
        if near { Needs::PROBABILITIES.and(Needs::EMBEDDING) } else { Needs::PROBABILITIES }
    }

    /// Keeps what a row is called that is on the list.
    fn called(&mut self, row: Name) -> PyResult<()> {
        match row {
            Name::Number(_) => self.numbers = true,
            Name::Text(id, text) => {
                let kept = self.texts.entry(id).or_insert_with(|| text.clone());
                if text < *kept {
                    *kept = text;
                }
            }
        }
        if self.numbers && !self.texts.is_empty() {
            return Err(raise(
                Error::input("some parts call their rows by numbers, others by texts")
                    .expected("ids of one kind")
                    .hint("make all of them texts")
                    .into(),
            ));
        }
        Ok(())
    }

    /// Forgets what rows are called that are no longer on the list.
    fn forget(&mut self) {
        if self.texts.len() > 2 * self.list.size() + SPARE {
            let listed: HashSet<Id> = self.list.listed().map(|row| row.id).collect();
            self.texts.retain(|id, _| listed.contains(id));
        }
    }

    fn name(&self, id: Id) -> Name {
        self.texts.get(&id).map_or(Name::Number(id), |text| Name::Text(id, text.clone()))
    }
}

#[pymethods]
impl Shortlist {
    /// Empty, for `size` rows; `pool` has rows of the pool, of which the classes are, and apart from
    /// them what is labelled, whose features are looked at where `near`.
    #[new]
    fn new(size: usize, pool: &Bound<'_, Pool>, near: bool, seed: u64) -> PyResult<Self> {
        let pool = &pool.get().0;
        let of_labelled = if near { Needs::EMBEDDING } else { Needs::IDS };
        let missing = pool.require("margin", Needs::PROBABILITIES, of_labelled);
        missing.map_err(|complaint| PyTypeError::new_err(complaint.to_string()))?;
        let make = || {
            let (_, mut labelled) = pool.signals(Needs::IDS, of_labelled, &mut silent())?;
            if !pool.labelled_are_named() {
                let ids = (UNNAMED..).take(labelled.len()).collect();
                labelled = labelled.with_ids(ids)?;
            }
            let labelled = near.then_some((&labelled, pool.labels()));
            plan::Shortlist::new(size, pool.classes(), labelled, Seed::new(seed)).map(Self::of)
        };
        make().map_err(raise)
    }

    /// What a worker needs.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.list.to_bytes().map_err(raise)?))
    }

    /// An empty one of what `to_bytes` gave.
    #[staticmethod]
    fn from_bytes(bytes: &[u8]) -> PyResult<Self> {
        plan::Shortlist::from_bytes(bytes, "the bytes of a shortlist").map(Self::of).map_err(raise)
    }

    /// Number of classes.
    #[getter]
    fn classes(&self) -> usize {
        self.list.classes()
    }

    /// Width of the features that rows are compared by, if they are.
    #[getter]
    fn width(&self) -> Option<usize> {
        self.list.features()
    }

    /// Offers the rows of a pool that have no label.
    fn push(&mut self, py: Python<'_>, pool: &Bound<'_, Pool>) -> PyResult<()> {
        let called = names(pool.get())?;
        let needs = self.needs();
        let (list, part) = (&mut self.list, self.parts);
        let pool = &pool.get().0;
        let taken = py
            .detach(|| with_workers(|| list.offer(part, &pool.signals(needs, Needs::IDS, &mut silent())?.0)));
        self.parts += 1;
        for row in taken.map_err(raise)? {
            self.called(name(&called, row))?;
        }
        self.forget();
        Ok(())
    }

    /// Adds what `listed` gave, or a part of it.
    fn add(
        &mut self,
        ids: &Bound<'_, PyAny>,
        lists: &Bound<'_, PyAny>,
        values: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let called = match ids.extract::<Vec<String>>() {
            Ok(texts) => Names::Texts(texts),
            Err(_) => Names::Numbers(whole(ids)?),
        };
        for (row, (list, value)) in whole(lists)?.into_iter().zip(whole(values)?).enumerate() {
            let name = name(&called, row);
            let id = name.id();
            let list = usize::try_from(list).unwrap_or(usize::MAX);
            if self.list.add(Listed { list, value: ordered(value), id }).map_err(raise)? {
                self.called(name)?;
            }
        }
        self.forget();
        Ok(())
    }

    /// Ids, lists and values of the rows on the list, one that is on several lists for each: i64.
    fn listed(&self, py: Python<'_>) -> PyResult<(Ids, Py<PyBytes>, Py<PyBytes>)> {
        let all: Vec<Listed> = self.list.listed().collect();
        let called: Vec<Name> = all.iter().map(|row| self.name(row.id)).collect();
        Ok((
            ids(py, called.iter())?,
            bytes(py, all.iter().flat_map(|row| (row.list as i64).to_ne_bytes())),
            bytes(py, all.iter().flat_map(|row| ordered_key(row.value).to_ne_bytes())),
        ))
    }

    /// The ids of the list, each once, in ascending order.
    fn ids(&self, py: Python<'_>) -> PyResult<Ids> {
        let all: HashSet<Id> = self.list.listed().map(|row| row.id).collect();
        let mut called: Vec<Name> = all.into_iter().map(|id| self.name(id)).collect();
        called.sort_unstable_by(Name::alphabetical);
        ids(py, called.iter())
    }
}

/// The rows of a pool that have no label, by ids in ascending order: ids, probabilities, and where
/// asked for features.
#[pyfunction]
pub fn candidates(
    py: Python<'_>,
    pool: &Bound<'_, Pool>,
    features: bool,
) -> PyResult<(Ids, Rows, Option<Rows>)> {
    let called = names(pool.get())?;
    let needs = if features { Needs::PROBABILITIES.and(Needs::EMBEDDING) } else { Needs::PROBABILITIES };
    let (rows, _) = pool.get().0.signals(needs, Needs::IDS, &mut silent()).map_err(raise)?;
    let called: Vec<Name> = (0..rows.len()).map(|row| name(&called, row)).collect();
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|&a, &b| called[a].alphabetical(&called[b]));
    let values = |array: ArrayView2<'_, f32>| {
        let rows = order.iter().flat_map(|&row| array.row(row).into_iter().copied().collect::<Vec<_>>());
        (bytes(py, rows.flat_map(f32::to_ne_bytes)), array.ncols())
    };
    Ok((
        ids(py, order.iter().map(|&row| &called[row]))?,
        values(rows.probabilities().map_err(raise)?),
        if features { Some(values(rows.checked_embedding().map_err(raise)?)) } else { None },
    ))
}
