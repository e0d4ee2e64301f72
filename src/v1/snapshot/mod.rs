//! The JSON snapshot, LauraDB's backup format 1.0: where everything lies in the file.
//!
//! ```text
//! snapshot   = ws "{" members "}" ws                       nothing before or after it
//!   "version"        "1.0"
//!   "timestamp"      any value; a string is kept
//!   "database_name"  string, not empty
//!   "collections"    [ collection, … ]
//!   "metadata"       object or null; "wal_lsn" in it is an integer from 0 to 2^64-1
//! collection = "{" members "}"
//!   "name"           string, each name once
//!   "documents"      [ element, … ] or null
//!   "indexes"        [ value, … ] or null
//!   "metadata"       object or null
//! ```
//!
//! Members come in any order and any of them may be missing but `version`, `database_name`,
//! `collections` and `name`; keys are case-sensitive and may be written with escapes; a known key
//! stands once, others are skipped and counted. White space may stand wherever JSON allows it.
//! `metadata` of a collection is null or an object.
//!
//! All of this is checked strictly. An element of `documents` is only delimited: it ends at the
//! bracket that closes its first one, whatever kind it is. The parser of documents checks the
//! rest, in parallel.

mod ahead;
mod documents;
mod element;
mod ids;
mod layout;
mod reader;
mod scan;
mod walk;
mod window;
mod write;

#[cfg(test)]
mod tests;

pub use ids::walk_ids;
pub use layout::{Chunk, CollectionLayout, ListedIndex, SnapshotLayout};
pub use scan::{MAX_INDEX_BYTES, MAX_METADATA_BYTES, ScanOptions, scan, timestamp};
pub use walk::{BadDocument, ChunkDocument, ChunkSink, ChunkWalker};
pub use write::{
    Loss, LossKind, LossPlace, LossTally, SnapshotForm, SnapshotHeader, SnapshotWriter,
    backup_text, comes_back_as, lossless, print_id, printed_id,
};
