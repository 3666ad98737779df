//! A ranking of a pool that is too large to be held: what `vabal plan`, `vabal score` and `vabal
//! pick` do, in one process.
//!
//! Never here: how slices are read, planned, scored (`commands::scale`).

use std::sync::atomic::Ordering;

use vabal::query::arrays::{Classes, Names};
use vabal::query::plan::{Candidate, MOST_PICKS, Name, Plan, SAMPLE};
use vabal::query::progress::report;
use vabal::query::summary::Class;
use vabal::query::{Column, Query, Strategy, class_counts, term};
use vabal::{Error, Event, Id, Progress, Result, STRATEGIES, Seed, Selection, Signals, config};

use super::{Chosen, Facts, Rank, nothing, pool};
use crate::commands::scale::passes::{Reading, Tally, count};
use crate::commands::stream::Stream;

/// Rows up to which a pool is looked at as a whole.
const WHOLE: usize = SAMPLE;

/// Chooses; `None` where the pool has to be looked at as a whole, or may be.
///
/// # Errors
/// As [`super::run`].
pub fn choose(args: &Rank, progress: &mut Progress<'_>) -> Result<Option<Chosen>> {
    let spec = config::strategy(&args.strategy, &args.set)?;
    let strategy = STRATEGIES.build(&spec)?;
    let (Some(by_row), None, None) = (strategy.by_row(), &args.model, &args.model_out) else {
        return Ok(None);
    };
    let Some((stream, mut reading, classes)) = open(args, &*strategy, WHOLE, progress)? else {
        return Ok(None);
    };
    let seed = Seed::new(args.seed);
    let mut run = || {
        let plan = if by_row.fits() {
            reading.plan(&stream, &spec, (args.n, SAMPLE, seed), classes, progress)?
        } else {
            let none = Signals::default();
            let (unlabelled, labelled, n) = (&none, &none, args.n);
            let query = Query { unlabelled, labelled, labels: &[], classes, n, seed };
            Plan::make(&spec, STRATEGIES, &query, stream.rows, progress)?
        };
        let tally = reading.score(&stream, &plan, &|_, _, _| Ok(()), progress)?;
        if tally.candidates == 0 {
            return Err(nothing(tally.labelled.iter().sum()));
        }
        warn_of_less(args.n, tally.candidates, progress)?;
        Ok((plan, tally))
    };
    let ran = run();
    // Ids below 0 are numbered over the whole pool.
    if reading.below.load(Ordering::SeqCst) {
        return Ok(None);
    }
    let (plan, tally) = ran.map_err(|error| error.or_hint("docs/formats.md says what arrays look like"))?;
    let labelled = match &reading.apart {
        Some(apart) => class_counts(&apart.labels, classes.max(plan.labelled.len())),
        None => tally.labelled.clone(),
    };
    let Tally { top, terms, candidates, predicted, classes, .. } = tally;
    let picks = top.finish(args.n, &plan.labelled)?;
    let classes = plan.labelled.len().max(classes);
    chosen(args, picks, &terms, Counted { candidates, labelled, predicted, classes }).map(Some)
}

/// The slices of a pool of more than `whole` rows, how they are read, and as how many classes the
/// first of them and what is labelled have; `None` where the pool has to be looked at as a whole.
///
/// # Errors
/// Files that cannot be read.
pub fn open<'a>(
    args: &'a Rank,
    strategy: &dyn Strategy,
    whole: usize,
    progress: &mut Progress<'_>,
) -> Result<Option<(Stream, Reading<'a>, usize)>> {
    let Some(parts) = pool::parts(&args.unlabelled)? else { return Ok(None) };
    let (needs, of_labelled) = (strategy.needs(), strategy.needs_of_labelled());
    let stream = Stream::new(parts, needs).of_widths(args.classes, None);
    if stream.rows <= whole || args.n > MOST_PICKS {
        return Ok(None);
    }
    let classes = args.classes.map_or(Classes::Guess, Classes::Count);
    let mut reading = Reading { numbered: true, ..Reading::new(&args.strategy, needs, of_labelled, classes) };
    // What is wrong or missing there is told by who looks at the whole.
    let Ok(classes) = reading.labelled(&stream, &args.labelled, progress) else { return Ok(None) };
    Ok(Some((stream, reading, classes)))
}

/// Says that there are fewer rows than were asked for, where it is so.
///
/// # Errors
/// [`Error::Stopped`].
pub fn warn_of_less(n: usize, left: usize, progress: &mut Progress<'_>) -> Result<()> {
    if n > left {
        let text = format!("asked for {n} images but {left} are left unlabelled; taking all of them");
        report(progress, Event::Warning(&text))?;
    }
    Ok(())
}

/// What was counted over a pool.
pub struct Counted {
    /// Rows without a label.
    pub candidates: usize,
    /// Labelled rows of each class.
    pub labelled: Vec<usize>,
    /// Rows predicted as each class; empty where that was not counted.
    pub predicted: Vec<usize>,
    /// C.
    pub classes: usize,
}

/// The picks, and what a person is told of them. Shares of classes are of predicted labels.
///
/// # Errors
/// Names of two kinds.
pub fn chosen(
    args: &Rank,
    picks: Vec<Candidate>,
    terms: &[&'static str],
    counted: Counted,
) -> Result<Chosen> {
    let Counted { candidates, labelled, predicted, classes } = counted;
    let terms: Vec<Column> = terms
        .iter()
        .enumerate()
        .map(|(place, &name)| Column { name, values: picks.iter().map(|pick| pick.terms[place]).collect() })
        .collect();
    let mut picked = Vec::new();
    if let Some(column) = terms.iter().find(|column| column.name == term::PREDICTED) {
        column.values.iter().for_each(|&class| count(&mut picked, class as usize));
    }
    let share = |counts: &[usize], class: usize, all: usize| {
        let known = !counts.is_empty() && all > 0;
        known.then(|| counts.get(class).copied().unwrap_or(0) as f64 / all as f64)
    };
    let of_class = |class: usize| Class {
        labelled: labelled.get(class).copied().unwrap_or(0),
        pool: share(&predicted, class, candidates),
        picks: share(&picked, class, picks.len()),
        ..Class::default()
    };
    let facts = Facts {
        unlabelled: candidates,
        labelled: labelled.iter().sum(),
        strategy: args.strategy.clone(),
        seed: args.seed,
        classes: (0..classes).map(of_class).collect(),
    };
    let ids = picks.iter().map(|pick| pick.name.id());
    let scores = picks.iter().map(|pick| pick.score).collect();
    let selection = Selection { ids: ids.collect::<Vec<Id>>(), scores, terms, ..Selection::default() };
    Ok(Chosen { names: names(&picks)?, selection, facts })
}

/// What picks are called: all by numbers, or all by texts.
fn names(picks: &[Candidate]) -> Result<Names> {
    let number = |pick: &Candidate| match &pick.name {
        Name::Number(number) => i64::try_from(*number).ok(),
        Name::Text(..) => None,
    };
    let text = |pick: &Candidate| match &pick.name {
        Name::Text(_, text) => Some(text.to_string()),
        Name::Number(_) => None,
    };
    if let Some(numbers) = picks.iter().map(number).collect() {
        return Ok(Names::Numbers(numbers));
    }
    let texts: Option<Vec<String>> = picks.iter().map(text).collect();
    texts.map(Names::Texts).ok_or_else(|| {
        Error::input("the ids of the parts are of two kinds")
            .at("--unlabelled")
            .expected("whole numbers in all files, or texts in all")
            .got("both")
            .hint("save all as numbers, or all as texts")
            .into()
    })
}
