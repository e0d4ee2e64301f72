//! Documents in data pages.

use super::pager::View;
use crate::document::MAX_DOCUMENT_BYTES;
use crate::document::bson::{self, RawDocument, RawValue};
use crate::document::{ID_FIELD, ejson};
use crate::v2::overflow::ChainReader;
use crate::v2::page::PageType;
use crate::v2::slotted::{OverflowHead, SlotContent, SlottedPage};
use crate::v2::{DocumentAddress, PageId};
use crate::{Code, Error, Place, Result};

/// Reads the document at an address that an index has.
pub(super) fn read_document<V: View + ?Sized>(
    view: &V,
    address: DocumentAddress,
) -> Result<Vec<u8>> {
    let page = view.page(address.page, PageType::Data)?;
    let slotted = SlottedPage::open(page.bytes());
    let content = slotted.and_then(|slotted| slotted.get(address.slot));
    let content = content.map_err(|error| view.damaged(address.page, error))?;
    let bytes = match content {
        Some(SlotContent::Document(bytes)) => bytes.to_vec(),
        Some(SlotContent::Overflow(head)) => {
            let mut document = Vec::new();
            follow_chain(view, head, &mut document)?;
            document
        }
        None => {
            let place = Place {
                page: Some(address.page.0),
                slot: Some(address.slot.0),
                ..Place::default()
            };
            let sentence = "an index entry leads to a slot that holds no document";
            return Err(Error::new(Code::PageDamaged, sentence).at(place));
        }
    };
    Ok(bytes)
}

/// Reads an overflow chain; gives its pages.
pub(super) fn follow_chain<V: View + ?Sized>(
    view: &V,
    head: OverflowHead,
    document: &mut Vec<u8>,
) -> Result<Vec<PageId>> {
    let mut chain = ChainReader::new(head);
    let mut pages = Vec::new();
    while let Some(id) = chain.next_page() {
        let page = view.page(id, PageType::Overflow)?;
        chain
            .take(page.bytes(), document)
            .map_err(|error| view.damaged(id, error))?;
        pages.push(id);
    }
    Ok(pages)
}

/// The `_id` of a document that may be stored.
///
/// # Errors
/// [`Code::StoreDocument`]: the bytes are no document within all limits, or it has no usable `_id`.
pub(super) fn check_document(document: RawDocument<'_>) -> Result<RawValue<'_>> {
    let refused = |sentence: String| Error::new(Code::StoreDocument, sentence);
    let bytes = document.as_bytes();
    if bytes.len() > MAX_DOCUMENT_BYTES {
        let sentence = format!("the document has {} bytes, more than 16777216", bytes.len());
        return Err(refused(sentence));
    }
    let checked = bson::check(bytes)
        .map_err(|error| refused("the document is not valid BSON".to_owned()).because(error))?;
    match checked.get(ID_FIELD) {
        None => Err(refused("the document has no _id".to_owned())),
        Some(id @ (RawValue::Array(_) | RawValue::Document(_))) => Err(refused(format!(
            "the _id is of type {:?}, which cannot identify a document",
            id.element_type()
        ))),
        Some(id) => Ok(id),
    }
}

/// The error for a second document with the same `_id`.
pub(super) fn duplicate_id(collection: &str, id: RawValue<'_>) -> Error {
    let place = Place::default().in_collection(collection);
    Error::new(
        Code::DuplicateId,
        "the collection has a document with this _id",
    )
    .at(place.with_id(ejson::display_id(id)))
}

/// The error for a second document with the same key in a unique index.
pub(super) fn duplicate_key(collection: &str, index: &str, id: RawValue<'_>) -> Error {
    let place = Place::default().in_collection(collection).in_index(index);
    Error::new(
        Code::DuplicateKey,
        "another document has the same key in a unique index",
    )
    .at(place.with_id(ejson::display_id(id)))
}
