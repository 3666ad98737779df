//! The picks as a table; and whether a file of them may be written.

use std::path::Path;

use vabal::query::arrays::Names;
use vabal::{Error, Result, Selection};
use vabal_arrays::Data;

use super::Rank;
use crate::{place, table};

/// Checks before any work that a file can be written, and that it is none of those that are read.
///
/// # Errors
/// A folder in its place, a folder that cannot be written to, an input.
pub fn check_place(path: &Path, args: &Rank) -> Result<()> {
    let inputs = args.unlabelled.iter().chain(&args.labelled).map(|source| super::pool::path_of(source));
    place::check(path, inputs.chain(args.model.as_deref()), "--out or --model-out")?;
    // Of files that may not be there yet: the folder, and the name.
    let whole = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        (
            folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf()),
            path.file_name().map(ToOwned::to_owned),
        )
    };
    if args.out.as_deref().zip(args.model_out.as_deref()).is_some_and(|(a, b)| whole(a) == whole(b)) {
        return Err(Error::input("--out and --model-out are the same file")
            .at(path.display())
            .expected("two files")
            .got("one")
            .hint("choose another --model-out")
            .into());
    }
    Ok(())
}

/// What was chosen.
#[derive(Debug)]
pub struct Picks<'a> {
    /// What the chosen rows are called.
    pub names: Names,
    pub selection: &'a Selection,
}

impl Picks<'_> {
    /// The columns of [`table::picks`].
    pub fn columns(&self) -> Vec<(&'static str, Data)> {
        let names = match &self.names {
            Names::Texts(texts) => Data::Texts(texts.clone()),
            Names::Numbers(numbers) => Data::Whole(numbers.clone()),
        };
        let terms = self.selection.terms.iter().map(|term| (term.name, term.values.clone()));
        table::picks(names, self.selection.scores.clone(), terms)
    }
}
