//! The key stage: a thread of its own that takes closed pages and sorts their documents' keys.

use super::plan::{Plan, PlannedCollection};
use super::work::{SORT_RUNS, WorkDir};
use crate::document::InferTypes;
use crate::document::bson::RawDocument;
use crate::document::time::parse_rfc3339;
use crate::files::AppendWriter;
use crate::index::IndexDefinition;
use crate::index::extract::{DocumentFilter, Extraction, ExtractorSet, KeyExtractor};
use crate::index::filter::Filter;
use crate::index::key::KeyBuffer;
use crate::index::sort::{SortPool, SorterId, SpillFile};
use crate::options::Options;
use crate::v2::data_file::ClosedPage;
use crate::v2::page::{PAGE_SIZE, PageBytes};
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
    sender: Sender<Pages>,
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

    fn send(&mut self) -> Result<()> {
        let mut next = self.empty.try_recv().unwrap_or_default();
        next.collection = self.pages.collection;
        next.ids.clear();
        next.bytes.clear();
        next.overflow.clear();
        let full = std::mem::replace(&mut self.pages, next);
        let failed = |_| Error::new(Code::Internal, "the key stage has ended early");
        self.sender.send(full).map_err(failed)
    }
}

/// Keys of all collections, in sorted runs.
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

/// The running stage.
pub(super) struct KeyStage<'scope> {
    thread: ScopedJoinHandle<'scope, Result<SortedKeys>>,
}

impl<'scope> KeyStage<'scope> {
    pub(super) fn start<'env: 'scope>(
        scope: &'scope Scope<'scope, 'env>,
        plan: &'env Plan,
        options: &Options,
        work: &'env WorkDir,
    ) -> Result<(KeyFeeder, Self)> {
        let (sender, full) = bounded(4);
        let (recycle, empty) = bounded(4);
        let runs = work.clone();
        let runs = SpillFile::new(move || {
            let file = runs.dir.create(SORT_RUNS, runs.private())?;
            Ok(AppendWriter::new(file, 0, RUN_BUFFER))
        });
        let pool = SortPool::new(sort_budget(options), runs);
        let mut sorter = Sorter::new(plan, pool)?;
        let thread = scope.spawn(move || {
            for pages in full {
                sorter.pages(&pages)?;
                // A feeder that has ended needs no empty buffers.
                let _ = recycle.try_send(pages);
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
        Ok((feeder, Self { thread }))
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

impl<'p> Sorter<'p> {
    fn new(plan: &'p Plan, mut pool: SortPool) -> Result<Self> {
        let sorters = plan
            .collections
            .iter()
            .map(|collection| {
                let sorted = |_| SortedIndex {
                    sorter: pool.add_index(),
                    unindexable: 0,
                };
                collection.indexes.iter().map(sorted).collect()
            })
            .collect();
        let keys = SortedKeys { pool, sorters };
        Ok(Self {
            plan,
            keys,
            collection: None,
            extractors: ExtractorSet::new([]),
        })
    }

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
            let mut visit = |slot, index: usize, extraction, key: &KeyBuffer| {
                let address = DocumentAddress { page, slot };
                match (extraction, sorters.get_mut(index)) {
                    (Extraction::Key, Some(index)) => pool.push(index.sorter, key, address)?,
                    (Extraction::Unindexable, Some(index)) => index.unindexable += 1,
                    _ => {}
                }
                Ok(())
            };
            for_each_document(bytes, |slot, document| {
                self.extractors.extract(document, |index, extraction, key| {
                    visit(slot, index, extraction, key)
                })
            })?;
            while let Some(late) = overflow.next_if(|late| late.page == number) {
                visit(late.slot, late.index, late.extraction, &late.key)?;
            }
        }
        Ok(())
    }
}

/// Visits the documents that lie in a page that this program has just written.
fn for_each_document(
    page: &PageBytes,
    mut visit: impl FnMut(SlotNumber, RawDocument<'_>) -> Result<()>,
) -> Result<()> {
    let broken = |error| Error::new(Code::Internal, "a page was built wrong").because(error);
    // The page comes from another core. A byte of each cache line is read here, since the misses
    // overlap, while those of one document after the other would not.
    let lines = page.iter().step_by(64);
    std::hint::black_box(lines.fold(0, |sum, byte| sum ^ byte));
    for slot in SlottedPage::open(page).map_err(broken)?.slots() {
        if let (slot, SlotContent::Document(bytes)) = slot.map_err(broken)? {
            visit(slot, RawDocument::trusted(bytes))?;
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
        .map(|index| extractor(index, infer_types));
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
