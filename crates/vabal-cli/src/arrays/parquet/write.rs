//! Tables as Parquet, the plainest there is: one group of rows, nothing missing, nothing compressed.

use std::num::TryFromIntError;

use super::thrift::Writer;

/// The values of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    Whole(Vec<i64>),
    Real(Vec<f64>),
    Texts(Vec<String>),
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::Whole(values) => values.len(),
            Self::Real(values) => values.len(),
            Self::Texts(values) => values.len(),
        }
    }

    /// The number of the type in the format.
    fn kind(&self) -> i32 {
        match self {
            Self::Whole(_) => 2,
            Self::Real(_) => 5,
            Self::Texts(_) => 6,
        }
    }

    /// The bytes of some rows.
    fn bytes(&self, rows: std::ops::Range<usize>) -> Result<Vec<u8>, TryFromIntError> {
        Ok(match self {
            Self::Whole(values) => values[rows].iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Real(values) => values[rows].iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Texts(values) => {
                let mut bytes = Vec::new();
                for text in &values[rows] {
                    bytes.extend(u32::try_from(text.len())?.to_le_bytes());
                    bytes.extend(text.bytes());
                }
                bytes
            }
        })
    }
}

/// Rows in a page.
const PAGE: usize = 1 << 16;

/// The file with these columns, all of the same length.
///
/// # Errors
/// A page of more than 2 GiB: texts of more than 32 kB each.
pub fn write(columns: &[(&str, Data)]) -> Result<Vec<u8>, TryFromIntError> {
    let rows = columns.first().map_or(0, |(_, data)| data.len());
    let mut file = b"PAR1".to_vec();
    let (mut chunks, mut total) = (Vec::new(), 0);
    for (name, data) in columns {
        let start = file.len();
        for first in (0..rows).step_by(PAGE) {
            let end = (first + PAGE).min(rows);
            let bytes = data.bytes(first..end)?;
            let size = i32::try_from(bytes.len())?;
            let data = Writer::default().i32(1, (end - first) as i32).i32(2, 0).i32(3, 3).i32(4, 3);
            file.extend(Writer::default().i32(1, 0).i32(2, size).i32(3, size).child(5, data).finished());
            file.extend(bytes);
        }
        let (at, size) = (i64::try_from(start)?, i64::try_from(file.len() - start)?);
        total += size;
        let meta = Writer::default().i32(1, data.kind()).numbers(2, &[0, 3]).texts(3, &[*name]).i32(4, 0);
        let meta = meta.i64(5, i64::try_from(rows)?).i64(6, size).i64(7, size).i64(9, at);
        chunks.push(Writer::default().i64(2, at).child(3, meta));
    }
    let leaf = |(name, data): &(&str, Data)| {
        let leaf = Writer::default().i32(1, data.kind()).i32(3, 0).text(4, name);
        // Texts say that they are no mere bytes.
        if matches!(data, Data::Texts(_)) { leaf.i32(6, 0) } else { leaf }
    };
    let root = Writer::default().text(4, "schema").i32(5, i32::try_from(columns.len())?);
    let group = Writer::default().children(1, chunks).i64(2, total).i64(3, i64::try_from(rows)?);
    let footer = Writer::default()
        .i32(1, 1)
        .children(2, std::iter::once(root).chain(columns.iter().map(leaf)))
        .i64(3, i64::try_from(rows)?)
        .children(4, [group])
        .text(6, concat!("vabal ", env!("CARGO_PKG_VERSION")))
        .finished();
    let length = u32::try_from(footer.len())?;
    file.extend(footer);
    file.extend(length.to_le_bytes());
    file.extend(b"PAR1");
    Ok(file)
}
