//! What the indexes of a collection take from its documents: keys, terms, points.

use super::plan::PlannedCollection;
use crate::Result;
use crate::document::InferTypes;
use crate::document::bson::RawDocument;
use crate::document::time::parse_rfc3339;
use crate::index::extract::{DocumentFilter, Extraction, ExtractorSet, KeyExtractor};
use crate::index::filter::Filter;
use crate::index::geo::{PointExtractor, PointKey, point_hash};
use crate::index::key::SortKey;
use crate::index::text::{TermKey, TextExtractor, TextScratch, posting_hash};
use crate::index::{EntrySum, IndexDefinition, IndexKind, TextTotals};
use crate::v2::DocumentAddress;
use crate::v2::postings::Posting;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::sync::Arc;

/// What an index takes from a document.
#[derive(Clone, Copy, Debug)]
pub(super) enum Taken<'k> {
    /// A sort key, and how many of the document's came before it: text indexes take one for each
    /// term, always in the same order.
    Key(u32, &'k SortKey<'k>),
    /// The document is done. Always comes for a text index, for others where they took no key.
    End(Extraction, TextTotals),
}

/// Extracts for all indexes of a collection; their numbers are their positions in the plan. One per
/// thread; it carries scratch space.
pub(super) struct Extractors {
    keys: ExtractorSet,
    /// The numbers of the indexes in `keys`.
    key_numbers: Vec<usize>,
    points: Vec<(usize, PointExtractor)>,
    texts: Vec<(usize, TextExtractor)>,
    scratch: TextScratch,
    point_key: PointKey,
    term_key: TermKey,
}

impl Extractors {
    /// For no collection yet.
    pub(super) fn none() -> Self {
        Self {
            keys: ExtractorSet::new([]),
            key_numbers: Vec::new(),
            points: Vec::new(),
            texts: Vec::new(),
            scratch: TextScratch::default(),
            point_key: PointKey::default(),
            term_key: TermKey::default(),
        }
    }

    pub(super) fn new(collection: &PlannedCollection, infer_types: InferTypes) -> Result<Self> {
        let mut extractors = Self::none();
        let mut keys = Vec::new();
        for (number, index) in collection.indexes.iter().enumerate() {
            match index.kind {
                IndexKind::Btree | IndexKind::Ttl { .. } => {
                    keys.push(key_extractor(collection, index, infer_types)?);
                    extractors.key_numbers.push(number);
                }
                IndexKind::Text => {
                    let extractor = text_extractor(collection, index, infer_types)?;
                    extractors.texts.push((number, extractor));
                }
                IndexKind::Geo2d | IndexKind::Geo2dSphere => {
                    let extractor =
                        PointExtractor::new(index, filter(collection, index, infer_types))?;
                    extractors.points.push((number, extractor));
                }
            }
        }
        extractors.keys = ExtractorSet::new(keys);
        Ok(extractors)
    }

    /// True if [`Self::extract_terms`] has something to do.
    pub(super) fn has_texts(&self) -> bool {
        !self.texts.is_empty()
    }

    /// Calls `each` with an index's number for everything that the indexes take.
    ///
    /// # Errors
    /// The first error that `each` gives.
    pub(super) fn extract(
        &mut self,
        document: RawDocument<'_>,
        mut each: impl FnMut(usize, Taken<'_>) -> Result<()>,
    ) -> Result<()> {
        self.extract_single(document, &mut each)?;
        self.extract_terms(document, each)
    }

    /// [`Self::extract`] for the indexes that take one key at most.
    pub(super) fn extract_single(
        &mut self,
        document: RawDocument<'_>,
        mut each: impl FnMut(usize, Taken<'_>) -> Result<()>,
    ) -> Result<()> {
        let numbers = &self.key_numbers;
        self.keys.extract(document, |at, key| {
            let number = numbers.get(at).copied().unwrap_or(usize::MAX);
            match key {
                Ok(key) => each(number, Taken::Key(0, key)),
                Err(nothing) => each(number, Taken::End(nothing, TextTotals::default())),
            }
        })?;
        for (number, extractor) in &self.points {
            let taken = match extractor.extract(document) {
                (Extraction::Key, Some(point)) => {
                    Taken::Key(0, &SortKey::Built(self.point_key.set(point)))
                }
                (nothing, _) => Taken::End(nothing, TextTotals::default()),
            };
            each(*number, taken)?;
        }
        Ok(())
    }

    /// [`Self::extract`] for the text indexes.
    pub(super) fn extract_terms(
        &mut self,
        document: RawDocument<'_>,
        mut each: impl FnMut(usize, Taken<'_>) -> Result<()>,
    ) -> Result<()> {
        for (number, extractor) in &self.texts {
            let (term_key, mut before) = (&mut self.term_key, 0_u32);
            let (extraction, totals) =
                extractor.for_each_term(document, &mut self.scratch, |term, field_length| {
                    let key = SortKey::Built(term_key.set(term, field_length));
                    each(*number, Taken::Key(before, &key))?;
                    before = before.saturating_add(1);
                    Ok(())
                })?;
            each(*number, Taken::End(extraction, totals))?;
        }
        Ok(())
    }

    /// Adds the entries that the indexes must have of a document to their sums.
    pub(super) fn sum_up(
        &mut self,
        document: RawDocument<'_>,
        (collection_id, address): (u32, DocumentAddress),
        sums: &mut [IndexSum],
    ) {
        let numbers = &self.key_numbers;
        self.keys.extract_hashes(document, address, |at, hash| {
            if let Some(sum) = numbers.get(at).and_then(|number| sums.get_mut(*number)) {
                sum.entries.add(hash);
            }
        });
        for (number, extractor) in &self.points {
            if let (Some(point), Some(sum)) = (extractor.extract(document).1, sums.get_mut(*number))
            {
                sum.entries.add(point_hash(point, address));
            }
        }
        for (number, extractor) in &self.texts {
            let Some(sum) = sums.get_mut(*number) else {
                continue;
            };
            let entries = &mut sum.entries;
            let taken =
                extractor.for_each_term(document, &mut self.scratch, |term, field_length| {
                    let posting = Posting {
                        address,
                        term_frequency: term.frequency,
                        field_length,
                    };
                    entries.add(posting_hash(term.bytes, collection_id, &posting));
                    Ok::<_, Infallible>(())
                });
            match taken {
                Ok((_, totals)) => sum.totals += totals,
                Err(never) => match never {},
            }
        }
    }
}

/// What the documents say that an index must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct IndexSum {
    pub(super) entries: EntrySum,
    /// Of a text index.
    pub(super) totals: TextTotals,
}

impl IndexSum {
    pub(super) fn merge(&mut self, other: Self) {
        self.entries.merge(other.entries);
        self.totals += other.totals;
    }
}

/// The extractor of a B+tree index.
pub(super) fn key_extractor(
    collection: &PlannedCollection,
    index: &IndexDefinition,
    infer_types: InferTypes,
) -> Result<KeyExtractor> {
    KeyExtractor::new(index, filter(collection, index, infer_types), |text| {
        parse_rfc3339(text).map(|time| time.seconds)
    })
}

/// The extractor of a text index.
pub(super) fn text_extractor(
    collection: &PlannedCollection,
    index: &IndexDefinition,
    infer_types: InferTypes,
) -> Result<TextExtractor> {
    TextExtractor::new(index, filter(collection, index, infer_types))
}

fn filter(
    collection: &PlannedCollection,
    index: &IndexDefinition,
    infer_types: InferTypes,
) -> Option<Arc<dyn DocumentFilter>> {
    let text = index.filter.as_ref()?;
    let infer_types = collection.infer_types_of(index, infer_types);
    Some(Arc::new(Filter::parse(text, infer_types)))
}
