//! Reading a page file once, front to back, with all that is wrong with its pages' headers.

use super::Check;
use crate::Result;
use crate::files::InputFile;
use crate::v2::PageId;
use crate::v2::page::{PAGE_SIZE, PageBytes, PageError, PageHeader};
use crate::v2::page_file::{PageFileReader, page_offset};
use crate::validate::Resources;

/// Pages that are read at once.
const RUN_PAGES: u32 = 64;

/// Visits every page as it lies in the file, or the log; nothing of it is checked. `file` is the one that
/// hashes what is read.
pub(super) fn scan_pages(
    pages: &PageFileReader,
    file: &InputFile,
    resources: &mut Resources<'_>,
    visit: &mut dyn FnMut(PageId, &PageBytes) -> Result<()>,
) -> Result<()> {
    file.advise_sequential();
    let end = pages.page_count();
    if pages.has_images() {
        let mut page = [0; PAGE_SIZE];
        for id in (0..end).map(PageId) {
            pages.read_unverified(id, &mut page)?;
            visit(id, &page)?;
            (resources.advance)(PAGE_SIZE as u64, 0)?;
        }
        return Ok(());
    }
    let mut run = vec![0; PAGE_SIZE.saturating_mul(end.min(RUN_PAGES) as usize)];
    let mut next = 0;
    while next < end {
        let count = end.saturating_sub(next).min(RUN_PAGES);
        let wanted = run.get_mut(..(count as usize).saturating_mul(PAGE_SIZE));
        let wanted = wanted.unwrap_or_default();
        file.read_exact_at(wanted, page_offset(PageId(next)))?;
        for (bytes, id) in wanted.as_chunks().0.iter().zip(next..) {
            visit(PageId(id), bytes)?;
        }
        next = next.saturating_add(count);
        (resources.advance)(wanted.len() as u64, 0)?;
    }
    Ok(())
}

/// The fields of a page header that a migration leaves 0.
pub(super) fn check_header(check: &Check<'_>, bytes: &PageBytes) -> Result<(), PageError> {
    const FLAGS: usize = 5;
    const LSN: usize = 6;
    let header = PageHeader::decode(bytes);
    if check.fresh && header.flags != 0 {
        return Err(PageError::field(FLAGS, "flags", header.flags, "0"));
    }
    if check.fresh && header.lsn != 0 {
        return Err(PageError::field(LSN, "lsn", header.lsn, "0"));
    }
    Ok(())
}
