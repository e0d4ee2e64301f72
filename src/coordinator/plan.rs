//! The plan: what the check phase found out and all later phases follow.

use crate::document::InferTypes;
use crate::files::{Access, InputFile};
use crate::index::IndexDefinition;
use crate::report::Warning;
use crate::v1::snapshot::Chunk;
use crate::v1::wal::{Overlay, WalSummary};

/// A collection that will be in v2.
#[derive(Clone, Debug)]
pub(super) struct PlannedCollection {
    /// From 1, in the order of the names.
    pub(super) id: u32,
    /// The name in v2.
    pub(super) name: String,
    /// The name in snapshot and WAL; generated `_id`s depend on it.
    pub(super) v1_name: String,
    /// The number that the WAL overlay knows it by.
    pub(super) overlay_number: u32,
    /// Documents in the snapshot.
    pub(super) documents: u64,
    /// Where they are.
    pub(super) chunks: Vec<Chunk>,
    /// What will be built, `_id_` first, then by name; index ids are positions here plus 1.
    pub(super) indexes: Vec<IndexDefinition>,
    /// What will not be built, by the operator's wish.
    pub(super) skipped_indexes: Vec<String>,
}

impl PlannedCollection {
    /// Bytes of JSON text of its documents.
    pub(super) fn text_bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.bytes).sum()
    }
}

/// Everything that the phases after check work from.
#[derive(Debug)]
pub(super) struct Plan {
    /// The snapshot, if there is one.
    pub(super) snapshot: Option<InputFile>,
    /// The write-ahead log, if there is one.
    pub(super) wal: Option<InputFile>,
    /// What the write-ahead log changes.
    pub(super) overlay: Option<Overlay>,
    pub(super) wal_summary: Option<WalSummary>,
    /// In id order.
    pub(super) collections: Vec<PlannedCollection>,
    pub(super) infer_types: InferTypes,
    /// Owner and mode of what will be written.
    pub(super) access: Access,
    /// The one instant of all timestamps written, nanoseconds since 1970.
    pub(super) instant_ns: i64,
    pub(super) warnings: Vec<Warning>,
    /// Names in the source directory that make room when the migration is in place.
    pub(super) v1_files: Vec<String>,
    /// The text of a 1.0 marker.
    pub(super) v1_marker: Option<String>,
}

impl Plan {
    /// The one instant of all timestamps written.
    pub(super) fn instant(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(i128::from(self.instant_ns))
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    pub(super) fn documents(&self) -> u64 {
        self.collections
            .iter()
            .map(|collection| collection.documents)
            .sum()
    }

    pub(super) fn text_bytes(&self) -> u64 {
        self.collections
            .iter()
            .map(PlannedCollection::text_bytes)
            .sum()
    }

    pub(super) fn indexes(&self) -> u64 {
        self.collections
            .iter()
            .map(|collection| collection.indexes.len() as u64)
            .sum()
    }

    /// Fails if a source file is no longer what it was when it was opened.
    pub(super) fn check_source_unchanged(&self) -> crate::Result<()> {
        self.snapshot
            .iter()
            .chain(&self.wal)
            .try_for_each(InputFile::check_unchanged)
    }
}
