//! A v2 directory as a store that keeps documents in memory as well.

use super::config::StoreConfig;
use super::disk::DiskStore;
use super::{Body, DocumentStore, StoreMode, Visit};
use crate::Result;
use crate::document::bson::{OwnedDocument, RawValue};
use crate::files::{Dir, Gate};
use crate::index::IndexDefinition;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

/// A disk store with a cache of documents, bounded by `document_cache_bytes`.
///
/// What [`DocumentStore::find`] has found is kept, until it is changed or others push it out; a
/// commit drops what it has changed, so the cache never differs from the pages.
#[derive(Debug)]
pub struct HybridStore {
    disk: DiskStore,
}

impl HybridStore {
    /// Opens a v2 directory.
    ///
    /// # Errors
    /// As [`DiskStore::open`].
    pub fn open(directory: &Path, config: StoreConfig) -> Result<Self> {
        Self::open_in(Dir::open(directory, Gate::open())?, config)
    }

    /// Opens a directory that is open already.
    ///
    /// # Errors
    /// As [`DiskStore::open`].
    pub fn open_in(dir: Dir, config: StoreConfig) -> Result<Self> {
        let limit = config.document_cache_bytes;
        let disk = DiskStore::open_in(dir, config)?.with_documents(limit);
        Ok(Self { disk })
    }

    /// True if the document with this `_id` is in the cache.
    ///
    /// # Errors
    /// [`crate::Code::StoreCollection`].
    pub fn is_cached(&self, collection: &str, id: RawValue<'_>) -> Result<bool> {
        self.disk.is_cached(collection, id)
    }

    /// Bytes of documents in the cache.
    #[must_use]
    pub fn cached_bytes(&self) -> usize {
        self.disk.cached_bytes()
    }
}

impl DocumentStore for HybridStore {
    fn mode(&self) -> StoreMode {
        StoreMode::Hybrid
    }

    fn collections(&self) -> Vec<String> {
        self.disk.collections()
    }

    fn indexes(&self, collection: &str) -> Result<Vec<IndexDefinition>> {
        self.disk.indexes(collection)
    }

    fn count(&self, collection: &str) -> Result<u64> {
        self.disk.count(collection)
    }

    fn find(&self, collection: &str, id: RawValue<'_>) -> Result<Option<Arc<OwnedDocument>>> {
        self.disk.find(collection, id)
    }

    fn scan(&self, collection: &str, visit: &mut Visit<'_>) -> Result<()> {
        self.disk.scan(collection, visit)
    }

    fn range(
        &self,
        collection: &str,
        index: &str,
        bounds: (Bound<&[RawValue<'_>]>, Bound<&[RawValue<'_>]>),
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        self.disk.range(collection, index, bounds, visit)
    }

    fn create_collection(&mut self, name: &str, indexes: &[IndexDefinition]) -> Result<()> {
        self.disk.create_collection(name, indexes)
    }

    fn transaction(&mut self, body: &mut Body<'_>) -> Result<()> {
        self.disk.transaction(body)
    }

    fn checkpoint(&mut self) -> Result<()> {
        self.disk.checkpoint()
    }

    fn close(self: Box<Self>) -> Result<()> {
        Box::new(self.disk).close()
    }
}
