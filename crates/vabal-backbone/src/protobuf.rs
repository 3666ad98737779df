//! The wire format of protobuf, which ONNX files are in: fields in, fields out.
//!
//! A message is a list of fields; which field means what is the reader's business.
//!
//! ```
//! use vabal_backbone::protobuf::{Message, Value, fields};
//!
//! let message = Message::default().whole(1, 150).text(2, "graph");
//! let read: Vec<_> = fields(message.as_bytes()).collect::<Result<_, _>>()?;
//! assert_eq!(read, [(1, Value::Varint(150)), (2, Value::Bytes(b"graph"))]);
//! # Ok::<(), vabal_backbone::protobuf::Invalid>(())
//! ```
//!
//! Never here: what ONNX makes of it.

use std::fmt;

/// A message being written: fields in the order in which they are given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message(Vec<u8>);

impl Message {
    /// The message as it is in a file.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A whole number: int32, int64, enum.
    #[must_use]
    pub fn whole(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3);
        self.varint(value.cast_unsigned());
        self
    }

    /// A number of the type float.
    #[must_use]
    pub fn real(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Bytes.
    #[must_use]
    pub fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    /// A string.
    #[must_use]
    pub fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    /// A message inside this one.
    #[must_use]
    pub fn child(self, field: u64, child: &Message) -> Self {
        self.bytes(field, &child.0)
    }

    /// A field as it was read.
    #[must_use]
    pub fn field(mut self, field: u64, value: Value<'_>) -> Self {
        match value {
            Value::Varint(value) => self.whole(field, value.cast_signed()),
            Value::Bytes(bytes) => self.bytes(field, bytes),
            Value::Four(bytes) => {
                self.varint(field << 3 | 5);
                self.0.extend(bytes);
                self
            }
            Value::Eight(bytes) => {
                self.varint(field << 3 | 1);
                self.0.extend(bytes);
                self
            }
        }
    }
}

/// The value of a field, by how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// A whole number.
    Varint(u64),
    /// Bytes, a string, a message, or packed numbers.
    Bytes(&'a [u8]),
    /// A float, or a number of 4 bytes.
    Four([u8; 4]),
    /// A double, or a number of 8 bytes.
    Eight([u8; 8]),
}

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid(&'static str);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Invalid {}

/// The fields of a message: number and value. Ends with the first error.
pub fn fields(bytes: &[u8]) -> impl Iterator<Item = Result<(u64, Value<'_>), Invalid>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = field(&mut rest);
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

fn field<'a>(rest: &mut &'a [u8]) -> Result<(u64, Value<'a>), Invalid> {
    let tag = varint(rest)?;
    let value = match tag & 7 {
        0 => Value::Varint(varint(rest)?),
        1 => Value::Eight(*take(rest)?),
        2 => {
            let length = usize::try_from(varint(rest)?).map_err(|_| CUT)?;
            let (bytes, after) = rest.split_at_checked(length).ok_or(CUT)?;
            *rest = after;
            Value::Bytes(bytes)
        }
        5 => Value::Four(*take(rest)?),
        _ => return Err(Invalid("a field of an unknown kind")),
    };
    match tag >> 3 {
        0 => Err(Invalid("a field without a number")),
        number => Ok((number, value)),
    }
}

const CUT: Invalid = Invalid("a field that is longer than the file");

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Result<&'a [u8; N], Invalid> {
    let (bytes, after) = rest.split_first_chunk().ok_or(CUT)?;
    *rest = after;
    Ok(bytes)
}

/// A whole number of at most ten bytes, seven bits in each, the lowest first.
pub(crate) fn varint(rest: &mut &[u8]) -> Result<u64, Invalid> {
    let mut value = 0_u64;
    for place in 0..10 {
        let (&byte, after) = rest.split_first().ok_or(CUT)?;
        *rest = after;
        let bits = u64::from(byte & 0x7f);
        if place == 9 && bits > 1 {
            break;
        }
        value |= bits << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Invalid("a number of more than 64 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    proptest! {
        #[test]
        fn what_is_written_is_read_and_written_again(
            whole in any::<i64>(),
            real in any::<u32>(),
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            eight in any::<[u8; 8]>(),
            number in 1_u64..1_000_000,
        ) {
            let message = Message::default()
                .whole(number, whole)
                .real(2, f32::from_bits(real))
                .bytes(3, &bytes)
                .field(4, Value::Eight(eight));
            let read: Vec<_> = fields(message.as_bytes()).collect::<Result<_, _>>().unwrap();
            let expected = [
                (number, Value::Varint(whole.cast_unsigned())),
                (2, Value::Four(f32::from_bits(real).to_le_bytes())),
                (3, Value::Bytes(&bytes)),
                (4, Value::Eight(eight)),
            ];
            prop_assert_eq!(&read[..], &expected[..]);
            let again = read.into_iter().fold(Message::default(), |m, (number, value)| m.field(number, value));
            prop_assert_eq!(again, message);
        }

        #[test]
        fn any_bytes_end_in_fields_or_one_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let read: Vec<_> = fields(&bytes).collect();
            prop_assert!(read.iter().rev().skip(1).all(Result::is_ok));
        }

        #[test]
        fn a_message_that_is_cut_short_is_an_error(cut in 1_usize..300, bytes in prop::collection::vec(any::<u8>(), 300)) {
            let message = Message::default().bytes(1, &bytes);
            let cut = &message.as_bytes()[..message.as_bytes().len() - cut];
            prop_assert_eq!(fields(cut).collect::<Vec<_>>(), vec![Err(CUT)]);
        }
    }
}
