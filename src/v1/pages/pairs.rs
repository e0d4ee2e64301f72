//! The second walk over the sorted `_id`s: which documents of the snapshot have copies on the pages of
//! their collection, and which documents only pages have.

use super::Taken;
use super::join::{
    IdEntry, JoinProgress, broken, decode_id, join_parts, push_leftover, push_newer,
};
use super::owners::{Owner, Owners};
use super::sorter::Sorts;
use super::summary::PagesTally;
use crate::Result;
use crate::index::sort::SorterId;
use crate::v2::DocumentAddress;

/// Documents with the same `_id` that one collection of the snapshot may have; it should have one.
const MOST_TWINS: usize = 16;

/// What is found, and where it goes.
pub(super) struct Pairs<'j> {
    pub(super) owners: &'j Owners,
    pub(super) sorts: &'j mut Sorts,
    pub(super) candidates: SorterId,
    pub(super) leftovers: SorterId,
    /// Documents that only pages have, by collection.
    pub(super) only: Vec<u64>,
    pub(super) recover: bool,
    pub(super) taken: &'j Taken,
    pub(super) tally: &'j mut PagesTally,
}

/// What is known of one printed `_id`.
#[derive(Default)]
struct OneId<'o> {
    hash: Option<[u8; 16]>,
    /// The snapshot's documents, by number and ordinal.
    twins: Vec<(u32, u64)>,
    /// Copies of those that are numbers with another way to be printed, by number of the collection:
    /// the highest.
    numbers: Vec<(u32, DocumentAddress)>,
    /// A tie, and whether all that it names have this `_id`.
    tie: Option<(&'o [u32], bool)>,
}

impl<'o> OneId<'o> {
    fn begin(&mut self, hash: [u8; 16]) {
        if self.hash != Some(hash) {
            self.hash = Some(hash);
            self.twins.clear();
            self.numbers.clear();
            self.tie = None;
        }
    }

    /// They come by number and ordinal.
    fn twin(&mut self, number: u32, ordinal: u64) {
        let first = self.twins.len().saturating_sub(MOST_TWINS);
        let last = self.twins.get(first..).unwrap_or_default();
        if last.iter().filter(|(other, _)| *other == number).count() < MOST_TWINS {
            self.twins.push((number, ordinal));
        }
    }

    fn twins_in(&self, number: u32) -> &[(u32, u64)] {
        let first = self.twins.partition_point(|(other, _)| *other < number);
        let from = self.twins.get(first..).unwrap_or_default();
        let count = from.partition_point(|(other, _)| *other == number);
        from.get(..count).unwrap_or_default()
    }

    /// All collections of a tie have this `_id`: whichever has the page has the document. Pages that
    /// are tied alike come by the thousand, so the last answer is kept.
    fn is_in_all(&mut self, tied: &'o [u32]) -> bool {
        if let Some((_, answer)) = self.tie.filter(|(last, _)| std::ptr::eq(*last, tied)) {
            return answer;
        }
        let has = |number: &u32| !self.twins_in(*number).is_empty();
        let answer = !tied.is_empty() && tied.iter().all(has);
        self.tie = Some((tied, answer));
        answer
    }
}

impl<'j> Pairs<'j> {
    pub(super) fn find(&mut self, ids: SorterId, progress: &mut JoinProgress<'_>) -> Result<()> {
        let mut sorted = self.sorts.merge(ids)?;
        let mut id = OneId::default();
        let mut entries = 0_u64;
        while let Some(entry) = sorted.next()? {
            entries = entries.saturating_add(1);
            if entries.is_multiple_of(65_536) {
                progress(0)?;
            }
            let (hash, entry) = decode_id(&entry).ok_or_else(broken)?;
            id.begin(hash);
            match entry {
                IdEntry::Snapshot { number, ordinal } => id.twin(number, ordinal),
                IdEntry::Page { address, has_equal } => {
                    let owner = self.document(address, &mut id)?;
                    if let Some(number) = owner.filter(|_| has_equal) {
                        id.numbers.retain(|(other, _)| *other != number);
                        id.numbers.push((number, address));
                    }
                }
                IdEntry::Equal(address) => self.equal(address, &id)?,
            }
        }
        Ok(())
    }

    /// A live document; gives the collection of the snapshot that has it.
    fn document(&mut self, address: DocumentAddress, id: &mut OneId<'j>) -> Result<Option<u32>> {
        match self.owners.of(address.page) {
            Owner::Collection(number) if !self.taken.collection(number) => return Ok(None),
            Owner::Collection(number) => {
                let twins = id.twins_in(number);
                for (_, ordinal) in twins {
                    self.candidate(number, *ordinal, address)?;
                }
                if !twins.is_empty() {
                    return Ok(Some(number));
                }
                if let Some(only) = self.only.get_mut(number as usize) {
                    *only = only.saturating_add(1);
                }
                self.tally.only_known = self.tally.only_known.saturating_add(1);
            }
            Owner::Tied(numbers) if id.is_in_all(numbers) => return Ok(None),
            Owner::Tied(_) | Owner::Unknown if !self.taken.any_group() => return Ok(None),
            Owner::Tied(_) | Owner::Unknown => {
                self.tally.only_unknown = self.tally.only_unknown.saturating_add(1);
            }
        }
        if self.recover {
            push_leftover(self.sorts, self.leftovers, address)?;
        }
        Ok(None)
    }

    /// A number on a page that would be this `_id` if it were printed the other way. Where a copy of
    /// the snapshot's document is such a number as well, both are the same.
    fn equal(&mut self, address: DocumentAddress, id: &OneId<'_>) -> Result<()> {
        let Owner::Collection(number) = self.owners.of(address.page) else {
            return Ok(());
        };
        let mut numbers = id.numbers.iter();
        match numbers.find(|(other, _)| *other == number) {
            Some((_, newer)) if self.recover => {
                push_newer(self.sorts, self.leftovers, address, *newer)
            }
            _ => Ok(()),
        }
    }

    /// Notes a copy so that of several the highest comes first.
    fn candidate(&mut self, number: u32, ordinal: u64, address: DocumentAddress) -> Result<()> {
        let mut key = [0; 18];
        let parts: [&[u8]; 4] = [
            &number.to_be_bytes(),
            &ordinal.to_be_bytes(),
            &(!address.page.0).to_be_bytes(),
            &(!address.slot.0).to_be_bytes(),
        ];
        join_parts(&parts, &mut key);
        self.sorts.push(self.candidates, &key, address, &[])
    }
}
