//! `vabal plan`: what scoring any part of a pool needs, from a sample of it and what is labelled.

use std::ffi::OsString;
use std::path::PathBuf;

use vabal::query::arrays::Classes;
use vabal::query::plan::{Collected, FEW, Plan, SAMPLE, Sample};
use vabal::query::{Needs, Query, class_counts};
use vabal::{Error, Event, Id, Progress, Result, STRATEGIES, Seed, Signals, config, files};

use super::Part;
use crate::bar::watched;
use crate::commands::rank::pool::{group, path_of};
use crate::output::{say, several};
use crate::place;

/// Plan how to score a pool that is too large for one memory
///
/// From a sample of the pool and what is labelled, makes one small file with all that scoring a row
/// needs. Then score the parts of the pool, on any number of machines, and pick the best of all:
///
///   vabal plan → vabal score, for each part → vabal pick
///
/// Each PART is a file with the arrays that `vabal rank` reads, ids among them. Rows with a label
/// from 0 on are labelled.
#[derive(Debug, clap::Args)]
#[command(
    name = "plan",
    verbatim_doc_comment,
    after_help = "Examples:\n  vabal plan pool/*.parquet -n 10000 --out pool.plan\n  \
    vabal plan pool/*.parquet --labelled labelled.parquet -n 10000 --strategy margin --out pool.plan\n\n\
    Strategies that score row by row: vabal, margin, entropy, least-confidence, random."
)]
pub struct PlanArgs {
    /// Files of the pool, each with the same arrays
    #[arg(required = true, value_name = "PART")]
    pub parts: Vec<PathBuf>,
    /// Files with the arrays of what is labelled, labels among them
    #[arg(long, alias = "labeled", num_args = 1.., value_name = "FILE")]
    pub labelled: Vec<OsString>,
    /// The most that will be picked
    #[arg(short, long = "number", value_name = "N")]
    pub n: usize,
    /// File to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// What chooses
    #[arg(long, value_name = "NAME", default_value = "vabal")]
    pub strategy: String,
    /// Override a setting of the strategy; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Of every random draw: the same seed chooses the same
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub seed: u64,
    /// Rows of the pool that are looked at, those whose ids have the smallest hashes
    #[arg(long, value_name = "ROWS", default_value_t = SAMPLE)]
    pub sample: usize,
    /// Number of classes; else the columns of the probabilities, else 1 + the largest label
    #[arg(long, value_name = "C")]
    pub classes: Option<usize>,
    /// Print errors only
    #[arg(long)]
    pub quiet: bool,
}

/// Samples, fits, writes.
///
/// # Errors
/// What the library says; parts that cannot be read or do not fit together.
pub fn run(args: &PlanArgs) -> Result<()> {
    let labelled = args.labelled.iter().map(|source| path_of(source));
    place::check(&args.out, args.parts.iter().map(|path| &**path).chain(labelled), "--out")?;
    if args.n == 0 || args.sample == 0 {
        let (place, what) = if args.n == 0 { ("-n", "-n 10000") } else { ("--sample", "--sample 200000") };
        return Err(Error::input("no rows asked for")
            .at(place)
            .expected("1 or more")
            .got(0)
            .hint(what)
            .into());
    }
    let plan = watched(args.quiet, |progress| make(args, progress))?;
    let bytes = plan.to_bytes()?;
    files::write(&args.out, &bytes)?;
    if !args.quiet {
        say(format_args!(
            "a plan for {} at most in {}, {:.0} kB: {}, from {} and {}",
            several(args.n, "pick"),
            args.out.display(),
            (bytes.len() as f64 / 1e3).ceil(),
            args.strategy,
            several(plan.sampled, "row"),
            several(plan.labelled.iter().sum(), "label"),
        ));
        say(format_args!("\nNext: vabal score PART --plan {} --out PART.scores.jsonl", args.out.display()));
    }
    Ok(())
}

fn make(args: &PlanArgs, progress: &mut Progress<'_>) -> Result<Plan> {
    let spec = config::strategy(&args.strategy, &args.set)?;
    let strategy = STRATEGIES.build(&spec)?;
    let (needs, of_labelled) = (strategy.needs(), strategy.needs_of_labelled());
    let classes = args.classes.map_or(Classes::Guess, Classes::Count);
    let alone = args.parts.len() == 1;
    let open = |path: &PathBuf, classes: &Classes, progress: &mut Progress<'_>| {
        let labelled = (!args.labelled.is_empty()).then(|| group(&args.labelled)).transpose()?;
        Part::open(path, labelled, classes, alone, progress)
    };
    let seed = Seed::new(args.seed);
    let (mut sample, mut count) = (Sample::new(args.sample, seed), 0);
    let total = 2 * args.parts.len();
    let step = |done: usize, progress: &mut Progress<'_>| {
        let event = Event::Progress { phase: "sample", done, total, unit: "part", loss: None };
        vabal::query::progress::report(progress, event)
    };
    for (place, path) in args.parts.iter().enumerate() {
        step(place, progress)?;
        let part = open(path, &classes, progress)?;
        part.pool.require(&args.strategy, needs, of_labelled)?;
        let ids = part.pool.signals(Needs::IDS, Needs::IDS, progress)?.0;
        sample.offer(place, ids.ids());
        count = count.max(part.pool.classes());
    }
    let classes = Classes::Count(count);
    let mut sample = sample.rows();
    let (mut open_rows, mut closed, mut labels) = (Collected::default(), Collected::default(), Vec::new());
    for (place, path) in args.parts.iter().enumerate() {
        step(args.parts.len() + place, progress)?;
        let rows = sample.remove(&place).unwrap_or_default();
        // What is labelled is in the parts, or in files of its own, which belong to each part.
        let wanted = args.labelled.is_empty() || place == 0;
        if rows.is_empty() && !wanted {
            continue;
        }
        let part = open(path, &classes, progress)?;
        let (unlabelled, labelled) = part.pool.signals(needs, of_labelled, progress)?;
        open_rows.add(&unlabelled, &rows).map_err(|error| error.inside(path.display()))?;
        if wanted {
            closed.add(&labelled, &(0..labelled.len()).collect::<Vec<_>>())?;
            labels.extend_from_slice(part.pool.labels());
        }
    }
    let (unlabelled, labelled) = (open_rows.signals()?, closed.signals()?);
    warn_of_few(&unlabelled, count, progress)?;
    let (unlabelled, labelled, labels) = (&unlabelled, &labelled, &labels[..]);
    let query: Query<'_> = Query { unlabelled, labelled, labels, classes: count, n: args.n, seed };
    Plan::make(&spec, STRATEGIES, &query, progress)
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
    vabal::query::progress::report(progress, Event::Warning(&text))
}
