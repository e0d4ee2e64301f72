//! Indexes: definitions, key extraction, sorting.

pub mod definition;
pub mod filter;

pub use definition::{IndexDefinition, IndexKind};
pub use filter::Filter;
