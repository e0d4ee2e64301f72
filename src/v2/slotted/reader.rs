//! Reads slotted pages, trusting nothing. The layout is described in the parent module.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::{
    DELETED, FRAGMENTED, FREE_END, FREE_START, HEADER_SIZE, OVERFLOW, OWNER, OverflowHead,
    SLOT_COUNT, SLOT_FLAGS, SLOT_LENGTH, SLOT_OFFSET, SLOT_SIZE, UPDATED,
};
use crate::bytes::get_u16;
use crate::v2::address::SlotNumber;
use crate::v2::page::{PAGE_DATA_SIZE, PAGE_HEADER_SIZE, PageBytes, PageError};

/// What a live slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotContent<'p> {
    /// The document's bytes, not checked.
    Document(&'p [u8]),
    /// The document lies in a chain of overflow pages.
    Overflow(OverflowHead),
}

/// A slotted page whose header and slot directory are sound. Slots are checked one by one.
#[derive(Clone, Copy, Debug)]
pub struct SlottedPage<'p> {
    data: &'p [u8],
    slot_count: u16,
    free_end: u16,
}

/// A slot as it stands in the directory, its content in bounds.
struct Slot<'p> {
    offset: usize,
    content: &'p [u8],
    flags: u8,
}

impl<'p> SlottedPage<'p> {
    /// Checks the header and the bounds of the directory; the page header is the caller's.
    ///
    /// # Errors
    /// The first field that cannot be.
    pub fn open(page: &'p PageBytes) -> Result<Self, PageError> {
        let (_, data) = page.split_at(PAGE_HEADER_SIZE);
        let field = |at| get_u16(data, at).unwrap_or_default();
        let slot_count = field(SLOT_COUNT);
        let slots_end = slot_position(slot_count);
        let wrong = |at, name, expected: String| {
            let found = field(at);
            Err(PageError::field(
                PAGE_HEADER_SIZE.saturating_add(at),
                name,
                found,
                expected,
            ))
        };
        if slots_end > PAGE_DATA_SIZE {
            let expected = format!("at most {}", super::MAX_SLOTS);
            return wrong(SLOT_COUNT, "slot_count", expected);
        }
        let free_start = usize::from(field(FREE_START));
        if free_start != slots_end && (slot_count, free_start) != (0, 0) {
            return wrong(FREE_START, "free_start", slots_end.to_string());
        }
        let free_end = field(FREE_END);
        if !(slots_end..=PAGE_DATA_SIZE).contains(&usize::from(free_end)) {
            let expected = format!("{slots_end} to {PAGE_DATA_SIZE}");
            return wrong(FREE_END, "free_end", expected);
        }
        if usize::from(field(FRAGMENTED)) > PAGE_DATA_SIZE.saturating_sub(usize::from(free_end)) {
            let expected = format!(
                "at most {}",
                PAGE_DATA_SIZE.saturating_sub(usize::from(free_end))
            );
            return wrong(FRAGMENTED, "fragmented", expected);
        }
        Ok(Self {
            data,
            slot_count,
            free_end,
        })
    }

    /// Slots, deleted ones included.
    #[must_use]
    pub fn slot_count(&self) -> u16 {
        self.slot_count
    }

    /// Low 16 bits of the owning collection's id; 0 on pages that LauraDB made.
    #[must_use]
    pub fn owner(&self) -> u16 {
        get_u16(self.data, OWNER).unwrap_or_default()
    }

    /// Bytes of deleted and moved contents, as the header says.
    #[must_use]
    pub fn fragmented(&self) -> u16 {
        get_u16(self.data, FRAGMENTED).unwrap_or_default()
    }

    /// Bytes between the slots and the contents.
    #[must_use]
    pub fn free(&self) -> usize {
        usize::from(self.free_end).saturating_sub(slot_position(self.slot_count))
    }

    /// The content of a slot, `None` if it is deleted.
    ///
    /// # Errors
    /// There is no such slot, or its fields cannot be.
    pub fn get(&self, slot: SlotNumber) -> Result<Option<SlotContent<'p>>, PageError> {
        let Some(slot) = self.slot(slot)? else {
            return Ok(None);
        };
        if slot.flags & OVERFLOW == 0 {
            return Ok(Some(SlotContent::Document(slot.content)));
        }
        OverflowHead::decode(slot.content, slot.offset)
            .map(|head| Some(SlotContent::Overflow(head)))
    }

    /// The document that lies in a live slot of the page. Of any other slot, and of one that is
    /// damaged, [`Self::get`] tells more.
    #[inline(always)]
    #[must_use]
    pub fn document(&self, slot: SlotNumber) -> Option<&'p [u8]> {
        let sound = self.sound_slot(slot)?;
        (sound.flags & (DELETED | OVERFLOW) == 0).then_some(sound.content)
    }

    /// The numbers of all slots, in order.
    pub fn numbers(&self) -> impl Iterator<Item = SlotNumber> + use<> {
        (0..self.slot_count).map(SlotNumber)
    }

    /// Where the content of a slot begins in the page, header included.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn position(&self, slot: SlotNumber) -> Result<usize, PageError> {
        Ok(in_page(self.slot_as_it_is(slot)?.offset, 0))
    }

    /// The content of a slot, deleted or not: for a page of this tool's own, which keeps it.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn get_deleted(&self, slot: SlotNumber) -> Result<SlotContent<'p>, PageError> {
        let slot = self.slot_as_it_is(slot)?;
        if slot.flags & OVERFLOW == 0 {
            return Ok(SlotContent::Document(slot.content));
        }
        OverflowHead::decode(slot.content, slot.offset).map(SlotContent::Overflow)
    }

    /// The numbers of the deleted slots.
    pub fn deleted_slots(self) -> impl Iterator<Item = SlotNumber> + use<'p> {
        self.numbers().filter(move |slot| {
            let flags = self
                .data
                .get(slot_position(slot.0).saturating_add(SLOT_FLAGS));
            flags.is_some_and(|flags| flags & DELETED != 0)
        })
    }

    /// The live slots in the order of their numbers; each is checked as it is reached.
    pub fn slots(
        self,
    ) -> impl Iterator<Item = Result<(SlotNumber, SlotContent<'p>), PageError>> + use<'p> {
        self.numbers().filter_map(move |slot| {
            let content = self.get(slot).transpose()?;
            Some(content.map(|content| (slot, content)))
        })
    }

    /// Checks what reading does not need: that contents lie above `free_end` and do not overlap.
    ///
    /// # Errors
    /// The first slot, by the place of its content, that breaks the rule or cannot be read.
    pub fn check_layout(&self) -> Result<(), PageError> {
        if self.is_stacked() {
            return Ok(());
        }
        let mut contents = Vec::with_capacity(usize::from(self.slot_count));
        for number in self.numbers() {
            if let Some(slot) = self.slot(number)? {
                contents.push((slot.offset, slot.content.len(), number));
            }
        }
        contents.sort_unstable();
        let mut lowest = usize::from(self.free_end);
        for (offset, length, number) in contents {
            if offset < lowest {
                return Err(PageError::field(
                    in_page(slot_position(number.0), SLOT_OFFSET),
                    "slot offset",
                    offset as u64,
                    format!("{lowest} or more: below that lies other content or free space"),
                ));
            }
            lowest = offset.saturating_add(length);
        }
        Ok(())
    }

    /// True if each content lies below that of the slot before, and all above `free_end`: nothing
    /// overlaps, then. So pages are that nothing was changed in.
    fn is_stacked(&self) -> bool {
        let mut lowest = PAGE_DATA_SIZE;
        self.numbers().all(|number| {
            let slot = self.sound_slot(number);
            let below =
                slot.filter(|slot| slot.offset.saturating_add(slot.content.len()) <= lowest);
            lowest = below.as_ref().map_or(0, |slot| slot.offset);
            below.is_some() && lowest >= usize::from(self.free_end)
        })
    }

    #[inline]
    fn slot(&self, slot: SlotNumber) -> Result<Option<Slot<'p>>, PageError> {
        if let Some(slot) = self.sound_slot(slot) {
            return Ok((slot.flags & DELETED == 0).then_some(slot));
        }
        let flags = self
            .data
            .get(slot_position(slot.0).saturating_add(SLOT_FLAGS));
        let is_deleted = flags.is_some_and(|flags| flags & DELETED != 0);
        match is_deleted && slot.0 < self.slot_count {
            true => Ok(None),
            false => Err(self.slot_error(slot)),
        }
    }

    #[inline]
    fn slot_as_it_is(&self, slot: SlotNumber) -> Result<Slot<'p>, PageError> {
        self.sound_slot(slot).ok_or_else(|| self.slot_error(slot))
    }

    /// A slot that is in the directory, with flags that there are and content in bounds.
    #[inline]
    fn sound_slot(&self, SlotNumber(number): SlotNumber) -> Option<Slot<'p>> {
        let fields = self.data.get(slot_position(number)..)?;
        let [offset, offset_high, length, length_high, flags] = *fields.first_chunk()?;
        let offset = usize::from(u16::from_le_bytes([offset, offset_high]));
        let length = usize::from(u16::from_le_bytes([length, length_high]));
        let is_sound = number < self.slot_count
            && flags & !FLAGS == 0
            && offset >= slot_position(self.slot_count);
        let content = self.data.get(offset..offset.saturating_add(length))?;
        is_sound.then_some(Slot {
            offset,
            content,
            flags,
        })
    }

    /// What is wrong with a slot that is not sound.
    #[cold]
    fn slot_error(&self, SlotNumber(number): SlotNumber) -> PageError {
        let position = slot_position(number);
        let start = in_page(position, 0);
        if number >= self.slot_count {
            let expected = format!("less than {}", self.slot_count);
            return PageError::field(start, "slot number", number, expected);
        }
        let fields = || {
            let offset = get_u16(self.data, position.saturating_add(SLOT_OFFSET))?;
            let length = get_u16(self.data, position.saturating_add(SLOT_LENGTH))?;
            let flags = *self.data.get(position.saturating_add(SLOT_FLAGS))?;
            Some((offset, length, flags))
        };
        // `open` saw to it that the directory lies in the page.
        let Some((offset, length, flags)) = fields() else {
            return PageError::Truncated {
                offset: start,
                field: "slot",
            };
        };
        if flags & !FLAGS != 0 {
            let expected = "a sum of 1 (deleted), 2 (overflow), 4 (updated)";
            let at = in_page(position, SLOT_FLAGS);
            return PageError::field(at, "slot flags", flags, expected);
        }
        let offset = usize::from(offset);
        let slots_end = slot_position(self.slot_count);
        if !(slots_end..=PAGE_DATA_SIZE).contains(&offset) {
            let expected = format!("{slots_end} to {PAGE_DATA_SIZE}");
            let at = in_page(position, SLOT_OFFSET);
            return PageError::field(at, "slot offset", offset as u64, expected);
        }
        let expected = format!("at most {}", PAGE_DATA_SIZE.saturating_sub(offset));
        let at = in_page(position, SLOT_LENGTH);
        PageError::field(at, "slot length", length, expected)
    }
}

/// The flags that there are.
const FLAGS: u8 = DELETED | OVERFLOW | UPDATED;

const _: () = assert!(SLOT_OFFSET == 0 && SLOT_LENGTH == 2 && SLOT_FLAGS == 4);

/// Where a slot stands in the directory.
fn slot_position(number: u16) -> usize {
    HEADER_SIZE.saturating_add(usize::from(number).saturating_mul(SLOT_SIZE))
}

/// The byte of the page, header included, for a field of what begins at `position` of the data.
fn in_page(position: usize, field: usize) -> usize {
    PAGE_HEADER_SIZE
        .saturating_add(position)
        .saturating_add(field)
}
