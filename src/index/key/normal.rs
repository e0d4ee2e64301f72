//! The normal form of a key: `memcmp`, a prefix first, is the order of the index.
//!
//! ```text
//! key    = value+                      one per field of the index
//! value  = 0x08                        null
//!        | 0x10 | number               int32, int64, double (see number.rs)
//!        | 0x18 | bytes                string, as the last value
//!        | 0x18 | escaped | 0x00       string, before others; a zero byte is escaped as 00 FF
//!        | 0x20 | len u32 BE | bytes   binary: by length, then bytes
//!        | 0x28 | 12 bytes             ObjectID
//!        | 0x30 | 0 or 1               boolean
//!        | 0x38 | i64 BE, sign flipped timestamp
//! ```
//!
//! The 00 that ends a string is followed by a tag, which is below FF, so a string sorts before the
//! strings that it begins.

use super::number;
use super::value::KeyValue;
use crate::bytes::Cursor;
use crate::document::bson::ObjectId;

const NULL: u8 = 0x08;
pub(super) const NUMBER: u8 = 0x10;
pub(super) const STRING: u8 = 0x18;
const BINARY: u8 = 0x20;
pub(super) const OBJECT_ID: u8 = 0x28;
const BOOLEAN: u8 = 0x30;
const TIMESTAMP: u8 = 0x38;

const ESCAPE: u8 = 0xFF;
const I64_SIGN: u64 = 1 << 63;

/// How much of a normal form a sort record keeps. Whole ones are shorter, so that a whole and a cut
/// one never tie; cut ones that agree are compared by reading their documents again.
pub const NORMAL_KEPT_BYTES: usize = 1024;

/// Why bytes are no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum KeyError {
    #[error("the key ends early")]
    Truncated,
    #[error("bytes follow the key's end")]
    TrailingBytes,
    #[error("unknown key type {0}")]
    UnknownType(u8),
    #[error("a composite key lies inside another")]
    Nested,
    #[error("a composite key has no field")]
    NoField,
    #[error("the length of a key's field is impossible")]
    Length,
    #[error("a boolean key is neither 0 nor 1")]
    Boolean,
    #[error("the record of a sorted key does not parse")]
    Record,
}

/// Appends a value's normal form to `out` and what it loses to `trailer`.
///
/// Of a string or binary, only so much is looked at as can matter within `room` bytes.
#[inline]
pub(super) fn encode(
    value: KeyValue<'_>,
    is_last: bool,
    room: usize,
    out: &mut Vec<u8>,
    trailer: &mut Vec<u8>,
) {
    match value {
        KeyValue::Null => out.push(NULL),
        KeyValue::Int32(number) => {
            out.push(NUMBER);
            number::encode_int32(number, out, trailer);
        }
        KeyValue::Int64(number) => {
            out.push(NUMBER);
            number::encode_int64(number, out, trailer);
        }
        KeyValue::Double(number) => {
            out.push(NUMBER);
            number::encode_double(number, out, trailer);
        }
        KeyValue::String(bytes) => {
            out.push(STRING);
            let bytes = bytes.get(..room).unwrap_or(bytes);
            if is_last {
                out.extend_from_slice(bytes);
            } else {
                escape(bytes, out);
                out.push(0);
            }
        }
        KeyValue::Binary(bytes) => {
            out.push(BINARY);
            let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
        KeyValue::ObjectId(id) => {
            out.push(OBJECT_ID);
            out.extend_from_slice(&id.0);
        }
        KeyValue::Boolean(flag) => out.extend_from_slice(&[BOOLEAN, u8::from(flag)]),
        KeyValue::Timestamp(seconds) => {
            out.push(TIMESTAMP);
            let flipped = seconds.cast_unsigned() ^ I64_SIGN;
            out.extend_from_slice(&flipped.to_be_bytes());
        }
    }
}

/// True for integers that are doubles, for which [`encode_exact`] is made.
#[inline]
pub(super) fn is_exact(number: i64) -> bool {
    number::is_exact(number)
}

/// Bytes of what [`encode_exact`] gives.
pub(super) const EXACT_BYTES: usize = 10;

/// Normal form and trailer, its last byte, of an integer that is a double.
#[inline]
pub(super) fn encode_exact(number: i64) -> [u8; EXACT_BYTES] {
    let mut bytes = [NUMBER; EXACT_BYTES];
    let [_, image @ .., lost] = &mut bytes;
    (*image, *lost) = number::encode_exact(number);
    bytes
}

/// The part that is known of a string whose end was cut off.
pub(super) fn encode_partial_string(bytes: &[u8], is_last: bool, out: &mut Vec<u8>) {
    out.push(STRING);
    if is_last {
        out.extend_from_slice(bytes);
    } else {
        escape(bytes, out);
    }
}

/// The part that is known of a binary whose end was cut off, and perhaps its length as well.
pub(super) fn encode_partial_binary(len: Option<u16>, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(BINARY);
    if let Some(len) = len {
        out.extend_from_slice(&u32::from(len).to_be_bytes());
        out.extend_from_slice(bytes);
    }
}

fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    while let Some(zero) = memchr::memchr(0, rest) {
        let (before, after) = rest.split_at(zero.saturating_add(1));
        out.extend_from_slice(before);
        out.push(ESCAPE);
        rest = after;
    }
    out.extend_from_slice(rest);
}

/// Reads the values of a whole normal form back.
#[derive(Debug)]
pub struct NormalReader<'a> {
    normal: Cursor<'a>,
    trailer: Cursor<'a>,
    left: usize,
    unescaped: Vec<u8>,
}

impl<'a> NormalReader<'a> {
    /// Reads `field_count` values; `trailer` holds what the numbers among them lost.
    #[must_use]
    pub fn new(normal: &'a [u8], trailer: &'a [u8], field_count: usize) -> Self {
        Self {
            normal: Cursor::new(normal),
            trailer: Cursor::new(trailer),
            left: field_count,
            unescaped: Vec::new(),
        }
    }

    /// The next value, or `None` after the last.
    ///
    /// # Errors
    /// The bytes are no normal form.
    #[inline]
    pub fn next_value(&mut self) -> Result<Option<KeyValue<'_>>, KeyError> {
        if self.left == 0 {
            return if self.normal.rest().is_empty() {
                Ok(None)
            } else {
                Err(KeyError::TrailingBytes)
            };
        }
        self.left = self.left.saturating_sub(1);
        self.value().map(Some).ok_or(KeyError::Record)
    }

    fn value(&mut self) -> Option<KeyValue<'_>> {
        let normal = &mut self.normal;
        Some(match normal.u8()? {
            NULL => KeyValue::Null,
            NUMBER => number::decode(normal, &mut self.trailer)?,
            STRING if self.left == 0 => {
                let len = normal.rest().len();
                KeyValue::String(normal.take(len)?)
            }
            STRING => KeyValue::String(unescape(normal, &mut self.unescaped)?),
            BINARY => {
                let len = u32::from_be_bytes(normal.take(4)?.try_into().ok()?);
                KeyValue::Binary(normal.take(usize::try_from(len).ok()?)?)
            }
            OBJECT_ID => KeyValue::ObjectId(ObjectId(normal.take(12)?.try_into().ok()?)),
            BOOLEAN => KeyValue::Boolean(normal.u8()? != 0),
            TIMESTAMP => {
                let flipped = u64::from_be_bytes(normal.take(8)?.try_into().ok()?);
                KeyValue::Timestamp((flipped ^ I64_SIGN).cast_signed())
            }
            _ => return None,
        })
    }
}

/// The value of a normal form with one field, if it is a common one and nothing is wrong with it;
/// [`NormalReader`] reads all.
#[inline]
pub(super) fn decode_single<'a>(normal: &'a [u8], trailer: &[u8]) -> Option<KeyValue<'a>> {
    let (&tag, rest) = normal.split_first()?;
    match tag {
        STRING => Some(KeyValue::String(rest)),
        NUMBER => number::decode_exact(rest, trailer),
        OBJECT_ID => Some(KeyValue::ObjectId(ObjectId(rest.try_into().ok()?))),
        _ => None,
    }
}

fn unescape<'s>(normal: &mut Cursor<'_>, out: &'s mut Vec<u8>) -> Option<&'s [u8]> {
    out.clear();
    loop {
        let zero = memchr::memchr(0, normal.rest())?;
        out.extend_from_slice(normal.take(zero)?);
        normal.u8()?;
        if normal.rest().first() != Some(&ESCAPE) {
            return Some(out);
        }
        normal.u8()?;
        out.push(0);
    }
}
