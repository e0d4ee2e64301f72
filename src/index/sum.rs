//! Comparing two multisets without an order.

use crate::v2::DocumentAddress;
use crate::v2::btree::StoredKeyRef;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// A sum of hashes, taken of an index's entries on one side and of its documents on the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntrySum {
    /// Members.
    pub count: u64,
    /// Their hashes, modulo 2^128.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub hashes: u128,
}

impl EntrySum {
    /// Adds a member by its hash.
    #[inline]
    pub fn add(&mut self, hash: u128) {
        self.count += 1;
        self.hashes = self.hashes.wrapping_add(hash);
    }

    /// Adds the members of another sum.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.hashes = self.hashes.wrapping_add(other.hashes);
    }
}

/// The hash of an entry of a B+tree. The seed has everything but the key's bytes, so that no two
/// entries are hashed alike: page 32 bits, slot 16, key type 8, and whether the key was cut.
#[inline]
#[must_use]
pub fn key_hash(key: StoredKeyRef<'_>, address: DocumentAddress) -> u128 {
    let seed = u64::from(address.page.0)
        | u64::from(address.slot.0) << 32
        | u64::from(key.key_type) << 48
        | u64::from(key.truncated) << 56;
    xxh3_128_with_seed(key.bytes, seed)
}

fn to_hex<S: Serializer>(hashes: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{hashes:032x}"))
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
    let text = String::deserialize(deserializer)?;
    u128::from_str_radix(&text, 16).map_err(serde::de::Error::custom)
}
