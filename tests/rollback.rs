//! Rollbacks: the directory is as it was before the migration, or nothing happens.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what fails here fails the test"
)]

mod common;

use common::{Directory, Log, Tree, assert_error, assert_same_tree, names, run};
use laura_migrate::files::{ChangeKind, Gate, Verdict};
use laura_migrate::options::Mode;
use laura_migrate::progress::Unwatched;
use laura_migrate::report::Outcome;
use laura_migrate::{Code, ExitCode, Interrupt, Migration, Options};
use serde_json::json;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;

/// Everything that a migration moves or replaces, and a file that it does not.
fn directory() -> Directory {
    let wal = Log::new().insert("c", r#"{"_id":"b"}"#).bytes();
    Directory::of_collections(&json!([{"name": "c", "documents": [{"_id": "a"}]}]))
        .wal(wal)
        .file(
            ".lauradb-version",
            "{ \"formatVersion\": \"1.0\", \"x\": 1.50 }\n",
        )
        .file(".lauradb-quarantine.jsonl", "of an earlier migration\n")
        .file("notes.txt", "the operator's own")
}

fn rollback(directory: &Directory) -> Options {
    Options {
        mode: Mode::Rollback,
        ..directory.in_place()
    }
}

fn forced(directory: &Directory) -> Options {
    Options {
        force: true,
        ..rollback(directory)
    }
}

/// But for the time of the marker, which is written anew.
fn without_marker(mut tree: Tree) -> Tree {
    tree.remove("source/.lauradb-version");
    tree
}

fn append(path: &Path) {
    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(b"x").unwrap();
}

#[test]
fn the_directory_is_as_it_was_and_migrates_again() {
    let directory = directory();
    let before = directory.tree();
    let marker = fs::read(directory.source().join(".lauradb-version")).unwrap();
    for _ in 0..2 {
        run(directory.in_place()).unwrap();
        let report = run(rollback(&directory)).unwrap();
        assert_eq!(report.outcome, Outcome::RolledBack);
        assert_eq!((report.mode, report.kept_v2), (Mode::Rollback, None));
        assert_same_tree(
            &without_marker(before.clone()),
            &without_marker(directory.tree()),
        );
        let found = fs::read(directory.source().join(".lauradb-version")).unwrap();
        assert_eq!(found, marker);
    }
    let again = run(rollback(&directory)).unwrap();
    assert_eq!(again.outcome, Outcome::NotMigrated);
}

#[test]
fn without_a_marker_and_with_a_snapshot_from_elsewhere_it_is_the_same() {
    let directory = Directory::new().wal(Log::new().insert("c", r#"{"_id":"b"}"#).bytes());
    let text = common::snapshot_text(&json!([{"name": "c", "documents": [{"_id": "a"}]}]));
    fs::write(directory.home().join("elsewhere.json"), text).unwrap();
    let before = directory.tree();
    let mut options = directory.in_place();
    options.snapshot = Some(directory.home().join("elsewhere.json"));
    run(options).unwrap();
    run(rollback(&directory)).unwrap();
    assert_same_tree(&before, &directory.tree());
}

#[test]
fn v2_that_was_written_to_is_refused_and_kept_by_force() {
    for written in ["data.db", "metadata.db", "wal.log"] {
        let directory = directory();
        let before = directory.tree();
        run(directory.in_place()).unwrap();
        append(&directory.source().join(written));
        let error = directory.refused(rollback(&directory));
        assert_error(&error, Code::RollbackRefused, written);
        assert_eq!(error.exit_code(), ExitCode::InTheWay);
        assert!(error.hint_text().unwrap().contains("--force"));
        let read = |directory: &Path, name: &str| fs::read(directory.join(name)).unwrap();
        let v2 = ["data.db", "metadata.db", "wal.log", ".lauradb-version"]
            .map(|name| (name, read(&directory.source(), name)));
        let report = run(forced(&directory)).unwrap();
        let kept = directory.source().join(".lauradb-v2-20250115-103000");
        assert_eq!(report.kept_v2.as_ref(), Some(&kept));
        for (name, bytes) in v2 {
            assert!(read(&kept, name) == bytes, "{name}");
        }
        assert_eq!(names(&kept).len(), 5, "a complete v2 directory");
        fs::remove_dir_all(kept).unwrap();
        assert_same_tree(&without_marker(before), &without_marker(directory.tree()));
    }
}

/// The files' owner is not the directory's: a database that runs as one user, in a volume of
/// another's.
#[test]
fn what_is_written_has_the_owner_of_the_files_and_not_of_the_directory() {
    let directory = directory();
    let source = directory.source();
    for name in names(&source) {
        if chown(source.join(name), Some(65534), Some(65533)).is_err() {
            // Only root may give files away.
            return;
        }
    }
    let assert_owned = |directory: &Path, listed: &[&str]| {
        for name in listed {
            let found = directory.join(name).metadata().unwrap();
            assert_eq!((found.uid(), found.gid()), (65534, 65533), "{name}");
        }
    };
    let published = [
        ".lauradb-version",
        "data.db",
        "metadata.db",
        "wal.log",
        ".lauradb-migration.json",
    ];
    run(directory.in_place()).unwrap();
    assert_owned(&source, &published);
    assert_owned(&source, &[".lauradb-v1", ".lauradb-v1/.lauradb-version"]);
    append(&source.join("data.db"));
    run(forced(&directory)).unwrap();
    assert_owned(&source, &[".lauradb-version", "snapshot.json", "wal.log"]);
    let kept = source.join(".lauradb-v2-20250115-103000");
    assert_owned(&kept, &published);
    assert_owned(&kept, &["."]);
    assert_eq!(source.metadata().unwrap().uid(), 0);
}

#[test]
fn force_with_nothing_written_keeps_nothing() {
    let directory = directory();
    run(directory.in_place()).unwrap();
    assert_eq!(run(forced(&directory)).unwrap().kept_v2, None);
}

#[test]
fn without_its_receipt_only_force_helps() {
    let directory = directory();
    run(directory.in_place()).unwrap();
    fs::remove_file(directory.source().join(".lauradb-migration.json")).unwrap();
    let error = directory.refused(rollback(&directory));
    assert_error(&error, Code::RollbackRefused, "receipt");
    let report = run(forced(&directory)).unwrap();
    assert!(report.kept_v2.unwrap().join("data.db").exists());
    assert!(directory.source().join("snapshot.json").exists());
}

#[test]
fn of_a_migration_to_another_directory_the_source_was_never_touched() {
    let directory = directory();
    run(directory.side_by_side()).unwrap();
    let mut of_target = rollback(&directory);
    of_target.source = directory.target();
    let mut of_both = rollback(&directory);
    of_both.target = Some(directory.target());
    for options in [of_target, of_both] {
        let error = directory.refused(options);
        assert_error(&error, Code::Usage, "the source was never touched");
    }
    assert_eq!(
        run(rollback(&directory)).unwrap().outcome,
        Outcome::NotMigrated
    );
}

#[test]
fn originals_that_are_gone_damaged_or_in_company_are_refused() {
    type Spoil = fn(&Path);
    let cases: [(Spoil, Code); 6] = [
        (|v1| fs::remove_dir_all(v1).unwrap(), Code::OriginalsChanged),
        (
            |v1| fs::remove_file(v1.join("snapshot.json")).unwrap(),
            Code::OriginalsChanged,
        ),
        (|v1| append(&v1.join("wal.log")), Code::OriginalsChanged),
        (
            |v1| fs::write(v1.join("mine"), "").unwrap(),
            Code::InTheWayFile,
        ),
        (
            |v1| fs::create_dir(v1.join("mine")).unwrap(),
            Code::InTheWayFile,
        ),
        (
            |v1| fs::write(v1.parent().unwrap().join("snapshot.json"), "").unwrap(),
            Code::InTheWayFile,
        ),
    ];
    for (spoil, code) in cases {
        let directory = directory();
        run(directory.in_place()).unwrap();
        spoil(&directory.source().join(".lauradb-v1"));
        for options in [rollback(&directory), forced(&directory)] {
            let error = directory.refused(options);
            assert_error(&error, code, "");
        }
    }
}

/// Runs with the n-th rename of a file with this name failing.
fn cut_at(options: Options, name: &'static str) -> laura_migrate::Error {
    let gate = Gate::guarded(move |change| {
        match change.kind == ChangeKind::Rename && change.path.ends_with(name) {
            true => Verdict::Fail(std::io::Error::from_raw_os_error(5)),
            false => Verdict::Proceed,
        }
    });
    let migration = Migration::new(options).with_gate(gate);
    migration.run(&mut Unwatched).unwrap_err()
}

#[test]
fn an_interrupted_rollback_is_refused_by_other_modes_and_finished_by_itself() {
    let directory = directory();
    let before = directory.tree();
    run(directory.in_place()).unwrap();
    let error = cut_at(rollback(&directory), "source/wal.log");
    assert_error(&error, Code::RollbackInterrupted, "half rolled back");
    // This process, which is alive, is no longer at it.
    fs::remove_file(directory.source().join(".laura-migrate/run.json")).unwrap();
    let status = Migration::new(directory.in_place()).status().unwrap();
    let next = status.next_command.clone().unwrap();
    assert!(next.starts_with("laura-migrate --mode rollback "), "{next}");
    let export = Options {
        mode: Mode::Export,
        ..directory.in_place()
    };
    for options in [directory.in_place(), directory.side_by_side(), export] {
        let error = directory.refused(options);
        assert_error(&error, Code::RollbackInterrupted, "");
        assert!(error.hint_text().unwrap().contains("--mode rollback"));
    }
    run(rollback(&directory)).unwrap();
    assert_same_tree(&without_marker(before), &without_marker(directory.tree()));
}

#[test]
fn a_half_published_migration_cannot_be_rolled_back() {
    let directory = directory();
    cut_at(directory.in_place(), ".laura-migrate/data.db");
    let error = directory.refused(rollback(&directory));
    assert_eq!(error.exit_code(), ExitCode::Interrupted, "{error:?}");
    assert!(error.hint_text().unwrap().contains("again"));
    run(directory.in_place()).unwrap();
    run(rollback(&directory)).unwrap();
}

#[test]
fn an_interrupt_before_it_begins_changes_nothing() {
    let directory = directory();
    run(directory.in_place()).unwrap();
    let before = directory.tree();
    let interrupt = Interrupt::default();
    interrupt.request();
    let error = Migration::new(rollback(&directory))
        .with_interrupt(interrupt)
        .run(&mut Unwatched)
        .unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Interrupted);
    assert_same_tree(&before, &directory.tree());
}

#[test]
fn a_backup_outlives_the_rollback() {
    let directory = directory();
    let mut options = directory.in_place();
    options.backup = true;
    run(options).unwrap();
    run(rollback(&directory)).unwrap();
    assert_eq!(names(&directory.source().join("backups")).len(), 1);
}
