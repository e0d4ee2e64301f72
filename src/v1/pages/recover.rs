//! Documents that only pages have: to which collection they go, and which of several copies.

use super::candidates::{PageCache, RECOVERED_BYTES, encode_address};
use super::groups::GroupTable;
use super::join::{JoinInput, ScratchFile, broken, join_parts, sound};
use super::owners::{Owner, Owners};
use super::scan::look;
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
    let mut groups = GroupTable::default();
    let mut pages = PageCache::new(input.data);
    let mut sorted = sorts.merge(leftovers)?;
    let mut next = sorted.next()?.map(|entry| entry.address);
    while let Some(DocumentAddress { page: id, .. }) = next {
        let page = sound(look(id, pages.page(id)?), input.data, id)?;
        let group = match owners.of(id) {
            Owner::Collection(_) => None,
            Owner::Tied(_) | Owner::Unknown => Some(groups.page(&page)?),
        };
        let mut documents = page.documents.iter();
        while let Some(address) = next.filter(|next| next.page == id) {
            next = sorted.next()?.map(|entry| entry.address);
            let Some(live) = documents.find(|live| live.slot == address.slot) else {
                continue;
            };
            let id = live.document().get(ID_FIELD);
            let (None, Some(id)) = (&live.unusable, id) else {
                if let Some(unusable) = &live.unusable {
                    rejects.reject(Rejected {
                        address,
                        offset: live.offset,
                        reason: RejectReason::Document(unusable),
                        bytes: live.bytes,
                    })?;
                }
                continue;
            };
            let number = match (group, owners.of(address.page)) {
                (Some(group), _) => FIRST_GROUP | group,
                (None, Owner::Collection(number)) => number,
                (None, _) => continue,
            };
            if let Some(group) = group {
                groups.document(group, live);
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
            sorts.push(copies, &key, address, &[])?;
        }
    }
    summary.groups = groups.finish();
    Ok(())
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
                summary.tally.dropped += 1;
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
        summary.tally.recovered += 1;
        summary.tally.recovered_bytes += live.bytes.len() as u64;
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
