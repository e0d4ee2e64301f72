//! Committed pages: those that only the log has, those in the cache, those in the file.

use super::cache::Cache;
use super::log::{Log, PageFile, PageKey};
use super::recovery::{Overlay, reset_log};
use crate::files::{Dir, OutputFile};
use crate::layout;
use crate::v2::btree::edit::TreePages;
use crate::v2::page::{
    self, ChecksumPolicy, PAGE_SIZE, PageBytes, PageError, PageHeader, PageType,
};
use crate::v2::page_file::{PageFileReader, page_offset};
use crate::v2::{PageId, SharedPage};
use crate::{Code, Error, Place, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The pages of both files and the log, as of the last commit.
#[derive(Debug)]
pub(super) struct Pager {
    dir: Dir,
    data: PageFileReader,
    /// Committed since the last checkpoint.
    changed: BTreeMap<PageKey, Arc<SharedPage>>,
    cache: Cache<PageId, Arc<SharedPage>>,
    /// `None` for a directory that is only read.
    output: Option<Output>,
}

/// The files, open for writing.
#[derive(Debug)]
struct Output {
    data: OutputFile,
    metadata: OutputFile,
    log: Log,
}

impl Pager {
    /// Opens the files of a directory whose log holds nothing but a checkpoint with this LSN.
    pub(super) fn open(dir: Dir, checkpoint_lsn: u64, cache_bytes: usize) -> Result<Self> {
        if dir.entry(layout::WAL_FILE)?.is_none_or(|log| log.size == 0) {
            reset_log(&dir, checkpoint_lsn)?;
        }
        let output = Output {
            data: dir.reopen(layout::DATA_FILE)?,
            metadata: dir.reopen(layout::METADATA_FILE)?,
            log: Log::new(dir.reopen(layout::WAL_FILE)?, checkpoint_lsn),
        };
        Ok(Self {
            output: Some(output),
            ..Self::open_read_only(dir, None, cache_bytes)?
        })
    }

    /// Opens the files of a directory for reading, through what its log has.
    pub(super) fn open_read_only(
        dir: Dir,
        overlay: Option<&Overlay>,
        cache_bytes: usize,
    ) -> Result<Self> {
        let data = dir.open_file(layout::DATA_FILE)?;
        let policy = ChecksumPolicy::Optional;
        Ok(Self {
            data: match overlay {
                None => PageFileReader::open(data, policy)?,
                Some(overlay) => PageFileReader::with_images(data, policy, overlay.data())?,
            },
            dir,
            changed: BTreeMap::new(),
            cache: Cache::new(cache_bytes),
            output: None,
        })
    }

    /// Fails for a directory that is only read.
    pub(super) fn check_writable(&self) -> Result<()> {
        match self.output {
            Some(_) => Ok(()),
            None => Err(read_only(&self.dir)),
        }
    }

    /// Bytes of the log.
    pub(super) fn log_bytes(&self) -> u64 {
        self.output.as_ref().map_or(0, |output| output.log.len())
    }

    /// True once nothing can be appended to the log any more.
    pub(super) fn has_failed(&self) -> bool {
        let output = self.output.as_ref();
        output.is_some_and(|output| output.log.has_failed())
    }

    pub(super) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Pages of `data.db` in its file; committed ones may follow.
    pub(super) fn file_pages(&self) -> u32 {
        self.data.page_count()
    }

    /// A page of `data.db` of this type.
    pub(super) fn read(&self, id: PageId, page_type: PageType) -> Result<Arc<SharedPage>> {
        let page = match self.changed(id) {
            Some(page) => page,
            None => match self.cache.get(&id) {
                Some(page) => page,
                None => return self.read_file(id, page_type),
            },
        };
        check_type(&page, page_type).map_err(|error| self.data.damaged(id, error))?;
        Ok(page)
    }

    /// A page that only the log has.
    pub(super) fn changed(&self, page: PageId) -> Option<Arc<SharedPage>> {
        let key = PageKey {
            file: PageFile::Data,
            page,
        };
        self.changed.get(&key).cloned()
    }

    fn read_file(&self, id: PageId, page_type: PageType) -> Result<Arc<SharedPage>> {
        let mut bytes = [0; PAGE_SIZE];
        self.data.read(id, page_type, &mut bytes)?;
        let page = Arc::new(SharedPage::new(bytes));
        self.cache.put(id, Arc::clone(&page), PAGE_SIZE);
        Ok(page)
    }

    /// The file, for scans of pages that are not [`Self::changed`].
    pub(super) fn file(&self) -> &PageFileReader {
        &self.data
    }

    /// Makes a transaction's pages durable in the log and visible. They carry their LSNs already.
    pub(super) fn commit(&mut self, pages: Vec<(PageKey, Box<PageBytes>)>) -> Result<()> {
        let Some(output) = &mut self.output else {
            return Err(read_only(&self.dir));
        };
        let log = &mut output.log;
        let mut pages = pages;
        log.begin()?;
        for (key, bytes) in &mut pages {
            page::stamp(bytes, key.page, log.next_lsn());
            if let Err(error) = log.image(*key, bytes) {
                log.abandon();
                return Err(error);
            }
        }
        log.commit()?;
        for (key, bytes) in pages {
            if key.file == PageFile::Data {
                self.cache.remove(&key.page);
            }
            self.changed.insert(key, Arc::new(SharedPage::new(*bytes)));
        }
        Ok(())
    }

    /// Writes all committed pages to their files and empties the log:
    ///
    /// 1. every page that only the log has is written to its file;
    /// 2. both files are fsynced;
    /// 3. the log is replaced by one checkpoint record, atomically.
    ///
    /// Before 3 the log still has everything, so a crash or a failure anywhere loses nothing, and
    /// the same can be done again. After a failure the pages are written again before they are
    /// fsynced again: what a failed fsync has covered counts as never written.
    ///
    /// A log that has failed is replaced even if no page waits for it. What it has behind the last
    /// commit was refused, and must not be found by the next recovery.
    pub(super) fn checkpoint(&mut self) -> Result<()> {
        let Some(output) = &mut self.output else {
            return Ok(());
        };
        if self.changed.is_empty() && !output.log.has_failed() {
            return Ok(());
        }
        for (key, page) in &self.changed {
            let file = match key.file {
                PageFile::Data => &output.data,
                PageFile::Metadata => &output.metadata,
            };
            file.write_all_at(page.bytes(), page_offset(key.page))?;
        }
        output.data.sync()?;
        output.metadata.sync()?;
        let data = self.dir.open_file(layout::DATA_FILE)?;
        let data = PageFileReader::open(data, ChecksumPolicy::Optional)?;
        let lsn = output.log.next_lsn();
        // Should the replacement fail half way, the open file may have lost its name: whatever was
        // appended to it would be gone. Only a checkpoint that succeeds, or a new open, helps then.
        output.log.fail();
        reset_log(&self.dir, lsn)?;
        output.log = Log::new(self.dir.reopen(layout::WAL_FILE)?, lsn);
        self.data = data;
        for (key, page) in std::mem::take(&mut self.changed) {
            if key.file == PageFile::Data {
                self.cache.put(key.page, page, PAGE_SIZE);
            }
        }
        Ok(())
    }
}

fn read_only(dir: &Dir) -> Error {
    let sentence = "the directory is in format 2.1, which is read and never written";
    Error::new(Code::StoreReadOnly, sentence)
        .at(Place::file(dir.path()))
        .hint("export it, and import the backup into a new directory")
}

/// Checks the type of a page that is in memory.
pub(super) fn check_type(page: &SharedPage, expected: PageType) -> Result<(), PageError> {
    let found = PageHeader::decode(page.bytes()).page_type;
    if found == expected as u8 {
        return Ok(());
    }
    Err(PageError::PageType { expected, found })
}

/// Committed or not: what reads need of pages.
pub(super) trait View: TreePages {
    /// A page of `data.db` of this type.
    fn page(&self, id: PageId, page_type: PageType) -> Result<Arc<SharedPage>>;

    /// The error for damage in a page.
    fn damaged(&self, id: PageId, error: PageError) -> crate::Error;
}
