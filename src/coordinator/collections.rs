//! The collections phase: documents of snapshot and write-ahead log to pages, keys to sort runs.
//!
//! ```text
//!            tasks            batches, put in order          closed pages
//! dispatch ─────────→ workers ──────────────────────→ writer ────────────→ key stage
//!    ↑                  ↑ empty buffers │                │ ↑ empty buffers │
//!    └──────────────────└───────────────┴────────────────┘ └───────────────┘
//! ```
//!
//! The writer hands out tasks itself, so that what is between it and the workers stays within a
//! budget of bytes; a chunk larger than the budget travels alone.

use super::context::Context;
use super::keys::{KeyFeeder, KeyStage, SortedKeys};
use super::parse::{Batch, Parsed, Task, Worker, places_of_id};
use super::plan::{Plan, PlannedCollection};
use super::state::{SourcePosition, Tally, WrittenCollection};
use super::work::{STAGED_DATA, WorkDir};
use crate::document::bson::RawDocument;
use crate::document::{ID_FIELD, ejson};
use crate::progress::{Phase, Totals};
use crate::v1::wal::{Overlay, Replacement};
use crate::v2::data_file::{self, ClosedPage, CollectionWriter};
use crate::v2::page_file::PageFileWriter;
use crate::{Code, Error, Place, Result};
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use xxhash_rust::xxh3::xxh3_128;

/// What the phase leaves behind: staged documents, and their keys sorted into runs.
pub(super) struct Collected {
    pub(super) data: PageFileWriter,
    pub(super) collections: Vec<WrittenCollection>,
    pub(super) keys: SortedKeys,
}

/// Bytes of the buffer that data pages are written from.
const WRITE_BUFFER: usize = 1 << 20;

/// Runs the phase.
pub(super) fn run(
    context: &mut Context<'_, '_>,
    plan: &mut Plan,
    work: &WorkDir,
) -> Result<Collected> {
    context.tracker.start_phase(
        Phase::Collections,
        Totals {
            bytes: plan.text_bytes(),
            documents: plan.documents(),
            collections: plan.collections.len() as u64,
            ..Totals::default()
        },
        Totals::default(),
    );
    let overlay = plan.overlay.take();
    let plan = &*plan;
    let file = work.dir.create(STAGED_DATA, work.access)?;
    let data = data_file::create(file, WRITE_BUFFER)?;
    let (task_sender, tasks) = unbounded();
    let (parsed_sender, parsed) = unbounded();
    let (buffer_sender, buffers) = unbounded();
    std::thread::scope(|scope| {
        if let Some(file) = &plan.snapshot {
            let hash_ids = overlay.as_ref().is_some_and(|overlay| !overlay.is_empty());
            for _ in 0..context.options.jobs {
                let worker = Worker::new(
                    plan,
                    file,
                    hash_ids,
                    context.options.batch_size,
                    Receiver::clone(&buffers),
                    Sender::clone(&parsed_sender),
                );
                let tasks = Receiver::clone(&tasks);
                scope.spawn(move || worker.run(&tasks));
            }
        }
        drop((parsed_sender, tasks));
        let (feeder, stage) = KeyStage::start(scope, plan, context.options, work)?;
        let mut writer = Writer {
            plan,
            overlay: overlay.as_ref(),
            data,
            feeder,
            dispatch: Dispatch::new(
                plan,
                context.options.memory,
                task_sender,
                parsed,
                buffer_sender,
            ),
            written: Vec::new(),
            tally: Tally::default(),
            document: Vec::new(),
        };
        let outcome = writer.write_all(context);
        let Writer {
            data,
            feeder,
            written,
            dispatch,
            ..
        } = writer;
        drop(dispatch);
        // A key stage that has failed is why the writer could not feed it: its error comes first.
        let keys = stage.finish(feeder)?;
        outcome?;
        Ok(Collected {
            data,
            collections: written,
            keys,
        })
    })
}

/// Hands out tasks and puts the results in order.
struct Dispatch<'p> {
    /// All chunks of all collections, in order, not handed out yet.
    waiting: Box<dyn Iterator<Item = Task> + 'p>,
    next: Option<Task>,
    tasks: Sender<Task>,
    parsed: Receiver<Parsed>,
    buffers: Sender<Vec<u8>>,
    /// Results that came before their turn.
    early: HashMap<(u64, u32), Result<Batch>>,
    /// Text bytes of tasks that are not finished.
    in_flight: u64,
    budget: u64,
    /// The batch whose turn it is.
    turn: (u64, u32),
}

impl<'p> Dispatch<'p> {
    fn new(
        plan: &'p Plan,
        memory: u64,
        tasks: Sender<Task>,
        parsed: Receiver<Parsed>,
        buffers: Sender<Vec<u8>>,
    ) -> Self {
        let chunks = plan
            .collections
            .iter()
            .enumerate()
            .flat_map(|(collection, planned)| {
                planned.chunks.iter().map(move |chunk| (collection, *chunk))
            });
        let mut waiting = Box::new(
            (0..)
                .zip(chunks)
                .map(|(sequence, (collection, chunk))| Task {
                    sequence,
                    collection,
                    chunk,
                }),
        );
        let next = waiting.next();
        Self {
            waiting,
            next,
            tasks,
            parsed,
            buffers,
            early: HashMap::new(),
            in_flight: 0,
            // Text, its BSON and the buffers that wait come to about three times the text.
            budget: memory / 24,
            turn: (0, 0),
        }
    }

    /// Keeps the workers busy within the budget; one task is always under way.
    fn hand_out(&mut self) {
        while let Some(task) = self.next
            && (self.in_flight == 0 || self.in_flight + task.chunk.bytes <= self.budget)
        {
            self.in_flight += task.chunk.bytes;
            // Workers only go before their time when they have failed, which their results say.
            let _ = self.tasks.send(task);
            self.next = self.waiting.next();
        }
    }

    /// The batch whose turn it is.
    fn next_batch(&mut self) -> Result<Batch> {
        self.hand_out();
        loop {
            if let Some(batch) = self.early.remove(&self.turn) {
                let batch = batch?;
                self.turn = match batch.is_last {
                    true => (self.turn.0 + 1, 0),
                    false => (self.turn.0, self.turn.1 + 1),
                };
                return Ok(batch);
            }
            let Ok(parsed) = self.parsed.recv() else {
                return Err(Error::new(
                    Code::Internal,
                    "a worker thread has ended early",
                ));
            };
            self.early
                .insert((parsed.sequence, parsed.part), parsed.batch);
        }
    }

    /// Takes a batch back when it has been written.
    fn done(&mut self, batch: Batch, chunk_bytes: u64) {
        if batch.is_last {
            self.in_flight = self.in_flight.saturating_sub(chunk_bytes);
        }
        if batch.bson.capacity() <= LARGEST_KEPT_BUFFER {
            let _ = self.buffers.send(batch.bson);
        }
    }
}

/// Buffers beyond this went up for one large document and go back to the allocator, bytes.
const LARGEST_KEPT_BUFFER: usize = 4 << 20;

/// Writes documents to pages, in the order that the format fixes.
struct Writer<'p, 'o> {
    plan: &'p Plan,
    overlay: Option<&'o Overlay>,
    data: PageFileWriter,
    feeder: KeyFeeder,
    dispatch: Dispatch<'p>,
    written: Vec<WrittenCollection>,
    tally: Tally,
    /// A document from the write-ahead log.
    document: Vec<u8>,
}

impl Writer<'_, '_> {
    fn write_all(&mut self, context: &mut Context<'_, '_>) -> Result<()> {
        let plan = self.plan;
        for (position, collection) in plan.collections.iter().enumerate() {
            self.tally = Tally::default();
            self.feeder.begin(position, collection)?;
            let mut pages = CollectionWriter::new(collection.id, &self.data);
            self.write_snapshot(context, collection, &mut pages)?;
            self.write_wal_only(context, collection, &mut pages)?;
            let feeder = &mut self.feeder;
            let pages = pages.finish(&mut self.data, &mut |closed| feeder.page(closed))?;
            self.feeder.end()?;
            self.written.push(WrittenCollection {
                pages,
                tally: self.tally,
            });
            context
                .counters()
                .collections
                .fetch_add(1, Ordering::Relaxed);
        }
        self.data.flush()
    }

    fn write_snapshot(
        &mut self,
        context: &mut Context<'_, '_>,
        collection: &PlannedCollection,
        pages: &mut CollectionWriter,
    ) -> Result<()> {
        for chunk in &collection.chunks {
            loop {
                let batch = self.dispatch.next_batch()?;
                self.write_batch(context, collection, pages, &batch)?;
                let (is_last, bytes) = (batch.is_last, batch.text_bytes);
                let documents = batch.documents.len() as u64;
                self.dispatch.done(batch, chunk.bytes);
                context.advance(bytes, documents)?;
                if is_last {
                    break;
                }
            }
        }
        Ok(())
    }

    fn write_batch(
        &mut self,
        context: &Context<'_, '_>,
        collection: &PlannedCollection,
        pages: &mut CollectionWriter,
        batch: &Batch,
    ) -> Result<()> {
        self.tally.generated_ids += batch.generated_ids;
        self.tally.emptied_array_documents += batch.emptied_array_documents;
        self.tally.unknown_keys += batch.unknown_keys;
        for (bson, parsed) in batch.iter() {
            match self.replacement(collection, bson, parsed.id_hash)? {
                None => self.insert(context, pages, bson, parsed.digest)?,
                Some(Replacement::Deleted { .. }) => self.tally.matched += 1,
                Some(Replacement::Document { record, .. }) => {
                    self.tally.matched += 1;
                    self.insert_from_wal(context, pages, record)?;
                }
                Some(Replacement::AlreadyMatched) => {
                    return Err(duplicate_id(self.plan, collection, bson));
                }
            }
        }
        Ok(())
    }

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
        let Some((ID_FIELD, id)) = RawDocument::trusted(bson).elements().next() else {
            return Err(Error::new(
                Code::Internal,
                "a parsed document does not begin with _id",
            ));
        };
        overlay.take(number, id, id_hash)
    }

    /// Documents that only the write-ahead log has come after the snapshot's, by LSN.
    fn write_wal_only(
        &mut self,
        context: &mut Context<'_, '_>,
        collection: &PlannedCollection,
        pages: &mut CollectionWriter,
    ) -> Result<()> {
        let Some(overlay) = self.overlay else {
            return Ok(());
        };
        let records = overlay.remaining(collection.overlay_number);
        for record in records {
            self.tally.wal_only += 1;
            self.insert_from_wal(context, pages, record)?;
            context.advance(0, 1)?;
        }
        Ok(())
    }

    fn insert_from_wal(
        &mut self,
        context: &Context<'_, '_>,
        pages: &mut CollectionWriter,
        record: u64,
    ) -> Result<()> {
        let mut document = std::mem::take(&mut self.document);
        if let Some(overlay) = self.overlay {
            overlay.read_document(record, &mut document)?;
        }
        self.insert(context, pages, &document, xxh3_128(&document))?;
        if document.capacity() <= LARGEST_KEPT_BUFFER {
            self.document = document;
        }
        Ok(())
    }

    #[inline]
    fn insert(
        &mut self,
        context: &Context<'_, '_>,
        pages: &mut CollectionWriter,
        bson: &[u8],
        digest: u128,
    ) -> Result<()> {
        let feeder = &mut self.feeder;
        let mut on_closed = |closed: ClosedPage<'_>| feeder.page(closed);
        let slot = pages.insert(&mut self.data, bson, &mut on_closed)?;
        if bson.len() > crate::v2::slotted::MAX_SLOT_CONTENT {
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

/// The error for an `_id` that the snapshot has twice; looks up both places.
pub(super) fn duplicate_id(plan: &Plan, collection: &PlannedCollection, bson: &[u8]) -> Error {
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

impl SourcePosition {
    /// True where nothing of the collection has been read yet.
    pub(super) fn is_start(self) -> bool {
        self == Self::START
    }
}
