//! The options text of a collection record.
//!
//! ```json
//! {"Capped":false,"MaxSize":0,"MaxDocuments":0,"dataExtents":[[1,20]],"contentDigest":"xxh3-128:…"}
//! ```
//!
//! A store that has given up pages adds `"freeList":N`, the head of their list (v2::freelist).
//! The first three are LauraDB's; it drops the others when it writes the record again, so readers
//! take them as absent then.

use crate::hash::xxh3_128;
use crate::v2::address::PageId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// A run of pages of `data.db`: `[first_page, page_count]` in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent(pub PageId, pub u32);

/// Sum modulo 2^128 of the XXH3-128 (seed 0) of every document's BSON bytes: the same in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContentDigest(pub u128);

const DIGEST_PREFIX: &str = "xxh3-128:";

impl ContentDigest {
    /// Counts a document in.
    pub fn add_document(&mut self, bson: &[u8]) {
        self.0 = self.0.wrapping_add(xxh3_128(bson));
    }

    /// Takes a document out that was counted in.
    pub fn remove_document(&mut self, bson: &[u8]) {
        self.0 = self.0.wrapping_sub(xxh3_128(bson));
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{DIGEST_PREFIX}{:032x}", self.0)
    }
}

/// The text is no `xxh3-128:` and 32 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a content digest, expected xxh3-128: and 32 lower-case hex digits")]
pub struct DigestSyntax;

impl FromStr for ContentDigest {
    type Err = DigestSyntax;

    fn from_str(text: &str) -> Result<Self, DigestSyntax> {
        let digits = text.strip_prefix(DIGEST_PREFIX).ok_or(DigestSyntax)?;
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digits.len() != 32 || !digits.bytes().all(hex) {
            return Err(DigestSyntax);
        }
        u128::from_str_radix(digits, 16)
            .map(Self)
            .map_err(|_| DigestSyntax)
    }
}

impl Serialize for ContentDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// The options of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionOptions {
    /// LauraDB's; false after a migration.
    #[serde(rename = "Capped", default)]
    pub capped: bool,
    /// LauraDB's, in bytes; 0 after a migration.
    #[serde(rename = "MaxSize", default)]
    pub max_size: i64,
    /// LauraDB's; 0 after a migration.
    #[serde(rename = "MaxDocuments", default)]
    pub max_documents: i64,
    /// Where its data and overflow pages lay when it was published.
    #[serde(
        rename = "dataExtents",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub data_extents: Option<Vec<Extent>>,
    /// Over its documents when it was published.
    #[serde(
        rename = "contentDigest",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub content_digest: Option<ContentDigest>,
    /// Head of the list of pages that the collection has given up and may use again.
    #[serde(rename = "freeList", default, skip_serializing_if = "Option::is_none")]
    pub free_list: Option<PageId>,
}

impl CollectionOptions {
    /// Those of a collection as it is published; no extent if it has no pages.
    #[must_use]
    pub fn published(extents: Vec<Extent>, digest: ContentDigest) -> Self {
        Self {
            data_extents: Some(extents),
            content_digest: Some(digest),
            ..Self::default()
        }
    }

    /// The JSON text, without white space, keys in the order of the fields.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Maps with string keys and numbers cannot fail to serialize.
        serde_json::to_string(self).unwrap_or_default()
    }
}
