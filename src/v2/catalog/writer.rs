//! Writes the catalog's pages. The layout is described in the parent module.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "an entry is only placed where it fits, and names have 255 bytes at most"
)]

use super::{
    ACTIVE, CHAIN_ENTRIES_START, CatalogEntry, ENTRIES_START, ENTRY_FIXED_SIZE, MAGIC, SYSTEM,
    VERSION_CHAINED, VERSION_SINGLE, is_collection_name,
};
use crate::v2::page::{self, PAGE_HEADER_SIZE, PAGE_SIZE, PageBytes, PageType};
use crate::v2::record::{RECORD_START, RecordWriter};
use crate::{Code, Error, Result};

/// How many pages a catalog takes, and how many entries each holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogPlan {
    /// Page 0, then the chain pages, which follow it.
    entries_per_page: Vec<u32>,
}

impl CatalogPlan {
    /// Distributes entries with these names, in this order, over as few pages as the order allows.
    #[must_use]
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut entries_per_page = Vec::new();
        let (mut count, mut end) = (0, ENTRIES_START);
        for name in names {
            let size = ENTRY_FIXED_SIZE + name.len();
            if end + size > PAGE_SIZE {
                entries_per_page.push(count);
                (count, end) = (0, CHAIN_ENTRIES_START);
            }
            count += 1;
            end += size;
        }
        entries_per_page.push(count);
        Self { entries_per_page }
    }

    /// Pages, page 0 included.
    #[must_use]
    pub fn page_count(&self) -> usize {
        self.entries_per_page.len()
    }

    /// Writes the catalog to `sink`, which gives its pages the ids from 0 on and seals them.
    ///
    /// # Errors
    /// [`Code::Internal`] when the entries are not those that were planned for; those of the sink.
    pub fn write(
        &self,
        entries: impl IntoIterator<Item = CatalogEntry>,
        next_collection_id: u32,
        mut sink: impl FnMut(&mut PageBytes) -> Result<()>,
    ) -> Result<()> {
        let mut entries = entries.into_iter();
        let mut bytes = [0; PAGE_SIZE];
        let last = self.page_count() - 1;
        for (number, count) in self.entries_per_page.iter().enumerate() {
            let next = if number < last { number + 1 } else { 0 };
            let next = u32::try_from(next).map_err(|_| too_many())?;
            let (start, mut record) = if number == 0 {
                (RECORD_START, header(*count, next_collection_id, next))
            } else {
                (PAGE_HEADER_SIZE, chain_header(*count, next))
            };
            for _ in 0..*count {
                let entry = entries.next().ok_or_else(unplanned)?;
                put_entry(&mut record, &entry)?;
            }
            page::begin(&mut bytes, PageType::Data);
            record.fill(&mut bytes, start).ok_or_else(unplanned)?;
            sink(&mut bytes)?;
        }
        entries.next().map_or(Ok(()), |_| Err(unplanned()))
    }
}

fn header(count: u32, next_collection_id: u32, first_chain_page: u32) -> RecordWriter {
    let version = match first_chain_page {
        0 => VERSION_SINGLE,
        _ => VERSION_CHAINED,
    };
    let mut record = RecordWriter::default();
    record
        .put(MAGIC.to_le_bytes())
        .put(version.to_le_bytes())
        .put(count.to_le_bytes())
        .put(next_collection_id.to_le_bytes())
        .put(first_chain_page.to_le_bytes())
        .put(0_u32.to_le_bytes())
        .put(0_u64.to_le_bytes())
        .put(0_u16.to_le_bytes());
    record
}

fn chain_header(count: u32, next: u32) -> RecordWriter {
    let mut record = RecordWriter::default();
    record.put(next.to_le_bytes()).put(count.to_le_bytes());
    record
}

fn put_entry(record: &mut RecordWriter, entry: &CatalogEntry) -> Result<()> {
    if !is_collection_name(&entry.name) {
        let sentence = format!("format v2 cannot take the collection name {:?}", entry.name);
        return Err(Error::new(Code::CollectionName, sentence));
    }
    let flag = |set, flag| if set { flag } else { 0 };
    let flags = flag(entry.active, ACTIVE) | flag(entry.system, SYSTEM);
    record
        .put(entry.collection_id.to_le_bytes())
        .text16(&entry.name)
        .put(entry.metadata_page.0.to_le_bytes())
        .put(flags.to_le_bytes());
    Ok(())
}

fn unplanned() -> Error {
    Error::new(
        Code::Internal,
        "the catalog's entries are not those planned for",
    )
}

fn too_many() -> Error {
    Error::new(
        Code::LimitExceeded,
        "the catalog would have more than 4294967295 pages",
    )
}
