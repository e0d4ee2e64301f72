//! What can be said of index pages one by one: checksums, and the entries of leaves. A thread of its
//! own is ahead with that of the one that checks the trees.

use super::Block;
use crate::coordinator::indexes::{Built, BuiltTree};
use crate::coordinator::plan::Plan;
use crate::index::{EntrySum, key_hash};
use crate::v2::btree::Node;
use crate::v2::page::{self, ChecksumPolicy, PAGE_SIZE, PageBytes, PageError, PageType};
use crate::v2::{DocumentAddress, PageId};
use crossbeam_channel::{Receiver, Sender};

/// A block of one tree's pages, with what was found.
pub(super) struct SummedBlock {
    pub(super) block: Block,
    /// Entries of a B+tree.
    pub(super) entries: EntrySum,
    /// The first page that is not what was written; nothing behind it was looked at.
    pub(super) damage: Option<(PageId, PageError)>,
}

/// Looks at the pages of all trees.
pub(super) struct LeafThread {
    /// The page behind each tree, and of a B+tree whose values are addresses the collection's id.
    trees: Vec<(PageId, Option<u32>)>,
}

impl LeafThread {
    pub(super) fn new(plan: &Plan, built: &Built) -> Self {
        let collections = plan.collections.iter().zip(&built.collections);
        let trees = collections.flat_map(|(planned, built)| {
            let trees = built.indexes.iter().map(|index| &index.tree);
            trees.map(|tree| matches!(tree, BuiltTree::Keys { .. }).then_some(planned.id))
        });
        let ends = super::tree_ends(built).map(PageId);
        Self {
            trees: ends.zip(trees).collect(),
        }
    }

    pub(super) fn run(self, blocks: &Receiver<Block>, summed: &Sender<SummedBlock>) {
        for block in blocks {
            // A thread that has ended with an error needs no more.
            if summed.send(self.sum_up(block)).is_err() {
                return;
            }
        }
    }

    fn sum_up(&self, block: Block) -> SummedBlock {
        // Blocks end where trees do.
        let tree = self.trees.iter().find(|(end, _)| block.first < *end);
        let collection_id = tree.and_then(|(_, collection_id)| *collection_id);
        let mut entries = EntrySum::default();
        let mut damage = None;
        for (number, bytes) in (block.first.0..).zip(block.bytes.as_chunks::<PAGE_SIZE>().0) {
            let id = PageId(number);
            if let Err(error) = page::verify(bytes, id, PageType::Index, ChecksumPolicy::Required) {
                damage = Some((id, error));
                break;
            }
            if let Some(collection_id) = collection_id {
                add_entries(bytes, collection_id, &mut entries);
            }
        }
        SummedBlock {
            block,
            entries,
            damage,
        }
    }
}

/// Adds the entries of a leaf. What is wrong with one is found by who checks the tree.
fn add_entries(page: &PageBytes, collection_id: u32, sum: &mut EntrySum) {
    let Ok(node) = Node::parse(page) else {
        return;
    };
    for entry in node.entries() {
        match DocumentAddress::decode(entry.value) {
            Some((id, address)) if id == collection_id => sum.add(key_hash(entry.key, address)),
            _ => {}
        }
    }
}
