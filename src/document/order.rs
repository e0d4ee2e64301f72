//! The order and equality of values that all indexes, filters and `_id`s share.
//!
//! null < numbers (int32, int64 and double by exact value; NaN lowest, -0 = 0) < string (bytes) <
//! binary (length, then bytes) < ObjectID < boolean < timestamp. Arrays and documents have no
//! place in it.

use super::bson::{RawDocument, RawValue};
use crate::hash::xxh3_64_with_seed;
use std::cmp::Ordering;

/// 2^63, the first double beyond every i64.
const BEYOND_I64: f64 = 9_223_372_036_854_775_808.0;

/// Compares two values, or gives `None` if one of them is an array or a document.
#[inline]
#[must_use]
pub fn compare_values(left: RawValue<'_>, right: RawValue<'_>) -> Option<Ordering> {
    let (left, right) = (Orderable::new(left)?, Orderable::new(right)?);
    Some(match (left, right) {
        (Orderable::Integer(left), Orderable::Integer(right))
        | (Orderable::Timestamp(left), Orderable::Timestamp(right)) => left.cmp(&right),
        (Orderable::Double(left), Orderable::Double(right)) => compare_doubles(left, right),
        (Orderable::Integer(left), Orderable::Double(right)) => compare_mixed(left, right),
        (Orderable::Double(left), Orderable::Integer(right)) => {
            compare_mixed(right, left).reverse()
        }
        (Orderable::String(left), Orderable::String(right)) => left.cmp(right),
        (Orderable::Binary(left), Orderable::Binary(right)) => {
            left.len().cmp(&right.len()).then_with(|| left.cmp(right))
        }
        (Orderable::ObjectId(left), Orderable::ObjectId(right)) => left.cmp(&right),
        (Orderable::Boolean(left), Orderable::Boolean(right)) => left.cmp(&right),
        (left, right) => left.rank().cmp(&right.rank()),
    })
}

/// Whether two values are equal: under the order, or as arrays or documents whose fields are
/// equal, in order.
#[must_use]
pub fn equal_values(left: RawValue<'_>, right: RawValue<'_>) -> bool {
    match (left, right) {
        (RawValue::Document(left), RawValue::Document(right))
        | (RawValue::Array(left), RawValue::Array(right)) => equal_documents(left, right),
        _ => compare_values(left, right) == Some(Ordering::Equal),
    }
}

/// Whether two documents have equal fields, in order. Recursion is bounded by
/// [`super::MAX_DEPTH`], which every checked document keeps.
#[must_use]
pub fn equal_documents(left: RawDocument<'_>, right: RawDocument<'_>) -> bool {
    if left == right {
        return true;
    }
    let mut right = right.elements();
    left.elements().all(|(name, value)| {
        right
            .next()
            .is_some_and(|(other_name, other)| name == other_name && equal_values(value, other))
    }) && right.next().is_none()
}

/// Whether two `_id`s are the same: equality under the order, so 1 and 1.0 are.
///
/// Arrays and documents cannot be an `_id`; they equal nothing.
#[inline]
#[must_use]
pub fn same_id(left: RawValue<'_>, right: RawValue<'_>) -> bool {
    compare_values(left, right) == Some(Ordering::Equal)
}

/// A hash of an `_id` in a collection: XXH3-64 of a form that is equal where [`same_id`] says so.
///
/// It is for tables in memory and may change with the tool's version.
#[inline]
#[must_use]
pub fn hash_id(id: RawValue<'_>, collection: u32) -> u64 {
    let hash = |kind: u8, bytes: &[u8]| {
        xxh3_64_with_seed(bytes, u64::from(collection) << 8 | u64::from(kind))
    };
    match Orderable::new(id) {
        Some(Orderable::Null) => hash(0, &[]),
        Some(Orderable::Integer(number)) => hash(1, &number.to_le_bytes()),
        Some(Orderable::Double(number)) => match whole(number) {
            Some(number) => hash(1, &number.to_le_bytes()),
            None if number.is_nan() => hash(2, &f64::NAN.to_le_bytes()),
            None => hash(2, &number.to_le_bytes()),
        },
        Some(Orderable::String(text)) => hash(3, text),
        Some(Orderable::Binary(bytes)) => hash(4, bytes),
        Some(Orderable::ObjectId(id)) => hash(5, &id),
        Some(Orderable::Boolean(flag)) => hash(6, &[u8::from(flag)]),
        Some(Orderable::Timestamp(seconds)) => hash(7, &seconds.to_le_bytes()),
        None => hash(8, &[]),
    }
}

/// A value that has a place in the order; both integer types are one.
#[derive(Clone, Copy)]
enum Orderable<'a> {
    Null,
    Integer(i64),
    Double(f64),
    String(&'a [u8]),
    Binary(&'a [u8]),
    ObjectId([u8; 12]),
    Boolean(bool),
    Timestamp(i64),
}

impl<'a> Orderable<'a> {
    fn new(value: RawValue<'a>) -> Option<Self> {
        Some(match value {
            RawValue::Null => Self::Null,
            RawValue::Int32(number) => Self::Integer(i64::from(number)),
            RawValue::Int64(number) => Self::Integer(number),
            RawValue::Double(number) => Self::Double(number),
            RawValue::String(text) => Self::String(text.as_bytes()),
            RawValue::Binary(bytes) => Self::Binary(bytes),
            RawValue::ObjectId(id) => Self::ObjectId(id.0),
            RawValue::Boolean(flag) => Self::Boolean(flag),
            RawValue::Timestamp(seconds) => Self::Timestamp(seconds),
            RawValue::Document(_) | RawValue::Array(_) => return None,
        })
    }

    fn rank(self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Integer(_) | Self::Double(_) => 1,
            Self::String(_) => 2,
            Self::Binary(_) => 3,
            Self::ObjectId(_) => 4,
            Self::Boolean(_) => 5,
            Self::Timestamp(_) => 6,
        }
    }
}

fn compare_doubles(left: f64, right: f64) -> Ordering {
    // Only a NaN has no order; `false < true` reversed puts it below everything.
    left.partial_cmp(&right)
        .unwrap_or_else(|| right.is_nan().cmp(&left.is_nan()))
}

/// Exact even where the integer has no double: the double is split into whole part and fraction.
fn compare_mixed(left: i64, right: f64) -> Ordering {
    if right.is_nan() || right < -BEYOND_I64 {
        Ordering::Greater
    } else if right >= BEYOND_I64 {
        Ordering::Less
    } else {
        let whole_part = truncated(right);
        let fraction = right - right.trunc();
        left.cmp(&whole_part)
            .then_with(|| 0.0_f64.partial_cmp(&fraction).unwrap_or(Ordering::Equal))
    }
}

/// The i64 with exactly this value, if there is one.
fn whole(number: f64) -> Option<i64> {
    let fits = (-BEYOND_I64..BEYOND_I64).contains(&number) && number == number.trunc();
    fits.then(|| truncated(number))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "callers have checked the range; the fraction is meant to go"
)]
fn truncated(number: f64) -> i64 {
    number as i64
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
