//! LauraDB's unlisted pages: the slotted pages of a v1 directory's `data.db`.
//!
//! LauraDB's current version writes every document into such pages, and keeps only in memory where.
//! They hold what its backup loses: exact types, the order of fields, documents inside arrays,
//! binary values. Each page belongs to one collection, but does not say to which.
//!
//! ```text
//! data.db ──── scan ──→ (printed _id, page, slot) ─┐
//! snapshot ─── _ids ──→ (printed _id, collection, ordinal) ─┴→ sort ─→ page → collection
//!                                                                └──→ (collection, ordinal) → copies
//! ```
//!
//! [`join`] finds which page belongs to which collection, and for each document of the snapshot the
//! copies of it that lie in its collection's pages. [`Enricher`] then walks through a collection
//! with its documents, and gives the copy that the backup would have written just as it stands in
//! the snapshot. Nothing is kept in memory but a number for each page; everything else is sorted in
//! files.

mod candidates;
mod enrich;
mod gains;
mod groups;
mod join;
mod messages;
mod owners;
mod pairs;
mod recover;
mod scan;
mod scratch;
mod sorter;
mod summary;
mod taken;
#[cfg(test)]
mod tests;
mod votes;

pub use candidates::{JoinFiles, RecoveredDocuments};
pub use enrich::{Copies, Enricher};
pub use gains::{Gains, PageCopy};
pub use groups::{Group, GroupTable, survey};
pub use join::{JoinInput, JoinProgress, Scratch, ScratchFile, join};
pub use messages::{
    RefuseAll, is_superseded, refuse_unnamed, warnings_of_collection, warnings_of_join,
};
pub use scan::{
    LiveDocument, LivePage, PageDamage, PageLook, Unusable, estimate_documents, look, scan,
};
pub use scratch::TempScratch;
pub use summary::{CollectionPagesTally, JoinSummary, PagesTally, RecordRange};
pub use taken::{Taken, recovered_names};

use crate::Result;
use crate::v2::DocumentAddress;

/// Something in `data.db` that cannot be taken, for quarantine.
#[derive(Debug)]
pub struct Rejected<'a> {
    /// Where: of a damaged page the slot is 0.
    pub address: DocumentAddress,
    /// Where `bytes` begin in the file.
    pub offset: u64,
    /// Why.
    pub reason: RejectReason<'a>,
    /// The document, or the whole page.
    pub bytes: &'a [u8],
}

/// Why something in `data.db` cannot be taken.
#[derive(Debug)]
pub enum RejectReason<'a> {
    /// The page is damaged; it counts one.
    DamagedPage(&'a PageDamage),
    /// The same `_id` is live on a higher page or slot, which was taken. This does not count.
    OlderCopy {
        /// The copy that was taken.
        kept: DocumentAddress,
    },
    /// The document cannot be carried over; it counts one.
    Document(&'a Unusable),
}

/// Where everything goes that cannot be taken.
pub trait Rejects {
    /// Takes it, or ends the run.
    ///
    /// # Errors
    /// There may be no more of them.
    fn reject(&mut self, rejected: Rejected<'_>) -> Result<()>;
}
