//! Reading a collection front to back.

use super::{DiskStore, located, order};
use crate::Result;
use crate::document::bson::RawDocument;
use crate::store::Visit;
use crate::store::documents::follow_chain;
use crate::store::indexes::address_of;
use crate::store::pager::View;
use crate::v2::PageId;
use crate::v2::btree::TreeReader;
use crate::v2::page::{PageBytes, PageError, PageType};
use crate::v2::slotted::{SlotContent, SlottedPage};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError};

/// Pages that a scan hands to the reader at a time.
const RUN_PAGES: u32 = 64;

impl DiskStore {
    /// Visits the documents of a collection in the order of the file.
    pub(super) fn scan_collection(&self, collection: &str, visit: &mut Visit<'_>) -> Result<()> {
        let (number, state) = self.collection(collection)?;
        let pages = self.slotted_pages(number)?;
        let in_collection = |error| located(error, state);
        if self.config.enable_prefetching {
            return self.scan_prefetching(&pages, visit).map_err(in_collection);
        }
        for id in pages.iter() {
            let page = View::page(self, *id, PageType::Data).map_err(in_collection)?;
            let flow = self.visit_page(*id, page.bytes(), visit);
            if flow.map_err(in_collection)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// A collection's slotted pages, in the order of the file.
    pub(in crate::store) fn slotted_pages(&self, number: usize) -> Result<Arc<BTreeSet<PageId>>> {
        let lock = || self.slotted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pages) = lock().get(&number) {
            return Ok(Arc::clone(pages));
        }
        let mut pages = BTreeSet::new();
        let collection = self.state.collections.get(number);
        if let Some((collection, index)) =
            collection.and_then(|collection| Some((collection, collection.indexes.first()?)))
        {
            let compare = order;
            let reader = TreeReader::new(self, index.root(), index.ids(), &compare);
            let mut read = || -> Result<()> {
                let mut scan = reader.scan()?;
                while let Some(entry) = scan.next()? {
                    pages.insert(address_of(&entry)?.page);
                }
                Ok(())
            };
            read().map_err(|error| located(error, collection))?;
        }
        let pages = Arc::new(pages);
        lock().insert(number, Arc::clone(&pages));
        Ok(pages)
    }

    /// Visits the documents of one page.
    fn visit_page(
        &self,
        page: PageId,
        bytes: &PageBytes,
        visit: &mut Visit<'_>,
    ) -> Result<ControlFlow<()>> {
        let slotted = SlottedPage::open(bytes).map_err(|error| self.damaged(page, error))?;
        let mut long = Vec::new();
        for slot in slotted.slots() {
            let (_, content) = slot.map_err(|error| self.damaged(page, error))?;
            let document = match content {
                SlotContent::Document(bytes) => bytes,
                SlotContent::Overflow(head) => {
                    long.clear();
                    follow_chain(self, head, &mut long)?;
                    &long
                }
            };
            if visit(RawDocument::trusted(document))?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Reads the runs of pages that lie side by side in the file at once.
    fn scan_prefetching(&self, pages: &BTreeSet<PageId>, visit: &mut Visit<'_>) -> Result<()> {
        let mut pages = pages.iter().copied().peekable();
        while let Some(first) = pages.next() {
            if self.pager.changed(first).is_some() || first.0 >= self.pager.file_pages() {
                let page = View::page(self, first, PageType::Data)?;
                if self.visit_page(first, page.bytes(), visit)?.is_break() {
                    return Ok(());
                }
                continue;
            }
            let mut count = 1;
            while count < RUN_PAGES
                && let Some(next) = pages.peek()
                && next.0 == first.0 + count
                && next.0 < self.pager.file_pages()
                && self.pager.changed(*next).is_none()
            {
                pages.next();
                count += 1;
            }
            let mut flow = ControlFlow::Continue(());
            self.pager
                .file()
                .scan(first, count, |page, page_type, bytes| {
                    if flow.is_break() {
                        return Ok(());
                    }
                    if page_type != PageType::Data {
                        let expected = PageType::Data;
                        let found = page_type as u8;
                        return Err(self.damaged(page, PageError::PageType { expected, found }));
                    }
                    flow = self.visit_page(page, bytes, visit)?;
                    Ok(())
                })?;
            if flow.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }
}
