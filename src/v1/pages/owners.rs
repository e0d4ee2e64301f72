//! Which collection each page belongs to: the one that most of its `_id`s are of.

use super::join::{IdEntry, JoinInput, JoinProgress, broken, decode_id};
use super::sorter::Sorts;
use super::summary::CollectionPagesTally;
use crate::Result;
use crate::index::sort::SorterId;
use crate::v2::PageId;
use crate::v2::page::PAGE_SIZE;
use std::collections::HashMap;

/// Ties that are told apart; pages of any further ones count as tied with everything.
const MOST_TIES: usize = 4096;

/// Collections that one vote names; an `_id` that more have votes several times.
const VOTE_COLLECTIONS: usize = 200;

/// Whose a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner<'o> {
    /// A collection's, by number.
    Collection(u32),
    /// One of these has it, nobody knows which; of more ties than are kept, none is listed.
    Tied(&'o [u32]),
    /// None of its `_id`s is in the snapshot.
    Unknown,
}

const UNKNOWN: u32 = u32::MAX;
const FIRST_TIE: u32 = 1 << 31;

/// A number for each page, and the ties that some of them name.
pub(super) struct Owners {
    table: Vec<u32>,
    ties: Vec<Vec<u32>>,
    pub(super) assigned: u64,
    pub(super) tied: u64,
    pages: HashMap<u32, u64>,
}

impl Owners {
    pub(super) fn count(
        input: &JoinInput<'_>,
        sorts: &mut Sorts,
        ids: SorterId,
        collections: usize,
        progress: &mut JoinProgress<'_>,
    ) -> Result<Self> {
        let votes = sorts.add();
        cast_votes(sorts, ids, votes, progress)?;
        let pages = input.data.size().div_ceil(PAGE_SIZE as u64);
        let mut owners = Self {
            table: vec![UNKNOWN; usize::try_from(pages).unwrap_or_default()],
            ties: Vec::new(),
            assigned: 0,
            tied: 0,
            pages: HashMap::new(),
        };
        let mut known_ties = HashMap::new();
        let mut counts = vec![0_u32; collections];
        let mut voted: Vec<u32> = Vec::new();
        let mut open: Option<u32> = None;
        let mut sorted = sorts.merge(votes)?;
        loop {
            let vote = sorted.next()?;
            let page = match &vote {
                Some(vote) => Some(u32::from_be_bytes(
                    *vote.bytes.first_chunk::<4>().ok_or_else(broken)?,
                )),
                None => None,
            };
            if let Some(ended) = open.filter(|open| page != Some(*open)) {
                owners.settle(ended, &mut counts, &mut voted, &mut known_ties);
            }
            open = page;
            let Some(vote) = vote else {
                return Ok(owners);
            };
            for number in vote.payload.as_chunks::<4>().0 {
                let number = u32::from_le_bytes(*number);
                if let Some(count) = counts.get_mut(number as usize) {
                    if *count == 0 {
                        voted.push(number);
                    }
                    *count += 1;
                }
            }
        }
    }

    /// Decides on a page, and forgets its votes.
    fn settle(
        &mut self,
        page: u32,
        counts: &mut [u32],
        voted: &mut Vec<u32>,
        known_ties: &mut HashMap<Vec<u32>, u32>,
    ) {
        let count_of = |number: &u32| counts.get(*number as usize).copied().unwrap_or_default();
        let most = voted.iter().map(count_of).max().unwrap_or_default();
        let mut first: Vec<u32> = voted
            .iter()
            .copied()
            .filter(|number| count_of(number) == most)
            .collect();
        first.sort_unstable();
        let owner = match first.as_slice() {
            [] => return,
            [number] => {
                self.assigned += 1;
                *self.pages.entry(*number).or_default() += 1;
                *number
            }
            _ => {
                self.tied += 1;
                self.tie(first, known_ties)
            }
        };
        if let Some(entry) = self.table.get_mut(page as usize) {
            *entry = owner;
        }
        for number in voted.drain(..) {
            if let Some(count) = counts.get_mut(number as usize) {
                *count = 0;
            }
        }
    }

    fn tie(&mut self, numbers: Vec<u32>, known: &mut HashMap<Vec<u32>, u32>) -> u32 {
        if let Some(tie) = known.get(&numbers) {
            return *tie;
        }
        let position = u32::try_from(self.ties.len()).unwrap_or(u32::MAX);
        let tie = FIRST_TIE | position;
        if self.ties.len() <= MOST_TIES {
            // The last one stands for all that are not kept.
            let is_kept = self.ties.len() < MOST_TIES;
            self.ties
                .push(if is_kept { numbers.clone() } else { Vec::new() });
            known.insert(numbers, tie);
            return tie;
        }
        tie - 1
    }

    pub(super) fn of(&self, page: PageId) -> Owner<'_> {
        match self.table.get(page.0 as usize).copied() {
            None | Some(UNKNOWN) => Owner::Unknown,
            Some(tie) if tie >= FIRST_TIE => {
                let position = (tie - FIRST_TIE) as usize;
                Owner::Tied(self.ties.get(position).map_or(&[], Vec::as_slice))
            }
            Some(number) => Owner::Collection(number),
        }
    }

    pub(super) fn describe(&self, only: &[u64]) -> Vec<CollectionPagesTally> {
        let described = (0_u32..)
            .zip(only)
            .map(|(number, only)| CollectionPagesTally {
                number,
                pages: self.pages.get(&number).copied().unwrap_or_default(),
                only_on_pages: *only,
            });
        described.filter(|tally| tally.pages > 0).collect()
    }
}

/// For every page that has an `_id` of the snapshot: the collections that have it, once however
/// often it is live there.
fn cast_votes(
    sorts: &mut Sorts,
    ids: SorterId,
    votes: SorterId,
    progress: &mut JoinProgress<'_>,
) -> Result<()> {
    let mut sorted = sorts.merge(ids)?;
    let mut hash = None;
    let mut numbers: Vec<u32> = Vec::new();
    let mut payload = Vec::new();
    let mut last_page = None;
    let mut entries = 0_u64;
    while let Some(entry) = sorted.next()? {
        entries += 1;
        if entries.is_multiple_of(65_536) {
            progress(0)?;
        }
        let (found, entry) = decode_id(entry.bytes, entry.address).ok_or_else(broken)?;
        if hash != Some(found) {
            hash = Some(found);
            numbers.clear();
            payload.clear();
            last_page = None;
        }
        match entry {
            IdEntry::Snapshot { number, .. } => {
                if numbers.last() != Some(&number) {
                    numbers.push(number);
                    payload.extend_from_slice(&number.to_le_bytes());
                }
            }
            IdEntry::Page(address) => {
                if last_page.replace(address.page) == Some(address.page) {
                    continue;
                }
                for payload in payload.chunks(4 * VOTE_COLLECTIONS) {
                    let page = address.page.0.to_be_bytes();
                    sorts.push(votes, &page, address, payload)?;
                }
            }
        }
    }
    Ok(())
}
