//! What the indexes of a sample take, and what that comes to when it grows.
//!
//! Keys and points grow with the documents, postings with the text. The number of terms grows ever
//! more slowly: of those that come new with the next posting there are at most as many as there are
//! terms with one posting so far, among all postings (Good and Turing). So terms grow by that share.

use super::PAGE;
use crate::Result;
use crate::coordinator::extract::Taken;
use crate::coordinator::plan::PlannedCollection;
use crate::hash::xxh3_64;
use crate::index::IndexKind;
use crate::index::key::{KeyBuffer, SortKey};
use crate::index::sort::KeyBatch;
use crate::v2::DocumentAddress;
use crate::v2::btree::node::expected_pages;
use crate::v2::postings::POSTING_BYTES;
use crate::v2::rtree;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// What a posting chunk takes beside its postings: header and slot.
const CHUNK_BYTES: u64 = 8 + 5;
/// Postings that fill a page, in bytes: what its chunk and the end that fits no posting leave.
const POSTING_PAGE_BYTES: u64 = 4000;
/// What a term that waits for its tree takes beside its stored key.
const WAITING_TERM_BYTES: u64 = 1 + 2 + 12;
/// What a node takes in the run of the level above, beside that of its points: a few are made for
/// each hundred points.
const NODES_PERCENT: u64 = 5;

/// What an index keeps of each document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Keys,
    Terms,
    Points,
}

/// What an index of sampled documents takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IndexCosts {
    kind: Kind,
    /// Keys, postings or points.
    entries: u64,
    /// Stored keys; of a text index, of all its terms.
    pub(super) key_bytes: u64,
    /// Records in sort runs.
    run_bytes: u64,
    terms: u64,
    /// Terms of one posting.
    fresh_terms: u64,
}

/// Bytes that an index takes while it is built and then.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IndexSpace {
    pub(super) data: u64,
    pub(super) sort_runs: u64,
    pub(super) separators: u64,
}

impl IndexCosts {
    /// An index of nothing but so many keys.
    pub(super) fn keys(entries: u64, key_bytes: u64, run_bytes: u64) -> Self {
        Self {
            entries,
            key_bytes,
            run_bytes,
            ..Self::default()
        }
    }

    /// What the index weighs in a comparison of collections.
    pub(super) fn weight(&self) -> u64 {
        self.key_bytes + 40 * self.entries
    }

    pub(super) fn is_text(&self) -> bool {
        self.kind == Kind::Terms
    }

    /// The same of more documents; `grow` says what becomes of a count.
    pub(super) fn grown(&self, grow: impl Fn(u64) -> u64) -> Self {
        let more = grow(self.fresh_terms).saturating_sub(self.fresh_terms);
        self.with_terms(grow, self.terms.saturating_add(more))
    }

    /// What documents add that come on top of the sampled ones.
    pub(super) fn added(&self, grow: impl Fn(u64) -> u64) -> Self {
        let terms = grow(self.fresh_terms);
        self.with_terms(grow, terms)
    }

    fn with_terms(&self, grow: impl Fn(u64) -> u64, terms: u64) -> Self {
        let key_bytes = match self.kind {
            Kind::Terms => terms.saturating_mul(self.key_bytes.div_ceil(self.terms.max(1))),
            Kind::Keys | Kind::Points => grow(self.key_bytes),
        };
        Self {
            kind: self.kind,
            entries: grow(self.entries),
            key_bytes,
            run_bytes: grow(self.run_bytes),
            terms,
            fresh_terms: grow(self.fresh_terms),
        }
    }

    /// What the index of so many documents takes.
    pub(super) fn space(&self, documents: u64) -> IndexSpace {
        match self.kind {
            Kind::Keys => IndexSpace {
                sort_runs: self.run_bytes,
                ..tree(self.entries.min(documents), self.key_bytes)
            },
            Kind::Terms => self.text_space(),
            Kind::Points => self.geo_space(documents),
        }
    }

    fn text_space(&self) -> IndexSpace {
        let tree = tree(self.terms, self.key_bytes);
        let postings = self.entries.saturating_mul(POSTING_BYTES as u64);
        let chunks = self.terms.saturating_mul(CHUNK_BYTES);
        let pages = postings.saturating_add(chunks) / POSTING_PAGE_BYTES + 1;
        let waiting = self.terms.saturating_mul(WAITING_TERM_BYTES) + self.key_bytes;
        IndexSpace {
            data: tree.data.saturating_add(pages.saturating_mul(PAGE)),
            sort_runs: self.run_bytes,
            separators: tree.separators.saturating_add(waiting),
        }
    }

    fn geo_space(&self, documents: u64) -> IndexSpace {
        let points = self.entries.min(documents);
        let mut pages = 0;
        let (mut nodes, mut level) = (points, 0);
        while nodes > 1 || level == 0 {
            nodes = nodes.div_ceil(rtree::capacity(level) as u64);
            pages += nodes;
            level = 1;
        }
        // They are sorted by x, and then again, with four bytes more, by slice and y.
        let sorted_twice = self.run_bytes.saturating_mul(2) + points.saturating_mul(4);
        IndexSpace {
            data: pages.saturating_mul(PAGE),
            sort_runs: sorted_twice.saturating_add(sorted_twice / 100 * NODES_PERCENT),
            separators: 0,
        }
    }
}

/// A B+tree without its sort runs.
fn tree(entries: u64, key_bytes: u64) -> IndexSpace {
    let pages = expected_pages(entries, key_bytes.max(entries));
    // One key for each leaf.
    let key = key_bytes.checked_div(entries).unwrap_or_default();
    IndexSpace {
        // Keys of different lengths fill nodes less evenly than the average ones would.
        data: pages.saturating_add(pages / 32 + 1).saturating_mul(PAGE),
        sort_runs: 0,
        separators: pages.saturating_mul(key + 16),
    }
}

/// Counts what the indexes of one collection take from sampled documents.
pub(super) struct IndexSampler {
    indexes: Vec<(IndexCosts, Terms)>,
    key: KeyBuffer,
    record: KeyBatch,
    stored: Vec<u8>,
}

impl IndexSampler {
    pub(super) fn new(collection: &PlannedCollection) -> Self {
        let indexes = collection.indexes.iter().map(|index| {
            let kind = match index.kind {
                IndexKind::Btree | IndexKind::Ttl { .. } => Kind::Keys,
                IndexKind::Text => Kind::Terms,
                IndexKind::Geo2d | IndexKind::Geo2dSphere => Kind::Points,
            };
            let costs = IndexCosts {
                kind,
                ..IndexCosts::default()
            };
            (costs, Terms::default())
        });
        Self {
            indexes: indexes.collect(),
            key: KeyBuffer::new(),
            record: KeyBatch::default(),
            stored: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, number: usize, taken: Taken<'_>) -> Result<()> {
        if let Taken::Key(_, key) = taken {
            self.key(number, key)?;
        }
        Ok(())
    }

    fn key(&mut self, number: usize, key: &SortKey<'_>) -> Result<()> {
        let key = key.in_buffer(&mut self.key);
        let Some((costs, terms)) = self.indexes.get_mut(number) else {
            return Ok(());
        };
        self.record.clear();
        self.record.push(key, DocumentAddress::default())?;
        let stored = key
            .stored(&mut self.stored)
            .map_or(0, |key| key.bytes.len());
        costs.entries += 1;
        costs.run_bytes += self.record.byte_len() as u64;
        match costs.kind {
            Kind::Terms => terms.add(xxh3_64(key.normal()), stored),
            Kind::Keys | Kind::Points => costs.key_bytes += stored as u64,
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Vec<IndexCosts> {
        let indexes = self.indexes.into_iter().map(|(costs, terms)| IndexCosts {
            key_bytes: costs.key_bytes + terms.sum(|term| term.bytes.into()),
            terms: terms.sum(|_| 1),
            fresh_terms: terms.sum(|term| u64::from(term.is_fresh)),
            ..costs
        });
        indexes.collect()
    }
}

/// Different terms: all of them while they are few, then those whose hashes end in ever more zero
/// bits, which stand for the others.
#[derive(Default)]
struct Terms {
    kept: HashMap<u64, Term>,
    zero_bits: u32,
}

/// Terms that are kept, at most: about two megabytes.
const KEPT_TERMS: usize = 1 << 16;

#[derive(Clone, Copy)]
struct Term {
    bytes: u16,
    /// It has one posting.
    is_fresh: bool,
}

impl Terms {
    fn add(&mut self, hash: u64, bytes: usize) {
        if hash.trailing_zeros() < self.zero_bits {
            return;
        }
        match self.kept.entry(hash) {
            Entry::Occupied(mut term) => term.get_mut().is_fresh = false,
            Entry::Vacant(place) => {
                // At most 1024.
                let bytes = u16::try_from(bytes).unwrap_or(u16::MAX);
                place.insert(Term {
                    bytes,
                    is_fresh: true,
                });
            }
        }
        while self.kept.len() > KEPT_TERMS {
            self.zero_bits += 1;
            let zero_bits = self.zero_bits;
            self.kept
                .retain(|hash, _| hash.trailing_zeros() >= zero_bits);
        }
    }

    /// Over all terms, as far as those that are kept can tell.
    fn sum(&self, value: impl Fn(&Term) -> u64) -> u64 {
        let kept: u64 = self.kept.values().map(value).sum();
        kept.saturating_mul(1_u64.checked_shl(self.zero_bits).unwrap_or(u64::MAX))
    }
}
