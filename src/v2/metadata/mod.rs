//! `metadata.db`: the catalog, and what it points at.
//!
//! ```text
//! metadata.db = page 0: the catalog (v2::catalog)
//!             | its chain pages
//!             | per collection, by id:
//!                 collection page m
//!                 index pages m+1 … m+index_count: `_id_` first, then in the order of names
//!                 statistics pages, one per index in the same order, from statistics_page on
//! ```
//!
//! The format fixes page 0 and what is consecutive; the order of the regions is this tool's choice:
//! every page number follows from names and numbers of indexes, so that the file is written in one
//! pass, however many collections there are. Readers follow the pointers and accept any order.

mod collection;
mod index;
mod options;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use collection::CollectionRecord;
pub use index::{BuiltIndex, IndexOptions, IndexRecord, IndexType};
pub use options::{CollectionOptions, ContentDigest, Extent};
pub use reader::{CollectionMetadata, IndexMetadata, MetadataReader};
pub use writer::{CollectionPlan, MetadataWriter, metadata_page_count};
