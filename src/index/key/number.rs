//! Numbers in the normal form: exact across int32, int64 and double.
//!
//! ```text
//! number = image u64 big-endian | residual u16 big-endian, only where 2^53 <= |double| <= 2^63
//! ```
//!
//! The image orders like the value rounded down to a double; NaN is 0, below -infinity. Rounding
//! loses at most 1023, which the residual adds back. Equal images agree on whether a residual
//! follows, so the two never get out of step.
//!
//! What this loses goes to the trailer, one entry per number:
//!
//! ```text
//! 0 int64 | 1 double | 9 int32 | 0x11 the double -0.0 | 0x12 NaN, then its bits u64
//! ```

use super::value::KeyValue;
use crate::bytes::Cursor;

const SIGN: u64 = 1 << 63;
/// Integers up to here, positive or negative, are doubles.
const EXACT: u64 = 1 << 53;
const EXACT_F64: f64 = 9_007_199_254_740_992.0;
const INT_LIMIT_F64: f64 = 9_223_372_036_854_775_808.0;

const INT64: u8 = 0;
const DOUBLE: u8 = 1;
const INT32: u8 = 9;
const NEGATIVE_ZERO: u8 = 0x11;
const NAN: u8 = 0x12;

fn image(double: f64) -> u64 {
    let bits = double.to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

fn from_image(image: u64) -> f64 {
    f64::from_bits(if image & SIGN == 0 {
        !image
    } else {
        image & !SIGN
    })
}

fn has_residual(double: f64) -> bool {
    (EXACT_F64..=INT_LIMIT_F64).contains(&double.abs())
}

/// The largest double that is not above `number`, and what is missing to it (0 to 1023).
#[expect(
    clippy::cast_possible_truncation,
    reason = "a double below 2^63 that came from an i64 is one, and the difference is below 1024"
)]
#[expect(clippy::cast_sign_loss, reason = "the double is not above the number")]
fn floor(number: i64) -> (f64, u16) {
    let mut double = number as f64;
    if number.unsigned_abs() < EXACT {
        return (double, 0);
    }
    if double >= INT_LIMIT_F64 || double as i64 > number {
        double = double.next_down();
    }
    (double, number.saturating_sub(double as i64) as u16)
}

pub(super) fn encode_int32(number: i32, out: &mut Vec<u8>, trailer: &mut Vec<u8>) {
    out.extend_from_slice(&image(f64::from(number)).to_be_bytes());
    trailer.push(INT32);
}

/// True for integers that are doubles and have no residual.
#[inline]
pub(super) fn is_exact(number: i64) -> bool {
    number.unsigned_abs() < EXACT
}

/// Image and trailer of an integer that [`is_exact`].
#[inline]
#[expect(clippy::cast_precision_loss, reason = "the integer is a double")]
pub(super) fn encode_exact(number: i64) -> ([u8; 8], u8) {
    (image(number as f64).to_be_bytes(), INT64)
}

pub(super) fn encode_int64(number: i64, out: &mut Vec<u8>, trailer: &mut Vec<u8>) {
    let (double, residual) = floor(number);
    out.extend_from_slice(&image(double).to_be_bytes());
    if has_residual(double) {
        out.extend_from_slice(&residual.to_be_bytes());
    }
    trailer.push(INT64);
}

pub(super) fn encode_double(number: f64, out: &mut Vec<u8>, trailer: &mut Vec<u8>) {
    if number.is_nan() {
        out.extend_from_slice(&[0; 8]);
        trailer.push(NAN);
        trailer.extend_from_slice(&number.to_bits().to_le_bytes());
        return;
    }
    let negative_zero = number == 0.0 && number.is_sign_negative();
    // Adding 0.0 makes -0.0 the 0.0 that it equals.
    out.extend_from_slice(&image(number + 0.0).to_be_bytes());
    if has_residual(number) {
        out.extend_from_slice(&[0; 2]);
    }
    trailer.push(if negative_zero { NEGATIVE_ZERO } else { DOUBLE });
}

/// The int64 within ±2^53 or the ordinary double that this normal form and its trailer stand for.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "an image without a residual that was an int64 is one up to 2^53"
)]
pub(super) fn decode_exact<'a>(normal: &[u8], trailer: &[u8]) -> Option<KeyValue<'a>> {
    let double = from_image(u64::from_be_bytes(normal.try_into().ok()?));
    if has_residual(double) {
        return None;
    }
    match *trailer {
        [INT64] => Some(KeyValue::Int64(double as i64)),
        [DOUBLE] => Some(KeyValue::Double(double)),
        _ => None,
    }
}

/// The number that the next bytes of a normal form and its trailer stand for.
#[expect(
    clippy::cast_possible_truncation,
    reason = "casts saturate, and what the encoder wrote is in range"
)]
pub(super) fn decode<'a>(
    normal: &mut Cursor<'_>,
    trailer: &mut Cursor<'_>,
) -> Option<KeyValue<'a>> {
    let image = u64::from_be_bytes(normal.take(8)?.try_into().ok()?);
    let double = from_image(image);
    let residual = if image != 0 && has_residual(double) {
        u16::from_be_bytes(normal.take(2)?.try_into().ok()?)
    } else {
        0
    };
    Some(match trailer.u8()? {
        INT64 => KeyValue::Int64((double as i64).saturating_add(i64::from(residual))),
        INT32 => KeyValue::Int32(double as i32),
        DOUBLE => KeyValue::Double(double),
        NEGATIVE_ZERO => KeyValue::Double(-0.0),
        NAN => KeyValue::Double(f64::from_bits(trailer.u64()?)),
        _ => return None,
    })
}
