//! Building a text index. An interrupted run begins it anew.

use super::share::Share;
use super::{BuiltTree, ENTRIES_AT_ONCE, IndexBuilder, separators};
use crate::coordinator::keys::SortedIndex;
use crate::index::key::key_json;
use crate::index::sort::{NoFullKeys, SortedEntry, take_entries};
use crate::index::text::{StoredLongTerms, TextIndexBuilder};
use crate::v2::btree::bulk::SPILL_LIMIT;
use crate::v2::btree::{StoredKey, TreeIds};
use crate::{Code, Error, Result};
use std::cell::Cell;

impl IndexBuilder<'_, '_, '_> {
    pub(super) fn text_index(
        &mut self,
        sorted: &SortedIndex,
        ids: TreeIds,
        long_terms: &StoredLongTerms,
        mut share: Share,
    ) -> Result<BuiltTree> {
        let mut merge = self.keys.pool.merge(sorted.sorter, &NoFullKeys)?;
        let (work, number) = (self.work, self.finished.len());
        let files = Cell::new(0);
        let spill = || {
            files.set(files.get() + 1);
            work.append_to(&separators(number, files.get()), 0, SPILL_LIMIT)
        };
        let mut builder =
            TextIndexBuilder::new(&mut self.data, ids, SPILL_LIMIT, spill, long_terms);
        let ahead = self.context.options.jobs > 1;
        // The one before with the same term may be of a document that is gone.
        let mut is_term_open = false;
        take_entries(&mut merge, ENTRIES_AT_ONCE, ahead, |entries| {
            while let Some(batch) = entries.next()? {
                for entry in batch.iter() {
                    is_term_open &= entry.same_key_as_previous;
                    let is_dropped = match &mut self.dropped {
                        Some((_, dropped)) => dropped.contains(entry.address)?,
                        None => false,
                    };
                    if !is_dropped {
                        builder.push(&SortedEntry {
                            same_key_as_previous: is_term_open,
                            ..entry
                        })?;
                        is_term_open = true;
                    }
                }
                share.advance(self.context, batch.len() as u64)?;
            }
            Ok(())
        })?;
        let index = builder.finish(|| share.advance(self.context, 0))?;
        share.finish(self.context);
        // No checkpoint goes on from them.
        for file in 1..=files.get() {
            work.remove_file(&separators(number, file))?;
        }
        Ok(BuiltTree::Terms {
            min_key: term_json(index.tree.min_key.as_ref())?,
            max_key: term_json(index.tree.max_key.as_ref())?,
            totals: sorted.counts.totals,
            index,
        })
    }
}

/// A term as statistics have it; nothing of an empty index.
fn term_json(term: Option<&StoredKey>) -> Result<String> {
    let json = term.map(|term| key_json(term.borrow())).transpose();
    let json = json.map_err(|error| {
        let sentence = "a term that was stored does not decode";
        Error::new(Code::Internal, sentence).because(error)
    })?;
    Ok(json.flatten().unwrap_or_default())
}
