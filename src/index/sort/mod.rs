//! Sorting the keys of all indexes of a run within one byte budget.
//!
//! Keys gather in memory, per index. When the budget is full (once keys did not fit, and with a
//! second thread, when half of it is), the largest index's keys are sorted and appended to the spill
//! file as a run. In the end each index's runs are merged. Equal keys are
//! in the order of their addresses, so where runs begin and end never shows in the output.
//!
//! A record keeps at most 1024 bytes of a key's normal form. Everything here sorts by that and the
//! address; only the last merge puts groups of longer keys that agree so far into the order of
//! their whole keys, which it reads again through [`FullKeys`].

mod arena;
mod batch;
mod entries;
mod groups;
mod loser;
mod merge;
mod order;
mod pool;
mod run;
mod spill;
#[cfg(test)]
mod tests;

pub use batch::KeyBatch;
pub use entries::{Entries, EntryBatch, take_entries};
pub use merge::{Merge, MergePosition, SortedEntry};
pub use pool::{Covered, PoolState, SortPool, SorterId, SorterState};
pub use run::Run;
pub use spill::SpillFile;

use super::key::{KeyBuffer, KeyError};
use crate::v2::DocumentAddress;
use crate::{Code, Error, Result};

/// Gives whole keys back, for those of which a sort record keeps only the beginning.
pub trait FullKeys: Sync {
    /// Extracts the key of the document at `address` again, whole
    /// ([`KeyExtractor::extract_whole`](super::extract::KeyExtractor::extract_whole)).
    ///
    /// # Errors
    /// The document cannot be read, or has no key any more.
    fn full_key(&self, address: DocumentAddress, key: &mut KeyBuffer) -> Result<()>;
}

/// For sorters none of whose keys is ever cut: those of terms, points, hashes and `_id`s that are
/// shortened.
#[derive(Clone, Copy, Debug)]
pub struct NoFullKeys;

impl FullKeys for NoFullKeys {
    fn full_key(&self, _: DocumentAddress, _: &mut KeyBuffer) -> Result<()> {
        let sentence = "a key was cut that never is so long";
        Err(Error::new(Code::Internal, sentence))
    }
}

fn damaged_record(error: KeyError) -> Error {
    Error::new(Code::Internal, "a sorted key cannot be read back").because(error)
}
