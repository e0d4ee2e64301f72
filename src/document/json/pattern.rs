//! Documents that differ from one another in their values only.
//!
//! Most documents of a collection have the same fields in the same order, and so the same text
//! between their values. A pattern is that text, cut where values stand, with the BSON that each
//! piece becomes: a document that fits is read in one comparison and one copy for each value. One
//! that does not fit is read as always, from its start.
//!
//! ```text
//! {"_id":"user_7","fields":{"age":27,"place":{"city":"Oslo"},"tags":["a"]}}
//! ------          -----------------  ----------------        --------     -
//! ```
//!
//! A pattern is made from a document that was read, and taken only if it gives the same bytes. From
//! then on it holds for any values, but for those that change what stands around them: an empty
//! `_id`, and whether an object's "type" is "Point". These are looked at each time.
//!
//! The objects of an array are mostly alike as well. They have a pattern of their own, made from the
//! first one that comes.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions within the text and the output, which are in memory, and counts of what is in them"
)]

use super::fitting::{Draft, Fitting};
use super::reader::{NotPlain, PlainReader};
use super::shapes::ShapeId;
use super::state::{Scratch, State};
use crate::document::bson::ElementType;
use crate::document::{ID_FIELD, InferTypes};
use std::cell::OnceCell;
use wide::u8x16;

/// A longer text is no pattern's: it takes memory for each value, and in each thread.
const LONGEST_TEXT: usize = 32 * 1024;
/// What every document with a pattern begins with.
const BEGIN: &[u8] = b"{\"_id\":";
/// A pattern has no more objects in one another.
pub(super) const MOST_OPEN: usize = 16;
/// Pieces of less than so many bytes are compared and copied in one step.
pub(super) const SHORT_PIECE: usize = 32;
/// What stands before a value becomes no more than this.
pub(super) const LONGEST_ELEMENT: usize = u8::MAX as usize;

/// Text between values.
#[derive(Debug, Default)]
pub(super) struct Piece {
    bytes: Vec<u8>,
    /// Its beginning, with zeros behind it if it is shorter, and a bit for each of these.
    short: [u8; SHORT_PIECE],
    ignored: u32,
}

impl Piece {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            short: beginning(&bytes),
            ignored: u32::try_from(bytes.len())
                .ok()
                .and_then(|length| u32::MAX.checked_shl(length))
                .unwrap_or(0),
            bytes,
        }
    }

    /// Whether a text begins with this short piece.
    #[inline(always)]
    pub(super) fn begins(&self, text: &[u8; SHORT_PIECE]) -> bool {
        let ([own, own_more], [other, other_more]) = (halves(&self.short), halves(text));
        let equal = own.simd_eq(other).to_bitmask();
        let more_equal = own_more.simd_eq(other_more).to_bitmask();
        equal | more_equal << 16 | self.ignored == u32::MAX
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What follows in a text that begins with this.
    #[inline(always)]
    pub(super) fn pass<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        match text.first_chunk() {
            Some(beginning) if self.bytes.len() < SHORT_PIECE && self.begins(beginning) => {
                text.get(self.bytes.len()..)
            }
            _ => text.strip_prefix(self.bytes.as_slice()),
        }
    }
}

/// The first bytes, with zeros behind them.
fn beginning(bytes: &[u8]) -> [u8; SHORT_PIECE] {
    let mut beginning = [0; SHORT_PIECE];
    for (place, byte) in beginning.iter_mut().zip(bytes) {
        *place = *byte;
    }
    beginning
}

#[inline(always)]
fn halves(bytes: &[u8; SHORT_PIECE]) -> [u8x16; 2] {
    let (halves, _) = bytes.as_chunks();
    let [first, second] = halves else {
        return [u8x16::ZERO; 2];
    };
    [u8x16::new(*first), u8x16::new(*second)]
}

/// A value, with what stands before it.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// From the value before up to this one.
    pub(super) text: Piece,
    /// Objects that end there.
    pub(super) closes: u8,
    /// What the rest of it becomes; types and sizes that are not known yet are 0.
    pub(super) element: Vec<u8>,
    /// Its beginning, with zeros behind it if it is shorter, and the type that values mostly have.
    pub(super) short_element: [u8; SHORT_PIECE],
    /// Where the sizes of objects that begin are in `element`.
    pub(super) opens: Vec<u8>,
    /// Where the value's type is in `element`.
    pub(super) type_at: usize,
    /// The length of a short `text`, and that of `element`.
    text_length: u8,
    pub(super) element_length: u8,
    /// Both pieces are short, no object begins or ends, and the value may be any.
    pub(super) is_usual: bool,
    pub(super) depth: usize,
    /// The value lies in a Point, at any depth.
    pub(super) in_point: bool,
    /// The value is the "type" of an object within the document, which says whether this is a Point.
    pub(super) point: Option<bool>,
    /// The pattern of the objects in the value, if it is an array and they have one; not set before
    /// one has come.
    pub(super) objects: OnceCell<Option<Box<Pattern>>>,
}

impl Step {
    /// The length of the text, if it is short.
    #[inline(always)]
    pub(super) fn text_length(&self) -> usize {
        usize::from(self.text_length) % SHORT_PIECE
    }
}

/// The text between the values of a document, or of an object in an array.
#[derive(Debug)]
pub(super) struct Pattern {
    /// A document's first one has the `_id`.
    pub(super) steps: Vec<Step>,
    pub(super) end: Piece,
    /// Objects that end there, the document or object itself among them.
    pub(super) closes: u8,
}

impl Pattern {
    /// The pattern of a document whose text is this, as a whole.
    fn of(text: &[u8]) -> Option<Self> {
        // The document's fields, and the values in them.
        let mut maker = Maker::new(text, 2);
        maker.document()?;
        Some(maker.pattern())
    }

    /// The pattern of an object whose text is this, as a whole, in an array that is the value of
    /// `step`. None that has the name "type" has one: it could be a Point.
    fn of_object(text: &[u8], step: &Step) -> Option<Self> {
        let mut maker = Maker::new(text, step.depth + 2);
        maker.in_array = true;
        maker.in_point = step.in_point;
        maker.object_in_array()?;
        Some(maker.pattern())
    }

    /// [`Self::of_object`] of the object that a text begins with, if it gives the same bytes as
    /// reading it without.
    #[cold]
    pub(super) fn learn_object(text: &str, step: &Step) -> Option<Box<Self>> {
        let text = up_to(text, LONGEST_TEXT);
        let mut buffers = <(Scratch, Vec<u8>)>::default();
        let mut state = State::new(InferTypes::default(), &mut buffers.0, &mut buffers.1);
        state.literal = step.in_point;
        let mut reader = PlainReader::new(text, &mut state);
        reader.value(step.depth + 1, ShapeId::TOP).ok()?;
        let text = text.get(..reader.at)?;
        let pattern = Self::of_object(text.as_bytes(), step)?;
        let (mut scratch, mut out) = Default::default();
        let mut state = State::new(InferTypes::default(), &mut scratch, &mut out);
        let mut draft = Draft::default();
        let read = Fitting::new(text, &mut state, &mut draft).object_alone(&pattern);
        (read == Ok(text.len()) && out == buffers.1).then(|| Box::new(pattern))
    }
}

/// The beginning of a text that is longer than so many bytes.
fn up_to(text: &str, bytes: usize) -> &str {
    let mut ends = (0..=bytes.min(text.len())).rev();
    ends.find_map(|end| text.get(..end)).unwrap_or_default()
}

/// Makes a pattern. The text is known to be plain; what does not fit one all the same ends it.
struct Maker<'t> {
    text: &'t [u8],
    at: usize,
    /// Where the text of the step begins.
    from: usize,
    /// That of the outermost values.
    depth: usize,
    /// What the text is lies in an array, and all of it in a Point.
    in_array: bool,
    in_point: bool,
    step: Step,
    element: Vec<u8>,
    /// With the objects that each lies in, by number.
    steps: Vec<(Step, Vec<usize>)>,
    /// Whether each object is a Point, in the order in which they begin.
    objects: Vec<bool>,
    /// Those that are open.
    open: Vec<usize>,
}

impl<'t> Maker<'t> {
    fn new(text: &'t [u8], depth: usize) -> Self {
        Self {
            text,
            at: 0,
            from: 0,
            depth,
            in_array: false,
            in_point: false,
            step: Step::default(),
            element: vec![0; 4],
            steps: Vec::new(),
            objects: Vec::new(),
            open: Vec::new(),
        }
    }

    fn pattern(self) -> Pattern {
        let Self {
            mut steps,
            objects,
            step,
            in_point,
            ..
        } = self;
        // What an object is shows at its end.
        for (step, within) in &mut steps {
            step.in_point = in_point
                || within
                    .iter()
                    .any(|object| objects.get(*object) == Some(&true));
            step.is_usual &= !step.in_point;
            if let (Some(is_point), Some(object)) = (&mut step.point, within.last()) {
                *is_point = objects.get(*object) == Some(&true);
            }
        }
        Pattern {
            steps: steps.into_iter().map(|(step, _)| step).collect(),
            end: step.text,
            closes: step.closes,
        }
    }

    fn document(&mut self) -> Option<()> {
        self.pass(BEGIN)?;
        self.name(ID_FIELD.as_bytes());
        self.value(false)?;
        self.pass(b",\"fields\":{")?;
        self.members()?;
        self.pass(b"}")?;
        self.end()
    }

    fn object_in_array(&mut self) -> Option<()> {
        // Each object and each array around the values is one level; not all of them are open in
        // the draft.
        if self.depth > MOST_OPEN {
            return None;
        }
        self.step.opens.push(0);
        self.pass(b"{")?;
        self.members()?;
        self.end()
    }

    fn end(&mut self) -> Option<()> {
        if self.at != self.text.len() {
            return None;
        }
        self.step.closes += 1;
        self.step.text = Piece::new(self.text.get(self.from..)?.to_vec());
        Some(())
    }

    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn pass(&mut self, text: &[u8]) -> Option<()> {
        let begins = self.rest().starts_with(text);
        self.at += text.len();
        begins.then_some(())
    }

    fn name(&mut self, name: &[u8]) {
        self.step.type_at = self.element.len();
        self.element.push(0);
        self.element.extend_from_slice(name);
        self.element.push(0);
    }

    /// The members of an object from its bracket on, and its end.
    fn members(&mut self) -> Option<()> {
        if self.rest().starts_with(b"}") {
            return self.pass(b"}");
        }
        loop {
            self.pass(b"\"")?;
            let name = self.rest();
            let length = name.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            let name = name.get(..length)?.to_vec();
            self.at += length;
            self.pass(b"\":")?;
            self.name(&name);
            if self.in_array && name == b"type" {
                return None;
            }
            let is_object = self.rest().starts_with(b"{") && !self.rest().starts_with(b"{}");
            if is_object {
                self.object()?;
            } else {
                self.value(name == b"type" && !self.open.is_empty())?;
            }
            if self.rest().starts_with(b"}") {
                return self.pass(b"}");
            }
            self.pass(b",")?;
        }
    }

    fn object(&mut self) -> Option<()> {
        if self.depth + self.open.len() > MOST_OPEN {
            return None;
        }
        *self.element.get_mut(self.step.type_at)? = ElementType::Document as u8;
        self.step.opens.push(u8::try_from(self.element.len()).ok()?);
        self.element.extend_from_slice(&[0; 4]);
        self.open.push(self.objects.len());
        self.objects.push(false);
        self.pass(b"{")?;
        self.members()?;
        self.open.pop();
        self.step.closes += 1;
        Some(())
    }

    /// Passes a value, which ends a step; it may say whether the object it lies in is a Point.
    fn value(&mut self, says_point: bool) -> Option<()> {
        let text = self.text.get(self.from..self.at)?.to_vec();
        let element = std::mem::take(&mut self.element);
        let mut short_element = beginning(&element);
        if let Some(kind) = short_element.get_mut(self.step.type_at) {
            *kind = ElementType::String as u8;
        }
        let is_short = text.len() < SHORT_PIECE && element.len() < SHORT_PIECE;
        let begun = std::mem::take(&mut self.step);
        let step = Step {
            is_usual: is_short && begun.closes == 0 && begun.opens.is_empty() && !says_point,
            text_length: u8::try_from(text.len() % SHORT_PIECE).ok()?,
            text: Piece::new(text),
            short_element,
            element_length: u8::try_from(element.len()).ok()?,
            element,
            depth: self.depth + self.open.len(),
            point: says_point.then_some(false),
            ..begun
        };
        let length = value_length(self.rest())?;
        if says_point
            && self.rest().get(..length) == Some(b"\"Point\"")
            && let Some(object) = self.open.last()
        {
            *self.objects.get_mut(*object)? = true;
        }
        self.steps.push((step, self.open.clone()));
        self.at += length;
        self.from = self.at;
        Some(())
    }
}

/// Bytes of the value that plain text begins with.
fn value_length(text: &[u8]) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b',' | b'}' if depth == 0 => return Some(at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// What a document that fits is worth, and what one costs that does not.
const FITS: i32 = 1;
const FITS_NOT: i32 = -4;
/// A pattern is worth at most so much, and begins with a part of it.
const MOST_WORTH: i32 = 256;
const FIRST_WORTH: i32 = 16;
/// Documents until another pattern is tried, at most.
const LONGEST_WAIT: u32 = 4096;

/// The pattern of the documents that come now, if they have one.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    pattern: Option<Pattern>,
    pub(super) draft: Draft,
    worth: i32,
    /// Documents that had one.
    #[cfg(test)]
    pub(super) fitted: u64,
    /// Documents until the next one is tried, and how many there were the last time.
    wait: u32,
    last_wait: u32,
}

impl Patterns {
    /// Reads a document that fits; gives the bytes that it takes. After an error, the state is to
    /// be begun anew. `None` if there is no pattern.
    #[inline]
    pub(super) fn read(
        &mut self,
        text: &str,
        state: &mut State<'_>,
    ) -> Option<Result<usize, NotPlain>> {
        let pattern = self.pattern.as_ref()?;
        let read = Fitting::new(text, state, &mut self.draft).document(pattern);
        if read.is_ok() && !state.needs_second_pass {
            self.worth = (self.worth + FITS).min(MOST_WORTH);
            #[cfg(test)]
            {
                self.fitted += 1;
            }
            return Some(read);
        }
        self.worth += FITS_NOT;
        if self.worth < 0 {
            self.give_up();
        }
        Some(Err(NotPlain))
    }

    #[cold]
    fn give_up(&mut self) {
        self.pattern = None;
        self.last_wait = (2 * self.last_wait).clamp(1, LONGEST_WAIT);
        self.wait = self.last_wait;
    }

    /// Learns from a document that was read without a pattern: its text, and what became of it.
    #[inline]
    pub(super) fn learn(&mut self, infer: InferTypes, text: &str, document: &[u8]) {
        let has_room = text.len() <= LONGEST_TEXT && self.pattern.is_none();
        if has_room && infer == InferTypes::default() {
            self.try_one(infer, text, document);
        }
    }

    fn try_one(&mut self, infer: InferTypes, text: &str, document: &[u8]) {
        if self.wait > 0 {
            self.wait -= 1;
            return;
        }
        self.pattern = Pattern::of(text.as_bytes());
        let fits = self.pattern.as_ref().is_some_and(|pattern| {
            let (mut scratch, mut out) = Default::default();
            let mut state = State::new(infer, &mut scratch, &mut out);
            let read = Fitting::new(text, &mut state, &mut self.draft).document(pattern);
            let once = !state.needs_second_pass;
            read == Ok(text.len()) && once && out == document
        });
        if fits {
            self.worth = FIRST_WORTH;
        } else {
            self.give_up();
        }
    }
}
