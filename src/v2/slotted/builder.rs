//! Fills slotted pages. The layout is described in the parent module.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "a document is only placed where it fits the page"
)]

use super::{
    FREE_END, FREE_START, HEADER_SIZE, OVERFLOW, OVERFLOW_HEAD_SIZE, OWNER, OverflowHead,
    SLOT_COUNT, SLOT_FLAGS, SLOT_LENGTH, SLOT_OFFSET, SLOT_SIZE,
};
use crate::bytes::put_u16;
use crate::v2::address::SlotNumber;
use crate::v2::page::{self, PAGE_DATA_SIZE, PAGE_HEADER_SIZE, PAGE_SIZE, PageBytes, PageType};

/// One open page, filled and finished over and over.
///
/// Each document is copied once, to its place in the page.
#[derive(Debug)]
pub struct SlottedBuilder {
    page: Box<PageBytes>,
    /// End of the slots, from the start of the data.
    free_start: usize,
    /// Start of the lowest content, from the start of the data; never below `free_start`.
    free_end: usize,
    slot_count: u16,
}

impl SlottedBuilder {
    /// Pages of documents of the collection with this id.
    #[must_use]
    pub fn new(collection_id: u32) -> Self {
        Self::with_type(PageType::Data, collection_id)
    }

    /// Slotted pages of another type: posting chunks lie in [`PageType::Index`].
    #[must_use]
    pub fn with_type(page_type: PageType, collection_id: u32) -> Self {
        let mut page = Box::new([0; PAGE_SIZE]);
        page::begin(&mut page, page_type);
        let [low, high, ..] = collection_id.to_le_bytes();
        let owner = u16::from_le_bytes([low, high]);
        put_u16(&mut *page, PAGE_HEADER_SIZE + OWNER, owner);
        Self {
            page,
            free_start: HEADER_SIZE,
            free_end: PAGE_DATA_SIZE,
            slot_count: 0,
        }
    }

    /// True while there is no slot.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slot_count == 0
    }

    /// Slots so far; the next one gets this number.
    #[must_use]
    pub fn slot_count(&self) -> u16 {
        self.slot_count
    }

    /// The largest content that still fits, in bytes; `None` if not even an empty one does.
    #[must_use]
    pub fn free(&self) -> Option<usize> {
        self.free_end.checked_sub(self.free_start + SLOT_SIZE)
    }

    /// True if an overflow head still fits.
    #[must_use]
    pub fn fits_overflow(&self) -> bool {
        self.free().is_some_and(|free| free >= OVERFLOW_HEAD_SIZE)
    }

    /// Puts a document in the next slot, if it fits.
    #[inline]
    pub fn try_insert(&mut self, document: &[u8]) -> Option<SlotNumber> {
        self.place(document, 0)
    }

    /// Points the next slot at a document in overflow pages, if 16 bytes fit.
    pub fn try_insert_overflow(&mut self, head: OverflowHead) -> Option<SlotNumber> {
        self.place(&head.encode(), OVERFLOW)
    }

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "offset and length are at most PAGE_DATA_SIZE, which fits u16"
    )]
    fn place(&mut self, content: &[u8], flags: u8) -> Option<SlotNumber> {
        let slot_end = self.free_start + SLOT_SIZE;
        let offset = self.free_end.checked_sub(content.len())?;
        if offset < slot_end {
            return None;
        }
        let (_, data) = self.page.split_at_mut(PAGE_HEADER_SIZE);
        data.get_mut(offset..self.free_end)?
            .copy_from_slice(content);
        let slot = data.get_mut(self.free_start..slot_end)?;
        put_u16(slot, SLOT_OFFSET, offset as u16);
        put_u16(slot, SLOT_LENGTH, content.len() as u16);
        *slot.get_mut(SLOT_FLAGS)? = flags;
        let number = SlotNumber(self.slot_count);
        self.slot_count += 1;
        self.free_start = slot_end;
        self.free_end = offset;
        Some(number)
    }

    /// Completes the page, to be sealed and written, and begins the next one in its place.
    ///
    /// What an earlier page left in the free space is cleared here, so that beginning a page costs
    /// nothing.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "both ends are at most PAGE_DATA_SIZE, which fits u16"
    )]
    pub fn finish(&mut self) -> &mut PageBytes {
        let free_start = if self.is_empty() { 0 } else { self.free_start };
        let (_, data) = self.page.split_at_mut(PAGE_HEADER_SIZE);
        put_u16(data, SLOT_COUNT, self.slot_count);
        put_u16(data, FREE_START, free_start as u16);
        put_u16(data, FREE_END, self.free_end as u16);
        if let Some(free) = data.get_mut(self.free_start..self.free_end) {
            free.fill(0);
        }
        self.slot_count = 0;
        self.free_start = HEADER_SIZE;
        self.free_end = PAGE_DATA_SIZE;
        &mut self.page
    }
}
