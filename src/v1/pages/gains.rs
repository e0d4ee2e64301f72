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
        self.each(report, |count, more| *count = count.saturating_add(more));
    }

    /// Takes back that it was counted.
    pub fn uncount(&self, report: &mut PagesReport) {
        self.each(report, |count, less| *count = count.saturating_sub(less));
    }

    fn each(&self, report: &mut PagesReport, change: impl Fn(&mut u64, u64)) {
        match self {
            Self::None => change(&mut report.snapshot_only, 1),
            Self::Different => change(&mut report.different, 1),
            Self::Equal { several } => {
                change(&mut report.equal, 1);
                change(&mut report.several, (*several).into());
            }
            Self::Taken { several, gains } => {
                change(&mut report.taken, 1);
                change(&mut report.several, (*several).into());
                change(&mut report.array_documents, gains.array_documents.into());
                change(&mut report.binary_values, gains.binary_values.into());
                change(&mut report.types, gains.types.into());
                change(&mut report.reordered, gains.order.into());
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
                None => self.types = self.types.saturating_add(u32::from(name == ID_FIELD)),
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
                            self.array_documents =
                                self.array_documents.saturating_add(u32::from(has_fields));
                        }
                        copy => self.value(copy, snapshot),
                    }
                }
            }
            (RawValue::Binary(_), _) => {
                self.binary_values = self.binary_values.saturating_add(1);
            }
            (copy, snapshot) => {
                self.types = self
                    .types
                    .saturating_add(u32::from(copy.element_type() != snapshot.element_type()));
            }
        }
    }
}
