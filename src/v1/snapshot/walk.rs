//! The documents of a chunk, one after the other, as BSON.

use super::layout::Chunk;
use crate::document::bson::RawValue;
use crate::document::ejson;
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

/// Where converted documents go.
pub trait ChunkSink {
    /// The buffer that the next document's BSON is appended to.
    fn buffer(&mut self) -> &mut Vec<u8>;

    /// Takes a document, whose BSON begins at `start` in the buffer and ends where that ends.
    ///
    /// # Errors
    /// The sink's own; they end the walk.
    fn document(&mut self, start: usize, converted: Converted, offset: u64) -> Result<()>;
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
        visit: impl FnMut(ChunkDocument<'_>) -> Result<()>,
    ) -> Result<()> {
        let bson = std::mem::take(&mut self.bson);
        let mut visitor = Visitor { bson, visit };
        let walked = self.walk_into(file, collection, chunk, &mut visitor);
        self.bson = visitor.bson;
        walked
    }

    /// Gives the documents of a chunk to a sink, in order, in its own buffers.
    ///
    /// # Errors
    /// [`Code::BadDocument`]; the read fails; those of the sink.
    pub fn walk_into(
        &mut self,
        file: &InputFile,
        collection: &str,
        chunk: Chunk,
        sink: &mut impl ChunkSink,
    ) -> Result<()> {
        self.text.clear();
        self.text.shrink_to(KEPT_BUFFER);
        let length = usize::try_from(chunk.bytes).unwrap_or(usize::MAX);
        self.text.resize(length, 0);
        file.read_exact_at(&mut self.text, chunk.offset)?;
        // Which byte is wrong is only asked when one is.
        let text = simdutf8::basic::from_utf8(&self.text)
            .map_err(|_| invalid_utf8(file, collection, chunk, &self.text))?;
        let mut at = 0;
        for number in 0..u64::from(chunk.documents) {
            at = skip_separator(text.as_bytes(), at);
            let ordinal = chunk.first_ordinal + number;
            let context = DocumentContext {
                collection,
                ordinal,
            };
            let offset = chunk.offset + at as u64;
            let rest = text.get(at..).unwrap_or_default();
            let buffer = sink.buffer();
            let start = buffer.len();
            let converted = self.converter.convert(rest, &context, buffer);
            let converted =
                converted.map_err(|error| bad_document(file, &context, offset, &error))?;
            at += converted.text_bytes;
            sink.document(start, converted, offset)?;
        }
        Ok(())
    }
}

/// Shows one document at a time.
struct Visitor<V> {
    bson: Vec<u8>,
    visit: V,
}

impl<V: FnMut(ChunkDocument<'_>) -> Result<()>> ChunkSink for Visitor<V> {
    fn buffer(&mut self) -> &mut Vec<u8> {
        self.bson.clear();
        self.bson.shrink_to(KEPT_BUFFER);
        &mut self.bson
    }

    fn document(&mut self, _: usize, converted: Converted, offset: u64) -> Result<()> {
        (self.visit)(ChunkDocument {
            bson: &self.bson,
            converted,
            offset,
        })
    }
}

fn invalid_utf8(file: &InputFile, collection: &str, chunk: Chunk, text: &[u8]) -> Error {
    let valid = str::from_utf8(text)
        .err()
        .map_or(0, |error| error.valid_up_to());
    let place = Place::offset(file.path(), chunk.offset + valid as u64);
    Error::new(
        Code::BadDocument,
        "a document holds bytes that are not UTF-8",
    )
    .at(place.in_collection(collection))
    .hint("take a new backup with LauraDB")
}

/// Skips the comma and white space between documents; the structure scan has checked them.
pub(super) fn skip_separator(text: &[u8], at: usize) -> usize {
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
    error: &DocumentError,
) -> Error {
    let offset = start + error.offset as u64;
    let mut place = Place::offset(file.path(), offset).in_collection(context.collection);
    // The text of the file can hold anything, control characters too.
    place.id = error
        .id
        .as_deref()
        .map(|id| ejson::display_id(RawValue::String(id)));
    let sentence = format!(
        "document {} of the collection cannot be carried over: {}",
        context.ordinal, error.kind
    );
    Error::new(Code::BadDocument, sentence)
        .at(place)
        .hint("correct the document in LauraDB and take a new backup")
}
