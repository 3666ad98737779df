//! Parquet: a table by columns; a list in a row is a further dimension.
//! <https://github.com/apache/parquet-format>
//!
//! Written by hand: the crate `parquet` turns on a feature of a crate below burn (docs/decisions/0008).

mod pages;
#[cfg(test)]
mod tests;
mod thrift;
mod write;

use std::path::Path;
use std::sync::Arc;

use vabal::{Error, Result};

use super::mapped::Map;
use super::{Bytes, Dtype, Entry, Load, convert, torn};
use pages::{Decoded, Levels, PageHeader, PageKind, Physical};
use thrift::{Reader, Struct};
pub use write::{Data, write};

const EXPECTED: &str = "a Parquet file";

/// A column of a file, unread.
#[derive(Debug)]
pub struct Column {
    map: Arc<Map>,
    chunks: Vec<Chunk>,
    physical: Physical,
    /// Lists within lists.
    repetition: u8,
    /// The level of a value that is there.
    definition: u8,
    /// Values in all lists of a row.
    width: usize,
    /// Values in an innermost list.
    inner: usize,
    place: String,
}

/// The part of a column in one group of rows.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    start: usize,
    end: usize,
    values: usize,
    codec: i64,
}

/// The columns of a file.
///
/// # Errors
/// A file that is missing, torn or encrypted.
pub fn open(path: &Path) -> Result<Vec<Entry>> {
    let map = Arc::new(Map::open(path)?);
    let broken = |got: &str| torn(path.display(), EXPECTED, got);
    let footer = footer(&map).map_err(broken)?;
    let footer = Reader::new(&map[footer]).structure().ok_or_else(|| broken("a footer that is none"))?;
    let (elements, groups) =
        footer.children(2).zip(footer.children(4)).ok_or_else(|| broken("a footer that is none"))?;
    let rows = footer.size(3).ok_or_else(|| broken("a footer without a number of rows"))?;
    let of_groups: Option<usize> =
        groups.iter().map(|group| group.size(3)).try_fold(0_usize, |sum, rows| sum.checked_add(rows?));
    if of_groups != Some(rows) {
        return Err(broken("groups with another number of rows than the file"));
    }
    let mut entries = Vec::new();
    let (mut at, mut leaf) = (1, 0);
    while at < elements.len() {
        let name = elements[at].text(4).unwrap_or_default().to_owned();
        let place = format!("{}, {name}", path.display());
        let (chain, next, leaves) = walk(&elements, at).ok_or_else(|| broken("a schema that is none"))?;
        let entry = Found { map: &map, groups: &groups, leaf, rows, place: &place };
        entries.push(entry.entry(name, &chain).map_err(|got| torn(&place, EXPECTED, got))?);
        (at, leaf) = (next, leaf + leaves);
    }
    Ok(entries)
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

/// From a column at the top down to its one leaf; nothing below a group of several. What comes behind it, and how many
/// leaves it has.
fn walk<'s, 'a>(elements: &[&'s Struct<'a>], at: usize) -> Option<(Vec<&'s Struct<'a>>, usize, usize)> {
    let children = |at: usize| Some(elements.get(at)?.size(5).unwrap_or(0));
    let mut chain = Vec::new();
    // Elements that are still to come below the one at the top.
    let (mut open, mut next, mut leaves, mut single) = (1_usize, at, 0, true);
    while open > 0 {
        let count = children(next)?;
        single &= count <= 1;
        if single {
            chain.push(*elements.get(next)?);
        }
        leaves += usize::from(count == 0);
        open = (open - 1).checked_add(count)?;
        next += 1;
    }
    if !single {
        chain.clear();
    }
    Some((chain, next, leaves))
}

/// A column while it is opened.
struct Found<'f> {
    map: &'f Arc<Map>,
    groups: &'f [&'f Struct<'f>],
    leaf: usize,
    rows: usize,
    place: &'f str,
}

impl Found<'_> {
    fn entry(&self, name: String, chain: &[&Struct<'_>]) -> Result<Entry, String> {
        let other = |what: &str| Entry {
            name: name.clone(),
            shape: vec![self.rows],
            dtype: Dtype::Other(what.into()),
            place: self.place.into(),
            fortran: false,
            swapped: false,
            bytes: Bytes::Mapped(Arc::clone(self.map), 0..0),
        };
        let Some(leaf) = chain.last() else { return Ok(other("a structure")) };
        let (mut repetition, mut definition) = (0_u8, 0_u8);
        for element in chain.iter().take(100) {
            let kind = element.int(3).unwrap_or(0);
            repetition += u8::from(kind == 2);
            definition += u8::from(kind != 0);
        }
        let Some((physical, dtype)) = kind_of(leaf) else { return Ok(other("values of another type")) };
        if repetition > 2 {
            return Ok(other("lists of lists of lists"));
        }
        let mut chunks = Vec::new();
        for group in self.groups {
            let column = group.children(1).and_then(|columns| columns.get(self.leaf).copied());
            let column = column.ok_or("a group without this column")?;
            if column.text(1).is_some() {
                return Ok(other("values in another file"));
            }
            let meta = column.child(3).ok_or("a column without a place")?;
            chunks.push(self.chunk(meta).ok_or("a column that ends behind the file")?);
        }
        let values = chunks.iter().try_fold(0_usize, |sum, chunk| sum.checked_add(chunk.values));
        let values = values.ok_or("more values than can be")?;
        let width = values.checked_div(self.rows).unwrap_or(0);
        if width.checked_mul(self.rows) != Some(values) || (repetition == 0 && values != self.rows) {
            return Ok(other("lists of different lengths"));
        }
        let (map, place) = (Arc::clone(self.map), self.place.to_owned());
        let mut column = Column { map, chunks, physical, repetition, definition, width, inner: width, place };
        if repetition == 2 {
            column.inner = column.first_list()?;
            if column.inner == 0 || !width.is_multiple_of(column.inner) {
                return Ok(other("lists of different lengths"));
            }
        }
        let shape = match repetition {
            0 => vec![self.rows],
            1 => vec![self.rows, width],
            _ => vec![self.rows, width / column.inner, column.inner],
        };
        // What is to be allocated is not more than what the file can hold: a run of equal values takes a few bytes.
        if values / (1 << 20) > self.map.len() {
            return Err(format!("{values} values in {} bytes", self.map.len()));
        }
        let bytes = Bytes::Column(Arc::new(column));
        let swapped = cfg!(target_endian = "big");
        Ok(Entry { name, shape, dtype, place: self.place.into(), fortran: false, swapped, bytes })
    }

    fn chunk(&self, meta: &Struct<'_>) -> Option<Chunk> {
        let dictionary = meta.size(11).filter(|&at| at > 0);
        let data = meta.size(9)?;
        let start = dictionary.map_or(data, |at| at.min(data));
        let end = start.checked_add(meta.size(7)?).filter(|&end| end <= self.map.len())?;
        Some(Chunk { start, end, values: meta.size(5)?, codec: meta.int(4)? })
    }
}

/// The type of a leaf, as it lies in the file and as what it is.
fn kind_of(leaf: &Struct<'_>) -> Option<(Physical, Dtype)> {
    let converted = leaf.int(6);
    let logical = |id: i16| leaf.child(10).is_some_and(|logical| logical.child(id).is_some());
    let unsigned =
        leaf.child(10).and_then(|logical| logical.child(10)).and_then(|whole| whole.bool(2)) == Some(false);
    Some(match leaf.int(1)? {
        0 => (Physical::Bool, Dtype::Bool),
        1 if unsigned || converted == Some(13) => (Physical::Fixed(4), Dtype::U32),
        1 => (Physical::Fixed(4), Dtype::I32),
        2 if unsigned || converted == Some(14) => (Physical::Fixed(8), Dtype::U64),
        2 => (Physical::Fixed(8), Dtype::I64),
        4 => (Physical::Fixed(4), Dtype::F32),
        5 => (Physical::Fixed(8), Dtype::F64),
        6 => (Physical::Texts, Dtype::Bytes(0)),
        7 if logical(15) && leaf.int(2) == Some(2) => (Physical::Fixed(2), Dtype::F16),
        _ => return None,
    })
}

/// What one page holds, and the number of its first value.
struct Page {
    first: usize,
    values: Decoded,
}

impl Column {
    /// The length of the first innermost list.
    fn first_list(&self) -> Result<usize, String> {
        let Some(chunk) = self.chunks.iter().find(|chunk| chunk.values > 0) else { return Ok(0) };
        let mut at = chunk.start;
        while at < chunk.end {
            let (header, body) = self.page(chunk, &mut at)?;
            let (mut count, mut ended) = (0, false);
            let mut put = |level: u8| {
                ended |= count > 0 && level < 2;
                count += usize::from(!ended);
                Ok(())
            };
            match header.kind {
                PageKind::Data => {
                    let body = pages::decompressed(chunk.codec, body, header.size)?;
                    Levels { largest: 2, bytes: None }.read(&mut &body[..], header.values, &mut put)?;
                }
                PageKind::Data2(repetition, ..) => {
                    Levels { largest: 2, bytes: Some(repetition) }.read(
                        &mut &body[..],
                        header.values,
                        &mut put,
                    )?;
                }
                _ => continue,
            }
            // A list that goes on in the next page is told by what follows: its length does not divide the row.
            return Ok(count);
        }
        Err("a column without a page".into())
    }

    /// The header and the bytes of the next page.
    fn page(&self, chunk: &Chunk, at: &mut usize) -> Result<(PageHeader, &[u8]), String> {
        let bytes = self.map.get(*at..chunk.end).ok_or("a page behind its column")?;
        let mut reader = Reader::new(bytes);
        let header =
            reader.structure().and_then(|header| PageHeader::of(&header)).ok_or("a page without a header")?;
        let body = &bytes[reader.position()..];
        let body = body.get(..header.packed).ok_or("a page that ends behind its column")?;
        *at += reader.position() + header.packed;
        Ok((header, body))
    }

    /// Hands out the values page by page.
    fn each_page(&self, load: &mut Load<'_, '_>, each: &mut dyn FnMut(Page) -> Result<()>) -> Result<()> {
        let total: usize = self.chunks.iter().map(|chunk| chunk.values).sum();
        let mut first = 0;
        for chunk in &self.chunks {
            let (mut at, end, mut dictionary) = (chunk.start, first + chunk.values, None);
            while first < end {
                let (header, body) = self.page(chunk, &mut at).map_err(|got| self.torn(&got))?;
                if header.kind == PageKind::Dictionary {
                    let decoded = pages::decompressed(chunk.codec, body, header.size)
                        .and_then(|body| pages::values(self.physical, 0, &body, header.values, None));
                    dictionary = Some(decoded.map_err(|got| self.torn(&got))?);
                } else if header.kind != PageKind::Other {
                    if header.values == 0 || header.values > end - first {
                        return Err(self.torn("a page with another number of values than its column"));
                    }
                    let values = self.values(chunk, &header, body, first, dictionary.as_ref())?;
                    each(Page { first, values })?;
                    first += header.values;
                    convert::told(load, "read", first, total)?;
                }
            }
        }
        Ok(())
    }

    /// The values of a page of data. Every list must be as long as the others, and nothing may be missing.
    fn values(
        &self,
        chunk: &Chunk,
        header: &PageHeader,
        body: &[u8],
        first: usize,
        dictionary: Option<&Decoded>,
    ) -> Result<Decoded> {
        let (lengths, compressed) = match header.kind {
            PageKind::Data2(repetition, definition, compressed) => {
                (Some((repetition, definition)), compressed)
            }
            _ => (None, true),
        };
        // The levels of the second kind of page lie before what is compressed.
        let levels =
            lengths.map_or(Some(0), |(a, b)| a.checked_add(b)).filter(|&levels| levels <= body.len());
        let levels = levels
            .filter(|&levels| levels <= header.size)
            .ok_or_else(|| self.torn("a page without levels"))?;
        let codec = if compressed { chunk.codec } else { 0 };
        let packed = pages::decompressed(codec, &body[levels..], header.size - levels)
            .map_err(|got| self.torn(&got))?;
        let mut of_levels = &body[..levels];
        let mut rest = &packed[..];
        let from = if lengths.is_some() { &mut of_levels } else { &mut rest };

        let (mut seen, mut uneven, mut missing) = (first, None, None);
        let repetition =
            Levels { largest: self.repetition, bytes: lengths.map(|(repetition, _)| repetition) };
        let mut read = repetition.read(from, header.values, |level| {
            let expected = if seen % self.width == 0 {
                0
            } else if seen % self.inner == 0 {
                1
            } else {
                self.repetition
            };
            if level != expected {
                uneven.get_or_insert(seen / self.width);
            }
            seen += 1;
            Ok(())
        });
        let definition =
            Levels { largest: self.definition, bytes: lengths.map(|(_, definition)| definition) };
        let mut seen = first;
        if read.is_ok() {
            read = definition.read(from, header.values, |level| {
                if level != self.definition {
                    missing.get_or_insert(seen / self.width);
                }
                seen += 1;
                Ok(())
            });
        }
        read.map_err(|got| self.torn(&got))?;
        if let Some(row) = uneven {
            return Err(Error::input("a list of another length than the others")
                .at(format!("{}, row {row}", self.place))
                .expected(format!("{} values, as in the other rows", self.width))
                .got("more or fewer")
                .hint("every row of an array has the same length")
                .into());
        }
        if let Some(row) = missing {
            return Err(Error::input("a value is missing")
                .at(format!("{}, row {row}", self.place))
                .expected("a value in every row")
                .got("null")
                .hint("fill them: -1 for a row without a label")
                .into());
        }
        pages::values(self.physical, header.encoding, rest, header.values, dictionary)
            .map_err(|got| self.torn(&got))
    }

    fn torn(&self, got: &str) -> Error {
        torn(&self.place, EXPECTED, got)
    }

    /// Hands out the bytes of numbers, whole values each, with the number of the first value.
    ///
    /// # Errors
    /// A torn file, lists of different lengths, missing values, [`Error::Stopped`].
    pub fn each_block(
        &self,
        load: &mut Load<'_, '_>,
        each: &mut dyn FnMut(usize, &[u8]) -> Result<()>,
    ) -> Result<()> {
        self.each_page(load, &mut |page| match page.values {
            Decoded::Fixed(bytes) => each(page.first, &bytes),
            Decoded::Texts(_) => Err(self.torn("texts")),
        })
    }

    /// All texts.
    ///
    /// # Errors
    /// As [`Column::each_block`]; bytes that are no text.
    pub fn texts(&self, load: &mut Load<'_, '_>) -> Result<Vec<String>> {
        let (mut texts, mut size) = (Vec::new(), 0);
        self.each_page(load, &mut |page| {
            let Decoded::Texts(values) = page.values else { return Err(self.torn("numbers")) };
            for value in values {
                let place = || format!("{}, row {}", self.place, texts.len());
                pages::bounded(&mut size, value.len()).map_err(|got| self.torn(&got))?;
                let text = String::from_utf8(value);
                texts.push(text.map_err(|_| torn(place(), "a text in UTF-8", "bytes that are none"))?);
            }
            Ok(())
        })?;
        Ok(texts)
    }
}
