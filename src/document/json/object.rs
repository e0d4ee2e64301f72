//! The fields of one object: their names, and what happens when a name comes twice.
//!
//! The last value counts, at the first one's place. LauraDB writes names in ascending order, so
//! comparing each with the one before rules duplicates out; otherwise names are compared one by
//! one or, if there are many, looked up by hash.
//!
//! A later value is appended like any other. The object is put in order when it ends, or earlier,
//! once values that were replaced fill half of it: so the output stays within twice what counts
//! and all the rewriting together costs no more than the writing did.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions within the text and the output, which are in memory, and counts of what is in them"
)]

use super::shapes::ShapeId;
use super::state::{ClosedObject, State};
use crate::document::bson::{ElementType, value_len};
use hashbrown::HashTable;
use std::hash::{BuildHasher, RandomState};

/// The value of a Point's "type".
pub(super) const POINT: &[u8] = b"\x06\0\0\0Point\0";

/// Up to this many names in no order are compared one by one.
const FEW_NAMES: usize = 16;

/// A field of an open object. There can be millions, so it is kept small.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    /// Where the name begins, from the document's start; the element's type byte is before it.
    start: u32,
    len: u32,
    /// [`OWN_VALUE`], [`LATER`], or the position in the object of the field whose value counts.
    value: u32,
}

/// The field's own value counts.
const OWN_VALUE: u32 = u32::MAX;
/// The name stood before; the field has no place.
const LATER: u32 = u32::MAX - 1;

/// Positions of names, by hash. The hash is seeded, so no text can make names collide.
#[derive(Default)]
struct Lookup {
    table: HashTable<u32>,
    hasher: RandomState,
}

/// An open object.
pub(super) struct Frame {
    /// Where its elements begin in the output.
    body: usize,
    /// Where its names begin in `Scratch::names`.
    first: usize,
    ascending: bool,
    /// The names are in `Scratch::names`. They are not while all of them are known to differ.
    is_listed: bool,
    /// Only for many names in no order; boxed, since most objects never have it.
    lookup: Option<Box<Lookup>>,
    /// The field being read: whether it is "type", and which one has the same name.
    is_type: bool,
    duplicate_of: Option<u32>,
    /// Bytes of elements that were replaced.
    replaced_bytes: usize,
    closed: ClosedObject,
    /// The list of names so far, if it came before.
    pub(super) shape: ShapeId,
}

impl Frame {
    /// For an object whose first element will be written next.
    #[inline]
    pub(super) fn new(state: &State<'_>) -> Self {
        Self {
            body: state.out.len(),
            first: state.scratch.names.len(),
            ascending: true,
            is_listed: false,
            lookup: None,
            is_type: false,
            duplicate_of: None,
            replaced_bytes: 0,
            closed: ClosedObject {
                is_point: false,
                inferred_before: state.inferred,
                integers_before: state.scratch.integers.len(),
            },
            shape: ShapeId::NONE,
        }
    }

    /// Begins a field as [`Self::begin_field`] does, if `text` goes on with a name that is known to
    /// follow here; gives the bytes of text that this takes.
    #[inline]
    pub(super) fn begin_known(&mut self, state: &mut State<'_>, text: &[u8]) -> Option<usize> {
        let (id, shape) = state.scratch.shapes.next(self.shape, text)?;
        self.shape = id;
        self.ascending = shape.ascending;
        self.is_type = shape.is_type;
        if self.is_listed {
            state.scratch.names.push(Name {
                start: to_u32(state.out.len() - state.start) + 1,
                len: to_u32(shape.name_len()),
                value: OWN_VALUE,
            });
        }
        shape.append(state.out);
        Some(shape.text_len())
    }

    /// Lists the names of the fields that were begun as known ones.
    #[cold]
    fn list(&mut self, state: &mut State<'_>) {
        self.is_listed = true;
        let mut at = self.body;
        while let Some((kind, rest)) = state.out.get(at..).and_then(<[u8]>::split_first)
            && let Some(len) = memchr::memchr(0, rest)
            && let Some(kind) = ElementType::from_byte(*kind)
        {
            state.scratch.names.push(Name {
                start: to_u32(at + 1 - state.start),
                len: to_u32(len),
                value: OWN_VALUE,
            });
            let value_at = at + 1 + len + 1;
            // An element that this program has just written has its length.
            at = value_at + value_len(kind, state.out, value_at).unwrap_or_default();
        }
    }

    /// Remembers the name that a field was just begun with.
    pub(super) fn learn(&mut self, state: &mut State<'_>, name: &str) {
        // Once there is a table of names, all have to go there.
        self.shape = match (&self.duplicate_of, &self.lookup) {
            (None, None) => {
                let shapes = &mut state.scratch.shapes;
                shapes.learn(self.shape, name.as_bytes(), self.ascending)
            }
            _ => ShapeId::NONE,
        };
    }

    /// Begins a field: writes its name after a place for its type.
    #[inline]
    pub(super) fn begin_field(&mut self, state: &mut State<'_>, name: &str) {
        if !self.is_listed {
            self.list(state);
        }
        let before = state
            .scratch
            .names
            .get(self.first..)
            .and_then(<[Name]>::last);
        if let Some(before) = before
            && (!self.ascending || text(state, before) >= name.as_bytes())
        {
            self.ascending = false;
            self.duplicate_of = self.find(state, name.as_bytes());
        }
        self.is_type = name == "type";
        state.out.push(0);
        state.scratch.names.push(Name {
            start: state.offset(),
            len: to_u32(name.len()),
            value: OWN_VALUE,
        });
        state.out.extend_from_slice(name.as_bytes());
        state.out.push(0);
    }

    /// Ends the field whose value has just been appended.
    #[inline]
    pub(super) fn end_field(&mut self, state: &mut State<'_>, kind: ElementType) {
        let Some(name) = state.scratch.names.last().copied() else {
            return;
        };
        let name_at = state.start + to_usize(name.start);
        let value_at = name_at + to_usize(name.len) + 1;
        self.end_field_at(state, (name_at - 1, value_at), kind);
    }

    /// [`Self::end_field`] of the field whose element and value begin there in the output.
    #[inline]
    pub(super) fn end_field_at(
        &mut self,
        state: &mut State<'_>,
        (element_at, value_at): (usize, usize),
        kind: ElementType,
    ) {
        state.set_type(element_at, kind);
        if self.is_type {
            let value = state.out.get(value_at..);
            self.closed.is_point = kind == ElementType::String && value == Some(POINT);
        }
        if let Some(earlier) = self.duplicate_of.take() {
            self.replace(state, earlier);
        }
    }

    /// Ends the object; its elements are final then.
    #[inline]
    pub(super) fn end(mut self, state: &mut State<'_>) -> ClosedObject {
        if self.replaced_bytes > 0 {
            self.rewrite(state);
        }
        state.scratch.names.truncate(self.first);
        self.closed
    }

    /// The position of the first field with this name. The field itself is not among the names
    /// yet; with a table, it is entered there if it is new.
    fn find(&mut self, state: &State<'_>, name: &[u8]) -> Option<u32> {
        let names = state.scratch.names.get(self.first..).unwrap_or_default();
        if names.len() <= FEW_NAMES {
            let found = names.iter().position(|other| text(state, other) == name);
            return found.map(to_u32);
        }
        let Lookup { table, hasher } = &mut **self.lookup.get_or_insert_default();
        let at = |position: &u32| {
            let name = names.get(to_usize(*position));
            name.map_or(&b""[..], |name| text(state, name))
        };
        let rehash = |position: &u32| hasher.hash_one(at(position));
        if table.is_empty() {
            for (position, other) in names.iter().enumerate() {
                if other.value != LATER {
                    let hash = hasher.hash_one(text(state, other));
                    table.insert_unique(hash, to_u32(position), rehash);
                }
            }
        }
        let hash = hasher.hash_one(name);
        let found = table.find(hash, |position| at(position) == name);
        let found = found.copied();
        if found.is_none() {
            // Growing hashes the entries again; this one's name is not in the list yet.
            table.reserve(1, rehash);
            table.insert_unique(hash, to_u32(names.len()), rehash);
        }
        found
    }

    /// Lets the last field's value replace that of the field at `earlier`.
    #[cold]
    fn replace(&mut self, state: &mut State<'_>, earlier: u32) {
        let names = state
            .scratch
            .names
            .get_mut(self.first..)
            .unwrap_or_default();
        let last = to_u32(names.len().saturating_sub(1));
        if let Some(name) = names.last_mut() {
            name.value = LATER;
        }
        let Some(name) = names.get_mut(to_usize(earlier)) else {
            return;
        };
        let replaced = match name.value {
            OWN_VALUE | LATER => earlier,
            position => position,
        };
        name.value = last;
        self.replaced_bytes += self.element(state, replaced).len();
        if self.replaced_bytes > (state.out.len() - self.body) / 2 {
            self.rewrite(state);
        }
    }

    /// The bytes of the element at a position.
    fn element<'s>(&self, state: &'s State<'_>, position: u32) -> &'s [u8] {
        let names = state.scratch.names.get(self.first..).unwrap_or_default();
        let begin = |position| {
            let name: Option<&Name> = names.get(position);
            name.map(|name| state.start + to_usize(name.start) - 1)
        };
        let position = to_usize(position);
        let start = begin(position).unwrap_or(state.out.len());
        let end = begin(position + 1).unwrap_or(state.out.len());
        state.out.get(start..end).unwrap_or_default()
    }

    /// Writes every element that counts again, in order.
    fn rewrite(&mut self, state: &mut State<'_>) {
        let mut elements = std::mem::take(&mut state.scratch.elements);
        elements.clear();
        let count = state.scratch.names.len() - self.first;
        for position in 0..count {
            let Some(name) = state.scratch.names.get(self.first + position).copied() else {
                continue;
            };
            let source = match name.value {
                OWN_VALUE => to_u32(position),
                LATER => continue,
                later => later,
            };
            let start = to_u32(self.body - state.start + elements.len() + 1);
            elements.extend_from_slice(self.element(state, source));
            // Where elements end is read from the names that follow, so those that move up wait.
            state.scratch.moved.push(Name {
                start,
                len: name.len,
                value: OWN_VALUE,
            });
        }
        state.scratch.names.truncate(self.first);
        state.scratch.names.append(&mut state.scratch.moved);
        state.out.truncate(self.body);
        state.out.extend_from_slice(&elements);
        state.scratch.elements = elements;
        self.replaced_bytes = 0;
        self.lookup = None;
        self.forget_places(state);
    }

    /// Elements have moved: a Point around them has to be read a second time.
    fn forget_places(&self, state: &mut State<'_>) {
        if state.scratch.integers.len() > self.closed.integers_before {
            state.scratch.integers.truncate(self.closed.integers_before);
            state.inferred += 1;
        }
    }
}

fn text<'s>(state: &'s State<'_>, name: &Name) -> &'s [u8] {
    let start = state.start + to_usize(name.start);
    let end = start + to_usize(name.len);
    state.out.get(start..end).unwrap_or_default()
}

fn to_usize(number: u32) -> usize {
    number as usize
}

/// Positions and offsets lie below the limit on the output, 32 MiB.
fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
