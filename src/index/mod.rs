//! Indexes: definitions, key extraction, sorting.

pub mod definition;
pub mod extract;
pub mod filter;
pub mod geo;
pub mod key;
pub mod listed;
mod options;
pub mod portable;
pub mod published;
pub mod skip;
pub mod sort;
mod sum;
pub mod text;

pub use definition::{IndexDefinition, IndexKind};
pub use filter::Filter;
pub use listed::{CollectionIndexes, ListedText, parse_listed};
pub use options::{OWN_OPTIONS, TextTotals, infer_types_names, infer_types_of};
pub use portable::PortableIndex;
pub use skip::SkipIndexes;
pub use sum::{EntrySum, key_hash, value_hash};
