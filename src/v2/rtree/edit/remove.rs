//! Removing an entry: a node that has too few left is given up, and its entries are inserted again.
//!
//! On the way up from the leaf, each node that is less than a quarter full is taken out of the one
//! above and its page given back. Its entries then go where an insertion would put them now, those
//! of high nodes first, so that whole subtrees move with one entry. At last a root with one child
//! gives way to it. So no node but the root, and one that has no sibling, is less than a quarter
//! full for longer than one removal.

use super::{Opened, RTreeEditor, bounds_of, contains, damaged, read, read_below};
use crate::Result;
use crate::v2::btree::edit::TreePagesMut;
use crate::v2::rtree::{Entry, Rect, Target, capacity};
use crate::v2::{DocumentAddress, PageId};

/// Entries of a node that was given up, with its level.
type Orphans = (u8, Vec<Entry>);

impl<P: TreePagesMut + ?Sized> RTreeEditor<'_, P> {
    /// Takes a document's entry out, which has exactly these bounds.
    ///
    /// # Errors
    /// There is no such entry; as [`Self::insert`].
    pub fn remove(&mut self, bounds: Rect, address: DocumentAddress) -> Result<()> {
        let target = Target::Document(self.tree.ids.collection_id, address);
        let entry = Entry { bounds, target };
        let mut path = Vec::new();
        if self.tree.root != PageId(0) {
            let root = read(self.pages, self.tree.root, self.tree.ids)?;
            self.find(root, &entry, &mut path)?;
        }
        let Some(mut leaf) = path.pop() else {
            let sentence = format!("the index lacks the entry of {address}");
            return Err(damaged(self.tree.root, sentence));
        };
        leaf.entries.remove(leaf.child);
        self.tree.entry_count = self.tree.entry_count.saturating_sub(1);
        let orphans = self.condense(leaf, path)?;
        for (level, entries) in orphans.into_iter().rev() {
            for entry in entries {
                self.insert_at(level, entry)?;
            }
        }
        self.shrink()
    }

    /// Puts the nodes down to an entry into `path`, the leaf last; leaves it as it was if the entry
    /// is not below the node. Levels fall from node to node, so this ends.
    fn find(&self, mut node: Opened, wanted: &Entry, path: &mut Vec<Opened>) -> Result<bool> {
        if node.level == 0 {
            let found = node.entries.iter().position(|entry| entry == wanted);
            node.child = found.unwrap_or_default();
            path.extend(found.map(|_| node));
            return Ok(found.is_some());
        }
        let depth = path.len();
        let candidates = node.entries.clone();
        path.push(node);
        for (at, entry) in candidates.iter().enumerate() {
            let Some(above) = path.get_mut(depth) else {
                break;
            };
            if !contains(entry.bounds, wanted.bounds) {
                continue;
            }
            above.child = at;
            let below = read_below(self.pages, above, entry, self.tree.ids)?;
            if self.find(below, wanted, path)? {
                return Ok(true);
            }
        }
        path.truncate(depth);
        Ok(false)
    }

    /// Writes a node that has lost an entry, or gives it up, and so on upwards; gives the entries
    /// that have no place now, by rising level.
    fn condense(&mut self, mut node: Opened, mut path: Vec<Opened>) -> Result<Vec<Orphans>> {
        let mut orphans = Vec::new();
        loop {
            let above = path.pop();
            let siblings = above
                .as_ref()
                .map_or(0, |above| above.entries.len().saturating_sub(1));
            let is_sparse = node.entries.len() < capacity(node.level) / 4;
            if node.entries.is_empty() || (is_sparse && siblings > 0) {
                self.tree.recount(node.level, Some(node.before), None);
                self.pages.free(node.id)?;
                orphans.push((node.level, node.entries));
                let Some(mut above) = above else {
                    self.tree.root = PageId(0);
                    self.tree.height = 0;
                    self.tree.bounds = None;
                    return Ok(orphans);
                };
                above.entries.remove(above.child);
                node = above;
                continue;
            }
            self.write(node.id, node.level, &node.entries, Some(node.before))?;
            let bounds = bounds_of(&node.entries);
            let Some(mut above) = above else {
                self.tree.bounds = bounds;
                return Ok(orphans);
            };
            match (bounds, above.entries.get_mut(above.child)) {
                (Some(bounds), Some(entry)) if entry.bounds != bounds => entry.bounds = bounds,
                _ => return Ok(orphans),
            }
            node = above;
        }
    }

    /// Lets a root with one child give way to it.
    fn shrink(&mut self) -> Result<()> {
        if self.tree.root == PageId(0) {
            return Ok(());
        }
        let mut root = read(self.pages, self.tree.root, self.tree.ids)?;
        while root.level > 0
            && let [only] = root.entries[..]
        {
            let below = read_below(self.pages, &root, &only, self.tree.ids)?;
            self.tree.recount(root.level, Some(1), None);
            self.pages.free(root.id)?;
            self.tree.root = below.id;
            self.tree.height = self.tree.height.saturating_sub(1);
            root = below;
        }
        Ok(())
    }
}
