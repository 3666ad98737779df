//! Decoded images on disk, so that a folder of images is decoded once and read fast from then on.
//!
//! One file per folder and reading. It is used only if every file of the folder has the name, size
//! and time it had; a torn or foreign file is ignored and written again. Never here: how images are
//! decoded.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::folder::Reading;
use super::{DataSet, ImageSet, ImageShape, Images, Origin};
use crate::error::{Error, Result};
use crate::files;
use crate::{Id, Label};

/// The first bytes of the file; the number changes with the layout, and with how images are
/// decoded.
const MAGIC: &[u8; 16] = b"vabal images 2\n\0";
const DIGEST: usize = 32;

/// Everything but the pixels, as JSON behind the magic and its own length (u64, little-endian).
/// Behind the pixels stands the SHA-256 of all that is before it.
#[derive(Serialize, Deserialize)]
struct Header {
    /// The listing that the images were decoded from.
    key: String,
    name: String,
    shape: ImageShape,
    /// None of images without labels.
    classes: Vec<String>,
    /// Likewise.
    labels: Vec<Label>,
    paths: Vec<Box<str>>,
    /// The first images are the pool, the others the test set.
    pool: usize,
    warnings: Vec<String>,
}

/// The place of one folder, read one way, in the cache.
pub(super) struct Slot {
    path: PathBuf,
    key: String,
}

impl Slot {
    /// `listing` holds name, bytes and time of change of every file.
    pub(super) fn new(
        cache: &Path,
        folder: &Path,
        reading: &Reading,
        classes: &[String],
        listing: &[(&str, u64, i64)],
    ) -> Self {
        let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
        let place = format!("{reading:?}\n{}", folder.display());
        let mut key = Sha256::new();
        // A class may have no file, and then must be complained of.
        key.update(format!("{classes:?}"));
        for (name, size, time) in listing {
            key.update(format!("{}:{name}{size} {time}\n", name.len()));
        }
        let short = &hex(&Sha256::digest(place))[..16];
        Self { path: cache.join(format!("{short}.images")), key: hex(&key.finalize()) }
    }

    /// The images with their labels, if they are there, whole and up to date; and what was said
    /// when they were decoded.
    pub(super) fn read_set(&self) -> Option<(DataSet, Vec<String>)> {
        let (header, images) = self.read()?;
        let (pool, all) = (header.pool as Id, images.len() as Id);
        let images = ImageSet::new(images, header.labels, header.classes).ok()?;
        let set = DataSet {
            name: header.name,
            items: images,
            pool: (0..pool).collect(),
            test: (pool..all).collect(),
        };
        Some((set, header.warnings))
    }

    /// [`Slot::read_set`] of images without labels.
    pub(super) fn read_images(&self) -> Option<(Images, Vec<String>)> {
        let (header, images) = self.read()?;
        Some((images, header.warnings))
    }

    /// The images, and what is said of them; the paths are with the images.
    fn read(&self) -> Option<(Header, Images)> {
        let file = File::open(&self.path).ok()?;
        let size = usize::try_from(file.metadata().ok()?.len()).ok()?;
        let mut file = Hashing { inner: BufReader::new(file), hash: Sha256::new() };
        let mut start = [0; MAGIC.len() + 8];
        file.read_exact(&mut start).ok()?;
        let (magic, length) = start.split_at(MAGIC.len());
        let length = usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok()?;
        let rest = size.checked_sub(start.len() + DIGEST)?.checked_sub(length)?;
        if magic != MAGIC {
            return None;
        }
        let mut header = vec![0; length];
        file.read_exact(&mut header).ok()?;
        let mut header: Header = serde_json::from_slice(&header).ok()?;
        if header.key != self.key || header.paths.len().checked_mul(header.shape.bytes()) != Some(rest) {
            return None;
        }
        let mut pixels = vec![0; rest];
        file.read_exact(&mut pixels).ok()?;
        let mut digest = [0; DIGEST];
        file.inner.read_exact(&mut digest).ok()?;
        if file.hash.finalize()[..] != digest {
            return None;
        }
        let origin = Origin::Paths(std::mem::take(&mut header.paths));
        let images = Images::new(header.shape, pixels, origin).ok()?;
        Some((header, images))
    }

    /// Writes the images and their labels beside their place, then renames.
    pub(super) fn write_set(&self, set: &DataSet, warnings: &[String]) -> Result<()> {
        let DataSet { name, items: ImageSet { items: images, labels, classes }, pool, .. } = set;
        self.write(images, warnings, |header| Header {
            name: name.clone(),
            classes: classes.clone(),
            labels: labels.clone(),
            pool: pool.len(),
            ..header
        })
    }

    /// [`Slot::write_set`] of images without labels.
    pub(super) fn write_images(&self, images: &Images, warnings: &[String]) -> Result<()> {
        self.write(images, warnings, |header| header)
    }

    fn write(
        &self,
        images: &Images,
        warnings: &[String],
        complete: impl FnOnce(Header) -> Header,
    ) -> Result<()> {
        let Origin::Paths(paths) = &images.origin else { return Ok(()) };
        let header = complete(Header {
            key: self.key.clone(),
            name: String::new(),
            shape: images.shape,
            classes: Vec::new(),
            labels: Vec::new(),
            paths: paths.clone(),
            pool: images.len(),
            warnings: warnings.to_vec(),
        });
        let header =
            serde_json::to_vec(&header).map_err(|error| Error::input(error).at(self.path.display()))?;
        files::write_with(&self.path, |file| {
            let mut file = Hashing { inner: BufWriter::new(file), hash: Sha256::new() };
            file.write_all(MAGIC)?;
            file.write_all(&(header.len() as u64).to_le_bytes())?;
            file.write_all(&header)?;
            file.write_all(&images.pixels)?;
            let Hashing { mut inner, hash } = file;
            inner.write_all(&hash.finalize())?;
            inner.flush()
        })
    }
}

/// Reads or writes, and digests what passes.
struct Hashing<T> {
    inner: T,
    hash: Sha256,
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(to)?;
        self.hash.update(&to[..n]);
        Ok(n)
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, from: &[u8]) -> std::io::Result<usize> {
        let n = self.inner.write(from)?;
        self.hash.update(&from[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
