#![expect(clippy::cast_possible_truncation, reason = "tests count small things")]

use super::*;
use crate::v2::btree::testing::*;
use crate::v2::btree::{Node, TreeReader};

/// Entries of 8-byte keys that a leaf takes: 121 x 30 = 3630 of 4034 bytes, 90 %.
const LEAF_OF_INTS: usize = 121;

#[test]
fn an_empty_tree_has_no_pages() {
    let (pages, summary) = build_checked(&[]);
    assert_eq!(pages.0.len(), 5);
    assert_eq!(
        summary,
        TreeSummary {
            order: 1,
            ..TreeSummary::default()
        }
    );
    assert_eq!(summary.avg_key_size(), 0);
    assert!(summary.cardinality().abs() < f64::EPSILON);
}

#[test]
fn statistics_follow_from_the_summary() {
    let keys = [1, 1, 2, 3].map(int_key).into_iter();
    let keys: Vec<_> = keys
        .chain([string_key(b"four"), string_key(b"five!")])
        .collect();
    let (_, summary) = build(&keys);
    let statistics = summary.statistics();
    assert_eq!((statistics.total_entries, statistics.unique_keys), (6, 5));
    assert_eq!((statistics.height, statistics.leaf_nodes), (1, 1));
    // 4 x 8 + 6 + 7 bytes in 6 keys.
    assert_eq!(
        (statistics.avg_key_size, statistics.avg_value_size),
        (7, 12)
    );
    assert!((statistics.cardinality - 5.0 / 6.0).abs() < f64::EPSILON);
}

#[test]
fn leaves_hold_what_fits_and_one_more_makes_a_root() {
    let fitting = {
        let (pages, _) = build(&int_keys(1000));
        Node::parse(&pages.0[5]).unwrap().key_count()
    };
    assert_eq!(fitting, LEAF_OF_INTS);
    for count in [1, 2, 17, fitting] {
        let (pages, summary) = build_checked(&int_keys(count));
        assert_eq!(pages.0.len(), 6);
        assert_eq!((summary.height, summary.leaf_nodes), (1, 1));
        assert_eq!(summary.order, count as u16 + 1);
        assert_eq!(summary.root, PageId(5));
        assert_eq!(summary.min_key, Some(int_key(0)));
        assert_eq!(summary.max_key, Some(int_key(count as i64 - 1)));
    }
    let (pages, summary) = build_checked(&int_keys(fitting + 1));
    assert_eq!(pages.0.len(), 8);
    assert_eq!((summary.height, summary.leaf_nodes), (2, 2));
    assert_eq!((summary.internal_nodes, summary.page_count), (1, 3));
    assert_eq!((summary.first_page, summary.root), (PageId(5), PageId(7)));
    assert_eq!((summary.avg_key_size(), summary.avg_value_size()), (8, 12));
    let root = Node::parse(&pages.0[7]).unwrap();
    assert_eq!(
        (root.child(0), root.child(1)),
        (Some(PageId(5)), Some(PageId(6)))
    );
    assert_eq!(root.child(2), None);
    let separator = root.separator(0).unwrap().to_owned();
    assert_eq!(separator, int_key(fitting as i64));
}

/// Share of a node's room that is used, in per cent.
fn fill(page: &PageBytes) -> usize {
    let node = Node::parse(page).unwrap();
    let entry = |entry: crate::v2::btree::LeafEntry<'_>| entry.key.bytes.len() + 22;
    let leaf: usize = node.entries().map(entry).sum();
    let separators = (0..node.key_count()).filter_map(|index| node.separator(index));
    let inner: usize = separators.map(|key| key.bytes.len() + 9).sum();
    (leaf + inner) * 100 / 4034
}

#[test]
fn a_hundred_thousand_numbers_fill_leaves_to_ninety_per_cent() {
    let keys = int_keys(100_000);
    let (pages, summary) = build_checked(&keys);
    assert_eq!(summary.height, 3);
    let leaves = &pages.0[5..5 + summary.leaf_nodes as usize];
    for page in &leaves[..leaves.len() - 1] {
        assert!((80..=95).contains(&fill(page)), "{}", fill(page));
    }
    let reader = TreeReader::new(&pages, summary.root, IDS, &compare);
    // Whole leaves at both ends and in the middle, and a key of every leaf.
    let sampled = |n: &usize| n.is_multiple_of(50) || [0, 500, 998].contains(&(n / 100));
    for (n, key) in keys.iter().enumerate().filter(|(n, _)| sampled(n)) {
        let mut scan = reader.find(key.borrow()).unwrap();
        assert_eq!(
            scan.next().unwrap().map(|entry| *entry.value),
            Some(value(n))
        );
        assert!(scan.next().unwrap().is_none());
    }
}

#[test]
fn long_strings_of_all_lengths_are_all_found() {
    let keys = long_strings(5_000);
    let (pages, summary) = build_checked(&keys);
    assert!(summary.height >= 4);
    let leaves = &pages.0[5..5 + summary.leaf_nodes as usize];
    for page in &leaves[..leaves.len() - 1] {
        assert!(fill(page) >= 74, "{}", fill(page));
    }
    let reader = TreeReader::new(&pages, summary.root, IDS, &compare);
    for (n, key) in keys.iter().enumerate() {
        let mut scan = reader.find(key.borrow()).unwrap();
        assert_eq!(
            scan.next().unwrap().map(|entry| *entry.value),
            Some(value(n))
        );
        assert!(scan.next().unwrap().is_none(), "key {n}");
    }
}

#[test]
fn the_last_node_of_a_level_never_has_a_single_child() {
    // Four children to a node and three entries to a leaf: every remainder occurs on two levels.
    for count in (1..200).chain([1000, 3001]) {
        let (pages, summary) = build_checked(&longest_keys(count));
        assert_eq!(summary.leaf_nodes as usize, count.div_ceil(3));
        for page in &pages.0[5..] {
            let node = Node::parse(page).unwrap();
            assert!(node.key_count() >= 1);
            assert!(fill(page) >= 76 || node.next() == PageId(0));
        }
    }
}

#[test]
fn many_longest_keys_make_a_sound_tree() {
    let mut pages = Pages::starting_at(1);
    let spills = SpillDir::new();
    let mut loader = BulkLoader::new(&mut pages, IDS, SPILL_LIMIT, || spills.create());
    for n in 0..30_000 {
        let key = string_key(format!("{n:01022}").as_bytes());
        loader.push(key.borrow(), &value(n), false).unwrap();
    }
    let summary = loader.finish().unwrap();
    assert!(spills.made.get() >= 2, "two levels are over the limit");
    let (found, collector) = check_pages(&pages, summary.shape()).unwrap();
    assert_eq!(found, summary);
    assert_eq!(collector.entries.len(), 30_000);
}

#[test]
fn separators_in_files_give_the_same_pages() {
    for keys in [int_keys(30_000), long_strings(600), longest_keys(100)] {
        let (pages, summary) = build(&keys);
        for limit in [0, 1, 100, 5000] {
            let spills = SpillDir::new();
            let mut other = Pages::starting_at(5);
            let mut loader = BulkLoader::new(&mut other, IDS, limit, || spills.create());
            push_all(&mut loader, &keys, 0).unwrap();
            assert_eq!(loader.finish().unwrap(), summary);
            assert!(other.0 == pages.0, "limit {limit}");
            assert!(limit > 100 || spills.made.get() > 0);
        }
    }
}

/// Loads up to an entry and then loses everything that was not made durable.
fn interrupt(keys: &[StoredKey], at: usize, spills: &SpillDir) -> (Pages, Option<BulkPosition>) {
    let mut pages = Pages::starting_at(5);
    let mut loader = BulkLoader::new(&mut pages, IDS, 300, || spills.create());
    push_all(&mut loader, &keys[..at], 0).unwrap();
    let position = loader.position().unwrap();
    // What comes after the position is lost; the file may hold more than it.
    let more = &keys[..keys.len().min(at + 500)];
    push_all(&mut loader, more, at).unwrap();
    drop(loader);
    (pages, position)
}

#[test]
fn a_load_resumes_at_every_leaf_boundary() {
    for keys in [int_keys(50 * LEAF_OF_INTS), long_strings(280)] {
        let (whole, summary) = build(&keys);
        assert!(summary.leaf_nodes >= 35);
        let leaves = &whole.0[5..5 + summary.leaf_nodes as usize];
        let mut boundary = 0;
        for page in leaves {
            for at in [boundary, (boundary + 1).min(keys.len())] {
                let spills = SpillDir::new();
                let (mut pages, position) = interrupt(&keys, at, &spills);
                let Some(position) = position else {
                    assert!(at <= Node::parse(&leaves[0]).unwrap().key_count());
                    continue;
                };
                let json = serde_json::to_string(&position).unwrap();
                let position: BulkPosition = serde_json::from_str(&json).unwrap();
                let done = position.entry_count() as usize;
                assert!(done <= at);
                pages.0.truncate(position.next_page().0 as usize);
                let file = spills.dir.reopen("spill-0").unwrap();
                let spill = AppendWriter::new(file, position.spill_length(), 4096);
                let mut loader =
                    BulkLoader::resume(&mut pages, IDS, position, 300, spill, || spills.create())
                        .unwrap();
                push_all(&mut loader, &keys, done).unwrap();
                assert_eq!(loader.finish().unwrap(), summary);
                assert!(pages.0 == whole.0, "interrupted at entry {at}");
            }
            boundary += Node::parse(page).unwrap().key_count();
        }
    }
}

#[test]
fn a_position_that_does_not_fit_is_refused() {
    let keys = int_keys(1000);
    let spills = SpillDir::new();
    let (mut pages, position) = interrupt(&keys, 600, &spills);
    let position = position.unwrap();
    let reopen = |offset| AppendWriter::new(spills.dir.reopen("spill-0").unwrap(), offset, 4096);
    let length = position.spill_length();
    let no_file = || panic!("no file");
    let spill = reopen(length);
    let loader = BulkLoader::resume(&mut pages, IDS, position.clone(), 300, spill, no_file);
    assert_eq!(loader.err().unwrap().code(), Code::Internal);
    pages.0.truncate(position.next_page().0 as usize);
    let spill = reopen(length + 1);
    let loader = BulkLoader::resume(&mut pages, IDS, position, 300, spill, no_file);
    assert_eq!(loader.err().unwrap().code(), Code::Internal);
}

#[test]
fn keys_that_no_node_can_store_are_refused() {
    let mut loader = BulkLoader::new(Pages::starting_at(1), IDS, 0, || panic!("no file"));
    let mut refuse = |key_type, length, truncated| {
        let bytes = vec![0; length];
        let key = StoredKeyRef {
            key_type,
            bytes: &bytes,
            truncated,
        };
        let error = loader.push(key, &value(0), false).unwrap_err();
        assert_eq!(error.code(), Code::Internal);
    };
    refuse(2, 1025, false);
    refuse(2, 1023, true);
    refuse(10, 8, false);
}

#[test]
fn no_tree_begins_at_page_0() {
    let mut loader = BulkLoader::new(Pages::default(), IDS, 1000, || panic!("no file"));
    let pushed = push_all(&mut loader, &int_keys(1), 0);
    let error = pushed.and_then(|()| loader.finish()).unwrap_err();
    assert_eq!(error.code(), Code::Internal);
}

#[test]
fn pages_of_others_in_between_are_refused() {
    struct Gaps(Pages);
    impl PageSink for Gaps {
        fn next_page(&self) -> PageId {
            self.0.next_page()
        }
        fn append(&mut self, page: &mut PageBytes) -> Result<PageId> {
            let id = self.0.append(page)?;
            self.0.append(&mut [0; 4096])?;
            Ok(id)
        }
    }
    let mut loader = BulkLoader::new(Gaps(Pages::starting_at(1)), IDS, 0, || {
        SpillDir::new().create()
    });
    let error = push_all(&mut loader, &int_keys(1000), 0).unwrap_err();
    assert_eq!(error.code(), Code::Internal);
}
