#![expect(clippy::cast_possible_truncation, reason = "tests count small things")]

mod analyzer;

use super::*;
use crate::document::bson::RawDocument;
use crate::index::extract::Extraction;
use crate::index::sort::{NoFullKeys, SortPool, SpillFile};
use crate::index::{EntrySum, IndexDefinition, IndexKind, TextTotals};
use crate::v2::btree::TreeIds;
use crate::v2::btree::testing::{Pages, SpillDir};
use crate::v2::postings::Posting;
use crate::v2::{DocumentAddress, PageId, SlotNumber};
use crate::{Code, Error, Result};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;

const IDS: TreeIds = TreeIds {
    index_id: 2,
    collection_id: 9,
};

fn golden(name: &str) -> Value {
    let path = format!("{}/fixtures/laura/text/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn tokens(text: &[u8]) -> Vec<Vec<u8>> {
    let mut tokens = Vec::new();
    Analyzer::default().analyze(text, |token| tokens.push(token.to_vec()));
    tokens
}

/// A document with these string fields.
fn document(fields: &[(&str, &str)]) -> Vec<u8> {
    let fields = fields.iter();
    let document: bson::Document = fields
        .map(|(name, text)| ((*name).to_owned(), bson::Bson::from(*text)))
        .collect();
    document.to_vec().unwrap()
}

fn extractor(fields: &[&str]) -> TextExtractor {
    let definition = IndexDefinition {
        kind: IndexKind::Text,
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        ..IndexDefinition::id_index()
    };
    TextExtractor::new(&definition, None).unwrap()
}

#[test]
fn string_fields_are_joined_and_others_left_out() {
    let extractor = extractor(&["a", "b.c"]);
    let mut scratch = TextScratch::default();
    let mut extract = |document: bson::Document| {
        let bytes = document.to_vec().unwrap();
        let (mut list, mut field_length) = (Vec::new(), 0);
        let document = RawDocument::trusted(&bytes);
        let taken = extractor.for_each_term(document, &mut scratch, |term, length| {
            let bytes = String::from_utf8(term.bytes.to_vec()).unwrap();
            list.push((bytes, term.frequency));
            field_length = length;
            Ok::<_, ()>(())
        });
        (taken.unwrap().0, list, field_length)
    };
    let fox = |count| ("fox".to_owned(), count);
    let found = extract(bson::doc! {"a": "Fox", "b": {"c": "foxes dog"}, "x": "cat"});
    assert_eq!(
        found,
        (Extraction::Key, vec![("dog".to_owned(), 1), fox(2)], 3)
    );
    let found = extract(bson::doc! {"a": 5, "b.c": "fox", "b": {"c": "dog"}});
    assert_eq!(found, (Extraction::Key, vec![fox(1)], 1));
    assert_eq!(extract(bson::doc! {"a": ""}), (Extraction::Key, vec![], 0));
    let none = |extraction| (extraction, vec![], 0);
    assert_eq!(
        extract(bson::doc! {"a": ["fox"]}),
        none(Extraction::Unindexable)
    );
    assert_eq!(
        extract(bson::doc! {"b": {"d": "fox"}}),
        none(Extraction::Missing)
    );
}

fn address(n: usize) -> DocumentAddress {
    DocumentAddress {
        page: PageId(n as u32 / 50 + 1),
        slot: SlotNumber((n % 50) as u16),
    }
}

/// Documents of one field.
struct Corpus(Vec<String>);

impl LongTerms for Corpus {
    fn long_terms(&self, at: DocumentAddress, terms: &mut Vec<Vec<u8>>) -> Result<()> {
        let n = (at.page.0 as usize - 1) * 50 + at.slot.0 as usize;
        let bytes = document(&[("t", &self.0[n])]);
        extractor(&["t"]).long_terms(RawDocument::trusted(&bytes), terms);
        Ok(())
    }
}

struct Built {
    pages: Pages,
    summary: TextIndexSummary,
    totals: TextTotals,
    /// As the documents have them.
    sum: EntrySum,
}

impl Corpus {
    fn build(&self, budget: usize, spill_limit: usize) -> Built {
        let directory = std::rc::Rc::new(SpillDir::new());
        let runs = std::sync::Mutex::new(Some(directory.create().unwrap()));
        let spill = SpillFile::new(move || Ok(runs.lock().unwrap().take().unwrap()));
        let mut pool = SortPool::new(budget, spill);
        let sorter = pool.add_index();
        let extractor = extractor(&["t"]);
        let mut scratch = TextScratch::default();
        let mut key = TermKey::default();
        let (mut totals, mut sum) = (TextTotals::default(), EntrySum::default());
        for (n, text) in self.0.iter().enumerate() {
            let bytes = document(&[("t", text)]);
            let document = RawDocument::trusted(&bytes);
            let taken = extractor.for_each_term(document, &mut scratch, |term, field_length| {
                let key = key.set(term, field_length);
                let posting = Posting {
                    address: address(n),
                    term_frequency: term.frequency,
                    field_length,
                };
                sum.add(posting_hash(term.bytes, IDS.collection_id, &posting));
                pool.push(sorter, key, address(n))
            });
            let (extraction, added) = taken.unwrap();
            assert_eq!(extraction, Extraction::Key);
            totals += added;
        }
        let mut pages = Pages::starting_at(3);
        let mut builder =
            TextIndexBuilder::new(&mut pages, IDS, spill_limit, || directory.create(), self);
        let mut merge = pool.merge(sorter, &NoFullKeys).unwrap();
        while let Some(entry) = merge.next().unwrap() {
            builder.push(&entry).unwrap();
        }
        let summary = builder.finish(|| Ok(())).unwrap();
        Built {
            pages,
            summary,
            totals,
            sum,
        }
    }

    fn check(&self, built: &Built) -> Result<EntrySum> {
        let shape = built.summary.tree.shape();
        let first_page = built.summary.first_page();
        let mut checker = TextIndexChecker::new(first_page, shape, IDS, &built.pages, self)?;
        for (at, page) in built.pages.0.iter().enumerate().skip(3) {
            checker.page(PageId(at as u32), page)?;
        }
        let (found, sum) = checker.finish()?;
        if found != built.summary {
            return Err(Error::new(Code::VerifyFailed, "another index"));
        }
        Ok(sum)
    }

    /// Term by term, what the index must hold.
    fn naive(&self) -> BTreeMap<Vec<u8>, Vec<Posting>> {
        let mut terms: BTreeMap<Vec<u8>, Vec<Posting>> = BTreeMap::new();
        for (n, text) in self.0.iter().enumerate() {
            let tokens = tokens(text.as_bytes());
            for token in &tokens {
                let postings = terms.entry(token.clone()).or_default();
                if postings
                    .last()
                    .is_none_or(|last| last.address != address(n))
                {
                    postings.push(Posting {
                        address: address(n),
                        term_frequency: 0,
                        field_length: tokens.len().min(65535) as u16,
                    });
                }
                let last = postings.last_mut().unwrap();
                last.term_frequency = last.term_frequency.saturating_add(1);
            }
        }
        terms
    }

    fn build_checked(&self, budget: usize, spill_limit: usize) -> Built {
        let built = self.build(budget, spill_limit);
        assert_eq!(self.check(&built).unwrap(), built.sum);
        let naive = self.naive();
        assert_eq!(built.summary.tree.entry_count, naive.len() as u64);
        let reader = built.reader(self);
        for (term, postings) in &naive {
            assert!(reader.postings(term).unwrap() == *postings, "{term:?}");
        }
        built
    }
}

impl Built {
    fn reader<'a>(&'a self, corpus: &'a Corpus) -> TextReader<'a, Pages> {
        let root = self.summary.tree.root;
        TextReader::new(&self.pages, root, IDS, self.totals, corpus)
    }
}

#[test]
fn scores_are_those_of_laura_db() {
    let golden = golden("bm25.golden.json");
    let docs = golden["docs"].as_array().unwrap();
    let texts = docs
        .iter()
        .map(|doc| doc["text"].as_str().unwrap().to_owned());
    let corpus = Corpus(texts.collect());
    let built = corpus.build_checked(1 << 20, 1 << 20);
    assert_eq!((built.totals.documents, built.totals.length), (5, 13));
    assert_eq!(built.summary.tree.entry_count, 7);
    for query in golden["queries"].as_array().unwrap() {
        let mut found = built
            .reader(&corpus)
            .search(query["query"].as_str().unwrap())
            .unwrap();
        assert!(found.is_sorted_by(|left, right| left.1 >= right.1));
        found.sort_by_key(|(address, _)| *address);
        let expected = query["results_sorted_by_id"].as_array().unwrap();
        assert_eq!(found.len(), expected.len(), "{query}");
        for ((at, score), expected) in found.iter().zip(expected) {
            assert_eq!(docs[at.slot.0 as usize]["id"], expected["id"]);
            assert!((score - expected["score"].as_f64().unwrap()).abs() < 1e-9);
        }
    }
}

/// Words with a distribution of which a few are in nearly every document.
fn ten_words(documents: usize) -> Corpus {
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut text = |_| {
        let words = (0..10).map(|_| {
            let below = 1 << (random() % 14 + 1);
            format!("w{}x", random() % below)
        });
        words.collect::<Vec<_>>().join(" ")
    };
    Corpus((0..documents).map(&mut text).collect())
}

#[test]
fn twenty_thousand_documents_equal_a_naive_build() {
    let corpus = ten_words(20_000);
    let built = corpus.build_checked(64 << 20, 64 << 20);
    assert!(built.summary.postings.page_count > 100);
    assert!(built.summary.tree.height >= 2);
    // Scores against the formula over the naive index.
    let naive = corpus.naive();
    let average = built.totals.length as f64 / built.totals.documents as f64;
    let mut expected: BTreeMap<DocumentAddress, f64> = BTreeMap::new();
    for term in ["w0x", "w17x"] {
        let postings = &naive[term.as_bytes()];
        let df = postings.len() as f64;
        let idf = ((20_000.0 - df + 0.5) / (df + 0.5) + 1.0).ln();
        for posting in postings {
            let tf = f64::from(posting.term_frequency);
            let norm = 0.25 + 0.75 * f64::from(posting.field_length) / average;
            *expected.entry(posting.address).or_default() += idf * tf * 2.5 / (tf + 1.5 * norm);
        }
    }
    let found = built.reader(&corpus).search("w0x W17X").unwrap();
    assert_eq!(found.len(), expected.len());
    for (at, score) in found {
        assert!((score - expected[&at]).abs() < 1e-9);
    }
}

#[test]
#[ignore = "a million documents; in release mode"]
fn a_million_documents_equal_a_naive_build() {
    let corpus = ten_words(1_000_000);
    let start = std::time::Instant::now();
    let built = corpus.build(64 << 20, 1 << 20);
    eprintln!(
        "built in {:?}: {:?}",
        start.elapsed(),
        built.summary.postings
    );
    let start = std::time::Instant::now();
    assert_eq!(corpus.check(&built).unwrap(), built.sum);
    eprintln!("checked in {:?}", start.elapsed());
    let naive = corpus.naive();
    assert_eq!(built.summary.tree.entry_count, naive.len() as u64);
    let start = std::time::Instant::now();
    let reader = built.reader(&corpus);
    for (term, postings) in &naive {
        assert!(reader.postings(term).unwrap() == *postings, "{term:?}");
    }
    eprintln!("read back in {:?}", start.elapsed());
}

#[test]
fn memory_limits_never_show_in_the_pages() {
    let corpus = ten_words(3_000);
    let roomy = corpus.build_checked(64 << 20, 64 << 20);
    let tight = corpus.build_checked(128 << 10, 100);
    assert!(roomy.pages.0 == tight.pages.0);
    assert_eq!(roomy.summary, tight.summary);
}

/// Terms of all lengths around the limits, many of which begin alike.
fn long_terms() -> Corpus {
    let term = |length: usize, end: &str| format!("{}{end}", "x".repeat(length - end.len()));
    let lengths = [
        989, 990, 991, 1000, 1021, 1022, 1023, 1024, 1025, 3000, 70_000, 70_001,
    ];
    let mut texts = Vec::new();
    for (n, length) in lengths.into_iter().enumerate() {
        let ends = ["2z", "1z", "7y", "x"];
        let words: Vec<_> = ends.iter().map(|end| term(length, end)).collect();
        texts.push(words.join(" "));
        texts.push(format!("{} {} short", words[n % 4], words[(n + 1) % 4]));
        texts.push(format!("{} {}", words[n % 4], words[n % 4]));
    }
    Corpus(texts)
}

#[test]
fn terms_of_any_length_stay_exact() {
    let corpus = long_terms();
    let built = corpus.build_checked(1 << 20, 1 << 20);
    let tight = corpus.build_checked(128 << 10, 100);
    assert!(built.pages.0 == tight.pages.0);
    // A term that no document has, of the same stored form as some that are there.
    let absent = format!("{}3z", "x".repeat(2998));
    assert!(
        built
            .reader(&corpus)
            .postings(absent.as_bytes())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn an_empty_index_has_no_pages() {
    let corpus = Corpus(vec!["the of and".to_owned(), String::new()]);
    let built = corpus.build_checked(1 << 20, 1 << 20);
    assert_eq!((built.totals.documents, built.totals.length), (2, 0));
    assert_eq!(built.summary.page_count(), 0);
    assert_eq!(built.summary.tree.order, 1);
    assert!(built.reader(&corpus).search("word").unwrap().is_empty());
}

#[test]
fn a_posting_that_was_changed_is_found() {
    let corpus = ten_words(300);
    let built = corpus.build_checked(1 << 20, 1 << 20);
    for at in 3..built.pages.0.len() {
        for offset in (16..4096).step_by(211) {
            let mut damaged = Built {
                pages: built.pages.clone(),
                summary: built.summary.clone(),
                ..built
            };
            damaged.pages.0[at][offset] ^= 1;
            damaged.pages.reseal(at);
            let passes = corpus.check(&damaged).is_ok_and(|sum| sum == built.sum);
            // Free space belongs to no one.
            let free = built.pages.0[at][offset] == 0;
            assert!(free || !passes, "page {at} byte {offset}");
        }
    }
}

#[test]
fn chunks_that_swap_terms_are_found() {
    let corpus = Corpus(vec!["aa bb".to_owned(), "aa".to_owned(), "bb".to_owned()]);
    let mut built = corpus.build_checked(1 << 20, 1 << 20);
    let leaf = built.pages.0.len() - 1;
    // The two values end at the page's end and before the second key.
    let (first, second) = (4096 - 12, 4096 - 12 - 4 - 12);
    let page = &mut built.pages.0[leaf];
    let (one, two) = (
        page[first..first + 12].to_vec(),
        page[second..second + 12].to_vec(),
    );
    page[first..first + 12].copy_from_slice(&two);
    page[second..second + 12].copy_from_slice(&one);
    built.pages.reseal(leaf);
    assert_ne!(corpus.check(&built).unwrap(), built.sum);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn hostile_pages_never_panic(
        changes in proptest::collection::vec((3_usize..40, 16_usize..4096, any::<u8>()), 1..30),
        pointer in any::<u32>(),
    ) {
        static BUILT: std::sync::LazyLock<(Corpus, Vec<crate::v2::PageBytes>, TextIndexSummary, TextTotals)> =
            std::sync::LazyLock::new(|| {
                let corpus = ten_words(400);
                let built = corpus.build(1 << 20, 1 << 20);
                (corpus, built.pages.0, built.summary, built.totals)
            });
        let (corpus, pages, summary, totals) = &*BUILT;
        let mut pages = Pages(pages.clone());
        for (page, offset, byte) in changes {
            let page = 3 + page % (pages.0.len() - 3);
            pages.0[page][offset] = byte;
            if pointer % 3 == 0 {
                pages.0[page][30..34].copy_from_slice(&pointer.to_le_bytes());
            }
            pages.reseal(page);
        }
        let built = Built { pages, summary: summary.clone(), totals: *totals, sum: EntrySum::default() };
        let _ = corpus.check(&built);
        let _ = built.reader(corpus).search("w0x w1x w3x w77x");
    }

    #[test]
    fn any_text_gives_the_tokens_of_its_parts(texts in proptest::collection::vec("\\PC{0,30}", 0..4)) {
        let joined = texts.join(" ");
        let parts: Vec<_> = texts.iter().flat_map(|text| tokens(text.as_bytes())).collect();
        prop_assert_eq!(tokens(joined.as_bytes()), parts);
    }
}
