use super::*;
use crate::Code;
use crate::bytes::put_u32;
use crate::v2::btree::testing::*;
use proptest::prelude::*;

fn reader(pages: &Pages, root: PageId) -> TreeReader<'_, Pages> {
    TreeReader::new(pages, root, IDS, &compare)
}

/// The values of all entries that a scan gives.
fn values<S: PageSource>(mut scan: TreeScan<'_, S>) -> Result<Vec<[u8; 12]>> {
    let mut values = Vec::new();
    while let Some(entry) = scan.next()? {
        values.push(*entry.value);
    }
    Ok(values)
}

#[test]
fn an_empty_tree_has_no_entries() {
    let pages = Pages::default();
    let reader = reader(&pages, PageId(0));
    assert!(values(reader.scan().unwrap()).unwrap().is_empty());
    assert!(
        values(reader.find(int_key(1).borrow()).unwrap())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn equal_keys_that_cross_leaves_are_all_found() {
    let counts = [1, 3, 500, 2, 121, 121, 130, 1, 1, 2000];
    let of = |n: usize| std::iter::repeat_n(int_key(n as i64 * 2), counts[n]);
    let keys: Vec<_> = (0..counts.len()).flat_map(of).collect();
    let (pages, summary) = build_checked(&keys);
    assert_eq!(summary.unique_keys, counts.len() as u64);
    let reader = reader(&pages, summary.root);
    let mut before = 0;
    for (n, count) in counts.iter().enumerate() {
        let key = int_key(n as i64 * 2);
        let found = values(reader.find(key.borrow()).unwrap()).unwrap();
        let expected: Vec<_> = (before..before + count).map(value).collect();
        assert_eq!(found, expected, "key {n}");
        before += count;
        let between = int_key(n as i64 * 2 + 1);
        assert!(
            values(reader.find(between.borrow()).unwrap())
                .unwrap()
                .is_empty()
        );
    }
    assert_eq!(values(reader.scan().unwrap()).unwrap().len(), keys.len());
}

#[test]
fn ranges_have_the_entries_between_their_bounds() {
    let keys: Vec<_> = (0..600).map(|n| int_key(n / 3 * 10)).collect();
    let (pages, summary) = build_checked(&keys);
    let reader = reader(&pages, summary.root);
    let bounds = |key: i64| [Bound::Included(key), Bound::Excluded(key), Bound::Unbounded];
    let probes = [-5, 0, 5, 400, 403, 410, 1990, 2000];
    for low in probes.into_iter().flat_map(bounds) {
        for high in probes.into_iter().flat_map(bounds) {
            let inside = |n: &usize| {
                let key = *n as i64 / 3 * 10;
                let from = match low {
                    Bound::Included(low) => key >= low,
                    Bound::Excluded(low) => key > low,
                    Bound::Unbounded => true,
                };
                let to = match high {
                    Bound::Included(high) => key <= high,
                    Bound::Excluded(high) => key < high,
                    Bound::Unbounded => true,
                };
                from && to
            };
            let expected: Vec<_> = (0..600).filter(inside).map(value).collect();
            let (low_key, high_key) = (low.map(int_key), high.map(int_key));
            let scan = reader.range(
                low_key.as_ref().map(StoredKey::borrow),
                high_key.as_ref().map(StoredKey::borrow),
            );
            assert_eq!(
                values(scan.unwrap()).unwrap(),
                expected,
                "{low:?} to {high:?}"
            );
        }
    }
}

#[test]
fn cut_keys_are_all_candidates() {
    let mut keys = longest_keys(20);
    let cut = |byte| string_key(&[byte; 1500]);
    keys.extend([
        cut(b'a'),
        cut(b'a'),
        cut(b'a'),
        cut(b'a'),
        cut(b'a'),
        cut(b'b'),
    ]);
    let (pages, summary) = build_checked(&keys);
    let reader = reader(&pages, summary.root);
    let found = values(reader.find(cut(b'a').borrow()).unwrap()).unwrap();
    assert_eq!(found, (20..25).map(value).collect::<Vec<_>>());
    for n in [0, 7, 19] {
        let found = values(reader.find(keys[n].borrow()).unwrap()).unwrap();
        assert_eq!(found, [value(n)]);
    }
}

#[test]
fn deleted_entries_are_passed_over() {
    let (mut pages, summary) = build(&int_keys(3));
    pages.0[5][62 + 10 + 9] = 1;
    pages.reseal(5);
    let reader = reader(&pages, summary.root);
    assert_eq!(
        values(reader.scan().unwrap()).unwrap(),
        [value(0), value(2)]
    );
    assert!(
        values(reader.find(int_key(1).borrow()).unwrap())
            .unwrap()
            .is_empty()
    );
}

const NEXT_PAGE: usize = 50;
const PREV_PAGE: usize = 54;
const FIRST_CHILD: usize = 62;

/// A page, an offset in it, and what to write there.
type Change = (usize, usize, u32);

/// Scans a tree of three levels after some fields were changed.
fn scan_changed(changes: &[Change]) -> Result<Vec<[u8; 12]>> {
    let (mut pages, summary) = build(&longest_keys(30));
    for &(page, at, value) in changes {
        put_u32(&mut pages.0[page], at, value);
        pages.reseal(page);
    }
    values(reader(&pages, summary.root).scan()?)
}

#[test]
fn bytes_that_are_no_key_are_an_error_with_its_page() {
    let mut keys = int_keys(3);
    keys[1].bytes.pop();
    let (pages, summary) = build(&keys);
    let scan = reader(&pages, summary.root).find(int_key(1).borrow());
    let error = scan.and_then(values).unwrap_err();
    assert_eq!(error.place().page, Some(5));
    let error = check_pages(&pages, summary.shape()).map(drop).unwrap_err();
    assert_eq!(error.to_string(), "no int64 key (page 5)");
}

#[test]
fn loops_and_wrong_turns_end_in_errors() {
    assert_eq!(scan_changed(&[]).unwrap().len(), 30);
    let cases: &[(&[Change], &str)] = &[
        (&[(18, FIRST_CHILD, 18)], "below its parent"),
        (&[(18, FIRST_CHILD, 5)], "below its parent"),
        (&[(18, FIRST_CHILD, 0)], "is page 0"),
        (&[(15, FIRST_CHILD, 99)], "past the end"),
        (&[(7, NEXT_PAGE, 6)], "prev_page of the leaf"),
        (&[(7, NEXT_PAGE, 16)], "leads to an internal node"),
        (
            &[(7, NEXT_PAGE, 7), (7, PREV_PAGE, 6)],
            "prev_page of the leaf",
        ),
        (
            &[(5, NEXT_PAGE, 5), (5, PREV_PAGE, 5)],
            "longer than the file",
        ),
    ];
    for (changes, expected) in cases {
        let error = scan_changed(changes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}, not {expected}");
    }
}

#[test]
fn trees_as_lauradb_writes_them_have_no_children_to_follow() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/laura/pages/btree-order4-20.data.db"
    );
    let data = std::fs::read(path).unwrap();
    let mut pages = Pages(data.as_chunks::<4096>().0.to_vec());
    for at in 1..pages.0.len() {
        pages.reseal(at);
    }
    let error = reader(&pages, PageId(1)).scan().err().unwrap();
    assert_eq!(error.code(), Code::PageDamaged);
    assert!(error.to_string().contains("is page 0"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn hostile_trees_never_panic_nor_loop(
        changes in proptest::collection::vec((5_usize..19, 4_usize..110, any::<u8>()), 1..8),
    ) {
        let (mut pages, summary) = build(&longest_keys(30));
        for (page, at, byte) in changes {
            pages.0[page][at] = byte;
            pages.reseal(page);
        }
        let reader = reader(&pages, summary.root);
        let _ = reader.scan().and_then(values);
        let key = string_key(format!("{:01022}", 17).as_bytes());
        let _ = reader.find(key.borrow()).and_then(values);
        let _ = check_pages(&pages, summary.shape());
    }
}
