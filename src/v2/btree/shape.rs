//! What is known of a whole tree: what metadata records say, what a load or a check has counted.

use super::StoredKey;
use super::node::VALUE_BYTES;
use crate::v2::PageId;
use crate::v2::statistics::StatisticsRecord;

/// What the metadata records of an index say of its tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeShape {
    /// The root's page, 0 for an empty tree. In a freshly built tree it is the last page.
    pub root: PageId,
    /// Levels; 1 for a tree of one leaf, 0 for an empty one.
    pub height: u16,
    /// Entries of all leaves.
    pub entry_count: u64,
    /// Keys that differ from the one before them.
    pub unique_keys: u64,
    /// Leaf pages.
    pub leaf_nodes: u32,
    /// Pages of internal nodes.
    pub internal_nodes: u32,
    /// Most keys in any node, plus 1; 1 for an empty tree.
    pub order: u16,
}

impl TreeShape {
    /// Pages of the tree, unless the record's counts are impossible.
    #[must_use]
    pub fn page_count(&self) -> Option<u32> {
        self.leaf_nodes.checked_add(self.internal_nodes)
    }

    /// The first leaf of a freshly built tree, whose pages are one run that ends in the root;
    /// `None` where the record's counts are impossible or the tree is empty.
    #[must_use]
    pub fn first_page(&self) -> Option<PageId> {
        let before_root = self.page_count()?.checked_sub(1)?;
        let first = self.root.0.checked_sub(before_root)?;
        (first > 0).then_some(PageId(first))
    }
}

/// What a bulk load has written, or a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TreeSummary {
    /// The root's page, 0 for an empty tree.
    pub root: PageId,
    /// Entries of all leaves.
    pub entry_count: u64,
    /// Keys that differ from the one before them.
    pub unique_keys: u64,
    /// Levels; 1 for a tree of one leaf, 0 for an empty one.
    pub height: u16,
    /// Leaf pages.
    pub leaf_nodes: u32,
    /// Pages of internal nodes.
    pub internal_nodes: u32,
    /// Most keys in any node, plus 1; 1 for an empty tree.
    pub order: u16,
    /// Bytes of the stored keys of all entries.
    pub key_bytes_total: u64,
    /// Bytes of the values of all entries.
    pub value_bytes_total: u64,
    /// The first leaf, 0 for an empty tree.
    pub first_page: PageId,
    /// Pages from `first_page` on, the last of which is the root.
    pub page_count: u32,
    /// The first entry's key.
    pub min_key: Option<StoredKey>,
    /// The last entry's key.
    pub max_key: Option<StoredKey>,
}

impl TreeSummary {
    /// The part that the metadata records hold.
    #[must_use]
    pub fn shape(&self) -> TreeShape {
        TreeShape {
            root: self.root,
            height: self.height,
            entry_count: self.entry_count,
            unique_keys: self.unique_keys,
            leaf_nodes: self.leaf_nodes,
            internal_nodes: self.internal_nodes,
            order: self.order,
        }
    }

    /// The statistics of a freshly built index, but for what the summary does not know: the index's
    /// id, `min_key` and `max_key` as JSON, and the time.
    #[must_use]
    pub fn statistics(&self) -> StatisticsRecord {
        StatisticsRecord {
            total_entries: self.entry_count,
            unique_keys: self.unique_keys,
            height: self.height,
            leaf_nodes: self.leaf_nodes,
            internal_nodes: self.internal_nodes,
            avg_key_size: self.avg_key_size(),
            avg_value_size: self.avg_value_size(),
            cardinality: self.cardinality(),
            ..StatisticsRecord::default()
        }
    }

    /// Bytes of an average stored key, rounded down; 0 for an empty tree.
    #[must_use]
    pub fn avg_key_size(&self) -> u32 {
        average(self.key_bytes_total, self.entry_count)
    }

    /// Bytes of an average value, rounded down; 0 for an empty tree.
    #[must_use]
    pub fn avg_value_size(&self) -> u32 {
        average(self.value_bytes_total, self.entry_count)
    }

    /// Unique keys divided by entries; 0 for an empty tree.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a tree has fewer than 2^40 entries: 2^32 pages of at most 183"
    )]
    pub fn cardinality(&self) -> f64 {
        if self.entry_count == 0 {
            return 0.0;
        }
        self.unique_keys as f64 / self.entry_count as f64
    }
}

fn average(total: u64, count: u64) -> u32 {
    let average = total.checked_div(count).unwrap_or_default();
    u32::try_from(average).unwrap_or(u32::MAX)
}

/// Counts that grow with every entry, the same when a tree is written and when it is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Tally {
    pub(super) entry_count: u64,
    pub(super) unique_keys: u64,
    pub(super) key_bytes_total: u64,
    pub(super) value_bytes_total: u64,
    pub(super) leaf_nodes: u32,
    pub(super) internal_nodes: u32,
    pub(super) most_keys: u16,
}

impl Tally {
    /// Counts an entry.
    #[inline]
    pub(super) fn entry(&mut self, key_bytes: usize, value_bytes: usize, same_as_previous: bool) {
        self.entry_count = self.entry_count.saturating_add(1);
        self.unique_keys = self
            .unique_keys
            .saturating_add(u64::from(!same_as_previous));
        self.key_bytes_total = self.key_bytes_total.saturating_add(key_bytes as u64);
        self.value_bytes_total = self.value_bytes_total.saturating_add(value_bytes as u64);
    }

    /// Counts a leaf with its entries: how many have a key that differs from the one before, and
    /// how many bytes all keys have.
    pub(super) fn leaf(&mut self, key_count: u16, unique_keys: u64, key_bytes: usize) {
        self.node_keys(key_count);
        self.leaf_nodes = self.leaf_nodes.saturating_add(1);
        let entries = u64::from(key_count);
        self.entry_count = self.entry_count.saturating_add(entries);
        self.unique_keys = self.unique_keys.saturating_add(unique_keys);
        self.key_bytes_total = self.key_bytes_total.saturating_add(key_bytes as u64);
        let value_bytes = entries.saturating_mul(VALUE_BYTES as u64);
        self.value_bytes_total = self.value_bytes_total.saturating_add(value_bytes);
    }

    /// Counts a node's keys towards the order.
    pub(super) fn node_keys(&mut self, key_count: u16) {
        self.most_keys = self.most_keys.max(key_count);
    }

    /// The summary of a tree whose pages are one run from `first_page` on.
    pub(super) fn summary(
        &self,
        first_page: PageId,
        height: u16,
        min_key: Option<StoredKey>,
        max_key: Option<StoredKey>,
    ) -> TreeSummary {
        let page_count = self.leaf_nodes.saturating_add(self.internal_nodes);
        let root = first_page.0.saturating_add(page_count.saturating_sub(1));
        TreeSummary {
            root: PageId(root),
            entry_count: self.entry_count,
            unique_keys: self.unique_keys,
            height,
            leaf_nodes: self.leaf_nodes,
            internal_nodes: self.internal_nodes,
            order: self.most_keys.saturating_add(1),
            key_bytes_total: self.key_bytes_total,
            value_bytes_total: self.value_bytes_total,
            first_page,
            page_count,
            min_key,
            max_key,
        }
    }
}
