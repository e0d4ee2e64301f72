//! The levels of a tree under check: each covers the one below, node by node.

use super::{damaged, key_hash};
use crate::Result;
use crate::v2::PageId;
use crate::v2::btree::node::Node;

#[derive(Debug, Default)]
pub(super) struct Levels {
    below: Level,
    open: Level,
    /// The page of the level below that the next node begins with.
    next_child: u32,
    separators: u128,
}

/// Pages that follow each other, all of one level.
#[derive(Debug, Default)]
struct Level {
    level: u8,
    first_page: u32,
    node_count: u32,
    /// For internal levels, each node's leftmost leaf.
    leftmost_leaves: Vec<u32>,
}

impl Level {
    fn begin(level: u8, first_page: PageId) -> Self {
        Self {
            level,
            first_page: first_page.0,
            node_count: 0,
            leftmost_leaves: Vec::new(),
        }
    }

    fn leftmost_leaf(&self, page: u32) -> Option<u32> {
        let index = page.checked_sub(self.first_page)?;
        if index >= self.node_count {
            return None;
        }
        if self.level == 0 {
            return Some(page);
        }
        let index = usize::try_from(index).ok()?;
        self.leftmost_leaves.get(index).copied()
    }
}

impl Levels {
    /// Counts a leaf.
    pub(super) fn leaf(&mut self, page: PageId) -> Result<()> {
        if self.open.level > 0 {
            return Err(damaged(page, "a leaf stands among the internal nodes"));
        }
        if self.open.node_count == 0 {
            self.open = Level::begin(0, page);
        }
        self.open.node_count = self.open.node_count.saturating_add(1);
        Ok(())
    }

    /// Checks an internal node's level and children, and adds its separators to the sum.
    pub(super) fn internal(&mut self, page: PageId, node: &Node<'_>) -> Result<()> {
        if node.level() != self.open.level {
            self.next_level(page, node.level())?;
        }
        let mut leftmost_of_node = None;
        for index in 0..=node.key_count() {
            let child = node.child(index).unwrap_or_default();
            let leftmost = self.below.leftmost_leaf(child.0);
            let Some(leftmost) = leftmost.filter(|_| child.0 == self.next_child) else {
                let next = self.next_child;
                let sentence =
                    format!("child {index} of the node is page {child}, expected {next}");
                return Err(damaged(page, sentence));
            };
            self.next_child = self.next_child.saturating_add(1);
            leftmost_of_node.get_or_insert(leftmost);
            let separator = index.checked_sub(1).and_then(|key| node.separator(key));
            if let Some(separator) = separator {
                let hash = key_hash(PageId(leftmost), separator);
                self.separators = self.separators.wrapping_add(hash);
            }
        }
        self.open.leftmost_leaves.extend(leftmost_of_node);
        self.open.node_count = self.open.node_count.saturating_add(1);
        Ok(())
    }

    /// The first node of the level above the open one.
    fn next_level(&mut self, page: PageId, level: u8) -> Result<()> {
        self.check_complete(page)?;
        if Some(level) != self.open.level.checked_add(1) || self.open.node_count < 2 {
            let sentence = format!(
                "the node is of level {level}, after {} of level {}",
                self.open.node_count, self.open.level
            );
            return Err(damaged(page, sentence));
        }
        self.next_child = self.open.first_page;
        self.below = std::mem::replace(&mut self.open, Level::begin(level, page));
        Ok(())
    }

    /// Checks that the open level covers the one below; `page` is where that shows.
    fn check_complete(&self, page: PageId) -> Result<()> {
        if self.open.level > 0 && self.next_child != self.open.first_page {
            let sentence = format!(
                "level {} has no node above page {}",
                self.open.level, self.next_child
            );
            return Err(damaged(page, sentence));
        }
        Ok(())
    }

    /// Ends the levels with a single root; gives the tree's height.
    pub(super) fn finish(&self) -> Result<u16> {
        let last = self.open.first_page;
        let last = last.saturating_add(self.open.node_count.saturating_sub(1));
        self.check_complete(PageId(last))?;
        match self.open.node_count {
            0 => Ok(0),
            1 => Ok(u16::from(self.open.level) + 1),
            count => {
                let sentence = format!("the top level has {count} nodes, expected one root");
                Err(damaged(PageId(last), sentence))
            }
        }
    }

    /// Sum over all separators.
    pub(super) fn separators(&self) -> u128 {
        self.separators
    }
}
