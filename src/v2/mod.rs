//! Format v2: 4 KiB pages, slotted data pages, catalog and metadata, B+trees.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod address;
pub mod btree;
pub mod catalog;
pub mod data_file;
pub mod freelist;
pub mod metadata;
pub mod overflow;
pub mod page;
pub mod page_file;
pub mod postings;
mod record;
pub mod rtree;
mod shared;
pub mod slotted;
pub mod statistics;

pub use address::{DocumentAddress, PageId, SlotNumber};
pub use page::{ChecksumPolicy, PageBytes, PageError, PageHeader, PageType};
pub use shared::SharedPage;
