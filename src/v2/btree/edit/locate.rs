//! Finding the place of an entry.

use super::{MAX_HEIGHT, TreePages, node_of};
use crate::Result;
use crate::v2::btree::damaged;
use crate::v2::btree::key::StoredKeyRef;
use crate::v2::btree::node::{LeafEntry, Node, TreeIds};
use crate::v2::{PageId, SharedPage};
use std::cmp::Ordering;
use std::sync::Arc;

/// Where what is in a tree stands relative to what is sought.
pub trait EntryOrder {
    /// Of a separator, which has a key only; `None` where what was cut off decides.
    ///
    /// # Errors
    /// The bytes are no key.
    fn separator(&mut self, key: StoredKeyRef<'_>) -> Result<Option<Ordering>>;

    /// Of an entry, by its key and then its address.
    ///
    /// # Errors
    /// The bytes are no key, or a document that has to be looked at cannot be read.
    fn entry(&mut self, entry: &LeafEntry<'_>) -> Result<Ordering>;
}

/// The place of an entry that is there, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeafPosition {
    /// The internal nodes from the root on.
    pub(super) path: Vec<Step>,
    /// 0 in an empty tree.
    pub(super) leaf: PageId,
    /// The first entry of the leaf that is not less than what is sought; may be one past the last.
    pub(super) index: usize,
}

impl LeafPosition {
    /// The position behind the entry at this one, for [`neighbours`].
    #[must_use]
    pub fn after(&self) -> Self {
        Self {
            index: self.index.saturating_add(1),
            ..self.clone()
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) page: PageId,
    pub(super) child: usize,
}

/// An entry in the leaf that holds it.
#[derive(Clone, Debug)]
pub struct Neighbour {
    page: Arc<SharedPage>,
    index: usize,
}

impl Neighbour {
    /// The entry.
    #[must_use]
    pub fn entry(&self) -> Option<LeafEntry<'_>> {
        self.page.node().ok()?.entry(self.index)
    }
}

/// Descends to the first entry that is not less than what is sought.
///
/// # Errors
/// A page cannot be read or is damaged; those of `order`.
pub fn locate<P: TreePages + ?Sized, O: EntryOrder + ?Sized>(
    pages: &P,
    root: PageId,
    ids: TreeIds,
    order: &mut O,
) -> Result<LeafPosition> {
    let mut position = LeafPosition::default();
    if root == PageId(0) {
        return Ok(position);
    }
    let mut id = root;
    let mut level_above: Option<u8> = None;
    for _ in 0..MAX_HEIGHT {
        let page = pages.index_page(id)?;
        let node = node_of(&page, id, ids)?;
        if level_above.is_some_and(|above| node.level().checked_add(1) != Some(above)) {
            let sentence = format!("the node is of level {}, below its parent", node.level());
            return Err(damaged(id, sentence));
        }
        level_above = Some(node.level());
        if node.is_leaf() {
            position.leaf = id;
            position.index = lower_bound(&node, order)?;
            return Ok(position);
        }
        let child = choose_child(pages, &node, ids, order)?;
        position.path.push(Step { page: id, child });
        id = child_of(&node, id, child)?;
    }
    Err(too_high(root))
}

pub(super) fn too_high(root: PageId) -> crate::Error {
    let sentence = format!("the tree is higher than {MAX_HEIGHT} levels");
    damaged(root, sentence)
}

pub(super) fn child_of(node: &Node<'_>, id: PageId, index: usize) -> Result<PageId> {
    match node.child(index) {
        Some(child) if child != PageId(0) => Ok(child),
        _ => Err(damaged(id, "a child of the node is page 0")),
    }
}

fn lower_bound<O: EntryOrder + ?Sized>(node: &Node<'_>, order: &mut O) -> Result<usize> {
    let (mut low, mut high) = (0, node.key_count());
    while low < high {
        let middle = low.midpoint(high);
        let less = match node.entry(middle) {
            Some(entry) => order.entry(&entry)? == Ordering::Less,
            None => false,
        };
        if less {
            low = middle.saturating_add(1);
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// The last child whose first entry is not greater than what is sought, else the first one that can
/// hold it.
fn choose_child<P: TreePages + ?Sized, O: EntryOrder + ?Sized>(
    pages: &P,
    node: &Node<'_>,
    ids: TreeIds,
    order: &mut O,
) -> Result<usize> {
    let mut separators = |low: usize, passes: fn(Option<Ordering>) -> bool| -> Result<usize> {
        let (mut low, mut high) = (low, node.key_count());
        while low < high {
            let middle = low.midpoint(high);
            let passed = match node.separator(middle) {
                Some(separator) => passes(order.separator(separator)?),
                None => false,
            };
            if passed {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        Ok(low)
    };
    let first = separators(0, |found| found == Some(Ordering::Less))?;
    let last = separators(first, |found| found != Some(Ordering::Greater))?;
    // The separators in between equal the key, as far as they can tell.
    let (mut low, mut high) = (first, last);
    while low < high {
        let middle = low.saturating_add(high).div_ceil(2);
        let child = child_of(node, PageId(0), middle)?;
        let smallest = first_below(pages, child, ids)?;
        let greater = match smallest.entry() {
            Some(entry) => order.entry(&entry)? == Ordering::Greater,
            None => true,
        };
        if greater {
            high = middle.saturating_sub(1);
        } else {
            low = middle;
        }
    }
    Ok(low)
}

/// The first entry below a node.
fn first_below<P: TreePages + ?Sized>(pages: &P, top: PageId, ids: TreeIds) -> Result<Neighbour> {
    let mut id = top;
    for _ in 0..MAX_HEIGHT {
        let page = pages.index_page(id)?;
        let node = node_of(&page, id, ids)?;
        if node.is_leaf() {
            return Ok(Neighbour { page, index: 0 });
        }
        id = child_of(&node, id, 0)?;
    }
    Err(too_high(top))
}

/// The entry at a position, the one before it not looked for.
///
/// # Errors
/// A page cannot be read or is damaged.
pub fn entry_at<P: TreePages + ?Sized>(
    pages: &P,
    ids: TreeIds,
    position: &LeafPosition,
) -> Result<Option<Neighbour>> {
    if position.leaf == PageId(0) {
        return Ok(None);
    }
    let page = pages.index_page(position.leaf)?;
    let node = node_of(&page, position.leaf, ids)?;
    if position.index < node.key_count() {
        let index = position.index;
        return Ok(Some(Neighbour { page, index }));
    }
    end_of(pages, ids, node.next(), false)
}

/// The entries before and at a position.
///
/// # Errors
/// A page cannot be read or is damaged.
pub fn neighbours<P: TreePages + ?Sized>(
    pages: &P,
    ids: TreeIds,
    position: &LeafPosition,
) -> Result<(Option<Neighbour>, Option<Neighbour>)> {
    let at = entry_at(pages, ids, position)?;
    if position.leaf == PageId(0) {
        return Ok((None, at));
    }
    let page = pages.index_page(position.leaf)?;
    let before = match position.index.checked_sub(1) {
        Some(index) => Some(Neighbour { page, index }),
        None => end_of(pages, ids, node_of(&page, position.leaf, ids)?.prev(), true)?,
    };
    Ok((before, at))
}

/// The last or the first entry of a leaf; `None` for page 0.
fn end_of<P: TreePages + ?Sized>(
    pages: &P,
    ids: TreeIds,
    id: PageId,
    last: bool,
) -> Result<Option<Neighbour>> {
    if id == PageId(0) {
        return Ok(None);
    }
    let page = pages.index_page(id)?;
    let node = node_of(&page, id, ids)?;
    let (true, Some(last_index)) = (node.is_leaf(), node.key_count().checked_sub(1)) else {
        return Err(damaged(id, "the chain of leaves leads to no filled leaf"));
    };
    let index = if last { last_index } else { 0 };
    Ok(Some(Neighbour { page, index }))
}
