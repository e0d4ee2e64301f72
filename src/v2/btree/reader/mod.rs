//! Searching a tree, page by page.
//!
//! Trees may have been changed since they were built, so nothing of [`super::check`] is assumed:
//! every page is checked when it is read, a descent ends after 64 levels and a chain of leaves
//! after as many pages as the file has.

mod scan;
#[cfg(test)]
mod tests;

pub use scan::TreeScan;

use super::key::{StoredKey, StoredKeyRef};
use super::node::{Node, NodeHeader, TreeIds};
use super::{damaged, on_page};
use crate::Result;
use crate::v2::PageId;
use crate::v2::page::PageBytes;
use std::cmp::Ordering;
use std::ops::Bound;

/// Most levels of a tree; one of 2^32 pages has at most 17 when it is built.
const MAX_HEIGHT: usize = 64;

/// Where pages come from.
pub trait PageSource {
    /// Reads a page and verifies its id and checksum.
    ///
    /// # Errors
    /// The page is not there, cannot be read, or is damaged.
    fn page(&self, id: PageId) -> Result<Box<PageBytes>>;

    /// Pages of the file.
    fn page_count(&self) -> u32;
}

/// How stored keys compare: `None` where what was cut off decides; an error if one is no key.
pub type CompareKeys<'a> =
    dyn Fn(StoredKeyRef<'_>, StoredKeyRef<'_>) -> Result<Option<Ordering>> + Sync + 'a;

/// Reads one tree.
pub struct TreeReader<'a, S: ?Sized> {
    source: &'a S,
    root: PageId,
    ids: TreeIds,
    compare: &'a CompareKeys<'a>,
}

impl<S: ?Sized> Clone for TreeReader<'_, S> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<'a, S: PageSource + ?Sized> TreeReader<'a, S> {
    /// A tree by its root, 0 if it is empty.
    pub fn new(source: &'a S, root: PageId, ids: TreeIds, compare: &'a CompareKeys<'a>) -> Self {
        Self {
            source,
            root,
            ids,
            compare,
        }
    }

    /// All entries.
    ///
    /// # Errors
    /// A page cannot be read or is damaged; so is what the scan returns.
    pub fn scan(&self) -> Result<TreeScan<'a, S>> {
        self.range(Bound::Unbounded, Bound::Unbounded)
    }

    /// All entries of a key, by address. Where what was cut off decides, the entry is given as
    /// well, for the caller to look at the document.
    ///
    /// # Errors
    /// As [`Self::scan`].
    pub fn find(&self, key: StoredKeyRef<'_>) -> Result<TreeScan<'a, S>> {
        self.range(Bound::Included(key), Bound::Included(key))
    }

    /// The entries between two bounds. An entry that cannot be told from a bound, since what was cut
    /// off decides, is given even where the bound is excluded.
    ///
    /// # Errors
    /// As [`Self::scan`].
    pub fn range(
        &self,
        lower: Bound<StoredKeyRef<'_>>,
        upper: Bound<StoredKeyRef<'_>>,
    ) -> Result<TreeScan<'a, S>> {
        let leaf = self.descend(lower)?;
        let lower = lower.map(StoredKeyRef::to_owned);
        let upper = upper.map(StoredKeyRef::to_owned);
        Ok(TreeScan::new(self.clone(), leaf, lower, upper))
    }

    /// The leaf where the entries from `lower` on begin, or a leaf to the left of it.
    fn descend(&self, lower: Bound<StoredKeyRef<'_>>) -> Result<Option<LeafPage>> {
        if self.root == PageId(0) {
            return Ok(None);
        }
        let mut id = self.root;
        let mut level_above: Option<u8> = None;
        for _ in 0..MAX_HEIGHT {
            let bytes = self.source.page(id)?;
            let node = self.parse(id, &bytes)?;
            if level_above.is_some_and(|above| node.level().checked_add(1) != Some(above)) {
                let sentence = format!("the node is of level {}, below its parent", node.level());
                return Err(damaged(id, sentence));
            }
            level_above = Some(node.level());
            if node.is_leaf() {
                let header = node.header();
                return Ok(Some(LeafPage { id, bytes, header }));
            }
            let child = self.child_for(&node, lower);
            let child = child.map_err(|error| on_page(error, id))?;
            if child == PageId(0) {
                return Err(damaged(id, "a child of the node is page 0"));
            }
            id = child;
        }
        let sentence = format!("the tree is higher than {MAX_HEIGHT} levels");
        Err(damaged(self.root, sentence))
    }

    /// The child left of the first separator that is not less than the bound: entries equal to a
    /// separator may begin left of it, since equal keys cross leaves.
    fn child_for(&self, node: &Node<'_>, lower: Bound<StoredKeyRef<'_>>) -> Result<PageId> {
        let (Bound::Included(key) | Bound::Excluded(key)) = lower else {
            return Ok(node.child(0).unwrap_or_default());
        };
        let (mut low, mut high) = (0, node.key_count());
        while low < high {
            let middle = low.midpoint(high);
            let less = match node.separator(middle) {
                Some(separator) => (self.compare)(separator, key)? == Some(Ordering::Less),
                None => false,
            };
            if less {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        Ok(node.child(low).unwrap_or_default())
    }

    fn leaf(&self, id: PageId) -> Result<LeafPage> {
        let bytes = self.source.page(id)?;
        let node = self.parse(id, &bytes)?;
        if !node.is_leaf() {
            return Err(damaged(id, "the chain of leaves leads to an internal node"));
        }
        let header = node.header();
        Ok(LeafPage { id, bytes, header })
    }

    fn parse<'p>(&self, id: PageId, bytes: &'p PageBytes) -> Result<Node<'p>> {
        let node = Node::parse(bytes).map_err(|error| damaged(id, error.to_string()))?;
        if node.ids() != self.ids {
            let found = node.ids();
            let sentence = format!(
                "the node belongs to index {} of collection {}, expected {} of {}",
                found.index_id, found.collection_id, self.ids.index_id, self.ids.collection_id
            );
            return Err(damaged(id, sentence));
        }
        Ok(node)
    }
}

/// A leaf that was read and checked.
struct LeafPage {
    id: PageId,
    bytes: Box<PageBytes>,
    header: NodeHeader,
}

impl LeafPage {
    fn node(&self) -> Node<'_> {
        Node::parsed(&self.bytes, self.header)
    }
}

type OwnedBound = Bound<StoredKey>;
