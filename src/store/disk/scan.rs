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
use std::iter::Peekable;
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

    /// Reads the pages that lie side by side in the file at once, and lets the kernel read the next
    /// ones meanwhile.
    fn scan_prefetching(&self, pages: &BTreeSet<PageId>, visit: &mut Visit<'_>) -> Result<()> {
        let mut pages = pages.iter().copied().peekable();
        let mut due = self.next_run(&mut pages);
        while let Some(run) = due {
            due = self.next_run(&mut pages);
            if let Some(next) = &due {
                self.pager.file().advise_needed(next.first, next.count);
            }
            if self.visit_run(&run, visit)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Pages of the file side by side, or one page that only the log has.
    fn next_run(&self, pages: &mut Peekable<impl Iterator<Item = PageId>>) -> Option<Run> {
        let is_in_file =
            |page: PageId| page.0 < self.pager.file_pages() && self.pager.changed(page).is_none();
        let first = pages.next()?;
        let mut run = Run { first, count: 0 };
        if !is_in_file(first) {
            return Some(run);
        }
        run.count = 1;
        while run.count < RUN_PAGES
            && let Some(next) = pages.peek()
            && next.0 == first.0 + run.count
            && is_in_file(*next)
        {
            pages.next();
            run.count += 1;
        }
        Some(run)
    }

    fn visit_run(&self, run: &Run, visit: &mut Visit<'_>) -> Result<ControlFlow<()>> {
        if run.count == 0 {
            let page = View::page(self, run.first, PageType::Data)?;
            return self.visit_page(run.first, page.bytes(), visit);
        }
        let mut flow = ControlFlow::Continue(());
        let file = self.pager.file();
        file.scan(run.first, run.count, |page, page_type, bytes| {
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
        Ok(flow)
    }
}

/// Pages of the file; none if the first one is not there.
struct Run {
    first: PageId,
    count: u32,
}
