//! Checking a freshly built tree in file order, without a random read.
//!
//! Pages come as they lie: leaves, then each level, the root last. Since a build numbers its pages
//! in that order, most of the structure is plain counting: neighbours are the pages before and
//! after, and the children of a level's nodes are all the pages of the level below, in order.
//!
//! That leaves the separators. Every leaf but the first is the leftmost leaf below the right-hand
//! child of exactly one separator, and its first key is that separator. So the multiset of
//! (leaf, first key) over those leaves equals that of (leftmost leaf below the child, separator)
//! over all internal nodes. Both are compared as sums of hashes, for which only each internal
//! node's leftmost leaf has to be remembered, 4 bytes each.

mod leaves;
mod levels;
#[cfg(test)]
mod tests;

use super::damaged;
use super::key::StoredKeyRef;
use super::node::{LeafEntry, Node, TreeIds, check_fresh};
use super::shape::{Tally, TreeShape, TreeSummary};
use crate::hash::xxh3_128_with_seed;
use crate::v2::PageId;
use crate::v2::page::PageBytes;
use crate::{Code, Error, Result};
use leaves::Leaves;
use levels::Levels;
use std::cmp::Ordering;

/// What a checker asks about keys, and tells about entries.
pub trait TreeVisitor {
    /// Compares two stored keys; `None` where what was cut off decides.
    ///
    /// # Errors
    /// One of them is no key.
    fn compare(
        &mut self,
        left: StoredKeyRef<'_>,
        right: StoredKeyRef<'_>,
    ) -> Result<Option<Ordering>>;

    /// What [`Self::compare`] gives, where that takes next to nothing to find; `None` where it may
    /// give anything.
    fn compare_at_once(&self, _: StoredKeyRef<'_>, _: StoredKeyRef<'_>) -> Option<Ordering> {
        None
    }

    /// Compares the whole keys of two neighbouring entries that [`Self::compare`] cannot order.
    ///
    /// # Errors
    /// The documents that hold them cannot be read.
    fn compare_whole(&mut self, left: LeafEntry<'_>, right: LeafEntry<'_>) -> Result<Ordering>;

    /// Takes the entries of all leaves, in order, each one after it was checked.
    ///
    /// # Errors
    /// The visitor's own; they end the check.
    fn entry(&mut self, entry: LeafEntry<'_>) -> Result<()>;
}

/// What the values of a tree are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Addresses of documents of the tree's collection, ascending among equal keys.
    Addresses,
    /// Something that the caller checks; no two keys are equal.
    Opaque,
}

/// Checks one tree.
#[derive(Debug)]
pub struct TreeChecker {
    expected: TreeShape,
    ids: TreeIds,
    first_page: PageId,
    next_page: PageId,
    leaves: Leaves,
    levels: Levels,
    tally: Tally,
}

impl TreeChecker {
    /// Checks a tree of which the metadata says `expected`. Its pages are
    /// [`TreeShape::page_count`] from [`TreeShape::first_page`] on.
    ///
    /// # Errors
    /// [`Code::CatalogDamaged`] where no tree can have these counts.
    pub fn new(expected: TreeShape, ids: TreeIds, values: Values) -> Result<Self> {
        let first_page = match expected.page_count() {
            Some(0) => Some(PageId(0)),
            _ => expected.first_page(),
        };
        let Some(first_page) = first_page else {
            let sentence = format!(
                "a tree with its root on page {} cannot have {} leaves and {} internal nodes",
                expected.root, expected.leaf_nodes, expected.internal_nodes
            );
            return Err(Error::new(Code::CatalogDamaged, sentence));
        };
        Ok(Self {
            expected,
            ids,
            first_page,
            next_page: first_page,
            leaves: Leaves::new(ids, values),
            levels: Levels::default(),
            tally: Tally::default(),
        })
    }

    /// Checks the next page, whose own header (id, checksum) has been verified.
    ///
    /// # Errors
    /// [`Code::PageDamaged`] where the page is not the next one of a sound tree, and the visitor's
    /// errors.
    pub fn page(
        &mut self,
        id: PageId,
        page: &PageBytes,
        visitor: &mut impl TreeVisitor,
    ) -> Result<()> {
        if id != self.next_page || id > self.expected.root || id == PageId(0) {
            let sentence = format!(
                "the tree's pages are {} to {}, and {} comes next",
                self.first_page, self.expected.root, self.next_page
            );
            return Err(damaged(id, sentence));
        }
        let node = Node::parse(page)
            .and_then(|node| check_fresh(&node).map(|()| node))
            .map_err(|error| damaged(id, error.to_string()))?;
        if node.ids() != self.ids {
            let found = node.ids();
            let sentence = format!(
                "the node belongs to index {} of collection {}, expected {} of {}",
                found.index_id, found.collection_id, self.ids.index_id, self.ids.collection_id
            );
            return Err(damaged(id, sentence));
        }
        if node.is_leaf() {
            self.levels.leaf(id)?;
            self.leaves.node(id, &node, &mut self.tally, visitor)?;
        } else {
            self.levels.internal(id, &node)?;
            self.tally.internal_nodes = self.tally.internal_nodes.saturating_add(1);
            let key_count = u16::try_from(node.key_count()).unwrap_or(u16::MAX);
            self.tally.node_keys(key_count);
        }
        self.next_page = PageId(id.0.saturating_add(1));
        Ok(())
    }

    /// Ends the check: one root, all separators right, all counts as expected.
    ///
    /// # Errors
    /// [`Code::PageDamaged`] where the tree is not sound, [`Code::CatalogDamaged`] where it is
    /// another one than the metadata says.
    pub fn finish(self) -> Result<TreeSummary> {
        let height = self.levels.finish()?;
        let (min_key, max_key) = self.leaves.finish()?;
        if self.levels.separators() != self.leaves.first_keys() {
            let sentence = "a separator is not the smallest key of the leaves to its right";
            return Err(damaged(self.expected.root, sentence));
        }
        let summary = self
            .tally
            .summary(self.first_page, height, min_key, max_key);
        compare_shapes(&self.expected, &summary.shape())?;
        Ok(summary)
    }
}

fn compare_shapes(expected: &TreeShape, found: &TreeShape) -> Result<()> {
    let fields: [(&str, u64, u64); 7] = [
        ("root", expected.root.0.into(), found.root.0.into()),
        ("height", expected.height.into(), found.height.into()),
        ("entry count", expected.entry_count, found.entry_count),
        ("unique keys", expected.unique_keys, found.unique_keys),
        (
            "leaf nodes",
            expected.leaf_nodes.into(),
            found.leaf_nodes.into(),
        ),
        (
            "internal nodes",
            expected.internal_nodes.into(),
            found.internal_nodes.into(),
        ),
        ("order", expected.order.into(), found.order.into()),
    ];
    for (name, expected, found) in fields {
        if expected != found {
            let sentence =
                format!("the metadata says that the tree's {name} is {expected}, it is {found}");
            return Err(Error::new(Code::CatalogDamaged, sentence));
        }
    }
    Ok(())
}

/// One member of the multiset that leaves and separators must agree on.
fn key_hash(leaf: PageId, key: StoredKeyRef<'_>) -> u128 {
    let seed = u64::from(leaf.0) | u64::from(key.key_type) << 32;
    xxh3_128_with_seed(key.bytes, seed)
}
