//! The arrays of a user's files as a group of a pool: which files, under which names.
//!
//! Never here: how a file holds an array, which arrays a strategy needs, what their values may be.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use vabal::query::arrays::{Array, Group, Name};
use vabal::{Error, Result};
use vabal_arrays::{Entry, open};

/// The name and the path of `features=FILE`; a name that is none is a part of the path.
fn named(source: &OsStr) -> Option<(&str, &Path)> {
    let (name, path) = source.to_str()?.split_once('=')?;
    Name::of(name)?;
    Some((name, Path::new(path)))
}

/// The file that a source is read from.
pub fn path_of(source: &OsStr) -> &Path {
    named(source).map_or_else(|| Path::new(source), |(_, path)| path)
}

/// Opens what `--unlabelled` or `--labelled` names: files, or `NAME=FILE` for the one array of a file.
///
/// # Errors
/// A file that cannot be read, or of several arrays where one is meant.
pub fn group(sources: &[OsString]) -> Result<Group> {
    let mut all = Vec::new();
    let mut places = Vec::new();
    for source in sources {
        let path = path_of(source);
        let mut found = open(path)?;
        places.push(path.display().to_string());
        if let Some((name, _)) = named(source) {
            found = one(found, name, path)?;
        } else if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy")) {
            for entry in &mut found {
                // An array alone that is called anything is what most would give: features.
                if Name::of(&entry.name).is_none() && entry.shape.len() == 2 && entry.dtype.is_float() {
                    entry.name = "features".into();
                }
            }
        }
        all.extend(found.into_iter().map(|entry| {
            let (name, shape, place) = (entry.name.clone(), entry.shape.clone(), entry.place.clone());
            Array::from_source(&name, shape, entry).at(place)
        }));
    }
    Ok(Group::new(all).at(places.join(", ")))
}

/// The array of a file that `name=` stands before.
fn one(mut found: Vec<Entry>, name: &str, path: &Path) -> Result<Vec<Entry>> {
    if found.len() > 1 {
        found.retain(|entry| Name::of(&entry.name) == Name::of(name));
    }
    if let [entry] = &mut found[..] {
        entry.name = name.to_owned();
        return Ok(found);
    }
    Err(Error::input("it is not clear which array is meant")
        .at(path.display())
        .expected(format!("a file with one array, or with one called {name}"))
        .got("several")
        .hint("give the file without a name before it")
        .into())
}
