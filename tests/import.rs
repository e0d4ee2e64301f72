//! Imports of backups, to v2 and to v1: what comes back is what was there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::{
    Database, Directory, assert_error, assert_same_tree, back_up, determined, fixture, names, run,
    tree, warnings,
};
use laura_migrate::document::InferTypes;
use laura_migrate::files::{Gate, Verdict};
use laura_migrate::options::{ImportFormat, Mode};
use laura_migrate::progress::Unwatched;
use laura_migrate::report::{Outcome, Report};
use laura_migrate::{Code, Error, ExitCode, Migration, Options, Verification};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

const FILES: [&str; 3] = ["data.db", "metadata.db", "wal.log"];

fn import(backup: &Path, target: &Path) -> Options {
    let mut options = Options::new(backup);
    options.mode = Mode::Import;
    options.target = Some(target.to_path_buf());
    options.source_date_epoch = Some(common::INSTANT);
    options.jobs = 2;
    options
}

fn import_to_v1(backup: &Path, target: &Path) -> Options {
    let mut options = import(backup, target);
    options.to = ImportFormat::V1;
    options
}

fn migrated(source: &Path, target: &Path) -> Report {
    let mut options = import(source, target);
    options.mode = Mode::Auto;
    run(options).unwrap()
}

/// A home with a `v1` directory in it, made of snapshot and log.
struct Home(Directory);

impl Home {
    fn of(source: Directory) -> Self {
        fs::create_dir(source.home().join("backups")).unwrap();
        Self(source)
    }

    fn rich() -> Self {
        let indexes = json!([
            {"name": "n_1", "type": "btree", "field_paths": ["n"], "unique": true},
            {"name": "part", "type": "btree", "field_paths": ["t"], "filter": {"n": {"$gt": 100}}},
            {"name": "when", "type": "ttl", "field_paths": ["w"], "ttl_duration": 60},
        ]);
        let documents: Vec<_> = (0..700)
            .map(|n| {
                let text = "x".repeat(if n % 90 == 7 { 9_000 } else { n % 40 });
                json!({"_id": format!("u{n}"), "fields": {"n": n, "t": text, "d": 1.5, "w": n}})
            })
            .collect();
        let collections = json!([
            {"name": "users", "documents": documents, "indexes": indexes},
            {"name": "empty", "documents": [], "indexes": []},
            {"name": "a/b", "documents": [{"_id": "507f1f77bcf86cd799439011", "fields": {}}]},
        ]);
        Self::of(Directory::of_collections(&collections))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.home().join(name)
    }

    fn back_up(&self, directory: &str) -> PathBuf {
        back_up(&self.path(directory), &self.path("backups"))
    }

    /// Documents as BSON written by hand: a v2 directory holds what no snapshot can.
    fn backup_of(&self, collections: &[(&str, &[&str])]) -> PathBuf {
        let mut log = common::Log::new();
        for (name, documents) in collections {
            for document in *documents {
                log = log.insert(name, document);
            }
        }
        fs::write(self.0.source().join("wal.log"), log.bytes()).unwrap();
        self.back_up("source")
    }
}

#[track_caller]
fn assert_same_files(left: &Path, right: &Path) {
    for name in FILES {
        assert!(
            determined(left, name) == determined(right, name),
            "{name} differs"
        );
    }
}

#[test]
fn a_backup_of_v2_comes_back_to_the_byte() {
    let home = Home::rich();
    migrated(&home.path("source"), &home.path("v2"));
    let backup = home.back_up("v2");
    let report = run(import(&backup, &home.path("again"))).unwrap();
    assert_eq!(
        (report.outcome, report.documents(), report.mode),
        (Outcome::Migrated, 701, Mode::Import)
    );
    assert_same_files(&home.path("v2"), &home.path("again"));
    let marker = fs::read_to_string(home.path("again").join(".lauradb-version")).unwrap();
    assert!(marker.contains(r#""previousVersion":"2.0""#), "{marker}");
    let receipt = fs::read_to_string(home.path("again").join(".lauradb-migration.json")).unwrap();
    assert!(receipt.contains("manifest.json"), "{receipt}");
    // And again: it is there already.
    let before = tree(&home.path("again"));
    let report = run(import(&backup, &home.path("again"))).unwrap();
    assert_eq!(report.outcome, Outcome::AlreadyMigrated);
    assert_same_tree(&before, &tree(&home.path("again")));
}

#[test]
fn a_backup_of_v1_becomes_what_the_migration_makes() {
    for name in [
        "all-types.json",
        "seed-10000.json",
        "ids.json",
        "nulls.json",
    ] {
        let home = Home::of(Directory::of_fixture(name));
        migrated(&home.path("source"), &home.path("v2"));
        let backup = home.back_up("source");
        run(import(&backup, &home.path("imported"))).unwrap();
        assert_same_files(&home.path("v2"), &home.path("imported"));
        Database::read(&home.path("imported"));
    }
}

#[test]
fn nothing_but_the_backup_decides_what_is_written() {
    let home = Home::rich();
    let backup = home.back_up("source");
    run(import(&backup, &home.path("first"))).unwrap();
    for (number, (jobs, batch_size, memory)) in
        [(1, 1, 8 << 20), (7, 33, 8 << 20), (3, 100_000, 64 << 20)]
            .into_iter()
            .enumerate()
    {
        let target = home.path(&format!("other{number}"));
        let options = Options {
            jobs,
            batch_size,
            memory,
            ..import(&backup, &target)
        };
        run(options).unwrap();
        assert_same_files(&home.path("first"), &target);
    }
}

#[test]
fn filters_keep_their_own_types() {
    let hex = "507f1f77bcf86cd799439011";
    let collections = json!([{
        "name": "c",
        "documents": [{"_id": "a", "fields": {"k": hex, "v": 1}}],
        "indexes": [{"name": "p", "type": "btree", "field_paths": ["v"], "filter": {"k": hex}}],
    }]);
    let home = Home::of(Directory::of_collections(&collections));
    let mut options = import(&home.path("source"), &home.path("v2"));
    options.mode = Mode::Auto;
    options.infer_types = InferTypes {
        object_id: false,
        timestamp: false,
    };
    run(options).unwrap();
    let backup = home.back_up("v2");
    run(import(&backup, &home.path("again"))).unwrap();
    assert_same_files(&home.path("v2"), &home.path("again"));
    let database = Database::read_from(&home.path("again"), "2.0");
    assert_eq!(database.collection("c").index("p").entries.len(), 1);
    // Format 1.0 has no place for that.
    let report = run(import_to_v1(&backup, &home.path("v1"))).unwrap();
    assert_eq!(
        warnings(&report),
        [Code::LostHexStrings, Code::LostInferTypes]
    );
}

#[test]
fn text_and_geo_indexes_come_back_to_the_byte() {
    let documents: Vec<_> = (0..400)
        .map(|n| {
            let text = format!("harbour number{n} boats {}", "north ".repeat(n % 4));
            let at = f64::from(u32::try_from(n).unwrap()) / 8.0;
            let loc = json!({"type": "Point", "coordinates": [at, -at]});
            json!({"_id": format!("p{n}"), "fields": {"t": text, "loc": loc, "flat": loc}})
        })
        .collect();
    let home = Home::of(Directory::of_collections(&json!([{
        "name": "places",
        "documents": documents,
        "indexes": [
            {"name": "flat", "type": "geo", "field_paths": ["flat"], "geo_type": "2d"},
            {"name": "round", "type": "geo", "field_paths": ["loc"], "geo_type": "2dsphere"},
            {"name": "words", "type": "text", "field_paths": ["t"]},
        ],
    }])));
    migrated(&home.path("source"), &home.path("v2"));
    for (of, version) in [("source", "1.0"), ("v2", "2.0")] {
        let again = home.path(&format!("again of {of}"));
        let mut options = import(&home.back_up(of), &again);
        (options.jobs, options.batch_size) = (1, 7);
        run(options).unwrap();
        assert_same_files(&home.path("v2"), &again);
        let database = Database::read_from(&again, version);
        let places = database.collection("places");
        assert_eq!(places.index("round").entries.len(), 400);
        assert!(places.index("words").entries.len() > 400);
        fs::remove_dir_all(home.path("backups")).unwrap();
        fs::create_dir(home.path("backups")).unwrap();
    }
}

#[test]
fn names_and_indexes_follow_the_options() {
    let home = Home::rich();
    let backup = home.back_up("source");
    let mut options = import(&backup, &home.path("v2"));
    options.renames = vec!["users=people".to_owned(), "a/b=users".to_owned()];
    options.skip_indexes = vec!["users/part".to_owned()];
    run(options.clone()).unwrap();
    let database = Database::read(&home.path("v2"));
    assert_eq!(database.names(), ["empty", "people", "users"]);
    let people = database.collection("people");
    assert_eq!(people.index_names(), ["_id_", "n_1", "when"]);
    options.target = Some(home.path("v1"));
    options.to = ImportFormat::V1;
    run(options).unwrap();
    let mut again = import(&home.path("v1"), &home.path("v2 of v1"));
    again.mode = Mode::Auto;
    run(again).unwrap();
    assert_same_files(&home.path("v2"), &home.path("v2 of v1"));
    let mut unknown = import(&backup, &home.path("other"));
    unknown.renames = vec!["nobody=x".to_owned()];
    assert_error(&run(unknown).unwrap_err(), Code::RenameConflict, "nobody");
    assert!(!home.path("other").exists());
}

#[test]
fn only_v1_takes_every_name() {
    let home = Home::of(Directory::of_collections(&json!([
        {"name": "a\u{0}b", "documents": [{"_id": "x", "fields": {}}]},
    ])));
    let backup = home.back_up("source");
    let error = run(import(&backup, &home.path("v2"))).unwrap_err();
    assert_error(&error, Code::CollectionName, "NUL");
    run(import_to_v1(&backup, &home.path("v1"))).unwrap();
    let mut renamed = import(&backup, &home.path("v2"));
    renamed.renames = vec![r#""a\u0000b"=b"#.to_owned()];
    run(renamed).unwrap();
    assert_eq!(Database::read(&home.path("v2")).names(), ["b"]);
}

#[test]
fn a_log_that_another_run_has_begun_is_not_mixed_up() {
    let home = Home::rich();
    let backup = home.back_up("source");
    let cut = |options: Options, changes: u64| {
        let passed = std::sync::atomic::AtomicU64::new(0);
        let gate = Gate::guarded(move |_| {
            match passed.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < changes {
                true => Verdict::Proceed,
                false => Verdict::Fail(std::io::Error::other("killed")),
            }
        });
        let migration = Migration::new(options).with_gate(gate);
        migration.run(&mut Unwatched).unwrap_err();
    };
    let mut to_v2 = import(&backup, &home.path("target"));
    to_v2.checkpoint_interval = std::time::Duration::ZERO;
    cut(to_v2.clone(), 40);
    // Another format, other options, another backup.
    let other = run(import_to_v1(&backup, &home.path("target"))).unwrap_err();
    assert_error(&other, Code::ResumeRefused, "format 2.0");
    let mut skipped = to_v2.clone();
    skipped.skip_indexes = vec!["all".to_owned()];
    assert_error(
        &run(skipped).unwrap_err(),
        Code::ResumeRefused,
        "--skip-index",
    );
    let manifest = backup.join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"default\"", "\"another\"")).unwrap();
    let changed = run(to_v2.clone()).unwrap_err();
    assert_error(&changed, Code::ResumeRefused, "manifest");
    fs::write(&manifest, text).unwrap();
    let users = backup.join("users.jsonl");
    let text = fs::read_to_string(&users).unwrap();
    fs::write(&users, text.replace("u699", "u_99")).unwrap();
    let changed = run(to_v2.clone()).unwrap_err();
    assert_error(&changed, Code::ResumeRefused, "backup changed");
    // Restored, it is the same again.
    fs::write(&users, text).unwrap();
    run(to_v2).unwrap();
    run(import(&backup, &home.path("direct"))).unwrap();
    assert_same_files(&home.path("direct"), &home.path("target"));
}

#[test]
fn altered_backups_are_refused_by_name_and_leave_nothing() {
    let home = Home::rich();
    let backup = home.back_up("source");
    let users = backup.join("users.jsonl");
    let text = fs::read_to_string(&users).unwrap();
    let restore = || fs::write(&users, &text).unwrap();
    let refused = |code: Code, name: &str| {
        for options in [
            import(&backup, &home.path("target")),
            import_to_v1(&backup, &home.path("target")),
        ] {
            let error = run(options).unwrap_err();
            assert_eq!(error.exit_code(), ExitCode::Source, "{error:?}");
            assert_eq!(error.code(), code, "{error:?}");
            let place = error.place().file.clone().unwrap();
            assert!(place.ends_with(name), "{error:?}");
            assert!(!home.path("target").exists(), "{error:?}");
        }
    };
    // In the last line, so that the sample of the check phase is not what finds it.
    let at = text.rfind("699").unwrap();
    let mut other = text.clone();
    other.replace_range(at..at + 3, "698");
    fs::write(&users, other).unwrap();
    refused(Code::BackupAltered, "users.jsonl");
    fs::write(&users, text.get(..text.len() - 1).unwrap()).unwrap();
    refused(Code::BackupAltered, "users.jsonl");
    fs::remove_file(&users).unwrap();
    refused(Code::BackupIncomplete, "users.jsonl");
    restore();
    fs::write(backup.join("notes.txt"), "mine").unwrap();
    refused(Code::BackupAltered, "notes.txt");
    fs::remove_file(backup.join("notes.txt")).unwrap();
    let manifest = fs::read_to_string(backup.join("manifest.json")).unwrap();
    fs::write(
        backup.join("manifest.json"),
        manifest.replace("laura-backup/1", "laura-backup/2"),
    )
    .unwrap();
    refused(Code::BackupVersion, "manifest.json");
    fs::remove_file(backup.join("manifest.json")).unwrap();
    refused(
        Code::BackupIncomplete,
        backup.file_name().unwrap().to_str().unwrap(),
    );
}

#[test]
fn a_directory_with_one_backup_stands_for_it() {
    let home = Home::rich();
    let backup = home.back_up("source");
    run(import(&backup, &home.path("direct"))).unwrap();
    run(import(&home.path("backups"), &home.path("v2"))).unwrap();
    assert_same_files(&home.path("direct"), &home.path("v2"));
    run(import_to_v1(&home.path("backups"), &home.path("v1"))).unwrap();
    home.back_up("source");
    let error = run(import(&home.path("backups"), &home.path("two"))).unwrap_err();
    assert_error(&error, Code::BackupMissing, "2 backups");
    fs::create_dir(home.path("none")).unwrap();
    let error = run(import(&home.path("none"), &home.path("two"))).unwrap_err();
    assert_error(&error, Code::BackupMissing, "no backup");
    assert!(!home.path("two").exists());
}

#[test]
fn a_lauradb_backup_file_is_a_snapshot_without_a_log() {
    let home = Home::rich();
    migrated(&home.path("source"), &home.path("v2"));
    let file = home.path("files").join("backup.json");
    fs::create_dir(home.path("files")).unwrap();
    fs::copy(home.path("source").join("snapshot.json"), &file).unwrap();
    // Beside it lies a log that has nothing to do with it.
    fs::write(home.path("files").join("wal.log"), "no log at all").unwrap();
    let before = tree(&home.path("files"));
    run(import(&file, &home.path("imported"))).unwrap();
    assert_same_files(&home.path("v2"), &home.path("imported"));
    assert_same_tree(&before, &tree(&home.path("files")));
    let report = run(import(&file, &home.path("imported"))).unwrap();
    assert_eq!(report.outcome, Outcome::AlreadyMigrated);
    run(import(&file, &home.path("files").join("inside"))).unwrap();
    let error = run(import(&file, &home.path("files"))).unwrap_err();
    assert_eq!(error.code(), Code::PathsOverlap, "{error:?}");
    let error = run(import_to_v1(&file, &home.path("v1"))).unwrap_err();
    assert_error(&error, Code::Usage, "format 1.0 already");
}

#[test]
fn data_directories_are_no_backups() {
    let home = Home::rich();
    migrated(&home.path("source"), &home.path("v2"));
    for (source, hint) in [("source", "laura-migrate"), ("v2", "--mode export")] {
        for options in [
            import(&home.path(source), &home.path("target")),
            import_to_v1(&home.path(source), &home.path("target")),
        ] {
            let error = run(options).unwrap_err();
            assert_error(&error, Code::Usage, "data directory");
            assert!(error.hint_text().unwrap().contains(hint), "{error:?}");
            assert!(!home.path("target").exists());
        }
    }
    let mut options = import(&home.back_up("source"), &home.path("target"));
    options.infer_types.timestamp = true;
    assert_error(&run(options).unwrap_err(), Code::Usage, "--infer-types");
}

#[test]
fn targets_that_hold_something_are_left_alone() {
    let home = Home::rich();
    let backup = home.back_up("source");
    migrated(&home.path("source"), &home.path("v2"));
    fs::create_dir(home.path("foreign")).unwrap();
    fs::write(home.path("foreign").join("notes.txt"), "mine").unwrap();
    fs::create_dir(home.path("other v1")).unwrap();
    fs::write(
        home.path("other v1").join("snapshot.json"),
        fixture("snapshots/ids.json"),
    )
    .unwrap();
    run(import_to_v1(&backup, &home.path("v1"))).unwrap();
    fs::copy(
        home.path("other v1").join("snapshot.json"),
        home.path("v1").join("snapshot.json"),
    )
    .unwrap();
    for name in ["v2", "foreign", "other v1", "v1"] {
        let before = tree(&home.path(name));
        for options in [
            import(&backup, &home.path(name)),
            import_to_v1(&backup, &home.path(name)),
        ] {
            let error = run(options).unwrap_err();
            assert_eq!(error.code(), Code::TargetNotEmpty, "{name}: {error:?}");
        }
        assert_same_tree(&before, &tree(&home.path(name)));
    }
    let mut forced = import(&backup, &home.path("v2"));
    forced.force = true;
    run(forced).unwrap();
    assert!(
        names(&home.path("v2"))
            .iter()
            .any(|name| name.starts_with(".lauradb-replaced-"))
    );
}

#[test]
fn duplicate_ids_are_named_by_their_lines() {
    let home = Home::of(Directory::of_collections(&json!([{
        "name": "c",
        "documents": [{"_id": "a", "fields": {}}, {"_id": "b", "fields": {}}, {"_id": "a", "fields": {}}],
    }])));
    let backup = home.back_up("source");
    let error = run(import(&backup, &home.path("v2"))).unwrap_err();
    assert_error(&error, Code::DuplicateId, "lines 1 and 3");
    let place = error.place();
    assert!(place.file.as_ref().unwrap().ends_with("c.jsonl"));
    assert_eq!(place.offset, Some(24), "{error:?}");
    assert!(!home.path("v2").exists());
}

#[test]
fn v1_is_read_back_as_the_backup_but_for_what_is_listed() {
    let home = Home::of(Directory::new());
    let backup = home.backup_of(&[(
        "c",
        &[
            r#"{"_id":{"$numberLong":"7"},"d":{"$numberDouble":"30.0"}}"#,
            r#"{"_id":"x","i":{"$numberInt":"5"},"n":{"$numberDouble":"NaN"}}"#,
            r#"{"b":{"$binary":{"base64":"AQI=","subType":"00"}},"_id":"y","t":{"$timestamp":{"t":0,"i":9}}}"#,
            r#"{"_id":"z","a":[{"k":["507f1f77bcf86cd799439011"]}],"s":"<&>"}"#,
            r#"{"_id":"ok","v":{"$numberLong":"9007199254740993"},"s":"2025-01-15T10:30:00Z"}"#,
        ],
    )]);
    let report = run(import_to_v1(&backup, &home.path("v1"))).unwrap();
    assert_eq!(
        warnings(&report),
        [
            Code::LostIds,
            Code::LostFieldOrder,
            Code::LostNonFinite,
            Code::LostInt32,
            Code::LostTimestamps,
            Code::LostBinary,
            Code::LostHexStrings,
            Code::TimeStrings,
        ]
    );
    let lost = report
        .warnings
        .iter()
        .find(|warning| warning.code == Code::LostHexStrings);
    let sentence = &lost.unwrap().sentence;
    assert!(
        sentence.contains("1 times: \"c\"/\"z\"/a.0.k.0"),
        "{sentence}"
    );
    assert_eq!(names(&home.path("v1")), ["snapshot.json", "wal.log"]);
    migrated(&home.path("v1"), &home.path("v2"));
    let database = Database::read(&home.path("v2"));
    database.collection("c").assert_documents(&[
        r#"{"_id":"7","d":{"$numberDouble":"30.0"}}"#,
        r#"{"_id":"x","i":{"$numberLong":"5"},"n":null}"#,
        r#"{"_id":"y","b":"AQI=","t":{"$numberLong":"9"}}"#,
        r#"{"_id":"z","a":[{"k":[{"$oid":"507f1f77bcf86cd799439011"}]}],"s":"<&>"}"#,
        r#"{"_id":"ok","v":{"$numberLong":"9007199254740993"},"s":"2025-01-15T10:30:00Z"}"#,
    ]);
}

#[test]
fn ids_that_print_alike_are_refused_with_both() {
    let home = Home::of(Directory::new());
    let backup = home.backup_of(&[(
        "c",
        &[
            r#"{"_id":"a"}"#,
            r#"{"_id":{"$numberLong":"5"}}"#,
            r#"{"_id":"5"}"#,
        ],
    )]);
    let error: Error = run(import_to_v1(&backup, &home.path("v1"))).unwrap_err();
    assert_error(&error, Code::PrintedIds, "(line 2)");
    assert!(error.to_string().contains("(line 3)"), "{error:?}");
    assert_eq!(error.exit_code(), ExitCode::Source);
    assert!(!home.path("v1").exists());
    run(import(&backup, &home.path("v2"))).unwrap();
}

#[test]
fn an_import_to_v1_is_the_same_however_it_runs_and_is_done_once() {
    let home = Home::rich();
    let backup = home.back_up("source");
    run(import_to_v1(&backup, &home.path("v1"))).unwrap();
    let other = Options {
        batch_size: 3,
        memory: 8 << 20,
        verification: Verification::None,
        source_date_epoch: None,
        ..import_to_v1(&backup, &home.path("other"))
    };
    run(other).unwrap();
    let files = |name: &str| {
        ["snapshot.json", "wal.log"].map(|file| fs::read(home.path(name).join(file)).unwrap())
    };
    assert!(files("v1") == files("other"));
    let before = tree(&home.path("v1"));
    let report = run(import_to_v1(&backup, &home.path("v1"))).unwrap();
    assert_eq!(report.outcome, Outcome::AlreadyMigrated);
    assert_same_tree(&before, &tree(&home.path("v1")));
}

#[test]
fn a_migration_can_be_rolled_back_by_hand_with_a_backup() {
    let home = Home::rich();
    let backup = home.back_up("source");
    migrated(&home.path("source"), &home.path("beside"));
    run(home.0.in_place()).unwrap();
    let report = run(import_to_v1(&backup, &home.path("v1"))).unwrap();
    assert_eq!(warnings(&report), []);
    let snapshot = fs::read_to_string(home.path("v1").join("snapshot.json")).unwrap();
    assert!(snapshot.contains(r#""database_name":"default""#));
    migrated(&home.path("v1"), &home.path("again"));
    assert_same_files(&home.path("beside"), &home.path("again"));
}
