//! Index keys of documents, and their places in trees.

use super::documents::read_document;
use super::pager::View;
use super::state::{IndexState, Special};
use crate::document::InferTypes;
use crate::document::bson::{RawDocument, RawValue};
use crate::document::time::parse_rfc3339;
use crate::index::extract::{DocumentFilter, Extraction, KeyExtractor};
use crate::index::key::{KeyBuffer, KeyError, KeyValue, StoredKeyRef, StoredOrder, key_json};
use crate::index::{Filter, IndexDefinition};
use crate::v2::btree::edit::{EntryOrder, entry_at, locate, neighbours};
use crate::v2::btree::{LeafEntry, StoredKey};
use crate::v2::{DocumentAddress, PageId};
use crate::{Code, Error, Place, Result};
use std::cmp::Ordering;
use std::sync::Arc;

/// What the filter of a partial index means.
pub(super) fn filter_of(
    index: &IndexDefinition,
    infer: InferTypes,
) -> Option<Arc<dyn DocumentFilter>> {
    let filter = index.filter.as_ref();
    filter.map(|text| Arc::new(Filter::parse(text, infer)) as Arc<dyn DocumentFilter>)
}

/// Extracts the keys of a B+tree or TTL index.
pub(super) fn extractor_of(index: &IndexDefinition, infer: InferTypes) -> Result<KeyExtractor> {
    KeyExtractor::new(index, filter_of(index, infer), |text| {
        parse_rfc3339(text).map(|time| time.seconds)
    })
}

/// A key in both forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IndexKey {
    pub(super) stored: StoredKey,
    /// The whole normal form, which compares bytewise.
    pub(super) normal: Vec<u8>,
}

impl IndexKey {
    fn new(key: &KeyBuffer) -> Result<Self> {
        let mut out = Vec::new();
        let stored = key.stored(&mut out).map_err(|error| no_key(&error))?;
        Ok(Self {
            stored: stored.to_owned(),
            normal: key.normal().to_vec(),
        })
    }

    /// The key of these values, one per field of an index.
    pub(super) fn of_values(values: &[RawValue<'_>]) -> Result<Self> {
        let values: Option<Vec<KeyValue<'_>>> =
            values.iter().copied().map(KeyValue::from_raw).collect();
        let values = values.filter(|values| (1..=255).contains(&values.len()));
        let values = values.ok_or_else(|| {
            let sentence =
                "arrays and documents cannot be looked up, and a key has 1 to 255 values";
            Error::new(Code::StoreIndex, sentence)
        })?;
        let mut key = KeyBuffer::new();
        key.set_whole(values.into_iter());
        Self::new(&key)
    }

    /// The document's key in an index, if it has an entry there.
    pub(super) fn of_document(
        extractor: &KeyExtractor,
        document: RawDocument<'_>,
    ) -> Result<Option<Self>> {
        let mut key = KeyBuffer::new();
        match extractor.extract_whole(document, &mut key) {
            Extraction::Key => Self::new(&key).map(Some),
            Extraction::Missing | Extraction::Unindexable | Extraction::FilteredOut => Ok(None),
        }
    }
}

pub(super) fn no_key(error: &KeyError) -> Error {
    Error::new(
        Code::PageDamaged,
        format!("an entry has no valid key: {error}"),
    )
}

/// What is sought in a tree: a key, and an address if it is one entry that is meant.
pub(super) struct Sought<'a, V: ?Sized> {
    pub(super) view: &'a V,
    pub(super) extractor: &'a KeyExtractor,
    pub(super) key: &'a IndexKey,
    pub(super) address: Option<DocumentAddress>,
    pub(super) order: StoredOrder,
}

impl<'a, V: View + ?Sized> Sought<'a, V> {
    pub(super) fn new(
        view: &'a V,
        extractor: &'a KeyExtractor,
        key: &'a IndexKey,
        address: Option<DocumentAddress>,
    ) -> Self {
        Self {
            view,
            extractor,
            key,
            address,
            order: StoredOrder::default(),
        }
    }

    /// How an entry's key compares with the one that is sought.
    pub(super) fn compare_keys(&mut self, entry: &LeafEntry<'_>) -> Result<Ordering> {
        let order = self.order.compare(entry.key, self.key.stored.borrow());
        if let Some(order) = order.map_err(|error| no_key(&error))? {
            return Ok(order);
        }
        // What was cut off decides: the documents have it.
        let address = address_of(entry)?;
        let document = read_document(self.view, address)?;
        let document = RawDocument::trusted(&document);
        match IndexKey::of_document(self.extractor, document)? {
            Some(key) => Ok(key.normal.cmp(&self.key.normal)),
            None => Err(Error::new(
                Code::PageDamaged,
                "an index entry leads to a document that has no key",
            )
            .at(Place {
                page: Some(address.page.0),
                slot: Some(address.slot.0),
                ..Place::default()
            })),
        }
    }
}

impl<V: View + ?Sized> EntryOrder for Sought<'_, V> {
    fn separator(&mut self, key: StoredKeyRef<'_>) -> Result<Option<Ordering>> {
        let order = self.order.compare(key, self.key.stored.borrow());
        order.map_err(|error| no_key(&error))
    }

    fn entry(&mut self, entry: &LeafEntry<'_>) -> Result<Ordering> {
        let order = self.compare_keys(entry)?;
        if order != Ordering::Equal {
            return Ok(order);
        }
        Ok(match self.address {
            // The first entry of a key is sought.
            None => Ordering::Greater,
            Some(address) => address_of(entry)?.cmp(&address),
        })
    }
}

/// The document that an entry leads to.
pub(super) fn address_of(entry: &LeafEntry<'_>) -> Result<DocumentAddress> {
    let decoded = DocumentAddress::decode(entry.value);
    decoded.map(|(_, address)| address).ok_or_else(|| {
        let sentence = "an index entry holds no document address";
        Error::new(Code::PageDamaged, sentence)
    })
}

/// The first document that has this key.
pub(super) fn find_key<V: View + ?Sized>(
    view: &V,
    index: &IndexState,
    extractor: &KeyExtractor,
    key: &IndexKey,
) -> Result<Option<DocumentAddress>> {
    let mut sought = Sought::new(view, extractor, key, None);
    let root = index.root();
    let position = locate(view, root, index.ids(), &mut sought)?;
    let at = entry_at(view, index.ids(), &position)?;
    let Some(entry) = at.as_ref().and_then(|neighbour| neighbour.entry()) else {
        return Ok(None);
    };
    if sought.compare_keys(&entry)? != Ordering::Equal {
        return Ok(None);
    }
    address_of(&entry).map(Some)
}

/// Finds one end of a tree.
struct End(Ordering);

impl EntryOrder for End {
    fn separator(&mut self, _: StoredKeyRef<'_>) -> Result<Option<Ordering>> {
        Ok(Some(self.0))
    }

    fn entry(&mut self, _: &LeafEntry<'_>) -> Result<Ordering> {
        Ok(self.0)
    }
}

/// The first and the last key of an index as JSON, empty for an empty tree.
pub(super) fn key_bounds<V: View + ?Sized>(
    view: &V,
    index: &IndexState,
) -> Result<(String, String)> {
    let bound = |order| -> Result<String> {
        let position = locate(view, index.root(), index.ids(), &mut End(order))?;
        let (before, at) = neighbours(view, index.ids(), &position)?;
        let found = match order {
            Ordering::Less => before,
            _ => at,
        };
        match found.as_ref().and_then(|neighbour| neighbour.entry()) {
            Some(entry) => bound_json(view, index, &entry),
            None => Ok(String::new()),
        }
    };
    Ok((bound(Ordering::Greater)?, bound(Ordering::Less)?))
}

fn bound_json<V: View + ?Sized>(
    view: &V,
    index: &IndexState,
    entry: &LeafEntry<'_>,
) -> Result<String> {
    if let Some(json) = key_json(entry.key).map_err(|error| no_key(&error))? {
        return Ok(json);
    }
    let Some(extractor) = &index.extractor else {
        return Ok("null".to_owned());
    };
    let document = read_document(view, address_of(entry)?)?;
    let mut key = KeyBuffer::new();
    extractor.extract_whole(RawDocument::trusted(&document), &mut key);
    let json = key.json().map_err(|error| no_key(&error))?;
    Ok(json.unwrap_or_else(|| "null".to_owned()))
}

impl IndexState {
    /// The root of the tree as it is now.
    pub(super) fn root(&self) -> PageId {
        match (&self.tree, &self.special) {
            (Some(tree), _)
            | (
                _,
                Some(Special::Text {
                    tree: Some(tree), ..
                }),
            ) => tree.root,
            (
                _,
                Some(Special::Geo {
                    tree: Some(tree), ..
                }),
            ) => tree.root,
            _ => self.record.root_page,
        }
    }
}
