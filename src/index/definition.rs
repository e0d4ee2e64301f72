//! What an index is: the same for v1 snapshots, v2 metadata and backups.

use serde::{Deserialize, Serialize};

/// The name of the index that every collection has and no snapshot lists.
pub const ID_INDEX: &str = "_id_";

/// The kinds of index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexKind {
    /// One field or several (compound).
    Btree,
    /// A B+tree over times; documents expire so many seconds after theirs.
    Ttl {
        /// Seconds, 0 or more.
        expire_after_seconds: i64,
    },
    /// Inverted index over the words of string fields.
    Text,
    /// Points in the plane.
    Geo2d,
    /// Points on the earth.
    Geo2dSphere,
}

impl IndexKind {
    /// The kind as users know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Btree => "btree",
            Self::Ttl { .. } => "ttl",
            Self::Text => "text",
            Self::Geo2d => "2d geo",
            Self::Geo2dSphere => "2dsphere geo",
        }
    }

    /// True for the kinds whose entries are keys in a B+tree.
    #[must_use]
    pub fn is_btree(self) -> bool {
        matches!(self, Self::Btree | Self::Ttl { .. })
    }
}

/// An index of a collection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexDefinition {
    /// Unique in its collection.
    pub name: String,
    /// What it indexes and how.
    pub kind: IndexKind,
    /// Field paths: literal top-level name first, then dotted traversal.
    pub fields: Vec<String>,
    /// No two equal keys.
    pub unique: bool,
    /// Stored; changes nothing, since missing fields never get an entry.
    pub sparse: bool,
    /// A partial index: JSON text without insignificant white space, tokens verbatim.
    pub filter: Option<String>,
    /// Further options of the snapshot (`config`), without keys that format v2's options use
    /// themselves; never empty. Numbers that no 64-bit integer holds are doubles, as in LauraDB.
    pub config: Option<serde_json::Map<String, serde_json::Value>>,
}

impl IndexDefinition {
    /// The `_id_` index.
    #[must_use]
    pub fn id_index() -> Self {
        Self {
            name: ID_INDEX.to_owned(),
            kind: IndexKind::Btree,
            fields: vec![crate::document::ID_FIELD.to_owned()],
            unique: true,
            sparse: false,
            filter: None,
            config: None,
        }
    }
}
