//! Features on disk, as f16, keyed by the content of the image: what was computed once is never
//! computed again.
//!
//! A file per backbone and preprocessing. It only grows, record by record, so that work that is cut
//! short loses nothing; a record carries its own check, so that one that is torn or damaged is as
//! good as not there. Never here: how features are computed.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use half::f16;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use vabal_arrays::Map;

use crate::error::{Error, Result};

/// The first bytes of the file; the number changes with the layout.
const MAGIC: &[u8; 16] = b"vabal features 1";
/// SHA-256 of a file of an image.
pub type Hash = [u8; 32];
const CHECK: usize = 8;
/// Magic, key of the backbone, width.
const HEADER: usize = MAGIC.len() + 64 + 4;

/// The features of one backbone, as far as they are known.
#[derive(Debug)]
pub(super) struct Cache {
    path: PathBuf,
    file: File,
    width: usize,
    map: Option<Map>,
    /// The record of each content.
    places: HashMap<Hash, usize>,
    /// Whether this process alone may write.
    writes: bool,
    /// What was added since it was opened.
    added: HashSet<Hash>,
}

impl Cache {
    /// Opens the file for `key`, 64 hexadecimal digits, in `folder`; makes both where they are not
    /// there.
    ///
    /// # Errors
    /// The file cannot be read or made.
    pub(super) fn open(folder: &Path, key: &str, width: usize) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let path = Self::path(folder, key);
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        let writes = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
        };
        let header = header(key, width);
        let length = |file: &File| -> Result<usize> {
            let length = file.metadata().map_err(Error::io("read", &path))?.len();
            Ok(usize::try_from(length).unwrap_or(usize::MAX))
        };
        let record = record(width);
        let mut map = (length(&file)? >= HEADER).then(|| Map::open(&path)).transpose()?;
        if map.as_ref().is_none_or(|map| map[..HEADER] != header) {
            // Torn before its first record, or damaged: nothing in it can be trusted.
            map = None;
            if writes {
                file.set_len(0).map_err(Error::io("write", &path))?;
                file.write_all(&header).map_err(Error::io("write", &path))?;
            }
        }
        let whole = map.as_ref().map_or(0, |map| (map.len() - HEADER) / record);
        let end = HEADER + whole * record;
        if writes && map.as_ref().is_some_and(|map| map.len() > end) {
            // A record that was cut short. What follows must begin where records begin.
            map = None;
            file.set_len(end as u64).map_err(Error::io("write", &path))?;
        }
        let map = match map {
            None if whole > 0 => Some(Map::open(&path)?),
            map => map,
        };
        let places = map.as_ref().map_or_else(HashMap::new, |map| places(&map[HEADER..end], width));
        Ok(Self { path, file, width, map, places, writes, added: HashSet::new() })
    }

    /// What is in the file by now, without a claim to write; `None` where there is no such file, or
    /// nothing in it that can be trusted.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn peek(folder: &Path, key: &str, width: usize) -> Result<Option<Self>> {
        let path = Self::path(folder, key);
        if fs::metadata(&path).map_or(0, |data| data.len()) < HEADER as u64 {
            return Ok(None);
        }
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        let map = Map::open(&path)?;
        if map.len() < HEADER || map[..HEADER] != header(key, width) {
            return Ok(None);
        }
        let end = HEADER + (map.len() - HEADER) / record(width) * record(width);
        let places = places(&map[HEADER..end], width);
        Ok(Some(Self { path, file, width, map: Some(map), places, writes: false, added: HashSet::new() }))
    }

    /// Whether nothing was added to the file since it was opened.
    pub(super) fn is_all(&self) -> bool {
        let now = fs::metadata(&self.path).map_or(0, |data| data.len());
        self.map.as_ref().is_some_and(|map| map.len() as u64 == now)
    }

    /// The file for `key` in `folder`.
    pub(super) fn path(folder: &Path, key: &str) -> PathBuf {
        folder.join(format!("{}.features", &key[..16]))
    }

    /// Columns.
    pub(super) const fn width(&self) -> usize {
        self.width
    }

    /// Where it is.
    pub(super) fn file(&self) -> &Path {
        &self.path
    }

    /// Whether another process holds the file, so that nothing can be added.
    pub(super) fn is_held(&self) -> bool {
        !self.writes
    }

    /// Copies the features of an image; false where they are not known.
    pub(super) fn read(&self, hash: &Hash, out: &mut [f32]) -> bool {
        let Some((&place, map)) = self.places.get(hash).zip(self.map.as_ref()) else { return false };
        let start = HEADER + place * record(self.width) + hash.len();
        let values = map[start..start + 2 * self.width].as_chunks().0;
        out.iter_mut().zip(values).for_each(|(out, &bytes)| *out = f16::from_le_bytes(bytes).to_f32());
        true
    }

    /// Writes the features of an image, once, so that a process that is killed has lost at most the
    /// image at hand.
    ///
    /// # Errors
    /// The file cannot be written; the record that is cut short is not read.
    pub(super) fn add(&mut self, hash: &Hash, features: &[f16]) -> Result<()> {
        if !self.writes || self.places.contains_key(hash) || !self.added.insert(*hash) {
            return Ok(());
        }
        let mut bytes = hash.to_vec();
        bytes.extend(features.iter().flat_map(|value| value.to_le_bytes()));
        bytes.extend(check(&bytes));
        self.file.write_all(&bytes).map_err(|error| {
            // Else what comes after would be read from the middle of a record on.
            self.writes = false;
            Error::io("write", &self.path)(error)
        })
    }
}

/// What a file begins with.
fn header(key: &str, width: usize) -> Vec<u8> {
    [MAGIC.as_slice(), key.as_bytes(), &(width as u32).to_le_bytes()].concat()
}

/// Where the features of each content are, of the records that are sound.
fn places(records: &[u8], width: usize) -> HashMap<Hash, usize> {
    let record = record(width);
    let all = records.par_chunks_exact(record).enumerate();
    let sound = all.filter(|(_, bytes)| check(&bytes[..record - CHECK]) == bytes[record - CHECK..]);
    let hash = |bytes: &[u8]| *bytes.first_chunk::<32>().unwrap_or(&[0; 32]);
    sound.map(|(place, bytes)| (hash(bytes), place)).collect()
}

/// Bytes of a record: hash, features, check.
fn record(width: usize) -> usize {
    32 + 2 * width + CHECK
}

fn check(bytes: &[u8]) -> [u8; CHECK] {
    let hash = Sha256::digest(bytes);
    *hash.first_chunk().unwrap_or(&[0; CHECK])
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const WIDTH: usize = 5;

    fn features(n: u8) -> Vec<f16> {
        (0..WIDTH).map(|column| f16::from_f32(f32::from(n) + column as f32 / 8.0)).collect()
    }

    fn filled(folder: &Path, n: u8) -> PathBuf {
        let mut cache = Cache::open(folder, KEY, WIDTH).unwrap();
        (0..n).for_each(|n| cache.add(&[n; 32], &features(n)).unwrap());
        cache.path
    }

    /// Which of ten images are known; of those that are, the features are right.
    fn known(folder: &Path) -> Vec<u8> {
        let cache = Cache::open(folder, KEY, WIDTH).unwrap();
        let mut row = [0.0; WIDTH];
        (0..10)
            .filter(|&n| {
                let found = cache.read(&[n; 32], &mut row);
                assert!(!found || features(n).iter().zip(row).all(|(a, b)| a.to_f32() == b));
                found
            })
            .collect()
    }

    #[test]
    fn what_was_written_is_read_and_added_to() {
        let folder = tempfile::tempdir().unwrap();
        assert!(known(folder.path()).is_empty());
        filled(folder.path(), 3);
        assert_eq!(known(folder.path()), [0, 1, 2]);
        let mut cache = Cache::open(folder.path(), KEY, WIDTH).unwrap();
        cache.add(&[7; 32], &features(7)).unwrap();
        drop(cache);
        assert_eq!(known(folder.path()), [0, 1, 2, 7]);
    }

    #[test]
    fn a_file_torn_anywhere_keeps_its_whole_records_and_takes_new_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = filled(folder.path(), 4);
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let kept = length.saturating_sub(HEADER) / record(WIDTH);
            assert_eq!(known(folder.path()), (0..kept as u8).collect::<Vec<_>>(), "at {length}");
            fs::write(&path, &whole[..length]).unwrap();
            let mut cache = Cache::open(folder.path(), KEY, WIDTH).unwrap();
            cache.add(&[9; 32], &features(9)).unwrap();
            drop(cache);
            assert_eq!(known(folder.path()), (0..kept as u8).chain([9]).collect::<Vec<_>>(), "at {length}");
        }
    }

    #[test]
    fn a_damaged_byte_costs_its_record_and_no_wrong_number_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = filled(folder.path(), 4);
        let whole = fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            fs::write(&path, &bytes).unwrap();
            let lost = place.checked_sub(HEADER).map(|place| (place / record(WIDTH)) as u8);
            let expected: Vec<u8> = (0..4).filter(|&n| lost.is_some_and(|lost| n != lost)).collect();
            assert_eq!(known(folder.path()), expected, "at {place}");
        }
    }

    #[test]
    fn a_second_process_reads_and_does_not_write() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path(), 2);
        let first = Cache::open(folder.path(), KEY, WIDTH).unwrap();
        let mut second = Cache::open(folder.path(), KEY, WIDTH).unwrap();
        assert!(second.is_held() && !first.is_held() && second.read(&[1; 32], &mut [0.0; WIDTH]));
        second.add(&[5; 32], &features(5)).unwrap();
        drop((first, second));
        assert_eq!(known(folder.path()), [0, 1]);
    }
}
