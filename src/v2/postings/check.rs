//! Checking freshly built posting pages in file order.

use super::chunk::open_page;
use super::{Chunk, ChunkAddress, ChunkSum, PostingRun};
use crate::Result;
use crate::v2::btree::{TreeIds, damaged};
use crate::v2::{PageBytes, PageId, SlotNumber};

/// Checks one index's posting pages; what the chunks mean shows only when terms lead to them.
#[derive(Debug)]
pub struct PostingChecker {
    collection_id: u32,
    found: PostingRun,
    chunks: ChunkSum,
    /// Slot 0 of the next page continues a term.
    continued: bool,
}

impl PostingChecker {
    /// Checks the pages that an index's tree of terms stands behind.
    #[must_use]
    pub fn new(ids: TreeIds) -> Self {
        Self {
            collection_id: ids.collection_id,
            found: PostingRun::default(),
            chunks: ChunkSum::default(),
            continued: false,
        }
    }

    /// Checks the next page, whose own header (id, type, checksum) has been verified.
    ///
    /// # Errors
    /// [`Code::PageDamaged`](crate::Code::PageDamaged) where a build would have written another page.
    pub fn page(&mut self, id: PageId, page: &PageBytes) -> Result<()> {
        let wrong = |sentence: String| damaged(id, sentence);
        let slotted = open_page(page, self.collection_id);
        let slotted = slotted.and_then(|slotted| slotted.check_layout().map(|()| slotted));
        let slotted = slotted.map_err(|error| wrong(error.to_string()))?;
        if slotted.slot_count() == 0 || slotted.fragmented() != 0 {
            return Err(wrong("a posting page is empty or fragmented".to_owned()));
        }
        let last = slotted.slot_count().saturating_sub(1);
        for number in 0..=last {
            let slot = SlotNumber(number);
            let content = slotted.get(slot);
            let content = content.map_err(|error| wrong(error.to_string()))?;
            let chunk = Chunk::of_slot(content)
                .map_err(|error| wrong(format!("slot {number}: {error}")))?;
            self.found.posting_count = self.found.posting_count.saturating_add(chunk.len() as u64);
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
        if self.found.page_count == 0 {
            self.found.first_page = id;
        }
        self.found.page_count = self.found.page_count.saturating_add(1);
        Ok(())
    }

    /// Ends the check; gives what was found, and all chunks for comparison with those that terms
    /// lead to.
    ///
    /// # Errors
    /// [`Code::PageDamaged`](crate::Code::PageDamaged) where the last page is not the end of a term.
    pub fn finish(self) -> Result<(PostingRun, ChunkSum)> {
        if self.continued {
            let last = self
                .found
                .first_page
                .0
                .saturating_add(self.found.page_count.saturating_sub(1));
            let sentence = "a term goes on behind the last posting page";
            return Err(damaged(PageId(last), sentence));
        }
        Ok((self.found, self.chunks))
    }
}
