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

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions within the text and the output, which are in memory, and counts of what is in them"
)]

use super::reader::{NotPlain, PlainReader};
use super::shapes::ShapeId;
use super::state::{IdState, State};
use crate::document::bson::ElementType;
use crate::document::{ID_FIELD, InferTypes};
use wide::u8x16;

/// What every document with a pattern begins with.
const BEGIN: &[u8] = b"{\"_id\":";
/// A pattern has no more objects in one another.
const MOST_OPEN: usize = 16;
/// Pieces of up to so many bytes are compared and copied in one step.
const STEP: usize = 32;
/// The value of a Point's "type".
const POINT: &[u8] = b"\x06\0\0\0Point\0";

/// A few bytes of text or BSON.
#[derive(Debug, Default)]
struct Piece {
    bytes: Vec<u8>,
    /// The same with zeros behind it, if it is short enough.
    short: Option<Short>,
}

#[derive(Debug)]
struct Short {
    bytes: [u8; STEP],
    /// Its halves, and ones where bytes count in them.
    halves: [u8x16; 2],
    masks: [u8x16; 2],
}

impl Piece {
    fn new(bytes: Vec<u8>) -> Self {
        let mut padded = [0; STEP];
        let mut mask = [0; STEP];
        for (byte, (place, mask)) in bytes.iter().zip(padded.iter_mut().zip(&mut mask)) {
            (*place, *mask) = (*byte, u8::MAX);
        }
        let short = Short {
            bytes: padded,
            halves: halves(&padded),
            masks: halves(&mask),
        };
        Self {
            short: (bytes.len() <= STEP).then_some(short),
            bytes,
        }
    }

    #[inline]
    fn len(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    fn begins(&self, text: &[u8]) -> bool {
        let (Some(short), Some(text)) = (&self.short, text.first_chunk()) else {
            return text.starts_with(&self.bytes);
        };
        let ([own, more], [other, other_more]) = (short.halves, halves(text));
        let [mask, more_mask] = short.masks;
        let differ = ((own ^ other) & mask) | ((more ^ other_more) & more_mask);
        differ.simd_eq(u8x16::ZERO).to_bitmask() == 0xFFFF
    }

    #[inline]
    fn append(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.bytes.len();
        match &self.short {
            Some(short) => out.extend_from_slice(&short.bytes),
            None => out.extend_from_slice(&self.bytes),
        }
        out.truncate(end);
    }
}

#[inline]
fn halves(bytes: &[u8; STEP]) -> [u8x16; 2] {
    let (halves, _) = bytes.as_chunks();
    let [first, second] = halves else {
        return [u8x16::ZERO; 2];
    };
    [u8x16::new(*first), u8x16::new(*second)]
}

/// A value, with what stands before it.
#[derive(Debug, Default)]
struct Step {
    /// From the value before up to this one.
    text: Piece,
    /// Objects that end there.
    closes: u8,
    /// What the rest of it becomes; types and sizes that are not known yet are 0.
    element: Piece,
    /// Where the sizes of objects that begin are in `element`.
    opens: Vec<u8>,
    /// Where the value's type is in `element`.
    type_at: usize,
    depth: usize,
    /// The value lies in a Point, at any depth.
    in_point: bool,
    /// The value is the "type" of an object within the document, which says whether this is a Point.
    point: Option<bool>,
}

/// The text between the values of a document.
#[derive(Debug)]
struct Pattern {
    /// The first one's value is the `_id`.
    steps: Vec<Step>,
    end: Piece,
    /// Objects that end there, the document among them.
    closes: u8,
}

impl Pattern {
    /// The pattern of a document whose text is this, as a whole.
    fn of(text: &[u8]) -> Option<Self> {
        let mut maker = Maker {
            text,
            at: 0,
            from: 0,
            step: Step::default(),
            element: vec![0; 4],
            steps: Vec::new(),
            objects: Vec::new(),
            open: Vec::new(),
        };
        maker.step.opens.push(0);
        maker.document()?;
        let Maker {
            mut steps,
            objects,
            step,
            ..
        } = maker;
        // What an object is shows at its end.
        for (step, within) in &mut steps {
            step.in_point = within
                .iter()
                .any(|object| objects.get(*object) == Some(&true));
            if step.point.is_some() {
                step.point = within
                    .last()
                    .and_then(|object| objects.get(*object).copied());
            }
        }
        Some(Self {
            steps: steps.into_iter().map(|(step, _)| step).collect(),
            end: step.text,
            closes: step.closes,
        })
    }
}

/// Makes a pattern. The text is known to be plain; what does not fit one all the same ends it.
struct Maker<'t> {
    text: &'t [u8],
    at: usize,
    /// Where the text of the step begins.
    from: usize,
    step: Step,
    element: Vec<u8>,
    /// With the objects that each lies in, by number.
    steps: Vec<(Step, Vec<usize>)>,
    /// Whether each object is a Point, in the order in which they begin.
    objects: Vec<bool>,
    /// Those that are open.
    open: Vec<usize>,
}

impl Maker<'_> {
    fn document(&mut self) -> Option<()> {
        self.pass(BEGIN)?;
        self.name(ID_FIELD.as_bytes());
        self.value(false)?;
        self.pass(b",\"fields\":{")?;
        self.members()?;
        self.pass(b"}")?;
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
            let is_object = self.rest().starts_with(b"{") && !self.rest().starts_with(b"{}");
            if is_object {
                self.object()?;
            } else {
                self.value(name == b"type")?;
            }
            if self.rest().starts_with(b"}") {
                return self.pass(b"}");
            }
            self.pass(b",")?;
        }
    }

    fn object(&mut self) -> Option<()> {
        if self.open.len() + 2 > MOST_OPEN {
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

    /// Passes a value, which ends a step.
    fn value(&mut self, is_type: bool) -> Option<()> {
        let step = Step {
            text: Piece::new(self.text.get(self.from..self.at)?.to_vec()),
            element: Piece::new(std::mem::take(&mut self.element)),
            // The document's fields, and the values in them.
            depth: self.open.len() + 2,
            point: (is_type && !self.open.is_empty()).then_some(false),
            ..std::mem::take(&mut self.step)
        };
        let length = value_length(self.rest())?;
        if step.point.is_some()
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
        let read = PlainReader::new(text, state).patterned(pattern);
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
        if self.pattern.is_none() && infer == InferTypes::default() {
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
            let read = PlainReader::new(text, &mut state).patterned(pattern);
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

impl PlainReader<'_, '_, '_> {
    /// Reads a whole document that has this pattern; gives the bytes that it takes.
    fn patterned(mut self, pattern: &Pattern) -> Result<usize, NotPlain> {
        let mut open = Open::default();
        let mut is_id = true;
        for step in &pattern.steps {
            self.pass(&step.text)?;
            open.close(self.state, step.closes);
            let element_at = self.state.out.len();
            step.element.append(self.state.out);
            for start in &step.opens {
                open.begin(element_at + usize::from(*start));
            }
            let value_at = self.state.out.len();
            self.state.literal = step.in_point;
            let kind = match self.bytes().get(self.at) {
                Some(b'"') => self.string(step.depth)?,
                _ => self.value(step.depth, ShapeId::TOP)?,
            };
            if let Some(byte) = self.state.out.get_mut(element_at + step.type_at) {
                *byte = kind as u8;
            }
            if std::mem::take(&mut is_id) {
                self.placed(kind, value_at)?;
            } else if let Some(is_point) = step.point {
                let value = self.state.out.get(value_at..);
                if (kind == ElementType::String && value == Some(POINT)) != is_point {
                    return Err(NotPlain);
                }
            }
        }
        self.pass(&pattern.end)?;
        open.close(self.state, pattern.closes);
        self.state.literal = false;
        Ok(self.at)
    }

    #[inline]
    fn pass(&mut self, piece: &Piece) -> Result<(), NotPlain> {
        let rest = self.bytes().get(self.at..).unwrap_or_default();
        if !piece.begins(rest) {
            return Err(NotPlain);
        }
        self.at += piece.len();
        Ok(())
    }

    /// The first value is the `_id`, if it can be one.
    fn placed(&mut self, kind: ElementType, value_at: usize) -> Result<(), NotPlain> {
        let length = self.state.out.len() - value_at;
        let is_id = match kind {
            ElementType::String => length > 4 + 1,
            ElementType::ObjectId => true,
            _ => false,
        };
        if !is_id {
            return Err(NotPlain);
        }
        self.state.id = IdState::Placed;
        Ok(())
    }
}

/// Where the open objects begin in the output.
#[derive(Default)]
struct Open {
    starts: [usize; MOST_OPEN],
    count: usize,
}

impl Open {
    #[inline]
    fn begin(&mut self, start: usize) {
        if let Some(place) = self.starts.get_mut(self.count) {
            *place = start;
        }
        self.count += 1;
    }

    #[inline]
    fn close(&mut self, state: &mut State<'_>, count: u8) {
        for _ in 0..count {
            self.count = self.count.saturating_sub(1);
            if let Some(start) = self.starts.get(self.count) {
                state.end(*start);
            }
        }
    }
}
