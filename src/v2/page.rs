//! The 4 KiB page that `data.db` and `metadata.db` are made of, and its 16-byte header.
//!
//! ```text
//! page (4096 bytes) = header (16) | data (4080)
//! header            = page_id u32    its own number in the file
//!                   | type u8        0 data, 1 index, 2 free list, 3 overflow
//!                   | flags u8       0; what LauraDB sets here is ignored
//!                   | lsn u64        last WAL record that changed it; 0 after a migration
//!                   | checksum u16   low half of CRC-32C of the page with this field zero,
//!                                    0xFFFF where that is 0; 0 = none
//! ```
//!
//! LauraDB calls the checksum field `reserved`, writes 0 and ignores what it reads, so a page that
//! LauraDB has rewritten has none. All offsets stored in a page count from byte 16; the constants
//! and errors of this module count from byte 0.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::address::PageId;
use crate::bytes::{get_u16, get_u32, get_u64, put_u16, put_u32, put_u64};
use crate::{Code, Error, Place};
use std::borrow::Cow;
use std::path::Path;

/// Bytes of a page.
pub const PAGE_SIZE: usize = 4096;
/// Bytes of the page header.
pub const PAGE_HEADER_SIZE: usize = CHECKSUM + 2;
/// Bytes of a page after its header.
pub const PAGE_DATA_SIZE: usize = PAGE_SIZE - PAGE_HEADER_SIZE;

const PAGE_ID: usize = 0;
const TYPE: usize = PAGE_ID + 4;
const FLAGS: usize = TYPE + 1;
const LSN: usize = FLAGS + 1;
const CHECKSUM: usize = LSN + 8;

const _: () = assert!(PAGE_HEADER_SIZE == 16 && PAGE_DATA_SIZE == 4080);

/// A whole page as it lies in its file.
pub type PageBytes = [u8; PAGE_SIZE];

/// What a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PageType {
    /// Slotted documents; in `metadata.db` every page.
    Data = 0,
    /// A node of an index, or slotted posting chunks of a text index.
    Index = 1,
    /// A part of the free list.
    FreeList = 2,
    /// A part of a document too large for a slotted page.
    Overflow = 3,
}

impl PageType {
    /// The type with this number.
    #[must_use]
    pub fn from_u8(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Data),
            1 => Some(Self::Index),
            2 => Some(Self::FreeList),
            3 => Some(Self::Overflow),
            _ => None,
        }
    }
}

/// What is wrong with a page. `offset` counts from the page's first byte.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// The page is another one than its place in the file says.
    #[error("byte 0 of the page: page id is {found}, expected {expected}")]
    PageId {
        /// The number that its place or its pointer gives.
        expected: PageId,
        /// What stands there.
        found: PageId,
    },
    /// The page is of another type.
    #[error("byte 4 of the page: page type is {found}, expected {} ({expected:?})", *expected as u8)]
    PageType {
        /// What its place or its pointer asks for.
        expected: PageType,
        /// What stands there.
        found: u8,
    },
    /// The page's bytes are not those that were written.
    #[error("byte 14 of the page: checksum is {found:#06x}, its bytes give {expected:#06x}")]
    Checksum {
        /// Computed from the bytes.
        expected: u16,
        /// What stands there.
        found: u16,
    },
    /// The page has no checksum where one is required.
    #[error("byte 14 of the page: the page has no checksum, expected {expected:#06x}")]
    NoChecksum {
        /// Computed from the bytes.
        expected: u16,
    },
    /// A field has a value that it cannot have.
    #[error("byte {offset} of the page: {field} is {found}, expected {expected}")]
    Field {
        /// Where the field stands.
        offset: usize,
        /// Its name in the grammar.
        field: &'static str,
        /// What stands there.
        found: u64,
        /// What may stand there.
        expected: Cow<'static, str>,
    },
    /// A text is not what it has to be.
    #[error("byte {offset} of the page: {field} is not valid {expected}")]
    Text {
        /// Where the text begins.
        offset: usize,
        /// Its name in the grammar.
        field: &'static str,
        /// UTF-8, or a kind of JSON.
        expected: &'static str,
    },
    /// A structure runs past the end of the page.
    #[error("byte {offset} of the page: {field} runs past the end of the page")]
    Truncated {
        /// Where the structure begins.
        offset: usize,
        /// Its name in the grammar.
        field: &'static str,
    },
}

impl PageError {
    /// A field whose value is not allowed.
    #[must_use]
    pub fn field(
        offset: usize,
        field: &'static str,
        found: impl Into<u64>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::Field {
            offset,
            field,
            found: found.into(),
            expected: expected.into(),
        }
    }

    /// The tool's error for a metadata record in this page of this file, [`Code::CatalogDamaged`].
    #[must_use]
    pub fn in_record(self, path: impl AsRef<Path>, page: PageId) -> Error {
        Error::new(Code::CatalogDamaged, self.to_string()).at(Place::page(path, page.0))
    }

    /// The tool's error for this page of this file, [`Code::PageDamaged`].
    #[must_use]
    pub fn at(self, path: impl AsRef<Path>, page: PageId) -> Error {
        Error::new(Code::PageDamaged, self.to_string()).at(Place::page(path, page.0))
    }
}

/// Whether a page may come without a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumPolicy {
    /// As a migration leaves it: every page has one.
    Required,
    /// LauraDB may have rewritten the page since; one that is there must match.
    Optional,
}

/// The header of a page, field by field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageHeader {
    /// The page's number in its file.
    pub page_id: PageId,
    /// The type's number; see [`PageType::from_u8`].
    pub page_type: u8,
    /// Not interpreted.
    pub flags: u8,
    /// Last WAL record that changed the page.
    pub lsn: u64,
    /// 0 = none.
    pub checksum: u16,
}

impl PageHeader {
    /// Reads the header of a page; any bytes make one.
    #[must_use]
    pub fn decode(page: &PageBytes) -> Self {
        let [_, _, _, _, page_type, flags, ..] = *page;
        Self {
            page_id: page_id(page),
            page_type,
            flags,
            lsn: get_u64(page, LSN).unwrap_or_default(),
            checksum: stored_checksum(page),
        }
    }

    /// Writes the header.
    pub fn encode(&self, page: &mut PageBytes) {
        put_u32(page, PAGE_ID, self.page_id.0);
        let [_, _, _, _, page_type, flags, ..] = page;
        *page_type = self.page_type;
        *flags = self.flags;
        put_u64(page, LSN, self.lsn);
        put_u16(page, CHECKSUM, self.checksum);
    }
}

/// Begins a page: all zero but for its type.
///
/// Its id and checksum come when it is closed, by [`seal`].
pub fn begin(page: &mut PageBytes, page_type: PageType) {
    page.fill(0);
    let [_, _, _, _, type_field, ..] = page;
    *type_field = page_type as u8;
}

/// The page's own number as it stands in its header.
#[must_use]
pub fn page_id(page: &PageBytes) -> PageId {
    PageId(get_u32(page, PAGE_ID).unwrap_or_default())
}

/// Gives a page its id and, last of all, its checksum.
pub fn seal(page: &mut PageBytes, id: PageId) {
    put_u32(page, PAGE_ID, id.0);
    let checksum = checksum(page);
    put_u16(page, CHECKSUM, checksum);
}

/// [`seal`]s a page that a WAL record with this LSN has changed.
pub fn stamp(page: &mut PageBytes, id: PageId, lsn: u64) {
    put_u64(page, LSN, lsn);
    seal(page, id);
}

/// Checks id, type and checksum of a page that was read.
///
/// # Errors
/// The first that is not as expected.
pub fn verify(
    page: &PageBytes,
    id: PageId,
    page_type: PageType,
    policy: ChecksumPolicy,
) -> Result<(), PageError> {
    verify_checksum(page, policy)?;
    let header = PageHeader::decode(page);
    if header.page_id != id {
        return Err(PageError::PageId {
            expected: id,
            found: header.page_id,
        });
    }
    if header.page_type != page_type as u8 {
        return Err(PageError::PageType {
            expected: page_type,
            found: header.page_type,
        });
    }
    Ok(())
}

/// Checks a page's checksum alone.
///
/// # Errors
/// It does not match, or is missing where the policy requires one.
pub fn verify_checksum(page: &PageBytes, policy: ChecksumPolicy) -> Result<(), PageError> {
    let found = stored_checksum(page);
    if found == 0 && policy == ChecksumPolicy::Optional {
        return Ok(());
    }
    let expected = checksum(page);
    match found {
        0 => Err(PageError::NoChecksum { expected }),
        found if found == expected => Ok(()),
        found => Err(PageError::Checksum { expected, found }),
    }
}

fn stored_checksum(page: &PageBytes) -> u16 {
    get_u16(page, CHECKSUM).unwrap_or_default()
}

/// The checksum that the page's bytes give, whatever its checksum field holds; never 0.
#[must_use]
pub fn checksum(page: &PageBytes) -> u16 {
    let (header, data) = page.split_at(PAGE_HEADER_SIZE);
    let mut zeroed = [0; PAGE_HEADER_SIZE];
    zeroed.copy_from_slice(header);
    put_u16(&mut zeroed, CHECKSUM, 0);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&zeroed), data);
    let [low, high, ..] = crc.to_le_bytes();
    match u16::from_le_bytes([low, high]) {
        0 => u16::MAX,
        checksum => checksum,
    }
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the numbers of a test fit, or only their low bits matter"
)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(seed: u8) -> PageBytes {
        let mut page = [0; PAGE_SIZE];
        begin(&mut page, PageType::Index);
        for (at, byte) in page.iter_mut().enumerate().skip(PAGE_HEADER_SIZE) {
            *byte = (at as u8).wrapping_mul(31).wrapping_add(seed);
        }
        seal(&mut page, PageId(7));
        page
    }

    #[test]
    fn headers_round_trip_in_16_bytes() {
        let header = PageHeader {
            page_id: PageId(0x0102_0304),
            page_type: 3,
            flags: 5,
            lsn: 0x1112_1314_1516_1718,
            checksum: 0x2122,
        };
        let mut page = [0; PAGE_SIZE];
        header.encode(&mut page);
        assert_eq!(
            page[..16],
            [
                4, 3, 2, 1, 3, 5, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x22, 0x21
            ]
        );
        assert_eq!(page[16..], [0; PAGE_DATA_SIZE]);
        assert_eq!(PageHeader::decode(&page), header);
    }

    #[test]
    fn every_single_bit_flip_is_found() {
        for seed in [0, 77] {
            let page = sample(seed);
            let whole = verify(&page, PageId(7), PageType::Index, ChecksumPolicy::Required);
            assert_eq!(whole, Ok(()));
            for bit in 0..PAGE_SIZE * 8 {
                let mut flipped = page;
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(
                    verify_checksum(&flipped, ChecksumPolicy::Required).is_err(),
                    "bit {bit}"
                );
            }
        }
    }

    #[test]
    fn a_page_without_checksum_passes_only_where_that_is_allowed() {
        let mut page = sample(1);
        put_u16(&mut page, CHECKSUM, 0);
        page[100] ^= 1;
        let check = |policy| verify(&page, PageId(7), PageType::Index, policy);
        assert_eq!(check(ChecksumPolicy::Optional), Ok(()));
        assert!(matches!(
            check(ChecksumPolicy::Required),
            Err(PageError::NoChecksum { .. })
        ));
    }

    #[test]
    fn id_and_type_must_be_those_asked_for() {
        let page = sample(2);
        let check = |id, page_type| verify(&page, id, page_type, ChecksumPolicy::Required);
        assert_eq!(
            check(PageId(8), PageType::Index),
            Err(PageError::PageId {
                expected: PageId(8),
                found: PageId(7)
            })
        );
        let error = check(PageId(7), PageType::Overflow).unwrap_err();
        assert_eq!(
            error.to_string(),
            "byte 4 of the page: page type is 1, expected 3 (Overflow)"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_verdict(bytes in proptest::collection::vec(any::<u8>(), PAGE_SIZE)) {
            let page: PageBytes = bytes.try_into().unwrap();
            let _ = verify(&page, PageId(0), PageType::Data, ChecksumPolicy::Optional);
            let mut copy = page;
            PageHeader::decode(&page).encode(&mut copy);
            prop_assert_eq!(copy, page);
        }
    }
}
