//! The entries of a merge in batches, which another thread can make ahead of who takes them.

use super::{Merge, MergePosition, SortedEntry};
use crate::index::key::StoredKeyRef;
use crate::v2::DocumentAddress;
use crate::{Code, Error, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::thread;

/// Batches that wait to be taken at most.
const BATCHES: usize = 2;
/// A batch ends with the entry that takes it over so many bytes.
const BATCH_BYTES: usize = 128 * 1024;

/// Entries that were copied out of a merge.
#[derive(Debug, Default)]
pub struct EntryBatch {
    /// Stored form and payload of each entry.
    pub(super) bytes: Vec<u8>,
    entries: Vec<Copied>,
    end: BatchEnd,
}

/// What is known of the place behind a batch.
#[derive(Debug, Default)]
enum BatchEnd {
    /// Nothing: it ended for its size.
    #[default]
    Anywhere,
    /// So many entries as were asked for came since the start, or since the last such place; where
    /// the merge is there, if it can tell.
    Mark(Option<MergePosition>),
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

impl EntryBatch {
    /// The entries. Their normal forms are not there.
    pub fn iter(&self) -> impl Iterator<Item = SortedEntry<'_>> {
        let mut start = 0;
        self.entries.iter().map(move |entry| {
            let from = std::mem::replace(&mut start, entry.payload_end);
            self.entry(from, entry)
        })
    }

    /// The entry at a position in the batch.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<SortedEntry<'_>> {
        let before = position.checked_sub(1).and_then(|at| self.entries.get(at));
        let start = before.map_or(0, |before| before.payload_end);
        Some(self.entry(start, self.entries.get(position)?))
    }

    #[inline]
    fn entry(&self, start: u32, entry: &Copied) -> SortedEntry<'_> {
        let bytes = |start: u32, end: u32| {
            let bytes = self.bytes.get(start as usize..end as usize);
            bytes.unwrap_or_default()
        };
        SortedEntry {
            normal: &[],
            stored: StoredKeyRef {
                key_type: entry.key_type,
                bytes: bytes(start, entry.stored_end),
                truncated: entry.truncated,
            },
            address: entry.address,
            same_key_as_previous: entry.same_key_as_previous,
            payload: bytes(entry.stored_end, entry.payload_end),
        }
    }

    /// If the entries so far are a multiple of those that were asked for: where the merge is, if it
    /// can tell ([`Merge::position`]).
    #[must_use]
    pub fn mark(&self) -> Option<Option<&MergePosition>> {
        match &self.end {
            BatchEnd::Anywhere => None,
            BatchEnd::Mark(position) => Some(position.as_ref()),
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.end = BatchEnd::Anywhere;
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= BATCH_BYTES
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True without entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Ends the entry whose stored form of this type was just appended, with its payload.
    #[inline]
    pub(super) fn end_entry(
        &mut self,
        (key_type, truncated): (u8, bool),
        payload: &[u8],
        address: DocumentAddress,
        same_key_as_previous: bool,
    ) {
        // A batch ends at 128 KiB, and an entry is shorter than that.
        let end = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let stored_end = end(&self.bytes);
        self.bytes.extend_from_slice(payload);
        self.entries.push(Copied {
            stored_end,
            payload_end: end(&self.bytes),
            address,
            key_type,
            truncated,
            same_key_as_previous,
        });
    }

    /// Appends an entry.
    pub(super) fn push(&mut self, entry: &SortedEntry<'_>) {
        self.bytes.extend_from_slice(entry.stored.bytes);
        let kind = (entry.stored.key_type, entry.stored.truncated);
        self.end_entry(
            kind,
            entry.payload,
            entry.address,
            entry.same_key_as_previous,
        );
    }
}

/// Fills batches from a merge.
struct Filler<'m, 'f> {
    merge: &'m mut Merge<'f>,
    /// Entries from one mark to the next.
    every: u64,
    until_mark: u64,
    /// An error that came behind the entries of the last batch.
    failed: Option<Error>,
}

impl<'m, 'f> Filler<'m, 'f> {
    fn new(merge: &'m mut Merge<'f>, every: u64) -> Self {
        Self {
            merge,
            every,
            until_mark: every,
            failed: None,
        }
    }

    /// The next entries; none are left if there are none.
    fn fill(&mut self, batch: &mut EntryBatch) -> Result<()> {
        batch.clear();
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let most = usize::try_from(self.until_mark).unwrap_or(usize::MAX);
        if let Err(error) = self.merge.fill(batch, most) {
            if batch.is_empty() {
                return Err(error);
            }
            self.failed = Some(error);
            return Ok(());
        }
        self.until_mark = self.until_mark.saturating_sub(batch.len() as u64);
        if self.until_mark == 0 {
            self.until_mark = self.every;
            batch.end = BatchEnd::Mark(self.merge.position());
        }
        Ok(())
    }
}

/// The batches of a merge, one after the other.
pub struct Entries<'m, 'f>(Side<'m, 'f>);

enum Side<'m, 'f> {
    /// Each is made when it is asked for.
    Here(Filler<'m, 'f>, EntryBatch),
    /// Another thread makes them.
    Ahead {
        filled: Receiver<Result<EntryBatch>>,
        emptied: Sender<EntryBatch>,
        batch: EntryBatch,
    },
}

impl Entries<'_, '_> {
    /// The next batch, which has entries.
    ///
    /// # Errors
    /// As [`Merge::next`], behind the entries that came before.
    #[expect(
        clippy::should_implement_trait,
        reason = "a batch is filled again, which Iterator cannot express"
    )]
    pub fn next(&mut self) -> Result<Option<&EntryBatch>> {
        let batch = match &mut self.0 {
            Side::Here(filler, batch) => {
                filler.fill(batch)?;
                batch
            }
            Side::Ahead {
                filled,
                emptied,
                batch,
            } => {
                // The thread may have ended: it needs no empty ones any more.
                let _ = emptied.try_send(std::mem::take(batch));
                // It sends nothing behind the last entry. If it has panicked, that is told when it
                // is joined.
                if let Ok(next) = filled.recv() {
                    *batch = next?;
                }
                batch
            }
        };
        Ok((!batch.is_empty()).then_some(batch))
    }
}

impl std::fmt::Debug for Entries<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entries").finish_non_exhaustive()
    }
}

/// Gives the entries of `merge` to `take`, marked after every `every` of them; if `ahead`, another
/// thread makes them meanwhile.
///
/// # Errors
/// Those of `take`, which gets the errors of the merge.
pub fn take_entries<T>(
    merge: &mut Merge<'_>,
    every: u64,
    ahead: bool,
    take: impl FnOnce(&mut Entries<'_, '_>) -> Result<T>,
) -> Result<T> {
    let filler = Filler::new(merge, every);
    if !ahead {
        return take(&mut Entries(Side::Here(filler, EntryBatch::default())));
    }
    let (filled, batches) = bounded(BATCHES);
    let (emptied, free) = bounded(BATCHES);
    thread::scope(|scope| {
        let thread = scope.spawn(move || fill_all(filler, &filled, &free));
        let taken = take(&mut Entries(Side::Ahead {
            filled: batches,
            emptied,
            batch: EntryBatch::default(),
        }));
        let joined = thread.join();
        joined.map_err(|_| Error::new(Code::Internal, "a merging thread has panicked"))?;
        taken
    })
}

/// Sends all batches, until there are no more, or nobody takes them.
fn fill_all(
    mut filler: Filler<'_, '_>,
    filled: &Sender<Result<EntryBatch>>,
    free: &Receiver<EntryBatch>,
) {
    loop {
        let mut batch = free.try_recv().unwrap_or_default();
        let result = filler.fill(&mut batch);
        let is_last = batch.is_empty();
        if is_last && result.is_ok() {
            return;
        }
        let sent = filled.send(result.map(|()| batch));
        if sent.is_err() || is_last {
            return;
        }
    }
}
