//! Files as memory: the one place of this crate with `unsafe`.
//!
//! A mapping is only as good as its file: if another process shortens it meanwhile, the system ends
//! this one. Nothing can be kept from doing that, and the alternative is to copy arrays that may be
//! larger than memory.

use std::fs::File;
use std::ops::{Deref, DerefMut};
use std::path::Path;

use vabal_query::{Error, Result};

/// A file, or a part of memory that a file without a name stands behind.
#[derive(Debug)]
pub enum Map {
    /// A file of someone else's, for reading.
    Read(memmap2::Mmap),
    /// A file of our own.
    Own(memmap2::MmapMut),
}

impl Map {
    /// Maps a file.
    ///
    /// # Errors
    /// A file that cannot be opened or mapped.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("read", path))?;
        #[expect(
            unsafe_code,
            reason = "mapping has no safe form; values are plain numbers, checked where they are read"
        )]
        // SAFETY: the mapping is read as bytes alone, every pattern of which is valid. That nobody
        // changes the file meanwhile cannot be had; the first lines of this file say what follows
        // from it.
        let map = unsafe { memmap2::Mmap::map(&file) };
        Ok(Self::Read(map.map_err(Error::io("read", path))?))
    }

    /// `bytes` zeros in a file that has no name and is gone with this process, in the folder for
    /// temporary files.
    ///
    /// # Errors
    /// A disk without room.
    pub fn temporary(bytes: usize) -> Result<Self> {
        let folder = std::env::temp_dir();
        let file = tempfile::tempfile().map_err(Error::io("create a temporary file in", &folder))?;
        reserve(&file, bytes).map_err(Error::io("write a temporary file in", &folder))?;
        #[expect(unsafe_code, reason = "mapping has no safe form; no other process can reach this file")]
        // SAFETY: the file has no name, and its handle goes no further: nobody else can change or
        // shorten it.
        let map = unsafe { memmap2::MmapMut::map_mut(&file) };
        Ok(Self::Own(map.map_err(Error::io("map a temporary file in", &folder))?))
    }

    /// The bytes to write to, of a file of our own.
    pub fn own(&mut self) -> Option<&mut [u8]> {
        match self {
            Self::Read(_) => None,
            Self::Own(map) => Some(map.deref_mut()),
        }
    }
}

/// Writes zeros: a file with holes would meet a full disk when a page is written, which ends the
/// process.
fn reserve(file: &File, bytes: usize) -> std::io::Result<()> {
    use std::io::Write as _;
    let zeros = vec![0; 1 << 20];
    let (mut file, mut left) = (file, bytes);
    while left > 0 {
        let n = left.min(zeros.len());
        file.write_all(&zeros[..n])?;
        left -= n;
    }
    Ok(())
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Read(map) => map,
            Self::Own(map) => map,
        }
    }
}
