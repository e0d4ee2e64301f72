//! The catalog: which collections there are, and where their metadata is.
//!
//! ```text
//! page 0 of metadata.db, type 0, from byte 32 on:
//! header (32) = magic u32 0x4C415552 | version u16     1, or 2 if there are chain pages
//!             | collection_count u32                   entries in this page
//!             | next_collection_id u32
//!             | first_metadata_page u32                first chain page, 0 = none
//!             | free_metadata_page u32 (0) | last_checkpoint_txn u64 (0) | reserved u16 (0)
//! entries     = entry[collection_count], 4032 bytes at most
//! entry       = collection_id u32 | name str16 | metadata_page u32 | flags u16
//! flags       = 1 active | 2 system
//!
//! chain page, type 0, from byte 16 on:
//!             next u32 (0 = last) | entry_count u32 | entry[entry_count]
//! ```
//!
//! Entries are written by collection id, readers take any order. Page 0 counts its own entries
//! only, because LauraDB, which knows no chain, overwrites a page 0 that it cannot parse: so it
//! must be sound on its own.

mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use writer::CatalogPlan;

use super::address::PageId;
use super::page::{PAGE_HEADER_SIZE, PAGE_SIZE};
use super::record::RECORD_START;

const MAGIC: u32 = 0x4C41_5552;
const VERSION_SINGLE: u16 = 1;
const VERSION_CHAINED: u16 = 2;
const HEADER_SIZE: usize = 32;
const ENTRIES_START: usize = RECORD_START + HEADER_SIZE;
const CHAIN_HEADER_SIZE: usize = 8;
const CHAIN_ENTRIES_START: usize = PAGE_HEADER_SIZE + CHAIN_HEADER_SIZE;
/// Bytes of an entry without its name.
const ENTRY_FIXED_SIZE: usize = 4 + 2 + 4 + 2;

const ACTIVE: u16 = 1;
const SYSTEM: u16 = 2;

const _: () = assert!(PAGE_SIZE - ENTRIES_START == 4032 && ENTRY_FIXED_SIZE == 12);

/// Longest collection name, in bytes of UTF-8.
pub const MAX_COLLECTION_NAME: usize = 255;

/// A collection in the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogEntry {
    /// From 1 on.
    pub collection_id: u32,
    /// 1 to 255 bytes without NUL.
    pub name: String,
    /// Its metadata page.
    pub metadata_page: PageId,
    /// False for one that LauraDB ignores.
    pub active: bool,
    /// One that LauraDB keeps for itself.
    pub system: bool,
}

/// The whole catalog: header fields of page 0 and the entries of all its pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    /// Greater than every id in use.
    pub next_collection_id: u32,
    /// Last transaction in the last checkpoint.
    pub last_checkpoint_txn: u64,
    /// By collection id; ids and names are unique.
    pub entries: Vec<CatalogEntry>,
}

/// True if format v2 can take a collection of this name.
#[must_use]
pub fn is_collection_name(name: &str) -> bool {
    (1..=MAX_COLLECTION_NAME).contains(&name.len()) && !name.contains('\0')
}
