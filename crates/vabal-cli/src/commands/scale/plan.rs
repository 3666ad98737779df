//! `vabal plan`: what scoring any part of a pool needs, from a sample of it and what is labelled.

use std::ffi::OsString;
use std::path::PathBuf;

use vabal::query::arrays::Classes;
use vabal::query::plan::{Plan, SAMPLE, check_by_row};
use vabal::{Error, Progress, Result, STRATEGIES, Seed, config, files};

use super::parts;
use super::passes::Reading;
use crate::bar::watched;
use crate::commands::rank::pool::path_of;
use crate::commands::stream::Stream;
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
    Strategies that score row by row: vabal, vabal-paper, vabal-official, margin, entropy,\n    least-confidence, random, bald, power-bald, ensembles."
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
    check_by_row(&*strategy, &spec)?;
    let (needs, of_labelled) = (strategy.needs(), strategy.needs_of_labelled());
    let stream = Stream::new(parts(&args.parts)?, needs).of_widths(args.classes, None);
    let classes = args.classes.map_or(Classes::Guess, Classes::Count);
    let numbered = stream.parts() == 1;
    let mut reading = Reading { numbered, ..Reading::new(&args.strategy, needs, of_labelled, classes) };
    let classes = reading.labelled(&stream, &args.labelled, progress)?;
    let asked = (args.n, args.sample, Seed::new(args.seed));
    reading.plan(&stream, &spec, asked, classes, progress)
}
