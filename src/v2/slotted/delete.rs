//! Marking slots of a staged page as deleted, and taking that back.
//!
//! Content, offset and length stay, and so does the overflow bit: whoever has the address can still
//! read the document, and its overflow pages can be told from strays.

use super::{DELETED, FRAGMENTED, HEADER_SIZE, SLOT_COUNT, SLOT_FLAGS, SLOT_LENGTH, SLOT_SIZE};
use crate::bytes::get_u16;
use crate::v2::address::SlotNumber;
use crate::v2::page::{PAGE_HEADER_SIZE, PageBytes};

/// Marks a slot as deleted and counts its content as fragmented. False if there is no such slot.
/// A slot that is deleted already stays as it is.
pub fn delete_slot(page: &mut PageBytes, slot: SlotNumber) -> bool {
    let (_, data) = page.split_at_mut(PAGE_HEADER_SIZE);
    let Some(at) = slot_position(data, slot) else {
        return false;
    };
    let length = get_u16(data, at.saturating_add(SLOT_LENGTH)).unwrap_or_default();
    let Some(flags) = data.get_mut(at.saturating_add(SLOT_FLAGS)) else {
        return false;
    };
    if *flags & DELETED == 0 {
        *flags |= DELETED;
        let fragmented = get_u16(data, FRAGMENTED).unwrap_or_default();
        put_fragmented(data, fragmented.saturating_add(length));
    }
    true
}

/// Takes every [`delete_slot`] of a fresh page back for one slot, and the count of fragmented bytes
/// for all: also where a torn write has left a part of it. False if there is no such slot.
pub fn restore_slot(page: &mut PageBytes, slot: SlotNumber) -> bool {
    let (_, data) = page.split_at_mut(PAGE_HEADER_SIZE);
    let Some(flags) =
        slot_position(data, slot).and_then(|at| data.get_mut(at.saturating_add(SLOT_FLAGS)))
    else {
        return false;
    };
    *flags &= !DELETED;
    put_fragmented(data, 0);
    true
}

fn slot_position(data: &[u8], SlotNumber(slot): SlotNumber) -> Option<usize> {
    let count = get_u16(data, SLOT_COUNT)?;
    (slot < count).then(|| HEADER_SIZE.saturating_add(usize::from(slot).saturating_mul(SLOT_SIZE)))
}

fn put_fragmented(data: &mut [u8], bytes: u16) {
    if let Some(field) = data.get_mut(FRAGMENTED..FRAGMENTED + 2) {
        field.copy_from_slice(&bytes.to_le_bytes());
    }
}
