//! Numbers that name places in `data.db`.

use crate::bytes::Cursor;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Number of a page in its file; its offset is 4096 times that.
///
/// 0 means "none" wherever a page points at another: page 0 of `data.db` holds nothing.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct PageId(pub u32);

/// Number of a slot in its slotted page.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct SlotNumber(pub u16);

/// Where a document of a known collection is. Orders as documents lie in the file.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct DocumentAddress {
    /// The slotted page.
    pub page: PageId,
    /// The slot in it.
    pub slot: SlotNumber,
}

/// Bytes of a document address on disk:
/// `collection_id u32 | page u32 | slot u16 | reserved u16`.
pub const ADDRESS_BYTES: usize = 12;

impl DocumentAddress {
    /// The 12 bytes that index entries hold.
    #[inline]
    #[must_use]
    pub fn encode(self, collection_id: u32) -> [u8; ADDRESS_BYTES] {
        let mut bytes = [0; ADDRESS_BYTES];
        let fields = bytes.as_chunks_mut::<4>().0;
        if let [collection, page, slot] = fields {
            *collection = collection_id.to_le_bytes();
            *page = self.page.0.to_le_bytes();
            *slot = u32::from(self.slot.0).to_le_bytes();
        }
        bytes
    }

    /// Reads 12 bytes: the collection's id and the address. `None` if they are too few or the
    /// reserved field is not 0.
    #[inline]
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<(u32, Self)> {
        let mut cursor = Cursor::new(bytes);
        let collection_id = cursor.u32()?;
        let page = PageId(cursor.u32()?);
        let slot = SlotNumber(cursor.u16()?);
        let reserved = cursor.u16()?;
        (reserved == 0).then_some((collection_id, Self { page, slot }))
    }
}

impl fmt::Display for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for DocumentAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page {} slot {}", self.page.0, self.slot.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip_in_12_bytes() {
        let address = DocumentAddress {
            page: PageId(0x0102_0304),
            slot: SlotNumber(0x0506),
        };
        let bytes = address.encode(9);
        assert_eq!(bytes, [9, 0, 0, 0, 4, 3, 2, 1, 6, 5, 0, 0]);
        assert_eq!(DocumentAddress::decode(&bytes), Some((9, address)));
    }
}
