//! Runs migrations through a gate that breaks the n-th change, and compares what is left.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking, and each file uses its own part"
)]

#[path = "../common/backup.rs"]
mod backup;

use laura_migrate::document::bson::{OwnedDocument, RawValue};
use laura_migrate::files::{ChangeKind, Gate, Verdict};
use laura_migrate::options::{ImportFormat, Mode, PagesMode};
use laura_migrate::progress::Unwatched;
use laura_migrate::v1::wal::{RecordKind, RecordWriter};
use laura_migrate::{ExitCode, Migration, Options, Result, Verification};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    InPlace,
    SideBySide,
    Import,
    ImportToV1,
}

/// What happens to the n-th change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process is gone: this change and all later ones do not happen.
    Kill,
    /// Half of a write happens, then the process is gone.
    Torn,
    /// This change and all later ones find no space; removing still works.
    DiskFull,
    /// This one change fails.
    IoError,
}

/// A v1 directory, and what an undisturbed migration makes of it.
pub(crate) struct Case {
    layout: Layout,
    /// Records and documents that may go to quarantine.
    max_bad: u64,
    pristine: TempDir,
    expected: Tree,
    pages: PagesMode,
}

/// Paths below a directory, and the bytes of the files among them.
pub(crate) type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

pub(crate) fn tree(root: &Path) -> Tree {
    let entries = walkdir::WalkDir::new(root)
        .into_iter()
        .map(|entry| entry.unwrap());
    entries
        .filter(|entry| entry.path() != root)
        .map(|entry| {
            let relative = entry.path().strip_prefix(root).unwrap().to_path_buf();
            let bytes = entry
                .file_type()
                .is_file()
                .then(|| std::fs::read(entry.path()).unwrap());
            let is_receipt = entry.file_name() == ".lauradb-migration.json";
            (
                relative,
                if is_receipt {
                    bytes.map(|bytes| without_run(&bytes))
                } else {
                    bytes
                },
            )
        })
        .collect()
}

/// A receipt without what varies between runs.
fn without_run(receipt: &[u8]) -> Vec<u8> {
    let mut receipt: serde_json::Value = serde_json::from_slice(receipt).unwrap();
    receipt.as_object_mut().unwrap().remove("run").unwrap();
    serde_json::to_vec(&receipt).unwrap()
}

fn copy(from: &Path, to: &Path) {
    for (path, bytes) in tree(from) {
        match bytes {
            Some(bytes) => std::fs::write(to.join(path), bytes).unwrap(),
            None => std::fs::create_dir(to.join(path)).unwrap(),
        }
    }
}

/// A temporary directory in memory where there is such a file system: thousands of runs fsync in
/// it, and what an fsync is worth is not what these tests ask.
pub(crate) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    }
    .unwrap()
}

/// Counts changes and breaks from one on.
pub(crate) fn breaking(fault: Fault, at: u64, count: &Arc<AtomicU64>) -> Gate {
    let count = Arc::clone(count);
    Gate::guarded(move |change| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let gone = || io::Error::other("the process was killed");
        let full = || io::Error::from_raw_os_error(28);
        let makes_room = matches!(
            change.kind,
            ChangeKind::RemoveFile | ChangeKind::RemoveDir | ChangeKind::SyncDir
        );
        match fault {
            _ if number < at => Verdict::Proceed,
            Fault::Torn if number == at => Verdict::Torn(change.len / 2, gone()),
            Fault::Kill | Fault::Torn => Verdict::Fail(gone()),
            Fault::DiskFull if makes_room => Verdict::Proceed,
            Fault::DiskFull => Verdict::Fail(full()),
            Fault::IoError if number == at => Verdict::Fail(io::Error::from_raw_os_error(5)),
            Fault::IoError => Verdict::Proceed,
        }
    })
}

/// One copy of the case's directory, to be migrated.
struct Attempt<'c> {
    case: &'c Case,
    directory: TempDir,
}

impl Attempt<'_> {
    fn source(&self) -> PathBuf {
        self.directory.path().join("source")
    }

    fn options(&self) -> Options {
        let mut options = Options::new(self.source());
        if self.case.layout != Layout::InPlace {
            options.target = Some(self.directory.path().join("target"));
        }
        if matches!(self.case.layout, Layout::Import | Layout::ImportToV1) {
            options.mode = Mode::Import;
        }
        if self.case.layout == Layout::ImportToV1 {
            options.to = ImportFormat::V1;
        }
        options.jobs = 2;
        options.pages = self.case.pages;
        options.max_bad = self.case.max_bad;
        options.batch_size = 50;
        options.memory = 8 << 20;
        options.checkpoint_interval = Duration::ZERO;
        options.source_date_epoch = Some(1_736_937_000);
        options
    }

    fn migrate(&self, gate: Gate, restart: bool) -> Result<()> {
        let options = Options {
            restart,
            ..self.options()
        };
        Migration::new(options)
            .with_gate(gate)
            .run(&mut Unwatched)
            .map(drop)
    }

    /// The source as it was before.
    fn is_untouched(&self) -> bool {
        tree(&self.source()) == tree(self.case.pristine.path())
    }

    fn tree(&self) -> Tree {
        tree(self.directory.path())
    }
}

impl Case {
    pub(crate) fn new(layout: Layout) -> Self {
        Self::prepared(layout, (PagesMode::Auto, 0), &prepare)
    }

    /// Of another directory.
    pub(crate) fn of(layout: Layout, pages: PagesMode, prepare: &dyn Fn(&Path)) -> Self {
        Self::prepared(layout, (pages, 0), prepare)
    }

    /// Of another directory, some of which goes to quarantine.
    pub(crate) fn allowing(max_bad: u64, prepare: &dyn Fn(&Path)) -> Self {
        Self::prepared(Layout::SideBySide, (PagesMode::Recover, max_bad), prepare)
    }

    /// Kills a run now and then, about so often.
    pub(crate) fn survives_some_kills(&self, kills: u64) {
        let changes = self.changes();
        let step = usize::try_from(changes / kills).unwrap().max(1);
        self.survives_kills((0..changes).step_by(step));
    }

    /// Kills a run near its end: at some changes, of which so many follow.
    pub(crate) fn survives_late_kills(&self, left: impl Iterator<Item = u64>) {
        let changes = self.changes();
        self.survives_kills(left.map(|left| changes - left));
    }

    fn survives_kills(&self, at: impl Iterator<Item = u64>) {
        for at in at {
            let attempt = self.attempt();
            let _ = attempt.migrate(breaking(Fault::Kill, at, &Arc::default()), false);
            attempt
                .migrate(Gate::open(), false)
                .unwrap_or_else(|error| panic!("killed at {at}: {error:?}"));
            self.assert_expected(&attempt, &format!("killed at {at}"));
        }
    }

    /// One with bad records, bad documents and duplicates, all of which go to quarantine.
    pub(crate) fn damaged(layout: Layout) -> Self {
        Self::prepared(layout, (PagesMode::Auto, 100), &|directory: &Path| {
            prepare(directory);
            damage(directory);
        })
    }

    fn prepared(
        layout: Layout,
        (pages, max_bad): (PagesMode, u64),
        prepare: &dyn Fn(&Path),
    ) -> Self {
        let pristine = scratch();
        match layout {
            Layout::InPlace | Layout::SideBySide => prepare(pristine.path()),
            Layout::Import | Layout::ImportToV1 => {
                let (v1, backups) = (scratch(), scratch());
                prepare(v1.path());
                copy(&backup::back_up(v1.path(), backups.path()), pristine.path());
            }
        }
        let mut case = Self {
            layout,
            max_bad,
            pristine,
            expected: Tree::new(),
            pages,
        };
        let attempt = case.attempt();
        attempt.migrate(Gate::open(), false).unwrap();
        let expected = attempt.tree();
        drop(attempt);
        case.expected = expected;
        case
    }

    fn attempt(&self) -> Attempt<'_> {
        let directory = scratch();
        std::fs::create_dir(directory.path().join("source")).unwrap();
        copy(self.pristine.path(), &directory.path().join("source"));
        Attempt {
            case: self,
            directory,
        }
    }

    fn changes(&self) -> u64 {
        let count = Arc::new(AtomicU64::new(0));
        self.attempt()
            .migrate(breaking(Fault::Kill, u64::MAX, &count), false)
            .unwrap();
        count.load(Ordering::SeqCst)
    }

    pub(crate) fn survives_every(&self, fault: Fault) {
        let changes = self.changes();
        let least = match self.layout {
            Layout::ImportToV1 => 20,
            _ => 40,
        };
        assert!(changes > least, "only {changes} changes");
        for at in 0..changes {
            let attempt = self.attempt();
            let broken = attempt.migrate(breaking(fault, at, &Arc::default()), false);
            self.check_broken(&attempt, fault, at, &broken);
            attempt
                .migrate(Gate::open(), false)
                .unwrap_or_else(|error| panic!("{fault:?} at {at}, then: {error:?}"));
            self.assert_expected(&attempt, &format!("{fault:?} at {at}"));
        }
    }

    /// What a broken run leaves, and what it says.
    fn check_broken(&self, attempt: &Attempt<'_>, fault: Fault, at: u64, broken: &Result<()>) {
        let Err(error) = broken else {
            // What failed did not matter, such as a heartbeat; then everything is there.
            assert!(
                attempt.tree() == self.expected,
                "{fault:?} at {at}: a false success"
            );
            return;
        };
        let begun = attempt
            .options()
            .target
            .unwrap_or(attempt.source())
            .join(".laura-migrate");
        let begun = ["journal.json", "import.json"]
            .iter()
            .any(|name| begun.join(name).exists());
        if !begun && fault != Fault::Torn {
            assert!(
                self.layout == Layout::InPlace || attempt.is_untouched(),
                "{fault:?} at {at}: the source was touched"
            );
        }
        match fault {
            Fault::DiskFull => assert_eq!(
                error.exit_code(),
                ExitCode::Interrupted,
                "at {at}: {error:?}"
            ),
            Fault::IoError if !begun && error.exit_code() == ExitCode::Failed => assert!(
                attempt.is_untouched()
                    && attempt.tree().len() == tree(self.pristine.path()).len() + 1,
                "{fault:?} at {at}: something was left: {:?}",
                attempt.tree().keys()
            ),
            _ => {}
        }
    }

    fn assert_expected(&self, attempt: &Attempt<'_>, when: &str) {
        let found = attempt.tree();
        let differs =
            |(path, bytes): &(&PathBuf, &Option<Vec<u8>>)| found.get(*path) != Some(bytes);
        let missing: Vec<_> = self
            .expected
            .iter()
            .filter(differs)
            .map(|(path, _)| path)
            .collect();
        let extra: Vec<_> = found
            .keys()
            .filter(|path| !self.expected.contains_key(*path))
            .collect();
        assert!(
            missing.is_empty() && extra.is_empty(),
            "{when}: missing or different {missing:?}, too many {extra:?}"
        );
    }

    /// An attempt that was killed in the middle of its work.
    fn killed(&self) -> Attempt<'_> {
        let attempt = self.attempt();
        let at = self.changes() / 2;
        attempt
            .migrate(breaking(Fault::Kill, at, &Arc::default()), false)
            .unwrap_err();
        attempt
    }

    pub(crate) fn resumes_with_other_verification(&self) {
        for at in [30, 60, 90, 120, 150] {
            let attempt = self.attempt();
            let _ = attempt.migrate(breaking(Fault::Kill, at, &Arc::default()), false);
            let sample = Options {
                verification: Verification::Sample(0.5),
                ..attempt.options()
            };
            let gate = breaking(Fault::Kill, 30, &Arc::default());
            let _ = Migration::new(sample.clone())
                .with_gate(gate)
                .run(&mut Unwatched);
            Migration::new(sample).run(&mut Unwatched).unwrap();
            self.assert_expected(&attempt, &format!("killed at {at}, resumed with a sample"));
        }
    }

    pub(crate) fn resumes_after_a_failed_resume(&self) {
        let attempt = self.killed();
        let left = attempt.tree();
        let nowhere = Some(attempt.source().join("nowhere.json"));
        let options = Options {
            snapshot: nowhere,
            ..attempt.options()
        };
        let error = Migration::new(options).run(&mut Unwatched).unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Usage, "{error:?}");
        assert!(
            attempt.tree() == left,
            "a resume that failed has changed something"
        );
        attempt.migrate(Gate::open(), false).unwrap();
        self.assert_expected(&attempt, "resumed after a failed resume");
    }

    pub(crate) fn leaves_nothing_of_a_resume_that_fails_for_good(&self) {
        let mut gone = 0;
        for at in 0..12 {
            let attempt = self.killed();
            let gate = breaking(Fault::IoError, at, &Arc::default());
            let failed = attempt.migrate(gate, false);
            let target = attempt.options().target.unwrap();
            if failed.is_err() && target.exists() {
                let mut left = std::fs::read_dir(target).unwrap();
                assert!(left.next().is_some(), "at {at}: an empty directory is left");
            } else if failed.is_err() {
                gone += 1;
            }
        }
        assert!(gone > 0, "no failure was for good");
    }

    pub(crate) fn misses_published_files(&self) {
        for name in ["data.db", "metadata.db", "wal.log"] {
            let attempt = self.attempt();
            attempt.migrate(Gate::open(), false).unwrap();
            attempt.migrate(Gate::open(), false).unwrap();
            std::fs::remove_file(attempt.options().target.unwrap().join(name)).unwrap();
            attempt.migrate(Gate::open(), false).unwrap_err();
        }
    }

    pub(crate) fn restarts_after_every_kill(&self) {
        for at in 0..self.changes() {
            let attempt = self.attempt();
            let _ = attempt.migrate(breaking(Fault::Kill, at, &Arc::default()), false);
            attempt
                .migrate(Gate::open(), true)
                .unwrap_or_else(|error| panic!("killed at {at}, then restarted: {error:?}"));
            self.assert_expected(&attempt, &format!("killed at {at}, restarted"));
        }
    }

    pub(crate) fn restarts_that_are_killed_go_on(&self) {
        let changes = self.changes();
        // Publishing is what the last changes do.
        for at in ((changes - 40)..changes).step_by(3) {
            for again in (0..40).step_by(2) {
                let attempt = self.attempt();
                let _ = attempt.migrate(breaking(Fault::Kill, at, &Arc::default()), false);
                let _ = attempt.migrate(breaking(Fault::Kill, again, &Arc::default()), true);
                attempt
                    .migrate(Gate::open(), false)
                    .unwrap_or_else(|error| panic!("killed at {at}, then at {again}: {error:?}"));
                self.assert_expected(&attempt, &format!("killed at {at}, then at {again}"));
            }
        }
    }
}

/// A directory with a write-ahead log, overflow documents, indexes of each kind, and a user's own
/// file.
pub(crate) fn prepare(directory: &Path) {
    let index = |name: &str, field: &str, unique: bool| {
        format!(r#"{{"name":"{name}","type":"btree","field_paths":["{field}"],"unique":{unique}}}"#)
    };
    let collection = |name: &str, count: usize, indexes: &[String]| {
        let documents: Vec<String> = (0..count)
            .map(|number| {
                let size = if number % 90 == 7 { 9_000 } else { number % 40 };
                let text = "x".repeat(size);
                let words = format!("w{} w{} {text}", number % 7, number % 31);
                let point = format!(r#"{{"coordinates":[{number},{}.5]}}"#, number % 50);
                let fields = format!(r#""n":{number},"p":{point},"t":"{text}","w":"{words}""#);
                format!(r#"{{"_id":"{name}{number}","fields":{{{fields}}}}}"#)
            })
            .collect();
        let (documents, indexes) = (documents.join(","), indexes.join(","));
        format!(r#"{{"name":"{name}","documents":[{documents}],"indexes":[{indexes}]}}"#)
    };
    let points = r#"{"name":"p_2d","type":"geo","field_paths":["p"],"geo_type":"2d"}"#;
    let words = r#"{"name":"w_text","type":"text","field_paths":["w","p"]}"#;
    let collections = [
        collection(
            "a",
            400,
            &[index("n_1", "n", true), index("t_1", "t", false)],
        ),
        collection(
            "b",
            60,
            &[
                index("n_1", "n", false),
                points.to_owned(),
                words.to_owned(),
            ],
        ),
        collection("empty", 0, &[]),
    ];
    let snapshot = format!(
        r#"{{"version":"1.0","database_name":"d","collections":[{}]}}"#,
        collections.join(",")
    );
    std::fs::write(directory.join("snapshot.json"), snapshot).unwrap();
    std::fs::write(directory.join("wal.log"), log()).unwrap();
    std::fs::write(directory.join("notes.txt"), "the operator's own").unwrap();
    std::fs::write(
        directory.join(".lauradb-version"),
        r#"{"formatVersion":"1.0"}"#,
    )
    .unwrap();
}

/// Bad documents, duplicates in and beside overflow pages, and a bad record.
fn damage(directory: &Path) {
    let large = "z".repeat(9_000);
    let path = directory.join("snapshot.json");
    let mut text = std::fs::read_to_string(&path).unwrap();
    let mut insert = |before: &str, documents: &str| {
        text = text.replacen(before, &format!("{documents}{before}"), 1);
    };
    insert(r#"{"_id":"a10","#, r#"{"_id":"x","fields":{"n":1e999}},7,"#);
    // One that the log deletes, one that it replaces, and some that it does not touch.
    insert(
        r#"{"_id":"a200","#,
        r#"{"_id":"a0"},{"_id":"a9"},{"_id":"a1"},"#,
    );
    insert(
        r#"{"_id":"a300","#,
        &format!(r#"{{"_id":"a2","fields":{{"n":[1],"t":"{large}"}}}},{{"_id":"a2"}},"#),
    );
    insert(
        r#"{"_id":"b59","#,
        r#"{"_id":"b1","fields":{"n":5,"p":{"coordinates":[3,4.5]},"w":"w1 twice"}},{"_id":5},"#,
    );
    std::fs::write(&path, text).unwrap();
    let path = directory.join("wal.log");
    let mut log = std::fs::read(&path).unwrap();
    // The type of the first record, which changes "a0".
    log[8] = 99;
    std::fs::write(&path, log).unwrap();
}

/// Replaces, deletes and adds documents.
fn log() -> Vec<u8> {
    let mut log = RecordWriter::new(Vec::new());
    for number in 0..80_i64 {
        let id = format!("a{}", number * 9);
        let text = "y".repeat(if number == 40 { 9_000 } else { 11 });
        let document: OwnedDocument = [
            ("_id", RawValue::String(&id)),
            ("n", RawValue::Int64(100_000 + number)),
            ("t", RawValue::String(&text)),
        ]
        .into_iter()
        .collect();
        let kind = if number % 5 == 0 {
            RecordKind::Delete
        } else {
            RecordKind::Update
        };
        log.operation(kind, 0, "a", document.as_raw()).unwrap();
    }
    log.checkpoint().unwrap();
    log.into_inner()
}
