//! The documents of a chunk, one after the other, as BSON.

use super::layout::Chunk;
use crate::document::json::{Converted, DocumentContext, DocumentError, JsonConverter};
use crate::files::InputFile;
use crate::{Code, Error, Place, Result};

/// Buffers that a large document has grown beyond this are given back to the allocator, bytes.
const KEPT_BUFFER: usize = 4 << 20;

/// A document of a chunk.
#[derive(Debug)]
pub struct ChunkDocument<'b> {
    /// Its BSON.
    pub bson: &'b [u8],
    /// What the conversion found besides.
    pub converted: Converted,
    /// File offset of its first byte.
    pub offset: u64,
}

/// Converts chunks document by document, reusing its buffers.
#[derive(Debug)]
pub struct ChunkWalker {
    converter: JsonConverter,
    text: Vec<u8>,
    bson: Vec<u8>,
}

impl ChunkWalker {
    /// With a converter that types strings as the caller wishes.
    #[must_use]
    pub fn new(converter: JsonConverter) -> Self {
        Self {
            converter,
            text: Vec::new(),
            bson: Vec::new(),
        }
    }

    /// Visits the documents of a chunk in order. `collection` is the name in the snapshot.
    ///
    /// # Errors
    /// [`Code::BadDocument`]; the read fails; those of the visitor.
    pub fn walk(
        &mut self,
        file: &InputFile,
        collection: &str,
        chunk: Chunk,
        mut visit: impl FnMut(ChunkDocument<'_>) -> Result<()>,
    ) -> Result<()> {
        self.text.clear();
        self.text.shrink_to(KEPT_BUFFER);
        let length = usize::try_from(chunk.bytes).unwrap_or(usize::MAX);
        self.text.resize(length, 0);
        file.read_exact_at(&mut self.text, chunk.offset)?;
        let text = simdutf8::compat::from_utf8(&self.text).map_err(|error| {
            let offset = chunk.offset + error.valid_up_to() as u64;
            Error::new(
                Code::BadDocument,
                "a document holds bytes that are not UTF-8",
            )
            .at(Place::offset(file.path(), offset).in_collection(collection))
            .hint("take a new backup with LauraDB")
        })?;
        let mut at = 0;
        for number in 0..u64::from(chunk.documents) {
            at = skip_separator(text.as_bytes(), at);
            let context = DocumentContext {
                collection,
                ordinal: chunk.first_ordinal + number,
            };
            let offset = chunk.offset + at as u64;
            self.bson.clear();
            self.bson.shrink_to(KEPT_BUFFER);
            let rest = text.get(at..).unwrap_or_default();
            let converted = self.converter.convert(rest, &context, &mut self.bson);
            let converted =
                converted.map_err(|error| bad_document(file, &context, offset, error))?;
            at += converted.text_bytes;
            visit(ChunkDocument {
                bson: &self.bson,
                converted,
                offset,
            })?;
        }
        Ok(())
    }
}

/// Skips the comma and white space between documents; the structure scan has checked them.
fn skip_separator(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let skipped = rest
        .iter()
        .position(|byte| !matches!(byte, b',' | b' ' | b'\t' | b'\n' | b'\r'))
        .unwrap_or(rest.len());
    at + skipped
}

fn bad_document(
    file: &InputFile,
    context: &DocumentContext<'_>,
    start: u64,
    error: DocumentError,
) -> Error {
    let offset = start + error.offset as u64;
    let mut place = Place::offset(file.path(), offset).in_collection(context.collection);
    place.id.clone_from(&error.id);
    let sentence = format!(
        "document {} of the collection cannot be carried over: {}",
        context.ordinal, error.kind
    );
    Error::new(Code::BadDocument, sentence)
        .at(place)
        .hint("correct the document in LauraDB and take a new backup")
}
