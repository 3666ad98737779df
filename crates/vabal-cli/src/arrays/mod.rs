//! Named arrays in files: NumPy's `.npy` and `.npz`, `.safetensors`, Parquet. A file is opened by listing what it has; the values are
//! read when they are asked for. What lies in a file as a strategy wants it, f32 in C order, is mapped and not copied;
//! everything else is converted block by block, into memory or, where that is much, into a file without a name.
//!
//! Never here: which array means what, and what the values may be.

mod convert;
mod mapped;
mod npy;
mod npz;
pub mod parquet;
mod safetensors;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vabal::{Error, Progress, Result};

pub use convert::Values;
use mapped::Map;

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
    /// Whether the first index runs fastest, as in Fortran.
    fortran: bool,
    /// Whether the bytes of a value are in the order that this machine does not have.
    swapped: bool,
    bytes: Bytes,
}

/// What the values of an array are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dtype {
    F16,
    /// The upper half of an f32.
    BF16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
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

    pub fn is_float(&self) -> bool {
        matches!(self, Self::F16 | Self::BF16 | Self::F32 | Self::F64)
    }

    pub fn is_whole(&self) -> bool {
        use Dtype::{I8, I16, I32, I64, U8, U16, U32, U64};
        matches!(self, I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64)
    }

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
            return Err(Error::input("a file of an unknown ending")
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
