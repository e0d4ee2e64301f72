//! Reading a whole tree once, for what its metadata does not say.

use super::locate::{child_of, too_high};
use super::{LiveTree, MAX_HEIGHT, TreePages, node_of};
use crate::Result;
use crate::v2::PageId;
use crate::v2::btree::damaged;
use crate::v2::btree::node::{LeafEntry, TreeIds};

/// Counts the nodes and entries of a tree, and shows each entry, in no order.
///
/// # Errors
/// A page cannot be read or is damaged, or an entry is marked deleted, which only LauraDB does;
/// those of `each`.
pub fn survey<P: TreePages + ?Sized>(
    pages: &P,
    root: PageId,
    ids: TreeIds,
    each: &mut dyn FnMut(&LeafEntry<'_>) -> Result<()>,
) -> Result<LiveTree> {
    let mut tree = LiveTree::new(ids);
    if root == PageId(0) {
        return Ok(tree);
    }
    tree.root = root;
    // Each page is visited once in a sound tree.
    let mut pages_left = pages.page_count();
    let mut open = vec![(root, None)];
    while let Some((id, level)) = open.pop() {
        pages_left = pages_left
            .checked_sub(1)
            .ok_or_else(|| damaged(id, "the tree has more nodes than the file has pages"))?;
        let page = pages.index_page(id)?;
        let node = node_of(&page, id, ids)?;
        match level {
            None => tree.height = u16::from(node.level()) + 1,
            Some(level) if level == node.level() => {}
            Some(level) => {
                let found = node.level();
                let sentence = format!("the node is of level {found}, expected {level}");
                return Err(damaged(id, sentence));
            }
        }
        if usize::from(tree.height) > MAX_HEIGHT {
            return Err(too_high(root));
        }
        tree.recount(None, Some(node.key_count()));
        if node.is_leaf() {
            tree.leaf_nodes = tree.leaf_nodes.saturating_add(1);
            for entry in node.entries() {
                if entry.is_deleted() {
                    let sentence = "the leaf has an entry that is marked deleted";
                    return Err(damaged(id, sentence));
                }
                tree.entry_count = tree.entry_count.saturating_add(1);
                let key_bytes = entry.key.bytes.len() as u64;
                tree.key_bytes_total = tree.key_bytes_total.saturating_add(key_bytes);
                each(&entry)?;
            }
            continue;
        }
        tree.internal_nodes = tree.internal_nodes.saturating_add(1);
        let below = node
            .level()
            .checked_sub(1)
            .ok_or_else(|| damaged(id, "the internal node is of level 0"))?;
        for child in 0..=node.key_count() {
            open.push((child_of(&node, id, child)?, Some(below)));
        }
    }
    Ok(tree)
}
