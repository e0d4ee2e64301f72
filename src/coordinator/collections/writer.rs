//! The writer: documents to pages, in the order that the format fixes.

use crate::coordinator::bad_documents::{self, BadPlace};
use crate::coordinator::context::Context;
use crate::coordinator::feed::Feed;
use crate::coordinator::keys::KeyFeeder;
use crate::coordinator::parse::{Batch, places_of_id};
use crate::coordinator::plan::{Plan, PlannedCollection};
use crate::coordinator::quarantine::Quarantine;
use crate::coordinator::state::{
    CollectionsState, CurrentCollection, SourcePosition, State, Tally, WrittenCollection,
};
use crate::coordinator::work::WorkDir;
use crate::document::bson::RawDocument;
use crate::document::{ID_FIELD, ejson};
use crate::files::AppendWriter;
use crate::hash::xxh3_128;
use crate::large::KEPT_BUFFER;
use crate::v1::pages::{JoinFiles, is_superseded};
use crate::v1::wal::{Overlay, Replacement};
use crate::v2::data_file::{ClosedPage, CollectionWriter};
use crate::v2::page_file::PageFileWriter;
use crate::v2::slotted::MAX_SLOT_CONTENT;
use crate::{Code, Error, Place, Result};
use std::sync::atomic::Ordering;

/// Writes documents to pages, in the order that the format fixes.
pub(super) struct Writer<'p, 'o> {
    pub(super) plan: &'p Plan,
    pub(super) work: &'p WorkDir,
    /// LauraDB's unlisted pages, to recover documents from.
    pub(super) unlisted: Option<&'p JoinFiles>,
    pub(super) overlay: Option<&'o Overlay>,
    /// Offsets of the log records that documents of the snapshot have matched.
    pub(super) matched: Option<AppendWriter>,
    pub(super) data: PageFileWriter,
    pub(super) feeder: KeyFeeder,
    pub(super) dispatch: Feed<'p>,
    /// As of the last closed page.
    pub(super) state: CollectionsState,
    /// Of the current collection, as of the last document.
    pub(super) tally: Tally,
    pub(super) quarantine: Quarantine,
    /// A document from the write-ahead log.
    pub(super) document: Vec<u8>,
}

impl Writer<'_, '_> {
    pub(super) fn write_all(&mut self, context: &mut Context<'_, '_>) -> Result<()> {
        let plan = self.plan;
        for (position, collection) in plan
            .collections
            .iter()
            .enumerate()
            .skip(self.state.written.len())
        {
            self.feeder.begin(position, collection)?;
            let (mut pages, next) = self.begin(collection);
            let next = self.write_snapshot(context, collection, &mut pages, next)?;
            self.write_wal_only(context, collection, &mut pages, next)?;
            self.write_recovered(context, collection, &mut pages, next)?;
            let feeder = &mut self.feeder;
            let pages = pages.finish(&mut self.data, &mut |closed| feeder.page(closed))?;
            self.feeder.end(&mut self.data)?;
            self.state.written.push(WrittenCollection {
                pages,
                tally: self.tally,
            });
            self.state.current = None;
            context
                .counters()
                .collections
                .fetch_add(1, Ordering::Relaxed);
        }
        self.data.flush()
    }

    /// Where the collection goes on, or starts.
    fn begin(&mut self, collection: &PlannedCollection) -> (CollectionWriter, SourcePosition) {
        if let Some(CurrentCollection { written, next }) = self.state.current {
            self.tally = written.tally;
            return (CollectionWriter::resume(collection.id, written.pages), next);
        }
        let pages = CollectionWriter::new(collection.id, &self.data);
        self.tally = Tally::default();
        let written = WrittenCollection {
            pages: pages.pages(),
            tally: self.tally,
        };
        let next = SourcePosition::default();
        self.state.current = Some(CurrentCollection { written, next });
        (pages, next)
    }

    /// Makes everything up to the last closed page durable, and a checkpoint of it.
    fn checkpoint(&mut self, context: &mut Context<'_, '_>) -> Result<()> {
        self.feeder.ask_state(&mut self.data)?;
        self.data.sync()?;
        if let Some(matched) = &mut self.matched {
            matched.sync()?;
        }
        self.quarantine.sync()?;
        let keys = self.feeder.state()?;
        // Some of these files may have been made since the last one.
        self.work.sync()?;
        context.save(&State::Collections(CollectionsState {
            keys,
            ..self.state.clone()
        }))
    }

    /// Between batches: a checkpoint if one is due, and the end if that is asked for.
    fn pause(&mut self, context: &mut Context<'_, '_>) -> Result<()> {
        if context.wants_checkpoint() {
            self.checkpoint(context)?;
        }
        context.interrupt.check()
    }

    /// Writes the documents of the snapshot from `next` on; gives what comes after them.
    fn write_snapshot(
        &mut self,
        context: &mut Context<'_, '_>,
        collection: &PlannedCollection,
        pages: &mut CollectionWriter,
        next: SourcePosition,
    ) -> Result<SourcePosition> {
        let SourcePosition::Snapshot {
            chunk: first,
            documents: mut passed,
        } = next
        else {
            return Ok(next);
        };
        for (number, chunk) in collection.chunks.iter().enumerate().skip(first) {
            let mut documents = 0;
            loop {
                let batch = self.dispatch.next_batch()?;
                let at = SourcePosition::Snapshot {
                    chunk: number,
                    documents,
                };
                self.write_batch(context, collection, pages, &batch, at, passed)?;
                documents += batch.len() as u64;
                context.count(batch.text_bytes, batch.len() as u64);
                let is_last = batch.is_last;
                self.dispatch.done(batch, *chunk);
                self.pause(context)?;
                if is_last {
                    break;
                }
            }
            passed = 0;
        }
        Ok(SourcePosition::WalOnly { documents: 0 })
    }

    /// Writes a batch that begins at `at`, but for the first `passed` documents of its chunk.
    fn write_batch(
        &mut self,
        context: &Context<'_, '_>,
        collection: &PlannedCollection,
        pages: &mut CollectionWriter,
        batch: &Batch,
        at: SourcePosition,
        passed: u64,
    ) -> Result<()> {
        let SourcePosition::Snapshot { chunk, documents } = at else {
            return Ok(());
        };
        let mut bad = batch.bad.iter().peekable();
        let mut next = documents;
        for (number, (bson, parsed)) in batch.iter().enumerate() {
            while let Some(place) = bad.next_if(|bad| bad.before <= number) {
                self.put_bad(collection, *place, next >= passed)?;
                next += 1;
            }
            let documents = next;
            next += 1;
            if documents < passed {
                continue;
            }
            let at = SourcePosition::Snapshot { chunk, documents };
            match self.replacement(collection, bson, parsed.id_hash)? {
                None => self.insert(context, pages, bson, parsed.digest, at)?,
                Some(Replacement::Deleted { record }) => self.note_match(record)?,
                Some(Replacement::Document { record, .. }) => {
                    self.insert_from_wal(context, pages, record, at)?;
                    self.note_match(record)?;
                }
                Some(Replacement::AlreadyMatched) => {
                    self.put_duplicate(collection, bson, at)?;
                    continue;
                }
            }
            self.tally.generated_ids += u64::from(parsed.generated_id);
            self.tally.emptied_array_documents += u64::from(parsed.emptied_array_documents);
            self.tally.unknown_keys += u64::from(parsed.unknown_keys);
            parsed.copy.count(&mut self.tally.pages);
        }
        for place in bad {
            self.put_bad(collection, *place, next >= passed)?;
            next += 1;
        }
        Ok(())
    }

    /// A document that cannot be carried over, unless an interrupted run has passed it.
    fn put_bad(
        &mut self,
        collection: &PlannedCollection,
        bad: BadPlace,
        is_next: bool,
    ) -> Result<()> {
        if is_next {
            let grown = bad_documents::put(&mut self.quarantine, self.plan, collection, bad)?;
            self.tally.quarantined += 1;
            self.tally.quarantine_bytes += grown;
        }
        Ok(())
    }

    /// A document with an `_id` that the log touches and that an earlier one has. Which of them
    /// the log has replaced or deleted is decided: the first.
    fn put_duplicate(
        &mut self,
        collection: &PlannedCollection,
        bson: &[u8],
        at: SourcePosition,
    ) -> Result<()> {
        if !self.quarantine.is_allowed() {
            return Err(duplicate_id(self.plan, collection, bson));
        }
        let SourcePosition::Snapshot { chunk, documents } = at else {
            return Ok(());
        };
        let missing = || Error::new(Code::Internal, "a chunk that is not planned");
        let chunk = *collection.chunks.get(chunk).ok_or_else(missing)?;
        let id = RawDocument::trusted(bson).get(ID_FIELD);
        let id = id.map(ejson::display_id).unwrap_or_default();
        let quarantine = &mut self.quarantine;
        let grown =
            bad_documents::put_duplicate(quarantine, self.plan, collection, chunk, documents, &id)?;
        self.tally.quarantined += 1;
        self.tally.quarantine_bytes += grown;
        Ok(())
    }

    fn note_match(&mut self, record: u64) -> Result<()> {
        self.tally.matched += 1;
        match &mut self.matched {
            Some(matched) => matched.append(&record.to_le_bytes()),
            None => Ok(()),
        }
    }

    #[inline]
    fn replacement(
        &mut self,
        collection: &PlannedCollection,
        bson: &[u8],
        id_hash: u64,
    ) -> Result<Option<Replacement>> {
        let Some(overlay) = self.overlay else {
            return Ok(None);
        };
        let number = collection.overlay_number;
        if !overlay.may_contain(id_hash, number) {
            return Ok(None);
        }
        let Some(id) = RawDocument::trusted(bson).get(ID_FIELD) else {
            return Err(Error::new(Code::Internal, "a parsed document has no _id"));
        };
        overlay.take(number, id, id_hash)
    }

    /// Documents that only the write-ahead log has come after the snapshot's, by LSN.
    fn write_wal_only(
        &mut self,
        context: &mut Context<'_, '_>,
        collection: &PlannedCollection,
        pages: &mut CollectionWriter,
        next: SourcePosition,
    ) -> Result<()> {
        let (Some(overlay), SourcePosition::WalOnly { documents: passed }) = (self.overlay, next)
        else {
            return Ok(());
        };
        let records = overlay
            .remaining(collection.overlay_number)
            .enumerate()
            .skip(passed);
        for (documents, record) in records {
            self.insert_from_wal(
                context,
                pages,
                record,
                SourcePosition::WalOnly { documents },
            )?;
            self.tally.wal_only += 1;
            context.count(0, 1);
            if documents % WAL_BATCH == 0 {
                self.pause(context)?;
            }
        }
        Ok(())
    }

    /// Documents that only LauraDB's unlisted pages have come last, by page and slot. What the
    /// write-ahead log says of their `_id`s is newer, and written already.
    fn write_recovered(
        &mut self,
        context: &mut Context<'_, '_>,
        collection: &PlannedCollection,
        pages: &mut CollectionWriter,
        next: SourcePosition,
    ) -> Result<()> {
        let Some(unlisted) = self.unlisted else {
            return Ok(());
        };
        let passed = match next {
            SourcePosition::Recovered { documents } => documents,
            _ => 0,
        };
        let number = collection.overlay_number;
        let mut recovered = unlisted.recovered(number);
        let mut document = std::mem::take(&mut self.document);
        for documents in passed..recovered.count() {
            recovered.read(documents, &mut document)?;
            let at = SourcePosition::Recovered { documents };
            if is_superseded(self.overlay, number, &document)? {
                self.tally.pages.superseded += 1;
            } else {
                self.insert(context, pages, &document, xxh3_128(&document), at)?;
                self.tally.pages.recovered += 1;
            }
            context.count(0, 1);
            if documents % RECOVERED_BATCH == 0 {
                self.pause(context)?;
            }
        }
        self.document = document;
        Ok(())
    }

    fn insert_from_wal(
        &mut self,
        context: &Context<'_, '_>,
        pages: &mut CollectionWriter,
        record: u64,
        at: SourcePosition,
    ) -> Result<()> {
        let mut document = std::mem::take(&mut self.document);
        if let Some(overlay) = self.overlay {
            overlay.read_document(record, &mut document)?;
        }
        self.insert(context, pages, &document, xxh3_128(&document), at)?;
        if document.capacity() <= KEPT_BUFFER {
            self.document = document;
        }
        Ok(())
    }

    /// Writes one document, which comes from `at`. If that closes a page, the state that a
    /// checkpoint can go on from is now the one before this document.
    #[inline]
    fn insert(
        &mut self,
        context: &Context<'_, '_>,
        pages: &mut CollectionWriter,
        bson: &[u8],
        digest: u128,
        at: SourcePosition,
    ) -> Result<()> {
        let feeder = &mut self.feeder;
        let mut has_closed = false;
        let is_overflow = bson.len() > MAX_SLOT_CONTENT;
        if let Some(dry) = context.dry.as_ref().filter(|_| is_overflow) {
            let reads_again =
                dry.again.is_second() || feeder.reads_again(RawDocument::trusted(bson))?;
            self.data.keep(reads_again);
        }
        let mut on_closed = |closed: ClosedPage<'_>| {
            has_closed = true;
            feeder.page(closed)
        };
        let slot = pages.insert(&mut self.data, bson, &mut on_closed)?;
        if is_overflow {
            self.data.keep(false);
        }
        if has_closed {
            let written = WrittenCollection {
                pages: pages.pages(),
                tally: self.tally,
            };
            self.state.current = Some(CurrentCollection { written, next: at });
            if self.feeder.is_waiting() {
                self.feeder.flush(&mut self.data)?;
            }
        }
        if is_overflow {
            self.feeder.overflow(slot, RawDocument::trusted(bson))?;
        }
        self.tally.documents += 1;
        self.tally.bytes += bson.len() as u64;
        self.tally.digest += digest;
        if context.sample.chooses(RawDocument::trusted(bson)) {
            self.tally.sample_digest += digest;
        }
        Ok(())
    }
}

/// Recovered documents after which a checkpoint may be made.
const RECOVERED_BATCH: u64 = 1024;

/// Documents of the write-ahead log after which a checkpoint may be made.
const WAL_BATCH: usize = 1024;

/// The error for an `_id` that the snapshot has twice; looks up both places.
pub(in crate::coordinator) fn duplicate_id(
    plan: &Plan,
    collection: &PlannedCollection,
    bson: &[u8],
) -> Error {
    if let Some(backup) = &plan.backup {
        return backup.duplicate_id(collection.overlay_number as usize, bson);
    }
    let id = RawDocument::trusted(bson)
        .get(ID_FIELD)
        .map(ejson::display_id)
        .unwrap_or_default();
    let error = |sentence: String, place: Place| {
        Error::new(Code::DuplicateId, sentence)
            .at(place
                .in_collection(&collection.v1_name)
                .in_index("_id_")
                .with_id(&id))
            .hint("remove or rename one of the two documents in LauraDB and take a new backup")
    };
    let path = plan
        .snapshot
        .as_ref()
        .map(|file| file.path().to_path_buf())
        .unwrap_or_default();
    match places_of_id(plan, collection, bson).as_deref() {
        Ok([(first, first_offset), (second, second_offset), ..]) => error(
            format!(
                "documents {first} (byte {first_offset}) and {second} of the collection have the same _id"
            ),
            Place::offset(path, *second_offset),
        ),
        _ => error(
            "two documents of the collection have the same _id".to_owned(),
            Place::file(path),
        ),
    }
}
