//! Which documents stay at an older state because a record that changes them cannot be used.

use super::bad::{BadRecord, LeftOlder, MOST_NAMED};
use super::payload::split;
use super::record::{HEADER_BYTES, MAX_DATA_BYTES, RecordHeader, RecordKind};
use crate::Result;
use crate::document::ID_FIELD;
use crate::document::bson::{RawDocument, RawValue};
use crate::files::InputFile;

/// Bad operations whose documents may be named.
#[derive(Debug, Default)]
pub(super) struct Older {
    suspects: Vec<Suspect>,
    more: u64,
}

#[derive(Debug)]
struct Suspect {
    left: LeftOlder,
    offset: u64,
    bytes: u64,
    /// The operation would have taken effect: its transaction has committed, or it has none.
    is_effective: bool,
}

impl Older {
    /// A bad record; `is_late` says that the snapshot does not have its operation.
    pub(super) fn reject(&mut self, header: &RecordHeader, record: &BadRecord, is_late: bool) {
        let is_operation = RecordKind::from_byte(header.kind).is_none_or(RecordKind::is_operation);
        if !is_operation || (header.txn_id == 0 && !is_late) {
            return;
        }
        if self.suspects.len() == MOST_NAMED {
            self.more = self.more.saturating_add(1);
            return;
        }
        self.suspects.push(Suspect {
            left: LeftOlder {
                place: record.place.clone(),
                txn_id: header.txn_id,
            },
            offset: record.offset,
            bytes: record.bytes,
            is_effective: header.txn_id == 0,
        });
    }

    /// A transaction ends; its operations take effect or not.
    pub(super) fn end(&mut self, txn_id: u64, takes_effect: bool) {
        if txn_id == 0 {
            return;
        }
        self.suspects.retain_mut(|suspect| {
            let ends = suspect.left.txn_id == txn_id && !suspect.is_effective;
            suspect.is_effective |= ends && takes_effect;
            !ends || takes_effect
        });
    }

    /// Bad operations that there was no room for.
    pub(super) fn more(&self) -> u64 {
        self.more
    }

    /// Those that no later operation makes up for; `last_record` gives the offset of the last
    /// effective operation on a document.
    pub(super) fn finish(
        self,
        file: &InputFile,
        last_record: impl Fn(&str, RawValue<'_>) -> Result<Option<u64>>,
    ) -> Result<Vec<LeftOlder>> {
        let mut left = Vec::new();
        for suspect in self.suspects {
            if !suspect.is_effective {
                continue;
            }
            let later = suspect.later_record(file, &last_record)?;
            if later.is_none_or(|record| record < suspect.offset) {
                left.push(suspect.left);
            }
        }
        Ok(left)
    }
}

impl Suspect {
    fn later_record(
        &self,
        file: &InputFile,
        last_record: &impl Fn(&str, RawValue<'_>) -> Result<Option<u64>>,
    ) -> Result<Option<u64>> {
        let Some(length) = usize::try_from(self.bytes).ok().filter(|length| {
            *length <= HEADER_BYTES + MAX_DATA_BYTES && self.left.place.id.is_some()
        }) else {
            return Ok(None);
        };
        let mut record = vec![0; length];
        file.read_exact_at(&mut record, self.offset)?;
        let Ok((name, document)) = split(record.get(HEADER_BYTES..).unwrap_or_default()) else {
            return Ok(None);
        };
        match (
            str::from_utf8(name),
            RawDocument::trusted(document).get(ID_FIELD),
        ) {
            (Ok(name), Some(id)) => last_record(name, id),
            _ => Ok(None),
        }
    }
}
