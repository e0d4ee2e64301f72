//! Reading a document that fits a pattern.
//!
//! Short values, which nearly all are, take a few instructions each: they are put together in a
//! draft of fixed size, so that appending needs no look at how much room there is, and bytes may be
//! written beyond a value's end that the next one overwrites. Longer strings and common escapes are
//! put together there too (`long.rs`). Whatever takes more is read as in any other document, behind
//! what was drafted so far.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions within the text and the output, which are in memory, and counts of what is in them"
)]

use super::long::long_string;
use super::numbers::small_integer;
use super::object::POINT;
use super::pattern::{LONGEST_ELEMENT, MOST_OPEN, Pattern, SHORT_PIECE, Step};
use super::reader::{NotPlain, PlainReader};
use super::shapes::ShapeId;
use super::short::{SHORT, STRING, any_short, string};
use super::state::State;
use crate::bytes::{get_u32, put_u32};
use crate::document::bson::ElementType;

/// So much is put together before it is appended to the output.
const DRAFT: usize = 4096;
/// Room for all that a step or an element can write before its value, and for a short one.
const ROOM: usize = MOST_OPEN + LONGEST_ELEMENT + SHORT;
/// Text of a short piece and a short string.
const WINDOW: usize = SHORT_PIECE + STRING;
/// Array elements with names of one digit.
const FEW_ELEMENTS: u32 = 10;
/// What stands before the value of such an element.
const ELEMENT_HEAD: usize = 3;
/// Where the type and the value of the `_id` are.
const ID_TYPE_AT: usize = 4;
const ID_VALUE_AT: usize = ID_TYPE_AT + 1 + b"_id\0".len();

/// The part of the output that is being put together.
#[derive(Debug)]
pub(super) struct Draft {
    bytes: Box<[u8; DRAFT]>,
    /// Objects of arrays that had a pattern.
    #[cfg(test)]
    pub(super) alike: u64,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            bytes: Box::new([0; DRAFT]),
            #[cfg(test)]
            alike: 0,
        }
    }
}

/// What is still to be read, and how much of the draft is written.
type Place<'t> = (&'t [u8], usize);

/// One document on its way.
pub(super) struct Fitting<'t, 's, 'o, 'd> {
    reader: PlainReader<'t, 's, 'o>,
    draft: &'d mut [u8; DRAFT],
    open: Open,
    #[cfg(test)]
    alike: &'d mut u64,
}

impl<'t, 's, 'o, 'd> Fitting<'t, 's, 'o, 'd> {
    #[inline(always)]
    pub(super) fn new(text: &'t str, state: &'s mut State<'o>, draft: &'d mut Draft) -> Self {
        Self {
            reader: PlainReader::new(text, state),
            draft: &mut draft.bytes,
            #[cfg(test)]
            alike: &mut draft.alike,
            open: Open::default(),
        }
    }

    /// Reads a whole document that has this pattern; gives the bytes that it takes.
    pub(super) fn document(mut self, pattern: &Pattern) -> Result<usize, NotPlain> {
        self.open.begin(self.reader.state.out.len());
        let (rest, drafted) = self.whole(pattern, self.reader.bytes(), 0)?;
        self.append(drafted);
        self.id()?;
        Ok(self.reader.text.len() - rest.len())
    }

    /// Reads an object of an array as a whole; gives the bytes that it takes.
    #[cold]
    pub(super) fn object_alone(mut self, pattern: &Pattern) -> Result<usize, NotPlain> {
        let (rest, drafted) = self.whole(pattern, self.reader.bytes(), 0)?;
        self.append(drafted);
        Ok(self.reader.text.len() - rest.len())
    }

    /// Reads all that has this pattern.
    #[inline(always)]
    fn whole(
        &mut self,
        pattern: &Pattern,
        mut rest: &'t [u8],
        mut drafted: usize,
    ) -> Result<Place<'t>, NotPlain> {
        for step in &pattern.steps {
            let element_at;
            let value_at;
            if let Some((window, at)) = begin_usual(step, rest, self.draft, drafted) {
                let length = step.text_length();
                if let Some((text, bson)) = usual_value(step, window, self.draft, drafted, at) {
                    rest = rest.get(length + text..).unwrap_or_default();
                    drafted = at + bson;
                    continue;
                }
                rest = rest.get(length..).unwrap_or_default();
                (element_at, value_at) = (drafted, at);
            } else if step.point.is_some() {
                (rest, drafted) = self.telling(step, rest, drafted)?;
                continue;
            } else {
                element_at = self.begin(step, rest, drafted).ok_or(NotPlain)?;
                value_at = element_at + step.element.len();
                rest = rest.get(step.text.len()..).unwrap_or_default();
            }
            (rest, drafted) = self.any_value(step, rest, element_at, value_at)?;
        }
        rest = pattern.end.pass(rest).ok_or(NotPlain)?;
        drafted = self.room(drafted)?;
        Ok((rest, self.close(drafted, pattern.closes)))
    }

    /// The output's length, with what is drafted.
    #[inline(always)]
    fn written(&self, drafted: usize) -> usize {
        self.reader.state.out.len() + drafted
    }

    /// Drafts what any value begins with; gives where its element begins.
    #[inline(never)]
    fn begin(&mut self, step: &Step, rest: &[u8], drafted: usize) -> Option<usize> {
        step.text.pass(rest)?;
        let drafted = self.room(drafted).ok()?;
        let element_at = self.close(drafted, step.closes);
        let place = self.draft.get_mut(element_at..).unwrap_or_default();
        if let (true, Some(place)) = (step.element.len() <= SHORT_PIECE, place.first_chunk_mut()) {
            *place = step.short_element;
        } else if let Some(place) = place.get_mut(..step.element.len()) {
            place.copy_from_slice(&step.element);
        }
        for start in &step.opens {
            self.open
                .begin(self.written(element_at + usize::from(*start)));
        }
        Some(element_at)
    }

    /// Reads a value that tells whether an object is a Point, with what stands before it.
    #[inline(never)]
    fn telling(
        &mut self,
        step: &Step,
        rest: &'t [u8],
        drafted: usize,
    ) -> Result<Place<'t>, NotPlain> {
        let element_at = self.begin(step, rest, drafted).ok_or(NotPlain)?;
        let rest = rest.get(step.text.len()..).unwrap_or_default();
        let value_at = element_at + step.element.len();
        let written = self.written(value_at);
        let (rest, drafted) = self.any_value(step, rest, element_at, value_at)?;
        // No value of another type has these bytes.
        let is_point = self.value_from(written, drafted) == POINT;
        if step.point != Some(is_point) {
            return Err(NotPlain);
        }
        Ok((rest, drafted))
    }

    /// Reads any value behind what is drafted of its element.
    #[inline(always)]
    fn any_value(
        &mut self,
        step: &Step,
        rest: &'t [u8],
        element_at: usize,
        value_at: usize,
    ) -> Result<Place<'t>, NotPlain> {
        if rest.first() != Some(&b'[')
            && let Some(room) = room(self.draft, value_at)
            && let Some(short) = any_short(rest, step.in_point, room)
        {
            self.set_type(element_at + step.type_at, short.kind);
            let rest = rest.get(short.text()..).unwrap_or_default();
            return Ok((rest, value_at + short.bson()));
        }
        self.value(step, rest, element_at, value_at)
    }

    /// [`Self::any_value`] of one that is not short.
    #[inline(never)]
    fn value(
        &mut self,
        step: &Step,
        rest: &'t [u8],
        element_at: usize,
        value_at: usize,
    ) -> Result<Place<'t>, NotPlain> {
        let type_at = element_at + step.type_at;
        if let Some((b'[', rest)) = rest.split_first() {
            self.set_type(type_at, ElementType::Array);
            return self.array(step, rest, value_at);
        }
        let place = self.draft.get_mut(value_at..).unwrap_or_default();
        if let Some((text, bson)) = long_string(rest, place) {
            self.set_type(type_at, ElementType::String);
            let rest = rest.get(text..).unwrap_or_default();
            return Ok((rest, value_at + bson));
        }
        let type_at = self.written(type_at);
        self.leave(step, rest, value_at)?;
        let kind = self.reader.value(step.depth, ShapeId::TOP)?;
        if let Some(byte) = self.reader.state.out.get_mut(type_at) {
            *byte = kind as u8;
        }
        Ok(self.resume())
    }

    #[inline(always)]
    fn set_type(&mut self, type_at: usize, kind: ElementType) {
        if let Some(byte) = self.draft.get_mut(type_at) {
            *byte = kind as u8;
        }
    }

    /// Reads an array from behind its bracket on: short values and objects that are alike here, and
    /// from the first other one on as any array.
    fn array(
        &mut self,
        step: &Step,
        mut rest: &'t [u8],
        drafted: usize,
    ) -> Result<Place<'t>, NotPlain> {
        self.reader.state.level::<NotPlain>(step.depth)?;
        let mut drafted = self.room(drafted)?;
        let start = self.written(drafted);
        drafted += size_of::<u32>();
        let mut position = 0;
        let mut goes_on = rest.first() != Some(&b']');
        if !goes_on {
            rest = rest.get(1..).unwrap_or_default();
        }
        while goes_on {
            let after;
            if let Some((text, bson)) = short_element(step, rest, self.draft, drafted, position) {
                after = rest.get(text..).unwrap_or_default();
                drafted += bson;
            } else {
                drafted = self.room(drafted)?;
                let Some(place) = self.object(step, rest, drafted, position)? else {
                    return self.elements(step, (rest, drafted), start, position, false);
                };
                (after, drafted) = place;
            }
            position += 1;
            let Some((byte @ (b',' | b']'), after)) = after.split_first() else {
                return self.elements(step, (after, drafted), start, position, true);
            };
            goes_on = *byte == b',';
            rest = after;
        }
        let drafted = self.room(drafted)?;
        Ok((rest, self.end(drafted, start)))
    }

    /// Reads an element of an array that is an object like the first one was; `None` if it is
    /// not, with the draft as before.
    #[inline(never)]
    fn object(
        &mut self,
        step: &Step,
        rest: &'t [u8],
        drafted: usize,
        position: u32,
    ) -> Result<Option<Place<'t>>, NotPlain> {
        if position >= FEW_ELEMENTS || !rest.starts_with(b"{\"") {
            return Ok(None);
        }
        let objects = step.objects.get_or_init(|| {
            let at = self.reader.text.len() - rest.len();
            let text = self.reader.text.get(at..).unwrap_or_default();
            Pattern::learn_object(text, step)
        });
        let (Some(pattern), Some(head)) = (objects, room(self.draft, drafted)) else {
            return Ok(None);
        };
        *head = element_head(ElementType::Document, position);
        let (appended, open) = (self.reader.state.out.len(), self.open.count);
        match self.whole(pattern, rest, drafted + ELEMENT_HEAD) {
            Ok(place) => {
                #[cfg(test)]
                {
                    *self.alike += 1;
                }
                Ok(Some(place))
            }
            Err(NotPlain) if self.reader.state.out.len() == appended => {
                self.open.count = open;
                Ok(None)
            }
            // What was appended is not taken back.
            Err(NotPlain) => Err(NotPlain),
        }
    }

    /// Reads what an array has from an element on, which is the first or stands behind a comma, or
    /// from behind an element on.
    #[inline(never)]
    fn elements(
        &mut self,
        step: &Step,
        (rest, drafted): Place<'t>,
        start: usize,
        position: u32,
        is_behind: bool,
    ) -> Result<Place<'t>, NotPlain> {
        self.leave(step, rest, drafted)?;
        let goes_on = match position {
            _ if is_behind => self.reader.goes_on(b']')?,
            0 => !self.reader.ends(b']')?,
            _ => true,
        };
        self.reader
            .elements(start, position, goes_on, step.depth, ShapeId::TOP)?;
        Ok(self.resume())
    }

    /// The first value is the `_id`, if it can be one.
    #[inline(always)]
    fn id(&self) -> Result<(), NotPlain> {
        let document = self.reader.state.out.get(self.reader.state.start..);
        let document = document.unwrap_or_default();
        let kind = document.get(ID_TYPE_AT).copied().unwrap_or_default();
        let is_id = match ElementType::from_byte(kind) {
            Some(ElementType::String) => get_u32(document, ID_VALUE_AT) > Some(1),
            kind => kind == Some(ElementType::ObjectId),
        };
        is_id.then_some(()).ok_or(NotPlain)
    }

    /// The value that was written last, drafted or not.
    fn value_from(&self, value_at: usize, drafted: usize) -> &[u8] {
        let out = &*self.reader.state.out;
        let value = match value_at.checked_sub(out.len()) {
            Some(at) => self.draft.get(at..drafted),
            None => out.get(value_at..),
        };
        value.unwrap_or_default()
    }

    /// Ends objects; gives how much is drafted then.
    fn close(&mut self, drafted: usize, count: u8) -> usize {
        (0..count).fold(drafted, |drafted, _| match self.open.end() {
            Some(start) => self.end(drafted, start),
            None => drafted,
        })
    }

    /// Ends the object or array that begins at `start` in the output.
    fn end(&mut self, drafted: usize, start: usize) -> usize {
        if let Some(place) = self.draft.get_mut(drafted) {
            *place = 0;
        }
        let drafted = drafted + 1;
        let out = &mut *self.reader.state.out;
        // The limit on the output keeps every size far below 2^32.
        let size = u32::try_from(out.len() + drafted - start).unwrap_or(u32::MAX);
        match start.checked_sub(out.len()) {
            Some(at) => {
                if let Some(place) = room(self.draft, at) {
                    *place = size.to_le_bytes();
                }
            }
            None => put_u32(out, start, size),
        }
        drafted
    }

    /// Makes room in the draft for all that a step can write; gives how much is drafted then.
    #[inline(always)]
    fn room(&mut self, drafted: usize) -> Result<usize, NotPlain> {
        if drafted <= DRAFT - ROOM {
            return Ok(drafted);
        }
        self.append(drafted);
        self.reader.state.room::<NotPlain>(0)?;
        Ok(0)
    }

    #[inline(always)]
    fn append(&mut self, drafted: usize) {
        let drafted = self.draft.get(..drafted).unwrap_or_default();
        self.reader.state.out.extend_from_slice(drafted);
    }

    /// Lets the reader go on from here.
    fn leave(&mut self, step: &Step, rest: &[u8], drafted: usize) -> Result<(), NotPlain> {
        self.append(drafted);
        self.reader.at = self.reader.text.len() - rest.len();
        self.reader.state.literal = step.in_point;
        self.reader.state.room(0)
    }

    /// Goes on from where the reader is.
    fn resume(&mut self) -> Place<'t> {
        self.reader.state.literal = false;
        let bytes = self.reader.bytes();
        (bytes.get(self.reader.at..).unwrap_or_default(), 0)
    }
}

/// Drafts the name of a value, if what stands before it is all that there is to do; gives the text
/// that the value begins with, and where it goes.
#[inline(always)]
fn begin_usual<'t>(
    step: &Step,
    rest: &'t [u8],
    draft: &mut [u8; DRAFT],
    drafted: usize,
) -> Option<(&'t [u8; STRING], usize)> {
    let window: &[u8; WINDOW] = rest.first_chunk()?;
    if !step.is_usual || !step.text.begins(window.first_chunk()?) {
        return None;
    }
    let room: &mut [u8; ROOM] = room(draft, drafted)?;
    *room.first_chunk_mut()? = step.short_element;
    let value = window.get(step.text_length()..)?.first_chunk()?;
    Some((value, drafted + usize::from(step.element_length)))
}

/// Drafts a value as most are; gives the bytes of text and of BSON. Its type stands there for a
/// string.
#[inline(always)]
fn usual_value(
    step: &Step,
    window: &[u8; STRING],
    draft: &mut [u8; DRAFT],
    element_at: usize,
    value_at: usize,
) -> Option<(usize, usize)> {
    let place: &mut [u8; SHORT] = room(draft, value_at)?;
    if let Some(length) = string(window, place) {
        return Some((1 + length + 1, 4 + length + 1));
    }
    let (number, length) = small_integer(window.first_chunk()?)?;
    *place.first_chunk_mut()? = number.to_le_bytes();
    *draft.get_mut(element_at + step.type_at)? = ElementType::Int64 as u8;
    Some((length, size_of_val(&number)))
}

/// Drafts an element of an array, if it is a short value and one of the first; gives the bytes of
/// text and of BSON.
#[inline(always)]
fn short_element(
    step: &Step,
    rest: &[u8],
    draft: &mut [u8; DRAFT],
    drafted: usize,
    position: u32,
) -> Option<(usize, usize)> {
    if position >= FEW_ELEMENTS {
        return None;
    }
    let room: &mut [u8; ELEMENT_HEAD + SHORT] = room(draft, drafted)?;
    let (head, room) = room.split_first_chunk_mut::<ELEMENT_HEAD>()?;
    let room = room.first_chunk_mut()?;
    if let Some(length) = rest.first_chunk().and_then(|window| string(window, room)) {
        *head = element_head(ElementType::String, position);
        return Some((1 + length + 1, ELEMENT_HEAD + 4 + length + 1));
    }
    let short = any_short(rest, step.in_point, room)?;
    *head = element_head(short.kind, position);
    Some((short.text(), ELEMENT_HEAD + short.bson()))
}

/// What stands before the value of one of the first elements of an array.
#[inline(always)]
fn element_head(kind: ElementType, position: u32) -> [u8; ELEMENT_HEAD] {
    let digit = b'0' + u8::try_from(position).unwrap_or_default();
    [kind as u8, digit, 0]
}

/// A place in the draft with so much room, if it has that.
#[inline(always)]
fn room<const BYTES: usize>(draft: &mut [u8; DRAFT], at: usize) -> Option<&mut [u8; BYTES]> {
    draft.get_mut(at..)?.first_chunk_mut()
}

/// Where the open objects begin in the output.
#[derive(Default)]
struct Open {
    starts: [usize; MOST_OPEN],
    count: usize,
}

impl Open {
    fn begin(&mut self, start: usize) {
        if let Some(place) = self.starts.get_mut(self.count) {
            *place = start;
        }
        self.count += 1;
    }

    fn end(&mut self) -> Option<usize> {
        self.count = self.count.checked_sub(1)?;
        self.starts.get(self.count).copied()
    }
}
