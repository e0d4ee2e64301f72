//! The entries of a merge in batches, which another thread can make ahead of who takes them.

use super::{Merge, MergePosition, SortedEntry};
use crate::ahead::fill_ahead;
use crate::index::key::{KeyError, Record, StoredKeyRef, append_common};
use crate::threads::start_scoped;
use crate::v2::{DocumentAddress, PageId, SlotNumber};
use crate::{Code, Error, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::thread;

/// Batches that wait to be taken at most.
const BATCHES: usize = 6;
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

/// An entry of a batch: where its bytes are, and what it has beside them.
#[derive(Clone, Copy, Debug)]
struct Copied {
    /// Where the stored form begins, which the payload follows.
    start: u32,
    stored_len: u16,
    payload_len: u16,
    page: PageId,
    slot: SlotNumber,
    key_type: u8,
    truncated: bool,
    same_key_as_previous: bool,
}

impl EntryBatch {
    /// The entries. Their normal forms are not there.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = SortedEntry<'_>> {
        self.entries.iter().map(|entry| self.entry(entry))
    }

    /// The entry at a position in the batch.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<SortedEntry<'_>> {
        Some(self.entry(self.entries.get(position)?))
    }

    #[inline]
    fn entry(&self, entry: &Copied) -> SortedEntry<'_> {
        let bytes = self.bytes.get(entry.start as usize..).unwrap_or_default();
        let stored = bytes.split_at_checked(entry.stored_len.into());
        let (stored, rest) = stored.unwrap_or_default();
        SortedEntry {
            normal: &[],
            stored: StoredKeyRef {
                key_type: entry.key_type,
                bytes: stored,
                truncated: entry.truncated,
            },
            address: DocumentAddress {
                page: entry.page,
                slot: entry.slot,
            },
            same_key_as_previous: entry.same_key_as_previous,
            payload: rest.get(..entry.payload_len.into()).unwrap_or_default(),
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

    /// Appends the entry whose record begins `bytes`; its key is not cut.
    ///
    /// # Errors
    /// There is no record, or it is damaged.
    #[inline(always)]
    pub(super) fn push_record(
        &mut self,
        bytes: &[u8],
        same_key_as_previous: bool,
    ) -> std::result::Result<(), KeyError> {
        let start = self.bytes.len();
        let Some(key) = append_common(bytes, &mut self.bytes) else {
            return self.push_any_record(bytes, same_key_as_previous);
        };
        let kind = (key.key_type, false);
        self.note(
            (start, key.length, 0),
            kind,
            key.address,
            same_key_as_previous,
        );
        Ok(())
    }

    #[inline(never)]
    fn push_any_record(
        &mut self,
        bytes: &[u8],
        same_key_as_previous: bool,
    ) -> std::result::Result<(), KeyError> {
        let record = Record::parse(bytes).ok_or(KeyError::Record)?;
        let start = self.bytes.len();
        let kind = record.append_stored(&mut self.bytes)?;
        let lengths = (self.bytes.len() - start, record.trailer.len());
        self.bytes.extend_from_slice(record.trailer);
        let lengths = (start, short(lengths.0), short(lengths.1));
        self.note(lengths, kind, record.address, same_key_as_previous);
        Ok(())
    }

    /// Appends an entry.
    pub(super) fn push(&mut self, entry: &SortedEntry<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(entry.stored.bytes);
        self.bytes.extend_from_slice(entry.payload);
        let (stored, payload) = (entry.stored.bytes, entry.payload);
        self.note(
            (start, short(stored.len()), short(payload.len())),
            (entry.stored.key_type, entry.stored.truncated),
            entry.address,
            entry.same_key_as_previous,
        );
    }

    /// Notes an entry whose bytes are there: where they begin, and how many are of the stored form
    /// and of the payload.
    #[inline]
    fn note(
        &mut self,
        (start, stored_len, payload_len): (usize, u16, u16),
        (key_type, truncated): (u8, bool),
        address: DocumentAddress,
        same_key_as_previous: bool,
    ) {
        self.entries.push(Copied {
            // A batch ends at 128 KiB, and an entry is shorter than that.
            start: u32::try_from(start).unwrap_or(u32::MAX),
            stored_len,
            payload_len,
            page: address.page,
            slot: address.slot,
            key_type,
            truncated,
            same_key_as_previous,
        });
    }
}

/// A length in an entry: a stored form has at most 1024 bytes, and records keep the length of a
/// payload in fewer than 16 bits.
fn short(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
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
/// thread makes them meanwhile, if there can be one.
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
    let (give, given) = bounded::<Filler<'_, '_>>(1);
    thread::scope(|scope| {
        let fill_all = move || {
            let Ok(mut filler) = given.recv() else { return };
            fill_ahead(&free, &filled, |mut batch: EntryBatch| {
                filler.fill(&mut batch)?;
                Ok((!batch.is_empty()).then_some(batch))
            });
        };
        let Ok(thread) = start_scoped(scope, "merge", fill_all) else {
            return take(&mut Entries(Side::Here(filler, EntryBatch::default())));
        };
        // It waits for this.
        let _ = give.send(filler);
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
