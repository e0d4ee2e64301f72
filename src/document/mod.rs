//! Documents: their BSON form, their JSON form in v1 snapshots, their
//! Extended JSON form in backups, and the order of values.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod bson;
pub mod ejson;
pub mod json;
pub mod order;
#[cfg(test)]
pub(crate) mod testing;
pub mod time;

/// Deepest nesting of a document; the document itself is level 1.
pub const MAX_DEPTH: usize = 100;

/// Largest BSON form of a document, in bytes, inclusive.
pub const MAX_DOCUMENT_BYTES: usize = 16 * 1024 * 1024;

/// The name of the field that identifies a document in its collection.
pub const ID_FIELD: &str = "_id";

/// Which strings of a snapshot become another type (`--infer-types`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InferTypes {
    /// Exactly 24 hex digits become an ObjectID.
    pub object_id: bool,
    /// RFC 3339 without a fraction of a second becomes a timestamp.
    pub timestamp: bool,
}

impl Default for InferTypes {
    /// What LauraDB's own restorer does without crashing: ObjectIDs only.
    fn default() -> Self {
        Self {
            object_id: true,
            timestamp: false,
        }
    }
}
