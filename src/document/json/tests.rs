use super::*;
use crate::document::bson::{self, RawDocument, RawValue};
use crate::document::ejson;
use crate::document::time::parse_rfc3339;
use serde_json::Value;
use serde_json::value::RawValue as Text;
use std::fmt::Write as _;
use std::io::Read as _;

mod fitting;
mod fixtures;
mod limits;
mod patterns;
mod plain;

const CONTEXT: DocumentContext<'static> = DocumentContext {
    collection: "c",
    ordinal: 3,
};

const LITERAL: InferTypes = InferTypes {
    object_id: false,
    timestamp: false,
};

const EVERYTHING: InferTypes = InferTypes {
    object_id: true,
    timestamp: true,
};

fn convert_as(text: &str, infer: InferTypes) -> Result<(Vec<u8>, Converted), DocumentError> {
    let mut out = b"before".to_vec();
    let converted = JsonConverter::new(infer).convert(text, &CONTEXT, &mut out);
    match converted {
        Ok(converted) => {
            let document = out.split_off(6);
            bson::check(&document).unwrap_or_else(|error| panic!("{error}: {text:.200}"));
            Ok((document, converted))
        }
        Err(error) => {
            assert_eq!(out, b"before", "a failure leaves the output as it was");
            Err(error)
        }
    }
}

fn convert(text: &str) -> Result<(Vec<u8>, Converted), DocumentError> {
    convert_as(text, InferTypes::default())
}

fn ejson_of(document: &[u8]) -> String {
    let mut text = Vec::new();
    ejson::write_document(RawDocument::trusted(document), &mut text);
    String::from_utf8(text).unwrap()
}

/// The fields of a document `{"_id":"x","fields":…}`, as Extended JSON without the `_id`.
fn fields_as(fields: &str, infer: InferTypes) -> String {
    let text = format!(r#"{{"_id":"x","fields":{fields}}}"#);
    let (document, converted) = convert_as(&text, infer).unwrap();
    assert_eq!(converted.text_bytes, text.len());
    let shown = ejson_of(&document);
    let rest = shown.strip_prefix(r#"{"_id":"x""#).unwrap();
    format!("{{{}", rest.strip_prefix(',').unwrap_or(rest))
}

fn fields(fields: &str) -> String {
    fields_as(fields, InferTypes::default())
}

fn nested(levels: usize) -> String {
    let values = levels - 2;
    format!(
        r#"{{"_id":"x","fields":{{"a":{}1{}}}}}"#,
        "[".repeat(values + 1),
        "]".repeat(values + 1)
    )
}

#[test]
fn the_id_comes_first_whatever_the_order_of_keys() {
    let expected = r#"{"_id":"x","b":"y","a":null}"#;
    for text in [
        r#"{"_id":"x","fields":{"b":"y","a":null}}"#,
        r#"{"fields":{"b":"y","a":null},"_id":"x"}"#,
        r#"  {"z":[{}],"fields":{"b":"y","a":null},"y":1e999,"_id":"\u0078"} , {"#,
    ] {
        let (document, converted) = convert(text).unwrap();
        assert_eq!(ejson_of(&document), expected);
        assert!(!converted.generated_id);
        assert_eq!(converted.text_bytes, text.rfind('}').unwrap() + 1);
        assert_eq!(
            converted.unknown_keys,
            if text.contains('z') { 2 } else { 0 }
        );
        assert_eq!(converted.emptied_array_documents, 0);
    }
}

#[test]
fn a_hex_id_is_an_object_id_whatever_is_inferred() {
    let text = r#"{"fields":{"k":"507f1f77bcf86cd799439011"},"_id":"507F1F77BCF86CD799439011"}"#;
    let (document, _) = convert_as(text, LITERAL).unwrap();
    assert_eq!(
        ejson_of(&document),
        r#"{"_id":{"$oid":"507f1f77bcf86cd799439011"},"k":"507f1f77bcf86cd799439011"}"#
    );
}

#[test]
fn a_time_as_id_stays_a_string_whatever_is_inferred() {
    let (document, _) = convert_as(r#"{"_id":"2024-01-15T10:30:00Z"}"#, EVERYTHING).unwrap();
    assert_eq!(ejson_of(&document), r#"{"_id":"2024-01-15T10:30:00Z"}"#);
}

#[test]
fn a_generated_id_depends_on_place_and_content_only() {
    let content = OwnedK::document();
    let expected = Sha256::new()
        .chain_update(b"laura-migrate/_idc\0")
        .chain_update(3_u64.to_le_bytes())
        .chain_update(&content)
        .finalize();
    for text in [
        r#"{"_id":"","fields":{"k":1}}"#,
        r#"{"_id":null,"fields":{"k":1}}"#,
        r#"{"fields":{"k":1},"_id":""}"#,
        r#"{"fields":{"k":1}}"#,
    ] {
        let (document, converted) = convert(text).unwrap();
        assert!(converted.generated_id, "{text}");
        let Some(RawValue::ObjectId(id)) = RawDocument::trusted(&document).get("_id") else {
            panic!("{text}");
        };
        assert_eq!(id.0[..], expected[..12], "{text}");
        assert_eq!(document[21..], content[4..], "{text}");
    }
}

struct OwnedK;

impl OwnedK {
    fn document() -> Vec<u8> {
        b"\x10\0\0\0\x12k\0\x01\0\0\0\0\0\0\0\0".to_vec()
    }
}

#[test]
fn missing_and_null_fields_are_no_fields() {
    for text in [
        r#"{"_id":"x"}"#,
        r#"{"_id":"x","fields":null}"#,
        r#"{"_id":"x","fields":{}}"#,
    ] {
        assert_eq!(ejson_of(&convert(text).unwrap().0), r#"{"_id":"x"}"#);
    }
    assert!(convert("{}").unwrap().1.generated_id);
}

#[test]
fn numbers_keep_their_value_exactly() {
    let cases = [
        ("0", r#"{"$numberLong":"0"}"#),
        ("-0", r#"{"$numberDouble":"-0.0"}"#),
        ("-0.0", r#"{"$numberDouble":"-0.0"}"#),
        ("0.0", r#"{"$numberDouble":"0.0"}"#),
        ("1.0", r#"{"$numberDouble":"1.0"}"#),
        ("1e3", r#"{"$numberDouble":"1000.0"}"#),
        ("9007199254740993", r#"{"$numberLong":"9007199254740993"}"#),
        (
            "9223372036854775807",
            r#"{"$numberLong":"9223372036854775807"}"#,
        ),
        (
            "9223372036854775808",
            r#"{"$numberDouble":"9.223372036854776e18"}"#,
        ),
        (
            "18446744073709551615",
            r#"{"$numberDouble":"1.8446744073709552e19"}"#,
        ),
        (
            "18446744073709551616",
            r#"{"$numberDouble":"1.8446744073709552e19"}"#,
        ),
        (
            "-9223372036854775808",
            r#"{"$numberLong":"-9223372036854775808"}"#,
        ),
        (
            "-9223372036854775809",
            r#"{"$numberDouble":"-9.223372036854776e18"}"#,
        ),
        ("5e-324", r#"{"$numberDouble":"5e-324"}"#),
        ("1e-400", r#"{"$numberDouble":"0.0"}"#),
        (
            "1.7976931348623157e308",
            r#"{"$numberDouble":"1.7976931348623157e308"}"#,
        ),
    ];
    for (literal, expected) in cases {
        assert_eq!(
            fields(&format!("{{\"v\":{literal}}}")),
            format!("{{\"v\":{expected}}}")
        );
    }
}

#[test]
fn strings_become_timestamps_only_where_no_fraction_is_lost() {
    let typed = |text: &str| fields_as(&format!("{{\"v\":\"{text}\"}}"), EVERYTHING);
    assert_eq!(
        typed("2024-01-15T10:30:00.000Z"),
        r#"{"v":{"$timestamp":{"t":0,"i":1705314600}}}"#
    );
    for kept in [
        "2024-01-15T10:30:00.5Z",
        "2024-01-15T10:30:00.0000000000001Z",
    ] {
        assert_eq!(typed(kept), format!(r#"{{"v":"{kept}"}}"#));
    }
}

#[test]
fn array_elements_are_named_by_position() {
    for count in [0, 1, 9, 10, 11, 99, 100, 101, 1000, 12345] {
        let list = vec!["true"; count].join(",");
        let (document, _) = convert(&format!(r#"{{"fields":{{"v":[{list}]}}}}"#)).unwrap();
        let Some(RawValue::Array(array)) = RawDocument::trusted(&document).get("v") else {
            panic!("no array");
        };
        assert_eq!(array.elements().count(), count);
    }
}

#[test]
fn points_keep_strings_and_turn_integers_into_doubles_at_any_depth() {
    let hex = "507F1f77bcf86cd799439011";
    let oid = r#"{"$oid":"507f1f77bcf86cd799439011"}"#;
    let cases = [
        // The integers are retyped in place.
        (
            r#"{"p":{"coordinates":[14,50.5],"type":"Point"},"q":1}"#.to_owned(),
            r#"{"p":{"coordinates":[{"$numberDouble":"14.0"},{"$numberDouble":"50.5"}],"type":"Point"},"q":{"$numberLong":"1"}}"#.to_owned(),
        ),
        // A string below forces the second pass; what lies outside is typed as ever.
        (
            format!(r#"{{"a":{{"s":"{hex}","n":1}},"p":{{"d":{{"s":["{hex}"],"n":2}},"t":9007199254740993,"type":"Point"}},"z":["{hex}",3]}}"#),
            format!(r#"{{"a":{{"s":{oid},"n":{{"$numberLong":"1"}}}},"p":{{"d":{{"s":["{hex}"],"n":{{"$numberDouble":"2.0"}}}},"t":{{"$numberDouble":"9007199254740992.0"}},"type":"Point"}},"z":[{oid},{{"$numberLong":"3"}}]}}"#),
        ),
        // Points in arrays and in Points.
        (
            format!(r#"{{"v":[{{"type":"Point","n":{{"type":"Point","s":"{hex}"}}}},{{"s":"{hex}"}},{{"type":"Point","s":"{hex}"}}]}}"#),
            format!(r#"{{"v":[{{"type":"Point","n":{{"type":"Point","s":"{hex}"}}}},{{"s":{oid}}},{{"type":"Point","s":"{hex}"}}]}}"#),
        ),
        // An inner Point does not make the object around it one.
        (
            r#"{"o":{"p":{"n":1,"type":"\u0050oint"},"n":2,"type":"point"}}"#.to_owned(),
            r#"{"o":{"p":{"n":{"$numberDouble":"1.0"},"type":"Point"},"n":{"$numberLong":"2"},"type":"point"}}"#.to_owned(),
        ),
        // `fields` itself is none.
        (
            format!(r#"{{"n":1,"s":"{hex}","type":"Point"}}"#),
            format!(r#"{{"n":{{"$numberLong":"1"}},"s":{oid},"type":"Point"}}"#),
        ),
        // The last "type" decides.
        (
            r#"{"o":{"type":"Point","n":1,"type":"Line"},"p":{"type":7,"n":1,"type":"Point"}}"#.to_owned(),
            r#"{"o":{"type":"Line","n":{"$numberLong":"1"}},"p":{"type":"Point","n":{"$numberDouble":"1.0"}}}"#.to_owned(),
        ),
        // Duplicates inside: elements move before the Point around them ends.
        (
            r#"{"p":{"d":{"a":"xxxxxxxxxxxxxxxxxxxxxxxxxxx","n":1,"a":2},"type":"Point"},"e":{"n":1}}"#.to_owned(),
            r#"{"p":{"d":{"a":{"$numberDouble":"2.0"},"n":{"$numberDouble":"1.0"}},"type":"Point"},"e":{"n":{"$numberLong":"1"}}}"#.to_owned(),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(fields(&text), expected, "{text}");
    }
}

#[test]
fn the_second_pass_counts_everything_once() {
    let text = r#"{"x":1,"fields":{"a":[{}],"p":{"s":"507f1f77bcf86cd799439011","type":"Point"}},"_id":""}"#;
    let (document, converted) = convert(text).unwrap();
    assert_eq!(converted.emptied_array_documents, 1);
    assert_eq!(converted.unknown_keys, 1);
    assert!(converted.generated_id);
    assert!(ejson_of(&document).contains(r#""s":"507f1f77bcf86cd799439011""#));
}

#[test]
fn emptied_array_documents_are_counted_wherever_an_array_is() {
    let text = r#"{"fields":{"e":{},"a":[{},[{}],{"b":[{}]},[]],"o":{"list":[{},"s",5]}}}"#;
    assert_eq!(convert(text).unwrap().1.emptied_array_documents, 4);
}

#[test]
fn of_a_repeated_name_the_last_value_stands_at_the_first_place() {
    let cases = [
        (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
        (
            r#"{"b":1,"a":2,"b":"long enough to be longer","c":4}"#,
            r#"{"b":"long enough to be longer","a":2,"c":4}"#,
        ),
        (
            r#"{"b":"long enough to be longer","a":2,"b":1,"a":3,"b":5,"c":4}"#,
            r#"{"b":5,"a":3,"c":4}"#,
        ),
        (
            r#"{"o":{"x":{"k":1,"k":[1,2]},"x":true,"w":[],"x":{"k":0,"k":8}}}"#,
            r#"{"o":{"x":{"k":8},"w":[]}}"#,
        ),
        (r#"{"":1,"":2,"a":3,"":4}"#, r#"{"":4,"a":3}"#),
    ];
    for (text, expected) in cases {
        assert_eq!(fields(text), fields(expected), "{text}");
    }
}

/// Runs long enough to go through every way in which names are looked up.
#[test]
fn repeated_names_agree_with_a_plain_model() {
    let mut seed = 1_u64;
    for round in 0..200 {
        let mut text = String::from("{");
        let mut model: Vec<(String, u64)> = Vec::new();
        let names = [3, 20, 100][round % 3];
        for field in 0..150 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (name, value) = (format!("n{}", (seed >> 33) % names), seed >> 40);
            let padding = "x".repeat(usize::try_from((seed >> 50) % 40).unwrap());
            let comma = if field > 0 { "," } else { "" };
            write!(text, r#"{comma}"{name}":["{padding}",{value}]"#).unwrap();
            match model.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => model.push((name, value)),
            }
        }
        text.push('}');
        let (document, _) = convert(&format!(r#"{{"fields":{text}}}"#)).unwrap();
        let found: Vec<(String, u64)> = RawDocument::trusted(&document)
            .elements()
            .skip(1)
            .map(|(name, value)| match value {
                RawValue::Array(array) => match array.get("1") {
                    Some(RawValue::Int64(number)) => (name.to_owned(), number.cast_unsigned()),
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(found, model);
    }
}

#[test]
fn a_converter_goes_on_after_a_failure() {
    let mut converter = JsonConverter::new(InferTypes::default());
    let mut out = Vec::new();
    let bad = r#"{"_id":"x","fields":{"b":{"c":{"n":1,"d":1e999}}}}"#;
    assert!(converter.convert(bad, &CONTEXT, &mut out).is_err());
    assert!(out.is_empty());
    let good = r#"{"_id":"x","fields":{"a":{"n":1,"type":"Point"}}}"#;
    converter.convert(good, &CONTEXT, &mut out).unwrap();
    assert_eq!(
        ejson_of(&out),
        r#"{"_id":"x","a":{"n":{"$numberDouble":"1.0"},"type":"Point"}}"#
    );
}
