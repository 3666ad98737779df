//! Named arrays in files: NumPy's `.npy` and `.npz`, `.safetensors`, Parquet. A file is opened by
//! listing what it has; the values are read when they are asked for. What lies in a file as a
//! strategy wants it, f32 in C order, is mapped and not copied; everything else is converted block
//! by block, into memory or, where that is much, into a file without a name.
//!
//! ```
//! use vabal_query::arrays::{Array, Classes, Group, Pool};
//! use vabal_query::progress::silent;
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("labels.parquet");
//! # std::fs::write(&path, vabal_arrays::write_parquet(&[("labels", vabal_arrays::Data::Whole(vec![0, -1, 1]))])?)?;
//! let entries = vabal_arrays::open(&path)?;
//! assert_eq!((entries[0].name.as_str(), &entries[0].shape[..]), ("labels", &[3][..]));
//!
//! // Or as the arrays of a pool, which reads those that it needs.
//! let arrays = entries.into_iter().map(|entry| Array::from_source(&entry.name.clone(), entry.shape.clone(), entry));
//! let pool = Pool::new(Group::new(arrays.collect()), None, &Classes::Guess, &mut silent())?;
//! assert_eq!((pool.labels(), pool.candidates()), (&[0, 1][..], 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Never here: which array means what, and what the values may be.

mod convert;
mod features;
mod mapped;
mod npy;
mod npz;
mod parquet;
mod safetensors;
mod slice;
mod source;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vabal_query::{Error, Progress, Result};

pub use convert::Values;
pub use features::{features_ending, write_features, write_rows};
pub use mapped::Map;
pub use parquet::{Data, write as write_parquet};

/// The endings of files that can be read.
pub const ENDINGS: &str = ".npz, .npy, .parquet or .safetensors";

/// An array of a file: what it is, and where its values are.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name in the file.
    pub name: String,
    /// Its lengths, outermost first.
    pub shape: Vec<usize>,
    /// What its values are.
    pub dtype: Dtype,
    /// File and name, for errors.
    pub place: String,
    /// Its first row, where it is a slice, for errors.
    first: usize,
    /// Whether the first index runs fastest, as in Fortran.
    fortran: bool,
    /// Whether the bytes of a value are in the order that this machine does not have.
    swapped: bool,
    bytes: Bytes,
}

/// What the values of an array are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE 754, 16 bits.
    F16,
    /// The upper half of an f32.
    BF16,
    /// IEEE 754, 32 bits.
    F32,
    /// IEEE 754, 64 bits.
    F64,
    /// 8 bits with a sign.
    I8,
    /// 16 bits with a sign.
    I16,
    /// 32 bits with a sign.
    I32,
    /// 64 bits with a sign.
    I64,
    /// 8 bits.
    U8,
    /// 16 bits.
    U16,
    /// 32 bits.
    U32,
    /// 64 bits.
    U64,
    /// A byte, 0 or 1.
    Bool,
    /// Texts of at most so many code points, 4 bytes each, padded with zeros.
    Unicode(usize),
    /// Texts of at most so many bytes, padded with zeros; 0 where each has its own length.
    Bytes(usize),
    /// Anything else, as its file calls it.
    Other(String),
}

impl Dtype {
    /// Bytes a value; 0 where that is not known.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::Unicode(points) => 4 * points,
            Self::Bytes(bytes) => *bytes,
            Self::Other(_) => 0,
        }
    }

    /// Whether they are numbers of floating point.
    #[must_use]
    pub fn is_float(&self) -> bool {
        matches!(self, Self::F16 | Self::BF16 | Self::F32 | Self::F64)
    }

    /// Whether they are whole numbers.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        use Dtype::{I8, I16, I32, I64, U8, U16, U32, U64};
        matches!(self, I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64)
    }

    /// Whether they are texts.
    #[must_use]
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Unicode(_) | Self::Bytes(_))
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self {
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::U64 => "uint64",
            Self::Bool => "bool",
            Self::Unicode(_) | Self::Bytes(_) => "text",
            Self::Other(name) => name,
        };
        f.write_str(name)
    }
}

/// Where the values of an array are.
#[derive(Debug, Clone)]
enum Bytes {
    /// In a file as they are.
    Mapped(Arc<Map>, Range<usize>),
    /// In an archive, compressed, behind a header of so many bytes.
    Deflated { archive: PathBuf, index: usize, header: usize },
    /// In a table.
    Column(Arc<parquet::Column>),
}

/// How values are read.
pub struct Load<'a, 'p> {
    /// Told while values are converted.
    pub progress: &'a mut Progress<'p>,
    /// Bytes of a converted array from which it goes into a file and not into memory.
    pub in_memory: usize,
}

impl<'a, 'p> Load<'a, 'p> {
    /// Up to 1 GiB an array in memory.
    pub fn new(progress: &'a mut Progress<'p>) -> Self {
        Self { progress, in_memory: 1 << 30 }
    }
}

/// The arrays of a file, told by its ending.
///
/// # Errors
/// A file that is missing, of an unknown ending, or torn.
pub fn open(path: &Path) -> Result<Vec<Entry>> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    let read = match ending.as_deref() {
        Some("npy") => npy::open,
        Some("npz") => npz::open,
        Some("parquet") => parquet::open,
        Some("safetensors") => safetensors::open,
        _ => {
            return Err(Error::input("unknown file extension")
                .at(path.display())
                .expected(format!("a file ending in {ENDINGS}"))
                .got(ending.map_or("no ending".into(), |ending| format!(".{ending}")))
                .hint("save the arrays with numpy.savez, or see docs/formats.md")
                .into());
        }
    };
    if path.is_dir() {
        return Err(Error::io("read", path)(std::io::ErrorKind::IsADirectory.into()));
    }
    read(path)
}

/// The complaint about a file that is not what its ending says.
fn torn(place: impl std::fmt::Display, expected: &str, got: impl std::fmt::Display) -> Error {
    Error::input("a file that cannot be read")
        .at(place)
        .expected(expected)
        .got(got)
        .hint("write the file again; it may be torn, or of another kind than its ending says")
        .into()
}
