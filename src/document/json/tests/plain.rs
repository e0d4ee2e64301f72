//! The plain reader against serde_json: what the one takes, the other reads alike.

use super::*;
use proptest::prelude::*;
use proptest::sample::select;

fn read(text: &str, plain: bool) -> Option<(Vec<u8>, usize)> {
    let (mut scratch, mut out) = (Scratch::default(), Vec::new());
    let mut state = State::new(InferTypes::default(), &mut scratch, &mut out);
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

const SCALARS: [&str; 32] = [
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
    r#""\x""#,
    "\"tab\there\"",
    "\"bell\u{7}\"",
    r#""0123456789abcdef01234567""#,
    "nul",
];

const NAMES: [&str; 8] = [
    r#""a""#,
    r#""b""#,
    r#""type""#,
    r#""_id""#,
    r#""a\u0062c""#,
    r#""z\u0000""#,
    r#""coordinates""#,
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
}
