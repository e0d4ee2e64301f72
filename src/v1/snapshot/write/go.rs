//! Text as Go writes it: `encoding/json`'s strings and numbers, and `fmt`'s `%v`.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions within a string that is in memory"
)]

use crate::document::bson::{RawDocument, RawValue};
use std::io::Write as _;

/// Appends a JSON string that is safe inside HTML.
pub(super) fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut plain_from = 0;
    for (at, character) in text.char_indices() {
        if !needs_escape(character) {
            continue;
        }
        out.extend_from_slice(text.get(plain_from..at).unwrap_or_default().as_bytes());
        plain_from = at + character.len_utf8();
        let short = match character {
            '"' => b'"',
            '\\' => b'\\',
            '\u{8}' => b'b',
            '\u{c}' => b'f',
            '\n' => b'n',
            '\r' => b'r',
            '\t' => b't',
            _ => {
                append(out, format_args!("\\u{:04x}", u32::from(character)));
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.extend_from_slice(text.get(plain_from..).unwrap_or_default().as_bytes());
    out.push(b'"');
}

fn needs_escape(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{1f}' | '"' | '\\' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}'
    )
}

/// Appends valid JSON text with what is unsafe inside HTML escaped. Outside strings JSON has none of
/// these characters, so the text means the same.
pub(super) fn html_safe(json: &str, out: &mut Vec<u8>) {
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                append(out, format_args!("\\u{:04x}", u32::from(character)));
            }
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Appends a finite double as `encoding/json` does: the shortest digits, with an exponent below 1e-6
/// and from 1e21 on.
pub(super) fn double(number: f64, out: &mut Vec<u8>) {
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        exponent(number, 1, out);
    } else {
        append(out, format_args!("{number}"));
    }
}

/// The exponent gets a sign, and so many digits at least.
fn exponent(number: f64, digits: usize, out: &mut Vec<u8>) {
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    append(out, format_args!("{mantissa}e{sign}{exponent:0>digits$}"));
}

/// Appends an `_id` as Go's `%v` prints it, which is how LauraDB's backup writes it.
pub(super) fn print(value: RawValue<'_>, out: &mut Vec<u8>) {
    match value {
        RawValue::Double(number) => print_double(number, out),
        RawValue::String(text) => out.extend_from_slice(text.as_bytes()),
        RawValue::Document(document) => print_map(document, out),
        RawValue::Array(array) => print_list(array, out),
        RawValue::Binary(bytes) => {
            out.push(b'[');
            for (position, byte) in bytes.iter().enumerate() {
                let space = if position > 0 { " " } else { "" };
                append(out, format_args!("{space}{byte}"));
            }
            out.push(b']');
        }
        RawValue::ObjectId(id) => append(out, format_args!("{id}")),
        RawValue::Boolean(flag) => append(out, format_args!("{flag}")),
        RawValue::Null => out.extend_from_slice(b"<nil>"),
        RawValue::Int32(number) => append(out, format_args!("{number}")),
        RawValue::Timestamp(number) | RawValue::Int64(number) => {
            append(out, format_args!("{number}"));
        }
    }
}

fn print_double(number: f64, out: &mut Vec<u8>) {
    let size = number.abs();
    if number.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if number.is_infinite() {
        out.extend_from_slice(if number > 0.0 { b"+Inf" } else { b"-Inf" });
    } else if size != 0.0 && !(1e-4..1e6).contains(&size) {
        exponent(number, 2, out);
    } else {
        append(out, format_args!("{number}"));
    }
}

/// Maps print with their keys sorted.
fn print_map(document: RawDocument<'_>, out: &mut Vec<u8>) {
    let mut fields: Vec<_> = document.elements().collect();
    fields.sort_by_key(|(name, _)| *name);
    out.extend_from_slice(b"map[");
    for (position, (name, value)) in fields.into_iter().enumerate() {
        let space = if position > 0 { " " } else { "" };
        append(out, format_args!("{space}{name}:"));
        print(value, out);
    }
    out.push(b']');
}

fn print_list(array: RawDocument<'_>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (position, (_, value)) in array.elements().enumerate() {
        if position > 0 {
            out.push(b' ');
        }
        print(value, out);
    }
    out.push(b']');
}

pub(super) fn append(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok(), "writing to a Vec does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn doubles_are_gos() {
        let cases = [
            (0.0, "0", "0"),
            (-0.0, "-0", "-0"),
            (30.0, "30", "30"),
            (0.3, "0.3", "0.3"),
            (1e-5, "0.00001", "1e-05"),
            (1e-6, "0.000001", "1e-06"),
            (1e-7, "1e-7", "1e-07"),
            (-1.5e-9, "-1.5e-9", "-1.5e-09"),
            (5e-324, "5e-324", "5e-324"),
            (1e20, "100000000000000000000", "1e+20"),
            (1e21, "1e+21", "1e+21"),
            (
                f64::MAX,
                "1.7976931348623157e+308",
                "1.7976931348623157e+308",
            ),
            (
                9_223_372_036_854_775_808.0,
                "9223372036854776000",
                "9.223372036854776e+18",
            ),
            (123_456.5, "123456.5", "123456.5"),
            (1_234_567.0, "1234567", "1.234567e+06"),
        ];
        for (number, json, printed) in cases {
            assert_eq!(text(|out| double(number, out)), json);
            let print = text(|out| print(RawValue::Double(number), out));
            assert_eq!(print, printed);
        }
        assert_eq!(text(|out| print_double(f64::NAN, out)), "NaN");
        assert_eq!(text(|out| print_double(f64::INFINITY, out)), "+Inf");
    }

    #[test]
    fn strings_are_safe_inside_html() {
        let plain = "a\"\\\u{8}\u{c}\n\r\t\u{1}\u{7f}<>&\u{2028}\u{2029}é😀/";
        let expected =
            "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001\u{7f}\\u003c\\u003e\\u0026\\u2028\\u2029é😀/\"";
        assert_eq!(text(|out| string(plain, out)), expected);
        let json = serde_json::Value::from(plain).to_string();
        assert_eq!(text(|out| html_safe(&json, out)), expected);
    }
}
