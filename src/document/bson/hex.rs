//! Hex digits, eight at a time.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "each byte of a word stays in its place, as the tests show for all of them"
)]

/// The bytes that eight hex digits stand for, and whether they are digits; all at once, each in its
/// byte of a word.
#[inline]
pub(super) fn hex_bytes(digits: [u8; 8]) -> ([u8; 4], bool) {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const TOP: u64 = 0x80 * EACH;
    const EVEN: u64 = 0x00FF_00FF_00FF_00FF;
    let word = u64::from_le_bytes(digits);
    // With the top bits clear, no sum below reaches the next byte.
    let ascii = word & !TOP;
    let letters = ascii | (0x20 * EACH);
    // The top bit tells that a byte is this one or a greater one.
    let from = |word: u64, byte: u8| word + EACH * u64::from(0x80 - byte);
    let is_number = from(ascii, b'0') & !from(ascii, b'9' + 1);
    let is_letter = from(letters, b'a') & !from(letters, b'f' + 1);
    let are_digits = (is_number | is_letter) & !word & TOP == TOP;
    // A letter has bit 6; 'a' ends in 1 and stands for 10.
    let values = (ascii & (0x0F * EACH)) + 9 * ((ascii >> 6) & EACH);
    let pairs = ((values & EVEN) << 4) | ((values >> 8) & EVEN);
    let [first, _, second, _, third, _, fourth, _] = pairs.to_le_bytes();
    ([first, second, third, fourth], are_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_in_every_place_is_read_as_a_digit_or_is_none() {
        for place in 0..8 {
            for byte in 0..=u8::MAX {
                for other in [b'0', b'9', b'a', b'F'] {
                    let mut digits = [other; 8];
                    digits[place] = byte;
                    let value = |digit: u8| char::from(digit).to_digit(16);
                    let expected: Option<Vec<u8>> = digits
                        .as_chunks::<2>()
                        .0
                        .iter()
                        .map(|[high, low]| u8::try_from((value(*high)? << 4) | value(*low)?).ok())
                        .collect();
                    let (bytes, are_digits) = hex_bytes(digits);
                    assert_eq!(are_digits.then(|| bytes.to_vec()), expected, "{digits:?}");
                }
            }
        }
    }
}
