//! Documents of more than 4063 bytes: chains of overflow pages.
//!
//! ```text
//! data (4080 bytes) = next_page u32    0 in the last page of the chain
//!                   | data_length u16  1 to 4072
//!                   | reserved u16 (0)
//!                   | data_length bytes of the document | zero to the end
//! ```
//!
//! The slot that owns the chain holds its first page, its number of pages and the document's size
//! (`OverflowHead` of `v2::slotted`). A chain is written as one run of consecutive pages, all
//! full but the last; readers accept any pages and any filling.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::address::PageId;
use super::page::PageType;
use super::page::{self, PAGE_DATA_SIZE, PAGE_HEADER_SIZE, PAGE_SIZE, PageBytes, PageError};
use super::slotted::OverflowHead;
use crate::bytes::{get_u16, get_u32, put_u16, put_u32};

const NEXT_PAGE: usize = PAGE_HEADER_SIZE;
const DATA_LENGTH: usize = NEXT_PAGE + 4;
const RESERVED: usize = DATA_LENGTH + 2;
const CONTENT: usize = RESERVED + 2;

/// Bytes of a document that one overflow page holds.
pub const OVERFLOW_PAGE_CAPACITY: usize = PAGE_SIZE - CONTENT;

const _: () = assert!(OVERFLOW_PAGE_CAPACITY == 4072 && OVERFLOW_PAGE_CAPACITY < PAGE_DATA_SIZE);

/// The chain of a document whose first page will be `first_page`; `None` if its size is not that
/// of an overflow document, or the page numbers run out.
#[must_use]
pub fn plan_chain(document: &[u8], first_page: PageId) -> Option<OverflowHead> {
    let total_size = u32::try_from(document.len()).ok()?;
    let page_count = u16::try_from(document.len().div_ceil(OVERFLOW_PAGE_CAPACITY)).ok()?;
    first_page.0.checked_add(u32::from(page_count))?;
    OverflowHead::new(total_size, first_page, page_count)
}

/// Writes the pages of a chain to `sink`, which must give them consecutive ids from
/// `first_page` on and seal them.
///
/// # Errors
/// Those of the sink.
pub fn write_chain<E>(
    document: &[u8],
    first_page: PageId,
    mut sink: impl FnMut(&mut PageBytes) -> Result<(), E>,
) -> Result<(), E> {
    let following = (first_page.0.saturating_add(1)..).map(PageId);
    write_chain_over(document, following, |page| sink(page))
}

/// Writes the pages of a chain to `sink`, which gives them any ids; `following` are those of the
/// pages from the second on.
///
/// # Errors
/// Those of the sink.
pub fn write_chain_over<E>(
    document: &[u8],
    following: impl IntoIterator<Item = PageId>,
    mut sink: impl FnMut(&mut PageBytes) -> Result<(), E>,
) -> Result<(), E> {
    let mut bytes = [0; PAGE_SIZE];
    let mut following = following.into_iter();
    let mut parts = document.chunks(OVERFLOW_PAGE_CAPACITY).peekable();
    while let Some(part) = parts.next() {
        page::begin(&mut bytes, PageType::Overflow);
        if parts.peek().is_some() {
            let next = following.next().unwrap_or_default();
            put_u32(&mut bytes, NEXT_PAGE, next.0);
        }
        let length = u16::try_from(part.len()).unwrap_or(u16::MAX);
        put_u16(&mut bytes, DATA_LENGTH, length);
        if let Some(content) = bytes.get_mut(CONTENT..CONTENT.saturating_add(part.len())) {
            content.copy_from_slice(part);
        }
        sink(&mut bytes)?;
    }
    Ok(())
}

/// Puts a document together again, page by page; the caller fetches the pages.
///
/// Ends after as many pages as the head says, so a chain that loops is found like any other that is
/// too long.
#[derive(Clone, Debug)]
pub struct ChainReader {
    next: Option<PageId>,
    pages_left: u16,
    bytes_left: u32,
}

impl ChainReader {
    /// Starts at the first page.
    #[must_use]
    pub fn new(head: OverflowHead) -> Self {
        Self {
            next: Some(head.first_page()),
            pages_left: head.page_count(),
            bytes_left: head.total_size(),
        }
    }

    /// The page to fetch and hand to [`Self::take`]; `None` when the document is whole.
    #[must_use]
    pub fn next_page(&self) -> Option<PageId> {
        self.next
    }

    /// Appends what the page holds to `document`. Id, type and checksum of the page are checked
    /// already.
    ///
    /// # Errors
    /// The page does not go with what the head said and what the pages before it held.
    pub fn take(&mut self, page: &PageBytes, document: &mut Vec<u8>) -> Result<(), PageError> {
        let next = get_u32(page, NEXT_PAGE).unwrap_or_default();
        let length = get_u16(page, DATA_LENGTH).unwrap_or_default();
        let reserved = get_u16(page, RESERVED).unwrap_or_default();
        if reserved != 0 {
            return Err(PageError::field(RESERVED, "reserved", reserved, "0"));
        }
        let pages_left = self.pages_left.saturating_sub(1);
        let length_error = |expected: String| {
            Err(PageError::field(
                DATA_LENGTH,
                "data_length",
                length,
                expected,
            ))
        };
        let capacity = u32::try_from(OVERFLOW_PAGE_CAPACITY).unwrap_or_default();
        let most = self.bytes_left.min(capacity);
        if length == 0 || u32::from(length) > most {
            return length_error(format!("1 to {most}"));
        }
        let bytes_left = self.bytes_left.saturating_sub(u32::from(length));
        if (pages_left == 0) != (bytes_left == 0) {
            return length_error(format!(
                "to leave bytes for exactly {pages_left} more pages, not {bytes_left} bytes"
            ));
        }
        if (pages_left == 0) != (next == 0) {
            let expected = match pages_left {
                0 => "0, since this is the chain's last page".to_owned(),
                more => format!("a page, since {more} more belong to the chain"),
            };
            return Err(PageError::field(NEXT_PAGE, "next_page", next, expected));
        }
        let content = page.get(CONTENT..CONTENT + usize::from(length));
        document.extend_from_slice(content.ok_or(PageError::Truncated {
            offset: CONTENT,
            field: "overflow data",
        })?);
        self.next = (next != 0).then_some(PageId(next));
        self.pages_left = pages_left;
        self.bytes_left = bytes_left;
        Ok(())
    }
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the numbers of a test fit, or only their low bits matter"
)]
mod tests {
    use super::*;
    use crate::v2::ChecksumPolicy;
    use proptest::prelude::*;

    const FIRST: PageId = PageId(5);

    fn document(size: usize) -> Vec<u8> {
        (0..size).map(|at| (at * 7 + at / 251) as u8).collect()
    }

    fn chain(document: &[u8]) -> (OverflowHead, Vec<PageBytes>) {
        let head = plan_chain(document, FIRST).unwrap();
        let mut pages = Vec::new();
        write_chain(document, FIRST, |bytes| {
            page::seal(bytes, PageId(FIRST.0 + pages.len() as u32));
            pages.push(*bytes);
            Ok::<_, PageError>(())
        })
        .unwrap();
        (head, pages)
    }

    fn read(head: OverflowHead, pages: &[PageBytes]) -> Result<Vec<u8>, PageError> {
        let mut chain = ChainReader::new(head);
        let mut document = Vec::new();
        while let Some(id) = chain.next_page() {
            let at = (id.0 as usize).wrapping_sub(FIRST.0 as usize) % pages.len();
            chain.take(&pages[at], &mut document)?;
        }
        Ok(document)
    }

    #[test]
    fn documents_round_trip_up_to_the_limit() {
        for (size, page_count) in [
            (4064, 1),
            (4072, 1),
            (4073, 2),
            (100_000, 25),
            (16 << 20, 4121),
        ] {
            let document = document(size);
            let (head, pages) = chain(&document);
            assert_eq!(usize::from(head.page_count()), page_count);
            assert_eq!(pages.len(), page_count);
            for (page, id) in pages.iter().zip(FIRST.0..) {
                let sealed = page::verify(
                    page,
                    PageId(id),
                    PageType::Overflow,
                    ChecksumPolicy::Required,
                );
                assert_eq!(sealed, Ok(()));
            }
            assert!(read(head, &pages).unwrap() == document, "{size}");
        }
    }

    #[test]
    fn sizes_that_no_chain_has_are_refused() {
        assert_eq!(plan_chain(&document(4063), FIRST), None);
        assert_eq!(plan_chain(&document((16 << 20) + 1), FIRST), None);
        assert_eq!(plan_chain(&document(5000), PageId(u32::MAX)), None);
        assert_eq!(OverflowHead::new(5000, PageId(0), 2), None);
        assert_eq!(OverflowHead::new(5000, FIRST, 1), None);
        assert_eq!(OverflowHead::new(5000, FIRST, 5001), None);
        assert_eq!(OverflowHead::new(0, FIRST, 0), None);
    }

    #[test]
    fn a_chain_that_does_not_add_up_is_refused() {
        let (head, pages) = chain(&document(10_000));
        let cases: [(&str, usize, usize, u32); 6] = [
            ("loops at its end", 2, NEXT_PAGE, FIRST.0),
            ("ends early", 1, NEXT_PAGE, 0),
            ("is short of bytes", 2, DATA_LENGTH, 100),
            ("has an empty page", 0, DATA_LENGTH, 0),
            ("holds more than fits", 0, DATA_LENGTH, 4073),
            ("sets the reserved field", 0, DATA_LENGTH, 0x0001_0fe8),
        ];
        for (name, page, at, value) in cases {
            let mut damaged = pages.clone();
            put_u32(&mut damaged[page], at, value);
            assert!(read(head, &damaged).is_err(), "a chain that {name}");
        }
        let longer = OverflowHead::new(10_000, FIRST, 4).unwrap();
        assert!(read(longer, &pages).is_err());
        let larger = OverflowHead::new(10_001, FIRST, 3).unwrap();
        assert!(read(larger, &pages).is_err());
    }

    proptest! {
        #[test]
        fn any_pages_end_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), PAGE_SIZE),
            total in 4064_u32..100_000,
            count in 1_u16..100,
            length in 0_u16..5000,
        ) {
            let mut page: PageBytes = bytes.try_into().unwrap();
            put_u16(&mut page, RESERVED, 0);
            put_u16(&mut page, DATA_LENGTH, length);
            if let Some(head) = OverflowHead::new(total, FIRST, count) {
                let mut chain = ChainReader::new(head);
                let mut document = Vec::new();
                let mut steps = 0;
                while chain.next_page().is_some() && chain.take(&page, &mut document).is_ok() {
                    steps += 1;
                }
                prop_assert!(steps <= count && document.len() <= total as usize);
            }
        }
    }
}
