//! How a store is opened.

use crate::options::Options;
use crate::{Code, Error, Result};
use std::path::Path;

/// Whatever the marker says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForceMode {
    /// The marker and the files decide.
    #[default]
    Auto,
    /// A memory store.
    Memory,
    /// A disk store; v1 files are migrated first if that is enabled.
    Disk,
}

/// The configuration of a store.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The store's mode, whatever the directory says.
    pub force_mode: ForceMode,
    /// Migrate a v1 directory when it is opened.
    pub auto_migrate: bool,
    /// Allow v2 directories to be opened and made.
    pub enable_disk_storage: bool,
    /// Allow `auto_migrate`.
    pub enable_auto_migration: bool,
    /// Keep documents of a v2 directory in memory as well.
    pub enable_hybrid_mode: bool,
    /// Read many pages at a time when a collection is scanned.
    pub enable_prefetching: bool,
    /// Refused: format 2.1 is not written.
    pub enable_compression: bool,
    /// Load the documents into memory where the disk store cannot be opened for writing, or the
    /// migration fails.
    pub fallback_to_memory_on_error: bool,
    /// Bytes of pages that are kept in memory.
    pub page_cache_bytes: usize,
    /// Bytes of documents that a hybrid store keeps in memory.
    pub document_cache_bytes: usize,
    /// Bytes of the log after which a commit is followed by a checkpoint.
    pub checkpoint_bytes: u64,
    /// Unix seconds that are written as the time of every change; `None` is now.
    pub source_date_epoch: Option<i64>,
    /// How a v1 directory is migrated; its source is the store's directory and it has no target.
    pub migration: Options,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            force_mode: ForceMode::Auto,
            auto_migrate: false,
            enable_disk_storage: true,
            enable_auto_migration: true,
            enable_hybrid_mode: false,
            enable_prefetching: true,
            enable_compression: false,
            fallback_to_memory_on_error: false,
            page_cache_bytes: 64 << 20,
            document_cache_bytes: 32 << 20,
            checkpoint_bytes: 16 << 20,
            source_date_epoch: None,
            migration: Options::new(""),
        }
    }
}

impl StoreConfig {
    /// Fails for what no store can do.
    pub(super) fn check(&self) -> Result<()> {
        let refused =
            |sentence: &str, hint: &str| Err(Error::new(Code::StoreConfig, sentence).hint(hint));
        if self.enable_compression {
            return refused(
                "compression belongs to format 2.1, which is not written",
                "set enable_compression to false",
            );
        }
        if self.force_mode == ForceMode::Disk && !self.enable_disk_storage {
            return refused(
                "the mode is forced to disk, but disk storage is not enabled",
                "set enable_disk_storage to true, or force another mode",
            );
        }
        Ok(())
    }

    /// The migration of this directory, in place.
    pub(super) fn migration_of(&self, directory: &Path) -> Options {
        Options {
            source: directory.to_path_buf(),
            target: None,
            source_date_epoch: self.source_date_epoch.or(self.migration.source_date_epoch),
            ..self.migration.clone()
        }
    }

    /// The time of a change.
    pub(super) fn now_ns(&self) -> i64 {
        let nanoseconds = match self.source_date_epoch {
            Some(seconds) => i128::from(seconds) * 1_000_000_000,
            None => jiff::Timestamp::now().as_nanosecond(),
        };
        i64::try_from(nanoseconds).unwrap_or(i64::MAX)
    }
}
