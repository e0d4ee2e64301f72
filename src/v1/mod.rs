//! Format v1: the JSON snapshot and the write-ahead log.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod discover;
pub mod names;
pub mod pages;
pub mod selection;
pub mod snapshot;
pub mod wal;
