//! Index pages read back: structure, order, uniqueness, and all entries.

use super::{Block, EntrySum, different};
use crate::coordinator::indexes::{Built, BuiltIndex, StagedKeys};
use crate::coordinator::keys::extractor;
use crate::coordinator::plan::{Plan, PlannedCollection};
use crate::files::InputFile;
use crate::index::key::{KeyBuffer, StoredOrder};
use crate::index::sort::FullKeys;
use crate::v2::btree::{LeafEntry, StoredKeyRef, TreeChecker, TreeIds, TreeVisitor, Values};
use crate::v2::page::{self, ChecksumPolicy, PAGE_SIZE, PageBytes, PageType};
use crate::v2::page_file::PageFileReader;
use crate::v2::{DocumentAddress, PageId};
use crate::{Code, Error, Place, Result};
use crossbeam_channel::{Receiver, Sender};
use std::cmp::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

/// Checks all trees, one after the other, on a thread of its own.
pub(super) struct TreeThread<'p> {
    file: &'p InputFile,
    trees: std::vec::IntoIter<Tree<'p>>,
    current: Option<Tree<'p>>,
    /// The entries of finished trees, in plan order, for whoever makes checkpoints.
    finished: Arc<Mutex<Vec<EntrySum>>>,
    /// The page that must come next.
    next: PageId,
}

/// One tree that is being checked.
struct Tree<'p> {
    collection: &'p PlannedCollection,
    /// Position in the collection's indexes.
    number: usize,
    end: PageId,
    checker: TreeChecker,
    entries: Entries,
    built: &'p BuiltIndex,
}

impl<'p> TreeThread<'p> {
    /// Goes on after the trees that are finished.
    pub(super) fn new(
        plan: &'p Plan,
        built: &'p Built,
        file: &'p InputFile,
        finished: Arc<Mutex<Vec<EntrySum>>>,
    ) -> Result<Self> {
        let mut trees = Vec::new();
        let mut next = super::first_tree_page(built);
        for (planned, built) in plan.collections.iter().zip(&built.collections) {
            for (number, (definition, index)) in
                planned.indexes.iter().zip(&built.indexes).enumerate()
            {
                let ids = TreeIds {
                    index_id: u32::try_from(number + 1).unwrap_or(u32::MAX),
                    collection_id: planned.id,
                };
                next = PageId(next.0 + index.tree.page_count);
                let reader = PageFileReader::open(file.clone(), ChecksumPolicy::Required)?;
                trees.push(Tree {
                    collection: planned,
                    number,
                    end: next,
                    checker: TreeChecker::new(index.tree.shape(), ids, Values::Addresses)?,
                    entries: Entries {
                        collection_id: planned.id,
                        keys: StagedKeys {
                            reader,
                            extractor: extractor(
                                definition,
                                planned.infer_types_of(definition, plan.infer_types),
                            )?,
                        },
                        sum: EntrySum::default(),
                        order: StoredOrder::default(),
                    },
                    built: index,
                });
            }
        }
        let passed = finished
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len();
        let passed = trees.drain(..passed.min(trees.len())).next_back();
        let next = passed.map_or(super::first_tree_page(built), |tree| tree.end);
        Ok(Self {
            file,
            trees: trees.into_iter(),
            current: None,
            finished,
            next,
        })
    }

    pub(super) fn run(mut self, blocks: &Receiver<Block>, recycle: &Sender<Vec<u8>>) -> Result<()> {
        for block in blocks {
            for (number, bytes) in (block.first.0..).zip(block.bytes.as_chunks::<PAGE_SIZE>().0) {
                self.page(PageId(number), bytes)?;
            }
            // A reader that has ended needs no empty buffers.
            let _ = recycle.try_send(block.bytes);
        }
        self.finish_until(None)
    }

    fn page(&mut self, id: PageId, bytes: &PageBytes) -> Result<()> {
        if id != self.next {
            return Err(different(self.file, "index pages are missing"));
        }
        self.next = PageId(id.0 + 1);
        self.finish_until(Some(id))?;
        let Some(tree) = &mut self.current else {
            return Err(different(
                self.file,
                format!("page {id} belongs to no index"),
            ));
        };
        page::verify(bytes, id, PageType::Index, ChecksumPolicy::Required)
            .map_err(|error| error.at(self.file.path(), id))?;
        tree.checker
            .page(id, bytes, &mut tree.entries)
            .map_err(|error| error.map_place(|place| tree.place(place, self.file)))
    }

    /// Ends trees whose pages have all come, until the one that has page `id`; without it, all.
    fn finish_until(&mut self, id: Option<PageId>) -> Result<()> {
        loop {
            match (&self.current, id) {
                (Some(tree), Some(id)) if id < tree.end => return Ok(()),
                _ => {}
            }
            if let Some(tree) = self.current.take() {
                let sum = tree.entries.sum;
                tree.finish(self.file)?;
                self.finished
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(sum);
            }
            self.current = self.trees.next();
            if self.current.is_none() {
                return Ok(());
            }
        }
    }
}

impl Tree<'_> {
    fn place(&self, place: Place, file: &InputFile) -> Place {
        let index = self.collection.indexes.get(self.number);
        let place = Place {
            file: Some(file.path().to_path_buf()),
            ..place
        };
        place
            .in_collection(&self.collection.name)
            .in_index(index.map_or("", |index| index.name.as_str()))
    }

    fn finish(self, file: &InputFile) -> Result<()> {
        let place = self.place(Place::default(), file);
        let found = self
            .checker
            .finish()
            .map_err(|error| error.at(place.clone()))?;
        // The checker has compared what metadata holds; here is the rest of what was built.
        let built = &self.built.tree;
        if (found.key_bytes_total, &found.min_key, &found.max_key)
            != (built.key_bytes_total, &built.min_key, &built.max_key)
        {
            return Err(different(file, "the tree is not the one that was built").at(place));
        }
        Ok(())
    }
}

/// Compares keys, and sums up entries.
struct Entries {
    collection_id: u32,
    keys: StagedKeys,
    sum: EntrySum,
    order: StoredOrder,
}

impl Entries {
    #[inline]
    fn address(&self, entry: LeafEntry<'_>) -> Result<DocumentAddress> {
        match DocumentAddress::decode(entry.value) {
            Some((collection_id, address)) if collection_id == self.collection_id => Ok(address),
            _ => Err(Error::new(
                Code::VerifyFailed,
                "an entry's value is no document's address",
            )),
        }
    }
}

impl TreeVisitor for Entries {
    #[inline]
    fn compare(
        &mut self,
        left: StoredKeyRef<'_>,
        right: StoredKeyRef<'_>,
    ) -> Result<Option<Ordering>> {
        self.order.compare(left, right).map_err(|error| {
            Error::new(Code::VerifyFailed, "an entry's key does not decode").because(error)
        })
    }

    fn compare_whole(&mut self, left: LeafEntry<'_>, right: LeafEntry<'_>) -> Result<Ordering> {
        let (mut one, mut two) = (KeyBuffer::new(), KeyBuffer::new());
        self.keys.full_key(self.address(left)?, &mut one)?;
        self.keys.full_key(self.address(right)?, &mut two)?;
        Ok(one.normal().cmp(two.normal()))
    }

    #[inline]
    fn entry(&mut self, entry: LeafEntry<'_>) -> Result<()> {
        let address = self.address(entry)?;
        self.sum.add(entry.key, address);
        Ok(())
    }
}
