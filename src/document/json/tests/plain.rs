//! The plain reader against serde_json: what the one takes, the other reads alike.

use super::*;
use proptest::prelude::*;
use proptest::sample::select;

fn read(text: &str, plain: bool) -> Option<(Vec<u8>, usize)> {
    read_after(&mut Scratch::default(), text, plain)
}

/// With what documents before have left.
fn read_after(scratch: &mut Scratch, text: &str, plain: bool) -> Option<(Vec<u8>, usize)> {
    scratch.clear();
    let mut out = Vec::new();
    let mut state = State::new(InferTypes::default(), scratch, &mut out);
    let text_bytes = if plain {
        state.read_passes(|state| state.read_plain(text)).ok()
    } else {
        state.read_passes(|state| state.read_document(text)).ok()
    }?;
    Some((out, text_bytes))
}

/// True if the plain reader takes the text.
fn agree(text: &str) -> bool {
    let plain = read(text, true);
    if plain.is_some() {
        assert_eq!(plain, read(text, false), "{text}");
    }
    plain.is_some()
}

pub(super) const SCALARS: [&str; 56] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "7",
    "-12",
    "01",
    "-",
    "1.5",
    "-2.5e-3",
    "1e400",
    "0.1",
    "-0.0",
    "00.5",
    ".5",
    "123456789.012345",
    "9007199254740993.5",
    "0.000000000000001",
    "0.0000000000000000000000123",
    "72057594037927945.25",
    r#""fifteen bytes 15""#,
    r#""a string that is far longer than what is copied step by step, which is 64 bytes: 
""#,
    r#""a string that is far longer than what is copied step by step, which is 64 bytes""#,
    "1.",
    "999999999999999999",
    "-999999999999999999",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    r#""""#,
    r#""Point""#,
    r#""user_123456@example""#,
    r#""seven77""#,
    r#""eight888""#,
    r#""é ü 😀 \u0000""#,
    r#""a\"b\\""#,
    r#""\ud83d\ude00""#,
    r#""\ud83d""#,
    r#""\u003cb\u003e of more than sixteen bytes \/ and \\ \b\f\n\r\t behind it""#,
    r#""exactly twenty-four\u0020abc""#,
    r#""\u0030123456789abcdef01234567""#,
    r#""\u+041""#,
    r#""\u00g0""#,
    r#""\u00""#,
    r#""a string of some length \u0e17 \uFFFF \udc00""#,
    r#""ends in one \""#,
    "68.34000000000003",
    "-123456789012345678901234567890.123456789012345678901234567890",
    "0.30000000000000004",
    "2.2250738585072011e-308",
    r#""\x""#,
    "\"tab\there\"",
    "\"bell\u{7}\"",
    r#""0123456789abcdef01234567""#,
    "nul",
];

const NAMES: [&str; 11] = [
    r#""a""#,
    r#""b""#,
    r#""type""#,
    r#""_id""#,
    r#""a\u0062c""#,
    r#""z\u0000""#,
    r#""coordinates""#,
    r#""thirteen name""#,
    r#""a name of twenty-nine letters""#,
    r#""a name of thirty letters, more""#,
    "x",
];

fn json() -> impl Strategy<Value = String> {
    let space = || select(vec!["", "", "", " ", "\n\t\r ", "\u{b}"]);
    let scalar =
        (space(), select(SCALARS.to_vec())).prop_map(|(space, text)| space.to_owned() + text);
    scalar.prop_recursive(4, 40, 5, move |inner| {
        let field = (select(NAMES.to_vec()), space(), inner.clone());
        let field = field.prop_map(|(name, space, value)| format!("{name}{space}:{value}"));
        let separator = || select(vec![",", ",", ",", ",", " , ", ",,", ""]);
        let list = |items: Vec<String>, separator: &str, ends: [&str; 2]| {
            format!("{}{}{}", ends[0], items.join(separator), ends[1])
        };
        prop_oneof![
            (prop::collection::vec(inner, 0..5), separator())
                .prop_map(move |(items, separator)| list(items, separator, ["[", " ]"])),
            (prop::collection::vec(field, 0..5), separator())
                .prop_map(move |(items, separator)| list(items, separator, ["{", "}"])),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_plain_reads_as_serde_json_reads_it(
        fields in json(),
        end in select(vec!["}", " } ,", "", ",}", ",\"more\":1}", "]"]),
        cut in 0..400_usize,
    ) {
        let text = format!(r#"{{"_id" :"x","fields":{fields}{end}"#);
        agree(&text);
        let cut = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
        agree(&text[..cut.unwrap_or(0)]);
    }
}

proptest! {
    #[test]
    fn what_came_before_does_not_show(
        documents in prop::collection::vec(json(), 1..6),
        order in prop::collection::vec(0..6_usize, 12),
    ) {
        let mut scratch = Scratch::default();
        for number in order {
            let fields = &documents[number % documents.len()];
            let text = format!(r#"{{"_id":"x","fields":{fields}}}            "#);
            if let Some(plain) = read_after(&mut scratch, &text, true) {
                prop_assert_eq!(Some(plain), read(&text, false), "{}", text);
            }
        }
    }
}

#[test]
fn names_repeat_only_where_the_same_ones_came_before() {
    let mut scratch = Scratch::default();
    for fields in [
        r#"{"a":{"b":1},"b":2}"#,
        r#"{"a":1,"b":2,"b":3}"#,
        r#"{"b":2,"a":{"b":1,"a":1,"b":7}}"#,
        r#"{"a":[{"b":1,"c":2},{"b":1,"b":2}],"c":1,"b":2,"a":3}"#,
        r#"{"a":[{"b":1,"c":2},{"c":1,"b":2,"c":3}],"a":[],"b":2}"#,
    ] {
        let text = format!(r#"{{"_id":"x","fields":{fields}}} and something behind it"#);
        for _ in 0..3 {
            let plain = read_after(&mut scratch, &text, true);
            assert_eq!(plain, read(&text, false), "{text}");
        }
    }
    // More names than are remembered, and more than are compared one by one.
    for number in 0..3_000 {
        let name = |at: u64| (at * at * 7919 + number * 31) % 97;
        let fields: Vec<String> = (0..30)
            .map(|at| format!(r#""{}":{at}"#, name(at)))
            .collect();
        let text = format!(r#"{{"_id":"x","fields":{{{}}}}}"#, fields.join(","));
        let plain = read_after(&mut scratch, &text, true);
        assert_eq!(plain, read(&text, false), "{text}");
    }
}

#[test]
fn documents_as_lauradb_writes_them_are_plain() {
    for text in [
        r#"{"_id":"user_1","fields":{"age":20,"f":-1.25e3,"tags":["a","\u003cb\u003e"]}},"#,
        r#"{"_id":"","fields":null}"#,
        r#" { "fields" : { "a" : { "b" : [ ] , "c" : { } } } , "_id" : null } "#,
        r#"{"_id":"x","fields":{"p":{"coordinates":[1,2],"type":"Point"}}}"#,
    ] {
        assert!(agree(text), "{text}");
    }
}

#[test]
fn what_is_not_plain_is_left_to_serde_json() {
    for text in [
        r#"{"_id":"x","more":1}"#,
        r#"{"_id":"x","fields":{"a":1,}}"#,
        r#"{"_id":"x","fields":{"a":[1,]}}"#,
        r#"{"_id":"x","fields":{"a":01}}"#,
        r#"{"_id":"x","fields":{"a":"\"#,
        "[]",
        "",
    ] {
        assert!(!agree(text), "{text}");
    }
    assert!(!agree(&format!(
        r#"{{"fields":{{"a":{}"#,
        "[".repeat(100_000)
    )));
    // Beyond every double, and within.
    for (digits, is_plain) in [(310, false), (300, true)] {
        let number = format!("-{}.5", "9".repeat(digits));
        assert_eq!(
            agree(&format!(r#"{{"_id":"x","fields":{{"a":{number}}}}}"#)),
            is_plain
        );
    }
}
