//! The Python package's compiled half, `vabal._vabal`: numpy's memory in, the library's calls,
//! bytes and JSON out.
//!
//! Never here: what a strategy does, which is the library's, and which types of array a caller may
//! give, which is told apart in Python (`vabal/_arrays.py`). What Python sees of this module stands
//! in `vabal/_vabal.pyi`.

mod array;
mod complain;
mod demo;
mod embed;
mod head;
mod model;
mod outlook;
mod plan;
mod pool;
mod seeding;
mod settings;
mod shortlist;
mod threads;
mod watch;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vabal_query::{STRATEGIES, Selection};

use crate::complain::raise;
use crate::pool::Pool;

/// What a strategy answers: arrays as bytes in the machine's order, structure as JSON.
#[pyclass(frozen, get_all, module = "vabal._vabal")]
struct Answer {
    /// Rows of the pool, best first: u64.
    rows: Py<PyBytes>,
    /// A score each: f64.
    scores: Py<PyBytes>,
    /// Name and values, f64, of each term.
    terms: Vec<(&'static str, Py<PyBytes>)>,
    /// The state of the VAE, where there is one.
    health: Option<String>,
    /// The fitted VAE as a safetensors file, where there is one.
    model: Option<Py<PyBytes>>,
    /// What the person should know, a sentence each.
    warnings: Vec<String>,
}

impl Answer {
    fn new(py: Python<'_>, pool: &Pool, selection: Selection, warnings: Vec<String>) -> PyResult<Self> {
        let reals = |values: &[f64]| bytes(py, values.iter().flat_map(|value| value.to_ne_bytes()));
        let json = |error: serde_json::Error| pyo3::exceptions::PyRuntimeError::new_err(error.to_string());
        Ok(Self {
            rows: bytes(
                py,
                pool.0.rows(&selection.ids).into_iter().flat_map(|row| (row as u64).to_ne_bytes()),
            ),
            scores: reals(&selection.scores),
            terms: selection.terms.iter().map(|term| (term.name, reals(&term.values))).collect(),
            health: selection.health.as_ref().map(serde_json::to_string).transpose().map_err(json)?,
            model: selection.model.map(|model| PyBytes::new(py, &model).unbind()),
            warnings,
        })
    }
}

fn bytes(py: Python<'_>, values: impl Iterator<Item = u8>) -> Py<PyBytes> {
    PyBytes::new(py, &values.collect::<Vec<u8>>()).unbind()
}

/// Asks a strategy, by name and with settings as JSON, for `n` rows of the pool.
#[pyfunction]
#[pyo3(signature = (strategy, settings, pool, n, seed, progress=None))]
fn select(
    py: Python<'_>,
    strategy: &str,
    settings: &str,
    pool: &Bound<'_, Pool>,
    n: usize,
    seed: u64,
    progress: Option<Py<PyAny>>,
) -> PyResult<Answer> {
    let built = STRATEGIES.build(&settings::spec(strategy, settings)?).map_err(raise)?;
    let pool = pool.get();
    let (selection, warnings) =
        pool.ask(py, (strategy, &*built), n, seed, progress, |strategy, query, progress| {
            strategy.select(query, progress)
        })?;
    Answer::new(py, pool, selection, warnings)
}

/// Checks the name of a strategy and its settings, as JSON.
#[pyfunction]
fn check(strategy: &str, settings: &str) -> PyResult<()> {
    STRATEGIES.build(&settings::spec(strategy, settings)?).map(drop).map_err(raise)
}

#[pymodule]
fn _vabal(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<Pool>()?;
    module.add_class::<Answer>()?;
    module.add_class::<model::Model>()?;
    module.add_class::<embed::Backbone>()?;
    module.add_class::<plan::Plan>()?;
    module.add_class::<plan::Top>()?;
    module.add_class::<seeding::Seeding>()?;
    module.add_class::<seeding::Pass>()?;
    module.add_class::<shortlist::Shortlist>()?;
    module.add_function(wrap_pyfunction!(select, module)?)?;
    module.add_function(wrap_pyfunction!(check, module)?)?;
    module.add_function(wrap_pyfunction!(model::vabal_settings, module)?)?;
    module.add_function(wrap_pyfunction!(settings::strategies, module)?)?;
    module.add_function(wrap_pyfunction!(demo::demo, module)?)?;
    module.add_function(wrap_pyfunction!(head::head_fit, module)?)?;
    module.add_function(wrap_pyfunction!(head::head_predict, module)?)?;
    module.add_function(wrap_pyfunction!(outlook::agreement, module)?)?;
    module.add_function(wrap_pyfunction!(outlook::outlook, module)?)?;
    module.add_function(wrap_pyfunction!(plan::sample_keys, module)?)?;
    module.add_function(wrap_pyfunction!(shortlist::candidates, module)?)?;
    Ok(())
}
