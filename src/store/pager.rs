//! Committed pages: those that only the log has, those in the cache, those in the file.

use super::cache::Cache;
use super::log::{Log, PageFile, PageKey};
use super::recovery::reset_log;
use crate::Result;
use crate::files::{Dir, OutputFile};
use crate::layout;
use crate::v2::btree::edit::TreePages;
use crate::v2::page::{
    self, ChecksumPolicy, PAGE_SIZE, PageBytes, PageError, PageHeader, PageType,
};
use crate::v2::page_file::{PageFileReader, page_offset};
use crate::v2::{PageId, SharedPage};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The pages of both files and the log, as of the last commit.
#[derive(Debug)]
pub(super) struct Pager {
    dir: Dir,
    data_out: OutputFile,
    metadata_out: OutputFile,
    data: PageFileReader,
    /// Committed since the last checkpoint.
    changed: BTreeMap<PageKey, Arc<SharedPage>>,
    cache: Cache<PageId, Arc<SharedPage>>,
    pub(super) log: Log,
}

impl Pager {
    /// Opens the files of a directory whose log holds nothing but a checkpoint with this LSN.
    pub(super) fn open(dir: Dir, checkpoint_lsn: u64, cache_bytes: usize) -> Result<Self> {
        if dir.entry(layout::WAL_FILE)?.is_none_or(|log| log.size == 0) {
            reset_log(&dir, checkpoint_lsn)?;
        }
        let log = Log::new(dir.reopen(layout::WAL_FILE)?, checkpoint_lsn);
        let data = dir.open_file(layout::DATA_FILE)?;
        Ok(Self {
            data: PageFileReader::open(data, ChecksumPolicy::Optional)?,
            data_out: dir.reopen(layout::DATA_FILE)?,
            metadata_out: dir.reopen(layout::METADATA_FILE)?,
            dir,
            changed: BTreeMap::new(),
            cache: Cache::new(cache_bytes),
            log,
        })
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
        let mut pages = pages;
        self.log.begin()?;
        for (key, bytes) in &mut pages {
            page::stamp(bytes, key.page, self.log.next_lsn());
            if let Err(error) = self.log.image(*key, bytes) {
                self.log.abandon();
                return Err(error);
            }
        }
        self.log.commit()?;
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
    /// the same can be done again.
    pub(super) fn checkpoint(&mut self) -> Result<()> {
        if self.changed.is_empty() {
            return Ok(());
        }
        for (key, page) in &self.changed {
            let file = match key.file {
                PageFile::Data => &self.data_out,
                PageFile::Metadata => &self.metadata_out,
            };
            file.write_all_at(page.bytes(), page_offset(key.page))?;
        }
        self.data_out.sync()?;
        self.metadata_out.sync()?;
        let data = self.dir.open_file(layout::DATA_FILE)?;
        let data = PageFileReader::open(data, ChecksumPolicy::Optional)?;
        let lsn = self.log.next_lsn();
        // Should the replacement fail half way, the open file may have lost its name: whatever was
        // appended to it would be gone. Only a checkpoint that succeeds, or a new open, helps then.
        self.log.fail();
        reset_log(&self.dir, lsn)?;
        self.log = Log::new(self.dir.reopen(layout::WAL_FILE)?, lsn);
        self.data = data;
        for (key, page) in std::mem::take(&mut self.changed) {
            if key.file == PageFile::Data {
                self.cache.put(key.page, page, PAGE_SIZE);
            }
        }
        Ok(())
    }
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
