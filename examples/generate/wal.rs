//! `wal.log`: operations on the snapshot's documents and new ones, closed cleanly.
//!
//! Encoded here by hand rather than by the library, so that the two check each other:
//!
//! ```text
//! LSN u64 | type u8 | txn_id u64 | page_id u32 0 | prev_lsn u64 0 | data_len u32 | data
//! data = collection name length u16 | collection name | BSON document
//! ```

use super::random::Random;
use super::shape::Id;
use super::sink::{BsonSink, Sink};
use super::{Options, Out};
use std::io;

const INSERT: u8 = 0;
const UPDATE: u8 = 1;
const DELETE: u8 = 2;
const CHECKPOINT: u8 = 3;
const COMMIT: u8 = 4;
const ABORT: u8 = 5;

struct Log<'o> {
    options: &'o Options,
    out: &'o mut Out,
    records: u64,
    /// The payload of the record being written.
    data: Vec<u8>,
}

/// Writes the log; returns how many records it has.
pub(crate) fn write(options: &Options, out: &mut Out) -> io::Result<u64> {
    let mut log = Log {
        options,
        out,
        records: 0,
        data: Vec::new(),
    };
    let mut random = Random::of(options.seed, options.wal_ops, 0);
    let mut inserted = 0;
    // Every other operation of a block belongs to the block's transaction.
    let block = (options.wal_ops / 8).clamp(2, 40);
    let blocks = options.wal_ops.div_ceil(block);
    for operation in 0..options.wal_ops {
        let transaction = operation / block + 1;
        let is_inside = options.wal_transactions && operation % 2 == 1;
        let txn_id = if is_inside { transaction } else { 0 };
        // Four inserts, four updates and two deletes of ten, if there is something to change.
        let (kind, number) = match random.below(10) {
            chance @ 4.. if options.docs > 0 => {
                let kind = if chance < 8 { UPDATE } else { DELETE };
                (kind, random.below(options.docs))
            }
            _ => {
                inserted += 1;
                (INSERT, options.docs + inserted - 1)
            }
        };
        log.operation(kind, txn_id, number, operation + 1)?;
        // One of four aborts; the last stays open, as after a crash of its client.
        if options.wal_transactions && (operation + 1) % block == 0 && transaction < blocks {
            let end = if transaction.is_multiple_of(4) {
                ABORT
            } else {
                COMMIT
            };
            log.record(end, transaction)?;
        }
    }
    log.record(CHECKPOINT, 0)?;
    Ok(log.records)
}

impl Log<'_> {
    fn operation(&mut self, kind: u8, txn_id: u64, number: u64, revision: u64) -> io::Result<()> {
        let Options { shape, seed, .. } = *self.options;
        let name = self
            .options
            .collection_name(self.options.collection_of(number));
        let name_len = u16::try_from(name.len()).map_err(io::Error::other)?;
        self.data.clear();
        self.data.extend_from_slice(&name_len.to_le_bytes());
        self.data.extend_from_slice(name.as_bytes());
        let mut sink = BsonSink::new(&mut self.data);
        match shape.id(seed, number) {
            Id::Text(id) => sink.string("_id", &id),
            Id::Object(id) => sink.object_id("_id", id),
        }
        if kind != DELETE {
            shape.fields(seed, number, revision, &mut sink);
        }
        sink.finish();
        let data = std::mem::take(&mut self.data);
        self.header(kind, txn_id, data.len())?;
        self.out.buffer.extend_from_slice(&data);
        self.data = data;
        self.out.relieve()
    }

    /// A record without data.
    fn record(&mut self, kind: u8, txn_id: u64) -> io::Result<()> {
        self.header(kind, txn_id, 0)
    }

    fn header(&mut self, kind: u8, txn_id: u64, data_len: usize) -> io::Result<()> {
        self.records += 1;
        let data_len = u32::try_from(data_len).map_err(io::Error::other)?;
        let buffer = &mut self.out.buffer;
        buffer.extend_from_slice(&self.records.to_le_bytes());
        buffer.push(kind);
        buffer.extend_from_slice(&txn_id.to_le_bytes());
        buffer.extend_from_slice(&0_u32.to_le_bytes());
        buffer.extend_from_slice(&0_u64.to_le_bytes());
        buffer.extend_from_slice(&data_len.to_le_bytes());
        Ok(())
    }
}
