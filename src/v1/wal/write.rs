//! Writing records, as LauraDB frames them.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "what is written is in memory, and its length is checked as a whole"
)]

use super::payload::NAME_LEN_BYTES;
use super::record::{HEADER_BYTES, RecordHeader, RecordKind};
use crate::document::bson::RawDocument;
use std::io::{self, Write};

/// Appends records to a writer, numbering them from LSN 1 on.
#[derive(Debug)]
pub struct RecordWriter<W> {
    out: W,
    next_lsn: u64,
}

impl<W: Write> RecordWriter<W> {
    /// Starts a log.
    pub fn new(out: W) -> Self {
        Self { out, next_lsn: 1 }
    }

    /// Gives the next record this LSN, as LauraDB does when it reopens a log at its size.
    pub fn jump_to(&mut self, lsn: u64) {
        self.next_lsn = lsn;
    }

    /// The LSN that the next record gets.
    #[must_use]
    pub fn next_lsn(&self) -> u64 {
        self.next_lsn
    }

    /// Writes an insert, update or delete of transaction `txn_id` (0: at once); returns its LSN.
    ///
    /// # Errors
    /// The name is longer than 65,535 bytes, the document longer than 4 GiB, or the write fails.
    pub fn operation(
        &mut self,
        kind: RecordKind,
        txn_id: u64,
        collection: &str,
        document: RawDocument<'_>,
    ) -> io::Result<u64> {
        let name_len = u16::try_from(collection.len()).map_err(io::Error::other)?;
        let data_len = NAME_LEN_BYTES + collection.len() + document.as_bytes().len();
        let lsn = self.header(kind, txn_id, data_len)?;
        self.out.write_all(&name_len.to_le_bytes())?;
        self.out.write_all(collection.as_bytes())?;
        self.out.write_all(document.as_bytes())?;
        Ok(lsn)
    }

    /// Writes a checkpoint; returns its LSN.
    ///
    /// # Errors
    /// The write fails.
    pub fn checkpoint(&mut self) -> io::Result<u64> {
        self.header(RecordKind::Checkpoint, 0, 0)
    }

    /// Writes the commit of a transaction; returns its LSN.
    ///
    /// # Errors
    /// The write fails.
    pub fn commit(&mut self, txn_id: u64) -> io::Result<u64> {
        self.header(RecordKind::Commit, txn_id, 0)
    }

    /// Writes the abort of a transaction; returns its LSN.
    ///
    /// # Errors
    /// The write fails.
    pub fn abort(&mut self, txn_id: u64) -> io::Result<u64> {
        self.header(RecordKind::Abort, txn_id, 0)
    }

    /// Gives the writer back.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn header(&mut self, kind: RecordKind, txn_id: u64, data_len: usize) -> io::Result<u64> {
        let header = RecordHeader {
            lsn: self.next_lsn,
            kind: kind as u8,
            txn_id,
            data_len: u32::try_from(data_len).map_err(io::Error::other)?,
            ..RecordHeader::default()
        };
        self.out.write_all(&header.encode())?;
        self.next_lsn += 1;
        Ok(header.lsn)
    }
}

/// The log of a fresh v2 directory: one checkpoint record, LSN 1, all else 0.
#[must_use]
pub fn fresh_wal() -> [u8; HEADER_BYTES] {
    RecordHeader {
        lsn: 1,
        kind: RecordKind::Checkpoint as u8,
        ..RecordHeader::default()
    }
    .encode()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_log_is_one_checkpoint() {
        let mut expected = [0; 33];
        expected[0] = 1;
        expected[8] = 3;
        assert_eq!(fresh_wal(), expected);
        let mut writer = RecordWriter::new(Vec::new());
        assert_eq!(writer.checkpoint().unwrap(), 1);
        assert_eq!(writer.into_inner(), expected);
    }
}
