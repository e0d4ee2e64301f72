//! Votes for the collections that a page may belong to, and how they are counted.
//!
//! ```text
//! vote = collection u32 ...     an `_id` of the page is in these collections
//!      | 1 u8 | set u32         it is in those of this set
//! ```

use super::join::{IdEntry, JoinProgress, broken, decode_id};
use super::sorter::Sorts;
use crate::Result;
use crate::hash::xxh3_128;
use crate::index::sort::SorterId;
use crate::v2::PageId;
use std::collections::HashMap;

/// Collections that one vote lists; those of an `_id` that more have are kept as a set, so that a vote
/// only names it.
const VOTE_COLLECTIONS: usize = 200;

/// Share of the memory that sets may take; what does not fit is listed, in several votes.
pub(super) const SETS_SHARE: u64 = 16;

/// In front of a set's number.
const OF_SET: u8 = 1;

/// Large sets of collections that have an `_id` in common, each kept once.
#[derive(Default)]
pub(super) struct Sets {
    by_hash: HashMap<u128, u32>,
    sets: Vec<Vec<u32>>,
    /// Bytes that are left for more.
    left: u64,
}

impl Sets {
    /// The number of a set, given as the bytes of its collections; `None` if it is not kept.
    fn number(&mut self, collections: &[u8]) -> Option<u32> {
        let hash = xxh3_128(collections);
        if let Some(number) = self.by_hash.get(&hash) {
            return Some(*number);
        }
        self.left = self.left.checked_sub(collections.len() as u64)?;
        let number = u32::try_from(self.sets.len()).ok()?;
        let numbers = collections.as_chunks::<4>().0.iter();
        self.sets
            .push(numbers.map(|number| u32::from_le_bytes(*number)).collect());
        self.by_hash.insert(hash, number);
        Some(number)
    }
}

/// For every page that has an `_id` of the snapshot: the collections that have it, once however
/// often it is live there.
pub(super) fn cast_votes(
    sorts: &mut Sorts,
    ids: SorterId,
    votes: SorterId,
    memory: u64,
    progress: &mut JoinProgress<'_>,
) -> Result<Sets> {
    let mut sets = Sets {
        left: memory / SETS_SHARE,
        ..Sets::default()
    };
    let mut sorted = sorts.merge(ids)?;
    let mut hash = None;
    let mut payload = Vec::new();
    let mut set = None;
    let mut last_page: Option<PageId> = None;
    let mut entries = 0_u64;
    while let Some(entry) = sorted.next()? {
        entries = entries.saturating_add(1);
        if entries.is_multiple_of(65_536) {
            progress(0)?;
        }
        let (found, entry) = decode_id(&entry).ok_or_else(broken)?;
        if hash != Some(found) {
            hash = Some(found);
            payload.clear();
            (set, last_page) = (None, None);
        }
        match entry {
            IdEntry::Snapshot { number, .. } => {
                let number = number.to_le_bytes();
                if !payload.ends_with(&number) {
                    payload.extend_from_slice(&number);
                }
            }
            IdEntry::Equal(_) => {}
            IdEntry::Page { address, .. } => {
                let last = last_page.replace(address.page);
                if last == Some(address.page) {
                    continue;
                }
                if last.is_none() && payload.len() > 4 * VOTE_COLLECTIONS {
                    set = sets.number(&payload);
                }
                let page = address.page.0.to_be_bytes();
                if let Some(set) = set {
                    let [a, b, c, d] = set.to_le_bytes();
                    sorts.push(votes, &page, address, &[OF_SET, a, b, c, d])?;
                    continue;
                }
                for payload in payload.chunks(4 * VOTE_COLLECTIONS) {
                    sorts.push(votes, &page, address, payload)?;
                }
            }
        }
    }
    Ok(sets)
}

/// The votes of one page.
pub(super) struct Count<'s> {
    kept: &'s Sets,
    /// By collection.
    counts: Vec<u32>,
    /// Collections with a vote.
    voted: Vec<u32>,
    /// Votes by sets.
    sets: HashMap<u32, u32>,
}

impl<'s> Count<'s> {
    pub(super) fn new(collections: usize, kept: &'s Sets) -> Self {
        Self {
            kept,
            counts: vec![0; collections],
            voted: Vec::new(),
            sets: HashMap::new(),
        }
    }

    /// Counts one, as [`cast_votes`] has written it.
    pub(super) fn vote(&mut self, vote: &[u8]) {
        if let [OF_SET, set @ ..] = vote
            && let Ok(set) = set.try_into()
        {
            let votes = self.sets.entry(u32::from_le_bytes(set)).or_default();
            *votes = votes.saturating_add(1);
            return;
        }
        for number in vote.as_chunks::<4>().0 {
            self.add(u32::from_le_bytes(*number), 1);
        }
    }

    fn add(&mut self, number: u32, votes: u32) {
        if let Some(count) = self.counts.get_mut(number as usize) {
            if *count == 0 {
                self.voted.push(number);
            }
            *count = count.saturating_add(votes);
        }
    }

    /// The set, if all votes are by one.
    pub(super) fn only_set(&self) -> Option<u32> {
        let mut sets = self.sets.keys();
        match (sets.next(), sets.next(), self.voted.as_slice()) {
            (Some(set), None, []) => Some(*set),
            _ => None,
        }
    }

    /// The collections with the most votes, sorted; forgets all votes.
    pub(super) fn first(&mut self) -> Vec<u32> {
        let kept = self.kept;
        for (set, votes) in std::mem::take(&mut self.sets) {
            for number in kept.sets.get(set as usize).into_iter().flatten() {
                self.add(*number, votes);
            }
        }
        let counts = &self.counts;
        let count_of = |number: &u32| counts.get(*number as usize).copied().unwrap_or_default();
        let most = self.voted.iter().map(count_of).max().unwrap_or_default();
        let first = self.voted.iter().copied();
        let mut first: Vec<u32> = first.filter(|number| count_of(number) == most).collect();
        first.sort_unstable();
        self.clear();
        first
    }

    pub(super) fn clear(&mut self) {
        self.sets.clear();
        for number in self.voted.drain(..) {
            if let Some(count) = self.counts.get_mut(number as usize) {
                *count = 0;
            }
        }
    }
}
