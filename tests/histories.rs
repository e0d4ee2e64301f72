//! Random write-ahead logs over random snapshots, through a whole migration, against a plain map.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "what fails here fails the test"
)]

mod common;

use common::{Database, Directory, Log, bson, ejson, run};
use laura_migrate::Code;
use laura_migrate::v1::wal::RecordKind;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Step {
    Operation {
        kind: RecordKind,
        txn_id: u64,
        id: u8,
        value: String,
    },
    Commit(u64),
    Abort(u64),
    Checkpoint,
}

/// A value of any of the types, as Extended JSON.
fn value() -> impl Strategy<Value = String> {
    let typed = |name: &'static str| move |text: String| format!(r#"{{"{name}":"{text}"}}"#);
    let scalar = prop_oneof![
        any::<i32>()
            .prop_map(|n| n.to_string())
            .prop_map(typed("$numberInt")),
        any::<i64>()
            .prop_map(|n| n.to_string())
            .prop_map(typed("$numberLong")),
        (-1e300..1e300)
            .prop_map(|n: f64| format!("{n:?}"))
            .prop_map(typed("$numberDouble")),
        prop_oneof![
            Just("NaN"),
            Just("Infinity"),
            Just("-Infinity"),
            Just("-0.0")
        ]
        .prop_map(str::to_owned)
        .prop_map(typed("$numberDouble")),
        "[0-9a-f]{24}".prop_map(typed("$oid")),
        any::<String>().prop_map(|text| json!(text).to_string()),
        // A string that LauraDB would restore as another type, which the log never is.
        "[0-9a-f]{24}".prop_map(|text| json!(text).to_string()),
        any::<bool>().prop_map(|flag| flag.to_string()),
        Just("null".to_owned()),
        (any::<u32>(), any::<u32>())
            .prop_map(|(t, i)| format!(r#"{{"$timestamp":{{"t":{t},"i":{i}}}}}"#)),
        Just(r#"{"$binary":{"base64":"AAH/","subType":"00"}}"#.to_owned()),
        // Larger than a page.
        (4000_usize..9000).prop_map(|length| json!("x".repeat(length)).to_string()),
    ];
    scalar.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|values| format!("[{}]", values.join(","))),
            prop::collection::vec(inner, 0..4).prop_map(|values| {
                let fields = values.iter().enumerate();
                let fields: Vec<_> = fields
                    .map(|(n, value)| format!(r#""f{n}":{value}"#))
                    .collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    })
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        Just(RecordKind::Insert),
        Just(RecordKind::Update),
        Just(RecordKind::Delete)
    ];
    let operation = (kind, 0_u64..4, 0_u8..12, value());
    prop_oneof![
        10 => operation.prop_map(|(kind, txn_id, id, value)| Step::Operation { kind, txn_id, id, value }),
        2 => (1_u64..4).prop_map(Step::Commit),
        1 => (1_u64..4).prop_map(Step::Abort),
        1 => Just(Step::Checkpoint),
    ]
}

/// What is left of documents, by `_id`, as Extended JSON.
type Model = BTreeMap<u8, String>;

fn document(id: u8, value: &str) -> String {
    format!(r#"{{"_id":"k{id}","v":{value}}}"#)
}

fn apply(model: &mut Model, kind: RecordKind, id: u8, value: &str) {
    match kind {
        RecordKind::Delete => drop(model.remove(&id)),
        _ => drop(model.insert(id, ejson(&bson(&document(id, value))))),
    }
}

/// The log's bytes, and where each record ends.
fn log_of(steps: &[Step]) -> (Vec<u8>, Vec<usize>) {
    let mut ends = Vec::new();
    let mut log = Log::new();
    for number in 0..steps.len() {
        let mut before = Log::new();
        for step in &steps[..=number] {
            before = write(before, step);
        }
        ends.push(before.bytes().len());
    }
    for step in steps {
        log = write(log, step);
    }
    (log.bytes(), ends)
}

fn write(log: Log, step: &Step) -> Log {
    match step {
        Step::Operation {
            kind,
            txn_id,
            id,
            value,
        } => {
            let text = match kind {
                RecordKind::Delete => format!(r#"{{"_id":"k{id}"}}"#),
                _ => document(*id, value),
            };
            log.operation(*kind, *txn_id, "c", &text)
        }
        Step::Commit(txn_id) => log.commit(*txn_id),
        Step::Abort(txn_id) => log.abort(*txn_id),
        Step::Checkpoint => log.checkpoint(),
    }
}

fn replay(model: &mut Model, steps: &[Step]) {
    let mut open: BTreeMap<u64, Vec<(RecordKind, u8, &str)>> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Operation {
                kind,
                txn_id: 0,
                id,
                value,
            } => apply(model, *kind, *id, value),
            Step::Operation {
                kind,
                txn_id,
                id,
                value,
            } => {
                open.entry(*txn_id).or_default().push((*kind, *id, value));
            }
            Step::Commit(txn_id) => {
                for (kind, id, value) in open.remove(txn_id).unwrap_or_default() {
                    apply(model, kind, id, value);
                }
            }
            Step::Abort(txn_id) => drop(open.remove(txn_id)),
            Step::Checkpoint => {}
        }
    }
}

const HEADER: usize = 33;

/// True if records stand somewhere behind the header of the torn record at `torn`, as far as the
/// format's rule can tell, and end with the file: its length counts as damaged then. Random values
/// happen to hold such bytes.
fn seems_damaged(log: &[u8], torn: usize, last_lsn: u64) -> bool {
    let is_chain = |start: usize| {
        let (mut at, mut lsn) = (start, last_lsn);
        while at < log.len() {
            let Some(header) = log.get(at..at + HEADER) else {
                return false;
            };
            let next = u64::from_le_bytes(header[..8].try_into().unwrap());
            let length = u32::from_le_bytes(header[29..].try_into().unwrap());
            at += HEADER + usize::try_from(length).unwrap();
            if next <= lsn || header[8] > 5 || at > log.len() {
                return false;
            }
            lsn = next;
        }
        true
    };
    (torn + HEADER..log.len()).any(is_chain)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// A log that is cut anywhere is replayed up to its last whole record.
    #[test]
    fn a_migration_leaves_what_a_map_would(
        snapshot in prop::collection::btree_set(0_u8..12, 0..8),
        steps in prop::collection::vec(step(), 0..25),
        cut in any::<prop::sample::Index>(),
        is_torn in any::<bool>(),
    ) {
        let mut model = Model::new();
        let mut documents = Vec::new();
        for id in snapshot {
            documents.push(json!({"_id": format!("k{id}"), "fields": {"v": id}}));
            apply(&mut model, RecordKind::Insert, id, &format!(r#"{{"$numberLong":"{id}"}}"#));
        }
        let (mut bytes, ends) = log_of(&steps);
        let mut whole = steps.len();
        if is_torn && !bytes.is_empty() {
            let length = cut.index(bytes.len());
            bytes.truncate(length);
            whole = ends.iter().filter(|end| **end <= length).count();
        }
        replay(&mut model, &steps[..whole]);
        let directory = Directory::of_collections(
            &json!([{"name": "c", "documents": documents, "indexes": []}]),
        )
        .wal(&bytes);
        let last_lsn = whole as u64;
        let torn = whole.checked_sub(1).map_or(0, |last| ends[last]);
        if torn < bytes.len() && seems_damaged(&bytes, torn, last_lsn) {
            let error = run(directory.in_place()).unwrap_err();
            prop_assert_eq!(error.code(), Code::WalLength);
            return Ok(());
        }
        run(directory.in_place()).unwrap();
        let database = Database::read(&directory.source());
        let collection = database.collection("c");
        let mut found = collection.lines();
        found.sort();
        let mut expected: Vec<_> = model.into_values().collect();
        expected.sort();
        prop_assert_eq!(&found, &expected);
        prop_assert_eq!(collection.index("_id_").entries.len(), expected.len());
    }
}
