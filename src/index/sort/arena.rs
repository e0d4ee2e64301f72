//! Unsorted records in memory, in blocks that never move.

use crate::index::key::{RECORD_HEADER_BYTES, Record, RecordPieces, record_length};
use crate::v2::DocumentAddress;

/// Size of all blocks but the first few of an arena.
pub(super) const BLOCK_BYTES: usize = 256 * 1024;
const BLOCK_BITS: u32 = BLOCK_BYTES.trailing_zeros();
/// The first block's size, so that a thousand small indexes fit a small budget.
const FIRST_BLOCK_BYTES: usize = 4 * 1024;
/// A location has 32 bits.
const MOST_BLOCKS: usize = 1 << (32 - BLOCK_BITS);

/// Most records lie in so many bytes, and so in two cache lines at most.
const TOUCHED_BYTES: usize = 31;

/// Where a record is: block number, and offset in the block in the low bits.
pub(super) type Location = u32;

/// Records of one index, in the order in which they came.
#[derive(Debug)]
pub(super) struct Arena {
    blocks: Vec<Vec<u8>>,
    entries: usize,
    capacity: usize,
    /// The last address, as a number.
    last: u64,
    ascending: bool,
    has_cut: bool,
}

impl Default for Arena {
    fn default() -> Self {
        Self {
            blocks: Vec::new(),
            entries: 0,
            capacity: 0,
            last: 0,
            ascending: true,
            has_cut: false,
        }
    }
}

impl Arena {
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// Bytes that the blocks take, used or not.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// True when every address is at or after the one before it, so that the order of locations is
    /// that of addresses.
    pub(super) fn is_ascending(&self) -> bool {
        self.ascending
    }

    /// True when no further block can be addressed.
    pub(super) fn is_full(&self) -> bool {
        self.blocks.len() >= MOST_BLOCKS
    }

    /// Size of the block that comes next.
    pub(super) fn next_block_bytes(&self) -> usize {
        let growth = u32::try_from(2 * self.blocks.len()).unwrap_or(u32::MAX);
        FIRST_BLOCK_BYTES
            .checked_shl(growth.min(16))
            .map_or(BLOCK_BYTES, |bytes| bytes.min(BLOCK_BYTES))
    }

    pub(super) fn add_block(&mut self, block: Vec<u8>) {
        debug_assert!(block.is_empty() && block.capacity() <= BLOCK_BYTES);
        self.capacity += block.capacity();
        self.blocks.push(block);
    }

    /// True when some key was cut.
    pub(super) fn has_cut(&self) -> bool {
        self.has_cut
    }

    /// Appends a record; false if it needs another block.
    #[inline]
    pub(super) fn push(
        &mut self,
        record: impl RecordPieces,
        address: DocumentAddress,
        is_cut: bool,
    ) -> bool {
        let Some(block) = self.blocks.last_mut() else {
            return false;
        };
        if block.capacity() - block.len() < record.len() {
            return false;
        }
        self.has_cut |= is_cut;
        record.append_to(block);
        self.entries += 1;
        let address = u64::from(address.page.0) << 16 | u64::from(address.slot.0);
        self.ascending &= self.last <= address;
        self.last = address;
        true
    }

    /// Takes the blocks out, emptied.
    pub(super) fn take_blocks(&mut self) -> impl Iterator<Item = Vec<u8>> + use<> {
        let blocks = std::mem::take(self).blocks;
        blocks.into_iter().map(|mut block| {
            block.clear();
            block
        })
    }

    /// The bytes from a record's first on.
    #[inline]
    pub(super) fn bytes_at(&self, location: Location) -> &[u8] {
        let block = (location >> BLOCK_BITS) as usize;
        let offset = location as usize & (BLOCK_BYTES - 1);
        self.blocks
            .get(block)
            .and_then(|block| block.get(offset..))
            .unwrap_or_default()
    }

    /// The record there. Locations come from [`Self::for_each`], so it is one.
    #[inline]
    pub(super) fn record(&self, location: Location) -> Option<Record<'_>> {
        Record::parse(self.bytes_at(location))
    }

    /// The normal form of the record there.
    #[inline]
    pub(super) fn normal(&self, location: Location) -> &[u8] {
        normal_of(self.bytes_at(location))
    }

    /// The whole record there, as it goes into a run.
    #[inline]
    pub(super) fn record_bytes(&self, location: Location) -> &[u8] {
        let bytes = self.bytes_at(location);
        let len = record_length(bytes).unwrap_or_default();
        bytes.get(..len).unwrap_or_default()
    }

    /// Reads a byte of each of these records, and one behind most of them, and forgets it: cache
    /// misses that wait for each other when the records are used one by one overlap here.
    pub(super) fn touch(&self, locations: impl Iterator<Item = Location>) {
        let bytes = locations.map(|location| {
            let bytes = self.bytes_at(location);
            let at = |place| bytes.get(place).copied().unwrap_or_default();
            at(0) ^ at(TOUCHED_BYTES)
        });
        std::hint::black_box(bytes.fold(0, |sum, byte| sum ^ byte));
    }

    /// The normal forms of the records in the first block.
    pub(super) fn first_normals(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.blocks.first().map_or(&[][..], Vec::as_slice);
        std::iter::from_fn(move || {
            let (record, after) = rest.split_at_checked(record_length(rest)?)?;
            rest = after;
            Some(normal_of(record))
        })
    }

    /// Calls `each` with location and normal form of every record, in order.
    #[inline]
    pub(super) fn for_each(&self, mut each: impl FnMut(Location, &[u8])) {
        let mut base: Location = 0;
        for block in &self.blocks {
            let mut location = base;
            let mut rest = block.as_slice();
            while let Some(len) = record_length(rest) {
                each(location, normal_of(rest));
                let Some(after) = rest.get(len..) else { break };
                rest = after;
                // A record is far shorter than a block, whose offsets fit 18 bits.
                location += u32::try_from(len).unwrap_or_default();
            }
            base = base.wrapping_add(1 << BLOCK_BITS);
        }
    }
}

#[inline]
fn normal_of(record: &[u8]) -> &[u8] {
    let [low, high, ..] = *record else {
        return &[];
    };
    let len = usize::from(u16::from_le_bytes([low, high]));
    record
        .get(RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + len)
        .unwrap_or_default()
}
