//! Which slotted pages have room, so that what was deleted makes place for what is new.
//!
//! New contents go to one open page until it is full, and then to the emptiest page that is known.
//! Only pages that are at least a quarter empty are remembered, so each of them takes several
//! contents before it is left alone again. What is not remembered (there are too many, or the
//! database was opened since) is noted again when something is deleted from the page.

use super::super::address::PageId;
use super::super::page::PAGE_DATA_SIZE;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Pages that are remembered.
const MOST_PAGES: usize = 1024;
/// Free bytes of a page that is.
const LEAST_FREE: usize = PAGE_DATA_SIZE / 4;

/// Pages of one collection or index; cheap to copy.
#[derive(Clone, Debug, Default)]
pub struct Room {
    /// 0 for none.
    open: PageId,
    /// As far as it was noted.
    open_free: usize,
    /// Free bytes by page; never the open one.
    pages: Arc<BTreeMap<PageId, usize>>,
}

impl Room {
    /// Nothing is known but a page that may have room, 0 for none.
    #[must_use]
    pub fn in_page(open: PageId) -> Self {
        Self {
            open,
            ..Self::default()
        }
    }

    /// Where the next content goes if it fits.
    #[must_use]
    pub fn open(&self) -> Option<PageId> {
        Some(self.open).filter(|page| *page != PageId(0))
    }

    /// Takes the emptiest page, if it has so many free bytes; it is to be the open one.
    pub fn take(&mut self, needed: usize) -> Option<PageId> {
        let emptiest = self.pages.iter().max_by_key(|(_, free)| **free);
        let page = *emptiest.filter(|(_, free)| **free >= needed)?.0;
        Arc::make_mut(&mut self.pages).remove(&page);
        Some(page)
    }

    /// The page that gets new contents from now on. The one before it is remembered if what did not
    /// fit was large.
    pub fn set_open(&mut self, page: PageId) {
        let (before, free) = (self.open, self.open_free);
        self.open = page;
        self.open_free = 0;
        if before != PageId(0) {
            self.note(before, free);
        }
    }

    /// A page has so many free bytes now.
    pub fn note(&mut self, page: PageId, free: usize) {
        if page == self.open {
            self.open_free = free;
            return;
        }
        if free < LEAST_FREE && !self.pages.contains_key(&page) {
            return;
        }
        let pages = Arc::make_mut(&mut self.pages);
        if free < LEAST_FREE {
            pages.remove(&page);
            return;
        }
        pages.insert(page, free);
        if pages.len() > MOST_PAGES {
            let fullest = pages.iter().min_by_key(|(_, free)| **free);
            if let Some(page) = fullest.map(|(page, _)| *page) {
                pages.remove(&page);
            }
        }
    }

    /// The page was given back.
    pub fn forget(&mut self, page: PageId) {
        if self.open == page {
            self.open = PageId(0);
            self.open_free = 0;
        }
        if self.pages.contains_key(&page) {
            Arc::make_mut(&mut self.pages).remove(&page);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_emptiest_page_is_taken_and_those_that_fill_up_are_left_alone() {
        let mut room = Room::in_page(PageId(9));
        room.note(PageId(9), 4000);
        room.note(PageId(1), LEAST_FREE - 1);
        room.note(PageId(2), 1500);
        room.note(PageId(3), 2000);
        assert_eq!(room.take(2001), None);
        assert_eq!(room.take(100), Some(PageId(3)));
        room.set_open(PageId(3));
        assert_eq!(room.open(), Some(PageId(3)));
        room.note(PageId(2), 10);
        // The one that was open before had room for more.
        assert_eq!(room.take(1), Some(PageId(9)));
        assert_eq!(room.take(1), None);
        room.note(PageId(4), 3000);
        room.forget(PageId(4));
        room.forget(PageId(3));
        assert_eq!((room.take(1), room.open()), (None, None));
    }

    #[test]
    fn no_more_than_a_thousand_pages_are_remembered_those_with_most_room() {
        let mut room = Room::default();
        for page in 1..=3000 {
            room.note(PageId(page), LEAST_FREE + page as usize % 3000);
            assert!(room.pages.len() <= MOST_PAGES);
        }
        assert_eq!(room.take(1), Some(PageId(2999)));
    }
}
