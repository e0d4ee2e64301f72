//! Data pages read back: checksums, slots, documents, and the keys that indexes must have.

use super::Block;
use crate::coordinator::context::Sample;
use crate::coordinator::extract::{Extractors, IndexSum};
use crate::coordinator::indexes::Built;
use crate::coordinator::plan::Plan;
use crate::coordinator::state::Digest;
use crate::document::bson::RawDocument;
use crate::files::AlignedBuffer;
use crate::hash::{xxh3_64, xxh3_128};
use crate::large::LARGE_DOCUMENT;
use crate::v2::data_file::DocumentReader;
use crate::v2::page::{self, ChecksumPolicy, PAGE_SIZE, PageBytes, PageError, PageType};
use crate::v2::page_file::PageFileReader;
use crate::v2::slotted::{OverflowHead, SlotContent, SlottedPage};
use crate::v2::{DocumentAddress, PageId};
use crate::{Code, Error, Result};
use crossbeam_channel::{Receiver, Sender};
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};

/// What was found of one collection.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct CollectionSums {
    pub(super) documents: u64,
    pub(super) bytes: u64,
    /// Slots of documents that went to quarantine when their keys were sorted.
    pub(super) deleted: u64,
    /// Of all documents, or of those in the sample.
    pub(super) digest: Digest,
    /// Overflow pages that are there, and those that slots point at: counts and sums of hashes.
    pub(super) overflow_pages: PageSum,
    pub(super) chain_pages: PageSum,
    /// What the documents have for each index.
    pub(super) indexes: Vec<IndexSum>,
}

/// Counts pages, and tells different ones apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PageSum {
    count: u64,
    hashes: u64,
}

impl PageSum {
    fn add(&mut self, page: PageId) {
        self.count += 1;
        self.hashes = self.hashes.wrapping_add(xxh3_64(&page.0.to_le_bytes()));
    }
}

/// What was found of all collections, in plan order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct DataSums {
    collections: Vec<CollectionSums>,
    is_sample: bool,
}

impl DataSums {
    pub(super) fn new(plan: &Plan, sample: Sample) -> Self {
        let collections = plan.collections.iter().map(|collection| CollectionSums {
            indexes: vec![IndexSum::default(); collection.indexes.len()],
            ..CollectionSums::default()
        });
        Self {
            collections: collections.collect(),
            is_sample: sample.is_partial(),
        }
    }

    pub(super) fn collection(&self, position: usize) -> &CollectionSums {
        static NOTHING: CollectionSums = CollectionSums {
            documents: 0,
            bytes: 0,
            deleted: 0,
            digest: Digest(0),
            overflow_pages: PageSum {
                count: 0,
                hashes: 0,
            },
            chain_pages: PageSum {
                count: 0,
                hashes: 0,
            },
            indexes: Vec::new(),
        };
        self.collections.get(position).unwrap_or(&NOTHING)
    }

    /// The digests are those of a share of the documents.
    pub(super) fn is_sample(&self) -> bool {
        self.is_sample
    }

    /// True before anything was found.
    pub(super) fn is_empty(&self) -> bool {
        self.collections.is_empty()
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (sum, other) in self.collections.iter_mut().zip(other.collections) {
            sum.documents += other.documents;
            sum.bytes += other.bytes;
            sum.deleted += other.deleted;
            sum.digest += other.digest;
            for (sum, other) in [
                (&mut sum.overflow_pages, other.overflow_pages),
                (&mut sum.chain_pages, other.chain_pages),
            ] {
                sum.count += other.count;
                sum.hashes = sum.hashes.wrapping_add(other.hashes);
            }
            for (sum, other) in sum.indexes.iter_mut().zip(other.indexes) {
                sum.merge(other);
            }
        }
    }
}

/// Checks blocks of data pages on a thread of its own.
pub(super) struct DataWorker<'p> {
    plan: &'p Plan,
    built: &'p Built,
    pages: PageFileReader,
    sample: Sample,
    /// Whose turn it is to have a large document in memory.
    large: &'p Mutex<()>,
    sums: DataSums,
    /// Position of the collection that `extractors` are for.
    current: Option<usize>,
    extractors: Extractors,
}

impl<'p> DataWorker<'p> {
    pub(super) fn new(
        plan: &'p Plan,
        built: &'p Built,
        pages: PageFileReader,
        sample: Sample,
        large: &'p Mutex<()>,
    ) -> Self {
        let sums = DataSums::new(plan, sample);
        Self {
            plan,
            built,
            pages,
            sample,
            large,
            sums,
            current: None,
            extractors: Extractors::none(),
        }
    }

    pub(super) fn run(
        mut self,
        blocks: &Receiver<Block>,
        recycle: &Sender<AlignedBuffer>,
    ) -> Result<DataSums> {
        for block in blocks {
            for (number, bytes) in (block.first.0..).zip(block.bytes.as_chunks::<PAGE_SIZE>().0) {
                self.page(PageId(number), bytes)?;
            }
            // A reader that has ended needs no empty buffers.
            let _ = recycle.try_send(block.bytes);
        }
        Ok(self.sums)
    }

    fn page(&mut self, id: PageId, bytes: &PageBytes) -> Result<()> {
        let damaged = |pages: &PageFileReader, error: PageError| pages.damaged(id, error);
        let Some(position) = self.collection_of(id) else {
            let checked = page::verify(bytes, id, PageType::Data, ChecksumPolicy::Required);
            let slotted = checked.and_then(|()| SlottedPage::open(bytes));
            return match slotted
                .map_err(|error| damaged(&self.pages, error))?
                .slot_count()
            {
                0 if id == PageId(0) => Ok(()),
                _ => Err(damaged(
                    &self.pages,
                    PageError::field(0, "page id", id.0, "a page of a collection or an index"),
                )),
            };
        };
        let header = page::PageHeader::decode(bytes);
        if header.page_type == PageType::Overflow as u8 {
            page::verify(bytes, id, PageType::Overflow, ChecksumPolicy::Required)
                .map_err(|error| damaged(&self.pages, error))?;
            if let Some(sums) = self.sums.collections.get_mut(position) {
                sums.overflow_pages.add(id);
            }
            return Ok(());
        }
        page::verify(bytes, id, PageType::Data, ChecksumPolicy::Required)
            .map_err(|error| damaged(&self.pages, error))?;
        self.begin(position)?;
        self.slotted(position, id, bytes)
    }

    /// The collection in whose run of pages a page lies.
    fn collection_of(&self, id: PageId) -> Option<usize> {
        let inside = |position: &usize| {
            self.built
                .collections
                .get(*position)
                .is_some_and(|collection| {
                    let pages = collection.written.pages;
                    id.0.checked_sub(pages.first_page.0)
                        .is_some_and(|at| at < pages.page_count)
                })
        };
        // Pages come in order, so it is nearly always the same one or the next.
        let at = self.current.unwrap_or(0);
        (at..self.built.collections.len())
            .find(inside)
            .or_else(|| (0..at).find(inside))
    }

    fn begin(&mut self, position: usize) -> Result<()> {
        if self.current != Some(position) {
            let collection = self.plan.collections.get(position);
            let collection = collection
                .ok_or_else(|| Error::new(Code::Internal, "a collection that is not planned"))?;
            self.extractors = Extractors::new(collection, self.plan.infer_types)?;
            self.current = Some(position);
        }
        Ok(())
    }

    fn slotted(&mut self, position: usize, page: PageId, bytes: &PageBytes) -> Result<()> {
        let damaged = |error: PageError| self.pages.damaged(page, error);
        let slotted = SlottedPage::open(bytes).map_err(damaged)?;
        slotted.check_layout().map_err(damaged)?;
        let owner = u16::try_from((position + 1) & 0xFFFF).unwrap_or_default();
        if slotted.owner() != owner {
            let expected = format!("{owner}, the collection's id");
            return Err(damaged(PageError::field(
                26,
                "owner",
                slotted.owner(),
                expected,
            )));
        }
        let Some(sums) = self.sums.collections.get_mut(position) else {
            return Ok(());
        };
        for slot in slotted.deleted_slots() {
            sums.deleted += 1;
            if let SlotContent::Overflow(head) = slotted.get_deleted(slot).map_err(damaged)? {
                add_chain(sums, head);
            }
        }
        // Its buffers are for overflow documents, of which there are few.
        let mut reader = None;
        let mut alone = None;
        for slot in slotted.numbers() {
            let address = DocumentAddress { page, slot };
            let bson = match slotted.document(slot) {
                Some(bson) => bson,
                None => match slotted.get(slot).map_err(damaged)? {
                    Some(content) => {
                        if let SlotContent::Overflow(head) = content {
                            add_chain(sums, head);
                            if head.total_size() as usize > LARGE_DOCUMENT {
                                let turn = self.large.lock();
                                alone = Some(turn.unwrap_or_else(PoisonError::into_inner));
                            }
                        }
                        reader
                            .get_or_insert_with(|| DocumentReader::new(&self.pages))
                            .resolve(address, content)?
                    }
                    None => continue,
                },
            };
            let document = RawDocument::trusted(bson);
            sums.documents += 1;
            sums.bytes += bson.len() as u64;
            if !self.sample.is_partial() || self.sample.chooses(document) {
                sums.digest += xxh3_128(bson);
            }
            let collection_id = u32::try_from(position + 1).unwrap_or(u32::MAX);
            self.extractors
                .sum_up(document, (collection_id, address), &mut sums.indexes);
            if alone.is_some() {
                if let Some(reader) = &mut reader {
                    reader.release();
                }
                alone = None;
            }
        }
        Ok(())
    }
}

/// Counts the pages of an overflow document.
fn add_chain(sums: &mut CollectionSums, head: OverflowHead) {
    let first = head.first_page().0;
    let pages = first..first.saturating_add(u32::from(head.page_count()));
    pages.for_each(|page| sums.chain_pages.add(PageId(page)));
}
