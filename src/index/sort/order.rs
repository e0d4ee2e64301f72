//! Putting the records of an arena in order.
//!
//! What is sorted is an array of 16-byte words: 11 bytes of the key from where the keys begin to
//! differ, the number of bytes that the key has there (12 for "more than 11"), and the record's
//! location. Words of keys that differ early never need the record. Two words with the same key
//! part and a number up to 11 belong to equal keys; with 12, the same is done once more, 11 or more
//! bytes further on, for the words that agree.

use super::arena::{Arena, Location};

/// The low bits of a word, which are the record's location.
const LOCATION_BITS: u32 = Location::BITS;
/// Key bytes in a word.
const WORD_KEY_BYTES: usize = 11;
/// Groups up to this size are sorted by comparing records.
const SMALL_GROUP: usize = 12;

/// Bytes of sort index per record.
const INDEX_ENTRY_BYTES: usize = size_of::<u128>();

/// The standard library's stable sort takes a copy of half of what it sorts, and of all of it while
/// that is at most so many bytes.
const WHOLE_COPY_BYTES: usize = 8_000_000;

/// Bytes that the sort index of so many records takes.
pub(super) fn index_bytes(entries: usize) -> usize {
    entries * INDEX_ENTRY_BYTES
}

/// Bytes that it takes while it is sorted.
pub(super) fn sorting_bytes(entries: usize) -> usize {
    let index = index_bytes(entries);
    index + index.min(WHOLE_COPY_BYTES).max(index / 2)
}

/// So many records are brought into the cache at a time.
pub(super) const TOUCH_RECORDS: usize = 32;

/// The record that a word stands for.
#[inline]
pub(super) fn location(word: u128) -> Location {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low 32 bits are wanted"
    )]
    let location = word as u32;
    location
}

/// True if two words next to each other may stand for equal keys; false if they do not.
#[inline]
pub(super) fn same_key(left: u128, right: u128) -> bool {
    left >> LOCATION_BITS == right >> LOCATION_BITS
}

/// True if two words of the same place of their keys, up to which these agree, stand for equal
/// keys; false if they do not, or need not.
#[inline]
pub(super) fn is_same_key(left: u128, right: u128) -> bool {
    same_key(left, right) && key_bytes(left) <= WORD_KEY_BYTES
}

/// Number of bytes that the key has from the word's place on, or any greater one.
#[inline]
fn key_bytes(word: u128) -> usize {
    usize::try_from((word >> LOCATION_BITS) & 0xFF).unwrap_or_default()
}

/// Key bytes `skip..skip + 15` and how many of them there are, as a number that orders like the
/// key does among keys that agree up to `skip`.
#[inline]
pub(super) fn prefix(normal: &[u8], skip: usize) -> u128 {
    packed::<15>(normal, skip)
}

/// True when keys with this [`prefix`] have no further bytes.
#[inline]
pub(super) fn prefix_is_all(prefix: u128) -> bool {
    prefix & 0xFF <= 15
}

/// Key bytes `skip..skip + BYTES`, and behind them how many there are, or one more for any greater
/// number.
#[inline]
fn packed<const BYTES: usize>(normal: &[u8], skip: usize) -> u128 {
    let rest = normal.get(skip..).unwrap_or_default();
    let first = match rest.first_chunk() {
        Some(bytes) => u128::from_be_bytes(*bytes),
        None => short(rest),
    };
    let count = u128::try_from(rest.len().min(BYTES + 1)).unwrap_or_default();
    let behind = 8 * (15 - BYTES);
    ((first >> (behind + 8) << 8) | count) << behind
}

/// Up to 15 bytes from the top of a number on, without a loop over them: pieces of a fixed length
/// from both ends, which may overlap.
#[inline]
fn short(bytes: &[u8]) -> u128 {
    let missing = 8 * (16 - bytes.len().min(16));
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (first, last) = (u64::from_be_bytes(*first), u64::from_be_bytes(*last));
        return u128::from(first) << 64 | u128::from(last) << missing;
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (first, last) = (u32::from_be_bytes(*first), u32::from_be_bytes(*last));
        return u128::from(first) << 96 | u128::from(last) << missing;
    }
    match bytes {
        [] => 0,
        few => {
            few.iter()
                .fold(0, |joined, byte| joined << 8 | u128::from(*byte))
                << missing
        }
    }
}

#[inline]
fn word(normal: &[u8], skip: usize, location: Location) -> u128 {
    packed::<WORD_KEY_BYTES>(normal, skip) | u128::from(location)
}

/// Length of the common beginning.
#[inline]
pub(super) fn common_length(left: &[u8], right: &[u8]) -> usize {
    if left == right.get(..left.len()).unwrap_or_default() {
        return left.len();
    }
    left.iter()
        .zip(right)
        .take_while(|(left, right)| left == right)
        .count()
}

/// Fills `index` with the words of all records, sorted by normal form, then address. True if all
/// words are of the same place of their keys, so that [`is_same_key`] holds for any two of them.
pub(super) fn sort(arena: &Arena, index: &mut Vec<u128>) -> bool {
    index.clear();
    index.reserve_exact(arena.entries());
    let skip = fill(arena, index);
    // Keys often come in long ascending runs, which this one finds, and repeat: it keeps the order
    // of what is equal, which is that of locations.
    index.sort_by_key(|word| word >> LOCATION_BITS);
    settle_groups(arena, index, skip)
}

/// Fills `index` with the words of all records, from where the keys begin to differ; gives how far
/// they agree.
fn fill(arena: &Arena, index: &mut Vec<u128>) -> usize {
    let first = arena.normal(0);
    let mut common = Beginning::new(first);
    for normal in arena.first_normals().take(SOME_RECORDS) {
        common.cut(normal);
    }
    // What the first records agree in, the others mostly do as well; if not, there is a second pass.
    loop {
        let skip = common.bytes.len();
        index.clear();
        arena.for_each(|location, normal| {
            if !common.begins(normal) {
                common.cut(normal);
            }
            index.push(word(normal, skip, location));
        });
        if common.bytes.len() == skip {
            return skip;
        }
    }
}

/// So many records say how far keys may agree.
const SOME_RECORDS: usize = 64;

/// What keys begin with.
struct Beginning<'k> {
    bytes: &'k [u8],
    /// Its first bytes, and the bits that count.
    word: u128,
    mask: u128,
}

impl<'k> Beginning<'k> {
    fn new(bytes: &'k [u8]) -> Self {
        let shown = bytes.len().min(size_of::<u128>());
        let mut word = [0; size_of::<u128>()];
        for (place, byte) in word.iter_mut().zip(bytes) {
            *place = *byte;
        }
        Self {
            bytes,
            word: u128::from_le_bytes(word),
            mask: match shown {
                0 => 0,
                _ => u128::MAX >> (8 * (size_of::<u128>() - shown)),
            },
        }
    }

    #[inline]
    fn begins(&self, normal: &[u8]) -> bool {
        let word = match (normal.first_chunk(), normal.first_chunk()) {
            (Some(word), _) if self.bytes.len() <= size_of::<u128>() => u128::from_le_bytes(*word),
            (None, Some(word)) if self.bytes.len() <= size_of::<u64>() => {
                u64::from_le_bytes(*word).into()
            }
            _ => return normal.starts_with(self.bytes),
        };
        (word ^ self.word) & self.mask == 0
    }

    /// Leaves what `normal` begins with as well.
    fn cut(&mut self, normal: &[u8]) {
        let common = common_length(self.bytes, normal);
        *self = Self::new(self.bytes.get(..common).unwrap_or_default());
    }
}

/// `words` are sorted, and their keys agree up to `skip`; orders those that are still tied.
///
/// Each level of the recursion looks at least 11 bytes further, and a key has at most 1024. False
/// if there was one.
fn settle_groups(arena: &Arena, words: &mut [u128], skip: usize) -> bool {
    let mut is_flat = true;
    for group in words.chunk_by_mut(|left, right| same_key(*left, *right)) {
        let Some(first) = group.first() else { continue };
        let count = key_bytes(*first);
        if group.len() == 1 {
            continue;
        }
        if count <= WORD_KEY_BYTES {
            sort_by_address(arena, group);
        } else if group.len() <= SMALL_GROUP {
            sort_by_record(arena, group, skip + WORD_KEY_BYTES);
        } else {
            settle_large(arena, group, skip + WORD_KEY_BYTES);
            is_flat = false;
        }
    }
    is_flat
}

/// For equal keys; the locations are in order already.
fn sort_by_address(arena: &Arena, group: &mut [u128]) {
    if !arena.is_ascending() {
        group.sort_by_cached_key(|word| arena.record(location(*word)).map(|record| record.address));
    }
}

fn sort_by_record(arena: &Arena, group: &mut [u128], skip: usize) {
    let rest = |word: u128| {
        let normal = arena.normal(location(word));
        normal.get(skip..).unwrap_or_default()
    };
    let address = |word: u128| arena.record(location(word)).map(|record| record.address);
    group.sort_unstable_by(|left, right| {
        rest(*left)
            .cmp(rest(*right))
            .then_with(|| address(*left).cmp(&address(*right)))
    });
}

fn settle_large(arena: &Arena, group: &mut [u128], skip: usize) {
    let rest = |word: u128| {
        let normal = arena.normal(location(word));
        normal.get(skip..).unwrap_or_default()
    };
    let first = group.first().map(|word| rest(*word)).unwrap_or_default();
    let common = group.iter().fold(first.len(), |known, word| {
        let known = first.get(..known).unwrap_or_default();
        common_length(known, rest(*word))
    });
    let skip = skip + common;
    for entry in group.iter_mut() {
        let at = location(*entry);
        *entry = word(arena.normal(at), skip, at);
    }
    group.sort_unstable();
    settle_groups(arena, group, skip);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key bytes, how many there are, and zeros.
    fn expected<const BYTES: usize>(rest: &[u8]) -> u128 {
        let mut bytes = [0; 16];
        for (place, byte) in bytes.iter_mut().zip(rest.iter().take(BYTES)) {
            *place = *byte;
        }
        bytes[BYTES] = u8::try_from(rest.len().min(BYTES + 1)).unwrap();
        u128::from_be_bytes(bytes)
    }

    #[test]
    fn keys_of_all_lengths_are_packed() {
        let key: Vec<u8> = (0..40_u8).map(|at| 0xF0 ^ at.wrapping_mul(7)).collect();
        for end in 0..=key.len() {
            let key = key.get(..end).unwrap();
            for skip in 0..=end + 2 {
                let rest = key.get(skip..).unwrap_or_default();
                assert_eq!(prefix(key, skip), expected::<15>(rest), "{end} {skip}");
                let location = 0xFEDC_BA98;
                assert_eq!(
                    word(key, skip, location),
                    expected::<11>(rest) | u128::from(location)
                );
            }
        }
    }
}
