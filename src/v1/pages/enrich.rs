//! For each document of the snapshot, the copy of it on a page.

use super::candidates::{CandidateCursor, JoinFiles, PageCache};
use super::gains::{Gains, PageCopy};
use crate::Result;
use crate::document::InferTypes;
use crate::document::bson::RawDocument;
use crate::document::json::{Converted, DocumentContext, JsonConverter};
use crate::v1::snapshot::backup_text;
use crate::v2::DocumentAddress;

/// What pages hold of a document of the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copies<'e> {
    /// Nothing.
    None,
    /// Other documents of this `_id`: the snapshot's counts.
    Different,
    /// A copy that LauraDB's backup writes just as the snapshot has it: it counts.
    Match {
        /// Its BSON, `_id` where it stands.
        bson: &'e [u8],
        /// Another slot holds a match as well; this is the highest.
        several: bool,
    },
}

/// Walks through the copies in step with the documents of a collection.
#[derive(Debug)]
pub struct Enricher<'f> {
    files: &'f JoinFiles,
    cursor: Option<CandidateCursor<'f>>,
    pages: PageCache<'f>,
    converter: JsonConverter,
    text: Vec<u8>,
    bson: Vec<u8>,
    copy: Vec<u8>,
}

impl<'f> Enricher<'f> {
    pub(super) fn new(files: &'f JoinFiles, infer_types: InferTypes) -> Self {
        Self {
            files,
            cursor: None,
            pages: PageCache::new(files.data()),
            converter: JsonConverter::new(infer_types),
            text: Vec::new(),
            bson: Vec::new(),
            copy: Vec::new(),
        }
    }

    /// Goes to a document of a collection, by the collection's number.
    ///
    /// # Errors
    /// A read fails.
    pub fn seek(&mut self, number: u32, ordinal: u64) -> Result<()> {
        self.cursor = Some(self.files.candidates_from(number, ordinal)?);
        Ok(())
    }

    /// The copies of the document that `context` names; ordinals grow from call to call.
    /// `snapshot` is what it was converted to.
    ///
    /// A copy is written as LauraDB's backup would write it and converted again: it matches if that
    /// gives the same bytes. So white space and the spelling of strings do not matter, and
    /// everything else does.
    ///
    /// # Errors
    /// [`crate::Code::SourceChanged`] if `data.db` is no longer what it was; a read fails.
    pub fn copies(&mut self, context: &DocumentContext<'_>, snapshot: &[u8]) -> Result<Copies<'_>> {
        let Some(mut cursor) = self.cursor.take() else {
            return Ok(Copies::None);
        };
        let (mut copies, mut matches) = (0_u64, 0_u64);
        while let Some(candidate) = cursor.peek()? {
            if candidate.ordinal > context.ordinal {
                break;
            }
            cursor.advance();
            if candidate.ordinal < context.ordinal {
                continue;
            }
            copies = copies.saturating_add(1);
            // Nobody asks for a third.
            let is_match = match matches {
                0 => self.is_match(candidate.address, context, snapshot)?,
                1 => {
                    self.is_same(candidate.address)?
                        || self.is_match(candidate.address, context, snapshot)?
                }
                _ => false,
            };
            if is_match {
                matches = matches.saturating_add(1);
                if matches == 1 {
                    let bytes = self.pages.document(candidate.address)?.bytes;
                    self.copy.clear();
                    self.copy.extend_from_slice(bytes);
                }
            }
        }
        self.cursor = Some(cursor);
        Ok(match (copies, matches) {
            (0, _) => Copies::None,
            (_, 0) => Copies::Different,
            (_, matches) => Copies::Match {
                bson: &self.copy,
                several: matches > 1,
            },
        })
    }

    /// Puts the copy that counts in the place of the document that `bson` ends with.
    ///
    /// # Errors
    /// As [`Self::copies`].
    pub fn replace(
        &mut self,
        context: &DocumentContext<'_>,
        bson: &mut Vec<u8>,
        start: usize,
        converted: &mut Converted,
    ) -> Result<PageCopy> {
        let snapshot = bson.get(start..).unwrap_or_default();
        let (copy, several) = match self.copies(context, snapshot)? {
            Copies::None => return Ok(PageCopy::None),
            Copies::Different => return Ok(PageCopy::Different),
            Copies::Match { bson, several } => (bson, several),
        };
        // An empty `_id` is a real one then, and so is a document in an array that is still empty.
        converted.generated_id = false;
        converted.emptied_array_documents = 0;
        if copy == snapshot {
            return Ok(PageCopy::Equal { several });
        }
        let gains = Gains::of(RawDocument::trusted(copy), RawDocument::trusted(snapshot));
        bson.truncate(start);
        bson.extend_from_slice(copy);
        Ok(PageCopy::Taken { several, gains })
    }

    /// The copy that was taken, once more: an earlier run of LauraDB has left it.
    fn is_same(&mut self, address: DocumentAddress) -> Result<bool> {
        Ok(self.pages.document(address)?.bytes == self.copy)
    }

    fn is_match(
        &mut self,
        address: DocumentAddress,
        context: &DocumentContext<'_>,
        snapshot: &[u8],
    ) -> Result<bool> {
        let live = self.pages.document(address)?;
        self.text.clear();
        if live.unusable.is_some() || !backup_text(live.document(), &mut self.text) {
            return Ok(false);
        }
        let Ok(text) = str::from_utf8(&self.text) else {
            return Ok(false);
        };
        self.bson.clear();
        let converted = self.converter.convert(text, context, &mut self.bson);
        Ok(converted.is_ok() && self.bson == snapshot)
    }
}
