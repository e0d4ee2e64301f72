//! Documents in `data.db`, written in order and read back.
//!
//! ```text
//! data.db = page 0 (slotted, no slots: 0 means "none" in every page pointer)
//!         | per collection, by id: its overflow and slotted pages, in one run
//!         | per index: its pages, in one run
//! ```
//!
//! A document that does not fit the open page closes it, and a page gets its id when it closes.
//! So all writes are sequential, overflow pages come before the page that holds their document's
//! slot, and after a page which that document closed.

mod collection;
mod reader;
#[cfg(test)]
mod tests;

pub use collection::{ClosedPage, CollectionPages, CollectionWriter};
pub(crate) use reader::scan_with_deleted;
pub use reader::{DocumentReader, scan_documents};

use super::page_file::PageFileWriter;
use super::slotted::SlottedBuilder;
use crate::Result;
use crate::files::OutputFile;

/// Starts a `data.db` with its page 0. To go on with one, use [`PageFileWriter::resume`].
///
/// # Errors
/// The write fails.
pub fn create(file: OutputFile, buffer_bytes: usize) -> Result<PageFileWriter> {
    begin(PageFileWriter::create(file, buffer_bytes))
}

/// Starts a `data.db` of which only the pages are written that
/// [`keep`](PageFileWriter::keep) is on for.
///
/// # Errors
/// As [`create`].
pub fn discarding(file: OutputFile) -> Result<PageFileWriter> {
    begin(PageFileWriter::discarding(file))
}

fn begin(mut writer: PageFileWriter) -> Result<PageFileWriter> {
    // Page 0 belongs to no collection: their ids begin at 1.
    writer.append_page(SlottedBuilder::new(0).finish())?;
    Ok(writer)
}
