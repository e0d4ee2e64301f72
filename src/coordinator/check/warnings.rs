//! What the check phase has to say of the snapshot and the log.

use super::Sources;
use crate::files::InputFile;
use crate::report::Warning;
use crate::v1::snapshot::SnapshotLayout;
use crate::v1::wal::{HEADER_BYTES, TornReason, WalSummary};
use crate::{Code, Place};

/// Of the snapshot and the log.
pub(super) fn warnings_of(
    sources: &Sources,
    layout: Option<&SnapshotLayout>,
    wal: Option<&WalSummary>,
) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if let (Some(layout), Some(file)) = (layout, &sources.snapshot)
        && layout.unknown_keys > 0
    {
        let sentence = format!(
            "{} keys of the snapshot mean nothing and were skipped",
            layout.unknown_keys
        );
        warnings.push(Warning::new(Code::UnknownKeys, sentence).at(Place::file(file.path())));
    }
    if let (Some(summary), Some(file)) = (wal, &sources.wal) {
        warnings.extend(log_warnings(
            file,
            summary,
            layout.and_then(|layout| layout.wal_lsn),
        ));
        let dropped = summary.operations.aborted + summary.operations.unfinished;
        if dropped > 0 {
            let sentence = format!(
                "{dropped} operations of transactions that were aborted or never finished were \
                 dropped"
            );
            let place = Place::file(file.path());
            warnings.push(Warning::new(Code::DroppedTransactions, sentence).at(place));
        }
    }
    warnings
}

/// What of the log is missing, at its end or at its beginning.
fn log_warnings(file: &InputFile, summary: &WalSummary, after_lsn: Option<u64>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if let Some(tail) = &summary.torn_tail {
        let bytes = tail.bytes;
        let is_long = bytes > LONG_TAIL && tail.reason != TornReason::Zeros;
        let (code, sentence) = if is_long {
            let sentence = format!(
                "the last {bytes} bytes of the write-ahead log cannot be read and were dropped: \
                 that is more than a write that was cut off leaves, so compare the log with a \
                 copy before you rely on the result"
            );
            (Code::LongTornTail, sentence)
        } else {
            let sentence = format!(
                "the write-ahead log ends in a torn record of {bytes} bytes, which was dropped"
            );
            (Code::TornTail, sentence)
        };
        let place = Place::offset(file.path(), tail.offset);
        warnings.push(Warning::new(code, sentence).at(place));
    }
    // LauraDB numbers a new log from 1 on.
    let covered = after_lsn.unwrap_or(0);
    if let (Some(first), Some(checkpoint)) = (summary.first_lsn, summary.last_checkpoint_lsn)
        && first > covered.saturating_add(1)
        && checkpoint > covered
    {
        let sentence = format!(
            "the write-ahead log begins with LSN {first} and has a checkpoint, and the snapshot \
             says nothing of what came before: it may be older than that checkpoint, and lack \
             what only an earlier log had"
        );
        warnings.push(Warning::new(Code::SnapshotOlder, sentence).at(Place::file(file.path())));
    }
    warnings
}

/// A torn tail of more bytes is no ordinary one: a record's header and 64 KiB.
const LONG_TAIL: u64 = HEADER_BYTES as u64 + 64 * 1024;
