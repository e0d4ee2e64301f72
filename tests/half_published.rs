//! Directories in which a publish was cut off: what finishes it, what is refused, and what takes it
//! back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what fails here fails the test"
)]

mod common;

use common::{Database, Directory, Log, assert_error, assert_same_tree, run};
use laura_migrate::files::{ChangeKind, Gate, Verdict};
use laura_migrate::options::{ImportFormat, Mode};
use laura_migrate::progress::Unwatched;
use laura_migrate::report::Outcome;
use laura_migrate::{Code, ExitCode, Migration, Options};
use std::sync::atomic::{AtomicUsize, Ordering};

fn directory() -> Directory {
    Directory::of_users().wal(Log::new().insert("users", r#"{"_id":"w"}"#).bytes())
}

/// Runs until the file would be renamed for the n-th time; from there on nothing happens any more.
/// The path begins in the directory's home.
fn cut_at_rename(directory: &Directory, (path, nth): (&str, usize), options: &Options) {
    let path = directory.home().join(path);
    let renames = AtomicUsize::new(0);
    let gate = Gate::guarded(move |change| {
        let is_it = change.kind == ChangeKind::Rename && change.path == path;
        let before = renames.fetch_add(usize::from(is_it), Ordering::SeqCst);
        match before + usize::from(is_it) >= nth {
            true => Verdict::Fail(std::io::Error::other("the process was killed")),
            false => Verdict::Proceed,
        }
    });
    let migration = Migration::new(options.clone()).with_gate(gate);
    let error = migration.run(&mut Unwatched).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Interrupted, "{error:?}");
}

/// Where a publish may be cut: in place, and side by side before and after the receipt has moved.
const CUTS: [(bool, (&str, usize)); 3] = [
    (true, ("source/wal.log", 1)),
    (false, ("target/.laura-migrate/metadata.db", 1)),
    (false, ("target/.lauradb-version.tmp", 2)),
];

fn options(directory: &Directory, in_place: bool) -> Options {
    match in_place {
        true => directory.in_place(),
        false => directory.side_by_side(),
    }
}

#[test]
fn other_options_do_not_finish_a_publish() {
    for (in_place, cut) in CUTS {
        let directory = directory();
        let options = options(&directory, in_place);
        cut_at_rename(&directory, cut, &options);
        let before = directory.tree();
        let changes: [fn(&mut Options); 5] = [
            |options| options.max_bad = 7,
            |options| options.renames = vec!["users=u".to_owned()],
            |options| options.skip_indexes = vec!["all".to_owned()],
            |options| options.source_date_epoch = None,
            |options| options.snapshot = Some("another.json".into()),
        ];
        for change in changes {
            let mut other = options.clone();
            change(&mut other);
            let error = run(other).unwrap_err();
            assert_error(&error, Code::ResumeRefused, "half published");
            let hint = error.hint_text().unwrap();
            assert!(hint.contains("options that it had"), "{hint}");
            assert!(hint.contains("--restart"), "{hint}");
            assert_same_tree(&before, &directory.tree());
        }
        assert_eq!(run(options).unwrap().outcome, Outcome::Finished);
    }
}

#[test]
fn other_options_begin_anew_with_restart() {
    for (in_place, cut) in CUTS {
        let directory = directory();
        let mut options = options(&directory, in_place);
        cut_at_rename(&directory, cut, &options);
        options.renames = vec!["users=u".to_owned()];
        options.restart = true;
        let target = options.target.clone().unwrap_or_else(|| directory.source());
        run(options).unwrap();
        let published = Database::read(&target);
        assert_eq!(published.collection("u").documents.len(), 201);
    }
}

#[test]
fn a_publish_in_place_is_not_finished_as_another_migrations_target() {
    let directory = directory();
    let (in_place, cut) = CUTS[0];
    cut_at_rename(&directory, cut, &options(&directory, in_place));
    let beside = Directory::of_users();
    let mut other = beside.side_by_side();
    other.target = Some(directory.source());
    let error = directory.refused(other);
    assert_error(&error, Code::ResumeRefused, "in place");
}

#[test]
fn a_work_directory_that_a_finished_publish_has_left_is_no_reason_to_refuse() {
    for in_place in [true, false] {
        let directory = directory();
        let mut options = options(&directory, in_place);
        let target = options.target.clone().unwrap_or_else(|| directory.source());
        let journal = target.join(".laura-migrate/journal.json");
        let is_last = journal.clone();
        let gate = Gate::guarded(move |change| {
            match change.kind == ChangeKind::RemoveFile && change.path == is_last {
                true => Verdict::Fail(std::io::Error::other("the process was killed")),
                false => Verdict::Proceed,
            }
        });
        let migration = Migration::new(options.clone()).with_gate(gate);
        migration.run(&mut Unwatched).unwrap_err();
        assert!(journal.exists());
        options.skip_indexes = vec!["all".to_owned()];
        match in_place {
            true => assert_eq!(run(options).unwrap().outcome, Outcome::AlreadyMigrated),
            false => assert_error(&run(options).unwrap_err(), Code::TargetNotEmpty, "already"),
        }
        assert!(!target.join(".laura-migrate").exists());
    }
}

#[test]
fn a_file_that_power_loss_left_under_both_its_names_is_taken_back() {
    for (in_place, cut) in CUTS {
        let directory = directory();
        let mut options = options(&directory, in_place);
        let target = options.target.clone().unwrap_or_else(|| directory.source());
        let before = common::names(&directory.source());
        cut_at_rename(&directory, cut, &options);
        let work = target.join(".laura-migrate");
        for name in [
            "data.db",
            "metadata.db",
            "wal.log",
            ".lauradb-migration.json",
        ] {
            // What is there already is the other name, or the original.
            let (staged, published) = (work.join(name), target.join(name));
            let _ = std::fs::hard_link(&published, &staged);
            let _ = std::fs::hard_link(&staged, &published);
        }
        if in_place {
            // Not moved yet, so it was the original.
            let original = std::fs::read(directory.source().join("wal.log")).unwrap();
            assert!(original != std::fs::read(work.join("wal.log")).unwrap());
        }
        options.restart = true;
        run(options).unwrap();
        if in_place {
            assert_eq!(common::names(&target.join(".lauradb-v1")), before);
        }
        let published = Database::read(&target);
        assert_eq!(published.collection("users").documents.len(), 201);
    }
}

#[test]
fn an_original_with_the_bytes_of_a_staged_file_stays_when_a_publish_is_taken_back() {
    // Both logs are fresh.
    let fresh = laura_migrate::v1::wal::fresh_wal();
    let directory = Directory::of_users().wal(fresh);
    let mut options = directory.in_place();
    cut_at_rename(&directory, CUTS[0].1, &options);
    options.restart = true;
    run(options).unwrap();
    let kept = std::fs::read(directory.source().join(".lauradb-v1/wal.log")).unwrap();
    assert_eq!(kept, fresh);
}

/// An import to format 1.0 that was cut after its first file was in place.
fn half_placed(directory: &Directory) -> Options {
    let backup = common::back_up(&directory.source(), directory.home());
    let options = Options {
        mode: Mode::Import,
        to: ImportFormat::V1,
        target: Some(directory.target()),
        ..Options::new(backup)
    };
    cut_at_rename(directory, ("target/.laura-migrate/wal.log", 1), &options);
    let target = common::names(&directory.target());
    assert_eq!(target, [".laura-migrate", "snapshot.json"]);
    options
}

#[test]
fn no_other_command_destroys_an_import_that_is_half_in_place() {
    let directory = Directory::of_users();
    let import = half_placed(&directory);
    let target = directory.target();
    let in_mode = |mode, restart| Options {
        mode,
        restart,
        ..Options::new(&target)
    };
    let to_v2 = Options {
        to: ImportFormat::V2,
        ..import.clone()
    };
    let others = [
        in_mode(Mode::Auto, false),
        in_mode(Mode::Auto, true),
        in_mode(Mode::Rollback, false),
        in_mode(Mode::DryRun, false),
        directory.side_by_side(),
        to_v2,
    ];
    for other in others {
        let mode = other.mode;
        let error = directory.refused(other);
        assert_error(&error, Code::PublishInterrupted, "an import");
        assert_eq!(error.exit_code(), ExitCode::Interrupted, "{mode:?}");
        assert!(error.hint_text().unwrap().contains("--restart"));
    }
    assert_eq!(run(import).unwrap().outcome, Outcome::Finished);
    assert_eq!(common::names(&target), ["snapshot.json", "wal.log"]);
}

#[test]
fn an_import_with_a_file_under_both_its_names_is_taken_back() {
    let directory = Directory::of_users();
    let mut import = half_placed(&directory);
    let published = directory.target().join("snapshot.json");
    let staged = directory.target().join(".laura-migrate/snapshot.json");
    std::fs::hard_link(published, staged).unwrap();
    import.restart = true;
    assert_eq!(run(import).unwrap().outcome, Outcome::Migrated);
    let target = common::names(&directory.target());
    assert_eq!(target, ["snapshot.json", "wal.log"]);
}
