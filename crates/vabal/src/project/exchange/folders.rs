//! Labels from a folder with one sub-folder per class, with or without `train/` and `test/`, or as
//! `layout` writes it: what lies in which folder, by content, so that copies of a project's
//! images are known again.
//!
//! Never here: pixels.
//!
//! ```no_run
//! use std::path::Path;
//! use vabal::progress::silent;
//! use vabal::project::exchange::folders;
//!
//! let labels = folders::read(Path::new("sorted"), &mut silent())?; // sorted/scratch/1.png, …
//! println!("{} images in class folders", labels.records.len());
//! # Ok::<(), vabal::Error>(())
//! ```

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::columns::{self};
use super::{Act, Answer, Labels, Reading, Record, Source, layout, read_file};
use crate::data::walk;
use crate::error::{Error, Result};
use crate::progress::{Event, Progress, report};

/// Folders deeper than this are refused: something is wrong with them.
const DEEPEST: usize = 64;
/// More files than a project has images.
const MOST_FILES: usize = 10_000_000;
/// Files read between two looks at the progress callback.
const BLOCK: usize = 256;

/// Reads the label of every image below the class folders of `of`: an image is what begins like
/// one. The path of a record is that below `of`, unless a file of vabal there says which path it
/// had. Hidden files, and files beside the class folders, are not looked at; links to folders below
/// a class are not followed. Reports the phase "read" by files.
///
/// # Errors
/// A folder that is missing or has no class folders, a file that cannot be read, more than 1000
/// classes, or [`Error::Stopped`].
pub fn read(of: &Path, progress: &mut Progress<'_>) -> Result<Labels> {
    let classes = class_folders(of)?;
    let (mut files, mut dangling) = (Vec::new(), Vec::new());
    for (class, path) in classes {
        walk(&path, &class, 0, &mut files, &mut dangling)?;
    }
    files.sort_by(|a, b| a.1.cmp(&b.1));
    let said = read_list(of)?;

    let mut labels = Labels::default();
    for path in dangling {
        labels.leave_out(walk::below(of, &path), walk::DANGLING);
    }
    let total = files.len().max(1);
    for (n, block) in files.chunks(BLOCK).enumerate() {
        let hashes: Vec<Option<String>> = block
            .par_iter()
            .map(|(_, path)| image_hash(path).map_err(Error::io("read", path)))
            .collect::<Result<_>>()?;
        for (row, ((class, path), hash)) in block.iter().zip(hashes).enumerate() {
            let line = n * BLOCK + row + 1;
            let below = walk::below(of, path);
            let Some(hash) = hash else {
                labels.leave_out(below, "it is no image");
                continue;
            };
            let known = said.get(&below);
            let (path, class) = match known {
                Some(record) => (record.path.clone(), record.answer.class.clone()),
                None => (below.clone(), Some(class.clone())),
            };
            let answer = Answer {
                answer: line as i64,
                person: None,
                at: None,
                act: Act::Label,
                class,
                undoes: None,
                seconds: None,
                suggested: None,
                source: Source::Import,
                token: None,
            };
            let holdout = known.and_then(|record| record.holdout);
            labels.records.push(Record {
                line,
                path,
                file: Some(below),
                hash: Some(hash),
                holdout,
                answer,
                probabilities: Vec::new(),
            });
        }
        let done = (n * BLOCK + block.len()).min(total);
        report(progress, Event::Progress { phase: "read", done, total, unit: "file", loss: None })?;
    }
    columns::finish(labels).map_err(|error| error.inside(of.display()))
}

/// The class folders of a folder, or of its parts if it has `train/` with folders in it.
fn class_folders(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let folders = |of: &Path| -> Result<Vec<(String, PathBuf)>> {
        Ok(entries(of)?.into_iter().filter(|(_, path)| path.is_dir()).collect())
    };
    let top = folders(folder)?;
    let split = top.iter().find(|(name, _)| name == "train").map(|(_, path)| folders(path)).transpose()?;
    let classes = match split {
        Some(inside) if !inside.is_empty() => {
            let mut classes = Vec::new();
            for (name, path) in &top {
                if ["train", "test", "val", "valid", "validation"].contains(&name.as_str()) {
                    classes.extend(folders(path)?);
                }
            }
            classes
        }
        _ => top,
    };
    if classes.is_empty() {
        return Err(Error::input("a folder without class folders")
            .at(folder.display())
            .expected("a sub-folder for each class, with its images")
            .got("no sub-folder")
            .hint("labels in a file are read from that file")
            .into());
    }
    Ok(classes)
}

/// What lies in a folder and is not hidden, by name.
fn entries(of: &Path) -> Result<Vec<(String, PathBuf)>> {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(walk::listed(of)?.into_iter().map(|path| (name(&path), path)).collect())
}

fn walk(
    of: &Path,
    class: &str,
    depth: usize,
    files: &mut Vec<(String, PathBuf)>,
    dangling: &mut Vec<PathBuf>,
) -> Result<()> {
    if depth > DEEPEST || files.len() > MOST_FILES {
        return Err(Error::input("a folder that is too deep or too full")
            .at(of.display())
            .expected(format!("at most {DEEPEST} folders in each other, {MOST_FILES} files"))
            .into());
    }
    for path in walk::listed(of)? {
        let Some(data) = walk::metadata(&path).map_err(Error::io("read", &path))? else {
            dangling.push(path);
            continue;
        };
        if data.is_dir() && !path.is_symlink() {
            walk(&path, class, depth + 1, files, dangling)?;
        } else if data.is_file() {
            files.push((class.to_owned(), path));
        }
    }
    Ok(())
}

/// What the lists that vabal lays beside class folders say, by the path of the file below the
/// folder.
fn read_list(folder: &Path) -> Result<HashMap<String, Record>> {
    let mut said = HashMap::new();
    for list in layout::LISTS {
        let path = folder.join(list);
        if !path.is_file() {
            continue;
        }
        // Lists of others may have other columns: the folders speak for themselves.
        let Ok(labels) = read_file(&path, None, &Reading::default()) else { continue };
        let base = list.rsplit_once('/').map_or("", |(base, _)| base);
        for record in labels.records {
            let Some(file) = &record.file else { continue };
            let file = if base.is_empty() { file.clone() } else { format!("{base}/{file}") };
            said.insert(file, record);
        }
    }
    Ok(said)
}

/// SHA-256 of a file, if it begins like an image.
fn image_hash(path: &Path) -> io::Result<Option<String>> {
    let mut file = File::open(path)?;
    let mut start = Vec::with_capacity(64);
    (&mut file).take(64).read_to_end(&mut start)?;
    if image::guess_format(&start).is_err() {
        return Ok(None);
    }
    let mut hash = Sha256::new_with_prefix(&start);
    io::copy(&mut file, &mut Hashing(&mut hash, io::sink()))?;
    Ok(Some(hex(hash)))
}

/// SHA-256 of a file's content.
pub(super) fn file_hash(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut Hashing(&mut hash, io::sink()))?;
    Ok(hex(hash))
}

/// Writes on and adds to a sum.
pub(super) struct Hashing<'a, W>(pub &'a mut Sha256, pub W);

impl<W: io::Write> io::Write for Hashing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.1.write(bytes)?;
        self.0.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.1.flush()
    }
}

/// A finished sum in hexadecimal digits.
pub(super) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
