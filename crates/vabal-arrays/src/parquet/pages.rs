//! The pages of a column for the crate `parquet`, decompressed: none takes more memory than its
//! bytes can hold.

use std::collections::HashMap;
use std::io::Read;

use bytes::Bytes;
use parquet::basic::{CompressionCodec as Codec, Encoding, Type as Physical};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::schema::types::ColumnDescPtr;

use super::guard::{self, Reader};

/// What is wrong with a page.
fn wrong(what: impl std::fmt::Display) -> ParquetError {
    ParquetError::General(what.to_string())
}

/// The pages of one group of rows.
#[derive(Debug)]
pub struct Pages {
    /// Theirs, up to the end of the column in this group.
    pub bytes: Bytes,
    pub codec: Codec,
    pub column: ColumnDescPtr,
    /// Values, or what stands for one, still to come.
    pub left: usize,
    /// A page that was looked at.
    pub next: Option<Page>,
    pub dictionary: bool,
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        match self.next.take() {
            None => self.read(),
            page => Ok(page),
        }
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        if self.next.is_none() {
            self.next = self.read()?;
        }
        Ok(self.next.as_ref().map(|page| PageMetadata {
            num_rows: if let Page::DataPageV2 { num_rows, .. } = page {
                Some(*num_rows as usize)
            } else {
                None
            },
            num_levels: page.is_data_page().then(|| page.num_values() as usize),
            is_dict: page.is_dictionary_page(),
        }))
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.get_next_page().map(drop)
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl Pages {
    /// The next page, of those that hold values.
    fn read(&mut self) -> Result<Option<Page>> {
        while !self.bytes.is_empty() {
            let (mut fields, mut reader) = (HashMap::new(), Reader::new(&self.bytes));
            let header = reader.structure(&mut Vec::new(), &mut |path, value| {
                if let (&[field], Some(value)) = (path, value) {
                    fields.insert((field, 0), value);
                } else if let (&[field, inner], Some(value)) = (path, value) {
                    fields.insert((field, inner), value);
                }
            });
            header.ok_or_else(|| wrong("a page without a header"))?;
            let header = Header(fields);
            let start = reader.position();
            let end = start + header.number(3, 0)?;
            if end > self.bytes.len() {
                return Err(wrong("a page that ends behind its column"));
            }
            let body = self.bytes.split_to(end).slice(start..);
            let page = match header.number(1, 0)? {
                0 => self.first_kind(&header, &body)?,
                2 => self.dictionary(&header, &body)?,
                3 => self.second_kind(&header, &body)?,
                // An index: nothing here needs it.
                _ => continue,
            };
            return Ok(Some(page));
        }
        Ok(None)
    }

    fn first_kind(&mut self, header: &Header, body: &Bytes) -> Result<Page> {
        let buf = decompressed(self.codec, body, header.number(2, 0)?)?;
        let (mut levels, mut reader) = ([Encoding::RLE; 2], Reader::new(&buf));
        let largest = [self.column.max_rep_level(), self.column.max_def_level()];
        for ((most, of), field) in largest.iter().zip(&mut levels).zip([4, 3]) {
            if *most > 0 {
                *of = header.encoding(5, field)?;
                let length = reader.take(4).map(|raw| u32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]));
                let there = length.and_then(|length| reader.take(length as usize));
                if *of != Encoding::RLE || there.is_none() {
                    return Err(wrong("a page whose levels cannot be read"));
                }
            }
        }
        let (num_values, encoding) = self.values(header, [(5, 1), (5, 2)], &buf, reader.position())?;
        let [rep_level_encoding, def_level_encoding] = levels;
        Ok(Page::DataPage {
            buf,
            num_values,
            encoding,
            def_level_encoding,
            rep_level_encoding,
            statistics: None,
        })
    }

    fn second_kind(&mut self, header: &Header, body: &Bytes) -> Result<Page> {
        let [definition, repetition] = [header.number(8, 5)?, header.number(8, 6)?];
        // Levels lie before what is compressed.
        let (levels, size) = (definition + repetition, header.number(2, 0)?);
        if levels > body.len() || levels > size {
            return Err(wrong("a page whose levels cannot be read"));
        }
        let is_compressed = header.0.get(&(8, 7)) != Some(&0);
        let buf = if is_compressed && self.codec != Codec::UNCOMPRESSED {
            let values = match size - levels {
                0 => Bytes::new(),
                size => decompressed(self.codec, &body.slice(levels..), size)?,
            };
            [&body[..levels], &values].concat().into()
        } else {
            body.clone()
        };
        let (num_values, encoding) = self.values(header, [(8, 1), (8, 4)], &buf, levels)?;
        Ok(Page::DataPageV2 {
            num_values,
            encoding,
            num_nulls: header.count(8, 2)?,
            num_rows: header.count(8, 3)?,
            def_levels_byte_len: definition as u32,
            rep_levels_byte_len: repetition as u32,
            is_compressed,
            statistics: None,
            buf,
        })
    }

    fn dictionary(&mut self, header: &Header, body: &Bytes) -> Result<Page> {
        let buf = decompressed(self.codec, body, header.number(2, 0)?)?;
        let num_values = header.count(7, 1)?;
        let least = match self.column.physical_type() {
            Physical::BOOLEAN | Physical::FIXED_LEN_BYTE_ARRAY => 1,
            Physical::INT64 | Physical::DOUBLE => 8,
            _ => 4,
        };
        if num_values as usize > buf.len() / least {
            return Err(wrong("a dictionary that ends too early"));
        }
        self.dictionary = true;
        Ok(Page::DictionaryPage { buf, num_values, encoding: header.encoding(7, 2)?, is_sorted: false })
    }

    /// The number and the encoding of the values of a page, as two fields say, held against its
    /// bytes and those behind its levels.
    fn values(
        &mut self,
        header: &Header,
        fields: [(i16, i16); 2],
        page: &[u8],
        levels: usize,
    ) -> Result<(u32, Encoding)> {
        let [(a, count), (b, encoding)] = fields;
        let (number, encoding) = (header.count(a, count)?, header.encoding(b, encoding)?);
        let (n, bytes) = (number as usize, &page[levels..]);
        self.left = match self.left.checked_sub(n) {
            Some(left) if n > 0 => left,
            _ => return Err(wrong("a page with another number of values than its column")),
        };
        match encoding {
            Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY if !self.dictionary => {
                return Err(wrong("a page without its dictionary"));
            }
            Encoding::DELTA_LENGTH_BYTE_ARRAY | Encoding::DELTA_BYTE_ARRAY => {
                let first = guard::differences(bytes, n);
                let both = if encoding == Encoding::DELTA_BYTE_ARRAY {
                    first.and_then(|first| guard::differences(&bytes[first..], n))
                } else {
                    first
                };
                both.ok_or_else(|| wrong("invalid lengths of texts"))?;
            }
            _ => {}
        }
        // All lists of a page may be in memory at once, and where each begins takes a bit at least.
        if self.column.max_rep_level() > 0 && n >> 16 > page.len() {
            return Err(wrong(format!("{n} values in a page of {} bytes", page.len())));
        }
        Ok((number, encoding))
    }
}

/// The numbers of a page's header, by their field and the field within it.
struct Header(HashMap<(i16, i16), i64>);

impl Header {
    fn count(&self, field: i16, inner: i16) -> Result<u32> {
        // Counts and sizes have a sign in the format.
        let value = self.0.get(&(field, inner)).and_then(|&value| i32::try_from(value).ok()?.try_into().ok());
        value.ok_or_else(|| wrong("a page without a size"))
    }

    fn number(&self, field: i16, inner: i16) -> Result<usize> {
        self.count(field, inner).map(|value| value as usize)
    }

    fn encoding(&self, field: i16, inner: i16) -> Result<Encoding> {
        let number = self.number(field, inner)?;
        // ALP is left out: what its decoder takes on trust was not looked at, and pyarrow does not
        // write it.
        let known =
            Encoding::VARIANTS.iter().find(|&&known| known as usize == number && known != Encoding::ALP);
        known.copied().ok_or_else(|| wrong(format!("values in the encoding {number} of Parquet")))
    }
}

/// The content of a page. What a codec cannot make of so many bytes is refused before it is made
/// room for.
pub fn decompressed(codec: Codec, bytes: &Bytes, size: usize) -> Result<Bytes> {
    let mut unpacked = Vec::new();
    let read =
        |from: &mut dyn Read, into: &mut Vec<u8>| from.take(size as u64 + 1).read_to_end(into).map(drop);
    match codec {
        Codec::UNCOMPRESSED => return Ok(bytes.clone()),
        Codec::SNAPPY => {
            // Three bytes stand for 64 at most.
            if snap::raw::decompress_len(bytes).map_err(wrong)? == size && size / 32 <= bytes.len() {
                unpacked = snap::raw::Decoder::new().decompress_vec(bytes).map_err(wrong)?;
            }
        }
        Codec::GZIP => read(&mut flate2::read::MultiGzDecoder::new(&bytes[..]), &mut unpacked)?,
        Codec::ZSTD => {
            read(&mut ruzstd::decoding::StreamingDecoder::new(&bytes[..]).map_err(wrong)?, &mut unpacked)?;
        }
        Codec::BROTLI => {
            read(&mut brotli_decompressor::Decompressor::new(&bytes[..], 1 << 12), &mut unpacked)?
        }
        Codec::LZ4_RAW => unpacked = lz4(bytes, size)?,
        Codec::LZ4 => unpacked = hadoop_lz4(bytes, size).map_or_else(|| lz4(bytes, size), Ok)?,
        Codec::LZO => return Err(wrong("pages compressed with LZO")),
    }
    if unpacked.len() != size {
        return Err(wrong("a page of another size than it says"));
    }
    Ok(unpacked.into())
}

fn lz4(bytes: &[u8], size: usize) -> Result<Vec<u8>> {
    // A byte stands for 255 at most.
    if size / 256 > bytes.len() {
        return Err(wrong("a page of another size than it says"));
    }
    lz4_flex::block::decompress(bytes, size).map_err(wrong)
}

/// Blocks as Hadoop frames them, each behind its size and its compressed size: what older writers
/// call LZ4. `None` where they are not framed, as others write it.
fn hadoop_lz4(bytes: &[u8], size: usize) -> Option<Vec<u8>> {
    let (mut reader, mut unpacked) = (Reader::new(bytes), Vec::new());
    while reader.position() < bytes.len() {
        let mut size_of =
            || reader.take(4).map(|raw| u32::from_be_bytes([raw[0], raw[1], raw[2], raw[3]]) as usize);
        let (block, packed) = (size_of()?, size_of()?);
        let packed = reader.take(packed)?;
        if unpacked.len() + block > size {
            return None;
        }
        unpacked.extend(lz4(packed, block).ok().filter(|unpacked| unpacked.len() == block)?);
    }
    Some(unpacked)
}
