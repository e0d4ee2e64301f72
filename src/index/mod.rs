//! Indexes: definitions, key extraction, sorting.

pub mod definition;
pub mod extract;
pub mod key;
pub mod sort;

pub use definition::{IndexDefinition, IndexKind};
