//! Where an object or array ends, without looking at anything but quotes, backslashes and brackets.
//!
//! This is the loop that every byte of every document passes, so it works on blocks of 64 bytes:
//! one bit per byte says "quote", or "bracket or backslash"; a running XOR over the quote bits tells
//! what lies inside strings; brackets outside strings are counted. A block with backslashes takes a
//! few steps more. What a block cannot decide quickly (a backslash outside a string beside others,
//! which no valid document has) and the bytes after the last whole block go through the same
//! automaton byte by byte, so the result does not depend on how the bytes are cut into blocks.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions within a block of bytes that is in memory; the depth is at most their count"
)]

use wide::u8x16;

/// The automaton: how deep, and whether inside a string and after a backslash there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Nesting {
    depth: i64,
    in_string: bool,
    escaped: bool,
}

const BLOCK: usize = 64;

/// Bytes of the element of `documents` that `bytes` begin with; the structure scan has found it to
/// end in them.
pub(super) fn element_length(bytes: &[u8]) -> usize {
    let ends = |byte: &u8| matches!(byte, b',' | b' ' | b'\t' | b'\n' | b'\r' | b']' | b'}');
    let length = match bytes.first() {
        Some(b'{' | b'[') => Nesting::default().feed(bytes),
        Some(b'"') => string_length(bytes),
        _ => bytes.iter().position(ends),
    };
    length.unwrap_or(bytes.len())
}

fn string_length(bytes: &[u8]) -> Option<usize> {
    let mut escaped = false;
    let rest = bytes.get(1..)?;
    let end = rest.iter().position(|byte| {
        let is_end = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        is_end
    });
    end.map(|end| end + 2)
}

impl Nesting {
    /// Takes the next bytes of an element that begins with a bracket. Returns how many of them
    /// belong to it once its last bracket is among them.
    #[inline(always)]
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        // What every block reads and writes is kept in registers.
        let (mut depth, mut inside) = (self.depth, ones(self.in_string));
        for (number, block) in blocks.iter().enumerate() {
            let (quotes, marks) = masks(block);
            let strings = running_xor(quotes) ^ inside;
            // A backslash outside strings escapes nothing, so only within them one matters.
            let end = if self.escaped || marks & strings != 0 {
                (self.depth, self.in_string) = (depth, inside != 0);
                let end = self.feed_escaped(block, quotes, marks);
                (depth, inside) = (self.depth, ones(self.in_string));
                end
            } else {
                inside = ones(strings >> (BLOCK - 1) != 0);
                count(block, marks, &mut depth)
            };
            if let Some(end) = end {
                return Some(number * BLOCK + end);
            }
        }
        (self.depth, self.in_string) = (depth, inside != 0);
        let end = self.feed_bytes(rest)?;
        Some(blocks.len() * BLOCK + end)
    }

    /// Takes a block in whose strings there may be backslashes.
    #[inline(never)]
    fn feed_escaped(&mut self, block: &[u8; BLOCK], quotes: u64, marks: u64) -> Option<usize> {
        let backslashes = mask(block, |bytes| bytes.simd_eq(u8x16::splat(b'\\')));
        let (escapes, escaped) = escapes(backslashes, self.escaped);
        let strings = running_xor(quotes & !escaped) ^ ones(self.in_string);
        if escapes & !strings != 0 {
            return self.feed_bytes(block);
        }
        self.in_string = strings >> (BLOCK - 1) != 0;
        self.escaped = escapes >> (BLOCK - 1) != 0;
        count(block, marks & !strings, &mut self.depth)
    }

    fn feed_bytes(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            if self.in_string {
                if self.escaped {
                    self.escaped = false;
                } else if *byte == b'\\' {
                    self.escaped = true;
                } else if *byte == b'"' {
                    self.in_string = false;
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth <= 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// Which bytes of a block are quotes, and which are brackets, backslashes and bars.
#[inline(always)]
fn masks(block: &[u8; BLOCK]) -> (u64, u64) {
    let quotes = mask(block, |bytes| bytes.simd_eq(u8x16::splat(b'"')));
    let marks = mask(block, |bytes| {
        let above = (bytes | u8x16::splat(FOLD)) - u8x16::splat(FIRST_MARK);
        above.min(u8x16::splat(MARKS - 1)).simd_eq(above)
    });
    (quotes, marks)
}

/// Counts the brackets among marked bytes; gives where the element ends, if it does.
#[inline(always)]
fn count(block: &[u8; BLOCK], mut marks: u64, depth: &mut i64) -> Option<usize> {
    while marks != 0 {
        let at = marks.trailing_zeros() as usize;
        let byte = block.get(at).copied().unwrap_or_default();
        if byte & OPENS != 0 {
            *depth += 1;
        } else if byte & BRACKET != 0 {
            *depth -= 1;
            if *depth <= 0 {
                return Some(at + 1);
            }
        }
        marks &= marks - 1;
    }
    None
}

/// Which backslashes escape the byte after them, and which bytes are escaped; `carried` says that
/// the first byte is.
///
/// In a run of backslashes every second one is escaped itself. The subtraction lets the carry run
/// through each run (the trick is simdjson's).
fn escapes(backslash: u64, carried: bool) -> (u64, u64) {
    const ODD: u64 = 0xAAAA_AAAA_AAAA_AAAA;
    let carried = u64::from(carried);
    let starts = backslash & !carried;
    let codes = ((starts << 1) | ODD).wrapping_sub(starts) ^ ODD;
    (codes & backslash, codes ^ (backslash | carried))
}

#[inline(always)]
fn ones(flag: bool) -> u64 {
    if flag { u64::MAX } else { 0 }
}

/// Bit n of the result is the XOR of the bits 0 to n.
fn running_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// One bit per byte of a block, the first byte lowest: set where `is` gives a byte of ones.
#[inline(always)]
fn mask(block: &[u8; BLOCK], is: impl Fn(u8x16) -> u8x16) -> u64 {
    let (lanes, _) = block.as_chunks();
    lanes.iter().rev().fold(0, |mask, lanes| {
        mask << 16 | u64::from(is(u8x16::new(*lanes)).to_bitmask())
    })
}

/// `[` and `{`, `]` and `}` differ in this bit only.
const FOLD: u8 = 0x20;

/// With that bit, brackets and backslashes are the first three bytes from this one on. `|` is the
/// only other byte among them.
const FIRST_MARK: u8 = b'{';
const MARKS: u8 = 3;

/// Among these, set in brackets only, and in opening ones only.
const BRACKET: u8 = 0x01;
const OPENS: u8 = 0x02;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytewise(bytes: &[u8]) -> (Option<usize>, Nesting) {
        let mut nesting = Nesting::default();
        (nesting.feed_bytes(bytes), nesting)
    }

    #[test]
    fn brackets_in_strings_do_not_count() {
        let text = br#"{"a":"}\"}","b\\":[{}],"c":"\\\\"} , {"#;
        let padded = [&text[..], &[b' '; 128]].concat();
        assert_eq!(Nesting::default().feed(&padded), Some(34));
        assert_eq!(bytewise(text).0, Some(34));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        /// Bytes that are mostly the interesting ones, in any order, valid or not.
        #[test]
        fn blocks_and_bytes_agree(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'"'), Just(b'\\'), Just(b'{'), Just(b'['), Just(b']'),
                    Just(b'}'), Just(b'|'), Just(b'a'), any::<u8>()],
                0..400,
            ),
            cut in 0_usize..400,
            brackets in 0_usize..40,
        ) {
            let bytes = [vec![b'['; brackets], bytes].concat();
            let (expected, state) = bytewise(&bytes);
            let mut nesting = Nesting::default();
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let found = nesting
                .feed(first)
                .or_else(|| nesting.feed(second).map(|end| first.len() + end));
            prop_assert_eq!(found, expected);
            if expected.is_none() {
                prop_assert_eq!(nesting, state);
            }
        }
    }

    #[test]
    fn masks_have_the_bit_of_each_byte() {
        for at in 0..BLOCK {
            let mut block = [b'x'; BLOCK];
            block[at] = b'y';
            let equal = |to| mask(&block, |bytes| bytes.simd_eq(u8x16::splat(to)));
            assert_eq!((equal(b'y'), equal(b'x')), (1 << at, !(1 << at)));
        }
    }

    #[test]
    fn marks_are_brackets_backslashes_and_bars_only() {
        let found: Vec<u8> = (0..=u8::MAX)
            .filter(|byte| (byte | FOLD).wrapping_sub(FIRST_MARK) < MARKS)
            .collect();
        assert_eq!(found, b"[\\]{|}");
        let bits = |bytes: &[u8], bits| bytes.iter().map(|byte| byte & bits).collect::<Vec<_>>();
        assert_eq!(bits(b"[{", OPENS), [OPENS; 2]);
        assert_eq!(bits(b"]}\\|", OPENS), [0; 4]);
        assert_eq!(bits(b"]}", BRACKET), [BRACKET; 2]);
        assert_eq!(bits(b"\\|", BRACKET), [0; 2]);
    }

    /// A quote, backslash, bar or bracket at each place of the first blocks, in a string and not.
    #[test]
    fn each_place_of_a_block_is_alike() {
        for text in ["\"", "\\\"", "\\\\", "|", "}", "{", "[]", "\\"] {
            for before in 0..2 * BLOCK + 2 {
                for quote in ["", "\""] {
                    let fill = " ".repeat(before);
                    let element = format!("{{{quote}{fill}{text}{quote}}}");
                    for behind in [0, 1, BLOCK, 3 * BLOCK] {
                        let bytes = format!("{element}{}", "]".repeat(behind));
                        let found = Nesting::default().feed(bytes.as_bytes());
                        assert_eq!(found, bytewise(bytes.as_bytes()).0, "{bytes}");
                    }
                }
            }
        }
    }
}
