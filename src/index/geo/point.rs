//! From a document to its point.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use crate::document::bson::{ElementType, RawDocument, RawValue};
use crate::index::definition::{IndexDefinition, IndexKind};
use crate::index::extract::{DocumentFilter, Extraction, FieldPath};
use crate::{Code, Error, Place, Result};
use std::fmt;
use std::sync::Arc;

/// A point; both coordinates are finite.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// The first coordinate: on the earth, the longitude in degrees.
    pub x: f64,
    /// The second coordinate: on the earth, the latitude in degrees.
    pub y: f64,
}

impl Point {
    /// Reads a value as LauraDB does: a document with `coordinates`, an array of exactly two
    /// numbers; `type` and all other fields mean nothing. Unlike LauraDB, which indexes NaN and
    /// infinity, takes only finite numbers.
    #[must_use]
    pub fn from_value(value: RawDocument<'_>) -> Option<Self> {
        let Some(RawValue::Array(coordinates)) = value.get("coordinates") else {
            return None;
        };
        let mut numbers = coordinates.elements().map(|(_, value)| number(value));
        let (x, y) = (numbers.next()??, numbers.next()??);
        let is_point = numbers.next().is_none() && x.is_finite() && y.is_finite();
        is_point.then_some(Self { x, y })
    }

    /// True for a longitude within ±180 and a latitude within ±90, inclusive.
    #[must_use]
    pub fn is_on_earth(self) -> bool {
        self.x.abs() <= 180.0 && self.y.abs() <= 90.0
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "LauraDB converts to float64 as well"
)]
fn number(value: RawValue<'_>) -> Option<f64> {
    match value {
        RawValue::Double(number) => Some(number),
        RawValue::Int32(number) => Some(number.into()),
        RawValue::Int64(number) => Some(number as f64),
        _ => None,
    }
}

/// Takes the point of one geo index out of documents.
#[derive(Clone)]
pub struct PointExtractor {
    path: FieldPath,
    on_earth: bool,
    filter: Option<Arc<dyn DocumentFilter>>,
}

impl fmt::Debug for PointExtractor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PointExtractor")
            .field("path", &self.path)
            .field("on_earth", &self.on_earth)
            .field("partial", &self.filter.is_some())
            .finish()
    }
}

impl PointExtractor {
    /// For a geo index; `filter` is what the definition's filter means.
    ///
    /// # Errors
    /// [`Code::Internal`] for an index of another kind, [`Code::IndexDefinition`] for one that has
    /// not exactly one field.
    pub fn new(
        definition: &IndexDefinition,
        filter: Option<Arc<dyn DocumentFilter>>,
    ) -> Result<Self> {
        let wrong = |code, sentence: &str| {
            Error::new(code, sentence).at(Place::default().in_index(&definition.name))
        };
        let on_earth = match definition.kind {
            IndexKind::Geo2d => false,
            IndexKind::Geo2dSphere => true,
            _ => return Err(wrong(Code::Internal, "only geo indexes have points")),
        };
        let [field] = definition.fields.as_slice() else {
            return Err(wrong(
                Code::IndexDefinition,
                "a geo index has exactly one field",
            ));
        };
        Ok(Self {
            path: FieldPath::new(field),
            on_earth,
            filter,
        })
    }

    /// The document's point, which is there with [`Extraction::Key`] only.
    #[must_use]
    pub fn extract(&self, document: RawDocument<'_>) -> (Extraction, Option<Point>) {
        let Some(found) = self.path.resolve_in(document) else {
            return (Extraction::Missing, None);
        };
        if let Some(filter) = &self.filter
            && !filter.matches(document)
        {
            return (Extraction::FilteredOut, None);
        }
        let point = match found.kind {
            ElementType::Document => Point::from_value(RawDocument::trusted(found.value)),
            _ => None,
        };
        match point.filter(|point| !self.on_earth || point.is_on_earth()) {
            Some(point) => (Extraction::Key, Some(point)),
            None => (Extraction::Unindexable, None),
        }
    }
}
