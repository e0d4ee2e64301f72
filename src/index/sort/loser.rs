//! Merging runs with a tree of losers: one comparison per level and record.

use super::order::{prefix, prefix_is_all};
use super::run::RunReader;
use crate::Result;
use crate::index::key::Record;

/// What stands for the [`prefix`] of an exhausted run's head; it is greater than any.
const EXHAUSTED: u128 = u128::MAX;

/// Several runs, of which the one with the smallest head is known.
#[derive(Debug)]
pub(super) struct LoserTree {
    readers: Vec<RunReader>,
    /// What is compared of the runs' heads before the records themselves.
    heads: Vec<u128>,
    /// The loser of each inner node's match; place 0 has the winner of all.
    losers: Vec<usize>,
    /// What all keys begin with, in bytes.
    common: usize,
}

impl LoserTree {
    pub(super) fn new(readers: Vec<RunReader>, common: usize) -> Self {
        let heads = readers.iter().map(|reader| head(reader, common)).collect();
        let mut tree = Self {
            losers: vec![0; readers.len().max(1)],
            readers,
            heads,
            common,
        };
        tree.build();
        tree
    }

    /// Node n has the children 2n and 2n+1; nodes from `readers.len()` on are the runs.
    fn build(&mut self) {
        let count = self.readers.len();
        let mut winners = vec![0; 2 * count];
        for node in (1..2 * count).rev() {
            let winner = if node >= count {
                node - count
            } else {
                let left = winners.get(2 * node).copied().unwrap_or_default();
                let right = winners.get(2 * node + 1).copied().unwrap_or_default();
                let (winner, loser) = if self.is_less(right, left) {
                    (right, left)
                } else {
                    (left, right)
                };
                self.set_loser(node, loser);
                winner
            };
            if let Some(place) = winners.get_mut(node) {
                *place = winner;
            }
        }
        self.set_loser(0, winners.get(1).copied().unwrap_or_default());
    }

    fn set_loser(&mut self, node: usize, loser: usize) {
        if let Some(place) = self.losers.get_mut(node) {
            *place = loser;
        }
    }

    #[inline]
    fn is_less(&self, left: usize, right: usize) -> bool {
        let (Some(&left_head), Some(&right_head)) = (self.heads.get(left), self.heads.get(right))
        else {
            return left < right;
        };
        if left_head == right_head {
            return self.is_less_record(left, right, left_head);
        }
        left_head < right_head
    }

    fn is_less_record(&self, left: usize, right: usize, head: u128) -> bool {
        let record = |run: usize| self.readers.get(run).and_then(RunReader::head);
        let (Some(a), Some(b)) = (record(left), record(right)) else {
            return left < right;
        };
        let keys = if prefix_is_all(head) {
            std::cmp::Ordering::Equal
        } else {
            a.normal.cmp(b.normal)
        };
        keys.then(a.address.cmp(&b.address)).is_lt()
    }

    fn winner(&self) -> Option<&RunReader> {
        self.readers.get(*self.losers.first()?)
    }

    /// The smallest record, or `None` when all runs are exhausted.
    #[inline]
    pub(super) fn head(&self) -> Option<Record<'_>> {
        self.winner()?.head()
    }

    /// The smallest record's bytes, empty when all runs are exhausted.
    pub(super) fn head_bytes(&self) -> &[u8] {
        self.winner().map(RunReader::head_bytes).unwrap_or_default()
    }

    /// The smallest record's bytes, perhaps with others behind them.
    #[inline]
    pub(super) fn bytes_from_head(&self) -> &[u8] {
        self.winner()
            .map(RunReader::bytes_from_head)
            .unwrap_or_default()
    }

    /// The [`prefix`] of the smallest record's key.
    #[inline]
    pub(super) fn head_prefix(&self) -> u128 {
        let winner = self.losers.first().and_then(|run| self.heads.get(*run));
        winner.copied().unwrap_or(EXHAUSTED)
    }

    /// That of another one.
    pub(super) fn prefix_of(&self, normal: &[u8]) -> u128 {
        prefix(normal, self.common)
    }

    /// Goes past the smallest record.
    #[inline]
    pub(super) fn advance(&mut self) -> Result<()> {
        let Some(&run) = self.losers.first() else {
            return Ok(());
        };
        let Some(reader) = self.readers.get_mut(run) else {
            return Ok(());
        };
        reader.advance()?;
        let next = head(reader, self.common);
        if let Some(place) = self.heads.get_mut(run) {
            *place = next;
        }
        self.replay(run);
        Ok(())
    }

    #[inline]
    fn replay(&mut self, run: usize) {
        let mut winner = run;
        let mut node = (run + self.readers.len()) / 2;
        while node > 0 {
            let Some(&loser) = self.losers.get(node) else {
                break;
            };
            if self.is_less(loser, winner) {
                self.set_loser(node, winner);
                winner = loser;
            }
            node /= 2;
        }
        self.set_loser(0, winner);
    }

    /// Where each run is to be read on, `taken` being whether the head has been used already.
    pub(super) fn offsets(&self, taken: bool) -> Vec<u64> {
        let winner = self.losers.first().copied();
        let offset = |(run, reader): (usize, &RunReader)| {
            let used = taken && winner == Some(run);
            reader.head_offset() + if used { reader.head_len() as u64 } else { 0 }
        };
        self.readers.iter().enumerate().map(offset).collect()
    }
}

#[inline]
fn head(reader: &RunReader, common: usize) -> u128 {
    let record = reader.head();
    record.map_or(EXHAUSTED, |record| prefix(record.normal, common))
}
