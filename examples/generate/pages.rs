//! `data.db` as LauraDB leaves it after two runs of its server, and the document texts that the
//! second run's backup has.
//!
//! The first run inserted some of the documents: a part as they still are, a part older. After the
//! restart LauraDB found none of them, and everything was inserted again into further pages: with
//! updates in place, updates that moved within their page, deletes, and pages that were compacted.

use super::random::Random;
use super::shape::Id;
use super::sink::{BsonSink, Sink};
use super::{Options, Out};
use laura_migrate::document::bson::{DocumentBuilder, RawDocument, RawValue};
use laura_migrate::hash::xxh3_128;
use laura_migrate::v1::snapshot::backup_text;
use std::io;

const PAGE: usize = 4096;
const DATA: usize = PAGE - 16;
const HEADER: usize = 12;
const SLOT: usize = 5;
const DELETED: u8 = 1;
const UPDATED: u8 = 4;

/// What was written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    pub(crate) pages: u32,
    /// Sum of XXH3-128 of the documents that the snapshot stands for.
    pub(crate) digest: u128,
}

/// A slotted page in LauraDB's hands.
#[derive(Default)]
struct Page {
    /// Content and flags, by slot; `None` was deleted.
    slots: Vec<(Option<Vec<u8>>, u8)>,
    /// Bytes that deleted and moved contents still take.
    fragmented: usize,
}

impl Page {
    fn used(&self) -> usize {
        let contents = self
            .slots
            .iter()
            .filter_map(|(content, _)| content.as_ref());
        let contents: usize = contents.map(Vec::len).sum();
        HEADER + self.slots.len() * SLOT + contents + self.fragmented
    }

    fn insert(&mut self, document: &[u8]) -> Option<usize> {
        if self.used() + SLOT + document.len() > DATA {
            return None;
        }
        self.slots.push((Some(document.to_vec()), 0));
        Some(self.slots.len() - 1)
    }

    fn delete(&mut self, slot: usize) {
        if let Some((content, flags)) = self.slots.get_mut(slot) {
            self.fragmented += content.take().map_or(0, |content| content.len());
            *flags = DELETED;
        }
    }

    /// In place where it fits, else elsewhere in the page; false if there is no room.
    fn update(&mut self, slot: usize, document: &[u8]) -> bool {
        let room = DATA - self.used();
        let Some((Some(content), flags)) = self.slots.get_mut(slot) else {
            return false;
        };
        if document.len() > content.len() {
            if document.len() > room {
                return false;
            }
            self.fragmented += content.len();
            *flags = UPDATED;
        } else {
            self.fragmented += content.len() - document.len();
        }
        *content = document.to_vec();
        true
    }

    /// Slots are renumbered.
    fn compact(&mut self) {
        self.slots.retain(|(content, _)| content.is_some());
        self.fragmented = 0;
    }

    fn write(&self, number: u32, out: &mut Vec<u8>) -> io::Result<()> {
        let mut directory = Vec::new();
        let mut end = DATA - self.fragmented;
        for (content, flags) in &self.slots {
            let length = content.as_ref().map_or(0, Vec::len);
            end -= length;
            let offset = if content.is_some() { end } else { 0 };
            directory.extend_from_slice(&short(offset)?);
            directory.extend_from_slice(&short(length)?);
            directory.push(*flags);
        }
        let free_start = HEADER + directory.len();
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&[0; 12]);
        let header = [self.slots.len(), free_start, end, self.fragmented, 0, 0];
        for field in header {
            out.extend_from_slice(&short(field)?);
        }
        out.extend_from_slice(&directory);
        out.extend(std::iter::repeat_n(0, end - free_start));
        // Contents grow down from the end.
        for (content, _) in self.slots.iter().rev() {
            out.extend_from_slice(content.as_deref().unwrap_or_default());
        }
        out.extend(std::iter::repeat_n(0, self.fragmented));
        Ok(())
    }
}

fn short(number: usize) -> io::Result<[u8; 2]> {
    let number = u16::try_from(number).map_err(io::Error::other)?;
    Ok(number.to_le_bytes())
}

/// The document as LauraDB holds it: fields in an order of its own, and types that JSON loses.
pub(crate) fn bson(options: &Options, number: u64, revision: u64, out: &mut Vec<u8>) {
    let mut body = Vec::new();
    let mut sink = BsonSink::new(&mut body);
    match options.shape.id(options.seed, number) {
        Id::Text(id) => sink.string("_id", &id),
        Id::Object(id) => sink.object_id("_id", id),
    }
    options
        .shape
        .fields(options.seed, number, revision, &mut sink);
    sink.finish();
    let mut builder = DocumentBuilder::new(out);
    builder.append(
        "zone",
        RawValue::Int32(i32::try_from(number % 24).unwrap_or_default()),
    );
    for (name, value) in RawDocument::trusted(&body).elements() {
        builder.append(name, value);
    }
    builder.append("hash", RawValue::Binary(&number.to_be_bytes()));
    builder.finish();
}

/// The document as the snapshot has it.
pub(crate) fn text(
    options: &Options,
    number: u64,
    bson_buffer: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> u128 {
    bson_buffer.clear();
    bson(options, number, 0, bson_buffer);
    // No shape has a number that JSON has not.
    let _ = backup_text(RawDocument::trusted(bson_buffer), out);
    xxh3_128(bson_buffer)
}

/// The order of a map in Go is random; this visits every number below `count` once.
pub(crate) fn shuffled(count: u64) -> impl Iterator<Item = u64> {
    const STEP: u64 = 1_000_003;
    let step = if count.is_multiple_of(STEP) { 1 } else { STEP };
    (0..count).map(move |at| {
        let product = u128::from(at) * u128::from(step) % u128::from(count.max(1));
        u64::try_from(product).unwrap_or_default()
    })
}

/// Writes the pages of both runs.
pub(crate) fn write(options: &Options, out: &mut Out) -> io::Result<Written> {
    let mut file = Pages {
        out,
        written: Written::default(),
        page: Page::default(),
        document: Vec::new(),
    };
    for collection in 0..options.collections {
        let documents = options.first_of(collection)..options.first_of(collection + 1);
        for number in documents.clone().step_by(8) {
            // Every other one has not changed since.
            let revision = if number.is_multiple_of(16) { 0 } else { 9 };
            file.insert(options, number, revision)?;
        }
        file.close()?;
        for number in documents {
            file.second_run(options, number)?;
        }
        file.close()?;
    }
    Ok(file.written)
}

struct Pages<'o> {
    out: &'o mut Out,
    written: Written,
    page: Page,
    document: Vec<u8>,
}

impl Pages<'_> {
    fn insert(&mut self, options: &Options, number: u64, revision: u64) -> io::Result<usize> {
        self.document.clear();
        bson(options, number, revision, &mut self.document);
        if let Some(slot) = self.page.insert(&self.document) {
            return Ok(slot);
        }
        self.close()?;
        let slot = self.page.insert(&self.document);
        slot.ok_or_else(|| io::Error::other("a document does not fit a page"))
    }

    fn second_run(&mut self, options: &Options, number: u64) -> io::Result<()> {
        let mut random = Random::of(options.seed, number, 77);
        match random.below(10) {
            // Inserted as something else, then updated to what it is.
            0 | 1 => {
                let slot = self.insert(options, number, 5)?;
                self.document.clear();
                bson(options, number, 0, &mut self.document);
                if !self.page.update(slot, &self.document) {
                    self.page.delete(slot);
                    self.insert(options, number, 0)?;
                }
            }
            // One that was deleted again stood before it.
            2 => {
                let slot = self.insert(options, options.docs + number, 0)?;
                self.page.delete(slot);
                self.insert(options, number, 0)?;
            }
            _ => {
                self.insert(options, number, 0)?;
            }
        }
        if self.page.fragmented > DATA / 4 {
            self.page.compact();
        }
        self.out.relieve()
    }

    fn close(&mut self) -> io::Result<()> {
        if self.page.slots.is_empty() {
            return Ok(());
        }
        let page = std::mem::take(&mut self.page);
        page.write(self.written.pages, &mut self.out.buffer)?;
        self.written.pages += 1;
        self.out.relieve()
    }
}
