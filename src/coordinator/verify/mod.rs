//! The verify phase: the staged files are read back from disk, once, front to back.
//!
//! ```text
//!                     data pages  ┌→ data workers: checksums, slots, digest of the documents,
//! reader → main thread ───────────┤                and a sum of hashes over all keys they have
//!              │      index pages └→ leaf thread: checksums, and the same sum over all entries
//!              └→ XXH3-128            └→ tree checker: structure, order, uniqueness
//! ```
//!
//! Sums of hashes do not depend on order. So the documents are compared with what was parsed, and
//! the entries of each index with the keys of the documents, in both directions, without a random
//! read; only overflow documents are fetched from the pages that their slots point at.

mod blocks;
mod data;
mod leaves;
mod trees;

use super::context::{Context, Sample};
use super::indexes::Built;
use super::metadata;
use super::plan::Plan;
use super::work::{STAGED_DATA, WorkDir};
use crate::files::{DirectFile, InputFile};
use crate::index::EntrySum;
use crate::options::Verification;
use crate::progress::{Phase, Totals};
use crate::threads::start_scoped;
use crate::v2::PageId;
use crate::v2::page::{ChecksumPolicy, PAGE_SIZE};
use crate::v2::page_file::PageFileReader;
use crate::{Code, Error, Place, Result};
use blocks::{Block, BlockReader};
use crossbeam_channel::{Receiver, bounded};
use data::{DataSums, DataWorker};
use leaves::LeafThread;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use trees::{TreeSources, TreeThread};

/// Blocks that wait for a thread that checks them.
const BLOCKS: usize = 8;

/// More threads than this only wait for the disk.
const MOST_JOBS: usize = 16;

/// Blocks that wait for the tree checker behind the leaf thread.
const SUMMED_BLOCKS: usize = 2;

/// How far the phase has got, for a checkpoint.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct VerifyProgress {
    /// Data pages up to here were checked; 0 before the start.
    data_pages: u32,
    sums: DataSums,
    /// The entries of the trees that were checked, in plan order.
    trees: Vec<EntrySum>,
    /// XXH3-128 of all pages that were checked.
    prefix: String,
}

/// A checkpoint of this phase, in the form of [`State`](super::state::State).
#[derive(Serialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
enum VerifyState<'s> {
    Verify {
        built: &'s Built,
        verified: &'s VerifyProgress,
    },
}

/// Data pages that are checked between two chances for a checkpoint: 64 MiB.
const SEGMENT: u32 = 16_384;

/// Runs the phase, on from what `verified` says; gives the XXH3-128 of the staged `data.db` if it
/// was read.
pub(super) fn run(
    context: &mut Context<'_, '_>,
    plan: &Plan,
    work: &WorkDir,
    built: &Built,
    mut verified: VerifyProgress,
) -> Result<Option<String>> {
    let direct = work.dir.open_direct(STAGED_DATA)?;
    let file = direct.file();
    let totals = Totals {
        bytes: file.size(),
        ..Totals::default()
    };
    context
        .tracker
        .start_phase(Phase::Verify, totals, Totals::default());
    if context.options.verification == Verification::None {
        return Ok(None);
    }
    metadata::verify(plan, work, built)?;
    if file.size() != u64::from(built.page_count) * PAGE_SIZE as u64 {
        return Err(different(
            file,
            "the file has not the size that was written",
        ));
    }
    // An interrupted run with another --sample has summed up something else.
    if verified.sums.is_empty() || verified.sums.is_sample() != context.sample.is_partial() {
        verified = VerifyProgress::start(plan, context.sample);
    }
    let hash = read_all(context, plan, built, &direct, &mut verified)?;
    compare(plan, built, file, &verified)?;
    Ok(Some(hash))
}

fn different(file: &InputFile, sentence: impl Into<String>) -> Error {
    Error::new(Code::VerifyFailed, sentence)
        .at(Place::file(file.path()))
        .hint("the source is untouched; check the disk and its cables, then run the command again")
}

/// Reads the file once, front to back, and lets the threads check it. Of what an interrupted run
/// has checked, only the hash is taken again.
fn read_all(
    context: &mut Context<'_, '_>,
    plan: &Plan,
    built: &Built,
    file: &DirectFile,
    verified: &mut VerifyProgress,
) -> Result<String> {
    loop {
        let hash = std::thread::scope(|scope| {
            let mut blocks = BlockReader::start(scope, file, &verified.ends(built))?;
            blocks.pass(context, verified.end(built))?;
            if !verified.is_empty() && blocks.hash() != verified.prefix {
                return Ok(None);
            }
            check_all(context, plan, built, &mut blocks, verified)?;
            Ok(Some(blocks.hash()))
        })?;
        if let Some(hash) = hash {
            return Ok(hash);
        }
        tracing::warn!("staged pages changed since they were checked; all are checked again");
        *verified = VerifyProgress::start(plan, context.sample);
    }
}

/// Checks what was not checked yet.
fn check_all(
    context: &mut Context<'_, '_>,
    plan: &Plan,
    built: &Built,
    blocks: &mut BlockReader<'_>,
    verified: &mut VerifyProgress,
) -> Result<()> {
    let first_tree_page = first_tree_page(built).0;
    while verified.data_pages < first_tree_page {
        let end = segment_end(verified.data_pages, first_tree_page);
        verified
            .sums
            .merge(check_data(context, plan, built, blocks, end)?);
        verified.data_pages = end;
        if context.wants_checkpoint() {
            verified.prefix = blocks.hash();
            context.save(&VerifyState::Verify { built, verified })?;
        }
        context.interrupt.check()?;
    }
    check_trees(context, plan, built, blocks, verified)
}

/// Where the segment of data pages ends that begins at page `start`.
fn segment_end(start: u32, first_tree_page: u32) -> u32 {
    first_tree_page.min(start.saturating_add(SEGMENT))
}

impl VerifyProgress {
    fn start(plan: &Plan, sample: Sample) -> Self {
        Self {
            sums: DataSums::new(plan, sample),
            ..Self::default()
        }
    }

    fn is_empty(&self) -> bool {
        self.data_pages == 0
    }

    /// The first page that was not checked.
    fn end(&self, built: &Built) -> u32 {
        match self.trees.len() {
            0 => self.data_pages,
            trees => tree_ends(built).nth(trees - 1).unwrap_or(self.data_pages),
        }
    }

    /// Where the file is cut into what is checked at once: behind what was checked, behind each
    /// segment of data pages, and behind each tree.
    fn ends(&self, built: &Built) -> Vec<u32> {
        let first_tree_page = first_tree_page(built).0;
        let mut end = self.data_pages;
        let mut ends = vec![end];
        while end < first_tree_page {
            end = segment_end(end, first_tree_page);
            ends.push(end);
        }
        ends.extend(tree_ends(built));
        ends
    }
}

/// The page behind each tree, in plan order.
fn tree_ends(built: &Built) -> impl Iterator<Item = u32> {
    let indexes = built
        .collections
        .iter()
        .flat_map(|collection| &collection.indexes);
    indexes.scan(first_tree_page(built).0, |end, index| {
        *end = end.saturating_add(index.tree.page_count());
        Some(*end)
    })
}

/// Checks the data pages up to `end` on all threads.
fn check_data(
    context: &mut Context<'_, '_>,
    plan: &Plan,
    built: &Built,
    blocks: &mut BlockReader<'_>,
    end: u32,
) -> Result<DataSums> {
    let jobs = context.options.jobs.min(MOST_JOBS);
    let (sender, checked) = bounded::<Block>(BLOCKS);
    let (sample, file) = (context.sample, blocks.file());
    let large = Mutex::new(());
    std::thread::scope(|scope| {
        let mut workers = Vec::with_capacity(jobs);
        for _ in 0..jobs {
            let pages = PageFileReader::open(file.clone(), ChecksumPolicy::Required)?;
            let worker = DataWorker::new(plan, built, pages, sample, &large);
            let (checked, emptied) = (Receiver::clone(&checked), blocks.emptied());
            let run = move || worker.run(&checked, &emptied);
            workers.push(start_scoped(scope, "verifier", run)?);
        }
        drop(checked);
        let read = blocks.send_until(context, end, &sender, |_| Ok(()));
        drop(sender);
        // Where reading stopped early, what the threads miss is no damage.
        read?;
        let mut sums = DataSums::new(plan, sample);
        for worker in workers {
            sums.merge(worker.join().unwrap_or_else(|_| Err(panicked()))?);
        }
        Ok(sums)
    })
}

/// Checks the trees that are not finished, on two threads: one looks at each page by itself, the
/// other at the trees.
fn check_trees(
    context: &mut Context<'_, '_>,
    plan: &Plan,
    built: &Built,
    blocks: &mut BlockReader<'_>,
    verified: &mut VerifyProgress,
) -> Result<()> {
    let (sender, checked) = bounded::<Block>(BLOCKS);
    let emptied = blocks.emptied();
    let finished = Arc::new(Mutex::new(std::mem::take(&mut verified.trees)));
    let sources = TreeSources::new(plan, blocks.file())?;
    let leaves = LeafThread::new(plan, built);
    let trees = TreeThread::new(plan, built, &sources, Arc::clone(&finished))?;
    let so_far = || {
        finished
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    };
    // The hash up to the end of each tree, taken when the reader passes it.
    let passed = so_far().len();
    let mut prefixes = Vec::new();
    let checked = std::thread::scope(|scope| {
        let (summed, to_check) = bounded(SUMMED_BLOCKS);
        let leaves = start_scoped(scope, "leaves", move || leaves.run(&checked, &summed))?;
        let trees = start_scoped(scope, "trees", move || trees.run(&to_check, &emptied))?;
        let mut read = Ok(());
        for end in tree_ends(built).skip(passed) {
            read = blocks.send_until(context, end, &sender, |context| {
                if context.wants_checkpoint() {
                    let finished = so_far();
                    let fresh = finished.len().checked_sub(passed + 1);
                    // Without a tree that was finished since, the last checkpoint says it all.
                    if let Some(prefix) = fresh.and_then(|at| prefixes.get(at)) {
                        verified.prefix = String::clone(prefix);
                        verified.trees = finished;
                        context.save(&VerifyState::Verify { built, verified })?;
                    }
                }
                context.interrupt.check()
            });
            if read.is_err() {
                break;
            }
            prefixes.push(blocks.hash());
        }
        drop(sender);
        // Where reading stopped early, what the thread misses is no damage.
        read?;
        let trees = trees.join().unwrap_or_else(|_| Err(panicked()));
        leaves.join().map_err(|_| panicked())?;
        trees
    });
    verified.trees = so_far();
    checked
}

fn panicked() -> Error {
    Error::new(Code::Internal, "a verification thread has panicked")
}

/// Documents come first in the file, trees behind them.
fn first_tree_page(built: &Built) -> PageId {
    let pages = built
        .collections
        .iter()
        .map(|collection| collection.written.pages);
    PageId(
        pages
            .map(|pages| pages.first_page.0.saturating_add(pages.page_count))
            .max()
            .unwrap_or(1)
            .max(1),
    )
}

/// Compares what was read with what was written.
fn compare(plan: &Plan, built: &Built, file: &InputFile, verified: &VerifyProgress) -> Result<()> {
    let sums = &verified.sums;
    let mut trees = verified.trees.iter();
    for (position, (planned, built)) in plan.collections.iter().zip(&built.collections).enumerate()
    {
        let in_collection =
            |error: Error| error.map_place(|place| place.in_collection(&planned.name));
        let found = sums.collection(position);
        let tally = &built.written.tally;
        if (found.documents, found.bytes) != (tally.documents, tally.bytes) {
            return Err(in_collection(different(
                file,
                format!(
                    "{} documents with {} bytes were read back, {} with {} were written",
                    found.documents, found.bytes, tally.documents, tally.bytes
                ),
            )));
        }
        if found.deleted != tally.duplicates {
            let sentence = format!(
                "{} slots are deleted, {} documents were taken out again",
                found.deleted, tally.duplicates
            );
            return Err(in_collection(different(file, sentence)));
        }
        let expected = if sums.is_sample() {
            tally.sample_digest
        } else {
            tally.digest
        };
        if found.digest != expected {
            let sentence = "the documents read back are not those that were parsed: \
                            their digest is another one";
            return Err(in_collection(different(file, sentence)));
        }
        if found.chain_pages != found.overflow_pages {
            let sentence = "overflow pages and the documents that need them do not match";
            return Err(in_collection(different(file, sentence)));
        }
        let indexes = planned.indexes.iter().zip(&built.indexes);
        for (((index, built), sum), entries) in indexes.zip(&found.indexes).zip(trees.by_ref()) {
            let sentence = if sum.entries != *entries {
                format!(
                    "the index has {} entries, its documents have {} keys, and they do not match",
                    entries.count, sum.entries.count
                )
            } else if built
                .tree
                .totals()
                .is_some_and(|totals| totals != sum.totals)
            {
                "the index's totalDocs and totalLength are not those of its documents".to_owned()
            } else {
                continue;
            };
            let error = in_collection(different(file, sentence));
            return Err(error.map_place(|place| place.in_index(&index.name)));
        }
    }
    Ok(())
}
