//! Which collection a page of `data.db` belongs to: by the extents of the metadata, else by the
//! owner that a slotted page names.

use super::Check;
use crate::Code;
use crate::error::Place;
use crate::v2::PageId;
use crate::v2::metadata::{CollectionMetadata, Extent};
use crate::v2::page_file::PageFileReader;
use std::collections::HashMap;

/// Low 16 bits of a collection's id.
pub(super) fn owner_bits(collection_id: u32) -> u16 {
    let [low, high, ..] = collection_id.to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// Finds owners.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// First page, the page behind the last, position of the collection; in the order of the file.
    extents: Vec<(u32, u32, usize)>,
    /// `None` where several collections share the bits.
    by_bits: HashMap<u16, Option<usize>>,
}

impl Owners {
    /// Reports extents that overlap or lie outside the file.
    pub(super) fn new(
        check: &Check<'_>,
        file: &PageFileReader,
        collections: &[CollectionMetadata],
    ) -> Self {
        let mut owners = Self::default();
        for (position, collection) in collections.iter().enumerate() {
            let bits = owner_bits(collection.record.collection_id);
            owners
                .by_bits
                .entry(bits)
                .and_modify(|known| *known = None)
                .or_insert(Some(position));
            let options = collection.record.options.as_ref();
            let extents = options.and_then(|options| options.data_extents.as_ref());
            for Extent(first, pages) in extents.into_iter().flatten() {
                let end = first.0.checked_add(*pages);
                match end.filter(|end| *end <= file.page_count() && first.0 > 0) {
                    Some(end) => owners.extents.push((first.0, end, position)),
                    None => {
                        let sentence = format!(
                            "the collection's {pages} pages from page {first} on do not lie in \
                             the file's {} pages",
                            file.page_count()
                        );
                        let place = Place::page(file.path(), first.0);
                        let place = place.in_collection(&*collection.record.name);
                        check.add(Code::CatalogDamaged, sentence, place);
                    }
                }
            }
        }
        owners.extents.sort_unstable();
        owners.check_disjoint(check, file, collections);
        owners
    }

    fn check_disjoint(
        &self,
        check: &Check<'_>,
        file: &PageFileReader,
        collections: &[CollectionMetadata],
    ) {
        for pair in self.extents.windows(2) {
            if let [(_, end, _), (first, _, position)] = *pair
                && first < end
            {
                let sentence = "an extent of the collection begins in another one";
                let mut place = Place::page(file.path(), first);
                if let Some(collection) = collections.get(position) {
                    place = place.in_collection(&*collection.record.name);
                }
                check.add(Code::CatalogDamaged, sentence, place);
            }
        }
    }

    /// The collection in one of whose extents a page lies.
    pub(super) fn by_extent(&self, page: PageId) -> Option<usize> {
        let behind = self
            .extents
            .partition_point(|(first, _, _)| *first <= page.0);
        let (_, end, position) = self.extents.get(behind.checked_sub(1)?)?;
        (page.0 < *end).then_some(*position)
    }

    /// The collection that a slotted page names.
    pub(super) fn by_owner(&self, owner: u16) -> Option<usize> {
        self.by_bits.get(&owner).copied().flatten()
    }
}
