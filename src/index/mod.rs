//! Indexes: definitions, key extraction, sorting.

pub mod definition;
pub mod filter;

pub use definition::{IndexDefinition, IndexKind};
pub use filter::Filter;
pub mod listed;
mod options;
pub mod skip;

pub use definition::{IndexDefinition, IndexKind};
pub use listed::{CollectionIndexes, ListedText, parse_listed};
pub use options::{OWN_OPTIONS, TextTotals, infer_types_names, infer_types_of};
pub use skip::SkipIndexes;
