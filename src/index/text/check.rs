//! Checking a freshly built text index in file order.
//!
//! The posting pages come first and are checked for their structure. As the tree's leaves come, the
//! postings of each term are read once more, which is a second sequential pass over them: terms
//! and postings are in one order, but for long terms that begin alike. Chunks are reached exactly
//! once each if those that terms lead to and those in the pages have the same sum.

use super::build::TextIndexSummary;
use super::record::STORED_TERM_BYTES;
use super::whole::{LastDocument, LongTerms, StoredAlike};
use crate::hash::{xxh3_64_with_seed, xxh3_128_with_seed};
use crate::index::EntrySum;
use crate::index::key::{KeyType, compare_stored};
use crate::v2::btree::{
    LeafEntry, PageSource, StoredKeyRef, TreeChecker, TreeIds, TreeShape, TreeVisitor, Values,
};
use crate::v2::postings::{ChunkSum, Posting, PostingChecker, PostingReader, PostingRun, TermHead};
use crate::v2::{PageBytes, PageId};
use crate::{Code, Error, Result};
use std::cmp::Ordering;

/// The hash of a posting, for comparing an index with its documents.
#[must_use]
pub fn posting_hash(term: &[u8], collection_id: u32, posting: &Posting) -> u128 {
    let start = term.get(..STORED_TERM_BYTES).unwrap_or(term);
    let length = u16::try_from(term.len()).unwrap_or(u16::MAX);
    hash(term_hash(start, length), collection_id, posting)
}

/// The hash of a posting of a term as the tree stores it; `None` if the key is no term.
#[must_use]
pub fn stored_posting_hash(
    key: StoredKeyRef<'_>,
    collection_id: u32,
    posting: &Posting,
) -> Option<u128> {
    let (length, start) = key.bytes.split_first_chunk::<2>()?;
    let term = term_hash(start, u16::from_le_bytes(*length));
    let is_term = key.key_type == KeyType::String as u8;
    is_term.then(|| hash(term, collection_id, posting))
}

/// Of a term's bytes as far as they are stored.
fn term_hash(start: &[u8], length: u16) -> u64 {
    xxh3_64_with_seed(start, length.into())
}

fn hash(term: u64, collection_id: u32, posting: &Posting) -> u128 {
    xxh3_128_with_seed(&posting.encode(collection_id), term)
}

/// Checks one text index.
pub struct TextIndexChecker<'a, S: ?Sized> {
    /// Until the tree begins.
    postings: Option<PostingChecker>,
    found: PostingRun,
    /// The tree's first page.
    tree_page: PageId,
    next_page: PageId,
    tree: TreeChecker,
    terms: Terms<'a, S>,
    chunks: ChunkSum,
}

impl<'a, S: PageSource + ?Sized> TextIndexChecker<'a, S> {
    /// Checks an index whose pages begin at `first_page`, 0 if it has none, and of whose tree of
    /// terms the metadata says `tree`. `source` reads the same pages, `long_terms` the documents.
    ///
    /// # Errors
    /// [`Code::CatalogDamaged`] where no tree can have these counts.
    pub fn new(
        first_page: PageId,
        tree: TreeShape,
        ids: TreeIds,
        source: &'a S,
        long_terms: &'a dyn LongTerms,
    ) -> Result<Self> {
        Ok(Self {
            postings: Some(PostingChecker::new(ids)),
            found: PostingRun::default(),
            tree_page: tree.first_page().unwrap_or_default(),
            next_page: first_page,
            tree: TreeChecker::new(tree, ids, Values::Opaque)?,
            terms: Terms::new(ids, source, long_terms),
            chunks: ChunkSum::default(),
        })
    }

    /// Checks the next page, whose own header (id, type, checksum) has been verified.
    ///
    /// # Errors
    /// The page is not the next one of a sound index.
    pub fn page(&mut self, id: PageId, page: &PageBytes) -> Result<()> {
        if id != self.next_page || id == PageId(0) {
            let sentence = format!("page {id} of a text index came, {} was due", self.next_page);
            return Err(Error::new(Code::VerifyFailed, sentence));
        }
        self.next_page = PageId(id.0.saturating_add(1));
        if id < self.tree_page
            && let Some(postings) = &mut self.postings
        {
            return postings.page(id, page);
        }
        self.end_postings()?;
        self.tree.page(id, page, &mut self.terms)
    }

    fn end_postings(&mut self) -> Result<()> {
        if let Some(postings) = self.postings.take() {
            (self.found, self.chunks) = postings.finish()?;
        }
        Ok(())
    }

    /// Ends the check; gives what was found, and the sum of [`posting_hash`] over all postings.
    ///
    /// # Errors
    /// The index is not sound, or not the one that the metadata describes.
    pub fn finish(mut self) -> Result<(TextIndexSummary, EntrySum)> {
        self.end_postings()?;
        let tree = self.tree.finish()?;
        if self.terms.chunks != self.chunks {
            let sentence = "terms and posting chunks do not match: \
                            some chunk belongs to no term, or to two";
            return Err(Error::new(Code::VerifyFailed, sentence));
        }
        let postings = self.found;
        Ok((TextIndexSummary { postings, tree }, self.terms.sum))
    }
}

/// The leaves' entries and their postings.
struct Terms<'a, S: ?Sized> {
    collection_id: u32,
    postings: PostingReader<'a, S>,
    /// Chunks that terms led to, each time they did.
    chunks: ChunkSum,
    sum: EntrySum,
    documents: LastDocument<'a>,
    /// Entries of one stored form so far.
    alike: StoredAlike,
}

impl<'a, S: PageSource + ?Sized> Terms<'a, S> {
    fn new(ids: TreeIds, source: &'a S, long_terms: &'a dyn LongTerms) -> Self {
        Self {
            collection_id: ids.collection_id,
            postings: PostingReader::new(source, ids.collection_id),
            chunks: ChunkSum::default(),
            sum: EntrySum::default(),
            documents: LastDocument::new(long_terms),
            alike: StoredAlike::default(),
        }
    }

    /// Finds the whole term of an entry that shares its beginning with a neighbour, and fails if it
    /// does not come behind that of the one before.
    fn whole_term(&mut self, entry: LeafEntry<'_>) -> Result<()> {
        let first = self.postings.first(head_of(entry)?)?.address;
        self.alike.next(entry.key, first, &mut self.documents)?;
        Ok(())
    }
}

/// The value of an entry in the tree of terms.
pub(super) fn head_of(entry: LeafEntry<'_>) -> Result<TermHead> {
    TermHead::decode(entry.value).ok_or_else(|| {
        let sentence = format!("the value of term {} points at no postings", entry.key);
        Error::new(Code::PageDamaged, sentence)
    })
}

/// How stored terms compare.
pub(crate) fn compare_terms(
    left: StoredKeyRef<'_>,
    right: StoredKeyRef<'_>,
) -> Result<Option<Ordering>> {
    compare_stored(left, right)
        .map_err(|error| Error::new(Code::PageDamaged, "a term does not decode").because(error))
}

impl<S: PageSource + ?Sized> TreeVisitor for Terms<'_, S> {
    fn compare(
        &mut self,
        left: StoredKeyRef<'_>,
        right: StoredKeyRef<'_>,
    ) -> Result<Option<Ordering>> {
        let compared = compare_terms(left, right)?;
        if compared.is_some() {
            self.alike.clear();
        }
        Ok(compared)
    }

    fn compare_whole(&mut self, left: LeafEntry<'_>, right: LeafEntry<'_>) -> Result<Ordering> {
        if !self.alike.is_open() {
            self.whole_term(left)?;
        }
        self.whole_term(right)?;
        Ok(Ordering::Less)
    }

    fn entry(&mut self, entry: LeafEntry<'_>) -> Result<()> {
        let bytes = entry.key.bytes.split_first_chunk::<2>();
        let (length, start) = match bytes {
            Some((length, start)) if entry.key.key_type == KeyType::String as u8 => (length, start),
            _ => {
                let sentence = format!("{} is no term", entry.key);
                return Err(Error::new(Code::PageDamaged, sentence));
            }
        };
        let term = term_hash(start, u16::from_le_bytes(*length));
        let head = head_of(entry)?;
        let (collection_id, sum) = (self.collection_id, &mut self.sum);
        self.postings
            .for_each_counted(head, &mut self.chunks, |posting| {
                sum.add(hash(term, collection_id, posting));
                Ok(())
            })
    }
}
