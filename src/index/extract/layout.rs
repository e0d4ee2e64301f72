//! Where wanted fields were in the document before: the next one has mostly the same fields in the
//! same order, and then a comparison and an addition for each element find them again.

use super::elements::Element;
use crate::document::bson::{ElementType, RawDocument, value_len};

/// A value by its type and its place in the document.
pub(super) type Place = (ElementType, usize, usize);

/// Type and name are compared in a word of so many bytes,
const WORD: usize = size_of::<u128>();
/// and so many documents may differ before another layout is learned.
const PATIENCE: u8 = 2;
const MOST_PATIENCE: u8 = 8;
/// Of larger documents and with longer names, no layout is learned.
const MOST_STEPS: usize = 256;
const LONGEST_NAME: usize = 256;

/// An element that is passed on the way to the last wanted one.
#[derive(Clone, Debug)]
struct Step {
    /// The first bytes of its type, name and zero byte; the bits that count.
    word: u128,
    mask: u128,
    /// The others.
    rest: Box<[u8]>,
    /// How many there are in all.
    head_len: usize,
    kind: ElementType,
    /// Which name it has of those that are wanted.
    wanted: Option<usize>,
}

/// The elements of a document up to the last wanted one.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    steps: Vec<Step>,
    /// All wanted names are among them. Otherwise they are all elements of the document.
    is_complete: bool,
    patience: u8,
}

impl Layout {
    /// Finds the wanted fields, if the document is laid out like this.
    #[inline]
    pub(super) fn find(&mut self, document: RawDocument<'_>, slots: &mut [Option<Place>]) -> bool {
        let found = self.walk(document, slots).is_some();
        self.patience = match found {
            true => MOST_PATIENCE.min(self.patience + 1),
            false => self.patience.saturating_sub(1),
        };
        found
    }

    #[inline]
    fn walk(&self, document: RawDocument<'_>, slots: &mut [Option<Place>]) -> Option<()> {
        let bytes = document.as_bytes();
        let mut at = 4;
        if self.steps.is_empty() {
            return None;
        }
        if !self.is_complete {
            slots.fill(None);
        }
        for step in &self.steps {
            let rest = bytes.get(at..)?;
            let word = u128::from_le_bytes(*rest.first_chunk()?);
            if (word ^ step.word) & step.mask != 0
                || (!step.rest.is_empty() && *rest.get(WORD..step.head_len)? != *step.rest)
            {
                return None;
            }
            let start = at + step.head_len;
            at = start + value_len(step.kind, bytes, start)?;
            if let Some(wanted) = step.wanted {
                *slots.get_mut(wanted)? = Some((step.kind, start, at));
            }
        }
        // A document that goes on may have the names that are missing.
        (self.is_complete || at + 1 == bytes.len()).then_some(())
    }

    /// True if another layout should be learned.
    pub(super) fn is_outdated(&self) -> bool {
        self.patience == 0
    }

    /// Begins to learn.
    pub(super) fn clear(&mut self) {
        self.steps.clear();
        self.is_complete = false;
        self.patience = PATIENCE;
    }

    /// Learns the next element; false if that is too much.
    pub(super) fn learn(&mut self, element: &Element<'_>, wanted: Option<usize>) -> bool {
        if self.steps.len() == MOST_STEPS || element.name.len() > LONGEST_NAME {
            self.clear();
            return false;
        }
        let mut head = Vec::with_capacity(WORD.max(element.name.len() + 2));
        head.push(element.kind as u8);
        head.extend_from_slice(element.name);
        head.push(0);
        let head_len = head.len();
        let rest = head.get(WORD..).unwrap_or_default().into();
        head.resize(WORD.max(head_len), 0);
        let word = head.first_chunk().copied().unwrap_or_default();
        self.steps.push(Step {
            word: u128::from_le_bytes(word),
            mask: u128::MAX >> (8 * WORD.saturating_sub(head_len)),
            rest,
            head_len,
            kind: element.kind,
            wanted,
        });
        true
    }

    /// All wanted names were learned.
    pub(super) fn complete(&mut self) {
        self.is_complete = true;
    }
}
