//! The documents of a chunk, one after the other, as BSON.

use super::element::Nesting;
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

    /// Takes the error of a document that cannot be converted; the next one follows if it is taken.
    ///
    /// # Errors
    /// It ends the walk, which is what it does unless the sink is of another mind.
    fn bad_document(&mut self, error: Error) -> Result<()> {
        Err(error)
    }
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
        self.walk_all(file, collection, chunk, visit, Err)
    }

    /// As [`Self::walk`], but gives the errors of documents that cannot be converted to `bad`, and
    /// goes on with the next document if that takes them. Bytes that are not UTF-8 end the chunk.
    ///
    /// # Errors
    /// The read fails; those of the visitor and of `bad`.
    pub fn walk_all(
        &mut self,
        file: &InputFile,
        collection: &str,
        chunk: Chunk,
        visit: impl FnMut(ChunkDocument<'_>) -> Result<()>,
        bad: impl FnMut(Error) -> Result<()>,
    ) -> Result<()> {
        let bson = std::mem::take(&mut self.bson);
        let mut visitor = Visitor { bson, visit, bad };
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
        let length = usize::try_from(chunk.bytes).unwrap_or(usize::MAX);
        // What is there is overwritten: only growing costs anything.
        self.text.truncate(length.max(KEPT_BUFFER));
        self.text.shrink_to(KEPT_BUFFER);
        self.text.resize(length, 0);
        file.read_exact_at(&mut self.text, chunk.offset)?;
        // Which byte is wrong is only asked when one is.
        let Ok(text) = simdutf8::basic::from_utf8(&self.text) else {
            return sink.bad_document(invalid_utf8(file, collection, chunk, &self.text));
        };
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
            match converted {
                Ok(converted) => {
                    at += converted.text_bytes;
                    sink.document(start, converted, offset)?;
                }
                Err(error) => {
                    at = element_end(text.as_bytes(), at);
                    sink.bad_document(bad_document(file, &context, offset, &error))?;
                }
            }
        }
        Ok(())
    }
}

/// Shows one document at a time.
struct Visitor<V, B> {
    bson: Vec<u8>,
    visit: V,
    bad: B,
}

impl<V, B> ChunkSink for Visitor<V, B>
where
    V: FnMut(ChunkDocument<'_>) -> Result<()>,
    B: FnMut(Error) -> Result<()>,
{
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

    fn bad_document(&mut self, error: Error) -> Result<()> {
        (self.bad)(error)
    }
}

/// Where the element that begins at `at` ends; the structure scan has found that it does.
fn element_end(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let length = match rest.first() {
        Some(b'{' | b'[') => Nesting::default().feed(rest),
        Some(b'"') => {
            let mut escaped = false;
            let end = rest.iter().skip(1).position(|byte| {
                let ends = *byte == b'"' && !escaped;
                escaped = *byte == b'\\' && !escaped;
                ends
            });
            end.map(|end| end + 2)
        }
        _ => rest.iter().position(|byte| *byte == b','),
    };
    at + length.unwrap_or(rest.len())
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
