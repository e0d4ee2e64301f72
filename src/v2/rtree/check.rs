//! Checking a freshly built tree in file order, without a random read.
//!
//! Pages come as they lie: leaves, then each level, the root last. Every node but the root is the
//! child of exactly one entry, which has its bounds. So for each level the multiset of (page,
//! bounds) over its nodes equals that of (child, bounds) over the entries of the level above; both
//! are compared as sums of hashes.

use super::{Entry, NodeError, RTreeNode, RTreeSummary, Rect, Target, capacity};
use crate::hash::xxh3_128_with_seed;
use crate::v2::btree::{TreeIds, damaged};
use crate::v2::{DocumentAddress, PageBytes, PageId};
use crate::{Code, Error, Result};

/// Checks one tree.
#[derive(Debug)]
pub struct RTreeChecker {
    expected: RTreeSummary,
    ids: TreeIds,
    found: RTreeSummary,
    next_page: PageId,
    level: u8,
    /// Nodes of the open level, and the sum over them.
    nodes: (u32, u128),
    /// As the entries of the open level name the nodes of the one below.
    children: (u32, u128),
    /// As the level below is.
    below: (u32, u128),
    /// The last node has room left, so no other of its level may follow.
    is_last_of_level: bool,
}

impl RTreeChecker {
    /// Checks a tree of which the metadata says `expected`; bounds of `None` are not known.
    #[must_use]
    pub fn new(expected: RTreeSummary, ids: TreeIds) -> Self {
        Self {
            next_page: expected.first_page,
            expected,
            ids,
            found: RTreeSummary {
                first_page: expected.first_page,
                order: 1,
                ..RTreeSummary::default()
            },
            level: 0,
            nodes: (0, 0),
            children: (0, 0),
            below: (0, 0),
            is_last_of_level: false,
        }
    }

    /// Checks the next page, whose own header (id, type, checksum) has been verified, and gives the
    /// documents in it to `visit`.
    ///
    /// # Errors
    /// [`Code::PageDamaged`] where the page is not the next one of a sound tree.
    pub fn page(
        &mut self,
        id: PageId,
        page: &PageBytes,
        mut visit: impl FnMut(Rect, DocumentAddress),
    ) -> Result<()> {
        if id != self.next_page || id > self.expected.root || id == PageId(0) {
            let sentence = format!("page {id} of an R-tree came, {} was due", self.next_page);
            return Err(damaged(id, sentence));
        }
        self.next_page = PageId(id.0.saturating_add(1));
        let wrong = |error: NodeError| damaged(id, error.to_string());
        let node = RTreeNode::parse(page).map_err(wrong)?;
        node.check_fresh().map_err(wrong)?;
        if node.index_id() != self.ids.index_id {
            let (found, expected) = (node.index_id(), self.ids.index_id);
            let sentence = format!("the node belongs to index {found}, expected {expected}");
            return Err(damaged(id, sentence));
        }
        if node.level() != self.level {
            self.next_level(id, node.level())?;
        } else if self.is_last_of_level {
            let sentence = "a node follows one of its level that has room left";
            return Err(damaged(id, sentence));
        }
        self.is_last_of_level = node.entry_count() < capacity(node.level());
        add(&mut self.nodes, id, node.bounds());
        for entry in node.entries() {
            match entry.map_err(wrong)? {
                Entry {
                    bounds,
                    target: Target::Node(child),
                } => add(&mut self.children, child, bounds),
                Entry {
                    bounds,
                    target: Target::Document(collection_id, address),
                } => {
                    if collection_id != self.ids.collection_id {
                        let sentence = "an entry is for a document of another collection";
                        return Err(damaged(id, sentence));
                    }
                    self.found.entry_count = self.found.entry_count.saturating_add(1);
                    visit(bounds, address);
                }
            }
        }
        self.count(id, &node);
        Ok(())
    }

    fn count(&mut self, id: PageId, node: &RTreeNode<'_>) {
        let found = &mut self.found;
        if node.level() == 0 {
            found.leaf_nodes = found.leaf_nodes.saturating_add(1);
        } else {
            found.internal_nodes = found.internal_nodes.saturating_add(1);
        }
        let entries = u16::try_from(node.entry_count()).unwrap_or(u16::MAX);
        found.order = found.order.max(entries.saturating_add(1));
        found.root = id;
        found.height = u16::from(node.level()) + 1;
        found.bounds = Some(node.bounds());
    }

    fn next_level(&mut self, id: PageId, level: u8) -> Result<()> {
        if Some(level) != self.level.checked_add(1) || self.nodes.0 < 2 {
            let sentence = format!(
                "the node is of level {level}, after {} of level {}",
                self.nodes.0, self.level
            );
            return Err(damaged(id, sentence));
        }
        self.check_children(id)?;
        self.level = level;
        self.below = std::mem::take(&mut self.nodes);
        self.children = (0, 0);
        Ok(())
    }

    /// Checks that the open level leads to all of the one below; `page` is where that shows.
    fn check_children(&self, page: PageId) -> Result<()> {
        if self.children == self.below {
            return Ok(());
        }
        let sentence = format!(
            "the entries of level {} are not the nodes of the level below",
            self.level
        );
        Err(damaged(page, sentence))
    }

    /// Ends the check: one root, and everything as expected.
    ///
    /// # Errors
    /// [`Code::PageDamaged`] where the tree is not sound, [`Code::CatalogDamaged`] where it is
    /// another one than the metadata says.
    pub fn finish(self) -> Result<RTreeSummary> {
        self.check_children(self.found.root)?;
        if self.nodes.0 > 1 {
            let sentence = format!(
                "the top level has {} nodes, expected one root",
                self.nodes.0
            );
            return Err(damaged(self.found.root, sentence));
        }
        let expected = RTreeSummary {
            bounds: self.expected.bounds.or(self.found.bounds),
            ..self.expected
        };
        if self.found != expected {
            let sentence = "the R-tree is another one than the metadata says";
            return Err(Error::new(Code::CatalogDamaged, sentence));
        }
        Ok(self.found)
    }
}

fn add(sum: &mut (u32, u128), page: PageId, bounds: Rect) {
    let hash = xxh3_128_with_seed(&bounds.encode(), page.0.into());
    sum.0 = sum.0.saturating_add(1);
    sum.1 = sum.1.wrapping_add(hash);
}
