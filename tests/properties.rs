//! Random documents of all types, through every form that they take: JSON, the log, pages, backups,
//! and back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;
// The strategy that the library's own tests use.
#[path = "../src/document/testing.rs"]
mod testing;

use common::{Database, Directory, INSTANT, run};
use laura_migrate::Options;
use laura_migrate::document::bson;
use laura_migrate::document::bson::{
    DocumentBuilder, ObjectId, OwnedDocument, RawDocument, RawValue,
};
use laura_migrate::options::{ImportFormat, Mode};
use laura_migrate::v1::wal::{RecordKind, RecordWriter};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const FILES: [&str; 3] = ["data.db", "metadata.db", "wal.log"];

/// A value of any type that an `_id` can have; no two numbers give equal ones.
fn id(number: usize, kind: u8) -> OwnedDocument {
    let bits = u32::try_from(number).unwrap();
    let text = format!("k{number}");
    let mut bytes = [7; 12];
    bytes[..4].copy_from_slice(&bits.to_le_bytes());
    let value = match kind % 7 {
        0 => RawValue::String(&text),
        1 => RawValue::Int64(i64::MIN + i64::from(bits)),
        2 => RawValue::Int32(i32::try_from(number).unwrap()),
        3 => RawValue::Double(f64::from(bits) + 0.5),
        4 => RawValue::ObjectId(ObjectId(bytes)),
        5 => RawValue::Timestamp(i64::from(bits)),
        _ => RawValue::Binary(&bytes),
    };
    [("_id", value)].into_iter().collect()
}

/// A document with this `_id` before or behind its other fields.
fn with_id(fields: &[u8], id: &OwnedDocument, is_first: bool) -> Vec<u8> {
    let fields: Vec<_> = RawDocument::trusted(fields).elements().collect();
    let id: Vec<_> = id.as_raw().elements().collect();
    let parts = if is_first { [id, fields] } else { [fields, id] };
    let document: OwnedDocument = parts.concat().into_iter().collect();
    document.into_bytes()
}

fn json_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-100_i32..100).prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        (-100_i32..100).prop_map(|number| Value::from(f64::from(number))),
        any::<String>().prop_map(Value::from),
        "[0-9a-fA-F]{24}".prop_map(Value::from),
        "[0-9a-f]{23,25}|Point|2024-0[1-9]-15T10:30:00Z".prop_map(Value::from),
        // Larger than a page.
        (4000_usize..9000).prop_map(|length| Value::from("é".repeat(length / 2))),
    ];
    scalar.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            json_fields(inner.clone()),
            prop::collection::vec(inner, 0..5).prop_map(Value::from),
        ]
    })
}

fn json_fields(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        "[a-c$.]{0,3}",
        Just("type".to_owned()),
        any::<String>().prop_map(|text| text.replace('\0', "")),
    ];
    prop::collection::btree_map(name, value, 0..6)
        .prop_map(|fields| Value::Object(fields.into_iter().collect()))
}

/// What the rules for JSON make of a value, written down plainly. In a point all numbers are
/// doubles and strings stay strings.
fn typed(builder: &mut DocumentBuilder<'_>, name: &str, value: &Value, in_point: bool) {
    match value {
        Value::Null => drop(builder.append(name, RawValue::Null)),
        Value::Bool(flag) => drop(builder.append(name, RawValue::Boolean(*flag))),
        Value::Number(number) => {
            let value = match number.as_i64() {
                Some(number) if !in_point => RawValue::Int64(number),
                _ => RawValue::Double(number.as_f64().unwrap()),
            };
            builder.append(name, value);
        }
        Value::String(text) => {
            let is_hex = text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_hex && !in_point {
                let mut bytes = [0; 12];
                for (number, byte) in bytes.iter_mut().enumerate() {
                    *byte = u8::from_str_radix(&text[2 * number..2 * number + 2], 16).unwrap();
                }
                builder.append(name, RawValue::ObjectId(ObjectId(bytes)));
            } else {
                builder.append(name, RawValue::String(text));
            }
        }
        Value::Array(values) => {
            builder.open_array(name);
            for (number, value) in values.iter().enumerate() {
                typed(builder, &number.to_string(), value, in_point);
            }
            builder.close();
        }
        Value::Object(fields) => {
            let in_point = in_point || fields.get("type") == Some(&json!("Point"));
            builder.open_document(name);
            for (name, value) in fields {
                typed(builder, name, value, in_point);
            }
            builder.close();
        }
    }
}

fn document_of(id: &str, fields: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut builder = DocumentBuilder::new(&mut bytes);
    builder.append("_id", RawValue::String(id));
    for (name, value) in fields.as_object().unwrap() {
        typed(&mut builder, name, value, false);
    }
    builder.finish();
    bytes
}

fn options(mode: Mode, source: &Path, target: &Path) -> Options {
    let mut options = Options::new(source);
    options.mode = mode;
    options.target = Some(target.to_path_buf());
    options.source_date_epoch = Some(INSTANT);
    options.jobs = 2;
    options
}

/// Exports a directory, and gives the backup's path.
fn exported(directory: &Path, backups: &Path) -> PathBuf {
    fs::create_dir_all(backups).unwrap();
    let report = run(options(Mode::Export, directory, backups)).unwrap();
    report.backup.unwrap()
}

fn assert_same_files(left: &Path, right: &Path) {
    for name in FILES {
        let [left, right] = [left, right].map(|directory| fs::read(directory.join(name)).unwrap());
        assert!(left == right, "{name} differs");
    }
}

fn indexes() -> Value {
    json!([
        {"name": "a_1", "type": "btree", "field_paths": ["a"]},
        {"name": "ab", "type": "btree", "field_paths": ["a", "b"], "filter": {"a": {"$exists": true}}},
        {"name": "t", "type": "text", "field_paths": ["c"]},
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Documents of the log keep every byte: in pages, in a backup of v1, in one of v2, and in the
    /// pages that are made of those.
    #[test]
    fn documents_of_all_types_come_back_from_the_log_pages_and_backups(
        documents in prop::collection::vec((testing::document(), any::<u8>(), any::<bool>()), 1..12),
    ) {
        let mut log = RecordWriter::new(Vec::new());
        let mut expected = Vec::new();
        for (number, (fields, kind, is_first)) in documents.iter().enumerate() {
            let document = with_id(fields, &id(number, *kind), *is_first);
            log.operation(RecordKind::Insert, 0, "c", RawDocument::trusted(&document)).unwrap();
            expected.push(document);
        }
        let directory = Directory::of_collections(&json!([{"name": "c", "indexes": indexes()}]))
            .wal(log.into_inner());
        let (source, migrated) = (directory.source(), directory.target());
        run(directory.side_by_side()).unwrap();
        let database = Database::read(&migrated);
        prop_assert_eq!(&database.collection("c").documents, &expected);
        for (number, side) in [&source, &migrated].into_iter().enumerate() {
            let backup = exported(side, &directory.home().join(format!("backups{number}")));
            let again = directory.home().join(format!("again{number}"));
            run(options(Mode::Import, &backup, &again)).unwrap();
            assert_same_files(&migrated, &again);
        }
    }

    /// What JSON can say comes back from pages, and from a backup that was made v1 again.
    #[test]
    fn documents_of_a_snapshot_come_back_from_pages_backups_and_v1(
        documents in prop::collection::vec(json_fields(json_value()), 1..12),
    ) {
        let mut listed = Vec::new();
        let mut expected = Vec::new();
        for (number, fields) in documents.iter().enumerate() {
            let id = format!("k{number}");
            expected.push(document_of(&id, fields));
            listed.push(json!({"_id": id, "fields": fields}));
        }
        let directory = Directory::of_collections(
            &json!([{"name": "c", "documents": listed, "indexes": indexes()}]),
        );
        let migrated = directory.target();
        run(directory.side_by_side()).unwrap();
        let database = Database::read(&migrated);
        for (found, expected) in database.collection("c").documents.iter().zip(&expected) {
            prop_assert_eq!(common::ejson(found), common::ejson(expected));
        }
        prop_assert_eq!(&database.collection("c").documents, &expected);
        let backup = exported(&migrated, &directory.home().join("backups"));
        let v1 = directory.home().join("v1");
        let mut import = options(Mode::Import, &backup, &v1);
        import.to = ImportFormat::V1;
        run(import).unwrap();
        let again = directory.home().join("again");
        run(options(Mode::Auto, &v1, &again)).unwrap();
        assert_same_files(&migrated, &again);
    }
}
