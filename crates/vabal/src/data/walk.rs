//! Which files of a folder may be images, and what they are known by.
//!
//! Never here: decoding them.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use image::ImageFormat;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::folder;
use crate::error::{Complaint, Error, Result};

/// The file in the folder of a labelling project.
pub(crate) const PROJECT: &str = "project.sqlite";
/// Folders that the program makes beside it.
const MADE: [&str; 3] = ["thumbs", "cache", "features"];

/// A file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bad {
    /// Below the folder of images.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// The entries of a folder at or below `root`, without those of a labelling project, whose thumbnails are not the user's
/// images: a project's folder is left out as a whole, or, where it is `root` itself, what the program writes there.
pub(crate) fn entries(root: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut entries = folder::entries(folder)?;
    if folder.join(PROJECT).is_file() {
        entries.retain(|entry| folder == root && !MADE.iter().any(|made| entry.ends_with(made)));
    }
    Ok(entries)
}

/// The files in `root` and below that are, or claim to be, images, by path; and folders that cannot be read. Hidden files and the
/// folders of projects are left out, links to folders not followed.
pub(crate) fn images(root: &Path) -> Result<(Vec<PathBuf>, Vec<Bad>)> {
    let (mut paths, mut bad) = (Vec::new(), Vec::new());
    walk(root, root, &mut paths, &mut bad)?;
    paths.sort();
    Ok((paths, bad))
}

fn walk(root: &Path, folder: &Path, paths: &mut Vec<PathBuf>, bad: &mut Vec<Bad>) -> Result<()> {
    let entries = match entries(root, folder) {
        Ok(entries) => entries,
        Err(error) if folder == root => return Err(error),
        Err(error) => {
            let reason = error.to_string().lines().next().unwrap_or_default().to_owned();
            bad.push(Bad { path: folder::below(root, folder), reason });
            return Ok(());
        }
    };
    for path in entries {
        if path.is_dir() {
            if !path.is_symlink() {
                walk(root, &path, paths, bad)?;
            }
        } else if ImageFormat::from_path(&path).is_ok() || !matches!(folder::open(&path), Ok(None)) {
            paths.push(path);
        }
    }
    Ok(())
}

/// The complaint about a folder without an image that can be read; `bad` is what was found instead.
pub(crate) fn no_images(folder: &Path, bad: &[Bad]) -> Complaint {
    Error::input("there is no image in this folder")
        .at(folder.display())
        .expected("JPEG, PNG, BMP, WebP or TIFF files, in it or below")
        .got(bad.first().map_or("none".into(), |bad| format!("{}: {}", bad.path, bad.reason)))
        .hint("name the folder that the images are in")
}

/// SHA-256 of a file.
pub(crate) fn hash_of(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(n) => hash.update(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
