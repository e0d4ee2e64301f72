//! One tiny input for each kind of damage: its error's id, its place and its exit code.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Directory, Log, assert_same_tree, run};
use laura_migrate::options::Mode;
use laura_migrate::v1::wal::RecordKind;
use laura_migrate::{Code, Error, ExitCode};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the marker `@` stands is where the error has to be; it is not part of the text.
fn cut_mark(text: &[u8]) -> (Vec<u8>, Option<u64>) {
    let at = text.iter().position(|byte| *byte == b'@');
    let mut text = text.to_vec();
    if let Some(at) = at {
        text.remove(at);
    }
    (text, at.map(|at| at as u64))
}

#[track_caller]
fn assert_refused(error: &Error, code: Code, file: &Path, offset: Option<u64>) {
    assert_eq!(error.code(), code, "{error:?}");
    assert_eq!(error.exit_code(), ExitCode::Source, "{error:?}");
    assert_eq!(error.place().file.as_deref(), Some(file), "{error:?}");
    if offset.is_some() {
        assert_eq!(error.place().offset, offset, "{error:?}");
    }
    assert!(error.hint_text().is_some(), "{error:?}");
}

/// A whole snapshot around these collections.
fn around(collections: &[u8]) -> Vec<u8> {
    [
        br#"{"version":"1.0","database_name":"d","collections":"#,
        collections,
        b"}",
    ]
    .concat()
}

fn with_documents(documents: &[u8]) -> Vec<u8> {
    around(&[br#"[{"name":"c","documents":["#, documents, b"]}]"].concat())
}

fn with_indexes(indexes: &str) -> Vec<u8> {
    around(format!(r#"[{{"name":"c","documents":[],"indexes":[{indexes}]}}]"#).as_bytes())
}

fn nested(levels: usize) -> Vec<u8> {
    let value = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    with_documents(format!(r#"{{"_id":"a","fields":{{"a":{value}}}}}"#).as_bytes())
}

fn structural() -> Vec<(Vec<u8>, Code)> {
    let deep = format!(r#"{{"x":{}@[1"#, "[".repeat(128));
    vec![
        (b"@".to_vec(), Code::SnapshotEmpty),
        (b"@\xEF\xBB\xBF{}".to_vec(), Code::SnapshotByteOrderMark),
        (b"@\x1F\x8B\x08".to_vec(), Code::SnapshotCompressed),
        (b" @hello".to_vec(), Code::SnapshotSyntax),
        (b"@[]".to_vec(), Code::SnapshotShape),
        (b"{\"version\":@".to_vec(), Code::SnapshotTruncated),
        (
            [around(b"[]"), b" @x".to_vec()].concat(),
            Code::SnapshotTrailing,
        ),
        (
            [around(b"[]"), b"\n@{}".to_vec()].concat(),
            Code::SnapshotTrailing,
        ),
        (br#"{"version":@1}"#.to_vec(), Code::SnapshotShape),
        (br#"{"version":@"2.0"}"#.to_vec(), Code::SnapshotVersion),
        (
            br#"@{"version":"1.0","database_name":"","collections":[]}"#.to_vec(),
            Code::SnapshotShape,
        ),
        (
            br#"@{"version":"1.0","database_name":"d"}"#.to_vec(),
            Code::SnapshotShape,
        ),
        (
            br#"@{"version":"1.0","database_name":"d","collections":null}"#.to_vec(),
            Code::SnapshotShape,
        ),
        (around(b"@{}"), Code::SnapshotShape),
        (around(b"[@5]"), Code::SnapshotShape),
        (around(b"[@{}]"), Code::SnapshotShape),
        (around(br#"[{"name":@5}]"#), Code::SnapshotShape),
        (
            around(br#"[{"name":"c","documents":@{}}]"#),
            Code::SnapshotShape,
        ),
        (
            around(br#"[{"name":"c","indexes":@7}]"#),
            Code::SnapshotShape,
        ),
        (around(b"[{\"name\":\"@\xFF\"}]"), Code::SnapshotUnicode),
        (around(br#"[{"name":@"\ud800"}]"#), Code::SnapshotUnicode),
        (
            around(br#"[{"name":"c",@"name":"c"}]"#),
            Code::SnapshotKeyTwice,
        ),
        (
            around(br#"[{"name":"c"},{"name":@"c"}]"#),
            Code::CollectionTwice,
        ),
        (deep.into_bytes(), Code::SnapshotNesting),
    ]
}

#[test]
fn each_damage_of_a_snapshots_structure_has_its_own_error_and_place() {
    for (text, code) in structural() {
        let (text, offset) = cut_mark(&text);
        let directory = Directory::new().snapshot(&text);
        for max_bad in [0, 5] {
            let mut options = directory.in_place();
            options.max_bad = max_bad;
            let error = directory.refused(options);
            assert_refused(
                &error,
                code,
                &directory.source().join("snapshot.json"),
                offset,
            );
        }
    }
}

#[test]
fn a_snapshot_of_no_bytes_says_what_lauradb_did() {
    let error = Directory::new().snapshot("").refused_both_ways();
    assert!(error.hint_text().unwrap().contains("NaN"), "{error:?}");
}

#[test]
fn each_damage_of_a_document_has_its_own_error() {
    let large = format!(
        r#"{{"_id":"a","fields":{{"a":"{}"}}}}"#,
        "x".repeat(16 << 20)
    );
    let cases = vec![
        (with_documents(b"5"), Code::BadDocument),
        (
            with_documents(br#"{"_id":"a","fields":[1]}"#),
            Code::BadDocument,
        ),
        (
            with_documents(br#"{"_id":1,"fields":{}}"#),
            Code::DocumentId,
        ),
        (
            with_documents(br#"{"_id":"a","fields":{"_id":"b"}}"#),
            Code::DocumentId,
        ),
        (
            with_documents(b"{\"_id\":\"a\",\"fields\":{\"a\":\"@\xC3(\"}}"),
            Code::DocumentUtf8,
        ),
        (
            with_documents(br#"{"_id":"a","fields":{"a":"\udc00"}}"#),
            Code::DocumentSurrogate,
        ),
        (
            with_documents(br#"{"_id":"a","fields":{"a":-1e400}}"#),
            Code::DocumentNumber,
        ),
        (nested(100), Code::DocumentNesting),
        (with_documents(large.as_bytes()), Code::DocumentTooLarge),
        (
            with_documents(br#"{"_id":"a","fields":{"\u0000":1}}"#),
            Code::DocumentNul,
        ),
        (
            with_documents(br#"{"_id":"a","fields":{"a":01}}"#),
            Code::DocumentSyntax,
        ),
        (
            with_documents(br#"{"_id":"a","fields":{"a":"\x"}}"#),
            Code::DocumentSyntax,
        ),
        (
            with_documents(br#"{"_id":"a","fields":{},"fields":{}}"#),
            Code::DocumentKeyTwice,
        ),
        (
            with_documents(br#"{"_id":"a"},@{"_id":"a"}"#),
            Code::DuplicateId,
        ),
    ];
    for (text, code) in cases {
        let (text, offset) = cut_mark(&text);
        let directory = Directory::new().snapshot(&text);
        let error = directory.refused(directory.in_place());
        assert_refused(
            &error,
            code,
            &directory.source().join("snapshot.json"),
            offset,
        );
        assert_eq!(error.place().collection.as_deref(), Some("c"), "{error:?}");
    }
}

#[test]
fn the_deepest_document_that_may_be_is_carried() {
    // The document is level 1, so 99 arrays make 100 levels.
    let directory = Directory::new().snapshot(nested(99));
    assert_eq!(directory.migrated().0.documents(), 1);
}

#[test]
fn each_index_that_cannot_be_has_an_error() {
    let fields: Vec<String> = (0..256).map(|n| format!("\"f{n}\"")).collect();
    let many = format!(
        r#"@{{"name":"x","type":"btree","field_paths":[{}]}}"#,
        fields.join(",")
    );
    let cases = [
        r#"@{"name":"x","type":"bitmap","field_paths":["a"]}"#,
        r#"@{"name":"x","type":"btree","field_paths":[]}"#,
        r#"@{"name":"x","type":"btree"}"#,
        r#"@{"name":"x","type":"btree","field_paths":null}"#,
        r#"@{"name":"x","type":"ttl","field_paths":["a"]}"#,
        r#"@{"name":"x","type":"ttl","field_paths":["a"],"ttl_duration":-1}"#,
        r#"@{"name":"x","type":"ttl","field_paths":["a","b"],"ttl_duration":1}"#,
        r#"@{"name":"x","type":"geo","field_paths":["a"]}"#,
        r#"@{"name":"x","type":"geo","field_paths":["a"],"geo_type":"3d"}"#,
        r#"{"name":"x","type":"btree","field_paths":["a"]},@{"name":"x","type":"btree","field_paths":["b"]}"#,
        "@7",
        &many,
    ];
    for indexes in cases {
        let (text, offset) = cut_mark(&with_indexes(indexes));
        let directory = Directory::new().snapshot(&text);
        let error = directory.refused(directory.in_place());
        let file = directory.source().join("snapshot.json");
        assert_refused(&error, Code::IndexDefinition, &file, offset);
        assert!(
            error.hint_text().unwrap().contains("--skip-index"),
            "{error:?}"
        );
    }
}

#[test]
fn a_filter_that_means_nothing_is_reported() {
    for filter in [
        r#"{"$nor":[]}"#,
        r#"{"a":{"$in":5}}"#,
        r#"{"a":{"$regex":"("}}"#,
    ] {
        let index =
            format!(r#"{{"name":"x","type":"btree","field_paths":["a"],"filter":{filter}}}"#);
        let (report, _) = Directory::new().snapshot(with_indexes(&index)).migrated();
        let codes = common::warnings(&report);
        assert_eq!(codes, [Code::FilterProblem], "{filter}");
    }
}

#[test]
fn collection_names_cannot_leave_the_directory() {
    for name in [
        "../../out",
        "/etc/out",
        "a/b",
        "..",
        ".",
        "a\\b",
        "\u{202e}x",
    ] {
        let collections = serde_json::json!([{"name": name, "documents": [{"_id": "a"}]}]);
        let directory = Directory::of_collections(&collections);
        let (_, database) = directory.migrated_with(directory.side_by_side());
        assert_eq!(database.names(), [name]);
        assert_eq!(common::names(directory.home()), ["source", "target"]);
    }
    for name in ["", "a\0b", &"x".repeat(256)] {
        let collections = serde_json::json!([{"name": name, "documents": []}]);
        let directory = Directory::of_collections(&collections);
        let error = directory.refused_both_ways();
        assert_eq!(error.code(), Code::CollectionName);
        assert!(error.hint_text().unwrap().contains("--rename"), "{error:?}");
    }
}

fn record(kind: RecordKind) -> Log {
    Log::new()
        .insert("c", r#"{"_id":"a"}"#)
        .operation(kind, 0, "c", r#"{"_id":"b"}"#)
        .checkpoint()
}

#[test]
fn each_damage_of_a_log_is_located() {
    let start = Log::new().insert("c", r#"{"_id":"a"}"#).bytes().len();
    // A byte of the second record, and what it becomes.
    let cases = [
        (0, 1, Code::WalCorrupt),
        (8, 6, Code::WalCorrupt),
        (8, 4, Code::WalPayload),
        (17, 1, Code::WalPageRecord),
        (29, 18, Code::WalPayload),
        (32, 1, Code::WalLength),
        (33, 200, Code::WalPayload),
        (35, 0xFF, Code::WalPayload),
        (36, 0, Code::WalPayload),
        (40, 6, Code::WalPayload),
        (41, b'x', Code::WalPayload),
    ];
    for (at, byte, code) in cases {
        let mut log = record(RecordKind::Insert).bytes();
        log[start + at] = byte;
        let directory = Directory::new().wal(log);
        let error = directory.refused(directory.in_place());
        let file = directory.source().join("wal.log");
        assert_refused(&error, code, &file, Some(start as u64));
        assert!(error.place().lsn.is_some(), "{error:?}");
    }
}

#[test]
fn a_long_torn_tail_is_said_loudly() {
    let log = record(RecordKind::Insert).bytes();
    for (tail, code) in [
        (vec![0xFF; 20], Code::TornTail),
        (vec![0xFF; 70_000], Code::LongTornTail),
        (vec![0; 70_000], Code::TornTail),
    ] {
        let directory = Directory::new().wal([log.clone(), tail].concat());
        let (report, _) = directory.migrated();
        let codes = common::warnings(&report);
        assert_eq!(codes, [code]);
    }
}

#[test]
fn a_log_whose_beginning_is_gone_makes_the_snapshot_suspect() {
    let log = record(RecordKind::Insert).bytes();
    let start = Log::new().insert("c", r#"{"_id":"a"}"#).bytes().len();
    let whole = Directory::of_collections(&serde_json::json!([])).wal(&log);
    assert!(common::warnings(&whole.migrated().0).is_empty());
    let cut = Directory::of_collections(&serde_json::json!([])).wal(&log[start..]);
    let codes = common::warnings(&cut.migrated().0);
    assert_eq!(codes, [Code::SnapshotOlder]);
}

/// Puts a FIFO where a file is expected.
fn fifo(path: &Path) {
    let status = std::process::Command::new("mkfifo").arg(path).status();
    assert!(status.unwrap().success());
}

#[test]
fn fifos_where_files_are_expected_are_refused_without_waiting() {
    let sources = ["snapshot.json", "wal.log", "data.db", ".lauradb-version"];
    for name in sources {
        let directory = Directory::new();
        let path = directory.source().join(name);
        if name != "snapshot.json" {
            fs::write(directory.source().join("snapshot.json"), around(b"[]")).unwrap();
        }
        fifo(&path);
        let before = directory.tree();
        let error = run(directory.in_place()).unwrap_err();
        assert_same_tree(&before, &directory.tree());
        assert_eq!(error.code(), Code::NotAFile, "{name}: {error:?}");
        assert_eq!(error.place().file.as_deref(), Some(&*path), "{error:?}");
    }
    // What the tool itself keeps, in the target and in its work directory.
    let own = [
        ".lauradb-migration.json",
        ".laura-migrate/checkpoint.json",
        ".laura-migrate/journal.json",
        ".laura-migrate/undo.json",
    ];
    for name in own {
        let directory = Directory::new().snapshot(around(b"[]"));
        fs::create_dir_all(directory.target().join(".laura-migrate")).unwrap();
        if name == ".lauradb-migration.json" {
            let marker = directory.target().join(".lauradb-version");
            fs::write(marker, r#"{"formatVersion":"2.0"}"#).unwrap();
        }
        let path = directory.target().join(name);
        fifo(&path);
        let error = run(directory.side_by_side()).unwrap_err();
        let expected: (Code, Option<PathBuf>) = (Code::NotAFile, Some(path));
        let chain = (error.code(), error.place().file.clone());
        assert_eq!(chain, expected, "{name}: {error:?}");
    }
}

#[test]
fn a_backups_files_that_are_fifos_or_devices_are_refused_without_waiting() {
    for name in ["manifest.json", "c.jsonl"] {
        for mode in [Mode::Import, Mode::Validate] {
            let directory = Directory::new().snapshot(with_documents(br#"{"_id":"a"}"#));
            let mut options = directory.in_place();
            options.mode = Mode::Export;
            options.target = Some(directory.home().join("backups"));
            run(options).unwrap();
            let backups = fs::read_dir(directory.home().join("backups")).unwrap();
            let backup = backups.map(|entry| entry.unwrap().path()).next().unwrap();
            let path = backup.join(name);
            fs::remove_file(&path).unwrap();
            fifo(&path);
            let mut options = directory.in_place();
            options.source = backup;
            options.target = (mode == Mode::Import).then(|| directory.target());
            options.mode = mode;
            match run(options) {
                Err(error) => assert_eq!(error.code(), Code::NotAFile, "{name}: {error:?}"),
                Ok(report) => {
                    assert_eq!(report.exit_code(), ExitCode::Different, "{name}");
                    let left = report.validation.unwrap().left;
                    assert_eq!(left.problems[0].code, Code::NotAFile, "{name}: {left:?}");
                }
            }
        }
    }
}

#[test]
fn links_to_devices_are_not_followed() {
    for name in ["snapshot.json", "wal.log", "data.db", ".lauradb-version"] {
        for device in ["/dev/null", "/dev/zero"] {
            let directory = Directory::new();
            if name != "snapshot.json" {
                fs::write(directory.source().join("snapshot.json"), around(b"[]")).unwrap();
            }
            let path = directory.source().join(name);
            std::os::unix::fs::symlink(device, &path).unwrap();
            let before = directory.tree();
            let error = run(directory.in_place()).unwrap_err();
            assert_same_tree(&before, &directory.tree());
            assert_eq!(error.code(), Code::NotAFile, "{name}: {error:?}");
        }
    }
}

#[test]
fn source_and_target_may_not_lie_in_each_other() {
    let directory = Directory::new().snapshot(around(b"[]"));
    let mut inside = directory.in_place();
    inside.target = Some(directory.source().join("inner"));
    let around_it = {
        let mut options = directory.in_place();
        options.target = Some(directory.home().to_path_buf());
        options
    };
    let linked = {
        let link = directory.home().join("link");
        std::os::unix::fs::symlink(directory.source(), &link).unwrap();
        let mut options = directory.in_place();
        options.target = Some(link);
        options
    };
    for options in [inside, around_it, linked] {
        let error = directory.refused(options);
        assert_eq!(error.code(), Code::PathsOverlap, "{error:?}");
        assert_eq!(error.exit_code(), ExitCode::Usage);
    }
}
