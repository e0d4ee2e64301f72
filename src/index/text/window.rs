//! The terms of a document with much text, a part of them at a time.
//!
//! All tokens of such a document together could take several times its size. So its text is gone
//! through more than once: each pass keeps the terms that come first behind those of the pass
//! before, as many as there is room for, and counts them whole.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::terms::Term;
use crate::large::large_vec;
use std::cmp::Ordering;

/// Terms and counts of one pass.
pub(super) struct TermWindow {
    /// Bytes that terms and entries may take, if there is more than one.
    limit: usize,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Tokens of the text, in this pass.
    tokens: u64,
    /// Terms up to this one were given out by the passes before.
    after: Option<Vec<u8>>,
    /// Terms behind this one wait for the next pass.
    up_to: Option<Vec<u8>>,
    /// Long terms that were given out.
    long_terms: u32,
}

/// A term in `bytes`, and how often it came.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    length: u32,
    count: u32,
}

impl TermWindow {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            bytes: large_vec(),
            entries: large_vec(),
            tokens: 0,
            after: None,
            up_to: None,
            long_terms: 0,
        }
    }

    /// Takes the next token of the text.
    pub(super) fn push(&mut self, token: &[u8]) {
        self.tokens = self.tokens.saturating_add(1);
        if self.after.as_deref().is_some_and(|after| token <= after) || self.is_late(token) {
            return;
        }
        if self.size().saturating_add(cost(token.len())) > self.limit && !self.entries.is_empty() {
            self.make_room();
            if self.is_late(token) {
                return;
            }
        }
        // A document of 16 MiB has neither tokens nor offsets beyond u32.
        self.entries.push(Entry {
            start: u32::try_from(self.bytes.len()).unwrap_or(u32::MAX),
            length: u32::try_from(token.len()).unwrap_or(u32::MAX),
            count: 1,
        });
        self.bytes.extend_from_slice(token);
    }

    fn is_late(&self, token: &[u8]) -> bool {
        self.up_to.as_deref().is_some_and(|up_to| token > up_to)
    }

    fn size(&self) -> usize {
        let entries = self.entries.len().saturating_mul(size_of::<Entry>());
        self.bytes.len().saturating_add(entries)
    }

    /// Joins equal terms, and leaves the last ones to the next pass if a quarter of the room is not
    /// free then.
    fn make_room(&mut self) {
        self.join();
        let most = self.limit.saturating_sub(self.limit / 4);
        let mut size = 0_usize;
        let kept = self.entries.iter().position(|entry| {
            size = size.saturating_add(cost(entry.length as usize));
            size > most
        });
        if let Some(kept) = kept {
            self.entries.truncate(kept.max(1));
            let last = self.entries.last();
            self.up_to = last.map(|entry| term(&self.bytes, entry).to_vec());
        }
        self.give_back();
    }

    /// Makes one of equal terms; all are in their order then.
    fn join(&mut self) {
        let bytes = &self.bytes;
        let order =
            |left: &Entry, right: &Entry| -> Ordering { term(bytes, left).cmp(term(bytes, right)) };
        self.entries.sort_unstable_by(order);
        self.entries.dedup_by(|next, kept| {
            let is_same = term(bytes, next) == term(bytes, kept);
            if is_same {
                kept.count = kept.count.saturating_add(next.count);
            }
            is_same
        });
    }

    /// Closes the gaps between the bytes of terms.
    fn give_back(&mut self) {
        self.entries.sort_unstable_by_key(|entry| entry.start);
        let mut end = 0_usize;
        for entry in &mut self.entries {
            let start = entry.start as usize;
            let length = entry.length as usize;
            self.bytes
                .copy_within(start..start.saturating_add(length), end);
            entry.start = u32::try_from(end).unwrap_or(u32::MAX);
            end = end.saturating_add(length);
        }
        self.bytes.truncate(end);
    }

    /// The text is at its end: gives the terms of this pass to `each`, with the tokens of the whole
    /// text.
    pub(super) fn give_out<E>(
        &mut self,
        mut each: impl FnMut(Term<'_>, u64) -> Result<(), E>,
    ) -> Result<(), E> {
        self.join();
        for entry in &self.entries {
            let term = Term {
                bytes: term(&self.bytes, entry),
                frequency: u16::try_from(entry.count).unwrap_or(u16::MAX),
                rank: self.long_terms,
            };
            let is_long = u32::from(term.is_long());
            each(term, self.tokens)?;
            self.long_terms = self.long_terms.saturating_add(is_long);
        }
        Ok(())
    }

    /// Begins the next pass; false if there are no more terms.
    pub(super) fn next_pass(&mut self) -> bool {
        self.bytes.clear();
        self.entries.clear();
        self.tokens = 0;
        self.after = self.up_to.take();
        self.after.is_some()
    }
}

fn cost(length: usize) -> usize {
    length.saturating_add(size_of::<Entry>())
}

#[inline]
fn term<'b>(bytes: &'b [u8], entry: &Entry) -> &'b [u8] {
    let rest = bytes.get(entry.start as usize..).unwrap_or_default();
    rest.get(..entry.length as usize).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// All terms with their counts, and the passes that they took.
    fn terms_of(tokens: &[Vec<u8>], limit: usize) -> (Vec<(Vec<u8>, u16)>, usize) {
        let mut window = TermWindow::new(limit);
        let (mut found, mut passes) = (Vec::new(), 0);
        loop {
            passes += 1;
            for token in tokens {
                window.push(token);
                let longest = tokens.iter().map(Vec::len).max().unwrap_or_default();
                assert!(window.size() <= limit.saturating_add(2 * cost(longest)));
            }
            let given = window.give_out(|term, all| {
                assert_eq!(all, tokens.len() as u64);
                found.push((term.bytes.to_vec(), term.frequency));
                Ok::<_, ()>(())
            });
            given.unwrap();
            if !window.next_pass() {
                return (found, passes);
            }
        }
    }

    #[test]
    fn terms_that_repeat_take_one_pass() {
        let tokens: Vec<_> = (0..5000).map(|n| vec![b"abcdefg"[n % 7]; 9]).collect();
        let (found, passes) = terms_of(&tokens, 1000);
        assert_eq!((found.len(), passes), (7, 1));
        assert_eq!(
            found
                .iter()
                .map(|found| usize::from(found.1))
                .sum::<usize>(),
            5000
        );
    }

    #[test]
    fn a_term_larger_than_the_room_stands_alone() {
        let tokens = [
            vec![b'b'; 500],
            vec![b'a'; 500],
            vec![b'b'; 500],
            vec![b'c'; 3],
        ];
        let (found, passes) = terms_of(&tokens, 100);
        assert_eq!(found.len(), 3);
        assert_eq!(found[1], (vec![b'b'; 500], 2));
        assert!(passes > 1);
    }

    proptest! {
        #[test]
        fn every_term_comes_once_and_in_order(
            tokens in proptest::collection::vec("[ab]{0,4}", 0..300),
            limit in 20_usize..2000,
        ) {
            let tokens: Vec<_> = tokens.into_iter().map(String::into_bytes).collect();
            let mut expected = BTreeMap::<_, u16>::new();
            for token in &tokens {
                *expected.entry(token.clone()).or_default() += 1;
            }
            prop_assert_eq!(terms_of(&tokens, limit).0, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
