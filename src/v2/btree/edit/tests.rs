//! Random insertions and removals against a sorted map, for all types of keys.

use super::testing::Pages;
use super::*;
use crate::document::bson::ObjectId;
use crate::index::key::{KeyBuffer, KeyValue, StoredOrder};
use crate::v2::address::{DocumentAddress, SlotNumber};
use crate::v2::btree::{StoredKey, TreeReader};
use proptest::prelude::*;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::iter::once;

const IDS: TreeIds = TreeIds {
    index_id: 2,
    collection_id: 5,
};

type Normal = Vec<u8>;

struct Sought<'m> {
    stored: StoredKey,
    normal: Normal,
    address: DocumentAddress,
    order: StoredOrder,
    /// What reading the document would give.
    whole: &'m HashMap<DocumentAddress, Normal>,
}

impl EntryOrder for Sought<'_> {
    fn separator(&mut self, key: StoredKeyRef<'_>) -> Result<Option<Ordering>> {
        Ok(self.order.compare(key, self.stored.borrow()).unwrap())
    }

    fn entry(&mut self, entry: &LeafEntry<'_>) -> Result<Ordering> {
        let (_, address) = DocumentAddress::decode(entry.value).unwrap();
        let keys = self.order.compare(entry.key, self.stored.borrow()).unwrap();
        let keys = keys.unwrap_or_else(|| self.whole[&address].cmp(&self.normal));
        Ok(keys.then(address.cmp(&self.address)))
    }
}

#[derive(Default)]
struct Model {
    pages: Pages,
    tree: LiveTree,
    entries: BTreeMap<(Normal, DocumentAddress), StoredKey>,
    whole: HashMap<DocumentAddress, Normal>,
    made: u32,
}

fn forms(value: KeyValue<'_>) -> (StoredKey, Normal) {
    let mut key = KeyBuffer::new();
    key.set_whole(once(value));
    let normal = key.normal().to_vec();
    let mut cut = KeyBuffer::new();
    cut.set(once(value));
    let mut out = Vec::new();
    (cut.stored(&mut out).unwrap().to_owned(), normal)
}

impl Model {
    fn new() -> Self {
        Self {
            tree: LiveTree::new(IDS),
            ..Self::default()
        }
    }

    fn position(&self, stored: &StoredKey, normal: &Normal, at: DocumentAddress) -> LeafPosition {
        let mut sought = Sought {
            stored: stored.clone(),
            normal: normal.clone(),
            address: at,
            order: StoredOrder::default(),
            whole: &self.whole,
        };
        locate(&self.pages, self.tree.root, IDS, &mut sought).unwrap()
    }

    fn insert(&mut self, value: KeyValue<'_>, shuffled: bool) {
        let (stored, normal) = forms(value);
        self.made += 1;
        let number = if shuffled {
            self.made.wrapping_mul(2_654_435_761) >> 4
        } else {
            self.made
        };
        let address = DocumentAddress {
            page: PageId(number),
            slot: SlotNumber(3),
        };
        self.whole.insert(address, normal.clone());
        let position = self.position(&stored, &normal, address);
        let value = address.encode(IDS.collection_id);
        TreeEditor::new(&mut self.pages, &mut self.tree)
            .insert(&position, stored.borrow(), &value)
            .unwrap();
        assert!(self.entries.insert((normal, address), stored).is_none());
    }

    fn remove(&mut self, number: usize) {
        let Some(((normal, address), stored)) = self.entries.iter().nth(number) else {
            return;
        };
        let (normal, address, stored) = (normal.clone(), *address, stored.clone());
        let position = self.position(&stored, &normal, address);
        let (_, at) = neighbours(&self.pages, IDS, &position).unwrap();
        let at = at.unwrap();
        assert_eq!(at.entry().unwrap().value, &address.encode(5));
        // The position of an entry that begins the next leaf is past the end of its own.
        TreeEditor::new(&mut self.pages, &mut self.tree)
            .remove(&position)
            .unwrap();
        self.entries.remove(&(normal, address));
    }

    fn check(&self) {
        let surveyed = survey(&self.pages, self.tree.root, IDS, &mut |_| Ok(())).unwrap();
        let mut known = self.tree.clone();
        while known.nodes_by_keys.last() == Some(&0) {
            known.nodes_by_keys.pop();
        }
        assert_eq!(surveyed, known);
        let used = self.tree.leaf_nodes + self.tree.internal_nodes;
        assert_eq!(self.pages.pages.len(), used as usize);
        assert_eq!(self.tree.entry_count, self.entries.len() as u64);
        self.check_separators(self.tree.root);
        let mut leaf = self.leftmost(self.tree.root);
        let (mut prev, mut found) = (PageId(0), Vec::new());
        while leaf != PageId(0) {
            let page = self.pages.index_page(leaf).unwrap();
            let node = page.node().unwrap();
            assert_eq!(node.prev(), prev);
            assert!(node.key_count() > 0);
            found.extend(node.entries().map(|e| (e.key.to_owned(), e.value.to_vec())));
            (prev, leaf) = (leaf, node.next());
        }
        let expected = self.entries.iter();
        let expected = expected.map(|((_, at), key)| (key.clone(), at.encode(5).to_vec()));
        assert!(found.into_iter().eq(expected));
    }

    fn leftmost(&self, top: PageId) -> PageId {
        if top == PageId(0) {
            return top;
        }
        let page = self.pages.index_page(top).unwrap();
        match page.node().unwrap().child(0) {
            Some(child) => self.leftmost(child),
            None => top,
        }
    }

    fn check_separators(&self, id: PageId) {
        if id == PageId(0) {
            return;
        }
        let page = self.pages.index_page(id).unwrap();
        let node = page.node().unwrap();
        for at in 0..=node.key_count() {
            let Some(child) = node.child(at) else { return };
            self.check_separators(child);
            if at > 0 {
                let leaf = self.pages.index_page(self.leftmost(child)).unwrap();
                let first = leaf.node().unwrap().entry(0).unwrap().key;
                let separator = node.separator(at - 1).unwrap();
                assert_eq!(
                    (separator.key_type, separator.bytes),
                    (first.key_type, first.bytes)
                );
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Value {
    Null,
    Int(i64),
    Int32(i32),
    Double(f64),
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Id(u8),
    Flag(bool),
    Time(i64),
}

impl Value {
    fn key(&self) -> KeyValue<'_> {
        match self {
            Self::Null => KeyValue::Null,
            Self::Int(number) => KeyValue::Int64(*number),
            Self::Int32(number) => KeyValue::Int32(*number),
            Self::Double(number) => KeyValue::Double(*number),
            Self::Text(text) => KeyValue::String(text),
            Self::Binary(bytes) => KeyValue::Binary(bytes),
            Self::Id(byte) => KeyValue::ObjectId(ObjectId([*byte; 12])),
            Self::Flag(flag) => KeyValue::Boolean(*flag),
            Self::Time(seconds) => KeyValue::Timestamp(*seconds),
        }
    }
}

/// A text that may be cut, and then agrees with others in all that is kept.
fn long_text() -> impl Strategy<Value = Vec<u8>> {
    (900_usize..1500, 0_u8..4).prop_map(|(length, last)| {
        let mut text = vec![b'x'; length];
        text.push(last);
        text
    })
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        3 => (-20_i64..20).prop_map(Value::Int),
        1 => (-20_i32..20).prop_map(Value::Int32),
        1 => (-20_i32..20).prop_map(|n| Value::Double(f64::from(n) / 2.0)),
        3 => proptest::collection::vec(0_u8..4, 0..200).prop_map(Value::Text),
        6 => long_text().prop_map(Value::Text),
        2 => long_text().prop_map(Value::Binary),
        1 => any::<u8>().prop_map(Value::Id),
        1 => any::<bool>().prop_map(Value::Flag),
        1 => (-3_i64..3).prop_map(Value::Time),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_tree_is_the_sorted_map(
        operations in proptest::collection::vec((values(), any::<u16>(), 0_u8..5), 1..500),
        shrinking in any::<bool>(),
    ) {
        let mut model = Model::new();
        for (value, number, kind) in operations {
            if kind == 0 && !model.entries.is_empty() {
                model.remove(usize::from(number) % model.entries.len());
            } else {
                model.insert(value.key(), kind > 2);
            }
        }
        model.check();
        while !model.entries.is_empty() {
            let middle = if shrinking { model.entries.len() / 2 } else { 0 };
            model.remove(middle);
            if model.entries.len().is_multiple_of(16) {
                model.check();
            }
        }
        prop_assert_eq!(model.tree.root, PageId(0));
        prop_assert!(model.pages.pages.is_empty());
    }
}

#[test]
fn one_key_in_thousands_of_entries_keeps_the_order_of_addresses() {
    let mut model = Model::new();
    for number in 0..3000 {
        model.insert(KeyValue::Int64(number % 2), true);
    }
    model.check();
    assert!(model.tree.height > 1);
    for number in (0..1500).rev() {
        model.remove(number * 2);
    }
    model.check();
}

#[test]
fn keys_in_order_fill_their_leaves() {
    let mut model = Model::new();
    for number in 0..5000 {
        model.insert(KeyValue::Int64(number), false);
    }
    model.check();
    // 30 bytes an entry: 134 fit a leaf.
    assert_eq!(model.tree.leaf_nodes, 5000_u32.div_ceil(134));
    let compare = |left: StoredKeyRef<'_>, right: StoredKeyRef<'_>| {
        Ok(StoredOrder::default().compare(left, right).unwrap())
    };
    let reader = TreeReader::new(&model.pages, model.tree.root, IDS, &compare);
    let mut scan = reader.scan().unwrap();
    let mut count = 0;
    while scan.next().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 5000);
}
