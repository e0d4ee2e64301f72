//! Random histories against a plain map, and hostile bytes.

use super::{Log, Scanned, scan, scan_file};
use crate::document::bson::{OwnedDocument, RawValue};
use crate::document::order::hash_id;
use crate::v1::wal::{RecordKind, RecordWriter, Replacement};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const COLLECTIONS: [&str; 3] = ["a", "b", "kolekce-ž"];

#[derive(Clone, Debug)]
enum Step {
    Operation {
        kind: RecordKind,
        txn_id: u64,
        collection: usize,
        id: Id,
    },
    Commit(u64),
    Abort(u64),
    Checkpoint,
}

/// Ids that are equal in the first field are equal, however they are stored.
#[derive(Clone, Copy, Debug)]
struct Id(u8, u8);

impl Id {
    fn value(&self) -> RawValue<'static> {
        let number = i32::from(self.0);
        match (self.0, self.1 % 3) {
            (4, _) => RawValue::String("4"),
            (5, _) => RawValue::Null,
            (_, 0) => RawValue::Int32(number),
            (_, 1) => RawValue::Int64(i64::from(number)),
            _ if number == 0 => RawValue::Double(-0.0),
            _ => RawValue::Double(f64::from(number)),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        Just(RecordKind::Insert),
        Just(RecordKind::Update),
        Just(RecordKind::Delete)
    ];
    let operation = (kind, 0u64..4, 0..COLLECTIONS.len(), 0u8..6, any::<u8>()).prop_map(
        |(kind, txn_id, collection, id, form)| Step::Operation {
            kind,
            txn_id,
            collection,
            id: Id(id, form),
        },
    );
    prop_oneof![
        12 => operation,
        2 => (1u64..4).prop_map(Step::Commit),
        1 => (1u64..4).prop_map(Step::Abort),
        1 => Just(Step::Checkpoint),
    ]
}

/// An operation as the model keeps it.
#[derive(Clone, Debug)]
struct Logged {
    lsn: u64,
    collection: usize,
    id: u8,
    document: Option<Vec<u8>>,
}

/// The bytes of a history and the last effective operation per (collection, id).
fn play(steps: &[Step], after: Option<u64>) -> (Vec<u8>, BTreeMap<(usize, u8), Logged>) {
    let mut writer = RecordWriter::new(Vec::new());
    let mut last = BTreeMap::new();
    let mut open: BTreeMap<u64, Vec<Logged>> = BTreeMap::new();
    let mut apply = |logged: Logged| {
        last.insert((logged.collection, logged.id), logged);
    };
    let counts = |lsn| after.is_none_or(|after| lsn > after);
    for (number, step) in (0i32..).zip(steps) {
        if number % 7 == 3 {
            writer.jump_to(writer.next_lsn() + 10);
        }
        match step {
            Step::Operation {
                kind,
                txn_id,
                collection,
                id,
            } => {
                // The _id comes last, far behind the prefix that is read back first, now and then.
                let filler = "x".repeat(if number % 5 == 0 { 700 } else { 3 });
                let document: OwnedDocument = [
                    ("n", RawValue::Int32(number)),
                    ("filler", RawValue::String(&filler)),
                    ("_id", id.value()),
                ]
                .into_iter()
                .collect();
                let name = COLLECTIONS[*collection];
                let lsn = writer.operation(*kind, *txn_id, name, document.as_raw());
                let logged = Logged {
                    lsn: lsn.unwrap(),
                    collection: *collection,
                    id: id.0,
                    document: (*kind != RecordKind::Delete).then(|| document.into_bytes()),
                };
                if *txn_id != 0 {
                    open.entry(*txn_id).or_default().push(logged);
                } else if counts(logged.lsn) {
                    apply(logged);
                }
            }
            Step::Commit(txn_id) => {
                let lsn = writer.commit(*txn_id).unwrap();
                let operations = open.remove(txn_id).unwrap_or_default();
                if counts(lsn) {
                    operations.into_iter().for_each(&mut apply);
                }
            }
            Step::Abort(txn_id) => {
                writer.abort(*txn_id).unwrap();
                open.remove(txn_id);
            }
            Step::Checkpoint => {
                writer.checkpoint().unwrap();
            }
        }
    }
    (writer.into_inner(), last)
}

/// The model's documents of a collection without `taken` ids, in LSN order.
fn documents(
    last: &BTreeMap<(usize, u8), Logged>,
    collection: usize,
    taken: &BTreeSet<(usize, u8)>,
) -> Vec<Vec<u8>> {
    let mut left: Vec<&Logged> = last
        .iter()
        .filter(|(key, _)| key.0 == collection && !taken.contains(key))
        .map(|(_, logged)| logged)
        .collect();
    left.sort_by_key(|logged| logged.lsn);
    left.iter()
        .filter_map(|logged| logged.document.clone())
        .collect()
}

/// Takes the id, stored in another form than the log's, twice; returns the record that matched.
fn take(scanned: &Scanned, last: &BTreeMap<(usize, u8), Logged>, key: (usize, u8)) -> Option<u64> {
    let number = *scanned.numbers.get(COLLECTIONS[key.0])?;
    let id = Id(key.1, key.1 + 1).value();
    let hash = hash_id(id, number);
    let taken = scanned.overlay.take(number, id, hash).unwrap();
    let again = scanned.overlay.take(number, id, hash).unwrap();
    assert_eq!(
        scanned.overlay.may_contain(hash, number),
        last.contains_key(&key)
    );
    let logged = last.get(&key);
    match (taken, logged.map(|logged| logged.document.as_ref())) {
        (None, None) => {
            assert_eq!(again, None);
            None
        }
        (Some(Replacement::Deleted { record }), Some(None)) => Some(record),
        (Some(Replacement::Document { record, bson }), Some(Some(document))) => {
            let mut read = Vec::new();
            scanned.overlay.read_document(record, &mut read).unwrap();
            assert_eq!(&read, document);
            assert_eq!(bson.end - bson.start, document.len() as u64);
            assert_eq!(again, Some(Replacement::AlreadyMatched));
            Some(record)
        }
        (taken, expected) => panic!("took {taken:?}, expected {expected:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_overlay_agrees_with_a_map(
        steps in prop::collection::vec(step(), 0..80),
        after in prop::option::of(0u64..100),
        snapshot in prop::collection::btree_set((0..COLLECTIONS.len(), 0u8..6), 0..9),
    ) {
        let (bytes, last) = play(&steps, after);
        let log = Log::new(&bytes);
        let scanned = scan_file(log.open(), after, u64::MAX).unwrap();
        prop_assert_eq!(scanned.overlay.len(), last.len());
        for (collection, name) in COLLECTIONS.iter().enumerate() {
            prop_assert_eq!(scanned.remaining(name), documents(&last, collection, &BTreeSet::new()));
        }

        let matched: Vec<u64> = snapshot.iter().filter_map(|key| take(&scanned, &last, *key)).collect();
        let resumed = scan_file(log.open(), after, u64::MAX).unwrap();
        resumed.overlay.restore_matched(matched.into_iter()).unwrap();
        for (collection, name) in COLLECTIONS.iter().enumerate() {
            let expected = documents(&last, collection, &snapshot);
            prop_assert_eq!(scanned.remaining(name), expected.clone());
            prop_assert_eq!(resumed.remaining(name), expected);
        }
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = scan(&bytes, None);
    }

    #[test]
    fn few_hostile_values_never_panic(
        bytes in prop::collection::vec(prop_oneof![4 => Just(0u8), 1 => 0u8..6, 1 => any::<u8>()], 0..600),
    ) {
        let _ = scan(&bytes, None);
    }

    #[test]
    fn damaged_histories_never_panic(
        steps in prop::collection::vec(step(), 1..20),
        at in any::<prop::sample::Index>(),
        bit in 0u32..8,
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut bytes, _) = play(&steps, None);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        bytes.truncate(bytes.len() - cut.index(40).min(bytes.len()));
        if let Ok(scanned) = scan(&bytes, None) {
            let _ = scanned.all_remaining();
        }
    }
}
