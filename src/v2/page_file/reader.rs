//! Reads pages of a page file, one at a time or in runs.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::{PAGE_BYTES, page_offset};
use crate::files::InputFile;
use crate::v2::address::PageId;
use crate::v2::page::{self, ChecksumPolicy, PAGE_SIZE, PageBytes, PageError, PageType};
use crate::{Code, Error, Place, Result};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Pages that a scan reads at a time.
const RUN_PAGES: u32 = 64;

/// Pages that a write-ahead log holds and their file may not have yet.
pub trait PageImages: fmt::Debug + Send + Sync {
    /// Fills `page` with the newest image of a page; false if there is none.
    ///
    /// # Errors
    /// The image cannot be read.
    fn image(&self, id: PageId, page: &mut PageBytes) -> Result<bool>;

    /// One more than the highest page that has an image; 0 if none has.
    fn page_count(&self) -> u32;
}

/// A file of whole pages, open for reading from any thread.
#[derive(Clone, Debug)]
pub struct PageFileReader {
    file: InputFile,
    page_count: u32,
    policy: ChecksumPolicy,
    images: Option<Arc<dyn PageImages>>,
}

impl PageFileReader {
    /// Takes a file whose size is a whole number of pages, at most 2^32 - 1 and at least one.
    ///
    /// # Errors
    /// [`Code::PageDamaged`] for any other size.
    pub fn open(file: InputFile, policy: ChecksumPolicy) -> Result<Self> {
        let size = file.size();
        let page_count = u32::try_from(size / PAGE_BYTES).unwrap_or_default();
        if page_count == 0 || page_offset(PageId(page_count)) != size {
            let sentence =
                format!("the file has {size} bytes, expected whole pages of {PAGE_SIZE} bytes");
            return Err(Error::new(Code::PageDamaged, sentence).at(Place::file(file.path())));
        }
        Ok(Self {
            file,
            page_count,
            policy,
            images: None,
        })
    }

    /// A file as it will be when these images have been written to it. The file itself may end
    /// anywhere.
    ///
    /// # Errors
    /// [`Code::PageDamaged`] if there are no pages, or more than 2^32 - 1.
    pub fn with_images(
        file: InputFile,
        policy: ChecksumPolicy,
        images: Arc<dyn PageImages>,
    ) -> Result<Self> {
        let whole = u32::try_from(file.size() / PAGE_BYTES).unwrap_or_default();
        let page_count = whole.max(images.page_count());
        if page_count == 0 {
            let sentence = "the file has no pages";
            return Err(Error::new(Code::PageDamaged, sentence).at(Place::file(file.path())));
        }
        Ok(Self {
            file,
            page_count,
            policy,
            images: Some(images),
        })
    }

    /// Pages in the file.
    #[must_use]
    pub fn page_count(&self) -> u32 {
        self.page_count
    }

    /// The path, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The file itself.
    #[must_use]
    pub fn file(&self) -> &InputFile {
        &self.file
    }

    /// Reads a page and checks its id, type and checksum.
    ///
    /// # Errors
    /// [`Code::PageDamaged`], also for a page that the file does not have; the read fails.
    pub fn read(&self, id: PageId, page_type: PageType, page: &mut PageBytes) -> Result<()> {
        self.read_unverified(id, page)?;
        page::verify(page, id, page_type, self.policy).map_err(|error| self.damaged(id, error))
    }

    /// Reads a page and checks its id and checksum; tells its type.
    ///
    /// # Errors
    /// As [`Self::read`], a type number that is none included.
    pub fn read_any(&self, id: PageId, page: &mut PageBytes) -> Result<PageType> {
        self.read_unverified(id, page)?;
        self.check_any(id, page)
    }

    /// Visits `page_count` pages from `first` on, in order, reading many at a time. Id, type number
    /// and checksum of each are checked.
    ///
    /// # Errors
    /// As [`Self::read_any`]; those of the visitor, which ends the scan.
    pub fn scan(
        &self,
        first: PageId,
        page_count: u32,
        mut visit: impl FnMut(PageId, PageType, &PageBytes) -> Result<()>,
    ) -> Result<()> {
        let end = first
            .0
            .checked_add(page_count)
            .filter(|end| *end <= self.page_count)
            .ok_or_else(|| {
                self.missing(PageId(first.0.saturating_add(page_count).saturating_sub(1)))
            })?;
        if self.images.is_some() {
            let mut page = [0; PAGE_SIZE];
            for id in (first.0..end).map(PageId) {
                let page_type = self.read_any(id, &mut page)?;
                visit(id, page_type, &page)?;
            }
            return Ok(());
        }
        let mut run = vec![0; PAGE_SIZE.saturating_mul(page_count.min(RUN_PAGES) as usize)];
        let mut next = first.0;
        while next < end {
            let run_pages = end.saturating_sub(next).min(RUN_PAGES);
            let wanted = run.get_mut(..PAGE_SIZE.saturating_mul(run_pages as usize));
            let wanted = wanted.unwrap_or_default();
            self.file.read_exact_at(wanted, page_offset(PageId(next)))?;
            for (page, id) in wanted.as_chunks().0.iter().zip(next..) {
                let id = PageId(id);
                visit(id, self.check_any(id, page)?, page)?;
            }
            next = next.saturating_add(run_pages);
        }
        Ok(())
    }

    /// The error for damage found in a page of this file.
    #[must_use]
    pub fn damaged(&self, page: PageId, error: PageError) -> Error {
        error.at(self.path(), page)
    }

    fn check_any(&self, id: PageId, bytes: &PageBytes) -> Result<PageType> {
        let found = page::PageHeader::decode(bytes).page_type;
        // A type number that is none fails as a data page would.
        let page_type = PageType::from_u8(found).unwrap_or(PageType::Data);
        page::verify(bytes, id, page_type, self.policy)
            .map(|()| page_type)
            .map_err(|error| self.damaged(id, error))
    }

    /// Lets the kernel read these pages now, for a scan that comes to them soon.
    pub fn advise_needed(&self, first: PageId, page_count: u32) {
        let length = PAGE_BYTES.saturating_mul(u64::from(page_count));
        self.file.advise_needed(page_offset(first), length);
    }

    /// True if some pages may come from a log.
    #[must_use]
    pub fn has_images(&self) -> bool {
        self.images.is_some()
    }

    /// Reads a page as it is.
    ///
    /// # Errors
    /// [`Code::PageDamaged`] for a page that the file does not have; the read fails.
    pub fn read_unverified(&self, id: PageId, page: &mut PageBytes) -> Result<()> {
        if id.0 >= self.page_count {
            return Err(self.missing(id));
        }
        if let Some(images) = &self.images
            && images.image(id, page)?
        {
            return Ok(());
        }
        self.file.read_exact_at(page, page_offset(id))
    }

    fn missing(&self, id: PageId) -> Error {
        let sentence = format!("there is no such page, the file has {}", self.page_count);
        Error::new(Code::PageDamaged, sentence).at(Place::page(self.path(), id.0))
    }
}
