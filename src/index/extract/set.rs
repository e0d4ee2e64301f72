//! The keys of all indexes of a collection, from one walk over each document.

use super::elements::{Element, ElementWalk, Found, first_word};
use super::layout::{Layout, Place};
use super::{Extraction, KeyExtractor, TopLevel, Values};
use crate::Result;
use crate::document::bson::RawDocument;
use crate::index::key::{KeyBuffer, KeyValue, SortKey};
use crate::index::{key_hash, value_hash};
use crate::v2::DocumentAddress;

/// Where the two candidates of a path stand in the table of names.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    literal: usize,
    head: Option<usize>,
}

/// A value by its place in the document, so that the table outlives the document.
type Slot = Option<Place>;

/// The extractor of one index.
#[derive(Clone, Debug)]
struct Member {
    extractor: KeyExtractor,
    /// Of each path.
    wanted: Vec<Wanted>,
    /// Where the field stands whose value is the key, if nothing else is asked of the document.
    plain: Option<usize>,
}

impl Member {
    /// The value of a key with one field, or why there is none; `None` of a key with several.
    #[inline(always)]
    fn only_value<'d>(
        &self,
        document: RawDocument<'d>,
        slots: &[Slot],
    ) -> Option<std::result::Result<KeyValue<'d>, Extraction>> {
        if let Some(field) = self.plain.and_then(|slot| found(document, slots, slot)) {
            return Some(field.key_value().ok_or(Extraction::Unindexable));
        }
        let top = top_level(document, slots, &self.wanted);
        let path = self.extractor.only_path()?;
        Some(self.extractor.one(path, document, |wanted| top(0, wanted)))
    }
}

/// Extracts the keys of several indexes. One per thread; it carries scratch space.
#[derive(Clone, Debug)]
pub struct ExtractorSet {
    members: Vec<Member>,
    /// Top-level names that some path needs, each once.
    names: Vec<Name>,
    slots: Vec<Slot>,
    layout: Layout,
    key: KeyBuffer,
    stored: Vec<u8>,
}

/// A name to be found.
#[derive(Clone, Debug)]
struct Name {
    /// Its first eight bytes, as [`Element::word`] has them.
    word: u64,
    bytes: Box<[u8]>,
}

impl Name {
    fn new(bytes: &[u8]) -> Self {
        Self {
            word: first_word(bytes),
            bytes: bytes.into(),
        }
    }

    #[inline]
    fn is(&self, element: &Element<'_>) -> bool {
        self.word == element.word
            && self.bytes.len() == element.name.len()
            && (self.bytes.len() <= size_of::<u64>() || *self.bytes == *element.name)
    }
}

impl ExtractorSet {
    /// The extractors keep their order, and their position is their number.
    #[must_use]
    pub fn new(extractors: impl IntoIterator<Item = KeyExtractor>) -> Self {
        let mut names: Vec<Name> = Vec::new();
        let mut number = |name: &[u8]| {
            let known = names.iter().position(|other| *other.bytes == *name);
            known.unwrap_or_else(|| {
                names.push(Name::new(name));
                names.len() - 1
            })
        };
        let mut member = |extractor: KeyExtractor| {
            let wanted = extractor.paths.iter().map(|path| Wanted {
                literal: number(&path.literal),
                head: path.parts.first().map(|head| number(head)),
            });
            let wanted: Vec<_> = wanted.collect();
            let first = wanted.first().filter(|_| extractor.is_plain());
            Member {
                plain: first.map(|wanted| wanted.literal),
                wanted,
                extractor,
            }
        };
        let members = extractors.into_iter().map(&mut member).collect();
        Self {
            members,
            slots: vec![None; names.len()],
            names,
            layout: Layout::default(),
            key: KeyBuffer::new(),
            stored: Vec::new(),
        }
    }

    /// Number of extractors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// True without extractors.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Calls `each` for every extractor, in order: its number, and the key or why there is none.
    ///
    /// # Errors
    /// The first error that `each` gives.
    pub fn extract(
        &mut self,
        document: RawDocument<'_>,
        mut each: impl FnMut(usize, std::result::Result<&SortKey<'_>, Extraction>) -> Result<()>,
    ) -> Result<()> {
        self.find_fields(document);
        for (number, member) in self.members.iter().enumerate() {
            let only = member.only_value(document, &self.slots);
            let key = &mut self.key;
            let made = match only {
                Some(Ok(value)) => SortKey::of(value, key),
                Some(Err(nothing)) => {
                    each(number, Err(nothing))?;
                    continue;
                }
                None => {
                    let top = top_level(document, &self.slots, &member.wanted);
                    match member
                        .extractor
                        .build(document, top, |values| values.make(key))
                    {
                        Extraction::Key => SortKey::Built(key),
                        nothing => {
                            each(number, Err(nothing))?;
                            continue;
                        }
                    }
                }
            };
            each(number, Ok(&made))?;
        }
        Ok(())
    }

    /// Calls `each` for every extractor that finds a key, in order: its number, and the hash of the
    /// entry that the document at `address` has with it, made from the document's values without a
    /// normal form in between.
    pub fn extract_hashes(
        &mut self,
        document: RawDocument<'_>,
        address: DocumentAddress,
        mut each: impl FnMut(usize, u128),
    ) {
        self.find_fields(document);
        let stored = &mut self.stored;
        for (number, member) in self.members.iter().enumerate() {
            match member.only_value(document, &self.slots) {
                Some(Ok(value)) => {
                    let hash = value_hash(value, address)
                        .unwrap_or_else(|| key_hash(Values::One(value).stored(stored), address));
                    each(number, hash);
                }
                Some(Err(_)) => {}
                None => {
                    let top = top_level(document, &self.slots, &member.wanted);
                    member.extractor.build(document, top, |values| {
                        each(number, key_hash(values.stored(stored), address));
                    });
                }
            }
        }
    }

    #[inline]
    fn find_fields(&mut self, document: RawDocument<'_>) {
        if !self.names.is_empty() && !self.layout.find(document, &mut self.slots) {
            self.search_fields(document);
        }
    }

    /// One pass over the elements, which ends when nothing is left to find.
    fn search_fields(&mut self, document: RawDocument<'_>) {
        self.slots.fill(None);
        let mut learns = self.layout.is_outdated();
        if learns {
            self.layout.clear();
        }
        let mut left = self.names.len();
        for element in ElementWalk::new(document) {
            let wanted = self.names.iter().position(|name| name.is(&element));
            let slot = wanted.and_then(|wanted| self.slots.get_mut(wanted));
            let fresh = slot.filter(|slot| slot.is_none());
            if learns {
                let wanted = wanted.filter(|_| fresh.is_some());
                learns = self.layout.learn(&element, wanted);
            }
            if let Some(slot) = fresh {
                *slot = Some((element.kind, element.start, element.end));
                left -= 1;
                if left == 0 {
                    if learns {
                        self.layout.complete();
                    }
                    return;
                }
            }
        }
    }
}

/// Finds the top-level fields of one extractor's paths by their places.
#[inline]
fn top_level<'d>(
    document: RawDocument<'d>,
    slots: &[Slot],
    wanted: &[Wanted],
) -> impl Fn(usize, TopLevel<'_>) -> Option<Found<'d>> {
    move |field, which| {
        let wanted = wanted.get(field)?;
        let slot = match which {
            TopLevel::Literal(_) => wanted.literal,
            TopLevel::Head(_) => wanted.head?,
        };
        found(document, slots, slot)
    }
}

#[inline]
fn found<'d>(document: RawDocument<'d>, slots: &[Slot], slot: usize) -> Option<Found<'d>> {
    let (kind, start, end) = (*slots.get(slot)?)?;
    let value = document.as_bytes().get(start..end)?;
    Some(Found { kind, value })
}
