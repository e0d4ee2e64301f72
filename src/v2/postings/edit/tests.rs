//! Random changes of several terms against sorted maps.

use super::*;
use crate::v2::SlotNumber;
use crate::v2::btree::edit::testing::Pages;
use proptest::prelude::*;
use std::collections::BTreeMap;

const COLLECTION: u32 = 5;

fn posting(number: u32) -> Posting {
    Posting {
        address: DocumentAddress {
            page: PageId(number / 100 + 1),
            slot: SlotNumber((number % 100) as u16),
        },
        term_frequency: 1 + (number % 3) as u16,
        field_length: 10,
    }
}

#[derive(Default)]
struct Model {
    pages: Pages,
    room: Room,
    /// By term: its head and its documents.
    terms: BTreeMap<u32, (TermHead, BTreeMap<u32, Posting>)>,
}

impl Model {
    fn insert(&mut self, term: u32, number: u32) {
        let mut editor = PostingEditor::new(&mut self.pages, COLLECTION, &mut self.room);
        let (head, mut postings) = self.terms.remove(&term).unzip();
        let head = editor.insert(head, posting(number)).unwrap();
        let postings_now = postings.get_or_insert_default();
        assert!(postings_now.insert(number, posting(number)).is_none());
        self.terms
            .insert(term, (head, postings.unwrap_or_default()));
    }

    fn remove(&mut self, term: u32, number: u32) {
        let mut editor = PostingEditor::new(&mut self.pages, COLLECTION, &mut self.room);
        let (head, mut postings) = self.terms.remove(&term).unwrap();
        let head = editor.remove(head, posting(number).address).unwrap();
        assert!(postings.remove(&number).is_some());
        assert_eq!(head.is_none(), postings.is_empty());
        if let Some(head) = head {
            self.terms.insert(term, (head, postings));
        }
    }

    fn has(&self, term: u32, number: u32) -> bool {
        let term = self.terms.get(&term);
        term.is_some_and(|(_, postings)| postings.contains_key(&number))
    }

    /// Every chain has its postings in order, in few chunks, and all chunks are in some chain.
    fn check(&mut self) {
        let mut chunks: BTreeMap<ChunkAddress, u32> = BTreeMap::new();
        for (term, (head, postings)) in &self.terms {
            assert_eq!(head.document_frequency as usize, postings.len());
            let mut room = Room::default();
            let editor = PostingEditor::new(&mut self.pages, COLLECTION, &mut room);
            let (mut found, mut at, mut sizes) = (Vec::new(), Some(head.first), Vec::new());
            while let Some(chunk) = at {
                assert!(chunks.insert(chunk, *term).is_none());
                let link = editor.read(chunk).unwrap();
                sizes.push(link.postings.len());
                found.extend(link.postings);
                at = link.next;
            }
            assert!(found.iter().eq(postings.values()), "term {term}");
            assert!(
                sizes
                    .iter()
                    .all(|size| (1..=MAX_CHUNK_POSTINGS).contains(size))
            );
        }
        let mut live = 0;
        for (id, page) in &self.pages.pages {
            let slotted = open_page(page.bytes(), COLLECTION).unwrap();
            slotted.check_layout().unwrap();
            let on_page = slotted.slots().count();
            assert!(on_page > 0, "page {id} is empty but not free");
            live += on_page;
        }
        assert_eq!(live, chunks.len());
    }

    fn chunks_of(&mut self, term: u32) -> usize {
        let (head, _) = &self.terms[&term];
        let (mut at, mut count) = (Some(head.first), 0);
        let editor = PostingEditor::new(&mut self.pages, COLLECTION, &mut self.room);
        while let Some(chunk) = at {
            at = editor.read(chunk).unwrap().next;
            count += 1;
        }
        count
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn terms_have_what_was_inserted_and_not_removed(
        seed in 0_u32..1_000_000,
        rounds in proptest::collection::vec((0_u32..1500, any::<bool>()), 1..6),
    ) {
        let mut model = Model::default();
        for (count, grows) in rounds {
            for step in 0..count {
                let random = (seed ^ step).wrapping_mul(2_654_435_761) >> 8;
                // One term that most have, and many that few have.
                let term = if random % 3 == 0 { 0 } else { random % 60 };
                let number = (random >> 7) % 1500;
                if model.has(term, number) {
                    model.remove(term, number);
                } else if grows {
                    model.insert(term, number);
                }
            }
            model.check();
        }
        while let Some((term, (_, postings))) = model.terms.first_key_value() {
            let (term, number) = (*term, *postings.keys().next_back().unwrap());
            model.remove(term, number);
        }
        prop_assert!(model.pages.pages.is_empty());
    }
}

#[test]
fn neighbouring_chunks_that_fit_together_are_joined() {
    let mut model = Model::default();
    (0..5000).for_each(|number| model.insert(1, number));
    assert_eq!(model.chunks_of(1), 5000_usize.div_ceil(MAX_CHUNK_POSTINGS));
    // Front to back, back to front, and spread.
    for number in (0..5000).filter(|number| number % 50 != 0) {
        model.remove(1, number);
    }
    model.check();
    assert_eq!(model.chunks_of(1), 1);
    assert_eq!(model.pages.pages.len(), 1);
    (5000..9000).for_each(|number| model.insert(1, number));
    for number in (5000..9000).rev().filter(|number| number % 50 != 0) {
        model.remove(1, number);
    }
    model.check();
    assert_eq!(model.chunks_of(1), 1);
}

#[test]
fn a_page_that_a_growing_chunk_leaves_is_not_used_after_it_was_given_back() {
    let mut model = Model::default();
    // A chunk in the ninth slot, alone on its page once the others are gone: before it is full, the
    // slots in front of it leave no room for it.
    (0..9).for_each(|term| model.insert(term, 1));
    (2..200).for_each(|number| model.insert(8, number));
    (0..8).for_each(|term| model.remove(term, 1));
    (200..254).for_each(|number| model.insert(8, number));
    model.check();
    assert_eq!(model.chunks_of(8), 1);
}

#[test]
fn rare_terms_fill_the_pages_that_others_have_left() {
    let mut model = Model::default();
    let mut most = 0;
    for round in 0..60 {
        for term in 0..400 {
            model.insert(round * 1000 + term, 1);
        }
        most = most.max(model.pages.pages.len());
        // One term in a hundred stays, so no page of its round is ever empty.
        for term in (0..400).filter(|term| term % 100 != 0) {
            model.remove(round * 1000 + term, 1);
        }
    }
    model.check();
    // 29 bytes a term: 640 at most need five pages, and a quarter of each may be left unused.
    assert!(most <= 8, "{most} pages");
}
