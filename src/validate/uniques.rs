//! Finding documents with the same `_id`, or the same key in a unique index.
//!
//! What is sorted is the XXH3-128 of each key with the document's place, so that keys of any length
//! take the same 26 bytes. Two documents with the same hash are taken to have the same key.

use super::Resources;
use super::listed::key_extractor;
use crate::document::bson::RawDocument;
use crate::hash::xxh3_128;
use crate::index::extract::{Extraction, KeyExtractor};
use crate::index::key::KeyBuffer;
use crate::index::sort::{NoFullKeys, SortPool, SorterId};
use crate::index::{IndexDefinition, PortableIndex};
use crate::problems::NAMED;
use crate::source::Position;
use crate::v2::{DocumentAddress, PageId, SlotNumber};
use crate::{Code, Error, Result};

/// One index whose keys must differ.
struct Unique {
    name: String,
    extractor: KeyExtractor,
    sorter: SorterId,
}

/// Two documents with the same key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Twice {
    pub(super) one: Position,
    pub(super) other: Position,
}

/// What one index has found.
#[derive(Debug)]
pub(super) struct Duplicates {
    /// `_id_`, or a unique index.
    pub(super) index: String,
    /// Documents with the key of one before them.
    pub(super) count: u64,
    /// The first of them by place.
    pub(super) first: Vec<Twice>,
}

/// Collects the keys of one collection.
pub(super) struct Uniques {
    pool: SortPool,
    indexes: Vec<Unique>,
    whole: KeyBuffer,
    key: KeyBuffer,
}

impl Uniques {
    pub(super) fn new(indexes: &[PortableIndex], resources: &Resources<'_>) -> Result<Self> {
        let mut pool = SortPool::new(resources.sort_budget(), resources.temporary.spill_file());
        let id_index = PortableIndex::new(IndexDefinition::id_index(), Default::default());
        let unique = indexes
            .iter()
            .filter(|index| index.definition.unique && index.definition.kind.is_btree());
        let mut uniques = Vec::new();
        for index in std::iter::once(&id_index).chain(unique) {
            uniques.push(Unique {
                name: index.definition.name.clone(),
                extractor: key_extractor(&index.definition, index.infer_types)?,
                sorter: pool.add_index(),
            });
        }
        Ok(Self {
            pool,
            indexes: uniques,
            whole: KeyBuffer::new(),
            key: KeyBuffer::new(),
        })
    }

    pub(super) fn add(&mut self, document: RawDocument<'_>, position: Position) -> Result<()> {
        let place = encode(position);
        for index in &self.indexes {
            if index.extractor.extract_whole(document, &mut self.whole) != Extraction::Key {
                continue;
            }
            let hash = xxh3_128(self.whole.normal());
            self.key.set_term(&hash.to_be_bytes(), &place);
            self.pool
                .push(index.sorter, &self.key, address_of(&place))?;
        }
        Ok(())
    }

    /// What is there twice, index by index.
    pub(super) fn finish(mut self) -> Result<Vec<Duplicates>> {
        let mut found = Vec::new();
        for index in self.indexes {
            let mut duplicates = Duplicates {
                index: index.name,
                count: 0,
                first: Vec::new(),
            };
            let mut merge = self.pool.merge(index.sorter, &NoFullKeys)?;
            let mut one = None;
            while let Some(entry) = merge.next()? {
                let position = decode(entry.payload).ok_or_else(|| {
                    Error::new(Code::Internal, "the place of a document was sorted wrong")
                })?;
                match one.filter(|_| entry.same_key_as_previous) {
                    None => one = Some(position),
                    Some(one) => {
                        duplicates.count += 1;
                        duplicates.first.push(Twice {
                            one,
                            other: position,
                        });
                        keep_first(&mut duplicates.first);
                    }
                }
            }
            drop(merge);
            if duplicates.count > 0 {
                duplicates.first.sort_by_key(|twice| encode(twice.other));
                duplicates.first.truncate(NAMED);
                found.push(duplicates);
            }
        }
        Ok(found)
    }
}

/// Hashes come in no order that means something, so the first by place are looked for.
fn keep_first(first: &mut Vec<Twice>) {
    if first.len() >= 64 * NAMED {
        first.sort_by_key(|twice| encode(twice.other));
        first.truncate(NAMED);
    }
}

/// Bytes in the order of the source.
fn encode(position: Position) -> [u8; 9] {
    let (kind, number) = match position {
        Position::Snapshot(offset) => (0, offset),
        Position::Wal(offset) => (1, offset),
        Position::Line(offset) => (2, offset),
        Position::Page(address) => (
            3,
            u64::from(address.page.0) << 16 | u64::from(address.slot.0),
        ),
    };
    let mut bytes = [kind; 9];
    if let Some((_, rest)) = bytes.split_first_mut() {
        rest.copy_from_slice(&number.to_be_bytes());
    }
    bytes
}

fn decode(bytes: &[u8]) -> Option<Position> {
    let (kind, number) = bytes.split_first()?;
    let number = u64::from_be_bytes(number.try_into().ok()?);
    Some(match kind {
        0 => Position::Snapshot(number),
        1 => Position::Wal(number),
        2 => Position::Line(number),
        _ => Position::Page(DocumentAddress {
            page: PageId(u32::try_from(number >> 16).ok()?),
            slot: SlotNumber(u16::try_from(number & 0xFFFF).ok()?),
        }),
    })
}

/// Ties break by address; this one is in the order of places up to 2^48 bytes.
fn address_of(place: &[u8; 9]) -> DocumentAddress {
    let [_, _, _, page @ .., high, low] = *place;
    DocumentAddress {
        page: PageId(u32::from_be_bytes(page)),
        slot: SlotNumber(u16::from_be_bytes([high, low])),
    }
}
