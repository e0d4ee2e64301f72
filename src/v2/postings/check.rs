//! Checking freshly built posting pages in file order.

use super::chunk::open_page;
use super::{Chunk, ChunkAddress, ChunkSum, PostingRun};
use crate::v2::btree::{TreeIds, damaged};
use crate::v2::{PageBytes, PageId, SlotNumber};
use crate::{Code, Error, Result};

/// Checks one index's posting pages; what the chunks mean shows only when terms lead to them.
#[derive(Debug)]
pub struct PostingChecker {
    expected: PostingRun,
    collection_id: u32,
    pages: u32,
    postings: u64,
    chunks: ChunkSum,
    /// Slot 0 of the next page continues a term.
    continued: bool,
}

impl PostingChecker {
    /// Checks the pages of a run.
    #[must_use]
    pub fn new(expected: PostingRun, ids: TreeIds) -> Self {
        Self {
            expected,
            collection_id: ids.collection_id,
            pages: 0,
            postings: 0,
            chunks: ChunkSum::default(),
            continued: false,
        }
    }

    /// Checks the next page, whose own header (id, type, checksum) has been verified.
    ///
    /// # Errors
    /// [`Code::PageDamaged`] where a build would have written another page.
    pub fn page(&mut self, id: PageId, page: &PageBytes) -> Result<()> {
        let wrong = |sentence: String| damaged(id, sentence);
        let slotted = open_page(page, self.collection_id);
        let slotted = slotted.and_then(|slotted| slotted.check_layout().map(|()| slotted));
        let slotted = slotted.map_err(|error| wrong(error.to_string()))?;
        if slotted.slot_count() == 0 || slotted.fragmented() != 0 {
            return Err(wrong("a posting page is empty or fragmented".to_owned()));
        }
        let last = slotted.slot_count() - 1;
        for number in 0..=last {
            let slot = SlotNumber(number);
            let content = slotted.get(slot);
            let content = content.map_err(|error| wrong(error.to_string()))?;
            let chunk = Chunk::of_slot(content)
                .map_err(|error| wrong(format!("slot {number}: {error}")))?;
            self.postings += chunk.len() as u64;
            self.chunks.add(ChunkAddress { page: id, slot });
            let Some(next) = chunk.next() else {
                continue;
            };
            let following = ChunkAddress {
                page: PageId(id.0.saturating_add(1)),
                slot: SlotNumber(0),
            };
            if number != last || next != following {
                return Err(wrong(format!(
                    "slot {number}: the term goes on in slot {} of page {}, \
                     but a term that fills a page goes on at the start of the next",
                    next.slot.0, next.page
                )));
            }
            self.continued = true;
        }
        let goes_on = slotted.get(SlotNumber(last)).ok().flatten();
        self.continued = Chunk::of_slot(goes_on).is_ok_and(|chunk| chunk.next().is_some());
        self.pages += 1;
        Ok(())
    }

    /// Ends the check; gives all chunks, for comparison with those that terms lead to.
    ///
    /// # Errors
    /// [`Code::VerifyFailed`] where pages or postings are not as many as were written.
    pub fn finish(self) -> Result<ChunkSum> {
        let expected = self.expected;
        if self.pages != expected.page_count
            || self.postings != expected.posting_count
            || self.continued
        {
            let sentence = format!(
                "{} posting pages hold {} postings, expected {} pages with {}",
                self.pages, self.postings, expected.page_count, expected.posting_count
            );
            return Err(Error::new(Code::VerifyFailed, sentence));
        }
        Ok(self.chunks)
    }
}
