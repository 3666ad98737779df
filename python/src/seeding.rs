//! BADGE in passes: what an engine's driver holds, and what runs on its workers.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vabal_query::plan::{self, Candidate};
use vabal_query::progress::silent;
use vabal_query::{Needs, term};

use crate::bytes;
use crate::complain::raise;
use crate::plan::{Picks, Plan, ids, name, names};
use crate::pool::Pool;
use crate::threads::with_workers;

/// The candidates so far.
#[pyclass(module = "vabal._vabal")]
pub struct Seeding(plan::Seeding);

/// What a pass over some rows found.
#[pyclass(module = "vabal._vabal")]
pub struct Pass {
    seeding: plan::Seeding,
    pass: plan::Pass,
}

#[pymethods]
impl Seeding {
    /// Before the first pass.
    #[new]
    fn new(plan: &Plan) -> Self {
        Self(plan.inner().seeding())
    }

    /// Reads what `to_bytes` gave.
    #[staticmethod]
    fn from_bytes(bytes: &[u8]) -> PyResult<Self> {
        Ok(Self(plan::Seeding::from_bytes(bytes).map_err(raise)?))
    }

    /// What a worker needs.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.0.to_bytes().map_err(raise)?))
    }

    /// Whether all passes are done.
    #[getter]
    fn is_done(&self) -> bool {
        self.0.is_done()
    }

    /// Goes on to the next pass, after `pass` over all rows.
    fn next(&mut self, py: Python<'_>, pass: &Pass) -> PyResult<()> {
        let (seeding, pass) = (self.0.clone(), pass.pass.clone());
        self.0 = py.detach(|| seeding.next(pass)).map_err(raise)?;
        Ok(())
    }

    /// The picks, at most `n`, after the last pass.
    fn finish(&self, py: Python<'_>, n: usize) -> PyResult<Picks> {
        let seeding = self.0.clone();
        let (picks, terms): (Vec<Candidate>, _) =
            py.detach(|| with_workers(|| seeding.select(n, &mut silent()))).map_err(raise)?;
        let term = |(place, &name): (usize, &&'static str)| {
            let values = picks.iter().flat_map(|pick| pick.terms[place].to_ne_bytes());
            (name.to_owned(), term::is_class(name), bytes(py, values))
        };
        Ok((
            ids(py, picks.iter().map(|pick| &pick.name))?,
            bytes(py, picks.iter().flat_map(|pick| pick.score.to_ne_bytes())),
            terms.iter().enumerate().map(term).collect(),
        ))
    }
}

#[pymethods]
impl Pass {
    /// Of no rows yet.
    #[new]
    fn new(seeding: &Seeding) -> Self {
        let seeding = seeding.0.clone();
        Self { pass: seeding.pass(), seeding }
    }

    /// Looks at the rows of a pool that have no label.
    fn push(&mut self, py: Python<'_>, pool: &Bound<'_, Pool>) -> PyResult<()> {
        let pool = pool.get();
        let names = names(pool)?;
        let needs = Needs::PROBABILITIES.and(Needs::EMBEDDING);
        let (pass, seeding) = (&mut self.pass, &self.seeding);
        let seen = py.detach(|| {
            with_workers(|| {
                let (rows, _) = pool.0.signals(needs, Needs::IDS, &mut silent())?;
                pass.see(seeding, &rows, |row| name(&names, row))
            })
        });
        seen.map_err(raise)
    }

    /// Adds what the bytes of another one hold, of other rows.
    fn merge(&mut self, bytes: &[u8]) -> PyResult<()> {
        plan::Pass::from_bytes(bytes).and_then(|other| self.pass.merge(other)).map_err(raise)
    }

    /// What the driver merges.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.pass.clone().to_bytes().map_err(raise)?))
    }

    /// Rows that were seen.
    #[getter]
    fn rows(&self) -> u64 {
        self.pass.rows()
    }
}
