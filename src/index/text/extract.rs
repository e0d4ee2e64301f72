//! From a document to its terms.

use super::analyzer::Analyzer;
use super::terms::DocumentTerms;
use crate::document::bson::RawDocument;
use crate::index::definition::{IndexDefinition, IndexKind};
use crate::index::extract::{DocumentFilter, Extraction, FieldPath};
use crate::index::key::KeyValue;
use crate::{Code, Error, Place, Result};
use std::fmt;
use std::sync::Arc;

/// Takes the terms of one text index out of documents. One per thread; it carries scratch space.
#[derive(Clone)]
pub struct TextExtractor {
    paths: Vec<FieldPath>,
    filter: Option<Arc<dyn DocumentFilter>>,
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
            terms: DocumentTerms::default(),
            analyzer: Analyzer::default(),
        })
    }

    /// Takes the document's terms, for [`Self::terms`].
    ///
    /// [`Extraction::Key`] if one of the fields is a string, even one without a token: then the
    /// document counts for the index's totals. [`Extraction::Unindexable`] if fields are there, but
    /// none is a string.
    pub fn extract(&mut self, document: RawDocument<'_>) -> Extraction {
        self.terms.clear();
        let mut extraction = Extraction::Missing;
        if self.filter.is_some() && !self.has_field(document) {
            return extraction;
        }
        if let Some(filter) = &self.filter
            && !filter.matches(document)
        {
            return Extraction::FilteredOut;
        }
        for path in &self.paths {
            let Some(found) = path.resolve_in(document) else {
                continue;
            };
            match found.key_value() {
                // Joined by a space, so no token spans two fields.
                Some(KeyValue::String(text)) => {
                    extraction = Extraction::Key;
                    let terms = &mut self.terms;
                    self.analyzer.analyze(text, |token| terms.push(token));
                }
                _ if extraction == Extraction::Missing => extraction = Extraction::Unindexable,
                _ => {}
            }
        }
        self.terms.sort();
        extraction
    }

    fn has_field(&self, document: RawDocument<'_>) -> bool {
        self.paths
            .iter()
            .any(|path| path.resolve_in(document).is_some())
    }

    /// The terms of the last document.
    #[must_use]
    pub fn terms(&self) -> &DocumentTerms {
        &self.terms
    }

    /// The long terms of a document, in the order of their bytes, over `terms`: what
    /// [`LongTerms`](super::LongTerms) asks for.
    pub fn long_terms(&mut self, document: RawDocument<'_>, terms: &mut Vec<Vec<u8>>) {
        terms.clear();
        self.extract(document);
        let long = self.terms.iter().filter(super::Term::is_long);
        terms.extend(long.map(|term| term.bytes.to_vec()));
    }
}
