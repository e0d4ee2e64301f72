//! Keys as JSON for index statistics, and as text for messages.
//!
//! null, numbers (non-finite ones as strings), strings, ObjectID and binary as hex strings,
//! timestamps as numbers, composites as arrays. Strings are cut to 256 bytes at a character; what
//! is over 1024 bytes as JSON becomes null.

use super::StoredKeyRef;
use super::normal::KeyError;
use super::stored::decode_stored;
use super::value::KeyValue;
use std::fmt;
use std::fmt::Write as _;

const STRING_BYTES: usize = 256;
const JSON_BYTES: usize = 1024;
/// Strings and binary values are cut to this many bytes in messages.
const DISPLAY_BYTES: usize = 64;

/// One value as JSON, of whatever length it comes out.
pub(super) fn element(value: KeyValue<'_>) -> String {
    match value {
        KeyValue::Null => "null".to_owned(),
        KeyValue::Boolean(flag) => flag.to_string(),
        KeyValue::Int32(number) => number.to_string(),
        KeyValue::Int64(number) | KeyValue::Timestamp(number) => number.to_string(),
        KeyValue::Double(number) => match serde_json::Number::from_f64(number) {
            Some(number) => number.to_string(),
            None if number.is_nan() => "\"NaN\"".to_owned(),
            None if number > 0.0 => "\"Infinity\"".to_owned(),
            None => "\"-Infinity\"".to_owned(),
        },
        KeyValue::String(bytes) => json_string(cut(bytes, STRING_BYTES)),
        KeyValue::ObjectId(id) => format!("\"{id}\""),
        // One byte over the limit is enough to turn the whole into null.
        KeyValue::Binary(bytes) => hex(bytes.get(..JSON_BYTES).unwrap_or(bytes)),
    }
}

fn json_string(bytes: &[u8]) -> String {
    serde_json::Value::from(String::from_utf8_lossy(bytes)).to_string()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2).saturating_add(2));
    text.push('"');
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('"');
    text
}

/// At most `limit` bytes, whole characters.
fn cut(bytes: &[u8], limit: usize) -> &[u8] {
    let is_inside = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    let mut end = limit.min(bytes.len());
    // A character has at most four bytes; what is longer is no UTF-8 and is cut anywhere.
    for _ in 0..3 {
        if is_inside(end) && end > 0 {
            end = end.saturating_sub(1);
        }
    }
    bytes.get(..end).unwrap_or(bytes)
}

/// Puts the elements that `next` gives together; null if that is too long.
pub(super) fn values_json(
    composite: bool,
    mut next: impl FnMut() -> Result<Option<String>, KeyError>,
) -> Result<String, KeyError> {
    let mut json = String::new();
    if composite {
        json.push('[');
    }
    let mut separator = "";
    while let Some(element) = next()? {
        json.push_str(separator);
        json.push_str(&element);
        separator = ",";
    }
    if composite {
        json.push(']');
    }
    if json.len() > JSON_BYTES {
        json = "null".to_owned();
    }
    Ok(json)
}

/// A stored key as JSON for index statistics.
///
/// `None` for a composite key that was cut, whose other fields only its document has.
///
/// # Errors
/// The bytes are no key.
pub fn key_json(key: StoredKeyRef<'_>) -> Result<Option<String>, KeyError> {
    let decoded = decode_stored(key)?;
    if decoded.composite && !decoded.complete {
        return Ok(None);
    }
    let mut values = decoded.values.iter();
    values_json(decoded.composite, || {
        Ok(values.next().copied().map(element))
    })
    .map(Some)
}

fn display_value(f: &mut fmt::Formatter<'_>, value: KeyValue<'_>) -> fmt::Result {
    match value {
        KeyValue::String(bytes) if bytes.len() > DISPLAY_BYTES => {
            write!(f, "{}…", json_string(cut(bytes, DISPLAY_BYTES)))
        }
        KeyValue::Binary(bytes) if bytes.len() > DISPLAY_BYTES => {
            write!(f, "{}…", hex(bytes.get(..DISPLAY_BYTES).unwrap_or(bytes)))
        }
        value => f.write_str(&element(value)),
    }
}

impl fmt::Display for StoredKeyRef<'_> {
    /// For messages: as JSON, long strings shortened.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(decoded) = decode_stored(*self) else {
            return write!(f, "(a damaged key of type {})", self.key_type);
        };
        if !decoded.composite {
            return decoded
                .values
                .iter()
                .try_for_each(|value| display_value(f, *value));
        }
        let mut separator = "";
        f.write_str("[")?;
        for value in &decoded.values {
            f.write_str(separator)?;
            display_value(f, *value)?;
            separator = ",";
        }
        f.write_str(if decoded.complete { "]" } else { ",…]" })
    }
}
