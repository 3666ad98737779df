//! VaB-AL in two steps: a VAE fitted to a pool, and what it makes of one.

use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vabal_query::strategies::vabal as method;
use vabal_query::{Event, Needs, Seed};

use crate::complain::raise;
use crate::pool::Pool;
use crate::threads::with_workers;
use crate::watch::Watch;
use crate::{Answer, settings};

const NEEDS: Needs = Needs::STAGES.and(Needs::PREDICTED);

/// A fitted VAE with its settings.
#[pyclass(frozen, module = "vabal._vabal")]
pub struct Model(method::Model);

#[pymethods]
impl Model {
    /// Fits a VAE to the unlabelled rows of the pool. Also gives back the warnings.
    #[staticmethod]
    #[pyo3(signature = (settings, pool, seed, progress=None))]
    fn fit(
        py: Python<'_>,
        settings: &str,
        pool: &Bound<'_, Pool>,
        seed: u64,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<(Self, Vec<String>)> {
        let settings = read_settings(settings)?;
        let pool = pool.get();
        pool.require("vabal", NEEDS, Needs::IDS)?;
        let mut watch = Watch::new(progress);
        let work = || {
            let mut hear = |event: Event<'_>| watch.hear(event);
            let (seed, signals) = (Seed::new(seed), pool.0.signals(NEEDS, Needs::IDS, &mut hear)?);
            pool.0.query(&signals, 0, seed).check(&method::VaBal::new(settings.clone())?)?;
            method::Model::fit(&settings, &signals.0, pool.0.classes(), seed, &mut hear)
        };
        let result = py.detach(|| with_workers(work));
        let (model, warnings) = watch.finish(result)?;
        Ok((Self(model), warnings))
    }

    /// Asks for `n` of the unlabelled rows.
    #[pyo3(signature = (pool, n, seed, progress=None))]
    fn select(
        &self,
        py: Python<'_>,
        pool: &Bound<'_, Pool>,
        n: usize,
        seed: u64,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Answer> {
        let pool = pool.get();
        pool.require("vabal", NEEDS, Needs::STAGES)?;
        let mut watch = Watch::new(progress);
        let work = || {
            let mut hear = |event: Event<'_>| watch.hear(event);
            let signals = pool.0.signals(NEEDS, Needs::STAGES, &mut hear)?;
            let query = pool.0.query(&signals, n, Seed::new(seed));
            query.check(&method::VaBal::new(self.0.settings().clone())?)?;
            self.0.select(&query, &mut hear)
        };
        let result = py.detach(|| with_workers(work));
        let (selection, warnings) = watch.finish(result)?;
        Answer::new(py, pool, selection, warnings)
    }

    /// Writes a safetensors file.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        py.detach(|| self.0.save(&path)).map_err(raise)
    }

    /// Reads what `save` wrote.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        py.detach(|| method::Model::load(&path)).map(Self).map_err(raise)
    }

    /// The bytes of the file.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.0.to_bytes().map_err(raise)?))
    }

    /// Reads what `to_bytes` gave.
    #[staticmethod]
    fn from_bytes(bytes: &[u8]) -> PyResult<Self> {
        method::Model::from_bytes(bytes).map(Self).map_err(raise)
    }

    /// Its settings as JSON.
    #[getter]
    fn settings(&self) -> PyResult<String> {
        serde_json::to_string(self.0.settings()).map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// C.
    #[getter]
    fn classes(&self) -> usize {
        self.0.classes()
    }

    /// d_l of every stage.
    #[getter]
    fn widths(&self) -> Vec<usize> {
        self.0.widths().to_vec()
    }
}

fn read_settings(settings: &str) -> PyResult<method::Settings> {
    let bundle: method::Bundle = settings::spec("vabal", settings)?.settings().map_err(raise)?;
    Ok(bundle.settings)
}

/// All settings of VaB-AL, as JSON, with `settings`, JSON too, laid over them.
#[pyfunction]
pub fn vabal_settings(settings: &str) -> PyResult<String> {
    serde_json::to_string(&read_settings(settings)?).map_err(|error| PyValueError::new_err(error.to_string()))
}
