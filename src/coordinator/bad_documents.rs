//! Documents of the snapshot that cannot be carried over, looked up again where they stand.
//!
//! The parsing workers only say where a bad document is. So what waits between them and the writer
//! stays small however many there are, and the reason is found where it is written down.

use super::plan::{Plan, PlannedCollection};
use super::quarantine::Quarantine;
use crate::document::json::{Converted, JsonConverter};
use crate::v1::snapshot::{BadDocument, Chunk, ChunkSink, ChunkWalker};
use crate::{Code, Error, Place, Result};

/// Where a bad document is.
#[derive(Clone, Copy, Debug)]
pub(super) struct BadPlace {
    /// Good documents of its batch before it.
    pub(super) before: usize,
    /// Position in the collection's `documents`.
    pub(super) ordinal: u64,
    /// File offset of its text.
    pub(super) offset: u64,
    /// Bytes of its text.
    pub(super) bytes: u64,
}

/// Puts a bad document into quarantine; gives the bytes that the quarantine grew by.
pub(super) fn put(
    quarantine: &mut Quarantine,
    plan: &Plan,
    collection: &PlannedCollection,
    bad: BadPlace,
) -> Result<u64> {
    let Some(file) = &plan.snapshot else {
        return Ok(0);
    };
    let alone = Chunk {
        offset: bad.offset,
        bytes: bad.bytes,
        first_ordinal: bad.ordinal,
        documents: 1,
    };
    let mut caught = Caught::default();
    ChunkWalker::new(JsonConverter::new(plan.infer_types)).walk_into(
        file,
        &collection.v1_name,
        alone,
        &mut caught,
    )?;
    let error = caught.error.ok_or_else(|| {
        Error::new(Code::SourceChanged, "a document is no longer what it was")
            .at(Place::offset(file.path(), bad.offset))
    })?;
    grow(quarantine, |quarantine| {
        quarantine.put(plan, file, (bad.offset, bad.bytes), error)
    })
}

/// Puts a document into quarantine whose `_id` the collection has already; it is the one after
/// `passed` others of its chunk.
pub(super) fn put_duplicate(
    quarantine: &mut Quarantine,
    plan: &Plan,
    collection: &PlannedCollection,
    chunk: Chunk,
    passed: u64,
    id: &str,
) -> Result<u64> {
    let Some(file) = &plan.snapshot else {
        return Ok(0);
    };
    let mut found = Nth {
        left: passed,
        place: None,
        bson: Vec::new(),
    };
    ChunkWalker::new(JsonConverter::new(plan.infer_types)).walk_into(
        file,
        &collection.v1_name,
        chunk,
        &mut found,
    )?;
    let Some((offset, bytes)) = found.place else {
        return Err(Error::new(Code::Internal, "a chunk has too few documents"));
    };
    let ordinal = chunk.first_ordinal + passed;
    let error = Error::new(
        Code::DuplicateId,
        format!("document {ordinal} of the collection has the _id of one before it"),
    )
    .at(Place::offset(file.path(), offset)
        .in_collection(&collection.v1_name)
        .with_id(id));
    grow(quarantine, |quarantine| {
        quarantine.put(plan, file, (offset, bytes), error)
    })
}

fn grow(
    quarantine: &mut Quarantine,
    put: impl FnOnce(&mut Quarantine) -> Result<()>,
) -> Result<u64> {
    let before = quarantine.state().bytes;
    put(quarantine)?;
    Ok(quarantine.state().bytes - before)
}

/// Keeps the error of the one document.
#[derive(Default)]
struct Caught {
    error: Option<Error>,
    bson: Vec<u8>,
}

impl ChunkSink for Caught {
    fn buffer(&mut self) -> &mut Vec<u8> {
        self.bson.clear();
        &mut self.bson
    }

    fn document(&mut self, _: usize, _: &mut Converted, _: u64) -> Result<()> {
        Ok(())
    }

    fn bad_document(&mut self, bad: BadDocument) -> Result<()> {
        self.error = Some(bad.error);
        Ok(())
    }
}

/// Finds the text of one document by its position.
struct Nth {
    left: u64,
    place: Option<(u64, u64)>,
    bson: Vec<u8>,
}

impl Nth {
    fn pass(&mut self, offset: u64, bytes: u64) {
        if self.left == 0 && self.place.is_none() {
            self.place = Some((offset, bytes));
        }
        self.left = self.left.saturating_sub(1);
    }
}

impl ChunkSink for Nth {
    fn buffer(&mut self) -> &mut Vec<u8> {
        self.bson.clear();
        &mut self.bson
    }

    fn document(&mut self, _: usize, converted: &mut Converted, offset: u64) -> Result<()> {
        self.pass(offset, converted.text_bytes as u64);
        Ok(())
    }

    fn bad_document(&mut self, bad: BadDocument) -> Result<()> {
        self.pass(bad.offset, bad.bytes);
        Ok(())
    }
}
