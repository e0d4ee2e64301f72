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

/// The value of a document with a pattern, as another converter reads it alone.
fn double_of(text: &str) -> Option<f64> {
    let mut converter = JsonConverter::new(InferTypes::default());
    let mut out = Vec::new();
    for value in ["null", text] {
        out.clear();
        converter
            .convert(&document(value), &CONTEXT, &mut out)
            .unwrap();
    }
    match RawDocument::trusted(&out).get("name") {
        Some(RawValue::Double(double)) => Some(double),
        _ => None,
    }
}

#[test]
fn fractions_are_the_nearest_doubles_with_any_number_of_digits() {
    let mut seed = 7_u64;
    for round in 0..4_000_usize {
        let (digits, before) = (2 + round % 21, 1 + round / 21 % 19);
        let mut text = String::new();
        for digit in 0..digits {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = (seed >> 33) % 10;
            let is_first = digit == 0 && before > 1;
            write!(text, "{}", if is_first { number.max(1) } else { number }).unwrap();
        }
        text.insert(before.min(digits - 1), '.');
        for text in [text.clone(), format!("-{text}")] {
            let nearest: f64 = text.parse().unwrap();
            let double = double_of(&text).map(f64::to_bits);
            assert_eq!(double, Some(nearest.to_bits()), "{text}");
            assert!(value_fits(&format!("[{text},{text}]")), "{text}");
        }
    }
    // Halfway between two doubles, and next to that.
    for text in [
        "9007199254740993.0",
        "9007199254740993.5",
        "9007199254740992.9",
        "9007199254740995.0",
        "90071992547409.930",
        "45035996273704961.5",
        "450359962737049.615",
        "4503599627370497.50",
        "4503599627370497.51",
        "4503599627370497.49",
        "4503599627370496.50",
        "0.00000000000000001",
        "0.99999999999999999",
        "99999999999999999.9",
        "9.99999999999999999",
        "0.999999999999999999",
        "1.00000000000000000",
        "0.100000000000000000",
    ] {
        let nearest: f64 = text.parse().unwrap();
        let double = double_of(text).map(f64::to_bits);
        assert_eq!(double, Some(nearest.to_bits()), "{text}");
    }
}

#[test]
fn escapes_at_every_place_of_a_string_that_is_put_together_elsewhere() {
    for escape in [
        "\\u0000",
        "\\u007f",
        "\\u0080",
        "\\u07ff",
        "\\u0800",
        "\\uFfFf",
        "\\ud7ff",
        "\\ue000",
        "\\/",
        "\\b\\f\\n\\r\\t",
        "\\\\\\\"",
    ] {
        for before in 0..40 {
            for behind in [0, 1, 15, 16, 40] {
                let text = format!("{}{escape}{}", "é".repeat(before), "y".repeat(behind));
                assert!(value_fits(&format!("\"{text}\"")), "{text}");
            }
        }
    }
    for wrong in [
        "\\u", "\\u12", "\\u+041", "\\u004g", "\\U0041", "\\ud800", "\\udfff", "\\u00é",
    ] {
        for before in [0, 20, 40] {
            value_fits(&format!("\"{}{wrong}\"", "x".repeat(before)));
            value_fits(&format!("\"{}{wrong}ABCDEF\"", "x".repeat(before)));
        }
    }
    // An ObjectID whose digits are escaped is one for the visitors.
    assert!(value_fits("\"\\u0030123456789abcdef01234567\""));
    assert!(value_fits("\"\\u0030123456789abcdef0123456g\""));
}

#[test]
fn strings_of_about_the_length_of_what_is_put_together_at_once() {
    for length in (3_950..4_110).chain([8_192, 20_000]) {
        let text = "x".repeat(length);
        assert!(value_fits(&format!("\"{text}\"")), "{length}");
        assert!(value_fits(&format!("\"{text}\\u00e9\"")), "{length}");
    }
}
