//! Where an object or array ends, without looking at anything but quotes, backslashes and brackets.
//!
//! This is the loop that every byte of every document passes, so it works on blocks of 64 bytes:
//! one bit per byte says "quote", "backslash", "opens", "closes"; a running XOR over the quote bits
//! tells what lies inside strings; brackets outside strings are counted. What a block cannot decide
//! quickly (a backslash outside a string, which no valid document has) and the bytes after the last
//! whole block go through the same automaton byte by byte, so the result does not depend on how
//! the bytes are cut into blocks.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions within a block of bytes that is in memory; the depth is at most their count"
)]

use wide::u8x16;

/// The automaton: how deep, and whether inside a string and after a backslash there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Nesting {
    depth: u64,
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
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        for (number, block) in blocks.iter().enumerate() {
            if let Some(end) = self.feed_block(block) {
                return Some(number * BLOCK + end);
            }
        }
        let end = self.feed_bytes(rest)?;
        Some(blocks.len() * BLOCK + end)
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
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }

    #[inline]
    fn feed_block(&mut self, block: &[u8; BLOCK]) -> Option<usize> {
        let backslashes = mask(block, |bytes| bytes.simd_eq(u8x16::splat(b'\\')));
        let (escapes, escaped) = match backslashes {
            0 => (0, u64::from(self.escaped)),
            _ => escapes(backslashes, self.escaped),
        };
        let outside_before = if self.in_string { u64::MAX } else { 0 };
        let quotes = mask(block, |bytes| bytes.simd_eq(u8x16::splat(b'"')));
        let strings = running_xor(quotes & !escaped) ^ outside_before;
        if escapes & !strings != 0 {
            return self.feed_bytes(block);
        }
        let brackets = mask(block, |bytes| {
            let folded = bytes | u8x16::splat(FOLD);
            folded.simd_eq(u8x16::splat(b'{')) | folded.simd_eq(u8x16::splat(b'}'))
        });
        let mut brackets = brackets & !strings;
        while brackets != 0 {
            let at = brackets.trailing_zeros() as usize;
            if block.get(at).is_some_and(|byte| byte & OPENS != 0) {
                self.depth += 1;
            } else {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    return Some(at + 1);
                }
            }
            brackets &= brackets - 1;
        }
        self.in_string = strings >> (BLOCK - 1) != 0;
        self.escaped = escapes >> (BLOCK - 1) != 0;
        None
    }
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

/// `[` and `{`, `]` and `}` differ in this bit only, and no other byte becomes one of them by it.
const FOLD: u8 = 0x20;

/// Set in both opening brackets, clear in both closing ones.
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
                    Just(b'}'), Just(b'a'), any::<u8>()],
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
    fn folding_finds_the_four_brackets_only() {
        let found: Vec<u8> = (0..=u8::MAX)
            .filter(|byte| byte | FOLD == b'{' || byte | FOLD == b'}')
            .collect();
        assert_eq!(found, b"[]{}");
        assert!(b"[{".iter().all(|byte| byte & OPENS != 0));
        assert!(b"]}".iter().all(|byte| byte & OPENS == 0));
    }
}
