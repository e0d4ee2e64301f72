//! The end of a transaction: its records brought up to its pages, and all of it to be logged.

use super::DiskTransaction;
use crate::store::indexes::key_bounds;
use crate::store::log::{PageFile, PageKey};
use crate::store::state::{IndexState, Special};
use crate::v2::PageId;
use crate::v2::btree::TreeSummary;
use crate::v2::btree::edit::LiveTree;
use crate::v2::freelist;
use crate::v2::page::{PAGE_SIZE, PageBytes};
use crate::v2::statistics::StatisticsRecord;
use crate::{Code, Error, Result};

impl DiskTransaction<'_> {
    /// Everything that the commit has to log: pages of both files, by file and number.
    pub(in crate::store) fn finish(
        &mut self,
        now_ns: i64,
    ) -> Result<Vec<(PageKey, Box<PageBytes>)>> {
        if self.broken {
            let sentence = "a change of the transaction failed half way, so it cannot be committed";
            return Err(Error::new(Code::StoreFailed, sentence));
        }
        let mut metadata = Vec::new();
        for number in std::mem::take(&mut self.touched) {
            self.write_free_list(number)?;
            self.count_indexes(number, now_ns)?;
            metadata.extend(self.collection(number)?.encode()?);
        }
        metadata.sort_by_key(|(page, _)| *page);
        let of = |file, page| PageKey { file, page };
        let dirty = std::mem::take(&mut self.dirty).into_iter();
        let data = dirty.map(|(id, page)| (of(PageFile::Data, id), Box::new(*page.bytes())));
        let metadata = metadata.into_iter();
        let metadata = metadata.map(|(id, page)| (of(PageFile::Metadata, id), Box::new(page)));
        Ok(data.chain(metadata).collect())
    }

    fn write_free_list(&mut self, number: usize) -> Result<()> {
        let collection = self.collection_mut(number)?;
        let Some(free) = &mut collection.free else {
            return Ok(());
        };
        let mut next = PageId(0);
        let mut pages = Vec::new();
        for trunk in &mut free.trunks {
            if std::mem::take(&mut trunk.changed) {
                let mut page = [0; PAGE_SIZE];
                freelist::encode(&mut page, next, &trunk.entries);
                pages.push((trunk.page, page));
            }
            next = trunk.page;
        }
        let head = free.head();
        if let Some(options) = &mut collection.record.options {
            options.free_list = head;
        } else if head.is_some() {
            let mut options = collection.options();
            options.free_list = head;
            collection.record.options = Some(options);
        }
        for (id, page) in pages {
            self.put(id, page);
        }
        Ok(())
    }

    /// Brings the records of a collection's indexes up to their trees.
    fn count_indexes(&mut self, number: usize, now_ns: i64) -> Result<()> {
        let collection = self.collection(number)?;
        let bounds = collection.indexes.iter().map(|index| match index.special {
            Some(Special::Geo { .. }) => Ok(Default::default()),
            _ => key_bounds(self, index),
        });
        let bounds: Vec<(String, String)> = bounds.collect::<Result<_>>()?;
        let collection = self.collection_mut(number)?;
        for (index, bounds) in collection.indexes.iter_mut().zip(bounds) {
            index.count(bounds, now_ns);
        }
        Ok(())
    }
}

impl IndexState {
    /// Brings record and statistics up to the tree, if it was counted.
    fn count(&mut self, bounds: (String, String), now_ns: i64) {
        let counted = match (&self.tree, &self.special) {
            (Some(tree), _) => {
                let unique_keys = self.statistics.unique_keys;
                summary_of(tree, unique_keys).with_bounds(bounds)
            }
            (
                None,
                Some(Special::Text {
                    tree: Some(tree),
                    totals,
                    ..
                }),
            ) => {
                self.record.set_text_totals(*totals);
                summary_of(tree, tree.entry_count).with_bounds(bounds)
            }
            (
                None,
                Some(Special::Geo {
                    tree: Some(tree), ..
                }),
            ) => {
                let summary = tree.summary();
                Counted {
                    root: summary.root,
                    order: summary.order,
                    statistics: summary.statistics(),
                }
            }
            _ => return,
        };
        self.record.root_page = counted.root;
        self.record.entry_count = counted.statistics.total_entries;
        self.record.order = counted.order;
        let before = &self.statistics;
        self.statistics = StatisticsRecord {
            index_id: before.index_id,
            last_updated_ns: now_ns,
            scans: before.scans,
            seeks: before.seeks,
            last_access_ns: before.last_access_ns,
            ..counted.statistics
        };
    }
}

/// What a tree says of itself.
struct Counted {
    root: PageId,
    order: u16,
    statistics: StatisticsRecord,
}

impl Counted {
    fn with_bounds(mut self, (min_key, max_key): (String, String)) -> Self {
        self.statistics.min_key = min_key;
        self.statistics.max_key = max_key;
        self
    }
}

fn summary_of(tree: &LiveTree, unique_keys: u64) -> Counted {
    let summary = TreeSummary {
        root: tree.root,
        entry_count: tree.entry_count,
        unique_keys,
        height: tree.height,
        leaf_nodes: tree.leaf_nodes,
        internal_nodes: tree.internal_nodes,
        key_bytes_total: tree.key_bytes_total,
        value_bytes_total: tree.entry_count * 12,
        ..Default::default()
    };
    Counted {
        root: tree.root,
        order: tree.order(),
        statistics: summary.statistics(),
    }
}
