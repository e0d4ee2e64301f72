//! Equality and hash of `_id` values.
//!
//! The equality is that of index keys: numbers of all three types compare by exact value (1 is 1.0,
//! -0 is 0, NaN is NaN), everything else is equal only within its type, bytewise.

use crate::document::bson::RawValue;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A value such that equal ids, and only they, have equal canonical forms.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Canonical<'a> {
    Null,
    /// Every number that is an i64, whatever stored it.
    Integer(i64),
    /// The bits of every other number; one pattern for all NaNs.
    Fraction(u64),
    String(&'a [u8]),
    Binary(&'a [u8]),
    ObjectId([u8; 12]),
    Boolean(bool),
    Timestamp(i64),
    /// Never an id in a file; compared bytewise so that the functions are total.
    Nested(bool, &'a [u8]),
}

impl<'a> Canonical<'a> {
    fn of(value: RawValue<'a>) -> Self {
        match value {
            RawValue::Double(number) => Self::double(number),
            RawValue::String(text) => Self::String(text.as_bytes()),
            RawValue::Document(document) => Self::Nested(false, document.as_bytes()),
            RawValue::Array(array) => Self::Nested(true, array.as_bytes()),
            RawValue::Binary(bytes) => Self::Binary(bytes),
            RawValue::ObjectId(id) => Self::ObjectId(id.0),
            RawValue::Boolean(flag) => Self::Boolean(flag),
            RawValue::Null => Self::Null,
            RawValue::Int32(number) => Self::Integer(i64::from(number)),
            RawValue::Timestamp(seconds) => Self::Timestamp(seconds),
            RawValue::Int64(number) => Self::Integer(number),
        }
    }

    fn double(number: f64) -> Self {
        /// 2^63, the first double above every i64.
        const END: f64 = 9_223_372_036_854_775_808.0;
        if number.is_nan() {
            Self::Fraction(f64::NAN.to_bits())
        } else if (-END..END).contains(&number) && number.trunc() == number {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "whole and within i64, so the cast is exact"
            )]
            Self::Integer(number as i64)
        } else {
            Self::Fraction(number.to_bits())
        }
    }

    fn hash(self, collection: u32) -> u64 {
        let with = |class: u8, bytes: &[u8]| {
            xxh3_64_with_seed(bytes, u64::from(collection) << 8 | u64::from(class))
        };
        match self {
            Self::Null => with(0, &[]),
            Self::Integer(number) => with(1, &number.to_le_bytes()),
            Self::Fraction(bits) => with(2, &bits.to_le_bytes()),
            Self::String(bytes) => with(3, bytes),
            Self::Binary(bytes) => with(4, bytes),
            Self::ObjectId(bytes) => with(5, &bytes),
            Self::Boolean(flag) => with(6, &[u8::from(flag)]),
            Self::Timestamp(seconds) => with(7, &seconds.to_le_bytes()),
            Self::Nested(false, bytes) => with(8, bytes),
            Self::Nested(true, bytes) => with(9, bytes),
        }
    }
}

/// True if the two values identify the same document.
#[must_use]
pub fn same_id(a: RawValue<'_>, b: RawValue<'_>) -> bool {
    Canonical::of(a) == Canonical::of(b)
}

/// A hash that is equal for equal ids of one collection. It is the same in every run.
#[must_use]
pub fn hash_id(id: RawValue<'_>, collection: u32) -> u64 {
    Canonical::of(id).hash(collection)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::bson::ObjectId;

    #[test]
    fn equal_ids_have_equal_hashes_and_no_others() {
        use RawValue::{Binary, Boolean, Double, Int32, Int64, Null, String, Timestamp};
        let quiet = f64::from_bits(0x7FF8_0000_0000_0001);
        let two_63 = 9_223_372_036_854_775_808.0;
        // Each row is one id; rows differ from each other.
        let rows: &[&[RawValue<'_>]] = &[
            &[Null],
            &[Int32(0), Int64(0), Double(0.0), Double(-0.0)],
            &[Int32(1), Int64(1), Double(1.0)],
            &[Int32(-7), Int64(-7), Double(-7.0)],
            &[Double(1.5)],
            &[Double(f64::NAN), Double(-f64::NAN), Double(quiet)],
            &[Double(f64::INFINITY)],
            &[Double(f64::NEG_INFINITY)],
            &[Int64(i64::MAX)],
            &[Double(two_63)],
            &[Int64(i64::MIN), Double(-two_63)],
            &[Int64((1 << 53) + 1)],
            &[Int64(1 << 53), Double(9_007_199_254_740_992.0)],
            &[String("1")],
            &[String("")],
            &[Binary(b"1")],
            &[RawValue::ObjectId(ObjectId([1; 12]))],
            &[Boolean(true)],
            &[Boolean(false)],
            &[Timestamp(1)],
        ];
        for (i, row) in rows.iter().enumerate() {
            for (j, other) in rows.iter().enumerate() {
                for a in *row {
                    for b in *other {
                        assert_eq!(same_id(*a, *b), i == j, "{a:?} {b:?}");
                        assert_eq!(hash_id(*a, 3) == hash_id(*b, 3), i == j, "{a:?} {b:?}");
                    }
                }
            }
        }
        assert_ne!(hash_id(Int32(1), 0), hash_id(Int32(1), 1));
    }
}
