//! Which pages of a file something has reached: every page belongs to exactly one thing.

use super::Check;
use crate::error::Place;
use crate::v2::PageId;
use crate::v2::btree::WalkGuard;
use crate::v2::page_file::PageFileReader;
use crate::{Code, Error, Result};
use std::collections::HashSet;

/// So many damaged pages are told apart from others; beyond, a page may be named twice.
const MOST_DAMAGED: usize = 1 << 16;

/// A bit for each page.
#[derive(Debug)]
struct Bitmap(Vec<u64>);

impl Bitmap {
    fn new(pages: u32) -> Self {
        Self(vec![0; (pages as usize).div_ceil(64)])
    }

    /// Sets a bit; false if it was set, or is none.
    fn set(&mut self, page: PageId) -> bool {
        let Some(word) = self.0.get_mut(page.0 as usize / 64) else {
            return false;
        };
        let bit = 1 << (page.0 % 64);
        let was_clear = *word & bit == 0;
        *word |= bit;
        was_clear
    }

    fn iter_not_in<'b>(&'b self, other: &'b Self) -> impl Iterator<Item = PageId> + 'b {
        let words = self.0.iter().zip(&other.0).zip(0_u32..);
        words
            .filter(|((one, other), _)| **one & !**other != 0)
            .flat_map(|((one, other), number)| {
                let rest = *one & !*other;
                (0..64_u32)
                    .filter(move |bit| rest >> bit & 1 == 1)
                    .map(move |bit| PageId(number.saturating_mul(64).saturating_add(bit)))
            })
    }
}

/// Accounts for the pages of one file.
#[derive(Debug)]
pub(super) struct Accounting {
    /// Pages that something must reach.
    due: Bitmap,
    /// Pages that something has reached.
    reached: Bitmap,
    /// Pages that are damaged and were reported.
    damaged: HashSet<PageId>,
    /// Something was not followed, so that pages may be missing from `reached`.
    is_partial: bool,
}

impl Accounting {
    /// For the pages of a file.
    ///
    /// # Errors
    /// [`Code::PagesMemory`] where two bits for each page are more than half of `memory`.
    pub(super) fn new(file: &PageFileReader, memory: u64) -> Result<Self> {
        let pages = file.page_count();
        if u64::from(pages) / 4 > memory / 2 {
            let sentence = format!(
                "the file has {pages} pages, and to account for them takes half of --memory or more"
            );
            let needed = u64::from(pages).div_ceil(2).div_ceil(1 << 20);
            return Err(Error::new(Code::PagesMemory, sentence)
                .at(Place::file(file.path()))
                .hint(format!("give at least --memory {needed}MiB")));
        }
        Ok(Self {
            due: Bitmap::new(pages),
            reached: Bitmap::new(pages),
            damaged: HashSet::new(),
            is_partial: false,
        })
    }

    /// Something must reach this page.
    pub(super) fn expect(&mut self, page: PageId) {
        self.due.set(page);
    }

    /// False if the page was reached before.
    pub(super) fn reach(&mut self, page: PageId) -> bool {
        self.reached.set(page)
    }

    /// Something could not be followed.
    pub(super) fn is_partial(&mut self) {
        self.is_partial = true;
    }

    /// True for a page that is damaged and known to be.
    pub(super) fn is_damaged(&self, page: PageId) -> bool {
        self.damaged.contains(&page)
    }

    /// Reports damage of a page, unless some was reported before.
    pub(super) fn report(&mut self, check: &Check<'_>, page: PageId, error: Error) -> Result<()> {
        self.is_partial = true;
        if self.damaged.len() < MOST_DAMAGED && !self.damaged.insert(page) {
            return Ok(());
        }
        check.problems.take(error)
    }

    /// Reports pages that nothing has reached.
    pub(super) fn finish(&self, check: &Check<'_>, file: &PageFileReader) {
        // Where something was not followed, it may lead there.
        if self.is_partial {
            return;
        }
        for page in self.due.iter_not_in(&self.reached) {
            let sentence = "nothing leads to the page";
            let place = Place::page(file.path(), page.0);
            check.add(Code::PageUnaccounted, sentence, place);
        }
    }
}

/// Lets the walk of an index reach pages and report what is wrong with them.
pub(super) struct Guard<'g, 'c> {
    pub(super) check: &'g Check<'c>,
    pub(super) accounting: &'g mut Accounting,
    pub(super) file: &'g PageFileReader,
    /// Collection and index.
    pub(super) place: Place,
}

impl WalkGuard for Guard<'_, '_> {
    fn claim(&mut self, page: PageId) -> bool {
        self.accounting.reach(page)
    }

    fn report(&mut self, error: Error) -> Result<()> {
        let error = error.map_place(|place| Place {
            file: place.file.or_else(|| Some(self.file.path().to_path_buf())),
            collection: self.place.collection.clone(),
            index: self.place.index.clone(),
            ..place
        });
        // A page with a wrong checksum was reported when the file was read.
        if let (Code::PageDamaged, Some(page)) = (error.code(), error.place().page)
            && self.accounting.is_damaged(PageId(page))
        {
            self.accounting.is_partial();
            return Ok(());
        }
        self.check.problems.take(error)
    }
}
