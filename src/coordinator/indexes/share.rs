//! Progress of an index whose sorted entries are not one for each document.

use crate::Result;
use crate::coordinator::context::Context;

/// Counts entries, and reports them as that share of the collection's documents.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    pub(super) documents: u64,
    /// Entries that there will be.
    pub(super) all: u64,
    pub(super) done: u64,
    pub(super) reported: u64,
}

impl Share {
    /// So many more entries are done: reports that, and stops if that is asked for.
    pub(super) fn advance(&mut self, context: &mut Context<'_, '_>, entries: u64) -> Result<()> {
        self.done = self.done.saturating_add(entries).min(self.all);
        let share = u128::from(self.documents) * u128::from(self.done);
        let share = share.checked_div(self.all.into()).unwrap_or_default();
        // At most the documents.
        let share = u64::try_from(share).unwrap_or(self.documents);
        let fresh = share.saturating_sub(self.reported);
        self.reported = share;
        context.advance(fresh, fresh)
    }

    /// The index is done.
    pub(super) fn finish(self, context: &mut Context<'_, '_>) {
        let rest = self.documents.saturating_sub(self.reported);
        context.count(rest, rest);
    }
}
