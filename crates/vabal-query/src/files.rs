//! Writing files so that no half-written one is ever visible: a temporary name, flushed to the
//! disk, then renamed. The one place of the library that does this. Never here: what is in the
//! files.
//!
//! ```
//! use vabal_query::files;
//!
//! let folder = std::env::temp_dir().join(format!("vabal-example-{}", std::process::id()));
//! files::write(&folder.join("picks.csv"), b"id\n7\n")?;
//! assert_eq!(std::fs::read(folder.join("picks.csv")).ok().as_deref(), Some(&b"id\n7\n"[..]));
//! # std::fs::remove_dir_all(folder).ok();
//! # Ok::<(), vabal_query::Error>(())
//! ```

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Writes a file whole or not at all, and creates the folders above it.
///
/// # Errors
/// A folder that cannot be created, a file that cannot be written. What was at `path` before is
/// then kept, and no temporary file stays.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// Writes several files as one: all of them under temporary names, each flushed, and only then, in
/// this order, renamed. A disk that is full leaves what was there before, and not a mix of old and
/// new.
///
/// # Errors
/// As [`write()`]; a folder in the place of a file, before anything is written. No temporary file
/// stays, and no folder that was created for one.
pub fn write_all<'a>(all: impl IntoIterator<Item = (PathBuf, &'a [u8])>) -> Result<()> {
    let all: Vec<(PathBuf, &[u8])> = all.into_iter().collect();
    if let Some((path, _)) = all.iter().find(|(path, _)| path.is_dir()) {
        return Err(Error::io("write", path)(io::ErrorKind::IsADirectory.into()));
    }
    let mut made = Vec::new();
    let written = (|| {
        for (path, bytes) in &all {
            let folder = folder_of(path);
            let new: Vec<&Path> =
                folder.ancestors().take_while(|f| !f.as_os_str().is_empty() && !f.exists()).collect();
            fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
            made.extend(new.into_iter().rev().map(Path::to_path_buf));
            flushed(&part(path), |file| file.write_all(bytes)).map_err(Error::io("write", path))?;
        }
        for (path, _) in &all {
            fs::rename(part(path), path).map_err(Error::io("write", path))?;
        }
        Ok(())
    })();
    if written.is_err() {
        // The write has failed already: what cannot be removed changes nothing of that. A folder
        // that holds something stays.
        for (path, _) in &all {
            let _ = fs::remove_file(part(path));
        }
        for folder in made.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
    written
}

/// [`write()`] for content that is not in memory in one piece: `fill` writes it.
///
/// # Errors
/// As [`write()`], and what `fill` says.
pub fn write_with(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let folder = folder_of(path);
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let part = part(path);
    let written = flushed(&part, fill).and_then(|()| fs::rename(&part, path));
    written.map_err(|source| {
        // The write has failed already: a part that cannot be removed either changes nothing of
        // that.
        let _ = fs::remove_file(&part);
        Error::io("write", path)(source)
    })
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn flushed(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut file = File::create(path)?;
    fill(&mut file)?;
    file.sync_all()
}

/// Beside the final name, because a rename works within one file system only; hidden, so that
/// whoever lists the folder meanwhile does not take it for a result; and of this process, because
/// two may write the same.
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
    fn several_files_are_all_new_or_all_old() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a.txt"), folder.path().join("deep/er/b.txt"));
        write_all([(a.clone(), b"old".as_slice()), (b.clone(), b"old")]).unwrap();
        assert_eq!((fs::read(&a).unwrap(), fs::read(&b).unwrap()), (b"old".to_vec(), b"old".to_vec()));
        write_all([(a.clone(), b"new".as_slice()), (b.clone(), b"new")]).unwrap();
        assert_eq!(fs::read(&b).unwrap(), b"new");
        // A file in the way of a folder, and a folder in the way of a file.
        let below = a.join("c.txt");
        let fresh = folder.path().join("fresh/d.txt");
        for wrong in [below, folder.path().join("deep")] {
            let all = [(a.clone(), b"newest".as_slice()), (fresh.clone(), b"x"), (wrong, b"x")];
            assert!(write_all(all).is_err());
            assert_eq!(fs::read(&a).unwrap(), b"new");
            let mut left = names(folder.path());
            left.sort();
            assert_eq!(left, ["a.txt", "deep"]);
        }
    }

    #[test]
    fn a_file_where_a_folder_is_needed_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), b"").unwrap();
        assert!(write(&folder.path().join("file/a.txt"), b"x").is_err());
    }
}
