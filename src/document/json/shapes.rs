//! Names of fields in the order in which they came before.
//!
//! Documents of a collection have mostly the same fields in the same order. So each name leads to
//! the one that follows it in its object: if the next text is that name again, it is known without
//! being read that it has no escapes, that no field before it has the same name, and which bytes it
//! becomes. A shape stands for the list of names from its object's first one on, which are all
//! different. What a shape does not know is read as always, and learned.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions within the text and the output, which are in memory, and counts of what is in them"
)]

/// With its quotes and colon, a longer name is not learned.
const LONGEST_TEXT: usize = 32;
/// Names are compared in words of so many bytes.
const WORD: usize = size_of::<u128>();
/// So many are learned before all are forgotten.
const MOST_SHAPES: usize = 1024;
/// So many names are tried as the next one.
const MOST_ALTERNATIVES: usize = 8;

/// One of [`Shapes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShapeId(u32);

impl ShapeId {
    /// Nothing is known of the object.
    pub(super) const NONE: Self = Self(u32::MAX);
    /// A document's `fields` before the first one.
    pub(super) const TOP: Self = Self(0);
}

/// The names of an object up to here.
#[derive(Debug)]
pub(super) struct Shape {
    /// The last name as it stands in the text, `"name":`, and zeros.
    text: [u8; LONGEST_TEXT],
    /// The first of its words, and the bits that count in it.
    word: u128,
    mask: u128,
    text_len: usize,
    /// A place for the type, the name, and its zero byte; then zeros.
    element: [u8; LONGEST_TEXT],
    /// The names were in ascending order up to here.
    pub(super) ascending: bool,
    /// The name is "type".
    pub(super) is_type: bool,
    /// The first of those with one name more.
    next: ShapeId,
    /// Another one with the same names before the last.
    other: ShapeId,
    /// The empty shape of objects in this field.
    inside: ShapeId,
}

impl Shape {
    fn new(name: &[u8], ascending: bool) -> Option<Self> {
        let text_len = name.len() + 3;
        let mut text = [0; LONGEST_TEXT];
        let mut element = [0; LONGEST_TEXT];
        let (begin, rest) = text.get_mut(..text_len)?.split_first_mut()?;
        *begin = b'"';
        rest.get_mut(..name.len())?.copy_from_slice(name);
        rest.get_mut(name.len()..)?.copy_from_slice(b"\":");
        element.get_mut(1..=name.len())?.copy_from_slice(name);
        let counted = u32::try_from(WORD.saturating_sub(text_len)).ok()?;
        Some(Self {
            word: u128::from_le_bytes(*text.first_chunk()?),
            mask: u128::MAX >> (8 * counted),
            text,
            text_len,
            element,
            ascending,
            is_type: name == b"type",
            next: ShapeId::NONE,
            other: ShapeId::NONE,
            inside: ShapeId::NONE,
        })
    }

    /// Bytes of the name with its quotes and colon.
    #[inline]
    pub(super) fn text_len(&self) -> usize {
        self.text_len
    }

    /// Bytes of the name.
    #[inline]
    pub(super) fn name_len(&self) -> usize {
        self.text_len - 3
    }

    /// Appends a type and the name.
    #[inline]
    pub(super) fn append(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.text_len - 1;
        // Copies of a fixed size are a few instructions.
        match self.element.first_chunk::<WORD>() {
            Some(element) if self.text_len <= WORD => out.extend_from_slice(element),
            _ => out.extend_from_slice(&self.element),
        }
        out.truncate(end);
    }

    #[inline]
    fn begins(&self, text: &[u8], word: u128) -> bool {
        (word ^ self.word) & self.mask == 0
            && (self.text_len <= WORD
                || text.get(..self.text_len) == self.text.get(..self.text_len))
    }
}

/// All shapes of one converter.
#[derive(Debug)]
pub(super) struct Shapes(Vec<Shape>);

impl Default for Shapes {
    fn default() -> Self {
        Self(Shape::new(b"", true).into_iter().collect())
    }
}

impl Shapes {
    /// Forgets everything if there is no more room. Not within a document.
    #[inline]
    pub(super) fn make_room(&mut self) {
        if self.0.len() >= MOST_SHAPES {
            *self = Self::default();
        }
    }

    #[inline]
    fn get(&self, id: ShapeId) -> Option<&Shape> {
        self.0.get(id.0 as usize)
    }

    /// The shape that `shape` becomes if the text goes on with a known name.
    #[inline]
    pub(super) fn next(&self, shape: ShapeId, text: &[u8]) -> Option<(ShapeId, &Shape)> {
        let mut id = self.get(shape)?.next;
        let word = u128::from_le_bytes(*text.first_chunk()?);
        loop {
            let shape = self.get(id)?;
            if shape.begins(text, word) {
                return Some((id, shape));
            }
            id = shape.other;
        }
    }

    /// The shape that `shape` becomes with one name more, which none of its names is.
    pub(super) fn learn(&mut self, shape: ShapeId, name: &[u8], ascending: bool) -> ShapeId {
        let Some(first) = self.get(shape).map(|shape| shape.next) else {
            return ShapeId::NONE;
        };
        let Some(mut fresh) = Shape::new(name, ascending) else {
            return ShapeId::NONE;
        };
        let mut id = first;
        let mut alternatives = 0;
        while let Some(known) = self.get(id) {
            if known.text == fresh.text {
                return id;
            }
            alternatives += 1;
            id = known.other;
        }
        if alternatives == MOST_ALTERNATIVES {
            return ShapeId::NONE;
        }
        fresh.other = first;
        let id = self.add(fresh);
        if let Some(shape) = self.0.get_mut(shape.0 as usize)
            && id != ShapeId::NONE
        {
            shape.next = id;
        }
        id
    }

    /// The shape that objects in the last field of `shape` begin with, those in arrays too.
    #[inline]
    pub(super) fn inside(&mut self, shape: ShapeId) -> ShapeId {
        match self.get(shape) {
            None => ShapeId::NONE,
            Some(outer) if outer.inside != ShapeId::NONE => outer.inside,
            Some(_) => self.learn_inside(shape),
        }
    }

    fn learn_inside(&mut self, shape: ShapeId) -> ShapeId {
        let id = Shape::new(b"", true).map_or(ShapeId::NONE, |empty| self.add(empty));
        if let Some(outer) = self.0.get_mut(shape.0 as usize) {
            outer.inside = id;
        }
        id
    }

    fn add(&mut self, shape: Shape) -> ShapeId {
        let id = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        if self.0.len() >= MOST_SHAPES {
            return ShapeId::NONE;
        }
        self.0.push(shape);
        ShapeId(id)
    }
}
