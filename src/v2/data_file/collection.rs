//! Writes the documents of one collection.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "the file only grows, so its end is not before the first page"
)]

use crate::v2::address::{PageId, SlotNumber};
use crate::v2::overflow;
use crate::v2::page::PageBytes;
use crate::v2::page_file::PageFileWriter;
use crate::v2::slotted::{MAX_SLOT_CONTENT, SlottedBuilder};
use crate::{Code, Error, Result};
use serde::{Deserialize, Serialize};

/// A slotted page that was just sealed and appended; it may still be in the writer's buffer.
#[derive(Clone, Copy, Debug)]
pub struct ClosedPage<'p> {
    /// Its number. A file cut to `id + 1` pages ends with this page and holds the whole of every
    /// document in it.
    pub id: PageId,
    /// Its bytes.
    pub bytes: &'p PageBytes,
}

/// The run of pages in which a collection's documents lie, overflow pages included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionPages {
    /// First page of the run.
    pub first_page: PageId,
    /// Pages of the run; 0 for a collection without documents.
    pub page_count: u32,
    /// The first slotted page, which overflow pages may precede; 0 for none.
    pub first_data_page: PageId,
}

/// Writes a collection's documents one after the other to the end of a data file.
///
/// The address of a document is complete only when its page closes: [`Self::insert`] returns the
/// slot, and `on_closed` learns the page's id. All slots returned since the last close (or the
/// start) are on the page that closes next. Nothing is kept for consumers that need documents with
/// their addresses: of a closed page's bytes they can read every document in a slot, and of
/// overflow documents, which the page only points at, either take what they need from what they
/// hand to `insert`, to be completed with the page's id later, or read them back with
/// [`super::DocumentReader`] after a flush.
#[derive(Debug)]
pub struct CollectionWriter {
    builder: SlottedBuilder,
    pages: CollectionPages,
}

impl CollectionWriter {
    /// Starts a collection at the end of `file`.
    #[must_use]
    pub fn new(collection_id: u32, file: &PageFileWriter) -> Self {
        let pages = CollectionPages {
            first_page: file.next_page(),
            ..CollectionPages::default()
        };
        Self::resume(collection_id, pages)
    }

    /// Goes on after a closed page, with what [`Self::pages`] said then.
    ///
    /// The next document must be the first one that is not in that page or an earlier one, and the
    /// file must be cut right behind the page: then the bytes come out as if nothing had happened.
    #[must_use]
    pub fn resume(collection_id: u32, pages: CollectionPages) -> Self {
        Self {
            builder: SlottedBuilder::new(collection_id),
            pages,
        }
    }

    /// The pages up to the last closed one.
    #[must_use]
    pub fn pages(&self) -> CollectionPages {
        self.pages
    }

    /// Adds a document; first of all closes the open page if the document's slot does not fit it.
    ///
    /// # Errors
    /// [`Code::LimitExceeded`] for a document over 16 MiB or when page numbers run out; a write
    /// fails; those of `on_closed`.
    #[inline]
    pub fn insert(
        &mut self,
        file: &mut PageFileWriter,
        document: &[u8],
        on_closed: &mut dyn FnMut(ClosedPage<'_>) -> Result<()>,
    ) -> Result<SlotNumber> {
        if document.len() > MAX_SLOT_CONTENT {
            return self.insert_overflow(file, document, on_closed);
        }
        if let Some(slot) = self.builder.try_insert(document) {
            return Ok(slot);
        }
        self.close(file, on_closed)?;
        let slot = self.builder.try_insert(document);
        slot.ok_or_else(|| internal("a document of at most 4063 bytes does not fit an empty page"))
    }

    fn insert_overflow(
        &mut self,
        file: &mut PageFileWriter,
        document: &[u8],
        on_closed: &mut dyn FnMut(ClosedPage<'_>) -> Result<()>,
    ) -> Result<SlotNumber> {
        if !self.builder.fits_overflow() {
            self.close(file, on_closed)?;
        }
        let first_page = file.next_page();
        let head = overflow::plan_chain(document, first_page).ok_or_else(|| {
            let sentence = format!(
                "a document of {} bytes does not fit the format's 16777216 bytes, \
                 or the file's page numbers run out",
                document.len()
            );
            Error::new(Code::LimitExceeded, sentence)
        })?;
        overflow::write_chain(document, first_page, |page| {
            file.append_page(page).map(drop)
        })?;
        let slot = self.builder.try_insert_overflow(head);
        slot.ok_or_else(|| internal("an overflow head does not fit the page that had room for it"))
    }

    /// Closes the last page. A collection without documents has no pages.
    ///
    /// # Errors
    /// The write fails; those of `on_closed`.
    pub fn finish(
        mut self,
        file: &mut PageFileWriter,
        on_closed: &mut dyn FnMut(ClosedPage<'_>) -> Result<()>,
    ) -> Result<CollectionPages> {
        if !self.builder.is_empty() {
            self.close(file, on_closed)?;
        }
        if self.pages.page_count == 0 {
            return Ok(CollectionPages::default());
        }
        Ok(self.pages)
    }

    fn close(
        &mut self,
        file: &mut PageFileWriter,
        on_closed: &mut dyn FnMut(ClosedPage<'_>) -> Result<()>,
    ) -> Result<()> {
        let bytes = self.builder.finish();
        let id = file.append_page(bytes)?;
        if self.pages.first_data_page == PageId(0) {
            self.pages.first_data_page = id;
        }
        self.pages.page_count = file.page_count() - self.pages.first_page.0;
        on_closed(ClosedPage { id, bytes })
    }
}

fn internal(sentence: &str) -> Error {
    Error::new(Code::Internal, sentence)
}
