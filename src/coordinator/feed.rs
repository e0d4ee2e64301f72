//! Where the writer's batches come from: chunks of the snapshot that workers parse, or a source
//! whose documents a thread of its own reads.
//!
//! A source is read one collection after the other. The thread fills a batch while the writer is
//! at the one before, and waits with it until the writer takes it, so two are there at a time. The
//! last batch of a collection is given out when the source has said that the collection is whole. A
//! large document travels alone: nothing is read until it is written.

use super::dispatch::Dispatch;
use super::parse::{Batch, ParsedDocument};
use crate::document::ID_FIELD;
use crate::document::bson::RawValue;
use crate::hash::xxh3_128;
use crate::large::{KEPT_BUFFER, LARGE_DOCUMENT, prepare};
use crate::options::Options;
use crate::source::{DocumentSource, SourceDocument};
use crate::threads::start_scoped;
use crate::v1::pages::PageCopy;
use crate::v1::snapshot::Chunk;
use crate::{Code, Error, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::Scope;

/// Batches in the order in which they are written.
pub(super) enum Feed<'p> {
    /// Of the snapshot.
    Chunks(Dispatch<'p>),
    /// Of another source.
    Source(SourceFeed),
}

impl Feed<'_> {
    /// The batch whose turn it is.
    pub(super) fn next_batch(&mut self) -> Result<Batch> {
        match self {
            Self::Chunks(dispatch) => dispatch.next_batch(),
            Self::Source(feed) => feed.next_batch(),
        }
    }

    /// Takes a batch back when it has been written.
    pub(super) fn done(&mut self, batch: Batch, chunk: Chunk) {
        match self {
            Self::Chunks(dispatch) => dispatch.done(batch, chunk),
            Self::Source(feed) => feed.done(batch),
        }
    }
}

/// A source that is being read.
pub(super) type FedSource = dyn DocumentSource + Sync;

/// The taker's end of the thread that reads a source.
pub(super) struct SourceFeed {
    batches: Receiver<Result<Batch>>,
    buffers: Sender<Vec<u8>>,
    /// Says that a large batch is written.
    written: Sender<()>,
}

impl SourceFeed {
    /// Starts to read the collections at these positions of the source, in this order.
    pub(super) fn start<'scope, 'env: 'scope>(
        scope: &'scope Scope<'scope, 'env>,
        source: &'env FedSource,
        collections: impl IntoIterator<Item = usize>,
        options: &Options,
    ) -> Result<Self> {
        let collections: Vec<usize> = collections.into_iter().collect();
        let (sender, batches) = bounded(0);
        let (buffer_sender, buffers) = bounded(2);
        let (written_sender, written) = bounded(1);
        let filler = Filler {
            source,
            batch_size: options.batch_size as usize,
            // Two batches and what the source reads from stay within a share as that of parsing.
            most_bytes: usize::try_from(options.memory / 24).unwrap_or(usize::MAX),
            batches: sender,
            buffers,
            written,
            batch: Batch::default(),
        };
        start_scoped(scope, "source", move || filler.run(&collections))?;
        Ok(Self {
            batches,
            buffers: buffer_sender,
            written: written_sender,
        })
    }

    /// The next batch; [`Batch::is_last`] ends a collection.
    pub(super) fn next_batch(&mut self) -> Result<Batch> {
        self.batches.recv().unwrap_or_else(|_| {
            let sentence = "the thread that reads the source has ended early";
            Err(Error::new(Code::Internal, sentence))
        })
    }

    /// Takes a batch back.
    pub(super) fn done(&mut self, batch: Batch) {
        let is_large = is_large(&batch);
        if batch.bson.capacity() <= KEPT_BUFFER {
            // What the pool has no room for goes back to the allocator.
            let _ = self.buffers.try_send(batch.bson);
        } else {
            drop(batch);
        }
        if is_large {
            // The thread may have ended with its last batch.
            let _ = self.written.try_send(());
        }
    }
}

/// True for a batch of one large document.
fn is_large(batch: &Batch) -> bool {
    batch.documents.len() == 1 && batch.bson.len() > LARGE_DOCUMENT
}

/// Reads a source into batches.
struct Filler<'s> {
    source: &'s FedSource,
    /// Documents of a batch, at most.
    batch_size: usize,
    /// BSON after which a batch is full.
    most_bytes: usize,
    batches: Sender<Result<Batch>>,
    buffers: Receiver<Vec<u8>>,
    written: Receiver<()>,
    /// The open one.
    batch: Batch,
}

impl Filler<'_> {
    fn run(mut self, collections: &[usize]) {
        for collection in collections {
            let read = || self.collection(*collection);
            // A thread that is gone without a word would be waited for for ever.
            let read = catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
                let sentence = "the thread that reads the source has panicked";
                Err(Error::new(Code::Internal, sentence))
            });
            if let Err(error) = read {
                // Where nobody listens any more, the taker has failed, and says so itself.
                let _ = self.batches.send(Err(error));
                return;
            }
        }
    }

    fn collection(&mut self, collection: usize) -> Result<()> {
        let source = self.source;
        source.read(collection, &mut |document| {
            self.document(collection, document)
        })?;
        self.batch.is_last = true;
        self.send()
    }

    fn document(&mut self, collection: usize, found: SourceDocument<'_>) -> Result<()> {
        let is_large = found.document.as_bytes().len() > LARGE_DOCUMENT;
        let is_full = (is_large && !self.batch.documents.is_empty())
            || self.batch.documents.len() >= self.batch_size
            || self.batch.bson.len() >= self.most_bytes;
        if is_full {
            self.send()?;
        }
        let document = found.document;
        let problem = match document.get(ID_FIELD) {
            None => Some("the document has no _id"),
            Some(RawValue::Array(_) | RawValue::Document(_)) => {
                Some("the document's _id is an array or a document")
            }
            Some(_) => None,
        };
        if let Some(problem) = problem {
            return Err(Error::new(Code::BadDocument, problem)
                .at(self.source.place(collection, found.position))
                .hint("correct the document in the database and take another backup"));
        }
        let bson = document.as_bytes();
        if is_large {
            prepare(&mut self.batch.bson, bson.len());
        }
        self.batch.bson.extend_from_slice(bson);
        self.batch.text_bytes += found.source_bytes;
        self.batch.documents.push(ParsedDocument {
            end: self.batch.bson.len(),
            digest: xxh3_128(bson),
            id_hash: 0,
            generated_id: false,
            emptied_array_documents: 0,
            unknown_keys: 0,
            copy: PageCopy::default(),
        });
        if is_large {
            self.send()?;
            // A taker that has gone has failed, which shows with the next batch.
            let _ = self.written.recv();
        }
        Ok(())
    }

    fn send(&mut self) -> Result<()> {
        let mut bson = self.buffers.try_recv().unwrap_or_default();
        bson.clear();
        let next = Batch {
            bson,
            ..Batch::default()
        };
        let full = std::mem::replace(&mut self.batch, next);
        let gone = |_| Error::new(Code::Cancelled, "nobody takes the source's documents");
        self.batches.send(Ok(full)).map_err(gone)
    }
}
