//! The `documents` array: each element delimited, neighbours put together into chunks.

use super::element::Nesting;
use super::layout::Chunk;
use super::reader::Reader;
use super::scan::ScanOptions;
use super::walk::TEXT_HINT;
use crate::{Code, Error, Result};

/// What an array of documents comes to.
#[derive(Debug, Default)]
pub(super) struct Documents {
    pub(super) count: u64,
    pub(super) bytes: u64,
    pub(super) largest: u64,
    pub(super) chunks: Vec<Chunk>,
    open: Option<Chunk>,
}

impl Documents {
    /// Reads the array; a chunk is closed once it holds `chunk_bytes`.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        chunk_bytes: u64,
        options: &ScanOptions,
    ) -> Result<Self> {
        let mut documents = Self::default();
        reader.array(|reader| {
            let start = reader.offset();
            if matches!(reader.window().peek()?, Some(b'{' | b'[')) {
                if documents.pass_neighbours(reader, chunk_bytes, options)? {
                    return Ok(());
                }
                documents.pass_container(reader, start, options)?;
            } else {
                reader.skip_value()?;
            }
            let size = reader.offset().saturating_sub(start);
            documents.check_size(reader, start, size, options)?;
            if size > options.max_document_bytes {
                // Alone in its chunk, so that who parses chunks need not read it.
                documents.close();
                documents.add(start, size, 0);
            } else {
                documents.add(start, size, chunk_bytes);
            }
            Ok(())
        })?;
        documents.close();
        Ok(documents)
    }

    /// Passes a container that lies wholly in the buffer, and those after it while no more than a
    /// comma and white space part them. False if there is none, or it is too large.
    ///
    /// This is only a short cut past the token reader, which nearly every document takes.
    fn pass_neighbours(
        &mut self,
        reader: &mut Reader<'_>,
        chunk_bytes: u64,
        options: &ScanOptions,
    ) -> Result<bool> {
        let base = reader.offset();
        let bytes = reader.window().rest()?;
        let mut passed = 0;
        let mut next = Some(0);
        while let Some(start) = next {
            let rest = bytes.get(start..).unwrap_or_default();
            let Some(length) = Nesting::default().feed(rest) else {
                break;
            };
            if length as u64 > options.max_document_bytes {
                break;
            }
            self.add(
                base.saturating_add(start as u64),
                length as u64,
                chunk_bytes,
            );
            passed = start.saturating_add(length);
            next = next_container(bytes, passed);
        }
        reader.window().advance(passed);
        Ok(passed > 0)
    }

    fn pass_container(
        &self,
        reader: &mut Reader<'_>,
        start: u64,
        options: &ScanOptions,
    ) -> Result<()> {
        let mut nesting = Nesting::default();
        loop {
            let bytes = reader.window().rest()?;
            if bytes.is_empty() {
                return Err(reader.truncated(&format!(
                    "the end of document {} of the collection, which begins at byte {start},",
                    self.count
                )));
            }
            let length = bytes.len();
            if let Some(end) = nesting.feed(bytes) {
                reader.window().advance(end);
                return Ok(());
            }
            reader.window().advance(length);
            self.check_size(
                reader,
                start,
                reader.offset().saturating_sub(start),
                options,
            )?;
        }
    }

    fn check_size(
        &self,
        reader: &Reader<'_>,
        start: u64,
        size: u64,
        options: &ScanOptions,
    ) -> Result<()> {
        if size <= options.max_document_bytes || options.keep_oversized {
            return Ok(());
        }
        let sentence = format!(
            "document {} of the collection has more than {} bytes of JSON text",
            self.count, options.max_document_bytes
        );
        Err(Error::new(Code::DocumentText, sentence)
            .at(reader.place(start))
            .hint(TEXT_HINT))
    }

    fn add(&mut self, offset: u64, size: u64, chunk_bytes: u64) {
        let ordinal = self.count;
        let chunk = self.open.get_or_insert(Chunk {
            offset,
            bytes: 0,
            first_ordinal: ordinal,
            documents: 0,
        });
        chunk.bytes = offset.saturating_add(size).saturating_sub(chunk.offset);
        chunk.documents = chunk.documents.saturating_add(1);
        let full = chunk.bytes >= chunk_bytes || chunk.documents == u32::MAX;
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(size);
        self.largest = self.largest.max(size);
        if full {
            self.close();
        }
    }

    fn close(&mut self) {
        self.chunks.extend(self.open.take());
    }
}

/// Where the next container begins, if a comma and then a container follow at `end`.
#[inline]
fn next_container(bytes: &[u8], end: usize) -> Option<usize> {
    let rest = bytes.get(end..)?;
    if let Some([b',', b'{' | b'[']) = rest.first_chunk() {
        return Some(end.saturating_add(1));
    }
    let comma = white_space(rest);
    let after = rest.get(comma..)?.strip_prefix(b",")?;
    let behind = white_space(after);
    let passed = comma.saturating_add(1).saturating_add(behind);
    matches!(after.get(behind), Some(b'{' | b'[')).then_some(end.saturating_add(passed))
}

#[inline(never)]
fn white_space(bytes: &[u8]) -> usize {
    let is_white = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    bytes.iter().take_while(is_white).count()
}
