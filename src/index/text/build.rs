//! Building a text index from sorted terms.
//!
//! ```text
//! pages = posting page* | tree of terms: leaves, levels, root      one run, in this order
//! ```
//!
//! The tree's values point at postings, so it comes after all of them; until then its entries wait
//! in a spill. Postings are in the order of the sort records, which is that of the terms but for
//! long ones that begin alike; the tree is in the order of the whole terms.

use super::record::{LongTermPlace, STORED_TERM_BYTES, TermRecord};
use super::spill::{Files, TermSpill};
use super::terms::LONGEST_SHORT_TERM;
use super::waiting::{Waiting, WaitingTerms};
use super::whole::LongTerms;
use crate::files::AppendWriter;
use crate::index::key::KeyType;
use crate::index::sort::SortedEntry;
use crate::v2::PageId;
use crate::v2::btree::{BulkLoader, PageSink, StoredKey, TreeIds, TreeSummary};
use crate::v2::postings::{PostingBuilder, PostingRun};
use crate::{Code, Error, Result};
use serde::{Deserialize, Serialize};

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
    /// Of a long term: where to read it.
    long: Option<LongTermPlace>,
}

/// Writes a text index from its terms in the order of the sorter.
pub struct TextIndexBuilder<'a, S> {
    postings: PostingBuilder<S>,
    ids: TreeIds,
    spill_limit: usize,
    files: Box<Files<'a>>,
    terms: TermSpill,
    open: Option<OpenTerm>,
    /// Finished long terms that begin with `start`.
    waiting: WaitingTerms,
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
            waiting: WaitingTerms::new(spill_limit),
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
            let long = record.long.map(|long| LongTermPlace {
                address: entry.address,
                rank: long.rank,
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
        let parts = long.and_then(|place| Some((place, parts_of(&stored)?)));
        let start = parts.map(|(_, (_, start, _))| start);
        if !self.waiting.is_empty() && start != Some(self.start.as_slice()) {
            self.settle()?;
        }
        let Some((place, (length, start, rest))) = parts else {
            return self.terms.push(stored.borrow(), head, &mut *self.files);
        };
        if self.waiting.is_empty() {
            self.start.clear();
            self.start.extend_from_slice(start);
        }
        let term = Waiting::new(length, rest, place, head);
        self.waiting.push(term, &mut *self.files, self.long_terms)
    }

    /// Hands long terms that begin alike to the tree, in the order of the whole terms.
    fn settle(&mut self) -> Result<()> {
        let (terms, start) = (&mut self.terms, &self.start);
        let mut key = StoredKey {
            key_type: KeyType::String as u8,
            ..StoredKey::default()
        };
        let each = |term: &Waiting, files: &mut Files<'_>| {
            key.bytes.clear();
            key.bytes.extend_from_slice(&term.length.to_le_bytes());
            key.bytes.extend_from_slice(start);
            key.bytes.extend_from_slice(term.rest());
            key.truncated = usize::from(term.length) > STORED_TERM_BYTES;
            terms.push(key.borrow(), term.head, files)
        };
        self.waiting.settle(&mut *self.files, self.long_terms, each)
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

/// The length of a long term, how it begins, and what is stored behind that.
fn parts_of(stored: &StoredKey) -> Option<(u16, &[u8], &[u8])> {
    let (length, bytes) = stored.bytes.split_first_chunk()?;
    let (start, rest) = bytes.split_at_checked(LONGEST_SHORT_TERM)?;
    Some((u16::from_le_bytes(*length), start, rest))
}
