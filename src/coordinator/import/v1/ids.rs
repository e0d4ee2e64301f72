//! Whether documents that v2 tells apart get the same `_id` in v1: 5 and "5" print alike.

use crate::coordinator::import::OpenBackup;
use crate::coordinator::work::{SORT_RUNS, WorkDir};
use crate::document::bson::RawDocument;
use crate::index::key::{KeyBuffer, KeyValue};
use crate::index::sort::{NoFullKeys, SortPool, SorterId, SpillFile};
use crate::v1::snapshot::printed_id;
use crate::v2::{DocumentAddress, PageId, SlotNumber};
use crate::{Code, Error, Result};
use sha2::{Digest as _, Sha256};

/// Bytes of the buffer that sort runs are written from.
const RUN_BUFFER: usize = 256 << 10;

/// The printed `_id`s of one collection, sorted by their SHA-256 in bounded memory.
pub(super) struct PrintedIds {
    pool: SortPool,
    sorter: SorterId,
    key: KeyBuffer,
    documents: u64,
}

impl PrintedIds {
    pub(super) fn new(work: &WorkDir, memory: u64) -> Self {
        let runs = work.clone();
        let spill = SpillFile::new(move || runs.append_to(SORT_RUNS, 0, RUN_BUFFER));
        let mut pool = SortPool::new(usize::try_from(memory / 2).unwrap_or(usize::MAX), spill);
        Self {
            sorter: pool.add_index(),
            pool,
            key: KeyBuffer::new(),
            documents: 0,
        }
    }

    /// Adds the next document.
    pub(super) fn add(&mut self, document: RawDocument<'_>) -> Result<()> {
        let hash = Sha256::digest(printed_id(document).as_bytes());
        self.key.set(std::iter::once(KeyValue::Binary(&hash)));
        let address = address(self.documents)?;
        self.documents += 1;
        self.pool.push(self.sorter, &self.key, address)
    }

    /// Fails if two documents print alike, and names both; `collection` is the position in the
    /// backup.
    pub(super) fn check(mut self, backup: &OpenBackup, collection: usize) -> Result<()> {
        let mut merge = self.pool.merge(self.sorter, &NoFullKeys)?;
        let mut has_two = None;
        while let Some(entry) = merge.next()? {
            if entry.same_key_as_previous {
                has_two = Some(entry.normal.to_vec());
                break;
            }
        }
        let Some(normal) = has_two else {
            return Ok(());
        };
        let lines = backup.lines(collection, |document| {
            let hash = Sha256::digest(printed_id(document).as_bytes());
            self.key.set(std::iter::once(KeyValue::Binary(&hash)));
            self.key.normal() == normal
        })?;
        let (Some(first), Some(second)) = (lines.first(), lines.get(1)) else {
            return Err(Error::new(
                Code::Internal,
                "a printed _id is not found again",
            ));
        };
        let sentence = format!(
            "format 1.0 has one _id for both {} (line {}) and {} (line {}): it keeps them as text",
            first.id, first.number, second.id, second.number
        );
        let place = backup.source().place(collection, second.position);
        Err(Error::new(Code::PrintedIds, sentence)
            .at(place.with_id(&second.id))
            .hint("give one of the documents another _id in the database and take another backup"))
    }
}

/// A document's number as the address that the sort breaks ties by.
fn address(number: u64) -> Result<DocumentAddress> {
    let too_many = |_| Error::new(Code::LimitExceeded, "a collection has too many documents");
    Ok(DocumentAddress {
        page: PageId(u32::try_from(number >> 16).map_err(too_many)?),
        slot: SlotNumber(u16::try_from(number & 0xFFFF).map_err(too_many)?),
    })
}
