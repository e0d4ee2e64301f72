//! The write-ahead log: what happened after the snapshot.
//!
//! [`Overlay::scan`] reads `wal.log` once and keeps, for every `_id` that it touches, where the last
//! effective operation's record is. The pipeline then asks for each document of the snapshot what
//! became of it ([`Overlay::take`]), and at the end of a collection for the documents that only the
//! log has ([`Overlay::remaining`]).

mod bad;
mod chain;
mod older;
mod overlay;
mod payload;
mod record;
mod replay;
mod scan;
mod stored;
mod stream;
mod summary;
mod write;

#[cfg(test)]
mod tests;

pub use bad::{BadRecord, LeftOlder, TakeBad};
pub use overlay::{Overlay, Replacement, Touched};
pub use payload::{Operation, PayloadError};
pub use record::{HEADER_BYTES, MAX_DATA_BYTES, RecordHeader, RecordKind};
pub use replay::RecordPlace;
pub use scan::{Resolve, WalOptions};
pub use summary::{
    OperationCounts, RecordCounts, TornReason, TornTail, TransactionCounts, WalSummary,
};
pub use write::{RecordWriter, fresh_wal};
