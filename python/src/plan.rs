//! Plans, and the best rows of parts of a pool: what runs on the workers of an engine.

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vabal_query::arrays::Names;
use vabal_query::plan::{self, Candidate, Collected, FEW, Name, RowScore, Sample};
use vabal_query::progress::{report, silent};
use vabal_query::{
    Error, Event, InParts, Needs, Progress, Query, Result, STRATEGIES, Seed, Signals, class_counts, term,
};

use crate::complain::raise;
use crate::pool::{Pool, whole};
use crate::threads::with_workers;
use crate::watch::Watch;
use crate::{Answer, bytes, settings};

/// All that scoring a row needs.
#[pyclass(frozen, module = "vabal._vabal")]
pub struct Plan {
    plan: plan::Plan,
    needs: Needs,
    /// Of the scores: the first digits of its SHA-256.
    digest: String,
}

impl Plan {
    /// The plan itself.
    pub(crate) fn inner(&self) -> &plan::Plan {
        &self.plan
    }

    fn of(plan: plan::Plan) -> Result<Self> {
        let (needs, digest) = (plan.needs(STRATEGIES)?, plan.digest()?[..16].to_owned());
        Ok(Self { plan, needs, digest })
    }
}

#[pymethods]
impl Plan {
    /// Makes a plan of a sample of the rows without a label, and of the others. They are some of
    /// a pool's `rows`, or all of it. Also gives back the warnings.
    #[staticmethod]
    #[pyo3(signature = (strategy, pool, n, sample, seed, progress=None))]
    fn make(
        py: Python<'_>,
        strategy: (String, String),
        pool: &Bound<'_, Pool>,
        n: usize,
        sample: (usize, Option<usize>),
        seed: u64,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<(Self, Vec<String>)> {
        let (strategy, settings) = (strategy.0.as_str(), strategy.1.as_str());
        let spec = settings::spec(strategy, settings)?;
        let built = STRATEGIES.build(&spec).map_err(raise)?;
        let (needs, of_labelled, pool) = (built.needs(), built.needs_of_labelled(), &pool.get().0);
        let missing = pool.require(strategy, needs, of_labelled);
        missing.map_err(|complaint| PyTypeError::new_err(complaint.to_string()))?;
        let mut watch = Watch::new(progress);
        let result = py.detach(|| {
            with_workers(|| {
                let mut hear = |event: Event<'_>| watch.hear(event);
                let (unlabelled, labelled) = pool.signals(needs, of_labelled, &mut hear)?;
                let seed = Seed::new(seed);
                let (sample, rows) = (sample.0, sample.1.unwrap_or(0).max(unlabelled.len()));
                let unlabelled = sampled(unlabelled, sample, seed)?;
                let (labels, classes) = (pool.labels(), pool.classes());
                let (unlabelled, labelled) = (&unlabelled, &labelled);
                let query = Query { unlabelled, labelled, labels, classes, n, seed };
                let plan = plan::Plan::make(&spec, STRATEGIES, &query, rows, &mut hear)?;
                if built.by_row().is_some_and(|by_row| by_row.fits()) {
                    warn_of_few(unlabelled, classes, &mut hear)?;
                }
                Self::of(plan)
            })
        });
        watch.finish(result)
    }

    /// The bytes of the file.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.plan.to_bytes().map_err(raise)?))
    }

    /// Reads what `to_bytes` gave; `place` names it in errors.
    #[staticmethod]
    fn from_bytes(bytes: &[u8], place: &str) -> PyResult<Self> {
        plan::Plan::from_bytes(bytes, place).and_then(Self::of).map_err(raise)
    }

    /// The name of the strategy.
    #[getter]
    fn strategy(&self) -> &str {
        self.plan.spec.kind()
    }

    /// The settings of the strategy as JSON.
    #[getter]
    fn settings(&self) -> String {
        serde_json::Value::Object(self.plan.spec.values().clone()).to_string()
    }

    /// The most picks.
    #[getter]
    fn n(&self) -> usize {
        self.plan.n
    }

    /// Labels of each class.
    #[getter]
    fn labelled(&self) -> Vec<usize> {
        self.plan.labelled.clone()
    }

    /// Rows of the sample.
    #[getter]
    fn sampled(&self) -> usize {
        self.plan.sampled
    }

    /// What its scores are called by.
    #[getter]
    fn digest(&self) -> &str {
        &self.digest
    }

    /// The arrays that scoring reads, by keyword.
    #[getter]
    fn needs(&self) -> Vec<&'static str> {
        settings::keywords(self.needs)
    }

    /// Width of the features, where the plan says it.
    #[getter]
    fn width(&self) -> Option<usize> {
        self.plan.features()
    }

    /// How it chooses: "rows", "passes" or "parts".
    #[getter]
    fn way(&self) -> PyResult<&'static str> {
        Ok(match self.plan.in_parts(STRATEGIES).map_err(raise)? {
            None => "rows",
            Some(InParts::Seeding) => "passes",
            Some(InParts::Centres) => "parts",
        })
    }

    /// In how many parts it cuts a pool.
    #[getter]
    fn parts(&self) -> usize {
        self.plan.centres().parts
    }

    /// The part, i32, of each row of a pool without a label.
    fn part_of(&self, py: Python<'_>, pool: &Bound<'_, Pool>) -> PyResult<Py<PyBytes>> {
        names(pool.get())?;
        let (rows, _) = pool.get().0.signals(Needs::IDS, Needs::IDS, &mut silent()).map_err(raise)?;
        let centres = self.plan.centres();
        Ok(bytes(py, rows.ids().iter().flat_map(|&id| (centres.part_of(id) as i32).to_ne_bytes())))
    }

    /// Chooses at most `n` rows of a part, or of what was chosen of all parts.
    fn choose(&self, py: Python<'_>, pool: &Bound<'_, Pool>, n: usize) -> PyResult<Answer> {
        let choose =
            |rows: &Signals<'_>, hear: &mut Progress<'_>| self.plan.choose(STRATEGIES, rows, n, hear);
        let (selection, warnings) = self.over(py, pool.get(), choose)?;
        Answer::new(py, pool.get(), selection, warnings)
    }

    /// The score of each row of the pool without a label, f64.
    fn scores(&self, py: Python<'_>, pool: &Bound<'_, Pool>) -> PyResult<Py<PyBytes>> {
        let score = self.plan.scorer(STRATEGIES).map_err(raise)?;
        let (scored, _) = self.over(py, pool.get(), |rows, hear| score.score(rows, hear))?;
        Ok(bytes(py, scored.scores.iter().flat_map(|value| value.to_ne_bytes())))
    }
}

impl Plan {
    /// Does `work` with the rows of a pool without a label, and gives back the warnings too.
    fn over<T: Send>(
        &self,
        py: Python<'_>,
        pool: &Pool,
        work: impl FnOnce(&Signals<'_>, &mut Progress<'_>) -> Result<T> + Send,
    ) -> PyResult<(T, Vec<String>)> {
        let missing = pool.0.require(self.plan.spec.kind(), self.needs, Needs::IDS);
        missing.map_err(|complaint| PyTypeError::new_err(complaint.to_string()))?;
        let mut watch = Watch::new(None);
        let result = py.detach(|| {
            with_workers(|| {
                let mut hear = |event: Event<'_>| watch.hear(event);
                let (rows, _) = pool.0.signals(self.needs, Needs::IDS, &mut hear)?;
                work(&rows, &mut hear)
            })
        });
        watch.finish(result)
    }
}

/// The rows of the smallest keys, where there are more.
fn sampled(rows: Signals<'static>, size: usize, seed: Seed) -> Result<Signals<'static>> {
    if rows.len() <= size {
        return Ok(rows);
    }
    let (mut sample, mut collected) = (Sample::new(size, seed), Collected::default());
    sample.offer(0, rows.ids());
    collected.add(&rows, &sample.rows().remove(&0).unwrap_or_default())?;
    collected.signals()
}

/// Warns of predicted classes that the sample has few rows of.
fn warn_of_few(sample: &Signals<'_>, classes: usize, progress: &mut Progress<'_>) -> Result<()> {
    let Ok(predicted) = sample.predicted() else { return Ok(()) };
    let counts = class_counts(&predicted, classes);
    let few: Vec<String> =
        (0..classes).filter(|&class| counts[class] < FEW).map(|class| class.to_string()).collect();
    if few.is_empty() || few.len() == classes {
        return Ok(());
    }
    let (first, more) = (&few[..few.len().min(10)], if few.len() > 10 { " and others" } else { "" });
    let text = format!(
        "fewer than {FEW} rows of the sample are predicted as class {}{more}: what is fitted to them is doubtful; a larger sample= helps",
        first.join(", ")
    );
    report(progress, Event::Warning(&text))
}

/// What the candidates without a label are called.
pub fn names(pool: &Pool) -> PyResult<Names> {
    let names = pool.0.candidate_names().ok_or_else(|| {
        let complaint =
            Error::input("a part without ids").expected("whole numbers or texts, unlike in all parts");
        raise(
            complaint.got("none").hint("row numbers are the same in every part: give each row an id").into(),
        )
    })?;
    match &names {
        Names::Numbers(numbers) if let Some(number) = numbers.iter().find(|&&number| number < 0) => {
            Err(raise(
                Error::input("an id is below 0")
                    .expected("whole numbers from 0, or texts")
                    .got(number)
                    .hint("give the rows other numbers, or their names as texts")
                    .into(),
            ))
        }
        _ => Ok(names),
    }
}

/// What one of them is called.
pub fn name(names: &Names, row: usize) -> Name {
    match names {
        // None is below 0.
        Names::Numbers(numbers) => Name::Number(numbers[row].unsigned_abs()),
        Names::Texts(texts) => Name::text(&texts[row]),
    }
}

/// Ids of rows in some order: whole numbers, i64, or texts.
pub type Ids = (Option<Py<PyBytes>>, Option<Vec<String>>);
/// Ids, scores, keys, classes, terms by row, how many rows there were of the class of the first
/// candidate of each, 0 for the others; names of the terms.
type Candidates = (Ids, Py<PyBytes>, Py<PyBytes>, Py<PyBytes>, Py<PyBytes>, Py<PyBytes>, Vec<String>);
/// Ids, scores, and the terms: name, whether its values are classes, values.
pub(crate) type Picks = (Ids, Py<PyBytes>, Vec<(String, bool, Py<PyBytes>)>);

/// The best rows of a part, or of several.
#[pyclass(module = "vabal._vabal")]
pub struct Top {
    plan: Py<Plan>,
    score: Box<dyn RowScore>,
    top: plan::Top,
}

#[pymethods]
impl Top {
    /// Empty.
    #[new]
    fn new(plan: Py<Plan>) -> PyResult<Self> {
        let of = &plan.get().plan;
        let (score, top) = (of.scorer(STRATEGIES).map_err(raise)?, of.top_of(STRATEGIES).map_err(raise)?);
        Ok(Self { plan, score, top })
    }

    /// Scores the rows of a pool that have no label, and adds them.
    fn push(&mut self, py: Python<'_>, pool: &Bound<'_, Pool>) -> PyResult<()> {
        let names = names(pool.get())?;
        let score = |rows: &Signals<'_>, hear: &mut Progress<'_>| self.score.score(rows, hear);
        let (scored, _) = self.plan.get().over(py, pool.get(), score)?;
        py.detach(|| self.top.push(&scored, |row| name(&names, row))).map_err(raise)
    }

    /// Adds what `candidates` gave, or a part of it.
    fn add(
        &mut self,
        ids: &Bound<'_, PyAny>,
        scores: &Bound<'_, PyAny>,
        whole_numbers: (Bound<'_, PyAny>, Bound<'_, PyAny>, Bound<'_, PyAny>),
        terms: &Bound<'_, PyAny>,
        term_names: Vec<String>,
    ) -> PyResult<()> {
        let py = ids.py();
        let names = match ids.extract::<Vec<String>>() {
            Ok(texts) => Names::Texts(texts),
            Err(_) => Names::Numbers(whole(ids)?),
        };
        let reals = |array: &Bound<'_, PyAny>| PyBuffer::<f64>::get(array)?.to_vec(py);
        let (scores, terms) = (reals(scores)?, reals(terms)?);
        let (keys, classes, rows) = whole_numbers;
        let (keys, classes, rows) = (whole(&keys)?, whole(&classes)?, whole(&rows)?);
        let mut of_class = vec![0_u64; self.top.rows().len()];
        let foreign = || raise(Error::input("these are no scores of this plan").into());
        for (&class, &rows) in classes.iter().zip(&rows) {
            let place = usize::try_from(class).ok().and_then(|class| of_class.get_mut(class));
            *place.ok_or_else(foreign)? += u64::try_from(rows).map_err(|_| foreign())?;
        }
        let (count, width) = (scores.len(), term_names.len());
        if scores.iter().any(|score| !score.is_finite())
            || [keys.len(), classes.len()] != [count; 2]
            || terms.len() != count * width
        {
            return Err(foreign());
        }
        let candidate = |row: usize| Candidate {
            name: name(&names, row),
            score: scores[row],
            key: ordered(keys[row]),
            class: usize::try_from(classes[row]).unwrap_or(usize::MAX),
            terms: terms[row * width..(row + 1) * width].to_vec(),
        };
        let n = self.plan.get().plan.n;
        plan::Top::of(n, of_class, term_names, (0..count).map(candidate))
            .and_then(|top| self.top.merge(top))
            .map_err(raise)
    }

    /// What may still be picked, best first, class by class.
    fn candidates(&mut self, py: Python<'_>) -> PyResult<Candidates> {
        self.top.settle();
        let all: Vec<&Candidate> = self.top.candidates().collect();
        let mut left: Vec<u64> = self.top.rows().to_vec();
        let rows = all.iter().map(|candidate| std::mem::take(&mut left[candidate.class]) as i64);
        let rows = bytes(py, rows.flat_map(i64::to_ne_bytes));
        let keys = all.iter().map(|candidate| ordered_key(candidate.key));
        Ok((
            ids(py, all.iter().map(|candidate| &candidate.name))?,
            bytes(py, all.iter().flat_map(|candidate| candidate.score.to_ne_bytes())),
            bytes(py, keys.flat_map(i64::to_ne_bytes)),
            bytes(py, all.iter().flat_map(|candidate| (candidate.class as i64).to_ne_bytes())),
            bytes(py, all.iter().flat_map(|candidate| &candidate.terms).flat_map(|term| term.to_ne_bytes())),
            rows,
            self.top.terms().to_vec(),
        ))
    }

    /// How many rows were scored.
    #[getter]
    fn rows(&self) -> u64 {
        self.top.rows().iter().sum()
    }

    /// The picks, best first.
    fn finish(&self, py: Python<'_>, n: usize) -> PyResult<Picks> {
        let labelled = &self.plan.get().plan.labelled;
        let picks = py.detach(|| self.top.clone().finish(n, labelled)).map_err(raise)?;
        let term = |(place, name): (usize, &String)| {
            let values: Vec<f64> = picks.iter().map(|pick| pick.terms[place]).collect();
            let class = term::is_class(name) && values.iter().all(|value| value.fract() == 0.0);
            (name.clone(), class, bytes(py, values.into_iter().flat_map(f64::to_ne_bytes)))
        };
        Ok((
            ids(py, picks.iter().map(|pick| &pick.name))?,
            bytes(py, picks.iter().flat_map(|pick| pick.score.to_ne_bytes())),
            self.top.terms().iter().enumerate().map(term).collect(),
        ))
    }
}

/// A key as a signed number of the same order, for engines that have no others.
pub fn ordered_key(key: u64) -> i64 {
    (key ^ (1 << 63)).cast_signed()
}

/// Takes [`ordered_key`] back.
pub fn ordered(key: i64) -> u64 {
    key.cast_unsigned() ^ (1 << 63)
}

/// What rows are called, for Python.
pub fn ids<'a>(py: Python<'_>, names: impl Iterator<Item = &'a Name>) -> PyResult<Ids> {
    let (mut numbers, mut texts) = (Vec::new(), Vec::new());
    for name in names {
        match name {
            Name::Number(number) => numbers.push(number.cast_signed()),
            Name::Text(_, text) => texts.push(text.to_string()),
        }
    }
    match (numbers.is_empty(), texts.is_empty()) {
        (true, false) => Ok((None, Some(texts))),
        (_, true) => Ok((Some(bytes(py, numbers.into_iter().flat_map(i64::to_ne_bytes))), None)),
        (false, false) => Err(raise(
            Error::input("some parts call their rows by numbers, others by texts")
                .expected("ids of one kind")
                .got(format!("{} and \"{}\"", numbers[0], texts[0]))
                .hint("make all of them texts")
                .into(),
        )),
    }
}

/// The keys by which a sample is drawn, u64, of the rows of a pool without a label.
#[pyfunction]
pub fn sample_keys(py: Python<'_>, pool: &Bound<'_, Pool>, seed: u64) -> PyResult<Py<PyBytes>> {
    names(pool.get())?;
    let (rows, _) = pool.get().0.signals(Needs::IDS, Needs::IDS, &mut silent()).map_err(raise)?;
    let seed = Seed::new(seed);
    Ok(bytes(py, rows.ids().iter().flat_map(|&id| Sample::key(seed, id).to_ne_bytes())))
}
