//! Checking a directory, whatever its format, and comparing two.
//!
//! ```text
//! each side ─ structure: everything is read once ─→ problems, and for each collection
//!                                                   sums of hashes over its documents
//! both ─ the sums differ ─→ (_id, hash of the document) of both sides sorted ─→ what differs
//! ```
//!
//! Sums do not depend on order, so two sides that are equal are read once each and nothing is
//! sorted but hashes of `_id`s, which must be unique. Nothing is written but sort runs, in unlinked
//! files of a directory for temporary files.

mod compare;
mod id;
mod listed;
mod outcome;
mod side;
mod sums;
mod temporary;
mod uniques;
mod v2;

pub use outcome::{
    CollectionComparison, Comparison, DirectoryState, SideOutcome, Validation, Verdict,
};
pub use side::{PublishedFile, PublishedFiles, Side, SideInput};
pub use temporary::TemporaryRuns;

use crate::Result;
use crate::coordinator::Sample;
use crate::index::SkipIndexes;
use crate::options::Verification;
use crate::problems::Problems;
use crate::v1::selection::Selection;

/// Told of bytes and documents that were read, about once per document; its error ends the run.
pub type Advance<'a> = dyn FnMut(u64, u64) -> Result<()> + 'a;

/// What all parts of a validation work with.
pub struct Resources<'a> {
    memory: u64,
    temporary: TemporaryRuns,
    advance: &'a mut Advance<'a>,
    sample: Sample,
}

impl std::fmt::Debug for Resources<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resources")
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}

impl<'a> Resources<'a> {
    /// `memory` bytes are for bitmaps and sorting; of documents outside the sample of
    /// `verification`, only the `_id`s are compared. `advance` is told how far it is.
    #[must_use]
    pub fn new(
        memory: u64,
        temporary: TemporaryRuns,
        verification: Verification,
        advance: &'a mut Advance<'a>,
    ) -> Self {
        Self {
            memory,
            temporary,
            advance,
            sample: Sample::of(verification),
        }
    }

    /// Bytes for keys that wait to be sorted.
    fn sort_budget(&self) -> usize {
        usize::try_from(self.memory / 2).unwrap_or(usize::MAX)
    }
}

/// Checks one side.
///
/// # Errors
/// What is no damage: a failed system call, an interruption, a format that is not known.
pub fn check(input: SideInput, resources: &mut Resources<'_>) -> Result<Side> {
    side::check(input, resources)
}

/// Compares two sides that were checked, by the names that their collections have in v2. `skip`
/// leaves indexes out of the comparison, and `selection` collections, by those names.
///
/// # Errors
/// As [`check`].
pub fn compare(
    left: &Side,
    right: &Side,
    skip: &SkipIndexes,
    selection: &Selection,
    resources: &mut Resources<'_>,
) -> Result<Comparison> {
    let differences = Problems::default();
    let collections = compare::run(left, right, skip, selection, &differences, resources)?;
    Ok(Comparison {
        collections,
        differences: differences.kinds(),
    })
}
