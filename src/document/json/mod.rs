//! Documents of a v1 snapshot, `{"_id":…,"fields":{…}}`, from JSON text straight to BSON.
//!
//! The text is read once and visitors append BSON elements to the output; no tree of values is built
//! in between. What JSON does not say (types) follows the rules of LauraDB's own
//! restorer, but for its roundings and panics:
//!
//! ```text
//! _id      24 hex digits → ObjectID; other text → string; "", null, missing → generated ObjectID
//! number   integer literal within i64 → int64; any other, -0 among them → double
//! string   24 hex digits → ObjectID; RFC 3339 → string, or timestamp if asked for
//! object   whose last "type" is "Point", inside the document: numbers are doubles and strings
//!          strings at any depth below it
//! ```
//!
//! That an object is a Point shows at its end. Its integers are then made doubles in place, which
//! have the same width; if a string below it had become another type, the text is read a second
//! time, knowing which objects are Points (by their number in order of opening).

mod error;
mod fitting;
mod long;
mod numbers;
mod object;
mod pattern;
mod reader;
mod shapes;
mod short;
mod state;
mod strings;
mod values;

pub use error::{DocumentError, DocumentErrorKind};

use super::bson::{RawDocument, RawValue};
use super::{ID_FIELD, InferTypes, MAX_DOCUMENT_BYTES};
use crate::bytes::put_u32;
use pattern::Patterns;
use reader::{NotPlain, PlainReader};
use serde::de::{DeserializeSeed, IgnoredAny};
use sha2::{Digest, Sha256};
use state::{IdState, Scratch, State};

/// Where a document stands, for the `_id` of one that has none.
#[derive(Clone, Copy, Debug)]
pub struct DocumentContext<'a> {
    /// The collection's name in the snapshot, before any `--rename`.
    pub collection: &'a str,
    /// Position in the collection's `documents`, from 0.
    pub ordinal: u64,
}

/// What [`JsonConverter::convert`] found besides the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Converted {
    /// Bytes of JSON that the document takes.
    pub text_bytes: usize,
    /// Whether the document had no `_id` and got one.
    pub generated_id: bool,
    /// Elements `{}` of arrays: what LauraDB's backup writes for any document inside an array.
    pub emptied_array_documents: u64,
    /// Keys beside `_id` and `fields`; they are not carried over.
    pub unknown_keys: u64,
}

/// Converts documents one after the other, reusing its buffers.
#[derive(Debug)]
pub struct JsonConverter {
    infer: InferTypes,
    scratch: Scratch,
    patterns: Patterns,
}

impl JsonConverter {
    /// A converter that types strings as `infer` says.
    #[must_use]
    pub fn new(infer: InferTypes) -> Self {
        Self {
            infer,
            scratch: Scratch::default(),
            patterns: Patterns::default(),
        }
    }

    /// Appends the document at the start of `text` to `out`; whatever follows it is not looked at.
    ///
    /// # Errors
    /// Why the document cannot be carried over, and where in `text`. `out` is as before then.
    pub fn convert(
        &mut self,
        text: &str,
        context: &DocumentContext<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Converted, DocumentError> {
        if let Some(converted) = self.read_pattern(text, out) {
            return Ok(converted);
        }
        let start = out.len();
        let converted = self.read(text, context, out);
        self.scratch.clear();
        if converted.is_err() {
            out.truncate(start);
        }
        converted
    }

    /// [`Self::convert`] of a document that has a pattern; without one, `out` is as before.
    #[inline]
    fn read_pattern(&mut self, text: &str, out: &mut Vec<u8>) -> Option<Converted> {
        let start = out.len();
        let mut state = State::new(self.infer, &mut self.scratch, out);
        let read = self.patterns.read(text, &mut state)?;
        let converted = read.ok().map(|text_bytes| Converted {
            text_bytes,
            generated_id: false,
            emptied_array_documents: state.emptied_array_documents,
            unknown_keys: 0,
        });
        let is_untouched = state.is_untouched();
        let size = out.len().saturating_sub(start);
        let converted = converted.filter(|_| size <= MAX_DOCUMENT_BYTES);
        if converted.is_none() || !is_untouched {
            self.scratch.clear();
        }
        if converted.is_none() {
            out.truncate(start);
        }
        converted
    }

    fn read(
        &mut self,
        text: &str,
        context: &DocumentContext<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Converted, DocumentError> {
        let start = out.len();
        let mut state = State::new(self.infer, &mut self.scratch, out);
        let text_bytes = match state.read_passes(|state| state.read_plain(text)) {
            Ok(text_bytes) => text_bytes,
            Err(NotPlain) => {
                state = state.anew();
                state.read_passes(|state| state.read_document(text))?
            }
        };
        let converted = Converted {
            text_bytes,
            generated_id: state.id != IdState::Placed,
            emptied_array_documents: state.emptied_array_documents,
            unknown_keys: state.unknown_keys,
        };
        let read = text.get(..text_bytes).unwrap_or_default();
        let document = out.get(start..).unwrap_or_default();
        self.patterns.learn(self.infer, read, document);
        if converted.generated_id {
            generate_id(context, start, out);
        }
        let size = out.len().saturating_sub(start);
        if size > MAX_DOCUMENT_BYTES {
            return Err(DocumentError {
                offset: 0,
                id: written_id(start, out),
                kind: DocumentErrorKind::TooLarge { size },
            });
        }
        Ok(converted)
    }
}

impl State<'_> {
    /// As many passes as it takes, which is one for most documents.
    #[inline]
    fn read_passes<E>(
        &mut self,
        mut pass: impl FnMut(&mut Self) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let text_bytes = pass(self)?;
        if !self.needs_second_pass {
            return Ok(text_bytes);
        }
        self.restart();
        pass(self)
    }

    /// One pass over plain text; gives the bytes that the document takes.
    fn read_plain(&mut self, text: &str) -> Result<usize, NotPlain> {
        PlainReader::new(text, self).document()
    }

    /// One pass over any text; gives the bytes that the document takes.
    fn read_document(&mut self, text: &str) -> Result<usize, DocumentError> {
        let mut reader = serde_json::Deserializer::from_str(text);
        match values::Document(self).deserialize(&mut reader) {
            Ok(()) => Ok(reader.into_iter::<IgnoredAny>().byte_offset()),
            Err(source) => Err(DocumentError {
                offset: error::offset(text, &source),
                id: match self.id {
                    IdState::Placed => written_id(self.start, self.out),
                    IdState::Missing | IdState::Empty => None,
                },
                kind: match self.failure.take() {
                    Some(kind) => kind,
                    None => error::classify(&source),
                },
            }),
        }
    }
}

/// The `_id` of a document that stands first in it, in an unfinished document as well.
fn written_id(start: usize, out: &mut Vec<u8>) -> Option<String> {
    // A reader takes the last byte for the terminator; an unfinished document may lack it.
    out.push(0);
    let document = RawDocument::trusted(out.get(start..)?);
    match document.elements().next()? {
        (ID_FIELD, RawValue::String(text)) => Some(text.to_owned()),
        (ID_FIELD, RawValue::ObjectId(id)) => Some(id.to_string()),
        _ => None,
    }
}

/// What the hash of a generated `_id` begins with, so that it is no hash of anything else.
const GENERATED_ID_DOMAIN: &[u8] = b"laura-migrate/_id";

/// Puts an ObjectID first that depends on the document's place and content only.
fn generate_id(context: &DocumentContext<'_>, start: usize, out: &mut Vec<u8>) {
    let digest = Sha256::new()
        .chain_update(GENERATED_ID_DOMAIN)
        .chain_update(context.collection.as_bytes())
        .chain_update([0])
        .chain_update(context.ordinal.to_le_bytes())
        .chain_update(out.get(start..).unwrap_or_default())
        .finalize();
    let body = start.saturating_add(4);
    let body_end = out.len();
    out.extend_from_slice(b"\x07_id\0");
    out.extend(digest.iter().take(12));
    let id_bytes = out.len().saturating_sub(body_end);
    if let Some(body) = out.get_mut(body..) {
        body.rotate_right(id_bytes);
    }
    let size = u32::try_from(out.len().saturating_sub(start)).unwrap_or(u32::MAX);
    put_u32(out, start, size);
}

#[cfg(test)]
mod tests;
