//! The write-ahead log of a store: which pages a transaction has changed, and into what.
//!
//! ```text
//! wal.log     = checkpoint | transaction*          framing as in v1 (v1::wal::scan)
//! checkpoint  = record of type 3, page_id 0, no data; the pages hold all that came before it
//! transaction = image+ | commit
//! image       = record of type 1 | data
//!   page_id     the page's number; 0xFFFFFFFF for page 0 of metadata.db. Never 0, which marks the
//!               document operations of v1
//!   prev_lsn    LSN of the transaction's record before it, 0 in the first
//!   data        = hash u64        XXH3-64 of the record's header and of all that follows here
//!               | file u8         0 data.db, 1 metadata.db
//!               | page u32
//!               | hole_start u16 | hole_length u16    zeros that are left out
//!               | the page's other bytes
//! commit      = record of type 4, page_id 0, prev_lsn of the last image, no data
//! ```
//!
//! LSNs grow by one from record to record, `txn_id`s from transaction to transaction. A page
//! carries the LSN of its image. A transaction is written at its commit, whole, and counts once its
//! commit record is there: what is behind the last commit is a torn tail.
//!
//! The images are whole pages, so a page that was torn when it was written to its file is whole
//! again after replay, and replaying twice changes nothing.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use crate::bytes::Cursor;
use crate::files::OutputFile;
use crate::hash::xxh3_64_of;
use crate::v1::wal::{HEADER_BYTES, RecordHeader, RecordKind};
use crate::v2::PageId;
use crate::v2::page::{PAGE_SIZE, PageBytes};
use crate::{Code, Error, Place, Result};

/// Bytes of an image's data before the page's bytes.
pub(super) const IMAGE_HEADER_BYTES: usize = 8 + 1 + 4 + 2 + 2;
/// Most bytes of an image's data.
pub(super) const MAX_IMAGE_BYTES: usize = IMAGE_HEADER_BYTES + PAGE_SIZE;
/// The record's page number of page 0, which would look like a document operation.
const PAGE_ZERO: u32 = u32::MAX;
/// How much of a transaction is written at a time.
const WRITE_BYTES: usize = 1 << 20;

/// The two files of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(super) enum PageFile {
    Data = 0,
    Metadata = 1,
}

/// A page of either file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PageKey {
    pub(super) file: PageFile,
    pub(super) page: PageId,
}

/// Where the longest run of zeros of a page is, as far as a quick look finds it.
fn hole_of(page: &PageBytes) -> (usize, usize) {
    const STEP: usize = 16;
    let (mut best, mut start, mut length) = ((0, 0), 0_usize, 0_usize);
    for (at, block) in page.as_chunks::<STEP>().0.iter().enumerate() {
        if *block != [0; STEP] {
            length = 0;
            continue;
        }
        if length == 0 {
            start = at.saturating_mul(STEP);
        }
        length = length.saturating_add(STEP);
        if length > best.1 {
            best = (start, length);
        }
    }
    best
}

/// The page number that an image's record header has.
fn record_page(page: PageId) -> u32 {
    match page.0 {
        0 => PAGE_ZERO,
        number => number,
    }
}

fn image_hash(header: &RecordHeader, rest: &[u8]) -> u64 {
    xxh3_64_of(&[&header.encode(), rest])
}

/// Which page an image is of, if its data goes with its header.
pub(super) fn check_image(header: &RecordHeader, data: &[u8]) -> Option<PageKey> {
    let mut cursor = Cursor::new(data);
    let hash = u64::from_le_bytes(cursor.take(8)?.try_into().ok()?);
    if image_hash(header, cursor.rest()) != hash {
        return None;
    }
    let file = match cursor.u8()? {
        0 => PageFile::Data,
        1 => PageFile::Metadata,
        _ => return None,
    };
    let page = PageId(cursor.u32()?);
    let start = usize::from(cursor.u16()?);
    let length = usize::from(cursor.u16()?);
    let fits = start.saturating_add(length) <= PAGE_SIZE
        && Some(cursor.rest().len()) == PAGE_SIZE.checked_sub(length);
    (fits && record_page(page) == header.page_id).then_some(PageKey { file, page })
}

/// Fills `page` from the data of an image that has passed [`check_image`]; `None` on other bytes.
pub(super) fn decode_image(data: &[u8], page: &mut PageBytes) -> Option<()> {
    let mut cursor = Cursor::new(data.get(IMAGE_HEADER_BYTES - 4..)?);
    let start = usize::from(cursor.u16()?);
    let length = usize::from(cursor.u16()?);
    page.fill(0);
    page.get_mut(..start)?.copy_from_slice(cursor.take(start)?);
    let rest = page.get_mut(start.checked_add(length)?..)?;
    rest.copy_from_slice(cursor.take(rest.len())?);
    Some(())
}

/// The log, open to append transactions.
#[derive(Debug)]
pub(super) struct Log {
    file: OutputFile,
    /// Bytes up to the last commit.
    committed: u64,
    next_lsn: u64,
    next_txn: u64,
    /// A write or fsync failed and what is in the file is not known.
    failed: bool,
    buffer: Vec<u8>,
    written: u64,
    prev_lsn: u64,
}

impl Log {
    /// A log that holds nothing but a checkpoint record with this LSN.
    pub(super) fn new(file: OutputFile, checkpoint_lsn: u64) -> Self {
        Self {
            file,
            committed: HEADER_BYTES as u64,
            next_lsn: checkpoint_lsn.saturating_add(1),
            next_txn: 1,
            failed: false,
            buffer: Vec::new(),
            written: 0,
            prev_lsn: 0,
        }
    }

    /// Bytes of the log.
    pub(super) fn len(&self) -> u64 {
        self.committed
    }

    /// True once nothing can be appended any more.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Keeps anything from being appended: the file may not be the log any more.
    pub(super) fn fail(&mut self) {
        self.failed = true;
    }

    /// The LSN that the next image gets.
    pub(super) fn next_lsn(&self) -> u64 {
        match self.prev_lsn {
            0 => self.next_lsn,
            last => last.saturating_add(1),
        }
    }

    /// The checkpoint record that may replace the log once all pages are in their files.
    pub(super) fn checkpoint_record(lsn: u64) -> [u8; HEADER_BYTES] {
        RecordHeader {
            lsn,
            kind: RecordKind::Checkpoint as u8,
            ..RecordHeader::default()
        }
        .encode()
    }

    /// Begins to write a transaction.
    ///
    /// # Errors
    /// [`Code::StoreFailed`] once the log has failed.
    pub(super) fn begin(&mut self) -> Result<()> {
        if self.failed {
            return Err(Error::new(
                Code::StoreFailed,
                "an earlier write to the log failed, so what it holds is not known",
            )
            .at(Place::file(self.file.path()))
            .hint("close the store and open it again: opening finds out"));
        }
        // A transaction has fewer records than that; a log with such an LSN was not written by one.
        if self.next_lsn > u64::MAX / 2 {
            let sentence = format!("the log's LSNs are used up: the next is {}", self.next_lsn);
            return Err(Error::new(Code::LimitExceeded, sentence)
                .at(Place::file(self.file.path()))
                .hint("export the directory, and import it into a new one"));
        }
        self.buffer.clear();
        self.written = 0;
        self.prev_lsn = 0;
        Ok(())
    }

    /// Writes the image of a page, which carries [`Self::next_lsn`].
    ///
    /// # Errors
    /// The write fails; [`Self::abandon`] has to follow.
    pub(super) fn image(&mut self, key: PageKey, page: &PageBytes) -> Result<()> {
        let (start, length) = hole_of(page);
        let lsn = self.next_lsn();
        let mut header = RecordHeader {
            lsn,
            kind: RecordKind::Update as u8,
            txn_id: self.next_txn,
            page_id: record_page(key.page),
            prev_lsn: self.prev_lsn,
            data_len: 0,
        };
        let data_len = MAX_IMAGE_BYTES.saturating_sub(length);
        header.data_len = u32::try_from(data_len).unwrap_or(u32::MAX);
        self.buffer.extend_from_slice(&header.encode());
        let data = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 8]);
        self.buffer.push(key.file as u8);
        self.buffer.extend_from_slice(&key.page.0.to_le_bytes());
        for field in [start, length] {
            let field = u16::try_from(field).unwrap_or(u16::MAX);
            self.buffer.extend_from_slice(&field.to_le_bytes());
        }
        let (before, after) = (page.get(..start), page.get(start.saturating_add(length)..));
        self.buffer.extend_from_slice(before.unwrap_or_default());
        self.buffer.extend_from_slice(after.unwrap_or_default());
        if let Some((hash, rest)) = self
            .buffer
            .get_mut(data..)
            .and_then(|d| d.split_first_chunk_mut())
        {
            *hash = image_hash(&header, rest).to_le_bytes();
        }
        self.prev_lsn = lsn;
        if self.buffer.len() >= WRITE_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let offset = self.committed.saturating_add(self.written);
        self.file.write_all_at(&self.buffer, offset)?;
        self.written = self.written.saturating_add(self.buffer.len() as u64);
        self.buffer.clear();
        Ok(())
    }

    /// Ends the transaction and makes it durable. On an error it has not happened, unless
    /// [`Self::has_failed`] says that this is not known.
    ///
    /// # Errors
    /// The write or the fsync fails.
    pub(super) fn commit(&mut self) -> Result<()> {
        let header = RecordHeader {
            lsn: self.next_lsn(),
            kind: RecordKind::Commit as u8,
            txn_id: self.next_txn,
            page_id: 0,
            prev_lsn: self.prev_lsn,
            data_len: 0,
        };
        self.buffer.extend_from_slice(&header.encode());
        if let Err(error) = self.flush() {
            self.abandon();
            return Err(error);
        }
        // After a failed fsync the kernel may have dropped what it could not write.
        self.failed = true;
        self.file.sync()?;
        self.failed = false;
        self.committed = self.committed.saturating_add(self.written);
        self.next_lsn = header.lsn.saturating_add(1);
        self.next_txn = self.next_txn.saturating_add(1);
        self.prev_lsn = 0;
        Ok(())
    }

    /// Takes back what was written of a transaction.
    pub(super) fn abandon(&mut self) {
        self.prev_lsn = 0;
        if self.file.set_len(self.committed).is_err() {
            self.failed = true;
        }
    }
}
