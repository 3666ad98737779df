//! Which files of a folder may be images, and what they are known by.
//!
//! Never here: decoding them.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

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

/// Folders that systems and archives make beside a person's files: thumbnails, what was thrown
/// away.
const OF_SYSTEMS: [&str; 5] = ["__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information"];

/// Whether a file or folder of this name is not a person's.
pub(crate) fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || OF_SYSTEMS.iter().any(|other| other.eq_ignore_ascii_case(name))
}

/// What lies in a folder and is not hidden, sorted by name.
pub(crate) fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let entry = entry.map_err(Error::io("read", folder))?;
        let name = entry.file_name();
        if !is_hidden(&name.to_string_lossy()) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// The path below a folder, with `/` between its parts.
pub(crate) fn below(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

/// What a path is once links are followed; `None` of a link that leads to nothing.
///
/// # Errors
/// What the system says.
pub(crate) fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::metadata(path) {
        Ok(data) => Ok(Some(data)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is said of a link that leads to nothing.
pub(crate) const DANGLING: &str = "it is a link to a file that is not there";

/// Whether a file has the ending of an image.
pub(crate) fn claims(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    let others = ["heic", "heif", "jp2", "j2k", "jxl", "psd", "dcm"];
    ImageFormat::from_extension(&ending).is_some() || others.contains(&ending.as_str())
}

/// The entries of a folder at or below `root`, without those of a labelling project, whose
/// thumbnails are not the user's images: a project's folder is left out as a whole, or, where it is
/// `root` itself, what the program writes there.
pub(crate) fn entries(root: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut entries = listed(folder)?;
    if folder.join(PROJECT).is_file() {
        entries.retain(|entry| folder == root && !MADE.iter().any(|made| entry.ends_with(made)));
    }
    Ok(entries)
}

/// The files in `root` and below that are, or claim to be, images, by path; and folders that cannot
/// be read and links to nothing. Hidden files and the folders of projects are left out, links to
/// folders not followed.
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
            bad.push(Bad { path: below(root, folder), reason });
            return Ok(());
        }
    };
    for path in entries {
        let reason = match metadata(&path) {
            Ok(Some(data)) if data.is_dir() => {
                if !path.is_symlink() {
                    walk(root, &path, paths, bad)?;
                }
                continue;
            }
            // Pipes, sockets and devices are no images.
            Ok(Some(data)) if !data.is_file() => continue,
            Ok(Some(_)) => {
                if claims(&path) || !matches!(folder::open(&path), Ok(None)) {
                    paths.push(path);
                }
                continue;
            }
            Ok(None) => DANGLING.into(),
            Err(error) => error.to_string(),
        };
        bad.push(Bad { path: below(root, &path), reason });
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

/// When a file was last written, or put where it is, in nanoseconds since 1970. A file that takes
/// the place of another may have the size and the time of that one, such as images without
/// compression from one archive: the time of its inode tells them apart, where the system has one.
pub(crate) fn changed_at(data: &Metadata) -> i64 {
    let since = data.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let written = since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
    #[cfg(unix)]
    let written = {
        use std::os::unix::fs::MetadataExt as _;
        written.max(data.ctime().saturating_mul(1_000_000_000).saturating_add(data.ctime_nsec()))
    };
    written
}

/// SHA-256 of a file.
pub(crate) fn hash_of(path: &Path) -> io::Result<[u8; 32]> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
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
