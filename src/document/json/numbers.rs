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

impl PlainReader<'_, '_, '_> {
    #[inline]
    #[expect(
        clippy::cast_precision_loss,
        reason = "as reading it as a double would"
    )]
    pub(super) fn number(&mut self, depth: usize) -> Result<ElementType, NotPlain> {
        let is_negative = self.bytes().get(self.at) == Some(&b'-');
        let start = self.at + usize::from(is_negative);
        let (end, number) = self.digits(start, 0);
        let digits = end - start;
        let next = self.bytes().get(end);
        if next == Some(&b'.') {
            return self.fraction(depth, end, number, is_negative);
        }
        let begins_with_zero = self.bytes().get(start) == Some(&b'0');
        if matches!(next, Some(b'e' | b'E'))
            || (begins_with_zero && (digits > 1 || is_negative))
            || !(1..=MOST_DIGITS).contains(&digits)
        {
            return self.unusual_number(depth);
        }
        self.at = end;
        let number = if is_negative { -number } else { number };
        if self.state.literal {
            let double = number as f64;
            self.state.out.extend_from_slice(&double.to_le_bytes());
            return Ok(ElementType::Double);
        }
        self.state.out.extend_from_slice(&number.to_le_bytes());
        Ok(ElementType::Int64)
    }

    /// Goes on with a number at the point that stands behind its digits. With few digits it is the
    /// quotient of two doubles that are exact, and a division rounds correctly.
    #[expect(
        clippy::cast_precision_loss,
        reason = "integers of 15 digits are doubles"
    )]
    fn fraction(
        &mut self,
        depth: usize,
        point: usize,
        whole: i64,
        is_negative: bool,
    ) -> Result<ElementType, NotPlain> {
        let start = self.at + usize::from(is_negative);
        let (end, number) = self.digits(point + 1, whole);
        let (before, after) = (point - start, end - point - 1);
        let is_exact = before + after <= MOST_EXACT_DIGITS;
        let leading_zero = before > 1 && self.bytes().get(start) == Some(&b'0');
        let goes_on = matches!(self.bytes().get(end), Some(b'e' | b'E'));
        if before == 0 || after == 0 || leading_zero || goes_on {
            return self.unusual_number(depth);
        }
        let double = match POWERS_OF_TEN.get(after) {
            Some(power) if is_exact => {
                let double = number as f64 / power;
                if is_negative { -double } else { double }
            }
            // Rounds to the nearest double, as serde_json does.
            _ => {
                let text = self.text.get(self.at..end).ok_or(NotPlain)?;
                match text.parse() {
                    Ok(double) if f64::is_finite(double) => double,
                    _ => return self.unusual_number(depth),
                }
            }
        };
        self.at = end;
        self.state.out.extend_from_slice(&double.to_le_bytes());
        Ok(ElementType::Double)
    }

    /// The digits from `at` on, behind those of `number`: where they end, and the number, which
    /// means something only while there are not too many.
    #[inline]
    fn digits(&self, mut at: usize, mut number: i64) -> (usize, i64) {
        while let Some(digit @ b'0'..=b'9') = self.bytes().get(at) {
            number = number
                .wrapping_mul(10)
                .wrapping_add(i64::from(digit - b'0'));
            at += 1;
        }
        (at, number)
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
