//! What is written is what LauraDB writes, and what is lost is known.

use super::*;
use crate::document::InferTypes;
use crate::document::bson::{DocumentBuilder, ObjectId, OwnedDocument, RawValue};
use crate::document::json::{DocumentContext, JsonConverter};
use crate::document::testing;
use crate::files::{Access, Dir, Gate, InputFile};
use crate::index::{ListedText, SkipIndexes, parse_listed};
use crate::v1::snapshot::{ChunkWalker, ScanOptions, SnapshotLayout, scan};
use crate::{Place, jsontext};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/laura/snapshots");
    Path::new(directory).join(name)
}

fn scanned(name: &str) -> (InputFile, SnapshotLayout) {
    let file = InputFile::open(&fixture(name)).unwrap();
    let layout = scan(&file, &ScanOptions::default(), &mut |_| Ok(())).unwrap();
    (file, layout)
}

/// Documents with the text that they were made from.
fn documents(name: &str) -> Vec<(Vec<u8>, String)> {
    let (file, layout) = scanned(name);
    let bytes = std::fs::read(fixture(name)).unwrap();
    let mut walker = ChunkWalker::new(JsonConverter::new(InferTypes::default()));
    let mut documents = Vec::new();
    for collection in &layout.collections {
        for chunk in &collection.chunks {
            walker
                .walk(&file, &collection.name, *chunk, |found| {
                    let start = usize::try_from(found.offset).unwrap();
                    let text = &bytes[start..start + found.converted.text_bytes];
                    let text = jsontext::compact(str::from_utf8(text).unwrap());
                    documents.push((found.bson.to_vec(), text));
                    Ok(())
                })
                .unwrap();
        }
    }
    documents
}

/// Copies a snapshot through the writer; gives the bytes of the copy.
fn copied(name: &str, form: SnapshotForm) -> (Vec<u8>, LossTally) {
    let (file, layout) = scanned(name);
    let temporary = tempfile::tempdir().unwrap();
    let dir = Dir::open(temporary.path(), Gate::open()).unwrap();
    let header = SnapshotHeader {
        timestamp: layout.timestamp.clone().unwrap(),
        database_name: layout.database_name.clone(),
        metadata: layout.metadata.clone(),
    };
    let output = dir.create("snapshot.json", Access::default()).unwrap();
    let mut writer = SnapshotWriter::create(output, header, form).unwrap();
    let mut walker = ChunkWalker::new(JsonConverter::new(InferTypes::default()));
    for collection in &layout.collections {
        // One by one, since they are sorted otherwise.
        let indexes = collection.indexes.iter().flat_map(|index| {
            let listed = ListedText {
                text: index.text(&file).unwrap(),
                place: Place::default(),
            };
            let parsed = parse_listed("c", [listed], &SkipIndexes::default());
            assert!(parsed.problems.is_empty());
            let infer = InferTypes::default();
            let definitions = parsed.definitions.into_iter();
            definitions.map(move |definition| PortableIndex::new(definition, infer))
        });
        writer
            .begin_collection(&collection.name, indexes.collect())
            .unwrap();
        for chunk in &collection.chunks {
            let name = &collection.name;
            walker
                .walk(&file, name, *chunk, |found| {
                    writer.document(RawDocument::trusted(found.bson))
                })
                .unwrap();
        }
        writer.end_collection().unwrap();
    }
    let losses = writer.finish().unwrap();
    let bytes = std::fs::read(temporary.path().join("snapshot.json")).unwrap();
    (bytes, losses)
}

#[test]
fn snapshots_of_lauradb_are_written_to_the_byte() {
    for (name, form) in [
        ("seed-10000.json", SnapshotForm::Laura),
        ("seed-10000.json", SnapshotForm::Exact),
        ("index-types.json", SnapshotForm::Laura),
        ("collections.json", SnapshotForm::Laura),
        ("decoded-array-docs.json", SnapshotForm::Laura),
        ("times.json", SnapshotForm::Laura),
        ("large-100k.json", SnapshotForm::Laura),
    ] {
        let (bytes, losses) = copied(name, form);
        // Written from a structure without indexes; a database has an empty list.
        let expected = std::fs::read_to_string(fixture(name)).unwrap();
        let expected = expected
            .replace("\"indexes\":null", "\"indexes\":[]")
            .into_bytes();
        let same = bytes
            .iter()
            .zip(&expected)
            .take_while(|(a, b)| a == b)
            .count();
        let around = |bytes: &[u8]| {
            let end = bytes.len().min(same + 60);
            String::from_utf8_lossy(&bytes[same.saturating_sub(60)..end]).into_owned()
        };
        assert!(
            bytes == expected,
            "{name}: {} for {}",
            around(&bytes),
            around(&expected)
        );
        assert!(
            losses.is_empty() && losses.documents == 0,
            "{name}: {losses:?}"
        );
    }
}

#[test]
fn documents_of_lauradb_are_written_to_the_byte() {
    let mut written = 0;
    let mut others = Vec::new();
    for name in [
        "all-types.json",
        "all-types-crafted.json",
        "all-types-pretty.json",
        "ids.json",
        "ids-mixed.json",
        "nulls.json",
    ] {
        for (bson, expected) in documents(name) {
            let mut text = Vec::new();
            text::document(RawDocument::trusted(&bson), SnapshotForm::Laura, &mut text);
            if text == expected.as_bytes() {
                written += 1;
            } else {
                others.push((String::from_utf8(text).unwrap(), expected));
            }
        }
    }
    // Replaced bytes that were no UTF-8, upper-case hex digits, missing `_id`s and fields.
    others.retain(|(_, expected)| {
        let replaced = expected.contains("\\ufffd") || expected.contains("hexlike");
        let missing = expected.contains("\"fields\":null") || !expected.contains("\"fields\"");
        !replaced
            && !missing
            && !expected.contains("\"_id\":\"\"")
            && !expected.contains("\"_id\":null")
    });
    assert_eq!(others, []);
    assert!(written > 40, "{written}");
}

fn read_back(document: RawDocument<'_>, form: SnapshotForm) -> Vec<u8> {
    let mut text = Vec::new();
    text::document(document, form, &mut text);
    let text = String::from_utf8(text).unwrap();
    let context = DocumentContext {
        collection: "c",
        ordinal: 0,
    };
    let mut bson = Vec::new();
    let mut converter = JsonConverter::new(InferTypes::default());
    let converted = converter.convert(&text, &context, &mut bson).unwrap();
    assert_eq!(converted.text_bytes, text.len());
    bson
}

fn with(value: RawValue<'_>) -> OwnedDocument {
    let fields = [("_id", RawValue::String("x")), ("v", value)];
    fields.into_iter().collect()
}

fn of_point(value: RawValue<'_>) -> OwnedDocument {
    let point = [("type", RawValue::String("Point")), ("v", value)];
    let point: OwnedDocument = point.into_iter().collect();
    with(RawValue::Document(point.as_raw()))
}

const HEX: &str = "507F1f77bcf86cd799439011";

/// In both forms.
fn assert_loss(document: &OwnedDocument, expected: Option<(LossKind, &str)>) {
    for form in [SnapshotForm::Laura, SnapshotForm::Exact] {
        let found = lossless(document.as_raw(), form).err();
        let found = found.as_ref().map(|loss| (loss.kind, &*loss.path));
        assert_eq!(found, expected, "{document:?}");
    }
}

#[test]
fn every_kind_of_value_that_is_lost_is_found() {
    use LossKind as Kind;
    let id = ObjectId([7; 12]);
    let plain = [
        (RawValue::Int32(5), Some(Kind::Int32)),
        (RawValue::Timestamp(5), Some(Kind::Timestamp)),
        (RawValue::Binary(b"x"), Some(Kind::Binary)),
        (RawValue::Double(f64::NAN), Some(Kind::NonFinite)),
        (RawValue::String(HEX), Some(Kind::HexString)),
        (RawValue::String("2024-01-15T10:30:00Z"), None),
        (RawValue::Int64(i64::MIN), None),
        (RawValue::Double(-0.0), None),
        (RawValue::Double(1e21), None),
        (RawValue::Double(0.1), None),
        (RawValue::ObjectId(id), None),
    ];
    for (value, kind) in plain {
        assert_loss(&with(value), kind.map(|kind| (kind, "v")));
    }
    let in_point = [
        (RawValue::Int64(5), Some(Kind::PointInteger)),
        (RawValue::ObjectId(id), Some(Kind::PointObjectId)),
        (RawValue::Double(5.0), None),
        (RawValue::String(HEX), None),
    ];
    for (value, kind) in in_point {
        assert_loss(&of_point(value), kind.map(|kind| (kind, "v.v")));
    }
}

#[test]
fn ids_that_are_lost_are_found() {
    let cases: [(&[(&str, RawValue<'_>)], _); 6] = [
        // `fields` itself is no Point.
        (
            &[
                ("_id", RawValue::String("x")),
                ("n", RawValue::Int64(1)),
                ("type", RawValue::String("Point")),
            ],
            None,
        ),
        (&[("_id", RawValue::ObjectId(ObjectId([7; 12])))], None),
        (
            &[("a", RawValue::Null), ("_id", RawValue::String("x"))],
            Some((LossKind::FieldOrder, "_id")),
        ),
        (&[("_id", RawValue::Int64(1))], Some((LossKind::Id, "_id"))),
        (
            &[("_id", RawValue::String(HEX))],
            Some((LossKind::Id, "_id")),
        ),
        (&[("a", RawValue::Null)], Some((LossKind::Id, "_id"))),
    ];
    for (fields, expected) in cases {
        assert_loss(&fields.iter().copied().collect(), expected);
    }
}

#[test]
fn the_exact_form_keeps_whole_doubles_and_the_order_of_fields() {
    let whole = with(RawValue::Double(30.0));
    let unordered = [
        ("_id", RawValue::String("x")),
        ("b", RawValue::Null),
        ("a", RawValue::Null),
    ];
    for (document, kind) in [
        (whole, LossKind::WholeDouble),
        (unordered.into_iter().collect(), LossKind::FieldOrder),
    ] {
        let found = lossless(document.as_raw(), SnapshotForm::Laura).unwrap_err();
        assert_eq!(found.kind, kind);
        assert_eq!(lossless(document.as_raw(), SnapshotForm::Exact), Ok(()));
    }
}

#[test]
fn ids_are_printed_as_lauradb_prints_them() {
    let text = std::fs::read_to_string(fixture("ids.expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut printed = 0;
    for item in expected["items"].as_array().unwrap() {
        let Some(source) = item.get("source") else {
            continue;
        };
        let mut document = Vec::new();
        if crate::document::ejson::parse_fixture(&source.to_string(), &mut document).is_err() {
            continue;
        }
        let Some(id) = RawDocument::trusted(&document).get("_id") else {
            continue;
        };
        let mut out = Vec::new();
        go::print(id, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), item["_id"], "{id:?}");
        printed += 1;
    }
    assert!(printed >= 12, "{printed}");
}

#[test]
fn losses_are_counted_with_their_first_places() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = Dir::open(temporary.path(), Gate::open()).unwrap();
    let header = SnapshotHeader {
        timestamp: "2025-01-15T10:30:00Z".to_owned(),
        database_name: "a<b".to_owned(),
        metadata: Some(r#"{"k":"<"}"#.to_owned()),
    };
    let file = dir.create("snapshot.json", Access::default()).unwrap();
    let mut writer = SnapshotWriter::create(file, header, SnapshotForm::Exact).unwrap();
    writer.begin_collection("c", Vec::new()).unwrap();
    let ids: Vec<String> = (0..5).map(|number| format!("id{number}")).collect();
    for id in &ids {
        let array = [("0", RawValue::Int32(1)), ("1", RawValue::Int32(2))]
            .into_iter()
            .collect::<OwnedDocument>();
        let document = [
            ("_id", RawValue::String(id)),
            ("a", RawValue::Array(array.as_raw())),
            ("t", RawValue::String("2024-01-15T10:30:00Z")),
        ];
        let document: OwnedDocument = document.into_iter().collect();
        writer.document(document.as_raw()).unwrap();
    }
    writer.end_collection().unwrap();
    let losses = writer.finish().unwrap();
    assert_eq!((losses.documents, losses.count(LossKind::Int32)), (5, 10));
    assert_eq!(losses.count(LossKind::TimeString), 5);
    let places: Vec<_> = losses
        .places(LossKind::Int32)
        .map(|place| (&*place.of, &*place.path))
        .collect();
    assert_eq!(
        places,
        [("\"id0\"", "a.0"), ("\"id0\"", "a.1"), ("\"id1\"", "a.0")]
    );
    let text = std::fs::read_to_string(temporary.path().join("snapshot.json")).unwrap();
    assert!(text.starts_with(r#"{"version":"1.0","timestamp":"2025-01-15T10:30:00Z","database_name":"a\u003cb","collections":[{"name":"c","documents":[{"_id":"id0","fields":{"a":[1,2],"t":"#));
    assert!(
        text.ends_with("],\"indexes\":[]}],\"metadata\":{\"k\":\"\\u003c\"}}\n"),
        "{text}"
    );
}

proptest! {
    #[test]
    fn lossless_says_what_comes_back(
        id in prop_oneof!["[a-z]{1,3}", "[0-9a-f]{24}", Just(String::new())],
        fields in testing::document(),
    ) {
        let mut bytes = Vec::new();
        let mut builder = DocumentBuilder::new(&mut bytes);
        builder.append("_id", RawValue::String(&id));
        for (name, value) in RawDocument::trusted(&fields).elements() {
            if name != "_id" {
                builder.append(name, value);
            }
        }
        builder.finish();
        let document = RawDocument::trusted(&bytes);
        for form in [SnapshotForm::Laura, SnapshotForm::Exact] {
            let same = read_back(document, form) == bytes;
            prop_assert_eq!(same, lossless(document, form).is_ok(), "{:?}", lossless(document, form));
        }
    }
}
