//! Walking over a document's elements by their lengths alone: no name or string is decoded that is
//! not asked for.

use crate::bytes::{get_f64, get_i32, get_i64};
use crate::document::bson::{ElementType, ObjectId, RawDocument, value_len};
use crate::index::key::KeyValue;

/// A value, by its type and its bytes as they stand in the document.
#[derive(Clone, Copy, Debug)]
pub(in crate::index) struct Found<'d> {
    pub(in crate::index) kind: ElementType,
    pub(in crate::index) value: &'d [u8],
}

impl<'d> Found<'d> {
    /// The value as a key; `None` for arrays and documents.
    #[inline]
    pub(in crate::index) fn key_value(self) -> Option<KeyValue<'d>> {
        let bytes = self.value;
        Some(match self.kind {
            ElementType::Document | ElementType::Array => return None,
            ElementType::Double => KeyValue::Double(get_f64(bytes, 0)?),
            ElementType::String => KeyValue::String(bytes.get(4..)?.split_last()?.1),
            ElementType::Binary => KeyValue::Binary(bytes.get(5..)?),
            ElementType::ObjectId => KeyValue::ObjectId(ObjectId(bytes.try_into().ok()?)),
            ElementType::Boolean => KeyValue::Boolean(bytes.first()? != &0),
            ElementType::Null => KeyValue::Null,
            ElementType::Int32 => KeyValue::Int32(get_i32(bytes, 0)?),
            ElementType::Timestamp => KeyValue::Timestamp(get_i64(bytes, 0)?),
            ElementType::Int64 => KeyValue::Int64(get_i64(bytes, 0)?),
        })
    }
}

/// The first eight bytes of `bytes` as an integer, with zeros where they end earlier.
pub(super) fn first_word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    for (place, byte) in word.iter_mut().zip(bytes) {
        *place = *byte;
    }
    u64::from_le_bytes(word)
}

/// The elements of a checked document. On other bytes it ends early.
pub(super) struct ElementWalk<'d> {
    bytes: &'d [u8],
    at: usize,
}

/// One element: its name, and where its value lies in the document.
pub(super) struct Element<'d> {
    pub(super) name: &'d [u8],
    /// The name's first eight bytes, so that most names compare as one integer.
    pub(super) word: u64,
    pub(super) kind: ElementType,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl<'d> ElementWalk<'d> {
    pub(super) fn new(document: RawDocument<'d>) -> Self {
        Self {
            bytes: document.as_bytes(),
            at: 4,
        }
    }

    #[inline]
    fn step(&mut self) -> Option<Element<'d>> {
        let (&kind, rest) = self.bytes.get(self.at..)?.split_first()?;
        let kind = ElementType::from_byte(kind)?;
        let (name, word) = name_of(rest)?;
        let start = self.at + 1 + name.len() + 1;
        let end = start.checked_add(value_len(kind, self.bytes, start)?)?;
        self.at = end;
        Some(Element {
            name,
            word,
            kind,
            start,
            end,
        })
    }
}

/// The name at the start of `bytes`, which a zero byte ends, and its first eight bytes.
#[inline]
fn name_of(bytes: &[u8]) -> Option<(&[u8], u64)> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let word = match bytes.first_chunk() {
        Some(word) => u64::from_le_bytes(*word),
        None => first_word(bytes),
    };
    // Most names have under eight bytes: one word tells where the first zero byte is.
    let zeros = word.wrapping_sub(ONES) & !word & (ONES << 7);
    if zeros == 0 {
        let len = memchr::memchr(0, bytes)?;
        return Some((bytes.get(..len)?, word));
    }
    let below = (zeros & zeros.wrapping_neg()) >> 7;
    let len = (zeros.trailing_zeros() >> 3) as usize;
    Some((bytes.get(..len)?, word & below.wrapping_sub(1)))
}

impl<'d> Iterator for ElementWalk<'d> {
    type Item = Element<'d>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.step()
    }
}

/// The field of that name, at the top level of `document`.
pub(super) fn find<'d>(document: RawDocument<'d>, name: &[u8]) -> Option<Found<'d>> {
    let element = ElementWalk::new(document).find(|element| element.name == name)?;
    Some(Found {
        kind: element.kind,
        value: document.as_bytes().get(element.start..element.end)?,
    })
}
