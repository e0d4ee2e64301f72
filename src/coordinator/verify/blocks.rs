//! The file in blocks, front to back, read by threads that are ahead with that, and hashed.

use super::panicked;
use crate::Result;
use crate::ahead::fill_ahead;
use crate::coordinator::context::Context;
use crate::files::{AlignedBuffer, DirectFile, InputFile};
use crate::hash::Xxh3;
use crate::threads::start_scoped;
use crate::v2::PageId;
use crate::v2::page::PAGE_SIZE;
use crate::v2::page_file::page_offset;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::VecDeque;
use std::thread::Scope;

/// Pages that are read at once.
const PAGES: u32 = 128;
/// Threads that read. While one gets ready for its next block, the disk works for the other.
const READERS: usize = 2;
/// Blocks that each of them reads before they are asked for: the disk has to wait for nothing else.
const READ_AHEAD: usize = 2;
/// Empty buffers that wait to be filled.
const EMPTY: usize = 8;

/// A run of pages as read from the file.
pub(super) struct Block {
    pub(super) first: PageId,
    pub(super) bytes: AlignedBuffer,
}

/// Gives the blocks of the file, and hashes them.
pub(super) struct BlockReader<'f> {
    file: &'f InputFile,
    /// Of each reader. They take turns.
    filled: VecDeque<Receiver<Result<Block>>>,
    emptied: Sender<AlignedBuffer>,
    hasher: Xxh3,
    /// The page that comes next.
    next: u32,
}

impl<'f> BlockReader<'f> {
    /// Starts to read. The file is cut at `ends`, page numbers in ascending order, the last of
    /// which is its end.
    pub(super) fn start(
        scope: &'f Scope<'f, '_>,
        file: &'f DirectFile,
        ends: &[u32],
    ) -> Result<Self> {
        let (emptied, empty) = bounded(EMPTY);
        let mut all_filled = VecDeque::with_capacity(READERS);
        for reader in 0..READERS {
            let (sender, filled) = bounded(READ_AHEAD);
            let empty = Receiver::clone(&empty);
            let mut runs = Runs::new(ends.to_vec()).skip(reader).step_by(READERS);
            let read = move |mut bytes: AlignedBuffer| {
                let Some((first, pages)) = runs.next() else {
                    return Ok(None);
                };
                bytes.resize(pages as usize * PAGE_SIZE);
                file.read_exact_at(&mut bytes, page_offset(first))?;
                Ok(Some(Block { first, bytes }))
            };
            start_scoped(scope, "reader", move || fill_ahead(&empty, &sender, read))?;
            all_filled.push_back(filled);
        }
        Ok(Self {
            file: file.file(),
            filled: all_filled,
            emptied,
            hasher: Xxh3::new(),
            next: 0,
        })
    }

    /// The file, for reads in other places.
    pub(super) fn file(&self) -> &'f InputFile {
        self.file
    }

    /// Where buffers go that are of no use any more.
    pub(super) fn emptied(&self) -> Sender<AlignedBuffer> {
        Sender::clone(&self.emptied)
    }

    /// The next block, which ends before page `end`, one of those where the file is cut; `None`
    /// there.
    fn block(&mut self, end: u32) -> Result<Option<Block>> {
        if self.next >= end {
            return Ok(None);
        }
        // A reader ends early only behind an error.
        let filled = self.filled.front().map(Receiver::recv);
        let block = filled
            .and_then(std::result::Result::ok)
            .unwrap_or_else(|| Err(panicked()))?;
        self.filled.rotate_left(1);
        self.hasher.update(&block.bytes);
        self.next = block.first.0 + pages_of(&block);
        Ok(Some(block))
    }

    /// Takes the hash of what lies before page `end` and was checked by an interrupted run.
    pub(super) fn pass(&mut self, context: &mut Context<'_, '_>, end: u32) -> Result<()> {
        while let Some(block) = self.block(end)? {
            context.advance(block.bytes.len() as u64, 0)?;
            // A reader at its end needs no empty buffers.
            let _ = self.emptied.try_send(block.bytes);
        }
        Ok(())
    }

    /// Sends all blocks before page `end`, and calls `pause` between them.
    pub(super) fn send_until(
        &mut self,
        context: &mut Context<'_, '_>,
        end: u32,
        sender: &Sender<Block>,
        mut pause: impl FnMut(&mut Context<'_, '_>) -> Result<()>,
    ) -> Result<()> {
        while let Some(block) = self.block(end)? {
            let bytes = block.bytes.len() as u64;
            if sender.send(block).is_err() {
                // A receiver that has gone has failed; joining it tells how.
                return Ok(());
            }
            context.count(bytes, 0);
            pause(context)?;
        }
        Ok(())
    }

    /// XXH3-128 of everything so far, as 32 hex digits.
    pub(super) fn hash(&self) -> String {
        format!("{:032x}", self.hasher.digest128())
    }
}

/// The blocks of a file: first page and number of pages.
struct Runs {
    ends: std::vec::IntoIter<u32>,
    end: u32,
    next: u32,
}

impl Runs {
    fn new(ends: Vec<u32>) -> Self {
        Self {
            ends: ends.into_iter(),
            end: 0,
            next: 0,
        }
    }
}

impl Iterator for Runs {
    type Item = (PageId, u32);

    fn next(&mut self) -> Option<Self::Item> {
        while self.next >= self.end {
            self.end = self.ends.next()?;
        }
        let (first, pages) = (self.next, (self.end - self.next).min(PAGES));
        self.next += pages;
        Some((PageId(first), pages))
    }
}

fn pages_of(block: &Block) -> u32 {
    // A block has few pages.
    u32::try_from(block.bytes.len() / PAGE_SIZE).unwrap_or_default()
}
