//! Documents that are read again although no page was staged.
//!
//! A page is written to the temporary `data.db`, in its place, while it is at hand:
//!
//! - of a document with a sort key that is only the beginning of its index key, or whose value an
//!   index cannot hold and which is named for that;
//! - the overflow pages of such a document, and of every one in a collection with a text index;
//! - of documents with the same key in a unique index. That shows when no page is at hand any more,
//!   so such a run does its work once more, with their pages known.
//!
//! All other pages are holes in that file.

use crate::v2::PageId;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Documents whose pages are known one by one; with more of them, all pages are kept.
const MOST_WANTED: u64 = 1 << 16;

/// Which pages are read again.
#[derive(Debug, Default)]
pub(in crate::coordinator) struct Again {
    pages: Mutex<HashSet<PageId>>,
    wanted: AtomicU64,
    /// There are too many to know each.
    all: AtomicBool,
    /// This is the run that keeps them.
    is_second: AtomicBool,
}

impl Again {
    /// In a first run: this page should have been kept.
    pub(in crate::coordinator) fn want(&self, page: PageId) {
        if self.is_second() || self.keeps_all() {
            return;
        }
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.insert(page);
        if self.wanted.fetch_add(1, Ordering::Relaxed) >= MOST_WANTED {
            *pages = HashSet::new();
            self.all.store(true, Ordering::Relaxed);
        }
    }

    /// True if the page of some duplicate is wanted.
    fn is_wanted(&self) -> bool {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        self.keeps_all() || !pages.is_empty()
    }

    /// True if there are too many documents to know the page of each.
    pub(in crate::coordinator) fn keeps_all(&self) -> bool {
        self.all.load(Ordering::Relaxed)
    }

    /// True if a second run has to follow; it begins with that.
    pub(super) fn begin_second(&self) -> bool {
        self.is_wanted() && !self.is_second.swap(true, Ordering::Relaxed)
    }

    /// True in the run that has the pages of duplicates.
    pub(in crate::coordinator) fn is_second(&self) -> bool {
        self.is_second.load(Ordering::Relaxed)
    }

    /// True if this page has to be kept.
    pub(in crate::coordinator) fn keeps(&self, page: PageId) -> bool {
        if !self.is_second() {
            return false;
        }
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        self.keeps_all() || pages.contains(&page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_keeps_what_the_first_has_wanted_and_all_if_that_is_too_much() {
        let again = Again::default();
        assert!(!again.begin_second());
        again.want(PageId(7));
        assert!(!again.keeps(PageId(7)));
        assert!(again.begin_second() && !again.begin_second());
        assert!(again.keeps(PageId(7)) && !again.keeps(PageId(8)));
        let again = Again::default();
        (0..=MOST_WANTED).for_each(|_| again.want(PageId(7)));
        assert!(again.begin_second() && again.keeps(PageId(8)) && again.keeps_all());
    }
}
