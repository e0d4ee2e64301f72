//! Long terms, whole: the pages hold only their beginnings.
//!
//! Several terms can have one stored form, if they agree in their first 1022 bytes and in length.
//! Their entries stand side by side in the tree, in the order of the whole terms. Which term an
//! entry is for, its first document tells: of the document's terms with this stored form, it is the
//! first that comes behind the term of the entry before. Those up to that have entries already.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::record::{LongTermPlace, stored_term};
use crate::v2::DocumentAddress;
use crate::v2::btree::{StoredKey, StoredKeyRef};
use crate::{Code, Error, Result};

/// Reads the long terms of documents again.
pub trait LongTerms: Sync {
    /// Puts all terms over 990 bytes of the document at `address` into `terms`, each once, in the
    /// order of their bytes: [`TextExtractor::long_terms`](super::TextExtractor::long_terms).
    ///
    /// # Errors
    /// The document cannot be read.
    fn long_terms(&self, address: DocumentAddress, terms: &mut Vec<Vec<u8>>) -> Result<()>;
}

/// For indexes in which no two long terms begin alike; an error where they do.
#[derive(Clone, Copy, Debug)]
pub struct NoLongTerms;

impl LongTerms for NoLongTerms {
    fn long_terms(&self, _: DocumentAddress, _: &mut Vec<Vec<u8>>) -> Result<()> {
        let sentence = "a term of over 990 bytes needs its document, which is not at hand";
        Err(Error::new(Code::Internal, sentence))
    }
}

/// The long terms of the document that was asked for last.
pub(super) struct LastDocument<'a> {
    source: &'a dyn LongTerms,
    address: Option<DocumentAddress>,
    terms: Vec<Vec<u8>>,
}

impl<'a> LastDocument<'a> {
    pub(super) fn new(source: &'a dyn LongTerms) -> Self {
        Self {
            source,
            address: None,
            terms: Vec::new(),
        }
    }

    fn terms(&mut self, address: DocumentAddress) -> Result<&[Vec<u8>]> {
        if self.address != Some(address) {
            self.address = None;
            self.source.long_terms(address, &mut self.terms)?;
            self.address = Some(address);
        }
        Ok(&self.terms)
    }

    pub(super) fn term(&mut self, place: LongTermPlace) -> Result<&[u8]> {
        let terms = self.terms(place.address)?;
        let term = usize::try_from(place.rank)
            .ok()
            .and_then(|rank| terms.get(rank));
        term.map(Vec::as_slice).ok_or_else(|| {
            let sentence = "a document has lost a term since it was sorted";
            Error::new(Code::Internal, sentence)
        })
    }
}

/// Neighbouring entries of one stored form, as far as they have been met.
#[derive(Default)]
pub(super) struct StoredAlike {
    /// The whole term of the last of them.
    last: Option<Vec<u8>>,
}

impl StoredAlike {
    /// True if the whole term of the entry before is known.
    pub(super) fn is_open(&self) -> bool {
        self.last.is_some()
    }

    /// Forgets the entries: others begin.
    pub(super) fn clear(&mut self) {
        self.last = None;
    }

    /// The whole term of the next entry, `first` being its first document: entries are in the order
    /// of their terms, so it is the document's first one behind that of the entry before.
    ///
    /// # Errors
    /// [`Code::VerifyFailed`] if there is none; the document cannot be read.
    pub(super) fn next(
        &mut self,
        key: StoredKeyRef<'_>,
        first: DocumentAddress,
        documents: &mut LastDocument<'_>,
    ) -> Result<&[u8]> {
        let last = self.last.as_deref();
        let mut stored = StoredKey::default();
        let mut alike = documents.terms(first)?.iter().filter(|term| {
            stored_term(term, &mut stored);
            stored.borrow() == key
        });
        let next = alike.find(|term| last.is_none_or(|last| term.as_slice() > last));
        let next = next.ok_or_else(|| {
            let sentence = "a document in the text index has no such term, or the term of an \
                            entry does not come behind that of the one before";
            Error::new(Code::VerifyFailed, sentence)
        })?;
        Ok(self.last.insert(next.clone()))
    }
}
