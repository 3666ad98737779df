//! `.safetensors`: a header in JSON, then the values, little-endian and in C order.

use std::path::Path;
use std::sync::Arc;

use safetensors::{Dtype as Stored, SafeTensors};
use vabal_query::Result;

use super::mapped::Map;
use super::{Bytes, Dtype, Entry, torn};

const EXPECTED: &str = "a .safetensors file";

/// The arrays of a file, by name.
///
/// # Errors
/// A file that is missing or torn.
pub fn open(path: &Path) -> Result<Vec<Entry>> {
    let map = Arc::new(Map::open(path)?);
    let broken = |got: &dyn std::fmt::Display| torn(path.display(), EXPECTED, got);
    let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|error| broken(&error))?;
    let mut entries = Vec::new();
    for (name, info) in metadata.tensors() {
        let (from, to) = info.data_offsets;
        let range = 8 + header + from..8 + header + to;
        let dtype = match info.dtype {
            Stored::F16 => Dtype::F16,
            Stored::BF16 => Dtype::BF16,
            Stored::F32 => Dtype::F32,
            Stored::F64 => Dtype::F64,
            Stored::I8 => Dtype::I8,
            Stored::I16 => Dtype::I16,
            Stored::I32 => Dtype::I32,
            Stored::I64 => Dtype::I64,
            Stored::U8 => Dtype::U8,
            Stored::U16 => Dtype::U16,
            Stored::U32 => Dtype::U32,
            Stored::U64 => Dtype::U64,
            Stored::BOOL => Dtype::Bool,
            other => Dtype::Other(format!("{other:?}")),
        };
        let place = format!("{}, {name}", path.display());
        // The reader has checked both already; a mistake of it must not become one of ours.
        let needed = info.shape.iter().try_fold(dtype.size(), |product, &n| product.checked_mul(n));
        if range.end > map.len() || needed.is_none_or(|needed| needed > range.len()) {
            return Err(torn(place, EXPECTED, "an array that ends behind the file"));
        }
        let bytes = Bytes::Mapped(Arc::clone(&map), range);
        let (shape, swapped) = (info.shape.clone(), cfg!(target_endian = "big"));
        entries.push(Entry { name, shape, dtype, place, first: 0, fortran: false, swapped, bytes });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}
