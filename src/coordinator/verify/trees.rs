//! Index pages read back: structure, order, uniqueness, and all entries.

use super::different;
use super::leaves::SummedBlock;
use crate::coordinator::extract::{key_extractor, text_extractor};
use crate::coordinator::indexes::{Built, BuiltIndex, BuiltTree, StagedKeys};
use crate::coordinator::plan::{Plan, PlannedCollection};
use crate::files::AlignedBuffer;
use crate::files::InputFile;
use crate::index::geo::GeoIndexChecker;
use crate::index::key::{KeyBuffer, StoredOrder, compare_alike, key_json};
use crate::index::sort::FullKeys;
use crate::index::text::{StoredLongTerms, TextIndexChecker};
use crate::index::{EntrySum, IndexKind};
use crate::v2::btree::{
    LeafEntry, StoredKey, StoredKeyRef, TreeChecker, TreeIds, TreeVisitor, Values,
};
use crate::v2::page::{ChecksumPolicy, PAGE_SIZE, PageBytes, PageError};
use crate::v2::page_file::PageFileReader;
use crate::v2::{DocumentAddress, PageId};
use crate::{Code, Error, Place, Result};
use crossbeam_channel::{Receiver, Sender};
use std::cmp::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

/// What text indexes are checked against beside their own pages as they come: the staged file
/// again, for the postings of each term and for long terms.
pub(super) struct TreeSources<'p> {
    file: &'p InputFile,
    pages: PageFileReader,
    /// By collection and index, in plan order; `None` for other indexes.
    long_terms: Vec<Vec<Option<StoredLongTerms>>>,
}

impl<'p> TreeSources<'p> {
    pub(super) fn new(plan: &Plan, file: &'p InputFile) -> Result<Self> {
        let pages = PageFileReader::open(file.clone(), ChecksumPolicy::Required)?;
        let long_terms = plan.collections.iter().map(|collection| {
            let indexes = collection.indexes.iter().map(|index| match index.kind {
                IndexKind::Text => {
                    let extractor = text_extractor(collection, index, plan.infer_types)?;
                    Ok(Some(StoredLongTerms::new(pages.clone(), extractor)))
                }
                _ => Ok(None),
            });
            indexes.collect()
        });
        Ok(Self {
            file,
            long_terms: long_terms.collect::<Result<_>>()?,
            pages,
        })
    }

    fn long_terms(&self, collection: usize, index: usize) -> Result<&StoredLongTerms> {
        let found = self.long_terms.get(collection);
        let found = found.and_then(|indexes| indexes.get(index)?.as_ref());
        found.ok_or_else(|| Error::new(Code::Internal, "a text index that is not planned"))
    }
}

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
    checker: Checker<'p>,
    built: &'p BuiltIndex,
}

enum Checker<'p> {
    Keys(Box<(TreeChecker, Entries)>),
    Terms(Box<TextIndexChecker<'p, PageFileReader>>),
    Points(Box<GeoIndexChecker>),
}

impl<'p> TreeThread<'p> {
    /// Goes on after the trees that are finished.
    pub(super) fn new(
        plan: &'p Plan,
        built: &'p Built,
        sources: &'p TreeSources<'p>,
        finished: Arc<Mutex<Vec<EntrySum>>>,
    ) -> Result<Self> {
        let mut trees = Vec::new();
        let mut next = super::first_tree_page(built);
        let collections = plan.collections.iter().zip(&built.collections);
        for (position, (planned, built)) in collections.enumerate() {
            for (number, index) in built.indexes.iter().enumerate() {
                let place = (position, number, next);
                next = PageId(next.0.saturating_add(index.tree.page_count()));
                trees.push(Tree {
                    collection: planned,
                    number,
                    end: next,
                    checker: Checker::new(plan, planned, index, sources, place)?,
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
            file: sources.file,
            trees: trees.into_iter(),
            current: None,
            finished,
            next,
        })
    }

    pub(super) fn run(
        mut self,
        blocks: &Receiver<SummedBlock>,
        recycle: &Sender<AlignedBuffer>,
    ) -> Result<()> {
        for SummedBlock {
            block,
            entries,
            mut damage,
        } in blocks
        {
            for (number, bytes) in (block.first.0..).zip(block.bytes.as_chunks::<PAGE_SIZE>().0) {
                let id = PageId(number);
                let damage = damage.take_if(|(damaged, _)| *damaged == id);
                self.page(id, bytes, damage.map(|(_, error)| error))?;
            }
            if let Some(tree) = &mut self.current
                && let Checker::Keys(keys) = &mut tree.checker
            {
                keys.1.sum.merge(entries);
            }
            // A reader that has ended needs no empty buffers.
            let _ = recycle.try_send(block.bytes);
        }
        self.finish_until(None)
    }

    fn page(&mut self, id: PageId, bytes: &PageBytes, damage: Option<PageError>) -> Result<()> {
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
        if let Some(damage) = damage {
            return Err(damage.at(self.file.path(), id));
        }
        let checked = match &mut tree.checker {
            Checker::Keys(keys) => keys.0.page(id, bytes, &mut keys.1),
            Checker::Terms(terms) => terms.page(id, bytes),
            Checker::Points(points) => points.page(id, bytes),
        };
        checked.map_err(|error| error.map_place(|place| tree.place(place, self.file)))
    }

    /// Ends trees whose pages have all come, until the one that has page `id`; without it, all.
    fn finish_until(&mut self, id: Option<PageId>) -> Result<()> {
        loop {
            match (&self.current, id) {
                (Some(tree), Some(id)) if id < tree.end => return Ok(()),
                _ => {}
            }
            if let Some(tree) = self.current.take() {
                let sum = tree.finish(self.file)?;
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

    /// Gives the sum of its entries.
    fn finish(self, file: &InputFile) -> Result<EntrySum> {
        let place = self.place(Place::default(), file);
        let (is_equal, sum) = self
            .checker
            .finish(&self.built.tree)
            .map_err(|error| error.at(place.clone()))?;
        if is_equal {
            return Ok(sum);
        }
        Err(different(file, "the tree is not the one that was built").at(place))
    }
}

impl<'p> Checker<'p> {
    /// For the index at a position of a collection at a position, whose pages begin at the last
    /// part of `place`.
    fn new(
        plan: &Plan,
        planned: &PlannedCollection,
        index: &BuiltIndex,
        sources: &'p TreeSources<'p>,
        (collection, number, first_page): (usize, usize, PageId),
    ) -> Result<Self> {
        let ids = TreeIds {
            index_id: u32::try_from(number + 1).unwrap_or(u32::MAX),
            collection_id: planned.id,
        };
        let missing = || Error::new(Code::Internal, "an index that is not planned");
        Ok(match &index.tree {
            BuiltTree::Keys { tree, .. } => {
                let definition = planned.indexes.get(number).ok_or_else(missing)?;
                let checker = TreeChecker::new(tree.shape(), ids, Values::Addresses)?;
                let extractor = key_extractor(planned, definition, plan.infer_types)?;
                let keys = StagedKeys::new(sources.pages.clone(), extractor);
                Self::Keys(Box::new((checker, Entries::new(planned.id, keys))))
            }
            BuiltTree::Terms { index, .. } => {
                let (pages, shape) = (&sources.pages, index.tree.shape());
                let long_terms = sources.long_terms(collection, number)?;
                let checker = TextIndexChecker::new(first_page, shape, ids, pages, long_terms)?;
                Self::Terms(Box::new(checker))
            }
            BuiltTree::Points(tree) => Self::Points(Box::new(GeoIndexChecker::new(*tree, ids))),
        })
    }

    /// Ends the check: whether what was found is what was built, and the sum of the entries.
    fn finish(self, built: &BuiltTree) -> Result<(bool, EntrySum)> {
        Ok(match (self, built) {
            (
                Self::Keys(keys),
                BuiltTree::Keys {
                    tree,
                    min_key,
                    max_key,
                },
            ) => {
                let (checker, entries) = *keys;
                // The checker has compared what metadata holds; here is the rest.
                let found = checker.finish()?;
                let is_equal = (found.key_bytes_total, &found.min_key, &found.max_key)
                    == (tree.key_bytes_total, &tree.min_key, &tree.max_key);
                let is_told = is_json_of(min_key, found.min_key.as_ref())
                    && is_json_of(max_key, found.max_key.as_ref());
                (is_equal && is_told, entries.sum)
            }
            (Self::Terms(checker), BuiltTree::Terms { index, .. }) => {
                let (found, sum) = checker.finish()?;
                (found == *index, sum)
            }
            (Self::Points(checker), BuiltTree::Points(tree)) => {
                let (found, sum) = checker.finish()?;
                (found == *tree, sum)
            }
            _ => (false, EntrySum::default()),
        })
    }
}

/// Whether a text is what index statistics say of a key, as far as its stored form tells: one that
/// was cut tells its beginning only.
fn is_json_of(text: &str, key: Option<&StoredKey>) -> bool {
    match key.map(|key| key_json(key.borrow())) {
        None => text.is_empty(),
        Some(Ok(json)) => json.is_none_or(|json| json == text),
        Some(Err(_)) => false,
    }
}

/// Compares keys, and takes the sums of entries.
struct Entries {
    collection_id: u32,
    keys: StagedKeys,
    sum: EntrySum,
    order: StoredOrder,
}

impl Entries {
    fn new(collection_id: u32, keys: StagedKeys) -> Self {
        Self {
            collection_id,
            keys,
            sum: EntrySum::default(),
            order: StoredOrder::default(),
        }
    }

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

    #[inline(always)]
    fn compare_at_once(&self, left: StoredKeyRef<'_>, right: StoredKeyRef<'_>) -> Option<Ordering> {
        compare_alike(left, right)
    }

    fn compare_whole(&mut self, left: LeafEntry<'_>, right: LeafEntry<'_>) -> Result<Ordering> {
        let (mut one, mut two) = (KeyBuffer::new(), KeyBuffer::new());
        self.keys.full_key(self.address(left)?, &mut one)?;
        self.keys.full_key(self.address(right)?, &mut two)?;
        Ok(one.normal().cmp(two.normal()))
    }

    /// They come in sums, a block's at a time.
    #[inline]
    fn entry(&mut self, _: LeafEntry<'_>) -> Result<()> {
        Ok(())
    }
}
