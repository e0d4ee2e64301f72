//! Writes posting pages, term after term. The layout is described in the parent module.

#![expect(clippy::arithmetic_side_effects, reason = "counts what was written")]

use super::{
    CHUNK_HEADER_BYTES, ChunkAddress, MAX_CHUNK_POSTINGS, POSTING_BYTES, Posting, TermHead,
};
use crate::v2::btree::{PageSink, TreeIds};
use crate::v2::page::PageType;
use crate::v2::slotted::SlottedBuilder;
use crate::v2::{PageId, SlotNumber};
use crate::{Code, Error, Result};

/// The posting pages of one index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PostingRun {
    /// The first page, 0 if there is none.
    pub first_page: PageId,
    /// Pages from there on.
    pub page_count: u32,
    /// Postings in them.
    pub posting_count: u64,
}

/// Writes the postings of terms, one term after the other.
pub struct PostingBuilder<S> {
    sink: S,
    collection_id: u32,
    page: SlottedBuilder,
    /// The number that the open page will get.
    page_id: PageId,
    run: PostingRun,
    /// The open chunk: its header, and its postings so far.
    chunk: Vec<u8>,
    count: usize,
    /// Postings that the open chunk has room for.
    room: usize,
    /// Of the open term, once a chunk is in a page.
    first: Option<ChunkAddress>,
    frequency: u32,
}

impl<S: PageSink> PostingBuilder<S> {
    /// Begins at the sink's next page.
    pub fn new(sink: S, ids: TreeIds) -> Self {
        Self {
            page_id: sink.next_page(),
            sink,
            collection_id: ids.collection_id,
            page: SlottedBuilder::with_type(PageType::Index, ids.collection_id),
            run: PostingRun::default(),
            chunk: vec![0; CHUNK_HEADER_BYTES],
            count: 0,
            room: 0,
            first: None,
            frequency: 0,
        }
    }

    /// Adds a document to the open term; addresses ascend within a term.
    ///
    /// # Errors
    /// A page cannot be written.
    pub fn push(&mut self, posting: &Posting) -> Result<()> {
        if self.count == self.room {
            if self.count > 0 {
                self.continue_on_next_page()?;
            } else if self.fits() == 0 {
                self.close_page()?;
            }
            self.room = self.fits();
        }
        self.chunk
            .extend_from_slice(&posting.encode(self.collection_id));
        self.count += 1;
        self.run.posting_count += 1;
        self.frequency = self.frequency.checked_add(1).ok_or_else(|| {
            let sentence = "a term is in more than 4294967295 documents";
            Error::new(Code::LimitExceeded, sentence)
        })?;
        Ok(())
    }

    /// Ends the open term; the next posting begins another one.
    ///
    /// # Errors
    /// [`Code::Internal`] for a term without postings.
    pub fn end_term(&mut self) -> Result<TermHead> {
        if self.count == 0 {
            return Err(Error::new(Code::Internal, "a term without postings"));
        }
        self.place_chunk(ChunkAddress::default())?;
        self.room = 0;
        let document_frequency = std::mem::take(&mut self.frequency);
        let first = self.first.take().unwrap_or_default();
        Ok(TermHead {
            first,
            document_frequency,
        })
    }

    /// Writes the last page; gives the sink back.
    ///
    /// # Errors
    /// The page cannot be written.
    pub fn finish(mut self) -> Result<(S, PostingRun)> {
        if !self.page.is_empty() {
            self.close_page()?;
        }
        Ok((self.sink, self.run))
    }

    /// Postings of a new chunk that the open page has room for.
    fn fits(&self) -> usize {
        let free = self.page.free().unwrap_or_default();
        let fits = free.saturating_sub(CHUNK_HEADER_BYTES) / POSTING_BYTES;
        fits.min(MAX_CHUNK_POSTINGS)
    }

    fn continue_on_next_page(&mut self) -> Result<()> {
        let page = self.page_id.0.checked_add(1).ok_or_else(out_of_pages)?;
        self.place_chunk(ChunkAddress {
            page: PageId(page),
            slot: SlotNumber(0),
        })?;
        self.close_page()
    }

    /// Puts the open chunk into the open page and begins another.
    fn place_chunk(&mut self, next: ChunkAddress) -> Result<()> {
        // At most 253.
        let count = u16::try_from(self.count).unwrap_or(u16::MAX);
        let counts = u32::from(count) << 16 | u32::from(next.slot.0);
        let header = self.chunk.as_chunks_mut::<4>().0;
        if let [next_page, slot_and_count, ..] = header {
            *next_page = next.page.0.to_le_bytes();
            *slot_and_count = counts.to_le_bytes();
        }
        let Some(slot) = self.page.try_insert(&self.chunk) else {
            let sentence = "a posting chunk does not fit the room that was found for it";
            return Err(Error::new(Code::Internal, sentence));
        };
        self.first.get_or_insert(ChunkAddress {
            page: self.page_id,
            slot,
        });
        self.chunk.truncate(CHUNK_HEADER_BYTES);
        self.count = 0;
        Ok(())
    }

    fn close_page(&mut self) -> Result<()> {
        let id = self.sink.append(self.page.finish())?;
        // 0 means "none" in every page pointer; a data file has its own page there.
        if id != self.page_id || id == PageId(0) {
            let sentence = format!(
                "a posting page came to be page {id} where {} was due",
                self.page_id
            );
            return Err(Error::new(Code::Internal, sentence));
        }
        if self.run.page_count == 0 {
            self.run.first_page = id;
        }
        self.run.page_count += 1;
        self.page_id = PageId(id.0.checked_add(1).ok_or_else(out_of_pages)?);
        Ok(())
    }
}

fn out_of_pages() -> Error {
    Error::new(Code::LimitExceeded, "the file has no page numbers left")
}
