//! `vabal shortlist`: the rows of a large pool that strategies may choose from which compare rows
//! with each other.

use std::ffi::OsString;
use std::path::PathBuf;

use vabal::query::Needs;
use vabal::query::arrays::Classes;
use vabal::query::plan::{Collected, Name, Shortlist};
use vabal::{Error, Progress, Result, Seed, Signals};
use vabal_arrays::{Data, write_rows};

use super::parts;
use super::passes::Reading;
use crate::bar::watched;
use crate::commands::rank::pool::path_of;
use crate::commands::stream::Stream;
use crate::output::{say, several};
use crate::place;

/// List the rows of a large pool that are worth ranking
///
/// For strategies that compare rows with each other, such as badge or core-set, which hold the
/// pool. A third of the list are the rows with the smallest margins, as many of each predicted
/// class; a third those next to labelled rows of rare classes; a third random. Without --labelled,
/// or without features, the first and the last are a half each.
///
///   vabal shortlist → vabal rank
#[derive(Debug, clap::Args)]
#[command(
    name = "shortlist",
    verbatim_doc_comment,
    after_help = "Examples:\n  vabal shortlist pool/*.parquet --labelled labelled.parquet -n 100000 --out candidates.parquet\n  \
    vabal rank --unlabelled candidates.parquet --labelled labelled.parquet --strategy badge -n 500 --out picks.csv"
)]
pub struct ShortlistArgs {
    /// Files of the pool, each with the same arrays: probs, ids, and features
    #[arg(required = true, value_name = "PART")]
    pub parts: Vec<PathBuf>,
    /// Files with the arrays of what is labelled, labels among them
    #[arg(long, alias = "labeled", num_args = 1.., value_name = "FILE")]
    pub labelled: Vec<OsString>,
    /// The most candidates
    #[arg(short, long = "number", value_name = "N", default_value_t = 100_000)]
    pub n: usize,
    /// File to write, .parquet
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Of every random draw: the same seed lists the same
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub seed: u64,
    /// Print errors only
    #[arg(long)]
    pub quiet: bool,
}

/// Scans, reads what is on the list, writes.
///
/// # Errors
/// What the library says; parts that cannot be read or do not fit together.
pub fn run(args: &ShortlistArgs) -> Result<()> {
    if args.out.extension().is_none_or(|ending| !ending.eq_ignore_ascii_case("parquet")) {
        return Err(Error::input("unknown file extension")
            .at(format!("--out {}", args.out.display()))
            .expected("a file ending in .parquet")
            .hint("--out candidates.parquet")
            .into());
    }
    let labelled = args.labelled.iter().map(|source| path_of(source));
    place::check(&args.out, args.parts.iter().map(|path| &**path).chain(labelled), "--out")?;
    let (rows, ids, signals) = watched(args.quiet, |progress| list(args, progress))?;
    let mut arrays = vec![("probs", signals.probabilities()?)];
    if let Ok(features) = signals.embedding() {
        arrays.push(("features", features));
    }
    write_rows(&args.out, &ids, &arrays)?;
    if !args.quiet {
        let candidates = several(signals.len(), "candidate");
        say(format_args!("{candidates} of {} in {}", several(rows, "row"), args.out.display()));
        say(format_args!("\nNext: vabal rank --unlabelled {} -n N, with a strategy", args.out.display()));
    }
    Ok(())
}

/// How many rows there are, what those on the list are called, and their arrays.
fn list(args: &ShortlistArgs, progress: &mut Progress<'_>) -> Result<(usize, Data, Signals<'static>)> {
    let both = Needs::PROBABILITIES.and(Needs::EMBEDDING);
    let stream = Stream::new(parts(&args.parts)?, both);
    let mut reading = Reading {
        numbered: stream.parts() == 1,
        ..Reading::new("margin", Needs::PROBABILITIES, Needs::IDS, Classes::Guess)
    };
    if let Some(first) = stream.first()
        && first.pool(false, &Classes::Guess, progress)?.require("", Needs::EMBEDDING, Needs::IDS).is_ok()
    {
        (reading.needs, reading.of_labelled) = (both, Needs::EMBEDDING);
    }
    let classes = reading.labelled(&stream, &args.labelled, progress)?;
    let near = reading.needs == both;
    let labelled = reading.apart.as_ref().filter(|_| near).map(|apart| (&apart.signals, &apart.labels[..]));
    let empty = Shortlist::new(args.n, classes, labelled, Seed::new(args.seed))?;
    let lists = stream.each(
        "scan",
        |_| true,
        || Ok(empty.clone()),
        |list, slice, progress| {
            let (pool, names) = reading.open(slice, progress)?;
            if names.is_empty() {
                return Ok(());
            }
            let rows = slice.signals(&pool, &names, reading.needs, progress)?;
            list.offer(slice.number, &rows).map(drop).map_err(|error| error.inside(slice.place()))
        },
        progress,
    )?;
    let mut all = empty;
    lists.into_iter().for_each(|list| all.merge(list));
    let rows = all.rows();
    let mut found: Vec<(usize, Signals<'static>, Vec<Name>)> = stream
        .each(
            "read",
            |slice| rows.contains_key(&slice),
            || Ok(Vec::new()),
            |found, slice, progress| {
                let (pool, names) = reading.open(slice, progress)?;
                let unlabelled = slice.signals(&pool, &names, reading.needs, progress)?;
                let (rows, mut kept) = (&rows[&slice.number], Collected::default());
                kept.add(&unlabelled, rows)?;
                let names = rows.iter().map(|&row| names[row].clone()).collect();
                found.push((slice.number, kept.signals()?, names));
                Ok(())
            },
            progress,
        )?
        .into_iter()
        .flatten()
        .collect();
    found.sort_unstable_by_key(|(slice, ..)| *slice);
    let mut kept = Collected::default();
    let mut places: Vec<(&Name, usize, usize)> = (found.iter().enumerate())
        .flat_map(|(slice, (.., names))| names.iter().enumerate().map(move |(row, name)| (name, slice, row)))
        .collect();
    places.sort_by(|a, b| a.0.alphabetical(b.0));
    for &(_, slice, row) in &places {
        kept.add(&found[slice].1, &[row])?;
    }
    let names: Vec<&Name> = places.into_iter().map(|(name, ..)| name).collect();
    let numbers: Option<Vec<i64>> = (names.iter())
        .map(|name| match name {
            Name::Number(number) => i64::try_from(*number).ok(),
            Name::Text(..) => None,
        })
        .collect();
    let ids =
        numbers.map_or_else(|| Data::Texts(names.iter().map(ToString::to_string).collect()), Data::Whole);
    let signals = kept.signals()?;
    if signals.is_empty() {
        return Err(Error::input("there is no row to list")
            .at(stream.first().map_or_else(String::new, |first| first.place().to_owned()))
            .expected("at least 1 row without a label")
            .got("0 rows")
            .hint("give −1 (or NaN) as the label of rows to choose from")
            .into());
    }
    Ok((stream.rows, ids, signals))
}
