use super::*;
use crate::bytes::{get_u16, get_u32, put_u32};
use crate::v2::btree::testing::*;
use crate::v2::btree::{BulkLoader, StoredKey};
use crate::v2::page::PAGE_SIZE;

/// A tree of three levels, its pages 5 to …: few entries to a leaf.
fn sample() -> (Pages, TreeSummary) {
    let (pages, summary) = build(&longest_keys(30));
    assert_eq!((summary.height, summary.leaf_nodes), (3, 10));
    (pages, summary)
}

fn reject(pages: &Pages, shape: TreeShape, expected: &str) {
    let error = check_pages(pages, shape).map(drop).unwrap_err();
    assert!(
        error.to_string().contains(expected),
        "{error}, not {expected}"
    );
}

/// Checks a sample with one page changed.
fn reject_change(at: usize, expected: &str, change: impl FnOnce(&mut PageBytes)) {
    let (mut pages, summary) = sample();
    change(&mut pages.0[at]);
    reject(&pages, summary.shape(), expected);
}

const NEXT_PAGE: usize = 50;
const PREV_PAGE: usize = 54;
const DIRECTORY: usize = 62;

/// Where the bytes begin whose offset stands at `at`.
fn area(page: &PageBytes, at: usize) -> usize {
    16 + usize::from(get_u16(page, at).unwrap())
}

#[test]
fn keys_out_of_order_are_rejected() {
    reject_change(7, "key 1 is less than the one before it", |page| {
        let (first, second) = (area(page, DIRECTORY), area(page, DIRECTORY + 10));
        for byte in 0..1024 {
            page.swap(first + byte, second + byte);
        }
    });
}

#[test]
fn order_holds_across_leaves() {
    // The first key of the second leaf becomes the least of all.
    reject_change(6, "key 0 is less than the one before it", |page| {
        let first = area(page, DIRECTORY);
        page[first + 2..first + 1024].fill(b'0');
    });
}

#[test]
fn a_broken_chain_is_rejected() {
    for next in [0, 7, 9] {
        reject_change(7, "next_page of the leaf", |page| {
            put_u32(page, NEXT_PAGE, next)
        });
    }
    reject_change(7, "prev_page of the leaf", |page| {
        put_u32(page, PREV_PAGE, 5)
    });
    reject_change(5, "prev_page of the leaf", |page| {
        put_u32(page, PREV_PAGE, 4)
    });
    reject_change(14, "next_page of the last leaf", |page| {
        put_u32(page, NEXT_PAGE, 15)
    });
}

#[test]
fn wrong_separators_are_rejected() {
    // Pages 15 to 17 are the level above the leaves, 18 the root.
    for at in [15, 16, 17, 18] {
        reject_change(at, "a separator is not the smallest key", |page| {
            page[PAGE_SIZE - 1] ^= 1;
        });
    }
}

#[test]
fn wrong_children_are_rejected() {
    for child in [0, 4, 5, 7, 99] {
        reject_change(15, "child 1 of the node", |page| {
            put_u32(page, DIRECTORY + 4, child)
        });
    }
    reject_change(18, "child 0 of the node", |page| {
        put_u32(page, DIRECTORY, 5)
    });
}

#[test]
fn missing_and_surplus_pages_are_rejected() {
    let (pages, summary) = sample();
    let shape = summary.shape();
    for at in 5..pages.0.len() {
        let mut fewer = pages.clone();
        fewer.0.remove(at);
        assert!(check_pages(&fewer, shape).is_err(), "page {at}");
    }
    let mut checker = TreeChecker::new(shape, IDS, Values::Addresses).unwrap();
    let mut collector = Collector::default();
    for (id, at) in [(5, 5), (6, 6)] {
        checker
            .page(PageId(id), &pages.0[at], &mut collector)
            .unwrap();
    }
    let error = checker.page(PageId(8), &pages.0[8], &mut collector);
    assert!(error.unwrap_err().to_string().contains("and 7 comes next"));
    assert!(checker.finish().is_err());
}

#[test]
fn entries_must_be_addresses_of_the_collection_and_ascend() {
    reject_change(6, "value 0 is no document address", |page| {
        let value = area(page, DIRECTORY + 5);
        page[value] ^= 1;
    });
    let twice = [int_key(4), int_key(4)];
    let (mut pages, summary) = build(&twice);
    assert_eq!(summary.unique_keys, 1);
    check_pages(&pages, summary.shape()).unwrap();
    let second = area(&pages.0[5], DIRECTORY + 15);
    pages.0[5][second + 8] = 0;
    reject(&pages, summary.shape(), "address is not greater");

    let mut checker = TreeChecker::new(summary.shape(), IDS, Values::Opaque).unwrap();
    let error = checker.page(PageId(5), &pages.0[5], &mut Collector::default());
    assert!(error.unwrap_err().to_string().contains("key 1 equals"));
}

#[test]
fn what_is_wrong_shows_wherever_it_is_in_a_leaf() {
    // 1 1 2 2 3 3 …, so that every second entry equals the one before.
    let keys: Vec<_> = (0..60).map(|n| int_key(n / 2)).collect();
    let (sound, summary) = build(&keys);
    let shape = summary.shape();
    assert_eq!((shape.unique_keys, shape.leaf_nodes), (30, 1));
    check_pages(&sound, shape).unwrap();
    for index in 0..60 {
        let slot = DIRECTORY + 10 * index;
        let (key, value) = (area(&sound.0[5], slot), area(&sound.0[5], slot + 5));
        let reject_here = |at: usize, byte: u8, expected: String| {
            let mut pages = sound.clone();
            pages.0[5][at] = byte;
            reject(&pages, shape, &expected);
        };
        let sentence = format!("value {index} is no document address");
        reject_here(value, 9, sentence.clone());
        reject_here(value + 10, 1, sentence);
        if index > 0 {
            let sentence = format!("key {index} is less than the one before it");
            reject_here(key + 7, 0x80, sentence);
        }
        if index % 2 == 1 {
            let address = value + 8;
            let sentence = format!("key {index} equals the one before it, but its document's");
            reject_here(address, sound.0[5][address] - 1, sentence);
        }
    }
}

#[test]
fn the_metadata_must_agree() {
    let (pages, summary) = sample();
    let shape = summary.shape();
    let changed = |change: fn(&mut TreeShape)| {
        let mut other = shape;
        change(&mut other);
        other
    };
    reject(
        &pages,
        changed(|shape| shape.height = 2),
        "height is 2, it is 3",
    );
    reject(
        &pages,
        changed(|shape| shape.entry_count += 1),
        "entry count",
    );
    reject(
        &pages,
        changed(|shape| shape.unique_keys -= 1),
        "unique keys",
    );
    reject(&pages, changed(|shape| shape.order += 1), "order");
    let moved = changed(|shape| (shape.leaf_nodes, shape.internal_nodes) = (11, 3));
    reject(&pages, moved, "leaf nodes");
    let impossible = changed(|shape| shape.leaf_nodes = 500);
    let error = TreeChecker::new(impossible, IDS, Values::Addresses).unwrap_err();
    assert_eq!(error.code(), Code::CatalogDamaged);
    let empty_with_root = TreeShape {
        root: PageId(7),
        order: 1,
        ..TreeShape::default()
    };
    reject(&pages, empty_with_root, "root is 7, it is 0");
}

#[test]
fn cut_keys_are_left_to_the_visitor() {
    let keys = [string_key(&[b'a'; 2000]), string_key(&[b'a'; 2000])];
    let (pages, summary) = build(&keys);
    let (_, collector) = check_pages(&pages, summary.shape()).unwrap();
    assert_eq!(collector.undecided, 1);
    assert_eq!(collector.entries.len(), 2);
}

/// Flips each bit of a tree's pages between `start` and the end of the directory.
fn flip_all_bits(keys: &[StoredKey]) {
    let (mut pages, summary) = build(keys);
    let shape = summary.shape();
    let (_, original) = check_pages(&pages, shape).unwrap();
    for at in 5..pages.0.len() {
        // The page's own id and checksum are not the checker's to verify.
        let end = 16 + usize::from(get_u16(&pages.0[at], 58).unwrap()) + 8;
        for byte in (4..14).chain(16..end) {
            for bit in 0..8 {
                pages.0[at][byte] ^= 1 << bit;
                // A key's type and its flag are content, which the caller compares.
                let seen = match check_pages(&pages, shape) {
                    Err(_) => false,
                    Ok((_, collector)) => collector.entries == original.entries,
                };
                assert!(!seen, "page {at}, byte {byte}, bit {bit} changes nothing");
                pages.0[at][byte] ^= 1 << bit;
            }
        }
    }
}

#[test]
fn every_bit_of_headers_and_directories_matters() {
    flip_all_bits(&longest_keys(30));
    flip_all_bits(&long_strings(12));
    flip_all_bits(&int_keys(20));
}

#[test]
fn nodes_of_other_indexes_and_stray_leaves_are_rejected() {
    reject_change(9, "belongs to index 6 of collection 3", |page| page[38] = 6);
    let (mut pages, summary) = sample();
    pages.0[16] = pages.0[14];
    reject(
        &pages,
        summary.shape(),
        "a leaf stands among the internal nodes",
    );
    let (mut pages, summary) = sample();
    pages.0.swap(16, 18);
    reject(&pages, summary.shape(), "level 1 has no node above page");
}

#[test]
fn the_same_tree_at_another_place_is_another_tree() {
    let keys = int_keys(1000);
    let mut pages = Pages::starting_at(77);
    let mut loader = BulkLoader::new(&mut pages, IDS, 1 << 20, || panic!("no file"));
    push_all(&mut loader, &keys, 0).unwrap();
    let shape = loader.finish().unwrap().shape();
    check_pages(&pages, shape).unwrap();
    assert_eq!(get_u32(&pages.0[77], NEXT_PAGE), Some(78));
    pages.0.insert(0, [0; PAGE_SIZE]);
    let moved = TreeShape {
        root: PageId(shape.root.0 + 1),
        ..shape
    };
    assert!(check_pages(&pages, moved).is_err());
}
