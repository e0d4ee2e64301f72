//! The files that a join writes, and how they are read.
//!
//! ```text
//! candidate (16) = ordinal u64 | page u32 | slot u16 | 0 u16     by collection and ordinal, the
//!                                                                highest page and slot first
//! recovered (8)  = page u32 | slot u16 | 0 u16                   by collection, page and slot
//! ```

use super::enrich::Enricher;
use super::scan::LiveDocument;
use super::summary::{JoinSummary, RecordRange};
use crate::bytes::Cursor;
use crate::document::InferTypes;
use crate::files::InputFile;
use crate::v2::page::{PAGE_SIZE, PageBytes};
use crate::v2::page_file::page_offset;
use crate::v2::slotted::{SlotContent, SlottedPage};
use crate::v2::{DocumentAddress, PageId, SlotNumber};
use crate::{Code, Error, Place, Result};
use std::collections::HashMap;

pub(super) const CANDIDATE_BYTES: u64 = 16;
pub(super) const RECOVERED_BYTES: u64 = 8;

/// Records read at once.
const READ_RECORDS: u64 = 2048;

/// A document of the snapshot, and a copy of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) ordinal: u64,
    pub(super) address: DocumentAddress,
}

impl Candidate {
    pub(super) fn encode(self) -> [u8; 16] {
        let [o0, o1, o2, o3, o4, o5, o6, o7] = self.ordinal.to_le_bytes();
        let [a0, a1, a2, a3, a4, a5, a6, a7] = encode_address(self.address);
        [
            o0, o1, o2, o3, o4, o5, o6, o7, a0, a1, a2, a3, a4, a5, a6, a7,
        ]
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        Some(Self {
            ordinal: cursor.u64()?,
            address: decode_address(&mut cursor)?,
        })
    }
}

pub(super) fn encode_address(address: DocumentAddress) -> [u8; 8] {
    let [p0, p1, p2, p3] = address.page.0.to_le_bytes();
    let [s0, s1] = address.slot.0.to_le_bytes();
    [p0, p1, p2, p3, s0, s1, 0, 0]
}

pub(super) fn decode_address(cursor: &mut Cursor<'_>) -> Option<DocumentAddress> {
    let page = PageId(cursor.u32()?);
    let slot = SlotNumber(cursor.u16()?);
    cursor.u16()?;
    Some(DocumentAddress { page, slot })
}

/// A finished join: `data.db` and the files that say what of it to take.
#[derive(Clone, Debug)]
pub struct JoinFiles {
    data: InputFile,
    candidates: InputFile,
    recovered: InputFile,
    candidate_ranges: HashMap<u32, RecordRange>,
    recovered_ranges: HashMap<u32, RecordRange>,
}

impl JoinFiles {
    /// Puts together what [`super::join`] has written and `summary` describes.
    ///
    /// # Errors
    /// [`Code::CheckpointDamaged`] if a file is shorter than the summary says.
    pub fn new(
        summary: &JoinSummary,
        data: InputFile,
        candidates: InputFile,
        recovered: InputFile,
    ) -> Result<Self> {
        check_length(&candidates, &summary.candidates, CANDIDATE_BYTES)?;
        check_length(&recovered, &summary.recovered, RECOVERED_BYTES)?;
        let by_number = |ranges: &[RecordRange]| {
            let ranges = ranges.iter().map(|range| (range.number, *range));
            ranges.collect::<HashMap<_, _>>()
        };
        Ok(Self {
            data,
            candidates,
            recovered,
            candidate_ranges: by_number(&summary.candidates),
            recovered_ranges: by_number(&summary.recovered),
        })
    }

    /// Looks for copies of documents, which were converted with `infer_types`.
    #[must_use]
    pub fn enricher(&self, infer_types: InferTypes) -> Enricher<'_> {
        Enricher::new(self, infer_types)
    }

    /// The recovered documents of a collection.
    #[must_use]
    pub fn recovered(&self, number: u32) -> RecoveredDocuments<'_> {
        RecoveredDocuments {
            file: &self.recovered,
            pages: PageCache::new(&self.data),
            range: self.recovered_ranges.get(&number).copied(),
        }
    }

    pub(super) fn data(&self) -> &InputFile {
        &self.data
    }

    /// The candidates of a collection from an ordinal on.
    pub(super) fn candidates_from(&self, number: u32, ordinal: u64) -> Result<CandidateCursor<'_>> {
        let mut cursor = CandidateCursor {
            file: &self.candidates,
            next: 0,
            end: 0,
            buffer: Vec::new(),
            at: 0,
        };
        let Some(range) = self.candidate_ranges.get(&number) else {
            return Ok(cursor);
        };
        let (mut low, mut high) = (range.first, range.first.saturating_add(range.count));
        cursor.end = high;
        while low < high {
            let middle = low.saturating_add(high.saturating_sub(low) / 2);
            let mut bytes = [0; 16];
            let offset = middle.saturating_mul(CANDIDATE_BYTES);
            self.candidates.read_exact_at(&mut bytes, offset)?;
            let is_before = Candidate::decode(&bytes).is_some_and(|found| found.ordinal < ordinal);
            if is_before {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        cursor.next = low;
        Ok(cursor)
    }
}

fn check_length(file: &InputFile, ranges: &[RecordRange], record: u64) -> Result<()> {
    let ends = ranges
        .iter()
        .map(|range| range.first.saturating_add(range.count));
    let expected = ends.max().unwrap_or_default().saturating_mul(record);
    if file.size() >= expected {
        return Ok(());
    }
    let sentence = format!(
        "the file has {} bytes, the plan counts {expected}",
        file.size()
    );
    Err(Error::new(Code::CheckpointDamaged, sentence)
        .at(Place::file(file.path()))
        .hint("add --restart to discard the interrupted run and begin anew"))
}

/// Candidates one after the other.
#[derive(Debug)]
pub(super) struct CandidateCursor<'f> {
    file: &'f InputFile,
    /// The first record that is not in the buffer.
    next: u64,
    end: u64,
    buffer: Vec<u8>,
    at: usize,
}

impl CandidateCursor<'_> {
    pub(super) fn peek(&mut self) -> Result<Option<Candidate>> {
        if self.at >= self.buffer.len() {
            let count = self.end.saturating_sub(self.next).min(READ_RECORDS);
            if count == 0 {
                return Ok(None);
            }
            let bytes = usize::try_from(count.saturating_mul(CANDIDATE_BYTES)).unwrap_or_default();
            self.buffer.resize(bytes, 0);
            self.file
                .read_exact_at(&mut self.buffer, self.next.saturating_mul(CANDIDATE_BYTES))?;
            self.next = self.next.saturating_add(count);
            self.at = 0;
        }
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        Ok(Candidate::decode(rest))
    }

    pub(super) fn advance(&mut self) {
        self.at = self.at.saturating_add(16);
    }
}

/// The last page that was read.
#[derive(Debug)]
pub(super) struct PageCache<'f> {
    file: &'f InputFile,
    page: Box<PageBytes>,
    id: Option<PageId>,
}

impl<'f> PageCache<'f> {
    pub(super) fn new(file: &'f InputFile) -> Self {
        Self {
            file,
            page: Box::new([0; PAGE_SIZE]),
            id: None,
        }
    }

    /// The page's bytes.
    pub(super) fn page(&mut self, id: PageId) -> Result<&PageBytes> {
        if self.id != Some(id) {
            self.id = None;
            self.file.read_exact_at(&mut *self.page, page_offset(id))?;
            self.id = Some(id);
        }
        Ok(&self.page)
    }

    /// The live document at an address where the join has found one.
    pub(super) fn document(&mut self, address: DocumentAddress) -> Result<LiveDocument<'_>> {
        let path = self.file.path();
        let changed = || {
            let sentence = "a document is no longer where it was";
            Error::new(Code::SourceChanged, sentence)
                .at(Place::page(path, address.page.0))
                .hint("stop LauraDB, then run the same command again with --restart")
        };
        let page = self.page(address.page)?;
        let content = SlottedPage::open(page).and_then(|slotted| {
            let content = slotted.get(address.slot)?;
            Ok((content, slotted.position(address.slot)?))
        });
        match content {
            Ok((Some(SlotContent::Document(bytes)), position)) => {
                LiveDocument::new(address.page, (address.slot, position), bytes)
                    .map_err(|error| changed().because(error))
            }
            Ok(_) => Err(changed()),
            Err(error) => Err(changed().because(error)),
        }
    }
}

/// The recovered documents of a collection, by page and slot.
#[derive(Debug)]
pub struct RecoveredDocuments<'f> {
    file: &'f InputFile,
    pages: PageCache<'f>,
    range: Option<RecordRange>,
}

impl RecoveredDocuments<'_> {
    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.range.map_or(0, |range| range.count)
    }

    /// Reads the document at a position, and tells where it lies.
    ///
    /// # Errors
    /// [`Code::SourceChanged`] if it is not there any more; a read fails.
    pub fn read(&mut self, position: u64, document: &mut Vec<u8>) -> Result<DocumentAddress> {
        let (address, found) = self.live(position)?;
        document.clear();
        document.extend_from_slice(found.bytes);
        Ok(address)
    }

    /// The document at a position as it lies in its page.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn live(&mut self, position: u64) -> Result<(DocumentAddress, LiveDocument<'_>)> {
        let missing = || Error::new(Code::Internal, "there is no such recovered document");
        let range = self.range.filter(|range| position < range.count);
        let record = range.ok_or_else(missing)?.first.saturating_add(position);
        let mut bytes = [0; 8];
        self.file
            .read_exact_at(&mut bytes, record.saturating_mul(RECOVERED_BYTES))?;
        let address = decode_address(&mut Cursor::new(&bytes)).ok_or_else(missing)?;
        Ok((address, self.pages.document(address)?))
    }
}
