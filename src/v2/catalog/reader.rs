//! Reads the catalog, trusting nothing. The layout is described in the parent module.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::{
    ACTIVE, Catalog, CatalogEntry, MAGIC, SYSTEM, VERSION_CHAINED, VERSION_SINGLE,
    is_collection_name,
};
use crate::v2::address::PageId;
use crate::v2::page::{PAGE_HEADER_SIZE, PAGE_SIZE, PageBytes, PageError, PageType};
use crate::v2::page_file::PageFileReader;
use crate::v2::record::{RECORD_START, RecordReader};
use crate::{Code, Error, Place, Result};
use std::collections::HashSet;

/// What page 0 says besides its entries.
struct FirstPage {
    next_collection_id: u32,
    last_checkpoint_txn: u64,
    chain: PageId,
}

impl Catalog {
    /// Reads page 0 and all chain pages of a `metadata.db`.
    ///
    /// # Errors
    /// [`Code::PageDamaged`], [`Code::CatalogDamaged`]; a read fails.
    pub fn read(file: &PageFileReader) -> Result<Self> {
        Self::read_with_pages(file).map(|(catalog, _)| catalog)
    }

    /// [`Self::read`], and the pages that the catalog takes, page 0 first.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_with_pages(file: &PageFileReader) -> Result<(Self, Vec<PageId>)> {
        let mut bytes = [0; PAGE_SIZE];
        file.read(PageId(0), PageType::Data, &mut bytes)?;
        let mut entries = Vec::new();
        let first = first_page(&bytes, &mut entries)
            .map_err(|error| error.in_record(file.path(), PageId(0)))?;
        let mut next = first.chain;
        // Each page counts once, so a chain that loops ends.
        let mut seen = HashSet::from([PageId(0)]);
        let mut pages = vec![PageId(0)];
        while next != PageId(0) {
            let id = next;
            if !seen.insert(id) {
                return Err(damaged(file, id, "the catalog's chain of pages loops"));
            }
            file.read(id, PageType::Data, &mut bytes)?;
            pages.push(id);
            next = chain_page(&bytes, &mut entries)
                .map_err(|error| error.in_record(file.path(), id))?;
        }
        check_unique(file, &mut entries, first.next_collection_id)?;
        let catalog = Self {
            next_collection_id: first.next_collection_id,
            last_checkpoint_txn: first.last_checkpoint_txn,
            entries,
        };
        Ok((catalog, pages))
    }
}

fn first_page(page: &PageBytes, entries: &mut Vec<CatalogEntry>) -> Result<FirstPage, PageError> {
    let mut record = RecordReader::new(page, RECORD_START);
    let at = record.offset();
    let magic = record.u32("magic")?;
    if magic != MAGIC {
        let expected = format!("{MAGIC} (\"RUAL\")");
        return Err(PageError::field(at, "magic", magic, expected));
    }
    let at = record.offset();
    let version = record.u16("version")?;
    if !(VERSION_SINGLE..=VERSION_CHAINED).contains(&version) {
        let expected = if version < VERSION_SINGLE {
            "1 or 2; this is older than any known"
        } else {
            "1 or 2; this is newer than this tool"
        };
        return Err(PageError::field(at, "version", version, expected));
    }
    let count = record.u32("collection_count")?;
    let next_collection_id = record.u32("next_collection_id")?;
    let at = record.offset();
    let chain = record.u32("first_metadata_page")?;
    if (version == VERSION_CHAINED) != (chain != 0) {
        let expected = match version {
            VERSION_CHAINED => "a page, since the version is 2",
            _ => "0, since the version is 1",
        };
        return Err(PageError::field(at, "first_metadata_page", chain, expected));
    }
    record.u32("free_metadata_page")?;
    let last_checkpoint_txn = record.u64("last_checkpoint_txn")?;
    let at = record.offset();
    let reserved = record.u16("reserved")?;
    if reserved != 0 {
        return Err(PageError::field(at, "reserved", reserved, "0"));
    }
    read_entries(&mut record, count, entries)?;
    Ok(FirstPage {
        next_collection_id,
        last_checkpoint_txn,
        chain: PageId(chain),
    })
}

fn chain_page(page: &PageBytes, entries: &mut Vec<CatalogEntry>) -> Result<PageId, PageError> {
    let mut record = RecordReader::new(page, PAGE_HEADER_SIZE);
    let next = PageId(record.u32("next")?);
    let count = record.u32("entry_count")?;
    read_entries(&mut record, count, entries)?;
    Ok(next)
}

/// A count beyond the page ends at the page's end, an entry having 13 bytes at least.
fn read_entries(
    record: &mut RecordReader<'_>,
    count: u32,
    entries: &mut Vec<CatalogEntry>,
) -> Result<(), PageError> {
    for _ in 0..count {
        let at = record.offset();
        let collection_id = record.u32("collection_id")?;
        if collection_id == 0 {
            return Err(PageError::field(at, "collection_id", 0_u32, "1 or more"));
        }
        let at = record.offset();
        let name = record.text16("collection name")?;
        if !is_collection_name(name) {
            let found = name.len() as u64;
            let expected = "1 to 255, and no NUL in the name";
            return Err(PageError::field(at, "name length", found, expected));
        }
        let metadata_page = PageId(record.u32("metadata_page")?);
        let at = record.offset();
        let flags = record.u16("entry flags")?;
        if flags & !(ACTIVE | SYSTEM) != 0 {
            let expected = "a sum of 1 (active), 2 (system)";
            return Err(PageError::field(at, "entry flags", flags, expected));
        }
        entries.push(CatalogEntry {
            collection_id,
            name: name.to_owned(),
            metadata_page,
            active: flags & ACTIVE != 0,
            system: flags & SYSTEM != 0,
        });
    }
    Ok(())
}

/// Sorts the entries by id and checks that ids and names are unique and below the next id.
fn check_unique(
    file: &PageFileReader,
    entries: &mut [CatalogEntry],
    next_collection_id: u32,
) -> Result<()> {
    let first = PageId(0);
    entries.sort_unstable_by_key(|entry| entry.collection_id);
    let mut ids = entries.iter().map(|entry| entry.collection_id);
    if let Some(id) = ids.find(|id| *id >= next_collection_id) {
        let sentence = format!("collection id {id} is not below the next id {next_collection_id}");
        return Err(damaged(file, first, sentence));
    }
    let twice = entries.windows(2).find_map(|pair| match pair {
        [one, other] if one.collection_id == other.collection_id => Some((one, other)),
        _ => None,
    });
    if let Some((one, other)) = twice {
        let (one, other) = (&one.name, &other.name);
        let sentence = format!("{one:?} and {other:?} have the same collection id");
        return Err(damaged(file, first, sentence));
    }
    let mut names = HashSet::with_capacity(entries.len());
    match entries.iter().find(|entry| !names.insert(&*entry.name)) {
        None => Ok(()),
        Some(twice) => {
            let sentence = "the catalog lists a collection twice";
            let error = damaged(file, first, sentence);
            Err(error.map_place(|place| place.in_collection(&*twice.name)))
        }
    }
}

fn damaged(file: &PageFileReader, page: PageId, sentence: impl Into<String>) -> Error {
    Error::new(Code::CatalogDamaged, sentence).at(Place::page(file.path(), page.0))
}
