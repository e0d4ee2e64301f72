//! The stage's thread: keys of closed pages, sorted in.

use super::{KeptPages, OverflowKey, Pages, SortedIndex, SortedKeys};
use crate::coordinator::extract::{Extractors, Taken};
use crate::coordinator::plan::Plan;
use crate::coordinator::state::KeyState;
use crate::document::bson::RawDocument;
use crate::index::TextTotals;
use crate::index::key::SortKey;
use crate::index::sort::SortPool;
use crate::v2::data_file::DocumentReader;
use crate::v2::page::{PAGE_SIZE, PageBytes};
use crate::v2::page_file::page_offset;
use crate::v2::slotted::{SlotContent, SlottedPage};
use crate::v2::{DocumentAddress, PageId};
use crate::{Code, Error, Result};

/// Sorts in the keys of what comes from the feeder.
pub(super) struct Sorter<'p> {
    plan: &'p Plan,
    keys: SortedKeys,
    collection: Option<usize>,
    extractors: Extractors,
    kept: Option<KeptPages>,
}

impl<'p> Sorter<'p> {
    pub(super) fn new(plan: &'p Plan, keys: SortedKeys, kept: Option<KeptPages>) -> Self {
        Self {
            plan,
            keys,
            collection: None,
            extractors: Extractors::none(),
            kept,
        }
    }

    /// What is in runs, made durable.
    pub(super) fn state(&mut self) -> Result<KeyState> {
        self.keys.state()
    }

    /// Ends sorting in; gives all keys.
    pub(super) fn finish(mut self) -> Result<SortedKeys> {
        self.keys.pool.settle()?;
        Ok(self.keys)
    }

    pub(super) fn pages(&mut self, pages: &Pages) -> Result<()> {
        let missing = || Error::new(Code::Internal, "pages of a collection that is not planned");
        if self.collection != Some(pages.collection) {
            let collection = self
                .plan
                .collections
                .get(pages.collection)
                .ok_or_else(missing)?;
            self.extractors = Extractors::new(collection, self.plan.infer_types)?;
            self.collection = Some(pages.collection);
        }
        let sorters = self
            .keys
            .sorters
            .get_mut(pages.collection)
            .ok_or_else(missing)?;
        let mut page_sorter = PageSorter {
            extractors: &mut self.extractors,
            sorters,
            pool: &mut self.keys.pool,
            reader: pages.staged.as_ref().map(DocumentReader::new),
            again: self.kept.is_some().then_some(false),
        };
        let mut overflow = pages.overflow.iter().peekable();
        let bytes = pages.bytes.as_chunks::<PAGE_SIZE>().0;
        for (number, (&page, bytes)) in pages.ids.iter().zip(bytes).enumerate() {
            let mut late = Vec::new();
            while let Some(key) = overflow.next_if(|late| late.page == number) {
                late.push(key);
            }
            touch(bytes);
            page_sorter.page(page, bytes, &late)?;
            if let Some(kept) = &self.kept
                && (page_sorter.again.replace(false) == Some(true) || kept.dry.again.keeps(page))
            {
                kept.file.write_all_at(bytes, page_offset(page))?;
            }
        }
        Ok(())
    }
}

/// Reads a byte of each cache line: all that another core has written comes at once then.
fn touch(page: &PageBytes) {
    let lines = page.iter().step_by(64);
    std::hint::black_box(lines.fold(0, |sum, byte| sum ^ byte));
}

/// Sorts in the keys of pages' documents, in the order of their slots.
struct PageSorter<'s> {
    extractors: &'s mut Extractors,
    sorters: &'s mut [SortedIndex],
    pool: &'s mut SortPool,
    /// For the terms of overflow documents.
    reader: Option<DocumentReader<'s>>,
    /// In a dry run: a document of the page is read again before the run ends.
    again: Option<bool>,
}

impl PageSorter<'_> {
    fn page(&mut self, page: PageId, bytes: &PageBytes, overflow: &[&OverflowKey]) -> Result<()> {
        let broken = |error| Error::new(Code::Internal, "a page was built wrong").because(error);
        let slotted = SlottedPage::open(bytes).map_err(broken)?;
        for slot in slotted.numbers() {
            let address = DocumentAddress { page, slot };
            if let Some(bson) = slotted.document(slot) {
                let (sorters, pool) = (&mut *self.sorters, &mut *self.pool);
                let again = &mut self.again;
                let document = RawDocument::trusted(bson);
                self.extractors.extract(document, |index, taken| {
                    add(sorters, pool, (index, address), taken, again)
                })?;
            } else if let Some(content) = slotted.get(slot).map_err(broken)? {
                self.overflow(address, overflow)?;
                self.overflow_terms(address, content)?;
            }
        }
        Ok(())
    }

    fn overflow(&mut self, address: DocumentAddress, keys: &[&OverflowKey]) -> Result<()> {
        let mut keys = keys.iter().filter(|late| late.slot == address.slot);
        keys.try_for_each(|late| {
            let taken = match &late.key {
                Ok(key) => Taken::Key(0, &SortKey::Built(key)),
                Err(extraction) => Taken::End(*extraction, TextTotals::default()),
            };
            let index = (late.index, address);
            add(self.sorters, self.pool, index, taken, &mut self.again)
        })
    }

    fn overflow_terms(&mut self, address: DocumentAddress, head: SlotContent<'_>) -> Result<()> {
        if !self.extractors.has_texts() {
            return Ok(());
        }
        let unread = || {
            Error::new(
                Code::Internal,
                "the document's overflow pages are not at hand",
            )
        };
        let reader = self.reader.as_mut().ok_or_else(unread)?;
        let bson = reader.resolve(address, head)?;
        let (sorters, pool) = (&mut *self.sorters, &mut *self.pool);
        let document = RawDocument::trusted(bson);
        let again = &mut self.again;
        self.extractors.extract_terms(document, |index, taken| {
            add(sorters, pool, (index, address), taken, again)
        })?;
        reader.release();
        Ok(())
    }
}

/// Sorts in what a document has for an index, and notes where that is wanted whether the document is
/// read again for it.
#[inline]
fn add(
    sorters: &mut [SortedIndex],
    pool: &mut SortPool,
    (index, address): (usize, DocumentAddress),
    taken: Taken<'_>,
    again: &mut Option<bool>,
) -> Result<()> {
    let Some(index) = sorters.get_mut(index) else {
        return Ok(());
    };
    if let Some(again) = again {
        *again |= index.reads_again(&taken);
    }
    index.add(pool, address, taken)
}
