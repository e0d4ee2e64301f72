//! Reading checked BSON in place.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::ElementType;
use super::hex::hex_bytes;
use crate::bytes::{Cursor, get_u32};
use std::fmt;

/// A 12-byte object id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub [u8; 12]);

impl ObjectId {
    /// Parses exactly 24 hex digits of any case.
    #[must_use]
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        let digits: &[u8; 24] = text.try_into().ok()?;
        let mut bytes = [0; 12];
        let mut all_are_digits = true;
        let quarters = bytes.as_chunks_mut::<4>().0;
        for (place, eight) in quarters.iter_mut().zip(digits.as_chunks::<8>().0) {
            let (four, are_digits) = hex_bytes(*eight);
            *place = four;
            all_are_digits &= are_digits;
        }
        all_are_digits.then_some(Self(bytes))
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectId({self})")
    }
}

/// A document whose bytes have passed [`super::check`] (or that this program has built).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RawDocument<'a>(&'a [u8]);

impl<'a> RawDocument<'a> {
    /// Takes bytes that were checked before, such as ones that this program has just written.
    ///
    /// On bytes that were not, reads end early; they never panic or leave the slice.
    #[must_use]
    pub fn trusted(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The whole document's bytes.
    #[must_use]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The elements, in order.
    #[must_use]
    pub fn elements(self) -> Elements<'a> {
        let body = self
            .0
            .get(4..self.0.len().saturating_sub(1))
            .unwrap_or_default();
        Elements {
            cursor: Cursor::new(body),
        }
    }

    /// The value of the field with this name at the top level.
    #[must_use]
    pub fn get(self, name: &str) -> Option<RawValue<'a>> {
        self.elements()
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value)
    }
}

impl fmt::Debug for RawDocument<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.elements()).finish()
    }
}

/// A value in a checked document.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names are the types")]
pub enum RawValue<'a> {
    Double(f64),
    String(&'a str),
    Document(RawDocument<'a>),
    /// An array is a document whose names are "0", "1", ….
    Array(RawDocument<'a>),
    Binary(&'a [u8]),
    ObjectId(ObjectId),
    Boolean(bool),
    Null,
    Int32(i32),
    /// Unix seconds.
    Timestamp(i64),
    Int64(i64),
}

impl RawValue<'_> {
    /// The element type that stores this value.
    #[must_use]
    pub fn element_type(&self) -> ElementType {
        match self {
            Self::Double(_) => ElementType::Double,
            Self::String(_) => ElementType::String,
            Self::Document(_) => ElementType::Document,
            Self::Array(_) => ElementType::Array,
            Self::Binary(_) => ElementType::Binary,
            Self::ObjectId(_) => ElementType::ObjectId,
            Self::Boolean(_) => ElementType::Boolean,
            Self::Null => ElementType::Null,
            Self::Int32(_) => ElementType::Int32,
            Self::Timestamp(_) => ElementType::Timestamp,
            Self::Int64(_) => ElementType::Int64,
        }
    }
}

/// Iterator over (name, value) of a checked document.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Elements<'a> {
    fn step(&mut self) -> Option<(&'a str, RawValue<'a>)> {
        let element_type = ElementType::from_byte(self.cursor.u8()?)?;
        let rest = self.cursor.rest();
        let name_len = memchr::memchr(0, rest)?;
        let name = str::from_utf8(rest.get(..name_len)?).ok()?;
        self.cursor.take(name_len.saturating_add(1))?;
        let value = match element_type {
            ElementType::Double => RawValue::Double(self.cursor.f64()?),
            ElementType::String => {
                let len = usize::try_from(self.cursor.u32()?).ok()?;
                let text = self.cursor.take(len)?;
                RawValue::String(str::from_utf8(text.split_last()?.1).ok()?)
            }
            ElementType::Document => RawValue::Document(self.nested()?),
            ElementType::Array => RawValue::Array(self.nested()?),
            ElementType::Binary => {
                let len = usize::try_from(self.cursor.u32()?).ok()?;
                self.cursor.u8()?;
                RawValue::Binary(self.cursor.take(len)?)
            }
            ElementType::ObjectId => {
                RawValue::ObjectId(ObjectId(self.cursor.take(12)?.try_into().ok()?))
            }
            ElementType::Boolean => RawValue::Boolean(self.cursor.u8()? != 0),
            ElementType::Null => RawValue::Null,
            ElementType::Int32 => RawValue::Int32(self.cursor.u32()?.cast_signed()),
            ElementType::Timestamp => RawValue::Timestamp(self.cursor.i64()?),
            ElementType::Int64 => RawValue::Int64(self.cursor.i64()?),
        };
        Some((name, value))
    }

    fn nested(&mut self) -> Option<RawDocument<'a>> {
        let len = self.cursor.clone().u32()?;
        Some(RawDocument(self.cursor.take(usize::try_from(len).ok()?)?))
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = (&'a str, RawValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.step()
    }
}

/// Bytes of the value of that type that begins at `at`, by its own account.
#[inline]
#[must_use]
pub fn value_len(kind: ElementType, bytes: &[u8], at: usize) -> Option<usize> {
    let length_field = || get_u32(bytes, at).and_then(|len| usize::try_from(len).ok());
    Some(match kind {
        ElementType::String => length_field()?.checked_add(4)?,
        ElementType::Double | ElementType::Timestamp | ElementType::Int64 => 8,
        ElementType::Int32 => 4,
        ElementType::ObjectId => 12,
        ElementType::Boolean => 1,
        ElementType::Null => 0,
        ElementType::Document | ElementType::Array => length_field()?,
        ElementType::Binary => length_field()?.checked_add(5)?,
    })
}
