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

use super::candidates::{CANDIDATE_BYTES, Candidate, decode_address, encode_address};
use super::owners::Owners;
use super::pairs::Pairs;
use super::recover;
use super::scan::{LivePage, PageLook, scan};
use super::sorter::{SortedBytes, Sorts};
use super::summary::{JoinSummary, PagesTally, count_record};
use super::votes::SETS_SHARE;
use super::{RejectReason, Rejected, Rejects, Taken};
use crate::bytes::Cursor;
use crate::files::{AppendWriter, InputFile};
use crate::hash::xxh3_128;
use crate::index::sort::SorterId;
use crate::v1::snapshot::{SnapshotLayout, walk_ids};
use crate::v2::page::PAGE_SIZE;
use crate::v2::page_file::page_offset;
use crate::v2::{DocumentAddress, PageId, SlotNumber};
use crate::{Code, Error, Place, Result};
use bytesize::ByteSize;
use std::sync::Arc;

/// Largest share of the memory that the table of pages may take.
const TABLE_SHARE: u64 = 4;

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
    /// Which collections are taken.
    pub taken: Taken,
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
    let apart = table_bytes.saturating_add(input.memory / SETS_SHARE);
    let budget = (input.memory / 2).saturating_sub(apart);
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
    (summary.tally.assigned, summary.tally.tied) = (owners.assigned, owners.tied_taken);
    let candidates = sorts.add();
    let mut pairs = Pairs {
        owners: &owners,
        sorts: &mut sorts,
        candidates,
        leftovers,
        only: vec![0; collections],
        recover: input.recover,
        taken: &input.taken,
        tally: &mut summary.tally,
    };
    pairs.find(ids, progress)?;
    let only = std::mem::take(&mut pairs.only);
    summary.collections = owners.describe(&only);
    summary.tally.unassigned = summary
        .tally
        .unassigned
        .saturating_sub(owners.assigned.saturating_add(owners.tied));
    write_candidates(input, &mut sorts, candidates, &mut summary)?;
    recover::write(input, &mut sorts, leftovers, &owners, &mut summary, rejects)?;
    Ok(summary)
}

fn check_memory(input: &JoinInput<'_>) -> Result<u64> {
    let bytes = input
        .data
        .size()
        .div_ceil(PAGE_SIZE as u64)
        .saturating_mul(4);
    if bytes <= input.memory / TABLE_SHARE {
        return Ok(bytes);
    }
    const MIB: u64 = 1 << 20;
    let needed = bytes
        .saturating_mul(TABLE_SHARE)
        .div_ceil(MIB)
        .saturating_mul(MIB);
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
/// A number on a page, by the other way in which it may be printed.
const OF_EQUAL: u8 = 2;

/// Payload of [`OF_PAGE`] for a number that there is an [`OF_EQUAL`] of.
const HAS_EQUAL: &[u8] = &[1];

/// Gives the `_id`s of all live documents to the sorter.
fn read_pages(
    input: &JoinInput<'_>,
    sorts: &mut Sorts,
    ids: SorterId,
    leftovers: SorterId,
    tally: &mut PagesTally,
    progress: &mut JoinProgress<'_>,
) -> Result<()> {
    let (mut printed, mut other) = (Vec::new(), Vec::new());
    let mut unreported = 0_u64;
    scan(input.data, |id, look, bytes| {
        unreported = unreported.saturating_add(bytes.len() as u64);
        if id.0 % 64 == 0 {
            progress(std::mem::take(&mut unreported))?;
        }
        let page = match look {
            PageLook::Other => return Ok(()),
            PageLook::Damaged(_) => {
                tally.damaged = tally.damaged.saturating_add(1);
                return Ok(());
            }
            PageLook::Slotted(page) => page,
        };
        tally.slotted = tally.slotted.saturating_add(u64::from(page.slot_count > 0));
        // Those that get a collection are taken off later.
        tally.unassigned = tally
            .unassigned
            .saturating_add(u64::from(!page.documents.is_empty()));
        for live in &page.documents {
            tally.documents = tally.documents.saturating_add(1);
            tally.document_bytes = tally.document_bytes.saturating_add(live.bytes.len() as u64);
            tally.unusable = tally
                .unusable
                .saturating_add(u64::from(live.unusable.is_some()));
            let address = DocumentAddress {
                page: page.id,
                slot: live.slot,
            };
            if live.print_id(&mut printed) {
                let mut key = [0; 17];
                join_parts(&[&id_key(&printed), &[OF_PAGE]], &mut key);
                if live.print_other_id(&printed, &mut other) {
                    sorts.push(ids, &key, address, HAS_EQUAL)?;
                    join_parts(&[&id_key(&other), &[OF_EQUAL]], &mut key);
                }
                sorts.push(ids, &key, address, &[])?;
            } else if input.recover {
                push_leftover(sorts, leftovers, address)?;
            } else {
                tally.only_unknown = tally.only_unknown.saturating_add(1);
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

/// Notes a document that only pages have.
pub(super) fn push_leftover(
    sorts: &mut Sorts,
    leftovers: SorterId,
    address: DocumentAddress,
) -> Result<()> {
    sorts.push(leftovers, &leftover_key(address, IS_LEFT), address, &[])
}

/// Leftovers are sorted by page and slot; what is known of one comes before it.
fn leftover_key(address: DocumentAddress, kind: u8) -> [u8; 7] {
    let mut key = [0; 7];
    let parts: [&[u8]; 3] = [
        &address.page.0.to_be_bytes(),
        &address.slot.0.to_be_bytes(),
        &[kind],
    ];
    join_parts(&parts, &mut key);
    key
}

/// Notes that a document that only pages have, or does not, may be an older copy of `newer`.
pub(super) fn push_newer(
    sorts: &mut Sorts,
    leftovers: SorterId,
    address: DocumentAddress,
    newer: DocumentAddress,
) -> Result<()> {
    let key = leftover_key(address, HAS_NEWER);
    sorts.push(leftovers, &key, address, &encode_address(newer))
}

const HAS_NEWER: u8 = 0;
const IS_LEFT: u8 = 1;

/// One entry of the sorted leftovers.
#[derive(Clone, Copy)]
pub(super) struct Leftover {
    pub(super) address: DocumentAddress,
    /// This copy may have the same `_id`, and the snapshot has that. An entry of its own then.
    pub(super) newer: Option<DocumentAddress>,
}

impl Leftover {
    pub(super) fn decode(entry: &SortedBytes<'_>) -> Self {
        Self {
            address: entry.address,
            newer: decode_address(&mut Cursor::new(entry.payload)),
        }
    }
}

/// One entry of the sorted `_id`s.
pub(super) enum IdEntry {
    Snapshot {
        number: u32,
        ordinal: u64,
    },
    Page {
        address: DocumentAddress,
        /// A number that may be printed in another way as well.
        has_equal: bool,
    },
    /// A number, by that other way.
    Equal(DocumentAddress),
}

pub(super) fn decode_id(entry: &SortedBytes<'_>) -> Option<([u8; 16], IdEntry)> {
    let (hash, rest) = entry.bytes.split_first_chunk::<16>()?;
    let (kind, rest) = rest.split_first()?;
    let address = entry.address;
    let decoded = match *kind {
        OF_PAGE => IdEntry::Page {
            address,
            has_equal: entry.payload == HAS_EQUAL,
        },
        OF_EQUAL => IdEntry::Equal(address),
        _ => {
            let (number, rest) = rest.split_first_chunk::<4>()?;
            let ordinal = rest.first_chunk::<8>()?;
            IdEntry::Snapshot {
                number: u32::from_be_bytes(*number),
                ordinal: u64::from_be_bytes(*ordinal),
            }
        }
    };
    Some((*hash, decoded))
}

pub(super) fn broken() -> Error {
    Error::new(Code::Internal, "a sorted _id cannot be read back")
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
