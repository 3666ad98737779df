//! VaB-AL in two steps: a VAE fitted to a pool, and what it makes of one.

use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vabal_query::strategies::vabal_paper as method;

use crate::complain::raise;
use crate::pool::Pool;
use crate::{Answer, settings};

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
        let vabal = method::VabalPaper::new(settings.clone()).map_err(raise)?;
        let (model, warnings) =
            pool.get().ask(py, ("vabal-paper", &vabal), 0, seed, progress, |_, query, progress| {
                method::Model::fit(&settings, query.unlabelled, query.classes, query.seed, progress)
            })?;
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
        let (pool, vabal) = (pool.get(), method::VabalPaper::new(self.0.settings().clone()).map_err(raise)?);
        let (selection, warnings) =
            pool.ask(py, ("vabal-paper", &vabal), n, seed, progress, |_, query, progress| {
                self.0.select(query, progress)
            })?;
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
    let bundle: method::Bundle = settings::spec("vabal-paper", settings)?.settings().map_err(raise)?;
    Ok(bundle.settings)
}

/// All settings of the paper's VaB-AL, as JSON, with `settings`, JSON too, laid over them.
#[pyfunction]
pub fn vabal_settings(settings: &str) -> PyResult<String> {
    serde_json::to_string(&read_settings(settings)?).map_err(|error| PyValueError::new_err(error.to_string()))
}
