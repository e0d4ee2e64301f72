//! Documents in memory: a v1 directory loaded, or nothing.

use super::documents::{check_document, duplicate_id, duplicate_key};
use super::indexes::{IndexKey, extractor_of};
use super::{
    Body, DocumentStore, StoreMode, Transaction, Visit, check_new, collection_exists,
    no_collection, no_index,
};
use crate::Result;
use crate::document::bson::{OwnedDocument, RawDocument, RawValue};
use crate::files::Dir;
use crate::index::IndexDefinition;
use crate::index::extract::KeyExtractor;
use crate::source::{DocumentSource, V1Options, V1Source};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

/// The normal form of an `_id` or of an index key, which compares bytewise.
type Normal = Vec<u8>;

/// A store in memory. What is written to it is gone with it: nothing goes to any file.
#[derive(Debug, Default)]
pub struct MemoryStore {
    collections: BTreeMap<String, Collection>,
}

#[derive(Debug)]
struct Collection {
    /// By `_id`.
    documents: BTreeMap<Normal, Arc<OwnedDocument>>,
    /// `_id_` first.
    indexes: Vec<Index>,
}

#[derive(Debug)]
struct Index {
    definition: IndexDefinition,
    /// `None` for text and geo indexes, which a memory store only describes.
    extractor: Option<KeyExtractor>,
    /// Key and `_id`.
    entries: BTreeSet<(Normal, Normal)>,
}

impl Collection {
    fn new(definitions: impl IntoIterator<Item = IndexDefinition>) -> Result<Self> {
        let all = std::iter::once(IndexDefinition::id_index()).chain(definitions);
        let indexes = all.map(|definition| {
            let extractor = match definition.kind.is_btree() {
                true => Some(extractor_of(&definition, Default::default())?),
                false => None,
            };
            Ok(Index {
                definition,
                extractor,
                entries: BTreeSet::new(),
            })
        });
        Ok(Self {
            documents: BTreeMap::new(),
            indexes: indexes.collect::<Result<_>>()?,
        })
    }

    /// The document's key in each index.
    fn keys(&self, document: RawDocument<'_>) -> Result<Vec<Option<Normal>>> {
        let keys = self.indexes.iter().map(|index| match &index.extractor {
            Some(extractor) => {
                let key = IndexKey::of_document(extractor, document)?;
                Ok(key.map(|key| key.normal))
            }
            None => Ok(None),
        });
        keys.collect()
    }

    /// The name of a unique index that has one of the keys for another document.
    fn taken(&self, keys: &[Option<Normal>], id: &Normal) -> Option<&str> {
        let unique = self.indexes.iter().zip(keys).skip(1);
        let mut unique = unique.filter(|(index, _)| index.definition.unique);
        let taken = unique.find(|(index, key)| {
            let Some(key) = key else { return false };
            let from = (key.clone(), Normal::new());
            let mut equal = index
                .entries
                .range(from..)
                .take_while(|(other, _)| other == key);
            equal.any(|(_, other)| other != id)
        });
        taken.map(|(index, _)| &*index.definition.name)
    }

    /// Puts a document in the place of the one with its `_id`, which it gives back.
    fn put(
        &mut self,
        id: Normal,
        document: Arc<OwnedDocument>,
    ) -> Result<Option<Arc<OwnedDocument>>> {
        let keys = self.keys(document.as_raw())?;
        let old = self.take(&id)?;
        for (index, key) in self.indexes.iter_mut().zip(keys) {
            index.entries.extend(key.map(|key| (key, id.clone())));
        }
        self.documents.insert(id, document);
        Ok(old)
    }

    fn take(&mut self, id: &Normal) -> Result<Option<Arc<OwnedDocument>>> {
        let Some(old) = self.documents.get(id).cloned() else {
            return Ok(None);
        };
        let keys = self.keys(old.as_raw())?;
        for (index, key) in self.indexes.iter_mut().zip(keys) {
            if let Some(key) = key {
                index.entries.remove(&(key, id.clone()));
            }
        }
        self.documents.remove(id);
        Ok(Some(old))
    }
}

fn normal_id(id: RawValue<'_>) -> Result<Normal> {
    IndexKey::of_values(&[id]).map(|key| key.normal)
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Loads a v1 directory: its snapshot with what its log changes.
    ///
    /// # Errors
    /// Those of [`V1Source::open`]; two documents have the same `_id`, or the same key in a unique
    /// index.
    pub fn load(dir: &Dir, options: &V1Options) -> Result<Self> {
        let source = V1Source::open(dir, options, &mut |_| Ok(()))?;
        Self::of_source(&source)
    }

    /// Loads any source of documents.
    ///
    /// # Errors
    /// The source cannot be read; as [`Self::load`].
    pub fn of_source(source: &dyn DocumentSource) -> Result<Self> {
        let mut store = Self::new();
        for (number, described) in source.collections().iter().enumerate() {
            let indexes = described
                .indexes
                .iter()
                .map(|index| index.definition.clone());
            let collection = Collection::new(indexes)?;
            store.collections.insert(described.name.clone(), collection);
            let mut transaction = MemoryTransaction::new(&mut store);
            source.read(number, &mut |found| {
                let inserted = transaction.insert(&described.name, found.document);
                transaction.undo.clear();
                inserted
            })?;
        }
        Ok(store)
    }

    fn collection(&self, name: &str) -> Result<&Collection> {
        self.collections
            .get(name)
            .ok_or_else(|| no_collection(name))
    }
}

/// What has to be put back if a transaction does not commit.
struct MemoryTransaction<'s> {
    store: &'s mut MemoryStore,
    /// Collection, `_id`, and the document that it had.
    undo: Vec<(String, Normal, Option<Arc<OwnedDocument>>)>,
}

impl<'s> MemoryTransaction<'s> {
    fn new(store: &'s mut MemoryStore) -> Self {
        Self {
            store,
            undo: Vec::new(),
        }
    }

    fn collection(&mut self, name: &str) -> Result<&mut Collection> {
        let collection = self.store.collections.get_mut(name);
        collection.ok_or_else(|| no_collection(name))
    }

    fn roll_back(self) -> Result<()> {
        for (collection, id, old) in self.undo.into_iter().rev() {
            if let Some(collection) = self.store.collections.get_mut(&collection) {
                match old {
                    Some(old) => drop(collection.put(id, old)?),
                    None => drop(collection.take(&id)?),
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, name: &str, document: RawDocument<'_>, id: Normal) -> Result<()> {
        let bytes = document.as_bytes().to_vec();
        let document = Arc::new(OwnedDocument::trusted(bytes));
        let old = self.collection(name)?.put(id.clone(), document)?;
        self.undo.push((name.to_owned(), id, old));
        Ok(())
    }
}

impl Transaction for MemoryTransaction<'_> {
    fn find(&self, collection: &str, id: RawValue<'_>) -> Result<Option<Arc<OwnedDocument>>> {
        self.store.find(collection, id)
    }

    fn insert(&mut self, collection: &str, document: RawDocument<'_>) -> Result<()> {
        let id = check_document(document)?;
        let normal = normal_id(id)?;
        let state = self.collection(collection)?;
        if state.documents.contains_key(&normal) {
            return Err(duplicate_id(collection, id));
        }
        let keys = state.keys(document)?;
        if let Some(index) = state.taken(&keys, &normal) {
            return Err(duplicate_key(collection, index, id));
        }
        self.put(collection, document, normal)
    }

    fn update(&mut self, collection: &str, document: RawDocument<'_>) -> Result<bool> {
        let id = check_document(document)?;
        let normal = normal_id(id)?;
        let state = self.collection(collection)?;
        if !state.documents.contains_key(&normal) {
            return Ok(false);
        }
        let keys = state.keys(document)?;
        if let Some(index) = state.taken(&keys, &normal) {
            return Err(duplicate_key(collection, index, id));
        }
        self.put(collection, document, normal)?;
        Ok(true)
    }

    fn delete(&mut self, collection: &str, id: RawValue<'_>) -> Result<bool> {
        let state = self.collection(collection)?;
        if matches!(id, RawValue::Array(_) | RawValue::Document(_)) {
            return Ok(false);
        }
        let normal = normal_id(id)?;
        let Some(old) = state.take(&normal)? else {
            return Ok(false);
        };
        self.undo.push((collection.to_owned(), normal, Some(old)));
        Ok(true)
    }
}

impl DocumentStore for MemoryStore {
    fn mode(&self) -> StoreMode {
        StoreMode::Memory
    }

    fn collections(&self) -> Vec<String> {
        self.collections.keys().cloned().collect()
    }

    fn indexes(&self, collection: &str) -> Result<Vec<IndexDefinition>> {
        let indexes = self.collection(collection)?.indexes.iter();
        Ok(indexes.map(|index| index.definition.clone()).collect())
    }

    fn count(&self, collection: &str) -> Result<u64> {
        Ok(self.collection(collection)?.documents.len() as u64)
    }

    fn find(&self, collection: &str, id: RawValue<'_>) -> Result<Option<Arc<OwnedDocument>>> {
        let collection = self.collection(collection)?;
        if matches!(id, RawValue::Array(_) | RawValue::Document(_)) {
            return Ok(None);
        }
        Ok(collection.documents.get(&normal_id(id)?).cloned())
    }

    fn scan(&self, collection: &str, visit: &mut Visit<'_>) -> Result<()> {
        for document in self.collection(collection)?.documents.values() {
            if visit(document.as_raw())?.is_break() {
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
        let state = self.collection(collection)?;
        let found = state
            .indexes
            .iter()
            .find(|found| found.definition.name == index && found.extractor.is_some());
        let found = found.ok_or_else(|| no_index(collection, index))?;
        let (lower, upper) = (normal_bound(bounds.0)?, normal_bound(bounds.1)?);
        let start = match &lower {
            Bound::Unbounded => Normal::new(),
            Bound::Included(key) | Bound::Excluded(key) => key.clone(),
        };
        for (key, id) in found.entries.range((start, Normal::new())..) {
            let is_before = matches!(&lower, Bound::Excluded(lower) if key == lower);
            let is_past = match &upper {
                Bound::Unbounded => false,
                Bound::Included(upper) => key > upper,
                Bound::Excluded(upper) => key >= upper,
            };
            if is_past {
                break;
            }
            let document = state.documents.get(id).filter(|_| !is_before);
            if let Some(document) = document
                && visit(document.as_raw())?.is_break()
            {
                break;
            }
        }
        Ok(())
    }

    fn create_collection(&mut self, name: &str, indexes: &[IndexDefinition]) -> Result<()> {
        check_new(name, indexes)?;
        if self.collections.contains_key(name) {
            return Err(collection_exists(name));
        }
        let mut sorted = indexes.to_vec();
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        let collection = Collection::new(sorted)?;
        self.collections.insert(name.to_owned(), collection);
        Ok(())
    }

    fn transaction(&mut self, body: &mut Body<'_>) -> Result<()> {
        let mut transaction = MemoryTransaction::new(self);
        let result = body(&mut transaction);
        if result.is_err() {
            transaction.roll_back()?;
        }
        result
    }

    fn checkpoint(&mut self) -> Result<()> {
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

fn normal_bound(bound: Bound<&[RawValue<'_>]>) -> Result<Bound<Normal>> {
    let normal = |values| IndexKey::of_values(values).map(|key| key.normal);
    Ok(match bound {
        Bound::Unbounded => Bound::Unbounded,
        Bound::Included(values) => Bound::Included(normal(values)?),
        Bound::Excluded(values) => Bound::Excluded(normal(values)?),
    })
}
