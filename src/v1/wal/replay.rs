//! From records to effects: transactions, names, and what the snapshot has already.

use super::overlay::{Effect, OverlayBuilder};
use super::payload::Operation;
use super::record::RecordKind;
use super::scan::{Resolve, WalOptions};
use super::stored::StoredReader;
use super::summary::{OperationCounts, TransactionCounts};
use crate::document::bson::RawValue;
use crate::document::order::hash_id;
use crate::files::InputFile;
use crate::{Error, Place, Result};
use std::collections::HashMap;

/// Where a collection name stands in the log and what the record does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPlace {
    /// Offset of the record in the file.
    pub offset: u64,
    /// The record's LSN.
    pub lsn: u64,
    /// Insert, update or delete.
    pub kind: RecordKind,
}

impl RecordPlace {
    /// True for a delete: a name that is unknown or that v2 cannot take is then of no consequence.
    #[must_use]
    pub fn is_delete(&self) -> bool {
        self.kind == RecordKind::Delete
    }
}

/// Bytes for the bookkeeping of one open transaction or one name in a hash map, at its emptiest.
const MAP_ENTRY_BYTES: u64 = 112;

/// Bytes of one operation's offset.
const OFFSET_BYTES: u64 = size_of::<u64>() as u64;

/// Memory that the overlay promises not to exceed per touched id.
pub(super) const BYTES_PER_ID: u64 = 48;

/// Applies records, in the order of the log, to an overlay.
pub(super) struct Replay<'a> {
    after_lsn: Option<u64>,
    memory_limit: u64,
    file: InputFile,
    names: Names<'a>,
    open: OpenTransactions,
    reader: StoredReader,
    pub(super) overlay: OverlayBuilder,
    pub(super) operations: OperationCounts,
    pub(super) transactions: TransactionCounts,
}

impl<'a> Replay<'a> {
    pub(super) fn new(file: InputFile, options: WalOptions<'a>) -> Self {
        Self {
            after_lsn: options.after_lsn,
            memory_limit: options.memory_limit,
            names: Names {
                resolve: options.resolve,
                known: HashMap::new(),
                bytes: 0,
            },
            open: OpenTransactions::default(),
            reader: StoredReader::new(),
            overlay: OverlayBuilder::new(file.clone()),
            file,
            operations: OperationCounts::default(),
            transactions: TransactionCounts::default(),
        }
    }

    /// Takes in an operation: at once, or when its transaction commits.
    pub(super) fn operation(
        &mut self,
        txn_id: u64,
        place: RecordPlace,
        operation: &Operation<'_>,
    ) -> Result<()> {
        if txn_id != 0 {
            self.open.push(txn_id, place.offset);
            return Ok(());
        }
        if self.is_in_snapshot(place.lsn) {
            self.operations.before_snapshot = self.operations.before_snapshot.saturating_add(1);
            return Ok(());
        }
        let Self {
            names,
            overlay,
            file,
            ..
        } = self;
        let applied = apply(names, overlay, place, operation.collection, operation.id)
            .map_err(|error| located(error, file, place, operation.collection))?;
        self.count(applied);
        Ok(())
    }

    /// Applies a transaction's operations in their own order.
    ///
    /// Stops early once [`Self::excess`] says so; the caller asks after every record.
    pub(super) fn commit(&mut self, txn_id: u64, lsn: u64) -> Result<()> {
        self.transactions.committed = self
            .transactions
            .committed
            .saturating_add(u64::from(txn_id != 0));
        let records = self.open.remove(txn_id);
        if self.is_in_snapshot(lsn) {
            self.operations.before_snapshot = self
                .operations
                .before_snapshot
                .saturating_add(records.len() as u64);
            return Ok(());
        }
        self.open.applying = records.capacity() as u64;
        for record in records {
            let stored = self.reader.read(&self.file, record)?;
            let place = RecordPlace {
                offset: record,
                lsn: stored.lsn,
                kind: stored.kind,
            };
            let Self {
                names,
                overlay,
                file,
                ..
            } = self;
            let applied = apply(names, overlay, place, stored.collection, stored.id)
                .map_err(|error| located(error, file, place, stored.collection))?;
            self.count(applied);
            if self.excess().is_some() {
                return Ok(());
            }
        }
        self.open.applying = 0;
        Ok(())
    }

    /// Drops a transaction's operations.
    pub(super) fn abort(&mut self, txn_id: u64) {
        self.transactions.aborted = self
            .transactions
            .aborted
            .saturating_add(u64::from(txn_id != 0));
        self.operations.aborted = self
            .operations
            .aborted
            .saturating_add(self.open.remove(txn_id).len() as u64);
    }

    /// Drops what is still open at the end of the log.
    pub(super) fn finish(&mut self) {
        self.transactions.unfinished = self.open.transactions.len() as u64;
        self.operations.unfinished = self.open.drain();
    }

    /// What the memory comes to, if that is more than allowed: operations that wait for their
    /// commit are counted as the entries that they may become.
    pub(super) fn excess(&self) -> Option<u64> {
        let used = self
            .overlay
            .memory_bytes()
            .saturating_add(self.open.memory_bytes())
            .saturating_add(self.names.bytes);
        let waiting = self.open.operations.saturating_add(self.open.applying);
        (used > self.memory_limit)
            .then(|| used.saturating_add(waiting.saturating_mul(BYTES_PER_ID)))
    }

    /// Offset of the last effective operation on an id, if its collection was named so far.
    pub(super) fn last_record(&self, collection: &str, id: RawValue<'_>) -> Result<Option<u64>> {
        let number = match self.names.known.get(collection) {
            Some(Known::Written(Some(number)) | Known::Deleted(Some(number))) => *number,
            _ => return Ok(None),
        };
        self.overlay.last_record(number, id, hash_id(id, number))
    }

    pub(super) fn is_in_snapshot(&self, lsn: u64) -> bool {
        self.after_lsn.is_some_and(|after| lsn <= after)
    }

    fn count(&mut self, applied: bool) {
        if applied {
            self.operations.applied = self.operations.applied.saturating_add(1);
        } else {
            self.operations.ignored = self.operations.ignored.saturating_add(1);
        }
    }
}

/// Lets one operation take effect; false if the caller does not want its collection.
fn apply(
    names: &mut Names<'_>,
    overlay: &mut OverlayBuilder,
    place: RecordPlace,
    name: &str,
    id: RawValue<'_>,
) -> Result<bool> {
    let Some(collection) = names.number(name, place)? else {
        return Ok(false);
    };
    overlay.apply(Effect {
        collection,
        id,
        hash: hash_id(id, collection),
        record: place.offset,
        deletes: place.is_delete(),
    })?;
    Ok(true)
}

/// Says where the operation is whose collection was refused; the one who refuses knows no file.
fn located(error: Error, file: &InputFile, place: RecordPlace, name: &str) -> Error {
    if error.place().file.is_some() {
        return error;
    }
    error.map_place(|known| Place {
        collection: known.collection.or_else(|| Some(name.to_owned())),
        ..Place::offset(file.path(), place.offset).with_lsn(place.lsn)
    })
}

/// Names and the collections that the caller has made of them.
struct Names<'a> {
    resolve: &'a mut Resolve<'a>,
    known: HashMap<Box<str>, Known>,
    bytes: u64,
}

/// A delete may be answered differently from an insert: it does not create its collection.
#[derive(Clone, Copy)]
enum Known {
    Written(Option<u32>),
    Deleted(Option<u32>),
}

impl Names<'_> {
    fn number(&mut self, name: &str, place: RecordPlace) -> Result<Option<u32>> {
        match (self.known.get(name), place.is_delete()) {
            (Some(Known::Written(number)), _) | (Some(Known::Deleted(number)), true) => {
                return Ok(*number);
            }
            _ => {}
        }
        let number = (self.resolve)(name, place)?;
        let known = if place.is_delete() {
            Known::Deleted(number)
        } else {
            Known::Written(number)
        };
        match self.known.get_mut(name) {
            Some(slot) => *slot = known,
            None => {
                self.bytes = self
                    .bytes
                    .saturating_add(name.len() as u64)
                    .saturating_add(MAP_ENTRY_BYTES);
                self.known.insert(name.into(), known);
            }
        }
        Ok(number)
    }
}

/// The operations of transactions that are neither committed nor aborted, as record offsets.
#[derive(Default)]
struct OpenTransactions {
    transactions: HashMap<u64, Vec<u64>>,
    /// Offsets kept, and room for them.
    operations: u64,
    room: u64,
    /// Room of the transaction that is being applied.
    applying: u64,
}

impl OpenTransactions {
    fn push(&mut self, txn_id: u64, record: u64) {
        let records = self.transactions.entry(txn_id).or_default();
        let room = records.capacity();
        records.push(record);
        self.room = self
            .room
            .saturating_add(records.capacity().saturating_sub(room) as u64);
        self.operations = self.operations.saturating_add(1);
    }

    fn remove(&mut self, txn_id: u64) -> Vec<u64> {
        let records = self.transactions.remove(&txn_id).unwrap_or_default();
        self.room = self.room.saturating_sub(records.capacity() as u64);
        self.operations = self.operations.saturating_sub(records.len() as u64);
        records
    }

    /// Drops everything; returns how many operations that were.
    fn drain(&mut self) -> u64 {
        let dropped = self.operations;
        *self = Self::default();
        dropped
    }

    fn memory_bytes(&self) -> u64 {
        // A map never shrinks by itself.
        let offsets = self.room.saturating_add(self.applying);
        (self.transactions.capacity() as u64)
            .saturating_mul(MAP_ENTRY_BYTES / 2)
            .saturating_add(offsets.saturating_mul(OFFSET_BYTES))
    }
}
