//! Free-list pages (type 2). A migration writes none; LauraDB leaves them behind.
//!
//! ```text
//! data (4080 bytes) = next u32     next page of the list, 0 = none
//!                   | count u32    at most 1018
//!                   | page u32 [count]
//! ```
//!
//! LauraDB keeps the list's head in memory only, so nothing points at such a page after a restart.
//! Ours are one list per collection, whose head its options name. A page that is listed is an empty
//! slotted page without owner; the pages of the list itself are free as well.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::address::PageId;
use super::page::{self, PAGE_HEADER_SIZE, PAGE_SIZE, PageBytes, PageError, PageType};
use crate::bytes::{get_u32, put_u32};

const NEXT: usize = PAGE_HEADER_SIZE;
const COUNT: usize = NEXT + 4;
const ENTRIES: usize = COUNT + 4;
const ENTRY_SIZE: usize = 4;

/// The most free pages that one page lists.
pub const MAX_FREE_ENTRIES: usize = (PAGE_SIZE - ENTRIES) / ENTRY_SIZE;

const _: () = assert!(MAX_FREE_ENTRIES == 1018);

/// A free-list page whose count fits.
#[derive(Clone, Copy, Debug)]
pub struct FreeListPage<'p> {
    next: PageId,
    entries: &'p [[u8; ENTRY_SIZE]],
}

impl<'p> FreeListPage<'p> {
    /// Checks the count; the page header is the caller's.
    ///
    /// # Errors
    /// The entries would not fit the page.
    pub fn open(page: &'p PageBytes) -> Result<Self, PageError> {
        let next = PageId(get_u32(page, NEXT).unwrap_or_default());
        let count = get_u32(page, COUNT).unwrap_or_default();
        let (all, _) = page.get(ENTRIES..).unwrap_or_default().as_chunks();
        let entries = usize::try_from(count).ok().and_then(|end| all.get(..end));
        let entries = entries.ok_or_else(|| {
            PageError::field(COUNT, "count", count, format!("at most {MAX_FREE_ENTRIES}"))
        })?;
        Ok(Self { next, entries })
    }

    /// The next page of the list, if there is one.
    #[must_use]
    pub fn next(&self) -> Option<PageId> {
        (self.next != PageId(0)).then_some(self.next)
    }

    /// The free pages, in the order of the list.
    pub fn entries(&self) -> impl Iterator<Item = PageId> + use<'p> {
        self.entries
            .iter()
            .map(|bytes| PageId(u32::from_le_bytes(*bytes)))
    }
}

/// Makes a free-list page, all but its id and checksum. Entries beyond
/// [`MAX_FREE_ENTRIES`] do not fit and are left out.
pub fn encode(page: &mut PageBytes, next: PageId, entries: &[PageId]) {
    page::begin(page, PageType::FreeList);
    let entries = entries.get(..MAX_FREE_ENTRIES).unwrap_or(entries);
    put_u32(page, NEXT, next.0);
    put_u32(
        page,
        COUNT,
        u32::try_from(entries.len()).unwrap_or(u32::MAX),
    );
    for (at, entry) in (ENTRIES..).step_by(ENTRY_SIZE).zip(entries) {
        put_u32(page, at, entry.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v2::page::ChecksumPolicy;

    #[test]
    fn reads_the_list_that_lauradb_wrote() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/fixtures/laura/pages/freelist.data.db"
        );
        let file = std::fs::read(path).unwrap();
        let page: &PageBytes = file[6 * PAGE_SIZE..].first_chunk().unwrap();
        let policy = ChecksumPolicy::Optional;
        page::verify(page, PageId(6), PageType::FreeList, policy).unwrap();
        let list = FreeListPage::open(page).unwrap();
        assert_eq!(list.next(), None);
        let entries: Vec<PageId> = list.entries().collect();
        assert_eq!(entries, [PageId(2), PageId(4), PageId(1)]);
    }

    #[test]
    fn lists_round_trip() {
        let all: Vec<PageId> = (5..2000).map(PageId).collect();
        for count in [0, 1, MAX_FREE_ENTRIES] {
            let mut page = [7; PAGE_SIZE];
            encode(&mut page, PageId(9), &all[..count]);
            let list = FreeListPage::open(&page).unwrap();
            assert_eq!(list.next(), Some(PageId(9)));
            assert!(list.entries().eq(all[..count].iter().copied()));
        }
    }

    #[test]
    fn a_count_beyond_the_page_is_refused() {
        let mut page = [0; PAGE_SIZE];
        put_u32(&mut page, COUNT, 1018);
        assert_eq!(FreeListPage::open(&page).unwrap().entries().count(), 1018);
        for count in [1019, u32::MAX] {
            put_u32(&mut page, COUNT, count);
            assert!(FreeListPage::open(&page).is_err());
        }
    }
}
