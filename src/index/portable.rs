//! An index on its way from one format to another, and its text in a snapshot or a manifest; the
//! grammar of the text is in `listed`, which reads it.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::definition::{IndexDefinition, IndexKind};
use super::options::infer_types_names;
use crate::document::InferTypes;
use serde_json::Value;
use std::fmt::Write as _;

/// A definition and, for a partial index, how the constants of its filter are typed.
#[derive(Clone, Debug, PartialEq)]
pub struct PortableIndex {
    /// The definition; never that of `_id_`.
    pub definition: IndexDefinition,
    /// There if and only if the index is partial.
    pub infer_types: Option<InferTypes>,
}

/// For whom an index is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// LauraDB's snapshots have no place for `inferTypes`.
    Snapshot,
    /// A backup's manifest has.
    Manifest,
}

impl PortableIndex {
    /// Keeps `infer_types` if the index is partial.
    #[must_use]
    pub fn new(definition: IndexDefinition, infer_types: InferTypes) -> Self {
        let infer_types = definition.filter.is_some().then_some(infer_types);
        Self {
            definition,
            infer_types,
        }
    }

    /// The JSON object that lists the index, keys in LauraDB's order, filter verbatim.
    #[must_use]
    pub fn listed_json(&self, listing: Listing) -> String {
        let index = &self.definition;
        let mut text = format!(
            "{{\"name\":{},\"type\":{},\"field_paths\":{},\"unique\":{}",
            Value::from(index.name.as_str()),
            Value::from(type_name(index.kind)),
            Value::from(index.fields.as_slice()),
            index.unique,
        );
        // Writing to a String cannot fail.
        let mut add = |key: &str, value: &str| {
            let _ = write!(text, ",\"{key}\":{value}");
        };
        if index.sparse {
            add("sparse", "true");
        }
        if let Some(filter) = &index.filter {
            add("filter", filter);
        }
        match index.kind {
            IndexKind::Geo2d => add("geo_type", "\"2d\""),
            IndexKind::Geo2dSphere => add("geo_type", "\"2dsphere\""),
            IndexKind::Ttl {
                expire_after_seconds,
            } => add("ttl_duration", &expire_after_seconds.to_string()),
            IndexKind::Btree | IndexKind::Text => {}
        }
        if let Some(config) = &index.config {
            let mut config = Value::Object(config.clone());
            config.sort_all_objects();
            add("config", &config.to_string());
        }
        if let (Some(infer), Listing::Manifest) = (self.infer_types, listing) {
            let names = Value::from(infer_types_names(infer));
            add("inferTypes", &names.to_string());
        }
        text.push('}');
        text
    }
}

fn type_name(kind: IndexKind) -> &'static str {
    match kind {
        IndexKind::Btree => "btree",
        IndexKind::Ttl { .. } => "ttl",
        IndexKind::Text => "text",
        IndexKind::Geo2d | IndexKind::Geo2dSphere => "geo",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::InputFile;
    use crate::index::{CollectionIndexes, ListedText, SkipIndexes, parse_listed};
    use crate::v1::snapshot::{self, ScanOptions};
    use crate::{Place, Result};

    fn parsed(texts: impl IntoIterator<Item = String>) -> CollectionIndexes {
        let listed = texts.into_iter().map(|text| ListedText {
            text,
            place: Place::default(),
        });
        parse_listed("c", listed, &SkipIndexes::default())
    }

    fn fixture(name: &str) -> Vec<String> {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/laura/snapshots");
        let file = InputFile::open(&std::path::Path::new(directory).join(name)).unwrap();
        let layout = snapshot::scan(&file, &ScanOptions::default(), &mut |_| Ok(())).unwrap();
        let indexes = layout.collections[0].indexes.iter();
        let texts: Result<Vec<String>> = indexes.map(|index| index.text(&file)).collect();
        texts.unwrap()
    }

    #[test]
    fn listed_indexes_come_back_and_are_written_as_lauradb_does() {
        for (name, count) in [("index-types.json", 18), ("index-crafted.json", 6)] {
            let texts = fixture(name);
            let definitions = parsed(texts.clone()).definitions;
            assert_eq!(definitions.len(), count, "{name}");
            let infer = InferTypes {
                object_id: false,
                timestamp: true,
            };
            let indexes = definitions
                .iter()
                .map(|index| PortableIndex::new(index.clone(), infer));
            for index in indexes {
                let text = index.listed_json(Listing::Snapshot);
                assert!(texts.contains(&text), "{text}");
                let again = parsed([index.listed_json(Listing::Manifest)]);
                assert!(again.problems.is_empty() && again.dropped.is_empty());
                assert_eq!(again.definitions, std::slice::from_ref(&index.definition));
                let name = &index.definition.name;
                assert_eq!(again.infer_types.get(name).copied(), index.infer_types);
                assert_eq!(index.infer_types.is_some(), text.contains("\"filter\""));
            }
        }
    }

    #[test]
    fn names_and_configs_keep_every_character() {
        let definition = IndexDefinition {
            name: "\"\\\u{1}ž\u{2028}<".to_owned(),
            fields: vec!["a\"b".to_owned(), String::new()],
            sparse: true,
            config: serde_json::json!({"z": 1.5, "a": {"y": "\n", "b": u64::MAX}})
                .as_object()
                .cloned(),
            ..IndexDefinition::id_index()
        };
        let index = PortableIndex::new(definition, InferTypes::default());
        let again = parsed([index.listed_json(Listing::Manifest)]);
        assert_eq!(again.definitions, [index.definition]);
    }
}
