//! Files that are whole pages and nothing else: `data.db` and `metadata.db`.
//!
//! Page n lies at byte 4096 × n and carries its number in its header. Files are written strictly
//! from front to back: a page gets its id, and with it its checksum, when it is appended.

mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::{PageFileReader, PageImages};
pub use writer::PageFileWriter;

use super::address::PageId;
use super::page::PAGE_SIZE;

const PAGE_BYTES: u64 = PAGE_SIZE as u64;

/// Where a page begins in its file, in bytes.
#[must_use]
pub fn page_offset(page: PageId) -> u64 {
    u64::from(page.0) * PAGE_BYTES
}
