//! What two documents of the same `_id` differ in: their first field that is not the same.

use super::Half;
use crate::document::bson::{RawDocument, RawValue};
use crate::document::ejson;
use crate::error::Place;
use crate::problems::{Problem, Problems};
use crate::validate::Resources;
use crate::validate::id::IdKey;
use crate::{Code, Result};
use std::collections::HashMap;

/// Documents up to this size are kept to be described.
const LARGEST: usize = 256 << 10;
/// Bytes of a value that are shown.
const SHOWN_BYTES: usize = 80;

/// A document of both sides to be described.
#[derive(Default)]
struct Different {
    place: Place,
    left: Option<Vec<u8>>,
    difference: Option<Difference>,
}

/// What two documents differ in.
struct Difference {
    what: String,
    /// The values.
    contents: Option<String>,
}

impl From<String> for Difference {
    fn from(what: String) -> Self {
        Self {
            what,
            contents: None,
        }
    }
}

/// The documents to describe, in the order of their `_id`s.
#[derive(Default)]
pub(super) struct Described {
    all: Vec<Different>,
    by_key: HashMap<Vec<u8>, usize>,
    unnamed: u64,
}

impl Described {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn count_unnamed(&mut self) {
        self.unnamed += 1;
    }

    pub(super) fn want(&mut self, key: &[u8], place: Place) {
        self.by_key.insert(key.to_vec(), self.all.len());
        self.all.push(Different {
            place,
            ..Different::default()
        });
    }

    /// Reads both sides once more, up to the documents that are wanted.
    pub(super) fn read(
        &mut self,
        left: Half<'_>,
        right: Half<'_>,
        resources: &mut Resources<'_>,
    ) -> Result<()> {
        if self.all.is_empty() {
            return Ok(());
        }
        let mut key = IdKey::default();
        let mut each = |half: Half<'_>, take: &mut dyn FnMut(&mut Different, RawDocument<'_>)| {
            half.source.read(half.position, &mut |found| {
                let at = self.by_key.get(key.set(found.document, 0).normal());
                if let Some(different) = at.and_then(|at| self.all.get_mut(*at)) {
                    take(different, found.document);
                }
                (resources.advance)(found.source_bytes, 0)
            })
        };
        each(left, &mut |different, document| {
            let bytes = document.as_bytes();
            if bytes.len() <= LARGEST && different.left.is_none() {
                different.left = Some(bytes.to_vec());
            }
        })?;
        each(right, &mut |different, document| {
            if let Some(left) = different.left.take() {
                let difference = describe(RawDocument::trusted(&left), document);
                different.difference = Some(difference);
            }
        })
    }

    pub(super) fn report(self, collection: &str, differences: &Problems) {
        for different in self.all {
            let mut sentence = "the documents differ".to_owned();
            let mut contents = None;
            if let Some(difference) = different.difference {
                sentence.push_str(": ");
                sentence.push_str(&difference.what);
                contents = difference.contents;
            }
            let place = different.place.in_collection(collection);
            differences.add(Problem {
                contents,
                ..Problem::new(Code::DocumentDiffers, sentence, place)
            });
        }
        differences.count_unnamed(Code::DocumentDiffers, self.unnamed);
    }
}

/// The first field that is not the same, with its values.
fn describe(left: RawDocument<'_>, right: RawDocument<'_>) -> Difference {
    let mut others = right.elements();
    for (name, value) in left.elements() {
        let Some((other_name, other)) = others.next() else {
            return format!("field {name:?} is only in the first one").into();
        };
        if name != other_name {
            return match (right.get(name), left.get(other_name)) {
                (None, _) => format!("field {name:?} is only in the first one"),
                (_, None) => format!("field {other_name:?} is only in the second one"),
                _ => format!("the order of the fields, from {name:?} and {other_name:?} on"),
            }
            .into();
        }
        if bytes_of(value) != bytes_of(other) {
            return Difference {
                what: format!("field {name:?}"),
                contents: Some(format!("is {} and {}", shown(value), shown(other))),
            };
        }
    }
    match others.next() {
        Some((name, _)) => format!("field {name:?} is only in the second one"),
        None => "the order of the fields".to_owned(),
    }
    .into()
}

/// Canonical Extended JSON tells every type.
fn bytes_of(value: RawValue<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    ejson::write_value(value, &mut text);
    text
}

fn shown(value: RawValue<'_>) -> String {
    let text = String::from_utf8_lossy(&bytes_of(value)).into_owned();
    let mut end = SHOWN_BYTES;
    if text.len() <= end {
        return text;
    }
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", text.get(..end).unwrap_or_default())
}
