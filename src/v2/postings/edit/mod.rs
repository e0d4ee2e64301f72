//! Changing the postings of one term in place.
//!
//! A chunk that grows stays in its slot while its page has room, moves to another page where it has
//! not, and is split in two over 253 postings. The chunk before it, or the term's head, then leads to
//! the new place. A chunk that has lost a posting is joined with a neighbour if both together fill no
//! more than three quarters of one, so a term has at most three times the chunks that it needs. A
//! chunk without postings is deleted, and a page without chunks is given back; one with room gets new
//! chunks. To find a posting, the term's chunks are read from the first on: a change costs one page
//! for every 253 documents that have the term.

#[cfg(test)]
mod tests;

use super::chunk::open_page;
use super::{
    CHUNK_HEADER_BYTES, Chunk, ChunkAddress, MAX_CHUNK_POSTINGS, POSTING_BYTES, Posting, TermHead,
};
use crate::v2::btree::damaged;
use crate::v2::btree::edit::TreePagesMut;
use crate::v2::page::{PAGE_SIZE, PageType};
use crate::v2::slotted::{NewContent, Room, SLOT_SIZE, SlotList};
use crate::v2::{DocumentAddress, PageId, SharedPage};
use crate::{Code, Error, Result};
use std::sync::Arc;

/// Most postings of two chunks that are joined.
const MOST_JOINED: usize = MAX_CHUNK_POSTINGS / 4 * 3;

/// Changes postings of one collection.
pub struct PostingEditor<'a, P: ?Sized> {
    pages: &'a mut P,
    collection_id: u32,
    /// Posting pages with room for chunks.
    room: &'a mut Room,
}

/// A chunk that is being changed.
struct Link {
    at: ChunkAddress,
    /// The chunk that leads here; `None` for the term's first.
    before: Option<ChunkAddress>,
    /// And the one that leads to that.
    before_that: Option<ChunkAddress>,
    next: Option<ChunkAddress>,
    postings: Vec<Posting>,
}

impl<'a, P: TreePagesMut + ?Sized> PostingEditor<'a, P> {
    /// Changes postings in `pages`; `room` is kept from one change to the next.
    pub fn new(pages: &'a mut P, collection_id: u32, room: &'a mut Room) -> Self {
        Self {
            pages,
            collection_id,
            room,
        }
    }

    /// Adds a posting to a term, `None` for a term that has none; gives the term's head as it is
    /// then.
    ///
    /// # Errors
    /// The term has a posting for the document; a page cannot be read, is damaged, or cannot be
    /// kept. The index is not sound then.
    pub fn insert(&mut self, head: Option<TermHead>, posting: Posting) -> Result<TermHead> {
        let Some(head) = head else {
            let first = self.place(None, &[posting], None)?;
            return Ok(TermHead {
                first,
                document_frequency: 1,
            });
        };
        let mut link = self.find(head, posting.address)?;
        let order = |found: &Posting| found.address.cmp(&posting.address);
        let Err(at) = link.postings.binary_search_by(order) else {
            let sentence = format!("a term has {} already", posting.address);
            return Err(damaged(link.at.page, sentence));
        };
        link.postings.insert(at, posting);
        let first = self.write(head.first, link)?;
        let document_frequency = head.document_frequency.checked_add(1).ok_or_else(|| {
            let sentence = "a term is in more than 4294967295 documents";
            Error::new(Code::LimitExceeded, sentence)
        })?;
        Ok(TermHead {
            first,
            document_frequency,
        })
    }

    /// Takes a document's posting from a term; gives the term's head as it is then, `None` once it
    /// has no posting any more.
    ///
    /// # Errors
    /// The term has no posting for the document; as [`Self::insert`].
    pub fn remove(&mut self, head: TermHead, address: DocumentAddress) -> Result<Option<TermHead>> {
        let mut link = self.find(head, address)?;
        let order = |found: &Posting| found.address.cmp(&address);
        let Ok(at) = link.postings.binary_search_by(order) else {
            let sentence = format!("a term of {address} lacks its posting");
            return Err(damaged(link.at.page, sentence));
        };
        link.postings.remove(at);
        let first = if link.postings.is_empty() {
            self.delete(link.at)?;
            match (link.before, link.next) {
                (Some(before), next) => {
                    self.lead(before, next)?;
                    Some(head.first)
                }
                (None, next) => next,
            }
        } else {
            Some(self.shrunk(head.first, link)?)
        };
        Ok(first.map(|first| TermHead {
            first,
            document_frequency: head.document_frequency.saturating_sub(1).max(1),
        }))
    }

    /// Writes a chunk that has lost a posting, joined with a neighbour if they are few together;
    /// gives the term's first chunk.
    fn shrunk(&mut self, first: ChunkAddress, mut link: Link) -> Result<ChunkAddress> {
        let is_few = |link: &Link, other: &Link| {
            let joined = link.postings.len().saturating_add(other.postings.len());
            joined <= MOST_JOINED
        };
        // A chunk that is nearly full has no neighbour to be joined with.
        if link.postings.len() >= MOST_JOINED {
            return self.write(first, link);
        }
        if let Some(next) = link.next {
            let next = self.read(next)?;
            if is_few(&link, &next) {
                self.delete(next.at)?;
                link.postings.extend(next.postings);
                link.next = next.next;
                return self.write(first, link);
            }
        }
        if let Some(before) = link.before {
            let mut before = self.read(before)?;
            if is_few(&link, &before) {
                before.before = link.before_that;
                self.delete(link.at)?;
                before.postings.append(&mut link.postings);
                before.next = link.next;
                return self.write(first, before);
            }
        }
        self.write(first, link)
    }

    /// The chunk that has an address, or would have it.
    fn find(&self, head: TermHead, address: DocumentAddress) -> Result<Link> {
        let mut link = self.read(head.first)?;
        // Every chunk has a posting, and the head counts them.
        for _ in 0..head.document_frequency {
            let is_here = link
                .postings
                .last()
                .is_some_and(|last| last.address >= address);
            let Some(next) = link.next.filter(|_| !is_here) else {
                return Ok(link);
            };
            let (before, before_that) = (Some(link.at), link.before);
            link = Link {
                before,
                before_that,
                ..self.read(next)?
            };
        }
        let sentence = "a term has more posting chunks than documents";
        Err(damaged(head.first.page, sentence))
    }

    fn page(&self, id: PageId) -> Result<Arc<SharedPage>> {
        self.pages.index_page(id)
    }

    /// A chunk, with nothing said of those before it.
    fn read(&self, at: ChunkAddress) -> Result<Link> {
        let page = self.page(at.page)?;
        let wrong = |error: String| damaged(at.page, format!("slot {}: {error}", at.slot.0));
        let slotted = open_page(page.bytes(), self.collection_id);
        let content = slotted.and_then(|slotted| slotted.get(at.slot));
        let content = content.map_err(|error| wrong(error.to_string()))?;
        let chunk = Chunk::of_slot(content).map_err(|error| wrong(error.to_string()))?;
        let postings = chunk.postings(self.collection_id, None);
        let postings: std::result::Result<Vec<Posting>, _> = postings.collect();
        Ok(Link {
            at,
            before: None,
            before_that: None,
            next: chunk.next(),
            postings: postings.map_err(|error| wrong(error.to_string()))?,
        })
    }

    fn encode(&self, postings: &[Posting], next: Option<ChunkAddress>) -> Vec<u8> {
        let next = next.unwrap_or_default();
        // At most 253.
        let count = u16::try_from(postings.len()).unwrap_or(u16::MAX);
        let mut chunk = Vec::with_capacity(
            CHUNK_HEADER_BYTES.saturating_add(postings.len().saturating_mul(POSTING_BYTES)),
        );
        chunk.extend_from_slice(&next.page.0.to_le_bytes());
        chunk.extend_from_slice(&next.slot.0.to_le_bytes());
        chunk.extend_from_slice(&count.to_le_bytes());
        for posting in postings {
            chunk.extend_from_slice(&posting.encode(self.collection_id));
        }
        chunk
    }

    /// Writes a chunk that has changed and what leads to it; gives the term's first chunk.
    fn write(&mut self, first: ChunkAddress, mut link: Link) -> Result<ChunkAddress> {
        if link.postings.len() > MAX_CHUNK_POSTINGS {
            // Addresses that come in order fill their chunks.
            let middle = match link.next {
                None => MAX_CHUNK_POSTINGS,
                Some(_) => link.postings.len() / 2,
            };
            let right = link.postings.split_off(middle);
            link.next = Some(self.place(Some(link.at.page), &right, link.next)?);
        }
        if self.replace(&link)? {
            return Ok(first);
        }
        let page_stays = self.delete(link.at)?;
        let near = page_stays.then_some(link.at.page);
        let at = self.place(near, &link.postings, link.next)?;
        match link.before {
            None => Ok(at),
            Some(before) => {
                self.lead(before, Some(at))?;
                Ok(first)
            }
        }
    }

    /// Writes a chunk where it is; false if its page has no room.
    fn replace(&mut self, link: &Link) -> Result<bool> {
        let content = self.encode(&link.postings, link.next);
        let page = self.page(link.at.page)?;
        let mut list = slots(&page, link.at.page)?;
        if !list.replace(link.at.slot, NewContent::Document(&content)) {
            return Ok(false);
        }
        self.put(link.at.page, &list)?;
        Ok(true)
    }

    /// Lets a chunk lead to another one, or to none.
    fn lead(&mut self, from: ChunkAddress, next: Option<ChunkAddress>) -> Result<()> {
        let mut link = self.read(from)?;
        link.next = next;
        if self.replace(&link)? {
            return Ok(());
        }
        let sentence = "a posting chunk does not fit the slot that it was in";
        Err(Error::new(Code::Internal, sentence))
    }

    /// Puts a new chunk into a page with room: `near`, the open one, the emptiest, or a new one.
    fn place(
        &mut self,
        near: Option<PageId>,
        postings: &[Posting],
        next: Option<ChunkAddress>,
    ) -> Result<ChunkAddress> {
        let content = self.encode(postings, next);
        for page in near.into_iter().chain(self.room.open()) {
            if let Some(at) = self.place_in(page, &content)? {
                return Ok(at);
            }
        }
        if let Some(page) = self.room.take(content.len().saturating_add(SLOT_SIZE)) {
            self.room.set_open(page);
            if let Some(at) = self.place_in(page, &content)? {
                return Ok(at);
            }
        }
        let page = self.pages.allocate()?;
        let mut list = SlotList::empty(self.collection_id);
        let slot = list.insert(NewContent::Document(&content)).ok_or_else(|| {
            let sentence = "a posting chunk does not fit an empty page";
            Error::new(Code::Internal, sentence)
        })?;
        self.room.set_open(page);
        self.put(page, &list)?;
        Ok(ChunkAddress { page, slot })
    }

    fn place_in(&mut self, page: PageId, content: &[u8]) -> Result<Option<ChunkAddress>> {
        let shared = self.page(page)?;
        let mut list = slots(&shared, page)?;
        let Some(slot) = list.insert(NewContent::Document(content)) else {
            return Ok(None);
        };
        self.put(page, &list)?;
        Ok(Some(ChunkAddress { page, slot }))
    }

    /// Deletes a chunk's slot; gives its page back if that was the last one, and then says false.
    fn delete(&mut self, at: ChunkAddress) -> Result<bool> {
        let page = self.page(at.page)?;
        let mut list = slots(&page, at.page)?;
        list.delete(at.slot);
        if !list.is_empty() {
            self.put(at.page, &list)?;
            return Ok(true);
        }
        self.room.forget(at.page);
        self.pages.free(at.page)?;
        Ok(false)
    }

    fn put(&mut self, id: PageId, list: &SlotList<'_>) -> Result<()> {
        self.room.note(id, list.free());
        let mut bytes = [0; PAGE_SIZE];
        list.build_as(PageType::Index, &mut bytes);
        self.pages.put(id, bytes)
    }
}

fn slots(page: &SharedPage, id: PageId) -> Result<SlotList<'_>> {
    SlotList::open(page.bytes()).map_err(|error| damaged(id, error.to_string()))
}
