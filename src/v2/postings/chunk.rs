//! Reads posting chunks, trusting nothing. The layout is described in the parent module.

use super::{
    CHUNK_HEADER_BYTES, ChunkAddress, MAX_CHUNK_POSTINGS, POSTING_BYTES, PageId, Posting,
    SlotNumber,
};
use crate::bytes::Cursor;
use crate::v2::slotted::{SlotContent, SlottedPage};

/// What is wrong with a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The slot is marked deleted, or points at overflow pages.
    #[error("the slot holds no posting chunk")]
    NoChunk,
    /// Length and count do not fit.
    #[error(
        "the chunk has {bytes} bytes for {count} postings, expected 8 and 16 for each of 1 to 253"
    )]
    Length {
        /// Bytes of the slot.
        bytes: usize,
        /// The chunk's count field.
        count: u16,
    },
    /// The last chunk of a term names a slot.
    #[error("next_slot is {0} where next_page is 0")]
    NextSlot(u16),
    /// A posting's address is none of the index's collection.
    #[error("posting {index} is no document address in collection {collection_id}")]
    Address {
        /// Its place in the chunk.
        index: usize,
        /// The index's collection.
        collection_id: u32,
    },
    /// The addresses do not ascend.
    #[error("posting {index} is not after the one before it")]
    Order {
        /// Its place in the chunk.
        index: usize,
    },
    /// A field that cannot be 0 is.
    #[error("posting {index} has the term {term_frequency} times among {field_length} tokens")]
    Counts {
        /// Its place in the chunk.
        index: usize,
        /// As stored.
        term_frequency: u16,
        /// As stored.
        field_length: u16,
    },
}

/// A chunk whose header fits its length.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'p> {
    next: Option<ChunkAddress>,
    postings: &'p [[u8; POSTING_BYTES]],
}

impl<'p> Chunk<'p> {
    /// Reads the chunk in a slot's content.
    ///
    /// # Errors
    /// Its header cannot be.
    pub fn parse(content: &'p [u8]) -> Result<Self, ChunkError> {
        let wrong_length = |count| ChunkError::Length {
            bytes: content.len(),
            count,
        };
        let mut cursor = Cursor::new(content);
        let mut header = || Some((cursor.u32()?, cursor.u16()?, cursor.u16()?));
        let (page, slot, count) = header().ok_or_else(|| wrong_length(0))?;
        let body = content.get(CHUNK_HEADER_BYTES..).unwrap_or_default();
        let (postings, rest) = body.as_chunks();
        let sound = (1..=MAX_CHUNK_POSTINGS).contains(&postings.len());
        if !rest.is_empty() || postings.len() != usize::from(count) || !sound {
            return Err(wrong_length(count));
        }
        if page == 0 && slot != 0 {
            return Err(ChunkError::NextSlot(slot));
        }
        let next = ChunkAddress {
            page: PageId(page),
            slot: SlotNumber(slot),
        };
        Ok(Self {
            next: (page != 0).then_some(next),
            postings,
        })
    }

    /// Reads the chunk in a slot of a page.
    pub(super) fn of_slot(content: Option<SlotContent<'p>>) -> Result<Self, ChunkError> {
        match content {
            Some(SlotContent::Document(content)) => Self::parse(content),
            _ => Err(ChunkError::NoChunk),
        }
    }

    /// The term's next chunk.
    #[must_use]
    pub fn next(&self) -> Option<ChunkAddress> {
        self.next
    }

    /// Postings in the chunk.
    #[must_use]
    pub fn len(&self) -> usize {
        self.postings.len()
    }

    /// Never: a chunk has at least one posting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.postings.is_empty()
    }

    /// The postings, each checked against the index's collection and the one before it; `last` is
    /// the last posting of the chunk before.
    pub fn postings(
        self,
        collection_id: u32,
        last: Option<Posting>,
    ) -> impl Iterator<Item = Result<Posting, ChunkError>> + use<'p> {
        let mut last = last.map(|posting| posting.address);
        self.postings.iter().enumerate().map(move |(index, bytes)| {
            let posting = match Posting::decode(bytes) {
                Some((collection, posting)) if collection == collection_id => posting,
                _ => {
                    return Err(ChunkError::Address {
                        index,
                        collection_id,
                    });
                }
            };
            if last.replace(posting.address) >= Some(posting.address) {
                return Err(ChunkError::Order { index });
            }
            if posting.term_frequency == 0 || posting.term_frequency > posting.field_length {
                return Err(ChunkError::Counts {
                    index,
                    term_frequency: posting.term_frequency,
                    field_length: posting.field_length,
                });
            }
            Ok(posting)
        })
    }
}

/// The slotted page of an index's postings, checked to be owned by its collection.
pub(super) fn open_page(
    page: &crate::v2::PageBytes,
    collection_id: u32,
) -> Result<SlottedPage<'_>, crate::v2::PageError> {
    let slotted = SlottedPage::open(page)?;
    let [low, high, ..] = collection_id.to_le_bytes();
    let owner = u16::from_le_bytes([low, high]);
    if slotted.owner() != owner {
        let expected = format!("{owner}, the collection's id");
        return Err(crate::v2::PageError::field(
            26,
            "owner",
            slotted.owner(),
            expected,
        ));
    }
    Ok(slotted)
}
