//! `vabal plan`, `vabal score`, `vabal pick` and `vabal shortlist`: a pool of any size, part by part.
//!
//! Never here: how a plan is made, how rows are scored (`vabal::query::plan`).

mod all;
pub mod passes;
mod pick;
mod plan;
mod score;
mod scores;
mod shortlist;

use std::fs;
use std::path::{Path, PathBuf};

use vabal::query::plan::Plan;
use vabal::{Error, Result};
use vabal_arrays::Entry;

use super::rank::pool as rank;
pub use pick::Pick;
pub use plan::PlanArgs;
pub use score::Score;
pub use shortlist::ShortlistArgs;

/// Makes a plan.
///
/// # Errors
/// What the library says; files that cannot be read or written.
pub fn plan(args: &PlanArgs) -> Result<()> {
    plan::run(args)
}

/// Scores parts.
///
/// # Errors
/// What the library says; files that cannot be read or written.
pub fn score(args: &Score) -> Result<()> {
    score::run(args)
}

/// Picks the best of all parts.
///
/// # Errors
/// What the library says; files that cannot be read or written.
pub fn pick(args: &Pick) -> Result<()> {
    pick::run(args)
}

/// Writes a shortlist.
///
/// # Errors
/// What the library says; files that cannot be read or written.
pub fn shortlist(args: &ShortlistArgs) -> Result<()> {
    shortlist::run(args)
}

/// The arrays of each part, and where they are.
fn parts<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> Result<Vec<(String, Vec<Entry>)>> {
    let of = |path: &PathBuf| Ok(rank::parts(&[path.into()])?.unwrap_or_default());
    Ok(paths.into_iter().map(of).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Reads the file of a plan.
fn read_plan(path: &Path) -> Result<Plan> {
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    Plan::from_bytes(&bytes, &path.display().to_string())
}
