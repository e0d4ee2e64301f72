//! Every change that a migration makes to a file is cut or failed in turn; afterwards the source is
//! whole, or the same command finishes, and the result is the same to the byte.

mod crash_support;
#[path = "common/pages.rs"]
mod laura_pages;

use crash_support::{Case, Fault, Layout, prepare};
use laura_migrate::document::bson::{OwnedDocument, RawValue};
use laura_migrate::files::{ChangeKind, Gate, Verdict};
use laura_migrate::options::PagesMode;
use laura_migrate::progress::Unwatched;
use laura_migrate::v1::wal::{RecordKind, RecordWriter};
use laura_migrate::{Migration, Options};
use laura_pages::{Pages, lossy_collection, snapshot_of};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

#[test]
fn a_side_by_side_migration_survives_a_kill_at_every_change() {
    Case::new(Layout::SideBySide).survives_every(Fault::Kill);
}

#[test]
fn an_in_place_migration_survives_a_kill_at_every_change() {
    Case::new(Layout::InPlace).survives_every(Fault::Kill);
}

#[test]
fn a_torn_write_at_every_change_is_survived() {
    Case::new(Layout::InPlace).survives_every(Fault::Torn);
}

#[test]
fn the_quarantine_survives_a_kill_at_every_change() {
    Case::damaged(Layout::SideBySide).survives_every(Fault::Kill);
}

#[test]
fn the_quarantine_survives_a_torn_write_at_every_change() {
    Case::damaged(Layout::InPlace).survives_every(Fault::Torn);
}

#[test]
fn a_disk_that_is_full_at_any_change_keeps_the_work() {
    Case::new(Layout::SideBySide).survives_every(Fault::DiskFull);
    Case::new(Layout::InPlace).survives_every(Fault::DiskFull);
}

#[test]
fn an_io_error_at_any_change_leaves_the_source_or_a_publish_that_goes_on() {
    Case::new(Layout::SideBySide).survives_every(Fault::IoError);
    Case::new(Layout::InPlace).survives_every(Fault::IoError);
}

#[test]
fn restart_undoes_a_publish_that_was_cut_at_any_change() {
    Case::new(Layout::InPlace).restarts_after_every_kill();
}

#[test]
fn an_undo_that_is_killed_itself_goes_on() {
    Case::new(Layout::InPlace).restarts_that_are_killed_go_on();
}

#[test]
fn a_resume_with_another_sample_verifies_all_the_same() {
    Case::new(Layout::SideBySide).resumes_with_other_verification();
}

#[test]
fn a_resume_that_cannot_begin_keeps_the_work() {
    Case::new(Layout::SideBySide).resumes_after_a_failed_resume();
}

#[test]
fn a_resume_that_fails_for_good_leaves_no_target_behind() {
    Case::new(Layout::SideBySide).leaves_nothing_of_a_resume_that_fails_for_good();
}

#[test]
fn a_target_that_has_lost_a_file_is_not_taken_for_migrated() {
    Case::new(Layout::SideBySide).misses_published_files();
}

#[test]
fn an_import_survives_a_kill_at_every_change() {
    Case::new(Layout::Import).survives_every(Fault::Kill);
    Case::new(Layout::ImportToV1).survives_every(Fault::Kill);
}

#[test]
fn an_import_survives_torn_writes_full_disks_and_io_errors() {
    for fault in [Fault::Torn, Fault::DiskFull, Fault::IoError] {
        Case::new(Layout::Import).survives_every(fault);
        Case::new(Layout::ImportToV1).survives_every(fault);
    }
}

#[test]
fn restart_discards_an_import_that_was_cut_at_any_change() {
    Case::new(Layout::Import).restarts_after_every_kill();
    Case::new(Layout::ImportToV1).restarts_after_every_kill();
}

#[test]
fn an_import_resumes_only_where_it_can_begin() {
    Case::new(Layout::Import).resumes_with_other_verification();
    Case::new(Layout::Import).misses_published_files();
}
/// Documents as LauraDB holds them: the snapshot loses the type of `n` and the order.
fn documents(prefix: &str, count: i32) -> Vec<Vec<u8>> {
    let documents = (0..count).map(|number| {
        let id = format!("{prefix}{number}");
        let text = "t".repeat(300);
        let document: OwnedDocument = [
            ("t", RawValue::String(&text)),
            ("n", RawValue::Int32(number)),
            ("_id", RawValue::String(&id)),
        ]
        .into_iter()
        .collect();
        document.as_raw().as_bytes().to_vec()
    });
    documents.collect()
}

/// Pages of two collections and of one without a name, documents that the snapshot does not have,
/// and a log that replaces some of both.
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
fn with_pages(directory: &Path) {
    let (a, b, lost) = (
        documents("a", 40),
        documents("b", 30),
        documents("lost", 25),
    );
    let mut pages = Pages::new();
    for documents in [&a, &b, &lost] {
        pages.collection(documents);
    }
    let mut collections = vec![lossy_collection("b", &b)];
    collections.extend(a.get(..30).map(|known| lossy_collection("a", known)));
    let mut log = RecordWriter::new(Vec::new());
    for id in ["a3", "a35", "new"] {
        let document: OwnedDocument = [("_id", RawValue::String(id)), ("n", RawValue::Null)]
            .into_iter()
            .collect();
        log.operation(RecordKind::Update, 0, "a", document.as_raw())
            .unwrap();
    }
    std::fs::write(directory.join("snapshot.json"), snapshot_of(&collections)).unwrap();
    std::fs::write(directory.join("data.db"), pages.bytes()).unwrap();
    std::fs::write(directory.join("wal.log"), log.into_inner()).unwrap();
}

#[test]
fn a_recovery_from_pages_survives_a_kill_at_every_change() {
    Case::of(Layout::SideBySide, PagesMode::Recover, &with_pages).survives_every(Fault::Kill);
    Case::of(Layout::InPlace, PagesMode::Recover, &with_pages).survives_every(Fault::Kill);
}

#[test]
fn a_recovery_from_pages_survives_torn_writes_a_full_disk_and_io_errors() {
    for fault in [Fault::Torn, Fault::DiskFull, Fault::IoError] {
        Case::of(Layout::SideBySide, PagesMode::Recover, &with_pages).survives_every(fault);
    }
}

/// The same with a page that is damaged, an older copy, and a document that cannot be carried.
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
fn with_damaged_pages(directory: &Path) {
    with_pages(directory);
    let path = directory.join("data.db");
    let mut data = std::fs::read(&path).unwrap();
    let mut more = Pages::new();
    more.page(&documents("lost", 3));
    more.page(&documents("torn", 3));
    let first = u32::try_from(data.len() / 4096).unwrap();
    data.extend(more.from(first).bytes());
    if let Some(byte) = data.last_mut() {
        *byte = 77;
    }
    std::fs::write(path, data).unwrap();
}

#[test]
fn the_quarantine_of_damaged_pages_survives_a_kill_at_every_change() {
    Case::allowing(1, &with_damaged_pages).survives_every(Fault::Kill);
    Case::allowing(1, &with_damaged_pages).survives_every(Fault::Torn);
}

/// A collection of these documents, with a unique index of their `n`.
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
fn with_unique_numbers(directory: &Path, documents: &[String]) {
    let documents = documents.join(",");
    let index = r#"{"name":"n_1","type":"btree","field_paths":["n"],"unique":true}"#;
    let snapshot = format!(
        r#"{{"version":"1.0","database_name":"d","collections":[{{"name":"c","documents":[{documents}],"indexes":[{index}]}}]}}"#
    );
    std::fs::write(directory.join("snapshot.json"), snapshot).unwrap();
}

/// `_id`s that do not sort in memory, of which those around a checkpoint's place in the merge stand
/// twice.
fn with_many_ids(directory: &Path) {
    let tail = "i".repeat(900);
    let document = |n: u32| format!(r#"{{"_id":"{n:05}{tail}","fields":{{"n":{n}}}}}"#);
    let mut texts: Vec<String> = (0..13_000).map(document).collect();
    texts.extend((4_080..4_110).chain(8_180..8_200).map(document));
    with_unique_numbers(directory, &texts);
}

#[test]
fn the_quarantine_survives_kills_in_the_middle_of_a_merge() {
    Case::allowing(50, &with_many_ids).survives_some_kills(10);
}

/// Keys of a unique index that do not sort in memory. Documents whose `_id` an earlier one has come
/// right before others with their key, where the merge has given 4096 and 8192 entries.
fn with_keys_of_documents_that_go(directory: &Path) {
    let tail = "k".repeat(900);
    let document =
        |id: u32, key: u32| format!(r#"{{"_id":"{id}","fields":{{"n":"{key:05}{tail}"}}}}"#);
    let around = || (4_079..4_109).chain(8_100..8_111);
    let mut texts: Vec<String> = (0..13_000).map(|n| document(n, 2 * n)).collect();
    texts.extend(around().map(|n| document(n, 2 * n + 1)));
    texts.extend(around().map(|n| document(20_000 + n, 2 * n + 1)));
    with_unique_numbers(directory, &texts);
}

#[test]
fn keys_of_documents_that_go_survive_kills_in_the_middle_of_a_merge() {
    // While the last tree is built, whose checkpoint in its middle lies between two such keys.
    Case::allowing(41, &with_keys_of_documents_that_go).survives_late_kills((200..260).step_by(5));
}

/// What a checkpoint counts may be gone after power loss if the name of its file was not durable.
#[test]
fn a_checkpoint_comes_after_the_names_of_the_files_that_it_counts() {
    let directory = crash_support::scratch();
    prepare(directory.path());
    let (pending, checkpoints) = (Mutex::new(Vec::new()), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&checkpoints);
    let gate = Gate::guarded(move |change| {
        let name = change.path.file_name().unwrap().to_string_lossy();
        let mut pending = pending.lock().unwrap();
        match change.kind {
            ChangeKind::Create if !name.ends_with(".tmp") => pending.push(name.into_owned()),
            ChangeKind::SyncDir if name == ".laura-migrate" => pending.clear(),
            ChangeKind::Rename if name == "checkpoint.json.tmp" => {
                counted.fetch_add(1, Ordering::SeqCst);
                assert_eq!(*pending, Vec::<String>::new());
            }
            _ => {}
        }
        Verdict::Proceed
    });
    let mut options = Options::new(directory.path());
    options.checkpoint_interval = std::time::Duration::ZERO;
    options.batch_size = 50;
    let migration = Migration::new(options).with_gate(gate);
    migration.run(&mut Unwatched).unwrap();
    assert!(checkpoints.load(Ordering::SeqCst) > 3);
}
