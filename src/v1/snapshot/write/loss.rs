//! What the v1 format cannot carry: what a document would come back as, if it were written to a
//! snapshot and read again by this tool.

use super::SnapshotForm;
use crate::document::ID_FIELD;
use crate::document::bson::{ObjectId, RawDocument, RawValue};
use crate::document::time::parse_rfc3339;
use std::fmt::Write as _;

/// The kinds of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum LossKind {
    /// An `_id` that is neither a plain string nor an ObjectID, or not there: it comes back as the
    /// string that LauraDB prints for it, as an ObjectID, or generated.
    Id,
    /// `_id` does not stand first, or names are sorted that were not: the order changes.
    FieldOrder,
    /// A whole double below 2^63 comes back as int64.
    WholeDouble,
    /// NaN and the infinities become null; a NaN among them or not, JSON has none.
    NonFinite,
    /// int32 comes back as int64.
    Int32,
    /// A timestamp becomes its Unix seconds, an int64. (A string would make LauraDB panic.)
    Timestamp,
    /// Binary becomes a string of base64.
    Binary,
    /// A string of 24 hex digits comes back as an ObjectID.
    HexString,
    /// An integer inside a GeoJSON Point comes back as a double.
    PointInteger,
    /// An ObjectID inside a GeoJSON Point comes back as a string.
    PointObjectId,
    /// A string that parses as RFC 3339. It comes back unchanged, but LauraDB makes it a time when
    /// it restores the file, and panics when it stores that.
    TimeString,
    /// A partial index whose filter's constants are typed otherwise than by default.
    IndexInferTypes,
}

impl LossKind {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::Id,
        Self::FieldOrder,
        Self::WholeDouble,
        Self::NonFinite,
        Self::Int32,
        Self::Timestamp,
        Self::Binary,
        Self::HexString,
        Self::PointInteger,
        Self::PointObjectId,
        Self::TimeString,
        Self::IndexInferTypes,
    ];

    /// What happens, in a few words.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Id => "_ids become strings, ObjectIDs or new ones",
            Self::FieldOrder => "fields change their order",
            Self::WholeDouble => "whole doubles become int64",
            Self::NonFinite => "NaN and infinite doubles become null",
            Self::Int32 => "int32 becomes int64",
            Self::Timestamp => "timestamps become int64",
            Self::Binary => "binary values become base64 strings",
            Self::HexString => "strings of 24 hex digits become ObjectIDs",
            Self::PointInteger => "integers inside Points become doubles",
            Self::PointObjectId => "ObjectIDs inside Points become strings",
            Self::TimeString => "RFC 3339 strings, on which LauraDB panics when it restores them",
            Self::IndexInferTypes => "filters whose constants are typed otherwise than by default",
        }
    }

    /// False for what this tool reads back unchanged.
    #[must_use]
    pub fn changes_documents(self) -> bool {
        self != Self::TimeString
    }
}

/// A change and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// What happens.
    pub kind: LossKind,
    /// Dotted path of the field, array positions as numbers; empty for the document itself.
    pub path: String,
}

/// Tells whether a document would come back from a snapshot as it is, byte for byte.
///
/// # Errors
/// The first change.
pub fn lossless(document: RawDocument<'_>, form: SnapshotForm) -> Result<(), Loss> {
    let mut first = None;
    find(document, form, &mut |kind, path| {
        if first.is_none() && kind.changes_documents() {
            first = Some(Loss {
                kind,
                path: path.to_string(),
            });
        }
    });
    first.map_or(Ok(()), Err)
}

/// Reports every change, with its path.
pub(super) fn find(
    document: RawDocument<'_>,
    form: SnapshotForm,
    report: &mut dyn FnMut(LossKind, &Path<'_>),
) {
    let mut finder = Finder { form, report };
    finder.id(document);
    finder.fields(document, true, Within::Plain, &Path::ROOT);
}

/// A path, as a list from the innermost part out; it is only spelled out where it is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path<'a> {
    name: &'a str,
    outer: Option<&'a Self>,
}

impl Path<'_> {
    pub(super) const ROOT: Self = Path {
        name: "",
        outer: None,
    };
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(outer) = self.outer else {
            return Ok(());
        };
        outer.fmt(f)?;
        if outer.outer.is_some() {
            f.write_char('.')?;
        }
        f.write_str(self.name)
    }
}

/// Inside a Point, at any depth, numbers are doubles and strings strings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Plain,
    Point,
}

struct Finder<'r> {
    form: SnapshotForm,
    report: &'r mut dyn FnMut(LossKind, &Path<'_>),
}

impl Finder<'_> {
    fn id(&mut self, document: RawDocument<'_>) {
        let path = Path {
            name: ID_FIELD,
            outer: Some(&Path::ROOT),
        };
        let kept = match document.get(ID_FIELD) {
            Some(RawValue::String(text)) => !text.is_empty() && !is_hex(text),
            Some(RawValue::ObjectId(_)) => true,
            _ => false,
        };
        if !kept {
            (self.report)(LossKind::Id, &path);
        }
        let mut names = document.elements().map(|(name, _)| name);
        if names.next() != Some(ID_FIELD) && names.any(|name| name == ID_FIELD) {
            (self.report)(LossKind::FieldOrder, &path);
        }
    }

    /// Recursion is bounded by the depth of documents.
    fn fields(
        &mut self,
        document: RawDocument<'_>,
        is_root: bool,
        within: Within,
        path: &Path<'_>,
    ) {
        let mut before: Option<&str> = None;
        let mut in_order = true;
        for (name, value) in document.elements() {
            if is_root && name == ID_FIELD {
                continue;
            }
            in_order &= before.is_none_or(|before| before < name);
            before = Some(name);
            let path = Path {
                name,
                outer: Some(path),
            };
            self.value(value, within, &path);
        }
        if !in_order && self.form == SnapshotForm::Laura {
            (self.report)(LossKind::FieldOrder, path);
        }
    }

    fn value(&mut self, value: RawValue<'_>, within: Within, path: &Path<'_>) {
        let is_point = within == Within::Point;
        let kind = match value {
            RawValue::Document(document) => {
                let within = if is_point || names_point(document) {
                    Within::Point
                } else {
                    Within::Plain
                };
                return self.fields(document, false, within, path);
            }
            RawValue::Array(array) => {
                for (name, value) in array.elements() {
                    let path = Path {
                        name,
                        outer: Some(path),
                    };
                    self.value(value, within, &path);
                }
                return;
            }
            RawValue::Double(number) if !number.is_finite() => LossKind::NonFinite,
            RawValue::Double(number)
                if !is_point && self.form == SnapshotForm::Laura && reads_as_integer(number) =>
            {
                LossKind::WholeDouble
            }
            RawValue::String(text) if !is_point && is_hex(text) => LossKind::HexString,
            RawValue::String(text) if !is_point && parse_rfc3339(text).is_some() => {
                LossKind::TimeString
            }
            RawValue::ObjectId(_) if is_point => LossKind::PointObjectId,
            RawValue::Int64(_) if is_point => LossKind::PointInteger,
            RawValue::Int32(_) => LossKind::Int32,
            RawValue::Timestamp(_) => LossKind::Timestamp,
            RawValue::Binary(_) => LossKind::Binary,
            RawValue::Double(_)
            | RawValue::String(_)
            | RawValue::ObjectId(_)
            | RawValue::Int64(_)
            | RawValue::Boolean(_)
            | RawValue::Null => return,
        };
        (self.report)(kind, path);
    }
}

pub(super) fn names_point(document: RawDocument<'_>) -> bool {
    document.get("type") == Some(RawValue::String("Point"))
}

pub(super) fn is_hex(text: &str) -> bool {
    ObjectId::from_hex(text.as_bytes()).is_some()
}

/// A finite double that is written as an integer literal which fits int64. (-0 never is one.)
pub(super) fn reads_as_integer(number: f64) -> bool {
    if number.fract() != 0.0 || (number == 0.0 && number.is_sign_negative()) {
        return false;
    }
    // The text has the shortest digits, filled up with zeros, so near 2^63 it decides itself.
    number.abs() < 1e21 && number.to_string().parse::<i64>().is_ok()
}
