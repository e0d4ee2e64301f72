//! Documents that only pages have: to which collection they go, and which of several copies.

use super::candidates::{PageCache, RECOVERED_BYTES, encode_address};
use super::groups::GroupTable;
use super::join::{JoinInput, Leftover, ScratchFile, broken, join_parts, sound};
use super::owners::{Owner, Owners};
use super::scan::{LiveDocument, look};
use super::sorter::Sorts;
use super::summary::{FIRST_GROUP, JoinSummary, count_record};
use super::{RejectReason, Rejected, Rejects};
use crate::Result;
use crate::document::ID_FIELD;
use crate::document::order::{hash_id, same_id};
use crate::index::sort::SorterId;
use crate::v2::DocumentAddress;

/// Writes the file of recovered documents; an empty one if there are none.
pub(super) fn write(
    input: &JoinInput<'_>,
    sorts: &mut Sorts,
    leftovers: SorterId,
    owners: &Owners,
    summary: &mut JoinSummary,
    rejects: &mut dyn Rejects,
) -> Result<()> {
    let (copies, taken) = (sorts.add(), sorts.add());
    if input.recover {
        gather(input, sorts, (leftovers, copies), owners, summary, rejects)?;
        choose(input, sorts, (copies, taken), summary, rejects)?;
    }
    let mut out = input.scratch.create(ScratchFile::Recovered)?;
    let mut sorted = sorts.merge(taken)?;
    while let Some(entry) = sorted.next()? {
        let number = entry.bytes.first_chunk::<4>().ok_or_else(broken)?;
        let position = out.position() / RECOVERED_BYTES;
        count_record(
            &mut summary.recovered,
            u32::from_be_bytes(*number),
            position,
        );
        out.append(&encode_address(entry.address))?;
    }
    summary.recovered.sort_by_key(|range| range.number);
    out.sync()
}

/// Reads the left documents page by page, and sorts them by collection and `_id`, the highest copy
/// first.
fn gather(
    input: &JoinInput<'_>,
    sorts: &mut Sorts,
    (leftovers, copies): (SorterId, SorterId),
    owners: &Owners,
    summary: &mut JoinSummary,
    rejects: &mut dyn Rejects,
) -> Result<()> {
    let mut sorted = sorts.merge(leftovers)?;
    let mut gather = Gather {
        sorts,
        copies,
        groups: GroupTable::default(),
        newer_pages: PageCache::new(input.data),
        summary,
        rejects,
    };
    let mut pages = PageCache::new(input.data);
    let mut newer = None;
    let mut next = sorted.next()?.map(|entry| Leftover::decode(&entry));
    while let Some(DocumentAddress { page: id, .. }) = next.map(|next| next.address) {
        let page = sound(look(id, pages.page(id)?), input.data, id)?;
        let number = match owners.of(id) {
            Owner::Collection(number) => Some(number).filter(|_| input.taken.collection(number)),
            Owner::Tied(_) | Owner::Unknown => {
                let group = gather.groups.page(&page)?;
                Some(FIRST_GROUP | group).filter(|_| input.taken.group(group))
            }
        };
        let mut documents = page.documents.iter();
        while let Some(left) = next.filter(|next| next.address.page == id) {
            next = sorted.next()?.map(|entry| Leftover::decode(&entry));
            if left.newer.is_some() {
                newer = Some(left);
                continue;
            }
            let live = documents.find(|live| live.slot == left.address.slot);
            if let (Some(live), Some(number)) = (live, number) {
                let newer = newer.filter(|newer| newer.address == left.address);
                let newer = newer.and_then(|newer| newer.newer);
                gather.document(left.address, live, number, newer)?;
            }
        }
    }
    let groups = gather.groups.finish();
    summary.groups = groups;
    Ok(())
}

/// Sorts left documents.
struct Gather<'g, 'i> {
    sorts: &'g mut Sorts,
    copies: SorterId,
    groups: GroupTable,
    newer_pages: PageCache<'i>,
    summary: &'g mut JoinSummary,
    rejects: &'g mut dyn Rejects,
}

impl Gather<'_, '_> {
    /// A document of a collection or group; `newer` may be the copy of it that the snapshot has.
    fn document(
        &mut self,
        address: DocumentAddress,
        live: &LiveDocument<'_>,
        number: u32,
        newer: Option<DocumentAddress>,
    ) -> Result<()> {
        if let Some(unusable) = &live.unusable {
            return self.rejects.reject(Rejected {
                address,
                offset: live.offset,
                reason: RejectReason::Document(unusable),
                bytes: live.bytes,
            });
        }
        let Some(id) = live.document().get(ID_FIELD) else {
            return Ok(());
        };
        if let Some(kept) = newer {
            let newer = self.newer_pages.document(kept)?;
            let newer = newer.document().get(ID_FIELD);
            if newer.is_some_and(|newer| same_id(newer, id)) {
                self.summary.tally.dropped = self.summary.tally.dropped.saturating_add(1);
                count_record(&mut self.summary.dropped, number, 0);
                return self.rejects.reject(Rejected {
                    address,
                    offset: live.offset,
                    reason: RejectReason::OlderCopy { kept },
                    bytes: live.bytes,
                });
            }
        }
        if let Some(group) = number.checked_sub(FIRST_GROUP) {
            self.groups.document(group, live);
        }
        let mut key = [0; 26];
        let parts: [&[u8]; 5] = [
            &number.to_be_bytes(),
            &hash_id(id, 0).to_be_bytes(),
            &hash_id(id, 1).to_be_bytes(),
            &(!address.page.0).to_be_bytes(),
            &(!address.slot.0).to_be_bytes(),
        ];
        join_parts(&parts, &mut key);
        self.sorts.push(self.copies, &key, address, &[])
    }
}

/// Takes the highest copy of each document, and sorts those by collection, page and slot.
fn choose(
    input: &JoinInput<'_>,
    sorts: &mut Sorts,
    (copies, taken): (SorterId, SorterId),
    summary: &mut JoinSummary,
    rejects: &mut dyn Rejects,
) -> Result<()> {
    let (mut kept_pages, mut pages) = (PageCache::new(input.data), PageCache::new(input.data));
    let mut sorted = sorts.merge(copies)?;
    let mut kept: Option<([u8; 20], DocumentAddress)> = None;
    while let Some(entry) = sorted.next()? {
        let address = entry.address;
        let key = *entry.bytes.first_chunk::<20>().ok_or_else(broken)?;
        let live = pages.document(address)?;
        if let Some((_, first)) = kept.filter(|(last, _)| *last == key) {
            let newer = kept_pages.document(first)?;
            let ids = newer
                .document()
                .get(ID_FIELD)
                .zip(live.document().get(ID_FIELD));
            if ids.is_some_and(|(newer, older)| same_id(newer, older)) {
                summary.tally.dropped = summary.tally.dropped.saturating_add(1);
                let (number, _) = key.split_first_chunk::<4>().ok_or_else(broken)?;
                count_record(&mut summary.dropped, u32::from_be_bytes(*number), 0);
                rejects.reject(Rejected {
                    address,
                    offset: live.offset,
                    reason: RejectReason::OlderCopy { kept: first },
                    bytes: live.bytes,
                })?;
                continue;
            }
        }
        kept = Some((key, address));
        summary.tally.recovered = summary.tally.recovered.saturating_add(1);
        summary.tally.recovered_bytes = summary
            .tally
            .recovered_bytes
            .saturating_add(live.bytes.len() as u64);
        let mut key_of_place = [0; 10];
        let (number, _) = key.split_first_chunk::<4>().ok_or_else(broken)?;
        let parts: [&[u8]; 3] = [
            number,
            &address.page.0.to_be_bytes(),
            &address.slot.0.to_be_bytes(),
        ];
        join_parts(&parts, &mut key_of_place);
        sorts.push(taken, &key_of_place, address, &[])?;
    }
    Ok(())
}
