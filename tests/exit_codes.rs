//! Every exit code that a migration can end with, and that a dry run of it ends with the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    dead_code,
    reason = "what fails here fails the test"
)]

mod common;

use common::Directory;
use laura_migrate::files::{ChangeKind, Gate, Verdict};
use laura_migrate::options::Mode;
use laura_migrate::progress::Unwatched;
use laura_migrate::{Code, ExitCode, Interrupt, Migration, Options};
use serde_json::json;
use std::fs::{self, File};
use std::io;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A migration that ends in one way, and what has to stay alive for that.
struct Case {
    directory: Directory,
    options: Options,
    gate: Gate,
    interrupt: Interrupt,
    lock: Option<File>,
    writer: Option<Writer>,
}

impl Case {
    fn new(directory: Directory) -> Self {
        let options = Options {
            lock_timeout: Duration::ZERO,
            ..directory.side_by_side()
        };
        Self {
            directory,
            options,
            gate: Gate::open(),
            interrupt: Interrupt::default(),
            lock: None,
            writer: None,
        }
    }

    fn in_place(directory: Directory) -> Self {
        let mut case = Self::new(directory);
        case.options.target = None;
        case
    }

    /// How it ends: exit code and, where there is one, the error's code.
    fn ends(&self, mode: Mode) -> (ExitCode, Option<String>) {
        let temporary = tempfile::tempdir().unwrap();
        let options = Options {
            mode,
            temp_dir: temporary.path().to_path_buf(),
            ..self.options.clone()
        };
        let migration = Migration::new(options).with_gate(self.gate.clone());
        let migration = migration.with_interrupt(self.interrupt.clone());
        match migration.run(&mut Unwatched) {
            Ok(report) => {
                let first = report.errors.first();
                (report.exit_code(), first.map(|error| error.code.clone()))
            }
            Err(error) => (error.exit_code(), Some(error.code().id().to_owned())),
        }
    }

    /// The dry run first: it leaves everything as it was.
    #[track_caller]
    fn assert_ends(&self, exit: ExitCode, code: Option<Code>) {
        let expected = (exit, code.map(|code| code.id().to_owned()));
        let before = self.directory.tree();
        assert_eq!(self.ends(Mode::DryRun), expected, "dry run");
        common::assert_same_tree(&before, &self.directory.tree());
        assert_eq!(self.ends(Mode::Auto), expected, "migration");
    }
}

/// A process that has a file open for writing.
struct Writer(Child);

impl Writer {
    fn of(directory: &Directory, name: &str) -> Self {
        let file = File::options()
            .append(true)
            .open(directory.source().join(name));
        let mut command = Command::new("sleep");
        Self(
            command
                .arg("600")
                .stdout(Stdio::from(file.unwrap()))
                .spawn()
                .unwrap(),
        )
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn sound() -> Directory {
    let documents = json!([{"_id": "a", "fields": {"n": 1}}, {"_id": "b", "fields": {"n": 2}}]);
    Directory::of_collections(&json!([{"name": "c", "documents": documents}]))
}

fn with_a_bad_document() -> Directory {
    let documents = json!([{"_id": "a", "fields": {"n": 1}}, {"_id": "bad", "fields": 5}]);
    Directory::of_collections(&json!([{"name": "c", "documents": documents}]))
}

#[test]
fn done_is_0() {
    Case::new(sound()).assert_ends(ExitCode::Done, None);
    Case::in_place(sound()).assert_ends(ExitCode::Done, None);
}

#[test]
fn an_input_output_error_is_1() {
    let mut case = Case::new(sound());
    case.gate = Gate::guarded(|change| match change.kind {
        ChangeKind::Write => Verdict::Fail(io::Error::from_raw_os_error(5)),
        _ => Verdict::Proceed,
    });
    case.assert_ends(ExitCode::Failed, Some(Code::Io));
}

#[test]
fn a_source_that_is_missing_is_2() {
    let mut case = Case::new(sound());
    case.options.source = case.directory.home().join("missing");
    case.assert_ends(ExitCode::Usage, Some(Code::PathMissing));
}

#[test]
fn a_database_that_is_damaged_is_3() {
    let case = Case::in_place(sound());
    assert_eq!(case.ends(Mode::Auto).0, ExitCode::Done);
    let catalog = case.directory.source().join("metadata.db");
    let mut bytes = fs::read(&catalog).unwrap();
    bytes[40] ^= 1;
    fs::write(&catalog, bytes).unwrap();
    case.assert_ends(ExitCode::Different, Some(Code::PageDamaged));
}

#[test]
fn a_source_that_is_damaged_is_4() {
    let case = Case::new(with_a_bad_document());
    case.assert_ends(ExitCode::Source, Some(Code::BadDocument));
}

#[test]
fn a_target_with_something_in_it_is_5() {
    let case = Case::new(sound());
    fs::create_dir(case.directory.target()).unwrap();
    fs::write(case.directory.target().join("mine"), "").unwrap();
    case.assert_ends(ExitCode::InTheWay, Some(Code::TargetNotEmpty));
}

#[test]
fn too_little_space_is_6() {
    for mut case in [Case::new(sound()), Case::in_place(sound())] {
        case.gate = Gate::open().with_free_space(4096);
        case.assert_ends(ExitCode::NoSpace, Some(Code::TooLittleSpace));
        let before = case.directory.tree();
        case.ends(Mode::Auto);
        common::assert_same_tree(&before, &case.directory.tree());
    }
}

#[test]
fn a_directory_that_another_run_has_locked_is_7() {
    let mut case = Case::in_place(sound());
    let lock = File::open(case.directory.source()).unwrap();
    lock.lock().unwrap();
    case.lock = Some(lock);
    case.assert_ends(ExitCode::Locked, Some(Code::Locked));
}

#[cfg(target_os = "linux")]
#[test]
fn a_source_that_another_process_has_open_for_writing_is_7() {
    let log = common::Log::new().insert("c", r#"{"_id":"x"}"#);
    let directory = sound().wal(log.bytes());
    let mut case = Case::new(directory);
    case.writer = Some(Writer::of(&case.directory, "wal.log"));
    case.assert_ends(ExitCode::Locked, Some(Code::SourceInUse));
}

#[test]
fn an_interruption_and_a_half_published_directory_are_8() {
    let case = Case::new(sound());
    case.interrupt.request();
    case.assert_ends(ExitCode::Interrupted, Some(Code::Cancelled));
    let half = sound().file(".lauradb-version", r#"{"formatVersion":"2.0-publishing"}"#);
    Case::in_place(half).assert_ends(ExitCode::Interrupted, Some(Code::Publishing));
}

#[test]
fn records_in_quarantine_are_9() {
    let mut case = Case::new(with_a_bad_document());
    case.options.max_bad = 1;
    case.assert_ends(ExitCode::Quarantine, None);
}
