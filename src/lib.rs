//! Takes a LauraDB data directory from format v1 (a JSON snapshot and a write-ahead log) to v2
//! (4 KiB slotted pages, a catalog, B+tree indexes) without losing, changing or inventing a
//! document.
//!
//! The way of the data, and the module that owns each step:
//!
//! ```text
//! v1::snapshot ─ chunks of whole documents ─ document::json (jobs) ─┐ in order
//! v1::wal ─ one scan ─ overlay of last operations ──────────────────┴→ v2 page writer → data.db
//!                       closed pages ─→ index::extract ─→ index::sort ─→ v2::btree, leaves first
//! catalog, collection and index metadata, statistics → metadata.db
//! ```
//!
//! [`coordinator`] runs the phases in order; every change to a file goes through [`files`].

#[cfg(windows)]
compile_error!(
    "laura-migrate runs on Linux and macOS; LauraDB data directories are not migrated on Windows"
);

// The generator of test data, which unit tests include too, names the library from outside.
#[cfg(test)]
extern crate self as laura_migrate;

pub mod backup;
pub mod bytes;
pub mod cli;
pub mod coordinator;
pub mod document;
pub mod error;
pub mod files;
pub mod index;
mod jsontext;
pub mod layout;
pub mod options;
pub mod progress;
pub mod report;
mod shell;
pub mod source;
pub mod store;
pub mod v1;
pub mod v2;
pub mod version;

pub use coordinator::{Interrupt, Migration};
pub use error::{Code, Error, ExitCode, Place, Result};
pub use options::{Options, Verification};
