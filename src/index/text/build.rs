//! Building a text index from sorted terms.
//!
//! ```text
//! pages = posting page* | tree of terms: leaves, levels, root      one run, in this order
//! ```
//!
//! The tree's values point at postings, so it comes after all of them; until then its entries wait
//! in a spill. Postings are in the order of the sort records, which is that of the terms but for
//! long ones that begin alike; the tree is in the order of the whole terms.

use super::record::{LongTermPlace, TermRecord};
use super::spill::{Files, TermSpill};
use super::whole::{LastDocument, LongTerms};
use crate::files::AppendWriter;
use crate::index::sort::SortedEntry;
use crate::v2::PageId;
use crate::v2::btree::{BulkLoader, PageSink, StoredKey, TreeIds, TreeSummary};
use crate::v2::postings::{PostingBuilder, PostingRun, TermHead};
use crate::{Code, Error, Result};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// Terms of the tree between two pauses.
const TERMS_AT_ONCE: u64 = 4096;

/// A text index that was built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextIndexSummary {
    /// The posting pages, which come first.
    pub postings: PostingRun,
    /// The tree of terms: root, entries, order and statistics of the index are its.
    pub tree: TreeSummary,
}

impl TextIndexSummary {
    /// The first page of the index, 0 if it is empty.
    #[must_use]
    pub fn first_page(&self) -> PageId {
        self.postings.first_page
    }

    /// Pages of the index, all of them one run.
    #[must_use]
    pub fn page_count(&self) -> u32 {
        self.postings
            .page_count
            .saturating_add(self.tree.page_count)
    }
}

/// A term whose postings are being written.
struct OpenTerm {
    stored: StoredKey,
    /// Of a long term: where to read it, and how it begins.
    long: Option<(LongTermPlace, Vec<u8>)>,
}

/// A long term whose place in the tree is open.
struct Waiting {
    stored: StoredKey,
    place: LongTermPlace,
    head: TermHead,
}

/// Writes a text index from its terms in the order of the sorter.
pub struct TextIndexBuilder<'a, S> {
    postings: PostingBuilder<S>,
    ids: TreeIds,
    spill_limit: usize,
    files: Box<Files<'a>>,
    terms: TermSpill,
    open: Option<OpenTerm>,
    /// Finished long terms that begin with `start`: some forty bytes and a stored key each.
    waiting: Vec<Waiting>,
    start: Vec<u8>,
    long_terms: &'a dyn LongTerms,
}

impl<'a, S: PageSink> TextIndexBuilder<'a, S> {
    /// Begins at the sink's next page.
    ///
    /// `files` makes an empty temporary file for whatever takes more than `spill_limit` bytes: the
    /// terms, and each level of their tree.
    pub fn new(
        sink: S,
        ids: TreeIds,
        spill_limit: usize,
        files: impl FnMut() -> Result<AppendWriter> + 'a,
        long_terms: &'a dyn LongTerms,
    ) -> Self {
        Self {
            postings: PostingBuilder::new(sink, ids),
            ids,
            spill_limit,
            files: Box::new(files),
            terms: TermSpill::new(spill_limit),
            open: None,
            waiting: Vec::new(),
            start: Vec::new(),
            long_terms,
        }
    }

    /// Adds the next entry of the merge; its key was made by [`TermKey`](super::TermKey).
    ///
    /// # Errors
    /// A page or the spill cannot be written.
    pub fn push(&mut self, entry: &SortedEntry<'_>) -> Result<()> {
        let record = TermRecord::parse(entry).ok_or_else(|| {
            let sentence = "a sorted entry of a text index is no term";
            Error::new(Code::Internal, sentence)
        })?;
        if !entry.same_key_as_previous || self.open.is_none() {
            self.end_term()?;
            let mut stored = StoredKey::default();
            record.stored(&mut stored);
            let long = record.long.map(|long| {
                let place = LongTermPlace {
                    address: entry.address,
                    rank: long.rank,
                };
                (place, long.start.to_vec())
            });
            self.open = Some(OpenTerm { stored, long });
        }
        self.postings.push(&record.posting)
    }

    fn end_term(&mut self) -> Result<()> {
        let Some(OpenTerm { stored, long }) = self.open.take() else {
            return Ok(());
        };
        let head = self.postings.end_term()?;
        let start = long.as_ref().map(|(_, start)| start.as_slice());
        if !self.waiting.is_empty() && start != Some(self.start.as_slice()) {
            self.settle()?;
        }
        let Some((place, start)) = long else {
            return self.terms.push(stored.borrow(), head, &mut *self.files);
        };
        self.start = start;
        self.waiting.push(Waiting {
            stored,
            place,
            head,
        });
        Ok(())
    }

    /// Hands long terms that begin alike to the tree, in the order of the whole terms.
    fn settle(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let sorted = sort_by_whole_term(waiting, self.long_terms)?;
        sorted.iter().try_for_each(|term| {
            let key = term.stored.borrow();
            self.terms.push(key, term.head, &mut *self.files)
        })
    }

    /// Writes the last posting page and the tree. `pause` is called every now and then.
    ///
    /// # Errors
    /// A page or a spill cannot be written or read back; those of `pause`, which end the build.
    pub fn finish(mut self, mut pause: impl FnMut() -> Result<()>) -> Result<TextIndexSummary> {
        self.end_term()?;
        self.settle()?;
        let (sink, postings) = self.postings.finish()?;
        let files = self.files;
        let mut loader = BulkLoader::new(sink, self.ids, self.spill_limit, files);
        let mut terms = self.terms.into_reader()?;
        let mut key = StoredKey::default();
        let mut count = 0_u64;
        while let Some(head) = terms.next(&mut key)? {
            loader.push(key.borrow(), &head.encode(), false)?;
            count += 1;
            if count.is_multiple_of(TERMS_AT_ONCE) {
                pause()?;
            }
        }
        let tree = loader.finish()?;
        Ok(TextIndexSummary { postings, tree })
    }
}

/// A merge sort, whose comparisons can fail. Reads documents only for terms that agree in their
/// stored forms, and while it merges, one document of each side is at hand.
fn sort_by_whole_term(mut terms: Vec<Waiting>, long_terms: &dyn LongTerms) -> Result<Vec<Waiting>> {
    let mut documents = (LastDocument::new(long_terms), LastDocument::new(long_terms));
    let mut width = 1;
    while width < terms.len() {
        let mut sorted = Vec::with_capacity(terms.len());
        let mut rest = terms.into_iter();
        while rest.len() > 0 {
            let left: Vec<_> = rest.by_ref().take(width).collect();
            let right: Vec<_> = rest.by_ref().take(width).collect();
            let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
            while let (Some(one), Some(two)) = (left.peek(), right.peek()) {
                let next = match compare(one, two, &mut documents)? {
                    Ordering::Greater => right.next(),
                    _ => left.next(),
                };
                sorted.extend(next);
            }
            sorted.extend(left);
            sorted.extend(right);
        }
        terms = sorted;
        width *= 2;
    }
    Ok(terms)
}

/// Compares two terms that differ.
fn compare(
    left: &Waiting,
    right: &Waiting,
    documents: &mut (LastDocument<'_>, LastDocument<'_>),
) -> Result<Ordering> {
    // Behind the length, which says nothing about the order.
    match left.stored.bytes.get(2..).cmp(&right.stored.bytes.get(2..)) {
        Ordering::Equal => {}
        decided => return Ok(decided),
    }
    // A stored form that is not cut is the whole term, and the beginning of the other.
    match (left.stored.truncated, right.stored.truncated) {
        (false, _) => return Ok(Ordering::Less),
        (_, false) => return Ok(Ordering::Greater),
        _ => {}
    }
    if left.place.address == right.place.address {
        return Ok(left.place.rank.cmp(&right.place.rank));
    }
    let one = documents.0.term(left.place)?;
    let two = documents.1.term(right.place)?;
    Ok(one.cmp(two))
}
