//! Slotted pages: documents of any size behind slots of fixed size.
//!
//! ```text
//! data (4080 bytes) = header | slot[slot_count] | free | contents, growing down from the end
//! header (12)       = slot_count u16 | free_start u16   end of the slots; 0 while there is none,
//!                                                        where readers accept 12
//!                   | free_end u16    start of the lowest content
//!                   | fragmented u16  bytes of deleted and moved contents
//!                   | flags u16 (0)
//!                   | owner u16       low 16 bits of the owning collection's id; a page that
//!                                     LauraDB made has 0
//! slot (5)          = offset u16 | length u16 | flags u8
//! flags             = 1 deleted (offset and length mean nothing), 2 overflow, 4 updated
//! content           = document | overflow head
//! overflow head     = total_size u32 | first_page u32 | page_count u16 | reserved [6] (0)
//! ```
//!
//! Offsets count from the start of the data, byte 16 of the page. The slots stand in front so that
//! they can be walked without a look at the contents, and so that an address (page, slot) survives
//! when contents move. A document of up to 4063 bytes lies in its slot, even if that fills the page;
//! only larger ones overflow. The same layout in a page of type 1 holds the posting chunks of text
//! indexes.

mod builder;
mod delete;
mod edit;
mod reader;
mod room;
#[cfg(test)]
mod tests;

pub use builder::SlottedBuilder;
pub use delete::{delete_slot, restore_slot};
pub use edit::{NewContent, SlotList};
pub use reader::{SlotContent, SlottedPage};
pub use room::Room;

use super::address::PageId;
use super::overflow::OVERFLOW_PAGE_CAPACITY;
use super::page::{PAGE_DATA_SIZE, PAGE_HEADER_SIZE, PageError};
use crate::bytes::Cursor;
use crate::document::MAX_DOCUMENT_BYTES;

const SLOT_COUNT: usize = 0;
const FREE_START: usize = SLOT_COUNT + 2;
const FREE_END: usize = FREE_START + 2;
const FRAGMENTED: usize = FREE_END + 2;
const FLAGS: usize = FRAGMENTED + 2;
const OWNER: usize = FLAGS + 2;
const HEADER_SIZE: usize = OWNER + 2;

const SLOT_OFFSET: usize = 0;
const SLOT_LENGTH: usize = SLOT_OFFSET + 2;
const SLOT_FLAGS: usize = SLOT_LENGTH + 2;
/// Bytes that a slot takes besides its content.
pub const SLOT_SIZE: usize = SLOT_FLAGS + 1;

const DELETED: u8 = 1;
const OVERFLOW: u8 = 2;
const UPDATED: u8 = 4;

/// Bytes of an overflow head in its slot.
pub const OVERFLOW_HEAD_SIZE: usize = 16;
/// The largest content of a slot, in bytes; a larger document overflows.
pub const MAX_SLOT_CONTENT: usize = PAGE_DATA_SIZE - HEADER_SIZE - SLOT_SIZE;
/// The most slots that fit a page.
pub const MAX_SLOTS: usize = (PAGE_DATA_SIZE - HEADER_SIZE) / SLOT_SIZE;

const _: () = assert!(HEADER_SIZE == 12 && SLOT_SIZE == 5 && MAX_SLOT_CONTENT == 4063);
// Offsets up to the end of the data fit their u16 fields.
const _: () = assert!(PAGE_DATA_SIZE <= u16::MAX as usize);

/// Where a document too large for a slotted page begins: checked, so that its sizes can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverflowHead {
    total_size: u32,
    first_page: PageId,
    page_count: u16,
}

impl OverflowHead {
    /// A head, if such a chain can be: 4064 bytes to 16 MiB, pages that hold at least one byte each
    /// and together all of them, a first page other than 0.
    #[must_use]
    pub fn new(total_size: u32, first_page: PageId, page_count: u16) -> Option<Self> {
        let size = total_size as usize;
        let pages = usize::from(page_count);
        let sizes_fit = size > MAX_SLOT_CONTENT
            && size <= MAX_DOCUMENT_BYTES
            && pages >= size.div_ceil(OVERFLOW_PAGE_CAPACITY)
            && pages <= size;
        (sizes_fit && first_page != PageId(0)).then_some(Self {
            total_size,
            first_page,
            page_count,
        })
    }

    /// Bytes of the document.
    #[must_use]
    pub fn total_size(self) -> u32 {
        self.total_size
    }

    /// First page of the chain.
    #[must_use]
    pub fn first_page(self) -> PageId {
        self.first_page
    }

    /// Pages of the chain.
    #[must_use]
    pub fn page_count(self) -> u16 {
        self.page_count
    }

    fn encode(self) -> [u8; OVERFLOW_HEAD_SIZE] {
        let mut bytes = [0; OVERFLOW_HEAD_SIZE];
        let fields = bytes.as_chunks_mut::<4>().0;
        if let [size, page, count, _reserved] = fields {
            *size = self.total_size.to_le_bytes();
            *page = self.first_page.0.to_le_bytes();
            *count = u32::from(self.page_count).to_le_bytes();
        }
        bytes
    }

    /// Reads a head; `at` is where its bytes stand in the data, for the error.
    fn decode(bytes: &[u8], at: usize) -> Result<Self, PageError> {
        let offset = PAGE_HEADER_SIZE.saturating_add(at);
        let fields = || {
            let mut cursor = Cursor::new(bytes);
            let fields = (cursor.u32()?, cursor.u32()?, cursor.u16()?, cursor.take(6)?);
            cursor.rest().is_empty().then_some(fields)
        };
        let Some((total_size, first_page, page_count, reserved)) = fields() else {
            let expected = "16 (an overflow head)";
            let found = bytes.len() as u64;
            return Err(PageError::field(offset, "slot length", found, expected));
        };
        if reserved != [0; 6] {
            let expected = "6 zero bytes";
            let found = reserved.iter().filter(|byte| **byte != 0).count() as u64;
            let field = "number of bytes set in the overflow head's reserved field";
            return Err(PageError::field(
                offset.saturating_add(10),
                field,
                found,
                expected,
            ));
        }
        Self::new(total_size, PageId(first_page), page_count).ok_or_else(|| {
            PageError::field(
                offset,
                "overflow head's total_size",
                total_size,
                format!(
                    "4064 to 16777216, to fit {page_count} pages of up to \
                     {OVERFLOW_PAGE_CAPACITY} bytes from page {first_page} on"
                ),
            )
        })
    }
}
