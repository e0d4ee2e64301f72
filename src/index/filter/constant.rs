//! The constants of a filter: their types, and how documents' values compare with them.

use super::json::Json;
use crate::document::InferTypes;
use crate::document::bson::{ObjectId, RawDocument, RawValue};
use crate::document::order::compare_values;
use crate::document::time::parse_rfc3339;
use std::cmp::Ordering;

/// A constant with the type that the same JSON would get in a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constant {
    Null,
    Boolean(bool),
    Int64(i64),
    Double(f64),
    String(Box<str>),
    ObjectId(ObjectId),
    Timestamp(i64),
    Array(Vec<Constant>),
    Document(Vec<(Box<str>, Constant)>),
}

/// How strings and numbers of a constant are typed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Typing {
    infer: InferTypes,
    /// Inside an object whose "type" is "Point": doubles and strings only.
    point: bool,
}

impl Typing {
    /// The rules for the constants of a field.
    pub(super) fn of_field(name: &str, infer: InferTypes) -> Self {
        let infer = if name == crate::document::ID_FIELD {
            // An `_id` of 24 hex digits is an ObjectID, any other string a string, always.
            InferTypes {
                object_id: true,
                timestamp: false,
            }
        } else {
            infer
        };
        Self {
            infer,
            point: false,
        }
    }

    /// The typed constant. Recursion is bounded by the parser's depth limit.
    #[expect(
        clippy::cast_precision_loss,
        reason = "LauraDB makes the numbers of a point doubles, so the rounding is the rule"
    )]
    pub(super) fn constant(self, json: &Json) -> Constant {
        match json {
            Json::Null => Constant::Null,
            Json::Boolean(flag) => Constant::Boolean(*flag),
            Json::Int64(number) if self.point => Constant::Double(*number as f64),
            Json::Int64(number) => Constant::Int64(*number),
            Json::Double(number) => Constant::Double(*number),
            Json::String(text) => self.string(text),
            Json::Array(elements) => {
                Constant::Array(elements.iter().map(|json| self.constant(json)).collect())
            }
            Json::Object(fields) => {
                let is_point = fields
                    .iter()
                    .any(|(name, value)| name == "type" && is_string(value, "Point"));
                let typing = Self {
                    point: self.point || is_point,
                    ..self
                };
                Constant::Document(
                    fields
                        .iter()
                        .map(|(name, json)| (name.as_str().into(), typing.constant(json)))
                        .collect(),
                )
            }
        }
    }

    fn string(self, text: &str) -> Constant {
        if !self.point {
            if self.infer.object_id
                && let Some(id) = ObjectId::from_hex(text.as_bytes())
            {
                return Constant::ObjectId(id);
            }
            if self.infer.timestamp
                && let Some(seconds) = whole_seconds(text)
            {
                return Constant::Timestamp(seconds);
            }
        }
        Constant::String(text.into())
    }
}

fn is_string(json: &Json, want: &str) -> bool {
    matches!(json, Json::String(text) if text == want)
}

/// Unix seconds of an RFC 3339 string that has no fraction of a second to lose.
fn whole_seconds(text: &str) -> Option<i64> {
    parse_rfc3339(text)
        .filter(|time| time.is_whole_second())
        .map(|time| time.seconds)
}

impl Constant {
    /// True if a document's value equals this constant. Recursion is bounded by the constant's
    /// depth.
    pub(super) fn equals(&self, value: RawValue<'_>) -> bool {
        match (self, value) {
            (Self::Null, RawValue::Null) => true,
            (Self::Boolean(want), RawValue::Boolean(flag)) => *want == flag,
            (Self::String(want), RawValue::String(text)) => **want == *text,
            (Self::ObjectId(want), RawValue::ObjectId(id)) => *want == id,
            (Self::Timestamp(want), RawValue::Timestamp(seconds)) => *want == seconds,
            (Self::Array(want), RawValue::Array(array)) => {
                let mut elements = array.elements();
                want.iter().all(|constant| {
                    elements
                        .next()
                        .is_some_and(|(_, value)| constant.equals(value))
                }) && elements.next().is_none()
            }
            (Self::Document(want), RawValue::Document(document)) => same_fields(want, document),
            (Self::Int64(_) | Self::Double(_), value) => {
                self.order_of(value) == Some(Ordering::Equal)
            }
            _ => false,
        }
    }

    /// How a document's value is ordered against this constant; `None` where there is no order:
    /// other types than numbers and strings, and NaN.
    pub(super) fn order_of(&self, value: RawValue<'_>) -> Option<Ordering> {
        match (self, value) {
            (Self::String(constant), RawValue::String(text)) => {
                Some(text.as_bytes().cmp(constant.as_bytes()))
            }
            (Self::Int64(constant), value) => compare_numbers(value, RawValue::Int64(*constant)),
            (Self::Double(constant), value) => compare_numbers(value, RawValue::Double(*constant)),
            _ => None,
        }
    }
}

fn same_fields(want: &[(Box<str>, Constant)], document: RawDocument<'_>) -> bool {
    let mut fields = document.elements();
    want.iter().all(|(want_name, constant)| {
        fields
            .next()
            .is_some_and(|(name, value)| **want_name == *name && constant.equals(value))
    }) && fields.next().is_none()
}

/// Compares two numbers of any types by exact value; `None` if one is no number.
///
/// Also `None` if one is NaN: indexes need a place for it, but LauraDB's operators find it neither
/// less nor equal nor greater.
pub(super) fn compare_numbers(left: RawValue<'_>, right: RawValue<'_>) -> Option<Ordering> {
    let is_number = |value| match value {
        RawValue::Int32(_) | RawValue::Int64(_) => true,
        RawValue::Double(number) => !number.is_nan(),
        _ => false,
    };
    if is_number(left) && is_number(right) {
        compare_values(left, right)
    } else {
        None
    }
}
