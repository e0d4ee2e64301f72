//! Numbers of plain documents: integers, and fractions of few digits; serde_json reads the rest.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions within the text and the output, which are in memory, and counts of what is in them"
)]

use super::reader::{NotPlain, PlainReader};
use crate::document::bson::ElementType;

/// More digits could overflow an i64.
const MOST_DIGITS: usize = 18;
/// Up to so many digits are a double exactly, and so is the power of ten that they are divided by.
const MOST_EXACT_DIGITS: usize = 15;

const POWERS_OF_TEN: [f64; MOST_EXACT_DIGITS + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
];

/// A number of a document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Int64(i64),
    Double(f64),
}

impl Number {
    /// The type and bytes that it has in BSON; among literals all numbers are doubles.
    #[inline(always)]
    #[expect(
        clippy::cast_precision_loss,
        reason = "as reading it as a double would"
    )]
    pub(super) fn element(self, literal: bool) -> (ElementType, [u8; 8]) {
        match self {
            Self::Int64(number) if literal => (ElementType::Double, (number as f64).to_le_bytes()),
            Self::Int64(number) => (ElementType::Int64, number.to_le_bytes()),
            Self::Double(number) => (ElementType::Double, number.to_le_bytes()),
        }
    }
}

impl PlainReader<'_, '_, '_> {
    #[inline]
    pub(super) fn number(&mut self, depth: usize) -> Result<ElementType, NotPlain> {
        let rest = self.bytes().get(self.at..).unwrap_or_default();
        let Some((number, length)) = usual_number(rest) else {
            return self.unusual_number(depth);
        };
        self.at += length;
        let (kind, bytes) = number.element(self.state.literal);
        self.state.out.extend_from_slice(&bytes);
        Ok(kind)
    }

    #[inline(never)]
    fn unusual_number(&mut self, depth: usize) -> Result<ElementType, NotPlain> {
        let rest = self.bytes().get(self.at..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
        self.scalar(self.at + length.unwrap_or(rest.len()), depth)
    }
}

/// The number that a text begins with, and its bytes, unless it is one for serde_json.
#[inline(always)]
pub(super) fn usual_number(text: &[u8]) -> Option<(Number, usize)> {
    let is_negative = text.first() == Some(&b'-');
    let start = usize::from(is_negative);
    let (end, number) = digits(text, start, 0);
    let digits = end - start;
    let next = text.get(end);
    if next == Some(&b'.') {
        return fraction(text, end, number);
    }
    let begins_with_zero = text.get(start) == Some(&b'0');
    if matches!(next, Some(b'e' | b'E'))
        || (begins_with_zero && (digits > 1 || is_negative))
        || !(1..=MOST_DIGITS).contains(&digits)
    {
        return None;
    }
    let number = if is_negative { -number } else { number };
    Some((Number::Int64(number), end))
}

/// The number that a text begins with, and its digits, if it is an integer of a few of these. All
/// are looked at together, a byte each.
#[inline(always)]
pub(super) fn small_integer(text: &[u8; 8]) -> Option<(i64, usize)> {
    let word = u64::from_le_bytes(*text);
    let digits = word ^ u64::from_le_bytes([b'0'; 8]);
    // The upper bits of bytes that are no digits; what is behind the first one does not matter.
    let others = digits.wrapping_add(u64::from_le_bytes([0x80 - 10; 8])) | digits;
    let others = others & u64::from_le_bytes([0x80; 8]);
    let bits = others.trailing_zeros() & !7;
    let begins_with_zero = digits.to_le_bytes().first() == Some(&0);
    let next = word.checked_shr(bits)?.to_le_bytes();
    if !matches!(next.first(), Some(b',' | b'}' | b']')) || (begins_with_zero && bits > 8) {
        return None;
    }
    // Leading zeros take the place of what follows; then digits are joined to twos, fours, and all.
    let digits = digits.checked_shl(64 - bits)?;
    let twos = (digits * 10 + (digits >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (twos * 100 + (twos >> 16)) & 0x0000_FFFF_0000_FFFF;
    let all = (fours * 10_000 + (fours >> 32)) & 0xFFFF_FFFF;
    Some((i64::try_from(all).ok()?, bits as usize / 8))
}

/// Goes on with a number at the point that stands behind its digits. With few digits it is the
/// quotient of two doubles that are exact, and a division rounds correctly.
#[inline(never)]
#[expect(
    clippy::cast_precision_loss,
    reason = "integers of 15 digits are doubles"
)]
fn fraction(text: &[u8], point: usize, whole: i64) -> Option<(Number, usize)> {
    let is_negative = text.first() == Some(&b'-');
    let start = usize::from(is_negative);
    let (end, number) = digits(text, point + 1, whole);
    let (before, after) = (point - start, end - point - 1);
    let is_exact = before + after <= MOST_EXACT_DIGITS;
    let leading_zero = before > 1 && text.get(start) == Some(&b'0');
    let goes_on = matches!(text.get(end), Some(b'e' | b'E'));
    if before == 0 || after == 0 || leading_zero || goes_on {
        return None;
    }
    let double = match POWERS_OF_TEN.get(after) {
        Some(power) if is_exact => {
            let double = number as f64 / power;
            if is_negative { -double } else { double }
        }
        // Rounds to the nearest double, as serde_json does.
        _ => {
            let text = str::from_utf8(text.get(..end)?).ok()?;
            text.parse().ok().filter(|double| f64::is_finite(*double))?
        }
    };
    Some((Number::Double(double), end))
}

/// The digits from `at` on, behind those of `number`: where they end, and the number, which means
/// something only while there are not too many.
#[inline(always)]
fn digits(text: &[u8], at: usize, mut number: i64) -> (usize, i64) {
    let mut end = at;
    for byte in text.get(at..).unwrap_or_default() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number.wrapping_mul(10).wrapping_add(i64::from(digit));
        end += 1;
    }
    (end, number)
}
