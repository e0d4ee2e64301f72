//! What the visitors of one document share: the output and what is known about it so far.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions within the text and the output, which are in memory, and counts of what is in them"
)]

use super::DocumentErrorKind;
use super::object::Name;
use super::shapes::Shapes;
use crate::bytes::{get_i64, put_f64, put_u32};
use crate::document::bson::ElementType;
use crate::document::{InferTypes, MAX_DEPTH, MAX_DOCUMENT_BYTES};
use serde::de;

/// Buffers that live from document to document.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Names of the fields of all open objects, innermost last.
    pub(super) names: Vec<Name>,
    /// Int64 elements in open objects that may turn out to be Points.
    pub(super) integers: Vec<Integer>,
    /// Numbers of the Points that the first pass found.
    pub(super) points: Vec<u32>,
    /// An object's elements while it is rewritten.
    pub(super) elements: Vec<u8>,
    /// Its names then.
    pub(super) moved: Vec<Name>,
    /// Names that came before; they outlive the document.
    pub(super) shapes: Shapes,
}

impl Scratch {
    /// Forgets what a document has left. One huge document does not hold on to its memory for the
    /// rest of the run.
    pub(super) fn clear(&mut self) {
        empty(&mut self.names);
        empty(&mut self.integers);
        empty(&mut self.points);
        empty(&mut self.elements);
        empty(&mut self.moved);
        self.shapes.make_room();
    }
}

#[inline]
fn empty<T>(buffer: &mut Vec<T>) {
    buffer.clear();
    if buffer.capacity() > KEPT_ITEMS {
        buffer.shrink_to(KEPT_ITEMS);
    }
}

/// What each buffer may keep between documents.
const KEPT_ITEMS: usize = 16 * 1024;

/// Where an int64 element lies, from the document's start. There can be millions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Integer {
    /// The element's type byte.
    element_at: u32,
    /// Its eight bytes.
    value_at: u32,
}

/// What became of the document's `_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdState {
    /// Not seen yet.
    Missing,
    /// Seen, but empty or null.
    Empty,
    /// First in the output.
    Placed,
}

/// One document on its way from JSON to BSON.
pub(super) struct State<'o> {
    pub(super) out: &'o mut Vec<u8>,
    pub(super) scratch: &'o mut Scratch,
    pub(super) infer: InferTypes,
    /// Where the document begins in the output.
    pub(super) start: usize,
    /// The output may not grow beyond this length.
    limit: usize,
    pub(super) id: IdState,
    /// Numbers are doubles and strings strings here: below a Point, in the second pass.
    pub(super) literal: bool,
    /// How many objects were opened so far, the document and its `fields` not counted.
    opened: u32,
    /// How many of them are open.
    pub(super) open: usize,
    /// How many strings have become another type, or cannot be told from such.
    pub(super) inferred: u64,
    pub(super) needs_second_pass: bool,
    /// In the second pass, the first of `scratch.points` that was not reached yet.
    next_point: Option<usize>,
    pub(super) emptied_array_documents: u64,
    pub(super) unknown_keys: u64,
    /// Why a visitor stopped; serde's own errors carry only text.
    pub(super) failure: Option<DocumentErrorKind>,
}

impl<'o> State<'o> {
    pub(super) fn new(infer: InferTypes, scratch: &'o mut Scratch, out: &'o mut Vec<u8>) -> Self {
        let start = out.len();
        Self {
            scratch,
            infer,
            start,
            // Values that a duplicate name replaces are in the output for a while, but never
            // more than half of it (see `object::Frame`).
            limit: start.saturating_add(2 * MAX_DOCUMENT_BYTES),
            id: IdState::Missing,
            literal: false,
            opened: 0,
            open: 0,
            inferred: 0,
            needs_second_pass: false,
            next_point: None,
            emptied_array_documents: 0,
            unknown_keys: 0,
            failure: None,
            out,
        }
    }

    /// Forgets all that was read.
    pub(super) fn anew(self) -> Self {
        self.out.truncate(self.start);
        self.scratch.clear();
        Self::new(self.infer, self.scratch, self.out)
    }

    /// Goes back to the start for the second pass.
    pub(super) fn restart(&mut self) {
        self.out.truncate(self.start);
        self.scratch.points.sort_unstable();
        self.id = IdState::Missing;
        self.opened = 0;
        self.needs_second_pass = false;
        self.next_point = Some(0);
        self.emptied_array_documents = 0;
        self.unknown_keys = 0;
    }

    /// Whether no object within the document was opened, each of which may leave something in the
    /// scratch buffers.
    #[inline]
    pub(super) fn is_untouched(&self) -> bool {
        self.opened == 0
    }

    /// Records why the document is bad and gives the error that unwinds serde's stack.
    #[cold]
    pub(super) fn fail<E: de::Error>(&mut self, kind: DocumentErrorKind) -> E {
        self.failure.get_or_insert(kind);
        E::custom("")
    }

    /// Checks before `bytes` more are written that no document within the limits is this large.
    #[inline]
    pub(super) fn room<E: de::Error>(&mut self, bytes: usize) -> Result<(), E> {
        let len = self.out.len().saturating_add(bytes);
        if len > self.limit {
            let size = len - self.start;
            return Err(self.fail(DocumentErrorKind::TooLarge { size }));
        }
        Ok(())
    }

    /// The end of the output, from the document's start; the limit keeps it far below 2^32.
    #[inline]
    pub(super) fn offset(&self) -> u32 {
        u32::try_from(self.out.len() - self.start).unwrap_or(u32::MAX)
    }

    #[inline]
    pub(super) fn level<E: de::Error>(&mut self, depth: usize) -> Result<(), E> {
        if depth > MAX_DEPTH {
            return Err(self.fail(DocumentErrorKind::TooDeep));
        }
        Ok(())
    }

    /// Opens a document or array; the result goes to [`Self::end`].
    #[inline]
    pub(super) fn begin(&mut self) -> usize {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        start
    }

    #[inline]
    pub(super) fn end(&mut self, start: usize) {
        self.out.push(0);
        // The limit keeps every size far below 2^32.
        let size = u32::try_from(self.out.len() - start).unwrap_or(u32::MAX);
        put_u32(self.out, start, size);
    }

    /// Writes the type of an element whose value has just been appended.
    #[inline]
    pub(super) fn set_type(&mut self, element_at: usize, kind: ElementType) {
        if let Some(byte) = self.out.get_mut(element_at) {
            *byte = kind as u8;
        }
        if kind == ElementType::Int64 && self.open > 0 && self.next_point.is_none() {
            self.scratch.integers.push(Integer {
                element_at: u32::try_from(element_at - self.start).unwrap_or(u32::MAX),
                value_at: self.offset() - 8,
            });
        }
    }

    /// Counts an object that opens; gives its number and, in the second pass, whether it is a
    /// Point. Objects open in the same order in both passes.
    pub(super) fn open_object(&mut self) -> (u32, bool) {
        let number = self.opened;
        self.opened += 1;
        self.open += 1;
        let Some(next) = self.next_point else {
            return (number, false);
        };
        let is_point = self.scratch.points.get(next) == Some(&number);
        self.next_point = Some(next + usize::from(is_point));
        (number, is_point)
    }

    /// Ends an object that the first pass found to be a Point, or not.
    pub(super) fn close_object(&mut self, number: u32, closed: ClosedObject) {
        self.open -= 1;
        if closed.is_point && self.next_point.is_none() {
            self.scratch.points.push(number);
            if self.inferred == closed.inferred_before {
                self.integers_to_doubles(closed.integers_before);
            } else {
                self.needs_second_pass = true;
            }
        }
        if self.open == 0 {
            self.scratch.integers.clear();
        }
    }

    /// Every integer is converted once at most, however deep Points lie in Points.
    #[expect(
        clippy::cast_precision_loss,
        reason = "as reading it as a double would"
    )]
    fn integers_to_doubles(&mut self, first: usize) {
        let inside = self.scratch.integers.get(first..).unwrap_or_default();
        for integer in inside {
            let value_at = self.start + integer.value_at as usize;
            let value = get_i64(self.out, value_at).unwrap_or_default();
            put_f64(self.out, value_at, value as f64);
            if let Some(byte) = self.out.get_mut(self.start + integer.element_at as usize) {
                *byte = ElementType::Double as u8;
            }
        }
        self.scratch.integers.truncate(first);
    }
}

/// What is known of an object at its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClosedObject {
    /// Whether its last `"type"` is `"Point"`.
    pub(super) is_point: bool,
    /// `State::inferred` when it opened.
    pub(super) inferred_before: u64,
    /// Length of `Scratch::integers` when it opened.
    pub(super) integers_before: usize,
}
