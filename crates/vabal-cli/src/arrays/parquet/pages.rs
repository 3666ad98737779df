//! The pages of a column: decompressed, levels and values decoded.
//! <https://github.com/apache/parquet-format/blob/master/Encodings.md>
//!
//! A page is turned into the bytes of its values, little-endian, one after the other; texts into their bytes.

use std::borrow::Cow;
use std::io::Read;

use super::thrift::{Struct, unzigzag};

/// What is wrong with a page.
pub type Result<T, E = String> = std::result::Result<T, E>;

/// Where values come from: the physical types of Parquet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Physical {
    /// One bit a value, given back as a byte.
    Bool,
    /// So many bytes a value.
    Fixed(usize),
    /// Bytes with their length before them.
    Texts,
}

impl Physical {
    /// Bytes of a value as it is given back.
    pub fn size(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::Fixed(size) => size,
            Self::Texts => 0,
        }
    }
}

/// Values, as bytes.
#[derive(Debug, Clone)]
pub enum Decoded {
    Fixed(Vec<u8>),
    Texts(Vec<Vec<u8>>),
}

const SHORT: &str = "a page that ends too early";

/// The content of a page.
///
/// # Errors
/// A codec that is not known, bytes that it did not write.
pub fn decompressed<'a>(codec: i64, bytes: &'a [u8], size: usize) -> Result<Cow<'a, [u8]>> {
    let mut unpacked = Vec::new();
    let read = |from: &mut dyn Read, into: &mut Vec<u8>| {
        // No more than it says, so that a few bytes cannot fill the memory.
        from.take(size as u64 + 1).read_to_end(into).map(drop).map_err(|error| error.to_string())
    };
    match codec {
        0 => return Ok(Cow::Borrowed(bytes)),
        1 => {
            if snap::raw::decompress_len(bytes).map_err(|error| error.to_string())? != size {
                return Err("a page of another size than it says".into());
            }
            unpacked = snap::raw::Decoder::new().decompress_vec(bytes).map_err(|error| error.to_string())?;
        }
        2 => read(&mut flate2::read::MultiGzDecoder::new(bytes), &mut unpacked)?,
        6 => {
            let decoder =
                ruzstd::decoding::StreamingDecoder::new(bytes).map_err(|error| error.to_string())?;
            read(&mut { decoder }, &mut unpacked)?;
        }
        other => {
            let names = ["", "", "", "LZO", "Brotli", "LZ4", "", "LZ4"];
            let name =
                usize::try_from(other).ok().and_then(|n| names.get(n)).copied().unwrap_or("an unknown codec");
            return Err(format!("pages compressed with {name}, and not snappy, gzip or zstd"));
        }
    }
    if unpacked.len() != size {
        return Err("a page of another size than it says".into());
    }
    Ok(Cow::Owned(unpacked))
}

fn bits_for(largest: u8) -> u32 {
    u8::BITS - largest.leading_zeros()
}

/// Takes `n` bytes from the front.
fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Result<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(n).ok_or(SHORT)?;
    *bytes = rest;
    Ok(taken)
}

fn take_u32(bytes: &mut &[u8]) -> Result<usize> {
    let taken = take(bytes, 4)?;
    Ok(u32::from_le_bytes([taken[0], taken[1], taken[2], taken[3]]) as usize)
}

fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("a number that is too long".into())
}

/// `count` numbers of `width` bits, in runs of equal ones and in groups of eight packed together.
fn hybrid(mut bytes: &[u8], width: u32, count: usize, mut put: impl FnMut(u32) -> Result<()>) -> Result<()> {
    if width > 32 {
        return Err(format!("numbers of {width} bits"));
    }
    let mut left = count;
    while left > 0 {
        let head = varint(&mut bytes)?;
        let run = usize::try_from(head >> 1).map_err(|_| SHORT)?;
        if head & 1 == 0 {
            let raw = take(&mut bytes, width.div_ceil(8) as usize)?;
            let value = raw.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte));
            for _ in 0..run.min(left) {
                put(value)?;
            }
            if run == 0 {
                return Err("an empty run".into());
            }
            left -= run.min(left);
        } else {
            let packed = run.checked_mul(width as usize).ok_or(SHORT)?;
            // The last group may be cut off behind the last value.
            let there = packed.min(bytes.len());
            let packed = take(&mut bytes, there)?;
            let count = run.saturating_mul(8).min(left);
            unpacked(packed, width, count, |value| put(value as u32))?;
            if run == 0 {
                return Err("an empty run".into());
            }
            left -= count;
        }
    }
    Ok(())
}

/// `count` numbers of `width` bits, at most 64, the lowest bit first.
fn unpacked(bytes: &[u8], width: u32, count: usize, mut put: impl FnMut(u64) -> Result<()>) -> Result<()> {
    if (count as u128 * u128::from(width)).div_ceil(8) > bytes.len() as u128 {
        return Err(SHORT.into());
    }
    let mask = if width == 64 { u128::from(u64::MAX) } else { (1_u128 << width) - 1 };
    let (mut buffer, mut have, mut next) = (0_u128, 0_u32, bytes.iter());
    for _ in 0..count {
        while have < width {
            buffer |= u128::from(*next.next().ok_or(SHORT)?) << have;
            have += 8;
        }
        put((buffer & mask) as u64)?;
        buffer >>= width;
        have -= width;
    }
    Ok(())
}

/// Levels of one page, taken from the front of `bytes` where they stand before the values.
#[derive(Debug, Clone, Copy)]
pub struct Levels {
    /// The largest level; at 0 none are written.
    pub largest: u8,
    /// Their bytes, where the header says so; else a length stands before them.
    pub bytes: Option<usize>,
}

impl Levels {
    /// Hands out `count` levels.
    pub fn read(self, from: &mut &[u8], count: usize, mut put: impl FnMut(u8) -> Result<()>) -> Result<()> {
        if self.largest == 0 {
            let _ = take(from, self.bytes.unwrap_or(0))?;
            return Ok(());
        }
        let length = match self.bytes {
            Some(bytes) => bytes,
            None => take_u32(from)?,
        };
        hybrid(take(from, length)?, bits_for(self.largest), count, |level| put(level as u8))
    }
}

/// `count` values of a page.
///
/// # Errors
/// An encoding that is not known, bytes that it did not write.
pub fn values(
    physical: Physical,
    encoding: i64,
    bytes: &[u8],
    count: usize,
    dictionary: Option<&Decoded>,
) -> Result<Decoded> {
    match (encoding, physical) {
        (0, _) => plain(physical, bytes, count),
        (2 | 8, _) => {
            from_dictionary(dictionary.ok_or("a page without its dictionary")?, physical, bytes, count)
        }
        (3, Physical::Bool) => {
            let (mut rest, mut out) = (bytes, Vec::new());
            let length = take_u32(&mut rest)?;
            hybrid(take(&mut rest, length)?, 1, count, |value| {
                out.push(value as u8);
                Ok(())
            })?;
            Ok(Decoded::Fixed(out))
        }
        (5, Physical::Fixed(size @ (4 | 8))) => {
            let mut out = Vec::new();
            delta(&mut &bytes[..], count, |value| {
                out.extend(&value.to_le_bytes()[..size]);
                Ok(())
            })?;
            Ok(Decoded::Fixed(out))
        }
        (6 | 7, Physical::Texts) => {
            let mut rest = bytes;
            let mut prefixes = Vec::new();
            if encoding == 7 {
                delta(&mut rest, count, |prefix| {
                    prefixes.push(prefix);
                    Ok(())
                })?;
            }
            let mut lengths = Vec::new();
            delta(&mut rest, count, |length| {
                lengths.push(usize::try_from(length).map_err(|_| SHORT)?);
                Ok(())
            })?;
            let (mut texts, mut size): (Vec<Vec<u8>>, usize) = (Vec::new(), 0);
            for (n, length) in lengths.into_iter().enumerate() {
                let own = take(&mut rest, length)?;
                let prefix =
                    prefixes.get(n).map_or(Ok(0), |&prefix| usize::try_from(prefix)).map_err(|_| SHORT)?;
                let before = texts.last().map_or(&[][..], Vec::as_slice).get(..prefix).ok_or(SHORT)?;
                bounded(&mut size, before.len() + own.len())?;
                texts.push([before, own].concat());
            }
            Ok(Decoded::Texts(texts))
        }
        (9, Physical::Fixed(size)) => {
            if bytes.len() != count.checked_mul(size).ok_or(SHORT)? {
                return Err(SHORT.into());
            }
            let mut out = vec![0; bytes.len()];
            for (n, item) in out.chunks_exact_mut(size).enumerate() {
                item.iter_mut().enumerate().for_each(|(at, byte)| *byte = bytes[at * count + n]);
            }
            Ok(Decoded::Fixed(out))
        }
        (other, _) => Err(format!("values in the encoding {other} of Parquet")),
    }
}

fn plain(physical: Physical, mut bytes: &[u8], count: usize) -> Result<Decoded> {
    Ok(match physical {
        Physical::Fixed(size) => {
            Decoded::Fixed(take(&mut bytes, count.checked_mul(size).ok_or(SHORT)?)?.to_vec())
        }
        Physical::Bool => {
            let mut out = Vec::new();
            unpacked(bytes, 1, count, |value| {
                out.push(value as u8);
                Ok(())
            })?;
            Decoded::Fixed(out)
        }
        Physical::Texts => {
            let mut texts = Vec::new();
            for _ in 0..count {
                let length = take_u32(&mut bytes)?;
                texts.push(take(&mut bytes, length)?.to_vec());
            }
            Decoded::Texts(texts)
        }
    })
}

/// Bytes of text that one column may come to. A few bytes of a file may claim any number of them, by a dictionary or by what
/// texts have in common.
const MOST_TEXT: usize = 1 << 30;

/// Adds a text to the bytes so far.
pub fn bounded(size: &mut usize, text: usize) -> Result<()> {
    *size = size.saturating_add(text);
    // What holds a text takes memory too.
    *size = size.saturating_add(size_of::<Vec<u8>>());
    if *size > MOST_TEXT { Err("more than 1 GiB of text".into()) } else { Ok(()) }
}

fn from_dictionary(
    dictionary: &Decoded,
    physical: Physical,
    mut bytes: &[u8],
    count: usize,
) -> Result<Decoded> {
    let width = u32::from(take(&mut bytes, 1)?[0]);
    let none = || "a value that is not in the dictionary".to_string();
    match dictionary {
        Decoded::Fixed(known) => {
            let (size, mut out) = (physical.size(), Vec::new());
            hybrid(bytes, width, count, |index| {
                let at = (index as usize).checked_mul(size).ok_or_else(none)?;
                out.extend(known.get(at..at + size).ok_or_else(none)?);
                Ok(())
            })?;
            Ok(Decoded::Fixed(out))
        }
        Decoded::Texts(known) => {
            // Before any memory is taken.
            let mut size = 0;
            hybrid(bytes, width, count, |index| {
                bounded(&mut size, known.get(index as usize).ok_or_else(none)?.len())
            })?;
            let mut out = Vec::new();
            hybrid(bytes, width, count, |index| {
                out.push(known.get(index as usize).ok_or_else(none)?.clone());
                Ok(())
            })?;
            Ok(Decoded::Texts(out))
        }
    }
}

/// `count` whole numbers, each by its difference from the one before (DELTA_BINARY_PACKED), taken from the front.
fn delta(bytes: &mut &[u8], count: usize, mut put: impl FnMut(i64) -> Result<()>) -> Result<()> {
    let block = usize::try_from(varint(bytes)?).map_err(|_| SHORT)?;
    let parts = usize::try_from(varint(bytes)?).map_err(|_| SHORT)?;
    let total = varint(bytes)?;
    let mut value = unzigzag(varint(bytes)?);
    if total != count as u64 || parts == 0 || block % parts != 0 || block == 0 || block > 1 << 20 {
        return Err("differences of another form".into());
    }
    let of_part = block / parts;
    if count > 0 {
        put(value)?;
    }
    let mut left = count.saturating_sub(1);
    while left > 0 {
        let least = unzigzag(varint(bytes)?);
        let widths = take(bytes, parts)?;
        for &width in widths {
            if left == 0 {
                break;
            }
            if width > 64 {
                return Err(format!("numbers of {width} bits"));
            }
            // Whole parts are written, also where fewer values are left.
            let size = (of_part * usize::from(width)).div_ceil(8);
            let packed = take(bytes, size)?;
            let n = of_part.min(left);
            unpacked(packed, width.into(), n, |difference| {
                value = value.wrapping_add(least).wrapping_add(difference as i64);
                put(value)
            })?;
            left -= n;
        }
    }
    Ok(())
}

/// What the header of a page says.
#[derive(Debug, Clone, Copy)]
pub struct PageHeader {
    pub kind: PageKind,
    /// Values, with those that are missing.
    pub values: usize,
    pub encoding: i64,
    /// Bytes behind the header.
    pub packed: usize,
    /// Bytes when they are unpacked.
    pub size: usize,
}

/// Kinds of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageKind {
    Dictionary,
    Data,
    /// Its levels are never compressed: bytes of repetition levels, of definition levels; whether the values are.
    Data2(usize, usize, bool),
    /// An index, which is read over.
    Other,
}

impl PageHeader {
    /// By the fields of a `PageHeader`.
    pub fn of(header: &Struct<'_>) -> Option<Self> {
        let (size, packed) = (header.size(2)?, header.size(3)?);
        let (kind, of_kind) = match header.int(1)? {
            0 => (PageKind::Data, header.child(5)?),
            2 => (PageKind::Dictionary, header.child(7)?),
            3 => {
                let data = header.child(8)?;
                let kind = PageKind::Data2(data.size(6)?, data.size(5)?, data.bool(7).unwrap_or(true));
                return Some(Self { kind, values: data.size(1)?, encoding: data.int(4)?, packed, size });
            }
            _ => return Some(Self { kind: PageKind::Other, values: 0, encoding: 0, packed, size }),
        };
        Some(Self { kind, values: of_kind.size(1)?, encoding: of_kind.int(2)?, packed, size })
    }
}
