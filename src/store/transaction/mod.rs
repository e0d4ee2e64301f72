//! A transaction on a disk store: changed pages and records that nobody else sees until its commit.

use super::Transaction;
mod finish;
mod pages;
mod special;

use super::disk::DiskStore;
use super::documents::{check_document, duplicate_id, duplicate_key, read_document};
use super::indexes::{IndexKey, Sought, address_of, find_key};
use super::pager::{View, check_type};
use super::state::{CollectionState, State};
use crate::document::bson::{OwnedDocument, RawDocument, RawValue};
use crate::index::definition::ID_INDEX;
use crate::v2::btree::edit::{
    LiveTree, TreeEditor, TreePages, TreePagesMut, locate, neighbours, survey,
};
use crate::v2::page::{PageBytes, PageError, PageType};
use crate::v2::slotted::Room;
use crate::v2::{DocumentAddress, PageId, SharedPage};
use crate::{Code, Error, Result};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Changes that are not committed.
pub(super) struct DiskTransaction<'s> {
    pub(super) store: &'s DiskStore,
    pub(super) state: State,
    dirty: BTreeMap<PageId, Arc<SharedPage>>,
    /// Slotted pages that a collection (by number) has got, or given up.
    pub(super) slotted: BTreeMap<(usize, PageId), bool>,
    touched: BTreeSet<usize>,
    /// Documents that changed, by collection and normal form of `_id`.
    pub(super) changed_ids: Vec<(u32, Vec<u8>)>,
    /// A change failed half way; nothing may be committed.
    broken: bool,
}

impl TreePages for DiskTransaction<'_> {
    fn index_page(&self, id: PageId) -> Result<Arc<SharedPage>> {
        self.page(id, PageType::Index)
    }

    fn page_count(&self) -> u32 {
        self.state.page_count
    }
}

impl View for DiskTransaction<'_> {
    fn page(&self, id: PageId, page_type: PageType) -> Result<Arc<SharedPage>> {
        match self.dirty.get(&id) {
            Some(page) => {
                check_type(page, page_type).map_err(|error| self.damaged(id, error))?;
                Ok(Arc::clone(page))
            }
            None => View::page(self.store, id, page_type),
        }
    }

    fn damaged(&self, id: PageId, error: PageError) -> Error {
        self.store.damaged(id, error)
    }
}

/// The pages of one collection, from its free list and back to it.
struct Scope<'t, 's> {
    transaction: &'t mut DiskTransaction<'s>,
    collection: usize,
}

impl TreePages for Scope<'_, '_> {
    fn index_page(&self, id: PageId) -> Result<Arc<SharedPage>> {
        self.transaction.index_page(id)
    }

    fn page_count(&self) -> u32 {
        self.transaction.page_count()
    }
}

impl TreePagesMut for Scope<'_, '_> {
    fn put(&mut self, id: PageId, page: PageBytes) -> Result<()> {
        self.transaction.put(id, page);
        Ok(())
    }

    fn allocate(&mut self) -> Result<PageId> {
        self.transaction.allocate(self.collection)
    }

    fn free(&mut self, id: PageId) -> Result<()> {
        self.transaction.free_page(self.collection, id)
    }
}

impl<'s> DiskTransaction<'s> {
    pub(super) fn new(store: &'s DiskStore) -> Self {
        Self {
            state: store.state().clone(),
            store,
            dirty: BTreeMap::new(),
            slotted: BTreeMap::new(),
            touched: BTreeSet::new(),
            changed_ids: Vec::new(),
            broken: false,
        }
    }

    fn collection(&self, number: usize) -> Result<&CollectionState> {
        let found = self.state.collections.get(number);
        found
            .map(|collection| &**collection)
            .ok_or_else(|| Error::new(Code::Internal, "there is no such collection"))
    }

    fn collection_mut(&mut self, number: usize) -> Result<&mut CollectionState> {
        let found = self.state.collections.get_mut(number);
        found
            .map(Arc::make_mut)
            .ok_or_else(|| Error::new(Code::Internal, "there is no such collection"))
    }

    fn put(&mut self, id: PageId, page: PageBytes) {
        self.dirty.insert(id, Arc::new(SharedPage::new(page)));
    }

    /// Finds a collection that may be written to, and counts its trees and free pages once.
    fn writable(&mut self, name: &str) -> Result<usize> {
        let number = self
            .state
            .find(name)
            .ok_or_else(|| super::no_collection(name))?;
        if self.collection(number)?.free.is_some() {
            return Ok(number);
        }
        let collection = self.collection(number)?;
        let fixed = collection
            .indexes
            .iter()
            .find(|index| index.extractor.is_none() && index.special.is_none());
        if let Some(index) = fixed {
            let place = collection.place().in_index(&*index.record.name);
            return Err(Error::new(
                Code::StoreIndexReadOnly,
                "the collection has an index of a kind that the store cannot change",
            )
            .at(place)
            .hint("migrate again with --skip-index for this index, or read only"));
        }
        let mut trees = Vec::with_capacity(collection.indexes.len());
        let mut last_page = PageId(0);
        for index in &collection.indexes {
            let (tree, special, entries) = match index.special {
                None => {
                    let is_first = trees.is_empty();
                    let (root, ids) = (index.record.root_page, index.ids());
                    let tree = survey(self, root, ids, &mut |entry| {
                        if is_first {
                            last_page = last_page.max(address_of(entry)?.page);
                        }
                        Ok(())
                    })?;
                    let entries = tree.entry_count;
                    (Some(tree), None, entries)
                }
                Some(_) => {
                    let (special, entries) = self.survey_special(index)?;
                    (None, Some(special), entries)
                }
            };
            if entries != index.record.entry_count {
                let sentence = format!(
                    "the index has {entries} entries, but {} in its metadata",
                    index.record.entry_count
                );
                let place = collection.place().in_index(&*index.record.name);
                return Err(Error::new(Code::CatalogDamaged, sentence).at(place));
            }
            trees.push((tree, special));
        }
        let free = self.load_free_list(collection.options().free_list)?;
        let collection = self.collection_mut(number)?;
        for (index, (tree, special)) in collection.indexes.iter_mut().zip(trees) {
            index.tree = tree;
            index.special = special;
        }
        collection.free = Some(free);
        // What was written last, unless it went to a page that was used again.
        collection.room = Room::in_page(last_page);
        Ok(number)
    }

    /// The keys of a document, one per index.
    fn keys(&self, number: usize, document: RawDocument<'_>) -> Result<Vec<Option<IndexKey>>> {
        let collection = self.collection(number)?;
        let extractors = collection
            .indexes
            .iter()
            .map(|index| match &index.extractor {
                Some(extractor) => IndexKey::of_document(extractor, document),
                None => Ok(None),
            });
        extractors.collect()
    }

    /// Fails if a unique index has one of the keys for another document than the one at `own`.
    fn check_unique(
        &self,
        number: usize,
        keys: &[Option<IndexKey>],
        own: Option<DocumentAddress>,
        id: RawValue<'_>,
    ) -> Result<()> {
        let collection = self.collection(number)?;
        for (index, key) in collection.indexes.iter().zip(keys) {
            let (Some(key), Some(extractor), true) = (key, &index.extractor, index.record.unique)
            else {
                continue;
            };
            let found = find_key(self, index, extractor, key)?;
            if found.is_none() || found == own {
                continue;
            }
            let name = &collection.entry.name;
            return Err(match index.record.name == ID_INDEX {
                true => duplicate_id(name, id),
                false => duplicate_key(name, &index.record.name, id),
            });
        }
        Ok(())
    }

    /// Inserts or removes an entry; keys that are equal are counted once.
    fn change_entry(
        &mut self,
        number: usize,
        index_number: usize,
        key: &IndexKey,
        address: DocumentAddress,
        insert: bool,
    ) -> Result<()> {
        let collection = self.collection(number)?;
        let missing = || Error::new(Code::Internal, "there is no such index");
        let index = collection.indexes.get(index_number).ok_or_else(missing)?;
        let (ids, root) = (index.ids(), index.root());
        let extractor = index.extractor.clone().ok_or_else(missing)?;
        let mut sought = Sought::new(&*self, &extractor, key, Some(address));
        let position = locate(&*self, root, ids, &mut sought)?;
        let (before, mut at) = neighbours(&*self, ids, &position)?;
        if !insert {
            let entry = at.as_ref().and_then(|found| found.entry());
            let is_there = match entry {
                Some(entry) => {
                    crate::v2::btree::edit::EntryOrder::entry(&mut sought, &entry)?
                        == Ordering::Equal
                }
                None => false,
            };
            if !is_there {
                let sentence = "the index lacks the entry of a document";
                let place = collection.place().in_index(&*index.record.name);
                return Err(Error::new(Code::PageDamaged, sentence).at(place));
            }
            at = neighbours(&*self, ids, &position.after())?.1;
        }
        let mut has_equal = false;
        for neighbour in [before, at].iter().flatten() {
            if let Some(entry) = neighbour.entry() {
                has_equal |= sought.compare_keys(&entry)? == Ordering::Equal;
            }
        }
        let mut tree = self.take_tree(number, index_number)?;
        let mut scope = Scope {
            transaction: self,
            collection: number,
        };
        let mut editor = TreeEditor::new(&mut scope, &mut tree);
        if insert {
            let value = address.encode(ids.collection_id);
            editor.insert(&position, key.stored.borrow(), &value)?;
        } else {
            editor.remove(&position)?;
        }
        let index = self.collection_mut(number)?.indexes.get_mut(index_number);
        let index = index.ok_or_else(missing)?;
        index.tree = Some(tree);
        let unique = &mut index.statistics.unique_keys;
        match (has_equal, insert) {
            (true, _) => {}
            (false, true) => *unique += 1,
            (false, false) => *unique = unique.saturating_sub(1),
        }
        Ok(())
    }

    fn take_tree(&mut self, number: usize, index: usize) -> Result<LiveTree> {
        let index = self.collection_mut(number)?.indexes.get_mut(index);
        index
            .and_then(|index| index.tree.take())
            .ok_or_else(|| Error::new(Code::Internal, "a tree is changed that was not counted"))
    }

    /// Runs a change that must not be committed if it fails half way.
    fn whole<T>(&mut self, change: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let result = change(self);
        self.broken |= result.is_err();
        result
    }

    fn find_address(&self, number: usize, id: RawValue<'_>) -> Result<Option<DocumentAddress>> {
        super::disk::find_address(self, self.collection(number)?, id)
    }

    fn note(&mut self, number: usize, key: Option<&Option<IndexKey>>) -> Result<()> {
        self.touched.insert(number);
        let collection_id = self.collection(number)?.entry.collection_id;
        if let Some(Some(key)) = key {
            self.changed_ids.push((collection_id, key.normal.clone()));
        }
        Ok(())
    }
}

impl Transaction for DiskTransaction<'_> {
    fn find(&self, collection: &str, id: RawValue<'_>) -> Result<Option<Arc<OwnedDocument>>> {
        let number = self.state.find(collection);
        let number = number.ok_or_else(|| super::no_collection(collection))?;
        match self.find_address(number, id)? {
            None => Ok(None),
            Some(address) => {
                let bytes = read_document(self, address)?;
                Ok(Some(Arc::new(OwnedDocument::trusted(bytes))))
            }
        }
    }

    fn insert(&mut self, collection: &str, document: RawDocument<'_>) -> Result<()> {
        let id = check_document(document)?;
        let number = self.writable(collection)?;
        let keys = self.keys(number, document)?;
        self.check_unique(number, &keys, None, id)?;
        let special = self.special_entries(number, document)?;
        self.whole(|this| {
            let address = this.place(number, document.as_bytes())?;
            for (index, key) in keys.iter().enumerate() {
                if let Some(key) = key {
                    this.change_entry(number, index, key, address, true)?;
                }
            }
            this.change_special(number, &special, &[], address, true)?;
            this.collection_mut(number)?
                .count(document.as_bytes(), true);
            this.note(number, keys.first())
        })
    }

    fn update(&mut self, collection: &str, document: RawDocument<'_>) -> Result<bool> {
        let id = check_document(document)?;
        let number = self.writable(collection)?;
        let Some(address) = self.find_address(number, id)? else {
            return Ok(false);
        };
        let old = read_document(self, address)?;
        let old_keys = self.keys(number, RawDocument::trusted(&old))?;
        let keys = self.keys(number, document)?;
        self.check_unique(number, &keys, Some(address), id)?;
        let old_special = self.special_entries(number, RawDocument::trusted(&old))?;
        let special = self.special_entries(number, document)?;
        self.whole(|this| {
            let fits = this.fits_in_place(address, document.as_bytes())?;
            let same = |other| if fits { other } else { &[][..] };
            let stays = |index: usize| fits && old_keys.get(index) == keys.get(index);
            // Keys that were cut are compared through their documents: the entries go first.
            for (index, key) in old_keys.iter().enumerate() {
                if let (Some(key), false) = (key, stays(index)) {
                    this.change_entry(number, index, key, address, false)?;
                }
            }
            this.change_special(number, &old_special, same(&special), address, false)?;
            let new_address = this.replace(number, address, document.as_bytes(), fits)?;
            for (index, key) in keys.iter().enumerate() {
                if let (Some(key), false) = (key, stays(index)) {
                    this.change_entry(number, index, key, new_address, true)?;
                }
            }
            this.change_special(number, &special, same(&old_special), new_address, true)?;
            let collection = this.collection_mut(number)?;
            collection.count(&old, false);
            collection.count(document.as_bytes(), true);
            this.note(number, keys.first())
        })?;
        Ok(true)
    }

    fn delete(&mut self, collection: &str, id: RawValue<'_>) -> Result<bool> {
        let number = self.writable(collection)?;
        let Some(address) = self.find_address(number, id)? else {
            return Ok(false);
        };
        let old = read_document(self, address)?;
        let keys = self.keys(number, RawDocument::trusted(&old))?;
        let special = self.special_entries(number, RawDocument::trusted(&old))?;
        self.whole(|this| {
            for (index, key) in keys.iter().enumerate() {
                if let Some(key) = key {
                    this.change_entry(number, index, key, address, false)?;
                }
            }
            this.change_special(number, &special, &[], address, false)?;
            this.remove_slot(number, address)?;
            this.collection_mut(number)?.count(&old, false);
            this.note(number, keys.first())
        })?;
        Ok(true)
    }
}
