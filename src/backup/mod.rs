//! Backup directories: every document of a database as text that other tools read, and everything
//! that is needed to have it back unchanged.
//!
//! ```text
//! backup-YYYYMMDD-HHMMSS/     UTC
//!   manifest.json             see `manifest`; written last
//!   NAME.jsonl                one per collection, see `name`; nothing else
//!
//! NAME.jsonl = (document "\n")*     in the order of the source
//! document   = canonical Extended JSON v2, see `document::ejson`
//! ```
//!
//! [`BackupWriter`] builds the directory under another name and renames it when it is complete.
//! [`BackupReader`] trusts nothing: whatever has been added, lost or changed since is refused by
//! name.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod lines;
mod manifest;
mod name;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use manifest::{Manifest, ManifestCollection};
pub use name::{EXTENSION, collection_name, file_name};
pub use read::{BackupLine, BackupReader};
pub use write::{BackupHeader, BackupWriter, FinishedBackup, SealedBackup, remove_unfinished};

use crate::document::MAX_DOCUMENT_BYTES;
use crate::large::release;
use std::fmt::Write as _;

/// Longest line. Canonical Extended JSON takes at most 7 bytes of text per byte of BSON: 6 for a
/// control character, a little more for an empty binary value under a one-letter name that is one.
const MAX_LINE_BYTES: usize = 7 * MAX_DOCUMENT_BYTES;

/// Lower-case hex digits.
fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// Empties a buffer for the next document.
fn recycle(buffer: &mut Vec<u8>) {
    buffer.clear();
    release(buffer);
}
