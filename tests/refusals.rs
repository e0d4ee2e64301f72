//! Migrations that fail: one error that says where and what to do, and everything as it was.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what fails here fails the test"
)]

mod common;

use common::{Directory, Log, assert_error, assert_same_tree, run};
use laura_migrate::files::{ChangeKind, Gate, Verdict};
use laura_migrate::options::Mode;
use laura_migrate::progress::{MigrationProgress, Phase, ProgressSink, Unwatched};
use laura_migrate::{Code, Error, ExitCode, Interrupt, Migration};
use serde_json::json;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn one_document() -> Directory {
    Directory::of_collections(&json!([{"name": "c", "documents": [{"_id": "a"}]}]))
}

#[test]
fn paths_that_are_missing_or_no_directories_are_usage_errors() {
    let directory = one_document().file("file", b"");
    let refused = |source: PathBuf, target: Option<PathBuf>| -> Error {
        let mut options = directory.in_place();
        (options.source, options.target) = (source, target);
        directory.refused(options)
    };
    let home = directory.home();
    let source = directory.source();
    let missing = refused(home.join("missing"), None);
    assert_eq!(missing.code(), Code::PathMissing);
    assert_eq!(missing.place().file, Some(home.join("missing")));
    for error in [
        refused(source.join("file"), None),
        refused(home.join("missing"), Some(directory.target())),
        refused(source.clone(), Some(source.join("file"))),
        refused(source.clone(), Some(home.join("no/parent"))),
    ] {
        assert_eq!(error.code(), Code::PathMissing, "{error:?}");
    }
}

#[test]
fn source_and_target_must_lie_apart() {
    let directory = one_document();
    let source = directory.source();
    fs::create_dir(source.join("inside")).unwrap();
    symlink("source", directory.home().join("link")).unwrap();
    for target in [
        source.clone(),
        directory.home().to_path_buf(),
        directory.home().join("link"),
        source.join("inside"),
        source.join("inside/new"),
        source.join("new"),
        source.join("../source"),
    ] {
        let mut options = directory.side_by_side();
        options.target = Some(target);
        options.force = true;
        let error = directory.refused(options);
        assert_error(&error, Code::PathsOverlap, "");
    }
}

#[test]
fn a_target_with_anything_in_it_is_refused() {
    let foreign = ["notes.txt", ".hidden", "snapshot.json.orig"];
    let lauradbs = ["data.db", "wal.log", "backup-x.json", ".lauradb-version"];
    for (name, force, is_refused) in foreign
        .iter()
        .flat_map(|name| [(name, false, true), (name, true, true)])
        .chain(lauradbs.iter().map(|name| (name, false, true)))
    {
        let directory = one_document();
        fs::create_dir(directory.target()).unwrap();
        fs::write(directory.target().join(name), "kept").unwrap();
        let mut options = directory.side_by_side();
        options.force = force;
        assert!(is_refused);
        let error = directory.refused(options);
        assert_error(&error, Code::TargetNotEmpty, name);
    }
    // A directory by one of LauraDB's file names is no file of LauraDB.
    let directory = one_document();
    fs::create_dir_all(directory.target().join("data.db")).unwrap();
    let mut options = directory.side_by_side();
    options.force = true;
    let error = directory.refused(options);
    assert_error(&error, Code::TargetNotEmpty, "data.db");
}

#[test]
fn force_does_not_move_symlinks() {
    let directory = one_document();
    fs::create_dir(directory.target()).unwrap();
    symlink(
        "../source/snapshot.json",
        directory.target().join("data.db"),
    )
    .unwrap();
    let mut options = directory.side_by_side();
    options.force = true;
    let error = directory.refused(options);
    assert_error(&error, Code::NotAFile, "data.db");
}

#[test]
fn foreign_files_alone_are_nothing_to_migrate() {
    let directory = Directory::new().file("notes.txt", b"mine");
    let error = directory.refused_both_ways();
    assert_error(&error, Code::NothingToMigrate, "no file of LauraDB");
    let directory = Directory::new().file("data.db", [0; 4096]);
    let error = directory.refused_both_ways();
    assert_error(&error, Code::NothingToMigrate, "no snapshot");
}

#[test]
fn data_files_that_are_symlinks_or_special_are_not_opened() {
    for name in [
        "snapshot.json",
        "wal.log",
        "data.db",
        "metadata.db",
        "backup-1.json",
    ] {
        for kind in ["symlink", "dangling", "socket", "directory"] {
            let directory = Directory::new();
            let source = directory.source();
            let elsewhere = directory.home().join("elsewhere");
            let text = common::snapshot_text(&json!([]));
            fs::write(&elsewhere, &text).unwrap();
            if !name.ends_with(".json") {
                fs::write(source.join("snapshot.json"), &text).unwrap();
            }
            let path = source.join(name);
            let mut listener = None;
            match kind {
                "symlink" => symlink(&elsewhere, &path).unwrap(),
                "dangling" => symlink("/nowhere", &path).unwrap(),
                "socket" => listener = Some(UnixListener::bind(&path).unwrap()),
                _ => fs::create_dir(&path).unwrap(),
            }
            // A directory of that name is a backup in another format.
            if (name, kind) == ("backup-1.json", "directory") {
                continue;
            }
            let before = directory.tree();
            let gate = Gate::guarded(|change| match change.kind {
                ChangeKind::Write | ChangeKind::Create => {
                    Verdict::Fail(std::io::Error::other("written before it was refused"))
                }
                _ => Verdict::Proceed,
            });
            let migration = Migration::new(directory.in_place()).with_gate(gate);
            let error = migration.run(&mut Unwatched).unwrap_err();
            assert_same_tree(&before, &directory.tree());
            assert_eq!(error.code(), Code::NotAFile, "{name}, {kind}: {error:?}");
            assert_eq!(error.place().file, Some(path), "{error:?}");
            assert!(error.hint_text().is_some(), "{name}, {kind}: {error:?}");
            drop(listener);
        }
    }
}

#[test]
fn markers_decide_what_a_directory_is() {
    let cases = [
        ("not JSON", Code::MarkerInvalid),
        ("{}", Code::MarkerInvalid),
        ("", Code::MarkerInvalid),
        (r#"{"formatVersion":"3.0"}"#, Code::VersionUnknown),
        (r#"{"formatVersion":"0.9"}"#, Code::VersionUnknown),
        (r#"{"formatVersion":"2.0-publishing"}"#, Code::Publishing),
    ];
    for (text, code) in cases {
        let directory = one_document().file(".lauradb-version", text);
        let error = directory.refused_both_ways();
        assert_error(&error, code, ".lauradb-version");
    }
    let unknown = one_document().file(".lauradb-version", r#"{"formatVersion":"3.0"}"#);
    let error = unknown.refused(unknown.in_place());
    for version in ["3.0", "1.0", "2.0", "2.1"] {
        let text = format!("{error} {:?} {}", error, error.hint_text().unwrap());
        assert!(text.contains(version), "{text}");
    }
    // A directory in format 2 is not migrated again, and must be sound to be called so.
    for version in ["2.0", "2.1"] {
        let marker = format!(r#"{{"formatVersion":"{version}"}}"#);
        let directory = one_document().file(".lauradb-version", marker);
        let error = directory.refused(directory.side_by_side());
        assert_error(&error, Code::Usage, "v2 already");
        let error = directory.refused(directory.in_place());
        assert_eq!(error.exit_code() as u8, 3, "{error:?}");
    }
}

#[test]
fn v1_files_of_an_earlier_migration_are_in_the_way() {
    let directory = one_document();
    fs::create_dir(directory.source().join(".lauradb-v1")).unwrap();
    let error = directory.refused(directory.in_place());
    assert_error(&error, Code::InTheWayFile, ".lauradb-v1");
    // Not of a target elsewhere.
    run(directory.side_by_side()).unwrap();
}

#[test]
fn renames_must_name_collections_and_keep_them_apart() {
    let named = |name: &str| json!({"name": name, "documents": [{"_id": name}]});
    let directory = Directory::of_collections(&json!([named("a"), named("b")]));
    let cases: [(&[&str], Code); 5] = [
        (&["c=d"], Code::RenameConflict),
        (&["a=b"], Code::RenameConflict),
        (&["a=c", "b=c"], Code::RenameConflict),
        (&["a=c", "a=d"], Code::RenameConflict),
        (&["a=\"\\u0000\""], Code::Usage),
    ];
    for (renames, code) in cases {
        let mut options = directory.in_place();
        options.renames = renames.iter().map(|rename| (*rename).to_owned()).collect();
        let error = directory.refused(options);
        assert_eq!(error.code(), code, "{renames:?}: {error:?}");
    }
}

#[test]
fn names_that_v2_cannot_take_are_refused_from_the_log_too() {
    let directory = one_document().wal(Log::new().insert("", r#"{"_id":"x"}"#).bytes());
    let error = directory.refused(directory.in_place());
    assert_error(&error, Code::CollectionName, "wal.log");
    // Nothing would come of a delete.
    let directory = one_document().wal(Log::new().delete("", r#"{"_id":"x"}"#).bytes());
    directory.migrated();
}

/// Requests the stop when a phase is seen.
struct StopAt(Phase, Interrupt);

impl ProgressSink for StopAt {
    fn update(&mut self, progress: &MigrationProgress) {
        if progress.phase == self.0 {
            self.1.request();
        }
    }
}

#[test]
fn an_interrupt_stops_every_phase_before_publishing() {
    let phases = [
        Phase::Check,
        Phase::Collections,
        Phase::Indexes,
        Phase::Verify,
    ];
    for phase in phases {
        let directory = Directory::of_fixture("seed-10000.json");
        let before = directory.tree();
        let interrupt = Interrupt::default();
        let migration = Migration::new(directory.side_by_side()).with_interrupt(interrupt.clone());
        let error = migration.run(&mut StopAt(phase, interrupt)).unwrap_err();
        assert_error(&error, Code::Cancelled, "interrupted");
        let mut after = directory.tree();
        // From the first checkpoint on the work is kept, and nothing else is there.
        assert_eq!(migration.resumable().unwrap(), phase > Phase::Check);
        after.retain(|path, _| !path.starts_with("target/.laura-migrate"));
        assert_eq!(after.remove("target").is_some(), phase > Phase::Check);
        assert_same_tree(&before, &after);
        let (_, database) = directory.migrated_with(directory.side_by_side());
        assert_eq!(database.collection("users").documents.len(), 10_000);
    }
}

#[test]
fn time_that_runs_out_stops_the_run() {
    let directory = Directory::of_fixture("seed-10000.json");
    let interrupt = Interrupt::default().within(std::time::Duration::ZERO);
    let migration = Migration::new(directory.in_place()).with_interrupt(interrupt);
    let before = directory.tree();
    let error = migration.run(&mut Unwatched).unwrap_err();
    assert_error(&error, Code::Cancelled, "--max-time");
    assert_same_tree(&before, &directory.tree());
}

#[test]
fn a_source_that_changes_during_the_run_fails_it() {
    for name in ["snapshot.json", "wal.log"] {
        let directory = one_document().wal(Log::new().insert("c", r#"{"_id":"w"}"#).bytes());
        let path = directory.source().join(name);
        let changed = path.clone();
        let gate = Gate::guarded(move |change| {
            if change.path.ends_with("metadata.db") && change.kind == ChangeKind::Sync {
                let mut bytes = fs::read(&changed).unwrap();
                bytes.push(b' ');
                fs::write(&changed, bytes).unwrap();
            }
            Verdict::Proceed
        });
        let migration = Migration::new(directory.side_by_side()).with_gate(gate);
        let error = migration.run(&mut Unwatched).unwrap_err();
        assert_error(&error, Code::SourceChanged, name);
        assert_eq!(common::names(directory.home()), ["source"]);
    }
}

#[test]
fn a_target_that_is_a_file_or_leads_nowhere_is_a_usage_error() {
    let directory = one_document().file("file", b"");
    let source = directory.source();
    symlink("nothing", source.parent().unwrap().join("dangling")).unwrap();
    fs::copy(source.join("file"), directory.home().join("file")).unwrap();
    for name in ["file", "file/", "dangling", "dangling/"] {
        for mode in [Mode::Auto, Mode::DryRun, Mode::Export] {
            let mut options = directory.side_by_side();
            options.mode = mode;
            options.target = Some(directory.home().join(name));
            let error = directory.refused(options);
            assert_error(&error, Code::PathMissing, name.trim_end_matches('/'));
        }
    }
}

#[test]
fn what_only_has_the_name_of_a_work_directory_is_left_alone() {
    type Make = fn(&Path);
    let kinds: [Make; 3] = [
        |work| fs::write(work, "a file").unwrap(),
        |work| symlink("/nowhere", work).unwrap(),
        |work| fs::create_dir_all(work.join("inside")).unwrap(),
    ];
    for make in kinds {
        for (mode, restart) in [
            (Mode::Auto, false),
            (Mode::Auto, true),
            (Mode::Rollback, false),
        ] {
            let directory = one_document();
            let work = directory.source().join(".laura-migrate");
            make(&work);
            let mut options = directory.in_place();
            (options.mode, options.restart) = (mode, restart);
            let error = directory.refused(options);
            assert_error(&error, Code::InTheWayFile, ".laura-migrate");
            assert!(error.hint_text().unwrap().contains("move it away"));
        }
    }
}

#[test]
fn what_cannot_be_kept_under_its_name_or_to_the_byte_is_refused() {
    let name = OsStr::from_bytes(b"backup-\xFF.json");
    let directory = one_document();
    let source = directory.source();
    fs::rename(source.join("snapshot.json"), source.join(name)).unwrap();
    for mode in [Mode::Auto, Mode::DryRun] {
        let mut options = directory.in_place();
        options.mode = mode;
        let ends = match mode {
            Mode::DryRun => run(options).unwrap().exit_code(),
            _ => {
                let error = directory.refused(options);
                assert_error(&error, Code::InTheWayFile, "not UTF-8");
                error.exit_code()
            }
        };
        assert_eq!(ends, ExitCode::InTheWay);
    }
    directory.migrated_with(directory.side_by_side());

    let directory = one_document();
    fs::create_dir(directory.target()).unwrap();
    fs::write(directory.target().join(".lauradb-version"), b"{\xFF").unwrap();
    let mut options = directory.side_by_side();
    options.force = true;
    let error = directory.refused(options);
    assert_error(
        &error,
        Code::InTheWayFile,
        "the version marker is not UTF-8",
    );
}

/// Fails the n-th change of a run, and counts them.
fn failing(n: usize, count: &Arc<AtomicUsize>) -> Gate {
    let count = Arc::clone(count);
    Gate::guarded(move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        if number == n {
            return Verdict::Fail(std::io::Error::from_raw_os_error(5));
        }
        Verdict::Proceed
    })
}

/// Every single change of a migration fails once: before the journal, all is as it was; behind it,
/// the same command finishes.
fn fail_each_change(in_place: bool) {
    let mut n = 0;
    let (mut rolled_back, mut finished) = (0, 0);
    loop {
        let log = Log::new().insert("c", r#"{"_id":"w"}"#);
        let directory = one_document()
            .wal(log.bytes())
            .file(".lauradb-version", r#"{"formatVersion":"1.0"}"#);
        let before = directory.tree();
        let options = match in_place {
            true => directory.in_place(),
            false => directory.side_by_side(),
        };
        let target = options.target.clone().unwrap_or_else(|| directory.source());
        let count = Arc::new(AtomicUsize::new(0));
        let migration = Migration::new(options.clone()).with_gate(failing(n, &count));
        let result = migration.run(&mut Unwatched);
        if count.load(Ordering::Relaxed) <= n {
            result.unwrap();
            break;
        }
        if let Err(error) = result {
            // Behind the journal, to the very end of publishing.
            let marker = fs::read_to_string(target.join(".lauradb-version"));
            let has_begun = target.join(".laura-migrate/journal.json").exists()
                || marker.is_ok_and(|marker| marker.contains("2.0"));
            if has_begun {
                let removed = error.to_string().contains("is complete");
                let sentence = if removed {
                    "work directory"
                } else {
                    "half published"
                };
                assert_error(&error, Code::PublishInterrupted, sentence);
                finished += 1;
            } else {
                assert_eq!(error.code(), Code::Io, "{error:?}");
                assert_same_tree(&before, &directory.tree());
                rolled_back += 1;
            }
            run(options).unwrap();
        }
        let ids = common::Database::read(&target).collection("c").ids();
        assert_eq!(ids, [r#""a""#, r#""w""#], "{n}");
        n += 1;
    }
    assert!(
        rolled_back > 10 && finished > 10,
        "{rolled_back}, {finished}"
    );
}

#[test]
fn each_failing_call_in_place_leaves_the_source_or_what_the_same_command_finishes() {
    fail_each_change(true);
}

#[test]
fn each_failing_call_side_by_side_leaves_nothing_or_what_the_same_command_finishes() {
    fail_each_change(false);
}

#[test]
fn a_v2_source_with_a_target_is_refused_with_the_way_by_a_backup() {
    let directory = one_document();
    common::run(directory.in_place()).unwrap();
    let error = directory.refused(directory.side_by_side());
    assert_eq!(error.code(), Code::Usage);
    let hint = error.hint_text().unwrap();
    assert!(
        hint.contains("--mode export ") && hint.contains("--mode import "),
        "{hint}"
    );
}

#[test]
fn the_copy_of_a_backup_does_not_go_inside_it() {
    let directory = one_document();
    let home = directory.home().join("home");
    fs::create_dir(&home).unwrap();
    let backup = common::back_up(&directory.source(), &home);
    let mut options = directory.in_place();
    (options.source, options.mode) = (backup, Mode::Export);
    let error = directory.refused(options.clone());
    assert_eq!(error.code(), Code::Usage);
    assert!(error.hint_text().unwrap().contains("TARGET_DIR"), "{error}");
    options.target = Some(directory.home().join("copies"));
    common::run(options).unwrap();
}
