//! From the bytes of a file to values: borrowed where they lie as they are wanted, else converted
//! block by block.

use std::io::Read;
use std::ops::{Deref, Range};
use std::sync::Arc;

use bytemuck::Pod;
use half::slice::HalfFloatSliceExt as _;
use vabal_query::progress::report;
use vabal_query::{Error, Event, Result};

use super::mapped::Map;
use super::parquet::PACKED;
use super::{Bytes, Dtype, Entry, Load, npz, torn};

/// Bytes converted between two reports of progress.
const BLOCK: usize = 1 << 22;

/// Numbers in C order, in memory or in a mapped file.
#[derive(Debug, Clone)]
pub struct Values<T> {
    store: Store<T>,
    range: Range<usize>,
}

#[derive(Debug, Clone)]
enum Store<T> {
    Memory(Arc<Vec<T>>),
    /// A mapping, and the byte at which the values begin.
    Mapped(Arc<Map>, usize),
}

impl<T: Pod> Deref for Values<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.store {
            Store::Memory(values) => &values[self.range.clone()],
            Store::Mapped(map, start) => {
                let size = size_of::<T>();
                bytemuck::cast_slice(&map[start + self.range.start * size..start + self.range.end * size])
            }
        }
    }
}

impl<T: Pod> AsRef<[T]> for Values<T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T: Pod> From<Vec<T>> for Values<T> {
    fn from(values: Vec<T>) -> Self {
        Self { range: 0..values.len(), store: Store::Memory(Arc::new(values)) }
    }
}

impl<T: Pod> Values<T> {
    /// The values at these bytes of a mapping, where they are aligned as their type needs it.
    fn mapped(map: &Arc<Map>, bytes: Range<usize>) -> Option<Self> {
        let values: &[T] = bytemuck::try_cast_slice(&map[bytes.clone()]).ok()?;
        Some(Self { range: 0..values.len(), store: Store::Mapped(Arc::clone(map), bytes.start) })
    }

    /// These rows of `width` values each: borrowed where they follow one another, else copied.
    ///
    /// # Errors
    /// No room for a temporary file, [`Error::Stopped`].
    pub fn rows(&self, width: usize, rows: &[usize], load: &mut Load<'_, '_>) -> Result<Self> {
        let first = rows.first().copied().unwrap_or(0);
        if rows.iter().enumerate().all(|(n, &row)| row == first + n) {
            let start = self.range.start + first * width;
            return Ok(Self { store: self.store.clone(), range: start..start + rows.len() * width });
        }
        let mut sink = Sink::new(rows.len() * width, load.in_memory)?;
        let into = sink.values();
        let step = (BLOCK / (width * size_of::<T>()).max(1)).max(1);
        for (block, rows_of_block) in rows.chunks(step).enumerate() {
            for (n, &row) in rows_of_block.iter().enumerate() {
                let to = (block * step + n) * width;
                into[to..to + width].copy_from_slice(&self[row * width..(row + 1) * width]);
            }
            told(load, "split", block * step + rows_of_block.len(), rows.len())?;
        }
        Ok(sink.finished())
    }

    /// Whether they are read from a file when they are looked at.
    #[cfg(test)]
    pub fn is_mapped(&self) -> bool {
        matches!(self.store, Store::Mapped(..))
    }
}

/// Where converted values go.
enum Sink<T> {
    Memory(Vec<T>),
    File(Map, usize),
}

impl<T: Pod> Sink<T> {
    fn new(count: usize, in_memory: usize) -> Result<Self> {
        let bytes = count.saturating_mul(size_of::<T>());
        if bytes <= in_memory {
            return Ok(Self::Memory(vec![T::zeroed(); count]));
        }
        Ok(Self::File(Map::temporary(bytes)?, count))
    }

    fn values(&mut self) -> &mut [T] {
        match self {
            Self::Memory(values) => values,
            Self::File(map, _) => bytemuck::cast_slice_mut(map.own().unwrap_or_default()),
        }
    }

    fn finished(self) -> Values<T> {
        match self {
            Self::Memory(values) => values.into(),
            Self::File(map, count) => Values { store: Store::Mapped(Arc::new(map), 0), range: 0..count },
        }
    }
}

/// Reports how far it is.
pub(super) fn told(load: &mut Load<'_, '_>, phase: &str, done: usize, total: usize) -> Result<()> {
    let event = Event::Progress { phase, done, total: total.max(1), unit: "value", loss: None };
    report(load.progress, event)
}

impl Entry {
    /// The number of values.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Floating-point numbers as f32.
    ///
    /// # Errors
    /// Values of another kind, a torn file, no room for a temporary one, [`Error::Stopped`].
    pub fn floats(&self, load: &mut Load<'_, '_>) -> Result<Values<f32>> {
        if self.dtype == Dtype::Other(PACKED.into()) {
            let name = &self.name;
            let hint = format!("call the column {name}_f16 or {name}_f32; of probs, --classes tells it too");
            return Err(self.wrong("bytes of a type that is told", &hint));
        }
        if !self.dtype.is_float() {
            return Err(self.wrong("float16, float32 or float64", "convert it: array.astype(\"float32\")"));
        }
        self.read(load, Dtype::F32)
    }

    /// Bytes.
    ///
    /// # Errors
    /// As [`Entry::floats`].
    pub fn bytes(&self, load: &mut Load<'_, '_>) -> Result<Values<u8>> {
        if self.dtype != Dtype::U8 {
            return Err(self.wrong("uint8, from 0 to 255", "convert it: array.astype(\"uint8\")"));
        }
        self.read(load, Dtype::U8)
    }

    /// Whole numbers; `None` for a float that is NaN, as some write "no label".
    ///
    /// # Errors
    /// Values of another kind, a number that is not whole or does not fit, by its row; else as
    /// [`Entry::floats`].
    pub fn integers<T: TryFrom<i128>>(
        &self,
        expected: &str,
        load: &mut Load<'_, '_>,
    ) -> Result<Vec<Option<T>>> {
        if self.dtype.is_text() || matches!(self.dtype, Dtype::Other(_) | Dtype::Bool) {
            return Err(self.wrong("whole numbers", "convert it: array.astype(\"int64\")"));
        }
        let mut values = Vec::with_capacity(self.count());
        let mut wrong = None;
        self.each_block(load, &mut |_, bytes| {
            let mut put = |_: usize, value: Number| {
                let row = values.len();
                let whole = match value {
                    Number::Real(real) if real.is_nan() => {
                        values.push(None);
                        return;
                    }
                    Number::Real(real) if real.fract() == 0.0 && real.abs() < 1e15 => Some(real as i128),
                    Number::Real(_) => None,
                    Number::Whole(whole) => Some(whole),
                };
                let fitting = whole.and_then(|whole| T::try_from(whole).ok());
                if fitting.is_none() {
                    wrong.get_or_insert((row, value.to_string()));
                }
                values.push(fitting);
            };
            numbers(&self.dtype, self.swapped, bytes, &mut put);
            Ok(())
        })?;
        match wrong {
            None => Ok(values),
            Some((row, got)) => Err(Error::input("a value is out of range")
                .at(format!("{}, row {}", self.place, self.first + row))
                .expected(expected)
                .got(got)
                .hint("fix the array")
                .into()),
        }
    }

    /// Texts.
    ///
    /// # Errors
    /// As [`Entry::integers`].
    pub fn texts(&self, load: &mut Load<'_, '_>) -> Result<Vec<String>> {
        if let (Bytes::Column(column), true) = (&self.bytes, self.dtype.is_text()) {
            return column.texts(load);
        }
        let size = self.dtype.size();
        let mut texts = Vec::with_capacity(self.count());
        let decode: fn(&[u8], bool) -> Option<String> = match self.dtype {
            Dtype::Unicode(_) => |bytes, swapped| {
                let points = bytes.chunks_exact(4).map(|point| {
                    let point = u32::from_ne_bytes([point[0], point[1], point[2], point[3]]);
                    char::from_u32(if swapped { point.swap_bytes() } else { point })
                });
                Some(points.collect::<Option<String>>()?.trim_end_matches('\0').to_string())
            },
            Dtype::Bytes(_) => {
                |bytes, _| Some(std::str::from_utf8(bytes).ok()?.trim_end_matches('\0').to_string())
            }
            _ => return Err(self.wrong("texts, or whole numbers", "convert it: array.astype(\"U\")")),
        };
        self.each_block(load, &mut |_, bytes| {
            for item in bytes.chunks_exact(size) {
                let text = decode(item, self.swapped).ok_or_else(|| {
                    let place = format!("{}, row {}", self.place, self.first + texts.len());
                    torn(place, "a text in Unicode", "bytes that are not Unicode")
                })?;
                texts.push(text);
            }
            Ok(())
        })?;
        Ok(texts)
    }

    fn wrong(&self, expected: &str, hint: &str) -> Error {
        let pickled = matches!(&self.dtype, Dtype::Other(name) if name == "|O");
        Error::input("unsupported array type")
            .at(&self.place)
            .expected(expected)
            .got(if pickled { "Python objects".to_string() } else { self.dtype.to_string() })
            .hint(hint)
            .into()
    }

    /// The values as T, which `wanted` names: borrowed, else converted.
    fn read<T: Pod + Convertible>(&self, load: &mut Load<'_, '_>, wanted: Dtype) -> Result<Values<T>> {
        if self.dtype == wanted
            && !self.swapped
            && !self.fortran
            && let Bytes::Mapped(map, range) = &self.bytes
            && let Some(values) = Values::mapped(map, range.clone())
        {
            return Ok(values);
        }
        let mut sink = Sink::new(self.count(), load.in_memory)?;
        let into: &mut [T] = sink.values();
        if self.fortran {
            self.scatter(load, into)?;
        } else {
            self.each_block(load, &mut |first, bytes| {
                let into = &mut into[first..];
                if self.swapped || !T::converted(&self.dtype, bytes, into) {
                    numbers(&self.dtype, self.swapped, bytes, &mut |n, value| into[n] = T::of(value));
                }
                Ok(())
            })?;
        }
        Ok(sink.finished())
    }

    /// An array whose first index runs fastest, into C order.
    fn scatter<T: Pod + Convertible>(&self, load: &mut Load<'_, '_>, into: &mut [T]) -> Result<()> {
        let rows = self.shape.first().copied().unwrap_or(0);
        let width = into.len().checked_div(rows).unwrap_or(0);
        // Column q of the file is one place within a row: its indices run the other way round too.
        let inner = &self.shape[1..];
        let place_of = |mut q: usize| {
            let mut place = 0;
            let mut stride = width;
            for &length in inner {
                stride /= length.max(1);
                place += q % length.max(1) * stride;
                q /= length.max(1);
            }
            place
        };
        let size = self.dtype.size();
        if let Bytes::Mapped(map, range) = &self.bytes {
            // Block by block of rows, so that what is written stays near at hand.
            let bytes = &map[range.clone()];
            let step = (BLOCK / (width * size_of::<T>()).max(1)).max(16);
            for first in (0..rows).step_by(step) {
                let end = (first + step).min(rows);
                for q in 0..width {
                    let place = place_of(q);
                    let column = &bytes[(q * rows + first) * size..(q * rows + end) * size];
                    numbers(&self.dtype, self.swapped, column, &mut |n, value| {
                        into[(first + n) * width + place] = T::of(value);
                    });
                }
                told(load, "read", end * width, into.len())?;
            }
            return Ok(());
        }
        self.each_block(load, &mut |first, bytes| {
            let mut last = (usize::MAX, 0);
            numbers(&self.dtype, self.swapped, bytes, &mut |n, value| {
                let (q, row) = ((first + n) / rows, (first + n) % rows);
                if last.0 != q {
                    last = (q, place_of(q));
                }
                into[row * width + last.1] = T::of(value);
            });
            Ok(())
        })
    }

    /// Hands out the bytes block by block, whole values each, with the number of the first value.
    fn each_block(
        &self,
        load: &mut Load<'_, '_>,
        each: &mut dyn FnMut(usize, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let (size, count) = (self.dtype.size().max(1), self.count());
        let step = (BLOCK / size).max(1);
        let mut archive;
        let mut from: Box<dyn Read + '_> = match &self.bytes {
            Bytes::Mapped(map, range) => {
                for first in (0..count).step_by(step) {
                    let end = (first + step).min(count);
                    each(first, &map[range.start + first * size..range.start + end * size])?;
                    told(load, "read", end, count)?;
                }
                return Ok(());
            }
            Bytes::Column(column) => return column.each_block(size, load, each),
            Bytes::Deflated { archive: path, index, header } => {
                archive = npz::archive(path)?;
                let file = archive.by_index(*index).map_err(|error| self.broken(&error))?;
                let mut file: Box<dyn Read + '_> = Box::new(file);
                std::io::copy(&mut (&mut file).take(*header as u64), &mut std::io::sink())
                    .map_err(|error| self.broken(&error))?;
                file
            }
        };
        let mut block = vec![0; step.min(count) * size];
        for first in (0..count).step_by(step) {
            let end = (first + step).min(count);
            let block = &mut block[..(end - first) * size];
            from.read_exact(block).map_err(|error| self.broken(&error))?;
            each(first, block)?;
            told(load, "read", end, count)?;
        }
        // The sum that the archive holds is compared when its end is read.
        std::io::copy(&mut from, &mut std::io::sink()).map_err(|error| self.broken(&error))?;
        Ok(())
    }

    fn broken(&self, error: &dyn std::fmt::Display) -> Error {
        torn(&self.place, "a .npz archive of numpy.savez_compressed", error)
    }
}

/// A value of any type.
#[derive(Clone, Copy)]
enum Number {
    Real(f64),
    Whole(i128),
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Real(value) => value.fmt(f),
            Self::Whole(value) => value.fmt(f),
        }
    }
}

/// What an array may be converted to.
trait Convertible: Sized {
    fn of(value: Number) -> Self;

    /// Converts the values of `bytes` at once, where there is a way for their type.
    fn converted(dtype: &Dtype, bytes: &[u8], into: &mut [Self]) -> bool;
}

impl Convertible for f32 {
    #[inline(always)]
    fn of(value: Number) -> Self {
        match value {
            Number::Real(value) => value as f32,
            Number::Whole(value) => value as f32,
        }
    }

    fn converted(dtype: &Dtype, bytes: &[u8], into: &mut [Self]) -> bool {
        match dtype {
            Dtype::F32 => bytemuck::cast_slice_mut(&mut into[..bytes.len() / 4]).copy_from_slice(bytes),
            Dtype::F16 => {
                const BLOCK: usize = 1024;
                let mut halves = [half::f16::ZERO; BLOCK];
                for (from, to) in bytes.chunks(2 * BLOCK).zip(into.chunks_mut(BLOCK)) {
                    let from = from.as_chunks().0;
                    let halves = &mut halves[..from.len()];
                    halves
                        .iter_mut()
                        .zip(from)
                        .for_each(|(half, raw)| *half = half::f16::from_ne_bytes(*raw));
                    halves.convert_to_f32_slice(&mut to[..from.len()]);
                }
            }
            _ => return false,
        }
        true
    }
}

impl Convertible for u8 {
    #[inline(always)]
    fn of(value: Number) -> Self {
        match value {
            Number::Real(value) => value as u8,
            Number::Whole(value) => value as u8,
        }
    }

    fn converted(_: &Dtype, bytes: &[u8], into: &mut [Self]) -> bool {
        into[..bytes.len()].copy_from_slice(bytes);
        true
    }
}

/// Hands out the numbers of `bytes`, one after the other with their positions. Texts are none.
#[inline(always)]
fn numbers(dtype: &Dtype, swapped: bool, bytes: &[u8], put: &mut impl FnMut(usize, Number)) {
    macro_rules! each {
        ($size:literal, $value:expr) => {
            for (n, item) in bytes.chunks_exact($size).enumerate() {
                let mut raw = [0_u8; $size];
                raw.copy_from_slice(item);
                if swapped {
                    raw.reverse();
                }
                put(n, $value(raw));
            }
        };
    }
    match dtype {
        Dtype::F16 => each!(2, |raw| Number::Real(half::f16::from_ne_bytes(raw).to_f64())),
        Dtype::BF16 => each!(2, |raw| Number::Real(half::bf16::from_ne_bytes(raw).to_f64())),
        Dtype::F32 => each!(4, |raw| Number::Real(f64::from(f32::from_ne_bytes(raw)))),
        Dtype::F64 => each!(8, |raw| Number::Real(f64::from_ne_bytes(raw))),
        Dtype::I8 => each!(1, |raw| Number::Whole(i8::from_ne_bytes(raw).into())),
        Dtype::I16 => each!(2, |raw| Number::Whole(i16::from_ne_bytes(raw).into())),
        Dtype::I32 => each!(4, |raw| Number::Whole(i32::from_ne_bytes(raw).into())),
        Dtype::I64 => each!(8, |raw| Number::Whole(i64::from_ne_bytes(raw).into())),
        Dtype::U8 | Dtype::Bool => each!(1, |raw: [u8; 1]| Number::Whole(raw[0].into())),
        Dtype::U16 => each!(2, |raw| Number::Whole(u16::from_ne_bytes(raw).into())),
        Dtype::U32 => each!(4, |raw| Number::Whole(u32::from_ne_bytes(raw).into())),
        Dtype::U64 => each!(8, |raw| Number::Whole(u64::from_ne_bytes(raw).into())),
        Dtype::Unicode(_) | Dtype::Bytes(_) | Dtype::Other(_) => {}
    }
}
