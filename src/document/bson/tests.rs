use super::*;
use crate::document::ejson;
use BsonErrorKind as Kind;
use serde_json::Value;

fn fixture(name: &str) -> Value {
    let path = format!("{}/fixtures/laura/bson/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn bytes_of(case: &Value) -> Vec<u8> {
    let digits = case["hex"].as_str().unwrap().as_bytes();
    let pairs = digits.chunks(2).map(|pair| str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

/// Rebuilds a document, nested ones included, through the builder.
fn rebuild(document: RawDocument<'_>, builder: &mut DocumentBuilder<'_>) {
    for (name, value) in document.elements() {
        match value {
            RawValue::Document(inner) => {
                builder.open_document(name);
                rebuild(inner, builder);
                builder.close();
            }
            RawValue::Array(inner) => {
                builder.open_array(name);
                rebuild(inner, builder);
                builder.close();
            }
            value => {
                builder.append(name, value);
            }
        }
    }
}

/// The texts of `ejson` in file order, which a `serde_json::Value` would sort.
#[derive(serde::Deserialize)]
struct Documents<'a> {
    #[serde(borrow)]
    documents: Vec<Case<'a>>,
}

#[derive(serde::Deserialize)]
struct Case<'a> {
    name: &'a str,
    hex: String,
    #[serde(borrow)]
    ejson: &'a serde_json::value::RawValue,
}

#[test]
fn lauradbs_documents_are_read_and_written_to_the_byte() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/laura/bson/documents.json"
    );
    let file = std::fs::read_to_string(path).unwrap();
    let file: Documents<'_> = serde_json::from_str(&file).unwrap();
    assert!(file.documents.len() > 35);
    for case in file.documents {
        let bytes = bytes_of(&serde_json::json!({"hex": case.hex}));
        let document = match check(&bytes) {
            Ok(document) => document,
            Err(error) if case.name.contains("invalid_utf8") => {
                assert_eq!(error.kind, Kind::InvalidUtf8);
                continue;
            }
            Err(error) if case.name == "doc_deep100" => {
                // A hundred documents below the outermost one.
                assert_eq!(error.kind, Kind::TooDeep);
                continue;
            }
            Err(error) => panic!("{}: {error}", case.name),
        };
        let mut rebuilt = Vec::new();
        let mut builder = DocumentBuilder::new(&mut rebuilt);
        rebuild(document, &mut builder);
        builder.finish();
        assert_eq!(rebuilt, bytes, "{}", case.name);
        let mut expected = Vec::new();
        ejson::parse_fixture(case.ejson.get(), &mut expected).unwrap();
        assert_eq!(expected, bytes, "{}", case.name);
    }
}

/// What LauraDB's decoder takes and we do not: wrong sizes, bytes after the end, strings without
/// their zero byte, any byte for a boolean, any binary subtype, names that stand twice, array
/// elements out of place, names that are not UTF-8.
#[test]
fn of_lauradbs_decoder_cases_only_the_well_formed_pass() {
    let cases = fixture("decoder-cases.json");
    let cases = cases["cases"].as_array().unwrap();
    let mut refusals = refusals().into_iter();
    for case in cases {
        let name = case["name"].as_str().unwrap();
        match check(&bytes_of(case)) {
            Ok(_) => {
                assert_eq!(case["real_decoder"], "ok", "{name}");
                assert!(
                    ["minimal_ok", "string_len_1", "null_ok"].contains(&name),
                    "{name}"
                );
            }
            Err(error) => {
                let found = (name, error.offset, error.kind);
                assert_eq!(Some(found), refusals.next());
            }
        }
    }
    assert_eq!(refusals.next(), None);
}

/// Name, offset and kind of every case that is refused, in file order.
fn refusals() -> Vec<(&'static str, usize, Kind)> {
    let size = |found, actual| Kind::Size { found, actual };
    let twice = || Kind::DuplicateField("a".to_owned());
    let array = |name: &str| Kind::ArrayName(name.to_owned());
    vec![
        ("empty_input", 0, Kind::Truncated),
        ("3_bytes", 0, Kind::Truncated),
        ("size_only", 0, size(5, 4)),
        ("size_field_wrong_big", 0, size(500, 5)),
        ("size_field_wrong_small", 0, size(1, 12)),
        ("size_field_negative", 0, size(-1, 5)),
        ("size_field_zero", 0, size(0, 5)),
        ("no_terminator", 0, size(12, 11)),
        ("trailing_bytes", 0, size(5, 12)),
        ("unknown_type_06", 5, Kind::UnknownType(6)),
        ("unknown_type_09_date", 5, Kind::UnknownType(9)),
        ("type_13_decimal", 5, Kind::UnknownType(19)),
        ("type_ff_minkey", 5, Kind::UnknownType(255)),
        ("type_0b_regex", 5, Kind::UnknownType(11)),
        ("key_unterminated", 0, size(20, 8)),
        ("int32_cut", 0, size(20, 9)),
        ("int64_cut", 0, size(20, 8)),
        ("double_cut", 0, size(20, 8)),
        ("oid_cut", 0, size(20, 9)),
        ("bool_cut", 0, size(20, 7)),
        ("timestamp_cut", 0, size(20, 8)),
        ("bool_2", 7, Kind::BooleanByte(2)),
        ("bool_ff", 7, Kind::BooleanByte(255)),
        ("string_len_0", 7, Kind::Length(0)),
        ("string_len_minus1", 7, Kind::Length(-1)),
        ("string_len_minint", 7, Kind::Length(-2147483648)),
        ("string_len_too_big", 11, Kind::Truncated),
        ("string_len_2gb", 11, Kind::Truncated),
        ("string_missing_nul", 13, Kind::StringTerminator),
        ("string_nonzero_terminator", 13, Kind::StringTerminator),
        ("string_cut_before_nul", 0, size(20, 12)),
        ("binary_len_minus1", 7, Kind::Length(-1)),
        ("binary_len_too_big", 11, Kind::Truncated),
        ("binary_subtype_80", 11, Kind::BinarySubtype(128)),
        ("binary_subtype_02", 11, Kind::BinarySubtype(2)),
        ("binary_cut_no_subtype", 0, size(20, 11)),
        ("subdoc_size_0", 7, size(0, 5)),
        ("subdoc_size_4", 7, size(4, 6)),
        ("subdoc_size_minus1", 7, Kind::Length(-1)),
        ("subdoc_size_too_big", 7, Kind::Length(100)),
        ("subdoc_size_too_small", 12, Kind::Truncated),
        (
            "subdoc_size_bigger_than_content",
            12,
            Kind::DocumentTerminator,
        ),
        ("subdoc_cut_size", 0, size(20, 8)),
        ("array_size_minus1", 7, Kind::Length(-1)),
        ("array_keys_wrong", 14, array("x")),
        ("array_keys_out_of_order", 14, array("1")),
        ("array_keys_gap", 21, array("5")),
        ("array_dup_keys", 21, array("0")),
        ("array_key_leading_zero", 15, array("00")),
        ("dup_keys_top", 21, twice()),
        ("dup_keys_different_type", 14, twice()),
        ("key_with_invalid_utf8", 5, Kind::InvalidUtf8),
        ("encoder_key_with_nul", 16, Kind::DocumentTerminator),
    ]
}

#[test]
fn the_bson_crate_writes_the_same_bytes() {
    let theirs = ::bson::doc! {
        "_id": ::bson::oid::ObjectId::from_bytes([7; 12]),
        "double": 1.5,
        "string": "žluť",
        "document": { "a": { "": true } },
        "array": [1_i32, 2_i64, ["x"], { "y": ::bson::Bson::Null }],
        "binary": ::bson::Binary { subtype: ::bson::spec::BinarySubtype::Generic, bytes: vec![1, 2] },
        "int32": -7_i32,
        "int64": i64::MAX,
        "false": false,
    };
    let theirs = theirs.to_vec().unwrap();
    let document = check(&theirs).unwrap();
    let mut ours = Vec::new();
    let mut builder = DocumentBuilder::new(&mut ours);
    rebuild(document, &mut builder);
    builder.finish();
    assert_eq!(ours, theirs);
    assert_eq!(document.get("int64"), Some(RawValue::Int64(i64::MAX)));
    assert_eq!(document.get("binary"), Some(RawValue::Binary(&[1, 2])));
}
