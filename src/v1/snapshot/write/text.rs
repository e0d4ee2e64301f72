//! The JSON text of a document in a snapshot.

use super::{SnapshotForm, go};
use crate::document::ID_FIELD;
use crate::document::bson::{RawDocument, RawValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Appends an `_id` as LauraDB's backup prints it, Go's `%v`.
pub fn print_id(id: RawValue<'_>, out: &mut Vec<u8>) {
    go::print(id, out);
}

/// Appends a document as LauraDB's backup writes one that it has read from a page: as
/// [`SnapshotForm::Laura`], and every document inside an array as `{}`, whatever is in it. False if
/// LauraDB's backup fails on the document: JSON has no NaN and no infinity.
#[must_use]
pub fn backup_text(document: RawDocument<'_>, out: &mut Vec<u8>) -> bool {
    self::write(document, SnapshotForm::Laura, true, out);
    document
        .elements()
        .all(|(name, value)| name == ID_FIELD || is_finite(value, false))
}

fn is_finite(value: RawValue<'_>, in_array: bool) -> bool {
    match value {
        RawValue::Double(number) => number.is_finite(),
        RawValue::Document(_) if in_array => true,
        RawValue::Document(document) => document
            .elements()
            .all(|(_, value)| is_finite(value, false)),
        RawValue::Array(array) => array.elements().all(|(_, value)| is_finite(value, true)),
        _ => true,
    }
}

/// Appends `{"_id":…,"fields":{…}}`.
pub(super) fn document(document: RawDocument<'_>, form: SnapshotForm, out: &mut Vec<u8>) {
    write(document, form, false, out);
}

fn write(document: RawDocument<'_>, form: SnapshotForm, empties: bool, out: &mut Vec<u8>) {
    let mut id = Vec::new();
    if let Some(value) = document.get(ID_FIELD) {
        go::print(value, &mut id);
    }
    out.extend_from_slice(b"{\"_id\":");
    go::string(&String::from_utf8_lossy(&id), out);
    out.extend_from_slice(b",\"fields\":");
    let fields = document.elements().filter(|(name, _)| *name != ID_FIELD);
    object(fields, form, empties, out);
    out.push(b'}');
}

fn object<'d>(
    fields: impl Iterator<Item = (&'d str, RawValue<'d>)>,
    form: SnapshotForm,
    empties: bool,
    out: &mut Vec<u8>,
) {
    out.push(b'{');
    let mut write = |position: usize, name: &str, field: RawValue<'_>| {
        if position > 0 {
            out.push(b',');
        }
        go::string(name, out);
        out.push(b':');
        value(field, form, empties, out);
    };
    match form {
        SnapshotForm::Laura => {
            let mut fields: Vec<_> = fields.collect();
            fields.sort_by_key(|(name, _)| *name);
            for (position, (name, field)) in fields.into_iter().enumerate() {
                write(position, name, field);
            }
        }
        SnapshotForm::Exact => {
            for (position, (name, field)) in fields.enumerate() {
                write(position, name, field);
            }
        }
    }
    out.push(b'}');
}

/// Recursion is bounded by the depth of documents.
fn value(value: RawValue<'_>, form: SnapshotForm, empties: bool, out: &mut Vec<u8>) {
    match value {
        RawValue::Double(number) if !number.is_finite() => out.extend_from_slice(b"null"),
        RawValue::Double(number) => {
            go::double(number, out);
            if form == SnapshotForm::Exact && super::loss::reads_as_integer(number) {
                out.extend_from_slice(b".0");
            }
        }
        RawValue::String(text) => go::string(text, out),
        RawValue::Document(document) => object(document.elements(), form, empties, out),
        RawValue::Array(array) => {
            out.push(b'[');
            for (position, (_, element)) in array.elements().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                match element {
                    RawValue::Document(_) if empties => out.extend_from_slice(b"{}"),
                    element => self::value(element, form, empties, out),
                }
            }
            out.push(b']');
        }
        RawValue::Binary(bytes) => go::string(&STANDARD.encode(bytes), out),
        RawValue::ObjectId(id) => go::append(out, format_args!("\"{id}\"")),
        RawValue::Boolean(flag) => go::append(out, format_args!("{flag}")),
        RawValue::Null => out.extend_from_slice(b"null"),
        RawValue::Int32(number) => go::append(out, format_args!("{number}")),
        RawValue::Timestamp(number) | RawValue::Int64(number) => {
            go::append(out, format_args!("{number}"));
        }
    }
}
