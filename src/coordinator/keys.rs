//! The key stage: a thread of its own that takes closed pages and sorts their documents' keys.

use super::dry_run::DryRun;
use super::extract::{Extractors, Taken};
use super::plan::{Plan, PlannedCollection};
use super::state::{IndexCounts, KeyState, NAMED_UNINDEXABLE, WrittenCollection};
use super::work::{SORT_RUNS, WorkDir};
use crate::document::InferTypes;
use crate::document::bson::RawDocument;
use crate::files::OutputFile;
use crate::index::TextTotals;
use crate::index::extract::Extraction;
use crate::index::key::{KeyBuffer, SortKey};
use crate::index::sort::{SortPool, SorterId, SpillFile};
use crate::index::text::LONGEST_SHORT_TERM;
use crate::options::Options;
use crate::v2::data_file::{ClosedPage, DocumentReader, scan_with_deleted};
use crate::v2::page::{ChecksumPolicy, PAGE_SIZE, PageBytes};
use crate::v2::page_file::{PageFileReader, PageFileWriter, page_offset};
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
    /// The staged file, if an overflow document has to be read again for its terms.
    staged: Option<PageFileReader>,
}

#[derive(Debug)]
struct OverflowKey {
    /// Position in `ids`.
    page: usize,
    slot: SlotNumber,
    /// Position in the collection's indexes.
    index: usize,
    /// The key, or why there is none. All keys of a text index's document could be many times its
    /// size, so they are not among these.
    key: std::result::Result<KeyBuffer, Extraction>,
}

/// The writer's end of the stage.
pub(super) struct KeyFeeder {
    pages: Pages,
    sender: Sender<Feed>,
    empty: Receiver<Pages>,
    /// For overflow documents, whose bytes only the writer has at hand.
    extractors: Extractors,
    infer_types: InferTypes,
    /// Overflow documents of the collection that an index cannot hold, by index; of a dry run.
    unindexable: Vec<usize>,
}

impl KeyFeeder {
    /// A collection starts.
    pub(super) fn begin(&mut self, position: usize, collection: &PlannedCollection) -> Result<()> {
        self.extractors = Extractors::new(collection, self.infer_types)?;
        self.pages.collection = position;
        self.unindexable = vec![0; collection.indexes.len()];
        Ok(())
    }

    /// True if an overflow document, which comes next, is read again before the run ends.
    pub(super) fn reads_again(&mut self, document: RawDocument<'_>) -> Result<bool> {
        let mut reads_again = self.extractors.has_texts();
        let unindexable = &mut self.unindexable;
        self.extractors.extract_single(document, |index, taken| {
            reads_again |= match (taken, unindexable.get_mut(index)) {
                (Taken::Key(_, key), _) => is_beginning(key),
                (Taken::End(Extraction::Unindexable, _), Some(count)) => {
                    *count += 1;
                    *count <= NAMED_UNINDEXABLE
                }
                (Taken::End(..), _) => false,
            };
            Ok(())
        })?;
        Ok(reads_again)
    }

    /// A page was closed; overflow documents since the one before lie in its slots.
    pub(super) fn page(&mut self, closed: ClosedPage<'_>) -> Result<()> {
        self.pages.ids.push(closed.id);
        self.pages.bytes.extend_from_slice(closed.bytes);
        if self.pages.ids.len() < PAGES || self.is_waiting() {
            Ok(())
        } else {
            self.send()
        }
    }

    /// True when the closed pages should go, but [`Self::flush`] has to send them.
    pub(super) fn is_waiting(&self) -> bool {
        self.pages.ids.len() >= PAGES && self.needs_staged()
    }

    /// The closed pages have overflow documents whose terms are still to be taken.
    fn needs_staged(&self) -> bool {
        let first = self.pages.overflow.first();
        self.extractors.has_texts() && first.is_some_and(|late| late.page < self.pages.ids.len())
    }

    /// Sends the closed pages, after making sure that they can be read in the staged file.
    pub(super) fn flush(&mut self, data: &mut PageFileWriter) -> Result<()> {
        if self.needs_staged() {
            data.flush()?;
            let file = data.file().reader()?;
            self.pages.staged = Some(PageFileReader::open(file, ChecksumPolicy::Required)?);
        }
        self.send()
    }

    /// An overflow document got a slot in the open page.
    pub(super) fn overflow(&mut self, slot: SlotNumber, document: RawDocument<'_>) -> Result<()> {
        let page = self.pages.ids.len();
        let overflow = &mut self.pages.overflow;
        self.extractors.extract_single(document, |index, taken| {
            let key = match taken {
                Taken::Key(_, key) => Ok(key.to_buffer()),
                Taken::End(extraction, _) => Err(extraction),
            };
            overflow.push(OverflowKey {
                page,
                slot,
                index,
                key,
            });
            Ok(())
        })
    }

    /// The collection ends; all its pages are closed.
    pub(super) fn end(&mut self, data: &mut PageFileWriter) -> Result<()> {
        self.flush(data)
    }

    /// The state of the stage after all closed pages, for a checkpoint; comes when it is ready.
    pub(super) fn state(
        &mut self,
        data: &mut PageFileWriter,
    ) -> Result<Receiver<Result<KeyState>>> {
        self.flush(data)?;
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
        next.staged = None;
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
#[derive(Clone, Debug)]
pub(super) struct SortedIndex {
    pub(super) sorter: SorterId,
    pub(super) counts: IndexCounts,
}

impl SortedIndex {
    /// True if the document is read again for what this index takes from it.
    #[inline]
    fn reads_again(&self, taken: &Taken<'_>) -> bool {
        match taken {
            Taken::Key(_, key) => is_beginning(key),
            Taken::End(Extraction::Unindexable, _) => {
                self.counts.first_unindexable.len() < NAMED_UNINDEXABLE
            }
            Taken::End(..) => false,
        }
    }

    /// Sorts in what a document has for the index.
    #[inline]
    fn add(
        &mut self,
        pool: &mut SortPool,
        address: DocumentAddress,
        taken: Taken<'_>,
    ) -> Result<()> {
        match taken {
            Taken::Key(_, key) => pool.push_key(self.sorter, key, address),
            Taken::End(extraction, totals) => {
                self.counts.totals += totals;
                if extraction == Extraction::Unindexable {
                    self.counts.add_unindexable(address);
                }
                pool.pass(self.sorter, address)
            }
        }
    }
}

/// True if the sort key may be only the beginning of a key or of a term.
#[inline]
fn is_beginning(key: &SortKey<'_>) -> bool {
    key.is_cut() || key.normal_len() >= LONGEST_SHORT_TERM
}

impl SortedKeys {
    /// The keys of an interrupted run, as far as they are in runs; a new set for a new one.
    fn restore(plan: &Plan, options: &Options, work: &WorkDir, state: KeyState) -> Result<Self> {
        let runs = work.clone();
        let bytes = state.pool.spill_bytes;
        let spill = SpillFile::new(move || runs.append_to(SORT_RUNS, bytes, RUN_BUFFER));
        let mut pool = if state.pool.sorters.is_empty() {
            SortPool::new(sort_budget(options, plan), spill)
        } else {
            SortPool::restore(sort_budget(options, plan), spill, state.pool)?
        };
        if options.jobs > 1 {
            pool.spill_ahead();
        }
        let mut number = 0;
        let mut sorters = Vec::with_capacity(plan.collections.len());
        for (position, collection) in plan.collections.iter().enumerate() {
            let counts = state.counts.get(position);
            let mut sorted = Vec::with_capacity(collection.indexes.len());
            for index in 0..collection.indexes.len() {
                if pool.len() <= number as usize {
                    pool.add_index();
                }
                let counts = counts.and_then(|counts| counts.get(index)).cloned();
                sorted.push(SortedIndex {
                    sorter: SorterId(number),
                    counts: counts.unwrap_or_default(),
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
                .map(|sorter| keys.pool.covered(sorter).unwrap_or_default().address)
                .min();
            let Some(covered) = covered else { continue };
            let start = covered.page.0.max(pages.first_page.0);
            if start >= end {
                continue;
            }
            let mut extractors = Extractors::new(planned, plan.infer_types)?;
            let pool = &mut keys.pool;
            // Keys of documents that are gone wait among the others, and are counted on.
            scan_with_deleted(file, (PageId(start), end - start), |address, bson| {
                extractors.extract(RawDocument::trusted(bson), |index, taken| {
                    match sorters.get(index).map(|index| index.sorter) {
                        Some(sorter) if sorter >= first => again(pool, sorter, address, taken),
                        _ => Ok(()),
                    }
                })
            })?;
        }
        Ok(keys)
    }

    /// All documents are written: nothing else needs memory any more.
    pub(super) fn take_all_memory(&mut self, options: &Options) {
        let memory = usize::try_from(options.memory).unwrap_or(usize::MAX);
        self.pool.set_budget(memory);
    }

    /// What is in runs, made durable.
    pub(super) fn state(&mut self) -> Result<KeyState> {
        self.pool.sync()?;
        let counts = |sorters: &Vec<SortedIndex>| {
            let counts = sorters.iter().map(|index| &index.counts);
            counts.cloned().collect()
        };
        Ok(KeyState {
            pool: self.pool.state(),
            counts: self.sorters.iter().map(counts).collect(),
        })
    }
}

/// Gives a sorter what a document has for it, unless it is in the runs. Everything else that there
/// is to know of the document, the checkpoint has.
fn again(
    pool: &mut SortPool,
    sorter: SorterId,
    address: DocumentAddress,
    taken: Taken<'_>,
) -> Result<()> {
    let covered = pool.covered(sorter);
    match taken {
        Taken::Key(before, key) => match covered {
            Some(covered) if covered.has(address, before) => Ok(()),
            _ => pool.push_key(sorter, key, address),
        },
        Taken::End(..) => match covered {
            Some(covered) if address <= covered.address => Ok(()),
            _ => pool.pass(sorter, address),
        },
    }
}

/// The file of a dry run, for the pages that are read again.
pub(super) struct KeptPages {
    pub(super) file: OutputFile,
    pub(super) dry: Arc<DryRun>,
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
        kept: Option<KeptPages>,
    ) -> (KeyFeeder, Self) {
        let (sender, fed) = bounded(4);
        let (recycle, empty) = bounded(4);
        let mut sorter = Sorter {
            plan,
            keys,
            collection: None,
            extractors: Extractors::none(),
            kept,
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
            sorter.keys.pool.settle()?;
            Ok(sorter.keys)
        });
        let feeder = KeyFeeder {
            pages: Pages::default(),
            sender,
            empty,
            extractors: Extractors::none(),
            infer_types: plan.infer_types,
            unindexable: Vec::new(),
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

/// Bytes for keys that wait to be sorted: what the overlay of the write-ahead log and the batches
/// between the threads leave.
fn sort_budget(options: &Options, plan: &Plan) -> usize {
    let others = options.memory / 8 + plan.overlay_bytes;
    usize::try_from(options.memory.saturating_sub(others)).unwrap_or(usize::MAX)
}

struct Sorter<'p> {
    plan: &'p Plan,
    keys: SortedKeys,
    collection: Option<usize>,
    extractors: Extractors,
    kept: Option<KeptPages>,
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
            self.extractors = Extractors::new(collection, self.plan.infer_types)?;
            self.collection = Some(pages.collection);
        }
        let sorters = self
            .keys
            .sorters
            .get_mut(pages.collection)
            .ok_or_else(missing)?;
        let mut page_sorter = PageSorter {
            extractors: &mut self.extractors,
            sorters,
            pool: &mut self.keys.pool,
            reader: pages.staged.as_ref().map(DocumentReader::new),
            again: self.kept.is_some().then_some(false),
        };
        let mut overflow = pages.overflow.iter().peekable();
        let bytes = pages.bytes.as_chunks::<PAGE_SIZE>().0;
        for (number, (&page, bytes)) in pages.ids.iter().zip(bytes).enumerate() {
            let mut late = Vec::new();
            while let Some(key) = overflow.next_if(|late| late.page == number) {
                late.push(key);
            }
            touch(bytes);
            page_sorter.page(page, bytes, &late)?;
            if let Some(kept) = &self.kept
                && (page_sorter.again.replace(false) == Some(true) || kept.dry.again.keeps(page))
            {
                kept.file.write_all_at(bytes, page_offset(page))?;
            }
        }
        Ok(())
    }
}

/// Reads a byte of each cache line: all that another core has written comes at once then.
fn touch(page: &PageBytes) {
    let lines = page.iter().step_by(64);
    std::hint::black_box(lines.fold(0, |sum, byte| sum ^ byte));
}

/// Sorts in the keys of pages' documents, in the order of their slots.
struct PageSorter<'s> {
    extractors: &'s mut Extractors,
    sorters: &'s mut [SortedIndex],
    pool: &'s mut SortPool,
    /// For the terms of overflow documents.
    reader: Option<DocumentReader<'s>>,
    /// In a dry run: a document of the page is read again before the run ends.
    again: Option<bool>,
}

impl PageSorter<'_> {
    fn page(&mut self, page: PageId, bytes: &PageBytes, overflow: &[&OverflowKey]) -> Result<()> {
        let broken = |error| Error::new(Code::Internal, "a page was built wrong").because(error);
        let slotted = SlottedPage::open(bytes).map_err(broken)?;
        for slot in slotted.numbers() {
            let address = DocumentAddress { page, slot };
            if let Some(bson) = slotted.document(slot) {
                let (sorters, pool) = (&mut *self.sorters, &mut *self.pool);
                let again = &mut self.again;
                let document = RawDocument::trusted(bson);
                self.extractors.extract(document, |index, taken| {
                    add(sorters, pool, (index, address), taken, again)
                })?;
            } else if let Some(content) = slotted.get(slot).map_err(broken)? {
                self.overflow(address, overflow)?;
                self.overflow_terms(address, content)?;
            }
        }
        Ok(())
    }

    fn overflow(&mut self, address: DocumentAddress, keys: &[&OverflowKey]) -> Result<()> {
        let mut keys = keys.iter().filter(|late| late.slot == address.slot);
        keys.try_for_each(|late| {
            let taken = match &late.key {
                Ok(key) => Taken::Key(0, &SortKey::Built(key)),
                Err(extraction) => Taken::End(*extraction, TextTotals::default()),
            };
            let index = (late.index, address);
            add(self.sorters, self.pool, index, taken, &mut self.again)
        })
    }

    fn overflow_terms(&mut self, address: DocumentAddress, head: SlotContent<'_>) -> Result<()> {
        if !self.extractors.has_texts() {
            return Ok(());
        }
        let unread = || {
            Error::new(
                Code::Internal,
                "the document's overflow pages are not at hand",
            )
        };
        let reader = self.reader.as_mut().ok_or_else(unread)?;
        let bson = reader.resolve(address, head)?;
        let (sorters, pool) = (&mut *self.sorters, &mut *self.pool);
        let document = RawDocument::trusted(bson);
        let again = &mut self.again;
        self.extractors.extract_terms(document, |index, taken| {
            add(sorters, pool, (index, address), taken, again)
        })
    }
}

/// Sorts in what a document has for an index, and notes where that is wanted whether the document is
/// read again for it.
#[inline]
fn add(
    sorters: &mut [SortedIndex],
    pool: &mut SortPool,
    (index, address): (usize, DocumentAddress),
    taken: Taken<'_>,
    again: &mut Option<bool>,
) -> Result<()> {
    let Some(index) = sorters.get_mut(index) else {
        return Ok(());
    };
    if let Some(again) = again {
        *again |= index.reads_again(&taken);
    }
    index.add(pool, address, taken)
}
