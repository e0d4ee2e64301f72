#![expect(clippy::cast_possible_truncation, reason = "tests count small things")]

use super::*;
use crate::Result;
use crate::v2::btree::TreeIds;
use crate::v2::btree::testing::Pages;
use crate::v2::slotted::SlottedPage;

const IDS: TreeIds = TreeIds {
    index_id: 2,
    collection_id: 0x0001_0203,
};

fn posting(n: u32) -> Posting {
    Posting {
        address: DocumentAddress {
            page: PageId(n / 100 + 1),
            slot: SlotNumber((n % 100) as u16),
        },
        term_frequency: 1 + (n % 3) as u16,
        field_length: 10,
    }
}

/// Terms with so many postings each, from page 4 on.
fn build(lengths: &[u32]) -> (Pages, Vec<TermHead>, PostingRun) {
    let mut builder = PostingBuilder::new(Pages::starting_at(4), IDS);
    let mut heads = Vec::new();
    for &length in lengths {
        for n in 0..length {
            builder.push(&posting(n)).unwrap();
        }
        heads.push(builder.end_term().unwrap());
    }
    let (pages, run) = builder.finish().unwrap();
    (pages, heads, run)
}

fn check(pages: &Pages, run: PostingRun) -> Result<ChunkSum> {
    let mut checker = PostingChecker::new(IDS);
    for (at, page) in pages.0.iter().enumerate().skip(4) {
        checker.page(PageId(at as u32), page)?;
    }
    let (found, chunks) = checker.finish()?;
    assert_eq!(found, run);
    Ok(chunks)
}

#[test]
fn the_bytes_are_those_of_the_format() {
    let (pages, heads, run) = build(&[2, 1]);
    assert_eq!(
        (run.first_page, run.page_count, run.posting_count),
        (PageId(4), 1, 3)
    );
    assert_eq!(heads[1].encode(), [4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(TermHead::decode(&heads[1].encode()), Some(heads[1]));
    let page = &pages.0[4];
    assert_eq!(page[4], 1);
    // Slots: 40 bytes that end at the page's end, 24 before them; the owner's low 16 bits.
    assert_eq!(page[16..28], [2, 0, 22, 0, 176, 15, 0, 0, 0, 0, 3, 2]);
    assert_eq!(page[28..38], [200, 15, 40, 0, 0, 176, 15, 24, 0, 0]);
    assert_eq!(page[4096 - 40..4096 - 32], [0, 0, 0, 0, 0, 0, 2, 0]);
    assert_eq!(
        page[4096 - 16..],
        [3, 2, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 10, 0]
    );
}

#[test]
fn terms_of_any_length_are_read_back() {
    let lengths = [1, 252, 253, 254, 506, 507, 1, 3, 5000, 2, 251, 1];
    let (pages, heads, run) = build(&lengths);
    let all = check(&pages, run).unwrap();
    let mut reader = PostingReader::new(&pages, IDS.collection_id);
    let mut reached = ChunkSum::default();
    for (head, length) in heads.iter().zip(lengths) {
        assert_eq!(head.document_frequency, length);
        assert_eq!(reader.first(*head).unwrap(), posting(0));
        let mut n = 0;
        let each = |found: &Posting| {
            assert_eq!(*found, posting(n));
            n += 1;
            Ok(())
        };
        reader.for_each_counted(*head, &mut reached, each).unwrap();
        assert_eq!(n, length);
    }
    assert_eq!(reached, all);
    // Pages are full to less than one posting.
    let total: u32 = lengths.iter().sum();
    assert!(run.page_count <= total / 253 + 2, "{}", run.page_count);
}

#[test]
fn rare_terms_share_pages() {
    let (pages, heads, run) = build(&[1; 1000]);
    let in_first = SlottedPage::open(&pages.0[4]).unwrap().slot_count();
    assert_eq!(in_first, 4068 / 29);
    assert_eq!(run.page_count, 1000_u32.div_ceil(140));
    assert_eq!(heads[140].first.page, PageId(5));
    check(&pages, run).unwrap();
}

#[test]
fn a_chain_that_turns_back_ends_in_an_error() {
    let (mut pages, heads, _) = build(&[253, 300]);
    let reader = |pages: &Pages| {
        let mut reader = PostingReader::new(pages, IDS.collection_id);
        reader.for_each(heads[1], |_| Ok(()))
    };
    reader(&pages).unwrap();
    let first = heads[1].first.page.0 as usize;
    assert_eq!(first, 5);
    let own = SlottedPage::open(&pages.0[first]).unwrap().slot_count() - 1;
    assert_eq!(own, 0);
    // A full chunk ends at the page's end; its next_page leads to itself.
    let chunk = 4096 - 8 - 253 * 16;
    pages.0[first][chunk..chunk + 4].copy_from_slice(&5_u32.to_le_bytes());
    pages.reseal(first);
    let error = reader(&pages).unwrap_err();
    assert!(
        error.sentence().contains("not after the one before"),
        "{error}"
    );
    assert_eq!(error.place().page, Some(5));
}

#[test]
fn a_frequency_that_is_not_the_number_of_postings_is_found() {
    let (pages, heads, _) = build(&[5]);
    for document_frequency in [4, 6] {
        let head = TermHead {
            document_frequency,
            ..heads[0]
        };
        let mut reader = PostingReader::new(&pages, IDS.collection_id);
        assert!(reader.for_each(head, |_| Ok(())).is_err());
    }
}
