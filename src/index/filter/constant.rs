//! The constants of a filter: their types, and how documents' values compare with them.

use super::json::Json;
use crate::document::InferTypes;
use crate::document::bson::{ObjectId, RawDocument, RawValue};
use std::cmp::Ordering;

/// A constant with the type that the same JSON would get in a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constant {
    Null,
    Boolean(bool),
    Number(Number),
    String(Box<str>),
    ObjectId(ObjectId),
    Timestamp(i64),
    Array(Vec<Constant>),
    Document(Vec<(Box<str>, Constant)>),
}

/// A number of any type that documents have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Integer(i64),
    Double(f64),
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
            Json::Int64(number) if self.point => Constant::Number(Number::Double(*number as f64)),
            Json::Int64(number) => Constant::Number(Number::Integer(*number)),
            Json::Double(number) => Constant::Number(Number::Double(*number)),
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
fn whole_seconds(_text: &str) -> Option<i64> {
    None
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
            (Self::Number(want), value) => {
                number(value).and_then(|number| compare_numbers(number, *want))
                    == Some(Ordering::Equal)
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
            (Self::Number(constant), value) => compare_numbers(number(value)?, *constant),
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

fn number(value: RawValue<'_>) -> Option<Number> {
    match value {
        RawValue::Int32(number) => Some(Number::Integer(i64::from(number))),
        RawValue::Int64(number) => Some(Number::Integer(number)),
        RawValue::Double(number) => Some(Number::Double(number)),
        _ => None,
    }
}

/// Compares by exact value; `None` if one is NaN.
pub(super) fn compare_numbers(left: Number, right: Number) -> Option<Ordering> {
    match (left, right) {
        (Number::Integer(left), Number::Integer(right)) => Some(left.cmp(&right)),
        (Number::Double(left), Number::Double(right)) => left.partial_cmp(&right),
        (Number::Integer(left), Number::Double(right)) => compare_integer(left, right),
        (Number::Double(left), Number::Integer(right)) => {
            compare_integer(right, left).map(Ordering::reverse)
        }
    }
}

/// 2^63, the first double beyond i64.
const BEYOND_I64: f64 = 9_223_372_036_854_775_808.0;

/// An i64 against a double, without rounding the integer.
fn compare_integer(integer: i64, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    if double >= BEYOND_I64 {
        return Some(Ordering::Less);
    }
    if double < -BEYOND_I64 {
        return Some(Ordering::Greater);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "in range by the checks above; the fraction is compared below"
    )]
    let whole = double.trunc() as i64;
    Some(integer.cmp(&whole).then_with(|| {
        0.0_f64
            .partial_cmp(&double.fract())
            .unwrap_or(Ordering::Equal)
    }))
}
