//! One pass over the log: framing, checks, the torn tail.
//!
//! ```text
//! wal.log = record*                       no file header
//! record  = LSN u64                       grows strictly, with jumps
//!         | type u8                       0 insert, 1 update, 2 delete, 3 checkpoint, 4 commit, 5 abort
//!         | txn_id u64                    0 commits at once
//!         | page_id u32                   0; LauraDB's page engine writes others
//!         | prev_lsn u64                  not checked
//!         | data_len u32 | data           a document operation (see `payload`), or nothing
//! ```
//!
//! Lengths are the only framing, so a damaged one loses everything after it, while a bad record
//! whose length holds leaves the next one's start known. A record that runs past the end of the
//! file is what an interrupted writer leaves, unless later records still stand behind its header
//! (see `chain`).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::bad::{self, BadRecord, Fault, TakeBad};
use super::chain::find_chain;
use super::older::Older;
use super::overlay::Overlay;
use super::payload::Operation;
use super::record::{HEADER_BYTES, MAX_DATA_BYTES, RecordHeader, RecordKind};
use super::replay::{BYTES_PER_ID, RecordPlace, Replay};
use super::stream::Stream;
use super::summary::{TornReason, TornTail, WalSummary};
use crate::files::InputFile;
use crate::{Code, Error, Place, Result};

/// Maps a collection's name in the log (before any `--rename`) to the caller's number for it, or to
/// `None` if its operations are to be ignored.
///
/// Called when an operation takes effect: once per name for inserts and updates, and at most once
/// for deletes that come before them. The place says which it is. An error needs no place: it gets
/// the record's.
pub type Resolve<'a> = dyn FnMut(&str, RecordPlace) -> Result<Option<u32>> + 'a;

/// How to scan a log.
pub struct WalOptions<'a> {
    /// The snapshot's `wal_lsn`: operations up to it have no effect, though they are checked.
    pub after_lsn: Option<u64>,
    /// Bytes that the overlay and the open transactions may take together: half of `--memory`.
    pub memory_limit: u64,
    /// Numbers the collections.
    pub resolve: &'a mut Resolve<'a>,
}

/// Waiting operations are also counted for the room that their offsets take.
const BYTES_PER_WAITING: u64 = 16;

impl Overlay {
    /// Reads a log once, checks every record, and keeps the last effective operation per `_id`.
    ///
    /// # Errors
    /// [`Code::WalCorrupt`], [`Code::WalPayload`], [`Code::WalPageRecord`] and [`Code::WalLength`]
    /// for the first bad record, [`Code::WalMemory`] beyond the limit, what `resolve` returns, and
    /// failed reads.
    pub fn scan(file: InputFile, options: WalOptions<'_>) -> Result<(Self, WalSummary)> {
        Self::scan_passing(file, options, 0, &mut |_| Ok(()))
    }

    /// [`Self::scan`], but passes up to `max_bad` records that cannot be used and whose end is
    /// known, and gives each to `take`.
    ///
    /// # Errors
    /// As [`Self::scan`], for the first bad record, if there are more; [`Code::WalNextUnknown`] for
    /// one whose end is not known; those of `take`.
    pub fn scan_passing(
        file: InputFile,
        options: WalOptions<'_>,
        max_bad: u64,
        take: &mut TakeBad<'_>,
    ) -> Result<(Self, WalSummary)> {
        let mut scan = Scan {
            max_bad,
            take,
            first_bad: None,
            older: Older::default(),
            summary: WalSummary {
                bytes: file.size(),
                ..WalSummary::default()
            },
            replay: Replay::new(file.clone(), options),
            stream: Stream::new(file),
        };
        while scan.record()? {}
        scan.finish()
    }
}

struct Scan<'a, 't> {
    stream: Stream,
    replay: Replay<'a>,
    summary: WalSummary,
    max_bad: u64,
    take: &'t mut TakeBad<'t>,
    /// What the first bad record would have failed the run with.
    first_bad: Option<Error>,
    older: Older,
}

impl Scan<'_, '_> {
    /// Takes in the next record; false at the end of the log.
    fn record(&mut self) -> Result<bool> {
        let Some(header) = self.frame()? else {
            return Ok(false);
        };
        match self.check(&header) {
            Ok(kind) => match self.accept(&header, kind)? {
                Ok(()) => self.note(&header, kind),
                Err(bad) => self.reject(&header, bad)?,
            },
            Err(bad) => self.reject(&header, bad)?,
        }
        self.stream.skip(header.record_bytes());
        match self.replay.excess() {
            Some(needed) => Err(self.too_much_memory(needed)),
            None => Ok(true),
        }
    }

    /// The next record's header if the whole record is there; `None` at the end, torn or not.
    fn frame(&mut self) -> Result<Option<RecordHeader>> {
        let rest = self.stream.rest();
        if rest == 0 {
            return Ok(None);
        }
        let present = usize::try_from(rest).map_or(HEADER_BYTES, |rest| rest.min(HEADER_BYTES));
        let bytes = self.stream.peek(present)?;
        let all_zero = bytes.iter().all(|byte| *byte == 0);
        let header = RecordHeader::decode(bytes);
        if all_zero && self.stream.rest_is_zero()? {
            return Ok(self.torn(TornReason::Zeros));
        }
        let Some(header) = header else {
            return Ok(self.torn(TornReason::HeaderCut));
        };
        if header.record_bytes() <= rest {
            return Ok(Some(header));
        }
        self.stream.release();
        let header_end = self.stream.offset().saturating_add(HEADER_BYTES as u64);
        let found = find_chain(self.stream.file(), header_end, self.last_lsn())?;
        match found.start {
            Some(start) => Err(self.damaged_length(&header, start)),
            None => Ok(self.torn(TornReason::DataCut)),
        }
    }

    fn torn(&mut self, reason: TornReason) -> Option<RecordHeader> {
        self.summary.torn_tail = Some(TornTail {
            offset: self.stream.offset(),
            bytes: self.stream.rest(),
            reason,
        });
        None
    }

    /// LauraDB numbers its records from 1, so 0 stands for none.
    fn last_lsn(&self) -> u64 {
        self.summary.last_lsn.unwrap_or(0)
    }

    /// What can be checked in the header.
    fn check(&self, header: &RecordHeader) -> Result<RecordKind, Fault> {
        let last = self.last_lsn();
        if header.lsn <= last {
            let sentence = format!("the record's LSN does not grow; the last one was {last}");
            return Err(Fault::new(Code::WalCorrupt, sentence));
        }
        let Some(kind) = RecordKind::from_byte(header.kind) else {
            let sentence = format!("the record's type {} is unknown", header.kind);
            return Err(Fault::new(Code::WalCorrupt, sentence));
        };
        if header.page_id != 0 {
            let sentence = format!("the record changes page {}, no document", header.page_id);
            return Err(Fault::new(Code::WalPageRecord, sentence));
        }
        let most = if kind.is_operation() {
            MAX_DATA_BYTES
        } else {
            0
        };
        if header.data_len as usize > most {
            let sentence = format!(
                "the record has {} bytes of data where at most {most} are possible",
                header.data_len
            );
            return Err(Fault::new(Code::WalPayload, sentence));
        }
        Ok(kind)
    }

    /// Hands a record on; the inner error is a bad payload.
    fn accept(&mut self, header: &RecordHeader, kind: RecordKind) -> Result<Result<(), Fault>> {
        match kind {
            RecordKind::Commit => {
                self.replay.commit(header.txn_id, header.lsn)?;
                let is_late = !self.replay.is_in_snapshot(header.lsn);
                self.older.end(header.txn_id, is_late);
            }
            RecordKind::Abort => {
                self.replay.abort(header.txn_id);
                self.older.end(header.txn_id, false);
            }
            RecordKind::Checkpoint => {}
            RecordKind::Insert | RecordKind::Update | RecordKind::Delete => {
                let place = RecordPlace {
                    offset: self.stream.offset(),
                    lsn: header.lsn,
                    kind,
                };
                let record = self
                    .stream
                    .peek(HEADER_BYTES.saturating_add(header.data_len as usize))?;
                let data = record.get(HEADER_BYTES..).unwrap_or_default();
                match Operation::decode(data) {
                    Ok(operation) => self.replay.operation(header.txn_id, place, &operation)?,
                    Err(cause) => {
                        return Ok(Err(Fault {
                            cause: Some(cause),
                            ..Fault::new(
                                Code::WalPayload,
                                "the record's data is no document operation",
                            )
                        }));
                    }
                }
            }
        }
        Ok(Ok(()))
    }

    fn note(&mut self, header: &RecordHeader, kind: RecordKind) {
        self.summary.records.add(kind);
        self.summary.first_lsn.get_or_insert(header.lsn);
        self.summary.last_lsn = Some(header.lsn);
        if kind == RecordKind::Checkpoint {
            self.summary.last_checkpoint_lsn = Some(header.lsn);
        }
    }

    /// Decides about a bad record: it is passed if there may be more of them and its end is known.
    fn reject(&mut self, header: &RecordHeader, fault: Fault) -> Result<()> {
        let place = self.place(header);
        if self.max_bad == 0 {
            return Err(fault.into_error(place));
        }
        let last_lsn = self.last_lsn();
        let readable = header.data_len as usize <= MAX_DATA_BYTES;
        let length = if readable {
            header.data_len as usize
        } else {
            0
        };
        let data = self.stream.peek(HEADER_BYTES.saturating_add(length))?;
        let data = data.get(HEADER_BYTES..).unwrap_or_default();
        let is_whole = readable && bad::confirms_length(header, data);
        let named = bad::name_document(place.clone(), header, data);
        let end = self.stream.offset().saturating_add(header.record_bytes());
        if !is_whole && !bad::goes_on(self.stream.file(), end, last_lsn)? {
            return Err(bad::unknown_end(fault, place));
        }
        self.summary.bad_records = self.summary.bad_records.saturating_add(1);
        let error = fault.into_error(named.clone());
        if self.summary.bad_records > self.max_bad {
            let first = self.first_bad.take().unwrap_or(error);
            return Err(first.beyond_max_bad(self.max_bad));
        }
        let record = BadRecord {
            offset: self.stream.offset(),
            bytes: header.record_bytes(),
            txn_id: header.txn_id,
            place: named,
            error,
        };
        (self.take)(&record)?;
        let lsn = header.lsn.max(last_lsn);
        let is_late = !self.replay.is_in_snapshot(lsn);
        self.older.reject(header, &record, is_late);
        self.first_bad.get_or_insert(record.error);
        Ok(())
    }

    fn damaged_length(&self, header: &RecordHeader, start: u64) -> Error {
        let sentence = format!(
            "the record's length of {} bytes runs past the end of the file, yet whole records \
             follow from byte {start} on",
            header.data_len
        );
        Error::new(Code::WalLength, sentence)
            .at(self.place(header))
            .hint("restore wal.log from a copy; a damaged length cannot be passed")
    }

    fn place(&self, header: &RecordHeader) -> Place {
        Place::offset(self.stream.file().path(), self.stream.offset()).with_lsn(header.lsn)
    }

    /// Goes on to count the operations that are left, so that the value in the hint suffices.
    fn too_much_memory(&mut self, used: u64) -> Error {
        let place = Place::offset(self.stream.file().path(), self.stream.offset());
        let mut left = 0u64;
        while self.stream.rest() >= HEADER_BYTES as u64 {
            let header = self.stream.peek(HEADER_BYTES).map(RecordHeader::decode);
            // What cannot be read here is for the next run to say.
            let Ok(Some(header)) = header else { break };
            let operation =
                RecordKind::from_byte(header.kind).is_some_and(RecordKind::is_operation);
            left = left.saturating_add(u64::from(operation));
            self.stream.skip(header.record_bytes());
        }
        let needed = used.saturating_add(left.saturating_mul(BYTES_PER_ID + BYTES_PER_WAITING));
        let mebibytes = needed.saturating_mul(2).div_ceil(1024 * 1024);
        Error::new(
            Code::WalMemory,
            "the last operations on all documents that the log touches do not fit half of --memory",
        )
        .at(place)
        .hint(format!("run the same command with --memory {mebibytes}MiB"))
    }

    fn finish(mut self) -> Result<(Overlay, WalSummary)> {
        self.stream.release();
        self.replay.finish();
        let mut summary = self.summary;
        let replay = &self.replay;
        summary.more_left_older = self.older.more();
        summary.left_older = self.older.finish(self.stream.file(), |collection, id| {
            replay.last_record(collection, id)
        })?;
        summary.operations = self.replay.operations;
        summary.transactions = self.replay.transactions;
        let overlay = Overlay::new(self.replay.overlay);
        summary.ids_touched = overlay.len() as u64;
        summary.collections_touched = overlay.collections() as u64;
        Ok((overlay, summary))
    }
}
