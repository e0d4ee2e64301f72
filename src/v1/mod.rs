//! Format v1: the JSON snapshot and the write-ahead log.

pub mod discover;
pub mod names;
pub mod pages;
pub mod selection;
pub mod snapshot;
pub mod wal;
