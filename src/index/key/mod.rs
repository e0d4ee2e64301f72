//! Index keys in their two forms.
//!
//! The **normal form** ([`KeyBuffer`]) is what sorting works on: bytes whose comparison by `memcmp`,
//! a prefix first, is the order of the index. The **stored form** ([`StoredKeyRef`]) is what B+tree
//! nodes hold. Each can be made from the other, as long as the stored form has not been cut.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod buffer;
mod common;
mod json;
mod normal;
mod number;
mod record;
mod sort_key;
mod stored;
mod value;

pub use buffer::KeyBuffer;
pub use json::key_json;
pub use normal::{KeyError, NORMAL_KEPT_BYTES, NormalReader};
pub use sort_key::{ExactInteger, ObjectIdKey, ShortString, SortKey};
pub(crate) use stored::compare_alike;
pub use stored::{
    DecodedKey, StoredOrder, compare_normal, compare_stored, decode_stored, normal_of_stored,
};
pub use value::{KeyType, KeyValue};

pub use crate::v2::btree::{MAX_STORED_KEY, StoredKeyRef};

pub(super) use common::append_common;
pub(super) use stored::{stored_of_values, string_bytes};

pub(super) use record::{
    MAX_RECORD_BYTES, RECORD_HEADER_BYTES, Record, RecordPieces, is_cut, record_length,
};

#[cfg(test)]
pub(crate) mod tests;
