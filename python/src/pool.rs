//! A pool as Python gives it: numpy's arrays under the library's names.

use std::sync::Arc;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use vabal_query::arrays::{self, Array, Classes, Group, Values};
use vabal_query::progress::silent;
use vabal_query::{Event, Needs, Progress, Query, Result, Seed, Strategy};

use crate::array::Held;
use crate::complain::raise;
use crate::threads::with_workers;
use crate::watch::Watch;

/// Arrays of n rows each, and which of the rows are labelled. Made once, read by any number of
/// calls.
#[pyclass(frozen, module = "vabal._vabal")]
pub struct Pool(pub arrays::Pool);

/// An array with its name and what it is called in messages.
type Named<'py> = (String, String, Bound<'py, PyAny>);

/// What the caller says of the classes: how many, or what they are called.
#[derive(FromPyObject)]
enum Told {
    Count(usize),
    Names(Vec<String>),
}

#[pymethods]
impl Pool {
    /// Arrays as `vabal/_arrays.py` makes them, each with its name and what it is called in
    /// messages: C-contiguous f32, i64 or lists of texts; what is labelled among them, or apart.
    #[new]
    #[pyo3(signature = (arrays, classes=None, labelled=None))]
    fn new(
        arrays: Vec<Named<'_>>,
        classes: Option<Told>,
        labelled: Option<Vec<Named<'_>>>,
    ) -> PyResult<Self> {
        let array = |(name, place, given): Named<'_>| {
            let (shape, values) = read(&given)?;
            PyResult::Ok(Array::new(&name, shape, values).at(place))
        };
        let group = |arrays: Vec<Named<'_>>| {
            PyResult::Ok(Group::new(arrays.into_iter().map(array).collect::<PyResult<_>>()?))
        };
        let (arrays, labelled) = (group(arrays)?, labelled.map(group).transpose()?);
        let classes = match classes {
            None => Classes::Guess,
            Some(Told::Count(count)) => Classes::Count(count),
            Some(Told::Names(names)) => Classes::Names(names),
        };
        arrays::Pool::new(arrays, labelled, &classes, &mut silent()).map(Self).map_err(raise)
    }

    /// How many rows have no label.
    #[getter]
    fn candidates(&self) -> usize {
        self.0.candidates()
    }
}

impl Pool {
    /// Calls `work` with the question that a strategy, under a name, is asked, and that strategy,
    /// or the one of its cold start; gives back the warnings too.
    ///
    /// # Errors
    /// `TypeError` that names all arrays that are missing, as of any argument in Python; what the
    /// arrays and `work` raise.
    pub fn ask<T: Send>(
        &self,
        py: Python<'_>,
        (name, strategy): (&str, &dyn Strategy),
        n: usize,
        seed: u64,
        progress: Option<Py<PyAny>>,
        work: impl FnOnce(&dyn Strategy, &Query<'_>, &mut Progress<'_>) -> Result<T> + Send,
    ) -> PyResult<(T, Vec<String>)> {
        let mut watch = Watch::new(progress);
        let cold = self.0.cold_start(strategy, &mut |event| watch.hear(event)).map_err(raise)?;
        let (name, strategy) = cold.as_ref().map_or((name, strategy), |(name, cold)| (*name, &**cold));
        let (needs, of_labelled) = (strategy.needs(), strategy.needs_of_labelled());
        let hint =
            "help(vabal.select) says what they are called, vabal.strategies() what each strategy needs";
        let missing = self.0.require(name, needs, of_labelled);
        missing.map_err(|complaint| PyTypeError::new_err(complaint.hint(hint).to_string()))?;
        let result = py.detach(|| {
            with_workers(|| {
                let mut hear = |event: Event<'_>| watch.hear(event);
                let signals = self.0.signals_for(strategy, Needs::IDS, &mut hear)?;
                let query = self.0.query(&signals, n, Seed::new(seed));
                query.check(strategy)?;
                work(strategy, &query, &mut hear)
            })
        });
        watch.finish(result)
    }
}

/// The values of a C-contiguous array of whole numbers.
pub fn whole(array: &Bound<'_, PyAny>) -> PyResult<Vec<i64>> {
    PyBuffer::<i64>::get(array)?.to_vec(array.py())
}

fn read(array: &Bound<'_, PyAny>) -> PyResult<(Vec<usize>, Values)> {
    if let Ok(texts) = array.extract::<Vec<Option<String>>>() {
        return Ok((vec![texts.len()], Values::Texts(texts.into())));
    }
    if let Ok(whole) = PyBuffer::<i64>::get(array) {
        let values: Values = whole.to_vec(array.py())?.into();
        return Ok((whole.shape().to_vec(), values));
    }
    let floats = Held::<f32>::new(array)?;
    Ok((floats.shape().to_vec(), Values::Floats(Arc::new(floats))))
}
