//! Internal nodes, taken apart to be changed.

use super::{TreeEditor, TreePagesMut, node_of};
use crate::Result;
use crate::v2::PageId;
use crate::v2::btree::damaged;
use crate::v2::btree::key::StoredKey;
use crate::v2::btree::node::{CAPACITY, InternalBuilder, inner_bytes};

/// An internal node in memory; on disk it has at least one key.
#[derive(Clone, Debug, Default)]
pub(super) struct Inner {
    pub(super) level: u8,
    pub(super) children: Vec<PageId>,
    pub(super) keys: Vec<StoredKey>,
}

/// A new right neighbour: the smallest key below it, and its page.
pub(super) type Split = (StoredKey, PageId);

impl Inner {
    pub(super) fn bytes(&self) -> usize {
        inner_bytes(self.keys.iter().map(|key| key.bytes.len()))
    }

    /// Moves the upper part of an overfull node out; gives the key between both.
    pub(super) fn split(&mut self) -> Option<(StoredKey, Self)> {
        let half = self.bytes() / 2;
        let mut taken = 0_usize;
        let over = self.keys.iter().position(|key| {
            taken = taken.saturating_add(inner_bytes(std::iter::once(key.bytes.len())));
            taken > half
        });
        // Both sides keep a key: an overfull node has at least four.
        let most = self.keys.len().checked_sub(2)?;
        let middle = over.unwrap_or(most).clamp(1, most.max(1));
        let right = Self {
            level: self.level,
            children: self.children.split_off(middle.saturating_add(1)),
            keys: self.keys.split_off(middle.saturating_add(1)),
        };
        Some((self.keys.pop()?, right))
    }
}

impl<P: TreePagesMut + ?Sized> TreeEditor<'_, P> {
    pub(super) fn read_inner(&self, id: PageId) -> Result<Inner> {
        let page = self.page(id)?;
        let node = node_of(&page, id, self.tree.ids)?;
        if node.is_leaf() {
            return Err(damaged(
                id,
                "a leaf stands where an internal node is expected",
            ));
        }
        let children = (0..=node.key_count()).filter_map(|at| node.child(at));
        let keys = (0..node.key_count()).filter_map(|at| node.separator(at));
        Ok(Inner {
            level: node.level(),
            children: children.collect(),
            keys: keys.map(|key| key.to_owned()).collect(),
        })
    }

    /// Writes a node that had `old` keys, in two if it is overfull.
    pub(super) fn write_inner(
        &mut self,
        id: PageId,
        mut inner: Inner,
        old: Option<usize>,
    ) -> Result<Option<Split>> {
        let mut split = None;
        if inner.bytes() > CAPACITY
            && let Some((key, right)) = inner.split()
        {
            let page = self.pages.allocate()?;
            self.put_inner(page, &right, None)?;
            self.tree.internal_nodes = self.tree.internal_nodes.saturating_add(1);
            split = Some((key, page));
        }
        self.put_inner(id, &inner, old)?;
        Ok(split)
    }

    pub(super) fn put_inner(
        &mut self,
        id: PageId,
        inner: &Inner,
        old: Option<usize>,
    ) -> Result<()> {
        let mut builder = InternalBuilder::new(self.tree.ids, inner.level);
        let mut children = inner.children.iter();
        if let Some(first) = children.next() {
            builder.first_child(*first);
        }
        for (key, child) in inner.keys.iter().zip(children) {
            builder.add(key.borrow(), *child);
        }
        self.tree.recount(old, Some(inner.keys.len()));
        let page = *builder.finish();
        self.pages.put(id, page)
    }

    /// A new root above the old one and its new right neighbour.
    pub(super) fn grow(&mut self, (key, right): Split) -> Result<()> {
        let level = u8::try_from(self.tree.height)
            .map_err(|_| damaged(self.tree.root, "the tree is too high"))?;
        let root = self.pages.allocate()?;
        let inner = Inner {
            level,
            children: vec![self.tree.root, right],
            keys: vec![key],
        };
        self.put_inner(root, &inner, None)?;
        self.tree.root = root;
        self.tree.height = self.tree.height.saturating_add(1);
        self.tree.internal_nodes = self.tree.internal_nodes.saturating_add(1);
        Ok(())
    }
}
