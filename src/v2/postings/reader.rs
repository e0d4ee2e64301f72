//! Follows the chunks of a term.

use super::chunk::open_page;
use super::{Chunk, ChunkSum, Posting, TermHead};
use crate::Result;
use crate::v2::btree::{PageSource, damaged};
use crate::v2::{PageBytes, PageId};

/// Reads the postings of terms. Keeps the last page, so that terms in their order in the file read
/// each page once.
pub struct PostingReader<'a, S: ?Sized> {
    source: &'a S,
    collection_id: u32,
    page: Option<(PageId, Box<PageBytes>)>,
}

impl<'a, S: PageSource + ?Sized> PostingReader<'a, S> {
    /// Reads postings of documents of a collection.
    pub fn new(source: &'a S, collection_id: u32) -> Self {
        Self {
            source,
            collection_id,
            page: None,
        }
    }

    /// Visits the postings of a term, in address order.
    ///
    /// Bounded, whatever the pages hold: addresses ascend through all chunks, so none can come
    /// twice, and the walk ends when there are more postings than the term's frequency says.
    ///
    /// # Errors
    /// A page cannot be read or is damaged; the frequency is another one; the visitor's errors.
    pub fn for_each(
        &mut self,
        head: TermHead,
        each: impl FnMut(&Posting) -> Result<()>,
    ) -> Result<()> {
        self.for_each_counted(head, &mut ChunkSum::default(), each)
    }

    /// As [`Self::for_each`], and adds the chunks on the way to a sum.
    ///
    /// # Errors
    /// As [`Self::for_each`].
    pub fn for_each_counted(
        &mut self,
        head: TermHead,
        chunks: &mut ChunkSum,
        mut each: impl FnMut(&Posting) -> Result<()>,
    ) -> Result<()> {
        let mut left = head.document_frequency;
        let mut at = Some(head.first);
        let mut last = None;
        while let Some(chunk_at) = at {
            let collection_id = self.collection_id;
            let page = self.load(chunk_at.page)?;
            let wrong = |error: String| {
                let slot = chunk_at.slot.0;
                damaged(chunk_at.page, format!("slot {slot}: {error}"))
            };
            let slotted = open_page(page, collection_id);
            let content = slotted.and_then(|slotted| slotted.get(chunk_at.slot));
            let content = content.map_err(|error| damaged(chunk_at.page, error.to_string()))?;
            let chunk = Chunk::of_slot(content).map_err(|error| wrong(error.to_string()))?;
            for posting in chunk.postings(collection_id, last) {
                let posting = posting.map_err(|error| wrong(error.to_string()))?;
                let Some(fewer) = left.checked_sub(1) else {
                    return Err(wrong(format!(
                        "the term has more than {} postings, its document frequency",
                        head.document_frequency
                    )));
                };
                left = fewer;
                each(&posting)?;
                last = Some(posting);
            }
            at = chunk.next();
            chunks.add(chunk_at);
            if at.is_none() && left > 0 {
                let page = chunk_at.page;
                let (found, expected) = (
                    head.document_frequency.saturating_sub(left),
                    head.document_frequency,
                );
                let sentence =
                    format!("a term ends here with {found} postings, expected {expected}");
                return Err(damaged(page, sentence));
            }
        }
        Ok(())
    }

    /// The first posting of a term.
    ///
    /// # Errors
    /// As [`Self::for_each`].
    pub fn first(&mut self, head: TermHead) -> Result<Posting> {
        let first = head.first;
        let collection_id = self.collection_id;
        let page = self.load(first.page)?;
        let slotted = open_page(page, collection_id);
        let content = slotted.and_then(|slotted| slotted.get(first.slot));
        let content = content.map_err(|error| damaged(first.page, error.to_string()))?;
        let chunk = Chunk::of_slot(content);
        let posting = chunk.and_then(|chunk| {
            let posting = chunk.postings(collection_id, None).next();
            posting.unwrap_or(Err(super::ChunkError::NoChunk))
        });
        posting.map_err(|error| damaged(first.page, format!("slot {}: {error}", first.slot.0)))
    }

    fn load(&mut self, id: PageId) -> Result<&PageBytes> {
        let page = match self.page.take() {
            Some(page) if page.0 == id => page,
            _ => (id, self.source.page(id)?),
        };
        Ok(&self.page.insert(page).1)
    }
}
