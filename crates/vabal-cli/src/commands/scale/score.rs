//! `vabal score`: the best rows of some parts of a pool, by a plan.

use std::path::PathBuf;

use vabal::query::Needs;
use vabal::query::arrays::Classes;
use vabal::{Error, Progress, Result, STRATEGIES, files};

use super::all::{self, All};
use super::passes::{EachSlice, Reading};
use super::scores::Scores;
use super::{parts, read_plan};
use crate::bar::watched;
use crate::commands::stream::Stream;
use crate::output::{say, several};
use crate::place;

/// Score parts of a pool by a plan
///
/// Keeps the best rows of the parts, of each class as many as the plan may pick. Runs for parts
/// apart, on any number of machines, are joined by `vabal pick`; how the pool is split changes
/// nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vabal score pool/*.parquet --plan pool.plan --out scores.jsonl\n  \
    vabal score pool/*.parquet --plan pool.plan --part 3/8 --out scores-3.jsonl    # the third of eight machines")]
pub struct Score {
    /// Files of the pool
    #[arg(required = true, value_name = "PART")]
    pub parts: Vec<PathBuf>,
    /// What `vabal plan` wrote
    #[arg(long, value_name = "FILE")]
    pub plan: PathBuf,
    /// File to write, a JSON object a line
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Of so many shares of the parts, this one alone
    #[arg(long, value_name = "I/K", value_parser = share)]
    pub part: Option<(usize, usize)>,
    /// Write the scores of all rows, as .csv or .jsonl, and not the best for `vabal pick`
    #[arg(long)]
    pub all: bool,
    /// Print errors only
    #[arg(long)]
    pub quiet: bool,
}

fn share(text: &str) -> std::result::Result<(usize, usize), String> {
    let numbers = text.split_once('/').and_then(|(i, k)| Some((i.parse().ok()?, k.parse().ok()?)));
    match numbers {
        Some((i, k)) if (1..=k).contains(&i) => Ok((i, k)),
        _ => Err("I/K, such as 3/8 for the third of eight".to_owned()),
    }
}

/// Scores and writes.
///
/// # Errors
/// What the library says; parts that cannot be read or do not fit the plan.
pub fn run(args: &Score) -> Result<()> {
    place::check(&args.out, args.parts.iter().chain([&args.plan]).map(|path| &**path), "--out")?;
    if args.all {
        return run_all(args);
    }
    let scores = watched(args.quiet, |progress| score(args, &|_, _, _| Ok(()), progress))?;
    scores.write(&args.out)?;
    if !args.quiet {
        let rows: u64 = scores.top.rows().iter().sum();
        say(format_args!("{} scored, the best in {}", several(rows as usize, "row"), args.out.display()));
        say(format_args!(
            "\nNext: vabal pick {} --plan {} -n N, with the scores of all parts",
            args.out.display(),
            args.plan.display()
        ));
    }
    Ok(())
}

/// Writes the scores of all rows while they come.
fn run_all(args: &Score) -> Result<()> {
    all::format(&args.out)?;
    let mut result = Err(Error::Stopped);
    let written = files::write_with(&args.out, |file| {
        result = watched(args.quiet, |progress| {
            let all = All::new(&args.out, std::io::BufWriter::new(file))?;
            let write = Error::io("write", &args.out);
            let put = |slice: usize, names: &[_], scored: &_| {
                all.put(slice, names, scored).map_err(Error::io("write", &args.out))
            };
            let scores = score(args, &put, progress)?;
            all.finish().map_err(write)?;
            Ok(scores.top.rows().iter().sum::<u64>())
        });
        // Why it failed is told below.
        result.as_ref().map(drop).map_err(|error| std::io::Error::other(error.to_string()))
    });
    let rows = result?;
    written?;
    if !args.quiet {
        say(format_args!("the scores of {} in {}", several(rows as usize, "row"), args.out.display()));
    }
    Ok(())
}

fn score(args: &Score, each: &EachSlice<'_>, progress: &mut Progress<'_>) -> Result<Scores> {
    let plan = read_plan(&args.plan)?;
    let mine: Vec<&PathBuf> = match args.part {
        Some((i, k)) => args.parts.iter().skip(i - 1).step_by(k).collect(),
        None => args.parts.iter().collect(),
    };
    let (needs, classes) = (plan.needs(STRATEGIES)?, plan.labelled.len());
    let stream = Stream::new(parts(mine)?, needs).of_widths(Some(classes), plan.features());
    let numbered = args.parts.len() == 1;
    let reading = Reading::new(plan.spec.kind(), needs, Needs::IDS, Classes::Count(classes));
    let mut top = Reading { numbered, ..reading }.score(&stream, &plan, each, progress)?.top;
    top.settle();
    Ok(Scores { plan: plan.digest()?, n: plan.n, top })
}
