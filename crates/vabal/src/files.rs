//! Writing files so that no half-written one is ever visible: a temporary name, flushed to the disk, then
//! renamed. The one place of the library that does this. Never here: what is in the files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Writes a file whole or not at all, and creates the folders above it.
///
/// # Errors
/// A folder that cannot be created, a file that cannot be written. What was at `path` before is then kept,
/// and no temporary file stays.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// The same for content that is not in memory in one piece: `fill` writes it.
///
/// # Errors
/// As [`write()`], and what `fill` says.
pub fn write_with(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let part = part(path);
    let written = (|| {
        let mut file = File::create(&part)?;
        fill(&mut file)?;
        file.sync_all()?;
        fs::rename(&part, path)
    })();
    written.map_err(|source| {
        // The write has failed already: a part that cannot be removed either changes nothing of that.
        let _ = fs::remove_file(&part);
        Error::io("write", path)(source)
    })
}

/// Beside the final name, because a rename works within one file system only; hidden, so that whoever lists
/// the folder meanwhile does not take it for a result; and of this process, because two may write the same.
fn part(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/a.txt");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(&folder.path().join("new")), ["a.txt"]);
    }

    #[test]
    fn a_write_that_breaks_off_keeps_the_old_file_and_leaves_no_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write(&path, b"old").unwrap();
        let error = write_with(&path, |file| {
            file.write_all(b"half of the n")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        let text = error.unwrap_err().to_string();
        assert!(text.contains("a.txt") && text.contains("hint: free some space"), "{text}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn a_folder_in_the_place_of_the_file_is_an_error_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        let error = write(&path, b"x").unwrap_err().to_string();
        assert!(error.contains("taken"), "{error}");
        assert_eq!(names(folder.path()), ["taken"]);
    }

    #[test]
    fn a_file_where_a_folder_is_needed_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), b"").unwrap();
        assert!(write(&folder.path().join("file/a.txt"), b"x").is_err());
    }
}
