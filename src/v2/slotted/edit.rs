//! Changes slotted pages. The layout is described in the parent module.
//!
//! A page is taken apart and put together again, its contents packed: slots keep their numbers, so
//! that addresses stay valid, and nothing is ever fragmented. Deleted slots at the end are dropped,
//! others are used again.

use super::{
    DELETED, FREE_END, FREE_START, HEADER_SIZE, OVERFLOW, OVERFLOW_HEAD_SIZE, OWNER, OverflowHead,
    SLOT_COUNT, SLOT_FLAGS, SLOT_LENGTH, SLOT_OFFSET, SLOT_SIZE, SlotContent, SlottedPage, UPDATED,
};
use crate::bytes::put_u16;
use crate::v2::address::SlotNumber;
use crate::v2::page::{self, PAGE_DATA_SIZE, PAGE_HEADER_SIZE, PageBytes, PageError, PageType};
use std::borrow::Cow;

/// What a slot is to hold.
#[derive(Clone, Copy, Debug)]
pub enum NewContent<'d> {
    /// A document of at most 4063 bytes.
    Document(&'d [u8]),
    /// One in a chain of overflow pages.
    Overflow(OverflowHead),
}

/// The slots of a data page, to be changed.
#[derive(Clone, Debug)]
pub struct SlotList<'p> {
    owner: u16,
    /// Content and flags; `None` is a deleted slot.
    slots: Vec<Option<(Cow<'p, [u8]>, u8)>>,
}

#[expect(clippy::len_without_is_empty, reason = "no content is empty")]
impl<'p> NewContent<'p> {
    /// Bytes in the slot.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Document(bytes) => bytes.len(),
            Self::Overflow(_) => OVERFLOW_HEAD_SIZE,
        }
    }

    fn stored(self) -> (Cow<'p, [u8]>, u8) {
        match self {
            Self::Document(bytes) => (Cow::Borrowed(bytes), 0),
            Self::Overflow(head) => (Cow::Owned(head.encode().to_vec()), OVERFLOW),
        }
    }
}

impl<'p> SlotList<'p> {
    /// An empty page of the collection with this id; 0 for a page that nobody owns.
    #[must_use]
    pub fn empty(collection_id: u32) -> Self {
        let [low, high, ..] = collection_id.to_le_bytes();
        Self {
            owner: u16::from_le_bytes([low, high]),
            slots: Vec::new(),
        }
    }

    /// Takes a page apart.
    ///
    /// # Errors
    /// The first field that cannot be.
    pub fn open(page: &'p PageBytes) -> Result<Self, PageError> {
        let slotted = SlottedPage::open(page)?;
        let slots = (0..slotted.slot_count()).map(|number| {
            let content = slotted.get(SlotNumber(number))?;
            Ok(content.map(|content| match content {
                SlotContent::Document(bytes) => NewContent::Document(bytes).stored(),
                SlotContent::Overflow(head) => NewContent::Overflow(head).stored(),
            }))
        });
        Ok(Self {
            owner: slotted.owner(),
            slots: slots.collect::<Result<_, _>>()?,
        })
    }

    /// True if no slot is live.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }

    fn bytes(&self) -> usize {
        let contents = self.slots.iter().flatten();
        let contents: usize = contents.map(|(content, _)| content.len()).sum();
        HEADER_SIZE
            .saturating_add(self.slots.len().saturating_mul(SLOT_SIZE))
            .saturating_add(contents)
    }

    /// Bytes that are not used; a new slot takes 5 besides its content.
    #[must_use]
    pub fn free(&self) -> usize {
        PAGE_DATA_SIZE.saturating_sub(self.bytes())
    }

    /// Puts a content into the first deleted slot or a new one, if it fits.
    pub fn insert(&mut self, content: NewContent<'p>) -> Option<SlotNumber> {
        let deleted = self.slots.iter().position(Option::is_none);
        let number = deleted.unwrap_or(self.slots.len());
        let slot = SlotNumber(u16::try_from(number).ok()?);
        let stored = content.stored();
        let needed = stored
            .0
            .len()
            .saturating_add(if deleted.is_none() { SLOT_SIZE } else { 0 });
        if needed > self.free() {
            return None;
        }
        match self.slots.get_mut(number) {
            Some(place) => *place = Some(stored),
            None => self.slots.push(Some(stored)),
        }
        Some(slot)
    }

    /// Replaces what a live slot holds, if the new content fits.
    pub fn replace(&mut self, slot: SlotNumber, content: NewContent<'p>) -> bool {
        let (bytes, flags) = content.stored();
        let free = self.free();
        match self.slots.get_mut(usize::from(slot.0)) {
            Some(Some(place)) if bytes.len() <= place.0.len().saturating_add(free) => {
                *place = (bytes, flags | UPDATED);
                true
            }
            _ => false,
        }
    }

    /// Deletes a slot; false if it is not live.
    pub fn delete(&mut self, slot: SlotNumber) -> bool {
        let place = self.slots.get_mut(usize::from(slot.0));
        let was_live = place.and_then(Option::take).is_some();
        while self.slots.last().is_some_and(Option::is_none) {
            self.slots.pop();
        }
        was_live
    }

    /// Puts the data page together, all but its id and checksum.
    pub fn build(&self, page: &mut PageBytes) {
        self.build_as(PageType::Data, page);
    }

    /// Puts a page of another type together: one of posting chunks.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "slots and contents fit a page, whose offsets fit u16"
    )]
    pub fn build_as(&self, page_type: PageType, page: &mut PageBytes) {
        page::begin(page, page_type);
        let (_, data) = page.split_at_mut(PAGE_HEADER_SIZE);
        let mut end = PAGE_DATA_SIZE;
        for (number, slot) in self.slots.iter().enumerate() {
            let at = HEADER_SIZE.saturating_add(number.saturating_mul(SLOT_SIZE));
            let (offset, length, flags) = match slot {
                None => (0, 0, DELETED),
                Some((content, flags)) => {
                    let start = end.saturating_sub(content.len());
                    if let Some(place) = data.get_mut(start..end) {
                        place.copy_from_slice(content);
                    }
                    end = start;
                    (start, content.len(), *flags)
                }
            };
            put_u16(data, at + SLOT_OFFSET, offset as u16);
            put_u16(data, at.saturating_add(SLOT_LENGTH), length as u16);
            if let Some(byte) = data.get_mut(at.saturating_add(SLOT_FLAGS)) {
                *byte = flags;
            }
        }
        let free_start = match self.slots.len() {
            0 => 0,
            count => HEADER_SIZE.saturating_add(count.saturating_mul(SLOT_SIZE)),
        };
        put_u16(data, SLOT_COUNT, self.slots.len() as u16);
        put_u16(data, FREE_START, free_start as u16);
        put_u16(data, FREE_END, end as u16);
        put_u16(data, OWNER, self.owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v2::page::PAGE_SIZE;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn slots_keep_their_numbers_whatever_happens_to_others(
            operations in proptest::collection::vec((0_u8..4, 0_u16..40, 0_usize..700), 0..120),
        ) {
            let contents = vec![9_u8; 700];
            let mut page = [0; PAGE_SIZE];
            SlotList::empty(3).build(&mut page);
            let mut model: Vec<Option<usize>> = Vec::new();
            for (kind, number, length) in operations {
                let before = page;
                let mut list = SlotList::open(&before).unwrap();
                let content = NewContent::Document(&contents[..length]);
                let at = usize::from(number);
                if kind < 2 {
                    if let Some(slot) = list.insert(content) {
                        let slot = usize::from(slot.0);
                        model.resize(model.len().max(slot + 1), None);
                        assert!(model[slot].replace(length).is_none());
                    }
                } else if kind == 2 {
                    let live = model.get(at).copied().flatten().is_some();
                    prop_assert_eq!(list.delete(SlotNumber(number)), live);
                    if live {
                        model[at] = None;
                    }
                } else if list.replace(SlotNumber(number), content) {
                    model[at] = Some(length);
                }
                list.build(&mut page);
                let slotted = SlottedPage::open(&page).unwrap();
                slotted.check_layout().unwrap();
                prop_assert_eq!(slotted.owner(), 3);
                let found: Vec<(u16, usize)> = slotted
                    .slots()
                    .map(|slot| match slot.unwrap() {
                        (slot, SlotContent::Document(bytes)) => (slot.0, bytes.len()),
                        other => panic!("{other:?}"),
                    })
                    .collect();
                let expected = (0..).zip(&model).filter_map(|(slot, len)| len.map(|len| (slot, len)));
                prop_assert!(found.into_iter().eq(expected));
            }
        }
    }
}
