//! The JSON text of a document in a snapshot.

use super::{SnapshotForm, go};
use crate::document::ID_FIELD;
use crate::document::bson::{RawDocument, RawValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Appends `{"_id":…,"fields":{…}}`.
pub(super) fn document(document: RawDocument<'_>, form: SnapshotForm, out: &mut Vec<u8>) {
    let mut id = Vec::new();
    if let Some(value) = document.get(ID_FIELD) {
        go::print(value, &mut id);
    }
    out.extend_from_slice(b"{\"_id\":");
    go::string(&String::from_utf8_lossy(&id), out);
    out.extend_from_slice(b",\"fields\":");
    let fields = document.elements().filter(|(name, _)| *name != ID_FIELD);
    object(fields, form, out);
    out.push(b'}');
}

fn object<'d>(
    fields: impl Iterator<Item = (&'d str, RawValue<'d>)>,
    form: SnapshotForm,
    out: &mut Vec<u8>,
) {
    out.push(b'{');
    let mut write = |position: usize, name: &str, field: RawValue<'_>| {
        if position > 0 {
            out.push(b',');
        }
        go::string(name, out);
        out.push(b':');
        value(field, form, out);
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
fn value(value: RawValue<'_>, form: SnapshotForm, out: &mut Vec<u8>) {
    match value {
        RawValue::Double(number) if !number.is_finite() => out.extend_from_slice(b"null"),
        RawValue::Double(number) => {
            go::double(number, out);
            if form == SnapshotForm::Exact && super::loss::reads_as_integer(number) {
                out.extend_from_slice(b".0");
            }
        }
        RawValue::String(text) => go::string(text, out),
        RawValue::Document(document) => object(document.elements(), form, out),
        RawValue::Array(array) => {
            out.push(b'[');
            for (position, (_, element)) in array.elements().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                self::value(element, form, out);
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
