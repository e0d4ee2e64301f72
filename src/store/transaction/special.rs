//! Text and geo indexes, kept right with every write: postings and points are inserted and removed
//! in the pages that the transaction changes, as keys are. So a commit has them whole, and nothing
//! is ever rebuilt.
//!
//! Terms of over 1022 bytes are not stored whole, and documents tell entries of them apart: the k-th
//! entry that has a document is for the k-th of its terms. For this to hold at every step, terms are
//! inserted in their order and removed from the last to the first, while the document is there.

use super::{DiskTransaction, Scope};
use crate::document::bson::RawDocument;
use crate::index::TextTotals;
use crate::index::extract::Extraction;
use crate::index::text::{
    LongTerms, TextExtractor, TextReader, TextScratch, compare_terms, stored_term,
};
use crate::store::documents::read_document;
use crate::store::pager::View;
use crate::store::state::{IndexState, Special};
use crate::v2::btree::edit::{
    EntryOrder, LiveTree, TreeEditor, TreePages, locate, neighbours, survey,
};
use crate::v2::btree::{LeafEntry, PageSource, StoredKey, StoredKeyRef};
use crate::v2::page::PageBytes;
use crate::v2::postings::{ChunkAddress, Posting, PostingEditor, TermHead};
use crate::v2::rtree::{RTreeEditor, Rect, survey_rtree};
use crate::v2::slotted::Room;
use crate::v2::{DocumentAddress, PageId};
use crate::{Code, Error, Result};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

/// What a document has in a text or geo index.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SpecialEntry {
    Text(DocumentPostings),
    Point(Rect),
}

/// A document's terms, in the order of their bytes, and how often it has each.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DocumentPostings {
    terms: Vec<(Vec<u8>, u16)>,
    field_length: u16,
    totals: TextTotals,
}

impl PageSource for DiskTransaction<'_> {
    fn page(&self, id: PageId) -> Result<Box<PageBytes>> {
        Ok(Box::new(*self.index_page(id)?.bytes()))
    }

    fn page_count(&self) -> u32 {
        self.state.page_count
    }
}

/// Long terms of documents as the transaction has them.
struct ViewTerms<'a, V: ?Sized> {
    view: &'a V,
    extractor: &'a TextExtractor,
}

impl<V: View + Sync + ?Sized> LongTerms for ViewTerms<'_, V> {
    fn long_terms(&self, address: DocumentAddress, terms: &mut Vec<Vec<u8>>) -> Result<()> {
        let document = read_document(self.view, address)?;
        self.extractor
            .long_terms(RawDocument::trusted(&document), terms);
        Ok(())
    }
}

/// Finds the entry of a term.
struct SoughtTerm<'t> {
    term: &'t [u8],
    key: StoredKey,
    /// Whole terms of the entries that are stored alike, by their first chunk.
    alike: HashMap<ChunkAddress, Vec<u8>>,
}

impl EntryOrder for SoughtTerm<'_> {
    fn separator(&mut self, key: StoredKeyRef<'_>) -> Result<Option<Ordering>> {
        compare_terms(key, self.key.borrow())
    }

    fn entry(&mut self, entry: &LeafEntry<'_>) -> Result<Ordering> {
        if let Some(order) = compare_terms(entry.key, self.key.borrow())? {
            return Ok(order);
        }
        let head = head_of(entry)?;
        match self.alike.get(&head.first) {
            Some(whole) => Ok(whole.as_slice().cmp(self.term)),
            None => Err(Error::new(
                Code::PageDamaged,
                "an entry of a long term stands apart from those that begin alike",
            )),
        }
    }
}

fn head_of(entry: &LeafEntry<'_>) -> Result<TermHead> {
    TermHead::decode(entry.value).ok_or_else(|| {
        let sentence = format!("the value of term {} points at no postings", entry.key);
        Error::new(Code::PageDamaged, sentence)
    })
}

fn missing() -> Error {
    Error::new(Code::Internal, "there is no such index")
}

impl DiskTransaction<'_> {
    /// Counts a text or geo index once, before its first change; gives its entries.
    pub(super) fn survey_special(&self, index: &IndexState) -> Result<(Special, u64)> {
        let (root, ids) = (index.record.root_page, index.ids());
        let mut special = index.special.clone().ok_or_else(missing)?;
        let entries = match &mut special {
            Special::Text { tree, room, .. } => {
                let mut last_page = PageId(0);
                let found = survey(self, root, ids, &mut |entry| {
                    last_page = last_page.max(head_of(entry)?.first.page);
                    Ok(())
                })?;
                *room = Room::in_page(last_page);
                let entries = found.entry_count;
                *tree = Some(found);
                entries
            }
            Special::Geo { tree, .. } => {
                let found = survey_rtree(self, root, ids)?;
                let entries = found.entry_count;
                *tree = Some(found);
                entries
            }
        };
        Ok((special, entries))
    }

    /// What a document has in the collection's text and geo indexes, by number of the index.
    pub(super) fn special_entries(
        &self,
        number: usize,
        document: RawDocument<'_>,
    ) -> Result<Vec<(usize, SpecialEntry)>> {
        let mut entries = Vec::new();
        for (at, index) in self.collection(number)?.indexes.iter().enumerate() {
            let entry = match &index.special {
                None => None,
                Some(Special::Text { extractor, .. }) => postings_of(extractor, document),
                Some(Special::Geo { extractor, .. }) => {
                    let point = extractor.extract(document).1;
                    point.map(|point| SpecialEntry::Point(Rect::around(point.x, point.y)))
                }
            };
            entries.extend(entry.map(|entry| (at, entry)));
        }
        Ok(entries)
    }

    /// Inserts or removes what a document has, all but what is in `same` as well.
    pub(super) fn change_special(
        &mut self,
        number: usize,
        entries: &[(usize, SpecialEntry)],
        same: &[(usize, SpecialEntry)],
        address: DocumentAddress,
        insert: bool,
    ) -> Result<()> {
        for change in entries.iter().filter(|entry| !same.contains(entry)) {
            let (index, entry) = change;
            // Taken out while it changes, so that pages can be allocated meanwhile.
            let special = self.index_mut(number, *index)?.special.take();
            let mut special = special.ok_or_else(missing)?;
            let changed = match (&mut special, entry) {
                (Special::Text { .. }, SpecialEntry::Text(postings)) => {
                    self.change_text((number, *index), &mut special, postings, address, insert)
                }
                (Special::Geo { tree, .. }, SpecialEntry::Point(bounds)) => {
                    let tree = tree.as_mut().ok_or_else(missing)?;
                    let mut scope = Scope {
                        transaction: self,
                        collection: number,
                    };
                    let mut editor = RTreeEditor::new(&mut scope, tree);
                    match insert {
                        true => editor.insert(*bounds, address),
                        false => editor.remove(*bounds, address),
                    }
                }
                _ => Err(missing()),
            };
            self.index_mut(number, *index)?.special = Some(special);
            changed?;
        }
        Ok(())
    }

    fn index_mut(&mut self, number: usize, index: usize) -> Result<&mut IndexState> {
        let indexes = &mut self.collection_mut(number)?.indexes;
        indexes.get_mut(index).ok_or_else(missing)
    }

    fn change_text(
        &mut self,
        place: (usize, usize),
        special: &mut Special,
        postings: &DocumentPostings,
        address: DocumentAddress,
        insert: bool,
    ) -> Result<()> {
        let posting = |frequency: u16| Posting {
            address,
            term_frequency: frequency,
            field_length: postings.field_length,
        };
        if insert {
            for (term, frequency) in &postings.terms {
                self.change_posting(place, special, term, posting(*frequency), true)?;
            }
        } else {
            for (term, frequency) in postings.terms.iter().rev() {
                self.change_posting(place, special, term, posting(*frequency), false)?;
            }
        }
        if let Special::Text { totals, .. } = special {
            match insert {
                true => *totals += postings.totals,
                false => *totals -= postings.totals,
            }
        }
        Ok(())
    }

    fn sought_term<'t>(
        &self,
        tree: &LiveTree,
        extractor: &TextExtractor,
        term: &'t [u8],
    ) -> Result<SoughtTerm<'t>> {
        let mut sought = SoughtTerm {
            term,
            key: StoredKey::default(),
            alike: HashMap::new(),
        };
        stored_term(term, &mut sought.key);
        if sought.key.truncated {
            let long_terms = ViewTerms {
                view: self,
                extractor,
            };
            let totals = TextTotals::default();
            let reader = TextReader::new(self, tree.root, tree.ids, totals, &long_terms);
            let alike = reader.alike(sought.key.borrow())?.into_iter();
            sought.alike = alike.map(|(head, term)| (head.first, term)).collect();
        }
        Ok(sought)
    }

    /// Inserts or removes one posting, and the term with its first or last one.
    fn change_posting(
        &mut self,
        (number, index): (usize, usize),
        special: &mut Special,
        term: &[u8],
        posting: Posting,
        insert: bool,
    ) -> Result<()> {
        let Special::Text {
            extractor,
            tree,
            room,
            ..
        } = special
        else {
            return Err(missing());
        };
        let tree = tree.as_mut().ok_or_else(missing)?;
        let ids = tree.ids;
        let mut sought = self.sought_term(tree, extractor, term)?;
        let position = locate(&*self, tree.root, ids, &mut sought)?;
        let at = neighbours(&*self, ids, &position)?.1;
        let mut head = None;
        if let Some(entry) = at.as_ref().and_then(|neighbour| neighbour.entry())
            && sought.entry(&entry)? == Ordering::Equal
        {
            head = Some(head_of(&entry)?);
        }
        let mut scope = Scope {
            transaction: self,
            collection: number,
        };
        let mut editor = PostingEditor::new(&mut scope, ids.collection_id, room);
        let changed = match (insert, head) {
            (true, head) => Some(editor.insert(head, posting)?),
            (false, Some(head)) => editor.remove(head, posting.address)?,
            (false, None) => {
                let sentence = "the index lacks a term of a document";
                let collection = self.collection(number)?;
                let name = collection
                    .indexes
                    .get(index)
                    .map(|index| &*index.record.name);
                let place = collection.place().in_index(name.unwrap_or_default());
                return Err(Error::new(Code::PageDamaged, sentence).at(place));
            }
        };
        let mut editor = TreeEditor::new(&mut scope, tree);
        match (head, changed) {
            (None, Some(head)) => editor.insert(&position, sought.key.borrow(), &head.encode()),
            (Some(_), None) => editor.remove(&position),
            (Some(old), Some(new)) if old != new => editor.set_value(&position, &new.encode()),
            _ => Ok(()),
        }
    }
}

fn postings_of(extractor: &Arc<TextExtractor>, document: RawDocument<'_>) -> Option<SpecialEntry> {
    let (mut terms, mut field_length) = (Vec::new(), 0);
    let taken = extractor.for_each_term(document, &mut TextScratch::default(), |term, length| {
        terms.push((term.bytes.to_vec(), term.frequency));
        field_length = length;
        Ok::<_, Infallible>(())
    });
    let Ok((Extraction::Key, totals)) = taken else {
        return None;
    };
    Some(SpecialEntry::Text(DocumentPostings {
        terms,
        field_length,
        totals,
    }))
}
