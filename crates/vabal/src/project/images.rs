//! Import: what is in the folder of images, and what became of what was there before.
//!
//! A file is known by its path, and read again only when its size or time differs; an image is
//! known by its content, and found again wherever it was moved. An image whose file is gone is
//! marked as missing and keeps its answers. Batches of 256 are one transaction each: cut short, the
//! same call goes on. Never here: what an image shows.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use image::{DynamicImage, GenericImageView as _};
use rayon::prelude::*;
use rusqlite::{OptionalExtension as _, Transaction, params};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::store::{Attempt, now};
use super::{ImageId, Project, Settings, answers, near, pictures};
use crate::data::folder;
use crate::data::walk::{self, Bad, entries, hash_of};
use crate::error::{Error, Result};
use crate::progress::{Event, Progress, report};

/// Images of a transaction.
const BATCH: usize = 256;

/// What an import found.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Imported {
    /// Images that were not known.
    pub added: usize,
    /// Known ones that are where they were.
    pub unchanged: usize,
    /// Known ones that are somewhere else, or back.
    pub moved: usize,
    /// Files that were saved anew and still look the same; their images keep their answers.
    pub changed: usize,
    /// Images whose file is not there any more.
    pub missing: usize,
    /// Files that neither are nor claim to be images.
    pub others: usize,
    /// New images of 12 bits in 16, which are stretched.
    pub stretched: Vec<String>,
    /// Files that claim to be images, or should be, but cannot be used.
    pub bad: Vec<Bad>,
}

/// A file of the folder, before it is read.
struct Found {
    full: PathBuf,
    /// Below the folder, with `/`.
    path: String,
    bytes: u64,
    changed: i64,
}

/// What a file turned out to be.
struct Read {
    hash: [u8; 32],
    width: u32,
    height: u32,
    look: u64,
    stretched: bool,
}

impl Project {
    /// Looks through the folder of images and adds what is new: JPEG, PNG, BMP, WebP and TIFF, told
    /// by content, in all folders below. Hidden files and the folders of projects are left out,
    /// links to folders not followed. Files that cannot be used are told, not an error. Which
    /// images are of the holdout is decided here, for life, by their content.
    ///
    /// A file that was replaced by another picture is a new image, and the old one is missing; one
    /// that was only saved anew (same size, same look) stays the image it was.
    ///
    /// # Errors
    /// The folder of images cannot be read, the store cannot be written, or [`Error::Stopped`];
    /// batches that were finished stay.
    pub fn import(&mut self, progress: &mut Progress<'_>) -> Result<Imported> {
        let root = pictures::root(&self.images_folder()?)?;
        let mut done = Imported::default();
        let mut walk = Walk { root: &root, found: Vec::new(), bad: Vec::new(), unread: Vec::new() };
        walk.folder(&root)?;
        let Walk { mut found, bad, unread, .. } = walk;
        done.bad = bad;
        found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let total = found.len();
        let (known, new) = self.sort_out(found, &unread, &mut done)?;
        let settings = self.settings()?;
        let mut count = total - known.len() - new.len();
        let mut tell = |count: usize| {
            let (done, total) = (count, total.max(1));
            report(progress, Event::Progress { phase: "import", done, total, unit: "image", loss: None })
        };
        tell(count)?;
        // Files that are where an image was but differ: all are read before any is judged, for they
        // may have changed places.
        let mut replaced = Vec::new();
        for batch in known.chunks(BATCH) {
            let read: Vec<_> = batch.par_iter().map(|found| read(&found.full)).collect();
            self.write(|sql| {
                for (found, read) in batch.iter().zip(read) {
                    match read {
                        Ok(Some(read)) if has_content(sql, found, &read)? => {
                            touch(sql, found)?;
                            done.unchanged += 1;
                        }
                        other => replaced.push((found, other)),
                    }
                }
                Ok(())
            })?;
            count += batch.len();
            tell(count)?;
        }
        if !replaced.is_empty() {
            self.write(|sql| replace(sql, &settings, replaced, &mut done))?;
        }
        for batch in new.chunks(BATCH) {
            let read: Vec<_> = batch.par_iter().map(|found| read(&found.full)).collect();
            self.write(|sql| {
                for (found, read) in batch.iter().zip(read) {
                    match read {
                        Ok(Some(read)) => place(sql, &settings, found, &read, &mut done)?,
                        Ok(None) => done.others += 1,
                        Err(reason) => done.bad.push(Bad { path: found.path.clone(), reason }),
                    }
                }
                Ok(())
            })?;
            count += batch.len();
            tell(count)?;
        }
        let stretched: Vec<&str> = done.stretched.iter().map(String::as_str).collect();
        if let Some(warning) = folder::stretched_warning(&stretched) {
            report(progress, Event::Warning(&warning))?;
        }
        done.missing = self.counts()?.missing;
        done.bad.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(done)
    }

    /// Marks images as missing whose file is not among those found, but not below folders that
    /// could not be read; and of those found gives back what must be read: files at known paths
    /// that differ, and files at new ones.
    fn sort_out(
        &mut self,
        found: Vec<Found>,
        unread: &[String],
        done: &mut Imported,
    ) -> Result<(Vec<Found>, Vec<Found>)> {
        self.write(|sql| {
            let (mut known, mut new, mut here) = (Vec::new(), Vec::new(), HashSet::new());
            let mut select = sql
                .prepare_cached("SELECT image, bytes, changed FROM images WHERE path = ?1 AND missing = 0")?;
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            for file in found {
                let known_as: Option<(ImageId, u64, i64)> = select.query_row([&file.path], row).optional()?;
                match known_as {
                    None => new.push(file),
                    Some((image, bytes, changed)) => {
                        here.insert(image);
                        if (bytes, changed) == (file.bytes, file.changed) {
                            done.unchanged += 1;
                        } else {
                            known.push(file);
                        }
                    }
                }
            }
            let mut select = sql.prepare_cached("SELECT image, path FROM images WHERE missing = 0")?;
            let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let below = |path: &str| unread.iter().any(|folder| path.starts_with(folder.as_str()));
            let gone = rows
                .filter(|row| {
                    row.as_ref().map_or(true, |(image, path): &(ImageId, String)| {
                        !here.contains(image) && !below(path)
                    })
                })
                .map(|row| row.map(|(image, _)| image))
                .collect::<rusqlite::Result<Vec<ImageId>>>()?;
            for image in gone {
                lose(sql, image)?;
            }
            Ok((known, new))
        })
    }
}

/// A walk through the folder.
struct Walk<'a> {
    root: &'a Path,
    found: Vec<Found>,
    bad: Vec<Bad>,
    /// Folders that could not be read, with a `/` at their end.
    unread: Vec<String>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path) -> Result<()> {
        let entries = match entries(self.root, folder) {
            Ok(entries) => entries,
            Err(error) if folder == self.root => return Err(error),
            Err(error) => {
                let (path, _) = self.name(folder);
                self.unread.push(format!("{path}/"));
                self.bad.push(Bad { path, reason: first_line(&error) });
                return Ok(());
            }
        };
        for full in entries {
            let (path, is_text) = self.name(&full);
            let mut bad = |reason: &str| self.bad.push(Bad { path: path.clone(), reason: reason.into() });
            let data = match walk::metadata(&full) {
                Ok(Some(data)) => data,
                Ok(None) => {
                    bad(walk::DANGLING);
                    continue;
                }
                Err(error) => {
                    bad(&error.to_string());
                    continue;
                }
            };
            let is_link = full.is_symlink();
            if data.is_dir() && !is_link {
                self.folder(&full)?;
            } else if data.is_file() {
                if !is_text {
                    bad("its name is not UTF-8");
                } else if is_link && pictures::inside(self.root, &path).is_err() {
                    bad("it is a link out of the folder of images");
                } else {
                    self.found.push(Found {
                        full,
                        path,
                        bytes: data.len(),
                        changed: walk::changed_at(&data),
                    });
                }
            }
        }
        Ok(())
    }

    /// The path below the root, with `/`, and whether it is what the system calls it.
    fn name(&self, full: &Path) -> (String, bool) {
        let is_text = full.strip_prefix(self.root).unwrap_or(full).to_str().is_some();
        (walk::below(self.root, full), is_text)
    }
}

fn first_line(error: &Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_string()
}

/// Reads a file; `None` if it neither is nor claims to be an image.
fn read(path: &Path) -> std::result::Result<Option<Read>, String> {
    let Some(shown) = folder::look(path)? else { return Ok(None) };
    let (image, stretched) = (shown.image, shown.stretched);
    let hash = hash_of(path).map_err(|error| error.to_string())?;
    Ok(Some(Read { hash, width: image.width(), height: image.height(), look: look(&image), stretched }))
}

/// The difference hash: of the picture in 9 × 8 greys, whether each is darker than the one to its
/// right.
fn look(image: &DynamicImage) -> u64 {
    let (width, height) = image.dimensions();
    // Whole pixels first: the large picture is gone through once.
    let small = if width > 72 && height > 64 { image.thumbnail_exact(72, 64) } else { image.clone() };
    let grey = small.into_luma8();
    let grey = image::imageops::resize(&grey, 9, 8, image::imageops::FilterType::Triangle);
    let darker = |bit: u32| grey.get_pixel(bit % 8, bit / 8).0[0] < grey.get_pixel(bit % 8 + 1, bit / 8).0[0];
    (0..64).filter(|&bit| darker(bit)).fold(0, |bits, bit| bits | 1 << bit)
}

/// Whether the image at this path has this content.
fn has_content(sql: &Transaction<'_>, found: &Found, read: &Read) -> rusqlite::Result<bool> {
    sql.prepare_cached("SELECT 1 FROM images WHERE path = ?1 AND missing = 0 AND hash = ?2")?
        .exists(params![found.path, read.hash])
}

/// The file of a known image has another time.
fn touch(sql: &Transaction<'_>, found: &Found) -> rusqlite::Result<()> {
    sql.prepare_cached("UPDATE images SET bytes = ?2, changed = ?3 WHERE path = ?1 AND missing = 0")?
        .execute(params![found.path, found.bytes, found.changed])
        .map(|_| ())
}

fn lose(sql: &Transaction<'_>, image: ImageId) -> rusqlite::Result<()> {
    sql.prepare_cached("UPDATE images SET missing = 1 WHERE image = ?1")?.execute([image])?;
    sql.prepare_cached("DELETE FROM leases WHERE image = ?1")?.execute([image]).map(|_| ())
}

type Replaced<'a> = (&'a Found, std::result::Result<Option<Read>, String>);

/// Files at the paths of known images, with another content.
fn replace(
    sql: &Transaction<'_>,
    settings: &Settings,
    all: Vec<Replaced<'_>>,
    done: &mut Imported,
) -> Attempt<()> {
    let mut before = Vec::new();
    for (found, read) in all {
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let known: Option<(ImageId, u32, u32, i64)> = sql
            .prepare_cached("SELECT image, width, height, look FROM images WHERE path = ?1 AND missing = 0")?
            .query_row([&found.path], row)
            .optional()?;
        if let Some((image, ..)) = known {
            lose(sql, image)?;
        }
        before.push((found, read, known));
    }
    // An image that is found again by its content comes first; only then what merely looks the
    // same.
    let mut left = Vec::new();
    for (found, read, known) in before {
        match read {
            Ok(Some(read)) if find(sql, found, &read)?.is_some() => place(sql, settings, found, &read, done)?,
            Ok(Some(read)) => left.push((found, read, known)),
            Ok(None) => done.others += 1,
            Err(reason) => done.bad.push(Bad { path: found.path.clone(), reason }),
        }
    }
    for (found, read, known) in left {
        let same = known.filter(|&(_, width, height, look)| {
            (width, height) == (read.width, read.height)
                && (look.cast_unsigned() ^ read.look).count_ones() <= near::MOST_BITS
        });
        let free = "SELECT 1 FROM images WHERE image = ?1 AND missing = 1";
        match same {
            Some((image, ..)) if sql.prepare_cached(free)?.exists([image])? => {
                let old: Vec<u8> =
                    sql.query_row("SELECT hash FROM images WHERE image = ?1", [image], |r| r.get(0))?;
                sql.prepare_cached(
                    "UPDATE images SET missing = 0, hash = ?2, bytes = ?3, changed = ?4, look = ?5, holdout = ?6
                     WHERE image = ?1",
                )?
                .execute(params![
                    image,
                    read.hash,
                    found.bytes,
                    found.changed,
                    read.look.cast_signed(),
                    side(sql, settings, &read.hash)?
                ])?;
                answers::refresh_ask(sql, &old)?;
                answers::refresh_ask(sql, &read.hash)?;
                done.changed += 1;
            }
            _ => place(sql, settings, found, &read, done)?,
        }
    }
    Ok(())
}

/// A missing image with this content, best one with this file name.
fn find(sql: &Transaction<'_>, found: &Found, read: &Read) -> rusqlite::Result<Option<ImageId>> {
    let name = found.path.rsplit('/').next().unwrap_or_default();
    sql.prepare_cached(
        "SELECT image FROM images WHERE hash = ?1 AND missing = 1
         ORDER BY path <> ?2, path <> ?3 AND path NOT LIKE '%/' || replace(replace(replace(?3, '\\', '\\\\'), '%', '\\%'), '_', '\\_') ESCAPE '\\', image
         LIMIT 1",
    )?
    .query_row(params![read.hash, found.path, name], |row| row.get(0))
    .optional()
}

/// A file at a path where no image is: one that is missing and has this content, or a new one.
fn place(
    sql: &Transaction<'_>,
    settings: &Settings,
    found: &Found,
    read: &Read,
    done: &mut Imported,
) -> Attempt<()> {
    if sql.prepare_cached("SELECT 1 FROM images WHERE path = ?1 AND missing = 0")?.exists([&found.path])? {
        // Another import was here meanwhile.
        done.unchanged += 1;
        return Ok(());
    }
    if let Some(image) = find(sql, found, read)? {
        let back = "UPDATE images SET missing = 0, path = ?2, bytes = ?3, changed = ?4 WHERE image = ?1";
        sql.prepare_cached(back)?.execute(params![image, found.path, found.bytes, found.changed])?;
        done.moved += 1;
        return Ok(());
    }
    let draw = leading(&[b"order", &settings.seed.to_le_bytes(), found.path.as_bytes(), &read.hash]);
    sql.prepare_cached(
        "INSERT INTO images (path, hash, bytes, changed, width, height, look, holdout, added, draw)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        found.path,
        read.hash,
        found.bytes,
        found.changed,
        read.width,
        read.height,
        read.look.cast_signed(),
        side(sql, settings, &read.hash)?,
        now(),
        draw.cast_signed()
    ])?;
    answers::refresh_ask(sql, &read.hash)?;
    done.added += 1;
    if read.stretched {
        done.stretched.push(found.path.clone());
    }
    Ok(())
}

/// Whether an image with this content is of the holdout: as those that there are, else by the seed.
fn side(sql: &Transaction<'_>, settings: &Settings, hash: &[u8; 32]) -> rusqlite::Result<bool> {
    let known = sql
        .prepare_cached("SELECT holdout FROM images WHERE hash = ?1 LIMIT 1")?
        .query_row([hash], |row| row.get(0))
        .optional()?;
    Ok(known.unwrap_or_else(|| drawn(settings, hash)))
}

/// sha256(seed ‖ content hash), as a number from 0 to 1, below the share of the holdout.
fn drawn(settings: &Settings, hash: &[u8; 32]) -> bool {
    let number = leading(&[&settings.seed.to_le_bytes(), hash]);
    (number as f64) < settings.holdout * 2.0_f64.powi(64)
}

/// The first eight bytes of the sha256 of what is given, as a number.
fn leading(parts: &[&[u8]]) -> u64 {
    let hash = parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part)).finalize();
    hash.iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte))
}
