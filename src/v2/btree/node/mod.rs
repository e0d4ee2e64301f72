//! B+tree nodes: one index page each.
//!
//! ```text
//! page (4096)     = page header (16) | gap (16, zero: LauraDB leaves it out) | node header (30)
//!                 | directory | free | keys and values, growing down from the page's end
//! node header     = node_type u8          0 internal, 1 leaf
//!                 | level u8              0 = leaf, parents one more (LauraDB writes 0 throughout)
//!                 | key_count u16
//!                 | child_count u16       internal: key_count + 1; leaf: 0
//!                 | index_id u32
//!                 | collection_id u32
//!                 | parent_page u32       0; LauraDB puts free_space_offset here; never read
//!                 | next_page u32         leaf to the right, 0 = last; 0 in internal nodes
//!                 | prev_page u32         leaf to the left, 0 = first; 0 in internal nodes
//!                 | free_space_offset u16 end of the directory (LauraDB: 0); never read
//!                 | reserved u16          0
//! leaf directory  = key_count x (key_offset u16 | key_length u16 | key_type u8
//!                              | value_offset u16 | value_length u16 | flags u8)
//! flags           = 1 deleted, 2 versioned, 4 key cut to its first 1024 bytes
//! inner directory = (key_count + 1) x child page u32
//!                 | key_count x (key_offset u16 | key_length u16 | key_type u8)
//! ```
//!
//! An entry's key stands directly before its value; the first entry's value ends at the page's end,
//! each further one's where the key before it begins. The i-th key of an internal node is the
//! smallest key below child i + 1. Offsets that a node stores count from byte 16 of the page; the
//! constants and errors here count from byte 0.

mod builder;
mod fresh;
mod reader;
mod size;
#[cfg(test)]
mod tests;

pub(in crate::v2) use builder::{InternalBuilder, LeafBuilder, set_links};
pub(in crate::v2) use fresh::check_fresh;
pub(in crate::v2) use reader::NodeHeader;
pub use reader::{LeafEntry, Node};
pub use size::expected_pages;
pub(in crate::v2) use size::{inner_bytes, leaf_bytes};

use crate::v2::address::ADDRESS_BYTES;
use crate::v2::page::{PAGE_HEADER_SIZE, PAGE_SIZE};

/// The index that a node belongs to, as its header names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TreeIds {
    /// The index's number in its collection, from 1.
    pub index_id: u32,
    /// The collection's number, from 1.
    pub collection_id: u32,
}

/// Bytes of a leaf entry's value.
pub const VALUE_BYTES: usize = ADDRESS_BYTES;

const GAP: usize = PAGE_HEADER_SIZE;
const NODE_TYPE: usize = GAP + 16;
const LEVEL: usize = NODE_TYPE + 1;
const KEY_COUNT: usize = LEVEL + 1;
const CHILD_COUNT: usize = KEY_COUNT + 2;
const INDEX_ID: usize = CHILD_COUNT + 2;
const COLLECTION_ID: usize = INDEX_ID + 4;
const PARENT_PAGE: usize = COLLECTION_ID + 4;
const NEXT_PAGE: usize = PARENT_PAGE + 4;
const PREV_PAGE: usize = NEXT_PAGE + 4;
const FREE_SPACE_OFFSET: usize = PREV_PAGE + 4;
const RESERVED: usize = FREE_SPACE_OFFSET + 2;
const DIRECTORY: usize = RESERVED + 2;

const _: () = assert!(NODE_TYPE == 32 && DIRECTORY - NODE_TYPE == 30);
const _: () = assert!(DIRECTORY - PAGE_HEADER_SIZE == 46);

const INTERNAL: u8 = 0;
const LEAF: u8 = 1;

/// Offsets inside a leaf's directory entry.
mod leaf_entry {
    pub(super) const KEY_OFFSET: usize = 0;
    pub(super) const KEY_LENGTH: usize = KEY_OFFSET + 2;
    pub(super) const KEY_TYPE: usize = KEY_LENGTH + 2;
    pub(super) const VALUE_OFFSET: usize = KEY_TYPE + 1;
    pub(super) const VALUE_LENGTH: usize = VALUE_OFFSET + 2;
    pub(super) const FLAGS: usize = VALUE_LENGTH + 2;
    pub(super) const SIZE: usize = FLAGS + 1;
    const _: () = assert!(SIZE == 10);
}

/// A leaf's directory entry. Offsets count from the end of the page header.
#[derive(Clone, Copy)]
struct LeafSlot {
    key_offset: u16,
    key_length: u16,
    key_type: u8,
    value_offset: u16,
    value_length: u16,
    flags: u8,
}

impl LeafSlot {
    #[inline]
    fn encode(self) -> [u8; leaf_entry::SIZE] {
        let [k0, k1] = self.key_offset.to_le_bytes();
        let [l0, l1] = self.key_length.to_le_bytes();
        let [v0, v1] = self.value_offset.to_le_bytes();
        let [w0, w1] = self.value_length.to_le_bytes();
        [k0, k1, l0, l1, self.key_type, v0, v1, w0, w1, self.flags]
    }

    #[inline]
    fn decode(bytes: &[u8; leaf_entry::SIZE]) -> Self {
        let [k0, k1, l0, l1, key_type, v0, v1, w0, w1, flags] = *bytes;
        Self {
            key_offset: u16::from_le_bytes([k0, k1]),
            key_length: u16::from_le_bytes([l0, l1]),
            key_type,
            value_offset: u16::from_le_bytes([v0, v1]),
            value_length: u16::from_le_bytes([w0, w1]),
            flags,
        }
    }
}

/// Offsets inside a key entry of an internal node.
mod inner_entry {
    pub(super) const KEY_OFFSET: usize = 0;
    pub(super) const KEY_LENGTH: usize = KEY_OFFSET + 2;
    pub(super) const KEY_TYPE: usize = KEY_LENGTH + 2;
    pub(super) const SIZE: usize = KEY_TYPE + 1;
    const _: () = assert!(SIZE == 5);
}

const CHILD_BYTES: usize = 4;

/// The entry was deleted (set by LauraDB; a migration writes none).
pub const FLAG_DELETED: u8 = 1;
/// The entry has versions (set by LauraDB; a migration writes none).
pub const FLAG_VERSIONED: u8 = 2;
/// The key is cut to its first 1024 bytes.
pub const FLAG_TRUNCATED: u8 = 4;

/// Bytes of a node that entries share.
pub(in crate::v2) const CAPACITY: usize = PAGE_SIZE - DIRECTORY;
/// A node is closed when the next entry would take it over 90 % …
pub(in crate::v2) const FILL_TARGET: usize = CAPACITY * 9 / 10;
/// … unless that would leave it under three quarters full and the entry fits.
const FILL_FLOOR: usize = CAPACITY * 3 / 4;

/// Whether a bulk load puts `more` bytes into a node that holds `used`.
///
/// Depends on the entries alone, never on memory or timing: the same entries give the same pages.
const fn takes(used: usize, more: usize) -> bool {
    used.saturating_add(more) <= FILL_TARGET
        || (used < FILL_FLOOR && used.saturating_add(more) <= CAPACITY)
}
