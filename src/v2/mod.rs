//! Format v2: 4 KiB pages, slotted data pages, catalog and metadata, B+trees.

pub mod address;

pub use address::{DocumentAddress, PageId, SlotNumber};
