//! Changing an R-tree in place: one entry at a time.
//!
//! An entry goes to the child whose bounds grow least, the smaller one of equals. A node that
//! overflows is cut in half across its longer side. A node that has lost so many entries that less
//! than a quarter is full is given up, and what it has goes to its neighbours (see `remove`). Every
//! node's bounds, and those that the entry above names, are always exactly those of its entries.

mod remove;
#[cfg(test)]
mod tests;

use super::{Entry, NodeWriter, RTreeNode, RTreeSummary, Rect, Target, capacity};
use crate::v2::btree::edit::{TreePages, TreePagesMut};
use crate::v2::btree::{PageSink, TreeIds, damaged};
use crate::v2::page::{PAGE_SIZE, PageBytes};
use crate::v2::{DocumentAddress, PageId};
use crate::{Code, Error, Result};

/// Highest level of a tree that is changed.
const MAX_LEVEL: u8 = 63;

/// What is known of a tree that changes: all that its metadata records say of its pages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveRTree {
    ids: TreeIds,
    /// 0 for an empty tree.
    pub root: PageId,
    /// Entries of all leaves.
    pub entry_count: u64,
    height: u16,
    leaf_nodes: u32,
    internal_nodes: u32,
    bounds: Option<Rect>,
    /// How many nodes have so many entries, by the number of entries.
    nodes_by_entries: Vec<u32>,
}

impl LiveRTree {
    /// What the records of the index have to say.
    #[must_use]
    pub fn summary(&self) -> RTreeSummary {
        let most = self.nodes_by_entries.iter().rposition(|count| *count > 0);
        RTreeSummary {
            root: self.root,
            entry_count: self.entry_count,
            height: self.height,
            leaf_nodes: self.leaf_nodes,
            internal_nodes: self.internal_nodes,
            order: u16::try_from(most.unwrap_or_default().saturating_add(1)).unwrap_or(u16::MAX),
            bounds: self.bounds,
            first_page: PageId(0),
        }
    }

    /// A node with `old` entries has `new` ones now; `None` where there is no node.
    fn recount(&mut self, level: u8, old: Option<usize>, new: Option<usize>) {
        let nodes = match level {
            0 => &mut self.leaf_nodes,
            _ => &mut self.internal_nodes,
        };
        match (old, new) {
            (None, Some(_)) => *nodes = nodes.saturating_add(1),
            (Some(_), None) => *nodes = nodes.saturating_sub(1),
            _ => {}
        }
        let most = capacity(0).max(capacity(1)).saturating_add(1);
        self.nodes_by_entries.resize(most, 0);
        if let Some(count) = old.and_then(|old| self.nodes_by_entries.get_mut(old)) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = new.and_then(|new| self.nodes_by_entries.get_mut(new)) {
            *count = count.saturating_add(1);
        }
    }
}

/// A node, taken apart.
struct Opened {
    id: PageId,
    level: u8,
    entries: Vec<Entry>,
    /// Entries as its page has them.
    before: usize,
    /// The entry that the way down goes through.
    child: usize,
}

fn read<P: TreePages + ?Sized>(pages: &P, id: PageId, ids: TreeIds) -> Result<Opened> {
    let page = pages.index_page(id)?;
    let wrong = |error: super::NodeError| damaged(id, error.to_string());
    let node = RTreeNode::parse(page.bytes()).map_err(wrong)?;
    if node.index_id() != ids.index_id {
        let (index, expected) = (node.index_id(), ids.index_id);
        let sentence = format!("the node belongs to index {index}, expected {expected}");
        return Err(damaged(id, sentence));
    }
    if node.level() > MAX_LEVEL {
        let sentence = format!("the node is of level {}, over {MAX_LEVEL}", node.level());
        return Err(damaged(id, sentence));
    }
    let entries: std::result::Result<Vec<Entry>, _> = node.entries().collect();
    Ok(Opened {
        id,
        level: node.level(),
        before: node.entry_count(),
        entries: entries.map_err(wrong)?,
        child: 0,
    })
}

/// A child's node, which must be one level lower.
fn read_below<P: TreePages + ?Sized>(
    pages: &P,
    above: &Opened,
    entry: &Entry,
    ids: TreeIds,
) -> Result<Opened> {
    let Target::Node(id) = entry.target else {
        return Err(damaged(
            above.id,
            "an internal node has an entry of a document",
        ));
    };
    let node = read(pages, id, ids)?;
    if node.level.checked_add(1) != Some(above.level) {
        let sentence = format!("the node is of level {}, below its parent", node.level);
        return Err(damaged(id, sentence));
    }
    Ok(node)
}

/// Counts the nodes and entries of a tree.
///
/// # Errors
/// A page cannot be read or is damaged.
pub fn survey_rtree<P: TreePages + ?Sized>(
    pages: &P,
    root: PageId,
    ids: TreeIds,
) -> Result<LiveRTree> {
    let mut tree = LiveRTree {
        ids,
        root,
        ..LiveRTree::default()
    };
    if root == PageId(0) {
        return Ok(tree);
    }
    let top = read(pages, root, ids)?;
    tree.height = u16::from(top.level) + 1;
    tree.bounds = bounds_of(&top.entries);
    // Each page is visited once in a sound tree.
    let mut pages_left = pages.page_count();
    let mut open = vec![top];
    while let Some(node) = open.pop() {
        pages_left = pages_left
            .checked_sub(1)
            .ok_or_else(|| damaged(node.id, "the tree has more nodes than the file has pages"))?;
        tree.recount(node.level, None, Some(node.before));
        if node.level == 0 {
            tree.entry_count = tree.entry_count.saturating_add(node.before as u64);
            continue;
        }
        for entry in &node.entries {
            open.push(read_below(pages, &node, entry, ids)?);
        }
    }
    Ok(tree)
}

fn bounds_of(entries: &[Entry]) -> Option<Rect> {
    let all = entries.iter().map(|entry| entry.bounds);
    all.reduce(Rect::union)
}

fn area(rect: Rect) -> f64 {
    let side = |min: f32, max: f32| f64::from(max) - f64::from(min);
    side(rect.min_x, rect.max_x) * side(rect.min_y, rect.max_y)
}

fn contains(outer: Rect, inner: Rect) -> bool {
    outer.min_x <= inner.min_x
        && outer.min_y <= inner.min_y
        && outer.max_x >= inner.max_x
        && outer.max_y >= inner.max_y
}

/// The entry whose bounds grow least to have `bounds`.
fn least_enlarged(entries: &[Entry], bounds: Rect) -> usize {
    let cost = |entry: &Entry| {
        let before = area(entry.bounds);
        (area(entry.bounds.union(bounds)) - before, before)
    };
    let costs = entries.iter().map(cost).enumerate();
    let least = costs.min_by(|(_, one), (_, two)| {
        let by_growth = one.0.total_cmp(&two.0);
        by_growth.then(one.1.total_cmp(&two.1))
    });
    least.map_or(0, |(at, _)| at)
}

/// Cuts entries in half, across the longer side of what holds them.
fn split(entries: &mut Vec<Entry>) -> Vec<Entry> {
    let all = bounds_of(entries).unwrap_or_default();
    let width = f64::from(all.max_x) - f64::from(all.min_x);
    let by_x = width >= f64::from(all.max_y) - f64::from(all.min_y);
    let middle = |entry: &Entry| {
        let (x, y) = entry.bounds.center();
        if by_x { x } else { y }
    };
    entries.sort_by(|one, two| middle(one).total_cmp(&middle(two)));
    entries.split_off(entries.len() / 2)
}

/// Changes one tree.
pub struct RTreeEditor<'a, P: ?Sized> {
    pages: &'a mut P,
    tree: &'a mut LiveRTree,
}

/// Takes the one page of a node that is written.
struct OnePage {
    id: PageId,
    page: PageBytes,
}

impl PageSink for OnePage {
    fn next_page(&self) -> PageId {
        self.id
    }

    fn append(&mut self, page: &mut PageBytes) -> Result<PageId> {
        self.page = *page;
        Ok(self.id)
    }
}

impl<'a, P: TreePagesMut + ?Sized> RTreeEditor<'a, P> {
    /// Changes `tree`, whose pages are in `pages`.
    pub fn new(pages: &'a mut P, tree: &'a mut LiveRTree) -> Self {
        Self { pages, tree }
    }

    /// Adds a document's entry.
    ///
    /// # Errors
    /// A page cannot be read, is damaged, or cannot be kept. The tree is not sound then.
    pub fn insert(&mut self, bounds: Rect, address: DocumentAddress) -> Result<()> {
        let target = Target::Document(self.tree.ids.collection_id, address);
        let entry = Entry { bounds, target };
        self.tree.entry_count = self.tree.entry_count.saturating_add(1);
        self.insert_at(0, entry)
    }

    /// Adds an entry to a node of this level, which the tree has unless it is empty.
    fn insert_at(&mut self, level: u8, entry: Entry) -> Result<()> {
        if self.tree.root == PageId(0) {
            let root = self.pages.allocate()?;
            self.tree.root = root;
            self.tree.height = u16::from(level) + 1;
            self.tree.bounds = Some(entry.bounds);
            return self.write(root, level, &[entry], None);
        }
        let mut path = Vec::new();
        let mut node = read(self.pages, self.tree.root, self.tree.ids)?;
        while node.level > level {
            node.child = least_enlarged(&node.entries, entry.bounds);
            let chosen = node.entries.get(node.child).copied();
            let chosen = chosen.ok_or_else(|| damaged(node.id, "a node has no entries"))?;
            let below = read_below(self.pages, &node, &chosen, self.tree.ids)?;
            path.push(std::mem::replace(&mut node, below));
        }
        if node.level != level {
            return Err(damaged(node.id, "the tree is lower than it was"));
        }
        node.entries.push(entry);
        self.write_up(node, path)
    }

    /// Writes a node that has got an entry, and what has to change above it.
    fn write_up(&mut self, mut node: Opened, mut path: Vec<Opened>) -> Result<()> {
        loop {
            let mut sibling = None;
            if node.entries.len() > capacity(node.level) {
                let entries = split(&mut node.entries);
                let id = self.pages.allocate()?;
                self.write(id, node.level, &entries, None)?;
                let bounds = bounds_of(&entries).unwrap_or_default();
                let target = Target::Node(id);
                sibling = Some(Entry { bounds, target });
            }
            let bounds = bounds_of(&node.entries).unwrap_or_default();
            self.write(node.id, node.level, &node.entries, Some(node.before))?;
            let Some(mut above) = path.pop() else {
                return self.end_at_root(&node, bounds, sibling);
            };
            if let Some(entry) = above.entries.get_mut(above.child) {
                if entry.bounds == bounds && sibling.is_none() {
                    return Ok(());
                }
                entry.bounds = bounds;
            }
            above.entries.extend(sibling);
            node = above;
        }
    }

    /// The root was written; the tree grows over it if it was split.
    fn end_at_root(&mut self, root: &Opened, bounds: Rect, sibling: Option<Entry>) -> Result<()> {
        self.tree.bounds = Some(bounds);
        let Some(sibling) = sibling else {
            return Ok(());
        };
        let target = Target::Node(root.id);
        let entries = [Entry { bounds, target }, sibling];
        let id = self.pages.allocate()?;
        self.write(id, root.level.saturating_add(1), &entries, None)?;
        self.tree.root = id;
        self.tree.height = self.tree.height.saturating_add(1);
        self.tree.bounds = bounds_of(&entries);
        Ok(())
    }

    fn write(
        &mut self,
        id: PageId,
        level: u8,
        entries: &[Entry],
        before: Option<usize>,
    ) -> Result<()> {
        if level > MAX_LEVEL {
            let sentence = format!("an R-tree would have more than {MAX_LEVEL} levels");
            return Err(Error::new(Code::LimitExceeded, sentence));
        }
        let mut page = OnePage {
            id,
            page: [0; PAGE_SIZE],
        };
        let mut writer = NodeWriter::new(&mut page, self.tree.ids, level);
        for entry in entries {
            writer.push(entry)?;
        }
        writer.finish()?;
        self.tree.recount(level, before, Some(entries.len()));
        self.pages.put(id, page.page)
    }
}
