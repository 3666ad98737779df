//! Parquet: a table by columns; a list in a row is a further dimension.
//! <https://github.com/apache/parquet-format>
//!
//! Levels and encodings are decoded by the crate `parquet`. What it takes on trust of a file that
//! may be torn or hostile is checked here before (docs/decisions/0018).

mod guard;
mod numbers;
mod pages;
#[cfg(test)]
mod slices;
#[cfg(test)]
mod tests;
mod write;

use std::any::Any;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes as Shared;
use parquet::basic::{CompressionCodec, ConvertedType, LogicalType, Type as Physical};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArrayType, FloatType, Int32Type,
    Int64Type,
};
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue, ParquetMetaDataReader, RowGroupMetaData};
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};
use vabal_query::arrays::Name;
use vabal_query::{Error, Result};

use super::mapped::Map;
use super::{Bytes, Dtype, Entry, Load, convert, torn};
use guard::guarded;
pub use numbers::PACKED;
use numbers::packed;
use pages::Pages;
pub use write::{Data, write, write_features, write_lists};

const EXPECTED: &str = "a Parquet file";

/// A column of a file, unread.
#[derive(Debug, Clone)]
pub struct Column {
    file: Shared,
    leaf: ColumnDescPtr,
    chunks: Vec<Chunk>,
    /// Values in all lists of a row.
    width: usize,
    /// Values in an innermost list.
    inner: usize,
    /// Whether the number of values says that rows have different lengths.
    ragged: bool,
    /// Bytes of a row, where each row is one text of bytes that are numbers.
    packed: Option<usize>,
    /// Which rows of the file.
    rows: Range<usize>,
    /// Where reading stopped last, shared with its slices.
    open: Arc<Mutex<Option<Open>>>,
    place: String,
}

/// A reader of a group of rows, before a row of the file.
#[derive(Debug)]
struct Open {
    chunk: usize,
    row: usize,
    reader: Box<dyn Any + Send>,
}

/// The part of a column in one group of rows.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    start: usize,
    end: usize,
    values: usize,
    codec: CompressionCodec,
    /// Its first row in the file, and how many there are.
    first: usize,
    rows: usize,
}

/// What is handed values block by block, with the first of the rows that they are of.
type Each<'a, T> = dyn FnMut(usize, &[T]) -> Result<()> + 'a;

/// A file as the owner of bytes that are shared.
struct Owner(Arc<Map>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// The columns of a file.
///
/// # Errors
/// A file that is missing, torn or encrypted.
pub fn open(path: &Path) -> Result<Vec<Entry>> {
    columns(&Arc::new(Map::open(path)?), path)
}

fn columns(map: &Arc<Map>, path: &Path) -> Result<Vec<Entry>> {
    let broken = |got: &str| torn(path.display(), EXPECTED, got);
    let footer = &map[footer(map).map_err(broken)?];
    guard::footer(footer).ok_or_else(|| broken("an invalid footer"))?;
    let meta = guarded(|| ParquetMetaDataReader::decode_metadata(footer)).map_err(|got| broken(&got))?;
    let rows = usize::try_from(meta.file_metadata().num_rows());
    let rows = rows.map_err(|_| broken("a footer without a number of rows"))?;
    let of_groups = meta.row_groups().iter().try_fold(0_i64, |sum, group| sum.checked_add(group.num_rows()));
    if of_groups != Some(meta.file_metadata().num_rows()) {
        return Err(broken("groups with another number of rows than the file"));
    }
    let schema = meta.file_metadata().schema_descr();
    let mut leaves = (0..schema.num_columns()).peekable();
    let mut entries = Vec::new();
    for (root, field) in schema.root_schema().get_fields().iter().enumerate() {
        let mut own = Vec::new();
        while let Some(leaf) = leaves.next_if(|&leaf| schema.get_column_root_idx(leaf) == root) {
            own.push(leaf);
        }
        let place = format!("{}, {}", path.display(), field.name());
        let found = Found { map, groups: meta.row_groups(), rows, name: field.name(), place: &place };
        let entry = match own[..] {
            [leaf] => found.column(leaf, schema.column(leaf)).map_err(|got| torn(&place, EXPECTED, got))?,
            _ => found.other("a structure"),
        };
        entries.push(entry);
    }
    // The ids of a table of pandas, if it has no others, are its index.
    let index = meta.file_metadata().key_value_metadata().and_then(|pairs| pandas_index(pairs));
    if !entries.iter().any(|entry| Name::of(&entry.name) == Some(Name::Ids))
        && let Some(entry) = entries.iter_mut().find(|entry| Some(&entry.name) == index.as_ref())
        && (Name::of(&entry.name).is_none() && (entry.dtype.is_whole() || entry.dtype.is_text()))
    {
        entry.name = Name::Ids.to_string();
    }
    Ok(entries)
}

/// The column that pandas keeps the index of a table in, where it is one.
fn pandas_index(pairs: &[KeyValue]) -> Option<String> {
    let pandas = pairs.iter().find(|pair| pair.key == "pandas")?;
    let pandas: serde_json::Value = serde_json::from_str(pandas.value.as_deref()?).ok()?;
    match pandas.get("index_columns")?.as_array()?.as_slice() {
        [index] => index.as_str().map(str::to_owned),
        _ => None,
    }
}

/// Where the footer is.
fn footer(file: &[u8]) -> Result<std::ops::Range<usize>, &'static str> {
    let Some((rest, end)) = file.split_last_chunk::<8>() else { return Err("a file that is too short") };
    match (&end[4..], file.get(..4)) {
        (b"PAR1", Some(b"PAR1")) => {}
        (b"PARE", _) => return Err("an encrypted file"),
        _ => return Err("a file that does not begin and end as one"),
    }
    let length = u32::from_le_bytes([end[0], end[1], end[2], end[3]]) as usize;
    let start =
        rest.len().checked_sub(length).filter(|&start| start >= 4).ok_or("a footer that is too long")?;
    Ok(start..rest.len())
}

/// A column while it is opened.
struct Found<'f> {
    map: &'f Arc<Map>,
    groups: &'f [RowGroupMetaData],
    rows: usize,
    name: &'f str,
    place: &'f str,
}

impl Found<'_> {
    fn entry(&self, shape: Vec<usize>, dtype: Dtype, bytes: Bytes) -> Entry {
        let (name, place) = (self.name.into(), self.place.into());
        Entry { name, shape, dtype, place, first: 0, fortran: false, swapped: false, bytes }
    }

    fn other(&self, what: &str) -> Entry {
        self.entry(vec![self.rows], Dtype::Other(what.into()), Bytes::Mapped(Arc::clone(self.map), 0..0))
    }

    fn column(&self, index: usize, leaf: ColumnDescPtr) -> Result<Entry, String> {
        let packed = packed(self.name, &leaf);
        let dtype = match (&packed, kind_of(&leaf)) {
            (Some((_, dtype)), _) => dtype.clone(),
            (None, Ok(dtype)) => dtype,
            (None, Err(other)) => return Ok(self.other(other)),
        };
        let lists = leaf.max_rep_level();
        if lists > 2 {
            return Ok(self.other("lists of lists of lists"));
        }
        let (mut chunks, mut first) = (Vec::new(), 0);
        for group in self.groups {
            let meta = group.columns().get(index).ok_or("a group without this column")?;
            if meta.file_path().is_some() {
                return Ok(self.other("values in another file"));
            }
            let rows = usize::try_from(group.num_rows()).map_err(|_| "a group without a number of rows")?;
            chunks.push(self.chunk(meta, first, rows).ok_or("a column that ends behind the file")?);
            first += rows;
        }
        let values = chunks.iter().try_fold(0_usize, |sum, chunk| sum.checked_add(chunk.values));
        let values = values.ok_or("more values than can be")?;
        if lists == 0 && values != self.rows {
            return Err("another number of values than of rows".into());
        }
        let mut width = values.checked_div(self.rows).unwrap_or(0);
        let ragged = chunks.iter().any(|chunk| width.checked_mul(chunk.rows) != Some(chunk.values));
        // What is to be allocated is not more than what the file can hold: a run of equal values
        // takes a few bytes.
        if values / (1 << 20) > self.map.len() {
            return Err(format!("{values} values in {} bytes", self.map.len()));
        }
        let (file, place) = (Shared::from_owner(Owner(Arc::clone(self.map))), self.place.to_owned());
        let (rows, open) = (0..self.rows, Arc::default());
        let mut column =
            Column { file, leaf, chunks, width, inner: width, ragged, packed: None, rows, open, place };
        if let Some((name, dtype)) = packed {
            let bytes = column.first_bytes()?;
            if self.rows.checked_mul(bytes).is_none_or(|all| all / (1 << 20) > self.map.len()) {
                return Err(format!("{} rows of {bytes} bytes in {} bytes", self.rows, self.map.len()));
            }
            column.packed = Some(bytes);
            // 4 bytes a number, until somebody says how many there are.
            let width = bytes / if dtype == Dtype::F16 { 2 } else { 4 };
            let entry = self.entry(vec![self.rows, width], dtype, Bytes::Column(Arc::new(column)));
            return Ok(Entry { name, swapped: cfg!(target_endian = "big"), ..entry });
        }
        if lists == 2 || ragged {
            // What rows of different lengths are asked for, the first row says; to read them says
            // which differs.
            let first = column.first_row()?;
            column.inner = first.iter().skip(1).take_while(|&&level| level == lists).count() + 1;
            if ragged || !width.is_multiple_of(column.inner) {
                (width, column.ragged) = (first.len(), true);
            }
        }
        let shape = match lists {
            0 => vec![self.rows],
            1 => vec![self.rows, width],
            _ => vec![self.rows, width / column.inner, column.inner],
        };
        Ok(self.entry(shape, dtype, Bytes::Column(Arc::new(column))))
    }

    fn chunk(&self, meta: &ColumnChunkMetaData, first: usize, rows: usize) -> Option<Chunk> {
        let size = |value: i64| usize::try_from(value).ok();
        let dictionary = meta.dictionary_page_offset().and_then(size).filter(|&at| at > 0);
        let data = size(meta.data_page_offset())?;
        let start = dictionary.map_or(data, |at| at.min(data));
        let end = start.checked_add(size(meta.compressed_size())?).filter(|&end| end <= self.map.len())?;
        let (values, codec) = (size(meta.num_values())?, meta.compression_codec());
        Some(Chunk { start, end, values, codec, first, rows })
    }
}

/// What the values of a leaf are, or what else than numbers and texts.
fn kind_of(leaf: &ColumnDescriptor) -> Result<Dtype, &'static str> {
    let (logical, converted) = (leaf.logical_type_ref(), leaf.converted_type());
    let unsigned = matches!(logical, Some(LogicalType::Integer(kind)) if !kind.is_signed)
        || matches!(converted, ConvertedType::UINT_32 | ConvertedType::UINT_64);
    match (logical, converted) {
        (Some(LogicalType::Decimal(_)), _) | (_, ConvertedType::DECIMAL) => return Err("decimal numbers"),
        (Some(LogicalType::Date | LogicalType::Time(_) | LogicalType::Timestamp(_)), _)
        | (
            _,
            ConvertedType::DATE
            | ConvertedType::TIME_MILLIS
            | ConvertedType::TIME_MICROS
            | ConvertedType::TIMESTAMP_MILLIS
            | ConvertedType::TIMESTAMP_MICROS,
        ) => return Err("dates or times"),
        _ => {}
    }
    Ok(match leaf.physical_type() {
        Physical::BOOLEAN => Dtype::Bool,
        Physical::INT32 if unsigned => Dtype::U32,
        Physical::INT32 => Dtype::I32,
        Physical::INT64 if unsigned => Dtype::U64,
        Physical::INT64 => Dtype::I64,
        Physical::FLOAT => Dtype::F32,
        Physical::DOUBLE => Dtype::F64,
        Physical::BYTE_ARRAY => Dtype::Bytes(0),
        Physical::FIXED_LEN_BYTE_ARRAY
            if leaf.type_length() == 2 && matches!(logical, Some(LogicalType::Float16)) =>
        {
            Dtype::F16
        }
        _ => return Err("values of another type"),
    })
}

impl Column {
    fn reader<T: DataType>(&self, chunk: &Chunk) -> ColumnReaderImpl<T> {
        let pages = Pages {
            bytes: self.file.slice(chunk.start..chunk.end),
            codec: chunk.codec,
            column: Arc::clone(&self.leaf),
            left: chunk.values,
            next: None,
            dictionary: false,
        };
        ColumnReaderImpl::new(Arc::clone(&self.leaf), Box::new(pages))
    }

    /// These of its rows.
    pub fn slice(&self, rows: Range<usize>) -> Self {
        Self { rows: self.rows.start + rows.start..self.rows.start + rows.end, ..self.clone() }
    }

    /// The same with a reader of its own, which its slices share.
    pub fn apart(&self) -> Self {
        Self { open: Arc::default(), ..self.clone() }
    }

    /// The rows of each group.
    pub fn groups(&self) -> Vec<usize> {
        self.chunks.iter().map(|chunk| chunk.rows).collect()
    }

    /// Bytes of a row of numbers that are packed.
    pub fn packed(&self) -> Option<usize> {
        self.packed
    }

    /// Bytes of the first row of a column of bytes; 0 of a column without rows.
    fn first_bytes(&self) -> Result<usize, String> {
        if self.leaf.physical_type() == Physical::FIXED_LEN_BYTE_ARRAY {
            return Ok(usize::try_from(self.leaf.type_length()).unwrap_or(0));
        }
        let Some(chunk) = self.chunks.iter().find(|chunk| chunk.rows > 0) else { return Ok(0) };
        let (mut reader, mut values) = (self.reader::<ByteArrayType>(chunk), Vec::<ByteArray>::new());
        guarded(|| reader.read_records(1, Some(&mut Vec::new()), Some(&mut Vec::new()), &mut values))?;
        Ok(values.first().map_or(0, ByteArray::len))
    }

    /// Of every value of the first row, how far within lists it goes on; none where there is no
    /// row.
    fn first_row(&self) -> Result<Vec<i16>, String> {
        let mut first = Vec::new();
        self.each_row(0, |_, _, lists| {
            first = lists.to_vec();
            false
        })?;
        Ok(first)
    }

    /// Hands out, row by row from the group that a row is in until the answer is no, its number,
    /// whether each of its values is there, and how far within lists each goes on.
    fn each_row(
        &self,
        from: usize,
        mut each: impl FnMut(usize, &[i16], &[i16]) -> bool,
    ) -> Result<(), String> {
        let chunks = &self.chunks[self.chunks.partition_point(|chunk| chunk.first + chunk.rows <= from)..];
        macro_rules! levels {
            ($kind:ty) => {{
                let mut row = chunks.first().map_or(0, |chunk| chunk.first);
                for chunk in chunks {
                    let (mut seen, mut reader) = (0, self.reader::<$kind>(chunk));
                    while seen < chunk.values {
                        let (mut there, mut lists) = (Vec::new(), Vec::new());
                        let read =
                            || reader.read_records(1, Some(&mut there), Some(&mut lists), &mut Vec::new());
                        let (_, _, count) = guarded(read)?;
                        if count == 0 {
                            return Err("another number of values than the column says".into());
                        }
                        if !each(row, &there, &lists) {
                            return Ok(());
                        }
                        (seen, row) = (seen + count, row + 1);
                    }
                }
            }};
        }
        match self.leaf.physical_type() {
            Physical::BOOLEAN => levels!(BoolType),
            Physical::INT32 => levels!(Int32Type),
            Physical::INT64 => levels!(Int64Type),
            Physical::FLOAT => levels!(FloatType),
            Physical::DOUBLE => levels!(DoubleType),
            Physical::BYTE_ARRAY => levels!(ByteArrayType),
            _ => levels!(FixedLenByteArrayType),
        }
        Ok(())
    }

    /// The complaint about the first row that is not of the length of the first, or lacks a value.
    fn uneven(&self) -> Error {
        let mut found = None;
        let first = match self.first_row() {
            Ok(first) => first,
            Err(got) => return self.torn(&got),
        };
        let scanned = self.each_row(self.rows.start, |row, there, lists| {
            let missing = there.iter().any(|&level| level != self.leaf.max_def_level());
            if missing || lists != first {
                found = Some((row, (!missing).then_some(lists.len())));
            }
            found.is_none()
        });
        let place = |row: usize| format!("{}, row {row}", self.place);
        match (scanned, found) {
            (Err(got), _) => self.torn(&got),
            (_, None) => self.torn("lists of different lengths"),
            (_, Some((row, None))) => Error::input("a value is missing")
                .at(place(row))
                .expected("a value in every row, and in lists as many as in the others")
                .got("null, or an empty list")
                .hint("fill it, or leave the row out; -1 is the label of a row without one")
                .into(),
            (_, Some((row, Some(length)))) => Error::input("lists of different lengths")
                .at(place(row))
                .expected(format!("{} values, as in row 0", first.len()))
                .got(if length == first.len() {
                    format!("{length} values, in other lists")
                } else {
                    format!("{length} values")
                })
                .hint("every row of an array has the same length: make them so, or leave the row out")
                .into(),
        }
    }

    /// A reader before a row, and the number of its group.
    fn reader_at<T: DataType>(&self, row: usize) -> Result<(usize, ColumnReaderImpl<T>), String> {
        let index = self.chunks.partition_point(|chunk| chunk.first + chunk.rows <= row);
        let chunk = self.chunks.get(index).ok_or("fewer rows than the file says")?;
        let (mut reader, before) = (self.reader::<T>(chunk), row - chunk.first);
        if before > 0 && guarded(|| reader.skip_records(before))? != before {
            return Err("another number of values than the column says".into());
        }
        Ok((index, reader))
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands out the values block by block. Every list must be as long as the others, and nothing
    /// may be missing.
    fn each<T: DataType>(
        &self,
        load: &mut Load<'_, '_>,
        block: usize,
        each: &mut Each<'_, T::T>,
    ) -> Result<()> {
        if self.ragged {
            return Err(self.uneven());
        }
        if self.width == 0 {
            return Ok(());
        }
        let rows = (block / self.width).max(1);
        let (mut there, mut lists, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let (mut row, total) = (self.rows.start, self.rows.len() * self.width);
        let before = self.opened().take().filter(|open| open.row == row);
        let mut open: Option<(usize, ColumnReaderImpl<T>)> =
            before.and_then(|open| Some((open.chunk, *open.reader.downcast().ok()?)));
        while row < self.rows.end {
            let (index, mut reader) = match open.take() {
                Some(open) => open,
                None => self.reader_at::<T>(row).map_err(|got| self.torn(&got))?,
            };
            let last = self.chunks[index].first + self.chunks[index].rows;
            let end = last.min(self.rows.end);
            while row < end {
                there.clear();
                lists.clear();
                values.clear();
                let n = rows.min(end - row);
                let read = || reader.read_records(n, Some(&mut there), Some(&mut lists), &mut values);
                let (records, ..) = guarded(read).map_err(|got| self.torn(&got))?;
                self.check(records, &there, &lists)?;
                if records != n {
                    return Err(self.torn("another number of values than the column says"));
                }
                each(row - self.rows.start, &values)?;
                row += n;
                convert::told(load, "read", (row - self.rows.start) * self.width, total)?;
            }
            open = (row < last).then_some((index, reader));
        }
        *self.opened() = open.map(|(chunk, reader)| Open { chunk, row, reader: Box::new(reader) });
        Ok(())
    }

    /// Checks by the levels of the values of some rows that each is there and in a list of the
    /// right length.
    fn check(&self, rows: usize, there: &[i16], lists: &[i16]) -> Result<()> {
        // Without an early end within a row, so that whole vectors are looked at.
        let all = |levels: &[i16], level| levels.iter().fold(true, |all, &other| all & (other == level));
        let first = |list: &[i16], level, rest| list[0] == level && all(&list[1..], rest);
        let even = |row: &[i16]| match self.leaf.max_rep_level() {
            1 => first(row, 0, 1),
            _ => row.chunks(self.inner).enumerate().all(|(n, list)| first(list, i16::from(n > 0), 2)),
        };
        let whole = all(there, self.leaf.max_def_level());
        let flat = self.leaf.max_rep_level() == 0;
        let even = flat || (lists.len() == rows * self.width && lists.chunks(self.width).all(even));
        if whole && even { Ok(()) } else { Err(self.uneven()) }
    }

    fn torn(&self, got: &str) -> Error {
        torn(&self.place, EXPECTED, got)
    }
}
