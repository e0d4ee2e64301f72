//! The keys of all indexes of a collection, from one walk over each document.

use super::elements::{ElementWalk, Found};
use super::{Extraction, KeyExtractor, TopLevel};
use crate::Result;
use crate::document::bson::{ElementType, RawDocument};
use crate::index::key::KeyBuffer;

/// Where the two candidates of a path stand in the table of names.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    literal: usize,
    head: Option<usize>,
}

/// A value by its place in the document, so that the table outlives the document.
type Slot = Option<(ElementType, usize, usize)>;

/// Extracts the keys of several indexes. One per thread; it carries scratch space.
#[derive(Clone, Debug)]
pub struct ExtractorSet {
    extractors: Vec<(KeyExtractor, Vec<Wanted>)>,
    /// Top-level names that some path needs, each once.
    names: Vec<Box<[u8]>>,
    slots: Vec<Slot>,
    key: KeyBuffer,
}

impl ExtractorSet {
    /// The extractors keep their order, and their position is their number.
    #[must_use]
    pub fn new(extractors: impl IntoIterator<Item = KeyExtractor>) -> Self {
        let mut names: Vec<Box<[u8]>> = Vec::new();
        let mut number = |name: &[u8]| {
            let known = names.iter().position(|other| **other == *name);
            known.unwrap_or_else(|| {
                names.push(name.into());
                names.len() - 1
            })
        };
        let extractors = extractors
            .into_iter()
            .map(|extractor| {
                let wanted = extractor.paths.iter().map(|path| Wanted {
                    literal: number(&path.literal),
                    head: path.parts.first().map(|head| number(head)),
                });
                let wanted = wanted.collect();
                (extractor, wanted)
            })
            .collect();
        Self {
            extractors,
            slots: vec![None; names.len()],
            names,
            key: KeyBuffer::new(),
        }
    }

    /// Number of extractors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.extractors.len()
    }

    /// True without extractors.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.extractors.is_empty()
    }

    /// Calls `each` for every extractor, in order: its number, what came of it, and the key, which
    /// means something only with [`Extraction::Key`].
    ///
    /// # Errors
    /// The first error that `each` gives.
    pub fn extract(
        &mut self,
        document: RawDocument<'_>,
        mut each: impl FnMut(usize, Extraction, &KeyBuffer) -> Result<()>,
    ) -> Result<()> {
        self.find_fields(document);
        let slots = &self.slots;
        let top = |slot: usize| {
            let (kind, start, end) = (*slots.get(slot)?)?;
            let value = document.as_bytes().get(start..end)?;
            Some(Found { kind, value })
        };
        for (number, (extractor, wanted)) in self.extractors.iter().enumerate() {
            let top = |field: usize, which: TopLevel<'_>| {
                let wanted = wanted.get(field)?;
                match which {
                    TopLevel::Literal(_) => top(wanted.literal),
                    TopLevel::Head(_) => top(wanted.head?),
                }
            };
            let extraction = extractor.build(document, top, |values| self.key.set(values));
            each(number, extraction, &self.key)?;
        }
        Ok(())
    }

    /// One pass over the elements, which ends when nothing is left to find.
    #[inline]
    fn find_fields(&mut self, document: RawDocument<'_>) {
        self.slots.fill(None);
        let mut left = self.names.len();
        if left == 0 {
            return;
        }
        for element in ElementWalk::new(document) {
            let place = self
                .names
                .iter()
                .zip(&mut self.slots)
                .find(|(name, _)| ***name == *element.name);
            if let Some((_, slot @ None)) = place {
                *slot = Some((element.kind, element.start, element.end));
                left -= 1;
                if left == 0 {
                    return;
                }
            }
        }
    }
}
