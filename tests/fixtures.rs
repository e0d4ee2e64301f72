//! Every snapshot and log that LauraDB wrote, migrated and read back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what fails here fails the test"
)]

mod common;

use common::{
    Database, Directory, INSTANT, assert_error, ejson, fixture, fixtures, json_fixture, warnings,
};
use laura_migrate::document::bson::{OwnedDocument, RawDocument, RawValue};
use laura_migrate::document::json::{DocumentContext, JsonConverter};
use laura_migrate::document::{InferTypes, time::parse_rfc3339};
use laura_migrate::report::Outcome;
use laura_migrate::v2::metadata::IndexType;
use laura_migrate::{Code, Options};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Adds to the options what a fixture needs.
type Adjust = fn(&mut Options);

fn as_it_is(_: &mut Options) {}

fn skip_unsound(options: &mut Options) {
    let names = [
        "ttlneg",
        "ttlnil",
        "geo3d",
        "geo2f",
        "hash",
        "nofields",
        "nilfields",
        "dup_1",
    ];
    options.skip_indexes = names.map(str::to_owned).to_vec();
}

/// `collections` has two names of 256 bytes, an empty one and one with NUL.
fn rename_impossible(options: &mut Options) {
    let long = |unit: &str, count| unit.repeat(count);
    options.renames = vec![
        "=empty name".to_owned(),
        r#""nul\u0000name"=nul name"#.to_owned(),
        format!("{}=long m", long("m", 256)),
        format!("{}=long é", long("é", 128)),
    ];
}

const DESCRIBED: [(&str, Adjust); 10] = [
    ("all-types", as_it_is),
    ("all-types-crafted", as_it_is),
    ("all-types-pretty", as_it_is),
    ("collections", rename_impossible),
    ("decoded-array-docs", as_it_is),
    ("ids", as_it_is),
    ("index-crafted", skip_unsound),
    ("index-types", as_it_is),
    ("nulls", as_it_is),
    ("times", as_it_is),
];

/// Fixtures that other tests here migrate, or that are refused.
const OTHERS: [&str; 7] = [
    "ids-mixed",
    "large-100k",
    "large-4063",
    "large-4064",
    "large-5k",
    "reader-cases",
    "seed-10000",
];

#[test]
fn every_snapshot_is_covered() {
    let mut covered: Vec<&str> = DESCRIBED.iter().map(|(name, _)| *name).collect();
    covered.extend(OTHERS);
    covered.sort_unstable();
    let described = |name: &String| {
        let others = [".expected", ".golden", ".proof"];
        others.iter().any(|suffix| name.ends_with(suffix))
    };
    let mut found = fixtures("snapshots", ".json");
    found.retain(|name| !described(name));
    assert_eq!(found, covered);
}

fn renamed(options: &Options, name: &str) -> String {
    let new = options.renames.iter().find_map(|rename| {
        let (old, new) = rename.split_once('=').unwrap();
        let old = match old.starts_with('"') {
            true => serde_json::from_str::<String>(old).unwrap(),
            false => old.to_owned(),
        };
        (old == name).then(|| new.to_owned())
    });
    new.unwrap_or_else(|| name.to_owned())
}

/// What the description of a snapshot says of one collection.
#[derive(Default)]
struct Described {
    documents: Vec<Value>,
    indexes: Vec<Value>,
}

fn described(name: &str) -> BTreeMap<String, Described> {
    let description = json_fixture(&format!("snapshots/{name}.expected.json"));
    let mut collections: BTreeMap<String, Described> = BTreeMap::new();
    for item in description["items"].as_array().unwrap() {
        let collection = item["collection"].as_str().unwrap().to_owned();
        let collection = collections.entry(collection).or_default();
        match item["indexes"].as_array() {
            Some(indexes) => collection.indexes.clone_from(indexes),
            None => collection.documents.push(item.clone()),
        }
    }
    collections
}

/// A document's BSON as the library's own converter gives it, from the text in the description.
fn converted(collection: &str, ordinal: usize, text: &str) -> Vec<u8> {
    let mut bson = Vec::new();
    let context = DocumentContext {
        collection,
        ordinal: ordinal as u64,
    };
    let mut converter = JsonConverter::new(InferTypes::default());
    converter.convert(text, &context, &mut bson).unwrap();
    bson
}

/// Whether our value is the one that LauraDB restores, where it does not err: it rounds large
/// integers, and makes times of strings.
fn agrees(ours: RawValue<'_>, lauras: RawValue<'_>) -> bool {
    match (ours, lauras) {
        (RawValue::String(text), RawValue::Document(time)) => match time.get("$goTime") {
            Some(RawValue::String(time)) => {
                parse_rfc3339(text).is_some() && parse_rfc3339(text) == parse_rfc3339(time)
            }
            _ => false,
        },
        (RawValue::Int64(ours), RawValue::Int64(lauras)) => ours as f64 == lauras as f64,
        (RawValue::Int64(ours), RawValue::Double(lauras)) => {
            ours as f64 == lauras && lauras.abs() >= 9.2e18
        }
        (RawValue::Double(ours), RawValue::Int64(lauras)) => ours == lauras as f64,
        (RawValue::Document(ours), RawValue::Document(lauras))
        | (RawValue::Array(ours), RawValue::Array(lauras)) => {
            ours.elements().count() == lauras.elements().count()
                && ours
                    .elements()
                    .zip(lauras.elements())
                    .all(|((name, ours), (other, lauras))| name == other && agrees(ours, lauras))
        }
        (ours, lauras) => ours == lauras,
    }
}

fn assert_restored_alike(ours: &[u8], lauras: &Value) {
    let mut restored = Vec::new();
    laura_migrate::document::ejson::parse_fixture(&lauras.to_string(), &mut restored).unwrap();
    let (ours, restored) = (RawDocument::trusted(ours), RawDocument::trusted(&restored));
    // LauraDB gives a document no `_id` where we generate one.
    let generated = usize::from(restored.get("_id").is_none());
    let ours: OwnedDocument = ours.elements().skip(generated).collect();
    let id = restored.elements().filter(|(name, _)| *name == "_id");
    let others = restored.elements().filter(|(name, _)| *name != "_id");
    let restored: OwnedDocument = id.chain(others).collect();
    assert!(
        agrees(
            RawValue::Document(ours.as_raw()),
            RawValue::Document(restored.as_raw())
        ),
        "{} but LauraDB restores {lauras}",
        ejson(ours.as_bytes())
    );
}

#[test]
fn described_snapshots_come_back_as_described() {
    for (name, adjust) in DESCRIBED {
        let directory = Directory::of_fixture(&format!("{name}.json"));
        let mut options = directory.in_place();
        adjust(&mut options);
        let (report, database) = directory.migrated_with(options.clone());
        assert_eq!(report.outcome, Outcome::Migrated, "{name}");
        let described = described(name);
        assert_eq!(database.collections.len(), described.len(), "{name}");
        for (v1_name, expected) in described {
            let collection = database.collection(&renamed(&options, &v1_name));
            assert_eq!(collection.record.created_ns, INSTANT * 1_000_000_000);
            assert_eq!(collection.documents.len(), expected.documents.len());
            for (ordinal, (found, item)) in collection
                .documents
                .iter()
                .zip(&expected.documents)
                .enumerate()
            {
                if let Some(text) = item["json_text"].as_str() {
                    let expected = converted(&v1_name, ordinal, text);
                    assert_eq!(ejson(found), ejson(&expected), "{name}");
                    assert_eq!(*found, expected, "{name}");
                }
                if let Some(restored) = item.get("laura_restores_as") {
                    assert_restored_alike(found, restored);
                }
            }
            assert_indexes_are_described(collection, &expected.indexes, &options);
        }
    }
}

fn assert_indexes_are_described(
    collection: &common::Collection,
    described: &[Value],
    options: &Options,
) {
    let is_built = |index: &&Value| {
        let name = index["name"].as_str().unwrap();
        name != "_id_" && !options.skip_indexes.iter().any(|skipped| skipped == name)
    };
    let mut described: Vec<&Value> = described.iter().filter(is_built).collect();
    described.sort_by_key(|index| index["name"].as_str().unwrap());
    let names = described
        .iter()
        .map(|index| index["name"].as_str().unwrap());
    let names: Vec<&str> = std::iter::once("_id_").chain(names).collect();
    assert_eq!(collection.index_names(), names);
    for index in described {
        let found = &collection.index(index["name"].as_str().unwrap()).record;
        let fields: Vec<&str> = index["field_paths"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| field.as_str().unwrap())
            .collect();
        assert_eq!(found.fields, fields);
        assert_eq!(Some(found.unique), index["unique"].as_bool());
        assert_eq!(found.sparse, index["sparse"].as_bool().unwrap_or_default());
        let filter = found.filter.as_ref();
        let filter: Option<Value> = filter.map(|text| serde_json::from_str(text).unwrap());
        assert_eq!(filter.as_ref(), index.get("filter"));
        let parsed = found.parsed_options().unwrap();
        assert_eq!(parsed.expire_after_seconds, index["ttl_duration"].as_i64());
        let expected = match (index["type"].as_str().unwrap(), index["geo_type"].as_str()) {
            ("text", _) => IndexType::Text,
            ("geo", Some("2d")) => IndexType::Geo2d,
            ("geo", _) => IndexType::Geo2dSphere,
            _ => IndexType::Btree,
        };
        assert_eq!(found.index_type, expected);
    }
}

#[test]
fn the_seed_snapshot_has_the_digest_that_lauradb_gives_it() {
    let expected = json_fixture("snapshots/seed-10000.expected.json");
    let directory = Directory::of_fixture("seed-10000.json");
    let (_, database) = directory.migrated_with(directory.side_by_side());
    let users = database.collection("users");
    assert_eq!(users.documents.len(), 10_000);
    assert_eq!(users.lines()[0], expected["first_canonical_line"]);
    let mut lines = users.lines();
    lines.sort_unstable();
    let mut hasher = Sha256::new();
    for line in &lines {
        hasher.update(line.as_bytes());
        hasher.update(b"\n");
    }
    assert_eq!(hex(&hasher.finalize()), expected["canonical_sha256"]);

    assert_eq!(users.index_names(), ["_id_", "age_1", "email_1"]);
    for index in expected["indexes"].as_array().unwrap() {
        let found = users.index(index["name"].as_str().unwrap());
        assert_eq!(Some(found.record.unique), index["unique"].as_bool());
        assert_eq!(found.entries.len(), 10_000);
    }
    let ages = &users.index("age_1").statistics;
    assert_eq!(ages.unique_keys, expected["distinct_ages"]);
    assert_eq!((&*ages.min_key, &*ages.max_key), ("20", "79"));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[test]
fn large_documents_come_back_whole_and_too_large_ones_are_refused_by_name() {
    let expected = json_fixture("snapshots/large.expected.json");
    let files = expected["files"].as_array().unwrap();
    assert_eq!(files.len(), 8);
    std::thread::scope(|scope| {
        for file in files {
            scope.spawn(|| assert_large(file));
        }
    });
}

fn assert_large(file: &Value) {
    let name = file["file"].as_str().unwrap();
    let directory = Directory::of_fixture(name);
    let size = usize::try_from(file["big_bson_bytes"].as_u64().unwrap()).unwrap();
    if size > 16 << 20 {
        let error = directory.refused(directory.in_place());
        assert_error(&error, Code::DocumentTooLarge, "16777217");
        assert_eq!(error.place().id.as_deref(), Some("\"big\""), "{error:?}");
        assert_eq!(error.place().collection.as_deref(), Some("large"));
        return;
    }
    let (_, database) = directory.migrated();
    let large = database.collection("large");
    assert_eq!(large.ids(), [r#""small""#, r#""big""#, r#""tail""#]);
    let big = &large.documents[1];
    assert_eq!(big.len(), size, "{name}");
    let digest = hex(&Sha256::digest(big));
    assert_eq!(digest, file["big_bson_sha256_order_id_kind_payload"]);
    // 4063 bytes still lie in their slot; each overflow page carries 4072.
    let overflow_pages = match size {
        ..=4063 => 0,
        _ => size.div_ceil(4072),
    };
    let slotted_pages = large.page_count as usize - overflow_pages;
    assert!((1..=3).contains(&slotted_pages), "{name}: {slotted_pages}");
}

#[test]
fn snapshots_that_cannot_be_carried_are_refused() {
    let cases = [
        ("ids-mixed.json", Code::DuplicateId, "same _id"),
        ("collections.json", Code::CollectionName, ""),
        ("index-crafted.json", Code::IndexDefinition, ""),
    ];
    for (name, code, sentence) in cases {
        let directory = Directory::of_fixture(name);
        assert_error(&directory.refused_both_ways(), code, sentence);
    }
}

/// Each case with what becomes of it here; where LauraDB's restorer does otherwise, it would lose
/// or change something.
#[test]
fn reader_cases_end_as_described() {
    let outcomes: [(&str, Option<Code>); 25] = [
        ("minimal", None),
        ("trailing_garbage", Some(Code::SnapshotTrailing)),
        ("two_values", Some(Code::SnapshotTrailing)),
        ("leading_bom", Some(Code::SnapshotByteOrderMark)),
        ("empty_file", Some(Code::SnapshotEmpty)),
        ("truncated", Some(Code::SnapshotTruncated)),
        ("no_version", Some(Code::SnapshotShape)),
        ("version_2", Some(Code::SnapshotVersion)),
        ("version_number", Some(Code::SnapshotShape)),
        ("no_dbname", Some(Code::SnapshotShape)),
        ("no_collections", Some(Code::SnapshotShape)),
        ("collections_null", Some(Code::SnapshotShape)),
        ("no_timestamp", None),
        ("bad_timestamp", None),
        ("case_insensitive_keys", Some(Code::SnapshotShape)),
        ("unknown_keys", None),
        ("duplicate_keys_last_wins", Some(Code::SnapshotKeyTwice)),
        ("doc_id_number", Some(Code::DocumentId)),
        ("doc_dup_field", None),
        ("fields_has__id", Some(Code::DocumentId)),
        ("lone_surrogate_escape", Some(Code::DocumentSurrogate)),
        ("number_too_big", Some(Code::DocumentNumber)),
        ("collection_dup_name", Some(Code::CollectionTwice)),
        ("invalid_utf8_in_string", Some(Code::SnapshotUnicode)),
        ("control_char_in_string", Some(Code::SnapshotSyntax)),
    ];
    let cases = json_fixture("snapshots/reader-cases.json");
    let cases = cases["cases"].as_array().unwrap();
    assert_eq!(cases.len(), outcomes.len());
    for (case, (name, outcome)) in cases.iter().zip(outcomes) {
        assert_eq!(case["name"], name);
        let bytes: Vec<u8> = match case["input_hex"].as_str() {
            Some(hex) => unhex(hex),
            None => case["input"].as_str().unwrap().into(),
        };
        let directory = Directory::new().snapshot(bytes);
        match outcome {
            None => drop(directory.migrated()),
            Some(code) => {
                let error = directory.refused(directory.in_place());
                assert_eq!(error.code(), code, "{name}: {error:?}");
                let file = error.place().file.as_deref();
                assert_eq!(
                    file,
                    Some(&*directory.source().join("snapshot.json")),
                    "{name}"
                );
                assert!(error.hint_text().is_some(), "{name}: {error:?}");
            }
        }
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

type Contents = &'static [(&'static str, &'static [&'static str])];

/// `ops-small` whole: its last record deletes "a".
const SMALL: Contents = &[("c", &[r#"{"_id":"b","n":{"$numberLong":"3"}}"#])];

/// `ops-small` without its last record.
const SMALL_CUT: Contents = &[(
    "c",
    &[
        r#"{"_id":"a","n":{"$numberLong":"2"}}"#,
        r#"{"_id":"b","n":{"$numberLong":"3"}}"#,
    ],
)];

/// Documents by collection, as the notes of the fixtures tell them; in the order of the records
/// of their last effective operations.
const LOGS: [(&str, Contents); 18] = [
    ("corrupt-datalen-last-plus1", SMALL_CUT),
    ("corrupt-prevlsn", SMALL),
    // Its update belongs to a transaction that never commits.
    ("corrupt-txn", SMALL),
    ("ops-small", SMALL),
    ("torn-at-boundary", SMALL_CUT),
    ("torn-data-0", SMALL_CUT),
    ("torn-data-1", SMALL_CUT),
    ("torn-data-collname", SMALL_CUT),
    ("torn-data-last-byte", SMALL_CUT),
    ("torn-header-29", SMALL_CUT),
    ("torn-header-32", SMALL_CUT),
    ("torn-header-7", SMALL_CUT),
    ("torn-header-8", SMALL_CUT),
    ("torn-header-9", SMALL_CUT),
    ("torn-zero-tail", SMALL),
    (
        "txn-order",
        &[("a", &[r#"{"_id":"x","v":"t1 first in log"}"#])],
    ),
    (
        "ops",
        &[
            ("ints", &[r#"{"_id":{"$numberLong":"42"},"e":""}"#]),
            ("kolekce-ž", &[r#"{"_id":"k1","v":"😀"}"#]),
            (
                "objects",
                &[
                    r#"{"_id":{"$oid":"507f1f77bcf86cd799439011"},"bin":{"$binary":{"base64":"AAH/","subType":"00"}},"i32":{"$numberInt":"7"}}"#,
                ],
            ),
            (
                "users",
                &[
                    // Type 0x11, which LauraDB itself reads as an integer.
                    r#"{"_id":"ts","at":{"$timestamp":{"t":0,"i":1705314600}}}"#,
                    r#"{"_id":"user_1","name":"Alice","age":{"$numberLong":"31"},"city":"Praha"}"#,
                    r#"{"_id":"never_inserted","up":"sert?"}"#,
                    r#"{"_id":"user_2","name":"Bob again"}"#,
                ],
            ),
        ],
    ),
    (
        "txns",
        &[
            (
                "a",
                &[
                    r#"{"_id":"t1-1","v":{"$numberLong":"1"}}"#,
                    r#"{"_id":"t2-1","v":{"$numberLong":"1"}}"#,
                    r#"{"_id":"auto-1","v":"updated by t2 (commits)"}"#,
                    r#"{"_id":"auto-2","v":{"$numberLong":"2"}}"#,
                ],
            ),
            ("b", &[]),
        ],
    ),
];

/// Logs in which nothing takes effect.
const IDLE: [&str; 4] = ["checkpoints", "empty", "torn-1-byte", "torn-first-record"];

/// What is wrong with a log: code, offset and LSN of the record.
type Damage = (&'static str, Code, u64, u64);

const DAMAGED: [Damage; 21] = [
    ("corrupt-bson-len-big", Code::WalPayload, 63, 2),
    ("corrupt-bson-len-small", Code::WalPayload, 63, 2),
    ("corrupt-bson-no-terminator", Code::WalPayload, 63, 2),
    ("corrupt-bson-type", Code::WalPayload, 63, 2),
    ("corrupt-collname-empty", Code::WalPayload, 63, 2),
    ("corrupt-collname-len", Code::WalPayload, 63, 2),
    ("corrupt-collname-utf8", Code::WalPayload, 63, 2),
    ("corrupt-datalen-16m", Code::WalLength, 63, 2),
    ("corrupt-datalen-ffffffff", Code::WalLength, 63, 2),
    ("corrupt-datalen-minus1", Code::WalPayload, 63, 2),
    ("corrupt-datalen-plus1", Code::WalPayload, 63, 2),
    ("corrupt-datalen-zero", Code::WalPayload, 63, 2),
    ("corrupt-garbage-prefix", Code::WalLength, 0, 16_974_337),
    ("corrupt-lsn", Code::WalCorrupt, 126, 3),
    ("corrupt-lsn-low", Code::WalCorrupt, 126, 3),
    ("corrupt-pageid", Code::WalPageRecord, 63, 2),
    ("corrupt-type255-last", Code::WalCorrupt, 189, 4),
    ("corrupt-type9", Code::WalCorrupt, 63, 2),
    ("delete-extra-fields", Code::WalPayload, 67, 2),
    ("example-basic/wal", Code::WalPayload, 0, 1),
    ("opaque", Code::WalPageRecord, 0, 1),
];

#[test]
fn every_log_is_covered() {
    let mut covered: Vec<&str> = LOGS.iter().map(|(name, _)| *name).collect();
    covered.extend(IDLE);
    let damaged = DAMAGED.iter().map(|(name, ..)| *name);
    covered.extend(damaged.filter(|name| !name.contains('/')));
    covered.sort_unstable();
    assert_eq!(fixtures("wal", ".log"), covered);
}

#[track_caller]
fn assert_contents(database: &Database, contents: Contents) {
    let names: Vec<&str> = contents.iter().map(|(name, _)| *name).collect();
    assert_eq!(database.names(), names);
    for (name, documents) in contents {
        database.collection(name).assert_documents(documents);
    }
}

#[test]
fn logs_alone_come_back_as_described() {
    for (name, contents) in LOGS {
        let directory = Directory::new().wal(fixture(&format!("wal/{name}.log")));
        let (report, database) = directory.migrated();
        assert_eq!(report.outcome, Outcome::Migrated);
        assert_contents(&database, contents);
    }
}

/// A snapshot whose documents the logs of `ops-small` change, or leave alone.
fn snapshot_under_small(metadata: &Value) -> String {
    serde_json::json!({
        "version": "1.0",
        "database_name": "default",
        "collections": [
            {"name": "c", "documents": [
                {"_id": "first", "fields": {"n": 0}},
                {"_id": "b", "fields": {"n": 0}},
                {"_id": "a", "fields": {"n": 0}},
                {"_id": "last", "fields": {"n": 0}},
            ]},
            {"name": "other", "documents": [{"_id": "a"}]},
        ],
        "metadata": metadata,
    })
    .to_string()
}

const FIRST: &str = r#"{"_id":"first","n":{"$numberLong":"0"}}"#;
const LAST: &str = r#"{"_id":"last","n":{"$numberLong":"0"}}"#;

#[test]
fn logs_apply_to_the_snapshot_in_place_of_the_documents_they_change() {
    for (name, contents) in LOGS {
        let [("c", small)] = contents else { continue };
        let directory = Directory::new()
            .snapshot(snapshot_under_small(&serde_json::json!({})))
            .wal(fixture(&format!("wal/{name}.log")));
        let (_, database) = directory.migrated();
        // "b" stands before "a" in the snapshot, and stays there.
        let b = small.last().unwrap();
        let a = (small.len() > 1).then(|| small[0]);
        let expected: Vec<&str> = [FIRST, b].into_iter().chain(a).chain([LAST]).collect();
        database.collection("c").assert_documents(&expected);
        database
            .collection("other")
            .assert_documents(&[r#"{"_id":"a"}"#]);
    }
}

#[test]
fn replay_starts_after_the_lsn_that_the_snapshot_names() {
    let a = |n: u64| format!(r#"{{"_id":"a","n":{{"$numberLong":"{n}"}}}}"#);
    let b = |n: u64| format!(r#"{{"_id":"b","n":{{"$numberLong":"{n}"}}}}"#);
    let after = |lsn: u64| -> Vec<String> {
        let directory = Directory::new()
            .snapshot(snapshot_under_small(&serde_json::json!({"wal_lsn": lsn})))
            .wal(fixture("wal/ops-small.log"));
        let (_, database) = directory.migrated();
        database.collection("c").lines()
    };
    let whole = [FIRST.to_owned(), b(3), LAST.to_owned()];
    for lsn in 0..=2 {
        assert_eq!(after(lsn), whole, "{lsn}");
    }
    assert_eq!(after(3), [FIRST.to_owned(), b(0), LAST.to_owned()]);
    for lsn in [4, u64::MAX] {
        assert_eq!(after(lsn), [FIRST.to_owned(), b(0), a(0), LAST.to_owned()]);
    }
    for lsn in [
        serde_json::json!(-1),
        serde_json::json!("4"),
        serde_json::json!(1.5),
    ] {
        let directory = Directory::new()
            .snapshot(snapshot_under_small(&serde_json::json!({"wal_lsn": lsn})))
            .wal(fixture("wal/ops-small.log"));
        let error = directory.refused(directory.in_place());
        assert_error(&error, Code::SnapshotShape, "wal_lsn");
    }
}

#[test]
fn transactions_count_by_the_lsn_of_their_commit() {
    let snapshot = serde_json::json!({
        "version": "1.0",
        "database_name": "default",
        "collections": [],
        // Transaction 1 commits at 7, transaction 2 later, with operations before 7.
        "metadata": {"wal_lsn": 7},
    });
    let directory = Directory::new()
        .snapshot(snapshot.to_string())
        .wal(fixture("wal/txns.log"));
    let (report, database) = directory.migrated();
    let a = database.collection("a");
    a.assert_documents(&[
        r#"{"_id":"t2-1","v":{"$numberLong":"1"}}"#,
        r#"{"_id":"auto-1","v":"updated by t2 (commits)"}"#,
        r#"{"_id":"auto-2","v":{"$numberLong":"2"}}"#,
    ]);
    // Only its delete of "t1-2" is after the snapshot, which creates no collection.
    assert_eq!(database.names(), ["a"]);
    let wal = report.wal.unwrap();
    assert_eq!(
        (wal.operations.before_snapshot, wal.operations.aborted),
        (3, 2)
    );
}

#[test]
fn logs_without_effect_leave_nothing_to_migrate() {
    for name in IDLE {
        let directory = Directory::new().wal(fixture(&format!("wal/{name}.log")));
        let error = directory.refused_both_ways();
        assert_error(&error, Code::NothingToMigrate, "no snapshot");
        // Over a snapshot they change nothing.
        let directory = Directory::new()
            .snapshot(snapshot_under_small(&serde_json::json!({})))
            .wal(fixture(&format!("wal/{name}.log")));
        let (_, database) = directory.migrated();
        assert_eq!(database.collection("c").documents.len(), 4);
    }
}

#[test]
fn damaged_logs_are_refused_where_they_are_damaged() {
    for (name, code, offset, lsn) in DAMAGED {
        for with_snapshot in [false, true] {
            let log = fixture(&format!("wal/{name}.log"));
            let mut directory = Directory::new().wal(log);
            if with_snapshot {
                let metadata = serde_json::json!({"wal_lsn": u64::MAX});
                directory = directory.snapshot(snapshot_under_small(&metadata));
            }
            let error = directory.refused(directory.in_place());
            assert_error(&error, code, "");
            let place = error.place();
            let file = directory.source().join("wal.log");
            assert_eq!(place.file.as_deref(), Some(&*file), "{name}");
            let found = (place.offset, place.lsn);
            assert_eq!(found, (Some(offset), Some(lsn)), "{name}: {error:?}");
        }
    }
}

#[test]
fn a_log_cut_anywhere_keeps_its_whole_records() {
    let description = json_fixture("wal/torn-all-lengths.expected.json");
    let log = fixture(&format!("wal/{}", description["file"].as_str().unwrap()));
    let offsets = description["record_offsets"].as_array().unwrap();
    let mut ends: Vec<usize> = offsets
        .iter()
        .skip(1)
        .map(|offset| usize::try_from(offset.as_u64().unwrap()).unwrap())
        .collect();
    ends.push(log.len());
    let a = |n: u64| format!(r#"{{"_id":"a","n":{{"$numberLong":"{n}"}}}}"#);
    let b = r#"{"_id":"b","n":{"$numberLong":"3"}}"#.to_owned();
    let states = [
        vec![],
        vec![a(1)],
        vec![a(2)],
        vec![a(2), b.clone()],
        vec![b],
    ];
    for len in (0..=log.len()).step_by(3).chain(ends.clone()) {
        let whole = ends.iter().filter(|end| **end <= len).count();
        let directory = Directory::new().wal(&log[..len]);
        if whole == 0 {
            let error = directory.refused(directory.in_place());
            assert_error(&error, Code::NothingToMigrate, "no snapshot");
            continue;
        }
        let (report, database) = directory.migrated();
        assert_eq!(database.collection("c").lines(), states[whole], "{len}");
        let torn = report.warnings.iter().filter(|w| w.code == Code::TornTail);
        assert_eq!(torn.count(), usize::from(!ends.contains(&len)), "{len}");
    }
}

#[test]
fn what_a_snapshot_has_lost_is_warned_of() {
    let cases = [
        ("decoded-array-docs.json", Code::EmptiedArrays),
        ("nulls.json", Code::GeneratedIds),
    ];
    for (name, code) in cases {
        let directory = Directory::of_fixture(name);
        let (report, _) = directory.migrated();
        assert_eq!(warnings(&report), [code], "{name}");
    }
}

#[test]
fn a_data_file_that_lauradb_filled_is_warned_of_and_kept() {
    let directory = Directory::of_fixture("times.json")
        .file("data.db", fixture("head-datadir/data.db"))
        .wal(fixture("head-datadir/wal.log"));
    let data = fixture("head-datadir/data.db");
    let (report, _) = directory.migrated();
    assert_eq!(warnings(&report), [Code::UnlistedPages]);
    let kept = directory.source().join(".lauradb-v1/data.db");
    assert_eq!(std::fs::read(kept).unwrap(), data);

    let alone = Directory::new()
        .file("data.db", &data)
        .wal(fixture("head-datadir/wal.log"));
    let error = alone.refused_both_ways();
    assert_error(&error, Code::NothingToMigrate, "data.db holds");
}
