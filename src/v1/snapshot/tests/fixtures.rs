//! Files that LauraDB wrote, and what it recorded of them.

use super::{at, documents, expected_documents, fixture, scan_bytes};
use crate::{Code, Error};
use serde_json::Value;
use std::path::PathBuf;

#[test]
fn every_fixture_gives_its_documents_and_indexes() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/laura/snapshots");
    let mut scanned = 0;
    for entry in std::fs::read_dir(directory).expect("fixtures") {
        let name = entry
            .expect("entry")
            .file_name()
            .into_string()
            .expect("UTF-8");
        let other = [
            ".expected.json",
            ".golden.json",
            ".proof.json",
            "reader-cases.json",
        ];
        if other.iter().any(|suffix| name.ends_with(suffix)) {
            continue;
        }
        let bytes = fixture(&name);
        let layout = scan_bytes(&bytes).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(layout.bytes, bytes.len() as u64);
        assert_eq!(
            documents(&bytes, &layout),
            expected_documents(&bytes),
            "{name}"
        );
        let snapshot: Value = serde_json::from_slice(&bytes).expect("JSON");
        for (found, expected) in layout
            .collections
            .iter()
            .zip(snapshot["collections"].as_array().expect("collections"))
        {
            assert_eq!(found.name, expected["name"]);
            assert_eq!(bytes[at(found.offset)], b'{');
            let texts: Vec<Value> = found
                .indexes
                .iter()
                .map(|index| &bytes[at(index.offset)..][..index.bytes as usize])
                .map(|text| serde_json::from_slice(text).expect("JSON"))
                .collect();
            let listed = expected["indexes"].as_array().cloned().unwrap_or_default();
            assert_eq!(texts, listed);
        }
        scanned += 1;
    }
    assert!(scanned >= 18, "{scanned} fixtures");
}

#[test]
fn counts_are_those_that_lauradb_recorded() {
    let mut checked = 0;
    for name in [
        "all-types",
        "all-types-crafted",
        "all-types-pretty",
        "collections",
        "decoded-array-docs",
        "ids",
        "ids-mixed",
        "index-crafted",
        "index-types",
        "nulls",
        "times",
    ] {
        let layout = scan_bytes(fixture(&format!("{name}.json"))).expect(name);
        let text = fixture(&format!("{name}.expected.json"));
        let expected: Value = serde_json::from_slice(&text).expect("JSON");
        let head = &expected["head"];
        assert_eq!(
            layout.bytes,
            head["bytes"].as_u64().expect("bytes"),
            "{name}"
        );
        assert_eq!(layout.database_name, head["database_name"]);
        assert_eq!(layout.timestamp.as_deref(), head["timestamp"].as_str());
        for item in expected["items"].as_array().expect("items") {
            let Some(count) = item["document_count"].as_u64() else {
                continue;
            };
            let mut collections = layout.collections.iter();
            let found = collections
                .find(|each| each.name == item["collection"])
                .expect("collection");
            assert_eq!(found.documents, count, "{name}");
            let indexes = item["indexes"].as_array().map_or(0, Vec::len);
            assert_eq!(found.indexes.len(), indexes, "{name}");
            checked += 1;
        }
    }
    assert!(checked >= 30, "{checked} collections");
    let seed = scan_bytes(fixture("seed-10000.json")).expect("seed");
    assert_eq!(
        (seed.documents, seed.database_name.as_str()),
        (10_000, "seed")
    );
    assert_eq!(seed.collections[0].indexes.len(), 2);
    assert_eq!(seed.collections[0].chunks.len(), 5);
}

/// Each case with what becomes of it here. Where the comment says "departs", LauraDB's restorer
/// does otherwise; where it says "parser", the document is refused when it is parsed.
#[test]
fn reader_cases_end_as_described() {
    let outcomes: [(&str, Option<Code>); 25] = [
        ("minimal", None),
        ("trailing_garbage", Some(Code::SnapshotTrailing)), // departs: ignored
        ("two_values", Some(Code::SnapshotTrailing)),       // departs: the second is ignored
        ("leading_bom", Some(Code::SnapshotByteOrderMark)),
        ("empty_file", Some(Code::SnapshotEmpty)),
        ("truncated", Some(Code::SnapshotTruncated)),
        ("no_version", Some(Code::SnapshotShape)),
        ("version_2", Some(Code::SnapshotVersion)),
        ("version_number", Some(Code::SnapshotShape)),
        ("no_dbname", Some(Code::SnapshotShape)),
        ("no_collections", Some(Code::SnapshotShape)),
        ("collections_null", Some(Code::SnapshotShape)),
        ("no_timestamp", None),
        ("bad_timestamp", None), // departs: refused
        ("case_insensitive_keys", Some(Code::SnapshotShape)), // departs: matched
        ("unknown_keys", None),
        ("duplicate_keys_last_wins", Some(Code::SnapshotKeyTwice)), // departs: the last counts
        ("doc_id_number", None),                                    // parser
        ("doc_dup_field", None),
        ("fields_has__id", None), // parser (departs: it replaces the _id)
        ("lone_surrogate_escape", None), // parser (departs: U+FFFD)
        ("number_too_big", None), // parser
        ("collection_dup_name", Some(Code::CollectionTwice)), // departs: both restored
        ("invalid_utf8_in_string", Some(Code::SnapshotUnicode)), // departs: U+FFFD
        ("control_char_in_string", Some(Code::SnapshotSyntax)),
    ];
    let cases: Value = serde_json::from_slice(&fixture("reader-cases.json")).expect("JSON");
    let cases = cases["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), outcomes.len());
    for (case, (name, outcome)) in cases.iter().zip(outcomes) {
        assert_eq!(case["name"], name);
        let bytes: Vec<u8> = match case["input_hex"].as_str() {
            Some(hex) => (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
                .collect(),
            None => case["input"].as_str().expect("input").into(),
        };
        let result = scan_bytes(&bytes);
        let code = result.as_ref().err().map(Error::code);
        assert_eq!(code, outcome, "{name}: {result:?}");
    }
}
