//! R-trees of `data.db`: built level by level, leaves first; checked in file order, or from
//! the root down; searched.
//!
//! ```text
//! page (4096)    = page header (16) | gap (16, zero: as in B+tree nodes) | node header (32)
//!                | entry[entry_count] | zeros
//! node header    = node_type u8       0 internal, 1 leaf
//!                | level u8           0 = leaf, parents one more
//!                | entry_count u16    at least 1
//!                | index_id u32
//!                | parent_page u32    0; never read
//!                | MBR                of all entries
//!                | reserved u32       0
//! internal entry = MBR | child page u32 | reserved u32 (0)               24 bytes
//! leaf entry     = MBR | document address (12) | reserved u32 (0)        32 bytes
//! MBR (16)       = min x f32 | min y f32 | max x f32 | max y f32
//! ```
//!
//! x is the first coordinate (longitude), y the second. Bounds are rounded outward, so they contain
//! the 64-bit point; which points a query has, only the documents can tell where bounds cross its
//! border. Each level's nodes are full but for the last.

mod builder;
mod check;
mod edit;
mod node;
mod rect;
mod walk;

pub use builder::{NodeWriter, WrittenNode};
pub use check::RTreeChecker;
pub use edit::{LiveRTree, RTreeEditor, survey_rtree};
pub use node::{Entry, NodeError, RTreeNode, Target};
pub use rect::Rect;
pub use walk::walk_rtree;

use super::PageId;
use super::page::{PAGE_HEADER_SIZE, PAGE_SIZE};
use super::statistics::StatisticsRecord;

const NODE_TYPE: usize = PAGE_HEADER_SIZE + 16;
const LEVEL: usize = NODE_TYPE + 1;
const ENTRY_COUNT: usize = LEVEL + 1;
const INDEX_ID: usize = ENTRY_COUNT + 2;
const PARENT_PAGE: usize = INDEX_ID + 4;
const MBR: usize = PARENT_PAGE + 4;
const RESERVED: usize = MBR + RECT_BYTES;
const ENTRIES: usize = RESERVED + 4;

const RECT_BYTES: usize = 16;
const INTERNAL_ENTRY_BYTES: usize = RECT_BYTES + 4 + 4;
const LEAF_ENTRY_BYTES: usize = RECT_BYTES + 12 + 4;

const _: () = assert!(NODE_TYPE == 32 && ENTRIES - NODE_TYPE == 32);
const _: () = assert!(INTERNAL_ENTRY_BYTES == 24 && LEAF_ENTRY_BYTES == 32);

const INTERNAL: u8 = 0;
const LEAF: u8 = 1;

/// Most entries of a node of a level.
#[must_use]
pub const fn capacity(level: u8) -> usize {
    match PAGE_SIZE
        .saturating_sub(ENTRIES)
        .checked_div(entry_bytes(level))
    {
        Some(most) => most,
        None => 0,
    }
}

const _: () = assert!(capacity(0) == 126 && capacity(1) == 168);

const fn entry_bytes(level: u8) -> usize {
    if level == 0 {
        LEAF_ENTRY_BYTES
    } else {
        INTERNAL_ENTRY_BYTES
    }
}

/// What a build has written, the metadata says, or a check has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RTreeSummary {
    /// The root's page, 0 for an empty tree; the last page of the tree.
    pub root: PageId,
    /// Entries of all leaves.
    pub entry_count: u64,
    /// Levels; 1 for a tree of one leaf, 0 for an empty one.
    pub height: u16,
    /// Leaf pages.
    pub leaf_nodes: u32,
    /// Pages of internal nodes.
    pub internal_nodes: u32,
    /// Most entries in any node, plus 1; 1 for an empty tree.
    pub order: u16,
    /// The root's MBR, if it is known and there is one.
    pub bounds: Option<Rect>,
    /// The first leaf, 0 for an empty tree.
    pub first_page: PageId,
}

impl RTreeSummary {
    /// What the metadata records of an index say of its tree; the bounds stand there as text.
    ///
    /// `None` where the counts are impossible.
    #[must_use]
    pub fn recorded(root: PageId, order: u16, statistics: &StatisticsRecord) -> Option<Self> {
        let (leaf_nodes, internal_nodes) = (statistics.leaf_nodes, statistics.internal_nodes);
        let pages = leaf_nodes.checked_add(internal_nodes)?;
        let first_page = match pages.checked_sub(1) {
            None => 0,
            Some(before_root) => root.0.checked_sub(before_root).filter(|first| *first > 0)?,
        };
        Some(Self {
            root,
            entry_count: statistics.total_entries,
            height: statistics.height,
            leaf_nodes,
            internal_nodes,
            order,
            bounds: None,
            first_page: PageId(first_page),
        })
    }

    /// Pages from the first on, the last of which is the root.
    #[must_use]
    pub fn page_count(&self) -> u32 {
        self.leaf_nodes.saturating_add(self.internal_nodes)
    }

    /// The statistics of a freshly built index, but for the index's id and the time.
    #[must_use]
    pub fn statistics(&self) -> StatisticsRecord {
        let corner = |corner: fn(Rect) -> String| self.bounds.map(corner).unwrap_or_default();
        let is_empty = self.entry_count == 0;
        // The key of an entry is its MBR, its value a document's address.
        let size = |bytes: u32| if is_empty { 0 } else { bytes };
        StatisticsRecord {
            total_entries: self.entry_count,
            unique_keys: self.entry_count,
            height: self.height,
            leaf_nodes: self.leaf_nodes,
            internal_nodes: self.internal_nodes,
            avg_key_size: size(16),
            avg_value_size: size(12),
            min_key: corner(|bounds| rect::corner_json(bounds.min_x, bounds.min_y)),
            max_key: corner(|bounds| rect::corner_json(bounds.max_x, bounds.max_y)),
            cardinality: if is_empty { 0.0 } else { 1.0 },
            ..StatisticsRecord::default()
        }
    }
}
