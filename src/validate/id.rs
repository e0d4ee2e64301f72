//! Sort keys of documents by their `_id`.
//!
//! ```text
//! key     = normal form of the _id                                up to 1000 bytes
//!         | first 1000 bytes | XXH3-128 of the normal form (16)   of a longer one
//! payload = hash (16) | the _id as it is shown, cut
//! ```
//!
//! So keys are in the order of the `_id`s, but for those that agree in 1000 bytes, and equal where
//! they are.

use crate::document::ID_FIELD;
use crate::document::bson::RawDocument;
use crate::document::ejson;
use crate::hash::xxh3_128;
use crate::index::key::{KeyBuffer, KeyValue};
use crate::index::sort::SortedEntry;

const WHOLE_BYTES: usize = 1000;
const HASH_BYTES: usize = 16;
/// Bytes of an `_id` that are shown.
const SHOWN_BYTES: usize = 120;

/// Makes sort keys, in buffers that are used again and again.
#[derive(Clone, Debug, Default)]
pub(super) struct IdKey {
    whole: KeyBuffer,
    key: KeyBuffer,
    bytes: Vec<u8>,
    payload: Vec<u8>,
}

impl IdKey {
    /// The key of a document; one without `_id` sorts as if it were null.
    pub(super) fn set(&mut self, document: RawDocument<'_>, hash: u128) -> &KeyBuffer {
        let id = document.get(ID_FIELD);
        let value = id.and_then(KeyValue::from_raw).unwrap_or(KeyValue::Null);
        self.whole.set_whole(std::iter::once(value));
        let normal = self.whole.normal();
        self.bytes.clear();
        match normal
            .get(..WHOLE_BYTES)
            .filter(|_| normal.len() > WHOLE_BYTES)
        {
            None => self.bytes.extend_from_slice(normal),
            Some(start) => {
                self.bytes.extend_from_slice(start);
                self.bytes
                    .extend_from_slice(&xxh3_128(normal).to_be_bytes());
            }
        }
        self.payload.clear();
        self.payload.extend_from_slice(&hash.to_le_bytes());
        self.payload
            .extend_from_slice(shown_id(document).as_bytes());
        self.key.set_term(&self.bytes, &self.payload);
        &self.key
    }
}

/// The `_id` of a document for people, cut when it is very long.
pub(super) fn shown_id(document: RawDocument<'_>) -> String {
    let Some(id) = document.get(ID_FIELD) else {
        return "(none)".to_owned();
    };
    let mut shown = ejson::display_id(id);
    if shown.len() > SHOWN_BYTES {
        let mut end = SHOWN_BYTES;
        while !shown.is_char_boundary(end) {
            end -= 1;
        }
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

/// The hash and the shown `_id` of a sorted entry.
pub(super) fn payload(entry: &SortedEntry<'_>) -> Option<(u128, String)> {
    let (hash, shown) = entry.payload.split_first_chunk::<HASH_BYTES>()?;
    let shown = String::from_utf8_lossy(shown).into_owned();
    Some((u128::from_le_bytes(*hash), shown))
}
