//! Parsing on worker threads: chunks of snapshot text become batches of BSON documents.

use super::plan::{Plan, PlannedCollection};
use crate::document::bson::RawDocument;
use crate::document::json::{Converted, DocumentContext, DocumentError, JsonConverter};
use crate::document::{ID_FIELD, order};
use crate::files::InputFile;
use crate::v1::snapshot::Chunk;
use crate::{Code, Error, Place, Result};
use crossbeam_channel::{Receiver, Sender};
use xxhash_rust::xxh3::xxh3_128;

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
}

/// Some documents of a chunk, in order.
#[derive(Debug)]
pub(super) struct Batch {
    /// No further batch of this chunk follows.
    pub(super) is_last: bool,
    pub(super) bson: Vec<u8>,
    pub(super) documents: Vec<ParsedDocument>,
    /// Snapshot text that this batch was made from, bytes.
    pub(super) text_bytes: u64,
    pub(super) generated_ids: u64,
    pub(super) emptied_array_documents: u64,
    pub(super) unknown_keys: u64,
}

impl Batch {
    fn count(&mut self, converted: &Converted) {
        self.generated_ids += u64::from(converted.generated_id);
        self.emptied_array_documents += converted.emptied_array_documents;
        self.unknown_keys += converted.unknown_keys;
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

/// What a worker needs to know.
pub(super) struct Worker<'p> {
    file: &'p InputFile,
    plan: &'p Plan,
    hash_ids: bool,
    batch_size: usize,
    converter: JsonConverter,
    text: Vec<u8>,
    /// Buffers that come back from the writer.
    buffers: Receiver<Vec<u8>>,
    results: Sender<Parsed>,
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

/// Buffers that a large document has grown beyond this are given back to the allocator, bytes.
const KEPT_BUFFER: usize = 4 << 20;

impl<'p> Worker<'p> {
    pub(super) fn new(
        plan: &'p Plan,
        file: &'p InputFile,
        hash_ids: bool,
        batch_size: u32,
        buffers: Receiver<Vec<u8>>,
        results: Sender<Parsed>,
    ) -> Self {
        Self {
            file,
            plan,
            hash_ids,
            batch_size: batch_size as usize,
            converter: JsonConverter::new(plan.infer_types),
            text: Vec::new(),
            buffers,
            results,
        }
    }

    /// Parses tasks until there are none, or nobody wants the results any more.
    pub(super) fn run(mut self, tasks: &Receiver<Task>) {
        for task in tasks {
            let mut part = 0;
            if let Err(error) = self.parse(task, &mut part) {
                // The writer has gone if this fails, and with it the need to tell.
                let _ = self.results.send(Parsed {
                    sequence: task.sequence,
                    part,
                    batch: Err(error),
                });
                return;
            }
            if self.text.capacity() > KEPT_BUFFER {
                self.text = Vec::new();
            }
        }
    }

    fn parse(&mut self, task: Task, part: &mut u32) -> Result<()> {
        let Some(collection) = self.plan.collections.get(task.collection) else {
            return Err(Error::new(Code::Internal, "a task names no collection"));
        };
        let chunk = task.chunk;
        let mut text = std::mem::take(&mut self.text);
        text.resize(usize::try_from(chunk.bytes).unwrap_or(usize::MAX), 0);
        self.file.read_exact_at(&mut text, chunk.offset)?;
        let sent = match simdutf8::basic::from_utf8(&text) {
            Ok(text) => self.parse_text(task, collection, text, part),
            Err(_) => Err(self.invalid_utf8(collection, chunk, &text)),
        };
        self.text = text;
        sent
    }

    fn parse_text(
        &mut self,
        task: Task,
        collection: &PlannedCollection,
        text: &str,
        part: &mut u32,
    ) -> Result<()> {
        let documents = u64::from(task.chunk.documents);
        let mut batch = self.empty_batch(task);
        let mut at = 0;
        let mut batch_start = 0;
        for number in 0..documents {
            at = skip_separator(text.as_bytes(), at);
            let ordinal = task.chunk.first_ordinal + number;
            let context = DocumentContext {
                collection: &collection.v1_name,
                ordinal,
            };
            let start = batch.bson.len();
            let rest = text.get(at..).unwrap_or_default();
            let converted = self.converter.convert(rest, &context, &mut batch.bson);
            let converted = converted.map_err(|error| {
                let offset = task.chunk.offset + at as u64;
                bad_document(self.file, collection, offset, &context, error)
            })?;
            at += converted.text_bytes;
            batch.count(&converted);
            self.describe(&mut batch, start, collection);
            batch.is_last = number + 1 == documents;
            if batch.is_last || batch.documents.len() >= self.batch_size {
                batch.text_bytes = (at - batch_start) as u64;
                batch_start = at;
                let next = self.empty_batch(task);
                let batch = Ok(std::mem::replace(&mut batch, next));
                // Nobody listens any more: the writer has failed, and says so itself.
                let _ = self.results.send(Parsed {
                    sequence: task.sequence,
                    part: *part,
                    batch,
                });
                *part += 1;
            }
        }
        Ok(())
    }

    fn empty_batch(&self, task: Task) -> Batch {
        let mut bson = self.buffers.try_recv().unwrap_or_default();
        bson.clear();
        Batch {
            is_last: false,
            bson,
            documents: Vec::with_capacity(self.batch_size.min(task.chunk.documents as usize)),
            text_bytes: 0,
            generated_ids: 0,
            emptied_array_documents: 0,
            unknown_keys: 0,
        }
    }

    fn describe(&self, batch: &mut Batch, start: usize, collection: &PlannedCollection) {
        let bson = batch.bson.get(start..).unwrap_or_default();
        let id = match self.hash_ids {
            true => RawDocument::trusted(bson).elements().next(),
            false => None,
        };
        let id_hash = match id {
            Some((ID_FIELD, id)) => order::hash_id(id, collection.overlay_number),
            _ => 0,
        };
        let digest = xxh3_128(bson);
        batch.documents.push(ParsedDocument {
            end: start + bson.len(),
            digest,
            id_hash,
        });
    }

    fn invalid_utf8(&self, collection: &PlannedCollection, chunk: Chunk, text: &[u8]) -> Error {
        let valid = std::str::from_utf8(text)
            .err()
            .map_or(0, |error| error.valid_up_to());
        Error::new(
            Code::BadDocument,
            "a document holds bytes that are not UTF-8",
        )
        .at(Place::offset(self.file.path(), chunk.offset + valid as u64)
            .in_collection(&collection.v1_name))
        .hint("take a new backup with LauraDB")
    }
}

/// Skips the comma and white space between documents; the structure scan has checked them.
fn skip_separator(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let skipped = rest
        .iter()
        .position(|byte| !matches!(byte, b',' | b' ' | b'\t' | b'\n' | b'\r'))
        .unwrap_or(rest.len());
    at + skipped
}

fn bad_document(
    file: &InputFile,
    collection: &PlannedCollection,
    start: u64,
    context: &DocumentContext<'_>,
    error: DocumentError,
) -> Error {
    let mut place =
        Place::offset(file.path(), start + error.offset as u64).in_collection(&collection.v1_name);
    place.id.clone_from(&error.id);
    Error::new(
        Code::BadDocument,
        format!(
            "document {} of the collection cannot be carried over: {}",
            context.ordinal, error.kind
        ),
    )
    .at(place)
    .hint("correct the document in LauraDB and take a new backup")
}

/// Looks a document's `_id` up in the snapshot again, for an error that has to name every place
/// where it stands. Reads the collection once more, which only a failing run does.
pub(super) fn places_of_id(
    plan: &Plan,
    collection: &PlannedCollection,
    wanted: &[u8],
) -> Result<Vec<(u64, u64)>> {
    let Some(file) = &plan.snapshot else {
        return Ok(Vec::new());
    };
    let wanted = RawDocument::trusted(wanted).get(ID_FIELD);
    let mut converter = JsonConverter::new(plan.infer_types);
    let mut places = Vec::new();
    let mut bson = Vec::new();
    for chunk in &collection.chunks {
        let mut bytes = vec![0; usize::try_from(chunk.bytes).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, chunk.offset)?;
        let text = simdutf8::basic::from_utf8(&bytes).unwrap_or_default();
        let mut at = 0;
        for ordinal in chunk.first_ordinal..chunk.first_ordinal + u64::from(chunk.documents) {
            at = skip_separator(text.as_bytes(), at);
            bson.clear();
            let context = DocumentContext {
                collection: &collection.v1_name,
                ordinal,
            };
            let Ok(converted) =
                converter.convert(text.get(at..).unwrap_or_default(), &context, &mut bson)
            else {
                return Ok(places);
            };
            let id = RawDocument::trusted(&bson).get(ID_FIELD);
            if let (Some(id), Some(wanted)) = (id, wanted)
                && order::same_id(id, wanted)
            {
                places.push((ordinal, chunk.offset + at as u64));
            }
            at += converted.text_bytes;
        }
    }
    Ok(places)
}
