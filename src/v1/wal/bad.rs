//! Records that cannot be used, and whether the log can be followed past them.
//!
//! Lengths are the only framing, so a bad record may be passed only if its own length can be
//! trusted. It can if one of these holds:
//!
//! * the data is exactly as long as what is in it says: a name and a BSON document, or nothing
//!   where the type has none;
//! * the record ends where the file ends;
//! * a header stands right behind it that may follow: a known type, an LSN above the last good one,
//!   a possible length; and the same holds behind that one, or the file ends or is torn there.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::payload::{Operation, PayloadError, split};
use super::record::{HEADER_BYTES, MAX_DATA_BYTES, RecordHeader, RecordKind};
use crate::bytes::get_u32;
use crate::document::ID_FIELD;
use crate::document::bson::{RawDocument, RawValue};
use crate::document::ejson;
use crate::files::InputFile;
use crate::{Code, Error, Place, Result};

/// Takes the bad records of a log, in the order of the log.
pub type TakeBad<'a> = dyn FnMut(&BadRecord) -> Result<()> + 'a;

/// A record that cannot be used and whose end is known.
#[derive(Debug)]
pub struct BadRecord {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its length with the header.
    pub bytes: u64,
    /// The transaction that its header names; 0 for none.
    pub txn_id: u64,
    /// Where it is and, as far as that can still be read, which document it would have changed.
    pub place: Place,
    /// What it would have failed the run with.
    pub error: Error,
}

/// Documents that the summary names at most.
pub(super) const MOST_NAMED: usize = 20;

/// A document that a bad record would have changed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LeftOlder {
    /// The record: file, offset, LSN, and the collection and `_id` if they can be read.
    pub place: Place,
    /// The transaction whose other operations apply; 0 for none.
    pub txn_id: u64,
}

/// What is wrong with one record whose end is known.
pub(super) struct Fault {
    pub(super) code: Code,
    pub(super) sentence: String,
    pub(super) cause: Option<PayloadError>,
}

impl Fault {
    pub(super) fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self {
            code,
            sentence: sentence.into(),
            cause: None,
        }
    }

    pub(super) fn into_error(self, place: Place) -> Error {
        let hint = match self.code {
            Code::WalPageRecord => {
                "wal.log belongs to a LauraDB that stores pages; restore the wal.log that goes with \
                 the snapshot, or give --max-bad N to put such records into quarantine"
            }
            _ => {
                "restore wal.log from a copy, or give --max-bad N to put up to N unusable records \
                 into quarantine"
            }
        };
        let error = Error::new(self.code, self.sentence).at(place).hint(hint);
        match self.cause {
            Some(cause) => error.because(cause),
            None => error,
        }
    }
}

/// What can still be read of the document that a record would have changed.
pub(super) fn name_document(place: Place, header: &RecordHeader, data: &[u8]) -> Place {
    let is_operation = RecordKind::from_byte(header.kind).is_none_or(RecordKind::is_operation);
    let Some((name, document)) = split(data).ok().filter(|_| is_operation) else {
        return place;
    };
    let Ok(name) = str::from_utf8(name) else {
        return place;
    };
    let place = place.in_collection(name);
    match RawDocument::trusted(document).get(ID_FIELD) {
        None | Some(RawValue::Array(_) | RawValue::Document(_)) => place,
        Some(id) => place.with_id(ejson::display_id(id)),
    }
}

/// True if the data is exactly as long as what is in it says.
pub(super) fn confirms_length(header: &RecordHeader, data: &[u8]) -> bool {
    match RecordKind::from_byte(header.kind) {
        Some(kind) if !kind.is_operation() => data.is_empty(),
        _ => {
            Operation::decode(data).is_ok()
                || split(data).is_ok_and(|(_, document)| {
                    get_u32(document, 0).is_some_and(|size| size as usize == document.len())
                        && document.last() == Some(&0)
                })
        }
    }
}

/// True if records may go on at `offset`: see the module.
pub(super) fn goes_on(file: &InputFile, offset: u64, last_lsn: u64) -> Result<bool> {
    let (mut offset, mut last_lsn) = (offset, last_lsn);
    for _ in 0..2 {
        if offset >= file.size() {
            return Ok(offset == file.size());
        }
        let mut bytes = [0; HEADER_BYTES];
        let filled = file.read_at(&mut bytes, offset)?;
        let Some(header) = RecordHeader::decode(bytes.get(..filled).unwrap_or_default()) else {
            // A header that is cut: the file is torn here.
            return Ok(true);
        };
        let is_known = RecordKind::from_byte(header.kind).is_some();
        if !is_known || header.lsn <= last_lsn || header.data_len as usize > MAX_DATA_BYTES {
            return Ok(false);
        }
        let Some(next) = offset.checked_add(header.record_bytes()) else {
            return Ok(false);
        };
        if next > file.size() {
            return Ok(false);
        }
        (offset, last_lsn) = (next, header.lsn);
    }
    Ok(true)
}

/// The error for a bad record whose own length cannot be trusted either.
pub(super) fn unknown_end(fault: Fault, place: Place) -> Error {
    let first = fault.into_error(place.clone());
    let sentence = format!(
        "{}, and no record follows where its length of data leads",
        first.sentence()
    );
    Error::new(Code::WalNextUnknown, sentence)
        .at(place)
        .because(first)
        .hint("restore wal.log from a copy; --max-bad cannot pass a record whose end is unknown")
}
