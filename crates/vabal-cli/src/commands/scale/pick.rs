//! `vabal pick`: the best of all parts.

use std::path::PathBuf;

use vabal::query::plan::{Candidate, Name};
use vabal::{Error, Result};
use vabal_arrays::Data;

use super::read_plan;
use super::scores::Scores;
use crate::output::{say, several};
use crate::place;
use crate::table::{self, Format};

/// Pick the best rows of all scored parts
///
/// What `vabal rank` picks, in the same table: rank, id, score, and the terms behind it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vabal pick scores-*.jsonl --plan pool.plan -n 10000 --out picks.csv")]
pub struct Pick {
    /// What `vabal score` wrote, of every part once
    #[arg(required = true, value_name = "SCORES")]
    pub scores: Vec<PathBuf>,
    /// What `vabal plan` wrote
    #[arg(long, value_name = "FILE")]
    pub plan: PathBuf,
    /// How many to pick; as many as the plan may if not given
    #[arg(short, long = "number", value_name = "N")]
    pub n: Option<usize>,
    /// File for the picks, .csv, .jsonl, .ndjson or .parquet
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Print errors only
    #[arg(long)]
    pub quiet: bool,
}

/// Joins, picks, writes.
///
/// # Errors
/// Scores that cannot be read, or are of another plan; what the library says.
pub fn run(args: &Pick) -> Result<()> {
    let format = Format::of(&args.out)?;
    place::check(&args.out, args.scores.iter().chain([&args.plan]).map(|path| &**path), "--out")?;
    let plan = read_plan(&args.plan)?;
    let digest = plan.digest()?;
    let mut all = plan.top_of(vabal::STRATEGIES)?;
    for path in &args.scores {
        let scores = Scores::read(path)?;
        if scores.plan != digest {
            return Err(Error::input("these scores are of another plan")
                .at(path.display())
                .expected(format!("the plan {}…", &digest[..8]))
                .got(format!("{}…", scores.plan.chars().take(8).collect::<String>()))
                .hint("score all parts with the plan that you pick with")
                .into());
        }
        all.merge(scores.top)?;
    }
    let rows: u64 = all.rows().iter().sum();
    let n = args.n.unwrap_or(plan.n);
    let terms = all.terms().to_vec();
    let picks = all.finish(n, &plan.labelled)?;
    vabal::files::write(&args.out, &table::bytes(format, &columns(&picks, &terms))?)?;
    if !args.quiet {
        say(format_args!(
            "{} of {} in {}",
            several(picks.len(), "pick"),
            several(rows as usize, "row"),
            args.out.display()
        ));
        if picks.len() < n {
            crate::output::complain(format_args!("warning: asked for {n}, and there are no more"));
        }
    }
    Ok(())
}

/// The columns of [`table::picks`].
fn columns<'a>(picks: &[Candidate], terms: &'a [String]) -> Vec<(&'a str, Data)> {
    let numbers: Option<Vec<i64>> = (picks.iter())
        .map(|pick| match pick.name {
            Name::Number(number) => i64::try_from(number).ok(),
            Name::Text(..) => None,
        })
        .collect();
    let ids = numbers
        .map_or_else(|| Data::Texts(picks.iter().map(|pick| pick.name.to_string()).collect()), Data::Whole);
    let of = |(place, name): (usize, &'a String)| {
        (name.as_str(), picks.iter().map(|pick| pick.terms[place]).collect())
    };
    table::picks(ids, picks.iter().map(|pick| pick.score).collect(), terms.iter().enumerate().map(of))
}
