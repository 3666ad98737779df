//! The passes over a pool in files: what a plan is made of, and the scores of all rows.
//!
//! Never here: how files are read (`stream`), how a plan is made, how rows are scored
//! (`vabal::query::plan`).

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};

use vabal::query::arrays::{Classes, Names, Pool};
use vabal::query::plan::{Collected, FEW, Name, Plan, Sample, Scored, Top, UNNAMED};
use vabal::query::progress::report;
use vabal::query::{Needs, Query, Spec, class_counts, term};
use vabal::{Event, Id, Label, Progress, Result, STRATEGIES, Seed, Signals};

use crate::commands::rank::pool::group;
use crate::commands::stream::{Known, Slice, Stream, names};

/// Labelled rows in files of their own.
pub struct Apart {
    pub signals: Signals<'static>,
    pub labels: Vec<Label>,
    known: Known,
}

/// What is given each slice with its scores, by its number.
pub type EachSlice<'e> = dyn Fn(usize, &[Name], &Scored) -> Result<()> + Sync + 'e;

/// How the slices of a pool are read.
pub struct Reading<'r> {
    pub strategy: &'r str,
    pub needs: Needs,
    pub of_labelled: Needs,
    pub classes: Classes,
    pub apart: Option<Apart>,
    /// Whether rows without ids are called by their numbers.
    pub numbered: bool,
    /// Whether an id below 0 was met.
    pub below: AtomicBool,
}

impl<'r> Reading<'r> {
    /// For a strategy of this name.
    pub fn new(strategy: &'r str, needs: Needs, of_labelled: Needs, classes: Classes) -> Self {
        let below = AtomicBool::new(false);
        Self { strategy, needs, of_labelled, classes, apart: None, numbered: false, below }
    }

    /// Reads what is labelled in files of its own, beside the first rows of the pool; and as how
    /// many classes both have.
    ///
    /// # Errors
    /// As of [`Pool::new`], [`Pool::require`] and [`Pool::signals`].
    pub fn labelled(
        &mut self,
        stream: &Stream,
        sources: &[OsString],
        progress: &mut Progress<'_>,
    ) -> Result<usize> {
        let Some(first) = stream.first() else { return Ok(2) };
        let labelled = (!sources.is_empty()).then(|| group(sources)).transpose()?;
        let pool = Pool::new(first.group(true), labelled, &self.classes, progress)?;
        pool.require(self.strategy, self.needs, self.of_labelled)?;
        if !sources.is_empty() {
            let (_, mut signals) = pool.signals(Needs::IDS, self.of_labelled, progress)?;
            let mut known = Vec::new();
            if pool.candidate_names().is_some() && pool.labelled_are_named() {
                known = signals.ids().to_vec();
            } else {
                let ids = (UNNAMED..).take(signals.len()).collect();
                signals = signals.with_ids(ids)?;
            }
            self.apart = Some(Apart { signals, labels: pool.labels().to_vec(), known: Known::new(known) });
        }
        Ok(pool.classes())
    }

    /// The rows of a slice, and what its candidates are called.
    ///
    /// # Errors
    /// As of [`Pool::new`] and [`Pool::require`]; an id that is missing, below 0, or labelled.
    pub fn open(&self, slice: &Slice<'_>, progress: &mut Progress<'_>) -> Result<(Pool, Vec<Name>)> {
        let pool = slice.pool(self.apart.is_none(), &self.classes, progress)?;
        pool.require(self.strategy, self.needs, self.of_labelled)?;
        let given = pool.candidate_names();
        if let Some(Names::Numbers(numbers)) = &given
            && numbers.iter().any(|&number| number < 0)
        {
            self.below.store(true, Ordering::SeqCst);
        }
        let names = names(slice, &pool, given, self.numbered, progress)?;
        if let Some(apart) = &self.apart {
            let ids = slice.signals(&pool, &names, Needs::IDS, progress)?;
            apart.known.check(slice, ids.ids(), &names)?;
        }
        Ok((pool, names))
    }

    /// Makes a plan: a pass over the ids, and one over the rows of the sample and what is labelled.
    /// `classes` is what [`Reading::labelled`] gave.
    ///
    /// # Errors
    /// What the library says of the rows, and of the plan.
    pub fn plan(
        &mut self,
        stream: &Stream,
        spec: &Spec,
        (n, sample, seed): (usize, usize, Seed),
        classes: usize,
        progress: &mut Progress<'_>,
    ) -> Result<Plan> {
        let passes = stream.each(
            "sample",
            |_| true,
            || Ok((Sample::new(sample, seed), classes, BTreeSet::new(), 0)),
            |(sample, classes, labelled, candidates), slice, progress| {
                let (pool, names) = self.open(slice, progress)?;
                *candidates += names.len();
                sample.offer(slice.number, slice.signals(&pool, &names, Needs::IDS, progress)?.ids());
                *classes = pool.classes().max(*classes);
                labelled.extend((!pool.labels().is_empty()).then_some(slice.number));
                Ok(())
            },
            progress,
        )?;
        let (mut all, mut count, mut with_labels) = (Sample::new(sample, seed), classes, BTreeSet::new());
        let mut candidates = 0;
        for (sample, classes, labelled, of_thread) in passes {
            candidates += of_thread;
            all.merge(sample);
            count = count.max(classes);
            with_labels.extend(labelled);
        }
        self.classes = Classes::Count(count);
        let rows = all.rows();
        let all = |rows: &Signals<'_>| (0..rows.len()).collect::<Vec<_>>();
        let mut found: Vec<_> = stream
            .each(
                "read",
                |slice| rows.contains_key(&slice) || with_labels.contains(&slice),
                || Ok(Vec::new()),
                |found, slice, progress| {
                    let (pool, names) = self.open(slice, progress)?;
                    let unlabelled = slice.signals(&pool, &names, self.needs, progress)?;
                    let labelled = slice.labelled(&pool, self.of_labelled, progress)?;
                    let rows = rows.get(&slice.number).map_or(&[][..], Vec::as_slice);
                    // Copies: what the rows were read into is let go.
                    let (mut open, mut closed) = (Collected::default(), Collected::default());
                    open.add(&unlabelled, rows).map_err(|error| error.inside(slice.place()))?;
                    closed.add(&labelled, &all(&labelled)).map_err(|error| error.inside(slice.place()))?;
                    found.push((slice.number, open.signals()?, closed.signals()?, pool.labels().to_vec()));
                    Ok(())
                },
                progress,
            )?
            .into_iter()
            .flatten()
            .collect();
        found.sort_unstable_by_key(|(slice, ..)| *slice);
        let (mut open, mut closed, mut labels) = (Collected::default(), Collected::default(), Vec::new());
        if let Some(apart) = &self.apart {
            closed.add(&apart.signals, &all(&apart.signals))?;
            labels.extend_from_slice(&apart.labels);
        }
        for (_, unlabelled, labelled, of_slice) in found {
            open.add(&unlabelled, &all(&unlabelled))?;
            closed.add(&labelled, &all(&labelled))?;
            labels.extend(of_slice);
        }
        let (unlabelled, labelled) = (&open.signals()?, &closed.signals()?);
        let query: Query<'_> = Query { unlabelled, labelled, labels: &labels, classes: count, n, seed };
        let plan = Plan::make(spec, STRATEGIES, &query, candidates, progress)?;
        if !plan.arrays().is_empty() {
            warn_of_few(unlabelled, count, progress)?;
        }
        Ok(plan)
    }

    /// Scores all rows: one pass. Each slice with its scores is also given to `each`.
    ///
    /// # Errors
    /// What the library says of the rows, and of the scores.
    pub fn score(
        &self,
        stream: &Stream,
        plan: &Plan,
        each: &EachSlice<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<Tally> {
        let score = plan.scorer(STRATEGIES)?;
        let tallies = stream.each(
            "score",
            |_| true,
            || Ok(Tally::new(plan.top_of(STRATEGIES)?)),
            |tally, slice, progress| {
                let (pool, names) = self.open(slice, progress)?;
                tally.of_pool(&pool);
                if names.is_empty() {
                    return each(slice.number, &[], &Scored::default());
                }
                let rows = slice.signals(&pool, &names, self.needs, progress)?;
                let inside = |error: vabal::Error| error.inside(slice.place());
                let scored = score.score(&rows, progress).map_err(inside)?;
                if tally.terms.is_empty() {
                    tally.terms = scored.terms.iter().map(|term| term.name).collect();
                }
                if let Some(predicted) = scored.terms.iter().find(|column| column.name == term::PREDICTED) {
                    predicted.values.iter().for_each(|&class| count(&mut tally.predicted, class as usize));
                }
                tally.top.push(&scored, |row| names[row].clone()).map_err(inside)?;
                each(slice.number, &names, &scored)
            },
            progress,
        )?;
        let mut all = Tally::new(plan.top_of(STRATEGIES)?);
        tallies.into_iter().try_for_each(|tally| all.merge(tally))?;
        Ok(all)
    }
}

/// What a pass over all rows found.
pub struct Tally {
    pub top: Top,
    /// The names of the terms.
    pub terms: Vec<&'static str>,
    /// Candidates.
    pub candidates: usize,
    /// Of those, how many are predicted as each class, where the strategy says it.
    pub predicted: Vec<usize>,
    /// Labelled rows of each class.
    pub labelled: Vec<usize>,
    /// The most classes that a slice had.
    pub classes: usize,
}

impl Tally {
    fn new(top: Top) -> Self {
        let (terms, predicted, labelled) = (Vec::new(), Vec::new(), Vec::new());
        Self { top, terms, candidates: 0, predicted, labelled, classes: 0 }
    }

    fn of_pool(&mut self, pool: &Pool) {
        self.candidates += pool.candidates();
        self.classes = self.classes.max(pool.classes());
        pool.labels().iter().for_each(|&label| count(&mut self.labelled, label as usize));
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        let add = |counts: &mut Vec<usize>, more: Vec<usize>| {
            counts.resize(counts.len().max(more.len()), 0);
            counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
        };
        self.candidates += other.candidates;
        self.classes = self.classes.max(other.classes);
        add(&mut self.predicted, other.predicted);
        add(&mut self.labelled, other.labelled);
        if self.terms.is_empty() {
            self.terms = other.terms;
        }
        self.top.merge(other.top)
    }
}

/// One more of a class.
pub fn count(counts: &mut Vec<usize>, class: usize) {
    if counts.len() <= class {
        counts.resize(class + 1, 0);
    }
    counts[class] += 1;
}

/// Warns of predicted classes that the sample has few rows of.
fn warn_of_few(sample: &Signals<'_>, classes: usize, progress: &mut Progress<'_>) -> Result<()> {
    let Ok(predicted) = sample.predicted() else { return Ok(()) };
    let counts = class_counts(&predicted, classes);
    let few: Vec<Id> = (0..classes as Id).filter(|&class| counts[class as usize] < FEW).collect();
    if few.is_empty() || few.len() == classes {
        return Ok(());
    }
    let names: Vec<String> = few.iter().take(10).map(Id::to_string).collect();
    let text = format!(
        "fewer than {FEW} rows of the sample are predicted as class {}{}: what is fitted to them is doubtful; a larger --sample helps",
        names.join(", "),
        if few.len() > 10 { " and others" } else { "" }
    );
    report(progress, Event::Warning(&text))
}
