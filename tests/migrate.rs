//! Migrations that succeed: where everything ends up, and the odd sizes that data can have.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what fails here fails the test"
)]

mod common;

use common::{
    Database, Directory, INSTANT, Log, assert_same_tree, determined, names, run, tree, warnings,
};
use laura_migrate::progress::{MigrationProgress, Phase, ProgressSink};
use laura_migrate::report::{Outcome, Verified};
use laura_migrate::{Code, Migration, Verification};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

const PUBLISHED: [&str; 5] = [
    ".lauradb-migration.json",
    ".lauradb-version",
    "data.db",
    "metadata.db",
    "wal.log",
];

/// Two collections, an index, and a log that inserts, updates and deletes.
fn usual() -> Directory {
    let log = Log::new()
        .update("users", r#"{"_id":"u2","n":{"$numberLong":"20"}}"#)
        .delete("users", r#"{"_id":"u1"}"#)
        .insert("users", r#"{"_id":"u4","n":{"$numberLong":"4"}}"#)
        .checkpoint();
    let document = |id: &str, n: u64| json!({"_id": id, "fields": {"n": n}});
    Directory::of_collections(&json!([
        {
            "name": "users",
            "documents": [document("u1", 1), document("u2", 2), document("u3", 3)],
            "indexes": [{"name": "n_1", "type": "btree", "field_paths": ["n"], "unique": true}],
        },
        {"name": "logs", "documents": [document("l1", 1)]},
    ]))
    .wal(log.bytes())
}

fn assert_usual(database: &Database) {
    assert_eq!(database.names(), ["logs", "users"]);
    let users = database.collection("users");
    users.assert_documents(&[
        r#"{"_id":"u2","n":{"$numberLong":"20"}}"#,
        r#"{"_id":"u3","n":{"$numberLong":"3"}}"#,
        r#"{"_id":"u4","n":{"$numberLong":"4"}}"#,
    ]);
    let entries = users.index("n_1").listed();
    assert_eq!(entries, [r#"3 → "u3""#, r#"4 → "u4""#, r#"20 → "u2""#]);
    let ids = users.index("_id_").listed();
    assert_eq!(ids, [r#""u2" → "u2""#, r#""u3" → "u3""#, r#""u4" → "u4""#]);
}

#[test]
fn in_place_the_v1_files_are_kept_and_others_stay() {
    let marker = "{\"formatVersion\": \"1.0\", \"note\": \"kept as it is\"}\n";
    let directory = usual()
        .file(".lauradb-version", marker)
        .file("data.db", b"not slotted pages")
        .file("metadata.db", b"of an old experiment")
        .file("notes.txt", b"mine")
        .file("backup.json", b"not read, since snapshot.json is there");
    let source = directory.source();
    fs::create_dir(source.join("lost+found")).unwrap();
    fs::create_dir(source.join("exports")).unwrap();
    fs::write(source.join("exports/e.csv"), "1").unwrap();
    symlink("notes.txt", source.join("link")).unwrap();
    let before = directory.tree();

    let (report, database) = directory.migrated();
    assert_usual(&database);
    assert_eq!(report.outcome, Outcome::Migrated);
    assert_eq!(report.originals, Some(source.join(".lauradb-v1")));
    assert_eq!(report.verified, Verified::All);

    let after = directory.tree();
    for kept in [
        "notes.txt",
        "backup.json",
        "exports/e.csv",
        "link",
        "lost+found",
    ] {
        let path = format!("source/{kept}");
        assert_eq!(after[&path], before[&path], "{kept}");
    }
    let moved = ["snapshot.json", "wal.log", "data.db", "metadata.db"];
    for name in moved {
        let (old, new) = (
            format!("source/{name}"),
            format!("source/.lauradb-v1/{name}"),
        );
        assert_eq!(after[&new], before[&old], "{name}");
    }
    let v1 = source.join(".lauradb-v1");
    assert_eq!(
        fs::read_to_string(v1.join(".lauradb-version")).unwrap(),
        marker
    );
    assert_eq!(names(&v1).len(), moved.len() + 1);
    let mut expected = vec![
        ".lauradb-v1",
        "backup.json",
        "exports",
        "link",
        "lost+found",
    ];
    expected.extend(["notes.txt"]);
    expected.extend(PUBLISHED);
    expected.sort_unstable();
    assert_eq!(names(&source), expected);
}

#[test]
fn the_kept_v1_files_are_a_v1_directory_again() {
    let directory = usual();
    directory.migrated();
    let mut options = directory.side_by_side();
    options.source = directory.source().join(".lauradb-v1");
    let (_, database) = directory.migrated_with(options);
    assert_usual(&database);
}

#[test]
fn side_by_side_the_source_is_not_touched() {
    for target_exists in [false, true] {
        let directory = usual().file("notes.txt", b"mine");
        if target_exists {
            fs::create_dir(directory.target()).unwrap();
            fs::create_dir(directory.target().join("lost+found")).unwrap();
        }
        let before = tree(&directory.source());
        let (report, database) = directory.migrated_with(directory.side_by_side());
        assert_usual(&database);
        assert_eq!(
            (report.originals, report.target),
            (None, directory.target())
        );
        assert_same_tree(&before, &tree(&directory.source()));
        let mut found = names(&directory.target());
        found.retain(|name| name != "lost+found");
        assert_eq!(found, PUBLISHED);
    }
}

#[test]
fn in_place_and_side_by_side_write_the_same_bytes() {
    let (one, two) = (usual(), usual());
    one.migrated();
    two.migrated_with(two.side_by_side());
    // The receipt says which of the two it was.
    for name in &PUBLISHED[1..] {
        let (one, two) = (one.source(), two.target());
        assert!(determined(&one, name) == determined(&two, name), "{name}");
    }
}

#[test]
fn a_second_run_has_nothing_to_do() {
    let directory = usual();
    directory.migrated();
    let before = directory.tree();
    let report = run(directory.in_place()).unwrap();
    assert_eq!(report.outcome, Outcome::AlreadyMigrated);
    assert_same_tree(&before, &directory.tree());
}

#[test]
fn force_moves_a_databases_files_aside_and_never_deletes_them() {
    let directory = usual();
    directory.migrated_with(directory.side_by_side());
    fs::write(directory.target().join("backup-1.json"), "{}").unwrap();
    let before = tree(&directory.target());
    // Another source, or there would be nothing to do.
    let log = Log::new().insert("users", r#"{"_id":"u5"}"#);
    let directory = directory.wal(log.bytes());
    let mut options = directory.side_by_side();
    options.force = true;
    let (report, database) = directory.migrated_with(options);
    assert_eq!(report.outcome, Outcome::Migrated);
    let ids = database.collection("users").ids();
    assert_eq!(ids, [r#""u1""#, r#""u2""#, r#""u3""#, r#""u5""#]);
    let aside = directory.target().join(".lauradb-replaced-20250115-103000");
    let after = tree(&aside);
    assert!(before.keys().eq(after.keys()), "{after:?}");
    for (path, node) in &before {
        // The marker's name is taken by the one of publishing, so its text is written anew.
        if path != ".lauradb-version" {
            assert_eq!(after[path], *node, "{path}");
        }
    }
    assert_usual(&Database::read(&aside));
}

#[test]
fn force_at_the_same_instant_takes_the_next_free_second() {
    let directory = usual();
    directory.migrated_with(directory.side_by_side());
    let mut options = directory.side_by_side();
    options.force = true;
    for round in 0..3 {
        let directory = directory.source();
        fs::write(directory.join("wal.log"), Log::new().checkpoint().bytes()).unwrap();
        let documents: Vec<Value> = (0..=round).map(|n| json!({"_id": n.to_string()})).collect();
        let snapshot = common::snapshot_text(&json!([{"name": "c", "documents": documents}]));
        fs::write(directory.join("snapshot.json"), snapshot).unwrap();
        run(options.clone()).unwrap();
    }
    let kept = |second| format!(".lauradb-replaced-20250115-1030{second:02}");
    let mut expected: Vec<String> = (0..3).map(kept).collect();
    expected.extend(PUBLISHED.map(str::to_owned));
    expected.sort();
    assert_eq!(names(&directory.target()), expected);
    assert_usual(&Database::read(&directory.target().join(kept(0))));
    let documents = |path: &std::path::Path| Database::read(path).collection("c").documents.len();
    assert_eq!(documents(&directory.target().join(kept(1))), 1);
    assert_eq!(documents(&directory.target().join(kept(2))), 2);
    assert_eq!(documents(&directory.target()), 3);
}

#[test]
fn an_empty_directory_is_a_fresh_volume() {
    let directory = Directory::new();
    fs::create_dir(directory.source().join("lost+found")).unwrap();
    let before = directory.tree();
    for options in [directory.in_place(), directory.side_by_side()] {
        let report = run(options).unwrap();
        assert_eq!(report.outcome, Outcome::Empty);
        assert_eq!(report.target, directory.source());
    }
    assert_same_tree(&before, &directory.tree());
}

#[test]
fn a_source_named_by_a_symlink_or_with_a_slash_is_followed() {
    for suffix in ["link", "source/", "source/."] {
        let directory = usual();
        symlink("source", directory.home().join("link")).unwrap();
        let mut options = directory.in_place();
        options.source = directory.home().join(suffix);
        let (_, database) = directory.migrated_with(options);
        assert_usual(&database);
    }
}

#[test]
fn a_snapshot_that_is_named_is_read_wherever_it_lies() {
    let directory = usual();
    let elsewhere = directory.home().join("elsewhere.json");
    fs::rename(directory.source().join("snapshot.json"), &elsewhere).unwrap();
    let mut options = directory.in_place();
    options.snapshot = Some(elsewhere.clone());
    let (_, database) = directory.migrated_with(options);
    assert_usual(&database);
    assert!(elsewhere.exists());
    assert_eq!(names(&directory.source().join(".lauradb-v1")), ["wal.log"]);
}

#[test]
fn published_files_are_no_more_readable_than_the_source() {
    for (snapshot, wal, expected) in [
        (0o600, 0o644, 0o600),
        (0o640, 0o644, 0o640),
        (0o644, 0o600, 0o600),
        (0o444, 0o444, 0o644),
    ] {
        for in_place in [true, false] {
            let directory = usual();
            let chmod = |name: &str, mode| {
                let path = directory.source().join(name);
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            };
            chmod("snapshot.json", snapshot);
            chmod("wal.log", wal);
            let options = match in_place {
                true => directory.in_place(),
                false => directory.side_by_side(),
            };
            let target = options.target.clone().unwrap_or_else(|| directory.source());
            directory.migrated_with(options);
            for name in PUBLISHED {
                let mode = target.join(name).metadata().unwrap().mode() & 0o7777;
                assert_eq!(mode, expected, "{name} of {snapshot:o} and {wal:o}");
            }
        }
    }
}

#[test]
fn a_new_target_is_no_more_open_than_the_source_directory() {
    let directory = usual();
    let private = fs::Permissions::from_mode(0o700);
    fs::set_permissions(directory.source(), private).unwrap();
    directory.migrated_with(directory.side_by_side());
    let mode = directory.target().metadata().unwrap().mode() & 0o7777;
    assert_eq!(mode, 0o700);
}

#[test]
fn no_collections_no_documents_and_only_indexes_are_right() {
    let directory = Directory::of_collections(&json!([]));
    let (report, database) = directory.migrated();
    assert_eq!(report.outcome, Outcome::Migrated);
    assert!(database.collections.is_empty());

    let index = json!({"name": "a_1", "type": "btree", "field_paths": ["a"], "unique": true});
    let directory = Directory::of_collections(&json!([
        {"name": "bare"},
        {"name": "nulls", "documents": null, "indexes": null},
        {"name": "empty", "documents": [], "indexes": []},
        {"name": "indexed", "documents": [], "indexes": [index]},
    ]));
    let (_, database) = directory.migrated();
    assert_eq!(database.names(), ["bare", "empty", "indexed", "nulls"]);
    for collection in &database.collections {
        assert!(collection.documents.is_empty() && collection.page_count == 0);
        assert!(
            collection
                .indexes
                .iter()
                .all(|index| index.entries.is_empty())
        );
    }
    assert_eq!(
        database.collection("indexed").index_names(),
        ["_id_", "a_1"]
    );
}

#[test]
fn a_collection_that_the_log_empties_is_still_there() {
    let directory = Directory::new().wal(
        Log::new()
            .insert("made", r#"{"_id":{"$numberInt":"1"}}"#)
            .delete("made", r#"{"_id":{"$numberDouble":"1.0"}}"#)
            .delete("never", r#"{"_id":"x"}"#)
            .bytes(),
    );
    let (report, database) = directory.migrated();
    assert_eq!(database.names(), ["made"]);
    assert!(database.collection("made").documents.is_empty());
    assert_eq!(report.documents(), 0);

    let directory = Directory::of_collections(&json!([
        {"name": "c", "documents": [{"_id": "a"}, {"_id": "b"}]}
    ]))
    .wal(
        Log::new()
            .delete("c", r#"{"_id":"b"}"#)
            .delete("c", r#"{"_id":"a"}"#)
            .bytes(),
    );
    let (_, database) = directory.migrated();
    assert!(database.collection("c").documents.is_empty());
    assert!(database.collection("c").index("_id_").entries.is_empty());
}

#[test]
fn three_hundred_collections_need_more_than_the_catalogs_first_page() {
    let name = |n: usize| format!("collection number {n:03}");
    let collections: Vec<Value> = (0..300)
        .rev()
        .map(|n| {
            json!({
                "name": name(n),
                "documents": [{"_id": format!("d{n}"), "fields": {"n": n}}],
                "indexes": [{"name": "n_1", "type": "btree", "field_paths": ["n"]}],
            })
        })
        .collect();
    let directory = Directory::of_collections(&json!(collections));
    let (report, database) = directory.migrated();
    assert_eq!((report.documents(), report.indexes()), (300, 600));
    assert_eq!(database.collections.len(), 300);
    for (n, collection) in database.collections.iter().enumerate() {
        assert_eq!(collection.record.name, name(n));
        assert_eq!(collection.ids(), [format!("\"d{n}\"")]);
        assert_eq!(collection.index("n_1").entries.len(), 1);
    }
}

#[test]
fn names_are_ordered_by_bytes_after_renaming() {
    let named = |name: &str| json!({"name": name, "documents": [{"_id": name}]});
    let directory = Directory::of_collections(&json!([
        named("b"),
        named("a"),
        named("é"),
        named("Z"),
        named("")
    ]))
    .wal(Log::new().insert("a", r#"{"_id":"from the log"}"#).bytes());
    let mut options = directory.in_place();
    options.renames = ["a=b", "b=a", "=~", "Z=z"].map(str::to_owned).to_vec();
    let (_, database) = directory.migrated_with(options);
    assert_eq!(database.names(), ["a", "b", "z", "~", "é"]);
    assert_eq!(database.collection("a").ids(), [r#""b""#]);
    let swapped = database.collection("b").ids();
    assert_eq!(swapped, [r#""a""#, r#""from the log""#]);
}

#[test]
fn timestamps_are_inferred_only_where_asked_for() {
    let directory = || {
        Directory::of_collections(&json!([{"name": "c", "documents": [
            {"_id": "2025-01-15T10:30:00Z", "fields": {
                "at": "2025-01-15T10:30:00Z",
                "fraction": "2025-01-15T10:30:00.5Z",
                "oid": "507f1f77bcf86cd799439011",
            }},
        ]}]))
    };
    let with = |object_id, timestamp| {
        let directory = directory();
        let mut options = directory.in_place();
        options.infer_types = laura_migrate::document::InferTypes {
            object_id,
            timestamp,
        };
        let (_, database) = directory.migrated_with(options);
        database.collection("c").lines().remove(0)
    };
    let line = |at: &str, oid: &str| {
        format!(
            r#"{{"_id":"2025-01-15T10:30:00Z","at":{at},"fraction":"2025-01-15T10:30:00.5Z","oid":{oid}}}"#
        )
    };
    let text = r#""2025-01-15T10:30:00Z""#;
    let hex = r#""507f1f77bcf86cd799439011""#;
    let oid = format!(r#"{{"$oid":{hex}}}"#);
    let time = format!(r#"{{"$timestamp":{{"t":0,"i":{INSTANT}}}}}"#);
    assert_eq!(with(true, false), line(text, &oid));
    assert_eq!(with(true, true), line(&time, &oid));
    assert_eq!(with(false, true), line(&time, hex));
    assert_eq!(with(false, false), line(text, hex));
}

#[test]
fn verifying_less_or_nothing_is_said_and_changes_no_byte() {
    let whole = usual();
    whole.migrated();
    for (verification, verified) in [
        (Verification::None, Verified::Nothing),
        (Verification::Sample(0.5), Verified::Sample(0.5)),
        (Verification::Sample(1e-9), Verified::Sample(1e-9)),
    ] {
        let directory = usual();
        let mut options = directory.in_place();
        options.verification = verification;
        let (report, database) = directory.migrated_with(options);
        assert_eq!(report.verified, verified);
        assert_usual(&database);
        for name in PUBLISHED {
            let (found, whole) = (directory.source(), whole.source());
            assert!(
                determined(&found, name) == determined(&whole, name),
                "{name}"
            );
        }
    }
}

/// Remembers everything it was told.
#[derive(Default)]
struct Recorder(Vec<MigrationProgress>);

impl ProgressSink for Recorder {
    fn update(&mut self, progress: &MigrationProgress) {
        self.0.push(progress.clone());
    }
}

#[test]
fn whoever_watches_sees_the_phases_in_order_and_each_to_its_end() {
    let directory = Directory::of_fixture("seed-10000.json");
    let mut seen = Recorder::default();
    let report = Migration::new(directory.in_place()).run(&mut seen).unwrap();
    let mut phases: Vec<Phase> = seen.0.iter().map(|progress| progress.phase).collect();
    assert!(phases.is_sorted());
    phases.dedup();
    let mut all = Phase::ALL.to_vec();
    // No backup is asked for.
    all.retain(|phase| *phase != Phase::Backup);
    assert_eq!(phases, all);
    let timed: Vec<Phase> = report.phases.iter().map(|(phase, _)| *phase).collect();
    assert_eq!(timed, all);
    for phase in all {
        let of_phase = seen.0.iter().filter(|progress| progress.phase == phase);
        let of_phase: Vec<&MigrationProgress> = of_phase.collect();
        assert!(of_phase.is_sorted_by_key(|progress| progress.bytes_done));
        let (first, last) = (of_phase[0], of_phase[of_phase.len() - 1]);
        assert_eq!(first.bytes_done, 0, "{phase:?}");
        assert_eq!(last.bytes_done, last.bytes_total, "{phase:?}: {last:?}");
        if phase == Phase::Collections {
            assert_eq!(
                (last.documents_done, last.documents_total),
                (10_000, 10_000)
            );
            assert_eq!((last.collections_done, last.collections_total), (1, 1));
        }
        if phase == Phase::Indexes {
            assert_eq!((last.indexes_done, last.indexes_total), (3, 3));
        }
    }
}

#[test]
fn warnings_of_what_was_left_out_have_stable_codes() {
    let directory = Directory::of_collections(&json!([{
        "name": "c",
        "unknown": 1,
        "documents": [{"_id": "a", "fields": {"v": [1]}, "extra": true}, {"fields": {"v": 1}}],
        "indexes": [
            {"name": "v_1", "type": "btree", "field_paths": ["v"],
             "config": {"expireAfterSeconds": 5, "kept": 1}},
            {"name": "w_1", "type": "btree", "field_paths": ["w"], "filter": {"w": {"$no": 1}}},
        ],
    }]))
    .wal(
        Log::new()
            .operation(
                laura_migrate::v1::wal::RecordKind::Insert,
                7,
                "c",
                r#"{"_id":"lost"}"#,
            )
            .bytes(),
    );
    let (report, database) = directory.migrated();
    assert_eq!(
        warnings(&report),
        [
            Code::UnindexableValues,
            Code::FilterProblem,
            Code::UnknownKeys,
            Code::UnknownKeys,
            Code::DroppedTransactions,
            Code::GeneratedIds,
            Code::DroppedOptions,
        ]
    );
    assert_eq!(report.generated_ids, 1);
    let options = database.collection("c").index("v_1").record.options.clone();
    assert_eq!(options.as_deref(), Some(r#"{"kept":1}"#));
}
