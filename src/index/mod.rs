//! Indexes: definitions, key extraction, sorting.

pub mod definition;

pub use definition::{IndexDefinition, IndexKind};
