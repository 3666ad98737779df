//! `vabal plan`, `vabal score` and `vabal pick`: a pool of any size, part by part.
//!
//! Never here: how a plan is made, how rows are scored (`vabal::query::plan`).

mod pick;
mod plan;
mod score;
mod scores;

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use vabal::query::arrays::{Classes, Group, Names, Pool};
use vabal::query::plan::{Name, Plan};
use vabal::{Error, Id, Progress, Result};

use super::rank::pool::group;
pub use pick::Pick;
pub use plan::PlanArgs;
pub use score::Score;

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

/// One part of a pool.
struct Part {
    pool: Pool,
    /// What its candidates are called.
    names: Vec<Name>,
}

impl Part {
    /// Opens the file of a part; `alone` says that there is no other, so that rows may be called by
    /// their numbers.
    fn open(
        path: &Path,
        labelled: Option<Group>,
        classes: &Classes,
        alone: bool,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let pool = Pool::new(group(&[OsString::from(path)])?, labelled, classes, progress)?;
        let names = match pool.candidate_names() {
            Some(Names::Texts(texts)) => texts.iter().map(|text| Name::text(text)).collect(),
            Some(Names::Numbers(numbers)) => numbers
                .iter()
                .map(|&number| {
                    Id::try_from(number).map(Name::Number).map_err(|_| -> Error {
                        Error::input("an id is below 0")
                            .at(path.display())
                            .expected("whole numbers from 0, or texts")
                            .got(number)
                            .hint("give the rows other numbers, or their names as texts")
                            .into()
                    })
                })
                .collect::<Result<_>>()?,
            None if alone => {
                let needs = vabal::query::Needs::IDS;
                let rows = pool.signals(needs, needs, progress)?.0.ids().to_vec();
                rows.into_iter().map(Name::Number).collect()
            }
            None => {
                return Err(Error::input("a part without ids")
                    .at(path.display())
                    .expected("an array ids, whole numbers or texts, unlike in all parts")
                    .got("none")
                    .hint("row numbers are the same in every part: save ids with each")
                    .into());
            }
        };
        Ok(Self { pool, names })
    }
}

/// Reads the file of a plan.
fn read_plan(path: &Path) -> Result<Plan> {
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    Plan::from_bytes(&bytes, &path.display().to_string())
}
