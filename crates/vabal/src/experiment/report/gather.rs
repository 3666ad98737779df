//! Several run folders become experiments: those of one configuration are joined, others stand side
//! by side.

use std::path::{Path, PathBuf};

use super::section::Experiment;
use crate::error::{Error, Result};
use crate::experiment::{self, thumbnail};

/// Keys of a configuration that say which runs to make, and not how: folders that differ in these
/// alone are parts of one experiment.
const WHICH: [&str; 4] = ["name", "strategies", "seeds", "device"];

/// Reads run folders, finished or not, with their thumbnails, and joins what belongs together.
///
/// # Errors
/// A folder that holds no run, a store that is damaged or of a newer version, a thumbnail that is
/// no picture, or the same run in two folders.
pub fn read(folders: &[PathBuf]) -> Result<Vec<Experiment>> {
    let one = |folder: &PathBuf| Ok((folder.clone(), read_one(folder)?));
    join(folders.iter().map(one).collect::<Result<_>>()?)
}

fn read_one(folder: &Path) -> Result<Experiment> {
    let (summary, runs) = experiment::read(folder)?;
    let rounds = runs.iter().flat_map(|run| &run.rounds);
    let shown = rounds.flat_map(|round| round.picks.iter().take(thumbnail::PER_ROUND));
    let mut thumbnails = std::collections::BTreeMap::new();
    for pick in shown {
        if let Some(picture) = thumbnail::read(folder, pick.id)? {
            thumbnails.insert(pick.id, picture);
        }
    }
    Ok(Experiment { summary, runs, thumbnails })
}

/// Joins experiments of the same data and the same configuration but for which runs it makes.
///
/// # Errors
/// The same strategy and seed in two folders that would be joined.
pub fn join(given: Vec<(PathBuf, Experiment)>) -> Result<Vec<Experiment>> {
    let mut joined: Vec<Vec<(PathBuf, Experiment)>> = Vec::new();
    for (folder, experiment) in given {
        let fits =
            |group: &&mut Vec<(PathBuf, Experiment)>| group.iter().all(|(_, other)| same(other, &experiment));
        match joined.iter_mut().find(fits) {
            Some(group) => {
                for (first, other) in group.iter() {
                    refuse_twice((first.as_path(), other), (folder.as_path(), &experiment))?;
                }
                group.push((folder, experiment));
            }
            None => joined.push(vec![(folder, experiment)]),
        }
    }
    Ok(joined.into_iter().filter_map(|group| group.into_iter().map(|(_, part)| part).reduce(add)).collect())
}

fn refuse_twice(first: (&Path, &Experiment), second: (&Path, &Experiment)) -> Result<()> {
    let twice = second.1.runs.iter().find(|run| {
        first.1.runs.iter().any(|other| other.strategy == run.strategy && other.seed == run.seed)
    });
    match twice {
        None => Ok(()),
        Some(run) => Err(Error::input("duplicate run")
            .at(format!("{} and {}", first.0.display(), second.0.display()))
            .expected("each strategy and seed in one folder")
            .got(format!("strategy {} with seed {} in both", run.strategy, run.seed))
            .hint("leave one of the two folders out")
            .into()),
    }
}

fn add(mut whole: Experiment, part: Experiment) -> Experiment {
    whole.runs.extend(part.runs);
    whole.thumbnails.extend(part.thumbnails);
    whole.summary.config += &format!("\n# Joined with the runs of:\n\n{}", part.summary.config);
    for line in part.summary.machine {
        if !whole.summary.machine.contains(&line) {
            whole.summary.machine.push(line);
        }
    }
    whole
}

fn same(a: &Experiment, b: &Experiment) -> bool {
    let (x, y) = (&a.summary, &b.summary);
    (&x.data, &x.classes, &x.pool_counts, &x.test_counts, &x.rare)
        == (&y.data, &y.classes, &y.pool_counts, &y.test_counts, &y.rare)
        && agree(&x.config, &y.config)
}

/// Whether two configurations make runs that can be compared: equal but for [`WHICH`] runs they
/// make, and with the same settings for every strategy that both have. Text that is no TOML must be
/// equal.
fn agree(a: &str, b: &str) -> bool {
    let (Ok(mut a), Ok(mut b)) = (a.parse::<toml::Table>(), b.parse::<toml::Table>()) else { return a == b };
    let settings = |table: &mut toml::Table| match table.remove("strategy") {
        Some(toml::Value::Table(settings)) => settings,
        _ => toml::Table::new(),
    };
    let (mine, yours) = (settings(&mut a), settings(&mut b));
    for key in WHICH {
        a.remove(key);
        b.remove(key);
    }
    a == b && mine.iter().all(|(name, value)| yours.get(name).is_none_or(|other| other == value))
}
