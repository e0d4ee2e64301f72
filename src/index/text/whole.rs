//! Long terms, whole: the pages hold only their beginnings.
//!
//! Several terms can have one stored form, if they agree in their first 1022 bytes and in length.
//! Their entries stand side by side in the tree, in the order of the whole terms. Which term an
//! entry is for, its documents tell: a document that has n of these terms is in n of the entries,
//! in the same order. So the k-th entry that has a document is for the document's k-th term.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::record::{LongTermPlace, stored_term};
use crate::v2::DocumentAddress;
use crate::v2::btree::{StoredKey, StoredKeyRef};
use crate::{Code, Error, Result};
use std::collections::HashMap;

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
    /// How many of the entries have a document.
    seen: HashMap<(DocumentAddress, u16), u32>,
}

impl StoredAlike {
    /// Forgets the entries: others begin.
    pub(super) fn clear(&mut self) {
        self.seen.clear();
    }

    /// Notes that an entry with this stored form has a document.
    pub(super) fn add(&mut self, key: StoredKeyRef<'_>, address: DocumentAddress) {
        let seen = self.seen.entry((address, length(key))).or_default();
        *seen = seen.saturating_add(1);
    }

    /// The whole term of an entry that is not noted yet, `first` being its first document.
    pub(super) fn whole(
        &self,
        key: StoredKeyRef<'_>,
        first: DocumentAddress,
        documents: &mut LastDocument<'_>,
    ) -> Result<Vec<u8>> {
        let before = self.seen.get(&(first, length(key))).copied();
        let mut stored = StoredKey::default();
        let mut alike = documents.terms(first)?.iter().filter(|term| {
            stored_term(term, &mut stored);
            stored.borrow() == key
        });
        let before = usize::try_from(before.unwrap_or_default()).unwrap_or(usize::MAX);
        alike.nth(before).cloned().ok_or_else(|| {
            let sentence = "a document in the text index has no such term";
            Error::new(Code::VerifyFailed, sentence)
        })
    }
}

/// Stored forms that cannot be told apart by their bytes may still differ in length.
fn length(key: StoredKeyRef<'_>) -> u16 {
    let length = key.bytes.first_chunk::<2>();
    length.map_or(0, |length| u16::from_le_bytes(*length))
}
