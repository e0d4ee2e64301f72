//! Parsing on worker threads: chunks of snapshot text become batches of BSON documents.

use super::bad_documents::BadPlace;
use super::plan::{Plan, PlannedCollection};
use crate::document::bson::{RawDocument, RawValue};
use crate::document::json::{Converted, DocumentContext, JsonConverter};
use crate::document::{ID_FIELD, order};
use crate::files::InputFile;
use crate::hash::xxh3_128;
use crate::large::{KEPT_BUFFER, large_vec};
use crate::v1::pages::{Enricher, JoinFiles, PageCopy};
use crate::v1::snapshot::{BadDocument, Chunk, ChunkSink, ChunkWalker};
use crate::{Code, Error, Result};
use crossbeam_channel::{Receiver, Sender};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A chunk that a worker shall parse. Sequence numbers are dense and give the order of results.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    pub(super) sequence: u64,
    /// Position in the plan.
    pub(super) collection: usize,
    pub(super) chunk: Chunk,
}

/// One parsed document in a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct ParsedDocument {
    /// Where its BSON ends in the batch; it starts where the one before ends.
    pub(super) end: usize,
    /// XXH3-128 of its BSON.
    pub(super) digest: u128,
    /// Hash of its `_id`, if there is an overlay to look it up in.
    pub(super) id_hash: u64,
    pub(super) generated_id: bool,
    pub(super) emptied_array_documents: u32,
    pub(super) unknown_keys: u32,
    /// What LauraDB's unlisted pages have of it.
    pub(super) copy: PageCopy,
}

/// Some documents of a chunk, in order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// No further batch of this chunk follows.
    pub(super) is_last: bool,
    pub(super) bson: Vec<u8>,
    pub(super) documents: Vec<ParsedDocument>,
    /// Documents among them that cannot be carried over.
    pub(super) bad: Vec<BadPlace>,
    /// Snapshot text that this batch was made from, bytes.
    pub(super) text_bytes: u64,
}

impl Batch {
    /// Documents, good and bad.
    pub(super) fn len(&self) -> usize {
        self.documents.len() + self.bad.len()
    }

    /// The BSON of each document, with what is known of it.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &ParsedDocument)> {
        let starts = std::iter::once(0).chain(self.documents.iter().map(|document| document.end));
        starts.zip(&self.documents).map(|(start, document)| {
            (
                self.bson.get(start..document.end).unwrap_or_default(),
                document,
            )
        })
    }
}

/// What a worker made of a task, or of a part of it.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) sequence: u64,
    /// Which batch of its chunk, from 0.
    pub(super) part: u32,
    /// After an error nothing more comes of this task.
    pub(super) batch: Result<Batch>,
}

/// What a worker needs to know.
pub(super) struct Worker<'p> {
    pub(super) file: &'p InputFile,
    pub(super) plan: &'p Plan,
    /// LauraDB's unlisted pages, to take documents from.
    pub(super) unlisted: Option<&'p JoinFiles>,
    /// There is an overlay to look `_id`s up in.
    pub(super) hash_ids: bool,
    /// A bad document goes to quarantine instead of ending the run.
    pub(super) passes_bad: bool,
    /// Documents of a batch, at most.
    pub(super) batch_size: usize,
    /// Buffers that come back from the writer.
    pub(super) buffers: Receiver<Vec<u8>>,
    pub(super) results: Sender<Parsed>,
}

impl Worker<'_> {
    /// Parses tasks until there are none, or one fails.
    pub(super) fn run(self, tasks: &Receiver<Task>) {
        let mut walker = ChunkWalker::new(JsonConverter::new(self.plan.infer_types));
        let mut copies = self
            .unlisted
            .map(|files| files.enricher(self.plan.infer_types));
        for task in tasks {
            let mut batches = Batches::new(&self, task, copies.as_mut());
            let parsed = match self.plan.collections.get(task.collection) {
                Some(collection) => {
                    batches.collection = &collection.v1_name;
                    batches.overlay_number = collection.overlay_number;
                    let walk = || {
                        batches.begin()?;
                        walker.walk_into(self.file, &collection.v1_name, task.chunk, &mut batches)
                    };
                    // A thread that is gone without a word would be waited for for ever.
                    catch_unwind(AssertUnwindSafe(walk)).unwrap_or_else(|_| {
                        Err(Error::new(Code::Internal, "a parsing thread has panicked"))
                    })
                }
                None => Err(Error::new(Code::Internal, "a task names no collection")),
            };
            if let Err(error) = parsed {
                batches.send(Err(error));
                return;
            }
        }
    }
}

/// The batches that a task becomes.
struct Batches<'w, 'f> {
    worker: &'w Worker<'w>,
    task: Task,
    /// The name in the snapshot.
    collection: &'w str,
    overlay_number: u32,
    part: u32,
    /// Documents that are still to come.
    left: u32,

    /// File offset where the open batch begins.
    start: u64,
    batch: Batch,
    copies: Option<&'w mut Enricher<'f>>,
}

impl<'w, 'f> Batches<'w, 'f> {
    fn new(worker: &'w Worker<'_>, task: Task, copies: Option<&'w mut Enricher<'f>>) -> Self {
        Self {
            worker,
            task,
            collection: "",
            overlay_number: 0,
            part: 0,
            left: task.chunk.documents,
            start: task.chunk.offset,
            batch: Self::first(worker, task.chunk),
            copies,
        }
    }

    fn begin(&mut self) -> Result<()> {
        match &mut self.copies {
            Some(copies) => copies.seek(self.overlay_number, self.task.chunk.first_ordinal),
            None => Ok(()),
        }
    }

    /// Of a chunk that holds a large document, in memory that is given back.
    fn first(worker: &Worker<'_>, chunk: Chunk) -> Batch {
        if chunk.bytes <= KEPT_BUFFER as u64 {
            return Self::empty(worker, chunk.documents);
        }
        Self::filling(worker, chunk.documents, large_vec())
    }

    fn empty(worker: &Worker<'_>, documents: u32) -> Batch {
        let mut bson = worker.buffers.try_recv().unwrap_or_default();
        bson.clear();
        Self::filling(worker, documents, bson)
    }

    fn filling(worker: &Worker<'_>, documents: u32, bson: Vec<u8>) -> Batch {
        Batch {
            is_last: false,
            bson,
            documents: Vec::with_capacity(worker.batch_size.min(documents as usize)),
            bad: Vec::new(),
            text_bytes: 0,
        }
    }

    fn send(&mut self, batch: Result<Batch>) {
        let parsed = Parsed {
            sequence: self.task.sequence,
            part: self.part,
            batch,
        };
        // Where nobody listens any more, the writer has failed, and says so itself.
        let _ = self.worker.results.send(parsed);
        self.part += 1;
    }
}

impl ChunkSink for Batches<'_, '_> {
    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.batch.bson
    }

    #[inline]
    fn document(&mut self, start: usize, converted: &mut Converted, offset: u64) -> Result<()> {
        let copy = match &mut self.copies {
            Some(copies) => {
                let passed = u64::from(self.task.chunk.documents - self.left);
                let context = DocumentContext {
                    collection: self.collection,
                    ordinal: self.task.chunk.first_ordinal + passed,
                };
                copies.replace(&context, &mut self.batch.bson, start, converted)?
            }
            None => PageCopy::None,
        };
        let bson = self.batch.bson.get(start..).unwrap_or_default();
        let id = match self.worker.hash_ids {
            true => RawDocument::trusted(bson).get(ID_FIELD),
            false => None,
        };
        let id_hash = id.map_or(0, |id| order::hash_id(id, self.overlay_number));
        self.batch.documents.push(ParsedDocument {
            end: start + bson.len(),
            digest: xxh3_128(bson),
            id_hash,
            generated_id: converted.generated_id,
            emptied_array_documents: few(converted.emptied_array_documents),
            unknown_keys: few(converted.unknown_keys),
            copy,
        });
        self.passed(offset + converted.text_bytes as u64);
        Ok(())
    }

    fn bad_document(&mut self, bad: BadDocument) -> Result<()> {
        if !self.worker.passes_bad {
            return Err(bad.error);
        }
        self.batch.bad.push(BadPlace {
            before: self.batch.documents.len(),
            ordinal: bad.ordinal,
            offset: bad.offset,
            bytes: bad.bytes,
        });
        self.passed(bad.offset + bad.bytes);
        Ok(())
    }
}

impl Batches<'_, '_> {
    /// A document that ends at `end` is in the batch, which goes on its way when it is full.
    #[inline]
    fn passed(&mut self, end: u64) {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 || self.batch.len() >= self.worker.batch_size {
            let next = match self.left {
                0 => Batch::default(),
                left => Self::empty(self.worker, left),
            };
            let mut full = std::mem::replace(&mut self.batch, next);
            full.is_last = self.left == 0;
            full.text_bytes = end - self.start;
            self.start = end;
            self.send(Ok(full));
        }
    }
}

/// Counts within one document, which has at most 256 MiB of text.
fn few(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Looks a document's `_id` up in the snapshot again, for an error that has to name every place
/// where it stands: ordinals and file offsets. Reads the collection once more, which only a
/// failing run does.
pub(super) fn places_of_id(
    plan: &Plan,
    collection: &PlannedCollection,
    wanted: &[u8],
) -> Result<Vec<(u64, u64)>> {
    let Some(file) = &plan.snapshot else {
        return Ok(Vec::new());
    };
    let wanted = RawDocument::trusted(wanted).get(ID_FIELD);
    let mut walker = ChunkWalker::new(JsonConverter::new(plan.infer_types));
    let mut places = Places {
        wanted,
        ordinal: 0,
        found: Vec::new(),
        bson: Vec::new(),
    };
    for chunk in &collection.chunks {
        walker.walk_into(file, &collection.v1_name, *chunk, &mut places)?;
    }
    Ok(places.found)
}

/// Notes every document that has the wanted `_id`.
struct Places<'w> {
    wanted: Option<RawValue<'w>>,
    ordinal: u64,
    found: Vec<(u64, u64)>,
    bson: Vec<u8>,
}

impl ChunkSink for Places<'_> {
    fn buffer(&mut self) -> &mut Vec<u8> {
        self.bson.clear();
        &mut self.bson
    }

    fn document(&mut self, _: usize, _: &mut Converted, offset: u64) -> Result<()> {
        let id = RawDocument::trusted(&self.bson).get(ID_FIELD);
        if let (Some(id), Some(wanted)) = (id, self.wanted)
            && order::same_id(id, wanted)
        {
            self.found.push((self.ordinal, offset));
        }
        self.ordinal += 1;
        Ok(())
    }

    fn bad_document(&mut self, _: BadDocument) -> Result<()> {
        self.ordinal += 1;
        Ok(())
    }
}
