//! Changing a tree in place: one entry at a time.
//!
//! A change keeps what [`super::check`] asks of a fresh tree, but for where its pages lie: entries in
//! order, leaves chained, every separator the smallest key of the subtree to its right, no empty
//! node. A leaf that overflows is split; one that falls under a quarter is merged with a neighbour
//! below the same parent where both fit one page.
//!
//! Equal keys are in the order of their addresses, across leaves as well. Separators have no
//! address, so a descent that meets equal ones looks at the entries behind them.

mod inner;
mod insert;
mod locate;
mod remove;
mod survey;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use locate::{EntryOrder, LeafPosition, Neighbour, entry_at, locate, neighbours};
pub use survey::survey;

use super::damaged;
use super::key::StoredKeyRef;
use super::node::{LeafBuilder, LeafEntry, Node, TreeIds, VALUE_BYTES, leaf_bytes, set_links};
use crate::Result;
use crate::v2::page::PageBytes;
use crate::v2::{PageId, SharedPage};
use std::sync::Arc;

/// Most levels of a tree that is changed.
const MAX_HEIGHT: usize = 64;

/// Where nodes are read from.
pub trait TreePages {
    /// Reads an index page and verifies its id and checksum.
    ///
    /// # Errors
    /// The page is not there, cannot be read, or is damaged.
    fn index_page(&self, id: PageId) -> Result<Arc<SharedPage>>;

    /// Pages of the file.
    fn page_count(&self) -> u32;
}

/// Where changed nodes go.
pub trait TreePagesMut: TreePages {
    /// Replaces a page, whose id and checksum are not set yet.
    ///
    /// # Errors
    /// The page cannot be kept.
    fn put(&mut self, id: PageId, page: PageBytes) -> Result<()>;

    /// A page that nothing uses.
    ///
    /// # Errors
    /// The file has no page numbers left.
    fn allocate(&mut self) -> Result<PageId>;

    /// Gives back a page of the tree.
    ///
    /// # Errors
    /// The page cannot be kept.
    fn free(&mut self, id: PageId) -> Result<()>;
}

/// What is known of a tree that changes: all that its metadata records say of its pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveTree {
    /// As its nodes name it.
    pub ids: TreeIds,
    /// 0 for an empty tree.
    pub root: PageId,
    /// Levels.
    pub height: u16,
    /// Entries of all leaves.
    pub entry_count: u64,
    /// Bytes of the stored keys of all entries.
    pub key_bytes_total: u64,
    /// Leaf pages.
    pub leaf_nodes: u32,
    /// Pages of internal nodes.
    pub internal_nodes: u32,
    /// How many nodes have so many keys, by the number of keys.
    nodes_by_keys: Vec<u32>,
}

impl LiveTree {
    /// An empty tree.
    #[must_use]
    pub fn new(ids: TreeIds) -> Self {
        Self {
            ids,
            ..Self::default()
        }
    }

    /// Most keys in any node, plus 1.
    #[must_use]
    pub fn order(&self) -> u16 {
        let most = self.nodes_by_keys.iter().rposition(|count| *count > 0);
        u16::try_from(most.unwrap_or_default().saturating_add(1)).unwrap_or(u16::MAX)
    }

    /// A node with `old` keys has `new` ones now; `None` where it did not exist or does not any more.
    fn recount(&mut self, old: Option<usize>, new: Option<usize>) {
        if let Some(count) = old.and_then(|keys| self.nodes_by_keys.get_mut(keys)) {
            *count = count.saturating_sub(1);
        }
        let Some(keys) = new else { return };
        if self.nodes_by_keys.len() <= keys {
            self.nodes_by_keys.resize(keys.saturating_add(1), 0);
        }
        if let Some(count) = self.nodes_by_keys.get_mut(keys) {
            *count = count.saturating_add(1);
        }
    }
}

/// Changes one tree.
pub struct TreeEditor<'a, P: ?Sized> {
    pages: &'a mut P,
    tree: &'a mut LiveTree,
}

/// An entry as a leaf is put together from.
#[derive(Clone, Copy)]
struct Entry<'e> {
    key: StoredKeyRef<'e>,
    value: &'e [u8; VALUE_BYTES],
}

impl<'a, P: TreePagesMut + ?Sized> TreeEditor<'a, P> {
    /// Changes `tree`, whose pages are in `pages`.
    pub fn new(pages: &'a mut P, tree: &'a mut LiveTree) -> Self {
        Self { pages, tree }
    }

    fn page(&self, id: PageId) -> Result<Arc<SharedPage>> {
        self.pages.index_page(id)
    }

    fn write_leaf(
        &mut self,
        id: PageId,
        entries: &[Entry<'_>],
        prev: PageId,
        next: PageId,
    ) -> Result<()> {
        let mut builder = LeafBuilder::new(self.tree.ids);
        for entry in entries {
            builder.add(entry.key, entry.value);
        }
        let page = *builder.finish(prev, next);
        self.pages.put(id, page)
    }

    /// Sets the neighbours of a leaf, those that are given.
    fn relink(&mut self, id: PageId, prev: Option<PageId>, next: Option<PageId>) -> Result<()> {
        if id == PageId(0) {
            return Ok(());
        }
        let page = self.page(id)?;
        let node = node_of(&page, id, self.tree.ids)?;
        if !node.is_leaf() {
            return Err(damaged(id, "the chain of leaves leads to an internal node"));
        }
        let mut bytes = *page.bytes();
        set_links(
            &mut bytes,
            prev.unwrap_or(node.prev()),
            next.unwrap_or(node.next()),
        );
        self.pages.put(id, bytes)
    }
}

/// The entries of a leaf.
fn entries_of<'p>(node: &Node<'p>) -> impl Iterator<Item = Entry<'p>> + use<'p> {
    node.entries().map(|entry: LeafEntry<'p>| Entry {
        key: entry.key,
        value: entry.value,
    })
}

fn bytes_of(entries: &[Entry<'_>]) -> usize {
    leaf_bytes(entries.iter().map(|entry| entry.key.bytes.len()))
}

/// The page as a node of this tree.
fn node_of(page: &SharedPage, id: PageId, ids: TreeIds) -> Result<Node<'_>> {
    let node = page
        .node()
        .map_err(|error| damaged(id, error.to_string()))?;
    if node.ids() != ids {
        let found = node.ids();
        let sentence = format!(
            "the node belongs to index {} of collection {}, expected {} of {}",
            found.index_id, found.collection_id, ids.index_id, ids.collection_id
        );
        return Err(damaged(id, sentence));
    }
    Ok(node)
}
