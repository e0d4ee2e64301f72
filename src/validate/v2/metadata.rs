//! `metadata.db`: every page, the catalog, the records, and that nothing else is in it.

use super::Check;
use super::accounting::Accounting;
use super::pages::scan_pages;
use crate::error::Place;
use crate::files::InputFile;
use crate::index::IndexDefinition;
use crate::index::definition::ID_INDEX;
use crate::v2::PageId;
use crate::v2::catalog::{CatalogEntry, CatalogPlan};
use crate::v2::metadata::{CollectionMetadata, MetadataReader};
use crate::v2::page::{self, PAGE_SIZE, PageBytes};
use crate::v2::page_file::PageFileReader;
use crate::validate::Resources;
use crate::{Code, Result};

/// What the file says.
pub(super) struct Described {
    /// The file, for places.
    pub(super) file: PageFileReader,
    /// By id.
    pub(super) collections: Vec<CollectionMetadata>,
    /// No collection is missing because it cannot be read.
    pub(super) is_complete: bool,
}

impl Described {
    /// The one instant of a migration, as the first collection has it.
    pub(super) fn created_ns(&self) -> Option<i64> {
        let first = self.collections.first()?;
        Some(first.record.created_ns)
    }
}

pub(super) fn check(
    check: &Check<'_>,
    file: &InputFile,
    resources: &mut Resources<'_>,
) -> Result<Option<Described>> {
    let opened = check.metadata_pages(file.clone());
    let Some(pages) = check.problems.catch(opened)? else {
        return Ok(None);
    };
    let mut accounting = Accounting::new(&pages, resources.memory)?;
    scan_pages(&pages, file, resources, &mut |id, bytes| {
        if let Err(error) = verify(check, id, bytes) {
            accounting.report(check, id, pages.damaged(id, error))?;
        }
        accounting.expect(id);
        Ok(())
    })?;
    let reader = match MetadataReader::of_pages(pages.clone()) {
        Ok(reader) => reader,
        Err(error) => {
            let page = error.place().page.map(PageId);
            if page.is_none_or(|page| !accounting.is_damaged(page)) {
                check.problems.take(error)?;
            }
            return Ok(None);
        }
    };
    let mut described = Described {
        file: pages,
        collections: Vec::new(),
        is_complete: true,
    };
    for entry in &reader.catalog().entries {
        match reader.load(entry) {
            Ok(loaded) => {
                reach(check, &described, &mut accounting, entry, &loaded);
                if entry.active {
                    described.collections.push(loaded);
                }
            }
            Err(error) => {
                described.is_complete = false;
                let page = PageId(error.place().page.unwrap_or(u32::MAX));
                accounting.report(check, page, error)?;
            }
        }
    }
    reach_catalog(check, &described, &mut accounting, &reader);
    if check.fresh {
        check_fresh(check, &described, &reader)?;
        accounting.finish(check, &described.file);
    }
    Ok(Some(described))
}

/// All pages of the file are data pages.
fn verify(check: &Check<'_>, id: PageId, bytes: &PageBytes) -> Result<(), page::PageError> {
    page::verify(bytes, id, page::PageType::Data, check.policy)?;
    super::pages::check_header(check, bytes)
}

/// Every record's page is that of one thing.
fn reach(
    check: &Check<'_>,
    described: &Described,
    accounting: &mut Accounting,
    entry: &CatalogEntry,
    loaded: &CollectionMetadata,
) {
    let count = u32::from(loaded.record.index_count);
    let first = entry.metadata_page.0;
    let statistics = loaded.record.statistics_page.0;
    let records = first..=first.saturating_add(count);
    for page in records.chain(statistics..statistics.saturating_add(count)) {
        if !accounting.reach(PageId(page)) {
            let sentence = "the page has the record of two things";
            let place = Place::page(described.file.path(), page).in_collection(&*entry.name);
            check.add(Code::PageUnaccounted, sentence, place);
        }
    }
    if let Some(index) = loaded.indexes.first()
        && let Some(definition) = index.record.definition()
        && definition != IndexDefinition::id_index()
    {
        let sentence = format!("the index {ID_INDEX} is not the unique index of _id");
        let place = Place::page(described.file.path(), first.saturating_add(1));
        check.add(
            Code::CatalogDamaged,
            sentence,
            place.in_collection(&*entry.name).in_index(ID_INDEX),
        );
    }
    if loaded.indexes.is_empty() {
        let sentence = format!("the collection has no index {ID_INDEX}");
        let place = Place::page(described.file.path(), first).in_collection(&*entry.name);
        check.add(Code::CatalogDamaged, sentence, place);
    }
}

fn reach_catalog(
    check: &Check<'_>,
    described: &Described,
    accounting: &mut Accounting,
    reader: &MetadataReader,
) {
    for page in reader.catalog_pages() {
        if !accounting.reach(*page) {
            let sentence = "the page has a part of the catalog and something else";
            let place = Place::page(described.file.path(), page.0);
            check.add(Code::PageUnaccounted, sentence, place);
        }
    }
    if !described.is_complete {
        accounting.is_partial();
    }
}

/// As a migration writes the file, every byte of it follows from what it says.
fn check_fresh(check: &Check<'_>, described: &Described, reader: &MetadataReader) -> Result<()> {
    let catalog = reader.catalog();
    if !described.is_complete || catalog.entries.len() != described.collections.len() {
        return Ok(());
    }
    let plan = CatalogPlan::new(catalog.entries.iter().map(|entry| &*entry.name));
    let mut page = 0;
    let entries = catalog.entries.iter().cloned();
    plan.write(entries, catalog.next_collection_id, |bytes| {
        let id = PageId(page);
        page = page.saturating_add(1);
        compare(check, described, id, bytes, "the catalog")
    })?;
    let created = described.created_ns().unwrap_or_default();
    let mut bytes = [0; PAGE_SIZE];
    for (entry, loaded) in catalog.entries.iter().zip(&described.collections) {
        let first = entry.metadata_page.0;
        if loaded.record.encode(&mut bytes).is_some() {
            let id = PageId(first);
            compare(check, described, id, &mut bytes, "the collection's record")?;
        }
        let statistics = loaded.record.statistics_page.0;
        for (index, number) in loaded.indexes.iter().zip(0_u32..) {
            if index.record.encode(&mut bytes).is_some() {
                let id = PageId(first.saturating_add(number.saturating_add(1)));
                compare(check, described, id, &mut bytes, "the index's record")?;
            }
            if index.statistics.encode(&mut bytes).is_some() {
                let id = PageId(statistics.saturating_add(number));
                compare(check, described, id, &mut bytes, "the index's statistics")?;
            }
            let times = [index.record.created_ns, index.statistics.last_updated_ns];
            let used = (index.statistics.scans, index.statistics.seeks);
            if times != [created; 2]
                || used != (0, 0)
                || index.statistics.last_access_ns != 0
                || loaded.record.created_ns != created
            {
                let sentence = "times or uses of the index are not those of one migration";
                let place = Place::page(described.file.path(), statistics.saturating_add(number));
                let place = place.in_collection(&*entry.name);
                check.add(
                    Code::FiguresDiffer,
                    sentence,
                    place.in_index(&*index.record.name),
                );
            }
        }
    }
    Ok(())
}

/// A page that was made again from what it says must be the page that is there.
fn compare(
    check: &Check<'_>,
    described: &Described,
    id: PageId,
    bytes: &mut PageBytes,
    what: &str,
) -> Result<()> {
    page::seal(bytes, id);
    let mut there = [0; PAGE_SIZE];
    described
        .file
        .read(id, page::PageType::Data, &mut there)
        .or_else(|error| check.problems.take(error))?;
    if let Some(at) = bytes
        .iter()
        .zip(&there)
        .position(|(one, other)| one != other)
    {
        let sentence = format!("byte {at} of the page: {what} holds a byte that means nothing");
        let place = Place::page(described.file.path(), id.0);
        check.add(Code::NotAsPublished, sentence, place);
    }
    Ok(())
}
