//! Posting chunks: which documents have a term, for text indexes.
//!
//! ```text
//! page       = slotted page of type 1, owner as in data pages; each slot a chunk
//! chunk      = next_page u32          0 = the term's last chunk
//!            | next_slot u16          0 in the last chunk
//!            | count u16              1 to 253
//!            | posting[count]
//! posting    = document address (12) | term_frequency u16 | field_length u16, both saturating
//! term value = page u32 | slot u16 | reserved u16 (0) | document_frequency u32
//! ```
//!
//! Chunks are slots, so that rare terms share a page. A term's postings are in address order, also
//! from chunk to chunk. The term's value in the tree of terms names its first chunk.
//!
//! A build writes the pages of all terms in one run, each term's postings behind those of the one
//! before, and splits a term only where a page is full. So a chunk that has a next one is the last
//! of its page, and the next one is slot 0 of the following page: known before it is written, and
//! no list of postings is too long for memory. The tree of terms follows the run.

mod builder;
mod check;
mod chunk;
mod edit;
mod reader;
#[cfg(test)]
mod tests;

pub use builder::{PostingBuilder, PostingRun};
pub use check::PostingChecker;
pub use chunk::{Chunk, ChunkError};
pub use edit::PostingEditor;
pub use reader::PostingReader;

use super::address::{ADDRESS_BYTES, DocumentAddress, PageId, SlotNumber};
use super::slotted::MAX_SLOT_CONTENT;
use crate::bytes::Cursor;
use crate::hash::xxh3_64;

const CHUNK_HEADER_BYTES: usize = 4 + 2 + 2;
/// Bytes of a posting.
pub const POSTING_BYTES: usize = ADDRESS_BYTES + 2 + 2;
/// Most postings of a chunk.
pub const MAX_CHUNK_POSTINGS: usize = (MAX_SLOT_CONTENT - CHUNK_HEADER_BYTES) / POSTING_BYTES;

const _: () = assert!(CHUNK_HEADER_BYTES == 8 && POSTING_BYTES == 16 && MAX_CHUNK_POSTINGS == 253);

/// A document that has a term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Posting {
    /// The document.
    pub address: DocumentAddress,
    /// Occurrences of the term in it, saturating.
    pub term_frequency: u16,
    /// Kept tokens of the document, saturating.
    pub field_length: u16,
}

impl Posting {
    /// The 16 bytes that chunks hold.
    #[must_use]
    pub fn encode(&self, collection_id: u32) -> [u8; POSTING_BYTES] {
        let mut bytes = [0; POSTING_BYTES];
        let counts = u32::from(self.field_length) << 16 | u32::from(self.term_frequency);
        if let Some((address, rest)) = bytes.split_first_chunk_mut() {
            *address = self.address.encode(collection_id);
            rest.copy_from_slice(&counts.to_le_bytes());
        }
        bytes
    }

    /// Reads 16 bytes: the collection's id and the posting. `None` if they are too few or the
    /// address's reserved field is not 0.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<(u32, Self)> {
        let (collection_id, address) = DocumentAddress::decode(bytes)?;
        let mut counts = Cursor::new(bytes.get(ADDRESS_BYTES..)?);
        let posting = Self {
            address,
            term_frequency: counts.u16()?,
            field_length: counts.u16()?,
        };
        Some((collection_id, posting))
    }
}

/// Where a chunk lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkAddress {
    /// The posting page.
    pub page: PageId,
    /// The slot in it.
    pub slot: SlotNumber,
}

/// The value of a term in the tree of terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TermHead {
    /// The term's first chunk.
    pub first: ChunkAddress,
    /// Documents that have the term: its postings.
    pub document_frequency: u32,
}

impl TermHead {
    /// The 12 bytes that the leaf holds.
    #[must_use]
    pub fn encode(self) -> [u8; ADDRESS_BYTES] {
        let mut bytes = [0; ADDRESS_BYTES];
        let fields = bytes.as_chunks_mut::<4>().0;
        if let [page, slot, frequency] = fields {
            *page = self.first.page.0.to_le_bytes();
            *slot = u32::from(self.first.slot.0).to_le_bytes();
            *frequency = self.document_frequency.to_le_bytes();
        }
        bytes
    }

    /// Reads the value; `None` if its page or frequency is 0 or its reserved field is not.
    #[must_use]
    pub fn decode(bytes: &[u8; ADDRESS_BYTES]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        let first = ChunkAddress {
            page: PageId(cursor.u32()?),
            slot: SlotNumber(cursor.u16()?),
        };
        let reserved = cursor.u16()?;
        let document_frequency = cursor.u32()?;
        let is_sound = reserved == 0 && first.page != PageId(0) && document_frequency > 0;
        is_sound.then_some(Self {
            first,
            document_frequency,
        })
    }
}

/// Counts chunks and tells different ones apart, in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkSum {
    /// Chunks.
    pub count: u64,
    hashes: u64,
}

impl ChunkSum {
    /// Adds a chunk.
    pub fn add(&mut self, chunk: ChunkAddress) {
        let number = u64::from(chunk.page.0) << 16 | u64::from(chunk.slot.0);
        self.count = self.count.saturating_add(1);
        self.hashes = self.hashes.wrapping_add(xxh3_64(&number.to_le_bytes()));
    }
}
