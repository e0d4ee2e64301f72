//! The entries that the documents of a collection must have in its indexes.

use super::Check;
use crate::document::InferTypes;
use crate::document::bson::RawDocument;
use crate::error::Place;
use crate::index::extract::ExtractorSet;
use crate::index::geo::{PointExtractor, point_hash};
use crate::index::text::{TextExtractor, TextScratch, posting_hash};
use crate::index::{EntrySum, IndexDefinition, IndexKind, TextTotals, infer_types_of};
use crate::v2::DocumentAddress;
use crate::v2::metadata::{CollectionMetadata, IndexRecord};
use crate::v2::postings::Posting;
use crate::validate::listed::{filter, key_extractor};
use crate::{Code, Error, Result};
use std::convert::Infallible;

/// An index as it is recorded; `None` if its record cannot be understood.
pub(super) fn definition_of(record: &IndexRecord) -> Option<(IndexDefinition, InferTypes)> {
    let definition = record.definition()?;
    let infer_types = match record.parsed_options()?.infer_types {
        None => InferTypes::default(),
        Some(names) => infer_types_of(&names)?,
    };
    Some((definition, infer_types))
}

/// Sums over what the documents must have, for each index.
pub(super) struct IndexKeys {
    collection_id: u32,
    btrees: ExtractorSet,
    /// Positions of the indexes in `btrees`.
    numbers: Vec<usize>,
    texts: Vec<(usize, TextExtractor)>,
    geos: Vec<(usize, PointExtractor)>,
    sums: Vec<EntrySum>,
    totals: Vec<TextTotals>,
}

impl IndexKeys {
    /// Reports indexes that are of no use to anyone.
    pub(super) fn new(check: &Check<'_>, collection: &CollectionMetadata) -> Result<Self> {
        let count = collection.indexes.len();
        let mut keys = Self {
            collection_id: collection.record.collection_id,
            btrees: ExtractorSet::new([]),
            numbers: Vec::new(),
            texts: Vec::new(),
            geos: Vec::new(),
            sums: vec![EntrySum::default(); count],
            totals: vec![TextTotals::default(); count],
        };
        let mut btrees = Vec::new();
        for (number, index) in collection.indexes.iter().enumerate() {
            let place = Place::default()
                .in_collection(&*collection.record.name)
                .in_index(&*index.record.name);
            let Some((definition, infer_types)) = definition_of(&index.record) else {
                let sentence = "the index is of type hash, or has options of a wrong type";
                check.add(Code::CatalogDamaged, sentence, place);
                continue;
            };
            let filter = filter(&definition, Some(infer_types));
            let added = match definition.kind {
                IndexKind::Btree | IndexKind::Ttl { .. } => {
                    key_extractor(&definition, Some(infer_types)).map(|extractor| {
                        btrees.push(extractor);
                        keys.numbers.push(number);
                    })
                }
                IndexKind::Text => TextExtractor::new(&definition, filter)
                    .map(|extractor| keys.texts.push((number, extractor))),
                IndexKind::Geo2d | IndexKind::Geo2dSphere => {
                    PointExtractor::new(&definition, filter)
                        .map(|extractor| keys.geos.push((number, extractor)))
                }
            };
            let added = added.map_err(|error: Error| error.map_place(|_| place));
            check.problems.catch(added)?;
        }
        keys.btrees = ExtractorSet::new(btrees);
        Ok(keys)
    }

    pub(super) fn add(
        &mut self,
        document: RawDocument<'_>,
        address: DocumentAddress,
        scratch: &mut TextScratch,
    ) {
        let (numbers, sums) = (&self.numbers, &mut self.sums);
        self.btrees.extract_hashes(document, address, |at, hash| {
            let sum = numbers.get(at).and_then(|number| sums.get_mut(*number));
            if let Some(sum) = sum {
                sum.add(hash);
            }
        });
        for (number, extractor) in &self.texts {
            let (Some(sum), Some(totals)) =
                (self.sums.get_mut(*number), self.totals.get_mut(*number))
            else {
                continue;
            };
            let collection_id = self.collection_id;
            let taken = extractor.for_each_term(document, scratch, |term, field_length| {
                let posting = Posting {
                    address,
                    term_frequency: term.frequency,
                    field_length,
                };
                sum.add(posting_hash(term.bytes, collection_id, &posting));
                Ok::<_, Infallible>(())
            });
            match taken {
                Ok((_, added)) => {
                    totals.documents = totals.documents.saturating_add(added.documents);
                    totals.length = totals.length.saturating_add(added.length);
                }
                Err(never) => match never {},
            }
        }
        for (number, extractor) in &self.geos {
            if let (Some(sum), (_, Some(point))) =
                (self.sums.get_mut(*number), extractor.extract(document))
            {
                sum.add(point_hash(point, address));
            }
        }
    }

    /// What the index at this position must hold.
    pub(super) fn sum(&self, number: usize) -> EntrySum {
        self.sums.get(number).copied().unwrap_or_default()
    }

    /// Of a text index.
    pub(super) fn totals(&self, number: usize) -> TextTotals {
        self.totals.get(number).copied().unwrap_or_default()
    }
}
