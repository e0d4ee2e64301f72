//! Writes `metadata.db` in one pass. The layout is described in the parent module.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "a collection has fewer than 2^16 indexes, and a file fewer than 2^32 pages"
)]

use super::collection::CollectionRecord;
use super::reader::IndexMetadata;
use crate::files::OutputFile;
use crate::v2::address::PageId;
use crate::v2::catalog::{CatalogEntry, CatalogPlan};
use crate::v2::page::{PAGE_SIZE, PageBytes};
use crate::v2::page_file::PageFileWriter;
use crate::{Code, Error, Place, Result};

/// All that the file's layout depends on, per collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionPlan {
    /// The collection's name; plans are in the order of names, bytewise, and get ids from 1 on.
    pub name: String,
    /// Indexes, `_id_` included.
    pub index_count: u16,
}

impl CollectionPlan {
    /// The collection's page, then a record and a statistics page per index.
    fn page_count(&self) -> u32 {
        1 + 2 * u32::from(self.index_count)
    }
}

/// Pages of the `metadata.db` of these collections.
///
/// # Errors
/// [`Code::LimitExceeded`] if they are more than page numbers allow.
pub fn metadata_page_count(plan: &[CollectionPlan]) -> Result<u32> {
    let catalog = catalog_pages(&CatalogPlan::new(plan.iter().map(|c| &*c.name)))?;
    plan.iter()
        .try_fold(catalog, |sum, next| sum.checked_add(next.page_count()))
        .ok_or_else(too_many)
}

/// Writes the catalog at once and then each collection as it comes, holding one page.
#[derive(Debug)]
pub struct MetadataWriter<'p> {
    file: PageFileWriter,
    plan: &'p [CollectionPlan],
    /// Collections written so far.
    written: usize,
    page: Box<PageBytes>,
}

impl<'p> MetadataWriter<'p> {
    /// Writes the catalog of the planned collections to an empty file.
    ///
    /// # Errors
    /// [`Code::Internal`] for names out of order, [`Code::CollectionName`],
    /// [`Code::LimitExceeded`]; a write fails.
    pub fn create(
        file: OutputFile,
        plan: &'p [CollectionPlan],
        buffer_bytes: usize,
    ) -> Result<Self> {
        if !plan.is_sorted_by(|one, next| one.name.as_bytes() < next.name.as_bytes()) {
            return Err(internal("collections are not in the order of their names"));
        }
        metadata_page_count(plan)?;
        let catalog = CatalogPlan::new(plan.iter().map(|collection| &*collection.name));
        let mut metadata_page = catalog_pages(&catalog)?;
        let next_id = u32::try_from(plan.len())
            .ok()
            .and_then(|n| n.checked_add(1));
        let next_id = next_id.ok_or_else(too_many)?;
        let entries = plan.iter().zip(1..).map(|(collection, collection_id)| {
            let entry = CatalogEntry {
                collection_id,
                name: collection.name.clone(),
                metadata_page: PageId(metadata_page),
                active: true,
                system: false,
            };
            // The sum of all is known to fit.
            metadata_page = metadata_page.saturating_add(collection.page_count());
            entry
        });
        let mut file = PageFileWriter::create(file, buffer_bytes);
        catalog.write(entries, next_id, |page| file.append_page(page).map(drop))?;
        Ok(Self {
            file,
            plan,
            written: 0,
            page: Box::new([0; PAGE_SIZE]),
        })
    }

    /// Writes the next collection with its indexes: `_id_` first, then in the order of names. The
    /// records' `index_count` and `statistics_page` are set here.
    ///
    /// # Errors
    /// [`Code::Internal`] when it is not what was planned, [`Code::IndexTooLarge`],
    /// [`Code::LimitExceeded`]; a write fails.
    pub fn write_collection(
        &mut self,
        collection: &CollectionRecord,
        indexes: &[IndexMetadata],
    ) -> Result<()> {
        let index_count = self.check_planned(collection, indexes)?;
        let metadata_page = self.file.next_page().0;
        let record = CollectionRecord {
            index_count,
            statistics_page: PageId(metadata_page + 1 + u32::from(index_count)),
            ..collection.clone()
        };
        let place = || Place::default().in_collection(&*collection.name);
        record.encode(&mut self.page).ok_or_else(|| {
            let sentence = "the collection's metadata does not fit its page";
            Error::new(Code::LimitExceeded, sentence).at(place())
        })?;
        self.file.append_page(&mut self.page)?;
        for index in indexes {
            index.record.encode(&mut self.page).ok_or_else(|| {
                let sentence = "the index's metadata does not fit its page";
                Error::new(Code::IndexTooLarge, sentence).at(place().in_index(&*index.record.name))
            })?;
            self.file.append_page(&mut self.page)?;
        }
        for index in indexes {
            index.statistics.encode(&mut self.page).ok_or_else(|| {
                let error = internal("the index's statistics do not fit their page");
                error.at(place().in_index(&*index.record.name))
            })?;
            self.file.append_page(&mut self.page)?;
        }
        self.written += 1;
        Ok(())
    }

    /// Ends the file after the last collection and makes it durable.
    ///
    /// # Errors
    /// [`Code::Internal`] when collections are missing; the write or the fsync fails.
    pub fn finish(mut self) -> Result<OutputFile> {
        if self.written != self.plan.len() {
            return Err(internal(
                "collections are missing at the end of metadata.db",
            ));
        }
        self.file.sync()?;
        self.file.into_file()
    }

    /// The number of indexes, if all is as planned.
    fn check_planned(
        &self,
        collection: &CollectionRecord,
        indexes: &[IndexMetadata],
    ) -> Result<u16> {
        let planned = self.plan.get(self.written);
        let planned = planned.filter(|plan| {
            plan.name == collection.name
                && usize::from(plan.index_count) == indexes.len()
                && usize::try_from(collection.collection_id) == Ok(self.written + 1)
        });
        let ids_follow = indexes.iter().zip(1..).all(|(index, index_id)| {
            index.record.index_id == index_id
                && index.statistics.index_id == index_id
                && index.record.collection_id == collection.collection_id
        });
        match planned {
            Some(plan) if ids_follow => Ok(plan.index_count),
            _ => {
                let error = internal("a collection or its indexes are not what was planned");
                Err(error.at(Place::default().in_collection(&*collection.name)))
            }
        }
    }
}

fn catalog_pages(catalog: &CatalogPlan) -> Result<u32> {
    u32::try_from(catalog.page_count()).map_err(|_| too_many())
}

fn too_many() -> Error {
    let sentence = "metadata.db would have more than 4294967295 pages";
    Error::new(Code::LimitExceeded, sentence)
}

fn internal(sentence: &str) -> Error {
    Error::new(Code::Internal, sentence)
}
