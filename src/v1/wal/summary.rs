//! What a scan has counted.

use super::bad::LeftOlder;
use super::record::RecordKind;

/// Records of each type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "the names are the types")]
pub struct RecordCounts {
    pub insert: u64,
    pub update: u64,
    pub delete: u64,
    pub checkpoint: u64,
    pub commit: u64,
    pub abort: u64,
}

impl RecordCounts {
    pub(super) fn add(&mut self, kind: RecordKind) {
        let count = match kind {
            RecordKind::Insert => &mut self.insert,
            RecordKind::Update => &mut self.update,
            RecordKind::Delete => &mut self.delete,
            RecordKind::Checkpoint => &mut self.checkpoint,
            RecordKind::Commit => &mut self.commit,
            RecordKind::Abort => &mut self.abort,
        };
        *count = count.saturating_add(1);
    }

    /// Records of all types.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.insert
            .saturating_add(self.update)
            .saturating_add(self.delete)
            .saturating_add(self.checkpoint)
            .saturating_add(self.commit)
            .saturating_add(self.abort)
    }

    /// Insert, update and delete records.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.insert
            .saturating_add(self.update)
            .saturating_add(self.delete)
    }
}

/// What became of the operations. The sum of all fields is [`RecordCounts::operations`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct OperationCounts {
    /// Took effect.
    pub applied: u64,
    /// Would have taken effect in a collection that the caller left out, or deleted from one that
    /// does not exist.
    pub ignored: u64,
    /// The snapshot has them: their LSN, or their commit's, is not above its `wal_lsn`.
    pub before_snapshot: u64,
    /// Their transaction was aborted.
    pub aborted: u64,
    /// Their transaction was not finished.
    pub unfinished: u64,
}

/// Transactions other than 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TransactionCounts {
    /// Commit records.
    pub committed: u64,
    /// Abort records.
    pub aborted: u64,
    /// With operations, but neither commit nor abort.
    pub unfinished: u64,
}

/// Why the end of the log was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TornReason {
    /// The last record's header is cut.
    HeaderCut,
    /// The last record's data is cut.
    DataCut,
    /// The rest of the file is zero: space that was never written.
    Zeros,
}

/// The end of a log whose writer was interrupted; it is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TornTail {
    /// Where it starts in the file.
    pub offset: u64,
    /// Bytes to the end of the file.
    pub bytes: u64,
    /// What it is.
    pub reason: TornReason,
}

/// What a scan of the log has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WalSummary {
    /// Size of the file.
    pub bytes: u64,
    /// Whole records by type.
    pub records: RecordCounts,
    /// LSN of the first record.
    pub first_lsn: Option<u64>,
    /// LSN of the last whole record.
    pub last_lsn: Option<u64>,
    /// LSN of the last checkpoint.
    pub last_checkpoint_lsn: Option<u64>,
    /// What became of the operations.
    pub operations: OperationCounts,
    /// Transactions and how they ended.
    pub transactions: TransactionCounts,
    /// Collections in which an operation took effect.
    pub collections_touched: u64,
    /// Ids on which an operation took effect.
    pub ids_touched: u64,
    /// The end that was dropped, if any.
    pub torn_tail: Option<TornTail>,
    /// Records that cannot be used and were passed; they are in no other count.
    #[serde(default)]
    pub bad_records: u64,
    /// The first documents that stay at an older state because of those: their operation would
    /// have taken effect, and no later one does.
    #[serde(default)]
    pub left_older: Vec<LeftOlder>,
    /// Bad records beyond those, whose documents were not looked at.
    #[serde(default)]
    pub more_left_older: u64,
}
