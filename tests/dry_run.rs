//! A dry run says what the migration that follows does, finds everything that would stop it, and
//! writes nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    dead_code,
    reason = "what fails here fails the test"
)]

mod common;
#[path = "../examples/generate/mod.rs"]
mod generate;
#[path = "common/pages.rs"]
mod laura_pages;
#[path = "report/schema.rs"]
mod schema;

use assert_cmd::Command;
use common::{Directory, Log, assert_same_tree, bson, run, warnings};
use generate::Shape;
use laura_migrate::options::{Mode, PagesMode};
use laura_migrate::report::contents::Contents;
use laura_migrate::report::json::SCHEMA;
use laura_migrate::report::{Outcome, Report};
use laura_migrate::{Code, ExitCode, Options, Result};
use laura_pages::Pages;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A dry run of a migration, which must leave everything as it was.
fn try_dry_run(directory: &Directory, options: &Options) -> Result<Report> {
    let temporary = tempfile::tempdir().unwrap();
    let options = Options {
        mode: Mode::DryRun,
        temp_dir: temporary.path().to_path_buf(),
        ..options.clone()
    };
    let before = directory.tree();
    let result = run(options);
    assert_same_tree(&before, &directory.tree());
    assert_eq!(common::names(temporary.path()), Vec::<String>::new());
    if let Ok(report) = &result {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let json = serde_json::from_str(&report.to_json().unwrap()).unwrap();
        assert_eq!(schema::violations(&schema, &json), Vec::<String>::new());
    }
    result
}

fn dry_run(directory: &Directory, options: &Options) -> Report {
    let report = try_dry_run(directory, options).unwrap();
    assert_eq!(report.outcome, Outcome::DryRun);
    report
}

/// The figures of a dry run are those of the migration that follows.
#[track_caller]
fn assert_same_figures(directory: &Directory, options: &Options) -> Report {
    let rehearsed = dry_run(directory, options);
    let migrated = run(options.clone()).unwrap();
    assert_eq!(rehearsed.errors, [], "{:?}", options.memory);
    assert_eq!(rehearsed.exit_code(), migrated.exit_code());
    let (dry, real) = (Contents::of(&rehearsed), Contents::of(&migrated));
    assert_eq!(dry.totals, real.totals);
    assert_eq!(dry.collections, real.collections);
    assert_eq!(dry.wal, real.wal);
    let found = &rehearsed.warnings;
    for warning in &migrated.warnings {
        // What the host's other processes are is not the directory's doing.
        assert!(
            found.contains(warning) || warning.code == Code::HiddenProcesses,
            "{warning:?}"
        );
    }
    let size = |name: &str| fs::metadata(migrated.target.join(name)).unwrap().len();
    let forecast = rehearsed.forecast.as_ref().unwrap();
    assert_eq!(forecast.data_bytes, Some(size("data.db")));
    assert_eq!(forecast.metadata_bytes, Some(size("metadata.db")));
    assert!(!forecast.space.is_empty() && forecast.seconds.is_some());
    rehearsed
}

fn generated(shape: Shape, docs: u64, wal_ops: u64, pages: bool) -> Directory {
    let directory = Directory::new();
    generate::run(&generate::Options {
        dir: directory.source(),
        docs,
        collections: 2,
        shape,
        seed: 7,
        wal_ops,
        wal_transactions: true,
        indexes: None,
        database: "d".to_owned(),
        pages,
        timestamp: "2025-01-15T10:30:00.123456789Z".to_owned(),
    })
    .unwrap();
    directory
}

fn documents(directory: &[(&str, Value)]) -> Vec<Value> {
    let documents = directory.iter();
    documents
        .map(|(id, fields)| json!({"_id": id, "fields": fields}))
        .collect()
}

fn index(name: &str, kind: &str, field: &str, unique: bool) -> Value {
    json!({"name": name, "type": kind, "field_paths": [field], "unique": unique})
}

/// Documents that are read again: with keys and terms over 1024 bytes that begin alike, with
/// overflow pages, and with values that an index cannot hold; in two collections.
fn read_again() -> Value {
    let long = |end: &str| format!("{}{end}", "x".repeat(2000));
    let mut listed = Vec::new();
    for number in 0..300 {
        let text = match number % 4 {
            0 => long(&format!("{number:03}")),
            1 => format!("{} {number}", "words of a long text ".repeat(400)),
            _ => format!("short {number}"),
        };
        let odd = match number % 5 {
            0 => json!([number]),
            _ => json!(number),
        };
        listed.push(json!({
            "_id": format!("{}{number:03}", if number % 7 == 0 { long("") } else { String::new() }),
            "fields": {"text": text, "odd": odd, "pad": "p".repeat(number * 20)},
        }));
    }
    let keys = [
        index("odd_1", "btree", "odd", false),
        index("text_1", "btree", "text", true),
    ];
    json!([
        {"name": "keys", "documents": listed, "indexes": keys},
        {"name": "texts", "documents": listed, "indexes": [index("t", "text", "text", false)]},
    ])
}

#[test]
fn the_figures_of_the_sample_are_those_of_its_migration() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sample");
    let read = |name: &str| fs::read(sample.join(name)).unwrap();
    let directory = Directory::new()
        .snapshot(read("snapshot.json"))
        .wal(read("wal.log"));
    let report = assert_same_figures(&directory, &directory.side_by_side());
    assert_eq!(report.exit_code(), ExitCode::Done);
    assert!(report.forecast.unwrap().wal_overlay_bytes > 0);
    let again = try_dry_run(&directory, &directory.side_by_side()).unwrap();
    assert_eq!(again.outcome, Outcome::AlreadyMigrated);
    assert_same_figures(&directory, &directory.in_place());
}

#[test]
fn the_figures_of_every_shape_are_those_of_its_migration() {
    for shape in [Shape::Seed, Shape::Rich, Shape::Words] {
        let directory = generated(shape, 3000, 500, false);
        assert_same_figures(&directory, &directory.side_by_side());
    }
}

#[test]
fn sorts_that_spill_and_documents_that_are_read_again_change_nothing() {
    let directory = generated(Shape::Rich, 40_000, 1000, false);
    let mut options = directory.side_by_side();
    options.memory = 8 << 20;
    options.skip_indexes = Vec::new();
    assert_same_figures(&directory, &options);
    let directory = Directory::of_collections(&read_again());
    let report = assert_same_figures(&directory, &directory.side_by_side());
    assert!(report.unindexable() > 0);
}

#[test]
fn pages_and_backups_count() {
    let directory = generated(Shape::Rich, 500, 50, true);
    let mut options = directory.side_by_side();
    options.pages = PagesMode::Recover;
    let plain = assert_same_figures(&directory, &options);
    options.target = Some(directory.home().join("other"));
    options.backup = true;
    options.backup_dir = Some(directory.home().join("backups"));
    let backed_up = assert_same_figures(&directory, &options);
    let needed = |report: Report| report.forecast.unwrap().space[0].needed;
    assert!(needed(backed_up) > needed(plain));
}

/// Bad documents, duplicates within the snapshot, and one that the log touches.
fn with_bad() -> Directory {
    let mut listed: Vec<Value> = (0..400)
        .map(|n| json!({"_id": format!("d{n:03}"), "fields": {"u": n, "t": format!("word{n}"), "pad": "p".repeat(n * 20)}}))
        .collect();
    for n in [3, 250, 399, 3] {
        listed.push(json!({"_id": format!("d{n:03}"), "fields": {"u": n, "t": "again", "a": [1]}}));
    }
    listed.insert(9, json!({"_id": "bad", "fields": 5}));
    let log = Log::new()
        .insert("c", r#"{"_id":"first","u":{"$numberInt":"-1"}}"#)
        .insert("c", r#"{"_id":"middle"}"#)
        .update("c", r#"{"_id":"d399","u":{"$numberInt":"399"}}"#);
    let mut log = log.bytes();
    let at = log.windows(6).position(|six| six == b"middle").unwrap();
    log[at..at + 6].fill(0xFF);
    Directory::of_collections(&json!([{"name": "c", "documents": listed, "indexes": [
        index("u_1", "btree", "u", true),
        index("t", "text", "t", false),
    ]}]))
    .wal(log)
}

#[test]
fn what_goes_to_quarantine_is_found_and_taken_out_of_the_figures() {
    let directory = with_bad();
    let mut options = directory.side_by_side();
    options.max_bad = 6;
    let report = assert_same_figures(&directory, &options);
    assert_eq!(report.exit_code(), ExitCode::Quarantine);
    assert_eq!(report.quarantined, 6);
    let codes = warnings(&report);
    let count = |code| codes.iter().filter(|found| **found == code).count();
    assert_eq!((count(Code::DuplicateId), count(Code::BadDocument)), (4, 1));

    let directory = with_bad();
    let mut options = directory.side_by_side();
    options.max_bad = 5;
    let report = dry_run(&directory, &options);
    assert_eq!(report.exit_code(), ExitCode::Source);
    assert_eq!(report.errors.len(), 6);
    assert_eq!(run(options).unwrap_err().exit_code(), ExitCode::Source);
}

#[test]
fn what_a_recovery_puts_into_quarantine_counts() {
    let mut pages = Pages::new();
    pages.page(&[bson(r#"{"_id":"k","v":"1"}"#)]);
    pages.page(&[bson(r#"{"_id":"k","v":"2"}"#)]);
    let copies = Directory::new().file("data.db", pages.bytes());
    let mut options = copies.side_by_side();
    options.pages = PagesMode::Recover;
    let report = assert_same_figures(&copies, &options);
    assert_eq!(report.exit_code(), ExitCode::Quarantine);
    assert_eq!(report.quarantined, 1);

    let mut pages = Pages::new();
    pages.page(&[bson(r#"{"_id":["x"],"v":"1"}"#)]);
    // Which of two is the later one takes a second reading.
    let twice = documents(&[("a", json!({"n": 1})), ("a", json!({"n": 2}))]);
    let directory = Directory::of_collections(&json!([{"name": "c", "documents": twice}]))
        .file("data.db", pages.bytes());
    let mut options = directory.side_by_side();
    options.pages = PagesMode::Recover;
    options.max_bad = 1;
    let report = dry_run(&directory, &options);
    assert_eq!(report.exit_code(), ExitCode::Source);
    assert_eq!(report.errors.len(), 2);
    assert_eq!(
        run(options.clone()).unwrap_err().exit_code(),
        ExitCode::Source
    );
    options.max_bad = 2;
    let report = assert_same_figures(&directory, &options);
    assert_eq!(report.exit_code(), ExitCode::Quarantine);
    assert_eq!(report.quarantined, 2);
}

fn codes(report: &Report) -> Vec<&str> {
    let codes = report.errors.iter().map(|error| error.code.as_str());
    codes.collect()
}

#[test]
fn all_that_would_stop_the_migration_is_found() {
    let listed = documents(&[
        ("a", json!({"u": 1})),
        ("b", json!({"u": 1})),
        ("b", json!({"u": 2})),
    ]);
    let mut listed = listed;
    listed.push(json!({"_id": "bad", "fields": 5}));
    let wrong = json!({"name": "w", "type": "hash", "field_paths": ["u"]});
    let directory = Directory::of_collections(&json!([
        {"name": "c", "documents": listed, "indexes": [index("u_1", "btree", "u", true), wrong]},
        {"name": "n\u{0}l", "documents": []},
    ]));
    let mut options = directory.side_by_side();
    options.skip_indexes = vec!["nowhere".to_owned()];
    fs::create_dir(directory.target()).unwrap();
    fs::write(directory.target().join("foreign"), "x").unwrap();
    let report = dry_run(&directory, &options);
    let expected = [
        Code::CollectionName,
        Code::BadDocument,
        Code::DuplicateId,
        Code::IndexDefinition,
        Code::DuplicateKey,
        Code::SkipIndexUnknown,
        Code::TargetNotEmpty,
    ];
    assert_eq!(codes(&report), expected.map(Code::id));
    assert_eq!(report.exit_code(), ExitCode::InTheWay);
    assert_eq!(run(options).unwrap_err().exit_code(), ExitCode::InTheWay);
}

#[test]
fn a_dry_run_ends_as_the_migration_would() {
    let duplicate_keys = documents(&[("a", json!({"u": 1})), ("b", json!({"u": 1}))]);
    let unique = [index("u_1", "btree", "u", true)];
    let cases = [
        Directory::of_collections(&json!([{"name": "", "documents": []}])),
        Directory::of_collections(
            &json!([{"name": "c", "documents": duplicate_keys, "indexes": unique}]),
        ),
        Directory::new().snapshot("{\"version\":\"1.0\",\"collections\":[{"),
        Directory::of_collections(&json!([])).wal([0xFF; 100]),
        Directory::new().file("data.db", [7; 4096]),
        Directory::new().file("notes.txt", "none of LauraDB's"),
        Directory::of_collections(&json!([])).file(".lauradb-version", "{"),
    ];
    for directory in cases {
        let rehearsed = try_dry_run(&directory, &directory.in_place());
        let rehearsed = rehearsed.map_or_else(|error| error.exit_code(), |ok| ok.exit_code());
        let real = run(directory.in_place());
        let real = real.map_or_else(|error| error.exit_code(), |ok| ok.exit_code());
        assert_eq!(rehearsed, real, "{:?}", directory.tree());
    }
    let kept = Directory::of_collections(&json!([]));
    fs::create_dir(kept.source().join(".lauradb-v1")).unwrap();
    let report = dry_run(&kept, &kept.in_place());
    assert_eq!(report.exit_code(), ExitCode::InTheWay);
    let empty = Directory::new();
    let report = try_dry_run(&empty, &empty.in_place()).unwrap();
    assert_eq!(report.outcome, Outcome::Empty);
    let missing = Directory::of_collections(&json!([]));
    let mut inside = missing.in_place();
    inside.target = Some(missing.source().join("inside"));
    let error = try_dry_run(&missing, &inside).unwrap_err();
    assert_eq!(error.code(), Code::PathsOverlap);
}

#[test]
fn a_source_without_write_permission_will_do() {
    let directory = Directory::of_fixture("all-types.json");
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&directory.source(), 0o555);
    mode(directory.home(), 0o555);
    let report = try_dry_run(&directory, &directory.side_by_side());
    mode(directory.home(), 0o755);
    mode(&directory.source(), 0o755);
    assert_eq!(report.unwrap().outcome, Outcome::DryRun);
}

#[test]
fn the_report_goes_to_stdout_and_the_rest_to_stderr() {
    let directory = Directory::of_collections(
        &json!([{"name": "c", "documents": documents(&[("a", json!({"u": 1}))])}]),
    );
    let program = |arguments: &[&str]| {
        let mut command = Command::cargo_bin("laura-migrate").unwrap();
        command.current_dir(directory.home()).args(arguments);
        command.env_remove("RUST_LOG").env_remove("TMPDIR");
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (code, out, err) = program(&["--dry-run", "source", "target"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.ends_with(
        "dry run: the migration would bring 1 document in 1 collection with 1 index to target\n"
    ));
    assert!(out.contains("data.db: ") && !err.contains("dry run"));
    let (code, out, err) = program(&["--mode", "dry-run", "source", "--report", "-"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["mode"]), (0, &json!("dry-run")));
    assert_eq!(json["outcome"], "dry-run");
    assert!(json["forecast"]["dataBytes"].is_u64() && err.contains("dry run: "));
    fs::create_dir(directory.home().join("full")).unwrap();
    fs::write(directory.home().join("full/x"), "x").unwrap();
    let (code, out, _) = program(&["--dry-run", "-q", "source", "full"]);
    assert_eq!(code, 5);
    assert!(out.contains("error[LM0901]") && out.contains("would fail with exit code 5"));
    fs::write(directory.source().join("snapshot.json"), "{").unwrap();
    let (code, out, _) = program(&["--dry-run", "source"]);
    assert_eq!(code, 4);
    assert!(out.contains("error[LM02"), "{out}");
    for mode in ["import", "export", "validate"] {
        let (code, _, err) = program(&["--dry-run", "--mode", mode, "source", "other"]);
        assert_eq!(code, 2, "{mode}");
        assert!(err.contains("--dry-run means nothing with --mode"), "{err}");
    }
    assert_eq!(common::names(directory.home()), ["full", "source"]);
}
