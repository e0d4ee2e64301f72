//! The same input and instant give the same bytes, however the work is cut up.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what fails here fails the test"
)]

mod common;
#[path = "../examples/generate/mod.rs"]
mod generate;

use common::{Database, INSTANT, run};
use generate::{IndexChoice, Shape};
use laura_migrate::files::{ChangeKind, Gate, Verdict};
use laura_migrate::progress::Unwatched;
use laura_migrate::{Migration, Options};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const MIB: u64 = 1 << 20;

/// A generated v1 directory, and room for targets beside it.
struct Generated {
    home: tempfile::TempDir,
}

impl Generated {
    fn new(change: impl FnOnce(&mut generate::Options)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut options = generate::Options {
            dir: home.path().join("source"),
            docs: 1500,
            collections: 3,
            shape: Shape::Rich,
            seed: 7,
            wal_ops: 600,
            wal_transactions: true,
            indexes: None,
            database: "seed".to_owned(),
            pages: false,
            timestamp: "2025-01-15T10:30:00.123456789Z".to_owned(),
        };
        change(&mut options);
        generate::run(&options).unwrap();
        Self { home }
    }

    fn options(&self, name: &str) -> Options {
        let mut options = Options::new(self.home.path().join("source"));
        options.target = Some(self.home.path().join(name));
        options.source_date_epoch = Some(INSTANT);
        options
    }

    /// Migrates to a target of its own; gives that.
    fn migrate(&self, name: &str, change: impl FnOnce(&mut Options)) -> PathBuf {
        let mut options = self.options(name);
        change(&mut options);
        run(options).unwrap();
        self.home.path().join(name)
    }
}

#[track_caller]
fn assert_same_files(one: &Path, other: &Path) {
    for name in common::names(one) {
        let read = |directory: &Path| common::determined(directory, &name);
        let (one_bytes, other_bytes) = (read(one), read(other));
        let pages = one_bytes.chunks(4096).zip(other_bytes.chunks(4096));
        let first = pages.into_iter().position(|(one, other)| one != other);
        assert_eq!(first, None, "first different page of {name}");
        assert_eq!(one_bytes.len(), other_bytes.len(), "{name}");
    }
    assert_eq!(common::names(one), common::names(other));
}

type Change = fn(&mut Options);

#[test]
fn jobs_batches_and_memory_do_not_show_in_rich_documents_with_a_log() {
    let rich = Generated::new(|_| {});
    let usual = rich.migrate("usual", |options| options.jobs = 2);
    Database::read(&usual);
    let variants: [(&str, Change); 7] = [
        ("jobs-1", |options| options.jobs = 1),
        ("jobs-4", |options| options.jobs = 4),
        ("batch-1", |options| options.batch_size = 1),
        ("batch-5000", |options| options.batch_size = 5000),
        ("memory-8MiB", |options| options.memory = 8 * MIB),
        ("memory-1GiB", |options| options.memory = 1024 * MIB),
        ("all", |options| {
            (options.jobs, options.batch_size, options.memory) = (4, 3, 8 * MIB);
        }),
    ];
    for (name, change) in variants {
        assert_same_files(&usual, &rich.migrate(name, change));
    }
}

#[test]
fn sort_runs_that_spill_do_not_show() {
    let small = Generated::new(|options| {
        // Keys get almost all of the memory: so many come to about twice that.
        (options.docs, options.shape, options.collections) = (120_000, Shape::Seed, 1);
        options.indexes = Some(vec![IndexChoice::Unique, IndexChoice::Single]);
        (options.wal_ops, options.wal_transactions) = (2000, false);
    });
    let whole = small.migrate("whole", |options| options.memory = 1024 * MIB);
    let mut options = small.options("spilled");
    (options.memory, options.jobs, options.batch_size) = (8 * MIB, 4, 17);
    let spilled = options.target.clone().unwrap();
    let runs = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&runs);
    let gate = Gate::guarded(move |change| {
        if change.kind == ChangeKind::Write && change.path.ends_with("sort.runs") {
            counted.fetch_add(change.len as u64, Ordering::Relaxed);
        }
        Verdict::Proceed
    });
    let migration = Migration::new(options).with_gate(gate);
    migration.run(&mut Unwatched).unwrap();
    assert!(runs.load(Ordering::Relaxed) > MIB, "nothing was spilled");
    assert_same_files(&whole, &spilled);
    let users = Database::read(&spilled);
    let users = users.collection("users");
    assert!(users.documents.len() > 119_000);
    assert_eq!(users.index("age_1").entries.len(), users.documents.len());
}

/// Sorting terms and points in little memory, killed now and then.
#[test]
fn terms_that_spill_and_runs_that_are_cut_do_not_show() {
    let words = Generated::new(|options| {
        (options.docs, options.shape, options.collections) = (30_000, Shape::Words, 1);
        (options.wal_ops, options.wal_transactions) = (300, false);
    });
    let whole = words.migrate("whole", |options| options.memory = 1024 * MIB);
    let database = Database::read(&whole);
    let users = database.collection("users");
    assert!(users.index("text_text").entries.len() > 20_000);
    assert_eq!(users.index("loc_2d").entries.len(), users.documents.len());
    let mut options = words.options("cut");
    (options.memory, options.jobs, options.batch_size) = (8 * MIB, 2, 100);
    options.checkpoint_interval = std::time::Duration::ZERO;
    let target = options.target.clone().unwrap();
    let spilled = Arc::new(AtomicU64::new(0));
    let mut cuts = 0;
    // Each attempt gets a little further; the last one is let be.
    for changes in [300, 500, 700, 900, 1100, 1300, u64::MAX] {
        let (counted, count) = (Arc::clone(&spilled), AtomicU64::new(0));
        let gate = Gate::guarded(move |change| {
            if count.fetch_add(1, Ordering::Relaxed) >= changes {
                return Verdict::Fail(std::io::Error::other("the process was killed"));
            }
            if change.kind == ChangeKind::Write && change.path.ends_with("sort.runs") {
                counted.fetch_add(change.len as u64, Ordering::Relaxed);
            }
            Verdict::Proceed
        });
        let run = Migration::new(options.clone()).with_gate(gate);
        if run.run(&mut Unwatched).is_ok() {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 0, "nothing was cut");
    assert!(spilled.load(Ordering::Relaxed) > MIB, "nothing was spilled");
    assert_same_files(&whole, &target);
}

#[test]
fn only_the_instant_shows_in_another_run() {
    let rich = Generated::new(|options| options.docs = 200);
    let one = rich.migrate("one", |_| {});
    let two = rich.migrate("two", |options| {
        options.source_date_epoch = Some(INSTANT + 1)
    });
    let data = |directory: &Path| fs::read(directory.join("data.db")).unwrap();
    assert!(data(&one) == data(&two));
    let marker = |directory: &Path| fs::read_to_string(directory.join(".lauradb-version")).unwrap();
    assert!(marker(&one).contains("2025-01-15T10:30:00Z"));
    assert!(marker(&two).contains("2025-01-15T10:30:01Z"));
    let created = |directory: &Path| Database::read(directory).collections[0].record.created_ns;
    assert_eq!(created(&two) - created(&one), 1_000_000_000);
}
