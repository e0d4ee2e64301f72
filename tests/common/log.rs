//! Write-ahead logs made record by record.

use super::bson;
use laura_migrate::document::bson::RawDocument;
use laura_migrate::v1::wal::{RecordKind, RecordWriter};

/// A log that is being written; documents are canonical Extended JSON.
pub(crate) struct Log {
    writer: RecordWriter<Vec<u8>>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            writer: RecordWriter::new(Vec::new()),
        }
    }

    pub(crate) fn insert(self, collection: &str, document: &str) -> Self {
        self.operation(RecordKind::Insert, 0, collection, document)
    }

    pub(crate) fn update(self, collection: &str, document: &str) -> Self {
        self.operation(RecordKind::Update, 0, collection, document)
    }

    pub(crate) fn delete(self, collection: &str, document: &str) -> Self {
        self.operation(RecordKind::Delete, 0, collection, document)
    }

    pub(crate) fn operation(
        mut self,
        kind: RecordKind,
        txn_id: u64,
        collection: &str,
        document: &str,
    ) -> Self {
        let bson = bson(document);
        self.writer
            .operation(kind, txn_id, collection, RawDocument::trusted(&bson))
            .unwrap();
        self
    }

    pub(crate) fn commit(mut self, txn_id: u64) -> Self {
        self.writer.commit(txn_id).unwrap();
        self
    }

    pub(crate) fn abort(mut self, txn_id: u64) -> Self {
        self.writer.abort(txn_id).unwrap();
        self
    }

    pub(crate) fn checkpoint(mut self) -> Self {
        self.writer.checkpoint().unwrap();
        self
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.writer.into_inner()
    }
}
