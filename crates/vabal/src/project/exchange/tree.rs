//! A folder of files, written whole or not at all, and written again only over what an earlier
//! export wrote: a hidden list of sums in it tells.
//!
//! Never here: which file is for what.

use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::Means;
use super::folders::{Hashing, file_hash, hex};
use crate::error::{Complaint, Error, Result};
use crate::files;
use crate::progress::{Event, Progress, report};

/// The list of what an export wrote, as `sha256sum` writes and checks it.
pub(super) const MANIFEST: &str = ".vabal-export";
/// Files written between two looks at the progress callback.
const BLOCK: usize = 256;

/// A file to be written.
pub(super) struct Item<'a> {
    /// Below the target, with `/`; every part a name that is safe.
    pub place: String,
    pub content: Content<'a>,
}

pub(super) enum Content<'a> {
    Bytes(Vec<u8>),
    /// A file that is there already, and the sum that it had.
    Image {
        from: PathBuf,
        hash: &'a str,
    },
}

/// Writes `items` as the folder `target`; answers which of them have another sum by now, as far as
/// they were read.
///
/// Pictures are not flushed to the disk one by one, which would take minutes of a large set: the
/// originals are still there.
///
/// # Errors
/// A target that holds something else or lies within `images`; what cannot be written.
pub(super) fn write(
    target: &Path,
    images: &Path,
    items: &[Item<'_>],
    means: Means,
    progress: &mut Progress<'_>,
) -> Result<Vec<usize>> {
    let target = whole_path(target)?;
    let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
        return Err(Error::input("this folder cannot be an export")
            .at(target.display())
            .hint("choose another")
            .into());
    };
    if images.canonicalize().is_ok_and(|images| target.starts_with(images)) {
        return Err(Error::input("the export would lie in the image folder")
            .at(target.display())
            .expected("a folder elsewhere")
            .hint("its copies would be taken for further images")
            .into());
    }
    let earlier = check(&target)?;
    let beside = |ending: &str| {
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.{ending}", std::process::id()));
        parent.join(hidden)
    };
    let (part, old) = (beside("part"), beside("old"));
    fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    // Not removed if it is there already: another export may be at work.
    fs::create_dir(&part).map_err(Error::io("create", &part))?;
    let written = fill(&part, items, means, progress).and_then(|changed| {
        match earlier {
            Earlier::Nothing => {}
            Earlier::Empty => fs::remove_dir(&target).map_err(Error::io("write", &target))?,
            Earlier::Export => fs::rename(&target, &old).map_err(Error::io("write", &target))?,
        }
        fs::rename(&part, &target).map_err(|source| {
            if earlier == Earlier::Export {
                // Back to how it was; where even that fails, it still lies beside.
                let _ = fs::rename(&old, &target);
            }
            Error::io("write", &target)(source)
        })?;
        Ok(changed)
    });
    if written.is_err() {
        // It has failed already: what cannot be removed changes nothing of that.
        let _ = fs::remove_dir_all(&part);
    } else if earlier == Earlier::Export {
        fs::remove_dir_all(&old).map_err(Error::io("remove", &old))?;
    }
    written
}

/// The path from the root on, without `.` and `..` and links, as far as it is there.
fn whole_path(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).map_err(Error::io("write", path))?;
    let mut known = absolute.as_path();
    let mut rest = Vec::new();
    loop {
        if let Ok(found) = known.canonicalize() {
            let mut whole = found;
            for part in rest.into_iter().rev() {
                match part {
                    Component::ParentDir => _ = whole.pop(),
                    part => whole.push(part),
                }
            }
            return Ok(whole);
        }
        match (known.components().next_back(), known.parent()) {
            (Some(part), Some(parent)) => {
                rest.push(part);
                known = parent;
            }
            _ => return Ok(absolute.clone()),
        }
    }
}

/// What is at the target.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Earlier {
    Nothing,
    Empty,
    Export,
}

/// Makes sure that nothing at the target would be lost: it holds exactly what an earlier export
/// wrote.
fn check(target: &Path) -> Result<Earlier> {
    let taken = |got: String| -> Complaint {
        Error::input("there is something at the place of the export")
            .at(target.display())
            .expected("nothing, an empty folder, or an earlier export with nothing added or changed")
            .got(got)
            .hint("choose another folder, or move this one away")
    };
    match fs::symlink_metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Earlier::Nothing),
        Err(error) => return Err(Error::io("read", target)(error)),
        Ok(data) if !data.is_dir() => return Err(taken("a file".into()).into()),
        Ok(_) => {}
    }
    let mut found = Vec::new();
    list(target, "", 0, &mut found)?;
    let Some(n) = found.iter().position(|place| place == MANIFEST) else {
        return match found.first() {
            None if fs::read_dir(target).map_err(Error::io("read", target))?.next().is_none() => {
                Ok(Earlier::Empty)
            }
            None => Err(taken("folders".into()).into()),
            Some(first) => Err(taken(format!("{first}, of {} files", found.len())).into()),
        };
    };
    found.remove(n);
    let path = target.join(MANIFEST);
    let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let listed: std::collections::HashMap<&str, &str> =
        text.lines().filter_map(|line| line.split_once("  ")).map(|(sum, place)| (place, sum)).collect();
    let changed = found.par_iter().find_first(|place| {
        let Some(sum) = listed.get(place.as_str()) else { return true };
        let path = target.join(place);
        // A link that is removed takes nothing with it.
        !path.is_symlink() && (!path.is_file() || file_hash(&path).ok().as_deref() != Some(*sum))
    });
    match changed {
        None => Ok(Earlier::Export),
        Some(place) => {
            let what = if listed.contains_key(place.as_str()) {
                "has been changed"
            } else {
                "was not written by it"
            };
            Err(taken(format!("{place}, which {what}")).into())
        }
    }
}

/// Every file below a folder, sorted.
fn list(folder: &Path, below: &str, depth: usize, found: &mut Vec<String>) -> Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .and_then(Iterator::collect::<io::Result<Vec<_>>>)
        .map_err(Error::io("read", folder))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let place = format!("{below}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().map_err(Error::io("read", entry.path()))?;
        // No export is as deep: what is there counts as one thing that it did not write.
        if kind.is_dir() && depth < 4 {
            list(&entry.path(), &format!("{place}/"), depth + 1, found)?;
        } else {
            found.push(place);
        }
    }
    Ok(())
}

/// Writes all files and the list of them into a folder that is there and empty.
fn fill(folder: &Path, items: &[Item<'_>], means: Means, progress: &mut Progress<'_>) -> Result<Vec<usize>> {
    let mut folders: Vec<&Path> = items.iter().filter_map(|item| Path::new(&item.place).parent()).collect();
    folders.sort_unstable();
    folders.dedup();
    for place in folders {
        let path = folder.join(place);
        fs::create_dir_all(&path).map_err(Error::io("create", &path))?;
    }
    let mut sums = Vec::with_capacity(items.len());
    for block in items.chunks(BLOCK) {
        let block: Vec<String> =
            block.par_iter().map(|item| put(folder, item, means)).collect::<Result<_>>()?;
        sums.extend(block);
        let (done, total) = (sums.len(), items.len());
        report(progress, Event::Progress { phase: "export", done, total, unit: "file", loss: None })?;
    }
    let mut listed: Vec<(&str, &String)> = items.iter().map(|item| item.place.as_str()).zip(&sums).collect();
    listed.sort_unstable();
    let text: String = listed.iter().map(|(place, sum)| format!("{sum}  {place}\n")).collect();
    files::write(&folder.join(MANIFEST), text.as_bytes())?;
    let differs = |(item, sum): (&Item<'_>, &String)| match item.content {
        Content::Image { hash, .. } => hash != sum,
        Content::Bytes(_) => false,
    };
    Ok(items.iter().zip(&sums).enumerate().filter(|(_, both)| differs(*both)).map(|(n, _)| n).collect())
}

/// Writes one file, never over another; answers its sum.
fn put(folder: &Path, item: &Item<'_>, means: Means) -> Result<String> {
    let to = folder.join(&item.place);
    match &item.content {
        Content::Bytes(bytes) => {
            files::write(&to, bytes)?;
            Ok(hex(Sha256::new_with_prefix(bytes)))
        }
        Content::Image { from, hash } => {
            let linked = |made: io::Result<()>| {
                let hint = "use copies: links need one disk that knows them, and the right to make them";
                made.map(|()| (*hash).to_owned()).map_err(|error| {
                    Error::from(Error::input("a link cannot be made").at(to.display()).got(error).hint(hint))
                })
            };
            match means {
                Means::Copy => copy(from, &to),
                Means::HardLink => linked(from.canonicalize().and_then(|from| fs::hard_link(from, &to))),
                Means::SymLink => linked(from.canonicalize().and_then(|from| link(&from, &to))),
            }
        }
    }
}

fn copy(from: &Path, to: &Path) -> Result<String> {
    let mut source = File::open(from).map_err(Error::io("read", from))?;
    let file = File::create_new(to).map_err(Error::io("write", to))?;
    let mut hash = Sha256::new();
    io::copy(&mut source, &mut Hashing(&mut hash, file)).map_err(Error::io("write", to))?;
    Ok(hex(hash))
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(from, to)
}

#[cfg(windows)]
fn link(from: &Path, to: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(from, to)
}
