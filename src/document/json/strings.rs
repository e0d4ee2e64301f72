//! Strings of plain documents, and their common escapes; serde_json reads the rest.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions within the text and the output, which are in memory, and counts of what is in them"
)]

use super::reader::{NotPlain, PlainReader};
use super::values::{self, infer};
use crate::bytes::put_u32;
use crate::document::bson::ElementType;
use wide::u8x16;

/// Strings are copied in steps of so many bytes while their end is looked for,
const STEP: usize = 16;
/// up to so many; what goes on is copied at once.
const MOST_STEPS: usize = 4;
/// Bytes of an escape with digits.
const ESCAPE: usize = 6;

impl<'t> PlainReader<'t, '_, '_> {
    /// Reads a string without escapes from its quotation mark on.
    pub(super) fn plain_string(&mut self) -> Result<&'t str, NotPlain> {
        if self.peek()? != b'"' {
            return Err(NotPlain);
        }
        let start = self.at + 1;
        let end = self.find_special(start)?;
        if self.bytes().get(end) != Some(&b'"') {
            return Err(NotPlain);
        }
        self.at = end + 1;
        self.text.get(start..end).ok_or(NotPlain)
    }

    /// Appends a string value.
    #[inline(always)]
    pub(super) fn string(&mut self, depth: usize) -> Result<ElementType, NotPlain> {
        if let Some(short) = self.short_string() {
            // Elements of arrays and new names see to the room, and known names are few.
            return Ok(self.append_short([], short));
        }
        self.long_string(depth)
    }

    /// The step that a string ends in with its quotation mark, and its length, if one begins here.
    /// So short a one can only be a string, unless times are to be told from others.
    #[inline(always)]
    pub(super) fn short_string(&self) -> Option<(&'t [u8; STEP], usize)> {
        let text = self.bytes().get(self.at..)?;
        let (b'"', rest) = text.split_first()? else {
            return None;
        };
        let step = rest.first_chunk()?;
        let length = special(step)?;
        let is_string = step.get(length) == Some(&b'"');
        (is_string && !self.state.infer.timestamp).then_some((step, length))
    }

    /// Appends a short string behind the head of its element, and passes it.
    #[inline(always)]
    pub(super) fn append_short<const HEAD: usize>(
        &mut self,
        head: [u8; HEAD],
        (step, length): (&[u8; STEP], usize),
    ) -> ElementType {
        self.at += 1 + length + 1;
        append_short(head, self.state.out, step, length);
        ElementType::String
    }

    /// [`Self::string`] of any length and kind.
    #[inline(never)]
    fn long_string(&mut self, depth: usize) -> Result<ElementType, NotPlain> {
        let value_at = self.state.out.len();
        let start = self.at + 1;
        self.state.out.extend_from_slice(&[0; 4]);
        let mut end = self.copy_plain(start)?;
        let mut length = end - start;
        if self.bytes().get(end) == Some(&b'\\') {
            // Steps go past the end of what was copied.
            self.state.out.truncate(value_at + 4 + length);
            let rest = self.copy_escaped(end)?;
            length = self.state.out.len() - value_at - 4;
            // What could be another type is for the visitors.
            match rest {
                Some(rest) if length != 24 && !self.state.infer.timestamp => end = rest,
                _ => {
                    self.state.out.truncate(value_at);
                    return self.escaped(depth);
                }
            }
        } else if self.bytes().get(end) != Some(&b'"') {
            self.state.out.truncate(value_at);
            return self.escaped(depth);
        }
        if length == 24 || self.state.infer.timestamp {
            let text = self.text.get(start..end).ok_or(NotPlain)?;
            self.state.out.truncate(value_at);
            let kind = infer(self.state, text);
            self.at = end + 1;
            return Ok(kind.unwrap_or_else(|| values::string(self.state, text)));
        }
        // The limit on the output keeps every length far below 2^32.
        let stored = u32::try_from(length + 1).unwrap_or(u32::MAX);
        put_u32(self.state.out, value_at, stored);
        // Steps go past the end; what follows the string is its zero byte.
        self.state.out.truncate(value_at + 4 + length);
        self.state.out.push(0);
        self.at = end + 1;
        self.state.room(0)?;
        Ok(ElementType::String)
    }

    /// Appends what stands for the rest of a string, from a backslash on; gives where its quotation
    /// mark is. `None` for surrogates, near the end of the text, and for what is no string.
    fn copy_escaped(&mut self, mut at: usize) -> Result<Option<usize>, NotPlain> {
        loop {
            let rest = self.bytes().get(at..).unwrap_or_default();
            let Some((character, length)) = rest.first_chunk().and_then(escaped) else {
                return Ok(None);
            };
            let mut bytes = [0; 4];
            let bytes = character.encode_utf8(&mut bytes).as_bytes();
            self.state.out.extend_from_slice(bytes);
            at += length;
            self.state.room(0)?;
            let begin = self.state.out.len();
            let end = self.copy_plain(at)?;
            self.state.out.truncate(begin + (end - at));
            match self.bytes().get(end) {
                Some(b'"') => return Ok(Some(end)),
                Some(b'\\') => at = end,
                _ => return Ok(None),
            }
        }
    }

    /// Appends the bytes from `at` up to the first special one, and perhaps some more; gives where
    /// that is.
    #[inline]
    fn copy_plain(&mut self, mut at: usize) -> Result<usize, NotPlain> {
        let bytes = self.bytes();
        for _ in 0..MOST_STEPS {
            let Some(step) = bytes.get(at..).and_then(<[u8]>::first_chunk::<STEP>) else {
                break;
            };
            self.state.out.extend_from_slice(step);
            if let Some(special) = special(step) {
                return Ok(at + special);
            }
            at += STEP;
        }
        let end = self.find_special(at)?;
        self.state.room(end - at)?;
        let rest = bytes.get(at..end).unwrap_or_default();
        self.state.out.extend_from_slice(rest);
        Ok(end)
    }

    /// The first byte from `at` on that a string does not just contain: a quotation mark, a
    /// backslash or a control character.
    #[inline]
    fn find_special(&self, mut at: usize) -> Result<usize, NotPlain> {
        let bytes = self.bytes();
        while let Some(step) = bytes.get(at..).and_then(<[u8]>::first_chunk::<STEP>) {
            if let Some(special) = special(step) {
                return Ok(at + special);
            }
            at += STEP;
        }
        let rest = bytes.get(at..).unwrap_or_default();
        rest.iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | ..0x20))
            .map(|found| at + found)
            .ok_or(NotPlain)
    }

    /// Where the string that begins here ends, escapes or not.
    pub(super) fn escaped_end(&self) -> Result<usize, NotPlain> {
        let mut special = self.find_special(self.at + 1)?;
        while self.bytes().get(special) == Some(&b'\\') {
            special = self.find_special(special + 2)?;
        }
        Ok(special + 1)
    }

    #[cold]
    fn escaped(&mut self, depth: usize) -> Result<ElementType, NotPlain> {
        let end = self.escaped_end()?;
        self.scalar(end, depth)
    }
}

/// The character that an escape stands for, and the bytes that this takes.
#[inline(always)]
pub(super) fn escaped(escape: &[u8; ESCAPE]) -> Option<(char, usize)> {
    let [_, kind, digits @ ..] = escape;
    let character = match kind {
        b'"' | b'\\' | b'/' => char::from(*kind),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return Some((escaped_code(*digits)?, ESCAPE)),
        _ => return None,
    };
    Some((character, 2))
}

#[inline(always)]
fn escaped_code(digits: [u8; 4]) -> Option<char> {
    let mut code = 0;
    for digit in digits {
        code = code << 4 | char::from(digit).to_digit(16)?;
    }
    char::from_u32(code)
}

/// The bits of so many bytes.
#[expect(
    clippy::indexing_slicing,
    reason = "made when compiling, which a place outside would end"
)]
const KEPT: [u128; STEP] = {
    let mut kept = [0; STEP];
    let mut bytes = 1;
    while bytes < STEP {
        kept[bytes] = kept[bytes - 1] << 8 | 0xFF;
        bytes += 1;
    }
    kept
};

/// Appends a string that ends in the step that it begins with, behind the head of its element.
#[inline(always)]
fn append_short<const HEAD: usize>(
    head: [u8; HEAD],
    out: &mut Vec<u8>,
    step: &[u8; STEP],
    length: usize,
) {
    let end = out.len() + HEAD + 4 + length + 1;
    // Zeros from the string's end on: its terminator is among them.
    let kept = KEPT.get(length).copied().unwrap_or_default();
    let bytes = u128::from_le_bytes(*step) & kept;
    // The limit on the output keeps every length far below 2^32.
    let stored = u32::try_from(length + 1).unwrap_or(u32::MAX);
    let mut value = [0; 4 + STEP];
    if let Some((place, rest)) = value.split_first_chunk_mut() {
        *place = stored.to_le_bytes();
        rest.copy_from_slice(&bytes.to_le_bytes());
    }
    out.extend_from_slice(&head);
    out.extend_from_slice(&value);
    out.truncate(end);
}

/// The first byte that a string does not just contain.
#[inline(always)]
pub(super) fn special(step: &[u8; STEP]) -> Option<usize> {
    let step = u8x16::new(*step);
    // Exchanges quotes and spaces, so that quotes are next to control characters.
    let exchanged = step ^ u8x16::splat(b'"' ^ b' ');
    let quotes_and_controls = exchanged.min(u8x16::splat(b' ')).simd_eq(exchanged);
    let backslashes = step.simd_eq(u8x16::splat(b'\\'));
    let special = (quotes_and_controls | backslashes).to_bitmask();
    (special != 0).then(|| special.trailing_zeros() as usize)
}
