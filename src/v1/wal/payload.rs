//! The data of insert, update and delete records: a document operation.
//!
//! ```text
//! data = name_len u16 | collection name (UTF-8, name_len bytes) | BSON document (the rest)
//! ```
//!
//! Insert and update carry the whole document, delete one with `_id` whose other fields are ignored.
//! `_id` may stand anywhere in it. LauraDB leaves the data to the writer; this layout is ours.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use crate::bytes::Cursor;
use crate::document::ID_FIELD;
use crate::document::bson::{BsonError, ElementType, RawDocument, RawValue, check};

/// Bytes of the length field before the collection's name.
pub(super) const NAME_LEN_BYTES: usize = size_of::<u16>();

/// Why a record's data is no document operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Too few bytes for the name's length and the name.
    #[error("{data_len} bytes of data cannot hold a collection name")]
    NoName {
        /// Bytes of data in the record.
        data_len: usize,
    },
    /// The name's length goes past the data.
    #[error("the collection name has {name_len} bytes, the whole data {data_len}")]
    NameLength {
        /// The length field before the name.
        name_len: u16,
        /// Bytes of data in the record.
        data_len: usize,
    },
    /// The name is not UTF-8.
    #[error("the collection name is not UTF-8")]
    NameUtf8,
    /// What follows the name is no document.
    #[error("the document is not valid BSON")]
    Document(#[from] BsonError),
    /// There is no `_id`.
    #[error("the document has no _id")]
    NoId,
    /// `_id` is an array or a document.
    #[error("the _id is of type {0:?}, which cannot identify a document")]
    IdType(ElementType),
}

/// A checked document operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operation<'a> {
    /// The collection as the log names it, before any `--rename`; may be a name that v2 cannot take.
    pub collection: &'a str,
    /// The document of an insert or update; of a delete, only its `_id` means something.
    pub document: RawDocument<'a>,
    /// The document's `_id`: neither array nor document.
    pub id: RawValue<'a>,
}

impl<'a> Operation<'a> {
    /// Checks a record's data.
    ///
    /// # Errors
    /// The data is no document operation; see [`PayloadError`].
    pub fn decode(data: &'a [u8]) -> Result<Self, PayloadError> {
        let (name, document) = split(data)?;
        let collection = str::from_utf8(name).map_err(|_| PayloadError::NameUtf8)?;
        let document = check(document)?;
        let id = document.get(ID_FIELD).ok_or(PayloadError::NoId)?;
        match id {
            RawValue::Array(_) | RawValue::Document(_) => {
                Err(PayloadError::IdType(id.element_type()))
            }
            _ => Ok(Self {
                collection,
                document,
                id,
            }),
        }
    }
}

/// The name's bytes and what follows them.
pub(super) fn split(data: &[u8]) -> Result<(&[u8], &[u8]), PayloadError> {
    let data_len = data.len();
    let mut cursor = Cursor::new(data);
    let name_len = cursor.u16().ok_or(PayloadError::NoName { data_len })?;
    let name = cursor
        .take(usize::from(name_len))
        .ok_or(PayloadError::NameLength { name_len, data_len })?;
    Ok((name, cursor.rest()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::bson::OwnedDocument;

    fn data(name: &[u8], document: &OwnedDocument) -> Vec<u8> {
        let len = u16::try_from(name.len()).unwrap().to_le_bytes();
        [&len[..], name, document.as_bytes()].concat()
    }

    #[test]
    fn the_id_may_stand_anywhere() {
        let document: OwnedDocument = [("n", RawValue::Int32(1)), ("_id", RawValue::Null)]
            .into_iter()
            .collect();
        let data = data("kolekce-ž".as_bytes(), &document);
        let operation = Operation::decode(&data).unwrap();
        assert_eq!(operation.collection, "kolekce-ž");
        assert_eq!(operation.id, RawValue::Null);
        assert_eq!(operation.document.as_bytes(), document.as_bytes());
    }

    #[test]
    fn what_is_no_operation_is_refused_by_name() {
        let empty: OwnedDocument = [].into_iter().collect();
        let nested: OwnedDocument = [("_id", RawValue::Document(empty.as_raw()))]
            .into_iter()
            .collect();
        let array: OwnedDocument = [("_id", RawValue::Array(empty.as_raw()))]
            .into_iter()
            .collect();
        let fine: OwnedDocument = [("_id", RawValue::Boolean(true))].into_iter().collect();
        let no_name = PayloadError::NoName { data_len: 1 };
        assert_eq!(Operation::decode(&[1]), Err(no_name));
        let name_length = PayloadError::NameLength {
            name_len: 3,
            data_len: 4,
        };
        assert_eq!(Operation::decode(&[3, 0, b'a', b'b']), Err(name_length));
        let of = |name: &[u8], document| Operation::decode(&data(name, document)).map(|_| ());
        assert_eq!(of(b"\xFF", &fine), Err(PayloadError::NameUtf8));
        assert_eq!(of(b"c", &empty), Err(PayloadError::NoId));
        let id_type = |kind| Err(PayloadError::IdType(kind));
        assert_eq!(of(b"c", &nested), id_type(ElementType::Document));
        assert_eq!(of(b"c", &array), id_type(ElementType::Array));
        assert_eq!(
            of(b"", &fine),
            Ok(()),
            "names are judged where they are used"
        );
        let mut trailing = data(b"c", &fine);
        trailing.push(0);
        let error = Operation::decode(&trailing).unwrap_err();
        assert!(matches!(error, PayloadError::Document(_)), "{error}");
    }
}
