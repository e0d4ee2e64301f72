//! Which page belongs to which collection, and which copies each document of the snapshot has.
//!
//! 1. The `_id`s of all live documents are sorted by the hash of how LauraDB's backup prints them,
//!    together with the `_id`s of the snapshot.
//! 2. Where they meet, the page gets a vote for every collection that has the `_id`; votes are
//!    sorted by page and counted.
//! 3. The same once more, now that pages have collections: a document of the snapshot and one of
//!    its collection's pages are a pair, and what is left are documents that only pages have.
//!
//! Hashes have 128 bits. Two `_id`s with the same one could only mislead votes: a pair is compared
//! whole before it counts.

use super::candidates::{CANDIDATE_BYTES, Candidate};
use super::owners::{Owner, Owners};
use super::recover;
use super::scan::{LivePage, PageLook, scan};
use super::sorter::Sorts;
use super::summary::{JoinSummary, PagesTally, count_record};
use super::{RejectReason, Rejected, Rejects};
use crate::files::{AppendWriter, InputFile};
use crate::index::sort::SorterId;
use crate::v1::snapshot::{SnapshotLayout, walk_ids};
use crate::v2::page::PAGE_SIZE;
use crate::v2::page_file::page_offset;
use crate::v2::{DocumentAddress, PageId, SlotNumber};
use crate::{Code, Error, Place, Result};
use bytesize::ByteSize;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// Largest share of the memory that the table of pages may take.
const TABLE_SHARE: u64 = 4;

/// Documents with the same `_id` that one collection of the snapshot may have; it should have one.
const MOST_TWINS: usize = 16;

/// The files that a join needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScratchFile {
    /// Sorted runs; not needed afterwards.
    Runs,
    /// Copies of the snapshot's documents, for [`super::JoinFiles`].
    Candidates,
    /// Recovered documents, for [`super::JoinFiles`].
    Recovered,
}

/// Makes the files that a join needs.
pub trait Scratch: Send + Sync {
    /// Makes an empty file; called once for each kind at most.
    ///
    /// # Errors
    /// A system call fails.
    fn create(&self, file: ScratchFile) -> Result<AppendWriter>;
}

/// What is joined.
pub struct JoinInput<'a> {
    /// The unlisted pages.
    pub data: &'a InputFile,
    /// The snapshot, if there is one.
    pub snapshot: Option<(&'a InputFile, &'a SnapshotLayout)>,
    /// Half of it is for sorting.
    pub memory: u64,
    /// Documents that only pages have are taken.
    pub recover: bool,
    /// Where to write.
    pub scratch: Arc<dyn Scratch>,
}

/// Called now and then with the bytes that were read since; its error ends the join.
pub type JoinProgress<'a> = dyn FnMut(u64) -> Result<()> + 'a;

/// Joins. The two files that [`super::JoinFiles`] needs are made and durable, unless the file
/// holds no slotted pages: then nothing is made, and the summary only counts pages that are none.
///
/// # Errors
/// [`Code::UnlistedPagesMemory`] if the table of pages does not fit; reads and writes fail; those of
/// `rejects` and `progress`.
pub fn join(
    input: &JoinInput<'_>,
    rejects: &mut dyn Rejects,
    progress: &mut JoinProgress<'_>,
) -> Result<JoinSummary> {
    let table_bytes = check_memory(input)?;
    let budget = (input.memory / 2).saturating_sub(table_bytes);
    let mut sorts = Sorts::new(
        usize::try_from(budget).unwrap_or(usize::MAX),
        &input.scratch,
    );
    let (ids, leftovers) = (sorts.add(), sorts.add());
    let mut tally = PagesTally::default();
    read_pages(input, &mut sorts, ids, leftovers, &mut tally, progress)?;
    if tally.slotted == 0 {
        let damaged = tally.damaged;
        return Ok(JoinSummary {
            tally: PagesTally {
                damaged,
                ..PagesTally::default()
            },
            ..JoinSummary::default()
        });
    }
    if tally.damaged > 0 {
        report_damage(input.data, rejects)?;
    }
    read_snapshot(input, &mut sorts, ids, progress)?;
    sorts.seal(ids)?;
    let collections = input
        .snapshot
        .map_or(0, |(_, layout)| layout.collections.len());
    let owners = Owners::count(input, &mut sorts, ids, collections, progress)?;
    let mut summary = JoinSummary {
        tally,
        ..JoinSummary::default()
    };
    (summary.tally.assigned, summary.tally.tied) = (owners.assigned, owners.tied);
    let mut joined = Joined {
        owners: &owners,
        sorts: &mut sorts,
        candidates: SorterId(0),
        leftovers,
        only: vec![0; collections],
        recover: input.recover,
        tally: &mut summary.tally,
    };
    joined.candidates = joined.sorts.add();
    joined.pair(ids, progress)?;
    let (candidates, only) = (joined.candidates, std::mem::take(&mut joined.only));
    summary.collections = owners.describe(&only);
    summary.tally.unassigned = summary
        .tally
        .unassigned
        .saturating_sub(owners.assigned + owners.tied);
    write_candidates(input, &mut sorts, candidates, &mut summary)?;
    recover::write(input, &mut sorts, leftovers, &owners, &mut summary, rejects)?;
    Ok(summary)
}

fn check_memory(input: &JoinInput<'_>) -> Result<u64> {
    let bytes = input.data.size().div_ceil(PAGE_SIZE as u64) * 4;
    if bytes <= input.memory / TABLE_SHARE {
        return Ok(bytes);
    }
    const MIB: u64 = 1 << 20;
    let needed = (bytes * TABLE_SHARE).div_ceil(MIB) * MIB;
    let sentence = format!(
        "telling the pages of data.db apart takes {}, a quarter of --memory is {}",
        ByteSize(bytes),
        ByteSize(input.memory / TABLE_SHARE)
    );
    Err(Error::new(Code::UnlistedPagesMemory, sentence)
        .at(Place::file(input.data.path()))
        .hint(format!(
            "give --memory {}MiB, or read the snapshot alone with --pages ignore",
            needed / MIB
        )))
}

/// The key of an `_id`, as printed.
fn id_key(printed: &[u8]) -> [u8; 16] {
    xxh3_128(printed).to_be_bytes()
}

const OF_SNAPSHOT: u8 = 0;
const OF_PAGE: u8 = 1;

/// Gives the `_id`s of all live documents to the sorter.
fn read_pages(
    input: &JoinInput<'_>,
    sorts: &mut Sorts,
    ids: SorterId,
    leftovers: SorterId,
    tally: &mut PagesTally,
    progress: &mut JoinProgress<'_>,
) -> Result<()> {
    let mut printed = Vec::new();
    scan(input.data, |id, look, bytes| {
        if id.0 % 64 == 0 {
            progress(0)?;
        }
        let page = match look {
            PageLook::Other => return Ok(()),
            PageLook::Damaged(_) => {
                tally.damaged += 1;
                return Ok(());
            }
            PageLook::Slotted(page) => page,
        };
        progress(bytes.len() as u64)?;
        tally.slotted += u64::from(page.slot_count > 0);
        // Those that get a collection are taken off later.
        tally.unassigned += u64::from(!page.documents.is_empty());
        for live in &page.documents {
            tally.documents += 1;
            tally.document_bytes += live.bytes.len() as u64;
            tally.unusable += u64::from(live.unusable.is_some());
            let address = DocumentAddress {
                page: page.id,
                slot: live.slot,
            };
            if live.print_id(&mut printed) {
                let mut key = [0; 17];
                join_parts(&[&id_key(&printed), &[OF_PAGE]], &mut key);
                sorts.push(ids, &key, address, &[])?;
            } else if input.recover {
                push_leftover(sorts, leftovers, address)?;
            } else {
                tally.only_unknown += 1;
            }
        }
        Ok(())
    })
}

fn report_damage(data: &InputFile, rejects: &mut dyn Rejects) -> Result<()> {
    scan(data, |page, look, bytes| match look {
        PageLook::Damaged(damage) => rejects.reject(Rejected {
            address: DocumentAddress {
                page,
                slot: SlotNumber(0),
            },
            offset: page_offset(page),
            reason: RejectReason::DamagedPage(&damage),
            bytes,
        }),
        _ => Ok(()),
    })
}

fn read_snapshot(
    input: &JoinInput<'_>,
    sorts: &mut Sorts,
    ids: SorterId,
    progress: &mut JoinProgress<'_>,
) -> Result<()> {
    let Some((file, layout)) = input.snapshot else {
        return Ok(());
    };
    let mut text = Vec::new();
    for (number, collection) in (0_u32..).zip(&layout.collections) {
        for chunk in &collection.chunks {
            walk_ids(file, *chunk, &mut text, |ordinal, id| {
                let mut key = [0; 29];
                let parts: [&[u8]; 4] = [
                    &id_key(id.as_bytes()),
                    &[OF_SNAPSHOT],
                    &number.to_be_bytes(),
                    &ordinal.to_be_bytes(),
                ];
                join_parts(&parts, &mut key);
                sorts.push(ids, &key, DocumentAddress::default(), &[])
            })?;
            progress(chunk.bytes)?;
        }
    }
    Ok(())
}

/// Puts parts one behind the other; together they are as long as `out`.
pub(super) fn join_parts(parts: &[&[u8]], out: &mut [u8]) {
    let bytes = parts.iter().copied().flatten();
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
}

pub(super) fn push_leftover(
    sorts: &mut Sorts,
    leftovers: SorterId,
    address: DocumentAddress,
) -> Result<()> {
    let mut key = [0; 6];
    let parts: [&[u8]; 2] = [&address.page.0.to_be_bytes(), &address.slot.0.to_be_bytes()];
    join_parts(&parts, &mut key);
    sorts.push(leftovers, &key, address, &[])
}

/// One entry of the sorted `_id`s.
pub(super) enum IdEntry {
    Snapshot { number: u32, ordinal: u64 },
    Page(DocumentAddress),
}

pub(super) fn decode_id(bytes: &[u8], address: DocumentAddress) -> Option<([u8; 16], IdEntry)> {
    let (hash, rest) = bytes.split_first_chunk::<16>()?;
    let (kind, rest) = rest.split_first()?;
    if *kind == OF_PAGE {
        return Some((*hash, IdEntry::Page(address)));
    }
    let (number, rest) = rest.split_first_chunk::<4>()?;
    let ordinal = rest.first_chunk::<8>()?;
    let entry = IdEntry::Snapshot {
        number: u32::from_be_bytes(*number),
        ordinal: u64::from_be_bytes(*ordinal),
    };
    Some((*hash, entry))
}

pub(super) fn broken() -> Error {
    Error::new(Code::Internal, "a sorted _id cannot be read back")
}

/// The second walk over the sorted `_id`s.
struct Joined<'j> {
    owners: &'j Owners,
    sorts: &'j mut Sorts,
    candidates: SorterId,
    leftovers: SorterId,
    /// Documents that only pages have, by collection.
    only: Vec<u64>,
    recover: bool,
    tally: &'j mut PagesTally,
}

impl Joined<'_> {
    fn pair(&mut self, ids: SorterId, progress: &mut JoinProgress<'_>) -> Result<()> {
        let mut sorted = self.sorts.merge(ids)?;
        let mut hash = None;
        let mut twins: Vec<(u32, u64)> = Vec::new();
        let mut run = 0;
        let mut entries = 0_u64;
        while let Some(entry) = sorted.next()? {
            entries += 1;
            if entries.is_multiple_of(65_536) {
                progress(0)?;
            }
            let (found, entry) = decode_id(entry.bytes, entry.address).ok_or_else(broken)?;
            if hash != Some(found) {
                hash = Some(found);
                twins.clear();
            }
            match entry {
                IdEntry::Snapshot { number, ordinal } => {
                    let is_same = twins.last().is_some_and(|(last, _)| *last == number);
                    run = if is_same { run + 1 } else { 1 };
                    if run <= MOST_TWINS {
                        twins.push((number, ordinal));
                    }
                }
                IdEntry::Page(address) => self.document(address, &twins)?,
            }
        }
        Ok(())
    }

    /// A live document, and the snapshot's documents with its `_id`.
    fn document(&mut self, address: DocumentAddress, twins: &[(u32, u64)]) -> Result<()> {
        let has = |number: u32| twins.iter().any(|(other, _)| *other == number);
        match self.owners.of(address.page) {
            Owner::Collection(number) => {
                let mut is_known = false;
                for (_, ordinal) in twins.iter().filter(|(other, _)| *other == number) {
                    is_known = true;
                    self.candidate(number, *ordinal, address)?;
                }
                if is_known {
                    return Ok(());
                }
                if let Some(only) = self.only.get_mut(number as usize) {
                    *only += 1;
                }
                self.tally.only_known += 1;
            }
            // Whichever of them has the page has the document.
            Owner::Tied(numbers)
                if !numbers.is_empty() && numbers.iter().all(|number| has(*number)) =>
            {
                return Ok(());
            }
            Owner::Tied(_) | Owner::Unknown => self.tally.only_unknown += 1,
        }
        if self.recover {
            push_leftover(self.sorts, self.leftovers, address)?;
        }
        Ok(())
    }

    /// Notes a copy so that of several the highest comes first.
    fn candidate(&mut self, number: u32, ordinal: u64, address: DocumentAddress) -> Result<()> {
        let mut key = [0; 18];
        let parts: [&[u8]; 4] = [
            &number.to_be_bytes(),
            &ordinal.to_be_bytes(),
            &(!address.page.0).to_be_bytes(),
            &(!address.slot.0).to_be_bytes(),
        ];
        join_parts(&parts, &mut key);
        self.sorts.push(self.candidates, &key, address, &[])
    }
}

fn write_candidates(
    input: &JoinInput<'_>,
    sorts: &mut Sorts,
    candidates: SorterId,
    summary: &mut JoinSummary,
) -> Result<()> {
    let mut out = input.scratch.create(ScratchFile::Candidates)?;
    let mut sorted = sorts.merge(candidates)?;
    while let Some(entry) = sorted.next()? {
        let address = entry.address;
        let (number, rest) = entry.bytes.split_first_chunk::<4>().ok_or_else(broken)?;
        let ordinal = rest.first_chunk::<8>().ok_or_else(broken)?;
        let position = out.position() / CANDIDATE_BYTES;
        let candidate = Candidate {
            ordinal: u64::from_be_bytes(*ordinal),
            address,
        };
        out.append(&candidate.encode())?;
        let number = u32::from_be_bytes(*number);
        count_record(&mut summary.candidates, number, position);
    }
    out.sync()
}

/// A page that was sound when it was read first.
pub(super) fn sound<'p>(look: PageLook<'p>, data: &InputFile, id: PageId) -> Result<LivePage<'p>> {
    match look {
        PageLook::Slotted(page) => Ok(page),
        _ => Err(
            Error::new(Code::SourceChanged, "a page is no longer what it was")
                .at(Place::page(data.path(), id.0))
                .hint("stop LauraDB, then run the same command again"),
        ),
    }
}
