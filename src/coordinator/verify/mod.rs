//! The verify phase: the staged files are read back from disk, once, front to back.
//!
//! ```text
//!             data pages          ┌→ data workers: checksums, slots, digest of the documents,
//! reader ─────────────────────────┤                and a sum of hashes over all keys they have
//!   │         index pages         └→ tree checker: structure, order, uniqueness,
//!   └→ XXH3-128 of the file                        and the same sum over all entries
//! ```
//!
//! Sums of hashes do not depend on order. So the documents are compared with what was parsed, and
//! the entries of each index with the keys of the documents, in both directions, without a random
//! read; only overflow documents are fetched from the pages that their slots point at.

mod data;
mod trees;

use super::context::Context;
use super::indexes::Built;
use super::metadata;
use super::plan::Plan;
use super::state::Digest;
use super::work::{STAGED_DATA, WorkDir};
use crate::files::InputFile;
use crate::index::key::StoredKeyRef;
use crate::options::Verification;
use crate::progress::{Phase, Totals};
use crate::v2::page::{ChecksumPolicy, PAGE_SIZE};
use crate::v2::page_file::{PageFileReader, page_offset};
use crate::v2::{DocumentAddress, PageId};
use crate::{Code, Error, Place, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use data::{DataSums, DataWorker};
use trees::TreeThread;
use xxhash_rust::xxh3::{Xxh3, xxh3_128_with_seed};

/// Pages that are read at once.
const PAGES: u32 = 64;

/// A run of pages as read from the file.
struct Block {
    first: PageId,
    bytes: Vec<u8>,
}

/// Entries of an index, or the keys that its documents have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct EntrySum {
    count: u64,
    hashes: Digest,
}

impl EntrySum {
    /// Adds an entry. The seed has everything but the key's bytes, so that no two entries are
    /// hashed alike: page 32 bits, slot 16, key type 8, and whether the key was cut.
    #[inline]
    fn add(&mut self, key: StoredKeyRef<'_>, address: DocumentAddress) {
        let seed = u64::from(address.page.0)
            | u64::from(address.slot.0) << 32
            | u64::from(key.key_type) << 48
            | u64::from(key.truncated) << 56;
        self.hashes += xxh3_128_with_seed(key.bytes, seed);
        self.count += 1;
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.hashes += other.hashes;
    }
}

/// Runs the phase; gives the XXH3-128 of the staged `data.db` if it was read.
pub(super) fn run(
    context: &mut Context<'_, '_>,
    plan: &Plan,
    work: &WorkDir,
    built: &Built,
) -> Result<Option<String>> {
    let file = work.dir.open_file(STAGED_DATA)?;
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
    // What the kernel remembers of the file is what was written, not what the disk holds.
    file.drop_cache();
    if file.size() != u64::from(built.page_count) * PAGE_SIZE as u64 {
        return Err(different(
            &file,
            "the file has not the size that was written",
        ));
    }
    let (hash, sums, trees) = read_all(context, plan, built, &file)?;
    compare(plan, built, &file, &sums, &trees)?;
    Ok(Some(hash))
}

fn different(file: &InputFile, sentence: impl Into<String>) -> Error {
    Error::new(Code::VerifyFailed, sentence)
        .at(Place::file(file.path()))
        .hint("the source is untouched; check the disk and its cables, then run the command again")
}

/// Reads the file once and lets the threads check it.
fn read_all(
    context: &mut Context<'_, '_>,
    plan: &Plan,
    built: &Built,
    file: &InputFile,
) -> Result<(String, DataSums, Vec<Vec<EntrySum>>)> {
    let (data_sender, data_blocks) = bounded::<Block>(4 * context.options.jobs);
    let (tree_sender, tree_blocks) = bounded::<Block>(16);
    let (recycle, empty) = bounded::<Vec<u8>>(64);
    let sample = context.sample;
    std::thread::scope(|scope| {
        let mut workers = Vec::new();
        for _ in 0..context.options.jobs {
            let pages = PageFileReader::open(file.clone(), ChecksumPolicy::Required)?;
            let worker = DataWorker::new(plan, built, pages, sample);
            let (blocks, recycle) = (Receiver::clone(&data_blocks), Sender::clone(&recycle));
            workers.push(scope.spawn(move || worker.run(&blocks, &recycle)));
        }
        let tree_thread = TreeThread::new(plan, built, file)?;
        let trees = scope.spawn(move || tree_thread.run(&tree_blocks, &recycle));
        drop(data_blocks);
        let first_tree_page = first_tree_page(built);
        let buffers = || empty.try_recv().unwrap_or_default();
        let read = read_blocks(context, file, first_tree_page, buffers, |block| {
            let at_tree = block.first >= first_tree_page;
            let sender = if at_tree { &tree_sender } else { &data_sender };
            // A receiver that has gone has failed; joining it tells how.
            sender.send(block).is_ok()
        });
        drop((data_sender, tree_sender));
        // Where reading stopped early, what the threads miss is no damage.
        let hash = read?;
        let mut sums = DataSums::new(plan);
        for worker in workers {
            sums.merge(worker.join().unwrap_or_else(|_| Err(panicked()))?);
        }
        let trees = trees.join().unwrap_or_else(|_| Err(panicked()))?;
        Ok((hash, sums, trees))
    })
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
            .map(|pages| pages.first_page.0 + pages.page_count)
            .max()
            .unwrap_or(1)
            .max(1),
    )
}

/// Reads the file in blocks that end where trees begin at the latest, and hashes it.
fn read_blocks(
    context: &mut Context<'_, '_>,
    file: &InputFile,
    boundary: PageId,
    mut empty: impl FnMut() -> Vec<u8>,
    mut send: impl FnMut(Block) -> bool,
) -> Result<String> {
    file.advise_sequential();
    let mut hasher = Xxh3::new();
    let boundary = page_offset(boundary);
    let mut offset = 0;
    loop {
        let left = usize::try_from(boundary.saturating_sub(offset)).unwrap_or(usize::MAX);
        let most = PAGES as usize * PAGE_SIZE;
        let most = if left == 0 { most } else { most.min(left) };
        // Buffers come back full, so that making one as long costs nothing.
        let mut bytes = empty();
        bytes.resize(most, 0);
        let filled = file.read_at(&mut bytes, offset)?;
        bytes.truncate(filled);
        if bytes.is_empty() {
            return Ok(format!("{:032x}", hasher.digest128()));
        }
        hasher.update(&bytes);
        let first = PageId(u32::try_from(offset / PAGE_SIZE as u64).unwrap_or(u32::MAX));
        if !send(Block { first, bytes }) {
            return Ok(String::new());
        }
        offset += filled as u64;
        context.advance(filled as u64, 0)?;
    }
}

/// Compares what was read with what was written.
fn compare(
    plan: &Plan,
    built: &Built,
    file: &InputFile,
    sums: &DataSums,
    trees: &[Vec<EntrySum>],
) -> Result<()> {
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
        let expected = if sums.is_sample {
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
        let entries = trees.get(position).map(Vec::as_slice).unwrap_or_default();
        for ((index, keys), entries) in planned.indexes.iter().zip(&found.keys).zip(entries) {
            if keys != entries {
                let sentence = format!(
                    "the index has {} entries, its documents have {} keys, and they do not match",
                    entries.count, keys.count
                );
                let error = in_collection(different(file, sentence));
                return Err(error.map_place(|place| place.in_index(&index.name)));
            }
        }
    }
    Ok(())
}
