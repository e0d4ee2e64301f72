//! One suite over the three stores, and what each promises besides.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    reason = "a test fails by panicking; its numbers are small"
)]

mod common;
mod store_support;

use common::Directory;
use laura_migrate::document::bson::{OwnedDocument, RawValue};
use laura_migrate::files::{Dir, Gate};
use laura_migrate::store::{
    DiskStore, DocumentStore, ForceMode, HybridStore, MemoryStore, StoreConfig, StoreMode, open,
};
use laura_migrate::{Code, Error};
use serde_json::json;
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use store_support::*;

/// An empty store of each kind.
fn each(test: impl Fn(Box<dyn DocumentStore>, &dyn Fn(Box<dyn DocumentStore>))) {
    test(Box::new(MemoryStore::new()), &|_| {});
    for hybrid in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            enable_hybrid_mode: hybrid,
            ..config()
        };
        let store = open(home.path(), &config).unwrap();
        let expected = if hybrid {
            StoreMode::Hybrid
        } else {
            StoreMode::Disk
        };
        assert_eq!(store.mode(), expected);
        test(store, &|store| {
            store.close().unwrap();
            assert_sound(home.path());
            assert_valid(home.path());
        });
    }
}

fn number(n: i64) -> RawValue<'static> {
    RawValue::Int64(n)
}

#[test]
fn what_is_written_is_found_in_every_store() {
    each(|mut store, done| {
        store.create_collection("c", &all_indexes()).unwrap();
        for n in 0..300 {
            let text = format!("text {}", n % 7);
            let fields = [
                ("n", number(n % 100)),
                ("s", RawValue::String(&text)),
                ("u", number(-n)),
                ("t", RawValue::Timestamp(1000 + n)),
            ];
            store.insert("c", document(n, &fields).as_raw()).unwrap();
        }
        assert_indexes_agree(&*store, "c");
        assert_eq!(store.count("c").unwrap(), 300);
        let long = "x".repeat(20_000);
        for n in (0..300).step_by(3) {
            let changed = document(n, &[("n", number(n)), ("s", RawValue::String(&long))]);
            assert!(store.update("c", changed.as_raw()).unwrap());
            assert_eq!(*store.find("c", number(n)).unwrap().unwrap(), changed);
        }
        assert_indexes_agree(&*store, "c");
        for n in (0..300).step_by(2) {
            assert!(store.delete("c", RawValue::Double(n as f64)).unwrap());
            assert!(!store.delete("c", number(n)).unwrap());
            assert!(store.find("c", number(n)).unwrap().is_none());
        }
        assert_indexes_agree(&*store, "c");
        assert_eq!(store.count("c").unwrap(), 150);
        let mut many = 0;
        let low = [number(10)];
        let high = [number(20)];
        let bounds = (Bound::Included(&low[..]), Bound::Excluded(&high[..]));
        store
            .range("c", "_id_", bounds, &mut |_| {
                many += 1;
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        assert_eq!(many, 5);
        for n in 0..300 {
            store.delete("c", number(n)).unwrap();
        }
        assert_eq!(store.count("c").unwrap(), 0);
        assert_indexes_agree(&*store, "c");
        done(store);
    });
}

#[test]
fn a_refused_operation_changes_nothing_in_any_store() {
    each(|mut store, done| {
        store.create_collection("c", &all_indexes()).unwrap();
        let code = |result: laura_migrate::Result<()>| result.unwrap_err().code();
        assert_eq!(
            code(store.create_collection("c", &[])),
            Code::StoreCollection
        );
        assert_eq!(code(store.create_collection("", &[])), Code::CollectionName);
        let one = document(1, &[("u", number(5))]);
        store.insert("c", one.as_raw()).unwrap();
        assert_eq!(
            code(store.insert("none", one.as_raw())),
            Code::StoreCollection
        );
        assert_eq!(code(store.insert("c", one.as_raw())), Code::DuplicateId);
        let same_key = document(2, &[("u", RawValue::Double(5.0))]);
        assert_eq!(
            code(store.insert("c", same_key.as_raw())),
            Code::DuplicateKey
        );
        let nameless: OwnedDocument = [("u", number(6))].into_iter().collect();
        assert_eq!(
            code(store.insert("c", nameless.as_raw())),
            Code::StoreDocument
        );
        let other = document(2, &[("u", number(6))]);
        store.insert("c", other.as_raw()).unwrap();
        let error = store.update("c", same_key.as_raw()).unwrap_err();
        assert_eq!(error.code(), Code::DuplicateKey);
        let third = document(3, &[]);
        let batch = [third.as_raw(), one.as_raw()];
        assert_eq!(code(store.insert_many("c", &batch)), Code::DuplicateId);
        // A transaction can go on without what was refused.
        store
            .transaction(&mut |transaction| {
                assert!(transaction.insert("c", one.as_raw()).is_err());
                transaction.insert("c", third.as_raw())?;
                assert!(transaction.find("c", number(3))?.is_some());
                assert!(transaction.delete("c", number(2))?);
                transaction.insert("c", other.as_raw())
            })
            .unwrap();
        let stopped = store.transaction(&mut |transaction| {
            assert!(transaction.delete("c", number(1))?);
            Err(Error::new(Code::Cancelled, "enough"))
        });
        assert_eq!(code(stopped), Code::Cancelled);
        assert_eq!(scanned(&*store, "c").len(), 3);
        assert_indexes_agree(&*store, "c");
        done(store);
    });
}

#[test]
fn keys_that_agree_in_all_that_is_stored_are_told_apart() {
    each(|mut store, done| {
        let indexes = [index("s_1", &["s"], false), index("u_1", &["u"], true)];
        store.create_collection("c", &indexes).unwrap();
        let long = |n: i64| format!("{}{:03}", "x".repeat(1500), n);
        for n in (0..60).rev() {
            let text = long(n);
            let fields = [
                ("s", RawValue::String(&text)),
                ("u", RawValue::String(&text)),
            ];
            store.insert("c", document(n, &fields).as_raw()).unwrap();
        }
        assert_indexes_agree(&*store, "c");
        let text = long(7);
        let taken = document(100, &[("u", RawValue::String(&text))]);
        let error = store.insert("c", taken.as_raw()).unwrap_err();
        assert_eq!(error.code(), Code::DuplicateKey);
        let mut found = 0;
        store
            .lookup("c", "s_1", &[RawValue::String(&text)], &mut |document| {
                assert_eq!(document.get("_id"), Some(number(7)));
                found += 1;
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        assert_eq!(found, 1);
        for n in (0..60).step_by(2) {
            assert!(store.delete("c", number(n)).unwrap());
        }
        assert_indexes_agree(&*store, "c");
        let _ = &done;
    });
}

fn migrated() -> Directory {
    let users: Vec<_> = (0..200)
        .map(|n| json!({"_id": format!("u{n}"), "fields": {"name": format!("N {n}"), "age": n}}))
        .collect();
    let indexes = json!([{"name":"age_1","type":"btree","field_paths":["age"],"unique":true}]);
    let directory = Directory::of_collections(&json!([
        {"name":"users","documents":users,"indexes":indexes}
    ]));
    common::run(directory.in_place()).unwrap();
    directory
}

fn bob() -> OwnedDocument {
    let fields = [
        ("_id", RawValue::String("bob")),
        ("name", RawValue::String("Bob")),
        ("age", RawValue::Int64(1000)),
    ];
    fields.into_iter().collect()
}

#[test]
fn bob_is_there_after_a_crash_without_a_checkpoint() {
    let directory = migrated();
    let source = directory.source();
    let mut store = open(&source, &config()).unwrap();
    store.insert("users", bob().as_raw()).unwrap();
    // Nothing is written to the pages before the checkpoint.
    drop(store);
    assert_eq!(read_as_source(&source, "users").len(), 201);
    let store = open(&source, &config()).unwrap();
    let found = store.find("users", RawValue::String("bob")).unwrap();
    assert_eq!(*found.unwrap(), bob());
    assert_eq!(store.count("users").unwrap(), 201);
    assert_eq!(scanned(&*store, "users").len(), 201);
    store.close().unwrap();
    assert_sound(&source);
    assert_eq!(read_as_source(&source, "users").len(), 201);
}

#[test]
fn a_hybrid_store_has_a_document_in_its_cache_and_on_disk() {
    let directory = migrated();
    let source = directory.source();
    let mut store = HybridStore::open(&source, config()).unwrap();
    store.insert("users", bob().as_raw()).unwrap();
    let id = RawValue::String("bob");
    assert!(!store.is_cached("users", id).unwrap());
    assert_eq!(*store.find("users", id).unwrap().unwrap(), bob());
    assert!(store.is_cached("users", id).unwrap());
    for n in 0..200 {
        let id = format!("u{n}");
        store.find("users", RawValue::String(&id)).unwrap().unwrap();
        assert!(store.cached_bytes() <= config().document_cache_bytes);
    }
    let older: OwnedDocument = [("_id", id), ("age", RawValue::Int64(1001))]
        .into_iter()
        .collect();
    assert!(store.update("users", older.as_raw()).unwrap());
    assert!(!store.is_cached("users", id).unwrap());
    assert_eq!(*store.find("users", id).unwrap().unwrap(), older);
    Box::new(store).close().unwrap();
    let disk = DiskStore::open(&source, config()).unwrap();
    assert_eq!(*disk.find("users", id).unwrap().unwrap(), older);
}

#[test]
fn pages_that_were_given_up_are_used_again() {
    let home = tempfile::tempdir().unwrap();
    let size = || {
        std::fs::metadata(home.path().join("data.db"))
            .unwrap()
            .len()
    };
    let mut store = open(home.path(), &config()).unwrap();
    store
        .create_collection("c", &[index("s_1", &["s"], false)])
        .unwrap();
    let mut sizes = Vec::new();
    for round in 0..4 {
        for n in 0..100 {
            let long = "y".repeat(if n % 10 == 0 { 30_000 } else { 900 });
            let fields = [("s", RawValue::String(&long)), ("r", number(round))];
            store.insert("c", document(n, &fields).as_raw()).unwrap();
        }
        for n in 0..100 {
            assert!(store.delete("c", number(n)).unwrap());
        }
        store.close().unwrap();
        assert_sound(home.path());
        sizes.push(size());
        store = open(home.path(), &config()).unwrap();
    }
    assert_eq!(sizes[1], sizes[3], "{sizes:?}");
}

#[test]
fn a_second_writer_is_refused() {
    let directory = migrated();
    let store = open(&directory.source(), &config()).unwrap();
    let second = DiskStore::open(&directory.source(), config()).unwrap_err();
    assert_eq!(second.code(), Code::Locked);
    drop(store);
}

#[test]
fn a_log_that_is_damaged_before_its_end_is_refused() {
    let directory = migrated();
    let source = directory.source();
    let mut store = open(&source, &config()).unwrap();
    store.insert("users", bob().as_raw()).unwrap();
    store.delete("users", RawValue::String("u1")).unwrap();
    drop(store);
    let log = source.join("wal.log");
    let whole = std::fs::read(&log).unwrap();
    for (at, expected) in [
        (200, Err(Code::StoreLogDamaged)),
        (whole.len() - 1, Ok(201)),
    ] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&log, &bytes).unwrap();
        let opened =
            laura_migrate::source::V2Source::open(&Dir::open(&source, Gate::open()).unwrap());
        match expected {
            Ok(count) => assert_eq!(read_as_source(&source, "users").len(), count),
            Err(code) => assert_eq!(opened.unwrap_err().code(), code),
        }
    }
    for length in (33..whole.len()).step_by(29) {
        std::fs::write(&log, &whole[..length]).unwrap();
        let count = read_as_source(&source, "users").len();
        assert!([200, 201].contains(&count), "{length}");
    }
}

fn mode_of(path: &Path, config: &StoreConfig) -> Result<StoreMode, Code> {
    open(path, config)
        .map(|store| store.mode())
        .map_err(|error| error.code())
}

#[test]
fn the_directory_and_the_configuration_decide_the_mode() {
    let v1 =
        || Directory::of_collections(&json!([{"name":"a","documents":[{"_id":"x","fields":{}}]}]));
    let with = |change: &dyn Fn(&mut StoreConfig)| {
        let mut changed = config();
        change(&mut changed);
        changed
    };
    let empty = || Directory::new();
    use StoreMode::{Disk, Hybrid, Memory};
    type Change = fn(&mut StoreConfig);
    let rows: [(Directory, Change, Result<StoreMode, Code>); 15] = [
        (empty(), |_| {}, Ok(Disk)),
        (empty(), |c| c.enable_hybrid_mode = true, Ok(Hybrid)),
        (empty(), |c| c.force_mode = ForceMode::Memory, Ok(Memory)),
        (empty(), |c| c.force_mode = ForceMode::Disk, Ok(Disk)),
        (empty(), |c| c.enable_disk_storage = false, Ok(Memory)),
        (
            empty(),
            |c| c.enable_compression = true,
            Err(Code::StoreConfig),
        ),
        (v1(), |_| {}, Ok(Memory)),
        (v1(), |c| c.auto_migrate = true, Ok(Disk)),
        (
            v1(),
            |c| (c.auto_migrate, c.enable_auto_migration) = (true, false),
            Ok(Memory),
        ),
        (v1(), |c| c.force_mode = ForceMode::Disk, Ok(Disk)),
        (
            v1(),
            |c| (c.force_mode, c.enable_auto_migration) = (ForceMode::Disk, false),
            Err(Code::StoreConfig),
        ),
        (migrated(), |_| {}, Ok(Disk)),
        (migrated(), |c| c.force_mode = ForceMode::Memory, Ok(Memory)),
        (
            migrated(),
            |c| c.enable_disk_storage = false,
            Err(Code::StoreConfig),
        ),
        (
            v1().file("snapshot.json", "{"),
            |c| c.auto_migrate = true,
            Err(Code::SnapshotTruncated),
        ),
    ];
    for (row, (directory, change, expected)) in rows.into_iter().enumerate() {
        let found = mode_of(&directory.source(), &with(&change));
        assert_eq!(found, expected, "row {row}");
        if found.is_ok() {
            let again = mode_of(&directory.source(), &with(&change));
            assert_eq!(again, expected, "row {row}, opened again");
        }
    }
}

#[test]
fn a_disk_store_that_cannot_be_opened_falls_back_to_memory() {
    let directory = migrated();
    let mut config = config();
    std::fs::remove_file(directory.source().join("wal.log")).unwrap();
    std::fs::create_dir(directory.source().join("wal.log.tmp")).unwrap();
    assert_eq!(mode_of(&directory.source(), &config), Err(Code::Io));
    config.fallback_to_memory_on_error = true;
    let store = open(&directory.source(), &config).unwrap();
    assert_eq!(store.mode(), StoreMode::Memory);
    assert_eq!(store.count("users").unwrap(), 200);
}
