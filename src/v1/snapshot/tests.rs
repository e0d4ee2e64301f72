mod fixtures;

use super::scan::scan_source;
use super::window::ReadAt;
use super::{ScanOptions, SnapshotLayout, scan, timestamp};
use crate::files::InputFile;
use crate::{Code, Error, Result};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::io::Read as _;
use std::path::Path;

fn at(offset: u64) -> usize {
    usize::try_from(offset).expect("fits")
}

struct Memory<'a>(&'a [u8]);

impl ReadAt for Memory<'_> {
    fn path(&self) -> &Path {
        Path::new("snapshot.json")
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let rest = self.0.get(at(offset)..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}

fn scan_with(bytes: &[u8], options: &ScanOptions) -> Result<SnapshotLayout> {
    scan_source(&Memory(bytes), bytes.len() as u64, options, &mut |_| Ok(()))
}

fn scan_bytes(bytes: impl AsRef<[u8]>) -> Result<SnapshotLayout> {
    scan_with(bytes.as_ref(), &ScanOptions::default())
}

fn failure(text: impl AsRef<[u8]>) -> Error {
    let error = scan_bytes(text).expect_err("the snapshot is bad");
    assert!(error.hint_text().is_some(), "{error:?} has a hint");
    assert!(error.place().file.is_some() && error.place().offset.is_some());
    error
}

/// The code and the offset of the error that a snapshot gives.
fn code_at(text: impl AsRef<[u8]>) -> (Code, u64) {
    let error = failure(text);
    (error.code(), error.place().offset.unwrap_or(u64::MAX))
}

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/laura/snapshots");
    let bytes = std::fs::read(path.join(name)).expect("fixture");
    if !name.ends_with(".gz") {
        return bytes;
    }
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..])
        .read_to_end(&mut unpacked)
        .expect("gzip");
    unpacked
}

/// What chunks hold, parsed: one list of documents for each collection.
fn documents(bytes: &[u8], layout: &SnapshotLayout) -> Vec<Vec<Value>> {
    let of_collection = |collection: &super::CollectionLayout| {
        let mut documents = Vec::new();
        for chunk in &collection.chunks {
            assert_eq!(chunk.first_ordinal, documents.len() as u64);
            let text = &bytes[at(chunk.offset)..][..at(chunk.bytes)];
            let text = [b"[", text, b"]"].concat();
            let parsed: Vec<Value> = serde_json::from_slice(&text).expect("whole documents");
            assert_eq!(parsed.len(), chunk.documents as usize);
            documents.extend(parsed);
        }
        assert_eq!(documents.len() as u64, collection.documents);
        documents
    };
    layout.collections.iter().map(of_collection).collect()
}

fn expected_documents(bytes: &[u8]) -> Vec<Vec<Value>> {
    let snapshot: Value = serde_json::from_slice(bytes).expect("JSON");
    let collections = snapshot["collections"].as_array().expect("collections");
    collections
        .iter()
        .map(|each| each["documents"].as_array().cloned().unwrap_or_default())
        .collect()
}

const SMALL: &str = r#"{"version":"1.0","x":[1.5e-7,{"é":null}],"timestamp":"t","database_name":"d",
"collections":[{"documents":[{"_id":"a\\","fields":{"s":"}\"]","n":[[1]]}}, 7 ,"x]"],
"name":"\u0063é","indexes":[{"name":"a_1","type":"btree"}],"metadata":{"k":true}},
{"name":"d"}],"metadata":{"wal_lsn":18446744073709551615}}"#;

#[test]
fn a_small_snapshot_reads_as_written() {
    let layout = scan_bytes(SMALL).expect("valid");
    assert_eq!(layout.unknown_keys, 1);
    assert_eq!(layout.wal_lsn, Some(u64::MAX));
    assert_eq!(layout.documents, 3);
    let first = &layout.collections[0];
    assert_eq!((first.name.as_str(), first.has_metadata), ("cé", true));
    assert_eq!(first.largest_document, 45);
    assert_eq!(first.document_bytes, 45 + 1 + 4);
    assert!(layout.collections[1].chunks.is_empty());
    let stored = serde_json::to_string(&layout).expect("serializes");
    let back: SnapshotLayout = serde_json::from_str(&stored).expect("parses");
    assert_eq!(back, layout);
}

#[test]
fn every_truncation_is_an_error() {
    for length in 0..SMALL.len() {
        let error = failure(&SMALL.as_bytes()[..length]);
        let expected = if length == 0 {
            Code::SnapshotEmpty
        } else {
            Code::SnapshotTruncated
        };
        assert_eq!(error.code(), expected, "{length}: {error:?}");
        assert_eq!(error.place().offset, Some(length as u64));
    }
}

#[test]
fn no_mutation_of_a_byte_panics_and_buffers_do_not_matter() {
    let tiny = ScanOptions {
        buffer_bytes: 3,
        ..ScanOptions::default()
    };
    for at in 0..SMALL.len() {
        for value in (0..=u8::MAX).step_by(17).chain(*b"\"\\{}[],:0n \n") {
            let mut bytes = SMALL.as_bytes().to_vec();
            bytes[at] = value;
            let (large, small) = (scan_bytes(&bytes), scan_with(&bytes, &tiny));
            match (large, small) {
                (Ok(large), Ok(small)) => assert_eq!(large, small),
                (large, small) => assert_eq!(format!("{large:?}"), format!("{small:?}")),
            }
        }
    }
}

#[test]
fn tiny_buffers_find_the_same() {
    for name in [
        "all-types-pretty.json",
        "collections.json",
        "large-5k.json",
        "index-types.json",
    ] {
        let bytes = fixture(name);
        let expected = scan_bytes(&bytes).expect(name);
        for buffer_bytes in [1, 2, 7, 63, 64, 65, 127, 1000] {
            let options = ScanOptions {
                buffer_bytes,
                ..ScanOptions::default()
            };
            assert_eq!(
                scan_with(&bytes, &options).expect(name),
                expected,
                "{buffer_bytes}"
            );
        }
    }
}

fn around(collections: &str) -> String {
    format!(r#"{{"version":"1.0","database_name":"d","collections":{collections}}}"#)
}

#[test]
fn errors_name_the_offset() {
    let start = around("").len() as u64 - 1;
    for compressed in [
        &b"\x1f\x8b\x08"[..],
        b"\x28\xb5\x2f\xfd",
        b"\xfd7zXZ\0",
        b"BZh91AY",
        b"\x04\x22\x4d\x18",
        b"PK\x03\x04",
    ] {
        assert_eq!(code_at(compressed), (Code::SnapshotCompressed, 0));
    }
    assert_eq!(code_at("  <xml>"), (Code::SnapshotSyntax, 2));
    assert_eq!(code_at(" [1]"), (Code::SnapshotShape, 1));
    assert_eq!(code_at(" \n "), (Code::SnapshotTruncated, 3));
    assert_eq!(code_at(r#"{"version" "1.0"}"#), (Code::SnapshotSyntax, 11));
    assert_eq!(code_at(r#"{"a":01}"#), (Code::SnapshotSyntax, 6));
    assert_eq!(code_at(r#"{"a":[1}"#), (Code::SnapshotSyntax, 7));
    assert_eq!(code_at(r#"{"a":[1,]}"#), (Code::SnapshotSyntax, 8));
    assert_eq!(code_at(r#"{"a":"\x"}"#), (Code::SnapshotSyntax, 6));
    assert_eq!(
        code_at(r#"{"version":"\ud800"}"#),
        (Code::SnapshotUnicode, 11)
    );
    assert_eq!(code_at(r#"{"database_name":5}"#), (Code::SnapshotShape, 17));
    assert_eq!(
        code_at(r#"{"version":"1.0","\u0076ersion":"1.0"}"#),
        (Code::SnapshotKeyTwice, 17)
    );
    assert_eq!(code_at(around("[null]")), (Code::SnapshotShape, start + 1));
    assert_eq!(code_at(around("{}")), (Code::SnapshotShape, start));
    assert_eq!(code_at(around("[{}]")), (Code::SnapshotShape, start + 1));
    assert_eq!(
        code_at(around(r#"[{"documents":{}}]"#)),
        (Code::SnapshotShape, start + 14)
    );
    assert_eq!(
        code_at(around(r#"[{"documents":[{} {}]}]"#)),
        (Code::SnapshotSyntax, start + 18)
    );
    assert_eq!(
        code_at(around(r#"[{"documents":[x]}]"#)),
        (Code::SnapshotSyntax, start + 15)
    );
    assert_eq!(
        code_at(around(r#"[{"name":"c"},{"name":"\u0063"}]"#)),
        (Code::CollectionTwice, start + 22)
    );
    let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(128), "]".repeat(128));
    assert_eq!(code_at(&deep), (Code::SnapshotShape, 0), "128 levels pass");
    let deeper = deep.replace("[1]", "[[1]]");
    assert_eq!(code_at(deeper), (Code::SnapshotNesting, 5 + 128));
}

#[test]
fn limits_of_texts_hold() {
    let index = |bytes: usize| {
        let text = format!("\"{}\"", "i".repeat(bytes - 2));
        around(&format!(r#"[{{"name":"c","indexes":[{text}]}}]"#))
    };
    assert!(scan_bytes(index(super::MAX_INDEX_BYTES)).is_ok());
    let error = failure(index(super::MAX_INDEX_BYTES + 1));
    assert_eq!(error.code(), Code::IndexDefinition);
    assert_eq!(error.place().collection.as_deref(), Some("c"));
}

#[test]
fn wal_lsn_is_an_unsigned_integer() {
    let snapshot = |metadata: &str| {
        let text = around("[]");
        format!(r#"{},"metadata":{metadata}}}"#, &text[..text.len() - 1])
    };
    let lsn = |metadata: &str| scan_bytes(snapshot(metadata)).map(|layout| layout.wal_lsn);
    assert_eq!(lsn(r#"{"wal_lsn" : 0}"#).expect("valid"), Some(0));
    assert_eq!(lsn("{}").expect("valid"), None);
    assert_eq!(lsn("null").expect("valid"), None);
    for bad in [
        "-1",
        "1.0",
        "1e3",
        "\"7\"",
        "null",
        "18446744073709551616",
        "[1]",
    ] {
        let error = failure(snapshot(&format!(r#"{{"wal_lsn":{bad}}}"#)));
        assert_eq!(error.code(), Code::SnapshotShape, "{bad}");
    }
    assert!(lsn(r#"{"wal_lsn":1,"wal_lsn":1}"#).is_err());
    assert!(lsn("[]").is_err());
    let kept = scan_bytes(snapshot(r#"{ "a" : 1.50 }"#))
        .expect("valid")
        .metadata;
    assert_eq!(kept.as_deref(), Some(r#"{"a":1.50}"#));
}

#[test]
fn a_document_beyond_the_limit_is_named_or_alone_in_its_chunk() {
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(100));
    let text = around(&format!(
        r#"[{{"name":"c","documents":[{{}},{large},{{}},{{}}]}}]"#
    ));
    for buffer_bytes in [10, 150, 1 << 20] {
        let mut options = ScanOptions {
            max_document_bytes: 100,
            buffer_bytes,
            ..ScanOptions::default()
        };
        let error = scan_with(text.as_bytes(), &options).expect_err("too large");
        assert_eq!(error.code(), Code::DocumentText);
        assert_eq!(error.place().offset, text.find(&large).map(|at| at as u64));
        options.keep_oversized = true;
        let layout = scan_with(text.as_bytes(), &options).expect("kept");
        let chunks = &layout.collections[0].chunks;
        let counts: Vec<_> = chunks.iter().map(|chunk| chunk.documents).collect();
        assert_eq!(counts, [1, 1, 2]);
        assert_eq!(chunks[1].bytes, large.len() as u64);
    }
}

#[test]
fn brackets_of_the_wrong_kind_are_left_to_the_parser() {
    let layout = scan_bytes(around(r#"[{"name":"c","documents":[{"a":[1}],[}]}]"#)).expect("valid");
    assert_eq!(layout.documents, 2);
}

#[test]
fn progress_is_told_and_can_stop_the_scan() {
    let bytes = fixture("collections.json");
    let options = ScanOptions {
        buffer_bytes: 1000,
        ..ScanOptions::default()
    };
    let mut offsets = Vec::new();
    scan_source(
        &Memory(&bytes),
        bytes.len() as u64,
        &options,
        &mut |offset| {
            offsets.push(offset);
            Ok(())
        },
    )
    .expect("valid");
    assert_eq!(offsets[..3], [0, 1000, 2000]);
    let stopped = scan_source(&Memory(&bytes), 0, &options, &mut |_| {
        Err(Error::new(Code::Cancelled, "stop"))
    });
    assert_eq!(stopped.expect_err("stopped").code(), Code::Cancelled);
}

#[test]
fn a_file_read_ahead_gives_the_same_layout_and_its_hash() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/laura/snapshots");
    let file = InputFile::open(&path.join("collections.json")).expect("open");
    let expected = scan_bytes(fixture("collections.json")).expect("valid");
    // Pieces that end in the middle, at the end and behind it.
    let size = at(file.size());
    for buffer_bytes in [1, 1000, size / 2, size, size + 1] {
        let options = ScanOptions {
            buffer_bytes,
            ..ScanOptions::default()
        };
        let file = file.hashing();
        let layout = scan(&file, &options, &mut |_| Ok(())).expect("valid");
        assert_eq!(layout, expected, "{buffer_bytes}");
        assert_eq!(file.xxh3().ok(), file.without_hashing().xxh3().ok());
        let stopped = scan(&file, &options, &mut |_| {
            Err(Error::new(Code::Cancelled, "stop"))
        });
        assert_eq!(stopped.expect_err("stopped").code(), Code::Cancelled);
    }
}

#[test]
fn the_timestamp_is_read_without_the_rest() {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("b.json");
    for (text, expected) in [
        (r#"{"version":"1.0","timestamp":"then","coll"#, Some("then")),
        (r#"{"collections":[{"a":["}"]}],"timestamp":"then"#, None),
        (
            r#"{"collections":[{"a":["}"]}],"timestamp":"then","#,
            Some("then"),
        ),
        (r#"{"timestamp":5}"#, None),
        ("", None),
        ("{}", None),
    ] {
        std::fs::write(&path, text).expect("write");
        let file = InputFile::open(&path).expect("open");
        assert_eq!(
            timestamp(&file).expect("read").as_deref(),
            expected,
            "{text}"
        );
    }
    std::fs::write(&path, SMALL).expect("write");
    let file = InputFile::open(&path).expect("open");
    let layout = scan(&file, &ScanOptions::default(), &mut |_| Ok(())).expect("valid");
    let listed = layout.collections[0].indexes[0];
    assert_eq!(
        listed.text(&file).expect("read"),
        r#"{"name":"a_1","type":"btree"}"#
    );
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[\"\\\\{}\\[\\], ]{0,80}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn chunks_hold_the_documents_of_random_snapshots(
        collections in prop::collection::vec(
            (any::<String>(), prop::collection::vec(any_value(), 0..12), any_value()), 0..4),
        pretty in any::<bool>(),
        buffer_bytes in 1_usize..300,
        chunk_bytes in 1_u64..500,
    ) {
        let listed: Vec<Value> = collections
            .iter()
            .enumerate()
            .map(|(n, (name, documents, unknown))| {
                let name = format!("{n}{name}");
                json!({"name": name, "documents": documents, "zz": unknown, "indexes": [unknown]})
            })
            .collect();
        let snapshot = json!({"version": "1.0", "database_name": "d", "collections": listed});
        let text = if pretty { serde_json::to_vec_pretty(&snapshot) }
            else { serde_json::to_vec(&snapshot) }.expect("JSON");
        let options = ScanOptions { buffer_bytes, chunk_bytes, ..ScanOptions::default() };
        let layout = scan_with(&text, &options).expect("valid");
        prop_assert_eq!(documents(&text, &layout), expected_documents(&text));
        prop_assert_eq!(layout.unknown_keys, collections.len() as u64);
        for chunk in layout.collections.iter().flat_map(|each| &each.chunks) {
            let last = chunk.documents == 1 || chunk.bytes < chunk_bytes + 4096;
            prop_assert!(last);
        }
    }
}
