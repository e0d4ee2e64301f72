//! Sums over the documents of a collection, which two equal collections have alike.

use crate::coordinator::Sample;
use crate::document::ID_FIELD;
use crate::document::bson::RawDocument;
use crate::hash::{xxh3_128, xxh3_128_with_seed};
use crate::index::EntrySum;
use crate::index::key::{KeyBuffer, KeyValue};

/// Hashes what two documents must have alike: all of their bytes or, outside the sample, the `_id`
/// with its type.
#[derive(Clone, Debug, Default)]
pub(super) struct DocumentHash {
    sample: Sample,
    key: KeyBuffer,
    stored: Vec<u8>,
}

impl DocumentHash {
    pub(super) fn new(sample: Sample) -> Self {
        Self {
            sample,
            ..Self::default()
        }
    }

    pub(super) fn of(&mut self, document: RawDocument<'_>) -> u128 {
        if !self.sample.is_partial() || self.sample.chooses(document) {
            return xxh3_128(document.as_bytes());
        }
        let id = document.get(ID_FIELD).and_then(KeyValue::from_raw);
        let Some(id) = id else {
            return xxh3_128(document.as_bytes());
        };
        self.key.set_whole(std::iter::once(id));
        // The type keeps 1 and 1.0 apart, whose normal forms are alike.
        let seed = 1 + u64::from(id.key_type() as u8);
        let hash = xxh3_128_with_seed(self.key.normal(), seed);
        match self.key.stored(&mut self.stored) {
            Ok(stored) => hash.wrapping_add(xxh3_128_with_seed(stored.bytes, seed)),
            Err(_) => hash,
        }
    }
}

/// What the documents of a collection come to.
#[derive(Clone, Debug, Default)]
pub(super) struct ContentSums {
    /// Over [`DocumentHash`].
    pub(super) contents: EntrySum,
    /// Sum of the BSON sizes.
    pub(super) bytes: u64,
    /// Every document could be read.
    pub(super) is_complete: bool,
}

impl ContentSums {
    pub(super) const fn nothing() -> Self {
        Self {
            contents: EntrySum {
                count: 0,
                hashes: 0,
            },
            bytes: 0,
            is_complete: false,
        }
    }

    pub(super) fn add(&mut self, hash: u128, bytes: usize) {
        self.contents.add(hash);
        self.bytes += bytes as u64;
    }
}
