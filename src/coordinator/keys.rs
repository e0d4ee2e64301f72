//! The key stage: a thread of its own that takes closed pages and sorts their documents' keys.

use super::plan::{Plan, PlannedCollection};
use super::state::{KeyState, WrittenCollection};
use super::work::{SORT_RUNS, WorkDir};
use crate::document::InferTypes;
use crate::document::bson::RawDocument;
use crate::document::time::parse_rfc3339;
use crate::index::IndexDefinition;
use crate::index::extract::{DocumentFilter, Extraction, ExtractorSet, KeyExtractor};
use crate::index::filter::Filter;
use crate::index::key::KeyBuffer;
use crate::index::sort::{SortPool, SorterId, SpillFile};
use crate::options::Options;
use crate::v2::data_file::{ClosedPage, scan_documents};
use crate::v2::page::{PAGE_SIZE, PageBytes};
use crate::v2::page_file::PageFileReader;
use crate::v2::slotted::{SlotContent, SlottedPage};
use crate::v2::{DocumentAddress, PageId, SlotNumber};
use crate::{Code, Error, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::Arc;
use std::thread::{Scope, ScopedJoinHandle};

/// Pages that go to the stage at once.
const PAGES: usize = 64;

/// Bytes of the buffer that sort runs are written from.
const RUN_BUFFER: usize = 256 << 10;

/// What the writer sends to the stage.
enum Feed {
    Pages(Pages),
    /// Makes what is in runs durable and answers with the state after all pages sent so far.
    State(Sender<Result<KeyState>>),
}

/// Closed pages of one collection, with the keys of documents that do not lie in them.
#[derive(Debug, Default)]
struct Pages {
    collection: usize,
    ids: Vec<PageId>,
    bytes: Vec<u8>,
    /// Keys of overflow documents, whose pages only point at them.
    overflow: Vec<OverflowKey>,
}

#[derive(Debug)]
struct OverflowKey {
    /// Position in `ids`.
    page: usize,
    slot: SlotNumber,
    /// Position in the collection's indexes.
    index: usize,
    extraction: Extraction,
    key: KeyBuffer,
}

/// The writer's end of the stage.
pub(super) struct KeyFeeder {
    pages: Pages,
    sender: Sender<Feed>,
    empty: Receiver<Pages>,
    /// For overflow documents, whose bytes only the writer has at hand.
    extractors: ExtractorSet,
    infer_types: InferTypes,
}

impl KeyFeeder {
    /// A collection starts.
    pub(super) fn begin(&mut self, position: usize, collection: &PlannedCollection) -> Result<()> {
        self.extractors = extractors(collection, self.infer_types)?;
        self.pages.collection = position;
        Ok(())
    }

    /// A page was closed; overflow documents since the one before lie in its slots.
    pub(super) fn page(&mut self, closed: ClosedPage<'_>) -> Result<()> {
        self.pages.ids.push(closed.id);
        self.pages.bytes.extend_from_slice(closed.bytes);
        if self.pages.ids.len() < PAGES {
            Ok(())
        } else {
            self.send()
        }
    }

    /// An overflow document got a slot in the open page.
    pub(super) fn overflow(&mut self, slot: SlotNumber, document: RawDocument<'_>) -> Result<()> {
        let page = self.pages.ids.len();
        let overflow = &mut self.pages.overflow;
        self.extractors.extract(document, |index, extraction, key| {
            overflow.push(OverflowKey {
                page,
                slot,
                index,
                extraction,
                key: key.clone(),
            });
            Ok(())
        })
    }

    /// The collection ends; all its pages are closed.
    pub(super) fn end(&mut self) -> Result<()> {
        self.send()
    }

    /// The state of the stage after all closed pages, for a checkpoint; comes when it is ready.
    pub(super) fn state(&mut self) -> Result<Receiver<Result<KeyState>>> {
        self.send()?;
        let (answer, state) = bounded(1);
        self.sender.send(Feed::State(answer)).map_err(|_| ended())?;
        Ok(state)
    }

    /// Sends the closed pages. Keys of overflow documents in the open page stay.
    fn send(&mut self) -> Result<()> {
        let mut next = self.empty.try_recv().unwrap_or_default();
        next.collection = self.pages.collection;
        next.ids.clear();
        next.bytes.clear();
        next.overflow.clear();
        let closed = self.pages.ids.len();
        let open = self
            .pages
            .overflow
            .partition_point(|late| late.page < closed);
        let late = self.pages.overflow.drain(open..);
        next.overflow.extend(late.map(|late| OverflowKey {
            page: late.page - closed,
            ..late
        }));
        let full = std::mem::replace(&mut self.pages, next);
        self.sender.send(Feed::Pages(full)).map_err(|_| ended())
    }
}

pub(super) fn ended() -> Error {
    Error::new(Code::Internal, "the key stage has ended early")
}

/// Keys of all collections, in memory and in sorted runs.
pub(super) struct SortedKeys {
    pub(super) pool: SortPool,
    /// For each collection, in plan order, its indexes' keys.
    pub(super) sorters: Vec<Vec<SortedIndex>>,
}

/// The keys of one index.
#[derive(Clone, Copy, Debug)]
pub(super) struct SortedIndex {
    pub(super) sorter: SorterId,
    /// Documents whose value cannot be indexed.
    pub(super) unindexable: u64,
}

impl SortedKeys {
    /// The keys of an interrupted run, as far as they are in runs; a new set for a new one.
    fn restore(plan: &Plan, options: &Options, work: &WorkDir, state: KeyState) -> Result<Self> {
        let runs = work.clone();
        let bytes = state.pool.spill_bytes;
        let spill = SpillFile::new(move || runs.append_to(SORT_RUNS, bytes, RUN_BUFFER));
        let mut pool = if state.pool.sorters.is_empty() {
            SortPool::new(sort_budget(options), spill)
        } else {
            SortPool::restore(sort_budget(options), spill, state.pool)?
        };
        let mut number = 0;
        let mut sorters = Vec::with_capacity(plan.collections.len());
        for (position, collection) in plan.collections.iter().enumerate() {
            let unindexable = state.unindexable.get(position);
            let mut sorted = Vec::with_capacity(collection.indexes.len());
            for index in 0..collection.indexes.len() {
                if pool.len() <= number as usize {
                    pool.add_index();
                }
                let unindexable = unindexable.and_then(|counts| counts.get(index)).copied();
                sorted.push(SortedIndex {
                    sorter: SorterId(number),
                    unindexable: unindexable.unwrap_or_default(),
                });
                number += 1;
            }
            sorters.push(sorted);
        }
        Ok(Self { pool, sorters })
    }

    /// [`Self::restore`], and gives the sorters from `first` on the keys that were in memory, from
    /// the staged pages of `written`.
    pub(super) fn refill(
        plan: &Plan,
        options: &Options,
        work: &WorkDir,
        state: KeyState,
        file: &PageFileReader,
        written: &[WrittenCollection],
        first: SorterId,
    ) -> Result<Self> {
        let mut keys = Self::restore(plan, options, work, state)?;
        for ((planned, written), sorters) in plan.collections.iter().zip(written).zip(&keys.sorters)
        {
            let pages = written.pages;
            let end = pages.first_page.0 + pages.page_count;
            let wanted = sorters
                .iter()
                .map(|index| index.sorter)
                .filter(|sorter| *sorter >= first);
            let covered = wanted
                .map(|sorter| keys.pool.covered(sorter).unwrap_or_default())
                .min();
            let Some(covered) = covered else { continue };
            let start = covered.page.0.max(pages.first_page.0);
            if start >= end {
                continue;
            }
            let mut extractors = extractors(planned, plan.infer_types)?;
            let pool = &mut keys.pool;
            scan_documents(file, PageId(start), end - start, |address, bson| {
                extractors.extract(RawDocument::trusted(bson), |index, extraction, key| {
                    let Some(index) = sorters.get(index) else {
                        return Ok(());
                    };
                    let known = pool
                        .covered(index.sorter)
                        .is_some_and(|covered| address <= covered);
                    match extraction {
                        _ if known || index.sorter < first => Ok(()),
                        Extraction::Key => pool.push(index.sorter, key, address),
                        _ => pool.pass(index.sorter, address),
                    }
                })
            })?;
        }
        Ok(keys)
    }

    /// What is in runs, made durable.
    pub(super) fn state(&mut self) -> Result<KeyState> {
        self.pool.sync()?;
        let counts =
            |sorters: &Vec<SortedIndex>| sorters.iter().map(|index| index.unindexable).collect();
        Ok(KeyState {
            pool: self.pool.state(),
            unindexable: self.sorters.iter().map(counts).collect(),
        })
    }
}

/// The running stage.
pub(super) struct KeyStage<'scope> {
    thread: ScopedJoinHandle<'scope, Result<SortedKeys>>,
}

impl<'scope> KeyStage<'scope> {
    pub(super) fn start<'env: 'scope>(
        scope: &'scope Scope<'scope, 'env>,
        plan: &'env Plan,
        keys: SortedKeys,
    ) -> (KeyFeeder, Self) {
        let (sender, fed) = bounded(4);
        let (recycle, empty) = bounded(4);
        let mut sorter = Sorter {
            plan,
            keys,
            collection: None,
            extractors: ExtractorSet::new([]),
        };
        let thread = scope.spawn(move || {
            for feed in fed {
                match feed {
                    Feed::Pages(pages) => {
                        sorter.pages(&pages)?;
                        // A feeder that has ended needs no empty buffers.
                        let _ = recycle.try_send(pages);
                    }
                    Feed::State(answer) => {
                        // A writer that has failed does not wait for the answer.
                        let _ = answer.send(sorter.keys.state());
                    }
                }
            }
            Ok(sorter.keys)
        });
        let feeder = KeyFeeder {
            pages: Pages::default(),
            sender,
            empty,
            extractors: ExtractorSet::new([]),
            infer_types: plan.infer_types,
        };
        (feeder, Self { thread })
    }

    /// Ends the stage when all pages that the feeder has sent are sorted in.
    pub(super) fn finish(self, feeder: KeyFeeder) -> Result<SortedKeys> {
        drop(feeder);
        self.thread
            .join()
            .unwrap_or_else(|_| Err(Error::new(Code::Internal, "the key stage has panicked")))
    }
}

/// Bytes for keys that wait to be sorted.
fn sort_budget(options: &Options) -> usize {
    usize::try_from(options.memory / 2).unwrap_or(usize::MAX)
}

struct Sorter<'p> {
    plan: &'p Plan,
    keys: SortedKeys,
    collection: Option<usize>,
    extractors: ExtractorSet,
}

impl Sorter<'_> {
    fn pages(&mut self, pages: &Pages) -> Result<()> {
        let missing = || Error::new(Code::Internal, "pages of a collection that is not planned");
        if self.collection != Some(pages.collection) {
            let collection = self
                .plan
                .collections
                .get(pages.collection)
                .ok_or_else(missing)?;
            self.extractors = extractors(collection, self.plan.infer_types)?;
            self.collection = Some(pages.collection);
        }
        let sorters = self
            .keys
            .sorters
            .get_mut(pages.collection)
            .ok_or_else(missing)?;
        let pool = &mut self.keys.pool;
        let mut overflow = pages.overflow.iter().peekable();
        let bytes = pages.bytes.as_chunks::<PAGE_SIZE>().0;
        for (number, (&page, bytes)) in pages.ids.iter().zip(bytes).enumerate() {
            let mut late = Vec::new();
            while let Some(key) = overflow.next_if(|late| late.page == number) {
                late.push(key);
            }
            sort_page(page, bytes, &late, &mut self.extractors, sorters, pool)?;
        }
        Ok(())
    }
}

/// Sorts in the keys of a page's documents, in the order of their slots.
fn sort_page(
    page: PageId,
    bytes: &PageBytes,
    overflow: &[&OverflowKey],
    extractors: &mut ExtractorSet,
    sorters: &mut [SortedIndex],
    pool: &mut SortPool,
) -> Result<()> {
    let broken = |error| Error::new(Code::Internal, "a page was built wrong").because(error);
    let mut visit = |address, index: usize, extraction, key: &KeyBuffer| {
        let Some(index) = sorters.get_mut(index) else {
            return Ok(());
        };
        match extraction {
            Extraction::Key => return pool.push(index.sorter, key, address),
            Extraction::Unindexable => index.unindexable += 1,
            Extraction::Missing | Extraction::FilteredOut => {}
        }
        pool.pass(index.sorter, address)
    };
    for slot in SlottedPage::open(bytes).map_err(broken)?.slots() {
        let (slot, content) = slot.map_err(broken)?;
        let address = DocumentAddress { page, slot };
        match content {
            SlotContent::Document(bson) => {
                extractors.extract(RawDocument::trusted(bson), |index, extraction, key| {
                    visit(address, index, extraction, key)
                })?;
            }
            SlotContent::Overflow(_) => {
                for late in overflow.iter().filter(|late| late.slot == slot) {
                    visit(address, late.index, late.extraction, &late.key)?;
                }
            }
        }
    }
    Ok(())
}

/// Extractors of a collection's indexes, in the order of the plan.
pub(super) fn extractors(
    collection: &PlannedCollection,
    infer_types: InferTypes,
) -> Result<ExtractorSet> {
    let extractors = collection
        .indexes
        .iter()
        .map(|index| extractor(index, collection.infer_types_of(index, infer_types)));
    Ok(ExtractorSet::new(extractors.collect::<Result<Vec<_>>>()?))
}

/// The extractor of one index.
pub(super) fn extractor(index: &IndexDefinition, infer_types: InferTypes) -> Result<KeyExtractor> {
    let filter = index
        .filter
        .as_ref()
        .map(|text| Arc::new(Filter::parse(text, infer_types)) as Arc<dyn DocumentFilter>);
    KeyExtractor::new(index, filter, |text| {
        parse_rfc3339(text).map(|time| time.seconds)
    })
}
