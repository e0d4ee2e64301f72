//! Naming the documents that two sides of a collection differ in: both are read again, sorted by
//! `_id`, and merged.

use super::Half;
use super::fields::Described;
use crate::error::Place;
use crate::index::EntrySum;
use crate::index::sort::NoFullKeys;
use crate::index::sort::SortPool;
use crate::problems::{NAMED, Problem, Problems};
use crate::v2::{DocumentAddress, PageId, SlotNumber};
use crate::validate::Resources;
use crate::validate::id::{IdKey, payload};
use crate::validate::outcome::CollectionComparison;
use crate::validate::sums::DocumentHash;
use crate::{Code, Error, Result};

/// The address that entries of a side sort under.
const SIDES: [DocumentAddress; 2] = [side(0), side(1)];

const fn side(number: u32) -> DocumentAddress {
    DocumentAddress {
        page: PageId(number),
        slot: SlotNumber(0),
    }
}

/// The documents of one `_id`, of which there is one on each side if all is well.
#[derive(Default)]
struct Group {
    left: EntrySum,
    right: EntrySum,
    key: Vec<u8>,
    shown: String,
}

pub(super) fn compare(
    compared: &mut CollectionComparison,
    left: Half<'_>,
    right: Half<'_>,
    differences: &Problems,
    resources: &mut Resources<'_>,
) -> Result<()> {
    let mut pool = SortPool::new(resources.sort_budget(), resources.temporary.spill_file());
    let sorter = pool.add_index();
    let mut key = IdKey::default();
    let mut hash = DocumentHash::new(resources.sample);
    for (half, address) in [left, right].into_iter().zip(SIDES) {
        half.source.read(half.position, &mut |found| {
            let hash = hash.of(found.document);
            pool.push(sorter, key.set(found.document, hash), address)?;
            (resources.advance)(found.source_bytes, 1)
        })?;
    }
    let mut described = Described::default();
    let mut found = Found {
        compared,
        left,
        right,
        differences,
        described: &mut described,
    };
    let mut group = Group::default();
    let mut merge = pool.merge(sorter, &NoFullKeys)?;
    while let Some(entry) = merge.next()? {
        if !entry.same_key_as_previous {
            found.close(&group);
            group = Group::default();
        }
        let (hash, shown) = payload(&entry)
            .ok_or_else(|| Error::new(Code::Internal, "a sorted document lost its hash"))?;
        match entry.address == side(0) {
            true => group.left.add(hash),
            false => group.right.add(hash),
        }
        if group.key.is_empty() {
            group.key.extend_from_slice(entry.normal);
            group.shown = shown;
        }
    }
    found.close(&group);
    drop(merge);
    described.read(left, right, resources)?;
    described.report(&compared.name, differences);
    Ok(())
}

struct Found<'f, 's> {
    compared: &'f mut CollectionComparison,
    left: Half<'s>,
    right: Half<'s>,
    differences: &'f Problems,
    described: &'f mut Described,
}

impl Found<'_, '_> {
    /// All documents of an `_id` are there.
    fn close(&mut self, group: &Group) {
        let (left, right) = (group.left, group.right);
        if left == right {
            return;
        }
        match (left.count, right.count) {
            (_, 0) => {
                self.compared.only_left += left.count;
                self.only(Code::DocumentOnlyLeft, self.left, group, left.count);
            }
            (0, _) => {
                self.compared.only_right += right.count;
                self.only(Code::DocumentOnlyRight, self.right, group, right.count);
            }
            _ => {
                self.compared.different += 1;
                let place = Place::default()
                    .in_collection(&*self.compared.name)
                    .with_id(&*group.shown);
                if self.described.len() < NAMED {
                    self.described.want(&group.key, place);
                } else {
                    self.described.count_unnamed();
                }
            }
        }
    }

    fn only(&self, code: Code, half: Half<'_>, group: &Group, count: u64) {
        let place = Place::file(&half.source.info().path)
            .in_collection(&*self.compared.name)
            .with_id(&*group.shown);
        let problem = Problem::new(code, "the document is only here", place);
        self.differences.add(problem);
        self.differences.count_unnamed(code, count - 1);
    }
}
