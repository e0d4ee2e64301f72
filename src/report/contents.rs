//! What a migration carried over: the same for every run over the same input with the same
//! options. The receipt keeps it too.

use super::problem::Problem;
use super::{CollectionReport, Report};
use crate::Code;
use crate::v1::wal::WalSummary;
use serde::{Deserialize, Serialize};

/// What was carried over, and what was noticed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Contents {
    /// Sums over all collections.
    pub totals: Totals,
    /// In the order of their names.
    pub collections: Vec<CollectionReport>,
    /// What the write-ahead log held, if there was one.
    pub wal: Option<WalContents>,
    /// What the operator should know.
    pub warnings: Vec<Problem>,
}

/// Sums over all collections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Totals {
    /// Collections.
    pub collections: u64,
    /// Documents that were migrated, exported or imported.
    pub documents: u64,
    /// Sum of their BSON sizes.
    pub bytes: u64,
    /// Mean BSON size of a document, bytes; `None` without documents.
    pub average_document_bytes: Option<f64>,
    /// Indexes, `_id_` included.
    pub indexes: u64,
    /// Entries in those that were built.
    pub index_entries: u64,
    /// Values that no index could hold.
    pub unindexable: u64,
    /// Documents that got a generated `_id`.
    pub generated_ids: u64,
    /// Records and documents that could not be migrated and were put into quarantine.
    pub quarantined: u64,
}

/// What the write-ahead log held, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are the types of records")]
pub struct WalRecords {
    pub insert: u64,
    pub update: u64,
    pub delete: u64,
    pub checkpoint: u64,
    pub commit: u64,
    pub abort: u64,
}

/// What the write-ahead log held, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WalContents {
    /// Size of the file.
    pub bytes: u64,
    /// Whole records by type.
    pub records: WalRecords,
    /// LSN of the last whole record.
    pub last_lsn: Option<u64>,
    /// Operations that took effect.
    pub applied: u64,
    /// Operations of transactions that were aborted or not finished.
    pub dropped: u64,
    /// Operations that the snapshot has already.
    pub before_snapshot: u64,
    /// Operations on collections that were left out or do not exist.
    pub ignored: u64,
    /// Bytes of a torn tail, which were dropped.
    pub torn_tail_bytes: u64,
}

impl Contents {
    /// What a report says of it.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let indexes = || report.collections.iter().flat_map(|each| &each.indexes);
        let documents = report.documents();
        #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
        let average = (documents > 0).then(|| report.bytes() as f64 / documents as f64);
        Self {
            totals: Totals {
                collections: report.collections.len() as u64,
                documents,
                bytes: report.bytes(),
                average_document_bytes: average.map(|bytes| (bytes * 10.0).round() / 10.0),
                indexes: report.indexes() as u64,
                index_entries: indexes().filter_map(|index| index.entries).sum(),
                unindexable: report.unindexable(),
                generated_ids: report.generated_ids,
                quarantined: report.quarantined,
            },
            collections: report.collections.clone(),
            wal: report.wal.as_ref().map(WalContents::of),
            warnings: report.warnings.iter().map(Problem::of_warning).collect(),
        }
    }

    /// The same without what other runs over the same input would say in another way: where the
    /// directory lies, and which processes ran beside.
    #[must_use]
    pub fn determined(mut self) -> Self {
        let hidden = Code::HiddenProcesses.id();
        self.warnings.retain(|warning| warning.code != hidden);
        let warnings = self.warnings.into_iter();
        self.warnings = warnings.map(Problem::without_directory).collect();
        self
    }
}

impl WalContents {
    fn of(summary: &WalSummary) -> Self {
        let (records, operations) = (summary.records, summary.operations);
        Self {
            bytes: summary.bytes,
            records: WalRecords {
                insert: records.insert,
                update: records.update,
                delete: records.delete,
                checkpoint: records.checkpoint,
                commit: records.commit,
                abort: records.abort,
            },
            last_lsn: summary.last_lsn,
            applied: operations.applied,
            dropped: operations.aborted + operations.unfinished,
            before_snapshot: operations.before_snapshot,
            ignored: operations.ignored,
            torn_tail_bytes: summary.torn_tail.map_or(0, |tail| tail.bytes),
        }
    }
}
