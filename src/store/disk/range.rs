//! Reading an index in order.

use super::{DiskStore, located, order};
use crate::Result;
use crate::document::bson::{RawDocument, RawValue};
use crate::index::key::StoredKeyRef;
use crate::store::Visit;
use crate::store::documents::read_document;
use crate::store::indexes::{IndexKey, Sought, address_of};
use crate::v2::btree::{LeafEntry, TreeReader};
use std::cmp::Ordering;
use std::ops::Bound;

impl DiskStore {
    /// Visits the documents between two keys of an index.
    pub(super) fn scan_index(
        &self,
        collection: &str,
        index: &str,
        bounds: (Bound<&[RawValue<'_>]>, Bound<&[RawValue<'_>]>),
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let (_, state) = self.collection(collection)?;
        let found = state
            .indexes
            .iter()
            .find(|found| found.record.name == index);
        let found = found.and_then(|index| Some((index, index.extractor.as_ref()?)));
        let Some((index, extractor)) = found else {
            return Err(crate::store::no_index(collection, index));
        };
        let lower = key_bound(bounds.0)?;
        let upper = key_bound(bounds.1)?;
        let compare = order;
        let reader = TreeReader::new(self, index.root(), index.ids(), &compare);
        let in_collection = |error| located(error, state);
        let mut scan = reader
            .range(stored_bound(&lower), stored_bound(&upper))
            .map_err(in_collection)?;
        while let Some(entry) = scan.next().map_err(in_collection)? {
            // Entries that a cut key cannot tell from a bound are given as well.
            let is_within = |bound: &Bound<IndexKey>, outside: Ordering| -> Result<bool> {
                let (key, excluded) = match bound {
                    Bound::Unbounded => return Ok(true),
                    Bound::Included(key) => (key, false),
                    Bound::Excluded(key) => (key, true),
                };
                let order = Sought::new(self, extractor, key, None).compare_keys(&entry)?;
                Ok(order != outside && !(excluded && order == Ordering::Equal))
            };
            let ambiguous = entry.key.truncated;
            if ambiguous
                && !(is_within(&lower, Ordering::Less)? && is_within(&upper, Ordering::Greater)?)
            {
                continue;
            }
            let document = self.document_of(&entry).map_err(in_collection)?;
            if visit(RawDocument::trusted(&document))?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn document_of(&self, entry: &LeafEntry<'_>) -> Result<Vec<u8>> {
        read_document(self, address_of(entry)?)
    }
}

fn key_bound(bound: Bound<&[RawValue<'_>]>) -> Result<Bound<IndexKey>> {
    Ok(match bound {
        Bound::Unbounded => Bound::Unbounded,
        Bound::Included(values) => Bound::Included(IndexKey::of_values(values)?),
        Bound::Excluded(values) => Bound::Excluded(IndexKey::of_values(values)?),
    })
}

fn stored_bound(bound: &Bound<IndexKey>) -> Bound<StoredKeyRef<'_>> {
    match bound {
        Bound::Unbounded => Bound::Unbounded,
        Bound::Included(key) => Bound::Included(key.stored.borrow()),
        Bound::Excluded(key) => Bound::Excluded(key.stored.borrow()),
    }
}
