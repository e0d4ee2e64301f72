//! Terms on their way through the sorter.
//!
//! ```text
//! key     = term                                    of up to 990 bytes
//!         | first 990 bytes | SHA-256 of the term   of a longer one: always 1022 bytes
//! payload = term_frequency u16 | field_length u16
//!         | of a long term: rank u32 | length u16, saturating | bytes 990 to 1021 as far as there
//! ```
//!
//! The digest keeps equal long terms together, each with its documents in order, without reading
//! any of them again. Only where long terms that begin alike differ, their order is not that of
//! their digests; the builder finds it.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::terms::{LONGEST_SHORT_TERM, Term};
use crate::index::key::{KeyBuffer, KeyType, MAX_STORED_KEY};
use crate::index::sort::SortedEntry;
use crate::v2::DocumentAddress;
use crate::v2::btree::{StoredKey, StoredKeyRef};
use crate::v2::postings::Posting;
use sha2::{Digest, Sha256};

const DIGEST_BYTES: usize = 32;
const LONG_KEY_BYTES: usize = LONGEST_SHORT_TERM + DIGEST_BYTES;
/// Bytes of a term that the tree stores.
pub(super) const STORED_TERM_BYTES: usize = MAX_STORED_KEY - 2;

/// Bytes of a long term that the tree stores behind its start.
pub(super) const LONGEST_REST: usize = STORED_TERM_BYTES - LONGEST_SHORT_TERM;

const SHORT_PAYLOAD_BYTES: usize = 2 + 2;
const LONG_PAYLOAD_BYTES: usize = SHORT_PAYLOAD_BYTES + 4 + 2;

// What is behind the prefix of a long term fits where its digest stands in the sort key.
const _: () = assert!(STORED_TERM_BYTES == 1022 && LONG_KEY_BYTES == STORED_TERM_BYTES);

/// Makes the sort keys of terms, in buffers that are used again and again.
#[derive(Clone, Debug, Default)]
pub struct TermKey {
    key: KeyBuffer,
    long: Vec<u8>,
    payload: Vec<u8>,
}

impl TermKey {
    /// The key to push for a term of a document with so many kept tokens.
    pub fn set(&mut self, term: Term<'_>, field_length: u16) -> &KeyBuffer {
        self.payload.clear();
        self.payload
            .extend_from_slice(&term.frequency.to_le_bytes());
        self.payload.extend_from_slice(&field_length.to_le_bytes());
        if !term.is_long() {
            self.key.set_term(term.bytes, &self.payload);
            return &self.key;
        }
        let (start, rest) = term.bytes.split_at(LONGEST_SHORT_TERM);
        self.long.clear();
        self.long.extend_from_slice(start);
        self.long.extend_from_slice(&Sha256::digest(term.bytes));
        self.payload.extend_from_slice(&term.rank.to_le_bytes());
        self.payload
            .extend_from_slice(&stored_length(term.bytes).to_le_bytes());
        let rest = rest.get(..DIGEST_BYTES).unwrap_or(rest);
        self.payload.extend_from_slice(rest);
        self.key.set_term(&self.long, &self.payload);
        &self.key
    }
}

/// The length that the stored form begins with.
fn stored_length(term: &[u8]) -> u16 {
    u16::try_from(term.len()).unwrap_or(u16::MAX)
}

/// The stored form of a term, over `key`.
pub(crate) fn stored_term(term: &[u8], key: &mut StoredKey) {
    key.key_type = KeyType::String as u8;
    key.bytes.clear();
    key.bytes
        .extend_from_slice(&stored_length(term).to_le_bytes());
    key.bytes
        .extend_from_slice(term.get(..STORED_TERM_BYTES).unwrap_or(term));
    key.truncated = term.len() > STORED_TERM_BYTES;
}

/// A sorted entry, read back.
#[derive(Clone, Copy, Debug)]
pub(super) struct TermRecord<'e> {
    pub(super) posting: Posting,
    stored: StoredKeyRef<'e>,
    pub(super) long: Option<LongTerm<'e>>,
}

/// What the record of a long term has beside its key.
#[derive(Clone, Copy, Debug)]
pub(super) struct LongTerm<'e> {
    pub(super) start: &'e [u8],
    pub(super) rank: u32,
    length: u16,
    rest: &'e [u8],
}

impl<'e> TermRecord<'e> {
    /// `None` if the entry was not made by [`TermKey`].
    pub(super) fn parse(entry: &SortedEntry<'e>) -> Option<Self> {
        let (counts, rest) = entry.payload.split_first_chunk::<SHORT_PAYLOAD_BYTES>()?;
        let [f0, f1, l0, l1] = *counts;
        let posting = Posting {
            address: entry.address,
            term_frequency: u16::from_le_bytes([f0, f1]),
            field_length: u16::from_le_bytes([l0, l1]),
        };
        let key = entry.stored.bytes.get(2..)?;
        let long = if key.len() == LONG_KEY_BYTES {
            const FIELDS: usize = LONG_PAYLOAD_BYTES - SHORT_PAYLOAD_BYTES;
            let (fields, rest) = rest.split_first_chunk::<FIELDS>()?;
            let [r0, r1, r2, r3, l0, l1] = *fields;
            Some(LongTerm {
                start: key.get(..LONGEST_SHORT_TERM)?,
                rank: u32::from_le_bytes([r0, r1, r2, r3]),
                length: u16::from_le_bytes([l0, l1]),
                rest,
            })
        } else {
            None
        };
        Some(Self {
            posting,
            stored: entry.stored,
            long,
        })
    }

    /// The stored form of the term, over `key`.
    pub(super) fn stored(&self, key: &mut StoredKey) {
        key.key_type = self.stored.key_type;
        key.bytes.clear();
        let Some(long) = &self.long else {
            key.bytes.extend_from_slice(self.stored.bytes);
            key.truncated = false;
            return;
        };
        key.bytes.extend_from_slice(&long.length.to_le_bytes());
        key.bytes.extend_from_slice(long.start);
        key.bytes.extend_from_slice(long.rest);
        key.truncated = usize::from(long.length) > STORED_TERM_BYTES;
    }
}

/// A place where a long term can be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LongTermPlace {
    pub(super) address: DocumentAddress,
    pub(super) rank: u32,
}
