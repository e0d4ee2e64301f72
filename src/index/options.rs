//! The options of an index as format v2 stores them.
//!
//! ```text
//! options = JSON object without white space, keys sorted bytewise; absent if it would be empty
//!   "expireAfterSeconds"  integer: a btree with this key is a TTL index
//!   "inferTypes"          ["objectid", "timestamp"] or a part: how the filter's constants are typed
//!   "totalDocs"           integer: documents that a text index covers
//!   "totalLength"         integer: words that it keeps of them
//!   others                the snapshot's "config"
//! ```

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::definition::{IndexDefinition, IndexKind};
use crate::document::InferTypes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::ops::{AddAssign, SubAssign};

/// Keys of the options that mean something to this tool, so that no `config` may hold them.
pub const OWN_OPTIONS: [&str; 4] = [
    "expireAfterSeconds",
    "inferTypes",
    "totalDocs",
    "totalLength",
];

/// What ranking by BM25 needs to know of a whole text index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextTotals {
    /// Documents with at least one of the fields as a string.
    pub documents: u64,
    /// Kept words of these documents.
    pub length: u64,
}

impl AddAssign for TextTotals {
    fn add_assign(&mut self, other: Self) {
        self.documents = self.documents.saturating_add(other.documents);
        self.length = self.length.saturating_add(other.length);
    }
}

impl SubAssign for TextTotals {
    fn sub_assign(&mut self, other: Self) {
        self.documents = self.documents.saturating_sub(other.documents);
        self.length = self.length.saturating_sub(other.length);
    }
}

/// The values of `inferTypes`, as `--infer-types` takes them.
#[must_use]
pub fn infer_types_names(infer: InferTypes) -> Vec<&'static str> {
    let names = [
        (infer.object_id, "objectid"),
        (infer.timestamp, "timestamp"),
    ];
    names
        .into_iter()
        .filter_map(|(on, name)| on.then_some(name))
        .collect()
}

/// The opposite of [`infer_types_names`]; `None` if a name is unknown.
#[must_use]
pub fn infer_types_of<S: AsRef<str>>(names: &[S]) -> Option<InferTypes> {
    let mut infer = InferTypes {
        object_id: false,
        timestamp: false,
    };
    for name in names {
        match name.as_ref() {
            "objectid" => infer.object_id = true,
            "timestamp" => infer.timestamp = true,
            _ => return None,
        }
    }
    Some(infer)
}

impl IndexDefinition {
    /// The options text of the index, or `None` if there are none.
    ///
    /// `infer` goes into a partial index, `totals` into a text index (zeros if not known yet).
    #[must_use]
    pub fn options_json(&self, infer: InferTypes, totals: Option<TextTotals>) -> Option<String> {
        let mut options: Map<String, Value> = self.config.clone().unwrap_or_default();
        options.retain(|key, _| !OWN_OPTIONS.contains(&key.as_str()));
        let mut set = |key: &str, value: Value| {
            options.insert(key.to_owned(), value);
        };
        match self.kind {
            IndexKind::Ttl {
                expire_after_seconds,
            } => set("expireAfterSeconds", expire_after_seconds.into()),
            IndexKind::Text => {
                let totals = totals.unwrap_or_default();
                set("totalDocs", totals.documents.into());
                set("totalLength", totals.length.into());
            }
            IndexKind::Btree | IndexKind::Geo2d | IndexKind::Geo2dSphere => {}
        }
        if self.filter.is_some() {
            set("inferTypes", infer_types_names(infer).into());
        }
        if options.is_empty() {
            return None;
        }
        let mut options = Value::Object(options);
        options.sort_all_objects();
        Some(options.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn index(kind: IndexKind) -> IndexDefinition {
        IndexDefinition {
            kind,
            ..IndexDefinition::id_index()
        }
    }

    fn options(index: &IndexDefinition) -> Option<String> {
        let totals = TextTotals {
            documents: 3,
            length: 14,
        };
        index.options_json(InferTypes::default(), Some(totals))
    }

    #[test]
    fn a_plain_index_has_none() {
        assert_eq!(options(&index(IndexKind::Btree)), None);
        assert_eq!(options(&index(IndexKind::Geo2d)), None);
    }

    #[test]
    fn own_keys_are_merged_with_config_and_sorted() {
        let mut text = index(IndexKind::Text);
        text.config = json!({"weights": {"b": 10, "a": 1.5}, "language": "x", "totalDocs": 99})
            .as_object()
            .cloned();
        assert_eq!(
            options(&text).as_deref(),
            Some(r#"{"language":"x","totalDocs":3,"totalLength":14,"weights":{"a":1.5,"b":10}}"#)
        );
        let ttl = index(IndexKind::Ttl {
            expire_after_seconds: 0,
        });
        assert_eq!(
            options(&ttl).as_deref(),
            Some(r#"{"expireAfterSeconds":0}"#)
        );
    }

    #[test]
    fn a_partial_index_tells_how_its_filter_is_typed() {
        let mut partial = index(IndexKind::Btree);
        partial.filter = Some(r#"{"a":1}"#.to_owned());
        assert_eq!(
            options(&partial).as_deref(),
            Some(r#"{"inferTypes":["objectid"]}"#)
        );
        let none = InferTypes {
            object_id: false,
            timestamp: false,
        };
        assert_eq!(
            partial.options_json(none, None).as_deref(),
            Some(r#"{"inferTypes":[]}"#)
        );
    }
}
