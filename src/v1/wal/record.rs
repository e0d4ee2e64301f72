//! The framing of a record: its header and the types there are.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use crate::bytes::{get_u32, get_u64, put_u32, put_u64};
use crate::document::MAX_DOCUMENT_BYTES;

/// Where each header field starts.
mod at {
    pub(super) const LSN: usize = 0;
    pub(super) const KIND: usize = LSN + size_of::<u64>();
    pub(super) const TXN_ID: usize = KIND + size_of::<u8>();
    pub(super) const PAGE_ID: usize = TXN_ID + size_of::<u64>();
    pub(super) const PREV_LSN: usize = PAGE_ID + size_of::<u32>();
    pub(super) const DATA_LEN: usize = PREV_LSN + size_of::<u64>();
    pub(super) const END: usize = DATA_LEN + size_of::<u32>();
}

/// Bytes of a record's header.
pub const HEADER_BYTES: usize = at::END;
const _: () = assert!(HEADER_BYTES == 33);

/// Most bytes of `data` that a record may have.
pub const MAX_DATA_BYTES: usize = 16 * 1024 * 1024 + 65_570;
// Room for the largest document, the longest name with its length, and a header to spare.
const _: () = assert!(MAX_DATA_BYTES == MAX_DOCUMENT_BYTES + 2 + u16::MAX as usize + HEADER_BYTES);

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the types")]
pub enum RecordKind {
    Insert = 0,
    Update = 1,
    Delete = 2,
    Checkpoint = 3,
    Commit = 4,
    Abort = 5,
}

impl RecordKind {
    /// The type with this byte, or `None` for one that LauraDB does not write.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Insert,
            1 => Self::Update,
            2 => Self::Delete,
            3 => Self::Checkpoint,
            4 => Self::Commit,
            5 => Self::Abort,
            _ => return None,
        })
    }

    /// Insert, update and delete carry a document operation; the others carry nothing.
    #[must_use]
    pub fn is_operation(self) -> bool {
        matches!(self, Self::Insert | Self::Update | Self::Delete)
    }
}

/// A record's header as it stands; nothing in it is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordHeader {
    /// Log sequence number; grows strictly from record to record.
    pub lsn: u64,
    /// Type byte, see [`RecordKind::from_byte`].
    pub kind: u8,
    /// 0 commits at once.
    pub txn_id: u64,
    /// 0 in every record that this tool understands.
    pub page_id: u32,
    /// LauraDB chains a transaction's records by it; nothing depends on it.
    pub prev_lsn: u64,
    /// Bytes of data after the header.
    pub data_len: u32,
}

impl RecordHeader {
    /// Reads a header from the first bytes, or `None` if they are too few.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            lsn: get_u64(bytes, at::LSN)?,
            kind: *bytes.get(at::KIND)?,
            txn_id: get_u64(bytes, at::TXN_ID)?,
            page_id: get_u32(bytes, at::PAGE_ID)?,
            prev_lsn: get_u64(bytes, at::PREV_LSN)?,
            data_len: get_u32(bytes, at::DATA_LEN)?,
        })
    }

    /// The type of the record that starts with these bytes, if it is a known one.
    #[must_use]
    pub fn kind_of(bytes: &[u8]) -> Option<RecordKind> {
        RecordKind::from_byte(*bytes.get(at::KIND)?)
    }

    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        put_u64(&mut bytes, at::LSN, self.lsn);
        if let Some(kind) = bytes.get_mut(at::KIND) {
            *kind = self.kind;
        }
        put_u64(&mut bytes, at::TXN_ID, self.txn_id);
        put_u32(&mut bytes, at::PAGE_ID, self.page_id);
        put_u64(&mut bytes, at::PREV_LSN, self.prev_lsn);
        put_u32(&mut bytes, at::DATA_LEN, self.data_len);
        bytes
    }

    /// Bytes of the whole record as its length field has it.
    #[must_use]
    pub fn record_bytes(&self) -> u64 {
        (HEADER_BYTES as u64).saturating_add(u64::from(self.data_len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_the_round_trip() {
        let header = RecordHeader {
            lsn: 0x0102_0304_0506_0708,
            kind: 4,
            txn_id: 9,
            page_id: 77,
            prev_lsn: 0xFFFF,
            data_len: 30,
        };
        let bytes = header.encode();
        assert_eq!(RecordHeader::decode(&bytes), Some(header));
        assert_eq!(bytes[8], 4);
        assert_eq!(RecordHeader::decode(&bytes[..32]), None);
    }

    #[test]
    fn six_types_are_known() {
        let known = (0..=u8::MAX).filter_map(RecordKind::from_byte).count();
        assert_eq!(known, 6);
        for byte in 0..6 {
            assert_eq!(
                RecordKind::from_byte(byte).map(|kind| kind as u8),
                Some(byte)
            );
        }
    }
}
