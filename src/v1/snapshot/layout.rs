//! What a scan finds: where everything lies in the file, and what was read of it.

use crate::files::InputFile;
use crate::{Code, Error, Place, Result};
use serde::{Deserialize, Serialize};

/// The structure of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotLayout {
    /// Format version, always `1.0`.
    pub version: String,
    /// When LauraDB wrote it; not validated, `None` if missing or no string.
    pub timestamp: Option<String>,
    /// Never empty.
    pub database_name: String,
    /// JSON text of the database's metadata object, without insignificant white space.
    pub metadata: Option<String>,
    /// `metadata.wal_lsn`: WAL replay starts after this LSN.
    pub wal_lsn: Option<u64>,
    /// In the order of the file.
    pub collections: Vec<CollectionLayout>,
    /// Keys of the file and of its collections that the format does not know, skipped.
    pub unknown_keys: u64,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Elements of all `documents` arrays.
    pub documents: u64,
}

/// One collection of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionLayout {
    /// As the file has it; may be one that v2 cannot take.
    pub name: String,
    /// File offset of the collection's object.
    pub offset: u64,
    /// Elements of `documents`.
    pub documents: u64,
    /// Bytes of JSON text of the documents, without what separates them.
    pub document_bytes: u64,
    /// Bytes of JSON text of the largest document.
    pub largest_document: u64,
    /// The documents in pieces, in the order of the file.
    pub chunks: Vec<Chunk>,
    /// The elements of `indexes`.
    pub indexes: Vec<ListedIndex>,
    /// The collection has a `metadata` object with something in it, for which v2 has no place.
    pub has_metadata: bool,
}

/// A run of whole documents of one collection.
///
/// Its bytes are `element (ws* , ws* element)*`; elements are only delimited, not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// File offset of the first document's first byte.
    pub offset: u64,
    /// From there through the last document's last byte.
    pub bytes: u64,
    /// Position of the first document in `documents`, from 0.
    pub first_ordinal: u64,
    /// Documents in the chunk, at least 1.
    pub documents: u32,
}

/// The text of an index definition in the file, a JSON value of up to
/// [`MAX_INDEX_BYTES`](super::MAX_INDEX_BYTES) bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedIndex {
    /// File offset.
    pub offset: u64,
    /// Length.
    pub bytes: u32,
}

impl ListedIndex {
    /// Reads the text again from the file that was scanned.
    ///
    /// # Errors
    /// The read fails, or the file is no longer what was scanned.
    pub fn text(&self, file: &InputFile) -> Result<String> {
        // The length was bounded by the scan, but this may come from a stored plan.
        let length = usize::try_from(self.bytes)
            .ok()
            .filter(|length| *length <= super::MAX_INDEX_BYTES);
        let changed = || {
            Error::new(
                Code::SourceChanged,
                "an index definition is no longer where it was",
            )
            .at(Place::offset(file.path(), self.offset))
            .hint("stop LauraDB, then run the same command again with --restart")
        };
        let mut bytes = vec![0; length.ok_or_else(changed)?];
        file.read_exact_at(&mut bytes, self.offset)?;
        String::from_utf8(bytes).map_err(|_| changed())
    }
}
