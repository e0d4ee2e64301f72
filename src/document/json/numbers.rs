//! Numbers of plain documents: integers, and fractions of few digits; serde_json reads the rest.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions within the text and the output, which are in memory, and counts of what is in them"
)]

use super::reader::{NotPlain, PlainReader};
use crate::document::bson::ElementType;

/// More digits could overflow an i64.
const MOST_DIGITS: usize = 18;
/// Digits are looked at in words of so many.
const WORD: usize = 8;
/// All integers up to this one are doubles.
const MOST_EXACT: i64 = 1 << 53;

/// They are doubles exactly.
const POWERS_OF_TEN: [f64; MOST_DIGITS + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18,
];
const TENS: [i64; WORD + 1] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
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
    #[inline(never)]
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
pub(super) fn small_integer(text: &[u8; WORD]) -> Option<(i64, usize)> {
    let word = u64::from_le_bytes(*text);
    let (digits, bits) = leading_digits(word);
    let begins_with_zero = digits.to_le_bytes().first() == Some(&0);
    let next = word.checked_shr(bits)?.to_le_bytes();
    if !matches!(next.first(), Some(b',' | b'}' | b']')) || (begins_with_zero && bits > 8) {
        return None;
    }
    let all = joined(digits.checked_shl(u64::BITS - bits)?);
    Some((all, bits as usize / 8))
}

/// The bytes of a word as digits, and the bits of those at its beginning that are some.
#[inline(always)]
fn leading_digits(word: u64) -> (u64, u32) {
    let digits = word ^ u64::from_le_bytes([b'0'; WORD]);
    // The upper bits of bytes that are no digits; what is behind the first one does not matter.
    let others = digits.wrapping_add(u64::from_le_bytes([0x80 - 10; WORD])) | digits;
    let others = others & u64::from_le_bytes([0x80; WORD]);
    (digits, others.trailing_zeros() & !7)
}

/// The number of eight digits: they are joined to twos, fours, and all.
#[inline(always)]
fn joined(digits: u64) -> i64 {
    let twos = (digits * 10 + (digits >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (twos * 100 + (twos >> 16)) & 0x0000_FFFF_0000_FFFF;
    let all = (fours * 10_000 + (fours >> 32)) & 0xFFFF_FFFF;
    all.cast_signed()
}

/// Goes on with a number at the point that stands behind its digits. With few digits it is the
/// quotient of two doubles that are exact, and a division rounds correctly.
#[inline(always)]
#[expect(
    clippy::cast_precision_loss,
    reason = "integers up to 2^53 are doubles"
)]
fn fraction(text: &[u8], point: usize, whole: i64) -> Option<(Number, usize)> {
    let is_negative = text.first() == Some(&b'-');
    let start = usize::from(is_negative);
    let (end, number) = digits(text, point + 1, whole);
    let (before, after) = (point - start, end - point - 1);
    let is_known = before + after <= MOST_DIGITS;
    let leading_zero = before > 1 && text.get(start) == Some(&b'0');
    let goes_on = matches!(text.get(end), Some(b'e' | b'E'));
    if before == 0 || after == 0 || leading_zero || goes_on {
        return None;
    }
    let double = match POWERS_OF_TEN.get(after) {
        Some(power) if is_known => {
            let double = if number <= MOST_EXACT {
                number as f64 / power
            } else {
                quotient(number.unsigned_abs(), after)?
            };
            if is_negative { -double } else { double }
        }
        _ => long_fraction(text.get(..end)?)?,
    };
    Some((Number::Double(double), end))
}

/// Rounds to the nearest double, as serde_json does.
#[inline(never)]
fn long_fraction(text: &[u8]) -> Option<f64> {
    let double: f64 = str::from_utf8(text).ok()?.parse().ok()?;
    double.is_finite().then_some(double)
}

/// The double nearest to an integer of more than 53 bits divided by a power of ten. The quotient of
/// integers has some bits more than a double; that there is a remainder shows in its last one.
#[inline(never)]
#[expect(clippy::cast_precision_loss, reason = "rounds to the nearest double")]
fn quotient(number: u64, power: usize) -> Option<f64> {
    let divisor = 10_u64.checked_pow(u32::try_from(power).ok()?)?;
    // So the quotient is less than 2^63, and no less than 2^61.
    let shift = 62 + number.leading_zeros() - divisor.leading_zeros();
    let (number, divisor) = (u128::from(number) << shift, u128::from(divisor));
    let whole = number / divisor;
    let has_remainder = whole * divisor != number;
    let quotient = i64::try_from(whole | u128::from(has_remainder)).ok()?;
    let scale = f64::from_bits(u64::from(1023 - shift) << 52);
    Some(quotient as f64 * scale)
}

/// The digits from `at` on, behind those of `number`: where they end, and the number, which means
/// something only while there are not too many.
#[inline(always)]
fn digits(text: &[u8], at: usize, mut number: i64) -> (usize, i64) {
    let mut end = at;
    let mut rest = text.get(at..).unwrap_or_default();
    while let Some((word, behind)) = rest.split_first_chunk() {
        let (digits, bits) = leading_digits(u64::from_le_bytes(*word));
        // Leading zeros take the place of what follows.
        let more = joined(digits.checked_shl(u64::BITS - bits).unwrap_or_default());
        let count = bits as usize / 8;
        let power = TENS.get(count).copied().unwrap_or_default();
        number = number.wrapping_mul(power).wrapping_add(more);
        end += count;
        if count < WORD {
            return (end, number);
        }
        rest = behind;
    }
    for byte in rest {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number.wrapping_mul(10).wrapping_add(i64::from(digit));
        end += 1;
    }
    (end, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that come in no order.
    fn numbers(count: usize) -> impl Iterator<Item = u64> {
        let mut state = 7_u64;
        std::iter::repeat_with(move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state ^ state >> 29
        })
        .take(count)
    }

    /// The standard library rounds to the nearest double.
    fn is_nearest(text: &str) {
        let nearest: f64 = text.parse().unwrap();
        for behind in ["", ",", "}", "]12345678", " 1234567"] {
            let text = format!("{text}{behind}");
            let Some((Number::Double(double), length)) = usual_number(text.as_bytes()) else {
                panic!("{text} is a fraction");
            };
            assert_eq!(double.to_bits(), nearest.to_bits(), "{text}");
            assert_eq!(length, text.len() - behind.len(), "{text}");
        }
    }

    #[test]
    fn fractions_of_any_number_of_digits_are_the_nearest_doubles() {
        for (round, number) in numbers(60_000).enumerate() {
            let mut digits = number.to_string();
            digits.truncate(2 + round % 19);
            let point = 1 + round / 19 % (digits.len() - 1);
            digits.insert(point, '.');
            is_nearest(&digits);
            is_nearest(&format!("-{digits}"));
            is_nearest(&format!("0.{:0>1$}", number % 10_000, 4 + round % 15));
        }
    }

    /// An odd integer of 54 bits lies in the middle between two doubles, and so do its half, its
    /// quarter and its eighth.
    #[test]
    fn the_middle_between_two_doubles_is_rounded_as_it_should_be() {
        for number in numbers(5_000) {
            let middle = 1 << 53 | number >> 11 | 1;
            for places in 0..=3 {
                let whole = middle >> places;
                let fraction = ((middle % (1 << places)) * 1000) >> places;
                is_nearest(&format!("{whole}.{fraction:03}"));
                let shorter = fraction / 10_u64.pow(3 - places.max(1));
                let width = places.max(1) as usize;
                is_nearest(&format!("{whole}.{shorter:0width$}"));
                // Beside it.
                is_nearest(&format!("{whole}.{:03}", fraction + 1));
                is_nearest(&format!("{}.{:03}", whole - 1, 999));
            }
        }
    }
}
