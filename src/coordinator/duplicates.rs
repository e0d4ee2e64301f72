//! Documents whose `_id` another one has, found when the keys of `_id_` are sorted.
//!
//! 1. While `_id_` is built, the addresses of all but the first of each group go to a log.
//! 2. The tree is complete. Log, pages and quarantine are made durable, and a checkpoint says how
//!    many duplicates are pending. *Until here no page was changed.*
//! 3. The documents are looked up in the snapshot and put into quarantine, counts and sums go down,
//!    and their slots are marked deleted, in place.
//! 4. The next checkpoint no longer counts them as pending.
//!
//! A run that was cut between 2 and 4 takes every mark back ([`restore`]) and does 3 again, so it
//! does not matter how far that had come, nor whether a page was torn. The other indexes of the
//! collection are built later; their keys pass a filter ([`Dropped`]).

use super::context::Context;
use super::extract::{Extractors, Taken};
use super::keys::SortedIndex;
use super::pages;
use super::plan::{Plan, PlannedCollection};
use super::quarantine::Quarantine;
use super::state::WrittenCollection;
use super::work::{DUPLICATES, WorkDir};
use crate::document::bson::RawDocument;
use crate::document::json::{Converted, DocumentContext, JsonConverter};
use crate::document::{ID_FIELD, ejson};
use crate::files::{AppendWriter, InputFile};
use crate::hash::{xxh3_64, xxh3_128};
use crate::index::extract::Extraction;
use crate::index::key::{KeyBuffer, KeyValue};
use crate::v1::pages::{Enricher, JoinFiles, LiveDocument, PageCopy};
use crate::v1::snapshot::{BadDocument, ChunkSink, ChunkWalker};
use crate::v2::data_file::DocumentReader;
use crate::v2::page::{ChecksumPolicy, PAGE_SIZE, PageType};
use crate::v2::page_file::{PageFileReader, PageFileWriter, page_offset};
use crate::v2::slotted::{SlottedPage, delete_slot, restore_slot};
use crate::v2::{DocumentAddress, PageId, SlotNumber};
use crate::{Code, Error, Place, Result};
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, HashSet};

/// Bytes of an address in the log: page u32, slot u16, 0 u16.
const ENTRY: usize = 8;

/// Duplicates that are looked up in one pass over the collection.
const AT_ONCE: usize = 1 << 16;

/// The addresses of duplicates, in the order of their `_id`s and then of the addresses.
pub(super) struct DuplicateLog {
    file: AppendWriter,
    count: u64,
}

impl DuplicateLog {
    /// The log of the tree with this number, cut to what of it counts.
    pub(super) fn open(work: &WorkDir, tree: usize, count: u64) -> Result<Self> {
        let file = work.append_to(&name(tree), count * ENTRY as u64, AT_ONCE)?;
        Ok(Self { file, count })
    }

    pub(super) fn push(&mut self, address: DocumentAddress) -> Result<()> {
        let [a, b, c, d] = address.page.0.to_le_bytes();
        let [e, f] = address.slot.0.to_le_bytes();
        self.count += 1;
        self.file.append(&[a, b, c, d, e, f, 0, 0])
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn sync(&mut self) -> Result<()> {
        self.file.sync()
    }
}

fn name(tree: usize) -> String {
    format!("{DUPLICATES}{tree}")
}

/// Reads a log back, a part at a time.
struct Addresses {
    file: InputFile,
    offset: u64,
    end: u64,
}

impl Addresses {
    fn open(work: &WorkDir, tree: usize, count: u64) -> Result<Self> {
        let file = work.open_file(&name(tree))?;
        let end = count.saturating_mul(ENTRY as u64);
        if end > file.size() {
            return Err(Error::new(
                Code::CheckpointDamaged,
                "the file is shorter than the checkpoint says",
            )
            .at(Place::file(file.path()))
            .hint("add --restart to discard the interrupted run and begin anew"));
        }
        Ok(Self {
            file,
            offset: 0,
            end,
        })
    }

    /// The next ones; empty at the end.
    fn next(&mut self) -> Result<Vec<DocumentAddress>> {
        let left = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(AT_ONCE * ENTRY)];
        self.file.read_exact_at(&mut bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        let entries = bytes.as_chunks::<ENTRY>().0.iter();
        Ok(entries
            .map(|[a, b, c, d, e, f, ..]| DocumentAddress {
                page: PageId(u32::from_le_bytes([*a, *b, *c, *d])),
                slot: SlotNumber(u16::from_le_bytes([*e, *f])),
            })
            .collect())
    }
}

/// Takes back what a run that was cut has marked in the pages of a collection.
pub(super) fn restore(
    work: &WorkDir,
    tree: usize,
    count: u64,
    data: &mut PageFileWriter,
) -> Result<()> {
    let mut addresses = Addresses::open(work, tree, count)?;
    let file = data.file().reader()?;
    loop {
        let part = addresses.next()?;
        if part.is_empty() {
            return Ok(());
        }
        for address in part {
            let mut page = [0; PAGE_SIZE];
            // A torn page has no right checksum until it is whole again.
            file.read_exact_at(&mut page, page_offset(address.page))?;
            if !restore_slot(&mut page, address.slot) {
                return Err(no_slot(&file, address));
            }
            data.rewrite_page(address.page, &mut page)?;
        }
    }
}

fn no_slot(file: &InputFile, address: DocumentAddress) -> Error {
    Error::new(Code::VerifyFailed, "a page has lost a slot").at(Place::page(
        file.path(),
        address.page.0,
    )
    .with_slot(address.slot.0))
}

/// Step 3 for one collection.
pub(super) struct Apply<'d, 'a, 's> {
    pub(super) context: &'d mut Context<'a, 's>,
    pub(super) plan: &'d Plan,
    pub(super) planned: &'d PlannedCollection,
    pub(super) work: &'d WorkDir,
    pub(super) data: &'d mut PageFileWriter,
    pub(super) written: &'d mut WrittenCollection,
    /// Of the collection's indexes.
    pub(super) sorted: &'d mut [SortedIndex],
    pub(super) quarantine: &'d mut Quarantine,
}

/// What an `_id` is known by: a hash that nobody can choose.
type IdHash = [u8; 32];

/// An `_id` of which documents go.
struct Wanted {
    /// Documents that stay or have gone already.
    skip: u64,
    left: u64,
    /// Position of the one that stays, once it was seen.
    first: Option<u64>,
}

impl Apply<'_, '_, '_> {
    /// Puts `count` duplicates from the log of `tree` into quarantine.
    pub(super) fn run(mut self, tree: usize, count: u64) -> Result<()> {
        self.data.flush()?;
        let pages = PageFileReader::open(self.data.file().reader()?, ChecksumPolicy::Required)?;
        let mut extractors = Extractors::new(self.planned, self.plan.infer_types)?;
        let unlisted = pages::open(self.plan, self.work)?;
        let mut addresses = Addresses::open(self.work, tree, count)?;
        // Groups are not parted, but for one that goes over the end of a part.
        let mut last: Option<(IdHash, u64)> = None;
        loop {
            let part = addresses.next()?;
            if part.is_empty() {
                return Ok(());
            }
            let mut wanted = HashMap::new();
            for address in &part {
                let id = self.forget(&pages, &mut extractors, *address)?;
                let gone = match &mut last {
                    Some((hash, gone)) if *hash == id => {
                        *gone += 1;
                        *gone - 1
                    }
                    _ => {
                        last = Some((id, 1));
                        0
                    }
                };
                let entry = wanted.entry(id).or_insert(Wanted {
                    skip: 1 + gone,
                    left: 0,
                    first: None,
                });
                entry.left += 1;
            }
            self.find(wanted, unlisted.as_ref())?;
            for address in &part {
                self.delete(&pages, *address)?;
            }
        }
    }

    /// Takes a document out of counts and sums.
    fn forget(
        &mut self,
        pages: &PageFileReader,
        extractors: &mut Extractors,
        address: DocumentAddress,
    ) -> Result<IdHash> {
        let mut reader = DocumentReader::new(pages);
        let bson = reader
            .read(address)?
            .ok_or_else(|| no_slot(pages.file(), address))?;
        let document = RawDocument::trusted(bson);
        let tally = &mut self.written.tally;
        let digest = 0u128.wrapping_sub(xxh3_128(bson));
        tally.documents -= 1;
        tally.bytes -= bson.len() as u64;
        tally.digest += digest;
        if self.context.sample.chooses(document) {
            tally.sample_digest += digest;
        }
        tally.quarantined += 1;
        tally.duplicates += 1;
        let sorted = &mut *self.sorted;
        extractors.extract(document, |index, taken| {
            let Some(index) = sorted.get_mut(index) else {
                return Ok(());
            };
            match taken {
                Taken::Key(..) => index.counts.dropped += 1,
                Taken::End(extraction, totals) => {
                    index.counts.totals -= totals;
                    if extraction == Extraction::Unindexable {
                        index.counts.forget_unindexable(address);
                    }
                }
            }
            Ok(())
        })?;
        hash_id(document)
    }

    /// Looks the documents up in the snapshot, and those that only `data.db` has in its pages, and
    /// puts them into quarantine.
    fn find(
        &mut self,
        wanted: HashMap<IdHash, Wanted>,
        unlisted: Option<&JoinFiles>,
    ) -> Result<()> {
        let number = self.planned.overlay_number;
        let mut finder = Finder {
            plan: self.plan,
            planned: self.planned,
            enricher: unlisted.map(|files| files.enricher(self.plan.infer_types)),
            quarantine: self.quarantine,
            written: self.written,
            wanted,
            ordinal: 0,
            bson: Vec::new(),
        };
        if let Some(enricher) = &mut finder.enricher {
            enricher.seek(number, 0)?;
        }
        let mut walker = ChunkWalker::new(JsonConverter::new(self.plan.infer_types));
        for chunk in &self.planned.chunks {
            if let Some(file) = &self.plan.snapshot {
                walker.walk_into(file, &self.planned.v1_name, *chunk, &mut finder)?;
            }
            self.context.interrupt.check()?;
        }
        if let Some(files) = unlisted {
            let mut recovered = files.recovered(number);
            for position in 0..recovered.count() {
                let (address, live) = recovered.live(position)?;
                finder.recovered(address, &live)?;
            }
        }
        if finder.wanted.values().any(|wanted| wanted.left > 0) {
            let sentence = "a document with the _id of another one is not in the source";
            return Err(Error::new(Code::Internal, sentence)
                .at(Place::default().in_collection(&self.planned.v1_name)));
        }
        Ok(())
    }

    fn delete(&mut self, pages: &PageFileReader, address: DocumentAddress) -> Result<()> {
        let mut page = [0; PAGE_SIZE];
        pages.read(address.page, PageType::Data, &mut page)?;
        if !delete_slot(&mut page, address.slot) {
            return Err(no_slot(pages.file(), address));
        }
        self.data.rewrite_page(address.page, &mut page)
    }
}

fn hash_id(document: RawDocument<'_>) -> Result<IdHash> {
    let id = document.get(ID_FIELD).and_then(KeyValue::from_raw);
    let missing = || Error::new(Code::Internal, "a document has no _id");
    let mut key = KeyBuffer::new();
    key.set(std::iter::once(id.ok_or_else(missing)?));
    let mut hasher = Sha256::new();
    hasher.update(key.normal());
    Ok(hasher.finalize().into())
}

/// Walks through a collection's documents, and puts the wanted ones into quarantine.
struct Finder<'f> {
    plan: &'f Plan,
    planned: &'f PlannedCollection,
    /// A page's copy may have an `_id` of another type.
    enricher: Option<Enricher<'f>>,
    quarantine: &'f mut Quarantine,
    written: &'f mut WrittenCollection,
    wanted: HashMap<IdHash, Wanted>,
    ordinal: u64,
    bson: Vec<u8>,
}

impl Finder<'_> {
    /// The position of the first document with this one's `_id`, if this one is to go.
    fn goes(&mut self, document: RawDocument<'_>, ordinal: u64) -> Result<Option<u64>> {
        let Some(wanted) = self.wanted.get_mut(&hash_id(document)?) else {
            return Ok(None);
        };
        let first = *wanted.first.get_or_insert(ordinal);
        if wanted.skip > 0 || wanted.left == 0 {
            wanted.skip = wanted.skip.saturating_sub(1);
            return Ok(None);
        }
        wanted.left -= 1;
        Ok(Some(first))
    }

    /// A document that only pages have; its `_id` can equal one of the snapshot's and print
    /// differently.
    fn recovered(&mut self, address: DocumentAddress, live: &LiveDocument<'_>) -> Result<()> {
        let ordinal = self.ordinal;
        self.ordinal += 1;
        let (Some(first), Some(data)) = (self.goes(live.document(), ordinal)?, &self.plan.data)
        else {
            return Ok(());
        };
        let pages = &mut self.written.tally.pages;
        pages.recovered = pages.recovered.saturating_sub(1);
        let sentence = format!(
            "the document in slot {} of the page has the _id of document {first} of the collection",
            address.slot.0
        );
        let id = live.document().get(ID_FIELD).map(ejson::display_id);
        let error =
            Error::new(Code::DuplicateId, sentence).at(Place::page(data.path(), address.page.0)
                .in_collection(&self.planned.v1_name)
                .with_id(id.unwrap_or_default()));
        let bytes = live.bytes.len() as u64;
        self.quarantine
            .put(self.plan, data, (live.offset, bytes), error)
    }
}

impl ChunkSink for Finder<'_> {
    fn buffer(&mut self) -> &mut Vec<u8> {
        self.bson.clear();
        &mut self.bson
    }

    fn document(&mut self, _: usize, converted: &mut Converted, offset: u64) -> Result<()> {
        let ordinal = self.ordinal;
        self.ordinal += 1;
        let copy = match &mut self.enricher {
            Some(enricher) => {
                let context = DocumentContext {
                    collection: &self.planned.v1_name,
                    ordinal,
                };
                enricher.replace(&context, &mut self.bson, 0, converted)?
            }
            None => PageCopy::default(),
        };
        let bson = std::mem::take(&mut self.bson);
        let document = RawDocument::trusted(&bson);
        let goes = self.goes(document, ordinal)?;
        let id = document.get(ID_FIELD).map(ejson::display_id);
        self.bson = bson;
        let (Some(first), Some(file)) = (goes, &self.plan.snapshot) else {
            return Ok(());
        };
        let tally = &mut self.written.tally;
        tally.generated_ids -= u64::from(converted.generated_id);
        // These were counted up to what fits 32 bits, which no document of 256 MiB exceeds.
        tally.emptied_array_documents = tally
            .emptied_array_documents
            .saturating_sub(converted.emptied_array_documents);
        tally.unknown_keys = tally.unknown_keys.saturating_sub(converted.unknown_keys);
        if self.enricher.is_some() {
            copy.uncount(&mut tally.pages);
        }
        let sentence =
            format!("document {ordinal} of the collection has the _id of document {first}");
        let error = Error::new(Code::DuplicateId, sentence).at(Place::offset(file.path(), offset)
            .in_collection(&self.planned.v1_name)
            .with_id(id.unwrap_or_default()));
        let bytes = converted.text_bytes as u64;
        self.quarantine.put(self.plan, file, (offset, bytes), error)
    }

    fn bad_document(&mut self, _: BadDocument) -> Result<()> {
        self.ordinal += 1;
        Ok(())
    }
}

/// Bits of the filter.
const FILTER_BITS: u64 = 1 << 23;

/// Tells the addresses of deleted documents, whose keys were sorted before that showed. A filter of
/// fixed size answers for nearly all others; where it cannot, the page does.
pub(super) enum Dropped {
    /// What pages say.
    Marked(Marked),
    /// What the log says, where the pages are not all there.
    Logged(HashSet<DocumentAddress>),
}

/// A filter over the deleted slots of pages.
pub(super) struct Marked {
    pages: PageFileReader,
    filter: Vec<u64>,
    page: Box<[u8; PAGE_SIZE]>,
    /// The page that is in `page`.
    loaded: PageId,
}

impl Dropped {
    /// Finds the deleted slots of a collection.
    pub(super) fn scan(pages: PageFileReader, written: &WrittenCollection) -> Result<Self> {
        let words = usize::try_from(FILTER_BITS / 64).unwrap_or_default();
        let mut filter = vec![0u64; words];
        let extent = written.pages;
        pages.scan(extent.first_page, extent.page_count, |page, kind, bytes| {
            if kind != PageType::Data {
                return Ok(());
            }
            let slotted = SlottedPage::open(bytes).map_err(|error| pages.damaged(page, error))?;
            for slot in slotted.deleted_slots() {
                for bit in bits(DocumentAddress { page, slot }) {
                    if let Some(word) = filter.get_mut(bit / 64) {
                        *word |= 1 << (bit % 64);
                    }
                }
            }
            Ok(())
        })?;
        Ok(Self::Marked(Marked {
            pages,
            filter,
            page: Box::new([0; PAGE_SIZE]),
            loaded: PageId(0),
        }))
    }

    /// The documents in the log of the tree with this number.
    pub(super) fn logged(work: &WorkDir, tree: usize, count: u64) -> Result<Self> {
        let mut addresses = Addresses::open(work, tree, count)?;
        let mut logged = HashSet::new();
        loop {
            let part = addresses.next()?;
            if part.is_empty() {
                return Ok(Self::Logged(logged));
            }
            logged.extend(part);
        }
    }

    /// True for a deleted document.
    pub(super) fn contains(&mut self, address: DocumentAddress) -> Result<bool> {
        match self {
            Self::Marked(marked) => marked.contains(address),
            Self::Logged(logged) => Ok(logged.contains(&address)),
        }
    }
}

impl Marked {
    fn contains(&mut self, address: DocumentAddress) -> Result<bool> {
        let is_set = |bit: usize| {
            let word = self.filter.get(bit / 64);
            word.is_some_and(|word| word >> (bit % 64) & 1 == 1)
        };
        if !bits(address).into_iter().all(is_set) {
            return Ok(false);
        }
        let damaged = |pages: &PageFileReader, error| pages.damaged(address.page, error);
        if self.loaded != address.page {
            self.pages
                .read(address.page, PageType::Data, &mut self.page)?;
            self.loaded = address.page;
        }
        let slotted = SlottedPage::open(&self.page).map_err(|error| damaged(&self.pages, error))?;
        let content = slotted.get(address.slot);
        Ok(content
            .map_err(|error| damaged(&self.pages, error))?
            .is_none())
    }
}

fn bits(address: DocumentAddress) -> [usize; 2] {
    let word = u64::from(address.page.0) << 16 | u64::from(address.slot.0);
    let hash = xxh3_64(&word.to_le_bytes());
    let bit = |hash: u64| usize::try_from(hash % FILTER_BITS).unwrap_or_default();
    [bit(hash), bit(hash >> 32)]
}
