//! The generator of test data writes what LauraDB would, and nothing that depends on chance.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here fails the test"
)]

#[path = "../examples/generate/mod.rs"]
mod generate;

use generate::{IndexChoice, Options, Shape};
use laura_migrate::document::bson;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

fn options(dir: &Path) -> Options {
    Options {
        dir: dir.to_path_buf(),
        docs: 10_000,
        collections: 1,
        shape: Shape::Seed,
        seed: 1,
        wal_ops: 0,
        wal_transactions: false,
        indexes: None,
        database: "seed".to_owned(),
        pages: false,
        timestamp: "2025-01-15T10:30:00.123456789Z".to_owned(),
    }
}

fn snapshot(options: &Options) -> serde_json::Value {
    generate::run(options).unwrap();
    let text = fs::read_to_string(options.dir.join("snapshot.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A record, read by hand: LSN, type, transaction, payload.
type Record = (u64, u8, u64, Vec<u8>);

fn records(log: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    let mut rest = log;
    while !rest.is_empty() {
        let u64_at = |at: usize| u64::from_le_bytes(rest[at..at + 8].try_into().unwrap());
        assert_eq!(rest[17..29], [0; 12], "page_id and prev_lsn");
        let data_len = u32::from_le_bytes(rest[29..33].try_into().unwrap()) as usize;
        let data = rest[33..33 + data_len].to_vec();
        records.push((u64_at(0), rest[8], u64_at(9), data));
        rest = &rest[33 + data_len..];
    }
    records
}

#[test]
fn seed_shape_is_lauradbs_own_file() {
    let dir = tempfile::tempdir().unwrap();
    generate::run(&options(dir.path())).unwrap();
    let written = fs::read(dir.path().join("snapshot.json")).unwrap();
    let fixture =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/laura/snapshots/seed-10000.json");
    assert!(written == fs::read(fixture).unwrap());
    assert!(!dir.path().join("wal.log").exists());
}

#[test]
fn a_directory_with_a_snapshot_is_refused() {
    for name in [
        "snapshot.json",
        "backup-1.json",
        "nightly-backup.json",
        "wal.log",
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), "kept").unwrap();
        let error = generate::run(&options(dir.path())).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

#[test]
fn documents_are_split_evenly_over_collections() {
    let dir = tempfile::tempdir().unwrap();
    let json = snapshot(&Options {
        docs: 1000,
        collections: 7,
        indexes: Some(vec![IndexChoice::None]),
        ..options(dir.path())
    });
    let collections = json["collections"].as_array().unwrap();
    assert_eq!(collections.len(), 7);
    assert_eq!(collections[0]["name"], "users_0001");
    assert_eq!(collections[6]["name"], "users_0007");
    let mut ids = HashSet::new();
    for collection in collections {
        let documents = collection["documents"].as_array().unwrap();
        assert!((142..=143).contains(&documents.len()));
        assert!(collection["indexes"].as_array().unwrap().is_empty());
        ids.extend(documents.iter().map(|document| document["_id"].to_string()));
    }
    assert_eq!(ids.len(), 1000);
}

#[test]
fn rich_shape_is_varied_and_sorted_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        docs: 500,
        shape: Shape::Rich,
        ..options(dir.path())
    };
    let json = snapshot(&options);
    let bytes = fs::metadata(dir.path().join("snapshot.json"))
        .unwrap()
        .len();
    assert!((500..800).contains(&(bytes / 500)), "{bytes}");
    let documents = json["collections"][0]["documents"].as_array().unwrap();
    let first = documents[0]["fields"].as_object().unwrap();
    let text = fs::read_to_string(dir.path().join("snapshot.json")).unwrap();
    let fields = &text[text.find(r#""fields":"#).unwrap()..];
    let places = first
        .keys()
        .map(|name| fields.find(&format!("\"{name}\":")));
    assert!(places.is_sorted_by(|one, next| one.is_some() && one < next));
    let emails: HashSet<_> = documents
        .iter()
        .map(|document| &document["fields"]["email"])
        .collect();
    assert_eq!(emails.len(), 500);
    assert_eq!(
        json["collections"][0]["indexes"].as_array().unwrap().len(),
        8
    );
    assert!(text.contains(r"\u003cb\u003e") && !text.contains("<b>"));
}

#[test]
fn the_log_is_framed_and_closed_cleanly() {
    for shape in [Shape::Seed, Shape::Rich, Shape::Words] {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            docs: 300,
            collections: 3,
            shape,
            wal_ops: 1000,
            ..options(dir.path())
        };
        generate::run(&options).unwrap();
        let records = records(&fs::read(dir.path().join("wal.log")).unwrap());
        assert_eq!(records.len(), 1001);
        assert_eq!(records.last(), Some(&(1001, 3, 0, Vec::new())));
        let mut kinds = BTreeMap::new();
        for (at, (lsn, kind, txn_id, data)) in records.iter().take(1000).enumerate() {
            assert_eq!((*lsn, *txn_id), (at as u64 + 1, 0));
            *kinds.entry(*kind).or_insert(0) += 1;
            assert_eq!(data[..2], [10, 0]);
            assert!(data[2..12].starts_with(b"users_000"));
            let document = bson::check(&data[12..]).unwrap();
            let fields = document.elements().count();
            assert_eq!(document.elements().next().unwrap().0, "_id");
            assert_eq!(fields == 1, *kind == 2);
        }
        assert!((350..450).contains(&kinds[&0]), "{kinds:?}");
        assert!((350..450).contains(&kinds[&1]), "{kinds:?}");
        assert!((150..250).contains(&kinds[&2]), "{kinds:?}");
    }
}

#[test]
fn transactions_commit_abort_or_stay_open() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        wal_ops: 400,
        wal_transactions: true,
        ..options(dir.path())
    };
    generate::run(&options).unwrap();
    let records = records(&fs::read(dir.path().join("wal.log")).unwrap());
    let ended = |kind: u8| -> HashSet<u64> {
        let ends = records.iter().filter(|record| record.1 == kind);
        ends.map(|record| record.2).collect()
    };
    let used: HashSet<u64> = records.iter().map(|record| record.2).collect();
    let (committed, aborted) = (ended(4), ended(5));
    assert_eq!((used.len(), committed.len(), aborted.len()), (11, 7, 2));
    assert!(used.contains(&10) && !committed.contains(&10) && !aborted.contains(&10));
    let outside = records
        .iter()
        .filter(|record| record.1 < 3 && record.2 == 0);
    assert_eq!(outside.count(), 200);
}

#[test]
fn the_same_options_give_the_same_bytes() {
    let run = |seed| {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            docs: 200,
            shape: Shape::Rich,
            seed,
            wal_ops: 100,
            wal_transactions: true,
            ..options(dir.path())
        };
        generate::run(&options).unwrap();
        ["snapshot.json", "wal.log"].map(|name| fs::read(dir.path().join(name)).unwrap())
    };
    let (first, second, other) = (run(1), run(1), run(2));
    assert!(first == second);
    assert!(first[0] != other[0] && first[1] != other[1]);
}
