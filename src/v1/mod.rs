//! Format v1: the JSON snapshot and the write-ahead log.

pub mod snapshot;
pub mod wal;
