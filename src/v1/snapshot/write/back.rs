//! What a document comes back as, from a snapshot in the exact form: the rules that `loss` counts
//! by, put to the test on what was read.

use super::go;
use super::loss::{is_hex, names_point};
use crate::document::ID_FIELD;
use crate::document::bson::{ObjectId, RawDocument, RawValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A document's `_id` as the snapshot has it and its readers tell it from others: 24 hex digits,
/// which they take for an ObjectID, in lower case. Empty where there is none.
#[must_use]
pub fn printed_id(document: RawDocument<'_>) -> String {
    let mut text = Vec::new();
    if let Some(id) = document.get(ID_FIELD) {
        go::print(id, &mut text);
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    match ObjectId::from_hex(text.as_bytes()) {
        Some(id) => id.to_string(),
        None => text,
    }
}

/// True if `back` is what `original` comes back as: equal, but for what the format loses.
#[must_use]
pub fn comes_back_as(original: RawDocument<'_>, back: RawDocument<'_>) -> bool {
    let mut elements = back.elements();
    let printed = printed_id(original);
    let is_same_id = match elements.next() {
        // An empty one is no `_id` to its readers, which generate one.
        Some((ID_FIELD, id)) if printed.is_empty() => matches!(id, RawValue::ObjectId(_)),
        Some((ID_FIELD, RawValue::ObjectId(id))) => id.to_string() == printed,
        Some((ID_FIELD, RawValue::String(text))) => text == printed && !is_hex(text),
        _ => false,
    };
    let fields = original.elements().filter(|(name, _)| *name != ID_FIELD);
    is_same_id && same_elements(fields, elements, false)
}

/// Recursion is bounded by the depth of documents.
fn same_elements<'a, 'b>(
    mut original: impl Iterator<Item = (&'a str, RawValue<'a>)>,
    mut back: impl Iterator<Item = (&'b str, RawValue<'b>)>,
    in_point: bool,
) -> bool {
    loop {
        match (original.next(), back.next()) {
            (None, None) => return true,
            (Some((name, value)), Some((back_name, back_value)))
                if name == back_name && same_value(value, back_value, in_point) => {}
            _ => return false,
        }
    }
}

fn same_value(original: RawValue<'_>, back: RawValue<'_>, in_point: bool) -> bool {
    let is_double = |number: f64| matches!(back, RawValue::Double(back) if same(back, number));
    #[expect(
        clippy::cast_precision_loss,
        reason = "inside a Point LauraDB makes every number a double"
    )]
    let is_integer = |number: i64| match in_point {
        true => is_double(number as f64),
        false => back == RawValue::Int64(number),
    };
    match original {
        RawValue::Double(number) if !number.is_finite() => back == RawValue::Null,
        RawValue::Double(number) => is_double(number),
        RawValue::Int32(number) => is_integer(i64::from(number)),
        RawValue::Int64(number) | RawValue::Timestamp(number) => is_integer(number),
        RawValue::String(text) => is_text(text, back, in_point),
        RawValue::Binary(bytes) => is_text(&STANDARD.encode(bytes), back, in_point),
        RawValue::ObjectId(id) => is_text(&id.to_string(), back, in_point),
        RawValue::Boolean(_) | RawValue::Null => original == back,
        RawValue::Array(array) => match back {
            RawValue::Array(back) => same_elements(array.elements(), back.elements(), in_point),
            _ => false,
        },
        RawValue::Document(document) => match back {
            RawValue::Document(back) => same_elements(
                document.elements(),
                back.elements(),
                in_point || names_point(document),
            ),
            _ => false,
        },
    }
}

/// Base64 of 18 bytes has 24 digits, too.
fn is_text(text: &str, back: RawValue<'_>, in_point: bool) -> bool {
    match ObjectId::from_hex(text.as_bytes()) {
        Some(id) if !in_point => back == RawValue::ObjectId(id),
        _ => back == RawValue::String(text),
    }
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::bson::OwnedDocument;

    fn bson(text: &str) -> Vec<u8> {
        let mut bson = Vec::new();
        crate::document::ejson::parse_document(text, &mut bson).unwrap();
        bson
    }

    fn comes_back(original: &str, back: &str) -> bool {
        let (original, back) = (bson(original), bson(back));
        comes_back_as(RawDocument::trusted(&original), RawDocument::trusted(&back))
    }

    #[test]
    fn only_what_the_format_loses_may_differ() {
        let hex = "507f1f77bcf86cd799439011";
        let oid = format!(r#"{{"$oid":"{hex}"}}"#);
        let values = [
            (r#"{"$numberInt":"5"}"#, r#"{"$numberLong":"5"}"#, true),
            (r#"{"$numberInt":"5"}"#, r#"{"$numberLong":"6"}"#, false),
            (r#"{"$numberInt":"5"}"#, r#"{"$numberDouble":"5.0"}"#, false),
            (r#"{"$numberDouble":"NaN"}"#, "null", true),
            (r#"{"$numberDouble":"5.0"}"#, "null", false),
            (
                r#"{"$numberDouble":"-0.0"}"#,
                r#"{"$numberDouble":"0.0"}"#,
                false,
            ),
            (
                r#"{"$timestamp":{"t":0,"i":7}}"#,
                r#"{"$numberLong":"7"}"#,
                true,
            ),
            (
                r#"{"$binary":{"base64":"AQI=","subType":"00"}}"#,
                r#""AQI=""#,
                true,
            ),
            (
                r#"{"$binary":{"base64":"AQI=","subType":"00"}}"#,
                r#""AQM=""#,
                false,
            ),
            (r#""507f1f77bcf86cd799439011""#, &oid, true),
            (
                r#""507f1f77bcf86cd799439011""#,
                r#""507f1f77bcf86cd799439011""#,
                false,
            ),
            (&oid, &oid, true),
            (r#"[{"a":"x"}]"#, r#"[{"a":"x"}]"#, true),
            (r#"[{"a":"x"}]"#, "[{}]", false),
            (
                r#"{"type":"Point","n":{"$numberLong":"3"},"o":{"$oid":"507f1f77bcf86cd799439011"}}"#,
                r#"{"type":"Point","n":{"$numberDouble":"3.0"},"o":"507f1f77bcf86cd799439011"}"#,
                true,
            ),
        ];
        for (original, back, expected) in values {
            let of = |value: &str| format!(r#"{{"_id":"i","v":{value}}}"#);
            assert_eq!(
                comes_back(&of(original), &of(back)),
                expected,
                "{original} as {back}"
            );
        }
    }

    #[test]
    fn ids_come_back_as_they_are_printed() {
        let cases = [
            (r#"{"_id":{"$numberLong":"7"}}"#, r#"{"_id":"7"}"#, true),
            (r#"{"_id":{"$numberLong":"7"}}"#, r#"{"_id":"8"}"#, false),
            (r#"{"a":"x","_id":"7"}"#, r#"{"_id":"7","a":"x"}"#, true),
            (r#"{"_id":"7","a":"x"}"#, r#"{"_id":"7"}"#, false),
            (r#"{"_id":"7"}"#, r#"{"_id":"7","a":"x"}"#, false),
            (
                r#"{"_id":"507F1F77BCF86CD799439011"}"#,
                r#"{"_id":{"$oid":"507f1f77bcf86cd799439011"}}"#,
                true,
            ),
            (
                r#"{"_id":""}"#,
                r#"{"_id":{"$oid":"507f1f77bcf86cd799439011"}}"#,
                true,
            ),
            (r#"{"_id":""}"#, r#"{"_id":""}"#, false),
        ];
        for (original, back, expected) in cases {
            assert_eq!(comes_back(original, back), expected, "{original} as {back}");
        }
    }

    #[test]
    fn printed_ids_collide_across_types() {
        let printed = |id: RawValue<'_>| {
            let document: OwnedDocument = [(ID_FIELD, id)].into_iter().collect();
            printed_id(document.as_raw())
        };
        assert_eq!(printed(RawValue::Int64(5)), printed(RawValue::String("5")));
        assert_eq!(
            printed(RawValue::String("507F1F77BCF86CD799439011")),
            printed(RawValue::String("507f1f77bcf86cd799439011"))
        );
        assert_ne!(
            printed(RawValue::String("A")),
            printed(RawValue::String("a"))
        );
    }
}
