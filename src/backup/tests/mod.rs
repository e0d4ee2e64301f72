//! Backups as a whole: what is written comes back, and nothing else does.

mod altered;

use super::*;
use crate::document::bson::{ObjectId, OwnedDocument, RawDocument, RawValue};
use crate::document::{InferTypes, ejson, testing};
use crate::files::{Access, Change, ChangeKind, Dir, Gate, Verdict};
use crate::index::{IndexDefinition, IndexKind, PortableIndex};
use crate::version::FormatVersion;
use crate::{Code, Result};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

/// Documents by collection.
type Content = BTreeMap<String, Vec<Vec<u8>>>;

fn header() -> BackupHeader {
    BackupHeader {
        instant: "2025-01-15T10:30:00.5Z".parse().unwrap(),
        source_version: FormatVersion::V1_0,
        database_name: Some("default".to_owned()),
        metadata: Some(r#"{"a": 1.50, "wal_lsn": 7, "ž":"x y"}"#.to_owned()),
        access: Access::default(),
    }
}

fn indexes() -> Vec<PortableIndex> {
    let partial = IndexDefinition {
        name: "p".to_owned(),
        filter: Some(r#"{"a":{"$gt":1.0}}"#.to_owned()),
        ..IndexDefinition::id_index()
    };
    let ttl = IndexDefinition {
        name: "t".to_owned(),
        kind: IndexKind::Ttl {
            expire_after_seconds: 5,
        },
        ..IndexDefinition::id_index()
    };
    let infer = InferTypes {
        object_id: false,
        timestamp: true,
    };
    [partial, ttl]
        .map(|index| PortableIndex::new(index, infer))
        .into()
}

fn write(target: &Path, gate: Gate, content: &Content) -> Result<FinishedBackup> {
    let target = Dir::open(target, gate)?;
    let mut writer = BackupWriter::create(&target, header())?;
    for (name, documents) in content {
        writer.begin_collection(name, indexes())?;
        for document in documents {
            writer.document(RawDocument::trusted(document))?;
        }
        writer.end_collection()?;
    }
    writer.finish()
}

fn open(path: &Path) -> Result<BackupReader> {
    BackupReader::open(Dir::open(path, Gate::open())?)
}

fn read(path: &Path) -> Result<Content> {
    let reader = open(path)?;
    reader.verify(|_, _| Ok(()))?;
    let mut content = Content::new();
    for (position, collection) in reader.manifest().collections.iter().enumerate() {
        assert_eq!(collection.indexes, indexes());
        let documents = content.entry(collection.name.clone()).or_default();
        reader.documents(position, |line| {
            documents.push(line.document.as_bytes().to_vec());
            Ok(())
        })?;
    }
    Ok(content)
}

fn numbered(number: i64) -> Vec<u8> {
    let document = [
        ("_id", RawValue::Int64(number)),
        ("v", RawValue::Double(0.5)),
    ];
    document.into_iter().collect::<OwnedDocument>().into_bytes()
}

fn small() -> Content {
    let users = vec![numbered(1), numbered(2), numbered(3)];
    [
        ("users", users),
        ("empty", Vec::new()),
        ("../x", vec![numbered(9)]),
    ]
    .map(|(name, documents)| (name.to_owned(), documents))
    .into()
}

/// A backup of [`small`] in a directory of its own.
fn staged() -> (TempDir, PathBuf) {
    let temporary = tempfile::tempdir().unwrap();
    let path = write(temporary.path(), Gate::open(), &small())
        .unwrap()
        .path;
    (temporary, path)
}

#[test]
fn a_backup_is_as_documented() {
    let (_guard, path) = staged();
    assert_eq!(path.file_name().unwrap(), "backup-20250115-103000");
    let names: Vec<_> = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 4);
    let users = fs::read_to_string(path.join("users.jsonl")).unwrap();
    assert_eq!(
        users.lines().next().unwrap(),
        r#"{"_id":{"$numberLong":"1"},"v":{"$numberDouble":"0.5"}}"#
    );
    let text = fs::read_to_string(path.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(manifest["format"], "laura-backup/1");
    assert_eq!(
        manifest["tool"],
        concat!("laura-migrate ", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(manifest["createdAt"], "2025-01-15T10:30:00.5Z");
    assert_eq!(manifest["sourceVersion"], "1.0");
    assert_eq!(manifest["databaseName"], "default");
    assert!(text.contains(r#""metadata":{"a":1.50,"ž":"x y"},"#));
    let users_listed = &manifest["collections"][2];
    assert_eq!(users_listed["name"], "users");
    assert_eq!(users_listed["file"], "users.jsonl");
    assert_eq!(users_listed["documents"], 3);
    assert_eq!(users_listed["fileBytes"], users.len());
    assert_eq!(users_listed["dataBytes"], 3 * numbered(1).len());
    assert_eq!(users_listed["indexes"][0]["inferTypes"][0], "timestamp");
    assert_eq!(manifest["collections"][0]["file"], "%2E%2E%2Fx.jsonl");
    // printf '' | sha256sum
    let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(manifest["collections"][1]["sha256"], nothing);
}

#[test]
fn the_same_documents_give_the_same_bytes_and_the_next_free_second() {
    let (temporary, first) = staged();
    let second = write(temporary.path(), Gate::open(), &small()).unwrap();
    assert_eq!(second.name, "backup-20250115-103001");
    for entry in fs::read_dir(&first).unwrap() {
        let name = entry.unwrap().file_name();
        let bytes = |path: &Path| fs::read(path.join(&name)).unwrap();
        assert_eq!(bytes(&first), bytes(&second.path));
    }
    assert_eq!(read(&first).unwrap(), small());
    let error = open(temporary.path()).unwrap_err();
    assert_eq!(error.code(), Code::BackupMissing);
    assert!(error.sentence().contains("2 backups"), "{error}");
}

#[test]
fn a_parent_with_one_backup_stands_for_it() {
    let (temporary, _) = staged();
    assert_eq!(read(temporary.path()).unwrap(), small());
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(open(empty.path()).unwrap_err().code(), Code::BackupMissing);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_document_comes_back_under_every_name(
        content in prop::collection::btree_map(
            any::<String>(),
            prop::collection::vec(testing::document(), 0..6),
            0..4,
        ),
    ) {
        let temporary = tempfile::tempdir().unwrap();
        let finished = write(temporary.path(), Gate::open(), &content).unwrap();
        prop_assert_eq!(&read(&finished.path).unwrap(), &content);
        let manifest = open(&finished.path).unwrap().manifest().clone();
        prop_assert_eq!(manifest, finished.manifest);
    }
}

#[test]
fn the_largest_document_comes_back() {
    let fill = |size: usize| {
        let escapes = size / 5000;
        let text = "\u{1}x\u{2028}".repeat(escapes) + &"y".repeat(size - 5 * escapes);
        let document = [("_id", RawValue::Null), ("s", RawValue::String(&text))];
        document.into_iter().collect::<OwnedDocument>().into_bytes()
    };
    let overhead = fill(0).len();
    let largest = fill(crate::document::MAX_DOCUMENT_BYTES - overhead);
    assert_eq!(largest.len(), crate::document::MAX_DOCUMENT_BYTES);
    let content: Content = [("c".to_owned(), vec![numbered(1), largest, numbered(2)])].into();
    let temporary = tempfile::tempdir().unwrap();
    let path = write(temporary.path(), Gate::open(), &content)
        .unwrap()
        .path;
    let mut documents = content["c"].iter();
    let compare = |line: BackupLine<'_>| {
        assert!(documents.next().unwrap() == line.document.as_bytes());
        Ok(())
    };
    open(&path).unwrap().documents(0, compare).unwrap();
    assert!(documents.next().is_none());
}

/// The worst there is: empty binary values under names of one control character.
#[test]
fn no_document_makes_a_line_beyond_the_limit() {
    let names: Vec<String> = (1..32)
        .map(|code: u8| char::from(code).to_string())
        .collect();
    let values = [
        RawValue::Binary(b""),
        RawValue::Int32(i32::MIN),
        RawValue::Double(-f64::MIN_POSITIVE),
        RawValue::Double(f64::from_bits(u64::MAX)),
        RawValue::Timestamp(-1),
        RawValue::ObjectId(ObjectId([0; 12])),
        RawValue::Boolean(false),
        RawValue::Null,
        RawValue::String("\u{1}"),
    ];
    for value in values {
        for first in ["\u{7f}", "$"] {
            let names = std::iter::once(first).chain(names.iter().map(String::as_str));
            let document: OwnedDocument = names.map(|name| (name, value)).collect();
            let mut text = Vec::new();
            ejson::write_document(document.as_raw(), &mut text);
            let limit =
                document.as_bytes().len() * MAX_LINE_BYTES / crate::document::MAX_DOCUMENT_BYTES;
            assert!(text.len() <= limit, "{value:?}: {} of {limit}", text.len());
        }
    }
}

/// Fails the n-th change, and every later one if `forever`; writes are torn. Counts changes.
fn failing(nth: usize, forever: bool, count: &Arc<AtomicUsize>) -> Gate {
    let count = Arc::clone(count);
    Gate::guarded(move |change: &Change<'_>| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        if number < nth || (number > nth && !forever) {
            return Verdict::Proceed;
        }
        let error = std::io::Error::other("injected");
        match change.kind {
            ChangeKind::Write => Verdict::Torn(change.len / 2, error),
            _ => Verdict::Fail(error),
        }
    })
}

#[test]
fn a_failure_anywhere_leaves_a_whole_backup_or_none() {
    let count = Arc::new(AtomicUsize::new(0));
    let temporary = tempfile::tempdir().unwrap();
    write(
        temporary.path(),
        failing(usize::MAX, false, &count),
        &small(),
    )
    .unwrap();
    let changes = count.load(Ordering::Relaxed);
    assert!(changes > 14, "{changes}");
    for nth in 0..changes {
        for forever in [false, true] {
            let temporary = tempfile::tempdir().unwrap();
            let gate = failing(nth, forever, &Arc::default());
            write(temporary.path(), gate, &small())
                .map(drop)
                .expect_err("injected");
            let target = Dir::open(temporary.path(), Gate::open()).unwrap();
            for name in BackupReader::find_in(&target).unwrap() {
                assert_eq!(read(&temporary.path().join(name)).unwrap(), small());
            }
            let left = target.entries().unwrap();
            assert!(left.is_empty() || forever, "change {nth} left {left:?}");
            // A later run starts from there.
            remove_unfinished(&target).unwrap();
            let finished = write(temporary.path(), Gate::open(), &small()).unwrap();
            assert_eq!(read(&finished.path).unwrap(), small());
            let unfinished = target.entries().unwrap().into_iter();
            assert_eq!(
                unfinished
                    .filter(|entry| entry.name.to_string_lossy().starts_with('.'))
                    .count(),
                0
            );
        }
    }
}

#[test]
fn a_dropped_writer_removes_what_it_made() {
    let temporary = tempfile::tempdir().unwrap();
    let target = Dir::open(temporary.path(), Gate::open()).unwrap();
    let mut writer = BackupWriter::create(&target, header()).unwrap();
    writer.begin_collection("a", Vec::new()).unwrap();
    assert_eq!(
        writer.begin_collection("b", Vec::new()).unwrap_err().code(),
        Code::Internal
    );
    writer.document(RawDocument::trusted(&numbered(1))).unwrap();
    assert_eq!(target.entries().unwrap().len(), 1);
    drop(writer);
    assert_eq!(target.entries().unwrap(), []);
}
