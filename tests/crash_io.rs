//! Every change that an export, a migration with a backup, and a rollback make to a file is cut or
//! failed in turn; afterwards nothing is lost, and the same command ends as if nothing had happened.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod crash_support;

use crash_support::{Fault, Tree, breaking, prepare, scratch, tree};
use laura_migrate::files::Gate;
use laura_migrate::options::Mode;
use laura_migrate::progress::Unwatched;
use laura_migrate::report::Report;
use laura_migrate::{ExitCode, Migration, Options, Result};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

const FAULTS: [Fault; 4] = [Fault::Kill, Fault::Torn, Fault::DiskFull, Fault::IoError];

/// A command, the directories that it is run on, and what is left of them when it is done.
struct Operation {
    pristine: TempDir,
    options: fn(&Path) -> Options,
    expected: Tree,
}

/// What every run here has in common.
fn options(source: PathBuf) -> Options {
    Options {
        jobs: 2,
        batch_size: 50,
        memory: 8 << 20,
        checkpoint_interval: Duration::ZERO,
        source_date_epoch: Some(1_736_937_000),
        ..Options::new(source)
    }
}

fn run(options: Options, gate: Gate) -> Result<Report> {
    Migration::new(options).with_gate(gate).run(&mut Unwatched)
}

/// Copies a directory to the byte, receipts whole.
fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from).min_depth(1) {
        let entry = entry.unwrap();
        let path = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir(path).unwrap();
        } else {
            std::fs::copy(entry.path(), path).unwrap();
        }
    }
}

impl Operation {
    fn new(stage: impl FnOnce(&Path), options: fn(&Path) -> Options) -> Self {
        let pristine = scratch();
        std::fs::create_dir(pristine.path().join("source")).unwrap();
        prepare(&pristine.path().join("source"));
        stage(pristine.path());
        let mut operation = Self {
            pristine,
            options,
            expected: Tree::new(),
        };
        let attempt = operation.attempt();
        run(options(attempt.path()), Gate::open()).unwrap();
        operation.expected = tree(attempt.path());
        operation
    }

    fn attempt(&self) -> TempDir {
        let directory = scratch();
        copy(self.pristine.path(), directory.path());
        directory
    }

    fn before(&self) -> Tree {
        tree(self.pristine.path())
    }

    /// Breaks each change in turn, shows what is left to `look`, runs the command again, and shows
    /// what is there then.
    fn survives(
        &self,
        fault: Fault,
        look: impl Fn(&str, &Path, Result<Report>),
        finally: impl Fn(&str, &Path),
    ) {
        let count = Arc::new(AtomicU64::new(0));
        let gate = breaking(Fault::Kill, u64::MAX, &count);
        run((self.options)(self.attempt().path()), gate).unwrap();
        let changes = count.load(Ordering::SeqCst);
        assert!(changes > 10, "only {changes} changes");
        for at in 0..changes {
            let when = format!("{fault:?} at {at}");
            let attempt = self.attempt();
            let options = (self.options)(attempt.path());
            let gate = breaking(fault, at, &Arc::default());
            let broken = run(options.clone(), gate);
            let has_failed = broken.is_err();
            if let (Fault::DiskFull, Err(error)) = (fault, &broken) {
                assert_eq!(
                    error.exit_code(),
                    ExitCode::Interrupted,
                    "{when}: {error:?}"
                );
            }
            look(&when, attempt.path(), broken);
            if has_failed {
                run(options, Gate::open()).unwrap_or_else(|error| panic!("{when}: {error:?}"));
            }
            finally(&when, attempt.path());
        }
    }
}

fn assert_same(when: &str, found: &Tree, expected: &Tree) {
    let differs: BTreeSet<_> = expected
        .iter()
        .chain(found)
        .filter(|(path, bytes)| {
            found.get(*path) != Some(bytes) || expected.get(*path) != Some(bytes)
        })
        .map(|(path, _)| path)
        .collect();
    assert!(differs.is_empty(), "{when}: {differs:?} differ");
}

/// The directories with a backup's name in a directory, which may be missing.
fn backups(directory: &Path) -> Vec<Tree> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let names = entries.map(|entry| entry.unwrap().path());
    let is_backup = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("backup-")
    };
    names.filter(is_backup).map(|path| tree(&path)).collect()
}

/// Without the backups in a directory.
fn without_backups(root: &Path, directory: &str) -> Tree {
    let mut found = tree(root);
    let prefix = Path::new(directory).join("backup-");
    let prefix = prefix.to_str().unwrap();
    found.retain(|path, _| !path.to_str().unwrap().starts_with(prefix));
    found
}

fn exported(root: &Path) -> Options {
    Options {
        mode: Mode::Export,
        target: Some(root.join("target")),
        ..options(root.join("source"))
    }
}

fn exported_by_default(root: &Path) -> Options {
    Options {
        mode: Mode::Export,
        ..options(root.join("source"))
    }
}

fn export_survives(options: fn(&Path) -> Options, directory: &str, faults: &[Fault]) {
    let operation = Operation::new(|_| {}, options);
    let root = scratch();
    copy(operation.pristine.path(), root.path());
    run(options(root.path()), Gate::open()).unwrap();
    let whole = backups(&root.path().join(directory));
    assert_eq!(whole.len(), 1);
    let expected = without_backups(root.path(), directory);
    for fault in faults {
        let complete = |when: &str, root: &Path, at_least: usize| {
            let found = backups(&root.join(directory));
            assert!(found.len() >= at_least, "{when}: no backup");
            for backup in &found {
                assert_same(when, backup, &whole[0]);
            }
        };
        let look = |when: &str, root: &Path, broken: Result<Report>| {
            complete(when, root, usize::from(broken.is_ok()));
            if broken.is_err() && matches!(fault, Fault::DiskFull | Fault::IoError) {
                assert_same(when, &tree(root), &operation.before());
            }
        };
        operation.survives(*fault, look, |when, root| {
            complete(when, root, 1);
            assert_same(when, &without_backups(root, directory), &expected);
        });
    }
}

#[test]
fn an_export_leaves_a_whole_backup_or_none() {
    export_survives(exported, "target", &FAULTS);
}

#[test]
fn an_export_into_the_source_leaves_a_whole_backup_or_none() {
    export_survives(
        exported_by_default,
        "source/backups",
        &[Fault::Kill, Fault::IoError],
    );
}

fn backed_up_in_place(root: &Path) -> Options {
    Options {
        backup: true,
        ..options(root.join("source"))
    }
}

fn backed_up_beside(root: &Path) -> Options {
    Options {
        backup: true,
        backup_dir: Some(root.join("kept")),
        target: Some(root.join("target")),
        ..options(root.join("source"))
    }
}

fn migration_survives(options: fn(&Path) -> Options, directory: &str, faults: &[Fault]) {
    let operation = Operation::new(|_| {}, options);
    for fault in faults {
        let look = |when: &str, root: &Path, broken: Result<Report>| {
            let found = backups(&root.join(directory));
            assert!(found.len() <= 1, "{when}: {} backups", found.len());
            assert!(broken.is_err() || found.len() == 1, "{when}: no backup");
        };
        operation.survives(*fault, look, |when, root| {
            let found = backups(&root.join(directory));
            // What failed for good has left its backup, and the next run begins anew.
            let most = if *fault == Fault::IoError { 2 } else { 1 };
            assert!((1..=most).contains(&found.len()), "{when}: {}", found.len());
            for backup in &found {
                assert_same(when, backup, &found[0]);
            }
            let mut expected = operation.expected.clone();
            let prefix = Path::new(directory).join("backup-");
            expected
                .retain(|path, _| !path.to_str().unwrap().starts_with(prefix.to_str().unwrap()));
            assert_same(when, &without_backups(root, directory), &expected);
        });
    }
}

#[test]
fn a_migration_in_place_takes_its_backup_once() {
    migration_survives(backed_up_in_place, "source/backups", &FAULTS);
}

#[test]
fn a_migration_beside_takes_its_backup_once() {
    migration_survives(backed_up_beside, "kept", &[Fault::Kill, Fault::DiskFull]);
}

fn rolled_back(root: &Path) -> Options {
    Options {
        mode: Mode::Rollback,
        ..options(root.join("source"))
    }
}

fn rolled_back_by_force(root: &Path) -> Options {
    Options {
        force: true,
        ..rolled_back(root)
    }
}

fn migrate(root: &Path) {
    run(options(root.join("source")), Gate::open()).unwrap();
}

fn write_to_v2(root: &Path) {
    migrate(root);
    let path = root.join("source/data.db");
    let mut data = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    data.write_all(&[0; 4096]).unwrap();
}

/// Until a rollback is finished, every other mode refuses the directory.
fn is_refused(when: &str, root: &Path) {
    let left = tree(root);
    let auto = options(root.join("source"));
    let restart = Options {
        restart: true,
        ..auto.clone()
    };
    for options in [auto, restart, exported(root)] {
        let mode = options.mode;
        let error = run(options, Gate::open()).unwrap_err();
        assert_eq!(
            error.exit_code(),
            ExitCode::Interrupted,
            "{when}: {error:?}"
        );
        let hint = error.hint_text().unwrap();
        assert!(hint.contains("--mode rollback"), "{when}, {mode:?}: {hint}");
        assert_same(when, &tree(root), &left);
    }
}

fn rollback_survives(
    stage: impl FnOnce(&Path),
    options: fn(&Path) -> Options,
    faults: &[Fault],
) -> Operation {
    let operation = Operation::new(stage, options);
    for fault in faults {
        let look = |when: &str, root: &Path, broken: Result<Report>| {
            let Err(error) = broken else { return };
            let journal = root.join("source/.laura-migrate/rollback.json");
            if journal.exists() {
                assert_eq!(
                    error.exit_code(),
                    ExitCode::Interrupted,
                    "{when}: {error:?}"
                );
                is_refused(when, root);
            } else if matches!(fault, Fault::DiskFull | Fault::IoError)
                && error.exit_code() != ExitCode::Interrupted
            {
                assert_same(when, &tree(root), &operation.before());
            }
        };
        operation.survives(*fault, look, |when, root| {
            assert_same(when, &tree(root), &operation.expected);
        });
    }
    operation
}

#[test]
fn a_rollback_that_was_cut_anywhere_is_finished_by_the_same_command() {
    let operation = rollback_survives(migrate, rolled_back, &FAULTS);
    let v1 = scratch();
    std::fs::create_dir(v1.path().join("source")).unwrap();
    prepare(&v1.path().join("source"));
    assert_same("rolled back", &operation.expected, &tree(v1.path()));
}

#[test]
fn a_forced_rollback_that_was_cut_anywhere_keeps_v2_whole() {
    let faults = [Fault::Kill, Fault::IoError];
    let operation = rollback_survives(write_to_v2, rolled_back_by_force, &faults);
    let kept = Path::new("source/.lauradb-v2-20250115-103000");
    let before = operation.before();
    for name in ["data.db", "metadata.db", "wal.log", ".lauradb-version"] {
        let expected = &before[&Path::new("source").join(name)];
        assert_eq!(&operation.expected[&kept.join(name)], expected, "{name}");
    }
}
