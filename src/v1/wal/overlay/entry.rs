//! One touched `_id`, and how entries are found by hash.

use std::hash::{BuildHasher, RandomState};

/// Set in [`Entry::record`] when the last operation is a delete.
const DELETED: u64 = 1 << 63;

/// The last operation on an `_id` of a collection: 16 bytes, whatever the document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// What [`Salt`] makes of the id's hash.
    pub(super) key: u32,
    pub(super) collection: u32,
    /// Offset of the operation's record, and [`DELETED`].
    record: u64,
}

const _: () = assert!(size_of::<Entry>() == 16);

/// Bytes of an [`Entry`].
pub(super) const ENTRY_BYTES: u64 = size_of::<Entry>() as u64;

impl Entry {
    /// `record` is below 2^63, as every file offset.
    pub(super) fn new(key: u32, collection: u32, record: u64, deleted: bool) -> Self {
        let flag = if deleted { DELETED } else { 0 };
        Self {
            key,
            collection,
            record: record | flag,
        }
    }

    pub(super) fn record(self) -> u64 {
        self.record & !DELETED
    }

    pub(super) fn is_deleted(self) -> bool {
        self.record & DELETED != 0
    }
}

/// A secret of the run. Ids can be chosen so that the known hash agrees in the bits that are kept,
/// and every lookup among such ids would read records back; mixing a secret in first prevents it.
/// It never shows in any output, as entries are listed by record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Salt(u64);

impl Salt {
    pub(super) fn new() -> Self {
        Self(RandomState::new().hash_one(0u8))
    }

    pub(super) fn key(self, hash: u64) -> u32 {
        let product = u128::from(hash ^ self.0) * 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;
        #[expect(clippy::cast_possible_truncation, reason = "takes 32 of 128 mixed bits")]
        {
            (product >> 64) as u32
        }
    }
}

/// The hash under which a hash table keeps an entry: tables take the slot from the low bits and a
/// tag from the high ones, and a rebuild knows no more than the key.
pub(super) fn table_hash(key: u32) -> u64 {
    u64::from(key) << 32 | u64::from(key)
}
