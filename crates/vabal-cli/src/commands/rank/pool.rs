//! The arrays of a user's files as a group of a pool: which files, under which names.
//!
//! Never here: how a file holds an array, which arrays a strategy needs, what their values may be.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

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

/// Files with the same arrays: the parts of one pool.
struct Parts {
    names: BTreeSet<Name>,
    paths: Vec<PathBuf>,
    files: Vec<Vec<Entry>>,
}

impl Parts {
    /// Whether a file with arrays of these names is one more part.
    fn take(&self, names: &BTreeSet<Name>, path: &Path, found: &[Entry]) -> bool {
        // Nothing twice: neither an array under two names, nor a file.
        let once =
            |entries: &[Entry]| entries.iter().filter(|e| Name::of(&e.name).is_some()).count() == names.len();
        !names.is_empty()
            && self.names == *names
            && !self.paths.iter().any(|known| known == path)
            && once(found)
            && once(&self.files[0])
    }

    /// The arrays of all files, those of the same name one behind another.
    fn arrays(self) -> Result<Vec<Array>> {
        let mut files = self.files.into_iter();
        let mut parts: Vec<Vec<Entry>> =
            files.next().into_iter().flatten().map(|entry| vec![entry]).collect();
        for entry in files.flatten() {
            let name = Name::of(&entry.name);
            if let Some(part) =
                parts.iter_mut().find(|part| name.is_some() && Name::of(&part[0].name) == name)
            {
                part.push(entry);
            }
        }
        let array = |entry: Entry| {
            let (name, shape, place) = (entry.name.clone(), entry.shape.clone(), entry.place.clone());
            Array::from_source(&name, shape, entry).at(place)
        };
        let joined = parts.into_iter().map(|part| {
            let mut part: Vec<Array> = part.into_iter().map(array).collect();
            if part.len() > 1 { Array::joined(part) } else { Ok(part.remove(0)) }
        });
        joined.collect()
    }
}

/// Opens what `--unlabelled` or `--labelled` names: files, or `NAME=FILE` for the one array of a
/// file. Files with the same arrays are the parts of one pool, in the order in which they are
/// named.
///
/// # Errors
/// A file that cannot be read, or of several arrays where one is meant.
pub fn group(sources: &[OsString]) -> Result<Group> {
    let (all, places) = gathered(sources)?;
    let arrays: Result<Vec<Vec<Array>>> = all.into_iter().map(Parts::arrays).collect();
    Ok(Group::new(arrays?.into_iter().flatten().collect()).at(places.join(", ")))
}

/// The place of a part and its arrays.
pub type Part = (String, Vec<Entry>);

/// The same part by part, each with its place and its arrays; `None` where arrays of several parts
/// stand beside others.
///
/// # Errors
/// As [`group`].
pub fn parts(sources: &[OsString]) -> Result<Option<Vec<Part>>> {
    let (mut all, places) = gathered(sources)?;
    if all.len() == 1 {
        return Ok(all.pop().map(|parts| places.into_iter().zip(parts.files).collect()));
    }
    let side_by_side = all.iter().all(|parts| parts.files.len() == 1);
    let entries = || all.into_iter().flat_map(|parts| parts.files).flatten().collect();
    Ok(side_by_side.then(|| vec![(places.join(", "), entries())]))
}

/// The files with the same arrays, and the place of each file.
fn gathered(sources: &[OsString]) -> Result<(Vec<Parts>, Vec<String>)> {
    let mut all: Vec<Parts> = Vec::new();
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
        let names: BTreeSet<Name> = found.iter().filter_map(|entry| Name::of(&entry.name)).collect();
        let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        match all.iter_mut().find(|parts| parts.take(&names, &whole, &found)) {
            Some(parts) => {
                parts.paths.push(whole);
                parts.files.push(found);
            }
            None => all.push(Parts { names, paths: vec![whole], files: vec![found] }),
        }
    }
    Ok((all, places))
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
    Err(Error::input("ambiguous array")
        .at(path.display())
        .expected(format!("a file with one array, or with one called {name}"))
        .got("several")
        .hint("give the file without a name before it")
        .into())
}
