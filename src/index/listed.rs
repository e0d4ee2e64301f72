//! An index as a snapshot lists it, or a backup's manifest: parsing and checking.
//!
//! ```text
//! index = "{" members "}"                       keys in any order, each known one once
//!   "name"          string, unique in its collection; "_id_" is ignored
//!   "type"          "btree" | "text" | "geo" | "ttl"
//!   "field_paths"   [string without NUL, …], 1 to 255; exactly 1 for geo and ttl
//!   "unique"        bool, default false
//!   "sparse"        bool, default false
//!   "geo_type"      "2d" | "2dsphere", for geo
//!   "ttl_duration"  integer, 0 or more, for ttl
//!   "filter"        object, at most 100 levels deep; {} is none
//!   "config"        object
//!   "inferTypes"    as in format v2's options; manifests only
//! ```
//!
//! null means missing everywhere.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::definition::{ID_INDEX, IndexDefinition, IndexKind};
use super::options::{OWN_OPTIONS, infer_types_of};
use super::skip::SkipIndexes;
use crate::document::{InferTypes, MAX_DEPTH};
use crate::shell::quoted;
use crate::{Code, Error, Place, jsontext};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashSet};

/// v2 counts the fields of an index in 16 bits, the fields of a composite key in 8.
const MAX_FIELDS: usize = 255;

/// The text of a listed index and where it stands.
#[derive(Clone, Debug)]
pub struct ListedText {
    /// A JSON value.
    pub text: String,
    /// File and offset of its first byte.
    pub place: Place,
}

/// What the indexes of one collection come to.
#[derive(Debug, Default)]
pub struct CollectionIndexes {
    /// Sorted by name, bytewise, as v2 numbers them; without `_id_`.
    pub definitions: Vec<IndexDefinition>,
    /// Names of the indexes that `--skip-index` left out; `?` for one without a name.
    pub skipped: Vec<String>,
    /// What the definitions hold but v2 has no place for, as `INDEX: KEY`.
    pub dropped: Vec<String>,
    /// How the constants of a partial index's filter are typed, by index: in manifests of backups
    /// only.
    pub infer_types: BTreeMap<String, InferTypes>,
    /// Everything that is wrong; empty means that the collection can be carried over.
    pub problems: Vec<Error>,
}

/// Parses and checks all listed indexes of a collection, by its name before `--rename`.
#[must_use]
pub fn parse_listed(
    collection: &str,
    listed: impl IntoIterator<Item = ListedText>,
    skip: &SkipIndexes,
) -> CollectionIndexes {
    let mut indexes = CollectionIndexes::default();
    let mut names = HashSet::new();
    for listed in listed {
        let members = jsontext::members(&listed.text);
        let name = members.as_ref().ok().and_then(|members| name(members));
        let skipped = match &name {
            Some(name) if name == ID_INDEX => continue,
            Some(name) => skip.matches(collection, name),
            None => skip.skips_all(),
        };
        if skipped {
            indexes.skipped.push(name.unwrap_or_else(|| "?".to_owned()));
            continue;
        }
        let parsed = members
            .map_err(Problem::Json)
            .and_then(|members| parse(&members, &mut indexes))
            .and_then(|index| match names.insert(index.name.clone()) {
                true => Ok(index),
                false => Err(Problem::NameTwice),
            });
        match parsed {
            Ok(index) => indexes.definitions.push(index),
            Err(problem) => {
                let place = listed.place.in_collection(collection);
                indexes
                    .problems
                    .push(problem.error(collection, name, place));
            }
        }
    }
    indexes.definitions.sort_by(|a, b| a.name.cmp(&b.name));
    indexes
}

type Members = [(String, Box<RawValue>)];

/// The first name in the object, so that even an index that is otherwise wrong can be skipped.
fn name(members: &Members) -> Option<String> {
    let (_, value) = members.iter().find(|(key, _)| key == "name")?;
    serde_json::from_str(value.get()).ok()
}

/// The members of an index by key; values that are null count as missing.
#[derive(Default)]
struct Parts<'a> {
    name: Option<&'a RawValue>,
    kind: Option<&'a RawValue>,
    fields: Option<&'a RawValue>,
    unique: Option<&'a RawValue>,
    sparse: Option<&'a RawValue>,
    geo_type: Option<&'a RawValue>,
    ttl_duration: Option<&'a RawValue>,
    filter: Option<&'a RawValue>,
    config: Option<&'a RawValue>,
    infer_types: Option<&'a RawValue>,
    unknown: Vec<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(members: &'a Members) -> Result<Self, Problem> {
        let mut parts = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for (key, value) in members {
            let part = match key.as_str() {
                "name" => &mut parts.name,
                "type" => &mut parts.kind,
                "field_paths" => &mut parts.fields,
                "unique" => &mut parts.unique,
                "sparse" => &mut parts.sparse,
                "geo_type" => &mut parts.geo_type,
                "ttl_duration" => &mut parts.ttl_duration,
                "filter" => &mut parts.filter,
                "config" => &mut parts.config,
                "inferTypes" => &mut parts.infer_types,
                _ => {
                    parts.unknown.push(key);
                    continue;
                }
            };
            if seen.contains(&key.as_str()) {
                return Err(Problem::KeyTwice(key.clone()));
            }
            seen.push(key);
            *part = Some(&**value).filter(|value| value.get() != "null");
        }
        Ok(parts)
    }
}

fn parse(members: &Members, indexes: &mut CollectionIndexes) -> Result<IndexDefinition, Problem> {
    let parts = Parts::of(members)?;
    let name: String = required(parts.name, "name")?;
    let kind_name: String = required(parts.kind, "type")?;
    let mut unused: Vec<String> = parts.unknown.iter().map(ToString::to_string).collect();
    if parts.geo_type.is_some() && kind_name != "geo" {
        unused.push("geo_type".to_owned());
    }
    if parts.ttl_duration.is_some() && kind_name != "ttl" {
        unused.push("ttl_duration".to_owned());
    }
    let kind = match kind_name.as_str() {
        "btree" => IndexKind::Btree,
        "text" => IndexKind::Text,
        "geo" => geo_kind(parts.geo_type)?,
        "ttl" => IndexKind::Ttl {
            expire_after_seconds: ttl_seconds(parts.ttl_duration)?,
        },
        _ => return Err(Problem::UnknownType(kind_name)),
    };
    let index = IndexDefinition {
        fields: fields(parts.fields, kind)?,
        unique: optional(parts.unique, "unique")?.unwrap_or_default(),
        sparse: optional(parts.sparse, "sparse")?.unwrap_or_default(),
        filter: filter(parts.filter)?,
        config: config(parts.config, &mut unused)?,
        name,
        kind,
    };
    let prefixed = |key: String| format!("{}: {key}", index.name);
    let names: Option<Vec<String>> = optional(parts.infer_types, "inferTypes")?;
    if let Some(names) = names {
        let infer = infer_types_of(&names).ok_or(Problem::InferTypes)?;
        indexes.infer_types.insert(index.name.clone(), infer);
    }
    indexes.dropped.extend(unused.into_iter().map(prefixed));
    Ok(index)
}

fn optional<T: DeserializeOwned>(
    value: Option<&RawValue>,
    key: &'static str,
) -> Result<Option<T>, Problem> {
    value
        .map(|value| serde_json::from_str(value.get()))
        .transpose()
        .map_err(|error| Problem::Value(key, error))
}

fn required<T: DeserializeOwned>(
    value: Option<&RawValue>,
    key: &'static str,
) -> Result<T, Problem> {
    optional(value, key)?.ok_or(Problem::Missing(key))
}

fn geo_kind(value: Option<&RawValue>) -> Result<IndexKind, Problem> {
    let geo_type: String = required(value, "geo_type")?;
    match geo_type.as_str() {
        "2d" => Ok(IndexKind::Geo2d),
        "2dsphere" => Ok(IndexKind::Geo2dSphere),
        _ => Err(Problem::UnknownGeoType(geo_type)),
    }
}

fn ttl_seconds(value: Option<&RawValue>) -> Result<i64, Problem> {
    let text = value.ok_or(Problem::Missing("ttl_duration"))?.get();
    text.parse()
        .ok()
        .filter(|seconds| *seconds >= 0)
        .ok_or_else(|| Problem::TtlDuration(text.chars().take(40).collect()))
}

fn fields(value: Option<&RawValue>, kind: IndexKind) -> Result<Vec<String>, Problem> {
    let fields: Vec<String> = optional(value, "field_paths")?.unwrap_or_default();
    let most = match kind {
        IndexKind::Btree | IndexKind::Text => MAX_FIELDS,
        IndexKind::Ttl { .. } | IndexKind::Geo2d | IndexKind::Geo2dSphere => 1,
    };
    if fields.is_empty() || fields.len() > most {
        return Err(Problem::FieldCount(fields.len(), most));
    }
    match fields.iter().find(|field| field.contains('\0')) {
        Some(field) => Err(Problem::FieldNul(field.clone())),
        None => Ok(fields),
    }
}

fn filter(value: Option<&RawValue>) -> Result<Option<String>, Problem> {
    let Some(value) = value else {
        return Ok(None);
    };
    if jsontext::depth(value.get()) > MAX_DEPTH {
        return Err(Problem::FilterDepth);
    }
    // Parsed for the check alone: numbers in range, strings Unicode.
    let members: Map<String, Value> =
        serde_json::from_str(value.get()).map_err(|error| Problem::Value("filter", error))?;
    Ok((!members.is_empty()).then(|| jsontext::compact(value.get())))
}

fn config(
    value: Option<&RawValue>,
    unused: &mut Vec<String>,
) -> Result<Option<Map<String, Value>>, Problem> {
    let Some(mut config) = optional::<Map<String, Value>>(value, "config")? else {
        return Ok(None);
    };
    config.retain(|key, _| {
        let own = OWN_OPTIONS.contains(&key.as_str());
        if own {
            unused.push(format!("config.{key}"));
        }
        !own
    });
    Ok(Some(config).filter(|config| !config.is_empty()))
}

/// Why an index cannot be carried over; goes on after "index NAME of collection NAME".
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("is no JSON object")]
    Json(#[source] serde_json::Error),
    #[error("has the key {0:?} twice")]
    KeyTwice(String),
    #[error("has no {0:?}")]
    Missing(&'static str),
    #[error("has a wrong value of {0:?}")]
    Value(&'static str, #[source] serde_json::Error),
    #[error("has the unknown type {0:?}; known are btree, text, geo and ttl")]
    UnknownType(String),
    #[error("has the unknown geo_type {0:?}; known are 2d and 2dsphere")]
    UnknownGeoType(String),
    #[error("has ttl_duration {0}, which is no integer from 0 to 9223372036854775807")]
    TtlDuration(String),
    #[error("has {0} fields; its type takes from 1 to {1}")]
    FieldCount(usize, usize),
    #[error("has the field {0:?}; no field name can hold NUL")]
    FieldNul(String),
    #[error("has a filter that nests deeper than 100 levels")]
    FilterDepth,
    #[error("has \"inferTypes\" other than objectid and timestamp")]
    InferTypes,
    #[error("has the name of another index of the collection")]
    NameTwice,
}

impl Problem {
    fn error(self, collection: &str, name: Option<String>, place: Place) -> Error {
        let (whose, option, place) = match name {
            Some(name) => {
                let option = quoted(&format!("{collection}/{name}"));
                (format!("index {name:?}"), option, place.in_index(name))
            }
            None => (
                "an index without a name".to_owned(),
                "all".to_owned(),
                place,
            ),
        };
        let sentence = format!("{whose} of collection {collection:?} {self}");
        let error = Error::new(Code::IndexDefinition, sentence)
            .at(place)
            .hint(format!("leave it out with --skip-index {option}"));
        match self {
            Self::Json(cause) | Self::Value(_, cause) => error.because(cause),
            _ => error,
        }
    }
}

#[cfg(test)]
#[path = "listed_tests.rs"]
mod tests;
