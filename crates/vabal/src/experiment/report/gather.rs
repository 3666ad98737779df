//! Several run folders become experiments: those of one configuration are joined, others stand side by side.

use std::path::PathBuf;

use super::section::Experiment;
use crate::error::{Error, Result};

/// Keys of a configuration that say which runs to make, and not how: folders that differ in these alone
/// are parts of one experiment.
const WHICH: [&str; 4] = ["name", "strategies", "seeds", "device"];

/// Joins experiments of the same data and the same configuration but for `WHICH` runs it makes.
///
/// # Errors
/// The same strategy and seed in two folders that would be joined.
pub fn join(given: Vec<(PathBuf, Experiment)>) -> Result<Vec<Experiment>> {
    let mut joined: Vec<(PathBuf, Experiment)> = Vec::new();
    for (folder, experiment) in given {
        let Some((first, whole)) = joined.iter_mut().find(|(_, other)| same(other, &experiment)) else {
            joined.push((folder, experiment));
            continue;
        };
        for run in experiment.runs {
            if whole.runs.iter().any(|other| other.strategy == run.strategy && other.seed == run.seed) {
                return Err(Error::input("the same run is given twice")
                    .at(format!("{} and {}", first.display(), folder.display()))
                    .expected("each strategy and seed in one folder")
                    .got(format!("strategy {} with seed {} in both", run.strategy, run.seed))
                    .hint("leave one of the two folders out")
                    .into());
            }
            whole.runs.push(run);
        }
        whole.thumbnails.extend(experiment.thumbnails);
    }
    Ok(joined.into_iter().map(|(_, experiment)| experiment).collect())
}

fn same(a: &Experiment, b: &Experiment) -> bool {
    let (x, y) = (&a.summary, &b.summary);
    (&x.data, &x.classes, &x.pool_counts, &x.test_counts, &x.rare)
        == (&y.data, &y.classes, &y.pool_counts, &y.test_counts, &y.rare)
        && rest(&x.config) == rest(&y.config)
}

/// The configuration without [`WHICH`], in a canonical form; text that is no TOML is compared as it is.
fn rest(config: &str) -> String {
    let Ok(mut table) = config.parse::<toml::Table>() else { return config.into() };
    for key in WHICH {
        table.remove(key);
    }
    table.to_string()
}
