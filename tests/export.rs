//! Exports, and backups before a migration: what is in them is what the source holds, they are
//! where they were asked for, and nothing is left of those that fail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what fails here fails the test"
)]

mod common;

use common::{Database, Directory, INSTANT, Log, assert_error, names, run, warnings};
use laura_migrate::files::{ChangeKind, Dir, Gate, Verdict};
use laura_migrate::options::Mode;
use laura_migrate::progress::{MigrationProgress, Phase, ProgressSink, Unwatched};
use laura_migrate::report::{Outcome, Report, Verified};
use laura_migrate::source::{self, V1Options};
use laura_migrate::{Code, ExitCode, Interrupt, Migration, Options, Result, Verification};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names as LauraDB takes them, and their documents.
const NAMES: [&str; 6] = ["", "../etc", "a", "b/c", "n\0l", "ž %~"];

/// A collection of each name, with an index and two documents; the log changes `a` and adds one.
fn directory() -> Directory {
    let collections: Vec<Value> = NAMES
        .iter()
        .map(|name| {
            json!({
                "name": name,
                "documents": [{"_id": "1", "fields": {"of": name}}, {"_id": "2"}],
                "indexes": [{"name": "of_1", "type": "btree", "field_paths": ["of"]},
                            {"name": "of_text", "type": "text", "field_paths": ["of"]}],
            })
        })
        .collect();
    let text = json!({
        "version": "1.0", "database_name": "shop", "timestamp": "2025-01-15T10:30:00Z",
        "collections": collections, "metadata": {"wal_lsn": 0, "k": 1.5},
    });
    let log = Log::new()
        .update("a", r#"{"_id":"1","of":"the log"}"#)
        .delete("a", r#"{"_id":"2"}"#)
        .insert("logged", r#"{"_id":"3"}"#)
        .insert("zz", r#"{"_id":"4"}"#);
    Directory::new().snapshot(text.to_string()).wal(log.bytes())
}

/// One that v2 can take as it is.
fn plain() -> Directory {
    Directory::of_collections(&json!([
        {"name": "a", "documents": [{"_id": "1", "fields": {"n": 1}}, {"_id": "2"}],
         "indexes": [{"name": "n_1", "type": "btree", "field_paths": ["n"], "filter": {"n": {"$gt": 0}}}]},
        {"name": "b", "documents": [{"_id": "1"}]},
        {"name": "c", "documents": []},
    ]))
    .wal(
        Log::new()
            .insert("a", r#"{"_id":"3","n":{"$numberLong":"3"}}"#)
            .insert("w", r#"{"_id":"5"}"#)
            .bytes(),
    )
}

fn export_of(source: PathBuf, target: Option<PathBuf>) -> Options {
    Options {
        mode: Mode::Export,
        target,
        source_date_epoch: Some(INSTANT),
        ..Options::new(source)
    }
}

/// Lines by collection.
type Content = BTreeMap<String, Vec<String>>;

fn manifest(backup: &Path) -> Value {
    serde_json::from_slice(&fs::read(backup.join("manifest.json")).unwrap()).unwrap()
}

fn content(backup: &Path) -> Content {
    let manifest = manifest(backup);
    let collections = manifest["collections"].as_array().unwrap().iter();
    collections
        .map(|collection| {
            let text = fs::read_to_string(backup.join(collection["file"].as_str().unwrap()));
            let lines: Vec<String> = text.unwrap().lines().map(str::to_owned).collect();
            assert_eq!(collection["documents"], lines.len());
            (collection["name"].as_str().unwrap().to_owned(), lines)
        })
        .collect()
}

fn index_names(backup: &Path, collection: &str) -> Vec<String> {
    let manifest = manifest(backup);
    let collections = manifest["collections"].as_array().unwrap();
    let found = collections.iter().find(|found| found["name"] == collection);
    let indexes = found.unwrap()["indexes"].as_array().unwrap();
    let names = indexes.iter().map(|index| index["name"].as_str().unwrap());
    names.map(str::to_owned).collect()
}

#[test]
fn a_v1_directory_is_exported_whole_whatever_its_names() {
    let directory = directory();
    let report = run(export_of(directory.source(), None)).unwrap();
    assert_eq!(report.outcome, Outcome::Exported);
    assert_eq!(report.verified, Verified::All);
    let backup = directory.source().join("backups/backup-20250115-103000");
    assert_eq!(
        (&report.target, report.backup.as_ref()),
        (&backup, Some(&backup))
    );
    assert_eq!(
        names(&directory.source().join("backups")),
        ["backup-20250115-103000"]
    );
    let content = content(&backup);
    let found: Vec<&str> = content.keys().map(String::as_str).collect();
    assert_eq!(
        found,
        ["", "../etc", "a", "b/c", "logged", "n\0l", "zz", "ž %~"]
    );
    assert_eq!(content["a"], [r#"{"_id":"1","of":"the log"}"#]);
    assert_eq!(content["n\0l"].len(), 2);
    assert_eq!(index_names(&backup, "b/c"), ["of_1", "of_text"]);
    let manifest = manifest(&backup);
    assert_eq!(manifest["databaseName"], "shop");
    assert_eq!(manifest["metadata"], json!({"k": 1.5}));
    assert_eq!(manifest["sourceVersion"], "1.0");
    let again = run(export_of(directory.source(), None)).unwrap();
    assert!(again.target.ends_with("backup-20250115-103001"));
}

#[test]
fn v2_and_a_backup_export_to_the_same_documents() {
    let directory = plain();
    let home = directory.home();
    let first = run(export_of(directory.source(), Some(home.join("first")))).unwrap();
    run(directory.side_by_side()).unwrap();
    let second = run(export_of(directory.target(), Some(home.join("second")))).unwrap();
    let third = run(export_of(home.join("second"), Some(home.join("third")))).unwrap();
    assert_eq!(content(&first.target).len(), 4);
    let mut expected = manifest(&first.target);
    assert_eq!(expected["databaseName"], "default");
    for (found, version) in [(&second, "2.0"), (&third, "2.0")] {
        assert_eq!(content(&found.target), content(&first.target));
        expected["sourceVersion"] = version.into();
        // Name and metadata have come through v2 in its receipt.
        assert_eq!(manifest(&found.target), expected);
    }
}

#[test]
fn a_document_of_16_mib_is_exported() {
    let directory = Directory::of_fixture("large-16m-exact.json.gz");
    let mut options = export_of(directory.source(), None);
    options.memory = 8 << 20;
    let report = run(options).unwrap();
    assert_eq!(report.documents(), 3);
    assert!(report.collections[0].bytes > 16 << 20);
}

#[test]
fn collections_are_chosen_and_renamed() {
    let directory = plain();
    run(directory.side_by_side()).unwrap();
    let first = run(export_of(
        directory.source(),
        Some(directory.home().join("b")),
    ))
    .unwrap();
    for source in [directory.source(), directory.target(), first.target] {
        let mut options = export_of(source, Some(directory.home().join("chosen")));
        options.collections = ["a", "b", "w"].map(str::to_owned).into();
        options.excluded = vec!["b".to_owned()];
        options.renames = vec!["a=x".to_owned(), "b=y".to_owned()];
        let report = run(options.clone()).unwrap();
        let content = content(&report.target);
        assert_eq!(content.keys().collect::<Vec<_>>(), ["w", "x"]);
        assert_eq!(content["x"].len(), 3);
        options.excluded.push("nobody".to_owned());
        let error = run(options).unwrap_err();
        assert_error(
            &error,
            Code::CollectionUnknown,
            "--exclude names no collection: \"nobody\"",
        );
        assert_eq!(error.exit_code(), ExitCode::Source);
    }
}

#[test]
fn a_migration_takes_the_collections_that_are_chosen() {
    let directory = directory();
    let mut options = directory.side_by_side();
    options.excluded = vec![String::new(), "\"n\\u0000l\"".to_owned(), "zz".to_owned()];
    let (_, database) = directory.migrated_with(options.clone());
    assert_eq!(database.names(), ["../etc", "a", "b/c", "logged", "ž %~"]);
    assert_eq!(database.collection("a").documents.len(), 1);
    // The receipt knows the options.
    assert_eq!(
        run(options.clone()).unwrap().outcome,
        Outcome::AlreadyMigrated
    );
    options.excluded.pop();
    assert_eq!(run(options).unwrap_err().code(), Code::TargetNotEmpty);
    let mut in_place = directory.in_place();
    in_place.collections = vec!["a".to_owned()];
    assert_eq!(directory.refused(in_place).exit_code(), ExitCode::Usage);
}

#[test]
fn directories_that_cannot_take_a_backup_are_refused() {
    let directory = plain();
    let (home, source) = (directory.home(), directory.source());
    fs::create_dir_all(home.join(".laura-migrate/x")).unwrap();
    fs::create_dir(source.join("inside")).unwrap();
    fs::write(home.join("file"), "").unwrap();
    for target in [
        source.clone(),
        source.join("inside"),
        source.join("new"),
        home.to_path_buf(),
        home.join(".laura-migrate/x"),
        home.join(".laura-migrate/new"),
        home.join("file"),
        home.join("no/parent"),
    ] {
        let error = directory.refused(export_of(source.clone(), Some(target.clone())));
        assert_eq!(
            error.exit_code(),
            ExitCode::Usage,
            "{}: {error:?}",
            target.display()
        );
    }
    run(export_of(source.clone(), Some(source.join("backups")))).expect("its own place");
    symlink(home, source.join("link")).unwrap();
    fs::rename(source.join("backups"), home.join("moved")).unwrap();
    symlink(home.join("moved"), source.join("backups")).unwrap();
    let error = directory.refused(export_of(source, None));
    assert_eq!(error.code(), Code::InTheWayFile);
}

#[test]
fn options_for_v1_are_refused_for_other_sources() {
    let directory = plain();
    run(directory.side_by_side()).unwrap();
    let mut options = export_of(directory.target(), Some(directory.home().join("b")));
    options.skip_indexes = vec!["all".to_owned()];
    assert_error(
        &directory.refused(options.clone()),
        Code::Usage,
        "--skip-index",
    );
    options.skip_indexes.clear();
    options.snapshot = Some(directory.source().join("snapshot.json"));
    assert_error(&directory.refused(options), Code::Usage, "--snapshot");
}

#[test]
fn nothing_is_left_of_an_export_that_fails() {
    let broken = json!([{"name": "a", "documents": [{"_id": "1"}, {"_id": 7}]}]);
    let directory = Directory::of_collections(&broken);
    for target in [None, Some(directory.target())] {
        let error = directory.refused(export_of(directory.source(), target));
        assert_eq!(error.exit_code(), ExitCode::Source, "{error:?}");
    }
    let empty = Directory::new();
    let error = empty.refused(export_of(empty.source(), None));
    assert_eq!(error.code(), Code::NothingToMigrate);
}

/// Requests the stop in a phase.
struct Stop(Interrupt, Phase);

impl ProgressSink for Stop {
    fn update(&mut self, progress: &MigrationProgress) {
        if progress.phase == self.1 {
            self.0.request();
        }
    }
}

#[test]
fn an_interrupted_export_leaves_nothing_and_begins_anew() {
    for phase in [Phase::Check, Phase::Backup] {
        let directory = plain();
        let before = directory.tree();
        let interrupt = Interrupt::default();
        let options = export_of(directory.source(), None);
        let error = Migration::new(options.clone())
            .with_interrupt(interrupt.clone())
            .run(&mut Stop(interrupt, phase))
            .unwrap_err();
        assert_error(&error, Code::Cancelled, "interrupted");
        assert!(error.hint_text().unwrap().contains("begins anew"));
        common::assert_same_tree(&before, &directory.tree());
        run(options).unwrap();
    }
}

#[test]
fn what_was_not_read_back_is_said() {
    let directory = plain();
    let mut options = export_of(directory.source(), None);
    options.verification = Verification::None;
    assert_eq!(run(options).unwrap().verified, Verified::Nothing);
}

fn backed_up(directory: &Directory) -> Options {
    Options {
        backup: true,
        skip_indexes: vec!["of_text".to_owned()],
        renames: vec![
            "=empty".to_owned(),
            "\"n\\u0000l\"=nul".to_owned(),
            "a=A".to_owned(),
        ],
        ..directory.in_place()
    }
}

#[test]
fn a_backup_has_what_the_source_had() {
    let directory = directory();
    let exported = run(export_of(
        directory.source(),
        Some(directory.home().join("e")),
    ))
    .unwrap();
    let report = run(backed_up(&directory)).unwrap();
    let backup = directory.source().join("backups/backup-20250115-103000");
    assert_eq!(report.backup.as_ref(), Some(&backup));
    assert!(
        report
            .phases
            .iter()
            .any(|(phase, _)| *phase == Phase::Backup)
    );
    // Neither renames nor skipped indexes show: it is what one goes back to.
    assert_eq!(manifest(&backup), manifest(&exported.target));
    assert_eq!(content(&backup), content(&exported.target));
    assert_eq!(Database::read(&directory.source()).collections.len(), 8);
    assert!(!warnings(&report).contains(&Code::VerifyFailed));
}

#[test]
fn a_backup_beside_needs_a_place_of_its_own() {
    let directory = plain();
    let mut options = directory.side_by_side();
    options.backup = true;
    assert_eq!(
        directory.refused(options.clone()).exit_code(),
        ExitCode::Usage
    );
    for refused in [
        directory.target(),
        directory.source(),
        directory.source().join("x"),
    ] {
        options.backup_dir = Some(refused);
        let error = directory.refused(options.clone());
        assert_eq!(error.exit_code(), ExitCode::Usage, "{error:?}");
    }
    options.backup_dir = Some(directory.home().join("kept"));
    options.excluded = vec!["a".to_owned()];
    let report = run(options).unwrap();
    let content = content(&report.backup.unwrap());
    assert_eq!(content.keys().collect::<Vec<_>>(), ["b", "c", "w"]);
}

/// Lets everything happen up to the n-th change of the indexes or verify phase.
fn killed_after_backup(options: &Options) -> Result<Report> {
    let renamed = Arc::new(AtomicU64::new(0));
    let gate = Gate::guarded(move |change| {
        let is_backup = change.path.to_str().unwrap().contains(".laura-backup-");
        let begun = match (change.kind, is_backup) {
            (ChangeKind::Rename, true) => renamed.fetch_add(1, Ordering::SeqCst),
            _ => renamed.load(Ordering::SeqCst),
        };
        let is_work = change.path.to_str().unwrap().ends_with("metadata.db");
        match begun > 0 && is_work {
            true => Verdict::Fail(std::io::Error::from_raw_os_error(28)),
            false => Verdict::Proceed,
        }
    });
    Migration::new(options.clone())
        .with_gate(gate)
        .run(&mut Unwatched)
}

#[test]
fn a_resumed_migration_takes_no_second_backup() {
    let directory = directory();
    let options = backed_up(&directory);
    let error = killed_after_backup(&options).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Interrupted, "{error:?}");
    let backups = directory.source().join("backups");
    assert_eq!(names(&backups), ["backup-20250115-103000"]);
    let report = run(options).unwrap();
    assert_eq!(report.backup, Some(backups.join("backup-20250115-103000")));
    assert_eq!(names(&backups), ["backup-20250115-103000"]);
}

#[test]
fn a_backup_that_was_altered_or_lost_meanwhile_is_taken_again() {
    let directory = directory();
    let options = backed_up(&directory);
    killed_after_backup(&options).unwrap_err();
    let backups = directory.source().join("backups");
    fs::write(backups.join("backup-20250115-103000/manifest.json"), "{}").unwrap();
    let report = run(options).unwrap();
    assert_eq!(report.backup, Some(backups.join("backup-20250115-103001")));
}

#[test]
fn a_backup_stays_when_the_migration_fails() {
    // The duplicate shows when `_id_` is sorted, long after the backup.
    let twice = json!([{"name": "a", "documents": [{"_id": "1"}, {"_id": "1"}]}]);
    let directory = Directory::of_collections(&twice);
    let mut options = directory.in_place();
    options.backup = true;
    assert_eq!(run(options).unwrap_err().code(), Code::DuplicateId);
    let backups = directory.source().join("backups");
    assert_eq!(names(&backups), ["backup-20250115-103000"]);
    assert_eq!(names(&directory.source()), ["backups", "snapshot.json"]);
    let dir = Dir::open(&backups, Gate::open()).unwrap();
    let source = source::open(dir, &V1Options::default(), &mut |_| Ok(())).unwrap();
    assert_eq!(source.collections()[0].stated.documents, Some(2));
}
