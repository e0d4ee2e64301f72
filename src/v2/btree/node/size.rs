//! How many pages a tree will take, for forecasts.

use super::{CHILD_BYTES, VALUE_BYTES, inner_entry, leaf_entry, takes};
use crate::v2::btree::key::MAX_STORED_KEY;

/// Bytes of a leaf's directory, keys and values, given its keys' lengths.
pub(in crate::v2) fn leaf_bytes(keys: impl Iterator<Item = usize>) -> usize {
    keys.map(|key| {
        leaf_entry::SIZE
            .saturating_add(key)
            .saturating_add(VALUE_BYTES)
    })
    .sum()
}

/// Bytes of an internal node's directory and keys, given the keys' lengths.
pub(in crate::v2) fn inner_bytes(keys: impl Iterator<Item = usize>) -> usize {
    let entry = CHILD_BYTES.saturating_add(inner_entry::SIZE);
    CHILD_BYTES.saturating_add(keys.map(|key| entry.saturating_add(key)).sum())
}

/// About how many pages a bulk load makes of so many entries, whose stored keys have `key_bytes` in
/// all.
///
/// Exact where all keys have the same length; where they differ, within a few percent.
#[must_use]
pub fn expected_pages(entries: u64, key_bytes: u64) -> u64 {
    let Some(average) = key_bytes.checked_div(entries) else {
        return 0;
    };
    let rounded = average.saturating_add(u64::from(!key_bytes.is_multiple_of(entries)));
    let key = usize::try_from(rounded).map_or(MAX_STORED_KEY, |key| key.min(MAX_STORED_KEY));
    let mut level = entries.div_ceil(fill(
        0,
        leaf_entry::SIZE
            .saturating_add(key)
            .saturating_add(VALUE_BYTES),
    ));
    // The leftmost child has no key.
    let children = fill(
        CHILD_BYTES,
        CHILD_BYTES
            .saturating_add(inner_entry::SIZE)
            .saturating_add(key),
    )
    .saturating_add(1);
    let mut pages = level;
    while level > 1 {
        level = level.div_ceil(children);
        pages = pages.saturating_add(level);
    }
    pages
}

/// How many entries of this size a node takes beside what is used already; at least 1.
fn fill(used: usize, entry: usize) -> u64 {
    let fits = |count: &usize| takes(used.saturating_add(count.saturating_mul(entry)), entry);
    let count = (0..).take_while(fits).count();
    u64::try_from(count).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_and_longer_keys_take_more_pages() {
        assert_eq!(expected_pages(0, 0), 0);
        assert_eq!(expected_pages(1, 8), 1);
        // 90 % of 4034 bytes hold 121 entries of 30 bytes.
        assert_eq!(expected_pages(121, 121 * 8), 1);
        assert_eq!(expected_pages(122, 122 * 8), 3);
        assert_eq!(expected_pages(4, 4 * 1024), 3);
        let longest = MAX_STORED_KEY as u64;
        assert_eq!(expected_pages(3, 3 * longest), 1);
        assert!(expected_pages(u64::MAX / longest, u64::MAX) > u64::MAX / longest / 4);
    }
}
