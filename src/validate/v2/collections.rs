//! `data.db`: every page once, the documents in them, and the keys that indexes must have.

use super::accounting::Accounting;
use super::indexes::IndexKeys;
use super::metadata::Described;
use super::owners::{Owners, owner_bits};
use super::pages::{check_header, scan_pages};
use super::{Check, trees};
use crate::document::ID_FIELD;
use crate::document::bson::{self, RawDocument};
use crate::error::Place;
use crate::files::InputFile;
use crate::index::text::TextScratch;
use crate::large::{prepare, release};
use crate::v2::freelist::FreeListPage;
use crate::v2::metadata::{CollectionMetadata, ContentDigest};
use crate::v2::overflow::ChainReader;
use crate::v2::page::{self, PAGE_SIZE, PageBytes, PageError, PageHeader, PageType};
use crate::v2::page_file::PageFileReader;
use crate::v2::postings::{Chunk, ChunkAddress, ChunkSum};
use crate::v2::slotted::{OverflowHead, SlotContent, SlottedPage};
use crate::v2::{DocumentAddress, PageId, SlotNumber};
use crate::validate::Resources;
use crate::validate::sums::{ContentSums, DocumentHash};
use crate::{Code, Error, Result};
use std::collections::{BTreeMap, HashMap};

/// Where the slotted page header has its owner, from the page's start.
const OWNER: usize = 26;

/// What is found of one collection.
pub(super) struct Found<'d> {
    pub(super) metadata: &'d CollectionMetadata,
    pub(super) sums: ContentSums,
    digest: ContentDigest,
    first_data_page: PageId,
    pub(super) keys: IndexKeys,
}

/// The pass over the file.
pub(super) struct DataPass<'c, 'd> {
    pub(super) check: &'c Check<'c>,
    pub(super) pages: PageFileReader,
    pub(super) accounting: Accounting,
    pub(super) collections: Vec<Found<'d>>,
    /// Chunks of posting pages, by owner.
    pub(super) chunks: HashMap<u16, ChunkSum>,
    owners: Owners,
    hash: DocumentHash,
    free_lists: Vec<PageId>,
    /// Nothing is known of collections, so pages belong to nobody.
    is_blind: bool,
    chain_page: Box<PageBytes>,
    document: Vec<u8>,
    scratch: TextScratch,
}

pub(super) fn check(
    check: &Check<'_>,
    file: &InputFile,
    described: Option<&Described>,
    resources: &mut Resources<'_>,
) -> Result<BTreeMap<String, ContentSums>> {
    let opened = check.data_pages(file.clone());
    let Some(pages) = check.problems.catch(opened)? else {
        return Ok(BTreeMap::new());
    };
    let known = described.map_or(&[][..], |described| &described.collections);
    let mut collections = Vec::with_capacity(known.len());
    for metadata in known {
        collections.push(Found {
            metadata,
            sums: ContentSums {
                is_complete: true,
                ..ContentSums::default()
            },
            digest: ContentDigest::default(),
            first_data_page: PageId(0),
            keys: IndexKeys::new(check, metadata)?,
        });
    }
    // A reader of its own: what is read at random is not to be taken for the front of the file.
    let random = file.without_hashing();
    let mut pass = DataPass {
        check,
        accounting: Accounting::new(&pages, resources.memory)?,
        owners: Owners::new(check, &pages, known),
        pages: check.data_pages(random)?,
        collections,
        chunks: HashMap::new(),
        hash: DocumentHash::new(resources.sample),
        free_lists: Vec::new(),
        is_blind: described.is_none_or(|described| !described.is_complete),
        chain_page: Box::new([0; PAGE_SIZE]),
        document: Vec::new(),
        scratch: TextScratch::default(),
    };
    scan_pages(&pages, file, resources, &mut |id, bytes| {
        pass.page(id, bytes)
    })?;
    if let Some(described) = described {
        pass.compare_figures(described);
        trees::check(&mut pass, described, resources)?;
    }
    pass.free_lists()?;
    if !pass.is_blind {
        pass.accounting.finish(check, &pass.pages);
    }
    let sums = pass.collections.into_iter();
    Ok(sums
        .map(|found| (found.metadata.record.name.clone(), found.sums))
        .collect())
}

impl DataPass<'_, '_> {
    fn page(&mut self, id: PageId, bytes: &PageBytes) -> Result<()> {
        let number = PageHeader::decode(bytes).page_type;
        let page_type = PageType::from_u8(number);
        let header = page::verify(
            bytes,
            id,
            page_type.unwrap_or(PageType::Data),
            self.check.policy,
        );
        let header = header.and_then(|()| check_header(self.check, bytes));
        if let Err(error) = header {
            return self.damaged(id, error);
        }
        match page_type {
            Some(PageType::Data) => self.data(id, bytes),
            Some(PageType::Index) => self.index(id, bytes),
            Some(PageType::Overflow) => {
                self.accounting.expect(id);
                Ok(())
            }
            Some(PageType::FreeList) => {
                if self.check.fresh {
                    let sentence = "a migration leaves no free list, but here is a page of one";
                    let place = Place::page(self.pages.path(), id.0);
                    self.check.add(Code::PageUnaccounted, sentence, place);
                }
                self.free_lists.push(id);
                Ok(())
            }
            // A type that is none has failed as a data page.
            None => Ok(()),
        }
    }

    /// Damage of a page; nobody knows what was in it.
    fn damaged(&mut self, id: PageId, error: PageError) -> Result<()> {
        let error = self.pages.damaged(id, error);
        self.lose(id);
        let position = self.owners.by_extent(id);
        let error = match position.and_then(|position| self.collections.get(position)) {
            Some(found) => {
                error.map_place(|place| place.in_collection(&*found.metadata.record.name))
            }
            None => error,
        };
        self.accounting.report(self.check, id, error)
    }

    /// The documents of a page are not known.
    fn lose(&mut self, id: PageId) {
        match self.owners.by_extent(id) {
            Some(position) => self.lose_of(position),
            // As a migration leaves the file, there are no documents outside the extents.
            None if self.check.fresh => {}
            None => (0..self.collections.len()).for_each(|position| self.lose_of(position)),
        }
    }

    fn lose_of(&mut self, position: usize) {
        if let Some(found) = self.collections.get_mut(position) {
            found.sums.is_complete = false;
        }
    }

    fn data(&mut self, id: PageId, bytes: &PageBytes) -> Result<()> {
        let slotted = match SlottedPage::open(bytes) {
            Ok(slotted) => slotted,
            Err(error) => return self.damaged(id, error),
        };
        if let Err(error) = slotted.check_layout() {
            self.lose(id);
            let error = self.pages.damaged(id, error);
            self.accounting.report(self.check, id, error)?;
        }
        if id == PageId(0) {
            if slotted.slot_count() != 0 {
                let error = PageError::field(16, "slot_count", slotted.slot_count(), "0 in page 0");
                return self.damaged(id, error);
            }
            return Ok(());
        }
        if self.is_blind && self.collections.is_empty() {
            return Ok(());
        }
        let Some(position) = self.owner(id, &slotted)? else {
            return Ok(());
        };
        if let Some(found) = self.collections.get_mut(position)
            && found.first_data_page == PageId(0)
        {
            found.first_data_page = id;
        }
        for number in 0..slotted.slot_count() {
            let slot = SlotNumber(number);
            match slotted.get(slot) {
                Ok(None) => {}
                Ok(Some(content)) => {
                    self.slot(position, DocumentAddress { page: id, slot }, content)?;
                }
                Err(error) => {
                    self.lose_of(position);
                    let error = self.pages.damaged(id, error);
                    let error = error.map_place(|place| place.with_slot(number));
                    self.check.problems.take(error)?;
                }
            }
        }
        Ok(())
    }

    /// The collection of a slotted page; `None` where it has none and needs none, or the damage was
    /// reported.
    fn owner(&mut self, id: PageId, slotted: &SlottedPage<'_>) -> Result<Option<usize>> {
        let owner = slotted.owner();
        let Some(position) = self.owners.by_extent(id) else {
            let is_empty = slotted.slots().next().is_none();
            let found = self.owners.by_owner(owner);
            if is_empty && !self.check.fresh {
                return Ok(None);
            }
            if self.is_blind && found.is_none() {
                return Ok(None);
            }
            if found.is_none() || self.check.fresh {
                let sentence =
                    format!("the page lies in no collection's extent, and names the owner {owner}");
                let place = Place::page(self.pages.path(), id.0);
                self.check.add(Code::PageUnaccounted, sentence, place);
            }
            return Ok(found);
        };
        let expected = self
            .collections
            .get(position)
            .map_or(0, |found| owner_bits(found.metadata.record.collection_id));
        if owner != expected {
            let expected = format!("{expected}, the collection's id");
            self.damaged(id, PageError::field(OWNER, "owner", owner, expected))?;
            return Ok(None);
        }
        Ok(Some(position))
    }

    fn slot(
        &mut self,
        position: usize,
        address: DocumentAddress,
        content: SlotContent<'_>,
    ) -> Result<()> {
        match content {
            SlotContent::Document(bytes) => self.document(position, address, bytes),
            SlotContent::Overflow(head) => {
                if self.chain(position, address, head)? {
                    let document = std::mem::take(&mut self.document);
                    let checked = self.document(position, address, &document);
                    self.document = document;
                    release(&mut self.document);
                    checked
                } else {
                    self.lose_of(position);
                    Ok(())
                }
            }
        }
    }

    /// Puts an overflow document together; false if it is damaged, which is reported.
    fn chain(
        &mut self,
        position: usize,
        address: DocumentAddress,
        head: OverflowHead,
    ) -> Result<bool> {
        prepare(&mut self.document, head.total_size() as usize);
        let mut chain = ChainReader::new(head);
        while let Some(page) = chain.next_page() {
            let read = self
                .pages
                .read(page, PageType::Overflow, &mut self.chain_page);
            let taken = read.and_then(|()| {
                let taken = chain.take(&self.chain_page, &mut self.document);
                taken.map_err(|error| self.pages.damaged(page, error))
            });
            if let Err(error) = taken {
                let sentence = format!("the overflow chain of {address} is broken");
                let place = self.place(position, error.place().clone());
                let error = Error::new(error.code(), sentence).at(place).because(error);
                self.accounting.report(self.check, page, error)?;
                return Ok(false);
            }
            if !self.accounting.reach(page) {
                let sentence = format!("the page belongs to two documents, one of them {address}");
                let place = self.place(position, Place::page(self.pages.path(), page.0));
                self.check.add(Code::PageUnaccounted, sentence, place);
                return Ok(false);
            }
            if self.check.fresh && self.owners.by_extent(page) != Some(position) {
                let sentence =
                    format!("the page is outside its collection's extent, reached from {address}");
                let place = self.place(position, Place::page(self.pages.path(), page.0));
                self.check.add(Code::PageUnaccounted, sentence, place);
            }
        }
        Ok(true)
    }

    fn place(&self, position: usize, place: Place) -> Place {
        match self.collections.get(position) {
            Some(found) => place.in_collection(&*found.metadata.record.name),
            None => place,
        }
    }

    fn document(&mut self, position: usize, address: DocumentAddress, bytes: &[u8]) -> Result<()> {
        let document = match bson::check(bytes) {
            Ok(document) => document,
            Err(error) => {
                let place = Place::page(self.pages.path(), address.page.0);
                let place = self.place(position, place.with_slot(address.slot.0));
                self.lose_of(position);
                let error = Error::new(Code::PageDamaged, "the slot holds no valid document")
                    .at(place)
                    .because(error);
                return self.check.problems.take(error);
            }
        };
        if document.get(ID_FIELD).is_none() {
            let place = Place::page(self.pages.path(), address.page.0);
            let place = self.place(position, place.with_slot(address.slot.0));
            self.check
                .add(Code::PageDamaged, "the document has no _id", place);
        }
        self.count(position, address, document);
        Ok(())
    }

    fn count(&mut self, position: usize, address: DocumentAddress, document: RawDocument<'_>) {
        let Some(found) = self.collections.get_mut(position) else {
            return;
        };
        let bytes = document.as_bytes();
        found.sums.add(self.hash.of(document), bytes.len());
        if self.check.fresh {
            found.digest.add_document(bytes);
        }
        found.keys.add(document, address, &mut self.scratch);
    }

    /// A node, which the walk of its index must reach, or a page of posting chunks.
    fn index(&mut self, id: PageId, bytes: &PageBytes) -> Result<()> {
        // Nodes have zeros there, posting pages at least one slot.
        let slots = crate::bytes::get_u16(bytes, page::PAGE_HEADER_SIZE).unwrap_or_default();
        if slots == 0 {
            self.accounting.expect(id);
            return Ok(());
        }
        let slotted = match SlottedPage::open(bytes) {
            Ok(slotted) => slotted,
            Err(error) => return self.damaged(id, error),
        };
        if let Err(error) = slotted.check_layout() {
            return self.damaged(id, error);
        }
        for number in 0..slotted.slot_count() {
            let slot = SlotNumber(number);
            let chunk = match slotted.get(slot) {
                Ok(Some(SlotContent::Document(content))) => {
                    Chunk::parse(content).map_err(|error| error.to_string())
                }
                Ok(None) => continue,
                Ok(Some(SlotContent::Overflow(_))) => Err("the slot is an overflow head".into()),
                Err(error) => Err(error.to_string()),
            };
            match chunk {
                Ok(_) => {
                    let chunks = self.chunks.entry(slotted.owner()).or_default();
                    chunks.add(ChunkAddress { page: id, slot });
                }
                Err(sentence) => {
                    let place = Place::page(self.pages.path(), id.0).with_slot(number);
                    self.accounting.is_partial();
                    self.check.add(Code::PageDamaged, sentence, place);
                }
            }
        }
        Ok(())
    }

    /// Compares what was found of the collections with what their records say.
    fn compare_figures(&self, described: &Described) {
        for found in &self.collections {
            let record = &found.metadata.record;
            if !found.sums.is_complete {
                continue;
            }
            let wrong = |sentence: String| {
                let place = Place::file(described.file.path()).in_collection(&*record.name);
                self.check.add(Code::FiguresDiffer, sentence, place);
            };
            let (count, bytes) = (found.sums.contents.count, found.sums.bytes);
            if count != record.document_count {
                let said = record.document_count;
                wrong(format!(
                    "the pages hold {count} documents, {said} are recorded"
                ));
            }
            if bytes != record.data_size {
                let said = record.data_size;
                wrong(format!(
                    "the documents have {bytes} bytes, {said} are recorded"
                ));
            }
            if !self.check.fresh {
                continue;
            }
            if found.first_data_page != record.first_data_page {
                let (page, said) = (found.first_data_page, record.first_data_page);
                wrong(format!("the first data page is {page}, {said} is recorded"));
            }
            let options = record.options.as_ref();
            if options.and_then(|options| options.content_digest) != Some(found.digest) {
                let digest = found.digest;
                wrong(format!(
                    "the documents' digest is {digest}, another one is recorded"
                ));
            }
        }
    }

    /// Pages that are free are in no use.
    fn free_lists(&mut self) -> Result<()> {
        let mut bytes = [0; PAGE_SIZE];
        for list in std::mem::take(&mut self.free_lists) {
            self.pages.read(list, PageType::FreeList, &mut bytes)?;
            let free = match FreeListPage::open(&bytes) {
                Ok(free) => free,
                Err(error) => {
                    let error = self.pages.damaged(list, error);
                    self.accounting.report(self.check, list, error)?;
                    continue;
                }
            };
            for page in free.entries().chain(free.next()) {
                let is_list = Some(page) == free.next();
                let is_inside = page != PageId(0) && page.0 < self.pages.page_count();
                if !is_inside || (!is_list && !self.accounting.reach(page)) {
                    let sentence =
                        format!("the free list names page {page}, which is in use or not there");
                    let place = Place::page(self.pages.path(), list.0);
                    self.check.add(Code::PageUnaccounted, sentence, place);
                }
            }
        }
        Ok(())
    }
}
