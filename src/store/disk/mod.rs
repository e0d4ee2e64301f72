//! A v2 directory as a store.

mod range;
mod scan;

use crate::document::bson::{OwnedDocument, RawValue};
use crate::files::{Dir, Gate};
use crate::index::IndexDefinition;
use crate::index::key::{StoredKeyRef, compare_stored};
use crate::layout;
use crate::store::cache::Cache;
use crate::store::config::StoreConfig;
use crate::store::documents::read_document;
use crate::store::indexes::{IndexKey, find_key, no_key};
use crate::store::lock;
use crate::store::log::{PageFile, PageKey};
use crate::store::pager::{Pager, View};
use crate::store::recovery::{self, recover};
use crate::store::state::{CollectionState, State};
use crate::store::transaction::DiskTransaction;
use crate::store::{
    Body, DocumentStore, StoreMode, Visit, check_new, collection_exists, no_collection,
};
use crate::v2::btree::PageSource;
use crate::v2::btree::edit::TreePages;
use crate::v2::catalog::CatalogEntry;
use crate::v2::metadata::MetadataReader;
use crate::v2::page::{ChecksumPolicy, PageBytes, PageError, PageType};
use crate::v2::page_file::PageFileReader;
use crate::v2::{DocumentAddress, PageId, SharedPage};
use crate::version::{self, DirectoryVersion};
use crate::{Code, Error, Place, Result};
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Collection id and normal form of `_id`.
type DocumentKey = (u32, Vec<u8>);

/// A v2 directory, open for reading and, but for format 2.1, writing.
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
pub(in crate::store) fn find_address<V: View + ?Sized>(
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
    /// Opens a v2 directory; replays its log if a crash has left one. A directory of format 2.1 is
    /// only read.
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
        let version = version::detect(&dir)?;
        if matches!(version, DirectoryVersion::V21(_)) {
            return Self::open_read_only(dir, config);
        }
        lock::exclusive(&dir)?;
        // What was there before the lock may have been on its way to something else.
        match version::detect(&dir)? {
            DirectoryVersion::V2(_) => {}
            DirectoryVersion::Publishing(_) => return Err(version::half_published(&dir)),
            DirectoryVersion::V21(_) | DirectoryVersion::V1 { .. } => {
                let sentence = "the directory is not in format 2.0, so it is no disk store";
                return Err(Error::new(Code::StoreConfig, sentence)
                    .at(Place::file(dir.path()))
                    .hint("migrate it first, or set auto_migrate"));
            }
        }
        let lsn = recover(&dir)?;
        let metadata = dir.open_file(layout::METADATA_FILE)?;
        let metadata = MetadataReader::open(metadata, ChecksumPolicy::Optional)?;
        let pager = Pager::open(dir, lsn, config.page_cache_bytes)?;
        Self::new(&metadata, pager, config)
    }

    /// Opens a directory without writing to it: what only its log has is read through the log.
    fn open_read_only(dir: Dir, config: StoreConfig) -> Result<Self> {
        lock::shared(&dir)?;
        let overlay = recovery::overlay(&dir)?;
        let policy = ChecksumPolicy::Optional;
        let metadata = dir.open_file(layout::METADATA_FILE)?;
        let metadata = match &overlay {
            None => PageFileReader::open(metadata, policy)?,
            Some(overlay) => PageFileReader::with_images(metadata, policy, overlay.metadata())?,
        };
        let metadata = MetadataReader::of_pages(metadata)?;
        let pager = Pager::open_read_only(dir, overlay.as_ref(), config.page_cache_bytes)?;
        Self::new(&metadata, pager, config)
    }

    fn new(metadata: &MetadataReader, pager: Pager, config: StoreConfig) -> Result<Self> {
        let state = State::load(metadata, pager.file_pages())?;
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
    pub(in crate::store) fn with_documents(mut self, limit: usize) -> Self {
        self.documents = Cache::new(limit);
        self
    }

    pub(in crate::store) fn state(&self) -> &State {
        &self.state
    }

    fn collection(&self, name: &str) -> Result<(usize, &CollectionState)> {
        let number = self.state.find(name);
        let found =
            number.and_then(|number| Some((number, &**self.state.collections.get(number)?)));
        found.ok_or_else(|| no_collection(name))
    }

    /// True if the document with this `_id` is in the cache of documents.
    pub(in crate::store) fn is_cached(&self, collection: &str, id: RawValue<'_>) -> Result<bool> {
        let (_, state) = self.collection(collection)?;
        let key = (
            state.entry.collection_id,
            IndexKey::of_values(&[id])?.normal,
        );
        Ok(self.documents.get(&key).is_some())
    }

    /// Bytes of documents in the cache.
    pub(in crate::store) fn cached_bytes(&self) -> usize {
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
        if self.pager.log_bytes() > self.config.checkpoint_bytes.saturating_mul(4) {
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
        if self.pager.log_bytes() > self.config.checkpoint_bytes
            && let Err(error) = self.pager.checkpoint()
        {
            // The transaction is durable all the same.
            tracing::warn!("the checkpoint has failed and will be tried again: {error}");
        }
        Ok(())
    }
}

/// What a finished transaction leaves besides its pages.
pub(in crate::store) struct Outcome {
    state: State,
    changed_ids: Vec<DocumentKey>,
    slotted: Vec<((usize, PageId), bool)>,
}

fn order(left: StoredKeyRef<'_>, right: StoredKeyRef<'_>) -> Result<Option<Ordering>> {
    compare_stored(left, right).map_err(|error| no_key(&error))
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
        self.scan_collection(collection, visit)
    }

    fn range(
        &self,
        collection: &str,
        index: &str,
        bounds: (Bound<&[RawValue<'_>]>, Bound<&[RawValue<'_>]>),
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        self.scan_index(collection, index, bounds, visit)
    }

    fn create_collection(&mut self, name: &str, indexes: &[IndexDefinition]) -> Result<()> {
        self.pager.check_writable()?;
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
        self.pager.check_writable()?;
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
    /// True for a directory of format 2.1: all writes are refused with [`Code::StoreReadOnly`].
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.pager.check_writable().is_err()
    }

    /// True once a failed fsync keeps the store from writing.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.pager.has_failed()
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.pager.dir().path()
    }
}
