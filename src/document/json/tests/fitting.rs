//! Values at the edges of what is read in one step, in documents that have a pattern.

use super::patterns::fits;
use super::*;

/// A document with a value among others, and what follows it in the file.
fn document(value: &str) -> String {
    format!(
        "{{\"_id\":\"an id\",\"fields\":{{\"a\":\"before\",\"name\":{value},\"z\":[\"behind\"]}}}},\
         {{\"_id\":\"the next one of the documents in the file\",\"fields\":{{\"a\":1}}}}"
    )
}

/// Whether a text fits the pattern of another one, which gives what it gives alone in any case.
fn fits_after(first: &str, text: &str) -> bool {
    let mut converter = JsonConverter::new(InferTypes::default());
    assert!(!fits(&mut converter, first));
    fits(&mut converter, text)
}

fn value_fits(value: &str) -> bool {
    fits_after(&document("null"), &document(value))
}

#[test]
fn strings_of_every_length() {
    for length in 0..80 {
        for unit in ["x", "é", "7", "g"] {
            let text = unit.repeat(length);
            assert!(value_fits(&format!("\"{text}\"")), "{text}");
            assert!(value_fits(&format!("[\"{text}\",1,\"{text}\"]")), "{text}");
        }
    }
}

#[test]
fn something_special_at_every_place_of_a_string() {
    for special in ["\\\"", "\\\\", "\\n", "\\u0041", "é", "{", "\u{7f}"] {
        for before in 0..70 {
            for behind in [0, 1, 15, 16, 40] {
                let text = format!("{}{special}{}", "x".repeat(before), "y".repeat(behind));
                assert!(value_fits(&format!("\"{text}\"")), "{text}");
                assert!(value_fits(&format!("[\"{text}\"]")), "{text}");
            }
        }
    }
    for wrong in ["\n", "\0", "\\", "\\x", "\"", "\\ud800"] {
        for before in 0..70 {
            value_fits(&format!("\"{}{wrong}\"", "x".repeat(before)));
            value_fits(&format!("[\"{}{wrong}y\"]", "x".repeat(before)));
        }
    }
}

#[test]
fn ids_at_every_place() {
    let hex = "0123456789abcdefABCDEF01";
    assert!(value_fits(&format!("\"{hex}\"")));
    assert!(value_fits(&format!("[\"{hex}\",\"{hex}0\"]")));
    for at in 0..hex.len() {
        let text = format!("{}g{}", &hex[..at], &hex[at + 1..]);
        assert!(value_fits(&format!("[\"{text}\"]")), "{text}");
        assert!(value_fits(&format!("\"{text}\"")), "{text}");
    }
    for id in [
        "\"a\"",
        &format!("\"{hex}\""),
        "\"\\u0041\"",
        "\"\"",
        "7",
        "null",
    ] {
        let text = document("1").replace("\"an id\"", id);
        let is_id = id.len() > 2 && id != "null";
        assert_eq!(fits_after(&document("2"), &text), is_id, "{id}");
    }
}

#[test]
fn integers_of_every_length() {
    for digits in 0..24 {
        for number in ["1".repeat(digits), "9".repeat(digits), "0".repeat(digits)] {
            for sign in ["", "-", "+"] {
                for behind in ["", " ", ".5", ".", "e1", "E", "x", "\"", "é"] {
                    let value = format!("{sign}{number}{behind}");
                    let fits = value_fits(&value);
                    let is_usual = digits > 0 && !number.starts_with("00");
                    let is_usual = is_usual && sign != "+" && ["", ".5", "e1"].contains(&behind);
                    assert_eq!(fits, is_usual, "{value}");
                    value_fits(&format!("[{value},{value}]"));
                }
            }
        }
    }
    for number in 0..2000 {
        assert!(value_fits(&number.to_string()));
    }
    for byte in (0..0x80_u8).filter(|byte| !byte.is_ascii_digit()) {
        for digits in 0..9 {
            value_fits(&format!("{}{}", "5".repeat(digits), char::from(byte)));
        }
    }
}

#[test]
fn arrays_of_every_length() {
    for length in 0..40 {
        for element in ["\"a\"", "12", "1.5", "null", "true", "[]", "{}", "\"\\n\""] {
            let elements = vec![element; length];
            assert!(value_fits(&format!("[{}]", elements.join(","))));
            assert!(value_fits(&format!("[ {} ]", elements.join(" , "))));
            value_fits(&format!("[{},]", elements.join(",")));
            value_fits(&format!("[{}", elements.join(",")));
            value_fits(&format!("[{}}}", elements.join(",")));
            let last = [elements, vec!["\"a string that is longer than others\""]].concat();
            assert!(value_fits(&format!("[{}]", last.join(","))));
        }
    }
}

#[test]
fn names_of_every_length() {
    for length in (1..70).chain(240..270) {
        let name = "n".repeat(length);
        let text = |value: &str| {
            document(value).replace("name", &name).replace(
                "\"z\":[\"behind\"]",
                &format!("\"{name}z\":{{\"z\":{value}}}"),
            )
        };
        let fits = fits_after(&text("1"), &text("\"x\""));
        assert_eq!(fits, length <= 245, "{length}");
    }
}

#[test]
fn texts_that_end_anywhere() {
    for value in [
        "\"short\"",
        "[\"a\",\"b\"]",
        "123",
        "{\"b\":{\"c\":\"d\"}}",
        "true",
    ] {
        let text = document(value);
        for end in 0..text.len() {
            fits_after(&document(value), &text[..end]);
        }
    }
}

#[test]
fn documents_larger_than_what_is_put_together_at_once() {
    let fields = |count: usize, value: &str| {
        let fields = (0..count).map(|number| format!("\"field{number}\":{value}"));
        fields.collect::<Vec<_>>().join(",")
    };
    for count in [1, 50, 150, 155, 160, 165, 170, 175, 180, 185, 190, 600] {
        for value in ["\"abcdef\"", "123", "[\"a\",\"b\",\"c\"]", "null"] {
            let text = |value: &str| {
                let fields = fields(count, value);
                let object = format!("{{\"o\":{{{fields}}},{fields},\"type\":\"Point\"}}");
                let object = format!("{{\"o\":{object},{fields}}}");
                document(&object)
            };
            assert!(fits_after(&text("1"), &text(value)), "{count} {value}");
        }
    }
}

#[test]
fn a_document_that_is_too_large_is_bad_with_a_pattern_as_well() {
    let text = |length| document(&format!("\"{}\"", "x".repeat(length)));
    for length in [MAX_DOCUMENT_BYTES - 200, MAX_DOCUMENT_BYTES] {
        let is_good = convert(&text(length)).is_ok();
        assert_eq!(is_good, length < MAX_DOCUMENT_BYTES);
        fits_after(&text(1), &text(length));
    }
}
