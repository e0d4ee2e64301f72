//! From BSON to text.

use super::{DOCUMENT_KEY, GO_NAN_BITS, strings};
use crate::document::bson::{RawDocument, RawValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io::Write as _;

/// Appends a document as canonical Extended JSON, on one line.
pub fn write_document(document: RawDocument<'_>, out: &mut Vec<u8>) {
    let first = document.elements().next();
    if first.is_some_and(|(name, _)| name.starts_with('$')) {
        return write_listed(document, out);
    }
    out.push(b'{');
    for (position, (name, value)) in document.elements().enumerate() {
        separate(position, out);
        strings::write(name, out);
        out.push(b':');
        write_value(value, out);
    }
    out.push(b'}');
}

/// Appends a value as canonical Extended JSON. Recursion is bounded by the depth of documents.
pub fn write_value(value: RawValue<'_>, out: &mut Vec<u8>) {
    match value {
        RawValue::Double(number) => {
            out.extend_from_slice(b"{\"$numberDouble\":\"");
            write_double(number, out);
            out.extend_from_slice(b"\"}");
        }
        RawValue::String(text) => strings::write(text, out),
        RawValue::Document(document) => write_document(document, out),
        RawValue::Array(array) => {
            out.push(b'[');
            for (position, (_, element)) in array.elements().enumerate() {
                separate(position, out);
                write_value(element, out);
            }
            out.push(b']');
        }
        RawValue::Binary(bytes) => {
            out.extend_from_slice(b"{\"$binary\":{\"base64\":\"");
            out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
            out.extend_from_slice(b"\",\"subType\":\"00\"}}");
        }
        RawValue::ObjectId(id) => append(out, format_args!("{{\"$oid\":\"{id}\"}}")),
        RawValue::Boolean(true) => out.extend_from_slice(b"true"),
        RawValue::Boolean(false) => out.extend_from_slice(b"false"),
        RawValue::Null => out.extend_from_slice(b"null"),
        RawValue::Int32(number) => append(out, format_args!("{{\"$numberInt\":\"{number}\"}}")),
        RawValue::Int64(number) => append(out, format_args!("{{\"$numberLong\":\"{number}\"}}")),
        RawValue::Timestamp(seconds) => {
            let bits = seconds.cast_unsigned();
            let (high, low) = (bits >> 32, bits & 0xFFFF_FFFF);
            append(
                out,
                format_args!("{{\"$timestamp\":{{\"t\":{high},\"i\":{low}}}}}"),
            );
        }
    }
}

/// An `_id` for people: strings in quotes, `ObjectId("…")`, numbers plain; about 80 characters.
#[must_use]
pub fn display_id(id: RawValue<'_>) -> String {
    match id {
        RawValue::String(text) => {
            let mut shown = Vec::new();
            // Cutting first keeps the work small when someone has a megabyte for an `_id`.
            let cut = text.char_indices().nth(SHOWN_CHARACTERS);
            strings::write(
                cut.map_or(text, |(at, _)| text.get(..at).unwrap_or(text)),
                &mut shown,
            );
            if cut.is_some() {
                shown.pop();
                shown.extend_from_slice("…\"".as_bytes());
            }
            String::from_utf8(shown).unwrap_or_default()
        }
        RawValue::ObjectId(id) => format!("ObjectId(\"{id}\")"),
        RawValue::Int32(number) => number.to_string(),
        RawValue::Int64(number) | RawValue::Timestamp(number) => number.to_string(),
        RawValue::Double(number) => {
            let mut shown = Vec::new();
            write_double(number, &mut shown);
            String::from_utf8(shown).unwrap_or_default()
        }
        RawValue::Boolean(flag) => flag.to_string(),
        RawValue::Null => "null".to_owned(),
        RawValue::Binary(bytes) => {
            let shown = bytes.get(..SHOWN_CHARACTERS / 2).unwrap_or(bytes);
            let more = if shown.len() < bytes.len() { "…" } else { "" };
            format!("Binary(\"{}{more}\")", STANDARD.encode(shown))
        }
        RawValue::Document(_) | RawValue::Array(_) => {
            let mut text = Vec::new();
            write_value(id, &mut text);
            let text = String::from_utf8(text).unwrap_or_default();
            match text.char_indices().nth(SHOWN_CHARACTERS) {
                Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
                None => text,
            }
        }
    }
}

/// Characters of an `_id` that are shown.
const SHOWN_CHARACTERS: usize = 76;

/// A document whose first name begins with `$`.
fn write_listed(document: RawDocument<'_>, out: &mut Vec<u8>) {
    append(out, format_args!("{{\"{DOCUMENT_KEY}\":["));
    for (position, (name, value)) in document.elements().enumerate() {
        separate(position, out);
        out.push(b'[');
        strings::write(name, out);
        out.push(b',');
        write_value(value, out);
        out.push(b']');
    }
    out.extend_from_slice(b"]}");
}

fn separate(position: usize, out: &mut Vec<u8>) {
    if position > 0 {
        out.push(b',');
    }
}

/// The shortest text that reads back as the same double.
fn write_double(number: f64, out: &mut Vec<u8>) {
    if number.is_nan() {
        match number.to_bits() {
            GO_NAN_BITS => out.extend_from_slice(b"NaN"),
            bits => append(out, format_args!("NaN:{bits:016x}")),
        }
    } else if number.is_infinite() {
        let sign: &[u8] = if number < 0.0 { b"-" } else { b"" };
        out.extend_from_slice(sign);
        out.extend_from_slice(b"Infinity");
    } else {
        append(out, format_args!("{number:?}"));
    }
}

fn append(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok(), "writing to a Vec does not fail");
}
