//! The documents of a chunk, one after the other, as BSON.

use super::element::element_length;
use super::layout::Chunk;
use crate::document::bson::RawValue;
use crate::document::ejson;
use crate::document::json::{
    Converted, DocumentContext, DocumentError, DocumentErrorKind, JsonConverter,
};
use crate::files::InputFile;
use crate::large::{KEPT_BUFFER, prepare, release};
use crate::{Code, Error, Place, Result};

/// JSON text of one document beyond this many bytes makes it a bad document without being parsed.
pub(super) const MAX_DOCUMENT_TEXT: u64 = 256 * 1024 * 1024;

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
    fn document(&mut self, start: usize, converted: &mut Converted, offset: u64) -> Result<()>;

    /// Takes a document that cannot be carried over; the walk goes on unless this fails, as it does
    /// where the sink says nothing else.
    ///
    /// # Errors
    /// The sink's own; they end the walk.
    fn bad_document(&mut self, bad: BadDocument) -> Result<()> {
        Err(bad.error)
    }
}

/// A document that cannot be carried over. What is broken in the JSON itself is none: it ends the
/// walk.
#[derive(Debug)]
pub struct BadDocument {
    /// Position in the collection's `documents`, from 0.
    pub ordinal: u64,
    /// File offset of its first byte.
    pub offset: u64,
    /// Bytes of its JSON text.
    pub bytes: u64,
    /// Why.
    pub error: Error,
}

/// Converts chunks document by document, reusing its buffers.
#[derive(Debug)]
pub struct ChunkWalker {
    converter: JsonConverter,
    /// A document of more JSON text is bad without being read, bytes.
    most_text: u64,
    text: Vec<u8>,
    bson: Vec<u8>,
}

impl ChunkWalker {
    /// With a converter that types strings as the caller wishes.
    #[must_use]
    pub fn new(converter: JsonConverter) -> Self {
        Self {
            converter,
            most_text: MAX_DOCUMENT_TEXT,
            text: Vec::new(),
            bson: Vec::new(),
        }
    }

    /// Visits the documents of a chunk in order. `collection` is the name in the snapshot.
    ///
    /// # Errors
    /// What cannot be carried over or is damaged; the read fails; those of the visitor.
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
    /// What is damaged in the JSON itself; the read fails; those of the sink.
    pub fn walk_into(
        &mut self,
        file: &InputFile,
        collection: &str,
        chunk: Chunk,
        sink: &mut impl ChunkSink,
    ) -> Result<()> {
        if chunk.documents == 1 && chunk.bytes > self.most_text {
            return sink.bad_document(self.too_much_text(file, collection, chunk));
        }
        let walked = self.walk_text(file, collection, chunk, sink);
        // The next one may come long after, to another thread.
        release(&mut self.text);
        walked
    }

    fn walk_text(
        &mut self,
        file: &InputFile,
        collection: &str,
        chunk: Chunk,
        sink: &mut impl ChunkSink,
    ) -> Result<()> {
        let length = usize::try_from(chunk.bytes).unwrap_or(usize::MAX);
        // What is there is overwritten: only growing costs anything.
        if length > KEPT_BUFFER {
            prepare(&mut self.text, length);
        }
        self.text.resize(length, 0);
        file.read_exact_at(&mut self.text, chunk.offset)?;
        let whole = simdutf8::basic::from_utf8(&self.text).ok();
        let mut at = 0;
        for number in 0..u64::from(chunk.documents) {
            at = skip_separator(&self.text, at);
            let place = Standing {
                file,
                context: DocumentContext {
                    collection,
                    ordinal: chunk.first_ordinal.saturating_add(number),
                },
                offset: chunk.offset.saturating_add(at as u64),
            };
            let bytes = self.text.get(at..).unwrap_or_default();
            let rest = match whole {
                Some(text) => text.get(at..).unwrap_or_default(),
                // Which document it is that is no UTF-8 is only asked when one is.
                None => match one_document(bytes) {
                    Ok(text) => text,
                    Err(valid) => {
                        let length = element_length(bytes);
                        sink.bad_document(place.bad(length, place.invalid_utf8(valid)))?;
                        at = at.saturating_add(length);
                        continue;
                    }
                },
            };
            let buffer = sink.buffer();
            let start = buffer.len();
            match &mut self.converter.convert(rest, &place.context, buffer) {
                Ok(converted) => {
                    at = at.saturating_add(converted.text_bytes);
                    sink.document(start, converted, place.offset)?;
                }
                Err(error) => {
                    let is_broken = is_broken(&error.kind);
                    let error = place.cannot_carry(error);
                    if is_broken {
                        return Err(error);
                    }
                    let length = element_length(bytes);
                    sink.bad_document(place.bad(length, error))?;
                    at = at.saturating_add(length);
                }
            }
        }
        Ok(())
    }

    fn too_much_text(&self, file: &InputFile, collection: &str, chunk: Chunk) -> BadDocument {
        let sentence = format!(
            "document {} of the collection has more than {} bytes of JSON text",
            chunk.first_ordinal, self.most_text
        );
        BadDocument {
            ordinal: chunk.first_ordinal,
            offset: chunk.offset,
            bytes: chunk.bytes,
            error: Error::new(Code::DocumentText, sentence)
                .at(Place::offset(file.path(), chunk.offset).in_collection(collection))
                .hint(TEXT_HINT),
        }
    }
}

/// What to do about a document with too much text.
pub(super) const TEXT_HINT: &str = "if the file is damaged there, take another backup with \
    --snapshot FILE; a document may have 16 MiB in LauraDB";

/// A document and where it stands.
struct Standing<'f> {
    file: &'f InputFile,
    context: DocumentContext<'f>,
    offset: u64,
}

impl Standing<'_> {
    fn bad(&self, length: usize, error: Error) -> BadDocument {
        BadDocument {
            ordinal: self.context.ordinal,
            offset: self.offset,
            bytes: length as u64,
            error,
        }
    }

    fn invalid_utf8(&self, valid: usize) -> Error {
        let place = Place::offset(self.file.path(), self.offset.saturating_add(valid as u64));
        let sentence = format!(
            "document {} of the collection holds bytes that are not UTF-8",
            self.context.ordinal
        );
        Error::new(Code::DocumentUtf8, sentence)
            .at(place.in_collection(self.context.collection))
            .hint("take a new backup with LauraDB, or give --max-bad N to put it into quarantine")
    }

    fn cannot_carry(&self, error: &DocumentError) -> Error {
        let offset = self.offset.saturating_add(error.offset as u64);
        let mut place =
            Place::offset(self.file.path(), offset).in_collection(self.context.collection);
        // The text of the file can hold anything, control characters too.
        place.id = error
            .id
            .as_deref()
            .map(|id| ejson::display_id(RawValue::String(id)));
        let sentence = format!(
            "document {} of the collection cannot be carried over: {}",
            self.context.ordinal, error.kind
        );
        let hint = if is_broken(&error.kind) {
            "the file is damaged there: take a new backup with LauraDB"
        } else {
            "correct the document in LauraDB and take a new backup, or give --max-bad N to put up \
             to N such documents into quarantine"
        };
        Error::new(code(&error.kind), sentence).at(place).hint(hint)
    }
}

fn code(kind: &DocumentErrorKind) -> Code {
    use DocumentErrorKind as Kind;
    match kind {
        Kind::NotAnObject | Kind::FieldsType => Code::BadDocument,
        Kind::Syntax(_) | Kind::InvalidEscape => Code::DocumentSyntax,
        Kind::LoneSurrogate => Code::DocumentSurrogate,
        Kind::NumberOutOfRange => Code::DocumentNumber,
        Kind::IdType | Kind::IdInFields => Code::DocumentId,
        Kind::RepeatedKey(_) => Code::DocumentKeyTwice,
        Kind::NulInName => Code::DocumentNul,
        Kind::TooDeep => Code::DocumentNesting,
        Kind::TooLarge { .. } => Code::DocumentTooLarge,
    }
}

/// The JSON itself is damaged, or a structural level of it, and not only what it says.
fn is_broken(kind: &DocumentErrorKind) -> bool {
    use DocumentErrorKind as Kind;
    matches!(
        kind,
        Kind::Syntax(_) | Kind::InvalidEscape | Kind::RepeatedKey(_)
    )
}

/// The text of the first document, or how much of it is UTF-8.
fn one_document(bytes: &[u8]) -> std::result::Result<&str, usize> {
    let bytes = bytes.get(..element_length(bytes)).unwrap_or_default();
    str::from_utf8(bytes).map_err(|error| error.valid_up_to())
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

    fn document(&mut self, _: usize, converted: &mut Converted, offset: u64) -> Result<()> {
        (self.visit)(ChunkDocument {
            bson: &self.bson,
            converted: *converted,
            offset,
        })
    }

    fn bad_document(&mut self, bad: BadDocument) -> Result<()> {
        (self.bad)(bad.error)
    }
}

/// Skips the comma and white space between documents; the structure scan has checked them.
pub(super) fn skip_separator(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    if let Some([b',', b'{']) = rest.first_chunk() {
        return at.saturating_add(1);
    }
    let skipped = rest
        .iter()
        .position(|byte| !matches!(byte, b',' | b' ' | b'\t' | b'\n' | b'\r'))
        .unwrap_or(rest.len());
    at.saturating_add(skipped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::InferTypes;
    use crate::v1::snapshot::{ScanOptions, scan};

    #[derive(Default)]
    struct Seen {
        bson: Vec<u8>,
        good: u64,
        bad: Vec<BadDocument>,
    }

    impl ChunkSink for Seen {
        fn buffer(&mut self) -> &mut Vec<u8> {
            self.bson.clear();
            &mut self.bson
        }

        fn document(&mut self, _: usize, _: &mut Converted, _: u64) -> Result<()> {
            self.good += 1;
            Ok(())
        }

        fn bad_document(&mut self, bad: BadDocument) -> Result<()> {
            self.bad.push(bad);
            Ok(())
        }
    }

    /// 256 MiB in earnest, 100 bytes here.
    #[test]
    fn a_document_of_too_much_text_is_bad_and_its_neighbours_are_not() {
        let large = format!(
            r#"{{"_id":"large","fields":{{"t":"{}"}}}}"#,
            "x".repeat(100)
        );
        let text = format!(
            r#"{{"version":"1.0","database_name":"d","collections":[{{"name":"c","documents":[{{"_id":"a"}},{large},{{"_id":"b"}}]}}]}}"#
        );
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("snapshot.json");
        std::fs::write(&path, &text).expect("written");
        let file = InputFile::open(&path).expect("a file");
        let options = ScanOptions {
            max_document_bytes: 100,
            keep_oversized: true,
            ..ScanOptions::default()
        };
        let layout = scan(&file, &options, &mut |_| Ok(())).expect("scanned");
        let mut walker = ChunkWalker::new(JsonConverter::new(InferTypes::default()));
        walker.most_text = 100;
        let mut seen = Seen::default();
        for chunk in layout.collections.iter().flat_map(|listed| &listed.chunks) {
            walker
                .walk_into(&file, "c", *chunk, &mut seen)
                .expect("nothing is damaged");
        }
        assert_eq!(seen.good, 2);
        let found: Vec<_> = seen
            .bad
            .iter()
            .map(|bad| (bad.ordinal, bad.bytes, bad.error.code()))
            .collect();
        assert_eq!(found, [(1, large.len() as u64, Code::DocumentText)]);
        assert_eq!(
            seen.bad.first().map(|bad| bad.offset),
            text.find(&large).map(|at| at as u64)
        );
        // What was read for the others never had its size.
        assert!(walker.text.capacity() <= KEPT_BUFFER.max(100));
    }
}
