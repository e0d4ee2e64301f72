//! From a document to its terms.

use super::analyzer::Analyzer;
use super::terms::{DocumentTerms, Term};
use super::window::TermWindow;
use crate::document::bson::RawDocument;
use crate::index::TextTotals;
use crate::index::definition::{IndexDefinition, IndexKind};
use crate::index::extract::{DocumentFilter, Extraction, FieldPath};
use crate::index::key::KeyValue;
use crate::{Code, Error, Place, Result};
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

/// The terms of more text than this are taken a part at a time, bytes.
const MUCH_TEXT: usize = 1 << 20;
/// What a part may take at least, bytes; else half of the text.
const LEAST_WINDOW: usize = 4 << 20;

/// Takes the terms of one text index out of documents.
#[derive(Clone)]
pub struct TextExtractor {
    paths: Vec<FieldPath>,
    filter: Option<Arc<dyn DocumentFilter>>,
}

/// What taking terms needs beside the document. One per thread serves for all its indexes.
#[derive(Clone, Debug, Default)]
pub struct TextScratch {
    terms: DocumentTerms,
    analyzer: Analyzer,
}

impl fmt::Debug for TextExtractor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextExtractor")
            .field("paths", &self.paths)
            .field("partial", &self.filter.is_some())
            .finish_non_exhaustive()
    }
}

impl TextExtractor {
    /// For a text index; `filter` is what the definition's filter means.
    ///
    /// # Errors
    /// [`Code::Internal`] for an index of another kind.
    pub fn new(
        definition: &IndexDefinition,
        filter: Option<Arc<dyn DocumentFilter>>,
    ) -> Result<Self> {
        if definition.kind != IndexKind::Text {
            let sentence = "only text indexes have terms";
            let place = Place::default().in_index(&definition.name);
            return Err(Error::new(Code::Internal, sentence).at(place));
        }
        let paths = definition.fields.iter();
        Ok(Self {
            paths: paths.map(|path| FieldPath::new(path)).collect(),
            filter,
        })
    }

    /// Gives the document's terms to `each`, every one once and in the order of their bytes, with
    /// the number of kept tokens as postings hold it. Tells what the document adds to the totals of
    /// the index.
    ///
    /// [`Extraction::Key`] if one of the fields is a string, even one without a token: then the
    /// document counts for the index's totals. [`Extraction::Unindexable`] if fields are there, but
    /// none is a string.
    ///
    /// # Errors
    /// The first error that `each` gives.
    pub fn for_each_term<E>(
        &self,
        document: RawDocument<'_>,
        scratch: &mut TextScratch,
        mut each: impl FnMut(Term<'_>, u16) -> std::result::Result<(), E>,
    ) -> std::result::Result<(Extraction, TextTotals), E> {
        let TextScratch { terms, analyzer } = scratch;
        terms.clear();
        let mut extraction = Extraction::Missing;
        if self.filter.is_some() && !self.has_field(document) {
            return Ok((extraction, TextTotals::default()));
        }
        if let Some(filter) = &self.filter
            && !filter.matches(document)
        {
            return Ok((Extraction::FilteredOut, TextTotals::default()));
        }
        let mut text_bytes = 0_usize;
        for path in &self.paths {
            let Some(found) = path.resolve_in(document) else {
                continue;
            };
            match found.key_value() {
                // Joined by a space, so no token spans two fields.
                Some(KeyValue::String(text)) => {
                    extraction = Extraction::Key;
                    text_bytes = text_bytes.saturating_add(text.len());
                    if text_bytes > MUCH_TEXT {
                        terms.clear();
                        let taken = self.for_each_of_many(document, analyzer, each);
                        return taken.map(|totals| (extraction, totals));
                    }
                    analyzer.analyze(text, |token| terms.push(token));
                }
                _ if extraction == Extraction::Missing => extraction = Extraction::Unindexable,
                _ => {}
            }
        }
        if extraction != Extraction::Key {
            return Ok((extraction, TextTotals::default()));
        }
        terms.sort();
        let tokens = terms.tokens();
        for term in terms.iter() {
            each(term, field_length(tokens))?;
        }
        Ok((extraction, totals(tokens)))
    }

    /// [`Self::for_each_term`] of a document with much text.
    #[cold]
    fn for_each_of_many<E>(
        &self,
        document: RawDocument<'_>,
        analyzer: &mut Analyzer,
        mut each: impl FnMut(Term<'_>, u16) -> std::result::Result<(), E>,
    ) -> std::result::Result<TextTotals, E> {
        let found = self.paths.iter().map(|path| path.resolve_in(document));
        let values = found.flatten().filter_map(|found| found.key_value());
        let texts: Vec<&[u8]> = values
            .filter_map(|value| match value {
                KeyValue::String(text) => Some(text),
                _ => None,
            })
            .collect();
        let text_bytes = texts
            .iter()
            .fold(0_usize, |sum, text| sum.saturating_add(text.len()));
        let mut window = TermWindow::new(LEAST_WINDOW.max(text_bytes / 2));
        loop {
            for text in &texts {
                analyzer.analyze(text, |token| window.push(token));
            }
            analyzer.give_back();
            let mut all = 0;
            window.give_out(|term, tokens| {
                all = tokens;
                each(term, field_length(tokens))
            })?;
            if !window.next_pass() {
                return Ok(totals(all));
            }
        }
    }

    fn has_field(&self, document: RawDocument<'_>) -> bool {
        self.paths
            .iter()
            .any(|path| path.resolve_in(document).is_some())
    }

    /// The long terms of a document, in the order of their bytes, over `terms`: what
    /// [`LongTerms`](super::LongTerms) asks for.
    pub fn long_terms(&self, document: RawDocument<'_>, terms: &mut Vec<Vec<u8>>) {
        terms.clear();
        let taken = self.for_each_term(document, &mut TextScratch::default(), |term, _| {
            if term.is_long() {
                terms.push(term.bytes.to_vec());
            }
            Ok::<_, Infallible>(())
        });
        match taken {
            Ok(_) => {}
            Err(never) => match never {},
        }
    }
}

/// Kept tokens, saturating, as postings hold them.
fn field_length(tokens: u64) -> u16 {
    u16::try_from(tokens).unwrap_or(u16::MAX)
}

fn totals(tokens: u64) -> TextTotals {
    TextTotals {
        documents: 1,
        length: tokens,
    }
}
