//! Where a document's fields go: JSON as Go's `encoding/json` writes it, or BSON.

use laura_migrate::document::bson::{DocumentBuilder, ObjectId, RawValue};
use std::io::Write;

/// Takes fields in order. Inside arrays the names are ignored.
pub(crate) trait Sink {
    fn integer(&mut self, name: &str, value: i64);
    fn double(&mut self, name: &str, value: f64);
    fn string(&mut self, name: &str, value: &str);
    fn boolean(&mut self, name: &str, value: bool);
    fn null(&mut self, name: &str);
    /// JSON: 24 hex digits.
    fn object_id(&mut self, name: &str, value: ObjectId);
    fn open_document(&mut self, name: &str);
    fn open_array(&mut self, name: &str);
    fn close(&mut self);
}

/// Writes JSON to a buffer.
pub(crate) struct JsonSink<'b> {
    out: &'b mut Vec<u8>,
    /// For each open container, whether it is an array.
    open: Vec<bool>,
    needs_comma: bool,
}

impl<'b> JsonSink<'b> {
    /// Goes on inside an object whose `{` is written already.
    pub(crate) fn inside(out: &'b mut Vec<u8>) -> Self {
        Self {
            out,
            open: Vec::new(),
            needs_comma: false,
        }
    }

    fn name(&mut self, name: &str) {
        if self.needs_comma {
            self.out.push(b',');
        }
        self.needs_comma = true;
        if self.open.last() != Some(&true) {
            json_string(self.out, name);
            self.out.push(b':');
        }
    }

    fn text(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a Vec cannot fail.
        let _ = self.out.write_fmt(text);
    }

    fn open(&mut self, name: &str, is_array: bool) {
        self.name(name);
        self.out.push(if is_array { b'[' } else { b'{' });
        self.open.push(is_array);
        self.needs_comma = false;
    }
}

/// A string as Go writes it, which keeps it safe inside HTML.
pub(crate) fn json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text;
    while let Some((plain, special, after)) = split_special(rest) {
        out.extend_from_slice(plain.as_bytes());
        match special {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            // Writing to a Vec cannot fail.
            _ => drop(write!(out, "\\u{:04x}", u32::from(special))),
        }
        rest = after;
    }
    out.extend_from_slice(rest.as_bytes());
    out.push(b'"');
}

/// The text before the first character that needs an escape, that character, the text after it.
fn split_special(text: &str) -> Option<(&str, char, &str)> {
    let is_special = |char| {
        matches!(
            char,
            '"' | '\\' | '<' | '>' | '&' | '\0'..' ' | '\u{2028}' | '\u{2029}'
        )
    };
    let may_be_special =
        |byte: u8| byte < b' ' || matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&' | 0xE2);
    // Most strings pass this, and it is much faster than going by character.
    if !text.bytes().any(may_be_special) {
        return None;
    }
    let (at, special) = text.char_indices().find(|(_, char)| is_special(*char))?;
    let (plain, rest) = text.split_at_checked(at)?;
    Some((plain, special, rest.get(special.len_utf8()..)?))
}

impl Sink for JsonSink<'_> {
    fn integer(&mut self, name: &str, value: i64) {
        self.name(name);
        self.text(format_args!("{value}"));
    }

    /// Go's form where it needs no exponent: from 1e-6 to below 1e21.
    fn double(&mut self, name: &str, value: f64) {
        self.name(name);
        self.text(format_args!("{value}"));
    }

    fn string(&mut self, name: &str, value: &str) {
        self.name(name);
        json_string(self.out, value);
    }

    fn boolean(&mut self, name: &str, value: bool) {
        self.name(name);
        self.text(format_args!("{value}"));
    }

    fn null(&mut self, name: &str) {
        self.name(name);
        self.out.extend_from_slice(b"null");
    }

    fn object_id(&mut self, name: &str, value: ObjectId) {
        self.name(name);
        self.text(format_args!("\"{value}\""));
    }

    fn open_document(&mut self, name: &str) {
        self.open(name, false);
    }

    fn open_array(&mut self, name: &str) {
        self.open(name, true);
    }

    fn close(&mut self) {
        let is_array = self.open.pop() == Some(true);
        self.out.push(if is_array { b']' } else { b'}' });
        self.needs_comma = true;
    }
}

/// Writes BSON through a builder.
pub(crate) struct BsonSink<'b> {
    builder: DocumentBuilder<'b>,
    /// For each open container, the position of the next element if it is an array.
    open: Vec<Option<u32>>,
}

impl<'b> BsonSink<'b> {
    pub(crate) fn new(out: &'b mut Vec<u8>) -> Self {
        Self {
            builder: DocumentBuilder::new(out),
            open: Vec::new(),
        }
    }

    pub(crate) fn finish(self) {
        self.builder.finish();
    }

    /// The position that stands for a name inside arrays.
    fn position(&mut self) -> Option<String> {
        let next = self.open.last_mut()?.as_mut()?;
        let position = next.to_string();
        *next += 1;
        Some(position)
    }

    fn append(&mut self, name: &str, value: RawValue<'_>) {
        let position = self.position();
        self.builder
            .append(position.as_deref().unwrap_or(name), value);
    }
}

impl Sink for BsonSink<'_> {
    fn integer(&mut self, name: &str, value: i64) {
        self.append(name, RawValue::Int64(value));
    }

    fn double(&mut self, name: &str, value: f64) {
        self.append(name, RawValue::Double(value));
    }

    fn string(&mut self, name: &str, value: &str) {
        self.append(name, RawValue::String(value));
    }

    fn boolean(&mut self, name: &str, value: bool) {
        self.append(name, RawValue::Boolean(value));
    }

    fn null(&mut self, name: &str) {
        self.append(name, RawValue::Null);
    }

    fn object_id(&mut self, name: &str, value: ObjectId) {
        self.append(name, RawValue::ObjectId(value));
    }

    fn open_document(&mut self, name: &str) {
        let position = self.position();
        self.builder
            .open_document(position.as_deref().unwrap_or(name));
        self.open.push(None);
    }

    fn open_array(&mut self, name: &str) {
        let position = self.position();
        self.builder.open_array(position.as_deref().unwrap_or(name));
        self.open.push(Some(0));
    }

    fn close(&mut self) {
        self.builder.close();
        self.open.pop();
    }
}
