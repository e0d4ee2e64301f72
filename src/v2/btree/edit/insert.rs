//! Inserting an entry.

use super::inner::Split;
use super::locate::{LeafPosition, Step};
use super::{Entry, TreeEditor, TreePagesMut, bytes_of, entries_of, node_of};
use crate::Result;
use crate::v2::PageId;
use crate::v2::btree::damaged;
use crate::v2::btree::key::StoredKeyRef;
use crate::v2::btree::node::{CAPACITY, VALUE_BYTES};

impl<P: TreePagesMut + ?Sized> TreeEditor<'_, P> {
    /// Inserts an entry at the position that was located for it; nothing has changed since.
    ///
    /// # Errors
    /// A page cannot be read, is damaged, or cannot be kept. The tree is not sound then.
    pub fn insert(
        &mut self,
        position: &LeafPosition,
        key: StoredKeyRef<'_>,
        value: &[u8; VALUE_BYTES],
    ) -> Result<()> {
        self.tree.entry_count = self.tree.entry_count.saturating_add(1);
        self.tree.key_bytes_total = self
            .tree
            .key_bytes_total
            .saturating_add(key.bytes.len() as u64);
        let new = Entry { key, value };
        let id = position.leaf;
        if id == PageId(0) {
            return self.first_leaf(new);
        }
        let page = self.page(id)?;
        let node = node_of(&page, id, self.tree.ids)?;
        let (prev, next) = (node.prev(), node.next());
        let mut entries: Vec<Entry<'_>> = Vec::with_capacity(node.key_count().saturating_add(1));
        entries.extend(entries_of(&node));
        let old = entries.len();
        let at = position.index.min(old);
        entries.insert(at, new);
        if bytes_of(&entries) <= CAPACITY {
            self.tree.recount(Some(old), Some(entries.len()));
            return self.write_leaf(id, &entries, prev, next);
        }
        // Keys that come in order fill their leaves.
        let appended = next == PageId(0) && at == old;
        let middle = if appended { old } else { middle_of(&entries) };
        let (left, right) = entries.split_at(middle);
        let new_page = self.pages.allocate()?;
        self.write_leaf(id, left, prev, new_page)?;
        self.write_leaf(new_page, right, id, next)?;
        self.relink(next, Some(new_page), None)?;
        self.tree.recount(Some(old), Some(left.len()));
        self.tree.recount(None, Some(right.len()));
        self.tree.leaf_nodes = self.tree.leaf_nodes.saturating_add(1);
        match right.first() {
            Some(first) => self.add_child(&position.path, (first.key.to_owned(), new_page)),
            None => Ok(()),
        }
    }

    /// Replaces the value of the entry at this position; nothing has changed since it was located.
    ///
    /// # Errors
    /// There is no entry; a page cannot be read, is damaged, or cannot be kept.
    pub fn set_value(&mut self, position: &LeafPosition, value: &[u8; VALUE_BYTES]) -> Result<()> {
        let id = position.leaf;
        let page = self.page(id)?;
        let node = node_of(&page, id, self.tree.ids)?;
        let mut entries: Vec<Entry<'_>> = entries_of(&node).collect();
        let entry = entries
            .get_mut(position.index)
            .ok_or_else(|| damaged(id, "the entry to be changed is not in its leaf"))?;
        entry.value = value;
        self.write_leaf(id, &entries, node.prev(), node.next())
    }

    fn first_leaf(&mut self, entry: Entry<'_>) -> Result<()> {
        let root = self.pages.allocate()?;
        self.write_leaf(root, &[entry], PageId(0), PageId(0))?;
        self.tree.recount(None, Some(1));
        self.tree.root = root;
        self.tree.height = 1;
        self.tree.leaf_nodes = 1;
        Ok(())
    }

    /// Adds a new child right of the ones that the path goes through, splitting upwards.
    fn add_child(&mut self, path: &[Step], split: Split) -> Result<()> {
        let (mut key, mut child) = split;
        for step in path.iter().rev() {
            let mut inner = self.read_inner(step.page)?;
            let old = inner.keys.len();
            inner.keys.insert(step.child.min(old), key);
            inner.children.insert(
                step.child.saturating_add(1).min(old.saturating_add(1)),
                child,
            );
            match self.write_inner(step.page, inner, Some(old))? {
                None => return Ok(()),
                Some(split) => (key, child) = split,
            }
        }
        self.grow((key, child))
    }
}

/// Where to split an overfull leaf: as evenly as its bytes allow, with an entry on both sides.
fn middle_of(entries: &[Entry<'_>]) -> usize {
    let half = bytes_of(entries) / 2;
    let mut taken = 0_usize;
    let over = entries.iter().position(|entry| {
        taken = taken.saturating_add(bytes_of(std::slice::from_ref(entry)));
        taken > half
    });
    over.unwrap_or(entries.len() / 2)
        .clamp(1, entries.len().saturating_sub(1).max(1))
}
