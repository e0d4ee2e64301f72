//! What a join has found.

use super::groups::Group;
use serde::{Deserialize, Serialize};

/// Collections that are groups of recovered pages have numbers from here on until they get names.
pub(super) const FIRST_GROUP: u32 = 1 << 31;

/// The whole of `data.db`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PagesTally {
    /// Sound slotted pages; 0 where the file holds none and was left alone.
    pub slotted: u64,
    /// Their live documents.
    pub documents: u64,
    /// Bytes of those.
    pub document_bytes: u64,
    /// Pages whose collection is known.
    pub assigned: u64,
    /// Pages with documents that as many `_id`s give to one collection as to another.
    pub tied: u64,
    /// Pages with documents none of whose `_id`s the snapshot has.
    pub unassigned: u64,
    /// Damaged pages.
    pub damaged: u64,
    /// Live documents that format v2 cannot take.
    pub unusable: u64,
    /// Live documents that only pages have, in pages whose collection is known.
    pub only_known: u64,
    /// The same in other pages.
    pub only_unknown: u64,
    /// Of both, those that were recovered.
    pub recovered: u64,
    /// Bytes of those.
    pub recovered_bytes: u64,
    /// Of both, those whose `_id` is live on a higher page or slot.
    pub dropped: u64,
}

/// One collection's pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionPagesTally {
    /// The collection's number: its position in the snapshot.
    pub number: u32,
    /// Pages that belong to it.
    pub pages: u64,
    /// Live documents there that the snapshot does not have.
    pub only_on_pages: u64,
}

/// Records of one collection in a file of the join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordRange {
    /// The collection's number.
    pub number: u32,
    /// The first record.
    pub first: u64,
    /// How many.
    pub count: u64,
}

/// What a join has found: small, and enough to use its files in a later run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinSummary {
    /// The whole file.
    pub tally: PagesTally,
    /// The collections that have pages, by number.
    pub collections: Vec<CollectionPagesTally>,
    /// Copies of the snapshot's documents, by collection.
    pub candidates: Vec<RecordRange>,
    /// Recovered documents, by collection.
    pub recovered: Vec<RecordRange>,
    /// Older copies of recovered documents, by collection.
    pub dropped: Vec<RecordRange>,
    /// Groups of recovered pages whose collection is not known, by lowest page.
    pub groups: Vec<Group>,
    /// The numbers of the collections that the groups become.
    pub group_numbers: Vec<u32>,
}

impl JoinSummary {
    /// Gives the groups, in order, the numbers of the collections that they become.
    pub fn number_groups(&mut self, numbers: Vec<u32>) {
        for range in self.recovered.iter_mut().chain(&mut self.dropped) {
            let group = range.number.checked_sub(FIRST_GROUP);
            if let Some(number) = group.and_then(|group| numbers.get(group as usize)) {
                range.number = *number;
            }
        }
        self.group_numbers = numbers;
    }

    /// There are documents, or groups of them, that only pages have and that were asked for.
    #[must_use]
    pub fn has_recovered(&self) -> bool {
        self.tally.recovered > 0 || !self.groups.is_empty()
    }

    /// Older copies of recovered documents of a collection.
    #[must_use]
    pub fn dropped_in(&self, number: u32) -> u64 {
        count_of(&self.dropped, number)
    }

    /// Recovered documents of a collection.
    #[must_use]
    pub fn recovered_in(&self, number: u32) -> u64 {
        count_of(&self.recovered, number)
    }
}

fn count_of(ranges: &[RecordRange], number: u32) -> u64 {
    let ranges = ranges.iter().filter(|range| range.number == number);
    ranges.map(|range| range.count).sum()
}

/// Adds one to the last range, which it begins if it is of another collection.
pub(super) fn count_record(ranges: &mut Vec<RecordRange>, number: u32, position: u64) {
    match ranges.last_mut() {
        Some(range) if range.number == number => {
            range.count = range.count.saturating_add(1);
        }
        _ => ranges.push(RecordRange {
            number,
            first: position,
            count: 1,
        }),
    }
}
