//! The same documents, whatever they are read from.

use super::*;
use crate::backup::{BackupHeader, BackupWriter};
use crate::document::bson::{OwnedDocument, RawValue};
use crate::files::Gate;
use crate::v1::snapshot::{
    LossKind, LossTally, SnapshotForm, SnapshotHeader, SnapshotWriter, lossless,
};
use crate::v1::wal::{RecordKind, RecordWriter};
use crate::v2::address::PageId;
use crate::v2::metadata::{CollectionOptions, Extent, MetadataReader};
use crate::v2::page::{self, ChecksumPolicy, PAGE_SIZE};
use crate::{Code, Migration, Options};
use std::fs;
use std::path::Path;

/// Everything in a source: names, indexes, documents in order.
type Content = Vec<(String, Vec<PortableIndex>, Vec<Vec<u8>>)>;

fn dir(path: &Path) -> Dir {
    Dir::open(path, Gate::open()).unwrap()
}

fn content(source: &dyn DocumentSource) -> Result<Content> {
    let mut content = Content::new();
    for (position, collection) in source.collections().iter().enumerate() {
        let mut documents = Vec::new();
        source.read(position, &mut |document| {
            let place = source.place(position, document.position);
            assert!(place.file.is_some() && (place.offset.is_some() || place.slot.is_some()));
            assert!(place.collection.is_some() && document.source_bytes > 0);
            documents.push(document.document.as_bytes().to_vec());
            Ok(())
        })?;
        content.push((
            collection.name.clone(),
            collection.indexes.clone(),
            documents,
        ));
    }
    source.check_unchanged()?;
    Ok(content)
}

fn source_with(path: &Path, options: &V1Options) -> Result<Box<dyn DocumentSource>> {
    open(dir(path), options, &mut |_| Ok(()))
}

fn source_of(path: &Path) -> Box<dyn DocumentSource> {
    source_with(path, &V1Options::default()).unwrap()
}

fn opened(path: &Path) -> Result<Content> {
    content(&*source_with(path, &V1Options::default())?)
}

fn document(id: &str, size: usize) -> OwnedDocument {
    let text = "x".repeat(size);
    [
        ("_id", RawValue::String(id)),
        ("n", RawValue::Int32(7)),
        ("s", RawValue::String(&text)),
    ]
    .into_iter()
    .collect()
}

/// A snapshot with plain, partial and TTL indexes, and a log that changes, deletes and adds.
fn v1_directory() -> tempfile::TempDir {
    let temporary = tempfile::tempdir().unwrap();
    let documents: Vec<String> = (0..300)
        .map(|number| {
            format!(
                r#"{{"_id":"u{number}","fields":{{"age":{number},"when":"2025-01-15T10:30:00Z"}}}}"#
            )
        })
        .collect();
    let indexes = concat!(
        r#"{"name":"when_ttl","type":"ttl","field_paths":["when"],"unique":false,"ttl_duration":60},"#,
        r#"{"name":"age_1","type":"btree","field_paths":["age"],"unique":false,"filter":{"age":{"$gt":5}}}"#,
    );
    let text = format!(
        r#"{{"version":"1.0","timestamp":"x","database_name":"db","collections":[{{"name":"users","documents":[{}],"indexes":[{indexes}]}},{{"name":"empty","documents":[],"indexes":[]}}],"metadata":{{"wal_lsn":0,"k":1.50}}}}"#,
        documents.join(",")
    );
    fs::write(temporary.path().join("snapshot.json"), text).unwrap();
    let mut log = RecordWriter::new(Vec::new());
    let mut operation = |kind, collection: &str, document: &OwnedDocument| {
        log.operation(kind, 0, collection, document.as_raw())
            .unwrap();
    };
    operation(RecordKind::Update, "users", &document("u7", 10));
    operation(RecordKind::Delete, "users", &document("u8", 0));
    operation(RecordKind::Insert, "users", &document("new", 9000));
    operation(RecordKind::Insert, "logged", &document("only here", 5000));
    fs::write(temporary.path().join("wal.log"), log.into_inner()).unwrap();
    temporary
}

fn migrated(v1: &Path) -> tempfile::TempDir {
    let target = tempfile::tempdir().unwrap();
    let mut options = Options::new(v1);
    options.target = Some(target.path().to_path_buf());
    options.source_date_epoch = Some(1_736_937_000);
    Migration::new(options)
        .run(&mut crate::progress::Unwatched)
        .unwrap();
    target
}

fn export(source: &dyn DocumentSource, target: &Path) -> std::path::PathBuf {
    let target = dir(target);
    let info = source.info();
    let header = BackupHeader {
        instant: jiff::Timestamp::UNIX_EPOCH,
        source_version: info.version,
        database_name: info.database_name.clone(),
        metadata: info.metadata.clone(),
        access: info.access,
    };
    let mut writer = BackupWriter::create(&target, header).unwrap();
    for (position, collection) in source.collections().iter().enumerate() {
        writer
            .begin_collection(&collection.name, collection.indexes.clone())
            .unwrap();
        source
            .read(position, &mut |found| writer.document(found.document))
            .unwrap();
        writer.end_collection().unwrap();
    }
    writer.finish().unwrap().path
}

#[test]
fn all_kinds_of_source_give_the_same_documents_in_the_same_order() {
    let v1 = v1_directory();
    let source = source_of(v1.path());
    assert_eq!(source.info().kind, SourceKind::V1);
    let expected = content(&*source).unwrap();
    let sizes: Vec<_> = expected
        .iter()
        .map(|(name, indexes, documents)| (&**name, indexes.len(), documents.len()))
        .collect();
    assert_eq!(
        sizes,
        [("empty", 0, 0), ("logged", 0, 1), ("users", 2, 300)]
    );
    let users = &expected[2].2;
    assert_eq!(users[7], document("u7", 10).into_bytes());
    assert_eq!(users[299], document("new", 9000).into_bytes());
    assert_eq!(content(&*source).unwrap(), expected, "a second time");

    let v2 = migrated(v1.path());
    let v2_source = source_of(v2.path());
    assert_eq!(v2_source.info().kind, SourceKind::V2);
    assert_eq!(content(&*v2_source).unwrap(), expected);

    let backups = tempfile::tempdir().unwrap();
    let path = export(&*source, backups.path());
    let backup = source_of(backups.path());
    let info = backup.info();
    assert_eq!(
        (info.kind, info.database_name.as_deref()),
        (SourceKind::Backup, Some("db"))
    );
    assert_eq!(info.metadata.as_deref(), Some(r#"{"k":1.50}"#));
    assert_eq!(content(&*backup).unwrap(), expected);
    for (backup, v2) in backup.collections().iter().zip(v2_source.collections()) {
        assert_eq!(backup.stated, v2.stated);
    }
    let again = tempfile::tempdir().unwrap();
    let of_v2 = export(&*v2_source, again.path());
    for file in ["users.jsonl", "logged.jsonl", "empty.jsonl"] {
        assert_eq!(
            fs::read(path.join(file)).unwrap(),
            fs::read(of_v2.join(file)).unwrap()
        );
    }
}

/// Writes a v1 directory with a snapshot of everything in a source.
fn back_to_v1(source: &dyn DocumentSource) -> (tempfile::TempDir, LossTally) {
    let temporary = tempfile::tempdir().unwrap();
    let file = dir(temporary.path())
        .create("snapshot.json", source.info().access)
        .unwrap();
    let header = SnapshotHeader {
        timestamp: "2025-01-15T10:30:00Z".to_owned(),
        database_name: "default".to_owned(),
        metadata: source.info().metadata.clone(),
    };
    let mut writer = SnapshotWriter::create(file, header, SnapshotForm::Exact).unwrap();
    for (position, collection) in source.collections().iter().enumerate() {
        let indexes = collection.indexes.clone();
        writer.begin_collection(&collection.name, indexes).unwrap();
        source
            .read(position, &mut |found| writer.document(found.document))
            .unwrap();
        writer.end_collection().unwrap();
    }
    (temporary, writer.finish().unwrap())
}

#[test]
fn a_way_back_to_v1_changes_what_it_says_it_changes() {
    let v2 = migrated(v1_directory().path());
    let source = source_of(v2.path());
    let (v1, losses) = back_to_v1(&*source);
    let (before, after) = (content(&*source).unwrap(), opened(v1.path()).unwrap());
    let mut changed = 0;
    for ((name, indexes, before), (name_after, indexes_after, after)) in before.iter().zip(&after) {
        assert_eq!((name, indexes), (name_after, indexes_after));
        assert_eq!(before.len(), after.len());
        for (before, after) in before.iter().zip(after) {
            let kept = lossless(RawDocument::trusted(before), SnapshotForm::Exact);
            assert_eq!(kept.is_ok(), before == after);
            changed += u64::from(before != after);
        }
    }
    // Three documents of the log hold int32, the others times as strings.
    assert_eq!((changed, losses.documents), (3, 3));
    assert_eq!(losses.count(LossKind::Int32), 3);
    assert_eq!(losses.count(LossKind::TimeString), 298);
}

#[test]
fn a_log_that_is_not_fresh_needs_recovery() {
    let v2 = migrated(v1_directory().path());
    let log = v2.path().join("wal.log");
    let mut bytes = fs::read(&log).unwrap();
    bytes.extend(fs::read(&log).unwrap());
    fs::write(&log, bytes).unwrap();
    let error = opened(v2.path()).unwrap_err();
    assert_eq!(error.code(), Code::NeedsRecovery);
    assert!(error.hint_text().is_some());
    fs::remove_file(&log).unwrap();
    assert!(opened(v2.path()).is_ok());
}

/// Rewrites the options of a collection's record, as LauraDB does when it saves it.
fn change_options(v2: &Path, name: &str, options: Option<CollectionOptions>) {
    let path = v2.join("metadata.db");
    let file = dir(v2).open_file("metadata.db").unwrap();
    let reader = MetadataReader::open(file, ChecksumPolicy::Required).unwrap();
    let entry = reader
        .collections()
        .find(|entry| entry.name == name)
        .unwrap();
    let mut record = reader.load(entry).unwrap().record;
    record.options = options;
    let mut page = [0; PAGE_SIZE];
    record.encode(&mut page).unwrap();
    page::seal(&mut page, entry.metadata_page);
    let mut bytes = fs::read(&path).unwrap();
    let start = entry.metadata_page.0 as usize * PAGE_SIZE;
    bytes[start..start + PAGE_SIZE].copy_from_slice(&page);
    fs::write(&path, bytes).unwrap();
}

#[test]
fn pages_outside_the_extents_are_found_by_their_owner() {
    let v1 = v1_directory();
    let expected = opened(v1.path()).unwrap();
    let v2 = migrated(v1.path());
    let _ = fs::remove_file(v2.path().join(crate::layout::RECEIPT_FILE));
    change_options(v2.path(), "users", None);
    assert_eq!(opened(v2.path()).unwrap(), expected);
    let part = CollectionOptions {
        data_extents: Some(vec![Extent(PageId(4), 1)]),
        ..CollectionOptions::default()
    };
    change_options(v2.path(), "users", Some(part));
    assert_eq!(opened(v2.path()).unwrap(), expected);
}

#[test]
fn extents_that_cannot_be_are_refused() {
    let v2 = migrated(v1_directory().path());
    for extents in [
        vec![Extent(PageId(1), 1)],
        vec![Extent(PageId(0), 2)],
        vec![Extent(PageId(4), u32::MAX)],
        vec![Extent(PageId(u32::MAX), 2)],
        vec![Extent(PageId(4), 2), Extent(PageId(5), 1)],
    ] {
        let options = CollectionOptions::published(extents.clone(), ContentDigest::default());
        change_options(v2.path(), "users", Some(options));
        let error = opened(v2.path()).unwrap_err();
        assert_eq!(error.code(), Code::CatalogDamaged, "{extents:?}: {error:?}");
        assert_eq!(error.place().collection.as_deref(), Some("users"));
    }
}

#[test]
fn names_that_v2_cannot_take_are_left_to_backups() {
    let temporary = tempfile::tempdir().unwrap();
    let text = r#"{"version":"1.0","database_name":"db","collections":[{"name":"b"},{"name":"","documents":[{"_id":"1"}]},{"name":"a\u0000"}]}"#;
    fs::write(temporary.path().join("snapshot.json"), text).unwrap();
    assert_eq!(
        opened(temporary.path()).unwrap_err().code(),
        Code::CollectionName
    );
    let mut options = V1Options {
        any_names: true,
        renames: vec!["b=c".to_owned()],
        ..V1Options::default()
    };
    let source = source_with(temporary.path(), &options).unwrap();
    let names: Vec<_> = source
        .collections()
        .iter()
        .map(|collection| &*collection.name)
        .collect();
    assert_eq!(names, ["", "a\0", "c"]);
    assert_eq!(content(&*source).unwrap()[0].2.len(), 1);
    options.renames = vec!["=x".to_owned(), "nowhere=y".to_owned()];
    let error = source_with(temporary.path(), &options)
        .map(drop)
        .unwrap_err();
    assert_eq!(error.code(), Code::RenameConflict);
}

#[test]
fn a_duplicate_id_that_the_log_touches_is_found() {
    let v1 = v1_directory();
    let path = v1.path().join("snapshot.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"u9\"", "\"u7\"")).unwrap();
    let error = opened(v1.path()).unwrap_err();
    assert_eq!(error.code(), Code::DuplicateId);
}

#[test]
fn directories_are_told_apart() {
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(detect(&dir(empty.path())).unwrap(), SourceKind::V1);
    assert_eq!(
        opened(empty.path()).unwrap_err().code(),
        Code::NothingToMigrate
    );
    let v1 = v1_directory();
    let source = source_of(v1.path());
    // A v1 directory with a backup in it stays one.
    let path = export(&*source, v1.path());
    assert_eq!(detect(&dir(v1.path())).unwrap(), SourceKind::V1);
    assert_eq!(detect(&dir(&path)).unwrap(), SourceKind::Backup);
    fs::remove_file(path.join("manifest.json")).unwrap();
    assert_eq!(opened(&path).unwrap_err().code(), Code::BackupIncomplete);
    fs::write(
        v1.path().join(".lauradb-version"),
        r#"{"formatVersion":"2.0-publishing"}"#,
    )
    .unwrap();
    assert_eq!(opened(v1.path()).unwrap_err().code(), Code::Publishing);
}
