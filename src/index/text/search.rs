//! Ranked search, as LauraDB ranks: BM25 with k1 = 1.5 and b = 0.75.

use super::analyzer::Analyzer;
use super::check::{compare_terms, head_of};
use super::record::stored_term;
use super::whole::{LastDocument, LongTerms, StoredAlike};
use crate::Result;
use crate::index::TextTotals;
use crate::v2::btree::{PageSource, StoredKey, StoredKeyRef, TreeIds, TreeReader};
use crate::v2::postings::{Posting, PostingReader, TermHead};
use crate::v2::{DocumentAddress, PageId};
use std::collections::HashMap;

const K1: f64 = 1.5;
const B: f64 = 0.75;

/// Searches one text index.
pub struct TextReader<'a, S: ?Sized> {
    source: &'a S,
    tree: TreeReader<'a, S>,
    ids: TreeIds,
    totals: TextTotals,
    long_terms: &'a dyn LongTerms,
}

impl<'a, S: PageSource + ?Sized> TextReader<'a, S> {
    /// An index by the root of its tree of terms (0 if it is empty) and the totals in its options.
    pub fn new(
        source: &'a S,
        root: PageId,
        ids: TreeIds,
        totals: TextTotals,
        long_terms: &'a dyn LongTerms,
    ) -> Self {
        Self {
            source,
            tree: TreeReader::new(source, root, ids, &compare_terms),
            ids,
            totals,
            long_terms,
        }
    }

    /// Documents that have any term of the query, with their scores: the highest first, equal ones
    /// by address. A term that the query has twice counts twice, as in LauraDB.
    ///
    /// # Errors
    /// A page cannot be read or is damaged.
    pub fn search(&self, query: &str) -> Result<Vec<(DocumentAddress, f64)>> {
        let mut terms = Vec::new();
        Analyzer::default().analyze(query.as_bytes(), |term| {
            terms.push(term.to_vec());
        });
        let mut scores = HashMap::new();
        let mut postings = PostingReader::new(self.source, self.ids.collection_id);
        for term in &terms {
            let Some(head) = self.find(term)? else {
                continue;
            };
            let idf = self.idf(head);
            postings.for_each(head, |posting| {
                *scores.entry(posting.address).or_default() += idf * self.weight(posting);
                Ok(())
            })?;
        }
        let mut found: Vec<(DocumentAddress, f64)> = scores.into_iter().collect();
        found.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
        Ok(found)
    }

    /// The postings of a term, given as the analyzer makes it.
    ///
    /// # Errors
    /// A page cannot be read or is damaged.
    pub fn postings(&self, term: &[u8]) -> Result<Vec<Posting>> {
        let mut found = Vec::new();
        if let Some(head) = self.find(term)? {
            let mut postings = PostingReader::new(self.source, self.ids.collection_id);
            postings.for_each(head, |posting| {
                found.push(*posting);
                Ok(())
            })?;
        }
        Ok(found)
    }

    fn find(&self, term: &[u8]) -> Result<Option<TermHead>> {
        let mut key = StoredKey::default();
        stored_term(term, &mut key);
        if key.truncated {
            return self.find_long(term, &key);
        }
        let mut entries = self.tree.find(key.borrow())?;
        entries.next()?.map(head_of).transpose()
    }

    /// The entries that cannot be told from a stored key that was cut, in order, with their whole
    /// terms.
    pub(crate) fn alike(&self, key: StoredKeyRef<'_>) -> Result<Vec<(TermHead, Vec<u8>)>> {
        let mut entries = self.tree.find(key)?;
        let mut postings = PostingReader::new(self.source, self.ids.collection_id);
        let mut documents = LastDocument::new(self.long_terms);
        let mut alike = StoredAlike::default();
        let mut found = Vec::new();
        while let Some(entry) = entries.next()? {
            if compare_terms(entry.key, key)?.is_some() {
                continue;
            }
            let head = head_of(entry)?;
            let first = postings.first(head)?.address;
            let term = alike.next(entry.key, first, &mut documents)?;
            found.push((head, term.to_vec()));
        }
        Ok(found)
    }

    /// The entries that agree in what is stored, in order, until one is for this very term.
    fn find_long(&self, term: &[u8], key: &StoredKey) -> Result<Option<TermHead>> {
        let mut entries = self.tree.find(key.borrow())?;
        let mut postings = PostingReader::new(self.source, self.ids.collection_id);
        let mut documents = LastDocument::new(self.long_terms);
        let mut alike = StoredAlike::default();
        while let Some(entry) = entries.next()? {
            if entry.key != key.borrow() {
                continue;
            }
            let head = head_of(entry)?;
            let first = postings.first(head)?.address;
            if alike.next(entry.key, first, &mut documents)? == term {
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "no collection has 2^53 documents"
    )]
    fn idf(&self, head: TermHead) -> f64 {
        let documents = self.totals.documents as f64;
        let frequency = f64::from(head.document_frequency);
        ((documents - frequency + 0.5) / (frequency + 0.5) + 1.0).ln()
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "scores need no more than 53 bits of the average"
    )]
    fn weight(&self, posting: &Posting) -> f64 {
        let average = self.totals.length as f64 / self.totals.documents.max(1) as f64;
        let average = if average == 0.0 { 1.0 } else { average };
        let length = 1.0 - B + B * (f64::from(posting.field_length) / average);
        let frequency = f64::from(posting.term_frequency);
        frequency * (K1 + 1.0) / (frequency + K1 * length)
    }
}
