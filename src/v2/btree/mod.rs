//! B+trees of `data.db`: built in one run, leaves first; checked in file order; searched.
//!
//! Nodes are written and read by [`node`]. Keys are opaque here but for their length: how two
//! stored keys compare is given by the caller, so that the order has one home.

pub mod bulk;
pub mod check;
mod key;
pub mod node;
pub mod reader;
mod shape;
#[cfg(test)]
mod testing;

pub use bulk::{BulkLoader, BulkPosition, PageSink};
pub use check::{TreeChecker, TreeVisitor, Values};
pub use key::{MAX_STORED_KEY, StoredKey, StoredKeyRef};
pub use node::{LeafEntry, Node, TreeIds};
pub use reader::{CompareKeys, PageSource, TreeReader, TreeScan};
pub use shape::{TreeShape, TreeSummary};
