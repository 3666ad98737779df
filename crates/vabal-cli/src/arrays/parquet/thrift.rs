//! Thrift's compact protocol, as far as Parquet's headers are written in it: structures as numbered fields.
//! <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>

/// A value of a header.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    Bool(bool),
    Int(i64),
    Bytes(&'a [u8]),
    List(Vec<Value<'a>>),
    Struct(Struct<'a>),
    /// Read over: nothing here needs it.
    Other,
}

/// Fields by their numbers.
#[derive(Debug, Clone, Default)]
pub struct Struct<'a>(Vec<(i16, Value<'a>)>);

impl<'a> Struct<'a> {
    fn get(&self, id: i16) -> Option<&Value<'a>> {
        self.0.iter().find(|(field, _)| *field == id).map(|(_, value)| value)
    }

    pub fn int(&self, id: i16) -> Option<i64> {
        if let Some(Value::Int(value)) = self.get(id) { Some(*value) } else { None }
    }

    /// A number that counts or points at something.
    pub fn size(&self, id: i16) -> Option<usize> {
        self.int(id).and_then(|value| usize::try_from(value).ok())
    }

    pub fn bool(&self, id: i16) -> Option<bool> {
        if let Some(Value::Bool(value)) = self.get(id) { Some(*value) } else { None }
    }

    pub fn text(&self, id: i16) -> Option<&'a str> {
        if let Some(Value::Bytes(bytes)) = self.get(id) { std::str::from_utf8(bytes).ok() } else { None }
    }

    pub fn child(&self, id: i16) -> Option<&Struct<'a>> {
        if let Some(Value::Struct(child)) = self.get(id) { Some(child) } else { None }
    }

    pub fn list(&self, id: i16) -> Option<&[Value<'a>]> {
        if let Some(Value::List(list)) = self.get(id) { Some(list) } else { None }
    }

    /// A list of structures.
    pub fn children(&self, id: i16) -> Option<Vec<&Struct<'a>>> {
        let mut children = Vec::new();
        for value in self.list(id)? {
            let Value::Struct(child) = value else { return None };
            children.push(child);
        }
        Some(children)
    }
}

/// Reads from the front of `bytes`; everything is `None` where they are no such thing.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Deeper than any header of Parquet.
const DEPTH: usize = 32;

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.at
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        self.varint().map(unzigzag)
    }

    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(n)?)?;
        self.at += n;
        Some(taken)
    }

    /// A structure.
    pub fn structure(&mut self) -> Option<Struct<'a>> {
        self.structure_at(DEPTH)
    }

    fn structure_at(&mut self, depth: usize) -> Option<Struct<'a>> {
        let depth = depth.checked_sub(1)?;
        let (mut fields, mut id) = (Vec::new(), 0_i16);
        loop {
            let head = self.byte()?;
            if head & 0xf == 0 {
                return Some(Struct(fields));
            }
            let delta = i16::from(head >> 4);
            id = if delta == 0 { i16::try_from(self.zigzag()?).ok()? } else { id.checked_add(delta)? };
            let value = match head & 0xf {
                kind @ (1 | 2) => Value::Bool(kind == 1),
                kind => self.value(kind, depth)?,
            };
            fields.push((id, value));
        }
    }

    fn value(&mut self, kind: u8, depth: usize) -> Option<Value<'a>> {
        let depth = depth.checked_sub(1)?;
        Some(match kind {
            // In a list.
            1 | 2 => Value::Bool(self.byte()? == 1),
            3 => Value::Int(i64::from(self.byte()? as i8)),
            4..=6 => Value::Int(self.zigzag()?),
            7 => self.take(8).map(|_| Value::Other)?,
            8 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 {
                    usize::try_from(self.varint()?).ok()?
                } else {
                    usize::from(head >> 4)
                };
                // Nothing takes less than a byte.
                if count > self.bytes.len() - self.at {
                    return None;
                }
                Value::List((0..count).map(|_| self.value(head & 0xf, depth)).collect::<Option<_>>()?)
            }
            11 => {
                let count = self.varint()?;
                let kinds = if count > 0 { self.byte()? } else { 0 };
                for _ in 0..count {
                    self.value(kinds >> 4, depth)?;
                    self.value(kinds & 0xf, depth)?;
                }
                Value::Other
            }
            12 => Value::Struct(self.structure_at(depth)?),
            _ => return None,
        })
    }
}

/// 0, −1, 1, −2, … from 0, 1, 2, 3, …
pub fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Writes a structure field by field, in ascending order of their numbers.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    last: i16,
}

impl Writer {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn head(&mut self, id: i16, kind: u8) {
        // Parquet's structures have no gap of 16 numbers.
        self.bytes.push(((id - self.last) as u8) << 4 | kind);
        self.last = id;
    }

    fn zigzag(&mut self, value: i64) {
        self.varint((value << 1 ^ value >> 63) as u64);
    }

    /// A number of 32 bits.
    pub fn i32(mut self, id: i16, value: i32) -> Self {
        self.head(id, 5);
        self.zigzag(value.into());
        self
    }

    /// A number of 64 bits.
    pub fn i64(mut self, id: i16, value: i64) -> Self {
        self.head(id, 6);
        self.zigzag(value);
        self
    }

    pub fn text(mut self, id: i16, value: &str) -> Self {
        self.head(id, 8);
        self.varint(value.len() as u64);
        self.bytes.extend(value.bytes());
        self
    }

    pub fn child(mut self, id: i16, value: Writer) -> Self {
        self.head(id, 12);
        self.bytes.extend(value.finished());
        self
    }

    pub fn children(mut self, id: i16, values: impl IntoIterator<Item = Writer>) -> Self {
        let values: Vec<Writer> = values.into_iter().collect();
        self.list(id, 12, values.len());
        values.into_iter().for_each(|value| self.bytes.extend(value.finished()));
        self
    }

    pub fn numbers(mut self, id: i16, values: &[i32]) -> Self {
        self.list(id, 5, values.len());
        values.iter().for_each(|&value| self.zigzag(value.into()));
        self
    }

    pub fn texts(mut self, id: i16, values: &[&str]) -> Self {
        self.list(id, 8, values.len());
        for value in values {
            self.varint(value.len() as u64);
            self.bytes.extend(value.bytes());
        }
        self
    }

    fn list(&mut self, id: i16, kind: u8, count: usize) {
        self.head(id, 9);
        if count < 15 {
            self.bytes.push((count as u8) << 4 | kind);
        } else {
            self.bytes.push(0xf0 | kind);
            self.varint(count as u64);
        }
    }

    /// The bytes of the whole structure.
    pub fn finished(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}
