//! The picks as a table: rank, id, score, and the terms behind it; and whether a file of them may be written.

use std::path::Path;

use vabal::query::arrays::Names;
use vabal::query::term;
use vabal::{Error, Result, Selection};
use vabal_arrays::Data;

use super::Rank;

/// Checks before any work that a file can be written, and that it is none of those that are read.
///
/// # Errors
/// A folder in its place, a folder that cannot be written to, an input.
pub fn check_place(path: &Path, args: &Rank) -> Result<()> {
    if path.is_dir() {
        return Err(Error::io("write", path)(std::io::ErrorKind::IsADirectory.into()));
    }
    let inputs = args.unlabelled.iter().chain(&args.labelled).map(|source| super::pool::path_of(source));
    let same = |input: &Path| matches!((input.canonicalize(), path.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if let Some(input) = inputs.chain(args.model.as_deref()).find(|input| same(input)) {
        return Err(Error::input("a file would be written over one that is read")
            .at(path.display())
            .expected("another file")
            .got(input.display())
            .hint("choose another --out or --model-out")
            .into());
    }
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
    // The nearest folder that is there: those below it are made when the file is written.
    let folders = path.ancestors().skip(1).map(|f| if f.as_os_str().is_empty() { Path::new(".") } else { f });
    let folder = folders.into_iter().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    tempfile::tempfile_in(folder).map(drop).map_err(Error::io("write", path))
}

/// What was chosen.
#[derive(Debug)]
pub struct Picks<'a> {
    /// What the chosen rows are called.
    pub names: Names,
    pub selection: &'a Selection,
}

impl Picks<'_> {
    /// The columns: rank, id, score, and the terms.
    pub fn columns(&self) -> Vec<(&'static str, Data)> {
        let Selection { ids, scores, terms, .. } = self.selection;
        let names = match &self.names {
            Names::Texts(texts) => Data::Texts(texts.clone()),
            Names::Numbers(numbers) => Data::Whole(numbers.clone()),
        };
        let ranks = (1..=ids.len() as i64).collect();
        let mut columns =
            vec![("rank", Data::Whole(ranks)), ("id", names), ("score", Data::Real(scores.clone()))];
        columns.extend(terms.iter().map(|term| {
            let whole = term::is_class(term.name) && term.values.iter().all(|value| value.fract() == 0.0);
            let values = &term.values;
            let whole = whole.then(|| Data::Whole(values.iter().map(|&value| value as i64).collect()));
            (term.name, whole.unwrap_or_else(|| Data::Real(values.clone())))
        }));
        columns
    }
}
