//! Pages of a transaction: which ones a collection uses, and which it gives up.

use super::DiskTransaction;
use crate::store::documents::follow_chain;
use crate::store::pager::View;
use crate::store::state::{FreeList, Trunk};
use crate::v2::freelist::FreeListPage;
use crate::v2::overflow::{OVERFLOW_PAGE_CAPACITY, write_chain_over};
use crate::v2::page::{PAGE_SIZE, PageError, PageType};
use crate::v2::slotted::{
    MAX_SLOT_CONTENT, NewContent, OverflowHead, SLOT_SIZE, SlotContent, SlotList, SlottedPage,
};
use crate::v2::{DocumentAddress, PageId, SharedPage};
use crate::{Code, Error, Result};

impl DiskTransaction<'_> {
    pub(super) fn load_free_list(&self, head: Option<PageId>) -> Result<FreeList> {
        let mut list = FreeList::default();
        let mut next = head;
        let mut pages_left = self.state.page_count;
        while let Some(id) = next {
            pages_left = pages_left.checked_sub(1).ok_or_else(|| {
                let error = PageError::field(16, "next", id.0, "a list that ends");
                self.damaged(id, error)
            })?;
            let page = self.page(id, PageType::FreeList)?;
            let listed =
                FreeListPage::open(page.bytes()).map_err(|error| self.damaged(id, error))?;
            let entries: Vec<PageId> = listed.entries().collect();
            let outside = entries
                .iter()
                .find(|page| page.0 == 0 || page.0 >= self.state.page_count);
            if let Some(outside) = outside {
                let error = PageError::field(24, "page", outside.0, "a page of the file");
                return Err(self.damaged(id, error));
            }
            list.trunks.push(Trunk {
                page: id,
                entries,
                changed: false,
            });
            next = listed.next();
        }
        list.trunks.reverse();
        Ok(list)
    }

    pub(super) fn allocate(&mut self, collection: usize) -> Result<PageId> {
        let free = self.collection_mut(collection)?.free.as_mut();
        if let Some(page) = free.and_then(FreeList::take) {
            return Ok(page);
        }
        let page = PageId(self.state.page_count);
        self.state.page_count = page.0.checked_add(1).ok_or_else(|| {
            let sentence = "data.db would have more than 4294967295 pages (16 TiB)";
            Error::new(Code::LimitExceeded, sentence)
        })?;
        Ok(page)
    }

    pub(super) fn free_page(&mut self, number: usize, page: PageId) -> Result<()> {
        let collection = self.collection_mut(number)?;
        collection.leave_extent(page);
        let listed = collection.free.get_or_insert_default().give(page);
        if !listed {
            let mut bytes = [0; PAGE_SIZE];
            SlotList::empty(0).build(&mut bytes);
            self.put(page, bytes);
        }
        Ok(())
    }

    /// Puts a document into a page with room.
    pub(super) fn place(&mut self, number: usize, document: &[u8]) -> Result<DocumentAddress> {
        let head = match document.len() > MAX_SLOT_CONTENT {
            true => Some(self.write_chain(number, document)?),
            false => None,
        };
        let content = match head {
            Some(head) => NewContent::Overflow(head),
            None => NewContent::Document(document),
        };
        if let Some(page) = self.collection(number)?.room.open()
            && let Some(address) = self.place_in(number, page, content)?
        {
            return Ok(address);
        }
        let room = &mut self.collection_mut(number)?.room;
        if let Some(page) = room.take(content.len() + SLOT_SIZE) {
            room.set_open(page);
            if let Some(address) = self.place_in(number, page, content)? {
                return Ok(address);
            }
        }
        let page = self.allocate(number)?;
        let collection = self.collection_mut(number)?;
        let mut list = SlotList::empty(collection.entry.collection_id);
        let slot = list.insert(content).ok_or_else(|| {
            let sentence = "a document of at most 4063 bytes does not fit an empty page";
            Error::new(Code::Internal, sentence)
        })?;
        collection.room.set_open(page);
        let first = &mut collection.record.first_data_page;
        if *first == PageId(0) || page < *first {
            *first = page;
        }
        self.put_slots(number, page, &list)?;
        self.slotted.insert((number, page), true);
        Ok(DocumentAddress { page, slot })
    }

    fn place_in(
        &mut self,
        number: usize,
        page: PageId,
        content: NewContent<'_>,
    ) -> Result<Option<DocumentAddress>> {
        let shared = self.page(page, PageType::Data)?;
        let list = SlotList::open(shared.bytes());
        let mut list = list.map_err(|error| self.damaged(page, error))?;
        let Some(slot) = list.insert(content) else {
            return Ok(None);
        };
        self.put_slots(number, page, &list)?;
        Ok(Some(DocumentAddress { page, slot }))
    }

    fn put_slots(&mut self, number: usize, page: PageId, list: &SlotList<'_>) -> Result<()> {
        let mut bytes = [0; PAGE_SIZE];
        list.build(&mut bytes);
        self.put(page, bytes);
        self.collection_mut(number)?.room.note(page, list.free());
        Ok(())
    }

    pub(super) fn write_chain(&mut self, number: usize, document: &[u8]) -> Result<OverflowHead> {
        let count = document.len().div_ceil(OVERFLOW_PAGE_CAPACITY);
        let pages: Vec<PageId> = (0..count)
            .map(|_| self.allocate(number))
            .collect::<Result<_>>()?;
        let mut ids = pages.iter().copied();
        let following = pages.iter().skip(1).copied();
        write_chain_over(document, following, |page| {
            if let Some(id) = ids.next() {
                self.put(id, *page);
            }
            Ok::<_, Error>(())
        })?;
        let total = u32::try_from(document.len()).ok();
        let head = total.zip(pages.first()).and_then(|(total, first)| {
            OverflowHead::new(total, *first, u16::try_from(count).ok()?)
        });
        head.ok_or_else(|| Error::new(Code::Internal, "a document has no overflow chain"))
    }

    /// Takes a document out of its page; gives back the pages that nothing uses any more.
    pub(super) fn remove_slot(&mut self, number: usize, address: DocumentAddress) -> Result<()> {
        let page = address.page;
        let shared = self.page(page, PageType::Data)?;
        self.free_chain(number, &shared, address)?;
        let list = SlotList::open(shared.bytes());
        let mut list = list.map_err(|error| self.damaged(page, error))?;
        list.delete(address.slot);
        if !list.is_empty() {
            return self.put_slots(number, page, &list);
        }
        self.slotted.insert((number, page), false);
        let collection = self.collection_mut(number)?;
        collection.room.forget(page);
        if collection.record.first_data_page == page {
            let first = self.first_slotted(number)?;
            self.collection_mut(number)?.record.first_data_page = first;
        }
        self.free_page(number, page)
    }

    pub(super) fn free_chain(
        &mut self,
        number: usize,
        page: &SharedPage,
        address: DocumentAddress,
    ) -> Result<()> {
        let slotted = SlottedPage::open(page.bytes());
        let content = slotted.and_then(|slotted| slotted.get(address.slot));
        let content = content.map_err(|error| self.damaged(address.page, error))?;
        if let Some(SlotContent::Overflow(head)) = content {
            for page in follow_chain(self, head, &mut Vec::new())? {
                self.free_page(number, page)?;
            }
        }
        Ok(())
    }

    /// The collection's first slotted page as it is now, 0 for none.
    pub(super) fn first_slotted(&self, number: usize) -> Result<PageId> {
        let before = self.store.slotted_pages(number)?;
        let of_collection = (number, PageId(0))..(number + 1, PageId(0));
        let changed = self.slotted.range(of_collection);
        let added = changed.filter(|(_, is_there)| **is_there);
        let added = added.map(|((_, page), _)| *page).next();
        let kept = before
            .iter()
            .find(|page| self.slotted.get(&(number, **page)) != Some(&false));
        Ok(added
            .into_iter()
            .chain(kept.copied())
            .min()
            .unwrap_or_default())
    }

    /// Whether a document's new bytes fit the page where it lies.
    pub(super) fn fits_in_place(&self, address: DocumentAddress, document: &[u8]) -> Result<bool> {
        if document.len() > MAX_SLOT_CONTENT {
            return Ok(false);
        }
        let shared = self.page(address.page, PageType::Data)?;
        let list = SlotList::open(shared.bytes());
        let mut list = list.map_err(|error| self.damaged(address.page, error))?;
        Ok(list.replace(address.slot, NewContent::Document(document)))
    }

    /// Puts a document's new bytes where it lies, or elsewhere.
    pub(super) fn replace(
        &mut self,
        number: usize,
        address: DocumentAddress,
        document: &[u8],
        in_place: bool,
    ) -> Result<DocumentAddress> {
        if !in_place {
            self.remove_slot(number, address)?;
            return self.place(number, document);
        }
        let shared = self.page(address.page, PageType::Data)?;
        self.free_chain(number, &shared, address)?;
        let list = SlotList::open(shared.bytes());
        let mut list = list.map_err(|error| self.damaged(address.page, error))?;
        list.replace(address.slot, NewContent::Document(document));
        self.put_slots(number, address.page, &list)?;
        Ok(address)
    }
}
