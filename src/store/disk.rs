//! A v2 directory as a store.

use super::cache::Cache;
use super::config::StoreConfig;
use super::documents::{follow_chain, read_document};
use super::indexes::{IndexKey, Sought, address_of, find_key, no_key};
use super::log::{PageFile, PageKey};
use super::pager::{Pager, View};
use super::recovery::recover;
use super::state::{CollectionState, State};
use super::transaction::DiskTransaction;
use super::{Body, DocumentStore, StoreMode, Visit, check_new, collection_exists, no_collection};
use crate::document::bson::{OwnedDocument, RawDocument, RawValue};
use crate::files::{Dir, Gate};
use crate::index::IndexDefinition;
use crate::index::key::{StoredKeyRef, compare_stored};
use crate::layout;
use crate::v2::btree::edit::TreePages;
use crate::v2::btree::{LeafEntry, PageSource, TreeReader};
use crate::v2::catalog::CatalogEntry;
use crate::v2::metadata::MetadataReader;
use crate::v2::page::{ChecksumPolicy, PageBytes, PageError, PageType};
use crate::v2::slotted::{SlotContent, SlottedPage};
use crate::v2::{DocumentAddress, PageId, SharedPage};
use crate::version::{self, DirectoryVersion};
use crate::{Code, Error, Place, Result};
use rustix::fs::FlockOperation;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Collection id and normal form of `_id`.
type DocumentKey = (u32, Vec<u8>);
/// Pages that a scan hands to the reader at a time.
const RUN_PAGES: u32 = 64;

/// A v2 directory, open for reading and writing.
#[derive(Debug)]
pub struct DiskStore {
    pager: Pager,
    state: State,
    config: StoreConfig,
    documents: Cache<DocumentKey, Arc<OwnedDocument>>,
    /// By number of the collection: its slotted pages, once they were asked for.
    slotted: Mutex<HashMap<usize, Arc<BTreeSet<PageId>>>>,
}

impl TreePages for DiskStore {
    fn index_page(&self, id: PageId) -> Result<Arc<SharedPage>> {
        View::page(self, id, PageType::Index)
    }

    fn page_count(&self) -> u32 {
        self.state.page_count
    }
}

impl View for DiskStore {
    fn page(&self, id: PageId, page_type: PageType) -> Result<Arc<SharedPage>> {
        self.pager.read(id, page_type)
    }

    fn damaged(&self, id: PageId, error: PageError) -> Error {
        self.pager.file().damaged(id, error)
    }
}

impl PageSource for DiskStore {
    fn page(&self, id: PageId) -> Result<Box<PageBytes>> {
        Ok(Box::new(*self.index_page(id)?.bytes()))
    }

    fn page_count(&self) -> u32 {
        self.state.page_count
    }
}

/// Finds a document by its `_id`.
pub(super) fn find_address<V: View + ?Sized>(
    view: &V,
    collection: &CollectionState,
    id: RawValue<'_>,
) -> Result<Option<DocumentAddress>> {
    if matches!(id, RawValue::Array(_) | RawValue::Document(_)) {
        return Ok(None);
    }
    let key = IndexKey::of_values(&[id])?;
    let index = collection.indexes.first();
    let Some((index, extractor)) = index.and_then(|index| Some((index, index.extractor.as_ref()?)))
    else {
        let sentence = "the collection has no index of its _ids";
        return Err(Error::new(Code::CatalogDamaged, sentence).at(collection.place()));
    };
    find_key(view, index, extractor, &key).map_err(|error| located(error, collection))
}

fn located(error: Error, collection: &CollectionState) -> Error {
    error.map_place(|place| match place.collection {
        Some(_) => place,
        None => place.in_collection(&*collection.entry.name),
    })
}

impl DiskStore {
    /// Opens a v2 directory; replays its log if a crash has left one.
    ///
    /// # Errors
    /// [`Code::Locked`] while another process has it open; [`Code::StoreConfig`] for a directory of
    /// another format; [`Code::NeedsRecovery`], [`Code::StoreLogDamaged`], [`Code::PageDamaged`],
    /// [`Code::CatalogDamaged`]; a read or write fails.
    pub fn open(directory: &Path, config: StoreConfig) -> Result<Self> {
        Self::open_in(Dir::open(directory, Gate::open())?, config)
    }

    /// Opens a directory that is open already, whose gate every change passes.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_in(dir: Dir, config: StoreConfig) -> Result<Self> {
        config.check()?;
        lock(&dir)?;
        match version::detect(&dir)? {
            DirectoryVersion::V2(_) => {}
            DirectoryVersion::Publishing(_) => return Err(version::half_published(&dir)),
            DirectoryVersion::V21(_) => {
                let sentence = "the directory is in format 2.1, which is never written";
                return Err(Error::new(Code::StoreConfig, sentence).at(Place::file(dir.path())));
            }
            DirectoryVersion::V1 { .. } => {
                let sentence = "the directory is in format 1.0, no disk store";
                return Err(Error::new(Code::StoreConfig, sentence)
                    .at(Place::file(dir.path()))
                    .hint("migrate it first, or set auto_migrate"));
            }
        }
        let lsn = recover(&dir)?;
        let metadata = dir.open_file(layout::METADATA_FILE)?;
        let metadata = MetadataReader::open(metadata, ChecksumPolicy::Optional)?;
        let pager = Pager::open(dir, lsn, config.page_cache_bytes)?;
        let state = State::load(&metadata, pager.file_pages())?;
        Ok(Self {
            documents: Cache::new(0),
            slotted: Mutex::default(),
            pager,
            state,
            config,
        })
    }

    /// Keeps documents in memory, up to so many bytes.
    #[must_use]
    pub(super) fn with_documents(mut self, limit: usize) -> Self {
        self.documents = Cache::new(limit);
        self
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    fn collection(&self, name: &str) -> Result<(usize, &CollectionState)> {
        let number = self.state.find(name);
        let found =
            number.and_then(|number| Some((number, &**self.state.collections.get(number)?)));
        found.ok_or_else(|| no_collection(name))
    }

    /// True if the document with this `_id` is in the cache of documents.
    pub(super) fn is_cached(&self, collection: &str, id: RawValue<'_>) -> Result<bool> {
        let (_, state) = self.collection(collection)?;
        let key = (
            state.entry.collection_id,
            IndexKey::of_values(&[id])?.normal,
        );
        Ok(self.documents.get(&key).is_some())
    }

    /// Bytes of documents in the cache.
    pub(super) fn cached_bytes(&self) -> usize {
        self.documents.bytes()
    }

    fn begin(&self) -> DiskTransaction<'_> {
        DiskTransaction::new(self)
    }

    /// Makes a transaction durable and visible.
    fn commit(&mut self, pages: Vec<(PageKey, Box<PageBytes>)>, outcome: Outcome) -> Result<()> {
        if pages.is_empty() {
            return Ok(());
        }
        if self.pager.log.len() > self.config.checkpoint_bytes.saturating_mul(4) {
            // Checkpoints have failed for a while; what only the log has is in memory.
            self.pager.checkpoint()?;
        }
        self.pager.commit(pages)?;
        self.state = outcome.state;
        for key in outcome.changed_ids {
            self.documents.remove(&key);
        }
        let slotted = self
            .slotted
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        for ((number, page), is_there) in outcome.slotted {
            if let Some(pages) = slotted.get_mut(&number).map(Arc::make_mut) {
                match is_there {
                    true => pages.insert(page),
                    false => pages.remove(&page),
                };
            }
        }
        if self.pager.log.len() > self.config.checkpoint_bytes
            && let Err(error) = self.pager.checkpoint()
        {
            // The transaction is durable all the same.
            tracing::warn!("the checkpoint has failed and will be tried again: {error}");
        }
        Ok(())
    }

    /// A collection's slotted pages, in the order of the file.
    pub(super) fn slotted_pages(&self, number: usize) -> Result<Arc<BTreeSet<PageId>>> {
        let lock = || self.slotted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pages) = lock().get(&number) {
            return Ok(Arc::clone(pages));
        }
        let mut pages = BTreeSet::new();
        let collection = self.state.collections.get(number);
        if let Some((collection, index)) =
            collection.and_then(|collection| Some((collection, collection.indexes.first()?)))
        {
            let compare = order;
            let reader = TreeReader::new(self, index.root(), index.ids(), &compare);
            let mut read = || -> Result<()> {
                let mut scan = reader.scan()?;
                while let Some(entry) = scan.next()? {
                    pages.insert(address_of(&entry)?.page);
                }
                Ok(())
            };
            read().map_err(|error| located(error, collection))?;
        }
        let pages = Arc::new(pages);
        lock().insert(number, Arc::clone(&pages));
        Ok(pages)
    }

    /// Visits the documents of one page.
    fn visit_page(
        &self,
        page: PageId,
        bytes: &PageBytes,
        visit: &mut Visit<'_>,
    ) -> Result<ControlFlow<()>> {
        let slotted = SlottedPage::open(bytes).map_err(|error| self.damaged(page, error))?;
        let mut long = Vec::new();
        for slot in slotted.slots() {
            let (_, content) = slot.map_err(|error| self.damaged(page, error))?;
            let document = match content {
                SlotContent::Document(bytes) => bytes,
                SlotContent::Overflow(head) => {
                    long.clear();
                    follow_chain(self, head, &mut long)?;
                    &long
                }
            };
            if visit(RawDocument::trusted(document))?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Reads the runs of pages that lie side by side in the file at once.
    fn scan_prefetching(&self, pages: &BTreeSet<PageId>, visit: &mut Visit<'_>) -> Result<()> {
        let mut pages = pages.iter().copied().peekable();
        while let Some(first) = pages.next() {
            if self.pager.changed(first).is_some() || first.0 >= self.pager.file_pages() {
                let page = View::page(self, first, PageType::Data)?;
                if self.visit_page(first, page.bytes(), visit)?.is_break() {
                    return Ok(());
                }
                continue;
            }
            let mut count = 1;
            while count < RUN_PAGES
                && let Some(next) = pages.peek()
                && next.0 == first.0 + count
                && next.0 < self.pager.file_pages()
                && self.pager.changed(*next).is_none()
            {
                pages.next();
                count += 1;
            }
            let mut flow = ControlFlow::Continue(());
            self.pager
                .file()
                .scan(first, count, |page, page_type, bytes| {
                    if flow.is_break() {
                        return Ok(());
                    }
                    if page_type != PageType::Data {
                        let expected = PageType::Data;
                        let found = page_type as u8;
                        return Err(self.damaged(page, PageError::PageType { expected, found }));
                    }
                    flow = self.visit_page(page, bytes, visit)?;
                    Ok(())
                })?;
            if flow.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// What a finished transaction leaves besides its pages.
pub(super) struct Outcome {
    state: State,
    changed_ids: Vec<DocumentKey>,
    slotted: Vec<((usize, PageId), bool)>,
}

fn order(left: StoredKeyRef<'_>, right: StoredKeyRef<'_>) -> Result<Option<Ordering>> {
    compare_stored(left, right).map_err(|error| no_key(&error))
}

/// Locks the directory until its descriptor is closed.
fn lock(dir: &Dir) -> Result<()> {
    match rustix::fs::flock(dir.fd(), FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::new(
            Code::Locked,
            "the directory is open in another process",
        )
        .at(Place::file(dir.path()))
        .hint("close the other store, or wait for the migration to end")),
        Err(errno) => Err(
            Error::new(Code::LockUnsupported, "the directory cannot be locked")
                .at(Place::file(dir.path()))
                .because(std::io::Error::from(errno)),
        ),
    }
}

impl DocumentStore for DiskStore {
    fn mode(&self) -> StoreMode {
        StoreMode::Disk
    }

    fn collections(&self) -> Vec<String> {
        let active = self.state.collections.iter().filter(|c| c.entry.active);
        let mut names: Vec<String> = active.map(|c| c.entry.name.clone()).collect();
        names.sort();
        names
    }

    fn indexes(&self, collection: &str) -> Result<Vec<IndexDefinition>> {
        let (_, state) = self.collection(collection)?;
        let indexes = state.indexes.iter();
        Ok(indexes
            .filter_map(|index| index.definition.clone())
            .collect())
    }

    fn count(&self, collection: &str) -> Result<u64> {
        Ok(self.collection(collection)?.1.record.document_count)
    }

    fn find(&self, collection: &str, id: RawValue<'_>) -> Result<Option<Arc<OwnedDocument>>> {
        let (_, state) = self.collection(collection)?;
        if matches!(id, RawValue::Array(_) | RawValue::Document(_)) {
            return Ok(None);
        }
        let key = || -> Result<DocumentKey> {
            let key = IndexKey::of_values(&[id])?;
            Ok((state.entry.collection_id, key.normal))
        };
        let key = match self.documents.is_off() {
            true => None,
            false => Some(key()?),
        };
        if let Some(found) = key.as_ref().and_then(|key| self.documents.get(key)) {
            return Ok(Some(found));
        }
        let Some(address) = find_address(self, state, id)? else {
            return Ok(None);
        };
        let document = read_document(self, address).map_err(|error| located(error, state))?;
        let document = Arc::new(OwnedDocument::trusted(document));
        if let Some(key) = key {
            let bytes = document.as_bytes().len() + key.1.len();
            self.documents.put(key, Arc::clone(&document), bytes);
        }
        Ok(Some(document))
    }

    fn scan(&self, collection: &str, visit: &mut Visit<'_>) -> Result<()> {
        let (number, state) = self.collection(collection)?;
        let pages = self.slotted_pages(number)?;
        let in_collection = |error| located(error, state);
        if self.config.enable_prefetching {
            return self.scan_prefetching(&pages, visit).map_err(in_collection);
        }
        for id in pages.iter() {
            let page = View::page(self, *id, PageType::Data).map_err(in_collection)?;
            let flow = self.visit_page(*id, page.bytes(), visit);
            if flow.map_err(in_collection)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn range(
        &self,
        collection: &str,
        index: &str,
        bounds: (Bound<&[RawValue<'_>]>, Bound<&[RawValue<'_>]>),
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let (_, state) = self.collection(collection)?;
        let found = state
            .indexes
            .iter()
            .find(|found| found.record.name == index);
        let found = found.and_then(|index| Some((index, index.extractor.as_ref()?)));
        let Some((index, extractor)) = found else {
            return Err(super::no_index(collection, index));
        };
        let lower = key_bound(bounds.0)?;
        let upper = key_bound(bounds.1)?;
        let compare = order;
        let reader = TreeReader::new(self, index.root(), index.ids(), &compare);
        let in_collection = |error| located(error, state);
        let mut scan = reader
            .range(stored_bound(&lower), stored_bound(&upper))
            .map_err(in_collection)?;
        while let Some(entry) = scan.next().map_err(in_collection)? {
            // Entries that a cut key cannot tell from a bound are given as well.
            let is_within = |bound: &Bound<IndexKey>, outside: Ordering| -> Result<bool> {
                let (key, excluded) = match bound {
                    Bound::Unbounded => return Ok(true),
                    Bound::Included(key) => (key, false),
                    Bound::Excluded(key) => (key, true),
                };
                let order = Sought::new(self, extractor, key, None).compare_keys(&entry)?;
                Ok(order != outside && !(excluded && order == Ordering::Equal))
            };
            let ambiguous = entry.key.truncated;
            if ambiguous
                && !(is_within(&lower, Ordering::Less)? && is_within(&upper, Ordering::Greater)?)
            {
                continue;
            }
            let document = self.document_of(&entry).map_err(in_collection)?;
            if visit(RawDocument::trusted(&document))?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn create_collection(&mut self, name: &str, indexes: &[IndexDefinition]) -> Result<()> {
        check_new(name, indexes)?;
        if self.state.collections.iter().any(|c| c.entry.name == name) {
            return Err(collection_exists(name));
        }
        let mut state = self.state.clone();
        let collection_id = state.next_collection_id;
        if collection_id > u32::from(u16::MAX) {
            let sentence = "pages name their owner by 16 bits, and all ids that fit are used";
            return Err(Error::new(Code::LimitExceeded, sentence));
        }
        let entry = CatalogEntry {
            collection_id,
            name: name.to_owned(),
            metadata_page: PageId(0),
            active: true,
            system: false,
        };
        let collection = CollectionState::empty(entry, indexes, self.config.now_ns())?;
        state.collections.push(Arc::new(collection));
        state.next_collection_id += 1;
        let pages = state.lay_out()?;
        let pages = (0..).map(PageId).zip(pages).map(|(page, bytes)| {
            let file = PageFile::Metadata;
            (PageKey { file, page }, Box::new(bytes))
        });
        let outcome = Outcome {
            state,
            changed_ids: Vec::new(),
            slotted: Vec::new(),
        };
        self.commit(pages.collect(), outcome)
    }

    fn transaction(&mut self, body: &mut Body<'_>) -> Result<()> {
        let mut transaction = self.begin();
        body(&mut transaction)?;
        let pages = transaction.finish(self.config.now_ns())?;
        let outcome = Outcome {
            changed_ids: transaction.changed_ids,
            slotted: transaction.slotted.into_iter().collect(),
            state: transaction.state,
        };
        self.commit(pages, outcome)
    }

    fn checkpoint(&mut self) -> Result<()> {
        self.pager.checkpoint()
    }

    fn close(mut self: Box<Self>) -> Result<()> {
        self.pager.checkpoint()
    }
}

impl DiskStore {
    fn document_of(&self, entry: &LeafEntry<'_>) -> Result<Vec<u8>> {
        read_document(self, address_of(entry)?)
    }

    /// True once a failed fsync keeps the store from writing.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.pager.log.has_failed()
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.pager.dir().path()
    }
}

fn key_bound(bound: Bound<&[RawValue<'_>]>) -> Result<Bound<IndexKey>> {
    Ok(match bound {
        Bound::Unbounded => Bound::Unbounded,
        Bound::Included(values) => Bound::Included(IndexKey::of_values(values)?),
        Bound::Excluded(values) => Bound::Excluded(IndexKey::of_values(values)?),
    })
}

fn stored_bound(bound: &Bound<IndexKey>) -> Bound<StoredKeyRef<'_>> {
    match bound {
        Bound::Unbounded => Bound::Unbounded,
        Bound::Included(key) => Bound::Included(key.stored.borrow()),
        Bound::Excluded(key) => Bound::Excluded(key.stored.borrow()),
    }
}
