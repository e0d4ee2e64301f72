//! What a store does when the disk fails, when others have its directory, and when it must not
//! write.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking; its numbers are small"
)]

mod common;
mod store_support;

use common::{Directory, assert_same_tree, tree};
use laura_migrate::Code;
use laura_migrate::document::bson::RawValue;
use laura_migrate::files::{ChangeKind, Dir, Gate, Verdict};
use laura_migrate::progress::{MigrationProgress, Phase, Unwatched};
use laura_migrate::store::{
    DiskStore, DocumentStore, ForceMode, StoreConfig, StoreMode, open, open_with,
};
use rustix::fs::FlockOperation;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use store_support::*;

fn number(n: i64) -> RawValue<'static> {
    RawValue::Int64(n)
}

fn code<T>(result: laura_migrate::Result<T>) -> Option<Code> {
    result.err().map(|error| error.code())
}

/// A gate that fails all changes of this kind to this file while it is switched on.
fn failing(kind: ChangeKind, file: &'static str) -> (Gate, Arc<AtomicBool>) {
    let on = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&on);
    let gate = Gate::guarded(move |change| {
        let is_meant = change.kind == kind && change.path.ends_with(file);
        match is_meant && on.load(Ordering::SeqCst) {
            true => Verdict::Fail(io::Error::other("the disk is gone")),
            false => Verdict::Proceed,
        }
    });
    (gate, switch)
}

/// A store with one document, all of it in its files.
fn started(directory: &Path, gate: &Gate) -> Box<dyn DocumentStore> {
    let mut store = open_with(directory, &config(), gate, &mut Unwatched).unwrap();
    store.create_collection("c", &all_indexes()).unwrap();
    store.insert("c", document(1, &[]).as_raw()).unwrap();
    store.checkpoint().unwrap();
    store
}

#[test]
fn after_a_failed_fsync_of_the_log_nothing_is_written_until_a_checkpoint_has_replaced_it() {
    for pending in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let (gate, broken) = failing(ChangeKind::Sync, "wal.log");
        let mut store = started(home.path(), &gate);
        if pending {
            store.insert("c", document(2, &[]).as_raw()).unwrap();
        }
        broken.store(true, Ordering::SeqCst);
        let refused = document(3, &[]);
        assert_eq!(code(store.insert("c", refused.as_raw())), Some(Code::Io));
        broken.store(false, Ordering::SeqCst);
        // Nobody knows what the disk has, so it does not matter that fsync works again.
        let later = document(4, &[]);
        let again = code(store.insert("c", later.as_raw()));
        assert_eq!(again, Some(Code::StoreFailed));
        assert!(store.find("c", number(3)).unwrap().is_none());
        store.checkpoint().unwrap();
        store.insert("c", later.as_raw()).unwrap();
        drop(store);
        // What was refused is not found after a crash either.
        let store = open(home.path(), &config()).unwrap();
        let expected = if pending { 3 } else { 2 };
        assert_eq!(scanned(&*store, "c").len(), expected);
        assert!(store.find("c", number(3)).unwrap().is_none());
        assert_indexes_agree(&*store, "c");
    }
}

#[test]
fn a_store_that_is_closed_after_a_failed_fsync_leaves_nothing_of_what_was_refused() {
    let home = tempfile::tempdir().unwrap();
    let (gate, broken) = failing(ChangeKind::Sync, "wal.log");
    let mut store = started(home.path(), &gate);
    broken.store(true, Ordering::SeqCst);
    let refused = document(3, &[]);
    assert_eq!(code(store.insert("c", refused.as_raw())), Some(Code::Io));
    broken.store(false, Ordering::SeqCst);
    store.close().unwrap();
    let store = open(home.path(), &config()).unwrap();
    assert_eq!(scanned(&*store, "c").len(), 1);
}

#[test]
fn after_a_failed_fsync_of_the_pages_they_are_written_again_and_the_log_is_kept() {
    for file in ["data.db", "metadata.db"] {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(file);
        let (gate, broken) = failing(ChangeKind::Sync, file);
        let mut store = started(home.path(), &gate);
        store.insert("c", document(2, &[]).as_raw()).unwrap();
        let before = std::fs::read(&path).unwrap();
        broken.store(true, Ordering::SeqCst);
        assert_eq!(code(store.checkpoint()), Some(Code::Io));
        let log = std::fs::metadata(home.path().join("wal.log")).unwrap();
        assert!(
            log.len() > 33,
            "the log was emptied though pages may be missing"
        );
        // What the failed fsync covered is lost: the disk has the old pages again.
        std::fs::write(&path, before).unwrap();
        // The log is sound, so commits go on.
        store.insert("c", document(3, &[]).as_raw()).unwrap();
        broken.store(false, Ordering::SeqCst);
        store.checkpoint().unwrap();
        drop(store);
        assert_valid(home.path());
        assert_sound(home.path());
        let store = open(home.path(), &config()).unwrap();
        assert_eq!(scanned(&*store, "c").len(), 3);
    }
}

#[test]
fn a_directory_of_format_2_1_is_read_and_never_written() {
    let directory = Directory::of_migrated_users();
    let source = directory.source();
    let mut store = open(&source, &config()).unwrap();
    let bob = [("_id", RawValue::String("bob")), ("age", number(1000))];
    let bob = bob
        .into_iter()
        .collect::<laura_migrate::document::bson::OwnedDocument>();
    store.insert("users", bob.as_raw()).unwrap();
    // The log has a transaction that the pages do not have.
    drop(store);
    let marker = source.join(".lauradb-version");
    let text = std::fs::read_to_string(&marker).unwrap();
    let text = text.replace(r#""formatVersion":"2.0""#, r#""formatVersion":"2.1""#);
    assert!(text.contains("2.1\""));
    std::fs::write(&marker, text).unwrap();
    let before = tree(&source);
    for hybrid in [false, true] {
        let config = StoreConfig {
            enable_hybrid_mode: hybrid,
            ..config()
        };
        let mut store = open(&source, &config).unwrap();
        let expected = if hybrid {
            StoreMode::Hybrid
        } else {
            StoreMode::Disk
        };
        assert_eq!(store.mode(), expected);
        // Others may read as well.
        let other = DiskStore::open(&source, config.clone()).unwrap();
        assert!(other.is_read_only());
        let found = store.find("users", RawValue::String("bob")).unwrap();
        assert_eq!(*found.unwrap(), bob);
        assert_eq!(store.count("users").unwrap(), 201);
        assert_eq!(scanned(&*store, "users").len(), 201);
        let refused = Some(Code::StoreReadOnly);
        assert_eq!(code(store.insert("users", bob.as_raw())), refused);
        assert_eq!(code(store.create_collection("new", &[])), refused);
        store.checkpoint().unwrap();
        store.close().unwrap();
    }
    assert_same_tree(&before, &tree(&source));
}

#[test]
fn files_that_another_process_may_change_are_not_loaded_and_none_is_made_beside_it() {
    let memory = StoreConfig {
        force_mode: ForceMode::Memory,
        ..config()
    };
    let lock = |directory: &Path| {
        let dir = Dir::open(directory, Gate::open()).unwrap();
        rustix::fs::flock(dir.fd(), FlockOperation::NonBlockingLockExclusive).unwrap();
        dir
    };
    let empty = Directory::new();
    let held = lock(&empty.source());
    assert_eq!(code(open(&empty.source(), &config())), Some(Code::Locked));
    assert!(tree(&empty.source()).is_empty());
    drop(held);
    assert!(open(&empty.source(), &config()).is_ok());
    for directory in [Directory::of_users(), Directory::of_migrated_users()] {
        let held = lock(&directory.source());
        let before = tree(&directory.source());
        for config in [&memory, &config()] {
            let falling = StoreConfig {
                fallback_to_memory_on_error: true,
                ..config.clone()
            };
            assert_eq!(code(open(&directory.source(), config)), Some(Code::Locked));
            assert_eq!(
                code(open(&directory.source(), &falling)),
                Some(Code::Locked)
            );
        }
        assert_same_tree(&before, &tree(&directory.source()));
        drop(held);
        assert!(open(&directory.source(), &memory).is_ok());
    }
}

#[test]
fn a_migration_that_a_store_runs_tells_how_far_it_is() {
    let directory = Directory::of_users();
    let config = StoreConfig {
        auto_migrate: true,
        ..config()
    };
    let mut phases = Vec::new();
    let mut watch = |progress: &MigrationProgress| phases.push(progress.phase);
    let store = open_with(&directory.source(), &config, &Gate::open(), &mut watch).unwrap();
    assert_eq!(store.mode(), StoreMode::Disk);
    phases.dedup();
    assert!(phases.is_sorted(), "{phases:?}");
    for phase in [Phase::Collections, Phase::Verify, Phase::Publish] {
        assert!(phases.contains(&phase), "{phases:?}");
    }
}

#[test]
fn a_migration_that_fails_leaves_the_documents_in_memory_where_that_is_allowed() {
    let directory = Directory::of_users();
    let (gate, broken) = failing(ChangeKind::Create, "data.db");
    broken.store(true, Ordering::SeqCst);
    let mut config = StoreConfig {
        auto_migrate: true,
        ..config()
    };
    let before = tree(&directory.source());
    let opened = open_with(&directory.source(), &config, &gate, &mut Unwatched);
    assert_eq!(code(opened), Some(Code::Io));
    config.fallback_to_memory_on_error = true;
    let store = open_with(&directory.source(), &config, &gate, &mut Unwatched).unwrap();
    assert_eq!(store.mode(), StoreMode::Memory);
    assert_eq!(store.count("users").unwrap(), 200);
    assert_same_tree(&before, &tree(&directory.source()));
}

#[test]
fn many_readers_see_whole_transactions_of_one_writer() {
    for mode in 0..3 {
        let home = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            force_mode: [ForceMode::Memory, ForceMode::Disk, ForceMode::Disk][mode],
            enable_hybrid_mode: mode == 2,
            ..config()
        };
        let mut store = open(home.path(), &config).unwrap();
        store.create_collection("c", &all_indexes()).unwrap();
        let store = RwLock::new(store);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut most = 0;
                    while !done.load(Ordering::SeqCst) {
                        let store = store.read().unwrap();
                        let found = scanned(&**store, "c").len();
                        assert_eq!(found % 3, 0, "a part of a transaction is seen");
                        assert_eq!(store.count("c").unwrap(), found as u64);
                        assert!(found >= most, "what was committed is gone");
                        most = found;
                        let last = i64::try_from(found).unwrap() - 1;
                        let there = store.find("c", number(last)).unwrap();
                        assert_eq!(there.is_some(), found > 0);
                    }
                });
            }
            for first in (0..120).step_by(3) {
                let documents: Vec<_> = (first..first + 3)
                    .map(|id| document(id, &[("n", number(id)), ("u", number(id))]))
                    .collect();
                let batch: Vec<_> = documents.iter().map(|document| document.as_raw()).collect();
                store.write().unwrap().insert_many("c", &batch).unwrap();
            }
            done.store(true, Ordering::SeqCst);
        });
        let store = store.into_inner().unwrap();
        assert_eq!(store.count("c").unwrap(), 120);
        assert_indexes_agree(&*store, "c");
        store.close().unwrap();
    }
}

#[test]
fn caches_of_no_bytes_change_nothing_but_time() {
    let home = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        page_cache_bytes: 0,
        document_cache_bytes: 0,
        enable_hybrid_mode: true,
        enable_prefetching: false,
        ..config()
    };
    let mut store = open(home.path(), &config).unwrap();
    store.create_collection("c", &all_indexes()).unwrap();
    for id in 0..100 {
        store
            .insert("c", document(id, &[("n", number(id % 7))]).as_raw())
            .unwrap();
    }
    store.checkpoint().unwrap();
    assert_eq!(scanned(&*store, "c").len(), 100);
    assert_indexes_agree(&*store, "c");
    store.close().unwrap();
    assert_sound(home.path());
}
