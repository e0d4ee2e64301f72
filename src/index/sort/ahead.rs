//! A merge on a thread of its own, some entries ahead of who takes them.

use super::{Merge, MergePosition, SortedEntry};
use crate::index::key::StoredKeyRef;
use crate::v2::DocumentAddress;
use crate::{Code, Error, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::thread;

/// Batches that wait to be taken at most.
const BATCHES: usize = 3;
/// A batch ends with the entry that takes it over so many bytes.
const BATCH_BYTES: usize = 64 * 1024;

/// Entries that were copied out of a merge.
#[derive(Debug, Default)]
struct Batch {
    /// Stored form and payload of each entry.
    bytes: Vec<u8>,
    entries: Vec<Copied>,
    /// Where the merge is behind the last of them, if it stands between two batches of the size
    /// that was asked for.
    position: Option<MergePosition>,
    /// The last entry's key as JSON, where somebody may ask for it.
    last_key: Option<String>,
}

/// An entry of a batch; its bytes begin where those of the entry before end.
#[derive(Clone, Copy, Debug)]
struct Copied {
    stored_end: u32,
    payload_end: u32,
    address: DocumentAddress,
    key_type: u8,
    truncated: bool,
    same_key_as_previous: bool,
}

impl Batch {
    fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.position = None;
        self.last_key = None;
    }

    #[inline]
    fn push(&mut self, entry: &SortedEntry<'_>) {
        // A batch ends at 64 KiB and an entry is shorter than that.
        let end = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(entry.stored.bytes);
        let stored_end = end(&self.bytes);
        self.bytes.extend_from_slice(entry.payload);
        self.entries.push(Copied {
            stored_end,
            payload_end: end(&self.bytes),
            address: entry.address,
            key_type: entry.stored.key_type,
            truncated: entry.stored.truncated,
            same_key_as_previous: entry.same_key_as_previous,
        });
    }
}

/// The entries of a merge, in the order of their keys.
#[derive(Debug)]
pub enum Entries<'m, 'f> {
    /// Each is made when it is asked for.
    OneByOne(&'m mut Merge<'f>),
    /// Another thread makes them ahead.
    Ahead(Ahead),
}

impl Entries<'_, '_> {
    /// The next entry. Its normal form is there only where entries come one by one.
    ///
    /// # Errors
    /// As [`Merge::next`].
    #[expect(
        clippy::should_implement_trait,
        reason = "an entry borrows from the batch, which Iterator cannot express"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Option<SortedEntry<'_>>> {
        match self {
            Self::OneByOne(merge) => merge.next(),
            Self::Ahead(ahead) => ahead.next(),
        }
    }

    /// As [`Merge::position`], but ahead only at multiples of the number of entries that
    /// [`merge_ahead`] was given.
    #[must_use]
    pub fn position(&self) -> Option<MergePosition> {
        match self {
            Self::OneByOne(merge) => merge.position(),
            Self::Ahead(ahead) => ahead.batch.position.clone(),
        }
    }

    /// As [`Merge::last_key_json`], but ahead only of the first entry and the last.
    ///
    /// # Errors
    /// As [`Merge::last_key_json`].
    pub fn last_key_json(&mut self) -> Result<Option<String>> {
        match self {
            Self::OneByOne(merge) => merge.last_key_json(),
            Self::Ahead(ahead) => Ok(ahead.batch.last_key.clone()),
        }
    }
}

/// The side of a merge ahead that takes the entries.
#[derive(Debug)]
pub struct Ahead {
    filled: Receiver<Result<Batch>>,
    emptied: Sender<Batch>,
    batch: Batch,
    at: usize,
    /// Where the bytes of the next entry begin.
    start: usize,
    is_over: bool,
}

/// Runs `merge` on another thread while `take` takes its entries. Every `every` entries there is a
/// position.
///
/// # Errors
/// Those of `take`, which gets the errors of the merge.
pub fn merge_ahead<T>(
    merge: &mut Merge<'_>,
    every: u64,
    take: impl FnOnce(&mut Entries<'_, '_>) -> Result<T>,
) -> Result<T> {
    let (filled, batches) = bounded(BATCHES);
    let (emptied, free) = bounded(BATCHES);
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            if let Err(error) = fill(merge, every, &filled, &free) {
                // Who takes them may have ended with an error of its own.
                let _ = filled.send(Err(error));
            }
        });
        let taken = take(&mut Entries::Ahead(Ahead {
            filled: batches,
            emptied,
            batch: Batch::default(),
            at: 0,
            start: 0,
            is_over: false,
        }));
        let joined = thread.join();
        joined.map_err(|_| Error::new(Code::Internal, "a merging thread has panicked"))?;
        taken
    })
}

impl Ahead {
    #[inline]
    fn next(&mut self) -> Result<Option<SortedEntry<'_>>> {
        if self.at == self.batch.entries.len() && !self.next_batch()? {
            return Ok(None);
        }
        let Some(entry) = self.batch.entries.get(self.at) else {
            return Ok(None);
        };
        let bytes = self.batch.bytes.as_slice();
        let (stored_end, end) = (entry.stored_end as usize, entry.payload_end as usize);
        let stored = bytes.get(self.start..stored_end).unwrap_or_default();
        let payload = bytes.get(stored_end..end).unwrap_or_default();
        self.at += 1;
        self.start = end;
        Ok(Some(SortedEntry {
            normal: &[],
            stored: StoredKeyRef {
                key_type: entry.key_type,
                bytes: stored,
                truncated: entry.truncated,
            },
            address: entry.address,
            same_key_as_previous: entry.same_key_as_previous,
            payload,
        }))
    }

    /// False after the last one, which stays.
    #[cold]
    fn next_batch(&mut self) -> Result<bool> {
        if self.is_over {
            return Ok(false);
        }
        let Ok(batch) = self.filled.recv() else {
            // It has panicked, which is told when it is joined.
            return Ok(false);
        };
        let batch = batch?;
        if batch.entries.is_empty() {
            self.is_over = true;
            return Ok(false);
        }
        let empty = std::mem::replace(&mut self.batch, batch);
        // The thread may have ended: it needs none any more.
        let _ = self.emptied.try_send(empty);
        (self.at, self.start) = (0, 0);
        Ok(true)
    }
}

/// Sends all entries, and an empty batch behind them.
fn fill(
    merge: &mut Merge<'_>,
    every: u64,
    filled: &Sender<Result<Batch>>,
    free: &Receiver<Batch>,
) -> Result<()> {
    let mut until_position = every;
    let mut is_first = true;
    loop {
        let mut batch = free.try_recv().unwrap_or_default();
        batch.clear();
        let mut failed = None;
        while until_position > 0 && batch.bytes.len() < BATCH_BYTES {
            match merge.next() {
                Ok(Some(entry)) => batch.push(&entry),
                Ok(None) => break,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
            until_position -= 1;
            // Its key may be asked for.
            if std::mem::take(&mut is_first) {
                break;
            }
        }
        if until_position == 0 {
            until_position = every;
            batch.position = merge.position();
        }
        let is_empty = batch.entries.is_empty();
        if !is_empty && failed.is_none() {
            batch.last_key = merge.last_key_json()?;
        }
        // What came before an error goes before it; an empty batch says that no error was the end.
        if !(is_empty && failed.is_some()) && filled.send(Ok(batch)).is_err() {
            return Ok(());
        }
        match failed {
            Some(error) => return Err(error),
            None if is_empty => return Ok(()),
            None => {}
        }
    }
}
