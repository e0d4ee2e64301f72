//! Going back to a record that the scan has passed.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::payload::NAME_LEN_BYTES;
use super::record::{HEADER_BYTES, RecordHeader, RecordKind};
use crate::bytes::get_u16;
use crate::document::ID_FIELD;
use crate::document::bson::{RawDocument, RawValue};
use crate::files::InputFile;
use crate::{Code, Error, Place, Result};
use std::ops::Range;

/// Read in one go; nearly always holds the name and the `_id`.
const PREFIX_BYTES: usize = 512;

/// What the log needs to know again of an operation that was checked before.
#[derive(Clone, Debug)]
pub(super) struct StoredOperation<'b> {
    pub(super) lsn: u64,
    pub(super) kind: RecordKind,
    pub(super) collection: &'b str,
    pub(super) id: RawValue<'b>,
    /// Where the document's BSON is in the file.
    pub(super) bson: Range<u64>,
}

/// Reads records by their offset into buffers that it reuses.
#[derive(Debug)]
pub(super) struct StoredReader {
    prefix: [u8; PREFIX_BYTES],
    /// A whole record, when its `_id` lies beyond the prefix.
    whole: Vec<u8>,
}

/// Where the parts of a record are, as offsets from its start.
struct Layout {
    header: RecordHeader,
    bson_start: usize,
    record_bytes: usize,
}

impl StoredReader {
    pub(super) fn new() -> Self {
        Self {
            prefix: [0; PREFIX_BYTES],
            whole: Vec::new(),
        }
    }

    /// Reads the operation at `record`, an offset that the scan has recorded.
    ///
    /// # Errors
    /// The read fails, or the file is no longer what was scanned.
    pub(super) fn read(&mut self, file: &InputFile, record: u64) -> Result<StoredOperation<'_>> {
        let filled = file.read_at(&mut self.prefix, record)?;
        let prefix = self.prefix.get(..filled).unwrap_or_default();
        let layout = layout(prefix, file, record)?;
        let prefix_end = layout.record_bytes.min(filled);
        let prefix = prefix.get(..prefix_end).unwrap_or_default();
        // A document cut short reads as its first whole elements, so an `_id` that is found in the
        // prefix is the document's.
        let bytes = match id_of(prefix, &layout) {
            Some(_) => prefix,
            None => {
                self.whole.clear();
                self.whole.resize(layout.record_bytes, 0);
                file.read_exact_at(&mut self.whole, record)?;
                &self.whole
            }
        };
        let operation = || {
            Some(StoredOperation {
                lsn: layout.header.lsn,
                kind: RecordKind::from_byte(layout.header.kind)?,
                collection: str::from_utf8(
                    bytes.get(HEADER_BYTES + NAME_LEN_BYTES..layout.bson_start)?,
                )
                .ok()?,
                id: id_of(bytes, &layout)?,
                bson: record.saturating_add(layout.bson_start as u64)
                    ..record.saturating_add(layout.record_bytes as u64),
            })
        };
        operation().ok_or_else(|| changed(file, record))
    }
}

/// Reads the BSON of the insert or update record at `record` into `buffer`.
pub(super) fn read_document(file: &InputFile, record: u64, buffer: &mut Vec<u8>) -> Result<()> {
    let mut prefix = [0; HEADER_BYTES + NAME_LEN_BYTES];
    file.read_exact_at(&mut prefix, record)?;
    let layout = layout(&prefix, file, record)?;
    buffer.clear();
    buffer.resize(layout.record_bytes.saturating_sub(layout.bson_start), 0);
    file.read_exact_at(buffer, record.saturating_add(layout.bson_start as u64))
}

/// The scan has checked all of this; it is checked again because the file may have changed since.
fn layout(prefix: &[u8], file: &InputFile, record: u64) -> Result<Layout> {
    let layout = || {
        let header = RecordHeader::decode(prefix)?;
        let name_len = usize::from(get_u16(prefix, HEADER_BYTES)?);
        let layout = Layout {
            header,
            bson_start: HEADER_BYTES + NAME_LEN_BYTES + name_len,
            record_bytes: HEADER_BYTES.saturating_add(header.data_len as usize),
        };
        let fits = header.record_bytes() <= file.size().saturating_sub(record);
        (fits && layout.bson_start <= layout.record_bytes).then_some(layout)
    };
    layout().ok_or_else(|| changed(file, record))
}

fn id_of<'b>(bytes: &'b [u8], layout: &Layout) -> Option<RawValue<'b>> {
    RawDocument::trusted(bytes.get(layout.bson_start..)?).get(ID_FIELD)
}

fn changed(file: &InputFile, record: u64) -> Error {
    Error::new(
        Code::SourceChanged,
        "a record is no longer what it was when the log was scanned",
    )
    .at(Place::offset(file.path(), record))
    .hint("stop LauraDB, then run the same command again")
}
