//! What a page's copy has that the snapshot has lost.

use crate::document::ID_FIELD;
use crate::document::bson::{RawDocument, RawValue};
use crate::report::PagesReport;

/// What became of a document of the snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PageCopy {
    /// No page has it.
    #[default]
    None,
    /// Pages have other documents of its `_id`; it stays as it is.
    Different,
    /// A page has the very same document.
    Equal {
        /// Several slots hold a match.
        several: bool,
    },
    /// A page's copy takes its place.
    Taken {
        /// Several slots hold a match.
        several: bool,
        /// What that gives back.
        gains: Gains,
    },
}

impl PageCopy {
    /// Counts it.
    pub fn count(&self, report: &mut PagesReport) {
        match self {
            Self::None => report.snapshot_only += 1,
            Self::Different => report.different += 1,
            Self::Equal { several } => {
                report.equal += 1;
                report.several += u64::from(*several);
            }
            Self::Taken { several, gains } => {
                report.taken += 1;
                report.several += u64::from(*several);
                report.array_documents += u64::from(gains.array_documents);
                report.binary_values += u64::from(gains.binary_values);
                report.types += u64::from(gains.types);
                report.reordered += u64::from(gains.order);
            }
        }
    }
}

/// What a page gave back to one document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gains {
    /// Documents inside arrays that the snapshot has as `{}`.
    pub array_documents: u32,
    /// Binary values that the snapshot has as strings.
    pub binary_values: u32,
    /// Other values whose type the snapshot has lost.
    pub types: u32,
    /// The snapshot has the fields in another order.
    pub order: bool,
}

impl Gains {
    /// Compares a page's copy with the snapshot's document, which its backup would have become.
    #[must_use]
    pub fn of(copy: RawDocument<'_>, snapshot: RawDocument<'_>) -> Self {
        let mut gains = Self::default();
        gains.document(copy, snapshot);
        gains
    }

    /// Recursion is bounded by the depth of documents.
    fn document(&mut self, copy: RawDocument<'_>, snapshot: RawDocument<'_>) {
        let names = |document: RawDocument<'_>| {
            let names = document.elements().map(|(name, _)| name.to_owned());
            names.collect::<Vec<_>>()
        };
        self.order |= names(copy) != names(snapshot);
        for (name, value) in copy.elements() {
            match snapshot.get(name) {
                Some(other) => self.value(value, other),
                // A generated `_id` takes the place of an empty one.
                None => self.types += u32::from(name == ID_FIELD),
            }
        }
    }

    fn value(&mut self, copy: RawValue<'_>, snapshot: RawValue<'_>) {
        match (copy, snapshot) {
            (RawValue::Document(copy), RawValue::Document(snapshot)) => {
                self.document(copy, snapshot);
            }
            (RawValue::Array(copy), RawValue::Array(snapshot)) => {
                for ((_, copy), (_, snapshot)) in copy.elements().zip(snapshot.elements()) {
                    match copy {
                        RawValue::Document(copy) => {
                            let has_fields = copy.elements().next().is_some();
                            self.array_documents += u32::from(has_fields);
                        }
                        copy => self.value(copy, snapshot),
                    }
                }
            }
            (RawValue::Binary(_), _) => self.binary_values += 1,
            (copy, snapshot) => {
                self.types += u32::from(copy.element_type() != snapshot.element_type());
            }
        }
    }
}
