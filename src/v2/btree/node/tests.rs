#![expect(clippy::cast_possible_truncation, reason = "tests count small things")]

use super::*;
use crate::document::bson::ObjectId;
use crate::v2::PageId;
use crate::v2::btree::testing::{IDS, int_key, string_key};
use crate::v2::btree::{StoredKey, StoredKeyRef};
use crate::v2::page::{PageBytes, PageError, seal};
use proptest::prelude::*;
use serde_json::Value;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/laura/pages");
const TREES: &[&str] = &[
    "empty",
    "leaf-float64",
    "leaf-int64",
    "leaf-objectid",
    "leaf-string",
    "order32-500",
    "order32-strings",
    "order4-20",
];

/// A node that LauraDB wrote, and what it says it wrote.
struct Golden {
    name: String,
    page: PageBytes,
    id: PageId,
    is_leaf: bool,
    keys: Vec<StoredKey>,
}

fn golden_nodes() -> Vec<Golden> {
    let mut nodes = Vec::new();
    for tree in TREES {
        let data = std::fs::read(format!("{FIXTURES}/btree-{tree}.data.db")).unwrap();
        let json = std::fs::read(format!("{FIXTURES}/btree-{tree}.expected.json")).unwrap();
        let expected: Value = serde_json::from_slice(&json).unwrap();
        let (pages, rest) = data.as_chunks::<4096>();
        let list = expected["nodes"].as_array().unwrap();
        assert_eq!((list.len() + 1, rest.len()), (pages.len(), 0), "{tree}");
        for node in list {
            let id = node["page"].as_u64().unwrap();
            nodes.push(Golden {
                name: format!("{tree} page {id}"),
                page: pages[id as usize],
                id: PageId(id as u32),
                is_leaf: node["leaf"].as_bool().unwrap(),
                keys: node["keys"].as_array().unwrap().iter().map(key).collect(),
            });
        }
    }
    nodes
}

fn key(json: &Value) -> StoredKey {
    if let Some(text) = json.as_str() {
        return string_key(text.as_bytes());
    }
    let (kind, text) = json.as_object().unwrap().iter().next().unwrap();
    let text = text.as_str().unwrap();
    let (key_type, bytes) = match kind.as_str() {
        "$numberLong" => return int_key(text.parse().unwrap()),
        "$numberDouble" => (1, text.parse::<f64>().unwrap().to_le_bytes().to_vec()),
        "$oid" => (3, ObjectId::from_hex(text.as_bytes()).unwrap().0.to_vec()),
        other => panic!("unexpected key {other}"),
    };
    StoredKey {
        key_type,
        bytes,
        truncated: false,
    }
}

#[test]
fn nodes_that_lauradb_wrote_read_right() {
    for golden in golden_nodes() {
        let name = &golden.name;
        let node = Node::parse(&golden.page).unwrap();
        assert_eq!(node.is_leaf(), golden.is_leaf, "{name}");
        assert_eq!(node.ids(), IDS, "{name}");
        assert_eq!((node.next(), node.prev()), (PageId(0), PageId(0)), "{name}");
        let keys: Vec<_> = if golden.is_leaf {
            let plain = |entry: &LeafEntry<'_>| entry.flags == 0 && *entry.value == [0; 12];
            assert!(node.entries().all(|entry| plain(&entry)), "{name}");
            assert_eq!((node.child(0), node.separator(0)), (None, None));
            node.entries().map(|entry| entry.key.to_owned()).collect()
        } else {
            // LauraDB writes zeros where its children should stand.
            let children: Vec<_> = (0..).map_while(|index| node.child(index)).collect();
            assert_eq!(children, vec![PageId(0); golden.keys.len() + 1], "{name}");
            assert!(node.entry(0).is_none());
            let keys = (0..).map_while(|index| node.separator(index));
            keys.map(StoredKeyRef::to_owned).collect()
        };
        assert_eq!(keys, golden.keys, "{name}");
    }
}

/// Without what differs on purpose: the checksum, the end of the directory, and the level of
/// internal nodes, which LauraDB does not write.
fn masked(page: &PageBytes) -> PageBytes {
    let mut page = *page;
    page[14..16].fill(0);
    page[PARENT_PAGE..NEXT_PAGE].fill(0);
    page[FREE_SPACE_OFFSET..RESERVED].fill(0);
    page[LEVEL] = 0;
    page
}

#[test]
fn built_nodes_equal_those_that_lauradb_wrote_to_the_byte() {
    for golden in golden_nodes() {
        let mut page = if golden.is_leaf {
            let mut builder = LeafBuilder::new(IDS);
            for key in &golden.keys {
                builder.add(key.borrow(), &[0; 12]);
            }
            *builder.finish(PageId(0), PageId(0))
        } else {
            let mut builder = InternalBuilder::new(IDS, 1);
            builder.first_child(PageId(0));
            for key in &golden.keys {
                builder.add(key.borrow(), PageId(0));
            }
            *builder.finish()
        };
        seal(&mut page, golden.id);
        assert!(masked(&page) == masked(&golden.page), "{}", golden.name);
        // Where LauraDB meant to put it.
        let theirs = &golden.page[PARENT_PAGE..PARENT_PAGE + 2];
        assert_eq!(page[FREE_SPACE_OFFSET..RESERVED], *theirs);
    }
}

fn leaf() -> PageBytes {
    let mut builder = LeafBuilder::new(IDS);
    builder.add(int_key(1).borrow(), &[1; 12]);
    builder.add(string_key(&[b'x'; 2000]).borrow(), &[2; 12]);
    let null = StoredKeyRef {
        key_type: 6,
        bytes: &[],
        truncated: false,
    };
    builder.add(null, &[3; 12]);
    *builder.finish(PageId(8), PageId(10))
}

fn internal() -> PageBytes {
    let mut builder = InternalBuilder::new(IDS, 3);
    builder.first_child(PageId(4));
    builder.add(int_key(1).borrow(), PageId(5));
    builder.add(string_key(&[b'x'; 2000]).borrow(), PageId(6));
    *builder.finish()
}

#[test]
fn nodes_round_trip() {
    let page = leaf();
    let node = Node::parse(&page).unwrap();
    assert_eq!(check_fresh(&node), Ok(()));
    assert_eq!((node.prev(), node.next()), (PageId(8), PageId(10)));
    let cut = node.entry(1).unwrap();
    assert_eq!((cut.flags, cut.value), (FLAG_TRUNCATED, &[2; 12]));
    assert_eq!(cut.key.to_owned(), string_key(&[b'x'; 2000]));
    assert_eq!(node.entry(2).unwrap().key.bytes, b"");
    assert!(node.entry(3).is_none());

    let page = internal();
    let node = Node::parse(&page).unwrap();
    assert_eq!(check_fresh(&node), Ok(()));
    assert_eq!((node.level(), node.key_count()), (3, 2));
    let children: Vec<_> = (0..).map_while(|index| node.child(index)).collect();
    assert_eq!(children, [PageId(4), PageId(5), PageId(6)]);
    assert!(!node.separator(0).unwrap().truncated);
    assert!(node.separator(1).unwrap().truncated);
}

/// Bytes that differ from place to place, and with the length.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + length) as u8 | 1).collect()
}

fn pattern_key(bytes: &[u8]) -> StoredKeyRef<'_> {
    StoredKeyRef {
        key_type: 8,
        bytes,
        truncated: false,
    }
}

/// A leaf of keys of these lengths.
fn leaf_of(builder: &mut LeafBuilder, lengths: &[usize]) -> PageBytes {
    for (number, &length) in lengths.iter().enumerate() {
        let value = [number as u8 + 1; 12];
        builder.add(pattern_key(&pattern(length)), &value);
    }
    *builder.finish(PageId(8), PageId(10))
}

/// Around the lengths at which keys are copied in other ways.
const LENGTHS: &[usize] = &[
    0, 1, 2, 7, 8, 9, 12, 15, 16, 17, 23, 24, 31, 32, 33, 64, 1024, 3,
];

#[test]
fn keys_of_all_lengths_come_back() {
    let page = leaf_of(&mut LeafBuilder::new(IDS), LENGTHS);
    let node = Node::parse(&page).unwrap();
    assert_eq!(check_fresh(&node), Ok(()));
    assert_eq!(node.entries().count(), LENGTHS.len());
    for (number, (entry, length)) in node.entries().zip(LENGTHS).enumerate() {
        assert_eq!(entry.key.bytes, pattern(*length));
        assert_eq!(entry.value, &[number as u8 + 1; 12]);
        assert_eq!(node.entry(number), Some(entry));
    }
}

#[test]
fn nothing_stays_of_the_leaf_before() {
    let mut builder = LeafBuilder::new(IDS);
    while builder.takes(9) {
        builder.add(pattern_key(&[0xFF; 9]), &[0xFF; 12]);
    }
    let page = builder.finish(PageId(1), PageId(2));
    // What whoever writes the page may do to it.
    seal(page, PageId(77));
    page[5] = 9;
    builder.reset();
    let again = leaf_of(&mut builder, LENGTHS);
    assert!(again == leaf_of(&mut LeafBuilder::new(IDS), LENGTHS));
}

#[test]
fn a_leaf_can_be_full_to_the_last_byte() {
    let mut lengths = vec![8; 100];
    lengths.push(1012);
    let mut builder = LeafBuilder::new(IDS);
    let page = leaf_of(&mut builder, &lengths);
    assert_eq!((builder.used(), builder.takes(0)), (CAPACITY, false));
    assert_eq!(builder.key_bytes(), 800 + 1012);
    let node = Node::parse(&page).unwrap();
    assert_eq!(check_fresh(&node), Ok(()));
    assert_eq!(node.last_entry().unwrap().key.bytes, pattern(1012));
}

#[test]
fn a_leaf_that_looks_packed_has_nothing_wrong() {
    let page = leaf_of(&mut LeafBuilder::new(IDS), &[8, 0, 12, 23, 1024, 8]);
    assert!(Node::parse(&page).unwrap().is_packed());
    let end = DIRECTORY + 6 * leaf_entry::SIZE;
    for at in (4..end).chain([end, 2000]) {
        for change in 1..=u8::MAX {
            let mut damaged = page;
            damaged[at] ^= change;
            let Ok(node) = Node::parse(&damaged) else {
                continue;
            };
            assert_eq!(node.check_leaf_entries(), Ok(()));
            // Of a page that was parsed before, it is not known.
            let unknown = Node::parsed(&damaged, node.header());
            assert!(!unknown.is_packed());
            assert_eq!(check_fresh(&node), check_fresh(&unknown));
        }
    }
}

#[test]
fn errors_name_the_byte() {
    let page = leaf();
    let second_key = DIRECTORY + leaf_entry::SIZE;
    let cases: &[(usize, u8, usize, &str)] = &[
        (4, 0, 4, "type"),
        (GAP + 3, 1, GAP + 3, "gap"),
        (NODE_TYPE, 2, NODE_TYPE, "node_type"),
        (LEVEL, 1, LEVEL, "level of a leaf"),
        (KEY_COUNT + 1, 2, DIRECTORY, "directory"),
        (CHILD_COUNT, 1, CHILD_COUNT, "child_count"),
        (RESERVED, 1, RESERVED, "reserved"),
        (second_key + 1, 15, second_key, "key_offset"),
        // A key that begins too low is in the way of the value that follows.
        (second_key + 1, 0, second_key + 15, "value_offset"),
        (second_key + 3, 9, second_key, "key_offset"),
        (second_key + 4, 10, second_key + 4, "key_type"),
        (second_key + 6, 16, second_key + 5, "value_offset"),
        (second_key + 7, 11, second_key + 7, "value_length"),
        (second_key + 9, 8, second_key + 9, "flags"),
        (DIRECTORY + 9, 4, DIRECTORY + 9, "flags"),
    ];
    for &(at, byte, offset, field) in cases {
        let mut damaged = page;
        damaged[at] = byte;
        let error = Node::parse(&damaged).unwrap_err().to_string();
        let start = format!("byte {offset} of the page: ");
        assert!(error.starts_with(&start), "{error}, expected at {offset}");
        assert!(error.contains(field), "{error}, expected {field}");
    }
    let mut damaged = internal();
    damaged[NEXT_PAGE] = 1;
    let error = Node::parse(&damaged).unwrap_err();
    assert!(matches!(
        error,
        PageError::Field {
            offset: NEXT_PAGE,
            ..
        }
    ));
    let mut damaged = internal();
    damaged[KEY_COUNT] = 0;
    let error = Node::parse(&damaged).unwrap_err();
    assert!(matches!(
        error,
        PageError::Field {
            offset: KEY_COUNT,
            ..
        }
    ));
}

fn read_everything(page: &PageBytes) {
    let Ok(node) = Node::parse(page) else {
        return;
    };
    let _ = check_fresh(&node);
    for index in 0..=node.key_count() + 1 {
        let _ = (node.entry(index), node.separator(index), node.child(index));
    }
    assert_eq!(
        node.entries().count(),
        node.key_count() * usize::from(node.is_leaf())
    );
}

proptest! {
    #[test]
    fn hostile_pages_never_panic(
        is_leaf in any::<bool>(),
        changes in proptest::collection::vec((4_usize..400, any::<u8>()), 0..6),
    ) {
        let mut page = if is_leaf { leaf() } else { internal() };
        for (at, byte) in changes {
            page[at] = byte;
        }
        read_everything(&page);
    }

    #[test]
    fn random_pages_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 4096)) {
        bytes[4] = 1;
        bytes[16..32].fill(0);
        let count = bytes[34] % 8;
        bytes[32..36].copy_from_slice(&[1, 0, count, 0]);
        bytes[36..38].fill(0);
        read_everything(&bytes.try_into().unwrap());
    }
}
