//! How far the collections phase has got, in a form that a checkpoint can hold.

use crate::v2::data_file::CollectionPages;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::ops::AddAssign;

/// Sum modulo 2^128 of XXH3-128 hashes: the digest of a multiset, whatever its order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digest(pub(super) u128);

impl AddAssign<u128> for Digest {
    fn add_assign(&mut self, hash: u128) {
        self.0 = self.0.wrapping_add(hash);
    }
}

impl AddAssign for Digest {
    fn add_assign(&mut self, other: Self) {
        *self += other.0;
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

/// Where the next document of a collection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SourcePosition {
    /// The snapshot: this chunk, past so many of its documents.
    Snapshot { chunk: usize, documents: u32 },
    /// The write-ahead log: past so many of the documents that only it has.
    WalOnly { documents: u64 },
}

impl SourcePosition {
    pub(super) const START: Self = Self::Snapshot {
        chunk: 0,
        documents: 0,
    };
}

/// A collection's documents, as far as they have been written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) documents: u64,
    /// Sum of BSON sizes.
    pub(super) bytes: u64,
    /// Of all documents' BSON.
    pub(super) digest: Digest,
    /// Of those that `--sample` chooses.
    pub(super) sample_digest: Digest,
    pub(super) generated_ids: u64,
    pub(super) emptied_array_documents: u64,
    pub(super) unknown_keys: u64,
    /// Documents of the snapshot that the write-ahead log replaced or deleted.
    pub(super) matched: u64,
    /// Documents that only the write-ahead log has.
    pub(super) wal_only: u64,
}

/// A collection whose documents are all in closed pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WrittenCollection {
    pub(super) pages: CollectionPages,
    pub(super) tally: Tally,
}
