//! Appends pages to a page file.

use super::page_offset;
use crate::files::{AppendWriter, OutputFile};
use crate::v2::address::PageId;
use crate::v2::page::{self, PageBytes};
use crate::{Code, Error, Place, Result};

/// Appends pages; each gets the next id.
#[derive(Debug)]
pub struct PageFileWriter {
    out: AppendWriter,
    page_count: u32,
}

impl PageFileWriter {
    /// Starts an empty file. Pages are written in pieces of about `buffer_bytes`.
    #[must_use]
    pub fn create(file: OutputFile, buffer_bytes: usize) -> Self {
        Self {
            out: AppendWriter::new(file, 0, buffer_bytes).write_behind(),
            page_count: 0,
        }
    }

    /// Starts an empty file whose pages are counted, and written only while [`Self::keep`] says so.
    #[must_use]
    pub fn discarding(file: OutputFile) -> Self {
        Self {
            out: AppendWriter::discarding(file),
            page_count: 0,
        }
    }

    /// Whether a [`Self::discarding`] file keeps the pages that are appended from here on.
    pub fn keep(&mut self, keep: bool) {
        self.out.keep(keep);
    }

    /// Goes on with a file that an earlier run wrote: what follows its first `page_count` pages,
    /// durable since a checkpoint, is cut off.
    ///
    /// # Errors
    /// The file is shorter ([`Code::PageDamaged`]), or the cut fails.
    pub fn resume(file: OutputFile, page_count: u32, buffer_bytes: usize) -> Result<Self> {
        let offset = page_offset(PageId(page_count));
        let len = file.len()?;
        if len < offset {
            let sentence = format!(
                "the file has {len} bytes, but the checkpoint counts {page_count} pages ({offset} bytes)"
            );
            return Err(Error::new(Code::PageDamaged, sentence)
                .at(Place::offset(file.path(), len))
                .hint("start over with --restart"));
        }
        file.set_len(offset)?;
        Ok(Self {
            out: AppendWriter::new(file, offset, buffer_bytes).write_behind(),
            page_count,
        })
    }

    /// Pages so far, those still in the buffer included.
    #[must_use]
    pub fn page_count(&self) -> u32 {
        self.page_count
    }

    /// The id that the next appended page gets.
    #[must_use]
    pub fn next_page(&self) -> PageId {
        PageId(self.page_count)
    }

    /// Where the next page goes, in bytes.
    #[must_use]
    pub fn position(&self) -> u64 {
        page_offset(self.next_page())
    }

    /// Gives the page its id and checksum and appends it.
    ///
    /// # Errors
    /// [`Code::LimitExceeded`] when the page numbers (u32) run out; a write fails.
    pub fn append_page(&mut self, page: &mut PageBytes) -> Result<PageId> {
        let id = self.next_page();
        let page_count = self.page_count.checked_add(1).ok_or_else(|| {
            let sentence = "the file would have more than 4294967295 pages (16 TiB)";
            Error::new(Code::LimitExceeded, sentence).at(Place::file(self.file().path()))
        })?;
        page::seal(page, id);
        self.out.append(page)?;
        self.page_count = page_count;
        Ok(id)
    }

    /// Gives a page that was appended before its checksum anew and writes it in its place.
    ///
    /// # Errors
    /// The write fails; the page may be torn then.
    pub fn rewrite_page(&mut self, id: PageId, page: &mut PageBytes) -> Result<()> {
        self.flush()?;
        page::seal(page, id);
        self.file().write_all_at(page, page_offset(id))
    }

    /// Hands everything to the kernel, so that [`Self::file`] can read it back.
    ///
    /// # Errors
    /// The write fails.
    pub fn flush(&mut self) -> Result<()> {
        self.out.flush()
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// The write or the fsync fails.
    pub fn sync(&mut self) -> Result<()> {
        self.out.sync()
    }

    /// The file below; it holds what was flushed.
    #[must_use]
    pub fn file(&self) -> &OutputFile {
        self.out.file()
    }

    /// Writes the last pages and ends; nothing is synced.
    ///
    /// # Errors
    /// The write fails.
    pub fn into_file(self) -> Result<OutputFile> {
        self.out.into_file()
    }
}
