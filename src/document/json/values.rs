//! The visitors that serde_json calls, from the whole document down to single values.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions within the text and the output, which are in memory, and counts of what is in them"
)]

use super::DocumentErrorKind;
use super::object::Frame;
use super::state::{IdState, State};
use crate::document::ID_FIELD;
use crate::document::bson::{ElementType, MIN_DOCUMENT_BYTES, ObjectId};
use crate::document::time::parse_rfc3339;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Visits what must not be there: every method but the ones given fails with one kind.
macro_rules! refuse {
    ($kind:expr; $($visit:ident($($ty:ty)?))*) => {$(
        fn $visit<E: de::Error>(self $(, _: $ty)?) -> Result<Self::Value, E> {
            Err(self.0.fail($kind))
        }
    )*};
}

macro_rules! expecting {
    ($what:literal) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str($what)
        }
    };
}

/// The whole document, `{"_id":…,"fields":{…}}`.
pub(super) struct Document<'s, 'o>(pub(super) &'s mut State<'o>);

impl<'de> DeserializeSeed<'de> for Document<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    expecting!("a document");

    refuse! { DocumentErrorKind::NotAnObject;
        visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_f64(f64) visit_str(&str) visit_unit()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.0.fail(DocumentErrorKind::NotAnObject))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(state) = self;
        let start = state.begin();
        let mut fields_seen = false;
        while let Some(key) = map.next_key_seed(OuterKey)? {
            match key {
                Key::Id if state.id != IdState::Missing => {
                    return Err(state.fail(DocumentErrorKind::RepeatedKey(ID_FIELD)));
                }
                Key::Id => map.next_value_seed(Id(&mut *state))?,
                Key::Fields if fields_seen => {
                    return Err(state.fail(DocumentErrorKind::RepeatedKey("fields")));
                }
                Key::Fields => {
                    fields_seen = true;
                    map.next_value_seed(Fields(&mut *state))?;
                }
                Key::Unknown => {
                    state.unknown_keys += 1;
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        state.end(start);
        Ok(())
    }
}

enum Key {
    Id,
    Fields,
    Unknown,
}

struct OuterKey;

impl<'de> DeserializeSeed<'de> for OuterKey {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Key, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for OuterKey {
    type Value = Key;

    expecting!("a key");

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Key, E> {
        Ok(match key {
            ID_FIELD => Key::Id,
            "fields" => Key::Fields,
            _ => Key::Unknown,
        })
    }
}

/// The document's `_id`. It goes first, even before fields that are already written.
struct Id<'s, 'o>(&'s mut State<'o>);

impl<'de> DeserializeSeed<'de> for Id<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Id<'_, '_> {
    type Value = ();

    expecting!("a string or null");

    refuse! { DocumentErrorKind::IdType;
        visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_f64(f64)
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.0.id = IdState::Empty;
        Ok(())
    }

    fn visit_str<E: de::Error>(self, id: &str) -> Result<(), E> {
        place_id(self.0, id)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.0.fail(DocumentErrorKind::IdType))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.0.fail(DocumentErrorKind::IdType))
    }
}

/// Puts the `_id` first, unless it is empty.
pub(super) fn place_id<E: de::Error>(state: &mut State<'_>, id: &str) -> Result<(), E> {
    if id.is_empty() {
        state.id = IdState::Empty;
        return Ok(());
    }
    let fields_end = state.out.len();
    state.room(id.len())?;
    state.out.extend_from_slice(b"\0_id\0");
    let kind = if let Some(id) = object_id(id) {
        state.out.extend_from_slice(&id.0);
        ElementType::ObjectId
    } else {
        string(state, id)
    };
    state.set_type(fields_end, kind);
    let body = state.start + 4;
    if fields_end > body
        && let Some(body) = state.out.get_mut(body..)
    {
        let id_bytes = body.len() - (fields_end - state.start - 4);
        body.rotate_right(id_bytes);
    }
    state.id = IdState::Placed;
    Ok(())
}

/// The value of `fields`: the document's own elements.
struct Fields<'s, 'o>(&'s mut State<'o>);

impl<'de> DeserializeSeed<'de> for Fields<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_, '_> {
    type Value = ();

    expecting!("an object or null");

    refuse! { DocumentErrorKind::FieldsType;
        visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_f64(f64) visit_str(&str)
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.0.fail(DocumentErrorKind::FieldsType))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let mut frame = Frame::new(self.0);
        fields(self.0, &mut frame, map, 1)?;
        frame.end(self.0);
        Ok(())
    }
}

/// Appends the fields of an object at `depth`.
#[inline]
fn fields<'de, A: MapAccess<'de>>(
    state: &mut State<'_>,
    frame: &mut Frame,
    mut map: A,
    depth: usize,
) -> Result<(), A::Error> {
    let is_top = depth == 1;
    loop {
        let name = FieldName {
            state: &mut *state,
            frame: &mut *frame,
            is_top,
        };
        if map.next_key_seed(name)?.is_none() {
            return Ok(());
        }
        let kind = map.next_value_seed(Value {
            state: &mut *state,
            depth: depth + 1,
        })?;
        frame.end_field(state, kind);
    }
}

pub(super) struct FieldName<'s, 'o> {
    pub(super) state: &'s mut State<'o>,
    pub(super) frame: &'s mut Frame,
    /// A field of the document itself.
    pub(super) is_top: bool,
}

impl<'de> DeserializeSeed<'de> for FieldName<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for FieldName<'_, '_> {
    type Value = ();

    expecting!("a field name");

    /// Names without escapes: JSON has no bare control characters, so no NUL either.
    #[inline]
    fn visit_borrowed_str<E: de::Error>(self, name: &'de str) -> Result<(), E> {
        if self.is_top && name == ID_FIELD {
            return Err(self.state.fail(DocumentErrorKind::IdInFields));
        }
        self.state.room(name.len())?;
        self.frame.begin_field(self.state, name);
        Ok(())
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<(), E> {
        if name.as_bytes().contains(&0) {
            return Err(self.state.fail(DocumentErrorKind::NulInName));
        }
        if self.is_top && name == ID_FIELD {
            return Err(self.state.fail(DocumentErrorKind::IdInFields));
        }
        self.state.room(name.len())?;
        self.frame.begin_field(self.state, name);
        Ok(())
    }
}

/// A value; appends it and gives its type.
pub(super) struct Value<'s, 'o> {
    pub(super) state: &'s mut State<'o>,
    /// The level that the value is on, should it be an object or array.
    pub(super) depth: usize,
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = ElementType;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<ElementType, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = ElementType;

    expecting!("a value");

    fn visit_unit<E: de::Error>(self) -> Result<ElementType, E> {
        Ok(ElementType::Null)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<ElementType, E> {
        self.state.out.push(u8::from(flag));
        Ok(ElementType::Boolean)
    }

    #[inline]
    #[expect(
        clippy::cast_precision_loss,
        reason = "as reading it as a double would"
    )]
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<ElementType, E> {
        if self.state.literal {
            return self.visit_f64(number as f64);
        }
        self.state.out.extend_from_slice(&number.to_le_bytes());
        Ok(ElementType::Int64)
    }

    #[inline]
    #[expect(
        clippy::cast_precision_loss,
        reason = "beyond i64 a number is a double"
    )]
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<ElementType, E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => self.visit_f64(number as f64),
        }
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<ElementType, E> {
        self.state.out.extend_from_slice(&number.to_le_bytes());
        Ok(ElementType::Double)
    }

    #[inline]
    fn visit_str<E: de::Error>(self, text: &str) -> Result<ElementType, E> {
        let Self { state, .. } = self;
        state.room(text.len())?;
        if let Some(kind) = infer(state, text) {
            return Ok(kind);
        }
        Ok(string(state, text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ElementType, A::Error> {
        let Self { state, depth } = self;
        state.level(depth)?;
        let start = state.begin();
        let mut position = 0;
        loop {
            let element_at = state.out.len();
            state.room(0)?;
            element_name(state.out, position);
            let value_at = state.out.len();
            let value = Value {
                state: &mut *state,
                depth: depth + 1,
            };
            let Some(kind) = seq.next_element_seed(value)? else {
                state.out.truncate(element_at);
                break;
            };
            state.set_type(element_at, kind);
            if kind == ElementType::Document && state.out.len() - value_at == MIN_DOCUMENT_BYTES {
                state.emptied_array_documents += 1;
            }
            position += 1;
        }
        state.end(start);
        Ok(ElementType::Array)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ElementType, A::Error> {
        let Self { state, depth } = self;
        state.level(depth)?;
        let (number, is_point) = state.open_object();
        let outer_literal = state.literal;
        state.literal |= is_point;
        let start = state.begin();
        let mut frame = Frame::new(state);
        fields(state, &mut frame, map, depth)?;
        let closed = frame.end(state);
        state.end(start);
        state.literal = outer_literal;
        state.close_object(number, closed);
        Ok(ElementType::Document)
    }
}

/// Appends the value of another type that a string stands for, if it does.
#[inline]
pub(super) fn infer(state: &mut State<'_>, text: &str) -> Option<ElementType> {
    if state.literal {
        return None;
    }
    if state.infer.object_id
        && let Some(id) = object_id(text)
    {
        state.inferred += 1;
        state.out.extend_from_slice(&id.0);
        return Some(ElementType::ObjectId);
    }
    if state.infer.timestamp
        && let Some(time) = parse_rfc3339(text)
        && time.is_whole_second()
    {
        state.inferred += 1;
        state.out.extend_from_slice(&time.seconds.to_le_bytes());
        return Some(ElementType::Timestamp);
    }
    None
}

#[inline]
fn object_id(text: &str) -> Option<ObjectId> {
    // The length rules out nearly every string; inlined, it costs nothing.
    if text.len() == 24 {
        ObjectId::from_hex(text.as_bytes())
    } else {
        None
    }
}

#[inline]
pub(super) fn string(state: &mut State<'_>, text: &str) -> ElementType {
    // The limit on the output keeps every length far below 2^32.
    let len = u32::try_from(text.len() + 1).unwrap_or(u32::MAX);
    state.out.extend_from_slice(&len.to_le_bytes());
    state.out.extend_from_slice(text.as_bytes());
    state.out.push(0);
    ElementType::String
}

/// Appends a place for a type and the decimal name of an array element.
#[inline]
pub(super) fn element_name(out: &mut Vec<u8>, position: u32) {
    if position < 10 {
        let digit = b'0' + u8::try_from(position).unwrap_or(0);
        out.extend_from_slice(&[0, digit, 0]);
        return;
    }
    // Type, up to ten digits, terminator; written from the end.
    let mut bytes = [0; 12];
    let mut rest = position;
    let mut len = 1;
    for byte in bytes.iter_mut().rev().skip(1) {
        if rest == 0 {
            break;
        }
        *byte = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        len += 1;
    }
    out.extend_from_slice(bytes.get(bytes.len() - len - 1..).unwrap_or_default());
}
