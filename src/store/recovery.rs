//! Reading a store's log back: after a crash, or without writing, through its images.
//!
//! What a crash leaves is committed transactions and perhaps the beginning of one more. That tail is
//! dropped: its commit was never confirmed. A bad record with a whole one of a later transaction
//! behind it is no tail, since a transaction is written only after the one before it is durable: the
//! log is damaged, and nothing is replayed.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::log::{
    IMAGE_HEADER_BYTES, Log, MAX_IMAGE_BYTES, PageFile, PageKey, check_image, decode_image,
};
use crate::files::{Dir, InputFile, OutputFile};
use crate::layout;
use crate::v1::wal::{HEADER_BYTES, RecordHeader, RecordKind};
use crate::v2::PageId;
use crate::v2::page::{PAGE_SIZE, PageBytes};
use crate::v2::page_file::{PageImages, page_offset};
use crate::{Code, Error, Place, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where the data of an image stands in the log.
#[derive(Clone, Copy, Debug)]
struct ImagePlace {
    offset: u64,
    length: usize,
}

/// The newest committed image of every page in a log.
#[derive(Clone, Debug)]
pub struct Overlay {
    file: InputFile,
    images: BTreeMap<PageKey, ImagePlace>,
    last_lsn: u64,
    transactions: u64,
    torn_bytes: u64,
}

/// What a log is.
#[derive(Debug)]
pub(super) enum LogState {
    /// One checkpoint record, with this LSN, or no record at all.
    Clean(u64),
    /// More than that.
    Recover(Overlay),
}

/// The pages that a v2 directory's log holds beyond its files, for reading without writing; `None`
/// if its files have everything.
///
/// # Errors
/// [`Code::NeedsRecovery`] for a log that LauraDB has written, [`Code::StoreLogDamaged`]; a read
/// fails.
pub fn overlay(dir: &Dir) -> Result<Option<Overlay>> {
    Ok(match read(dir)? {
        LogState::Clean(_) => None,
        LogState::Recover(overlay) => Some(overlay),
    })
}

/// Brings the files of a directory up to its log and empties the log; gives the last LSN.
///
/// 1. The newest image of every page is written to its file; both files are fsynced.
/// 2. The log is replaced by one checkpoint record, atomically.
///
/// A crash before 2 leaves the log as it was, and the next open does all of it again.
///
/// # Errors
/// As [`overlay`]; a write fails.
pub(super) fn recover(dir: &Dir) -> Result<u64> {
    let overlay = match read(dir)? {
        LogState::Clean(lsn) => return Ok(lsn),
        LogState::Recover(overlay) => overlay,
    };
    tracing::info!(
        transactions = overlay.transactions,
        pages = overlay.images.len(),
        torn_bytes = overlay.torn_bytes,
        "replaying the write-ahead log"
    );
    let mut page = [0; PAGE_SIZE];
    for (file, name) in [
        (PageFile::Data, layout::DATA_FILE),
        (PageFile::Metadata, layout::METADATA_FILE),
    ] {
        let output = dir.reopen(name)?;
        for key in overlay.images.keys().filter(|key| key.file == file) {
            overlay.read(*key, &mut page)?;
            output.write_all_at(&page, page_offset(key.page))?;
        }
        drop_partial_page(&output)?;
        output.sync()?;
    }
    let lsn = overlay.last_lsn.saturating_add(1);
    reset_log(dir, lsn)?;
    Ok(lsn)
}

/// A crash while a file grew may have left a part of a page that no commit counts.
fn drop_partial_page(file: &OutputFile) -> Result<()> {
    let length = file.len()?;
    let partial = length.checked_rem(PAGE_SIZE as u64).unwrap_or_default();
    if partial == 0 {
        return Ok(());
    }
    file.set_len(length.saturating_sub(partial))
}

/// Replaces the log by one checkpoint record.
pub(super) fn reset_log(dir: &Dir, lsn: u64) -> Result<()> {
    let access = match dir.open_file_if_exists(layout::WAL_FILE)? {
        Some(file) => file.access()?,
        None => dir.open_file(layout::DATA_FILE)?.access()?,
    };
    dir.replace(layout::WAL_FILE, &Log::checkpoint_record(lsn), access)
}

/// Reads a directory's log.
pub(super) fn read(dir: &Dir) -> Result<LogState> {
    let Some(file) = dir.open_file_if_exists(layout::WAL_FILE)? else {
        return Ok(LogState::Clean(0));
    };
    if file.size() == 0 {
        return Ok(LogState::Clean(0));
    }
    let mut bytes = [0; HEADER_BYTES];
    let read = file.read_at(&mut bytes, 0)?;
    let header = RecordHeader::decode(bytes.get(..read).unwrap_or_default());
    let checkpoint = header
        .filter(|header| bytes == Log::checkpoint_record(header.lsn) && header.lsn < u64::MAX / 2);
    let Some(checkpoint) = checkpoint else {
        return Err(foreign(&file, 0));
    };
    let mut scan = Scan {
        overlay: Overlay {
            images: BTreeMap::new(),
            last_lsn: checkpoint.lsn,
            transactions: 0,
            torn_bytes: 0,
            file,
        },
        offset: HEADER_BYTES as u64,
        lsn: checkpoint.lsn,
        txn: None,
        open: BTreeMap::new(),
        prev_lsn: 0,
        data: Vec::new(),
    };
    if scan.offset == scan.overlay.file.size() {
        return Ok(LogState::Clean(checkpoint.lsn));
    }
    let mut committed = scan.offset;
    while scan.record()? {
        if scan.open.is_empty() {
            committed = scan.offset;
        }
    }
    scan.check_tail()?;
    scan.overlay.torn_bytes = scan.overlay.file.size().saturating_sub(committed);
    Ok(LogState::Recover(scan.overlay))
}

struct Scan {
    overlay: Overlay,
    offset: u64,
    lsn: u64,
    /// Of the transaction that comes next or is open.
    txn: Option<u64>,
    open: BTreeMap<PageKey, ImagePlace>,
    prev_lsn: u64,
    data: Vec<u8>,
}

impl Scan {
    fn header_at(&self, offset: u64) -> Result<Option<RecordHeader>> {
        let mut bytes = [0; HEADER_BYTES];
        let read = self.overlay.file.read_at(&mut bytes, offset)?;
        Ok(RecordHeader::decode(bytes.get(..read).unwrap_or_default()))
    }

    /// Takes in the next record; false where the log ends, torn or not.
    fn record(&mut self) -> Result<bool> {
        let Some(header) = self.header_at(self.offset)? else {
            return Ok(false);
        };
        let is_next = Some(header.lsn) == self.lsn.checked_add(1)
            && header.prev_lsn == self.prev_lsn
            && self.txn.is_none_or(|txn| header.txn_id == txn);
        let kind = RecordKind::from_byte(header.kind);
        if kind == Some(RecordKind::Commit) && is_next && !self.open.is_empty() {
            if header.page_id != 0 || header.data_len != 0 {
                return Ok(false);
            }
            let images = std::mem::take(&mut self.open);
            self.overlay.images.extend(images);
            self.overlay.transactions = self.overlay.transactions.saturating_add(1);
            self.overlay.last_lsn = header.lsn;
            self.advance(&header);
            self.txn = header.txn_id.checked_add(1);
            self.prev_lsn = 0;
            return Ok(true);
        }
        if header.page_id == 0 && header.lsn > self.lsn && self.is_operation(&header, kind)? {
            return Err(foreign(&self.overlay.file, self.offset));
        }
        // A store puts a checkpoint first only, and never an abort.
        let bare = header.page_id == 0 && header.data_len == 0;
        if bare && matches!(kind, Some(RecordKind::Checkpoint | RecordKind::Abort)) {
            return Err(foreign(&self.overlay.file, self.offset));
        }
        if kind != Some(RecordKind::Update) || !is_next {
            return Ok(false);
        }
        let Some(key) = self.image(self.offset, &header)? else {
            return Ok(false);
        };
        let place = ImagePlace {
            offset: self.offset.saturating_add(HEADER_BYTES as u64),
            length: self.data.len(),
        };
        self.open.insert(key, place);
        self.txn = Some(header.txn_id);
        self.advance(&header);
        self.prev_lsn = header.lsn;
        Ok(true)
    }

    fn advance(&mut self, header: &RecordHeader) {
        self.offset = self.offset.saturating_add(header.record_bytes());
        self.lsn = header.lsn;
    }

    /// True for a whole document operation, which LauraDB has written.
    fn is_operation(&self, header: &RecordHeader, kind: Option<RecordKind>) -> Result<bool> {
        let end = self.offset.saturating_add(header.record_bytes());
        let operation = kind.is_some_and(RecordKind::is_operation) && header.data_len > 0;
        Ok(operation && end <= self.overlay.file.size())
    }

    /// The page of an image at this offset, if it is whole; its data is in `self.data` then.
    fn image(&mut self, offset: u64, header: &RecordHeader) -> Result<Option<PageKey>> {
        let length = usize::try_from(header.data_len).unwrap_or(usize::MAX);
        if !(IMAGE_HEADER_BYTES..=MAX_IMAGE_BYTES).contains(&length) {
            return Ok(None);
        }
        self.data.resize(length, 0);
        let at = offset.saturating_add(HEADER_BYTES as u64);
        if self.overlay.file.read_at(&mut self.data, at)? < length {
            return Ok(None);
        }
        Ok(check_image(header, &self.data))
    }

    /// Looks behind the last good record for a whole image of a later transaction.
    fn check_tail(&mut self) -> Result<()> {
        let torn = self.txn.unwrap_or(1);
        let size = self.overlay.file.size();
        let mut window = vec![0; 1 << 20];
        let mut start = self.offset.saturating_add(1);
        while start.saturating_add(HEADER_BYTES as u64) <= size {
            let read = self.overlay.file.read_at(&mut window, start)?;
            let read = window.get(..read).unwrap_or_default();
            for (at, bytes) in (0_u64..).zip(read.windows(HEADER_BYTES)) {
                let header = RecordHeader::decode(bytes).filter(|header| {
                    header.kind == RecordKind::Update as u8
                        && header.txn_id > torn
                        && header.lsn > self.lsn
                        && header.page_id != 0
                });
                let Some(header) = header else { continue };
                if self.image(start.saturating_add(at), &header)?.is_some() {
                    let sentence = format!(
                        "the record after LSN {} is damaged, but whole ones follow it",
                        self.lsn
                    );
                    return Err(Error::new(Code::StoreLogDamaged, sentence)
                        .at(Place::offset(self.overlay.file.path(), self.offset))
                        .hint("restore the directory from a backup"));
                }
            }
            // Headers that begin in the last bytes of a window are looked at in the next.
            start = start.saturating_add(read.len().saturating_sub(HEADER_BYTES - 1).max(1) as u64);
        }
        Ok(())
    }
}

fn foreign(file: &InputFile, offset: u64) -> Error {
    let sentence = "the write-ahead log holds operations that the pages may not have";
    Error::new(Code::NeedsRecovery, sentence)
        .at(Place::offset(file.path(), offset))
        .hint("start LauraDB on the directory so that it recovers, and stop it cleanly")
}

impl Overlay {
    /// Committed transactions.
    #[must_use]
    pub fn transactions(&self) -> u64 {
        self.transactions
    }

    /// The pages of `data.db`.
    #[must_use]
    pub fn data(&self) -> Arc<dyn PageImages> {
        Arc::new(FileOverlay(self.clone(), PageFile::Data))
    }

    /// The pages of `metadata.db`.
    #[must_use]
    pub fn metadata(&self) -> Arc<dyn PageImages> {
        Arc::new(FileOverlay(self.clone(), PageFile::Metadata))
    }

    fn read(&self, key: PageKey, page: &mut PageBytes) -> Result<bool> {
        let Some(place) = self.images.get(&key) else {
            return Ok(false);
        };
        let mut data = vec![0; place.length];
        self.file.read_exact_at(&mut data, place.offset)?;
        let decoded = decode_image(&data, page);
        decoded.map(|()| true).ok_or_else(|| {
            let sentence = "an image in the log is not what it was";
            Error::new(Code::SourceChanged, sentence)
                .at(Place::offset(self.file.path(), place.offset))
        })
    }
}

#[derive(Debug)]
struct FileOverlay(Overlay, PageFile);

impl PageImages for FileOverlay {
    fn image(&self, page: PageId, bytes: &mut PageBytes) -> Result<bool> {
        let key = PageKey { file: self.1, page };
        self.0.read(key, bytes)
    }

    fn page_count(&self) -> u32 {
        let mut of_file = self.0.images.keys().filter(|key| key.file == self.1);
        of_file
            .next_back()
            .map_or(0, |key| key.page.0.saturating_add(1))
    }
}
