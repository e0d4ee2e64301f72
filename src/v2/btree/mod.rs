//! B+trees of `data.db`: built in one run, leaves first; checked in file order, or from the root
//! down; searched.
//!
//! Nodes are written and read by [`node`]. Keys are opaque here but for their length: how two
//! stored keys compare is given by the caller, so that the order has one home.

pub mod bulk;
pub mod check;
pub mod edit;
mod file;
mod key;
pub mod node;
pub mod reader;
mod shape;
#[cfg(test)]
pub(crate) mod testing;
pub mod walk;

pub use bulk::{BulkLoader, BulkPosition, PageSink, SPILL_LIMIT};
pub use check::{TreeChecker, TreeVisitor, Values};
pub use key::{MAX_STORED_KEY, StoredKey, StoredKeyRef};
pub use node::{LeafEntry, Node, TreeIds};
pub use reader::{CompareKeys, PageSource, TreeReader, TreeScan};
pub use shape::{TreeShape, TreeSummary};
pub use walk::{WalkGuard, WalkRules, WalkedTree, walk_tree};

use crate::v2::PageId;
use crate::{Code, Error, Place};

/// The error for a damaged page; whoever knows the file adds it.
pub(crate) fn damaged(page: PageId, sentence: impl Into<String>) -> Error {
    on_page(Error::new(Code::PageDamaged, sentence), page)
}

/// The same error with its page, should it not name one.
pub(crate) fn on_page(error: Error, page: PageId) -> Error {
    error.map_place(|place| Place {
        page: place.page.or(Some(page.0)),
        ..place
    })
}
