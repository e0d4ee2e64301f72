//! From a document to its index keys.
//!
//! A field path is the literal name of a top-level field first, dots and all; if there is none, the
//! parts between its dots lead through nested documents. A missing field gives no entry, and so
//! does an array or a document as value, which is counted.

mod elements;
mod layout;
mod set;
#[cfg(test)]
mod tests;

pub use set::ExtractorSet;

use super::definition::{IndexDefinition, IndexKind};
use super::key::{KeyBuffer, KeyValue, StoredKeyRef, stored_of_values};
use crate::document::bson::{ElementType, RawDocument};
use crate::{Code, Error, Place, Result};
use elements::{Found, find};
use std::fmt;
use std::iter::once;
use std::sync::Arc;

/// Decides which documents a partial index has.
pub trait DocumentFilter: Send + Sync {
    /// True when the index has the document.
    fn matches(&self, document: RawDocument<'_>) -> bool;
}

impl<F: Fn(RawDocument<'_>) -> bool + Send + Sync> DocumentFilter for F {
    fn matches(&self, document: RawDocument<'_>) -> bool {
        self(document)
    }
}

/// Reads an RFC 3339 time as Unix seconds, rounded down; `None` if the text is none.
pub type ParseTime = fn(&str) -> Option<i64>;

/// What became of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extraction {
    /// It has a key.
    Key,
    /// It lacks a field of the index: no entry.
    Missing,
    /// A value that cannot be indexed: no entry, to be counted.
    Unindexable,
    /// The index is partial and leaves it out.
    FilteredOut,
}

/// A path to a field.
#[derive(Clone, Debug)]
pub(in crate::index) struct FieldPath {
    literal: Box<[u8]>,
    /// The parts between the dots; empty when there is no dot.
    parts: Vec<Box<[u8]>>,
}

impl FieldPath {
    pub(in crate::index) fn new(path: &str) -> Self {
        let parts = match path.contains('.') {
            true => path.split('.').map(|part| part.as_bytes().into()).collect(),
            false => Vec::new(),
        };
        Self {
            literal: path.as_bytes().into(),
            parts,
        }
    }

    /// The value in a document.
    pub(in crate::index) fn resolve_in<'d>(&self, document: RawDocument<'d>) -> Option<Found<'d>> {
        self.resolve(|wanted| match wanted {
            TopLevel::Literal(name) | TopLevel::Head(name) => find(document, name),
        })
    }

    /// The value, given how to find a top-level field.
    #[inline]
    fn resolve<'d>(&self, top: impl Fn(TopLevel<'_>) -> Option<Found<'d>>) -> Option<Found<'d>> {
        match top(TopLevel::Literal(&self.literal)) {
            Some(Found { kind, value }) => Some(Found { kind, value }),
            None if self.parts.is_empty() => None,
            None => self.traverse(top),
        }
    }

    /// The value that the parts of a dotted path lead to.
    fn traverse<'d>(&self, top: impl Fn(TopLevel<'_>) -> Option<Found<'d>>) -> Option<Found<'d>> {
        let (head, rest) = self.parts.split_first()?;
        let mut found = top(TopLevel::Head(head))?;
        for part in rest {
            if found.kind != ElementType::Document {
                return None;
            }
            found = find(RawDocument::trusted(found.value), part)?;
        }
        Some(found)
    }
}

/// Which top-level field a path asks for.
#[derive(Clone, Copy)]
enum TopLevel<'p> {
    /// The one with the path's whole text as its name.
    Literal(&'p [u8]),
    /// The one where the dotted traversal starts.
    Head(&'p [u8]),
}

/// The values of a key's fields. A single one is passed by itself, so that it can stay in
/// registers all the way into the key.
#[derive(Clone, Copy)]
enum Values<'v, 'd> {
    One(KeyValue<'d>),
    Several(&'v [KeyValue<'d>]),
}

impl Values<'_, '_> {
    #[inline]
    fn make(self, key: &mut KeyBuffer) {
        match self {
            Self::One(value) => key.set(once(value)),
            Self::Several(values) => key.set(values.iter().copied()),
        }
    }

    #[inline]
    fn stored(self, out: &mut Vec<u8>) -> StoredKeyRef<'_> {
        match self {
            Self::One(value) => stored_of_values(once(value), out),
            Self::Several(values) => stored_of_values(values.iter().copied(), out),
        }
    }
}

/// Composites of up to so many fields are put together on the stack.
const FEW_FIELDS: usize = 8;

/// Makes the keys of one index.
#[derive(Clone)]
pub struct KeyExtractor {
    paths: Vec<FieldPath>,
    time: Option<ParseTime>,
    filter: Option<Arc<dyn DocumentFilter>>,
}

impl fmt::Debug for KeyExtractor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyExtractor")
            .field("paths", &self.paths)
            .field("ttl", &self.time.is_some())
            .field("partial", &self.filter.is_some())
            .finish()
    }
}

impl KeyExtractor {
    /// For a B+tree or TTL index. `filter` is what the definition's filter means; `parse_time`
    /// reads the strings of a TTL index.
    ///
    /// # Errors
    /// [`Code::Internal`] for text and geo indexes, which have no such keys;
    /// [`Code::IndexDefinition`] for a number of fields that no index can have.
    pub fn new(
        definition: &IndexDefinition,
        filter: Option<Arc<dyn DocumentFilter>>,
        parse_time: ParseTime,
    ) -> Result<Self> {
        let place = || Place::default().in_index(&definition.name);
        let time = match definition.kind {
            IndexKind::Btree => None,
            IndexKind::Ttl { .. } => Some(parse_time),
            IndexKind::Text | IndexKind::Geo2d | IndexKind::Geo2dSphere => {
                let sentence = "text and geo indexes have no B+tree keys of their fields";
                return Err(Error::new(Code::Internal, sentence).at(place()));
            }
        };
        let count = definition.fields.len();
        let most = if time.is_some() { 1 } else { 255 };
        if count == 0 || count > most {
            return Err(Error::new(
                Code::IndexDefinition,
                format!("the index has {count} fields, 1 to {most} are possible"),
            )
            .at(place()));
        }
        let paths = definition.fields.iter();
        Ok(Self {
            paths: paths.map(|path| FieldPath::new(path)).collect(),
            time,
            filter,
        })
    }

    /// Puts the document's key into `key`, cut as sorting wants it.
    ///
    /// For all indexes of a collection at once, [`ExtractorSet`] is faster.
    pub fn extract(&self, document: RawDocument<'_>, key: &mut KeyBuffer) -> Extraction {
        self.build(document, scan(document), |values| values.make(key))
    }

    /// Puts the document's key into `key`, whole, for comparing keys that were cut.
    pub fn extract_whole(&self, document: RawDocument<'_>, key: &mut KeyBuffer) -> Extraction {
        self.build(document, scan(document), |values| match values {
            Values::One(value) => key.set_whole(once(value)),
            Values::Several(values) => key.set_whole(values.iter().copied()),
        })
    }

    /// True if the key is the value of one field, and depends on nothing else.
    fn is_plain(&self) -> bool {
        self.paths.len() == 1 && self.time.is_none() && self.filter.is_none()
    }

    /// The path of a key with one field.
    #[inline]
    fn only_path(&self) -> Option<&FieldPath> {
        match self.paths.as_slice() {
            [path] => Some(path),
            _ => None,
        }
    }

    /// The only value of a key, or why there is none.
    ///
    /// The filter runs only for documents that have the fields, and before their values are
    /// judged, so that what is left out is never counted as unindexable.
    #[inline]
    fn one<'d>(
        &self,
        path: &FieldPath,
        document: RawDocument<'d>,
        top: impl Fn(TopLevel<'_>) -> Option<Found<'d>>,
    ) -> std::result::Result<KeyValue<'d>, Extraction> {
        let Some(found) = path.resolve(top) else {
            return Err(Extraction::Missing);
        };
        if self.leaves_out(document) {
            return Err(Extraction::FilteredOut);
        }
        self.value(found).ok_or(Extraction::Unindexable)
    }

    /// As [`Self::one`], of a key of any number of fields.
    #[inline]
    fn build<'d>(
        &self,
        document: RawDocument<'d>,
        top: impl Fn(usize, TopLevel<'_>) -> Option<Found<'d>>,
        mut set: impl FnMut(Values<'_, 'd>),
    ) -> Extraction {
        if let Some(path) = self.only_path() {
            return match self.one(path, document, |wanted| top(0, wanted)) {
                Ok(value) => {
                    set(Values::One(value));
                    Extraction::Key
                }
                Err(nothing) => nothing,
            };
        }
        match self.paths.len() {
            count @ ..=FEW_FIELDS => {
                let mut few = [KeyValue::Null; FEW_FIELDS];
                let few = few.get_mut(..count).unwrap_or_default();
                self.build_in(few, document, top, set)
            }
            count => self.build_in(&mut vec![KeyValue::Null; count], document, top, set),
        }
    }

    /// [`Self::build`] with a place for each field's value.
    fn build_in<'d>(
        &self,
        values: &mut [KeyValue<'d>],
        document: RawDocument<'d>,
        top: impl Fn(usize, TopLevel<'_>) -> Option<Found<'d>>,
        mut set: impl FnMut(Values<'_, 'd>),
    ) -> Extraction {
        let mut indexable = true;
        for (at, (path, place)) in self.paths.iter().zip(values.iter_mut()).enumerate() {
            let Some(found) = path.resolve(|wanted| top(at, wanted)) else {
                return Extraction::Missing;
            };
            match self.value(found) {
                Some(value) => *place = value,
                None => indexable = false,
            }
        }
        if self.leaves_out(document) {
            return Extraction::FilteredOut;
        }
        if !indexable {
            return Extraction::Unindexable;
        }
        set(Values::Several(values));
        Extraction::Key
    }

    #[inline]
    fn leaves_out(&self, document: RawDocument<'_>) -> bool {
        match &self.filter {
            Some(filter) => !filter.matches(document),
            None => false,
        }
    }

    #[inline]
    fn value<'d>(&self, found: Found<'d>) -> Option<KeyValue<'d>> {
        match self.time {
            None => found.key_value(),
            Some(parse_time) => time_value(found, parse_time),
        }
    }
}

#[inline(never)]
fn time_value(found: Found<'_>, parse_time: ParseTime) -> Option<KeyValue<'_>> {
    let seconds = match found.key_value()? {
        KeyValue::Timestamp(seconds) | KeyValue::Int64(seconds) => seconds,
        KeyValue::String(text) => parse_time(str::from_utf8(text).ok()?)?,
        _ => return None,
    };
    Some(KeyValue::Timestamp(seconds))
}

fn scan<'d>(document: RawDocument<'d>) -> impl Fn(usize, TopLevel<'_>) -> Option<Found<'d>> {
    move |_, wanted| match wanted {
        TopLevel::Literal(name) | TopLevel::Head(name) => find(document, name),
    }
}
