//! Which collection each page belongs to: the one that most of its `_id`s are of.

use super::Taken;
use super::join::{JoinInput, JoinProgress, broken};
use super::sorter::Sorts;
use super::summary::CollectionPagesTally;
use super::votes::{Count, cast_votes};
use crate::Result;
use crate::index::sort::SorterId;
use crate::v2::PageId;
use crate::v2::page::PAGE_SIZE;
use std::collections::HashMap;

/// Ties that are told apart; pages of any further ones count as tied with everything.
const MOST_TIES: usize = 4096;

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
    /// Of those, the ones that a collection that is taken may have.
    pub(super) tied_taken: u64,
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
        let sets = cast_votes(sorts, ids, votes, input.memory, progress)?;
        let pages = input.data.size().div_ceil(PAGE_SIZE as u64);
        let mut owners = Self {
            table: vec![UNKNOWN; usize::try_from(pages).unwrap_or_default()],
            ties: Vec::new(),
            assigned: 0,
            tied: 0,
            tied_taken: 0,
            pages: HashMap::new(),
        };
        let mut known_ties = HashMap::new();
        let mut models = HashMap::new();
        let mut count = Count::new(collections, &sets);
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
                match count.only_set() {
                    // Pages of such a set alone come by the thousand.
                    Some(set) => {
                        let model = *models.entry(set).or_insert(ended);
                        owners.settle_as(ended, model, &mut count, &input.taken, &mut known_ties);
                    }
                    None => owners.settle(ended, count.first(), &input.taken, &mut known_ties),
                }
            }
            open = page;
            match vote {
                Some(vote) => count.vote(vote.payload),
                None => return Ok(owners),
            }
        }
    }

    /// Decides on a page whose votes are as those of `model`, which may be itself.
    fn settle_as(
        &mut self,
        page: u32,
        model: u32,
        count: &mut Count<'_>,
        taken: &Taken,
        known_ties: &mut HashMap<Vec<u32>, u32>,
    ) {
        let known = self.table.get(model as usize).copied();
        let Some(tie) = known.filter(|_| model != page) else {
            return self.settle(page, count.first(), taken, known_ties);
        };
        count.clear();
        self.tied = self.tied.saturating_add(1);
        let numbers = match self.of(PageId(model)) {
            Owner::Tied(numbers) if !numbers.is_empty() => numbers,
            _ => &[],
        };
        let is_taken = numbers.is_empty() || numbers.iter().any(|number| taken.collection(*number));
        self.tied_taken = self.tied_taken.saturating_add(u64::from(is_taken));
        if let Some(entry) = self.table.get_mut(page as usize) {
            *entry = tie;
        }
    }

    /// Decides on a page, whose votes are for these above all others.
    fn settle(
        &mut self,
        page: u32,
        first: Vec<u32>,
        taken: &Taken,
        known_ties: &mut HashMap<Vec<u32>, u32>,
    ) {
        let owner = match first.as_slice() {
            [] => return,
            [number] => {
                self.assigned = self.assigned.saturating_add(1);
                let pages = self.pages.entry(*number).or_default();
                *pages = pages.saturating_add(1);
                *number
            }
            several => {
                self.tied = self.tied.saturating_add(1);
                let is_taken = several.iter().any(|number| taken.collection(*number));
                self.tied_taken = self.tied_taken.saturating_add(u64::from(is_taken));
                self.tie(first, known_ties)
            }
        };
        if let Some(entry) = self.table.get_mut(page as usize) {
            *entry = owner;
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
        tie.saturating_sub(1)
    }

    pub(super) fn of(&self, page: PageId) -> Owner<'_> {
        match self.table.get(page.0 as usize).copied() {
            None | Some(UNKNOWN) => Owner::Unknown,
            Some(tie) if tie >= FIRST_TIE => {
                let position = tie.saturating_sub(FIRST_TIE) as usize;
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
