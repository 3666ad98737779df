//! What the crate `parquet` takes on trust: the counts, sizes and nesting that a header claims.
//!
//! Headers are structures of Thrift's compact protocol. Here they are walked over and not decoded:
//! a list cannot have more items than the header has bytes, and a schema cannot be deeper than the
//! stack.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use parquet::errors::ParquetError;

/// Deeper than any header of Parquet.
const DEPTH: usize = 32;

/// Reads from the front of bytes; everything is `None` where they end too early.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.at
    }

    pub fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(n)?)?;
        self.at += n;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }

    pub fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub fn size(&mut self) -> Option<usize> {
        self.varint().and_then(|value| usize::try_from(value).ok())
    }

    fn zigzag(&mut self) -> Option<i64> {
        self.varint().map(|value| (value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Walks over a structure. `each` is given every whole number in it with the path that leads to
    /// it, field by field, 0 for an item of a list; and `None` where a structure ends.
    pub fn structure(
        &mut self,
        path: &mut Vec<i16>,
        each: &mut dyn FnMut(&[i16], Option<i64>),
    ) -> Option<()> {
        let mut id = 0_i16;
        loop {
            let head = self.byte()?;
            if head & 0xf == 0 {
                each(path, None);
                return Some(());
            }
            id = match head >> 4 {
                0 => i16::try_from(self.zigzag()?).ok()?,
                step => id.checked_add(step.into())?,
            };
            path.push(id);
            match head & 0xf {
                kind @ (1 | 2) => each(path, Some(i64::from(kind == 1))),
                kind => self.value(kind, path, each)?,
            }
            path.pop();
        }
    }

    fn value(
        &mut self,
        kind: u8,
        path: &mut Vec<i16>,
        each: &mut dyn FnMut(&[i16], Option<i64>),
    ) -> Option<()> {
        if path.len() > DEPTH {
            return None;
        }
        match kind {
            3 => drop(self.byte()?),
            4..=6 => each(path, Some(self.zigzag()?)),
            7 => drop(self.take(8)?),
            8 => {
                let length = self.size()?;
                self.take(length)?;
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.size()? } else { usize::from(head >> 4) };
                path.push(0);
                // Every item takes a byte at least, so that this ends with the bytes.
                for _ in 0..count {
                    self.value(head & 0xf, path, each)?;
                }
                path.pop();
            }
            12 => self.structure(path, each)?,
            // Lists of truths, maps, UUIDs: no header of Parquet has them.
            _ => return None,
        }
        Some(())
    }
}

/// Whether a footer is one structure, and its schema no deeper than [`DEPTH`].
pub fn footer(bytes: &[u8]) -> Option<()> {
    let (mut children, mut last) = (Vec::new(), 0);
    Reader::new(bytes).structure(&mut Vec::new(), &mut |path, value| match (path, value) {
        ([2, 0, 5], Some(count)) => last = count,
        ([2, 0], None) => children.push(std::mem::take(&mut last)),
        _ => {}
    })?;
    // Elements stand depth first: how many are still to come at each depth.
    let mut open: Vec<usize> = Vec::new();
    for &count in &children {
        let count = usize::try_from(count).ok().filter(|&count| count <= children.len())?;
        while open.pop_if(|left| *left == 0).is_some() {}
        if let Some(left) = open.last_mut() {
            *left -= 1;
        }
        open.push(count);
        if open.len() > DEPTH {
            return None;
        }
    }
    Some(())
}

/// The bytes of a run of at most `most` differences (DELTA_BINARY_PACKED) at the front of some
/// bytes.
pub fn differences(bytes: &[u8], most: usize) -> Option<usize> {
    let mut reader = Reader::new(bytes);
    let (block, parts, count) = (reader.size()?, reader.size()?, reader.size()?);
    reader.varint()?;
    let part = block.checked_div(parts).filter(|&part| part > 0 && count <= most)?;
    let mut left = count.saturating_sub(1);
    while left > 0 {
        reader.varint()?;
        for &width in reader.take(parts)? {
            if left > 0 {
                reader.take(part.checked_mul(width.into())? / 8)?;
            }
            left = left.saturating_sub(part);
        }
    }
    Some(reader.position())
}

std::thread_local! {
    static GUARDED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// What `work` gives. The crate panics over some bytes that no writer makes: that is an error too,
/// and is not printed.
///
/// # Errors
/// What the crate says.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let printed = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                printed(panic);
            }
        }));
    });
    GUARDED.set(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(false);
    match result {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("bytes that no writer of Parquet makes".into()),
    }
}
