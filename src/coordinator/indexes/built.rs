//! What the indexes phase has built.

use crate::coordinator::state::WrittenCollection;
use crate::index::TextTotals;
use crate::index::text::TextIndexSummary;
use crate::v2::PageId;
use crate::v2::btree::TreeSummary;
use crate::v2::rtree::RTreeSummary;
use crate::v2::statistics::StatisticsRecord;
use serde::{Deserialize, Serialize};

/// Everything in the staged `data.db`.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::coordinator) struct Built {
    /// In plan order.
    pub(in crate::coordinator) collections: Vec<BuiltCollection>,
    /// Pages of the file.
    pub(in crate::coordinator) page_count: u32,
}

/// One collection in the staged `data.db`.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::coordinator) struct BuiltCollection {
    pub(in crate::coordinator) written: WrittenCollection,
    /// In plan order.
    pub(in crate::coordinator) indexes: Vec<BuiltIndex>,
}

/// One index in the staged `data.db`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::coordinator) struct BuiltIndex {
    pub(in crate::coordinator) tree: BuiltTree,
    /// Documents whose value cannot be indexed.
    pub(in crate::coordinator) unindexable: u64,
    /// The `_id`s of the first few of them, as people read them.
    pub(in crate::coordinator) first_unindexable: Vec<String>,
}

/// The pages of an index, one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::coordinator) enum BuiltTree {
    /// A B+tree of documents' keys.
    Keys {
        tree: TreeSummary,
        /// First and last key as JSON text, empty in an empty index.
        min_key: String,
        max_key: String,
    },
    /// Postings, and the B+tree of their terms.
    Terms {
        index: TextIndexSummary,
        /// First and last term, likewise.
        min_key: String,
        max_key: String,
        totals: TextTotals,
    },
    /// An R-tree.
    Points(RTreeSummary),
}

impl BuiltTree {
    pub(in crate::coordinator) fn root(&self) -> PageId {
        match self {
            Self::Keys { tree, .. } => tree.root,
            Self::Terms { index, .. } => index.tree.root,
            Self::Points(tree) => tree.root,
        }
    }

    /// Entries; of a text index its terms.
    pub(in crate::coordinator) fn entry_count(&self) -> u64 {
        match self {
            Self::Keys { tree, .. } => tree.entry_count,
            Self::Terms { index, .. } => index.tree.entry_count,
            Self::Points(tree) => tree.entry_count,
        }
    }

    /// Most entries of any node, plus 1.
    pub(in crate::coordinator) fn order(&self) -> u16 {
        match self {
            Self::Keys { tree, .. } => tree.order,
            Self::Terms { index, .. } => index.tree.order,
            Self::Points(tree) => tree.order,
        }
    }

    /// All pages, those of postings included.
    pub(in crate::coordinator) fn page_count(&self) -> u32 {
        match self {
            Self::Keys { tree, .. } => tree.page_count,
            Self::Terms { index, .. } => index.page_count(),
            Self::Points(tree) => tree.page_count(),
        }
    }

    /// Of a text index.
    pub(in crate::coordinator) fn totals(&self) -> Option<TextTotals> {
        match self {
            Self::Terms { totals, .. } => Some(*totals),
            Self::Keys { .. } | Self::Points(_) => None,
        }
    }

    /// All but the index's id and the time.
    pub(in crate::coordinator) fn statistics(&self) -> StatisticsRecord {
        let (tree, min_key, max_key) = match self {
            Self::Keys {
                tree,
                min_key,
                max_key,
            } => (tree, min_key, max_key),
            Self::Terms {
                index,
                min_key,
                max_key,
                ..
            } => (&index.tree, min_key, max_key),
            Self::Points(tree) => return tree.statistics(),
        };
        StatisticsRecord {
            min_key: min_key.clone(),
            max_key: max_key.clone(),
            ..tree.statistics()
        }
    }
}
