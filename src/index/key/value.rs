//! The values that can be a key, or a field of one.

use crate::document::bson::{ObjectId, RawValue};

/// Type byte of a stored key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the types")]
pub enum KeyType {
    Int64 = 0,
    Double = 1,
    String = 2,
    ObjectId = 3,
    Composite = 4,
    Boolean = 5,
    Null = 6,
    Timestamp = 7,
    Binary = 8,
    Int32 = 9,
}

impl KeyType {
    /// The type with this byte, or `None` for one that format v2 does not have.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Int64,
            1 => Self::Double,
            2 => Self::String,
            3 => Self::ObjectId,
            4 => Self::Composite,
            5 => Self::Boolean,
            6 => Self::Null,
            7 => Self::Timestamp,
            8 => Self::Binary,
            9 => Self::Int32,
            _ => return None,
        })
    }
}

/// A value that an index can hold. Equality is that of the bits, not that of the index order.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names are the types")]
pub enum KeyValue<'a> {
    Null,
    Int32(i32),
    Int64(i64),
    Double(f64),
    /// Bytes, since the terms of a text index need not be UTF-8.
    String(&'a [u8]),
    Binary(&'a [u8]),
    ObjectId(ObjectId),
    Boolean(bool),
    /// Unix seconds.
    Timestamp(i64),
}

impl<'a> KeyValue<'a> {
    /// The value as a key, or `None` for an array or a document, which cannot be indexed.
    #[must_use]
    pub fn from_raw(value: RawValue<'a>) -> Option<Self> {
        Some(match value {
            RawValue::Null => Self::Null,
            RawValue::Int32(number) => Self::Int32(number),
            RawValue::Int64(number) => Self::Int64(number),
            RawValue::Double(number) => Self::Double(number),
            RawValue::String(text) => Self::String(text.as_bytes()),
            RawValue::Binary(bytes) => Self::Binary(bytes),
            RawValue::ObjectId(id) => Self::ObjectId(id),
            RawValue::Boolean(flag) => Self::Boolean(flag),
            RawValue::Timestamp(seconds) => Self::Timestamp(seconds),
            RawValue::Document(_) | RawValue::Array(_) => return None,
        })
    }

    /// The type byte that the stored form has.
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        match self {
            Self::Null => KeyType::Null,
            Self::Int32(_) => KeyType::Int32,
            Self::Int64(_) => KeyType::Int64,
            Self::Double(_) => KeyType::Double,
            Self::String(_) => KeyType::String,
            Self::Binary(_) => KeyType::Binary,
            Self::ObjectId(_) => KeyType::ObjectId,
            Self::Boolean(_) => KeyType::Boolean,
            Self::Timestamp(_) => KeyType::Timestamp,
        }
    }
}
