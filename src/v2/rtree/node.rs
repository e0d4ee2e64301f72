//! Reads nodes, trusting nothing. The layout is described in the parent module.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::{
    ENTRIES, ENTRY_COUNT, INDEX_ID, INTERNAL, LEAF, LEVEL, MBR, NODE_TYPE, PARENT_PAGE, RECT_BYTES,
    RESERVED, Rect, capacity, entry_bytes,
};
use crate::bytes::{get_u16, get_u32};
use crate::v2::page::{PAGE_HEADER_SIZE, PageBytes};
use crate::v2::{DocumentAddress, PageId};

/// What is wrong with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// Type and level do not go together.
    #[error("a node of type {node_type} is of level {level}, expected 1 with 0, or 0 with more")]
    Level {
        /// As stored.
        node_type: u8,
        /// As stored.
        level: u8,
    },
    /// No node has so many entries.
    #[error("entry_count is {found}, expected 1 to {most}")]
    Count {
        /// As stored.
        found: u16,
        /// What the page has room for.
        most: usize,
    },
    /// A field that is 0 is not.
    #[error("byte {0} of the page: expected 0")]
    NotZero(usize),
    /// Bounds that are none.
    #[error("the bounds at byte {0} of the page are no rectangle")]
    Bounds(usize),
    /// The node's MBR is not that of its entries.
    #[error("the node's bounds are not those of its entries")]
    Mbr,
    /// An entry names page 0, or no address.
    #[error("entry {0} leads nowhere")]
    Target(usize),
}

/// What an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A node one level lower.
    Node(PageId),
    /// A document of this collection.
    Document(u32, DocumentAddress),
}

/// An entry of a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// Bounds of the point, or of all that is in the child.
    pub bounds: Rect,
    /// Where they belong.
    pub target: Target,
}

/// A node whose header is sound; entries are checked one by one.
#[derive(Clone, Copy, Debug)]
pub struct RTreeNode<'p> {
    page: &'p PageBytes,
    level: u8,
    entry_count: usize,
    bounds: Rect,
}

impl<'p> RTreeNode<'p> {
    /// Checks the node's header; the page header is the caller's.
    ///
    /// # Errors
    /// The first field that cannot be.
    pub fn parse(page: &'p PageBytes) -> Result<Self, NodeError> {
        let byte = |at: usize| page.get(at).copied().unwrap_or_default();
        let (node_type, level) = (byte(NODE_TYPE), byte(LEVEL));
        if !matches!((node_type, level), (LEAF, 0) | (INTERNAL, 1..)) {
            return Err(NodeError::Level { node_type, level });
        }
        let found = get_u16(page, ENTRY_COUNT).unwrap_or_default();
        let most = capacity(level);
        let entry_count = usize::from(found);
        if !(1..=most).contains(&entry_count) {
            return Err(NodeError::Count { found, most });
        }
        let bounds = page.get(MBR..).and_then(Rect::decode);
        Ok(Self {
            page,
            level,
            entry_count,
            bounds: bounds.ok_or(NodeError::Bounds(MBR))?,
        })
    }

    /// 0 for leaves.
    #[must_use]
    pub fn level(&self) -> u8 {
        self.level
    }

    /// Entries in the node.
    #[must_use]
    pub fn entry_count(&self) -> usize {
        self.entry_count
    }

    /// The index's number in its collection.
    #[must_use]
    pub fn index_id(&self) -> u32 {
        get_u32(self.page, INDEX_ID).unwrap_or_default()
    }

    /// Bounds of all entries, as the header has them.
    #[must_use]
    pub fn bounds(&self) -> Rect {
        self.bounds
    }

    /// The entries, each checked as it is reached.
    pub fn entries(self) -> impl Iterator<Item = Result<Entry, NodeError>> + use<'p> {
        let size = entry_bytes(self.level);
        (0..self.entry_count).map(move |index| {
            let at = ENTRIES.saturating_add(index.saturating_mul(size));
            let end = at.saturating_add(size);
            let bytes = self.page.get(at..end).unwrap_or_default();
            let bounds = Rect::decode(bytes).ok_or(NodeError::Bounds(at))?;
            let (value, reserved) = bytes.split_last_chunk().ok_or(NodeError::Bounds(at))?;
            if *reserved != [0; 4] {
                return Err(NodeError::NotZero(end.saturating_sub(4)));
            }
            let value = value.get(RECT_BYTES..).unwrap_or_default();
            let target = if self.level == 0 {
                DocumentAddress::decode(value)
                    .map(|(collection, address)| Target::Document(collection, address))
            } else {
                get_u32(value, 0)
                    .filter(|page| *page > 0)
                    .map(|page| Target::Node(PageId(page)))
            };
            let target = target.ok_or(NodeError::Target(index))?;
            Ok(Entry { bounds, target })
        })
    }

    /// Checks what reading does not need: that the bounds are those of the entries, and that
    /// everything that means nothing is 0.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check_fresh(&self) -> Result<(), NodeError> {
        let entries = self.entry_count.saturating_mul(entry_bytes(self.level));
        let end = ENTRIES.saturating_add(entries);
        let zeros = [
            PAGE_HEADER_SIZE..NODE_TYPE,
            PARENT_PAGE..MBR,
            RESERVED..ENTRIES,
            end..self.page.len(),
        ];
        for range in zeros {
            let start = range.start;
            let bytes = self.page.get(range).unwrap_or_default();
            if let Some(at) = bytes.iter().position(|byte| *byte != 0) {
                return Err(NodeError::NotZero(start.saturating_add(at)));
            }
        }
        let mut union: Option<Rect> = None;
        for entry in self.entries() {
            let bounds = entry?.bounds;
            union = Some(union.map_or(bounds, |union| union.union(bounds)));
        }
        if union.map(Rect::encode) == Some(self.bounds.encode()) {
            Ok(())
        } else {
            Err(NodeError::Mbr)
        }
    }
}
