//! The terms of one document.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

/// Longer terms need more than their sort record to be put in order.
pub(crate) const LONGEST_SHORT_TERM: usize = 990;

/// A term and how often it occurs in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term<'t> {
    /// The stem, any bytes.
    pub bytes: &'t [u8],
    /// Occurrences, saturating.
    pub frequency: u16,
    /// Of a long term: its place among the document's long terms, by their bytes, from 0.
    pub(super) rank: u32,
}

impl Term<'_> {
    /// True for terms that a sort record has no room for.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.bytes.len() > LONGEST_SHORT_TERM
    }
}

/// So many tokens are few.
const FEW_TOKENS: usize = 64;

/// All tokens of one document without much text, in buffers that are used again and again.
///
/// ```text
/// bytes = (length u32 | token)+
/// ```
///
/// Four bytes per token beside that.
#[derive(Clone, Debug, Default)]
pub(super) struct DocumentTerms {
    bytes: Vec<u8>,
    /// Where tokens begin in `bytes`; in the order of the tokens once they are sorted.
    starts: Vec<u32>,
}

impl DocumentTerms {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
    }

    pub(super) fn push(&mut self, token: &[u8]) {
        // A document of 16 MiB has neither tokens nor offsets beyond u32.
        let length = u32::try_from(token.len()).unwrap_or(u32::MAX);
        let start = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(token);
        self.starts.push(start);
    }

    pub(super) fn sort(&mut self) {
        let bytes = &self.bytes;
        let starts = &mut self.starts;
        let mut few = [(0, 0); FEW_TOKENS];
        // A few tokens are compared by their first bytes as a number.
        if let Some(few) = few.get_mut(..starts.len()) {
            for (place, start) in few.iter_mut().zip(starts.iter()) {
                *place = (first_bytes(token(bytes, *start)), *start);
            }
            few.sort_unstable_by(|(left, left_start), (right, right_start)| {
                let whole = || token(bytes, *left_start).cmp(token(bytes, *right_start));
                left.cmp(right).then_with(whole)
            });
            for (place, (_, start)) in starts.iter_mut().zip(few) {
                *place = *start;
            }
            return;
        }
        starts.sort_unstable_by(|left, right| token(bytes, *left).cmp(token(bytes, *right)));
    }

    /// Kept tokens of the document.
    pub(super) fn tokens(&self) -> u64 {
        self.starts.len() as u64
    }

    /// The terms, each once, in the order of their bytes.
    pub(super) fn iter(&self) -> impl Iterator<Item = Term<'_>> {
        let mut rank = 0;
        self.starts
            .chunk_by(|left, right| token(&self.bytes, *left) == token(&self.bytes, *right))
            .map(move |group| {
                let bytes = group
                    .first()
                    .map_or(&[][..], |start| token(&self.bytes, *start));
                let term = Term {
                    bytes,
                    frequency: u16::try_from(group.len()).unwrap_or(u16::MAX),
                    rank,
                };
                rank = rank.saturating_add(u32::from(term.is_long()));
                term
            })
    }
}

/// A number that orders like the first bytes do.
#[inline]
fn first_bytes(token: &[u8]) -> u64 {
    if let Some(first) = token.first_chunk() {
        return u64::from_be_bytes(*first);
    }
    let mut first = [0; 8];
    for (place, byte) in first.iter_mut().zip(token) {
        *place = *byte;
    }
    u64::from_be_bytes(first)
}

#[inline]
fn token(bytes: &[u8], start: u32) -> &[u8] {
    let rest = bytes.get(start as usize..).unwrap_or_default();
    let Some((length, rest)) = rest.split_first_chunk() else {
        return &[];
    };
    let length = u32::from_le_bytes(*length) as usize;
    rest.get(..length).unwrap_or_default()
}
