//! A reader for the JSON that documents are nearly always made of; serde_json reads the rest.
//!
//! It drives the same visitors. What it does not know (unknown keys, anything that is no JSON or no
//! document) it does not judge: it stops, and the document is read once more by serde_json, which
//! says what is wrong and where. Escaped strings and numbers that are no plain integers are handed
//! to serde_json one by one.

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use std::fmt;

/// More digits could overflow an i64.
const MOST_DIGITS: usize = 18;
/// Where serde_json stops as well. Documents end earlier.
const MOST_OPEN: usize = 127;

/// The text is not plain enough, or a visitor wants no more of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotPlain;

impl fmt::Display for NotPlain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not plain")
    }
}

impl std::error::Error for NotPlain {}

impl de::Error for NotPlain {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Reads from the start of a text on.
pub(super) struct PlainReader<'de> {
    text: &'de str,
    at: usize,
    /// Objects and arrays that have begun and not ended.
    open: usize,
}

impl<'de> PlainReader<'de> {
    pub(super) fn new(text: &'de str) -> Self {
        Self {
            text,
            at: 0,
            open: 0,
        }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The next byte that is no white space.
    #[inline]
    fn peek(&mut self) -> Result<u8, NotPlain> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(byte) => return Ok(*byte),
                None => return Err(NotPlain),
            }
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), NotPlain> {
        if self.peek()? != byte {
            return Err(NotPlain);
        }
        self.at += 1;
        Ok(())
    }

    /// Begins an object or array and lets `visit` read it to its end.
    #[inline]
    fn nested<T>(
        &mut self,
        visit: impl FnOnce(&mut Self) -> Result<T, NotPlain>,
    ) -> Result<T, NotPlain> {
        let outside = self.open;
        if outside == MOST_OPEN {
            return Err(NotPlain);
        }
        self.at += 1;
        self.open += 1;
        let value = visit(self)?;
        if self.open == outside {
            Ok(value)
        } else {
            Err(NotPlain)
        }
    }

    /// Goes to the next element of the open object or array; false at its end.
    #[inline]
    fn next_in(&mut self, end: u8, is_first: &mut bool) -> Result<bool, NotPlain> {
        let byte = self.peek()?;
        if byte == end {
            self.at += 1;
            self.open -= 1;
            return Ok(false);
        }
        if std::mem::take(is_first) {
            return Ok(true);
        }
        if byte != b',' {
            return Err(NotPlain);
        }
        self.at += 1;
        Ok(true)
    }

    /// Reads a string from its quotation mark on.
    #[inline]
    fn string<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, NotPlain> {
        let start = self.at + 1;
        let end = self.find_special(start)?;
        if self.text.as_bytes().get(end) != Some(&b'"') {
            return self.escaped(end, visitor);
        }
        self.at = end + 1;
        visitor.visit_borrowed_str(self.text.get(start..end).ok_or(NotPlain)?)
    }

    /// The first byte from `at` on that a string does not just contain: a quotation mark, a
    /// backslash or a control character.
    #[inline]
    fn find_special(&self, mut at: usize) -> Result<usize, NotPlain> {
        const ONES: u64 = u64::MAX / 0xFF;
        const HIGH: u64 = ONES << 7;
        let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
        let bytes = self.text.as_bytes();
        while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
            let word = u64::from_le_bytes(*word);
            let controls = word.wrapping_sub(ONES * 0x20) & !word;
            let quotes = zeros(word ^ (ONES * u64::from(b'"')));
            let backslashes = zeros(word ^ (ONES * u64::from(b'\\')));
            let special = (controls | quotes | backslashes) & HIGH;
            if special != 0 {
                // Borrows go upwards, so the lowest one is right.
                return Ok(at + (special.trailing_zeros() >> 3) as usize);
            }
            at += size_of::<u64>();
        }
        let rest = bytes.get(at..).unwrap_or_default();
        rest.iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | ..0x20))
            .map(|found| at + found)
            .ok_or(NotPlain)
    }

    /// Reads a string with the special byte at `special`.
    #[cold]
    fn escaped<V: Visitor<'de>>(
        &mut self,
        mut special: usize,
        visitor: V,
    ) -> Result<V::Value, NotPlain> {
        while self.text.as_bytes().get(special) == Some(&b'\\') {
            special = self.find_special(special + 2)?;
        }
        let end = special + 1;
        self.scalar(end, visitor)
    }

    /// Lets serde_json read the string or number that ends at `end`.
    fn scalar<V: Visitor<'de>>(&mut self, end: usize, visitor: V) -> Result<V::Value, NotPlain> {
        let token = self.text.get(self.at..end).ok_or(NotPlain)?;
        let mut reader = serde_json::Deserializer::from_str(token);
        let value = reader.deserialize_any(visitor).map_err(|_| NotPlain)?;
        reader.end().map_err(|_| NotPlain)?;
        self.at = end;
        Ok(value)
    }

    #[inline]
    fn number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, NotPlain> {
        let bytes = self.text.as_bytes();
        let is_negative = bytes.get(self.at) == Some(&b'-');
        let start = self.at + usize::from(is_negative);
        let mut end = start;
        let mut number = 0_i64;
        while let Some(digit @ b'0'..=b'9') = bytes.get(end) {
            number = number
                .wrapping_mul(10)
                .wrapping_add(i64::from(digit - b'0'));
            end += 1;
        }
        let goes_on = matches!(bytes.get(end), Some(b'.' | b'e' | b'E'));
        let begins_with_zero = bytes.get(start) == Some(&b'0');
        if goes_on || begins_with_zero || !(1..=MOST_DIGITS).contains(&(end - start)) {
            return self.unusual_number(visitor);
        }
        self.at = end;
        if is_negative {
            visitor.visit_i64(-number)
        } else {
            visitor.visit_u64(number.unsigned_abs())
        }
    }

    #[inline(never)]
    fn unusual_number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, NotPlain> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let len = rest
            .iter()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
        self.scalar(self.at + len.unwrap_or(rest.len()), visitor)
    }

    #[inline]
    fn word(&mut self, word: &str) -> Result<(), NotPlain> {
        let end = self.at + word.len();
        if self.text.as_bytes().get(self.at..end) != Some(word.as_bytes()) {
            return Err(NotPlain);
        }
        self.at = end;
        Ok(())
    }
}

impl<'de> Deserializer<'de> for &mut PlainReader<'de> {
    type Error = NotPlain;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        match self.peek()? {
            b'"' => self.string(visitor),
            b'-' | b'0'..=b'9' => self.number(visitor),
            b'{' => self.nested(|reader| visitor.visit_map(Inside::new(reader))),
            b'[' => self.nested(|reader| visitor.visit_seq(Inside::new(reader))),
            b't' => self.word("true").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.word("false").and_then(|()| visitor.visit_bool(false)),
            b'n' => self.word("null").and_then(|()| visitor.visit_unit()),
            _ => Err(NotPlain),
        }
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        match self.peek()? {
            b'"' => self.string(visitor),
            _ => Err(NotPlain),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, NotPlain> {
        Err(NotPlain)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}

/// What visitors see of an object or array.
struct Inside<'r, 'de> {
    reader: &'r mut PlainReader<'de>,
    is_first: bool,
}

impl<'r, 'de> Inside<'r, 'de> {
    fn new(reader: &'r mut PlainReader<'de>) -> Self {
        Self {
            reader,
            is_first: true,
        }
    }
}

impl<'de> MapAccess<'de> for Inside<'_, 'de> {
    type Error = NotPlain;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, NotPlain> {
        if !self.reader.next_in(b'}', &mut self.is_first)? {
            return Ok(None);
        }
        let key = seed.deserialize(&mut *self.reader)?;
        self.reader.expect(b':')?;
        Ok(Some(key))
    }

    #[inline]
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, NotPlain> {
        seed.deserialize(&mut *self.reader)
    }
}

impl<'de> SeqAccess<'de> for Inside<'_, 'de> {
    type Error = NotPlain;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, NotPlain> {
        if !self.reader.next_in(b']', &mut self.is_first)? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }
}
