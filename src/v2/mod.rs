//! Format v2: 4 KiB pages, slotted data pages, catalog and metadata, B+trees.

pub mod address;
pub mod btree;
pub mod page;

pub use address::{DocumentAddress, PageId, SlotNumber};
pub use page::{ChecksumPolicy, PageBytes, PageError, PageHeader, PageType};
