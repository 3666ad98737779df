//! NumPy's `.npz`: a zip archive of `.npy` files, stored as they are or deflated.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use vabal_query::{Error, Result};
use zip::{CompressionMethod, ZipArchive};

use super::mapped::Map;
use super::npy::Header;
use super::{Bytes, Entry, torn};

pub type Archive = ZipArchive<BufReader<File>>;

const EXPECTED: &str = "a .npz archive of numpy.savez";

/// Opens an archive.
///
/// # Errors
/// A file that is missing or no archive.
pub fn archive(path: &Path) -> Result<Archive> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    ZipArchive::new(BufReader::new(file)).map_err(|error| torn(path.display(), EXPECTED, error))
}

/// The arrays of an archive. What in it is no array is left out.
///
/// # Errors
/// A file that is missing or torn.
pub fn open(path: &Path) -> Result<Vec<Entry>> {
    let mut archive = archive(path)?;
    let map = Arc::new(Map::open(path)?);
    let mut entries: Vec<Entry> = Vec::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).map_err(|error| torn(path.display(), EXPECTED, error))?;
        let name = file.name().map_err(|error| torn(path.display(), EXPECTED, error))?.into_owned();
        let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else { continue };
        let place = format!("{}, {name}", path.display());
        let broken = |got: String| torn(&place, EXPECTED, got);
        let (method, size, packed) = (file.compression(), file.size(), file.compressed_size());
        let start = file.data_start().and_then(|start| usize::try_from(start).ok());
        // Deflate makes nothing smaller than a 1032nd: what claims more is no array, and would fill
        // the memory. And more than the archive holds cannot be packed in it.
        if packed > map.len() as u64 || size > packed.saturating_mul(1040).saturating_add(1 << 10) {
            return Err(broken(format!("{size} bytes out of {packed}")));
        }
        let header = Header::read(&mut file).map_err(broken)?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size.checked_sub(header.length).is_none_or(|have| have < header.bytes.max(header.others())) {
            let have = size.saturating_sub(header.length);
            return Err(broken(format!("{have} of {} bytes of values", header.bytes.max(header.others()))));
        }
        let bytes = if method == CompressionMethod::Stored {
            let start = start.and_then(|start| start.checked_add(header.length));
            let range = start.and_then(|start| Some(start..start.checked_add(header.bytes)?));
            let range = range.filter(|range| range.end <= map.len());
            let range = range.ok_or_else(|| broken("an archive that ends too early".into()))?;
            Bytes::Mapped(Arc::clone(&map), range)
        } else {
            Bytes::Deflated { archive: path.into(), index, header: header.length }
        };
        if entries.iter().any(|entry| entry.name == name) {
            return Err(broken("two arrays of this name".into()));
        }
        entries.push(header.entry(name, place, bytes));
    }
    Ok(entries)
}
