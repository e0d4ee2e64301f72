//! Long terms that wait until all are there that begin as they do, and then go on in the order of
//! the whole terms.
//!
//! ```text
//! run    = record*                in the order of the whole terms
//! record = term length u16, saturating | rest length u8 | rest (32)    behind the start
//!        | page u32 | slot u16 | rank u32                              where to read it again
//!        | term value (12)
//! ```
//!
//! So many are sorted in memory, then they become a run in a temporary file; in the end two runs at
//! a time are merged.

use super::record::{LONGEST_REST, LongTermPlace, STORED_TERM_BYTES};
use super::spill::Files;
use super::whole::{LastDocument, LongTerms};
use crate::bytes::Cursor;
use crate::files::{AppendWriter, InputFile, OutputFile};
use crate::v2::address::ADDRESS_BYTES;
use crate::v2::postings::TermHead;
use crate::v2::{DocumentAddress, PageId, SlotNumber};
use crate::{Code, Error, Result};
use std::cmp::Ordering;

const RECORD_BYTES: usize = 2 + 1 + LONGEST_REST + 4 + 2 + 4 + ADDRESS_BYTES;
/// Records of one read from the file.
const READ_RECORDS: usize = 512;
/// Bytes of a buffer that runs are written from.
const WRITE_BYTES: usize = 64 << 10;

/// A long term whose place in the tree is open. What it begins with, all that wait have alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) length: u16,
    rest: [u8; LONGEST_REST],
    rest_length: u8,
    pub(super) place: LongTermPlace,
    pub(super) head: TermHead,
}

impl Waiting {
    /// `rest` is what the tree stores of the term behind its start.
    pub(super) fn new(length: u16, rest: &[u8], place: LongTermPlace, head: TermHead) -> Self {
        let mut waiting = Self {
            length,
            rest: [0; LONGEST_REST],
            rest_length: 0,
            place,
            head,
        };
        let rest = rest.get(..LONGEST_REST).unwrap_or(rest);
        if let Some(kept) = waiting.rest.get_mut(..rest.len()) {
            kept.copy_from_slice(rest);
            waiting.rest_length = u8::try_from(rest.len()).unwrap_or_default();
        }
        waiting
    }

    pub(super) fn rest(&self) -> &[u8] {
        let length = usize::from(self.rest_length);
        self.rest.get(..length).unwrap_or_default()
    }

    fn is_cut(&self) -> bool {
        usize::from(self.length) > STORED_TERM_BYTES
    }

    fn write(&self, writer: &mut AppendWriter) -> Result<()> {
        let mut record = [0; RECORD_BYTES];
        let address = self.place.address;
        let parts: [&[u8]; 7] = [
            &self.length.to_le_bytes(),
            &[self.rest_length],
            &self.rest,
            &address.page.0.to_le_bytes(),
            &address.slot.0.to_le_bytes(),
            &self.place.rank.to_le_bytes(),
            &self.head.encode(),
        ];
        for (place, byte) in record.iter_mut().zip(parts.into_iter().flatten()) {
            *place = *byte;
        }
        writer.append(&record)
    }

    fn read(record: &[u8; RECORD_BYTES]) -> Option<Self> {
        let mut cursor = Cursor::new(record);
        let length = cursor.u16()?;
        let rest_length = cursor.u8()?;
        Some(Self {
            length,
            rest_length,
            rest: cursor.take(LONGEST_REST)?.try_into().ok()?,
            place: LongTermPlace {
                address: DocumentAddress {
                    page: PageId(cursor.u32()?),
                    slot: SlotNumber(cursor.u16()?),
                },
                rank: cursor.u32()?,
            },
            head: TermHead::decode(cursor.take(ADDRESS_BYTES)?.try_into().ok()?)?,
        })
    }
}

/// Records in a file, in order.
#[derive(Clone, Copy, Debug)]
struct Run {
    offset: u64,
    records: u64,
}

/// Terms that wait.
pub(super) struct WaitingTerms {
    terms: Vec<Waiting>,
    /// So many are kept in memory.
    most: usize,
    runs: Vec<Run>,
    /// The file of the runs, and one that a merge can write to.
    writer: Option<AppendWriter>,
    other: Option<OutputFile>,
}

impl WaitingTerms {
    /// Keeps about `limit` bytes in memory.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            terms: Vec::new(),
            // Twice while they are sorted.
            most: (limit / (2 * size_of::<Waiting>())).max(2),
            runs: Vec::new(),
            writer: None,
            other: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.terms.is_empty() && self.runs.is_empty()
    }

    pub(super) fn push(
        &mut self,
        term: Waiting,
        files: &mut Files<'_>,
        long_terms: &dyn LongTerms,
    ) -> Result<()> {
        if self.terms.len() >= self.most {
            self.write_run(files, long_terms)?;
        }
        self.terms.push(term);
        Ok(())
    }

    /// Gives all terms in order to `each`; none wait then.
    pub(super) fn settle(
        &mut self,
        files: &mut Files<'_>,
        long_terms: &dyn LongTerms,
        mut each: impl FnMut(&Waiting, &mut Files<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut order = Order::new(long_terms);
        if self.runs.is_empty() {
            let sorted = order.sort(std::mem::take(&mut self.terms))?;
            return sorted.iter().try_for_each(|term| each(term, files));
        }
        self.write_run(files, long_terms)?;
        while self.runs.len() > 1 {
            self.merge_pass(files, &mut order)?;
        }
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        writer.flush()?;
        let file = writer.file().reader()?;
        let mut run = self.runs.pop().map(|run| RunReader::new(&file, run));
        if let Some(run) = &mut run {
            while let Some(term) = run.next()? {
                each(&term, files)?;
            }
        }
        // What is read is not needed any more.
        self.other = self
            .writer
            .take()
            .map(AppendWriter::into_file)
            .transpose()?;
        Ok(())
    }

    fn write_run(&mut self, files: &mut Files<'_>, long_terms: &dyn LongTerms) -> Result<()> {
        let sorted = Order::new(long_terms).sort(std::mem::take(&mut self.terms))?;
        let mut writer = self.take_writer(files)?;
        let offset = writer.position();
        sorted.iter().try_for_each(|term| term.write(&mut writer))?;
        self.writer = Some(writer);
        self.runs.push(Run {
            offset,
            records: sorted.len() as u64,
        });
        Ok(())
    }

    fn take_writer(&mut self, files: &mut Files<'_>) -> Result<AppendWriter> {
        match (self.writer.take(), self.other.take()) {
            (Some(writer), other) => {
                self.other = other;
                Ok(writer)
            }
            (None, Some(file)) => Ok(AppendWriter::new(file, 0, WRITE_BYTES)),
            (None, None) => files(),
        }
    }

    /// Makes one run of every two.
    fn merge_pass(&mut self, files: &mut Files<'_>, order: &mut Order<'_>) -> Result<()> {
        let Some(writer) = self.writer.take() else {
            return Ok(());
        };
        let source = writer.into_file()?;
        let file = source.reader()?;
        let mut writer = self.take_writer(files)?;
        let runs = std::mem::take(&mut self.runs);
        for pair in runs.chunks(2) {
            let offset = writer.position();
            let mut readers = pair.iter().map(|run| RunReader::new(&file, *run));
            let mut one = Heads::new(readers.next())?;
            let mut two = Heads::new(readers.next())?;
            while let Some(term) = order.next(&mut one, &mut two)? {
                term.write(&mut writer)?;
            }
            let records = pair.iter().map(|run| run.records);
            self.runs.push(Run {
                offset,
                records: records.fold(0, u64::saturating_add),
            });
        }
        self.writer = Some(writer);
        self.other = Some(source);
        Ok(())
    }
}

/// Reads a run from front to back.
struct RunReader<'f> {
    file: &'f InputFile,
    offset: u64,
    /// Records that are not in the buffer yet.
    left: u64,
    buffer: Vec<u8>,
    at: usize,
}

impl<'f> RunReader<'f> {
    fn new(file: &'f InputFile, run: Run) -> Self {
        Self {
            file,
            offset: run.offset,
            left: run.records,
            buffer: Vec::new(),
            at: 0,
        }
    }

    fn next(&mut self) -> Result<Option<Waiting>> {
        let mut rest = self.buffer.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            let records = self.left.min(READ_RECORDS as u64);
            if records == 0 {
                return Ok(None);
            }
            let bytes = usize::try_from(records).unwrap_or(READ_RECORDS) * RECORD_BYTES;
            self.buffer.resize(bytes, 0);
            self.file.read_exact_at(&mut self.buffer, self.offset)?;
            self.offset += bytes as u64;
            self.left -= records;
            self.at = 0;
            rest = &self.buffer;
        }
        let term = rest.first_chunk().and_then(Waiting::read);
        self.at += RECORD_BYTES;
        let sentence = "a long term that waits for its tree cannot be read back";
        let broken = || Error::new(Code::Internal, sentence);
        term.ok_or_else(broken).map(Some)
    }
}

/// One side of a merge, with its first term.
struct Heads<'f> {
    reader: Option<RunReader<'f>>,
    head: Option<Waiting>,
}

impl<'f> Heads<'f> {
    fn new(reader: Option<RunReader<'f>>) -> Result<Self> {
        let mut heads = Self { reader, head: None };
        heads.advance()?;
        Ok(heads)
    }

    /// Takes the first term.
    fn advance(&mut self) -> Result<Option<Waiting>> {
        let next = match &mut self.reader {
            Some(reader) => reader.next()?,
            None => None,
        };
        Ok(std::mem::replace(&mut self.head, next))
    }
}

/// Puts terms in order. Reads documents only for terms that agree in their stored forms, and while
/// it merges, one document of each side is at hand.
struct Order<'a> {
    documents: (LastDocument<'a>, LastDocument<'a>),
}

impl<'a> Order<'a> {
    fn new(long_terms: &'a dyn LongTerms) -> Self {
        Self {
            documents: (LastDocument::new(long_terms), LastDocument::new(long_terms)),
        }
    }

    /// A merge sort, whose comparisons can fail.
    fn sort(&mut self, mut terms: Vec<Waiting>) -> Result<Vec<Waiting>> {
        let mut sorted = Vec::with_capacity(terms.len());
        let mut width = 1;
        while width < terms.len() {
            sorted.clear();
            for pair in terms.chunks(2 * width) {
                let (mut left, mut right) = pair.split_at(width.min(pair.len()));
                while let (Some((one, left_rest)), Some((two, right_rest))) =
                    (left.split_first(), right.split_first())
                {
                    if self.compare(one, two)?.is_gt() {
                        sorted.push(*two);
                        right = right_rest;
                    } else {
                        sorted.push(*one);
                        left = left_rest;
                    }
                }
                sorted.extend_from_slice(left);
                sorted.extend_from_slice(right);
            }
            std::mem::swap(&mut terms, &mut sorted);
            width *= 2;
        }
        Ok(terms)
    }

    fn next<'f>(&mut self, one: &mut Heads<'f>, two: &mut Heads<'f>) -> Result<Option<Waiting>> {
        let takes_second = match (&one.head, &two.head) {
            (Some(left), Some(right)) => self.compare(left, right)?.is_gt(),
            (None, _) => true,
            (_, None) => false,
        };
        if takes_second { two } else { one }.advance()
    }

    /// Compares two terms that differ.
    fn compare(&mut self, left: &Waiting, right: &Waiting) -> Result<Ordering> {
        match left.rest().cmp(right.rest()) {
            Ordering::Equal => {}
            decided => return Ok(decided),
        }
        // A stored form that is not cut is the whole term, and the beginning of the other.
        match (left.is_cut(), right.is_cut()) {
            (false, _) => return Ok(Ordering::Less),
            (_, false) => return Ok(Ordering::Greater),
            _ => {}
        }
        if left.place.address == right.place.address {
            return Ok(left.place.rank.cmp(&right.place.rank));
        }
        let one = self.documents.0.term(left.place)?;
        let two = self.documents.1.term(right.place)?;
        Ok(one.cmp(two))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::text::NoLongTerms;
    use crate::v2::btree::testing::SpillDir;
    use crate::v2::postings::ChunkAddress;

    fn waiting(number: u32) -> Waiting {
        let address = DocumentAddress {
            page: PageId(number),
            slot: SlotNumber(3),
        };
        let head = TermHead {
            first: ChunkAddress {
                page: PageId(number + 1),
                slot: SlotNumber(1),
            },
            document_frequency: number + 2,
        };
        let place = LongTermPlace { address, rank: 7 };
        Waiting::new(1000, &number.to_be_bytes(), place, head)
    }

    #[test]
    fn terms_that_wait_take_bounded_memory_and_come_in_order() {
        let directory = SpillDir::new();
        let limit = 8 << 10;
        let mut terms = WaitingTerms::new(limit);
        let mut files = || directory.create();
        // Twice, since the files are used again.
        for count in [5000_u32, 1, 3000] {
            for number in 0..count {
                let number = number * 7919 % count;
                let term = waiting(number);
                terms.push(term, &mut files, &NoLongTerms).unwrap();
                let memory = terms.terms.capacity() * size_of::<Waiting>();
                assert!(memory <= limit, "{memory}");
            }
            let mut next = 0;
            let settled = terms.settle(&mut files, &NoLongTerms, |term, _| {
                let expected = waiting(next);
                assert_eq!((term.rest(), term.length), (expected.rest(), 1000));
                assert_eq!((term.place, term.head), (expected.place, expected.head));
                next += 1;
                Ok(())
            });
            settled.unwrap();
            assert!(next == count && terms.is_empty());
        }
    }
}
