//! A reader for the JSON that documents are nearly always made of; serde_json reads the rest.
//!
//! It appends BSON as the visitors do, without the detour over them. What it does not know (unknown
//! keys, anything that is no JSON or no document) it does not judge: it stops, and the document is
//! read once more by serde_json, which says what is wrong and where. Strings with surrogates, those
//! that escapes may have made another type of, and numbers that are out of the ordinary are handed
//! to serde_json one by one.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions within the text and the output, which are in memory, and counts of what is in them"
)]

use super::object::Frame;
use super::shapes::ShapeId;
use super::state::{ClosedObject, IdState, State};
use super::values::{FieldName, Value, element_name, place_id};
use crate::document::ID_FIELD;
use crate::document::bson::{ElementType, MIN_DOCUMENT_BYTES};
use serde::de::{self, DeserializeSeed};
use std::fmt;

/// Keys with their colon.
const ID_KEY: &[u8] = b"\"_id\":";
const FIELDS_KEY: &[u8] = b"\"fields\":";

/// The text is not plain enough, or it is no document within the limits.
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
pub(super) struct PlainReader<'t, 's, 'o> {
    pub(super) text: &'t str,
    pub(super) at: usize,
    pub(super) state: &'s mut State<'o>,
}

impl<'t, 's, 'o> PlainReader<'t, 's, 'o> {
    pub(super) fn new(text: &'t str, state: &'s mut State<'o>) -> Self {
        Self { text, at: 0, state }
    }

    /// Reads the whole document, `{"_id":…,"fields":{…}}`; gives the bytes that it takes.
    pub(super) fn document(mut self) -> Result<usize, NotPlain> {
        let start = self.state.begin();
        let mut fields_seen = false;
        self.expect(b'{')?;
        let mut goes_on = !self.ends(b'}')?;
        while goes_on {
            if self.state.id == IdState::Missing && self.is_key(ID_KEY)? {
                self.id()?;
            } else if !fields_seen && self.is_key(FIELDS_KEY)? {
                fields_seen = true;
                self.fields()?;
            } else {
                return Err(NotPlain);
            }
            goes_on = self.goes_on(b'}')?;
        }
        self.state.end(start);
        Ok(self.at)
    }

    /// Passes a key and its colon, if it is next.
    #[inline]
    fn is_key(&mut self, key: &[u8]) -> Result<bool, NotPlain> {
        let rest = self.bytes().get(self.at..).unwrap_or_default();
        if rest.starts_with(key) {
            self.at += key.len();
            return Ok(true);
        }
        self.is_spaced_key(key)
    }

    /// [`Self::is_key`] where white space may stand.
    #[inline(never)]
    fn is_spaced_key(&mut self, key: &[u8]) -> Result<bool, NotPlain> {
        self.peek()?;
        let key = key.strip_suffix(b":").unwrap_or(key);
        let rest = self.bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(key) {
            return Ok(false);
        }
        self.at += key.len();
        self.expect(b':')?;
        Ok(true)
    }

    fn id(&mut self) -> Result<(), NotPlain> {
        if self.peek()? != b'"' {
            self.word("null")?;
            self.state.id = IdState::Empty;
            return Ok(());
        }
        let id = self.plain_string()?;
        place_id(self.state, id)
    }

    fn fields(&mut self) -> Result<(), NotPlain> {
        if self.peek()? != b'{' {
            return self.word("null");
        }
        self.members(1, ShapeId::TOP).map(drop)
    }

    pub(super) fn bytes(&self) -> &'t [u8] {
        self.text.as_bytes()
    }

    /// The next byte that is no white space.
    #[inline]
    pub(super) fn peek(&mut self) -> Result<u8, NotPlain> {
        match self.bytes().get(self.at) {
            Some(byte) if *byte > b' ' => Ok(*byte),
            _ => self.peek_behind_space(),
        }
    }

    #[inline(never)]
    fn peek_behind_space(&mut self) -> Result<u8, NotPlain> {
        loop {
            match self.bytes().get(self.at) {
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

    /// Passes the end of an object or array, if it is next.
    #[inline]
    pub(super) fn ends(&mut self, end: u8) -> Result<bool, NotPlain> {
        let ends = self.peek()? == end;
        self.at += usize::from(ends);
        Ok(ends)
    }

    /// Passes the comma before another element, or the end of the object or array.
    #[inline]
    pub(super) fn goes_on(&mut self, end: u8) -> Result<bool, NotPlain> {
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b',' => Ok(true),
            byte if byte == end => Ok(false),
            _ => Err(NotPlain),
        }
    }

    /// Reads an object's members from its bracket on.
    fn members(&mut self, depth: usize, shape: ShapeId) -> Result<ClosedObject, NotPlain> {
        let mut frame = Frame::new(self.state);
        frame.shape = shape;
        self.at += 1;
        let mut goes_on = !self.ends(b'}')?;
        while goes_on {
            let element_at = self.state.out.len();
            self.name(&mut frame, depth == 1)?;
            let value_at = self.state.out.len();
            let kind = self.value(depth + 1, frame.shape)?;
            frame.end_field_at(self.state, (element_at, value_at), kind);
            goes_on = self.goes_on(b'}')?;
        }
        Ok(frame.end(self.state))
    }

    #[inline]
    fn name(&mut self, frame: &mut Frame, is_top: bool) -> Result<(), NotPlain> {
        self.peek()?;
        let rest = self.bytes().get(self.at..).unwrap_or_default();
        if let Some(length) = frame.begin_known(self.state, rest) {
            self.at += length;
            return Ok(());
        }
        self.new_name(frame, is_top)
    }

    #[inline(never)]
    fn new_name(&mut self, frame: &mut Frame, is_top: bool) -> Result<(), NotPlain> {
        let start = self.at;
        if let Ok(name) = self.plain_string() {
            if is_top && name == ID_FIELD {
                return Err(NotPlain);
            }
            self.state.room(name.len())?;
            frame.begin_field(self.state, name);
            frame.learn(self.state, name);
            return self.expect(b':');
        }
        self.at = start;
        frame.shape = ShapeId::NONE;
        let end = self.escaped_end()?;
        let text = self.text.get(start..end).ok_or(NotPlain)?;
        let name = FieldName {
            state: self.state,
            frame,
            is_top,
        };
        by_serde(text, name)?;
        self.at = end;
        self.expect(b':')
    }

    /// Reads a value; `shape` is that of the field it lies in, in arrays or not.
    #[inline]
    pub(super) fn value(&mut self, depth: usize, shape: ShapeId) -> Result<ElementType, NotPlain> {
        match self.peek()? {
            b'"' => self.string(depth),
            b'-' | b'0'..=b'9' => self.number(depth),
            b'{' => self.object(depth, shape),
            b'[' => self.array(depth, shape),
            b't' => self.boolean("true"),
            b'f' => self.boolean("false"),
            b'n' => self.word("null").map(|()| ElementType::Null),
            _ => Err(NotPlain),
        }
    }

    fn object(&mut self, depth: usize, shape: ShapeId) -> Result<ElementType, NotPlain> {
        self.state.level(depth)?;
        let shape = self.state.scratch.shapes.inside(shape);
        let (number, is_point) = self.state.open_object();
        let outer_literal = self.state.literal;
        self.state.literal |= is_point;
        let start = self.state.begin();
        let closed = self.members(depth, shape)?;
        self.state.end(start);
        self.state.literal = outer_literal;
        self.state.close_object(number, closed);
        Ok(ElementType::Document)
    }

    fn array(&mut self, depth: usize, shape: ShapeId) -> Result<ElementType, NotPlain> {
        self.state.level(depth)?;
        let start = self.state.begin();
        self.at += 1;
        let goes_on = !self.ends(b']')?;
        self.elements(start, 0, goes_on, depth, shape)?;
        Ok(ElementType::Array)
    }

    /// Reads the elements of an array from the one at `position` on, if it `goes_on`, and ends it.
    pub(super) fn elements(
        &mut self,
        start: usize,
        mut position: u32,
        mut goes_on: bool,
        depth: usize,
        shape: ShapeId,
    ) -> Result<(), NotPlain> {
        while goes_on {
            self.state.room(0)?;
            if self.short_element(position) {
                position += 1;
                goes_on = self.goes_on(b']')?;
                continue;
            }
            let element_at = self.state.out.len();
            element_name(self.state.out, position);
            let value_at = self.state.out.len();
            let kind = self.value(depth + 1, shape)?;
            self.state.set_type(element_at, kind);
            if kind == ElementType::Document
                && self.state.out.len() - value_at == MIN_DOCUMENT_BYTES
            {
                self.state.emptied_array_documents += 1;
            }
            position += 1;
            goes_on = self.goes_on(b']')?;
        }
        self.state.end(start);
        Ok(())
    }

    /// Appends one of the first elements of an array, if it is a short string.
    #[inline]
    fn short_element(&mut self, position: u32) -> bool {
        let Some(short) = self.short_string() else {
            return false;
        };
        if position > 9 {
            return false;
        }
        let digit = b'0' + u8::try_from(position).unwrap_or_default();
        self.append_short([ElementType::String as u8, digit, 0], short);
        true
    }

    fn boolean(&mut self, word: &str) -> Result<ElementType, NotPlain> {
        self.word(word)?;
        self.state.out.push(u8::from(word == "true"));
        Ok(ElementType::Boolean)
    }

    #[inline]
    fn word(&mut self, word: &str) -> Result<(), NotPlain> {
        let end = self.at + word.len();
        if self.bytes().get(self.at..end) != Some(word.as_bytes()) {
            return Err(NotPlain);
        }
        self.at = end;
        Ok(())
    }

    /// Lets serde_json read the string or number that ends at `end`.
    pub(super) fn scalar(&mut self, end: usize, depth: usize) -> Result<ElementType, NotPlain> {
        let text = self.text.get(self.at..end).ok_or(NotPlain)?;
        let value = Value {
            state: self.state,
            depth,
        };
        let kind = by_serde(text, value)?;
        self.at = end;
        Ok(kind)
    }
}

/// Lets serde_json read one token.
fn by_serde<'t, T: DeserializeSeed<'t>>(text: &'t str, seed: T) -> Result<T::Value, NotPlain> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut reader).map_err(|_| NotPlain)?;
    reader.end().map_err(|_| NotPlain)?;
    Ok(value)
}
