//! A directory that a store has worked on, in the other modes: validated, exported, rolled back,
//! opened while a migration is half published.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking; its numbers are small"
)]

mod common;
mod store_support;

use common::{Directory, assert_error, assert_same_tree, run, tree, warnings};
use laura_migrate::document::bson::{OwnedDocument, RawValue};
use laura_migrate::files::{Gate, Verdict};
use laura_migrate::options::{Mode, Options};
use laura_migrate::progress::Unwatched;
use laura_migrate::report::Report;
use laura_migrate::store::{DocumentStore, ForceMode, StoreConfig, StoreMode, open, open_with};
use laura_migrate::validate::{self, DirectoryState};
use laura_migrate::{Code, Migration};
use serde_json::json;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use store_support::{assert_sound, assert_valid, config, special_indexes};

fn user<'a>(id: &'a str, text: &'a str, age: i64) -> OwnedDocument {
    let fields = [
        ("_id", RawValue::String(id)),
        ("name", RawValue::String(text)),
        ("age", RawValue::Int64(age)),
    ];
    fields.into_iter().collect()
}

/// Adds, changes and deletes; leaves the store open.
fn work(directory: &Path) -> Box<dyn DocumentStore> {
    let config = StoreConfig {
        // No checkpoint before the end.
        checkpoint_bytes: 1 << 30,
        ..config()
    };
    let mut store = open(directory, &config).unwrap();
    let long = "x".repeat(20_000);
    for n in 0..100_i64 {
        let id = format!("new{n}");
        let text = if n % 10 == 0 { &*long } else { "new" };
        store
            .insert("users", user(&id, text, 1000 + n).as_raw())
            .unwrap();
    }
    for n in (0..200).step_by(3) {
        let id = format!("u{n}");
        assert!(store.delete("users", RawValue::String(&id)).unwrap());
    }
    let changed = user("u1", &long, -1);
    assert!(store.update("users", changed.as_raw()).unwrap());
    store
}

/// Documents after [`work`].
const LEFT: u64 = 200 + 100 - 67;

fn mode(mode: Mode, source: &Path, target: Option<&Path>) -> Report {
    let options = Options {
        mode,
        target: target.map(Path::to_path_buf),
        ..Options::new(source)
    };
    run(options).unwrap()
}

/// Validates a directory that must be sound and written to; gives the warnings.
fn validate_one(directory: &Path) -> Vec<Code> {
    let report = mode(Mode::Validate, directory, None);
    let validation = report.validation.as_ref().unwrap();
    let problems: Vec<String> = validation
        .left
        .problems
        .iter()
        .flat_map(|kind| kind.first.iter().map(ToString::to_string))
        .collect();
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(validation.verdict(), validate::Verdict::Sound);
    assert_eq!(validation.left.state, Some(DirectoryState::WrittenTo));
    assert_eq!(validation.left.documents, LEFT);
    warnings(&report)
}

/// The backup of an export with these warnings, which is equal to the directory.
fn export(directory: &Path, target: &Path, expected: &[Code]) -> PathBuf {
    let report = mode(Mode::Export, directory, Some(target));
    assert_eq!(warnings(&report), expected);
    let backup = report.backup.unwrap();
    let compared = mode(Mode::Validate, directory, Some(&backup));
    let validation = compared.validation.unwrap();
    assert_eq!(validation.verdict(), validate::Verdict::Equal);
    backup
}

#[test]
fn a_directory_that_a_store_closed_is_sound_is_exported_and_rolled_back_by_force_only() {
    let directory = Directory::of_migrated_users();
    let source = directory.source();
    work(&source).close().unwrap();
    assert_eq!(validate_one(&source), []);
    let target = directory.home().join("backups");
    std::fs::create_dir(&target).unwrap();
    export(&source, &target, &[]);
    let before = tree(&source);
    let rollback = |force| Options {
        mode: Mode::Rollback,
        force,
        ..directory.in_place()
    };
    let error = run(rollback(false)).unwrap_err();
    assert_error(&error, Code::RollbackRefused, "written to");
    assert!(error.hint_text().unwrap().contains("--force"));
    assert_same_tree(&before, &tree(&source));
    let report = run(rollback(true)).unwrap();
    let kept = report.kept_v2.unwrap();
    for name in ["data.db", "metadata.db", "wal.log"] {
        assert!(source.join(&kept).join(name).exists(), "{name}");
    }
    // The originals, without what the store has done.
    let store = open(&source, &config()).unwrap();
    assert_eq!(store.mode(), StoreMode::Memory);
    assert_eq!(store.count("users").unwrap(), 200);
}

#[test]
fn a_log_that_was_not_replayed_yet_is_read_through_and_named() {
    let directory = Directory::of_migrated_users();
    let source = directory.source();
    drop(work(&source));
    let before = tree(&source);
    assert_eq!(validate_one(&source), [Code::LogReplayed]);
    let target = directory.home().join("backups");
    std::fs::create_dir(&target).unwrap();
    let backup = export(&source, &target, &[Code::LogReplayed]);
    assert_same_tree(&before, &tree(&source));
    let refused = Options {
        mode: Mode::Rollback,
        ..directory.in_place()
    };
    assert_eq!(run(refused).unwrap_err().code(), Code::RollbackRefused);
    // Replaying it for good changes nothing that can be read.
    open(&source, &config()).unwrap().close().unwrap();
    assert_eq!(validate_one(&source), []);
    let compared = mode(Mode::Validate, &source, Some(&backup));
    let verdict = compared.validation.unwrap().verdict();
    assert_eq!(verdict, validate::Verdict::Equal);
}

#[test]
fn a_log_that_is_damaged_before_its_end_is_named() {
    let directory = Directory::of_migrated_users();
    let source = directory.source();
    drop(work(&source));
    let log = source.join("wal.log");
    let whole = std::fs::read(&log).unwrap();
    let mut bytes = whole.clone();
    bytes[200] ^= 1;
    std::fs::write(&log, &bytes).unwrap();
    let options = Options {
        mode: Mode::Validate,
        ..Options::new(&source)
    };
    let found = match run(options) {
        Err(error) => error.code(),
        Ok(report) => report.validation.unwrap().left.problems[0].code,
    };
    assert_eq!(found, Code::StoreLogDamaged);
}

/// Fails the n-th change from now on, and all after it.
fn killed_at(number: i64) -> Gate {
    let left = Arc::new(AtomicI64::new(number));
    Gate::guarded(move |_| match left.fetch_sub(1, Ordering::SeqCst) {
        1.. => Verdict::Proceed,
        _ => Verdict::Fail(io::Error::other("the process was killed")),
    })
}

fn is_half_published(directory: &Path) -> bool {
    let marker = std::fs::read_to_string(directory.join(".lauradb-version"));
    marker.is_ok_and(|marker| marker.contains("2.0-publishing"))
}

#[test]
fn a_half_published_directory_is_finished_where_migrating_is_allowed_and_refused_elsewhere() {
    let auto = StoreConfig {
        auto_migrate: true,
        ..config()
    };
    let (mut halves, mut at) = (0, 0);
    loop {
        let directory = Directory::of_users();
        let source = directory.source();
        let opened = open_with(&source, &auto, &killed_at(at), &mut Unwatched);
        if opened.is_ok() {
            break;
        }
        at += 1;
        if !is_half_published(&source) {
            continue;
        }
        halves += 1;
        let before = tree(&source);
        let memory = ForceMode::Memory;
        let refusing: [fn(&mut StoreConfig); 4] = [
            |_| {},
            |config| (config.auto_migrate, config.enable_auto_migration) = (true, false),
            |config| config.fallback_to_memory_on_error = true,
            |config| (config.auto_migrate, config.enable_disk_storage) = (true, false),
        ];
        for change in refusing {
            let mut changed = config();
            change(&mut changed);
            let Err(error) = open(&source, &changed) else {
                panic!("a half published directory was opened");
            };
            assert_eq!(error.code(), Code::Publishing);
            assert!(error.hint_text().unwrap().contains("laura-migrate"));
        }
        let forced = StoreConfig {
            force_mode: memory,
            ..auto.clone()
        };
        assert_eq!(
            open(&source, &forced).err().map(|error| error.code()),
            Some(Code::Publishing)
        );
        assert_same_tree(&before, &tree(&source));
        let store = open(&source, &auto).unwrap();
        assert_eq!(store.mode(), StoreMode::Disk);
        assert_eq!(store.count("users").unwrap(), 200);
        store.close().unwrap();
        let report = mode(Mode::Validate, &source, None);
        let verdict = report.validation.unwrap().verdict();
        assert_eq!(verdict, validate::Verdict::Sound);
    }
    assert!(halves > 3, "{halves} of {at} places");
}

#[test]
fn a_store_that_migrates_gives_what_the_command_gives() {
    let (by_store, by_command) = (Directory::of_users(), Directory::of_users());
    let auto = StoreConfig {
        auto_migrate: true,
        source_date_epoch: by_command.in_place().source_date_epoch,
        ..config()
    };
    let store = open(&by_store.source(), &auto).unwrap();
    drop(store);
    Migration::new(by_command.in_place())
        .run(&mut Unwatched)
        .unwrap();
    for name in ["data.db", "metadata.db", "wal.log", ".lauradb-version"] {
        let read = |directory: &Directory| std::fs::read(directory.source().join(name)).unwrap();
        assert_eq!(read(&by_store), read(&by_command), "{name}");
    }
}

/// A document with words and a place.
fn place(n: i64, round: i64) -> OwnedDocument {
    let number = |value: i64| f64::from(i32::try_from(value).unwrap());
    let (x, y) = (number(n * 37 % 359 - 179), number(n * 71 % 179 - 89) + 0.1);
    let coordinates = [("0", RawValue::Double(x)), ("1", RawValue::Double(y))];
    let coordinates: OwnedDocument = coordinates.into_iter().collect();
    let point = [("coordinates", RawValue::Array(coordinates.as_raw()))];
    let point: OwnedDocument = point.into_iter().collect();
    let long = "z".repeat(1200);
    // Terms that agree in all that is stored.
    let words = match n % 50 {
        0 => format!("everywhere rare{n} {long}a {long}b {long}c round{round}"),
        1 => format!("everywhere rare{n} {long}b round{round}"),
        _ => format!("everywhere rare{n} twice twice round{round}"),
    };
    let fields = [
        ("n", RawValue::Int64(n % 100)),
        ("w", RawValue::String(&words)),
        ("at", RawValue::Document(point.as_raw())),
    ];
    store_support::document(n, &fields)
}

#[test]
fn text_and_geo_indexes_follow_every_write() {
    let home = tempfile::tempdir().unwrap();
    let mut store = open(home.path(), &config()).unwrap();
    store.create_collection("c", &special_indexes()).unwrap();
    let reopen = |store: Box<dyn DocumentStore>| {
        store.close().unwrap();
        assert_sound(home.path());
        assert_valid(home.path());
        open(home.path(), &config()).unwrap()
    };
    // More documents than a posting chunk or a leaf has room for.
    let ids: Vec<i64> = (0..700).map(|n| n * 389 % 700).collect();
    for batch in ids.chunks(50) {
        let batch: Vec<_> = batch.iter().map(|n| place(*n, 0)).collect();
        let batch: Vec<_> = batch.iter().map(OwnedDocument::as_raw).collect();
        store.insert_many("c", &batch).unwrap();
    }
    store = reopen(store);
    for n in ids.iter().filter(|n| *n % 3 == 0) {
        assert!(store.update("c", place(*n, 1).as_raw()).unwrap());
    }
    store = reopen(store);
    for n in ids.iter().filter(|n| *n % 4 != 1) {
        assert!(store.delete("c", RawValue::Int64(*n)).unwrap());
    }
    store = reopen(store);
    for n in ids.iter().filter(|n| *n % 4 != 1) {
        store.insert("c", place(*n, 2).as_raw()).unwrap();
    }
    store = reopen(store);
    for n in &ids {
        assert!(store.delete("c", RawValue::Int64(*n)).unwrap());
    }
    reopen(store).close().unwrap();
}

#[test]
fn a_migrated_text_and_geo_index_can_be_written_to() {
    let places: Vec<_> = (0..400)
        .map(|n| {
            let at = json!({"type": "Point", "coordinates": [n % 170, n % 80]});
            json!({"_id": format!("p{n}"), "fields": {"w": format!("all rare{n}"), "at": at}})
        })
        .collect();
    let indexes = json!([
        {"name":"words","type":"text","field_paths":["w"]},
        {"name":"earth","type":"geo","geo_type":"2dsphere","field_paths":["at"]},
    ]);
    let directory = Directory::of_collections(&json!([
        {"name":"places","documents":places,"indexes":indexes}
    ]));
    run(directory.in_place()).unwrap();
    let source = directory.source();
    let mut store = open(&source, &config()).unwrap();
    for n in 0..300 {
        store.insert("places", place(n, 0).as_raw()).unwrap();
    }
    for n in (0..400).step_by(3) {
        let id = format!("p{n}");
        assert!(store.delete("places", RawValue::String(&id)).unwrap());
    }
    drop(store);
    assert_valid(&source);
    open(&source, &config()).unwrap().close().unwrap();
    assert_valid(&source);
    let report = mode(Mode::Validate, &source, None);
    let validation = report.validation.unwrap();
    assert_eq!(validation.verdict(), validate::Verdict::Sound);
    assert_eq!(validation.left.state, Some(DirectoryState::WrittenTo));
}
