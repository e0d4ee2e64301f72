//! Walking the leaves.

use super::{LeafPage, OwnedBound, PageSource, TreeReader, damaged, on_page};
use crate::v2::PageId;
use crate::v2::btree::key::{StoredKey, StoredKeyRef};
use crate::v2::btree::node::LeafEntry;
use crate::{Error, Result};
use std::cmp::Ordering;
use std::ops::Bound;

/// Entries in order, borrowed one at a time from the leaf that is in memory.
pub struct TreeScan<'a, S: ?Sized> {
    reader: TreeReader<'a, S>,
    leaf: Option<LeafPage>,
    /// The entry of `leaf` that comes next.
    index: usize,
    /// Entries before this bound are passed over; unbounded once one is not.
    lower: OwnedBound,
    upper: OwnedBound,
    /// Leaves that may still be read.
    pages_left: u32,
}

impl<'a, S: PageSource + ?Sized> TreeScan<'a, S> {
    pub(super) fn new(
        reader: TreeReader<'a, S>,
        leaf: Option<LeafPage>,
        lower: OwnedBound,
        upper: OwnedBound,
    ) -> Self {
        let pages_left = reader.source.page_count();
        Self {
            reader,
            leaf,
            index: 0,
            lower,
            upper,
            pages_left,
        }
    }

    /// The next entry that is not marked deleted, or `None` at the end.
    ///
    /// # Errors
    /// A page cannot be read or is damaged, or the leaves' chain is broken; the scan is over then.
    #[expect(
        clippy::should_implement_trait,
        reason = "an entry borrows from the scan, which an Iterator cannot say"
    )]
    pub fn next(&mut self) -> Result<Option<LeafEntry<'_>>> {
        loop {
            let Some(entry) = self.leaf.as_ref().map(|leaf| leaf.node().entry(self.index)) else {
                return Ok(None);
            };
            let Some(entry) = entry else {
                self.next_leaf()?;
                continue;
            };
            let (before, past) = self
                .is_outside(entry.key)
                .map_err(|error| self.on_this_page(error))?;
            if before {
                self.index = self.index.saturating_add(1);
                continue;
            }
            if past {
                self.leaf = None;
                return Ok(None);
            }
            self.lower = Bound::Unbounded;
            self.index = self.index.saturating_add(1);
            if !entry.is_deleted() {
                break;
            }
        }
        let leaf = self.leaf.as_ref();
        Ok(leaf.and_then(|leaf| leaf.node().entry(self.index.saturating_sub(1))))
    }

    /// Whether a key lies before the lower bound, and past the upper one.
    fn is_outside(&self, key: StoredKeyRef<'_>) -> Result<(bool, bool)> {
        let compare = |bound: &StoredKey| (self.reader.compare)(key, bound.borrow());
        let before = match &self.lower {
            Bound::Unbounded => false,
            Bound::Included(bound) => compare(bound)? == Some(Ordering::Less),
            Bound::Excluded(bound) => {
                compare(bound)?.is_some_and(|order| order != Ordering::Greater)
            }
        };
        let past = match &self.upper {
            Bound::Unbounded => false,
            Bound::Included(bound) => compare(bound)? == Some(Ordering::Greater),
            Bound::Excluded(bound) => compare(bound)?.is_some_and(|order| order != Ordering::Less),
        };
        Ok((before, past))
    }

    fn on_this_page(&self, error: Error) -> Error {
        match &self.leaf {
            Some(leaf) => on_page(error, leaf.id),
            None => error,
        }
    }

    fn next_leaf(&mut self) -> Result<()> {
        self.index = 0;
        let Some(last) = self.leaf.take() else {
            return Ok(());
        };
        let next = last.header.next;
        if next == PageId(0) {
            return Ok(());
        }
        let Some(pages_left) = self.pages_left.checked_sub(1) else {
            return Err(damaged(next, "the chain of leaves is longer than the file"));
        };
        self.pages_left = pages_left;
        let leaf = self.reader.leaf(next)?;
        if leaf.header.prev != last.id {
            let found = leaf.header.prev;
            let expected = last.id;
            let sentence = format!("prev_page of the leaf is {found}, expected {expected}");
            return Err(damaged(next, sentence));
        }
        self.leaf = Some(leaf);
        Ok(())
    }
}
