//! Building a B+tree from sorted keys, with checkpoints in its middle.

use super::{BuiltIndex, BuiltTree, ENTRIES_AT_ONCE, separators};
use crate::coordinator::collections::duplicate_id;
use crate::coordinator::context::Context;
use crate::coordinator::dry_run::DryRun;
use crate::coordinator::duplicates::{Dropped, DuplicateLog};
use crate::coordinator::keys::SortedKeys;
use crate::coordinator::plan::{Plan, PlannedCollection};
use crate::coordinator::quarantine::Quarantine;
use crate::coordinator::state::{CurrentTree, IndexesState, State, WrittenCollection};
use crate::coordinator::work::WorkDir;
use crate::document::bson::RawDocument;
use crate::document::{ID_FIELD, ejson};
use crate::files::AppendWriter;
use crate::index::IndexDefinition;
use crate::index::definition::ID_INDEX;
use crate::index::extract::{Extraction, KeyExtractor};
use crate::index::key::{KeyBuffer, KeyError, key_json};
use crate::index::sort::{Entries, EntryBatch, FullKeys, MergePosition, SortedEntry};
use crate::problems::NAMED;
use crate::shell::quoted;
use crate::v2::DocumentAddress;
use crate::v2::btree::bulk::SPILL_LIMIT;
use crate::v2::btree::{BulkLoader, StoredKey, StoredKeyRef, TreeIds};
use crate::v2::data_file::DocumentReader;
use crate::v2::page_file::{PageFileReader, PageFileWriter};
use crate::{Code, Error, Place, Result};
use std::cell::Cell;
use std::sync::{Mutex, PoisonError};

/// One tree that is being built, with what a checkpoint in its middle has to say.
pub(super) struct TreeBuild<'t, 'a, 's> {
    pub(super) context: &'t mut Context<'a, 's>,
    pub(super) plan: &'t Plan,
    pub(super) planned: &'t PlannedCollection,
    pub(super) definition: &'t IndexDefinition,
    pub(super) staged: &'t StagedKeys,
    pub(super) ids: TreeIds,
    pub(super) work: &'t WorkDir,
    pub(super) keys: &'t mut SortedKeys,
    pub(super) written: &'t [WrittenCollection],
    pub(super) finished: &'t [BuiltIndex],
    pub(super) first_page: u32,
    pub(super) quarantine: &'t mut Quarantine,
    /// Where the duplicates of an `_id` go, if they do not fail the run.
    pub(super) duplicates: Option<&'t mut DuplicateLog>,
    /// Documents that are in the pages no more.
    pub(super) dropped: Option<&'t mut Dropped>,
    /// Documents with the key of another one that a dry run has passed over.
    pub(super) unique_duplicates: u64,
}

/// Where a merge was, and how many entries it had given until then.
struct Mark {
    position: Option<MergePosition>,
    merged: u64,
    duplicates: u64,
    /// The entry before.
    previous: DocumentAddress,
    /// Whether that, or one with its key, is in the tree.
    is_group_open: bool,
}

/// How far a tree has come.
struct Taken {
    /// Entries that were in the tree when it was gone on with.
    loaded: u64,
    /// Entries that the merge has given, those left out not counted.
    merged: u64,
    /// An entry with the key of the one before is in the tree: that one may be of a document that
    /// is gone.
    is_group_open: bool,
    /// The last entry that the tree has.
    previous: DocumentAddress,
    min_key: String,
    /// The last entry of the last batch that had any for the tree.
    max: (StoredKey, DocumentAddress),
}

impl Taken {
    fn new(current: Option<&CurrentTree>) -> Self {
        let previous = current.map(|current| current.previous).unwrap_or_default();
        Self {
            loaded: current.map_or(0, |current| current.bulk.entry_count()),
            merged: current.map_or(0, |current| current.merged),
            is_group_open: current.is_some_and(|current| current.is_group_open),
            previous,
            min_key: current
                .map(|current| current.min_key.clone())
                .unwrap_or_default(),
            max: (StoredKey::default(), previous),
        }
    }
}

type Loader<'l> = BulkLoader<'l, &'l mut PageFileWriter>;

impl TreeBuild<'_, '_, '_> {
    pub(super) fn run(
        mut self,
        data: &mut PageFileWriter,
        entries: &mut Entries<'_, '_>,
        current: Option<CurrentTree>,
    ) -> Result<BuiltTree> {
        let levels = Cell::new(usize::from(current.is_some()));
        let (work, tree) = (self.work.clone(), self.finished.len());
        let mut spill = || {
            levels.set(levels.get() + 1);
            work.append_to(&separators(tree, levels.get()), 0, SPILL_LIMIT)
        };
        let mut taken = Taken::new(current.as_ref());
        let mut mark = Mark {
            position: current.as_ref().map(|current| current.merge.clone()),
            merged: taken.merged,
            duplicates: self.duplicate_count(),
            previous: taken.previous,
            is_group_open: taken.is_group_open,
        };
        let mut loader = self.loader(data, current, &mut spill)?;
        let mut counted = taken.merged;
        while let Some(batch) = entries.next()? {
            self.take(batch, &mut loader, &mut taken)?;
            let merged = taken.merged;
            self.context.count(merged - counted, merged - counted);
            counted = merged;
            // From one mark to the next are more entries than a leaf holds, those left out not
            // counted.
            if let Some(position) = batch.mark()
                && merged - mark.merged >= ENTRIES_AT_ONCE
            {
                if self.context.wants_checkpoint() {
                    self.checkpoint(&mut loader, &mark, &taken.min_key)?;
                }
                mark = Mark {
                    position: position.cloned(),
                    merged,
                    duplicates: self.duplicate_count(),
                    previous: taken.previous,
                    is_group_open: taken.is_group_open,
                };
            }
            self.context.interrupt.check()?;
        }
        let min_key = taken.min_key;
        let max_key = match taken.merged {
            0 => String::new(),
            _ => self.key_json(taken.max.0.borrow(), taken.max.1)?,
        };
        let tree = loader.finish()?;
        Ok(BuiltTree::Keys {
            tree,
            min_key,
            max_key,
        })
    }

    /// Puts the entries of a batch into the tree, but for those that are there already and those of
    /// documents that are gone.
    fn take(
        &mut self,
        batch: &EntryBatch,
        loader: &mut Loader<'_>,
        taken: &mut Taken,
    ) -> Result<()> {
        let (is_unique, has_dropped) = (self.definition.unique, self.dropped.is_some());
        let (collection_id, loaded) = (self.ids.collection_id, taken.loaded);
        let (mut merged, mut previous) = (taken.merged, taken.previous);
        let mut is_group_open = taken.is_group_open;
        let mut last = None;
        for (position, entry) in batch.iter().enumerate() {
            is_group_open &= entry.same_key_as_previous;
            if has_dropped && self.is_dropped(entry.address)? {
                continue;
            }
            let is_same = is_group_open;
            is_group_open = true;
            if is_same && is_unique {
                self.note_duplicate(previous, batch, position)?;
                continue;
            }
            previous = entry.address;
            if merged >= loaded {
                let value = entry.address.encode(collection_id);
                loader.push(entry.stored, &value, is_same)?;
            }
            if merged == 0 {
                taken.min_key = self.key_json_at(batch, position)?;
            }
            merged += 1;
            last = Some(position);
        }
        if let Some(last) = last.and_then(|last| batch.get(last)) {
            taken.max = (last.stored.to_owned(), last.address);
        }
        (taken.merged, taken.previous) = (merged, previous);
        taken.is_group_open = is_group_open;
        Ok(())
    }

    /// The key of an entry of a batch, as index statistics have it.
    #[cold]
    fn key_json_at(&self, batch: &EntryBatch, position: usize) -> Result<String> {
        match batch.get(position) {
            Some(entry) => self.key_json(entry.stored, entry.address),
            None => Ok(String::new()),
        }
    }

    /// A key as index statistics have it.
    fn key_json(&self, key: StoredKeyRef<'_>, address: DocumentAddress) -> Result<String> {
        let unreadable = |error: KeyError| {
            Error::new(Code::Internal, "a sorted key cannot be read back").because(error)
        };
        if let Some(json) = key_json(key).map_err(unreadable)? {
            return Ok(json);
        }
        let mut whole = KeyBuffer::new();
        self.staged.full_key(address, &mut whole)?;
        Ok(whole.json().map_err(unreadable)?.unwrap_or_default())
    }

    fn loader<'l>(
        &self,
        data: &'l mut PageFileWriter,
        current: Option<CurrentTree>,
        spill: impl FnMut() -> Result<AppendWriter> + 'l,
    ) -> Result<Loader<'l>> {
        let Some(current) = current else {
            return Ok(BulkLoader::new(data, self.ids, SPILL_LIMIT, spill));
        };
        let bytes = current.bulk.spill_length();
        let file = self
            .work
            .append_to(&separators(self.finished.len(), 1), bytes, SPILL_LIMIT)?;
        BulkLoader::resume(data, self.ids, current.bulk, SPILL_LIMIT, file, spill)
    }

    /// A checkpoint as of the last closed leaf. The merge was at `mark` before that leaf's last
    /// entry, since it is older by more entries than a leaf holds. Keys that only are in memory
    /// have no such place; then the tree is begun anew.
    fn checkpoint(&mut self, loader: &mut Loader<'_>, mark: &Mark, min_key: &str) -> Result<()> {
        let current = match (&mark.position, loader.position()?) {
            (Some(position), Some(bulk)) if mark.merged > 0 => Some(CurrentTree {
                bulk,
                merge: position.clone(),
                merged: mark.merged,
                duplicates: mark.duplicates,
                previous: mark.previous,
                is_group_open: mark.is_group_open,
                min_key: min_key.to_owned(),
            }),
            _ => None,
        };
        loader.sink_mut().sync()?;
        if let Some(duplicates) = &mut self.duplicates {
            duplicates.sync()?;
        }
        self.quarantine.sync()?;
        self.work.sync()?;
        let state = IndexesState {
            written: self.written.to_vec(),
            finished: self.finished.to_vec(),
            page_count: self.first_page,
            keys: self.keys.state()?,
            current,
            quarantine: self.quarantine.state(),
            pending: 0,
        };
        self.context.save(&State::Indexes(state))
    }

    fn duplicate_count(&self) -> u64 {
        self.duplicates.as_ref().map_or(0, |log| log.count())
    }

    fn is_dropped(&mut self, address: DocumentAddress) -> Result<bool> {
        match &mut self.dropped {
            Some(dropped) => dropped.contains(address),
            None => Ok(false),
        }
    }

    /// A document, that of the entry at a position, with the key of `first` in a unique index: an
    /// error, unless it is an `_id` and there is room in quarantine.
    #[inline(never)]
    fn note_duplicate(
        &mut self,
        first: DocumentAddress,
        batch: &EntryBatch,
        position: usize,
    ) -> Result<()> {
        let missing = || Error::new(Code::Internal, "an entry that is not in its batch");
        let second = &batch.get(position).ok_or_else(missing)?;
        if let Some(dry) = self.context.dry.clone() {
            return self.pass_duplicate(&dry, first, second);
        }
        let Some(count) = self.duplicates.as_mut().map(|log| log.count()) else {
            return Err(self.duplicate_key(first, second));
        };
        if !self.quarantine.has_room(count + 1) {
            let error = self.duplicate_key(first, second);
            return Err(self.quarantine.too_many(self.plan, error));
        }
        if let Some(log) = &mut self.duplicates {
            log.push(second.address)?;
        }
        if count.is_multiple_of(ENTRIES_AT_ONCE) {
            self.context.interrupt.check()?;
        }
        Ok(())
    }

    /// A dry run goes on after a duplicate. Its first run has no pages to tell of it.
    fn pass_duplicate(
        &mut self,
        dry: &DryRun,
        first: DocumentAddress,
        second: &SortedEntry<'_>,
    ) -> Result<()> {
        if let Some(log) = &mut self.duplicates {
            dry.again.want(second.address.page);
            return log.push(second.address);
        }
        let is_named = self.unique_duplicates < NAMED as u64;
        self.unique_duplicates += 1;
        if is_named {
            dry.again.want(first.page);
            dry.again.want(second.address.page);
        }
        match (dry.again.is_second(), is_named) {
            (false, _) => Ok(()),
            (true, true) => dry.findings.note(self.duplicate_key(first, second)),
            (true, false) => {
                dry.findings.note_unnamed(Code::DuplicateKey);
                Ok(())
            }
        }
    }

    /// The error for two documents with one key in a unique index; names the key and both.
    fn duplicate_key(&self, first: DocumentAddress, second: &SortedEntry<'_>) -> Error {
        let staged = self.staged;
        let (one, two) = match (staged.document(first), staged.document(second.address)) {
            (Ok(one), Ok(two)) => (one, two),
            (Err(error), _) | (_, Err(error)) => return error,
        };
        let (index, collection) = (self.definition, self.planned);
        if index.name == ID_INDEX {
            return duplicate_id(self.plan, collection, &two);
        }
        let id = |document: &[u8]| {
            RawDocument::trusted(document)
                .get(ID_FIELD)
                .map(ejson::display_id)
                .unwrap_or_default()
        };
        let sentence = format!(
            "documents {} and {} have the same key {} in a unique index",
            id(&one),
            id(&two),
            second.stored,
        );
        Error::new(Code::DuplicateKey, sentence)
            .at(Place::default()
                .in_collection(&collection.v1_name)
                .in_index(&index.name))
            .hint(format!(
                "correct one of the documents in LauraDB, or leave the index out with \
                 --skip-index {}",
                quoted(&format!("{}/{}", collection.v1_name, index.name))
            ))
    }
}

/// Reads long keys again, from the staged documents.
pub(in crate::coordinator) struct StagedKeys {
    reader: PageFileReader,
    extractor: KeyExtractor,
    /// Whose turn it is to have a document in memory: the thread that merges, or the one that
    /// builds.
    turn: Mutex<()>,
}

impl StagedKeys {
    pub(in crate::coordinator) fn new(reader: PageFileReader, extractor: KeyExtractor) -> Self {
        Self {
            reader,
            extractor,
            turn: Mutex::new(()),
        }
    }

    fn document(&self, address: DocumentAddress) -> Result<Vec<u8>> {
        let mut reader = DocumentReader::new(&self.reader);
        // A duplicate that is gone still has its place among the sorted keys.
        reader.read_deleted(address).map(<[u8]>::to_vec)
    }
}

impl FullKeys for StagedKeys {
    fn full_key(&self, address: DocumentAddress, key: &mut KeyBuffer) -> Result<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reader = DocumentReader::new(&self.reader);
        let document = reader.read_deleted(address)?;
        match self
            .extractor
            .extract_whole(RawDocument::trusted(document), key)
        {
            Extraction::Key => Ok(()),
            _ => Err(Error::new(
                Code::VerifyFailed,
                "a document has no key where the index has an entry",
            )
            .at(Place::page(self.reader.path(), address.page.0).with_slot(address.slot.0))),
        }
    }
}
