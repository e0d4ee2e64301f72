//! Values that a few bytes of text hold, and that become a few bytes of BSON.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions within the text and the output, which are in memory, and counts of what is in them"
)]

use super::numbers::usual_number;
use super::strings::special;
use crate::document::bson::{ElementType, ObjectId};

/// Room for the BSON of such a value, and for what is written beyond its end.
pub(super) const SHORT: usize = 40;
/// Text in which a short string lies, with its quotes.
pub(super) const STRING: usize = 1 + CONTENT;
/// Strings are looked through in steps of so many bytes, of which a short one takes two at most.
const STEP: usize = 16;
const CONTENT: usize = 2 * STEP;
/// The digits of an ObjectID.
const ID_DIGITS: usize = 24;

/// A short value that was read. It is kept in a register.
pub(super) struct Short {
    pub(super) kind: ElementType,
    text: u8,
    bson: u8,
}

impl Short {
    #[inline(always)]
    fn new(kind: ElementType, text: usize, bson: usize) -> Option<Self> {
        let (text, bson) = (u8::try_from(text).ok()?, u8::try_from(bson).ok()?);
        Some(Self { kind, text, bson })
    }

    /// Bytes of its text.
    #[inline(always)]
    pub(super) fn text(&self) -> usize {
        usize::from(self.text)
    }

    /// Bytes of its BSON.
    #[inline(always)]
    pub(super) fn bson(&self) -> usize {
        usize::from(self.bson)
    }
}

/// Reads the string that a text begins with, if it is a short one without anything unusual that
/// can be nothing else; gives the bytes between its quotes.
#[inline(always)]
pub(super) fn string(text: &[u8; STRING], place: &mut [u8; SHORT]) -> Option<usize> {
    let (content, length) = content(text)?;
    if length == ID_DIGITS {
        return None;
    }
    write_string(content, length, place);
    Some(length)
}

/// Where a string ends within what stands behind its quote.
#[inline(always)]
fn content(text: &[u8; STRING]) -> Option<(&[u8; CONTENT], usize)> {
    let (b'"', content) = text.split_first()? else {
        return None;
    };
    let content: &[u8; CONTENT] = content.first_chunk()?;
    let length = match special(content.first_chunk()?) {
        Some(length) => length,
        None => STEP + special(content.last_chunk()?)?,
    };
    (content.get(length) == Some(&b'"')).then_some((content, length))
}

#[inline(always)]
fn write_string(content: &[u8; CONTENT], length: usize, place: &mut [u8; SHORT]) {
    if let Some((stored, bytes)) = place.split_first_chunk_mut()
        && let Some(bytes) = bytes.first_chunk_mut::<{ CONTENT + 1 }>()
    {
        *stored = u32::try_from(length + 1).unwrap_or(u32::MAX).to_le_bytes();
        if let Some(place) = bytes.first_chunk_mut() {
            *place = *content;
        }
        if let Some(end) = bytes.get_mut(length) {
            *end = 0;
        }
    }
}

/// Reads the value that a text begins with, if it is a short one without anything unusual. Hex
/// digits are ObjectIDs and integers int64s unless they are `literal`; times are strings.
#[inline(always)]
pub(super) fn any_short(text: &[u8], literal: bool, place: &mut [u8; SHORT]) -> Option<Short> {
    match text.first()? {
        b'"' => any_string(text.first_chunk()?, literal, place),
        b'-' | b'0'..=b'9' => any_number(text, literal, place),
        _ => word(text, place),
    }
}

#[inline(never)]
fn any_number(text: &[u8], literal: bool, place: &mut [u8; SHORT]) -> Option<Short> {
    let (number, text) = usual_number(text)?;
    let (kind, bytes) = number.element(literal);
    *place.first_chunk_mut()? = bytes;
    Short::new(kind, text, bytes.len())
}

#[inline(never)]
fn any_string(text: &[u8; STRING], literal: bool, place: &mut [u8; SHORT]) -> Option<Short> {
    let (content, length) = content(text)?;
    let text = 1 + length + 1;
    if length == ID_DIGITS && !literal && object_id(content, place) {
        return Short::new(ElementType::ObjectId, text, ID_DIGITS / 2);
    }
    write_string(content, length, place);
    Short::new(ElementType::String, text, 4 + length + 1)
}

/// Whether a string begins with the digits of an ObjectID, which is written then.
#[inline(never)]
fn object_id(content: &[u8; CONTENT], place: &mut [u8; SHORT]) -> bool {
    let id = content.get(..ID_DIGITS).and_then(ObjectId::from_hex);
    if let (Some(id), Some(place)) = (id, place.first_chunk_mut()) {
        *place = id.0;
    }
    id.is_some()
}

#[inline(never)]
fn word(text: &[u8], place: &mut [u8; SHORT]) -> Option<Short> {
    let (kind, text, bson) = match text {
        [b't', b'r', b'u', b'e', ..] => (ElementType::Boolean, 4, 1),
        [b'f', b'a', b'l', b's', b'e', ..] => (ElementType::Boolean, 5, 1),
        [b'n', b'u', b'l', b'l', ..] => (ElementType::Null, 4, 0),
        _ => return None,
    };
    *place.first_mut()? = u8::from(text == 4);
    Short::new(kind, text, bson)
}
