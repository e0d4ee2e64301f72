//! Telling a torn record from a damaged length field.
//!
//! Both run past the end of the file. After a damaged length, though, the records that were written
//! later still stand: somewhere in the bytes after the header, a chain of records starts that ends
//! exactly where the file ends.
//!
//! Whether a chain starts at a position depends on that position alone: a known type, a length that
//! leads to the end of the file or to a position where a chain starts, and an LSN below the one
//! there. So one pass from the end of the file backwards decides every position once, whatever the
//! bytes are, and as a length is bounded, only as many bytes ahead have to be remembered.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::record::{HEADER_BYTES, MAX_DATA_BYTES, RecordHeader};
use crate::Result;
use crate::bytes::get_u64;
use crate::files::InputFile;

/// Positions decided per read.
const BLOCK_BYTES: usize = 1024 * 1024;

/// How far from a record's start the next one's header can reach.
const AHEAD_BYTES: usize = HEADER_BYTES + MAX_DATA_BYTES + HEADER_BYTES;

/// Positions whose answer is remembered.
const REMEMBERED: u64 = 1 << 25;
const _: () = assert!(REMEMBERED > AHEAD_BYTES as u64);

/// What the search found and what it cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChainSearch {
    /// The first position where a chain starts.
    pub(super) start: Option<u64>,
    /// Positions looked at.
    pub(super) steps: u64,
}

/// Looks for a chain whose LSNs are above `last_lsn` and which starts in the first
/// `MAX_DATA_BYTES` bytes from `from`, the end of a record's header.
pub(super) fn find_chain(file: &InputFile, from: u64, last_lsn: u64) -> Result<ChainSearch> {
    let size = file.size();
    let mut window = Window::new(size, size.saturating_sub(from));
    let mut found = ChainSearch {
        start: None,
        steps: 0,
    };
    let starts_end = from.saturating_add(MAX_DATA_BYTES as u64);
    while window.low > from {
        let high = window.low;
        window.extend_down(file, high.saturating_sub(BLOCK_BYTES as u64).max(from))?;
        for position in (window.low..high).rev() {
            found.steps = found.steps.saturating_add(1);
            let starts = window.chain_starts(position, last_lsn);
            window.remember(position, starts);
            if starts && position < starts_end {
                found.start = Some(position);
            }
        }
    }
    Ok(found)
}

/// The bytes from `low` on, as far ahead as needed, and the answers for them.
struct Window {
    size: u64,
    low: u64,
    bytes: Vec<u8>,
    /// A ring of bits, addressed by the distance from the end of the file.
    answers: Vec<u64>,
}

impl Window {
    fn new(size: u64, rest: u64) -> Self {
        let remembered = rest.saturating_add(1).min(REMEMBERED);
        let words = usize::try_from(remembered.div_ceil(64)).unwrap_or(usize::MAX);
        Self {
            size,
            low: size,
            bytes: Vec::new(),
            // A power of two, so that the ring is addressed by a mask.
            answers: vec![0; words.next_power_of_two()],
        }
    }

    fn extend_down(&mut self, file: &InputFile, low: u64) -> Result<()> {
        let added = usize::try_from(self.low.saturating_sub(low)).unwrap_or(usize::MAX);
        let kept = self.bytes.len().min(AHEAD_BYTES);
        let grown = added.saturating_add(kept);
        self.bytes
            .reserve_exact(grown.saturating_sub(self.bytes.len()));
        self.bytes.resize(grown.max(self.bytes.len()), 0);
        self.bytes.copy_within(..kept, added);
        self.bytes.truncate(grown);
        let target = self.bytes.get_mut(..added).unwrap_or_default();
        file.read_exact_at(target, low)?;
        self.low = low;
        Ok(())
    }

    fn ahead(&self, position: u64) -> &[u8] {
        usize::try_from(position.saturating_sub(self.low))
            .ok()
            .and_then(|index| self.bytes.get(index..))
            .unwrap_or_default()
    }

    fn chain_starts(&self, position: u64, last_lsn: u64) -> bool {
        let bytes = self.ahead(position);
        // Most positions fail at the type, before anything else is read.
        if RecordHeader::kind_of(bytes).is_none() {
            return false;
        }
        let Some(header) = RecordHeader::decode(bytes) else {
            return false;
        };
        if header.data_len as usize > MAX_DATA_BYTES || header.lsn <= last_lsn {
            return false;
        }
        let next = position.saturating_add(header.record_bytes());
        next == self.size
            || (next < self.size
                && self.remembered(next)
                && get_u64(self.ahead(next), 0).is_some_and(|lsn| lsn > header.lsn))
    }

    fn bit(&self, position: u64) -> (usize, u64) {
        let distance = self.size.saturating_sub(position);
        let word = usize::try_from(distance / 64).unwrap_or_default()
            & self.answers.len().saturating_sub(1);
        (word, 1 << (distance % 64))
    }

    fn remembered(&self, position: u64) -> bool {
        let (word, bit) = self.bit(position);
        self.answers.get(word).is_some_and(|word| word & bit != 0)
    }

    fn remember(&mut self, position: u64, starts: bool) {
        let (word, bit) = self.bit(position);
        if let Some(word) = self.answers.get_mut(word) {
            // Every bit is written: the ring still holds the answer of a position further on.
            *word = if starts { *word | bit } else { *word & !bit };
        }
    }
}
