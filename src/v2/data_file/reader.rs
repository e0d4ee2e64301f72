//! Reads documents back by address or in the order of a run of pages.

use crate::large::{prepare, release};
use crate::v2::address::{DocumentAddress, PageId, SlotNumber};
use crate::v2::overflow::ChainReader;
use crate::v2::page::{PAGE_SIZE, PageBytes, PageError, PageType};
use crate::v2::page_file::PageFileReader;
use crate::v2::slotted::{OverflowHead, SlotContent, SlottedPage};
use crate::{Error, Result};

/// Turns slot contents into documents, fetching overflow pages; keeps its buffers.
#[derive(Debug)]
pub struct DocumentReader<'f> {
    file: &'f PageFileReader,
    page: Box<PageBytes>,
    chain_page: Box<PageBytes>,
    document: Vec<u8>,
}

impl<'f> DocumentReader<'f> {
    /// Reads from this data file.
    #[must_use]
    pub fn new(file: &'f PageFileReader) -> Self {
        Self {
            file,
            page: Box::new([0; PAGE_SIZE]),
            chain_page: Box::new([0; PAGE_SIZE]),
            document: Vec::new(),
        }
    }

    /// The document at an address; `None` if the slot is deleted. Its BSON is not checked.
    ///
    /// # Errors
    /// [`crate::Code::PageDamaged`]: the page, the slot or the chain is not there or not sound; a
    /// read fails.
    pub fn read(&mut self, address: DocumentAddress) -> Result<Option<&[u8]>> {
        let DocumentAddress { page, slot } = address;
        self.file.read(page, PageType::Data, &mut self.page)?;
        let slotted = SlottedPage::open(&self.page);
        let content = slotted.and_then(|slotted| slotted.get(slot));
        match content.map_err(|error| at_slot(self.file.damaged(page, error), address))? {
            None => Ok(None),
            Some(SlotContent::Document(bytes)) => Ok(Some(bytes)),
            Some(SlotContent::Overflow(head)) => {
                let chain = read_chain(self.file, head, &mut self.chain_page, &mut self.document);
                chain.map_err(|error| error_of_chain(error, address))?;
                Ok(Some(&self.document))
            }
        }
    }

    /// The document at an address of this tool's own file, though its slot may be deleted.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_deleted(&mut self, address: DocumentAddress) -> Result<&[u8]> {
        let DocumentAddress { page, slot } = address;
        self.file.read(page, PageType::Data, &mut self.page)?;
        let content = SlottedPage::open(&self.page).and_then(|slotted| slotted.get_deleted(slot));
        match content.map_err(|error| at_slot(self.file.damaged(page, error), address))? {
            SlotContent::Document(bytes) => Ok(bytes),
            SlotContent::Overflow(head) => {
                let chain = read_chain(self.file, head, &mut self.chain_page, &mut self.document);
                chain.map_err(|error| error_of_chain(error, address))?;
                Ok(&self.document)
            }
        }
    }

    /// Keeps no memory that a large document took.
    pub(crate) fn release(&mut self) {
        release(&mut self.document);
    }

    /// The document that a slot's content stands for.
    ///
    /// # Errors
    /// As [`Self::read`]; damage in a chain is reported with its page, and names `address`.
    pub fn resolve<'d>(
        &'d mut self,
        address: DocumentAddress,
        content: SlotContent<'d>,
    ) -> Result<&'d [u8]> {
        match content {
            SlotContent::Document(bytes) => Ok(bytes),
            SlotContent::Overflow(head) => {
                let chain = read_chain(self.file, head, &mut self.chain_page, &mut self.document);
                chain.map_err(|error| error_of_chain(error, address))?;
                Ok(&self.document)
            }
        }
    }
}

/// Visits every live document in a run of pages, in the order of the slotted pages and slots;
/// overflow pages in the run are read when a slot points at them. BSON is not checked.
///
/// # Errors
/// As [`DocumentReader::read`]; those of the visitor.
pub fn scan_documents(
    file: &PageFileReader,
    first_page: PageId,
    page_count: u32,
    visit: impl FnMut(DocumentAddress, &[u8]) -> Result<()>,
) -> Result<()> {
    scan_slots(file, (first_page, page_count), false, visit)
}

/// [`scan_documents`], and the documents of deleted slots as well: for a file of this tool's own,
/// which keeps them.
///
/// # Errors
/// As [`scan_documents`].
pub(crate) fn scan_with_deleted(
    file: &PageFileReader,
    pages: (PageId, u32),
    visit: impl FnMut(DocumentAddress, &[u8]) -> Result<()>,
) -> Result<()> {
    scan_slots(file, pages, true, visit)
}

fn scan_slots(
    file: &PageFileReader,
    (first_page, page_count): (PageId, u32),
    takes_deleted: bool,
    mut visit: impl FnMut(DocumentAddress, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut reader = DocumentReader::new(file);
    file.scan(first_page, page_count, |page, page_type, bytes| {
        match page_type {
            PageType::Overflow => return Ok(()),
            PageType::Data => {}
            other => {
                let found = other as u8;
                let expected = "0 (data) or 3 (overflow) among a collection's pages";
                let error = PageError::field(4, "page type", found, expected);
                return Err(file.damaged(page, error));
            }
        }
        let slotted = SlottedPage::open(bytes).map_err(|error| file.damaged(page, error))?;
        for slot in (0..slotted.slot_count()).map(SlotNumber) {
            let content = match takes_deleted {
                true => slotted.get_deleted(slot).map(Some),
                false => slotted.get(slot),
            };
            let Some(content) = content.map_err(|error| file.damaged(page, error))? else {
                continue;
            };
            let address = DocumentAddress { page, slot };
            visit(address, reader.resolve(address, content)?)?;
            reader.release();
        }
        Ok(())
    })
}

fn read_chain(
    file: &PageFileReader,
    head: OverflowHead,
    page: &mut PageBytes,
    document: &mut Vec<u8>,
) -> Result<()> {
    prepare(document, head.total_size() as usize);
    let mut chain = ChainReader::new(head);
    while let Some(id) = chain.next_page() {
        file.read(id, PageType::Overflow, page)?;
        let taken = chain.take(page, document);
        taken.map_err(|error| file.damaged(id, error))?;
    }
    Ok(())
}

fn at_slot(error: Error, address: DocumentAddress) -> Error {
    error.map_place(|place| place.with_slot(address.slot.0))
}

/// Names the slot whose document the chain is; the place stays that of the damage.
fn error_of_chain(error: Error, address: DocumentAddress) -> Error {
    let sentence = format!("the overflow chain of {address} cannot be read");
    let (code, place) = (error.code(), error.place().clone());
    Error::new(code, sentence).at(place).because(error)
}
