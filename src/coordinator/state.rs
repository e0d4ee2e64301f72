//! How far a run has got, in a form that a checkpoint can hold.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::indexes::{Built, BuiltIndex};
use super::plan::PlannedCollection;
use super::quarantine::QuarantineState;
use super::status::Reached;
use super::verify::VerifyProgress;
use crate::index::TextTotals;
use crate::index::sort::{MergePosition, PoolState};
use crate::progress::Phase;
use crate::report::PagesReport;
use crate::v2::btree::BulkPosition;
use crate::v2::data_file::CollectionPages;
use crate::v2::{DocumentAddress, PageId};
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
        self.0 = self.0.wrapping_add(other.0);
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
    Snapshot { chunk: usize, documents: u64 },
    /// The write-ahead log: past so many of the documents that only it has.
    WalOnly { documents: usize },
    /// LauraDB's unlisted pages: past so many of the documents that only they have.
    Recovered { documents: u64 },
}

impl Default for SourcePosition {
    fn default() -> Self {
        Self::Snapshot {
            chunk: 0,
            documents: 0,
        }
    }
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
    /// What LauraDB's unlisted pages had of the snapshot's documents, and besides them.
    pub(super) pages: PagesReport,
    /// Documents in quarantine.
    pub(super) quarantined: u64,
    /// Bytes of the quarantine file that those take which were found in the collections phase.
    pub(super) quarantine_bytes: u64,
    /// Those in quarantine that have a deleted slot, since their `_id` was found to stand twice
    /// when it was sorted.
    pub(super) duplicates: u64,
}

/// A collection whose documents are all in closed pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WrittenCollection {
    pub(super) pages: CollectionPages,
    pub(super) tally: Tally,
}

/// A collection as of its last closed page: everything about the documents in closed pages, and
/// where the first one comes from that is not in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CurrentCollection {
    pub(super) written: WrittenCollection,
    pub(super) next: SourcePosition,
}

/// Keys in the sort runs, and what else is known of the documents in closed pages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeyState {
    pub(super) pool: PoolState,
    /// By collection and index, in plan order.
    pub(super) counts: Vec<Vec<IndexCounts>>,
}

/// What is known of an index beside its keys. Absent in a checkpoint is what is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct IndexCounts {
    /// Documents whose value cannot be indexed.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) unindexable: u64,
    /// The first few of them.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) first_unindexable: Vec<DocumentAddress>,
    /// Of a text index.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) totals: TextTotals,
    /// Keys of documents that are gone; they wait among the others.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) dropped: u64,
}

/// Documents that are named where many cannot be indexed.
pub(super) const NAMED_UNINDEXABLE: usize = 3;

impl IndexCounts {
    /// The value of the document at `address` cannot be indexed. Documents come in their order.
    pub(super) fn add_unindexable(&mut self, address: DocumentAddress) {
        self.unindexable = self.unindexable.saturating_add(1);
        if self.first_unindexable.len() < NAMED_UNINDEXABLE {
            self.first_unindexable.push(address);
        }
    }

    /// The document at `address`, which was counted, is gone.
    pub(super) fn forget_unindexable(&mut self, address: DocumentAddress) {
        self.unindexable = self.unindexable.saturating_sub(1);
        self.first_unindexable.retain(|known| *known != address);
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The collections phase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CollectionsState {
    /// Finished collections, in plan order.
    pub(super) written: Vec<WrittenCollection>,
    /// The one after those; `None` before the first page.
    pub(super) current: Option<CurrentCollection>,
    pub(super) keys: KeyState,
    /// The records of the write-ahead log in quarantine, and what `data.db` holds.
    pub(super) quarantine: QuarantineState,
}

impl CollectionsState {
    /// How much of the quarantine counts.
    pub(super) fn quarantine(&self) -> QuarantineState {
        let current = self.current.as_ref().map(|current| &current.written);
        let written = self.written.iter().chain(current);
        written.fold(self.quarantine, |sum, written| QuarantineState {
            records: sum.records.saturating_add(written.tally.quarantined),
            bytes: sum.bytes.saturating_add(written.tally.quarantine_bytes),
            ..sum
        })
    }

    /// Pages of the staged `data.db` that count; 0 before it was made.
    pub(super) fn page_count(&self) -> u32 {
        self.current.map_or(0, |current| {
            let pages = current.written.pages;
            pages.first_page.0.saturating_add(pages.page_count)
        })
    }

    /// Matches of snapshot documents with the write-ahead log that count.
    pub(super) fn matched(&self) -> u64 {
        let written = self
            .written
            .iter()
            .chain(self.current.as_ref().map(|current| &current.written));
        saturating_sum(written.map(|written| written.tally.matched))
    }
}

/// The indexes phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct IndexesState {
    pub(super) written: Vec<WrittenCollection>,
    /// Finished indexes, collection by collection, in plan order.
    pub(super) finished: Vec<BuiltIndex>,
    /// Pages of the staged `data.db` up to the end of those.
    pub(super) page_count: u32,
    pub(super) keys: KeyState,
    /// The tree after those, if it has a page already.
    pub(super) current: Option<CurrentTree>,
    pub(super) quarantine: QuarantineState,
    /// Duplicates that the last of the finished trees has found and that were not all put into
    /// quarantine.
    pub(super) pending: u64,
}

/// A tree as of its last closed leaf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CurrentTree {
    pub(super) bulk: BulkPosition,
    /// A place in the merge at or before the first entry that is in no closed leaf.
    pub(super) merge: MergePosition,
    /// Entries before that place.
    pub(super) merged: u64,
    /// Duplicates of an `_id` before that place, which are no entries.
    pub(super) duplicates: u64,
    /// The document of the last one of them.
    #[serde(default)]
    pub(super) previous: DocumentAddress,
    /// Whether an entry with the key of the one right before that place is in the tree, whose own
    /// document may be gone.
    pub(super) is_group_open: bool,
    /// The first key as JSON.
    pub(super) min_key: String,
}

impl CurrentTree {
    /// The page where the staged `data.db` is cut.
    pub(super) fn next_page(&self) -> PageId {
        self.bulk.next_page()
    }
}

/// Where a run goes on.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub(super) enum State {
    Collections(CollectionsState),
    Indexes(IndexesState),
    Verify {
        built: Built,
        verified: VerifyProgress,
    },
}

impl State {
    /// How far that is, in the units in which progress is shown.
    pub(super) fn reached(&self, planned: &[PlannedCollection]) -> Reached {
        match self {
            Self::Collections(state) => {
                let written = state
                    .written
                    .iter()
                    .chain(state.current.as_ref().map(|current| &current.written));
                Reached {
                    phase: Some(Phase::Collections),
                    documents: saturating_sum(written.map(|written| written.tally.documents)),
                    bytes: state.text_bytes(planned),
                    bytes_total: saturating_sum(planned.iter().map(PlannedCollection::text_bytes)),
                }
            }
            Self::Indexes(state) => {
                // An index counts as much as its collection has documents.
                let collections = state.written.iter().zip(planned);
                let indexes = collections.flat_map(|(written, planned)| {
                    std::iter::repeat_n(written.tally.documents, planned.indexes.len())
                });
                let finished = saturating_sum(indexes.clone().take(state.finished.len()));
                let current = state.current.as_ref().map_or(0, |current| current.merged);
                Reached {
                    phase: Some(Phase::Indexes),
                    documents: finished.saturating_add(current),
                    bytes: finished.saturating_add(current),
                    bytes_total: saturating_sum(indexes),
                }
            }
            Self::Verify { .. } => Reached {
                phase: Some(Phase::Verify),
                ..Reached::default()
            },
        }
    }
}

impl State {
    /// False for figures that no run can have reached, with which nothing is to be calculated.
    pub(super) fn is_possible(&self, planned: &[PlannedCollection]) -> bool {
        let indexes = planned.iter().map(|planned| planned.indexes.len());
        let (written, current, finished, pending) = match self {
            Self::Collections(state) => (state.written.as_slice(), state.current, 0, 0),
            Self::Indexes(state) => {
                let finished = state.finished.len();
                (state.written.as_slice(), None, finished, state.pending)
            }
            Self::Verify { built, .. } => {
                let collections = built.collections.iter().zip(planned);
                return built.collections.len() == planned.len()
                    && collections.into_iter().all(|(built, planned)| {
                        is_run(built.written.pages) && built.indexes.len() == planned.indexes.len()
                    });
            }
        };
        let current = current.map(|current| current.written);
        let count = written.len().saturating_add(usize::from(current.is_some()));
        count <= planned.len()
            && written
                .iter()
                .chain(&current)
                .all(|written| is_run(written.pages))
            && finished <= indexes.fold(0, usize::saturating_add)
            && (pending == 0 || finished > 0)
    }
}

/// True if the pages have numbers.
fn is_run(pages: CollectionPages) -> bool {
    pages.first_page.0.checked_add(pages.page_count).is_some()
}

/// A sum of figures that a damaged checkpoint may give.
pub(super) fn saturating_sum(figures: impl Iterator<Item = u64>) -> u64 {
    figures.fold(0, u64::saturating_add)
}

impl CollectionsState {
    /// Bytes of snapshot text before the first document that is in no closed page, by whole
    /// chunks.
    fn text_bytes(&self, planned: &[PlannedCollection]) -> u64 {
        let finished = planned
            .iter()
            .take(self.written.len())
            .map(PlannedCollection::text_bytes);
        let chunks = match self.current.map(|current| current.next) {
            None => 0,
            Some(SourcePosition::Snapshot { chunk, .. }) => chunk,
            Some(SourcePosition::WalOnly { .. } | SourcePosition::Recovered { .. }) => usize::MAX,
        };
        let current = planned.get(self.written.len()).map_or(0, |planned| {
            let chunks = planned.chunks.iter().take(chunks);
            saturating_sum(chunks.map(|chunk| chunk.bytes))
        });
        saturating_sum(finished).saturating_add(current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::IndexDefinition;
    use std::collections::BTreeMap;

    fn planned() -> [PlannedCollection; 1] {
        [PlannedCollection {
            id: 1,
            name: "c".to_owned(),
            v1_name: "c".to_owned(),
            overlay_number: 0,
            documents: 1,
            chunks: Vec::new(),
            indexes: vec![IndexDefinition::id_index()],
            skipped_indexes: Vec::new(),
            infer_types: BTreeMap::new(),
        }]
    }

    fn written(first_page: u32, page_count: u32) -> WrittenCollection {
        let pages = CollectionPages {
            first_page: PageId(first_page),
            page_count,
            first_data_page: PageId(first_page),
        };
        WrittenCollection {
            pages,
            tally: Tally::default(),
        }
    }

    fn collections(written: Vec<WrittenCollection>, current: Option<WrittenCollection>) -> State {
        let current = current.map(|written| CurrentCollection {
            written,
            next: SourcePosition::default(),
        });
        State::Collections(CollectionsState {
            written,
            current,
            ..CollectionsState::default()
        })
    }

    fn indexes(pages: WrittenCollection, pending: u64) -> State {
        State::Indexes(IndexesState {
            written: vec![pages],
            finished: Vec::new(),
            page_count: 2,
            keys: KeyState::default(),
            current: None,
            quarantine: QuarantineState::default(),
            pending,
        })
    }

    #[test]
    fn figures_that_no_run_can_have_reached_are_seen() {
        let (good, wrapping) = (written(1, 5), written(u32::MAX, 1));
        for (state, is_possible) in [
            (collections(Vec::new(), None), true),
            (collections(Vec::new(), Some(good)), true),
            (collections(vec![good], None), true),
            (collections(vec![wrapping], None), false),
            (collections(Vec::new(), Some(wrapping)), false),
            (collections(vec![good], Some(good)), false),
            (indexes(good, 0), true),
            (indexes(wrapping, 0), false),
            // Duplicates of a tree, but no tree.
            (indexes(good, 1), false),
        ] {
            let found = state.is_possible(&planned());
            assert_eq!(found, is_possible, "{state:?}");
        }
    }
}
