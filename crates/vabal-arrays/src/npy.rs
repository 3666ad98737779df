//! NumPy's `.npy`: a header in Python's notation, then the values.
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>, versions 1 to 3.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use vabal_query::Result;

use super::mapped::Map;
use super::{Bytes, Dtype, Entry, torn};

/// What a header says.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    pub dtype: Dtype,
    pub swapped: bool,
    pub fortran: bool,
    pub shape: Vec<usize>,
    /// Bytes of the header itself: the values begin behind them.
    pub length: usize,
    /// Bytes of the values.
    pub bytes: usize,
}

/// A longer header is no array that anyone could use.
const LONGEST: usize = 1 << 20;
const EXPECTED: &str = "a .npy array of numpy.save";

/// The one array of a file, called after the file.
///
/// # Errors
/// A file that is missing or torn.
pub fn open(path: &Path) -> Result<Vec<Entry>> {
    let map = Arc::new(Map::open(path)?);
    let place = path.display().to_string();
    let header = Header::read(&mut &map[..]).map_err(|got| torn(&place, EXPECTED, got))?;
    let have = map.len() - header.length;
    if have < header.bytes.max(header.others()) {
        let (shape, dtype) = (&header.shape, &header.dtype);
        return Err(torn(
            &place,
            &format!("{} bytes of values, for shape {shape:?} of {dtype}", header.bytes.max(header.others())),
            format!("{have} bytes"),
        ));
    }
    let range = header.length..header.length + header.bytes;
    let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into());
    Ok(vec![header.entry(name, place, Bytes::Mapped(map, range))])
}

impl Header {
    /// Reads a header, and nothing behind it; what is wrong with it, where it is none.
    pub fn read(from: &mut dyn Read) -> Result<Self, String> {
        let mut take = |n: usize| -> Result<Vec<u8>, String> {
            let mut bytes = vec![0; n];
            from.read_exact(&mut bytes).map_err(|_| "a header that ends too early")?;
            Ok(bytes)
        };
        let start = take(8)?;
        if !start.starts_with(b"\x93NUMPY") {
            return Err("a file that does not begin as one".into());
        }
        let size = match start[6] {
            1 => take(2)?,
            2 | 3 => take(4)?,
            version => return Err(format!("version {version} of the format")),
        };
        let size_bytes = 8 + size.len();
        let size = size.iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        if size > LONGEST {
            return Err(format!("a header of {size} bytes"));
        }
        let text = String::from_utf8(take(size)?).map_err(|_| "a header that is no text")?;
        let (descr, fortran, shape) =
            parse(&text).ok_or_else(|| format!("the header {:?}", shortened(text.trim_end())))?;
        let (dtype, swapped) = dtype(&descr);
        let bytes = shape.iter().try_fold(dtype.size().max(1), |product, &n| product.checked_mul(n));
        let bytes = bytes.ok_or_else(|| format!("the shape {shape:?}"))?;
        let bytes = if dtype.size() == 0 { 0 } else { bytes };
        Ok(Self { dtype, swapped, fortran, shape, length: size_bytes + size, bytes })
    }

    /// How many values there are of a type that is not read, of which each takes a byte at least.
    pub fn others(&self) -> usize {
        if self.dtype.size() > 0 {
            0
        } else {
            self.shape.iter().fold(1, |n: usize, &side| n.saturating_mul(side))
        }
    }

    /// The array with this header, whose values are at `bytes`.
    pub fn entry(self, name: String, place: String, bytes: Bytes) -> Entry {
        let Self { dtype, swapped, fortran, shape, .. } = self;
        // One index runs as fast in both orders.
        let fortran = fortran && shape.iter().filter(|&&n| n > 1).count() > 1;
        Entry { name, shape, dtype, place, first: 0, fortran, swapped, bytes }
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 80 { text.into() } else { text.chars().take(80).chain(['…']).collect() }
}

/// The type of `'<f4'` and its like, and whether its bytes are in the other order.
fn dtype(descr: &str) -> (Dtype, bool) {
    let other = || (Dtype::Other(descr.into()), false);
    let Some((order @ (b'<' | b'>' | b'|' | b'='), kind)) =
        descr.as_bytes().split_first().map(|(a, b)| (*a, b))
    else {
        return other();
    };
    let swapped = match order {
        b'<' => cfg!(target_endian = "big"),
        b'>' => cfg!(target_endian = "little"),
        _ => false,
    };
    let count = || std::str::from_utf8(&kind[1..]).ok()?.parse().ok().filter(|&n: &usize| n < 1 << 20);
    let dtype = match kind {
        b"f2" => Dtype::F16,
        b"f4" => Dtype::F32,
        b"f8" => Dtype::F64,
        b"i1" => Dtype::I8,
        b"i2" => Dtype::I16,
        b"i4" => Dtype::I32,
        b"i8" => Dtype::I64,
        b"u1" => Dtype::U8,
        b"u2" => Dtype::U16,
        b"u4" => Dtype::U32,
        b"u8" => Dtype::U64,
        b"b1" => Dtype::Bool,
        _ => match (kind.first(), (!kind.is_empty()).then(count).flatten()) {
            (Some(b'U'), Some(n @ 1..)) => Dtype::Unicode(n),
            (Some(b'S'), Some(n @ 1..)) => Dtype::Bytes(n),
            _ => return other(),
        },
    };
    (dtype, swapped)
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, its keys in any order. A type
/// that is no text (of a structured array, a list) is given back as it is written.
fn parse(text: &str) -> Option<(String, bool, Vec<usize>)> {
    let mut rest = text.trim().strip_prefix('{')?.trim_start();
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    while !rest.starts_with('}') {
        let key = quoted(&mut rest)?;
        rest = rest.trim_start().strip_prefix(':')?.trim_start();
        match key {
            "descr" if rest.starts_with(['\'', '"']) => descr = Some(quoted(&mut rest)?.to_string()),
            "descr" => descr = Some(bracketed(&mut rest)?.to_string()),
            "fortran_order" => {
                let (value, word) =
                    [(true, "True"), (false, "False")].into_iter().find(|(_, w)| rest.starts_with(w))?;
                rest = &rest[word.len()..];
                fortran = Some(value);
            }
            "shape" => {
                let inner = bracketed(&mut rest)?.strip_prefix('(')?.strip_suffix(')')?;
                let lengths = inner.split(',').map(str::trim).filter(|length| !length.is_empty());
                // Python 2 wrote long integers with an L.
                shape = Some(
                    lengths.map(|n| n.trim_end_matches('L').parse().ok()).collect::<Option<Vec<usize>>>()?,
                );
            }
            _ => return None,
        }
        rest = rest.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some((descr?, fortran?, shape?))
}

/// Takes a text in quotes from the front.
fn quoted<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let (inner, after) = rest[1..].split_once(quote)?;
    *rest = after;
    Some(inner)
}

/// Takes what stands between a bracket and the one that closes it, both included.
fn bracketed<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let mut depth = 0_usize;
    for (at, c) in rest.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            let (inner, after) = rest.split_at(at + c.len_utf8());
            *rest = after;
            return (inner.len() > 1).then_some(inner);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_as_numpy_has_written_them_over_the_years() {
        let f4 = |fortran, shape: &[usize]| Some(("<f4".to_string(), fortran, shape.to_vec()));
        assert_eq!(
            parse("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }  \n"),
            f4(false, &[3, 4])
        );
        assert_eq!(parse("{\"shape\":(3L,),'fortran_order':True,'descr':\"<f4\"}"), f4(true, &[3]));
        assert_eq!(parse("{'descr': '<f4', 'fortran_order': False, 'shape': (), }"), f4(false, &[]));
        let structured =
            parse("{'descr': [('a', '<f4'), ('b', '<i8', (2,))], 'fortran_order': False, 'shape': (3,), }");
        assert_eq!(structured.unwrap().0, "[('a', '<f4'), ('b', '<i8', (2,))]");
        for wrong in
            ["", "{", "{}", "{'descr': '<f4'}", "{'shape': (-1,)}", "{'shape': )}", "{'x': 1}", "{'descr'"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn types_by_their_codes() {
        assert_eq!(dtype("|u1"), (Dtype::U8, false));
        assert_eq!(dtype("<U12"), (Dtype::Unicode(12), false));
        assert_eq!(dtype("|S0"), (Dtype::Other("|S0".into()), false));
        assert_eq!(dtype(">f8").0, Dtype::F64);
        assert_ne!(dtype(">i4").1, dtype("<i4").1);
        for other in ["|O", "<c8", "", "<", "f4", "<U", "<U99999999999999999999", "<M8[ns]", "é"] {
            assert_eq!(dtype(other), (Dtype::Other(other.into()), false), "{other}");
        }
    }
}
