//! Stores of documents: what a program works on, whatever format its directory has.
//!
//! [`DocumentStore`] is implemented by [`MemoryStore`] (a v1 directory loaded, or nothing),
//! [`DiskStore`] (a v2 directory) and [`HybridStore`] (a v2 directory with a cache of documents);
//! [`open`] finds out which one a directory wants. Reads take `&self` and writes `&mut self`: one
//! writer or many readers, and the borrow checker sees to it.
//!
//! # Which durable fact decides the state of a v2 directory
//!
//! A transaction changes copies of pages in memory, those of `data.db` and those of the records in
//! `metadata.db` alike: documents, index entries, free lists, counts, roots, statistics.
//!
//! | instant | durable | after a crash |
//! |---|---|---|
//! | before the commit | nothing of the transaction | it has not happened |
//! | its images are written to `wal.log`, not fsynced | any part of them, no commit that counts without all | it has happened if all of it is there, else it has not; nobody was told |
//! | **the fsync of `wal.log` has returned** | images and commit record | it has happened |
//! | a checkpoint writes pages to their files | the log still has every page that is being written | all is replayed; torn pages are whole again |
//! | both files are fsynced | pages, and the same in the log | all is replayed, which changes nothing |
//! | **`wal.log` is replaced** by one checkpoint record | the pages | nothing to replay |
//!
//! So the log decides: what it has committed counts, whatever the files say. No page is written to
//! its file before its image is durable, and no image goes before its page is durable. A write to
//! the log that fails takes the transaction back; after an fsync that failed nothing can be said,
//! so the store refuses further writes until a checkpoint succeeds or it is opened again; so it does
//! after a log that could not be replaced. The log's grammar is in `log`.
//!
//! Pages that only the log has are kept in memory; a checkpoint comes when the log has grown over
//! `checkpoint_bytes`, and when the store is closed. A store that is dropped without
//! [`DocumentStore::close`] leaves its log behind, as a crash does.

mod cache;
mod config;
mod create;
mod disk;
mod documents;
mod hybrid;
mod indexes;
mod lock;
mod log;
mod memory;
mod open;
mod pager;
pub mod recovery;
mod state;
mod transaction;

/// The examples of the documentation are run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/configuration.md")]
mod configuration {}

pub use config::{ForceMode, StoreConfig};
pub use disk::DiskStore;
pub use hybrid::HybridStore;
pub use memory::MemoryStore;
pub use open::{open, open_with};

use crate::document::bson::{OwnedDocument, RawDocument, RawValue};
use crate::index::IndexDefinition;
use crate::{Code, Error, Place, Result};
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

/// Where a store keeps its documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreMode {
    /// In memory only.
    Memory,
    /// In a v2 directory.
    Disk,
    /// In a v2 directory, with a cache of documents.
    Hybrid,
}

/// Takes documents one by one; `Break` ends the reading.
pub type Visit<'a> = dyn FnMut(RawDocument<'_>) -> Result<ControlFlow<()>> + 'a;

/// What a transaction does, one operation after the other.
pub type Body<'a> = dyn FnMut(&mut dyn Transaction) -> Result<()> + 'a;

/// Operations that take effect together, or not at all.
///
/// An operation that is refused changes nothing, and the transaction can go on without it; one that
/// fails half way lets the commit fail.
pub trait Transaction {
    /// The document with this `_id`, as the transaction has left it.
    ///
    /// # Errors
    /// [`Code::StoreCollection`]; a page cannot be read or is damaged.
    fn find(&self, collection: &str, id: RawValue<'_>) -> Result<Option<Arc<OwnedDocument>>>;

    /// Adds a document.
    ///
    /// # Errors
    /// [`Code::StoreCollection`], [`Code::StoreDocument`], [`Code::StoreIndexReadOnly`];
    /// [`Code::DuplicateId`] and [`Code::DuplicateKey`] for a document that may not be there twice;
    /// a page cannot be read or is damaged.
    fn insert(&mut self, collection: &str, document: RawDocument<'_>) -> Result<()>;

    /// Replaces the document with the same `_id`; false if there is none.
    ///
    /// # Errors
    /// As [`Self::insert`].
    fn update(&mut self, collection: &str, document: RawDocument<'_>) -> Result<bool>;

    /// Removes the document with this `_id`; false if there is none.
    ///
    /// # Errors
    /// As [`Self::insert`].
    fn delete(&mut self, collection: &str, id: RawValue<'_>) -> Result<bool>;
}

/// Collections of documents with indexes.
pub trait DocumentStore: Send + Sync {
    /// Where the documents are.
    fn mode(&self) -> StoreMode;

    /// The names of the collections, in their order.
    fn collections(&self) -> Vec<String>;

    /// The indexes of a collection, `_id_` first. One that cannot be described is left out.
    ///
    /// # Errors
    /// [`Code::StoreCollection`].
    fn indexes(&self, collection: &str) -> Result<Vec<IndexDefinition>>;

    /// How many documents a collection has.
    ///
    /// # Errors
    /// [`Code::StoreCollection`].
    fn count(&self, collection: &str) -> Result<u64>;

    /// The document with this `_id`.
    ///
    /// # Errors
    /// [`Code::StoreCollection`]; a page cannot be read or is damaged.
    fn find(&self, collection: &str, id: RawValue<'_>) -> Result<Option<Arc<OwnedDocument>>>;

    /// Visits every document of a collection, in the order in which the store keeps them.
    ///
    /// # Errors
    /// As [`Self::find`]; those of the visitor.
    fn scan(&self, collection: &str, visit: &mut Visit<'_>) -> Result<()>;

    /// Visits the documents whose keys in an index lie between two bounds, in the order of the
    /// index. A bound has one value per field.
    ///
    /// # Errors
    /// [`Code::StoreIndex`] for an index that is not there, or not a B+tree; as [`Self::scan`].
    fn range(
        &self,
        collection: &str,
        index: &str,
        bounds: (Bound<&[RawValue<'_>]>, Bound<&[RawValue<'_>]>),
        visit: &mut Visit<'_>,
    ) -> Result<()>;

    /// Makes a collection, with these indexes besides `_id_`.
    ///
    /// # Errors
    /// [`Code::StoreCollection`] if it is there, [`Code::CollectionName`], [`Code::StoreIndex`] for
    /// indexes that the store cannot keep; a write fails.
    fn create_collection(&mut self, name: &str, indexes: &[IndexDefinition]) -> Result<()>;

    /// Runs operations that take effect together, durable when this returns; none does if `body`
    /// gives an error, which is passed on.
    ///
    /// # Errors
    /// Those of `body`; the commit fails.
    fn transaction(&mut self, body: &mut Body<'_>) -> Result<()>;

    /// Brings all files up to date and empties the log.
    ///
    /// # Errors
    /// A write or an fsync fails. Nothing is lost then.
    fn checkpoint(&mut self) -> Result<()>;

    /// Ends with a checkpoint.
    ///
    /// # Errors
    /// As [`Self::checkpoint`].
    fn close(self: Box<Self>) -> Result<()>;

    /// Adds a document, in a transaction of its own.
    ///
    /// # Errors
    /// As [`Transaction::insert`]; the commit fails.
    fn insert(&mut self, collection: &str, document: RawDocument<'_>) -> Result<()> {
        self.transaction(&mut |transaction| transaction.insert(collection, document))
    }

    /// Adds all of these documents or none.
    ///
    /// # Errors
    /// As [`Self::insert`].
    fn insert_many(&mut self, collection: &str, documents: &[RawDocument<'_>]) -> Result<()> {
        self.transaction(&mut |transaction| {
            let mut documents = documents.iter();
            documents.try_for_each(|document| transaction.insert(collection, *document))
        })
    }

    /// Replaces the document with the same `_id`; false if there is none.
    ///
    /// # Errors
    /// As [`Transaction::update`]; the commit fails.
    fn update(&mut self, collection: &str, document: RawDocument<'_>) -> Result<bool> {
        let mut found = false;
        self.transaction(&mut |transaction| {
            found = transaction.update(collection, document)?;
            Ok(())
        })?;
        Ok(found)
    }

    /// Removes the document with this `_id`; false if there is none.
    ///
    /// # Errors
    /// As [`Transaction::delete`]; the commit fails.
    fn delete(&mut self, collection: &str, id: RawValue<'_>) -> Result<bool> {
        let mut found = false;
        self.transaction(&mut |transaction| {
            found = transaction.delete(collection, id)?;
            Ok(())
        })?;
        Ok(found)
    }

    /// Visits the documents that have this key in an index.
    ///
    /// # Errors
    /// As [`Self::range`].
    fn lookup(
        &self,
        collection: &str,
        index: &str,
        key: &[RawValue<'_>],
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let bounds = (Bound::Included(key), Bound::Included(key));
        self.range(collection, index, bounds, visit)
    }

    /// The documents of a collection for which `predicate` holds.
    ///
    /// # Errors
    /// As [`Self::scan`].
    fn filter(
        &self,
        collection: &str,
        predicate: &mut dyn FnMut(RawDocument<'_>) -> bool,
    ) -> Result<Vec<OwnedDocument>> {
        let mut found = Vec::new();
        self.scan(collection, &mut |document| {
            if predicate(document) {
                found.push(OwnedDocument::trusted(document.as_bytes().to_vec()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }
}

fn no_collection(name: &str) -> Error {
    Error::new(Code::StoreCollection, "the store has no such collection")
        .at(Place::default().in_collection(name))
        .hint("create the collection first")
}

fn collection_exists(name: &str) -> Error {
    Error::new(
        Code::StoreCollection,
        "the store has this collection already",
    )
    .at(Place::default().in_collection(name))
}

fn no_index(collection: &str, name: &str) -> Error {
    let place = Place::default().in_collection(collection).in_index(name);
    Error::new(
        Code::StoreIndex,
        "the collection has no such index, or one without an order of keys",
    )
    .at(place)
}

/// Checks the definitions of a new collection's indexes.
fn check_new(name: &str, indexes: &[IndexDefinition]) -> Result<()> {
    crate::v1::names::check_name(name)
        .map_err(|problem| crate::v1::names::name_error(name, problem, Place::default()))?;
    for (at, index) in indexes.iter().enumerate() {
        let twice = indexes
            .iter()
            .skip(at + 1)
            .any(|other| other.name == index.name);
        if twice || index.name == crate::index::definition::ID_INDEX || index.name.is_empty() {
            let sentence = "an index needs a name of its own, other than that of the default index";
            let place = Place::default().in_collection(name);
            return Err(Error::new(Code::StoreIndex, sentence).at(place.in_index(&*index.name)));
        }
    }
    Ok(())
}
