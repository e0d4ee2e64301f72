//! Reads `metadata.db`, trusting nothing. The layout is described in the parent module.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::collection::CollectionRecord;
use super::index::IndexRecord;
use crate::files::InputFile;
use crate::index::definition::ID_INDEX;
use crate::v2::address::PageId;
use crate::v2::catalog::{Catalog, CatalogEntry};
use crate::v2::page::{ChecksumPolicy, PAGE_SIZE, PageBytes, PageError, PageType};
use crate::v2::page_file::PageFileReader;
use crate::v2::statistics::StatisticsRecord;
use crate::{Code, Error, Place, Result};

/// An index: its record and its statistics.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexMetadata {
    /// What it is and where.
    pub record: IndexRecord,
    /// What it holds.
    pub statistics: StatisticsRecord,
}

/// A collection: its record and its indexes.
#[derive(Clone, Debug, PartialEq)]
pub struct CollectionMetadata {
    /// The collection itself.
    pub record: CollectionRecord,
    /// `_id_` first, then in the order of names.
    pub indexes: Vec<IndexMetadata>,
}

/// An open `metadata.db`.
#[derive(Debug)]
pub struct MetadataReader {
    file: PageFileReader,
    catalog: Catalog,
    catalog_pages: Vec<PageId>,
}

impl MetadataReader {
    /// Opens the file and reads its catalog.
    ///
    /// # Errors
    /// [`Code::PageDamaged`], [`Code::CatalogDamaged`]; a read fails.
    pub fn open(file: InputFile, policy: ChecksumPolicy) -> Result<Self> {
        Self::of_pages(PageFileReader::open(file, policy)?)
    }

    /// Reads the catalog of pages that are open already.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of_pages(file: PageFileReader) -> Result<Self> {
        let (catalog, catalog_pages) = Catalog::read_with_pages(&file)?;
        Ok(Self {
            file,
            catalog,
            catalog_pages,
        })
    }

    /// The pages that the catalog takes, page 0 first.
    #[must_use]
    pub fn catalog_pages(&self) -> &[PageId] {
        &self.catalog_pages
    }

    /// The catalog, inactive entries included.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The active collections, by id.
    pub fn collections(&self) -> impl Iterator<Item = &CatalogEntry> {
        self.catalog.entries.iter().filter(|entry| entry.active)
    }

    /// The pages below.
    #[must_use]
    pub fn file(&self) -> &PageFileReader {
        &self.file
    }

    /// Reads a collection's record and those of its indexes and their statistics.
    ///
    /// # Errors
    /// [`Code::PageDamaged`], [`Code::CatalogDamaged`]; a read fails.
    pub fn load(&self, entry: &CatalogEntry) -> Result<CollectionMetadata> {
        let page = entry.metadata_page;
        let loaded = self.collection(entry).and_then(|record| {
            let indexes = self.indexes(&record, page)?;
            Ok(CollectionMetadata { record, indexes })
        });
        loaded.map_err(|error| error.map_place(|place| place.in_collection(&*entry.name)))
    }

    fn collection(&self, entry: &CatalogEntry) -> Result<CollectionRecord> {
        let page = entry.metadata_page;
        let record = self.record(page, CollectionRecord::decode)?;
        if (record.collection_id, &record.name) != (entry.collection_id, &entry.name) {
            let sentence = format!(
                "the page describes collection {} {:?}, but the catalog has {} {:?} there",
                record.collection_id, record.name, entry.collection_id, entry.name
            );
            return Err(self.damaged(page, sentence));
        }
        Ok(record)
    }

    fn indexes(&self, collection: &CollectionRecord, page: PageId) -> Result<Vec<IndexMetadata>> {
        let first = PageId(page.0.saturating_add(1));
        let index_count = collection.index_count;
        self.check_run(page, first, index_count, "index pages")?;
        let statistics_page = collection.statistics_page;
        self.check_run(page, statistics_page, index_count, "statistics pages")?;
        let mut indexes: Vec<IndexMetadata> = Vec::new();
        for number in 0..u32::from(index_count) {
            let page = PageId(first.0.saturating_add(number));
            let record = self.record(page, IndexRecord::decode)?;
            let previous = indexes.last().map(|index| &index.record);
            if let Err(sentence) = follows(&record, previous, collection) {
                let error = self.damaged(page, sentence);
                return Err(error.map_place(|place| place.in_index(&*record.name)));
            }
            let page = PageId(statistics_page.0.saturating_add(number));
            let statistics = self.record(page, StatisticsRecord::decode)?;
            if statistics.index_id != record.index_id {
                let sentence = format!(
                    "the statistics are those of index {}, expected {}",
                    statistics.index_id, record.index_id
                );
                let error = self.damaged(page, sentence);
                return Err(error.map_place(|place| place.in_index(&*record.name)));
            }
            indexes.push(IndexMetadata { record, statistics });
        }
        Ok(indexes)
    }

    /// A run of pages must lie in the file before any is read.
    fn check_run(&self, page: PageId, first: PageId, count: u16, what: &str) -> Result<()> {
        let end = first.0.checked_add(u32::from(count));
        let inside = end.is_some_and(|end| end <= self.file.page_count());
        if count == 0 || (inside && first != PageId(0)) {
            return Ok(());
        }
        let sentence = format!(
            "the collection's {count} {what} from page {first} on do not lie in the file's {} pages",
            self.file.page_count()
        );
        Err(self.damaged(page, sentence))
    }

    fn record<R>(
        &self,
        page: PageId,
        decode: impl FnOnce(&PageBytes) -> Result<R, PageError>,
    ) -> Result<R> {
        let mut bytes = [0; PAGE_SIZE];
        self.file.read(page, PageType::Data, &mut bytes)?;
        decode(&bytes).map_err(|error| error.in_record(self.file.path(), page))
    }

    fn damaged(&self, page: PageId, sentence: impl Into<String>) -> Error {
        Error::new(Code::CatalogDamaged, sentence).at(Place::page(self.file.path(), page.0))
    }
}

/// Checks an index's record against its collection and the record before it.
fn follows(
    record: &IndexRecord,
    previous: Option<&IndexRecord>,
    collection: &CollectionRecord,
) -> Result<(), String> {
    if record.collection_id != collection.collection_id {
        return Err(format!(
            "the index belongs to collection {}, expected {}",
            record.collection_id, collection.collection_id
        ));
    }
    let before = previous.map_or(0, |previous| previous.index_id);
    if record.index_id <= before {
        return Err(format!(
            "index id {} does not follow {before}: ids grow from page to page",
            record.index_id
        ));
    }
    match previous {
        None if record.name != ID_INDEX => Err(format!("the first index is not {ID_INDEX}")),
        Some(previous) if previous.name != ID_INDEX && previous.name >= record.name => {
            Err(format!(
                "the index does not follow {:?} in the order of names",
                previous.name
            ))
        }
        Some(_) if record.name == ID_INDEX => Err(format!("a second index named {ID_INDEX}")),
        _ => Ok(()),
    }
}
