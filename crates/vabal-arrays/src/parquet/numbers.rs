//! The values of a column: numbers as bytes, block by block, also where a row is one text of bytes
//! that are numbers; and texts.
//!
//! Never here: how pages are read.

use bytemuck::cast_slice;
use parquet::basic::{ConvertedType, Type as Physical};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DoubleType, FixedLenByteArrayType, FloatType, Int32Type, Int64Type,
};
use parquet::schema::types::ColumnDescriptor;
use vabal_query::arrays::Name;
use vabal_query::{Error, Result};

use super::{Column, Each};
use crate::{Dtype, Load, torn};

/// Values that are decoded at once, and texts, each of which may be as long as its page.
const BLOCK: usize = 1 << 16;
const TEXTS: usize = 1 << 6;

/// Bytes of text that one column may come to. A few bytes of a file may claim any number of them,
/// by a dictionary or by what texts have in common.
const MOST_TEXT: usize = 1 << 30;

/// What bytes are that nobody has said a type of.
pub const PACKED: &str = "bytes, as float16 or float32";

/// The name and the type of a column whose rows are numbers as they are in memory, little-endian:
/// features or probabilities as bytes without a type, which the name says: `features_f16` are
/// `features` in 16 bits.
pub fn packed(name: &str, leaf: &ColumnDescriptor) -> Option<(String, Dtype)> {
    let (name, dtype) = match (name.strip_suffix("_f16"), name.strip_suffix("_f32")) {
        (Some(name), _) => (name, Dtype::F16),
        (_, Some(name)) => (name, Dtype::F32),
        _ => (name, Dtype::Other(PACKED.into())),
    };
    let bytes = matches!(leaf.physical_type(), Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY)
        && leaf.logical_type_ref().is_none()
        && leaf.converted_type() == ConvertedType::NONE
        && leaf.max_rep_level() == 0;
    let known = matches!(Name::of(name), Some(Name::Features | Name::Stage(_) | Name::Probabilities));
    (bytes && known).then(|| (name.to_owned(), dtype))
}

impl Column {
    /// Hands out the bytes of numbers, whole values each, with the number of the first value.
    ///
    /// # Errors
    /// A torn file, lists of different lengths, missing values, [`Error::Stopped`].
    pub fn each_block(&self, size: usize, load: &mut Load<'_, '_>, each: &mut Each<'_, u8>) -> Result<()> {
        let width = self.width;
        if let Some(bytes) = self.packed {
            let (rows, width) = ((BLOCK * 4).div_ceil(bytes.max(1)), bytes / size);
            return match self.leaf.physical_type() {
                Physical::BYTE_ARRAY => self.each::<ByteArrayType>(load, rows, &mut |row, values| {
                    each(row * width, &self.unpacked(row, bytes, values.iter().map(ByteArray::data))?)
                }),
                _ => self.each::<FixedLenByteArrayType>(load, rows, &mut |row, values| {
                    each(row * width, &self.unpacked(row, bytes, values.iter().map(|value| value.data()))?)
                }),
            };
        }
        match self.leaf.physical_type() {
            Physical::BOOLEAN => self.each::<BoolType>(load, BLOCK, &mut |row, values| {
                each(row * width, &values.iter().map(|&value| value.into()).collect::<Vec<u8>>())
            }),
            Physical::INT32 => {
                self.each::<Int32Type>(load, BLOCK, &mut |row, values| each(row * width, cast_slice(values)))
            }
            Physical::INT64 => {
                self.each::<Int64Type>(load, BLOCK, &mut |row, values| each(row * width, cast_slice(values)))
            }
            Physical::FLOAT => {
                self.each::<FloatType>(load, BLOCK, &mut |row, values| each(row * width, cast_slice(values)))
            }
            Physical::DOUBLE => {
                self.each::<DoubleType>(load, BLOCK, &mut |row, values| each(row * width, cast_slice(values)))
            }
            Physical::FIXED_LEN_BYTE_ARRAY => {
                self.each::<FixedLenByteArrayType>(load, BLOCK, &mut |row, values| {
                    let bytes = values.iter().flat_map(|value| value.data()).copied();
                    each(row * width, &bytes.collect::<Vec<u8>>())
                })
            }
            _ => Err(self.torn("texts")),
        }
    }

    /// The bytes of rows, `size` of each, one after another.
    fn unpacked<'v>(
        &self,
        first: usize,
        size: usize,
        values: impl ExactSizeIterator<Item = &'v [u8]>,
    ) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(values.len() * size);
        for (row, value) in (self.rows.start + first..).zip(values) {
            if value.len() != size {
                return Err(Error::input("rows of different lengths")
                    .at(format!("{}, row {row}", self.place))
                    .expected(format!("{size} bytes, as in row 0"))
                    .got(format!("{} bytes", value.len()))
                    .hint("every row of an array has the same length: make them so, or leave the row out")
                    .into());
            }
            bytes.extend_from_slice(value);
        }
        Ok(bytes)
    }

    /// All texts.
    ///
    /// # Errors
    /// As [`Column::each_block`]; bytes that are no text.
    pub fn texts(&self, load: &mut Load<'_, '_>) -> Result<Vec<String>> {
        let (mut texts, mut size) = (Vec::new(), 0_usize);
        self.each::<ByteArrayType>(load, TEXTS, &mut |_, values: &[ByteArray]| {
            for value in values {
                // What holds a text takes memory too.
                size = size.saturating_add(value.len() + size_of::<String>());
                if size > MOST_TEXT {
                    return Err(self.torn("more than 1 GiB of text"));
                }
                let text = value.as_utf8().map_err(|_| {
                    let place = format!("{}, row {}", self.place, self.rows.start + texts.len());
                    torn(place, "a text in UTF-8", "bytes that are not UTF-8")
                })?;
                texts.push(text.to_owned());
            }
            Ok(())
        })?;
        Ok(texts)
    }
}
