//! A ranking of a pool that is too large to be held, by strategies that compare rows with each
//! other: BADGE in passes, core-set part by part.
//!
//! Never here: how slices are read (`commands::scale`), how candidates are drawn and compared
//! (`vabal::query::plan`).

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use vabal::query::arrays::{Classes, Pool};
use vabal::query::plan::{Candidate, Centres, Collected, LONGEST, Name, PASSES, Seeding};
use vabal::query::progress::report;
use vabal::query::{InParts, Query, Strategy, class_counts};
use vabal::{Event, Id, Label, Progress, Result, STRATEGIES, Seed, Selection, Signals, config};

use super::streamed::{Counted, chosen, open, warn_of_less};
use super::{Chosen, Rank, nothing};
use crate::commands::scale::passes::{Reading, count};
use crate::commands::stream::Stream;
use crate::output::several;

/// Rows up to which such a pool is held, and compared exactly.
const WHOLE: usize = LONGEST;

/// Chooses; `None` where the pool has to be looked at as a whole, or may be.
///
/// # Errors
/// As [`super::run`].
pub fn choose(args: &Rank, progress: &mut Progress<'_>) -> Result<Option<Chosen>> {
    let strategy = STRATEGIES.build(&config::strategy(&args.strategy, &args.set)?)?;
    let Some(way) = strategy.in_parts() else { return Ok(None) };
    let Some((stream, mut reading, classes)) = open(args, &*strategy, WHOLE, progress)? else {
        return Ok(None);
    };
    if way == InParts::Seeding {
        reading.classes = Classes::Count(classes);
    }
    let pool = InFiles { args, stream, reading, classes };
    let ran = match way {
        InParts::Seeding => pool.seeding(progress),
        InParts::Centres => pool.centres(&*strategy, progress),
    };
    // Ids below 0 are numbered over the whole pool.
    if pool.reading.below.load(Ordering::SeqCst) {
        return Ok(None);
    }
    ran.map(Some).map_err(|error| error.or_hint("docs/formats.md says what arrays look like"))
}

struct InFiles<'a> {
    args: &'a Rank,
    stream: Stream,
    reading: Reading<'a>,
    classes: usize,
}

/// What is learnt of the rows of a pool beside the picks.
#[derive(Default)]
struct Counts {
    candidates: usize,
    labelled: Vec<usize>,
}

impl Counts {
    fn add(&mut self, pool: &Pool, names: &[Name]) {
        self.candidates += names.len();
        pool.labels().iter().for_each(|&label| count(&mut self.labelled, label as usize));
    }

    fn merge(&mut self, other: &Self) {
        self.candidates += other.candidates;
        self.labelled.resize(self.labelled.len().max(other.labelled.len()), 0);
        self.labelled.iter_mut().zip(&other.labelled).for_each(|(all, more)| *all += more);
    }
}

/// Labelled rows and rows of a part, in the order of the pool.
#[derive(Default)]
struct Held {
    rows: Collected,
    names: Vec<Name>,
    labelled: Collected,
    labels: Vec<Label>,
}

impl InFiles<'_> {
    fn seed(&self) -> Seed {
        Seed::new(self.args.seed)
    }

    /// BADGE in passes.
    fn seeding(&self, progress: &mut Progress<'_>) -> Result<Chosen> {
        let text = format!(
            "more than {WHOLE} rows: candidates are drawn and counted in {PASSES} passes (k-means‖), and BADGE chooses among them"
        );
        report(progress, Event::Note(&text))?;
        let mut seeding = Seeding::new(self.args.n, self.classes, self.seed());
        let mut counts = Counts::default();
        while !seeding.is_done() {
            let phase = format!("pass {} of {PASSES}", seeding.done() + 1);
            let found = self.stream.each(
                &phase,
                |_| true,
                || Ok((seeding.pass(), Counts::default())),
                |(pass, counts), slice, progress| {
                    let (pool, names) = self.reading.open(slice, progress)?;
                    counts.add(&pool, &names);
                    if names.is_empty() {
                        return Ok(());
                    }
                    let rows = slice.signals(&pool, &names, self.reading.needs, progress)?;
                    let seen = pass.see(&seeding, &rows, |row| names[row].clone());
                    seen.map_err(|error| error.inside(slice.place()))
                },
                progress,
            )?;
            let (mut all, mut of_pass) = (seeding.pass(), Counts::default());
            for (pass, counts) in found {
                all.merge(pass)?;
                of_pass.merge(&counts);
            }
            (seeding, counts) = (seeding.next(all)?, of_pass);
        }
        self.check(&counts, progress)?;
        let (picks, terms) = seeding.select(self.args.n.min(counts.candidates), progress)?;
        chosen(self.args, picks, &terms, self.facts(counts))
    }

    /// Core-set in two rounds.
    fn centres(&self, strategy: &dyn Strategy, progress: &mut Progress<'_>) -> Result<Chosen> {
        let width = match self.stream.first() {
            Some(slice) => {
                let (pool, names) = self.reading.open(&slice, progress)?;
                let rows = slice.signals(&pool, &names, self.reading.needs, progress)?;
                rows.embedding().map_or(1, |rows| rows.ncols())
            }
            None => 1,
        };
        let counts = self.count(progress)?;
        self.check(&counts, progress)?;
        let cut = Centres::of(counts.candidates, width, self.seed());
        let text = format!(
            "more than {WHOLE} rows: core-set chooses in {}, and then among what is chosen there; the radius is at \
             most 4 times the best",
            several(cut.parts, "part")
        );
        report(progress, Event::Note(&text))?;
        let (mut union, mut names) = (Collected::default(), HashMap::new());
        let mut labelled: Option<(Signals<'static>, Vec<Label>)> = None;
        for part in 0..cut.parts {
            let phase = format!("part {} of {}", part + 1, cut.parts);
            let held = self.hold(&phase, |id| cut.part_of(id) == part, part == 0, progress)?;
            let (closed, labels) = match labelled.take() {
                Some(labelled) => labelled,
                None => (held.labelled.signals()?, held.labels),
            };
            let rows = held.rows.signals()?;
            if !rows.is_empty() {
                let selection = self.select(strategy, (&rows, &closed, &labels), progress)?;
                let places: HashMap<Id, usize> =
                    rows.ids().iter().enumerate().map(|(place, &id)| (id, place)).collect();
                let picked: Vec<usize> = selection.ids.iter().map(|id| places[id]).collect();
                union.add(&rows, &picked)?;
                names.extend(picked.into_iter().map(|row| (rows.ids()[row], held.names[row].clone())));
            }
            labelled = Some((closed, labels));
        }
        let (closed, labels) = labelled.unwrap_or_default();
        let union = union.signals()?;
        let selection = self.select(strategy, (&union, &closed, &labels), progress)?;
        let picks = selection.ids.iter().zip(&selection.scores).enumerate().map(|(place, (id, &score))| {
            let terms = selection.terms.iter().map(|term| term.values[place]).collect();
            Candidate { name: names[id].clone(), score, key: 0, class: 0, terms }
        });
        let terms: Vec<&'static str> = selection.terms.iter().map(|term| term.name).collect();
        chosen(self.args, picks.collect(), &terms, self.facts(counts))
    }

    fn select(
        &self,
        strategy: &dyn Strategy,
        (unlabelled, labelled, labels): (&Signals<'_>, &Signals<'_>, &[Label]),
        progress: &mut Progress<'_>,
    ) -> Result<Selection> {
        let n = self.args.n.min(unlabelled.len());
        let classes = labels.iter().map(|&label| label as usize + 1).fold(self.classes, usize::max);
        let query = Query { unlabelled, labelled, labels, classes, n, seed: self.seed() };
        query.check(strategy)?;
        strategy.select(&query, progress)
    }

    /// Counts the rows, without their arrays.
    fn count(&self, progress: &mut Progress<'_>) -> Result<Counts> {
        let found = self.stream.each(
            "count",
            |_| true,
            || Ok(Counts::default()),
            |counts, slice, progress| {
                let (pool, names) = self.reading.open(slice, progress)?;
                counts.add(&pool, &names);
                Ok(())
            },
            progress,
        )?;
        let mut all = Counts::default();
        found.iter().for_each(|counts| all.merge(counts));
        Ok(all)
    }

    /// Reads the rows whose ids are `wanted`, and what is labelled where that is asked for.
    fn hold(
        &self,
        phase: &str,
        wanted: impl Fn(Id) -> bool + Sync,
        with_labelled: bool,
        progress: &mut Progress<'_>,
    ) -> Result<Held> {
        let Reading { needs, of_labelled, .. } = self.reading;
        let found = self.stream.each(
            phase,
            |_| true,
            || Ok(Vec::new()),
            |found, slice, progress| {
                let (pool, names) = self.reading.open(slice, progress)?;
                let rows = slice.signals(&pool, &names, needs, progress)?;
                let mine: Vec<usize> = (0..rows.len()).filter(|&row| wanted(rows.ids()[row])).collect();
                let mut held = Held::default();
                held.rows.add(&rows, &mine).map_err(|error| error.inside(slice.place()))?;
                held.names = mine.iter().map(|&row| names[row].clone()).collect();
                if with_labelled {
                    let labelled = slice.labelled(&pool, of_labelled, progress)?;
                    let all: Vec<usize> = (0..labelled.len()).collect();
                    held.labelled.add(&labelled, &all).map_err(|error| error.inside(slice.place()))?;
                    held.labels = pool.labels().to_vec();
                }
                found.push((
                    slice.number,
                    held.rows.signals()?,
                    held.names,
                    held.labelled.signals()?,
                    held.labels,
                ));
                Ok(())
            },
            progress,
        )?;
        let mut slices: Vec<_> = found.into_iter().flatten().collect();
        slices.sort_unstable_by_key(|(number, ..)| *number);
        // Slices are let go one by one, while what they hold is put together.
        let count = slices.iter().map(|(_, rows, ..)| rows.len()).sum();
        let mut held = Held { rows: Collected::with_capacity(count), ..Held::default() };
        let all = |rows: &Signals<'_>| (0..rows.len()).collect::<Vec<_>>();
        if let Some(apart) = self.reading.apart.as_ref().filter(|_| with_labelled) {
            held.labelled.add(&apart.signals, &all(&apart.signals))?;
            held.labels.extend_from_slice(&apart.labels);
        }
        for (_, rows, names, labelled, labels) in slices {
            held.rows.add(&rows, &all(&rows))?;
            held.names.extend(names);
            held.labelled.add(&labelled, &all(&labelled))?;
            held.labels.extend(labels);
        }
        Ok(held)
    }

    fn check(&self, counts: &Counts, progress: &mut Progress<'_>) -> Result<()> {
        if counts.candidates == 0 {
            return Err(nothing(counts.labelled.iter().sum()));
        }
        warn_of_less(self.args.n, counts.candidates, progress)
    }

    fn facts(&self, counts: Counts) -> Counted {
        let labelled = match &self.reading.apart {
            Some(apart) => class_counts(&apart.labels, self.classes),
            None => counts.labelled,
        };
        let (candidates, classes) = (counts.candidates, self.classes.max(labelled.len()));
        Counted { candidates, labelled, predicted: Vec::new(), classes }
    }
}
