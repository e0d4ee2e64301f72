use super::*;
use crate::document::bson::{
    self, BsonErrorKind, DocumentBuilder, ObjectId, OwnedDocument, RawDocument, RawValue,
};
use crate::document::testing::document;
use proptest::prelude::*;

fn text_of(document: &[u8]) -> String {
    let mut text = Vec::new();
    write_document(RawDocument::trusted(document), &mut text);
    String::from_utf8(text).unwrap()
}

fn parsed(text: &str) -> Result<Vec<u8>, EjsonError> {
    let mut out = b"before".to_vec();
    let result = parse_document(text, &mut out);
    let document = out.split_off(6);
    assert_eq!(out, b"before");
    assert!(result.is_ok() || document.is_empty());
    result.map(|()| document)
}

fn one(name: &str, value: RawValue<'_>) -> OwnedDocument {
    [(name, value)].into_iter().collect()
}

#[test]
fn every_type_has_its_canonical_text() {
    let cases: Vec<(RawValue<'_>, &str)> = vec![
        (RawValue::Double(1.0), r#"{"$numberDouble":"1.0"}"#),
        (RawValue::Double(-0.0), r#"{"$numberDouble":"-0.0"}"#),
        (RawValue::Double(5e-324), r#"{"$numberDouble":"5e-324"}"#),
        (
            RawValue::Double(f64::MAX),
            r#"{"$numberDouble":"1.7976931348623157e308"}"#,
        ),
        (
            RawValue::Double(f64::INFINITY),
            r#"{"$numberDouble":"Infinity"}"#,
        ),
        (
            RawValue::Double(f64::NEG_INFINITY),
            r#"{"$numberDouble":"-Infinity"}"#,
        ),
        (
            RawValue::Double(f64::from_bits(GO_NAN_BITS)),
            r#"{"$numberDouble":"NaN"}"#,
        ),
        (
            RawValue::Double(f64::from_bits(0xFFF8_0000_0000_0000)),
            r#"{"$numberDouble":"NaN:fff8000000000000"}"#,
        ),
        (
            RawValue::String("q\"\\\n\u{1}é\u{2028}/\u{7f}"),
            "\"q\\\"\\\\\\n\\u0001é\u{2028}/\u{7f}\"",
        ),
        (
            RawValue::Binary(b""),
            r#"{"$binary":{"base64":"","subType":"00"}}"#,
        ),
        (
            RawValue::Binary(b"\x01\x02"),
            r#"{"$binary":{"base64":"AQI=","subType":"00"}}"#,
        ),
        (
            RawValue::ObjectId(ObjectId([0xAB; 12])),
            r#"{"$oid":"abababababababababababab"}"#,
        ),
        (RawValue::Boolean(true), "true"),
        (RawValue::Boolean(false), "false"),
        (RawValue::Null, "null"),
        (RawValue::Int32(i32::MIN), r#"{"$numberInt":"-2147483648"}"#),
        (
            RawValue::Int64(i64::MIN),
            r#"{"$numberLong":"-9223372036854775808"}"#,
        ),
        (RawValue::Timestamp(1), r#"{"$timestamp":{"t":0,"i":1}}"#),
        (
            RawValue::Timestamp(-1),
            r#"{"$timestamp":{"t":4294967295,"i":4294967295}}"#,
        ),
        (
            RawValue::Timestamp(1 << 32),
            r#"{"$timestamp":{"t":1,"i":0}}"#,
        ),
    ];
    for (value, expected) in cases {
        assert_text(value, expected);
    }
}

#[test]
fn documents_that_would_read_as_a_type_are_listed() {
    let inner = one("a", RawValue::Null);
    let typelike = one("$oid", RawValue::String("x"));
    let later = [("a", RawValue::Null), ("$b", RawValue::Null)];
    let later: OwnedDocument = later.into_iter().collect();
    let cases = [
        (&inner, r#"{"a":null}"#),
        (&later, r#"{"a":null,"$b":null}"#),
        (&typelike, r#"{"$lauraDocument":[["$oid","x"]]}"#),
    ];
    for (document, expected) in cases {
        assert_text(RawValue::Document(document.as_raw()), expected);
        assert_eq!(text_of(document.as_bytes()), expected);
        assert_eq!(parsed(expected).unwrap(), document.as_bytes());
    }
}

/// As a field, in both directions.
fn assert_text(value: RawValue<'_>, expected: &str) {
    let document = one("v", value);
    let text = format!("{{\"v\":{expected}}}");
    assert_eq!(text_of(document.as_bytes()), text);
    assert_eq!(parsed(&text).unwrap(), document.as_bytes(), "{text}");
}

#[test]
fn white_space_and_other_escapes_are_read() {
    let expected = [("a", RawValue::String("/😀")), ("b", RawValue::Int32(1))];
    let expected: OwnedDocument = expected.into_iter().collect();
    let text =
        " { \"\\u0061\" : \"\\/\\ud83d\\ude00\" ,\n\t\"b\" : { \"$numberInt\" : \"1\" } } \r\n";
    assert_eq!(parsed(text).unwrap(), expected.as_bytes());
}

/// Text, offset and kind.
const REFUSED: &[(&str, usize, EjsonErrorKind)] = &[
    ("", 0, EjsonErrorKind::Truncated),
    ("[]", 0, EjsonErrorKind::Expected("a document")),
    (
        r#"{"$oid":"507f1f77bcf86cd799439011"}"#,
        0,
        EjsonErrorKind::Expected("a document"),
    ),
    (r#"{"a":1}"#, 5, EjsonErrorKind::BareNumber),
    (r#"{"a":nul}"#, 5, EjsonErrorKind::Expected("a value")),
    (r#"{"a":}"#, 5, EjsonErrorKind::Expected("a value")),
    (r#"{"a" null}"#, 5, EjsonErrorKind::Expected("':'")),
    (r#"{"a":null"#, 9, EjsonErrorKind::Truncated),
    (r#"{"a":null,}"#, 10, EjsonErrorKind::Expected("a string")),
    (r#"{"a":[null,]}"#, 11, EjsonErrorKind::Expected("a value")),
    (r#"{"a":[null}"#, 10, EjsonErrorKind::Expected("',' or ']'")),
    (r#"{"a":"b}"#, 5, EjsonErrorKind::Truncated),
    (r#"{"a":"\x"}"#, 5, EjsonErrorKind::InvalidString),
    (r#"{"a":"\ud800"}"#, 5, EjsonErrorKind::InvalidString),
    ("{\"a\":\"\u{1}\"}", 5, EjsonErrorKind::InvalidString),
    (r#"{"a\u0000":null}"#, 1, EjsonErrorKind::NulInName),
    (r#"{"a":null} x"#, 11, EjsonErrorKind::TrailingText),
    (
        r#"{"a":{"$oid":"507f1f77bcf86cd79943901"}}"#,
        13,
        EjsonErrorKind::Malformed("$oid"),
    ),
    (
        r#"{"a":{"$oid":null}}"#,
        13,
        EjsonErrorKind::Expected("a string"),
    ),
    (
        r#"{"a":{"$oid":"507f1f77bcf86cd799439011","b":null}}"#,
        39,
        EjsonErrorKind::Expected("'}' after a typed value"),
    ),
    (
        r#"{"a":{"$numberInt":"2147483648"}}"#,
        19,
        EjsonErrorKind::Malformed("$numberInt"),
    ),
    (
        r#"{"a":{"$numberInt":"+1"}}"#,
        19,
        EjsonErrorKind::Malformed("$numberInt"),
    ),
    (
        r#"{"a":{"$numberInt":"01"}}"#,
        19,
        EjsonErrorKind::Malformed("$numberInt"),
    ),
    (
        r#"{"a":{"$numberLong":"-0"}}"#,
        20,
        EjsonErrorKind::Malformed("$numberLong"),
    ),
    (
        r#"{"a":{"$numberLong":""}}"#,
        20,
        EjsonErrorKind::Malformed("$numberLong"),
    ),
    (
        r#"{"a":{"$numberDouble":"1e999"}}"#,
        22,
        EjsonErrorKind::Malformed("$numberDouble"),
    ),
    (
        r#"{"a":{"$numberDouble":"inf"}}"#,
        22,
        EjsonErrorKind::Malformed("$numberDouble"),
    ),
    (
        r#"{"a":{"$numberDouble":"-inf"}}"#,
        22,
        EjsonErrorKind::Malformed("$numberDouble"),
    ),
    (
        r#"{"a":{"$numberDouble":"NaN:3ff0000000000000"}}"#,
        22,
        EjsonErrorKind::Malformed("$numberDouble"),
    ),
    (
        r#"{"a":{"$numberDouble":""}}"#,
        22,
        EjsonErrorKind::Malformed("$numberDouble"),
    ),
    (
        r#"{"a":{"$binary":{"base64":"AQI","subType":"00"}}}"#,
        26,
        EjsonErrorKind::Malformed("$binary"),
    ),
    (
        r#"{"a":{"$binary":{"base64":"AQI=","subType":"80"}}}"#,
        47,
        EjsonErrorKind::Malformed("$binary"),
    ),
    (
        r#"{"a":{"$timestamp":{"t":4294967296,"i":0}}}"#,
        24,
        EjsonErrorKind::Malformed("$timestamp"),
    ),
    (
        r#"{"a":{"$timestamp":{"i":0,"t":0}}}"#,
        20,
        EjsonErrorKind::Malformed("$timestamp"),
    ),
    (
        r#"{"$lauraDocument":[["$a"]]}"#,
        24,
        EjsonErrorKind::Expected("','"),
    ),
];

#[test]
fn what_is_not_canonical_is_refused_where_it_stands() {
    for (text, offset, kind) in REFUSED {
        let error = parsed(text).unwrap_err();
        assert_eq!(
            (error.offset, &error.kind),
            (*offset, kind),
            "{text}: {error}"
        );
    }
}

#[test]
fn names_of_no_type_are_refused() {
    let cases = [
        (r#"{"a":{"$date":"x"}}"#, 6, "$date"),
        (r#"{"$set":null}"#, 1, "$set"),
        (r#"{"a":{"$lauraTimestamp":"1"}}"#, 6, "$lauraTimestamp"),
    ];
    for (text, offset, name) in cases {
        let error = parsed(text).unwrap_err();
        assert_eq!(error.offset, offset);
        assert_eq!(error.kind, EjsonErrorKind::UnknownType(name.to_owned()));
    }
}

#[test]
fn a_name_that_stands_twice_is_refused() {
    for text in [
        r#"{"a":null,"a":null}"#,
        r#"{"$lauraDocument":[["$a",null],["$a",null]]}"#,
    ] {
        let EjsonErrorKind::Document(error) = parsed(text).unwrap_err().kind else {
            panic!("{text}");
        };
        assert!(matches!(error.kind, BsonErrorKind::DuplicateField(_)));
    }
}

/// A document of so many levels, each with one field of this name.
fn nested(levels: usize, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut builder = DocumentBuilder::new(&mut bytes);
    for _ in 1..levels {
        builder.open_document(name);
    }
    builder.finish();
    bytes
}

#[test]
fn a_hundred_levels_come_back_and_more_are_refused() {
    for name in ["a", "$a"] {
        let document = nested(100, name);
        assert_eq!(parsed(&text_of(&document)).unwrap(), document);
        let error = parsed(&text_of(&nested(101, name))).unwrap_err();
        assert_eq!(error.kind, EjsonErrorKind::TooDeep);
    }
    let endless = format!("{{\"a\":{}", "[".repeat(1_000_000));
    assert_eq!(parsed(&endless).unwrap_err().kind, EjsonErrorKind::TooDeep);
}

#[test]
fn ids_are_shown_to_people_in_one_short_line() {
    let long = "é".repeat(1000);
    let shown = display_id(RawValue::String(&long));
    assert_eq!(shown.chars().count(), 79);
    assert!(shown.ends_with("…\""));
    assert!(display_id(RawValue::Binary(&[7; 1000])).chars().count() <= 80);
    let cases = [
        (RawValue::String("a\"b\n"), r#""a\"b\n""#),
        (
            RawValue::ObjectId(ObjectId([1; 12])),
            r#"ObjectId("010101010101010101010101")"#,
        ),
        (RawValue::Int32(-5), "-5"),
        (RawValue::Int64(5), "5"),
        (RawValue::Double(5.0), "5.0"),
        (RawValue::Boolean(true), "true"),
        (RawValue::Null, "null"),
        (RawValue::Binary(b"\x01\x02"), r#"Binary("AQI=")"#),
    ];
    for (id, expected) in cases {
        assert_eq!(display_id(id), expected);
    }
    let document = one("a", RawValue::String(&long));
    let shown = display_id(RawValue::Document(document.as_raw()));
    assert!(shown.starts_with("{\"a\":\"é") && shown.chars().count() <= 80);
}

proptest! {
    #[test]
    fn every_document_comes_back_byte_for_byte(document in document()) {
        prop_assert!(bson::check(&document).is_ok());
        let text = text_of(&document);
        prop_assert!(!text.contains('\n'));
        prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        prop_assert_eq!(parsed(&text).unwrap(), document);
    }

    #[test]
    fn no_text_panics(text in "[\\[\\]{}:,\"a$\\\\u0-9 ]{0,40}") {
        let _ = parsed(&text);
    }

    #[test]
    fn damaged_text_is_read_or_refused(
        document in document(),
        at in any::<prop::sample::Index>(),
        byte in 0x20_u8..0x7F,
    ) {
        let mut text = text_of(&document).into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        if let Ok(text) = String::from_utf8(text)
            && let Ok(document) = parsed(&text)
        {
            prop_assert!(bson::check(&document).is_ok());
        }
    }
}
