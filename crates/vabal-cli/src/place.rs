//! Whether a file may be written where it is to be, told before any work.
//!
//! Never here: writing it.

use std::io::ErrorKind;
use std::path::Path;

use vabal::{Error, Result};

/// Checks that a file can be written at `path`, and that it is not one of `inputs`; `other` is the
/// option that names another place.
///
/// # Errors
/// A folder in its place, a folder that cannot be written to, an input.
pub fn check<'a>(path: &Path, inputs: impl IntoIterator<Item = &'a Path>, other: &str) -> Result<()> {
    if path.is_dir() {
        return Err(Error::io("write", path)(ErrorKind::IsADirectory.into()));
    }
    let same =
        |input: &&Path| matches!((input.canonicalize(), path.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if let Some(input) = inputs.into_iter().find(same) {
        return Err(Error::input("a file would be written over one that is read")
            .at(path.display())
            .expected("another file")
            .got(input.display())
            .hint(format!("choose another {other}"))
            .into());
    }
    // The nearest folder that is there: those below it are made when the file is written.
    let folders = path.ancestors().skip(1).map(|f| if f.as_os_str().is_empty() { Path::new(".") } else { f });
    let folder = folders.into_iter().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    tempfile::tempfile_in(folder).map(drop).map_err(Error::io("write", path))
}
