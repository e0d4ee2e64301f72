//! Documents that cannot be carried over, and how large one may be.

use super::*;
use DocumentErrorKind as Kind;

#[test]
fn every_bad_document_is_refused_by_its_kind_and_place() {
    let syntax = |message: &str| Kind::Syntax(message.to_owned());
    // The offset is given by the text up to and including the byte where the fault showed.
    let cases: Vec<(&str, &str, Kind)> = vec![
        ("[]", "", Kind::NotAnObject),
        ("\"document\"", "", Kind::NotAnObject),
        ("17", "", Kind::NotAnObject),
        ("null", "", Kind::NotAnObject),
        (r#"{"fields":[]"#, "}", Kind::FieldsType),
        (r#"{"fields":"x""#, "}", Kind::FieldsType),
        (r#"{"fields":1"#, "}", Kind::FieldsType),
        (r#"{"fields":true"#, "}", Kind::FieldsType),
        (r#"{"_id":1"#, "}", Kind::IdType),
        (r#"{"_id":1.5"#, "}", Kind::IdType),
        (r#"{"_id":false"#, "}", Kind::IdType),
        (r#"{"_id":{}"#, "}", Kind::IdType),
        (r#"{"_id":[]"#, "}", Kind::IdType),
        (r#"{"fields":{"a":1,"_id""#, r#":2}}"#, Kind::IdInFields),
        (r#"{"fields":{"\u005fid""#, r#":2}}"#, Kind::IdInFields),
        (r#"{"_id":"a","_id""#, r#":"b"}"#, Kind::RepeatedKey("_id")),
        (r#"{"_id":null,"_id""#, r#":"b"}"#, Kind::RepeatedKey("_id")),
        (
            r#"{"fields":null,"fields""#,
            ":null}",
            Kind::RepeatedKey("fields"),
        ),
        (r#"{"fields":{"a":1e400"#, "}}", Kind::NumberOutOfRange),
        (r#"{"fields":{"a":-1e309"#, "}}", Kind::NumberOutOfRange),
        (r#"{"fields":{"a":"\x"#, "\"}}", Kind::InvalidEscape),
        (
            r#"{"fields":{"a":"\ud800\u0041"#,
            "\"}}",
            Kind::LoneSurrogate,
        ),
        (r#"{"fields":{"a":"\ud800x"#, "\"}}", Kind::LoneSurrogate),
        (r#"{"fields":{"a":"\udc00"#, "\"}}", Kind::LoneSurrogate),
        (r#"{"fields":{"\udc00"#, "\":1}}", Kind::LoneSurrogate),
        (r#"{"fields":{"a\u0000""#, ":1}}", Kind::NulInName),
        (r#"{"fields":{"o":{"\u0000""#, ":1}}}", Kind::NulInName),
        (r#"{"fields":{"a":01"#, "}}", syntax("invalid number")),
        (r#"{"fields":{"a":1,}"#, "}", syntax("trailing comma")),
        (r#"{"fields":{1"#, ":1}}", syntax("key must be a string")),
        (r#"{"fields":{"a":N"#, "aN}}", syntax("expected value")),
        (r#"{"fields":{"a" 1"#, "}}", syntax("expected `:`")),
        (
            "{\"fields\":{\"a\":\"\n",
            "\"}}",
            syntax("control character (\\u0000-\\u001F) found while parsing a string"),
        ),
        (
            "{\"fields\":\n\n {\"a\":truf",
            "}}",
            syntax("expected ident"),
        ),
    ];
    for (before, after, kind) in cases {
        let error = convert(&format!("{before}{after}")).unwrap_err();
        assert_eq!(error.kind, kind, "{before}{after}");
        assert_eq!(error.offset + 1, before.len(), "{before}{after}");
    }
}

#[test]
fn text_that_ends_early_is_an_error_at_its_end() {
    let text = r#"{"_id":"x","fields":{"a":[1,{"b":"c"}],"d":null}}"#;
    for len in 0..text.len() {
        let error = convert(&text[..len]).unwrap_err();
        assert!(matches!(error.kind, Kind::Syntax(_)), "{len}: {error}");
        assert_eq!(error.offset, len);
    }
}

#[test]
fn an_error_names_the_id_if_it_was_read() {
    let id_of = |text: &str| convert(text).unwrap_err().id;
    assert_eq!(
        id_of(r#"{"_id":"u\n1","fields":{"a":1e999}}"#).unwrap(),
        "u\n1"
    );
    assert_eq!(id_of(r#"{"_id":"u","fields":7}"#).unwrap(), "u");
    assert_eq!(
        id_of(r#"{"fields":{"a":{"b":1}},"_id":"late","fields":{}}"#).unwrap(),
        "late"
    );
    assert_eq!(
        id_of(r#"{"_id":"507F1F77bcf86cd799439011","fields":{"_id":1}}"#).unwrap(),
        "507f1f77bcf86cd799439011"
    );
    assert_eq!(id_of(r#"{"fields":{"a":1e999},"_id":"unread"}"#), None);
    assert_eq!(id_of(r#"{"_id":"","fields":{"a":1e999}}"#), None);
    assert_eq!(id_of(r#"{"_id":"","fields":{"_id":"inner"}}"#), None);
}

#[test]
fn a_hundred_levels_are_the_limit() {
    assert!(convert(&nested(100)).is_ok());
    let error = convert(&nested(101)).unwrap_err();
    assert_eq!(error.kind, Kind::TooDeep);
    assert_eq!(error.id.as_deref(), Some("x"));
    // Deep enough for serde_json's own limit, and for a stack without one.
    assert_eq!(convert(&nested(200_000)).unwrap_err().kind, Kind::TooDeep);
    let mut objects = String::from(r#"{"type":"Point"}"#);
    for _ in 0..98 {
        objects = format!(r#"{{"type":"Point","o":{objects}}}"#);
    }
    assert!(convert(&format!(r#"{{"fields":{{"o":{objects}}}}}"#)).is_ok());
    objects = format!(r#"{{"type":"Point","o":{objects}}}"#);
    let error = convert(&format!(r#"{{"fields":{{"o":{objects}}}}}"#)).unwrap_err();
    assert_eq!(error.kind, Kind::TooDeep);
}

#[test]
fn keys_that_are_not_carried_over_may_be_nested_deeply() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let (_, converted) = convert(&format!(r#"{{"_id":"x","extra":{deep}}}"#)).unwrap();
    assert_eq!(converted.unknown_keys, 1);
}

#[test]
fn sixteen_mebibytes_are_the_limit() {
    // size, _id element (5 + 4 + 2), payload element (3 + 4 + text + 1), terminator
    let around = 4 + 11 + 8 + 1;
    let text = |len: usize| format!(r#"{{"_id":"x","fields":{{"p":"{}"}}}}"#, "y".repeat(len));
    let (document, _) = convert(&text(MAX_DOCUMENT_BYTES - around)).unwrap();
    assert_eq!(document.len(), MAX_DOCUMENT_BYTES);
    let error = convert(&text(MAX_DOCUMENT_BYTES - around + 1)).unwrap_err();
    assert_eq!(
        error.kind,
        Kind::TooLarge {
            size: MAX_DOCUMENT_BYTES + 1
        }
    );
    assert_eq!(error.id.as_deref(), Some("x"));
}

#[test]
fn a_small_text_cannot_grow_without_bound() {
    // Two bytes of text are more than ten of BSON; four million of them would take 60 MB.
    let text = format!(
        r#"{{"_id":"x","fields":{{"a":[{}1]}}}}"#,
        "1,".repeat(4_000_000)
    );
    let mut out = Vec::new();
    let error = JsonConverter::new(LITERAL)
        .convert(&text, &CONTEXT, &mut out)
        .unwrap_err();
    assert!(matches!(error.kind, Kind::TooLarge { .. }));
    assert!(
        out.capacity() <= 4 * MAX_DOCUMENT_BYTES,
        "{}",
        out.capacity()
    );
}

#[test]
fn replaced_values_do_not_count_against_the_size() {
    let big = "x".repeat(1_000_000);
    let mut text = String::from(r#"{"_id":"x","fields":{"first":1"#);
    for _ in 0..40 {
        write!(text, r#","a":"{big}""#).unwrap();
    }
    text.push_str("}}");
    let (document, _) = convert(&text).unwrap();
    assert!(document.len() < 1_000_100);
}

#[test]
fn a_hundred_thousand_fields_take_no_quadratic_time() {
    let begun = std::time::Instant::now();
    let big = "x".repeat(1_000_000);
    // Names in descending order, each of them twice, behind a large value that is replaced too.
    let mut text = format!(r#"{{"_id":"x","fields":{{"zz":"{big}""#);
    for round in 0..2 {
        for number in (0..100_000).rev() {
            write!(text, r#","f{number:06}":{round}"#).unwrap();
        }
    }
    write!(text, r#","zz":{}0{}}}}}"#, "[".repeat(50), "]".repeat(50)).unwrap();
    let (document, _) = convert(&text).unwrap();
    assert_eq!(RawDocument::trusted(&document).elements().count(), 100_002);
    // One name, a hundred thousand times, behind a large value that stays.
    let mut text = format!(r#"{{"_id":"x","fields":{{"zz":"{big}""#);
    for number in 0..100_000 {
        write!(text, r#","a":{number}"#).unwrap();
    }
    text.push_str("}}");
    let (document, _) = convert(&text).unwrap();
    assert_eq!(RawDocument::trusted(&document).elements().count(), 3);
    // Far more than it takes, far less than comparing each with each would.
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}
