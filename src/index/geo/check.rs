//! Checking a freshly built geo index in file order.

use super::point::Point;
use crate::Result;
use crate::hash::xxh3_128_with_seed;
use crate::index::EntrySum;
use crate::v2::btree::TreeIds;
use crate::v2::rtree::{RTreeChecker, RTreeSummary, Rect};
use crate::v2::{DocumentAddress, PageBytes, PageId};

/// The hash of a document's entry, for comparing an index with its documents.
#[must_use]
pub fn point_hash(point: Point, address: DocumentAddress) -> u128 {
    entry_hash(Rect::around(point.x, point.y), address)
}

/// The hash of an entry as the tree has it.
#[must_use]
pub fn entry_hash(bounds: Rect, address: DocumentAddress) -> u128 {
    let seed = u64::from(address.page.0) << 16 | u64::from(address.slot.0);
    xxh3_128_with_seed(&bounds.encode(), seed)
}

/// Checks one geo index.
#[derive(Debug)]
pub struct GeoIndexChecker {
    tree: RTreeChecker,
    sum: EntrySum,
}

impl GeoIndexChecker {
    /// Checks an index of which the metadata says `expected`.
    #[must_use]
    pub fn new(expected: RTreeSummary, ids: TreeIds) -> Self {
        Self {
            tree: RTreeChecker::new(expected, ids),
            sum: EntrySum::default(),
        }
    }

    /// Checks the next page, whose own header (id, type, checksum) has been verified.
    ///
    /// # Errors
    /// The page is not the next one of a sound tree.
    pub fn page(&mut self, id: PageId, page: &PageBytes) -> Result<()> {
        let sum = &mut self.sum;
        self.tree.page(id, page, |bounds, address| {
            sum.add(entry_hash(bounds, address))
        })
    }

    /// Ends the check; gives what was found, and the sum of [`point_hash`] over all entries.
    ///
    /// # Errors
    /// The tree is not sound, or not the one that the metadata describes.
    pub fn finish(self) -> Result<(RTreeSummary, EntrySum)> {
        Ok((self.tree.finish()?, self.sum))
    }
}
